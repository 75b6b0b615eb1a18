#include "fake_source.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define PATIENCE_S 30
#define ARCHIVE_PIECE 16384 /* as large as those of the network */
#define CHUNK 65000         /* no multiple of a page: pieces end anywhere */

/* --- bytes --- */

static uint64_t word_at(uint64_t job, uint64_t offset)
{
    uint64_t x = (offset >> 3) * UINT64_C(0x9E3779B97F4A7C15) ^ job * UINT64_C(0xC2B2AE3D27D4EB4F);

    x ^= x >> 29;
    x *= UINT64_C(0xBF58476D1CE4E5B9);
    return x ^ x >> 32;
}

unsigned char fake_byte(uint64_t job, uint64_t offset)
{
    return (unsigned char)(word_at(job, offset) >> (offset & 7) * 8);
}

void fake_fill(uint64_t job, uint64_t offset, void *data, size_t len)
{
    unsigned char *at = data;

    for (size_t i = 0; i < len;) {
        uint64_t word = word_at(job, offset + i) >> ((offset + i) & 7) * 8;
        do {
            at[i++] = (unsigned char)word;
            word >>= 8;
        } while (i < len && (offset + i) & 7);
    }
}

bool fake_holds(uint64_t job, uint64_t offset, const void *data, size_t len)
{
    unsigned char want[4096];

    for (size_t i = 0; i < len; i += sizeof(want)) {
        size_t part = len - i < sizeof(want) ? len - i : sizeof(want);
        fake_fill(job, offset + i, want, part);
        if (memcmp((const char *)data + i, want, part))
            return false;
    }
    return true;
}

/* --- jobs --- */

struct fake_job *fake_job(struct fake_source *f, uint64_t job)
{
    for (unsigned i = 0; i < FAKE_JOBS; i++) {
        if (f->jobs[i].job && f->jobs[i].job != job)
            continue;
        f->jobs[i].job = job;
        return &f->jobs[i];
    }
    fail_msg("more jobs than the fake source has room for");
    return NULL;
}

struct fake_job *fake_add(struct fake_source *f, uint64_t job, uint64_t size)
{
    struct fake_job *j = fake_job(f, job);

    *j = (struct fake_job){
        .job = job, .size = size, .modified_ms = 1700000000000, .completed_ms = -1};
    snprintf(j->etag, sizeof(j->etag), "\"%llu\"", (unsigned long long)job);
    return j;
}

/* --- what is asked --- */

static void note_breach(struct fake_source *f, bool is_breach, const char *what)
{
    if (is_breach && !f->breach)
        f->breach = what;
}

static struct source_log *log_create(void *self, const struct repo_name *repo, uint64_t job,
                                     bool completed, const struct source_log_ops *ops, void *who,
                                     struct progress_wait *waits_for)
{
    struct fake_source *f = self;
    struct source_log *log = calloc(1, sizeof(*log));

    if (!log)
        return NULL;
    log->fake = f;
    log->repo = *repo;
    log->job = job;
    log->completed = completed;
    log->ops = ops;
    log->who = who;
    log->waits_for = waits_for;
    pthread_mutex_lock(&f->lock);
    f->logs_created++;
    list_push_back(&f->logs, &log->link);
    pthread_mutex_unlock(&f->lock);
    return log;
}

static void log_release(struct source_log *log, void (*released)(void *who))
{
    struct fake_source *f = log->fake;

    pthread_mutex_lock(&f->lock);
    note_breach(f, log->wants > 0, "a log was released while ranges of it were under way");
    note_breach(f, log->is_checked, "a log was released while it was checked");
    note_breach(f, log->is_released, "a log was released twice");
    log->is_released = true;
    log->released = released;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void want_bytes(void *self, struct source_bytes *b)
{
    struct fake_source *f = self;
    struct fake_want *w = calloc(1, sizeof(*w));

    if (!w)
        abort();
    w->b = b;
    w->log = b->log;
    w->at = b->from;
    pthread_mutex_lock(&f->lock);
    note_breach(f, b->log->is_released, "bytes were wanted of a log that was released");
    note_breach(f, b->from >= b->to, "an empty range was wanted");
    b->log->wants++;
    f->bytes_wanted++;
    list_push_back(&f->wants, &w->link);
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void log_check(struct source_log *log, bool completed,
                      void (*checked)(void *who, const struct source_failure *failure))
{
    struct fake_source *f = log->fake;

    (void)completed;
    pthread_mutex_lock(&f->lock);
    note_breach(f, log->is_released, "a log that was released is checked");
    note_breach(f, log->is_checked, "a log is checked twice at once");
    log->is_checked = true;
    log->checked = checked;
    f->checks++;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void log_promote(void *self, uint64_t job)
{
    struct fake_source *f = self;

    (void)job;
    pthread_mutex_lock(&f->lock);
    f->promotes++;
    pthread_mutex_unlock(&f->lock);
}

static void want_facts(void *self, struct source_facts *facts)
{
    struct fake_source *f = self;
    struct fake_facts *q = calloc(1, sizeof(*q));

    if (!q)
        abort();
    q->f = facts;
    pthread_mutex_lock(&f->lock);
    f->facts_wanted++;
    list_push_back(&f->facts, &q->link);
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void facts_release(void *self, struct source_facts *facts)
{
    struct fake_source *f = self;

    pthread_mutex_lock(&f->lock);
    note_breach(f, !f->facts_done, "facts are released that were not done");
    f->facts_done--;
    pthread_mutex_unlock(&f->lock);
    free(facts->body.data);
    facts->body.data = NULL;
}

static void want_archive(void *self, struct source_archive *a)
{
    struct fake_source *f = self;
    struct fake_archive *archive = calloc(1, sizeof(*archive));

    if (!archive)
        abort();
    *archive = (struct fake_archive){
        .a = a, .was = a, .run = a->run, .attempt = a->attempt, .class = a->class};
    pthread_mutex_lock(&f->lock);
    f->archives_wanted++;
    list_push_back(&f->archives, &archive->link);
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* Lock held. The last that was wanted, as the memory of older ones may be used again. NULL: none
 * was. */
static struct fake_archive *find_archive(struct fake_source *f, const struct source_archive *a)
{
    struct fake_archive *found = NULL;

    list_each(link, &f->archives)
        if (list_entry(link, struct fake_archive, link)->was == a)
            found = list_entry(link, struct fake_archive, link);
    note_breach(f, !found, "an archive is promoted or dropped that was not wanted");
    return found;
}

static void archive_promote(void *self, struct source_archive *a)
{
    struct fake_source *f = self;
    struct fake_archive *archive;

    pthread_mutex_lock(&f->lock);
    archive = find_archive(f, a);
    if (archive && archive->a)
        archive->promotes++;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void archive_drop(void *self, struct source_archive *a)
{
    struct fake_source *f = self;
    struct fake_archive *archive;

    pthread_mutex_lock(&f->lock);
    archive = find_archive(f, a);
    if (archive && archive->a)
        archive->is_dropped = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void resume(void *self)
{
    struct fake_source *f = self;

    pthread_mutex_lock(&f->lock);
    f->resumes++;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* --- life --- */

void fake_source_init(struct fake_source *f)
{
    static const struct source_ops ops = {
        .log_create = log_create,
        .log_release = log_release,
        .want_bytes = want_bytes,
        .log_check = log_check,
        .log_promote = log_promote,
        .want_facts = want_facts,
        .facts_release = facts_release,
        .want_archive = want_archive,
        .archive_promote = archive_promote,
        .archive_drop = archive_drop,
        .resume = resume,
    };
    pthread_condattr_t attr;

    memset(f, 0, sizeof(*f));
    f->source = (struct source){.self = f, .ops = &ops};
    list_init(&f->logs);
    list_init(&f->wants);
    list_init(&f->facts);
    list_init(&f->archives);
    pthread_mutex_init(&f->lock, NULL);
    pthread_mutex_init(&f->giving, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void fake_source_finish(struct fake_source *f)
{
    struct list *link;

    if (f->breach)
        fail_msg("%s", f->breach);
    assert_true(list_is_empty(&f->wants));
    assert_true(list_is_empty(&f->facts));
    assert_int_equal(f->facts_done, 0);
    assert_true(list_is_empty(&f->logs));
    while ((link = list_take_first(&f->archives))) {
        assert_null(list_entry(link, struct fake_archive, link)->a);
        free(list_entry(link, struct fake_archive, link));
    }
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->giving);
    pthread_mutex_destroy(&f->lock);
}

/* --- waiting --- */

static struct timespec from_now(unsigned ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    return at;
}

void fake_wait_a_while(struct fake_source *f)
{
    struct timespec at = from_now(100);

    pthread_cond_timedwait(&f->changed, &f->lock, &at);
}

/* Lock held. The oldest that was not taken; NULL: none. */
static struct fake_want *find_want(struct fake_source *f)
{
    list_each(link, &f->wants) {
        struct fake_want *w = list_entry(link, struct fake_want, link);
        if (!w->is_taken) {
            w->is_taken = true;
            return w;
        }
    }
    return NULL;
}

static struct fake_facts *find_facts(struct fake_source *f)
{
    list_each(link, &f->facts) {
        struct fake_facts *q = list_entry(link, struct fake_facts, link);
        if (!q->is_taken) {
            q->is_taken = true;
            return q;
        }
    }
    return NULL;
}

struct fake_want *fake_take_want(struct fake_source *f)
{
    struct timespec at = from_now(PATIENCE_S * 1000);
    struct fake_want *w;
    int rc = 0;

    pthread_mutex_lock(&f->lock);
    while (!(w = find_want(f)) && !rc)
        rc = pthread_cond_timedwait(&f->changed, &f->lock, &at);
    pthread_mutex_unlock(&f->lock);
    if (!w)
        fail_msg("no bytes were wanted");
    return w;
}

struct fake_want *fake_try_want(struct fake_source *f)
{
    struct fake_want *w;

    pthread_mutex_lock(&f->lock);
    w = find_want(f);
    pthread_mutex_unlock(&f->lock);
    return w;
}

struct fake_want *fake_nth_want(struct fake_source *f, unsigned n)
{
    struct fake_want *w = NULL;

    pthread_mutex_lock(&f->lock);
    list_each(link, &f->wants) {
        if (n-- == 0) {
            w = list_entry(link, struct fake_want, link);
            break;
        }
    }
    pthread_mutex_unlock(&f->lock);
    return w;
}

struct fake_facts *fake_take_facts(struct fake_source *f)
{
    struct timespec at = from_now(PATIENCE_S * 1000);
    struct fake_facts *q;
    int rc = 0;

    pthread_mutex_lock(&f->lock);
    while (!(q = find_facts(f)) && !rc)
        rc = pthread_cond_timedwait(&f->changed, &f->lock, &at);
    pthread_mutex_unlock(&f->lock);
    if (!q)
        fail_msg("no facts were wanted");
    return q;
}

struct fake_facts *fake_try_facts(struct fake_source *f)
{
    struct fake_facts *q;

    pthread_mutex_lock(&f->lock);
    q = find_facts(f);
    pthread_mutex_unlock(&f->lock);
    return q;
}

/* Lock not held. */
static unsigned count(struct fake_source *f, const struct list *head)
{
    unsigned n = 0;

    pthread_mutex_lock(&f->lock);
    list_each(link, head)
        n++;
    pthread_mutex_unlock(&f->lock);
    return n;
}

unsigned fake_count_wants(struct fake_source *f)
{
    return count(f, &f->wants);
}

unsigned fake_count_facts(struct fake_source *f)
{
    return count(f, &f->facts);
}

/* --- bytes that come --- */

static const struct fake_job *job_of(const struct source_log *log)
{
    return fake_job(log->fake, log->job);
}

int fake_tell_log(struct source_log *log)
{
    const struct fake_job *j = job_of(log);
    struct source_metadata told = {.size = j->size,
                                   .final = !j->is_live,
                                   .whole = j->has_no_range,
                                   .proven = !j->is_unproven,
                                   .is_copy = j->is_copy,
                                   .provisional = j->is_provisional,
                                   .last_modified_ms = j->modified_ms,
                                   .completed_ms = j->completed_ms};

    snprintf(told.etag, sizeof(told.etag), "%s", j->etag);
    log->is_told = true;
    log->is_told_final = told.final;
    return log->ops->on_metadata(log->who, &told);
}

int fake_tell(struct fake_want *w)
{
    return fake_tell_log(w->log);
}

uint64_t fake_end_of(const struct fake_want *w)
{
    const struct fake_job *j = job_of(w->log);

    return j->has_no_range || w->b->to > j->size ? j->size : w->b->to;
}

bool fake_try_give(struct fake_want *w, size_t len)
{
    struct fake_source *f = w->log->fake;
    uint64_t end = fake_end_of(w);
    char data[CHUNK];
    int taken;

    if (len > sizeof(data))
        len = sizeof(data);
    if (len > end - w->at)
        len = (size_t)(end - w->at);
    if (!len)
        return true;
    fake_fill(w->log->job, w->at, data, len);
    taken = w->b->bytes(w->b, w->at, data, len);
    if (taken == SOURCE_FULL)
        return false;
    w->at = taken < 0 ? end : w->at + len; /* refused: nothing more of it is wanted */
    pthread_mutex_lock(&f->lock);
    f->bytes_given += len;
    pthread_mutex_unlock(&f->lock);
    return true;
}

void fake_give(struct fake_want *w, uint64_t to)
{
    struct fake_source *f = w->log->fake;
    uint64_t end = fake_end_of(w);
    unsigned resumes;

    for (end = to < end ? to : end; w->at < end;) {
        struct timespec at = from_now(PATIENCE_S * 1000);
        size_t len = end - w->at < CHUNK ? (size_t)(end - w->at) : CHUNK;
        int rc = 0;
        pthread_mutex_lock(&f->lock);
        resumes = f->resumes;
        pthread_mutex_unlock(&f->lock);
        if (fake_try_give(w, len))
            continue;
        pthread_mutex_lock(&f->lock);
        while (f->resumes == resumes && !rc)
            rc = pthread_cond_timedwait(&f->changed, &f->lock, &at);
        pthread_mutex_unlock(&f->lock);
        if (rc)
            fail_msg("bytes were refused, and nobody asked for them again");
    }
}

static void end_want(struct fake_want *w, const struct source_failure *failure)
{
    struct fake_source *f = w->log->fake;
    struct source_bytes *b = w->b;

    pthread_mutex_lock(&f->lock);
    list_remove(&w->link);
    w->log->wants--;
    pthread_mutex_unlock(&f->lock);
    free(w);
    b->done(b, failure);
}

void fake_done(struct fake_want *w)
{
    end_want(w, NULL);
}

void fake_fail(struct fake_want *w, int err, enum source_reason reason, int64_t until_ms)
{
    struct source_failure failure = {
        .err = err, .reason = reason, .until_ms = until_ms, .completed_s = -1};

    end_want(w, &failure);
}

void fake_serve(struct fake_want *w)
{
    if (!w->log->is_told)
        assert_int_equal(fake_tell(w), 0);
    fake_give(w, UINT64_MAX);
    fake_done(w);
}

void fake_serve_next(struct fake_source *f, unsigned wants)
{
    for (unsigned i = 0; i < wants; i++)
        fake_serve(fake_take_want(f));
}

/* --- facts that come --- */

static void end_facts(struct fake_source *f, struct fake_facts *q,
                      const struct source_answer *answer)
{
    struct source_facts *facts = q->f;

    pthread_mutex_lock(&f->lock);
    list_remove(&q->link);
    f->facts_done++;
    pthread_mutex_unlock(&f->lock);
    free(q);
    facts->done(facts, answer);
}

void fake_answer(struct fake_source *f, struct fake_facts *q, const char *body, const char *etag,
                 unsigned next_page)
{
    struct source_answer answer = {.not_modified = !body,
                                   .len = body ? strlen(body) : 0,
                                   .etag = etag,
                                   .next_page = next_page};

    /* Readable until it is released, and no longer. */
    q->f->body.data = body ? strdup(body) : NULL;
    answer.body = q->f->body.data;
    end_facts(f, q, &answer);
}

void fake_refuse(struct fake_source *f, struct fake_facts *q, int err, enum source_reason reason,
                 int64_t until_ms)
{
    struct source_failure failure = {
        .err = err, .reason = reason, .until_ms = until_ms, .completed_s = -1};
    struct source_answer answer = {.failure = &failure, .etag = ""};

    end_facts(f, q, &answer);
}

/* --- archives that come --- */

/* Lock held. */
static struct fake_archive *find_new_archive(struct fake_source *f)
{
    list_each(link, &f->archives)
        if (!list_entry(link, struct fake_archive, link)->is_taken)
            return list_entry(link, struct fake_archive, link);
    return NULL;
}

struct fake_archive *fake_take_archive(struct fake_source *f)
{
    struct timespec at = from_now(PATIENCE_S * 1000);
    struct fake_archive *a;
    int rc = 0;

    pthread_mutex_lock(&f->lock);
    while (!(a = find_new_archive(f)) && !rc)
        rc = pthread_cond_timedwait(&f->changed, &f->lock, &at);
    if (a)
        a->is_taken = true;
    pthread_mutex_unlock(&f->lock);
    if (!a)
        fail_msg("no archive was wanted");
    return a;
}

/* One piece. Returns what bytes() does, or -ECANCELED where it was dropped. *ret_resumes: how often
 * it was resumed before. */
static int give_piece(struct fake_source *f, struct fake_archive *a, const void *data, size_t len,
                      unsigned *ret_resumes)
{
    bool is_over;
    int rc;

    pthread_mutex_lock(&f->giving);
    pthread_mutex_lock(&f->lock);
    *ret_resumes = f->resumes;
    is_over = a->is_dropped || !a->a;
    pthread_mutex_unlock(&f->lock);
    rc = is_over ? -ECANCELED : a->a->bytes(a->a, data, len);
    pthread_mutex_lock(&f->lock);
    a->refused = rc;
    if (rc == SOURCE_TAKEN) {
        a->was_answered = true;
        a->given += len;
    }
    pthread_mutex_unlock(&f->lock);
    pthread_mutex_unlock(&f->giving);
    return rc;
}

static bool give_archive(struct fake_source *f, struct fake_archive *a, const char *data,
                         size_t len, bool waits)
{
    while (len > 0) {
        struct timespec until = from_now(PATIENCE_S * 1000);
        size_t part = len < ARCHIVE_PIECE ? len : ARCHIVE_PIECE;
        unsigned resumes;
        int rc = give_piece(f, a, data, part, &resumes), late = 0;

        if (rc < 0 || (rc == SOURCE_FULL && !waits))
            return false;
        if (rc == SOURCE_TAKEN) {
            data += part;
            len -= part;
            continue;
        }
        pthread_mutex_lock(&f->lock);
        while (f->resumes == resumes && !a->is_dropped && !late)
            late = pthread_cond_timedwait(&f->changed, &f->lock, &until);
        pthread_mutex_unlock(&f->lock);
        if (late)
            fail_msg("an archive was refused, and nobody asked for it again");
    }
    return true;
}

bool fake_give_archive(struct fake_source *f, struct fake_archive *a, const void *data, size_t len)
{
    return give_archive(f, a, data, len, true);
}

bool fake_try_give_archive(struct fake_source *f, struct fake_archive *a, const void *data,
                           size_t len)
{
    return give_archive(f, a, data, len, false);
}

void fake_end_archive(struct fake_source *f, struct fake_archive *a, int err)
{
    struct source_failure failure = {.err = err, .reason = SOURCE_BROKEN, .completed_s = -1};
    struct source_archive *its;

    pthread_mutex_lock(&f->giving);
    pthread_mutex_lock(&f->lock);
    its = a->a;
    a->a = NULL;
    pthread_mutex_unlock(&f->lock);
    if (its) {
        its->was_answered = a->was_answered;
        its->done(its, err ? &failure : NULL);
    }
    pthread_mutex_unlock(&f->giving);
}

unsigned fake_end_dropped(struct fake_source *f)
{
    struct fake_archive *dropped;
    unsigned n = 0;

    do {
        dropped = NULL;
        pthread_mutex_lock(&f->lock);
        list_each(link, &f->archives) {
            struct fake_archive *a = list_entry(link, struct fake_archive, link);
            if (a->is_dropped && a->a)
                dropped = a;
        }
        pthread_mutex_unlock(&f->lock);
        if (dropped)
            fake_end_archive(f, dropped, -ECANCELED);
        n += dropped != NULL;
    } while (dropped);
    return n;
}

/* --- logs that go --- */

struct source_log *fake_find_log(struct fake_source *f, uint64_t job)
{
    struct source_log *found = NULL;

    pthread_mutex_lock(&f->lock);
    list_each(link, &f->logs) {
        struct source_log *log = list_entry(link, struct source_log, link);
        if (log->job == job && !log->is_released)
            found = log;
    }
    pthread_mutex_unlock(&f->lock);
    return found;
}

bool fake_end_check(struct source_log *log, const struct source_failure *failure)
{
    struct fake_source *f = log->fake;
    bool was_checked;

    pthread_mutex_lock(&f->lock);
    was_checked = log->is_checked;
    log->is_checked = false;
    pthread_mutex_unlock(&f->lock);
    if (was_checked)
        log->checked(log->who, failure);
    return was_checked;
}

/* One that is to be let go; NULL: none. */
static struct source_log *take_released(struct fake_source *f)
{
    struct source_log *found = NULL;

    pthread_mutex_lock(&f->lock);
    list_each(link, &f->logs) {
        struct source_log *log = list_entry(link, struct source_log, link);
        if (log->is_released) {
            found = log;
            list_remove(link);
            break;
        }
    }
    pthread_mutex_unlock(&f->lock);
    return found;
}

unsigned fake_turn(struct fake_source *f)
{
    struct source_log *log;
    unsigned n = 0;

    for (; (log = take_released(f)); n++) {
        if (log->released)
            log->released(log->who);
        free(log);
    }
    return n;
}

/* Lock not held. One whose check is to be ended; NULL: none. */
static struct source_log *find_checked(struct fake_source *f)
{
    struct source_log *found = NULL;

    pthread_mutex_lock(&f->lock);
    list_each(link, &f->logs) {
        struct source_log *log = list_entry(link, struct source_log, link);
        if (log->is_checked)
            found = log;
    }
    pthread_mutex_unlock(&f->lock);
    return found;
}

void fake_close(struct fake_source *f)
{
    struct source_failure closing = {
        .err = -ECONNABORTED, .reason = SOURCE_CLOSING, .completed_s = -1};
    struct fake_facts *q;
    struct source_log *log;

    while (fake_count_wants(f))
        fake_fail(fake_nth_want(f, 0), closing.err, closing.reason, 0);
    while (fake_count_facts(f)) {
        pthread_mutex_lock(&f->lock);
        q = list_entry(f->facts.next, struct fake_facts, link);
        pthread_mutex_unlock(&f->lock);
        fake_refuse(f, q, closing.err, closing.reason, 0);
    }
    while ((log = find_checked(f)))
        fake_end_check(log, &closing);
    fake_turn(f);
}
