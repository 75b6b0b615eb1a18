/*
 * belief.h - what to believe of storage's answers about a log: its size and its ETag.
 *
 * One answer may be wrong, and what it said may have been told to a reader already. So answers are
 * counted. A size is told when an answer says it that leaves no doubt: it brings all that was asked
 * for, or says that there is no more. Other sizes (a length that stands alone, a part shorter than
 * asked for) are told once more answers agree than may be wrong unnoticed (R1). Of a log that may
 * still grow a larger size is no contradiction.
 *
 * An answer that contradicts what was told is refused, and asked for again. When as many in a row
 * contradict it alike, the last of them with the start of the log once more, byte by byte the same,
 * the belief was wrong: the right size is told. Where that start, or both size and ETag, are
 * others, storage has another log by now, and what was begun cannot be finished.
 *
 * Network thread only.
 */
#ifndef GHLOGFS_GITHUB_BELIEF_H
#define GHLOGFS_GITHUB_BELIEF_H

#include "github/remote.h"
#include "github/sight.h"

#define BELIEF_VOTES 4 /* one more than the faults that must not be noticed (R1) */

/*
 * An answer of storage is taken into account: its size, if it is known, and what it proves.
 * after_completion: it was asked for after the job was seen completed. whole: the stream under way
 * brings all of the log to who wants it. on_metadata() may be called. -ESTALE: it contradicts what is
 * believed; else what on_metadata() refused it with.
 */
int belief_see(struct source_log *log, const struct sight *s, bool after_completion, bool whole);

/* The size seen is that of a running job's log. 0, or what on_metadata() refused it with. */
int belief_tell_growing(struct source_log *log);

/* Bytes of the log were delivered: its start is remembered, to know it again. */
void belief_note_bytes(struct source_log *log, uint64_t offset, const char *data, size_t len);
uint64_t belief_digest(uint64_t digest, const char *data, size_t len);

/* log->second has come: the start of the log, asked for once more. */
void belief_judge(struct source_log *log);

#endif
