/* Decimal numbers, and what is percent-encoded for a URL. */
#include "name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void numbers_are_digits_only_up_to_a_bound(void **state)
{
    static const char *const wrong[] = {"",   "-1",  "+1",  " 1",  "1 ",
                                        "1x", "0x1", "1e3", "1.0", "18446744073709551616"};
    uint64_t value = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_false(name_parse_number(wrong[i], strlen(wrong[i]), UINT64_MAX, &value));
    assert_false(name_parse_number("65536", 5, 65535, &value));
    assert_false(name_parse_number("12", 0, UINT64_MAX, &value));
    assert_int_equal(value, 7);
    assert_true(name_parse_number("18446744073709551615", 20, UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    assert_true(name_parse_number("0065535", 7, 65535, &value) && value == 65535);
    assert_true(name_parse_number("12x", 2, 99, &value) && value == 12);
}

static void bytes_that_are_not_plain_are_percent_encoded(void **state)
{
    char text[32];

    (void)state;
    assert_true(name_escape("aZ9-_./%~ \xC3\xA4", 12, "-_.", text, sizeof(text)));
    assert_string_equal(text, "aZ9-_.%2F%25%7E%20%C3%A4");
    assert_true(name_escape("a\0b", 3, "", text, sizeof(text)));
    assert_string_equal(text, "a%00b");
    assert_true(name_escape("", 0, "", text, 1));
    assert_string_equal(text, "");
}

static void encoding_that_does_not_fit_is_cut_before_a_byte(void **state)
{
    char text[5];

    (void)state;
    assert_true(name_escape("a/", 2, "", text, sizeof(text)));
    assert_string_equal(text, "a%2F");
    assert_false(name_escape("ab/", 3, "", text, sizeof(text)));
    assert_string_equal(text, "ab");
    assert_false(name_escape("abcde", 5, "", text, sizeof(text)));
    assert_string_equal(text, "abcd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_digits_only_up_to_a_bound),
        cmocka_unit_test(bytes_that_are_not_plain_are_percent_encoded),
        cmocka_unit_test(encoding_that_does_not_fit_is_cut_before_a_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
