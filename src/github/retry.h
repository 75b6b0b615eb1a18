/*
 * retry.h - whether to try again, and when.
 *
 * Pure: time and chance are arguments. Exponential back-off with full jitter, so that those who
 * failed together do not come back together.
 */
#ifndef GHLOGFS_GITHUB_RETRY_H
#define GHLOGFS_GITHUB_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_START_MS 200
#define RETRY_CAP_MS 10000
#define RETRY_CONNECT_TRIES 4 /* within about 2 s */
#define RETRY_GARBAGE_TRIES 4
#define RETRY_REFUSED_TRIES 4 /* equal refusals in a row: no more is to be expected */

enum retry_kind {
    RETRY_NOT,
    RETRY_LATER,   /* until the deadline passes without a byte of progress */
    RETRY_RENEWED, /* the same, but at once the first time: it was the URL that was no good */
    RETRY_CONNECT, /* nobody is there */
    RETRY_GARBAGE, /* an answer that makes no sense */
};

struct retry {
    int64_t progress_ms; /* when the last byte was taken, or the start */
    unsigned failed, connects, garbage;
    uint64_t refusal;   /* the last refusal's fingerprint; 0: there was none */
    unsigned refusals;  /* how often it came in a row; twice that */
    int64_t refused_ms; /* when it came first */
    int64_t pause_ms;   /* at most how long to wait after it; 0: as after anything else */
};

void retry_init(struct retry *r, int64_t now_ms);

/* A byte was taken: all failures are forgotten. */
void retry_note_progress(struct retry *r, int64_t now_ms);

/*
 * The server has refused (refusals.h), to be told before retry_next. True: it has said the same
 * RETRY_REFUSED_TRIES times in a row, and will go on to. One that asks for patience (Retry-After)
 * counts half.
 */
bool retry_note_refusal(struct retry *r, uint64_t refusal, bool asks_for_patience, int64_t now_ms);

/*
 * One more try has failed. When to try again, or -1: give up. after_ms: what the server asked for
 * (Retry-After), 0 for nothing. chance: any number.
 */
int64_t retry_next(struct retry *r, enum retry_kind kind, int64_t now_ms, int64_t deadline_ms,
                   int64_t after_ms, uint32_t chance);

#endif
