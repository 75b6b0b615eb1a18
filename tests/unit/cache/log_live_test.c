/* A running job's log: readable up to its end, growing, final exactly once (S8, S11). */
#include "cache/cache_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIZE (2 * PAGE + 500)

/* A live log of SIZE bytes, all of them present, opened. */
static struct log *know_live(struct cache_fixture *b, uint64_t job, struct log_reader *r)
{
    struct log *log;

    fake_add(&b->fake, job, SIZE)->is_live = true;
    log = fixture_know(b, job);
    log_open(log, r);
    return log;
}

/* The check for growth finds that the log has this size by now. */
static void grow(struct cache_fixture *b, struct log *log, uint64_t job, uint64_t size)
{
    struct log_stat stat;
    struct source_log *handle;

    guest_pass(5000);
    assert_int_equal(fixture_stat(log, &stat), 0);
    fake_job(&b->fake, job)->size = size;
    handle = fake_find_log(&b->fake, job);
    assert_non_null(handle);
    assert_int_equal(fake_tell_log(handle), 0);
    assert_true(fake_end_check(handle, NULL));
    fixture_settle(b, 0);
}

static void live_log_is_readable_to_its_last_byte_S11(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log_stat stat;
    struct guest g;
    struct log *log = know_live(b, 1, &r);
    size_t len = 0;

    guest_init(&g);
    assert_true(r.direct);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_true(!stat.final && stat.size == SIZE);
    assert_int_equal(fixture_read(&r, 1, 0, SIZE), 0);
    assert_int_equal(fixture_try_read(&r, 1, SIZE - 10, 4096, &g, &len), 0);
    assert_int_equal(len, 10);
    assert_int_equal(fixture_try_read(&r, 1, SIZE, 4096, &g, &len), 0);
    assert_int_equal(len, 0);
    assert_int_equal(b->fake.bytes_wanted, 1);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

static void log_grows_within_and_beyond_its_last_page_S11(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log_stat stat;
    struct log *log = know_live(b, 1, &r);

    grow(b, log, 1, SIZE + 100);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_true(stat.size == SIZE + 100);
    assert_int_equal(fixture_read_served(b, &r, 1, SIZE, 100), 0);
    grow(b, log, 1, 7 * PAGE + 3);
    assert_int_equal(fixture_read_served(b, &r, 1, SIZE + 50, 5 * PAGE + 3 - 550), 0);
    assert_int_equal(fixture_read_served(b, &r, 1, 0, 7 * PAGE + 3), 0);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_false(stat.final);
    log_close(&r);
    log_release(log);
}

static void growth_is_looked_for_every_five_seconds_and_once_P12(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log_stat stat;
    struct log *log = know_live(b, 1, &r);

    guest_pass(5000);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(fixture_stat(log, &stat), 0);
    assert_int_equal(b->fake.checks, 1);
    guest_pass(5000); /* it is still running */
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_int_equal(b->fake.checks, 1);
    assert_true(fake_end_check(fake_find_log(&b->fake, 1), NULL));
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_int_equal(b->fake.checks, 2);
    assert_true(fake_end_check(fake_find_log(&b->fake, 1), NULL));
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_int_equal(b->fake.checks, 2);
    log_close(&r);
    log_release(log);
}

/* Direct reads come without GETATTR: a reader who only reads must see it grow as well. */
static void reading_at_the_end_looks_for_growth_S11(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct source_log *handle;
    struct guest g;
    struct log *log = know_live(b, 1, &r);
    size_t len;

    guest_init(&g);
    assert_true(fake_end_check(fake_find_log(&b->fake, 1), NULL)); /* that of the stat */
    guest_pass(5000);
    assert_int_equal(fixture_try_read(&r, 1, 0, 100, &g, &len), 0);
    assert_int_equal(b->fake.checks, 1);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(fixture_try_read(&r, 1, SIZE, 4096, &g, &len), 0);
    assert_int_equal(b->fake.checks, 2);
    fake_job(&b->fake, 1)->size = SIZE + 100;
    handle = fake_find_log(&b->fake, 1);
    assert_int_equal(fake_tell_log(handle), 0);
    assert_true(fake_end_check(handle, NULL));
    fixture_settle(b, 0);
    assert_int_equal(fixture_read_served(b, &r, 1, SIZE, 100), 0);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

/* The listing came after the first request for the log. */
static void end_seen_in_a_listing_is_its_time_S7(void **state)
{
    struct cache_fixture *b = *state;
    const struct log_hint ended = {.completed = true, .completed_ms = 1711111111000};
    struct source_log *handle;
    struct log_reader r;
    struct log_stat stat;
    struct log *log = know_live(b, 1, &r);

    guest_pass(5000);
    assert_int_equal(fixture_stat_as(log, &fixture_name, &ended, &stat), 0);
    fake_job(&b->fake, 1)->is_live = false;
    handle = fake_find_log(&b->fake, 1);
    assert_int_equal(fake_tell_log(handle), 0);
    assert_true(fake_end_check(handle, NULL));
    fixture_settle(b, 0);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_true(stat.final && stat.mtime_ms == 1711111111000);
    log_close(&r);
    log_release(log);
}

static void becomes_final_once_and_is_published_S8(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r, second;
    struct log_stat stat;
    struct cache_stats stats;
    struct log *log = know_live(b, 1, &r);

    assert_int_equal(fixture_read(&r, 1, 0, SIZE), 0);
    fake_job(&b->fake, 1)->is_live = false;
    fake_job(&b->fake, 1)->completed_ms = 1712345678000;
    grow(b, log, 1, SIZE); /* the same bytes, but final */
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_true(stat.final && stat.size == SIZE && stat.mtime_ms == 1712345678000);
    cache_get_stats(b->cache, &stats);
    assert_int_equal(stats.published, 1);
    guest_pass(60000);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_int_equal(b->fake.checks, 1);
    assert_int_equal(fixture_read(&r, 1, 0, SIZE), 0);
    log_open(log, &second);
    assert_false(second.direct);
    log_close(&second);
    log_close(&r);
    log_release(log);
    cache_fixture_remount(b);
    log = cache_hold(b->cache, 1);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_true(stat.final && stat.size == SIZE);
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, 1, 0, SIZE), 0);
    assert_int_equal(b->fake.bytes_wanted, 1);
    log_close(&r);
    log_release(log);
}

static void last_bytes_come_with_the_end_S8(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct cache_stats stats;
    struct log *log = know_live(b, 1, &r);

    fake_job(&b->fake, 1)->is_live = false;
    grow(b, log, 1, 4 * PAGE + 9);
    assert_int_equal(fixture_read_served(b, &r, 1, 0, 4 * PAGE + 9), 0);
    fixture_settle(b, 0);
    cache_get_stats(b->cache, &stats);
    assert_int_equal(stats.published, 1);
    log_close(&r);
    log_release(log);
}

static void live_log_never_shrinks_below_what_has_come_S4(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log_stat stat;
    struct log *log = know_live(b, 1, &r);

    fake_job(&b->fake, 1)->size = SIZE - 1;
    assert_int_equal(fake_tell_log(fake_find_log(&b->fake, 1)), -ESTALE);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_true(stat.size == SIZE);
    log_close(&r);
    fake_job(&b->fake, 1)->size = SIZE;
    log_release(log);
}

static void live_log_is_not_kept_as_final_S8(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log = know_live(b, 1, &r);
    struct log_stat stat;
    struct cache_stats stats;

    cache_get_stats(b->cache, &stats);
    assert_int_equal(stats.published, 0);
    log_close(&r);
    log_release(log);
    cache_fixture_remount(b);
    log = fixture_know(b, 1); /* requested again */
    assert_int_equal(b->fake.bytes_wanted, 2);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_false(stat.final);
    log_release(log);
}

/* Released and held again before its handle was released: growth must still be seen. */
static void live_log_held_again_is_requested_again_S11(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_stat stat;
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 0)->is_live = true; /* no bytes: nothing to be kept for a while */
    w = fixture_begin(b, log, &g);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    fixture_settle(b, 0);
    log_release(log); /* its handle is being released */
    log = cache_hold(b->cache, 1);
    fake_job(&b->fake, 1)->size = 700;
    guest_pass(5000);
    if (!fixture_try_stat(log, &g, &stat)) {
        assert_true(fake_end_check(fake_find_log(&b->fake, 1), NULL));
        fail_msg("stays as it was known");
    }
    fake_turn(&b->fake);
    fake_serve(fake_take_want(&b->fake));
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    assert_int_equal(stat.size, 700);
    guest_finish(&g);
    log_release(log);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, cache_fixture_setup, cache_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(live_log_is_readable_to_its_last_byte_S11),
        WITH_BENCH(log_grows_within_and_beyond_its_last_page_S11),
        WITH_BENCH(end_seen_in_a_listing_is_its_time_S7),
        WITH_BENCH(reading_at_the_end_looks_for_growth_S11),
        WITH_BENCH(growth_is_looked_for_every_five_seconds_and_once_P12),
        WITH_BENCH(becomes_final_once_and_is_published_S8),
        WITH_BENCH(last_bytes_come_with_the_end_S8),
        WITH_BENCH(live_log_never_shrinks_below_what_has_come_S4),
        WITH_BENCH(live_log_is_not_kept_as_final_S8),
        WITH_BENCH(live_log_held_again_is_requested_again_S11),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
