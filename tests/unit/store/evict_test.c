/*
 * Eviction: the least recently used log is deleted, others may do the same at the same time (R4).
 */
#include "store/internal.h"

#include "store/scratch.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1u << 20)
#define PAGE STORE_PAGE_SIZE

/* 16 logs of one page each in a cache that is full with them; log i was used at second i. */
static struct store *full_cache(struct scratch *x)
{
    struct store *s = scratch_store(x, 16 * PAGE);

    for (uint64_t job = 1; job <= 16; job++)
        assert_int_equal(scratch_publish(s, job, PAGE), 0);
    for (uint64_t job = 1; job <= 16; job++)
        scratch_set_age(x, job, 1000 + (int64_t)job);
    return s;
}

static void oldest_are_evicted_until_there_is_space(void **state)
{
    struct store *s = full_cache(*state);
    uint64_t used, limit, logs, bytes;

    scratch_set_age(*state, 1, 3000);
    assert_int_equal(scratch_publish(s, 17, 2 * PAGE), 0);
    assert_true(scratch_is_whole(s, 1) && scratch_is_whole(s, 17));
    for (uint64_t job = 2; job <= 4; job++)
        assert_false(scratch_is_whole(s, job));
    for (uint64_t job = 5; job <= 16; job++)
        assert_true(scratch_is_whole(s, job));
    store_usage(s, &used, &limit);
    assert_true(used == 15 * PAGE && limit == 16 * PAGE);
    store_get_evicted(s, &logs, &bytes);
    assert_true(logs == 3 && bytes == 3 * PAGE);
    store_destroy(s);
}

static void reading_a_log_keeps_it(void **state)
{
    struct store *s = full_cache(*state);

    assert_true(scratch_is_whole(s, 1));
    assert_int_equal(scratch_publish(s, 17, PAGE), 0);
    assert_true(scratch_is_whole(s, 1));
    assert_false(scratch_is_whole(s, 2));
    store_destroy(s);
}

static void evicted_log_still_tells_its_size(void **state)
{
    struct store *s = full_cache(*state);
    struct store_meta m;
    int fd;

    assert_int_equal(scratch_publish(s, 17, PAGE), 0);
    assert_int_equal(store_load_meta(s, 1, &m), 0);
    assert_true(m.size == PAGE && m.mtime_ms == 1700000000123);
    assert_int_equal(store_open_log(s, 1, &m, &fd), -ENOENT);
    store_meta_finish(&m);
    store_destroy(s);
}

/* Cleaned texts have ids of 19 and of 20 digits. */
static void logs_with_long_ids_count_and_go(void **state)
{
    const uint64_t long_id = UINT64_C(0xC100000000000001);
    struct store *s = full_cache(*state);

    assert_int_equal(scratch_publish(s, long_id, PAGE), 0);
    scratch_set_age(*state, long_id, 1);
    store_destroy(s);
    s = scratch_store(*state, 8 * PAGE);
    assert_int_equal(scratch_publish(s, 18, PAGE), 0);
    assert_false(scratch_is_whole(s, long_id));
    store_destroy(s);
}

static void open_log_stays_readable(void **state)
{
    struct store *s = full_cache(*state);
    unsigned char page[PAGE], data[PAGE];
    struct store_meta m;
    int fd;

    assert_int_equal(store_load_meta(s, 1, &m), 0);
    assert_int_equal(store_open_log(s, 1, &m, &fd), 0);
    scratch_set_age(*state, 1, 500);
    assert_int_equal(scratch_publish(s, 17, PAGE), 0);
    assert_int_equal(access(scratch_log(*state, 1, ""), F_OK), -1);
    scratch_page(1, 0, page);
    assert_int_equal(pread(fd, data, PAGE, 0), PAGE);
    assert_memory_equal(page, data, PAGE);
    close(fd);
    store_meta_finish(&m);
    store_destroy(s);
}

static void next_mount_learns_what_is_there_and_evicts_it(void **state)
{
    struct store *s = full_cache(*state);

    store_destroy(s);
    s = scratch_store(*state, 16 * PAGE);
    assert_int_equal(scratch_publish(s, 17, PAGE), 0);
    assert_false(scratch_is_whole(s, 1));
    assert_true(scratch_is_whole(s, 16) && scratch_is_whole(s, 17));
    store_destroy(s);
    s = scratch_store(*state, 4 * PAGE);
    assert_int_equal(scratch_publish(s, 18, PAGE), 0);
    assert_true(scratch_is_whole(s, 17) && scratch_is_whole(s, 18));
    assert_false(scratch_is_whole(s, 14));
    store_destroy(s);
}

static void logs_of_all_hosts_share_the_bound(void **state)
{
    struct scratch *x = *state;
    struct store_config config = {.dir = x->dir, .host = "other.test", .cache_size = 16 * PAGE};
    struct store *s = full_cache(x), *other;

    assert_int_equal(store_create(&config, &other), 0);
    assert_int_equal(scratch_publish(other, 1, PAGE), 0);
    assert_false(scratch_is_whole(s, 1));
    assert_true(scratch_is_whole(other, 1));
    store_destroy(other);
    store_destroy(s);
}

static void in_flight_counts_and_may_exceed_when_nothing_is_left(void **state)
{
    struct store *s = full_cache(*state);
    struct store_backing b;
    uint64_t used, limit;

    assert_int_equal(store_backing_open(s, &b), 0);
    assert_int_equal(store_backing_reserve(s, &b, 0, 8 * PAGE), 0);
    assert_false(scratch_is_whole(s, 8));
    assert_true(scratch_is_whole(s, 16));
    assert_int_equal(store_backing_reserve(s, &b, 8 * PAGE, 32 * PAGE), 0);
    assert_false(scratch_is_whole(s, 16));
    store_usage(s, &used, &limit);
    assert_true(used == 32 * PAGE);
    store_backing_close(s, &b);
    store_destroy(s);
}

static void log_without_a_meta_is_deleted_by_the_first_scan(void **state)
{
    struct store *s = scratch_store(*state, 16 * PAGE);

    assert_int_equal(scratch_publish(s, 1, PAGE), 0);
    store_destroy(s);
    assert_int_equal(unlink(scratch_log(*state, 1, ".meta")), 0);
    s = scratch_store(*state, 16 * PAGE);
    assert_int_equal(scratch_publish(s, 2, PAGE), 0);
    assert_int_equal(access(scratch_log(*state, 1, ""), F_OK), -1);
    assert_true(scratch_is_whole(s, 2));
    store_destroy(s);
}

/* The first to be published there makes it look at everything. The store before may have looked
 * while its small files were written: it counts them from its process id on. */
static struct store *next_mount(struct scratch *x, struct store *s, uint64_t cache_size)
{
    store_destroy(s);
    return scratch_store(x, cache_size);
}

static void metas_without_logs_are_bounded(void **state)
{
    struct scratch *x = *state;
    struct store *s = scratch_store(x, 64 * PAGE);
    struct store_meta m = {.size = 5}, loaded;
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    unsigned left = 0;

    assert_int_equal(scratch_publish(s, 256, PAGE), 0);
    store_destroy(s);
    s = scratch_store(x, 64 * PAGE);
    for (uint64_t i = 2; i < 202; i++) {
        assert_int_equal(store_save_meta(s, i * 256, &m), 0);
        old[1].tv_sec = 1000 + (time_t)i;
        assert_int_equal(utimensat(AT_FDCWD, scratch_log(x, i * 256, ".meta"), old, 0), 0);
    }
    s = next_mount(x, s, 64 * PAGE);
    assert_int_equal(scratch_publish(s, 1, PAGE), 0);
    for (uint64_t i = 2; i < 202; i++)
        left += !store_load_meta(s, i * 256, &loaded);
    assert_int_equal(left, 128);
    assert_int_equal(store_load_meta(s, 201 * 256, &loaded), 0);
    assert_true(scratch_is_whole(s, 256));
    store_destroy(s);
}

static void what_does_not_belong_there_is_left_alone(void **state)
{
    struct scratch *x = *state;
    struct store *s = full_cache(x);
    const char *names[] = {"notes", "007", "1.meta.bak", "18446744073709551617"};

    for (unsigned i = 0; i < 4; i++)
        close(creat(scratch_path(x, "cache/v1/api.test/logs/01/%s", names[i]), 0600));
    assert_int_equal(mkdir(scratch_path(x, "cache/v1/api.test/logs/01/256"), 0700), 0);
    assert_int_equal(symlink("/", scratch_path(x, "cache/v1/loop")), 0);
    assert_int_equal(scratch_publish(s, 17, PAGE), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(access(scratch_path(x, "cache/v1/api.test/logs/01/%s", names[i]), F_OK),
                         0);
    assert_true(scratch_is_whole(s, 17));
    store_destroy(s);
}

static void oldest_records_go_first(void **state)
{
    struct store *s = scratch_store(*state, 16 * MIB);
    char *blob = calloc(1, MIB);
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char key[32];
    void *data;
    size_t len;

    assert_non_null(blob);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "o/%u/jobs", i);
        assert_int_equal(store_put_record(s, key, blob, MIB - 100), 0);
        old[1].tv_sec++;
        assert_int_equal(
            utimensat(AT_FDCWD, scratch_path(*state, "cache/v1/api.test/facts/%s~", key), old, 0),
            0);
    }
    s = next_mount(*state, s, 16 * MIB);
    assert_int_equal(scratch_publish(s, 1, PAGE), 0);
    assert_int_equal(store_get_record(s, "o/0/jobs", &data, &len), -ENOENT);
    assert_int_equal(access(scratch_path(*state, "cache/v1/api.test/facts/o/0"), F_OK), -1);
    assert_int_equal(store_get_record(s, "o/19/jobs", &data, &len), 0);
    free(data);
    free(blob);
    store_destroy(s);
}

/* -- The list of the oldest -------------------------------------------------------------------- */

static void list_remembers_the_oldest_of_many(void **state)
{
    struct oldest o = {0};
    uint64_t x = 1;

    (void)state;
    for (unsigned i = 0; i < 3 * SCAN_OLDEST_MAX; i++) {
        x = (x * 5 + 3) % 65536; /* each number below 65536 once */
        assert_int_equal(oldest_add(&o, (int64_t)x, 2, "x"), 0);
        assert_in_range(o.count, 1, 2 * SCAN_OLDEST_MAX);
    }
    assert_true(o.total == 6 * SCAN_OLDEST_MAX);
    oldest_sort(&o);
    assert_int_equal(o.count, SCAN_OLDEST_MAX);
    for (size_t i = 1; i < o.count; i++)
        assert_true(o.files[i - 1].mtime_ns <= o.files[i].mtime_ns);
    assert_in_range(o.files[SCAN_OLDEST_MAX - 1].mtime_ns, 20000, 24000);
    oldest_finish(&o);
    assert_int_equal(o.count, 0);
}

/* -- Many at once ------------------------------------------------------------------------------ */

/* R4: processes fill a cache that holds a quarter of what they put there. */
static void processes_evict_at_once_and_no_log_is_torn(void **state)
{
    struct scratch *x = *state;
    pid_t pids[4];
    unsigned left = 0;
    struct store *s;
    int status;

    for (unsigned i = 0; i < 4; i++) {
        pids[i] = fork();
        if (!pids[i]) {
            int rc = 0;
            s = scratch_store(x, 24 * PAGE);
            for (uint64_t job = 1; job <= 40 && !rc; job++) {
                rc = scratch_publish(s, 1000 * i + job, PAGE);
                scratch_is_whole(s, 1000 * ((i + 1) % 4) + job);
            }
            _exit(rc ? 1 : 0);
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_true(waitpid(pids[i], &status, 0) == pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    s = scratch_store(x, 24 * PAGE);
    assert_int_equal(scratch_publish(s, 9999, PAGE), 0);
    for (unsigned i = 0; i < 4; i++)
        for (uint64_t job = 1; job <= 40; job++)
            left += scratch_is_whole(s, 1000 * i + job);
    assert_in_range(left, 16, 23);
    store_destroy(s);
}

struct load {
    struct store *s;
    uint64_t first;
    int rc;
};

static void *publish_many(void *who)
{
    struct load *l = who;
    uint64_t used, limit;

    for (uint64_t job = l->first; job < l->first + 30 && !l->rc; job++) {
        l->rc = scratch_publish(l->s, job, PAGE);
        scratch_is_whole(l->s, job - 5);
        store_usage(l->s, &used, &limit);
        if (!l->rc)
            l->rc = store_put_record(l->s, "k", "x", 1);
    }
    return NULL;
}

static void threads_share_a_store(void **state)
{
    struct store *s = scratch_store(*state, 16 * PAGE);
    struct load loads[3];
    pthread_t threads[3];

    for (unsigned i = 0; i < 3; i++) {
        loads[i] = (struct load){.s = s, .first = 1000 * (i + 1)};
        assert_int_equal(pthread_create(&threads[i], NULL, publish_many, &loads[i]), 0);
    }
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(loads[i].rc, 0);
    store_destroy(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(oldest_are_evicted_until_there_is_space),
        TEST(reading_a_log_keeps_it),
        TEST(evicted_log_still_tells_its_size),
        TEST(logs_with_long_ids_count_and_go),
        TEST(open_log_stays_readable),
        TEST(next_mount_learns_what_is_there_and_evicts_it),
        TEST(logs_of_all_hosts_share_the_bound),
        TEST(in_flight_counts_and_may_exceed_when_nothing_is_left),
        TEST(log_without_a_meta_is_deleted_by_the_first_scan),
        TEST(metas_without_logs_are_bounded),
        TEST(what_does_not_belong_there_is_left_alone),
        TEST(oldest_records_go_first),
        TEST(list_remembers_the_oldest_of_many),
        TEST(processes_evict_at_once_and_no_log_is_torn),
        TEST(threads_share_a_store),
    };

    return cmocka_run_group_tests_name("store/evict", tests, NULL, NULL);
}
