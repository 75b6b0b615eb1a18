/*
 * Any URL, any proxy, any list of exceptions: no crash, and what is accepted is what it seems.
 * Input: three lines, the URL, the proxy, the exceptions; the last two may be missing.
 */
#include "net/net.h"
#include "net/url.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

/* What the C library takes for a loopback address, or 10/8, must be local for us. */
static void check_locality(const struct net_url *u)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;

    if (getaddrinfo(u->host, NULL, &hints, &found) != 0)
        return;
    if (found->ai_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)found->ai_addr;
        uint32_t address = ntohl(in->sin_addr.s_addr);
        check(u->is_local || (address >> 24 != 127 && address >> 24 != 10));
    } else {
        const struct sockaddr_in6 *in6 = (const void *)found->ai_addr;
        check(u->is_local || !IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr));
        check(u->is_local || !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr));
    }
    freeaddrinfo(found);
}

/* Written down again, it says the same. */
static void check_again(const struct net_url *u)
{
    int is_v6 = strchr(u->host, ':') != NULL;
    struct net_url again;
    char text[300];

    snprintf(text, sizeof(text), "%s://%s%s%s:%u/", u->scheme, is_v6 ? "[" : "", u->host,
             is_v6 ? "]" : "", u->port);
    check(net_url_parse(text, &again) == 0);
    check(strcmp(again.scheme, u->scheme) == 0 && strcmp(again.host, u->host) == 0);
    check(again.port == u->port && again.is_local == u->is_local && !again.has_userinfo);
}

static void check_url(const char *text, const struct net_url *u)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-._:";

    check(strlen(text) <= 8192 && strpbrk(text, " \t\r\n\x7f") == NULL);
    check(strcmp(u->scheme, "https") == 0 || strcmp(u->scheme, "http") == 0);
    check(u->host[0] != '\0' && u->host[strspn(u->host, allowed)] == '\0');
    check(u->port >= 1 && u->port <= 65535);
    check_locality(u);
    check_again(u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_config config = {.allow_http = true};
    char *text = malloc(size + 1), *rest = text;
    struct net_route route;
    struct net_url u;
    const char *url;

    check(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    url = strsep(&rest, "\n");
    config.proxy = strsep(&rest, "\n");
    config.no_proxy = rest;
    if (net_url_parse(url, &u) == 0)
        check_url(url, &u);
    if (net_route_find(&config, url, &route) == 0)
        check(!route.url.has_userinfo && (!route.is_proxied || config.proxy));
    free(text);
    return 0;
}
