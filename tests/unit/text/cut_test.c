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

/* What "Complete job" may begin with. */
static void s10_the_job_s_end_may_begin_with_its_environment(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|Current runner version: '2'",
        "T1.10|##[group]Run actions/deploy-pages@v4",
        "T1.20|##[endgroup]",
        "T1.90|Reported success!",
        "T2.00|Evaluate and set environment url",
        "T2.01|Evaluated environment url: https://example.org/",
        "T2.02|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "Deploy", 1, 2),
                                             S(3, "Complete job", 2, 2)};
    EXPECT(lines, steps, "0111222");
}

/* What the runner warns of before a step's first line proper is the step's. */
static void s10_warnings_before_a_header_are_of_its_step(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|Current runner version: '2'",
        "T1.10|##[group]Run make",
        "T1.11|shell: /usr/bin/bash -e {0}",
        "T1.12|##[endgroup]",
        "T2.00|made",
        "T2.10|##[warning]`pre` execution is not supported for local action from './'",
        "T2.11|##[warning]Input 'old' has been deprecated with message: use new",
        "T2.12|##[warning]Unexpected input(s) 'x', valid inputs are ['old']",
        "T2.13|Node 20 is being deprecated. This workflow is running with Node 24 by default.",
        "T2.20|##[group]Run ./",
        "T2.21|##[endgroup]",
        "T2.90|ran",
        "T3.10|##[warning]`pre` execution is not supported for local action from './'",
        "T3.11|Post job cleanup.",
        "T3.20|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "Run make", 1, 2),
                                             S(3, "Ours", 2, 3), S(4, "Post Ours", 3, 3),
                                             S(5, "Complete job", 3, 3)};
    EXPECT(lines, steps, "011112222222334");
}

/* The preparation comes before the warnings. */
static void s10_a_prepared_action_begins_before_its_warnings(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.90|Complete job name: x",
        "T1.10|##[group]Run a/b@v1",
        "T1.20|##[endgroup]",
        "T2.10|Prepare all required actions",
        "T2.20|Getting action download info",
        "T2.30|##[warning]Unexpected input(s) 'x', valid inputs are ['y']",
        "T2.40|##[group]Run ./.github/actions/x",
        "T2.50|##[endgroup]",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "Run a/b@v1", 1, 2),
                                             S(3, "Run /./.github/actions/x", 2, 4)};
    EXPECT(lines, steps, "01122222");
}

/* Nothing but an error: the step failed before its header, or even while it was prepared. */
static void s10_a_step_may_be_nothing_but_its_error(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.90|Complete job name: x",
        "T1.00|##[error]Can't find 'action.yml', 'action.yaml' or 'Dockerfile' under '/w/x'. Did "
        "you forget to run actions/checkout before running your local action?",
        "T1.10|##[group]Run make",
        "T1.11|shell: /usr/bin/bash -e {0}",
        "T1.12|##[endgroup]",
        "T1.50|##[error]Process completed with exit code 2.",
        "T2.00|Prepare all required actions",
        "T2.01|Getting action download info",
        "T2.50|##[error]Unable to resolve action `a/b`, repository not found",
        "T2.60|##[error].github/workflows/ci.yml (Line: 9, Col: 7): Unexpected symbol",
        "T2.61|##[error]The template is not valid. .github/workflows/ci.yml (Line: 9, Col: 7): x",
        "T3.00|##[error]Can't find 'action.yml', 'action.yaml' or 'Dockerfile' under '/w/x'. Did "
        "you forget to run actions/checkout before running your local action?",
        "T3.10|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1),  S(2, "Setup", 1, 1),
                                             S(3, "Make", 1, 2),        S(4, "Prepared", 2, 2),
                                             S(5, "Evaluated", 2, 2),   S(6, "Post Setup", 3, 3),
                                             S(7, "Complete job", 3, 3)};
    EXPECT(lines, steps, "0122223334456");
}

/* The script of a hook is of the hook's step, however it calls itself. */
static void s10_a_hook_s_script_is_no_step(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.90|Complete job name: x",
        "T1.10|A job started hook has been configured by the self-hosted runner administrator",
        "T1.11|##[group]Run '/runs-on/pre.sh'",
        "T1.12|shell: /usr/bin/bash --noprofile --norc -e -o pipefail {0}",
        "T1.13|##[endgroup]",
        "T1.20|hello",
        "T1.30|##[group]Run actions/github-script@v7",
        "T1.31|##[endgroup]",
        "T2.10|A job completed hook has been configured by the self-hosted runner administrator",
        "T2.11|##[group]Run '/runs-on/post.sh'",
        "T2.20|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "Set up runner", 1, 1),
                                             S(3, "Check", 1, 2), S(4, "Complete runner", 2, 2),
                                             S(5, "Complete job", 2, 2)};
    EXPECT(lines, steps, "01111122334");
}

/* Containers that are kept elsewhere are started and stopped by a script of the runner's. */
static void s10_containers_may_be_a_script_s_business(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.90|Complete job name: x",
        "T1.10|##[group]Run '/home/runner/k8s/index.js'",
        "T1.11|shell: /home/runner/externals/node20/bin/node {0}",
        "T1.12|##[endgroup]",
        "T5.10|##[group]Run make",
        "T5.11|shell: sh -e {0}",
        "T5.12|##[endgroup]",
        "T5.13|##[group]Run '/home/runner/k8s/index.js'",
        "T5.14|##[endgroup]",
        "T5.30|##[group]Run '/home/runner/k8s/index.js'",
        "T5.31|##[endgroup]",
        "T5.90|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {
        S(1, "Set up job", 0, 1), S(2, "Initialize containers", 1, 5), S(3, "Make", 5, 5),
        S(4, "Stop containers", 5, 5), S(5, "Complete job", 5, 5)};
    EXPECT(lines, steps, "011122222334");
}

/* A composite action's clean-up is followed by those of its parts, all within a second; the next
 * step's is the last. Its own comes at once, without a program in between. */
static void s10_clean_ups_of_a_composite_action_s_parts_are_no_steps(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|Current runner version: '2'",
        "T1.10|##[group]Run actions/checkout@v4",
        "T1.11|##[endgroup]",
        "T1.50|done",
        "T2.10|##[group]Run ./setup",
        "T2.11|##[endgroup]",
        "T2.11|##[group]Run actions/setup-node@v4",
        "T2.12|##[endgroup]",
        "T3.00|node",
        "T3.10|##[group]Run actions/cache@v4",
        "T3.11|##[endgroup]",
        "T3.50|cache",
        "T4.10|Post job cleanup.",
        "T4.10|Post job cleanup.",
        "T4.30|saved",
        "T4.40|Post job cleanup.",
        "T4.50|node",
        "T4.60|Post job cleanup.",
        "T4.80|git",
        "T4.90|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {
        S(1, "Set up job", 0, 1), S(2, "Checkout", 1, 2),      S(3, "Setup", 2, 4),
        S(8, "Post Setup", 4, 4), S(9, "Post Checkout", 4, 4), S(10, "Complete job", 4, 4)};
    EXPECT(lines, steps, "01112222222233333445");
}

/* The other way round: here the second of two cleans up after its parts. */
static void s10_clean_up_of_a_composite_action_may_come_last(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|Current runner version: '2'",
        "T1.10|##[group]Run ./setup",
        "T1.11|##[endgroup]",
        "T1.11|##[group]Run actions/setup-node@v4",
        "T1.12|##[endgroup]",
        "T2.00|node",
        "T2.10|##[group]Run actions/cache@v4",
        "T2.11|##[endgroup]",
        "T2.50|cache",
        "T4.10|Post job cleanup.",
        "T4.20|saved",
        "T4.30|Post job cleanup.",
        "T4.30|Node 20 is being deprecated. This workflow is running with Node 24 by default.",
        "T4.30|Post job cleanup.",
        "T4.50|node",
        "T4.90|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "Setup", 1, 2),
                                             S(3, "Cache", 2, 4),      S(8, "Post Cache", 4, 4),
                                             S(9, "Post Setup", 4, 4), S(10, "Complete job", 4, 4)};
    EXPECT(lines, steps, "0111112223344445");
}

/* Parts of a composite action and the next step in one second: the parts come first. */
static void s10_actions_inside_a_composite_action_are_no_steps(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|Current runner version: '2'",
        "T1.10|##[group]Run ./setup",
        "T1.11|##[endgroup]",
        "T1.12|##[group]Run actions/setup-node@v4",
        "T1.13|##[endgroup]",
        "T1.20|node",
        "T1.30|##[group]Run actions/cache@v4",
        "T1.31|##[endgroup]",
        "T1.40|hit",
        "T1.50|##[group]Run actions/upload-artifact@v4",
        "T1.51|##[endgroup]",
        "T1.60|sent",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "Setup", 1, 1),
                                             S(3, "Upload", 1, 2)};
    EXPECT(lines, steps, "011111111222");
}

/* A script leaves nothing to clean up: the step before a clean-up is an action. */
static void s10_what_is_cleaned_up_after_is_an_action(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|Current runner version: '2'",
        "T1.10|##[group]Run ./gradlew",
        "T1.11|shell: /usr/bin/bash --noprofile --norc -e -o pipefail {0}",
        "T1.12|##[endgroup]",
        "T1.30|##[group]Run actions/cache@v4",
        "T1.31|##[endgroup]",
        "T1.40|hit",
        "T1.50|##[group]Run ./deploy",
        "T1.51|shell: /usr/bin/bash --noprofile --norc -e -o pipefail {0}",
        "T1.52|##[endgroup]",
        "T1.90|Post job cleanup.",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(3, "Cache", 1, 1),
                                             S(4, "Deploy", 1, 1), S(5, "Post Cache", 1, 1)};
    EXPECT(lines, steps, "00001112223");
}

/* Each time of the API is off by as much as the others: the whole job is moved. */
static void s10_a_job_whose_clock_is_off(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.90|Complete job name: x",
        "T1.10|##[group]Checking docker version",
        "T2.05|##[group]Run ./setup",
        "T2.06|##[endgroup]",
        "T2.07|##[group]Run : one",
        "T2.08|##[endgroup]",
        "T4.02|##[group]Run actions/cache@v4",
        "T4.03|##[endgroup]",
        "T5.06|##[group]Run docker/build@v5",
        "T5.07|##[endgroup]",
        "T7.03|Print service container logs: a",
        "T8.02|Stop and remove container: a",
        "T8.10|Print service container logs: b",
        "T8.20|Stop and remove container: b",
        "T9.01|Cleaning up orphan processes",
    };
    static const struct text_step right[] = {
        S(1, "Set up job", 0, 1), S(2, "Initialize containers", 1, 2), S(3, "Setup", 2, 5),
        S(4, "Build it", 5, 7),   S(5, "Stop containers", 7, 9),       S(6, "Complete job", 9, 9)};
    for (int seconds = -2; seconds <= 2; seconds++) {
        struct text_step steps[COUNT(right)];
        memcpy(steps, right, sizeof right);
        for (size_t i = 0; i < COUNT(steps); i++) {
            steps[i].started_ms += seconds * 1000;
            steps[i].completed_ms += seconds * 1000;
        }
        EXPECT(lines, steps, "012222223344445");
    }
}

/* Where two steps have one name, it is not known after which a third cleans up. */
static void s10_the_last_of_equal_clean_ups_is_the_next_step_s(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.90|Complete job name: x",
        "T1.10|##[group]Run actions/cache@v4",
        "T1.11|##[endgroup]",
        "T1.50|hit",
        "T2.10|##[group]Run ./setup",
        "T2.11|##[endgroup]",
        "T2.12|##[group]Run actions/setup-node@v4",
        "T2.13|##[endgroup]",
        "T2.50|node",
        "T3.10|##[group]Run actions/cache@v4",
        "T3.11|##[endgroup]",
        "T3.50|miss",
        "T4.10|Post job cleanup.",
        "T4.11|Post job cleanup.",
        "T4.30|node",
        "T4.40|Post job cleanup.",
        "T4.50|git",
        "T4.60|Post job cleanup.",
        "T4.90|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1),   S(2, "Cache", 1, 2),
                                             S(3, "Setup", 2, 3),        S(4, "Cache", 3, 4),
                                             S(8, "Post Setup", 4, 4),   S(9, "Post Cache", 4, 4),
                                             S(10, "Complete job", 4, 4)};
    EXPECT(lines, steps, "0111222223334444456");
}

/* How an action cleans up shows whether it is composite, and so which line is its first. */
static void s10_clean_ups_tell_which_action_is_composite(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.90|Complete job name: x",
        "T1.10|##[group]Run ./setup",
        "T1.11|##[endgroup]",
        "T1.12|##[group]Run : one",
        "T1.13|shell: pwsh",
        "T1.14|##[endgroup]",
        "T1.20|##[group]Run ./inside",
        "T1.21|##[endgroup]",
        "T1.22|##[group]Run : two",
        "T1.23|shell: pwsh",
        "T1.24|##[endgroup]",
        "T1.50|##[group]Run actions/cache@v4",
        "T1.51|##[endgroup]",
        "T1.80|miss",
        "T2.10|Post job cleanup.",
        "T2.30|saved",
        "T2.90|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "Setup", 1, 1),
                                             S(3, "Cache", 1, 2), S(4, "Post Cache", 2, 2),
                                             S(5, "Complete job", 2, 2)};
    EXPECT(lines, steps, "01111111111222334");
}

/* Each container's end is logged; the step's first line is that of the first, whatever the time. */
static void s10_containers_stop_once(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.90|Complete job name: x",         "T7.03|Print service container logs: a",
        "T8.02|Stop and remove container: a", "T8.10|Print service container logs: b",
        "T8.20|Stop and remove container: b", "T9.01|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {
        S(1, "Set up job", 1, 8), S(5, "Stop containers", 8, 10), S(6, "Complete job", 10, 10)};
    EXPECT(lines, steps, "011112");
}

/* A script has no parts: the header behind it begins the next step, even if the API's times of both
 * are a second early and would fit what comes before. */
static void s10_behind_a_script_comes_the_next_step(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.90|Complete job name: x",
        "T1.10|##[group]Run ./setup",
        "T1.11|##[endgroup]",
        "T1.12|##[group]Run : one",
        "T1.13|shell: pwsh",
        "T1.14|##[endgroup]",
        "T1.50|##[group]Run : two",
        "T1.51|shell: pwsh",
        "T1.52|##[endgroup]",
        "T1.90|##[group]Run : three",
        "T1.91|shell: pwsh",
        "T1.92|##[endgroup]",
        "T2.60|##[group]Run make",
        "T2.61|shell: pwsh",
        "T2.62|##[endgroup]",
        "T3.30|##[group]Run make test",
        "T3.31|shell: pwsh",
        "T3.32|##[endgroup]",
        "T5.20|Cleaning up orphan processes",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "Setup", 1, 2),
                                             S(3, "Make", 1, 2), S(4, "Test", 2, 5),
                                             S(5, "Complete job", 5, 5)};
    EXPECT(lines, steps, "0111111111112223334");
}

/* The waits for steps in the background have names of their own. */
static void s10_waits_for_the_background_are_steps(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.90|Complete job name: x",
        "T1.10|##[group]Run server",
        "T1.11|##[group]Run client",
        "T1.20|server: ready",
        "T5.20|client: done",
        "T5.30|Cancelling background step(s): server",
        "T5.40|Finished cancelling background step(s).",
        "T5.50|No background steps remaining to wait for.",
        "T5.60|##[group]Run report",
    };
    static const struct text_step steps[] = {
        S(1, "Set up job", 0, 1), S(2, "server", 1, 5), S(4, "cancel", 5, 5),
        S(5, "Wait for all background steps", 5, 5), S(6, "Run report", 5, 6)};
    EXPECT(lines, steps, "011112234");
}

/* A group that a program opens lacks the header's own lines. */
static void s10_groups_of_programs_are_no_headers(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.10|Current runner version: '2'",
        "T1.10|##[group]Run a/b@v1",
        "T1.11|##[endgroup]",
        "T1.20|##[group]Run tests",
        "T1.21|12 passed",
        "T1.22|##[endgroup]",
        "T1.30|##[group]Run make",
        "T1.31|shell: C:\\pwsh.EXE -command \". '{0}'\"",
        "T1.32|##[endgroup]",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "First", 1, 1),
                                             S(3, "Second", 1, 2)};
    EXPECT(lines, steps, "011111222");
}

/* Of several that ran at the same time the first line is that of whichever came first, also behind
 * a composite action. */
static void s10_steps_at_the_same_time_begin_with_the_first_of_their_lines(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "T0.90|Complete job name: x",     "T1.10|##[group]Run ./setup", "T1.11|##[endgroup]",
        "T1.12|##[group]Run : part",      "T1.13|shell: bash",          "T1.14|##[endgroup]",
        "T3.10|##[group]Run a/server@v1", "T3.11|##[endgroup]",         "T3.20|ready",
        "T3.30|##[group]Run a/client@v1", "T3.31|##[endgroup]",         "T9.10|done",
        "T9.20|##[group]Run a/report@v1",
    };
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1),
                                             S(2, "Setup", 1, 3),
                                             {.number = 3,
                                              .name = "Server",
                                              .together = true,
                                              .started_ms = NOON + 3000,
                                              .completed_ms = NOON + 9000},
                                             SKIPPED(4, "Client"),
                                             S(5, "Report", 9, 10)};
    EXPECT(lines, steps, "0111112222224");
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

struct feed {
    struct text_cutter *cutter;
    uint64_t offset;
};

static void feed(struct feed *f, int64_t ms, const char *text)
{
    struct text_line line = {
        .offset = f->offset, .time_ms = NOON + ms, .head = text, .head_len = strlen(text)};
    text_cutter_line(f->cutter, &line);
    f->offset += line.head_len + 1;
}

/* What a program opens by the ten thousand, just when steps begin, takes no space from the
 * steps. */
static void a_flood_of_programs_headers_moves_no_step(void **state)
{
    (void)state;
    static const struct text_step steps[] = {S(1, "Set up job", 0, 1), S(2, "One", 1, 3),
                                             S(3, "Two", 3, 4)};
    struct text_range ranges[COUNT(steps)];
    struct feed f = {0};
    uint64_t one, two;

    assert_int_equal(text_cutter_create(steps, COUNT(steps), &f.cutter), 0);
    feed(&f, 500, "Complete job name: x");
    one = f.offset;
    feed(&f, 1100, "##[group]Run one");
    feed(&f, 1101, "shell: pwsh");
    feed(&f, 1102, "##[endgroup]");
    for (int i = 0; i < 40000; i++) {
        feed(&f, 1200 + i / 20, "##[group]Run fake");
        feed(&f, 1200 + i / 20, "##[endgroup]");
    }
    two = f.offset;
    feed(&f, 3300, "##[group]Run two");
    feed(&f, 3301, "shell: pwsh");
    feed(&f, 3302, "##[endgroup]");
    assert_int_equal(text_cutter_finish(f.cutter, f.offset, ranges), 0);
    assert_int_equal(ranges[1].begin, one);
    assert_int_equal(ranges[2].begin, two);
    text_cutter_destroy(f.cutter);
}

/* As many steps as there may be, `apart_ms` after each other, in whole seconds for the cutter. */
static void check_quick_steps(int64_t apart_ms, bool times)
{
    struct text_step *steps = calloc(TEXT_STEPS_MAX, sizeof *steps);
    struct text_range *ranges = calloc(TEXT_STEPS_MAX, sizeof *ranges);
    uint64_t *begins = calloc(TEXT_STEPS_MAX, sizeof *begins);
    struct feed f = {0};

    assert_true(steps && ranges && begins);
    for (int i = 0; i < TEXT_STEPS_MAX; i++) {
        steps[i] = (struct text_step)S(i + 1, "step", i * apart_ms / 1000,
                                       (i + 1) * apart_ms / 1000);
        if (!times)
            steps[i].started_ms = steps[i].completed_ms = TEXT_TIME_UNKNOWN;
    }
    assert_int_equal(text_cutter_create(steps, TEXT_STEPS_MAX, &f.cutter), 0);
    for (int i = 0; i < TEXT_STEPS_MAX; i++) {
        begins[i] = f.offset;
        feed(&f, i * apart_ms, i > 0 ? "##[group]Run x" : "Current runner version: '2'");
        feed(&f, i * apart_ms, "shell: pwsh");
        feed(&f, i * apart_ms, "##[endgroup]");
        for (int fake = 0; fake < 5; fake++)
            feed(&f, i * apart_ms, "##[group]Run fake");
    }
    assert_int_equal(text_cutter_finish(f.cutter, f.offset, ranges), 0);
    for (int i = 0; i < TEXT_STEPS_MAX; i++)
        assert_int_equal(ranges[i].begin, begins[i]);
    text_cutter_destroy(f.cutter);
    free(steps);
    free(ranges);
    free(begins);
}

static void many_steps_in_each_second_are_all_cut(void **state)
{
    (void)state;
    check_quick_steps(1000, true);
    check_quick_steps(50, true);
    check_quick_steps(5, true);
    check_quick_steps(50, false);
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
        cmocka_unit_test(s10_the_job_s_end_may_begin_with_its_environment),
        cmocka_unit_test(s10_warnings_before_a_header_are_of_its_step),
        cmocka_unit_test(s10_a_prepared_action_begins_before_its_warnings),
        cmocka_unit_test(s10_a_step_may_be_nothing_but_its_error),
        cmocka_unit_test(s10_a_hook_s_script_is_no_step),
        cmocka_unit_test(s10_containers_may_be_a_script_s_business),
        cmocka_unit_test(s10_clean_ups_of_a_composite_action_s_parts_are_no_steps),
        cmocka_unit_test(s10_clean_up_of_a_composite_action_may_come_last),
        cmocka_unit_test(s10_actions_inside_a_composite_action_are_no_steps),
        cmocka_unit_test(s10_what_is_cleaned_up_after_is_an_action),
        cmocka_unit_test(s10_a_job_whose_clock_is_off),
        cmocka_unit_test(s10_the_last_of_equal_clean_ups_is_the_next_step_s),
        cmocka_unit_test(s10_clean_ups_tell_which_action_is_composite),
        cmocka_unit_test(s10_containers_stop_once),
        cmocka_unit_test(s10_behind_a_script_comes_the_next_step),
        cmocka_unit_test(s10_waits_for_the_background_are_steps),
        cmocka_unit_test(s10_groups_of_programs_are_no_headers),
        cmocka_unit_test(s10_steps_at_the_same_time_begin_with_the_first_of_their_lines),
        cmocka_unit_test(no_step_no_range_and_too_many_is_an_error),
        cmocka_unit_test(a_flood_of_markers_keeps_to_the_bounds),
        cmocka_unit_test(a_flood_of_programs_headers_moves_no_step),
        cmocka_unit_test(many_steps_in_each_second_are_all_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
