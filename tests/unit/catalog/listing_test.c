/* Listings of several pages: one snapshot, or an error; what does not add up, or only in small
 * pages. */
#include "catalog/catalog_fixture.h"

#include "catalog/internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Answers the page that the question asks for: `count` jobs from `first` on. */
static void answer_jobs(struct catalog_fixture *b, struct fake_facts *q, uint64_t first,
                        unsigned count, int total, unsigned next)
{
    char etag[32];

    snprintf(etag, sizeof(etag), "\"%u\"", q->f->page);
    fake_answer(&b->fake, q, fixture_jobs_body(b, first, count, total, "in_progress"), etag, next);
}

/* A run of 250 jobs: three pages, of which the last two are asked at once. */
static void learn_250(struct catalog_fixture *b, const struct catalog_question *q)
{
    const struct catalog_answer *a = NULL;
    struct fake_facts *second, *third;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 1000, 100, 250, 2);
    second = fake_take_facts(&b->fake);
    third = fake_take_facts(&b->fake);
    assert_int_equal(second->f->page, 2);
    assert_int_equal(third->f->page, 3);
    assert_false(guest_is_answered(&g));
    answer_jobs(b, third, 1200, 50, 250, 0); /* in whatever order */
    fixture_pass_parser(b);
    assert_false(guest_is_answered(&g));
    answer_jobs(b, second, 1100, 100, 250, 3);
    assert_int_equal(fixture_wait(b, q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 250);
    guest_finish(&g);
}

static void assert_ids(const struct catalog_answer *a, uint64_t first, size_t count)
{
    assert_int_equal(a->count, count);
    for (size_t i = 0; i < count; i++)
        assert_true(a->jobs[i]->id == first + i);
}

static void pages_are_requested_in_parallel_and_become_one_snapshot(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;

    learn_250(b, &q);
    assert_int_equal(fixture_get(b, &q, &a), 0);
    assert_ids(a, 1000, 250);
    catalog_answer_release(a);
    assert_int_equal(b->fake.facts_wanted, 3);
}

/* One line for all pages, with the bytes that have come. */
static void questions_under_way_are_listed(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9), runs = fixture_runs(10);
    const struct catalog_answer *a = NULL;
    struct catalog_status s[1];
    struct fake_facts *first;
    struct guest g, h;
    size_t bytes;

    guest_init(&g);
    guest_init(&h);
    assert_int_equal(catalog_list_status(b->catalog, s, 1), 0);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    guest_pass(10);
    assert_int_equal(fixture_ask(b, &runs, &h, &a), PENDING_PARKED);
    assert_int_equal(catalog_list_status(b->catalog, s, 1), 2);
    first = fake_take_facts(&b->fake);
    assert_int_equal(s[0].question.what, SOURCE_ATTEMPT_JOBS);
    assert_true(s[0].question.id == 9 && s[0].progress.bytes == 0);
    progress_wait_note(first->f->waits_for, PROGRESS_LIMIT, 5);
    catalog_list_status(b->catalog, s, 1);
    assert_true(s[0].progress.cause == PROGRESS_LIMIT && s[0].progress.until_ms == 5);
    bytes = strlen(fixture_jobs_body(b, 1000, 100, 150, "in_progress"));
    answer_jobs(b, first, 1000, 100, 150, 2);
    catalog_list_status(b->catalog, s, 1);
    assert_true(s[0].progress.bytes == bytes && s[0].progress.size == PROGRESS_UNKNOWN);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_runs_body(b, 1, 1, 1), "", 0);
    assert_int_equal(fixture_wait(b, &runs, &h, &a), 0);
    catalog_answer_release(a);
    assert_int_equal(catalog_list_status(b->catalog, s, 1), 1);
    answer_jobs(b, fake_take_facts(&b->fake), 1100, 50, 150, 0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    catalog_answer_release(a);
    assert_int_equal(catalog_list_status(b->catalog, s, 1), 0);
    guest_finish(&g);
    guest_finish(&h);
}

/* A proxy that drops the header: the count shows that there is more. */
static void listing_without_links_is_not_cut_short_S18(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 1000, 100, 150, 0);
    answer_jobs(b, fake_take_facts(&b->fake), 1100, 50, 150, 0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 150);
    guest_finish(&g);
}

static void each_page_has_its_own_etag(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;
    char etag[32];

    guest_init(&g);
    learn_250(b, &q);
    catalog_fixture_remount(b);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    for (unsigned page = 1; page <= 3; page++) {
        struct fake_facts *f = fake_take_facts(&b->fake);
        snprintf(etag, sizeof(etag), "\"%u\"", f->f->page);
        assert_string_equal(f->f->etag, etag);
        fake_answer(&b->fake, f, NULL, etag, f->f->page < 3 ? f->f->page + 1 : 0);
    }
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_ids(a, 1000, 250);
    catalog_answer_release(a);
    guest_finish(&g);
}

static void failure_half_way_is_an_error_and_no_short_listing(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 1000, 100, 250, 2);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -EPROTO, SOURCE_PROTOCOL,
                guest_now_ms() + 5000);
    fixture_pass_parser(b);
    assert_false(guest_is_answered(&g)); /* the other page is still under way */
    answer_jobs(b, fake_take_facts(&b->fake), 1200, 50, 250, 0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), -EPROTO);
    assert_int_equal(catalog_ask(b->catalog, &q, EFFORT_MEMORY, NULL, &a), -EAGAIN);
    guest_finish(&g);
}

/* What was asked half is not mixed with what is known, neither now nor after a restart. */
static void failure_half_way_leaves_the_old_listing(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    learn_250(b, &q);
    guest_pass(FRESH_MS);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 995, 100, 255, 2);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -ECONNREFUSED, SOURCE_UNREACHABLE,
                guest_now_ms() + 5000);
    answer_jobs(b, fake_take_facts(&b->fake), 1195, 55, 255, 0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_ids(a, 1000, 250);
    catalog_answer_release(a);
    catalog_fixture_remount(b);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -ECONNREFUSED, SOURCE_UNREACHABLE,
                guest_now_ms() + 5000);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_ids(a, 1000, 250);
    catalog_answer_release(a);
    guest_finish(&g);
}

/* Five came while the pages were asked: the last five of the first page are the second's first. */
static void entry_at_a_page_border_is_listed_once(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9), repos = {.what = SOURCE_MY_REPOS};
    const struct catalog_answer *a = NULL;
    struct fake_facts *f;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    for (unsigned i = 0; i < 2; i++) { /* it does not add up, so it is asked once more */
        answer_jobs(b, fake_take_facts(&b->fake), 1000, 100, 200, 2);
        answer_jobs(b, fake_take_facts(&b->fake), 1095, 100, 205, 0);
    }
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_ids(a, 1000, 195);
    catalog_answer_release(a);

    assert_int_equal(fixture_ask(b, &repos, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_repos_body(b, 1, 100), "", 2);
    f = fake_take_facts(&b->fake);
    fake_answer(&b->fake, f, fixture_repos_body(b, 96, 100), "", 0);
    /* Full, and without a count: a proxy may have dropped the Link. */
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_repos_body(b, 1, 0), "", 0);
    assert_int_equal(fixture_wait(b, &repos, &g, &a), 0);
    assert_int_equal(a->count, 195);
    catalog_answer_release(a);
    guest_finish(&g);
}

/* Repositories come without a count: one page after the other, as long as there are more. */
static void listing_without_a_count_is_followed_page_by_page(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = {.what = SOURCE_MY_REPOS};
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    for (unsigned page = 1; page <= 3; page++) {
        struct fake_facts *f = fake_take_facts(&b->fake);
        assert_int_equal(f->f->page, page);
        fixture_pass_parser(b);
        assert_int_equal(fake_count_facts(&b->fake), 1);
        fake_answer(&b->fake, f, fixture_repos_body(b, page * 100, page < 3 ? 100 : 7), "\"e\"",
                    page < 3 ? page + 1 : 0);
    }
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 207);
    assert_int_equal(b->fake.facts_wanted, 3);

    catalog_fixture_remount(b); /* and no shorter after a restart */
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -EHOSTUNREACH, SOURCE_UNREACHABLE,
                guest_now_ms() + 5000);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 207);
    guest_finish(&g);
}

static void listing_longer_than_its_first_page_reports_is_followed_to_its_end(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    for (unsigned i = 0; i < 2; i++) {
        answer_jobs(b, fake_take_facts(&b->fake), 1000, 100, 100, 2);
        answer_jobs(b, fake_take_facts(&b->fake), 1100, 100, 100, 3);
        answer_jobs(b, fake_take_facts(&b->fake), 1200, 10, 100, 0);
    }
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_ids(a, 1000, 210);
    catalog_answer_release(a);
    guest_finish(&g);
}

static void only_as_many_entries_are_requested_as_are_wanted(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question few = fixture_runs(30), many = fixture_runs(130);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &few, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_runs_body(b, 1, 30, 5000), "", 2);
    assert_int_equal(fixture_wait(b, &few, &g, &a), 0);
    assert_int_equal(fixture_count(a), 30);
    assert_int_equal(b->fake.facts_wanted, 1);

    assert_int_equal(fixture_ask(b, &many, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_runs_body(b, 1, 100, 5000), "", 2);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_runs_body(b, 101, 100, 5000), "", 3);
    assert_int_equal(fixture_wait(b, &many, &g, &a), 0);
    assert_int_equal(fixture_count(a), 130);
    assert_int_equal(b->fake.facts_wanted, 3);
    guest_finish(&g);
}

/* R8, law 7: a listing without an end ends. */
static void endless_listing_ends(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = {.what = SOURCE_MY_REPOS};
    const struct catalog_answer *a = NULL;
    struct guest g;
    unsigned page = 1;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    for (; !guest_is_answered(&g); page++) {
        struct fake_facts *f = fake_try_facts(&b->fake);
        if (f)
            fake_answer(&b->fake, f, fixture_repos_body(b, page * 100, 100), "", f->f->page + 1);
        fixture_pass_parser(b);
    }
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), CATALOG_ENTRIES_MAX);
    assert_int_equal(b->fake.facts_wanted, CATALOG_ENTRIES_MAX / CATALOG_PAGE);
    guest_finish(&g);
}

/* 15 MiB in which no more is said than that the jobs from `first` on are `total`. */
static char *make_large_body(struct catalog_fixture *b, uint64_t first, int total)
{
    const size_t len = 15u << 20;
    const char *says = fixture_jobs_body(b, first, 1, total, "completed");
    char *body = malloc(len + 1);

    assert_non_null(body);
    memset(body, ' ', len);
    memcpy(body, says, strlen(says));
    body[len] = '\0';
    return body;
}

static const struct catalog_answer *learn_large(struct catalog_fixture *b, uint64_t run)
{
    struct catalog_question q = fixture_jobs(run);
    char *body = make_large_body(b, run * 10, 1);
    const struct catalog_answer *a = fixture_learn(b, &q, body, "");

    free(body);
    return a;
}

static void r8_what_is_remembered_is_bounded_in_bytes_and_what_is_held_stays(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question first = fixture_jobs(1), last = fixture_jobs(12);
    const struct catalog_answer *held = learn_large(b, 1), *a = NULL;

    for (uint64_t run = 2; run <= 12; run++) {
        catalog_answer_release(learn_large(b, run));
        assert_true(atomic_load(&b->catalog->bytes) <= CATALOG_BYTES_MAX + (16u << 20));
    }
    assert_int_equal(catalog_ask(b->catalog, &first, EFFORT_MEMORY, NULL, &a), -EAGAIN);
    assert_int_equal(catalog_ask(b->catalog, &last, EFFORT_MEMORY, NULL, &a), 0);
    catalog_answer_release(a);
    assert_int_equal(held->jobs[0]->id, 10);
    catalog_answer_release(held);
    assert_true(atomic_load(&b->catalog->bytes) <= CATALOG_BYTES_MAX);
}

static void r8_a_listing_of_absurd_size_is_refused(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    char *body = make_large_body(b, 1, 2000);
    struct fake_facts *f;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), body, "", 2);
    fixture_pass_parser(b);
    while ((f = fake_try_facts(&b->fake))) {
        fake_answer(&b->fake, f, body, "", 0);
        fixture_pass_parser(b);
    }
    assert_int_equal(fixture_wait(b, &q, &g, &a), -EPROTO);
    guest_finish(&g);
    free(body);
}

static void pages_of_a_listing_with_an_absurd_count_are_bounded(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct fake_facts *f;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 1, 100, 2000000000, 2);
    fixture_pass_parser(b);
    assert_int_equal(b->fake.facts_wanted, CATALOG_ENTRIES_MAX / CATALOG_PAGE);
    while ((f = fake_try_facts(&b->fake)))
        answer_jobs(b, f, 1, 0, 2000000000, 0);
    fixture_pass_parser(b);
    assert_int_equal(b->fake.facts_wanted, CATALOG_ENTRIES_MAX / CATALOG_PAGE);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 100);
    guest_finish(&g);
}

static void listing_that_shrinks_is_whole_after_a_restart(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    learn_250(b, &q);
    guest_pass(FRESH_MS);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_jobs(b, fake_take_facts(&b->fake), 1000, 40, 40, 0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 40);
    catalog_fixture_remount(b);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -EDQUOT, SOURCE_LIMITED,
                guest_now_ms() + 5000);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_ids(a, 1000, 40);
    catalog_answer_release(a);
    guest_finish(&g);
}

/* --- what does not add up (S18) --- */

/* Two pages of completed jobs, of which the second has `second` entries, by the given totals. */
struct sum {
    unsigned first, second;
    int first_total, second_total;
    uint64_t second_id;
};

static void answer_sum(struct catalog_fixture *b, const struct sum *s)
{
    struct fake_facts *q = fake_take_facts(&b->fake);
    bool has_next = s->second > 0;

    assert_string_equal(q->f->etag, ""); /* a 304 would confirm what is wrong */
    fake_answer(&b->fake, q, fixture_jobs_body(b, 1000, s->first, s->first_total, "completed"),
                "\"1\"", has_next ? 2 : 0);
    q = fake_take_facts(&b->fake);
    assert_int_equal(q->f->page, 2);
    assert_string_equal(q->f->etag, "");
    fake_answer(&b->fake, q,
                fixture_jobs_body(b, s->second_id, s->second, s->second_total, "completed"),
                "\"2\"", 0);
}

static const struct sum good = {100, 50, 150, 150, 1100};
static const struct sum bad[] = {
    {100, 20, 150, 150, 1100}, /* short */
    {100, 0, 150, 150, 1100},  /* empty */
    {100, 50, 151, 151, 1100}, /* said too much */
    {100, 50, 149, 149, 1100}, /* said too little */
    {100, 50, 150, 151, 1100}, /* moved meanwhile */
    {100, 50, 150, 150, 1099}, /* one twice */
};

/* Asks, answers two rounds, the last with `count` entries. */
static void see(struct catalog_fixture *b, const struct catalog_question *q,
                const struct sum *first, const struct sum *second, size_t count, bool is_settled)
{
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, q, &g, &a), PENDING_PARKED);
    answer_sum(b, first);
    if (first->second < 50 && first->first + first->second < 150 && first->second)
        fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_jobs_body(b, 1, 0, 150, ""), "",
                    0);
    if (second) {
        answer_sum(b, second);
        if (second->second < 50 && second->second)
            fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_jobs_body(b, 1, 0, 150, ""),
                        "", 0);
    }
    assert_int_equal(fixture_wait(b, q, &g, &a), 0);
    assert_int_equal(fake_count_facts(&b->fake), 0);
    assert_int_equal(a->count, count);
    assert_int_equal(a->settled, is_settled);
    catalog_answer_release(a);
    guest_finish(&g);
}

static size_t count_of(const struct sum *s)
{
    return s->first + s->second - (s->second_id < 1100 && s->second > 0);
}

static void listing_that_does_not_add_up_is_requested_once_more_S18(void **state)
{
    struct catalog_fixture *b = *state;
    const struct catalog_answer *a = NULL;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct catalog_question q = fixture_jobs(i + 1);
        q.may_settle = true;
        if (bad[i].first_total != 151 && bad[i].first_total != 149)
            see(b, &q, &bad[i], &good, 150, true);
        else
            continue;
        assert_int_equal(fixture_get(b, &q, &a), 0);
        assert_int_equal(fixture_count(a), 150);
    }
}

/* Wrong each time: shown, never final, in no mount; and right when the server is. */
static void listing_that_does_not_add_up_is_never_final_S18(void **state)
{
    struct catalog_fixture *b = *state;
    const struct catalog_answer *a = NULL;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct catalog_question q = fixture_jobs(i + 1);
        if (bad[i].first_total == 151)
            continue; /* one page more is looked for: below */
        q.may_settle = true;
        see(b, &q, &bad[i], &bad[i], count_of(&bad[i]), false);
        guest_pass(FRESH_MS - 1);
        assert_int_equal(fixture_get(b, &q, &a), 0);
        assert_int_equal(fixture_count(a), count_of(&bad[i]));
        guest_pass(1);
        see(b, &q, &bad[i], NULL, count_of(&bad[i]), false); /* known: not asked twice again */
        catalog_fixture_remount(b);
        see(b, &q, &bad[i], NULL, count_of(&bad[i]), false);
        catalog_fixture_remount(b);
        see(b, &q, &good, NULL, 150, true);
        catalog_fixture_remount(b);
        assert_int_equal(fixture_get(b, &q, &a), 0);
        assert_int_equal(fixture_count(a), 150);
    }
}

/* Of one page, with a count that is too large, or none. */
static void single_page_that_does_not_add_up_is_never_final_S18(void **state)
{
    static const int totals[] = {3, 1, -1};
    struct catalog_fixture *b = *state;
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    for (unsigned i = 0; i < 3; i++) {
        struct catalog_question q = fixture_jobs(i + 1);
        struct fake_facts *f;
        unsigned asked = 0;
        q.may_settle = true;
        assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
        while (!guest_is_answered(&g)) {
            fixture_pass_parser(b);
            if (!(f = fake_try_facts(&b->fake)))
                continue;
            asked++;
            fake_answer(&b->fake, f,
                        fixture_jobs_body(b, 1, f->f->page == 1 ? 2 : 0, totals[i], "completed"),
                        "\"e\"", 0);
        }
        assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
        assert_int_equal(a->count, 2);
        assert_false(a->settled);
        catalog_answer_release(a);
        assert_int_equal(asked, i == 0 ? 4 : 2); /* with a second page that was promised */
        catalog_fixture_remount(b);
        catalog_answer_release(
            fixture_learn(b, &q, fixture_jobs_body(b, 1, 2, 2, "completed"), ""));
        catalog_fixture_remount(b);
        assert_int_equal(fixture_get(b, &q, &a), 0);
        assert_true(a->settled);
        catalog_answer_release(a);
    }
    guest_finish(&g);
}

/* What is wanted of a list of runs is a part of it, and it moves while it is asked for. */
static void runs_that_move_add_up_as_long_as_there_are_enough(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_runs(130);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_runs_body(b, 1, 100, 5000), "", 2);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_runs_body(b, 99, 100, 5002), "", 3);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 130);
    assert_int_equal(b->fake.facts_wanted, 2);
    guest_finish(&g);
}

/* --- in smaller pages (S4) --- */

static void refuse_page(struct catalog_fixture *b, unsigned per_page, unsigned tries,
                        enum source_reason reason, int err)
{
    struct fake_facts *q = fake_take_facts(&b->fake);

    assert_int_equal(q->f->per_page, per_page);
    assert_int_equal(q->f->tries, tries);
    assert_int_equal(q->f->waits, per_page > 10 || tries == 1 ? 1 : 4);
    assert_string_equal(q->f->etag, "");
    fake_refuse(&b->fake, q, err, reason, guest_now_ms() + 1000);
    fixture_pass_parser(b);
}

static void answer_page(struct catalog_fixture *b, unsigned per_page, unsigned total)
{
    struct fake_facts *q = fake_take_facts(&b->fake);
    unsigned before = (q->f->page - 1) * per_page;
    unsigned count = total - before < per_page ? total - before : per_page;

    assert_int_equal(q->f->per_page, per_page);
    fake_answer(&b->fake, q, fixture_jobs_body(b, 1000 + before, count, (int)total, "in_progress"),
                "\"e\"", before + count < total ? q->f->page + 1 : 0);
    fixture_pass_parser(b);
}

/* The rest before a smaller size. */
static void rest(struct catalog_fixture *b)
{
    assert_int_equal(fake_count_facts(&b->fake), 0);
    guest_pass(1000);
    fixture_pass_parser(b);
}

static void large_pages_that_fail_are_requested_in_smaller_ones_S4(void **state)
{
    static const struct {
        int err;
        enum source_reason reason;
        bool rests;
    } ways[] = {{-EIO, SOURCE_BROKEN, true},
                {-ETIMEDOUT, SOURCE_BROKEN, true},
                {-ETIMEDOUT, SOURCE_UNREACHABLE, false},
                {-EPROTO, SOURCE_OVERSIZE, true}};
    struct catalog_fixture *b = *state;
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct catalog_question q = fixture_jobs(i + 1);
        assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
        refuse_page(b, 100, 2, ways[i].reason, ways[i].err);
        if (ways[i].rests)
            rest(b);
        refuse_page(b, 30, 2, ways[i].reason, ways[i].err);
        if (ways[i].rests)
            rest(b);
        for (unsigned page = 0; page < 4; page++)
            answer_page(b, 10, 35);
        assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
        assert_ids(a, 1000, 35);
        catalog_answer_release(a);
    }
    guest_finish(&g);
}

/* Other failures show nothing about the size. */
static void failure_that_does_not_depend_on_the_size_is_returned_at_once(void **state)
{
    static const struct {
        int err;
        enum source_reason reason;
    } ways[] = {{-ENOENT, SOURCE_NOT_FOUND},    {-EACCES, SOURCE_FORBIDDEN},
                {-EDQUOT, SOURCE_LIMITED},      {-ECONNREFUSED, SOURCE_UNREACHABLE},
                {-EPROTO, SOURCE_PROTOCOL},     {-ENOMEM, SOURCE_BROKEN},
                {-EHOSTUNREACH, SOURCE_OFFLINE}};
    struct catalog_fixture *b = *state;
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct catalog_question q = fixture_jobs(i + 1);
        assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
        refuse_page(b, 100, 2, ways[i].reason, ways[i].err);
        assert_int_equal(fixture_wait(b, &q, &g, &a), ways[i].err);
        assert_int_equal(catalog_peek_failure(b->catalog, &q), ways[i].reason);
    }
    guest_finish(&g);
}

static void size_that_works_is_remembered_and_its_etags_are_its_own_S4(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    for (unsigned i = 0; i < 2; i++) { /* the second time over records of another size */
        assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
        refuse_page(b, 100, 2, SOURCE_BROKEN, -EIO);
        rest(b);
        if (i) /* a second has passed */
            assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
        if (i)
            assert_int_equal(fixture_count(a), 35);
        for (unsigned page = 0; page < 2; page++) {
            struct fake_facts *f = fake_take_facts(&b->fake);
            assert_string_equal(f->f->etag, i ? "\"e\"" : "");
            fake_answer(&b->fake, f,
                        fixture_jobs_body(b, 1000 + page * 30, page ? 5 : 30, 35, "in_progress"),
                        "\"e\"", page ? 0 : 2);
        }
        fixture_pass_parser(b);
        assert_int_equal(i ? fixture_get(b, &q, &a) : fixture_wait(b, &q, &g, &a), 0);
        assert_int_equal(fixture_count(a), 35);
        guest_pass(FRESH_MS);
        assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
        for (unsigned page = 0; page < 2; page++) {
            struct fake_facts *f = fake_take_facts(&b->fake);
            assert_int_equal(f->f->per_page, 30);
            assert_string_equal(f->f->etag, "\"e\"");
            fake_answer(&b->fake, f, NULL, "\"e\"", page ? 0 : 2);
        }
        assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
        assert_ids(a, 1000, 35);
        catalog_answer_release(a);
        catalog_fixture_remount(b);
    }
    guest_finish(&g);
}

/* A page is asked for in pages that do not come all at once: they may fail, too. */
static void list_that_fails_in_every_size_is_requested_once_a_minute_S4(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    refuse_page(b, 100, 2, SOURCE_BROKEN, -EIO);
    rest(b);
    refuse_page(b, 30, 2, SOURCE_BROKEN, -EIO);
    rest(b);
    refuse_page(b, 10, 5, SOURCE_BROKEN, -EIO);
    assert_int_equal(fixture_wait(b, &q, &g, &a), -EIO);
    assert_int_equal(catalog_peek_failure(b->catalog, &q), SOURCE_BROKEN);
    for (unsigned minute = 0; minute < 3; minute++) {
        guest_pass(59999);
        assert_int_equal(fixture_ask(b, &q, &g, &a), -EIO);
        assert_int_equal(fake_count_facts(&b->fake), 0);
        guest_pass(1);
        assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
        if (minute == 2)
            break;
        refuse_page(b, 10, 1, SOURCE_BROKEN, -EIO);
        assert_int_equal(fixture_wait(b, &q, &g, &a), -EIO);
    }
    for (unsigned page = 0; page < 4; page++)
        answer_page(b, 10, 35);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 35);
    assert_int_equal(catalog_peek_failure(b->catalog, &q), SOURCE_FINE);
    guest_pass(FRESH_MS); /* the server is well again, so the size may be as well */
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_page(b, 100, 35);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 35);
    guest_finish(&g);
}

static void later_page_that_fails_makes_all_pages_smaller_S4(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    answer_page(b, 100, 135);
    refuse_page(b, 100, 2, SOURCE_BROKEN, -EIO);
    rest(b);
    answer_page(b, 30, 135);
    assert_int_equal(fake_count_facts(&b->fake), 1); /* as many at once as have come */
    for (unsigned page = 1; page < 5; page++)
        answer_page(b, 30, 135);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_ids(a, 1000, 135);
    catalog_answer_release(a);
    guest_finish(&g);
}

/* A waiter gets the failure, however late it checks. */
static void failure_is_seen_by_all_who_waited_for_it(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -EPROTO, SOURCE_PROTOCOL, 0);
    assert_int_equal(guest_wait(&g), 0); /* the answer is not handed over: he asks again */
    guest_pass(100000);
    assert_int_equal(fixture_ask_again(b, &q, &g, &a), -EPROTO);
    assert_int_equal(fake_count_facts(&b->fake), 0);
    guest_finish(&g);
}

/* Law 7: what is learnt beside the way is bounded in bytes, too. */
static void r8_bytes_learnt_and_not_parsed_are_bounded(void **state)
{
    struct catalog_fixture *b = *state;
    const struct catalog_answer *a = NULL;
    char *body = make_large_body(b, 1, 1);
    struct catalog_question q;
    const char *small;

    for (uint64_t job = 1; job <= 40; job++) {
        catalog_job_learnt(b->catalog, &fixture_repo, job, body, strlen(body));
        assert_true(atomic_load(&b->catalog->learnt) <= LEARNT_BYTES_MAX);
    }
    fixture_pass_parser(b);
    assert_int_equal(atomic_load(&b->catalog->learnt), 0);
    small = fixture_job_body(b, 77, "completed");
    catalog_job_learnt(b->catalog, &fixture_repo, 77, small, strlen(small));
    fixture_pass_parser(b);
    q = fixture_job(77);
    assert_int_equal(catalog_ask(b->catalog, &q, EFFORT_MEMORY, NULL, &a), 0);
    catalog_answer_release(a);
    free(body);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, catalog_fixture_setup, catalog_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(pages_are_requested_in_parallel_and_become_one_snapshot),
        WITH_BENCH(questions_under_way_are_listed),
        WITH_BENCH(listing_without_links_is_not_cut_short_S18),
        WITH_BENCH(each_page_has_its_own_etag),
        WITH_BENCH(failure_half_way_is_an_error_and_no_short_listing),
        WITH_BENCH(failure_half_way_leaves_the_old_listing),
        WITH_BENCH(entry_at_a_page_border_is_listed_once),
        WITH_BENCH(listing_without_a_count_is_followed_page_by_page),
        WITH_BENCH(listing_longer_than_its_first_page_reports_is_followed_to_its_end),
        WITH_BENCH(only_as_many_entries_are_requested_as_are_wanted),
        WITH_BENCH(endless_listing_ends),
        WITH_BENCH(pages_of_a_listing_with_an_absurd_count_are_bounded),
        WITH_BENCH(r8_what_is_remembered_is_bounded_in_bytes_and_what_is_held_stays),
        WITH_BENCH(r8_a_listing_of_absurd_size_is_refused),
        WITH_BENCH(listing_that_shrinks_is_whole_after_a_restart),
        WITH_BENCH(listing_that_does_not_add_up_is_requested_once_more_S18),
        WITH_BENCH(listing_that_does_not_add_up_is_never_final_S18),
        WITH_BENCH(single_page_that_does_not_add_up_is_never_final_S18),
        WITH_BENCH(runs_that_move_add_up_as_long_as_there_are_enough),
        WITH_BENCH(large_pages_that_fail_are_requested_in_smaller_ones_S4),
        WITH_BENCH(failure_that_does_not_depend_on_the_size_is_returned_at_once),
        WITH_BENCH(size_that_works_is_remembered_and_its_etags_are_its_own_S4),
        WITH_BENCH(list_that_fails_in_every_size_is_requested_once_a_minute_S4),
        WITH_BENCH(later_page_that_fails_makes_all_pages_smaller_S4),
        WITH_BENCH(failure_is_seen_by_all_who_waited_for_it),
        WITH_BENCH(r8_bytes_learnt_and_not_parsed_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
