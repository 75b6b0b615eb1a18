/*
 * internal.h - what the files of this module share. loop.c has the thread, the inbox and the timers
 * and calls exchange.c: requests, name lookups, and which transfer runs when. exchange.c calls
 * transfer.c: one curl easy handle. Network thread only, but for the inbox.
 */
#ifndef GHLOGFS_NET_INTERNAL_H
#define GHLOGFS_NET_INTERNAL_H

#include "list.h"
#include "net/net.h"
#include "net/url.h"

#include <curl/curl.h>
#include <pthread.h>

/* -- DNS single flight (exchange.c) ------------------------------------------------------------ */

/*
 * curl looks names up in a thread for each transfer. So of all transfers to one host and port only
 * the first, the leader, is started. The others wait until it has opened a socket: from then on
 * they find the name in curl's cache. This part knows neither curl nor requests: it holds links.
 */

/* How long a lookup counts. curl keeps it longer, so that only a leader looks up again. */
#define NET_DNS_FRESH_MS (240 * 1000)
#define NET_DNS_CURL_S 300L

struct net_dns_name;

struct net_dns {
    struct list names; /* the last used first */
    unsigned count;
};

enum net_dns_answer {
    NET_DNS_OPEN, /* go */
    NET_DNS_LEAD, /* start, and settle the name exactly once */
    NET_DNS_WAIT, /* the link waits here */
};

void net_dns_init(struct net_dns *dns);
/* No request may lead or wait any more. */
void net_dns_finish(struct net_dns *dns);

/* `name` is "host:port". Without memory the answer is NET_DNS_OPEN. */
enum net_dns_answer net_dns_enter(struct net_dns *dns, const char *name, struct list *link,
                                  int64_t now_ms, struct net_dns_name **ret_led);

/*
 * The leader's part is over: all that waited are moved to `waited`, in their order. fresh_until_ms
 * 0: no lookup was made, or it failed, so the next one leads.
 */
void net_dns_settle(struct net_dns_name *led, int64_t fresh_until_ms, struct list *waited);

/* The addresses do not answer: the name is looked up again. */
void net_dns_forget(struct net_dns *dns, const char *name);

/* -- One exchange (transfer.c) ----------------------------------------------------------------- */

/*
 * An easy handle, its callbacks, and its result. From one exchange to the next the handle keeps
 * only what is the same in all, and what curl itself keeps (TLS sessions).
 */

struct net_transfer {
    struct list link; /* running, doomed or idle */
    struct net *net;
    struct net_request *request; /* NULL once it has been answered */
    struct net_dns_name *leads;  /* the name that it looks up for others; NULL: none */
    CURL *easy;
    struct curl_slist *headers, *resolve; /* in use by curl until the transfer is cleared */
    int64_t promised;                     /* the length of the body; -1: unknown */
    uint64_t received;
    uint64_t uploaded; /* of the request's own body */
    size_t header_bytes;
    unsigned sent;    /* how often curl has sent the request */
    int verdict;      /* the error with which a callback of ours ended it; 0: none did */
    int socket;       /* the last one that was opened for it, until it is closed; -1: none */
    bool has_heard;   /* bytes came over a socket of its own that is closed */
    bool has_headers; /* on_head was called */
    bool is_paused, is_proxied;
    bool is_worth_telling;       /* `error` says what the errno cannot */
    bool is_told;                /* net_failure_text was called */
    char error[CURL_ERROR_SIZE]; /* curl's text, without what may be secret once it has ended */
};

/* NULL: no memory. */
struct net_transfer *net_transfer_create(const struct net_config *config);
void net_transfer_destroy(struct net_transfer *t);

/* Sets the handle up for the request; t->leads is set already. -ENOMEM, -EPROTO: a header with
 * newlines. */
int net_transfer_prepare(struct net_transfer *t, const struct net_config *config,
                         const struct net_route *route, struct net_request *r);

/* The request's error, 0 for success, now that curl reports its end. */
int net_transfer_result(const struct net_transfer *t, CURLcode code);

/* The status with which a proxy refused to open a tunnel; 0: none did. */
long net_transfer_refused_tunnel(const struct net_transfer *t);

/* Forgets the exchange; the handle can be prepared again. Not while it is in the multi handle. */
void net_transfer_clear(struct net_transfer *t);

/* -- The module's one object (loop.c, exchange.c) ---------------------------------------------- */

struct net {
    struct net_config config;
    pthread_t thread;
    bool is_joined; /* of the thread that calls net_stop */

    pthread_mutex_t lock;
    struct list inbox;                      /* lock; net_task */
    bool is_resumed, is_closing, is_closed; /* lock */

    /* The network thread's own. */
    CURLM *multi;
    struct list express, ordinary; /* net_request: waiting for a transfer */
    struct list running;           /* net_transfer */
    struct list doomed;            /* net_transfer: answered, still to be taken from curl */
    struct list idle;              /* net_transfer */
    unsigned in_multi, idle_count;
    struct list timers; /* net_timer, the next first */
    struct net_dns dns;
    bool is_inside; /* within a callback of curl's, where its multi handle may not be touched */
};

void net_exchange_init(struct net *net);
void net_exchange_finish(struct net *net);

/* Starts what may start, lets curl work, answers what has ended. */
void net_exchange_step(struct net *net);

/* Whether another step would start something. */
bool net_exchange_can_start(const struct net *net);

/* Offers paused bodies again. */
void net_exchange_resume(struct net *net);

void net_exchange_cancel_all(struct net *net, int err);

/* Whether nothing is queued or under way. */
bool net_exchange_is_idle(const struct net *net);

#endif
