#include "fs/ops.h"

#include "diag.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SHOWN 320        /* bytes of a path in debug output */
#define MOST_BACKGROUND 65535 /* what the protocol can carry */

_Static_assert(sizeof(fuse_ino_t) >= sizeof(void *), "a node's address is its nodeid");
_Static_assert(TREE_ROOT_ID == FUSE_ROOT_ID, "the root's nodeid");

/*
 * What an OPEN or an OPENDIR has opened: a file or a listing, which the handle owns. Its address is
 * the number that the kernel has for it.
 */
struct handle {
    struct list in_open; /* lock of ops */
    struct view_file *file;
    struct node *dir;                     /* of a directory */
    struct view_listing *_Atomic listing; /* of a directory; NULL: not listed yet */
};

static struct ops *ops_of(const struct request *r)
{
    return request_get_userdata(r);
}

/* A request about a node, which may wait. NULL: no memory, and it was answered so. */
static struct request *ask(fuse_req_t req, fuse_ino_t id, request_step *step, const char *name)
{
    struct ops *o = fuse_req_userdata(req);
    struct request *r = request_create(o->requests, req, step, name);

    if (r)
        r->node = tree_get_node(o->tree, id);
    return r;
}

/* The same for a step that needs no other argument. */
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

    /* Sizes are exact, contents do not change, and a snapshot answers READDIR. With
     * EXPLICIT_INVAL_DATA files that have grown would read as zeros. SPLICE_MOVE is slow with a
     * large readahead. */
    conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_EXPLICIT_INVAL_DATA |
                              FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
                              FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_MOVE |
                              FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_IOCTL_DIR);
    conn->want |= conn->capable &
                  (FUSE_CAP_ASYNC_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_PARALLEL_DIROPS);
    /* By default the kernel sends 12 background requests at a time: reads that wait for the network
     * would delay reads that need not. */
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
            attr->valid_ms = 0; /* the kernel asks again, and gets the new time after RELEASEDIR */
        attr->mtime_ms = shown_ms;
    }
    reply_fill_stat(o->owner, n->ino, attr, ret_stat);
}

/* --- handles -------------------------------------------------------------------------------- */

static struct handle *handle_of(const struct fuse_file_info *fi)
{
    return (struct handle *)(uintptr_t)fi->fh;
}

static void handle_destroy(struct ops *o, struct handle *h)
{
    views_close(h->file);
    views_listing_release(atomic_load(&h->listing));
    if (h->dir)
        tree_released(o->tree, h->dir);
    free(h);
}

static void handle_close(struct ops *o, struct handle *h)
{
    pthread_mutex_lock(&o->lock);
    list_remove(&h->in_open);
    pthread_mutex_unlock(&o->lock);
    handle_destroy(o, h);
}

int ops_init(struct ops *o)
{
    list_init(&o->open);
    return -pthread_mutex_init(&o->lock, NULL);
}

void ops_finish(struct ops *o)
{
    struct list *link;

    while ((link = list_take_first(&o->open)))
        handle_destroy(o, list_entry(link, struct handle, in_open));
    pthread_mutex_destroy(&o->lock);
}

/*
 * Answers OPEN (with a file) or OPENDIR (without; the listing may be NULL) with a new handle. Takes
 * the file and the listing, also on failure. Where the answer does not reach the kernel (the caller
 * was killed) the handle is closed, since no RELEASE follows.
 */
static int reply_opened(struct request *r, struct view_file *file, struct view_listing *listing,
                        struct fuse_file_info *fi)
{
    struct ops *o = ops_of(r);
    struct handle *h = calloc(1, sizeof(*h));

    if (!h) {
        views_close(file);
        views_listing_release(listing);
        return -ENOMEM;
    }
    h->file = file;
    atomic_init(&h->listing, listing);
    if (!file) {
        h->dir = r->node;
        tree_opened(o->tree, h->dir);
    }
    pthread_mutex_lock(&o->lock);
    list_push_back(&o->open, &h->in_open);
    pthread_mutex_unlock(&o->lock);
    fi->fh = (uintptr_t)h;
    if (fuse_reply_open(request_take(r), fi) < 0)
        handle_close(o, h);
    return 0;
}

/* RELEASE and RELEASEDIR. */
static void op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    (void)id;
    handle_close(fuse_req_userdata(req), handle_of(fi));
    fuse_reply_err(req, 0);
}

/* --- names ---------------------------------------------------------------------------------- */

/* For debug output. */
static void note_size(struct request *r, const struct view_attr *attr)
{
    r->has_bytes = attr->type == VIEW_FILE;
    r->bytes = attr->size;
}

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
    r->has_vnode = true; /* kept while parked: it may be the only reference to what is awaited */
    rc = views_get_entry_attr(o->views, &r->vnode, &r->waiter, &attr);
    if (rc)
        return rc;
    r->has_vnode = false;
    rc = tree_intern(o->tree, r->node, r->name, &r->vnode, &n);
    if (rc)
        return rc;
    note_size(r, &attr);
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
    note_size(r, &attr);
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

/* `ls -l` asks for ACL and label of each file: what is not ours is refused at once (S17). */
static void op_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t cap)
{
    struct request *r;

    if (strncmp(name, VIEWS_XATTR_PREFIX, strlen(VIEWS_XATTR_PREFIX)) != 0) {
        fuse_reply_err(req, ENODATA);
        return;
    }
    r = ask(req, id, step_get_xattr, name);
    if (!r)
        return;
    r->size = cap;
    request_start(r);
}

/* Lists none: our attributes are for those who know their names, not to be copied by cp -a. */
static void op_listxattr(fuse_req_t req, fuse_ino_t id, size_t cap)
{
    (void)id;
    reply_value(req, "", cap);
}

/* --- directories ---------------------------------------------------------------------------- */

static int step_open_dir(struct request *r)
{
    struct fuse_file_info fi = {0};
    struct view_listing *listing;
    int rc = views_list(ops_of(r)->views, &r->node->vnode, &r->waiter, &listing);

    return rc ? rc : reply_opened(r, NULL, listing, &fi);
}

static int step_open_unlisted(struct request *r)
{
    struct fuse_file_info fi = {0};

    return reply_opened(r, NULL, NULL, &fi);
}

/* A caller that opens a directory without O_DIRECTORY (df, stat -f) asks about the file system and
 * must not wait (S16). If it reads after all, the first READDIR gets the listing. */
static void op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    ask_and_start(req, id, fi->flags & O_DIRECTORY ? step_open_dir : step_open_unlisted, NULL);
}

static int step_read_dir(struct request *r)
{
    struct handle *h = r->handle;
    struct view_listing *listing = atomic_load(&h->listing);
    fuse_req_t req;
    char *buf;

    if (!listing) {
        struct view_listing *fresh;
        int rc = views_list(ops_of(r)->views, &r->node->vnode, &r->waiter, &fresh);

        if (rc)
            return rc;
        if (atomic_compare_exchange_strong(&h->listing, &listing, fresh))
            listing = fresh;
        else
            views_listing_release(fresh); /* another READDIR was first: `listing` is its */
    }
    buf = malloc(r->size);
    if (!buf)
        return -ENOMEM;
    req = request_take(r);
    fuse_reply_buf(req, buf, reply_fill_entries(req, r->node, listing, r->offset, buf, r->size));
    free(buf);
    return 0;
}

static void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    struct request *r = ask(req, id, step_read_dir, NULL);

    if (!r)
        return;
    r->handle = handle_of(fi);
    r->offset = (uint64_t)offset;
    r->size = size;
    request_start(r);
}

/* --- files ---------------------------------------------------------------------------------- */

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
    if (opened.is_log)
        atomic_fetch_add_explicit(&ops_of(r)->opened, 1, memory_order_relaxed);
    return reply_opened(r, opened.file, NULL, &fi);
}

/* The kernel refuses these flags as well, unless root has remounted rw. */
static void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    if ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC) {
        fuse_reply_err(req, EROFS);
        return;
    }
    ask_and_start(req, id, step_open, NULL);
}

static void reply_bytes(fuse_req_t req, const struct view_bytes *bytes)
{
    struct fuse_bufvec spliced = FUSE_BUFVEC_INIT(bytes->len);
    struct stat st;

    if (bytes->fd < 0 || bytes->len == 0) {
        fuse_reply_buf(req, bytes->data, bytes->len);
        return;
    }
    /* A backing file that was truncated from outside would be spliced short, which the kernel takes
     * for the end of the log (S6). */
    if (fstat(bytes->fd, &st) < 0 || (uint64_t)st.st_size < bytes->offset + bytes->len) {
        fuse_reply_err(req, EIO);
        return;
    }
    spliced.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
    spliced.buf[0].fd = bytes->fd;
    spliced.buf[0].pos = (off_t)bytes->offset;
    fuse_reply_data(req, &spliced, 0);
}

static int step_read(struct request *r)
{
    struct ops *o = ops_of(r);
    struct view_bytes bytes;
    int rc = views_read(r->file, r->offset, r->size, &r->waiter, &bytes);

    if (rc == VIEWS_READ_AGAIN) {
        /* The kernel asks for the attributes again, and ignores those that are on their way. */
        fuse_lowlevel_notify_inval_inode(o->fuse, tree_get_id(o->tree, r->node), -1, 0);
        rc = -EIO;
    }
    if (rc)
        return rc;
    if (!bytes.is_text)
        atomic_fetch_add_explicit(&o->bytes_read, bytes.len, memory_order_relaxed);
    r->has_bytes = true;
    r->bytes = bytes.len;
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
    r->file = handle_of(fi)->file;
    r->offset = (uint64_t)offset;
    r->size = size;
    request_start(r);
}

/* --- debug output --------------------------------------------------------------------------- */

/* The end of a long path, which tells more than its beginning. */
static void write_path(const struct node *n, const char *name, char path[PATH_SHOWN])
{
    size_t at = PATH_SHOWN - 1;

    path[at] = '\0';
    for (; name; n = n->parent) {
        size_t len = strlen(name);

        if (len + 5 > at) { /* "/", and "..." in front of all */
            at -= 3;
            memcpy(path + at, "...", 3);
            break;
        }
        at -= len;
        memcpy(path + at, name, len);
        if (!n || !n->parent)
            break;
        path[--at] = '/';
        name = n->name;
    }
    memmove(path, path + at, PATH_SHOWN - at);
}

char *ops_describe(const struct request *r)
{
    const struct node *n = r->node;
    char path[PATH_SHOWN], *text = NULL;
    int len = -1;

    if (r->step == step_lookup)
        write_path(n, r->name, path);
    else
        write_path(n->parent, n->parent ? n->name : "/", path);
    if (r->step == step_lookup)
        len = asprintf(&text, "lookup %s", path);
    else if (r->step == step_get_attr)
        len = asprintf(&text, "stat %s", path);
    else if (r->step == step_read_link)
        len = asprintf(&text, "read link %s", path);
    else if (r->step == step_get_xattr)
        len = asprintf(&text, "get %s of %s", r->name, path);
    else if (r->step == step_open_dir || r->step == step_read_dir)
        len = asprintf(&text, "list %s", path);
    else if (r->step == step_open)
        len = asprintf(&text, "open %s", path);
    else if (r->step == step_read)
        len = asprintf(&text, "read %s, %zu bytes at %" PRIu64, path, r->size, r->offset);
    return len < 0 ? NULL : text;
}

void ops_log_end(const struct request *r, const char *what, int err, int64_t took_ms)
{
    char result[96] = "ok";

    if (!err && r->step == step_read_dir)
        return;
    if (err)
        snprintf(result, sizeof(result), "%s", strerror(-err));
    else if (r->has_bytes)
        snprintf(result, sizeof(result), "%" PRIu64 " bytes", r->bytes);
    diag_log(r->all->diag, DIAG_DEBUG, "[%d] %s: %s, %" PRId64 " ms", (int)r->tid, what, result,
             took_ms);
}

/*
 * Missing on purpose: all that changes something, which the kernel refuses with EROFS before it
 * asks (the mount is always ro; after a remount,rw by root libfuse answers ENOSYS); ACCESS
 * (default_permissions); LSEEK, FLUSH, FSYNC and the rest, which the kernel does without after one
 * ENOSYS.
 */
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
    .releasedir = op_release,
    .statfs = op_statfs,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
};

const struct fuse_lowlevel_ops *ops_get_table(void)
{
    return &table;
}
