/* What the asker can do without: few requests, little waiting, and a refusal that is remembered
 * (S18). */
#include "catalog/catalog_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* A filtered list, for a caller that has something to show without it. */
static struct catalog_question extra_runs(void)
{
    struct catalog_question q = fixture_runs(30);

    snprintf(q.filter, sizeof(q.filter), "status=failure");
    q.is_extra = true;
    return q;
}

static void refused_extra_is_requested_once_a_minute_S18(void **state)
{
    static const struct {
        int err;
        enum source_reason reason;
    } ways[] = {{-EIO, SOURCE_BROKEN},
                {-EPROTO, SOURCE_PROTOCOL},
                {-ENOENT, SOURCE_NOT_FOUND},
                {-EACCES, SOURCE_FORBIDDEN}};
    struct catalog_fixture *b = *state;
    struct catalog_question q = extra_runs();
    const struct catalog_answer *a = NULL;
    struct fake_facts *asked;
    struct guest g;

    guest_init(&g);
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        snprintf(q.filter, sizeof(q.filter), "status=%u", i);
        for (unsigned k = 0; k < 3; k++) {
            assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
            asked = fake_take_facts(&b->fake);
            assert_int_equal(asked->f->tries, k ? 1 : 4);
            fake_refuse(&b->fake, asked, ways[i].err, ways[i].reason, guest_now_ms() + 1000);
            assert_int_equal(fixture_wait(b, &q, &g, &a), ways[i].err);
            guest_pass(59999);
            assert_int_equal(fixture_ask(b, &q, &g, &a), ways[i].err);
            assert_int_equal(b->fake.facts_wanted, 3 * i + k + 1);
            guest_pass(1);
        }
    }
    guest_finish(&g);
}

/* A failure that has another cause does not count for the list, nor for other questions. */
static void only_a_refusal_of_an_extra_is_remembered_longer(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = extra_runs();
    const struct catalog_answer *a = NULL;
    struct fake_facts *asked;
    struct guest g;

    guest_init(&g);
    for (unsigned k = 0; k < 2; k++) {
        q.is_extra = k == 0;
        assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
        asked = fake_take_facts(&b->fake);
        fake_refuse(&b->fake, asked, k ? -EPROTO : -EHOSTUNREACH,
                    k ? SOURCE_PROTOCOL : SOURCE_UNREACHABLE, guest_now_ms() + 5000);
        assert_int_equal(fixture_wait(b, &q, &g, &a), k ? -EPROTO : -EHOSTUNREACH);
        guest_pass(5000);
    }
    a = fixture_learn(b, &q, fixture_runs_body(b, 1, 3, 3), "");
    assert_int_equal(fixture_count(a), 3);
    guest_finish(&g);
}

/* The clock passes second by second, as the catalog's own thread sees it. */
static void wait_out(struct catalog_fixture *b, const struct catalog_question *q, struct guest *g,
                     int64_t ms)
{
    const struct catalog_answer *a = NULL;

    for (; ms > 0; ms -= 1000) {
        guest_pass(ms < 1000 ? ms : 1000);
        fixture_pass_parser(b);
        if (guest_is_answered(g)) {
            assert_int_equal(guest_wait(g), 0);
            assert_int_equal(fixture_ask_again(b, q, g, &a), PENDING_PARKED);
        }
    }
}

static void extra_is_not_waited_for_beyond_patience_S18(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = extra_runs();
    const struct catalog_answer *a = NULL;
    struct guest g, second;

    guest_init(&g);
    guest_init(&second);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    wait_out(b, &q, &g, PATIENCE_MS - 1);
    guest_pass(1);
    fixture_pass_parser(b);
    assert_int_equal(fixture_wait(b, &q, &g, &a), -ETIMEDOUT);
    assert_int_equal(fixture_ask(b, &q, &second, &a), -ETIMEDOUT); /* nor does the next wait */
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_runs_body(b, 100, 5, 5), "", 0);
    fixture_pass_parser(b);
    assert_int_equal(fixture_ask(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 5); /* the answer is used later */
    assert_int_equal(b->fake.facts_wanted, 1);
    guest_finish(&g);
    guest_finish(&second);
}

static void extra_that_failed_before_is_waited_for_a_second(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = extra_runs();
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    fake_refuse(&b->fake, fake_take_facts(&b->fake), -ETIMEDOUT, SOURCE_UNREACHABLE,
                guest_now_ms() + 5000);
    assert_int_equal(fixture_wait(b, &q, &g, &a), -ETIMEDOUT);
    guest_pass(5000);
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    wait_out(b, &q, &g, 999);
    guest_pass(1);
    fixture_pass_parser(b);
    assert_int_equal(fixture_wait(b, &q, &g, &a), -ETIMEDOUT);
    guest_finish(&g);
}

/* Also where the clock of a longer wait, for a first answer, would still run. */
static void old_answer_of_an_extra_is_shown_after_a_second_S18(void **state)
{
    struct catalog_fixture *b = *state;
    struct catalog_question q = fixture_jobs(9);
    const struct catalog_answer *a = NULL;
    struct guest g;

    guest_init(&g);
    q.is_extra = true;
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    guest_pass(100);
    fake_answer(&b->fake, fake_take_facts(&b->fake), fixture_jobs_body(b, 1, 2, 2, "completed"), "",
                0);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    catalog_answer_release(a);
    q.may_settle = true; /* asked once more */
    assert_int_equal(fixture_ask(b, &q, &g, &a), PENDING_PARKED);
    wait_out(b, &q, &g, 999);
    guest_pass(1);
    fixture_pass_parser(b);
    assert_int_equal(fixture_wait(b, &q, &g, &a), 0);
    assert_int_equal(fixture_count(a), 2);
    guest_finish(&g);
}

#define WITH_BENCH(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, catalog_fixture_setup, catalog_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(refused_extra_is_requested_once_a_minute_S18),
        WITH_BENCH(only_a_refusal_of_an_extra_is_remembered_longer),
        WITH_BENCH(extra_is_not_waited_for_beyond_patience_S18),
        WITH_BENCH(extra_that_failed_before_is_waited_for_a_second),
        WITH_BENCH(old_answer_of_an_extra_is_shown_after_a_second_S18),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
