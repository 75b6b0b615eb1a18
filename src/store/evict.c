/*
 * evict.c - what has to be deleted so that there is space.
 *
 * Least recent use is a log's mtime. Everything is done under v1/lock, after a fresh scan of the
 * directory: others publish and evict as well. It evicts down to 15/16 of the bound at once, so
 * that not every log needs a scan. The log is deleted, its meta stays: it still gives size and
 * time. A log that is open stays readable; its space is free when it is closed.
 */
#include "name.h"
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FLOOR_PART 20           /* of the disk stays free: 5 % */
#define SLACK_PART 16           /* of cache_size is evicted at once */
#define PLENTY (1u << 30)       /* free bytes that other processes do not take at once */
#define UNKNOWN_MAX (64u << 20) /* in flight before the first scan of the directory */
#define FACTS_LEAST (16u << 20) /* bytes of records that are always kept */
#define ROUNDS 4                /* of scanning, when many small logs have to be deleted */
#define PATIENCE 64             /* calls after which a lock that was not acquired is tried again */
#define CHANGES_MAX 4096        /* small files written before their number is checked */
#define ORPHANS_MAX 128         /* metas without a log, in one folder */
#define FACTS_DEPTH 16

/* -- The oldest files -------------------------------------------------------------------------- */

static int compare_age(const void *a, const void *b)
{
    const struct oldest_file *x = a, *y = b;

    return (x->mtime_ns > y->mtime_ns) - (x->mtime_ns < y->mtime_ns);
}

void oldest_sort(struct oldest *o)
{
    if (o->count)
        qsort(o->files, o->count, sizeof(*o->files), compare_age);
    while (o->count > SCAN_OLDEST_MAX)
        free(o->files[--o->count].path);
}

int oldest_add(struct oldest *o, int64_t mtime_ns, uint64_t size, const char *path)
{
    if (!o->files)
        o->files = malloc(2 * SCAN_OLDEST_MAX * sizeof(*o->files));
    if (!o->files)
        return -ENOMEM;
    if (o->count == 2 * SCAN_OLDEST_MAX)
        oldest_sort(o);
    o->files[o->count] = (struct oldest_file){mtime_ns, size, strdup(path)};
    if (!o->files[o->count].path)
        return -ENOMEM;
    o->count++;
    o->total += size;
    return 0;
}

void oldest_finish(struct oldest *o)
{
    while (o->count)
        free(o->files[--o->count].path);
    free(o->files);
    *o = (struct oldest){0};
}

/* -- The scan ---------------------------------------------------------------------------------- */

/* A file in logs/<xx>/. */
struct job_file {
    uint64_t job;
    int64_t mtime_ns; /* of a meta without its log */
    bool is_meta;
};

struct scan {
    int root;
    char path[STORE_PATH_LEN]; /* of what is visited */
    unsigned depth;            /* directories below v1/ that are open */
    struct oldest logs, facts;
    struct job_file *jobs; /* of one folder */
    size_t job_count;
};

/* Visits each name in the directory at scan->path. */
static int each_name(struct scan *s, int (*visit)(void *who, const char *name))
{
    int rc;

    s->depth++;
    rc = store_dir_each(s->root, s->path, visit, s);
    s->depth--;
    return rc;
}

static int64_t mtime_of(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int add_file(struct scan *s, struct oldest *o, const char *path)
{
    struct stat st;

    if (fstatat(s->root, path, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
        return 0;
    return oldest_add(o, mtime_of(&st), store_size_on_disk((uint64_t)st.st_size), path);
}

/* In facts/ and below it. */
static int visit_fact(void *who, const char *name)
{
    struct scan *s = who;

    if (name[strlen(name) - 1] == '~')
        return add_file(s, &s->facts, s->path);
    return s->depth > FACTS_DEPTH ? 0 : each_name(s, visit_fact);
}

/* In logs/<xx>/: notes job ids, also of metas. Other names and spellings are passed over. */
static int note_job(void *who, const char *name)
{
    struct scan *s = who;
    struct job_file file = {0};
    size_t digits = strcspn(name, ".");

    file.is_meta = !strcmp(name + digits, ".meta");
    if ((*name == '0' && digits > 1) || (name[digits] && !file.is_meta) ||
        !name_parse_number(name, digits, UINT64_MAX, &file.job))
        return 0;
    if (!(s->job_count & (s->job_count - 1))) { /* a power of two: grows by doubling */
        size_t capacity = s->job_count ? 2 * s->job_count : 1;
        void *jobs = realloc(s->jobs, capacity * sizeof(*s->jobs));
        if (!jobs)
            return -ENOMEM;
        s->jobs = jobs;
    }
    s->jobs[s->job_count++] = file;
    return 0;
}

/* By job, the log before its meta. */
static int compare_jobs(const void *a, const void *b)
{
    const struct job_file *x = a, *y = b;

    if (x->job != y->job)
        return x->job < y->job ? -1 : 1;
    return (int)x->is_meta - (int)y->is_meta;
}

static int newest_first(const void *a, const void *b)
{
    const struct job_file *x = a, *y = b;

    return (x->mtime_ns < y->mtime_ns) - (x->mtime_ns > y->mtime_ns);
}

static const char *job_path(const struct scan *s, const struct job_file *file, bool is_meta,
                            char path[STORE_PATH_LEN + 32])
{
    snprintf(path, STORE_PATH_LEN + 32, "%s/%" PRIu64 "%s", s->path, file->job,
             is_meta ? ".meta" : "");
    return path;
}

/* Deletes all but the newest metas without a log. */
static void trim_orphans(struct scan *s, size_t count)
{
    char path[STORE_PATH_LEN + 32];
    struct stat st;

    if (count <= ORPHANS_MAX)
        return;
    for (size_t i = 0; i < count; i++)
        if (!fstatat(s->root, job_path(s, &s->jobs[i], true, path), &st, AT_SYMLINK_NOFOLLOW))
            s->jobs[i].mtime_ns = mtime_of(&st);
    qsort(s->jobs, count, sizeof(*s->jobs), newest_first);
    for (size_t i = ORPHANS_MAX; i < count; i++)
        unlinkat(s->root, job_path(s, &s->jobs[i], true, path), 0);
}

/* logs/<xx>. A log without a meta is none, and is deleted: the meta is always put there first and
 * deleted last, but it may have come while the folder was read. */
static int visit_log_folder(void *who, const char *name)
{
    struct scan *s = who;
    char path[STORE_PATH_LEN + 32];
    size_t orphans = 0;
    int rc;

    (void)name;
    s->job_count = 0;
    rc = each_name(s, note_job);
    if (s->job_count)
        qsort(s->jobs, s->job_count, sizeof(*s->jobs), compare_jobs);
    for (size_t i = 0; i < s->job_count && !rc; i++) {
        const struct job_file *file = &s->jobs[i];
        bool has_meta = i + 1 < s->job_count && file[1].job == file->job;
        if (file->is_meta) {
            s->jobs[orphans++] = *file;
        } else if (has_meta ||
                   !faccessat(s->root, job_path(s, file, true, path), F_OK, AT_SYMLINK_NOFOLLOW)) {
            rc = add_file(s, &s->logs, job_path(s, file, false, path));
            i += has_meta;
        } else if (errno == ENOENT) {
            unlinkat(s->root, job_path(s, file, false, path), 0);
        }
    }
    if (!rc)
        trim_orphans(s, orphans);
    return rc;
}

/* In <host>/. */
static int visit_kind(void *who, const char *name)
{
    struct scan *s = who;

    if (!strcmp(name, "logs"))
        return each_name(s, visit_log_folder);
    return strcmp(name, "facts") ? 0 : each_name(s, visit_fact);
}

static int visit_host(void *who, const char *name)
{
    (void)name;
    return each_name(who, visit_kind);
}

/* -- Eviction ---------------------------------------------------------------------------------- */

void store_sum_take(_Atomic uint64_t *sum, uint64_t bytes)
{
    uint64_t old = atomic_load(sum);

    while (!atomic_compare_exchange_weak(sum, &old, old > bytes ? old - bytes : 0))
        ;
}

/* Deletes the oldest until `bytes` are free; what another deleted meanwhile is not counted. */
static uint64_t delete_oldest(int root, struct oldest *o, uint64_t bytes, uint64_t *ret_files)
{
    uint64_t freed = 0, files = 0;

    oldest_sort(o);
    for (size_t i = 0; i < o->count && freed < bytes; i++) {
        if (unlinkat(root, o->files[i].path, 0))
            continue;
        freed += o->files[i].size;
        files++;
    }
    *ret_files = files;
    return freed;
}

/* Of too many records the oldest, and the directories above them that got empty. */
static void delete_facts(struct store *s, int root, struct oldest *facts)
{
    uint64_t most = s->cache_size / SLACK_PART > FACTS_LEAST ? s->cache_size / SLACK_PART
                                                             : FACTS_LEAST;
    uint64_t ignored;
    char *slash;

    if (facts->total <= most)
        return;
    delete_oldest(root, facts, facts->total - most + most / 4, &ignored);
    for (size_t i = 0; i < facts->count; i++) {
        while ((slash = strrchr(facts->files[i].path, '/'))) {
            *slash = '\0';
            if (unlinkat(root, facts->files[i].path, AT_REMOVEDIR))
                break;
        }
    }
}

/* How many bytes of logs have to be deleted for `more` to fit. */
static uint64_t surplus(struct store *s, uint64_t published, uint64_t more)
{
    uint64_t sum = published + atomic_load(&s->inflight) + more;

    return sum > s->cache_size ? sum - s->cache_size + s->cache_size / SLACK_PART : 0;
}

/* One scan; deletes at least `bytes`, or as much as cache_size wants. 1: more may be left. */
static int evict_locked(struct store *s, int root, uint64_t more, uint64_t bytes, uint64_t *freed)
{
    struct scan scan = {.root = root};
    uint64_t goal, files = 0, now = 0;
    int rc = each_name(&scan, visit_host);

    if (!rc) {
        goal = surplus(s, scan.logs.total, more);
        if (goal < bytes)
            goal = bytes;
        if (goal)
            now = delete_oldest(root, &scan.logs, goal, &files);
        atomic_store(&s->published, scan.logs.total - now);
        atomic_store(&s->scanned, true);
        atomic_fetch_add(&s->evicted, files);
        atomic_fetch_add(&s->evicted_bytes, now);
        delete_facts(s, root, &scan.facts);
        *freed += now;
        rc = now && now < goal;
    }
    oldest_finish(&scan.logs);
    oldest_finish(&scan.facts);
    free(scan.jobs);
    return rc;
}

/* Evicts under the lock. Others that hold it for long are evicting themselves, or are stopped:
 * either way it is better to go on, and not to wait again for a while. */
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

/* How many bytes the disk lacks for `more` to fit above its floor; and whether it is `tight`:
 * with less than that once more, a GiB and all that is in flight, others could take what is
 * counted on. */
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

int store_evict_for(struct store *s, uint64_t more, bool *ret_tight)
{
    uint64_t unknown = s->cache_size / 8 < UNKNOWN_MAX ? s->cache_size / 8 : UNKNOWN_MAX;
    uint64_t published = atomic_load(&s->published), bytes;
    struct store_dir *root;

    if (!atomic_load(&s->scanned) && atomic_load(&s->inflight) + more > unknown)
        evict(s, more, 0);
    else if (published && surplus(s, published, more))
        evict(s, more, 0);
    root = store_dir_get(s);
    if (!root)
        return -ENOSPC;
    bytes = lacking(s, root->fd, more, ret_tight);
    if (bytes) {
        store_evict_learn(s);
        published = atomic_load(&s->published);
        /* Where even all logs would not free the disk's floor, none is evicted. */
        if (bytes <= published) {
            evict(s, more, bytes + published / SLACK_PART);
            bytes = lacking(s, root->fd, more, ret_tight);
        }
    }
    store_dir_put(root);
    return bytes ? -ENOSPC : 0;
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
