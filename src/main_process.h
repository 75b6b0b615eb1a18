/*
 * main_process.h - what the process inherits from whoever started it, made fit for a mount.
 *
 * A mount outlives its caller, and one that dies leaves a mountpoint at which every call fails. So
 * it must not matter that cron closed the standard descriptors, that a shell set limits, or that
 * signals were blocked or ignored. main's thread, before there are others.
 */
#ifndef GHLOGFS_MAIN_PROCESS_H
#define GHLOGFS_MAIN_PROCESS_H

#include <stdint.h>

/*
 * First of all in main: opens /dev/null in place of each standard descriptor that is closed,
 * before another file can get its number; sets signals, limits and the stacks of threads. -errno:
 * there is no /dev/null.
 *
 * Signals whose default is to end a process, and which are no fault of the program, either end
 * the mount in good order (process_open_signals) or are ignored. SIGXFSZ and SIGPIPE are: the write
 * fails with EFBIG or EPIPE instead.
 */
int process_init(void);

/* In the background: closes what the caller had open but the standard descriptors and `keep`,
 * which may get another number and is returned. A pipe that somebody reads to its end, or a lock
 * (flock 9), would else be held as long as the mount lives. */
int process_close_inherited(int keep);

/* Blocks the signals that end the mount (SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGALRM, SIGXCPU); an
 * fd to read them from. One that was ignored when the process started stays ignored (nohup, `&` in
 * a script), but SIGTERM. */
int process_open_signals(void);

struct process_limits {
    uint64_t files;     /* descriptors open at once (RLIMIT_NOFILE) */
    uint64_t file_size; /* bytes of a file (RLIMIT_FSIZE); UINT64_MAX: no limit */
};

void process_get_limits(struct process_limits *ret_limits);

#endif
