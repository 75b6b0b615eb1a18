/*
 * backing.c - the files that logs fill in, and the bytes they may take.
 *
 * Every byte is reserved before it is asked for from the network, once: `end` is the furthest byte
 * reserved, and a backing never counts for more than that, however often a range is asked again.
 */
#include "diag.h"
#include "store/room.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(sizeof(((struct store_backing *)0)->temp) == STORE_TEMP_LEN, "one kind of name");

/* -- Open and close ---------------------------------------------------------------------------- */

static int open_memory(struct store_backing *ret_b)
{
    int fd = memfd_create("ghlogfs", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    *ret_b = (struct store_backing){.fd = fd, .in_memory = true};
    return 0;
}

int store_backing_open(struct store *s, struct store_backing *ret_b)
{
    struct store_temp t;
    int rc;

    if (!s->dir)
        return open_memory(ret_b);
    rc = store_temp_open(s, false, &t);
    if (rc) {
        diag_say(s->diag, DIAG_WARNING, "cache directory %s: %s; reading on in memory", s->dir,
                 strerror(-rc));
        return open_memory(ret_b);
    }
    *ret_b = (struct store_backing){.fd = t.fd};
    memcpy(ret_b->temp, t.name, sizeof(t.name));
    store_dir_put(t.root);
    return 0;
}

static void drop_name(struct store *s, struct store_backing *b)
{
    struct store_dir *root = b->temp[0] ? store_dir_get(s) : NULL;

    if (!root)
        return;
    unlinkat(root->fd, b->temp, 0);
    store_dir_put(root);
    b->temp[0] = '\0';
}

void store_backing_close(struct store *s, struct store_backing *b)
{
    drop_name(s, b);
    if (b->fd >= 0)
        close(b->fd);
    store_sum_take(b->in_memory ? &s->held : &s->inflight, b->reserved);
    b->fd = -1;
    b->reserved = 0;
}

/* -- Reserve ----------------------------------------------------------------------------------- */

/* Adds to what is held in memory if that stays within the bound. */
static int hold(struct store *s, uint64_t more)
{
    uint64_t held = atomic_load(&s->held);

    do {
        if (more > s->memory || held > s->memory - more)
            return -EFBIG;
    } while (!atomic_compare_exchange_weak(&s->held, &held, held + more));
    return 0;
}

/* Takes the blocks now. KEEP_SIZE: the file is as long as what was written, so in the end it is
 * exactly the log. A file system that cannot do this is taken at its word. */
static int allocate(int fd, uint64_t from, uint64_t to)
{
    int rc;

    do
        rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from)) ? -errno : 0;
    while (rc == -EINTR);
    return rc == -EOPNOTSUPP || rc == -ENOSYS ? 0 : rc;
}

static int reserve_memory(struct store *s, struct store_backing *b, uint64_t from, uint64_t to,
                          uint64_t more)
{
    int rc = hold(s, more);

    if (rc)
        return rc;
    if (allocate(b->fd, from, to)) {
        store_sum_take(&s->held, more);
        return -EFBIG;
    }
    return 0;
}

static int reserve_disk(struct store *s, struct store_backing *b, uint64_t from, uint64_t to,
                        uint64_t more)
{
    bool tight;
    int rc = store_evict_for(s, more, &tight);

    if (rc)
        return rc;
    /* With plenty of room nobody is in danger of finding none, and blocks that turn out too many
     * cost more to give back than a small log costs to write. */
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
    more = end - b->reserved < to - from ? end - b->reserved : to - from;
    rc = b->in_memory ? reserve_memory(s, b, from, to, more) : reserve_disk(s, b, from, to, more);
    if (rc)
        return rc;
    b->reserved += more;
    b->end = end;
    return 0;
}

/* -- From disk to memory ----------------------------------------------------------------------- */

/* Copies what the file has of a page: it may end there, or before the page's first byte. */
static int copy_page(int from, int to, uint64_t page, char *buffer)
{
    off_t at = (off_t)(page * STORE_PAGE_SIZE);
    size_t done = 0;
    ssize_t n;

    do {
        n = pread(from, buffer + done, STORE_PAGE_SIZE - done, at + (off_t)done);
        if (n > 0)
            done += (size_t)n;
    } while ((n > 0 && done < STORE_PAGE_SIZE) || (n < 0 && errno == EINTR));
    if (n < 0)
        return -EIO;
    for (size_t put = 0; put < done; put += (size_t)n) {
        n = pwrite(to, buffer + put, done - put, at + (off_t)put);
        if (n <= 0)
            return -EIO;
    }
    return 0;
}

static int copy_pages(int from, int to, uint64_t size,
                      bool (*page_is_here)(void *who, uint64_t page), void *who)
{
    char *buffer = malloc(STORE_PAGE_SIZE);
    int rc = buffer ? 0 : -ENOMEM;

    for (uint64_t page = 0; !rc && page * STORE_PAGE_SIZE < size; page++)
        if (page_is_here(who, page))
            rc = copy_page(from, to, page, buffer);
    free(buffer);
    return rc;
}

int store_backing_to_memory(struct store *s, struct store_backing *b, uint64_t size,
                            bool (*page_is_here)(void *who, uint64_t page), void *who)
{
    struct store_backing m;
    int rc = open_memory(&m);

    if (rc)
        return rc;
    rc = store_backing_reserve(s, &m, 0, size);
    if (!rc)
        rc = copy_pages(b->fd, m.fd, size, page_is_here, who);
    if (rc) {
        store_backing_close(s, &m);
        return rc;
    }
    b->fd = -1;
    store_backing_close(s, b);
    *b = m;
    return 0;
}
