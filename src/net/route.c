#include "net/route.h"

#include "net/address.h"
#include "net/net.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Whether `host` is the name in text[0..len-1] or lies below it. */
static bool is_below(const char *host, const char *text, size_t len)
{
    size_t host_len = strlen(host);

    if (len == 1 && *text == '*')
        return true;
    if (len > 0 && *text == '.') {
        text++;
        len--;
    }
    if (len == 0 || len > host_len || strncasecmp(host + host_len - len, text, len) != 0)
        return false;
    return len == host_len || host[host_len - len - 1] == '.';
}

/* Networks (10.0.0.0/8) are left to curl, which is given the same list: they concern literals only. */
static bool is_excepted(const char *no_proxy, const char *host)
{
    static const char separators[] = ", ";

    for (const char *p = no_proxy; p && *p;) {
        size_t len = strcspn(p, separators);
        if (is_below(host, p, len))
            return true;
        p += len;
        p += strspn(p, separators);
    }
    return false;
}

static void name_lookup(struct net_route *route, const char *host, const char *port)
{
    route->lookup[0] = '\0';
    if (!net_address_is_literal(host))
        snprintf(route->lookup, sizeof(route->lookup), "%s:%s", host, port);
}

/* A proxy that cannot be read is left to curl to refuse. */
static void name_proxy(struct net_route *route, const char *proxy)
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
        name_lookup(route, host, port ? port : "1080");
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parsed);
}

int net_route_find(const struct net_config *config, const char *url, struct net_route *ret_route)
{
    struct net_route route = {0};
    int err = net_url_parse(url, &route.url);

    if (err < 0)
        return err;
    if (route.url.has_userinfo || (!config->allow_http && strcmp(route.url.scheme, "http") == 0))
        return -EPROTO;
    route.is_proxied = config->proxy && !is_excepted(config->no_proxy, route.url.host);
    if (route.is_proxied) {
        name_proxy(&route, config->proxy);
    } else {
        char port[12];
        snprintf(port, sizeof(port), "%u", route.url.port);
        name_lookup(&route, route.url.host, port);
    }
    *ret_route = route;
    return 0;
}
