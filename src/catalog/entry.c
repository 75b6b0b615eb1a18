/*
 * entry.c - the table of questions, and what is known of each.
 */
#include "catalog/internal.h"

#include "hash.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void destroy_entry(struct entry *e)
{
    answer_unref(e->answer);
    pending_finish(&e->wait);
    free(e);
}

int catalog_create(const struct catalog_config *config, struct catalog **ret_catalog)
{
    struct catalog *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return -ENOMEM;
    c->config = *config;
    for (unsigned i = 0; i < ENTRY_BUCKETS; i++)
        list_init(&c->buckets[i]);
    list_init(&c->order);
    pthread_mutex_init(&c->lock, NULL);
    rc = seen_init(&c->seen);
    if (!rc)
        rc = tasks_create("ghlogfs-facts", config->now_ms, &c->clerk);
    if (rc) {
        catalog_destroy(c);
        return rc;
    }
    *ret_catalog = c;
    return 0;
}

void catalog_stop(struct catalog *c)
{
    if (!c)
        return;
    atomic_store(&c->is_stopping, true);
    tasks_stop(c->clerk);
}

void catalog_destroy(struct catalog *c)
{
    struct list *link;

    if (!c)
        return;
    tasks_destroy(c->clerk);
    while ((link = list_take_first(&c->order)))
        destroy_entry(list_entry(link, struct entry, in_order));
    seen_finish(&c->seen);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* --- entries --- */

/* Also the record's key: what GitHub calls the same is the same, so the name is folded. */
void entry_make_key(const struct catalog_question *q, char key[ENTRY_KEY_LEN])
{
    struct repo_name name = q->repo;
    char folded[NAME_FULL_LEN];

    /* No name is "-", and a record's key has no empty part. */
    if (!name.owner[0])
        name.owner[0] = '-';
    if (!name.repo[0])
        name.repo[0] = '-';
    name_fold(&name, folded);
    snprintf(key, ENTRY_KEY_LEN, "asked/%s/%d/%llu-%u/%s-%u", folded, (int)q->what,
             (unsigned long long)q->id, q->attempt, q->filter, q->limit);
}

static struct list *bucket_of(struct catalog *c, const char *key)
{
    return &c->buckets[hash_string(HASH_START, key) % ENTRY_BUCKETS];
}

/* Lock held. */
static struct entry *find_entry(struct catalog *c, const char *key)
{
    list_each(link, bucket_of(c, key)) {
        struct entry *e = list_entry(link, struct entry, in_bucket);
        if (!strcmp(e->key, key))
            return e;
    }
    return NULL;
}

/* Lock held. Forgets the entry asked for longest ago that nobody is busy with. */
static struct entry *take_oldest(struct catalog *c)
{
    list_each(link, &c->order) {
        struct entry *e = list_entry(link, struct entry, in_order);
        if (e->users > 0)
            continue;
        list_remove(&e->in_bucket);
        list_remove(&e->in_order);
        c->entry_count--;
        return e;
    }
    return NULL;
}

/* Lock held. NULL: no memory. */
static struct entry *new_entry(struct catalog *c, const struct catalog_question *q, const char *key)
{
    struct entry *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->catalog = c;
    e->q = *q;
    e->q.may_settle = false;
    memcpy(e->key, key, ENTRY_KEY_LEN);
    pending_init(&e->wait, c->config.waits);
    list_push_back(bucket_of(c, key), &e->in_bucket);
    c->entry_count++;
    return e;
}

/* The entry of a question, counted. NULL: no memory, or there is none and it is not to be made. */
struct entry *entry_get(struct catalog *c, const struct catalog_question *q, bool make)
{
    struct entry *e, *oldest = NULL;
    char key[ENTRY_KEY_LEN] = {0};

    entry_make_key(q, key);
    pthread_mutex_lock(&c->lock);
    e = find_entry(c, key);
    if (!e && make) {
        if (c->entry_count >= ENTRIES_MAX)
            oldest = take_oldest(c);
        e = new_entry(c, q, key);
    }
    if (e) {
        e->users++;
        list_remove(&e->in_order);
        list_push_back(&c->order, &e->in_order);
    }
    pthread_mutex_unlock(&c->lock);
    if (oldest)
        destroy_entry(oldest);
    return e;
}

void catalog_trim(struct catalog *c)
{
    bool any = true;

    while (any && atomic_load(&c->bytes) > CATALOG_BYTES_MAX) {
        struct entry *oldest;
        pthread_mutex_lock(&c->lock);
        oldest = take_oldest(c);
        any = seen_forget(&c->seen, CATALOG_PAGE) || oldest;
        pthread_mutex_unlock(&c->lock);
        if (oldest)
            destroy_entry(oldest);
    }
}

void entry_put(struct entry *e)
{
    pthread_mutex_lock(&e->catalog->lock);
    e->users--;
    pthread_mutex_unlock(&e->catalog->lock);
}

void entry_save_list(struct entry *e, const struct answer *a)
{
    const struct saved_list list = {.pages = a->pages,
                                    .page_count = a->page_count,
                                    .page_size = a->page_size,
                                    .settled = a->view.settled,
                                    .adds_up = a->adds_up};

    saved_put_list(e->catalog->config.store, e->key, &list);
}

/* Lock held. */
void entry_adopt_answer(struct entry *e, struct answer *a)
{
    struct catalog *c = e->catalog;

    e->answer = a;
    e->answered_ms = c->config.now_ms();
    e->failure = (struct source_failure){0};
    e->refused = false;
    for (unsigned i = 0; i < a->page_count; i++) {
        page_charge(a->pages[i], &c->bytes);
        seen_add_page(&c->seen, &e->q.repo, a->pages[i]);
    }
}

/* Lock held. */
const struct catalog_answer *entry_hold_answer(struct entry *e)
{
    return catalog_answer_hold(&e->answer->view);
}

unsigned entry_full_size(const struct entry *e)
{
    return e->q.limit && e->q.limit < CATALOG_PAGE ? e->q.limit : CATALOG_PAGE;
}

/* --- from disk --- */

void entry_load(struct entry *e)
{
    struct catalog *c = e->catalog;
    struct page *pages[SAVED_PAGES_MAX];
    struct answer *a = NULL;
    struct saved_list list;

    if (!saved_load(c->config.store, e->key, e->q.what, pages, &list))
        a = answer_create(list.pages, list.page_count, e->q.limit);
    if (a) {
        a->page_size = list.page_size;
        a->adds_up = list.adds_up;
        a->view.settled = list.settled &&
                          answer_has_ended(e->q.what, &a->view, c->config.wall_ms());
    }
    pthread_mutex_lock(&c->lock);
    if (a && !e->answer) { /* else it was learnt beside the way meanwhile */
        entry_adopt_answer(e, a);
        e->answered_ms = 0;
        a = NULL;
    }
    e->phase = ENTRY_IDLE;
    pthread_mutex_unlock(&c->lock);
    answer_unref(a);
    catalog_trim(c);
    pending_wake(&e->wait, PENDING_ALL_FIRST, PENDING_ALL_LAST, 0);
}

/* --- beside the way --- */

struct adoption {
    struct task task;
    struct entry *entry;
    char *body;
    size_t len;
};

static void end_adoption(struct adoption *ad)
{
    atomic_fetch_sub(&ad->entry->catalog->adopted, ad->len);
    entry_put(ad->entry);
    free(ad->body);
    free(ad);
}

static void run_adoption(struct task *task)
{
    struct adoption *ad = list_entry(task, struct adoption, task);
    struct entry *e = ad->entry;
    struct catalog *c = e->catalog;
    struct answer *a = NULL, *old = NULL;
    struct page *p;

    if (!page_parse(e->q.what, ad->body, ad->len, "", 0, &p))
        a = answer_create(&p, 1, 1);
    if (a) {
        a->page_size = entry_full_size(e);
        a->adds_up = true;
        a->view.settled = answer_has_ended(e->q.what, &a->view, c->config.wall_ms());
        saved_put_page(c->config.store, e->key, a->pages[0], ad->body, ad->len);
        entry_save_list(e, a);
        pthread_mutex_lock(&c->lock);
        old = e->answer;
        entry_adopt_answer(e, a);
        if (e->phase == ENTRY_NEW)
            e->phase = ENTRY_IDLE;
        pthread_mutex_unlock(&c->lock);
        answer_unref(old);
        catalog_trim(c);
    }
    end_adoption(ad);
}

void entry_adopt(struct entry *e, const char *body, size_t len)
{
    struct catalog *c = e->catalog;
    struct adoption *ad = calloc(1, sizeof(*ad));
    bool fits = atomic_fetch_add(&c->adopted, len) + len <= ADOPTED_BYTES_MAX;

    if (ad && fits)
        ad->body = malloc(len + 1);
    if (!ad || !ad->body) { /* it is asked for when it is wanted */
        atomic_fetch_sub(&c->adopted, len);
        free(ad);
        entry_put(e);
        return;
    }
    memcpy(ad->body, body, len);
    ad->len = len;
    ad->entry = e;
    ad->task.run = run_adoption;
    tasks_post(c->clerk, &ad->task);
}
