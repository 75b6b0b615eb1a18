#include "store/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <mntent.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void scratch_skip(const char *why)
{
    print_message("skipped: %s\n", why);
    skip();
}

/*
 * A new mount namespace copies all mounts, and a file system ends only when its last copy is
 * unmounted: the copies of the mounts of end-to-end tests that run at the same time are removed.
 */
static bool unmount_one_copy(void)
{
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    const struct mntent *m;
    bool unmounted = false;

    if (!mounts)
        return false;
    while (!unmounted && (m = getmntent(mounts)))
        unmounted = strcmp(m->mnt_type, "fuse.ghlogfs") == 0 && !umount2(m->mnt_dir, MNT_DETACH);
    endmntent(mounts);
    return unmounted;
}

bool scratch_may_mount(void)
{
    if (unshare(CLONE_NEWNS) || mount("none", "/", "none", MS_REC | MS_SLAVE, NULL))
        return false;
    while (unmount_one_copy())
        ;
    return true;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path) && errno != ENOENT ? -1 : 0;
}

void scratch_remove(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int scratch_setup(void **state)
{
    struct scratch *x = calloc(1, sizeof(*x));

    if (!x)
        return -1;
    snprintf(x->top, sizeof(x->top), "/var/tmp/ghlogfs-store-XXXXXX");
    if (!mkdtemp(x->top))
        return -1;
    snprintf(x->dir, sizeof(x->dir), "%s/cache", x->top);
    *state = x;
    return 0;
}

int scratch_teardown(void **state)
{
    struct scratch *x = *state;

    scratch_remove(x->top);
    free(x);
    return 0;
}

const char *scratch_path(struct scratch *x, const char *fmt, ...)
{
    int n = snprintf(x->path, sizeof(x->path), "%s/", x->top);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(x->path + n, sizeof(x->path) - (size_t)n, fmt, ap);
    va_end(ap);
    return x->path;
}

const char *scratch_log(struct scratch *x, uint64_t job, const char *ending)
{
    return scratch_path(x, "cache/v1/api.test/logs/%02x/%" PRIu64 "%s", (unsigned)(job & 255), job,
                        ending);
}

struct store *scratch_store(struct scratch *x, uint64_t cache_size)
{
    struct store_config config = {
        .dir = x->dir, .host = "api.test", .cache_size = cache_size, .memory = 1 << 20};
    struct store *s = NULL;

    assert_int_equal(store_create(&config, &s), 0);
    return s;
}

void scratch_page(uint64_t job, uint64_t page, unsigned char data[STORE_PAGE_SIZE])
{
    uint64_t x = job * 1000003 + page + 1;

    for (size_t i = 0; i < STORE_PAGE_SIZE; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        data[i] = (unsigned char)(x >> 56);
    }
}

static size_t page_len(uint64_t size, uint64_t page)
{
    uint64_t left = size - page * STORE_PAGE_SIZE;

    return left < STORE_PAGE_SIZE ? (size_t)left : STORE_PAGE_SIZE;
}

void scratch_meta(uint64_t job, uint64_t size, struct store_meta *ret_meta)
{
    uint64_t pages = (size + STORE_PAGE_SIZE - 1) / STORE_PAGE_SIZE;
    unsigned char data[STORE_PAGE_SIZE];

    *ret_meta = (struct store_meta){.size = size, .mtime_ms = 1700000000123, .final = true};
    snprintf(ret_meta->etag, sizeof(ret_meta->etag), "\"0x%" PRIx64 "\"", job);
    store_meta_add_name(ret_meta, "octo/repo");
    ret_meta->checksums = calloc(pages + 1, sizeof(uint64_t));
    assert_non_null(ret_meta->checksums);
    for (uint64_t page = 0; page < pages; page++) {
        scratch_page(job, page, data);
        ret_meta->checksums[page] = store_page_checksum(data, page_len(size, page));
    }
}

int scratch_fill(struct store *s, struct store_backing *b, uint64_t job, uint64_t size)
{
    unsigned char data[STORE_PAGE_SIZE];
    int rc = store_backing_reserve(s, b, 0, size);

    for (uint64_t page = 0; !rc && page * STORE_PAGE_SIZE < size; page++) {
        size_t len = page_len(size, page);
        scratch_page(job, page, data);
        rc = store_backing_write(b, data, len, page * STORE_PAGE_SIZE);
    }
    return rc;
}

int scratch_publish(struct store *s, uint64_t job, uint64_t size)
{
    struct store_backing b;
    struct store_meta m;
    int rc = store_backing_open(s, &b);

    if (rc)
        return rc;
    scratch_meta(job, size, &m);
    rc = scratch_fill(s, &b, job, size);
    if (!rc)
        rc = store_publish(s, job, &b, &m);
    store_meta_finish(&m);
    store_backing_close(s, &b);
    return rc;
}

bool scratch_is_whole(struct store *s, uint64_t job)
{
    unsigned char data[STORE_PAGE_SIZE];
    struct store_meta m;
    int fd = -1;

    if (store_load_meta(s, job, &m))
        return false;
    if (store_open_log(s, job, &m, &fd)) {
        store_meta_finish(&m);
        return false;
    }
    for (uint64_t page = 0; page * STORE_PAGE_SIZE < m.size; page++) {
        size_t len = page_len(m.size, page);
        assert_int_equal(pread(fd, data, len, (off_t)(page * STORE_PAGE_SIZE)), len);
        assert_true(store_page_checksum(data, len) == m.checksums[page]);
    }
    store_mark_used(s, job, fd);
    close(fd);
    store_meta_finish(&m);
    return true;
}

void scratch_set_age(struct scratch *x, uint64_t job, int64_t mtime)
{
    struct timespec times[2] = {{.tv_sec = mtime}, {.tv_sec = mtime}};

    assert_int_equal(utimensat(AT_FDCWD, scratch_log(x, job, ""), times, 0), 0);
}
