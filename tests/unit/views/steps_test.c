/* Which steps of a job have files, and their names (S10). */
#include "views/steps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct facts_step step(uint32_t number, const char *name)
{
    return (struct facts_step){
        .number = number, .name = (char *)(uintptr_t)name, .conclusion = FACTS_SUCCESS};
}

static struct facts_step ran(uint32_t number, const char *name, int from, int to)
{
    struct facts_step s = step(number, name);

    s.status = FACTS_COMPLETED;
    s.started_ms = 1000 * from;
    s.completed_ms = 1000 * to;
    return s;
}

static struct facts_step waits(uint32_t number, const char *name, enum facts_status status)
{
    struct facts_step s = step(number, name);

    s.status = status;
    s.conclusion = FACTS_NO_CONCLUSION;
    s.started_ms = s.completed_ms = FACTS_NO_TIME;
    return s;
}

static struct facts_step runs(uint32_t number, const char *name, int from)
{
    struct facts_step s = waits(number, name, FACTS_IN_PROGRESS);

    s.started_ms = 1000 * from;
    return s;
}

/* The names of the files, separated by a slash. */
static void check_files(struct facts_step *steps, size_t count, const char *expected)
{
    struct facts_job job = {.steps = steps, .step_count = count};
    struct steps_file *files = steps_get_files(&job);
    char name[SAFE_NAME_LEN], told[1024] = "";

    assert_non_null(files);
    for (size_t i = 0; i < count; i++) {
        if (!files[i].present)
            continue;
        steps_make_name(&steps[i], &files[i], steps_get_width(&job), name);
        *strrchr(name, '.') = '\0';
        snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s/", name);
    }
    assert_string_equal(told, expected);
    assert_int_equal(steps_is_whole(&job), !*expected);
    free(files);
}

#define CHECK_FILES(expected, ...)                                                                 \
    do {                                                                                           \
        struct facts_step list[] = {__VA_ARGS__};                                                  \
        check_files(list, sizeof(list) / sizeof(*list), expected);                                 \
    } while (0)

static void check_name(uint32_t number, unsigned width, const char *name, const char *expected)
{
    struct facts_step s = step(number, name);
    char told[SAFE_NAME_LEN];

    steps_make_name(&s, &(struct steps_file){.present = true}, width, told);
    assert_string_equal(told, expected);
}

static void names(void **state)
{
    (void)state;
    check_name(1, 2, "Set up job", "01-Set up job.txt");
    check_name(12, 3, "a/b",
               "012-a\xe2\x88\x95"
               "b.txt");
    check_name(3, 2, "", "03-.txt");
    check_name(3, 2, "..", "03-...txt");
    check_name(3, 2, "-rf", "03--rf.txt");
    check_name(3, 2, " x", "03- x.txt");
    check_name(4294967295u, 10, "x", "4294967295-x.txt");
}

static void long_names_are_cut_before_their_ending(void **state)
{
    char given[400], told[SAFE_NAME_LEN];

    (void)state;
    for (size_t len = 240; len < 399; len++) {
        memset(given, 'x', len);
        given[len] = '\0';
        struct facts_step s = step(7, given);
        steps_make_name(&s, &(struct steps_file){.present = true}, 2, told);
        assert_int_equal(strlen(told), len + 7 < 255 ? len + 7 : 255);
        assert_memory_equal(told, "07-x", 4);
        assert_string_equal(told + strlen(told) - 5, "x.txt");
        steps_make_name(&s, &(struct steps_file){.present = true, .beside = 12}, 2, told);
        assert_int_equal(strlen(told), len + 11 < 255 ? len + 11 : 255);
        assert_string_equal(told + strlen(told) - 9, "x +12.txt");
    }
}

static unsigned width_of(uint32_t largest)
{
    struct facts_step steps[] = {step(1, "a"), step(largest, "b"), step(2, "c")};
    struct facts_job job = {.steps = steps, .step_count = 3};

    return steps_get_width(&job);
}

static void numbers_are_padded_to_the_largest(void **state)
{
    const struct facts_job empty = {0};

    (void)state;
    assert_int_equal(steps_get_width(&empty), 2);
    assert_int_equal(width_of(3), 2);
    assert_int_equal(width_of(99), 2);
    assert_int_equal(width_of(100), 3);
    assert_int_equal(width_of(999), 3);
    assert_int_equal(width_of(1000), 4);
    assert_int_equal(width_of(4294967295u), 10);
}

static void skipped_steps_have_no_file(void **state)
{
    struct facts_step skipped = step(1, "a");

    (void)state;
    skipped.conclusion = FACTS_SKIPPED;
    CHECK_FILES("02-b/", skipped, step(2, "b"));
    CHECK_FILES("", skipped);
    check_files(NULL, 0, "");
}

/* The runner was lost: GitHub completes the job, and leaves its steps as they were. */
static void steps_that_never_started_have_no_file_S10(void **state)
{
    struct facts_step cancelled = waits(3, "c", FACTS_COMPLETED);

    (void)state;
    CHECK_FILES("01-Set up job/02-make/", ran(1, "Set up job", 0, 1), runs(2, "make", 1),
                waits(3, "test", FACTS_PENDING), waits(4, "Complete job", FACTS_PENDING));
    CHECK_FILES("01-a/", ran(1, "a", 0, 1), waits(2, "b", FACTS_QUEUED),
                waits(3, "c", FACTS_WAITING), waits(4, "d", FACTS_REQUESTED),
                waits(5, "e", FACTS_IN_PROGRESS));
    cancelled.conclusion = FACTS_CANCELLED;
    CHECK_FILES("01-a/04-d/", ran(1, "a", 0, 1), cancelled, ran(4, "d", 1, 2));
    CHECK_FILES("", waits(1, "a", FACTS_QUEUED), waits(2, "b", FACTS_PENDING));
}

/* Where the API gives no time of any step, that shows nothing about one. */
static void steps_without_any_times_have_files(void **state)
{
    struct facts_step a = waits(1, "a", FACTS_COMPLETED), b = waits(2, "b", FACTS_COMPLETED);

    (void)state;
    a.conclusion = b.conclusion = FACTS_SUCCESS;
    CHECK_FILES("01-a/02-b/03-c/", a, b, waits(3, "c", FACTS_IN_PROGRESS),
                waits(4, "d", FACTS_PENDING));
}

static void steps_at_the_same_time_have_one_file_S10(void **state)
{
    (void)state;
    /* One in the background of two others, and of the wait for it. */
    CHECK_FILES("01-Set up job/02-checkout/03-server +3/07-Post checkout/08-Complete job/",
                ran(1, "Set up job", 0, 1), ran(2, "checkout", 1, 3), ran(3, "server", 3, 60),
                ran(4, "lint", 3, 10), ran(5, "test", 10, 40), ran(6, "Wait for server", 40, 60),
                ran(7, "Post checkout", 60, 60), ran(8, "Complete job", 60, 60));
    /* Two stretches, and a step between them; the second is waited for by GitHub's own step. */
    CHECK_FILES("01-a +1/03-c/04-d +2/07-g/", ran(1, "a", 0, 5), ran(2, "b", 0, 9),
                ran(3, "c", 9, 12), ran(4, "d", 12, 20), ran(5, "e", 12, 13),
                ran(6, "Wait for all background steps", 13, 20), ran(7, "g", 20, 21));
    /* The first has ended before the last begins, but what is between overlaps both. */
    CHECK_FILES("01-a +2/", ran(1, "a", 0, 5), ran(2, "b", 2, 9), ran(3, "c", 6, 12));
    /* A step of no length within one. */
    CHECK_FILES("01-a +1/03-c/", ran(1, "a", 0, 5), ran(2, "b", 3, 3), ran(3, "c", 5, 5));
    /* At most ten run at once: one had to wait, and began behind the wait for it. */
    CHECK_FILES("01-a +2/", ran(1, "a", 0, 9), ran(2, "b", 9, 20), ran(3, "wait", 0, 20));
    /* In any order. */
    CHECK_FILES("03-c/01-a +1/", ran(3, "c", 9, 10), ran(2, "b", 3, 9), ran(1, "a", 0, 9));
}

/* All times are whole seconds, and some are wrong by more. */
static void steps_one_after_another_stay_apart_S10(void **state)
{
    (void)state;
    /* Rounded up and cut off. */
    CHECK_FILES("01-a/02-b/03-c/04-d/", ran(1, "a", 0, 2), ran(2, "b", 1, 3), ran(3, "c", 2, 3),
                ran(4, "d", 2, 4));
    CHECK_FILES("01-a/02-b/03-c/", ran(1, "a", 7, 7), ran(2, "b", 7, 7), ran(3, "c", 7, 7));
    /* As recorded: a last clean-up that is reported 3 s late. */
    CHECK_FILES("01-a/02-Post b/03-Post a/04-Complete job/", ran(1, "a", 0, 4),
                ran(2, "Post b", 4, 4), ran(3, "Post a", 7, 7), ran(4, "Complete job", 4, 4));
    CHECK_FILES("01-a/02-Post a/03-Complete job/", ran(1, "a", 0, 4), ran(2, "Post a", 4, 7),
                ran(3, "Complete job", 4, 4));
    CHECK_FILES("01-a/02-Post b/03-Post a/", ran(1, "a", 0, 4), ran(2, "Post b", 4, 7),
                ran(3, "Post a", 4, 4));
    /* The clock was set back between two steps. */
    CHECK_FILES("01-a/02-b/03-c/", ran(1, "a", 100, 110), ran(2, "b", 50, 60), ran(3, "c", 60, 70));
    /* The end of the only step that is in progress was never reported. */
    CHECK_FILES("01-a/02-b/03-c/", ran(1, "a", 0, 1), runs(2, "b", 1), ran(3, "c", 5, 9));
}

/* Where steps do run in the background, a second counts. */
static void one_second_counts_where_steps_run_in_the_background_S10(void **state)
{
    (void)state;
    CHECK_FILES("01-a +1/03-c/", ran(1, "a", 0, 2), ran(2, "Wait for all background steps", 1, 2),
                ran(3, "c", 2, 3));
    CHECK_FILES("01-a +1/03-c +1/", ran(1, "a", 0, 5), ran(2, "b", 0, 5), ran(3, "c", 5, 7),
                ran(4, "d", 6, 7));
}

/* One step after another leaves one in progress at most. */
static void lost_runner_with_steps_in_the_background_S10(void **state)
{
    (void)state;
    CHECK_FILES("01-a/02-b +1/", ran(1, "a", 0, 1), runs(2, "b", 1), runs(3, "c", 40),
                waits(4, "d", FACTS_PENDING));
}

static void stretch_lasts_from_its_first_step_to_its_last(void **state)
{
    struct facts_step steps[] = {ran(1, "a", 3, 9), ran(2, "b", 3, 60), ran(3, "c", 9, 40)};
    struct facts_job job = {.steps = steps, .step_count = 3};
    struct steps_file *files = steps_get_files(&job);

    (void)state;
    assert_non_null(files);
    assert_true(files[0].present);
    assert_int_equal(files[0].beside, 2);
    assert_int_equal(files[0].start_ms, 3000);
    assert_int_equal(files[0].end_ms, 60000);
    assert_false(files[1].present);
    assert_false(files[2].present);
    free(files);
}

static bool is_whole(uint32_t a, uint32_t b, uint32_t c)
{
    struct facts_step steps[] = {step(a, "a"), step(b, "b"), step(c, "c")};
    struct facts_job job = {.steps = steps, .step_count = 3};

    return steps_is_whole(&job);
}

static void steps_that_their_numbers_do_not_tell_apart(void **state)
{
    (void)state;
    assert_false(is_whole(1, 2, 3));
    assert_false(is_whole(3, 1, 2));
    assert_false(is_whole(1, 7, 900));
    assert_true(is_whole(1, 2, 2));
    assert_true(is_whole(2, 1, 2));
    assert_true(is_whole(0, 1, 2));
}

static void too_many_steps(void **state)
{
    static struct facts_step steps[2049];
    struct facts_job job = {.steps = steps, .step_count = 2049};

    (void)state;
    for (uint32_t i = 0; i < 2049; i++)
        steps[i] = step(i + 1, "s");
    assert_true(steps_is_whole(&job));
    job.step_count = 2048;
    assert_false(steps_is_whole(&job));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(long_names_are_cut_before_their_ending),
        cmocka_unit_test(numbers_are_padded_to_the_largest),
        cmocka_unit_test(skipped_steps_have_no_file),
        cmocka_unit_test(steps_that_never_started_have_no_file_S10),
        cmocka_unit_test(steps_without_any_times_have_files),
        cmocka_unit_test(steps_at_the_same_time_have_one_file_S10),
        cmocka_unit_test(steps_one_after_another_stay_apart_S10),
        cmocka_unit_test(one_second_counts_where_steps_run_in_the_background_S10),
        cmocka_unit_test(lost_runner_with_steps_in_the_background_S10),
        cmocka_unit_test(stretch_lasts_from_its_first_step_to_its_last),
        cmocka_unit_test(steps_that_their_numbers_do_not_tell_apart),
        cmocka_unit_test(too_many_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
