/* Logs that the API or storage refuses again and again. */
#include "fake_reader.h"
#include "github/refusals.h"

static struct world w;
static struct reader r;
static struct reader other; /* of the same log, or of one of its own */

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

/* The log is there after all. */
static void read_abcdef(void)
{
    want_first();
    give_url(fake_next());
    fake_answer(at_storage(fake_next(), FIRST), 206, BLOCK "Content-Range: bytes 0-5/6\n",
                "abcdef");
    assert_read(&r, "abcdef");
}

/* Storage refuses everything, with these bodies in turn; how many URLs that cost. */
static unsigned refuse_at_storage(int status, const char *body, const char *other_body,
                                  unsigned *ret_refused)
{
    struct net_request *q;
    unsigned minted = 0;

    *ret_refused = 0;
    want_first();
    while (!r.ends && (q = fake_next_within(120000))) {
        if (strcmp(q->url, STORE) == 0) {
            fake_answer(q, status, "", (*ret_refused)++ % 2 ? other_body : body);
        } else {
            minted++;
            give_url(q);
        }
    }
    return minted;
}

/* A proxy on the way that lets nothing through: not a URL for each try. */
static void storage_that_refuses_all_urls_costs_few(void **state)
{
    unsigned minted, refused;

    (void)state;
    minted = refuse_at_storage(403, "<html>one", "<html>other", &refused);
    assert_in_range(minted, 4, 8);
    assert_true(refused > minted);
    assert_failed(&r, -EIO, SOURCE_BROKEN, 1000);
}

#define NO_URL "{\"message\":\"Failed to generate URL to download logs\"}"
#define AZURE                                                                                      \
    "<Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate the "          \
    "request.\nRequestId:%s\nTime:2027-01-15T08:00:0%sZ</Message></Error>"

static void refuse_url(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        struct net_request *q = fake_next_within(10000);
        assert_non_null(q);
        assert_string_equal(q->url, JOB_URL "/logs");
        fake_answer(q, 500, "", NO_URL);
    }
}

static void refused_log_of_a_completed_job_is_an_error_for_a_minute(void **state)
{
    int64_t start_ms = fake.now_ms;

    (void)state;
    want_first();
    refuse_url(4);
    give_job(fake_next(), "completed", "\"2027-01-02T03:04:05Z\"");
    assert_failed(&r, -EIO, SOURCE_REFUSED, 60000);
    assert_int_equal(fake.count, 5);
    assert_true(fake.now_ms - start_ms <= 10000);
    /* Remembered: further wants meanwhile, by other handles too, cost nothing. */
    want_first();
    assert_failed(&r, -EIO, SOURCE_REFUSED, 60000);
    reader_open(&other, &w, true);
    reader_want(&other, 0, 10, SOURCE_DEMAND);
    assert_failed(&other, -EIO, SOURCE_REFUSED, 60000);
    reader_close(&other);
    assert_int_equal(fake.count, 5);
    /* And then one request. */
    fake_advance(60000);
    want_first();
    refuse_url(1);
    assert_failed(&r, -EIO, SOURCE_REFUSED, 120000);
    fake_advance(120000);
    read_abcdef();
}

static void refused_log_of_a_job_known_as_completed_sends_no_request_for_it(void **state)
{
    (void)state;
    reader_open(&other, &w, true);
    reader_want(&other, 0, 10, SOURCE_DEMAND);
    refuse_url(4);
    assert_failed(&other, -EIO, SOURCE_REFUSED, 60000);
    assert_int_equal(fake.count, 4);
    reader_close(&other);
}

/* "No log yet" (S11): who looks again costs the job with its ETag, and a request a minute. */
static void refused_log_of_a_running_job_is_none_yet(void **state)
{
    unsigned charged = 0;
    struct net_request *q;

    (void)state;
    want_first();
    refuse_url(4);
    give_job(fake_next(), "in_progress", "null");
    assert_failed(&r, -ENOENT, SOURCE_PENDING, 3000);
    for (int i = 0; i < 360; i++) {
        fake_advance(10000);
        want_first();
        while (!r.ends && (q = fake_next_within(1000))) {
            if (strcmp(q->url, JOB_URL) == 0) {
                assert_string_equal(fake_asked(q, "If-None-Match"), "W/\"job\"");
                fake_answer(q, 304, "", "");
            } else {
                charged++;
                fake_answer(q, 500, "", NO_URL);
            }
        }
        assert_failed(&r, -ENOENT, SOURCE_PENDING, 3000);
    }
    assert_in_range(charged, 50, 60);
}

static void log_refused_while_its_job_ran_is_requested_when_the_job_has_ended(void **state)
{
    (void)state;
    want_first();
    refuse_url(4);
    give_job(fake_next(), "in_progress", "null");
    assert_failed(&r, -ENOENT, SOURCE_PENDING, 3000);
    fake_advance(3000);
    want_first();
    give_job(fake_next(), "completed", "\"2027-01-15T08:00:00Z\"");
    give_url(fake_next());
    fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 0-2/3\n", "abc");
    assert_read(&r, "abc");
}

/* By another handle, whose reader knows it from a listing. */
static void log_refused_while_its_job_ran_is_requested_by_who_knows_its_end(void **state)
{
    (void)state;
    want_first();
    refuse_url(4);
    give_job(fake_next(), "queued", "null");
    assert_failed(&r, -ENOENT, SOURCE_PENDING, 3000);
    reader_open(&other, &w, true);
    reader_want(&other, 0, 3, SOURCE_DEMAND);
    give_url(fake_next());
    fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 0-2/3\n", "abc");
    assert_read(&other, "abc");
    reader_close(&other);
}

static void refused_log_of_a_job_that_is_refused_too_is_an_error(void **state)
{
    int64_t start_ms = fake.now_ms;

    (void)state;
    want_first();
    refuse_url(4);
    fake_answer(fake_next(), 500, "", "no");
    assert_failed(&r, -EIO, SOURCE_REFUSED, 60000);
    assert_int_equal(fake.count, 5);
    assert_true(fake.now_ms - start_ms <= 10000);
}

static void refused_log_of_a_job_that_is_not_there_is_absent(void **state)
{
    (void)state;
    want_first();
    refuse_url(4);
    fake_answer(fake_next(), 404, "", "{\"message\":\"Not Found\"}");
    assert_failed(&r, -ENOENT, SOURCE_NOT_FOUND, 30000);
}

static void r1_url_refused_three_times_is_not_noticed(void **state)
{
    (void)state;
    want_first();
    refuse_url(3);
    give_url(fake_next_within(10000));
    fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 0-2/3\n", "abc");
    assert_read(&r, "abc");
}

/* Azure sends the request's id and the time each time. */
static void storage_that_refuses_in_the_same_way_is_given_up_after_four_tries(void **state)
{
    int64_t start_ms = fake.now_ms;
    char one[256], two[256];
    unsigned refused;

    (void)state;
    snprintf(one, sizeof(one), AZURE, "5d2c-01", "1");
    snprintf(two, sizeof(two), AZURE, "77aa-ff", "2");
    assert_int_equal(refuse_at_storage(403, one, two, &refused), 4);
    assert_int_equal(refused, 4);
    assert_failed(&r, -EIO, SOURCE_REFUSED, 60000);
    assert_true(fake.now_ms - start_ms <= 10000);
    want_first();
    assert_failed(&r, -EIO, SOURCE_REFUSED, 60000);
    assert_int_equal(fake.count, 8);
    fake_advance(60000);
    assert_int_equal(refuse_at_storage(403, one, two, &refused), 1);
    assert_int_equal(refused, 1);
    assert_failed(&r, -EIO, SOURCE_REFUSED, 120000);
    fake_advance(120000);
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 0-2/3\n", "abc");
    assert_read(&r, "abc");
}

/* A URL that has grown old may have expired: what others proved does not apply to it. */
static void r1_old_url_is_renewed_where_others_are_refused_for_good(void **state)
{
    static struct reader crowd[REFUSALS_PROOFS];
    struct net_request *q;

    (void)state;
    read_abcdef();
    fake_advance(300000);
    for (size_t i = 0; i < REFUSALS_PROOFS; i++) {
        static const struct source_log_ops ops = {.on_metadata = reader_on_metadata};
        crowd[i] = (struct reader){.world = &w};
        crowd[i].log = w.source.ops->log_create(w.source.self, &octo_hello, 100 + i, true, &ops,
                                                &crowd[i], NULL);
        reader_want(&crowd[i], 0, 10, SOURCE_DEMAND);
        while ((q = fake_next_within(10000)))
            strcmp(q->url, STORE) == 0 ? fake_answer(q, 403, "", "<xml>")
                                       : fake_answer(q, 302, "Location: " STORE "\n", "");
        assert_failed(&crowd[i], -EIO, SOURCE_REFUSED, -1);
        reader_close(&crowd[i]);
    }
    reader_want(&r, 2, 4, SOURCE_DEMAND);
    fake_answer(at_storage(fake_next(), "bytes=2-3"), 403, "", "<xml>");
    give_url(fake_next());
    fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 2-3/6\n", "cd");
    assert_read(&r, "cd");
}

static void storage_that_fails_in_the_same_way_is_given_up_after_four_tries(void **state)
{
    unsigned refused;

    (void)state;
    assert_int_equal(refuse_at_storage(500, "<html>no", "<html>no", &refused), 1);
    assert_int_equal(refused, 4);
    assert_failed(&r, -EIO, SOURCE_REFUSED, 60000);
}

static void prefetch_of_a_refused_log_is_one_request(void **state)
{
    (void)state;
    reader_want(&r, 0, SOURCE_FIRST_RANGE, SOURCE_PREFETCH);
    refuse_url(1);
    assert_failed(&r, -EIO, SOURCE_LIMITED, 0);
    reader_want(&r, 0, SOURCE_FIRST_RANGE, SOURCE_PREFETCH);
    give_url(fake_next());
    fake_answer(fake_next(), 503, "", "<xml>");
    assert_failed(&r, -EIO, SOURCE_LIMITED, 0);
    assert_int_equal(fake.count, 3);
    /* Of one that a reader has joined the refusal is found out. */
    reader_want(&r, 0, SOURCE_FIRST_RANGE, SOURCE_PREFETCH);
    w.source.ops->log_promote(w.source.self, 42);
    for (int i = 0; i < 4; i++)
        fake_answer(fake_next_within(10000), 503, "", "<xml>");
    assert_failed(&r, -EIO, SOURCE_REFUSED, 60000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(storage_that_refuses_all_urls_costs_few),
        TEST(refused_log_of_a_completed_job_is_an_error_for_a_minute),
        TEST(refused_log_of_a_job_known_as_completed_sends_no_request_for_it),
        TEST(refused_log_of_a_running_job_is_none_yet),
        TEST(log_refused_while_its_job_ran_is_requested_when_the_job_has_ended),
        TEST(log_refused_while_its_job_ran_is_requested_by_who_knows_its_end),
        TEST(refused_log_of_a_job_that_is_refused_too_is_an_error),
        TEST(refused_log_of_a_job_that_is_not_there_is_absent),
        TEST(r1_url_refused_three_times_is_not_noticed),
        TEST(storage_that_refuses_in_the_same_way_is_given_up_after_four_tries),
        TEST(r1_old_url_is_renewed_where_others_are_refused_for_good),
        TEST(storage_that_fails_in_the_same_way_is_given_up_after_four_tries),
        TEST(prefetch_of_a_refused_log_is_one_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
