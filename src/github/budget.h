/*
 * budget.h - whether an API request may be sent now, and if not, when (R5).
 *
 * Pure: no lock, no I/O; `now` is an argument (monotonic milliseconds, above 0 and never going
 * back). The network thread owns it. It knows three bounds and obeys the strictest:
 *   quota    what X-RateLimit-* reported as left, less what is in flight; full after its reset;
 *   limited  Retry-After and secondary limits: no request until they end;
 *   pacing   at most BUDGET_PER_MINUTE requests in any 60 s, in bursts as they come.
 * Prefetch has at most half of the pacing and leaves `reserve` requests of the quota untouched, so
 * it cannot starve demand. net bounds how many requests run at once; storage requests are free. A
 * server that reports no quota (GHES) has none.
 *
 * Each request that was counted is settled exactly once, by budget_learn, budget_lost or
 * budget_unsent.
 */
#ifndef GHLOGFS_GITHUB_BUDGET_H
#define GHLOGFS_GITHUB_BUDGET_H

#include "source.h"

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_PER_MINUTE 900

/* Why a request may not go. */
enum budget_reason {
    BUDGET_OPEN,    /* it may */
    BUDGET_PACING,  /* too many in the last minute */
    BUDGET_QUOTA,   /* the hour's quota is used up (prefetch: down to the reserve) */
    BUDGET_LIMITED, /* Retry-After or a secondary limit */
};

/* What a 403 or 429 was. */
enum budget_verdict {
    BUDGET_NO_LIMIT,  /* an ordinary answer, or a plain "forbidden" */
    BUDGET_PRIMARY,   /* refused for the quota */
    BUDGET_SECONDARY, /* refused for too many at once or too fast */
};

/* What an answer of the API reports; -1 for an absent header (parse_count). */
struct budget_answer {
    int status;
    int64_t limit, remaining; /* X-RateLimit-Limit, -Remaining */
    int64_t reset_s;          /* X-RateLimit-Reset, UTC seconds */
    int64_t retry_after_s;    /* Retry-After as seconds from now (parse_retry_after) */
    int64_t date_s;           /* Date, UTC seconds: independent of the skew of our clock */
    const char *message;      /* of the body of a 403 or 429; else NULL */
};

/* When the last requests were sent, as a ring: the next may go when its oldest entry is a minute
 * old. */
struct budget_pace {
    int64_t went_ms[BUDGET_PER_MINUTE];
    uint32_t size, next, count;
};

/* Embedded; all fields are the budget's own. */
struct budget {
    uint32_t reserve;
    struct budget_pace all, prefetch;
    int64_t limit, remaining; /* -1: the server has reported none */
    int64_t reset_ms;         /* when `remaining` is `limit` again; 0: it is */
    int64_t reset_s;          /* the same as the server reported it, UTC: which window this is */
    int64_t limited_until_ms; /* 0: not */
    int64_t penalty_ms;       /* the last wait of our own choice; 0: none since the last success */
    uint32_t in_flight;       /* counted, not settled */
};

/* reserve: requests that prefetch leaves untouched. */
void budget_init(struct budget *b, uint32_t reserve);

/* 0: go; it is counted, and to be settled. Else the time (> now_ms) at which to ask again; an
 * answer that comes in may make it sooner. */
int64_t budget_ask(struct budget *b, enum source_class class, int64_t now_ms);

/* What budget_ask would answer, without counting. */
enum budget_reason budget_why(struct budget *b, enum source_class class, int64_t now_ms);

/* To be called for each answer of the API, 302, 304 and errors too; for 403 and 429 once the body
 * is received. */
enum budget_verdict budget_learn(struct budget *b, const struct budget_answer *answer,
                                 int64_t now_ms, int64_t now_wall_s);

/* A counted request has ended without an answer. */
void budget_lost(struct budget *b);
/* The last counted request was not sent after all: it does not count for the minute. */
void budget_unsent(struct budget *b, enum source_class class);

/* What is left of the quota, less what is in flight; -1: no quota is known. For stats. */
int64_t budget_remaining(struct budget *b, int64_t now_ms);

#endif
