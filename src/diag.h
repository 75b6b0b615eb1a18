/*
 * diag.h - messages for the user: one line on stderr, or in the journal once in the background.
 *
 * A message tells what an errno cannot: the hop (API or storage), the status, the host, when the
 * quota returns. Never a token, never a signed URL: callers pass hosts, not URLs. Control
 * characters, which may come from a server, are replaced. The same line is printed at most once a
 * minute, debug lines excepted. Any thread. A NULL diag prints nothing.
 */
#ifndef GHLOGFS_DIAG_H
#define GHLOGFS_DIAG_H

#include <stdbool.h>
#include <stdint.h>

struct diag;

enum diag_level { DIAG_ERROR = 3, DIAG_WARNING = 4, DIAG_NOTICE = 5, DIAG_DEBUG = 7 };

/* now_ms: monotonic milliseconds (law 4: main passes the clock to all modules). debug: also prints
 * DIAG_DEBUG. NULL: no memory. */
struct diag *diag_create(int64_t (*now_ms)(void), bool debug);
void diag_destroy(struct diag *d);

/* From now on messages go to the journal (syslog), not to stderr. */
void diag_use_journal(struct diag *d);

void diag_log(struct diag *d, enum diag_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
