/*
 * absent.h - what is known not to be had, by name and job, and until when. Bounded; pure but for
 * memory: `now` is an argument, the cache's lock protects it.
 *
 * It never hides a cached log: the cache asks here only when it has nothing under the name (S14).
 */
#ifndef GHLOGFS_CACHE_ABSENT_H
#define GHLOGFS_CACHE_ABSENT_H

#include "source.h"

#define ABSENT_SLOTS 4096

struct absent_slot;

struct absent {
    /* ABSENT_SLOTS of them, by hash; a newer one takes the place of one that ends soon. */
    struct absent_slot *slots;
};

int absent_init(struct absent *t);
void absent_finish(struct absent *t);

/* What is remembered of this job under this name and holds at `now_ms`; NULL: nothing. Valid until the next note. */
const struct source_failure *absent_find(const struct absent *t, const struct repo_name *name,
                                         uint64_t job, int64_t now_ms);

/* Remembers a failure. "Not yet" holds 3 s the first time, twice as long each time after, 30 s at most. */
void absent_note(struct absent *t, const struct repo_name *name, uint64_t job,
                 const struct source_failure *failure, int64_t now_ms);

#endif
