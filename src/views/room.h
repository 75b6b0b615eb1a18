/*
 * room.h - inside the views: what its files share.
 */
#ifndef GHLOGFS_VIEWS_ROOM_H
#define GHLOGFS_VIEWS_ROOM_H

#include "cache/cache.h"
#include "catalog/catalog.h"
#include "views/views.h"

#define VIEWS_CONTROL ".ghlogfs"
#define VIEWS_FINAL_MS (24 * 3600 * 1000) /* what never changes may be remembered this long */
#define VIEWS_NAME_MAX 255                /* bytes of one name */

struct views {
    struct view_config config;
};

/* --- lookup.c --- */

/* A place below `dir`: its names and ids, not its kind. */
void place_below(const struct place *dir, enum place_kind kind, struct place *ret_place);

/* --- attr.c --- */

enum view_type view_type_of(enum place_kind kind);

/* What the catalog knows of a job, as a hint for the cache. */
void view_job_hint(struct views *v, const struct place *p, struct log_hint *ret_hint);

/* The text of a file that is text in memory (job.json, stats, ...), malloc'd; may park. `final`:
 * it will not change. */
int view_text(struct views *v, const struct place *p, struct waiter *w, char **ret_text,
              size_t *ret_len, bool *ret_final);

/* --- listing.c: making one --- */

struct view_listing *listing_create(void);
/* -ENOMEM. Copies the name. */
int listing_add(struct view_listing *l, const char *name, enum view_type type);
bool listing_has(const struct view_listing *l, const char *name);

#endif
