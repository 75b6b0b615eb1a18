/* What is known of a log: one request for all callers, under which names, and failures. */
#include "cache/cache_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MTIME INT64_C(1700000000000) /* fake_add's */

static void hundred_callers_share_one_fetch_S2(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct guest guests[100];
    struct log_stat stat;

    fake_add(&b->fake, 1, 5000);
    for (unsigned i = 0; i < 100; i++) {
        guest_init(&guests[i]);
        assert_int_equal(fixture_try_stat(log, &guests[i], &stat), PENDING_PARKED);
    }
    assert_int_equal(b->fake.bytes_wanted, 1);
    assert_int_equal(b->fake.logs_created, 1);
    fake_serve(fake_take_want(&b->fake));
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(guest_wait(&guests[i]), 0);
        assert_int_equal(fixture_try_stat(log, &guests[i], &stat), 0);
        assert_int_equal(stat.size, 5000);
        guest_finish(&guests[i]);
    }
    assert_int_equal(b->fake.bytes_wanted, 1);
    assert_int_equal(b->fake.facts_wanted, 0);
    log_release(log);
}

static void first_range_is_a_mib_S3(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, GIB);
    w = fixture_begin(b, log, &g);
    assert_true(w->b->from == 0 && w->b->to == MIB);
    assert_int_equal(w->b->class, SOURCE_DEMAND);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    fixture_settle(b, 0);
    assert_int_equal(b->fake.bytes_wanted, 1); /* no reader: the rest is not fetched (S5) */
    assert_true(b->fake.bytes_given == MIB);
    guest_finish(&g);
    log_release(log);
}

static void size_is_known_before_any_byte_S4(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_stat stat;
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 123456);
    w = fixture_begin(b, log, &g);
    assert_int_equal(log_get_stat(log, &fixture_name, EFFORT_MEMORY, NULL, NULL, &stat), -EAGAIN);
    assert_int_equal(fake_tell(w), 0);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    assert_int_equal(stat.size, 123456);
    assert_true(stat.final);
    assert_int_equal(stat.mtime_ms, MTIME);
    assert_int_equal(log_get_stat(log, &fixture_name, EFFORT_MEMORY, NULL, NULL, &stat), 0);
    fake_serve(w);
    guest_finish(&g);
    log_release(log);
}

static void size_may_be_reported_after_the_bytes(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_reader r;
    struct log_stat stat;
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 5 * MIB + 777)->has_no_range = true;
    w = fixture_begin(b, log, &g);
    fake_give(w, UINT64_MAX);
    assert_false(guest_is_answered(&g));
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    assert_true(stat.size == 5 * MIB + 777);
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, 1, 0, (size_t)stat.size), 0);
    assert_int_equal(b->fake.bytes_wanted, 1);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

static void small_log_without_length_is_complete_S4(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_reader r;
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 70001);
    w = fixture_begin(b, log, &g);
    fake_give(w, UINT64_MAX);
    fixture_settle(b, 1);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, 1, 0, 70001), 0);
    assert_int_equal(b->fake.bytes_wanted, 1);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

static void time_is_the_jobs_where_it_is_known_S7(void **state)
{
    struct cache_fixture *b = *state;
    struct log_hint hint = {.completed = true, .completed_ms = 1600000000000};
    struct log *hinted = cache_hold(b->cache, 1), *asked = cache_hold(b->cache, 2);
    struct log_stat stat;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 10);
    assert_int_equal(log_get_stat(hinted, &fixture_name, EFFORT_NETWORK, &hint, &g.waiter, &stat),
                     PENDING_PARKED);
    assert_true(fake_find_log(&b->fake, 1)->completed);
    fake_serve(fake_take_want(&b->fake));
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(
        log_get_stat(hinted, &fixture_name, EFFORT_NETWORK, &fixture_no_hint, &g.waiter, &stat), 0);
    assert_true(stat.mtime_ms == 1600000000000);

    fake_add(&b->fake, 2, 10)->completed_ms = 1650000000000;
    fake_serve(fixture_begin(b, asked, &g));
    assert_int_equal(guest_wait(&g), 0);
    /* It does not change any more. */
    assert_int_equal(log_get_stat(asked, &fixture_name, EFFORT_NETWORK, &hint, &g.waiter, &stat),
                     0);
    assert_true(stat.mtime_ms == 1650000000000);
    guest_finish(&g);
    log_release(hinted);
    log_release(asked);
}

static void failure_reaches_all_waiters_and_is_remembered(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_stat stat;
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 10);
    w = fixture_begin(b, log, &g);
    fake_fail(w, -EACCES, SOURCE_FORBIDDEN, guest_now_ms() + 30000);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), -EACCES);
    assert_int_equal(log_get_stat(log, &fixture_name, EFFORT_MEMORY, NULL, NULL, &stat), -EAGAIN);
    assert_int_equal(log_get_failure(log, &fixture_name).reason, SOURCE_FORBIDDEN);
    guest_pass(29999);
    assert_int_equal(fixture_try_stat(log, &g, &stat), -EACCES);
    assert_int_equal(b->fake.bytes_wanted, 1);
    guest_pass(1);
    w = fixture_begin(b, log, &g);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    guest_finish(&g);
    log_release(log);
}

static void failure_that_is_not_remembered_is_handed_to_the_waiters(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 10);
    w = fixture_begin(b, log, &g);
    fake_fail(w, -ECONNABORTED, SOURCE_CLOSING, 0);
    assert_int_equal(guest_wait(&g), -ECONNABORTED);
    guest_finish(&g);
    log_release(log);
}

static void pending_log_is_requested_again_ever_later(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    const int64_t holds_ms[] = {3000, 6000, 12000, 24000, 30000, 30000};
    struct log_stat stat;
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 10);
    for (unsigned i = 0; i < 6; i++) {
        w = fixture_begin(b, log, &g);
        fake_fail(w, -ENOENT, SOURCE_PENDING, guest_now_ms() + 3000);
        assert_int_equal(guest_wait(&g), 0);
        guest_pass(holds_ms[i] - 1);
        assert_int_equal(fixture_try_stat(log, &g, &stat), -ENOENT);
        guest_pass(1);
    }
    fake_serve(fixture_begin(b, log, &g));
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    guest_finish(&g);
    log_release(log);
}

static void late_failure_of_a_first_range_does_not_affect_the_next(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_reader r;
    struct fake_want *w;
    struct log_stat stat;
    struct guest g;
    size_t len;

    guest_init(&g);
    fake_add(&b->fake, 1, 300000);
    w = fixture_begin(b, log, &g);
    fake_give(w, 100000);
    fake_fail(w, -EIO, SOURCE_BROKEN, guest_now_ms() - 1);
    assert_int_equal(guest_wait(&g), -EIO);
    w = fixture_begin(b, log, &g);
    assert_int_equal(fake_tell(w), 0);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    log_open(log, &r);
    assert_int_equal(fixture_try_read(&r, 1, 200000, 100000, &g, &len), PENDING_PARKED);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_read(&r, 1, 0, 300000), 0);
    assert_int_equal(b->fake.bytes_wanted, 2);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

static void another_name_costs_one_request_S14(void **state)
{
    struct cache_fixture *b = *state;
    struct guest first, second;
    struct fake_facts *q;
    struct log_stat stat;
    struct log *log;

    guest_init(&first);
    guest_init(&second);
    fake_add(&b->fake, 1, 10);
    log = fixture_know(b, 1);
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &first.waiter, &stat),
        PENDING_PARKED);
    assert_int_equal(log_get_stat(log, &fixture_other, EFFORT_MEMORY, NULL, NULL, &stat), -EAGAIN);
    assert_int_equal(log_get_stat(log, &(struct repo_name){"OTHER", "repo"}, EFFORT_NETWORK,
                                  &fixture_no_hint, &second.waiter, &stat),
                     PENDING_PARKED);
    assert_int_equal(b->fake.facts_wanted, 1);
    q = fake_take_facts(&b->fake);
    assert_int_equal(q->f->question, SOURCE_JOB);
    assert_int_equal(q->f->id, 1);
    assert_string_equal(q->f->repo.owner, "other");
    fake_answer(&b->fake, q, "{}", "", 0);
    assert_int_equal(guest_wait(&first), 0);
    assert_int_equal(guest_wait(&second), 0);
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &first.waiter, &stat),
        0);
    assert_int_equal(fixture_try_stat(log, &first, &stat), 0);
    assert_int_equal(b->fake.facts_wanted, 1);
    assert_int_equal(b->fake.bytes_wanted, 1);
    guest_finish(&first);
    guest_finish(&second);
    log_release(log);
}

static void verified_names_are_kept_on_disk_S14(void **state)
{
    struct cache_fixture *b = *state;
    struct log_stat stat;
    struct guest g;
    struct log *log;

    guest_init(&g);
    fake_add(&b->fake, 1, 10);
    log = fixture_know(b, 1);
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &g.waiter, &stat),
        PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), "{}", "", 0);
    assert_int_equal(guest_wait(&g), 0);
    log_release(log);
    cache_fixture_remount(b);
    log = cache_hold(b->cache, 1);
    assert_int_equal(fixture_stat_as(log, &fixture_other, &fixture_no_hint, &stat), 0);
    assert_int_equal(fixture_stat(log, &stat), 0);
    assert_int_equal(stat.size, 10);
    assert_int_equal(stat.mtime_ms, MTIME);
    assert_int_equal(b->fake.facts_wanted, 1);
    assert_int_equal(b->fake.bytes_wanted, 1);
    guest_finish(&g);
    log_release(log);
}

static void refused_name_stays_refused_and_hides_no_other_S14(void **state)
{
    struct cache_fixture *b = *state;
    struct log_stat stat;
    struct guest g;
    struct log *log;

    guest_init(&g);
    fake_add(&b->fake, 1, 10);
    log = fixture_know(b, 1);
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &g.waiter, &stat),
        PENDING_PARKED);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -ENOENT, SOURCE_NOT_FOUND,
                guest_now_ms() + 30000);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &g.waiter, &stat),
        -ENOENT);
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    assert_int_equal(b->fake.facts_wanted, 1);
    guest_pass(30000);
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &g.waiter, &stat),
        PENDING_PARKED);
    assert_int_equal(b->fake.facts_wanted, 2);
    fake_answer(&b->fake, fake_take_facts(&b->fake), "{}", "", 0);
    assert_int_equal(guest_wait(&g), 0);
    guest_finish(&g);
    log_release(log);
}

/* Two names of an unknown log: the failure of the first does not affect the second. */
static void two_names_at_once_are_requested_one_after_the_other_S14(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct guest first, second;
    struct log_stat stat;
    struct fake_want *w;

    guest_init(&first);
    guest_init(&second);
    fake_add(&b->fake, 1, 10);
    w = fixture_begin(b, log, &first);
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &second.waiter, &stat),
        PENDING_PARKED);
    assert_int_equal(b->fake.bytes_wanted, 1);
    fake_fail(w, -ENOENT, SOURCE_NOT_FOUND, guest_now_ms() + 30000);
    assert_int_equal(guest_wait(&first), 0);
    assert_int_equal(fixture_try_stat(log, &first, &stat), -ENOENT);
    assert_int_equal(guest_wait(&second), 0);
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &second.waiter, &stat),
        PENDING_PARKED);
    w = fake_take_want(&b->fake);
    assert_string_equal(w->log->repo.owner, "other");
    fake_serve(w);
    assert_int_equal(guest_wait(&second), 0);
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &second.waiter, &stat),
        0);
    /* And the success of the second does not verify the first. */
    assert_int_equal(fixture_try_stat(log, &first, &stat), -ENOENT);
    guest_finish(&first);
    guest_finish(&second);
    log_release(log);
}

/* A waiter that is woken by the failure asks at once, on the same thread: its request must go under
 * its own name. */
struct eager {
    struct waiter waiter;
    struct log *log;
    struct guest guest;
    int rc;
};

static void ask_from_within(struct waiter *w, int err)
{
    struct eager *e = list_entry(w, struct eager, waiter);
    struct log_stat stat;

    assert_true(err == 0 || err == -EIO);
    e->rc = log_get_stat(e->log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &e->guest.waiter,
                         &stat);
}

static void second_name_is_never_requested_under_the_first_S14(void **state)
{
    struct cache_fixture *b = *state;
    struct eager e = {.waiter.wake = ask_from_within, .log = cache_hold(b->cache, 1)};
    struct log_stat stat;
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    guest_init(&e.guest);
    fake_add(&b->fake, 1, 10);
    w = fixture_begin(b, e.log, &g);
    assert_int_equal(
        log_get_stat(e.log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &e.waiter, &stat),
        PENDING_PARKED);
    fake_fail(w, -EIO, SOURCE_BROKEN, guest_now_ms() + 1000);
    guest_wait(&g);
    w = fake_take_want(&b->fake);
    assert_string_equal(w->log->repo.owner, "other");
    fixture_settle(b, 1);
    assert_int_equal(e.rc, PENDING_PARKED);
    fake_serve(w);
    assert_int_equal(guest_wait(&e.guest), 0);
    guest_pass(1000);
    assert_int_equal(fixture_try_stat(e.log, &g, &stat), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), "{}", "", 0);
    assert_int_equal(guest_wait(&g), 0);
    guest_finish(&g);
    guest_finish(&e.guest);
    log_release(e.log);
}

static void expired_log_is_remembered_for_good_for_its_name_only(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_stat stat;
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 10);
    w = fixture_begin(b, log, &g);
    fake_fail(w, -ENOENT, SOURCE_EXPIRED, INT64_MAX);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), -ENOENT);
    log_release(log);
    cache_fixture_remount(b);
    guest_pass(INT64_C(1000) * 86400 * 365);
    log = cache_hold(b->cache, 1);
    assert_int_equal(fixture_stat(log, &stat), -ENOENT);
    assert_int_equal(b->fake.bytes_wanted, 1);
    /* A 410 verifies no name, and hides nothing under another. */
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &g.waiter, &stat),
        PENDING_PARKED);
    fake_serve(fake_take_want(&b->fake));
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &g.waiter, &stat), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), -ENOENT);
    guest_finish(&g);
    log_release(log);
}

/* `tail -F` on a job that has no log yet looks it up again and again. */
static void handle_of_a_pending_log_is_kept_for_its_name_P12(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_stat stat;
    struct guest g;

    guest_init(&g);
    for (unsigned i = 0; i < 5; i++) {
        fake_fail(fixture_begin(b, log, &g), -ENOENT, SOURCE_PENDING, guest_now_ms() + 3000);
        assert_int_equal(guest_wait(&g), 0);
        assert_int_equal(fixture_try_stat(log, &g, &stat), -ENOENT);
        fixture_settle(b, 0);
        guest_pass(30000);
        assert_int_equal(b->fake.logs_created, 1);
    }
    /* Another name gets its own handle (S14). */
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, &g.waiter, &stat),
        PENDING_PARKED);
    fake_fail(fake_take_want(&b->fake), -ENOENT, SOURCE_NOT_FOUND, guest_now_ms() + 30000);
    assert_int_equal(guest_wait(&g), 0);
    fixture_settle(b, 0);
    assert_int_equal(b->fake.logs_created, 2);
    fake_turn(&b->fake);
    log_release(log);
    fake_turn(&b->fake);
    assert_null(fake_find_log(&b->fake, 1));
    guest_finish(&g);
}

static void prefetch_refused_by_quota_does_not_fail_readers(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_reader r;
    struct log_stat stat;
    struct fake_want *w;
    struct guest g;
    size_t len;

    guest_init(&g);
    fake_add(&b->fake, 1, 200000);
    assert_int_equal(
        log_get_stat(log, &fixture_name, EFFORT_NETWORK, &fixture_no_hint, NULL, &stat),
        PENDING_PARKED);
    w = fake_take_want(&b->fake);
    assert_int_equal(w->b->class, SOURCE_PREFETCH);
    assert_int_equal(fixture_try_stat(log, &g, &stat), PENDING_PARKED);
    assert_int_equal(b->fake.bytes_wanted, 1);
    fake_fail(w, -EDQUOT, SOURCE_LIMITED, guest_now_ms() + 3600000);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_try_stat(log, &g, &stat), PENDING_PARKED);
    w = fake_take_want(&b->fake);
    assert_int_equal(w->b->class, SOURCE_DEMAND);
    assert_int_equal(fake_tell(w), 0);
    assert_int_equal(guest_wait(&g), 0);
    log_open(log, &r);
    assert_int_equal(fixture_try_read(&r, 1, 0, 1000, &g, &len), PENDING_PARKED);
    fake_serve(w);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(fixture_read(&r, 1, 0, 200000), 0);
    log_close(&r);
    guest_finish(&g);
    log_release(log);
}

static void reader_who_joins_a_prefetch_promotes_it(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct guest first, second;
    struct log_stat stat;

    guest_init(&first);
    guest_init(&second);
    fake_add(&b->fake, 1, 200000);
    assert_int_equal(
        log_get_stat(log, &fixture_name, EFFORT_NETWORK, &fixture_no_hint, NULL, &stat),
        PENDING_PARKED);
    assert_int_equal(
        log_get_stat(log, &fixture_name, EFFORT_NETWORK, &fixture_no_hint, NULL, &stat),
        PENDING_PARKED);
    assert_int_equal(b->fake.promotes, 0);
    assert_int_equal(fixture_try_stat(log, &first, &stat), PENDING_PARKED);
    assert_int_equal(fixture_try_stat(log, &second, &stat), PENDING_PARKED);
    assert_int_equal(b->fake.promotes, 1);
    fake_serve(fake_take_want(&b->fake));
    assert_int_equal(guest_wait(&first), 0);
    assert_int_equal(guest_wait(&second), 0);
    assert_int_equal(b->fake.bytes_wanted, 1);
    guest_finish(&first);
    guest_finish(&second);
    log_release(log);
}

static void prefetch_of_a_known_log_sends_no_request(void **state)
{
    struct cache_fixture *b = *state;
    struct log_stat stat;
    struct log *log;

    fake_add(&b->fake, 1, 10);
    log = fixture_know(b, 1);
    assert_int_equal(
        log_get_stat(log, &fixture_name, EFFORT_NETWORK, &fixture_no_hint, NULL, &stat), 0);
    assert_int_equal(
        log_get_stat(log, &fixture_other, EFFORT_NETWORK, &fixture_no_hint, NULL, &stat), -EAGAIN);
    assert_int_equal(b->fake.facts_wanted, 0);
    assert_int_equal(b->fake.bytes_wanted, 1);
    log_release(log);
}

static void empty_log_reads_as_empty(void **state)
{
    struct cache_fixture *b = *state;
    struct log_reader r;
    struct log *log;

    fake_add(&b->fake, 1, 0);
    log = fixture_know(b, 1);
    log_open(log, &r);
    assert_int_equal(fixture_read(&r, 1, 0, 0), 0);
    assert_int_equal(fixture_read(&r, 1, 4096, 0), 0);
    log_close(&r);
    log_release(log);
    cache_fixture_remount(b);
}

/* R8: a size that no log can have costs neither memory nor a crash. */
static void absurd_size_is_refused(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, INT64_MAX);
    w = fixture_begin(b, log, &g);
    assert_int_equal(fake_tell(w), -EFBIG);
    fake_fail(w, -EFBIG, SOURCE_BROKEN, guest_now_ms());
    assert_int_equal(guest_wait(&g), -EFBIG);
    guest_finish(&g);
    log_release(log);
}

static void cancelled_waiter_does_not_affect_the_fetch(void **state)
{
    struct cache_fixture *b = *state;
    struct log *log = cache_hold(b->cache, 1);
    struct log_stat stat;
    struct fake_want *w;
    struct guest g;

    guest_init(&g);
    fake_add(&b->fake, 1, 10);
    w = fixture_begin(b, log, &g);
    assert_true(pending_cancel(&b->waits, &g.waiter));
    assert_false(pending_cancel(&b->waits, &g.waiter));
    fake_serve(w);
    fixture_settle(b, 0);
    assert_false(guest_is_answered(&g));
    assert_int_equal(fixture_try_stat(log, &g, &stat), 0);
    guest_finish(&g);
    log_release(log);
}

/* Released in each phase; the fake source and AddressSanitizer find what is left. */
static void log_may_be_released_in_every_phase(void **state)
{
    struct cache_fixture *b = *state;
    struct guest guests[8];
    struct cache_stats stats;
    struct log *logs[8];

    for (unsigned i = 0; i < 8; i++) {
        guest_init(&guests[i]);
        logs[i] = cache_hold(b->cache, i + 1);
        fake_add(&b->fake, i + 1, 3 * MIB);
    }
    log_release(logs[0]); /* new */
    for (unsigned i = 1; i < 8; i++) {
        struct fake_want *w = fixture_begin(b, logs[i], &guests[i]);
        if (i == 1) { /* requested */
            assert_true(pending_cancel(&b->waits, &guests[i].waiter));
            log_release(logs[i]);
            fake_serve(w);
            continue;
        }
        if (i == 2) { /* failed */
            fake_fail(w, -ENOENT, SOURCE_NOT_FOUND, guest_now_ms() + 1000);
        } else if (i == 3) { /* known, then failed */
            assert_int_equal(fake_tell(w), 0);
            fake_fail(w, -EIO, SOURCE_BROKEN, guest_now_ms() + 1000);
        } else if (i == 4) { /* known, some bytes, under way */
            assert_int_equal(fake_tell(w), 0);
            fake_give(w, 100000);
        } else {
            fake_serve(w);
        }
        assert_int_equal(guest_wait(&guests[i]), 0);
        log_release(logs[i]);
        if (i == 4)
            fake_serve(w);
    }
    fixture_settle(b, 0);
    fake_turn(&b->fake);
    for (unsigned i = 0; i < 8; i++)
        guest_finish(&guests[i]);
    /* Logs with bytes that are nowhere else are kept for a while; the others are freed. */
    cache_get_stats(b->cache, &stats);
    assert_in_range(stats.logs, 5, 6);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, cache_fixture_setup, cache_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(hundred_callers_share_one_fetch_S2),
        WITH_BENCH(first_range_is_a_mib_S3),
        WITH_BENCH(size_is_known_before_any_byte_S4),
        WITH_BENCH(size_may_be_reported_after_the_bytes),
        WITH_BENCH(small_log_without_length_is_complete_S4),
        WITH_BENCH(time_is_the_jobs_where_it_is_known_S7),
        WITH_BENCH(failure_reaches_all_waiters_and_is_remembered),
        WITH_BENCH(failure_that_is_not_remembered_is_handed_to_the_waiters),
        WITH_BENCH(pending_log_is_requested_again_ever_later),
        WITH_BENCH(late_failure_of_a_first_range_does_not_affect_the_next),
        WITH_BENCH(another_name_costs_one_request_S14),
        WITH_BENCH(verified_names_are_kept_on_disk_S14),
        WITH_BENCH(refused_name_stays_refused_and_hides_no_other_S14),
        WITH_BENCH(two_names_at_once_are_requested_one_after_the_other_S14),
        WITH_BENCH(second_name_is_never_requested_under_the_first_S14),
        WITH_BENCH(expired_log_is_remembered_for_good_for_its_name_only),
        WITH_BENCH(handle_of_a_pending_log_is_kept_for_its_name_P12),
        WITH_BENCH(prefetch_refused_by_quota_does_not_fail_readers),
        WITH_BENCH(reader_who_joins_a_prefetch_promotes_it),
        WITH_BENCH(prefetch_of_a_known_log_sends_no_request),
        WITH_BENCH(empty_log_reads_as_empty),
        WITH_BENCH(absurd_size_is_refused),
        WITH_BENCH(cancelled_waiter_does_not_affect_the_fetch),
        WITH_BENCH(log_may_be_released_in_every_phase),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
