/*
 * url.h - the parts of a URL, by curl's own parser, so that what is checked is what is asked; and
 * the route to its host. Pure; any thread.
 */
#ifndef GHLOGFS_NET_URL_H
#define GHLOGFS_NET_URL_H

#include <stdbool.h>

struct net_config;

struct net_url {
    char scheme[8];    /* "https" or "http", lower case */
    char host[256];    /* lower case, without brackets */
    unsigned port;     /* the scheme's own where none is given */
    bool has_userinfo; /* also an empty one */
    bool is_local;     /* the host is net_address_is_local, or localhost or a name below it */
};

/*
 * -EPROTO: not an absolute http(s) URL, longer than 8 KiB, with bytes that are not printable ASCII,
 * with a host that curl would rewrite before asking (%xx, zones), or port 0.
 */
int net_url_parse(const char *url, struct net_url *ret_url);

/*
 * Whether the host is an address that is not on the public internet: loopback, private, shared by a
 * carrier, link-local or unspecified, also where IPv4 hides inside IPv6. IPv4 counts in all the
 * forms that the C library reads (0x7f.1, 2130706433), IPv6 without brackets. False for names.
 */
bool net_address_is_local(const char *host);

struct net_route {
    struct net_url url;
    bool is_proxied;
    char lookup[272]; /* the name that is looked up, as "host:port"; "" for an address */
};

/* -EPROTO: as net_url_parse, also for user info, and for plain http where it is not allowed. */
int net_route_find(const struct net_config *config, const char *url, struct net_route *ret_route);

#endif
