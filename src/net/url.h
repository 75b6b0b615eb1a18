/*
 * url.h - what a URL says, by curl's own understanding of URLs, so that what is checked is what is
 * asked. Pure; any thread.
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
    bool is_local;     /* host is a literal address that is loopback, private, link-local or
                          unspecified (also IPv4 inside IPv6), or the name localhost or one below */
};

/*
 * -EPROTO: not an absolute http(s) URL, or longer than 8 KiB, or with characters no URL has (what is
 * not printable ASCII), with a host that curl would rewrite before asking (%xx, zones), or port 0.
 */
int net_url_parse(const char *url, struct net_url *ret_url);

/*
 * Whether the host is an address and not a name: no lookup is needed for it. All the forms of IPv4
 * that the C library reads count (0x7f.1, 2130706433, 017700000001), IPv6 without brackets.
 */
bool net_address_is_literal(const char *host);

/*
 * Whether the host is a literal address that is not on the public internet: loopback, private,
 * shared by a carrier, link-local or unspecified, also where IPv4 hides inside IPv6. False for names.
 */
bool net_address_is_local(const char *host);

/*
 * route.h - which way a URL is asked: through the proxy or not, and which name that needs looked up.
 * Pure; any thread.
 */

struct net_route {
    struct net_url url;
    bool is_proxied;
    char lookup[272]; /* "host:port" as curl caches it, "" where the address is a literal */
};

/* -EPROTO: no URL that may be asked (see url.h; or plain http where it is not allowed). */
int net_route_find(const struct net_config *config, const char *url, struct net_route *ret_route);

#endif
