/*
 * Logs are found, counted and freed here, and their files opened and closed.
 */
#include "cache/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- the cache --- */

static struct list *bucket_of(struct cache *c, uint64_t job)
{
    return &c->buckets[(job * UINT64_C(0x9E3779B97F4A7C15)) >> 54];
}

_Static_assert(LOG_BUCKETS == 1u << 10, "bucket_of takes the top ten bits");

int cache_create(const struct cache_config *config, struct cache **ret_cache)
{
    struct cache *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return -ENOMEM;
    c->config = *config;
    for (unsigned i = 0; i < LOG_BUCKETS; i++)
        list_init(&c->buckets[i]);
    list_init(&c->idle);
    list_init(&c->under_way);
    pthread_mutex_init(&c->lock, NULL);
    rc = absent_init(&c->absent);
    if (!rc)
        rc = writer_create(c, &c->writer);
    if (rc) {
        cache_destroy(c);
        return rc;
    }
    *ret_cache = c;
    return 0;
}

void cache_set_generator(struct cache *c, const struct source *generator)
{
    c->generator = *generator;
}

struct source *log_get_source(struct log *log)
{
    struct cache *c = log->cache;

    return log->job & CACHE_GENERATED ? &c->generator : &c->config.source;
}

void cache_close(struct cache *c)
{
    if (c)
        atomic_store(&c->closing, true);
}

/* Lock held. Takes the handle at the source, if it is not in use; the caller releases it. */
static struct source_log *take_source(struct log *log)
{
    struct source_log *source = log->source;

    if (!list_is_empty(&log->fetches) || log->checking)
        return NULL;
    log->source = NULL;
    return source;
}

void cache_stop(struct cache *c)
{
    if (!c)
        return;
    writer_stop(c->writer);
    /* No other thread is left. The source makes no more callbacks: cache_destroy frees the logs. */
    for (unsigned i = 0; i < LOG_BUCKETS; i++) {
        list_each(link, &c->buckets[i]) {
            struct log *log = list_entry(link, struct log, in_bucket);
            struct source_log *source = take_source(log);
            if (source)
                log_get_source(log)->ops->log_release(source, NULL);
        }
    }
}

static void destroy_log(struct log *log)
{
    backing_unref(log->backing);
    pages_finish(&log->pages);
    pending_finish(&log->wait);
    free(log);
}

void cache_destroy(struct cache *c)
{
    struct list *link;

    if (!c)
        return;
    writer_destroy(c->writer);
    for (unsigned i = 0; i < LOG_BUCKETS; i++)
        while ((link = list_take_first(&c->buckets[i])))
            destroy_log(list_entry(link, struct log, in_bucket));
    absent_finish(&c->absent);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void cache_get_stats(struct cache *c, struct cache_stats *ret_stats)
{
    pthread_mutex_lock(&c->lock);
    *ret_stats = c->stats;
    pthread_mutex_unlock(&c->lock);
}

/* --- logs and their users --- */

static struct log *new_log(struct cache *c, uint64_t job)
{
    struct log *log = calloc(1, sizeof(*log));

    if (!log)
        return NULL;
    log->cache = c;
    log->job = job;
    log->whole = job & CACHE_GENERATED; /* the generator makes all of it, from wherever */
    pending_init(&log->wait, c->config.waits);
    pages_init(&log->pages);
    list_init(&log->fetches);
    list_init(&log->verifications);
    list_push_back(bucket_of(c, job), &log->in_bucket);
    c->stats.logs++;
    return log;
}

struct log *cache_hold(struct cache *c, uint64_t job)
{
    struct log *log = NULL;

    pthread_mutex_lock(&c->lock);
    list_each(link, bucket_of(c, job)) {
        struct log *known = list_entry(link, struct log, in_bucket);
        if (known->job == job && !known->abandoned)
            log = known;
    }
    if (!log)
        log = new_log(c, job);
    if (log)
        log->users++;
    pthread_mutex_unlock(&c->lock);
    return log;
}

void log_release(struct log *log)
{
    struct cache *c = log ? log->cache : NULL;
    struct source_log *source = NULL;
    bool is_last;

    if (!log)
        return;
    pthread_mutex_lock(&c->lock);
    log->users--;
    is_last = log->users == 0;
    /* The source's handle counts as a user, but must not keep a log that has no other. (An idle log
     * keeps its handle: what was prefetched is read on with the same URL.) Once the lock is
     * released the log may be freed by another thread. */
    if (log->users == 1)
        source = take_source(log);
    /* Without its handle the source cannot report that a running job's log has grown. */
    if (source && log->phase == LOG_KNOWN && !log->meta.final)
        log->phase = LOG_UNKNOWN;
    if (is_last) {
        list_remove(&log->in_bucket);
        c->stats.logs--;
    }
    pthread_mutex_unlock(&c->lock);
    if (is_last)
        destroy_log(log);
    else if (source)
        log_get_source(log)->ops->log_release(source, log_source_released);
}

void log_source_released(void *who)
{
    log_release(who);
}

void log_release_source(struct log *log)
{
    struct cache *c = log->cache;
    struct source_log *source;

    pthread_mutex_lock(&c->lock);
    source = take_source(log);
    pthread_mutex_unlock(&c->lock);
    if (source)
        log_get_source(log)->ops->log_release(source, log_source_released);
}

static void run_log_task(struct task *task)
{
    struct log_task *t = list_entry(task, struct log_task, task);
    void (*work)(struct log *) = t->work;
    struct log *log = t->log;

    pthread_mutex_lock(&log->cache->lock);
    t->log = NULL; /* from now on it may be posted again */
    pthread_mutex_unlock(&log->cache->lock);
    work(log);
    log_release(log);
}

void log_post(struct log *log, struct log_task *t, void (*work)(struct log *log))
{
    struct cache *c = log->cache;
    bool is_new;

    pthread_mutex_lock(&c->lock);
    is_new = !t->log;
    if (is_new) {
        *t = (struct log_task){.task.run = run_log_task, .log = log, .work = work};
        log->users++;
    }
    pthread_mutex_unlock(&c->lock);
    if (is_new)
        writer_post(c->writer, &t->task);
}

/* --- idle logs --- */

/* Lock held. The list's count of the log is the caller's. */
static void leave_idle(struct log *log)
{
    list_remove(&log->in_idle);
    log->cache->idle_count--;
}

void log_update_idle(struct log *log)
{
    struct cache *c = log->cache;
    bool is_read = log->readers && !log->unfit;
    /* A running job's log is of use only to its readers. */
    bool is_idle = !is_read && !log->on_disk && log->backing && log->meta.final;

    if (list_is_linked(&log->in_idle) && (is_read || log->on_disk || !log->backing)) {
        leave_idle(log);
        log->users--; /* never the last: the caller holds the log */
    } else if (!list_is_linked(&log->in_idle) && is_idle) {
        list_push_back(&c->idle, &log->in_idle);
        c->idle_count++;
        log->users++;
    }
}

bool cache_drop_idle(struct cache *c, enum idle_kind kind)
{
    struct backing *dropped = NULL;
    struct log *log = NULL;

    pthread_mutex_lock(&c->lock);
    list_each(link, &c->idle) {
        struct log *l = list_entry(link, struct log, in_idle);
        if ((!l->readers || l->unfit) && list_is_empty(&l->fetches) &&
            (kind == IDLE_ANY || l->backing->file.in_memory == (kind == IDLE_IN_MEMORY))) {
            log = l;
            break;
        }
    }
    if (log) {
        leave_idle(log);
        dropped = log->backing;
        log->backing = NULL;
        log->unfit = false;
        log_forget_bytes(log);
    }
    pthread_mutex_unlock(&c->lock);
    if (!log)
        return false;
    backing_unref(dropped);
    log_release(log);
    return true;
}

bool log_is_surplus(const struct log *log)
{
    const struct backing *b = log->backing;

    return b && !log->on_disk && !log->readers && list_is_empty(&log->fetches) &&
           log_is_complete(log) && log->meta.size > SOURCE_FIRST_RANGE && !b->file.in_memory &&
           !store_keeps(b->store, log->meta.size);
}

/* --- files --- */

struct backing *backing_new(struct store *store)
{
    struct backing *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    b->store = store;
    atomic_init(&b->refs, 1);
    return b;
}

struct backing *backing_ref(struct backing *b)
{
    atomic_fetch_add(&b->refs, 1);
    return b;
}

void backing_unref(struct backing *b)
{
    if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
        return;
    store_backing_close(b->store, &b->file);
    free(b);
}

struct backing *log_take_backing(struct log *log)
{
    struct backing *b = log->backing;

    if (!b || !list_is_empty(&log->fetches) || !log->on_disk)
        return NULL;
    if (!b->file.published) /* another mount's file has the name */
        pages_doubt(&log->pages);
    log->backing = NULL;
    return b;
}

bool cache_close_file(struct cache *c)
{
    struct backing *b = NULL;

    pthread_mutex_lock(&c->lock);
    /* Buckets in turn, so that it is not always the same log that has to open its file again. */
    for (unsigned i = 0; i < LOG_BUCKETS && !b; i++) {
        struct list *bucket = &c->buckets[c->close_next];
        c->close_next = (c->close_next + 1) % LOG_BUCKETS;
        list_each(link, bucket) {
            b = log_take_backing(list_entry(link, struct log, in_bucket));
            if (b)
                break;
        }
    }
    pthread_mutex_unlock(&c->lock);
    backing_unref(b);
    return b != NULL;
}

/* Writer thread: a disk may be slow to set a file's time, and no reader waits for that. */
static void mark_used(struct log *log)
{
    struct backing *b = NULL;

    pthread_mutex_lock(&log->cache->lock);
    if (log->on_disk && log->backing)
        b = backing_ref(log->backing);
    pthread_mutex_unlock(&log->cache->lock);
    if (!b)
        return;
    store_mark_used(b->store, log->job, b->file.fd);
    backing_unref(b);
}

int log_reopen(struct log *log)
{
    struct cache *c = log->cache;
    struct backing *b = backing_new(c->config.store), *unused = NULL;
    struct store_meta meta;
    bool is_opened = false;
    int rc;

    if (!b)
        return -EIO;
    pthread_mutex_lock(&c->lock);
    meta = log->meta;
    meta.checksums = log->pages.sum; /* only whether it is NULL matters here */
    pthread_mutex_unlock(&c->lock);
    do /* where too many files are open, that of another log is closed */
        rc = store_open_log(c->config.store, log->job, &meta, &b->file.fd);
    while (store_is_short_of_files(rc) && cache_close_file(c));
    b->file.published = true;
    pthread_mutex_lock(&c->lock);
    if (log->backing) { /* another worker was first */
        unused = rc ? NULL : b;
        rc = 0;
    } else if (!rc) {
        log->backing = b;
        is_opened = true;
    } else if (!store_is_short_of_files(rc) && rc != -ENOMEM) {
        log->on_disk = false; /* evicted by this or another mount, or unreadable */
        log_forget_bytes(log);
        rc = 0;
    }
    pthread_mutex_unlock(&c->lock);
    if (unused)
        backing_unref(unused);
    else if (!is_opened)
        free(b);
    if (is_opened)
        log_post(log, &log->mark_used, mark_used);
    return rc ? -EIO : 0;
}
