/*
 * file.c - files in v1/tmp on their way to a name, and small files whole.
 */
#include "store/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_TRIES 100

/* -- Temporary files --------------------------------------------------------------------------- */

static void next_name(struct store *s, char name[STORE_TEMP_LEN])
{
    snprintf(name, STORE_TEMP_LEN, "tmp/%d.%u", (int)getpid(), atomic_fetch_add(&s->serial, 1));
}

/* Creates and locks. A mount that clears v1/tmp may lock and delete the file in between. */
static int open_named(struct store *s, struct store_temp *t)
{
    for (int i = 0; i < NAME_TRIES; i++) {
        struct stat st;

        next_name(s, t->name);
        t->fd = openat(t->root->fd, t->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                       0600);
        if (t->fd < 0 && errno == EEXIST)
            continue;
        if (t->fd < 0)
            return -errno;
        if (flock(t->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
            close(t->fd);
            continue;
        }
        if (!fstat(t->fd, &st) && st.st_nlink)
            return 0;
        close(t->fd);
    }
    return -EEXIST;
}

int store_temp_open(struct store *s, bool named, struct store_temp *ret_t)
{
    struct store_temp t = {.fd = -1};
    int rc = -ENOENT;

    /* ENOENT: v1/ or v1/tmp was deleted under us, so enter anew, once. */
    for (int i = 0; i < 2 && rc == -ENOENT; i++) {
        if (i && (!s->dir || store_dir_enter(s)))
            return -ENOENT;
        t.root = store_dir_get(s);
        if (!t.root)
            return -ENOENT;
        t.name[0] = '\0';
        if (!named)
            t.fd = openat(t.root->fd, "tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        rc = t.fd < 0 ? -errno : 0;
        /* EISDIR and EINVAL: kernels and file systems that do not know O_TMPFILE. */
        if (named || rc == -EOPNOTSUPP || rc == -EISDIR || rc == -EINVAL)
            rc = open_named(s, &t);
        if (rc)
            store_dir_put(t.root);
        if (rc == -ENOENT) {
            atomic_store(&s->scanned, false);
            atomic_store(&s->published, 0);
        }
    }
    if (!rc)
        *ret_t = t;
    return rc;
}

int store_temp_move(struct store_temp *t, const char *path)
{
    int rc = renameat(t->root->fd, t->name, t->root->fd, path) ? -errno : 0;

    if (rc == -ENOENT) {
        rc = store_dir_make(t->root->fd, path);
        if (!rc && renameat(t->root->fd, t->name, t->root->fd, path))
            rc = -errno;
    }
    if (!rc)
        t->name[0] = '\0';
    return rc;
}

/* By /proc, which needs no privilege; without /proc by the descriptor, where the kernel lets us. */
static int link_fd(struct store_temp *t, const char *path)
{
    char self[40];
    int rc;

    snprintf(self, sizeof(self), "/proc/self/fd/%d", t->fd);
    rc = linkat(AT_FDCWD, self, t->root->fd, path, AT_SYMLINK_FOLLOW) ? -errno : 0;
    if ((rc == -ENOENT || rc == -EACCES) && access(self, F_OK))
        rc = linkat(t->fd, "", t->root->fd, path, AT_EMPTY_PATH) ? -errno : 0;
    return rc;
}

int store_temp_link(struct store_temp *t, const char *path)
{
    int rc = link_fd(t, path);

    if (rc != -ENOENT)
        return rc;
    rc = store_dir_make(t->root->fd, path);
    return rc ? rc : link_fd(t, path);
}

int store_temp_link_temp(struct store *s, struct store_temp *t)
{
    char name[STORE_TEMP_LEN];
    int rc = -EEXIST;

    (void)flock(t->fd, LOCK_EX | LOCK_NB); /* locked before it has a name, so no mount clears it */
    for (int i = 0; i < NAME_TRIES && rc == -EEXIST; i++) {
        next_name(s, name);
        rc = store_temp_link(t, name);
    }
    if (!rc)
        memcpy(t->name, name, sizeof(name));
    return rc;
}

void store_temp_clear(int root)
{
    int fd = openat(root, "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(dir))) {
        int file = entry->d_name[0] == '.'
                       ? -1
                       : openat(fd, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (file < 0)
            continue;
        if (!flock(file, LOCK_EX | LOCK_NB)) /* its owner is gone */
            unlinkat(fd, entry->d_name, 0);
        close(file);
    }
    closedir(dir);
}

/* -- Small files ------------------------------------------------------------------------------- */

int store_file_write(int fd, const void *data, size_t len, uint64_t offset)
{
    for (const char *at = data; len > 0;) {
        ssize_t n = pwrite(fd, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -EIO;
        at += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

ssize_t store_file_read(int fd, void *data, size_t len, uint64_t offset)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, (char *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int store_file_save(struct store *s, const char *path, const struct store_part *parts,
                    unsigned count)
{
    struct store_temp t;
    uint64_t offset = 0;
    int rc = store_temp_open(s, true, &t);

    if (rc)
        return rc;
    for (unsigned i = 0; i < count && !rc; i++) {
        rc = store_file_write(t.fd, parts[i].data, parts[i].len, offset);
        offset += parts[i].len;
    }
    if (!rc)
        rc = store_temp_move(&t, path);
    if (t.name[0])
        unlinkat(t.root->fd, t.name, 0);
    close(t.fd);
    store_dir_put(t.root);
    return rc;
}

static int load_fd(int fd, size_t max, void **ret_data, size_t *ret_len)
{
    struct stat st;
    ssize_t n;
    char *data;

    if (fstat(fd, &st))
        return -errno;
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
        return -ENOENT;
    data = malloc((size_t)st.st_size + 1);
    if (!data)
        return -ENOMEM;
    n = store_file_read(fd, data, (size_t)st.st_size, 0);
    if (n != st.st_size) {
        free(data);
        return n < 0 ? (int)n : -ENOENT;
    }
    data[st.st_size] = '\0';
    *ret_data = data;
    *ret_len = (size_t)st.st_size;
    return 0;
}

int store_file_load_at(int root, const char *path, size_t max, void **ret_data, size_t *ret_len)
{
    int fd = openat(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int rc = fd < 0 ? -errno : load_fd(fd, max, ret_data, ret_len);

    if (fd >= 0)
        close(fd);
    return rc;
}

int store_file_load(struct store *s, const char *path, size_t max, void **ret_data, size_t *ret_len)
{
    struct store_dir *root = store_dir_get(s);
    int rc;

    if (!root)
        return -ENOENT;
    rc = store_file_load_at(root->fd, path, max, ret_data, ret_len);
    store_dir_put(root);
    return rc;
}
