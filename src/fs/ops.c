#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define XATTR_PREFIX "user.ghlogfs."
#define MOST_BACKGROUND 65535 /* what the protocol can carry */

_Static_assert(sizeof(fuse_ino_t) >= sizeof(void *), "a node's address is its nodeid");
_Static_assert(TREE_ROOT_ID == FUSE_ROOT_ID, "the root's nodeid");

static struct ops *ops_of(const struct request *r)
{
    return request_get_userdata(r);
}

/* A request that may wait, about a node; NULL: answered, there is no memory. */
static struct request *ask(fuse_req_t req, fuse_ino_t id, request_step *step, const char *name)
{
    struct ops *o = fuse_req_userdata(req);
    struct request *r = request_create(o->requests, req, step, name);

    if (r)
        r->node = tree_get_node(o->tree, id);
    return r;
}

/* One with no further argument. */
static void ask_and_start(fuse_req_t req, fuse_ino_t id, request_step *step, const char *name)
{
    struct request *r = ask(req, id, step, name);

    if (r)
        request_start(r);
}

/* --- connection ----------------------------------------------------------------------------- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    struct ops *o = userdata;

    /* Sizes are exact, contents do not change, and listings are answered from a snapshot. Not
     * EXPLICIT_INVAL_DATA: grown files would read as zeros. SPLICE_MOVE is slow with a large
     * readahead. */
    conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_EXPLICIT_INVAL_DATA |
                              FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
                              FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_MOVE |
                              FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_IOCTL_DIR);
    conn->want |= conn->capable &
                  (FUSE_CAP_ASYNC_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_PARALLEL_DIROPS);
    /* Else the kernel lets 12 readaheads out at a time: those who wait hold up those who do not. */
    conn->max_read = OPS_READ_MAX;
    conn->max_background = MOST_BACKGROUND;
    conn->congestion_threshold = MOST_BACKGROUND;
    atomic_store(&o->greeted, true);
}

static void op_statfs(fuse_req_t req, fuse_ino_t id)
{
    struct ops *o = fuse_req_userdata(req);
    struct statvfs st;
    uint64_t used, limit;

    (void)id;
    views_get_usage(o->views, &used, &limit);
    reply_fill_statfs(used, limit, &st);
    fuse_reply_statfs(req, &st);
}

static void fill_stat(struct ops *o, struct node *n, struct view_attr *attr, struct stat *ret_stat)
{
    if (attr->type == VIEW_DIRECTORY) {
        int64_t shown_ms = tree_show_time(o->tree, n, attr->mtime_ms);

        if (shown_ms != attr->mtime_ms)
            attr->valid_ms = 0; /* the kernel shall ask again once it is released */
        attr->mtime_ms = shown_ms;
    }
    reply_fill_stat(o->owner, n->ino, attr, ret_stat);
}

/* --- names ---------------------------------------------------------------------------------- */

static int step_lookup(struct request *r)
{
    struct ops *o = ops_of(r);
    struct fuse_entry_param entry = {0};
    struct view_attr attr;
    struct node *n;
    int rc = 0;

    if (!r->has_vnode)
        rc = views_lookup(o->views, &r->node->vnode, r->name, &r->waiter, &r->vnode);
    if (rc)
        return rc;
    r->has_vnode = true; /* kept while waiting: nothing else may hold what is waited for */
    rc = views_get_attr(o->views, &r->vnode, &r->waiter, &attr);
    if (rc)
        return rc;
    r->has_vnode = false;
    rc = tree_intern(o->tree, r->node, r->name, &r->vnode, &n);
    if (rc)
        return rc;
    fill_stat(o, n, &attr, &entry.attr);
    entry.ino = tree_get_id(o->tree, n);
    entry.attr_timeout = reply_seconds(&attr);
    entry.entry_timeout = reply_name_seconds(&attr);
    if (fuse_reply_entry(request_take(r), &entry) < 0)
        tree_forget(o->tree, n, 1);
    return 0;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    ask_and_start(req, parent, step_lookup, name);
}

static void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t count)
{
    struct ops *o = fuse_req_userdata(req);

    tree_forget(o->tree, tree_get_node(o->tree, id), count);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    struct ops *o = fuse_req_userdata(req);

    for (size_t i = 0; i < count; i++)
        tree_forget(o->tree, tree_get_node(o->tree, forgets[i].ino), forgets[i].nlookup);
    fuse_reply_none(req);
}

static int step_get_attr(struct request *r)
{
    struct ops *o = ops_of(r);
    struct view_attr attr;
    struct stat st;
    int rc = views_get_attr(o->views, &r->node->vnode, &r->waiter, &attr);

    if (rc)
        return rc;
    fill_stat(o, r->node, &attr, &st);
    fuse_reply_attr(request_take(r), &st, reply_seconds(&attr));
    return 0;
}

static void op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    (void)fi;
    ask_and_start(req, id, step_get_attr, NULL);
}

static int step_read_link(struct request *r)
{
    char target[PATH_MAX];
    int rc = views_read_link(ops_of(r)->views, &r->node->vnode, &r->waiter, target, sizeof(target));

    if (rc)
        return rc;
    fuse_reply_readlink(request_take(r), target);
    return 0;
}

static void op_readlink(fuse_req_t req, fuse_ino_t id)
{
    ask_and_start(req, id, step_read_link, NULL);
}

static void reply_value(fuse_req_t req, const char *value, size_t cap)
{
    size_t len = strlen(value);

    if (cap == 0)
        fuse_reply_xattr(req, len);
    else if (cap < len)
        fuse_reply_err(req, ERANGE);
    else
        fuse_reply_buf(req, value, len);
}

static int step_get_xattr(struct request *r)
{
    char *value;
    int rc = views_get_xattr(ops_of(r)->views, &r->node->vnode, r->name, &r->waiter, &value);

    if (rc)
        return rc;
    reply_value(request_take(r), value, r->size);
    free(value);
    return 0;
}

/* `ls -l` asks for ACLs and labels of each file: no for all that is not ours, at once (S17). */
static void op_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t cap)
{
    struct request *r;

    if (strncmp(name, XATTR_PREFIX, strlen(XATTR_PREFIX)) != 0) {
        fuse_reply_err(req, ENODATA);
        return;
    }
    r = ask(req, id, step_get_xattr, name);
    if (!r)
        return;
    r->size = cap;
    request_start(r);
}

/* They are there for who knows their names; cp -a and rsync -X shall not carry them off. */
static void op_listxattr(fuse_req_t req, fuse_ino_t id, size_t cap)
{
    (void)id;
    reply_value(req, "", cap);
}

/* --- directories ---------------------------------------------------------------------------- */

static void close_dir(struct ops *o, struct node *n, uint64_t number)
{
    handles_close(o->handles, number);
    tree_released(o->tree, n);
}

/* Answers with a handle on the listing, which it takes. */
static int reply_opened_dir(struct request *r, struct view_listing *listing)
{
    struct ops *o = ops_of(r);
    struct node *n = r->node;
    struct fuse_file_info fi = {0};
    int rc = handles_open(o->handles, NULL, listing, &fi.fh);

    if (rc)
        return rc;
    tree_opened(o->tree, n);
    if (fuse_reply_open(request_take(r), &fi) < 0)
        close_dir(o, n, fi.fh);
    return 0;
}

static int step_open_dir(struct request *r)
{
    struct view_listing *listing;
    int rc = views_list(ops_of(r)->views, &r->node->vnode, &r->waiter, &listing);

    return rc ? rc : reply_opened_dir(r, listing);
}

/* Who opens without O_DIRECTORY (df, stat -f) asks about the file system and must not wait (S16); who
 * then reads after all is given the listing at the first READDIR. */
static void open_dir_unread(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    struct ops *o = fuse_req_userdata(req);
    struct node *n = tree_get_node(o->tree, id);
    int rc = handles_open(o->handles, NULL, NULL, &fi->fh);

    if (rc) {
        fuse_reply_err(req, -rc);
        return;
    }
    tree_opened(o->tree, n);
    if (fuse_reply_open(req, fi) < 0)
        close_dir(o, n, fi->fh);
}

static void op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    if (fi->flags & O_DIRECTORY)
        ask_and_start(req, id, step_open_dir, NULL);
    else
        open_dir_unread(req, id, fi);
}

static void reply_entries(fuse_req_t req, const struct node *dir,
                          const struct view_listing *listing, uint64_t offset, size_t size)
{
    char *buf = malloc(size);

    if (!buf) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    fuse_reply_buf(req, buf, reply_fill_entries(req, dir, listing, offset, buf, size));
    free(buf);
}

static int step_read_dir(struct request *r)
{
    struct handles *all = ops_of(r)->handles;
    const struct view_listing *listing = handles_get_listing(all, r->handle);
    struct view_listing *fresh;

    if (!listing) {
        int rc = views_list(ops_of(r)->views, &r->node->vnode, &r->waiter, &fresh);
        if (rc)
            return rc;
        listing = handles_set_listing(all, r->handle, fresh);
    }
    reply_entries(request_take(r), r->node, listing, r->offset, r->size);
    return 0;
}

static void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    struct request *r = ask(req, id, step_read_dir, NULL);

    if (!r)
        return;
    r->handle = handles_get(fi->fh);
    r->offset = (uint64_t)offset;
    r->size = size;
    request_start(r);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    struct ops *o = fuse_req_userdata(req);

    close_dir(o, tree_get_node(o->tree, id), fi->fh);
    fuse_reply_err(req, 0);
}

/* --- files ---------------------------------------------------------------------------------- */

/* Answers with a handle on the file, which it takes. */
static int reply_opened(struct request *r, struct view_file *file, struct fuse_file_info *fi)
{
    struct ops *o = ops_of(r);
    int rc = handles_open(o->handles, file, NULL, &fi->fh);

    if (rc)
        return rc;
    if (fuse_reply_open(request_take(r), fi) < 0)
        handles_close(o->handles, fi->fh);
    return 0;
}

static void op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    struct ops *o = fuse_req_userdata(req);

    (void)id;
    handles_close(o->handles, fi->fh);
    fuse_reply_err(req, 0);
}

static int step_open(struct request *r)
{
    struct fuse_file_info fi = {0};
    struct view_opened opened;
    int rc = views_open(ops_of(r)->views, &r->node->vnode, &r->waiter, &opened);

    if (rc)
        return rc;
    fi.direct_io = opened.direct;
    fi.keep_cache = opened.keep_cache && !opened.direct;
    fi.noflush = 1;
    return reply_opened(r, opened.file, &fi);
}

static void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    if ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC) {
        fuse_reply_err(req, EROFS);
        return;
    }
    ask_and_start(req, id, step_open, NULL);
}

/* A file that somebody cut behind our back would be spliced short, which to the kernel is its end
 * for good (S6). */
static bool is_all_there(const struct view_bytes *bytes)
{
    struct stat st;

    return fstat(bytes->fd, &st) == 0 && (uint64_t)st.st_size >= bytes->offset + bytes->len;
}

static void reply_bytes(fuse_req_t req, const struct view_bytes *bytes)
{
    struct fuse_bufvec spliced = FUSE_BUFVEC_INIT(bytes->len);

    if (bytes->fd < 0 || bytes->len == 0) {
        fuse_reply_buf(req, bytes->data, bytes->len);
        return;
    }
    if (!is_all_there(bytes)) {
        fuse_reply_err(req, EIO);
        return;
    }
    spliced.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
    spliced.buf[0].fd = bytes->fd;
    spliced.buf[0].pos = (off_t)bytes->offset;
    fuse_reply_data(req, &spliced, 0);
}

/* The kernel asks for them anew, and ignores those that are on their way to it. */
static void forget_attr(struct ops *o, struct node *n)
{
    fuse_lowlevel_notify_inval_inode(o->fuse, tree_get_id(o->tree, n), -1, 0);
}

static int step_read(struct request *r)
{
    struct view_bytes bytes;
    int rc = views_read(r->file, r->offset, r->size, &r->waiter, &bytes);

    if (rc == VIEWS_READ_AGAIN) {
        forget_attr(ops_of(r), r->node);
        rc = -EIO;
    }
    if (rc)
        return rc;
    reply_bytes(request_take(r), &bytes);
    views_bytes_done(&bytes);
    return 0;
}

static void op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    struct request *r = ask(req, id, step_read, NULL);

    if (!r)
        return;
    r->file = handles_get(fi->fh)->file;
    r->offset = (uint64_t)offset;
    r->size = size;
    request_start(r);
}

/* --- what would write: the mount is read-only, but it may be remounted ---------------------- */

static void refuse(fuse_req_t req)
{
    fuse_reply_err(req, EROFS);
}

static void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int which,
                       struct fuse_file_info *fi)
{
    (void)id, (void)attr, (void)which, (void)fi;
    refuse(req);
}

static void op_mknod(fuse_req_t req, fuse_ino_t id, const char *name, mode_t mode, dev_t dev)
{
    (void)id, (void)name, (void)mode, (void)dev;
    refuse(req);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t id, const char *name, mode_t mode)
{
    (void)id, (void)name, (void)mode;
    refuse(req);
}

/* unlink, rmdir, removexattr */
static void op_remove(fuse_req_t req, fuse_ino_t id, const char *name)
{
    (void)id, (void)name;
    refuse(req);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t id, const char *name)
{
    (void)target, (void)id, (void)name;
    refuse(req);
}

static void op_rename(fuse_req_t req, fuse_ino_t from, const char *name, fuse_ino_t to,
                      const char *new_name, unsigned flags)
{
    (void)from, (void)name, (void)to, (void)new_name, (void)flags;
    refuse(req);
}

static void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t to, const char *name)
{
    (void)id, (void)to, (void)name;
    refuse(req);
}

static void op_create(fuse_req_t req, fuse_ino_t id, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    (void)id, (void)name, (void)mode, (void)fi;
    refuse(req);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t id, const char *name, const char *value,
                        size_t len, int flags)
{
    (void)id, (void)name, (void)value, (void)len, (void)flags;
    refuse(req);
}

/* Not here: ACCESS (default_permissions), LSEEK, FLUSH, FSYNC and the rest, which the kernel does
 * without once it has heard ENOSYS. */
static const struct fuse_lowlevel_ops table = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .readlink = op_readlink,
    .open = op_open,
    .read = op_read,
    .release = op_release,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .releasedir = op_releasedir,
    .statfs = op_statfs,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .setattr = op_setattr,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_remove,
    .rmdir = op_remove,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .create = op_create,
    .setxattr = op_setxattr,
    .removexattr = op_remove,
};

const struct fuse_lowlevel_ops *ops_get_table(void)
{
    return &table;
}
