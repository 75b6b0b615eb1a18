/* What is known of jobs whatever was asked, and what this mount has used. */
#include "catalog/catalog_fixture.h"
#include "catalog/internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct repo_name other = {"octo", "other"}, shouted = {"OCTO", "REPO"};

/* The job's status as it was last seen; FACTS_STATUS_UNKNOWN: never. */
static enum facts_status status_of(struct catalog_fixture *b, const struct repo_name *repo,
                                   uint64_t job)
{
    enum facts_status status = FACTS_STATUS_UNKNOWN;
    struct catalog_seen seen;

    if (catalog_find_job(b->catalog, repo, job, &seen)) {
        assert_true(seen.job->id == job);
        status = seen.job->status;
        catalog_seen_release(&seen);
    }
    return status;
}

static void learn(struct catalog_fixture *b, const char *body, uint64_t job)
{
    catalog_job_learnt(b->catalog, &fixture_repo, job, body, strlen(body));
    fixture_pass_parser(b);
}

static void jobs_of_any_listing_are_found(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);

    assert_int_equal(status_of(b, &fixture_repo, 21), FACTS_STATUS_UNKNOWN);
    catalog_answer_release(fixture_learn(b, &q, fixture_jobs_body(b, 20, 3, 3, "in_progress"), ""));
    assert_int_equal(status_of(b, &fixture_repo, 21), FACTS_IN_PROGRESS);
    assert_int_equal(status_of(b, &shouted, 22), FACTS_IN_PROGRESS);
    assert_int_equal(status_of(b, &other, 21), FACTS_STATUS_UNKNOWN);
    assert_int_equal(status_of(b, &fixture_repo, 23), FACTS_STATUS_UNKNOWN);
}

static void job_learnt_from_another_request_is_not_requested(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_job(7);
    const struct catalog_answer *a;
    struct guest g;
    char *text;
    size_t len;

    guest_init(&g);
    learn(b, fixture_job_body(b, 7, "completed"), 7);
    assert_int_equal(status_of(b, &fixture_repo, 7), FACTS_COMPLETED);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(fixture_get(b, &q, &a), 0);
        assert_true(a->settled && a->jobs[0]->id == 7);
        catalog_answer_release(a);
        assert_int_equal(catalog_get_json(b->catalog, &q, NULL, &g.waiter, &text, &len), 0);
        assert_int_equal(len, strlen(text));
        assert_non_null(strstr(text, "\"id\": 7,"));
        free(text);
        catalog_fixture_remount(b); /* it was kept */
    }
    assert_int_equal(b->fake.facts_wanted, 0);
    guest_finish(&g);
}

/* Out of the listing it was seen in, at no cost, and in the same words as by itself. */
static void json_of_a_job_is_the_same_whichever_way_it_came(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question jobs = fixture_jobs(9), q = fixture_job(21), far = fixture_job(99);
    char *listed, *alone;
    size_t len;
    struct guest g;

    guest_init(&g);
    catalog_answer_release(
        fixture_learn(b, &jobs, fixture_jobs_body(b, 20, 3, 3, "completed"), ""));
    assert_int_equal(catalog_get_json(b->catalog, &q, &jobs, &g.waiter, &listed, &len), 0);
    assert_int_equal(b->fake.facts_wanted, 1);
    learn(b, fixture_job_body(b, 21, "completed"), 21);
    assert_int_equal(catalog_get_json(b->catalog, &q, NULL, &g.waiter, &alone, &len), 0);
    assert_string_equal(listed, alone);
    assert_int_equal(b->fake.facts_wanted, 1);
    free(listed);
    free(alone);
    g.waiter.began_ms = 0; /* one that is not in the listing is asked for */
    assert_int_equal(catalog_get_json(b->catalog, &far, &jobs, &g.waiter, &alone, &len),
                     PENDING_PARKED);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -ENOENT, SOURCE_NOT_FOUND,
                guest_now_ms() + 30000);
    assert_int_equal(guest_wait(&g), 0);
    assert_int_equal(catalog_get_json(b->catalog, &far, &jobs, &g.waiter, &alone, &len), -ENOENT);
    guest_finish(&g);
}

static void malformed_job_learnt_is_ignored(void **state)
{
    struct catalog_fixture *b = *state;

    learn(b, "garbage", 7);
    learn(b, "", 7);
    assert_int_equal(status_of(b, &fixture_repo, 7), FACTS_STATUS_UNKNOWN);
}

static void running_job_learnt_is_requested_again_when_it_is_old(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_job(7);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    learn(b, fixture_job_body(b, 7, "in_progress"), 7);
    assert_int_equal(fixture_ask(b, &q, &g, &a), 0);
    assert_false(a->settled);
    catalog_answer_release(a);
    guest_pass(FRESH_MS);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_job_body(b, 7, "completed"), "", 0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_true(a->settled);
    catalog_answer_release(a);
    guest_finish(&g);
}

/* A job is learnt while it is asked: neither of the two answers is lost or freed twice. */
static void job_learnt_while_it_is_requested(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_job(7);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    learn(b, fixture_job_body(b, 7, "completed"), 7);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_job_body(b, 7, "completed"), "\"e\"",
                0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_true(a->settled);
    catalog_answer_release(a);
    guest_finish(&g);
}

/* The old record of a listing does not make a job run again that is known to have ended. */
static void record_from_disk_does_not_replace_newer_facts(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question jobs = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    catalog_answer_release(
        fixture_learn(b, &jobs, fixture_jobs_body(b, 20, 3, 3, "in_progress"), ""));
    catalog_fixture_remount(b);
    learn(b, fixture_job_body(b, 21, "completed"), 21);
    assert_int_equal(fixture_ask(b, &jobs, &g, &a), PENDING_PARKED); /* reads the record */
    assert_int_equal(status_of(b, &fixture_repo, 20), FACTS_IN_PROGRESS);
    assert_int_equal(status_of(b, &fixture_repo, 21), FACTS_COMPLETED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_jobs_body(b, 20, 3, 3, "completed"),
                "", 0);
    assert_int_equal(fixture_wait(b, &jobs, &g, &a), 0);
    catalog_answer_release(a);
    assert_int_equal(status_of(b, &fixture_repo, 20), FACTS_COMPLETED);
    guest_finish(&g);
}

static void facts_that_are_held_stay(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_seen seen;

    learn(b, fixture_job_body(b, 7, "in_progress"), 7);
    assert_true(catalog_find_job(b->catalog, &fixture_repo, 7, &seen));
    learn(b, fixture_job_body(b, 7, "completed"), 7);
    assert_int_equal(seen.job->status, FACTS_IN_PROGRESS);
    assert_string_equal(seen.job->name, "build");
    catalog_seen_release(&seen);
    assert_int_equal(status_of(b, &fixture_repo, 7), FACTS_COMPLETED);
}

/* However the ids lie, none takes another's place; the same job under another name is another. */
static void no_job_is_lost_for_another(void **state)
{
    struct catalog_fixture *b = *state;
    const uint64_t first = 30000000000, gap = 104729;
    struct catalog_question q;

    for (uint64_t run = 1; run <= 300; run++) {
        q = fixture_jobs(run);
        catalog_answer_release(
            fixture_learn(b, &q, fixture_jobs_body(b, first + run * gap, 10, 10, "completed"), ""));
    }
    q.repo = other;
    catalog_answer_release(
        fixture_learn(b, &q, fixture_jobs_body(b, first + gap, 10, 10, "in_progress"), ""));
    for (uint64_t run = 1; run <= 300; run++)
        for (uint64_t i = 0; i < 10; i++)
            assert_int_equal(status_of(b, &fixture_repo, first + run * gap + i), FACTS_COMPLETED);
    assert_int_equal(status_of(b, &other, first + gap), FACTS_IN_PROGRESS);
}

static void add_page(struct seen *s, struct catalog_fixture *b, uint64_t first)
{
    const char *body = fixture_jobs_body(b, first, 100, 100, "completed");
    struct page *p;

    assert_int_equal(page_parse(SOURCE_ATTEMPT_JOBS, body, strlen(body), "", 0, &p), 0);
    seen_add_page(s, &fixture_repo, p, true);
    page_unref(p);
}

static bool has_seen(struct seen *s, uint64_t job)
{
    struct page *p = NULL;
    const struct facts_job *found = seen_find(s, &fixture_repo, job, &p);

    assert_true(!found || found->id == job);
    page_unref(p);
    return found != NULL;
}

/* Law 7: of too many the least recently used go. */
static void jobs_seen_are_bounded(void **state)
{
    struct catalog_fixture *b = *state;
    struct seen s;

    assert_int_equal(seen_init(&s), 0);
    for (uint64_t first = 1; first < 1 + SEEN_MAX + 1000; first += 100) {
        add_page(&s, b, first);
        assert_true(has_seen(&s, 1)); /* in use all the time */
    }
    assert_true(s.job_count == SEEN_MAX);
    assert_false(has_seen(&s, 2));
    assert_true(has_seen(&s, SEEN_MAX + 1000));
    add_page(&s, b, 1); /* and comes again */
    assert_true(has_seen(&s, 2));
    assert_true(s.job_count == SEEN_MAX);
    seen_finish(&s);
}

/* What is remembered of jobs in bounds is not needed where there is an answer. */
static void a_job_is_found_in_its_answer(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a;
    struct catalog_seen seen;

    a = fixture_learn(b, &q, fixture_jobs_body(b, 20, 3, 3, "completed"), "");
    assert_false(catalog_find_in(a, 23, &seen));
    assert_true(catalog_find_in(a, 22, &seen));
    catalog_answer_release(a);
    assert_true(seen.job->id == 22);
    assert_string_equal(seen.job->name, "build");
    catalog_seen_release(&seen);
}

/* T1: what GitHub has answered in this mount, under this name, and has not refused since. */
static void an_answer_proves_the_names_of_its_jobs(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a;
    bool completed = false;
    struct guest g;

    guest_init(&g);
    assert_false(catalog_is_proven(b->catalog, &fixture_repo, 20, &completed));
    catalog_answer_release(
        fixture_learn(b, &q, fixture_jobs_body(b, 20, 3, 3, "in_progress"), "e1"));
    completed = true;
    assert_true(catalog_is_proven(b->catalog, &shouted, 22, &completed));
    assert_false(completed);
    assert_false(catalog_is_proven(b->catalog, &fixture_repo, 23, &completed));
    assert_false(catalog_is_proven(b->catalog, &other, 20, &completed));

    /* What is on disk was another token's, perhaps. A 304 is this one's. */
    catalog_fixture_remount(b);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    assert_false(catalog_is_proven(b->catalog, &fixture_repo, 20, &completed));
    fake_answer(&b->fake, fake_take_facts(&b->fake), NULL, "e1", 0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    catalog_answer_release(a);
    assert_true(catalog_is_proven(b->catalog, &fixture_repo, 20, &completed));

    guest_pass(FRESH_MS);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -ENOENT, SOURCE_NOT_FOUND,
                guest_now_ms() + 1000);
    assert_int_equal(fixture_wait(b, &q, &g, &a), -ENOENT);
    assert_false(catalog_is_proven(b->catalog, &fixture_repo, 20, &completed));
    guest_finish(&g);
}

/* The list of a later attempt, or an older record, has the job without the steps that are known. */
static void steps_once_reported_stay(void **state)
{
    static const char *const steps[] = {"",
                                        "{\"status\":\"in_progress\"}",
                                        "",
                                        "{\"status\":\"completed\"}",
                                        "{\"status\":\"in_progress\"}",
                                        ""};
    static const size_t told[] = {0, 1, 1, 1, 1, 1};
    struct catalog_fixture *b = *state;
    char body[256];

    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        struct catalog_seen seen;
        snprintf(body, sizeof(body), "{\"id\":7,\"status\":\"completed\",\"steps\":[%s]}",
                 steps[i]);
        learn(b, body, 7);
        assert_true(catalog_find_job(b->catalog, &fixture_repo, 7, &seen));
        assert_int_equal(seen.job->step_count, told[i]);
        assert_int_equal(facts_has_open_steps(seen.job), i == 1 || i == 2);
        catalog_seen_release(&seen);
    }
}

/* What is put together of two answers holds what it needs of them. */
static void selected_jobs_stay_when_their_answers_go(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question first = fixture_jobs(9), second = fixture_jobs(10);
    const struct catalog_answer *from[2], *a;
    const struct facts_job *jobs[2];
    struct catalog_seen seen;

    from[0] = fixture_learn(b, &first, fixture_jobs_body(b, 20, 3, 3, "completed"), "");
    from[1] = fixture_learn(b, &second, fixture_jobs_body(b, 30, 3, 3, "completed"), "");
    jobs[0] = from[1]->jobs[2];
    jobs[1] = from[0]->jobs[1];
    a = catalog_answer_select(from, 2, jobs, 2);
    assert_non_null(a);
    catalog_answer_release(from[0]);
    catalog_answer_release(from[1]);
    guest_pass(FRESH_MS);
    catalog_answer_release(
        fixture_learn(b, &first, fixture_jobs_body(b, 40, 1, 1, "completed"), ""));
    catalog_answer_release(
        fixture_learn(b, &second, fixture_jobs_body(b, 50, 1, 1, "completed"), ""));
    assert_int_equal(a->count, 2);
    assert_true(a->jobs[0]->id == 32 && a->jobs[1]->id == 21);
    assert_false(a->settled);
    assert_false(catalog_find_in(a, 20, &seen)); /* it is on a page, but not selected */
    assert_true(catalog_find_in(a, 21, &seen));
    catalog_answer_release(a);
    assert_string_equal(seen.job->name, "build");
    catalog_seen_release(&seen);
}

/* --- names used --- */

struct list_of_ids {
    uint64_t ids[5000];
    unsigned count;
};

static void add_id(void *who, uint64_t id)
{
    struct list_of_ids *l = who;

    l->ids[l->count++] = id;
}

static void add_repo(void *who, const struct repo_name *repo)
{
    struct list_of_ids *l = who;

    (void)repo;
    l->count++;
}

static void used_jobs_are_listed_latest_last(void **state)
{
    struct catalog_fixture *b = *state;
    struct list_of_ids list = {.count = 0};

    catalog_note_used(b->catalog, &fixture_repo, 1);
    catalog_note_used(b->catalog, &fixture_repo, 2);
    catalog_note_used(b->catalog, &shouted, 3);
    catalog_note_used(b->catalog, &other, 4);
    catalog_note_used(b->catalog, &fixture_repo, 1);
    catalog_note_used(b->catalog, &fixture_repo, 0);
    catalog_each_used_job(b->catalog, &fixture_repo, add_id, &list);
    assert_int_equal(list.count, 3);
    assert_true(list.ids[0] == 2 && list.ids[1] == 3 && list.ids[2] == 1);
}

static void used_repositories_are_listed_by_owner(void **state)
{
    const struct repo_name elsewhere = {"hub", "repo"};
    struct catalog_fixture *b = *state;
    struct list_of_ids all = {.count = 0}, octo = {.count = 0}, none = {.count = 0};

    catalog_note_used(b->catalog, &fixture_repo, 0);
    catalog_note_used(b->catalog, &shouted, 0);
    catalog_note_used(b->catalog, &other, 0);
    catalog_note_used(b->catalog, &elsewhere, 0);
    catalog_each_used_repo(b->catalog, NULL, add_repo, &all);
    catalog_each_used_repo(b->catalog, "Octo", add_repo, &octo);
    catalog_each_used_repo(b->catalog, "oct", add_repo, &none);
    assert_int_equal(all.count, 3);
    assert_int_equal(octo.count, 2);
    assert_int_equal(none.count, 0);
}

/* Law 7. */
static void what_is_used_is_bounded(void **state)
{
    struct catalog_fixture *b = *state;
    struct list_of_ids jobs = {.count = 0}, repos = {.count = 0};
    struct repo_name name = {"octo", ""};

    for (uint64_t job = 1; job <= 4500; job++)
        catalog_note_used(b->catalog, &fixture_repo, job);
    catalog_each_used_job(b->catalog, &fixture_repo, add_id, &jobs);
    assert_int_equal(jobs.count, USED_JOBS_MAX);
    assert_true(jobs.ids[USED_JOBS_MAX - 1] == 4500);
    for (unsigned i = 0; i < 1500; i++) {
        snprintf(name.repo, sizeof(name.repo), "r%u", i);
        catalog_note_used(b->catalog, &name, 1);
    }
    catalog_each_used_repo(b->catalog, NULL, add_repo, &repos);
    assert_int_equal(repos.count, USED_REPOS_MAX);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, catalog_fixture_setup, catalog_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(jobs_of_any_listing_are_found),
        WITH_BENCH(job_learnt_from_another_request_is_not_requested),
        WITH_BENCH(json_of_a_job_is_the_same_whichever_way_it_came),
        WITH_BENCH(malformed_job_learnt_is_ignored),
        WITH_BENCH(running_job_learnt_is_requested_again_when_it_is_old),
        WITH_BENCH(job_learnt_while_it_is_requested),
        WITH_BENCH(record_from_disk_does_not_replace_newer_facts),
        WITH_BENCH(facts_that_are_held_stay),
        WITH_BENCH(no_job_is_lost_for_another),
        WITH_BENCH(jobs_seen_are_bounded),
        WITH_BENCH(an_answer_proves_the_names_of_its_jobs),
        WITH_BENCH(a_job_is_found_in_its_answer),
        WITH_BENCH(steps_once_reported_stay),
        WITH_BENCH(selected_jobs_stay_when_their_answers_go),
        WITH_BENCH(used_jobs_are_listed_latest_last),
        WITH_BENCH(used_repositories_are_listed_by_owner),
        WITH_BENCH(what_is_used_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
