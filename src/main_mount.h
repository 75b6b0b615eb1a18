/*
 * main_mount.h - one mount: all modules, created from the lowest layer up and destroyed in reverse
 * order.
 *
 * The only place where the modules are connected to each other. Main's thread only, after forking:
 * threads do not survive it.
 */
#ifndef GHLOGFS_MAIN_MOUNT_H
#define GHLOGFS_MAIN_MOUNT_H

#include "net/net.h"
#include "options.h"

struct mount;
struct notify;

/* How a mount with these options reaches GitHub, and its shared store. The strings are the
 * options'; diag may be NULL. */
struct net_config mount_make_net_config(const struct options *o, unsigned connections,
                                        struct diag *diag);
struct net_config mount_make_shared_net_config(const struct options *o, unsigned connections,
                                               struct diag *diag);

/* Divides a limit of open files between logs and connections, so that no descriptor is missing
 * where nothing works without it. False: too few to mount, of which `ret_least` is one. */
bool mount_divide_files(const struct options *o, uint64_t files, unsigned *ret_logs,
                        unsigned *ret_connections, uint64_t *ret_least);

/* For -V and .ghlogfs/version: the versions of this program, the libraries in use and the kernel.
 * malloc'd; NULL: no memory. */
char *mount_make_version(void);

/* Creates the modules, mounts, starts the threads. Prints on stderr what failed; -errno. */
int mount_create(struct options *options, struct mount **ret_mount);

/*
 * Serves until a signal that can be read from `signal_fd`, or until the mount ends by itself. Once
 * the mount answers, the service manager is told; or, where `parent_fd` is not negative,
 * process_detach(parent_fd) is called, and messages go to the journal. Returns the exit status: 0,
 * or 1 where the mount never answered.
 */
int mount_serve(struct mount *m, int signal_fd, int parent_fd, const struct notify *notify);

/* Unmounts and ends everything, within a second, even if readers wait. Takes NULL. */
void mount_destroy(struct mount *m);

#endif
