/*
 * safe_name.h - names that a server gave, made fit to be file names (S12). Pure; any thread.
 *
 * Names from the server are data: a slash becomes U+2215, control characters (C0, DEL, C1) become _.
 * A name that begins with what tools take for something else (- + | ~ . or a space) gets _ in front.
 * What is longer than 255 bytes is cut on a character boundary. An empty name and names that the tree
 * itself uses get the suffix " (<id>)". Of equal names the lowest id keeps the bare one. The result
 * depends on the set of names only, not on their order.
 */
#ifndef GHLOGFS_VIEWS_SAFE_NAME_H
#define GHLOGFS_VIEWS_SAFE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAFE_NAME_LEN 256 /* with its NUL */

/* Characters only, for what becomes a part of a name. Cut to `max` bytes (at most 255). */
void safe_name_clean(const char *name, size_t max, char ret_name[SAFE_NAME_LEN]);

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

/* Gives each a name of its own; `is_taken` may be NULL. -ENOMEM. */
int safe_name_assign(struct safe_name *names, size_t count, safe_name_test *is_taken);

#endif
