#include "github/queue.h"

#include <errno.h>

static void ring(struct net_timer *timer)
{
    turns_pump(list_entry(timer, struct turns, timer));
}

void turns_init(struct turns *ts, struct net *net, const struct budget_config *budget,
                unsigned connections, int64_t wait_ms, int64_t deadline_ms)
{
    *ts = (struct turns){.net = net, .connections = connections};
    ts->wait_ms = wait_ms;
    ts->deadline_ms = deadline_ms;
    ts->timer.fire = ring;
    budget_init(&ts->budget, budget);
    list_init(&ts->waiting[SOURCE_DEMAND]);
    list_init(&ts->waiting[SOURCE_PREFETCH]);
}

static enum budget_class class_of(enum source_class class)
{
    return class == SOURCE_DEMAND ? BUDGET_DEMAND : BUDGET_PREFETCH;
}

static struct turn *take(struct turns *ts, enum source_class class)
{
    struct list *link = list_take_first(&ts->waiting[class]);

    ts->count--;
    return list_entry(link, struct turn, link);
}

/* Until when it is worth waiting. The minute's pace is no quota: it always comes back soon. */
static int64_t patience(struct turns *ts, const struct turn *t, int64_t now_ms)
{
    bool is_pace = budget_why(&ts->budget, class_of(t->class), now_ms) == BUDGET_PACING;

    if (t->class == SOURCE_DEMAND)
        return t->since_ms + (is_pace ? ts->deadline_ms : ts->wait_ms + TURN_WAIT_SLACK_MS);
    return is_pace ? now_ms + TURN_PREFETCH_WAIT_MS : now_ms;
}

/* Those at the front who would wait too long; who came later waits less long for the same time. */
static void refuse_some(struct turns *ts, enum source_class class, int64_t at_ms, int64_t now_ms)
{
    while (!list_is_empty(&ts->waiting[class])) {
        struct turn *t = list_entry(ts->waiting[class].next, struct turn, link);
        if (at_ms <= patience(ts, t, now_ms))
            return;
        take(ts, class);
        t->refused(t, at_ms);
    }
}

/* Lets go who may go. Returns when to come back; 0: somebody's end will tell. */
static int64_t pump_class(struct turns *ts, enum source_class class)
{
    while (!list_is_empty(&ts->waiting[class]) && ts->busy < ts->connections) {
        int64_t now_ms = net_now_ms();
        int64_t at_ms = budget_ask(&ts->budget, class_of(class), now_ms);
        if (at_ms > 0) {
            refuse_some(ts, class, at_ms, now_ms);
            return list_is_empty(&ts->waiting[class]) ? 0 : at_ms;
        }
        ts->busy++;
        struct turn *t = take(ts, class);
        t->go(t);
    }
    return 0;
}

/* go and refused may end in another pump: only the outermost runs. */
void turns_pump(struct turns *ts)
{
    int64_t demand_ms, prefetch_ms;

    ts->pump_again = true;
    if (ts->pumping)
        return;
    ts->pumping = true;
    do {
        ts->pump_again = false;
        demand_ms = pump_class(ts, SOURCE_DEMAND);
        prefetch_ms = pump_class(ts, SOURCE_PREFETCH);
    } while (ts->pump_again);
    ts->pumping = false;
    if (demand_ms && (!prefetch_ms || demand_ms < prefetch_ms))
        prefetch_ms = demand_ms;
    if (prefetch_ms)
        net_timer_set(ts->net, &ts->timer, prefetch_ms);
}

int turns_enter(struct turns *ts, struct turn *t, bool again)
{
    if (ts->count >= TURN_WAITING_MAX)
        return -ENOMEM;
    ts->count++;
    if (again)
        list_push_front(&ts->waiting[t->class], &t->link);
    else
        list_push_back(&ts->waiting[t->class], &t->link);
    turns_pump(ts);
    return 0;
}

void turns_leave(struct turns *ts, struct turn *t)
{
    if (!list_is_linked(&t->link))
        return;
    list_remove(&t->link);
    ts->count--;
}

void turns_promote(struct turns *ts, struct turn *t)
{
    if (t->class == SOURCE_DEMAND)
        return;
    t->class = SOURCE_DEMAND;
    if (!list_is_linked(&t->link))
        return;
    list_remove(&t->link);
    list_push_back(&ts->waiting[SOURCE_DEMAND], &t->link);
    turns_pump(ts);
}

void turns_unsent(struct turns *ts, const struct turn *t)
{
    budget_unsent(&ts->budget, class_of(t->class));
    ts->busy--;
    turns_pump(ts);
}

void turns_take_connection(struct turns *ts)
{
    ts->busy++;
}

void turns_free_connection(struct turns *ts)
{
    ts->busy--;
}
