/* What storage reports of a log, once wrong and otherwise right, or the other way round. */
#include "fake_reader.h"

#define TEXT "2026-abcdefghij"
#define SIZE (sizeof(TEXT) - 1)
#define PART 5 /* the first range of these tests: more is left than it brings */

static struct world w;
static struct reader r;

static int setup(void **state)
{
    (void)state;
    world_begin(&w);
    reader_open(&r, &w, true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    reader_close(&r);
    world_end(&w);
    return 0;
}

/* What one answer reports. */
struct saying {
    uint64_t total;
    const char *etag;
    const char *text;
};

static const struct saying truth = {SIZE, "e1", TEXT};

/* The range that a request asks for, cut to the text. False: there is nothing there. */
static bool read_range(const struct net_request *q, size_t len, uint64_t *ret_from,
                       uint64_t *ret_to)
{
    const char *range = fake_asked(q, "Range");

    *ret_to = UINT64_MAX;
    assert_true(sscanf(range, "bytes=%" SCNu64 "-%" SCNu64, ret_from, ret_to) >= 1);
    *ret_to = *ret_to >= len ? len : *ret_to + 1;
    return *ret_from < *ret_to;
}

/* Answers a request of storage; the part that is sent is the text's, whatever its headers are. */
static void answer_storage(struct net_request *q, const struct saying *says)
{
    size_t len = strlen(says->text);
    uint64_t from, to;
    char headers[256];

    assert_string_equal(q->url, STORE);
    if (read_range(q, len, &from, &to)) {
        snprintf(headers, sizeof(headers),
                 "x-ms-blob-type: BlockBlob\nETag: \"%s\"\n"
                 "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\n",
                 says->etag, from, to - 1, says->total);
        fake_cut(q, 206, headers, says->text + from, to - from, 0);
    } else {
        snprintf(headers, sizeof(headers), "Content-Range: bytes */%zu\n", len);
        fake_answer(q, 416, headers, "<xml>");
    }
}

/* The next request of storage, with what the API is asked before it answered. */
static struct net_request *next_of_storage(void)
{
    struct net_request *q;

    while ((q = fake_next_within(DEADLINE_MS)) && strcmp(q->url, STORE) != 0)
        give_url(q);
    return q;
}

/* Whatever is asked is answered like this until the reader has what it wants. How many answers. */
static unsigned answer_until_end(const struct saying *says)
{
    struct net_request *q;
    unsigned n = 0;

    while (r.ends == 0 && (q = next_of_storage())) {
        assert_true(n++ < 40);
        answer_storage(q, says);
    }
    return n;
}

static void want(uint64_t from, uint64_t to)
{
    reader_want(&r, from, to, SOURCE_DEMAND);
}

/* The first range with these headers, then the rest as it is. */
static void read_after(const struct saying *first)
{
    reader_close(&r);
    reader_open(&r, &w, true);
    want(0, PART);
    answer_storage(next_of_storage(), first);
    assert_read(&r, "2026-");
    assert_true(r.metadata.size == first->total && r.metadata.final && !r.metadata.proven);
    want(PART, first->total);
    answer_until_end(&truth);
}

static void assert_proven(uint64_t size)
{
    assert_int_equal(r.metadata.size, size);
    assert_true(r.metadata.final && r.metadata.proven);
}

/* -- The first answer was wrong ---------------------------------------------------------------- */

static void r1_total_that_was_too_large_once_is_mended(void **state)
{
    static const uint64_t totals[] = {SIZE + 1, SIZE + 100000};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        read_after(&(struct saying){totals[i], "e1", TEXT});
        assert_read(&r, "abcdefghij");
        assert_proven(SIZE);
    }
}

static void r1_total_that_was_too_small_once_is_mended(void **state)
{
    (void)state;
    read_after(&(struct saying){SIZE - 1, "e1", TEXT});
    assert_read(&r, "abcdefghi");
    assert_proven(SIZE);
    want(SIZE - 1, SIZE);
    answer_until_end(&truth);
    assert_read(&r, "j");
}

/* Alike in all answers, also in that which brings the end: a byte more was asked for. */
static void r1_total_that_was_too_small_three_times_is_mended(void **state)
{
    const struct saying shorter = {SIZE - 1, "e1", TEXT};

    (void)state;
    want(0, PART);
    answer_storage(next_of_storage(), &shorter);
    want(PART, SIZE - 1);
    answer_storage(next_of_storage(), &shorter);
    answer_storage(next_of_storage(), &shorter);
    answer_until_end(&truth);
    assert_read(&r, "abcdefghi");
    assert_proven(SIZE);
}

/* Nothing is left of the log behind its first range: only a 416 shows that, and it has no ETag. */
static void r1_total_of_a_log_of_one_range_is_mended(void **state)
{
    const struct saying true_one = {PART, "e1", "2026-"};

    (void)state;
    want(0, PART);
    answer_storage(next_of_storage(), &(struct saying){PART + 100000, "e1", "2026-"});
    want(PART, PART + 100000);
    answer_until_end(&true_one);
    assert_read(&r, "");
    assert_proven(PART);
}

static void r1_etag_that_was_another_once_is_mended(void **state)
{
    (void)state;
    read_after(&(struct saying){SIZE, "e2", TEXT});
    assert_read(&r, "abcdefghij");
    assert_proven(SIZE);
    assert_string_equal(r.metadata.etag, "\"e1\"");
}

static void r1_totals_that_are_wrong_twice_and_differently_are_mended(void **state)
{
    (void)state;
    want(0, PART);
    answer_storage(next_of_storage(), &(struct saying){SIZE + 1, "e1", TEXT});
    want(PART, SIZE + 1);
    answer_storage(next_of_storage(), &(struct saying){SIZE + 2, "e1", TEXT});
    answer_until_end(&truth);
    assert_read(&r, "abcdefghij");
    assert_proven(SIZE);
}

/* The part is shorter than what was asked for and more is announced: not reported before that is
 * checked. */
static void r1_total_that_does_not_fit_its_part_is_not_reported(void **state)
{
    (void)state;
    want(0, SOURCE_FIRST_RANGE);
    answer_storage(next_of_storage(), &(struct saying){SIZE + 1, "e1", TEXT});
    assert_int_equal(r.reports, 0);
    assert_int_equal(answer_until_end(&truth), 1);
    assert_read(&r, TEXT);
    assert_int_equal(r.reports, 1);
    assert_int_equal(r.metadata.size, SIZE);
}

/* -- Later answers are wrong ------------------------------------------------------------------- */

static void r1_three_wrong_answers_alike_change_nothing(void **state)
{
    static const struct saying wrong[] = {
        {SIZE, "e2", TEXT}, {SIZE + 1000, "e1", TEXT}, {SIZE - 1, "e1", "2026-abcdefghi"}};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        reader_close(&r);
        reader_open(&r, &w, true);
        want(0, PART);
        answer_storage(next_of_storage(), &truth);
        want(PART, SIZE);
        for (int n = 0; n < 3; n++)
            answer_storage(next_of_storage(), &wrong[i]);
        assert_int_equal(r.ends, 0);
        assert_int_equal(r.metadata.size, SIZE);
        answer_until_end(&truth);
        assert_read(&r, "abcdefghij");
        assert_int_equal(r.metadata.size, SIZE);
        assert_int_equal(r.reports, 1);
    }
}

static void s8_size_that_four_answers_reported_is_proven(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 4; at++) {
        assert_false(r.metadata.proven);
        want(at, at + 1);
        answer_storage(next_of_storage(), &truth);
        assert_read(&r, (const char[]){TEXT[at], '\0'});
    }
    assert_proven(SIZE);
    assert_int_equal(r.reports, 2);
}

/* The part holds all of the log: range and length agree. */
static void s8_size_of_a_whole_log_is_proven_at_once(void **state)
{
    (void)state;
    want(0, SOURCE_FIRST_RANGE);
    answer_storage(next_of_storage(), &truth);
    assert_read(&r, TEXT);
    assert_proven(SIZE);
    assert_int_equal(r.reports, 1);
}

/* -- Another log ------------------------------------------------------------------------------- */

/* Nothing of it is mixed with what came before, and no reader waits for the deadline. */
static void s6_other_log_is_not_mixed_in(void **state)
{
    static const struct saying others[] = {
        {SIZE, "e2", "2027-ABCDEFGHIJ"}, /* as long, and begins otherwise */
        {SIZE - 2, "e2",
         "2026-abcdefgh"}, /* begins alike, and is neither as long nor has its ETag */
    };
    int64_t start_ms;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        reader_close(&r);
        reader_open(&r, &w, true);
        want(0, PART);
        answer_storage(next_of_storage(), &truth);
        start_ms = fake.now_ms;
        want(PART, SIZE);
        answer_until_end(&others[i]);
        assert_failed(&r, -EIO, SOURCE_CHANGED, 1000);
        assert_int_equal(r.len, 0);
        assert_int_equal(r.metadata.size, SIZE);
        assert_in_range(fake.now_ms - start_ms, 0, 10000);
        want(PART, SIZE);
        assert_failed(&r, -EIO, SOURCE_CHANGED, 1000);
        assert_null(fake_next());
    }
}

/* -- Who wants it knows better ----------------------------------------------------------------- */

static void size_that_is_known_otherwise_is_a_wrong_answer(void **state)
{
    (void)state;
    want(PART, SIZE);
    r.refuse = -ESTALE;
    answer_storage(next_of_storage(), &(struct saying){SIZE + 1, "e1", TEXT});
    assert_int_equal(r.ends, 0);
    r.refuse = 0;
    r.metadata.final = false; /* it was not taken */
    answer_until_end(&truth);
    assert_read(&r, "abcdefghij");
    assert_int_equal(r.metadata.size, SIZE);
}

/* -- A running job's log ----------------------------------------------------------------------- */

/* Said to be larger than it is, once; growth has been seen all the time, so it is believed. */
static void s11_running_log_reported_too_large_once_is_mended(void **state)
{
    struct net_request *q;

    (void)state;
    reader_close(&r);
    reader_open(&r, &w, false);
    want(0, SOURCE_FIRST_RANGE);
    give_url(fake_next());
    fake_answer(fake_next(), 206, APPEND "Content-Range: bytes 0-2/3\n", "abc");
    give_job(fake_next(), "in_progress", "null");
    assert_read(&r, "abc");
    reader_check(&r);
    fake_answer(at_storage(fake_next(), "bytes=3-"), 206, APPEND "Content-Range: bytes 3-5/9\n",
                "def");
    assert_int_equal(r.metadata.size, 9);
    want(3, 9);
    for (int i = 0; r.ends == 0; i++) {
        assert_true(i < 20);
        q = next_of_storage();
        if (strcmp(fake_asked(q, "Range"), "bytes=3-8") == 0)
            fake_answer(q, 206, APPEND "Content-Range: bytes 3-5/6\n", "def");
        else
            fake_answer(q, 416, "Content-Range: bytes */6\n", "");
    }
    assert_read(&r, "def");
    assert_int_equal(r.metadata.size, 6);
    assert_false(r.metadata.final);
}

/* Shorter than what has come already: no reader gets a success, and the requests end. */
static void s4_running_log_that_is_cut_short_is_an_error(void **state)
{
    struct net_request *q;
    unsigned asked = 0;

    (void)state;
    reader_close(&r);
    reader_open(&r, &w, false);
    want(0, SOURCE_FIRST_RANGE);
    give_url(fake_next());
    fake_answer(fake_next(), 206, APPEND "Content-Range: bytes 0-2/3\n", "abc");
    give_job(fake_next(), "in_progress", "null");
    r.refuse = -ESTALE;
    want(2, 3);
    while (r.ends == 0 && (q = next_of_storage())) {
        assert_true(asked++ < 100);
        fake_answer(q, 416, "Content-Range: bytes */1\n", "");
    }
    assert_failed(&r, -EIO, SOURCE_BROKEN, 1000);
    r.refuse = 0;
}

/* A listing, or a server that lags, may report it after the end. */
static void s8_job_seen_completed_does_not_run_again(void **state)
{
    (void)state;
    want(0, SOURCE_FIRST_RANGE);
    give_url(fake_next());
    fake_answer(fake_next(), 404, "", "<xml>");
    give_job(fake_next(), "in_progress", "null");
    assert_failed(&r, -ENOENT, SOURCE_NEVER, -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(r1_total_that_was_too_large_once_is_mended),
        TEST(r1_total_that_was_too_small_once_is_mended),
        TEST(r1_total_that_was_too_small_three_times_is_mended),
        TEST(r1_total_of_a_log_of_one_range_is_mended),
        TEST(r1_etag_that_was_another_once_is_mended),
        TEST(r1_totals_that_are_wrong_twice_and_differently_are_mended),
        TEST(r1_total_that_does_not_fit_its_part_is_not_reported),
        TEST(r1_three_wrong_answers_alike_change_nothing),
        TEST(s8_size_that_four_answers_reported_is_proven),
        TEST(s8_size_of_a_whole_log_is_proven_at_once),
        TEST(s6_other_log_is_not_mixed_in),
        TEST(size_that_is_known_otherwise_is_a_wrong_answer),
        TEST(s11_running_log_reported_too_large_once_is_mended),
        TEST(s4_running_log_that_is_cut_short_is_an_error),
        TEST(s8_job_seen_completed_does_not_run_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
