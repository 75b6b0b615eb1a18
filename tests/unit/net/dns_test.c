/* One lookup of a name before fanning out (P10). */
#include "net/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static unsigned count(const struct list *head)
{
    unsigned n = 0;

    list_each(link, head)
        n++;
    return n;
}

static void test_first_leads_and_others_wait_in_order(void **state)
{
    struct net_dns dns;
    struct net_dns_name *led = NULL, *none = NULL;
    struct list first = {0}, second = {0}, third = {0};

    (void)state;
    net_dns_init(&dns);
    assert_int_equal(net_dns_enter(&dns, "a:443", &first, 1000, &led), NET_DNS_LEAD);
    assert_non_null(led);
    assert_int_equal(net_dns_enter(&dns, "a:443", &second, 1000, &none), NET_DNS_WAIT);
    assert_int_equal(net_dns_enter(&dns, "a:443", &third, 1000, &none), NET_DNS_WAIT);
    assert_null(none);
    assert_false(list_is_linked(&first));
    net_dns_settle(&dns, led, 5000);
    assert_ptr_equal(list_take_first(&dns.released), &second);
    assert_ptr_equal(list_take_first(&dns.released), &third);
    assert_true(list_is_empty(&dns.released));
    assert_int_equal(net_dns_enter(&dns, "a:443", &first, 4999, &none), NET_DNS_OPEN);
    net_dns_finish(&dns);
}

static void test_hosts_do_not_wait_for_each_other(void **state)
{
    struct net_dns dns;
    struct net_dns_name *a, *b, *c;
    struct list link = {0};

    (void)state;
    net_dns_init(&dns);
    assert_int_equal(net_dns_enter(&dns, "a:443", &link, 1, &a), NET_DNS_LEAD);
    assert_int_equal(net_dns_enter(&dns, "a:80", &link, 1, &b), NET_DNS_LEAD);
    assert_int_equal(net_dns_enter(&dns, "b:443", &link, 1, &c), NET_DNS_LEAD);
    net_dns_settle(&dns, a, 0);
    net_dns_settle(&dns, b, 0);
    net_dns_settle(&dns, c, 0);
    net_dns_finish(&dns);
}

static void test_a_lookup_ages_and_a_new_leader_is_chosen(void **state)
{
    struct net_dns dns;
    struct net_dns_name *led;
    struct list link = {0};

    (void)state;
    net_dns_init(&dns);
    assert_int_equal(net_dns_enter(&dns, "a:443", &link, 1, &led), NET_DNS_LEAD);
    net_dns_settle(&dns, led, 1 + NET_DNS_FRESH_MS);
    assert_int_equal(net_dns_enter(&dns, "a:443", &link, NET_DNS_FRESH_MS, &led), NET_DNS_OPEN);
    assert_int_equal(net_dns_enter(&dns, "a:443", &link, 1 + NET_DNS_FRESH_MS, &led),
                     NET_DNS_LEAD);
    net_dns_settle(&dns, led, 10 * NET_DNS_FRESH_MS);
    net_dns_forget(&dns, "a:443");
    net_dns_forget(&dns, "unheard of:1");
    assert_int_equal(net_dns_enter(&dns, "a:443", &link, 2 * NET_DNS_FRESH_MS, &led),
                     NET_DNS_LEAD);
    net_dns_settle(&dns, led, 0);
    net_dns_finish(&dns);
    /* curl must not forget before we do. */
    assert_true(NET_DNS_CURL_S * 1000 > NET_DNS_FRESH_MS);
}

static void test_leader_without_a_lookup_is_followed_by_another(void **state)
{
    struct net_dns dns;
    struct net_dns_name *led, *next;
    struct list link = {0}, waiting = {0};

    (void)state;
    net_dns_init(&dns);
    net_dns_enter(&dns, "a:443", &link, 1, &led);
    net_dns_enter(&dns, "a:443", &waiting, 1, &next);
    net_dns_settle(&dns, led, 0);
    assert_ptr_equal(list_take_first(&dns.released), &waiting);
    assert_int_equal(net_dns_enter(&dns, "a:443", &waiting, 1, &next), NET_DNS_LEAD);
    net_dns_settle(&dns, next, 0);
    net_dns_finish(&dns);
}

static void test_failed_lookup_fails_all_who_wait(void **state)
{
    struct net_dns dns;
    struct net_dns_name *led;
    struct list links[800] = {0}, link = {0}, waited;

    (void)state;
    net_dns_init(&dns);
    list_init(&waited);
    net_dns_enter(&dns, "a:443", &link, 1, &led);
    for (size_t i = 0; i < 800; i++)
        assert_int_equal(net_dns_enter(&dns, "a:443", &links[i], 1, NULL), NET_DNS_WAIT);
    net_dns_fail(led, &waited);
    assert_int_equal(count(&waited), 800);
    assert_true(list_is_empty(&dns.released));
    assert_int_equal(net_dns_enter(&dns, "a:443", &link, 1, &led), NET_DNS_LEAD);
    net_dns_settle(&dns, led, 0);
    net_dns_finish(&dns);
}

/* Law 7: however many hosts redirects name; those that are led stay, the longest unused go. */
static void test_number_of_hosts_is_bounded(void **state)
{
    struct net_dns dns;
    struct net_dns_name *led, *kept;
    struct list link = {0};
    char name[32];

    (void)state;
    net_dns_init(&dns);
    assert_int_equal(net_dns_enter(&dns, "kept:1", &link, 1, &kept), NET_DNS_LEAD);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "host%d:1", i);
        assert_int_equal(net_dns_enter(&dns, name, &link, 1, &led), NET_DNS_LEAD);
        net_dns_settle(&dns, led, 1000);
    }
    assert_true(count(&dns.hosts) <= 256);
    assert_int_equal(net_dns_enter(&dns, "host4999:1", &link, 1, &led), NET_DNS_OPEN);
    assert_int_equal(net_dns_enter(&dns, "host0:1", &link, 1, &led), NET_DNS_LEAD);
    net_dns_settle(&dns, led, 0);
    assert_int_equal(net_dns_enter(&dns, "kept:1", &link, 1, &led), NET_DNS_WAIT);
    net_dns_settle(&dns, kept, 0);
    assert_ptr_equal(list_take_first(&dns.released), &link);
    net_dns_finish(&dns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_leads_and_others_wait_in_order),
        cmocka_unit_test(test_hosts_do_not_wait_for_each_other),
        cmocka_unit_test(test_a_lookup_ages_and_a_new_leader_is_chosen),
        cmocka_unit_test(test_leader_without_a_lookup_is_followed_by_another),
        cmocka_unit_test(test_failed_lookup_fails_all_who_wait),
        cmocka_unit_test(test_number_of_hosts_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
