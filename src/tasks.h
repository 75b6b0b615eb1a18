/*
 * tasks.h - one thread that runs posted tasks in order, also after a delay.
 *
 * For work that must not delay a FUSE worker or the network thread: parsing large answers, writing
 * records, cleaning logs. A task is embedded in the object it is about. The thread does not touch
 * it any more once it runs, so `run` may post it again or free it. Posting never blocks; the
 * callers bound what is posted. Any thread may post.
 */
#ifndef GHLOGFS_TASKS_H
#define GHLOGFS_TASKS_H

#include "list.h"

#include <stdint.h>

struct tasks;

struct task {
    struct list link; /* lock of tasks */
    int64_t at_ms;    /* lock of tasks; when a delayed task is due */
    void (*run)(struct task *t);
};

/* now_ms: CLOCK_MONOTONIC in milliseconds (law 4). name: of the thread, at most 15 bytes. */
int tasks_create(const char *name, int64_t (*now_ms)(void), struct tasks **ret_tasks);

/* Runs what is posted, at once also what is delayed, and joins the thread. Only tasks that run may
 * post until it returns. May be called twice, and with NULL. */
void tasks_stop(struct tasks *t);

/* Stops first if need be. Takes NULL. */
void tasks_destroy(struct tasks *t);

void tasks_post(struct tasks *t, struct task *task);
void tasks_post_after(struct tasks *t, struct task *task, int64_t delay_ms);

#endif
