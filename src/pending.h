/*
 * pending.h - the one mechanism for waiting and for single flight.
 *
 * A `pending` is embedded in whatever may have to be waited for: a log (its facts and its pages), a
 * listing, a job's facts. A `waiter` is embedded in whatever waits: a parked kernel request, a
 * generated file being made. All pendings of a mount share one wait registry, which has one mutex.
 *
 * How to wait without holding two locks: read pending_generation(), look at the state under the owner's own lock, release it, start what must be
 * started, then pending_park() with the generation read before. If anything was announced in between,
 * pending_park() refuses and the caller looks again. How to announce: change the state under the
 * owner's lock, release it, then pending_wake().
 *
 * Whoever unlinks a waiter (wake, cancel, expire, fail_all) has the right and the duty to answer it,
 * exactly once (law 1). The wake callback runs with no lock held (law 2), on the thread of whoever woke.
 * An object with a pending must outlive its waiters.
 */
#ifndef GHLOGFS_PENDING_H
#define GHLOGFS_PENDING_H

#include "list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

/* The answer of every operation that could not be completed now and has parked its waiter. */
#define PENDING_PARKED 1

struct waits {
    pthread_mutex_t lock;
    struct list busy; /* lock; pendings that have waiters */
    int closed;       /* lock; -errno for whoever parks, 0: open */
};

struct pending {
    struct waits *waits;
    struct list in_registry;         /* registry lock; linked while there are waiters */
    struct list waiters;             /* registry lock */
    atomic_uint_fast64_t generation; /* counts announcements */
    int64_t progress_ms;             /* registry lock; when something last came in, 0 = never */
};

struct waiter {
    struct list link;     /* registry lock */
    struct pending *on;   /* registry lock; NULL when not parked */
    uint64_t first, last; /* the part waited for (pages of a log); set by pending_park */
    int64_t since_ms;     /* registry lock; first seen by waits_expire, 0 = not yet */
    /* The waiter's own: when its operation first asked, kept while it asks again, so that what came
     * for it does not grow old meanwhile; 0 = not yet. */
    int64_t began_ms;
    /* err 0: ask again; negative errno: that is the answer. */
    void (*wake)(struct waiter *w, int err);
};

#define PENDING_ALL_FIRST 0
#define PENDING_ALL_LAST UINT64_MAX

int waits_init(struct waits *waits);
void waits_finish(struct waits *waits);

/* Wakes with -ETIMEDOUT each waiter for which nothing came in for `deadline_ms` (more than 0). */
void waits_expire(struct waits *waits, int64_t now_ms, int64_t deadline_ms);

/* Wakes every waiter of the registry with `err` (unmounting), and from now on whoever parks, at once. */
void waits_fail_all(struct waits *waits, int err);

/* Takes a waiter out, wherever it is parked. True: it was parked and is now the caller's to answer. */
bool pending_cancel(struct waits *waits, struct waiter *w);

void pending_init(struct pending *p, struct waits *waits);

/* Nothing may wait any more. */
void pending_finish(struct pending *p);

static inline uint64_t pending_generation(struct pending *p)
{
    return atomic_load(&p->generation);
}

/* Parks `w` (zeroed but for `wake` before its first use) for the parts first..last. False: something
 * was announced since `generation`; look again. After true it may be answered already: hands off. */
bool pending_park(struct pending *p, struct waiter *w, uint64_t generation, uint64_t first,
                  uint64_t last);

/* Wakes whoever waits for a part in first..last. err as in waiter.wake. */
void pending_wake(struct pending *p, uint64_t first, uint64_t last, int err);

/* Something came in: the deadline of all who wait here counts from now. */
void pending_touch(struct pending *p, int64_t now_ms);

#endif
