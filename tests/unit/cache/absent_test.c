/* Remembered failures: under which name and until when (S14, the table of errors). */
#include "cache/absent.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct repo_name name = {"octo", "repo"}, spelled = {"OCTO", "Repo"},
                              other = {"octo", "repo2"};
static struct absent table;

static int open_table(void **state)
{
    (void)state;
    return absent_init(&table);
}

static int close_table(void **state)
{
    (void)state;
    absent_finish(&table);
    return 0;
}

static struct source_failure failure(int err, enum source_reason reason, int64_t until_ms)
{
    return (struct source_failure){
        .err = err, .reason = reason, .until_ms = until_ms, .completed_s = -1};
}

static void failure_holds_until_its_time(void **state)
{
    struct source_failure f = failure(-EACCES, SOURCE_FORBIDDEN, 1000);

    (void)state;
    assert_null(absent_find(&table, &name, 7, 0));
    absent_note(&table, &name, 7, &f, 0);
    assert_int_equal(absent_find(&table, &name, 7, 999)->err, -EACCES);
    assert_null(absent_find(&table, &name, 7, 1000));
}

static void failure_holds_for_its_name_and_job_only(void **state)
{
    struct source_failure f = failure(-ENOENT, SOURCE_NOT_FOUND, 1000);

    (void)state;
    absent_note(&table, &name, 7, &f, 0);
    assert_null(absent_find(&table, &other, 7, 0));
    assert_null(absent_find(&table, &name, 8, 0));
    assert_non_null(absent_find(&table, &spelled, 7, 0));
}

static void permanent_failure_holds_forever(void **state)
{
    struct source_failure f = failure(-ENOENT, SOURCE_EXPIRED, INT64_MAX);

    (void)state;
    absent_note(&table, &name, 7, &f, 0);
    assert_int_equal(absent_find(&table, &name, 7, INT64_MAX - 1)->reason, SOURCE_EXPIRED);
}

static void pending_log_is_held_3_s_doubling_to_30_s(void **state)
{
    const int64_t holds_ms[] = {3000, 6000, 12000, 24000, 30000, 30000};
    int64_t now = 5000;

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct source_failure f = failure(-ENOENT, SOURCE_PENDING, now + 3000);
        absent_note(&table, &name, 7, &f, now);
        assert_non_null(absent_find(&table, &name, 7, now + holds_ms[i] - 1));
        now += holds_ms[i];
        assert_null(absent_find(&table, &name, 7, now));
    }
}

static void hold_of_a_pending_log_restarts_after_another_failure(void **state)
{
    struct source_failure f = failure(-ENOENT, SOURCE_PENDING, 3000);
    struct source_failure gone = failure(-ENOENT, SOURCE_NOT_FOUND, 100);

    (void)state;
    absent_note(&table, &name, 7, &f, 0);
    absent_note(&table, &name, 7, &f, 0);
    absent_note(&table, &name, 7, &gone, 0);
    absent_note(&table, &name, 7, &f, 0);
    assert_null(absent_find(&table, &name, 7, 3000));
}

/* A few hundred failures at once, as a recursive reader meets them, do not evict each other. */
static void few_hundred_failures_are_all_remembered(void **state)
{
    (void)state;
    for (uint64_t job = 1; job <= 400; job++) {
        struct source_failure f = failure(-ENOENT, SOURCE_NOT_FOUND, 1000);
        absent_note(&table, &name, 10000000 + job, &f, 0);
    }
    for (uint64_t job = 1; job <= 400; job++)
        assert_non_null(absent_find(&table, &name, 10000000 + job, 0));
}

/* Law 7: the table does not grow, and never returns another job's failure. */
static void table_is_bounded(void **state)
{
    unsigned kept = 0;

    (void)state;
    for (uint64_t job = 1; job <= 4 * ABSENT_SLOTS; job++) {
        struct source_failure f = failure(-(int)job, SOURCE_NOT_FOUND, 1000);
        absent_note(&table, &name, job, &f, 0);
        assert_int_equal(absent_find(&table, &name, job, 0)->err, -(int)job);
    }
    for (uint64_t job = 1; job <= 4 * ABSENT_SLOTS; job++) {
        const struct source_failure *f = absent_find(&table, &name, job, 0);
        if (!f)
            continue;
        assert_int_equal(f->err, -(int)job);
        kept++;
    }
    assert_in_range(kept, ABSENT_SLOTS / 2, ABSENT_SLOTS);
}

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, open_table, close_table)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(failure_holds_until_its_time),
        WITH_TABLE(failure_holds_for_its_name_and_job_only),
        WITH_TABLE(permanent_failure_holds_forever),
        WITH_TABLE(pending_log_is_held_3_s_doubling_to_30_s),
        WITH_TABLE(hold_of_a_pending_log_restarts_after_another_failure),
        WITH_TABLE(few_hundred_failures_are_all_remembered),
        WITH_TABLE(table_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
