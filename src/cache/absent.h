/*
 * absent.h - failures that are remembered, by name and job, and until when. Bounded; pure but for
 * memory: `now` is an argument, the cache's lock protects it.
 *
 * It never hides a cached log: the cache looks here only if it has nothing under the name (S14).
 */
#ifndef GHLOGFS_CACHE_ABSENT_H
#define GHLOGFS_CACHE_ABSENT_H

#include "source.h"

#define ABSENT_SLOTS 4096

struct absent_slot;

struct absent {
    struct absent_slot *slots; /* ABSENT_SLOTS, by hash; a new one replaces one that ends soon */
};

int absent_init(struct absent *t);
void absent_finish(struct absent *t);

/* The failure of this job under this name that holds at `now_ms`; NULL: none. Valid until the next
 * note. */
const struct source_failure *absent_find(const struct absent *t, const struct repo_name *name,
                                         uint64_t job, int64_t now_ms);

/* Remembers a failure. SOURCE_PENDING holds 3 s the first time, then twice as long each time, up to
 * 30 s. */
void absent_note(struct absent *t, const struct repo_name *name, uint64_t job,
                 const struct source_failure *failure, int64_t now_ms);

#endif
