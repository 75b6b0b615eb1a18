/*
 * branch_name.h - inside the views: how branches are spelled under branches/ (S12, S19). Pure.
 *
 * A branch is spelled part by part, a part for each directory; a fork's first part has its owner in
 * front, "OWNER:main", or "unknown" where the fork was deleted. Parts that become equal when they are
 * made safe are told apart by ids, as all names are: the id of a part is that of the oldest run it is
 * known from.
 */
#ifndef GHLOGFS_VIEWS_BRANCH_NAME_H
#define GHLOGFS_VIEWS_BRANCH_NAME_H

#include "facts.h"
#include "name.h"
#include "views/safe_name.h"

/* The runs that branches are known from. What is made of them points into them. */
struct branch_runs {
    const struct facts_run *const *runs;
    size_t count;
};

/* A directory below branches/, as GitHub knows it. */
struct branch_dir {
    const char *fork; /* the owner of the fork, or "unknown"; "": the repository's own */
    const char *name; /* its first `len` bytes lead here; NULL: branches/ itself */
    size_t len;
};

/* The directories in one directory, in the order of the runs. */
struct branch_parts {
    struct safe_name *shown;
    struct branch_dir *dirs; /* what each is */
    size_t count;
};

/* -ENOMEM. */
int branch_parts_make(const struct branch_runs *runs, const struct branch_dir *dir,
                      struct branch_parts *ret_parts);
void branch_parts_finish(struct branch_parts *parts);

/* What a path below branches/ is. -ENOENT: no known run has such a branch. -ENOMEM. */
int branch_dir_find(const struct branch_runs *runs, const char *path, struct branch_dir *ret_dir);

/* Whether the run is of exactly this branch; whether any of the known ones is. */
bool branch_dir_has_run(const struct branch_dir *dir, const struct facts_run *run);
bool branch_dir_has_runs(const struct branch_runs *runs, const struct branch_dir *dir);

/*
 * The branch that a path may stand for besides the one it spells, where no run of it is known:
 * without the _ in front of parts and the ending of those that would be numbers. malloc'd, for the
 * caller to free. False: there is none, or no memory.
 */
bool branch_name_unmake(const char *path, char **ret_name);

#endif
