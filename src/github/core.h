/*
 * core.h - what all questions of one api share: whom it asks, with which token, how much of it, and
 * what is said to the user. Network thread only, but for the counters.
 */
#ifndef GHLOGFS_GITHUB_CORE_H
#define GHLOGFS_GITHUB_CORE_H

#include "diag.h"
#include "github/body.h"
#include "github/failure.h"
#include "github/queue.h"
#include "github/refusals.h"
#include "github/token.h"
#include "net/net.h"
#include "net/url.h"
#include "source.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CORE_COMPLETED_MAX 1024
#define CORE_USERS_MAX 256

/* Whatever is under way, so that all of it can be ended at once. */
struct core_errand {
    struct list link;
    void (*abort)(struct core_errand *e); /* ends it with SOURCE_CLOSING; it is in no list then */
};

struct core {
    struct net *net;
    struct diag *diag;
    struct source_listener listener;
    char *base;
    struct net_url base_at;
    int64_t deadline_ms;
    bool offline, closing;
    bool peer_private; /* the API answered from a loopback or private address */

    struct list errands; /* core_errand */
    pthread_mutex_t logs_lock;
    struct list logs; /* logs_lock; every source_log there is */
    struct token token;
    struct queue queue;
    struct hosts hosts;
    struct body_pool bodies;
    struct refusals refusals;
    uint64_t chance; /* state of the jitter */
    uint64_t
        completed[CORE_COMPLETED_MAX]; /* jobs seen completed, by id; others may overwrite them */

    uint64_t users[CORE_USERS_MAX]; /* hashes of owners that are no organizations */

    /* Written on the network thread, read anywhere. */
    atomic_uint_fast64_t requests, not_modified, storage_requests;
    atomic_int_fast64_t limit, remaining, reset_s;
};

uint32_t core_draw_chance(struct core *core);

void core_note_completed(struct core *core, uint64_t job);
bool core_is_completed(const struct core *core, uint64_t job);

/* Of owners, in any case of letters: that one is a user saves a question each time. */
void core_note_user(struct core *core, const char *owner);
bool core_is_user(const struct core *core, const char *owner);

/* R7: may a redirect lead to a loopback or private address? */
bool core_allows_local(const struct core *core);
bool core_allows_http(const struct core *core);

/* Ends everything that is under way, and lets nothing new begin. */
void core_close(struct core *core);

/* The failure of everything that is asked now, if there is one: offline, closing. */
bool core_refuses(const struct core *core, struct source_failure *ret_failure);

/* "storage HOST: WHAT" and "API HOST: WHAT", once a minute. */
void core_say(struct core *core, const char *hop, const struct net_url *at, const char *what);

/* The same, that the quota is used up until then. */
void core_say_limited(struct core *core, int64_t until_ms);

#endif
