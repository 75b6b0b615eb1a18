/* Entries of an archive on their way into a real store. */
#include "archive/extract.h"
#include "archive/zip.h"
#include "store/scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define START INT64_C(1795000000000)
#define MINUTE INT64_C(60000)
#define JOBS_MAX (EXTRACT_LOGS_MAX + 1)
#define GIB (UINT64_C(1) << 30)
#define STAMP 29 /* bytes that cleaning takes off a line */

static const struct repo_name repo = {"Octo", "repo"};

struct fixture {
    struct scratch *scratch;
    struct store_config store_config;
    struct store *store;
    size_t count;
    struct match_job jobs[JOBS_MAX];
    char names[JOBS_MAX][32];
    struct match *match;
    struct archive_steps_work *work;
    struct extract *extract;
    uint64_t bytes_max;

    bool is_unwanted[JOBS_MAX];
    unsigned published[JOBS_MAX], dropped[JOBS_MAX]; /* how often `settled` said so */
    uint64_t steps_job; /* the last that keep_steps was called for; 0: none */
    struct archive_step steps[8];
    size_t step_count;
};

static bool is_wanted(void *who, size_t job)
{
    return !((struct fixture *)who)->is_unwanted[job];
}

static void on_settled(void *who, size_t job, bool is_published)
{
    struct fixture *f = who;

    f->published[job] += is_published;
    f->dropped[job] += !is_published;
}

static void keep_steps(void *who, const struct repo_name *its_repo, uint64_t job,
                       const struct archive_step *steps, size_t count)
{
    struct fixture *f = who;

    assert_true(name_is_same(its_repo, &repo));
    assert_true(count <= sizeof(f->steps) / sizeof(f->steps[0]));
    f->steps_job = job;
    memcpy(f->steps, steps, count * sizeof(*steps));
    f->step_count = count;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    void *scratch;

    if (!f || scratch_setup(&scratch))
        return -1;
    f->scratch = scratch;
    f->bytes_max = GIB;
    f->store_config = (struct store_config){
        .dir = f->scratch->dir, .host = "api.test", .cache_size = GIB, .memory = 1 << 20};
    f->work = archive_steps_work_create(false);
    *state = f;
    return f->work ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    void *scratch = f->scratch;

    extract_destroy(f->extract);
    match_destroy(f->match);
    archive_steps_work_destroy(f->work);
    store_destroy(f->store);
    free(f);
    return scratch_teardown(&scratch);
}

/* Jobs 1 to `count`, called "job 1" and so on, each a minute long and after the other. */
static void begin(struct fixture *f, size_t count)
{
    struct extract_config config = {.repo = repo,
                                    .work = f->work,
                                    .bytes_max = f->bytes_max,
                                    .is_wanted = is_wanted,
                                    .settled = on_settled,
                                    .who = f,
                                    .keep_steps = keep_steps,
                                    .steps_who = f};

    f->count = count;
    for (size_t i = 0; i < count; i++) {
        snprintf(f->names[i], sizeof(f->names[i]), "job %zu", i + 1);
        f->jobs[i] = (struct match_job){.id = i + 1,
                                        .name = f->names[i],
                                        .started_ms = START + (int64_t)i * MINUTE,
                                        .completed_ms = START + (int64_t)(i + 1) * MINUTE};
    }
    assert_int_equal(store_create(&f->store_config, &f->store), 0);
    assert_int_equal(match_create(f->jobs, count, &f->match), 0);
    config.store = f->store;
    config.match = f->match;
    assert_int_equal(extract_create(&config, &f->extract), 0);
}

/* Gives an entry as unzip() does. Returns whether it was wanted. */
static bool give(struct fixture *f, const char *name, const char *data, size_t len, bool is_good)
{
    bool wanted = extract_begin(f->extract, name), goes_on = wanted;

    for (size_t at = 0; goes_on && at < len;) {
        size_t part = len - at < 40000 ? len - at : 40000;
        goes_on = extract_data(f->extract, data + at, part);
        at += part;
    }
    if (wanted)
        extract_end(f->extract, is_good && goes_on);
    return wanted;
}

/* A log of the job at `from` as the entry of the job at `to`. */
static bool give_log_as(struct fixture *f, size_t from, size_t to, size_t size, bool is_good)
{
    char *log = zip_make_log(&f->jobs[from], size), name[48];
    bool wanted;

    snprintf(name, sizeof(name), "%zu_%s.txt", to + 7, f->names[to]);
    wanted = give(f, name, log, size, is_good);
    free(log);
    return wanted;
}

static bool give_log(struct fixture *f, size_t job, size_t size)
{
    return give_log_as(f, job, job, size, true);
}

static bool is_published(struct fixture *f, size_t job)
{
    struct store_meta meta;

    if (store_load_meta(f->store, f->jobs[job].id, &meta))
        return false;
    store_meta_finish(&meta);
    return true;
}

/* The job's log is published with these bytes, and all that belongs to it. */
static void check_published(struct fixture *f, size_t job, size_t size)
{
    char *log = zip_make_log(&f->jobs[job], size), *its = malloc(size);
    struct store_backing b = {.published = true};
    struct store_meta meta;

    assert_int_equal(store_load_meta(f->store, f->jobs[job].id, &meta), 0);
    assert_int_equal(meta.size, size);
    assert_true(meta.mtime_ms == f->jobs[job].completed_ms);
    assert_true(meta.final);
    assert_int_equal(meta.name_count, 1);
    assert_true(store_meta_has_name(&meta, "octo/repo"));
    assert_int_equal(store_open_log(f->store, f->jobs[job].id, &meta, &b.fd), 0);
    assert_int_equal(pread(b.fd, its, size, 0), size);
    assert_memory_equal(its, log, size);
    for (uint64_t page = 0; page < store_page_count(size); page++) {
        size_t at = (size_t)page * STORE_PAGE_SIZE;
        size_t len = size - at < STORE_PAGE_SIZE ? size - at : STORE_PAGE_SIZE;
        assert_true(store_page_checksum(log + at, len) == meta.checksums[page]);
    }
    store_backing_close(f->store, &b);
    store_meta_finish(&meta);
    assert_int_equal(f->published[job], 1);
    assert_int_equal(f->dropped[job], 0);
    free(log);
    free(its);
}

static void check_dropped(struct fixture *f, size_t job)
{
    assert_false(is_published(f, job));
    assert_int_equal(f->published[job], 0);
    assert_true(f->dropped[job] > 0);
}

/* -- Whole logs -------------------------------------------------------------------------------- */

static void entries_become_logs_S20(void **state)
{
    static const size_t sizes[] = {60, 65535, 65536, 65537, 5 * 65536, (3 << 20) + 17};
    const size_t count = sizeof(sizes) / sizeof(sizes[0]);
    struct fixture *f = *state;

    begin(f, count);
    for (size_t i = 0; i < count; i++) {
        assert_true(give_log(f, i, sizes[i]));
        assert_false(is_published(f, i));
    }
    extract_finish(f->extract);
    for (size_t i = 0; i < count; i++)
        check_published(f, i, sizes[i]);
}

static void nothing_is_published_of_an_archive_that_was_cut_S20(void **state)
{
    struct fixture *f = *state;
    uint64_t used, limit;

    begin(f, 2);
    assert_true(give_log(f, 0, 70000));
    assert_true(extract_begin(f->extract, "1_job 2.txt"));
    assert_true(extract_data(f->extract, "half", 4));
    store_usage(f->store, &used, &limit);
    assert_true(used > 0);
    extract_destroy(f->extract);
    f->extract = NULL;
    assert_false(is_published(f, 0) || is_published(f, 1));
    store_usage(f->store, &used, &limit);
    assert_int_equal(used, 0);
}

static void what_is_no_log_of_its_job_is_dropped_S20(void **state)
{
    struct fixture *f = *state;

    begin(f, 8);
    assert_true(give_log_as(f, 0, 0, 5000, false)); /* damaged */
    assert_true(give_log_as(f, 2, 1, 5000, true));  /* the log of another */
    assert_true(give_log(f, 2, 0));
    assert_true(give_log(f, 3, 1)); /* too short for a time */
    assert_true(give(f, "1_job 5.txt", "no time\n", 8, true));
    f->jobs[5].started_ms -= MINUTE; /* the text's times, not the job's */
    assert_true(give_log(f, 5, 5000));
    assert_true(give_log(f, 6, 5000));
    extract_finish(f->extract);
    for (size_t i = 0; i < 6; i++)
        check_dropped(f, i);
    check_published(f, 6, 5000);
    assert_int_equal(f->published[7] + f->dropped[7], 0); /* it was not in the archive */
}

static void entry_that_comes_twice_is_nobodys_S20(void **state)
{
    struct fixture *f = *state;

    begin(f, 2);
    assert_true(give_log(f, 0, 5000));
    assert_true(give_log(f, 1, 5000));
    assert_true(give_log(f, 0, 5000));
    extract_finish(f->extract);
    check_dropped(f, 0);
    check_published(f, 1, 5000);
}

static void second_entry_counts_even_if_it_is_no_log_S20(void **state)
{
    struct fixture *f = *state;

    begin(f, 1);
    assert_true(give_log(f, 0, 5000));
    give(f, "99_job 1 (2).txt", "", 0, true);
    extract_finish(f->extract);
    check_dropped(f, 0);
}

static void names_of_no_job_are_skipped(void **state)
{
    static const char *const names[] = {"1_other.txt",  "job 1.txt",     "-1_job 1.txt",
                                        "1_job 1",      "system.txt",    "../1_job 1.txt",
                                        "job 1/system", "job 1/x_a.txt", ""};
    struct fixture *f = *state;

    begin(f, 1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_false(give(f, names[i], "x", 1, true));
    extract_finish(f->extract);
    assert_int_equal(f->published[0] + f->dropped[0], 0);
}

static void what_is_not_wanted_is_left_alone(void **state)
{
    struct fixture *f = *state;
    uint64_t used, limit;

    begin(f, 3);
    f->is_unwanted[0] = true;
    assert_false(give_log(f, 0, 5000));
    assert_true(give_log(f, 1, 5000));
    assert_true(give_log(f, 2, 5000));
    f->is_unwanted[1] = true; /* its reader did not want to wait any longer */
    extract_finish(f->extract);
    assert_int_equal(f->published[0] + f->dropped[0], 0);
    check_dropped(f, 1);
    check_published(f, 2, 5000);
    extract_destroy(f->extract);
    f->extract = NULL;
    store_usage(f->store, &used, &limit);
    assert_true(used < 20000); /* nothing stays reserved */
}

/* -- Bounds ------------------------------------------------------------------------------------ */

static void bytes_have_a_bound(void **state)
{
    struct fixture *f = *state;

    f->bytes_max = 100000;
    begin(f, 3);
    assert_true(give_log(f, 0, 60000));
    assert_true(give_log(f, 1, 40000));
    assert_false(extract_is_over(f->extract));
    assert_true(give_log(f, 2, 60));
    assert_true(extract_is_over(f->extract));
    assert_int_equal(f->dropped[2], 1);
}

static void logs_that_wait_for_the_end_have_a_bound(void **state)
{
    struct fixture *f = *state;
    uint64_t used, limit;

    begin(f, EXTRACT_LOGS_MAX + 1);
    for (size_t i = 0; i < EXTRACT_LOGS_MAX; i++)
        assert_true(give_log(f, i, 100));
    assert_false(give_log(f, EXTRACT_LOGS_MAX, 100));
    assert_int_equal(f->dropped[EXTRACT_LOGS_MAX], 1);
    extract_finish(f->extract);
    for (size_t i = 0; i < EXTRACT_LOGS_MAX; i++)
        check_published(f, i, 100);
    store_usage(f->store, &used, &limit);
    assert_true(used < EXTRACT_LOGS_MAX * UINT64_C(16384));
}

static void where_no_file_can_be_opened_an_entry_is_left(void **state)
{
    struct fixture *f = *state;
    size_t taken = 0;

    f->store_config.files = 8;
    begin(f, 10);
    while (taken < 10 && give_log(f, taken, 5000))
        taken++;
    assert_true(taken > 1 && taken < 8); /* some are left to logs that are published */
    extract_finish(f->extract);
    for (size_t i = 0; i < taken; i++)
        check_published(f, i, 5000);
    check_dropped(f, taken);
}

static void what_the_cache_would_not_keep_is_not_published(void **state)
{
    struct fixture *f = *state;

    f->store_config.cache_size = 65536;
    begin(f, 2);
    assert_true(give_log(f, 0, 65537));
    assert_true(give_log(f, 1, 5000));
    extract_finish(f->extract);
    check_dropped(f, 0);
    check_published(f, 1, 5000);
}

static void without_a_directory_nothing_is_taken(void **state)
{
    struct fixture *f = *state;

    f->store_config.dir = NULL;
    begin(f, 1);
    assert_false(give_log(f, 0, 5000));
    assert_int_equal(f->dropped[0], 1);
    extract_finish(f->extract);
}

/* -- Steps ------------------------------------------------------------------------------------- */

/* How many bytes the first `lines` lines take. */
static size_t end_of_lines(const char *log, size_t lines)
{
    const char *at = log;

    while (lines-- > 0)
        at = strchr(at, '\n') + 1;
    return (size_t)(at - log);
}

struct steps_of {
    const char *instead;   /* of the second file's text; NULL: as it is in the log */
    bool is_damaged;       /* the second file is */
    bool is_first_missing; /* the first file is */
    bool come_before;      /* the log */
};

/* The log of the first job, 5 lines of it in step 2, 7 in step 4, the rest in step 11, which comes
 * before them. */
static void give_with_steps(struct fixture *f, size_t size, struct steps_of how)
{
    char *log = zip_make_log(&f->jobs[0], size);
    size_t first = end_of_lines(log, 5), second = end_of_lines(log, 12);
    const char *text = how.instead ? how.instead : log + first;
    size_t len = how.instead ? strlen(how.instead) : second - first;

    if (!how.come_before)
        give(f, "3_job 1.txt", log, size, true);
    give(f, "job 1/11_Post.txt", log + second, size - second, true);
    if (!how.is_first_missing)
        give(f, "job 1/2_Set up.txt", log, first, true);
    give(f, "job 1/4_Build.txt", text, len, !how.is_damaged);
    give(f, "job 10/4_Build.txt", "of another job", 14, true);
    if (how.come_before)
        give(f, "3_job 1.txt", log, size, true);
    extract_finish(f->extract);
    if (f->step_count) {
        assert_int_equal(f->steps_job, 1);
        assert_int_equal(f->step_count, 3);
        assert_int_equal(f->steps[0].number, 2);
        assert_int_equal(f->steps[0].begin, 0);
        assert_int_equal(f->steps[0].end, first - 5 * STAMP);
        assert_int_equal(f->steps[1].number, 4);
        assert_int_equal(f->steps[1].begin, first - 5 * STAMP);
        assert_int_equal(f->steps[1].end, second - 12 * STAMP);
        assert_int_equal(f->steps[2].number, 11);
        assert_int_equal(f->steps[2].begin, second - 12 * STAMP);
    }
    free(log);
}

static void steps_that_are_the_log_are_kept_S20(void **state)
{
    struct fixture *f = *state;

    begin(f, 1);
    give_with_steps(f, 200000, (struct steps_of){0});
    check_published(f, 0, 200000);
    assert_int_equal(f->step_count, 3);
}

static void steps_of_a_log_that_came_otherwise_are_not_kept_S20(void **state)
{
    struct fixture *f = *state;

    begin(f, 1);
    assert_true(give_log(f, 0, 70000));
    extract_finish(f->extract);
    extract_destroy(f->extract);
    match_destroy(f->match);
    store_destroy(f->store);
    f->is_unwanted[0] = true;
    begin(f, 1);
    give_with_steps(f, 70000, (struct steps_of){0});
    check_published(f, 0, 70000);
    assert_int_equal(f->step_count, 0);
}

static void steps_that_are_not_the_log_are_not_kept_S20(void **state)
{
    static const struct steps_of wrong[] = {{.instead = "2026-11-18T11:06:41.0000001Z other\n"},
                                            {.instead = ""},
                                            {.is_damaged = true},
                                            {.is_first_missing = true},
                                            {.come_before = true}};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        void *state_i;

        assert_int_equal(set_up(&state_i), 0);
        f = state_i;
        begin(f, 1);
        give_with_steps(f, 5000, wrong[i]);
        check_published(f, 0, 5000);
        assert_int_equal(f->step_count, 0);
        tear_down(&state_i);
    }
}

static void steps_of_a_doubtful_log_are_not_kept_S20(void **state)
{
    struct fixture *f = *state;

    begin(f, 2);
    give_log(f, 0, 5000);
    give_with_steps(f, 5000, (struct steps_of){0});
    check_dropped(f, 0);
    assert_int_equal(f->step_count, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(entries_become_logs_S20),
        TEST(nothing_is_published_of_an_archive_that_was_cut_S20),
        TEST(what_is_no_log_of_its_job_is_dropped_S20),
        TEST(entry_that_comes_twice_is_nobodys_S20),
        TEST(second_entry_counts_even_if_it_is_no_log_S20),
        TEST(names_of_no_job_are_skipped),
        TEST(what_is_not_wanted_is_left_alone),
        TEST(bytes_have_a_bound),
        TEST(logs_that_wait_for_the_end_have_a_bound),
        TEST(where_no_file_can_be_opened_an_entry_is_left),
        TEST(what_the_cache_would_not_keep_is_not_published),
        TEST(without_a_directory_nothing_is_taken),
        TEST(steps_that_are_the_log_are_kept_S20),
        TEST(steps_of_a_log_that_came_otherwise_are_not_kept_S20),
        TEST(steps_that_are_not_the_log_are_not_kept_S20),
        TEST(steps_of_a_doubtful_log_are_not_kept_S20),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
