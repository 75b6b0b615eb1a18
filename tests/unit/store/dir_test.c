/*
 * The directory: made, refused, lost (R3, R4); nothing is written where another user could write.
 */
#include "diag.h"
#include "store/scratch.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE (STORE_PAGE_SIZE + 5)
#define CACHE_SIZE (64u << 20)
#define OTHER_USER 65534

static int create(const char *dir, struct store **ret_store)
{
    struct store_config config = {
        .dir = dir, .host = "api.test", .cache_size = CACHE_SIZE, .memory = 1 << 20};

    return store_create(&config, ret_store);
}

static unsigned mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void missing_parents_are_made_and_closed_to_others(void **state)
{
    struct scratch *x = *state;
    struct store *s = NULL;

    assert_int_equal(create(scratch_path(x, "a/b/c///"), &s), 0);
    assert_true(store_keeps(s, SIZE));
    assert_int_equal(scratch_publish(s, 0x1f, SIZE), 0);
    assert_int_equal(mode_of(scratch_path(x, "a")), 0700);
    assert_int_equal(mode_of(scratch_path(x, "a/b/c")), 0700);
    assert_int_equal(mode_of(scratch_path(x, "a/b/c/v1/api.test/logs/1f")), 0700);
    assert_int_equal(mode_of(scratch_path(x, "a/b/c/v1/api.test/logs/1f/31")), 0600);
    assert_int_equal(mode_of(scratch_path(x, "a/b/c/v1/api.test/logs/1f/31.meta")), 0600);
    store_destroy(s);
}

static void directory_open_to_others_is_refused(void **state)
{
    const unsigned modes[] = {0770, 0720, 0702, 01777};
    struct scratch *x = *state;
    struct store *s = NULL;

    assert_int_equal(mkdir(x->dir, 0700), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(chmod(x->dir, modes[i]), 0);
        assert_int_equal(create(x->dir, &s), -EPERM);
        assert_null(s);
    }
    assert_int_equal(rmdir(x->dir), 0);
    assert_int_equal(mkdir(x->dir, 0755), 0);
    assert_int_equal(create(x->dir, &s), 0);
    store_destroy(s);
    assert_int_equal(chmod(scratch_path(x, "cache/v1"), 0777), 0);
    assert_int_equal(create(x->dir, &s), -EPERM);
}

static void parent_that_anybody_could_write_is_refused(void **state)
{
    struct scratch *x = *state;
    struct store *s = NULL;

    assert_int_equal(chmod(x->top, 0777), 0);
    assert_int_equal(create(scratch_path(x, "a/b"), &s), -EPERM);
    assert_int_equal(chmod(x->top, 01777), 0);
    assert_int_equal(create(scratch_path(x, "a/b"), &s), 0);
    store_destroy(s);
}

static void directory_of_another_user_is_refused(void **state)
{
    struct scratch *x = *state;
    struct store *s = NULL;

    if (geteuid())
        scratch_skip("only root can give a directory away");
    assert_int_equal(mkdir(x->dir, 0700), 0);
    assert_int_equal(chown(x->dir, OTHER_USER, OTHER_USER), 0);
    assert_int_equal(create(x->dir, &s), -EPERM);
    assert_null(s);
}

static void symlink_is_followed_unless_another_user_put_it_there(void **state)
{
    struct scratch *x = *state;
    struct store *s = NULL;

    assert_int_equal(mkdir(scratch_path(x, "real"), 0700), 0);
    assert_int_equal(symlink("real", x->dir), 0);
    assert_int_equal(create(x->dir, &s), 0);
    assert_int_equal(scratch_publish(s, 1, SIZE), 0);
    assert_int_equal(mode_of(scratch_path(x, "real/v1/api.test/logs/01/1")), 0600);
    store_destroy(s);
    if (geteuid())
        scratch_skip("only root can give a symlink away");
    assert_int_equal(lchown(x->dir, OTHER_USER, OTHER_USER), 0);
    s = NULL;
    assert_int_equal(create(x->dir, &s), -EPERM);
    snprintf(x->dir + strlen(x->dir), 2, "/");
    assert_int_equal(create(x->dir, &s), -EPERM);
}

static void what_cannot_be_a_directory_means_memory(void **state)
{
    struct scratch *x = *state;
    struct store *s = NULL;
    struct store_backing b;
    uint64_t used, limit;

    close(open(x->dir, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(create(x->dir, &s), 0);
    assert_false(store_keeps(s, 1));
    assert_int_equal(store_backing_open(s, &b), 0);
    assert_true(b.in_memory);
    assert_int_equal(scratch_fill(s, &b, 1, SIZE), 0);
    store_usage(s, &used, &limit);
    assert_true(used == (SIZE + 4095) / 4096 * 4096 && limit == 1 << 20);
    store_backing_close(s, &b);
    assert_int_equal(scratch_publish(s, 1, SIZE), -EXDEV);
    store_destroy(s);
}

static void removed_directory_is_made_anew(void **state)
{
    const char *gone[] = {"cache", "cache/v1", "cache/v1/tmp", "cache/v1/api.test/logs"};
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);

    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(scratch_publish(s, i, SIZE), 0);
        assert_int_equal(store_put_record(s, "k", "x", 1), 0);
        scratch_remove(scratch_path(x, "%s", gone[i]));
        assert_true(scratch_is_whole(s, i) == (i == 2));
        assert_int_equal(store_put_record(s, "k", "x", 1), 0);
        assert_int_equal(scratch_publish(s, i, SIZE), 0);
        assert_true(scratch_is_whole(s, i));
    }
    store_destroy(s);
}

static void directory_lost_for_good_means_memory(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    struct store_backing open, b;
    struct store_meta m;

    assert_int_equal(store_backing_open(s, &open), 0);
    assert_int_equal(scratch_fill(s, &open, 1, SIZE), 0);
    scratch_remove(x->dir);
    close(creat(x->dir, 0600));
    assert_int_equal(store_backing_open(s, &b), 0);
    assert_true(b.in_memory);
    assert_int_equal(scratch_fill(s, &b, 2, SIZE), 0);
    store_backing_close(s, &b);
    scratch_meta(1, SIZE, &m);
    assert_true(store_publish(s, 1, &open, &m) < 0);
    assert_false(open.published);
    assert_true(store_save_meta(s, 1, &m) < 0);
    store_meta_finish(&m);
    assert_true(store_put_record(s, "k", "x", 1) < 0);
    store_backing_close(s, &open);
    store_destroy(s);
}

/* R3: what is there is still served, the rest is in memory. */
static void read_only_directory_is_read(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    struct store_backing b;

    assert_int_equal(scratch_publish(s, 1, SIZE), 0);
    store_destroy(s);
    if (!scratch_may_mount())
        scratch_skip("mounting is not allowed");
    assert_int_equal(mount(x->dir, x->dir, "none", MS_BIND, NULL), 0);
    assert_int_equal(mount("none", x->dir, "none", MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
    s = scratch_store(x, CACHE_SIZE);
    assert_true(scratch_is_whole(s, 1));
    assert_int_equal(store_backing_open(s, &b), 0);
    assert_true(b.in_memory);
    store_backing_close(s, &b);
    assert_int_equal(store_put_record(s, "k", "x", 1), -EROFS);
    store_destroy(s);
    assert_int_equal(umount(x->dir), 0);
}

static void leftovers_are_deleted_when_no_process_locks_them(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    int held;

    store_destroy(s);
    close(creat(scratch_path(x, "cache/v1/tmp/1.1"), 0600));
    held = creat(scratch_path(x, "cache/v1/tmp/1.2"), 0600);
    assert_int_equal(flock(held, LOCK_EX), 0);
    s = scratch_store(x, CACHE_SIZE);
    assert_int_equal(access(scratch_path(x, "cache/v1/tmp/1.1"), F_OK), -1);
    assert_int_equal(access(scratch_path(x, "cache/v1/tmp/1.2"), F_OK), 0);
    close(held);
    store_destroy(s);
}

/* A stopped process that holds the lock does not stop the others. */
static void lock_held_by_another_does_not_stop_reading(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    int held = open(scratch_path(x, "cache/v1/lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(flock(held, LOCK_EX), 0);
    for (uint64_t job = 1; job < 20; job++)
        assert_int_equal(scratch_publish(s, job, SIZE), 0);
    assert_true(scratch_is_whole(s, 19));
    close(held);
    store_destroy(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(missing_parents_are_made_and_closed_to_others),
        TEST(directory_open_to_others_is_refused),
        TEST(parent_that_anybody_could_write_is_refused),
        TEST(directory_of_another_user_is_refused),
        TEST(symlink_is_followed_unless_another_user_put_it_there),
        TEST(what_cannot_be_a_directory_means_memory),
        TEST(removed_directory_is_made_anew),
        TEST(directory_lost_for_good_means_memory),
        TEST(read_only_directory_is_read),
        TEST(leftovers_are_deleted_when_no_process_locks_them),
        TEST(lock_held_by_another_does_not_stop_reading),
    };

    umask(022);
    return cmocka_run_group_tests_name("store/dir", tests, NULL, NULL);
}
