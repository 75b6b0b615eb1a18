/*
 * dir.c - the way to the directory: every component is opened and checked by its descriptor, so
 * what was checked is what is used, whatever happens to the path meanwhile.
 */
#include "diag.h"
#include "store/internal.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TRIES 100
#define LOCK_WAIT_MS 10

static int refuse(struct store *s, const char *path, const char *why)
{
    if (s->refusal)
        snprintf(s->refusal, STORE_REFUSAL_LEN, "%s %s", path, why);
    diag_log(s->diag, DIAG_ERROR, "cache directory %s refused: %s %s", s->dir, path, why);
    return -EPERM;
}

/* The cache directory and v1/: they must be ours, and no other user may write to them. */
static int check_own(struct store *s, int fd, const char *path)
{
    struct stat st;

    if (fstat(fd, &st))
        return -errno;
    if (st.st_uid != geteuid())
        return refuse(s, path, "belongs to another user");
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return refuse(s, path, "can be written by others (chmod go-w)");
    return 0;
}

/* mkdir -p of the first `len` bytes of a path; returns the first reason why something of it
 * could not be made. */
static int make_dirs(int at, const char *path, size_t len)
{
    char part[PATH_MAX];
    int rc = 0;

    if (len >= sizeof(part))
        return -ENAMETOOLONG;
    for (size_t i = 1; i <= len; i++) {
        if (i < len && path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdirat(at, part, 0700) && errno != EEXIST && !rc)
            rc = -errno;
    }
    return rc;
}

int store_dir_make(int root, const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? make_dirs(root, path, (size_t)(slash - path)) : 0;
}

/* Opens a resolved path component by component; the last one for reading its names. */
static int walk(struct store *s, char *path)
{
    char *at = path + 1;
    int fd = open("/", (*at ? O_PATH : O_RDONLY) | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : 0;
    struct stat st;

    while (!rc && *at) {
        char *end = strchrnul(at, '/');
        bool last = !*end;
        int next;

        *end = '\0';
        next = openat(fd, at, (last ? O_RDONLY : O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        rc = next < 0 || fstat(next, &st) ? -errno : 0;
        if (!rc && !last && (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
            rc = refuse(s, path, "can be written by every user (chmod o-w, or +t)");
        close(fd);
        fd = next;
        at = last ? end : end + 1;
        if (!last)
            *end = '/';
    }
    if (!rc)
        return fd;
    if (fd >= 0)
        close(fd);
    return rc;
}

static int open_cache_dir(struct store *s, bool make)
{
    struct stat st;
    int rc, made = 0, fd;
    char *real;

    /* A symlink in place of the directory is fine if we, or root, put it there. */
    if (!lstat(s->dir, &st) && S_ISLNK(st.st_mode) && st.st_uid != geteuid() && st.st_uid)
        return refuse(s, s->dir, "is a symlink of another user");
    if (make)
        made = make_dirs(AT_FDCWD, s->dir, strlen(s->dir));
    real = realpath(s->dir, NULL);
    if (!real)
        return errno == ENOENT && made ? made : -errno;
    fd = walk(s, real);
    if (fd >= 0) {
        rc = check_own(s, fd, real);
        if (rc) {
            close(fd);
            fd = rc;
        }
    }
    free(real);
    return fd;
}

int store_dir_enter(struct store *s)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int dir = open_cache_dir(s, true), root, rc;
    struct store_dir *entered, *old;

    if (dir < 0)
        return dir;
    root = openat(dir, "v1", flags);
    if (root < 0 && errno == ENOENT && (!mkdirat(dir, "v1", 0700) || errno == EEXIST))
        root = openat(dir, "v1", flags);
    rc = root < 0 ? -errno : check_own(s, root, "v1");
    close(dir);
    entered = rc ? NULL : malloc(sizeof(*entered));
    if (!entered) {
        if (root >= 0)
            close(root);
        return rc ? rc : -ENOMEM;
    }
    mkdirat(root, "tmp", 0700);
    entered->fd = root;
    atomic_init(&entered->users, 1);
    pthread_mutex_lock(&s->lock);
    old = s->root;
    s->root = entered;
    pthread_mutex_unlock(&s->lock);
    store_dir_put(old);
    return 0;
}

int store_dir_open(const char *dir, char *ret_refusal)
{
    struct store s = {.dir = (char *)(uintptr_t)dir, .refusal = ret_refusal};
    int fd, root, rc;

    ret_refusal[0] = '\0';
    fd = open_cache_dir(&s, false);
    if (fd < 0)
        return fd;
    root = openat(fd, "v1", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    rc = root < 0 ? -errno : check_own(&s, root, "v1");
    close(fd);
    if (!rc)
        return root;
    if (root >= 0)
        close(root);
    return rc;
}

int store_dir_each(int root, char *path, int (*visit)(void *who, const char *name), void *who)
{
    size_t len = strlen(path);
    int fd = openat(root, len ? path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int rc = 0, n;

    if (fd < 0) /* no directory, or gone */
        return len ? 0 : -errno;
    if (!dir) {
        close(fd);
        return -ENOMEM;
    }
    while (!rc && (entry = readdir(dir))) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, ".."))
            continue;
        n = snprintf(path + len, STORE_PATH_LEN - len, "%s%s", len ? "/" : "", name);
        if (n > 0 && (size_t)n < STORE_PATH_LEN - len) /* else it is not ours */
            rc = visit(who, name);
        path[len] = '\0';
    }
    closedir(dir);
    return rc;
}

struct store_dir *store_dir_get(struct store *s)
{
    struct store_dir *dir;

    pthread_mutex_lock(&s->lock);
    dir = s->root;
    if (dir)
        atomic_fetch_add(&dir->users, 1);
    pthread_mutex_unlock(&s->lock);
    return dir;
}

void store_dir_put(struct store_dir *dir)
{
    if (!dir || atomic_fetch_sub(&dir->users, 1) > 1)
        return;
    close(dir->fd);
    free(dir);
}

/* A flock, so that it ends with its owner; opened anew each time, so that threads exclude each
 * other too. A process that is stopped while it holds the lock must not stop all others: the wait
 * has an end. */
int store_dir_lock(int root, bool wait)
{
    int fd = openat(root, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (!flock(fd, LOCK_EX | LOCK_NB))
            return fd;
        if (!wait || (errno != EWOULDBLOCK && errno != EINTR))
            break;
        poll(NULL, 0, LOCK_WAIT_MS);
    }
    close(fd);
    return -EBUSY;
}
