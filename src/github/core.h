/*
 * core.h - what all requests of one api share: whom they ask, with which token, how much of it, and
 * what is logged; and the part that requests to the API and to storage have in common: attempts.
 * Network thread only, but for the counters.
 */
#ifndef GHLOGFS_GITHUB_CORE_H
#define GHLOGFS_GITHUB_CORE_H

#include "diag.h"
#include "github/failure.h"
#include "github/queue.h"
#include "github/refusals.h"
#include "github/token.h"
#include "net/net.h"
#include "net/url.h"
#include "source.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CORE_COMPLETED_MAX 1024
#define CORE_USERS_MAX 256
#define CORE_CAUSE_MAX 128 /* bytes of why a try failed */

/* Logged behind a status that was given several times. */
#define REFUSED_HINT " (the same answer each time: not requested again for a minute or more)"

struct core {
    struct net *net;
    struct diag *diag;
    struct source_listener listener;
    char *base;
    struct net_url base_at;
    int64_t deadline_ms;
    bool offline, closing;
    bool peer_private; /* the API answered from a loopback or private address */

    struct list in_flight; /* attempt; all of them, so that they can be ended at once */
    struct token token;
    struct queue queue;
    struct hosts hosts;
    struct refusals refusals;
    uint64_t chance; /* state of the jitter */
    uint64_t completed
        [CORE_COMPLETED_MAX]; /* ids of jobs seen completed; a new one may overwrite an old one */
    uint64_t users[CORE_USERS_MAX]; /* hashes of owners that are no organizations, likewise */

    /* The bodies of answers, between the network and their reader (request.h). Any thread. */
    atomic_size_t body_bytes;
    atomic_bool has_body_beyond; /* one body may exceed the bound */
    atomic_bool is_body_paused;  /* a transfer waits for space */

    /* Written on the network thread, read anywhere. */
    atomic_uint_fast64_t requests, storage_requests;
    atomic_uint_fast64_t outcomes[OUTCOMES];
    atomic_int_fast64_t limit, remaining, reset_s;
};

void core_note_completed(struct core *core, uint64_t job);
bool core_is_completed(const struct core *core, uint64_t job);

/* Of owners, case-insensitively: that one is a user saves a request each time. */
void core_note_user(struct core *core, const char *owner);
bool core_is_user(const struct core *core, const char *owner);

/* Ends everything that is under way, and lets nothing new begin. */
void core_close(struct core *core);

/* The failure of everything that is asked now, if there is one: offline, closing. */
bool core_refuses(const struct core *core, struct source_failure *ret_failure);

/* Logs "storage HOST: WHAT" or "API HOST: WHAT", once a minute. */
void core_log(struct core *core, enum diag_level level, enum failure_hop hop,
              const struct net_url *at, const char *what);

/* The same for an error of net; `cause` is an attempt's. Says what to do about it, too. */
void core_log_error(struct core *core, enum failure_hop hop, const struct net_url *at,
                    const char *cause, int err);

/* The level of a failure: a refused token is for somebody to replace, and that GitHub has no answer
 * to one question, as for old logs, happens every day. */
enum diag_level core_get_level(const struct failure_event *event,
                               const struct source_failure *failure);

/*
 * What is asked of one hop, in as many attempts as it takes. Embedded in what knows the meaning of
 * the answers (request.h, log_transfer.c).
 */
struct attempt {
    struct core *core;
    struct list link;           /* in core's in_flight, from attempt_begin to attempt_end */
    const struct net_url *at;   /* whom the last attempt asked */
    struct net_request request; /* headers of the answer: net_header(&request) */
    int status;                 /* of the last answer; 0: none came */
    char cause[CORE_CAUSE_MAX]; /* of the last failure, where net knows more than its errno */
    bool is_sent, is_cancelled;
    struct retry retry;
    struct net_timer timer;          /* its `fire` makes the next attempt */
    struct progress_wait *waits_for; /* where it is noted what it waits for; NULL: nowhere */

    /* The attempt has ended; err as in net's on_done. is_cancelled: its owner wants no result. */
    void (*answered)(struct attempt *a, int err);
    /* Called by core_close while it is not sent: it must end with this failure. */
    void (*fail)(struct attempt *a, const struct source_failure *failure);
};

/* core and the functions are set. */
void attempt_begin(struct attempt *a);
static inline bool attempt_is_active(const struct attempt *a)
{
    return list_is_linked(&a->link);
}

/* Sends it to `at`, which must remain until `answered`. on_done is set here; a connection was
 * taken (queue.h), and is given back before `answered`. */
void attempt_send(struct attempt *a, const struct net_url *at, const struct net_request *request);

/* Called in on_head, and whenever more of the answer comes. */
void attempt_note_answer(struct attempt *a, int status);

/*
 * The server has refused with this answer (refusals.h). No retry is worth it if the answer will not
 * change, or if nobody waits: then the verdict is final. may_expect: others' refusals count, too.
 */
void attempt_judge_refusal(struct attempt *a, uint64_t key, uint64_t answer, bool may_expect,
                           enum source_class class, struct failure_verdict *verdict);

/* Sets the timer for the next attempt. False: there is none, and attempt_give_up was called. */
bool attempt_retry(struct attempt *a, const struct failure_verdict *verdict);

/* No more attempts: a host that could not be reached is noted, so that others need not try it. */
void attempt_give_up(struct attempt *a, const struct failure_verdict *verdict);

/* Cancels the timer. It is not sent. */
void attempt_end(struct attempt *a);

/* The same for one that may be sent: then `answered` is called from within. */
void attempt_cancel(struct attempt *a);

#endif
