/*
 * derived.h - inside the views: cleaned text (S9), and where its steps begin (S10).
 *
 * Cleaned text is a derived log of the cache (cache.h): made once on the views' own thread from the
 * whole of a final log, kept and evicted like any log, so its size is exact (S4). Where the steps
 * begin in it is a small table, kept by a digest of the steps it was cut by.
 */
#ifndef GHLOGFS_VIEWS_DERIVED_H
#define GHLOGFS_VIEWS_DERIVED_H

#include "cache/cache.h"
#include "facts.h"
#include "pending.h"

#define DERIVED_VERSION 1 /* of the cleaned text: another one is another log */

struct derived;
struct store;

struct derived_config {
    struct cache *cache;
    struct store *store;
    struct pending_hall *hall;
    int64_t (*now_ms)(void);
    bool timestamps;
};

/* Becomes the cache's maker of derived logs. */
int derived_create(const struct derived_config *config, struct derived **ret_derived);
/* Ends the thread; waiters must have been failed before (unmounting). */
void derived_stop(struct derived *d);
void derived_destroy(struct derived *d);

/* The id of a job's cleaned text in the cache. */
uint64_t derived_id(const struct derived *d, uint64_t job);

/* Its size and time. Has the log fetched whole where need be. May park. -ENOENT: no log, or not final yet. */
int derived_get_stat(struct derived *d, struct log *text, const struct repo_name *repo,
                     uint64_t job, const struct log_hint *hint, struct waiter *w,
                     struct log_stat *ret_stat);

/* A step's part of the text; `text` has been told (derived_get_stat). May park. -ENOENT: none. */
struct derived_range {
    uint64_t begin, end;
};
int derived_get_step(struct derived *d, struct log *text, const struct repo_name *repo,
                     const struct facts_job *job, unsigned step, struct waiter *w,
                     struct derived_range *ret_range);

#endif
