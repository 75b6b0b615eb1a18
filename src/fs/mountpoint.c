#include "fs/mountpoint.h"

#include "name.h"

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
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUR_TYPE "fuse.ghlogfs"
#define READ_AHEAD_KB "2048"
#define FUSE_MAJOR 10 /* of /dev/fuse */
#define FUSE_MINOR 229
#define UNMOUNT_TRIES 16 /* several dead mounts may be stacked */

/* What to do, in words that several messages have. */
#define DEAD_HINT "to remove it: umount -l as root, fusermount3 -uz as its user"
#define CONTAINER_HINT "in a container: --device /dev/fuse --cap-add SYS_ADMIN"

int mountpoint_get_fd(const char *path)
{
    static const char prefix[] = "/dev/fd/";
    size_t length = strlen(prefix);
    uint64_t fd;

    if (strncmp(path, prefix, length) != 0 ||
        !name_parse_number(path + length, strlen(path + length), INT_MAX, &fd))
        return -1;
    return (int)fd;
}

/* The mount that a path lies in. */
struct enclosing {
    char dir[PATH_MAX];
    bool is_ours;
    bool is_at_path; /* it is mounted there, not above */
};

static bool is_below(const char *path, const char *dir)
{
    size_t length = strlen(dir);

    if (length == 1)
        return true; /* the root */
    return strncmp(path, dir, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

/* The topmost one, if several are stacked. Sends no request to a file system. */
static void find_mount(const char *path, struct enclosing *ret_mount)
{
    char real[PATH_MAX], line[4 * PATH_MAX];
    struct mntent entry;
    FILE *mounts = setmntent("/proc/self/mounts", "re");

    *ret_mount = (struct enclosing){.is_ours = false};
    if (!mounts)
        return;
    /* realpath works on a dead mount as well: it only reads whether the last part is a link. */
    if (realpath(path, real))
        path = real;
    while (getmntent_r(mounts, &entry, line, sizeof(line))) {
        if (strlen(entry.mnt_dir) < strlen(ret_mount->dir) || !is_below(path, entry.mnt_dir))
            continue;
        snprintf(ret_mount->dir, sizeof(ret_mount->dir), "%s", entry.mnt_dir);
        ret_mount->is_ours = strcmp(entry.mnt_type, OUR_TYPE) == 0;
        ret_mount->is_at_path = strcmp(entry.mnt_dir, path) == 0;
    }
    endmntent(mounts);
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

/* A dead mount of ours is taken away. What stands in the way otherwise; NULL: see the errno. */
static const char *clear_dead(const char *path, struct stat *st, int *rc)
{
    struct enclosing at;

    for (int i = 0; *rc == -ENOTCONN && i < UNMOUNT_TRIES; i++) {
        find_mount(path, &at);
        if (!at.is_at_path)
            return "it lies in a dead mount, whose process has ended (" DEAD_HINT ")";
        if (!at.is_ours)
            return "a dead mount of another file system is in the way (" DEAD_HINT ")";
        if (!unmount(path))
            return "a dead mount of another user's ghlogfs is in the way (" DEAD_HINT ")";
        *rc = examine(path, st);
    }
    return NULL;
}

static int check_fd(const char *path, int fd, char *message, size_t message_cap)
{
    struct stat st;

    if (fd > STDERR_FILENO && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
        st.st_rdev == makedev(FUSE_MAJOR, FUSE_MINOR))
        return 0;
    snprintf(
        message, message_cap,
        "cannot mount on %s: descriptor %d is not an open /dev/fuse (it is above 2, and passed "
        "on by whoever has called mount(2) with fd=%d)",
        path, fd, fd);
    return -EBADF;
}

int mountpoint_check(const char *path, char *message, size_t message_cap)
{
    int fd = mountpoint_get_fd(path), rc;
    char what[PATH_MAX + 64] = "";
    const char *dead;
    struct enclosing at;
    struct stat st;

    if (fd >= 0)
        return check_fd(path, fd, message, message_cap);
    rc = examine(path, &st);
    dead = clear_dead(path, &st, &rc);
    find_mount(path, &at);
    if (dead) {
        snprintf(what, sizeof(what), "%s", dead);
    } else if (rc) {
        snprintf(what, sizeof(what), "%s%s", strerror(-rc),
                 rc == -ENOENT   ? " (mkdir makes it)"
                 : rc == -EACCES ? " (a directory above it may not be searched, or it is another "
                                   "user's mount)"
                                 : "");
    } else if (!S_ISDIR(st.st_mode)) {
        rc = -ENOTDIR;
        snprintf(what, sizeof(what), "the mountpoint is not a directory");
    } else if (at.is_ours) {
        rc = -EBUSY;
        snprintf(what, sizeof(what),
                 at.is_at_path ? "ghlogfs is already mounted there (umount ends it)"
                               : "it lies inside the ghlogfs that is mounted on %s",
                 at.dir);
    }
    if (rc)
        snprintf(message, message_cap, "cannot mount on %s: %s", path, what);
    return rc;
}

/* Without links, as far as it exists. */
static void resolve(const char *path, char real[PATH_MAX])
{
    char *copy = strdup(path), *slash = copy;
    bool exists = false;

    while (slash && !exists) {
        exists = realpath(copy, real) != NULL;
        slash = strrchr(copy, '/');
        if (slash)
            *slash = '\0';
    }
    if (!exists)
        snprintf(real, PATH_MAX, "%s", path);
    free(copy);
}

bool mountpoint_hides(const char *mountpoint, const char *path)
{
    char real[PATH_MAX], dir[PATH_MAX];

    if (mountpoint_get_fd(mountpoint) >= 0)
        return false;
    resolve(mountpoint, dir);
    resolve(path, real);
    return is_below(real, dir);
}

/* --- why mounting failed --------------------------------------------------------------------- */

/* For what fusermount3 or libfuse print. */
struct remedy {
    const char *printed, *and_printed; /* parts of it; the second may be NULL */
    const char *what;                  /* to be printed instead; NULL: all of it */
    const char *hint;
};

#define NO_HELPER "there is no fusermount3"
#define NO_HELPER_HINT "install the package fuse3, or mount as root"
#define BAD_HELPER "fusermount3 cannot be run"
#define BAD_HELPER_HINT "it must be executable and setuid root, as the package fuse3 has it"
#define NOT_MINE_HINT "take a directory of your own, such as ~/gh, or mount as root"

/* The first that fits. libfuse 3.14 fails to "exec", 3.17 to "posix_spawn". */
static const struct remedy remedies[] = {
    {"exec fusermount3", "No such file", NO_HELPER, NO_HELPER_HINT},
    {"posix_spawn", "No such file", NO_HELPER, NO_HELPER_HINT},
    {"exec fusermount3", NULL, BAD_HELPER, BAD_HELPER_HINT},
    {"posix_spawn", NULL, BAD_HELPER, BAD_HELPER_HINT},
    {"user_allow_other", NULL, NULL,
     "as root, add the line user_allow_other to /etc/fuse.conf; or leave out the option"},
    {"no write access", NULL, NULL, NOT_MINE_HINT},
    {"not owned by user", NULL, NULL, NOT_MINE_HINT},
    {"is forbidden", NULL, NULL, "take a directory on a local disk"},
    {"mount_max", NULL, NULL, "unmount what is not used any more"},
};

/* fusermount3 may be run, and mounts nothing: a policy of the system, or no right to mount. */
static const char *hint_of_refusal(void)
{
    struct stat st;

    if (geteuid() != 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return "no_new_privs is set, so that fusermount3 stays without the right to mount: "
               "NoNewPrivileges=no in a unit, or mount as root";
    if (geteuid() != 0 && stat("/usr/bin/fusermount3", &st) == 0 && !(st.st_mode & S_ISUID))
        return "fusermount3 is not setuid root; as root: chmod u+s /usr/bin/fusermount3";
    if (geteuid() != 0 && access("/etc/apparmor.d/fusermount3", F_OK) == 0)
        return "AppArmor lets users mount below their home, /mnt, /media, /tmp and "
               "$XDG_RUNTIME_DIR only: take a directory there, or have root add a rule to "
               "/etc/apparmor.d/local/fusermount3";
    return CONTAINER_HINT ", with AppArmor also --security-opt apparmor=unconfined";
}

/* Why /dev/fuse is not to be had; NULL: that is not the cause. */
static const char *explain_device(void)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    if (fd >= 0) {
        close(fd);
        return NULL;
    }
    switch (errno) {
    case ENOENT: return "there is no /dev/fuse (as root: modprobe fuse; " CONTAINER_HINT ")";
    case ENODEV:
    case ENXIO: return "the kernel has no FUSE (as root: modprobe fuse)";
    case EPERM:
    case EACCES:
        if (geteuid() == 0)
            return "root may not open /dev/fuse (" CONTAINER_HINT ")";
        return "/dev/fuse may not be opened by this user (as root: chmod 666 /dev/fuse)";
    default: return NULL;
    }
}

void mountpoint_explain(const char *path, char *printed, char *message, size_t message_cap)
{
    const char *device = mountpoint_get_fd(path) < 0 ? explain_device() : NULL;
    const char *what = NULL, *hint = NULL;
    size_t length;

    if (device) {
        snprintf(message, message_cap, "cannot mount on %s: %s", path, device);
        return;
    }
    /* The last line tells most, and one line is what is printed. */
    for (length = strlen(printed); length && printed[length - 1] == '\n'; length--)
        printed[length - 1] = '\0';
    if (strrchr(printed, '\n'))
        printed = strrchr(printed, '\n') + 1;
    for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]) && !hint; i++) {
        const struct remedy *r = &remedies[i];
        if (!strstr(printed, r->printed) || (r->and_printed && !strstr(printed, r->and_printed)))
            continue;
        what = r->what;
        hint = r->hint;
    }
    if (!hint && (strstr(printed, strerror(EPERM)) || strstr(printed, strerror(EACCES))))
        hint = hint_of_refusal();
    if (!what)
        what = printed[0] ? printed : "the reason is not known";
    snprintf(message, message_cap, "cannot mount on %s: %s%s%s%s", path, what, hint ? " (" : "",
             hint ? hint : "", hint ? ")" : "");
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
