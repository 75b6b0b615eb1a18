/* Questions and their answers: asked once, shown while fresh, asked again with their ETag, kept
 * (S18). */
#include "catalog/catalog_fixture.h"

#include "catalog/internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void fifty_callers_share_one_request(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_runs(30);
    const struct catalog_answer *a = NULL;
    struct guest guests[50];

    for (unsigned i = 0; i < 50; i++) {
        guest_init(&guests[i]);
        assert_int_equal(fixture_ask(b, &q, &guests[i], &a), PENDING_PARKED);
    }
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_runs_body(b, 100, 3, 3), "\"e\"", 0);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(fixture_wait(b, &q, &guests[i], &a), 0);
        assert_int_equal(fixture_count(a), 3);
        guest_finish(&guests[i]);
    }
    assert_int_equal(b->fake.facts_wanted, 1);
}

static void request_has_the_parameters_of_the_question(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_runs(30);
    const struct catalog_answer *a = NULL;
    struct fake_facts *asked;
    struct guest g;

    guest_init(&g);
    snprintf(q.filter, sizeof(q.filter), "branch=a%%2Fb");
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    asked = fake_take_facts(&b->fake);
    assert_int_equal(asked->f->question, SOURCE_RUNS);
    assert_string_equal(asked->f->repo.owner, "octo");
    assert_string_equal(asked->f->filter, "branch=a%2Fb");
    assert_string_equal(asked->f->etag, "");
    assert_int_equal(asked->f->page, 1);
    assert_int_equal(asked->f->per_page, 30);
    fake_answer(&b->fake, asked, fixture_runs_body(b, 1, 1, 1), "", 0);
    assert_int_equal(guest_wait(&g), 0);
    guest_finish(&g);
}

static void answer_is_shown_while_it_is_fresh(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_runs(30);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    catalog_answer_release(fixture_learn(b, &q, fixture_runs_body(b, 100, 3, 3), "\"e1\""));
    guest_pass(FRESH_MS - 1);
    assert_int_equal(fixture_ask(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 3);
    assert_int_equal(b->fake.facts_wanted, 1);
    guest_pass(1);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    assert_int_equal(fixture_count((catalog_ask(b->catalog, &q, EFFORT_MEMORY, NULL, &a), a)), 3);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_runs_body(b, 104, 5, 5), "\"e2\"", 0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 5);
    guest_finish(&g);
}

static void old_answer_is_requested_with_its_etag_and_304_confirms_it(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_runs(30);
    const struct catalog_answer *a = NULL;
    struct fake_facts *asked;
    struct guest g;

    guest_init(&g);
    catalog_answer_release(fixture_learn(b, &q, fixture_runs_body(b, 100, 3, 3), "\"e1\""));
    for (unsigned i = 0; i < 3; i++) {
        guest_pass(FRESH_MS);
        assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
        asked = fake_take_facts(&b->fake);
        assert_string_equal(asked->f->etag, "\"e1\"");
        fake_answer(&b->fake, asked, NULL, "\"e1\"", 0);
        assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
        assert_int_equal(a->count, 3);
        assert_true(a->runs[2]->id == 102);
        catalog_answer_release(a);
        guest_pass(FRESH_MS - 1); /* and it is fresh again */
        assert_int_equal(fixture_ask(b, &q, &g, &a), 0);
        catalog_answer_release(a);
    }
    guest_finish(&g);
}

static void snapshot_stays_as_it_is_while_it_is_held_S18(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_runs(30);
    const struct catalog_answer *old = fixture_learn(b, &q, fixture_runs_body(b, 100, 3, 3), "");

    guest_pass(FRESH_MS);
    catalog_answer_release(fixture_learn(b, &q, fixture_runs_body(b, 200, 4, 4), ""));
    assert_int_equal(old->count, 3);
    assert_true(old->runs[0]->id == 100);
    catalog_answer_release(old);
}

static void old_answer_is_shown_after_a_second_of_waiting_S18(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_runs(30);
    const struct catalog_answer *a = NULL;
    struct guest first, second;

    guest_init(&first);
    guest_init(&second);
    catalog_answer_release(fixture_learn(b, &q, fixture_runs_body(b, 100, 3, 3), ""));
    guest_pass(FRESH_MS);
    assert_int_equal(fixture_ask(b, &q, &first, &a), PENDING_PARKED);
    guest_pass(999);
    fixture_pass_parser(b);
    assert_false(guest_is_answered(&first));
    guest_pass(1);
    fixture_pass_parser(b);
    assert_int_equal(fixture_wait(b, &q, &first, &a), 0);
    assert_int_equal(fixture_count(a), 3);
    assert_int_equal(fixture_ask(b, &q, &second, &a), 0); /* nor does the next wait */
    assert_int_equal(fixture_count(a), 3);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_runs_body(b, 100, 5, 5), "", 0);
    fixture_pass_parser(b);
    assert_int_equal(fixture_ask(b, &q, &first, &a), 0);
    assert_int_equal(fixture_count(a), 5); /* the answer is used later */
    assert_int_equal(b->fake.facts_wanted, 2);
    guest_finish(&first);
    guest_finish(&second);
}

/* The second round begins while the clock of the first still runs: it has its own second. */
static void each_round_has_its_own_second_S18(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    catalog_answer_release(fixture_learn(b, &q, fixture_jobs_body(b, 1, 2, 2, "completed"), ""));
    guest_pass(FRESH_MS);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    guest_pass(600);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_jobs_body(b, 1, 2, 2, "completed"), "",
                0);
    assert_int_equal(guest_wait(&g), 0);
    q.may_settle = true; /* now it is known that the run has ended: asked once more */
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    guest_pass(400);
    fixture_pass_parser(b);
    if (guest_is_answered(&g)) {
        assert_int_equal(guest_wait(&g), 0);
        assert_int_equal(fixture_ask_again(b, &q, &g, &a), PENDING_PARKED);
    }
    guest_pass(600);
    fixture_pass_parser(b);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 2);
    guest_finish(&g);
}

struct way {
    int err;
    enum source_reason reason;
    bool shows_old;
};

static void failure_shows_what_is_known_or_its_errno_S18(void **state)
{
    static const struct way ways[] = {{-EHOSTUNREACH, SOURCE_UNREACHABLE, true},
                                      {-EDQUOT, SOURCE_LIMITED, true},
                                      {-EIO, SOURCE_BROKEN, true},
                                      {-EPROTO, SOURCE_PROTOCOL, true},
                                      {-EHOSTUNREACH, SOURCE_OFFLINE, true},
                                      {-ENOENT, SOURCE_NOT_FOUND, false},
                                      {-EACCES, SOURCE_FORBIDDEN, false}};
    struct catalog_fixture *b = *state;
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct catalog_question known = fixture_jobs(2 * i + 1), unknown = fixture_jobs(2 * i + 2);
        unsigned wanted;
        catalog_answer_release(
            fixture_learn(b, &known, fixture_jobs_body(b, 1, 2, 2, "in_progress"), ""));
        guest_pass(FRESH_MS);
        for (unsigned k = 0; k < 2; k++) {
            const struct catalog_question *q = k ? &known : &unknown;
            int want = k && ways[i].shows_old ? 0 : ways[i].err;
            assert_int_equal(fixture_ask(b, q, &g, &a), PENDING_PARKED);
            if (ways[i].reason == SOURCE_BROKEN)
                fixture_refuse_sizes(b, ways[i].err, ways[i].reason);
            else
                fake_refuse(&b->fake, fake_take_facts(&b->fake), ways[i].err, ways[i].reason,
                            guest_now_ms() + 5000);
            assert_int_equal(fixture_wait(b, q, &g, &a), want);
            if (!want)
                assert_int_equal(fixture_count(a), 2);
            /* And it is not asked again before its time. */
            wanted = b->fake.facts_wanted;
            guest_pass(4999);
            assert_int_equal(fixture_ask(b, q, &g, &a), want);
            if (!want)
                catalog_answer_release(a);
            assert_int_equal(b->fake.facts_wanted, wanted);
        }
    }
    guest_finish(&g);
}

static void failure_without_a_time_is_retried_after_a_second(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_runs(30);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -ENOMEM, SOURCE_BROKEN, 0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), -ENOMEM);
    guest_pass(999);
    assert_int_equal(fixture_ask(b, &q, &g, &a), -ENOMEM);
    guest_pass(1);
    a = fixture_learn(b, &q, fixture_runs_body(b, 1, 1, 1), "");
    assert_int_equal(fixture_count(a), 1);
    guest_finish(&g);
}

static void failure_without_a_time_is_not_retried_at_once(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_runs(30);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    catalog_answer_release(fixture_learn(b, &q, fixture_runs_body(b, 1, 4, 4), ""));
    guest_pass(FRESH_MS);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -ECONNREFUSED, SOURCE_UNREACHABLE,
                guest_now_ms());
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 4);
    assert_int_equal(b->fake.facts_wanted, 2);
    guest_finish(&g);
}

static void malformed_answer_is_an_error_and_not_requested_again_at_once(void **state)
{
    static const char *const bodies[] = {"",
                                         "null",
                                         "[]",
                                         "{\"jobs\":7}",
                                         "{\"jobs\":[{}]}",
                                         "{\"total_count\":1,\"jobs\":[{\"id\":1}"};
    struct catalog_fixture *b = *state;
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    for (unsigned i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct catalog_question q = fixture_jobs(i + 1);
        assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
        fake_answer(&b->fake, fake_take_facts(&b->fake), bodies[i], "", 0);
        assert_int_equal(fixture_wait(b, &q, &g, &a), -EPROTO);
        guest_pass(4999);
        assert_int_equal(fixture_ask(b, &q, &g, &a), -EPROTO);
    }
    assert_int_equal(b->fake.facts_wanted, sizeof(bodies) / sizeof(bodies[0]));
    guest_finish(&g);
}

static void unexpected_304_counts_as_malformed(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_runs(30);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), NULL, "", 0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), -EPROTO);
    guest_finish(&g);
}

static void what_has_ended_is_never_requested_again_also_after_a_restart(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_job(7), jobs = fixture_jobs(9);
    const struct catalog_answer *a;

    jobs.may_settle = true;
    a = fixture_learn(b, &q, fixture_job_body(b, 7, "completed"), "\"e\"");
    assert_true(a->settled);
    catalog_answer_release(a);
    a = fixture_learn(b, &jobs, fixture_jobs_body(b, 20, 4, 4, "completed"), "\"e\"");
    assert_true(a->settled);
    catalog_answer_release(a);
    for (unsigned i = 0; i < 2; i++) {
        guest_pass(INT64_C(1000) * 86400 * 400);
        assert_int_equal(fixture_get(b, &q, &a), 0);
        assert_true(a->settled && a->jobs[0]->id == 7);
        catalog_answer_release(a);
        assert_int_equal(fixture_get(b, &jobs, &a), 0);
        assert_true(a->settled && a->count == 4);
        catalog_answer_release(a);
        catalog_fixture_remount(b);
    }
    assert_int_equal(b->fake.facts_wanted, 2);
}

static void what_has_not_ended_does_not_settle(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question running = fixture_job(7), jobs = fixture_jobs(9),
                            none = fixture_jobs(10);
    const struct catalog_answer *a;

    a = fixture_learn(b, &running, fixture_job_body(b, 7, "in_progress"), "");
    assert_false(a->settled);
    catalog_answer_release(a);
    /* A re-run may follow for all that the asker knows. */
    a = fixture_learn(b, &jobs, fixture_jobs_body(b, 20, 4, 4, "completed"), "");
    assert_false(a->settled);
    catalog_answer_release(a);
    none.may_settle = true;
    a = fixture_learn(b, &none, fixture_jobs_body(b, 20, 0, 0, "completed"), "");
    assert_false(a->settled);
    catalog_answer_release(a);
}

/* A job that ended an hour ago, as the list of its run has it. */
static const char *job_of_an_hour(struct catalog_fixture *b, const char *steps)
{
    time_t ended = guest_now_ms() / 1000 - 3600;
    char at[32];
    struct tm tm;

    strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&ended, &tm));
    free(b->body);
    assert_true(asprintf(&b->body,
                         "{\"total_count\":1,\"jobs\":[{\"id\":20,\"status\":\"completed\","
                         "\"runner_id\":1,\"completed_at\":\"%s\",\"steps\":[%s]}]}",
                         at, steps) > 0);
    return b->body;
}

/* Asked again with its ETag, which costs nothing, also after a restart; a day later it is
 * settled. */
static void s10_steps_that_may_come_later_are_requested_for_a_day(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct fake_facts *f;
    struct guest g;

    guest_init(&g);
    q.may_settle = true;
    a = fixture_learn(b, &q, job_of_an_hour(b, ""), "\"e\"");
    assert_false(a->settled);
    catalog_answer_release(a);
    for (unsigned i = 0; i < 2; i++) {
        catalog_fixture_remount(b);
        if (i)
            guest_pass(FACTS_SETTLES_MS);
        assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
        f = fake_take_facts(&b->fake);
        assert_string_equal(f->f->etag, "\"e\"");
        fake_answer(&b->fake, f, NULL, "\"e\"", 0);
        assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
        assert_int_equal(a->settled, i == 1);
        catalog_answer_release(a);
    }
    catalog_fixture_remount(b);
    assert_int_equal(fixture_get(b, &q, &a), 0);
    assert_true(a->settled);
    catalog_answer_release(a);
    assert_int_equal(b->fake.facts_wanted, 3);
    guest_finish(&g);
}

static void s10_steps_that_came_settle_the_job(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    q.may_settle = true;
    catalog_answer_release(
        fixture_learn(b, &q, job_of_an_hour(b, "{\"status\":\"in_progress\"}"), ""));
    guest_pass(FRESH_MS);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake),
                job_of_an_hour(b, "{\"status\":\"completed\"}"), "", 0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_true(a->settled);
    catalog_answer_release(a);
    guest_finish(&g);
}

/* As the version before wrote them, which did not wait for steps. */
static void s10_a_settled_record_without_steps_is_doubted_for_a_day(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    const char *body = job_of_an_hour(b, "");
    struct answer *old = answer_create(1, 100);
    char key[ENTRY_KEY_LEN];
    struct guest g;

    guest_init(&g);
    q.may_settle = true;
    assert_int_equal(page_parse(q.what, body, strlen(body), "\"e\"", 0, &old->pages[0]), 0);
    old->page_count = 1;
    old->view.settled = old->adds_up = true;
    snprintf(key, sizeof(key), "asked/octo/repo/%d/9-1/-0", (int)q.what);
    assert_int_equal(page_save(old->pages[0], b->store, key, body, strlen(body)), 0);
    assert_int_equal(answer_save(old, b->store, key), 0);
    answer_unref(old);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake),
                job_of_an_hour(b, "{\"status\":\"completed\"}"), "", 0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_true(a->settled && a->jobs[0]->step_count == 1);
    catalog_answer_release(a);
    guest_finish(&g);
}

static void record_survives_a_restart_and_is_requested_with_its_etag(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_runs(30);
    const struct catalog_answer *a = NULL;
    struct fake_facts *asked;
    struct guest g;

    guest_init(&g);
    catalog_answer_release(fixture_learn(b, &q, fixture_runs_body(b, 100, 3, 3), "\"e1\""));
    catalog_fixture_remount(b);
    assert_int_equal(catalog_ask(b->catalog, &q, EFFORT_MEMORY, NULL, &a), -EAGAIN);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    asked = fake_take_facts(&b->fake);
    assert_string_equal(asked->f->etag, "\"e1\"");
    guest_pass(1000); /* what is known is shown if that takes long */
    fixture_pass_parser(b);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 3);
    fake_answer(&b->fake, asked, NULL, "\"e1\"", 0);
    fixture_pass_parser(b);
    assert_int_equal(fixture_ask(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 3);
    guest_finish(&g);
}

static void names_are_compared_case_insensitively(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_runs(30), spelled = fixture_runs(30),
                            longer = fixture_runs(60);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    memcpy(spelled.repo.owner, "OCTO", 5);
    catalog_answer_release(fixture_learn(b, &q, fixture_runs_body(b, 100, 3, 3), ""));
    assert_int_equal(fixture_ask(b, &spelled, &g, &a), 0);
    catalog_answer_release(a);
    assert_int_equal(fixture_ask(b, &longer, &g, &a), PENDING_PARKED);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_runs_body(b, 100, 3, 3), "", 0);
    assert_int_equal(guest_wait(&g), 0);
    guest_finish(&g);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, catalog_fixture_setup, catalog_fixture_teardown)

/* From memory or disk, of whatever age, without a request. */
static void effort_disk_gives_what_is_known_and_sends_no_request(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_runs(30);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(catalog_ask(b->catalog, &q, EFFORT_DISK, &g.waiter, &a), -EAGAIN);
    catalog_answer_release(fixture_learn(b, &q, fixture_runs_body(b, 1, 3, 3), "\"e\""));
    for (unsigned i = 0; i < 2; i++) {
        guest_pass(2 * FRESH_MS);
        assert_int_equal(catalog_ask(b->catalog, &q, EFFORT_DISK, &g.waiter, &a), 0);
        assert_int_equal(fixture_count(a), 3);
        catalog_fixture_remount(b);
    }
    assert_int_equal(b->fake.facts_wanted, 1);
    guest_finish(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(fifty_callers_share_one_request),
        WITH_BENCH(request_has_the_parameters_of_the_question),
        WITH_BENCH(answer_is_shown_while_it_is_fresh),
        WITH_BENCH(old_answer_is_requested_with_its_etag_and_304_confirms_it),
        WITH_BENCH(snapshot_stays_as_it_is_while_it_is_held_S18),
        WITH_BENCH(old_answer_is_shown_after_a_second_of_waiting_S18),
        WITH_BENCH(each_round_has_its_own_second_S18),
        WITH_BENCH(failure_shows_what_is_known_or_its_errno_S18),
        WITH_BENCH(failure_without_a_time_is_retried_after_a_second),
        WITH_BENCH(failure_without_a_time_is_not_retried_at_once),
        WITH_BENCH(malformed_answer_is_an_error_and_not_requested_again_at_once),
        WITH_BENCH(unexpected_304_counts_as_malformed),
        WITH_BENCH(what_has_ended_is_never_requested_again_also_after_a_restart),
        WITH_BENCH(what_has_not_ended_does_not_settle),
        WITH_BENCH(s10_steps_that_may_come_later_are_requested_for_a_day),
        WITH_BENCH(s10_steps_that_came_settle_the_job),
        WITH_BENCH(s10_a_settled_record_without_steps_is_doubted_for_a_day),
        WITH_BENCH(record_survives_a_restart_and_is_requested_with_its_etag),
        WITH_BENCH(names_are_compared_case_insensitively),
        WITH_BENCH(effort_disk_gives_what_is_known_and_sends_no_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
