#include "cache/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    rc = absent_init(&c->absent);
    if (rc)
        goto out_free;
    pthread_mutex_init(&c->lock, NULL);
    rc = writer_create(c, &c->writer);
    if (rc)
        goto out_absent;
    *ret_cache = c;
    return 0;

out_absent:
    pthread_mutex_destroy(&c->lock);
    absent_finish(&c->absent);
out_free:
    free(c);
    return rc;
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

/* Lock held. The handle at the source, if it is there and idle; the caller's to release. */
static struct source_log *take_source(struct log *log)
{
    struct source_log *source = log->source;

    if (!list_is_empty(&log->fetches) || log->checking)
        return NULL;
    log->source = NULL;
    return source;
}

/* Lock held. A log of this bucket that has a handle at its source, which is taken; NULL: none. */
static struct log *find_sourced(struct list *bucket, struct source_log **ret_source)
{
    list_each(link, bucket) {
        struct log *log = list_entry(link, struct log, in_bucket);
        *ret_source = take_source(log);
        if (*ret_source)
            return log;
    }
    return NULL;
}

/* The source has nothing more to say: its handles are given back, and the logs are taken down with
 * the cache, not by its word. */
static void release_sources(struct cache *c, struct list *bucket)
{
    struct source_log *source;
    struct log *log;

    do {
        pthread_mutex_lock(&c->lock);
        log = find_sourced(bucket, &source);
        pthread_mutex_unlock(&c->lock);
        if (log)
            log_get_source(log)->ops->log_release(source, NULL);
    } while (log);
}

void cache_close(struct cache *c)
{
    if (c)
        atomic_store(&c->closing, true);
}

void cache_stop(struct cache *c)
{
    if (!c)
        return;
    writer_stop(c->writer);
    for (unsigned i = 0; i < LOG_BUCKETS; i++)
        release_sources(c, &c->buckets[i]);
}

static void destroy_log(struct log *log)
{
    if (log->backing)
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
    list_init(&log->proofs);
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
        log_use(log);
    pthread_mutex_unlock(&c->lock);
    return log;
}

void log_release(struct log *log)
{
    if (log)
        log_unuse(log);
}

void log_use(struct log *log)
{
    log->users++;
}

void log_source_released(void *who)
{
    log_unuse(who);
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

void log_unuse(struct log *log)
{
    struct cache *c = log->cache;
    struct source_log *source = NULL;
    bool is_last;

    pthread_mutex_lock(&c->lock);
    log->users--;
    is_last = log->users == 0;
    /* The source's handle counts as a user, but must not keep a log that nobody else wants. (One that
     * is idle keeps it: what was fetched ahead is read on with the same URL.) Once the lock is
     * released the log may be gone: others let go of it, too. */
    if (log->users == 1)
        source = take_source(log);
    /* Without its handle nobody would tell that a running job's log has grown. */
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

bool log_is_complete(const struct log *log)
{
    return log->phase == LOG_KNOWN && log->meta.final &&
           log->pages.here == pages_for(log->meta.size);
}

bool log_is_proven(const struct log *log)
{
    return log->proven || (log_is_complete(log) && !log->provisional);
}

/* Lock held. */
static void leave_idle(struct log *log)
{
    list_remove(&log->in_idle);
    log->cache->idle_count--;
}

void log_file_idle(struct log *log)
{
    struct cache *c = log->cache;

    if (list_is_linked(&log->in_idle)) {
        if (!log->on_disk && log->backing)
            return;
        leave_idle(log);
        log->users--; /* never the last: whoever calls holds the log */
    }
    if (log->readers || log->on_disk || !log->backing || !log->meta.final)
        return; /* a running job's log is of use only to who follows it */
    list_push_back(&c->idle, &log->in_idle);
    c->idle_count++;
    log_use(log);
}

void log_forget_bytes(struct log *log)
{
    pages_clear(&log->pages);
    log->tail_to = 0;
}

/* Lock held. The file of a log that can open it again by its name. */
static struct backing *take_named_backing(struct log *log)
{
    struct backing *b = log->backing;

    if (!b || !list_is_empty(&log->fetches) || !log->on_disk)
        return NULL;
    if (!b->file.published) /* another mount's file has the name */
        pages_doubt(&log->pages);
    log->backing = NULL;
    return b;
}

struct backing *log_shed_backing(struct log *log)
{
    return log->readers ? NULL : take_named_backing(log);
}

/* Lock held. Buckets in turn, so that it is not always the same log that opens its file again. */
static struct backing *find_to_close(struct cache *c)
{
    struct backing *b = NULL;

    for (unsigned i = 0; i < LOG_BUCKETS && !b; i++) {
        struct list *bucket = &c->buckets[c->close_next];
        c->close_next = (c->close_next + 1) % LOG_BUCKETS;
        list_each(link, bucket) {
            b = take_named_backing(list_entry(link, struct log, in_bucket));
            if (b)
                break;
        }
    }
    return b;
}

bool cache_close_file(struct cache *c)
{
    struct backing *b;

    pthread_mutex_lock(&c->lock);
    b = find_to_close(c);
    pthread_mutex_unlock(&c->lock);
    if (b)
        backing_unref(b);
    return b != NULL;
}

bool log_is_surplus(const struct log *log)
{
    const struct backing *b = log->backing;

    return b && !log->on_disk && !log->readers && list_is_empty(&log->fetches) &&
           log_is_complete(log) && log->meta.size > SOURCE_FIRST_RANGE && !b->file.in_memory &&
           !store_keeps(b->store, log->meta.size);
}

static bool is_of_kind(const struct backing *b, enum idle_kind kind)
{
    return kind == IDLE_ANY || b->file.in_memory == (kind == IDLE_IN_MEMORY);
}

bool cache_drop_idlest(struct cache *c, enum idle_kind kind)
{
    struct backing *dropped = NULL;
    struct log *log = NULL;

    pthread_mutex_lock(&c->lock);
    list_each(link, &c->idle) {
        struct log *l = list_entry(link, struct log, in_idle);
        if (l->readers == 0 && list_is_empty(&l->fetches) && is_of_kind(l->backing, kind)) {
            log = l;
            break;
        }
    }
    if (log) {
        leave_idle(log);
        dropped = log->backing;
        log->backing = NULL;
        log_forget_bytes(log);
    }
    pthread_mutex_unlock(&c->lock);
    if (!log)
        return false;
    if (dropped)
        backing_unref(dropped);
    log_unuse(log);
    return true;
}

void log_open(struct log *log, struct log_reader *ret_reader)
{
    struct cache *c = log->cache;
    bool was_idle;

    memset(ret_reader, 0, sizeof(*ret_reader));
    ret_reader->log = log;
    pthread_mutex_lock(&c->lock);
    log_use(log);
    log->readers++;
    was_idle = list_is_linked(&log->in_idle);
    if (was_idle) {
        leave_idle(log);
        log->users--;
    }
    ret_reader->shrinks = log->shrinks;
    ret_reader->direct = log->phase == LOG_KNOWN && !log->meta.final;
    pthread_mutex_unlock(&c->lock);
}

void log_close(struct log_reader *r)
{
    struct log *log = r->log;
    struct cache *c = log->cache;
    struct backing *unused = NULL;
    bool surplus = false;

    pthread_mutex_lock(&c->lock);
    if (--log->readers == 0) {
        surplus = log_is_surplus(log);
        unused = log_shed_backing(log);
        log_file_idle(log);
    }
    pthread_mutex_unlock(&c->lock);
    if (unused)
        backing_unref(unused);
    if (surplus)
        fill_drop_later(log);
    log_unuse(log);
}

struct backing *backing_ref(struct backing *b)
{
    atomic_fetch_add(&b->refs, 1);
    return b;
}

void backing_unref(struct backing *b)
{
    if (atomic_fetch_sub(&b->refs, 1) != 1)
        return;
    store_backing_close(b->store, &b->file);
    free(b);
}

struct backing *backing_create(struct store *store, int *ret_err)
{
    struct backing *b = calloc(1, sizeof(*b));

    *ret_err = b ? store_backing_open(store, &b->file) : -ENOMEM;
    if (*ret_err) {
        free(b);
        return NULL;
    }
    b->store = store;
    atomic_init(&b->refs, 1);
    return b;
}

struct backing *backing_create_in_memory(struct store *store)
{
    struct backing *b = calloc(1, sizeof(*b));

    if (!b || store_backing_open_memory(&b->file)) {
        free(b);
        return NULL;
    }
    b->store = store;
    atomic_init(&b->refs, 1);
    return b;
}

struct backing *backing_adopt(struct store *store, int fd, int *ret_err)
{
    struct store_backing file = {.fd = fd, .published = true};
    struct backing *b = calloc(1, sizeof(*b));

    if (!b) {
        store_backing_close(store, &file);
        *ret_err = -ENOMEM;
        return NULL;
    }
    b->store = store;
    b->file = file;
    atomic_init(&b->refs, 1);
    *ret_err = 0;
    return b;
}

void cache_get_stats(struct cache *c, struct cache_stats *ret_stats)
{
    pthread_mutex_lock(&c->lock);
    *ret_stats = c->stats;
    pthread_mutex_unlock(&c->lock);
}
