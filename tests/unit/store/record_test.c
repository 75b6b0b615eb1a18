/*
 * Records: put, got, dropped, listed; what does not hold is not there (R2, R8).
 */
#include "store/internal.h"

#include "store/scratch.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CACHE_SIZE (64u << 20)

static void assert_record(struct store *s, const char *key, const char *text)
{
    void *data = NULL;
    size_t len = 0;

    assert_int_equal(store_get_record(s, key, &data, &len), 0);
    assert_int_equal(len, strlen(text));
    assert_string_equal(data, text);
    free(data);
}

static void assert_no_record(struct store *s, const char *key, int error)
{
    void *data = NULL;
    size_t len = 77;

    assert_int_equal(store_get_record(s, key, &data, &len), error);
    assert_null(data);
    assert_int_equal(len, 77);
}

static void record_is_there_until_dropped(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);

    assert_no_record(s, "repos/octo/.github/runs", -ENOENT);
    assert_int_equal(store_put_record(s, "repos/octo/.github/runs", "one", 3), 0);
    assert_int_equal(store_put_record(s, "repos/octo/.github/runs", "two!", 4), 0);
    assert_int_equal(store_put_record(s, "repos/octo/.github/empty", "", 0), 0);
    store_destroy(s);
    s = scratch_store(*state, CACHE_SIZE);
    assert_record(s, "repos/octo/.github/runs", "two!");
    assert_record(s, "repos/octo/.github/empty", "");
    assert_int_equal(store_drop_record(s, "repos/octo/.github/runs"), 0);
    assert_int_equal(store_drop_record(s, "repos/octo/.github/runs"), -ENOENT);
    assert_no_record(s, "repos/octo/.github/runs", -ENOENT);
    store_destroy(s);
}

static void key_is_a_record_and_a_directory(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);

    assert_int_equal(store_put_record(s, "o/r/runs", "list", 4), 0);
    assert_int_equal(store_put_record(s, "o/r/runs/17", "run", 3), 0);
    assert_record(s, "o/r/runs", "list");
    assert_record(s, "o/r/runs/17", "run");
    store_destroy(s);
}

static void unsafe_keys_are_refused(void **state)
{
    const char *keys[] = {"",   "/",   "a/",      "/a",   "a//b",
                          "..", ".",   "a/..",    "./a",  "a/../../b",
                          "a~", "a\n", "a\\\x7f", "\x01", "1/2/3/4/5/6/7/8/9/10/11/12/13"};
    struct store *s = scratch_store(*state, CACHE_SIZE);
    char longest[1100];

    for (unsigned i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        assert_int_equal(store_put_record(s, keys[i], "x", 1), -EINVAL);
        assert_no_record(s, keys[i], -EINVAL);
        assert_int_equal(store_drop_record(s, keys[i]), -EINVAL);
    }
    memset(longest, 'x', sizeof(longest));
    longest[250] = '\0';
    assert_int_equal(store_put_record(s, longest, "x", 1), 0);
    assert_record(s, longest, "x");
    longest[250] = 'x';
    longest[251] = '\0';
    assert_int_equal(store_put_record(s, longest, "x", 1), -EINVAL);
    store_destroy(s);
}

static void odd_names_are_fine(void **state)
{
    const char *keys[] = {"...",   "-rf", "a b",        "branches/main\xe2\x88\x95x",
                          "%2e%s", "tmp", "\xff\xfe{}", "1/2/3/4/5/6/7/8/9/10/11/12"};
    struct store *s = scratch_store(*state, CACHE_SIZE);

    for (unsigned i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        assert_int_equal(store_put_record(s, keys[i], keys[i], strlen(keys[i])), 0);
    for (unsigned i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        assert_record(s, keys[i], keys[i]);
    store_destroy(s);
}

static void damaged_record_is_none(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);
    unsigned char file[11 + RECORD_TRAILER];
    size_t len;

    (void)state;
    memcpy(file, "hello world", 11);
    record_seal("h", "k", file, 11, file + 11);
    assert_int_equal(record_open("h", "k", file, sizeof(file), &len), 0);
    assert_int_equal(len, 11);
    assert_int_equal(record_open("h", "l", file, sizeof(file), &len), -ENOENT);
    assert_int_equal(record_open("i", "k", file, sizeof(file), &len), -ENOENT);
    for (size_t i = 0; i < sizeof(file) * 8; i++) {
        file[i / 8] ^= (unsigned char)(1 << i % 8);
        assert_int_equal(record_open("h", "k", file, sizeof(file), &len), -ENOENT);
        file[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    for (size_t cut = 0; cut < sizeof(file); cut++)
        assert_int_equal(record_open("h", "k", file, cut, &len), -ENOENT);
    assert_int_equal(store_put_record(s, "k", "x", 1), 0);
    assert_int_equal(truncate(scratch_path(*state, "cache/v1/api.test/facts/k~"), 24), 0);
    assert_no_record(s, "k", -ENOENT);
    store_destroy(s);
}

static void record_has_a_bound(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);
    const char *path = scratch_path(*state, "cache/v1/api.test/facts/k~");

    assert_int_equal(store_put_record(s, "k", "x", (size_t)STORE_RECORD_MAX + 1), -EFBIG);
    assert_int_equal(store_put_record(s, "k", "x", 1), 0);
    assert_int_equal(truncate(path, (off_t)STORE_RECORD_MAX + 100), 0);
    assert_no_record(s, "k", -ENOENT);
    store_destroy(s);
}

static void symlink_in_place_of_a_record_is_not_followed(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);
    char to[SCRATCH_PATH];

    assert_int_equal(store_put_record(s, "k", "x", 1), 0);
    snprintf(to, sizeof(to), "%s", scratch_path(*state, "moved"));
    assert_int_equal(rename(scratch_path(*state, "cache/v1/api.test/facts/k~"), to), 0);
    assert_int_equal(symlink(to, scratch_path(*state, "cache/v1/api.test/facts/k~")), 0);
    assert_no_record(s, "k", -ENOENT);
    store_destroy(s);
}

static void in_memory_nothing_is_kept(void **state)
{
    struct store_config config = {.host = "api.test", .memory = 1 << 20};
    struct store *s;

    (void)state;
    assert_int_equal(store_create(&config, &s), 0);
    assert_int_equal(store_put_record(s, "k", "x", 1), 0);
    assert_no_record(s, "k", -ENOENT);
    assert_int_equal(store_drop_record(s, "k"), -ENOENT);
    store_destroy(s);
}

/* R4: a reader sees one of the values that were put, whole. */
static void replaced_while_read_it_is_one_or_the_other(void **state)
{
    struct store *s = scratch_store(*state, CACHE_SIZE);
    unsigned char value[20000];
    pid_t pid;
    int status;

    memset(value, 1, sizeof(value));
    assert_int_equal(store_put_record(s, "k", value, sizeof(value)), 0);
    pid = fork();
    if (!pid) {
        int rc = 0;
        for (unsigned i = 0; i < 300 && !rc; i++) {
            memset(value, (int)(1 + i % 100), sizeof(value));
            rc = store_put_record(s, "k", value, 1000 + 50 * (i % 300));
        }
        _exit(rc ? 1 : 0);
    }
    for (unsigned i = 0; i < 300; i++) {
        unsigned char *data;
        size_t len;
        assert_int_equal(store_get_record(s, "k", (void **)&data, &len), 0);
        assert_true(len && data[0] == data[len - 1]);
        free(data);
    }
    assert_true(waitpid(pid, &status, 0) == pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    store_destroy(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(record_is_there_until_dropped),
        TEST(key_is_a_record_and_a_directory),
        TEST(unsafe_keys_are_refused),
        TEST(odd_names_are_fine),
        TEST(damaged_record_is_none),
        TEST(record_has_a_bound),
        TEST(symlink_in_place_of_a_record_is_not_followed),
        TEST(in_memory_nothing_is_kept),
        TEST(replaced_while_read_it_is_one_or_the_other),
    };

    return cmocka_run_group_tests_name("store/record", tests, NULL, NULL);
}
