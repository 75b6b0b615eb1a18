/* Where space is short: memory, a full disk, logs without readers (R3, EFBIG). */
#include "cache/cache_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

static void log_larger_than_memory_is_too_big(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r, small_reader;
    struct log_stat stat;
    struct fake_want *w;
    struct guest g;
    struct log *log, *small;

    cache_fixture_forget_disk(b, 2 * MIB);
    guest_init(&g);
    fake_add(&b->fake, 1, 50 * MIB);
    fake_add(&b->fake, 3, MIB);
    log = fixture_know(b, 1);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_true(stat.size == 50 * MIB);
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, 1, 0, 4096), 0);
    assert_int_equal(fixture_read_served(b, &r, 1, 20 * MIB, 4096), 0);
    /* Sequentially to the end: at some place there is no space. */
    for (uint64_t at = 0; at < 50 * MIB; at += 128 * KIB) {
        int rc = fixture_read_served(b, &r, 1, at, 128 * KIB);
        if (rc) {
            assert_int_equal(rc, -EFBIG);
            assert_true(at > 512 * KIB);
            break;
        }
        assert_true(at < 3 * MIB);
    }
    /* What it took is free before the kernel reports the close(): for another log or part. */
    small = fixture_know(b, 3);
    log_open(small, &small_reader);
    assert_int_equal(fixture_read_served(b, &small_reader, 3, 0, MIB), 0);
    log_close(&small_reader);
    log_release(small);
    assert_int_equal(fixture_read_served(b, &r, 1, 30 * MIB, 4096), 0);
    log_close(&r);
    log_release(log);

    log = cache_hold(b->cache, 2); /* and one of unknown length */
    fake_add(&b->fake, 2, 50 * MIB)->has_no_range = true;
    w = fixture_begin(b, log, &g);
    fake_give(w, UINT64_MAX);
    fake_serve(w);
    guest_wait(&g);
    fixture_settle(b, 0);
    {
        uint64_t used, limit;
        store_usage(b->store, &used, &limit);
        assert_true(used <= 2 * MIB);
    }
    log_open(log, &r);
    guest_pass(1000);
    assert_int_equal(fixture_read_served(b, &r, 2, 30 * MIB, 4096), -EFBIG);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

static void logs_without_readers_are_dropped_for_space_in_memory(void **state)
{
    struct cache_fixture *b = *state;
    struct log *logs[12];
    struct log_reader r;
    uint64_t used, limit;

    cache_fixture_forget_disk(b, 4 * MIB);
    for (unsigned i = 0; i < 12; i++) {
        fake_add(&b->fake, i + 1, MIB);
        logs[i] = fixture_know(b, i + 1);
        log_open(logs[i], &r);
        assert_int_equal(fixture_read_served(b, &r, i + 1, 0, MIB), 0);
        log_close(&r);
        store_usage(b->store, &used, &limit);
        assert_true(used <= 4 * MIB);
    }
    assert_int_equal(b->fake.bytes_wanted, 12);
    /* The last are still present, the first is not, and is fetched again. */
    log_open(logs[11], &r);
    assert_int_equal(fixture_read(&r, 12, 0, MIB), 0);
    log_close(&r);
    assert_int_equal(b->fake.bytes_wanted, 12);
    log_open(logs[0], &r);
    assert_int_equal(fixture_read_served(b, &r, 1, 0, MIB), 0);
    log_close(&r);
    assert_int_equal(b->fake.bytes_wanted, 13);
    for (unsigned i = 0; i < 12; i++)
        log_release(logs[i]);
}

static void number_of_idle_logs_is_bounded(void **state)
{
    struct cache_fixture *b = *state;
    struct cache_stats stats;

    cache_fixture_unmount(b);
    b->idle_max = 3;
    cache_fixture_mount(b);
    for (uint64_t job = 1; job <= 10; job++) {
        fake_add(&b->fake, job, 2 * MIB); /* a half each: kept nowhere else */
        log_release(fixture_know(b, job));
        fixture_settle(b, 0);
        fake_turn(&b->fake);
    }
    cache_get_stats(b->cache, &stats);
    assert_int_equal(stats.logs, 3);
}

static uint64_t bytes_used(struct cache_fixture *b)
{
    uint64_t used, limit;

    store_usage(b->store, &used, &limit);
    return used;
}

static void mount_with_cache_size(struct cache_fixture *b, uint64_t cache_size)
{
    cache_fixture_unmount(b);
    b->store_config.cache_size = cache_size;
    cache_fixture_mount(b);
}

static void log_larger_than_the_cache_is_dropped_after_it_was_read(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log;

    mount_with_cache_size(b, 4 * MIB);
    fake_add(&b->fake, 1, 6 * MIB);
    log = fixture_know(b, 1);
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, 0, 6 * MIB), 0);
    assert_int_equal(fixture_read(&r, 1, 0, 6 * MIB), 0);
    fixture_settle_served(b);
    log_close(&r);
    fixture_settle(b, 0);
    assert_true(bytes_used(b) == 0);
    log_release(log);
}

static void half_logs_without_readers_do_not_outgrow_the_cache(void **state)
{
    struct cache_fixture *b = *state;

    mount_with_cache_size(b, 4 * MIB);
    for (uint64_t job = 1; job <= 10; job++) {
        fake_add(&b->fake, job, 2 * MIB);
        log_release(fixture_know(b, job));
        fixture_settle(b, 0);
        fake_turn(&b->fake);
        assert_true(bytes_used(b) <= 4 * MIB);
    }
}

/* A cache on a file system of its own, of this many bytes. */
static bool mount_small(struct cache_fixture *b, const char *size)
{
    if (!scratch_may_mount())
        return false;
    cache_fixture_unmount(b);
    scratch_remove(b->scratch->dir);
    assert_int_equal(mkdir(b->scratch->dir, 0700), 0);
    assert_int_equal(mount("none", b->scratch->dir, "tmpfs", 0, size), 0);
    cache_fixture_mount(b);
    return true;
}

static void unmount_small(struct cache_fixture *b)
{
    cache_fixture_unmount(b);
    assert_int_equal(umount2(b->scratch->dir, MNT_DETACH), 0);
    cache_fixture_mount(b);
}

static void full_disk_is_no_obstacle_R3(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log;

    if (!mount_small(b, "size=2m,mode=700")) {
        print_message("only root may mount a small file system\n");
        skip();
    }
    fake_add(&b->fake, 1, 20 * MIB);
    log = fixture_know(b, 1);
    log_open(log, &r);
    for (uint64_t at = 0; at < 20 * MIB; at += 256 * KIB)
        assert_int_equal(fixture_read_served(b, &r, 1, at, 256 * KIB), 0);
    for (uint64_t at = 0; at < 20 * MIB; at += MIB)
        assert_int_equal(fixture_read(&r, 1, at, MIB), 0);
    log_close(&r);
    log_release(log);
    unmount_small(b);
}

/* What cannot go to the disk stays in memory as long as there is space. */
static void full_disk_keeps_what_is_in_memory_S2(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *logs[3];
    unsigned wanted;

    if (!mount_small(b, "size=128k,mode=700")) {
        print_message("only root may mount a small file system\n");
        skip();
    }
    for (unsigned i = 0; i < 3; i++) {
        fake_add(&b->fake, i + 1, MIB);
        logs[i] = fixture_know(b, i + 1);
        log_open(logs[i], &r);
        assert_int_equal(fixture_read_served(b, &r, i + 1, 0, MIB), 0);
        log_close(&r);
    }
    wanted = b->fake.bytes_wanted;
    for (unsigned i = 0; i < 3; i++) {
        log_open(logs[i], &r);
        assert_int_equal(fixture_read(&r, i + 1, 0, MIB), 0);
        log_close(&r);
        log_release(logs[i]);
    }
    assert_int_equal(b->fake.bytes_wanted, wanted);
    unmount_small(b);
}

static void disk_that_fills_under_a_stream_without_length_R3(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log;
    struct log_reader r;
    struct log_stat stat;
    struct fake_want *w;
    struct guest g;

    if (!mount_small(b, "size=4m,mode=700")) {
        print_message("only root may mount a small file system\n");
        skip();
    }
    guest_init(&g);
    log = cache_hold(b->cache, 1);
    fake_add(&b->fake, 1, 20 * MIB + 77)->has_no_range = true;
    w = fixture_begin(b, log, &g);
    fake_give(w, UINT64_MAX);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, 1, 0, 20 * MIB + 77), 0);
    assert_int_equal(b->fake.bytes_wanted, 1);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
    unmount_small(b);
}

static void disk_that_is_full_from_the_start_R3(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log;

    if (!mount_small(b, "size=128k,mode=700")) {
        print_message("only root may mount a small file system\n");
        skip();
    }
    fake_add(&b->fake, 1, 3 * MIB + 5);
    log = fixture_know(b, 1);
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, 0, 3 * MIB + 5), 0);
    log_close(&r);
    log_release(log);
    unmount_small(b);
}

/* A published log's file is closed for another, though it is being read; if none is published, the
 * log continues in memory. */
static void more_logs_are_read_than_files_may_be_open_R3(void **state)
{
    enum { LOGS = 40 };
    struct cache_fixture *b = *state;
    struct log_reader readers[LOGS];
    struct log *logs[LOGS];
    unsigned wanted;

    cache_fixture_unmount(b);
    b->store_config.files = 8;
    b->idle_max = 8;
    cache_fixture_mount(b);
    for (unsigned i = 0; i < LOGS; i++) {
        fake_add(&b->fake, i + 1,
                 i % 2 ? 300 * KIB : 2 * MIB); /* of every other only the first MiB */
        logs[i] = fixture_know(b, i + 1);
        log_open(logs[i], &readers[i]);
        assert_int_equal(fixture_read(&readers[i], i + 1, 0, 4096), 0);
    }
    fixture_settle_served(b);
    wanted = b->fake.bytes_wanted;
    for (unsigned i = 0; i < 3 * LOGS; i++)
        assert_int_equal(fixture_read(&readers[i % LOGS], i % LOGS + 1, 100 * KIB, 200 * KIB), 0);
    assert_int_equal(b->fake.bytes_wanted, wanted);
    for (unsigned i = 0; i < LOGS; i++) {
        log_close(&readers[i]);
        log_release(logs[i]);
    }
}

/* The disk took it all; more of the log is under way than `memory` could hold. */
static void part_of_a_large_log_is_read_in_memory_R3(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log;

    if (!mount_small(b, "size=256k,mode=700")) {
        print_message("only root may mount a small file system\n");
        skip();
    }
    fake_add(&b->fake, 1, 4 * GIB);
    log = fixture_know(b, 1);
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, 4 * GIB - 4096, 4096), 0);
    assert_int_equal(fixture_read_served(b, &r, 1, 2 * GIB, 4096), 0);
    log_close(&r);
    log_release(log);
    unmount_small(b);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, cache_fixture_setup, cache_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(log_larger_than_memory_is_too_big),
        WITH_BENCH(logs_without_readers_are_dropped_for_space_in_memory),
        WITH_BENCH(number_of_idle_logs_is_bounded),
        WITH_BENCH(log_larger_than_the_cache_is_dropped_after_it_was_read),
        WITH_BENCH(half_logs_without_readers_do_not_outgrow_the_cache),
        WITH_BENCH(full_disk_keeps_what_is_in_memory_S2),
        WITH_BENCH(full_disk_is_no_obstacle_R3),
        WITH_BENCH(disk_that_fills_under_a_stream_without_length_R3),
        WITH_BENCH(disk_that_is_full_from_the_start_R3),
        WITH_BENCH(more_logs_are_read_than_files_may_be_open_R3),
        WITH_BENCH(part_of_a_large_log_is_read_in_memory_R3),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
