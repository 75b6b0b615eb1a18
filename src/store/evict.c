/*
 * evict.c - what has to go, so that there is room.
 *
 * Least recent use is a log's mtime. Everything is done under v1/lock, by a fresh look at the
 * directory: others publish and evict as well. It goes down to 15/16 of the bound at once, so that
 * the look is not needed for every log. The log goes, its meta stays: it still tells size and time.
 * A log that somebody has open can be read on by him; the disk has its room when he closes it.
 */
#include "store/room.h"
#include "store/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FLOOR_PART 20           /* of the disk stays free: 5 % */
#define SLACK_PART 16           /* of cache_size is evicted at once */
#define PLENTY (1u << 30)       /* free bytes that nobody takes at once */
#define UNKNOWN_MAX (64u << 20) /* in flight before the first look at the directory */
#define FACTS_LEAST (16u << 20) /* bytes of records that are always kept */
#define ROUNDS 4                /* of looking, when many small logs have to go */
#define PATIENCE 64             /* calls after which a lock not got is tried again */
#define CHANGES_MAX 4096        /* small files written before their number is looked at */

void store_sum_take(_Atomic uint64_t *sum, uint64_t bytes)
{
    uint64_t old = atomic_load(sum);

    while (!atomic_compare_exchange_weak(sum, &old, old > bytes ? old - bytes : 0))
        ;
}

/* Deletes the oldest until `bytes` are free; what another deleted meanwhile is not counted. */
static uint64_t delete_oldest(int root, struct scan_list *list, uint64_t bytes)
{
    uint64_t freed = 0;

    scan_sort(list);
    for (size_t i = 0; i < list->count && freed < bytes; i++) {
        if (unlinkat(root, list->files[i].path, 0))
            continue;
        freed += list->files[i].size;
    }
    return freed;
}

/* Takes away the directories above a record that got empty. */
static void delete_empty(int root, char *path)
{
    char *slash;

    while ((slash = strrchr(path, '/'))) {
        *slash = '\0';
        if (unlinkat(root, path, AT_REMOVEDIR))
            return;
    }
}

static void delete_facts(struct store *s, int root, struct scan_list *facts)
{
    uint64_t most = s->cache_size / SLACK_PART;

    if (most < FACTS_LEAST)
        most = FACTS_LEAST;
    if (facts->total <= most)
        return;
    delete_oldest(root, facts, facts->total - most + most / 4);
    for (size_t i = 0; i < facts->count; i++)
        delete_empty(root, facts->files[i].path);
}

/* How many bytes of logs have to go for `more` to fit. */
static uint64_t surplus(struct store *s, uint64_t published, uint64_t more)
{
    uint64_t sum = published + atomic_load(&s->inflight) + more;

    return sum > s->cache_size ? sum - s->cache_size + s->cache_size / SLACK_PART : 0;
}

/* One look, and at least `bytes` away, or as many as cache_size wants. 1: there may be more to
 * do. */
static int evict_locked(struct store *s, int root, uint64_t more, uint64_t bytes, uint64_t *freed)
{
    uint64_t goal, now;
    struct scan scan;
    int rc = scan_run(root, &scan);

    if (rc)
        return rc;
    goal = surplus(s, scan.logs.total, more);
    if (goal < bytes)
        goal = bytes;
    now = goal ? delete_oldest(root, &scan.logs, goal) : 0;
    atomic_store(&s->published, scan.logs.total - now);
    atomic_store(&s->scanned, true);
    delete_facts(s, root, &scan.facts);
    scan_finish(&scan);
    *freed += now;
    return now && now < goal;
}

/* Evicts under the lock. When others hold it for long, they are evicting, or stopped: both times it
 * is better to go on, and not to wait again for a while. */
static void evict(struct store *s, uint64_t more, uint64_t bytes)
{
    struct store_dir *root;
    int lock, rc = 1;
    uint64_t freed = 0;

    if (atomic_load(&s->patience) && atomic_fetch_sub(&s->patience, 1) > 1)
        return;
    root = store_dir_get(s);
    if (!root)
        return;
    lock = store_dir_lock(root->fd, true);
    atomic_store(&s->patience, lock == -EBUSY ? PATIENCE : 0);
    for (int i = 0; lock >= 0 && rc == 1 && i < ROUNDS; i++)
        rc = evict_locked(s, root->fd, more, freed < bytes ? bytes - freed : 0, &freed);
    if (lock >= 0)
        close(lock);
    store_dir_put(root);
}

/* How many bytes the disk lacks for `more` to fit above its floor; and whether it is `tight`: with
 * less than that once more, a GiB and all that is in flight, others could take what we count on. */
static uint64_t lacking(struct store *s, int root, uint64_t more, bool *ret_tight)
{
    uint64_t avail, floor, plenty;
    struct statvfs fs;

    *ret_tight = true;
    if (fstatvfs(root, &fs) || !fs.f_blocks)
        return 0;
    avail = (uint64_t)fs.f_bavail * fs.f_frsize;
    floor = (uint64_t)fs.f_blocks * fs.f_frsize / FLOOR_PART;
    plenty = 2 * floor + PLENTY + atomic_load(&s->inflight) + more;
    *ret_tight = avail < plenty;
    return avail < floor + more ? floor + more - avail : 0;
}

/* The floor is not for those who could not reach it: if even all of the logs would not do, they
 * stay. */
static int keep_floor(struct store *s, int root, uint64_t more, bool *ret_tight)
{
    uint64_t bytes = lacking(s, root, more, ret_tight), published;

    if (!bytes)
        return 0;
    store_evict_learn(s);
    published = atomic_load(&s->published);
    if (bytes > published)
        return -ENOSPC;
    evict(s, more, bytes + published / SLACK_PART);
    return lacking(s, root, more, ret_tight) ? -ENOSPC : 0;
}

int store_evict_for(struct store *s, uint64_t more, bool *ret_tight)
{
    uint64_t unknown = s->cache_size / 8 < UNKNOWN_MAX ? s->cache_size / 8 : UNKNOWN_MAX;
    uint64_t published = atomic_load(&s->published);
    struct store_dir *root;
    int rc;

    if (!atomic_load(&s->scanned) && atomic_load(&s->inflight) + more > unknown)
        evict(s, more, 0);
    else if (published && surplus(s, published, more))
        evict(s, more, 0);
    root = store_dir_get(s);
    if (!root)
        return -ENOSPC;
    rc = keep_floor(s, root->fd, more, ret_tight);
    store_dir_put(root);
    return rc;
}

void store_evict_bytes(struct store *s, uint64_t bytes)
{
    evict(s, bytes, bytes);
}

void store_evict_learn(struct store *s)
{
    if (!atomic_load(&s->scanned))
        evict(s, 0, 0);
}

void store_evict_count(struct store *s)
{
    if (atomic_fetch_add(&s->changes, 1) % CHANGES_MAX == CHANGES_MAX - 1)
        evict(s, 0, 0);
}
