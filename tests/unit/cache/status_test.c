/* Which logs are under way, and how far they have come. */
#include "cache/cache_fixture.h"

#include "cache/internal.h"

#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static unsigned list(struct cache_fixture *b, struct cache_status ret_status[4])
{
    return cache_list_status(b->cache, ret_status, 4);
}

/* Until the writer has written so many bytes, of all logs. */
static void wait_written(struct cache_fixture *b, uint64_t bytes)
{
    struct cache_stats stats;

    do {
        sched_yield();
        cache_get_stats(b->cache, &stats);
    } while (stats.bytes_received < bytes);
}

/* Bytes of a page that is not complete count, too; the rate is that of the clock. */
static void bytes_move_forward_up_to_the_size(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct cache_status s[4];
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 300000);
    assert_int_equal(list(b, s), 0);
    w = fixture_begin(b, log, &g);
    assert_int_equal(list(b, s), 1);
    assert_true(name_is_same(&s[0].repo, &fixture_name) && s[0].job == 1 && !s[0].is_generated);
    assert_true(s[0].progress.bytes == 0 && s[0].progress.size == PROGRESS_UNKNOWN);
    fake_give(w, 100000);
    wait_written(b, 100000);
    guest_pass(500);
    list(b, s);
    assert_true(s[0].progress.bytes == 100000 && s[0].progress.size == PROGRESS_UNKNOWN);
    assert_int_equal(s[0].progress.rate, 200000);
    assert_int_equal(s[0].progress.cause, PROGRESS_FLOWS);
    assert_int_equal(fake_tell(w), 0);
    list(b, s);
    assert_true(s[0].progress.bytes == 100000 && s[0].progress.size == 300000);
    fake_give(w, 300000);
    wait_written(b, 300000);
    list(b, s);
    assert_true(s[0].progress.bytes == 300000 && s[0].progress.rate == 600000);
    fake_done(w);
    assert_int_equal(guest_wait(&g), 0);
    fixture_settle(b, 0);
    assert_int_equal(list(b, s), 0);
    guest_finish(&g);
    log_release(log);
}

/* Of a log that is fetched in several ranges, at once or one after the other. */
static void ranges_of_one_log_are_one_line(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log;
    struct cache_status s[4];
    struct fake_want *w;
    struct log_reader r;
    struct guest g;
    size_t len;

    guest_init(&g);
    fake_add(&b->fake, 1, 64 * MIB);
    log = fixture_know(b, 1);
    fixture_settle(b, 0);
    log_open(log, &r);
    assert_int_equal(fixture_try_read(&r, 1, 40 * MIB, 4096, &g, &len), PENDING_PARKED);
    w = fake_take_want(&b->fake);
    fake_give(w, 40 * MIB + PAGE / 2 + 5);
    wait_written(b, MIB + PAGE / 2 + 5);
    assert_int_equal(list(b, s), 1);
    assert_true(s[0].progress.size == 64 * MIB);
    assert_true(s[0].progress.bytes == MIB + PAGE / 2 + 5);
    fake_serve(w);
    fixture_settle_served(b);
    assert_int_equal(list(b, s), 0);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

static void those_that_began_first_are_listed_and_all_are_counted(void **state)
{
    struct cache_fixture *b = *state;
    struct cache_status s[4];
    struct fake_want *w[10];
    struct log *logs[10];
    struct guest g[10];

    for (unsigned i = 0; i < 10; i++) {
        guest_init(&g[i]);
        fake_add(&b->fake, i + 1, 1000);
        logs[i] = cache_hold(b->cache, i + 1);
        guest_pass(10);
        w[i] = fixture_begin(b, logs[i], &g[i]);
    }
    assert_int_equal(list(b, s), 10);
    assert_true(s[0].job == 1 && s[3].job == 4);
    assert_true(s[0].progress.begun_ms + 30 == s[3].progress.begun_ms);
    fake_serve(w[1]);
    assert_int_equal(guest_wait(&g[1]), 0);
    fixture_settle(b, 9);
    assert_int_equal(list(b, s), 9);
    assert_true(s[1].job == 3 && s[3].job == 5);
    for (unsigned i = 0; i < 10; i++) {
        if (i != 1) {
            fake_serve(w[i]);
            assert_int_equal(guest_wait(&g[i]), 0);
        }
        guest_finish(&g[i]);
        log_release(logs[i]);
    }
    fixture_settle(b, 0);
    assert_int_equal(list(b, s), 0);
}

/* While nothing is fetched, GitHub is asked whose the log is (S14). */
static void question_for_a_name_is_under_way(void **state)
{
    struct cache_fixture *b = *state;
    struct cache_status s[4];
    struct fake_facts *q;
    struct log_stat stat;
    struct log *log;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 10);
    log = fixture_know(b, 1);
    fixture_settle(b, 0);
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &g.waiter, &stat),
        PENDING_PARKED);
    q = fake_take_facts(&b->fake);
    progress_wait_note(q->f->waits_for, PROGRESS_QUOTA, 77);
    assert_int_equal(list(b, s), 1);
    assert_true(name_is_same(&s[0].repo, &fixture_other));
    assert_true(s[0].progress.cause == PROGRESS_QUOTA && s[0].progress.until_ms == 77);
    fake_answer(&b->fake, q, "{}", "", 0);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(list(b, s), 0);
    guest_finish(&g);
    log_release(log);
}

/* The writer thread stands still from hold_writer until `go`. */
struct hold {
    struct task task;
    sem_t held, go;
};

static void stand_still(struct task *task)
{
    struct hold *h = list_entry(task, struct hold, task);

    sem_post(&h->held);
    sem_wait(&h->go);
}

static void hold_writer(struct cache_fixture *b, struct hold *h)
{
    *h = (struct hold){.task.run = stand_still};
    sem_init(&h->held, 0, 0);
    sem_init(&h->go, 0, 0);
    writer_post(b->cache->writer, &h->task);
    sem_wait(&h->held);
}

/* The note is the source's, until bytes come, or find no space. */
static void what_the_source_waits_for_is_told(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct cache_status s[4];
    struct fake_want *w;
    struct hold hold;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 8 * MIB)->has_no_range = true;
    w = fixture_begin(b, log, &g);
    progress_wait_note(w->log->waits_for, PROGRESS_RETRY, 123);
    list(b, s);
    assert_true(s[0].progress.cause == PROGRESS_RETRY && s[0].progress.until_ms == 123);
    fake_give(w, 1000);
    list(b, s);
    assert_int_equal(s[0].progress.cause, PROGRESS_FLOWS);
    fake_tell(w);
    hold_writer(b, &hold);
    while (fake_try_give(w, 60000))
        ;
    list(b, s);
    assert_int_equal(s[0].progress.cause, PROGRESS_DISK);
    sem_post(&hold.go);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    fixture_settle(b, 0);
    guest_finish(&g);
    log_release(log);
    sem_destroy(&hold.go);
    sem_destroy(&hold.held);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, cache_fixture_setup, cache_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(bytes_move_forward_up_to_the_size),
        WITH_BENCH(ranges_of_one_log_are_one_line),
        WITH_BENCH(those_that_began_first_are_listed_and_all_are_counted),
        WITH_BENCH(question_for_a_name_is_under_way),
        WITH_BENCH(what_the_source_waits_for_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
