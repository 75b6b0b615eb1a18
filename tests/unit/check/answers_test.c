/* What answers of GitHub, its storage and the shared store mean to a user. */
#include "check/answers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1700000000 /* 2023-11-14 22:13:20 UTC */
#define HOUR 3600
#define DAY 86400

static const struct check_token token = {.origin = "GH_TOKEN",
                                         .kind = "classic personal access token (ghp_)",
                                         .problem = "",
                                         .host = "github.com"};
static const struct check_token none = {.kind = "", .problem = "", .host = "github.com"};

/* A good answer of the API to GET /rate_limit. */
static struct check_answer good(void)
{
    return (struct check_answer){.host = "api.github.com",
                                 .status = 200,
                                 .is_right = true,
                                 .type = "application/json",
                                 .took_ms = 12,
                                 .at_s = NOW,
                                 .date_s = NOW,
                                 .retry_after_s = -1,
                                 .quota = {5000, 4999, NOW + HOUR},
                                 .has_scopes = true,
                                 .scopes = "read:org, repo"};
}

static struct check_answer failed(int err, const char *detail)
{
    struct check_answer a = {
        .host = "api.github.com", .err = err, .took_ms = 29001, .date_s = -1, .retry_after_s = -1};

    snprintf(a.detail, sizeof(a.detail), "%s", detail);
    return a;
}

static void expect(const struct check_line *l, enum check_state state, const char *text,
                   const char *advice)
{
    if (l->state != state || !strstr(l->text, text) || !strstr(l->advice, advice))
        fail_msg("state %d, \"%s\"; \"%s\"", (int)l->state, l->text, l->advice);
}

static void api(const struct check_answer *a, enum check_state state, const char *text,
                const char *advice)
{
    struct check_line l = {.name = "api"};

    check_api(&l, a, "https://api.github.com", NULL);
    expect(&l, state, text, advice);
}

static void an_api_that_answers_is_reached(void **state)
{
    static const int statuses[] = {401, 403, 429};
    struct check_answer a = good();

    (void)state;
    api(&a, CHECK_OK, "api.github.com: status 200 in 12 ms, certificate verified", "");
    a.is_proxied = true;
    api(&a, CHECK_OK, "through the proxy", "");
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        a.status = statuses[i];
        api(&a, CHECK_OK, "status 4", "");
    }
    a.status = 502;
    api(&a, CHECK_ERROR, "fails with status 502", "githubstatus.com");
    a.status = 404;
    api(&a, CHECK_ERROR, "no API", "/api/v3");
    snprintf(a.message, sizeof(a.message), "%s", "Rate limiting is not enabled.");
    api(&a, CHECK_OK, "status 404", "");
    a = good();
    a.is_right = false;
    snprintf(a.type, sizeof(a.type), "%s", "text/html");
    api(&a, CHECK_ERROR, "text/html in place of JSON", "proxy");
    a.status = 302;
    api(&a, CHECK_ERROR, "redirects", "api_url");
}

static void each_way_not_to_be_reached_has_its_advice(void **state)
{
    static const struct {
        int err;
        const char *detail, *text, *advice;
    } cases[] = {
        {-EHOSTUNREACH, "Could not resolve host: x", "Could not resolve", "HTTPS_PROXY"},
        {-ETIMEDOUT, "", "no answer within 30 s", "timeout="},
        {-ECONNREFUSED, "", "Connection refused", "its port"},
        {-EIO, "", "Input/output error", "cuts"},
        {-EPROTO, "Received HTTP/0.9", "no valid answer", "cuts or changes"},
        {-EPROTO, "SSL certificate problem: certificate has expired", "TLS failed", "clock"},
        {-EPROTO, "SSL certificate problem: unable to get local issuer certificate", "TLS failed",
         "-o ca_file="},
        {-EPROTO, "SSL certificate problem: self-signed certificate in certificate chain",
         "self-signed", "-o ca_file="},
        {-EPROTO, "SSL: no alternative certificate subject name matches target host name 'x'",
         "TLS failed", "something else answers"},
        {-EPROTO, "SSL routines::wrong version number", "TLS failed", "between"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct check_answer a = failed(cases[i].err, cases[i].detail);
        api(&a, CHECK_ERROR, cases[i].text, cases[i].advice);
    }
}

static void a_tunnel_that_is_refused_names_hop_and_host(void **state)
{
    struct check_answer a = failed(-ECONNREFUSED, "");

    (void)state;
    a.tunnel = 407;
    api(&a, CHECK_ERROR, "api.github.com: the proxy refused a tunnel to this host: status 407",
        "USER:PASSWORD");
    a.tunnel = 403;
    api(&a, CHECK_ERROR, "status 403", "this host");
    snprintf(a.host, sizeof(a.host), "%s", "productionresultssa7.blob.core.windows.net");
    api(&a, CHECK_ERROR, "productionresultssa7", "*.blob.core.windows.net");
}

static void kinds_of_tokens_are_told_by_their_first_letters(void **state)
{
    (void)state;
    assert_non_null(strstr(check_kind_of_token("ghp_x"), "classic"));
    assert_non_null(strstr(check_kind_of_token("github_pat_x"), "fine-grained"));
    assert_non_null(strstr(check_kind_of_token("gho_x"), "OAuth"));
    assert_non_null(strstr(check_kind_of_token("ghu_x"), "user token"));
    assert_non_null(strstr(check_kind_of_token("ghs_1_a.b-c"), "installation"));
    assert_non_null(strstr(check_kind_of_token("ghr_x"), "refresh"));
    assert_non_null(
        strstr(check_kind_of_token("0123456789abcdef0123456789abcdef01234567"), "before 2021"));
    assert_non_null(strstr(check_kind_of_token("0123456789ABCDEF"), "unknown"));
}

static void tokens_are_judged_by_source_and_answer(void **state)
{
    const struct check_token gh = {.origin = "gh auth token",
                                   .kind = "OAuth token (gho_)",
                                   .problem = "",
                                   .host = "github.com"};
    const struct check_token file = {
        .origin = "token_file", .kind = "x", .problem = "", .host = "ghes.test", .file = "/etc/t"};
    const struct check_token broken = {.problem = "token_file /t cannot be read: No such file",
                                       .kind = "",
                                       .is_unusable = true,
                                       .host = "github.com"};
    struct check_token open = file;
    struct check_answer a = good();
    struct check_line l = {.name = "token"};

    (void)state;
    check_token(&l, &token, &a);
    expect(&l, CHECK_OK, "from GH_TOKEN, classic personal access token (ghp_), accepted", "");
    check_token(&l, &none, &a);
    expect(&l, CHECK_WARNING, "none found for github.com", "GH_TOKEN");
    check_token(&l, &broken, &a);
    expect(&l, CHECK_ERROR, "cannot be read", "correct it");
    open.problem = "token_file /etc/t can be read by others (mode 0644); chmod 600 helps";
    check_token(&l, &open, &a);
    expect(&l, CHECK_WARNING, "can be read by others", "");
    a.status = 401;
    snprintf(a.message, sizeof(a.message), "%s", "Bad credentials");
    check_token(&l, &token, &a);
    expect(&l, CHECK_ERROR, "refuses it: status 401 Bad credentials", "into GH_TOKEN");
    check_token(&l, &gh, &a);
    expect(&l, CHECK_ERROR, "status 401", "gh auth login -h github.com");
    check_token(&l, &file, &a);
    expect(&l, CHECK_ERROR, "status 401", "/etc/t");
}

static void scopes_without_repo_are_a_warning(void **state)
{
    struct check_line l = {.name = "scopes"};
    struct check_answer a = good();

    (void)state;
    check_scopes(&l, &token, &a);
    expect(&l, CHECK_OK, "read:org, repo", "");
    snprintf(a.scopes, sizeof(a.scopes), "%s", "public_repo, repo:status,repository");
    check_scopes(&l, &token, &a);
    expect(&l, CHECK_WARNING, "without repo", "github.com/settings/tokens");
    snprintf(a.scopes, sizeof(a.scopes), "%s", "");
    check_scopes(&l, &token, &a);
    expect(&l, CHECK_WARNING, "none: without repo", "");
    a.has_scopes = false;
    l.advice[0] = '\0';
    check_scopes(&l, &token, &a);
    expect(&l, CHECK_OK, "permissions", "");
    check_scopes(&l, &none, &a);
    expect(&l, CHECK_SKIPPED, "", "");
    a.status = 401;
    check_scopes(&l, &token, &a);
    expect(&l, CHECK_SKIPPED, "", "");
}

static void an_expiry_is_judged_by_the_day(void **state)
{
    static const struct {
        const char *expiration, *text;
        enum check_state state;
    } cases[] = {{"", "reports none", CHECK_OK},
                 {"2023-11-14 22:13:20 UTC", "has expired: 2023-11-14 22:13 UTC", CHECK_ERROR},
                 {"2023-11-14 21:13:20 UTC", "60 minutes ago", CHECK_ERROR},
                 {"2023-11-14 23:13:20 +0200", "has expired", CHECK_ERROR},
                 {"2023-11-14 21:13:20 -0200", "in 60 minutes", CHECK_WARNING},
                 {"2023-11-21 22:13:19 UTC", "in 6 days", CHECK_WARNING},
                 {"2023-11-21 22:13:20 UTC", "2023-11-21 22:13 UTC, in 7 days", CHECK_OK},
                 {"some day", "some day", CHECK_OK},
                 {"2023-11-14T22:13:20 UTC", "2023-11-14T22:13:20 UTC", CHECK_OK}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct check_line l = {.name = "expiry"};
        struct check_answer a = good();
        snprintf(a.expiration, sizeof(a.expiration), "%s", cases[i].expiration);
        check_expiry(&l, &token, &a);
        expect(&l, cases[i].state, cases[i].text,
               cases[i].state == CHECK_OK ? "" : "put a new token");
    }
}

static void the_clock_is_compared_with_the_servers(void **state)
{
    static const struct {
        int64_t ahead_s;
        enum check_state state;
        const char *text;
    } cases[] = {{0, CHECK_OK, "0 seconds"},
                 {30, CHECK_OK, "30 seconds"},
                 {-30, CHECK_OK, "30 seconds"},
                 {31, CHECK_WARNING, "31 seconds ahead of"},
                 {-300, CHECK_WARNING, "5 minutes behind"},
                 {301, CHECK_ERROR, "ahead of"},
                 {-3600, CHECK_ERROR, "60 minutes behind"},
                 {HOUR * 3, CHECK_ERROR, "3 hours ahead of"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct check_line l = {.name = "clock"};
        struct check_answer a = good();
        a.at_s = NOW + cases[i].ahead_s;
        check_clock(&l, &a);
        expect(&l, cases[i].state, cases[i].text, cases[i].state == CHECK_OK ? "" : "timedatectl");
    }
}

static void quota(const struct check_answer *a, bool has_token, enum check_state state,
                  const char *text, const char *advice)
{
    struct check_line l = {.name = "quota"};

    check_quota(&l, a, 500, has_token);
    expect(&l, state, text, advice);
}

static void quota_is_told_with_its_return(void **state)
{
    struct check_answer a = good();

    (void)state;
    quota(&a, true, CHECK_OK,
          "4999 of 5000 requests left, all again at 2023-11-14 23:13 UTC (in 60", "");
    a.quota.remaining = 499;
    quota(&a, true, CHECK_WARNING, "less than reserve (500)", "wait 60 minutes");
    a.quota = (struct facts_quota){60, 59, NOW + HOUR};
    quota(&a, false, CHECK_OK, "59 of 60", "");
    a.quota.remaining = 0;
    quota(&a, true, CHECK_ERROR, "used up until 2023-11-14 23:13 UTC", "wait 60 minutes");
    quota(&a, false, CHECK_ERROR, "used up", "use a token");
    a.at_s = NOW + HOUR; /* the return is by the server's clock */
    quota(&a, true, CHECK_ERROR, "used up", "wait 60 minutes");
    a = good();
    a.status = 403;
    a.retry_after_s = 90;
    quota(&a, true, CHECK_ERROR, "secondary limit", "wait 90 seconds");
    a = good();
    a.status = 404;
    snprintf(a.message, sizeof(a.message), "%s", "Rate limiting is not enabled.");
    quota(&a, true, CHECK_OK, "no limit", "");
    a.status = 401;
    quota(&a, true, CHECK_SKIPPED, "", "");
}

static void repository(const struct check_token *t, const struct check_answer *first,
                       const struct check_answer *a, const char *text, const char *advice)
{
    struct check_line l = {.name = "repository"};

    assert_false(check_repository(&l, "o/r", t, first, a));
    expect(&l, CHECK_ERROR, text, advice);
}

static void a_repository_that_is_not_shown_has_the_likely_reason(void **state)
{
    const struct check_token fine = {.origin = "GH_TOKEN",
                                     .problem = "",
                                     .host = "github.com",
                                     .kind = check_kind_of_token("github_pat_x")};
    struct check_line l = {.name = "repository"};
    struct check_answer first = good(), a = good();

    (void)state;
    assert_true(check_repository(&l, "o/r", &token, &first, &a));
    a.is_right = false;
    repository(&token, &first, &a, "not a list", "report");
    a.status = 404;
    snprintf(a.message, sizeof(a.message), "%s", "Not Found");
    repository(&token, &first, &a, "o/r: status 404 Not Found", "token's user may read");
    repository(&none, &first, &a, "404", "need a token");
    snprintf(first.scopes, sizeof(first.scopes), "%s", "read:org");
    repository(&token, &first, &a, "404", "scope repo");
    first.has_scopes = false;
    repository(&fine, &first, &a, "404", "Actions: read");
    snprintf(a.permissions, sizeof(a.permissions), "%s", "actions=read");
    repository(&fine, &first, &a, "404", "permission actions=read");
    a.wants_sso = true;
    a.status = 403;
    repository(&fine, &first, &a, "403", "single sign-on");
    a.quota.remaining = 0;
    repository(&fine, &first, &a, "403", "line quota");
    a = failed(-ETIMEDOUT, "");
    repository(&fine, &first, &a, "no answer", "firewall");
}

static void bytes(const struct check_answer *first, const struct check_answer *storage,
                  enum check_state state, const char *text, const char *advice)
{
    struct check_line l = {.name = "storage"};

    check_bytes(&l, "log", &token, first, storage);
    expect(&l, state, text, advice);
}

static void storage_is_judged_on_both_hops(void **state)
{
    struct check_answer first = good(), s = good();

    (void)state;
    first.status = 302;
    s.status = 206;
    snprintf(s.host, sizeof(s.host), "%s", "blob.test");
    bytes(&first, &s, CHECK_OK, "blob.test: status 206", "");
    s.is_right = false;
    snprintf(s.type, sizeof(s.type), "%s", "text/html");
    bytes(&first, &s, CHECK_ERROR, "answers with text/html, status 206, in place of the log",
          "*.blob.core.windows.net");
    s.status = 403;
    snprintf(s.code, sizeof(s.code), "%s", "AuthenticationFailed");
    bytes(&first, &s, CHECK_ERROR, "refuses the signed URL: status 403 AuthenticationFailed",
          "clock");
    assert_false(check_is_worth_another(&first, &s));
    s.status = 503;
    bytes(&first, &s, CHECK_ERROR, "fails with status 503", "githubstatus");
    s.status = 404;
    snprintf(s.code, sizeof(s.code), "%s", "BlobNotFound");
    bytes(&first, &s, CHECK_WARNING, "404 BlobNotFound", "newer runs");
    assert_true(check_is_worth_another(&first, &s));
    s = failed(-ECONNREFUSED, "");
    s.tunnel = 403;
    bytes(&first, &s, CHECK_ERROR, "proxy refused a tunnel", "allow HTTPS");
    s = (struct check_answer){0};
    snprintf(first.detail, sizeof(first.detail), "%s", "10.0.0.1");
    bytes(&first, &s, CHECK_ERROR, "a place that is not allowed: 10.0.0.1", "storage");
    first.status = 410;
    bytes(&first, &s, CHECK_WARNING, "expired", "newer runs");
    assert_true(check_is_worth_another(&first, &s));
    first.status = 403;
    bytes(&first, &s, CHECK_ERROR, "the API, asked for the log: status 403", "user may read");
    first.status = 500;
    bytes(&first, &s, CHECK_ERROR, "status 500", "githubstatus");
}

static void shared(const struct check_shared *s, const struct check_answer *a,
                   enum check_state state, const char *text, const char *advice)
{
    struct check_line l = {.name = "shared"};

    check_shared(&l, s, a);
    expect(&l, state, text, advice);
}

static struct check_answer refusal(int status, const char *code)
{
    struct check_answer a = good();

    a.status = status;
    snprintf(a.code, sizeof(a.code), "%s", code);
    return a;
}

static void the_shared_store_is_judged_by_its_answer_for_nothing(void **state)
{
    struct check_shared s = {
        .url = "https://s3.test/b", .is_s3 = true, .key_origin = "shared_key_file", .problem = ""};
    struct check_answer a = refusal(404, "NoSuchKey");

    (void)state;
    shared(&s, &a, CHECK_OK, "may be read (shared_key_file)", "");
    a.at_s = NOW + 600;
    shared(&s, &a, CHECK_WARNING, "10 minutes ahead of", "timedatectl");
    a = refusal(404, "NoSuchBucket");
    shared(&s, &a, CHECK_ERROR, "no such bucket", "-o shared=");
    a = refusal(403, "AccessDenied");
    shared(&s, &a, CHECK_WARNING, "may not list", "s3:ListBucket");
    a = refusal(403, "SignatureDoesNotMatch");
    shared(&s, &a, CHECK_ERROR, "403 SignatureDoesNotMatch", "check the key");
    a = refusal(403, "RequestTimeTooSkewed");
    shared(&s, &a, CHECK_ERROR, "403", "clock");
    a = refusal(301, "PermanentRedirect");
    shared(&s, &a, CHECK_ERROR, "redirects", "region");
    a = refusal(503, "SlowDown");
    shared(&s, &a, CHECK_ERROR, "fails", "go on without it");
    a = refusal(200, "");
    shared(&s, &a, CHECK_ERROR, "for an object that does not exist", "proxy");
    a = failed(-ECONNREFUSED, "");
    shared(&s, &a, CHECK_ERROR, "refused", "port");
    s.key_origin = NULL;
    s.is_s3 = false;
    a = refusal(401, "");
    shared(&s, &a, CHECK_ERROR, "refuses (no key): status 401", "shared_key_file=");
    s.problem = "shared_key_file /k: No such file or directory";
    s.is_unusable = true;
    shared(&s, &a, CHECK_ERROR, "No such file", "correct it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_api_that_answers_is_reached),
        cmocka_unit_test(each_way_not_to_be_reached_has_its_advice),
        cmocka_unit_test(a_tunnel_that_is_refused_names_hop_and_host),
        cmocka_unit_test(kinds_of_tokens_are_told_by_their_first_letters),
        cmocka_unit_test(tokens_are_judged_by_source_and_answer),
        cmocka_unit_test(scopes_without_repo_are_a_warning),
        cmocka_unit_test(an_expiry_is_judged_by_the_day),
        cmocka_unit_test(the_clock_is_compared_with_the_servers),
        cmocka_unit_test(quota_is_told_with_its_return),
        cmocka_unit_test(a_repository_that_is_not_shown_has_the_likely_reason),
        cmocka_unit_test(storage_is_judged_on_both_hops),
        cmocka_unit_test(the_shared_store_is_judged_by_its_answer_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
