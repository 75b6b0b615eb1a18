#include "github/failure.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define SECOND INT64_C(1000)
#define DAY_S 86400

/* What an errno of net or a status means. It holds for lasts_ms; -1: for good. */
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
static const struct meaning server_error = {500, -EIO, SOURCE_BROKEN, 1 * SECOND, RETRY_LATER};
static const struct meaning limit = {403, -EDQUOT, SOURCE_LIMITED, 60 * SECOND, RETRY_NOT};

/* The table's last line is for all other codes. */
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
        return &server_error;
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

enum outcome failure_get_outcome(int status, bool limited)
{
    if (!status)
        return OUTCOME_LOST;
    if (status == 304)
        return OUTCOME_NOT_MODIFIED;
    if (limited)
        return OUTCOME_LIMITED;
    if (status >= 500)
        return OUTCOME_ERROR;
    return status >= 400 ? OUTCOME_REFUSED : OUTCOME_OK;
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
    case -EPROTO: return "TLS failure, or a malformed answer";
    case -EFBIG: return "the answer exceeds the size limit";
    case -EBADMSG: return "the answer lacks a required part";
    case -ENOMSG: return "the answer is not a log";
    case -ESTALE: return "the log was replaced during the download";
    case -ENOMEM: return "out of memory";
    default: return "connection cut, or wrong length of the answer";
    }
}

/* --- retries ---------------------------------------------------------------------------------- */

void retry_init(struct retry *r, int64_t now_ms)
{
    *r = (struct retry){.progress_ms = now_ms};
}

void retry_note_progress(struct retry *r, int64_t now_ms)
{
    retry_init(r, now_ms);
}

/*
 * The first retry comes as after any failure, since that may pass at once. With the pauses behind
 * the second and the third, four tries take 2 to 6 s: a short failure is bridged, and the reader of
 * what is refused for good gets the errno within 10 s, also where each answer takes its time.
 */
static int64_t refused_pause_ms(unsigned equal)
{
    static const int64_t pauses[RETRY_REFUSED_TRIES] = {0, 0, 1000, 4000};

    return equal < RETRY_REFUSED_TRIES ? pauses[equal] : 0;
}

bool retry_note_refusal(struct retry *r, uint64_t refusal, bool asks_for_patience, int64_t now_ms)
{
    if (r->refusal != refusal) {
        r->refusal = refusal;
        r->refusals = 0;
        r->refused_ms = now_ms;
    }
    r->refusals += asks_for_patience ? 1 : 2;
    r->pause_ms = refused_pause_ms(r->refusals / 2);
    return r->refusals >= 2 * RETRY_REFUSED_TRIES;
}

/* The longest wait after the n-th failure in a row (n from 1). */
static int64_t longest_wait(unsigned n)
{
    int64_t wait = RETRY_START_MS;

    while (--n > 0 && wait < RETRY_CAP_MS)
        wait *= 2;
    return wait < RETRY_CAP_MS ? wait : RETRY_CAP_MS;
}

int64_t retry_next(struct retry *r, enum retry_kind kind, int64_t now_ms, int64_t deadline_ms,
                   int64_t after_ms, uint32_t jitter)
{
    int64_t end_ms = r->progress_ms + deadline_ms, pause_ms = r->pause_ms, wait;

    r->pause_ms = 0;
    if (kind == RETRY_NOT || (kind == RETRY_GARBAGE && ++r->garbage >= RETRY_GARBAGE_TRIES))
        return -1;
    if (kind == RETRY_CONNECT) {
        /* At least half of the step, so that four tries do not fall into the same instant. */
        int64_t half = longest_wait(++r->connects) / 2;
        return r->connects >= RETRY_CONNECT_TRIES ? -1 : now_ms + half + jitter % (half + 1);
    }
    wait = jitter % (longest_wait(++r->failed) + 1);
    if (kind == RETRY_RENEWED && r->failed == 1)
        wait = 0;
    if (pause_ms > 0)
        wait = pause_ms / 2 + jitter % (pause_ms / 2 + 1);
    if (wait < after_ms)
        wait = after_ms;
    if (end_ms <= now_ms || (after_ms > 0 && now_ms + after_ms > end_ms))
        return -1;
    return now_ms + wait < end_ms ? now_ms + wait : end_ms;
}

/* --- hosts ------------------------------------------------------------------------------------ */

static const struct hosts_entry *find_host(const struct hosts *h, const struct net_url *at)
{
    for (size_t i = 0; i < HOSTS_MAX; i++) {
        const struct hosts_entry *e = &h->entries[i];
        if (e->at.port == at->port && strcmp(e->at.host, at->host) == 0 &&
            strcmp(e->at.scheme, at->scheme) == 0)
            return e;
    }
    return NULL;
}

/* After this time the entry is of no use. */
static int64_t last_use_ms(const struct hosts_entry *e)
{
    return e->until_ms > e->heard_ms ? e->until_ms : e->heard_ms;
}

/* The host's entry; if it has none, a free one, or the least recently used one. */
static struct hosts_entry *find_or_take(struct hosts *h, const struct net_url *at)
{
    const struct hosts_entry *found = find_host(h, at);
    struct hosts_entry *e = &h->entries[0];

    if (found)
        return &h->entries[found - h->entries];
    for (size_t i = 1; i < HOSTS_MAX; i++)
        if (last_use_ms(&h->entries[i]) < last_use_ms(e))
            e = &h->entries[i];
    *e = (struct hosts_entry){.at = *at};
    return e;
}

int hosts_ask(struct hosts *h, const struct net_url *at, int64_t now_ms, int64_t *ret_until_ms)
{
    struct hosts_entry *e;

    if (!hosts_is_down(h, at, now_ms))
        return 0;
    e = find_or_take(h, at);
    if (now_ms >= e->probe_ms) {
        e->probe_ms = now_ms + HOSTS_PROBE_MS;
        return 0;
    }
    *ret_until_ms = e->until_ms;
    return e->err;
}

bool hosts_is_down(const struct hosts *h, const struct net_url *at, int64_t now_ms)
{
    const struct hosts_entry *e = find_host(h, at);

    return e && now_ms < e->until_ms;
}

bool hosts_was_heard(const struct hosts *h, const struct net_url *at, int64_t since_ms)
{
    const struct hosts_entry *e = find_host(h, at);

    return e && e->heard_ms >= since_ms;
}

void hosts_note_failure(struct hosts *h, const struct net_url *at, int err, int64_t since_ms,
                        int64_t now_ms)
{
    struct hosts_entry *e = find_or_take(h, at);

    if (err == -ETIMEDOUT && e->heard_ms >= since_ms)
        return;
    e->until_ms = now_ms + HOSTS_DOWN_MS;
    e->probe_ms = err == -ETIMEDOUT ? e->until_ms : now_ms + HOSTS_PROBE_MS;
    e->err = err;
}

void hosts_note_answer(struct hosts *h, const struct net_url *at, int64_t now_ms)
{
    struct hosts_entry *e = find_or_take(h, at);

    e->heard_ms = now_ms;
    e->until_ms = 0;
}
