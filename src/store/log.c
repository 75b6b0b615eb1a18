/*
 * log.c - complete logs and their metas: load, save, publish.
 */
#include "store/internal.h"
#include "store/meta.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void log_path(const char *host, uint64_t job, const char *ending, char path[STORE_PATH_LEN])
{
    snprintf(path, STORE_PATH_LEN, "%s/logs/%02x/%" PRIu64 "%s", host, (unsigned)(job & 0xff), job,
             ending);
}

/* -- Reading ----------------------------------------------------------------------------------- */

int store_load_meta(struct store *s, uint64_t job, struct store_meta *ret_meta)
{
    char path[STORE_PATH_LEN];
    void *data;
    size_t len;
    int rc;

    log_path(s->host, job, ".meta", path);
    if (store_file_load(s, path, META_BYTES_MAX, &data, &len))
        return -ENOENT;
    rc = meta_decode(data, len, s->host, job, ret_meta);
    free(data);
    return rc;
}

/* The file of a log if it has the right size. Writing is for mending pages, so it is not needed. */
static int find_log(struct store *s, uint64_t job, const struct store_meta *meta)
{
    struct store_dir *root = meta->checksums ? store_dir_get(s) : NULL;
    int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, fd;
    char path[STORE_PATH_LEN];
    struct stat st;

    if (!root)
        return -ENOENT;
    log_path(s->host, job, "", path);
    fd = openat(root->fd, path, O_RDWR | flags);
    if (fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM))
        fd = openat(root->fd, path, O_RDONLY | flags);
    if (fd < 0) {
        fd = -errno;
    } else if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != meta->size) {
        close(fd);
        fd = -ENOENT;
    }
    store_dir_put(root);
    return fd;
}

int store_open_log(struct store *s, uint64_t job, const struct store_meta *meta, int *ret_fd)
{
    int rc = store_file_count(s, true), fd;

    if (rc)
        return rc;
    fd = find_log(s, job, meta);
    if (fd < 0) {
        store_file_uncount(s);
        return fd;
    }
    *ret_fd = fd;
    return 0;
}

/* Two logs may share a slot: then they are marked more often than needed. */
void store_mark_used(struct store *s, uint64_t job, int fd)
{
    unsigned slot = (unsigned)(job % STORE_USED_SLOTS);
    int64_t now = s->now_ms ? s->now_ms() : 0;
    bool marked;

    if (!s->dir)
        return;
    pthread_mutex_lock(&s->lock);
    marked = s->now_ms && s->used[slot].known && s->used[slot].job == job &&
             now - s->used[slot].at_ms < STORE_USED_MS;
    if (!marked) {
        s->used[slot].job = job;
        s->used[slot].at_ms = now;
        s->used[slot].known = true;
    }
    pthread_mutex_unlock(&s->lock);
    if (!marked)
        (void)futimens(fd, NULL); /* a cache that cannot be written stays as it is */
}

/* -- Saving ------------------------------------------------------------------------------------ */

/* The meta of a log that is there whole. */
static int load_whole(struct store *s, uint64_t job, struct store_meta *ret_meta)
{
    struct store_meta m;
    int rc = store_load_meta(s, job, &m), fd;

    if (rc)
        return rc;
    fd = find_log(s, job, &m);
    if (fd < 0) {
        store_meta_finish(&m);
        return fd;
    }
    close(fd);
    *ret_meta = m;
    return 0;
}

static int write_meta(struct store *s, uint64_t job, const struct store_meta *meta)
{
    char path[STORE_PATH_LEN];
    struct store_part part;
    void *data;
    int rc = meta_encode(meta, s->host, job, &data, &part.len);

    if (rc)
        return rc;
    part.data = data;
    log_path(s->host, job, ".meta", path);
    rc = store_file_save(s, path, &part, 1);
    free(data);
    if (!rc)
        store_evict_count(s);
    return rc;
}

int store_save_meta(struct store *s, uint64_t job, const struct store_meta *meta)
{
    struct store_meta its = {0}, now = *meta;
    int rc;

    if (!s->dir)
        return 0;
    if (!meta->checksums && !load_whole(s, job, &its) && its.size == meta->size) {
        now.checksums = its.checksums;
        now.final |= its.final;
    }
    rc = write_meta(s, job, &now);
    store_meta_finish(&its);
    return rc;
}

/* -- Publishing -------------------------------------------------------------------------------- */

/* Whether the same bytes are published already; then adds our verified names to their meta. */
static bool is_there(struct store *s, uint64_t job, const struct store_meta *meta)
{
    struct store_meta its;
    bool same, learnt = false;

    if (load_whole(s, job, &its))
        return false;
    same = its.size == meta->size && its.final == meta->final &&
           !memcmp(its.checksums, meta->checksums, 8 * (size_t)store_page_count(its.size));
    for (const char *name = NULL; same && (name = store_meta_next_name(meta, name));)
        learnt |= store_meta_add_name(&its, name);
    if (learnt)
        write_meta(s, job, &its);
    store_meta_finish(&its);
    return same;
}

/* Links; over something that is there, with the help of a temporary name. */
static int give_name(struct store *s, uint64_t job, struct store_backing *b)
{
    struct store_temp t = {.root = store_dir_get(s), .fd = b->fd};
    char path[STORE_PATH_LEN];
    int rc;

    if (!t.root)
        return -ENOENT;
    memcpy(t.name, b->temp, sizeof(t.name));
    log_path(s->host, job, "", path);
    rc = t.name[0] ? 0 : store_temp_link(&t, path);
    if (rc == -EEXIST)
        rc = store_temp_link_temp(s, &t);
    if (!rc && t.name[0])
        rc = store_temp_move(&t, path);
    memcpy(b->temp, t.name, sizeof(t.name));
    store_dir_put(t.root);
    return rc;
}

int store_publish(struct store *s, uint64_t job, struct store_backing *b,
                  const struct store_meta *meta)
{
    struct stat st;
    int rc;

    if (b->in_memory || !s->dir)
        return -EXDEV;
    if (!store_keeps(s, meta->size))
        return -EFBIG;
    if (!meta->checksums || fstat(b->fd, &st) || (uint64_t)st.st_size != meta->size)
        return -EINVAL;
    if (is_there(s, job, meta))
        return 0;
    /* Gives back what was allocated behind the end. */
    if (b->allocated && ftruncate(b->fd, st.st_size))
        return -errno;
    rc = store_save_meta(s, job, meta);
    if (!rc)
        rc = give_name(s, job, b);
    if (rc)
        return rc;
    store_sum_take(&s->inflight, b->reserved);
    atomic_fetch_add(&s->published, store_size_on_disk(meta->size));
    b->reserved = 0;
    b->published = true;
    store_evict_learn(s);
    return 0;
}
