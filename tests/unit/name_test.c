/* Names and ids by their grammar: S13. */
#include "name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void s13_owners_by_their_grammar(void **state)
{
    static const char *const good[] = {"a", "Z9", "octo-cat", "a_b", "9", "a-"};
    static const char *const bad[] = {"", "-a", "_a", ".github", "a.b", "a b", "a/b", "\xc3\xa9"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(name_is_owner(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(name_is_owner(bad[i]));
}

static void s13_repositories_by_their_grammar(void **state)
{
    static const char *const good[] = {"a", ".github", "...", "-", "_x", "a.b-c_d", "git", ".gi"};
    static const char *const bad[] = {"", ".", "..", "a.git", "a.GIT", ".git", "a b", "a/b", "a\n"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(name_is_repo(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(name_is_repo(bad[i]));
}

static void s13_names_have_at_most_100_bytes(void **state)
{
    char name[NAME_PART_MAX + 2] = {0};

    (void)state;
    memset(name, 'a', NAME_PART_MAX);
    assert_true(name_is_owner(name) && name_is_repo(name));
    name[NAME_PART_MAX] = 'a';
    assert_false(name_is_owner(name) || name_is_repo(name));
}

static void s13_ids_are_decimal_numbers_that_json_carries_exactly(void **state)
{
    static const char *const bad[] = {"",    "0",
                                      "01",  "-1",
                                      "+1",  " 1",
                                      "1 ",  "1x",
                                      "0x1", "9007199254740992",
                                      "１",  "1e3",
                                      "1.0", "18446744073709551617"};
    uint64_t id = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(name_parse_id(bad[i], &id));
    assert_int_equal(id, 7);
    assert_true(name_parse_id("1", &id) && id == 1);
    assert_true(name_parse_id("9007199254740991", &id) && id == NAME_ID_MAX);
}

static void characters_are_utf_8_in_its_shortest_form(void **state)
{
    static const struct {
        const char *text;
        uint32_t code;
    } good[] = {{"a", 'a'},
                {"\x7f", 0x7f},
                {"\xc2\x80", 0x80},
                {"\xdf\xbf", 0x7ff},
                {"\xe0\xa0\x80", 0x800},
                {"\xed\x9f\xbf", 0xd7ff},
                {"\xee\x80\x80", 0xe000},
                {"\xf0\x90\x80\x80", 0x10000},
                {"\xf4\x8f\xbf\xbf", 0x10ffff}};
    static const char *const bad[] = {"\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xc3(",
                                      "\xe0\x9f\xbf",
                                      "\xe2\x82",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x9f\x98",
                                      "\xf4\x90\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xff"};
    uint32_t code = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(name_read_character(bad[i], &code), 0);
    assert_int_equal(code, 7);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(name_read_character(good[i].text, &code), strlen(good[i].text));
        assert_int_equal(code, good[i].code);
    }
}

static void names_that_differ_in_case_are_the_same(void **state)
{
    const struct repo_name a = {"Octo", "Hello.X"}, b = {"oCTO", "hello.x"}, c = {"octo", "hello"};
    char folded[NAME_FULL_LEN];

    (void)state;
    assert_true(name_is_same(&a, &b));
    assert_false(name_is_same(&a, &c));
    name_fold(&a, folded);
    assert_string_equal(folded, "octo/hello.x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s13_owners_by_their_grammar),
        cmocka_unit_test(s13_repositories_by_their_grammar),
        cmocka_unit_test(s13_names_have_at_most_100_bytes),
        cmocka_unit_test(s13_ids_are_decimal_numbers_that_json_carries_exactly),
        cmocka_unit_test(characters_are_utf_8_in_its_shortest_form),
        cmocka_unit_test(names_that_differ_in_case_are_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
