/* The text of .ghlogfs/progress out of what the modules tell. */
#include "main_progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NOW INT64_C(7000000)
#define WALL INT64_C(1704105000) /* 2024-01-01 10:30:00 UTC */
#define HEAD "      BYTES        SIZE       RATE WAITS-FOR            PATH\n"

static const struct repo_name hello = {"octo", "hello"};

static int setup(void **state)
{
    setenv("TZ", "XYZ-2", 1); /* two hours before UTC */
    tzset();
    *state = calloc(1, sizeof(struct progress_snapshot));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void assert_prints(const struct progress_snapshot *s, const char *want)
{
    char *text = progress_print(s, NOW, WALL);

    assert_string_equal(text, want);
    free(text);
}

static void assert_ends(const struct progress_snapshot *s, const char *want)
{
    char *text = progress_print(s, NOW, WALL);
    size_t len = strlen(text), end = strlen(want);

    assert_true(len > end);
    assert_string_equal(text + len - end, want);
    free(text);
}

static struct cache_status *add_fetch(struct progress_snapshot *s, uint64_t job, int64_t begun_ms)
{
    struct cache_status *f = &s->fetches[s->fetch_count++];

    *f = (struct cache_status){.repo = hello, .job = job, .progress.begun_ms = begun_ms};
    return f;
}

static void nothing_under_way_is_an_empty_text(void **state)
{
    assert_prints(*state, "");
}

/* Columns that awk can cut, and a width that a terminal has. */
static void a_line_for_each_kind_in_the_order_in_which_they_began(void **state)
{
    struct progress_snapshot *s = *state;
    struct cache_status *f = add_fetch(s, 42, 3);

    f->progress.bytes = 1000;
    f->progress.size = UINT64_C(68719476736);
    f->progress.rate = 2000000000;
    s->fetches[s->fetch_count++] = (struct cache_status){
        .repo = hello,
        .job = 42,
        .is_generated = true,
        .progress = {.begun_ms = 4, .size = PROGRESS_UNKNOWN, .cause = PROGRESS_TURN}};
    s->archives[s->archive_count++] = (struct archives_status){
        .repo = hello,
        .run = 7,
        .attempt = 1,
        .progress = {.begun_ms = 1, .bytes = 5, .size = PROGRESS_UNKNOWN, .rate = 6}};
    s->archives[s->archive_count++] = (struct archives_status){
        .repo = hello,
        .run = 7,
        .attempt = 2,
        .progress = {.begun_ms = 5, .size = PROGRESS_UNKNOWN, .cause = PROGRESS_GITHUB}};
    s->reports[s->report_count++] = (struct reports_status){
        .repo = hello,
        .run = 8,
        .progress = {2, PROGRESS_UNKNOWN, PROGRESS_UNKNOWN, PROGRESS_UNKNOWN, PROGRESS_LOGS, 0}};
    s->uploads[s->upload_count++] = (struct put_status){
        .repo = hello,
        .job = 43,
        .progress = {.begun_ms = 6, .bytes = 1, .size = 2, .cause = PROGRESS_SHARED}};
    assert_prints(
        s,
        HEAD "          5           ?          6 -                    octo/hello/runs/7 (archive)\n"
             "          -           -          - logs                 octo/hello/reports/8.txt\n"
             "       1000 68719476736 2000000000 -                    octo/hello/jobs/42/log\n"
             "          0           ?          0 turn                 octo/hello/jobs/42/log.txt\n"
             "          0           ?          0 github               octo/hello/runs/7/attempts/2 "
             "(archive)\n"
             "          1           2          0 shared-store         octo/hello/jobs/43/log "
             "(upload)\n");
}

static void what_it_waits_for_is_one_word(void **state)
{
    static const struct {
        enum progress_cause cause;
        int64_t until_ms;
        const char *word;
    } waits[] = {
        {PROGRESS_FLOWS, 0, "- "},
        {PROGRESS_CONNECTION, 0, "connection "},
        {PROGRESS_PACE, NOW + 1, "pace-until-12:30:01 "},
        {PROGRESS_QUOTA, NOW + 3600000, "quota-until-13:30:00 "},
        {PROGRESS_LIMIT, NOW + 60000, "limit-until-12:31:00 "},
        {PROGRESS_LIMIT, NOW - 60000, "limit-until-12:30:00 "},
        {PROGRESS_RETRY, NOW + 4001, "retry-in-5s "},
        {PROGRESS_RETRY, NOW - 1, "retry-in-0s "},
        {PROGRESS_GITHUB, 0, "github "},
        {PROGRESS_STORAGE, 0, "storage "},
        {PROGRESS_TOKEN, 0, "token "},
        {PROGRESS_SHARED, 0, "shared-store "},
        {PROGRESS_DISK, 0, "disk "},
        {PROGRESS_TURN, 0, "turn "},
        {PROGRESS_LOGS, 0, "logs "},
    };
    struct progress_snapshot *s = *state;
    struct cache_status *f = add_fetch(s, 42, 1);

    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        char *text;
        f->progress.cause = waits[i].cause;
        f->progress.until_ms = waits[i].until_ms;
        text = progress_print(s, NOW, WALL);
        assert_ptr_equal(strstr(text, waits[i].word),
                         text + strlen(HEAD) + strlen("          0           0          0 "));
        free(text);
    }
}

static void what_is_queued_waits_for_what_its_queue_waits_for(void **state)
{
    struct progress_snapshot *s = *state;

    s->delays[SOURCE_DEMAND] = (struct progress_delay){PROGRESS_QUOTA, NOW + 1000};
    add_fetch(s, 1, 1)->progress.cause = PROGRESS_DEMAND;
    add_fetch(s, 2, 1)->progress.cause = PROGRESS_PREFETCH;
    assert_prints(
        s, HEAD "          0           0          0 quota-until-12:30:01 octo/hello/jobs/1/log\n"
                "          0           0          0 connection           octo/hello/jobs/2/log\n");
}

/* Names from GitHub are made safe as everywhere (S12): a line is a line. */
static void questions_are_shown_as_the_path_that_needs_them(void **state)
{
    static const struct {
        struct catalog_question q;
        const char *path;
    } asked[] = {
        {{.what = SOURCE_JOB, .id = 5}, " octo/hello/jobs/5/job.json\n"},
        {{.what = SOURCE_RUN, .id = 6}, " octo/hello/runs/6/run.json\n"},
        {{.what = SOURCE_RUN_ATTEMPT, .id = 6, .attempt = 2},
         " octo/hello/runs/6/attempts/2/run.json\n"},
        {{.what = SOURCE_ATTEMPT_JOBS, .id = 6, .attempt = 1}, " octo/hello/runs/6/\n"},
        {{.what = SOURCE_ATTEMPT_JOBS, .id = 6, .attempt = 3}, " octo/hello/runs/6/attempts/3/\n"},
        {{.what = SOURCE_RUNS}, " octo/hello/runs/\n"},
        {{.what = SOURCE_RUNS, .filter = "branch=a%2Fb%0A%2Ec"}, " octo/hello/branches/a/b_.c/\n"},
        {{.what = SOURCE_RUNS, .filter = "branch=%2D%2Dhelp%2F%2Ex%C3%A9"},
         " octo/hello/branches/_--help/_.x\xc3\xa9/\n"},
        {{.what = SOURCE_RUNS, .filter = "branch=a%2F7"}, " octo/hello/branches/a/7 (branch)/\n"},
        {{.what = SOURCE_RUNS, .filter = "head_sha=abcdef0"}, " octo/hello/commits/abcdef0/\n"},
        {{.what = SOURCE_RUNS, .filter = "status=timed_out"}, " octo/hello/failed/\n"},
        {{.what = SOURCE_WORKFLOW_RUNS, .filter = "a%20b%1B%5B31m.yml"},
         " octo/hello/workflows/a b_[31m.yml/\n"},
        {{.what = SOURCE_OWNER_REPOS}, " octo/\n"},
        {{.what = SOURCE_MY_REPOS}, " ./\n"},
        {{.what = SOURCE_PULL, .id = 9}, " octo/hello/pulls/9/\n"},
    };
    struct progress_snapshot *s = *state;

    s->question_count = 1;
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        s->questions[0].question = asked[i].q;
        s->questions[0].question.repo = hello;
        assert_ends(s, asked[i].path);
    }
    memset(s->questions[0].question.filter, '%', SOURCE_FILTER_LEN - 1); /* no code follows */
    assert_ends(s, "/\n");
}

static void what_is_too_much_is_counted(void **state)
{
    struct progress_snapshot *s = *state;
    unsigned lines = 0;
    char *text;

    for (uint64_t i = 0; i < PROGRESS_LINES_MAX; i++)
        add_fetch(s, i + 1, 10);
    s->fetch_count = 800;
    s->reports[s->report_count++].progress.begun_ms = 1; /* is shown: it began first */
    text = progress_print(s, NOW, WALL);
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 1 + PROGRESS_LINES_MAX + 1);
    assert_non_null(strstr(text, "/reports/"));
    assert_non_null(strstr(text, "/jobs/99/log\n"));
    assert_null(strstr(text, "/jobs/100/log\n"));
    free(text);
    assert_ends(s, "\n          -           -          - -                    (701 more)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_under_way_is_an_empty_text, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_for_each_kind_in_the_order_in_which_they_began,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_it_waits_for_is_one_word, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_queued_waits_for_what_its_queue_waits_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(questions_are_shown_as_the_path_that_needs_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_too_much_is_counted, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
