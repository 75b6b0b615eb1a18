/*
 * reply.h - attributes, usage and directories of views, converted to the structs of FUSE.
 *
 * Pure. Any thread.
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

/* The user who mounted (S16). */
struct reply_owner {
    uid_t uid;
    gid_t gid;
};

void reply_fill_stat(struct reply_owner owner, uint64_t ino, const struct view_attr *attr,
                     struct stat *ret_stat);

/* How long the kernel may cache attributes, and the name, in seconds. */
double reply_seconds(const struct view_attr *attr);
double reply_name_seconds(const struct view_attr *attr);

void reply_fill_statfs(uint64_t used, uint64_t limit, struct statvfs *ret_statfs);

/* Fills `buf` with entries of a listing from a kernel offset on; the bytes used, 0 at the end. An
 * entry's offset is its position in the snapshot (1 after `.`, 2 after `..`, then the listing in
 * its order), so that seekdir() works in any directory. */
size_t reply_fill_entries(fuse_req_t req, const struct node *dir,
                          const struct view_listing *listing, uint64_t offset, char *buf,
                          size_t cap);

#endif
