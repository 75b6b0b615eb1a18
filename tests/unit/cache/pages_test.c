/* Which pages of a log are present. */
#include "cache/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void lengths_at_the_borders(void **state)
{
    (void)state;
    assert_int_equal(store_page_count(0), 0);
    assert_int_equal(store_page_count(1), 1);
    assert_int_equal(store_page_count(PAGE_SIZE), 1);
    assert_int_equal(store_page_count(PAGE_SIZE + 1), 2);
    assert_true(store_page_count(UINT64_MAX) == UINT64_C(1) << 48);
    assert_int_equal(page_length(1, 0), 1);
    assert_int_equal(page_length(PAGE_SIZE, 0), PAGE_SIZE);
    assert_int_equal(page_length(PAGE_SIZE + 7, 0), PAGE_SIZE);
    assert_int_equal(page_length(PAGE_SIZE + 7, 1), 7);
}

static void new_pages_are_absent_and_old_ones_stay(void **state)
{
    struct pages t;

    (void)state;
    pages_init(&t);
    assert_int_equal(pages_get(&t, 0), PAGE_ABSENT);
    assert_int_equal(pages_grow(&t, 2), 0);
    pages_set_present(&t, 1, 77);
    assert_int_equal(pages_grow(&t, 1000), 0);
    assert_int_equal(pages_grow(&t, 5), 0);
    assert_int_equal(t.count, 1000);
    assert_int_equal(t.sum[1], 77);
    for (uint64_t p = 0; p < 1001; p++)
        assert_int_equal(pages_get(&t, p), p == 1 ? PAGE_PRESENT : PAGE_ABSENT);
    pages_finish(&t);
    assert_int_equal(t.count, 0);
}

static void present_page_is_counted_once(void **state)
{
    struct pages t;

    (void)state;
    pages_init(&t);
    assert_int_equal(pages_grow(&t, 4), 0);
    pages_set_present(&t, 3, 1);
    pages_set_present(&t, 3, 2);
    pages_set_present(&t, 4, 9); /* beyond the table: nothing */
    assert_int_equal(t.present, 1);
    assert_int_equal(t.sum[3], 2);
    pages_set_absent(&t, 3);
    pages_set_absent(&t, 3);
    pages_set_absent(&t, 99);
    assert_int_equal(t.present, 0);
    pages_finish(&t);
}

static void adopted_pages_are_unchecked(void **state)
{
    const uint64_t sums[] = {10, 11, 12};
    struct pages t;

    (void)state;
    pages_init(&t);
    assert_int_equal(pages_adopt(&t, NULL, 0), 0);
    assert_int_equal(pages_adopt(&t, sums, 3), 0);
    assert_int_equal(t.present, 0);
    for (uint64_t p = 0; p < 3; p++) {
        assert_int_equal(pages_get(&t, p), PAGE_UNCHECKED);
        assert_int_equal(t.sum[p], sums[p]);
    }
    pages_set_present(&t, 0, 10);
    pages_set_absent(&t, 1);
    assert_int_equal(t.present, 1);
    pages_clear(&t);
    assert_int_equal(t.present, 0);
    for (uint64_t p = 0; p < 3; p++)
        assert_int_equal(pages_get(&t, p), PAGE_ABSENT);
    pages_finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_at_the_borders),
        cmocka_unit_test(new_pages_are_absent_and_old_ones_stay),
        cmocka_unit_test(present_page_is_counted_once),
        cmocka_unit_test(adopted_pages_are_unchecked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
