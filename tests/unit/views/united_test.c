/* Filtered lists united with the unfiltered one: which facts count, what is left out, in which
 * order (S18). */
#include "views/united.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define RUNS_MAX 8

/* A run: failed or not, and when. */
struct told {
    uint64_t id;
    int64_t created_ms, updated_ms;
    bool is_failed;
    uint32_t attempt;
};

#define FAILED(id, created_ms, updated_ms)                                                         \
    {                                                                                              \
        id, created_ms, updated_ms, true, 1                                                        \
    }
#define PASSED(id, created_ms, updated_ms, attempt)                                                \
    {                                                                                              \
        id, created_ms, updated_ms, false, attempt                                                 \
    }

struct list_of_runs {
    struct facts_run runs[RUNS_MAX];
    const struct facts_run *pointers[RUNS_MAX];
    struct catalog_answer answer;
};

static const struct catalog_answer *tell(struct list_of_runs *l, const struct told *told)
{
    size_t count = 0;

    for (; count < RUNS_MAX && told[count].id; count++) {
        l->runs[count] = (struct facts_run){.id = told[count].id,
                                            .created_ms = told[count].created_ms,
                                            .updated_ms = told[count].updated_ms,
                                            .attempt = told[count].attempt,
                                            .conclusion = told[count].is_failed ? FACTS_FAILURE
                                                                                : FACTS_SUCCESS};
        l->pointers[count] = &l->runs[count];
    }
    l->answer = (struct catalog_answer){.runs = l->pointers, .count = count};
    return &l->answer;
}

static bool is_failed(const struct united_filter *f, const struct facts_run *run)
{
    (void)f;
    return run->conclusion == FACTS_FAILURE;
}

/* `ids` ends with 0. NULL: such a list cannot be had. */
static void check(const struct told *unfiltered, const struct told *first,
                  const struct told *second, size_t limit, const uint64_t *ids)
{
    static const struct united_filter filter = {is_failed};
    struct list_of_runs lists[3];
    const struct catalog_answer *filtered[2] = {first ? tell(&lists[1], first) : NULL,
                                                second ? tell(&lists[2], second) : NULL};
    const struct facts_run **runs;
    size_t count;

    assert_int_equal(united_make(unfiltered ? tell(&lists[0], unfiltered) : NULL, filtered, 2,
                                 &filter, limit, &runs, &count),
                     0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(runs[i]->id, ids[i]);
    assert_int_equal(ids[count], 0);
    free(runs);
}

#define TOLD(...) ((const struct told[RUNS_MAX + 1]){__VA_ARGS__})
#define NO_RUNS TOLD(FAILED(0, 0, 0))
#define IDS(...) ((const uint64_t[]){__VA_ARGS__, 0})
#define NO_IDS ((const uint64_t[]){0})

static void lists_are_one_newest_first_and_each_run_once(void **state)
{
    (void)state;
    check(TOLD(FAILED(9, 900, 900), PASSED(8, 800, 800, 1)),
          TOLD(FAILED(9, 900, 900), FAILED(3, 300, 300)),
          TOLD(FAILED(5, 500, 500), FAILED(3, 300, 300)), 30, IDS(9, 5, 3));
    /* Of the same time: the higher id is the newer. */
    check(TOLD(FAILED(6, 600, 0)), TOLD(FAILED(7, 600, 0)), TOLD(FAILED(5, 600, 0)), 30,
          IDS(7, 6, 5));
}

static void oldest_are_cut_whichever_list_they_are_of(void **state)
{
    (void)state;
    check(TOLD(FAILED(9, 900, 0), FAILED(4, 400, 0)), TOLD(FAILED(3, 300, 0), FAILED(2, 200, 0)),
          TOLD(FAILED(9, 900, 0), FAILED(1, 100, 0)), 3, IDS(9, 4, 3));
    check(TOLD(FAILED(9, 900, 0)), NULL, NULL, 0, NO_IDS);
}

static void list_that_cannot_be_had_takes_no_other_away(void **state)
{
    (void)state;
    check(NULL, TOLD(FAILED(3, 300, 0)), TOLD(FAILED(5, 500, 0)), 30, IDS(5, 3));
    check(TOLD(FAILED(9, 900, 0), PASSED(8, 800, 0, 1)), NULL, NULL, 30, IDS(9));
    check(TOLD(FAILED(9, 900, 0)), NULL, TOLD(FAILED(5, 500, 0)), 30, IDS(9, 5));
    check(NULL, NULL, NULL, 30, NO_IDS);
    check(NO_RUNS, NO_RUNS, NULL, 30, NO_IDS);
}

static void latest_facts_of_a_run_count(void **state)
{
    (void)state;
    /* Equal: the unfiltered list is right. */
    check(TOLD(PASSED(9, 900, 950, 1)), TOLD(FAILED(9, 900, 950)), NULL, 30, NO_IDS);
    /* The filtered list is stale. */
    check(TOLD(PASSED(9, 900, 990, 1)), TOLD(FAILED(9, 900, 950)), NULL, 30, NO_IDS);
    check(TOLD(FAILED(9, 900, 990)), TOLD(PASSED(9, 900, 950, 1)), NULL, 30, IDS(9));
    /* The unfiltered one was asked for before the run failed. */
    check(TOLD(PASSED(9, 900, 900, 1)), TOLD(FAILED(9, 900, 950)), NULL, 30, IDS(9));
    /* A later attempt is later, whatever the times. */
    check(TOLD(PASSED(9, 900, 900, 2)), TOLD(FAILED(9, 900, 950)), NULL, 30, NO_IDS);
    /* Between filtered lists as well. */
    check(NULL, TOLD(FAILED(9, 900, 900)), TOLD(PASSED(9, 900, 950, 1)), 30, NO_IDS);
}

static void run_that_the_unfiltered_list_should_have_is_deleted(void **state)
{
    (void)state;
    check(TOLD(FAILED(9, 900, 0), FAILED(6, 600, 0)), TOLD(FAILED(8, 800, 0), FAILED(7, 601, 0)),
          NULL, 30, IDS(9, 6));
    /* At its ends and beyond, it may only be out of reach, or newer than the list. */
    check(TOLD(FAILED(8, 900, 0), FAILED(6, 600, 0)), TOLD(FAILED(9, 900, 0), FAILED(5, 600, 0)),
          TOLD(FAILED(10, 901, 0), FAILED(4, 400, 0)), 30, IDS(10, 9, 8, 6, 5, 4));
    /* What has no time lies nowhere, and opens no gap. */
    check(TOLD(FAILED(9, FACTS_NO_TIME, 0), FAILED(6, 600, 0)), TOLD(FAILED(5, 500, 0)), NULL, 30,
          IDS(6, 5, 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_one_newest_first_and_each_run_once),
        cmocka_unit_test(oldest_are_cut_whichever_list_they_are_of),
        cmocka_unit_test(list_that_cannot_be_had_takes_no_other_away),
        cmocka_unit_test(latest_facts_of_a_run_count),
        cmocka_unit_test(run_that_the_unfiltered_list_should_have_is_deleted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
