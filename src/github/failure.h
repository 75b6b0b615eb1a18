/*
 * failure.h - HTTP becomes errno: the one place where a status or an error of net is given its
 * meaning. Pure.
 */
#ifndef GHLOGFS_GITHUB_FAILURE_H
#define GHLOGFS_GITHUB_FAILURE_H

#include "net/url.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

/* --- * retry.h - whether to try again, and when.
 *
 * Pure: time and chance are arguments. Exponential back-off with full jitter, so that those who
 * failed together do not come back together.
 */

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

enum failure_hop { FAILURE_API, FAILURE_STORAGE };

/* What came back instead of what was asked for. */
struct failure_event {
    enum failure_hop hop;
    int err; /* net's, or of what the answer was judged to be; 0: look at the status */
    int status;
    bool limited; /* a 403 or 429 that was a limit */
};

struct failure_verdict {
    struct source_failure failure; /* if no retry helps */
    enum retry_kind retry;
    bool is_refusal; /* the server answered, and said that it cannot or will not (refusals.h) */
};

void failure_judge(const struct failure_event *event, int64_t now_ms,
                   struct failure_verdict *ret_verdict);

/* Those that come from no answer. */
struct source_failure failure_make(int err, enum source_reason reason, int64_t until_ms);

/* SOURCE_NEVER: 10 minutes while the job ended less than a day ago, else a day. completed_s: -1
 * unknown. */
struct source_failure failure_make_never(int64_t completed_s, int64_t now_ms, int64_t now_wall_s);

/* A word for the user: "connection refused". */
const char *failure_word(int err);

/* --- * hosts.h - who could not be reached a moment ago, so that a hundred questions do not each
 * find it out. Pure; the network thread owns it. Keyed by scheme, host and port; bounded. */

#define HOSTS_DOWN_MS 5000
#define HOSTS_PROBE_MS 1000
#define HOSTS_MAX 16 /* hosts known; the one whose turn to be forgotten has come goes */

struct hosts_entry {
    struct net_url at; /* scheme "": the entry is free */
    int64_t heard_ms;  /* when something came from it last; 0: never */
    int64_t until_ms;  /* it is down until then; 0: it is not */
    int64_t probe_ms;  /* when one may look whether it is back */
    int err;
};

struct hosts {
    struct hosts_entry entries[HOSTS_MAX];
};

/* 0: ask it. Else the errno it failed with, and until when it is not worth asking. While a host
 * is down one asker a second is let through, to see it come back; not to one that timed out, for
 * that would take the asker as long as it took the first. */
int hosts_ask(struct hosts *h, const struct net_url *at, int64_t now_ms, int64_t *ret_until_ms);

/* Whether it is known to be down: who was let through gives up at the first failure. */
bool hosts_is_down(const struct hosts *h, const struct net_url *at, int64_t now_ms);

/*
 * Somebody who has tried since `since_ms` has given up. -ETIMEDOUT counts only if nobody else heard
 * from the host meanwhile: one question that is not answered says nothing of all others.
 */
void hosts_note_failure(struct hosts *h, const struct net_url *at, int err, int64_t since_ms,
                        int64_t now_ms);

/* Whether something came from it since then. */
bool hosts_was_heard(const struct hosts *h, const struct net_url *at, int64_t since_ms);

/* Something came from it. */
void hosts_note_answer(struct hosts *h, const struct net_url *at, int64_t now_ms);

#endif
