/*
 * transfer.h - one exchange: an easy handle, its callbacks, and what became of it.
 *
 * It does not know when it runs or what runs beside it: that is exchange.c's. The handle keeps nothing
 * from one exchange to the next but what is the same in all, and what curl itself keeps (TLS sessions).
 * Network thread only.
 */
#ifndef GHLOGFS_NET_TRANSFER_H
#define GHLOGFS_NET_TRANSFER_H

#include "net/gate.h"
#include "net/net.h"
#include "net/route.h"

#include <curl/curl.h>

struct net_transfer {
    struct list link;            /* exchange.c: running, doomed or idle */
    struct net_request *request; /* NULL once it has been answered */
    struct net_gate *gate;
    struct net_gate_host *leads; /* whose name it looks up, for all who wait at the gate */
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

#endif
