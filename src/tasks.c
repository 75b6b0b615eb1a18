#include "tasks.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct tasks {
    int64_t (*now_ms)(void);
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work; /* something was posted, or stopping */
    struct list ready;   /* lock */
    struct list delayed; /* lock; by at_ms */
    bool stopping;       /* lock */
    bool joined;
};

/* Lock held. Moves the tasks that are due to `ready`. Returns when the next one is due; 0: none is
 * delayed. */
static int64_t move_due(struct tasks *t)
{
    int64_t now = t->now_ms();

    while (!list_is_empty(&t->delayed)) {
        struct task *first = list_entry(t->delayed.next, struct task, link);

        if (first->at_ms > now && !t->stopping)
            return first->at_ms;
        list_remove(&first->link);
        list_push_back(&t->ready, &first->link);
    }
    return 0;
}

/* Waits for the next task; NULL: stopping, and there is none. */
static struct task *take_next(struct tasks *t)
{
    struct list *link;

    pthread_mutex_lock(&t->lock);
    for (;;) {
        int64_t due_ms = move_due(t);
        struct timespec due = {.tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000};

        link = list_take_first(&t->ready);
        if (link || t->stopping)
            break;
        if (due_ms)
            pthread_cond_timedwait(&t->work, &t->lock, &due);
        else
            pthread_cond_wait(&t->work, &t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return link ? list_entry(link, struct task, link) : NULL;
}

static void *run_tasks(void *arg)
{
    struct task *task;

    while ((task = take_next(arg)))
        task->run(task);
    return NULL;
}

int tasks_create(const char *name, int64_t (*now_ms)(void), struct tasks **ret_tasks)
{
    struct tasks *t = calloc(1, sizeof(*t));
    pthread_condattr_t attr;
    int rc;

    if (!t)
        return -ENOMEM;
    t->now_ms = now_ms;
    list_init(&t->ready);
    list_init(&t->delayed);
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->work, &attr);
    pthread_condattr_destroy(&attr);
    rc = -pthread_create(&t->thread, NULL, run_tasks, t);
    if (rc) {
        t->joined = true;
        tasks_destroy(t);
        return rc;
    }
    pthread_setname_np(t->thread, name);
    *ret_tasks = t;
    return 0;
}

void tasks_stop(struct tasks *t)
{
    if (!t || t->joined)
        return;
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    t->joined = true;
}

void tasks_destroy(struct tasks *t)
{
    if (!t)
        return;
    tasks_stop(t);
    pthread_cond_destroy(&t->work);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

void tasks_post(struct tasks *t, struct task *task)
{
    pthread_mutex_lock(&t->lock);
    list_push_back(&t->ready, &task->link);
    pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->lock);
}

void tasks_post_after(struct tasks *t, struct task *task, int64_t delay_ms)
{
    struct list *at;

    task->at_ms = t->now_ms() + delay_ms;
    pthread_mutex_lock(&t->lock);
    at = t->delayed.prev;
    while (at != &t->delayed && list_entry(at, struct task, link)->at_ms > task->at_ms)
        at = at->prev;
    list_insert_after(at, &task->link);
    pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->lock);
}
