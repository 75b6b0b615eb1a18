/*
 * progress.h - how far something under way has come: its bytes, how fast they come, and what it
 * waits for. Pure: time is an argument (monotonic milliseconds).
 */
#ifndef GHLOGFS_PROGRESS_H
#define GHLOGFS_PROGRESS_H

#include <stdatomic.h>
#include <stdint.h>

#define PROGRESS_UNKNOWN UINT64_MAX /* of a number of bytes */

enum progress_cause {
    PROGRESS_FLOWS,      /* it waits for nothing but the next bytes */
    PROGRESS_DEMAND,     /* it waits in the queue of API requests: the queue knows what for */
    PROGRESS_PREFETCH,   /* the same, behind those that readers wait for */
    PROGRESS_CONNECTION, /* a free connection */
    PROGRESS_PACE,       /* too many requests in the last minute; until a time */
    PROGRESS_QUOTA,      /* the hour's quota is used up; until a time */
    PROGRESS_LIMIT,      /* GitHub asked for a pause; until a time */
    PROGRESS_RETRY,      /* the next attempt; at a time */
    PROGRESS_GITHUB,     /* the API's answer */
    PROGRESS_STORAGE,    /* the answer of the storage behind it */
    PROGRESS_TOKEN,      /* another token, after the last one was refused */
    PROGRESS_SHARED,     /* the shared store */
    PROGRESS_DISK,       /* space on the disk, or its writes */
    PROGRESS_TURN,       /* others, for which a thread works first */
    PROGRESS_LOGS,       /* the logs that it is made of */
    PROGRESS_CAUSES,
};

/* What something waits for: noted by who works on it, read by any thread. The last note counts.
 * Zeroed: PROGRESS_FLOWS. One word, so that cause and time belong together. */
struct progress_wait {
    atomic_uint_fast64_t word;
};

#define PROGRESS_CAUSE_BITS 4

_Static_assert(PROGRESS_CAUSES <= 1 << PROGRESS_CAUSE_BITS, "a cause fits into the word");

/* NULL: noted nowhere. until_ms 0: there is no such time. */
static inline void progress_wait_note(struct progress_wait *w, enum progress_cause cause,
                                      int64_t until_ms)
{
    uint64_t word = (uint64_t)until_ms << PROGRESS_CAUSE_BITS | cause;

    if (w)
        atomic_store_explicit(&w->word, word, memory_order_relaxed);
}

static inline enum progress_cause progress_wait_get(const struct progress_wait *w,
                                                    int64_t *ret_until_ms)
{
    uint64_t word = atomic_load_explicit(&w->word, memory_order_relaxed);

    *ret_until_ms = (int64_t)(word >> PROGRESS_CAUSE_BITS);
    return (enum progress_cause)(word & ((1 << PROGRESS_CAUSE_BITS) - 1));
}

/* How fast bytes come: counted from a point that is one to two times PROGRESS_RATE_MS old, or, if
 * less has passed since the beginning or nothing has come since, that is as old as this. */
#define PROGRESS_RATE_MS 2000

struct progress_rate {
    struct progress_point {
        int64_t at_ms;
        uint64_t bytes;
    } old, young;
};

static inline void progress_rate_begin(struct progress_rate *r, uint64_t bytes, int64_t now_ms)
{
    r->old = r->young = (struct progress_point){now_ms, bytes};
}

/* bytes: all that have come so far. */
static inline void progress_rate_note(struct progress_rate *r, uint64_t bytes, int64_t now_ms)
{
    if (now_ms - r->young.at_ms < PROGRESS_RATE_MS)
        return;
    r->old = r->young;
    r->young = (struct progress_point){now_ms, bytes};
}

/* Bytes a second. */
static inline uint64_t progress_rate_get(const struct progress_rate *r, uint64_t bytes,
                                         int64_t now_ms)
{
    int64_t ms = now_ms - r->old.at_ms;

    return ms > 0 && bytes > r->old.bytes ? (bytes - r->old.bytes) * 1000 / (uint64_t)ms : 0;
}

/* A snapshot of it. */
struct progress {
    int64_t begun_ms;
    uint64_t bytes, size, rate; /* PROGRESS_UNKNOWN: not counted, or not known */
    enum progress_cause cause;
    int64_t until_ms;
};

#endif
