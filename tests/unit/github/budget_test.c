#include "github/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T0 INT64_C(1000000)      /* monotonic ms */
#define WALL INT64_C(1767225600) /* UTC s */
#define MINUTE INT64_C(60000)
#define HOUR_S 3600

static struct budget make(uint32_t reserve)
{
    struct budget b;

    budget_init(&b, reserve);
    return b;
}

/* An answer that says nothing about limits. */
static struct budget_answer plain(int status)
{
    return (struct budget_answer){.status = status,
                                  .limit = -1,
                                  .remaining = -1,
                                  .reset_s = -1,
                                  .retry_after_s = -1,
                                  .date_s = -1};
}

/* One with a quota that resets in `in_s` by the server's clock, which is `skew_s` before ours. */
static struct budget_answer quota(int status, int64_t remaining, int64_t in_s, int64_t skew_s)
{
    struct budget_answer a = plain(status);

    a.limit = 5000;
    a.remaining = remaining;
    a.date_s = WALL - skew_s;
    a.reset_s = a.date_s + in_s;
    return a;
}

static struct budget_answer refusal(int status, const char *message)
{
    struct budget_answer a = plain(status);

    a.message = message;
    return a;
}

static enum budget_verdict learn(struct budget *b, struct budget_answer a, int64_t now_ms)
{
    return budget_learn(b, &a, now_ms, WALL + (now_ms - T0) / 1000);
}

static void go(struct budget *b, enum source_class class, int64_t now_ms)
{
    assert_int_equal(budget_why(b, class, now_ms), BUDGET_OPEN);
    assert_int_equal(budget_ask(b, class, now_ms), 0);
}

/* --- pacing ----------------------------------------------------------------------------------- */

static void r5_nine_hundred_in_a_burst_and_no_more_for_a_minute(void **state)
{
    struct budget b = make(0);
    int64_t at;

    (void)state;
    for (int i = 0; i < 900; i++)
        go(&b, SOURCE_DEMAND, T0 + i);
    at = budget_ask(&b, SOURCE_DEMAND, T0 + 900);
    assert_true(at >= T0 + MINUTE && at <= T0 + MINUTE + 2000);
    assert_int_equal(budget_why(&b, SOURCE_DEMAND, T0 + 900), BUDGET_PACING);
    assert_int_equal(budget_ask(&b, SOURCE_DEMAND, at - 1), at);
    go(&b, SOURCE_DEMAND, at);
    assert_int_equal(budget_ask(&b, SOURCE_DEMAND, at), at + 1);
}

static void r5_prefetch_has_half_of_it_and_the_rest_is_demands(void **state)
{
    struct budget b = make(0);

    (void)state;
    for (int i = 0; i < 450; i++)
        go(&b, SOURCE_PREFETCH, T0);
    assert_true(budget_ask(&b, SOURCE_PREFETCH, T0 + 1) > T0 + 1);
    assert_int_equal(budget_why(&b, SOURCE_PREFETCH, T0 + 1), BUDGET_PACING);
    for (int i = 0; i < 450; i++)
        go(&b, SOURCE_DEMAND, T0 + 2);
    assert_true(budget_ask(&b, SOURCE_DEMAND, T0 + 3) > T0 + MINUTE);
}

/* As while a host is known to be down. */
static void r5_what_was_not_sent_does_not_count_for_the_minute(void **state)
{
    struct budget b = make(0);

    (void)state;
    for (int i = 0; i < 450; i++)
        go(&b, SOURCE_PREFETCH, T0);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(budget_ask(&b, SOURCE_DEMAND, T0), 0);
        budget_unsent(&b, SOURCE_DEMAND);
    }
    for (int i = 0; i < 450; i++)
        go(&b, SOURCE_DEMAND, T0);
    assert_true(budget_ask(&b, SOURCE_DEMAND, T0) > T0);
    assert_int_equal(budget_ask(&b, SOURCE_PREFETCH, T0 + 61000), 0);
    budget_unsent(&b, SOURCE_PREFETCH);
    for (int i = 0; i < 450; i++)
        go(&b, SOURCE_PREFETCH, T0 + 61000);
    assert_true(budget_ask(&b, SOURCE_PREFETCH, T0 + 61000) > T0 + 61000);
}

/* --- quota ------------------------------------------------------------------------------------ */

static void server_that_reports_no_quota_has_none(void **state)
{
    struct budget b = make(500);

    (void)state;
    for (int i = 0; i < 800; i++) {
        go(&b, i % 2 ? SOURCE_PREFETCH : SOURCE_DEMAND, T0 + i);
        assert_int_equal(learn(&b, plain(200), T0 + i), BUDGET_NO_LIMIT);
    }
    assert_int_equal(budget_remaining(&b, T0 + 800), -1);
}

static void r5_used_up_quota_holds_all_requests_until_its_reset(void **state)
{
    struct budget b = make(0);
    int64_t at;

    (void)state;
    go(&b, SOURCE_DEMAND, T0);
    learn(&b, quota(200, 0, 1200, 0), T0);
    at = budget_ask(&b, SOURCE_DEMAND, T0 + 5);
    assert_true(at >= T0 + 1200000 && at <= T0 + 1202000);
    assert_int_equal(budget_why(&b, SOURCE_DEMAND, T0 + 5), BUDGET_QUOTA);
    assert_int_equal(budget_remaining(&b, T0 + 5), 0);
    assert_int_equal(budget_ask(&b, SOURCE_DEMAND, at - 1), at);
    assert_int_equal(budget_remaining(&b, at), 5000);
    go(&b, SOURCE_DEMAND, at);
}

static void date_of_the_server_corrects_a_wrong_clock(void **state)
{
    static const int64_t skews[] = {0, 86400, -86400, 7};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct budget b = make(0);
        int64_t at;
        learn(&b, quota(200, 0, 600, skews[i]), T0);
        at = budget_ask(&b, SOURCE_DEMAND, T0);
        assert_true(at >= T0 + 600000 && at <= T0 + 602000);
    }
}

static void without_a_date_no_clock_causes_a_wait_of_more_than_an_hour(void **state)
{
    struct budget_answer a = quota(200, 0, 600, 0);
    struct budget b = make(0);
    int64_t at;

    (void)state;
    a.date_s = -1;
    a.reset_s = WALL + 30 * 86400;
    learn(&b, a, T0);
    at = budget_ask(&b, SOURCE_DEMAND, T0);
    assert_true(at > T0 && at <= T0 + 3700000);
    b = make(0);
    a.reset_s = INT64_MAX;
    learn(&b, a, T0);
    at = budget_ask(&b, SOURCE_DEMAND, T0);
    assert_true(at > T0 && at <= T0 + 3700000);
    b = make(0);
    a.reset_s = 0;
    learn(&b, a, T0);
    at = budget_ask(&b, SOURCE_DEMAND, T0);
    assert_true(at > T0 && at <= T0 + 2000);
}

static void r5_requests_in_flight_count_before_their_answers_tell(void **state)
{
    struct budget b = make(0);

    (void)state;
    go(&b, SOURCE_DEMAND, T0);
    learn(&b, quota(200, 40, HOUR_S, 0), T0);
    for (int i = 0; i < 40; i++)
        go(&b, SOURCE_DEMAND, T0 + 1);
    assert_int_equal(budget_remaining(&b, T0 + 1), 0);
    assert_true(budget_ask(&b, SOURCE_DEMAND, T0 + 1) > T0 + 1);
    /* Soon: an answer may show that it cost nothing. It is not for this that readers are told
     * EDQUOT. */
    assert_true(budget_ask(&b, SOURCE_DEMAND, T0 + 1) < T0 + 1000);
    learn(&b, quota(304, 40, HOUR_S, 0), T0 + 2);
    go(&b, SOURCE_DEMAND, T0 + 2);
    assert_true(budget_ask(&b, SOURCE_DEMAND, T0 + 2) > T0 + 2);
    budget_lost(&b);
    go(&b, SOURCE_DEMAND, T0 + 3);
}

static void answers_out_of_order_do_not_give_quota_back(void **state)
{
    struct budget b = make(0);

    (void)state;
    learn(&b, quota(200, 10, HOUR_S, 0), T0);
    learn(&b, quota(200, 60, HOUR_S, 0), T0 + 1);
    assert_int_equal(budget_remaining(&b, T0 + 1), 10);
    learn(&b, quota(200, 4999, HOUR_S + 2000, 0), T0 + 2);
    assert_int_equal(budget_remaining(&b, T0 + 2), 4999);
    learn(&b, quota(200, 9, HOUR_S, 0), T0 + 3);
    assert_int_equal(budget_remaining(&b, T0 + 3), 4999);
}

static void quota_of_another_token_replaces_the_first(void **state)
{
    struct budget_answer a = quota(200, 50, HOUR_S, 0);
    struct budget b = make(0);

    (void)state;
    a.limit = 60;
    learn(&b, a, T0);
    assert_int_equal(budget_remaining(&b, T0), 50);
    learn(&b, quota(200, 4000, HOUR_S - 100, 0), T0 + 1);
    assert_int_equal(budget_remaining(&b, T0 + 1), 4000);
}

static void answer_401_does_not_change_the_quota(void **state)
{
    struct budget_answer a = quota(401, 0, HOUR_S, 0);
    struct budget b = make(0);

    (void)state;
    a.limit = 60;
    assert_int_equal(learn(&b, a, T0), BUDGET_NO_LIMIT);
    go(&b, SOURCE_DEMAND, T0);
}

static void malformed_quota_headers_are_ignored(void **state)
{
    struct budget_answer a = quota(200, 0, HOUR_S, 0);
    struct budget b = make(0);

    (void)state;
    a.limit = 0;
    learn(&b, a, T0);
    go(&b, SOURCE_DEMAND, T0);
    a = quota(200, 0, HOUR_S, 0);
    a.reset_s = -1;
    learn(&b, a, T0);
    go(&b, SOURCE_DEMAND, T0);
    a = quota(200, INT64_MAX, HOUR_S, 0);
    learn(&b, a, T0);
    assert_int_equal(budget_remaining(&b, T0), 5000);
}

static void r5_prefetch_leaves_the_reserve_to_demand(void **state)
{
    struct budget b = make(500);
    int64_t at;

    (void)state;
    learn(&b, quota(200, 502, HOUR_S, 0), T0);
    go(&b, SOURCE_PREFETCH, T0);
    go(&b, SOURCE_PREFETCH, T0);
    assert_true(budget_ask(&b, SOURCE_PREFETCH, T0) < T0 + 1000); /* they may have cost nothing */
    assert_int_equal(budget_why(&b, SOURCE_PREFETCH, T0), BUDGET_QUOTA);
    learn(&b, quota(200, 501, HOUR_S, 0), T0);
    learn(&b, quota(200, 500, HOUR_S, 0), T0);
    at = budget_ask(&b, SOURCE_PREFETCH, T0);
    assert_true(at >= T0 + HOUR_S * 1000);
    go(&b, SOURCE_DEMAND, T0);
    go(&b, SOURCE_PREFETCH, at);
}

static void quota_smaller_than_the_reserve_allows_no_prefetch(void **state)
{
    struct budget_answer a = quota(200, 59, 10, 0);
    struct budget b = make(500);
    int64_t at;

    (void)state;
    a.limit = 60;
    learn(&b, a, T0);
    at = budget_ask(&b, SOURCE_PREFETCH, T0);
    assert_true(at > T0 + 9000);
    assert_true(budget_ask(&b, SOURCE_PREFETCH, at) >=
                at + 10000); /* full, and no more than that */
    go(&b, SOURCE_DEMAND, at);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void r5_retry_after_holds_all_requests(void **state)
{
    struct budget b = make(0);
    struct budget_answer a = refusal(403, "You have exceeded a secondary rate limit.");
    int64_t at;

    (void)state;
    a.retry_after_s = 37;
    assert_int_equal(learn(&b, a, T0), BUDGET_SECONDARY);
    at = budget_ask(&b, SOURCE_DEMAND, T0);
    assert_true(at >= T0 + 37000 && at <= T0 + 39000);
    assert_int_equal(budget_ask(&b, SOURCE_PREFETCH, T0), at);
    assert_int_equal(budget_why(&b, SOURCE_DEMAND, T0), BUDGET_LIMITED);
    /* An answer to what was asked before does not end it. */
    learn(&b, quota(200, 4000, HOUR_S, 0), T0 + 10);
    assert_int_equal(budget_ask(&b, SOURCE_DEMAND, T0 + 10), at);
    go(&b, SOURCE_DEMAND, at);
}

static void r5_secondary_limit_without_a_time_waits_a_minute_doubled_each_time(void **state)
{
    static const int64_t waits[] = {60000,  120000,  240000,  480000,
                                    960000, 1920000, 3660000, 3660000};
    struct budget_answer a = quota(403, 4000, HOUR_S, 0);
    struct budget b = make(0);
    int64_t now = T0;

    (void)state;
    a.message = "You have exceeded a secondary rate limit. Please wait a few minutes";
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(learn(&b, a, now), BUDGET_SECONDARY);
        assert_int_equal(budget_ask(&b, SOURCE_DEMAND, now), now + waits[i]);
        now += waits[i];
    }
    learn(&b, plain(200), now);
    assert_int_equal(learn(&b, a, now), BUDGET_SECONDARY);
    assert_int_equal(budget_ask(&b, SOURCE_DEMAND, now), now + waits[0]);
}

static void hundred_requests_refused_at_once_count_as_one(void **state)
{
    struct budget_answer a = refusal(429, "");
    struct budget b = make(0);

    (void)state;
    for (int i = 0; i < 100; i++)
        go(&b, SOURCE_DEMAND, T0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(learn(&b, a, T0 + i), BUDGET_SECONDARY);
    assert_int_equal(budget_ask(&b, SOURCE_DEMAND, T0 + 100), T0 + 99 + MINUTE);
}

static void secondary_limit_with_an_empty_quota_waits_for_its_reset(void **state)
{
    struct budget_answer a = quota(403, 0, 300, 0);
    struct budget b = make(0);
    int64_t at;

    (void)state;
    a.message = "You have exceeded a secondary rate limit.";
    assert_int_equal(learn(&b, a, T0), BUDGET_SECONDARY);
    at = budget_ask(&b, SOURCE_DEMAND, T0);
    assert_true(at >= T0 + 300000 && at <= T0 + 302000);
}

static void r5_refusal_for_the_quota_holds_until_the_reset(void **state)
{
    static const int statuses[] = {403, 429};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct budget_answer a = quota(statuses[i], 0, 900, 0);
        struct budget b = make(0);
        int64_t at;
        learn(&b, quota(200, 77, 1500, 0), T0);
        a.message = "API rate limit exceeded for user ID 1.";
        assert_int_equal(learn(&b, a, T0), BUDGET_PRIMARY);
        at = budget_ask(&b, SOURCE_DEMAND, T0);
        assert_true(at >= T0 + 900000 && at <= T0 + 902000);
        assert_int_equal(budget_why(&b, SOURCE_DEMAND, T0), BUDGET_QUOTA);
        go(&b, SOURCE_DEMAND, at);
    }
}

static void refusal_for_the_quota_with_a_past_reset_still_waits(void **state)
{
    struct budget_answer a = quota(403, 0, -5, 0);
    struct budget b = make(0);
    int64_t now = T0;

    (void)state;
    a.message = "API rate limit exceeded";
    for (int64_t wait = MINUTE; wait < 4 * MINUTE; wait *= 2) {
        assert_int_equal(learn(&b, a, now), BUDGET_PRIMARY);
        assert_int_equal(budget_ask(&b, SOURCE_DEMAND, now), now + wait);
        now += wait;
    }
}

static void limits_are_distinguished_from_plain_refusals(void **state)
{
    const struct {
        int status;
        int64_t remaining, retry_after;
        const char *message;
        enum budget_verdict verdict;
    } cases[] = {
        {403, 4999, -1, "Must have admin rights to Repository.", BUDGET_NO_LIMIT},
        {403, 0, -1, "Must have admin rights to Repository.", BUDGET_NO_LIMIT},
        {403, 4999, -1, "Resource not accessible by personal access token", BUDGET_NO_LIMIT},
        {403, -1, -1, "", BUDGET_NO_LIMIT},
        {403, -1, -1, NULL, BUDGET_NO_LIMIT},
        {403, 0, -1, NULL, BUDGET_PRIMARY},
        {403, 0, -1, "API rate limit exceeded for 203.0.113.7. (But here's the good news",
         BUDGET_PRIMARY},
        {403, -1, -1, "API Rate Limit Exceeded for 203.0.113.7", BUDGET_PRIMARY},
        {403, 4000, -1, "You have exceeded a secondary rate limit.", BUDGET_SECONDARY},
        {403, -1, -1, "You have triggered an abuse detection mechanism.", BUDGET_SECONDARY},
        {403, 4000, 10, "Must have push access to repository", BUDGET_SECONDARY},
        {403, 4000, -1, "API rate limit exceeded", BUDGET_SECONDARY},
        {429, 4000, -1, "Slow down", BUDGET_SECONDARY},
        {429, 0, -1, "Slow down", BUDGET_PRIMARY},
        {404, 0, -1, "Not Found: rate limit", BUDGET_NO_LIMIT},
        {200, 0, -1, NULL, BUDGET_NO_LIMIT},
        {500, -1, -1, "rate limit", BUDGET_NO_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct budget_answer a = refusal(cases[i].status, cases[i].message);
        struct budget b = make(0);
        a.remaining = cases[i].remaining;
        a.retry_after_s = cases[i].retry_after;
        if (learn(&b, a, T0) != cases[i].verdict)
            fail_msg("case %zu", i);
        assert_true((budget_ask(&b, SOURCE_DEMAND, T0) == 0) ==
                    (cases[i].verdict == BUDGET_NO_LIMIT));
    }
}

static void retry_after_of_a_503_holds_all_requests(void **state)
{
    struct budget_answer a = plain(503);
    struct budget b = make(0);
    int64_t at;

    (void)state;
    a.retry_after_s = 5;
    assert_int_equal(learn(&b, a, T0), BUDGET_NO_LIMIT);
    at = budget_ask(&b, SOURCE_DEMAND, T0);
    assert_true(at >= T0 + 5000 && at <= T0 + 7000);
    a.retry_after_s = INT64_MAX;
    learn(&b, a, T0);
    at = budget_ask(&b, SOURCE_DEMAND, T0);
    assert_true(at > T0 && at <= T0 + 3700000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r5_nine_hundred_in_a_burst_and_no_more_for_a_minute),
        cmocka_unit_test(r5_prefetch_has_half_of_it_and_the_rest_is_demands),
        cmocka_unit_test(r5_what_was_not_sent_does_not_count_for_the_minute),
        cmocka_unit_test(server_that_reports_no_quota_has_none),
        cmocka_unit_test(r5_used_up_quota_holds_all_requests_until_its_reset),
        cmocka_unit_test(date_of_the_server_corrects_a_wrong_clock),
        cmocka_unit_test(without_a_date_no_clock_causes_a_wait_of_more_than_an_hour),
        cmocka_unit_test(r5_requests_in_flight_count_before_their_answers_tell),
        cmocka_unit_test(answers_out_of_order_do_not_give_quota_back),
        cmocka_unit_test(quota_of_another_token_replaces_the_first),
        cmocka_unit_test(answer_401_does_not_change_the_quota),
        cmocka_unit_test(malformed_quota_headers_are_ignored),
        cmocka_unit_test(r5_prefetch_leaves_the_reserve_to_demand),
        cmocka_unit_test(quota_smaller_than_the_reserve_allows_no_prefetch),
        cmocka_unit_test(r5_retry_after_holds_all_requests),
        cmocka_unit_test(r5_secondary_limit_without_a_time_waits_a_minute_doubled_each_time),
        cmocka_unit_test(hundred_requests_refused_at_once_count_as_one),
        cmocka_unit_test(secondary_limit_with_an_empty_quota_waits_for_its_reset),
        cmocka_unit_test(r5_refusal_for_the_quota_holds_until_the_reset),
        cmocka_unit_test(refusal_for_the_quota_with_a_past_reset_still_waits),
        cmocka_unit_test(limits_are_distinguished_from_plain_refusals),
        cmocka_unit_test(retry_after_of_a_503_holds_all_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
