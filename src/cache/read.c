/*
 * What readers call: size and time, open, read. What is present is answered from the file; what is
 * absent is planned, requested and waited for.
 */
#include "cache/internal.h"

#include "diag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* Pages compared at once: few enough for a processor's own cache, enough for few calls. */
#define CHECK_PAGES 4
/* Pages checked ahead: what the kernel requests next (mountpoint_raise_readahead). */
#define CHECK_AHEAD (PLAN_NEAR >> PAGE_SHIFT)

/* Before any request was timed. */
#define REQUEST_MS_UNKNOWN 500

static uint64_t page_of(uint64_t offset)
{
    return offset >> PAGE_SHIFT;
}

/* --- size, time and finality --- */

/* What log_get_stat must do once the lock is released. */
struct stat_steps {
    bool load, check, promote;
    struct source_facts *verify;
    struct source_log *release; /* of another name */
    struct list planned;        /* fetches */
};

/* The name is verified, or `failure` says why not. Frees it. */
static void end_verification(struct verification *v, const struct source_failure *failure)
{
    struct log *log = v->log;
    struct cache *c = log->cache;
    bool keep;
    int err = 0;

    pthread_mutex_lock(&c->lock);
    list_remove(&v->in_log);
    status_note_end(log);
    if (!failure)
        log_add_name(log, &v->facts.repo);
    else if (!log_note_failure(log, &v->facts.repo, failure))
        err = failure->err;
    keep = !failure && (log->on_disk || log->facts_kept);
    pthread_mutex_unlock(&c->lock);
    if (keep)
        log_post(log, &log->save, log_save_meta);
    pending_wake(&log->wait, LOG_PART_FACTS, LOG_PART_FACTS, err);
    log_release(log);
    free(v);
}

/* Network thread. */
static void on_verified(struct source_facts *facts, const struct source_answer *answer)
{
    struct verification *v = list_entry(facts, struct verification, facts);
    struct source *source = &v->log->cache->config.source;

    source->ops->facts_release(source->self, facts);
    end_verification(v, answer->failure);
}

/* Asks GitHub for the job, unless a listing has told already. */
static void verify(struct cache *c, struct source_facts *facts)
{
    struct source *source = &c->config.source;

    if (c->config.is_proven && c->config.is_proven(c->config.who, &facts->repo, facts->id))
        end_verification(list_entry(facts, struct verification, facts), NULL);
    else
        source->ops->want_facts(source->self, facts);
}

/* Lock held. Joins the verification of this name, or plans one. */
static int plan_verification(struct log *log, const struct repo_name *name,
                             struct stat_steps *steps)
{
    struct verification *v;

    list_each(link, &log->verifications) {
        v = list_entry(link, struct verification, in_log);
        if (name_is_same(&v->facts.repo, name))
            return PENDING_PARKED;
    }
    v = calloc(1, sizeof(*v));
    if (!v)
        return -ENOMEM;
    v->log = log;
    v->facts = (struct source_facts){.question = SOURCE_JOB,
                                     .repo = *name,
                                     .id = log->job & NAME_ID_MAX,
                                     .waits_for = &log->waits_for,
                                     .done = on_verified};
    status_note_begin(log);
    list_push_back(&log->verifications, &v->in_log);
    log->users++;
    steps->verify = &v->facts;
    return PENDING_PARKED;
}

/* Lock held. Plans the first range. */
static int plan_first(struct log *log, const struct repo_name *name, const struct log_hint *hint,
                      enum source_class class, struct stat_steps *steps)
{
    struct fetch *f = fetch_plan(log, 0, SOURCE_FIRST_RANGE, class);

    if (!f)
        return -ENOMEM;
    /* A request for one name must not be answered by way of another (S14). */
    if (log->source && !name_is_same(&log->source_name, name)) {
        steps->release = log->source;
        log->source = NULL;
    }
    f->is_first = true;
    log->phase = LOG_REQUESTED;
    log->requested_ms = log->cache->config.now_ms();
    log->is_prefetched = class == SOURCE_PREFETCH;
    log->source_name = *name;
    log->hint_ms = hint->completed_ms;
    list_push_back(&steps->planned, &f->request.link);
    return PENDING_PARKED;
}

/* Lock held. Somebody would have the log requested, if it were not promised. */
static void note_promise_wanted(struct log_promise *p, const struct log_hint *hint,
                                enum source_class class, int64_t now_ms)
{
    int_fast64_t never = 0;

    if (class == SOURCE_DEMAND) {
        atomic_compare_exchange_strong(&p->waited_for_ms, &never, now_ms);
    } else {
        p->is_ahead = true;
        p->hint = *hint;
    }
}

/* Lock held. 0: *ret_stat is the answer; PENDING_PARKED: to be awaited after the steps; -errno. */
static int plan_stat(struct log *log, const struct repo_name *name, enum effort effort,
                     const struct log_hint *hint, enum source_class class, struct stat_steps *steps,
                     struct log_stat *ret_stat)
{
    struct cache *c = log->cache;
    const struct source_failure *failure;

    /* GitHub may have lost the log for a moment. */
    if (effort == EFFORT_NETWORK && log->phase == LOG_KNOWN && log->meta.final && !log->meta.size &&
        !log->readers && !log->source && c->config.now_ms() >= log->empty_until_ms) {
        log->phase = LOG_UNKNOWN;
        log->proven = false;
    }
    if (log->phase == LOG_KNOWN && log_has_name(log, name)) {
        if (effort == EFFORT_NETWORK) {
            if (!log->meta.final && hint->completed_ms > 0)
                log->hint_ms = hint->completed_ms; /* its end was seen in a listing */
            steps->check = live_take_check(log, hint->completed);
        }
        *ret_stat = (struct log_stat){.size = log->meta.size,
                                      .mtime_ms = log->meta.mtime_ms,
                                      .final = log->meta.final,
                                      .proven = log_is_proven(log),
                                      .shrunk = log->shrinks > 0};
        return 0;
    }
    if (effort == EFFORT_MEMORY)
        return -EAGAIN;
    if (log->phase == LOG_NEW) {
        log->phase = LOG_LOADING;
        steps->load = true;
        return PENDING_PARKED;
    }
    if (log->phase == LOG_LOADING)
        return PENDING_PARKED;
    if (effort == EFFORT_DISK)
        return -EAGAIN;
    failure = absent_find(&c->absent, name, log->job, c->config.now_ms());
    if (failure)
        return failure->err;
    if (log->phase == LOG_UNKNOWN && log->promise) {
        note_promise_wanted(log->promise, hint, class, c->config.now_ms());
        return PENDING_PARKED;
    }
    if (log->phase == LOG_UNKNOWN)
        return plan_first(log, name, hint, class, steps);
    if (log->phase == LOG_KNOWN) /* there is nothing to prefetch */
        return class == SOURCE_PREFETCH ? -EAGAIN : plan_verification(log, name, steps);
    if (class == SOURCE_DEMAND) {
        steps->promote = log->is_prefetched;
        log->is_prefetched = false;
    }
    return PENDING_PARKED;
}

int log_get_stat(struct log *log, const struct repo_name *name, enum effort effort,
                 const struct log_hint *hint, struct waiter *w, struct log_stat *ret_stat)
{
    enum source_class class = w ? SOURCE_DEMAND : SOURCE_PREFETCH;
    struct cache *c = log->cache;
    struct source *source = &c->config.source;
    int rc;

    for (;;) {
        uint64_t generation = pending_generation(&log->wait);
        struct stat_steps steps = {0};

        list_init(&steps.planned);
        pthread_mutex_lock(&c->lock);
        rc = plan_stat(log, name, effort, hint, class, &steps, ret_stat);
        pthread_mutex_unlock(&c->lock);
        if (steps.load) {
            log_load(log, name);
            continue;
        }
        if (steps.release)
            log_get_source(log)->ops->log_release(steps.release, log_source_released);
        if (steps.check)
            live_check(log, hint->completed);
        if (steps.promote)
            source->ops->log_promote(source->self, log->job);
        if (steps.verify)
            verify(c, steps.verify);
        if (!list_is_empty(&steps.planned))
            fetch_send(log, name, hint->completed, &steps.planned);
        if (rc != PENDING_PARKED || !w ||
            pending_park(&log->wait, w, generation, LOG_PART_FACTS, LOG_PART_FACTS))
            return rc;
    }
}

bool log_promise(struct log *log, const struct repo_name *name, struct log_promise *p)
{
    struct cache *c = log->cache;
    struct log_stat stat;
    bool stands;

    if (log_get_stat(log, name, EFFORT_DISK, NULL, NULL, &stat) != -EAGAIN)
        return false;
    pthread_mutex_lock(&c->lock);
    /* With a file it was a running job's log: what is published now would be read through it. */
    stands = log->phase == LOG_UNKNOWN && !log->promise && !log->backing && !log->is_gone &&
             !absent_find(&c->absent, name, log->job, c->config.now_ms());
    if (stands) {
        log->promise = p;
        log->users++;
        p->name = *name;
        p->log = log;
    }
    pthread_mutex_unlock(&c->lock);
    return stands;
}

void log_promise_end(struct log_promise *p, bool is_over)
{
    struct log *log = p->log;
    struct log_stat stat;

    if (!log)
        return;
    pthread_mutex_lock(&log->cache->lock);
    log->promise = NULL;
    if (log->phase == LOG_UNKNOWN)
        log->phase = LOG_NEW; /* it may be on disk by now */
    pthread_mutex_unlock(&log->cache->lock);
    pending_wake(&log->wait, LOG_PART_FACTS, LOG_PART_FACTS, 0);
    if (p->is_ahead && !is_over)
        (void)log_get_stat(log, &p->name, EFFORT_NETWORK, &p->hint, NULL, &stat);
    p->log = NULL;
    log_release(log);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

int64_t cache_get_request_ms(struct cache *c)
{
    int64_t times[REQUESTS_TIMED];
    unsigned count;

    pthread_mutex_lock(&c->lock);
    count = c->requests_timed < REQUESTS_TIMED ? c->requests_timed : REQUESTS_TIMED;
    memcpy(times, c->request_ms, sizeof(times));
    pthread_mutex_unlock(&c->lock);
    if (!count)
        return REQUEST_MS_UNKNOWN;
    qsort(times, count, sizeof(*times), by_size);
    return times[count / 2];
}

struct source_failure log_get_failure(struct log *log, const struct repo_name *name)
{
    struct cache *c = log->cache;
    const struct source_failure *known;
    struct source_failure failure = {0};

    pthread_mutex_lock(&c->lock);
    known = absent_find(&c->absent, name, log->job, c->config.now_ms());
    if (known)
        failure = *known;
    pthread_mutex_unlock(&c->lock);
    return failure;
}

/* --- open files --- */

void log_open(struct log *log, struct log_reader *ret_reader)
{
    struct cache *c = log->cache;

    pthread_mutex_lock(&c->lock);
    log->users++;
    log->readers++;
    log_update_idle(log);
    *ret_reader = (struct log_reader){
        .log = log, .shrinks = log->shrinks, .direct = log->phase == LOG_KNOWN && !log->meta.final};
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
        unused = log_take_backing(log);
        log_update_idle(log);
    }
    pthread_mutex_unlock(&c->lock);
    backing_unref(unused);
    if (surplus) /* while it is not published its file is the writer's */
        log_post(log, &log->tidy, fill_tidy);
    log_release(log);
}

/*
 * --- pages that were on disk before this mount ---
 *
 * They are compared with their checksums before their first use (R2): by the worker that reads
 * them, and ahead of a sequential reader by the writer, so that the worker finds them checked.
 */

/* Unchecked pages in a row. */
struct check {
    uint64_t first;
    unsigned count;             /* 0: none */
    size_t len;                 /* bytes */
    uint64_t sums[CHECK_PAGES]; /* as they should be */
};

/* Lock held. The first of them in [from, to). */
static void find_unchecked(const struct log *log, uint64_t from, uint64_t to, struct check *check)
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

/* Lock not held. */
static void note_checked(struct log *log, const struct backing *b, uint64_t page, uint64_t sum,
                         bool matches)
{
    pthread_mutex_lock(&log->cache->lock);
    /* The page may be in another file meanwhile, or another thread has checked it. */
    if (pages_get(&log->pages, page) == PAGE_UNCHECKED && log->backing == b) {
        if (matches)
            pages_set_present(&log->pages, page, sum);
        else
            pages_set_absent(&log->pages, page);
    }
    pthread_mutex_unlock(&log->cache->lock);
}

/* Lock not held; `b` is held. Checks the pages [from, to); with RWF_NOWAIT, those that can be read
 * without waiting for the disk. */
static void check_pages(struct log *log, const struct backing *b, uint64_t from, uint64_t to,
                        int flags)
{
    /* Aligned, the kernel copies a tenth faster. */
    _Alignas(4096) char bytes[CHECK_PAGES * PAGE_SIZE];
    struct check check;
    unsigned damaged = 0;

    for (;; from = check.first + check.count) {
        size_t have = 0;
        ssize_t n;

        pthread_mutex_lock(&log->cache->lock);
        find_unchecked(log, from, to, &check);
        pthread_mutex_unlock(&log->cache->lock);
        if (!check.count)
            break;
        do {
            struct iovec rest = {.iov_base = bytes + have, .iov_len = check.len - have};
            n = preadv2(b->file.fd, &rest, 1, (off_t)((check.first << PAGE_SHIFT) + have), flags);
            have += n > 0 ? (size_t)n : 0;
        } while (have < check.len && (n > 0 || (n < 0 && errno == EINTR)));
        for (unsigned i = 0; i < check.count; i++) {
            size_t at = i * PAGE_SIZE;
            size_t len = check.len - at < PAGE_SIZE ? check.len - at : PAGE_SIZE;
            bool is_read = at + len <= have, matches;
            if (!is_read && flags)
                break;
            matches = is_read && store_page_checksum(bytes + at, len) == check.sums[i];
            note_checked(log, b, check.first + i, check.sums[i], matches);
            damaged += !matches;
        }
    }
    if (damaged)
        diag_log(log->cache->config.diag, DIAG_WARNING,
                 "job %llu: a damaged page in the cache is fetched again",
                 (unsigned long long)log->job);
}

/* Lock held. The pages ahead of the reader whose check has not begun: [*ret_from, *ret_to). */
static bool find_ahead(const struct log *log, uint64_t *ret_from, uint64_t *ret_to)
{
    uint64_t read_to = store_page_count(log->read_to), count = store_page_count(log->meta.size);

    *ret_from = log->check_next > read_to ? log->check_next : read_to;
    *ret_to = read_to + CHECK_AHEAD < count ? read_to + CHECK_AHEAD : count;
    return log->on_disk && log->backing && *ret_from < *ret_to;
}

/* Writer thread, lock not held. */
static void check_pages_ahead(struct log *log)
{
    struct cache *c = log->cache;
    struct backing *b = NULL;
    uint64_t from, to;

    pthread_mutex_lock(&c->lock);
    if (find_ahead(log, &from, &to)) {
        b = backing_ref(log->backing);
        log->check_next = to;
    }
    pthread_mutex_unlock(&c->lock);
    if (!b)
        return;
    check_pages(log, b, from, to, RWF_NOWAIT);
    backing_unref(b);
}

/* Lock held. Notes a read of [offset, end) bytes; whether check_pages_ahead is to be posted. */
static bool note_read(struct log *log, uint64_t offset, uint64_t end)
{
    uint64_t from, to, was = log->read_to;
    struct check next;

    if (end <= offset)
        return false;
    log->read_to = end;
    if (!was || offset > was + PLAN_NEAR || offset + PLAN_NEAR < was) {
        log->check_next = 0; /* not sequential */
        return false;
    }
    if (!find_ahead(log, &from, &to))
        return false;
    find_unchecked(log, from, to, &next);
    return next.count > 0;
}

/* --- what to fetch --- */

/* Lock held. Whether the bytes of `page` up to `end` (offset in the log) are in the file. */
static bool is_present(const struct log *log, uint64_t page, uint64_t end)
{
    if (pages_get(&log->pages, page) == PAGE_PRESENT)
        return true;
    return !log->meta.final && log->tail_to && page_of(log->tail_to) == page && end <= log->tail_to;
}

/* Lock held. The errno of a range that has just failed and is not requested again yet; 0: none. */
static int recent_fault(const struct log *log, uint64_t page)
{
    const struct log_fault *fault = &log->fault;

    if (!fault->err || page < fault->first || page > fault->last)
        return 0;
    return log->cache->config.now_ms() < fault->until_ms ? fault->err : 0;
}

/* Lock held. Whether nothing needs to be fetched for this page; `soon`: a reader waits for it. */
static bool is_provided(struct log *log, uint64_t page, bool soon)
{
    if (!soon && recent_fault(log, page))
        return true; /* readahead is not worth another failure */
    return pages_get(&log->pages, page) != PAGE_ABSENT || is_present(log, page, log->meta.size) ||
           fetch_covering(log, page, soon);
}

/* Lock held. Plans one fetch of [from, to), bytes, cut at the log's end. NULL: no memory. */
static struct fetch *plan_range(struct log *log, uint64_t from, uint64_t to, struct list *planned)
{
    struct fetch *f = fetch_plan(log, from, to < log->meta.size ? to : log->meta.size,
                                 SOURCE_DEMAND);

    if (f)
        list_push_back(planned, &f->request.link);
    return f;
}

/* Lock held. Plans what is missing of [from, to), bytes, in ranges of up to `range` bytes. */
static int plan_gaps(struct log *log, uint64_t from, uint64_t to, uint64_t range, bool soon,
                     struct list *planned)
{
    uint64_t last = store_page_count(log->meta.size), end = store_page_count(to);
    unsigned running = 0;

    list_each(link, &log->fetches) {
        (void)link;
        running++;
    }
    for (uint64_t p = page_of(from); p < end && (soon || running < LOG_FETCHES_MAX); p++) {
        uint64_t stop = p + 1;
        if (is_provided(log, p, soon))
            continue;
        while (stop < p + (range >> PAGE_SHIFT) && stop < last && !is_provided(log, stop, true))
            stop++;
        if (log->whole)
            stop = last;
        if (!plan_range(log, p << PAGE_SHIFT, stop << PAGE_SHIFT, planned))
            return -ENOMEM;
        running++;
    }
    return 0;
}

/* Lock held. For a backward reader: plans what is missing at the end of [offset, to), and before it
 * as much as makes a block; and what is missing before present pages. */
static int plan_back(struct log *log, uint64_t offset, uint64_t to, struct list *planned)
{
    uint64_t first = page_of(offset), end = store_page_count(to), gap, start;
    struct fetch *f;

    while (end > first && is_provided(log, end - 1, true))
        end--;
    if (end == first)
        return 0;
    for (gap = end; gap > 0 && (end - gap) << PAGE_SHIFT < 2 * PLAN_RANGE; gap--)
        if (is_provided(log, gap - 1, true))
            break;
    start = plan_block_start(gap << PAGE_SHIFT, end << PAGE_SHIFT);
    f = plan_range(log, start, end << PAGE_SHIFT, planned);
    if (!f)
        return -ENOMEM;
    f->is_block = true;
    return plan_gaps(log, offset, start, PLAN_RANGE, true, planned);
}

/* Lock held. Plans what is worth fetching for a read. */
static int plan_read(struct log_reader *r, uint64_t offset, size_t len, struct list *planned)
{
    struct log *log = r->log;
    struct plan_wish wish;
    uint64_t need;
    int rc;

    plan_note_read(&r->plan, offset, len, log->meta.size, &wish);
    if (wish.backwards && !log->whole)
        return plan_back(log, offset, wish.want_to, planned);
    /* What the read needs comes in one range, if possible. */
    need = (store_page_count(wish.need_to) - page_of(offset)) << PAGE_SHIFT;
    rc = plan_gaps(log, offset, wish.need_to, need > wish.range ? need : wish.range, true, planned);
    if (!rc && wish.range >= PLAN_RANGE)
        rc = plan_gaps(log, wish.need_to, wish.want_to, wish.range, false, planned);
    return rc;
}

/* Lock held. Plans what is missing of the log, a window at a time. 0: nothing is. *ret_page is the
 * page to wait for so as to be woken once for each range. */
static int plan_all(struct log *log, struct list *planned, uint64_t *ret_page)
{
    uint64_t count = store_page_count(log->meta.size), page = 0, from, to;
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
    if (!rc && !f) { /* LOG_FETCHES_MAX are under way elsewhere in the log */
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
        if (rc != PENDING_PARKED || !w || pending_park(&log->wait, w, generation, page, page))
            return rc;
    }
}

/* --- reading --- */

/* What log_read must do once the lock is released. */
struct read_steps {
    enum { READ_ANSWER, READ_REOPEN, READ_CHECK, READ_WAIT } next;
    uint64_t page;           /* READ_WAIT: to be waited for */
    struct backing *backing; /* READ_ANSWER, READ_CHECK: held */
    struct list planned;     /* fetches */
};

/* Lock held. For a read of [offset, end), end > offset. */
static int plan_answer(struct log_reader *r, uint64_t offset, uint64_t end,
                       struct read_steps *steps)
{
    struct log *log = r->log;
    uint64_t page = page_of(offset), last = page_of(end - 1);
    bool missing;
    int rc = 0;

    if (log->on_disk && !log->backing) {
        steps->next = READ_REOPEN;
        return 0;
    }
    while (page <= last && is_present(log, page, end))
        page++;
    missing = page <= last;
    if (missing && pages_get(&log->pages, page) == PAGE_UNCHECKED) {
        steps->next = READ_CHECK;
        steps->backing = backing_ref(log->backing);
        return 0;
    }
    if (missing && !fetch_covering(log, page, true))
        rc = recent_fault(log, page);
    if (!rc && !log_is_complete(log))
        rc = plan_read(r, offset, (size_t)(end - offset), &steps->planned);
    steps->next = missing ? READ_WAIT : READ_ANSWER;
    steps->page = page;
    if (!missing && !rc)
        steps->backing = backing_ref(log->backing);
    return rc;
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

/*
 * Lock held. The log may have turned out to be shorter since it was opened, while the kernel still
 * uses the old size. A short answer makes the kernel cut the file there, but not if attributes came
 * meanwhile: then it fills the page up with zeros. So the first read of an open file that meets the
 * end is refused, and the kernel made to forget attributes that are on their way (fs/ops.c). It
 * reads the page, which is locked until then, once more by itself; that read was sent later, and is
 * answered short. A read behind the end was sent before the kernel knew.
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
        uint64_t generation = pending_generation(&log->wait), end = offset;
        struct read_steps steps = {.next = READ_ANSWER};
        bool final, check, check_ahead;
        int rc;

        list_init(&steps.planned);
        pthread_mutex_lock(&c->lock);
        if (offset < log->meta.size)
            end = log->meta.size - offset < len ? log->meta.size : offset + len;
        final = log->meta.final;
        rc = check_end(r, offset, len);
        if (!rc && end > offset)
            rc = plan_answer(r, offset, end, &steps);
        /* A reader that never looks the log up again must see it grow, too (S11). */
        check = end - offset < len && live_take_check(log, false);
        check_ahead = steps.next == READ_ANSWER && !rc && note_read(log, offset, end);
        pthread_mutex_unlock(&c->lock);
        if (check)
            live_check(log, false);
        if (check_ahead)
            log_post(log, &log->check_ahead, check_pages_ahead);
        if (!list_is_empty(&steps.planned))
            fetch_send(log, name, final, &steps.planned);
        if (rc)
            return rc;
        switch (steps.next) {
        case READ_ANSWER:
            return make_slice(steps.backing, offset, (size_t)(end - offset), ret_slice);
        case READ_WAIT:
            if (pending_park(&log->wait, w, generation, steps.page, steps.page))
                return PENDING_PARKED;
            break;
        case READ_REOPEN:
            rc = log_reopen(log);
            if (rc)
                return rc;
            break;
        case READ_CHECK:
            check_pages(log, steps.backing, page_of(offset), store_page_count(end), 0);
            backing_unref(steps.backing);
            break;
        }
    }
}

void log_slice_done(struct log_slice *s)
{
    if (s->data)
        free(s->held);
    else
        backing_unref(s->held);
    s->held = NULL;
    s->data = NULL;
}
