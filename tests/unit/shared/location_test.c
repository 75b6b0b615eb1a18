/*
 * The option shared= and the URLs of objects (T4, T7).
 */
#include "shared/location.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text, *base, *host, *region;
} good[] = {
    {"s3://logs", "https://logs.s3.us-east-1.amazonaws.com", "logs.s3.us-east-1.amazonaws.com",
     "us-east-1"},
    {"s3://logs/", "https://logs.s3.us-east-1.amazonaws.com", "logs.s3.us-east-1.amazonaws.com",
     "us-east-1"},
    {"s3://logs/ci/Team_1?region=eu-central-1",
     "https://logs.s3.eu-central-1.amazonaws.com/ci/Team_1", "logs.s3.eu-central-1.amazonaws.com",
     "eu-central-1"},
    {"s3://logs.example.com/ci", "https://s3.us-east-1.amazonaws.com/logs.example.com/ci",
     "s3.us-east-1.amazonaws.com", "us-east-1"},
    {"s3://logs?endpoint=https://store.example.com", "https://store.example.com/logs",
     "store.example.com", "us-east-1"},
    {"s3://logs/p?region=garage&endpoint=http://10.1.2.3:3900/", "http://10.1.2.3:3900/logs/p",
     "10.1.2.3", "garage"},
    {"s3://logs?endpoint=https://Store.Example.com:443", "https://store.example.com/logs",
     "store.example.com", "us-east-1"},
    {"s3://logs?endpoint=http://[::1]:9000", "http://[::1]:9000/logs", "::1", "us-east-1"},
    {"https://cache.example.com", "https://cache.example.com", "cache.example.com", ""},
    {"https://cache.example.com:8443/team/logs/", "https://cache.example.com:8443/team/logs",
     "cache.example.com", ""},
    {"http://127.0.0.1:8080/logs", "http://127.0.0.1:8080/logs", "127.0.0.1", ""},
    {"http://localhost/logs", "http://localhost/logs", "localhost", ""},
    {"http://192.168.1.20/logs", "http://192.168.1.20/logs", "192.168.1.20", ""},
};

static void a_location_becomes_a_base(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct shared_location l;
        const char *reason = "";
        print_message("%s\n", good[i].text);
        assert_int_equal(shared_location_parse(good[i].text, &l, &reason), 0);
        assert_string_equal(l.base, good[i].base);
        assert_string_equal(l.host, good[i].host);
        assert_string_equal(l.region, good[i].region);
        assert_int_equal(l.is_plain, strncmp(l.base, "http://", 7) == 0);
    }
}

static const struct {
    const char *text, *reason;
} bad[] = {
    {"", "begins with"},
    {"logs", "begins with"},
    {"ftp://host/logs", "begins with"},
    {"S3://logs", "begins with"},
    {"s3://", "bucket"},
    {"s3:///prefix", "bucket"},
    {"s3://ab", "bucket"},
    {"s3://Logs", "bucket"},
    {"s3://-logs", "bucket"},
    {"s3://logs..a", "bucket"},
    {"s3://key:secret@logs", "bucket"},
    {"s3://0123456789012345678901234567890123456789012345678901234567890123", "bucket"},
    {"s3://logs/a//b", "prefix"},
    {"s3://logs/a/../b", "prefix"},
    {"s3://logs/./b", "prefix"},
    {"s3://logs/a=b", "prefix"},
    {"s3://logs/a b", "prefix"},
    {"s3://logs/%41", "prefix"},
    {"s3://logs?", "parameter"},
    {"s3://logs?endpoint=", "parameter"},
    {"s3://logs?profile=me", "parameter"},
    {"s3://logs?region=a&", "parameter"},
    {"s3://logs?region=EU", "region"},
    {"s3://logs?region=eu/x", "region"},
    {"s3://logs?region=a&region=b", "two regions"},
    {"s3://logs?endpoint=https://a&endpoint=https://b", "two endpoints"},
    {"s3://logs?endpoint=store.example.com", "URL of a server"},
    {"s3://logs?endpoint=https://host/path", "endpoint with a path"},
    {"s3://logs?endpoint=https://user:word@host", "shared_key_file"},
    {"s3://logs?endpoint=http://store.example.com", "plain http"},
    {"s3://logs?endpoint=http://8.8.8.8", "plain http"},
    {"https://", "URL of a server"},
    {"https://../logs", "URL of a server"},
    {"https://user:word@host/logs", "shared_key_file"},
    {"https://host/logs?x=1", "query"},
    {"https://host/logs#x", "query"},
    {"https://host/a//b", "path"},
    {"https://host/a/..", "path"},
    {"https://host/a:b", "path"},
    {"http://cache.example.com/logs", "plain http"},
};

static void what_is_malformed_is_refused_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct shared_location l = {.host = "untouched"};
        const char *reason = "";
        print_message("%s\n", bad[i].text);
        assert_int_equal(shared_location_parse(bad[i].text, &l, &reason), -EINVAL);
        assert_non_null(strstr(reason, bad[i].reason));
        assert_null(strstr(reason, "word@"));
        assert_string_equal(l.host, "untouched");
    }
}

static void what_is_too_long_is_refused(void **state)
{
    char text[4096] = "https://host/";
    struct shared_location l;
    const char *reason = "";

    (void)state;
    memset(text + strlen(text), 'a', 300);
    assert_int_equal(shared_location_parse(text, &l, &reason), -EINVAL);
    memset(text + strlen(text), 'a', 3000);
    assert_int_equal(shared_location_parse(text, &l, &reason), -EINVAL);
    assert_non_null(strstr(reason, "too long"));
}

static void objects_have_lower_case_keys_of_plain_characters(void **state)
{
    const struct repo_name repo = {"Octo-Org", "Hello_World.js"};
    char url[LOCATION_OBJECT_MAX];
    struct shared_location l;
    const char *reason;

    (void)state;
    assert_int_equal(shared_location_parse("s3://logs/ci?endpoint=https://h", &l, &reason), 0);
    assert_int_equal(shared_location_make_url(&l, "api.github.com", &repo, 42, SHARED_LOG, url), 0);
    assert_string_equal(url, "https://h/logs/ci/v1/api.github.com/octo-org/hello_world.js/42");
    assert_int_equal(
        shared_location_make_url(&l, "[::1]:8443", &repo, NAME_ID_MAX, SHARED_META, url), 0);
    assert_string_equal(
        url, "https://h/logs/ci/v1/~~~1~~8443/octo-org/hello_world.js/9007199254740991.meta");
    assert_int_equal(shared_location_make_url(&l, "", &repo, 42, SHARED_LOG, url), -EINVAL);
    assert_int_equal(shared_location_make_url(&l, "..", &repo, 42, SHARED_LOG, url), -EINVAL);
    assert_int_equal(shared_location_make_url(&l, "a/b", &repo, 42, SHARED_LOG, url), -EINVAL);
}

static void the_longest_url_fits(void **state)
{
    char text[1024], part[200], host[254], url[LOCATION_OBJECT_MAX];
    struct repo_name repo;
    struct shared_location l;
    const char *reason = "";

    (void)state;
    memset(part, 'p', sizeof(part) - 1);
    part[sizeof(part) - 1] = '\0';
    snprintf(text, sizeof(text), "s3://%.63s/%s?endpoint=https://%.60s.%.60s.%.60s.%.60s.x:65535",
             part, part, part, part, part, part);
    memset(host, 'a', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    memset(&repo, 'r', sizeof(repo));
    repo.owner[NAME_PART_MAX] = repo.repo[NAME_PART_MAX] = '\0';
    assert_int_equal(shared_location_parse(text, &l, &reason), 0);
    assert_int_equal(shared_location_make_url(&l, host, &repo, NAME_ID_MAX, SHARED_META, url), 0);
    assert_string_equal(url + strlen(url) - 21, "9007199254740991.meta");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_location_becomes_a_base),
        cmocka_unit_test(what_is_malformed_is_refused_with_the_reason),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(objects_have_lower_case_keys_of_plain_characters),
        cmocka_unit_test(the_longest_url_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
