/*
 * state.h - whether the shared store is asked (T2): up, or left alone for a while after a failure.
 *
 * After a failure nothing is asked for 60 s, doubling to 10 min. Then one request is let through;
 * if it succeeds, all are. Pure: time is an argument, in monotonic milliseconds. Not locked: the
 * caller's.
 */
#ifndef GHLOGFS_SHARED_STATE_H
#define GHLOGFS_SHARED_STATE_H

#include <stdbool.h>
#include <stdint.h>

#define SHARED_REST_MS (60 * 1000)
#define SHARED_REST_MAX_MS (10 * 60 * 1000)
#define SHARED_PROBE_MS (20 * 1000) /* a probe of which nothing was heard since counts as lost */

enum shared_phase {
    SHARED_UP,
    SHARED_RESTING,
    SHARED_PROBING, /* the rest is over, and one request is under way */
    SHARED_OFF,     /* for good: what it gave was wrong */
};

/* Zeroed: up. */
struct shared_state {
    enum shared_phase phase;
    int64_t rest_ms;  /* the length of the last rest; 0: none since it was up for good */
    int64_t until_ms; /* of a rest, or of a probe */
};

/* Whether a request may be sent now. Where this is the probe after a rest, true only once. */
bool shared_state_may_ask(struct shared_state *s, int64_t now_ms);

/* The same without a probe: whether the next shared_state_may_ask would be true. */
bool shared_state_would_ask(const struct shared_state *s, int64_t now_ms);

/* The store has answered as it should, also that an object is not there. True: it is up again. */
bool shared_state_note_success(struct shared_state *s);

/* It has not. True: this begins a rest, of s->rest_ms. What fails during a rest, having begun
 * before it, does not count. */
bool shared_state_note_failure(struct shared_state *s, int64_t now_ms);

/* Nothing more is asked. True: it was not off already. */
bool shared_state_turn_off(struct shared_state *s);

/* "up", "resting", "off" */
const char *shared_state_name(const struct shared_state *s);

#endif
