/*
 * refusals.h - errors that a server repeats: for which question, until when a repetition is
 * useless, and how many requests may be spent on retries.
 *
 * GitHub answers some questions with the same 5xx for ever (the log of an old run, a list whose
 * pages are too large). A question that got the same answer several times (failure.h counts them)
 * is refused: the refusal is remembered for a minute, and twice as long each time it is confirmed,
 * up to half an hour. After that one request is sent, and the same answer needs no retry.
 *
 * Pure: time is an argument. The network thread owns it.
 */
#ifndef GHLOGFS_GITHUB_REFUSALS_H
#define GHLOGFS_GITHUB_REFUSALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REFUSALS_MAX 4096 /* questions remembered, by key; a new one may overwrite an old one */
#define REFUSALS_HOLD_MS INT64_C(60000)
#define REFUSALS_HOLD_MAX_MS INT64_C(1800000)
#define REFUSALS_RETRIES_MAX 60 /* charged requests in REFUSALS_WINDOW_MS, all questions together */
#define REFUSALS_WINDOW_MS INT64_C(61000)
#define REFUSALS_WAIT_MS                                                                           \
    6000                  /* the longest wait for the next retry, then the question is refused */
#define REFUSALS_PROOFS 4 /* so many questions prove an answer for all others, for a minute */
#define REFUSALS_PROVEN_MAX 8 /* answers proven at once */

struct refusals_entry {
    uint64_t key;     /* 0: free */
    uint64_t answer;  /* its fingerprint */
    int64_t until_ms; /* refused until then */
    int64_t held_ms;  /* for how long */
    bool is_running;  /* the question is for the log of a job that was running then */
};

struct refusals_proof {
    uint64_t answer;
    unsigned count;   /* questions that got this answer until they were refused */
    int64_t until_ms; /* when this is forgotten */
};

/* Zeroed before use. */
struct refusals {
    struct refusals_entry entries[REFUSALS_MAX];
    struct refusals_proof proven[REFUSALS_PROVEN_MAX];
    int64_t retried_ms[REFUSALS_RETRIES_MAX]; /* a ring: when the last retries were sent */
    unsigned next, count;
};

/*
 * The fingerprint of an answer. Words with a digit in them count as equal, because they may be the
 * id or the time of the request. Zeroed before use; only the first bytes of a body count.
 */
struct refusals_print {
    uint64_t sum, word;
    size_t len;
    bool has_digit;
};

void refusals_print_add(struct refusals_print *p, const void *data, size_t len);

/* `whose`: the hop, and the kind of question. Never 0. */
uint64_t refusals_print_finish(struct refusals_print *p, const char *whose, int status);

/* The key of a question, from its URL; upper and lower case are the same. Never 0. */
uint64_t refusals_make_key(const char *url);

/* Whether the question is refused now, and if so until when. */
bool refusals_find(const struct refusals *rs, uint64_t key, int64_t now_ms, int64_t *ret_until_ms);

/*
 * Whether this answer need not be checked by asking again: the question got it before, when it was
 * refused, or others got it until they were refused.
 */
bool refusals_expect(const struct refusals *rs, uint64_t key, uint64_t answer, int64_t now_ms);

/* The question is refused. proven: it got the same answer several times now. Until when. */
int64_t refusals_note(struct refusals *rs, uint64_t key, uint64_t answer, bool proven,
                      int64_t now_ms);

/* What is refused is the log of a running job: it stays refused for no longer than the first
 * time. */
void refusals_note_running(struct refusals *rs, uint64_t key);
bool refusals_is_of_running(const struct refusals *rs, uint64_t key);

/* It was answered in another way. */
void refusals_clear(struct refusals *rs, uint64_t key);

/* One more request after a refusal: counts it, or returns false if there were too many. */
bool refusals_take_retry(struct refusals *rs, int64_t now_ms);

/* The last `count` retries were no waste: the answer changed. */
void refusals_return_retries(struct refusals *rs, unsigned count);

#endif
