#include "fs/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
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

/* Whether the topmost mount on `path` is a ghlogfs. */
static bool is_ours(const char *path)
{
    char real[PATH_MAX], line[4 * PATH_MAX];
    struct mntent entry;
    bool ours = false;
    FILE *mounts = setmntent("/proc/self/mounts", "re");

    if (!mounts)
        return false;
    /* realpath works on a dead mount as well: it only reads whether the last part is a link. */
    if (realpath(path, real))
        path = real;
    while (getmntent_r(mounts, &entry, line, sizeof(line)))
        if (strcmp(entry.mnt_dir, path) == 0)
            ours = strcmp(entry.mnt_type, OUR_TYPE) == 0;
    endmntent(mounts);
    return ours;
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
    struct statx status;

    device[0] = '\0';
    if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &status) == 0)
        snprintf(device, MOUNTPOINT_DEVICE_LEN, "%u:%u", status.stx_dev_major,
                 status.stx_dev_minor);
}

void mountpoint_raise_readahead(const char *device)
{
    char file[96];
    ssize_t n;
    int fd;

    if (geteuid() != 0 || !device[0])
        return;
    snprintf(file, sizeof(file), "/sys/class/bdi/%s/read_ahead_kb", device);
    fd = open(file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    n = write(fd, READ_AHEAD_KB, strlen(READ_AHEAD_KB));
    (void)n; /* if it fails, the kernel's default stays */
    close(fd);
}
