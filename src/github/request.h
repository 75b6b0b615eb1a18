/*
 * request.h - one request to the API, from the request queue to an answer or a failure.
 *
 * It carries the token to the API's own scheme, host and port and nowhere else, waits for the
 * budget, follows a moved repository (301, 307, 308, for facts also 302: GitHub keeps the token
 * valid on that hop), has the token read again after a 401, obeys limits, and retries what may be
 * retried. A request that gets the same 5xx several times fails with SOURCE_REFUSED, and does so
 * without being sent while that is remembered (refusals.h); one of prefetch is not retried to find
 * that out. It does not know what the request is about. Network thread only. Embedded; used again
 * and again.
 *
 * Bodies of answers are bounded over the whole mount, from the network to their reader. A body
 * reserves before it grows. Where there is no space its transfer pauses, and goes on when another
 * body was released. One body at a time may exceed the bound, so of many that are half complete
 * there is always one that comes to its end.
 */
#ifndef GHLOGFS_GITHUB_REQUEST_H
#define GHLOGFS_GITHUB_REQUEST_H

#include "github/core.h"
#include "github/queue.h"
#include "github/token.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>

#define BODY_BYTES_MAX (32u << 20) /* and one answer of PARSE_BODY_MAX */

enum api_request_kind {
    REQUEST_FACTS,   /* answered by 200 with a body, or 304 */
    REQUEST_LOG_URL, /* answered by 302 with a Location */
};

struct api_request;

/* For the callback's time only; headers by net_header(&req->attempt.request). */
struct api_answer {
    const struct source_failure *failure; /* NULL: the answer that the kind promises */
    int status;
    const char *body; /* REQUEST_FACTS: with a NUL behind it that does not count */
    size_t len;
    const char *location;     /* REQUEST_LOG_URL */
    struct source_body *held; /* the body's memory: to keep it call api_answer_take_body */
};

struct api_request {
    enum api_request_kind kind;
    /* Exactly once for each api_request_begin, maybe from within it. The request may be begun
     * again, or finished and freed. */
    void (*done)(struct api_request *req, const struct api_answer *answer);

    struct attempt attempt;
    struct queued_request queued;
    struct token_waiter waiter;
    struct token_line *token;
    char *url, *etag;
    const char *headers[5];
    struct source_body body;
    size_t len, cap;
    uint64_t key;                    /* of the question (refusals.h); stays when it is over */
    unsigned moves, limits, retries; /* retries: of refusals, as counted by refusals.h */
    bool has_new_token;

    /* To be set before api_request_begin. */
    unsigned tries, waits; /* as in source.h */
    bool is_single;        /* a refusal ends it at once, and is not remembered */
};

void api_request_init(struct api_request *req, struct core *core, enum api_request_kind kind,
                      enum source_class class,
                      void (*done)(struct api_request *req, const struct api_answer *answer));

/* Takes the URL. etag: of what is known, "" or NULL for nothing. */
void api_request_begin(struct api_request *req, char *url, const char *etag);

static inline bool api_request_is_active(const struct api_request *req)
{
    return attempt_is_active(&req->attempt);
}

void api_request_promote(struct api_request *req);

/* Ends it without `done`, if it is active, and frees what it holds. */
void api_request_finish(struct api_request *req);

/* In `done`: the answer's body is the caller's, as long as it is not released. */
void api_answer_take_body(struct core *core, const struct api_answer *answer,
                          struct source_body *ret_body);

/* Frees a body and gives back what it reserved. Any thread. */
void api_body_release(struct core *core, struct source_body *body);

#endif
