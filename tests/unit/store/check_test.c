/*
 * The check of a cache directory: what is damaged is found, and deleted where that is wanted, and
 * nothing else.
 */
#include "store/scratch.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE (3 * STORE_PAGE_SIZE + 1234)
#define CACHE_SIZE (64u << 20)
#define FOUND_MAX 16

struct found {
    enum store_flaw flaw;
    char path[256];
    uint64_t page;
    int err;
    bool is_deleted;
};

struct outcome {
    void (*meanwhile)(void *what); /* in the first call of on_progress */
    void *what;
    struct found found[FOUND_MAX];
    size_t count;
    uint64_t done, total;
    struct store_totals totals;
    char refusal[STORE_REFUSAL_LEN];
};

static void on_found(void *who, const struct store_finding *f)
{
    struct outcome *o = who;
    struct found *to = &o->found[o->count++];

    assert_true(o->count <= FOUND_MAX);
    *to = (struct found){
        .flaw = f->flaw, .page = f->page, .err = f->err, .is_deleted = f->is_deleted};
    snprintf(to->path, sizeof(to->path), "%s", f->path);
}

static void on_progress(void *who, uint64_t done, uint64_t total)
{
    struct outcome *o = who;

    assert_true(done > o->done && done <= total);
    o->done = done;
    o->total = total;
    if (o->meanwhile)
        o->meanwhile(o->what);
    o->meanwhile = NULL;
}

static int check(struct scratch *x, bool repair, struct outcome *o)
{
    const struct store_checker checker = {
        .repair = repair, .found = on_found, .progress = on_progress, .who = o};

    *o = (struct outcome){.meanwhile = o->meanwhile, .what = o->what};
    return store_check(x->dir, &checker, &o->totals, o->refusal);
}

static const struct found *find(const struct outcome *o, const char *end)
{
    for (size_t i = 0; i < o->count; i++) {
        const char *path = o->found[i].path;
        if (strlen(path) >= strlen(end) && !strcmp(path + strlen(path) - strlen(end), end))
            return &o->found[i];
    }
    fail_msg("nothing was found at %s", end);
    return NULL;
}

/* One byte of a file is another one. */
static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR);
    unsigned char byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void without_a_directory_nothing_is_made(void **state)
{
    struct scratch *x = *state;
    struct outcome o = {0};

    assert_int_equal(store_check_dir(x->dir, o.refusal), -ENOENT);
    assert_int_equal(check(x, true, &o), -ENOENT);
    assert_false(is_there(x->dir));
    assert_int_equal(mkdir(x->dir, 0700), 0);
    assert_int_equal(store_check_dir(x->dir, o.refusal), -ENOENT);
    assert_false(is_there(scratch_path(x, "cache/v1")));
}

static void a_good_cache_is_counted_and_stays(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    struct store_meta m;
    struct outcome o = {0};

    assert_int_equal(scratch_publish(s, 4711, SIZE), 0);
    assert_int_equal(scratch_publish(s, 5, 0), 0);
    assert_int_equal(scratch_publish(s, 6, 40u << 20), 0);
    scratch_meta(7, SIZE, &m);
    assert_int_equal(store_save_meta(s, 7, &m), 0);
    store_meta_finish(&m);
    assert_int_equal(store_put_record(s, "asked/o/r", "{}", 2), 0);
    assert_int_equal(store_put_record(s, "asked/o/r/runs", "", 0), 0);
    write_file(scratch_path(x, "cache/v1/note"), "not ours");
    assert_int_equal(check(x, true, &o), 0);
    assert_int_equal(o.count, 0);
    assert_int_equal(o.totals.logs, 3);
    assert_true(o.totals.bytes == SIZE + (40u << 20));
    assert_int_equal(o.totals.metas, 1);
    assert_int_equal(o.totals.records, 2);
    assert_true(o.done > 0 && o.total == SIZE + (40u << 20));
    assert_true(scratch_is_whole(s, 4711) && scratch_is_whole(s, 5) && scratch_is_whole(s, 6));
    assert_true(is_there(scratch_path(x, "cache/v1/note")));
    store_destroy(s);
}

static void a_damaged_page_is_found_and_only_its_log_deleted(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    struct store_meta m;
    struct outcome o = {0};

    assert_int_equal(scratch_publish(s, 4711, SIZE), 0);
    assert_int_equal(scratch_publish(s, 4712, SIZE), 0);
    flip(scratch_log(x, 4711, ""), 2 * STORE_PAGE_SIZE + 5);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(check(x, false, &o), 0);
        assert_int_equal(o.count, 1);
        assert_int_equal(find(&o, "/4711")->flaw, STORE_LOG_DAMAGED);
        assert_int_equal(o.found[0].page, 2);
        assert_false(o.found[0].is_deleted);
    }
    assert_int_equal(check(x, true, &o), 0);
    assert_true(find(&o, "/4711")->is_deleted);
    assert_false(is_there(scratch_log(x, 4711, "")));
    assert_int_equal(store_load_meta(s, 4711, &m), 0); /* size and time stay, as after eviction */
    store_meta_finish(&m);
    assert_true(scratch_is_whole(s, 4712));
    assert_int_equal(check(x, true, &o), 0);
    assert_int_equal(o.count, 0);
    assert_int_equal(scratch_publish(s, 4711, SIZE), 0);
    assert_true(scratch_is_whole(s, 4711));
    store_destroy(s);
}

static void a_log_of_another_length_is_damaged(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    struct outcome o = {0};

    assert_int_equal(scratch_publish(s, 4711, SIZE), 0);
    assert_int_equal(truncate(scratch_log(x, 4711, ""), SIZE - 1), 0);
    assert_int_equal(check(x, true, &o), 0);
    assert_int_equal(o.count, 1);
    assert_int_equal(find(&o, "/4711")->flaw, STORE_LOG_DAMAGED);
    assert_true(o.found[0].page == UINT64_MAX && o.found[0].is_deleted);
    store_destroy(s);
}

static void a_damaged_meta_takes_its_log_with_it(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    struct outcome o = {0};

    assert_int_equal(scratch_publish(s, 4711, SIZE), 0);
    flip(scratch_log(x, 4711, ".meta"), 20);
    assert_int_equal(check(x, false, &o), 0);
    assert_int_equal(find(&o, "/4711.meta")->flaw, STORE_META_DAMAGED);
    assert_true(is_there(scratch_log(x, 4711, "")));
    assert_int_equal(check(x, true, &o), 0);
    assert_int_equal(o.count, 1);
    assert_false(is_there(scratch_log(x, 4711, ".meta")));
    assert_false(is_there(scratch_log(x, 4711, "")));
    store_destroy(s);
}

static void an_entry_of_another_version_is_left_alone(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    const char *record;
    struct outcome o = {0};

    assert_int_equal(scratch_publish(s, 4711, SIZE), 0);
    assert_int_equal(store_put_record(s, "asked", "x", 1), 0);
    flip(scratch_log(x, 4711, ".meta"), 7);
    record = scratch_path(x, "cache/v1/api.test/facts/asked~");
    flip(record, 1 + 7);
    assert_int_equal(check(x, true, &o), 0);
    assert_int_equal(o.count, 0);
    assert_int_equal(o.totals.foreign, 2);
    assert_true(is_there(record));
    assert_true(is_there(scratch_log(x, 4711, "")));
    store_destroy(s);
}

static void records_are_compared(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    struct outcome o = {0};
    size_t len;
    void *data;

    assert_int_equal(store_put_record(s, "asked/o/r", "{}", 2), 0);
    assert_int_equal(store_put_record(s, "asked/o/r/runs", "{}", 2), 0);
    flip(scratch_path(x, "cache/v1/api.test/facts/asked/o/r/runs~"), 0);
    write_file(scratch_path(x, "cache/v1/api.test/facts/asked/o/cut~"), "{");
    assert_int_equal(check(x, true, &o), 0);
    assert_int_equal(o.count, 2);
    assert_int_equal(find(&o, "facts/asked/o/r/runs~")->flaw, STORE_RECORD_DAMAGED);
    assert_int_equal(find(&o, "facts/asked/o/cut~")->flaw, STORE_RECORD_DAMAGED);
    assert_false(is_there(scratch_path(x, "cache/v1/api.test/facts/asked/o/r/runs~")));
    assert_int_equal(store_get_record(s, "asked/o/r", &data, &len), 0);
    free(data);
    store_destroy(s);
}

static void what_dead_processes_left_is_found_and_what_is_in_use_is_not(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    struct outcome o = {0};
    int fd;

    write_file(scratch_path(x, "cache/v1/tmp/1.0"), "left");
    write_file(scratch_path(x, "cache/v1/tmp/2.0"), "in use");
    fd = open(scratch_path(x, "cache/v1/tmp/2.0"), O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(scratch_publish(s, 4711, SIZE), 0);
    assert_int_equal(unlink(scratch_log(x, 4711, ".meta")), 0);
    assert_int_equal(check(x, false, &o), 0);
    assert_int_equal(o.count, 2);
    assert_int_equal(find(&o, "tmp/1.0")->flaw, STORE_TEMP_LEFT);
    assert_int_equal(find(&o, "/4711")->flaw, STORE_LOG_ALONE);
    assert_int_equal(check(x, true, &o), 0);
    assert_true(find(&o, "tmp/1.0")->is_deleted && find(&o, "/4711")->is_deleted);
    assert_false(is_there(scratch_path(x, "cache/v1/tmp/1.0")));
    assert_true(is_there(scratch_path(x, "cache/v1/tmp/2.0")));
    close(fd);
    store_destroy(s);
}

/* As long as a mount evicts. */
static void nothing_is_deleted_while_another_holds_the_lock(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    struct outcome o = {0};
    int fd;

    assert_int_equal(scratch_publish(s, 4711, SIZE), 0);
    flip(scratch_log(x, 4711, ""), 0);
    fd = open(scratch_path(x, "cache/v1/lock"), O_RDWR | O_CREAT, 0600);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(check(x, true, &o), 0);
    assert_int_equal(find(&o, "/4711")->err, -EBUSY);
    assert_false(o.found[0].is_deleted);
    assert_true(is_there(scratch_log(x, 4711, "")));
    close(fd);
    store_destroy(s);
}

static void publish_again(void *what)
{
    struct scratch *x = what;
    struct store *s = scratch_store(x, CACHE_SIZE);

    assert_int_equal(unlink(scratch_log(x, 6, "")), 0);
    assert_int_equal(scratch_publish(s, 6, 40u << 20), 0);
    store_destroy(s);
}

/* Another .meta than the one that was read describes the log. */
static void describe_again(void *what)
{
    struct scratch *x = what;
    struct store *s = scratch_store(x, CACHE_SIZE);
    struct store_meta m;

    assert_int_equal(store_load_meta(s, 6, &m), 0);
    m.checksums[(40u << 20) / STORE_PAGE_SIZE - 1] ^= 1;
    assert_int_equal(store_save_meta(s, 6, &m), 0);
    store_meta_finish(&m);
    store_destroy(s);
}

/* While the damaged one is read. */
static void a_log_that_a_mount_replaces_is_not_deleted(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);

    for (int i = 0; i < 4; i++) {
        struct outcome o = {.meanwhile = i / 2 ? describe_again : publish_again, .what = x};
        assert_int_equal(scratch_publish(s, 6, 40u << 20), 0);
        flip(scratch_log(x, 6, ""), (40 << 20) - 1);
        assert_int_equal(check(x, i % 2, &o), 0);
        assert_int_equal(o.count, 0);
        assert_true(i / 2 || scratch_is_whole(s, 6));
        assert_int_equal(unlink(scratch_log(x, 6, "")), 0);
    }
    store_destroy(s);
}

/* A mount reads the log that is deleted: it keeps its file. */
static void an_open_log_stays_readable(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    unsigned char want[STORE_PAGE_SIZE], got[STORE_PAGE_SIZE];
    struct store_backing b = {.published = true};
    struct store_meta m;
    struct outcome o = {0};

    assert_int_equal(scratch_publish(s, 4711, SIZE), 0);
    assert_int_equal(store_load_meta(s, 4711, &m), 0);
    assert_int_equal(store_open_log(s, 4711, &m, &b.fd), 0);
    flip(scratch_log(x, 4711, ""), 2 * STORE_PAGE_SIZE);
    assert_int_equal(check(x, true, &o), 0);
    assert_true(find(&o, "/4711")->is_deleted);
    scratch_page(4711, 1, want);
    assert_int_equal(pread(b.fd, got, sizeof(got), STORE_PAGE_SIZE), sizeof(got));
    assert_memory_equal(got, want, sizeof(got));
    store_backing_close(s, &b);
    store_meta_finish(&m);
    store_destroy(s);
}

static void all_hosts_are_checked(void **state)
{
    struct scratch *x = *state;
    const struct store_config config = {
        .dir = x->dir, .host = "ghes.test:8443", .cache_size = CACHE_SIZE, .memory = CACHE_SIZE};
    struct store *s = scratch_store(x, CACHE_SIZE), *other;
    struct outcome o = {0};

    assert_int_equal(store_create(&config, &other), 0);
    assert_int_equal(scratch_publish(s, 1, SIZE), 0);
    assert_int_equal(scratch_publish(other, 2, SIZE), 0);
    flip(scratch_path(x, "cache/v1/ghes.test:8443/logs/02/2"), 0);
    assert_int_equal(check(x, false, &o), 0);
    assert_int_equal(o.totals.logs, 2);
    assert_int_equal(o.count, 1);
    assert_string_equal(o.found[0].path, "ghes.test:8443/logs/02/2");
    store_destroy(other);
    store_destroy(s);
}

static void r8_a_directory_that_a_mount_would_refuse_is_not_looked_at(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, CACHE_SIZE);
    struct outcome o = {0};

    store_destroy(s);
    assert_int_equal(chmod(x->dir, 0777), 0);
    assert_int_equal(check(x, true, &o), -EPERM);
    assert_non_null(strstr(o.refusal, "chmod go-w"));
    assert_int_equal(store_check_dir(x->dir, o.refusal), -EPERM);
    assert_non_null(strstr(o.refusal, "chmod go-w"));
    assert_int_equal(chmod(x->dir, 0700), 0);
    assert_int_equal(store_check_dir(x->dir, o.refusal), 0);
    assert_string_equal(o.refusal, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_directory_nothing_is_made),
        TEST(a_good_cache_is_counted_and_stays),
        TEST(a_damaged_page_is_found_and_only_its_log_deleted),
        TEST(a_log_of_another_length_is_damaged),
        TEST(a_damaged_meta_takes_its_log_with_it),
        TEST(an_entry_of_another_version_is_left_alone),
        TEST(records_are_compared),
        TEST(what_dead_processes_left_is_found_and_what_is_in_use_is_not),
        TEST(nothing_is_deleted_while_another_holds_the_lock),
        TEST(a_log_that_a_mount_replaces_is_not_deleted),
        TEST(an_open_log_stays_readable),
        TEST(all_hosts_are_checked),
        TEST(r8_a_directory_that_a_mount_would_refuse_is_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
