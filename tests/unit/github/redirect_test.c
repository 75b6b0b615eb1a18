#include "github/redirect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char base[] = "https://ghes.example.com/api/v3";

static int check(const char *location, bool allow_http, bool allow_local)
{
    struct net_url at;

    return redirect_check_storage(location, allow_http, allow_local, &at);
}

static void r7_storage_is_anywhere_over_https(void **state)
{
    struct net_url at;

    (void)state;
    assert_int_equal(redirect_check_storage("https://productionresultssa7.blob.core.windows.net/"
                                            "a/b.txt?se=2026&sig=x%2By",
                                            false, false, &at),
                     0);
    assert_string_equal(at.host, "productionresultssa7.blob.core.windows.net");
    assert_int_equal(at.port, 443);
    assert_int_equal(check("https://ghes.example.com/_services/x", false, false), 0);
    assert_int_equal(check("https://8.8.8.8:8443/x", false, false), 0);
}

static void r7_http_is_for_an_api_over_http(void **state)
{
    (void)state;
    assert_int_equal(check("http://store.example.com/x", false, false), -EPROTO);
    assert_int_equal(check("http://store.example.com/x", true, false), 0);
    assert_int_equal(check("https://store.example.com/x", true, false), 0);
}

static void r7_local_addresses_are_for_a_local_api(void **state)
{
    static const char *const local[] = {
        "https://127.0.0.1/x",    "https://127.9.9.9:1/x",
        "https://10.0.0.1/x",     "https://192.168.1.1/x",
        "https://172.16.0.1/x",   "https://169.254.169.254/x",
        "https://[::1]/x",        "https://[fd00::1]/x",
        "https://[fe80::1]/x",    "https://[::ffff:10.0.0.1]/",
        "https://localhost/x",    "https://0.0.0.0/x",
        "https://2130706433/x",   "https://0x7f.0.0.1/x",
        "https://017700000001/x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
        assert_int_equal(check(local[i], false, false), -EPROTO);
    assert_int_equal(check("https://127.0.0.1/x", false, true), 0);
    assert_int_equal(check("https://10.0.0.1/x", false, true), 0);
}

static void r7_no_userinfo_no_other_scheme_no_path_alone(void **state)
{
    static const char *const bad[] = {
        "https://user@store.example.com/x",
        "https://u:p@store.example.com/x",
        "ftp://x/y",
        "file:///etc/passwd",
        "gopher://x/",
        "//store.example.com/x",
        "/x",
        "",
        "https://",
        "https://store.example.com/a b",
        "https://store.example.com/\r\nHost: x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(check(bad[i], true, true), -EPROTO);
}

static void r8_location_has_a_bound(void **state)
{
    char url[REDIRECT_MAX + 2];

    (void)state;
    memset(url, 'a', sizeof(url));
    memcpy(url, "https://x/", 10);
    url[REDIRECT_MAX] = 0;
    assert_int_equal(check(url, false, false), 0);
    url[REDIRECT_MAX] = 'a';
    url[REDIRECT_MAX + 1] = 0;
    assert_int_equal(check(url, false, false), -EPROTO);
}

static void assert_move(const char *location, const char *to)
{
    char *url;

    assert_int_equal(redirect_resolve_move(base, location, &url), 0);
    assert_string_equal(url, to);
    free(url);
}

static void s15_move_stays_on_the_host(void **state)
{
    (void)state;
    assert_move("https://ghes.example.com/api/v3/repositories/7/x?a=b",
                "https://ghes.example.com/api/v3/repositories/7/x?a=b");
    assert_move("https://GHES.example.com:443/x", "https://GHES.example.com:443/x");
    assert_move("/api/v3/repositories/7", "https://ghes.example.com/api/v3/repositories/7");
}

static void r7_move_elsewhere_is_refused(void **state)
{
    static const char *const elsewhere[] = {
        "https://ghes.example.com.evil.com/x",
        "https://evil.com/?ghes.example.com",
        "http://ghes.example.com/x",
        "https://ghes.example.com:444/x",
        "https://a@ghes.example.com/x",
        "//evil.com/x",
        "repositories/7",
        "https://ghes.example.com@evil.com/",
    };
    char *url;

    (void)state;
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
        assert_int_equal(redirect_resolve_move(base, elsewhere[i], &url), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r7_storage_is_anywhere_over_https),
        cmocka_unit_test(r7_http_is_for_an_api_over_http),
        cmocka_unit_test(r7_local_addresses_are_for_a_local_api),
        cmocka_unit_test(r7_no_userinfo_no_other_scheme_no_path_alone),
        cmocka_unit_test(r8_location_has_a_bound),
        cmocka_unit_test(s15_move_stays_on_the_host),
        cmocka_unit_test(r7_move_elsewhere_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
