/*
 * diag.h - what is said to the user: one line on stderr, or in the journal once in the background.
 *
 * It says what an errno cannot: the hop (API or storage), the status, the host, when the quota
 * returns. Never a token, never a signed URL: callers hand over hosts, not URLs. Control characters
 * that came from a server are replaced. The same line is said at most once a minute.
 * Any thread. A NULL diag says nothing.
 */
#ifndef GHLOGFS_DIAG_H
#define GHLOGFS_DIAG_H

#include <stdbool.h>
#include <stdint.h>

struct diag;

enum diag_level { DIAG_ERROR = 3, DIAG_WARNING = 4, DIAG_NOTICE = 5, DIAG_DEBUG = 7 };

/* now_ms: the clock, monotonic milliseconds (law 4: whoever builds the house hands it out). */
struct diag *diag_create(int64_t (*now_ms)(void), bool debug);
void diag_destroy(struct diag *d);

/* From now on to the journal (syslog), not to stderr. */
void diag_use_journal(struct diag *d);

void diag_say(struct diag *d, enum diag_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
