/*
 * cache.h - the bytes of logs, by job id: find, join, start, fill, finish, fail.
 *
 * A log is a file that fills in. For each log that the kernel or a reader holds, the cache keeps
 * what is known of it (size, time, final or not, under which names it may be served) and which
 * pages are in its backing file. What is absent is requested from the source once, however many
 * wait for it. Complete final logs are published in the store and found there again.
 *
 * The cache does not know FUSE, HTTP or paths, and never waits for the network: what cannot be
 * answered now parks the caller's waiter (PENDING_PARKED), which is woken to ask again, or with an
 * errno.
 *
 * Threads: all functions may be called on any thread. FUSE workers read the local disk here
 * (loading, checking pages); the cache's writer thread does all writing, publishing and eviction;
 * what runs on the network thread (the source's callbacks) never touches the disk. One mutex
 * protects all logs; it is never held across I/O, a callback, or a call to another module that
 * could block.
 */
#ifndef GHLOGFS_CACHE_CACHE_H
#define GHLOGFS_CACHE_CACHE_H

#include "cache/plan.h"
#include "pending.h"
#include "source.h"

#include <stdatomic.h>

#include <errno.h>

struct cache;
struct log;
struct store;
struct diag;

struct cache_config {
    struct waits *waits;
    struct store *store;
    struct source source;
    int64_t (*now_ms)(void); /* monotonic, never 0 */
    struct diag *diag;
    /* Whether GitHub has answered for this job under this name in this mount, in a listing: that
     * verifies the name (S14). Any thread; must not wait. May be NULL. */
    bool (*is_proven)(void *who, const struct repo_name *repo, uint64_t job);
    bool has_copies; /* the source has logs, too, that GitHub has no more */
    /* All of a job's log is on disk now. On the writer thread; must not wait. May be NULL. */
    void (*published)(void *who, const struct repo_name *repo, uint64_t job);
    void *who;
    unsigned idle_max; /* unpublished logs kept open though nobody reads them */
};

/*
 * A log whose id has this bit is generated from a job's log (cleaned text). It is filled, kept,
 * published and evicted like any other; the low 53 bits of its id are the job's.
 */
#define CACHE_GENERATED (UINT64_C(1) << 63)

/* What the caller knows of the job without a request; zeroed where nothing is known. */
struct log_hint {
    bool completed;       /* the job was seen completed */
    int64_t completed_ms; /* its completed_at, UTC; 0 or less: unknown */
};

struct log_stat {
    uint64_t size;
    int64_t mtime_ms; /* UTC; never changes once a final log is known (S7) */
    bool final;       /* false: a running job's log, to be opened with direct I/O */
    bool proven;      /* false: only one answer has given the size; it may turn out to be wrong */
    bool shrunk;      /* it was reported larger before: the kernel must not remember the size */
};

/* An open file. */
struct log_reader {
    struct log *log;
    struct plan_reader plan;
    bool direct;      /* opened while the log was live: may answer short */
    unsigned shrinks; /* how many times the log had shrunk when it was opened */
    unsigned refused; /* the same, when a read that met the end was refused */
};

/* Bytes in a file, to be spliced or copied, or in memory. Held until log_slice_done. */
struct log_slice {
    int fd; /* -1: in memory, or no bytes */
    uint64_t offset;
    size_t len;
    const char *data; /* NULL: in the file at `offset` */
    void *held;
};

int cache_create(const struct cache_config *config, struct cache **ret_cache);

/* The source of generated logs; to be set before any is held. Its callbacks may come on one thread
 * other than the network thread. */
void cache_set_generator(struct cache *c, const struct source *generator);

/* From now on nothing is requested from the source; to be called before the source is closed. */
void cache_close(struct cache *c);

/* Ends the writer thread after all that is posted; to be called once the source is silent and no
 * other thread uses the cache. */
void cache_stop(struct cache *c);
void cache_destroy(struct cache *c);

/* The log of this job, to be released. NULL: no memory. */
struct log *cache_hold(struct cache *c, uint64_t job);
/* May free the log; NULL is fine. */
void log_release(struct log *log);

/*
 * Size, time and finality under this name. `effort` says how far to go for them (source.h):
 *
 * - EFFORT_MEMORY: what is known now. Never parks, never reads the disk; `w` may be NULL.
 * - EFFORT_DISK: the .meta is read too. Parks while another thread reads it.
 * - EFFORT_NETWORK: the source is asked too. With `w` NULL the call does not wait: the first range
 *   of a log of which nothing is known is requested as prefetch, and PENDING_PARKED means that it
 *   is under way.
 *
 * 0; PENDING_PARKED; -EAGAIN: nothing is known with this effort; or negative errno as in the error
 * table. `hint` may be NULL below EFFORT_NETWORK.
 */
int log_get_stat(struct log *log, const struct repo_name *name, enum effort effort,
                 const struct log_hint *hint, struct waiter *w, struct log_stat *ret_stat);

/*
 * A log that comes by another way than its own request: out of an archive (S20). Whoever needs it
 * meanwhile waits for that. Owned by whoever promises; zeroed before log_promise.
 */
struct log_promise {
    struct log *log;                   /* held while it stands */
    atomic_int_fast64_t waited_for_ms; /* when a reader first waited for it; 0: none did */
    struct repo_name name;
    struct log_hint hint; /* internal, as `is_ahead`: it would have been prefetched otherwise */
    bool is_ahead;
};

/* False: the log is known or on its way already. May read the disk. */
bool log_promise(struct log *log, const struct repo_name *name, struct log_promise *p);

/* The log was published, or it will not come that way: whoever waits asks again, and what was to be
 * prefetched is; not where `is_over`, at the unmount. */
void log_promise_end(struct log_promise *p, bool is_over);

/* How long it takes, mostly, until the first answer about a log has come. */
int64_t cache_get_request_ms(struct cache *c);

/* The failure that is remembered of this log under this name (S17); reason SOURCE_FINE: none. */
struct source_failure log_get_failure(struct log *log, const struct repo_name *name);

/* 0: all of a final log is present or on disk. Else what is missing is fetched: PENDING_PARKED, or
 * -errno. With `w` NULL the call does not wait for it. */
int log_fetch_all(struct log *log, const struct repo_name *name, struct waiter *w);

/* Opens a log whose stat is known; it stays readable until it is closed, evicted or not. */
void log_open(struct log *log, struct log_reader *ret_reader);
void log_close(struct log_reader *r);

/*
 * Reads [offset, offset + len), cut at the end of the log as it is known now. 0: ret_slice holds
 * all of it (len 0: the end). PENDING_PARKED, or negative errno: -EIO for a log that was known and
 * is gone everywhere, and for what lies behind the end of one that is shorter than was reported.
 * LOG_READ_AGAIN, once for each open file, for a read that meets that end: the kernel has to forget
 * the size and read again. Only a reader of a live log may get less than there will be later.
 */
#define LOG_READ_AGAIN (-ERESTART)
int log_read(struct log_reader *r, const struct repo_name *name, uint64_t offset, size_t len,
             struct waiter *w, struct log_slice *ret_slice);
void log_slice_done(struct log_slice *s);

/* A log of which bytes are on their way, or of which GitHub is asked whose it is. */
struct cache_status {
    struct repo_name repo;
    uint64_t job;
    bool is_generated;        /* not the log, but a text that is generated from it */
    struct progress progress; /* bytes: of the log that are present */
};

/* Up to `max` of them, those that began first. Returns how many there are. */
unsigned cache_list_status(struct cache *c, struct cache_status *ret_status, unsigned max);

/* Generated texts count among `logs` and `fetches_running` only. */
struct cache_stats {
    uint64_t logs, bytes_received, fetches_running, published;
};
void cache_get_stats(struct cache *c, struct cache_stats *ret_stats);

#endif
