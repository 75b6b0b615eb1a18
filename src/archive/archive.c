#include "archive/archive.h"

#include "archive/extract.h"
#include "archive/unzip.h"
#include "cache/cache.h"
#include "diag.h"
#include "hash.h"
#include "list.h"
#include "store/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEY_LEN (NAME_FULL_LEN + 64)
#define RECENT_MAX 1024
#define DIRECTORY_MAX (4u << 20) /* bytes read behind the entries */
#define LOOK_MS 100 /* how often promises are looked at while an archive is under way */

/* One archive, from its request to its end. */
struct run {
    struct list link; /* lock; in `runs` */
    struct archives *all;
    struct source_archive want;
    struct match *match;
    size_t count;
    int64_t began_ms;
    char *ring; /* ARCHIVE_RING bytes: [taken, put) of the stream are in it */
    char key[KEY_LEN];
    struct progress_wait waits_for; /* any thread */

    /* the archive thread */
    struct log_promise *promises; /* one for each job of the match */
    struct extract *extract;
    int64_t heard_ms;    /* when bytes came last while it was read */
    int64_t sampled_ms;  /* when its progress was looked at */
    uint64_t sampled_at; /* bytes that had come by then */
    size_t kept, unkept; /* promises that ended with the log, and without */
    bool is_demand;
    bool is_good; /* it was read to its end */

    /* lock */
    uint64_t put, taken;
    struct progress_rate rate;
    size_t lent;  /* bytes that the reader looks at */
    bool is_sent; /* the source has it: until then the archive thread leaves it alone */
    bool is_full;
    bool is_read;   /* no more of it is needed */
    bool is_done;   /* nothing comes any more */
    bool is_late;   /* given up */
    bool is_behind; /* for no fault of its own: others were read meanwhile */
    int err;        /* of the stream, once it is done */
};

struct archives {
    struct archives_config config;
    struct archive_steps_work *work;
    pthread_t thread; /* lock; from the first archive on */
    bool has_thread;

    pthread_mutex_t lock;
    pthread_cond_t news; /* bytes, an end, a run, the stop */
    /* lock */
    struct list runs;    /* only the archive thread removes what was sent */
    struct run *current; /* the one being read */
    unsigned run_count;
    bool is_stopping;
    struct archives_stats stats;
    unsigned failed;       /* in a row */
    int64_t rest_until_ms; /* no archive is requested before */
    struct {
        uint64_t key;
        int64_t until_s;
    } recent[RECENT_MAX]; /* what is not requested again yet, by hash: records may not be kept */
};

/* -- What is not requested again yet ----------------------------------------------------------- */

static void make_key(char key[KEY_LEN], const struct repo_name *repo, uint64_t id, unsigned attempt)
{
    char folded[NAME_FULL_LEN];

    name_fold(repo, folded);
    snprintf(key, KEY_LEN, "archive/%s/%llu-%u", folded, (unsigned long long)id, attempt);
}

static bool is_too_soon(struct archives *a, const char *key)
{
    int64_t now_s = a->config.wall_s(), until_s = 0;
    uint64_t hash = hash_string(HASH_START, key);
    void *data = NULL;
    size_t len = 0;

    pthread_mutex_lock(&a->lock);
    if (a->recent[hash % RECENT_MAX].key == hash)
        until_s = a->recent[hash % RECENT_MAX].until_s;
    pthread_mutex_unlock(&a->lock);
    if (!until_s && !store_get_record(a->config.store, key, &data, &len))
        until_s = strtoll(data, NULL, 10);
    free(data);
    return until_s > now_s && until_s <= now_s + ARCHIVE_FAILED_S;
}

static void note_recent(struct archives *a, const char *key, int64_t until_s)
{
    uint64_t hash = hash_string(HASH_START, key);

    pthread_mutex_lock(&a->lock);
    a->recent[hash % RECENT_MAX].key = hash;
    a->recent[hash % RECENT_MAX].until_s = until_s;
    pthread_mutex_unlock(&a->lock);
}

/* Before it is requested, so that nothing that it does to this process makes it come again. */
static void note_requested(struct archives *a, const char *key)
{
    int64_t until_s = a->config.wall_s() + ARCHIVE_FAILED_S;
    char text[32];
    int len = snprintf(text, sizeof(text), "%lld", (long long)until_s);

    note_recent(a, key, until_s);
    store_put_record(a->config.store, key, text, (size_t)len);
}

/* It did not fail, or was not asked for. */
static void note_harmless(struct archives *a, const char *key, int64_t after_s)
{
    note_recent(a, key, a->config.wall_s() + after_s);
    store_drop_record(a->config.store, key);
}

/* -- The stream; on the source's thread -------------------------------------------------------- */

static int on_bytes(struct source_archive *want, const void *data, size_t len)
{
    struct run *r = list_entry(want, struct run, want);
    struct archives *a = r->all;
    const char *bytes = data;
    int rc = SOURCE_TAKEN;

    pthread_mutex_lock(&a->lock);
    if (a->is_stopping) {
        rc = -ECONNABORTED;
    } else if (r->put - r->taken + len > ARCHIVE_RING) {
        r->is_full = true;
        progress_wait_note(&r->waits_for, PROGRESS_TURN, 0);
        rc = SOURCE_FULL;
    } else {
        size_t at = (size_t)(r->put % ARCHIVE_RING), part = ARCHIVE_RING - at;
        memcpy(r->ring + at, bytes, len < part ? len : part);
        if (len > part)
            memcpy(r->ring, bytes + part, len - part);
        r->put += len;
        progress_rate_note(&r->rate, r->put, a->config.now_ms());
        progress_wait_note(&r->waits_for, PROGRESS_FLOWS, 0);
        pthread_cond_signal(&a->news);
    }
    pthread_mutex_unlock(&a->lock);
    return rc;
}

static void on_done(struct source_archive *want, const struct source_failure *failure)
{
    struct run *r = list_entry(want, struct run, want);
    struct archives *a = r->all;

    pthread_mutex_lock(&a->lock);
    r->is_done = true;
    progress_wait_note(&r->waits_for, PROGRESS_TURN, 0); /* of the archive thread */
    r->err = failure ? failure->err : 0;
    pthread_cond_signal(&a->news);
    pthread_mutex_unlock(&a->lock);
}

/* -- Promises ---------------------------------------------------------------------------------- */

static void end_promise(struct run *r, size_t i, bool is_kept)
{
    bool is_over;

    if (!r->promises[i].log)
        return;
    pthread_mutex_lock(&r->all->lock);
    is_over = r->all->is_stopping;
    pthread_mutex_unlock(&r->all->lock);
    r->kept += is_kept;
    r->unkept += !is_kept;
    log_promise_end(&r->promises[i], is_over);
}

static void end_promises(struct run *r)
{
    for (size_t i = 0; i < r->count; i++)
        end_promise(r, i, false);
}

/* A reader has waited long enough: gives the archive up, if it has made no progress in as long, or
 * waits itself for another to be read. */
static bool is_late(struct run *r, int64_t now_ms)
{
    bool late;

    pthread_mutex_lock(&r->all->lock);
    if (now_ms - r->sampled_ms >= ARCHIVE_PATIENCE_MS) {
        r->is_behind = r != r->all->current && (r->is_full || r->is_done);
        r->is_late |= r != r->all->current ||
                      (!r->is_done && r->put - r->sampled_at < ARCHIVE_PROGRESS);
        r->sampled_at = r->put;
        r->sampled_ms = now_ms;
    }
    late = r->is_late;
    pthread_mutex_unlock(&r->all->lock);
    return late;
}

/* Returns whether anybody waits for one of these logs. */
static bool expire_promises(struct run *r, int64_t now_ms, int64_t patience_ms)
{
    bool is_waited = false, is_expired = false;

    for (size_t i = 0; i < r->count; i++) {
        int64_t waited = r->promises[i].log ? atomic_load(&r->promises[i].waited_for_ms) : 0;

        is_waited |= waited != 0;
        if (waited && waited <= now_ms - patience_ms) {
            end_promise(r, i, false);
            is_expired = true;
        }
    }
    if (is_expired && is_late(r, now_ms))
        end_promises(r);
    return is_waited;
}

/* Whoever has waited long enough requests his log by himself. */
static void look_at_promises(struct archives *a)
{
    int64_t now_ms = a->config.now_ms();
    int64_t patience_ms = cache_get_request_ms(a->config.cache) + ARCHIVE_PATIENCE_MS;

    if (patience_ms > a->config.wait_max_ms)
        patience_ms = a->config.wait_max_ms;
    pthread_mutex_lock(&a->lock);
    for (struct list *link = a->runs.next; link != &a->runs; link = link->next) {
        struct run *r = list_entry(link, struct run, link);

        if (!r->is_sent)
            continue;
        pthread_mutex_unlock(&a->lock);
        if (expire_promises(r, now_ms, patience_ms) && !r->is_demand) {
            r->is_demand = true;
            a->config.source.ops->archive_promote(a->config.source.self, &r->want);
        }
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
}

/* Lock held. Waits for news; while there are promises no longer than LOOK_MS. */
static void wait_for_news(struct archives *a)
{
    int64_t ms = a->config.now_ms() + LOOK_MS;
    struct timespec at = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    if (list_is_empty(&a->runs)) {
        pthread_cond_wait(&a->news, &a->lock);
        return;
    }
    pthread_cond_timedwait(&a->news, &a->lock, &at);
    pthread_mutex_unlock(&a->lock);
    look_at_promises(a);
    pthread_mutex_lock(&a->lock);
}

/* -- The thread -------------------------------------------------------------------------------- */

/* Lock held. Why no more of the archive is to be read; 0: nothing. */
static int find_end(const struct run *r)
{
    int64_t now_ms = r->all->config.now_ms();

    if (r->all->is_stopping)
        return -ECONNABORTED;
    if (extract_is_over(r->extract))
        return -EFBIG;
    if (r->put == r->taken && !r->is_done && now_ms - r->heard_ms > ARCHIVE_SILENCE_MS)
        return -ETIMEDOUT;
    if (r->is_late || now_ms - r->began_ms > ARCHIVE_LIFE_MS)
        return -ETIMEDOUT;
    return 0;
}

/* unzip_ops.read: the next bytes in the ring, as far as they lie together. */
static ssize_t read_ring(void *who, const void **ret_data)
{
    struct run *r = who;
    struct archives *a = r->all;
    bool was_full;
    size_t at, len;
    int rc;

    look_at_promises(a);
    pthread_mutex_lock(&a->lock);
    r->taken += r->lent;
    r->lent = 0;
    was_full = r->is_full;
    r->is_full = false;
    pthread_mutex_unlock(&a->lock);
    if (was_full)
        a->config.source.ops->resume(a->config.source.self);
    pthread_mutex_lock(&a->lock);
    while (!(rc = find_end(r)) && r->put == r->taken && !r->is_done)
        wait_for_news(a);
    at = (size_t)(r->taken % ARCHIVE_RING);
    len = (size_t)(r->put - r->taken);
    if (len > ARCHIVE_RING - at)
        len = ARCHIVE_RING - at;
    r->lent = len;
    if (len)
        r->heard_ms = a->config.now_ms();
    else if (!rc)
        rc = r->err;
    pthread_mutex_unlock(&a->lock);
    *ret_data = r->ring + at;
    return rc ? rc : (ssize_t)len;
}

static bool begin_entry(void *who, const char *name)
{
    return extract_begin(((struct run *)who)->extract, name);
}

static bool take_data(void *who, const void *data, size_t len)
{
    return extract_data(((struct run *)who)->extract, data, len);
}

static void end_entry(void *who, bool good)
{
    struct run *r = who;

    extract_end(r->extract, good);
    look_at_promises(r->all);
}

static bool is_wanted(void *who, size_t job)
{
    return ((struct run *)who)->promises[job].log != NULL;
}

static void on_settled(void *who, size_t job, bool is_published)
{
    struct run *r = who;
    const struct archives_config *config = &r->all->config;

    if (is_published && config->published)
        config->published(config->published_who, &r->want.repo, match_get_job(r->match, job)->id);
    end_promise(r, job, is_published);
    pthread_mutex_lock(&r->all->lock);
    r->all->stats.logs += is_published;
    pthread_mutex_unlock(&r->all->lock);
    look_at_promises(r->all);
}

/* Reads what stands behind the entries, so that the connection can be used again. */
static void read_rest(struct run *r)
{
    const void *data;
    size_t left = DIRECTORY_MAX;
    ssize_t n;

    while ((n = read_ring(r, &data)) > 0 && (size_t)n <= left)
        left -= (size_t)n;
}

/* Reads the archive as far as it is good for anything. */
static void read_run(struct archives *a, struct run *r)
{
    static const struct unzip_ops ops = {read_ring, begin_entry, take_data, end_entry};
    uint64_t used, limit;
    struct extract_config config = {
        .store = a->config.store,
        .repo = r->want.repo,
        .match = r->match,
        .work = a->work,
        .is_wanted = is_wanted,
        .settled = on_settled,
        .who = r,
        .keep_steps = a->config.keep_steps,
        .steps_who = a->config.who,
    };
    char why[128] = "no memory";

    pthread_mutex_lock(&a->lock);
    a->current = r;
    if (r->is_done)
        progress_wait_note(&r->waits_for, PROGRESS_FLOWS, 0);
    pthread_mutex_unlock(&a->lock);
    store_usage(a->config.store, &used, &limit);
    config.bytes_max = limit / 2;
    r->heard_ms = a->config.now_ms();
    if (!extract_create(&config, &r->extract)) {
        r->is_good = unzip(&ops, r, why, sizeof(why)) == 0 && !extract_is_over(r->extract);
        if (r->is_good)
            extract_finish(r->extract);
        end_promises(r);
        if (r->is_good)
            read_rest(r);
        extract_destroy(r->extract);
    }
    diag_log(a->config.diag, DIAG_DEBUG, "archive of run %llu, attempt %u: %s",
             (unsigned long long)r->want.run, r->want.attempt, r->is_good ? "read" : why);
    end_promises(r);
    a->config.source.ops->archive_drop(a->config.source.self, &r->want);
    pthread_mutex_lock(&a->lock);
    a->current = NULL;
    r->is_read = true;
    pthread_mutex_unlock(&a->lock);
}

static void destroy_run(struct run *r)
{
    end_promises(r);
    match_destroy(r->match);
    free(r->promises);
    free(r->ring);
    free(r);
}

/* It has been read, and nothing comes any more. */
static void finish_run(struct archives *a, struct run *r)
{
    bool is_innocent, has_failed, is_last;

    pthread_mutex_lock(&a->lock);
    is_innocent = a->is_stopping || r->is_behind;
    pthread_mutex_unlock(&a->lock);
    if (!r->want.was_answered)
        note_harmless(a, r->key, ARCHIVE_UNASKED_S);
    else if (is_innocent || (r->is_good && !r->unkept))
        note_harmless(a, r->key, ARCHIVE_SOON_S);
    pthread_mutex_lock(&a->lock);
    list_remove(&r->link);
    a->run_count--;
    has_failed = !r->kept && r->want.was_answered && !is_innocent;
    a->stats.failed += has_failed;
    a->failed = has_failed ? a->failed + 1 : r->kept ? 0 : a->failed;
    is_last = a->failed >= ARCHIVES_FAILED_MAX;
    if (is_last) {
        a->rest_until_ms = a->config.now_ms() + ARCHIVES_REST_MS;
        a->failed = 0;
    }
    pthread_mutex_unlock(&a->lock);
    if (is_last)
        diag_log(a->config.diag, DIAG_NOTICE,
                 "%d archives of runs in a row were of no use: for %d minutes each log is "
                 "requested by itself",
                 ARCHIVES_FAILED_MAX, ARCHIVES_REST_MS / 60000);
    destroy_run(r);
}

/* Lock held. One with which something can be done; NULL: none. */
static struct run *find_run(struct archives *a)
{
    list_each(link, &a->runs) {
        struct run *r = list_entry(link, struct run, link);
        if (!r->is_sent)
            continue;
        if (r->is_read ? r->is_done
                       : r->put > r->taken || r->is_done || r->is_late || a->is_stopping)
            return r;
    }
    return NULL;
}

static void *run_archives(void *arg)
{
    struct archives *a = arg;
    struct run *r;

    pthread_mutex_lock(&a->lock);
    while (!a->is_stopping || !list_is_empty(&a->runs)) {
        r = find_run(a);
        if (!r) {
            wait_for_news(a);
            continue;
        }
        pthread_mutex_unlock(&a->lock);
        if (r->is_read)
            finish_run(a, r);
        else
            read_run(a, r);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* -- What others call -------------------------------------------------------------------------- */

int archives_create(const struct archives_config *config, struct archives **ret_archives)
{
    struct archives *a = calloc(1, sizeof(*a));
    pthread_condattr_t attr;

    if (!a)
        return -ENOMEM;
    a->config = *config;
    list_init(&a->runs);
    pthread_mutex_init(&a->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&a->news, &attr);
    pthread_condattr_destroy(&attr);
    *ret_archives = a;
    return 0;
}

void archives_stop(struct archives *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->is_stopping = true;
    pthread_cond_signal(&a->news);
    pthread_mutex_unlock(&a->lock);
    if (a->has_thread) /* no other begins: it is stopping */
        pthread_join(a->thread, NULL);
    a->has_thread = false;
}

void archives_destroy(struct archives *a)
{
    if (!a)
        return;
    archives_stop(a);
    archive_steps_work_destroy(a->work);
    pthread_cond_destroy(&a->news);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* Lock held. Whether this archive may be requested: it is not under way, not too many are, and it
 * is no time of rest. */
static bool may_begin(struct archives *a, const char *key)
{
    list_each(link, &a->runs)
        if (strcmp(list_entry(link, struct run, link)->key, key) == 0)
            return false;
    return a->run_count < a->config.runs_max && !a->is_stopping &&
           a->config.now_ms() >= a->rest_until_ms;
}

static bool is_worth_it(struct archives *a, const char *key)
{
    bool is;

    pthread_mutex_lock(&a->lock);
    is = may_begin(a, key);
    pthread_mutex_unlock(&a->lock);
    return is && !is_too_soon(a, key);
}

/* Promises what is missing of the wanted logs. Returns how many that are. */
static unsigned promise_logs(struct run *r, const struct match_job *jobs)
{
    unsigned promised = 0;

    for (size_t i = 0; i < r->count; i++) {
        struct log *log = cache_hold(r->all->config.cache, jobs[i].id);

        if (log && jobs[i].wanted && log_promise(log, &r->want.repo, &r->promises[i]))
            promised++;
        log_release(log);
    }
    return promised;
}

static struct run *create_run(struct archives *a, const struct match_job *jobs, size_t count)
{
    struct run *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->all = a;
    r->began_ms = r->sampled_ms = a->config.now_ms();
    progress_rate_begin(&r->rate, 0, r->began_ms);
    r->ring = malloc(ARCHIVE_RING);
    r->promises = calloc(count, sizeof(*r->promises));
    if (!r->ring || !r->promises || match_create(jobs, count, &r->match)) {
        destroy_run(r);
        return NULL;
    }
    r->count = count;
    return r;
}

/* Lock held. */
static bool has_thread(struct archives *a)
{
    if (!a->work)
        a->work = archive_steps_work_create(a->config.timestamps);
    if (a->work && !a->has_thread && !pthread_create(&a->thread, NULL, run_archives, a)) {
        a->has_thread = true;
        pthread_setname_np(a->thread, "ghlogfs-archive");
    }
    return a->has_thread;
}

/* False: another thread was first, there are too many, or there is no memory. */
static bool begin_run(struct archives *a, struct run *r)
{
    bool is_begun;

    pthread_mutex_lock(&a->lock);
    is_begun = may_begin(a, r->key) && has_thread(a);
    if (is_begun) {
        list_push_back(&a->runs, &r->link);
        a->run_count++;
    }
    pthread_mutex_unlock(&a->lock);
    return is_begun;
}

/* It is not sent. */
static void abandon_run(struct archives *a, struct run *r)
{
    pthread_mutex_lock(&a->lock);
    list_remove(&r->link);
    a->run_count--;
    pthread_cond_signal(&a->news);
    pthread_mutex_unlock(&a->lock);
    destroy_run(r);
}

static void send_run(struct archives *a, struct run *r)
{
    note_requested(a, r->key);
    a->config.source.ops->want_archive(a->config.source.self, &r->want);
    pthread_mutex_lock(&a->lock);
    a->stats.requested++;
    r->is_sent = true; /* from here on `r` may be gone */
    pthread_cond_signal(&a->news);
    pthread_mutex_unlock(&a->lock);
}

void archives_want(struct archives *a, const struct repo_name *repo, uint64_t id, unsigned attempt,
                   const struct match_job *jobs, size_t count)
{
    char key[KEY_LEN];
    struct run *r;

    make_key(key, repo, id, attempt);
    if (count < a->config.jobs_min || !is_worth_it(a, key))
        return;
    r = create_run(a, jobs, count);
    if (!r)
        return;
    memcpy(r->key, key, sizeof(key));
    r->want = (struct source_archive){.repo = *repo,
                                      .run = id,
                                      .attempt = attempt,
                                      .class = SOURCE_PREFETCH,
                                      .waits_for = &r->waits_for,
                                      .bytes = on_bytes,
                                      .done = on_done};
    if (!begin_run(a, r))
        destroy_run(r);
    else if (promise_logs(r, jobs) < a->config.jobs_min)
        abandon_run(a, r);
    else
        send_run(a, r);
}

unsigned archives_list_status(struct archives *a, struct archives_status *ret_status, unsigned max)
{
    int64_t now_ms = a->config.now_ms();
    unsigned count = 0, n = 0;

    pthread_mutex_lock(&a->lock);
    list_each(link, &a->runs) {
        const struct run *r = list_entry(link, struct run, link);
        struct progress p = {.begun_ms = r->began_ms,
                             .bytes = r->put,
                             .size = PROGRESS_UNKNOWN,
                             .rate = progress_rate_get(&r->rate, r->put, now_ms)};
        if (!r->is_sent)
            continue;
        count++;
        p.cause = progress_wait_get(&r->waits_for, &p.until_ms);
        if (n < max)
            ret_status[n++] = (struct archives_status){.repo = r->want.repo,
                                                       .run = r->want.run,
                                                       .attempt = r->want.attempt,
                                                       .progress = p};
    }
    pthread_mutex_unlock(&a->lock);
    return count;
}

void archives_get_stats(struct archives *a, struct archives_stats *ret_stats)
{
    pthread_mutex_lock(&a->lock);
    *ret_stats = a->stats;
    pthread_mutex_unlock(&a->lock);
}
