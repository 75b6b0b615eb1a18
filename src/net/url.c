#include "net/url.h"

#include "name.h"
#include "net/net.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define URL_MAX (8 * 1024)
#define AUTHORITY_END "/?#"

/* -- Addresses -------------------------------------------------------------------------------- */

/* An address block: the first `bits` of `net` are fixed. */
static const struct {
    uint32_t net;
    unsigned bits;
} local4[] = {
    {0x00000000, 8},  /* 0/8, this network */
    {0x0a000000, 8},  /* 10/8 */
    {0x64400000, 10}, /* 100.64/10, shared by a carrier or an overlay network */
    {0x7f000000, 8},  /* 127/8 */
    {0xa9fe0000, 16}, /* 169.254/16, link-local: cloud metadata */
    {0xac100000, 12}, /* 172.16/12 */
    {0xc0a80000, 16}, /* 192.168/16 */
};

/* Prefixes of IPv6 after which an IPv4 address follows at byte `at`. */
static const struct {
    uint8_t prefix[12];
    unsigned len, at;
} carriers[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 12, 12}, /* ::ffff:a.b.c.d */
    {{0}, 12, 12},                                        /* ::a.b.c.d, with :: and ::1 in it */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}, 12, 12}, /* ::ffff:0:a.b.c.d */
    {{0, 0x64, 0xff, 0x9b}, 12, 12},                      /* 64:ff9b::a.b.c.d */
    {{0x20, 0x02}, 2, 2},                                 /* 2002:ab:cd:: */
};

static bool is_local4(uint32_t address)
{
    for (size_t i = 0; i < sizeof(local4) / sizeof(local4[0]); i++) {
        if ((address ^ local4[i].net) >> (32 - local4[i].bits) == 0)
            return true;
    }
    return false;
}

static bool is_local6(const uint8_t a[16])
{
    bool is_unique = (a[0] & 0xfe) == 0xfc;                       /* fc00::/7 */
    bool is_link_or_site = a[0] == 0xfe && (a[1] & 0x80) == 0x80; /* fe80::/10, fec0::/10 */

    if (is_unique || is_link_or_site)
        return true;
    for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++) {
        uint32_t inner;
        if (memcmp(a, carriers[i].prefix, carriers[i].len) != 0)
            continue;
        memcpy(&inner, a + carriers[i].at, sizeof(inner));
        if (is_local4(ntohl(inner)))
            return true;
    }
    return false;
}

bool net_address_is_local(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_aton(host, &v4))
        return is_local4(ntohl(v4.s_addr));
    return inet_pton(AF_INET6, host, &v6) == 1 && is_local6(v6.s6_addr);
}

/* -- URLs ------------------------------------------------------------------------------------- */

/* Whether `host` is the name in text[0..len-1] or lies below it. */
static bool is_below(const char *host, const char *text, size_t len)
{
    size_t host_len = strlen(host);

    if (len == 0 || len > host_len || strncasecmp(host + host_len - len, text, len) != 0)
        return false;
    return len == host_len || host[host_len - len - 1] == '.';
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
        for (size_t i = 0; i <= len; i++)
            part[i] = (char)tolower((unsigned char)value[i]);
        err = 0;
    }
    curl_free(value);
    return err;
}

/* -EPROTO for what is no plain name or address: curl might rewrite it into one before it asks. */
static int get_host(CURLU *parsed, struct net_url *u)
{
    char raw[258], name[256];
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
    memcpy(u->host, raw, len + 1);

    /* A name with a dot at its end is the same name. */
    memcpy(name, raw, len + 1);
    while (len > 0 && name[len - 1] == '.')
        name[--len] = '\0';
    u->is_local = net_address_is_local(name) || is_below(name, "localhost", strlen("localhost"));
    return 0;
}

/*
 * What follows "http://" or "https://"; NULL for anything else, also where curl would guess, and
 * for a host with %xx: curl decodes it, but reads addresses only before, so it would have two
 * meanings.
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

int net_url_parse(const char *url, struct net_url *ret_url)
{
    const char *authority = find_authority(url);
    struct net_url u = {0};
    uint64_t port = 0;
    char digits[8];
    CURLU *parsed;
    bool is_valid;

    if (!authority || strnlen(url, URL_MAX + 1) > URL_MAX)
        return -EPROTO;
    for (const char *c = url; *c; c++) {
        if (*c <= ' ' || *c > '~')
            return -EPROTO;
    }
    parsed = curl_url();
    if (!parsed)
        return -ENOMEM;
    is_valid = curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
               get_part(parsed, CURLUPART_SCHEME, 0, u.scheme, sizeof(u.scheme)) == 0 &&
               get_host(parsed, &u) == 0 &&
               get_part(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT, digits, sizeof(digits)) == 0 &&
               name_parse_number(digits, strlen(digits), 65535, &port) && port > 0;
    curl_url_cleanup(parsed);
    if (!is_valid)
        return -EPROTO;
    u.port = (unsigned)port;
    u.has_userinfo = memchr(authority, '@', strcspn(authority, AUTHORITY_END)) != NULL;
    *ret_url = u;
    return 0;
}

/* -- Routes ----------------------------------------------------------------------------------- */

/* Networks (10.0.0.0/8) are left to curl, which is given the same list: they concern addresses
 * only. */
static bool is_excepted(const char *no_proxy, const char *host)
{
    static const char separators[] = ", ";

    for (const char *p = no_proxy; p && *p;) {
        size_t len = strcspn(p, separators), dot = *p == '.';
        if ((len == 1 && *p == '*') || is_below(host, p + dot, len - dot))
            return true;
        p += len;
        p += strspn(p, separators);
    }
    return false;
}

static void set_lookup(struct net_route *route, const char *host, const char *port)
{
    struct in_addr v4;
    struct in6_addr v6;

    /* inet_aton, and not inet_pton: it is what the resolver itself reads IPv4 with. */
    if (!inet_aton(host, &v4) && inet_pton(AF_INET6, host, &v6) != 1)
        snprintf(route->lookup, sizeof(route->lookup), "%s:%s", host, port);
}

/* A proxy that cannot be parsed is left to curl to refuse. */
static void set_proxy_lookup(struct net_route *route, const char *proxy)
{
    CURLU *parsed = curl_url();
    char *host = NULL, *port = NULL;

    if (parsed &&
        curl_url_set(parsed, CURLUPART_URL, proxy, CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) ==
            CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK && host[0] != '[') {
        /* 1080 is curl's own default for any proxy but https. */
        if (curl_url_get(parsed, CURLUPART_PORT, &port, 0) != CURLUE_OK)
            port = NULL;
        set_lookup(route, host, port ? port : "1080");
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parsed);
}

int net_route_find(const struct net_config *config, const char *url, struct net_route *ret_route)
{
    struct net_route route = {0};
    int err = net_url_parse(url, &route.url);
    char port[12];

    if (err < 0)
        return err;
    if (route.url.has_userinfo || (!config->allow_http && strcmp(route.url.scheme, "http") == 0))
        return -EPROTO;
    route.is_proxied = config->proxy && !is_excepted(config->no_proxy, route.url.host);
    snprintf(port, sizeof(port), "%u", route.url.port);
    if (route.is_proxied)
        set_proxy_lookup(&route, config->proxy);
    else
        set_lookup(&route, route.url.host, port);
    *ret_route = route;
    return 0;
}
