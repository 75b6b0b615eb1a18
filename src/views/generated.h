/*
 * generated.h - inside the views: generated texts, which are made of logs: cleaned text (S9); and
 * where the steps begin in it (S10). Its thread, the text thread, also runs what reads many logs
 * for one text (reports.h).
 *
 * A generated text is a log of the cache (cache.h) whose source is this file: its thread, the text
 * thread, reads the job's log, final and whole, and writes the text. It is made once, kept and
 * evicted like any log, so its size is exact (S4). Where steps begin is found out on the same
 * thread, once, and is kept by the digest of the steps that the job had then.
 *
 * Any thread; no call waits, for the text thread as little as for the network.
 */
#ifndef GHLOGFS_VIEWS_GENERATED_H
#define GHLOGFS_VIEWS_GENERATED_H

#include "cache/cache.h"
#include "facts.h"
#include "pending.h"
#include "tasks.h"
#include "text/cut.h"

#define GENERATED_TABLES_MAX 256 /* jobs whose steps are known in memory; the oldest are dropped */

struct generated;
struct store;

struct generated_config {
    struct cache *cache;
    struct store *store;
    struct waits *waits;
    int64_t (*now_ms)(void);
    bool timestamps; /* kept in cleaned text */
};

/* Becomes the cache's source of generated logs. */
int generated_create(const struct generated_config *config, struct generated **ret_generated);
/* Ends the thread; after waits_fail_all, for the thread waits there too. */
void generated_stop(struct generated *g);
void generated_destroy(struct generated *g);

/* The id of a job's cleaned text in the cache. */
uint64_t generated_id(const struct generated *g, uint64_t job);

/* Size and time of the cleaned text. Has the log fetched whole where need be. May park. -ENOENT:
 * the job has no log, or it is not final yet. */
int generated_get_stat(struct generated *g, struct log *text, const struct repo_name *repo,
                       uint64_t job, const struct log_hint *hint, struct waiter *w,
                       struct log_stat *ret_stat);

/* The step's part of the text, whose stat is known (generated_get_stat). May park. -ENOENT:
 * none. */
int generated_get_step(struct generated *g, struct log *text, const struct repo_name *repo,
                       const struct facts_job *job, unsigned step, struct waiter *w,
                       struct text_range *ret_range);

/* --- for tasks on the text thread ------------------------------------------------------------ */

/* Runs the task there, after what was posted before. Any thread. */
void generated_post(struct generated *g, struct task *task);

/* Gets the cleaned text in pieces; a negative errno ends the reading. */
typedef int generated_text_fn(void *who, const char *data, size_t len);

/*
 * Hands on the cleaned text of a job, whose log should be present and whole: while what was evicted
 * of it is fetched again, the thread waits. -ENOENT: there is no such log, or it is not final;
 * -ECONNABORTED: generated_stop.
 */
int generated_read(struct generated *g, const struct repo_name *repo, uint64_t job,
                   generated_text_fn *on_text, void *who);

/* Where each of the job's steps begins in it. May read the log, as generated_read does. */
int generated_cut(struct generated *g, const struct repo_name *repo, const struct facts_job *job,
                  struct text_range *ret_ranges);

#endif
