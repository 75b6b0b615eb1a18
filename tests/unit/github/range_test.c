/* Ranges of a log that storage answers in ways it should not. */
#include "fake_reader.h"

static struct world w;
static struct reader r;

static int setup(void **state)
{
    (void)state;
    world_begin(&w);
    reader_open(&r, &w, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    reader_close(&r);
    world_end(&w);
    return 0;
}

static void want_first(void)
{
    reader_want(&r, 0, SOURCE_FIRST_RANGE, SOURCE_DEMAND);
}

/* A running job's log of three bytes so far. */
static void read_running(void)
{
    want_first();
    give_url(fake_next());
    fake_answer(at_storage(fake_next(), FIRST), 206, APPEND "Content-Range: bytes 0-2/3\n", "abc");
    give_job(fake_next(), "in_progress", "null");
    assert_read(&r, "abc");
    assert_false(r.told.final);
}

/* Answers whatever is asked as long as anything is: storage with this status, no job with a time. */
static void answer_all(int storage_status, const char *job_status)
{
    struct net_request *q;

    for (int i = 0; i < 20 && (q = fake_next()); i++) {
        if (strcmp(q->url, JOB_URL) == 0)
            give_job(q, job_status, "null");
        else if (strcmp(q->url, STORE) == 0)
            fake_answer(q, storage_status, "", "<xml>");
        else
            give_url(q);
    }
    assert_null(fake_next());
}

/* -- A log that is gone ------------------------------------------------------------------------ */

static void s11_check_that_storage_has_no_answer_for_ends(void **state)
{
    (void)state;
    read_running();
    reader_check(&r);
    answer_all(404, "in_progress");
    assert_int_equal(r.checks, 1);
    reader_check(&r);
    answer_all(404, "in_progress");
    assert_int_equal(r.checks, 1);
    /* It is back. */
    fake_advance(60000);
    reader_check(&r);
    give_job(fake_next(), "in_progress", "null");
    if (strcmp(fake_next()->url, STORE) != 0)
        give_url(fake_next());
    fake_answer(at_storage(fake_next(), "bytes=3-"), 206, APPEND "Content-Range: bytes 3-3/4\n",
                "d");
    assert_int_equal(r.checks, 1);
    assert_int_equal(r.told.size, 4);
}

static void s11_check_of_a_completed_job_without_a_time_ends_where_its_log_is_gone(void **state)
{
    (void)state;
    read_running();
    fake_advance(60000);
    reader_check(&r);
    give_job(fake_next(), "completed", "null");
    answer_all(404, "completed");
    assert_int_equal(r.checks, 1);
}

/* -- Bodies ------------------------------------------------------------------------------------ */

static void r1_server_without_ranges_that_always_cuts_at_the_same_byte_is_given_up(void **state)
{
    int64_t start_ms = fake.now_ms;
    unsigned tries = 0;

    (void)state;
    want_first();
    give_url(fake_next());
    while (r.ends == 0 && tries < 1000) {
        struct net_request *q = fake_next_within(DEADLINE_MS);
        if (strcmp(q->url, STORE) != 0)
            give_url(q);
        else
            fake_cut(q, 200, BLOCK "Content-Length: 6\n", "abc", 3, -EIO);
        tries++;
    }
    assert_failed(&r, -EIO, SOURCE_BROKEN, 1000);
    assert_in_range(tries, 12, 100);
    assert_in_range(fake.now_ms - start_ms, DEADLINE_MS, DEADLINE_MS);
}

static void body_longer_than_its_range_is_read_no_further(void **state)
{
    struct net_request *q;
    int err;

    (void)state;
    want_first();
    give_url(fake_next());
    q = fake_next();
    assert_false(fake_begin(q, 206, BLOCK "Content-Range: bytes 0-2/6\n", "abc", 3, &err));
    assert_int_equal(q->on_body(q, "def", 3), -ECANCELED);
    fake_end(q, -ECANCELED);
    fake_answer(at_storage(fake_next_within(500), "bytes=3-1048575"), 206,
                BLOCK "Content-Range: bytes 3-5/6\n", "def");
    assert_read(&r, "abcdef");
}

static void end_that_is_told_by_a_416_alone_makes_a_log_final(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 206, APPEND "Content-Range: bytes 0-2/3\n", "abc");
    give_job(fake_next(), "completed", "null");
    fake_answer(at_storage(fake_next(), "bytes=3-"), 416, "", "<xml>");
    assert_read(&r, "abc");
    assert_true(r.told.final);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(s11_check_that_storage_has_no_answer_for_ends),
        TEST(s11_check_of_a_completed_job_without_a_time_ends_where_its_log_is_gone),
        TEST(r1_server_without_ranges_that_always_cuts_at_the_same_byte_is_given_up),
        TEST(body_longer_than_its_range_is_read_no_further),
        TEST(end_that_is_told_by_a_416_alone_makes_a_log_final),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
