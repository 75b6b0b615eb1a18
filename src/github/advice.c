#include "github/advice.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LIST_MAX 100 /* bytes of a header that are repeated */
#define STORAGE_HOSTS                                                                              \
    "logs come from this host, those of github.com from productionresultssa*.blob.core.windows.net"

/* -- Errors ------------------------------------------------------------------------------------ */

const char *advice_on_error(enum failure_hop hop, int err, const char *cause)
{
    bool is_storage = hop == FAILURE_STORAGE;

    if (strstr(cause, "tunnel") && strstr(cause, "status 407"))
        return "give its user and password: HTTPS_PROXY or proxy=http://USER:PASSWORD@HOST:PORT";
    if (strstr(cause, "tunnel"))
        return is_storage ? STORAGE_HOSTS ": have the proxy let it through, or name it in no_proxy"
                          : "have the proxy let this host through, or name it in no_proxy";
    if (strstr(cause, "wrong version number"))
        return "it does not speak TLS: check the scheme of api_url and of the proxy";
    if (strstr(cause, "expired") || strstr(cause, "not yet valid"))
        return "is the clock of this machine right?";
    if (strstr(cause, "certificate") && !strstr(cause, "match"))
        return "where the server, or a proxy, has an authority of its own: ca_file=FILE";
    if (err != -ECONNREFUSED && err != -EHOSTUNREACH && err != -ETIMEDOUT)
        return NULL;
    return is_storage ? STORAGE_HOSTS ": a firewall has to let it through, or a proxy is needed"
                      : "is the network there? If it needs a proxy: HTTPS_PROXY or proxy=URL";
}

/* -- Denials ----------------------------------------------------------------------------------- */

/* The next word of a list with commas, NULL at its end. To libcurl 7.88 the value of an empty
 * header is the end of its line. */
static const char *next_word(const char *list, size_t *ret_length)
{
    static const char between[] = ", \t\r\n";

    list += strspn(list, between);
    *ret_length = strcspn(list, between);
    return *ret_length ? list : NULL;
}

static bool has_word(const char *list, const char *word, size_t length)
{
    size_t n;

    for (const char *at = list; (at = next_word(at, &n)); at += n)
        if (n == length && strncmp(at, word, n) == 0)
            return true;
    return false;
}

/* Whether the scopes of a classic token are known not to be enough. */
static bool lacks_scope(const struct advice_denial *d)
{
    size_t n;

    if (!d->scopes || !d->accepted || !next_word(d->accepted, &n))
        return false;
    for (const char *at = d->accepted; (at = next_word(at, &n)); at += n)
        if (has_word(d->scopes, at, n))
            return false;
    return true;
}

/* "required; url=https://github.com/orgs/NAME/sso?authorization_request=...": the URL without what
 * follows the question mark, which is a secret. -1: this is no such header. */
static int find_sso_url(const char *sso, const char **ret_url)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                ":/._-";
    const char *at;
    size_t length;

    if (!sso || strncmp(sso, "required", 8) != 0)
        return -1;
    at = strstr(sso, "url=https://");
    *ret_url = at ? at + 4 : "";
    length = strspn(*ret_url, plain);
    return length <= LIST_MAX && strchr("?; \t", (*ret_url)[length]) ? (int)length : 0;
}

/* 403 and 404, by what their headers tell. Printed after `lead`. */
static bool advise_by_headers(const struct advice_denial *d, const char *lead, char *text)
{
    const char *url;
    int length = find_sso_url(d->sso, &url);
    bool has_scopes;
    size_t n;

    if (length >= 0) {
        snprintf(text, ADVICE_CAP,
                 "%sthe organization wants single sign-on: authorize the token for it, by "
                 "Configure SSO in the token's settings%s%.*s",
                 lead, length ? "; the organization's page is " : "", length, url);
    } else if (lacks_scope(d)) {
        has_scopes = next_word(d->scopes, &n) != NULL;
        snprintf(text, ADVICE_CAP,
                 "%sthe token has %s%.*s and needs the scope %.*s: make another one, or `gh auth "
                 "refresh -s repo`, and mount again",
                 lead, has_scopes ? "the scopes " : "no scope", has_scopes ? LIST_MAX : 0,
                 d->scopes, LIST_MAX, d->accepted);
    } else if (!d->scopes && d->permissions && strstr(d->permissions, "actions=")) {
        snprintf(text, ADVICE_CAP,
                 "%sthe token needs the permission %.*s for this repository: see its settings",
                 lead, LIST_MAX, d->permissions);
    } else {
        return false;
    }
    return true;
}

void advice_on_denial(const struct advice_denial *d, char text[ADVICE_CAP])
{
    text[0] = '\0';
    if (d->status == 404) {
        if (d->has_token)
            advise_by_headers(d, "if it is private, ", text);
    } else if (d->status != 401 && d->status != 403) {
        return;
    } else if (!d->has_token) {
        snprintf(text, ADVICE_CAP,
                 "there is no token: run `gh auth login` or give token_file=FILE, and mount again");
    } else if (d->status == 401) {
        snprintf(text, ADVICE_CAP,
                 "the token is wrong, has expired or was revoked: put another one into token_file; "
                 "without that, `gh auth login`, and mount again");
    } else if (!advise_by_headers(d, "", text)) {
        snprintf(text, ADVICE_CAP, "the token may lack the right to read Actions here");
    }
}
