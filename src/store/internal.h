/*
 * internal.h - inside the store: its struct, and what its files share.
 *
 * The directory is reached by one file descriptor, that of v1/. It can be replaced while others use
 * it (the directory was deleted and made anew), so it is counted by its users: store_dir_get and
 * store_dir_put. Paths are below v1/. No lock is held across a call that waits for the disk.
 *
 * Calls go down only: backing.c, log.c, record.c, check.c - store.c, evict.c - file.c - dir.c; and
 * to memory.c, meta.c, checksum.c, which call no other file.
 */
#ifndef GHLOGFS_STORE_INTERNAL_H
#define GHLOGFS_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STORE_HOST_LEN 128  /* the host as a folder's name */
#define STORE_PATH_LEN 1280 /* of anything below v1/ */
#define STORE_TEMP_LEN 32   /* as in struct store_backing */
#define STORE_BLOCK 4096u   /* bytes; a small file takes no less on most disks */
#define STORE_USED_SLOTS 256
#define STORE_USED_MS 60000

struct diag;

/* v1/ as it was entered; closed by the last of its users, of whom the store is one. */
struct store_dir {
    int fd;
    atomic_uint users;
};

struct store {
    char *dir; /* absolute; NULL: in memory for good */
    char host[STORE_HOST_LEN];
    char *refusal; /* STORE_REFUSAL_LEN bytes: why the directory is refused; NULL: only logged */
    uint64_t cache_size, memory;
    unsigned files; /* of logs, open at once; 0: no bound */
    struct diag *diag;
    int64_t (*now_ms)(void);

    /* Bytes. Sums over threads, so atomic; store_usage reads them without waiting. */
    _Atomic uint64_t published, inflight, held;
    _Atomic uint64_t evicted, evicted_bytes; /* complete logs that this mount has deleted */
    atomic_uint open_files;
    atomic_uint changes;  /* small files written */
    atomic_uint patience; /* calls for which the lock is not tried again */
    atomic_bool scanned;  /* `published` includes what others published */
    atomic_uint serial;   /* of names in v1/tmp */

    pthread_mutex_t lock;   /* protects what follows */
    struct store_dir *root; /* NULL: none */
    struct {
        uint64_t job;
        int64_t at_ms;
        bool known;
    } used[STORE_USED_SLOTS];
};

/* What a file takes of the disk, more or less. */
static inline uint64_t store_size_on_disk(uint64_t size)
{
    return (size + STORE_BLOCK - 1) / STORE_BLOCK * STORE_BLOCK;
}

/* -- dir.c: the directory --------------------------------------------------------------------- */

/* Opens the directory, creates what is missing of it, checks, and has `root` from then on. Also
 * when the directory has vanished. -EPERM: refused. */
int store_dir_enter(struct store *s);
/* v1/ of a directory that is there already, checked in the same way, for the caller to close.
 * Nothing is made and nothing logged. -ENOENT: there is none; -EPERM: refused, and why. */
int store_dir_open(const char *dir, char *ret_refusal);
/*
 * Visits each name in the directory at `path`, of STORE_PATH_LEN bytes, below `root` ("": root
 * itself); `path` is the name's path meanwhile. What is no directory has no names. -ENOMEM, what
 * visit returned other than 0, of root itself also why it cannot be read.
 */
int store_dir_each(int root, char *path, int (*visit)(void *who, const char *name), void *who);
/* v1/ for the caller to put back; NULL: there is none. */
struct store_dir *store_dir_get(struct store *s);
void store_dir_put(struct store_dir *dir); /* NULL: nothing */
/* Makes the directories that lead to a path. */
int store_dir_make(int root, const char *path);
/* The lock of v1/ for the caller to close. -EBUSY: others hold it, for longer than one waits (a
 * second). */
int store_dir_lock(int root, bool wait);

/* -- file.c: files without a name, or not yet with theirs -------------------------------------- */

/* A file in v1/tmp and the root it is in. With a name it is held by flock: if it can be locked, its
 * owner is gone. */
struct store_temp {
    struct store_dir *root;
    int fd;
    char name[STORE_TEMP_LEN]; /* "": it has none */
};

struct store_part {
    const void *data;
    size_t len;
};

int store_temp_open(struct store *s, bool named, struct store_temp *ret_t);
/* Gives the file this path below the same root, in place of what is there. */
int store_temp_move(struct store_temp *t, const char *path);
/* The same for one without a name. -EEXIST: something is there. */
int store_temp_link(struct store_temp *t, const char *path);
/* A name in v1/tmp for one without. */
int store_temp_link_temp(struct store *s, struct store_temp *t);
/* Deletes what dead processes left in v1/tmp. */
void store_temp_clear(int root);

/* All of it, or -errno. */
int store_file_write(int fd, const void *data, size_t len, uint64_t offset);
/* Bytes read, fewer than `len` only at the file's end; or -errno. */
ssize_t store_file_read(int fd, void *data, size_t len, uint64_t offset);
/* Writes a small file whole and puts it at the path. */
int store_file_save(struct store *s, const char *path, const struct store_part *parts,
                    unsigned count);
/* Reads a small file whole; malloc'd, with a NUL behind it. */
int store_file_load(struct store *s, const char *path, size_t max, void **ret_data,
                    size_t *ret_len);
int store_file_load_at(int root, const char *path, size_t max, void **ret_data, size_t *ret_len);

/* -- store.c ----------------------------------------------------------------------------------- */

/* One file of a log more is open. -EMFILE: as many are as may be. Published logs have a part of
 * the bound to themselves: any of them can be closed for another, whereas one that fills in has
 * its bytes nowhere else. */
int store_file_count(struct store *s, bool is_published);
void store_file_uncount(struct store *s);

/* -- evict.c ---------------------------------------------------------------------------------- */

/* Frees space for `more` bytes: within cache_size as far as there is something to evict, and
 * above the 5 % of the disk, or -ENOSPC. tight: there is not so much space that they need not be
 * allocated. */
int store_evict_for(struct store *s, uint64_t more, bool *ret_tight);
/* The disk was full although it should not have been: evicts that much. */
void store_evict_bytes(struct store *s, uint64_t bytes);
/* Learns what is on disk, if that is not known yet. */
void store_evict_learn(struct store *s);
/* A small file was written: now and then their number is checked. */
void store_evict_count(struct store *s);
/* Takes bytes off a sum, never below zero: what others did is only known roughly. */
void store_sum_take(_Atomic uint64_t *sum, uint64_t bytes);

/* The files used least recently, of any number: at most SCAN_OLDEST_MAX after oldest_sort, at most
 * twice as many before. A caller that needs more scans again. */
#define SCAN_OLDEST_MAX 8192

struct oldest_file {
    int64_t mtime_ns;
    uint64_t size;
    char *path;
};

struct oldest {
    uint64_t total; /* bytes of all that were added */
    size_t count;
    struct oldest_file *files; /* 2 * SCAN_OLDEST_MAX, once there is one */
};

int oldest_add(struct oldest *o, int64_t mtime_ns, uint64_t size, const char *path); /* -ENOMEM */
void oldest_sort(struct oldest *o); /* oldest first */
void oldest_finish(struct oldest *o);

/* -- memory.c: a log that is filled in outside any file ---------------------------------------- */

struct store_memory;

/* NULL: no memory. */
struct store_memory *memory_create(void);
void memory_destroy(struct store_memory *m);

/* How many bytes more the log takes once [from, to) is mapped; in units of 4 KiB. */
uint64_t memory_missing(struct store_memory *m, uint64_t from, uint64_t to);

/* Makes sure that [from, to) can be written. -EFBIG: beyond 64 GiB, or the system gives no more. */
int memory_map(struct store_memory *m, uint64_t from, uint64_t to);

/* -EFBIG: not mapped, and nothing was written. */
int memory_write(struct store_memory *m, const void *data, size_t len, uint64_t offset);

/* What was never written reads as zeros. */
void memory_read(struct store_memory *m, void *data, size_t len, uint64_t offset);

/* -- record.c: the form of a record's file ----------------------------------------------------- */

/* The data, and behind it what proves it, so that the data is where it was read to:
 *
 *     n  data     8  "ghlfact" and the version, 1     8  n     8  XXH3 of host, key and data */
#define RECORD_TRAILER 24

/* Whether a key is made of components that are safe as names of files (see store.h). */
bool record_key_is_valid(const char *key);
void record_seal(const char *host, const char *key, const void *data, size_t len,
                 unsigned char ret_trailer[RECORD_TRAILER]);
/* The length of the data in a file of this content. -ENOENT: it does not hold. */
int record_open(const char *host, const char *key, const void *file, size_t file_len,
                size_t *ret_len);
/* Whether it ends like a record of another version than ours. */
bool record_is_foreign(const void *file, size_t file_len);

#endif
