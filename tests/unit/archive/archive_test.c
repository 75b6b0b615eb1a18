/*
 * Archives of runs from their request to their end: over a real cache and store, with a source that
 * gives what the test gives, and clocks that the test sets.
 *
 * The monotonic clock begins far behind the true one, so the archive thread, which sleeps by it,
 * never sleeps for long. It counts how often that thread reads it: see pass_archives.
 */
#include "archive/archive.h"
#include "archive/zip.h"
#include "cache/cache_fixture.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define START INT64_C(1795000000000)
#define MINUTE INT64_C(60000)
#define RUN UINT64_C(7)
#define JOBS 8
#define RUNS_MAX 6
#define LATE_MS (500 + ARCHIVE_PATIENCE_MS) /* no request was timed yet */
#define PATIENCE_S 60

static atomic_int_fast64_t mono_ms, wall;
static atomic_uint looks; /* how often the archive thread read the clock */
/* Called by wall_s() in archives_want when it reads that clock for the second time. */
static void (*before_want)(void);
static unsigned wall_reads;

static int64_t cache_now_ms(void)
{
    return atomic_load(&mono_ms);
}

static int64_t archives_now_ms(void)
{
    atomic_fetch_add(&looks, 1);
    return atomic_load(&mono_ms);
}

static int64_t wall_s(void)
{
    if (before_want && ++wall_reads == 2)
        before_want();
    return atomic_load(&wall);
}

static void pass(int64_t ms)
{
    atomic_fetch_add(&mono_ms, ms);
}

struct reader;

/* -- The fixture ------------------------------------------------------------------------------- */

struct fixture {
    struct cache_fixture *b;
    struct archives *a;
    struct match_job jobs[JOBS];
    char names[JOBS][32];
    int64_t wait_max_ms;
    uint64_t next_run; /* for runs that only have to be there */
    pthread_t ender;   /* ends what was dropped, as the network thread does */
    atomic_bool is_over;

    void (*kept)(struct fixture *f); /* called with each job's steps */
    atomic_uint steps_kept;
    struct reader *reader;
    bool was_answered;
};

static void *end_dropped(void *who)
{
    struct fixture *f = who;
    struct fake_source *fake = &f->b->fake;

    while (!atomic_load(&f->is_over))
        if (!fake_end_dropped(fake)) {
            pthread_mutex_lock(&fake->lock);
            fake_wait_a_while(fake);
            pthread_mutex_unlock(&fake->lock);
        }
    return NULL;
}

/* On the archive thread. */
static void on_steps(void *who, const struct repo_name *repo, uint64_t job,
                     const struct archive_step *steps, size_t count)
{
    struct fixture *f = who;

    (void)repo, (void)job, (void)steps, (void)count;
    if (f->kept)
        f->kept(f);
    f->steps_kept++;
}

static void create_archives(struct fixture *f)
{
    struct archives_config config = {.source = f->b->fake.source,
                                     .cache = f->b->cache,
                                     .store = f->b->store,
                                     .now_ms = archives_now_ms,
                                     .wall_s = wall_s,
                                     .jobs_min = 3,
                                     .runs_max = RUNS_MAX,
                                     .wait_max_ms = f->wait_max_ms,
                                     .keep_steps = on_steps,
                                     .who = f};

    assert_int_equal(archives_create(&config, &f->a), 0);
}

/* Jobs `first` and those behind it, each a minute long and after the other. */
static void make_jobs(struct fixture *f, uint64_t first)
{
    for (size_t i = 0; i < JOBS; i++) {
        snprintf(f->names[i], sizeof(f->names[i]), "job %zu", i + 1);
        f->jobs[i] = (struct match_job){.id = first + i,
                                        .name = f->names[i],
                                        .started_ms = START + (int64_t)i * MINUTE,
                                        .completed_ms = START + (int64_t)(i + 1) * MINUTE,
                                        .wanted = true};
    }
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    void *b;

    if (!f || cache_fixture_setup(&b))
        return -1;
    f->b = b;
    f->next_run = 1000;
    f->wait_max_ms = 30000;
    atomic_store(&mono_ms, 1);
    atomic_store(&wall, 1800000000);
    before_want = NULL;
    wall_reads = 0;
    f->b->now_ms = cache_now_ms;
    cache_fixture_remount(f->b);
    create_archives(f);
    make_jobs(f, 1);
    *state = f;
    return pthread_create(&f->ender, NULL, end_dropped, f);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    void *b = f->b;

    archives_destroy(f->a);
    atomic_store(&f->is_over, true);
    pthread_join(f->ender, NULL);
    free(f);
    return cache_fixture_teardown(&b);
}

static int64_t true_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* Until an event that another thread brings about; it fails the test if that does not come. */
#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        int64_t give_up_s = true_s() + PATIENCE_S;                                                 \
        while (!(condition)) {                                                                     \
            if (true_s() > give_up_s)                                                              \
                fail_msg("never: %s", #condition);                                                 \
            sched_yield();                                                                         \
        }                                                                                          \
    } while (0)

/* While an archive is under way: the archive thread has looked at all promises and limits since
 * this was called. It reads the clock at most four times in each turn. */
static void pass_archives(void)
{
    unsigned since = atomic_load(&looks);

    WAIT_UNTIL(atomic_load(&looks) - since >= 12);
}

static void want_run(struct fixture *f, uint64_t run)
{
    archives_want(f->a, &fixture_name, run, 1, f->jobs, JOBS);
}

static struct fake_archive *begin_run(struct fixture *f, uint64_t run)
{
    struct fake_archive *archive;

    want_run(f, run);
    archive = fake_take_archive(&f->b->fake);
    assert_int_equal(archive->run, run);
    return archive;
}

struct archive_state {
    bool is_done, is_dropped;
    unsigned promotes;
};

static struct archive_state state_of(struct fixture *f, const struct fake_archive *a)
{
    struct archive_state state;

    pthread_mutex_lock(&f->b->fake.lock);
    state = (struct archive_state){!a->a, a->is_dropped, a->promotes};
    pthread_mutex_unlock(&f->b->fake.lock);
    return state;
}

static unsigned wanted(struct fixture *f)
{
    unsigned n;

    pthread_mutex_lock(&f->b->fake.lock);
    n = f->b->fake.archives_wanted;
    pthread_mutex_unlock(&f->b->fake.lock);
    return n;
}

static struct archives_stats stats_of(struct fixture *f)
{
    struct archives_stats stats;

    archives_get_stats(f->a, &stats);
    return stats;
}

/* The archive of the fixture's jobs, their logs of `size` bytes. */
static struct zip make_zip(struct fixture *f, size_t size)
{
    struct zip z = {0};

    for (size_t i = 0; i < JOBS; i++) {
        char *log = zip_make_log(&f->jobs[i], size), name[48];

        snprintf(name, sizeof(name), "%zu_%s.txt", i, f->names[i]);
        zip_put_entry(&z, name, log, size, 0);
        free(log);
    }
    zip_put_end(&z);
    return z;
}

static void serve(struct fixture *f, struct fake_archive *archive, size_t size)
{
    struct zip z = make_zip(f, size);

    fake_give_archive(&f->b->fake, archive, z.bytes, z.len);
    fake_end_archive(&f->b->fake, archive, 0);
    zip_free(&z);
}

static bool is_published(struct fixture *f, uint64_t job)
{
    struct store_meta meta;

    if (store_load_meta(f->b->store, job, &meta))
        return false;
    store_meta_finish(&meta);
    return true;
}

/* Other jobs' archive is requested, read and published: what ended before has been forgotten. The
 * fixture has other jobs afterwards. */
static void pass_other_run(struct fixture *f)
{
    uint64_t logs = stats_of(f).logs;

    make_jobs(f, f->jobs[0].id + 100);
    serve(f, begin_run(f, f->next_run++), 100);
    WAIT_UNTIL(stats_of(f).logs == logs + JOBS);
    make_jobs(f, f->jobs[0].id + 100);
}

/* A reader of a job's log, and whether it waits. */
struct reader {
    struct guest guest;
    struct log *log;
};

static int ask(struct reader *r)
{
    struct log_stat stat;

    return fixture_try_stat(r->log, &r->guest, &stat);
}

/* It waits for a promise: nothing is requested. */
static void begin_reader(struct fixture *f, struct reader *r, size_t job)
{
    unsigned bytes_wanted = f->b->fake.bytes_wanted;

    guest_init(&r->guest);
    r->log = cache_hold(f->b->cache, f->jobs[job].id);
    assert_int_equal(ask(r), PENDING_PARKED);
    assert_int_equal(f->b->fake.bytes_wanted, bytes_wanted);
}

static void end_reader(struct reader *r)
{
    guest_finish(&r->guest);
    log_release(r->log);
}

/* It is woken, and requests the log by itself. */
static void end_alone(struct fixture *f, struct reader *r)
{
    struct fake_want *w;

    assert_int_equal(guest_wait(&r->guest), 0);
    assert_int_equal(ask(r), PENDING_PARKED);
    w = fake_take_want(&f->b->fake);
    fake_add(&f->b->fake, w->log->job, 77);
    fake_serve(w);
    assert_int_equal(guest_wait(&r->guest), 0);
    assert_int_equal(ask(r), 0);
    end_reader(r);
    fixture_settle(f->b, 0);
}

/* It is woken, and finds the log. */
static void end_with_log(struct fixture *f, struct reader *r, size_t size)
{
    unsigned bytes_wanted = f->b->fake.bytes_wanted;
    struct log_stat stat;

    assert_int_equal(guest_wait(&r->guest), 0);
    assert_int_equal(fixture_try_stat(r->log, &r->guest, &stat), 0);
    assert_int_equal(stat.size, size);
    assert_int_equal(f->b->fake.bytes_wanted, bytes_wanted);
    end_reader(r);
}

/* -- What is requested ------------------------------------------------------------------------- */

static void one_request_brings_all_logs_S20(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archive;
    struct zip z = make_zip(f, 100000);
    struct reader r;

    archive = begin_run(f, RUN);
    assert_true(name_is_same(&archive->a->repo, &fixture_name));
    assert_int_equal(archive->attempt, 1);
    assert_int_equal(archive->class, SOURCE_PREFETCH);
    begin_reader(f, &r, 2);
    want_run(f, RUN); /* it is under way */
    fake_give_archive(&f->b->fake, archive, z.bytes, z.len);
    end_with_log(f, &r, 100000);
    WAIT_UNTIL(stats_of(f).logs == JOBS);
    pass_archives();
    assert_false(
        state_of(f, archive).is_dropped); /* to its end, so that the connection serves again */
    fake_end_archive(&f->b->fake, archive, 0);
    zip_free(&z);
    for (size_t i = 0; i < JOBS; i++)
        assert_true(is_published(f, f->jobs[i].id));
    want_run(f, RUN + 1); /* nothing is missing */
    assert_int_equal(wanted(f), 1);
    assert_int_equal(stats_of(f).requested, 1);
    assert_int_equal(stats_of(f).failed, 0);
    assert_int_equal(f->b->fake.bytes_wanted, 0);
}

static void few_missing_logs_are_not_worth_it_S20(void **state)
{
    struct fixture *f = *state;
    struct log_promise p = {0};
    struct log *log = cache_hold(f->b->cache, f->jobs[1].id);

    for (size_t i = 2; i < JOBS; i++)
        assert_int_equal(scratch_publish(f->b->store, f->jobs[i].id, 100), 0);
    want_run(f, RUN);
    archives_want(f->a, &fixture_name, RUN + 1, 1, f->jobs, 2);
    assert_int_equal(wanted(f), 0);
    assert_true(log_promise(log, &fixture_name, &p)); /* none has stayed */
    log_promise_end(&p, false);
    log_release(log);
}

static void attempts_and_repositories_have_archives_of_their_own(void **state)
{
    struct fixture *f = *state;

    fake_end_archive(&f->b->fake, begin_run(f, RUN), -ENOENT);
    pass_other_run(f);
    archives_want(f->a, &fixture_name, RUN, 2, f->jobs, JOBS);
    assert_int_equal(fake_take_archive(&f->b->fake)->attempt, 2);
    make_jobs(f, 5000);
    archives_want(f->a, &fixture_other, RUN, 1, f->jobs, JOBS);
    assert_true(name_is_same(&fake_take_archive(&f->b->fake)->a->repo, &fixture_other));
}

/* -- What is not requested again --------------------------------------------------------------- */

static void failed_archive_is_not_requested_again_for_a_day_S20(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archive = begin_run(f, RUN);

    archive->was_answered = true; /* 404 */
    fake_end_archive(&f->b->fake, archive, -ENOENT);
    WAIT_UNTIL(stats_of(f).failed == 1);
    pass_other_run(f);
    want_run(f, RUN);
    atomic_fetch_add(&wall, ARCHIVE_FAILED_S - 1);
    want_run(f, RUN);
    archives_destroy(f->a);
    create_archives(f); /* the next mount */
    want_run(f, RUN);
    assert_int_equal(wanted(f), 2);
    atomic_fetch_add(&wall, 1);
    begin_run(f, RUN);
}

/* What brought not all that was promised is not worth another request. */
static void archive_without_a_log_is_not_requested_again_for_a_day_S20(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archive = begin_run(f, RUN);
    struct zip z = {0};
    char *log = zip_make_log(&f->jobs[1], 100);

    zip_put_entry(&z, "3_job 2.txt", log, 100, 0);
    zip_put_end(&z);
    fake_give_archive(&f->b->fake, archive, z.bytes, z.len);
    fake_end_archive(&f->b->fake, archive, 0);
    WAIT_UNTIL(stats_of(f).logs == 1);
    pass_other_run(f);
    atomic_fetch_add(&wall, ARCHIVE_FAILED_S - 1);
    want_run(f, RUN);
    assert_int_equal(wanted(f), 2);
    assert_int_equal(stats_of(f).failed, 0);
    zip_free(&z);
    free(log);
}

static void archive_that_was_not_asked_for_is_requested_after_a_minute_S20(void **state)
{
    struct fixture *f = *state;

    fake_end_archive(&f->b->fake, begin_run(f, RUN), -EDQUOT); /* no quota: it was not sent */
    pass_other_run(f);
    assert_int_equal(stats_of(f).failed, 0);
    atomic_fetch_add(&wall, ARCHIVE_UNASKED_S - 1);
    want_run(f, RUN);
    assert_int_equal(wanted(f), 2);
    atomic_fetch_add(&wall, 1);
    begin_run(f, RUN);
}

static void good_archive_may_come_again_after_ten_minutes_S20(void **state)
{
    struct fixture *f = *state;

    serve(f, begin_run(f, RUN), 100);
    WAIT_UNTIL(stats_of(f).logs == JOBS);
    pass_other_run(f);
    atomic_fetch_add(&wall, ARCHIVE_SOON_S - 1);
    want_run(f, RUN);
    assert_int_equal(wanted(f), 2);
    atomic_fetch_add(&wall, 1);
    begin_run(f, RUN);
}

static void clock_that_was_set_back_is_no_reason_to_wait_for_years(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archive = begin_run(f, RUN);

    archive->was_answered = true;
    fake_end_archive(&f->b->fake, archive, -ENOENT);
    pass_other_run(f);
    atomic_fetch_sub(&wall, 10 * 365 * INT64_C(86400));
    begin_run(f, RUN);
}

static void fail_run(struct fixture *f, uint64_t run, uint64_t failed)
{
    struct fake_archive *archive = begin_run(f, run);

    archive->was_answered = true;
    fake_end_archive(&f->b->fake, archive, -EIO);
    WAIT_UNTIL(stats_of(f).failed == failed);
}

static void three_failures_in_a_row_are_a_reason_to_rest_S20(void **state)
{
    struct fixture *f = *state;

    fail_run(f, 1, 1);
    fail_run(f, 2, 2);
    pass_other_run(f); /* a good one in between */
    fail_run(f, 3, 3);
    fail_run(f, 4, 4);
    fake_end_archive(&f->b->fake, begin_run(f, 5), -EDQUOT); /* tells nothing */
    make_jobs(f, 5000);
    fail_run(f, 6, 5);
    assert_int_equal(wanted(f), 7);
    want_run(f, 7);
    pass(ARCHIVES_REST_MS - 1);
    want_run(f, 7);
    assert_int_equal(wanted(f), 7);
    pass(1);
    begin_run(f, 7);
}

/* -- The stream -------------------------------------------------------------------------------- */

/* Of the archive that was requested last of `count`. */
static void assert_status(struct fixture *f, unsigned count, enum progress_cause cause,
                          uint64_t bytes)
{
    struct archives_status status[RUNS_MAX];

    assert_int_equal(archives_list_status(f->a, status, RUNS_MAX), count);
    assert_int_equal(status[count - 1].run, RUN + count - 1);
    assert_int_equal(status[count - 1].progress.cause, cause);
    assert_int_equal(status[count - 1].progress.bytes, bytes);
    assert_true(status[count - 1].progress.size == PROGRESS_UNKNOWN);
}

static void full_ring_pauses_and_goes_on_R9(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *first = begin_run(f, RUN), *second;
    struct zip z = make_zip(f, 300), large;
    unsigned resumes;

    fake_give_archive(&f->b->fake, first, z.bytes, 10); /* it is being read, and stalls */
    pass_archives();
    make_jobs(f, 200);
    large = make_zip(f, 300000);
    second = begin_run(f, RUN + 1);
    resumes = f->b->fake.resumes;
    progress_wait_note(second->a->waits_for, PROGRESS_GITHUB, 0);
    assert_status(f, 2, PROGRESS_GITHUB, 0);
    assert_false(fake_try_give_archive(&f->b->fake, second, large.bytes, large.len));
    assert_int_equal(second->refused, SOURCE_FULL);
    assert_int_equal(second->given, ARCHIVE_RING);
    assert_status(f, 2, PROGRESS_TURN, ARCHIVE_RING);
    pass_archives();
    assert_int_equal(f->b->fake.resumes, resumes);
    fake_give_archive(&f->b->fake, first, z.bytes + 10, z.len - 10);
    fake_end_archive(&f->b->fake, first, 0);
    fake_give_archive(&f->b->fake, second, large.bytes + ARCHIVE_RING, large.len - ARCHIVE_RING);
    fake_end_archive(&f->b->fake, second, 0);
    WAIT_UNTIL(stats_of(f).logs == 2 * JOBS);
    assert_true(f->b->fake.resumes > resumes);
    WAIT_UNTIL(archives_list_status(f->a, NULL, 0) == 0);
    zip_free(&z);
    zip_free(&large);
}

static void wrong_archives_publish_nothing_S20(void **state)
{
    static const char *const bodies[] = {"<!DOCTYPE html>blocked", "", "PK", "PK\003\004"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct fake_archive *archive = begin_run(f, RUN + i);
        struct reader r;

        begin_reader(f, &r, 0);
        archive->was_answered = true;
        fake_give_archive(&f->b->fake, archive, bodies[i], strlen(bodies[i]));
        fake_end_archive(&f->b->fake, archive, 0);
        WAIT_UNTIL(stats_of(f).failed == i + 1);
        end_alone(f, &r);
        pass(ARCHIVES_REST_MS);
        make_jobs(f, f->jobs[0].id + JOBS);
    }
    assert_int_equal(stats_of(f).logs, 0);
}

/* However much of it came, what was cut is not published. */
static void cut_archive_publishes_nothing_S20(void **state)
{
    struct fixture *f = *state;
    struct zip z = make_zip(f, 1000);
    struct fake_archive *archive = begin_run(f, RUN);

    fake_give_archive(&f->b->fake, archive, z.bytes, z.len - 22);
    fake_end_archive(&f->b->fake, archive, -EIO);
    WAIT_UNTIL(stats_of(f).failed == 1);
    for (size_t i = 0; i < JOBS; i++)
        assert_false(is_published(f, f->jobs[i].id));
    zip_free(&z);
}

/* -- Readers that wait ------------------------------------------------------------------------- */

static void archive_is_promoted_when_a_reader_waits_S20(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archive = begin_run(f, RUN);
    struct reader r;

    pass_archives();
    assert_int_equal(state_of(f, archive).promotes, 0);
    begin_reader(f, &r, 1);
    pass_archives();
    assert_int_equal(state_of(f, archive).promotes, 1);
    pass_archives();
    assert_int_equal(state_of(f, archive).promotes, 1);
    serve(f, archive, 100);
    end_with_log(f, &r, 100);
}

static void reader_waits_no_longer_than_its_request_and_two_seconds_S20(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archive = begin_run(f, RUN);
    struct zip z = make_zip(f, 400000);
    struct reader early, late;
    struct store_meta meta;

    begin_reader(f, &early, 3);
    pass(1000);
    begin_reader(f, &late, 0);
    fake_give_archive(&f->b->fake, archive, z.bytes, 300000); /* it makes progress */
    pass(LATE_MS - 1001);
    pass_archives();
    assert_false(guest_is_answered(&early.guest));
    pass(1);
    end_alone(f, &early); /* the others wait on */
    pass_archives();
    assert_false(guest_is_answered(&late.guest));
    fake_give_archive(&f->b->fake, archive, z.bytes + 300000, z.len - 300000);
    fake_end_archive(&f->b->fake, archive, 0);
    end_with_log(f, &late, 400000);
    WAIT_UNTIL(stats_of(f).logs == JOBS - 1);
    assert_int_equal(store_load_meta(f->b->store, f->jobs[3].id, &meta), 0);
    assert_int_equal(meta.size, 77); /* its own, not the archive's */
    store_meta_finish(&meta);
    assert_int_equal(stats_of(f).failed, 0);
    zip_free(&z);
}

/* Where `deadline` is short, or requests are slow: a reader gets no timeout for an archive. */
static void reader_does_not_wait_beyond_its_deadline_S20(void **state)
{
    struct fixture *f = *state;
    struct reader r;

    archives_destroy(f->a);
    f->wait_max_ms = 750;
    create_archives(f);
    begin_run(f, RUN);
    begin_reader(f, &r, 0);
    pass(749);
    pass_archives();
    assert_false(guest_is_answered(&r.guest));
    pass(1);
    end_alone(f, &r);
}

static void archive_without_progress_is_given_up_S20(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archive = begin_run(f, RUN);
    struct reader early, late;

    begin_reader(f, &early, 0);
    pass(LATE_MS - 100);
    begin_reader(f, &late, 1);
    pass(99);
    pass_archives();
    assert_false(state_of(f, archive).is_dropped);
    pass(1);
    end_alone(f, &early);
    end_alone(f, &late); /* though it did not wait as long */
    WAIT_UNTIL(state_of(f, archive).is_done);
    assert_true(state_of(f, archive).is_dropped);
}

/* Its readers do not wait until the archive thread has time for it. */
static void archive_without_progress_behind_another_is_given_up_S20(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *first = begin_run(f, RUN), *second;
    struct reader early, late;

    fake_give_archive(&f->b->fake, first, "PK\003\004", 4);
    pass_archives();
    make_jobs(f, 100);
    second = begin_run(f, RUN + 1);
    begin_reader(f, &early, 0);
    pass(LATE_MS - 100);
    begin_reader(f, &late, 1);
    pass(100);
    end_alone(f, &early);
    end_alone(f, &late);
    assert_false(state_of(f, first).is_dropped || state_of(f, second).is_dropped);
    pass(ARCHIVE_SILENCE_MS);
    WAIT_UNTIL(state_of(f, first).is_done && state_of(f, second).is_done);
}

static void archive_that_was_slow_later_is_given_up_S20(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archive = begin_run(f, RUN);
    struct zip z = make_zip(f, 400000);
    struct reader first, second;

    fake_give_archive(&f->b->fake, archive, z.bytes, 300000);
    begin_reader(f, &first, 3);
    pass(LATE_MS);
    end_alone(f, &first);
    begin_reader(f, &second, 2);
    fake_give_archive(&f->b->fake, archive, z.bytes + 300000, ARCHIVE_PROGRESS - 1);
    pass_archives();
    pass(cache_get_request_ms(f->b->cache) + ARCHIVE_PATIENCE_MS);
    end_alone(f, &second);
    WAIT_UNTIL(state_of(f, archive).is_done);
    assert_true(state_of(f, archive).is_dropped);
    WAIT_UNTIL(stats_of(f).failed == 1);
    assert_int_equal(stats_of(f).logs, 0);
    zip_free(&z);
}

/* Whoever waits is not to wait longer while archives_want writes its record. */
static struct fixture *early_fixture;
static struct reader early_reader;

static void wait_before_want(void)
{
    begin_reader(early_fixture, &early_reader, 0);
    pass(LATE_MS + ARCHIVE_PATIENCE_MS);
    pass_archives();
}

static void reader_that_waits_before_the_request_is_sent_breaks_nothing(void **state)
{
    struct fixture *f = *state;

    begin_run(f, RUN + 1); /* so that the archive thread is awake */
    make_jobs(f, 100);
    early_fixture = f;
    wall_reads = 0;
    before_want = wait_before_want;
    begin_run(f, RUN);
    end_alone(f, &early_reader);
}

/* -- Limits ------------------------------------------------------------------------------------ */

static void silent_archive_is_given_up_S20(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archive = begin_run(f, RUN);

    fake_give_archive(&f->b->fake, archive, "PK\003\004", 4);
    pass_archives();
    pass(ARCHIVE_SILENCE_MS);
    pass_archives();
    assert_false(state_of(f, archive).is_dropped);
    pass(1);
    WAIT_UNTIL(stats_of(f).failed == 1);
    assert_true(state_of(f, archive).is_dropped);
}

static void archive_without_end_is_given_up_S20(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archive = begin_run(f, RUN);
    struct zip z = make_zip(f, 1000);
    int64_t passed_ms = 0;

    for (size_t at = 0; passed_ms + 4900 <= ARCHIVE_LIFE_MS; at++) {
        assert_true(fake_give_archive(&f->b->fake, archive, z.bytes + at, 1));
        pass_archives();
        pass(4900);
        passed_ms += 4900;
    }
    assert_true(fake_give_archive(&f->b->fake, archive, z.bytes + 500, 1));
    pass_archives();
    pass(ARCHIVE_LIFE_MS - passed_ms);
    pass_archives();
    assert_false(state_of(f, archive).is_dropped);
    pass(1);
    WAIT_UNTIL(stats_of(f).failed == 1);
    assert_true(state_of(f, archive).is_dropped);
    zip_free(&z);
}

/* The first has stalled while it is read. The second has filled its ring: its reader waits as long
 * as any, and no other has to. The third has come whole, and nobody waits for it: it is read later.
 */
static void archives_behind_one_that_has_stalled_S20(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *first = begin_run(f, RUN), *second, *third;
    struct reader impatient, other;
    struct zip z;

    fake_give_archive(&f->b->fake, first, "PK\003\004", 4);
    pass_archives();
    make_jobs(f, 100);
    third = begin_run(f, RUN + 2);
    serve(f, third, 300);
    make_jobs(f, 200);
    z = make_zip(f, 100000);
    second = begin_run(f, RUN + 1);
    fake_try_give_archive(&f->b->fake, second, z.bytes, z.len);
    begin_reader(f, &impatient, 0);
    pass(LATE_MS - 1);
    begin_reader(f, &other, 1);
    pass(1);
    end_alone(f, &impatient);
    end_alone(f, &other);
    assert_false(state_of(f, first).is_dropped);
    pass(ARCHIVE_SILENCE_MS - LATE_MS + 1);
    WAIT_UNTIL(stats_of(f).logs == JOBS);
    WAIT_UNTIL(state_of(f, second).is_dropped);
    assert_true(state_of(f, first).is_dropped && !state_of(f, third).is_dropped);
    zip_free(&z);
}

static void let_time_pass(struct fixture *f)
{
    if (f->steps_kept == 0)
        pass(LATE_MS);
    else if (f->steps_kept == 1)
        f->was_answered = guest_is_answered(&f->reader->guest);
}

/* Its logs are read again for their steps, which may take long. */
static void reader_of_another_archive_waits_no_longer_while_one_is_finished_S20(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *first = begin_run(f, RUN);
    struct zip z = {0};
    struct reader r;

    for (size_t i = 0; i < 2; i++) {
        char *log = zip_make_log(&f->jobs[i], 500), name[48];

        snprintf(name, sizeof(name), "%zu_%s.txt", i, f->names[i]);
        zip_put_entry(&z, name, log, 500, 0);
        snprintf(name, sizeof(name), "%s/1_all.txt", f->names[i]);
        zip_put_entry(&z, name, log, 500, 0);
        free(log);
    }
    zip_put_end(&z);
    f->reader = &r;
    f->kept = let_time_pass;
    make_jobs(f, 100);
    begin_run(f, RUN + 1);
    begin_reader(f, &r, 0);
    fake_give_archive(&f->b->fake, first, z.bytes, z.len);
    fake_end_archive(&f->b->fake, first, 0);
    WAIT_UNTIL(f->steps_kept == 2);
    end_alone(f, &r);
    assert_true(f->was_answered);
    zip_free(&z);
}

static void archives_under_way_have_a_bound(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archives[RUNS_MAX];

    for (unsigned i = 0; i < RUNS_MAX; i++) {
        make_jobs(f, 1 + i * JOBS);
        archives[i] = begin_run(f, RUN + i);
    }
    make_jobs(f, 1000);
    want_run(f, RUN + RUNS_MAX);
    assert_int_equal(wanted(f), RUNS_MAX);
    fake_end_archive(&f->b->fake, archives[5], -EDQUOT);
    WAIT_UNTIL((want_run(f, RUN + RUNS_MAX), wanted(f) == RUNS_MAX + 1));
}

/* -- Threads, and the end of the mount --------------------------------------------------------- */

#define ASKERS 4
#define ROUNDS 50

struct asker {
    struct fixture *f;
    pthread_barrier_t *start;
};

static void *ask_for_runs(void *who)
{
    struct asker *asker = who;

    for (unsigned i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(asker->start);
        want_run(asker->f, RUN + i);
        pthread_barrier_wait(asker->start);
        pthread_barrier_wait(asker->start);
    }
    return NULL;
}

static void same_run_is_requested_once_by_many_threads_S20(void **state)
{
    struct fixture *f = *state;
    struct asker asker = {f, NULL};
    pthread_t threads[ASKERS];
    pthread_barrier_t start;

    pthread_barrier_init(&start, NULL, ASKERS + 1);
    asker.start = &start;
    for (unsigned i = 0; i < ASKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_for_runs, &asker), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t logs = stats_of(f).logs;

        make_jobs(f, 1 + i * JOBS);
        pthread_barrier_wait(&start);
        pthread_barrier_wait(&start);
        assert_int_equal(wanted(f), i + 1);
        serve(f, fake_take_archive(&f->b->fake), 100);
        WAIT_UNTIL(stats_of(f).logs == logs + JOBS);
        pthread_barrier_wait(&start);
    }
    for (unsigned i = 0; i < ASKERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
}

/* Stopped: nothing is under way, no promise stands, and it is no failure of the archives. */
static void stop(struct fixture *f)
{
    archives_stop(f->a);
    list_each(link, &f->b->fake.archives)
        assert_null(list_entry(link, struct fake_archive, link)->a);
    for (size_t i = 0; i < JOBS; i++) {
        struct log *log = cache_hold(f->b->cache, f->jobs[i].id);
        struct log_promise p = {0};

        if (!is_published(f, f->jobs[i].id)) {
            assert_true(log_promise(log, &fixture_name, &p));
            log_promise_end(&p, false);
        }
        log_release(log);
    }
    assert_int_equal(stats_of(f).failed, 0);
    want_run(f, 1 << 20); /* no more is begun */
    assert_int_equal(wanted(f), stats_of(f).requested);
}

static void unmount_without_archives_R6(void **state)
{
    stop(*state);
}

static void unmount_before_the_first_byte_R6(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archive = begin_run(f, RUN);
    struct reader r;

    begin_reader(f, &r, 0);
    stop(f);
    assert_true(state_of(f, archive).is_dropped);
    assert_int_equal(guest_wait(&r.guest), 0);
    end_reader(&r);
}

static void unmount_in_the_middle_R6(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archive = begin_run(f, RUN);
    struct zip z = make_zip(f, 100000);

    fake_give_archive(&f->b->fake, archive, z.bytes, z.len - 50000);
    pass_archives();
    stop(f);
    assert_true(state_of(f, archive).is_dropped);
    assert_false(is_published(f, 1));
    zip_free(&z);
}

/* The first is read and has stalled; the second is whole, the third paused, the fourth has not
 * begun, the fifth has failed. */
static void unmount_with_archives_in_all_states_R6(void **state)
{
    struct fixture *f = *state;
    struct fake_archive *archives[5];
    struct zip z = {0};

    for (unsigned i = 0; i < 5; i++) {
        make_jobs(f, 1 + i * JOBS);
        archives[i] = begin_run(f, RUN + i);
        archives[i]->was_answered = true;
        zip_free(&z);
        z = make_zip(f, i == 2 ? 100000 : 1000);
        if (i == 0) {
            fake_give_archive(&f->b->fake, archives[i], z.bytes, 100);
            pass_archives();
        } else if (i < 3) {
            fake_try_give_archive(&f->b->fake, archives[i], z.bytes, z.len);
        }
        if (i == 1)
            fake_end_archive(&f->b->fake, archives[i], 0);
        else if (i == 4)
            fake_end_archive(&f->b->fake, archives[i], -EIO);
    }
    assert_int_equal(archives[2]->refused, SOURCE_FULL);
    zip_free(&z);
    stop(f);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_request_brings_all_logs_S20),
        TEST(few_missing_logs_are_not_worth_it_S20),
        TEST(attempts_and_repositories_have_archives_of_their_own),
        TEST(failed_archive_is_not_requested_again_for_a_day_S20),
        TEST(archive_without_a_log_is_not_requested_again_for_a_day_S20),
        TEST(archive_that_was_not_asked_for_is_requested_after_a_minute_S20),
        TEST(good_archive_may_come_again_after_ten_minutes_S20),
        TEST(clock_that_was_set_back_is_no_reason_to_wait_for_years),
        TEST(three_failures_in_a_row_are_a_reason_to_rest_S20),
        TEST(full_ring_pauses_and_goes_on_R9),
        TEST(wrong_archives_publish_nothing_S20),
        TEST(cut_archive_publishes_nothing_S20),
        TEST(archive_is_promoted_when_a_reader_waits_S20),
        TEST(reader_waits_no_longer_than_its_request_and_two_seconds_S20),
        TEST(reader_does_not_wait_beyond_its_deadline_S20),
        TEST(archive_without_progress_is_given_up_S20),
        TEST(archive_without_progress_behind_another_is_given_up_S20),
        TEST(archive_that_was_slow_later_is_given_up_S20),
        TEST(reader_that_waits_before_the_request_is_sent_breaks_nothing),
        TEST(silent_archive_is_given_up_S20),
        TEST(archive_without_end_is_given_up_S20),
        TEST(archives_behind_one_that_has_stalled_S20),
        TEST(reader_of_another_archive_waits_no_longer_while_one_is_finished_S20),
        TEST(archives_under_way_have_a_bound),
        TEST(same_run_is_requested_once_by_many_threads_S20),
        TEST(unmount_without_archives_R6),
        TEST(unmount_before_the_first_byte_R6),
        TEST(unmount_in_the_middle_R6),
        TEST(unmount_with_archives_in_all_states_R6),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
