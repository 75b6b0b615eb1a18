/*
 * Backing files: what is reserved can be written, what is counted is what is reserved (R3).
 */
#include "store/scratch.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1u << 20)
#define PAGE STORE_PAGE_SIZE

static uint64_t used_by(struct store *s)
{
    uint64_t used, limit;

    store_usage(s, &used, &limit);
    return used;
}

static struct store *memory_store(uint64_t memory)
{
    struct store_config config = {.host = "api.test", .cache_size = 64 * MIB, .memory = memory};
    struct store *s = NULL;

    assert_int_equal(store_create(&config, &s), 0);
    return s;
}

static void reservation_is_counted_until_closed(void **state)
{
    struct store *s = scratch_store(*state, 64 * MIB);
    struct store_backing a, b;

    assert_int_equal(store_backing_open(s, &a), 0);
    assert_int_equal(store_backing_open(s, &b), 0);
    assert_int_equal(store_backing_reserve(s, &a, 0, MIB), 0);
    assert_int_equal(store_backing_reserve(s, &b, 4 * MIB, 5 * MIB), 0);
    assert_true(used_by(s) == 2 * MIB && a.reserved == MIB);
    store_backing_close(s, &a);
    assert_true(used_by(s) == MIB);
    store_backing_close(s, &b);
    assert_true(used_by(s) == 0);
    store_destroy(s);
}

static void range_asked_again_is_not_counted_beyond_the_end(void **state)
{
    struct store *s = scratch_store(*state, 64 * MIB);
    struct store_backing b;

    assert_int_equal(store_backing_open(s, &b), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(store_backing_reserve(s, &b, MIB, 2 * MIB), 0);
    assert_true(used_by(s) == 2 * MIB);
    assert_int_equal(store_backing_reserve(s, &b, MIB, MIB), 0);
    assert_int_equal(store_backing_reserve(s, &b, 2 * MIB, MIB), 0);
    assert_true(used_by(s) == 2 * MIB);
    assert_int_equal(store_backing_reserve(s, &b, 0, UINT64_MAX), -EFBIG);
    store_backing_close(s, &b);
    store_destroy(s);
}

static void reserving_does_not_change_the_size(void **state)
{
    struct store *s = scratch_store(*state, 64 * MIB);
    struct store_backing b;
    struct stat st;

    assert_int_equal(store_backing_open(s, &b), 0);
    assert_int_equal(store_backing_reserve(s, &b, 0, MIB), 0);
    assert_int_equal(fstat(b.fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    store_backing_close(s, &b);
    store_destroy(s);
}

static void published_log_is_counted_once(void **state)
{
    struct store *s = scratch_store(*state, 64 * MIB);
    struct store_backing b;
    struct store_meta m;

    assert_int_equal(store_backing_open(s, &b), 0);
    assert_int_equal(store_backing_reserve(s, &b, 0, MIB), 0);
    assert_int_equal(scratch_fill(s, &b, 1, 3 * PAGE), 0);
    scratch_meta(1, 3 * PAGE, &m);
    assert_int_equal(store_publish(s, 1, &b, &m), 0);
    assert_true(used_by(s) == 3 * PAGE);
    assert_int_equal(store_backing_reserve(s, &b, 0, PAGE), 0);
    store_backing_close(s, &b);
    assert_true(used_by(s) == 3 * PAGE);
    store_meta_finish(&m);
    store_destroy(s);
    s = scratch_store(*state, 64 * MIB);
    assert_true(used_by(s) == 0);
    assert_int_equal(scratch_publish(s, 2, PAGE), 0);
    assert_true(used_by(s) == 4 * PAGE);
    store_destroy(s);
}

static void memory_is_never_exceeded(void **state)
{
    struct store *s = memory_store(3 * MIB);
    struct store_backing a, b;
    uint64_t used, limit;

    (void)state;
    assert_int_equal(store_backing_open(s, &a), 0);
    assert_int_equal(store_backing_open(s, &b), 0);
    assert_true(a.in_memory && b.in_memory);
    assert_int_equal(store_backing_reserve(s, &a, 0, 2 * MIB), 0);
    assert_int_equal(store_backing_reserve(s, &b, 0, MIB + 1), -EFBIG);
    assert_int_equal(b.reserved, 0);
    assert_int_equal(store_backing_reserve(s, &b, 0, MIB), 0);
    store_usage(s, &used, &limit);
    assert_true(used == 3 * MIB && limit == 3 * MIB);
    store_backing_close(s, &a);
    assert_int_equal(store_backing_reserve(s, &b, MIB, 3 * MIB), 0);
    store_backing_close(s, &b);
    assert_true(used_by(s) == 0);
    store_destroy(s);
}

static bool odd_pages(void *who, uint64_t page)
{
    (*(unsigned *)who)++;
    return page % 2;
}

static void moved_to_memory_it_has_the_pages_that_were_here(void **state)
{
    struct store *s = scratch_store(*state, 64 * MIB);
    unsigned char page[PAGE], copy[PAGE];
    struct store_backing b;
    unsigned asked = 0;
    int disk;

    assert_int_equal(store_backing_open(s, &b), 0);
    assert_int_equal(scratch_fill(s, &b, 1, 3 * PAGE + 10), 0);
    disk = b.fd;
    assert_int_equal(store_backing_to_memory(s, &b, 3 * PAGE + 10, odd_pages, &asked), 0);
    assert_true(b.fd != disk && fcntl(disk, F_GETFD) >= 0);
    close(disk);
    assert_true(b.in_memory && b.reserved == PAGE + 4096 && asked == 4);
    assert_true(used_by(s) == 0);
    scratch_page(1, 1, page);
    store_backing_read_memory(&b, copy, PAGE, PAGE);
    assert_memory_equal(page, copy, PAGE);
    scratch_page(1, 3, page);
    store_backing_read_memory(&b, copy, 10, 3 * PAGE);
    assert_memory_equal(page, copy, 10);
    memset(page, 0, PAGE);
    store_backing_read_memory(&b, copy, PAGE, 0);
    assert_memory_equal(page, copy, PAGE);
    store_backing_close(s, &b);
    store_destroy(s);
}

static void what_memory_cannot_hold_stays_as_it_was(void **state)
{
    struct store *s = scratch_store(*state, 64 * MIB);
    struct store_backing b, before;
    unsigned asked = 0;
    int blind;
    char path[40];

    assert_int_equal(store_backing_open(s, &b), 0);
    assert_int_equal(scratch_fill(s, &b, 1, 2 * MIB + 2 * PAGE), 0);
    before = b;
    assert_int_equal(store_backing_to_memory(s, &b, 2 * MIB + 2 * PAGE, odd_pages, &asked), -EFBIG);
    assert_memory_equal(&b, &before, sizeof(b));
    /* A page that cannot be read. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", b.fd);
    blind = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(dup2(blind, b.fd), b.fd);
    close(blind);
    assert_int_equal(store_backing_to_memory(s, &b, MIB, odd_pages, &asked), -EIO);
    assert_memory_equal(&b, &before, sizeof(b));
    store_backing_close(s, &b);
    store_destroy(s);
}

static void log_larger_than_the_cache_is_read_but_not_kept(void **state)
{
    struct store *s = scratch_store(*state, MIB);

    assert_true(store_keeps(s, MIB));
    assert_false(store_keeps(s, MIB + 1));
    assert_int_equal(scratch_publish(s, 1, MIB + 1), -EFBIG);
    assert_false(scratch_is_whole(s, 1));
    assert_true(used_by(s) == 0);
    store_destroy(s);
}

/* -- Small disks ------------------------------------------------------------------------------- */

/* A disk of 2 MiB for the cache. */
static struct store *small_disk(struct scratch *x, uint64_t cache_size)
{
    if (!scratch_may_mount())
        scratch_skip("mounting is not allowed");
    assert_int_equal(mkdir(x->dir, 0700), 0);
    assert_int_equal(mount("none", x->dir, "tmpfs", 0, "size=2m,mode=0700"), 0);
    return scratch_store(x, cache_size);
}

static void leave_disk(struct scratch *x, struct store *s)
{
    store_destroy(s);
    assert_int_equal(umount(x->dir), 0);
}

static void five_percent_of_the_disk_stay_free(void **state)
{
    struct store *s = small_disk(*state, 64 * MIB);
    struct scratch *x = *state;
    struct store_backing b;
    struct statvfs fs;
    uint64_t at = 0;

    assert_int_equal(store_backing_open(s, &b), 0);
    assert_false(b.in_memory);
    while (!store_backing_reserve(s, &b, at, at + 4096))
        at += 4096;
    assert_int_equal(statvfs(x->dir, &fs), 0);
    assert_in_range(fs.f_bavail * fs.f_frsize, 2 * MIB / 20, 2 * MIB / 20 + 8192);
    assert_int_equal(store_backing_reserve(s, &b, at, at + 4096), -ENOSPC);
    assert_true(b.reserved == at && used_by(s) == at);
    store_backing_close(s, &b);
    leave_disk(x, s);
}

static void what_is_reserved_can_be_written_on_a_full_disk(void **state)
{
    struct store *s = small_disk(*state, 64 * MIB);
    char byte[4096] = "x";
    struct store_backing b;
    int filler = open(scratch_path(*state, "cache/filler"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    assert_int_equal(store_backing_open(s, &b), 0);
    assert_int_equal(store_backing_reserve(s, &b, 0, MIB), 0);
    while (write(filler, byte, sizeof(byte)) == sizeof(byte))
        ;
    assert_int_equal(errno, ENOSPC);
    close(filler);
    for (off_t at = 0; at < MIB; at += 4096)
        assert_int_equal(pwrite(b.fd, byte, sizeof(byte), at), sizeof(byte));
    assert_int_equal(store_backing_reserve(s, &b, MIB, MIB + 4096), -ENOSPC);
    store_backing_close(s, &b);
    leave_disk(*state, s);
}

static void blocks_behind_the_end_are_given_back(void **state)
{
    struct store *s = small_disk(*state, 64 * MIB);
    struct store_backing b;
    struct store_meta m;
    struct stat st;

    assert_int_equal(store_backing_open(s, &b), 0);
    assert_int_equal(store_backing_reserve(s, &b, 0, MIB), 0);
    assert_int_equal(scratch_fill(s, &b, 1, 100), 0);
    assert_int_equal(fstat(b.fd, &st), 0);
    assert_true(st.st_size == 100 && st.st_blocks * 512 >= MIB);
    scratch_meta(1, 100, &m);
    assert_int_equal(store_publish(s, 1, &b, &m), 0);
    assert_int_equal(fstat(b.fd, &st), 0);
    assert_true(st.st_size == 100 && st.st_blocks * 512 < 65536);
    store_meta_finish(&m);
    store_backing_close(s, &b);
    leave_disk(*state, s);
}

static void old_logs_are_evicted_on_a_full_disk(void **state)
{
    struct store *s = small_disk(*state, 64 * MIB);
    struct scratch *x = *state;

    for (uint64_t job = 1; job <= 4; job++) {
        assert_int_equal(scratch_publish(s, job, 6 * PAGE), 0);
        scratch_set_age(x, job, 1000 + (int64_t)job);
    }
    scratch_set_age(x, 1, 2000);
    assert_int_equal(scratch_publish(s, 5, 8 * PAGE), 0);
    assert_true(scratch_is_whole(s, 5) && scratch_is_whole(s, 1));
    assert_false(scratch_is_whole(s, 2));
    leave_disk(x, s);
}

static void logs_stay_where_their_end_would_not_be_enough(void **state)
{
    struct store *s = small_disk(*state, 64 * MIB);
    struct scratch *x = *state;
    struct store_backing b;

    assert_int_equal(scratch_publish(s, 1, 4 * PAGE), 0);
    assert_int_equal(store_backing_open(s, &b), 0);
    assert_int_equal(store_backing_reserve(s, &b, 0, 2 * MIB), -ENOSPC);
    assert_true(scratch_is_whole(s, 1));
    store_backing_close(s, &b);
    leave_disk(x, s);
}

static void disk_without_space_for_a_file_means_memory(void **state)
{
    struct store *s = small_disk(*state, 64 * MIB);
    struct scratch *x = *state;
    struct store_backing b;
    struct statvfs fs;
    char options[64];

    assert_int_equal(statvfs(x->dir, &fs), 0);
    snprintf(options, sizeof(options), "size=2m,nr_inodes=%lu", fs.f_files - fs.f_ffree);
    assert_int_equal(mount("none", x->dir, "tmpfs", MS_REMOUNT, options), 0);
    assert_int_equal(store_backing_open(s, &b), 0);
    assert_true(b.in_memory);
    assert_int_equal(scratch_fill(s, &b, 1, PAGE), 0);
    store_backing_close(s, &b);
    leave_disk(x, s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reservation_is_counted_until_closed),
        TEST(range_asked_again_is_not_counted_beyond_the_end),
        TEST(reserving_does_not_change_the_size),
        TEST(published_log_is_counted_once),
        TEST(memory_is_never_exceeded),
        TEST(moved_to_memory_it_has_the_pages_that_were_here),
        TEST(what_memory_cannot_hold_stays_as_it_was),
        TEST(log_larger_than_the_cache_is_read_but_not_kept),
        TEST(five_percent_of_the_disk_stay_free),
        TEST(what_is_reserved_can_be_written_on_a_full_disk),
        TEST(blocks_behind_the_end_are_given_back),
        TEST(old_logs_are_evicted_on_a_full_disk),
        TEST(logs_stay_where_their_end_would_not_be_enough),
        TEST(disk_without_space_for_a_file_means_memory),
    };

    return cmocka_run_group_tests_name("store/backing", tests, NULL, NULL);
}
