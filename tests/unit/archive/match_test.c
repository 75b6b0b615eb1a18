/* Whose log an archive's entry is: names alone, contents alone, and both at random. */
#include "archive/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START INT64_C(1795000000000) /* 2026-11-18T11:06:40Z */
#define MINUTE INT64_C(60000)

#define JOBS(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* Jobs of these names, each a minute after the other, a minute long. */
static struct match *make_match(const char *const *names)
{
    struct match_job jobs[64];
    struct match *m = NULL;
    size_t n = 0;

    for (; names[n]; n++)
        jobs[n] = (struct match_job){.id = n + 1,
                                     .name = names[n],
                                     .started_ms = START + (int64_t)n * MINUTE,
                                     .completed_ms = START + (int64_t)(n + 1) * MINUTE};
    assert_int_equal(match_create(jobs, n, &m), 0);
    return m;
}

/* Adds all entries; which job the first one is for, if any. */
static size_t first_of(const char *const *names, const char *const *entries)
{
    struct match *m = make_match(names);
    size_t job = match_add_entry(m, entries[0]);

    for (size_t i = 1; entries[i]; i++)
        match_add_entry(m, entries[i]);
    if (job != MATCH_NONE && !match_is_only(m, job))
        job = MATCH_NONE;
    match_destroy(m);
    return job;
}

static void cleaned_name_finds_its_job_S20(void **state)
{
    const char *const *jobs = JOBS("build", "Lint / lint", "Build: x86 (v2.0, \"a\")", "🔒 Secure",
                                   "-");

    (void)state;
    assert_int_equal(first_of(jobs, JOBS("0_build.txt")), 0);
    assert_int_equal(first_of(jobs, JOBS("17_Lint _ lint.txt")), 1);
    assert_int_equal(first_of(jobs, JOBS("17_Lint lint.txt")), 1);
    assert_int_equal(first_of(jobs, JOBS("3_Build x86 (v2.0, a).txt")), 2);
    assert_int_equal(first_of(jobs, JOBS("4_🔒 Secure.txt")), 3);
}

static void what_is_no_whole_log_finds_no_job_S20(void **state)
{
    static const char *const entries[] = {
        "build.txt",
        "0_build",
        "0_build.log",
        "0_build/1_Set up job.txt",
        "x/0_build.txt",
        "0_.txt",
        ".txt",
        "",
        "0build.txt",
        "_build.txt",
        "-2147483648_build.txt",
        "../0_build.txt",
        "0_build.txt/",
        "0_-.txt",
        "0_Build.txt",
        "0_build2.txt",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
        assert_int_equal(first_of(JOBS("build", "-"), JOBS(entries[i])), MATCH_NONE);
}

static void name_that_fits_two_jobs_or_two_entries_finds_none_S20(void **state)
{
    (void)state;
    assert_int_equal(first_of(JOBS("a/b", "a:b"), JOBS("0_ab.txt")), MATCH_NONE);
    assert_int_equal(first_of(JOBS("a/b", "c"), JOBS("0_ab.txt", "1_a_b.txt")), MATCH_NONE);
    assert_int_equal(first_of(JOBS("a/b", "c"), JOBS("0_ab.txt", "1_c.txt")), 0);
    assert_int_equal(first_of(JOBS("build", "build"), JOBS("0_build.txt", "1_build (1).txt")),
                     MATCH_NONE);
    /* "build (1)" may be the second of two called build, or the job of that name. */
    assert_int_equal(first_of(JOBS("build", "build (1)"), JOBS("1_build (1).txt")), MATCH_NONE);
    assert_int_equal(first_of(JOBS("build", "build (1)"), JOBS("0_build.txt", "1_build (1).txt")),
                     MATCH_NONE);
    assert_int_equal(first_of(JOBS("test (18)", "test (20)"), JOBS("0_test (18).txt")), 0);
}

static void cut_name_finds_the_one_job_that_begins_so_S20(void **state)
{
    char one[120], two[120], entry[100];

    (void)state;
    memset(one, 'a', sizeof(one) - 1);
    one[sizeof(one) - 1] = 0;
    memcpy(two, one, sizeof(two));
    two[100] = 'b'; /* behind the cut */
    snprintf(entry, sizeof(entry), "0_%.90s.txt", one);
    assert_int_equal(first_of(JOBS(one, "c"), JOBS(entry)), 0);
    assert_int_equal(first_of(JOBS(one, two), JOBS(entry)), MATCH_NONE);
    snprintf(entry, sizeof(entry), "0_%.89s\xef\xbf\xbd.txt", one);
    assert_int_equal(first_of(JOBS(one, "c"), JOBS(entry)), 0);
    assert_int_equal(first_of(JOBS("aaaa", "c"), JOBS("0_aaa.txt")), MATCH_NONE);
}

/* A log of the minute that begins `offset` ms after the first job's, in pieces of one byte. */
static bool fits(const char *const *names, size_t job, int64_t offset, const char *line)
{
    struct match *m = make_match(names);
    struct match_content c = {0};
    bool fitting;
    char log[1024];
    int64_t s = 6 * 60 + 40 + offset / 1000, e = s + 59;

    snprintf(log, sizeof(log),
             "\xef\xbb\xbf"
             "2026-11-18T11:%02d:%02d.%03d0000Z Current runner version\r\n"
             "no time stamp\n%s%s\n"
             "2026-11-18T11:%02d:%02d.0000000Z end",
             (int)(s / 60), (int)(s % 60), (int)(offset % 1000), line ? line : "", "",
             (int)(e / 60), (int)(e % 60));
    for (const char *p = log; *p; p++)
        match_content_add(&c, p, 1);
    fitting = match_content_fits(m, job, &c);
    match_destroy(m);
    return fitting;
}

#define LINE(name) "2026-11-18T11:06:41.0000000Z Complete job name: " name "\r\n"

static void log_that_names_another_job_is_not_taken_S20(void **state)
{
    const char *const *jobs = JOBS("build", "test", "call / inner", "call / other", "only / one");

    (void)state;
    assert_true(fits(jobs, 0, 0, LINE("build")));
    assert_true(fits(jobs, 0, 0, NULL));
    assert_false(fits(jobs, 0, 0, LINE("test")));
    assert_true(fits(jobs, 0, 0, LINE("build") LINE("test")));
    assert_true(fits(jobs, 0, 0, "Complete job name: test\n"));
    assert_false(fits(JOBS("build", "build"), 0, 0, LINE("build")));
    assert_true(fits(JOBS("only / one", "b"), 0, 0, LINE("only")));
    assert_false(fits(JOBS("only / one", "only"), 0, 0, LINE("only")));
    assert_false(fits(JOBS("call / a", "call / b"), 0, 0, LINE("call")));
    assert_false(fits(JOBS("caller / a", "b"), 0, 0, LINE("call")));
}

static void log_of_another_time_is_not_taken_S20(void **state)
{
    const char *const *jobs = JOBS("build", "test");

    (void)state;
    assert_true(fits(jobs, 0, 1999, NULL));
    assert_false(fits(jobs, 0, 5000, NULL));
    assert_false(fits(jobs, 1, 0, NULL));
    assert_false(fits(jobs, 1, 0, LINE("test")));
    assert_true(fits(jobs, 1, MINUTE, LINE("test")));
}

static void log_without_a_time_is_not_taken_S20(void **state)
{
    struct match *m = make_match(JOBS("build"));
    struct match_content c = {0};

    (void)state;
    assert_false(match_content_fits(m, 0, &c));
    match_content_add(&c, "hello\n", 6);
    assert_false(match_content_fits(m, 0, &c));
    match_destroy(m);
}

/* -- At random --------------------------------------------------------------------------------- */

static uint64_t seed = 20261128;

static unsigned draw(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static void draw_name(char *name, size_t size)
{
    static const char *const parts[] = {"build", "test", " / ", "(1)", " (2)", ":", "a",
                                        "b",     "é",    "/",   "ab",  "-",    "1", " "};
    size_t n = 0;
    unsigned count = 1 + draw(4);

    name[0] = 0;
    if (draw(8) == 0) /* long ones with a common beginning */
        n += (size_t)snprintf(name, size, "%0*d", 80 + (int)draw(30), 0);
    for (unsigned i = 0; i < count; i++)
        n += (size_t)snprintf(name + n, size - n, "%s", parts[draw(14)]);
}

/* As GitHub may name the entry: cleaned in one of two ways, cut, numbered. */
static void name_entry(const char *name, unsigned ordinal, char *entry, size_t size)
{
    char clean[256];
    size_t n = 0;
    bool keeps = draw(2);

    for (const char *p = name; *p; p++) {
        if (*p == '/' && keeps)
            clean[n++] = '_';
        else if (*p != '/' && *p != ':')
            clean[n++] = *p;
    }
    clean[n] = 0;
    if (n > 90)
        clean[90] = 0;
    if (draw(6) == 0)
        snprintf(entry, size, "%u_%s (%u).txt", ordinal, clean, 1 + draw(2));
    else
        snprintf(entry, size, "%u_%s.txt", ordinal, clean);
}

#define COUNT 6

static void write_log(struct match_content *c, const struct match_job *j, bool names_itself)
{
    char log[512];
    int64_t s = (j->started_ms - START) / 1000 + 6 * 60 + 40;
    int n = snprintf(log, sizeof(log), "2026-11-18T11:%02d:%02d.0000000Z begin\n", (int)(s / 60),
                     (int)(s % 60));

    if (names_itself)
        n += snprintf(log + n, sizeof(log) - (size_t)n,
                      "2026-11-18T11:%02d:%02d.0000000Z Complete job name: %s\n", (int)(s / 60),
                      (int)(s % 60), j->name);
    memset(c, 0, sizeof(*c));
    match_content_add(c, log, (size_t)n);
}

static void byte_of_one_job_never_appears_under_another_S20(void **state)
{
    unsigned taken = 0;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char names[COUNT][256], entries[COUNT][300];
        struct match_job jobs[COUNT];
        struct match_content contents[COUNT];
        size_t found[COUNT], owner[COUNT];
        bool fitting[COUNT];
        struct match *m = NULL;

        for (unsigned i = 0; i < COUNT; i++) {
            draw_name(names[i], sizeof(names[i]));
            /* Some ran at the same time. */
            jobs[i] = (struct match_job){
                .id = i + 1, .name = names[i], .started_ms = START + draw(3) * MINUTE};
            jobs[i].completed_ms = jobs[i].started_ms + MINUTE / 2;
            owner[i] = i;
        }
        /* Two entries hold each other's log. */
        if (draw(2)) {
            size_t a = draw(COUNT), b = draw(COUNT), t = owner[a];
            owner[a] = owner[b];
            owner[b] = t;
        }
        assert_int_equal(match_create(jobs, COUNT, &m), 0);
        for (unsigned at = 0, i = draw(COUNT); at < COUNT; at++, i = (i + 1) % COUNT) {
            name_entry(names[i], draw(100), entries[i], sizeof(entries[i]));
            found[i] = draw(10) ? match_add_entry(m, entries[i]) : MATCH_NONE;
            write_log(&contents[i], &jobs[owner[i]], draw(3));
            fitting[i] = found[i] != MATCH_NONE && match_content_fits(m, found[i], &contents[i]);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            if (!fitting[i] || !match_is_only(m, found[i]))
                continue;
            assert_int_equal(found[i], owner[i]);
            taken++;
        }
        match_destroy(m);
    }
    assert_true(taken > 20000); /* and it is no use to take none */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cleaned_name_finds_its_job_S20),
        cmocka_unit_test(what_is_no_whole_log_finds_no_job_S20),
        cmocka_unit_test(name_that_fits_two_jobs_or_two_entries_finds_none_S20),
        cmocka_unit_test(cut_name_finds_the_one_job_that_begins_so_S20),
        cmocka_unit_test(log_that_names_another_job_is_not_taken_S20),
        cmocka_unit_test(log_of_another_time_is_not_taken_S20),
        cmocka_unit_test(log_without_a_time_is_not_taken_S20),
        cmocka_unit_test(byte_of_one_job_never_appears_under_another_S20),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
