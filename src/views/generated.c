/*
 * The generator of cleaned text: a source of the cache whose network is the log itself.
 */
#include "views/generated.h"

#include "store/store.h"
#include "tasks.h"
#include "text/clean.h"
#include "views/cuts.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK (UINT64_C(128) << 10)

struct generated {
    struct generated_config config;
    struct tasks *generator; /* the thread that cleans and cuts */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a parked read was answered, or the ring has room */
    /* lock */
    bool stopping;
    uint64_t room_turn; /* counts calls of resume */
    struct list tables; /* of struct cuts_table, in the order they were kept in */
    unsigned table_count;
    struct list cutting; /* of struct cutting: under way */
    struct pending cut;  /* a table was made, or could not be */
};

/* A generated log at its source. */
struct source_log {
    struct generated *generated;
    struct repo_name repo;
    uint64_t job;
    const struct source_log_ops *ops;
    void *who;
};

uint64_t generated_id(const struct generated *d, uint64_t job)
{
    uint64_t id = CACHE_GENERATED | (uint64_t)GENERATED_VERSION << 56 | job;

    return d->config.timestamps ? id | UINT64_C(1) << 62 : id;
}

/* --- reading a log from this thread ----------------------------------------------------------- */

struct reading {
    struct waiter waiter;
    struct generated *generated;
    bool parked;
    int err;
};

static void on_wake(struct waiter *w, int err)
{
    struct reading *r = list_entry(w, struct reading, waiter);

    pthread_mutex_lock(&r->generated->lock);
    r->err = err;
    r->parked = false;
    pthread_cond_broadcast(&r->generated->changed);
    pthread_mutex_unlock(&r->generated->lock);
}

/* PENDING_PARKED: look again. Else what the log could not be had for. */
static int wait_until_woken(struct reading *r)
{
    int err;

    pthread_mutex_lock(&r->generated->lock);
    while (r->parked)
        pthread_cond_wait(&r->generated->changed, &r->generated->lock);
    err = r->err;
    pthread_mutex_unlock(&r->generated->lock);
    return err ? err : PENDING_PARKED;
}

/* Up to CHUNK bytes at `offset`; 0: the end. The log was whole a moment ago, so this hardly waits. */
static ssize_t read_chunk(struct generated *d, struct log_reader *reader,
                          const struct repo_name *repo, uint64_t offset, char *buf)
{
    struct reading r = {.waiter = {.wake = on_wake}, .generated = d};
    struct log_slice slice;
    ssize_t n;
    int rc;

    do {
        r.parked = true;
        rc = log_read(reader, repo, offset, CHUNK, &r.waiter, &slice);
        if (rc == PENDING_PARKED)
            rc = wait_until_woken(&r);
    } while (rc == PENDING_PARKED);
    if (rc)
        return rc;
    n = (ssize_t)slice.len;
    if (slice.data)
        memcpy(buf, slice.data, slice.len);
    else if (slice.len)
        n = pread(slice.fd, buf, slice.len, (off_t)slice.offset);
    if (n < 0 || (size_t)n != slice.len)
        n = -EIO;
    log_slice_done(&slice);
    return n;
}

/* --- one pass over a log ----------------------------------------------------------------------- */

/* Where the cleaned bytes go; negative errno ends the pass. */
typedef int pass_sink(void *who, const char *data, size_t len);

struct pass {
    struct generated *generated;
    struct log *log;
    const struct repo_name *repo;
    struct text_cutter *cutter; /* NULL: only cleaned */
    pass_sink *sink;            /* NULL: only cut */
    void *who;
    uint64_t size; /* out: of the cleaned text */
};

struct pass_room {
    struct text_cleaner cleaner;
    char in[CHUNK];
    char out[CHUNK + TEXT_CLEAN_SLACK];
};

static bool is_stopping(struct generated *d)
{
    bool stopping;

    pthread_mutex_lock(&d->lock);
    stopping = d->stopping;
    pthread_mutex_unlock(&d->lock);
    return stopping;
}

/* The log was whole when its text was asked for; if it was evicted since, this waits. */
static int ensure_whole(const struct pass *p)
{
    const struct log_hint hint = {.completed = true};
    struct reading r = {.waiter = {.wake = on_wake}, .generated = p->generated};
    struct log_stat stat;
    int rc;

    do {
        r.parked = true;
        rc = log_get_stat(p->log, p->repo, EFFORT_NETWORK, &hint, &r.waiter, &stat);
        if (!rc)
            rc = stat.final ? log_fetch_all(p->log, p->repo, &r.waiter) : -ENOENT;
        if (rc == PENDING_PARKED)
            rc = wait_until_woken(&r);
    } while (rc == PENDING_PARKED);
    return rc;
}

static int deliver(struct pass *p, const char *data, size_t len)
{
    if (is_stopping(p->generated))
        return -ECONNABORTED;
    p->size += len;
    return p->sink && len ? p->sink(p->who, data, len) : 0;
}

static int run_pass(struct pass *p)
{
    struct pass_room *room;
    struct log_reader reader;
    uint64_t offset = 0;
    ssize_t n = 0;
    int rc = ensure_whole(p);

    if (rc)
        return rc;
    room = malloc(sizeof(*room));
    if (!room)
        return -ENOMEM;
    text_cleaner_init(&room->cleaner, p->generated->config.timestamps,
                      p->cutter ? text_cutter_line : NULL, p->cutter);
    log_open(p->log, &reader);
    while (!rc && (n = read_chunk(p->generated, &reader, p->repo, offset, room->in)) > 0) {
        offset += (uint64_t)n;
        rc = deliver(p, room->out,
                     text_cleaner_feed(&room->cleaner, room->in, (size_t)n, room->out));
    }
    if (!rc && n < 0)
        rc = (int)n;
    if (!rc)
        rc = deliver(p, room->out, text_cleaner_finish(&room->cleaner, room->out));
    log_close(&reader);
    free(room);
    return rc;
}

/* --- the cache's source ------------------------------------------------------------------------ */

static struct source_log *on_log_create(void *self, const struct repo_name *repo, uint64_t id,
                                        bool completed, const struct source_log_ops *ops, void *who)
{
    struct source_log *log = calloc(1, sizeof(*log));

    (void)completed;
    if (!log)
        return NULL;
    log->generated = self;
    log->repo = *repo;
    log->job = id & NAME_ID_MAX;
    log->ops = ops;
    log->who = who;
    return log;
}

static void on_log_release(struct source_log *log, void (*released)(void *who))
{
    void *who = log->who;

    free(log);
    if (released)
        released(who);
}

struct making {
    struct task task;
    struct generated *generated;
    struct source_bytes *want;
    uint64_t at; /* of the cleaned text so far */
};

/* Hands bytes to the cache; waits while the ring is full. Bytes before what is wanted were made before. */
static int hand_over(void *who, const char *data, size_t len)
{
    struct making *m = who;
    struct generated *d = m->generated;
    uint64_t generation;

    if (m->at + len <= m->want->from) {
        m->at += len;
        return 0;
    }
    if (m->at < m->want->from) {
        size_t skip = (size_t)(m->want->from - m->at);
        data += skip;
        len -= skip;
        m->at += skip;
    }
    for (;;) {
        pthread_mutex_lock(&d->lock);
        generation = d->room_turn;
        pthread_mutex_unlock(&d->lock);
        int taken = m->want->bytes(m->want, m->at, data, len);
        if (taken < 0)
            return taken;
        if (taken == SOURCE_TAKEN)
            break;
        pthread_mutex_lock(&d->lock);
        while (generation == d->room_turn && !d->stopping)
            pthread_cond_wait(&d->changed, &d->lock);
        pthread_mutex_unlock(&d->lock);
        if (is_stopping(d))
            return -ECONNABORTED;
    }
    m->at += len;
    return 0;
}

/* What is told of the text once it is made: its time is the log's. */
static int tell(struct making *m, struct log *log, uint64_t size)
{
    struct source_log *at_source = m->want->log;
    struct source_metadata metadata = {
        .size = size, .final = true, .whole = true, .last_modified_ms = -1};
    struct log_stat stat;

    if (!log_get_stat(log, &at_source->repo, EFFORT_MEMORY, NULL, NULL, &stat)) {
        metadata.last_modified_ms = stat.mtime_ms;
        metadata.proven = stat.proven;
        metadata.provisional = !stat.proven; /* of a whole log: its end is not certain */
    }
    return at_source->ops->on_metadata(at_source->who, &metadata);
}

static int make_text(struct making *m)
{
    struct source_log *at_source = m->want->log;
    struct log *log = cache_hold(m->generated->config.cache, at_source->job);
    struct pass pass = {.generated = m->generated,
                        .log = log,
                        .repo = &at_source->repo,
                        .sink = hand_over,
                        .who = m};
    int rc = log ? run_pass(&pass) : -ENOMEM;

    if (!rc)
        rc = tell(m, log, pass.size);
    log_release(log);
    return rc;
}

static void run_making(struct task *task)
{
    struct making *m = list_entry(task, struct making, task);
    struct source_failure failure = {.reason = SOURCE_BROKEN};

    failure.err = make_text(m);
    m->want->done(m->want, failure.err ? &failure : NULL);
    free(m);
}

static void on_want_bytes(void *self, struct source_bytes *want)
{
    const struct source_failure failure = {.err = -ENOMEM, .reason = SOURCE_BROKEN};
    struct generated *d = self;
    struct making *m = calloc(1, sizeof(*m));

    if (!m) {
        want->done(want, &failure);
        return;
    }
    m->generated = d;
    m->want = want;
    m->task.run = run_making;
    tasks_post(d->generator, &m->task);
}

static void on_resume(void *self)
{
    struct generated *d = self;

    pthread_mutex_lock(&d->lock);
    d->room_turn++;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static const struct source_ops generator_ops = {.log_create = on_log_create,
                                                .log_release = on_log_release,
                                                .want_bytes = on_want_bytes,
                                                .resume = on_resume};

/* --- cutting ----------------------------------------------------------------------------------- */

/* A table being made; the thread's own but for the link. */
struct cutting {
    struct task task;
    struct list link;
    struct generated *generated;
    struct log *log;
    struct repo_name repo;
    struct cuts_table *table;
    struct text_cutter *cutter;
};

/* Lock held. */
static struct cuts_table *find_table(struct generated *d, uint64_t text, uint64_t digest)
{
    list_each(link, &d->tables) {
        struct cuts_table *t = list_entry(link, struct cuts_table, link);
        if (t->text == text && t->digest == digest)
            return t;
    }
    return NULL;
}

/* Takes the table over. */
static void keep_table(struct generated *d, struct cuts_table *t)
{
    struct cuts_table *oldest = NULL;

    pthread_mutex_lock(&d->lock);
    if (find_table(d, t->text, t->digest)) {
        oldest = t;
    } else {
        list_push_back(&d->tables, &t->link);
        if (++d->table_count > CUTS_MAX) {
            oldest = list_entry(list_take_first(&d->tables), struct cuts_table, link);
            d->table_count--;
        }
    }
    pthread_mutex_unlock(&d->lock);
    free(oldest);
}

/* What a waiter for a table waits for: how another one's cutting ends is not his business. */
static uint64_t part_of(uint64_t text, uint64_t digest)
{
    return text ^ digest;
}

static void run_cutting(struct task *task)
{
    struct cutting *c = list_entry(task, struct cutting, task);
    struct generated *d = c->generated;
    struct pass pass = {.generated = d, .log = c->log, .repo = &c->repo, .cutter = c->cutter};
    uint64_t part = part_of(c->table->text, c->table->digest);
    int rc = run_pass(&pass);

    if (!rc)
        rc = text_cutter_finish(c->cutter, pass.size, c->table->ranges);
    if (!rc) {
        cuts_save(d->config.store, c->table);
        keep_table(d, c->table);
    } else {
        free(c->table);
    }
    pthread_mutex_lock(&d->lock);
    list_remove(&c->link);
    pthread_mutex_unlock(&d->lock);
    pending_wake(&d->cut, part, part, rc);
    text_cutter_destroy(c->cutter);
    log_release(c->log);
    free(c);
}

/* Lock held. */
static bool is_being_cut(struct generated *d, uint64_t text, uint64_t digest)
{
    list_each(link, &d->cutting) {
        const struct cuts_table *t = list_entry(link, struct cutting, link)->table;
        if (t->text == text && t->digest == digest)
            return true;
    }
    return false;
}

static struct cutting *new_cutting(struct generated *d, const struct repo_name *repo,
                                   const struct facts_job *job, uint64_t digest)
{
    struct text_step *steps = cuts_steps(job);
    struct cutting *c = calloc(1, sizeof(*c));

    if (!c || !steps)
        goto fail;
    c->task.run = run_cutting;
    c->generated = d;
    c->repo = *repo;
    c->log = cache_hold(d->config.cache, job->id);
    c->table = cuts_create(generated_id(d, job->id), digest, cuts_count(job));
    if (!c->log || !c->table || text_cutter_create(steps, c->table->count, &c->cutter))
        goto fail;
    free(steps);
    return c;

fail:
    free(steps);
    if (c) {
        log_release(c->log);
        free(c->table);
        free(c);
    }
    return NULL;
}

/* Single flight: starts to cut unless it is under way. */
static int start_cutting(struct generated *d, const struct repo_name *repo,
                         const struct facts_job *job, uint64_t digest)
{
    struct cutting *c = new_cutting(d, repo, job, digest);
    bool first;

    if (!c)
        return -ENOMEM;
    pthread_mutex_lock(&d->lock);
    first = !is_being_cut(d, c->table->text, digest);
    if (first)
        list_push_back(&d->cutting, &c->link);
    pthread_mutex_unlock(&d->lock);
    if (first) {
        tasks_post(d->generator, &c->task);
        return 0;
    }
    text_cutter_destroy(c->cutter);
    log_release(c->log);
    free(c->table);
    free(c);
    return 0;
}

/* --- outwards ---------------------------------------------------------------------------------- */

int generated_get_stat(struct generated *d, struct log *text, const struct repo_name *repo,
                       uint64_t job, const struct log_hint *hint, struct waiter *w,
                       struct log_stat *ret_stat)
{
    int rc = log_get_stat(text, repo, EFFORT_DISK, NULL, w, ret_stat);
    struct log *log;

    if (rc != -EAGAIN && (rc || ret_stat->size))
        return rc; /* what is empty is asked for again with its log */
    log = cache_hold(d->config.cache, job);
    if (!log)
        return -ENOMEM;
    rc = log_get_stat(log, repo, EFFORT_NETWORK, hint, w, ret_stat);
    if (!rc && !ret_stat->final)
        rc = -ENOENT;
    if (!rc)
        rc = log_fetch_all(log, repo, w);
    if (!rc)
        rc = log_get_stat(text, repo, EFFORT_NETWORK, hint, w, ret_stat);
    log_release(log);
    return rc;
}

/* Lock held. */
static int take_range(const struct cuts_table *t, const struct facts_job *job, unsigned step,
                      struct generated_range *ret_range)
{
    for (size_t i = 0; i < job->step_count && i < t->count; i++) {
        if (job->steps[i].number != step || !t->ranges[i].present)
            continue;
        ret_range->begin = t->ranges[i].begin;
        ret_range->end = t->ranges[i].end;
        return 0;
    }
    return -ENOENT;
}

/* From memory or disk. -EAGAIN: nowhere. */
static int find_step(struct generated *d, const struct facts_job *job, uint64_t digest,
                     uint64_t size, unsigned step, struct generated_range *ret_range)
{
    uint64_t text = generated_id(d, job->id);
    struct cuts_table *t;
    int rc = -EAGAIN;

    pthread_mutex_lock(&d->lock);
    t = find_table(d, text, digest);
    if (t)
        rc = take_range(t, job, step, ret_range);
    pthread_mutex_unlock(&d->lock);
    if (rc != -EAGAIN || cuts_load(d->config.store, text, digest, cuts_count(job), size, &t))
        return rc;
    rc = take_range(t, job, step, ret_range);
    keep_table(d, t);
    return rc;
}

int generated_get_step(struct generated *d, struct log *text, const struct repo_name *repo,
                       const struct facts_job *job, unsigned step, struct waiter *w,
                       struct generated_range *ret_range)
{
    uint64_t digest = cuts_digest(job), part = part_of(generated_id(d, job->id), digest);
    struct log_stat stat;
    int rc = log_get_stat(text, repo, EFFORT_MEMORY, NULL, NULL, &stat);

    while (!rc) {
        uint64_t generation = pending_generation(&d->cut);
        rc = find_step(d, job, digest, stat.size, step, ret_range);
        if (rc != -EAGAIN)
            break;
        rc = start_cutting(d, repo, job, digest);
        if (!rc && pending_park(&d->cut, w, generation, part, part))
            return PENDING_PARKED;
    }
    return rc;
}

/* --- life -------------------------------------------------------------------------------------- */

int generated_create(const struct generated_config *config, struct generated **ret_generated)
{
    struct generated *d = calloc(1, sizeof(*d));
    struct source generator = {.self = d, .ops = &generator_ops};
    int rc;

    if (!d)
        return -ENOMEM;
    d->config = *config;
    list_init(&d->tables);
    list_init(&d->cutting);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    pending_init(&d->cut, config->waits);
    rc = tasks_create("ghlogfs-text", config->now_ms, &d->generator);
    if (rc) {
        generated_destroy(d);
        return rc;
    }
    cache_set_generator(config->cache, &generator);
    *ret_generated = d;
    return 0;
}

void generated_stop(struct generated *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    tasks_stop(d->generator);
}

void generated_destroy(struct generated *d)
{
    struct list *link;

    if (!d)
        return;
    tasks_destroy(d->generator);
    while ((link = list_take_first(&d->tables)))
        free(list_entry(link, struct cuts_table, link));
    pending_finish(&d->cut);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d);
}
