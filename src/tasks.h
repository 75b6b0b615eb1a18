/*
 * tasks.h - one thread that runs posted tasks in order, also after a delay.
 *
 * For work that must not hold up a FUSE worker or the network thread: parsing large answers, writing
 * records, cleaning logs. A task is embedded in whatever it is about and is its poster's again when
 * it runs. Posting never blocks; who posts bounds what is posted.
 */
#ifndef GHLOGFS_TASKS_H
#define GHLOGFS_TASKS_H

#include "list.h"

#include <stdint.h>

struct tasks;

struct task {
    struct list link;
    int64_t at_ms;
    void (*run)(struct task *t);
};

/* now_ms: CLOCK_MONOTONIC in milliseconds (law 4). name: of the thread, 15 bytes at most. */
int tasks_create(const char *name, int64_t (*now_ms)(void), struct tasks **ret_tasks);

/* Runs what is posted, also what is delayed, then joins. Nothing may be posted from elsewhere any more. */
void tasks_stop(struct tasks *t);
void tasks_destroy(struct tasks *t);

void tasks_post(struct tasks *t, struct task *task);
void tasks_post_after(struct tasks *t, struct task *task, int64_t delay_ms);

#endif
