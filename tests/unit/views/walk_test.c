/* A reader of a whole listing is detected; one that reads some of it is not (P5, S3). */
#include "views/walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#define AHEAD 32
#define COUNT 100
#define CAP 128

static const struct repo_name hello = {"octo", "hello"}, other = {"octo", "other"};

struct fixture {
    struct walk *walk;
    uint64_t jobs[COUNT], ahead[CAP];
    size_t n;
};

static int setup(void **state)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    f.walk = walk_create(AHEAD);
    for (size_t i = 0; i < COUNT; i++)
        f.jobs[i] = 1000 + i;
    *state = &f;
    return f.walk ? 0 : -1;
}

static int teardown(void **state)
{
    walk_destroy(((struct fixture *)*state)->walk);
    return 0;
}

static size_t open_job(struct fixture *f, size_t i)
{
    f->n = walk_note_open(f->walk, &hello, f->jobs[i], f->ahead, CAP);
    return f->n;
}

/* Opens [from, to) until something is fetched ahead; the index of that open, or `to`. */
static size_t first_sign(struct fixture *f, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (open_job(f, i))
            return i;
    return to;
}

static void reader_without_a_listing_gets_no_prefetch(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(first_sign(f, 0, COUNT), COUNT);
}

static void listing_alone_causes_no_prefetch(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT);
    walk_note_enter(f->walk, &hello, f->jobs[0]);
    assert_int_equal(open_job(f, 50), 0);
    walk_note_listing(f->walk, &hello, f->jobs, COUNT);
    assert_int_equal(open_job(f, 3), 0);
}

static void sequential_reader_gets_prefetch(void **state)
{
    struct fixture *f = *state;
    size_t at;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT);
    at = first_sign(f, 0, COUNT);
    assert_in_range(at, 1, 7);
    assert_int_equal(f->n, AHEAD);
    for (size_t i = 0; i < f->n; i++)
        assert_int_equal(f->ahead[i], f->jobs[at + 1 + i]);
    assert_int_equal(open_job(f, at + 1), 1);
    assert_int_equal(f->ahead[0], f->jobs[at + 1 + AHEAD]);
}

/* grep -r lists each job's directory before it opens the log in it. */
static void reader_who_lists_job_directories_is_detected_sooner(void **state)
{
    struct fixture *f = *state;
    size_t i = 0;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT);
    do
        walk_note_enter(f->walk, &hello, f->jobs[i]);
    while (!open_job(f, i) && ++i < COUNT);
    assert_in_range(i, 1, 2);
    assert_int_equal(f->n, AHEAD);
}

/* What the first walk had fetched may have been evicted, or refused for quota. */
static void second_walk_gets_prefetch_again(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        open_job(f, i);
    assert_in_range(first_sign(f, 0, COUNT), 1, 7);
    assert_int_equal(f->n, AHEAD);
}

static void no_log_is_prefetched_twice_nor_beyond_the_end(void **state)
{
    struct fixture *f = *state;
    unsigned fetched[COUNT] = {0};

    walk_note_listing(f->walk, &hello, f->jobs, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        open_job(f, i);
        for (size_t k = 0; k < f->n; k++) {
            assert_in_range(f->ahead[k], f->jobs[i] + 1, f->jobs[COUNT - 1]);
            fetched[f->ahead[k] - 1000]++;
        }
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_true(fetched[i] <= 1);
    assert_int_equal(fetched[COUNT - 1], 1);
}

static void parallel_readers_that_overtake_get_prefetch(void **state)
{
    struct fixture *f = *state;
    static const size_t order[] = {1, 0, 3, 2, 5, 4, 7, 6};
    size_t total = 0;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT);
    for (size_t i = 0; i < 8; i++)
        total += open_job(f, order[i]);
    assert_in_range(total, AHEAD, AHEAD + 8);
}

static void random_opens_cause_no_prefetch(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(open_job(f, i * 37 % COUNT), 0);
}

static void repeated_opens_of_one_log_cause_no_prefetch(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT);
    for (int i = 0; i < 20; i++)
        assert_int_equal(open_job(f, 5), 0);
}

static void jobs_of_another_repository_do_not_count(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &other, f->jobs, COUNT);
    assert_int_equal(first_sign(f, 0, COUNT), COUNT);
}

static void repository_names_compare_case_insensitively(void **state)
{
    const struct repo_name loud = {"OCTO", "Hello"};
    struct fixture *f = *state;

    walk_note_listing(f->walk, &loud, f->jobs, COUNT);
    assert_true(first_sign(f, 0, COUNT) < COUNT);
}

/* From run to run: each is a listing of its own, and the walk is not to be recognised anew. */
static void walk_continues_in_the_next_listing(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, 10);
    for (size_t i = 0; i < 10; i++)
        open_job(f, i);
    walk_note_listing(f->walk, &hello, f->jobs + 10, 10);
    assert_int_equal(open_job(f, 10), 9);
}

static void listing_of_one_job_causes_no_prefetch(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, 1);
    assert_int_equal(open_job(f, 0), 0);
    walk_note_listing(f->walk, &hello, f->jobs, 0);
}

static void no_more_jobs_than_the_caller_has_space_for(void **state)
{
    struct fixture *f = *state;
    uint64_t few[3];
    size_t n = 0;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT);
    for (size_t i = 0; i < 8 && !n; i++)
        n = walk_note_open(f->walk, &hello, f->jobs[i], few, 3);
    assert_int_equal(n, 3);
}

static void number_of_remembered_listings_is_bounded(void **state)
{
    struct fixture *f = *state;
    uint64_t jobs[2];

    for (uint64_t i = 0; i < 1000; i++) {
        jobs[0] = 5000 + 2 * i;
        jobs[1] = jobs[0] + 1;
        walk_note_listing(f->walk, &hello, jobs, 2);
    }
    walk_note_listing(f->walk, &hello, f->jobs, COUNT);
    assert_true(first_sign(f, 0, COUNT) < COUNT);
}

static void prefetch_of_zero_logs_is_off(void **state)
{
    struct walk *w = walk_create(0);
    struct fixture *f = *state;

    walk_note_listing(w, &hello, f->jobs, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(walk_note_open(w, &hello, f->jobs[i], f->ahead, CAP), 0);
    walk_destroy(w);
    walk_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reader_without_a_listing_gets_no_prefetch),
        TEST(listing_alone_causes_no_prefetch),
        TEST(sequential_reader_gets_prefetch),
        TEST(reader_who_lists_job_directories_is_detected_sooner),
        TEST(second_walk_gets_prefetch_again),
        TEST(no_log_is_prefetched_twice_nor_beyond_the_end),
        TEST(parallel_readers_that_overtake_get_prefetch),
        TEST(random_opens_cause_no_prefetch),
        TEST(repeated_opens_of_one_log_cause_no_prefetch),
        TEST(jobs_of_another_repository_do_not_count),
        TEST(repository_names_compare_case_insensitively),
        TEST(walk_continues_in_the_next_listing),
        TEST(listing_of_one_job_causes_no_prefetch),
        TEST(no_more_jobs_than_the_caller_has_space_for),
        TEST(number_of_remembered_listings_is_bounded),
        TEST(prefetch_of_zero_logs_is_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
