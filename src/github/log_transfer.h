/*
 * log_transfer.h - bytes of a log from storage, and whether the log will still change.
 *
 * A transfer brings one range, in as many attempts as it takes. An attempt that fails is continued
 * at the first byte that was not delivered. Never delivered: bytes of a response that does not fit
 * what was asked, bytes beyond what was promised.
 *
 * The finality check (S8, S11) finds out whether a log will still change, where storage's responses
 * do not show it. One request asks for the job, for all who wait. Completed: the end of the log is
 * requested once more over the same URL, since what was seen may be older than the job's end; then
 * it is final. Not completed: it is a running job's log. The job's answer is given to the listener.
 * A running job's log is checked in the same steps: its end over the URL as long as storage takes
 * it, which costs nothing, and the job with its ETag once a minute.
 *
 * Network thread only, but for source_log_create.
 */
#ifndef GHLOGFS_GITHUB_LOG_TRANSFER_H
#define GHLOGFS_GITHUB_LOG_TRANSFER_H

#include "github/log_state.h"
#include "source.h"

/* NULL: no memory. Any thread. */
struct source_log *source_log_create(struct core *core, const struct repo_name *repo, uint64_t job,
                                     bool completed, const struct source_log_ops *ops, void *who,
                                     struct progress_wait *waits_for);

/* Cancels the check and its requests without callbacks, frees the log. No range may be wanted. */
void source_log_destroy(struct source_log *log);

/* Fetches what is wanted; b->done ends it. */
void log_transfer_begin(struct source_bytes *b);

/* Checks whether the log has grown or become final. checked() is called once, at the end. */
void source_log_check(struct source_log *log,
                      void (*checked)(void *who, const struct source_failure *failure));

#endif
