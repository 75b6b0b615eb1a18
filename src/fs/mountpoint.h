/*
 * mountpoint.h - the directory we mount on: may we, and what the kernel set up for it.
 *
 * Knows the mount table, not the FUSE session. Called before threads are started (it may spawn
 * fusermount3) but for mountpoint_raise_readahead and mountpoint_get_device, which any thread may call.
 * Errors: negative errno, and one line without a newline in `message`.
 */
#ifndef GHLOGFS_FS_MOUNTPOINT_H
#define GHLOGFS_FS_MOUNTPOINT_H

#include <stddef.h>

#define MOUNTPOINT_DEVICE_LEN 32

/* Whether `path` can be mounted on. A dead mount of ours there (left by a killed daemon) is taken
 * away; one that answers is -EBUSY. */
int mountpoint_check(const char *path, char *message, size_t message_cap);

/* The device of what is mounted on `path`, topmost, as the mount table spells it; "": nothing, or there
 * is no mount table. */
void mountpoint_get_device(const char *path, char device[MOUNTPOINT_DEVICE_LEN]);

/*
 * Lets the kernel read ahead 2 MiB where it would 128 KiB. Only root may; else nothing happens. Not
 * more: 4 MiB make P3 a tenth better, but then a reader's first READ is 512 KiB and he waits for all
 * of it (S5).
 */
void mountpoint_raise_readahead(const char *path);

#endif
