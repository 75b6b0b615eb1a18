/*
 * gate.h - one lookup of a name before fanning out.
 *
 * curl looks names up in a thread for each transfer. So of all transfers to one host and port given
 * by name the first goes alone, the leader, and the others wait here until it has opened a socket:
 * from then on they find the name in curl's cache. The gate knows neither curl nor requests, it
 * holds links; what it lets go it puts into `released`, in their order. Network thread only.
 */
#ifndef GHLOGFS_NET_GATE_H
#define GHLOGFS_NET_GATE_H

#include "list.h"

#include <stdint.h>

/* How long a lookup counts. curl keeps it longer, so nobody let through here looks up again. */
#define NET_GATE_KNOWN_MS (240 * 1000)
#define NET_GATE_CURL_S 300L

struct net_gate_host;

struct net_gate {
    struct list hosts; /* the last used first */
    unsigned count;
    struct list released; /* links that waited and may try again */
};

enum net_gate_answer {
    NET_GATE_OPEN, /* go */
    NET_GATE_LEAD, /* go, and settle or fail the host exactly once */
    NET_GATE_WAIT, /* the link waits here */
};

void net_gate_init(struct net_gate *gate);
/* Nobody may lead or wait any more. */
void net_gate_finish(struct net_gate *gate);

/* `name` is "host:port". */
enum net_gate_answer net_gate_enter(struct net_gate *gate, const char *name, struct list *link,
                                    int64_t now_ms, struct net_gate_host **ret_led);

/* The leader needs no lookup any more. known_until_ms 0: it made none, so somebody else will. */
void net_gate_settle(struct net_gate *gate, struct net_gate_host *led, int64_t known_until_ms);

/* The lookup failed: all who waited for it go to `waited`. */
void net_gate_fail(struct net_gate_host *led, struct list *waited);

/* Nobody answers at the addresses found: they are looked up afresh. */
void net_gate_forget(struct net_gate *gate, const char *name);

#endif
