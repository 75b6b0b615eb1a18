/*
 * room.h - inside the store: the struct and what its files know of each other.
 *
 * The directory is reached by one file descriptor, that of v1/. It can be replaced while others use
 * it (the directory was deleted and made anew), so it is counted by its users: store_dir_get, and
 * store_dir_put. No lock is held across a call that goes to the disk.
 */
#ifndef GHLOGFS_STORE_ROOM_H
#define GHLOGFS_STORE_ROOM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_HOST_LEN 128  /* the host as a folder's name */
#define STORE_PATH_LEN 1280 /* of anything below v1/ */
#define STORE_BLOCK 4096u   /* bytes; a small file takes no less on most disks */
#define STORE_USED_SLOTS 256
#define STORE_USED_MS 60000
#define STORE_ORPHANS_MAX 128 /* metas without a log, in one folder */

struct diag;

/* v1/ as it was entered; closed by the last of its users, of whom the store is one. */
struct store_dir {
    int fd;
    atomic_uint users;
};

struct store {
    char *dir; /* absolute; NULL: in memory for good */
    char host[STORE_HOST_LEN];
    uint64_t cache_size, memory;
    unsigned files; /* of logs, open at once; 0: no bound */
    struct diag *diag;
    int64_t (*now_ms)(void);

    /* Bytes. Sums over threads, so atomic; store_usage reads them without waiting. */
    _Atomic uint64_t published, inflight, held;
    atomic_uint open_files;
    atomic_uint changes;  /* small files written */
    atomic_uint patience; /* calls for which the lock is not tried again */
    atomic_bool scanned;  /* `published` knows of what others published, too */
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

/* Walks to the directory, makes what is missing, checks, and has `root` from then on. Also when the
 * directory has vanished. -EPERM: refused. */
int store_dir_enter(struct store *s);
/* v1/ for the caller to put back; NULL: there is none. */
struct store_dir *store_dir_get(struct store *s);
void store_dir_put(struct store_dir *dir);
/* Makes the directories that lead to a path. */
int store_dir_make(int root, const char *path);
/* The lock of v1/ for the caller to close. -EBUSY: others hold it, for longer
 * than one waits (a second). */
int store_dir_lock(int root, bool wait);

/* -- file.c: files without a name, or not yet with theirs -------------------------------------- */

#define STORE_TEMP_LEN 32 /* as in struct store_backing */

/* A file in v1/tmp and the root it is in. With a name it is held by flock: whoever can lock it
 * knows that its owner is gone. */
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

/* Writes a small file whole and puts it at the path. */
int store_file_replace(struct store *s, const char *path, const struct store_part *parts,
                       unsigned count);
/* Reads a small file whole; malloc'd, with a NUL behind it. */
int store_file_read(struct store *s, const char *path, size_t max, void **ret_data,
                    size_t *ret_len);

/* -- store.c ----------------------------------------------------------------------------------- */

/* One file of a log more is open. -EMFILE: as many are as may be. Published logs have a part of
 * the bound to themselves: any of them can be closed for another, whereas one that fills in has
 * its bytes nowhere else. */
int store_file_count(struct store *s, bool is_published);
void store_file_uncount(struct store *s);

/* -- evict.c ---------------------------------------------------------------------------------- */

/* Makes room for `more` bytes: within cache_size as far as there is something to evict, and
 * above the 5 % of the disk, or -ENOSPC. tight: there is not so much room that they need not be
 * allocated. */
int store_evict_for(struct store *s, uint64_t more, bool *ret_tight);
/* The disk had no room although it should have: evicts that much. */
void store_evict_bytes(struct store *s, uint64_t bytes);
/* Learns what is on disk, if that is not known yet. */
void store_evict_learn(struct store *s);
/* A small file was written: now and then their number is looked at. */
void store_evict_count(struct store *s);
/* Takes bytes off a sum, never below zero: what others did is only known roughly. */
void store_sum_take(_Atomic uint64_t *sum, uint64_t bytes);

#endif
