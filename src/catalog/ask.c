#include "catalog/entry.h"

#include "github/parse.h"
#include "hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHOW_OLD_AFTER_MS 1000 /* of waiting (S18) */

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
    tasks_destroy(c->clerk);
    while ((link = list_take_first(&c->order)))
        destroy_entry(list_entry(link, struct entry, in_order));
    seen_finish(&c->seen);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* --- entries --- */

/* Also the record's key: what GitHub calls the same is the same, so the name is folded. */
static void make_key(const struct catalog_question *q, char key[ENTRY_KEY_LEN])
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
static struct entry *get_entry(struct catalog *c, const struct catalog_question *q, bool make)
{
    struct entry *e, *oldest = NULL;
    char key[ENTRY_KEY_LEN] = {0};

    make_key(q, key);
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

/* --- asking --- */

/* Lock held. */
static bool is_fresh(const struct entry *e, int64_t now, int64_t began)
{
    if (!e->answer)
        return false;
    return e->answer->view.settled ||
           (e->answered_ms &&
            (now - e->answered_ms < e->catalog->config.fresh_ms || e->answered_ms >= began));
}

/* Lock held. The caller knows more than when it was asked before: what has ended may now settle. */
static void learn_end(struct entry *e, const struct catalog_question *q)
{
    if (!q->may_settle || e->q.may_settle)
        return;
    e->q.may_settle = true;
    if (e->phase == ENTRY_IDLE && e->answer && !e->answer->view.settled)
        e->answered_ms = 0;
}

/* Lock held. */
static const struct catalog_answer *take_answer(struct entry *e)
{
    return catalog_answer_hold(&e->answer->view);
}

/* Lock held. Whether it has just failed: for those who waited for it too, however late they look. */
static bool has_failed(const struct entry *e, int64_t now, int64_t began)
{
    return e->failure.reason != SOURCE_FINE && (now < e->failure.until_ms || e->failed_ms >= began);
}

static void wake_slow(struct task *task)
{
    struct entry *e = list_entry(task, struct entry, slow);

    pthread_mutex_lock(&e->catalog->lock);
    e->slow_posted = false;
    pthread_mutex_unlock(&e->catalog->lock);
    pending_wake(&e->wait, PENDING_ALL_FIRST, PENDING_ALL_LAST, 0);
    entry_put(e);
}

struct steps {
    bool load, ask, post_slow;
    int64_t slow_ms; /* from now */
};

/* Lock held. */
static void start_asking(struct entry *e, const struct catalog_question *q, int64_t now,
                         struct steps *steps)
{
    e->phase = ENTRY_ASKING;
    e->started_ms = now;
    e->is_extra = q->is_extra;
    e->round_may_settle = e->q.may_settle || e->q.what == SOURCE_JOB ||
                          e->q.what == SOURCE_RUN_ATTEMPT;
    e->users++; /* the round */
    steps->ask = true;
}

/* Lock held. How much longer this waiter waits for something newer: what is made of several
 * listings waits for all of them together no longer than for one. Where there is no answer yet, who
 * can do without waits longer, but not again and again. */
static int64_t patience_ms(const struct entry *e, bool has_old, const struct waiter *w, int64_t now)
{
    int64_t since = w->began_ms < e->started_ms ? w->began_ms : e->started_ms;

    if (!has_old && e->failure.reason == SOURCE_FINE)
        return e->started_ms + e->catalog->config.patience_ms - now;
    return since + SHOW_OLD_AFTER_MS - now;
}

/* Lock held. Somebody is about to wait, and not for as long as it takes. Who waits longer than a
 * second looks again each second: the next round may have somebody who does not. */
static void post_slow(struct entry *e, int64_t after_ms, struct steps *steps)
{
    if (e->slow_posted)
        return;
    e->slow_posted = true;
    e->users++; /* the task */
    steps->post_slow = true;
    steps->slow_ms = after_ms < SHOW_OLD_AFTER_MS ? after_ms : SHOW_OLD_AFTER_MS;
}

/* Lock held. One look at what is known, of whatever age. */
static int look_at_known(struct entry *e, enum effort effort, struct steps *steps,
                         const struct catalog_answer **ret_answer)
{
    if (effort == EFFORT_DISK && e->phase == ENTRY_NEW) {
        e->phase = ENTRY_LOADING;
        steps->load = true;
    }
    if (effort == EFFORT_DISK && e->phase == ENTRY_LOADING)
        return PENDING_PARKED;
    if (!e->answer)
        return -EAGAIN;
    *ret_answer = take_answer(e);
    return 0;
}

/* Lock held. One look; PENDING_PARKED: take the steps, then park. */
static int look(struct entry *e, const struct catalog_question *q, struct waiter *w,
                struct steps *steps, const struct catalog_answer **ret_answer)
{
    bool has_old = e->answer && !e->refused;
    int64_t now = e->catalog->config.now_ms();

    if (!w->began_ms)
        w->began_ms = now;

    if (e->phase == ENTRY_NEW) {
        e->phase = ENTRY_LOADING;
        steps->load = true;
        return PENDING_PARKED;
    }
    if (e->phase == ENTRY_LOADING)
        return PENDING_PARKED;
    if (is_fresh(e, now, w->began_ms)) {
        *ret_answer = take_answer(e);
        return 0;
    }
    if (e->phase == ENTRY_IDLE && has_failed(e, now, w->began_ms)) {
        if (!has_old)
            return e->failure.err;
        *ret_answer = take_answer(e);
        return 0;
    }
    if (e->phase == ENTRY_IDLE && has_old && e->failure.reason == SOURCE_OFFLINE) {
        *ret_answer = take_answer(e);
        return 0;
    }
    if (e->phase == ENTRY_IDLE)
        start_asking(e, q, now, steps);
    if (!has_old && !q->is_extra)
        return PENDING_PARKED;
    if (patience_ms(e, has_old, w, now) > 0) {
        post_slow(e, patience_ms(e, has_old, w, now), steps);
        return PENDING_PARKED;
    }
    if (!has_old)
        return -ETIMEDOUT;
    *ret_answer = take_answer(e);
    return 0;
}

static void take_steps(struct entry *e, const struct steps *steps)
{
    if (steps->load)
        entry_load(e);
    if (steps->post_slow) {
        e->slow.run = wake_slow;
        tasks_post_after(e->catalog->clerk, &e->slow, steps->slow_ms);
    }
    if (steps->ask)
        round_start(e);
}

int catalog_ask(struct catalog *c, const struct catalog_question *q, enum effort effort,
                struct waiter *w, const struct catalog_answer **ret_answer)
{
    struct entry *e = get_entry(c, q, effort != EFFORT_MEMORY);
    const struct catalog_answer *answer = NULL;
    int rc;

    if (!e)
        return effort == EFFORT_MEMORY ? -EAGAIN : -ENOMEM;
    for (;;) {
        uint64_t generation = pending_generation(&e->wait);
        struct steps steps = {0};

        pthread_mutex_lock(&c->lock);
        if (effort == EFFORT_NETWORK) {
            learn_end(e, q);
            rc = look(e, q, w, &steps, &answer);
        } else {
            rc = look_at_known(e, effort, &steps, &answer);
        }
        pthread_mutex_unlock(&c->lock);
        take_steps(e, &steps);
        if (steps.load)
            continue;
        if (rc != PENDING_PARKED || !ret_answer || pending_park(&e->wait, w, generation, 0, 0))
            break;
    }
    entry_put(e);
    if (ret_answer && !rc)
        *ret_answer = answer;
    else
        catalog_answer_release(answer);
    return rc;
}

enum source_reason catalog_peek_failure(struct catalog *c, const struct catalog_question *q)
{
    enum source_reason reason = SOURCE_FINE;
    char key[ENTRY_KEY_LEN] = {0};
    struct entry *e;

    make_key(q, key);
    pthread_mutex_lock(&c->lock);
    e = find_entry(c, key);
    if (e)
        reason = e->failure.reason;
    pthread_mutex_unlock(&c->lock);
    return reason;
}

/* --- JSON --- */

/* Out of the record of a listing in which the job or run was seen. */
static int print_from(struct catalog *c, const struct catalog_question *q,
                      const struct catalog_question *from, char **ret_text, size_t *ret_len)
{
    char key[ENTRY_KEY_LEN], *body;
    int rc = -ENOENT;
    size_t len;

    make_key(from, key);
    for (unsigned page = 0; rc == -ENOENT; page++) {
        if (saved_load_body(c->config.store, key, page, &body, &len))
            break;
        rc = q->what == SOURCE_JOB ? parse_print_job(body, len, q->id, ret_text, ret_len)
                                   : parse_print_run(body, len, q->id, ret_text, ret_len);
        free(body);
    }
    return rc;
}

/* A listing of one, so that it looks the same whichever way it came. What cannot be printed so is
 * given as it came. */
static int print_alone(const struct catalog_question *q, const struct page *p, char **ret_text,
                       size_t *ret_len)
{
    bool is_job = q->what == SOURCE_JOB;
    char *body = NULL;
    int rc = -ENOMEM, len;

    if (!p->body)
        return -ENOMEM;
    len = asprintf(&body, "{\"%s\":[%s]}", is_job ? "jobs" : "workflow_runs", p->body);
    if (len >= 0) {
        rc = is_job ? parse_print_job(body, (size_t)len, q->id, ret_text, ret_len)
                    : parse_print_run(body, (size_t)len, q->id, ret_text, ret_len);
        free(body);
    }
    if (!rc)
        return 0;
    *ret_text = strdup(p->body);
    *ret_len = p->len;
    return *ret_text ? 0 : -ENOMEM;
}

int catalog_get_json(struct catalog *c, const struct catalog_question *q,
                     const struct catalog_question *from, struct waiter *w, char **ret_text,
                     size_t *ret_len)
{
    const struct catalog_answer *view;
    int rc;

    if (from && !print_from(c, q, from, ret_text, ret_len))
        return 0;
    rc = catalog_ask(c, q, EFFORT_NETWORK, w, &view);
    if (rc)
        return rc;
    rc = print_alone(q, list_entry((void *)(uintptr_t)view, struct answer, view)->pages[0],
                     ret_text, ret_len);
    catalog_answer_release(view);
    return rc;
}

/* --- jobs seen, names used --- */

bool catalog_find_job(struct catalog *c, const struct repo_name *repo, uint64_t job,
                      struct catalog_seen *ret_seen)
{
    const struct facts_job *found;
    struct page *p = NULL;

    pthread_mutex_lock(&c->lock);
    found = seen_find(&c->seen, repo, job, &p);
    pthread_mutex_unlock(&c->lock);
    if (!found)
        return false;
    *ret_seen = (struct catalog_seen){.job = found, .held = p};
    return true;
}

void catalog_seen_release(struct catalog_seen *seen)
{
    page_unref(seen->held);
    seen->held = NULL;
}

bool catalog_is_settled(const struct catalog *c, const struct facts_job *job)
{
    return facts_is_settled(job, c->config.wall_ms());
}

void catalog_job_learnt(void *catalog, const struct repo_name *repo, uint64_t job, const char *body,
                        size_t len)
{
    struct catalog_question q = {.what = SOURCE_JOB, .repo = *repo, .id = job};
    struct entry *e = get_entry(catalog, &q, true);

    if (e)
        entry_adopt(e, body, len);
}

void catalog_note_used(struct catalog *c, const struct repo_name *repo, uint64_t job)
{
    pthread_mutex_lock(&c->lock);
    seen_note_used(&c->seen, repo, job);
    pthread_mutex_unlock(&c->lock);
}

void catalog_each_used_repo(struct catalog *c, const char *owner,
                            void (*each)(void *who, const struct repo_name *repo), void *who)
{
    struct repo_name *names = calloc(USED_REPOS_MAX, sizeof(*names));
    unsigned count = 0;

    if (!names)
        return;
    pthread_mutex_lock(&c->lock);
    list_each(link, &c->seen.repos) {
        const struct used_repo *u = list_entry(link, struct used_repo, link);
        if (!owner || !strcasecmp(u->repo.owner, owner))
            names[count++] = u->repo;
    }
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < count; i++)
        each(who, &names[i]);
    free(names);
}

void catalog_each_used_job(struct catalog *c, const struct repo_name *repo,
                           void (*each)(void *who, uint64_t job), void *who)
{
    const struct used_repo *u;
    uint64_t *jobs = NULL;
    unsigned count = 0;

    pthread_mutex_lock(&c->lock);
    u = seen_find_used(&c->seen, repo);
    if (u && u->job_count) {
        jobs = calloc(u->job_count, sizeof(*jobs));
        count = jobs ? u->job_count : 0;
        for (unsigned i = 0; i < count; i++)
            jobs[i] = u->jobs[i];
    }
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < count; i++)
        each(who, jobs[i]);
    free(jobs);
}
