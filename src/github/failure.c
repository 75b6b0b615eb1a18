#include "github/failure.h"

#include <errno.h>
#include <stddef.h>

#define SECOND INT64_C(1000)
#define DAY_S 86400

/* What each errno of net and each status means; until_ms counts from now, -1 is for good. */
struct meaning {
    int code;
    int err;
    enum source_reason reason;
    int64_t lasts_ms;
    enum retry_kind retry;
};

static const struct meaning of_errors[] = {
    {-ECONNREFUSED, -ECONNREFUSED, SOURCE_UNREACHABLE, 5 * SECOND, RETRY_CONNECT},
    {-EHOSTUNREACH, -EHOSTUNREACH, SOURCE_UNREACHABLE, 5 * SECOND, RETRY_CONNECT},
    {-ETIMEDOUT, -ETIMEDOUT, SOURCE_UNREACHABLE, 5 * SECOND, RETRY_LATER},
    {-EPROTO, -EPROTO, SOURCE_PROTOCOL, 5 * SECOND, RETRY_NOT},
    {-EFBIG, -EPROTO, SOURCE_OVERSIZE, 5 * SECOND, RETRY_NOT},
    {-ECONNABORTED, -ECONNABORTED, SOURCE_CLOSING, 0, RETRY_NOT},
    {-EBADMSG, -EPROTO, SOURCE_PROTOCOL, 5 * SECOND, RETRY_GARBAGE},
    {-ENOMSG, -EPROTO, SOURCE_PROTOCOL, 5 * SECOND, RETRY_GARBAGE},
    {-ESTALE, -EIO, SOURCE_BROKEN, 1 * SECOND, RETRY_RENEWED},
    {0, -EIO, SOURCE_BROKEN, 1 * SECOND, RETRY_LATER},
};

static const struct meaning of_api[] = {
    {401, -EACCES, SOURCE_FORBIDDEN, 30 * SECOND, RETRY_NOT},
    {403, -EACCES, SOURCE_FORBIDDEN, 30 * SECOND, RETRY_NOT},
    {404, -ENOENT, SOURCE_NOT_FOUND, 30 * SECOND, RETRY_NOT},
    {408, -EIO, SOURCE_BROKEN, 1 * SECOND, RETRY_LATER},
    {410, -ENOENT, SOURCE_EXPIRED, -1, RETRY_NOT},
    {429, -EDQUOT, SOURCE_LIMITED, 60 * SECOND, RETRY_NOT},
    {451, -EACCES, SOURCE_FORBIDDEN, 30 * SECOND, RETRY_NOT},
    {0, -EPROTO, SOURCE_PROTOCOL, 5 * SECOND, RETRY_NOT},
};

/* A signed URL that has expired is a 403; Azure and others also refuse with 400 and 401. */
static const struct meaning of_storage[] = {
    {400, -EIO, SOURCE_BROKEN, 1 * SECOND, RETRY_RENEWED},
    {401, -EIO, SOURCE_BROKEN, 1 * SECOND, RETRY_RENEWED},
    {403, -EIO, SOURCE_BROKEN, 1 * SECOND, RETRY_RENEWED},
    {404, -ENOENT, SOURCE_PENDING, 3 * SECOND, RETRY_NOT},
    {408, -EIO, SOURCE_BROKEN, 1 * SECOND, RETRY_LATER},
    {412, -EIO, SOURCE_BROKEN, 1 * SECOND, RETRY_RENEWED},
    {416, -EIO, SOURCE_BROKEN, 1 * SECOND, RETRY_LATER},
    {429, -EIO, SOURCE_BROKEN, 1 * SECOND, RETRY_LATER},
    {0, -EIO, SOURCE_BROKEN, 1 * SECOND, RETRY_RENEWED},
};

/* Neither a log nor a refusal: a redirect where the log should be, say. */
static const struct meaning not_storage = {300, -EPROTO, SOURCE_PROTOCOL, 5 * SECOND,
                                           RETRY_GARBAGE};
static const struct meaning server_trouble = {500, -EIO, SOURCE_BROKEN, 1 * SECOND, RETRY_LATER};
static const struct meaning limit = {403, -EDQUOT, SOURCE_LIMITED, 60 * SECOND, RETRY_NOT};

/* The table's last line stands for everything else. */
static const struct meaning *look_up(const struct meaning *table, int code)
{
    while (table->code && table->code != code)
        table++;
    return table;
}

static const struct meaning *meaning_of(const struct failure_event *event)
{
    if (event->err)
        return look_up(of_errors, event->err);
    if (event->status >= 500)
        return &server_trouble;
    if (event->hop == FAILURE_STORAGE)
        return event->status < 400 ? &not_storage : look_up(of_storage, event->status);
    return event->limited ? &limit : look_up(of_api, event->status);
}

void failure_judge(const struct failure_event *event, int64_t now_ms,
                   struct failure_verdict *ret_verdict)
{
    const struct meaning *m = meaning_of(event);
    int64_t until_ms = m->lasts_ms < 0 ? INT64_MAX : now_ms + m->lasts_ms;

    ret_verdict->failure = failure_make(m->err, m->reason, until_ms);
    ret_verdict->retry = m->retry;
    ret_verdict->is_refusal = !event->err &&
                              (event->status >= 500 ||
                               (event->hop == FAILURE_STORAGE && m->retry == RETRY_RENEWED));
}

struct source_failure failure_make(int err, enum source_reason reason, int64_t until_ms)
{
    return (struct source_failure){
        .err = err, .reason = reason, .until_ms = until_ms, .completed_s = -1};
}

struct source_failure failure_make_never(int64_t completed_s, int64_t now_ms, int64_t now_wall_s)
{
    bool old = completed_s >= 0 && now_wall_s - completed_s >= DAY_S;
    int64_t lasts_ms = (old ? DAY_S : 600) * SECOND;
    struct source_failure failure = failure_make(-ENOENT, SOURCE_NEVER, now_ms + lasts_ms);

    failure.completed_s = completed_s;
    return failure;
}

const char *failure_word(int err)
{
    switch (err) {
    case -ECONNREFUSED: return "connection refused";
    case -EHOSTUNREACH: return "host not found or not reachable";
    case -ETIMEDOUT: return "timed out";
    case -EPROTO: return "TLS failure, or an answer that makes no sense";
    case -EFBIG: return "an answer too large to be true";
    case -EBADMSG: return "an answer without what it must have";
    case -ENOMSG: return "an answer that is no log";
    case -ESTALE: return "another log than a moment ago";
    case -ENOMEM: return "no memory";
    default: return "connection cut, or a wrong length";
    }
}
