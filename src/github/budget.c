#include "github/budget.h"

#include <string.h>

/* A second more than GitHub's minute: two requests may come nearer to each other on the way. */
#define WINDOW_MS INT64_C(61000)
/* While an answer in flight decides: the caller asks again when it comes in, or after this. */
#define RECHECK_MS 200
/* What GitHub asks for after a secondary limit that names no time; doubled each time after. */
#define PENALTY_MS INT64_C(60000)
/* Nothing that a server reports stops us for longer: its windows are of an hour. */
#define WAIT_MAX_S INT64_C(3660)
/* Resets that differ by less are of one window. */
#define SAME_WINDOW_S 5

static int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* --- pacing ----------------------------------------------------------------------------------- */

/* When one more keeps the window; 0: now. */
static int64_t pace_opens_at(const struct budget_pace *p, int64_t now_ms)
{
    int64_t at;

    if (p->count < p->size)
        return 0;
    at = p->went_ms[p->next] + WINDOW_MS;
    return at > now_ms ? at : 0;
}

static void pace_count(struct budget_pace *p, int64_t now_ms)
{
    p->went_ms[p->next] = now_ms;
    p->next = (p->next + 1) % p->size;
    p->count += p->count < p->size;
}

/* The last one was not sent. The one it replaced had left the window. */
static void pace_take_back(struct budget_pace *p)
{
    if (!p->count)
        return;
    p->next = (p->next + p->size - 1) % p->size;
    p->count--;
}

/* --- asking ----------------------------------------------------------------------------------- */

void budget_init(struct budget *b, uint32_t reserve)
{
    memset(b, 0, sizeof(*b));
    b->reserve = reserve;
    b->all.size = BUDGET_PER_MINUTE;
    b->prefetch.size = BUDGET_PER_MINUTE / 2;
    b->limit = b->remaining = -1;
}

/* Drops limits whose time has passed. */
static void refresh(struct budget *b, int64_t now_ms)
{
    if (b->reset_ms && now_ms >= b->reset_ms) {
        b->remaining = b->limit;
        b->reset_ms = b->reset_s = 0;
    }
    if (now_ms >= b->limited_until_ms)
        b->limited_until_ms = 0;
}

/*
 * All in flight count as not yet seen by the server: of 100 answers under way none may have
 * reported what the others cost. A 304 costs nothing: then this was too careful until its answer
 * comes in.
 */
static int64_t left(const struct budget *b)
{
    return b->remaining < 0 ? INT64_MAX : max_i64(b->remaining - b->in_flight, 0);
}

static int64_t quota_opens_at(const struct budget *b, enum source_class class, int64_t now_ms)
{
    int64_t keep = class == SOURCE_PREFETCH ? b->reserve : 0;

    if (left(b) > keep)
        return 0;
    if (b->remaining > keep)
        return now_ms + RECHECK_MS;
    /* Without a reset the quota is full, and still no more than the reserve. */
    return b->reset_ms ? b->reset_ms : now_ms + PENALTY_MS;
}

/* The bound that holds the longest, and until when (0: none does). */
static enum budget_reason judge(struct budget *b, enum source_class class, int64_t now_ms,
                                int64_t *ret_at)
{
    enum budget_reason reason = BUDGET_OPEN;
    int64_t pacing, quota, at = 0;

    refresh(b, now_ms);
    pacing = pace_opens_at(&b->all, now_ms);
    if (class == SOURCE_PREFETCH)
        pacing = max_i64(pacing, pace_opens_at(&b->prefetch, now_ms));
    quota = quota_opens_at(b, class, now_ms);
    if (pacing > at)
        at = pacing, reason = BUDGET_PACING;
    if (quota > at)
        at = quota, reason = BUDGET_QUOTA;
    if (b->limited_until_ms > at)
        at = b->limited_until_ms, reason = BUDGET_LIMITED;
    *ret_at = at;
    return reason;
}

int64_t budget_ask(struct budget *b, enum source_class class, int64_t now_ms)
{
    int64_t at;

    if (judge(b, class, now_ms, &at) != BUDGET_OPEN)
        return at;
    pace_count(&b->all, now_ms);
    if (class == SOURCE_PREFETCH)
        pace_count(&b->prefetch, now_ms);
    b->in_flight++;
    return 0;
}

enum budget_reason budget_why(struct budget *b, enum source_class class, int64_t now_ms)
{
    int64_t at;

    return judge(b, class, now_ms, &at);
}

int64_t budget_remaining(struct budget *b, int64_t now_ms)
{
    refresh(b, now_ms);
    return b->remaining < 0 ? -1 : left(b);
}

/* --- learning --------------------------------------------------------------------------------- */

/*
 * Whether a refusal is a limit. A plain "forbidden" may happen to carry the header of an empty
 * quota, so where there is a text it must name a limit.
 */
static enum budget_verdict classify(const struct budget_answer *a)
{
    const char *text = a->message ? a->message : "";
    bool names_limit = strcasestr(text, "rate limit");

    if (a->status != 403 && a->status != 429)
        return BUDGET_NO_LIMIT;
    if (strcasestr(text, "secondary rate limit") || strcasestr(text, "abuse"))
        return BUDGET_SECONDARY;
    if (a->remaining == 0 && (names_limit || a->status == 429 || !*text))
        return BUDGET_PRIMARY;
    if (names_limit && a->remaining < 0)
        return BUDGET_PRIMARY;
    if (names_limit || a->status == 429 || a->retry_after_s >= 0)
        return BUDGET_SECONDARY;
    return BUDGET_NO_LIMIT;
}

/* Seconds to the answer's reset by the server's own clock where it shows it; 0: none or past. */
static int64_t reset_in_s(const struct budget_answer *a, int64_t now_wall_s)
{
    int64_t base = a->date_s >= 0 ? a->date_s : now_wall_s;

    if (a->reset_s < 0 || base < 0 || a->reset_s <= base)
        return 0;
    return min_i64(a->reset_s - base, WAIT_MAX_S);
}

/* Both clocks that this was computed with show whole seconds: one more is on the safe side. */
static int64_t after_s(int64_t now_ms, int64_t seconds)
{
    return now_ms + (seconds + 1) * 1000;
}

static bool is_blocked(const struct budget *b, int64_t now_ms)
{
    return now_ms < b->limited_until_ms || (b->remaining == 0 && now_ms < b->reset_ms);
}

/*
 * The wait that we choose where GitHub names none. All that were in flight when it came are refused
 * for the same reason: only a refusal after the wait makes the next one longer.
 */
static int64_t penalty(struct budget *b, bool was_blocked)
{
    if (!b->penalty_ms)
        b->penalty_ms = PENALTY_MS;
    else if (!was_blocked)
        b->penalty_ms = min_i64(b->penalty_ms * 2, WAIT_MAX_S * 1000);
    return b->penalty_ms;
}

/*
 * Answers come in any order. Within a window what remains only falls, so the least is the latest; a
 * later window replaces an earlier one, and an earlier one is ignored.
 */
static void learn_quota(struct budget *b, const struct budget_answer *a, int64_t now_ms,
                        int64_t now_wall_s)
{
    int64_t reset_ms = after_s(now_ms, reset_in_s(a, now_wall_s));
    int64_t remaining = min_i64(a->remaining, a->limit);
    bool is_known = b->reset_ms && b->limit == a->limit;

    /* 401 tells the quota of the address, not of the token. */
    if (a->limit < 1 || remaining < 0 || a->reset_s < 0 || a->status == 401)
        return;
    if (is_known && a->reset_s < b->reset_s - SAME_WINDOW_S)
        return;
    if (is_known && a->reset_s <= b->reset_s + SAME_WINDOW_S) {
        remaining = min_i64(remaining, b->remaining);
        reset_ms = min_i64(reset_ms, b->reset_ms);
    }
    b->limit = a->limit;
    b->remaining = remaining;
    b->reset_ms = reset_ms;
    b->reset_s = a->reset_s;
}

/* Refused for the quota: whatever was thought to be left, nothing is. */
static void learn_primary(struct budget *b, const struct budget_answer *a, int64_t now_ms,
                          int64_t now_wall_s, bool was_blocked)
{
    int64_t reset_s = reset_in_s(a, now_wall_s);
    int64_t until = reset_s ? after_s(now_ms, reset_s) : now_ms + penalty(b, was_blocked);

    if (a->retry_after_s > 0)
        until = max_i64(until, after_s(now_ms, min_i64(a->retry_after_s, WAIT_MAX_S)));
    b->remaining = 0;
    b->reset_ms = until;
    b->reset_s = max_i64(a->reset_s, 0);
}

static void learn_secondary(struct budget *b, const struct budget_answer *a, int64_t now_ms,
                            int64_t now_wall_s, bool was_blocked)
{
    int64_t reset_s = reset_in_s(a, now_wall_s);
    int64_t until;

    if (a->retry_after_s >= 0)
        until = after_s(now_ms, min_i64(a->retry_after_s, WAIT_MAX_S));
    else if (a->remaining == 0 && reset_s)
        until = after_s(now_ms, reset_s);
    else
        until = now_ms + penalty(b, was_blocked);
    b->limited_until_ms = max_i64(b->limited_until_ms, until);
}

enum budget_verdict budget_learn(struct budget *b, const struct budget_answer *answer,
                                 int64_t now_ms, int64_t now_wall_s)
{
    enum budget_verdict verdict = classify(answer);
    bool was_blocked;

    budget_lost(b);
    refresh(b, now_ms);
    was_blocked = is_blocked(b, now_ms);
    learn_quota(b, answer, now_ms, now_wall_s);
    if (verdict == BUDGET_PRIMARY)
        learn_primary(b, answer, now_ms, now_wall_s, was_blocked);
    else if (verdict == BUDGET_SECONDARY ||
             (answer->status >= 500 && answer->retry_after_s >= 0)) /* some 503s do */
        learn_secondary(b, answer, now_ms, now_wall_s, was_blocked);
    else if (!was_blocked && answer->status < 500)
        b->penalty_ms = 0;
    return verdict;
}

void budget_unsent(struct budget *b, enum source_class class)
{
    pace_take_back(&b->all);
    if (class == SOURCE_PREFETCH)
        pace_take_back(&b->prefetch);
    budget_lost(b);
}

void budget_lost(struct budget *b)
{
    if (b->in_flight)
        b->in_flight--;
}
