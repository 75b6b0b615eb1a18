#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/excerpt.h"
#include "text/report.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define EXIT_1 "##[error]Process completed with exit code 1.\n"

/* A text that grows. */
struct text {
    char *bytes;
    size_t len;
    size_t room;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
    char part[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(part, sizeof part, format, args);
    va_end(args);
    assert_in_range(len, 0, (int)sizeof part - 1);
    if (t->len + (size_t)len + 1 > t->room) {
        t->room = 2 * (t->room + (size_t)len) + 1;
        t->bytes = realloc(t->bytes, t->room);
        assert_non_null(t->bytes);
    }
    memcpy(t->bytes + t->len, part, (size_t)len + 1);
    t->len += (size_t)len;
}

static void add_lines(struct text *t, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(t, "line\n");
}

static struct text_excerpt *pick_bytes(const char *bytes, size_t len, size_t piece)
{
    struct text_picker *p = NULL;
    struct text_excerpt *e = NULL;
    assert_int_equal(text_picker_create(&p), 0);
    for (size_t at = 0; at < len; at += piece)
        text_picker_feed(p, bytes + at, len - at < piece ? len - at : piece);
    assert_int_equal(text_picker_finish(p, &e), 0);
    text_picker_destroy(p);
    return e;
}

/* Takes the text. */
static struct text_excerpt *pick(struct text *t)
{
    struct text_excerpt *e = pick_bytes(t->bytes, t->len, t->len + 1);
    free(t->bytes);
    *t = (struct text){0};
    return e;
}

static struct text_excerpt *pick_string(const char *s)
{
    return pick_bytes(s, strlen(s), strlen(s) + 1);
}

static const struct text_excerpt_line *line_of(const struct text_excerpt *e, uint64_t number)
{
    for (size_t i = 0; i < e->line_count; i++) {
        if (e->lines[i].number == number)
            return &e->lines[i];
    }
    return NULL;
}

static void check_bounds(const struct text_excerpt *e)
{
    size_t bytes = 0;
    assert_true(e->line_count <= TEXT_EXCERPT_LINES);
    for (size_t i = 0; i < e->line_count; i++) {
        bytes += text_excerpt_line_size(&e->lines[i]);
        assert_true(i == 0 || e->lines[i - 1].number < e->lines[i].number);
    }
    assert_true(bytes <= TEXT_EXCERPT_BYTES);
}

/* -- The picker -------------------------------------------------------------------------------- */

static void errors_are_picked_with_what_stands_around_them(void **state)
{
    (void)state;
    struct text t = {0};
    add_lines(&t, 49);
    add(&t, "##[error]src/a.c:1: no such type\n");
    add_lines(&t, 50);
    struct text_excerpt *e = pick(&t);
    assert_int_equal(e->kind, TEXT_EXCERPT_ERRORS);
    assert_int_equal(e->line_count, 15);
    assert_int_equal(e->lines[0].number, 40);
    assert_int_equal(e->lines[14].number, 54);
    assert_int_equal(e->lines[10].distance, 0);
    assert_int_equal(e->telling, 1);
    assert_int_equal(e->step_lines, 100);
    assert_false(e->has_exit_code);
    free(e);
}

static void overlapping_stretches_are_joined(void **state)
{
    (void)state;
    struct text t = {0};
    add_lines(&t, 20);
    add(&t, "##[error]first\n");
    add_lines(&t, 6);
    add(&t, "##[error]second\n##[error]third\n");
    struct text_excerpt *e = pick(&t);
    assert_int_equal(e->line_count, 19);
    for (size_t i = 0; i < e->line_count; i++)
        assert_int_equal(e->lines[i].number, 11 + i);
    free(e);
}

static void of_hundreds_of_errors_the_first_and_the_last_are_kept(void **state)
{
    (void)state;
    struct text t = {0};
    for (int i = 1; i <= 500; i++) {
        add_lines(&t, 19);
        add(&t, "##[error]file %d is wrong\n", i);
    }
    struct text_excerpt *e = pick(&t);
    check_bounds(e);
    assert_int_equal(e->telling, 500);
    for (uint64_t i = 1; i <= 5; i++) {
        assert_non_null(line_of(e, 20 * i));
        assert_non_null(line_of(e, 20 * (501 - i)));
    }
    assert_null(line_of(e, 5000));
    free(e);
}

static void an_error_that_tells_nothing_is_explained_by_marked_lines(void **state)
{
    (void)state;
    static const char *const marked[] = {
        "main.c:3:5: error: expected ';'",
        "fatal error: 'gtk/gtk.h' file not found",
        "error[E0433]: failed to resolve",
        "Program.cs(4,2): error CS1234: no such name",
        "  17:41  error  Unexpected var  no-var",
        "e: file:///a/Main.kt:219:112 imports are only allowed in the beginning",
        "ModuleNotFoundError: No module named 'pytest'",
        "[ERROR] Failed to execute goal",
        "ERROR tests/test_a.py::test_b - KeyError",
        "Exception in thread \"main\" java.lang.Error",
        "Caused by: java.lang.NullPointerException: x is null",
        "test a::b ... FAILED",
        "BUILD FAILED in 3s",
        "--- FAIL: TestA (0.00s)",
        "FAIL src/a.test.js",
        "FAILURE: Build failed with an exception.",
        "[INFO] BUILD FAILURE",
        "  Failed Tests.A.B [11 ms]",
        "* What went wrong:",
        "fatal: unable to access 'https://github.com/a/b/'",
        "panic: runtime error",
        "thread 'main' panicked at src/main.rs:2:5",
        "not ok 3 - adds",
        "assertion failed: a == b",
        "a.out: a.c:3: main: Assertion `x' failed.",
        "make: *** [Makefile:3: all] Error 1",
        "make[2]: *** No rule to make target 'all'.  Stop.",
        "npm error code ERESOLVE",
        "npm ERR! code ERESOLVE",
        "a.sh: line 1: conda: command not found",
        "Command not found: pytest",
        "sh: 1: eslint: not found",
        "line 1: 42230 Segmentation fault      (core dumped)",
        "a.sh: line 3: 123 Killed",
    };
    for (size_t i = 0; i < COUNT(marked); i++) {
        struct text t = {0};
        add_lines(&t, 50);
        add(&t, "%s\n", marked[i]);
        add_lines(&t, 50);
        add(&t, EXIT_1);
        struct text_excerpt *e = pick(&t);
        const struct text_excerpt_line *line = line_of(e, 51);
        if (e->kind != TEXT_EXCERPT_MARKED || !line || line->distance != 0)
            fail_msg("%s", marked[i]);
        assert_int_equal(e->line_count, 6 + 11);
        assert_int_equal(e->telling, 2);
        free(e);
    }
}

static void sentences_about_errors_are_not_marked(void **state)
{
    (void)state;
    static const char *const harmless[] = {
        "0 errors, 0 warnings",
        "terror: a film",
        "error handling is tested",
        "error CS: is a prefix",
        "FAILOVER done, FAILSAFE on",
        "XFAIL: 0, TRACE_ERRORS=1",
        "  CXX      Exception.lo",
        "do not ok this",
        "the tests that Failed once",
        "process was Killed by hand",
        "url https://example.org/status:404 not found here",
        "##[warning]error: only a warning",
        "##[debug]error: the runner's own",
        "[command]/usr/bin/grep error: log",
    };
    for (size_t i = 0; i < COUNT(harmless); i++) {
        struct text t = {0};
        add(&t, "%s\n", harmless[i]);
        add_lines(&t, 50);
        add(&t, EXIT_1);
        struct text_excerpt *e = pick(&t);
        if (e->kind != TEXT_EXCERPT_END)
            fail_msg("%s", harmless[i]);
        free(e);
    }
}

static void errors_that_tell_only_of_a_failure_are_generic(void **state)
{
    (void)state;
    static const char *const generic[] = {
        "Process completed with exit code 2.",
        "The operation was canceled.",
        "The process '/usr/bin/git' failed with exit code 128",
    };
    for (size_t i = 0; i < COUNT(generic); i++) {
        struct text t = {0};
        add(&t, "a.c:1: error: here\n");
        add_lines(&t, 50);
        add(&t, "##[error]%s\n", generic[i]);
        struct text_excerpt *e = pick(&t);
        assert_int_equal(e->kind, TEXT_EXCERPT_MARKED);
        assert_non_null(line_of(e, 1));
        assert_non_null(line_of(e, 42));
        assert_non_null(line_of(e, 52));
        free(e);
    }
}

static void an_error_too_long_to_show_is_generic(void **state)
{
    (void)state;
    struct text t = {0};
    add(&t, "a.c:1: error: here\n");
    add_lines(&t, 50);
    add(&t, "##[error]%0500d\n", 7);
    struct text_excerpt *e = pick(&t);
    assert_int_equal(e->kind, TEXT_EXCERPT_MARKED);
    assert_int_equal(line_of(e, 52)->size, 509);
    assert_int_equal(line_of(e, 52)->len, TEXT_EXCERPT_LINE);
    free(e);
}

static void marked_lines_are_shown_beside_errors(void **state)
{
    (void)state;
    struct text t = {0};
    for (int i = 0; i < 50; i++) {
        add(&t, "FAILED test_%c%c\n", 'a' + i % 26, 'a' + i / 26);
        add_lines(&t, 9);
    }
    add_lines(&t, 50);
    add(&t, "##[error]one of them\n" EXIT_1);
    struct text_excerpt *e = pick(&t);
    assert_int_equal(e->kind, TEXT_EXCERPT_ERRORS);
    assert_non_null(line_of(e, 1));
    assert_null(line_of(e, 2));
    assert_non_null(line_of(e, 91));
    assert_null(line_of(e, 101));
    assert_non_null(line_of(e, 491));
    assert_int_equal(e->line_count, 20 + 10 + 2);
    assert_int_equal(e->telling, 2);
    free(e);
}

static void the_exception_at_the_end_of_a_traceback_is_picked(void **state)
{
    (void)state;
    struct text t = {0};
    add(&t, "Traceback (most recent call last):\n");
    for (int i = 0; i < 60; i++)
        add(&t, "  File \"a.py\", line %d, in f\n    f()\n", i);
    add(&t, "sh.ErrorReturnCode_1\n");
    add_lines(&t, 50);
    add(&t, EXIT_1);
    struct text_excerpt *e = pick(&t);
    assert_int_equal(line_of(e, 1)->distance, 0);
    assert_int_equal(line_of(e, 122)->distance, 0);
    assert_null(line_of(e, 60));
    free(e);
}

static void the_script_of_the_step_is_not_searched(void **state)
{
    (void)state;
    struct text t = {0};
    add(&t, "##[group]Run echo \"error: none\"\necho \"error: none\"\n##[endgroup]\n");
    add_lines(&t, 50);
    add(&t, EXIT_1);
    struct text_excerpt *e = pick(&t);
    assert_int_equal(e->kind, TEXT_EXCERPT_END);
    free(e);
    add(&t, "##[group]Run a\na\n##[endgroup]\n##[group]Tests\nerror: here\n##[endgroup]\n");
    add_lines(&t, 50);
    add(&t, EXIT_1);
    e = pick(&t);
    assert_int_equal(e->kind, TEXT_EXCERPT_MARKED);
    assert_non_null(line_of(e, 5));
    free(e);
}

static void without_any_mark_the_end_is_picked(void **state)
{
    (void)state;
    struct text t = {0};
    add_lines(&t, 100);
    struct text_excerpt *e = pick(&t);
    assert_int_equal(e->kind, TEXT_EXCERPT_END);
    assert_int_equal(e->line_count, TEXT_LAST);
    assert_int_equal(e->lines[0].number, 71);
    free(e);
    /* What comes behind the error, such as a clean-up, does not push it out. */
    add_lines(&t, 50);
    add(&t, EXIT_1);
    add_lines(&t, 50);
    e = pick(&t);
    assert_int_equal(e->kind, TEXT_EXCERPT_END);
    assert_non_null(line_of(e, 41));
    assert_non_null(line_of(e, 51));
    assert_non_null(line_of(e, 101));
    free(e);
}

static void exit_codes_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code; /* 0: none is told */
    } codes[] = {
        {EXIT_1, 1},
        {"##[error]Process completed with exit code 137.\n" EXIT_1, 1},
        {"##[error]Process completed with exit code -1073741819.\n", -1073741819},
        {"##[error]Process completed with exit code 99999999999.\n", 0},
        {"##[error]Process completed with exit code 4294967295.\n", 0},
        {"##[error]Process completed with exit code .\n", 0},
        {"##[error]Process completed with exit code ", 0},
        {"Process completed with exit code 1.\n", 0},
    };
    for (size_t i = 0; i < COUNT(codes); i++) {
        struct text_excerpt *e = pick_string(codes[i].text);
        assert_int_equal(e->exit_code, codes[i].code);
        assert_true(e->has_exit_code == (codes[i].code != 0));
        free(e);
    }
}

static void lines_are_cut_between_characters(void **state)
{
    (void)state;
    static const char *const ends[] = {"xxx", "\xC3\xA4x", "\xE2\x82\xACx", "\xF0\x9F\x92\xA5"};
    for (size_t n = 0; n < COUNT(ends); n++) {
        for (size_t before = TEXT_EXCERPT_LINE - 4; before <= TEXT_EXCERPT_LINE; before++) {
            char text[TEXT_EXCERPT_LINE + 16];
            memset(text, 'a', before);
            int len = snprintf(text + before, 16, "%sbbbb", ends[n]);
            struct text_excerpt *e = pick_bytes(text, before + (size_t)len, 7);
            size_t kept = e->lines[0].len;
            assert_int_equal(e->lines[0].size, before + (size_t)len);
            assert_in_range(kept, TEXT_EXCERPT_LINE - 3, TEXT_EXCERPT_LINE);
            assert_int_not_equal(text[kept] & 0xC0, 0x80);
            free(e);
        }
    }
}

static void an_empty_step_has_no_lines(void **state)
{
    (void)state;
    struct text_excerpt *e = pick_string("");
    assert_int_equal(e->line_count, 0);
    assert_int_equal(e->step_lines, 0);
    free(e);
    e = pick_string("\n\nlast");
    assert_int_equal(e->step_lines, 3);
    assert_int_equal(e->line_count, 3);
    assert_memory_equal(e->lines[2].text, "last", 4);
    free(e);
}

static void the_pieces_of_the_text_do_not_matter(void **state)
{
    (void)state;
    struct text t = {0};
    for (int i = 0; i < 300; i++)
        add(&t, i % 7 ? "line %d\n" : i % 5 ? "error: %d\n\n" : "##[error]%0600d\n", i);
    struct text_excerpt *whole = pick_bytes(t.bytes, t.len, t.len);
    for (size_t piece = 1; piece < 1000; piece += 61) {
        struct text_excerpt *e = pick_bytes(t.bytes, t.len, piece);
        assert_int_equal(e->line_count, whole->line_count);
        assert_int_equal(e->telling, whole->telling);
        for (size_t i = 0; i < e->line_count; i++) {
            assert_int_equal(e->lines[i].number, whole->lines[i].number);
            assert_int_equal(e->lines[i].len, whole->lines[i].len);
            assert_memory_equal(e->lines[i].text, whole->lines[i].text, e->lines[i].len);
        }
        free(e);
    }
    free(whole);
    free(t.bytes);
}

/* Feeds the text again and again. */
static struct text_excerpt *pick_repeated(const struct text *t, size_t times)
{
    struct text_picker *p = NULL;
    struct text_excerpt *e = NULL;
    assert_int_equal(text_picker_create(&p), 0);
    for (size_t i = 0; i < times; i++)
        text_picker_feed(p, t->bytes, t->len);
    assert_int_equal(text_picker_finish(p, &e), 0);
    text_picker_destroy(p);
    check_bounds(e);
    return e;
}

static void ten_million_errors_stay_within_bounds(void **state)
{
    (void)state;
    struct text t = {0};
    for (int i = 0; i < 10000; i++)
        add(&t, "##[error]%d\n", i);
    struct text_excerpt *e = pick_repeated(&t, 1000);
    assert_int_equal(e->telling, 10000000);
    assert_int_equal(e->lines[0].number, 1);
    assert_int_equal(e->lines[e->line_count - 1].number, 10000000);
    free(e);
    free(t.bytes);
}

static void a_million_different_marked_lines_stay_within_bounds(void **state)
{
    (void)state;
    struct text t = {0};
    for (int i = 0; i < 10000; i++)
        add(&t, "error: %c%c%c%c\n", 'a' + i / 1000, 'a' + i / 100 % 10, 'a' + i / 10 % 10,
            'a' + i % 10);
    struct text_excerpt *e = pick_repeated(&t, 100);
    assert_int_equal(e->telling, 1000000);
    assert_int_equal(e->lines[0].number, 1);
    free(e);
    free(t.bytes);
}

static void lines_of_400_kb_stay_within_bounds(void **state)
{
    (void)state;
    struct text t = {0};
    for (int i = 0; i < 400; i++)
        add(&t, "%01000d", i);
    add(&t, "\n##[error]");
    struct text_excerpt *e = pick_repeated(&t, 300);
    assert_int_equal(e->step_lines, 301);
    assert_int_equal(e->lines[1].size, 400009);
    free(e);
    free(t.bytes);
}

/* -- The layout -------------------------------------------------------------------------------- */

static const struct text_report_run run_17 = {
    .workflow = "CI",
    .number = 412,
    .title = "Fix the parser",
    .branch = "main",
    .sha = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
    .attempt = 1,
    .event = "push",
    .url = "https://github.com/octo/hello/actions/runs/17",
    .jobs_failed = 2,
    .jobs_total = 40,
    .path = "failed/17",
};

/* The report, made twice; ended by a NUL. */
static char *report_of(const struct text_report_run *run, const struct text_report_job *jobs,
                       size_t count)
{
    char *text = NULL, *again = NULL;
    size_t len = 0, again_len = 0;
    assert_int_equal(text_report_make(run, jobs, count, &text, &len), 0);
    assert_int_equal(text_report_make(run, jobs, count, &again, &again_len), 0);
    assert_int_equal(len, again_len);
    assert_memory_equal(text, again, len);
    assert_true(len > 0 && len <= TEXT_REPORT_BYTES);
    assert_int_equal(text[len - 1], '\n');
    assert_null(memchr(text, '\0', len));
    free(again);
    text = realloc(text, len + 1);
    assert_non_null(text);
    text[len] = '\0';
    return text;
}

static size_t lines_with(const char *text, const char *begin)
{
    size_t count = 0;
    for (const char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        count += strncmp(at, begin, strlen(begin)) == 0;
    return count;
}

static void the_report_is_laid_out(void **state)
{
    (void)state;
    struct text_excerpt *tests = pick_string("##[group]Run pytest\n##[endgroup]\n"
                                             "E   AssertionError: assert 1 == 2\n" EXIT_1);
    struct text_excerpt *lint = pick_string("a.c\n##[error]a.c:3: trailing space\n");
    const struct text_report_step test_39 = {
        .name = "Run tests",
        .duration_ms = 192000,
        .path = "failed/17/test (3.9)/07-Run tests.txt",
        .excerpt = tests,
    };
    const struct text_report_step lint_step = {
        .name = "Lint",
        .duration_ms = 900,
        .path = "failed/17/lint/03-Lint.txt",
        .excerpt = lint,
    };
    const struct text_report_job jobs[] = {
        {.name = "test (3.9)", .conclusion = "failure", .steps = &test_39, .step_count = 1},
        {.name = "lint", .conclusion = "timed_out", .steps = &lint_step, .step_count = 1},
        {.name = "test (3.10)", .conclusion = "failure", .steps = &test_39, .step_count = 1},
        {.name = "gpu", .conclusion = "failure", .note = "no log: the runner was lost"},
    };
    char *text = report_of(&run_17, jobs, COUNT(jobs));
    assert_string_equal(
        text,
        "run \"CI\" #412: \"Fix the parser\", branch \"main\", commit 1a2b3c4d5e6f, attempt 1, "
        "push, 2 of 40 jobs failed, https://github.com/octo/hello/actions/runs/17\n"
        "\n"
        "job \"test (3.9)\", step \"Run tests\", exit code 1, 3m12s\n"
        "also \"test (3.10)\"\n"
        "file failed/17/test (3.9)/07-Run tests.txt\n"
        "  1: ##[group]Run pytest\n"
        "  2: ##[endgroup]\n"
        "  3: E   AssertionError: assert 1 == 2\n"
        "  4: ##[error]Process completed with exit code 1.\n"
        "\n"
        "job \"lint\", timed_out, step \"Lint\", 0s\n"
        "file failed/17/lint/03-Lint.txt\n"
        "  1: a.c\n"
        "  2: ##[error]a.c:3: trailing space\n"
        "\n"
        "job \"gpu\"\n"
        "note: no log: the runner was lost\n");
    free(text);
    free(tests);
    free(lint);
}

static void what_is_not_known_is_left_out(void **state)
{
    (void)state;
    const struct text_report_run run = {.workflow = "CI", .note = "no job was started"};
    const struct text_report_step step = {.name = "a", .duration_ms = -1};
    const struct text_report_job job = {.name = "b", .steps = &step, .step_count = 1};
    char *text = report_of(&run, &job, 0);
    assert_string_equal(text,
                        "run \"CI\" #0: \"\", branch \"\", commit unknown, attempt 0, unknown, "
                        "0 of 0 jobs failed\n"
                        "note: no job was started\n");
    free(text);
    text = report_of(&run_17, &job, 1);
    assert_non_null(strstr(text, "\n\njob \"b\", step \"a\"\n\nleft out: 1 more failed jobs, see "
                                 "failed/17\n"));
    free(text);
}

static void a_step_without_lines_is_told(void **state)
{
    (void)state;
    struct text nothing = {0};
    struct text_excerpt *e = pick(&nothing);
    const struct text_report_step step = {
        .name = "a", .duration_ms = 1000, .path = "failed/17/b/01-a.txt", .excerpt = e};
    const struct text_report_job job = {.name = "b", .steps = &step, .step_count = 1};
    char *text = report_of(&run_17, &job, 1);
    assert_non_null(strstr(text, "\n\njob \"b\", step \"a\", 1s\nfile failed/17/b/01-a.txt\n"
                                 "note: no lines of this step were found in the log\n"));
    free(text);
    free(e);
}

static void names_cannot_break_or_imitate_a_line(void **state)
{
    (void)state;
    static const char bad[] =
        "a\njob \"x\"\r\v\f\x1B[31m\x7F\xC2\x85\xE2\x80\xA8\xE2\x80\xA9"
        "\xE2\x80\xAE\xE2\x81\xA6\xEF\xBB\xBF\xF3\xA0\x80\xA1\xC0\x8A\xFF\xE2\x80";
    static const char *const never[] = {
        "\r",           "\v",           "\f",           "\x1B",         "\x7F",
        "\xC2\x85",     "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAE", "\xE2\x81\xA6",
        "\xEF\xBB\xBF", "\xF3\xA0",     "\xC0\x8A",     "\xFF",         "\"x\"",
    };
    struct text_excerpt *e = pick_string(EXIT_1);
    const struct text_report_run run = {.workflow = bad,
                                        .title = bad,
                                        .branch = bad,
                                        .sha = bad,
                                        .event = bad,
                                        .url = bad,
                                        .jobs_failed = 9,
                                        .path = "p",
                                        .note = "a\nb"};
    const struct text_report_step step = {.name = bad, .path = "a\nfile b", .excerpt = e};
    const struct text_report_job jobs[] = {
        {.name = bad, .conclusion = bad, .note = "a\nb", .steps = &step, .step_count = 1},
        {.name = bad, .conclusion = bad, .note = "a\nb", .steps = &step, .step_count = 1},
    };
    char *text = report_of(&run, jobs, 2);
    for (size_t i = 0; i < COUNT(never); i++)
        assert_null(strstr(text, never[i]));
    assert_non_null(strstr(text, "run \"a_job 'x'___"));
    assert_int_equal(lines_with(text, ""), 10);
    assert_int_equal(lines_with(text, "run \""), 1);
    assert_int_equal(lines_with(text, "job \""), 1);
    assert_int_equal(lines_with(text, "file a_file b\n"), 1);
    free(text);
    free(e);
}

static void long_names_are_cut(void **state)
{
    (void)state;
    char name[5001];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const struct text_report_run run = {.workflow = name, .title = name, .url = name};
    const struct text_report_step step = {.name = name, .path = name};
    const struct text_report_job job = {
        .name = name, .note = name, .steps = &step, .step_count = 1};
    char *text = report_of(&run, &job, 1);
    assert_true(strlen(text) < 4096);
    assert_non_null(strstr(text, "nnn..."));
    free(text);
}

static void long_names_and_long_logs_stay_within_bounds(void **state)
{
    (void)state;
    enum { JOBS = 30, STEPS = 5 };
    char name[5001], jobs_names[JOBS][300];
    struct text_report_step steps[JOBS][STEPS];
    struct text_report_job jobs[JOBS];
    struct text t = {0};
    for (int n = 0; n < 500; n++)
        add(&t, "##[error]%0300d\n", n);
    struct text_excerpt *e = pick(&t);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (int i = 0; i < JOBS; i++) {
        memset(jobs_names[i], 'k' + i / 2 % 15, sizeof jobs_names[i] - 1);
        jobs_names[i][sizeof jobs_names[i] - 1] = '\0';
        for (int n = 0; n < STEPS; n++)
            steps[i][n] = (struct text_report_step){
                .name = jobs_names[i], .path = name, .excerpt = e};
        jobs[i] = (struct text_report_job){.name = jobs_names[i],
                                           .conclusion = name,
                                           .note = name,
                                           .steps = steps[i],
                                           .step_count = STEPS};
    }
    const struct text_report_run run = {.workflow = name,
                                        .title = name,
                                        .branch = name,
                                        .sha = name,
                                        .event = name,
                                        .url = name,
                                        .jobs_failed = 1000000,
                                        .path = name,
                                        .note = name};
    char *text = report_of(&run, jobs, JOBS);
    assert_in_range(lines_with(text, "job "), 1, JOBS / 2);
    assert_non_null(strstr(text, " more failed jobs, see nnn"));
    free(text);
    free(e);
}

/* Whatever a log says, its lines are indented, for every idea of what ends a line. */
static void a_log_cannot_imitate_our_lines(void **state)
{
    (void)state;
    struct text_excerpt *e = pick_string(
        "run \"CI\" #1\njob \"x\", step \"y\"\nfile failed/1/a\n\nleft out: 3\n  9: a\n"
        "a\rjob \"x\"\na\vjob\na\fjob\na\xC2\x85job\na\xE2\x80\xA8job\na\xE2\x80\xA9job\n"
        "a\x1Ejob\n\xE2\x80\xA8job \"x\"\n");
    const struct text_report_step step = {.name = "s", .path = "p", .excerpt = e};
    const struct text_report_job job = {.name = "j", .steps = &step, .step_count = 1};
    char *text = report_of(&run_17, &job, 1);
    assert_int_equal(lines_with(text, "run \""), 1);
    assert_int_equal(lines_with(text, "job \""), 1);
    assert_int_equal(lines_with(text, "file "), 1);
    assert_int_equal(lines_with(text, "left out: "), 1);
    assert_int_equal(lines_with(text, "  "), 14);
    assert_null(strpbrk(text, "\r\v\f\x1E"));
    assert_null(strstr(text, "\xC2\x85"));
    assert_null(strstr(text, "\xE2\x80\xA8"));
    assert_null(strstr(text, "\xE2\x80\xA9"));
    free(text);
    free(e);
}

/* The report of two jobs whose steps print these texts. */
static bool is_told_once(const char *a, const char *b)
{
    struct text_excerpt *excerpts[] = {pick_string(a), pick_string(b)};
    const struct text_report_step steps[] = {
        {.name = "Test 3.9", .path = "a", .excerpt = excerpts[0]},
        {.name = "Test 3.10", .path = "b", .excerpt = excerpts[1]},
    };
    const struct text_report_job jobs[] = {
        {.name = "one", .steps = &steps[0], .step_count = 1},
        {.name = "two", .steps = &steps[1], .step_count = 1},
    };
    char *text = report_of(&run_17, jobs, 2);
    size_t told = lines_with(text, "job ");
    assert_int_equal(told + lines_with(text, "also \"two\"\n"), 2);
    free(text);
    free(excerpts[0]);
    free(excerpts[1]);
    return told == 1;
}

static void equal_failures_are_told_once(void **state)
{
    (void)state;
    assert_true(is_told_once("a\n" EXIT_1, "a\n" EXIT_1));
    assert_true(is_told_once("1 failed in 0.9s\n" EXIT_1, "1 failed in   1m12s\n" EXIT_1));
    assert_true(is_told_once("at 12:00:01 /tmp/4f3a\n", "at 09:59:59 /tmp/99bc\n"));
    assert_true(is_told_once("py38\n", "py310\n"));
    assert_false(is_told_once("a\n" EXIT_1, "b\n" EXIT_1));
    assert_false(is_told_once("a\n" EXIT_1, "a\na\n" EXIT_1));
    assert_false(is_told_once("a\n" EXIT_1, "a\n##[error]Process completed with exit code 2.\n"));
    assert_false(is_told_once("dead\n", "beef\n"));
}

static void thousands_of_failed_jobs_stay_within_bounds(void **state)
{
    (void)state;
    enum { JOBS = 2000 };
    static struct text_report_step steps[JOBS];
    static struct text_report_job jobs[JOBS];
    static char names[JOBS][32];
    struct text_report_run run = run_17;
    run.jobs_failed = JOBS;
    for (int different = 0; different < 2; different++) {
        for (int i = 0; i < JOBS; i++) {
            struct text t = {0};
            snprintf(names[i], sizeof names[i], "job %d", i);
            for (int n = 0; n < 50; n++)
                add(&t, "error: %c%c%c%c\n", 'k' + n % 10, 'k' + n / 10 % 10,
                    different ? 'k' + i % 45 : 'k', different ? '0' + i / 45 : 'k');
            steps[i] = (struct text_report_step){.name = "s", .path = "p", .excerpt = pick(&t)};
            jobs[i] = (struct text_report_job){
                .name = names[i], .steps = &steps[i], .step_count = 1};
        }
        char *text = report_of(&run, jobs, JOBS);
        assert_int_equal(lines_with(text, "job "), different ? TEXT_REPORT_JOBS : 1);
        if (different)
            assert_non_null(strstr(text, " more failed jobs, see failed/17\n"));
        else
            assert_non_null(strstr(text, "\nalso \"job 1\", \"job 2\","));
        free(text);
        for (int i = 0; i < JOBS; i++)
            free((void *)(uintptr_t)steps[i].excerpt);
    }
}

static void long_blocks_are_shortened_alike(void **state)
{
    (void)state;
    enum { JOBS = 20 };
    struct text_report_step steps[JOBS];
    struct text_report_job jobs[JOBS];
    for (int i = 0; i < JOBS; i++) {
        struct text t = {0};
        for (int n = 0; n < (i == 7 ? 20 : 190); n++)
            add(&t, "##[error]%c%c: the quick brown fox jumps over the lazy dog and so on\n",
                'k' + i, 'k' + n % 15);
        steps[i] = (struct text_report_step){.name = "s", .path = "p", .excerpt = pick(&t)};
        jobs[i] = (struct text_report_job){.name = "j", .steps = &steps[i], .step_count = 1};
    }
    char *text = report_of(&run_17, jobs, JOBS);
    assert_int_equal(lines_with(text, "job "), JOBS);
    /* All but the short one. */
    assert_int_equal(lines_with(text, "left out: "), JOBS - 1);
    assert_int_equal(lines_with(text, "  20: ##[error]r"), 1);
    assert_true(strlen(text) > TEXT_REPORT_BYTES - 8192);
    assert_true(lines_with(text, "  190: ##[error]") == JOBS - 1);
    free(text);
    for (int i = 0; i < JOBS; i++)
        free((void *)(uintptr_t)steps[i].excerpt);
}

static void the_steps_of_a_job_share_its_bounds(void **state)
{
    (void)state;
    struct text_report_step steps[TEXT_REPORT_STEPS];
    struct text t = {0};
    for (int n = 0; n < 190; n++)
        add(&t, "##[error]%d: the quick brown fox jumps over the lazy dog and runs away\n", n);
    struct text_excerpt *e = pick(&t);
    for (size_t i = 0; i < COUNT(steps); i++)
        steps[i] = (struct text_report_step){
            .name = "s", .duration_ms = 5400000, .path = "p", .excerpt = e};
    const struct text_report_job job = {
        .name = "j", .steps = steps, .step_count = COUNT(steps), .more_steps = 2};
    char *text = report_of(&run_17, &job, 1);
    char *block = strstr(text, "\njob ");
    char *end = strstr(text, "\nleft out: 1 more failed jobs");
    assert_in_range(end - block, 8192, TEXT_EXCERPT_BYTES);
    *end = '\0';
    assert_int_equal(lines_with(text, "step \"s\", 1h30m\n"), TEXT_REPORT_STEPS - 1);
    assert_int_equal(lines_with(text, "left out: 2 more failed steps of this job\n"), 1);
    assert_int_equal(lines_with(text, "  1: ##[error]0"), TEXT_REPORT_STEPS);
    assert_true(lines_with(block, "") <= TEXT_EXCERPT_LINES);
    assert_true(lines_with(text, "  ") > TEXT_EXCERPT_LINES / 2);
    free(text);
    free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_picked_with_what_stands_around_them),
        cmocka_unit_test(overlapping_stretches_are_joined),
        cmocka_unit_test(of_hundreds_of_errors_the_first_and_the_last_are_kept),
        cmocka_unit_test(an_error_that_tells_nothing_is_explained_by_marked_lines),
        cmocka_unit_test(sentences_about_errors_are_not_marked),
        cmocka_unit_test(errors_that_tell_only_of_a_failure_are_generic),
        cmocka_unit_test(an_error_too_long_to_show_is_generic),
        cmocka_unit_test(marked_lines_are_shown_beside_errors),
        cmocka_unit_test(the_exception_at_the_end_of_a_traceback_is_picked),
        cmocka_unit_test(the_script_of_the_step_is_not_searched),
        cmocka_unit_test(without_any_mark_the_end_is_picked),
        cmocka_unit_test(exit_codes_are_read),
        cmocka_unit_test(lines_are_cut_between_characters),
        cmocka_unit_test(an_empty_step_has_no_lines),
        cmocka_unit_test(the_pieces_of_the_text_do_not_matter),
        cmocka_unit_test(ten_million_errors_stay_within_bounds),
        cmocka_unit_test(a_million_different_marked_lines_stay_within_bounds),
        cmocka_unit_test(lines_of_400_kb_stay_within_bounds),
        cmocka_unit_test(the_report_is_laid_out),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(a_step_without_lines_is_told),
        cmocka_unit_test(names_cannot_break_or_imitate_a_line),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(long_names_and_long_logs_stay_within_bounds),
        cmocka_unit_test(a_log_cannot_imitate_our_lines),
        cmocka_unit_test(equal_failures_are_told_once),
        cmocka_unit_test(thousands_of_failed_jobs_stay_within_bounds),
        cmocka_unit_test(long_blocks_are_shortened_alike),
        cmocka_unit_test(the_steps_of_a_job_share_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
