/*
 * range.h - bytes of a log from storage: one range, in as many tries as it takes.
 *
 * A try that fails is taken up at the first byte that was not delivered. Never delivered: bytes of
 * an answer that does not fit what was asked, bytes beyond what was promised. Without a want a
 * range only looks whether the log has grown behind its known end, and delivers nothing. Network
 * thread only.
 */
#ifndef GHLOGFS_GITHUB_RANGE_H
#define GHLOGFS_GITHUB_RANGE_H

#include "github/log_state.h"
#include "source.h"

struct range;

/* Fetches what is wanted; b->done ends it. */
void range_begin(struct source_log *log, struct source_bytes *b);

/* Looks at the end of a log of known size; what it finds goes through log_state_learn. Ends with seen.
 * NULL: no memory. The first step is taken by range_start. */
struct range *range_make_end(struct source_log *log,
                             void (*seen)(struct source_log *log,
                                          const struct source_failure *failure));
void range_start(struct range *r);

/* Asks for the start of a log once more, as far as it was delivered: what it finds is log->recheck_info.
 * As range_make_end. */
struct range *range_make_opinion(struct source_log *log,
                                 void (*seen)(struct source_log *log,
                                              const struct source_failure *failure));

/* Ends it without a word. */
void range_cancel(struct range *r);

#endif
