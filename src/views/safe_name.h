/*
 * safe_name.h - names that a server gave, made fit to be file names (S12). Pure; any thread.
 *
 * Names from the server are data: a slash becomes U+2215, control characters (C0, DEL, C1) become _,
 * an empty name, "." and ".." and names that the tree itself uses get the suffix " (<id>)", and what
 * is longer than 255 bytes is cut on a character boundary. Of equal names the lowest id keeps the
 * bare one. The result depends on the set of names only, not on their order.
 */
#ifndef GHLOGFS_VIEWS_SAFE_NAME_H
#define GHLOGFS_VIEWS_SAFE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAFE_NAME_LEN 256 /* with its NUL */

/* Characters only: no suffix, no reserved names. Cut to `max` bytes (at most 255). */
void safe_name_clean(const char *name, size_t max, char ret_name[SAFE_NAME_LEN]);

/* Cut, with a suffix behind it that is kept whole. */
void safe_name_with_suffix(const char *name, const char *suffix, char ret_name[SAFE_NAME_LEN]);

struct safe_name {
    const char *given;
    uint64_t id;
    char name[SAFE_NAME_LEN]; /* out */
};

/* Gives each a name of its own; `reserved` is a NULL-terminated list. -ENOMEM. */
int safe_name_assign(struct safe_name *names, size_t count, const char *const *reserved);

#endif
