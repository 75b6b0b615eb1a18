/* The jobs of a run out of the lists of its attempts, in each shape that GitHub has given them. */
#include "views/attempts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define JOBS 8

/* A list of an attempt, in a short way. */
struct told {
    uint64_t id;
    const char *name;
    int64_t ended; /* in minutes; it began half an hour before. 0: it runs */
    bool has_steps;
    enum facts_conclusion conclusion; /* 0 stands for success */
};

struct attempt_list {
    struct told told[JOBS];
    struct facts_job jobs[JOBS];
    const struct facts_job *view[JOBS];
    struct catalog_answer answer;
};

static struct facts_step one_step;

static const struct catalog_answer *answer_of(struct attempt_list *l)
{
    size_t n = 0;

    for (; n < JOBS && l->told[n].id; n++) {
        const struct told *t = &l->told[n];
        struct facts_job *job = &l->jobs[n];
        *job = (struct facts_job){.id = t->id,
                                  .name = (char *)(uintptr_t)t->name,
                                  .status = t->ended ? FACTS_COMPLETED : FACTS_IN_PROGRESS,
                                  .conclusion = t->conclusion ? t->conclusion : FACTS_SUCCESS,
                                  .started_ms = t->ended ? t->ended * 60000 - 1800000 : 1,
                                  .completed_ms = t->ended ? t->ended * 60000 : FACTS_NO_TIME,
                                  .steps = t->has_steps ? &one_step : NULL,
                                  .step_count = t->has_steps};
        l->view[n] = job;
    }
    l->answer = (struct catalog_answer){.jobs = l->view, .count = n};
    return &l->answer;
}

/* The ids of the merged lists, in a row, with a "-" behind those without steps. */
static void assert_merged(struct attempt_list *lists, size_t count, const char *ids, bool is_whole,
                          bool has_open)
{
    const struct catalog_answer *answers[4];
    char text[256] = "";
    struct attempts_merge m;

    for (size_t i = 0; i < count; i++)
        answers[i] = answer_of(&lists[i]);
    assert_int_equal(attempts_merge(answers, count, &m), 0);
    for (size_t i = 0; i < m.count; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d%s", i ? " " : "",
                 (int)m.jobs[i]->id, m.jobs[i]->step_count ? "" : "-");
    assert_string_equal(text, ids);
    assert_int_equal(m.is_whole, is_whole);
    assert_int_equal(m.has_open, has_open);
    free(m.jobs);
}

#define ASSERT_MERGED(lists, ids, is_whole, has_open)                                              \
    assert_merged(lists, sizeof(lists) / sizeof(*(lists)), ids, is_whole, has_open)

static void lists_of_their_own_jobs_are_put_together(void **state)
{
    struct attempt_list lists[] = {
        {.told = {{31, "test", 300, true, 0}}},
        {.told = {{21, "test", 200, true, 0}, {22, "two", 210, true, 0}}},
        {.told = {{11, "build", 100, true, 0},
                  {12, "test", 110, true, 0},
                  {13, "two", 120, true, 0}}},
    };

    (void)state;
    ASSERT_MERGED(lists, "31 22 11", false, false);
}

static void carried_jobs_have_the_steps_of_where_they_ran(void **state)
{
    struct attempt_list same[] = {
        {.told = {{11, "build", 100, false, 0},
                  {31, "test", 300, true, 0},
                  {22, "two", 210, false, 0}}},
        {.told = {{11, "build", 100, false, 0},
                  {21, "test", 200, true, 0},
                  {22, "two", 210, true, 0}}},
        {.told = {{11, "build", 100, true, 0},
                  {12, "test", 110, true, 0},
                  {13, "two", 120, true, 0}}},
    };
    struct attempt_list other[] = {
        {.told = {{35, "build", 100, false, 0},
                  {31, "test", 300, true, 0},
                  {36, "two", 210, false, 0}}},
        {.told = {{25, "build", 100, false, 0},
                  {21, "test", 200, true, 0},
                  {22, "two", 210, true, 0}}},
        {.told = {{11, "build", 100, true, 0},
                  {12, "test", 110, true, 0},
                  {13, "two", 120, true, 0}}},
    };

    (void)state;
    ASSERT_MERGED(same, "11 31 22", true, false);
    ASSERT_MERGED(other, "11 31 22", true, false);
    same[1] = same[2]; /* without the list of the second attempt, which ran "two" */
    assert_merged(same, 2, "11 31 22-", true, true);
    other[1] = other[2];
    assert_merged(other, 2, "11 31 36-", true, true);
}

static void carried_jobs_with_steps_stay_what_they_are(void **state)
{
    struct attempt_list lists[] = {
        {.told = {{25, "build", 100, true, 0}, {21, "test", 200, true, 0}}},
        {.told = {{11, "build", 100, true, 0}, {12, "test", 110, true, 0}}},
    };

    (void)state;
    ASSERT_MERGED(lists, "25 21", true, false);
}

/* Its steps are not reported yet, or never will be: it is no job of another attempt. */
static void job_that_ran_again_is_not_taken_for_the_one_before(void **state)
{
    struct attempt_list lists[] = {
        {.told = {{21, "test", 200, false, 0}}},
        {.told = {{12, "test", 110, true, 0}}},
    };
    struct attempt_list running[] = {
        {.told = {{21, "test", 0, false, 0}}},
        {.told = {{12, "test", 0, false, 0}, {13, "build", 110, true, 0}}},
    };

    (void)state;
    ASSERT_MERGED(lists, "21-", false, true);
    ASSERT_MERGED(running, "21- 13", false, false);
}

/* Two of three jobs with one name ran again, or one: those that had failed. */
static void of_jobs_with_one_name_the_failed_ran_again(void **state)
{
    struct attempt_list lists[] = {
        {.told = {{21, "test", 200, true, 0}}},
        {.told = {{11, "test", 100, true, FACTS_FAILURE},
                  {12, "test", 110, true, 0},
                  {13, "test", 120, true, FACTS_SKIPPED},
                  {14, "build", 130, true, 0}}},
    };
    struct attempt_list carried[] = {
        {.told = {{22, "test", 110, false, 0},
                  {21, "test", 200, true, 0},
                  {23, "test", 110, false, 0}}},
        {.told = {{11, "test", 100, true, FACTS_FAILURE},
                  {12, "test", 110, true, 0},
                  {13, "test", 110, true, 0}}},
    };

    (void)state;
    ASSERT_MERGED(lists, "21 12 13 14", false, false);
    ASSERT_MERGED(carried, "12 21 13", true, false);
}

static void skipped_and_never_run_jobs_have_no_steps_to_look_for(void **state)
{
    struct attempt_list lists[] = {{.told = {{11, "deploy", 100, false, FACTS_SKIPPED}}},
                                   {.told = {{0}}}};

    (void)state;
    ASSERT_MERGED(lists, "11-", false, false);
    lists[1] = lists[0];
    lists[0] = (struct attempt_list){.told = {{0}}};
    ASSERT_MERGED(lists, "11-", false, false);
}

static void what_ran_in_an_attempt_is_what_the_one_before_has_not(void **state)
{
    struct attempt_list second = {.told = {{25, "build", 100, false, 0},
                                           {12, "lint", 105, false, 0},
                                           {21, "test", 200, true, 0},
                                           {26, "new", 0, false, 0}}};
    struct attempt_list first = {.told = {{11, "build", 100, true, 0},
                                          {12, "lint", 105, true, 0},
                                          {13, "test", 110, true, 0}}};
    struct attempts_merge m;

    (void)state;
    assert_int_equal(attempts_subtract(answer_of(&second), answer_of(&first), &m), 0);
    assert_int_equal(m.count, 2);
    assert_true(m.jobs[0]->id == 21 && m.jobs[1]->id == 26);
    free(m.jobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_their_own_jobs_are_put_together),
        cmocka_unit_test(carried_jobs_have_the_steps_of_where_they_ran),
        cmocka_unit_test(carried_jobs_with_steps_stay_what_they_are),
        cmocka_unit_test(job_that_ran_again_is_not_taken_for_the_one_before),
        cmocka_unit_test(of_jobs_with_one_name_the_failed_ran_again),
        cmocka_unit_test(skipped_and_never_run_jobs_have_no_steps_to_look_for),
        cmocka_unit_test(what_ran_in_an_attempt_is_what_the_one_before_has_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
