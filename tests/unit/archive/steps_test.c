/* Step files against the whole log: where they begin in the cleaned text, and when they are not it.
 * */
#include "archive/steps.h"
#include "archive/unzip.h"
#include "text/clean.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT "2026-01-01T00:00:00.1234567Z "
#define LATER "2026-01-01T00:00:00.7654321Z "
#define BOM "\xef\xbb\xbf"

static struct archive_steps_work *works[2]; /* without and with timestamps */

static int setup(void **state)
{
    (void)state;
    works[0] = archive_steps_work_create(false);
    works[1] = archive_steps_work_create(true);
    return works[0] && works[1] ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    archive_steps_work_destroy(works[0]);
    archive_steps_work_destroy(works[1]);
    return 0;
}

static void add(struct archive_steps *s, unsigned number, const char *text, size_t piece, bool good)
{
    size_t left = strlen(text);

    archive_steps_begin(s, number);
    for (size_t n; left > 0; text += n, left -= n) {
        n = left < piece ? left : piece;
        archive_steps_add(s, text, n);
    }
    archive_steps_end(s, good);
}

/* The log, and the files of steps 1, 2, ..., in the order 2, 3, ..., 1. */
static struct archive_steps *make(const char *const *files, const char *log, size_t piece,
                                  bool timestamps)
{
    struct archive_steps *s = NULL;
    unsigned count = 0;

    assert_int_equal(archive_steps_create(works[timestamps], &s), 0);
    if (log)
        add(s, 0, log, piece, true);
    while (files[count])
        count++;
    for (unsigned i = 1; i <= count; i++)
        add(s, i % count + 1, files[i % count], piece, true);
    return s;
}

/* The ranges as "begin-end ", "" for none. */
static const char *cut(const char *const *files, const char *log, bool timestamps)
{
    static char ranges[512];

    for (size_t piece = 1; piece < 50; piece += 9) {
        struct archive_steps *s = make(files, log, piece, timestamps);
        struct archive_step *steps = NULL;
        int count = archive_steps_cut(s, &steps);
        size_t n = 0;

        assert_true(count >= 0);
        ranges[0] = 0;
        for (int i = 0; i < count; i++)
            n += (size_t)snprintf(ranges + n, sizeof(ranges) - n, "%u:%d-%d ", steps[i].number,
                                  (int)steps[i].begin, (int)steps[i].end);
        free(steps);
        archive_steps_destroy(s);
    }
    return ranges;
}

#define FILES(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void step_files_tell_where_steps_begin_S20(void **state)
{
    const char *log = BOM AT "one\n" AT "two\r\nmore\n" AT "three\n";

    (void)state;
    assert_string_equal(
        cut(FILES(BOM LATER "one\n", LATER "two\nmore\n", LATER "three\n"), log, false),
        "1:0-4 2:4-13 3:13-19 ");
    assert_string_equal(cut(FILES(LATER "one\n", LATER "two\nmore\n", LATER "three"), log, true),
                        "1:0-33 2:33-71 3:71-106 ");
    assert_string_equal(cut(FILES("", LATER "one\n", "", "two\nmore\nthree\n", ""), log, false),
                        "1:0-0 2:0-4 3:4-4 4:4-19 5:19-19 ");
}

static void files_that_are_not_the_log_tell_nothing_S20(void **state)
{
    const char *log = AT "one\n" AT "two\n" AT "three\n";

    (void)state;
    assert_string_equal(cut(FILES("one\n", "two\n"), log, false), "");
    assert_string_equal(cut(FILES("one\n", "two\n", "three\n", "four\n"), log, false), "");
    assert_string_equal(cut(FILES("one\n", "twO\n", "three\n"), log, false), "");
    assert_string_equal(cut(FILES("two\n", "one\n", "three\n"), log, false), "");
    assert_string_equal(cut(FILES("one\ntwo\n", "thre\n"), log, false), "");
    assert_string_equal(cut(FILES(""), log, false), "");
    assert_string_equal(cut(FILES("one"), "", false), "");
    assert_string_equal(cut(FILES("one\n", "two\n", "three\n"), log, false), "1:0-4 2:4-8 3:8-14 ");
}

static void log_without_a_last_newline_ends_where_it_ends_S20(void **state)
{
    (void)state;
    assert_string_equal(cut(FILES("one\n", "two", "", ""), "one\ntwo", false),
                        "1:0-4 2:4-7 3:7-7 4:7-7 ");
    assert_string_equal(cut(FILES("one", "two\n"), "one\ntwo", false), "1:0-4 2:4-7 ");
    assert_string_equal(cut(FILES("one", "two"), "one\ntwo\n", false), "1:0-4 2:4-8 ");
    assert_string_equal(cut(FILES("", "two"), AT "two", true), "");
}

static void spoil(unsigned number, bool good)
{
    struct archive_steps *s = make(FILES("one\n", "two\n"), "one\ntwo\n", 8, false);
    struct archive_step *steps = NULL;

    assert_int_equal(archive_steps_cut(s, &steps), 2);
    free(steps);
    add(s, number, "", 8, good);
    assert_int_equal(archive_steps_cut(s, &steps), 0);
    archive_steps_destroy(s);
}

static void damaged_or_double_file_spoils_its_job_S20(void **state)
{
    (void)state;
    spoil(2, true);
    spoil(0, true);
    spoil(3, false);
}

static void files_with_more_lines_show_that_the_log_is_cut_S20(void **state)
{
    static const char *const logs[] = {"one\n", "one\ntwo\n", "one\ntwo\nthree\n", NULL};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct archive_steps *s = make(FILES("one\n", "two\n"), logs[i], 8, false);

        assert_int_equal(archive_steps_have_more(s), i == 0);
        archive_steps_destroy(s);
    }
}

static uint64_t draw(uint64_t *seed, uint64_t n)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (*seed >> 33) % n;
}

/* Wherever a text is cut into files, they are it; and never when a byte of one is another. */
static void any_cut_of_a_text_is_that_text_S20(void **state)
{
    uint64_t seed = 20261128;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct archive_steps *s = NULL;
        struct archive_step *steps = NULL;
        char log[400], file[400];
        size_t len = draw(&seed, sizeof(log) - 1), at = 0, wrong = draw(&seed, 2 * len + 1);

        for (size_t i = 0; i < len; i++)
            log[i] = (char)(draw(&seed, 5) ? 'a' + (char)draw(&seed, 3) : '\n');
        log[len] = 0;
        assert_int_equal(archive_steps_create(works[0], &s), 0);
        add(s, 0, log, 1 + draw(&seed, 50), true);
        for (unsigned number = 1; at < len; number++) {
            const char *newline = memchr(log + at, '\n', len - at);
            size_t end = newline ? (size_t)(newline - log) + 1 : len;

            memcpy(file, log + at, end - at);
            file[end - at] = 0;
            if (wrong >= at && wrong < end)
                file[wrong - at] = file[wrong - at] == 'x' ? 'y' : 'x';
            add(s, number, file, 1 + draw(&seed, 50), true);
            at = end;
        }
        assert_int_equal(archive_steps_cut(s, &steps) > 0, len > 0 && wrong >= len);
        free(steps);
        archive_steps_destroy(s);
    }
}

static void names_of_step_files(void **state)
{
    size_t len = 0;

    (void)state;
    assert_int_equal(archive_steps_parse_name("build/12_Run make.txt", &len), 12);
    assert_int_equal(len, 5);
    assert_int_equal(archive_steps_parse_name("a/b/1_x.txt", &len), 1);
    assert_int_equal(len, 3);
    assert_int_equal(archive_steps_parse_name("build/system.txt", &len), 0);
    assert_int_equal(archive_steps_parse_name("0_build.txt", &len), 0);
    assert_int_equal(archive_steps_parse_name("/1_x.txt", &len), 0);
    assert_int_equal(archive_steps_parse_name("build/1_x", &len), 0);
    assert_int_equal(archive_steps_parse_name("build/99999999999999999999_x.txt", &len), 0);
    assert_int_equal(archive_steps_parse_name("build/1x.txt", &len), 0);
}

/* -- Real archives: the whole log, then its steps, one job after the other ----------------------
 * */

struct archive {
    FILE *file;
    char block[65536];
    bool is_log;
    struct archive_steps *steps;
    size_t files;
    unsigned jobs, cut;
};

static ssize_t on_read(void *who, const void **ret_data)
{
    struct archive *a = who;

    *ret_data = a->block;
    return (ssize_t)fread(a->block, 1, sizeof(a->block), a->file);
}

static void end_job(struct archive *a)
{
    struct archive_step *steps = NULL;

    if (a->steps && a->files > 0) {
        a->jobs++;
        a->cut += archive_steps_cut(a->steps, &steps) > 0;
    }
    free(steps);
    archive_steps_destroy(a->steps);
    a->steps = NULL;
    a->files = 0;
}

static bool on_begin(void *who, const char *name)
{
    struct archive *a = who;
    size_t folder;
    unsigned number = archive_steps_parse_name(name, &folder);

    a->is_log = !strchr(name, '/');
    if (a->is_log) {
        end_job(a);
        assert_int_equal(archive_steps_create(works[0], &a->steps), 0);
    } else if (!number || !a->steps) {
        return false;
    } else {
        a->files++;
    }
    archive_steps_begin(a->steps, number);
    return true;
}

static bool on_data(void *who, const void *data, size_t len)
{
    struct archive *a = who;

    archive_steps_add(a->steps, data, len);
    return true;
}

static void on_end(void *who, bool good)
{
    struct archive *a = who;

    assert_true(good);
    archive_steps_end(a->steps, good);
}

static void steps_of_real_archives_are_their_logs_S20(void **state)
{
    static const struct unzip_ops ops = {on_read, on_begin, on_data, on_end};
    unsigned jobs = 0, cuts = 0;
    glob_t found;

    (void)state;
    if (glob("../shared/real/archives/*.zip", 0, NULL, &found)) {
        print_message("skipped: there are no real archives in ../shared/real/archives\n");
        skip();
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct archive a = {.file = fopen(found.gl_pathv[i], "rbe")};
        char why[80];

        assert_non_null(a.file);
        assert_int_equal(unzip(&ops, &a, why, sizeof(why)), 0);
        end_job(&a);
        jobs += a.jobs;
        cuts += a.cut;
        if (a.cut < a.jobs)
            print_message("%s: %u of %u jobs\n", found.gl_pathv[i], a.cut, a.jobs);
        fclose(a.file);
    }
    globfree(&found);
    print_message("%u of %u jobs are cut by their step files\n", cuts, jobs);
    assert_true(cuts * 10 >= jobs * 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(step_files_tell_where_steps_begin_S20),
        cmocka_unit_test(files_that_are_not_the_log_tell_nothing_S20),
        cmocka_unit_test(log_without_a_last_newline_ends_where_it_ends_S20),
        cmocka_unit_test(damaged_or_double_file_spoils_its_job_S20),
        cmocka_unit_test(files_with_more_lines_show_that_the_log_is_cut_S20),
        cmocka_unit_test(any_cut_of_a_text_is_that_text_S20),
        cmocka_unit_test(names_of_step_files),
        cmocka_unit_test(steps_of_real_archives_are_their_logs_S20),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
