/*
 * address.h - what an address literal says about where it leads. Pure; any thread.
 */
#ifndef GHLOGFS_NET_ADDRESS_H
#define GHLOGFS_NET_ADDRESS_H

#include <stdbool.h>

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

#endif
