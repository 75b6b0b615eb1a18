#include "pending.h"

#include <errno.h>

int waits_init(struct waits *waits)
{
    list_init(&waits->busy);
    waits->closed = 0;
    return -pthread_mutex_init(&waits->lock, NULL);
}

void waits_finish(struct waits *waits)
{
    pthread_mutex_destroy(&waits->lock);
}

void pending_init(struct pending *p, struct waits *waits)
{
    p->waits = waits;
    list_init(&p->in_registry);
    list_init(&p->waiters);
    atomic_init(&p->generation, 1);
    p->progress_ms = 0;
}

void pending_finish(struct pending *p)
{
    list_remove(&p->in_registry);
}

/* Registry lock held. */
static void unlink_waiter(struct waiter *w)
{
    struct pending *p = w->on;

    list_remove(&w->link);
    w->on = NULL;
    if (list_is_empty(&p->waiters))
        list_remove(&p->in_registry);
}

/* Called with no lock held: the callbacks may take any. */
static void wake_all(struct list *woken, int err)
{
    struct list *link;

    while ((link = list_take_first(woken))) {
        struct waiter *w = list_entry(link, struct waiter, link);
        w->wake(w, err);
    }
}

bool pending_park(struct pending *p, struct waiter *w, uint64_t generation, uint64_t first,
                  uint64_t last)
{
    struct waits *waits = p->waits;
    bool parked;
    int closed;

    pthread_mutex_lock(&waits->lock);
    closed = waits->closed;
    parked = !closed && atomic_load(&p->generation) == generation;
    if (parked) {
        w->on = p;
        w->first = first;
        w->last = last;
        w->since_ms = 0;
        if (list_is_empty(&p->waiters))
            list_push_back(&waits->busy, &p->in_registry);
        list_push_back(&p->waiters, &w->link);
    }
    pthread_mutex_unlock(&waits->lock);
    if (closed)
        w->wake(w, closed);
    return parked || closed;
}

void pending_wake(struct pending *p, uint64_t first, uint64_t last, int err)
{
    struct waits *waits = p->waits;
    struct list woken;

    list_init(&woken);
    pthread_mutex_lock(&waits->lock);
    atomic_fetch_add(&p->generation, 1);
    list_each_safe(link, &p->waiters) {
        struct waiter *w = list_entry(link, struct waiter, link);
        if (w->first <= last && w->last >= first) {
            unlink_waiter(w);
            list_push_back(&woken, &w->link);
        }
    }
    pthread_mutex_unlock(&waits->lock);
    wake_all(&woken, err);
}

void pending_touch(struct pending *p, int64_t now_ms)
{
    pthread_mutex_lock(&p->waits->lock);
    p->progress_ms = now_ms;
    pthread_mutex_unlock(&p->waits->lock);
}

bool pending_cancel(struct waits *waits, struct waiter *w)
{
    bool was_parked;

    pthread_mutex_lock(&waits->lock);
    was_parked = w->on != NULL;
    if (was_parked)
        unlink_waiter(w);
    pthread_mutex_unlock(&waits->lock);
    return was_parked;
}

/* Registry lock held. Unlinks one waiter that has waited too long; NULL: there is none. The time of
 * a waiter starts when this function first sees it, so that pending_park needs no clock. */
static struct waiter *take_overdue(struct waits *waits, int64_t now_ms, int64_t deadline_ms)
{
    list_each(busy, &waits->busy) {
        struct pending *p = list_entry(busy, struct pending, in_registry);

        list_each(link, &p->waiters) {
            struct waiter *w = list_entry(link, struct waiter, link);

            if (!w->since_ms)
                w->since_ms = now_ms;
            if (now_ms - w->since_ms < deadline_ms || now_ms - p->progress_ms < deadline_ms)
                continue;
            unlink_waiter(w);
            return w;
        }
    }
    return NULL;
}

void waits_expire(struct waits *waits, int64_t now_ms, int64_t deadline_ms)
{
    struct waiter *w;

    do {
        pthread_mutex_lock(&waits->lock);
        w = take_overdue(waits, now_ms, deadline_ms);
        pthread_mutex_unlock(&waits->lock);
        if (w)
            w->wake(w, -ETIMEDOUT);
    } while (w);
}

void waits_fail_all(struct waits *waits, int err)
{
    struct list woken;

    list_init(&woken);
    pthread_mutex_lock(&waits->lock);
    waits->closed = err;
    while (!list_is_empty(&waits->busy)) {
        struct pending *p = list_entry(waits->busy.next, struct pending, in_registry);
        while (!list_is_empty(&p->waiters)) {
            struct waiter *w = list_entry(p->waiters.next, struct waiter, link);
            unlink_waiter(w);
            list_push_back(&woken, &w->link);
        }
    }
    pthread_mutex_unlock(&waits->lock);
    wake_all(&woken, err);
}
