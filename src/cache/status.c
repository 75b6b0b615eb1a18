/*
 * Which logs are under way, and how far they have come.
 */
#include "cache/internal.h"

/* Lock held. */
static bool is_under_way(const struct log *log)
{
    return !list_is_empty(&log->fetches) || !list_is_empty(&log->verifications);
}

void status_note_begin(struct log *log)
{
    struct cache *c = log->cache;

    if (is_under_way(log))
        return;
    log->begun_ms = c->config.now_ms();
    log->come = 0;
    progress_rate_begin(&log->rate, 0, log->begun_ms);
    progress_wait_note(&log->waits_for, PROGRESS_FLOWS, 0);
    list_push_back(&c->under_way, &log->in_under_way);
    c->under_way_count++;
}

void status_note_end(struct log *log)
{
    if (is_under_way(log))
        return;
    list_remove(&log->in_under_way);
    log->cache->under_way_count--;
}

/* Bytes of a page that is not complete; `start` is where they begin, `to` where they end. */
static uint64_t count_part(const struct log *log, uint64_t start, uint64_t to)
{
    uint64_t page = to >> PAGE_SHIFT;

    if (pages_get(&log->pages, page) == PAGE_PRESENT)
        return 0;
    if (log->tail_to >> PAGE_SHIFT == page && log->tail_to >= start)
        start = page << PAGE_SHIFT;
    return to - (start > page << PAGE_SHIFT ? start : page << PAGE_SHIFT);
}

/* Lock held. Bytes of the log that are present, whole pages or not. */
static uint64_t count_present(const struct log *log)
{
    uint64_t size = log->meta.size, bytes = log->pages.present << PAGE_SHIFT;
    uint64_t last = size >> PAGE_SHIFT;

    if (log->phase == LOG_KNOWN && (size & (PAGE_SIZE - 1)) != 0 &&
        pages_get(&log->pages, last) == PAGE_PRESENT)
        bytes -= PAGE_SIZE - page_length(size, last);
    list_each(link, &log->fetches) {
        const struct fetch *f = list_entry(link, struct fetch, in_log);
        bytes += count_part(log, f->b.from, f->written_to);
    }
    return log->phase == LOG_KNOWN && bytes > size ? size : bytes;
}

/* Lock held. Under which name it is under way; "" for the moment before its source is asked. */
static const struct repo_name *get_name(const struct log *log)
{
    if (list_is_empty(&log->fetches))
        return &list_entry(log->verifications.next, struct verification, in_log)->facts.repo;
    return &log->source_name;
}

/* Lock held. */
static void get_status(const struct log *log, int64_t now_ms, struct cache_status *ret_status)
{
    struct progress *p = &ret_status->progress;

    *ret_status = (struct cache_status){.repo = *get_name(log),
                                        .job = log->job & NAME_ID_MAX,
                                        .is_generated = log->job & CACHE_GENERATED};
    p->begun_ms = log->begun_ms;
    p->bytes = count_present(log);
    p->size = log->phase == LOG_KNOWN ? log->meta.size : PROGRESS_UNKNOWN;
    p->rate = progress_rate_get(&log->rate, log->come, now_ms);
    p->cause = progress_wait_get(&log->waits_for, &p->until_ms);
}

unsigned cache_list_status(struct cache *c, struct cache_status *ret_status, unsigned max)
{
    int64_t now_ms = c->config.now_ms();
    unsigned count, n = 0;

    pthread_mutex_lock(&c->lock);
    count = c->under_way_count;
    for (struct list *link = c->under_way.next; link != &c->under_way && n < max;
         link = link->next) {
        get_status(list_entry(link, struct log, in_under_way), now_ms, &ret_status[n]);
        if (ret_status[n].repo.owner[0])
            n++;
        else
            count--;
    }
    pthread_mutex_unlock(&c->lock);
    return count;
}
