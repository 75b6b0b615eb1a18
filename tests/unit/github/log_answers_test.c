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
    assert_false(r.metadata.final);
}

/* Answers whatever is asked as long as anything is: storage with this status, the job without a
 * time. */
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
    assert_int_equal(r.metadata.size, 4);
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

static void end_that_only_a_416_reports_makes_a_log_final(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 206, APPEND "Content-Range: bytes 0-2/3\n", "abc");
    give_job(fake_next(), "completed", "null");
    fake_answer(at_storage(fake_next(), "bytes=3-"), 416, "", "<xml>");
    assert_read(&r, "abc");
    assert_true(r.metadata.final);
}

/* -- Answers that are no logs ------------------------------------------------------------------ */

#define PLAIN "Content-Type: text/plain; charset=utf-8\n"
#define STAMPED "2026-01-02T03:04:05.0000000Z one\n"

/* The completed job's log is wanted. */
static void want_completed(void)
{
    reader_close(&r);
    reader_open(&r, &w, true);
    want_first();
    give_url(fake_next());
}

/* The answer is refused and asked for again, three times, and nothing of it is taken. */
static void assert_is_no_log(int status, const char *headers, const char *body)
{
    want_completed();
    for (int i = 0; i < 4; i++) {
        assert_int_equal(r.ends, 0);
        fake_answer(at_storage(fake_next_within(20000), FIRST), status, headers, body);
    }
    assert_failed(&r, -EPROTO, SOURCE_PROTOCOL, 5000);
    assert_int_equal(r.len, 0);
    assert_int_equal(r.reports, 0);
    assert_null(fake_next());
}

static void assert_is_log(int status, const char *headers, const char *body)
{
    want_completed();
    fake_answer(fake_next(), status, headers, body);
    assert_read(&r, body);
}

static void answer_of_another_type_is_no_log(void **state)
{
    static const char *const types[] = {
        "text/html",
        "text/html; charset=utf-8",
        "application/json",
        "application/xml",
        "multipart/byteranges",
        "text/plainer",
        "application/zip;",
        "x",
    };
    char headers[256];

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        snprintf(headers, sizeof(headers), "Content-Type: %s\n", types[i]);
        assert_is_no_log(200, headers, STAMPED);
        snprintf(headers, sizeof(headers), BLOCK "Content-Type: %s\nContent-Range: bytes 0-2/3\n",
                 types[i]);
        assert_is_no_log(206, headers, "abc");
    }
}

static void types_that_a_log_may_have(void **state)
{
    static const char *const types[] = {
        "",
        "text/plain",
        "Text/Plain ; charset=utf-8",
        "application/octet-stream",
        "binary/octet-stream",
    };
    char headers[256];

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        snprintf(headers, sizeof(headers), BLOCK "Content-Type: %s\nContent-Range: bytes 0-2/3\n",
                 types[i]);
        assert_is_log(206, headers, "abc");
    }
}

static void page_that_calls_itself_plain_is_no_log(void **state)
{
    (void)state;
    assert_is_no_log(200, PLAIN "Transfer-Encoding: chunked\n", "<!DOCTYPE html>");
    assert_is_no_log(200, "Content-Length: 12\n", "\xef\xbb\xbf \n <html>");
    assert_is_no_log(200, PLAIN "Content-Length: 18\n", "{\"message\":\"Login\"}");
    assert_is_no_log(200, "ETag: \"page\"\n", "<?xml version='1.0'?><Error/>");
}

static void blob_may_begin_like_a_page(void **state)
{
    (void)state;
    assert_is_log(206, BLOCK PLAIN "Content-Range: bytes 0-5/6\n", "<html>");
}

/* Nothing shows that storage sent it: then it must begin as all logs do, up to its length. */
static void whole_body_that_is_no_blob_must_begin_like_a_log(void **state)
{
    static const char framed[] = PLAIN "Transfer-Encoding: chunked\n";

    (void)state;
    assert_is_no_log(200, framed, "Access to this site is blocked.");
    assert_is_no_log(200, framed, "2026 is the year in which this site is blocked.");
    assert_is_no_log(200, framed, "Blocked");
    assert_is_no_log(200, "ETag: \"page\"\nAccept-Ranges: bytes\nContent-Length: 7\n", "Blocked");
    assert_is_log(200, framed, STAMPED "Blocked\n");
    assert_is_log(200, framed, "\xef\xbb\xbf\xef\xbb\xbf" STAMPED);
    assert_is_log(200, framed, "2026-01");
    assert_is_log(200, framed, "\xef\xbb\xbf");
}

/* However it comes, byte by byte or with a reader that has no space, no byte is lost or doubled. */
static void start_of_a_doubted_body_may_come_in_pieces(void **state)
{
    static const char body[] = STAMPED "two\n";
    struct net_request *q;
    int err;

    (void)state;
    want_completed();
    q = fake_next();
    assert_false(fake_begin(q, 200, PLAIN "Transfer-Encoding: chunked\n", "", 0, &err));
    for (size_t i = 0; i + 1 < sizeof(body); i++) {
        r.is_full = i == 31 || i == 33;
        if (r.is_full)
            assert_int_equal(q->on_body(q, body + i, 1), NET_PAUSE);
        r.is_full = false;
        assert_int_equal(q->on_body(q, body + i, 1), NET_TAKEN);
        if (i < 31)
            assert_int_equal(r.len, 0);
    }
    fake_end(q, 0);
    assert_read(&r, body);
}

static void empty_answer_is_no_log_of_a_job_that_ran(void **state)
{
    static const char steps[] = "{\"id\":42,\"status\":\"completed\",\"completed_at\":null,"
                                "\"steps\":[{\"number\":1,\"name\":\"a\"}]}";

    (void)state;
    for (int with_length = 0; with_length < 2; with_length++) {
        const char *headers = with_length ? PLAIN "Content-Length: 0\n"
                                          : PLAIN "Transfer-Encoding: chunked\n";
        want_completed();
        fake_answer(fake_next(), 200, headers, "");
        fake_answer(fake_next(), 200, "", steps);
        for (int i = 0; i < 3; i++)
            fake_answer(at_storage(fake_next_within(20000), FIRST), 200, headers, "");
        assert_failed(&r, -EPROTO, SOURCE_PROTOCOL, 5000);
        assert_int_equal(r.reports, 0);
        /* Of one that ran nothing there may be an empty one. */
        want_completed();
        fake_answer(fake_next(), 200, headers, "");
        give_job(fake_next(), "completed", "null");
        fake_answer(fake_next(), 200, headers, "");
        assert_read(&r, "");
        assert_true(r.metadata.final);
    }
}

static void page_once_is_not_noticed_R1(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    for (int i = 0; i < 3; i++)
        fake_answer(fake_next_within(2000), 200, BLOCK "Content-Type: text/html\n", "<html>");
    fake_answer(fake_next_within(2000), 206, BLOCK "Content-Range: bytes 0-2/3\n", "abc");
    assert_read(&r, "abc");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(s11_check_that_storage_has_no_answer_for_ends),
        TEST(s11_check_of_a_completed_job_without_a_time_ends_where_its_log_is_gone),
        TEST(r1_server_without_ranges_that_always_cuts_at_the_same_byte_is_given_up),
        TEST(body_longer_than_its_range_is_read_no_further),
        TEST(end_that_only_a_416_reports_makes_a_log_final),
        TEST(answer_of_another_type_is_no_log),
        TEST(types_that_a_log_may_have),
        TEST(page_that_calls_itself_plain_is_no_log),
        TEST(blob_may_begin_like_a_page),
        TEST(whole_body_that_is_no_blob_must_begin_like_a_log),
        TEST(start_of_a_doubted_body_may_come_in_pieces),
        TEST(empty_answer_is_no_log_of_a_job_that_ran),
        TEST(page_once_is_not_noticed_R1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
