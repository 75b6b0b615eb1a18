/*
 * internal.h - inside the views: what its files share.
 */
#ifndef GHLOGFS_VIEWS_INTERNAL_H
#define GHLOGFS_VIEWS_INTERNAL_H

#include "cache/cache.h"
#include "catalog/catalog.h"
#include "views/generated.h"
#include "views/views.h"
#include "views/walk.h"

#include <stdatomic.h>

#define VIEWS_CONTROL ".ghlogfs"
#define VIEWS_WHOLE_STEP "00-log.txt"     /* the one file of a job that has no steps */
#define VIEWS_FINAL_MS (24 * 3600 * 1000) /* what never changes may be remembered this long */
#define VIEWS_TEXT_MAX 2048               /* bytes of a branch as spelled in a path */

#define VIEWS_TEXTS_BYTES (1 << 20) /* of job.json and run.json kept between lookup and open */

struct attempts;

struct views {
    struct view_config config;
    _Atomic uint64_t texts_kept; /* bytes */
    struct attempts *attempts;
    struct generated *generated;
    struct walk *walk;
    struct named *named;
};

/* --- attr.c --- */

/* What the catalog knows of a job, as a hint for the cache. */
void view_job_hint(struct views *v, const struct vnode *p, struct log_hint *ret_hint);

/* Whether the job is known to have ended and not to have a log (S19). */
bool view_has_no_log(struct views *v, const struct vnode *p);

/* --- text.c --- */

/* A file that is text in memory (job.json, stats, ...), as it was at one moment. Constant but for
 * its time, and counted. */
struct view_text {
    atomic_uint refs;
    _Atomic int64_t made_ms;  /* or seen again */
    _Atomic uint64_t *budget; /* its bytes count towards this; NULL: towards none */
    char *bytes;
    size_t len;
};

/* Whether a vnode of this kind is such a file. */
bool view_is_text(enum vnode_kind kind);

/* Makes the text that the vnode stands for from now on; sets its size, sum and, mostly, content.
 * May park. */
int view_text_look_up(struct views *v, struct vnode *p, struct waiter *w);

/* The text of a vnode that was looked up. Where that was a while ago it is made anew, and may have
 * become another: ret_is_same false. May park. */
int view_text_open(struct views *v, const struct vnode *p, struct waiter *w,
                   struct view_text **ret_text, bool *ret_is_same);
struct view_text *view_text_ref(struct view_text *t);
void view_text_unref(struct view_text *t); /* takes NULL */

/* --- part.c: files that are parts of logs --- */

/* What a VNODE_LOG, VNODE_LOG_TXT or VNODE_STEP is: a part of vnode.log. */
struct view_part {
    uint64_t begin, size;
    int64_t mtime_ms;
    bool final;   /* the log will never change */
    bool settled; /* nor will the name mean another part of it */
    bool lasting; /* the kernel may remember the size */
};

int view_get_part(struct views *v, const struct vnode *p, struct waiter *w,
                  struct view_part *ret_part);

/* The facts of the job that a vnode inside a run is about; may park. */
int view_find_job(struct views *v, const struct vnode *p, struct waiter *w,
                  struct catalog_seen *ret_seen);

/* --- listing.c: making one --- */

struct view_listing *listing_create(void);
/* -ENOMEM. Copies the name. */
int listing_add(struct view_listing *l, const char *name, enum view_type type);

#endif
