#include "fs/reply.h"

#include <string.h>

/* The unit in which cat and cp read. With 128 KiB tail(1) asks for little of a large cold log. */
#define BLOCK_SIZE (128 * 1024)
#define STATFS_BLOCK (64 * 1024)
#define NAME_BYTES 255

static mode_t mode_of(enum view_type type)
{
    switch (type) {
    case VIEW_DIRECTORY: return S_IFDIR | 0555;
    case VIEW_LINK: return S_IFLNK | 0777;
    case VIEW_FILE: break;
    }
    return S_IFREG | 0444;
}

/* Times before 1970 round down as well. */
static struct timespec time_of(int64_t ms)
{
    int64_t rest = ms % 1000 < 0 ? ms % 1000 + 1000 : ms % 1000;

    return (struct timespec){.tv_sec = (time_t)((ms - rest) / 1000), .tv_nsec = rest * 1000000};
}

void reply_fill_stat(struct reply_owner owner, uint64_t ino, const struct view_attr *attr,
                     struct stat *ret_stat)
{
    memset(ret_stat, 0, sizeof(*ret_stat));
    ret_stat->st_ino = ino;
    ret_stat->st_mode = mode_of(attr->type);
    /* Of directories too: given 2 + subdirectories, find(1) would rely on it and skip some. */
    ret_stat->st_nlink = 1;
    ret_stat->st_uid = owner.uid;
    ret_stat->st_gid = owner.gid;
    ret_stat->st_size = (off_t)attr->size;
    ret_stat->st_blocks = (blkcnt_t)((attr->size + 511) / 512);
    ret_stat->st_blksize = BLOCK_SIZE;
    ret_stat->st_mtim = ret_stat->st_atim = time_of(attr->mtime_ms);
    ret_stat->st_ctim = time_of(attr->ctime_ms ? attr->ctime_ms : attr->mtime_ms);
}

double reply_seconds(const struct view_attr *attr)
{
    return attr->valid_ms > 0 ? (double)attr->valid_ms / 1000 : 0;
}

double reply_name_seconds(const struct view_attr *attr)
{
    return attr->name_ms > 0 ? (double)attr->name_ms / 1000 : reply_seconds(attr);
}

void reply_fill_statfs(uint64_t used, uint64_t limit, struct statvfs *ret_statfs)
{
    memset(ret_statfs, 0, sizeof(*ret_statfs));
    ret_statfs->f_bsize = ret_statfs->f_frsize = STATFS_BLOCK;
    ret_statfs->f_blocks = limit / STATFS_BLOCK;
    ret_statfs->f_bfree = used < limit ? (limit - used) / STATFS_BLOCK : 0;
    ret_statfs->f_bavail = ret_statfs->f_bfree;
    ret_statfs->f_namemax = NAME_BYTES;
}

size_t reply_fill_entries(fuse_req_t req, const struct node *dir,
                          const struct view_listing *listing, uint64_t offset, char *buf,
                          size_t cap)
{
    const struct node *parent = dir->parent ? dir->parent : dir;
    size_t len = 0;

    for (;; offset++) {
        struct view_entry entry;
        struct stat st = {0};
        size_t used;

        if (offset < 2) {
            entry = (struct view_entry){offset ? ".." : ".", VIEW_DIRECTORY};
            st.st_ino = offset ? parent->ino : dir->ino;
        } else if (views_listing_get(listing, offset - 2, &entry)) {
            st.st_ino = views_ino(dir->ino, entry.name);
        } else {
            return len;
        }
        st.st_mode = mode_of(entry.type);
        used = fuse_add_direntry(req, buf + len, cap - len, entry.name, &st, (off_t)offset + 1);
        if (used > cap - len)
            return len;
        len += used;
    }
}
