/* A reader of a whole listing is detected; one that reads some of it is not (P5, S3). */
#include "views/walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#define AHEAD 32
#define COUNT 100

static const struct repo_name hello = {"octo", "hello"}, other = {"octo", "other"};

struct fixture {
    struct walk *walk;
    struct walk_job jobs[COUNT];
    struct walk_next next;
};

static int setup(void **state)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    f.walk = walk_create(AHEAD);
    for (size_t i = 0; i < COUNT; i++)
        f.jobs[i] = (struct walk_job){1000 + i, 10 + i / 10};
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
    walk_note_use(f->walk, &hello, f->jobs[i].id, true, 0, &f->next);
    return f->next.count;
}

/* As a reader does that goes from directory to directory. */
static size_t enter_and_open(struct fixture *f, size_t i)
{
    walk_note_enter(f->walk, &hello, f->jobs[i].id, 0);
    return open_job(f, i);
}

static uint64_t ahead(const struct fixture *f, size_t i)
{
    return f->next.jobs[i].id;
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

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    walk_note_enter(f->walk, &hello, f->jobs[0].id, 0);
    assert_int_equal(open_job(f, 50), 0);
    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    assert_int_equal(open_job(f, 3), 0);
}

/* A thread that has listed the jobs, then the job's directory: as grep -r does, and no shell. */
static void thread_that_descends_is_a_reader_at_its_first_log_S20(void **state)
{
    static const int64_t threads[][4] = {
        {7, 7, 7, AHEAD}, {7, 7, 8, 0}, {7, 8, 8, 0}, {8, 7, 7, 0}, {0, 0, 0, 0}};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
        struct walk *w = walk_create(AHEAD);

        walk_note_listing(w, &hello, f->jobs, COUNT, threads[i][0]);
        walk_note_enter(w, &hello, f->jobs[0].id, threads[i][1]);
        walk_note_use(w, &hello, f->jobs[0].id, true, threads[i][2], &f->next);
        assert_int_equal(f->next.count, threads[i][3]);
        walk_destroy(w);
    }
    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 7);
    walk_note_enter(f->walk, &hello, f->jobs[0].id, 7);
    walk_note_use(f->walk, &hello, f->jobs[1].id, true, 7, &f->next); /* of another directory */
    assert_int_equal(f->next.count, 0);
}

static void sequential_reader_gets_prefetch(void **state)
{
    struct fixture *f = *state;
    size_t at;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    at = first_sign(f, 0, COUNT);
    assert_in_range(at, 1, 7);
    assert_int_equal(f->next.count, AHEAD);
    for (size_t i = 0; i < f->next.count; i++)
        assert_int_equal(ahead(f, i), f->jobs[at + 1 + i].id);
    assert_int_equal(open_job(f, at + 1), 1);
    assert_int_equal(ahead(f, 0), f->jobs[at + 1 + AHEAD].id);
}

/* grep -r lists each job's directory before it opens the log in it. */
static void reader_who_lists_job_directories_is_detected_sooner(void **state)
{
    struct fixture *f = *state;
    size_t i = 0;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    do
        walk_note_enter(f->walk, &hello, f->jobs[i].id, 0);
    while (!open_job(f, i) && ++i < COUNT);
    assert_in_range(i, 1, 2);
    assert_int_equal(f->next.count, AHEAD);
}

/* What the first walk had fetched may have been evicted, or refused for quota. */
static void second_walk_gets_prefetch_again(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    for (size_t i = 0; i < COUNT; i++)
        open_job(f, i);
    assert_in_range(first_sign(f, 0, COUNT), 1, 7);
    assert_int_equal(f->next.count, AHEAD);
}

static void no_log_is_prefetched_twice_nor_beyond_the_end(void **state)
{
    struct fixture *f = *state;
    unsigned fetched[COUNT] = {0};

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    for (size_t i = 0; i < COUNT; i++) {
        open_job(f, i);
        for (size_t k = 0; k < f->next.count; k++) {
            assert_in_range(ahead(f, k), f->jobs[i].id + 1, f->jobs[COUNT - 1].id);
            fetched[ahead(f, k) - 1000]++;
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

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    for (size_t i = 0; i < 8; i++)
        total += open_job(f, order[i]);
    assert_in_range(total, AHEAD, AHEAD + 8);
}

static void random_opens_cause_no_prefetch(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(open_job(f, i * 37 % COUNT), 0);
}

static void repeated_opens_of_one_log_cause_no_prefetch(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(open_job(f, 5), 0);
}

static void jobs_of_another_repository_do_not_count(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &other, f->jobs, COUNT, 0);
    assert_int_equal(first_sign(f, 0, COUNT), COUNT);
}

static void repository_names_compare_case_insensitively(void **state)
{
    const struct repo_name loud = {"OCTO", "Hello"};
    struct fixture *f = *state;

    walk_note_listing(f->walk, &loud, f->jobs, COUNT, 0);
    assert_true(first_sign(f, 0, COUNT) < COUNT);
}

/* From run to run: each is a listing of its own, and the walk is not to be recognised anew. */
static void walk_continues_in_the_next_listing(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, 10, 0);
    for (size_t i = 0; i < 10; i++)
        open_job(f, i);
    walk_note_listing(f->walk, &hello, f->jobs + 10, 10, 0);
    assert_int_equal(enter_and_open(f, 10), 9);
}

static void listing_of_one_job_causes_no_prefetch(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, 1, 0);
    assert_int_equal(open_job(f, 0), 0);
    walk_note_listing(f->walk, &hello, f->jobs, 0, 0);
}

static void no_more_jobs_than_there_is_space_for(void **state)
{
    struct walk *w = walk_create(1000);
    struct walk_job jobs[2 * WALK_NEXT_MAX];
    struct walk_next next = {0};

    (void)state;
    for (size_t i = 0; i < 2 * WALK_NEXT_MAX; i++)
        jobs[i] = (struct walk_job){1 + i, 1};
    walk_note_listing(w, &hello, jobs, 2 * WALK_NEXT_MAX, 0);
    for (size_t i = 0; i < 8 && !next.count; i++)
        walk_note_use(w, &hello, jobs[i].id, true, 0, &next);
    assert_int_equal(next.count, WALK_NEXT_MAX);
    walk_destroy(w);
}

static void number_of_remembered_listings_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct walk_job jobs[2];

    for (uint64_t i = 0; i < 1000; i++) {
        jobs[0] = (struct walk_job){5000 + 2 * i, i};
        jobs[1] = (struct walk_job){5001 + 2 * i, i};
        walk_note_listing(f->walk, &hello, jobs, 2, 0);
    }
    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    assert_true(first_sign(f, 0, COUNT) < COUNT);
}

static void prefetch_of_zero_logs_is_off(void **state)
{
    struct walk *w = walk_create(0);
    struct fixture *f = *state;

    walk_note_listing(w, &hello, f->jobs, COUNT, 0);
    for (size_t i = 0; i < COUNT; i++) {
        walk_note_use(w, &hello, f->jobs[i].id, true, 0, &f->next);
        assert_false(f->next.is_walk || f->next.count);
    }
    walk_destroy(w);
    walk_destroy(NULL);
}

/* -- Any order (S20) --------------------------------------------------------------------------- */

/* rg takes the last directory first. */
static void s20_a_reader_in_reverse_gets_prefetch_in_reverse(void **state)
{
    struct fixture *f = *state;
    size_t at = COUNT - 1;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    while (!enter_and_open(f, at))
        assert_true(--at > COUNT - 4);
    assert_int_equal(f->next.count, AHEAD);
    for (size_t i = 0; i < AHEAD; i++)
        assert_int_equal(ahead(f, i), f->jobs[at - 1 - i].id);
    assert_int_equal(enter_and_open(f, at - 1), 1);
    assert_int_equal(ahead(f, 0), f->jobs[at - 1 - AHEAD].id);
}

/* cp -r takes them in the order of inode numbers: no telling what comes next, but a walk. */
static void s20_a_reader_in_no_order_is_a_walk_without_prefetch(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(enter_and_open(f, i * 37 % COUNT), 0);
        assert_int_equal(f->next.is_walk, i >= 2);
    }
}

static void s20_readers_in_several_places_share_what_is_prefetched(void **state)
{
    struct fixture *f = *state;
    size_t total = 0;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    for (size_t i = 0; i < 4; i++) {
        total += enter_and_open(f, i);
        total += enter_and_open(f, 50 + i);
    }
    assert_true(f->next.is_walk);
    assert_in_range(total, AHEAD, AHEAD + 8);
}

/* Its size is known: no request was needed for it, nor will one be for the next. */
static void s20_asking_for_sizes_that_are_here_is_no_sign(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    for (size_t i = 0; i < COUNT; i++) {
        walk_note_enter(f->walk, &hello, f->jobs[i].id, 0);
        walk_note_use(f->walk, &hello, f->jobs[i].id, false, 0, &f->next);
        assert_false(f->next.is_walk);
    }
}

/* But it was prefetched: without that it would have needed one. */
static void s20_asking_for_sizes_that_were_prefetched_keeps_the_walk_going(void **state)
{
    struct fixture *f = *state;
    size_t at;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    at = first_sign(f, 0, COUNT);
    for (size_t i = at + 1; i + AHEAD < COUNT; i++) {
        walk_note_use(f->walk, &hello, f->jobs[i].id, false, 0, &f->next);
        assert_int_equal(f->next.count, 1);
        assert_int_equal(ahead(f, 0), f->jobs[i + AHEAD].id);
    }
}

/* A request that waits asks again when it is woken, and its file is opened later. */
static void s20_further_uses_of_a_log_are_no_sign(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(open_job(f, i % 3), 0);
        assert_false(f->next.is_walk);
    }
}

static void s20_a_directory_listed_again_begins_a_new_walk(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    for (size_t i = 0; i < 20; i++)
        enter_and_open(f, i);
    assert_int_equal(enter_and_open(f, 0), 0);
    assert_int_equal(enter_and_open(f, 1), AHEAD);
    assert_int_equal(ahead(f, 0), f->jobs[2].id);
}

/* Who has read one run as a whole and then one log of another is not on the way through that. */
static void s20_one_log_after_a_walk_is_no_walk(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, 10, 0);
    for (size_t i = 0; i < 10; i++)
        enter_and_open(f, i);
    walk_note_listing(f->walk, &hello, f->jobs + 10, 10, 0);
    assert_int_equal(open_job(f, 12), 0);
    assert_false(f->next.is_walk);
}

/* -- Runs (S20) -------------------------------------------------------------------------------- */

static void s20_a_run_is_taken_once_in_a_walk(void **state)
{
    struct fixture *f = *state;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    assert_true(walk_take_run(f->walk, &hello, f->jobs[3].id));
    assert_false(walk_take_run(f->walk, &hello, f->jobs[9].id));
    assert_true(walk_take_run(f->walk, &hello, f->jobs[10].id));
    for (size_t i = 0; i < COUNT; i++)
        open_job(f, i);
    open_job(f, 0);
    assert_true(walk_take_run(f->walk, &hello, f->jobs[3].id));
    assert_false(walk_take_run(f->walk, &other, f->jobs[50].id));
    f->jobs[0].run = 0;
    walk_note_listing(f->walk, &other, f->jobs, 5, 0);
    assert_false(walk_take_run(f->walk, &other, f->jobs[0].id));
}

static void s20_a_run_put_back_comes_again(void **state)
{
    struct fixture *f = *state;
    size_t at;

    walk_note_listing(f->walk, &hello, f->jobs, COUNT, 0);
    at = first_sign(f, 0, COUNT);
    assert_true(walk_take_run(f->walk, &hello, f->jobs[at + 1].id));
    walk_put_back(f->walk, &hello, f->jobs[at + 1].id);
    assert_true(walk_take_run(f->walk, &hello, f->jobs[at + 1].id));
    assert_true(open_job(f, at + 1) > 2);
    assert_int_equal(ahead(f, 0), f->jobs[at + 2].id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reader_without_a_listing_gets_no_prefetch),
        TEST(listing_alone_causes_no_prefetch),
        TEST(thread_that_descends_is_a_reader_at_its_first_log_S20),
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
        TEST(no_more_jobs_than_there_is_space_for),
        TEST(number_of_remembered_listings_is_bounded),
        TEST(prefetch_of_zero_logs_is_off),
        TEST(s20_a_reader_in_reverse_gets_prefetch_in_reverse),
        TEST(s20_a_reader_in_no_order_is_a_walk_without_prefetch),
        TEST(s20_readers_in_several_places_share_what_is_prefetched),
        TEST(s20_asking_for_sizes_that_are_here_is_no_sign),
        TEST(s20_asking_for_sizes_that_were_prefetched_keeps_the_walk_going),
        TEST(s20_further_uses_of_a_log_are_no_sign),
        TEST(s20_a_directory_listed_again_begins_a_new_walk),
        TEST(s20_one_log_after_a_walk_is_no_walk),
        TEST(s20_a_run_is_taken_once_in_a_walk),
        TEST(s20_a_run_put_back_comes_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
