/*
 * names.h - names that a server gave, made fit to be file names (S12). Pure; any thread.
 *
 * Names from the server are data: a slash becomes U+2215, control characters (C0, DEL, C1) become
 * _. A name that begins with what tools take for something else (- + | ~ . or a space) gets _ in
 * front. What is longer than 255 bytes is cut on a character boundary. An empty name and names
 * that the tree itself uses get the suffix " (<id>)". Of equal names the lowest id keeps the bare
 * one. The result depends on the set of names only, not on their order.
 */
#ifndef GHLOGFS_VIEWS_NAMES_H
#define GHLOGFS_VIEWS_NAMES_H

#include "facts.h"
#include "name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* rg looks for these in each directory: a repository or workflow of such a name would cost a
 * request each time, and none exists. */
bool name_is_ignore_file(const char *name);

#define SAFE_NAME_LEN 256 /* with its NUL */

/* Characters only, for what becomes a part of a name. Writes at most `max` bytes and a NUL;
 * returns how many bytes. */
size_t safe_name_clean(const char *name, size_t max, char *ret_name);

/* A whole file name of three parts, `name` cut so that they fit. `behind` is kept as it is. */
void safe_name_make(const char *before, const char *name, const char *behind,
                    char ret_name[SAFE_NAME_LEN]);

/* Whether `shown` may be a name that got _ in front, and what that name was: the rest of `shown`.
 * Never "." or "..": they have a meaning in a URL. */
bool safe_name_unmake(const char *shown, const char **ret_given);

struct safe_name {
    const char *given;
    uint64_t id;
    char name[SAFE_NAME_LEN]; /* out */
};

/* Whether the tree itself uses this name, so that nothing else can have it. */
typedef bool safe_name_test(const char *name);

/* By name, for qsort. */
int safe_name_compare(const void *a, const void *b);

/* Gives each a name of its own; `is_taken` may be NULL. -ENOMEM. */
int safe_name_assign(struct safe_name *names, size_t count, safe_name_test *is_taken);

/* --- branches, below branches/ (S12, S19) ---------------------------------------------------- */

/*
 * A branch is spelled part by part, a part for each directory; a fork's first part has its owner in
 * front, "OWNER:main", or "unknown" where the fork was deleted. Parts that become equal when they
 * are made safe are distinguished by ids, as all names are: the id of a part is that of the oldest
 * run it is known from.
 */

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
 * The branch that a path may mean besides the one it spells, if no run of that is known: without
 * the _ in front of parts, and without the ending of parts that would be numbers. malloc'd; the
 * caller frees. False: there is none, or no memory.
 */
bool branch_name_unmake(const char *path, char **ret_name);

#endif
