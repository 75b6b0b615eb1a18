/*
 * named.h - inside the views: the names of a run's jobs, and which job a name means.
 *
 * A job's name depends on all others of its run (S12), so to give them is work for the whole run; who
 * looks up each in turn, as `ls -l` does, does it once. Remembers the runs looked into last. Any
 * thread; its lock is held while names are given, never while anything waits.
 */
#ifndef GHLOGFS_VIEWS_NAMED_H
#define GHLOGFS_VIEWS_NAMED_H

#include "catalog/catalog.h"
#include "views/names.h"

#include <stdint.h>

#define NAMED_RUNS 4

struct named;

struct named *named_create(void); /* NULL: no memory */
void named_destroy(struct named *n);

/* The names of the jobs' directories, in the order of the answer. -ENOMEM; the caller frees. */
int named_make(const struct catalog_answer *jobs, struct safe_name **ret_names);

/* The job of this name among those of a run or attempt. -ENOENT, -ENOMEM. */
int named_find(struct named *n, const struct catalog_answer *jobs, const char *name,
               uint64_t *ret_job);

#endif
