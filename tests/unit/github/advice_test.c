/* What to do about a failure: by GitHub's headers, and by what net knows of it. */
#include "github/advice.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ORG "https://github.com/orgs/acme/sso"

static void check(const struct advice_denial *d, const char *want)
{
    char text[ADVICE_CAP];

    advice_on_denial(d, text);
    assert_string_equal(text, want);
}

/* Which of the words of one header are among those of the other decides, not how it begins. */
static void scopes_that_are_not_enough(void **state)
{
    struct advice_denial d = {
        .status = 403, .has_token = true, .scopes = "gist, read:org", .accepted = "repo"};

    (void)state;
    check(&d, "the token has the scopes gist, read:org and needs the scope repo: make another one, "
              "or `gh auth refresh -s repo`, and mount again");
    d.scopes = "repo:status, public_repo";
    check(&d, "the token has the scopes repo:status, public_repo and needs the scope repo: make "
              "another one, or `gh auth refresh -s repo`, and mount again");
    d.scopes = "";
    check(&d, "the token has no scope and needs the scope repo: make another one, or `gh auth "
              "refresh -s repo`, and mount again");
    d.scopes = "\r\n"; /* libcurl 7.88 */
    d.status = 404;
    check(&d, "if it is private, the token has no scope and needs the scope repo: make another "
              "one, or `gh auth refresh -s repo`, and mount again");
}

/* A 404 then means that there is no such thing. */
static void scopes_that_are_enough_or_not_known(void **state)
{
    static const char *const enough[][2] = {{"repo", "repo"}, {"gist,repo", "admin:org, repo"},
                                            {"gist", ""},     {"gist", NULL},
                                            {NULL, "repo"},   {"repo", " , repo"}};

    (void)state;
    for (size_t i = 0; i < sizeof(enough) / sizeof(enough[0]); i++) {
        struct advice_denial d = {
            .status = 404, .has_token = true, .scopes = enough[i][0], .accepted = enough[i][1]};
        check(&d, "");
        d.status = 403;
        check(&d, "the token may lack the right to read Actions here");
    }
}

static void permissions_of_a_fine_grained_token(void **state)
{
    struct advice_denial d = {.status = 403, .has_token = true, .permissions = "actions=read"};

    (void)state;
    check(&d, "the token needs the permission actions=read for this repository: see its settings");
    d.status = 404;
    check(&d, "if it is private, the token needs the permission actions=read for this repository: "
              "see its settings");
    d.permissions = "metadata=read"; /* of the question whether an owner is an organization */
    check(&d, "");
    d.permissions = "actions=read";
    d.scopes = d.accepted = "repo"; /* a classic token has no permissions */
    check(&d, "");
}

/* What follows the question mark would let others in. */
static void single_sign_on_and_no_secret(void **state)
{
    static const char want[] = "the organization wants single sign-on: authorize the token for it, "
                               "by Configure SSO in the token's settings";
    static const char *const without[] = {
        "required", "required; url=", "required; url=http://github.com/orgs/acme/sso?a=SECRET",
        "required; url=https://github.com/\001SECRET?x", "required; url=https://u%20SECRET@x/y"};
    struct advice_denial d = {
        .status = 403,
        .has_token = true,
        .scopes = "gist",
        .accepted = "repo",
        .sso = "required; url=" ORG "?authorization_request=SECRET",
    };
    char text[ADVICE_CAP], url[300] = "required; url=https://";

    (void)state;
    check(&d, "the organization wants single sign-on: authorize the token for it, by Configure SSO "
              "in the token's settings; the organization's page is " ORG);
    d.sso = "required; url=" ORG;
    advice_on_denial(&d, text);
    assert_non_null(strstr(text, ORG));
    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
        d.sso = without[i];
        check(&d, want);
    }
    memset(url + strlen(url), 'x', 200);
    d.sso = url;
    check(&d, want);
    d.status = 404;
    advice_on_denial(&d, text);
    assert_int_equal(strncmp(text, "if it is private, the organization", 34), 0);
    d.sso = "partial-results; organizations=21955855";
    d.scopes = "repo";
    check(&d, "");
}

static void no_token_and_a_wrong_one(void **state)
{
    struct advice_denial d = {.status = 403, .accepted = "repo", .permissions = "actions=read"};

    (void)state;
    check(&d, "there is no token: run `gh auth login` or give token_file=FILE, and mount again");
    d.status = 401;
    check(&d, "there is no token: run `gh auth login` or give token_file=FILE, and mount again");
    d.status = 404;
    check(&d, "");
    d.has_token = true;
    d.status = 401;
    check(&d, "the token is wrong, has expired or was revoked: put another one into token_file; "
              "without that, `gh auth login`, and mount again");
    d.status = 451;
    check(&d, "");
}

static void long_headers_are_cut(void **state)
{
    char scopes[1000], text[ADVICE_CAP];
    struct advice_denial d = {
        .status = 403, .has_token = true, .scopes = scopes, .accepted = "repo"};

    (void)state;
    memset(scopes, 'x', sizeof(scopes) - 1);
    scopes[sizeof(scopes) - 1] = '\0';
    advice_on_denial(&d, text);
    assert_non_null(strstr(text, " and needs the scope repo: "));
}

static void errors_of_the_network(void **state)
{
    static const struct {
        enum failure_hop hop;
        int err;
        const char *cause, *begins;
    } cases[] = {
        {FAILURE_STORAGE, -ECONNREFUSED, "", "logs come from this host"},
        {FAILURE_STORAGE, -EHOSTUNREACH, "", "logs come from this host"},
        {FAILURE_API, -ETIMEDOUT, "", "is the network there?"},
        {FAILURE_STORAGE, -ECONNREFUSED, "the proxy refused a tunnel to this host: status 403",
         "logs come from this host"},
        {FAILURE_API, -ECONNREFUSED, "the proxy refused a tunnel to this host: status 403",
         "have the proxy let this host through"},
        {FAILURE_STORAGE, -ECONNREFUSED, "the proxy refused a tunnel to this host: status 407",
         "give its user and password"},
        {FAILURE_API, -EPROTO, "SSL certificate problem: unable to get local issuer certificate",
         "where the server, or a proxy, has an authority"},
        {FAILURE_API, -EPROTO, "SSL certificate problem: certificate has expired", "is the clock"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *text = advice_on_error(cases[i].hop, cases[i].err, cases[i].cause);
        assert_non_null(text);
        assert_int_equal(strncmp(text, cases[i].begins, strlen(cases[i].begins)), 0);
    }
    assert_null(advice_on_error(FAILURE_API, -EIO, ""));
    assert_null(advice_on_error(FAILURE_API, -EPROTO,
                                "SSL: no alternative certificate subject name matches target"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes_that_are_not_enough),
        cmocka_unit_test(scopes_that_are_enough_or_not_known),
        cmocka_unit_test(permissions_of_a_fine_grained_token),
        cmocka_unit_test(single_sign_on_and_no_secret),
        cmocka_unit_test(no_token_and_a_wrong_one),
        cmocka_unit_test(long_headers_are_cut),
        cmocka_unit_test(errors_of_the_network),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
