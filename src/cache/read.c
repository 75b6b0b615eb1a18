/*
 * Reading a log: what is here is answered from the file, what is missing is planned and waited for.
 */
#include "cache/internal.h"

#include "diag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static uint64_t page_of(uint64_t offset)
{
    return offset >> PAGE_SHIFT;
}

/* --- the file --- */

/* Whether a file could not be opened for want of something that passes. */
static bool is_shortage(int rc)
{
    return store_is_short_of_files(rc) || rc == -ENOMEM;
}

/* Where too many files are open, that of another log is closed for it. */
static struct backing *open_published(struct log *log, const struct store_meta *meta, int *ret_err)
{
    struct cache *c = log->cache;
    int fd, rc;

    do
        rc = store_open_log(c->config.store, log->job, meta, &fd);
    while (store_is_short_of_files(rc) && cache_close_file(c));
    *ret_err = rc;
    return rc ? NULL : backing_adopt(c->config.store, fd, ret_err);
}

/* Writer thread. Least recent use is the file's time. A disk may take its time over it: nobody who
 * reads waits. */
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
    struct store_meta meta;
    struct backing *b;
    bool is_opened = false;
    int rc;

    pthread_mutex_lock(&c->lock);
    meta = log->meta;
    meta.checksums = log->pages.sum; /* there are some: their values do not matter here */
    pthread_mutex_unlock(&c->lock);
    b = open_published(log, &meta, &rc);
    pthread_mutex_lock(&c->lock);
    if (log->backing) {
        rc = 0; /* another worker was first */
    } else if (b) {
        log->backing = b;
        b = NULL;
        is_opened = true;
    } else if (!is_shortage(rc)) {
        log->on_disk = false; /* evicted, here or by another mount; or not to be read */
        log_forget_bytes(log);
        rc = 0;
    }
    pthread_mutex_unlock(&c->lock);
    if (b)
        backing_unref(b);
    if (is_opened)
        writer_post_log(log, mark_used);
    return rc ? -EIO : 0;
}

/* Lock held. Whether the bytes of `page` up to `end` (offset in the log) are in the file. */
static bool is_here(const struct log *log, uint64_t page, uint64_t end)
{
    if (pages_get(&log->pages, page) == PAGE_HERE)
        return true;
    return !log->meta.final && log->tail_to && page_of(log->tail_to) == page && end <= log->tail_to;
}

/* --- pages that were on disk before this mount --- */

/*
 * What was on disk before this mount is compared with its checksums before its first use (R2): by
 * the worker that reads it, and ahead of who reads in a row by the writer, so that a worker finds it
 * done.
 */
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

/* --- what to fetch --- */

/* Lock held. A range that has just failed is not asked for again at once. */
static int recent_fault(const struct log *log, uint64_t page)
{
    const struct log_fault *fault = &log->fault;

    if (!fault->err || page < fault->first || page > fault->last)
        return 0;
    return log->cache->config.now_ms() < fault->until_ms ? fault->err : 0;
}

/* Lock held. A page for which nothing needs to be fetched by someone who can or cannot wait. */
static bool is_provided(struct log *log, uint64_t page, bool soon)
{
    if (!soon && recent_fault(log, page))
        return true; /* looking ahead is not worth another failure */
    return pages_get(&log->pages, page) != PAGE_ABSENT || is_here(log, page, log->meta.size) ||
           fetch_covering(log, page, soon);
}

/* Lock held. The end of the gap that begins at `page`, at most `range` bytes away. */
static uint64_t gap_end(struct log *log, uint64_t page, uint64_t range)
{
    uint64_t last = pages_for(log->meta.size);
    uint64_t end = page + (range >> PAGE_SHIFT);
    uint64_t p = page + 1;

    if (log->whole)
        return last;
    while (p < end && p < last && !is_provided(log, p, true))
        p++;
    return p;
}

/* Lock held. Plans what is missing of [from, to), bytes. */
static int plan_gaps(struct log *log, uint64_t from, uint64_t to, uint64_t range, bool soon,
                     struct list *planned)
{
    uint64_t end = pages_for(to);
    unsigned running = 0;

    list_each(link, &log->fetches) {
        (void)link;
        running++;
    }
    for (uint64_t p = page_of(from); p < end && (soon || running < LOG_FETCHES_MAX); p++) {
        uint64_t stop;
        struct fetch *f;
        if (is_provided(log, p, soon))
            continue;
        stop = gap_end(log, p, range) << PAGE_SHIFT;
        if (stop > log->meta.size)
            stop = log->meta.size;
        f = fetch_plan(log, p << PAGE_SHIFT, stop, SOURCE_DEMAND);
        if (!f)
            return -ENOMEM;
        list_push_back(planned, &f->task.link);
        running++;
    }
    return 0;
}

/* Lock held. What is missing at the end of [offset, to), and before it as much as makes a block; and
 * what is missing in front of pages that are here. */
static int plan_back(struct log *log, uint64_t offset, uint64_t to, struct list *planned)
{
    uint64_t first = page_of(offset), end = pages_for(to), gap, start;
    struct fetch *f;

    while (end > first && is_provided(log, end - 1, true))
        end--;
    if (end == first)
        return 0;
    for (gap = end; gap > 0 && (end - gap) << PAGE_SHIFT < 2 * PLAN_RANGE; gap--)
        if (is_provided(log, gap - 1, true))
            break;
    start = plan_block_start(gap << PAGE_SHIFT, end << PAGE_SHIFT);
    end <<= PAGE_SHIFT;
    f = fetch_plan(log, start, end < log->meta.size ? end : log->meta.size, SOURCE_DEMAND);
    if (!f)
        return -ENOMEM;
    f->is_block = true;
    list_push_back(planned, &f->task.link);
    return plan_gaps(log, offset, start, PLAN_RANGE, true, planned);
}

/* Lock held. */
static int plan_read(struct log_reader *r, uint64_t offset, size_t len, struct list *planned)
{
    struct log *log = r->log;
    struct plan_wish wish;
    uint64_t need;
    int rc;

    plan_note_read(&r->plan, offset, len, log->meta.size, &wish);
    if (wish.backwards && !log->whole)
        return plan_back(log, offset, wish.want_to, planned);
    need = (pages_for(wish.need_to) - page_of(offset))
           << PAGE_SHIFT; /* in one range, if it can be */
    rc = plan_gaps(log, offset, wish.need_to, need > wish.range ? need : wish.range, true, planned);
    if (!rc && wish.range >= PLAN_RANGE)
        rc = plan_gaps(log, wish.need_to, wish.want_to, wish.range, false, planned);
    return rc;
}

/* Lock held. Which page to wait for so as to be woken once for each range; plans what is missing. */
static int plan_all(struct log *log, struct list *planned, uint64_t *ret_page)
{
    uint64_t count = pages_for(log->meta.size), page = 0, from, to;
    const struct fetch *f;
    int rc;

    while (page < count && pages_get(&log->pages, page) != PAGE_ABSENT)
        page++;
    if (page == count)
        return 0;
    from = page << PAGE_SHIFT;
    to = log->meta.size - from < PLAN_WINDOW_MAX ? log->meta.size : from + PLAN_WINDOW_MAX;
    rc = recent_fault(log, page);
    if (!rc)
        rc = plan_gaps(log, from, to, PLAN_RANGE_LARGE, false, planned);
    f = rc ? NULL : fetch_covering(log, page, false);
    if (!rc && !f) { /* as many as may be are under way elsewhere in the log */
        rc = plan_gaps(log, from, from + 1, PLAN_RANGE_LARGE, true, planned);
        f = rc ? NULL : fetch_covering(log, page, false);
    }
    *ret_page = f ? page_of(f->to - 1) : page;
    return rc ? rc : PENDING_PARKED;
}

int log_fetch_all(struct log *log, const struct repo_name *name, struct waiter *w)
{
    struct cache *c = log->cache;

    for (;;) {
        uint64_t generation = pending_generation(&log->wait), page = 0;
        struct list planned;
        int rc;

        list_init(&planned);
        pthread_mutex_lock(&c->lock);
        rc = log->phase == LOG_KNOWN && log->meta.final ? plan_all(log, &planned, &page) : -EAGAIN;
        pthread_mutex_unlock(&c->lock);
        if (!list_is_empty(&planned))
            fetch_send(log, name, true, &planned);
        if (rc != PENDING_PARKED || pending_park(&log->wait, w, generation, page, page))
            return rc;
    }
}

/* --- reading --- */

/* Lock held. The first page of [offset, end) that is not here; true if there is one. */
static bool find_missing(const struct log *log, uint64_t offset, uint64_t end, uint64_t *ret_page)
{
    for (uint64_t p = page_of(offset); p <= page_of(end - 1); p++) {
        if (!is_here(log, p, end)) {
            *ret_page = p;
            return true;
        }
    }
    return false;
}

enum look_at { LOOK_ANSWER, LOOK_REOPEN, LOOK_CHECK, LOOK_WAIT };

struct look {
    enum look_at at;
    uint64_t page; /* to be waited for */
    struct backing *backing;
    struct list planned;
    int err;
};

/* Lock held. One look at a read of [offset, end), end > offset. */
static void look_at_pages(struct log_reader *r, uint64_t offset, uint64_t end, struct look *look)
{
    struct log *log = r->log;
    bool missing;

    look->err = 0;
    if (log->on_disk && !log->backing) {
        look->at = LOOK_REOPEN;
        return;
    }
    missing = find_missing(log, offset, end, &look->page);
    if (missing && pages_get(&log->pages, look->page) == PAGE_UNCHECKED) {
        look->at = LOOK_CHECK;
        look->backing = backing_ref(log->backing);
        return;
    }
    if (missing && !fetch_covering(log, look->page, true))
        look->err = recent_fault(log, look->page);
    if (!look->err && !log_is_complete(log))
        look->err = plan_read(r, offset, (size_t)(end - offset), &look->planned);
    look->at = missing ? LOOK_WAIT : LOOK_ANSWER;
    if (!missing && !look->err)
        look->backing = backing_ref(log->backing);
}

/* Lock not held. 0: look again. */
static int prepare(struct log_reader *r, uint64_t offset, uint64_t end, struct look *look)
{
    if (look->at == LOOK_REOPEN)
        return log_reopen(r->log);
    check_pages(r->log, look->backing, page_of(offset), pages_for(end));
    backing_unref(look->backing);
    return 0;
}

/* The caller splices from a file; from memory, which has no descriptor, it gets a copy. */
static int make_slice(struct backing *b, uint64_t offset, size_t len, struct log_slice *ret_slice)
{
    void *copy;

    *ret_slice = (struct log_slice){.fd = b ? b->file.fd : -1, .offset = offset, .len = len};
    if (!b || !b->file.in_memory) {
        ret_slice->held = b;
        return 0;
    }
    copy = malloc(len);
    if (copy)
        store_backing_read_memory(&b->file, copy, len, offset);
    backing_unref(b);
    ret_slice->held = copy;
    ret_slice->data = copy;
    return copy ? 0 : -ENOMEM;
}

/* Lock held. Where a read that starts at `offset` ends. */
static uint64_t read_end(const struct log *log, uint64_t offset, size_t len)
{
    if (offset >= log->meta.size)
        return offset;
    return log->meta.size - offset < len ? log->meta.size : offset + len;
}

/*
 * Lock held. The log may have turned out to be shorter since it was opened, and the kernel still go by
 * the old size. A short answer makes it cut the file there, but not if attributes came meanwhile: then
 * it fills the page up with zeros. So the first read of an open file that meets the end is refused,
 * and the kernel made to forget attributes that are on their way (fs/ops.c). It reads the page, which
 * is locked until then, once more by itself; that read was sent later, and is answered short. A read
 * behind the end was sent before the kernel knew.
 */
static int check_end(struct log_reader *r, uint64_t offset, size_t len)
{
    const struct log *log = r->log;

    if (r->direct || r->shrinks == log->shrinks || offset + len <= log->meta.size)
        return 0;
    if (offset > log->meta.size)
        return -EIO;
    if (r->refused == log->shrinks)
        return 0;
    r->refused = log->shrinks;
    return LOG_READ_AGAIN;
}

int log_read(struct log_reader *r, const struct repo_name *name, uint64_t offset, size_t len,
             struct waiter *w, struct log_slice *ret_slice)
{
    struct log *log = r->log;
    struct cache *c = log->cache;

    for (;;) {
        uint64_t generation = pending_generation(&log->wait);
        struct look look = {0};
        uint64_t end;
        bool final, check, check_ahead;
        int rc;

        list_init(&look.planned);
        pthread_mutex_lock(&c->lock);
        end = read_end(log, offset, len);
        final = log->meta.final;
        look.err = check_end(r, offset, len);
        if (!look.err && end > offset)
            look_at_pages(r, offset, end, &look);
        /* Who follows by reading alone must see it grow, too (S11). */
        check = end - offset < len && live_take_check(log, false);
        check_ahead = look.at == LOOK_ANSWER && !look.err && check_take_ahead(log, offset, end);
        pthread_mutex_unlock(&c->lock);
        if (check)
            live_check(log, false);
        if (check_ahead)
            writer_post_log(log, check_pages_ahead);
        if (!list_is_empty(&look.planned))
            fetch_send(log, name, final, &look.planned);
        if (look.err)
            return look.err;
        if (look.at == LOOK_ANSWER)
            return make_slice(look.backing, offset, (size_t)(end - offset), ret_slice);
        if (look.at == LOOK_WAIT) {
            if (pending_park(&log->wait, w, generation, look.page, look.page))
                return PENDING_PARKED;
            continue;
        }
        rc = prepare(r, offset, end, &look);
        if (rc)
            return rc;
    }
}

void log_slice_done(struct log_slice *s)
{
    if (s->data)
        free(s->held);
    else if (s->held)
        backing_unref(s->held);
    s->held = NULL;
    s->data = NULL;
}
