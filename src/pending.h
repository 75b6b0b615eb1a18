/*
 * pending.h - wait queues: the one mechanism for waiting and for single flight.
 *
 * A `struct pending` is a wait queue. It is embedded in whatever may have to be waited for: a log
 * (its facts and its pages), a listing, a job's facts. A `struct waiter` is embedded in whatever
 * waits: a parked kernel request, a text that is being generated. All queues of a mount share one
 * wait registry, `struct waits`, which has the one mutex and knows the queues with waiters.
 *
 * A queue has a generation, which counts announcements. So no thread holds two locks to wait:
 * 1. read pending_generation();
 * 2. check the state under the lock of its owner, and release that lock;
 * 3. start what has to be started;
 * 4. call pending_park() with the generation of step 1. If anything was announced in between, it
 *    refuses, and the caller starts again at step 1.
 * To announce: change the state under the owner's lock, release it, then call pending_wake().
 *
 * The function that unlinks a waiter (wake, cancel, expire, fail_all) has the right and the duty to
 * have it answered, exactly once (law 1). It calls the waiter's `wake` on its own thread, with no
 * lock held (law 2). An object with a queue must outlive the waiters in it.
 */
#ifndef GHLOGFS_PENDING_H
#define GHLOGFS_PENDING_H

#include "list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* What an operation returns that could not be completed now and has parked its waiter. */
#define PENDING_PARKED 1

/* The wait registry. */
struct waits {
    pthread_mutex_t lock;
    struct list busy; /* lock; queues that have waiters */
    int closed;       /* lock; -errno with which parking fails; 0: open */
};

/* A wait queue. */
struct pending {
    struct waits *waits;
    struct list in_registry;         /* registry lock; linked while there are waiters */
    struct list waiters;             /* registry lock */
    atomic_uint_fast64_t generation; /* the number of announcements so far */
    int64_t progress_ms;             /* registry lock; when pending_touch was called; 0: never */
};

struct waiter {
    struct list link;     /* registry lock */
    struct pending *on;   /* registry lock; NULL: not parked */
    uint64_t first, last; /* the parts waited for (pages of a log); set by pending_park */
    int64_t since_ms;     /* registry lock; first seen by waits_expire; 0: not yet */
    /* Its owner's: when the operation was first tried, kept while it is tried again, so that data
     * that came for it does not count as stale meanwhile; 0: not yet. */
    int64_t began_ms;
    uint64_t began_after; /* the count of the catalog's answers then: two may fall into one ms */
    /* Its owner's: the thread that waits for the answer; 0: unknown. */
    int64_t reader;
    /* err 0: try the operation again; negative errno: that is its result. */
    void (*wake)(struct waiter *w, int err);
};

#define PENDING_ALL_FIRST 0
#define PENDING_ALL_LAST UINT64_MAX

int waits_init(struct waits *waits);
void waits_finish(struct waits *waits);

/* Wakes with -ETIMEDOUT each waiter whose queue made no progress for `deadline_ms` (more than 0).
 */
void waits_expire(struct waits *waits, int64_t now_ms, int64_t deadline_ms);

/* Wakes every waiter with `err` (unmounting); from now on each that parks is woken so at once. */
void waits_fail_all(struct waits *waits, int err);

/* Unlinks a waiter from the queue where it is parked. True: it was parked and is now the caller's
 * to answer. */
bool pending_cancel(struct waits *waits, struct waiter *w);

void pending_init(struct pending *p, struct waits *waits);

/* The queue must be empty for good. */
void pending_finish(struct pending *p);

static inline uint64_t pending_generation(struct pending *p)
{
    return atomic_load(&p->generation);
}

/* Parks `w` for the parts first..last. Before its first use `w` is zeroed except for `wake`. False:
 * something was announced since `generation`; check again. After true another thread may have
 * answered it already: do not touch it. */
bool pending_park(struct pending *p, struct waiter *w, uint64_t generation, uint64_t first,
                  uint64_t last);

/* Announces: wakes all waiters for a part in first..last. `err` as in waiter.wake. */
void pending_wake(struct pending *p, uint64_t first, uint64_t last, int err);

/* Notes progress: the deadline of all waiters of this queue counts from now. */
void pending_touch(struct pending *p, int64_t now_ms);

#endif
