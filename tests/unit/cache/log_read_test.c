/* Reading: what is fetched, in how many ranges, and whom a failure affects. */
#include "cache/cache_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void first_bytes_are_readable_before_the_rest_S5(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct guest early, late;
    struct log_reader r;
    struct fake_want *w;
    size_t len = 0;

    guest_init(&early);
    guest_init(&late);
    fake_add(&b->fake, 1, 10 * PAGE);
    w = fixture_begin(b, log, &early);
    assert_int_equal(fake_tell(w), 0);
    assert_int_equal(guest_wait(&early), 0);
    log_open(log, &r);
    assert_int_equal(fixture_try_read(&r, 1, 0, 4096, &early, &len), PENDING_PARKED);
    assert_int_equal(fixture_try_read(&r, 1, 5 * PAGE, 4096, &late, &len), PENDING_PARKED);
    fake_give(w, PAGE - 1);
    fixture_settle(b, 1);
    assert_false(guest_is_answered(&late));
    fake_give(w, PAGE);
    while (guest_wait(&early), fixture_try_read(&r, 1, 0, 4096, &early, &len) == PENDING_PARKED)
        ;
    assert_int_equal(len, 4096);
    assert_false(guest_is_answered(&late));
    fake_serve(w);
    assert_int_equal(guest_wait(&late), 0);
    assert_int_equal(fixture_read(&r, 1, 5 * PAGE, 4096), 0);
    assert_int_equal(b->fake.bytes_wanted, 1);
    log_close(&r);
    guest_finish(&early);
    guest_finish(&late);
    log_release(log);
}

static void end_of_a_large_log_comes_without_its_front_S5(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log;

    fake_add(&b->fake, 1, GIB + 12345);
    log = fixture_know(b, 1);
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, GIB + 12345 - 4096, 4096), 0);
    fixture_settle(b, 0);
    assert_int_equal(b->fake.bytes_wanted, 2);
    assert_true(b->fake.bytes_given <= MIB + 128 * KIB);
    log_close(&r);
    log_release(log);
}

/* Reads 128 KiB at a time; each range is served as soon as it is requested. */
static void large_log_read_sequentially_is_fetched_once_in_few_ranges_S3(void **state)
{
    const uint64_t size = 150 * MIB + 4321;
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log;

    fake_add(&b->fake, 1, size);
    log = fixture_know(b, 1);
    log_open(log, &r);
    for (uint64_t at = 0; at < size; at += 128 * KIB) {
        size_t len = size - at < 128 * KIB ? (size_t)(size - at) : 128 * KIB;
        assert_int_equal(fixture_read_served(b, &r, 1, at, len), 0);
    }
    fixture_settle(b, 0);
    assert_true(b->fake.bytes_given == size);
    assert_true(b->fake.bytes_wanted <= 1 + size / (4 * MIB) + 1);
    for (unsigned i = 0; i < 200; i++) {
        uint64_t at = (UINT64_C(2654435761) * i * i + 977 * i) % (size - 70000);
        assert_int_equal(fixture_read(&r, 1, at, 1 + i * 350), 0);
    }
    assert_true(b->fake.bytes_given == size);
    log_close(&r);
    log_release(log);
}

static void one_read_of_many_pages_is_one_range_S3(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log;

    fake_add(&b->fake, 1, 100 * MIB);
    log = fixture_know(b, 1);
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, 50 * MIB + 17, 400 * KIB), 0);
    assert_int_equal(b->fake.bytes_wanted, 2);
    log_close(&r);
    log_release(log);
}

static void window_is_fetched_ahead_of_a_sequential_reader(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log;

    fake_add(&b->fake, 1, 100 * MIB);
    log = fixture_know(b, 1);
    log_open(log, &r);
    for (uint64_t at = 0; at < MIB; at += 128 * KIB)
        assert_int_equal(fixture_read(&r, 1, at, 128 * KIB), 0);
    fixture_settle(b, 1); /* no reader waits yet */
    assert_true(fake_nth_want(&b->fake, 0)->b->from == MIB);
    assert_true(fake_nth_want(&b->fake, 0)->b->to == 5 * MIB);
    assert_int_equal(fixture_read_served(b, &r, 1, MIB, 128 * KIB), 0);
    log_close(&r);
    log_release(log);
}

static void reader_who_jumps_ahead_does_not_wait_for_the_stream(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_reader r;
    struct fake_want *first, *end;
    struct guest g;
    size_t len;

    guest_init(&g);
    fake_add(&b->fake, 1, 30 * MIB);
    first = fixture_begin(b, log, &g);
    assert_int_equal(fake_tell(first), 0);
    assert_int_equal(guest_wait(&g), 0);
    log_open(log, &r);
    assert_int_equal(fixture_try_read(&r, 1, 29 * MIB, 4096, &g, &len), PENDING_PARKED);
    end = fake_take_want(&b->fake);
    assert_true(end->b->from == 29 * MIB);
    fake_serve(end);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_read(&r, 1, 29 * MIB, 4096), 0);
    fake_serve(first);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

/* More readers at more places than LOG_FETCHES_MAX: each gets its own range. */
static void each_of_many_jumping_readers_is_answered(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader readers[40];
    struct guest guests[40];
    struct log *log;
    size_t len;

    fake_add(&b->fake, 1, 200 * MIB);
    log = fixture_know(b, 1);
    for (unsigned i = 0; i < 40; i++) {
        guest_init(&guests[i]);
        log_open(log, &readers[i]);
        assert_int_equal(
            fixture_try_read(&readers[i], 1, (5 * i + 3) * MIB, 4096, &guests[i], &len),
            PENDING_PARKED);
    }
    fixture_settle(b, 40);
    fake_serve_next(&b->fake, 40);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(guest_wait(&guests[i]), 0);
        assert_int_equal(fixture_read(&readers[i], 1, (5 * i + 3) * MIB, 4096), 0);
        log_close(&readers[i]);
        guest_finish(&guests[i]);
    }
    log_release(log);
}

static void whole_log_is_fetched_however_busy_it_is(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader readers[20];
    struct guest guests[21];
    struct log *log;
    size_t len;
    int rc;

    fake_add(&b->fake, 1, 200 * MIB);
    log = fixture_know(b, 1);
    for (unsigned i = 0; i < 20; i++) {
        guest_init(&guests[i]);
        log_open(log, &readers[i]);
        assert_int_equal(
            fixture_try_read(&readers[i], 1, (5 * i + 90) * MIB, 4096, &guests[i], &len),
            PENDING_PARKED);
    }
    guest_init(&guests[20]);
    while ((rc = log_fetch_all(log, &fixture_name, &guests[20].waiter)) == PENDING_PARKED) {
        fixture_serve_until(b, &guests[20]);
        assert_int_equal(guest_wait(&guests[20]), 0);
    }
    assert_int_equal(rc, 0);
    for (struct fake_want *w; (w = fake_try_want(&b->fake));)
        fake_serve(w);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(guest_wait(&guests[i]), 0);
        log_close(&readers[i]);
        guest_finish(&guests[i]);
    }
    guest_finish(&guests[20]);
    log_release(log);
}

static void read_is_never_short_S6(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct guest g;
    struct log *log;
    size_t len = 1;

    guest_init(&g);
    fake_add(&b->fake, 1, 3 * PAGE + 100);
    log = fixture_know(b, 1);
    log_open(log, &r);
    assert_int_equal(fixture_try_read(&r, 1, 3 * PAGE - 10, 110, &g, &len), 0);
    assert_int_equal(len, 110);
    assert_int_equal(fixture_try_read(&r, 1, 3 * PAGE - 10, 1000000, &g, &len), 0);
    assert_int_equal(len, 110); /* to the end of the log */
    assert_int_equal(fixture_try_read(&r, 1, 3 * PAGE + 100, 1, &g, &len), 0);
    assert_int_equal(len, 0);
    assert_int_equal(fixture_try_read(&r, 1, UINT64_MAX - 5, 4096, &g, &len), 0);
    assert_int_equal(len, 0);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

static void failure_reaches_the_waiters_and_is_remembered_a_second(void **state)
{
    struct cache_fixture *b = *state;
    struct guest guests[3];
    struct log_reader r;
    struct fake_want *w;
    struct log *log;
    size_t len;

    for (unsigned i = 0; i < 3; i++)
        guest_init(&guests[i]);
    fake_add(&b->fake, 1, 20 * MIB);
    log = fixture_know(b, 1);
    log_open(log, &r);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(fixture_try_read(&r, 1, 10 * MIB, 4096, &guests[i], &len), PENDING_PARKED);
    w = fake_take_want(&b->fake);
    assert_int_equal(b->fake.bytes_wanted, 2);
    fake_fail(w, -ETIMEDOUT, SOURCE_UNREACHABLE, guest_now_ms() + 5000);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(guest_wait(&guests[i]), -ETIMEDOUT);
    guest_pass(999);
    /* The kernel repeats a failed READ at once. */
    assert_int_equal(fixture_try_read(&r, 1, 10 * MIB, 4096, &guests[0], &len), -ETIMEDOUT);
    assert_int_equal(b->fake.bytes_wanted, 2);
    assert_int_equal(fixture_try_read(&r, 1, 0, 4096, &guests[0], &len), 0);
    guest_pass(1);
    assert_int_equal(fixture_read_served(b, &r, 1, 10 * MIB, 4096), 0);
    log_close(&r);
    for (unsigned i = 0; i < 3; i++)
        guest_finish(&guests[i]);
    log_release(log);
}

static void bytes_received_before_a_failure_stay(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct fake_want *w;
    struct guest g;
    struct log *log;
    size_t len;
    int rc;

    guest_init(&g);
    fake_add(&b->fake, 1, 20 * MIB);
    log = fixture_know(b, 1);
    log_open(log, &r);
    assert_int_equal(fixture_try_read(&r, 1, 10 * MIB, 2 * PAGE, &g, &len), PENDING_PARKED);
    w = fake_take_want(&b->fake);
    fake_give(w, 10 * MIB + PAGE + 100);
    fake_fail(w, -EIO, SOURCE_BROKEN, guest_now_ms() + 1000);
    do /* woken when the first page came: asks again, for the second */
        rc = guest_wait(&g);
    while (!rc && (rc = fixture_try_read(&r, 1, 10 * MIB, 2 * PAGE, &g, &len)) == PENDING_PARKED);
    assert_int_equal(rc, -EIO);
    assert_int_equal(fixture_read(&r, 1, 10 * MIB, PAGE), 0);
    guest_pass(1000);
    assert_int_equal(fixture_try_read(&r, 1, 10 * MIB, 2 * PAGE, &g, &len), PENDING_PARKED);
    w = fake_take_want(&b->fake);
    assert_true(w->b->from == 10 * MIB + PAGE); /* whole pages only */
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_read(&r, 1, 10 * MIB, 2 * PAGE), 0);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

static void known_log_that_is_gone_everywhere_is_broken(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct guest g;
    struct log *log;
    size_t len;

    guest_init(&g);
    fake_add(&b->fake, 1, 20 * MIB);
    log = fixture_know(b, 1);
    log_open(log, &r);
    assert_int_equal(fixture_try_read(&r, 1, 10 * MIB, 4096, &g, &len), PENDING_PARKED);
    fake_fail(fake_take_want(&b->fake), -ENOENT, SOURCE_EXPIRED, INT64_MAX);
    assert_int_equal(guest_wait(&g), -EIO);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

/* Storage is down behind the present pages: reading these does not send a request each time. */
static void failed_window_is_not_requested_by_each_read(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log;
    unsigned wanted;

    fake_add(&b->fake, 1, 100 * MIB);
    log = fixture_know(b, 1);
    log_open(log, &r);
    for (uint64_t at = 0; at < MIB; at += 128 * KIB)
        assert_int_equal(fixture_read(&r, 1, at, 128 * KIB), 0);
    fake_fail(fake_take_want(&b->fake), -ECONNREFUSED, SOURCE_UNREACHABLE, guest_now_ms() + 5000);
    fixture_settle(b, 0);
    wanted = b->fake.bytes_wanted;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(fixture_read(&r, 1, MIB - 4096, 4096), 0);
    assert_true(b->fake.bytes_wanted <= wanted + 1);
    log_close(&r);
    log_release(log);
}

static void server_without_ranges_gets_one_request_for_all(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_reader r;
    struct fake_want *w;
    struct guest g;
    size_t len;

    guest_init(&g);
    fake_add(&b->fake, 1, 12 * MIB)->has_no_range = true;
    w = fixture_begin(b, log, &g);
    assert_int_equal(fake_tell(w), 0);
    assert_int_equal(guest_wait(&g), 0);
    log_open(log, &r);
    assert_int_equal(fixture_try_read(&r, 1, 11 * MIB, 4096, &g, &len), PENDING_PARKED);
    assert_int_equal(b->fake.bytes_wanted, 1);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_read(&r, 1, 0, 12 * MIB), 0);
    assert_int_equal(b->fake.bytes_wanted, 1);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

static void proven_size_that_changes_is_refused(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct fake_want *w;
    struct guest g;
    struct log *log;
    size_t len;

    guest_init(&g);
    fake_add(&b->fake, 1, 20 * MIB);
    log = fixture_know(b, 1);
    log_open(log, &r);
    assert_int_equal(fixture_try_read(&r, 1, 10 * MIB, 4096, &g, &len), PENDING_PARKED);
    w = fake_take_want(&b->fake);
    fake_job(&b->fake, 1)->size = 19 * MIB;
    assert_int_equal(fake_tell(w), -ESTALE);
    fake_job(&b->fake, 1)->size = 21 * MIB;
    assert_int_equal(fake_tell(w), -ESTALE);
    fake_fail(w, -EIO, SOURCE_BROKEN, guest_now_ms() + 1000);
    assert_int_equal(guest_wait(&g), -EIO);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, cache_fixture_setup, cache_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(first_bytes_are_readable_before_the_rest_S5),
        WITH_BENCH(end_of_a_large_log_comes_without_its_front_S5),
        WITH_BENCH(large_log_read_sequentially_is_fetched_once_in_few_ranges_S3),
        WITH_BENCH(one_read_of_many_pages_is_one_range_S3),
        WITH_BENCH(window_is_fetched_ahead_of_a_sequential_reader),
        WITH_BENCH(reader_who_jumps_ahead_does_not_wait_for_the_stream),
        WITH_BENCH(each_of_many_jumping_readers_is_answered),
        WITH_BENCH(whole_log_is_fetched_however_busy_it_is),
        WITH_BENCH(read_is_never_short_S6),
        WITH_BENCH(failure_reaches_the_waiters_and_is_remembered_a_second),
        WITH_BENCH(bytes_received_before_a_failure_stay),
        WITH_BENCH(known_log_that_is_gone_everywhere_is_broken),
        WITH_BENCH(failed_window_is_not_requested_by_each_read),
        WITH_BENCH(server_without_ranges_gets_one_request_for_all),
        WITH_BENCH(proven_size_that_changes_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
