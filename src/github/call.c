#include "github/call.h"

#include "github/failure.h"
#include "github/headers.h"
#include "github/parse.h"
#include "github/redirect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOVES_MAX 3
#define LIMITS_MAX 10
#define REDIRECT_BODY_MAX 65536
#define BODY_START 16384
#define ERROR_BODY_MAX 65536 /* of what is no answer no more is looked at */
#define RETRY_AGAIN_MS 500   /* whether a retry may be sent by now is looked up so often */

static void enter(struct call *c, bool again);
static void answered(struct call *c, int err);

/* The body goes when `done` has read it, unless that keeps it: the call itself may be gone by then. */
static void end(struct call *c, const struct call_answer *answer)
{
    struct body_pool *bodies = &c->core->bodies;
    struct source_body body = c->body;
    struct call_answer told = *answer;

    told.held = &body;
    c->body = (struct source_body){0};
    c->len = c->cap = 0;
    c->state = CALL_IDLE;
    list_remove(&c->errand.link);
    c->done(c, &told);
    body_release(bodies, &body);
}

static void fail(struct call *c, const struct source_failure *failure)
{
    end(c, &(struct call_answer){.failure = failure});
}

static void fail_with(struct call *c, int err, enum source_reason reason, int64_t until_ms)
{
    struct source_failure failure = failure_make(err, reason, until_ms);

    fail(c, &failure);
}

/* -- The request ------------------------------------------------------------------------------- */

static int on_head(struct net_request *r, int status)
{
    struct call *c = list_entry(r, struct call, request);

    c->status = status;
    c->len = 0;
    c->core->peer_private = net_peer_is_private(r);
    hosts_note_answer(&c->core->hosts, &c->core->base_at, net_now_ms());
    return 0;
}

/* What is kept of the answers so far is of no more use. */
static void drop_body(struct call *c)
{
    body_release(&c->core->bodies, &c->body);
    c->len = c->cap = 0;
}

/* Space for `len` more bytes and a NUL. */
static int grow_body(struct call *c, size_t len)
{
    size_t cap = c->cap ? c->cap : BODY_START;
    char *data;

    if (c->len + len < c->cap)
        return NET_TAKEN;
    while (cap < c->len + len + 1)
        cap *= 2;
    if (cap > (size_t)PARSE_BODY_MAX + 1)
        cap = (size_t)PARSE_BODY_MAX + 1;
    if (!body_reserve(&c->core->bodies, &c->body, cap - c->cap))
        return NET_PAUSE;
    data = realloc(c->body.data, cap);
    if (!data)
        return -ENOMEM; /* what was reserved goes with the rest */
    c->body.data = data;
    c->cap = cap;
    return NET_TAKEN;
}

static int on_body(struct net_request *r, const void *data, size_t len)
{
    struct call *c = list_entry(r, struct call, request);
    int rc;

    if (c->status != 200 && c->len + len > ERROR_BODY_MAX)
        return NET_TAKEN;
    rc = grow_body(c, len);
    if (rc != NET_TAKEN)
        return rc;
    memcpy(c->body.data + c->len, data, len);
    c->len += len;
    c->body.data[c->len] = 0;
    return NET_TAKEN; /* no progress to go on from: what is cut is asked for from its start */
}

static void on_done(struct net_request *r, int err)
{
    answered(list_entry(r, struct call, request), err);
}

static void fill_headers(struct call *c)
{
    size_t n = 0;

    c->headers[n++] = "Accept: application/vnd.github+json";
    c->headers[n++] = "X-GitHub-Api-Version: 2022-11-28";
    if (c->token)
        c->headers[n++] = c->token->text;
    if (c->etag)
        c->headers[n++] = c->etag;
    c->headers[n] = NULL;
}

/* It may be sent: the budget has counted it and a connection is taken. */
static void go(struct queued_request *t)
{
    struct call *c = list_entry(t, struct call, queued);
    struct core *core = c->core;
    int64_t until_ms = 0;
    int err = hosts_ask(&core->hosts, &core->base_at, net_now_ms(), &until_ms);

    if (err < 0) {
        queue_unsent(&core->queue, t);
        fail_with(c, err, SOURCE_UNREACHABLE, until_ms);
        return;
    }
    c->status = 0;
    c->token = token_line_ref(core->token.line);
    fill_headers(c);
    c->request = (struct net_request){
        .url = c->url,
        .headers = c->headers,
        .body_max = c->kind == CALL_LOG ? REDIRECT_BODY_MAX : PARSE_BODY_MAX,
        .on_head = on_head,
        .on_body = on_body,
        .on_done = on_done,
    };
    c->state = CALL_SENT;
    atomic_fetch_add(&core->requests, 1);
    net_send(core->net, &c->request);
}

static void refused(struct queued_request *t, int64_t until_ms)
{
    struct call *c = list_entry(t, struct call, queued);

    if (t->class == SOURCE_DEMAND)
        core_say_limited(c->core, until_ms);
    fail_with(c, -EDQUOT, SOURCE_LIMITED, until_ms);
}

static void enter(struct call *c, bool again)
{
    struct source_failure failure;
    int64_t until_ms;

    drop_body(c); /* while it waits */
    if (core_refuses(c->core, &failure)) {
        fail(c, &failure);
        return;
    }
    if (!again && refusals_find(&c->core->refusals, c->key, net_now_ms(), &until_ms)) {
        fail_with(c, -EIO, SOURCE_REFUSED, until_ms);
        return;
    }
    c->state = CALL_WAITS;
    if (queue_enter(&c->core->queue, &c->queued, again) < 0)
        fail_with(c, -ENOMEM, SOURCE_BROKEN, net_now_ms());
}

/* -- What the answer means --------------------------------------------------------------------- */

/* The budget learns from every answer, errors too. */
static bool learn(struct call *c, bool is_whole)
{
    const struct net_request *r = &c->request;
    struct budget *budget = &c->core->queue.budget;
    int64_t now_ms = net_now_ms(), wall_s = net_wall_s();
    struct parse_error said = {.message = ""};
    struct budget_answer a = {
        .status = c->status,
        .limit = parse_count(net_header(r, "X-RateLimit-Limit")),
        .remaining = parse_count(net_header(r, "X-RateLimit-Remaining")),
        .reset_s = parse_count(net_header(r, "X-RateLimit-Reset")),
        .retry_after_s = -1,
        .date_s = -1,
    };
    bool limited;

    parse_retry_after(net_header(r, "Retry-After"), wall_s, &a.retry_after_s);
    parse_http_date(net_header(r, "Date"), wall_s, &a.date_s);
    if (is_whole && (c->status == 403 || c->status == 429)) {
        parse_error_message(c->body.data, c->len, &said);
        a.message = said.message;
    }
    limited = budget_learn(budget, &a, now_ms, wall_s) != BUDGET_NO_LIMIT;
    if (a.limit >= 0) {
        atomic_store(&c->core->limit, a.limit);
        atomic_store(&c->core->reset_s, a.reset_s);
        atomic_store(&c->core->remaining, budget_remaining(budget, now_ms));
    }
    return limited;
}

static int64_t retry_after_ms(const struct call *c)
{
    int64_t after_s = 0;

    if (c->status >= 500)
        parse_retry_after(net_header(&c->request, "Retry-After"), net_wall_s(), &after_s);
    return after_s * 1000;
}

/* The server's own words, but for those that say the token back (R7). */
static void quote(const struct call *c, struct parse_error *ret_said)
{
    const struct token_line *line = c->core->token.line;
    const char *body = c->body.data ? c->body.data : "";

    parse_error_message(body, c->len, ret_said);
    if (token_is_in(line, body, c->len) ||
        token_is_in(line, ret_said->message, strlen(ret_said->message)))
        ret_said->message[0] = '\0';
}

/* Says what the errno cannot. */
static void complain(struct call *c, const struct failure_event *event,
                     const struct source_failure *failure)
{
    struct parse_error said;
    char what[PARSE_MESSAGE_LEN + 128];
    const char *hint = "";

    if (failure->reason == SOURCE_NOT_FOUND || failure->reason == SOURCE_EXPIRED)
        return;
    if (event->err) {
        core_say(c->core, "API", &c->core->base_at, failure_word(event->err));
        return;
    }
    quote(c, &said);
    if (failure->reason == SOURCE_REFUSED)
        hint = CALL_REFUSED_HINT;
    if (failure->reason == SOURCE_FORBIDDEN)
        hint = c->core->token.line
                   ? " (the token needs to be valid and to have the right to read Actions)"
                   : " (there is no token: log in, for example with `gh auth login`)";
    snprintf(what, sizeof(what), "status %d%s%s%s", event->status, said.message[0] ? ": " : "",
             said.message, hint);
    core_say(c->core, "API", &c->core->base_at, what);
}

/*
 * Whether the question is given up before the deadline: it may be put in another way. Where others had
 * answers while this one had none, it is no fault of the host.
 */
static bool gives_up(struct call *c, const struct failure_event *event,
                     struct failure_verdict *verdict)
{
    bool is_silent = event->err == -ETIMEDOUT;

    if (c->tries == 1 && verdict->retry == RETRY_GARBAGE)
        return true;
    if (!c->tries || verdict->retry != RETRY_LATER ||
        c->retry.failed + 1 < (is_silent ? c->waits : c->tries))
        return false;
    if (is_silent && hosts_was_heard(&c->core->hosts, &c->core->base_at, c->retry.progress_ms))
        verdict->failure.reason = SOURCE_BROKEN;
    return true;
}

/* -- Refusals ---------------------------------------------------------------------------------- */

/* The answer's fingerprint. The kind is part of it: what log URLs are refused with proves nothing for
 * other questions. */
static uint64_t make_print(const struct call *c)
{
    struct refusals_print p = {.len = 0};

    refusals_print_add(&p, c->body.data, c->len);
    return refusals_print_finish(&p, c->kind == CALL_LOG ? "log" : "facts", c->status);
}

/* Logs the last answer, and ends the question as refused. */
static void end_refused(struct call *c, bool proven)
{
    struct refusals *rs = &c->core->refusals;
    int64_t now_ms = net_now_ms();
    int64_t until_ms = refusals_note(rs, c->key, c->retry.refusal, proven, now_ms);
    struct source_failure failure = failure_make(-EIO, SOURCE_REFUSED, until_ms);
    struct failure_event event = {
        .hop = FAILURE_API, .err = c->status ? 0 : -EIO, .status = c->status};

    complain(c, &event, &failure);
    fail(c, &failure);
}

/* The answer is a refusal. True: no retry is worth it, and the question has ended. */
static bool end_if_refused(struct call *c)
{
    int64_t now_ms = net_now_ms();
    bool asks = retry_after_ms(c) > 0;
    bool proven = retry_note_refusal(&c->retry, make_print(c), asks, now_ms);

    if (c->is_single) {
        fail_with(c, -EIO, SOURCE_BROKEN, now_ms);
        return true;
    }
    if (proven || refusals_expect(&c->core->refusals, c->key, c->retry.refusal, now_ms)) {
        end_refused(c, proven);
        return true;
    }
    if (c->queued.class == SOURCE_PREFETCH) { /* retries are for those who wait */
        fail_with(c, -EIO, SOURCE_LIMITED, now_ms);
        return true;
    }
    return false;
}

/* The answer is no refusal. */
static void forget_refusals(struct call *c)
{
    refusals_clear(&c->core->refusals, c->key);
    refusals_return_retries(&c->core->refusals, c->retries);
    c->retries = 0;
}

/* The next try. After a refusal all questions together may send only so many in a minute. */
static void try_again(struct net_timer *timer)
{
    struct call *c = list_entry(timer, struct call, timer);
    struct refusals *rs = &c->core->refusals;
    int64_t now_ms = net_now_ms();

    if (!c->retry.refusal || refusals_take_retry(rs, now_ms)) {
        c->retries += c->retry.refusal != 0;
        enter(c, true);
        return;
    }
    if (now_ms - c->retry.refused_ms >= REFUSALS_WAIT_MS ||
        refusals_expect(rs, c->key, c->retry.refusal, now_ms))
        end_refused(c, false);
    else
        net_timer_set(c->core->net, timer, now_ms + RETRY_AGAIN_MS);
}

/* Another try, or the end. */
static void trouble(struct call *c, const struct failure_event *event)
{
    struct core *core = c->core;
    int64_t now_ms = net_now_ms(), at_ms = -1;
    struct failure_verdict verdict;
    bool is_over;

    failure_judge(event, now_ms, &verdict);
    is_over = gives_up(c, event, &verdict);
    if (!is_over && verdict.is_refusal && end_if_refused(c))
        return;
    if (!is_over &&
        (verdict.retry != RETRY_CONNECT || !hosts_is_down(&core->hosts, &core->base_at, now_ms)))
        at_ms = retry_next(&c->retry, verdict.retry, now_ms, core->deadline_ms, retry_after_ms(c),
                           core_draw_chance(core));
    if (at_ms >= 0) {
        drop_body(c);
        c->state = CALL_RESTS;
        net_timer_set(core->net, &c->timer, at_ms);
        return;
    }
    /* Of a host that is silent for less than the deadline nothing is said to others. */
    if (verdict.failure.reason == SOURCE_UNREACHABLE &&
        (!is_over || now_ms - c->retry.progress_ms >= core->deadline_ms))
        hosts_note_failure(&core->hosts, &core->base_at, verdict.failure.err, c->retry.progress_ms,
                           now_ms);
    complain(c, event, &verdict.failure);
    fail(c, &verdict.failure);
}

static void trouble_with(struct call *c, int err)
{
    trouble(c, &(struct failure_event){.hop = FAILURE_API, .err = err});
}

/* The repository has moved: the same question at its new place, with the token. */
static void follow(struct call *c)
{
    const char *location = net_header(&c->request, "Location");
    char *url;
    int err;

    if (!location) {
        trouble_with(c, -EBADMSG);
        return;
    }
    err = ++c->moves > MOVES_MAX ? -EPROTO : redirect_resolve_move(c->core->base, location, &url);
    if (err < 0) {
        core_say(c->core, "API", &c->core->base_at, "redirects to where the token must not go");
        trouble_with(c, err);
        return;
    }
    free(c->url);
    c->url = url;
    enter(c, true);
}

static void token_told(struct token_waiter *w, bool renewed)
{
    struct call *c = list_entry(w, struct call, waiter);

    if (renewed) {
        c->has_new_token = true;
        enter(c, true);
        return;
    }
    trouble(c, &(struct failure_event){.hop = FAILURE_API, .status = 401});
}

/* Bad credentials. One more try, if there is another token by now or can be one. */
static void renew_token(struct call *c, const struct token_line *refused_line)
{
    bool is_other = refused_line != c->core->token.line;

    if (!c->has_new_token && is_other) {
        token_told(&c->waiter, true);
        return;
    }
    c->state = CALL_WANTS_TOKEN;
    if (c->has_new_token || !token_await(&c->core->token, &c->waiter))
        trouble(c, &(struct failure_event){.hop = FAILURE_API, .status = 401});
}

static bool is_move(const struct call *c, int status)
{
    return status == 301 || status == 307 || status == 308 ||
           (status == 302 && c->kind == CALL_FACTS);
}

static void succeed(struct call *c)
{
    struct call_answer answer = {.status = c->status, .body = c->body.data, .len = c->len};

    if (c->kind == CALL_LOG) {
        answer.location = net_header(&c->request, "Location");
        if (!answer.location) {
            trouble_with(c, -EBADMSG);
            return;
        }
    }
    if (answer.status == 304)
        atomic_fetch_add(&c->core->not_modified, 1);
    end(c, &answer);
}

static void judge(struct call *c, bool limited, const struct token_line *used)
{
    int status = c->status;

    if (status < 500)
        forget_refusals(c);
    if (c->kind == CALL_LOG ? status == 302 : status == 200 || (status == 304 && c->etag))
        succeed(c);
    else if (is_move(c, status))
        follow(c);
    else if (status == 401)
        renew_token(c, used);
    else if (limited && ++c->limits <= LIMITS_MAX)
        enter(c, true); /* the budget knows until when, and whether that is worth waiting for */
    else
        trouble(c,
                &(struct failure_event){.hop = FAILURE_API, .status = status, .limited = limited});
}

/* What is promised by status alone is good without its body: a redirect's is never read. */
static bool needs_body(const struct call *c)
{
    return c->status == 200;
}

static void answered(struct call *c, int err)
{
    struct queue *queue = &c->core->queue;
    const struct token_line *used = c->token;
    bool headed = c->status > 0, limited = false;

    c->state = CALL_IDLE;
    if (err == -ETIMEDOUT && net_was_heard(&c->request))
        hosts_note_answer(&c->core->hosts, &c->core->base_at, net_now_ms());
    if (headed)
        limited = learn(c, err == 0);
    else
        budget_lost(&queue->budget);
    token_line_unref(c->token);
    c->token = NULL;
    queue_free_connection(queue);
    if (c->is_cancelled) {
        c->is_cancelled = false;
        drop_body(c);
    } else if (err == 0 || (headed && err != -ECONNABORTED && !needs_body(c))) {
        judge(c, limited, used);
    } else {
        trouble_with(c, err);
    }
    queue_pump(queue);
}

/* -- For the askers ---------------------------------------------------------------------------- */

/* Takes it out of wherever it rests. True: a request is under way and is yet to end. */
static bool stop(struct call *c)
{
    enum call_state state = c->state;

    if (state == CALL_WAITS)
        queue_leave(&c->core->queue, &c->queued);
    else if (state == CALL_RESTS)
        net_timer_cancel(&c->timer);
    else if (state == CALL_WANTS_TOKEN)
        list_remove(&c->waiter.link);
    return state == CALL_SENT;
}

static void abort_call(struct core_errand *e)
{
    struct call *c = list_entry(e, struct call, errand);

    if (stop(c))
        net_cancel(&c->request, -ECONNABORTED);
    else
        fail_with(c, -ECONNABORTED, SOURCE_CLOSING, 0);
}

void call_init(struct call *c, struct core *core, enum call_kind kind, enum source_class class,
               void (*done)(struct call *c, const struct call_answer *answer))
{
    *c = (struct call){.core = core, .kind = kind, .done = done};
    c->queued.class = class;
    c->queued.go = go;
    c->queued.refused = refused;
    c->timer.fire = try_again;
    c->waiter.notify = token_told;
    c->errand.abort = abort_call;
}

/* "If-None-Match: ..." or NULL, also for what could end the header line. */
static char *etag_line(const char *etag)
{
    char *line;

    if (!etag || !etag[0])
        return NULL;
    for (const char *p = etag; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            return NULL;
    return asprintf(&line, "If-None-Match: %s", etag) < 0 ? NULL : line;
}

void call_begin(struct call *c, char *url, const char *etag)
{
    int64_t now_ms = net_now_ms();

    call_finish(c);
    c->url = url;
    c->etag = etag_line(etag);
    c->key = refusals_make_key(url);
    c->moves = c->limits = c->retries = 0;
    c->has_new_token = false;
    c->queued.since_ms = now_ms;
    retry_init(&c->retry, now_ms);
    list_push_back(&c->core->errands, &c->errand.link);
    enter(c, false);
}

void call_promote(struct call *c)
{
    queue_promote(&c->core->queue, &c->queued);
}

void call_cancel(struct call *c)
{
    bool is_sent = stop(c);

    list_remove(&c->errand.link);
    c->state = CALL_IDLE;
    if (is_sent) {
        c->is_cancelled = true;
        net_cancel(&c->request, -ECANCELED);
    }
}

void call_finish(struct call *c)
{
    free(c->url);
    free(c->etag);
    c->url = c->etag = NULL;
    drop_body(c);
}
