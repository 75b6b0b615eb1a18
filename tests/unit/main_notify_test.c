/* The line that `systemctl status` shows. Sending it is tested end to end (test_notify.py). */
#include "main_notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOON INT64_C(1795694400) /* 12:00 UTC of some day */

static void check(const struct notify_status *s, const char *want)
{
    char text[NOTIFY_TEXT_CAP];

    notify_print_status(s, text);
    assert_string_equal(text, want);
}

static void the_quota_until_it_returns(void **state)
{
    struct notify_status s = {.requests = 13,
                              .limit = 5000,
                              .remaining = 4987,
                              .reset_s = NOON + 7500,
                              .now_s = NOON,
                              .used = 3 << 20,
                              .size = UINT64_C(4) << 30};

    (void)state;
    check(&s, "STATUS=4987 of 5000 API requests left until 14:05 UTC, cache 3.0 MiB of 4.0 GiB");
    s.now_s = s.reset_s;
    check(&s, "STATUS=all of 5000 API requests left, cache 3.0 MiB of 4.0 GiB");
}

static void no_quota(void **state)
{
    struct notify_status s = {.limit = -1, .remaining = -1, .reset_s = -1, .size = 64 << 10};

    (void)state;
    check(&s, "STATUS=no API request yet, cache 0.0 MiB of 0.1 MiB");
    s.requests = 1; /* a server of one's own */
    check(&s, "STATUS=no quota, cache 0.0 MiB of 0.1 MiB");
    s.offline = true;
    check(&s, "STATUS=offline, cache 0.0 MiB of 0.1 MiB");
}

static void numbers_of_any_size_fit(void **state)
{
    const struct notify_status s = {.limit = INT64_MAX,
                                    .remaining = INT64_MAX,
                                    .reset_s = INT64_MAX,
                                    .now_s = INT64_MIN,
                                    .used = UINT64_MAX,
                                    .size = UINT64_MAX};

    (void)state;
    check(&s, "STATUS=all of 9223372036854775807 API requests left, cache 17179869184.0 GiB of "
              "17179869184.0 GiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_quota_until_it_returns),
        cmocka_unit_test(no_quota),
        cmocka_unit_test(numbers_of_any_size_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
