/* What failed/ shows of a run: the table in failed.h, row by row (S21). */
#include "views/failed.h"

#include "github/parse.h"
#include "github/recorded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 16

/* --- jobs --- */

static struct facts_job ended(enum facts_conclusion conclusion)
{
    return (struct facts_job){.status = FACTS_COMPLETED, .conclusion = conclusion};
}

/* A run of such jobs, and which of them are shown: "x" is, "." is not. */
static void check_jobs(bool run_has_failed, const char *expected, const struct facts_job *jobs)
{
    const struct facts_job *pointers[STEPS_MAX] = {NULL};
    size_t count = strlen(expected);
    bool cancelled;

    for (size_t i = 0; i < count; i++)
        pointers[i] = &jobs[i];
    cancelled = failed_shows_cancelled(pointers, count, run_has_failed);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(failed_shows_job(&jobs[i], cancelled), expected[i] == 'x');
}

#define CHECK_JOBS(run_has_failed, expected, ...)                                                  \
    check_jobs(run_has_failed, expected, (const struct facts_job[]){__VA_ARGS__})

static void s21_jobs_that_failed_are_shown(void **state)
{
    (void)state;
    CHECK_JOBS(true, "x.x.x", ended(FACTS_FAILURE), ended(FACTS_SUCCESS), ended(FACTS_TIMED_OUT),
               ended(FACTS_SKIPPED), ended(FACTS_STARTUP_FAILURE));
    CHECK_JOBS(true, ".....", ended(FACTS_NEUTRAL), ended(FACTS_ACTION_REQUIRED),
               ended(FACTS_STALE), ended(FACTS_OTHER_CONCLUSION), ended(FACTS_NO_CONCLUSION));
}

/* A matrix stops its other jobs when one fails: they did not. */
static void s21_cancelled_jobs_are_shown_if_nothing_else_failed(void **state)
{
    (void)state;
    CHECK_JOBS(true, "x..", ended(FACTS_FAILURE), ended(FACTS_CANCELLED), ended(FACTS_CANCELLED));
    CHECK_JOBS(true, ".xx", ended(FACTS_SUCCESS), ended(FACTS_CANCELLED), ended(FACTS_CANCELLED));
    CHECK_JOBS(false, "...", ended(FACTS_SUCCESS), ended(FACTS_CANCELLED), ended(FACTS_SKIPPED));
}

static void s21_jobs_of_a_run_that_goes_on_are_shown_once_they_have_ended(void **state)
{
    const struct facts_job going = {.status = FACTS_IN_PROGRESS};
    const struct facts_job waiting = {.status = FACTS_QUEUED};
    const struct facts_job odd = {.status = FACTS_IN_PROGRESS, .conclusion = FACTS_FAILURE};

    (void)state;
    CHECK_JOBS(false, "x....", ended(FACTS_FAILURE), going, waiting, odd, ended(FACTS_CANCELLED));
}

static void s21_a_run_that_failed_without_a_failed_job_shows_none(void **state)
{
    (void)state;
    check_jobs(true, "", NULL);
    CHECK_JOBS(true, "..", ended(FACTS_SUCCESS), ended(FACTS_SKIPPED));
}

/* --- steps --- */

/* A step that took the second before its number times 10. */
static struct facts_step step(uint32_t number, enum facts_conclusion conclusion)
{
    return (struct facts_step){.number = number,
                               .name = (char *)(uintptr_t) "x",
                               .status = FACTS_COMPLETED,
                               .conclusion = conclusion,
                               .started_ms = 10000 * (int64_t)number,
                               .completed_ms = 10000 * (int64_t)number + 1000};
}

/* One without an end, and without a start unless it is in progress. */
static struct facts_step open_step(uint32_t number, enum facts_status status)
{
    struct facts_step s = step(number, FACTS_NO_CONCLUSION);

    s.status = status;
    s.completed_ms = FACTS_NO_TIME;
    if (status != FACTS_IN_PROGRESS)
        s.started_ms = FACTS_NO_TIME;
    return s;
}

static struct facts_step beside(struct facts_step s, uint32_t other)
{
    s.started_ms = 10000 * (int64_t)other;
    s.completed_ms = s.started_ms + 9000;
    return s;
}

/* The numbers of the steps whose files are shown of a job that ended so. */
static void check_steps(enum facts_conclusion conclusion, const char *expected,
                        struct facts_step *steps, size_t count)
{
    struct facts_job job = ended(conclusion);
    struct steps_file *files;
    char shown[128] = "";

    job.steps = steps;
    job.step_count = count;
    files = steps_get_files(&job);
    assert_non_null(files);
    failed_select_files(&job, files);
    for (size_t i = 0; i < count; i++)
        if (files[i].present)
            snprintf(shown + strlen(shown), sizeof(shown) - strlen(shown), "%u ", steps[i].number);
    assert_string_equal(shown, expected);
    free(files);
}

#define CHECK_STEPS(conclusion, expected, ...)                                                     \
    do {                                                                                           \
        struct facts_step list[] = {__VA_ARGS__};                                                  \
        check_steps(conclusion, expected, list, sizeof(list) / sizeof(*list));                     \
    } while (0)

#define OK(number) step(number, FACTS_SUCCESS)

static void s21_steps_that_failed_are_shown(void **state)
{
    (void)state;
    CHECK_STEPS(FACTS_FAILURE, "2 ", OK(1), step(2, FACTS_FAILURE), step(3, FACTS_SKIPPED), OK(4));
    CHECK_STEPS(FACTS_FAILURE, "2 4 5 ", OK(1), step(2, FACTS_FAILURE), OK(3),
                step(4, FACTS_TIMED_OUT), step(5, FACTS_STARTUP_FAILURE), OK(6));
    /* The last one failed, but not it alone. */
    CHECK_STEPS(FACTS_FAILURE, "1 3 ", step(1, FACTS_FAILURE), OK(2), step(3, FACTS_FAILURE));
}

/* Those of a real answer: users/edusphere-list-jobs-11.json, job 64939998411. */
static void s21_real_job_shows_its_failed_step(void **state)
{
    (void)state;
    CHECK_STEPS(FACTS_FAILURE, "8 ", OK(1), OK(2), OK(3), OK(4), OK(5), OK(6), OK(7),
                step(8, FACTS_FAILURE), step(9, FACTS_SKIPPED), OK(10), step(18, FACTS_SKIPPED),
                OK(19), OK(20), OK(21));
}

static void s21_a_timed_out_job_shows_the_step_that_was_stopped(void **state)
{
    (void)state;
    CHECK_STEPS(FACTS_TIMED_OUT, "2 ", OK(1), step(2, FACTS_CANCELLED), step(3, FACTS_SKIPPED),
                OK(4), OK(5));
    CHECK_STEPS(FACTS_CANCELLED, "2 ", OK(1), step(2, FACTS_CANCELLED), OK(3));
    /* The clean-up failed too, for want of what the step was about to make. */
    CHECK_STEPS(FACTS_TIMED_OUT, "2 4 ", OK(1), step(2, FACTS_CANCELLED), OK(3),
                step(4, FACTS_FAILURE));
}

/* As facts/github.md has it of matrixone 26166: one step stays in progress, the others pending. */
static void s21_a_lost_runner_s_job_shows_the_step_without_an_end(void **state)
{
    (void)state;
    CHECK_STEPS(FACTS_FAILURE, "2 ", OK(1), open_step(2, FACTS_IN_PROGRESS),
                open_step(3, FACTS_PENDING), open_step(4, FACTS_PENDING));
    CHECK_STEPS(FACTS_CANCELLED, "1 ", open_step(1, FACTS_IN_PROGRESS), open_step(2, FACTS_QUEUED));
}

static void s21_a_step_that_was_stopped_after_another_failed_is_not_shown(void **state)
{
    (void)state;
    CHECK_STEPS(FACTS_FAILURE, "2 ", OK(1), step(2, FACTS_FAILURE), step(3, FACTS_CANCELLED),
                OK(4));
    CHECK_STEPS(FACTS_FAILURE, "2 ", OK(1), step(2, FACTS_FAILURE),
                open_step(3, FACTS_IN_PROGRESS));
    CHECK_STEPS(FACTS_FAILURE, "3 ", OK(1), OK(2), step(3, FACTS_CANCELLED), OK(4));
}

static void s21_without_a_failed_step_the_last_that_ran_is_shown(void **state)
{
    (void)state;
    CHECK_STEPS(FACTS_FAILURE, "2 ", OK(1), OK(2), step(3, FACTS_SKIPPED));
    CHECK_STEPS(FACTS_FAILURE, "3 ", OK(2), OK(3), OK(1));
    CHECK_STEPS(FACTS_CANCELLED, "1 ", OK(1));
    CHECK_STEPS(FACTS_FAILURE, "1 ", step(1, FACTS_NEUTRAL), open_step(2, FACTS_PENDING));
}

/* A step that never started printed nothing, whatever is said of it. */
static void s21_what_has_no_file_counts_for_nothing(void **state)
{
    struct facts_step never = step(3, FACTS_FAILURE), stopped = step(4, FACTS_CANCELLED);

    (void)state;
    never.started_ms = stopped.started_ms = FACTS_NO_TIME;
    CHECK_STEPS(FACTS_FAILURE, "2 ", OK(1), OK(2), never, stopped);
    CHECK_STEPS(FACTS_FAILURE, "", open_step(1, FACTS_PENDING), step(2, FACTS_SKIPPED));
    check_steps(FACTS_FAILURE, "", NULL, 0);
}

/* Their lines are in the file of the first of them. */
static void s21_steps_that_ran_at_once_are_shown_if_one_of_them_is(void **state)
{
    (void)state;
    CHECK_STEPS(FACTS_FAILURE, "2 ", OK(1), beside(OK(2), 2), beside(step(3, FACTS_FAILURE), 2),
                OK(4));
    CHECK_STEPS(FACTS_FAILURE, "4 ", OK(1), beside(OK(2), 2), beside(OK(3), 2),
                step(4, FACTS_FAILURE));
    CHECK_STEPS(FACTS_TIMED_OUT, "2 ", OK(1), beside(OK(2), 2), beside(step(3, FACTS_CANCELLED), 2),
                OK(4));
}

/* --- recorded answers --- */

struct recorded {
    const char *folder;
    size_t failed; /* jobs so far */
};

/* In all of them the steps that failed are told, so these are what is shown. */
static void check_recorded_job(struct recorded *r, const char *name, const struct facts_job *job)
{
    struct steps_file *files;

    if (!failed_shows_job(job, false) || !job->step_count)
        return;
    r->failed++;
    files = steps_get_files(job);
    assert_non_null(files);
    failed_select_files(job, files);
    for (size_t i = 0; i < job->step_count; i++)
        if (files[i].present != (job->steps[i].conclusion == FACTS_FAILURE))
            fail_msg("%s: job %ju, step %u", name, (uintmax_t)job->id, job->steps[i].number);
    free(files);
}

static void check_recorded(void *who, const char *name)
{
    struct recorded *r = who;
    struct facts_job_list list;
    struct facts_job job;
    size_t len;
    char *body = recorded_read(r->folder, name, &len);

    if (!parse_jobs_page(body, len, &list)) {
        for (size_t i = 0; i < list.count; i++)
            check_recorded_job(r, name, &list.items[i]);
        facts_job_list_finish(&list);
    } else if (!parse_job(body, len, &job)) {
        check_recorded_job(r, name, &job);
        facts_job_finish(&job);
    }
    free(body);
}

static void s21_recorded_jobs_show_the_steps_that_failed(void **state)
{
    struct recorded r = {.folder = *state};

    if (!*state)
        skip();
    recorded_each(*state, ".json", check_recorded, &r);
    assert_true(r.failed >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s21_jobs_that_failed_are_shown),
        cmocka_unit_test(s21_cancelled_jobs_are_shown_if_nothing_else_failed),
        cmocka_unit_test(s21_jobs_of_a_run_that_goes_on_are_shown_once_they_have_ended),
        cmocka_unit_test(s21_a_run_that_failed_without_a_failed_job_shows_none),
        cmocka_unit_test(s21_steps_that_failed_are_shown),
        cmocka_unit_test(s21_real_job_shows_its_failed_step),
        cmocka_unit_test(s21_a_timed_out_job_shows_the_step_that_was_stopped),
        cmocka_unit_test(s21_a_lost_runner_s_job_shows_the_step_without_an_end),
        cmocka_unit_test(s21_a_step_that_was_stopped_after_another_failed_is_not_shown),
        cmocka_unit_test(s21_without_a_failed_step_the_last_that_ran_is_shown),
        cmocka_unit_test(s21_what_has_no_file_counts_for_nothing),
        cmocka_unit_test(s21_steps_that_ran_at_once_are_shown_if_one_of_them_is),
        cmocka_unit_test(s21_recorded_jobs_show_the_steps_that_failed),
    };

    return cmocka_run_group_tests(tests, recorded_setup, recorded_teardown);
}
