/* DNS single flight: one lookup of a name for many transfers (P10). */
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

static void first_leads_and_others_wait_in_order(void **state)
{
    struct net_dns dns;
    struct list waited;
    struct net_dns_name *led = NULL, *none = NULL;
    struct list first = {0}, second = {0}, third = {0};

    (void)state;
    net_dns_init(&dns);
    list_init(&waited);
    assert_int_equal(net_dns_enter(&dns, "a:443", &first, 1000, &led), NET_DNS_LEAD);
    assert_non_null(led);
    assert_int_equal(net_dns_enter(&dns, "a:443", &second, 1000, &none), NET_DNS_WAIT);
    assert_int_equal(net_dns_enter(&dns, "a:443", &third, 1000, &none), NET_DNS_WAIT);
    assert_null(none);
    assert_false(list_is_linked(&first));
    net_dns_settle(led, 5000, &waited);
    assert_ptr_equal(list_take_first(&waited), &second);
    assert_ptr_equal(list_take_first(&waited), &third);
    assert_true(list_is_empty(&waited));
    assert_int_equal(net_dns_enter(&dns, "a:443", &first, 4999, &none), NET_DNS_OPEN);
    net_dns_finish(&dns);
}

static void names_do_not_wait_for_each_other(void **state)
{
    struct net_dns dns;
    struct list waited;
    struct net_dns_name *a, *b, *c;
    struct list link = {0};

    (void)state;
    net_dns_init(&dns);
    list_init(&waited);
    assert_int_equal(net_dns_enter(&dns, "a:443", &link, 1, &a), NET_DNS_LEAD);
    assert_int_equal(net_dns_enter(&dns, "a:80", &link, 1, &b), NET_DNS_LEAD);
    assert_int_equal(net_dns_enter(&dns, "b:443", &link, 1, &c), NET_DNS_LEAD);
    net_dns_settle(a, 0, &waited);
    net_dns_settle(b, 0, &waited);
    net_dns_settle(c, 0, &waited);
    net_dns_finish(&dns);
}

static void old_lookup_is_made_again_by_a_new_leader(void **state)
{
    struct net_dns dns;
    struct list waited;
    struct net_dns_name *led;
    struct list link = {0};

    (void)state;
    net_dns_init(&dns);
    list_init(&waited);
    assert_int_equal(net_dns_enter(&dns, "a:443", &link, 1, &led), NET_DNS_LEAD);
    net_dns_settle(led, 1 + NET_DNS_FRESH_MS, &waited);
    assert_int_equal(net_dns_enter(&dns, "a:443", &link, NET_DNS_FRESH_MS, &led), NET_DNS_OPEN);
    assert_int_equal(net_dns_enter(&dns, "a:443", &link, 1 + NET_DNS_FRESH_MS, &led), NET_DNS_LEAD);
    net_dns_settle(led, 10 * NET_DNS_FRESH_MS, &waited);
    net_dns_forget(&dns, "a:443");
    net_dns_forget(&dns, "unheard of:1");
    assert_int_equal(net_dns_enter(&dns, "a:443", &link, 2 * NET_DNS_FRESH_MS, &led), NET_DNS_LEAD);
    net_dns_settle(led, 0, &waited);
    net_dns_finish(&dns);
    /* curl must not forget before we do. */
    assert_true(NET_DNS_CURL_S * 1000 > NET_DNS_FRESH_MS);
}

static void leader_without_a_lookup_is_followed_by_another(void **state)
{
    struct net_dns dns;
    struct list waited;
    struct net_dns_name *led, *next;
    struct list link = {0}, waiting = {0};

    (void)state;
    net_dns_init(&dns);
    list_init(&waited);
    net_dns_enter(&dns, "a:443", &link, 1, &led);
    net_dns_enter(&dns, "a:443", &waiting, 1, &next);
    net_dns_settle(led, 0, &waited);
    assert_ptr_equal(list_take_first(&waited), &waiting);
    assert_int_equal(net_dns_enter(&dns, "a:443", &waiting, 1, &next), NET_DNS_LEAD);
    net_dns_settle(next, 0, &waited);
    net_dns_finish(&dns);
}

static void failed_lookup_hands_over_all_that_wait(void **state)
{
    struct net_dns dns;
    struct list waited;
    struct net_dns_name *led;
    struct list links[800] = {0}, link = {0};

    (void)state;
    net_dns_init(&dns);
    list_init(&waited);
    net_dns_enter(&dns, "a:443", &link, 1, &led);
    for (size_t i = 0; i < 800; i++)
        assert_int_equal(net_dns_enter(&dns, "a:443", &links[i], 1, NULL), NET_DNS_WAIT);
    net_dns_settle(led, 0, &waited);
    assert_int_equal(count(&waited), 800);
    assert_int_equal(net_dns_enter(&dns, "a:443", &link, 1, &led), NET_DNS_LEAD);
    net_dns_settle(led, 0, &waited);
    net_dns_finish(&dns);
}

/* Law 7: however many hosts redirects name. Names with a leader stay, the least recently used of
 * the others are removed. */
static void number_of_names_is_bounded(void **state)
{
    struct net_dns dns;
    struct list waited;
    struct net_dns_name *led, *kept;
    struct list link = {0};
    char name[32];

    (void)state;
    net_dns_init(&dns);
    list_init(&waited);
    assert_int_equal(net_dns_enter(&dns, "kept:1", &link, 1, &kept), NET_DNS_LEAD);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "host%d:1", i);
        assert_int_equal(net_dns_enter(&dns, name, &link, 1, &led), NET_DNS_LEAD);
        net_dns_settle(led, 1000, &waited);
    }
    assert_true(count(&dns.names) <= 256);
    assert_int_equal(net_dns_enter(&dns, "host4999:1", &link, 1, &led), NET_DNS_OPEN);
    assert_int_equal(net_dns_enter(&dns, "host0:1", &link, 1, &led), NET_DNS_LEAD);
    net_dns_settle(led, 0, &waited);
    assert_int_equal(net_dns_enter(&dns, "kept:1", &link, 1, &led), NET_DNS_WAIT);
    net_dns_settle(kept, 0, &waited);
    assert_ptr_equal(list_take_first(&waited), &link);
    net_dns_finish(&dns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_leads_and_others_wait_in_order),
        cmocka_unit_test(names_do_not_wait_for_each_other),
        cmocka_unit_test(old_lookup_is_made_again_by_a_new_leader),
        cmocka_unit_test(leader_without_a_lookup_is_followed_by_another),
        cmocka_unit_test(failed_lookup_hands_over_all_that_wait),
        cmocka_unit_test(number_of_names_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
