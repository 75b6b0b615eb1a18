/*
 * reply.h - what the kernel is told of an attribute, a usage, a directory: our structs to FUSE's.
 *
 * Pure but for the owner's ids, which are read once. Any thread.
 */
#ifndef GHLOGFS_FS_REPLY_H
#define GHLOGFS_FS_REPLY_H

#include "fs/tree.h"
#include "views/views.h"

#include <fuse_lowlevel.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Read-only, owned by who mounted (S16). */
struct reply_owner {
    uid_t uid;
    gid_t gid;
};

void reply_fill_stat(struct reply_owner owner, uint64_t ino, const struct view_attr *attr,
                     struct stat *ret_stat);

/* How long the kernel may remember, in seconds: the file, and its name. */
double reply_seconds(const struct view_attr *attr);
double reply_name_seconds(const struct view_attr *attr);

void reply_fill_statfs(uint64_t used, uint64_t limit, struct statvfs *ret_statfs);

/* Fills `buf` with entries of a listing from a kernel offset on; the bytes used, 0 at the end. An
 * entry's offset is its position in the snapshot (1 after `.`, 2 after `..`, then the listing in its
 * order), so that seekdir() works in any directory. */
size_t reply_fill_entries(fuse_req_t req, const struct node *dir,
                          const struct view_listing *listing, uint64_t offset, char *buf,
                          size_t cap);

#endif
