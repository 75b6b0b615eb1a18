/*
 * entry.c - the table of questions: found by key, loaded from disk, forgotten in the order of use.
 */
#include "catalog/internal.h"

#include "hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    list_init(&c->asking);
    pthread_mutex_init(&c->lock, NULL);
    rc = seen_init(&c->seen);
    if (!rc)
        rc = tasks_create("ghlogfs-parse", config->now_ms, &c->parser);
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
    tasks_stop(c->parser);
}

static void destroy_entry(struct entry *e)
{
    answer_unref(e->answer);
    pending_finish(&e->wait);
    free(e);
}

void catalog_destroy(struct catalog *c)
{
    struct list *link;

    if (!c)
        return;
    tasks_destroy(c->parser);
    while ((link = list_take_first(&c->order)))
        destroy_entry(list_entry(link, struct entry, in_order));
    seen_finish(&c->seen);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* --- the table --- */

void entry_make_key(const struct catalog_question *q, char ret_key[ENTRY_KEY_LEN])
{
    struct repo_name name = q->repo;
    char folded[NAME_FULL_LEN];

    /* No name is "-", and a record's key has no empty part. */
    if (!name.owner[0])
        name.owner[0] = '-';
    if (!name.repo[0])
        name.repo[0] = '-';
    name_fold(&name, folded);
    snprintf(ret_key, ENTRY_KEY_LEN, "asked/%s/%d/%llu-%u/%s-%u", folded, (int)q->what,
             (unsigned long long)q->id, q->attempt, q->filter, q->limit);
}

/* Lock held. Takes the least recently asked entry that is not in use; NULL: all are in use. */
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

struct entry *entry_get(struct catalog *c, const struct catalog_question *q, bool make)
{
    struct entry *e = NULL, *oldest = NULL;
    char key[ENTRY_KEY_LEN] = {0};
    struct list *bucket;

    entry_make_key(q, key);
    bucket = &c->buckets[hash_string(HASH_START, key) % ENTRY_BUCKETS];
    pthread_mutex_lock(&c->lock);
    list_each(link, bucket) {
        e = list_entry(link, struct entry, in_bucket);
        if (!strcmp(e->key, key))
            break;
        e = NULL;
    }
    if (!e && make && (e = calloc(1, sizeof(*e)))) {
        e->catalog = c;
        e->q = *q;
        e->q.may_settle = false;
        memcpy(e->key, key, sizeof(key));
        pending_init(&e->wait, c->config.waits);
        if (c->entry_count >= ENTRIES_MAX)
            oldest = take_oldest(c);
        list_push_back(bucket, &e->in_bucket);
        c->entry_count++;
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

void entry_put(struct entry *e)
{
    pthread_mutex_lock(&e->catalog->lock);
    e->users--;
    pthread_mutex_unlock(&e->catalog->lock);
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

void entry_wake(struct entry *e)
{
    pending_wake(&e->wait, PENDING_ALL_FIRST, PENDING_ALL_LAST, 0);
}

/* --- answers --- */

struct answer *entry_adopt_answer(struct entry *e, struct answer *a, bool is_proof)
{
    struct catalog *c = e->catalog;
    struct answer *old = e->answer;

    e->answer = a;
    e->answered_ms = c->config.now_ms();
    e->answer_number = ++c->outcomes;
    e->failure = (struct source_failure){0};
    e->refused = false;
    for (unsigned i = 0; i < a->page_count; i++) {
        page_charge(a->pages[i], &c->bytes);
        seen_add_page(&c->seen, &e->q.repo, a->pages[i], is_proof);
    }
    return old;
}

void entry_load(struct entry *e)
{
    struct catalog *c = e->catalog;
    struct answer *a = NULL;

    if (!answer_load(c->config.store, e->key, e->q.what, &a) && answer_index(a, e->q.limit)) {
        answer_unref(a);
        a = NULL;
    }
    if (a)
        a->view.settled &= answer_has_ended(e->q.what, a, c->config.wall_ms());
    pthread_mutex_lock(&c->lock);
    if (a && !e->answer) { /* else it was learnt beside another question meanwhile */
        a = entry_adopt_answer(e, a, false);
        e->answered_ms = 0;
    }
    e->phase = ENTRY_IDLE;
    pthread_mutex_unlock(&c->lock);
    answer_unref(a);
    catalog_trim(c);
    entry_wake(e);
}

/* --- what is learnt beside other questions --- */

/* The body of a single object on its way to the parser. */
struct learnt {
    struct task task;
    struct entry *entry; /* counted */
    size_t len;
    char body[];
};

static void parse_learnt(struct task *task)
{
    struct learnt *l = list_entry(task, struct learnt, task);
    struct entry *e = l->entry;
    struct catalog *c = e->catalog;
    struct answer *a = answer_create(1, entry_full_size(e)), *old;

    if (a && !page_parse(e->q.what, l->body, l->len, "", 0, &a->pages[0]))
        a->page_count = 1;
    if (a && a->page_count && !answer_index(a, 1)) {
        a->adds_up = true;
        a->view.settled = answer_has_ended(e->q.what, a, c->config.wall_ms());
        page_save(a->pages[0], c->config.store, e->key, l->body, l->len);
        answer_save(a, c->config.store, e->key);
        pthread_mutex_lock(&c->lock);
        old = entry_adopt_answer(e, a, true);
        if (e->phase == ENTRY_NEW)
            e->phase = ENTRY_IDLE;
        pthread_mutex_unlock(&c->lock);
        a = old;
    }
    answer_unref(a);
    catalog_trim(c);
    atomic_fetch_sub(&c->learnt, l->len);
    entry_put(e);
    free(l);
}

void catalog_job_learnt(void *catalog, const struct repo_name *repo, uint64_t job, const char *body,
                        size_t len)
{
    struct catalog_question q = {.what = SOURCE_JOB, .repo = *repo, .id = job};
    struct catalog *c = catalog;
    bool fits = atomic_fetch_add(&c->learnt, len) + len <= LEARNT_BYTES_MAX;
    struct learnt *l = fits ? malloc(sizeof(*l) + len) : NULL;
    struct entry *e = l ? entry_get(c, &q, true) : NULL;

    if (!e) { /* it is requested when it is wanted */
        atomic_fetch_sub(&c->learnt, len);
        free(l);
        return;
    }
    *l = (struct learnt){.task.run = parse_learnt, .entry = e, .len = len};
    memcpy(l->body, body, len);
    tasks_post(c->parser, &l->task);
}
