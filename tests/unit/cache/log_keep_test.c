/* What is on disk: published once, found again, checked, fetched again where it is damaged or gone
 * (S2, S8, R2, R3, R4). */
#include "cache/cache_fixture.h"

#include "cache/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE (20 * PAGE + 1234)

/* A log of SIZE bytes that is published, and a new mount. */
static void publish_and_remount(struct cache_fixture *b, uint64_t job)
{
    struct cache_stats stats;
    struct log_reader r;
    struct log *log;

    fake_add(&b->fake, job, SIZE);
    log = fixture_know(b, job);
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, job, 0, SIZE), 0);
    fixture_settle(b, 0);
    cache_get_stats(b->cache, &stats);
    assert_int_equal(stats.published, 1);
    log_close(&r);
    log_release(log);
    cache_fixture_remount(b);
    b->fake.bytes_wanted = 0;
}

/* Opens a log that an earlier mount has kept. */
static struct log *open_kept(struct cache_fixture *b, uint64_t job, struct log_reader *r)
{
    struct log *log = cache_hold(b->cache, job);
    struct log_stat stat;

    assert_int_equal(fixture_stat(log, &stat), 0);
    log_open(log, r);
    return log;
}

static void published_log_costs_a_new_mount_nothing_S2(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log_stat stat;
    struct log *log;

    publish_and_remount(b, 1);
    log = cache_hold(b->cache, 1);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_true(stat.size == SIZE && stat.final && stat.mtime_ms == 1700000000000);
    log_open(log, &r);
    assert_false(r.direct);
    assert_int_equal(fixture_read(&r, 1, 0, SIZE), 0);
    log_close(&r);
    /* Opened again, when its file was closed. */
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, 1, 7, 100000), 0);
    log_close(&r);
    log_release(log);
    assert_int_equal(b->fake.bytes_wanted, 0);
    assert_int_equal(b->fake.facts_wanted, 0);
}

static void damage(struct cache_fixture *b, uint64_t job, uint64_t offset)
{
    int fd = open(scratch_log(b->scratch, job, ""), O_RDWR);
    char byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

static void damaged_byte_costs_exactly_its_page_R2(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct fake_want *w;
    struct guest g;
    struct log *log;
    size_t len;

    guest_init(&g);
    publish_and_remount(b, 1);
    damage(b, 1, 7 * PAGE + 99);
    damage(b, 1, 20 * PAGE + 1233);
    log = open_kept(b, 1, &r);
    assert_int_equal(fixture_read(&r, 1, 0, 7 * PAGE), 0);
    assert_int_equal(fixture_try_read(&r, 1, 5 * PAGE, 5 * PAGE, &g, &len), PENDING_PARKED);
    w = fake_take_want(&b->fake);
    assert_true(w->b->from == 7 * PAGE && w->b->to == 8 * PAGE);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_read(&r, 1, 0, 20 * PAGE), 0);
    assert_int_equal(fixture_try_read(&r, 1, 20 * PAGE, 1234, &g, &len), PENDING_PARKED);
    w = fake_take_want(&b->fake);
    assert_true(w->b->from == 20 * PAGE && w->b->to == SIZE);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_read(&r, 1, 0, SIZE), 0);
    assert_int_equal(b->fake.bytes_wanted, 2);
    log_close(&r);
    log_release(log);

    /* And it is repaired on disk. */
    cache_fixture_remount(b);
    log = open_kept(b, 1, &r);
    assert_int_equal(fixture_read(&r, 1, 0, SIZE), 0);
    assert_int_equal(b->fake.bytes_wanted, 2);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

static enum page_state state_of(struct log *log, uint64_t page)
{
    enum page_state state;

    pthread_mutex_lock(&log->cache->lock);
    state = pages_get(&log->pages, page);
    pthread_mutex_unlock(&log->cache->lock);
    return state;
}

/* Some file systems (tmpfs, overlayfs) cannot tell which pages of a file are in memory: there
 * nothing is checked ahead of a reader. */
static bool is_read_without_waiting(const char *path)
{
    char byte;
    struct iovec one = {.iov_base = &byte, .iov_len = 1};
    int fd = open(path, O_RDONLY);
    bool is = preadv2(fd, &one, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;

    close(fd);
    return is;
}

/* P3: a worker that has no page to check answers sooner. */
static void sequential_reader_finds_the_next_pages_checked_R2(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log;

    publish_and_remount(b, 1);
    if (!is_read_without_waiting(scratch_log(b->scratch, 1, "")))
        scratch_skip("the file system of /var/tmp has no RWF_NOWAIT");
    damage(b, 1, 9 * PAGE + 5);
    log = open_kept(b, 1, &r);
    assert_int_equal(fixture_read(&r, 1, 0, 2 * PAGE), 0);
    fixture_settle(b, 0);
    assert_int_equal(state_of(log, 1), PAGE_PRESENT);
    assert_int_equal(state_of(log, 2), PAGE_UNCHECKED); /* one read is not sequential */
    assert_int_equal(fixture_read(&r, 1, 2 * PAGE, 2 * PAGE), 0);
    fixture_settle(b, 0); /* the damaged page is not fetched before a reader comes near it */
    for (uint64_t page = 4; page < store_page_count(SIZE); page++)
        assert_int_equal(state_of(log, page), page == 9 ? PAGE_ABSENT : PAGE_PRESENT);
    assert_int_equal(fixture_read_served(b, &r, 1, 4 * PAGE, SIZE - 4 * PAGE), 0);
    log_close(&r);
    log_release(log);
    assert_int_equal(b->fake.bytes_wanted, 1);
}

static void jumping_reader_checks_only_the_pages_it_reads_R2(void **state)
{
    struct cache_fixture *b = *state;
    const uint64_t size = 256 * PAGE; /* PLAN_NEAR is 32 of them */
    struct log_reader r;
    struct log *log;
    uint64_t checked = 0;

    fake_add(&b->fake, 2, size);
    log = fixture_know(b, 2);
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 2, 0, size), 0);
    fixture_settle_served(b);
    log_close(&r);
    log_release(log);
    cache_fixture_remount(b);
    log = open_kept(b, 2, &r);
    for (uint64_t page = 0; page < 256; page += 64)
        assert_int_equal(fixture_read(&r, 2, page * PAGE, PAGE), 0);
    fixture_settle(b, 0);
    for (uint64_t page = 0; page < 256; page++)
        checked += state_of(log, page) == PAGE_PRESENT;
    assert_int_equal(checked, 4);
    log_close(&r);
    log_release(log);
}

/* Storage refuses the damaged page for a while; the log is closed; then all of it is fetched at
 * once, as for its cleaned text. Undamaged pages stay in the published file, not in a new one. */
static void page_that_could_not_be_mended_is_mended_in_its_file_R2(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct guest g;
    struct log *log;
    size_t len;

    guest_init(&g);
    publish_and_remount(b, 1);
    damage(b, 1, 7 * PAGE + 99);
    log = open_kept(b, 1, &r);
    assert_int_equal(fixture_read(&r, 1, 0, 7 * PAGE), 0);
    assert_int_equal(fixture_try_read(&r, 1, 7 * PAGE, PAGE, &g, &len), PENDING_PARKED);
    fake_fail(fake_take_want(&b->fake), -EIO, SOURCE_BROKEN, 0);
    assert_int_equal(guest_wait(&g), -EIO);
    log_close(&r);
    fixture_settle(b, 0);
    guest_pass(1000);

    assert_int_equal(log_fetch_all(log, &fixture_name, &g.waiter), PENDING_PARKED);
    fake_serve(fake_take_want(&b->fake));
    do /* a piece of the page wakes as well as all of it */
        assert_int_equal(guest_wait(&g), 0);
    while (log_fetch_all(log, &fixture_name, &g.waiter) == PENDING_PARKED);
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, 1, 0, SIZE), 0);
    log_close(&r);
    fixture_settle(b, 0);
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, 1, 0, SIZE), 0);
    assert_int_equal(b->fake.bytes_wanted, 2);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

/* Another mount has published first: what it wrote is checked before it is read. */
static void file_of_another_mount_is_checked_R4(void **state)
{
    struct cache_fixture *b = *state;
    struct cache_fixture other = {
        .scratch = b->scratch, .store_config = b->store_config, .idle_max = 4};
    struct log *mine = cache_hold(b->cache, 1);
    struct log_reader r;
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    assert_int_equal(waits_init(&other.waits), 0);
    fake_source_init(&other.fake);
    cache_fixture_mount(&other);
    fake_add(&b->fake, 1, 10 * PAGE);
    fake_add(&other.fake, 1, 10 * PAGE);
    w = fixture_begin(b, mine, &g);
    log_release(fixture_know(&other, 1));
    cache_fixture_unmount(&other);
    damage(b, 1, 3 * PAGE);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    fixture_settle(b, 0);
    log_open(mine, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, 0, 10 * PAGE), 0);
    assert_int_equal(b->fake.bytes_wanted, 2);
    log_close(&r);
    fake_source_finish(&other.fake);
    waits_finish(&other.waits);
    guest_finish(&g);
    log_release(mine);
}

static void truncated_log_is_fetched_again_R2(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log_stat stat;
    struct log *log;

    publish_and_remount(b, 1);
    assert_int_equal(truncate(scratch_log(b->scratch, 1, ""), SIZE - 1), 0);
    log = cache_hold(b->cache, 1);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_true(stat.size == SIZE);
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, 0, SIZE), 0);
    log_close(&r);
    log_release(log);
}

static void size_of_a_half_fetched_log_is_kept_S4(void **state)
{
    struct cache_fixture *b = *state;
    struct log_stat stat;
    struct log_reader r;
    struct log *log;

    fake_add(&b->fake, 1, 50 * MIB);
    log = fixture_know(b, 1);
    log_release(log);
    cache_fixture_remount(b);
    b->fake.bytes_wanted = 0;
    log = cache_hold(b->cache, 1);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_true(stat.size == 50 * MIB && stat.mtime_ms == 1700000000000);
    assert_int_equal(b->fake.bytes_wanted, 0);
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, 30 * MIB, 4096),
                     0); /* what was half fetched starts again */
    assert_int_equal(b->fake.bytes_wanted, 1);
    assert_int_equal(fixture_read_served(b, &r, 1, 0, 4096), 0);
    log_close(&r);
    log_release(log);
}

static void log_evicted_while_it_is_read_stays_readable_R4(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log;

    publish_and_remount(b, 1);
    log = open_kept(b, 1, &r);
    assert_int_equal(fixture_read(&r, 1, 0, 4096), 0);
    assert_int_equal(unlink(scratch_log(b->scratch, 1, "")), 0); /* as another process does */
    assert_int_equal(fixture_read(&r, 1, 0, SIZE), 0);
    assert_int_equal(b->fake.bytes_wanted, 0);
    log_close(&r);
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, 0, SIZE),
                     0); /* closed once, it is fetched again */
    assert_true(b->fake.bytes_wanted >= 1);
    log_close(&r);
    log_release(log);
    fixture_settle(b, 0);
    assert_int_equal(access(scratch_log(b->scratch, 1, ""), F_OK), 0);
}

static void log_evicted_before_it_is_opened_is_fetched_again_R4(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log_stat stat;
    struct log *log;

    publish_and_remount(b, 1);
    log = cache_hold(b->cache, 1);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_int_equal(unlink(scratch_log(b->scratch, 1, "")), 0);
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, PAGE, 2 * PAGE), 0);
    assert_int_equal(fixture_read_served(b, &r, 1, 0, SIZE), 0);
    log_close(&r);
    log_release(log);
}

/* Another mount has published the log meanwhile: the facts of this one must not undo that. */
static void half_known_log_does_not_undo_what_another_published_R4(void **state)
{
    struct cache_fixture *b = *state;
    struct cache_fixture other = {
        .scratch = b->scratch, .store_config = b->store_config, .idle_max = 4};
    struct log *mine = cache_hold(b->cache, 1), *its;
    struct log_reader r;
    struct log_stat stat;
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    assert_int_equal(waits_init(&other.waits), 0);
    fake_source_init(&other.fake);
    cache_fixture_mount(&other);
    fake_add(&b->fake, 1, 3 * MIB);
    fake_add(&other.fake, 1, 3 * MIB);
    w = fixture_begin(b, mine, &g); /* this one has found nothing on disk */
    its = fixture_know(&other, 1);
    log_open(its, &r);
    assert_int_equal(fixture_read_served(&other, &r, 1, 0, 3 * MIB), 0);
    fixture_settle(&other, 0);
    log_close(&r);
    log_release(its);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    fixture_settle(b, 0); /* and this one has kept its facts */
    cache_fixture_remount(&other);
    other.fake.bytes_wanted = 0;
    its = cache_hold(other.cache, 1);
    assert_int_equal(fixture_stat(its, &stat), 0);
    log_open(its, &r);
    assert_int_equal(fixture_read_served(&other, &r, 1, 0, 3 * MIB), 0);
    assert_int_equal(other.fake.bytes_wanted, 0);
    log_close(&r);
    log_release(its);
    cache_fixture_unmount(&other);
    fake_source_finish(&other.fake);
    waits_finish(&other.waits);
    guest_finish(&g);
    log_release(mine);
}

/* Closed while its first MiB was still coming, the log became idle; then it was published. */
static void published_log_is_not_dropped_as_idle_S2(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct cache_stats stats;
    struct log_reader r;
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 10 * PAGE);
    w = fixture_begin(b, log, &g);
    assert_int_equal(fake_tell(w), 0);
    assert_int_equal(guest_wait(&g), 0);
    fake_give(w, PAGE);
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, 1, 0, 4096), 0);
    log_close(&r);
    fake_serve(w);
    fixture_settle(b, 0);
    cache_get_stats(b->cache, &stats);
    assert_int_equal(stats.published, 1);
    for (uint64_t job = 2; job < 40; job++) { /* more idle logs than are kept */
        fake_add(&b->fake, job, 2 * MIB);
        log_release(fixture_know(b, job));
    }
    b->fake.bytes_wanted = 0;
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, 1, 0, 10 * PAGE), 0);
    assert_int_equal(b->fake.bytes_wanted, 0);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

static void cache_without_a_directory_goes_on_in_memory_R3(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log;

    fake_add(&b->fake, 1, SIZE);
    scratch_remove(b->scratch->dir);
    log = fixture_know(b, 1);
    log_open(log, &r);
    assert_int_equal(fixture_read_served(b, &r, 1, 0, SIZE), 0);
    log_close(&r);
    log_release(log);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, cache_fixture_setup, cache_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(published_log_costs_a_new_mount_nothing_S2),
        WITH_BENCH(damaged_byte_costs_exactly_its_page_R2),
        WITH_BENCH(sequential_reader_finds_the_next_pages_checked_R2),
        WITH_BENCH(jumping_reader_checks_only_the_pages_it_reads_R2),
        WITH_BENCH(page_that_could_not_be_mended_is_mended_in_its_file_R2),
        WITH_BENCH(file_of_another_mount_is_checked_R4),
        WITH_BENCH(truncated_log_is_fetched_again_R2),
        WITH_BENCH(size_of_a_half_fetched_log_is_kept_S4),
        WITH_BENCH(log_evicted_while_it_is_read_stays_readable_R4),
        WITH_BENCH(log_evicted_before_it_is_opened_is_fetched_again_R4),
        WITH_BENCH(half_known_log_does_not_undo_what_another_published_R4),
        WITH_BENCH(published_log_is_not_dropped_as_idle_S2),
        WITH_BENCH(cache_without_a_directory_goes_on_in_memory_R3),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
