/* What to fetch next: S3 (few ranges), S5 (the end of a log without its front). */
#include "cache/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static struct plan_wish note(struct plan_reader *r, uint64_t offset, uint64_t len, uint64_t size)
{
    struct plan_wish wish;

    plan_note_read(r, offset, len, size, &wish);
    assert_true(wish.need_to == (offset + len < size ? offset + len : size));
    assert_true(wish.want_to >= wish.need_to);
    assert_true(wish.want_to <= size);
    return wish;
}

static void first_reads_want_little(void **state)
{
    struct plan_reader r = {0};
    struct plan_wish wish = note(&r, 0, 4 * KIB, GIB);

    (void)state;
    assert_true(wish.want_to <= PLAN_JUMP);
    assert_true(wish.range < PLAN_RANGE);
}

static void half_a_mib_read_sequentially_opens_a_window(void **state)
{
    struct plan_reader r = {0};
    struct plan_wish wish = {0};
    uint64_t at = 0;

    (void)state;
    for (; at < 512 * KIB; at += 128 * KIB)
        wish = note(&r, at, 128 * KIB, GIB);
    assert_true(wish.want_to >= at - 128 * KIB + 2 * MIB);
    assert_true(wish.range >= PLAN_RANGE);
}

static void window_grows_to_its_bound_and_ranges_with_it(void **state)
{
    struct plan_reader r = {0};
    struct plan_wish wish = {0};

    (void)state;
    for (uint64_t at = 0; at < 100 * MIB; at += 128 * KIB) {
        wish = note(&r, at, 128 * KIB, GIB);
        assert_true(wish.want_to - at <= PLAN_WINDOW_MAX);
    }
    assert_true(wish.want_to == 100 * MIB - 128 * KIB + PLAN_WINDOW_MAX);
    assert_true(wish.range == PLAN_RANGE_LARGE);
}

static void jump_starts_anew(void **state)
{
    struct plan_reader r = {0};
    struct plan_wish wish;

    (void)state;
    for (uint64_t at = 0; at < 10 * MIB; at += MIB)
        note(&r, at, MIB, GIB);
    wish = note(&r, GIB - 4 * KIB, 4 * KIB, GIB);
    assert_true(wish.range < PLAN_RANGE);
    wish = note(&r, 300 * MIB, 4 * KIB, GIB);
    assert_true(wish.range < PLAN_RANGE);
    assert_true(wish.want_to <= 300 * MIB + PLAN_JUMP);
}

static void readahead_out_of_order_is_sequential(void **state)
{
    struct plan_reader r = {0};
    struct plan_wish wish = {0};

    (void)state;
    for (uint64_t at = 0; at < 4 * MIB; at += 256 * KIB) {
        note(&r, at + 128 * KIB, 128 * KIB, GIB);
        wish = note(&r, at, 128 * KIB, GIB);
    }
    assert_true(wish.range >= PLAN_RANGE);
}

/* Parts of one readahead of 2 MiB, the last first. */
static void readahead_of_2_mib_is_sequential_in_any_order(void **state)
{
    struct plan_reader r = {0};
    struct plan_wish wish = {0};

    (void)state;
    for (uint64_t at = 0; at < 8 * MIB; at += 2 * MIB) {
        for (uint64_t part = 4; part-- > 0;)
            wish = note(&r, at + part * 512 * KIB, 512 * KIB, GIB);
        assert_true(at == 0 || wish.range >= PLAN_RANGE);
    }
}

static void who_reads_backwards_wants_blocks(void **state)
{
    struct plan_reader r = {0};
    struct plan_wish wish = note(&r, GIB - 64 * KIB, 64 * KIB, GIB);

    (void)state;
    assert_false(wish.backwards);
    for (uint64_t at = GIB - 128 * KIB; at > GIB - 4 * MIB; at -= 64 * KIB) {
        wish = note(&r, at, 64 * KIB, GIB);
        assert_true(wish.backwards && wish.want_to == at + 64 * KIB);
    }
}

/* As the kernel does for faults: 1 MiB below what is there, in two parts from the front. */
static void backwards_in_pairs_of_parts_is_backwards(void **state)
{
    struct plan_reader r = {0};
    struct plan_wish wish;

    (void)state;
    note(&r, GIB - MIB, MIB, GIB);
    for (uint64_t at = GIB - 2 * MIB; at > GIB - 8 * MIB; at -= MIB) {
        wish = note(&r, at, 512 * KIB, GIB);
        assert_true(wish.backwards && wish.want_to == at + MIB);
        wish = note(&r, at + 512 * KIB, 512 * KIB, GIB);
        assert_true(wish.range < PLAN_RANGE);
    }
}

static void block_is_a_range_and_leaves_no_less_over(void **state)
{
    (void)state;
    assert_true(plan_block_start(0, 3 * MIB) == 0);
    assert_true(plan_block_start(MIB, 8 * MIB) == MIB);
    assert_true(plan_block_start(0, 8 * MIB) == 4 * MIB);
    assert_true(plan_block_start(MIB, 100 * MIB) == 96 * MIB);
}

static void reading_the_same_bytes_again_does_not_widen_the_window(void **state)
{
    struct plan_reader r = {0};
    struct plan_wish wish = {0};

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        wish = note(&r, 0, 64 * KIB, GIB);
    assert_true(wish.range < PLAN_RANGE);
}

static void small_log_comes_in_one_range(void **state)
{
    struct plan_reader r = {0};
    struct plan_wish wish = note(&r, 0, 4 * KIB, MIB);

    (void)state;
    assert_true(wish.range >= MIB);
}

static void nothing_is_wanted_beyond_the_end(void **state)
{
    struct plan_reader r = {0};

    (void)state;
    for (uint64_t at = 0; at < 3 * MIB; at += 100 * KIB)
        note(&r, at, 100 * KIB, 3 * MIB);
    note(&r, 3 * MIB - 1, 128 * KIB, 3 * MIB);
    note(&r, 3 * MIB - 1, 1, 3 * MIB);
}

static void far_is_more_than_a_range_ahead(void **state)
{
    (void)state;
    assert_false(plan_is_far(0, 0));
    assert_false(plan_is_far(MIB, 0));
    assert_false(plan_is_far(0, PLAN_RANGE));
    assert_true(plan_is_far(0, PLAN_RANGE + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_reads_want_little),
        cmocka_unit_test(half_a_mib_read_sequentially_opens_a_window),
        cmocka_unit_test(window_grows_to_its_bound_and_ranges_with_it),
        cmocka_unit_test(jump_starts_anew),
        cmocka_unit_test(readahead_out_of_order_is_sequential),
        cmocka_unit_test(readahead_of_2_mib_is_sequential_in_any_order),
        cmocka_unit_test(who_reads_backwards_wants_blocks),
        cmocka_unit_test(backwards_in_pairs_of_parts_is_backwards),
        cmocka_unit_test(block_is_a_range_and_leaves_no_less_over),
        cmocka_unit_test(reading_the_same_bytes_again_does_not_widen_the_window),
        cmocka_unit_test(small_log_comes_in_one_range),
        cmocka_unit_test(nothing_is_wanted_beyond_the_end),
        cmocka_unit_test(far_is_more_than_a_range_ahead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
