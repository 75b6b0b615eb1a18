/*
 * views.h - what a path means: directories, links, names, files.
 *
 * A `vnode` is what one path stands for. Most exist by grammar alone, others take a request. This
 * module decides what a directory lists, how large a file is, where a link leads, and hands out the
 * bytes. It knows neither FUSE nor where facts and bytes come from: catalog and cache do.
 *
 * The table in kinds.c has a row for each kind of vnode.
 *
 * A call that may have to wait takes a waiter, and returns 0, a negative errno as in the error
 * table, or PENDING_PARKED: the waiter will be woken; then the call is repeated with the same
 * arguments. Calls without a waiter never wait for the network. Any thread.
 */
#ifndef GHLOGFS_VIEWS_VIEWS_H
#define GHLOGFS_VIEWS_VIEWS_H

#include "name.h"
#include "pending.h"
#include "source.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct views;
struct cache;
struct catalog;
struct log;
struct store;
struct view_text;

enum vnode_kind {
    VNODE_ROOT = 0,
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
    VNODE_FAILED_RUN, /* what a run has in failed/ */
    VNODE_FAILED_JOB,
    VNODE_REPORTS,
    VNODE_REPORT,
    VNODE_BRANCHES,
    VNODE_BRANCH,
    VNODE_WORKFLOWS,
    VNODE_WORKFLOW,
    VNODE_COMMITS,
    VNODE_COMMIT,
    VNODE_PULLS,
    VNODE_PULL,
    VNODE_RUN_LINK, /* <run_id> in a branch, workflow, commit or pull request */
    VNODE_CONTROL,  /* .ghlogfs */
    VNODE_STATS,
    VNODE_PROGRESS,
    VNODE_OPTIONS,
    VNODE_VERSION,
    VNODE_METRICS,    /* OpenMetrics */
    VNODE_PROMETHEUS, /* the same in Prometheus' text format */
};

/* Filled by views_lookup, or that of the root: all zero; may be moved by assignment; released by
 * views_vnode_finish. */
struct vnode {
    enum vnode_kind kind;
    unsigned attempt;  /* 0: the latest */
    unsigned step;     /* step number; 0: the whole text */
    unsigned depth;    /* directories below the mountpoint: for relative links */
    uint64_t cut;      /* VNODE_STEP: digest of the steps that the text was cut by */
    uint64_t run, job; /* ids */
    /* Of a job whose facts will not change any more; what is below its directory inherits them. */
    int64_t settled_ms;    /* when it ended, UTC; 0: its facts may change */
    struct repo_name repo; /* as spelled in the path */
    bool has_no_log;       /* with settled_ms: it has ended without a log (S19) */
    bool in_failed;        /* below failed/: of jobs and steps only what failed is there (S21) */
    char *text;            /* branch, workflow, commit or pull request as spelled; NULL */
    struct log *log;       /* VNODE_LOG, VNODE_LOG_TXT, VNODE_STEP: held as long as the vnode */
    /* Of a text in memory (job.json, run.json, the files of .ghlogfs). */
    uint64_t size, sum;
    struct view_text *content; /* NULL: not kept, to be made again */
};

enum view_type { VIEW_DIRECTORY, VIEW_FILE, VIEW_LINK };

struct view_attr {
    enum view_type type;
    uint64_t size;    /* bytes; of a link, its target's length */
    int64_t mtime_ms; /* UTC */
    /* UTC; 0: that of mtime. A directory's time may become known between two stats, which is no
     * change of the directory: GNU tar compares ctime before and after, and fails. */
    int64_t ctime_ms;
    int64_t valid_ms; /* how long the kernel may remember this; 0: not at all */
    int64_t name_ms;  /* how long the name, which may mean another file later; 0: as valid_ms */
};

struct archives_stats;
struct archives_status;
struct diag;

/* Whether the shared store has a job's log. */
enum views_shared {
    VIEWS_SHARED_LACKS, /* or it is not asked now */
    VIEWS_SHARED_UNKNOWN,
    VIEWS_SHARED_HAS,
};

struct view_config {
    struct cache *cache;
    struct catalog *catalog;
    struct store *store; /* of its usage, and of the records where steps begin */
    struct waits *waits;
    int64_t (*now_ms)(void);
    unsigned runs;           /* how many runs a listing shows */
    unsigned prefetch;       /* logs prefetched for a recursive reader */
    unsigned archive_jobs;   /* missing logs of a run that are worth its archive; 0: never */
    unsigned archives_max;   /* under way at a time */
    int64_t archive_wait_ms; /* for which a reader waits for an archive at most */
    /* What is known of the shared store: it is asked before an archive. NULL: there is none. */
    enum views_shared (*ask_shared)(void *who, uint64_t job);
    /* As the cache's, of logs out of archives. */
    void (*published)(void *who, const struct repo_name *repo, uint64_t job);
    struct source source; /* of archives */
    struct diag *diag;
    int64_t (*wall_s)(void); /* UTC */
    bool timestamps;         /* kept in cleaned text */
    bool has_token;          /* the repositories that the token sees can be listed */
    int64_t mounted_ms;      /* UTC; the time of what has none of its own */
    const char *options;     /* text of .ghlogfs/options */
    const char *version;     /* text of .ghlogfs/version */
    /* Text of .ghlogfs/stats or of another file of counters; malloc'd, the caller frees. */
    char *(*stats)(void *who, enum vnode_kind kind);
    /* The same of .ghlogfs/progress. */
    char *(*progress)(void *who);
    void *who;
};

int views_create(const struct view_config *config, struct views **ret_views);
/* For `.ghlogfs/stats`. */
void views_get_archives_stats(struct views *v, struct archives_stats *ret_stats);
/* Reports that were made in this mount. */
uint64_t views_get_reports_made(const struct views *v);

/* A report that is being made. */
struct reports_status {
    struct repo_name repo;
    uint64_t run;
    struct progress progress; /* of its bytes nothing is known before the end */
};

/* For `.ghlogfs/progress`: up to `max` of them, those that began first. They return how many there
 * are. */
unsigned views_list_archives(struct views *v, struct archives_status *ret_status, unsigned max);
unsigned views_list_reports(struct views *v, struct reports_status *ret_status, unsigned max);

/* Ends the work in progress; after the last request, and before the cache is stopped. */
void views_stop(struct views *v);
void views_destroy(struct views *v);

void views_vnode_finish(struct vnode *p);
/* The path of `p` was looked up once more just now, and is still the same. */
void views_vnode_renew(struct vnode *p, const struct vnode *same);

/* What `name` is inside `dir`. -ENOENT by grammar without a request. A vnode whose text differs
 * from that of an earlier lookup is another vnode. */
int views_lookup(struct views *v, const struct vnode *dir, const char *name, struct waiter *w,
                 struct vnode *ret_vnode);

/* May wait for a file's size; -ENOENT if there turns out to be no such file. */
int views_get_attr(struct views *v, const struct vnode *p, struct waiter *w,
                   struct view_attr *ret_attr);

/* The same for the answer to a lookup. A file whose size is not known yet, and takes long to be,
 * has size 0, which is not to be remembered: the lookups in one directory may wait for each other.
 */
int views_get_entry_attr(struct views *v, const struct vnode *p, struct waiter *w,
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
void views_listing_release(struct view_listing *l); /* NULL: nothing */

/* --- files -------------------------------------------------------------------------------- */

struct view_file; /* one open file */

struct view_opened {
    struct view_file *file;
    bool direct;     /* its size may change: direct I/O, no page cache */
    bool keep_cache; /* the pages that the kernel has are right */
    bool is_log;     /* it is made of a log, and no text in memory */
};

/* Bytes of a file: in an fd, to be spliced, or in memory. Held until views_bytes_done. */
struct view_bytes {
    int fd; /* -1: in memory */
    uint64_t offset;
    const char *data;
    size_t len;
    bool is_text;
    void *held;
};

int views_open(struct views *v, const struct vnode *p, struct waiter *w,
               struct view_opened *ret_opened);
void views_close(struct view_file *f); /* NULL: nothing */

/* All of [offset, offset + len), cut at the end of the file; len 0: the end. Only a file opened
 * `direct` may give less. VIEWS_READ_AGAIN: the file is shorter than the kernel knows. Let the
 * kernel forget the size, and fail the read with -EIO: it then repeats it. */
#define VIEWS_READ_AGAIN (-ERESTART)
int views_read(struct view_file *f, uint64_t offset, size_t len, struct waiter *w,
               struct view_bytes *ret_bytes);
void views_bytes_done(struct view_bytes *b);

/* --- the rest ----------------------------------------------------------------------------- */

#define VIEWS_XATTR_PREFIX "user.ghlogfs." /* of all our extended attributes */

/* The value of an extended attribute, malloc'd, from memory and disk only (S17). -ENODATA, or
 * PENDING_PARKED while another thread reads the disk. */
int views_get_xattr(struct views *v, const struct vnode *p, const char *name, struct waiter *w,
                    char **ret_value);

/* The inode number: the same for the same path in every mount (S16); never 0, and 1 of the root. */
uint64_t views_ino(uint64_t parent_ino, const char *name);

void views_get_usage(struct views *v, uint64_t *ret_used, uint64_t *ret_limit);

#endif
