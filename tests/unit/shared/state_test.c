/*
 * Whether the store is asked (T2): time is an argument.
 */
#include "shared/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_failure_begins_a_rest_of_a_minute(void **state)
{
    struct shared_state s = {0};

    (void)state;
    assert_true(shared_state_may_ask(&s, 1000));
    assert_true(shared_state_note_failure(&s, 1000));
    assert_string_equal(shared_state_name(&s), "resting");
    assert_false(shared_state_may_ask(&s, 1000));
    assert_false(shared_state_may_ask(&s, 1000 + SHARED_REST_MS - 1));
    assert_true(shared_state_would_ask(&s, 1000 + SHARED_REST_MS));
    assert_true(shared_state_may_ask(&s, 1000 + SHARED_REST_MS));
}

static void rests_double_to_ten_minutes(void **state)
{
    const int64_t rests[] = {60000, 120000, 240000, 480000, 600000, 600000};
    struct shared_state s = {0};
    int64_t now = 5;

    (void)state;
    for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
        assert_true(shared_state_may_ask(&s, now));
        assert_true(shared_state_note_failure(&s, now));
        assert_int_equal(s.rest_ms, rests[i]);
        assert_false(shared_state_may_ask(&s, now + rests[i] - 1));
        now += rests[i];
    }
}

static void one_request_tries_after_a_rest(void **state)
{
    const int64_t end = SHARED_REST_MS;
    struct shared_state s = {0};

    (void)state;
    shared_state_note_failure(&s, 0);
    assert_true(shared_state_may_ask(&s, end));
    assert_false(shared_state_may_ask(&s, end));
    assert_false(shared_state_would_ask(&s, end + SHARED_PROBE_MS - 1));
    assert_true(shared_state_note_success(&s));
    assert_string_equal(shared_state_name(&s), "up");
    assert_true(shared_state_may_ask(&s, end));
    assert_true(shared_state_may_ask(&s, end));
}

static void a_probe_that_is_lost_is_made_again(void **state)
{
    struct shared_state s = {0};

    (void)state;
    shared_state_note_failure(&s, 0);
    assert_true(shared_state_may_ask(&s, SHARED_REST_MS));
    assert_true(shared_state_may_ask(&s, SHARED_REST_MS + SHARED_PROBE_MS));
}

static void what_began_before_a_rest_does_not_change_it(void **state)
{
    struct shared_state s = {0};

    (void)state;
    assert_true(shared_state_note_failure(&s, 0));
    assert_false(shared_state_note_failure(&s, 1));
    assert_int_equal(s.rest_ms, SHARED_REST_MS);
    assert_false(shared_state_note_success(&s));
    assert_false(shared_state_may_ask(&s, 2));
}

static void a_failure_soon_after_a_rest_counts_on(void **state)
{
    struct shared_state s = {0};

    (void)state;
    shared_state_note_failure(&s, 0);
    shared_state_may_ask(&s, SHARED_REST_MS);
    assert_true(shared_state_note_success(&s));
    assert_true(shared_state_note_failure(&s, SHARED_REST_MS + 1));
    assert_int_equal(s.rest_ms, 2 * SHARED_REST_MS);

    shared_state_may_ask(&s, 4 * SHARED_REST_MS);
    assert_true(shared_state_note_success(&s));
    assert_false(shared_state_note_success(&s));
    assert_true(shared_state_note_failure(&s, 5 * SHARED_REST_MS));
    assert_int_equal(s.rest_ms, SHARED_REST_MS);
}

static void off_is_for_good(void **state)
{
    struct shared_state s = {0};

    (void)state;
    assert_true(shared_state_turn_off(&s));
    assert_false(shared_state_turn_off(&s));
    assert_false(shared_state_note_success(&s));
    assert_false(shared_state_note_failure(&s, 0));
    assert_false(shared_state_may_ask(&s, INT64_MAX));
    assert_string_equal(shared_state_name(&s), "off");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_begins_a_rest_of_a_minute),
        cmocka_unit_test(rests_double_to_ten_minutes),
        cmocka_unit_test(one_request_tries_after_a_rest),
        cmocka_unit_test(a_probe_that_is_lost_is_made_again),
        cmocka_unit_test(what_began_before_a_rest_does_not_change_it),
        cmocka_unit_test(a_failure_soon_after_a_rest_counts_on),
        cmocka_unit_test(off_is_for_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
