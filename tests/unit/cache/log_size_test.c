/* A size that turns out to be wrong; a log whose end is not certain; a log that was replaced. */
#include "cache/cache_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A log of which one answer has given the size, and whose first MiB has come. */
static struct log *know_unproven(struct cache_fixture *b, uint64_t size)
{
    fake_add(&b->fake, 1, size)->is_unproven = true;
    return fixture_know(b, 1);
}

/* The source reports another size. */
static void tell_size(struct cache_fixture *b, uint64_t size)
{
    fake_job(&b->fake, 1)->size = size;
    assert_int_equal(fake_tell_log(fake_find_log(&b->fake, 1)), 0);
}

static void assert_stat(struct log *log, uint64_t size, bool is_proven)
{
    struct log_stat stat;

    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_int_equal(stat.size, size);
    assert_true(stat.final);
    assert_int_equal(stat.proven, is_proven);
}

/* The answer to a read. */
static int read_some(struct cache_fixture *b, struct log_reader *r, uint64_t offset, size_t len,
                     size_t *ret_len)
{
    struct guest g;
    int rc;

    guest_init(&g);
    while ((rc = fixture_try_read(r, 1, offset, len, &g, ret_len)) == PENDING_PARKED) {
        fixture_serve_until(b, &g);
        rc = guest_wait(&g);
        if (rc)
            break;
    }
    guest_finish(&g);
    return rc;
}

static void shorter_log_ends_where_it_ends_R1(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = know_unproven(b, 20 * MIB + 100);
    struct log_reader before, after;
    struct guest g;
    size_t len = 0;

    guest_init(&g);
    log_open(log, &before);
    assert_int_equal(fixture_try_read(&before, 1, 20 * MIB - 4096, 8192, &g, &len), PENDING_PARKED);
    fake_take_want(&b->fake);
    assert_stat(log, 20 * MIB + 100, false);
    tell_size(b, 20 * MIB);
    assert_stat(log, 20 * MIB, false);
    fake_serve(fake_nth_want(&b->fake, 0));
    (void)guest_wait(&g);
    /* The kernel would fill up with zeros where it does not know the end. */
    assert_int_equal(read_some(b, &before, 20 * MIB + 4096, 8192, &len), -EIO);
    assert_int_equal(read_some(b, &before, 20 * MIB - 4096, 4096, &len), 0);
    assert_int_equal(read_some(b, &before, 20 * MIB - 4096, 8192, &len), LOG_READ_AGAIN);
    assert_int_equal(read_some(b, &before, 20 * MIB + 4096, 8192, &len), -EIO);
    assert_int_equal(read_some(b, &before, 20 * MIB - 4096, 8192, &len), 0);
    assert_int_equal(len, 4096);
    log_open(log, &after);
    assert_int_equal(read_some(b, &after, 20 * MIB - 4096, 8192, &len), 0);
    assert_int_equal(len, 4096);
    assert_int_equal(read_some(b, &after, 20 * MIB, 4096, &len), 0);
    assert_int_equal(len, 0);
    assert_int_equal(fixture_read_served(b, &after, 1, 0, 20 * MIB), 0);
    fixture_settle_served(b);
    assert_stat(log, 20 * MIB, true);
    log_close(&before);
    log_close(&after);
    guest_finish(&g);
    log_release(log);
    cache_fixture_remount(b);
    log = cache_hold(b->cache, 1);
    b->fake.bytes_wanted = 0;
    assert_stat(log, 20 * MIB, true);
    assert_int_equal(b->fake.bytes_wanted, 0);
    log_release(log);
}

/* T5: what somebody has stored elsewhere is not GitHub's answer. */
static void a_copy_of_another_size_does_not_change_what_github_has_told_R1(void **state)
{
    static const uint64_t sizes[] = {20 * MIB, 21 * MIB, FIRST + 1};
    struct cache_fixture *b = *state;
    struct log *log = know_unproven(b, 20 * MIB + 100);
    struct fake_job *job = fake_job(&b->fake, 1);

    job->is_copy = true;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        job->size = sizes[i];
        assert_int_equal(fake_tell_log(fake_find_log(&b->fake, 1)), -ESTALE);
        assert_stat(log, 20 * MIB + 100, false);
    }
    tell_size(b, 20 * MIB + 100);
    job->is_copy = false;
    tell_size(b, 20 * MIB);
    assert_stat(log, 20 * MIB, false);
    log_release(log);
}

/* Its last page ends where the log was believed to end, and has to be fetched again. */
static void longer_log_is_read_on_R1(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = know_unproven(b, 100 * PAGE + 9);
    struct log_reader r;

    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, 100 * PAGE, 9), 0);
    fixture_settle(b, 0);
    tell_size(b, 100 * PAGE + 500);
    assert_stat(log, 100 * PAGE + 500, false);
    assert_int_equal(fixture_read_served(b, &r, 1, 100 * PAGE, 500), 0);
    assert_int_equal(fixture_read_served(b, &r, 1, 0, 100 * PAGE + 500), 0);
    fixture_settle_served(b);
    assert_stat(log, 100 * PAGE + 500, true);
    log_close(&r);
    log_release(log);
}

static void size_below_what_has_come_is_refused_S4(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = know_unproven(b, 20 * MIB);

    fake_job(&b->fake, 1)->size = MIB - 1;
    assert_int_equal(fake_tell_log(fake_find_log(&b->fake, 1)), -ESTALE);
    assert_stat(log, 20 * MIB, false);
    log_release(log);
}

/* A size from one answer alone is kept (S4), and is replaced in the next mount as in this one. */
static void kept_size_that_is_wrong_gives_way_S4(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = know_unproven(b, 50 * MIB + 1);
    struct log_reader r;

    log_release(log);
    cache_fixture_remount(b);
    log = cache_hold(b->cache, 1);
    assert_stat(log, 50 * MIB + 1, false);
    fake_job(&b->fake, 1)->size = 50 * MIB;
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, 30 * MIB, 4096), 0);
    assert_stat(log, 50 * MIB, false);
    log_close(&r);
    fixture_settle(b, 0);
    log_release(log);
    cache_fixture_remount(b);
    log = cache_hold(b->cache, 1);
    assert_stat(log, 50 * MIB, false);
    log_release(log);
}

static void log_whose_end_is_not_certain_is_not_kept_S8(void **state)
{
    struct cache_fixture *b = *state;
    struct cache_stats stats;
    struct log_reader r;
    struct log *log;

    *fake_add(&b->fake, 1, 300000) = (struct fake_job){.job = 1,
                                                       .size = 300000,
                                                       .has_no_range = true,
                                                       .is_unproven = true,
                                                       .is_provisional = true,
                                                       .modified_ms = 1700000000000,
                                                       .completed_ms = -1};
    log = fixture_know(b, 1);
    assert_stat(log, 300000, false);
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, 1, 0, 300000), 0);
    log_close(&r);
    fixture_settle(b, 0);
    cache_get_stats(b->cache, &stats);
    assert_int_equal(stats.published, 0);
    log_release(log);
    cache_fixture_remount(b);
    fake_job(&b->fake, 1)->size = 400000;
    log = fixture_know(b, 1);
    assert_int_equal(b->fake.bytes_wanted, 2);
    log_release(log);
}

/* Its readers read on as far as it came; a new holder begins anew, in the next mount too. */
static void replaced_log_begins_anew_S6(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = know_unproven(b, 20 * MIB), *other;
    struct log_reader r;
    struct guest g;
    size_t len;

    guest_init(&g);
    log_open(log, &r);
    assert_int_equal(fixture_try_read(&r, 1, 10 * MIB, 4096, &g, &len), PENDING_PARKED);
    fake_fail(fake_take_want(&b->fake), -EIO, SOURCE_CHANGED, guest_now_ms() + 1000);
    assert_int_equal(guest_wait(&g), -EIO);
    fixture_settle(b, 0);
    assert_int_equal(fixture_read(&r, 1, 500000, 4096), 0);
    assert_stat(log, 20 * MIB, false);
    fake_job(&b->fake, 1)->size = 300000;
    fake_job(&b->fake, 1)->is_unproven = false;
    other = fixture_know(b, 1);
    assert_ptr_not_equal(other, log);
    assert_stat(other, 300000, true);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
    log_release(other);
    cache_fixture_remount(b);
    log = cache_hold(b->cache, 1);
    assert_stat(log, 300000, true);
    log_release(log);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, cache_fixture_setup, cache_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(shorter_log_ends_where_it_ends_R1),
        WITH_BENCH(a_copy_of_another_size_does_not_change_what_github_has_told_R1),
        WITH_BENCH(longer_log_is_read_on_R1),
        WITH_BENCH(size_below_what_has_come_is_refused_S4),
        WITH_BENCH(kept_size_that_is_wrong_gives_way_S4),
        WITH_BENCH(log_whose_end_is_not_certain_is_not_kept_S8),
        WITH_BENCH(replaced_log_begins_anew_S6),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
