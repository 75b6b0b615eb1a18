/*
 * What the writer thread does with the bytes: writes them, marks pages, publishes.
 */
#include "cache/internal.h"

#include "diag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FAULT_MS 1000 /* a failed page is not asked for again before */
#define MARK_MAX 8    /* pages marked at once */

/* What a reader is told of trouble here. The disk's own errors mean something else to him: EDQUOT
 * would be GitHub's quota, EACCES its refusal. */
static int local_error(int rc)
{
    switch (rc) {
    case 0:
    case -EFBIG:
    case -ENOMEM:
    case -ECONNABORTED: return rc;
    case -ENOSPC: return -EFBIG;
    default: return -EIO;
    }
}

/* --- room --- */

/* Whether bytes that end at `end` leave this page half filled. */
static bool ends_within(uint64_t end, uint64_t page)
{
    return end >> PAGE_SHIFT == page && (end & (PAGE_SIZE - 1)) != 0;
}

/* Whether the file holds bytes of this page that must not be lost: all, also where they are yet to be
 * checked, or those of a page that is being filled. */
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

/* Where the bytes end that the file may hold. */
static uint64_t bytes_end(struct log *log)
{
    uint64_t end = SOURCE_FIRST_RANGE;

    pthread_mutex_lock(&log->cache->lock);
    if (log->phase == LOG_KNOWN)
        end = log->meta.size;
    list_each(link, &log->fetches) {
        uint64_t to = list_entry(link, struct fetch, in_log)->written_to;
        if (to > end)
            end = to;
    }
    pthread_mutex_unlock(&log->cache->lock);
    return end;
}

/* The log goes on in memory: its disk is full, read-only or gone. Bytes that are here stay. */
static int move_to_memory(struct log *log)
{
    struct cache *c = log->cache;
    struct backing *old = log->backing;
    struct backing *b;
    int rc;

    if (old->file.in_memory)
        return -EFBIG;
    b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->store = c->config.store;
    b->file = old->file;
    atomic_init(&b->refs, 1);
    rc = store_backing_to_memory(c->config.store, &b->file, bytes_end(log), page_has_bytes, log);
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

/* The file there is. What is missing of a published log goes into its own file, beside what is
 * there; one that was evicted begins anew. */
static int find_backing(struct log *log, struct backing **ret_backing)
{
    bool closed;
    int rc = 0;

    do {
        pthread_mutex_lock(&log->cache->lock);
        *ret_backing = log->backing;
        closed = log->on_disk && !log->backing;
        pthread_mutex_unlock(&log->cache->lock);
        if (closed)
            rc = log_reopen(log);
    } while (closed && !rc);
    return rc;
}

/* Where too many files are open, others are closed for it; else the log goes on without one. */
static struct backing *create_backing(struct cache *c)
{
    struct backing *b;
    int rc;

    do
        b = backing_create(c->config.store, &rc);
    while (!b && store_is_short_of_files(rc) &&
           (cache_close_file(c) || cache_drop_idlest(c, IDLE_ON_DISK)));
    if (b || !store_is_short_of_files(rc))
        return b;
    diag_say(c->config.diag, DIAG_WARNING,
             "cache: too many open files; reading on in memory: raise the limit "
             "(ulimit -n, LimitNOFILE=)");
    return backing_create_in_memory(c->config.store);
}

/* The backing file, opened when the first byte is to be written. Only this thread sets it for a log
 * that is not published. */
static int ensure_backing(struct log *log)
{
    struct cache *c = log->cache;
    struct backing *b, *have;
    int rc;

    rc = find_backing(log, &have);
    if (rc || have)
        return rc;
    b = create_backing(c);
    if (!b)
        return -ENOMEM;
    pthread_mutex_lock(&c->lock);
    have = log->backing;
    if (!have)
        log->backing = b;
    pthread_mutex_unlock(&c->lock);
    if (have)
        backing_unref(b);
    return 0;
}

/* The same, with the idle ones in memory dropped as far as it takes. */
static int make_way_in_memory(struct log *log)
{
    int rc;

    if (log->backing->file.in_memory)
        return -EFBIG;
    do
        rc = move_to_memory(log);
    while (rc == -EFBIG && cache_drop_idlest(log->cache, IDLE_IN_MEMORY));
    return rc;
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
    } while (rc && cache_drop_idlest(c, kind));
    if (rc) {
        rc = make_way_in_memory(log);
        return rc ? rc : fill_reserve(log, from, to);
    }
    while (kind == IDLE_ON_DISK && store_is_over(s) && cache_drop_idlest(c, kind))
        ;
    return 0;
}

/* --- pieces --- */

/* How much of [offset, offset + len) lies in pages that are like its first, here or not here. */
static size_t like_the_first(struct log *log, uint64_t offset, size_t len, bool *ret_here)
{
    uint64_t page = offset >> PAGE_SHIFT, end = pages_for(offset + len);
    bool here;

    pthread_mutex_lock(&log->cache->lock);
    here = pages_get(&log->pages, page) == PAGE_HERE;
    while (++page < end && (pages_get(&log->pages, page) == PAGE_HERE) == here)
        ;
    pthread_mutex_unlock(&log->cache->lock);
    *ret_here = here;
    return page < end ? (size_t)((page << PAGE_SHIFT) - offset) : len;
}

/* Writes what is not here yet: a range fetched twice must not touch pages that readers see. */
static int write_missing(struct fetch *f, uint64_t offset, const char *data, size_t len)
{
    struct log *log = f->log;

    while (len > 0) {
        bool here;
        size_t part = like_the_first(log, offset, len, &here);
        int rc = here ? 0 : store_backing_write(&log->backing->file, data, part, offset);
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
    if (pages_get(&log->pages, page) != PAGE_HERE)
        pages_set_here(&log->pages, page, sum);
}

/* Takes bytes into the checksums, up to MARK_MAX ended pages; how many bytes. */
static size_t hash_pages(struct fetch *f, uint64_t offset, const char *data, size_t len,
                         uint64_t sums[MARK_MAX], unsigned *ret_count)
{
    size_t done = 0;
    unsigned n = 0;

    while (done < len && n < MARK_MAX) {
        size_t part = (size_t)(PAGE_SIZE - ((offset + done) & (PAGE_SIZE - 1)));
        if (part > len - done)
            part = len - done;
        store_hasher_update(&f->hasher, data + done, part);
        done += part;
        if (((offset + done) & (PAGE_SIZE - 1)) == 0) {
            sums[n++] = store_hasher_digest(&f->hasher);
            store_hasher_init(&f->hasher);
        }
    }
    *ret_count = n;
    return done;
}

/* Takes the written bytes into the checksums; pages that they complete are here. */
static void mark_pages(struct fetch *f, uint64_t offset, const char *data, size_t len)
{
    struct log *log = f->log;
    struct cache *c = log->cache;

    while (len > 0) {
        uint64_t sums[MARK_MAX], page = offset >> PAGE_SHIFT;
        unsigned count;
        size_t part = hash_pages(f, offset, data, len, sums, &count);
        data += part;
        offset += part;
        len -= part;
        pthread_mutex_lock(&c->lock);
        f->written_to = offset;
        c->stats.bytes_received += part;
        for (unsigned i = 0; i < count; i++)
            finish_page(log, page + i, sums[i]);
        if ((offset & (PAGE_SIZE - 1)) != 0 && log->phase == LOG_KNOWN && log->meta.final &&
            offset == log->meta.size)
            finish_page(log, offset >> PAGE_SHIFT, store_hasher_digest(&f->hasher));
        pthread_mutex_unlock(&c->lock);
    }
}

/* The disk refused: make room, or go on in memory. */
static int write_elsewhere(struct fetch *f, uint64_t offset, const char *data, size_t len, int err)
{
    struct log *log = f->log;
    int rc;

    diag_say(log->cache->config.diag, DIAG_WARNING, "cache: %s; going on in memory",
             strerror(-err));
    rc = make_way_in_memory(log);
    if (!rc)
        rc = fill_reserve(log, offset, offset + len);
    return rc ? rc : write_missing(f, offset, data, len);
}

/* A stream whose length nobody has told needs room as it comes, and so does a log that went on in
 * memory; else there is some, or will be. */
static int make_room(struct log *log, uint64_t from, uint64_t to)
{
    const struct store_backing *file;
    bool is_known, has_backing;
    int rc = 0;

    pthread_mutex_lock(&log->cache->lock);
    is_known = log->phase == LOG_KNOWN;
    has_backing = log->backing != NULL;
    pthread_mutex_unlock(&log->cache->lock);
    if (!has_backing)
        rc = ensure_backing(log);
    if (rc)
        return rc;
    file = &log->backing->file;
    if (!file->in_memory && (is_known || to <= file->end))
        return 0;
    return fill_reserve(log, from, to);
}

static int take_piece(struct fetch *f, uint64_t offset, const char *data, size_t len)
{
    struct log *log = f->log;
    int rc;

    /* At the end nobody waits for these bytes, and a slow disk would hold up the daemon's end (R6). */
    if (atomic_load(&log->cache->closing))
        return -ECONNABORTED;
    if (offset + len > LOG_SIZE_MAX)
        return -EFBIG;
    rc = make_room(log, offset, offset + len);
    if (rc)
        return rc;
    rc = write_missing(f, offset, data, len);
    return rc && !log->backing->file.in_memory ? write_elsewhere(f, offset, data, len, rc) : rc;
}

void fill_write(struct fetch *f, uint64_t offset, const char *data, size_t len)
{
    struct log *log = f->log;
    uint64_t before = f->written_to;
    int rc;

    if (f->write_err)
        return;
    rc = take_piece(f, offset, data, len);
    if (rc) { /* set once it is the last word: whoever brings bytes goes by it */
        f->write_err = local_error(rc);
        return;
    }
    mark_pages(f, offset, data, len);
    pending_wake(&log->wait, before >> PAGE_SHIFT, (f->written_to - 1) >> PAGE_SHIFT, 0);
}

/* --- the end --- */

/* The checksums of a complete log, for its .meta. */
static uint64_t *copy_sums(const struct log *log)
{
    uint64_t count = pages_for(log->meta.size);
    uint64_t *sums = calloc(count + 1, sizeof(*sums));

    if (sums && count)
        memcpy(sums, log->pages.sum, count * sizeof(*sums));
    return sums;
}

/* Lock not held. A complete log gets its name; the network is done with it. */
static void publish(struct log *log)
{
    struct cache *c = log->cache;
    struct store_meta meta;
    struct backing *b = NULL;
    bool complete;
    int rc = -EAGAIN;

    pthread_mutex_lock(&c->lock);
    complete = log_is_complete(log) && !log->on_disk && !log->provisional;
    meta = log->meta;
    meta.checksums = complete ? copy_sums(log) : NULL;
    if (log->backing && !log->backing->file.in_memory)
        b = backing_ref(log->backing);
    pthread_mutex_unlock(&c->lock);
    if (meta.checksums && b && store_keeps(c->config.store, meta.size))
        rc = store_publish(c->config.store, log->job, &b->file, &meta);
    free(meta.checksums);
    if (rc && rc != -EAGAIN && rc != -EXDEV)
        diag_say(c->config.diag, DIAG_WARNING, "cache: a log cannot be kept: %s", strerror(-rc));
    pthread_mutex_lock(&c->lock);
    if (!rc) {
        log->on_disk = true;
        c->stats.published++;
    }
    pthread_mutex_unlock(&c->lock);
    if (b)
        backing_unref(b);
}

/* Lock held. Whether all of it is under way: it will be published in a moment, or this fetch ends. */
static bool is_coming_whole(const struct log *log)
{
    return log->meta.size <= SOURCE_FIRST_RANGE && !list_is_empty(&log->fetches);
}

/* What is known of a log that is not complete is kept: its size need not be asked again (S4). */
static void keep_facts(struct log *log)
{
    struct cache *c = log->cache;
    bool keep;

    pthread_mutex_lock(&c->lock);
    keep = log->phase == LOG_KNOWN && log->meta.final && !log->on_disk && !log->facts_kept &&
           !log->provisional && !is_coming_whole(log);
    log->facts_kept |= keep;
    pthread_mutex_unlock(&c->lock);
    if (keep)
        log_save_meta(log);
}

/* Lock held. What an ended fetch leaves in the middle of a page. */
static void keep_tail(struct fetch *f)
{
    struct log *log = f->log;

    if ((f->written_to & (PAGE_SIZE - 1)) == 0 || f->written_to <= log->tail_to ||
        pages_get(&log->pages, f->written_to >> PAGE_SHIFT) == PAGE_HERE)
        return;
    log->tail_to = f->written_to;
    log->tail_sum = store_hasher_digest(&f->hasher);
}

/* Lock held. A last page that came before its log was known to end there. */
static void settle_tail(struct log *log)
{
    uint64_t size = log->meta.size;

    if (log->phase != LOG_KNOWN || !log->meta.final || !size || (size & (PAGE_SIZE - 1)) == 0)
        return;
    if (log->tail_to == size && pages_get(&log->pages, size >> PAGE_SHIFT) == PAGE_ABSENT)
        finish_page(log, size >> PAGE_SHIFT, log->tail_sum);
    list_each(link, &log->fetches) {
        struct fetch *f = list_entry(link, struct fetch, in_log);
        if (f->written_to == size && pages_get(&log->pages, size >> PAGE_SHIFT) == PAGE_ABSENT)
            finish_page(log, size >> PAGE_SHIFT, store_hasher_digest(&f->hasher));
    }
}

/* Lock held. */
static struct backing *drop_surplus(struct log *log)
{
    struct backing *b = log->backing;

    if (!log_is_surplus(log))
        return NULL;
    log_forget_bytes(log);
    log->backing = NULL;
    return b;
}

/* Publishes what is complete; keeps or drops what nobody reads. */
static void tidy(struct log *log)
{
    struct cache *c = log->cache;
    struct backing *unused = NULL;
    unsigned over;
    bool complete;

    pthread_mutex_lock(&c->lock);
    complete = log_is_complete(log);
    log->proven = log_is_proven(log);
    pthread_mutex_unlock(&c->lock);
    if (complete)
        publish(log);
    else
        keep_facts(log);
    pthread_mutex_lock(&c->lock);
    unused = log_shed_backing(log);
    if (!unused)
        unused = drop_surplus(log);
    if (list_is_empty(&log->fetches))
        log_file_idle(log);
    over = c->idle_count > c->config.idle_max ? c->idle_count - c->config.idle_max : 0;
    pthread_mutex_unlock(&c->lock);
    if (unused)
        backing_unref(unused);
    while (over-- > 0 && cache_drop_idlest(c, IDLE_ANY))
        ;
    if (complete)
        log_release_source(log);
}

void fill_drop_later(struct log *log)
{
    writer_post_log(log, tidy);
}

/* Room for what is on its way already. */
static void reserve_first(struct log *log, uint64_t to)
{
    int rc = fill_reserve(log, 0, to);

    if (!rc)
        return;
    pthread_mutex_lock(&log->cache->lock);
    list_each(link, &log->fetches)
        list_entry(link, struct fetch, in_log)->write_err = rc;
    pthread_mutex_unlock(&log->cache->lock);
}

void fill_settle(struct log *log)
{
    struct cache *c = log->cache;
    uint64_t size, page, to;
    bool on_disk;

    pthread_mutex_lock(&c->lock);
    size = log->meta.size;
    to = log->whole || size < SOURCE_FIRST_RANGE ? size : SOURCE_FIRST_RANGE;
    on_disk = log->on_disk;
    settle_tail(log);
    pthread_mutex_unlock(&c->lock);
    if (to && !on_disk)
        reserve_first(log, to);
    page = size >> PAGE_SHIFT;
    pending_wake(&log->wait, page, page, 0);
    tidy(log);
}

static uint64_t first_page(const struct fetch *f)
{
    return f->b.from >> PAGE_SHIFT;
}

static uint64_t last_page(const struct fetch *f)
{
    return (f->to - 1) >> PAGE_SHIFT;
}

/* Lock held. */
static bool overlaps_another(const struct log *log, uint64_t first, uint64_t last)
{
    list_each(link, &log->fetches) {
        const struct fetch *f = list_entry(link, struct fetch, in_log);
        if (first_page(f) <= last && last_page(f) >= first)
            return true;
    }
    return false;
}

/* Lock held. Takes the fetch out; what it should have brought is missing again. */
static int unlink_fetch(struct fetch *f)
{
    struct log *log = f->log;
    struct cache *c = log->cache;
    int err = f->write_err ? f->write_err : f->failure.err;

    keep_tail(f);
    settle_tail(log);
    list_remove(&f->in_log);
    c->stats.fetches_running--;
    /* A log that is known and is gone everywhere: not "no such file" but a broken one. */
    if (err == -ENOENT)
        err = -EIO;
    /* What was not even known was told to those who asked, and is no word on a later try. */
    if (err && log->phase == LOG_KNOWN)
        log->fault = (struct log_fault){.first = f->written_to >> PAGE_SHIFT,
                                        .last = last_page(f),
                                        .err = err,
                                        .until_ms = c->config.now_ms() + FAULT_MS};
    return err;
}

void fill_end(struct fetch *f)
{
    struct log *log = f->log;
    struct cache *c = log->cache;
    uint64_t first, last;
    bool untold;
    int err;

    pthread_mutex_lock(&c->lock);
    err = unlink_fetch(f);
    if (err && log->phase == LOG_KNOWN && overlaps_another(log, first_page(f), last_page(f)))
        err = 0; /* who waits for what another brings is not to hear of this; the rest ask again */
    untold = f->is_first && log->phase == LOG_ASKING;
    first = first_page(f);
    last = last_page(f);
    pthread_mutex_unlock(&c->lock);
    if (untold) {
        if (f->write_err || !f->failure.err)
            f->failure = (struct source_failure){.err = f->write_err ? f->write_err : -EPROTO,
                                                 .reason = SOURCE_BROKEN};
        /* Before anybody can begin anew. Where there is no log yet, the handle's URL and what it knows
         * of the job save requests to him who asks again and again (P12). */
        if (f->failure.reason != SOURCE_PENDING)
            log_release_source(log);
        pending_wake(&log->wait, LOG_PART_FACTS, LOG_PART_FACTS,
                     log_first_failed(log, f->b.class, &f->failure));
    } else if (f->failure.reason == SOURCE_CHANGED) {
        log_abandon(log);
        pending_wake(&log->wait, first, last, err);
    } else { /* nobody waits for a page of a log that is not known; who does by now waits for the next */
        pending_wake(&log->wait, first, last, err);
    }
    tidy(log);
    log_unuse(log);
    free(f);
}
