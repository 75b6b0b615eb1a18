/*
 * internal.h - what the files of this module share: loop.c (thread, inbox, timers), exchange.c
 * (requests and their transfers), transfer.c (one easy handle) and url.c.
 */
#ifndef GHLOGFS_NET_INTERNAL_H
#define GHLOGFS_NET_INTERNAL_H

#include "list.h"
#include "net/net.h"
#include "net/url.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdint.h>

/*
 * dns.h - one lookup of a name before fanning out.
 *
 * curl looks names up in a thread for each transfer. So of all transfers to one host and port given
 * by name the first goes alone, the leader, and the others wait here until it has opened a socket:
 * from then on they find the name in curl's cache. The gate knows neither curl nor requests, it
 * holds links; what it lets go it puts into `released`, in their order. Network thread only.
 */

/* How long a lookup counts. curl keeps it longer, so nobody let through here looks up again. */
#define NET_DNS_FRESH_MS (240 * 1000)
#define NET_DNS_CURL_S 300L

struct net_dns_name;

struct net_dns {
    struct list hosts; /* the last used first */
    unsigned count;
    struct list released; /* links that waited and may try again */
};

enum net_dns_answer {
    NET_DNS_OPEN, /* go */
    NET_DNS_LEAD, /* go, and settle or fail the host exactly once */
    NET_DNS_WAIT, /* the link waits here */
};

void net_dns_init(struct net_dns *dns);
/* Nobody may lead or wait any more. */
void net_dns_finish(struct net_dns *dns);

/* `name` is "host:port". */
enum net_dns_answer net_dns_enter(struct net_dns *dns, const char *name, struct list *link,
                                    int64_t now_ms, struct net_dns_name **ret_led);

/* The leader needs no lookup any more. known_until_ms 0: it made none, so somebody else will. */
void net_dns_settle(struct net_dns *dns, struct net_dns_name *led, int64_t known_until_ms);

/* The lookup failed: all who waited for it go to `waited`. */
void net_dns_fail(struct net_dns_name *led, struct list *waited);

/* Nobody answers at the addresses found: they are looked up afresh. */
void net_dns_forget(struct net_dns *dns, const char *name);

/*
 * transfer.h - one exchange: an easy handle, its callbacks, and what became of it.
 *
 * It does not know when it runs or what runs beside it: that is exchange.c's. The handle keeps nothing
 * from one exchange to the next but what is the same in all, and what curl itself keeps (TLS sessions).
 * Network thread only.
 */

struct net_transfer {
    struct list link;            /* exchange.c: running, doomed or idle */
    struct net_request *request; /* NULL once it has been answered */
    struct net_dns *dns;
    struct net_dns_name *leads; /* whose name it looks up, for all who wait at the gate */
    CURL *easy;
    struct curl_slist *headers, *resolve; /* in use by curl until the transfer is cleared */
    int64_t promised;                     /* the body's length; -1: not told */
    uint64_t received;
    size_t header_bytes;
    unsigned asked; /* times that curl sent the request */
    int verdict;    /* why we ended it ourselves, 0: we did not */
    int socket;     /* the last that was opened for it, until it is closed; -1: none */
    bool was_heard; /* bytes came over a socket of its own that is closed */
    bool headed, paused, is_proxied;
    char error[CURL_ERROR_SIZE]; /* curl's words */
};

/* `config` is copied as far as it is needed. on_close(room, socket) closes a socket; it comes at any
 * time, also when the transfer is gone. NULL: no memory. */
struct net_transfer *net_transfer_create(const struct net_config *config,
                                         curl_closesocket_callback on_close, void *room);
void net_transfer_destroy(struct net_transfer *t);

/* Sets the handle up for the request; t->leads may be NULL. -ENOMEM, -EPROTO: a header with newlines. */
int net_transfer_prepare(struct net_transfer *t, const struct net_config *config,
                         const struct net_route *route, struct net_request *r);

/* The request's error, 0 for success, now that curl says it is over. */
int net_transfer_outcome(struct net_transfer *t, CURLcode result);

/* This socket is about to be closed: whether it is the transfer's own; what came over it is noted. */
bool net_transfer_note_close(struct net_transfer *t, int socket);

/* The status with which a proxy refused to open a tunnel; 0: none did. */
long net_transfer_refused_tunnel(const struct net_transfer *t);

/* Forgets the exchange; the handle can be prepared again. Not while curl has it. */
void net_transfer_clear(struct net_transfer *t);

struct net {
    struct net_config config;
    pthread_t thread;
    bool is_joined; /* whoever calls net_stop */

    pthread_mutex_t lock;
    struct list inbox;                      /* lock; net_task */
    bool is_resumed, is_closing, is_closed; /* lock */

    /* The network thread's own. */
    CURLM *multi;
    struct list express, ordinary; /* net_request: waiting for a slot */
    struct list running;           /* net_transfer */
    struct list doomed;            /* net_transfer: answered, still to be taken from curl */
    struct list idle;              /* net_transfer */
    unsigned in_multi, idle_count;
    struct list timers; /* net_timer, the next first */
    struct net_dns dns;
    bool is_inside; /* curl is calling us, so its multi handle may not be touched */
};

void net_exchange_init(struct net *net);
void net_exchange_finish(struct net *net);

/* Starts what may start, lets curl work, answers what has ended. */
void net_exchange_turn(struct net *net);

/* Whether another turn would start something. */
bool net_exchange_can_start(struct net *net);

/* Offers paused bodies again. */
void net_exchange_resume(struct net *net);

/* Cancels everything. */
void net_exchange_end_all(struct net *net, int err);

/* Whether nothing is queued or under way. */
bool net_exchange_is_idle(struct net *net);

#endif
