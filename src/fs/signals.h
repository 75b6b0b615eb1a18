/*
 * signals.h - whether a thread that waits for us is about to die.
 *
 * A FUSE interrupt does not say which signal came. To answer EINTR for a mere SIGALRM or SIGURG
 * breaks programs that never expected one from a file, so only a fatal signal counts: one that is
 * pending, not blocked, not ignored, not caught, and whose default is to end the process.
 *
 * Reads /proc; no lock may be held. Any thread.
 */
#ifndef GHLOGFS_FS_SIGNALS_H
#define GHLOGFS_FS_SIGNALS_H

#include <stdbool.h>
#include <sys/types.h>

/* True also for a thread that is gone: it left a page that it had asked for ahead, and whoever waits
 * for that page as well asks for itself. False for one that cannot be seen from here (0: another pid
 * namespace; hidepid): it waits on, at the latest until the deadline. */
bool signals_is_dying(pid_t tid);

/* The same from the text of /proc/<tid>/status; pure. */
bool signals_status_is_dying(const char *status);

#endif
