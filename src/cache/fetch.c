/*
 * Ranges under way: planned under the lock, sent without it, received on the network thread.
 */
#include "cache/internal.h"

#include <errno.h>
#include <stdlib.h>

#define CHECK_MS 5000 /* how often storage is asked whether a live log that is read has grown */
#define END_MS 1000   /* the same once its job is known to be completed */

/* --- what the source reports; network thread --- */

static int on_bytes(struct source_bytes *b, uint64_t offset, const void *data, size_t len)
{
    struct fetch *f = list_entry(b, struct fetch, b);
    struct cache *c = f->log->cache;
    int64_t now_ms;
    int err = atomic_load(&f->write_err);

    if (err)
        return err;
    if (!writer_put(c->writer, &f->stream, offset, data, len)) {
        progress_wait_note(&f->log->waits_for, PROGRESS_DISK, 0);
        return SOURCE_FULL;
    }
    progress_wait_note(&f->log->waits_for, PROGRESS_FLOWS, 0);
    now_ms = c->config.now_ms();
    if (now_ms != f->touched_ms) /* pieces come by the dozen in a millisecond */
        pending_touch(&f->log->wait, now_ms);
    f->touched_ms = now_ms;
    return SOURCE_TAKEN;
}

static void on_done(struct source_bytes *b, const struct source_failure *failure)
{
    struct fetch *f = list_entry(b, struct fetch, b);

    if (failure)
        f->failure = *failure;
    writer_end(f->log->cache->writer, &f->stream);
}

static int on_metadata(void *who, const struct source_metadata *metadata)
{
    struct log *log = who;
    struct cache *c = log->cache;
    uint64_t size;
    int rc;

    pthread_mutex_lock(&c->lock);
    size = log->phase == LOG_KNOWN ? log->meta.size : metadata->size;
    rc = log_learn(log, metadata);
    pthread_mutex_unlock(&c->lock);
    if (rc)
        return rc;
    log_post(log, &log->settle, fill_settle);
    pending_touch(&log->wait, c->config.now_ms());
    pending_wake(&log->wait, LOG_PART_FACTS, LOG_PART_FACTS, 0);
    if (metadata->size < size) /* no fetch brings these pages */
        pending_wake(&log->wait, metadata->size >> PAGE_SHIFT, size >> PAGE_SHIFT, 0);
    return 0;
}

/* --- planning --- */

struct fetch *fetch_plan(struct log *log, uint64_t from, uint64_t to, enum source_class class)
{
    struct fetch *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->log = log;
    f->b = (struct source_bytes){.from = from,
                                 .to = to,
                                 .class = class,
                                 .is_gone = log->is_gone,
                                 .bytes = on_bytes,
                                 .done = on_done};
    f->stream.write = fill_write;
    f->stream.ended.run = fill_end;
    f->to = to;
    f->written_to = from;
    store_hasher_init(&f->hasher);
    status_note_begin(log);
    list_push_back(&log->fetches, &f->in_log);
    log->users++;
    log->cache->stats.fetches_running++;
    return f;
}

struct fetch *fetch_covering(struct log *log, uint64_t page, bool soon)
{
    uint64_t start = page << PAGE_SHIFT;

    list_each(link, &log->fetches) {
        struct fetch *f = list_entry(link, struct fetch, in_log);
        if (start + PAGE_SIZE <= f->written_to || f->b.from > start || start >= f->to)
            continue;
        if (!soon || log->whole || f->is_block || !plan_is_far(f->written_to, start))
            return f;
    }
    return NULL;
}

/* --- sending --- */

/* Ends the fetch as if the source had reported this error. */
static void fail_fetch(struct fetch *f, int err)
{
    f->failure = (struct source_failure){.err = err, .reason = SOURCE_BROKEN};
    writer_end(f->log->cache->writer, &f->stream);
}

/* Writer thread. */
static void run_request(struct task *task)
{
    struct fetch *f = list_entry(task, struct fetch, request);
    struct source *source = log_get_source(f->log);
    bool closing = atomic_load(&f->log->cache->closing);
    int rc = closing ? -ECONNABORTED : fill_reserve(f->log, f->b.from, f->b.to);

    if (rc)
        fail_fetch(f, rc);
    else
        source->ops->want_bytes(source->self, &f->b);
}

static void post_request(struct fetch *f)
{
    progress_wait_note(&f->log->waits_for, PROGRESS_DISK, 0);
    writer_post(f->log->cache->writer, &f->request);
}

/* The log's handle at the source, made if there is none. NULL: no memory. */
static struct source_log *ensure_source(struct log *log, const struct repo_name *name,
                                        bool completed)
{
    static const struct source_log_ops log_ops = {.on_metadata = on_metadata};
    struct cache *c = log->cache;
    struct source *source = log_get_source(log);
    struct source_log *handle, *surplus = NULL;

    pthread_mutex_lock(&c->lock);
    handle = log->source;
    pthread_mutex_unlock(&c->lock);
    if (handle)
        return handle;
    handle = source->ops->log_create(source->self, name, log->job, completed, &log_ops, log,
                                     &log->waits_for);
    if (!handle)
        return NULL;
    pthread_mutex_lock(&c->lock);
    log->users++;
    if (log->source) { /* another thread was first */
        surplus = handle;
        handle = log->source;
    } else {
        log->source = handle;
        log->source_name = *name;
    }
    pthread_mutex_unlock(&c->lock);
    if (surplus)
        source->ops->log_release(surplus, log_source_released);
    return handle;
}

void fetch_send(struct log *log, const struct repo_name *name, bool completed, struct list *planned)
{
    struct source *source = log_get_source(log);
    struct source_log *handle = ensure_source(log, name, completed);
    struct list *link;

    while ((link = list_take_first(planned))) {
        struct fetch *f = list_entry(link, struct fetch, request.link);
        f->request.run = run_request;
        pthread_mutex_lock(&log->cache->lock);
        f->b.log = handle;
        if (f->is_first && !log->is_prefetched)
            f->b.class = SOURCE_DEMAND;
        pthread_mutex_unlock(&log->cache->lock);
        if (!handle)
            fail_fetch(f, -ENOMEM);
        else if (f->is_first) /* its size is not known: space is reserved when it is reported */
            source->ops->want_bytes(source->self, &f->b);
        else
            post_request(f);
    }
}

/* --- whether a running job's log has grown is asked while somebody looks or reads --- */

bool live_take_check(struct log *log, bool completed)
{
    int64_t now = log->cache->config.now_ms();
    int64_t every_ms = completed ? END_MS : CHECK_MS;

    if (log->phase != LOG_KNOWN || log->meta.final || log->checking ||
        now - log->checked_ms < every_ms)
        return false;
    log->checked_ms = now;
    if (!log->source)
        return false;
    log->checking = true;
    log->users++;
    return true;
}

static void on_checked(void *who, const struct source_failure *failure)
{
    struct log *log = who;

    (void)failure;
    pthread_mutex_lock(&log->cache->lock);
    log->checking = false;
    pthread_mutex_unlock(&log->cache->lock);
    log_release(log);
}

void live_check(struct log *log, bool completed)
{
    log_get_source(log)->ops->log_check(log->source, completed, on_checked);
}
