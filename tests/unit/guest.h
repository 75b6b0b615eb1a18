/*
 * guest.h - who waits in the tests: a waiter that can be waited for, and that counts its answers.
 */
#ifndef GHLOGFS_UNIT_GUEST_H
#define GHLOGFS_UNIT_GUEST_H

#include "pending.h"

struct guest {
    struct waiter waiter;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    /* lock */
    unsigned answers;
    int err;
};

void guest_init(struct guest *g);
/* May not be parked. */
void guest_finish(struct guest *g);

/* Waits for the answer to come, half a minute at the most, and takes it. */
int guest_wait(struct guest *g);
/* Whether there is an answer that was not taken. */
bool guest_is_answered(struct guest *g);

/* Milliseconds for those who ask now_ms(): stands still but for guest_pass. Never 0. */
int64_t guest_now_ms(void);
void guest_pass(int64_t ms);

#endif
