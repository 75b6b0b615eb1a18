#include "net/url.h"

#include "net/address.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define URL_MAX (8 * 1024)
#define AUTHORITY_END "/?#"

static bool has_only_url_characters(const char *url)
{
    size_t len = strnlen(url, URL_MAX + 1);

    if (len > URL_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (url[i] <= ' ' || url[i] > '~')
            return false;
    }
    return true;
}

/*
 * What follows "http://" or "https://"; NULL for anything else, also where curl would guess, and for
 * a host in %xx: curl decodes it, but reads addresses only before, so it would have two meanings.
 */
static const char *find_authority(const char *url)
{
    const char *rest = NULL;

    if (strncasecmp(url, "https://", 8) == 0)
        rest = url + 8;
    else if (strncasecmp(url, "http://", 7) == 0)
        rest = url + 7;
    if (!rest || *rest == '/' || memchr(rest, '%', strcspn(rest, AUTHORITY_END)))
        return NULL;
    return rest;
}

/* One part of the URL, lower case, into `part`. */
static int get_part(CURLU *parsed, CURLUPart what, unsigned flags, char *part, size_t size)
{
    char *value = NULL;
    size_t len;
    int err = -EPROTO;

    if (curl_url_get(parsed, what, &value, flags) != CURLUE_OK)
        return -EPROTO;
    len = strlen(value);
    if (len > 0 && len < size) {
        memcpy(part, value, len + 1);
        for (char *c = part; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        err = 0;
    }
    curl_free(value);
    return err;
}

/* What is no plain name or address curl might rewrite into one before it asks. */
static int get_host(CURLU *parsed, char host[256])
{
    char raw[258];
    size_t len;
    bool is_v6;

    if (get_part(parsed, CURLUPART_HOST, 0, raw, sizeof(raw)) < 0)
        return -EPROTO;
    len = strlen(raw);
    is_v6 = raw[0] == '[' && raw[len - 1] == ']';
    if (is_v6) {
        raw[len - 1] = '\0';
        memmove(raw, raw + 1, len - 1);
        len -= 2;
    }
    if (len == 0 || len > 255)
        return -EPROTO;
    if (raw[strspn(raw, is_v6 ? "0123456789abcdef:." : "abcdefghijklmnopqrstuvwxyz0123456789-._")])
        return -EPROTO;
    memcpy(host, raw, len + 1);
    return 0;
}

static int get_port(CURLU *parsed, unsigned *ret_port)
{
    char digits[8];
    unsigned long port;

    if (get_part(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT, digits, sizeof(digits)) < 0)
        return -EPROTO;
    port = strtoul(digits, NULL, 10);
    if (port == 0 || port > 65535)
        return -EPROTO;
    *ret_port = (unsigned)port;
    return 0;
}

/* A name with a dot at its end is the same name. */
static bool is_local_host(const char *host)
{
    static const char local[] = "localhost";
    char name[256];
    size_t len = strlen(host);

    memcpy(name, host, len + 1);
    while (len > 0 && name[len - 1] == '.')
        name[--len] = '\0';
    if (net_address_is_local(name))
        return true;
    if (len < sizeof(local) - 1 || strcmp(name + len - (sizeof(local) - 1), local) != 0)
        return false;
    return len == sizeof(local) - 1 || name[len - sizeof(local)] == '.';
}

static int read_parsed(CURLU *parsed, struct net_url *u)
{
    if (get_part(parsed, CURLUPART_SCHEME, 0, u->scheme, sizeof(u->scheme)) < 0 ||
        get_host(parsed, u->host) < 0 || get_port(parsed, &u->port) < 0)
        return -EPROTO;
    u->is_local = is_local_host(u->host);
    return 0;
}

int net_url_parse(const char *url, struct net_url *ret_url)
{
    struct net_url u = {0};
    const char *authority = find_authority(url);
    CURLU *parsed;
    int err = -EPROTO;

    if (!authority || !has_only_url_characters(url))
        return -EPROTO;
    parsed = curl_url();
    if (!parsed)
        return -ENOMEM;
    if (curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK)
        err = read_parsed(parsed, &u);
    curl_url_cleanup(parsed);
    if (err < 0)
        return err;
    u.has_userinfo = memchr(authority, '@', strcspn(authority, AUTHORITY_END)) != NULL;
    *ret_url = u;
    return 0;
}
