/*
 * internal.h - inside the views: what its files share.
 */
#ifndef GHLOGFS_VIEWS_INTERNAL_H
#define GHLOGFS_VIEWS_INTERNAL_H

#include "archive/archive.h"
#include "cache/cache.h"
#include "catalog/catalog.h"
#include "views/generated.h"
#include "views/views.h"
#include "views/walk.h"

#include <stdatomic.h>

#define VIEWS_CONTROL ".ghlogfs"
#define VIEWS_WHOLE_STEP "00-log.txt"     /* the one file of a job without steps */
#define VIEWS_FINAL_MS (24 * 3600 * 1000) /* the kernel may remember this long what never changes */
#define VIEWS_TEXT_MAX 2048               /* bytes of a branch as spelled in a path */

#define VIEWS_TEXTS_BYTES (1 << 20) /* of job.json and run.json kept between lookup and open */

struct attempts;
struct job_names;
struct reports;

struct views {
    struct view_config config;
    _Atomic uint64_t texts_kept; /* bytes */
    struct attempts *attempts;
    struct generated *generated;
    struct reports *reports;
    struct walk *walk, *walk_failed; /* view_walk_in */
    struct archives *archives;
    struct job_names *names;
};

/* --- what a row of the table in kinds.c names ------------------------------------------------ */

/* Finds `name` in a directory by grammar alone (S13). `p` is a vnode below `dir`, of the kind that
 * the row of `dir` names; gets ids or text, and may get another kind. -ENOENT. */
typedef int view_parse(const struct vnode *dir, const char *name, struct vnode *p);

/* The same where requests may be needed. May park. */
typedef int view_look_up(struct views *v, const struct vnode *dir, const char *name,
                         struct waiter *w, struct vnode *p);

/* Adds what `dir` has besides its fixed names. May park: then the listing begins anew. */
typedef int view_list(struct views *v, const struct vnode *dir, struct waiter *w,
                      struct view_listing *l);

/* As views_read_link. */
typedef int view_read_link(struct views *v, const struct vnode *p, struct waiter *w, char *buf,
                           size_t cap);

/* Makes the text of a file; malloc'd. May park. */
typedef int view_make_text(struct views *v, const struct vnode *p, struct waiter *w,
                           char **ret_text, size_t *ret_len);

/* dirs.c: owners, repositories, jobs, runs, steps. */
view_parse dirs_parse_owner, dirs_parse_repo, dirs_parse_job, dirs_parse_run, dirs_parse_attempt;
view_parse dirs_parse_failed_run;
view_look_up dirs_look_up_run_job, dirs_look_up_step;
view_list dirs_list_root, dirs_list_owner, dirs_list_repo, dirs_list_jobs, dirs_list_job;
view_list dirs_list_runs, dirs_list_run, dirs_list_steps, dirs_list_attempts;

/* groups.c: runs by branch, by workflow, and those that failed (S19); by commit and by pull request
 * (S23). */
view_parse groups_parse_branch, groups_parse_in_branch, groups_parse_workflow;
view_parse groups_parse_report, groups_parse_commit, groups_parse_pull;
view_list groups_list_failed, groups_list_branches, groups_list_workflows, groups_list_workflow;
view_list groups_list_commits, groups_list_commit, groups_list_pulls, groups_list_pull;

/* runs.c: links. */
view_read_link runs_read_fixed_link, runs_read_latest_link;

/* file.c: texts in memory. */
view_make_text view_text_of_job, view_text_of_run, view_text_of_attempt, view_text_of_mount;
/* reports.c */
view_make_text view_text_of_report;

/* --- attr.c --- */

void view_attr_of_directory(struct views *v, const struct vnode *p, struct view_attr *ret_attr);
void view_attr_of_text(struct views *v, const struct vnode *p, uint64_t size,
                       struct view_attr *ret_attr);
void view_attr_of_link(struct views *v, const struct vnode *p, size_t target_len, bool is_constant,
                       struct view_attr *ret_attr);
/* May park. */
int view_attr_of_log(struct views *v, const struct vnode *p, struct waiter *w,
                     struct view_attr *ret_attr);

/* --- file.c --- */

/* Makes the text that the vnode stands for from now on; sets its size, sum and, mostly, content.
 * May park. */
int view_text_look_up(struct views *v, struct vnode *p, view_make_text *make, struct waiter *w);
void view_text_unref(struct view_text *t); /* takes NULL */

/* Instead of view_text_look_up: the text will be made when it is asked for. */
int view_text_defer(struct vnode *p);
bool view_text_is_deferred(const struct vnode *p);
/* Of such a text. May park. */
int view_text_get_size(struct views *v, const struct vnode *p, view_make_text *make,
                       struct waiter *w, uint64_t *ret_size);

/* `make` is NULL for a log. */
int view_file_open(struct views *v, const struct vnode *p, view_make_text *make, struct waiter *w,
                   struct view_opened *ret_opened);

/* --- part.c: files that are parts of logs --- */

/* What a VNODE_LOG, VNODE_LOG_TXT or VNODE_STEP is: a part of vnode.log. */
struct view_part {
    uint64_t begin;
    struct log_stat stat; /* size and time are the part's, the rest is the log's */
    bool settled;         /* final, and the name will never mean another part of it */
};

int view_get_part(struct views *v, const struct vnode *p, struct waiter *w,
                  struct view_part *ret_part);

/* The facts of the job that a vnode inside a run is about; may park. */
int view_find_job(struct views *v, const struct vnode *p, struct waiter *w,
                  struct catalog_seen *ret_seen);

/* --- prefetch.c --- */

/* What detects readers that go through the listings where `p` is. A reader in failed/ comes to
 * other logs than one in runs/, though the jobs are in listings of both. */
struct walk *view_walk_in(struct views *v, const struct vnode *p);

/* How the logs of a run come. */
enum view_run_way {
    VIEW_RUN_NOW,   /* they are to be fetched now */
    VIEW_RUN_LATER, /* it has to be tried again when lists have come */
    VIEW_RUN_TRY,   /* the same, when one of them was asked of the shared store */
};

/* Requests the archives that have the logs of this run, as the directory of `p` shows it, where
 * that is worth it and the shared store does not have them. */
enum view_run_way view_want_archives(struct views *v, const struct vnode *p, uint64_t run);

/* What is worth fetching ahead of a reader who goes through a listing. */
struct view_ahead {
    struct vnode of; /* what it has used, without what belongs to that alone */
    struct walk_next next;
    uint64_t later; /* a run whose logs wait for lists; the walk comes back to them */
    uint64_t tried; /* its job whose log is asked of the shared store meanwhile */
};

/* How a file made of a log is used. */
enum view_use {
    VIEW_KNOWN,   /* its size is asked for, and is here */
    VIEW_MISSING, /* and is not */
    VIEW_OPENED,
};

/* Notes the use. If the log is missing, the archive that has it is wanted: the reader can wait for
 * that. */
void view_note_use(struct views *v, const struct vnode *p, enum view_use use,
                   const struct waiter *w, struct view_ahead *ret_ahead);

/* Fetches the rest, once what the reader needs has been requested: its own comes first. */
void view_fetch_ahead(struct views *v, struct view_ahead *a);

/* As archives_config.keep_steps. */
void view_keep_steps(void *views, const struct repo_name *repo, uint64_t job,
                     const struct archive_step *steps, size_t count);

/* --- listing.c: making one --- */

struct view_listing *listing_create(void);
/* -ENOMEM. Copies the name. */
int listing_add(struct view_listing *l, const char *name, enum view_type type);
int listing_add_id(struct view_listing *l, uint64_t id, enum view_type type);

#endif
