#include "github/failure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define T0 INT64_C(1000000)
#define DEADLINE 120000

static struct retry make(void)
{
    struct retry r;

    retry_init(&r, T0);
    return r;
}

/* The longest wait after each failure, where jitter is the largest it can be. */
static int64_t longest(struct retry *r, int64_t now_ms)
{
    int64_t most = 0;

    for (uint32_t jitter = 0; jitter < 20000; jitter++) {
        struct retry copy = *r;
        int64_t at = retry_next(&copy, RETRY_LATER, now_ms, DEADLINE, 0, jitter);
        most = at - now_ms > most ? at - now_ms : most;
    }
    retry_next(r, RETRY_LATER, now_ms, DEADLINE, 0, 0);
    return most;
}

static void back_off_doubles_up_to_its_cap(void **state)
{
    static const int64_t steps[] = {200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    struct retry r = make();

    (void)state;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        assert_int_equal(longest(&r, T0), steps[i]);
}

static void jitter_is_full(void **state)
{
    struct retry r = make();

    (void)state;
    assert_int_equal(retry_next(&r, RETRY_LATER, T0, DEADLINE, 0, 0), T0);
    assert_int_equal(retry_next(&r, RETRY_LATER, T0, DEADLINE, 0, 123), T0 + 123);
}

static void r1_last_try_is_at_the_deadline_and_none_after(void **state)
{
    struct retry r = make();

    (void)state;
    for (int i = 0; i < 10; i++)
        retry_next(&r, RETRY_LATER, T0, DEADLINE, 0, 0);
    assert_int_equal(retry_next(&r, RETRY_LATER, T0 + DEADLINE - 5, DEADLINE, 0, 9999),
                     T0 + DEADLINE);
    assert_int_equal(retry_next(&r, RETRY_LATER, T0 + DEADLINE, DEADLINE, 0, 0), -1);
}

static void r1_deadline_counts_from_the_last_byte(void **state)
{
    struct retry r = make();

    (void)state;
    retry_note_progress(&r, T0 + DEADLINE - 1);
    assert_true(retry_next(&r, RETRY_LATER, T0 + DEADLINE, DEADLINE, 0, 0) >= 0);
    assert_int_equal(longest(&r, T0 + DEADLINE), 400);
}

static void wait_is_at_least_what_the_server_asks_for(void **state)
{
    struct retry r = make();

    (void)state;
    assert_int_equal(retry_next(&r, RETRY_LATER, T0, DEADLINE, 7000, 5), T0 + 7000);
    assert_int_equal(retry_next(&r, RETRY_LATER, T0, DEADLINE, DEADLINE + 1, 5), -1);
}

static void renewed_url_is_tried_at_once_but_only_once(void **state)
{
    struct retry r = make();

    (void)state;
    assert_int_equal(retry_next(&r, RETRY_RENEWED, T0, DEADLINE, 0, 199), T0);
    assert_int_equal(retry_next(&r, RETRY_RENEWED, T0, DEADLINE, 0, 199), T0 + 199);
}

static void connecting_is_given_up_after_four_tries_within_two_seconds(void **state)
{
    for (uint32_t jitter = 0; jitter < 1000; jitter++) {
        struct retry r = make();
        int64_t at = T0;
        for (int tries = 1; tries < RETRY_CONNECT_TRIES; tries++) {
            int64_t next = retry_next(&r, RETRY_CONNECT, at, DEADLINE, 0, jitter);
            assert_true(next > at);
            at = next;
        }
        assert_in_range(at - T0, 500, 2000);
        assert_int_equal(retry_next(&r, RETRY_CONNECT, at, DEADLINE, 0, jitter), -1);
    }
    (void)state;
}

static void four_equal_refusals_in_a_row_are_one_that_stays(void **state)
{
    struct retry r = make();

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_false(retry_note_refusal(&r, 1, false, T0));
    /* Another one begins anew, and something else in between does not. */
    assert_false(retry_note_refusal(&r, 2, false, T0));
    assert_false(retry_note_refusal(&r, 1, false, T0 + 5));
    assert_int_equal(r.refused_ms, T0 + 5);
    retry_next(&r, RETRY_LATER, T0, DEADLINE, 0, 0);
    assert_false(retry_note_refusal(&r, 1, false, T0 + 6));
    assert_false(retry_note_refusal(&r, 1, false, T0 + 7));
    assert_true(retry_note_refusal(&r, 1, false, T0 + 8));
    assert_int_equal(r.refused_ms, T0 + 5);
    retry_note_progress(&r, T0);
    assert_false(retry_note_refusal(&r, 1, false, T0));
}

static void r1_refusal_that_asks_for_patience_counts_half(void **state)
{
    struct retry r = make();

    (void)state;
    for (int i = 0; i < 7; i++)
        assert_false(retry_note_refusal(&r, 1, true, T0));
    assert_true(retry_note_refusal(&r, 1, true, T0));
}

/* A brown-out of two seconds is ridden out, and the fourth refusal comes long before ten are
 * over. */
static void r1_four_refusals_take_two_to_six_seconds(void **state)
{
    for (uint32_t jitter = 0; jitter < 20000; jitter++) {
        struct retry r = make();
        int64_t at = T0;
        for (int i = 0; i < 3; i++) {
            assert_false(retry_note_refusal(&r, 1, false, at));
            at = retry_next(&r, RETRY_LATER, at, DEADLINE, 0, jitter);
        }
        assert_true(retry_note_refusal(&r, 1, false, at));
        assert_in_range(at - T0, 2000, 6000);
    }
    (void)state;
}

static void malformed_answers_are_retried_three_times(void **state)
{
    struct retry r = make();

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(retry_next(&r, RETRY_GARBAGE, T0, DEADLINE, 0, 0) >= T0);
    assert_int_equal(retry_next(&r, RETRY_GARBAGE, T0, DEADLINE, 0, 0), -1);
}

static void failures_that_forbid_a_retry_are_not_retried(void **state)
{
    struct retry r = make();

    (void)state;
    assert_int_equal(retry_next(&r, RETRY_NOT, T0, DEADLINE, 0, 0), -1);
}

static void outcomes_tell_what_is_charged_and_what_went_wrong(void **state)
{
    static const struct {
        int status;
        bool limited;
        enum outcome outcome;
    } given[] = {
        {200, false, OUTCOME_OK},           {302, false, OUTCOME_OK},
        {304, false, OUTCOME_NOT_MODIFIED}, {403, true, OUTCOME_LIMITED},
        {429, true, OUTCOME_LIMITED},       {403, false, OUTCOME_REFUSED},
        {404, false, OUTCOME_REFUSED},      {502, false, OUTCOME_ERROR},
        {0, false, OUTCOME_LOST},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
        assert_int_equal(failure_get_outcome(given[i].status, given[i].limited), given[i].outcome);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(back_off_doubles_up_to_its_cap),
        cmocka_unit_test(jitter_is_full),
        cmocka_unit_test(r1_last_try_is_at_the_deadline_and_none_after),
        cmocka_unit_test(r1_deadline_counts_from_the_last_byte),
        cmocka_unit_test(wait_is_at_least_what_the_server_asks_for),
        cmocka_unit_test(renewed_url_is_tried_at_once_but_only_once),
        cmocka_unit_test(connecting_is_given_up_after_four_tries_within_two_seconds),
        cmocka_unit_test(four_equal_refusals_in_a_row_are_one_that_stays),
        cmocka_unit_test(r1_refusal_that_asks_for_patience_counts_half),
        cmocka_unit_test(r1_four_refusals_take_two_to_six_seconds),
        cmocka_unit_test(malformed_answers_are_retried_three_times),
        cmocka_unit_test(failures_that_forbid_a_retry_are_not_retried),
        cmocka_unit_test(outcomes_tell_what_is_charged_and_what_went_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
