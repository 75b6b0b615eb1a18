/*
 * queue.h - API questions wait their turn: for the budget, and for a free connection.
 *
 * First come, first served, demand before prefetch. The budget is asked right before a question is
 * sent, so no more are handed to net than it can send at once; else they would grow old in its
 * queue and the minute that is counted would not be the minute in which they are sent. Storage
 * requests need no turn, but count as connections. Network thread only.
 */
#ifndef GHLOGFS_GITHUB_QUEUE_H
#define GHLOGFS_GITHUB_QUEUE_H

#include "github/budget.h"
#include "list.h"
#include "net/net.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

#define TURN_WAITING_MAX 100000
#define TURN_WAIT_SLACK_MS 3000 /* a wait of just `wait`, as rounded up by the budget, is waited */
#define TURN_PREFETCH_WAIT_MS 5000 /* prefetch that would wait longer is not worth it */

struct turn {
    struct list link;
    enum source_class class;
    int64_t since_ms; /* when the question was first asked */
    /* It may be sent now: the budget has counted it, and a connection is taken. */
    void (*go)(struct turn *t);
    /* It would wait too long. until_ms: when it may go. */
    void (*refused)(struct turn *t, int64_t until_ms);
};

struct turns {
    struct net *net;
    struct budget budget;
    int64_t wait_ms, deadline_ms;
    struct list waiting[2]; /* by class */
    unsigned count;
    unsigned connections, busy;
    struct net_timer timer;
    bool pumping, pump_again;
};

/* How long a question waits: wait_ms for the quota, deadline_ms for others in the same minute. */
void turns_init(struct turns *ts, struct net *net, const struct budget_config *budget,
                unsigned connections, int64_t wait_ms, int64_t deadline_ms);

/* Queues; go or refused is called from here or later. again: it has been sent before and goes to
 * the front. -ENOMEM: too many wait. */
int turns_enter(struct turns *ts, struct turn *t, bool again);
void turns_leave(struct turns *ts, struct turn *t);
void turns_promote(struct turns *ts, struct turn *t);

/* In `go`: this one is not sent after all, and counts nowhere. */
void turns_unsent(struct turns *ts, const struct turn *t);

/* A storage request takes a connection, whatever the number. */
void turns_take_connection(struct turns *ts);

/* A request of either kind has ended. Then, once its answer has had its say (a log's second hop
 * goes before other first hops), turns_pump lets the next go. */
void turns_free_connection(struct turns *ts);
void turns_pump(struct turns *ts);

#endif
