#include "github/headers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1767225600) /* 2026-01-01 */
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void numbers_are_digits_and_fit(void **state)
{
    static const char *const wrong[] = {"",
                                        " ",
                                        "-1",
                                        "+1",
                                        "1.0",
                                        "1 2",
                                        "0x10",
                                        "1e3",
                                        "one",
                                        "18446744073709551616",
                                        "99999999999999999999999"};
    uint64_t value = 42;

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(parse_u64(wrong[i], &value), -EPROTO);
    assert_int_equal(parse_u64(NULL, &value), -ENOENT);
    assert_int_equal(value, 42);
    assert_int_equal(parse_u64("18446744073709551615", &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(parse_u64("\t 007 ", &value), 0);
    assert_int_equal(value, 7);
}

static void malformed_count_is_minus_one(void **state)
{
    (void)state;
    assert_int_equal(parse_count("4999"), 4999);
    assert_int_equal(parse_count("0"), 0);
    assert_int_equal(parse_count(NULL), -1);
    assert_int_equal(parse_count("-5"), -1);
    assert_int_equal(parse_count("9223372036854775808"), -1);
    assert_int_equal(parse_count("9223372036854775807"), INT64_MAX);
}

static void r8_header_that_is_too_long_is_refused(void **state)
{
    char *text = malloc(PARSE_HEADER_MAX + 2);
    uint64_t value;
    uint32_t page;

    (void)state;
    memset(text, ' ', PARSE_HEADER_MAX + 1);
    text[PARSE_HEADER_MAX + 1] = '\0';
    text[0] = '7';
    assert_int_equal(parse_u64(text, &value), -EPROTO);
    assert_int_equal(parse_link_next(text, &page), -EPROTO);
    text[PARSE_HEADER_MAX] = '\0';
    assert_int_equal(parse_u64(text, &value), 0);
    free(text);
}

/* --- Content-Range ---------------------------------------------------------------------------- */

static void content_range_is_parsed_in_all_forms(void **state)
{
    struct parse_range r;

    (void)state;
    assert_int_equal(parse_content_range("bytes 0-1048575/3453000", &r), 0);
    assert_true(r.satisfied && r.total_known);
    assert_int_equal(r.first, 0);
    assert_int_equal(r.end, 1048576);
    assert_int_equal(r.total, 3453000);
    assert_int_equal(parse_content_range("Bytes 5-5/6", &r), 0);
    assert_int_equal(r.first, 5);
    assert_int_equal(r.end, 6);
    assert_int_equal(parse_content_range("bytes */0", &r), 0);
    assert_true(!r.satisfied && r.total_known && r.total == 0 && r.end == 0);
    assert_int_equal(parse_content_range("bytes 7-9/*", &r), 0);
    assert_true(r.satisfied && !r.total_known && r.total == 0 && r.end == 10);
    assert_int_equal(parse_content_range("bytes 18446744073709551613-18446744073709551614/*", &r),
                     0);
    assert_true(r.end == UINT64_MAX);
}

static void r8_contradicting_content_range_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "bytes",
        "bytes ",
        "0-1/2",
        "bits 0-1/2",
        "bytes 0-1",
        "bytes 0-1/",
        "bytes 1-0/2",
        "bytes 0-2/2",
        "bytes -1/2",
        "bytes 0-/2",
        "bytes 0-1/2,",
        "bytes 0-1/2 x",
        "bytes */*",
        "bytes 0 -1/2",
        "bytes=0-1/2",
        "bytes 0-1/-2",
        "bytes 0-18446744073709551615/*",
        "bytes 0-18446744073709551616/*",
        "bytes 0-1/18446744073709551616",
        "bytes*/5",
    };
    struct parse_range r, before;

    (void)state;
    memset(&r, 0x5A, sizeof(r));
    memcpy(&before, &r, sizeof(r));
    for (size_t i = 0; i < COUNT(wrong); i++)
        if (parse_content_range(wrong[i], &r) != -EPROTO)
            fail_msg("taken: %s", wrong[i]);
    assert_int_equal(parse_content_range(NULL, &r), -ENOENT);
    assert_memory_equal(&r, &before, sizeof(r));
}

/* --- Link ------------------------------------------------------------------------------------- */

static void link_gives_the_next_page(void **state)
{
    static const struct {
        const char *link;
        uint32_t page;
    } links[] = {
        {"<https://api.github.com/user/repos?per_page=100&page=2>; rel=\"next\", "
         "<https://api.github.com/user/repos?per_page=100&page=3>; rel=\"last\"",
         2},
        {"<https://h/x?page=1>; rel=\"prev\", <https://h/x?page=3>; rel=\"next\"", 3},
        {"<https://h/x?page=4&per_page=9>;rel=next", 4},
        {"<https://h/a,b;c?q=\"&page=5#f>; title=\"rel=next, <no>\"; REL=\"Prev NEXT\"", 5},
        {",, <https://h/x?page=6> ; rel = \"next\" ,", 6},
        {"<https://h/x?page=4294967295>; rel=\"next\"", UINT32_MAX},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(links); i++) {
        uint32_t page = 0;
        if (parse_link_next(links[i].link, &page) != 0 || page != links[i].page)
            fail_msg("%s: %u", links[i].link, page);
    }
}

static void link_of_the_last_page_has_no_next(void **state)
{
    static const char *const links[] = {
        "<https://h/x?page=1>; rel=\"prev\", <https://h/x?page=1>; rel=\"first\"",
        "<https://h/x?page=2>; rel=\"nextly\"",
        "<https://h/x?page=2>; rel=\"x-next\"",
        "<https://h/x?page=2>",
        "<https://h/x?page=2>; title=\"next\"",
        "<https://h/x?page=2>; rel",
    };
    uint32_t page = 42;

    (void)state;
    for (size_t i = 0; i < COUNT(links); i++)
        assert_int_equal(parse_link_next(links[i], &page), -ENOENT);
    assert_int_equal(parse_link_next(NULL, &page), -ENOENT);
    assert_int_equal(parse_link_next("", &page), -ENOENT);
    assert_int_equal(page, 42);
}

static void r8_malformed_link_is_refused(void **state)
{
    static const char *const links[] = {
        "<https://h/x?page=1>; rel=\"next\"",
        "<https://h/x?page=0>; rel=\"next\"",
        "<https://h/x?page=4294967296>; rel=\"next\"",
        "<https://h/x?per_page=2>; rel=\"next\"",
        "<https://h/x?page=>; rel=\"next\"",
        "<https://h/x?page=2x>; rel=\"next\"",
        "<https://h/page=2>; rel=\"next\"",
        "<https://h/x?after=abc>; rel=\"next\"",
        "<https://h/x#?page=2>; rel=\"next\"",
        "<https://h/x?page=2; rel=\"next\"",
        "https://h/x?page=2; rel=\"next\"",
        "<https://h/x?page=2>; rel=\"next",
        "<https://h/x?page=2>rel=\"next\"",
    };
    uint32_t page = 42;

    (void)state;
    for (size_t i = 0; i < COUNT(links); i++)
        if (parse_link_next(links[i], &page) != -EPROTO)
            fail_msg("%s", links[i]);
    assert_int_equal(page, 42);
}

/* --- Retry-After ------------------------------------------------------------------------------ */

static void retry_after_is_seconds_or_a_date(void **state)
{
    int64_t s = 42;

    (void)state;
    assert_int_equal(parse_retry_after("60", NOW, &s), 0);
    assert_int_equal(s, 60);
    assert_int_equal(parse_retry_after("0", NOW, &s), 0);
    assert_int_equal(s, 0);
    assert_int_equal(parse_retry_after("Thu, 01 Jan 2026 00:02:00 GMT", NOW, &s), 0);
    assert_int_equal(s, 120);
    assert_int_equal(parse_retry_after("Wed, 31 Dec 2025 00:02:00 GMT", NOW, &s), 0);
    assert_int_equal(s, 0);
    assert_int_equal(parse_retry_after("18446744073709551615", NOW, &s), 0);
    assert_int_equal(s, 86400);
    assert_int_equal(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", NOW, &s), 0);
    assert_int_equal(s, 86400);
    assert_int_equal(parse_retry_after("-1", NOW, &s), -EPROTO);
    assert_int_equal(parse_retry_after("soon", NOW, &s), -EPROTO);
    assert_int_equal(parse_retry_after(NULL, NOW, &s), -ENOENT);
    assert_int_equal(s, 86400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_digits_and_fit),
        cmocka_unit_test(malformed_count_is_minus_one),
        cmocka_unit_test(r8_header_that_is_too_long_is_refused),
        cmocka_unit_test(content_range_is_parsed_in_all_forms),
        cmocka_unit_test(r8_contradicting_content_range_is_refused),
        cmocka_unit_test(link_gives_the_next_page),
        cmocka_unit_test(link_of_the_last_page_has_no_next),
        cmocka_unit_test(r8_malformed_link_is_refused),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
