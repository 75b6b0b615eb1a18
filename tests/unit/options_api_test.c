/* URL or host to the base of the API. */
#include "options_api.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void host_to_api_base(void **state)
{
    static const struct {
        const char *host, *url, *key, *web;
        bool github;
    } rows[] = {
        {"github.com", "https://api.github.com", "api.github.com", "github.com", true},
        {"GitHub.com", "https://api.github.com", "api.github.com", "github.com", true},
        {"api.github.com", "https://api.github.com", "api.github.com", "github.com", true},
        {"octo.ghe.com", "https://api.octo.ghe.com", "api.octo.ghe.com", "octo.ghe.com", true},
        {"api.octo.ghe.com", "https://api.octo.ghe.com", "api.octo.ghe.com", "octo.ghe.com", true},
        {"git.corp", "https://git.corp/api/v3", "git.corp", "git.corp", false},
        {"git.corp:443", "https://git.corp/api/v3", "git.corp", "git.corp", false},
        {"git.corp:8443", "https://git.corp:8443/api/v3", "git.corp:8443", "git.corp:8443", false},
        {"[::1]:8443", "https://[::1]:8443/api/v3", "[::1]:8443", "[::1]:8443", false},
        {"evilghe.com", "https://evilghe.com/api/v3", "evilghe.com", "evilghe.com", false},
        {"github.com.evil", "https://github.com.evil/api/v3", "github.com.evil", "github.com.evil",
         false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct options_api api;
        const char *reason = "";

        assert_int_equal(options_api_from_host(&api, rows[i].host, &reason), 0);
        assert_string_equal(api.url, rows[i].url);
        assert_string_equal(api.key, rows[i].key);
        assert_string_equal(api.web_host, rows[i].web);
        assert_int_equal(options_api_is_github(&api), rows[i].github);
    }
}

static void urls_are_normalised(void **state)
{
    static const struct {
        const char *given, *url, *key;
        unsigned port;
    } rows[] = {
        {"HTTPS://API.GitHub.com/", "https://api.github.com", "api.github.com", 443},
        {"https://h:443/api/v3//", "https://h/api/v3", "h", 443},
        {"https://h:0444", "https://h:444", "h:444", 444},
        {"http://127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1:8080", 8080},
        {"http://h/", "http://h", "h:80", 80},
        {"https://h:80", "https://h:80", "h:80", 80},
        {"https://[::1]/a-b_c.d~e", "https://[::1]/a-b_c.d~e", "[::1]", 443},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct options_api api;
        const char *reason = "";

        assert_int_equal(options_api_from_url(&api, rows[i].given, &reason), 0);
        assert_string_equal(api.url, rows[i].url);
        assert_string_equal(api.key, rows[i].key);
        assert_int_equal(api.port, rows[i].port);
    }
}

static void bad_urls_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "api.github.com",
        "ftp://h",
        "https://",
        "https:///x",
        "https://h?",
        "https://u:pw@h",
        "https://u@h/x",
        "https://h#f",
        "https://h/x?q",
        "https://h:",
        "https://h:0",
        "https://h:65536",
        "https://h:8 0",
        "https://h/a b",
        "https://h/../x",
        "https://h//x",
        "https://h/.",
        "https://h/%2e",
        "https://-h",
        "https://h-",
        "https://h..i",
        "https://h.",
        "https://h\\x",
        "https://[::1",
        "https://[::g]",
        "https://[]",
        "https://[::1]x",
        "https://h\xc3\xa9",
        "https://h\n",
        "https://a.-b",
        "https://..",
        "https://%68",
        "https://h:x",
        "https://h:1:2",
        "https://[fe80::1%25eth0]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct options_api api;
        const char *reason = NULL;

        assert_int_equal(options_api_from_url(&api, bad[i], &reason), -EINVAL);
        assert_non_null(reason);
    }
}

/* The host names a directory of the cache and is an argument of gh. */
static void bad_hosts_are_refused(void **state)
{
    static const char *const bad[] = {"",    "-h",  "--help", "..",  ".",     "a..b", "h:",  "h:0",
                                      "a b", "u@h", "h/x",    "h?q", "h%2fx", "[::1", "::1", "h\n"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct options_api api;
        const char *reason = NULL;

        assert_int_equal(options_api_from_host(&api, bad[i], &reason), -EINVAL);
        assert_non_null(reason);
    }
}

static void overlong_urls_are_refused(void **state)
{
    char url[1200], label[65];
    struct options_api api;
    const char *reason;

    (void)state;
    memset(label, 'a', 64);
    label[64] = '\0';
    snprintf(url, sizeof url, "https://%s", label);
    assert_int_equal(options_api_from_url(&api, url, &reason), -EINVAL);
    label[63] = '\0';
    snprintf(url, sizeof url, "https://%s.%s.%s.%s", label, label, label, label);
    assert_int_equal(options_api_from_url(&api, url, &reason), -EINVAL);
    snprintf(url, sizeof url, "https://h/%s/%s/%s/%s", label, label, label, label);
    assert_int_equal(options_api_from_url(&api, url, &reason), -EINVAL);
    snprintf(url, sizeof url, "%s.%s.%s.%.53s.ghe.com", label, label, label, label);
    assert_int_equal(options_api_from_host(&api, url, &reason), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_to_api_base),          cmocka_unit_test(urls_are_normalised),
        cmocka_unit_test(bad_urls_are_refused),      cmocka_unit_test(bad_hosts_are_refused),
        cmocka_unit_test(overlong_urls_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
