#include "github/refusals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define T0 INT64_C(1000000)
#define MINUTE INT64_C(60000)
#define KEY 7
#define ANSWER 11

static struct refusals rs;

static int setup(void **state)
{
    (void)state;
    memset(&rs, 0, sizeof(rs));
    return 0;
}

static uint64_t print(const char *body, const char *whose, int status)
{
    struct refusals_print p = {.len = 0};

    /* As it comes: in pieces. */
    for (const char *at = body; *at; at++)
        refusals_print_add(&p, at, 1);
    return refusals_print_finish(&p, whose, status);
}

static void same_answer_has_the_same_fingerprint_whatever_its_id_and_time(void **state)
{
    static const char *const same[][2] = {
        {"{\"message\": \"Failed to generate URL\"}", "{\"message\": \"Failed to generate URL\"}"},
        {"<Error><Message>Failed.\nRequestId:5d2c-aa-01\nTime:2026-11-27T01:02:03.1Z</Message>",
         "<Error><Message>Failed.\nRequestId:ffee-b1-77\nTime:2026-11-28T11:22:33.9Z</Message>"},
        {"job 30000000001 failed", "job 30000000002 failed"},
        {"", ""},
    };
    static const char *const other[][2] = {
        {"{\"message\": \"Failed to generate URL\"}", "{\"message\": \"Server Error\"}"},
        {"no", "no, not now"},
        {"", "x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        assert_int_equal(print(same[i][0], "log", 500), print(same[i][1], "log", 500));
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        assert_int_not_equal(print(other[i][0], "log", 500), print(other[i][1], "log", 500));
    assert_int_not_equal(print("no", "log", 500), print("no", "log", 502));
    assert_int_not_equal(print("no", "log", 500), print("no", "facts", 500));
}

static void refusal_is_remembered_for_a_minute_doubling_to_half_an_hour(void **state)
{
    static const int64_t minutes[] = {1, 2, 4, 8, 16, 30, 30};
    int64_t now = T0, until;

    (void)state;
    assert_false(refusals_find(&rs, KEY, now, &until));
    for (size_t i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++) {
        assert_int_equal(refusals_note(&rs, KEY, ANSWER, true, now), now + minutes[i] * MINUTE);
        assert_true(refusals_find(&rs, KEY, now + minutes[i] * MINUTE - 1, &until));
        assert_int_equal(until, now + minutes[i] * MINUTE);
        now = until;
        assert_false(refusals_find(&rs, KEY, now, &until));
        assert_true(refusals_expect(&rs, KEY, ANSWER, now));
    }
}

static void two_requests_of_one_question_count_once(void **state)
{
    (void)state;
    assert_int_equal(refusals_note(&rs, KEY, ANSWER, true, T0), T0 + MINUTE);
    for (int i = 0; i < REFUSALS_PROOFS; i++)
        assert_int_equal(refusals_note(&rs, KEY, ANSWER, true, T0 + 500), T0 + MINUTE);
    assert_false(refusals_expect(&rs, KEY + 1, ANSWER, T0 + 500));
}

static void another_answer_begins_anew(void **state)
{
    (void)state;
    refusals_note(&rs, KEY, ANSWER, true, T0);
    assert_false(refusals_expect(&rs, KEY, ANSWER + 1, T0 + MINUTE));
    assert_int_equal(refusals_note(&rs, KEY, ANSWER + 1, true, T0 + MINUTE), T0 + 2 * MINUTE);
    refusals_clear(&rs, KEY);
    assert_false(refusals_expect(&rs, KEY, ANSWER + 1, T0 + MINUTE));
    assert_int_equal(refusals_note(&rs, KEY, ANSWER + 1, true, T0 + MINUTE), T0 + 2 * MINUTE);
}

static void what_was_refused_long_ago_is_not_expected(void **state)
{
    (void)state;
    refusals_note(&rs, KEY, ANSWER, true, T0);
    assert_true(refusals_expect(&rs, KEY, ANSWER, T0 + 30 * MINUTE));
    assert_false(refusals_expect(&rs, KEY, ANSWER, T0 + 31 * MINUTE));
}

static void log_of_a_running_job_is_refused_for_a_minute_each_time(void **state)
{
    int64_t now = T0;

    (void)state;
    for (int i = 0; i < 10; i++) {
        now = refusals_note(&rs, KEY, ANSWER, true, now);
        assert_int_equal(now, T0 + (i + 1) * MINUTE);
        assert_int_equal(refusals_is_of_running(&rs, KEY), i > 0);
        refusals_note_running(&rs, KEY);
        assert_true(refusals_is_of_running(&rs, KEY));
    }
    refusals_clear(&rs, KEY);
    assert_false(refusals_is_of_running(&rs, KEY));
    refusals_note_running(&rs, KEY);
    assert_false(refusals_is_of_running(&rs, KEY));
}

static void answer_that_four_questions_got_is_believed_by_the_fifth_for_a_minute(void **state)
{
    (void)state;
    for (uint64_t key = 1; key <= REFUSALS_PROOFS; key++) {
        assert_false(refusals_expect(&rs, 99, ANSWER, T0));
        refusals_note(&rs, key, ANSWER, true, T0);
    }
    assert_true(refusals_expect(&rs, 99, ANSWER, T0 + MINUTE - 1));
    assert_false(refusals_expect(&rs, 99, ANSWER + 1, T0));
    /* Who only believed is no proof. */
    refusals_note(&rs, 99, ANSWER, false, T0 + MINUTE - 1);
    assert_false(refusals_expect(&rs, 100, ANSWER, T0 + MINUTE));
    refusals_note(&rs, 100, ANSWER, true, T0 + MINUTE);
    assert_false(refusals_expect(&rs, 101, ANSWER, T0 + MINUTE));
}

static void proofs_of_many_answers_have_a_bound(void **state)
{
    (void)state;
    for (uint64_t answer = 1; answer <= 1000; answer++)
        for (uint64_t key = 1; key <= REFUSALS_PROOFS; key++)
            refusals_note(&rs, key, answer, true, T0 + (int64_t)answer);
    assert_true(refusals_expect(&rs, 99, 1000, T0 + 1000));
    assert_false(refusals_expect(&rs, 99, 1, T0 + 1000));
}

static void retries_of_all_questions_are_sixty_a_minute(void **state)
{
    int64_t now = T0;
    unsigned taken = 0;

    (void)state;
    for (; now < T0 + 10 * MINUTE; now += 100) {
        taken += refusals_take_retry(&rs, now);
        assert_true(taken <= 60 * ((now - T0) / MINUTE + 1));
    }
    assert_in_range(taken, 9 * 60, 10 * 60);
}

static void retries_that_were_answered_otherwise_come_back(void **state)
{
    (void)state;
    for (int i = 0; i < REFUSALS_RETRIES_MAX; i++)
        assert_true(refusals_take_retry(&rs, T0));
    assert_false(refusals_take_retry(&rs, T0));
    refusals_return_retries(&rs, 2);
    assert_true(refusals_take_retry(&rs, T0));
    assert_true(refusals_take_retry(&rs, T0));
    assert_false(refusals_take_retry(&rs, T0));
    refusals_return_retries(&rs, 1000);
    for (int i = 0; i < REFUSALS_RETRIES_MAX; i++)
        assert_true(refusals_take_retry(&rs, T0));
    assert_false(refusals_take_retry(&rs, T0));
}

static void keys_know_no_case(void **state)
{
    (void)state;
    assert_int_equal(refusals_make_key("https://a/repos/Octo/Hello/actions/jobs/1/logs"),
                     refusals_make_key("https://a/repos/octo/hello/actions/jobs/1/logs"));
    assert_int_not_equal(refusals_make_key("https://a/repos/octo/hello/actions/jobs/1/logs"),
                         refusals_make_key("https://a/repos/octo/hello/actions/jobs/2/logs"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(same_answer_has_the_same_fingerprint_whatever_its_id_and_time),
        TEST(refusal_is_remembered_for_a_minute_doubling_to_half_an_hour),
        TEST(two_requests_of_one_question_count_once),
        TEST(another_answer_begins_anew),
        TEST(what_was_refused_long_ago_is_not_expected),
        TEST(log_of_a_running_job_is_refused_for_a_minute_each_time),
        TEST(answer_that_four_questions_got_is_believed_by_the_fifth_for_a_minute),
        TEST(proofs_of_many_answers_have_a_bound),
        TEST(retries_of_all_questions_are_sixty_a_minute),
        TEST(retries_that_were_answered_otherwise_come_back),
        TEST(keys_know_no_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
