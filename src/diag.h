/*
 * diag.h - messages for the user: one line on stderr, or in the journal once in the background.
 *
 * A message tells what an errno cannot: the hop (API or storage), the status, the host, when the
 * quota returns. Never a token, never a signed URL: callers pass hosts, not URLs. Control
 * characters, which may come from a server, are replaced. The same line is printed at most once a
 * minute, debug lines excepted. Any thread. A NULL diag prints nothing.
 *
 * Levels are those of syslog. Error: the mount does not do its work until somebody acts. Warning:
 * somebody should look, or something does not work for now. Notice: what happens in daily use, and
 * explains what a reader saw. Debug (option -d): one line for each event, with its time.
 *
 * Where stderr leads into the journal by itself, as that of a systemd service does, each line
 * begins with its level as sd-daemon(3) says.
 */
#ifndef GHLOGFS_DIAG_H
#define GHLOGFS_DIAG_H

#include <stdbool.h>
#include <stdint.h>

struct diag;

enum diag_level { DIAG_ERROR = 3, DIAG_WARNING = 4, DIAG_NOTICE = 5, DIAG_DEBUG = 7 };

/* now_ms: monotonic milliseconds; wall_ms: UTC (law 4: main passes the clocks to all modules).
 * debug: also prints DIAG_DEBUG. NULL: no memory. */
struct diag *diag_create(int64_t (*now_ms)(void), int64_t (*wall_ms)(void), bool debug);
void diag_destroy(struct diag *d);

/* From now on messages go to the journal (syslog), not to stderr. */
void diag_use_journal(struct diag *d);

void diag_log(struct diag *d, enum diag_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same on stderr, as often as it is called: for main, before there is a diag. */
void diag_print(enum diag_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
