/*
 * store.h - files on disk: backing files, publish, load, evict; small records of facts.
 *
 * A log is written to an unnamed file and gets its name when it is complete; its .meta is renamed
 * in before it. A log without a matching .meta is no log; a .meta without a log still gives size
 * and time. Several mounts and processes may share one directory: names change by link and rename
 * only, eviction happens under a file lock, and what another mount evicted is absent.
 *
 * The store does not know what a page's bytes mean, does not decide what is final, does not wait
 * for the network. Every call may wait for the disk: FUSE workers and the writer thread call it,
 * the network thread never. All calls are safe on any thread.
 *
 * Layout, under `cache_dir`:
 *
 *     v1/<host>/logs/<xx>/<job id>        a complete log (xx: the id's last byte in hex)
 *     v1/<host>/logs/<xx>/<job id>.meta   what is known of it
 *     v1/<host>/facts/<key...>~           a record
 *     v1/tmp/                             what has no name of its own yet
 *     v1/lock                             held by whoever evicts or clears v1/tmp
 *
 * Directories 0700, files 0600; O_NOFOLLOW and O_CLOEXEC throughout. Nothing is synced: what a
 * power cut leaves behind fails its checksum and counts as absent.
 */
#ifndef GHLOGFS_STORE_STORE_H
#define GHLOGFS_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_PAGE_SIZE 65536u /* the unit of checksums: one page of a log */
#define STORE_NAMES_MAX 8      /* proven names kept with a log; the oldest are dropped */
#define STORE_NAMES_LEN 320    /* bytes of them all: thousands of logs are known at a time */
#define STORE_NAME_LEN 216     /* "owner/repo" folded, with its NUL */
#define STORE_ETAG_LEN 136
#define STORE_RECORD_MAX (64u << 20)

struct store;
struct diag;

/* Pages of a log of `size` bytes. */
static inline uint64_t store_page_count(uint64_t size)
{
    return size / STORE_PAGE_SIZE + (size % STORE_PAGE_SIZE != 0);
}

/* The checksum of a page: quick, not cryptographic. */
uint64_t store_page_checksum(const void *data, size_t len);

/* The same of bytes that come in pieces. Embeddable anywhere; not to be moved or copied once
 * begun. */
struct store_hasher {
    unsigned char state[704];
};
void store_hasher_init(struct store_hasher *h);
void store_hasher_update(struct store_hasher *h, const void *data, size_t len);
uint64_t store_hasher_digest(struct store_hasher *h); /* of all so far; more may follow */

/* The directory is the user's choice; what is missing of its path is made. */
struct store_config {
    const char *dir;  /* absolute; NULL: nothing on disk (no_cache); only memory files */
    const char *host; /* what the cache is keyed by, "host[:port]" */
    uint64_t cache_size;
    uint64_t memory;
    unsigned files; /* of logs, that may be open at once, 8 or more; 0: no bound */
    struct diag *diag;
    int64_t (*now_ms)(void); /* monotonic; NULL: every store_mark_used is a system call */
};

/* What is kept with a log. */
struct store_meta {
    uint64_t size;    /* bytes */
    int64_t mtime_ms; /* UTC, set once (S7) */
    bool final;       /* the log will never change (S8) */
    char etag[STORE_ETAG_LEN];
    unsigned name_count;
    char names[STORE_NAMES_LEN]; /* one behind the other, each with its NUL: store_meta_next_name */
    uint64_t *checksums; /* XXH3 of each of store_page_count(size) pages; NULL: bytes missing */
};

/*
 * Refuses (-EPERM, and prints which directory and why) what another user could write: a cache
 * directory that is not ours, is open to group or others, or is a symlink of another user's; a
 * parent that every user can write and that has no sticky bit. A directory that cannot be used for
 * another reason is reported, and logs are kept in memory. The logs in it are not read yet.
 */
int store_create(const struct store_config *config, struct store **ret_store);
void store_destroy(struct store *s);

void store_meta_finish(struct store_meta *m); /* frees checksums */
/* The name behind this one; the first for NULL; NULL behind the last. */
const char *store_meta_next_name(const struct store_meta *m, const char *name);
bool store_meta_has_name(const struct store_meta *m, const char *name);
/* False: it was there already (compared case-insensitively), or is none. Of too many the oldest are
 * dropped. */
bool store_meta_add_name(struct store_meta *m, const char *name);

/* The meta of a log. -ENOENT: none that holds (torn, other version, checksum of its own wrong). */
int store_load_meta(struct store *s, uint64_t job, struct store_meta *ret_meta);

/* The published file of a log whose meta was loaded, if that has checksums and the file exactly
 * meta->size bytes. Opened for reading and writing where allowed, else for reading. -ENOENT: no
 * complete log; -EMFILE and the like: it cannot be opened now. The fd is the caller's, to be closed
 * as a backing {fd, published}. */
int store_open_log(struct store *s, uint64_t job, const struct store_meta *meta, int *ret_fd);

/* Replaces the meta (rename). Errors are for information: the cache works without it. In memory
 * there is nothing to keep, and that is no error. One without checksums does not take those of a
 * complete log of this size away. A meta whose log is evicted stays, up to 128 in a folder: one
 * with checksums does not prove that the log is there. */
int store_save_meta(struct store *s, uint64_t job, const struct store_meta *meta);

/* The log was read now: least recent use is the file's time. At most one system call a minute
 * for each log. */
void store_mark_used(struct store *s, uint64_t job, int fd);

/*
 * A backing file and the bytes it may hold. `reserved` counts against cache_size (disk) or `memory`
 * from the reservation until store_backing_close or, for a published log, until eviction. One
 * thread at a time; the fd may be read by others meanwhile. That of store_open_log is {fd,
 * published}.
 */
struct store_backing {
    int fd; /* -1: in memory */
    bool in_memory;
    struct store_memory *memory;
    bool published;    /* this very file has the log's name */
    uint64_t reserved; /* bytes */
    uint64_t end;      /* internal: the furthest byte reserved */
    bool allocated;    /* internal: blocks were taken, perhaps behind the log's end */
    char temp[32];     /* internal: name in v1/tmp, where a file cannot be without */
};

/* A new unnamed file, on disk where that works, else in memory. -EMFILE, -ENFILE: too many files
 * are open; when none can be closed, take memory. */
int store_backing_open(struct store *s, struct store_backing *ret_b);
/* -ENOMEM. Takes no descriptor. */
int store_backing_open_memory(struct store_backing *ret_b);
/* Whether a file could not be opened because too many are. */
bool store_is_short_of_files(int rc);
/* Closes the fd (and sets it to -1) and gives back what was reserved. */
void store_backing_close(struct store *s, struct store_backing *b);

/*
 * Makes sure that [from, to) can be written: evicts the least recently used complete logs (of all
 * hosts, down to 15/16 of cache_size where that is exceeded), leaves 5 % of the disk free,
 * allocates where that is tight (the file's size stays). -ENOSPC: no space there (then try
 * store_backing_to_memory); -EFBIG: over `memory`, for a file in memory. cache_size decides what is
 * kept, not what can be read: in-flight logs may exceed it when there is nothing left to evict,
 * `memory` and the 5 % never are.
 */
int store_backing_reserve(struct store *s, struct store_backing *b, uint64_t from, uint64_t to);

/* What was reserved. -errno as the disk has it, not for a reader; -EFBIG in memory. */
int store_backing_write(struct store_backing *b, const void *data, size_t len, uint64_t offset);
/* Of one in memory. */
void store_backing_read_memory(const struct store_backing *b, void *data, size_t len,
                               uint64_t offset);

/* Memory in place of a disk file: copies those pages of the first `size` bytes that the
 * callback reports as present; space for others is to be reserved. The old fd stays open: it is
 * the caller's, to close when no reply uses it any more. -EFBIG: over `memory`. On failure the
 * backing stays as it was. */
int store_backing_to_memory(struct store *s, struct store_backing *b, uint64_t size,
                            bool (*page_is_here)(void *who, uint64_t page), void *who);

/*
 * Gives a complete backing file its name: [0, meta->size) is written, meta has its checksums. Takes
 * its reservation over. 0 with b->published still false: another mount was first with the same
 * bytes, that file stays (and learns our names). A file that is there but does not fit its meta is
 * replaced. -EXDEV: in memory; -EFBIG: larger than cache_size, not kept; -EINVAL: the file is not
 * meta->size long.
 */
int store_publish(struct store *s, uint64_t job, struct store_backing *b,
                  const struct store_meta *meta);

/* Whether a log of this size is kept after it has been read. */
bool store_keeps(const struct store *s, uint64_t size);

/* Whether the logs complete and in flight take more than cache_size, as far as is known: then those
 * in flight that have no reader should be dropped. */
bool store_is_over(const struct store *s);

/*
 * Small records. A key is made of 1 to 12 components ("repos/o/r/runs") of 1 to 250 bytes each,
 * 1000 in all; no control characters, no "~", not "." or "..": else -EINVAL. A key may be a record
 * and have others below it. Atomic replace; self-checked when read. In memory nothing is kept: put
 * returns 0, get -ENOENT, so GitHub is asked again. Of more than cache_size / 16 (at least 16 MiB)
 * the oldest are deleted.
 */
int store_put_record(struct store *s, const char *key, const void *data, size_t len);
/* The record, malloc'd with a NUL behind it. -ENOENT: none that holds. */
int store_get_record(struct store *s, const char *key, void **ret_data, size_t *ret_len);
int store_drop_record(struct store *s, const char *key);

/* For statfs and `.ghlogfs/stats`: bytes in use (logs in flight and complete; in memory: those
 * held) and the bound; from memory, never waits. The logs that were there before the mount count
 * from the first publish or eviction on, which scan the directory. */
void store_usage(struct store *s, uint64_t *ret_used, uint64_t *ret_limit);

/* The complete logs that this mount has evicted, and their bytes on disk. */
void store_get_evicted(struct store *s, uint64_t *ret_logs, uint64_t *ret_bytes);

/* -- The check of a directory, which mounts may be using (`ghlogfs --check`) ------------------- */

#define STORE_REFUSAL_LEN 512 /* bytes of a reason, with its NUL */

enum store_flaw {
    STORE_LOG_DAMAGED,  /* a page does not match its checksum, or the length is another */
    STORE_META_DAMAGED, /* its log, if there is one, is none without it */
    STORE_RECORD_DAMAGED,
    STORE_LOG_ALONE,  /* a log without a .meta that describes it */
    STORE_TEMP_LEFT,  /* by a process that has ended */
    STORE_UNREADABLE, /* err tells why; never deleted */
};

struct store_finding {
    enum store_flaw flaw;
    const char *path; /* below v1/, until found() returns */
    uint64_t page;    /* of a damaged log the first that is wrong; UINT64_MAX: its length */
    int err;          /* why it cannot be read, or could not be deleted; else 0 */
    bool is_deleted;
};

struct store_checker {
    bool repair; /* delete what is damaged or left over */
    void (*found)(void *who, const struct store_finding *f);
    void (*progress)(void *who, uint64_t done, uint64_t total); /* bytes of logs; NULL: not told */
    void *who;
};

struct store_totals {
    uint64_t logs, bytes; /* of logs of all hosts */
    uint64_t metas;       /* without a log: only size and time are known */
    uint64_t records;
    uint64_t foreign; /* entries of another version, which are left alone */
};

/* Whether a mount would take the directory; nothing is made. -ENOENT: there is no cache yet, it or
 * its v1/; -EPERM: it would be refused, and why; another -errno: it could not be used. */
int store_check_dir(const char *dir, char ret_refusal[STORE_REFUSAL_LEN]);

/*
 * Reads and compares everything in the cache directory `dir`, of all hosts, in the memory of one
 * .meta or record and one page. A file is deleted only under v1/lock, and if it is still the one
 * that was read; a mount that has it open keeps it. 0: all was looked at, whatever was found;
 * -ENOMEM, or as store_check_dir.
 */
int store_check(const char *dir, const struct store_checker *checker,
                struct store_totals *ret_totals, char ret_refusal[STORE_REFUSAL_LEN]);

#endif
