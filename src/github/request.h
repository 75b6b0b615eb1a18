/*
 * request.h - one request to the API, from its turn in the queue to an answer or a failure.
 *
 * It carries the token to the API's own scheme, host and port and nowhere else, waits for the
 * budget, follows a moved repository (301, 307, 308, for facts also 302: GitHub keeps the token
 * valid on that hop), has the token read again after a 401, obeys limits, and retries what may be
 * retried. A question that gets the same 5xx several times fails with SOURCE_REFUSED, and so it
 * does without a request while that is remembered (refusals.h); one of prefetch is not asked again
 * to find that out. It does not know what the question is about. Network thread only. Embedded; one
 * question at a time.
 */
#ifndef GHLOGFS_GITHUB_REQUEST_H
#define GHLOGFS_GITHUB_REQUEST_H

#include "github/core.h"
#include "github/retry.h"
#include "github/token.h"
#include "github/turn.h"
#include "net/net.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>

enum api_request_kind {
    REQUEST_FACTS,   /* answered by 200 with a body, or 304 */
    REQUEST_LOG_URL, /* answered by 302 with a Location */
};

enum api_request_state {
    REQUEST_IDLE,
    REQUEST_WAITS,
    REQUEST_SENT,
    REQUEST_RESTS,
    REQUEST_WANTS_TOKEN
};

/* Said behind a status that was given several times. */
#define REFUSED_HINT " (the same answer each time: not asked again for a minute or more)"

struct api_request;

/* For the callback's time only; headers by net_header(&req->request). */
struct api_answer {
    const struct source_failure *failure; /* NULL: the answer that the kind promises */
    int status;
    const char *body; /* REQUEST_FACTS: with a NUL behind it that does not count */
    size_t len;
    const char *location;     /* REQUEST_LOG_URL */
    struct source_body *held; /* of the body: whoever keeps it moves this away */
};

struct api_request {
    struct core *core;
    enum api_request_kind kind;
    enum api_request_state state;
    /* Exactly once for each api_request_begin, maybe from within it. The call may be begun again, or
     * finished and freed. */
    void (*done)(struct api_request *req, const struct api_answer *answer);

    struct in_flight in_flight;
    struct turn turn;
    struct net_request request;
    struct net_timer timer;
    struct token_waiter waiter;
    struct retry retry;
    struct token_line *token;
    char *url, *etag;
    const char *headers[5];
    struct source_body body;
    size_t len, cap;
    unsigned tries, waits;           /* as in source.h; to be set before api_request_begin */
    int status;                      /* of the last answer, 0: none came */
    uint64_t key;                    /* of the question (refusals.h); stays when it is over */
    unsigned moves, limits, retries; /* retries: of refusals, as counted by refusals.h */
    bool has_new_token, is_cancelled;
    bool
        is_single; /* set before api_request_begin: a refusal ends it at once, and is not remembered */
};

void api_request_init(struct api_request *req, struct core *core, enum api_request_kind kind,
                      enum source_class class,
                      void (*done)(struct api_request *req, const struct api_answer *answer));

/* Takes the URL. etag: of what is known, "" or NULL for nothing. */
void api_request_begin(struct api_request *req, char *url, const char *etag);

void api_request_promote(struct api_request *req);

/* Ends it without `done`; harmless when idle. */
void api_request_cancel(struct api_request *req);

/* Frees what it holds; idle only. */
void api_request_finish(struct api_request *req);

#endif
