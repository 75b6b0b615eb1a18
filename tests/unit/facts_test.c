#include "facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void the_words_of_the_api_have_their_numbers(void **state)
{
    (void)state;
    assert_int_equal(facts_status_from("queued"), FACTS_QUEUED);
    assert_int_equal(facts_status_from("in_progress"), FACTS_IN_PROGRESS);
    assert_int_equal(facts_status_from("completed"), FACTS_COMPLETED);
    assert_int_equal(facts_status_from("waiting"), FACTS_WAITING);
    assert_int_equal(facts_status_from("requested"), FACTS_REQUESTED);
    assert_int_equal(facts_status_from("pending"), FACTS_PENDING);
    assert_int_equal(facts_conclusion_from("success"), FACTS_SUCCESS);
    assert_int_equal(facts_conclusion_from("cancelled"), FACTS_CANCELLED);
    assert_int_equal(facts_conclusion_from("skipped"), FACTS_SKIPPED);
    assert_int_equal(facts_conclusion_from("neutral"), FACTS_NEUTRAL);
    assert_int_equal(facts_conclusion_from("action_required"), FACTS_ACTION_REQUIRED);
    assert_int_equal(facts_conclusion_from("stale"), FACTS_STALE);
}

static void words_to_come_are_not_taken_for_known_ones(void **state)
{
    (void)state;
    assert_int_equal(facts_status_from("Completed"), FACTS_STATUS_UNKNOWN);
    assert_int_equal(facts_status_from("completed "), FACTS_STATUS_UNKNOWN);
    assert_int_equal(facts_status_from(""), FACTS_STATUS_UNKNOWN);
    assert_int_equal(facts_status_from(NULL), FACTS_STATUS_UNKNOWN);
    assert_int_equal(facts_conclusion_from("exploded"), FACTS_OTHER_CONCLUSION);
    assert_int_equal(facts_conclusion_from(""), FACTS_NO_CONCLUSION);
    assert_int_equal(facts_conclusion_from(NULL), FACTS_NO_CONCLUSION);
}

static void s19_failed_is_failure_timed_out_or_startup_failure(void **state)
{
    (void)state;
    for (int c = FACTS_NO_CONCLUSION; c <= FACTS_OTHER_CONCLUSION; c++)
        assert_int_equal(facts_is_failed((enum facts_conclusion)c),
                         c == FACTS_FAILURE || c == FACTS_TIMED_OUT || c == FACTS_STARTUP_FAILURE);
    assert_true(facts_is_failed(facts_conclusion_from("failure")));
    assert_true(facts_is_failed(facts_conclusion_from("timed_out")));
    assert_true(facts_is_failed(facts_conclusion_from("startup_failure")));
}

static void s18_a_fork_is_known_by_the_ids_of_the_repositories(void **state)
{
    const struct {
        uint64_t repo_id, head_repo_id;
        const char *owner;
        enum facts_origin origin;
    } runs[] = {
        {7, 7, "octo", FACTS_OWN_BRANCH},   {7, 7, "", FACTS_OWN_BRANCH},
        {7, 8, "someone", FACTS_FORK},      {7, 8, "octo", FACTS_FORK},
        {7, 8, "", FACTS_DELETED_FORK},     {7, 0, "", FACTS_DELETED_FORK},
        {7, 0, "octo", FACTS_DELETED_FORK}, {0, 0, "", FACTS_DELETED_FORK},
        {0, 8, "octo", FACTS_FORK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(runs) / sizeof(*runs); i++) {
        struct facts_run run = {.repo_id = runs[i].repo_id,
                                .head_repo_id = runs[i].head_repo_id,
                                .head_repo_owner = (char *)(uintptr_t)runs[i].owner};
        assert_int_equal(facts_origin_of(&run), runs[i].origin);
    }
}

#define ENDED INT64_C(1700000000000)

static struct facts_job job_with(struct facts_step *steps, size_t count)
{
    return (struct facts_job){.id = 1,
                              .status = FACTS_COMPLETED,
                              .conclusion = FACTS_FAILURE,
                              .created_ms = ENDED - 2000,
                              .started_ms = ENDED - 1000,
                              .completed_ms = ENDED,
                              .steps = steps,
                              .step_count = count};
}

static void s19_a_job_that_never_ran_has_no_log(void **state)
{
    struct facts_job job = job_with(NULL, 0);

    (void)state;
    assert_true(facts_may_have_log(&job));
    job.never_ran = true;
    assert_false(facts_may_have_log(&job));
    job.never_ran = false;
    job.conclusion = FACTS_SKIPPED;
    assert_false(facts_may_have_log(&job));
    job.conclusion = FACTS_SUCCESS;
    job.status = FACTS_IN_PROGRESS;
    assert_false(facts_may_have_log(&job));
}

/* Whether the job is settled at the moment it ends, and a day later. */
static void assert_settles(const struct facts_job *job, bool at_once)
{
    assert_int_equal(facts_is_settled(job, ENDED), at_once);
    assert_int_equal(facts_is_settled(job, ENDED + FACTS_SETTLES_MS - 1), at_once);
    assert_true(facts_is_settled(job, ENDED + FACTS_SETTLES_MS));
}

static void s10_a_job_without_its_steps_is_settled_after_a_day(void **state)
{
    struct facts_job job = job_with(NULL, 0);

    (void)state;
    assert_settles(&job, false);
    job.never_ran = true; /* no runner is reported: it may be reported late as well */
    assert_settles(&job, false);
    job.never_ran = false;
    job.conclusion = FACTS_SKIPPED;
    assert_settles(&job, true);
    job.status = FACTS_IN_PROGRESS;
    assert_false(facts_is_settled(&job, ENDED + 2 * FACTS_SETTLES_MS));
}

static void s10_a_job_with_open_steps_is_settled_after_a_day(void **state)
{
    static const enum facts_status open[] = {FACTS_IN_PROGRESS, FACTS_QUEUED, FACTS_PENDING,
                                             FACTS_WAITING};
    struct facts_step steps[2] = {{.number = 1, .status = FACTS_COMPLETED},
                                  {.number = 2, .status = FACTS_COMPLETED}};
    struct facts_job job = job_with(steps, 2);

    (void)state;
    assert_settles(&job, true);
    steps[0].status = FACTS_STATUS_UNKNOWN; /* a word to come, or none at all */
    assert_settles(&job, true);
    for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++) {
        steps[1].status = open[i];
        assert_true(facts_has_open_steps(&job));
        assert_settles(&job, false);
    }
    job.status = FACTS_IN_PROGRESS;
    assert_false(facts_has_open_steps(&job));
}

/* A job without an end is as old as its latest time; without any time it is settled at once. */
static void a_job_without_times_is_settled(void **state)
{
    struct facts_job job = job_with(NULL, 0);

    (void)state;
    job.completed_ms = FACTS_NO_TIME;
    assert_false(facts_is_settled(&job, ENDED));
    job.started_ms = FACTS_NO_TIME;
    assert_false(facts_is_settled(&job, ENDED));
    job.created_ms = FACTS_NO_TIME;
    assert_true(facts_is_settled(&job, ENDED));
}

static struct facts_job make_job(void)
{
    struct facts_job job = {.id = 1, .name = strdup("build"), .head_sha = strdup("")};

    job.steps = calloc(2, sizeof(*job.steps));
    job.steps[0].name = strdup("Set up job");
    job.steps[1].name = strdup("Run make");
    job.step_count = 2;
    return job;
}

static void finish_frees_and_may_be_called_twice(void **state)
{
    static const struct facts_job nothing;
    struct facts_job_list list = {.count = 2, .total_count = 2};

    (void)state;
    list.items = calloc(2, sizeof(*list.items));
    list.items[0] = make_job();
    list.items[1] = make_job();
    facts_job_finish(&list.items[0]);
    assert_memory_equal(&list.items[0], &nothing, sizeof(nothing));
    facts_job_list_finish(&list);
    assert_null(list.items);
    assert_int_equal(list.count, 0);
    facts_job_list_finish(&list);
}

static void finish_takes_what_was_never_filled(void **state)
{
    struct facts_run run = {0};
    struct facts_repo repo = {0};
    struct facts_run_list runs = {.items = calloc(1, sizeof(*runs.items)), .count = 1};
    struct facts_repo_list repos = {.items = calloc(1, sizeof(*repos.items)), .count = 1};

    (void)state;
    facts_run_finish(&run);
    facts_repo_finish(&repo);
    facts_run_list_finish(&runs);
    facts_repo_list_finish(&repos);
    assert_null(runs.items);
    assert_null(repos.items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_words_of_the_api_have_their_numbers),
        cmocka_unit_test(words_to_come_are_not_taken_for_known_ones),
        cmocka_unit_test(s19_failed_is_failure_timed_out_or_startup_failure),
        cmocka_unit_test(s18_a_fork_is_known_by_the_ids_of_the_repositories),
        cmocka_unit_test(s19_a_job_that_never_ran_has_no_log),
        cmocka_unit_test(s10_a_job_without_its_steps_is_settled_after_a_day),
        cmocka_unit_test(s10_a_job_with_open_steps_is_settled_after_a_day),
        cmocka_unit_test(a_job_without_times_is_settled),
        cmocka_unit_test(finish_frees_and_may_be_called_twice),
        cmocka_unit_test(finish_takes_what_was_never_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
