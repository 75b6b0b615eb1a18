/*
 * queue.h - API requests wait in a queue: for the budget, and for a free connection.
 *
 * First come, first served, demand before prefetch. The budget is asked right before a request is
 * sent, so net is given no more requests than it can send at once: they would grow old in its
 * queue, and the minute that is counted would not be the minute in which they are sent. Storage
 * requests do not wait here, but count as connections. Network thread only.
 */
#ifndef GHLOGFS_GITHUB_QUEUE_H
#define GHLOGFS_GITHUB_QUEUE_H

#include "github/budget.h"
#include "list.h"
#include "net/net.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

#define QUEUE_WAITING_MAX 100000
#define QUEUE_WAIT_SLACK_MS 3000    /* the budget rounds up: a wait of exactly `wait` is allowed */
#define QUEUE_PREFETCH_WAIT_MS 5000 /* prefetch that would wait longer is refused */

struct queued_request {
    struct list link;
    enum source_class class;
    int64_t since_ms; /* when it was first queued */
    /* It may be sent now: the budget has counted it, and a connection is taken. */
    void (*go)(struct queued_request *r);
    /* It would wait too long. until_ms: when it may go. */
    void (*refused)(struct queued_request *r, int64_t until_ms);
};

struct queue {
    struct net *net;
    struct budget budget;
    int64_t wait_ms, deadline_ms;
    struct list waiting[2];         /* by class */
    struct progress_wait delays[2]; /* by class: what the first one waits for. Any thread reads */
    unsigned count;
    unsigned connections, busy;
    struct net_timer timer;
    bool is_pumping, pump_again;
};

/* A request waits wait_ms for the quota, deadline_ms for others in the same minute. reserve: as in
 * budget.h. */
void queue_init(struct queue *q, struct net *net, uint32_t reserve, unsigned connections,
                int64_t wait_ms, int64_t deadline_ms);

/* Queues; go or refused is called from here or later. again: it has been sent before and goes to
 * the front. -ENOMEM: too many wait. */
int queue_enter(struct queue *q, struct queued_request *r, bool again);
void queue_leave(struct queue *q, struct queued_request *r);

/* Of prefetch it becomes demand. */
void queue_promote(struct queue *q, struct queued_request *r);

/* In `go`: this one is not sent after all, and counts nowhere. */
void queue_unsent(struct queue *q, const struct queued_request *r);

/* A storage request takes a connection, whatever the number. */
void queue_take_connection(struct queue *q);

/* A request of either kind has ended. Once its answer has been handled (a log's second hop goes
 * before other first hops), queue_pump lets the next one go. */
void queue_free_connection(struct queue *q);
void queue_pump(struct queue *q);

#endif
