/*
 * generated.h - inside the views: cleaned text (S9), and where its steps begin (S10).
 *
 * Cleaned text is a generated log of the cache (cache.h): made once on the views' own thread from the
 * whole of a final log, kept and evicted like any log, so its size is exact (S4). Where the steps
 * begin in it is a small table, kept by a digest of the steps it was cut by.
 */
#ifndef GHLOGFS_VIEWS_GENERATED_H
#define GHLOGFS_VIEWS_GENERATED_H

#include "cache/cache.h"
#include "facts.h"
#include "pending.h"

#define GENERATED_VERSION 1 /* of the cleaned text: another one is another log */

struct generated;
struct store;

struct generated_config {
    struct cache *cache;
    struct store *store;
    struct waits *waits;
    int64_t (*now_ms)(void);
    bool timestamps;
};

/* Becomes the cache's generator of generated logs. */
int generated_create(const struct generated_config *config, struct generated **ret_generated);
/* Ends the thread; waiters must have been failed before (unmounting). */
void generated_stop(struct generated *d);
void generated_destroy(struct generated *d);

/* The id of a job's cleaned text in the cache. */
uint64_t generated_id(const struct generated *d, uint64_t job);

/* Its size and time. Has the log fetched whole where need be. May park. -ENOENT: no log, or not final yet. */
int generated_get_stat(struct generated *d, struct log *text, const struct repo_name *repo,
                       uint64_t job, const struct log_hint *hint, struct waiter *w,
                       struct log_stat *ret_stat);

/* A step's part of the text; `text` has been told (generated_get_stat). May park. -ENOENT: none. */
struct generated_range {
    uint64_t begin, end;
};
int generated_get_step(struct generated *d, struct log *text, const struct repo_name *repo,
                       const struct facts_job *job, unsigned step, struct waiter *w,
                       struct generated_range *ret_range);

#endif
