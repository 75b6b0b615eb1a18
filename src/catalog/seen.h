/*
 * seen.h - inside the catalog: jobs by name and id in whatever answer they came, and what this mount
 * has used. Bounded; the catalog's lock protects it.
 */
#ifndef GHLOGFS_CATALOG_SEEN_H
#define GHLOGFS_CATALOG_SEEN_H

#include "catalog/page.h"
#include "list.h"

#define SEEN_MAX                                                                                   \
    65536 /* jobs, each under each of its names; the least recently used are forgotten */
#define SEEN_BUCKETS 65536
#define USED_REPOS_MAX 1024 /* the least recently used are forgotten */
#define USED_JOBS_MAX 4096  /* of one repository */

struct seen_job;

struct seen {
    struct seen_job **buckets; /* SEEN_BUCKETS chains */
    struct list order;         /* of struct seen_job, latest use last */
    unsigned job_count;
    struct list repos; /* of struct used_repo, latest use last */
    unsigned repo_count;
};

int seen_init(struct seen *s);
void seen_finish(struct seen *s);

/* Forgets up to so many jobs, the least recently used first. Whether there was one. */
bool seen_forget(struct seen *s, unsigned count);

/* All jobs of a page. */
void seen_add_page(struct seen *s, const struct repo_name *repo, struct page *p);

/* NULL: never seen, or so long ago that it is forgotten. ret_page is counted for the caller. */
const struct facts_job *seen_find(struct seen *s, const struct repo_name *repo, uint64_t job,
                                  struct page **ret_page);

#endif
