/*
 * budget.h - may this API request go now, and if not, when (R5).
 *
 * A mechanism without clock, lock or I/O: `now` is an argument (monotonic milliseconds, above 0 and
 * never going back). The network thread owns it. It knows three bounds and obeys the strictest:
 *   quota    what X-RateLimit-* said is left, less what is in flight; full again after its reset;
 *   limited  Retry-After and secondary limits: nothing goes until they end;
 *   pacing   at most `per_minute` requests in any 60 s, in bursts as they come.
 * Prefetch has at most half of the pacing and leaves `reserve` requests of the quota untouched, so
 * it cannot starve demand. How many requests run at once is the business of net; storage requests
 * are not asked for here. A server that names no quota (GHES) has none.
 *
 * Each request that was let go is settled exactly once, by budget_learn or budget_lost.
 */
#ifndef GHLOGFS_GITHUB_BUDGET_H
#define GHLOGFS_GITHUB_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_PER_MINUTE_MAX 900

enum budget_class { BUDGET_DEMAND, BUDGET_PREFETCH };

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

struct budget_config {
    uint32_t reserve;    /* requests that prefetch leaves untouched */
    uint32_t per_minute; /* 2..BUDGET_PER_MINUTE_MAX; 0 means BUDGET_PER_MINUTE_MAX */
};

/* What an answer of the API says; -1 for a header that did not come (parse_count). */
struct budget_answer {
    int status;
    int64_t limit, remaining; /* X-RateLimit-Limit, -Remaining */
    int64_t reset_s;          /* X-RateLimit-Reset, UTC seconds */
    int64_t retry_after_s;    /* Retry-After as seconds from now (parse_retry_after) */
    int64_t date_s;           /* Date, UTC seconds: spares us the skew of our own clock */
    const char *message;      /* of the body of a 403 or 429; else NULL */
};

/* When the last requests went, as a ring: the next may go when its oldest entry is a minute old. */
struct budget_pace {
    int64_t went_ms[BUDGET_PER_MINUTE_MAX];
    uint32_t size, next, count;
};

/* Embedded; all fields are the budget's own. */
struct budget {
    uint32_t reserve;
    struct budget_pace all, prefetch;
    int64_t limit, remaining; /* -1: the server has named none */
    int64_t reset_ms;         /* when `remaining` is `limit` again; 0: it is */
    int64_t reset_s;          /* the same as the server said it, UTC: which window this is */
    int64_t limited_until_ms; /* 0: not */
    int64_t penalty_ms;       /* the last wait of our own choice; 0: none since all went well */
    uint32_t in_flight;       /* went, not settled */
};

void budget_init(struct budget *b, const struct budget_config *config);

/* 0: go; it is counted, and owed a budget_learn or budget_lost. Else the time (> now_ms) at
 * which to ask again; an answer coming in may make it sooner. */
int64_t budget_ask(struct budget *b, enum budget_class class, int64_t now_ms);

/* What budget_ask would say, without counting. */
enum budget_reason budget_why(struct budget *b, enum budget_class class, int64_t now_ms);

/* To be told of every answer of the API, 302, 304 and errors too; for 403 and 429 once the body
 * is here. */
enum budget_verdict budget_learn(struct budget *b, const struct budget_answer *answer,
                                 int64_t now_ms, int64_t now_wall_s);

/* A request that was let go has ended without an answer. */
void budget_lost(struct budget *b);
/* The last one that was let go was not sent after all, and does not count for the minute. */
void budget_unsent(struct budget *b, enum budget_class class);

/* What is left of the quota, less what is in flight; -1: no quota is known. For stats. */
int64_t budget_remaining(struct budget *b, int64_t now_ms);

#endif
