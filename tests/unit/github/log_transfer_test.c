/* A log from the question to its last byte: hops, ranges, finality, and what goes wrong between. */
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

/* A whole log of a block blob, so that the tests after it start with a final one. */
static void read_abcdef(void)
{
    want_first();
    give_url(fake_next());
    fake_answer(at_storage(fake_next(), FIRST), 206, BLOCK "Content-Range: bytes 0-5/6\n",
                "abcdef");
    assert_read(&r, "abcdef");
}

/* A running job's log of three bytes so far. */
static void read_running(void)
{
    want_first();
    give_url(fake_next());
    fake_answer(at_storage(fake_next(), FIRST), 206, APPEND "Content-Range: bytes 0-2/3\n", "abc");
    give_job(fake_next(), "in_progress", "null");
    assert_read(&r, "abc");
    assert_int_equal(r.reports, 1);
    assert_false(r.metadata.final);
}

/* -- What it costs ----------------------------------------------------------------------------- */

static void s3_cold_log_is_one_question_and_one_range(void **state)
{
    (void)state;
    read_abcdef();
    assert_int_equal(fake.count, 2);
    assert_int_equal(r.reports, 1);
    assert_int_equal(r.metadata.size, 6);
    assert_true(r.metadata.final);
    assert_false(r.metadata.whole);
    assert_string_equal(r.metadata.etag, "\"e1\"");
}

static enum progress_cause cause_of(const struct reader *reader)
{
    int64_t until_ms;

    return progress_wait_get(&reader->waits_for, &until_ms);
}

/* The same note for all that is asked about a log. */
static void log_notes_which_hop_it_waits_for(void **state)
{
    (void)state;
    want_first();
    assert_int_equal(cause_of(&r), PROGRESS_GITHUB);
    give_url(fake_next());
    assert_int_equal(cause_of(&r), PROGRESS_STORAGE);
    fake_fail(at_storage(fake_next(), FIRST), -ECONNRESET);
    assert_int_equal(cause_of(&r), PROGRESS_RETRY);
    fake_answer(at_storage(fake_next_within(DEADLINE_MS), FIRST), 206,
                APPEND "Content-Range: bytes 0-2/3\n", "abc");
    assert_int_equal(cause_of(&r), PROGRESS_GITHUB); /* whether its job is completed */
    give_job(fake_next(), "in_progress", "null");
    assert_read(&r, "abc");
}

static void r7_token_goes_to_the_api_and_not_to_storage(void **state)
{
    (void)state;
    want_first();
    assert_string_equal(fake_asked(fake_next(), "Authorization"), "Bearer token-1");
    assert_string_equal(fake_asked(fake_next(), "X-GitHub-Api-Version"), "2022-11-28");
    assert_false(fake_next()->express);
    give_url(fake_next());
    assert_null(fake_asked(fake_next(), "Authorization"));
    assert_true(fake_next()->express);
    fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 0-2/3\n", "abc");
    assert_read(&r, "abc");
}

static void s3_url_is_used_again_for_further_ranges(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 0-2/9\n", "abc");
    /* What came is less than the megabyte that was asked for: the rest is asked for at once. */
    fake_answer(at_storage(fake_next(), "bytes=3-1048575"), 206,
                BLOCK "Content-Range: bytes 3-8/9\n", "defghi");
    assert_read(&r, "abcdefghi");
    assert_int_equal(fake.count, 3);
}

static void url_of_ten_minutes_is_not_used_again(void **state)
{
    (void)state;
    read_abcdef();
    fake_advance(10 * 60 * 1000);
    reader_want(&r, 0, 6, SOURCE_DEMAND);
    give_url(fake_next());
    fake_answer(at_storage(fake_next(), "bytes=0-5"), 206, BLOCK "Content-Range: bytes 0-5/6\n",
                "abcdef");
    assert_read(&r, "abcdef");
}

static void ranges_of_one_log_share_one_question_for_the_url(void **state)
{
    (void)state;
    other = (struct reader){.world = &w, .log = r.log};
    want_first();
    reader_want(&other, 2, 4, SOURCE_DEMAND);
    assert_int_equal(fake.count, 1);
    give_url(fake_next());
    assert_int_equal(fake.count, 3);
    fake_answer(at_storage(fake_next(), FIRST), 206, BLOCK "Content-Range: bytes 0-5/6\n",
                "abcdef");
    other.reports = r.reports;
    fake_answer(at_storage(fake_next(), "bytes=2-3"), 206, BLOCK "Content-Range: bytes 2-3/6\n",
                "cd");
    assert_read(&other, "cd");
    assert_int_equal(r.reports, 1);
}

/* -- Final or not (S8, S11) -------------------------------------------------------------------- */

static void s8_sealed_append_blob_is_final(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 206, SEALED "Content-Range: bytes 0-2/3\n", "abc");
    assert_read(&r, "abc");
    assert_true(r.metadata.final);
    assert_null(fake_next());
}

static void s8_job_known_as_completed_before_makes_it_final(void **state)
{
    (void)state;
    reader_close(&r);
    reader_open(&r, &w, true);
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 206, APPEND "Content-Range: bytes 0-2/3\n", "abc");
    assert_read(&r, "abc");
    assert_true(r.metadata.final);
    assert_int_equal(fake.count, 2);
}

static void s8_end_is_asked_for_once_more_after_the_job_is_seen_completed(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 206, APPEND "Content-Range: bytes 0-2/3\n", "abc");
    assert_int_equal(r.ends, 0);
    give_job(fake_next(), "completed", "\"2027-01-02T03:04:05Z\"");
    assert_int_equal(r.reports, 0);
    fake_answer(at_storage(fake_next(), "bytes=3-"), 416, "Content-Range: bytes */3\n", "<xml>");
    assert_read(&r, "abc");
    assert_true(r.metadata.final);
    assert_int_equal(r.metadata.completed_ms, INT64_C(1798859045000));
    assert_int_equal(w.learnt, 1);
}

static void s8_log_that_grew_before_the_job_ended_is_reported_with_its_last_size(void **state)
{
    (void)state;
    reader_want(&r, 0, 3, SOURCE_DEMAND);
    give_url(fake_next());
    fake_answer(fake_next(), 206, APPEND "Content-Range: bytes 0-2/3\n", "abc");
    give_job(fake_next(), "completed", "null");
    fake_answer(at_storage(fake_next(), "bytes=3-"), 206, APPEND "Content-Range: bytes 3-4/5\n",
                "de");
    assert_read(&r, "abc");
    assert_int_equal(r.reports, 1);
    assert_int_equal(r.metadata.size, 5);
    assert_true(r.metadata.final);
}

static void s4_size_is_found_out_while_the_bytes_come(void **state)
{
    struct net_request *storage, *job;
    int err;

    (void)state;
    want_first();
    give_url(fake_next());
    storage = fake_next();
    assert_false(fake_begin(storage, 206, APPEND "Content-Range: bytes 0-5/6\n", "abc", 3, &err));
    list_remove(&storage->link);
    job = fake_next();
    give_job(job, "in_progress", "null");
    assert_int_equal(r.reports, 1);
    assert_int_equal(r.metadata.size, 6);
    assert_int_equal(storage->on_body(storage, "def", 3), NET_TAKEN);
    fake_end(storage, 0);
    assert_read(&r, "abcdef");
}

static void s11_running_log_grows_and_becomes_final(void **state)
{
    (void)state;
    read_running();
    reader_check(&r);
    fake_answer(at_storage(fake_next(), "bytes=3-"), 416, "Content-Range: bytes */3\n", "");
    assert_int_equal(r.checks, 1);
    assert_int_equal(r.reports, 1);
    reader_check(&r);
    fake_answer(at_storage(fake_next(), "bytes=3-"), 206,
                "x-ms-blob-type: AppendBlob\nETag: \"e2\"\nContent-Range: bytes 3-5/6\n", "def");
    assert_int_equal(r.checks, 1);
    assert_int_equal(r.reports, 2);
    assert_int_equal(r.metadata.size, 6);
    assert_false(r.metadata.final);
    fake_advance(60000);
    reader_check(&r);
    assert_string_equal(fake_asked(fake_next(), "If-None-Match"), "W/\"job\"");
    give_job(fake_next(), "completed", "\"2027-01-02T03:04:05Z\"");
    fake_answer(at_storage(fake_next(), "bytes=6-"), 416, "Content-Range: bytes */6\n", "");
    assert_int_equal(r.reports, 3);
    assert_true(r.metadata.final);
    assert_int_equal(r.checks, 1);
    reader_check(&r);
    assert_null(fake_next());
    assert_int_equal(r.checks, 1);
}

/* One check a second for an hour; URLs live for `life_ms`. Counts what is charged. */
static unsigned follow_for_an_hour(int64_t life_ms)
{
    int64_t minted_ms = fake.now_ms, end_ms = fake.now_ms + 3600000;
    unsigned charged = 0;
    struct net_request *q;

    read_running();
    while (fake.now_ms < end_ms) {
        reader_check(&r);
        while ((q = fake_next_within(5000))) {
            if (strcmp(q->url, JOB_URL) == 0) {
                charged++;
                fake_answer(q, 304, "", "");
            } else if (strcmp(q->url, STORE) != 0) {
                charged++;
                minted_ms = fake.now_ms;
                give_url(q);
            } else if (fake.now_ms - minted_ms >= life_ms) {
                fake_answer(q, 403, "", "<xml>");
            } else {
                fake_answer(q, 416, "Content-Range: bytes */3\n", "");
            }
        }
        assert_int_equal(r.checks, 1);
        fake_advance(1000);
    }
    return charged;
}

static void p12_following_a_job_costs_at_most_120_an_hour(void **state)
{
    (void)state;
    assert_in_range(follow_for_an_hour(60000), 60, 120);
}

static void p12_holds_where_urls_live_for_a_second(void **state)
{
    (void)state;
    assert_in_range(follow_for_an_hour(1000), 60, 200);
}

/* -- Empty and absent -------------------------------------------------------------------------- */

static void empty_block_blob_is_a_final_log(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 416, BLOCK "Content-Range: bytes */0\n", "<xml>");
    assert_read(&r, "");
    assert_true(r.metadata.final);
    assert_int_equal(r.metadata.size, 0);
}

static void empty_log_of_a_running_job_is_none_yet(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 416, "Content-Range: bytes */0\n", "");
    give_job(fake_next(), "in_progress", "null");
    assert_failed(&r, -ENOENT, SOURCE_PENDING, 3000);
    assert_int_equal(r.reports, 0);
}

static void no_log_of_a_running_job_is_none_yet(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 404, "", "<xml>");
    give_job(fake_next(), "queued", "null");
    assert_failed(&r, -ENOENT, SOURCE_PENDING, 3000);
}

/* Asked once more by the same handle: the same URL, and the job with its ETag, which is not
 * charged. */
static void p12_no_log_yet_is_asked_for_again_at_no_cost(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 404, "", "<xml>");
    give_job(fake_next(), "in_progress", "null");
    assert_failed(&r, -ENOENT, SOURCE_PENDING, 3000);
    fake_advance(3000);
    want_first();
    fake_answer(at_storage(fake_next(), FIRST), 404, "", "<xml>");
    assert_string_equal(fake_asked(fake_next(), "If-None-Match"), "W/\"job\"");
    fake_answer(fake_next(), 304, "", "");
    assert_failed(&r, -ENOENT, SOURCE_PENDING, 3000);
}

/* Storage is asked again once the job is seen completed: the log may have come in between. */
static void absent_after_completion(const char *completed_at, int64_t lasts_ms)
{
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 404, "", "<xml>");
    give_job(fake_next(), "completed", completed_at);
    fake_answer(at_storage(fake_next(), FIRST), 404, "", "<xml>");
    assert_failed(&r, -ENOENT, SOURCE_NEVER, lasts_ms);
}

static void no_log_of_a_job_completed_today_is_asked_for_again(void **state)
{
    (void)state;
    absent_after_completion("\"2027-01-15T07:50:00Z\"", 600000);
}

static void no_log_of_an_old_job_stays_away_for_a_day(void **state)
{
    (void)state;
    absent_after_completion("\"2027-01-02T03:04:05Z\"", 86400000);
    assert_int_equal(r.failure.completed_s, 1798859045);
}

/* One that was cancelled in the queue: nothing can have come in between. */
static void s19_no_log_of_a_job_that_never_ran_is_asked_for_again(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 404, "", "<xml>");
    give_job(fake_next(), "completed",
             "\"2027-01-02T03:04:05Z\",\"runner_id\":0,\"runner_name\":\"\",\"steps\":[]");
    assert_failed(&r, -ENOENT, SOURCE_NEVER, 86400000);
}

static void log_that_came_while_the_job_was_asked_about_is_read(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 404, "", "<xml>");
    give_job(fake_next(), "completed", "null");
    fake_answer(fake_next(), 206, APPEND "Content-Range: bytes 0-2/3\n", "abc");
    assert_read(&r, "abc");
    assert_true(r.metadata.final);
}

static void statuses_of_the_api_become_reasons(void **state)
{
    static const struct {
        int status, err;
        enum source_reason reason;
        int64_t lasts_ms;
    } cases[] = {
        {404, -ENOENT, SOURCE_NOT_FOUND, 30000}, {410, -ENOENT, SOURCE_EXPIRED, -1},
        {403, -EACCES, SOURCE_FORBIDDEN, 30000}, {200, -EPROTO, SOURCE_PROTOCOL, 5000},
        {422, -EPROTO, SOURCE_PROTOCOL, 5000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        want_first();
        fake_answer(fake_next(), cases[i].status, "", "{\"message\":\"No\"}");
        assert_failed(&r, cases[i].err, cases[i].reason, cases[i].lasts_ms);
    }
    assert_int_equal(fake.count, 5);
}

/* -- Servers without ranges -------------------------------------------------------------------- */

static void s8_whole_log_of_unknown_state_is_taken_after_the_job_was_asked_about(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 200, "Content-Type: text/plain\n", "202");
    assert_int_equal(r.len, 0);
    give_job(fake_next(), "completed", "null");
    fake_answer(at_storage(fake_next(), FIRST), 200, "Transfer-Encoding: chunked\n", "2026-0");
    assert_read(&r, "2026-0");
    assert_true(r.metadata.final);
    assert_true(r.metadata.whole);
    assert_int_equal(r.metadata.size, 6);
}

/* Such an end may be a cut. The bytes go on where the last body ended; a body that ends before
 * another did was cut. */
static void r1_end_shown_by_nothing_is_believed_when_four_agree(void **state)
{
    static const char *const bodies[] = {"2026",   "2026", "2026",  "2026-0",
                                         "2026-0", "20",   "2026-0"};

    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 200, "", "202");
    give_job(fake_next(), "completed", "null");
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        fake_answer(fake_next(), 200, "", bodies[i]);
    assert_int_equal(r.reports, 0);
    fake_answer(fake_next(), 200, "", "2026-0");
    assert_read(&r, "2026-0");
    assert_int_equal(r.metadata.size, 6);
    assert_true(r.metadata.provisional && !r.metadata.proven);
}

static void end_shown_by_nothing_is_certain_where_a_416_confirms_it(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 200, "", "202");
    give_job(fake_next(), "completed", "null");
    fake_answer(fake_next(), 200, "", "2026-0");
    fake_answer(at_storage(fake_next(), "bytes=6-"), 416, "", "<xml>");
    assert_read(&r, "2026-0");
    assert_int_equal(r.metadata.size, 6);
    assert_false(r.metadata.provisional);
}

static void r1_ends_that_never_agree_are_given_up(void **state)
{
    static const char body[] = "2026-01-02T03:04";
    size_t len = 0;

    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 200, "", "202");
    give_job(fake_next(), "completed", "null");
    while (r.ends == 0 && len + 1 < sizeof(body))
        fake_cut(fake_next(), 200, "", body, ++len, 0);
    assert_failed(&r, -EIO, SOURCE_BROKEN, 1000);
    assert_int_equal(len, 11);
}

/* A length that stands alone may be wrong, and is where the body is cut then. */
static void r1_length_of_a_whole_log_is_believed_when_four_agree(void **state)
{
    (void)state;
    reader_want(&r, 0, 2, SOURCE_DEMAND);
    give_url(fake_next());
    fake_answer(fake_next(), 200, BLOCK "Content-Length: 5\n", "abcde");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(r.reports, 0);
        fake_answer(fake_next(), 200, BLOCK "Content-Length: 6\n", "abcdef");
    }
    assert_read(&r, "abcdef");
    assert_int_equal(r.metadata.size, 6);
    assert_true(r.metadata.whole && r.metadata.proven);
}

static void length_of_a_whole_log_is_certain_where_a_416_confirms_it(void **state)
{
    (void)state;
    reader_want(&r, 0, 2, SOURCE_DEMAND);
    give_url(fake_next());
    fake_answer(fake_next(), 200, BLOCK "Content-Length: 6\n", "abcdef");
    fake_answer(at_storage(fake_next(), "bytes=6-"), 416, "Content-Range: bytes */6\n", "<xml>");
    assert_read(&r, "abcdef");
    assert_true(r.metadata.whole && r.metadata.final);
}

static void whole_log_where_a_later_range_was_asked_for_is_cut_to_it(void **state)
{
    (void)state;
    read_abcdef();
    reader_want(&r, 2, 4, SOURCE_DEMAND);
    fake_answer(at_storage(fake_next(), "bytes=2-3"), 200, BLOCK "Content-Length: 6\n", "abcdef");
    assert_read(&r, "cd");
}

/* -- What goes wrong (R1, S6) ------------------------------------------------------------------ */

static void r1_expired_url_is_renewed(void **state)
{
    (void)state;
    want_first();
    for (int i = 0; i < 3; i++) {
        give_url(fake_next_within(5000));
        fake_answer(at_storage(fake_next(), FIRST), 403, "", "<xml>");
    }
    give_url(fake_next_within(5000));
    fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 0-2/3\n", "abc");
    assert_read(&r, "abc");
}

/* A laptop wakes up: all URLs have expired, and none of them is a refusal. */
static void r1_many_expired_urls_are_renewed_at_once(void **state)
{
    static struct reader many[200];
    int64_t start_ms = fake.now_ms;
    struct net_request *q;
    unsigned expired = 0;

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        reader_open(&many[i], &w, true);
        reader_want(&many[i], 0, 10, SOURCE_DEMAND);
    }
    while ((q = fake_next_within(1000))) {
        if (strcmp(q->url, STORE) != 0)
            give_url(q);
        else if (expired++ < 200)
            fake_answer(q, 403, "", "<xml>");
        else
            fake_answer(q, 206, BLOCK "Content-Range: bytes 0-2/3\n", "abc");
    }
    for (size_t i = 0; i < 200; i++) {
        assert_read(&many[i], "abc");
        reader_close(&many[i]);
    }
    assert_in_range(fake.now_ms - start_ms, 0, 2000);
}

static void r1_cut_stream_continues_at_the_next_byte(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_cut(fake_next(), 206, BLOCK "Content-Range: bytes 0-5/6\n", "ab", 2, -EIO);
    fake_cut(at_storage(fake_next_within(500), "bytes=2-1048575"), 206,
             BLOCK "Content-Range: bytes 2-5/6\n", "c", 1, -ETIMEDOUT);
    fake_answer(at_storage(fake_next_within(500), "bytes=3-1048575"), 200,
                BLOCK "Content-Length: 6\n", "abcdef");
    assert_read(&r, "abcdef");
    assert_int_equal(r.reports, 1);
}

static void s6_responses_that_do_not_fit_deliver_nothing(void **state)
{
    static const char *const wrong[] = {
        BLOCK "Content-Range: bytes 1-6/7\n",
        BLOCK "Content-Range: garbage\n",
        BLOCK "Content-Range: bytes 0-2/3\nContent-Length: 4\n",
        BLOCK "",
    };

    (void)state;
    want_first();
    give_url(fake_next());
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        fake_answer(at_storage(fake_next_within(10000), FIRST), 206, wrong[i], "xxx");
        assert_int_equal(r.len, 0);
        assert_int_equal(r.ends, 0);
    }
    fake_answer(fake_next_within(10000), 206, BLOCK "Content-Range: bytes 0-2/3\n", "abc");
    assert_read(&r, "abc");
}

static void s6_bytes_beyond_the_promise_are_not_delivered(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 0-2/3\n", "abcXYZ");
    assert_read(&r, "abc");
}

static void r1_short_body_that_ends_in_good_order_is_a_failed_try(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 0-5/6\n", "abc");
    fake_answer(at_storage(fake_next_within(500), "bytes=3-1048575"), 206,
                BLOCK "Content-Range: bytes 3-5/6\n", "def");
    assert_read(&r, "abcdef");
}

static void r1_other_etag_of_a_final_log_is_refused(void **state)
{
    (void)state;
    read_abcdef();
    reader_want(&r, 2, 4, SOURCE_DEMAND);
    fake_answer(fake_next(), 206,
                "x-ms-blob-type: BlockBlob\nETag: \"e2\"\nContent-Range: bytes 2-3/6\n", "XX");
    give_url(fake_next_within(1000));
    fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 2-3/6\n", "cd");
    assert_read(&r, "cd");
}

static void r1_fault_that_lasts_ends_with_the_deadline(void **state)
{
    int64_t start_ms = fake.now_ms;
    unsigned tries = 0;

    (void)state;
    want_first();
    give_url(fake_next());
    while (r.ends == 0 && tries < 1000) {
        fake_answer(fake_next_within(DEADLINE_MS), 503, "", tries % 2 ? "<xml>" : "<html>");
        tries++;
    }
    assert_failed(&r, -EIO, SOURCE_BROKEN, 1000);
    assert_in_range(tries, 12, 100);
    assert_in_range(fake.now_ms - start_ms, DEADLINE_MS, DEADLINE_MS);
}

static void retry_after_of_storage_is_obeyed(void **state)
{
    int64_t start_ms = fake.now_ms;

    (void)state;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 429, "Retry-After: 7\n", "");
    fake_answer(fake_next_within(20000), 206, BLOCK "Content-Range: bytes 0-2/3\n", "abc");
    assert_true(fake.now_ms - start_ms >= 7000);
    assert_read(&r, "abc");
}

static void redirect_without_location_is_retried_three_times(void **state)
{
    (void)state;
    want_first();
    for (int i = 0; i < 4; i++)
        fake_answer(fake_next_within(20000), 302, "", "");
    assert_failed(&r, -EPROTO, SOURCE_PROTOCOL, 5000);
}

static void r7_forbidden_redirect_is_not_followed(void **state)
{
    static const char *const to[] = {
        "http://store1.example.net/x",
        "https://user@store1.example.net/x",
        "https://127.0.0.1/x",
        "https://10.1.2.3/x",
        "https://[::1]/x",
        "ftp://store1.example.net/x",
        "/repos/octo/hello/actions/jobs/42/x",
    };
    char headers[256];

    (void)state;
    for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
        want_first();
        snprintf(headers, sizeof(headers), "Location: %s\n", to[i]);
        fake_answer(fake_next(), 302, headers, "");
        assert_failed(&r, -EPROTO, SOURCE_PROTOCOL, 5000);
        assert_null(fake_next());
    }
}

static void r7_private_storage_is_for_a_private_api(void **state)
{
    (void)state;
    fake.peer_is_private = true;
    want_first();
    fake_answer(fake_next(), 302, "Location: https://10.1.2.3/x\n", "");
    assert_non_null(fake_next());
    fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 0-2/3\n", "abc");
    assert_read(&r, "abc");
}

static void unreachable_storage_is_given_up_after_four_tries(void **state)
{
    int64_t start_ms = fake.now_ms;
    (void)state;
    other = (struct reader){.world = &w, .log = r.log};
    want_first();
    give_url(fake_next());
    for (int i = 0; i < 4; i++)
        fake_fail(fake_next_within(2000), -ECONNREFUSED);
    assert_failed(&r, -ECONNREFUSED, SOURCE_UNREACHABLE, 5000);
    assert_in_range(fake.now_ms - start_ms, 500, 2000);
    /* Who comes within a second does not try; later one does, once. */
    reader_want(&other, 0, 3, SOURCE_DEMAND);
    assert_failed(&other, -ECONNREFUSED, SOURCE_UNREACHABLE, 5000);
    fake_advance(1000);
    reader_want(&other, 0, 3, SOURCE_DEMAND);
    want_first();
    assert_failed(&r, -ECONNREFUSED, SOURCE_UNREACHABLE, 4000);
    r.ends = 0;
    other.reports = 1; /* r is told, as it is its log */
    fake_answer(at_storage(fake_next(), "bytes=0-2"), 206, BLOCK "Content-Range: bytes 0-2/3\n",
                "abc");
    assert_int_equal(r.reports, 1);
    assert_read(&other, "abc");
}

/* Bytes of a header that never ends, say: the host is there, and others may ask it. */
static void silence_of_a_host_that_was_heard_is_not_that_of_others(void **state)
{
    (void)state;
    for (int is_heard = 0; is_heard < 2; is_heard++) {
        fake.was_heard = is_heard;
        want_first();
        while (!r.ends) {
            struct net_request *q = fake_next_within(DEADLINE_MS);
            if (strcmp(q->url, STORE) != 0) {
                give_url(q);
                continue;
            }
            fake.now_ms += 30000;
            fake_fail(q, -ETIMEDOUT);
        }
        assert_failed(&r, -ETIMEDOUT, SOURCE_UNREACHABLE, 5000);
        reader_open(&other, &w, true);
        reader_want(&other, 0, 3, SOURCE_DEMAND);
        give_url(fake_next());
        assert_int_equal(fake_next() != NULL, is_heard);
        if (is_heard)
            fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 0-2/3\n", "abc");
        assert_int_equal(other.failure.err, is_heard ? 0 : -ETIMEDOUT);
        reader_close(&other);
        fake_advance(5000);
    }
}

static void tls_failure_is_reported_at_once(void **state)
{
    (void)state;
    want_first();
    give_url(fake_next());
    fake_fail(fake_next(), -EPROTO);
    assert_failed(&r, -EPROTO, SOURCE_PROTOCOL, 5000);
    assert_null(fake_next_within(10000));
}

/* -- Who reads --------------------------------------------------------------------------------- */

static void full_reader_is_offered_the_same_bytes_again(void **state)
{
    struct net_request *q;
    int err;

    (void)state;
    want_first();
    give_url(fake_next());
    q = fake_next();
    r.is_full = true;
    assert_true(fake_begin(q, 206, BLOCK "Content-Range: bytes 0-5/6\n", "abcdef", 6, &err));
    assert_int_equal(r.len, 0);
    w.source.ops->resume(w.source.self);
    assert_true(fake.is_resumed);
    /* A long pause is no fault of the server's. */
    fake_advance(2 * DEADLINE_MS);
    r.is_full = false;
    assert_int_equal(q->on_body(q, "abc", 3), NET_TAKEN);
    fake_end(q, -EIO);
    fake_answer(at_storage(fake_next_within(500), "bytes=3-1048575"), 206,
                BLOCK "Content-Range: bytes 3-5/6\n", "def");
    assert_read(&r, "abcdef");
}

static void log_that_is_too_large_is_dropped(void **state)
{
    (void)state;
    r.refuse = -EFBIG;
    want_first();
    give_url(fake_next());
    fake_answer(fake_next(), 206, BLOCK "Content-Range: bytes 0-2/3\n", "abc");
    assert_failed(&r, -EFBIG, SOURCE_BROKEN, -1);
    assert_int_equal(r.len, 0);
}

static void closing_ends_all_that_waits(void **state)
{
    struct reader readers[4];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        reader_open(&readers[i], &w, false);
        reader_want(&readers[i], 0, 10, SOURCE_DEMAND);
        if (i > 0)
            give_url(fake_last());
        if (i == 2)
            fake_answer(fake_last(), 503, "", "");
        if (i == 3)
            fake_answer(fake_last(), 206, APPEND "Content-Range: bytes 0-2/3\n", "abc");
    }
    /* One waits for its URL, one for storage, one to try again, one for the job's state. */
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(readers[i].ends, 0);
    api_close(w.api);
    fake_settle();
    assert_true(list_is_empty(&fake.sent));
    for (size_t i = 0; i < 4; i++) {
        assert_failed(&readers[i], -ECONNABORTED, SOURCE_CLOSING, -1);
        reader_close(&readers[i]);
    }
    want_first();
    assert_failed(&r, -ECONNABORTED, SOURCE_CLOSING, -1);
    assert_int_equal(fake.count, 8);
}

static void release_cancels_what_has_no_waiter(void **state)
{
    (void)state;
    read_running();
    reader_open(&other, &w, false);
    reader_want(&other, 0, 3, SOURCE_DEMAND);
    give_url(fake_next());
    fake_answer(fake_next(), 206, SEALED "Content-Range: bytes 0-2/3\n", "abc");
    reader_close(&other);
    reader_check(&r);
    assert_non_null(fake_next());
    reader_close(&r);
    assert_null(fake_next());
    assert_int_equal(r.checks, 0);
    reader_open(&r, &w, false);
}

/* Who promotes knows only the job: its log may be released meanwhile, or never have been there. */
static void promote_of_a_log_that_is_released_is_harmless(void **state)
{
    (void)state;
    w.source.ops->log_promote(w.source.self, 42);
    w.source.ops->log_promote(w.source.self, 42);
    w.source.ops->log_promote(w.source.self, 43);
    w.source.ops->log_release(r.log, reader_released);
    w.source.ops->log_promote(w.source.self, 42);
    fake_settle();
    assert_true(r.is_released);
    w.source.ops->log_promote(w.source.self, 42);
    fake_settle();
    reader_open(&r, &w, false);
}

/* A want that is handed over before another's release, in one go. */
static void posted_work_is_done_in_its_order(void **state)
{
    (void)state;
    reader_open(&other, &w, false);
    other.want = (struct source_bytes){
        .log = other.log, .to = 10, .bytes = reader_take, .done = reader_done};
    w.source.ops->log_release(r.log, reader_released);
    w.source.ops->want_bytes(w.source.self, &other.want);
    api_close(w.api);
    w.source.ops->log_release(other.log, reader_released);
    fake_settle();
    assert_true(r.is_released && other.is_released);
    assert_failed(&other, -ECONNABORTED, SOURCE_CLOSING, -1);
    reader_open(&r, &w, false);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(s3_cold_log_is_one_question_and_one_range),
        TEST(log_notes_which_hop_it_waits_for),
        TEST(r7_token_goes_to_the_api_and_not_to_storage),
        TEST(s3_url_is_used_again_for_further_ranges),
        TEST(url_of_ten_minutes_is_not_used_again),
        TEST(ranges_of_one_log_share_one_question_for_the_url),
        TEST(s8_sealed_append_blob_is_final),
        TEST(s8_job_known_as_completed_before_makes_it_final),
        TEST(s8_end_is_asked_for_once_more_after_the_job_is_seen_completed),
        TEST(s8_log_that_grew_before_the_job_ended_is_reported_with_its_last_size),
        TEST(s4_size_is_found_out_while_the_bytes_come),
        TEST(s11_running_log_grows_and_becomes_final),
        TEST(p12_following_a_job_costs_at_most_120_an_hour),
        TEST(p12_holds_where_urls_live_for_a_second),
        TEST(empty_block_blob_is_a_final_log),
        TEST(empty_log_of_a_running_job_is_none_yet),
        TEST(no_log_of_a_running_job_is_none_yet),
        TEST(p12_no_log_yet_is_asked_for_again_at_no_cost),
        TEST(no_log_of_a_job_completed_today_is_asked_for_again),
        TEST(no_log_of_an_old_job_stays_away_for_a_day),
        TEST(s19_no_log_of_a_job_that_never_ran_is_asked_for_again),
        TEST(log_that_came_while_the_job_was_asked_about_is_read),
        TEST(statuses_of_the_api_become_reasons),
        TEST(s8_whole_log_of_unknown_state_is_taken_after_the_job_was_asked_about),
        TEST(r1_end_shown_by_nothing_is_believed_when_four_agree),
        TEST(end_shown_by_nothing_is_certain_where_a_416_confirms_it),
        TEST(r1_ends_that_never_agree_are_given_up),
        TEST(r1_length_of_a_whole_log_is_believed_when_four_agree),
        TEST(length_of_a_whole_log_is_certain_where_a_416_confirms_it),
        TEST(whole_log_where_a_later_range_was_asked_for_is_cut_to_it),
        TEST(r1_expired_url_is_renewed),
        TEST(r1_many_expired_urls_are_renewed_at_once),
        TEST(r1_cut_stream_continues_at_the_next_byte),
        TEST(s6_responses_that_do_not_fit_deliver_nothing),
        TEST(s6_bytes_beyond_the_promise_are_not_delivered),
        TEST(r1_short_body_that_ends_in_good_order_is_a_failed_try),
        TEST(r1_other_etag_of_a_final_log_is_refused),
        TEST(r1_fault_that_lasts_ends_with_the_deadline),
        TEST(retry_after_of_storage_is_obeyed),
        TEST(redirect_without_location_is_retried_three_times),
        TEST(r7_forbidden_redirect_is_not_followed),
        TEST(r7_private_storage_is_for_a_private_api),
        TEST(unreachable_storage_is_given_up_after_four_tries),
        TEST(silence_of_a_host_that_was_heard_is_not_that_of_others),
        TEST(tls_failure_is_reported_at_once),
        TEST(full_reader_is_offered_the_same_bytes_again),
        TEST(log_that_is_too_large_is_dropped),
        TEST(closing_ends_all_that_waits),
        TEST(release_cancels_what_has_no_waiter),
        TEST(promote_of_a_log_that_is_released_is_harmless),
        TEST(posted_work_is_done_in_its_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
