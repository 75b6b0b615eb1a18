#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/clean.h"
#include "text/cut.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Logs here begin at 12:00:00; "T<seconds>.<hundredths>|text" is a line of the log, "|text" one
 * without timestamp. Steps are given in seconds since then. */
#define NOON INT64_C(1763208000000)
#define S(n, title, from, to)                                                                      \
    {                                                                                              \
        .number = (n), .name = (title), .started_ms = NOON + (from)*1000,                          \
        .completed_ms = NOON + (to)*1000                                                           \
    }
#define SKIPPED(n, title)                                                                          \
    {                                                                                              \
        .number = (n), .name = (title), .skipped = true, .started_ms = TEXT_TIME_UNKNOWN,          \
        .completed_ms = TEXT_TIME_UNKNOWN                                                          \
    }

static size_t log_write(const char *const *lines, size_t count, char *log)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        int second, hundredth;
        const char *text = strchr(lines[i], '|') + 1;
        if (sscanf(lines[i], "T%d.%d|", &second, &hundredth) == 2)
            at += (size_t)snprintf(log + at, 64, "2025-11-15T12:%02d:%02d.%02d00000Z ", second / 60,
                                   second % 60, hundredth);
        at += (size_t)snprintf(log + at, 256, "%s\n", text);
    }
    return at;
}

/* Cuts the log; given[i] becomes the index of the step that line i falls to. */
static void cut(const char *const *lines, size_t count, const struct text_step *steps,
                size_t step_count, struct text_range *ranges, int *given)
{
    static struct text_cleaner cleaner;
    static char log[65536], clean[65536 + TEXT_CLEAN_SLACK];
    struct text_cutter *cutter = NULL;
    assert_int_equal(text_cutter_create(steps, step_count, &cutter), 0);
    text_cleaner_init(&cleaner, false, text_cutter_line, cutter);
    size_t size = text_cleaner_feed(&cleaner, log, log_write(lines, count, log), clean);
    size += text_cleaner_finish(&cleaner, clean + size);
    assert_int_equal(text_cutter_finish(cutter, size, ranges), 0);
    text_cutter_destroy(cutter);

    uint64_t at = 0;
    for (size_t line = 0; line < count; line++) {
        given[line] = -1;
        for (size_t i = 0; i < step_count; i++) {
            if (ranges[i].present && ranges[i].begin <= at && at < ranges[i].end)
                given[line] = (int)i;
        }
        at = (uint64_t)((char *)memchr(clean + at, '\n', size - at) + 1 - clean);
    }
    assert_int_equal(at, size);
}

/* `want` has the digit of a step's index for each line. */
static void expect(const char *const *lines, size_t count, const struct text_step *steps,
                   size_t step_count, const char *want)
{
    struct text_range ranges[16];
    int given[64];
    char got[65] = "";
    cut(lines, count, steps, step_count, ranges, given);
    for (size_t i = 0; i < count; i++)
        got[i] = given[i] < 0 ? '-' : (char)('0' + given[i]);
    assert_string_equal(got, want);
}

#define EXPECT(lines, steps, want) expect(lines, COUNT(lines), steps, COUNT(steps), want)

static void s10_steps_begin_at_the_runners_own_lines(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|Current runner version: '2.326.0'",
        "T0.20|Prepare all required actions",
        "T0.90|Complete job name: build",
        "T1.10|##[group]Run actions/checkout@v4",
        "T1.11|with:",
        "T1.12|##[endgroup]",
        "T1.90|done",
        "T1.95|##[group]Run make",
        "T1.96|shell: /usr/bin/bash -e {0}",
        "T1.97|##[endgroup]",
        "T9.00|made",
        "T9.10|Post job cleanup.",
        "T9.20|git",
        "T9.30|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {
        S(1, "Set up job", 0, 1),   S(2, "Run actions/checkout@v4", 1, 1),
        S(3, "Build", 1, 9),        S(7, "Post Run actions/checkout@v4", 9, 9),
        S(8, "Complete job", 9, 9),
    };
    EXPECT(lines, steps, "00011112222334");
}

static void s10_a_skipped_step_has_no_range(void **state)
{
    (void)state;
    static const char *const lines[] = {"T0.10|Current runner version: '2'", "T1.10|##[group]Run a",
                                        "T2.10|##[group]Run b"};
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), SKIPPED(2, "Run b"),
                                             S(3, "A", 1, 2), S(4, "B", 2, 3)};
    struct text_range ranges[4];
    int given[3];
    EXPECT(lines, steps, "023");
    cut(lines, 3, steps, 4, ranges, given);
    assert_false(ranges[1].present);
    assert_int_equal(ranges[2].begin, ranges[0].end);
}

static void s10_a_program_printing_markers_moves_no_step(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|Current runner version: '2'",
        "T1.10|##[group]Run test",
        "T1.20|shell: /usr/bin/bash -e {0}",
        "T1.21|##[endgroup]",
        "T4.00|##[group]Run fake",
        "T4.10|##[endgroup]",
        "T5.00|Post job cleanup.",
        "T6.00|Cleaning up orphan processes",
        "T9.40|##[group]Run deploy",
        "T9.50|##[endgroup]",
        "T9.90|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "Test", 1, 9),
                                             S(3, "Deploy", 9, 9), S(4, "Complete job", 9, 10)};
    EXPECT(lines, steps, "01111111223");
}

static void s10_parts_of_a_composite_action_are_no_steps(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|Current runner version: '2'",
        "T1.10|##[group]Run dtolnay/rust-toolchain@stable",
        "T1.11|##[endgroup]",
        "T1.12|##[group]Run : parse",
        "T1.13|shell: /usr/bin/bash --noprofile --norc -e -o pipefail {0}",
        "T1.14|##[endgroup]",
        "T1.20|out",
        "T1.21|##[group]Run : install",
        "T1.22|shell: /usr/bin/bash --noprofile --norc -e -o pipefail {0}",
        "T1.23|##[endgroup]",
        "T1.40|##[group]Run cargo test",
        "T1.41|shell: /usr/bin/bash -e {0}",
        "T1.42|##[endgroup]",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "Install Rust", 1, 1),
                                             S(3, "Test", 1, 2)};
    EXPECT(lines, steps, "0111111111222");
}

static void s10_marked_parts_of_a_composite_action_are_no_steps(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|Current runner version: '2'",
        "T1.10|##[group]Run a/b@v1",
        "T1.11|##[endgroup]",
        "T1.12|##[start-action display=Run x;id=__a.__run]",
        "T1.13|##[group]Run x",
        "T1.14|##[endgroup]",
        "T1.20|##[end-action id=__a.__run;outcome=success]",
        "T1.30|##[start-action display=Run y;id=__a.__run_2]",
        "T1.31|##[group]Run y",
        "T1.32|##[endgroup]",
        "T1.40|##[end-action id=__a.__run_2;outcome=success]",
        "T1.50|##[group]Run z",
        "T1.60|##[endgroup]",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "First", 1, 1),
                                             S(3, "Second", 1, 2)};
    EXPECT(lines, steps, "0111111111122");
}

static void s10_a_local_action_begins_with_its_preparation(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|Prepare all required actions",
        "T0.90|Complete job name: x",
        "T1.10|##[group]Run a/b@v1",
        "T1.20|##[endgroup]",
        "T2.10|Prepare all required actions",
        "T2.20|Getting action download info",
        "T3.10|##[group]Run ./.github/actions/x",
        "T3.20|##[endgroup]",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "Run a/b@v1", 1, 2),
                                             S(3, "Update", 2, 4)};
    EXPECT(lines, steps, "00112222");
}

static void s10_debug_logging_is_exact(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|##[debug]Starting: job",
        "T0.11|##[debug]Starting: Set up job",
        "T1.01|##[debug]Evaluating condition for step: 'One'",
        "T1.02|##[debug]Result: true",
        "T1.03|##[debug]Starting: One",
        "T1.04|##[group]Run one",
        "T1.05|##[endgroup]",
        "T1.06|##[debug]Finishing: One",
        "T1.07|##[debug]Evaluating condition for step: 'Two'",
        "T1.08|##[debug]Result: false",
        "T1.09|##[debug]Evaluating condition for step: 'Two'",
        "T1.10|##[debug]Result: true",
        "T1.11|##[debug]Result: false",
        "T1.12|##[group]Run two",
        "T1.13|##[debug]Finishing: Two",
        "T1.14|##[debug]Starting: Complete job",
        "T1.15|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "One", 1, 1),
                                             SKIPPED(3, "Two"), S(4, "Two", 1, 1),
                                             S(5, "Complete job", 1, 1)};
    EXPECT(lines, steps, "00111111113333344");
}

static void s10_without_a_boundary_lines_stay_with_the_step_before(void **state)
{
    (void)state;
    static const char *const lines[] = {"T0.10|Current runner version: '2'", "T1.10|##[group]Run a",
                                        "T1.20|text", "T1.30|text"};
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "A", 1, 1),
                                             S(3, "B", 1, 1), S(4, "Complete job", 1, 2)};
    EXPECT(lines, steps, "0111");
}

static void s10_a_step_without_a_marker_is_cut_by_its_time(void **state)
{
    (void)state;
    static const char *const lines[] = {"T0.10|Current runner version: '2'",
                                        "T1.10|##[group]Run a",
                                        "T2.20|text",
                                        "T5.30|odd",
                                        "T8.00|odd",
                                        "T9.10|Cleaning up orphan processes"};
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "A", 1, 3),
                                             S(3, "Novelty", 5, 9), S(4, "Complete job", 9, 9)};
    EXPECT(lines, steps, "011223");
}

static void s10_times_may_disagree_or_be_absent(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|Current runner version: '2'",
        "T1.10|##[group]Run a",
        "T1.20|##[endgroup]",
        "T3.50|Post job cleanup.",
        "T3.90|Post job cleanup.",
        "T4.20|Cleaning up orphan processes",
    };
    static const struct text_step late[] = {S(1, "Set up job", 0, 1), S(2, "A", 1, 3),
                                            S(3, "Post B", 4, 4), S(4, "Post A", 7, 7),
                                            S(5, "Complete job", 4, 4)};
    struct text_step unknown[COUNT(late)];
    EXPECT(lines, late, "011234");
    memcpy(unknown, late, sizeof late);
    for (size_t i = 0; i < COUNT(late); i++)
        unknown[i].started_ms = unknown[i].completed_ms = TEXT_TIME_UNKNOWN;
    EXPECT(lines, unknown, "011234");
}

static void s10_lines_without_timestamp_begin_no_step(void **state)
{
    (void)state;
    static const char *const lines[] = {"T0.10|Current runner version: '2'", "T1.10|##[error]a",
                                        "|##[group]Run b", "T1.30|##[group]Run b"};
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "Run b", 1, 2)};
    EXPECT(lines, steps, "0001");
}

static void s10_steps_may_come_in_any_order(void **state)
{
    (void)state;
    static const char *const lines[] = {"T0.10|x", "T1.10|##[group]Run a", "T2.10|##[group]Run b"};
    static const struct text_step steps[] = {S(9, "Run b", 2, 3), S(1, "Set up job", 0, 1),
                                             S(4, "Run a", 1, 2)};
    EXPECT(lines, steps, "120");
}

/* A local action's step goes back to its preparation, but not behind a step that began since. */
static void s10_no_step_ends_before_it_begins(void **state)
{
    (void)state;
    static const char *const debug[] = {"T0.10|Current runner version: '2'",
                                        "T0.20|Prepare all required actions",
                                        "T0.30|##[debug]Evaluating condition for step: 'A'",
                                        "T0.40|hello", "T0.50|##[group]Run ./b"};
    static const char *const plain[] = {"T0.10|Current runner version: '2'",
                                        "T0.20|Prepare all required actions", "T0.30|Checking out",
                                        "T0.40|##[group]Run ./b", "T0.50|##[endgroup]"};
    static const struct text_step steps[] = {S(1, "Set up job", 0, 0), S(2, "A", 0, 0),
                                             S(3, "B", 0, 0)};
    struct text_range ranges[3];
    int given[5];

    EXPECT(debug, steps, "00112");
    cut(debug, 5, steps, 3, ranges, given);
    cut(plain, 5, steps, 3, ranges, given);
    for (size_t i = 0; i < 3; i++)
        assert_true(ranges[i].begin <= ranges[i].end);
}

static void no_step_no_range_and_too_many_is_an_error(void **state)
{
    (void)state;
    static const struct text_step skipped[] = {SKIPPED(1, "a")};
    struct text_range range = {.present = true};
    struct text_cutter *cutter = NULL;
    assert_int_equal(text_cutter_create(skipped, TEXT_STEPS_MAX + 1, &cutter), -E2BIG);
    assert_null(cutter);
    assert_int_equal(text_cutter_create(skipped, 1, &cutter), 0);
    assert_int_equal(text_cutter_finish(cutter, 10, &range), 0);
    assert_false(range.present);
    text_cutter_destroy(cutter);
    text_cutter_destroy(NULL);
}

static void a_flood_of_markers_keeps_to_the_bounds(void **state)
{
    (void)state;
    enum { STEPS = 300 };
    struct text_step *steps = calloc(STEPS, sizeof *steps);
    struct text_range *ranges = calloc(STEPS, sizeof *ranges);
    struct text_cutter *cutter = NULL;
    static const char head[] = "##[group]Run x";
    struct text_line line = {.head = head, .head_len = sizeof head - 1, .time_ms = NOON};
    for (int i = 0; i < STEPS; i++)
        steps[i] = (struct text_step)S(i + 1, "Run x", 0, 1);
    assert_int_equal(text_cutter_create(steps, STEPS, &cutter), 0);
    for (int i = 0; i < 50000; i++, line.offset += sizeof head)
        text_cutter_line(cutter, &line);
    assert_int_equal(text_cutter_finish(cutter, line.offset, ranges), 0);
    assert_int_equal(ranges[0].begin, 0);
    for (int i = 1; i < STEPS; i++)
        assert_int_equal(ranges[i].begin, ranges[i - 1].end);
    assert_int_equal(ranges[STEPS - 1].end, line.offset);
    text_cutter_destroy(cutter);
    free(steps);
    free(ranges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s10_steps_begin_at_the_runners_own_lines),
        cmocka_unit_test(s10_a_skipped_step_has_no_range),
        cmocka_unit_test(s10_a_program_printing_markers_moves_no_step),
        cmocka_unit_test(s10_parts_of_a_composite_action_are_no_steps),
        cmocka_unit_test(s10_marked_parts_of_a_composite_action_are_no_steps),
        cmocka_unit_test(s10_a_local_action_begins_with_its_preparation),
        cmocka_unit_test(s10_debug_logging_is_exact),
        cmocka_unit_test(s10_without_a_boundary_lines_stay_with_the_step_before),
        cmocka_unit_test(s10_a_step_without_a_marker_is_cut_by_its_time),
        cmocka_unit_test(s10_times_may_disagree_or_be_absent),
        cmocka_unit_test(s10_lines_without_timestamp_begin_no_step),
        cmocka_unit_test(s10_steps_may_come_in_any_order),
        cmocka_unit_test(s10_no_step_ends_before_it_begins),
        cmocka_unit_test(no_step_no_range_and_too_many_is_an_error),
        cmocka_unit_test(a_flood_of_markers_keeps_to_the_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
