/*
 * room.h - inside the views: what its files share.
 */
#ifndef GHLOGFS_VIEWS_ROOM_H
#define GHLOGFS_VIEWS_ROOM_H

#include "cache/cache.h"
#include "catalog/catalog.h"
#include "views/derived.h"
#include "views/named.h"
#include "views/views.h"
#include "views/walk.h"

#define VIEWS_CONTROL ".ghlogfs"
#define VIEWS_WHOLE_STEP "00-log.txt"     /* the one file of a job that has no steps */
#define VIEWS_FINAL_MS (24 * 3600 * 1000) /* what never changes may be remembered this long */
#define VIEWS_TEXT_MAX 768                /* bytes of a branch as spelled in a path */

struct views {
    struct view_config config;
    struct derived *derived;
    struct walk *walk;
    struct named *named;
};

/* --- attr.c --- */

/* What the catalog knows of a job, as a hint for the cache. */
void view_job_hint(struct views *v, const struct place *p, struct log_hint *ret_hint);

/* --- text.c --- */

/* The text of a file that is text in memory (job.json, stats, ...), malloc'd; may park. The same
 * may look different a moment later: as a listing has it, or as it was asked by itself. */
int view_text(struct views *v, const struct place *p, struct waiter *w, char **ret_text,
              size_t *ret_len);

/* --- part.c: files that are parts of logs --- */

/* What a PLACE_LOG, PLACE_LOG_TXT or PLACE_STEP is: a part of place.log. */
struct view_part {
    uint64_t begin, size;
    int64_t mtime_ms;
    bool final;
    bool lasting; /* the kernel may remember the size */
};

int view_get_part(struct views *v, const struct place *p, struct waiter *w,
                  struct view_part *ret_part);

/* The facts of the job that a place inside a run is about; may park. */
int view_find_job(struct views *v, const struct place *p, struct waiter *w,
                  struct catalog_seen *ret_seen);

/* --- listing.c: making one --- */

struct view_listing *listing_create(void);
/* -ENOMEM. Copies the name. */
int listing_add(struct view_listing *l, const char *name, enum view_type type);
bool listing_has(const struct view_listing *l, const char *name);

#endif
