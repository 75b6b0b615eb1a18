/*
 * main_process.h - makes what the process inherits from its caller fit for a mount, and gives up
 * what it does not need (R7, R8).
 *
 * A mount outlives its caller, and one that dies leaves a mountpoint at which every call fails. So
 * it must not matter that cron closed the standard descriptors, that a shell set limits, or that
 * signals were blocked or ignored. Main's thread, before there are others.
 */
#ifndef GHLOGFS_MAIN_PROCESS_H
#define GHLOGFS_MAIN_PROCESS_H

#include <stdint.h>

struct diag;

/*
 * The first call in main: opens /dev/null in place of each standard descriptor that is closed,
 * before another file can get its number; sets signals, limits and the stacks of threads; forbids
 * core dumps, and others to read this process's memory and environment. -errno: there is no
 * /dev/null.
 *
 * Signals whose default is to end a process, and which no fault of the program raises, either end
 * the mount in good order (process_open_signals) or are ignored. SIGXFSZ and SIGPIPE are ignored:
 * the write fails with EFBIG or EPIPE instead.
 */
int process_init(void);

/* In the background: closes what the caller had open but the standard descriptors, `keep` and
 * `also` (-1: none). Otherwise a pipe that a program reads to its end, or a lock (flock 9), would
 * be held as long as the mount lives. */
void process_close_inherited(int keep, int also);

/*
 * In the background, when the mount answers: leaves the caller's session, turns the standard
 * descriptors to /dev/null and writes one byte to `parent_fd`, for which the parent waits.
 *
 * Not before: an automounter (systemd, autofs) lets those of its own process group, for which it
 * waits, look at the mountpoint. All others wait for it.
 */
void process_detach(int parent_fd);

/* Blocks the signals that end the mount (SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGALRM, SIGXCPU) and
 * returns an fd to read them from. One that was ignored when the process started stays ignored
 * (nohup, `&` in a script), except SIGTERM. */
int process_open_signals(void);

/*
 * Before threads are started. Root keeps the capabilities to mount, unmount and reach the
 * mountpoint, and can gain none by exec. A user keeps all: fusermount3 is needed to unmount.
 */
void process_drop_privileges(struct diag *diag);

/* The soft limit (RLIMIT_*); UINT64_MAX: there is none. */
uint64_t process_get_limit(int which);

#endif
