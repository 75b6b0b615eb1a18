/*
 * store.c - the beginning and the end of a store, and what it knows without reading the disk.
 */
#include "store/store.h"

#include "diag.h"
#include "store/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPARE_PART 4 /* of the open files is for published logs */
#define SPARE_LEAST                                                                                \
    6 /* one more than threads may hold at the same moment: then one can be closed */

/* The host as one folder's name: lower case; a host that this changes otherwise, or that is too
 * long, gets a hash behind it, so that no two share a folder. */
static void fold_host(const char *host, char folder[STORE_HOST_LEN])
{
    size_t keep = STORE_HOST_LEN - 18, len = strlen(host), n = 0;
    bool changed = len > keep || !len;

    for (; n < len && n < keep; n++) {
        char c = host[n];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-.:[]", c) || (n == 0 && c == '.')) {
            c = '_';
            changed = true;
        }
        folder[n] = c;
    }
    folder[n] = '\0';
    changed |= !strcmp(folder, "tmp") || !strcmp(folder, "lock"); /* names of our own */
    if (changed)
        snprintf(folder + n, STORE_HOST_LEN - n, "_%016" PRIx64, store_page_checksum(host, len));
}

/* Where the directory cannot be used, everything is kept in memory for good: what is kept would
 * otherwise depend on the moment. */
static int enter(struct store *s)
{
    int rc = store_dir_enter(s), lock;
    struct store_dir *root;

    if (rc == -EPERM || rc == -ENOMEM)
        return rc;
    if (rc) {
        diag_log(s->diag, DIAG_WARNING, "cache directory %s: %s; keeping logs in memory", s->dir,
                 strerror(-rc));
        free(s->dir);
        s->dir = NULL;
        return 0;
    }
    /* Mounting does not wait for the lock: the next mount deletes what is left over. */
    root = store_dir_get(s);
    lock = root ? store_dir_lock(root->fd, false) : -1;
    if (lock >= 0) {
        store_temp_clear(root->fd);
        close(lock);
    }
    store_dir_put(root);
    return 0;
}

int store_create(const struct store_config *config, struct store **ret_store)
{
    struct store *s = calloc(1, sizeof(*s));
    int rc = 0;

    if (!s)
        return -ENOMEM;
    s->cache_size = config->cache_size;
    s->memory = config->memory;
    s->files = config->files;
    s->diag = config->diag;
    s->now_ms = config->now_ms;
    /* Not zero in each process: short-lived ones must reach the count now and then, too. */
    atomic_init(&s->changes, (unsigned)getpid());
    pthread_mutex_init(&s->lock, NULL);
    fold_host(config->host, s->host);
    if (config->dir) {
        s->dir = strdup(config->dir);
        /* With a slash at its end a symlink would be followed. */
        for (size_t len = s->dir ? strlen(s->dir) : 0; len > 1 && s->dir[len - 1] == '/'; len--)
            s->dir[len - 1] = '\0';
        rc = s->dir ? enter(s) : -ENOMEM;
    }
    if (rc) {
        store_destroy(s);
        return rc;
    }
    *ret_store = s;
    return 0;
}

void store_destroy(struct store *s)
{
    if (!s)
        return;
    store_dir_put(s->root);
    pthread_mutex_destroy(&s->lock);
    free(s->dir);
    free(s);
}

int store_file_count(struct store *s, bool is_published)
{
    unsigned spare = s->files / SPARE_PART > SPARE_LEAST ? s->files / SPARE_PART : SPARE_LEAST;
    unsigned open = atomic_fetch_add(&s->open_files, 1);

    if (!s->files || open + (is_published ? 0 : spare) < s->files)
        return 0;
    store_file_uncount(s);
    return -EMFILE;
}

void store_file_uncount(struct store *s)
{
    atomic_fetch_sub(&s->open_files, 1);
}

bool store_keeps(const struct store *s, uint64_t size)
{
    return s->dir && size <= s->cache_size;
}

bool store_is_over(const struct store *s)
{
    return s->dir && atomic_load(&s->published) + atomic_load(&s->inflight) > s->cache_size;
}

void store_usage(struct store *s, uint64_t *ret_used, uint64_t *ret_limit)
{
    *ret_used = s->dir ? atomic_load(&s->published) + atomic_load(&s->inflight)
                       : atomic_load(&s->held);
    *ret_limit = s->dir ? s->cache_size : s->memory;
}

void store_get_evicted(struct store *s, uint64_t *ret_logs, uint64_t *ret_bytes)
{
    *ret_logs = atomic_load(&s->evicted);
    *ret_bytes = atomic_load(&s->evicted_bytes);
}
