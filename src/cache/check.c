/*
 * What was on disk before this mount is compared with its checksums before its first use (R2): by
 * the worker that reads it, and ahead of who reads in a row by the writer, so that a worker finds it
 * done.
 */
#include "cache/log.h"

#include "diag.h"

#include <errno.h>
#include <sys/uio.h>

/* Pages compared at once: few enough for a processor's own cache, enough for few calls. */
#define CHECK_PAGES 4

/* Pages checked ahead: what the kernel asks for next (mountpoint_raise_readahead). */
#define CHECK_AHEAD (PLAN_NEAR >> PAGE_SHIFT)

struct check {
    uint64_t first;             /* page */
    unsigned count;             /* pages; 0: none is unchecked */
    unsigned compared;          /* out: how many could be read */
    bool holds[CHECK_PAGES];    /* out */
    uint64_t sums[CHECK_PAGES]; /* as they should be */
    size_t len;                 /* bytes */
};

/* Lock held. The first unchecked pages in a row of [from, to). */
static void take_check(const struct log *log, uint64_t from, uint64_t to, struct check *check)
{
    uint64_t page = from;

    while (page < to && pages_get(&log->pages, page) != PAGE_UNCHECKED)
        page++;
    *check = (struct check){.first = page};
    for (; page < to && check->count < CHECK_PAGES; page++) {
        if (pages_get(&log->pages, page) != PAGE_UNCHECKED)
            break;
        check->sums[check->count++] = log->pages.sum[page];
        check->len += page_length(log->meta.size, page);
    }
}

/* How much of it there is; with RWF_NOWAIT, at once. */
static size_t read_up_to(int fd, char *bytes, size_t len, uint64_t from, int flags)
{
    size_t have = 0;

    while (have < len) {
        struct iovec rest = {.iov_base = bytes + have, .iov_len = len - have};
        ssize_t n = preadv2(fd, &rest, 1, (off_t)(from + have), flags);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    return have;
}

static void compare(struct check *check, const struct backing *b, int flags)
{
    /* Aligned, the kernel copies a tenth faster. */
    _Alignas(4096) char bytes[CHECK_PAGES * PAGE_SIZE];
    size_t have = read_up_to(b->file.fd, bytes, check->len, check->first << PAGE_SHIFT, flags);

    for (size_t at = 0; at < check->len; at += PAGE_SIZE) {
        size_t len = check->len - at < PAGE_SIZE ? check->len - at : PAGE_SIZE;
        unsigned i = check->compared;
        if (at + len > have)
            return;
        check->holds[i] = store_page_checksum(bytes + at, len) == check->sums[i];
        check->compared++;
    }
}

/* Lock held. Pages of another file meanwhile, or checked by another, are let be. */
static void note_page(struct log *log, const struct backing *b, uint64_t page, bool holds,
                      uint64_t sum)
{
    if (pages_get(&log->pages, page) != PAGE_UNCHECKED || log->backing != b)
        return;
    if (holds)
        pages_set_here(&log->pages, page, sum);
    else
        pages_set_absent(&log->pages, page);
}

/* Lock not held. Compares what was taken; with RWF_NOWAIT, what is at hand of it. */
static void run_check(struct log *log, const struct backing *b, struct check *check, int flags)
{
    unsigned damaged = 0;

    compare(check, b, flags);
    if (!flags)
        check->compared = check->count; /* what cannot be read does not hold */
    pthread_mutex_lock(&log->cache->lock);
    for (unsigned i = 0; i < check->compared; i++) {
        note_page(log, b, check->first + i, check->holds[i], check->sums[i]);
        damaged += !check->holds[i];
    }
    pthread_mutex_unlock(&log->cache->lock);
    if (damaged)
        diag_say(log->cache->config.diag, DIAG_WARNING,
                 "job %llu: a damaged page in the cache is fetched again",
                 (unsigned long long)log->job);
}

void check_pages(struct log *log, const struct backing *b, uint64_t from, uint64_t to)
{
    struct cache *c = log->cache;
    struct check check;

    for (;; from = check.first + check.count) {
        pthread_mutex_lock(&c->lock);
        take_check(log, from, to, &check);
        pthread_mutex_unlock(&c->lock);
        if (!check.count)
            return;
        run_check(log, b, &check, 0);
    }
}

/* Lock held. Where to go on ahead of the reader, and to which page at most; false: nowhere. */
static bool find_ahead(const struct log *log, uint64_t *ret_from, uint64_t *ret_to)
{
    uint64_t read_to = pages_for(log->read_to), count = pages_for(log->meta.size);
    uint64_t from = log->check_next > read_to ? log->check_next : read_to;
    uint64_t to = read_to + CHECK_AHEAD < count ? read_to + CHECK_AHEAD : count;

    if (!log->on_disk || !log->backing || from >= to)
        return false;
    *ret_from = from;
    *ret_to = to;
    return true;
}

bool check_take_ahead(struct log *log, uint64_t offset, uint64_t end)
{
    uint64_t from, to, was = log->read_to;
    struct check next;

    if (end <= offset)
        return false;
    log->read_to = end;
    if (!was || offset > was + PLAN_NEAR || offset + PLAN_NEAR < was) {
        log->check_next = 0; /* not in a row */
        return false;
    }
    if (log->checking_ahead || !find_ahead(log, &from, &to))
        return false;
    take_check(log, from, to, &next);
    log->checking_ahead = next.count > 0;
    return log->checking_ahead;
}

void check_pages_ahead(struct log *log)
{
    struct cache *c = log->cache;
    struct backing *b = NULL;
    struct check check = {0};
    uint64_t from, to;

    for (;;) {
        pthread_mutex_lock(&c->lock);
        check.count = 0;
        if (find_ahead(log, &from, &to)) {
            take_check(log, from, to, &check);
            log->check_next = check.first + check.count;
        }
        if (check.count)
            b = backing_ref(log->backing);
        else
            log->checking_ahead = false;
        pthread_mutex_unlock(&c->lock);
        if (!check.count)
            return;
        run_check(log, b, &check, RWF_NOWAIT);
        backing_unref(b);
    }
}
