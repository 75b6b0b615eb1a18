/* Which steps of a job have files, and their names (S10). */
#include "views/steps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

static struct facts_step step(uint32_t number, const char *name)
{
    return (struct facts_step){
        .number = number, .name = (char *)(uintptr_t)name, .conclusion = FACTS_SUCCESS};
}

static void check_name(uint32_t number, unsigned width, const char *name, const char *expected)
{
    struct facts_step s = step(number, name);
    char told[SAFE_NAME_LEN];

    steps_make_name(&s, width, told);
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
        steps_make_name(&s, 2, told);
        assert_int_equal(strlen(told), len + 7 < 255 ? len + 7 : 255);
        assert_memory_equal(told, "07-x", 4);
        assert_string_equal(told + strlen(told) - 5, "x.txt");
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
    struct facts_step steps[] = {step(1, "a"), step(2, "b")};
    struct facts_job job = {.steps = steps, .step_count = 2};

    (void)state;
    steps[0].conclusion = FACTS_SKIPPED;
    assert_false(steps_has_file(&steps[0]));
    assert_true(steps_has_file(&steps[1]));
    assert_false(steps_is_whole(&job));
    steps[1].conclusion = FACTS_SKIPPED;
    assert_true(steps_is_whole(&job));
    job.step_count = 0;
    assert_true(steps_is_whole(&job));
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
        cmocka_unit_test(steps_that_their_numbers_do_not_tell_apart),
        cmocka_unit_test(too_many_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
