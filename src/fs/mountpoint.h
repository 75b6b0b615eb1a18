/*
 * mountpoint.h - the directory that is mounted on: whether it can be, and what the kernel set up.
 *
 * Knows the mount table, not the FUSE session. mountpoint_check runs before threads are started (it
 * may spawn fusermount3); any thread may call the others.
 * Errors: negative errno, and one line without a newline in `message`.
 */
#ifndef GHLOGFS_FS_MOUNTPOINT_H
#define GHLOGFS_FS_MOUNTPOINT_H

#include <stdbool.h>
#include <stddef.h>

#define MOUNTPOINT_DEVICE_LEN 32

/* N of the mountpoint "/dev/fd/N", the descriptor of a /dev/fuse that somebody else has mounted;
 * -1: another path. */
int mountpoint_get_fd(const char *path);

/* Whether `path` can be mounted on. A dead mount of ghlogfs there (of a process that was killed) is
 * unmounted; one that answers, or that `path` lies in, is -EBUSY. A directory need not be empty, as
 * with mount(8). */
int mountpoint_check(const char *path, char *message, size_t message_cap);

/* Whether a mount on `mountpoint` would hide `path`, which need not exist. */
bool mountpoint_hides(const char *mountpoint, const char *path);

/* Why mounting on `path` failed, and the next step. `printed` is what libfuse and fusermount3
 * printed; it is changed. */
void mountpoint_explain(const char *path, char *printed, char *message, size_t message_cap);

/* "major:minor" of the file system at `path`, "" if it cannot be found out. Sends no request to a
 * FUSE file system. */
void mountpoint_get_device(const char *path, char device[MOUNTPOINT_DEVICE_LEN]);

/*
 * Lets the kernel read ahead 2 MiB of files of this device instead of 128 KiB. Only root may; for
 * others nothing happens. 4 MiB would make P3 a tenth better, but then a reader's first READ is 512
 * KiB, and it waits for all of it (S5).
 */
void mountpoint_raise_readahead(const char *device);

#endif
