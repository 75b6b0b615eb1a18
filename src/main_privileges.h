/*
 * main_privileges.h - what the daemon gives up (R7, R8).
 */
#ifndef GHLOGFS_MAIN_PRIVILEGES_H
#define GHLOGFS_MAIN_PRIVILEGES_H

struct diag;

/* Before the token is read: no core dumps, memory and environment not to be read by others. */
void privileges_hide(void);

/*
 * Before threads are started. Root keeps the capabilities to mount, unmount and reach the mountpoint, and can
 * gain none by exec. A user keeps what little a user has: fusermount3 is needed to unmount.
 */
void privileges_drop(struct diag *diag);

#endif
