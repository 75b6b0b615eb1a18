#include "github/retry.h"

void retry_init(struct retry *r, int64_t now_ms)
{
    *r = (struct retry){.progress_ms = now_ms};
}

void retry_note_progress(struct retry *r, int64_t now_ms)
{
    retry_init(r, now_ms);
}

/* The upper end of the wait after the n-th failure in a row (n from 1). */
static int64_t ceiling(unsigned n)
{
    int64_t wait = RETRY_START_MS;

    while (--n > 0 && wait < RETRY_CAP_MS)
        wait *= 2;
    return wait < RETRY_CAP_MS ? wait : RETRY_CAP_MS;
}

/* At least half of the step, so that four tries do not fall into the same instant. */
static int64_t next_connect(struct retry *r, int64_t now_ms, uint32_t chance)
{
    int64_t half;

    if (++r->connects >= RETRY_CONNECT_TRIES)
        return -1;
    half = ceiling(r->connects) / 2;
    return now_ms + half + chance % (half + 1);
}

/* After the first one as after anything else, since that may pass at once. With the pauses behind the
 * second and the third, four tries take 2 to 6 s: a short trouble is ridden out, and the reader of what
 * is refused for good gets his errno within 10 s, also where each answer takes its time. */
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

static int64_t next_within_deadline(struct retry *r, int64_t now_ms, int64_t deadline_ms,
                                    int64_t wait_ms)
{
    int64_t left = r->progress_ms + deadline_ms - now_ms;

    if (left <= 0)
        return -1;
    return now_ms + (wait_ms < left ? wait_ms : left);
}

int64_t retry_next(struct retry *r, enum retry_kind kind, int64_t now_ms, int64_t deadline_ms,
                   int64_t after_ms, uint32_t chance)
{
    int64_t wait, pause_ms = r->pause_ms;

    r->pause_ms = 0;
    if (kind == RETRY_NOT || (kind == RETRY_GARBAGE && ++r->garbage >= RETRY_GARBAGE_TRIES))
        return -1;
    if (kind == RETRY_CONNECT)
        return next_connect(r, now_ms, chance);
    wait = chance % (ceiling(++r->failed) + 1);
    if (kind == RETRY_RENEWED && r->failed == 1)
        wait = 0;
    if (pause_ms > 0)
        wait = pause_ms / 2 + chance % (pause_ms / 2 + 1);
    if (after_ms > 0 && now_ms + after_ms > r->progress_ms + deadline_ms)
        return -1;
    return next_within_deadline(r, now_ms, deadline_ms, wait > after_ms ? wait : after_ms);
}
