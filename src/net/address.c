#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

/* An address block: the first `bits` of `net` are fixed. */
struct block4 {
    uint32_t net;
    unsigned bits;
};

static const struct block4 local4[] = {
    {0x00000000, 8},  /* 0/8, this network */
    {0x0a000000, 8},  /* 10/8 */
    {0x64400000, 10}, /* 100.64/10, shared by a carrier or an overlay network */
    {0x7f000000, 8},  /* 127/8 */
    {0xa9fe0000, 16}, /* 169.254/16, link-local: cloud metadata lives here */
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

/* inet_aton, and not inet_pton: it is what the resolver itself reads IPv4 with. */
bool net_address_is_literal(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    return inet_aton(host, &v4) || inet_pton(AF_INET6, host, &v6) == 1;
}

bool net_address_is_local(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_aton(host, &v4))
        return is_local4(ntohl(v4.s_addr));
    return inet_pton(AF_INET6, host, &v6) == 1 && is_local6(v6.s6_addr);
}
