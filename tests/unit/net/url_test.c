/* The parts of a URL, and the name that a request for it looks up (R7). */
#include "net/net.h"
#include "net/url.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct net_url parse(const char *text)
{
    struct net_url url = {0};

    if (net_url_parse(text, &url) != 0)
        fail_msg("not parsed: %s", text);
    return url;
}

static void assert_url(const char *text, const char *scheme, const char *host, unsigned port)
{
    struct net_url url = parse(text);

    assert_string_equal(url.scheme, scheme);
    assert_string_equal(url.host, host);
    assert_int_equal(url.port, port);
    assert_false(url.has_userinfo);
}

static void test_parts_of_a_url(void **state)
{
    (void)state;
    assert_url("https://api.github.com", "https", "api.github.com", 443);
    assert_url("https://productionresultssa0.blob.core.windows.net/a/b.txt?sig=x%2By%3D&se=1",
               "https", "productionresultssa0.blob.core.windows.net", 443);
    assert_url("HTTP://GitHub.Example.COM:8080/api/v3", "http", "github.example.com", 8080);
    assert_url("http://127.0.0.1", "http", "127.0.0.1", 80);
    assert_url("https://[2001:DB8::1]:8443/x", "https", "2001:db8::1", 8443);
    assert_url("https://h.test/a@b?c@d#e@f", "https", "h.test", 443);
    assert_url("https://h.test:/", "https", "h.test", 443);
}

static void test_malformed_url_is_refused_and_leaves_the_output_alone(void **state)
{
    static const char *const wrong[] = {
        "",
        "/",
        "//h.test/",
        "h.test",
        "https:",
        "https:/h.test",
        "https://",
        "https:///h.test",
        "https://?x",
        "https://:443/",
        "ftp://h.test/",
        "file:///etc/passwd",
        "https//h.test",
        " https://h.test/",
        "https://h.test/a b",
        "https://h.test/\r\nX: y",
        "https://h.test/\x7f",
        "https://h.test/\xc3\xa4",
        "https://h\xc3\xa4.test/",
        "https://h.test:0/",
        "https://h.test:65536/",
        "https://h.test:99999999999/",
        "https://h.test:x/",
        "https://h.test:-1/",
        "https://[::1/",
        "https://[::g]/",
        "https://[fe80::1%25eth0",
        "https://%31%32%37.0.0.%EF%BC%91/",
        "https://a%2fb/",
        "https://a%00b/",
        "https://a%0d/",
        "https://a|b/",
        "https://a\\b/",
        "https://a<b/",
        "http://%31%32%37.0.0.1/",
        "http://%6cocalhost/",
        "http://[fe80::1%25eth0]/",
        "javascript:alert(1)",
    };
    struct net_url url;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        memset(&url, 'x', sizeof(url));
        if (net_url_parse(wrong[i], &url) != -EPROTO)
            fail_msg("not refused: %s", wrong[i]);
        assert_int_equal(url.host[0], 'x');
    }
}

static void test_length_is_bounded(void **state)
{
    char text[8192 + 2];
    struct net_url url;

    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text, "https://h.test/", 15);
    text[8192] = '\0';
    assert_int_equal(net_url_parse(text, &url), 0);
    text[8192] = 'a';
    text[8193] = '\0';
    assert_int_equal(net_url_parse(text, &url), -EPROTO);
    memset(text + 8, 'h', 300);
    text[8 + 300] = '\0';
    assert_int_equal(net_url_parse(text, &url), -EPROTO);
}

static void test_r7_userinfo_is_flagged(void **state)
{
    (void)state;
    assert_true(parse("https://user@h.test/").has_userinfo);
    assert_true(parse("https://user:pw@h.test/").has_userinfo);
    assert_true(parse("https://:pw@h.test/").has_userinfo);
    assert_true(parse("https://@h.test/").has_userinfo);
    assert_true(parse("https://good.test\\@bad.test/").has_userinfo);
    assert_string_equal(parse("https://good.test@bad.test/").host, "bad.test");
}

static void test_r7_local_hosts_in_all_their_spellings(void **state)
{
    static const char *const local[] = {
        "http://127.0.0.1/",
        "http://127.255.255.254/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://0/",
        "http://0.0.0.0/",
        "http://0.1.2.3/",
        "http://10.0.0.1/",
        "http://10.255.255.255/",
        "http://172.16.0.1/",
        "http://172.31.255.255/",
        "http://192.168.0.1/",
        "http://0xC0A80001/",
        "http://169.254.169.254/",
        "http://100.64.0.1/",
        "http://100.127.255.255/",
        "http://[::1]/",
        "http://[::]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::ffff:10.1.2.3]/",
        "http://[::192.168.1.1]/",
        "http://[64:ff9b::10.0.0.1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1]/",
        "http://[febf::1]/",
        "http://[fec0::1]/",
        "http://[fc00::1]/",
        "http://[fdff::1]/",
        "http://localhost/",
        "http://LocalHost:8080/",
        "http://localhost./",
        "http://a.localhost/",
        "http://a.b.localhost./",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        if (!parse(local[i]).is_local)
            fail_msg("said to be public: %s", local[i]);
    }
}

static void test_r7_public_hosts_are_not_local(void **state)
{
    static const char *const public[] = {
        "https://api.github.com/",     "https://1.1.1.1/",           "https://9.255.255.255/",
        "https://11.0.0.1/",           "https://126.255.255.255/",   "https://128.0.0.1/",
        "https://172.15.255.255/",     "https://172.32.0.1/",        "https://192.167.1.1/",
        "https://192.169.1.1/",        "https://169.253.1.1/",       "https://100.63.255.255/",
        "https://100.128.0.1/",        "https://[2606:4700::1111]/", "https://[::ffff:1.1.1.1]/",
        "https://[64:ff9b::8.8.8.8]/", "https://[fb00::1]/",         "https://[fe00::1]/",
        "https://[ff02::1]/",          "https://localhost.test/",    "https://notlocalhost/",
        "https://localhosts/",         "https://10.0.0.1.test/",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++) {
        if (parse(public[i]).is_local)
            fail_msg("said to be local: %s", public[i]);
    }
}

/* -- Routes ----------------------------------------------------------------------------------- */

static struct net_route find(const struct net_config *config, const char *url)
{
    struct net_route route = {0};

    if (net_route_find(config, url, &route) != 0)
        fail_msg("no route: %s", url);
    return route;
}

static void test_lookup_is_named_as_curl_caches_it(void **state)
{
    const struct net_config direct = {.allow_http = true};

    (void)state;
    assert_string_equal(find(&direct, "https://API.github.com/x").lookup, "api.github.com:443");
    assert_string_equal(find(&direct, "http://h.test:81/x").lookup, "h.test:81");
    assert_string_equal(find(&direct, "http://127.1/x").lookup, "");
    assert_string_equal(find(&direct, "http://[::1]:80/x").lookup, "");
}

static void test_through_a_proxy_the_proxy_is_looked_up(void **state)
{
    const struct net_config named = {.proxy = "proxy.test:3128"};
    const struct net_config schemed = {.proxy = "http://user:pw@proxy.test"};
    const struct net_config literal = {.proxy = "http://10.0.0.1:3128"};
    const struct net_config v6 = {.proxy = "http://[::1]:3128"};
    const struct net_config broken = {.proxy = "://"};

    (void)state;
    assert_string_equal(find(&named, "https://h.test/").lookup, "proxy.test:3128");
    assert_true(find(&named, "https://h.test/").is_proxied);
    assert_string_equal(find(&schemed, "https://h.test/").lookup, "proxy.test:1080");
    assert_string_equal(find(&literal, "https://h.test/").lookup, "");
    assert_string_equal(find(&v6, "https://h.test/").lookup, "");
    assert_string_equal(find(&broken, "https://h.test/").lookup, "");
}

static void assert_proxied(const char *no_proxy, const char *url, bool is_proxied)
{
    const struct net_config config = {.proxy = "p.test:1", .no_proxy = no_proxy};

    if (find(&config, url).is_proxied != is_proxied)
        fail_msg("'%s' and %s", no_proxy, url);
}

static void test_no_proxy_names_hosts_and_what_is_below_them(void **state)
{
    (void)state;
    assert_proxied(NULL, "https://h.test/", true);
    assert_proxied("", "https://h.test/", true);
    assert_proxied("*", "https://h.test/", false);
    assert_proxied("h.test", "https://h.test/", false);
    assert_proxied("x.test, H.Test", "https://h.test/", false);
    assert_proxied("h.test", "https://a.h.test/", false);
    assert_proxied(".h.test", "https://a.h.test/", false);
    assert_proxied(".h.test", "https://h.test/", false);
    assert_proxied("h.test", "https://oh.test/", true);
    assert_proxied("a.h.test", "https://h.test/", true);
    assert_proxied(", ,.", "https://h.test/", true);
    assert_proxied("192.0.2.1", "https://192.0.2.1/", false);
}

static void test_r7_route_refuses_userinfo_and_plain_http_without_permission(void **state)
{
    const struct net_config strict = {0}, lax = {.allow_http = true};
    struct net_route route;

    (void)state;
    assert_int_equal(net_route_find(&strict, "http://h.test/", &route), -EPROTO);
    assert_int_equal(net_route_find(&lax, "http://h.test/", &route), 0);
    assert_int_equal(net_route_find(&lax, "https://u@h.test/", &route), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_of_a_url),
        cmocka_unit_test(test_malformed_url_is_refused_and_leaves_the_output_alone),
        cmocka_unit_test(test_length_is_bounded),
        cmocka_unit_test(test_r7_userinfo_is_flagged),
        cmocka_unit_test(test_r7_local_hosts_in_all_their_spellings),
        cmocka_unit_test(test_r7_public_hosts_are_not_local),
        cmocka_unit_test(test_lookup_is_named_as_curl_caches_it),
        cmocka_unit_test(test_through_a_proxy_the_proxy_is_looked_up),
        cmocka_unit_test(test_no_proxy_names_hosts_and_what_is_below_them),
        cmocka_unit_test(test_r7_route_refuses_userinfo_and_plain_http_without_permission),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
