/* Where steps begin: what the records in the store are keyed by, and which are accepted. */
#include "views/steps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/scratch.h"

#define TEXT 4711
#define DIGEST 99
#define KEY "cuts/0000000000001267/0000000000000063"

static struct facts_step steps[3];
static const struct facts_job job = {.id = 7, .steps = steps, .step_count = 3};

static int setup(void **state)
{
    for (uint32_t i = 0; i < 3; i++)
        steps[i] = (struct facts_step){.number = i + 1,
                                       .name = (char *)(uintptr_t) "name",
                                       .status = FACTS_COMPLETED,
                                       .conclusion = FACTS_SUCCESS,
                                       .started_ms = 1000 * i,
                                       .completed_ms = 1000 * i + 999};
    return scratch_setup(state);
}

/* Each thing that decides about the cut decides about the digest. */
static void digest_changes_with_each_fact_that_affects_the_cut(void **state)
{
    uint64_t before = steps_digest(&job);
    struct facts_job shorter = job;

    (void)state;
    assert_true(steps_digest(&job) == before);
    steps[1].number = 9;
    assert_false(steps_digest(&job) == before);
    steps[1].number = 2;
    steps[1].name = (char *)(uintptr_t) "other";
    assert_false(steps_digest(&job) == before);
    steps[1].name = (char *)(uintptr_t) "name";
    steps[1].conclusion = FACTS_SKIPPED;
    assert_false(steps_digest(&job) == before);
    steps[1].conclusion = FACTS_SUCCESS;
    steps[1].status = FACTS_PENDING;
    assert_false(steps_digest(&job) == before);
    steps[1].status = FACTS_COMPLETED;
    steps[2].started_ms++;
    assert_false(steps_digest(&job) == before);
    steps[2].started_ms--;
    steps[2].completed_ms = FACTS_NO_TIME;
    assert_false(steps_digest(&job) == before);
    steps[2].completed_ms = 2999;
    shorter.step_count = 2;
    assert_false(steps_digest(&shorter) == before);
    assert_true(steps_digest(&job) == before);
}

/* "ab" + "c" is not "a" + "bc". */
static void digest_keeps_names_apart(void **state)
{
    uint64_t before;

    (void)state;
    steps[1].started_ms = steps[0].started_ms = 0;
    steps[0].name = (char *)(uintptr_t) "ab";
    steps[1].name = (char *)(uintptr_t) "c";
    before = steps_digest(&job);
    steps[0].name = (char *)(uintptr_t) "a";
    steps[1].name = (char *)(uintptr_t) "bc";
    assert_false(steps_digest(&job) == before);
}

static void skipped_and_untimed_steps_are_passed_to_the_cutter(void **state)
{
    struct text_step *told;

    (void)state;
    steps[1].conclusion = FACTS_SKIPPED;
    steps[2].started_ms = steps[2].completed_ms = FACTS_NO_TIME;
    told = steps_for_cutter(&job);
    assert_int_equal(told[0].number, 1);
    assert_false(told[0].skipped);
    assert_int_equal(told[0].completed_ms, 999);
    assert_string_equal(told[0].name, "name");
    assert_true(told[1].skipped);
    assert_true(told[2].started_ms == TEXT_TIME_UNKNOWN);
    assert_true(told[2].completed_ms == TEXT_TIME_UNKNOWN);
    free(told);
}

/* For the cutter steps that ran at the same time are one, and one that never started is none. */
static void parallel_steps_are_one_step_for_the_cutter(void **state)
{
    struct text_step *told;

    (void)state;
    steps[0].started_ms = 5000;
    steps[0].completed_ms = 9000;
    steps[1].started_ms = 6000;
    steps[1].completed_ms = 20000;
    steps[2].status = FACTS_PENDING;
    told = steps_for_cutter(&job);
    assert_false(told[0].skipped);
    assert_true(told[0].together);
    assert_int_equal(told[0].started_ms, 5000);
    assert_int_equal(told[0].completed_ms, 20000);
    assert_true(told[1].skipped);
    assert_true(told[2].skipped);
    free(told);
}

static const struct text_range ranges[3] = {{true, 0, 10}, {false, 0, 0}, {true, 10, 30}};

static int load(struct store *s, uint64_t text, uint64_t digest, size_t count,
                struct text_range *ret_ranges)
{
    return steps_load_ranges(s, text, digest, 30, ret_ranges, count);
}

static void saved_ranges_are_loaded_for_their_own_key_only(void **state)
{
    struct store *s = scratch_store(*state, 1 << 20);
    struct text_range back[3] = {{0}}, untouched[3] = {{0}};

    assert_int_equal(load(s, TEXT, DIGEST, 3, back), -ENOENT);
    assert_int_equal(steps_save_ranges(s, TEXT, DIGEST, ranges, 3), 0);
    assert_int_equal(load(s, TEXT, DIGEST, 3, back), 0);
    assert_memory_equal(back, ranges, sizeof(ranges));
    memset(back, 0, sizeof(back));
    assert_int_equal(load(s, TEXT + 1, DIGEST, 3, back), -ENOENT);
    assert_int_equal(load(s, TEXT, DIGEST + 1, 3, back), -ENOENT);
    assert_int_equal(load(s, TEXT, DIGEST, 2, back), -ENOENT);
    assert_memory_equal(back, untouched, sizeof(back));
    store_destroy(s);
}

static void refused(struct store *s, uint64_t size)
{
    struct text_range back[3] = {{0}}, untouched[3] = {{0}};

    assert_int_equal(steps_load_ranges(s, TEXT, DIGEST, size, back, 3), -ENOENT);
    assert_memory_equal(back, untouched, sizeof(back));
}

/* A text of another size, ranges that end before they begin. */
static void ranges_that_do_not_fit_the_text_are_refused(void **state)
{
    struct store *s = scratch_store(*state, 1 << 20);
    struct text_range wrong[3];

    assert_int_equal(steps_save_ranges(s, TEXT, DIGEST, ranges, 3), 0);
    refused(s, 29);
    memcpy(wrong, ranges, sizeof(ranges));
    wrong[2] = (struct text_range){true, 20, 10};
    assert_int_equal(steps_save_ranges(s, TEXT, DIGEST, wrong, 3), 0);
    refused(s, 30);
    store_destroy(s);
}

static void damaged_records_are_refused(void **state)
{
    struct store *s = scratch_store(*state, 1 << 20);
    unsigned char *data;
    void *got;
    size_t len;

    assert_int_equal(steps_save_ranges(s, TEXT, DIGEST, ranges, 3), 0);
    assert_int_equal(store_get_record(s, KEY, &got, &len), 0);
    data = got;
    for (size_t at = 0; at < 32; at++) {
        data[at] ^= 1;
        assert_int_equal(store_put_record(s, KEY, data, len), 0);
        refused(s, 30);
        data[at] ^= 1;
    }
    for (size_t cut = 0; cut < len; cut += 7) {
        assert_int_equal(store_put_record(s, KEY, data, cut), 0);
        refused(s, 30);
    }
    free(got);
    store_destroy(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(digest_changes_with_each_fact_that_affects_the_cut),
        TEST(digest_keeps_names_apart),
        TEST(skipped_and_untimed_steps_are_passed_to_the_cutter),
        TEST(parallel_steps_are_one_step_for_the_cutter),
        TEST(saved_ranges_are_loaded_for_their_own_key_only),
        TEST(ranges_that_do_not_fit_the_text_are_refused),
        TEST(damaged_records_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
