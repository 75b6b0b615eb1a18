#include "github/failure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#define T0 INT64_C(1000000)

static struct net_url at(const char *scheme, const char *host, unsigned port)
{
    struct net_url url = {.port = port};

    snprintf(url.scheme, sizeof(url.scheme), "%s", scheme);
    snprintf(url.host, sizeof(url.host), "%s", host);
    return url;
}

static void down_is_remembered_for_five_seconds_with_its_errno(void **state)
{
    struct hosts h = {0};
    struct net_url a = at("https", "a", 443);
    int64_t until = 0;

    (void)state;
    assert_int_equal(hosts_ask(&h, &a, T0, &until), 0);
    hosts_note_failure(&h, &a, -ECONNREFUSED, T0, T0);
    assert_int_equal(hosts_ask(&h, &a, T0 + 999, &until), -ECONNREFUSED);
    assert_int_equal(until, T0 + HOSTS_DOWN_MS);
    assert_true(hosts_is_down(&h, &a, T0 + 4999));
    assert_false(hosts_is_down(&h, &a, T0 + 5000));
    assert_int_equal(hosts_ask(&h, &a, T0 + 5000, &until), 0);
    assert_int_equal(hosts_ask(&h, &a, T0 + 5000, &until), 0);
}

static void one_request_a_second_probes_a_host_that_is_down(void **state)
{
    struct hosts h = {0};
    struct net_url a = at("https", "a", 443);
    int64_t until;

    (void)state;
    hosts_note_failure(&h, &a, -EHOSTUNREACH, T0, T0);
    assert_int_equal(hosts_ask(&h, &a, T0 + 1000, &until), 0);
    assert_int_equal(hosts_ask(&h, &a, T0 + 1000, &until), -EHOSTUNREACH);
    assert_int_equal(hosts_ask(&h, &a, T0 + 2000, &until), 0);
    hosts_note_answer(&h, &a, T0 + 2000);
    assert_int_equal(hosts_ask(&h, &a, T0 + 2000, &until), 0);
    assert_int_equal(hosts_ask(&h, &a, T0 + 2000, &until), 0);
}

static void scheme_host_and_port_are_the_key(void **state)
{
    struct hosts h = {0};
    struct net_url a = at("https", "a", 443),
                   others[] = {at("http", "a", 443), at("https", "b", 443), at("https", "a", 444)};
    int64_t until;

    (void)state;
    hosts_note_failure(&h, &a, -EHOSTUNREACH, T0, T0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(hosts_ask(&h, &others[i], T0, &until), 0);
    assert_int_equal(hosts_ask(&h, &a, T0, &until), -EHOSTUNREACH);
}

static void r8_number_of_hosts_is_bounded_and_the_oldest_is_removed(void **state)
{
    struct hosts h = {0};
    char name[16];

    (void)state;
    for (unsigned i = 0; i <= HOSTS_MAX; i++) {
        snprintf(name, sizeof(name), "host%u", i);
        struct net_url a = at("https", name, 443);
        hosts_note_failure(&h, &a, -EHOSTUNREACH, T0, T0 + i);
    }
    struct net_url first = at("https", "host0", 443), last = at("https", "host16", 443);
    assert_false(hosts_is_down(&h, &first, T0 + 100));
    assert_true(hosts_is_down(&h, &last, T0 + 100));
}

static void host_that_timed_out_is_down_if_it_answered_no_request(void **state)
{
    struct hosts h = {0};
    struct net_url a = at("https", "a", 443);
    int64_t until = 0;

    (void)state;
    hosts_note_failure(&h, &a, -ETIMEDOUT, T0, T0 + 3000);
    assert_int_equal(hosts_ask(&h, &a, T0 + 3000, &until), -ETIMEDOUT);
    assert_int_equal(until, T0 + 3000 + HOSTS_DOWN_MS);
    /* To look whether it is back would take as long again. */
    assert_int_equal(hosts_ask(&h, &a, T0 + 3000 + HOSTS_DOWN_MS - 1, &until), -ETIMEDOUT);
    assert_int_equal(hosts_ask(&h, &a, T0 + 3000 + HOSTS_DOWN_MS, &until), 0);
}

static void host_that_timed_out_but_answered_another_is_not_down(void **state)
{
    struct hosts h = {0};
    struct net_url a = at("https", "a", 443);
    int64_t until;

    (void)state;
    hosts_note_answer(&h, &a, T0 + 500);
    hosts_note_failure(&h, &a, -ETIMEDOUT, T0, T0 + 3000);
    assert_false(hosts_is_down(&h, &a, T0 + 3000));
    hosts_note_failure(&h, &a, -ETIMEDOUT, T0 + 501, T0 + 3501);
    assert_int_equal(hosts_ask(&h, &a, T0 + 3501, &until), -ETIMEDOUT);
    hosts_note_answer(&h, &a, T0 + 3600);
    assert_int_equal(hosts_ask(&h, &a, T0 + 3600, &until), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(down_is_remembered_for_five_seconds_with_its_errno),
        cmocka_unit_test(one_request_a_second_probes_a_host_that_is_down),
        cmocka_unit_test(host_that_timed_out_is_down_if_it_answered_no_request),
        cmocka_unit_test(host_that_timed_out_but_answered_another_is_not_down),
        cmocka_unit_test(scheme_host_and_port_are_the_key),
        cmocka_unit_test(r8_number_of_hosts_is_bounded_and_the_oldest_is_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
