/*
 * What the writer thread does with the bytes of a log: reserves space, writes, marks pages,
 * publishes.
 */
#include "cache/internal.h"

#include "diag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FAULT_MS 1000 /* a failed page is not requested again before */
#define MARK_MAX 8    /* pages marked at once */

/* --- space --- */

/* Whether bytes that end at `end` leave this page partly filled. */
static bool ends_within(uint64_t end, uint64_t page)
{
    return end >> PAGE_SHIFT == page && (end & (PAGE_SIZE - 1)) != 0;
}

/* Whether the file holds bytes of this page that must not be lost: all of it, checked or not, or
 * the beginning of a page that is being filled. */
static bool page_has_bytes(void *who, uint64_t page)
{
    struct log *log = who;
    bool has;

    pthread_mutex_lock(&log->cache->lock);
    has = pages_get(&log->pages, page) != PAGE_ABSENT || ends_within(log->tail_to, page);
    list_each(link, &log->fetches)
        has |= ends_within(list_entry(link, struct fetch, in_log)->written_to, page);
    pthread_mutex_unlock(&log->cache->lock);
    return has;
}

/* Moves the log to memory: its disk is full, read-only or gone. Present bytes stay present. */
static int move_to_memory(struct log *log)
{
    struct cache *c = log->cache;
    struct backing *old = log->backing, *b = backing_new(c->config.store);
    uint64_t end = SOURCE_FIRST_RANGE; /* where the bytes end that the file may hold */
    int rc;

    if (!b)
        return -ENOMEM;
    pthread_mutex_lock(&c->lock);
    if (log->phase == LOG_KNOWN)
        end = log->meta.size;
    list_each(link, &log->fetches) {
        uint64_t to = list_entry(link, struct fetch, in_log)->written_to;
        end = to > end ? to : end;
    }
    pthread_mutex_unlock(&c->lock);
    b->file = old->file;
    rc = store_backing_to_memory(c->config.store, &b->file, end, page_has_bytes, log);
    if (rc) {
        free(b);
        return rc;
    }
    /* Its reservation and its name went along; the fd stays, as replies may be using it. */
    old->file.reserved = old->file.end = 0;
    old->file.temp[0] = '\0';
    pthread_mutex_lock(&c->lock);
    log->backing = b;
    log->on_disk = false;
    pthread_mutex_unlock(&c->lock);
    backing_unref(old);
    return 0;
}

/* The same; idle logs in memory are dropped as far as needed. */
static int make_space_in_memory(struct log *log)
{
    int rc;

    if (log->backing->file.in_memory)
        return -EFBIG;
    do
        rc = move_to_memory(log);
    while (rc == -EFBIG && cache_drop_idle(log->cache, IDLE_IN_MEMORY));
    return rc;
}

/* A new file. If too many are open, others are closed for it; else the log continues in memory. */
static struct backing *create_backing(struct cache *c)
{
    struct store *s = c->config.store;
    struct backing *b = backing_new(s);
    int rc;

    if (!b)
        return NULL;
    do
        rc = store_backing_open(s, &b->file);
    while (store_is_short_of_files(rc) &&
           (cache_close_file(c) || cache_drop_idle(c, IDLE_ON_DISK)));
    if (store_is_short_of_files(rc)) {
        diag_log(c->config.diag, DIAG_WARNING,
                 "cache: too many open files, continuing in memory; raise the limit "
                 "(ulimit -n, LimitNOFILE=)");
        rc = store_backing_open_memory(&b->file);
    }
    if (!rc)
        return b;
    free(b);
    return NULL;
}

/* The log has a backing file afterwards. What is missing of a published log goes into its own file,
 * beside what is present; one that was evicted begins anew. Only this thread creates a file. */
static int ensure_backing(struct log *log)
{
    struct cache *c = log->cache;
    struct backing *b, *have;
    bool closed;

    for (;;) {
        int rc;
        pthread_mutex_lock(&c->lock);
        have = log->backing;
        closed = log->on_disk && !have;
        pthread_mutex_unlock(&c->lock);
        if (!closed)
            break;
        rc = log_reopen(log);
        if (rc)
            return rc;
    }
    if (have)
        return 0;
    b = create_backing(c);
    if (!b)
        return -ENOMEM;
    pthread_mutex_lock(&c->lock);
    have = log->backing;
    if (!have)
        log->backing = b;
    pthread_mutex_unlock(&c->lock);
    if (have) /* a reader has opened the published file */
        backing_unref(b);
    return 0;
}

int fill_reserve(struct log *log, uint64_t from, uint64_t to)
{
    struct cache *c = log->cache;
    struct store *s = c->config.store;
    enum idle_kind kind;
    int rc;

    do { /* the one that is dropped may be this one */
        rc = ensure_backing(log);
        if (rc)
            return rc;
        kind = log->backing->file.in_memory ? IDLE_IN_MEMORY : IDLE_ON_DISK;
        rc = store_backing_reserve(s, &log->backing->file, from, to);
    } while (rc && cache_drop_idle(c, kind));
    if (rc) {
        rc = make_space_in_memory(log);
        return rc ? rc : fill_reserve(log, from, to);
    }
    while (kind == IDLE_ON_DISK && store_is_over(s) && cache_drop_idle(c, kind))
        ;
    return 0;
}

/* --- bytes --- */

/* Writes what is not present yet: a range fetched twice must not touch pages that readers see. */
static int write_absent(struct log *log, uint64_t offset, const char *data, size_t len)
{
    while (len > 0) {
        uint64_t page = offset >> PAGE_SHIFT, end = store_page_count(offset + len);
        bool present;
        size_t part;
        int rc;

        /* As far as the pages are like the first, present or not. */
        pthread_mutex_lock(&log->cache->lock);
        present = pages_get(&log->pages, page) == PAGE_PRESENT;
        while (++page < end && (pages_get(&log->pages, page) == PAGE_PRESENT) == present)
            ;
        pthread_mutex_unlock(&log->cache->lock);
        part = page < end ? (size_t)((page << PAGE_SHIFT) - offset) : len;
        rc = present ? 0 : store_backing_write(&log->backing->file, data, part, offset);
        if (rc)
            return rc;
        data += part;
        offset += part;
        len -= part;
    }
    return 0;
}

/* Lock held. */
static void finish_page(struct log *log, uint64_t page, uint64_t sum)
{
    if (pages_grow(&log->pages, page + 1))
        return;
    if (pages_get(&log->pages, page) != PAGE_PRESENT)
        pages_set_present(&log->pages, page, sum);
}

/* Takes the written bytes into the checksums; pages that they complete are present. */
static void mark_pages(struct fetch *f, uint64_t offset, const char *data, size_t len)
{
    struct log *log = f->log;
    struct cache *c = log->cache;

    while (len > 0) {
        uint64_t sums[MARK_MAX], page = offset >> PAGE_SHIFT, start = offset;
        unsigned count = 0;

        do {
            size_t part = (size_t)(PAGE_SIZE - (offset & (PAGE_SIZE - 1)));
            part = part < len ? part : len;
            store_hasher_update(&f->hasher, data, part);
            data += part;
            offset += part;
            len -= part;
            if ((offset & (PAGE_SIZE - 1)) == 0) {
                sums[count++] = store_hasher_digest(&f->hasher);
                store_hasher_init(&f->hasher);
            }
        } while (len > 0 && count < MARK_MAX);
        pthread_mutex_lock(&c->lock);
        f->written_to = offset;
        if (!(log->job & CACHE_GENERATED))
            c->stats.bytes_received += offset - start;
        log->come += offset - start;
        progress_rate_note(&log->rate, log->come, c->config.now_ms());
        for (unsigned i = 0; i < count; i++)
            finish_page(log, page + i, sums[i]);
        if ((offset & (PAGE_SIZE - 1)) != 0 && log->phase == LOG_KNOWN && log->meta.final &&
            offset == log->meta.size)
            finish_page(log, offset >> PAGE_SHIFT, store_hasher_digest(&f->hasher));
        pthread_mutex_unlock(&c->lock);
    }
}

static int write_piece(struct log *log, uint64_t offset, const char *data, size_t len)
{
    const struct store_backing *file;
    bool is_known, has_backing;
    int rc;

    /* At unmount no reader waits for these bytes, and a slow disk would delay it (R6). */
    if (atomic_load(&log->cache->closing))
        return -ECONNABORTED;
    if (offset + len > LOG_SIZE_MAX)
        return -EFBIG;
    pthread_mutex_lock(&log->cache->lock);
    is_known = log->phase == LOG_KNOWN;
    has_backing = log->backing != NULL;
    pthread_mutex_unlock(&log->cache->lock);
    rc = has_backing ? 0 : ensure_backing(log);
    if (rc)
        return rc;
    /* A stream of unknown length needs space as it comes, and so does a log in memory; else the
     * space is reserved already, or will be. */
    file = &log->backing->file;
    if (file->in_memory || (!is_known && offset + len > file->end))
        rc = fill_reserve(log, offset, offset + len);
    if (rc)
        return rc;
    rc = write_absent(log, offset, data, len);
    if (!rc || log->backing->file.in_memory)
        return rc;
    diag_log(log->cache->config.diag, DIAG_WARNING,
             "cache: cannot write a log to disk: %s; continuing in memory", strerror(-rc));
    rc = make_space_in_memory(log);
    if (!rc)
        rc = fill_reserve(log, offset, offset + len);
    return rc ? rc : write_absent(log, offset, data, len);
}

/* The errno for a reader. The disk's own errors would mislead it: EDQUOT would be GitHub's quota,
 * EACCES its refusal. */
static int local_error(int rc)
{
    switch (rc) {
    case -EFBIG:
    case -ENOMEM:
    case -ECONNABORTED: return rc;
    case -ENOSPC: return -EFBIG;
    default: return -EIO;
    }
}

void fill_write(struct stream *s, uint64_t offset, const char *data, size_t len)
{
    struct fetch *f = list_entry(s, struct fetch, stream);
    uint64_t before = f->written_to;
    int rc;

    if (f->write_err)
        return;
    rc = write_piece(f->log, offset, data, len);
    if (rc) { /* set once nothing else can be done: the network thread refuses bytes from then on */
        f->write_err = local_error(rc);
        return;
    }
    mark_pages(f, offset, data, len);
    pending_wake(&f->log->wait, before >> PAGE_SHIFT, (f->written_to - 1) >> PAGE_SHIFT, 0);
}

/* --- what is complete, and what has no readers --- */

/* A complete log gets its name. */
static void publish(struct log *log)
{
    struct cache *c = log->cache;
    struct store_meta meta;
    struct repo_name name;
    struct backing *b = NULL;
    int rc = -EAGAIN;

    pthread_mutex_lock(&c->lock);
    meta = log->meta;
    name = log->source_name;
    if (log_is_complete(log) && !log->on_disk && !log->provisional) {
        uint64_t count = store_page_count(meta.size);
        meta.checksums = calloc(count + 1, sizeof(*meta.checksums));
        if (meta.checksums && count)
            memcpy(meta.checksums, log->pages.sum, count * sizeof(*meta.checksums));
    }
    if (log->backing && !log->backing->file.in_memory)
        b = backing_ref(log->backing);
    pthread_mutex_unlock(&c->lock);
    if (meta.checksums && b && store_keeps(c->config.store, meta.size))
        rc = store_publish(c->config.store, log->job, &b->file, &meta);
    free(meta.checksums);
    if (rc && rc != -EAGAIN && rc != -EXDEV)
        diag_log(c->config.diag, DIAG_WARNING, "cache: cannot keep a log on disk: %s",
                 strerror(-rc));
    if (!rc) {
        pthread_mutex_lock(&c->lock);
        log->on_disk = true;
        c->stats.published += !(log->job & CACHE_GENERATED);
        pthread_mutex_unlock(&c->lock);
    }
    if (!rc && c->config.published && !(log->job & CACHE_GENERATED))
        c->config.published(c->config.who, &name, log->job);
    backing_unref(b);
}

void fill_tidy(struct log *log)
{
    struct cache *c = log->cache;
    struct backing *unused;
    unsigned over;
    bool complete, keep;

    pthread_mutex_lock(&c->lock);
    complete = log_is_complete(log);
    log->proven = log_is_proven(log);
    /* What is known of a log that is not complete is kept on disk, so that its size need not be
     * asked again (S4); unless all of it is under way: it is published in a moment. */
    keep = !complete && log->phase == LOG_KNOWN && log->meta.final && !log->on_disk &&
           !log->facts_kept && !log->provisional &&
           (log->meta.size > SOURCE_FIRST_RANGE || list_is_empty(&log->fetches));
    log->facts_kept |= keep;
    pthread_mutex_unlock(&c->lock);
    if (complete)
        publish(log);
    else if (keep)
        log_save_meta(log);
    pthread_mutex_lock(&c->lock);
    unused = log->readers ? NULL : log_take_backing(log);
    if (!unused && log_is_surplus(log)) {
        unused = log->backing;
        log->backing = NULL;
        log_forget_bytes(log);
    }
    if (list_is_empty(&log->fetches))
        log_update_idle(log);
    over = c->idle_count > c->config.idle_max ? c->idle_count - c->config.idle_max : 0;
    pthread_mutex_unlock(&c->lock);
    backing_unref(unused);
    while (over-- > 0 && cache_drop_idle(c, IDLE_ANY))
        ;
    if (complete)
        log_release_source(log);
}

/* Lock held. A last page that came before its log was known to end there. */
static void settle_tail(struct log *log)
{
    uint64_t size = log->meta.size, page = size >> PAGE_SHIFT;

    if (log->phase != LOG_KNOWN || !log->meta.final || !size || (size & (PAGE_SIZE - 1)) == 0)
        return;
    if (log->tail_to == size && pages_get(&log->pages, page) == PAGE_ABSENT)
        finish_page(log, page, log->tail_sum);
    list_each(link, &log->fetches) {
        struct fetch *f = list_entry(link, struct fetch, in_log);
        if (f->written_to == size && pages_get(&log->pages, page) == PAGE_ABSENT)
            finish_page(log, page, store_hasher_digest(&f->hasher));
    }
}

void fill_settle(struct log *log)
{
    struct cache *c = log->cache;
    uint64_t size, page, to;
    bool on_disk;
    int rc = 0;

    pthread_mutex_lock(&c->lock);
    size = log->meta.size;
    to = log->whole || size < SOURCE_FIRST_RANGE ? size : SOURCE_FIRST_RANGE;
    on_disk = log->on_disk;
    settle_tail(log);
    pthread_mutex_unlock(&c->lock);
    if (to && !on_disk) /* space for what is on its way already */
        rc = fill_reserve(log, 0, to);
    if (rc) {
        pthread_mutex_lock(&c->lock);
        list_each(link, &log->fetches)
            list_entry(link, struct fetch, in_log)->write_err = rc;
        pthread_mutex_unlock(&c->lock);
    }
    page = size >> PAGE_SHIFT;
    pending_wake(&log->wait, page, page, 0);
    fill_tidy(log);
}

/* --- the end of a fetch --- */

static uint64_t first_page(const struct fetch *f)
{
    return f->b.from >> PAGE_SHIFT;
}

static uint64_t last_page(const struct fetch *f)
{
    return (f->to - 1) >> PAGE_SHIFT;
}

/* Lock held. Takes the fetch off its log; what it should have brought is absent again. The errno
 * for its waiters, or 0. */
static int unlink_fetch(struct fetch *f)
{
    struct log *log = f->log;
    struct cache *c = log->cache;
    int err = f->write_err ? f->write_err : f->failure.err;

    /* What it leaves in the middle of a page: */
    if ((f->written_to & (PAGE_SIZE - 1)) != 0 && f->written_to > log->tail_to &&
        pages_get(&log->pages, f->written_to >> PAGE_SHIFT) != PAGE_PRESENT) {
        log->tail_to = f->written_to;
        log->tail_sum = store_hasher_digest(&f->hasher);
    }
    settle_tail(log);
    list_remove(&f->in_log);
    status_note_end(log);
    c->stats.fetches_running--;
    if (err == -ENOENT) /* a known log that is gone everywhere is broken, not absent */
        err = -EIO;
    /* If not even its size is known the waiters get the failure, and it does not affect a later
     * try. */
    if (!err || log->phase != LOG_KNOWN)
        return err;
    log->fault = (struct log_fault){.first = f->written_to >> PAGE_SHIFT,
                                    .last = last_page(f),
                                    .err = err,
                                    .until_ms = c->config.now_ms() + FAULT_MS};
    /* Waiters for what another fetch brings are not affected; the others ask again. */
    list_each(link, &log->fetches) {
        const struct fetch *other = list_entry(link, struct fetch, in_log);
        if (first_page(other) <= last_page(f) && last_page(other) >= first_page(f))
            return 0;
    }
    return err;
}

/* Lock not held. The first range ended before any metadata came. */
static void fail_first(struct fetch *f)
{
    struct log *log = f->log;
    struct cache *c = log->cache;
    struct source_failure *failure = &f->failure;
    struct repo_name name;
    bool is_ignored;
    int err = 0;

    if (f->write_err || !failure->err)
        *failure = (struct source_failure){.err = f->write_err ? f->write_err : -EPROTO,
                                           .reason = SOURCE_BROKEN};
    /* Prefetch has less quota than readers have: being refused does not affect them. */
    is_ignored = f->b.class == SOURCE_PREFETCH && failure->reason == SOURCE_LIMITED;
    /* Before another fetch can begin. Where there is no log yet, the handle's URL and what it knows
     * of the job save requests to a reader that asks again and again (P12). */
    if (failure->reason != SOURCE_PENDING)
        log_release_source(log);
    pthread_mutex_lock(&c->lock);
    name = log->source_name;
    if (log->phase == LOG_REQUESTED)
        log->phase = LOG_UNKNOWN;
    /* An empty log that was requested again stays what it was if GitHub cannot say (S8). */
    if (log->phase == LOG_UNKNOWN && log->meta.final && !log->meta.size && log->meta.name_count &&
        failure->reason != SOURCE_NOT_FOUND && failure->reason != SOURCE_EXPIRED) {
        log->phase = LOG_KNOWN;
        log->empty_until_ms = c->config.now_ms() + LOG_EMPTY_MS;
    } else if (!is_ignored && !log_note_failure(log, &name, failure)) {
        err = failure->err; /* handed to the waiters, which would not find it */
    }
    pthread_mutex_unlock(&c->lock);
    pending_wake(&log->wait, LOG_PART_FACTS, LOG_PART_FACTS, err);
    if (failure->reason == SOURCE_EXPIRED)
        log_save_gone(log, &name);
}

void fill_end(struct task *ended)
{
    struct fetch *f = list_entry(ended, struct fetch, stream.ended);
    struct log *log = f->log;
    struct cache *c = log->cache;
    bool without_facts;
    int err;

    pthread_mutex_lock(&c->lock);
    err = unlink_fetch(f);
    log->unfit |= f->write_err == -EFBIG || f->failure.err == -EFBIG;
    without_facts = f->is_first && log->phase == LOG_REQUESTED;
    pthread_mutex_unlock(&c->lock);
    if (without_facts) {
        fail_first(f);
    } else {
        if (f->failure.reason == SOURCE_CHANGED)
            log_abandon(log);
        pending_wake(&log->wait, first_page(f), last_page(f), err);
    }
    fill_tidy(log);
    log_release(log);
    free(f);
}
