/*
 * failure.h - HTTP becomes errno: the one place where a status or an error of net is given its
 * meaning. Pure.
 */
#ifndef GHLOGFS_GITHUB_FAILURE_H
#define GHLOGFS_GITHUB_FAILURE_H

#include "github/retry.h"
#include "source.h"

#include <stdbool.h>

enum failure_hop { FAILURE_API, FAILURE_STORAGE };

/* What came back instead of what was asked for. */
struct failure_event {
    enum failure_hop hop;
    int err; /* net's, or of what the answer was judged to be; 0: look at the status */
    int status;
    bool limited; /* a 403 or 429 that was a limit */
};

struct failure_verdict {
    struct source_failure failure; /* if no retry helps */
    enum retry_kind retry;
    bool is_refusal; /* the server answered, and said that it cannot or will not (refusals.h) */
};

void failure_judge(const struct failure_event *event, int64_t now_ms,
                   struct failure_verdict *ret_verdict);

/* Those that come from no answer. */
struct source_failure failure_make(int err, enum source_reason reason, int64_t until_ms);

/* SOURCE_NEVER: 10 minutes while the job ended less than a day ago, else a day. completed_s: -1
 * unknown. */
struct source_failure failure_make_never(int64_t completed_s, int64_t now_ms, int64_t now_wall_s);

/* A word for the user: "connection refused". */
const char *failure_word(int err);

#endif
