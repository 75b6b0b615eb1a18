/* How fast something comes, and what it waits for. */
#include "progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BEGUN INT64_C(5000000)

static void a_rate_is_of_the_last_seconds(void **state)
{
    struct progress_rate r;
    uint64_t bytes = 0;
    int64_t now = BEGUN;

    (void)state;
    progress_rate_begin(&r, 0, now);
    assert_int_equal(progress_rate_get(&r, 0, now), 0);
    for (int i = 0; i < 100; i++) { /* 1,000,000 a second for 10 s */
        now += 100;
        bytes += 100000;
        progress_rate_note(&r, bytes, now);
        assert_int_equal(progress_rate_get(&r, bytes, now), 1000000);
    }
    for (int i = 0; i < 40; i++) { /* 10,000 a second: what was before counts for 4 s at the most */
        now += 100;
        bytes += 1000;
        progress_rate_note(&r, bytes, now);
    }
    assert_int_equal(progress_rate_get(&r, bytes, now), 10000);
}

static void a_rate_falls_while_nothing_comes(void **state)
{
    struct progress_rate r;

    (void)state;
    progress_rate_begin(&r, 0, BEGUN);
    progress_rate_note(&r, 500, BEGUN + 500);
    assert_int_equal(progress_rate_get(&r, 500, BEGUN + 500), 1000);
    assert_int_equal(progress_rate_get(&r, 500, BEGUN + 1000), 500);
    assert_int_equal(progress_rate_get(&r, 500, BEGUN + 10000), 50);
    assert_int_equal(progress_rate_get(&r, 500, BEGUN + 1000000), 0);
}

static void a_wait_is_cause_and_time(void **state)
{
    struct progress_wait w = {0};
    int64_t until_ms = 7;

    (void)state;
    assert_int_equal(progress_wait_get(&w, &until_ms), PROGRESS_FLOWS);
    assert_true(until_ms == 0);
    for (int cause = 0; cause < PROGRESS_CAUSES; cause++) {
        progress_wait_note(&w, (enum progress_cause)cause, BEGUN + cause);
        assert_int_equal(progress_wait_get(&w, &until_ms), cause);
        assert_true(until_ms == BEGUN + cause);
    }
    progress_wait_note(NULL, PROGRESS_DISK, 1); /* noted nowhere */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_is_of_the_last_seconds),
        cmocka_unit_test(a_rate_falls_while_nothing_comes),
        cmocka_unit_test(a_wait_is_cause_and_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
