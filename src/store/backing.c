/*
 * backing.c - the files that logs fill in, and the bytes they may take.
 *
 * Every byte is reserved before it is requested from the network, once: `end` is the furthest byte
 * reserved, and a backing never counts for more than that, however often a range is requested.
 */
#include "diag.h"
#include "store/internal.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(((struct store_backing *)0)->temp) == STORE_TEMP_LEN, "one kind of name");

/* -- Open and close ---------------------------------------------------------------------------- */

int store_backing_open_memory(struct store_backing *ret_b)
{
    struct store_memory *memory = memory_create();

    if (!memory)
        return -ENOMEM;
    *ret_b = (struct store_backing){.fd = -1, .in_memory = true, .memory = memory};
    return 0;
}

bool store_is_short_of_files(int rc)
{
    return rc == -EMFILE || rc == -ENFILE;
}

int store_backing_open(struct store *s, struct store_backing *ret_b)
{
    struct store_temp t;
    int rc;

    if (!s->dir)
        return store_backing_open_memory(ret_b);
    rc = store_file_count(s, false);
    if (!rc) {
        rc = store_temp_open(s, false, &t);
        if (rc)
            store_file_uncount(s);
    }
    if (store_is_short_of_files(rc))
        return rc;
    if (rc) {
        diag_log(s->diag, DIAG_WARNING, "cache directory %s: %s; reading on in memory", s->dir,
                 strerror(-rc));
        return store_backing_open_memory(ret_b);
    }
    *ret_b = (struct store_backing){.fd = t.fd};
    memcpy(ret_b->temp, t.name, sizeof(t.name));
    store_dir_put(t.root);
    return 0;
}

void store_backing_close(struct store *s, struct store_backing *b)
{
    struct store_dir *root = b->temp[0] ? store_dir_get(s) : NULL;

    if (root) {
        unlinkat(root->fd, b->temp, 0);
        store_dir_put(root);
        b->temp[0] = '\0';
    }
    if (b->fd >= 0) {
        close(b->fd);
        store_file_uncount(s);
    }
    memory_destroy(b->memory);
    store_sum_take(b->in_memory ? &s->held : &s->inflight, b->reserved);
    b->fd = -1;
    b->memory = NULL;
    b->reserved = 0;
}

/* -- Reserve ----------------------------------------------------------------------------------- */

/* Takes the blocks now. KEEP_SIZE: the file is as long as what was written, so in the end it is
 * exactly the log. Where the file system cannot allocate, its count of free blocks must do. */
static int allocate(int fd, uint64_t from, uint64_t to)
{
    int rc;

    do
        rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from)) ? -errno : 0;
    while (rc == -EINTR);
    return rc == -EOPNOTSUPP || rc == -ENOSYS ? 0 : rc;
}

static int reserve_memory(struct store *s, struct store_backing *b, uint64_t from, uint64_t to)
{
    uint64_t more = memory_missing(b->memory, from, to), held = atomic_load(&s->held);
    int rc;

    do {
        if (more > s->memory || held > s->memory - more)
            return -EFBIG;
    } while (!atomic_compare_exchange_weak(&s->held, &held, held + more));
    rc = memory_map(b->memory, from, to);
    if (rc)
        store_sum_take(&s->held, more);
    else
        b->reserved += more;
    return rc;
}

static int reserve_disk(struct store *s, struct store_backing *b, uint64_t from, uint64_t to,
                        uint64_t more)
{
    bool tight;
    int rc = store_evict_for(s, more, &tight);

    if (rc)
        return rc;
    /* With plenty of space no write fails for lack of it, and freeing blocks that were not needed
     * costs more than writing a small log. */
    b->allocated |= tight;
    rc = tight ? allocate(b->fd, from, to) : 0;
    if (rc == -ENOSPC || rc == -EDQUOT) {
        store_evict_bytes(s, to - from);
        rc = allocate(b->fd, from, to);
    }
    if (rc)
        return -ENOSPC;
    atomic_fetch_add(&s->inflight, more);
    return 0;
}

int store_backing_reserve(struct store *s, struct store_backing *b, uint64_t from, uint64_t to)
{
    uint64_t end = to > b->end ? to : b->end, more;
    int rc;

    if (to > INT64_MAX)
        return -EFBIG;
    if (b->published || from >= to)
        return 0;
    if (b->in_memory)
        return reserve_memory(s, b, from, to);
    more = end - b->reserved < to - from ? end - b->reserved : to - from;
    rc = reserve_disk(s, b, from, to, more);
    if (rc)
        return rc;
    b->reserved += more;
    b->end = end;
    return 0;
}

/* -- Bytes ------------------------------------------------------------------------------------- */

int store_backing_write(struct store_backing *b, const void *data, size_t len, uint64_t offset)
{
    return b->in_memory ? memory_write(b->memory, data, len, offset)
                        : store_file_write(b->fd, data, len, offset);
}

void store_backing_read_memory(const struct store_backing *b, void *data, size_t len,
                               uint64_t offset)
{
    memory_read(b->memory, data, len, offset);
}

/* -- From disk to memory ----------------------------------------------------------------------- */

/* Copies those of the pages that are present. What the file has of a page: it may end there, or
 * before the page's first byte. */
static int copy_pages(struct store *s, int from, struct store_backing *to, uint64_t size,
                      bool (*page_is_here)(void *who, uint64_t page), void *who)
{
    char *buffer = malloc(STORE_PAGE_SIZE);
    int rc = buffer ? 0 : -ENOMEM;

    for (uint64_t at = 0; !rc && at < size; at += STORE_PAGE_SIZE) {
        ssize_t n;
        if (!page_is_here(who, at / STORE_PAGE_SIZE))
            continue;
        n = store_file_read(from, buffer, STORE_PAGE_SIZE, at);
        rc = n < 0 ? -EIO : store_backing_reserve(s, to, at, at + (uint64_t)n);
        if (!rc)
            rc = memory_write(to->memory, buffer, (size_t)n, at);
    }
    free(buffer);
    return rc;
}

int store_backing_to_memory(struct store *s, struct store_backing *b, uint64_t size,
                            bool (*page_is_here)(void *who, uint64_t page), void *who)
{
    struct store_backing m;
    int rc = store_backing_open_memory(&m);

    if (rc)
        return rc;
    rc = copy_pages(s, b->fd, &m, size, page_is_here, who);
    if (rc) {
        store_backing_close(s, &m);
        return rc;
    }
    b->fd = -1;
    store_backing_close(s, b);
    *b = m;
    return 0;
}
