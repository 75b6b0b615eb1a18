/*
 * main_mount.h - all the rooms of one mount, built from the ground up and taken down in reverse order.
 *
 * The only place where the rooms are introduced to each other. main's own: one thread.
 */
#ifndef GHLOGFS_MAIN_MOUNT_H
#define GHLOGFS_MAIN_MOUNT_H

#include "options.h"

struct mount;

/* Builds the rooms, mounts, starts the threads; the mount answers once the ready fd is readable. What
 * goes wrong is said on stderr. After forking: threads do not survive it. */
int mount_create(struct options *options, struct mount **ret_mount);

int mount_get_ready_fd(const struct mount *m);
int mount_get_ended_fd(const struct mount *m);
/* Readable when mount_attend has something to do before its second is over. */
int mount_get_attend_fd(const struct mount *m);

/* From now on messages go to the journal. */
void mount_use_journal(struct mount *m);

/* Says which signal ends the mount. */
void mount_log_ending(struct mount *m, int sig);

/* Once a second, and when the attend fd is readable: deadlines, killed readers, a token to be read again. */
void mount_attend(struct mount *m);

/* Unmounts and ends everything, within a second whoever waits. Takes NULL. */
void mount_destroy(struct mount *m);

#endif
