/*
 * failure.h - what a failed request means: its errno, whether to retry it and when, and which hosts
 * could not be reached a moment ago. Pure: time and jitter are arguments.
 */
#ifndef GHLOGFS_GITHUB_FAILURE_H
#define GHLOGFS_GITHUB_FAILURE_H

#include "net/url.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

/* --- HTTP becomes errno: nothing else gives a status, or an error of net, its meaning --------- */

enum failure_hop { FAILURE_API, FAILURE_STORAGE };

/* What came back instead of the expected answer. */
struct failure_event {
    enum failure_hop hop;
    int err; /* net's, or that of the caller that judged the answer; 0: the status decides */
    int status;
    bool limited; /* a 403 or 429 that was a rate limit */
};

enum retry_kind {
    RETRY_NOT,
    RETRY_LATER,   /* until the deadline passes without a byte of progress */
    RETRY_RENEWED, /* the same, but at once the first time: the URL was no good */
    RETRY_CONNECT, /* the host cannot be reached */
    RETRY_GARBAGE, /* a malformed answer */
};

struct failure_verdict {
    struct source_failure failure; /* if no retry helps */
    enum retry_kind retry;
    bool is_refusal; /* the server answered that it cannot or will not (refusals.h) */
};

void failure_judge(const struct failure_event *event, int64_t now_ms,
                   struct failure_verdict *ret_verdict);

/* How a request to the API has ended, in a word: for counting. */
enum outcome {
    OUTCOME_OK,           /* an answer, or a redirect */
    OUTCOME_NOT_MODIFIED, /* 304: free of charge */
    OUTCOME_LIMITED,      /* a rate limit */
    OUTCOME_REFUSED,      /* 401, 403, 404 and the like */
    OUTCOME_ERROR,        /* 5xx */
    OUTCOME_LOST,         /* no answer came */
    OUTCOMES
};

/* status 0: none came. One whose body was cut counts all the same: GitHub has charged it. */
enum outcome failure_get_outcome(int status, bool limited);

/* A failure that comes from no answer. */
struct source_failure failure_make(int err, enum source_reason reason, int64_t until_ms);

/* SOURCE_NEVER: 10 minutes while the job ended less than a day ago, else a day. completed_s: -1
 * unknown. */
struct source_failure failure_make_never(int64_t completed_s, int64_t now_ms, int64_t now_wall_s);

/* For messages: "connection refused". */
const char *failure_word(int err);

/* --- retries: exponential back-off with full jitter ------------------------------------------- */

#define RETRY_START_MS 200
#define RETRY_CAP_MS 10000
#define RETRY_CONNECT_TRIES 4 /* within about 2 s */
#define RETRY_GARBAGE_TRIES 4
#define RETRY_REFUSED_TRIES 4 /* equal refusals in a row: the next one will be equal, too */

struct retry {
    int64_t progress_ms; /* when the last byte was taken, or the start */
    unsigned failed, connects, garbage;
    uint64_t refusal;   /* the last refusal's fingerprint; 0: there was none */
    unsigned refusals;  /* how often it came in a row, times two */
    int64_t refused_ms; /* when it came first */
    int64_t pause_ms;   /* the longest wait after it; 0: as after any other failure */
};

void retry_init(struct retry *r, int64_t now_ms);

/* A byte was taken: all failures are forgotten. */
void retry_note_progress(struct retry *r, int64_t now_ms);

/*
 * The server has refused (refusals.h); call it before retry_next. True: RETRY_REFUSED_TRIES equal
 * refusals have come in a row. One that asks for patience (Retry-After) counts half.
 */
bool retry_note_refusal(struct retry *r, uint64_t refusal, bool asks_for_patience, int64_t now_ms);

/*
 * One more try has failed. Returns when to try again, -1: give up. after_ms: what the server asked
 * for (Retry-After), 0 for nothing. jitter: a random number.
 */
int64_t retry_next(struct retry *r, enum retry_kind kind, int64_t now_ms, int64_t deadline_ms,
                   int64_t after_ms, uint32_t jitter);

/* --- hosts that are down, so that a hundred requests do not each wait to find it out ---------- */

#define HOSTS_DOWN_MS 5000
#define HOSTS_PROBE_MS 1000
#define HOSTS_MAX 16 /* the least recently used is replaced */

struct hosts_entry {
    struct net_url at; /* the key is scheme, host and port; scheme "": the entry is free */
    int64_t heard_ms;  /* when something was received from it last; 0: never */
    int64_t until_ms;  /* it is down until then; 0: it is not */
    int64_t probe_ms;  /* when one request may check whether it is back */
    int err;
};

/* Zeroed before use. */
struct hosts {
    struct hosts_entry entries[HOSTS_MAX];
};

/*
 * 0: send the request. Else the errno that the host failed with, and until when it is down. One
 * request a second is let through to see the host come back, but not to one that timed out: that
 * would take the request as long as it took the first.
 */
int hosts_ask(struct hosts *h, const struct net_url *at, int64_t now_ms, int64_t *ret_until_ms);

/* Whether it is known to be down: a request that was let through gives up at its first failure. */
bool hosts_is_down(const struct hosts *h, const struct net_url *at, int64_t now_ms);

/*
 * A request that began at `since_ms` has given up. -ETIMEDOUT counts only if nothing was received
 * from the host meanwhile: one request without an answer tells nothing about all others.
 */
void hosts_note_failure(struct hosts *h, const struct net_url *at, int err, int64_t since_ms,
                        int64_t now_ms);

/* Whether something was received from it since then. */
bool hosts_was_heard(const struct hosts *h, const struct net_url *at, int64_t since_ms);

/* Something was received from it. */
void hosts_note_answer(struct hosts *h, const struct net_url *at, int64_t now_ms);

#endif
