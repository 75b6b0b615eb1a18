#include "github/range.h"

#include "github/failure.h"
#include "github/headers.h"
#include "github/range_room.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RENEWALS_MAX 3   /* URLs given up in a row, as faults that must not be noticed (R1) */
#define RENEWED_MS 60000 /* a URL's documented life */

#define PENDING_MS 3000
#define AGAIN_MAX 10 /* whole bodies, to be sure where they end: three cuts, and those that agree */

static void ask(struct range *r);

/* -- Its end ----------------------------------------------------------------------------------- */

static void finish(struct range *r, const struct source_failure *failure)
{
    struct source_bytes *want = r->want;

    r->state = RANGE_IDLE;
    list_remove(&r->errand.link);
    remote_url_unref(r->url);
    if (want)
        want->done(want, failure);
    else
        r->seen(r->log, failure);
    free(r);
}

static void finish_with(struct range *r, int err, enum source_reason reason, int64_t until_ms)
{
    struct source_failure failure = failure_make(err, reason, until_ms);

    finish(r, &failure);
}

/* Waits for the inquiry. */
static void inquire(struct range *r)
{
    r->has_inquired = true;
    r->state = RANGE_INQUIRES;
    remote_want_inquiry(r->log, &r->waiter);
}

/* No log yet: a running job's whose first block has not been written. */
static void pend(struct range *r)
{
    finish_with(r, -ENOENT, SOURCE_PENDING, net_now_ms() + PENDING_MS);
}

/* All bytes are delivered; `done` waits for `told`. */
static void complete(struct range *r)
{
    r->found = FOUND_COMPLETE;
    if (!r->want || r->log->is_told)
        finish(r, NULL);
    else if (r->log->is_weak && r->again++ < AGAIN_MAX)
        ask(r);
    else if (!r->has_inquired)
        inquire(r);
    else if (r->log->is_sized && r->log->size == 0)
        pend(r);
    else
        finish_with(r, -EIO, SOURCE_BROKEN, net_now_ms() + 1000);
}

/* -- Trouble ----------------------------------------------------------------------------------- */

static void complain(struct range *r, const struct failure_event *event,
                     const struct source_failure *failure)
{
    char words[SIGHT_TYPE + sizeof(CALL_REFUSED_HINT) + 80];

    if (event->err == -ENOMSG)
        snprintf(words, sizeof(words), "what it sent%s%s%s is no log: is there a proxy on the way?",
                 r->type[0] ? " (" : "", r->type, r->type[0] ? ")" : "");
    else if (event->err)
        snprintf(words, sizeof(words), "%s", failure_word(event->err));
    else
        snprintf(words, sizeof(words), "status %d%s", event->status,
                 failure->reason == SOURCE_REFUSED ? CALL_REFUSED_HINT : "");
    if (r->url)
        core_say(r->core, "storage", &r->url->at, words);
}

static void try_again(struct net_timer *timer)
{
    ask(list_entry(timer, struct range, timer));
}

static int64_t retry_after_ms(const struct range *r)
{
    int64_t after_s = 0;

    if (r->status == 429 || r->status >= 500)
        parse_retry_after(net_header(&r->request, "Retry-After"), net_wall_s(), &after_s);
    return after_s * 1000;
}

/* Each new URL is charged: who refuses several in a row, such as a proxy on the way, is not helped by
 * more of them, unless the one at hand has grown old meanwhile. */
static void renew(struct range *r, int64_t now_ms)
{
    struct refusals *rs = &r->core->refusals;

    if (r->renewals >= RENEWALS_MAX && now_ms - r->url->minted_ms < RENEWED_MS)
        return;
    if (r->renewals > 0 && !refusals_take_retry(rs, now_ms))
        return;
    r->renewals++;
    remote_drop_url(r->log, r->url);
}

/*
 * Storage refuses. No retry is worth it if the answer will not change, or if nobody waits for the log.
 * An old URL may just have expired, so its refusal must come several times; the next look at a refused
 * log takes a new URL.
 */
static void judge_refusal(struct range *r, int64_t now_ms, struct failure_verdict *verdict)
{
    struct refusals *rs = &r->core->refusals;
    uint64_t key = r->log->key;
    uint64_t answer = refusals_print_finish(&r->print, r->url->at.host, r->status);
    bool proven = retry_note_refusal(&r->retry, answer, retry_after_ms(r) > 0, now_ms);
    bool is_young = now_ms - r->url->minted_ms < RENEWED_MS;

    if (proven || (is_young && refusals_expect(rs, key, answer, now_ms))) {
        verdict->failure = failure_make(-EIO, SOURCE_REFUSED,
                                        refusals_note(rs, key, answer, proven, now_ms));
        if (verdict->retry == RETRY_RENEWED)
            remote_drop_url(r->log, r->url);
        verdict->retry = RETRY_NOT;
    } else if (r->log->class == SOURCE_PREFETCH) {
        verdict->failure = failure_make(-EIO, SOURCE_LIMITED, now_ms);
        verdict->retry = RETRY_NOT;
    }
}

/* Another try from the first byte that is missing, or the end. */
static void trouble(struct range *r, const struct failure_event *event)
{
    struct core *core = r->core;
    int64_t now_ms = net_now_ms(), at_ms = -1;
    struct failure_verdict verdict;

    failure_judge(event, now_ms, &verdict);
    if (verdict.is_refusal)
        judge_refusal(r, now_ms, &verdict);
    if (verdict.retry == RETRY_RENEWED)
        renew(r, now_ms);
    if (verdict.retry != RETRY_CONNECT || !hosts_is_down(&core->hosts, &r->url->at, now_ms))
        at_ms = retry_next(&r->retry, verdict.retry, now_ms, core->deadline_ms, retry_after_ms(r),
                           core_draw_chance(core));
    if (at_ms < 0) {
        if (verdict.failure.reason == SOURCE_UNREACHABLE)
            hosts_note_failure(&core->hosts, &r->url->at, verdict.failure.err, r->retry.progress_ms,
                               now_ms);
        if (verdict.failure.reason != SOURCE_LIMITED)
            complain(r, event, &verdict.failure);
    }
    remote_url_unref(r->url);
    r->url = NULL;
    if (at_ms < 0) {
        finish(r, &verdict.failure);
        return;
    }
    r->state = RANGE_RESTS;
    net_timer_set(core->net, &r->timer, at_ms);
}

/* -- What came of it --------------------------------------------------------------------------- */

/*
 * Neither a length nor a last chunk: the end of the connection is the end of the body, or a cut that
 * nothing else tells from it. It is believed when more answers end at the same place, and none
 * behind it, than may be cut unnoticed.
 */
static bool is_end_doubtful(struct range *r)
{
    if (r->end != UINT64_MAX || net_header(&r->request, "Transfer-Encoding"))
        return false;
    if (r->at > r->ended_at)
        r->endings = 0;
    if (r->at >= r->ended_at)
        r->endings++;
    if (r->at > r->ended_at)
        r->ended_at = r->at;
    return r->endings < BELIEF_VOTES;
}

/* Not a byte of a log. Of a job that has run steps there is more, whoever says otherwise; that of a
 * running job has not begun. */
static void judge_empty(struct range *r)
{
    const struct source_log *log = r->log;

    if (!r->has_inquired) {
        inquire(r);
    } else if (log->job_state != REMOTE_JOB_COMPLETED) {
        pend(r);
    } else if (log->has_steps) {
        trouble(r, &(struct failure_event){.hop = FAILURE_STORAGE, .err = -ENOMSG});
    } else {
        r->may_be_empty = true;
        ask(r);
    }
}

static void stream_ended(struct range *r, int err)
{
    struct failure_event event = {.hop = FAILURE_STORAGE, .err = err == -ECANCELED ? -EIO : err};

    if (!err && r->want && r->at == 0 && r->end == UINT64_MAX && !r->may_be_empty) {
        r->found = FOUND_EMPTY;
        judge_empty(r);
        return;
    }
    if (!err && r->is_doubted && range_take_short(r) < 0) {
        event.err = r->found == FOUND_WRONG ? r->err : -EIO;
        trouble(r, &event);
        return;
    }
    if (!err && is_end_doubtful(r)) {
        if (r->again++ < AGAIN_MAX)
            ask(r);
        else
            finish_with(r, -EIO, SOURCE_BROKEN, net_now_ms() + 1000);
        return;
    }
    if (!err && r->end == UINT64_MAX && range_take_length(r) < 0) {
        event.err = r->err;
        if (r->found == FOUND_UNWANTED) {
            finish_with(r, r->err, SOURCE_BROKEN, net_now_ms());
            return;
        }
        trouble(r, &event);
        return;
    }
    if ((!r->want && !r->is_opinion) || r->next >= range_goal(r)) {
        complete(r);
    } else if (!err && r->at == r->end) {
        ask(r); /* a server may answer with less than was asked for */
    } else {
        event.err = err ? event.err : -EIO;
        trouble(r, &event);
    }
}

/* Storage has no log. There will never be one only if the job was completed before it was asked, or
 * has never run. */
static void absent(struct range *r)
{
    const struct source_log *log = r->log;
    int64_t completed_s = log->completed_ms < 0 ? -1 : log->completed_ms / 1000;
    /* Who looks at the end is part of an inquiry, and would wait for itself. */
    bool is_asked = !r->want || r->has_inquired || completed_s >= 0;
    struct source_failure failure;

    if (!is_asked) {
        inquire(r);
    } else if (log->has_no_log || (log->job_state == REMOTE_JOB_COMPLETED && r->after_completion)) {
        failure = failure_make_never(completed_s, net_now_ms(), net_wall_s());
        finish(r, &failure);
    } else if (log->job_state == REMOTE_JOB_COMPLETED) {
        ask(r);
    } else {
        pend(r);
    }
}

static void judge(struct range *r, int err)
{
    struct failure_event event = {.hop = FAILURE_STORAGE, .err = err, .status = r->status};

    if (r->found != FOUND_NOTHING)
        refusals_clear(&r->core->refusals, r->log->key);
    switch (r->found) {
    case FOUND_STREAM: stream_ended(r, err); break;
    case FOUND_COMPLETE: complete(r); break;
    case FOUND_ABSENT: absent(r); break;
    case FOUND_EMPTY: judge_empty(r); break;
    case FOUND_UNPROVED: inquire(r); break;
    case FOUND_REFUSED: /* comes from the API, never from an answer of storage */
    case FOUND_UNWANTED: finish_with(r, r->err, SOURCE_BROKEN, net_now_ms()); break;
    case FOUND_WRONG:
        event.err = r->err;
        trouble(r, &event);
        break;
    case FOUND_NOTHING:
        if (r->status && err != -ECONNABORTED)
            event.err = 0;
        trouble(r, &event);
    }
}

static void on_done(struct net_request *request, int err)
{
    struct range *r = list_entry(request, struct range, request);
    struct queue *queue = &r->core->queue;

    queue_free_connection(queue);
    if (err == -ETIMEDOUT && r->url && net_was_heard(request))
        hosts_note_answer(&r->core->hosts, &r->url->at, net_now_ms());
    r->state = RANGE_IDLE;
    if (r->is_dead) {
        remote_url_unref(r->url);
        free(r);
    } else if (err == -ECONNABORTED) {
        trouble(r, &(struct failure_event){.hop = FAILURE_STORAGE, .err = err});
    } else {
        judge(r, err);
    }
    queue_pump(queue);
}

/* -- A try ------------------------------------------------------------------------------------- */

/* Who wants the end of a log asks for a byte more, as long as one answer alone has told that end:
 * storage shows whether there is one. */
static uint64_t ask_to(const struct range *r)
{
    const struct source_log *log = r->log;
    bool is_end = r->want && log->is_final && !log->is_proven && r->to == log->size;

    return is_end ? r->to + 1 : r->to;
}

static void write_range(struct range *r)
{
    r->asked_to = ask_to(r);
    if (r->asked_to == UINT64_MAX)
        snprintf(r->line, sizeof(r->line), "Range: bytes=%" PRIu64 "-", r->next);
    else
        snprintf(r->line, sizeof(r->line), "Range: bytes=%" PRIu64 "-%" PRIu64, r->next,
                 r->asked_to - 1);
    r->headers[0] = r->line;
    r->headers[1] = NULL;
}

static void send(struct range *r, struct remote_url *url)
{
    write_range(r);
    remote_url_unref(r->url);
    r->url = remote_url_ref(url);
    r->after_completion = remote_is_completed(r->log);
    r->status = 0;
    r->found = FOUND_NOTHING;
    r->err = 0;
    r->junk = 0;
    r->print = (struct refusals_print){.len = 0};
    r->is_doubted = false;
    r->type[0] = '\0';
    r->request = (struct net_request){
        .url = r->url->text,
        .headers = r->headers,
        .express = true,
        .body_max = UINT64_MAX,
        .on_head = range_take_head,
        .on_body = range_take_body,
        .on_done = on_done,
    };
    r->state = RANGE_SENT;
    atomic_fetch_add(&r->core->storage_requests, 1);
    queue_take_connection(&r->core->queue);
    net_send(r->core->net, &r->request);
}

static void ask(struct range *r)
{
    struct source_failure failure;
    struct remote_url *url;
    int64_t until_ms = 0;
    int err;

    if (core_refuses(r->core, &failure)) {
        finish(r, &failure);
        return;
    }
    if (r->log->is_other) {
        finish_with(r, -EIO, SOURCE_CHANGED, net_now_ms() + 1000);
        return;
    }
    if (!r->retry.refusal &&
        refusals_find(&r->core->refusals, r->log->key, net_now_ms(), &until_ms)) {
        finish_with(r, -EIO, SOURCE_REFUSED, until_ms);
        return;
    }
    url = remote_young_url(r->log);
    if (!url && !r->want && !r->is_opinion && remote_is_url_too_dear(r->log)) {
        finish(r, NULL);
        return;
    }
    if (!url) {
        r->state = RANGE_WANTS_URL;
        remote_want_url(r->log, &r->waiter);
        return;
    }
    err = hosts_ask(&r->core->hosts, &url->at, net_now_ms(), &until_ms);
    if (err < 0)
        finish_with(r, err, SOURCE_UNREACHABLE, until_ms);
    else
        send(r, url);
}

/* The API refuses to give a URL, and the job's state is known. If the job has ended since the first
 * refusal, its log may be there now. */
static void refusal_explained(struct range *r)
{
    struct refusals *rs = &r->core->refusals;
    uint64_t key = r->log->mint.key;

    if (!remote_is_completed(r->log)) {
        refusals_note_running(rs, key);
        pend(r);
    } else if (refusals_is_of_running(rs, key)) {
        refusals_clear(rs, key);
        ask(r);
    } else {
        finish(r, &r->refusal);
    }
}

/*
 * The API refuses to give a URL. For a running job that means "no log yet", and one question tells
 * which it is. It counts as a retry, unless what is known of the job makes it free. While a job runs,
 * each look costs one request: for the log if the refusal has to be looked at again, else for the job.
 */
static void refused(struct range *r, const struct source_failure *failure)
{
    struct source_log *log = r->log;
    struct refusals *rs = &r->core->refusals;
    bool is_free = log->is_inquiring || log->job_etag[0];
    bool is_new = log->mint.retry.refusal;

    r->found = FOUND_REFUSED;
    r->refusal = *failure;
    if (!r->want || r->has_inquired) {
        finish(r, failure);
    } else if (remote_is_completed(log)) {
        refusal_explained(r);
    } else if (is_new && refusals_is_of_running(rs, log->mint.key)) {
        pend(r);
    } else if (is_free || refusals_take_retry(rs, net_now_ms())) {
        log->is_job_single = true;
        inquire(r);
    } else {
        finish(r, failure);
    }
}

/* The question about the job failed without telling anything of the job. */
static bool is_no_explanation(const struct source_failure *failure)
{
    return failure->reason == SOURCE_BROKEN || failure->reason == SOURCE_REFUSED ||
           failure->reason == SOURCE_PROTOCOL;
}

/* The inquiry has ended well: what it was wanted for is looked at again. */
static void inquired(struct range *r)
{
    const struct source_log *log = r->log;

    if (log->unwanted)
        finish_with(r, log->unwanted, SOURCE_BROKEN, net_now_ms());
    else if (r->found == FOUND_REFUSED)
        refusal_explained(r);
    else if (r->found == FOUND_ABSENT)
        absent(r);
    else if (r->found == FOUND_EMPTY)
        judge_empty(r);
    else if (r->found == FOUND_UNPROVED)
        ask(r);
    else
        complete(r);
}

static void woken(struct remote_waiter *w, const struct source_failure *failure)
{
    struct range *r = list_entry(w, struct range, waiter);
    bool has_inquired = r->state == RANGE_INQUIRES;

    r->state = RANGE_IDLE;
    if (failure && !has_inquired && failure->reason == SOURCE_REFUSED)
        refused(r, failure);
    else if (failure && has_inquired && r->found == FOUND_REFUSED && is_no_explanation(failure))
        finish(r, &r->refusal);
    else if (failure)
        finish(r, failure);
    else if (has_inquired)
        inquired(r);
    else
        ask(r);
}

/* -- For the askers ---------------------------------------------------------------------------- */

/* Takes it out of wherever it rests. True: a request is under way and is yet to end. */
static bool stop(struct range *r)
{
    if (r->state == RANGE_RESTS)
        net_timer_cancel(&r->timer);
    else if (r->state != RANGE_SENT)
        list_remove(&r->waiter.link);
    return r->state == RANGE_SENT;
}

static void abort_range(struct core_errand *e)
{
    struct range *r = list_entry(e, struct range, errand);

    if (stop(r))
        net_cancel(&r->request, -ECONNABORTED);
    else
        finish_with(r, -ECONNABORTED, SOURCE_CLOSING, 0);
}

static struct range *make(struct source_log *log, uint64_t from, uint64_t to)
{
    struct range *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->log = log;
    r->core = log->core;
    r->next = from;
    r->to = to;
    r->timer.fire = try_again;
    r->waiter.wake = woken;
    r->errand.abort = abort_range;
    list_push_back(&log->core->errands, &r->errand.link);
    retry_init(&r->retry, net_now_ms());
    return r;
}

void range_begin(struct source_log *log, struct source_bytes *b)
{
    struct source_failure failure = failure_make(-ENOMEM, SOURCE_BROKEN, 0);
    struct range *r = make(log, b->from, b->to);

    if (!r) {
        b->done(b, &failure);
        return;
    }
    r->want = b;
    ask(r);
}

struct range *range_make_end(struct source_log *log,
                             void (*seen)(struct source_log *log,
                                          const struct source_failure *failure))
{
    struct range *r = make(log, log->size, UINT64_MAX);

    if (r)
        r->seen = seen;
    return r;
}

struct range *range_make_opinion(struct source_log *log,
                                 void (*seen)(struct source_log *log,
                                              const struct source_failure *failure))
{
    struct range *r = make(log, 0, log->start_len ? log->start_len : 1);

    if (!r)
        return NULL;
    r->seen = seen;
    r->is_opinion = true;
    log->second_digest = REMOTE_DIGEST_START;
    return r;
}

void range_start(struct range *r)
{
    ask(r);
}

void range_cancel(struct range *r)
{
    bool is_sent = stop(r);

    list_remove(&r->errand.link);
    r->is_dead = true;
    if (is_sent) {
        net_cancel(&r->request, -ECANCELED);
        return;
    }
    remote_url_unref(r->url);
    free(r);
}
