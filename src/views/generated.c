/*
 * The text thread: makes generated texts, as a source of the cache, and tables of steps.
 */
#include "views/generated.h"

#include "text/clean.h"
#include "views/steps.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK (UINT64_C(128) << 10)

struct generated {
    struct generated_config config;
    struct tasks *thread;
    atomic_bool stopping;
    struct pending ring_space; /* the cache takes bytes again */
    struct pending cut;        /* a table was made, or could not be */

    /* how the text thread waits */
    struct waiter waiter;
    sem_t woken;
    int wake_err;

    pthread_mutex_t lock;
    struct list wants;    /* lock; of source_bytes.task: the texts to be made */
    struct task making;   /* writes the first of them */
    bool is_making;       /* lock; the task is posted */
    struct list tables;   /* lock; of struct table, in the order in which they were added */
    unsigned table_count; /* lock */
};

/* --- waiting on the text thread -------------------------------------------------------------- */

static void on_wake(struct waiter *w, int err)
{
    struct generated *g = list_entry(w, struct generated, waiter);

    g->wake_err = err;
    sem_post(&g->woken);
}

/* Called when g->waiter is parked. 0: ask again; negative errno: that is the answer. */
static int wait_until_woken(struct generated *g)
{
    while (sem_wait(&g->woken))
        continue;
    return g->wake_err;
}

/* --- one pass over a log --------------------------------------------------------------------- */

struct pass {
    const struct repo_name *repo;
    uint64_t job;
    text_line_fn *on_line;      /* gets each line; may be NULL */
    generated_text_fn *on_text; /* may be NULL */
    void *who;                  /* the first argument of both */
    uint64_t size;              /* out: bytes of the cleaned text */
    struct log_stat stat;       /* out: of the log */
};

struct pass_buffers {
    struct text_cleaner cleaner;
    char in[CHUNK];
    char out[CHUNK + TEXT_CLEAN_SLACK];
};

/* The log was whole when its text was wanted. If it was evicted since, this waits for GitHub. */
static int fetch_whole(struct generated *g, struct log *log, struct pass *p)
{
    const struct log_hint hint = {.completed = true};
    int rc;

    do {
        rc = log_get_stat(log, p->repo, EFFORT_NETWORK, &hint, &g->waiter, &p->stat);
        if (!rc)
            rc = p->stat.final ? log_fetch_all(log, p->repo, &g->waiter) : -ENOENT;
        if (rc != PENDING_PARKED)
            return rc;
        rc = wait_until_woken(g);
    } while (!rc);
    return rc;
}

/* Up to CHUNK bytes at `offset`; 0: the end. Hardly ever waits, for the log is whole. */
static ssize_t read_chunk(struct generated *g, struct log_reader *reader,
                          const struct repo_name *repo, uint64_t offset, char *buf)
{
    struct log_slice slice;
    ssize_t n;
    int rc;

    do {
        rc = log_read(reader, repo, offset, CHUNK, &g->waiter, &slice);
        if (rc != PENDING_PARKED)
            break;
        rc = wait_until_woken(g);
    } while (!rc);
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

static int deliver(struct generated *g, struct pass *p, const char *data, size_t len)
{
    if (atomic_load(&g->stopping))
        return -ECONNABORTED;
    p->size += len;
    return p->on_text && len ? p->on_text(p->who, data, len) : 0;
}

/* Reads the whole of a job's log, and hands on its cleaned text and its lines. */
static int run_pass(struct generated *g, struct pass *p)
{
    struct log *log = cache_hold(g->config.cache, p->job);
    struct pass_buffers *b = malloc(sizeof(*b));
    struct log_reader reader;
    uint64_t offset = 0;
    ssize_t n = 0;
    int rc = log && b ? fetch_whole(g, log, p) : -ENOMEM;

    if (rc)
        goto out;
    text_cleaner_init(&b->cleaner, g->config.timestamps, p->on_line, p->who);
    log_open(log, &reader);
    while (!rc && (n = read_chunk(g, &reader, p->repo, offset, b->in)) > 0) {
        offset += (uint64_t)n;
        rc = deliver(g, p, b->out, text_cleaner_feed(&b->cleaner, b->in, (size_t)n, b->out));
    }
    if (!rc && n < 0)
        rc = (int)n;
    if (!rc)
        rc = deliver(g, p, b->out, text_cleaner_finish(&b->cleaner, b->out));
    log_close(&reader);
    if (!rc) /* its size may have been proven since */
        log_get_stat(log, p->repo, EFFORT_MEMORY, NULL, NULL, &p->stat);
out:
    free(b);
    log_release(log);
    return rc;
}

/* --- the kinds of generated texts ------------------------------------------------------------ */

/* A text that is being made. */
struct making {
    struct generated *generated;
    struct source_bytes *want;
    uint64_t at;                     /* bytes made so far */
    struct source_metadata metadata; /* of the text; its size is `at` in the end */
};

/* A kind of generated text: a row in `kinds`. */
struct kind {
    unsigned version; /* of its rules; part of the id: a text by other rules is another log */
    /* Reads logs (run_pass), writes the text (write_text) and fills in the metadata. Runs on the
     * text thread. The same logs and facts must give the same bytes: a text that was evicted is
     * made again, and only the bytes that are missing are kept of it. */
    int (*produce)(struct making *m);
};

/* A generated text at its source. */
struct source_log {
    const struct kind *kind;
    struct repo_name repo;
    uint64_t subject; /* what it is about: a job's id */
    const struct source_log_ops *ops;
    void *who;
    struct progress_wait *waits_for;
};

/* Appends to the text: hands the bytes to the cache, and waits while its ring is full. The first
 * bytes, which the cache does not want, are only counted. */
static int write_text(void *who, const char *data, size_t len)
{
    struct making *m = who;
    struct generated *g = m->generated;
    uint64_t skip = m->want->from > m->at ? m->want->from - m->at : 0;
    int rc = skip < len ? SOURCE_FULL : 0;

    while (rc == SOURCE_FULL) {
        uint64_t generation = pending_generation(&g->ring_space);
        rc = m->want->bytes(m->want, m->at + skip, data + skip, len - skip);
        if (rc == SOURCE_FULL && pending_park(&g->ring_space, &g->waiter, generation, 0, 0)) {
            int err = wait_until_woken(g);
            if (err)
                return err;
        }
    }
    m->at += len;
    return rc;
}

/* Cleaned text: its time is the log's. */
static int produce_cleaned(struct making *m)
{
    const struct source_log *text = m->want->log;
    struct pass pass = {.repo = &text->repo, .job = text->subject, .on_text = write_text, .who = m};
    int rc = run_pass(m->generated, &pass);

    m->metadata.last_modified_ms = pass.stat.mtime_ms;
    m->metadata.proven = pass.stat.proven;
    m->metadata.provisional = !pass.stat.proven; /* of a whole log: its end is not certain */
    return rc;
}

enum { KIND_CLEANED };

static const struct kind kinds[] = {
    [KIND_CLEANED] = {.version = 1, .produce = produce_cleaned},
};

/*
 * The id of a generated text: bit 63 is CACHE_GENERATED, bit 62 means that timestamps are kept,
 * bits 56 to 61 are the version of the kind's rules, bits 53 to 55 the kind. The rest is the
 * subject.
 */
#define ID_TIMESTAMPS (UINT64_C(1) << 62)
#define ID_VERSION_SHIFT 56
#define ID_KIND_SHIFT 53
#define ID_KIND_MASK 7

uint64_t generated_id(const struct generated *g, uint64_t job)
{
    return CACHE_GENERATED | (g->config.timestamps ? ID_TIMESTAMPS : 0) |
           (uint64_t)kinds[KIND_CLEANED].version << ID_VERSION_SHIFT |
           (uint64_t)KIND_CLEANED << ID_KIND_SHIFT | job;
}

/* --- the cache's source ---------------------------------------------------------------------- */

static struct source_log *on_log_create(void *self, const struct repo_name *repo, uint64_t id,
                                        bool completed, const struct source_log_ops *ops, void *who,
                                        struct progress_wait *waits_for)
{
    struct source_log *log = calloc(1, sizeof(*log));

    (void)self;
    (void)completed;
    if (!log)
        return NULL;
    log->kind = &kinds[id >> ID_KIND_SHIFT & ID_KIND_MASK];
    log->repo = *repo;
    log->subject = id & NAME_ID_MAX;
    log->ops = ops;
    log->who = who;
    log->waits_for = waits_for;
    return log;
}

static void on_log_release(struct source_log *log, void (*released)(void *who))
{
    void *who = log->who;

    free(log);
    if (released)
        released(who);
}

/* Makes one text and posts itself again, so that tables are made between texts. */
static void run_making(struct task *task)
{
    struct generated *g = list_entry(task, struct generated, making);
    struct making m = {.generated = g,
                       .metadata = {.final = true, .whole = true, .last_modified_ms = -1}};
    struct source_failure failure = {.reason = SOURCE_BROKEN};
    const struct source_log *log;
    bool has_more;

    pthread_mutex_lock(&g->lock);
    m.want = list_entry(list_take_first(&g->wants), struct source_bytes, task.link);
    pthread_mutex_unlock(&g->lock);
    log = m.want->log;
    progress_wait_note(log->waits_for, PROGRESS_FLOWS, 0);
    failure.err = log->kind->produce(&m);
    m.metadata.size = m.at;
    if (!failure.err)
        failure.err = log->ops->on_metadata(log->who, &m.metadata);
    m.want->done(m.want, failure.err ? &failure : NULL);
    pthread_mutex_lock(&g->lock);
    has_more = g->is_making = !list_is_empty(&g->wants);
    pthread_mutex_unlock(&g->lock);
    if (has_more)
        tasks_post(g->thread, &g->making);
}

static void on_want_bytes(void *self, struct source_bytes *want)
{
    struct generated *g = self;
    bool is_first;

    progress_wait_note(want->log->waits_for, PROGRESS_TURN, 0);
    pthread_mutex_lock(&g->lock);
    list_push_back(&g->wants, &want->task.link);
    is_first = !g->is_making;
    g->is_making = true;
    pthread_mutex_unlock(&g->lock);
    if (is_first)
        tasks_post(g->thread, &g->making);
}

static void on_resume(void *self)
{
    struct generated *g = self;

    pending_wake(&g->ring_space, PENDING_ALL_FIRST, PENDING_ALL_LAST, 0);
}

static const struct source_ops generator_ops = {.log_create = on_log_create,
                                                .log_release = on_log_release,
                                                .want_bytes = on_want_bytes,
                                                .resume = on_resume};

/* --- where steps begin ----------------------------------------------------------------------- */

/* Where the steps of a job begin. Until it is made, it is the text thread's but for the link. */
struct table {
    struct list link; /* lock */
    struct task task;
    struct generated *generated;
    struct repo_name repo;
    uint64_t job, digest;       /* its key; the digest is that of the job's steps */
    bool is_made;               /* lock */
    struct text_cutter *cutter; /* NULL: it is made */
    size_t count;               /* of ranges: as many as the job has steps */
    struct text_range ranges[];
};

/* The part of `cut` that a waiter for this table waits for, so that the failure of another table
 * does not reach it. */
static uint64_t part_of(uint64_t job, uint64_t digest)
{
    return job ^ digest;
}

static void table_free(struct table *t)
{
    text_cutter_destroy(t->cutter);
    free(t);
}

/* Lock held. */
static struct table *find_table(struct generated *g, uint64_t job, uint64_t digest)
{
    list_each(link, &g->tables) {
        struct table *t = list_entry(link, struct table, link);
        if (t->job == job && t->digest == digest)
            return t;
    }
    return NULL;
}

/* Lock held. */
static void drop_oldest_table(struct generated *g)
{
    list_each(link, &g->tables) {
        struct table *t = list_entry(link, struct table, link);
        if (!t->is_made)
            continue;
        list_remove(&t->link);
        g->table_count--;
        table_free(t);
        return;
    }
}

/* Has the cutter cut the job's text, and keeps in the store where its `count` steps begin. */
static int cut_text(struct generated *g, const struct repo_name *repo, uint64_t job,
                    uint64_t digest, struct text_cutter *cutter, struct text_range *ret_ranges,
                    size_t count)
{
    struct pass pass = {.repo = repo, .job = job, .on_line = text_cutter_line, .who = cutter};
    int rc = run_pass(g, &pass);

    if (!rc)
        rc = text_cutter_finish(cutter, pass.size, ret_ranges);
    if (!rc)
        steps_save_ranges(g->config.store, generated_id(g, job), digest, ret_ranges, count);
    return rc;
}

static int create_cutter(const struct facts_job *job, struct text_cutter **ret_cutter)
{
    struct text_step *steps = steps_for_cutter(job);
    int rc = steps ? text_cutter_create(steps, job->step_count, ret_cutter) : -ENOMEM;

    free(steps);
    return rc;
}

static void run_cutting(struct task *task)
{
    struct table *t = list_entry(task, struct table, task);
    struct generated *g = t->generated;
    uint64_t part = part_of(t->job, t->digest);
    int rc = cut_text(g, &t->repo, t->job, t->digest, t->cutter, t->ranges, t->count);

    text_cutter_destroy(t->cutter);
    t->cutter = NULL;
    pthread_mutex_lock(&g->lock);
    if (!rc) {
        t->is_made = true;
    } else {
        list_remove(&t->link);
        g->table_count--;
        table_free(t);
    }
    pthread_mutex_unlock(&g->lock);
    pending_wake(&g->cut, part, part, rc);
}

/* Adds the table of the job's steps: loaded from the store, or posted to be made. If another thread
 * has added it meanwhile, nothing is added. */
static int add_table(struct generated *g, const struct repo_name *repo, const struct facts_job *job,
                     uint64_t digest, uint64_t size)
{
    struct table *t = calloc(1, sizeof(*t) + job->step_count * sizeof(t->ranges[0]));
    bool is_made, is_new;
    int rc;

    if (!t)
        return -ENOMEM;
    t->task.run = run_cutting;
    t->generated = g;
    t->repo = *repo;
    t->job = job->id;
    t->digest = digest;
    t->count = job->step_count;
    is_made = !steps_load_ranges(g->config.store, generated_id(g, job->id), digest, size, t->ranges,
                                 t->count);
    t->is_made = is_made;
    rc = is_made ? 0 : create_cutter(job, &t->cutter);
    if (rc) {
        free(t);
        return rc;
    }
    pthread_mutex_lock(&g->lock);
    is_new = !find_table(g, job->id, digest);
    if (is_new && g->table_count >= GENERATED_TABLES_MAX)
        drop_oldest_table(g);
    if (is_new) {
        list_push_back(&g->tables, &t->link);
        g->table_count++;
    }
    pthread_mutex_unlock(&g->lock);
    if (!is_new)
        table_free(t);
    else if (!is_made)
        tasks_post(g->thread, &t->task);
    return 0;
}

/* -ENOENT: the step has no part of the text. PENDING_PARKED: the table is being made. -EAGAIN:
 * there is no table. */
static int find_step(struct generated *g, const struct facts_job *job, uint64_t digest,
                     unsigned step, struct text_range *ret_range)
{
    const struct table *t;
    int rc = -EAGAIN;

    pthread_mutex_lock(&g->lock);
    t = find_table(g, job->id, digest);
    if (t)
        rc = t->is_made ? -ENOENT : PENDING_PARKED;
    for (size_t i = 0; rc == -ENOENT && i < t->count && i < job->step_count; i++) {
        if (job->steps[i].number != step || !t->ranges[i].present)
            continue;
        *ret_range = t->ranges[i];
        rc = 0;
    }
    pthread_mutex_unlock(&g->lock);
    return rc;
}

/* --- what the views ask ---------------------------------------------------------------------- */

int generated_get_stat(struct generated *g, struct log *text, const struct repo_name *repo,
                       uint64_t job, const struct log_hint *hint, struct waiter *w,
                       struct log_stat *ret_stat)
{
    int rc = log_get_stat(text, repo, EFFORT_DISK, NULL, w, ret_stat);
    struct log *log;

    if (rc != -EAGAIN && (rc || ret_stat->size))
        return rc; /* the log of an empty text is asked for again */
    log = cache_hold(g->config.cache, job);
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

int generated_get_step(struct generated *g, struct log *text, const struct repo_name *repo,
                       const struct facts_job *job, unsigned step, struct waiter *w,
                       struct text_range *ret_range)
{
    uint64_t digest = steps_digest(job), part = part_of(job->id, digest);
    struct log_stat stat;
    int rc = log_get_stat(text, repo, EFFORT_MEMORY, NULL, NULL, &stat);

    while (!rc) {
        uint64_t generation = pending_generation(&g->cut);
        rc = find_step(g, job, digest, step, ret_range);
        if (rc == -EAGAIN)
            rc = add_table(g, repo, job, digest, stat.size);
        else if (rc == PENDING_PARKED && !pending_park(&g->cut, w, generation, part, part))
            rc = 0;
        else
            return rc;
    }
    return rc;
}

/* --- for tasks on the text thread ------------------------------------------------------------ */

void generated_post(struct generated *g, struct task *task)
{
    tasks_post(g->thread, task);
}

int generated_read(struct generated *g, const struct repo_name *repo, uint64_t job,
                   generated_text_fn *on_text, void *who)
{
    struct pass pass = {.repo = repo, .job = job, .on_text = on_text, .who = who};

    return run_pass(g, &pass);
}

int generated_cut(struct generated *g, const struct repo_name *repo, const struct facts_job *job,
                  struct text_range *ret_ranges)
{
    uint64_t digest = steps_digest(job);
    struct text_cutter *cutter;
    const struct table *t;
    bool is_known;
    int rc;

    pthread_mutex_lock(&g->lock);
    t = find_table(g, job->id, digest);
    is_known = t && t->is_made && t->count == job->step_count;
    if (is_known)
        memcpy(ret_ranges, t->ranges, t->count * sizeof(*ret_ranges));
    pthread_mutex_unlock(&g->lock);
    if (is_known || !steps_load_ranges(g->config.store, generated_id(g, job->id), digest,
                                       UINT64_MAX, ret_ranges, job->step_count))
        return 0;
    rc = create_cutter(job, &cutter);
    if (rc)
        return rc;
    rc = cut_text(g, repo, job->id, digest, cutter, ret_ranges, job->step_count);
    text_cutter_destroy(cutter);
    return rc;
}

/* --- creation and end ------------------------------------------------------------------------ */

int generated_create(const struct generated_config *config, struct generated **ret_generated)
{
    struct generated *g = calloc(1, sizeof(*g));
    struct source generator = {.self = g, .ops = &generator_ops};
    int rc;

    if (!g)
        return -ENOMEM;
    g->config = *config;
    g->waiter.wake = on_wake;
    g->making.run = run_making;
    list_init(&g->wants);
    list_init(&g->tables);
    sem_init(&g->woken, 0, 0);
    pthread_mutex_init(&g->lock, NULL);
    pending_init(&g->ring_space, config->waits);
    pending_init(&g->cut, config->waits);
    rc = tasks_create("ghlogfs-text", config->now_ms, &g->thread);
    if (rc) {
        generated_destroy(g);
        return rc;
    }
    cache_set_generator(config->cache, &generator);
    *ret_generated = g;
    return 0;
}

void generated_stop(struct generated *g)
{
    if (!g)
        return;
    atomic_store(&g->stopping, true);
    tasks_stop(g->thread);
}

void generated_destroy(struct generated *g)
{
    struct list *link;

    if (!g)
        return;
    tasks_destroy(g->thread);
    while ((link = list_take_first(&g->tables)))
        table_free(list_entry(link, struct table, link));
    pending_finish(&g->ring_space);
    pending_finish(&g->cut);
    pthread_mutex_destroy(&g->lock);
    sem_destroy(&g->woken);
    free(g);
}
