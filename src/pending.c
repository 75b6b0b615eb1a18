#include "pending.h"

#include <errno.h>

int pending_hall_init(struct pending_hall *hall)
{
    list_init(&hall->busy);
    hall->closed = 0;
    return -pthread_mutex_init(&hall->lock, NULL);
}

void pending_hall_finish(struct pending_hall *hall)
{
    pthread_mutex_destroy(&hall->lock);
}

void pending_init(struct pending *p, struct pending_hall *hall)
{
    p->hall = hall;
    list_init(&p->in_hall);
    list_init(&p->waiters);
    atomic_init(&p->turn, 1);
    p->progress_ms = 0;
}

void pending_finish(struct pending *p)
{
    list_remove(&p->in_hall);
}

/* Hall lock held. */
static void unlink_waiter(struct waiter *w)
{
    struct pending *p = w->on;

    list_remove(&w->link);
    w->on = NULL;
    if (list_is_empty(&p->waiters))
        list_remove(&p->in_hall);
}

/* No lock held: the callbacks may take any. */
static void wake_all(struct list *woken, int err)
{
    struct list *link;

    while ((link = list_take_first(woken))) {
        struct waiter *w = list_entry(link, struct waiter, link);
        w->wake(w, err);
    }
}

bool pending_park(struct pending *p, struct waiter *w, uint64_t turn, uint64_t first, uint64_t last)
{
    struct pending_hall *hall = p->hall;
    bool parked;
    int closed;

    pthread_mutex_lock(&hall->lock);
    closed = hall->closed;
    parked = !closed && atomic_load(&p->turn) == turn;
    if (parked) {
        w->on = p;
        w->first = first;
        w->last = last;
        w->since_ms = 0;
        if (list_is_empty(&p->waiters))
            list_push_back(&hall->busy, &p->in_hall);
        list_push_back(&p->waiters, &w->link);
    }
    pthread_mutex_unlock(&hall->lock);
    if (closed)
        w->wake(w, closed);
    return parked || closed;
}

void pending_wake(struct pending *p, uint64_t first, uint64_t last, int err)
{
    struct pending_hall *hall = p->hall;
    struct list woken;

    list_init(&woken);
    pthread_mutex_lock(&hall->lock);
    atomic_fetch_add(&p->turn, 1);
    list_each_safe(link, &p->waiters) {
        struct waiter *w = list_entry(link, struct waiter, link);
        if (w->first <= last && w->last >= first) {
            unlink_waiter(w);
            list_push_back(&woken, &w->link);
        }
    }
    pthread_mutex_unlock(&hall->lock);
    wake_all(&woken, err);
}

void pending_touch(struct pending *p, int64_t now_ms)
{
    pthread_mutex_lock(&p->hall->lock);
    p->progress_ms = now_ms;
    pthread_mutex_unlock(&p->hall->lock);
}

bool pending_cancel(struct pending_hall *hall, struct waiter *w)
{
    bool was_parked;

    pthread_mutex_lock(&hall->lock);
    was_parked = w->on != NULL;
    if (was_parked)
        unlink_waiter(w);
    pthread_mutex_unlock(&hall->lock);
    return was_parked;
}

/* Hall lock held. A waiter's clock starts when it is first looked at, so that parking needs none. */
static bool is_overdue(struct waiter *w, int64_t now_ms, int64_t deadline_ms)
{
    int64_t from;

    if (!w->since_ms)
        w->since_ms = now_ms;
    from = w->since_ms > w->on->progress_ms ? w->since_ms : w->on->progress_ms;
    return now_ms - from >= deadline_ms;
}

/* Hall lock held. Unlinks one waiter that has waited too long; NULL: there is none. */
static struct waiter *take_overdue(struct pending_hall *hall, int64_t now_ms, int64_t deadline_ms)
{
    list_each(busy, &hall->busy) {
        struct pending *p = list_entry(busy, struct pending, in_hall);
        list_each(link, &p->waiters) {
            struct waiter *w = list_entry(link, struct waiter, link);
            if (!is_overdue(w, now_ms, deadline_ms))
                continue;
            unlink_waiter(w);
            return w;
        }
    }
    return NULL;
}

void pending_hall_expire(struct pending_hall *hall, int64_t now_ms, int64_t deadline_ms)
{
    struct waiter *w;

    do {
        pthread_mutex_lock(&hall->lock);
        w = take_overdue(hall, now_ms, deadline_ms);
        pthread_mutex_unlock(&hall->lock);
        if (w)
            w->wake(w, -ETIMEDOUT);
    } while (w);
}

void pending_hall_fail_all(struct pending_hall *hall, int err)
{
    struct list woken;

    list_init(&woken);
    pthread_mutex_lock(&hall->lock);
    hall->closed = err;
    while (!list_is_empty(&hall->busy)) {
        struct pending *p = list_entry(hall->busy.next, struct pending, in_hall);
        while (!list_is_empty(&p->waiters)) {
            struct waiter *w = list_entry(p->waiters.next, struct waiter, link);
            unlink_waiter(w);
            list_push_back(&woken, &w->link);
        }
    }
    pthread_mutex_unlock(&hall->lock);
    wake_all(&woken, err);
}
