/* Names that a server gave, made fit to be file names (S12). */
#include "views/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_in_run(const char *name)
{
    return !strcmp(name, "run.json") || !strcmp(name, "attempts");
}

static void check_clean(const char *given, size_t max, const char *expected)
{
    char name[SAFE_NAME_LEN];

    safe_name_clean(given, max, name);
    assert_string_equal(name, expected);
}

static void what_becomes_of_characters(void **state)
{
    (void)state;
    check_clean("build (ubuntu, 3.12)", 255, "build (ubuntu, 3.12)");
    check_clean("../x", 255, "..\xe2\x88\x95x");
    check_clean("/", 255, "\xe2\x88\x95");
    check_clean("a\nb\tc\x1b[0m\x7f", 255, "a_b_c_[0m_");
    check_clean("c1 \xc2\x80\xc2\x9f nbsp \xc2\xa0", 255, "c1 __ nbsp \xc2\xa0");
    check_clean("caf\xc3\xa9 \xf0\x9f\xa7\xaa", 255, "caf\xc3\xa9 \xf0\x9f\xa7\xaa");
    check_clean("", 255, "");
}

/* What is not UTF-8 passes byte for byte, and no slash or control character hides in it. */
static void bytes_that_are_no_characters(void **state)
{
    (void)state;
    check_clean("\xff\xfe", 255, "\xff\xfe");
    check_clean("\xc2/", 255, "\xc2\xe2\x88\x95");
    check_clean("\xe2\x88\n", 255, "\xe2\x88_");
    check_clean("\xf0\x9f\x1b", 255, "\xf0\x9f_");
    check_clean("\xf0", 255, "\xf0");
}

static void cut_on_a_character_boundary(void **state)
{
    (void)state;
    check_clean("abcdef", 3, "abc");
    check_clean("ab\xc3\xa9", 4, "ab\xc3\xa9");
    check_clean("ab\xc3\xa9", 3, "ab");
    check_clean("\xf0\x9f\xa7\xaa", 3, "");
    check_clean("ab/c", 4, "ab"); /* a slash grows to three bytes */
    check_clean("a\nb", 2, "a_");
}

static void never_longer_than_a_name_may_be(void **state)
{
    char given[1200], name[SAFE_NAME_LEN];

    (void)state;
    for (size_t len = 250; len < sizeof(given); len += 7) {
        memset(given, '/', len);
        given[len] = '\0';
        safe_name_clean(given, SAFE_NAME_LEN - 1, name);
        assert_int_equal(strlen(name), len < 85 ? 3 * len : 255);
        safe_name_make("", given, ".txt", name);
        assert_true(strlen(name) <= 255);
        assert_string_equal(name + strlen(name) - 4, ".txt");
    }
}

static void check_make(const char *before, const char *given, const char *behind,
                       const char *expected)
{
    char name[SAFE_NAME_LEN];

    safe_name_make(before, given, behind, name);
    assert_string_equal(name, expected);
}

static void s12_no_name_begins_with_what_misleads_tools(void **state)
{
    (void)state;
    check_make("", "--checkpoint=1", "", "_--checkpoint=1");
    check_make("", "-", "", "_-");
    check_make("", "+!id", "", "_+!id");
    check_make("", "|id", "", "_|id");
    check_make("", "~root", "", "_~root");
    check_make("", ".NET 8 (windows-latest)", "", "_.NET 8 (windows-latest)");
    check_make("", ".", "", "_.");
    check_make("", "..", "", "_..");
    check_make("", " lead", "", "_ lead");
    check_make("", "", " (7)", "_ (7)");
    check_make("", "\n-x", "", "_-x"); /* it begins with _ already */
    check_make("", "_-x", "", "_-x");
    check_make("", "a-b", "", "a-b");
    check_make("", "\xc2\xa0-x", "", "\xc2\xa0-x");
}

/* What stands in front decides. */
static void names_of_three_parts(void **state)
{
    (void)state;
    check_make("03-", "-rf", ".txt", "03--rf.txt");
    check_make("03-", "", ".txt", "03-.txt");
    check_make("-", "x", "", "_-x");
    check_make("a/", "b\n", " (1)",
               "a\xe2\x88\x95"
               "b_ (1)");
}

static void the_prefix_does_not_make_a_name_too_long(void **state)
{
    char given[300], name[SAFE_NAME_LEN];

    (void)state;
    memset(given, '-', sizeof(given));
    for (size_t len = 250; len < sizeof(given); len++) {
        given[len] = '\0';
        safe_name_make("", given, "", name);
        assert_int_equal(strlen(name), len < 255 ? len + 1 : 255);
        safe_name_make("", given, " (12)", name);
        assert_int_equal(strlen(name), len < 249 ? len + 6 : 255);
        assert_string_equal(name + strlen(name) - 5, " (12)");
        assert_memory_equal(name, "_--", 3);
        given[len] = '-';
    }
}

static void check_unmake(const char *shown, const char *expected)
{
    const char *given = "untouched";

    assert_int_equal(safe_name_unmake(shown, &given), expected != NULL);
    assert_string_equal(given, expected ? expected : "untouched");
}

static void a_name_that_got_a_prefix_is_recognised_by_it(void **state)
{
    (void)state;
    check_unmake("_-x.yml", "-x.yml");
    check_unmake("_.x", ".x");
    check_unmake("__-x", NULL);
    check_unmake("_x", NULL);
    check_unmake("-x", NULL);
    check_unmake("_", NULL);
    check_unmake("", NULL);
    check_unmake("_.", NULL); /* a URL would lose these */
    check_unmake("_..", NULL);
    check_unmake("_...", "...");
}

static void assign(struct safe_name *names, size_t count, safe_name_test *is_taken)
{
    assert_int_equal(safe_name_assign(names, count, is_taken), 0);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(names[i].name, names[k].name);
}

static void of_equal_names_the_lowest_id_keeps_the_bare_one(void **state)
{
    struct safe_name names[] = {{.given = "same", .id = 9},
                                {.given = "same", .id = 3},
                                {.given = "other", .id = 1},
                                {.given = "same", .id = 5}};

    (void)state;
    assign(names, 4, NULL);
    assert_string_equal(names[0].name, "same (9)");
    assert_string_equal(names[1].name, "same");
    assert_string_equal(names[2].name, "other");
    assert_string_equal(names[3].name, "same (5)");
}

static void names_equal_only_when_made_safe(void **state)
{
    struct safe_name names[] = {{.given = "a/b", .id = 1},
                                {.given = "a\xe2\x88\x95"
                                          "b",
                                 .id = 2},
                                {.given = "x\n", .id = 3},
                                {.given = "x_", .id = 4}};

    (void)state;
    assign(names, 4, NULL);
    assert_string_equal(names[1].name, "a\xe2\x88\x95"
                                       "b (2)");
    assert_string_equal(names[3].name, "x_ (4)");
}

static void names_that_the_tree_uses(void **state)
{
    struct safe_name names[] = {{.given = ".", .id = 1},        {.given = "..", .id = 2},
                                {.given = "", .id = 3},         {.given = "run.json", .id = 4},
                                {.given = "attempts", .id = 5}, {.given = "attempts2", .id = 6}};

    (void)state;
    assign(names, 6, is_in_run);
    assert_string_equal(names[0].name, "_.");
    assert_string_equal(names[1].name, "_..");
    assert_string_equal(names[2].name, "_ (3)");
    assert_string_equal(names[3].name, "run.json (4)");
    assert_string_equal(names[4].name, "attempts (5)");
    assert_string_equal(names[5].name, "attempts2");
}

/* Neither what becomes equal nor what is made of the suffix alone begins with what misleads. */
static void names_equal_only_with_their_prefix(void **state)
{
    struct safe_name names[] = {{.given = "_-x", .id = 9}, {.given = "-x", .id = 3},
                                {.given = "-x", .id = 4},  {.given = "_-x (9)", .id = 10},
                                {.given = "", .id = 5},    {.given = "", .id = 6}};

    (void)state;
    assign(names, 6, NULL);
    assert_string_equal(names[0].name, "_-x (9)");
    assert_string_equal(names[1].name, "_-x");
    assert_string_equal(names[2].name, "_-x (4)");
    assert_string_equal(names[3].name, "_-x (9) (10)");
    assert_string_equal(names[4].name, "_ (5)");
    assert_string_equal(names[5].name, "_ (6)");
}

/* A name that looks like another's with its suffix. */
static void a_suffix_that_is_taken(void **state)
{
    struct safe_name names[] = {{.given = "x (7)", .id = 1},
                                {.given = "x", .id = 2},
                                {.given = "x", .id = 7},
                                {.given = "x (7) (7)", .id = 5}};

    (void)state;
    assign(names, 4, NULL);
    assert_string_equal(names[0].name, "x (7)");
    assert_string_equal(names[2].name, "x (7) (7) (7)");
}

static void long_names_keep_their_suffix(void **state)
{
    char given[301];
    struct safe_name names[3];

    (void)state;
    memset(given, 'x', 300);
    given[300] = '\0';
    for (uint64_t i = 0; i < 3; i++)
        names[i] = (struct safe_name){.given = given, .id = (UINT64_C(1) << 53) - 1 - i};
    assign(names, 3, NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(strlen(names[i].name), 255);
        assert_string_equal(names[i].name + 255 - 19,
                            i ? " (9007199254740990)" : " (9007199254740991)");
    }
    assert_string_equal(names[2].name + 253, "xx");
}

/* The result depends on the set of names only, not on their order. */
static void any_order_gives_the_same(void **state)
{
    enum { COUNT = 200 };
    struct safe_name names[COUNT], turned[COUNT];
    char given[COUNT][16];

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(given[i], sizeof(given[i]), "job %u", (unsigned)(i * 7 % 11));
        names[i] = (struct safe_name){.given = given[i], .id = i + 1};
        turned[COUNT - 1 - i] = names[i];
    }
    assign(names, COUNT, NULL);
    assign(turned, COUNT, NULL);
    for (size_t i = 0; i < COUNT; i++)
        assert_string_equal(names[i].name, turned[COUNT - 1 - i].name);
}

static void none_and_very_many(void **state)
{
    enum { COUNT = 10000 };
    struct safe_name *names = calloc(COUNT, sizeof(*names));

    (void)state;
    assert_int_equal(safe_name_assign(names, 0, NULL), 0);
    for (size_t i = 0; i < COUNT; i++)
        names[i] = (struct safe_name){.given = "same", .id = i + 1};
    assert_int_equal(safe_name_assign(names, COUNT, NULL), 0);
    assert_string_equal(names[0].name, "same");
    assert_string_equal(names[COUNT - 1].name, "same (10000)");
    free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_becomes_of_characters),
        cmocka_unit_test(bytes_that_are_no_characters),
        cmocka_unit_test(cut_on_a_character_boundary),
        cmocka_unit_test(never_longer_than_a_name_may_be),
        cmocka_unit_test(s12_no_name_begins_with_what_misleads_tools),
        cmocka_unit_test(names_of_three_parts),
        cmocka_unit_test(the_prefix_does_not_make_a_name_too_long),
        cmocka_unit_test(a_name_that_got_a_prefix_is_recognised_by_it),
        cmocka_unit_test(of_equal_names_the_lowest_id_keeps_the_bare_one),
        cmocka_unit_test(names_equal_only_when_made_safe),
        cmocka_unit_test(names_that_the_tree_uses),
        cmocka_unit_test(names_equal_only_with_their_prefix),
        cmocka_unit_test(a_suffix_that_is_taken),
        cmocka_unit_test(long_names_keep_their_suffix),
        cmocka_unit_test(any_order_gives_the_same),
        cmocka_unit_test(none_and_very_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
