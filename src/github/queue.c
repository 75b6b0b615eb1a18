#include "github/queue.h"

#include <errno.h>

static void ring(struct net_timer *timer)
{
    queue_pump(list_entry(timer, struct queue, timer));
}

void queue_init(struct queue *q, struct net *net, uint32_t reserve, unsigned connections,
                int64_t wait_ms, int64_t deadline_ms)
{
    *q = (struct queue){.net = net, .connections = connections};
    q->wait_ms = wait_ms;
    q->deadline_ms = deadline_ms;
    q->timer.fire = ring;
    budget_init(&q->budget, reserve);
    list_init(&q->waiting[SOURCE_DEMAND]);
    list_init(&q->waiting[SOURCE_PREFETCH]);
}

static struct queued_request *take_first(struct queue *q, enum source_class class)
{
    struct list *link = list_take_first(&q->waiting[class]);

    q->count--;
    return list_entry(link, struct queued_request, link);
}

/* Refuses those at the front that would wait too long until at_ms. The pace of a minute is no
 * quota: it always comes back soon. Whoever came later waits less long for the same time. */
static void refuse_some(struct queue *q, enum source_class class, int64_t at_ms, int64_t now_ms)
{
    bool is_pace = budget_why(&q->budget, class, now_ms) == BUDGET_PACING;
    int64_t patience_ms = is_pace ? q->deadline_ms : q->wait_ms + QUEUE_WAIT_SLACK_MS;
    int64_t end_ms = is_pace ? now_ms + QUEUE_PREFETCH_WAIT_MS : now_ms;

    while (!list_is_empty(&q->waiting[class])) {
        struct queued_request *r = list_entry(q->waiting[class].next, struct queued_request, link);
        if (class == SOURCE_DEMAND)
            end_ms = r->since_ms + patience_ms;
        if (at_ms <= end_ms)
            return;
        take_first(q, class);
        r->refused(r, at_ms);
    }
}

static void note_delay(struct queue *q, enum source_class class, int64_t at_ms, int64_t now_ms)
{
    enum progress_cause cause = PROGRESS_CONNECTION;

    if (at_ms)
        switch (budget_why(&q->budget, class, now_ms)) {
        case BUDGET_OPEN: break;
        case BUDGET_PACING: cause = PROGRESS_PACE; break;
        case BUDGET_QUOTA: cause = PROGRESS_QUOTA; break;
        case BUDGET_LIMITED: cause = PROGRESS_LIMIT; break;
        }
    progress_wait_note(&q->delays[class], cause, at_ms);
}

/* Lets go what may go. Returns when to come back; 0: the end of another request calls again. */
static int64_t pump_class(struct queue *q, enum source_class class)
{
    while (!list_is_empty(&q->waiting[class]) && q->busy < q->connections) {
        int64_t now_ms = net_now_ms();
        int64_t at_ms = budget_ask(&q->budget, class, now_ms);
        struct queued_request *r;
        if (at_ms > 0) {
            refuse_some(q, class, at_ms, now_ms);
            note_delay(q, class, at_ms, now_ms);
            return list_is_empty(&q->waiting[class]) ? 0 : at_ms;
        }
        q->busy++;
        r = take_first(q, class);
        r->go(r);
    }
    note_delay(q, class, 0, 0);
    return 0;
}

/* go and refused may end in another pump: only the outermost runs. */
void queue_pump(struct queue *q)
{
    int64_t demand_ms, at_ms;

    q->pump_again = true;
    if (q->is_pumping)
        return;
    q->is_pumping = true;
    do {
        q->pump_again = false;
        demand_ms = pump_class(q, SOURCE_DEMAND);
        at_ms = pump_class(q, SOURCE_PREFETCH);
    } while (q->pump_again);
    q->is_pumping = false;
    if (demand_ms && (!at_ms || demand_ms < at_ms))
        at_ms = demand_ms;
    if (at_ms)
        net_timer_set(q->net, &q->timer, at_ms);
}

int queue_enter(struct queue *q, struct queued_request *r, bool again)
{
    if (q->count >= QUEUE_WAITING_MAX)
        return -ENOMEM;
    q->count++;
    if (again)
        list_push_front(&q->waiting[r->class], &r->link);
    else
        list_push_back(&q->waiting[r->class], &r->link);
    queue_pump(q);
    return 0;
}

void queue_leave(struct queue *q, struct queued_request *r)
{
    if (!list_is_linked(&r->link))
        return;
    list_remove(&r->link);
    q->count--;
}

void queue_promote(struct queue *q, struct queued_request *r)
{
    if (r->class == SOURCE_DEMAND)
        return;
    r->class = SOURCE_DEMAND;
    if (!list_is_linked(&r->link))
        return;
    list_remove(&r->link);
    list_push_back(&q->waiting[SOURCE_DEMAND], &r->link);
    queue_pump(q);
}

void queue_unsent(struct queue *q, const struct queued_request *r)
{
    budget_unsent(&q->budget, r->class);
    q->busy--;
    queue_pump(q);
}

void queue_take_connection(struct queue *q)
{
    q->busy++;
}

void queue_free_connection(struct queue *q)
{
    q->busy--;
}
