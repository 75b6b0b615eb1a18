/*
 * main_mount.h - one mount: all modules, created from the lowest layer up and destroyed in reverse
 * order.
 *
 * The only place where the modules are connected to each other. Main's thread only, after forking:
 * threads do not survive it.
 */
#ifndef GHLOGFS_MAIN_MOUNT_H
#define GHLOGFS_MAIN_MOUNT_H

#include "options.h"

struct mount;

/* For -V and .ghlogfs/version: the versions of this program, the libraries in use and the kernel.
 * malloc'd; NULL: no memory. */
char *mount_make_version(void);

/* Creates the modules, mounts, starts the threads. Prints on stderr what failed; -errno. */
int mount_create(struct options *options, struct mount **ret_mount);

/*
 * Serves until a signal that can be read from `signal_fd`, or until the mount ends by itself. Once
 * the mount answers, process_detach(parent_fd), unless that is negative, and messages go to the
 * journal. Returns the exit status: 0, or 1 where the mount never answered.
 */
int mount_serve(struct mount *m, int signal_fd, int parent_fd);

/* Unmounts and ends everything, within a second, even if readers wait. Takes NULL. */
void mount_destroy(struct mount *m);

#endif
