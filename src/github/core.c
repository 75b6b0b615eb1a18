#include "github/core.h"

#include "github/advice.h"
#include "github/headers.h"
#include "hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* -- What is remembered ------------------------------------------------------------------------ */

void core_note_completed(struct core *core, uint64_t job)
{
    core->completed[job % CORE_COMPLETED_MAX] = job;
}

bool core_is_completed(const struct core *core, uint64_t job)
{
    return core->completed[job % CORE_COMPLETED_MAX] == job;
}

void core_note_user(struct core *core, const char *owner)
{
    uint64_t h = hash_string_nocase(HASH_START, owner);

    core->users[h % CORE_USERS_MAX] = h;
}

bool core_is_user(const struct core *core, const char *owner)
{
    uint64_t h = hash_string_nocase(HASH_START, owner);

    return core->users[h % CORE_USERS_MAX] == h;
}

/* -- All together ------------------------------------------------------------------------------ */

void core_close(struct core *core)
{
    struct source_failure failure = failure_make(-ECONNABORTED, SOURCE_CLOSING, 0);
    struct list *link;

    core->closing = true;
    while ((link = list_take_first(&core->in_flight))) {
        struct attempt *a = list_entry(link, struct attempt, link);
        if (a->is_sent)
            net_cancel(&a->request, -ECONNABORTED);
        else
            a->fail(a, &failure);
    }
}

bool core_refuses(const struct core *core, struct source_failure *ret_failure)
{
    if (core->closing)
        *ret_failure = failure_make(-ECONNABORTED, SOURCE_CLOSING, 0);
    else if (core->offline)
        *ret_failure = failure_make(-EHOSTUNREACH, SOURCE_OFFLINE, INT64_MAX);
    return core->closing || core->offline;
}

void core_log(struct core *core, enum diag_level level, enum failure_hop hop,
              const struct net_url *at, const char *what)
{
    if (!core->closing)
        diag_log(core->diag, level, "%s %s: %s", hop == FAILURE_API ? "API" : "storage", at->host,
                 what);
}

enum diag_level core_get_level(const struct failure_event *event,
                               const struct source_failure *failure)
{
    if (event->hop == FAILURE_API && !event->err && event->status == 401)
        return DIAG_ERROR;
    return failure->reason == SOURCE_REFUSED ? DIAG_NOTICE : DIAG_WARNING;
}

/* curl's texts for -EPROTO need a word before them. */
static const char *lead_of(int err, const char *cause)
{
    if (!cause[0] || err != -EPROTO)
        return "";
    return strcasestr(cause, "ssl") || strcasestr(cause, "tls") || strstr(cause, "certificate")
               ? "TLS failure: "
               : "malformed answer: ";
}

void core_log_error(struct core *core, enum failure_hop hop, const struct net_url *at,
                    const char *cause, int err)
{
    const char *advice = advice_on_error(hop, err, cause);
    char what[CORE_CAUSE_MAX + ADVICE_CAP + 32];

    snprintf(what, sizeof(what), "%s%s%s%s%s", lead_of(err, cause),
             cause[0] ? cause : failure_word(err), advice ? " (" : "", advice ? advice : "",
             advice ? ")" : "");
    core_log(core, DIAG_WARNING, hop, at, what);
}

/* -- Attempts ---------------------------------------------------------------------------------- */

void attempt_begin(struct attempt *a)
{
    retry_init(&a->retry, net_now_ms());
    list_push_back(&a->core->in_flight, &a->link);
}

static void on_done(struct net_request *request, int err)
{
    struct attempt *a = list_entry(request, struct attempt, request);
    struct queue *queue = &a->core->queue;

    a->is_sent = false;
    a->cause[0] = '\0';
    if (err < 0)
        snprintf(a->cause, sizeof(a->cause), "%s", net_failure_text(request));
    queue_free_connection(queue);
    if (err == -ETIMEDOUT && net_was_heard(request))
        hosts_note_answer(&a->core->hosts, a->at, net_now_ms());
    a->answered(a, err);
    queue_pump(queue);
}

void attempt_send(struct attempt *a, const struct net_url *at, const struct net_request *request)
{
    a->at = at;
    a->status = 0;
    a->is_sent = true;
    a->request = *request;
    a->request.on_done = on_done;
    net_send(a->core->net, &a->request);
}

void attempt_note_answer(struct attempt *a, int status)
{
    a->status = status;
    hosts_note_answer(&a->core->hosts, a->at, net_now_ms());
}

/* What the server asked for; 0: nothing. */
static int64_t retry_after_ms(const struct attempt *a)
{
    int64_t after_s = 0;

    if (a->status == 429 || a->status >= 500)
        parse_retry_after(net_header(&a->request, "Retry-After"), net_wall_s(), &after_s);
    return after_s * 1000;
}

void attempt_judge_refusal(struct attempt *a, uint64_t key, uint64_t answer, bool may_expect,
                           enum source_class class, struct failure_verdict *verdict)
{
    struct refusals *rs = &a->core->refusals;
    int64_t now_ms = net_now_ms();
    bool asks_for_patience = retry_after_ms(a) > 0;
    bool proven = retry_note_refusal(&a->retry, answer, asks_for_patience, now_ms);

    if (proven || (may_expect && refusals_expect(rs, key, answer, now_ms)))
        verdict->failure = failure_make(-EIO, SOURCE_REFUSED,
                                        refusals_note(rs, key, answer, proven, now_ms));
    else if (class == SOURCE_PREFETCH) /* retries are for waiting readers */
        verdict->failure = failure_make(-EIO, SOURCE_LIMITED, now_ms);
    else
        return;
    verdict->retry = RETRY_NOT;
}

/* xorshift: good enough to spread retries, and without hidden state. */
static uint32_t draw_chance(struct core *core)
{
    uint64_t x = core->chance;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    core->chance = x;
    return (uint32_t)(x >> 32);
}

bool attempt_retry(struct attempt *a, const struct failure_verdict *verdict)
{
    struct core *core = a->core;
    int64_t now_ms = net_now_ms(), at_ms = -1;

    if (verdict->retry != RETRY_CONNECT || !hosts_is_down(&core->hosts, a->at, now_ms))
        at_ms = retry_next(&a->retry, verdict->retry, now_ms, core->deadline_ms, retry_after_ms(a),
                           draw_chance(core));
    if (at_ms < 0) {
        attempt_give_up(a, verdict);
        return false;
    }
    progress_wait_note(a->waits_for, PROGRESS_RETRY, at_ms);
    net_timer_set(core->net, &a->timer, at_ms);
    return true;
}

void attempt_give_up(struct attempt *a, const struct failure_verdict *verdict)
{
    const struct source_failure *failure = &verdict->failure;

    if (failure->reason == SOURCE_UNREACHABLE)
        hosts_note_failure(&a->core->hosts, a->at, failure->err, a->retry.progress_ms,
                           net_now_ms());
}

void attempt_end(struct attempt *a)
{
    net_timer_cancel(&a->timer);
    list_remove(&a->link);
}

void attempt_cancel(struct attempt *a)
{
    attempt_end(a);
    a->is_cancelled = true;
    if (a->is_sent)
        net_cancel(&a->request, -ECANCELED);
    a->is_cancelled = false;
}
