/* Which job a name in a run's directory means, of more runs than are remembered. */
#include "views/runs.h"

#include "catalog/catalog_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define RUNS (JOB_NAMES_RUNS + 3)
#define JOBS 20

struct fixture {
    void *fixture;
    struct job_names *names;
    const struct catalog_answer *runs[RUNS];
};

static uint64_t first_job(size_t run)
{
    return 1000 + 100 * (uint64_t)run;
}

static int setup(void **state)
{
    static struct fixture f;
    struct catalog_fixture *b;

    if (catalog_fixture_setup(&f.fixture))
        return -1;
    b = f.fixture;
    f.names = job_names_create();
    for (size_t i = 0; i < RUNS; i++) {
        struct catalog_question q = fixture_jobs(i + 1);
        f.runs[i] = fixture_learn(b, &q,
                                  fixture_jobs_body(b, first_job(i), JOBS, JOBS, "completed"), "");
    }
    *state = &f;
    return f.names ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    job_names_destroy(f->names);
    for (size_t i = 0; i < RUNS; i++)
        catalog_answer_release(f->runs[i]);
    return catalog_fixture_teardown(&f->fixture);
}

/* All jobs of the fixture have one name: the first has it bare, the others with their ids. */
static void check(struct fixture *f, size_t run)
{
    uint64_t job = 0;
    char name[64];

    assert_int_equal(job_names_find(f->names, f->runs[run], "build", &job), 0);
    assert_int_equal(job, first_job(run));
    for (uint64_t id = first_job(run) + 1; id < first_job(run) + JOBS; id++) {
        snprintf(name, sizeof(name), "build (%llu)", (unsigned long long)id);
        assert_int_equal(job_names_find(f->names, f->runs[run], name, &job), 0);
        assert_int_equal(job, id);
    }
}

static void s12_names_are_found_in_whatever_order_runs_are_looked_into(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < RUNS; i++)
        check(f, i);
    for (size_t i = RUNS; i-- > 0;)
        check(f, i);
    for (size_t i = 0; i < 2 * JOB_NAMES_RUNS; i++) {
        check(f, i % 2);
        check(f, 2 + i % 3);
    }
}

static void what_is_no_name_is_not_found(void **state)
{
    struct fixture *f = *state;
    uint64_t job = 7;

    check(f, 0);
    assert_int_equal(job_names_find(f->names, f->runs[0], "", &job), -ENOENT);
    assert_int_equal(job_names_find(f->names, f->runs[0], "buil", &job), -ENOENT);
    assert_int_equal(job_names_find(f->names, f->runs[0], "zzz", &job), -ENOENT);
    assert_int_equal(job_names_find(f->names, f->runs[0], "build (1100)", &job), -ENOENT);
    assert_int_equal(job, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(s12_names_are_found_in_whatever_order_runs_are_looked_into,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_name_is_not_found, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
