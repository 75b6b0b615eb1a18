#include "fs/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUR_TYPE "fuse.ghlogfs"
#define READ_AHEAD_KB "2048"
#define UNMOUNT_TRIES 16 /* several dead mounts may be stacked */

struct mount_entry {
    char device[MOUNTPOINT_DEVICE_LEN]; /* "major:minor" */
    char type[64];
};

/* A path as /proc/self/mountinfo spells it; false: too long. */
static bool escape_path(const char *path, char *buf, size_t cap)
{
    size_t len = 0;

    for (; *path; path++) {
        bool special = strchr(" \t\n\\", *path) != NULL;
        if (len + 5 > cap)
            return false;
        if (special)
            len += (size_t)snprintf(buf + len, cap - len, "\\%03o", (unsigned char)*path);
        else
            buf[len++] = *path;
    }
    buf[len] = '\0';
    return true;
}

/* If the line is about `escaped`: its device and type. The line: id parent device root mountpoint
 * options [more...] - type source options. */
static bool parse_line(char *line, const char *escaped, struct mount_entry *ret_entry)
{
    char device[MOUNTPOINT_DEVICE_LEN], type[64];
    char *point, *end;
    const char *rest = strstr(line, " - ");
    int at = 0;

    if (sscanf(line, "%*s %*s %31s %*s %n", device, &at) != 1 || at == 0)
        return false;
    point = line + at;
    end = strchr(point, ' ');
    if (!end || !rest || sscanf(rest, " - %63s", type) != 1)
        return false;
    *end = '\0';
    if (strcmp(point, escaped) != 0)
        return false;
    memcpy(ret_entry->device, device, sizeof(device));
    memcpy(ret_entry->type, type, sizeof(type));
    return true;
}

/* What is mounted on `path`, topmost; false: nothing. */
static bool find_mount(const char *path, struct mount_entry *ret_entry)
{
    char real[PATH_MAX], escaped[4 * PATH_MAX];
    bool found = false;
    char *line = NULL;
    size_t cap = 0;
    FILE *f;

    /* realpath works on a dead mount as well: it only reads whether the last part is a link. */
    if (!escape_path(realpath(path, real) ? real : path, escaped, sizeof(escaped)))
        return false;
    f = fopen("/proc/self/mountinfo", "re");
    if (!f)
        return false;
    while (getline(&line, &cap, f) >= 0)
        found = parse_line(line, escaped, ret_entry) || found;
    free(line);
    fclose(f);
    return found;
}

static bool is_ours(const char *path)
{
    struct mount_entry entry;

    return find_mount(path, &entry) && strcmp(entry.type, OUR_TYPE) == 0;
}

/* Lazily. An ordinary user needs fusermount3 for it. */
static bool unmount(const char *path)
{
    char name[] = "fusermount3", lazy[] = "-uqz", end[] = "--";
    char *copy, *argv[] = {name, lazy, end, NULL, NULL};
    int status = -1;
    pid_t pid;

    if (umount2(path, MNT_DETACH) == 0)
        return true;
    copy = argv[3] = strdup(path);
    if (copy && posix_spawnp(&pid, name, NULL, NULL, argv, environ) == 0)
        waitpid(pid, &status, 0);
    free(copy);
    return status == 0;
}

/* Calls statvfs as well: the kernel remembers attributes, even those of a dead mount. */
static int examine(const char *path, struct stat *ret_stat)
{
    struct statvfs usage;

    return stat(path, ret_stat) < 0 || statvfs(path, &usage) < 0 ? -errno : 0;
}

int mountpoint_check(const char *path, char *message, size_t message_cap)
{
    const char *what = NULL;
    struct stat st;
    int rc = examine(path, &st);

    for (int i = 0; rc == -ENOTCONN && !what && i < UNMOUNT_TRIES; i++) {
        if (!is_ours(path))
            what = "a dead mount of another file system is in the way (umount -l removes it)";
        else if (!unmount(path))
            what = "a mount of a ghlogfs that was killed is in the way and cannot be removed "
                   "(umount -l as root does)";
        else
            rc = examine(path, &st);
    }
    if (!rc && !S_ISDIR(st.st_mode)) {
        rc = -ENOTDIR;
        what = "the mountpoint is not a directory";
    } else if (!rc && is_ours(path)) {
        rc = -EBUSY;
        what = "ghlogfs is already mounted there";
    }
    if (rc)
        snprintf(message, message_cap, "cannot mount on %s: %s", path, what ? what : strerror(-rc));
    return rc;
}

void mountpoint_get_device(const char *path, char device[MOUNTPOINT_DEVICE_LEN])
{
    struct mount_entry entry;

    device[0] = '\0';
    if (find_mount(path, &entry))
        memcpy(device, entry.device, MOUNTPOINT_DEVICE_LEN);
}

void mountpoint_raise_readahead(const char *path)
{
    struct mount_entry entry;
    char file[96];
    ssize_t n;
    int fd;

    if (geteuid() != 0 || !find_mount(path, &entry))
        return;
    snprintf(file, sizeof(file), "/sys/class/bdi/%s/read_ahead_kb", entry.device);
    fd = open(file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    n = write(fd, READ_AHEAD_KB, strlen(READ_AHEAD_KB));
    (void)n; /* if it fails, the kernel's default stays */
    close(fd);
}
