/*
 * call.h - one question to the API, from the request queue to an answer or a failure.
 *
 * It carries the token to the API's own scheme, host and port and nowhere else, waits for the
 * budget, follows a moved repository (301, 307, 308, for facts also 302: GitHub keeps the token
 * valid on that hop), has the token read again after a 401, obeys limits, and retries what may be
 * retried. A question that gets the same 5xx several times fails with SOURCE_REFUSED, and so it
 * does without a request while that is remembered (refusals.h); one of prefetch is not asked again
 * to find that out. It does not know what the question is about. Network thread only. Embedded; one
 * question at a time.
 */
#ifndef GHLOGFS_GITHUB_CALL_H
#define GHLOGFS_GITHUB_CALL_H

#include "github/core.h"
#include "github/failure.h"
#include "github/queue.h"
#include "github/token.h"
#include "net/net.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>

enum call_kind {
    CALL_FACTS, /* answered by 200 with a body, or 304 */
    CALL_LOG,   /* answered by 302 with a Location */
};

enum call_state { CALL_IDLE, CALL_WAITS, CALL_SENT, CALL_RESTS, CALL_WANTS_TOKEN };

/* Said behind a status that was given several times. */
#define CALL_REFUSED_HINT " (the same answer each time: not asked again for a minute or more)"

struct call;

/* For the callback's time only; headers by net_header(&call->request). */
struct call_answer {
    const struct source_failure *failure; /* NULL: the answer that the kind promises */
    int status;
    const char *body; /* CALL_FACTS: with a NUL behind it that does not count */
    size_t len;
    const char *location;     /* CALL_LOG */
    struct source_body *held; /* of the body: whoever keeps it moves this away */
};

struct call {
    struct core *core;
    enum call_kind kind;
    enum call_state state;
    /* Exactly once for each call_begin, maybe from within it. The call may be begun again, or
     * finished and freed. */
    void (*done)(struct call *c, const struct call_answer *answer);

    struct core_errand errand;
    struct queued_request queued;
    struct net_request request;
    struct net_timer timer;
    struct token_waiter waiter;
    struct retry retry;
    struct token_line *token;
    char *url, *etag;
    const char *headers[5];
    struct source_body body;
    size_t len, cap;
    unsigned tries, waits;           /* as in source.h; to be set before call_begin */
    int status;                      /* of the last answer, 0: none came */
    uint64_t key;                    /* of the question (refusals.h); stays when it is over */
    unsigned moves, limits, retries; /* retries: of refusals, as counted by refusals.h */
    bool has_new_token, is_cancelled;
    bool is_single; /* set before call_begin: a refusal ends it at once, and is not remembered */
};

void call_init(struct call *c, struct core *core, enum call_kind kind, enum source_class class,
               void (*done)(struct call *c, const struct call_answer *answer));

/* Takes the URL. etag: of what is known, "" or NULL for nothing. */
void call_begin(struct call *c, char *url, const char *etag);

void call_promote(struct call *c);

/* Ends it without `done`; harmless when idle. */
void call_cancel(struct call *c);

/* Frees what it holds; idle only. */
void call_finish(struct call *c);

#endif
