/*
 * inquiry.h - will this log still change? (S8, S11)
 *
 * Asked where storage's answer does not show it: one question about the job, for all who wait.
 * Completed: the end of the log is asked for once more over the same URL, since what was seen may
 * be older than the job's end; then it is final. Not completed: it is a running job's log. The job
 * as it was told goes to the listener. The same steps look after a running job's log: the end over
 * the URL as long as storage takes it, which costs nothing, and the job with its ETag once a
 * minute. Network thread only.
 */
#ifndef GHLOGFS_GITHUB_INQUIRY_H
#define GHLOGFS_GITHUB_INQUIRY_H

#include "github/log_state.h"
#include "source.h"

/* Who wants to be told of the end of a check. Freed after that. */
struct inquiry_check {
    struct list link;
    void (*checked)(void *who, const struct source_failure *failure);
};

/* Equips a new log: its `inquire` asks whether it is final, or does nothing while that is being
 * found out already. */
void inquiry_init(struct source_log *log);

/* Has it grown, is it final by now? Takes the check. */
void inquiry_check(struct source_log *log, struct inquiry_check *check);

/* Cancels everything, tells nobody. */
void inquiry_finish(struct source_log *log);

#endif
