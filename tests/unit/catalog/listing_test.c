/* Listings of several pages: one snapshot, or an error; never a short listing (S18). */
#include "catalog/catalog_bench.h"

#include "catalog/entry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Answers the page that the question asks for: `count` jobs from `first` on. */
static void answer_jobs(struct catalog_bench *b, struct fake_facts *q, uint64_t first,
                        unsigned count, int total, unsigned next)
{
    char etag[32];

    snprintf(etag, sizeof(etag), "\"%u\"", q->f->page);
    fake_answer(&b->fake, q, bench_jobs_body(b, first, count, total, "in_progress"), etag, next);
}

/* A run of 250 jobs: three pages, of which the last two are asked at once. */
static void learn_250(struct catalog_bench *b, const struct catalog_question *q)
{
    const struct catalog_answer *a = NULL;
    struct fake_facts *second, *third;
    struct guest g;

    guest_init(&g);
    assert_int_equal(bench_ask(b, q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 1000, 100, 250, 2);
    second = fake_take_facts(&b->fake);
    third = fake_take_facts(&b->fake);
    assert_int_equal(second->f->page, 2);
    assert_int_equal(third->f->page, 3);
    assert_false(guest_is_answered(&g));
    answer_jobs(b, third, 1200, 50, 250, 0); /* in whatever order */
    bench_pass_clerk(b);
    assert_false(guest_is_answered(&g));
    answer_jobs(b, second, 1100, 100, 250, 3);
    assert_int_equal(bench_wait(b, q, &g, &a), 0);
    assert_int_equal(bench_count(a), 250);
    guest_finish(&g);
}

static void assert_ids(const struct catalog_answer *a, uint64_t first, size_t count)
{
    assert_int_equal(a->count, count);
    for (size_t i = 0; i < count; i++)
        assert_true(a->jobs[i]->id == first + i);
}

static void pages_are_asked_at_once_and_become_one_snapshot(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question q = bench_jobs(9);
    const struct catalog_answer *a = NULL;

    learn_250(b, &q);
    assert_int_equal(bench_get(b, &q, &a), 0);
    assert_ids(a, 1000, 250);
    catalog_answer_release(a);
    assert_int_equal(b->fake.facts_wanted, 3);
}

/* A proxy that drops the header: the count says that there is more. */
static void listing_without_links_is_not_cut_short_S18(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question q = bench_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 1000, 100, 150, 0);
    answer_jobs(b, fake_take_facts(&b->fake), 1100, 50, 150, 0);
    assert_int_equal(bench_wait(b, &q, &g, &a), 0);
    assert_int_equal(bench_count(a), 150);
    guest_finish(&g);
}

static void each_page_has_its_own_etag(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question q = bench_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;
    char etag[32];

    guest_init(&g);
    learn_250(b, &q);
    catalog_bench_remount(b);
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    for (unsigned page = 1; page <= 3; page++) {
        struct fake_facts *f = fake_take_facts(&b->fake);
        snprintf(etag, sizeof(etag), "\"%u\"", f->f->page);
        assert_string_equal(f->f->etag, etag);
        fake_answer(&b->fake, f, NULL, etag, f->f->page < 3 ? f->f->page + 1 : 0);
    }
    assert_int_equal(bench_wait(b, &q, &g, &a), 0);
    assert_ids(a, 1000, 250);
    catalog_answer_release(a);
    guest_finish(&g);
}

static void failure_half_way_is_an_error_and_no_short_listing(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question q = bench_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 1000, 100, 250, 2);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -EIO, SOURCE_BROKEN, guest_now_ms() + 1000);
    bench_pass_clerk(b);
    assert_false(guest_is_answered(&g)); /* the other page is still under way */
    answer_jobs(b, fake_take_facts(&b->fake), 1200, 50, 250, 0);
    assert_int_equal(bench_wait(b, &q, &g, &a), -EIO);
    assert_int_equal(catalog_peek(b->catalog, &q, &a), -EAGAIN);
    guest_finish(&g);
}

/* What was asked half is not mixed with what is known, neither now nor after a restart. */
static void failure_half_way_leaves_the_old_listing(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question q = bench_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    learn_250(b, &q);
    guest_pass(FRESH_MS);
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 995, 100, 255, 2);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -ECONNREFUSED, SOURCE_UNREACHABLE,
                guest_now_ms() + 5000);
    answer_jobs(b, fake_take_facts(&b->fake), 1195, 55, 255, 0);
    assert_int_equal(bench_wait(b, &q, &g, &a), 0);
    assert_ids(a, 1000, 250);
    catalog_answer_release(a);
    catalog_bench_remount(b);
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -ECONNREFUSED, SOURCE_UNREACHABLE,
                guest_now_ms() + 5000);
    assert_int_equal(bench_wait(b, &q, &g, &a), 0);
    assert_ids(a, 1000, 250);
    catalog_answer_release(a);
    guest_finish(&g);
}

/* Five came while the pages were asked: the last five of the first page are the second's first. */
static void entry_at_a_page_border_is_listed_once(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question q = bench_jobs(9), repos = {.what = SOURCE_MY_REPOS};
    const struct catalog_answer *a = NULL;
    struct fake_facts *f;
    struct guest g;

    guest_init(&g);
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 1000, 100, 200, 2);
    answer_jobs(b, fake_take_facts(&b->fake), 1095, 100, 205, 0);
    assert_int_equal(bench_wait(b, &q, &g, &a), 0);
    assert_ids(a, 1000, 195);
    catalog_answer_release(a);

    assert_int_equal(bench_ask(b, &repos, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), bench_repos_body(b, 1, 100), "", 2);
    f = fake_take_facts(&b->fake);
    fake_answer(&b->fake, f, bench_repos_body(b, 96, 100), "", 0);
    assert_int_equal(bench_wait(b, &repos, &g, &a), 0);
    assert_int_equal(a->count, 195);
    catalog_answer_release(a);
    guest_finish(&g);
}

/* Repositories come without a count: one page after the other, as long as there are more. */
static void listing_without_a_count_is_followed_page_by_page(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question q = {.what = SOURCE_MY_REPOS};
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    for (unsigned page = 1; page <= 3; page++) {
        struct fake_facts *f = fake_take_facts(&b->fake);
        assert_int_equal(f->f->page, page);
        bench_pass_clerk(b);
        assert_int_equal(fake_count_facts(&b->fake), 1);
        fake_answer(&b->fake, f, bench_repos_body(b, page * 100, page < 3 ? 100 : 7), "\"e\"",
                    page < 3 ? page + 1 : 0);
    }
    assert_int_equal(bench_wait(b, &q, &g, &a), 0);
    assert_int_equal(bench_count(a), 207);
    assert_int_equal(b->fake.facts_wanted, 3);

    catalog_bench_remount(b); /* and no shorter after a restart */
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -EHOSTUNREACH, SOURCE_UNREACHABLE,
                guest_now_ms() + 5000);
    assert_int_equal(bench_wait(b, &q, &g, &a), 0);
    assert_int_equal(bench_count(a), 207);
    guest_finish(&g);
}

static void listing_longer_than_its_first_page_says_is_followed(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question q = bench_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 1000, 100, 100, 2);
    answer_jobs(b, fake_take_facts(&b->fake), 1100, 100, 100, 3);
    answer_jobs(b, fake_take_facts(&b->fake), 1200, 10, 100, 0);
    assert_int_equal(bench_wait(b, &q, &g, &a), 0);
    assert_ids(a, 1000, 210);
    catalog_answer_release(a);
    guest_finish(&g);
}

static void only_so_many_are_asked_for_as_are_wanted(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question few = bench_runs(30), many = bench_runs(130);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(bench_ask(b, &few, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), bench_runs_body(b, 1, 30, 5000), "", 2);
    assert_int_equal(bench_wait(b, &few, &g, &a), 0);
    assert_int_equal(bench_count(a), 30);
    assert_int_equal(b->fake.facts_wanted, 1);

    assert_int_equal(bench_ask(b, &many, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), bench_runs_body(b, 1, 100, 5000), "", 2);
    fake_answer(&b->fake, fake_take_facts(&b->fake), bench_runs_body(b, 101, 100, 5000), "", 3);
    assert_int_equal(bench_wait(b, &many, &g, &a), 0);
    assert_int_equal(bench_count(a), 130);
    assert_int_equal(b->fake.facts_wanted, 3);
    guest_finish(&g);
}

/* R8, law 7: a listing without an end ends. */
static void endless_listing_ends(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question q = {.what = SOURCE_MY_REPOS};
    const struct catalog_answer *a = NULL;
    struct guest g;
    unsigned page = 1;

    guest_init(&g);
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    for (; !guest_is_answered(&g); page++) {
        struct fake_facts *f = fake_try_facts(&b->fake);
        if (f)
            fake_answer(&b->fake, f, bench_repos_body(b, page * 100, 100), "", f->f->page + 1);
        bench_pass_clerk(b);
    }
    assert_int_equal(bench_wait(b, &q, &g, &a), 0);
    assert_int_equal(bench_count(a), CATALOG_ENTRIES_MAX);
    assert_int_equal(b->fake.facts_wanted, CATALOG_ENTRIES_MAX / CATALOG_PAGE);
    guest_finish(&g);
}

/* 15 MiB in which no more is said than that the jobs from `first` on are `total`. */
static char *make_large_body(struct catalog_bench *b, uint64_t first, int total)
{
    const size_t len = 15u << 20;
    const char *says = bench_jobs_body(b, first, 1, total, "completed");
    char *body = malloc(len + 1);

    assert_non_null(body);
    memset(body, ' ', len);
    memcpy(body, says, strlen(says));
    body[len] = '\0';
    return body;
}

static const struct catalog_answer *learn_large(struct catalog_bench *b, uint64_t run)
{
    struct catalog_question q = bench_jobs(run);
    char *body = make_large_body(b, run * 10, 1);
    const struct catalog_answer *a = bench_learn(b, &q, body, "");

    free(body);
    return a;
}

static void r8_what_is_remembered_is_bounded_in_bytes_and_what_is_held_stays(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question first = bench_jobs(1), last = bench_jobs(12);
    const struct catalog_answer *held = learn_large(b, 1), *a = NULL;

    for (uint64_t run = 2; run <= 12; run++) {
        catalog_answer_release(learn_large(b, run));
        assert_true(atomic_load(&b->catalog->bytes) <= CATALOG_BYTES_MAX + (16u << 20));
    }
    assert_int_equal(catalog_peek(b->catalog, &first, &a), -EAGAIN);
    assert_int_equal(catalog_peek(b->catalog, &last, &a), 0);
    catalog_answer_release(a);
    assert_int_equal(held->jobs[0]->id, 10);
    catalog_answer_release(held);
    assert_true(atomic_load(&b->catalog->bytes) <= CATALOG_BYTES_MAX);
}

static void r8_a_listing_of_absurd_size_is_refused(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question q = bench_jobs(9);
    const struct catalog_answer *a = NULL;
    char *body = make_large_body(b, 1, 2000);
    struct fake_facts *f;
    struct guest g;

    guest_init(&g);
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), body, "", 2);
    bench_pass_clerk(b);
    while ((f = fake_try_facts(&b->fake))) {
        fake_answer(&b->fake, f, body, "", 0);
        bench_pass_clerk(b);
    }
    assert_int_equal(bench_wait(b, &q, &g, &a), -EPROTO);
    guest_finish(&g);
    free(body);
}

static void listing_with_an_absurd_count_asks_so_many_pages_at_most(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question q = bench_jobs(9);
    const struct catalog_answer *a = NULL;
    struct fake_facts *f;
    struct guest g;

    guest_init(&g);
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 1, 100, 2000000000, 2);
    bench_pass_clerk(b);
    assert_int_equal(b->fake.facts_wanted, CATALOG_ENTRIES_MAX / CATALOG_PAGE);
    while ((f = fake_try_facts(&b->fake)))
        answer_jobs(b, f, 1, 0, 2000000000, 0);
    assert_int_equal(bench_wait(b, &q, &g, &a), 0);
    assert_int_equal(bench_count(a), 100);
    guest_finish(&g);
}

static void listing_that_shrinks_is_whole_after_a_restart(void **state)
{
    struct catalog_bench *b = *state;
    struct catalog_question q = bench_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    learn_250(b, &q);
    guest_pass(FRESH_MS);
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 1000, 40, 40, 0);
    assert_int_equal(bench_wait(b, &q, &g, &a), 0);
    assert_int_equal(bench_count(a), 40);
    catalog_bench_remount(b);
    assert_int_equal(bench_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -EDQUOT, SOURCE_LIMITED,
                guest_now_ms() + 5000);
    assert_int_equal(bench_wait(b, &q, &g, &a), 0);
    assert_ids(a, 1000, 40);
    catalog_answer_release(a);
    guest_finish(&g);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, catalog_bench_setup, catalog_bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(pages_are_asked_at_once_and_become_one_snapshot),
        WITH_BENCH(listing_without_links_is_not_cut_short_S18),
        WITH_BENCH(each_page_has_its_own_etag),
        WITH_BENCH(failure_half_way_is_an_error_and_no_short_listing),
        WITH_BENCH(failure_half_way_leaves_the_old_listing),
        WITH_BENCH(entry_at_a_page_border_is_listed_once),
        WITH_BENCH(listing_without_a_count_is_followed_page_by_page),
        WITH_BENCH(listing_longer_than_its_first_page_says_is_followed),
        WITH_BENCH(only_so_many_are_asked_for_as_are_wanted),
        WITH_BENCH(endless_listing_ends),
        WITH_BENCH(listing_with_an_absurd_count_asks_so_many_pages_at_most),
        WITH_BENCH(r8_what_is_remembered_is_bounded_in_bytes_and_what_is_held_stays),
        WITH_BENCH(r8_a_listing_of_absurd_size_is_refused),
        WITH_BENCH(listing_that_shrinks_is_whole_after_a_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
