/*
 * What is known of a log: its names, size, time and finality, as they are on disk, as the source
 * reports them, and after failures.
 */
#include "cache/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GONE "ghgone1" /* begins such a record, whose key names the repository and the job */

/* --- names and completeness --- */

bool log_is_complete(const struct log *log)
{
    return log->phase == LOG_KNOWN && log->meta.final &&
           log->pages.present == store_page_count(log->meta.size);
}

bool log_is_proven(const struct log *log)
{
    return log->proven || (log_is_complete(log) && !log->provisional);
}

bool log_has_name(const struct log *log, const struct repo_name *name)
{
    char folded[NAME_FULL_LEN];

    name_fold(name, folded);
    return store_meta_has_name(&log->meta, folded);
}

void log_add_name(struct log *log, const struct repo_name *name)
{
    char folded[NAME_FULL_LEN];

    name_fold(name, folded);
    store_meta_add_name(&log->meta, folded);
}

void log_forget_bytes(struct log *log)
{
    pages_clear(&log->pages);
    log->tail_to = 0;
}

/* --- on disk --- */

/* The record that GitHub has no log of this job any more under this name (410). */
#define GONE_KEY_LEN (NAME_FULL_LEN + 40)
static void gone_key(char key[GONE_KEY_LEN], const struct repo_name *name, uint64_t job)
{
    char folded[NAME_FULL_LEN];

    name_fold(name, folded);
    snprintf(key, GONE_KEY_LEN, "gone/%s/%llu", folded, (unsigned long long)job);
}

void log_save_gone(struct log *log, const struct repo_name *name)
{
    char key[GONE_KEY_LEN];

    gone_key(key, name, log->job);
    store_put_record(log->cache->config.store, key, GONE, sizeof(GONE));
}

static bool is_gone(struct log *log, const struct repo_name *name)
{
    char key[GONE_KEY_LEN];
    void *data;
    size_t len;
    bool gone;

    gone_key(key, name, log->job);
    if (store_get_record(log->cache->config.store, key, &data, &len))
        return false;
    gone = len >= sizeof(GONE) && !memcmp(data, GONE, sizeof(GONE));
    free(data);
    return gone;
}

/* Lock held. */
static int adopt_meta(struct log *log, struct store_meta *meta)
{
    uint64_t count = store_page_count(meta->size);
    int rc = meta->checksums ? pages_adopt(&log->pages, meta->checksums, count)
                             : pages_grow(&log->pages, count);

    if (rc)
        return rc;
    if (meta->checksums)
        log->on_disk = log->proven = true;
    log->meta = *meta;
    log->meta.checksums = NULL;
    log->facts_kept = true;
    return 0;
}

void log_load(struct log *log, const struct repo_name *name)
{
    struct cache *c = log->cache;
    struct store_meta meta = {0};
    int rc = store_load_meta(c->config.store, log->job, &meta);
    bool gone = rc && is_gone(log, name);

    pthread_mutex_lock(&c->lock);
    log->phase = LOG_UNKNOWN;
    if (!rc && meta.final && meta.size <= LOG_SIZE_MAX && !adopt_meta(log, &meta))
        log->phase = LOG_KNOWN;
    log->is_gone = gone && c->config.has_copies;
    if (gone && !log->is_gone) {
        struct source_failure expired = {
            .err = -ENOENT, .reason = SOURCE_EXPIRED, .until_ms = INT64_MAX};
        absent_note(&c->absent, name, log->job, &expired, c->config.now_ms());
    }
    pthread_mutex_unlock(&c->lock);
    store_meta_finish(&meta);
    pending_wake(&log->wait, LOG_PART_FACTS, LOG_PART_FACTS, 0);
}

void log_save_meta(struct log *log)
{
    struct cache *c = log->cache;
    struct store_meta on_disk = {0};
    struct store_meta now;

    pthread_mutex_lock(&c->lock);
    now = log->meta;
    pthread_mutex_unlock(&c->lock);
    /* The checksums are the file's, not what happens to be in memory; another mount may have
     * published it, and may have added names. */
    if (!store_load_meta(c->config.store, log->job, &on_disk) && on_disk.final &&
        on_disk.size == now.size) {
        for (const char *one = NULL; (one = store_meta_next_name(&now, one));)
            store_meta_add_name(&on_disk, one);
        now.name_count = on_disk.name_count;
        memcpy(now.names, on_disk.names, sizeof(now.names));
        now.checksums = on_disk.checksums;
    }
    store_save_meta(c->config.store, log->job, &now);
    store_meta_finish(&on_disk);
}

void log_abandon(struct log *log)
{
    struct cache *c = log->cache;
    struct store_meta none;
    bool was_kept;

    pthread_mutex_lock(&c->lock);
    was_kept = log->facts_kept && !log->on_disk;
    if (!log->on_disk) {
        log->abandoned = log->provisional = true;
        log->facts_kept = false;
    }
    none = log->meta;
    pthread_mutex_unlock(&c->lock);
    none.final = false; /* a meta that is not final is ignored when it is loaded */
    if (was_kept)
        store_save_meta(c->config.store, log->job, &none);
}

/* --- from the source --- */

/* Lock held. Where the bytes end that have come. */
static uint64_t received_end(const struct log *log)
{
    uint64_t size = log->phase == LOG_KNOWN ? log->meta.size : UINT64_MAX, end = log->tail_to;
    uint64_t page = log->pages.present ? log->pages.count : 0;

    while (page > 0 && pages_get(&log->pages, page - 1) != PAGE_PRESENT)
        page--;
    page <<= PAGE_SHIFT;
    page = page < size ? page : size;
    end = page > end ? page : end;
    list_each(link, &log->fetches) {
        const struct fetch *f = list_entry(link, struct fetch, in_log);
        if (f->written_to > f->b.from && f->written_to > end)
            end = f->written_to;
    }
    return end;
}

/* Lock held. Whether the report agrees with what is known and what has come. */
static int check_metadata(const struct log *log, const struct source_metadata *metadata)
{
    bool is_known = log->phase == LOG_KNOWN;

    if (is_known && metadata->size != log->meta.size && (log_is_proven(log) || metadata->is_copy))
        return -ESTALE;
    if (metadata->size > LOG_SIZE_MAX)
        return -EFBIG;
    if ((!is_known || metadata->size < log->meta.size) && metadata->size < received_end(log))
        return -ESTALE;
    return 0;
}

int log_learn(struct log *log, const struct source_metadata *metadata)
{
    bool was_final = log->phase == LOG_KNOWN && log->meta.final;
    int rc = check_metadata(log, metadata);

    if (rc)
        return rc;
    if (pages_grow(&log->pages, store_page_count(metadata->size)))
        return -ENOMEM;
    if (was_final && metadata->size != log->meta.size) {
        if (metadata->size < log->meta.size)
            log->shrinks++;
        else if ((log->meta.size & (PAGE_SIZE - 1)) != 0) /* its last page is not complete */
            pages_set_absent(&log->pages, log->meta.size >> PAGE_SHIFT);
        log->facts_kept = false;
        log->fault.err = 0;
    }
    if (!was_final) { /* the time is reported once (S7) */
        log->meta.mtime_ms = metadata->last_modified_ms > 0 ? metadata->last_modified_ms : 0;
        if (metadata->completed_ms > 0)
            log->meta.mtime_ms = metadata->completed_ms;
        if (log->hint_ms > 0)
            log->meta.mtime_ms = log->hint_ms;
    }
    if (log->phase == LOG_REQUESTED && !(log->job & CACHE_GENERATED)) {
        struct cache *c = log->cache;
        c->request_ms[c->requests_timed++ % REQUESTS_TIMED] = c->config.now_ms() -
                                                              log->requested_ms;
    }
    log->meta.size = metadata->size;
    log->meta.final = metadata->final || was_final;
    snprintf(log->meta.etag, sizeof(log->meta.etag), "%s", metadata->etag);
    if (!was_final)
        log->whole = metadata->whole;
    log->proven |= metadata->final && metadata->proven;
    log->provisional = metadata->provisional;
    log->phase = LOG_KNOWN;
    log_add_name(log, &log->source_name);
    /* A fetch covers no more than there is; the first range of a whole log, all of it. */
    list_each(link, &log->fetches) {
        struct fetch *f = list_entry(link, struct fetch, in_log);
        if ((f->is_first && metadata->whole) || f->to > metadata->size)
            f->to = metadata->size > f->b.from ? metadata->size : f->b.from;
    }
    log->empty_until_ms = log->cache->config.now_ms() + LOG_EMPTY_MS;
    return 0;
}

bool log_note_failure(struct log *log, const struct repo_name *name,
                      const struct source_failure *failure)
{
    struct cache *c = log->cache;
    int64_t now = c->config.now_ms();

    absent_note(&c->absent, name, log->job, failure, now);
    return absent_find(&c->absent, name, log->job, now) != NULL;
}
