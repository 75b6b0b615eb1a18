/*
 * walk.h - inside the views: detects a recursive reader (grep -r) in the jobs of a listing, and
 * names the logs to prefetch for it. A listing alone prefetches nothing (S3). Any thread.
 */
#ifndef GHLOGFS_VIEWS_WALK_H
#define GHLOGFS_VIEWS_WALK_H

#include "name.h"

#include <stddef.h>
#include <stdint.h>

struct walk;

/* ahead: logs to be prefetched, 0: none. NULL: no memory. */
struct walk *walk_create(unsigned ahead);
void walk_destroy(struct walk *w);

/* The jobs of a listing in the order in which they were shown. */
void walk_note_listing(struct walk *w, const struct repo_name *repo, const uint64_t *jobs,
                       size_t count);

/* A job's own directory was listed: a reader that opens its log next goes from directory to
 * directory. */
void walk_note_enter(struct walk *w, const struct repo_name *repo, uint64_t job);

/* A job's log was opened: fills in the jobs whose logs are worth fetching now; returns how many. */
size_t walk_note_open(struct walk *w, const struct repo_name *repo, uint64_t job,
                      uint64_t *ret_jobs, size_t cap);

#endif
