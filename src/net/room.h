/*
 * room.h - the room's one object, for the files of this room only: room.c (thread, inbox, timers) and
 * exchange.c (requests and their transfers).
 */
#ifndef GHLOGFS_NET_ROOM_H
#define GHLOGFS_NET_ROOM_H

#include "net/gate.h"
#include "net/net.h"

#include <curl/curl.h>
#include <pthread.h>

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
    struct net_gate gate;
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
