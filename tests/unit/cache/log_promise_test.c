/* A log that was promised to come out of an archive (S20): who requests it, who waits, and what
 * they find when the promise ends. */
#include "cache/cache_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct log *hold_promised(struct cache_fixture *b, uint64_t job, struct log_promise *p)
{
    struct log *log = cache_hold(b->cache, job);

    assert_non_null(log);
    assert_true(log_promise(log, &fixture_name, p));
    return log;
}

static int try_prefetch(struct log *log)
{
    struct log_stat stat;

    return log_get_stat(log, &fixture_name, EFFORT_NETWORK, &fixture_no_hint, NULL, &stat);
}

/* --- while it stands --- */

static void promised_log_is_requested_by_nobody_S20(void **state)
{
    struct cache_fixture *b = *state;
    struct log_promise p = {0};
    struct log *log = hold_promised(b, 1, &p);
    struct log_stat stat;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 5000);
    assert_int_equal(try_prefetch(log), PENDING_PARKED);
    assert_int_equal(fixture_try_stat(log, &g, &stat), PENDING_PARKED);
    assert_false(guest_is_answered(&g));
    assert_int_equal(log_get_stat(log, &fixture_name, EFFORT_DISK, NULL, NULL, &stat), -EAGAIN);
    assert_int_equal(b->fake.bytes_wanted, 0);
    assert_int_equal(b->fake.logs_created, 0);
    log_promise_end(&p, false);
    assert_int_equal(guest_wait(&g), 0);
    guest_finish(&g);
    log_release(log);
}

static void first_wait_of_a_reader_is_noted_and_no_prefetch_S20(void **state)
{
    struct cache_fixture *b = *state;
    struct log_promise p = {0};
    struct log *log = hold_promised(b, 1, &p);
    struct guest early, late;
    struct log_stat stat;
    int64_t first_ms;

    guest_init(&early);
    guest_init(&late);
    assert_int_equal(try_prefetch(log), PENDING_PARKED);
    assert_int_equal(atomic_load(&p.waited_for_ms), 0);
    first_ms = guest_now_ms();
    assert_int_equal(fixture_try_stat(log, &early, &stat), PENDING_PARKED);
    assert_true(atomic_load(&p.waited_for_ms) == first_ms);
    guest_pass(700);
    assert_int_equal(fixture_try_stat(log, &late, &stat), PENDING_PARKED);
    assert_true(atomic_load(&p.waited_for_ms) == first_ms);
    log_promise_end(&p, false);
    assert_int_equal(guest_wait(&early), 0);
    assert_int_equal(guest_wait(&late), 0);
    guest_finish(&early);
    guest_finish(&late);
    log_release(log);
}

static void promise_holds_its_log(void **state)
{
    struct cache_fixture *b = *state;
    struct log_promise p = {0};
    struct cache_stats stats;

    log_release(hold_promised(b, 1, &p));
    cache_get_stats(b->cache, &stats);
    assert_int_equal(stats.logs, 1);
    log_promise_end(&p, false);
    assert_null(p.log);
    cache_get_stats(b->cache, &stats);
    assert_int_equal(stats.logs, 0);
    log_promise_end(&p, false); /* once more is nothing */
}

/* --- its end --- */

static void who_waits_finds_the_published_log_S20(void **state)
{
    struct cache_fixture *b = *state;
    struct log_promise p = {0};
    struct log *log = hold_promised(b, 7, &p);
    struct log_stat stat;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_try_stat(log, &g, &stat), PENDING_PARKED);
    assert_int_equal(scratch_publish(b->store, 7, 3 * PAGE + 5), 0);
    log_promise_end(&p, false);
    assert_int_equal(guest_wait(&g), 0);
    /* scratch_publish is for octo/repo: the name counts as verified. */
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    assert_int_equal(stat.size, 3 * PAGE + 5);
    assert_true(stat.final && stat.proven);
    assert_int_equal(b->fake.bytes_wanted + b->fake.facts_wanted, 0);
    assert_int_equal(log_fetch_all(log, &fixture_name, &g.waiter), 0);
    guest_finish(&g);
    log_release(log);
}

static void who_waits_requests_what_did_not_come_S20(void **state)
{
    struct cache_fixture *b = *state;
    struct log_promise p = {0};
    struct log *log = hold_promised(b, 1, &p);
    struct log_stat stat;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 5000);
    assert_int_equal(fixture_try_stat(log, &g, &stat), PENDING_PARKED);
    log_promise_end(&p, false);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), PENDING_PARKED);
    assert_int_equal(b->fake.bytes_wanted, 1);
    fake_serve(fake_take_want(&b->fake));
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    assert_int_equal(stat.size, 5000);
    guest_finish(&g);
    log_release(log);
}

/* --- what is not promised --- */

static void log_is_promised_once(void **state)
{
    struct cache_fixture *b = *state;
    struct log_promise p = {0}, second = {0};
    struct log *log = hold_promised(b, 1, &p);

    assert_false(log_promise(log, &fixture_name, &second));
    assert_null(second.log);
    log_promise_end(&second, false); /* it does not end the first */
    assert_int_equal(try_prefetch(log), PENDING_PARKED);
    assert_int_equal(b->fake.bytes_wanted, 0);
    log_promise_end(&p, true);
    assert_true(log_promise(log, &fixture_name, &second));
    log_promise_end(&second, false);
    log_release(log);
}

/* What was to be fetched ahead meanwhile is, but not when the mount ends. */
static void prefetch_is_made_up_for_when_a_promise_ends(void **state)
{
    struct cache_fixture *b = *state;

    for (int is_over = 0; is_over < 2; is_over++) {
        struct log_promise p = {0};
        struct log *log = hold_promised(b, 1 + (uint64_t)is_over, &p);

        assert_int_equal(try_prefetch(log), PENDING_PARKED);
        log_promise_end(&p, is_over);
        assert_int_equal(b->fake.bytes_wanted, 1);
        fixture_settle_served(b);
        log_release(log);
    }
}

static void known_log_is_not_promised(void **state)
{
    struct cache_fixture *b = *state;
    struct log_promise p = {0};
    struct log *log;

    fake_add(&b->fake, 1, 5000);
    log = fixture_know(b, 1);
    assert_false(log_promise(log, &fixture_name, &p));
    assert_false(log_promise(log, &fixture_other, &p)); /* also under a name to be verified */
    assert_null(p.log);
    log_release(log);
}

static void log_on_its_way_is_not_promised(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_promise p = {0};
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 5000);
    w = fixture_begin(b, log, &g);
    assert_false(log_promise(log, &fixture_name, &p));
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    guest_finish(&g);
    fixture_settle(b, 0);
    log_release(log);
}

static void prefetched_log_is_not_promised(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_promise p = {0};

    fake_add(&b->fake, 1, 5000);
    assert_int_equal(try_prefetch(log), PENDING_PARKED); /* reads the disk */
    assert_int_equal(try_prefetch(log), PENDING_PARKED);
    assert_false(log_promise(log, &fixture_name, &p));
    fake_serve(fake_take_want(&b->fake));
    fixture_settle(b, 0);
    log_release(log);
}

static void absent_log_is_not_promised_S17(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_promise p = {0};
    struct log_stat stat;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 5000);
    fake_fail(fixture_begin(b, log, &g), -ENOENT, SOURCE_NEVER, guest_now_ms() + 60000);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), -ENOENT);
    assert_false(log_promise(log, &fixture_name, &p));
    guest_pass(60001);
    assert_true(log_promise(log, &fixture_name, &p));
    log_promise_end(&p, false);
    guest_finish(&g);
    log_release(log);
}

static void log_on_disk_is_not_promised(void **state)
{
    struct cache_fixture *b = *state;
    struct log_promise p = {0};
    struct log *log;

    assert_int_equal(scratch_publish(b->store, 7, PAGE), 0);
    log = cache_hold(b->cache, 7);
    assert_false(log_promise(log, &fixture_name, &p));
    assert_null(p.log);
    assert_int_equal(b->fake.bytes_wanted, 0);
    log_release(log);
}

/* Of a running job's log there are bytes in a file of its own: what an archive brings would be read
 * through that file. */
static void log_that_was_read_while_it_grew_is_not_promised(void **state)
{
    struct cache_fixture *b = *state;
    struct log_promise p = {0};
    struct log_reader r;
    struct log *log;

    fake_add(&b->fake, 1, 3 * PAGE + 9)->is_live = true;
    log = fixture_know(b, 1);
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, 0, PAGE), 0);
    log_close(&r);
    fake_end_check(fake_find_log(&b->fake, 1), NULL);
    log_release(log);
    assert_ptr_equal(cache_hold(b->cache, 1), log); /* before the source has released it */
    assert_int_equal(fake_turn(&b->fake), 1);
    assert_false(log_promise(log, &fixture_name, &p));
    log_release(log);
}

/* --- the end of the mount, and races --- */

static void unmount_ends_who_waits_for_a_promise_R6(void **state)
{
    struct cache_fixture *b = *state;
    struct log_promise p = {0};
    struct log *log = hold_promised(b, 1, &p);
    struct log_stat stat;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_try_stat(log, &g, &stat), PENDING_PARKED);
    waits_fail_all(&b->waits, -ECONNABORTED);
    assert_int_equal(guest_wait(&g), -ECONNABORTED);
    assert_int_equal(fixture_try_stat(log, &g, &stat), PENDING_PARKED);
    assert_int_equal(guest_wait(&g), -ECONNABORTED); /* nothing can park any more */
    log_promise_end(&p, false);
    guest_finish(&g);
    log_release(log);
}

#define ROUNDS 2000

struct race {
    struct cache_fixture *b;
    struct log *log;
    struct log_promise promise;
    pthread_barrier_t start;
    bool is_published;
};

static void *end_promises(void *who)
{
    struct race *r = who;

    for (unsigned i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&r->start);
        log_promise_end(&r->promise, false);
        pthread_barrier_wait(&r->start);
    }
    return NULL;
}

/* However the end of a promise meets a reader: the reader finds out, and nobody waits for ever. */
static void no_reader_misses_the_end_of_a_promise(void **state)
{
    struct cache_fixture *b = *state;
    struct race r = {.b = b};
    pthread_t thread;

    pthread_barrier_init(&r.start, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, end_promises, &r), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct log_stat stat;
        struct guest g;
        int rc;

        guest_init(&g);
        fake_add(&b->fake, 1, 100);
        r.promise = (struct log_promise){0};
        r.log = hold_promised(b, 1, &r.promise);
        pthread_barrier_wait(&r.start);
        while ((rc = fixture_try_stat(r.log, &g, &stat)) == PENDING_PARKED) {
            struct fake_want *w = fake_try_want(&b->fake);
            if (w) /* it has requested the log by itself */
                fake_fail(w, -EIO, SOURCE_BROKEN, 0);
            rc = guest_wait(&g);
            if (rc)
                break;
        }
        assert_int_equal(rc, -EIO);
        pthread_barrier_wait(&r.start);
        guest_finish(&g);
        fixture_settle(b, 0);
        log_release(r.log);
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&r.start);
}

/* --- how long a request takes --- */

static void request_served_after(struct cache_fixture *b, uint64_t job, int64_t ms)
{
    struct log *log = cache_hold(b->cache, job);
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    b->fake.jobs[0] = (struct fake_job){0}; /* one job's space is enough */
    fake_add(&b->fake, job, 10);
    w = fixture_begin(b, log, &g);
    guest_pass(ms);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    guest_finish(&g);
    fixture_settle(b, 0);
    log_release(log);
}

static void median_of_the_last_sixteen_first_answers(void **state)
{
    struct cache_fixture *b = *state;
    uint64_t job = 1000;

    assert_int_equal(cache_get_request_ms(b->cache), 500); /* none was timed */
    request_served_after(b, job++, 90);
    assert_int_equal(cache_get_request_ms(b->cache), 90);
    request_served_after(b, job++, 10000);
    request_served_after(b, job++, 70);
    assert_int_equal(cache_get_request_ms(b->cache), 90);
    for (unsigned i = 0; i < 9; i++)
        request_served_after(b, job++, 200);
    assert_int_equal(cache_get_request_ms(b->cache), 200);
    for (unsigned i = 0; i < 4; i++)
        request_served_after(b, job++, 3000); /* 16 by now */
    assert_int_equal(cache_get_request_ms(b->cache), 200);
    for (unsigned i = 0; i < 9; i++)
        request_served_after(b, job++, 4000); /* nine of the last 16 */
    assert_int_equal(cache_get_request_ms(b->cache), 4000);
}

static void log_that_was_promised_counts_for_no_time(void **state)
{
    struct cache_fixture *b = *state;
    struct log_promise p = {0};
    struct log *log = hold_promised(b, 7, &p);
    struct log_stat stat;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_try_stat(log, &g, &stat), PENDING_PARKED);
    assert_int_equal(scratch_publish(b->store, 7, PAGE), 0);
    guest_pass(5000);
    log_promise_end(&p, false);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    assert_int_equal(cache_get_request_ms(b->cache), 500);
    guest_finish(&g);
    log_release(log);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, cache_fixture_setup, cache_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(promised_log_is_requested_by_nobody_S20),
        TEST(first_wait_of_a_reader_is_noted_and_no_prefetch_S20),
        TEST(promise_holds_its_log),
        TEST(who_waits_finds_the_published_log_S20),
        TEST(who_waits_requests_what_did_not_come_S20),
        TEST(log_is_promised_once),
        TEST(prefetch_is_made_up_for_when_a_promise_ends),
        TEST(known_log_is_not_promised),
        TEST(log_on_its_way_is_not_promised),
        TEST(prefetched_log_is_not_promised),
        TEST(absent_log_is_not_promised_S17),
        TEST(log_on_disk_is_not_promised),
        TEST(log_that_was_read_while_it_grew_is_not_promised),
        TEST(unmount_ends_who_waits_for_a_promise_R6),
        TEST(no_reader_misses_the_end_of_a_promise),
        TEST(median_of_the_last_sixteen_first_answers),
        TEST(log_that_was_promised_counts_for_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
