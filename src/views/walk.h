/*
 * walk.h - inside the views: detects a recursive reader (grep -r, rg, cp -r, rsync) in the jobs of
 * a listing, and names the logs to prefetch for it. A listing alone prefetches nothing (S3). Any
 * thread.
 *
 * A sign of such a reader is the first use of a log: it is opened, or its size is asked for and is
 * not here. Readers come in any order: that of the listing, the reverse, that of inode numbers, or
 * several at a time. A thread that has itself listed `jobs/`, and then the job's directory, is one
 * at the first log: a shell has other processes do that, unless both are patterns, as they often
 * are below `runs/`.
 */
#ifndef GHLOGFS_VIEWS_WALK_H
#define GHLOGFS_VIEWS_WALK_H

#include "name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WALK_NEXT_MAX 128 /* logs prefetched at one use */

struct walk;

struct walk_job {
    uint64_t id, run; /* run 0: not known */
};

/* ahead: logs to be prefetched, 0: none. NULL: no memory. */
struct walk *walk_create(unsigned ahead);
void walk_destroy(struct walk *w);

/* The jobs of a listing in the order in which they were shown. `reader`: as in struct waiter, where
 * it shall count; else 0. */
void walk_note_listing(struct walk *w, const struct repo_name *repo, const struct walk_job *jobs,
                       size_t count, int64_t reader);

/* A job's own directory was listed: a reader that uses its log next goes from directory to
 * directory. */
void walk_note_enter(struct walk *w, const struct repo_name *repo, uint64_t job, int64_t reader);

/* What a use of a log gives rise to. */
struct walk_next {
    bool is_walk; /* a recursive reader */
    uint64_t run; /* of the job that was used; 0: not known */
    size_t count; /* of the logs that are worth fetching now */
    struct walk_job jobs[WALK_NEXT_MAX];
};

/* A job's log was used. `is_sign`: opened, or not here; else it counts only if it was prefetched.
 */
void walk_note_use(struct walk *w, const struct repo_name *repo, uint64_t job, bool is_sign,
                   int64_t reader, struct walk_next *ret_next);

/* Whether nobody has taken this run before in the walk that uses this job. */
bool walk_take_run(struct walk *w, const struct repo_name *repo, uint64_t job);

/* The run is to be taken once more, and its logs named again, when the walk goes on. */
void walk_put_back(struct walk *w, const struct repo_name *repo, uint64_t job);

#endif
