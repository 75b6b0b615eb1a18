/*
 * views.h - what a path means: directories, links, names, files.
 *
 * A `vnode` is what one path stands for. Most exist by grammar alone; some have to be asked for. The
 * room decides what a directory lists, how large a file is, where a link points, and hands out the
 * bytes; it knows neither FUSE nor where facts and bytes come from (catalog and cache do).
 *
 * Every call that may have to wait takes a waiter and answers 0, PENDING_PARKED (the waiter will be woken; then ask again with
 * the same arguments), or negative errno as in the error table. Calls without a waiter never wait
 * for the network. Any thread.
 */
#ifndef GHLOGFS_VIEWS_VIEWS_H
#define GHLOGFS_VIEWS_VIEWS_H

#include "name.h"
#include "pending.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct views;
struct cache;
struct catalog;
struct log;
struct store;
struct view_text;

enum vnode_kind {
    VNODE_ROOT,
    VNODE_OWNER,
    VNODE_REPO,
    VNODE_JOBS,
    VNODE_JOB,
    VNODE_LOG,
    VNODE_LOG_TXT,
    VNODE_JOB_JSON,
    VNODE_RUNS,
    VNODE_RUN, /* each job as it ran last */
    VNODE_RUN_JSON,
    VNODE_RUN_JOB, /* a job's directory inside its run or attempt */
    VNODE_STEP,
    VNODE_JOB_LINK, /* runs/<id>/<job>/log */
    VNODE_ATTEMPTS,
    VNODE_ATTEMPT, /* the jobs that ran in it */
    VNODE_ATTEMPT_JSON,
    VNODE_LATEST,
    VNODE_FAILED,
    VNODE_BRANCHES,
    VNODE_BRANCH,
    VNODE_WORKFLOWS,
    VNODE_WORKFLOW,
    VNODE_RUN_LINK, /* <run_id> in failed/, branches/, workflows/ */
    VNODE_CONTROL,  /* .ghlogfs */
    VNODE_STATS,
    VNODE_OPTIONS,
    VNODE_VERSION,
};

/* Filled by views_lookup; may be moved by assignment; ended by views_vnode_finish. */
struct vnode {
    enum vnode_kind kind;
    unsigned attempt;  /* 0: the latest */
    unsigned step;     /* step number */
    uint64_t cut;      /* VNODE_STEP: of the steps that its text is cut by, should others come */
    uint64_t run, job; /* ids */
    struct repo_name repo; /* as spelled in the path */
    char *text;            /* branch or workflow as spelled; NULL */
    unsigned depth;        /* directories below the mountpoint: for relative links */
    /* Of a job whose facts will not change any more: carried from its directory to what is below. */
    bool has_no_log;    /* it has ended without one (S19) */
    int64_t settled_ms; /* when it ended, UTC; 0: nothing is carried */
    struct log *log;    /* VNODE_LOG, VNODE_LOG_TXT, VNODE_STEP: held as long as the vnode */
    /* job.json, run.json and the files of .ghlogfs: of the text that this vnode stands for. */
    uint64_t size, sum;
    struct view_text *content; /* NULL: to be made again */
};

enum view_type { VIEW_DIRECTORY, VIEW_FILE, VIEW_LINK };

struct view_attr {
    enum view_type type;
    uint64_t size;    /* bytes; of a link, its target's length */
    int64_t mtime_ms; /* UTC */
    /* UTC; not 0: ctime is not mtime. A directory's time may become known between two looks at it,
     * which is no change of it: GNU tar compares ctime before and after, and fails. */
    int64_t ctime_ms;
    int64_t valid_ms; /* how long this may be remembered; 0: not at all */
    int64_t name_ms;  /* not 0: its name so long only, which may mean another file then */
};

struct view_config {
    struct cache *cache;
    struct catalog *catalog;
    struct store *store; /* for its usage, and for where steps begin */
    struct waits *waits;
    int64_t (*now_ms)(void);
    unsigned runs;       /* how many runs a listing shows */
    unsigned prefetch;   /* logs fetched ahead of a recursive reader */
    bool timestamps;     /* kept in cleaned text */
    bool has_token;      /* what the token sees can be asked for */
    int64_t mounted_ms;  /* UTC; the time of what has none */
    const char *options; /* text of .ghlogfs/options */
    const char *version; /* text of .ghlogfs/version */
    /* Text of .ghlogfs/stats, malloc'd; the caller frees. */
    char *(*stats)(void *who);
    void *who;
};

int views_create(const struct view_config *config, struct views **ret_views);
/* Ends what views has under way; once nobody asks any more, and before the cache is stopped. */
void views_stop(struct views *v);
void views_destroy(struct views *v);

void views_root(struct views *v, struct vnode *ret_vnode);
void views_vnode_finish(struct vnode *p);
/* The vnode, which has not ended, was looked up again just now: as `same`. */
void views_vnode_renew(struct vnode *p, const struct vnode *same);

/* What `name` is inside `dir`. -ENOENT by grammar without asking anybody. A vnode whose text
 * differs from that of an earlier lookup is another vnode. */
int views_lookup(struct views *v, const struct vnode *dir, const char *name, struct waiter *w,
                 struct vnode *ret_vnode);

/* May wait for a file's size; -ENOENT where a file turns out not to be. */
int views_get_attr(struct views *v, const struct vnode *p, struct waiter *w,
                   struct view_attr *ret_attr);

/* The target with its NUL; -ENAMETOOLONG. */
int views_read_link(struct views *v, const struct vnode *p, struct waiter *w, char *buf,
                    size_t cap);

/* --- listings: one snapshot, fixed order ----------------------------------------------------- */

struct view_entry {
    const char *name;
    enum view_type type;
};

struct view_listing;

int views_list(struct views *v, const struct vnode *dir, struct waiter *w,
               struct view_listing **ret_listing);
/* The i-th entry, from 0, without . and ..; false: there are no more. */
bool views_listing_get(const struct view_listing *l, size_t i, struct view_entry *ret_entry);
void views_listing_release(struct view_listing *l);

/* --- files -------------------------------------------------------------------------------- */

struct view_file; /* one open file */

struct view_opened {
    struct view_file *file;
    bool direct;     /* its size may change: no page cache */
    bool keep_cache; /* what the kernel has of it is right */
};

/* Bytes of a file: in an fd (to be spliced) or, where fd is -1, in memory. Held until views_bytes_done. */
struct view_bytes {
    int fd;
    uint64_t offset;
    const char *data;
    size_t len;
    bool is_text;
    void *held;
};

int views_open(struct views *v, const struct vnode *p, struct waiter *w,
               struct view_opened *ret_opened);
void views_close(struct view_file *f);

/* All of [offset, offset + len), cut at the end of the file; len 0: the end. Only a file opened
 * `direct` may give less. VIEWS_READ_AGAIN: the file is shorter than the kernel knows. It has to forget
 * the size, and to be refused (-EIO): it then asks again. */
#define VIEWS_READ_AGAIN (-ERESTART)
int views_read(struct view_file *f, uint64_t offset, size_t len, struct waiter *w,
               struct view_bytes *ret_bytes);
void views_bytes_done(struct view_bytes *b);

/* --- the rest ----------------------------------------------------------------------------- */

/* The value of an extended attribute, malloc'd, from memory and disk only (S17). -ENODATA, or
 * PENDING_PARKED while another reads the disk. */
int views_get_xattr(struct views *v, const struct vnode *p, const char *name, struct waiter *w,
                    char **ret_value);

/* A number that is the same for the same path in every mount (S16), never 0 or 1 but for the root (1). */
uint64_t views_ino(uint64_t parent_ino, const char *name);

void views_get_usage(struct views *v, uint64_t *ret_used, uint64_t *ret_limit);

#endif
