/*
 * route.h - which way a URL is asked: through the proxy or not, and which name that needs looked up.
 * Pure; any thread.
 */
#ifndef GHLOGFS_NET_ROUTE_H
#define GHLOGFS_NET_ROUTE_H

#include "net/url.h"

struct net_config;

struct net_route {
    struct net_url url;
    bool is_proxied;
    char lookup[272]; /* "host:port" as curl caches it, "" where the address is a literal */
};

/* -EPROTO: no URL that may be asked (see url.h; or plain http where it is not allowed). */
int net_route_find(const struct net_config *config, const char *url, struct net_route *ret_route);

#endif
