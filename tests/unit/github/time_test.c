#include "github/headers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NOW INT64_C(1767225600) /* 2026-01-01 */
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void times_of_the_api_are_parsed_in_all_forms(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } times[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2020-01-20T17:42:40Z", 1579542160000},
        {"2024-02-18T05:19:37.000Z", 1708233577000},
        {"2020-01-20T09:42:40.000-08:00", 1579542160000},
        {"2020-01-21T01:12:40+07:30", 1579542160000},
        {"2024-02-29T23:59:60Z", 1709251200000},
        {"2026-01-01T00:00:00.1234567Z", 1767225600123},
        {"2026-01-01t00:00:00.9z", 1767225600900},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        int64_t ms = -7;
        if (parse_time(times[i].text, &ms) != 0 || ms != times[i].ms)
            fail_msg("%s: %jd", times[i].text, (intmax_t)ms);
    }
}

static void malformed_time_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "now",
        "2020-01-20",
        "2020-01-20 17:42:40Z",
        "2020-01-20T17:42:40",
        "2020-13-20T17:42:40Z",
        "2020-00-20T17:42:40Z",
        "2020-01-32T17:42:40Z",
        "2023-02-29T17:42:40Z",
        "2100-02-29T17:42:40Z",
        "2020-01-20T24:00:00Z",
        "2020-01-20T17:60:40Z",
        "2020-01-20T17:42:61Z",
        "2020-01-20T17:42:40.Z",
        "2020-01-20T17:42:40+0100",
        "2020-01-20T17:42:40+24:00",
        "2020-01-20T17:42:40Zx",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "20200-01-20T17:42:40Z",
        "2020-1-20T17:42:40Z",
        "-020-01-20T17:42:40Z",
    };
    int64_t ms = 42;

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        if (parse_time(wrong[i], &ms) != -EPROTO)
            fail_msg("taken: %s", wrong[i]);
    assert_int_equal(parse_time(NULL, &ms), -EPROTO);
    assert_int_equal(ms, 42);
}

/* Every 7 days and a bit from 1970 to 2169, against the C library's calendar. */
static void calendar_equals_that_of_the_c_library(void **state)
{
    (void)state;
    for (time_t t = 0; t < INT64_C(6300000000); t += 612345) {
        char rfc3339[64], http[64];
        int64_t ms, s;
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        strftime(rfc3339, sizeof(rfc3339), "%Y-%m-%dT%H:%M:%SZ", &tm);
        strftime(http, sizeof(http), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_int_equal(parse_time(rfc3339, &ms), 0);
        assert_int_equal(ms, t * 1000);
        assert_int_equal(parse_http_date(http, NOW, &s), 0);
        assert_int_equal(s, t);
    }
}

static void http_date_is_parsed_in_three_forms(void **state)
{
    static const char *const forms[] = {
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "  sun, 06 nov 1994 08:49:37 gmt ",
    };
    int64_t s;

    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        s = 42;
        if (parse_http_date(forms[i], NOW, &s) != 0 || s != 784111777)
            fail_msg("%s: %jd", forms[i], (intmax_t)s);
    }
    assert_int_equal(parse_http_date("Tue Nov 16 08:49:37 1994", NOW, &s), 0);
}

static void year_of_two_digits_is_at_most_50_years_ahead(void **state)
{
    int64_t s, full;

    (void)state;
    assert_int_equal(parse_http_date("Monday, 01-Jan-76 00:00:00 GMT", NOW, &s), 0);
    assert_int_equal(parse_http_date("Mon, 01 Jan 2076 00:00:00 GMT", NOW, &full), 0);
    assert_int_equal(s, full);
    assert_int_equal(parse_http_date("Monday, 01-Jan-77 00:00:00 GMT", NOW, &s), 0);
    assert_int_equal(parse_http_date("Mon, 01 Jan 1977 00:00:00 GMT", NOW, &full), 0);
    assert_int_equal(s, full);
    assert_int_equal(parse_http_date("Monday, 01-Jan-77 00:00:00 GMT", INT64_MIN, &s), 0);
    (void)parse_http_date("Monday, 01-Jan-77 00:00:00 GMT", INT64_MAX, &s);
}

static void malformed_http_date_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "Sun",
        "Sun,",
        "06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT+1",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun, 06 Nov 1969 08:49:37 GMT",
        "Xyz, 06 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "1700000000",
    };
    int64_t s = 42;

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        if (parse_http_date(wrong[i], NOW, &s) != -EPROTO)
            fail_msg("taken: %s", wrong[i]);
    assert_int_equal(parse_http_date(NULL, NOW, &s), -ENOENT);
    assert_int_equal(s, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_of_the_api_are_parsed_in_all_forms),
        cmocka_unit_test(malformed_time_is_refused),
        cmocka_unit_test(calendar_equals_that_of_the_c_library),
        cmocka_unit_test(http_date_is_parsed_in_three_forms),
        cmocka_unit_test(year_of_two_digits_is_at_most_50_years_ahead),
        cmocka_unit_test(malformed_http_date_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
