#include "github/request.h"

#include "github/failure.h"
#include "github/parse.h"
#include "github/parse_headers.h"
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

static void enter(struct api_request *req, bool again);
static void answered(struct api_request *req, int err);

/* The body goes when `done` has read it, unless that keeps it: the call itself may be gone by then. */
static void end(struct api_request *req, const struct api_answer *answer)
{
    struct body_pool *bodies = &req->core->bodies;
    struct source_body body = req->body;
    struct api_answer told = *answer;

    told.held = &body;
    req->body = (struct source_body){0};
    req->len = req->cap = 0;
    req->state = REQUEST_IDLE;
    list_remove(&req->in_flight.link);
    req->done(req, &told);
    body_release(bodies, &body);
}

static void fail(struct api_request *req, const struct source_failure *failure)
{
    end(req, &(struct api_answer){.failure = failure});
}

static void fail_with(struct api_request *req, int err, enum source_reason reason, int64_t until_ms)
{
    struct source_failure failure = failure_make(err, reason, until_ms);

    fail(req, &failure);
}

/* -- The request ------------------------------------------------------------------------------- */

static int on_head(struct net_request *r, int status)
{
    struct api_request *req = list_entry(r, struct api_request, request);

    req->status = status;
    req->len = 0;
    req->core->peer_private = net_peer_is_private(r);
    hosts_note_answer(&req->core->hosts, &req->core->base_at, net_now_ms());
    return 0;
}

/* What is kept of the answers so far is of no more use. */
static void drop_body(struct api_request *req)
{
    body_release(&req->core->bodies, &req->body);
    req->len = req->cap = 0;
}

/* Space for `len` more bytes and a NUL. */
static int grow_body(struct api_request *req, size_t len)
{
    size_t cap = req->cap ? req->cap : BODY_START;
    char *data;

    if (req->len + len < req->cap)
        return NET_TAKEN;
    while (cap < req->len + len + 1)
        cap *= 2;
    if (cap > (size_t)PARSE_BODY_MAX + 1)
        cap = (size_t)PARSE_BODY_MAX + 1;
    if (!body_reserve(&req->core->bodies, &req->body, cap - req->cap))
        return NET_PAUSE;
    data = realloc(req->body.data, cap);
    if (!data)
        return -ENOMEM; /* what was reserved goes with the rest */
    req->body.data = data;
    req->cap = cap;
    return NET_TAKEN;
}

static int on_body(struct net_request *r, const void *data, size_t len)
{
    struct api_request *req = list_entry(r, struct api_request, request);
    int rc;

    if (req->status != 200 && req->len + len > ERROR_BODY_MAX)
        return NET_TAKEN;
    rc = grow_body(req, len);
    if (rc != NET_TAKEN)
        return rc;
    memcpy(req->body.data + req->len, data, len);
    req->len += len;
    req->body.data[req->len] = 0;
    return NET_TAKEN; /* no progress to go on from: what is cut is asked for from its start */
}

static void on_done(struct net_request *r, int err)
{
    answered(list_entry(r, struct api_request, request), err);
}

static void fill_headers(struct api_request *req)
{
    size_t n = 0;

    req->headers[n++] = "Accept: application/vnd.github+json";
    req->headers[n++] = "X-GitHub-Api-Version: 2022-11-28";
    if (req->token)
        req->headers[n++] = req->token->text;
    if (req->etag)
        req->headers[n++] = req->etag;
    req->headers[n] = NULL;
}

/* It is this call's turn: the budget has counted it and a connection is taken. */
static void go(struct turn *t)
{
    struct api_request *req = list_entry(t, struct api_request, turn);
    struct core *core = req->core;
    int64_t until_ms = 0;
    int err = hosts_ask(&core->hosts, &core->base_at, net_now_ms(), &until_ms);

    if (err < 0) {
        turns_unsent(&core->turns, t);
        fail_with(req, err, SOURCE_UNREACHABLE, until_ms);
        return;
    }
    req->status = 0;
    req->token = token_line_ref(core->token.line);
    fill_headers(req);
    req->request = (struct net_request){
        .url = req->url,
        .headers = req->headers,
        .body_max = req->kind == REQUEST_LOG_URL ? REDIRECT_BODY_MAX : PARSE_BODY_MAX,
        .on_head = on_head,
        .on_body = on_body,
        .on_done = on_done,
    };
    req->state = REQUEST_SENT;
    atomic_fetch_add(&core->requests, 1);
    net_send(core->net, &req->request);
}

static void refused(struct turn *t, int64_t until_ms)
{
    struct api_request *req = list_entry(t, struct api_request, turn);

    if (t->class == SOURCE_DEMAND)
        core_say_limited(req->core, until_ms);
    fail_with(req, -EDQUOT, SOURCE_LIMITED, until_ms);
}

static void enter(struct api_request *req, bool again)
{
    struct source_failure failure;
    int64_t until_ms;

    drop_body(req); /* while it waits */
    if (core_refuses(req->core, &failure)) {
        fail(req, &failure);
        return;
    }
    if (!again && refusals_find(&req->core->refusals, req->key, net_now_ms(), &until_ms)) {
        fail_with(req, -EIO, SOURCE_REFUSED, until_ms);
        return;
    }
    req->state = REQUEST_WAITS;
    if (turns_enter(&req->core->turns, &req->turn, again) < 0)
        fail_with(req, -ENOMEM, SOURCE_BROKEN, net_now_ms());
}

/* -- What the answer means --------------------------------------------------------------------- */

/* The budget learns from every answer, errors too. */
static bool learn(struct api_request *req, bool is_whole)
{
    const struct net_request *r = &req->request;
    struct budget *budget = &req->core->turns.budget;
    int64_t now_ms = net_now_ms(), wall_s = net_wall_s();
    struct parse_error said = {.message = ""};
    struct budget_answer a = {
        .status = req->status,
        .limit = parse_count(net_header(r, "X-RateLimit-Limit")),
        .remaining = parse_count(net_header(r, "X-RateLimit-Remaining")),
        .reset_s = parse_count(net_header(r, "X-RateLimit-Reset")),
        .retry_after_s = -1,
        .date_s = -1,
    };
    bool limited;

    parse_retry_after(net_header(r, "Retry-After"), wall_s, &a.retry_after_s);
    parse_http_date(net_header(r, "Date"), wall_s, &a.date_s);
    if (is_whole && (req->status == 403 || req->status == 429)) {
        parse_error_message(req->body.data, req->len, &said);
        a.message = said.message;
    }
    limited = budget_learn(budget, &a, now_ms, wall_s) != BUDGET_NO_LIMIT;
    if (a.limit >= 0) {
        atomic_store(&req->core->limit, a.limit);
        atomic_store(&req->core->reset_s, a.reset_s);
        atomic_store(&req->core->remaining, budget_remaining(budget, now_ms));
    }
    return limited;
}

static int64_t retry_after_ms(const struct api_request *req)
{
    int64_t after_s = 0;

    if (req->status >= 500)
        parse_retry_after(net_header(&req->request, "Retry-After"), net_wall_s(), &after_s);
    return after_s * 1000;
}

/* The server's own words, but for those that say the token back (R7). */
static void quote(const struct api_request *req, struct parse_error *ret_said)
{
    const struct token_line *line = req->core->token.line;
    const char *body = req->body.data ? req->body.data : "";

    parse_error_message(body, req->len, ret_said);
    if (token_is_in(line, body, req->len) ||
        token_is_in(line, ret_said->message, strlen(ret_said->message)))
        ret_said->message[0] = '\0';
}

/* Says what the errno cannot. */
static void complain(struct api_request *req, const struct failure_event *event,
                     const struct source_failure *failure)
{
    struct parse_error said;
    char what[PARSE_MESSAGE_LEN + 128];
    const char *hint = "";

    if (failure->reason == SOURCE_NOT_FOUND || failure->reason == SOURCE_EXPIRED)
        return;
    if (event->err) {
        core_say(req->core, "API", &req->core->base_at, failure_word(event->err));
        return;
    }
    quote(req, &said);
    if (failure->reason == SOURCE_REFUSED)
        hint = REFUSED_HINT;
    if (failure->reason == SOURCE_FORBIDDEN)
        hint = req->core->token.line
                   ? " (the token needs to be valid and to have the right to read Actions)"
                   : " (there is no token: log in, for example with `gh auth login`)";
    snprintf(what, sizeof(what), "status %d%s%s%s", event->status, said.message[0] ? ": " : "",
             said.message, hint);
    core_say(req->core, "API", &req->core->base_at, what);
}

/*
 * Whether the question is given up before the deadline: it may be put in another way. Where others had
 * answers while this one had none, it is no fault of the host.
 */
static bool gives_up(struct api_request *req, const struct failure_event *event,
                     struct failure_verdict *verdict)
{
    bool is_silent = event->err == -ETIMEDOUT;

    if (req->tries == 1 && verdict->retry == RETRY_GARBAGE)
        return true;
    if (!req->tries || verdict->retry != RETRY_LATER ||
        req->retry.failed + 1 < (is_silent ? req->waits : req->tries))
        return false;
    if (is_silent &&
        hosts_was_heard(&req->core->hosts, &req->core->base_at, req->retry.progress_ms))
        verdict->failure.reason = SOURCE_BROKEN;
    return true;
}

/* -- Refusals ---------------------------------------------------------------------------------- */

/* The answer's fingerprint. The kind is part of it: what log URLs are refused with proves nothing for
 * other questions. */
static uint64_t make_print(const struct api_request *req)
{
    struct refusals_print p = {.len = 0};

    refusals_print_add(&p, req->body.data, req->len);
    return refusals_print_finish(&p, req->kind == REQUEST_LOG_URL ? "log" : "facts", req->status);
}

/* Logs the last answer, and ends the question as refused. */
static void end_refused(struct api_request *req, bool proven)
{
    struct refusals *rs = &req->core->refusals;
    int64_t now_ms = net_now_ms();
    int64_t until_ms = refusals_note(rs, req->key, req->retry.refusal, proven, now_ms);
    struct source_failure failure = failure_make(-EIO, SOURCE_REFUSED, until_ms);
    struct failure_event event = {
        .hop = FAILURE_API, .err = req->status ? 0 : -EIO, .status = req->status};

    complain(req, &event, &failure);
    fail(req, &failure);
}

/* The answer is a refusal. True: no retry is worth it, and the question has ended. */
static bool end_if_refused(struct api_request *req)
{
    int64_t now_ms = net_now_ms();
    bool asks = retry_after_ms(req) > 0;
    bool proven = retry_note_refusal(&req->retry, make_print(req), asks, now_ms);

    if (req->is_single) {
        fail_with(req, -EIO, SOURCE_BROKEN, now_ms);
        return true;
    }
    if (proven || refusals_expect(&req->core->refusals, req->key, req->retry.refusal, now_ms)) {
        end_refused(req, proven);
        return true;
    }
    if (req->turn.class == SOURCE_PREFETCH) { /* retries are for those who wait */
        fail_with(req, -EIO, SOURCE_LIMITED, now_ms);
        return true;
    }
    return false;
}

/* The answer is no refusal. */
static void forget_refusals(struct api_request *req)
{
    refusals_clear(&req->core->refusals, req->key);
    refusals_return_retries(&req->core->refusals, req->retries);
    req->retries = 0;
}

/* The next try. After a refusal all questions together may send only so many in a minute. */
static void try_again(struct net_timer *timer)
{
    struct api_request *req = list_entry(timer, struct api_request, timer);
    struct refusals *rs = &req->core->refusals;
    int64_t now_ms = net_now_ms();

    if (!req->retry.refusal || refusals_take_retry(rs, now_ms)) {
        req->retries += req->retry.refusal != 0;
        enter(req, true);
        return;
    }
    if (now_ms - req->retry.refused_ms >= REFUSALS_WAIT_MS ||
        refusals_expect(rs, req->key, req->retry.refusal, now_ms))
        end_refused(req, false);
    else
        net_timer_set(req->core->net, timer, now_ms + RETRY_AGAIN_MS);
}

/* Another try, or the end. */
static void trouble(struct api_request *req, const struct failure_event *event)
{
    struct core *core = req->core;
    int64_t now_ms = net_now_ms(), at_ms = -1;
    struct failure_verdict verdict;
    bool is_over;

    failure_judge(event, now_ms, &verdict);
    is_over = gives_up(req, event, &verdict);
    if (!is_over && verdict.is_refusal && end_if_refused(req))
        return;
    if (!is_over &&
        (verdict.retry != RETRY_CONNECT || !hosts_is_down(&core->hosts, &core->base_at, now_ms)))
        at_ms = retry_next(&req->retry, verdict.retry, now_ms, core->deadline_ms,
                           retry_after_ms(req), core_draw_chance(core));
    if (at_ms >= 0) {
        drop_body(req);
        req->state = REQUEST_RESTS;
        net_timer_set(core->net, &req->timer, at_ms);
        return;
    }
    /* Of a host that is silent for less than the deadline nothing is said to others. */
    if (verdict.failure.reason == SOURCE_UNREACHABLE &&
        (!is_over || now_ms - req->retry.progress_ms >= core->deadline_ms))
        hosts_note_failure(&core->hosts, &core->base_at, verdict.failure.err,
                           req->retry.progress_ms, now_ms);
    complain(req, event, &verdict.failure);
    fail(req, &verdict.failure);
}

static void trouble_with(struct api_request *req, int err)
{
    trouble(req, &(struct failure_event){.hop = FAILURE_API, .err = err});
}

/* The repository has moved: the same question at its new place, with the token. */
static void follow(struct api_request *req)
{
    const char *location = net_header(&req->request, "Location");
    char *url;
    int err;

    if (!location) {
        trouble_with(req, -EBADMSG);
        return;
    }
    err = ++req->moves > MOVES_MAX ? -EPROTO
                                   : redirect_resolve_move(req->core->base, location, &url);
    if (err < 0) {
        core_say(req->core, "API", &req->core->base_at, "redirects to where the token must not go");
        trouble_with(req, err);
        return;
    }
    free(req->url);
    req->url = url;
    enter(req, true);
}

static void token_told(struct token_waiter *w, bool renewed)
{
    struct api_request *req = list_entry(w, struct api_request, waiter);

    if (renewed) {
        req->has_new_token = true;
        enter(req, true);
        return;
    }
    trouble(req, &(struct failure_event){.hop = FAILURE_API, .status = 401});
}

/* Bad credentials. One more try, if there is another token by now or can be one. */
static void renew_token(struct api_request *req, const struct token_line *refused_line)
{
    bool is_other = refused_line != req->core->token.line;

    if (!req->has_new_token && is_other) {
        token_told(&req->waiter, true);
        return;
    }
    req->state = REQUEST_WANTS_TOKEN;
    if (req->has_new_token || !token_await(&req->core->token, &req->waiter))
        trouble(req, &(struct failure_event){.hop = FAILURE_API, .status = 401});
}

static bool is_move(const struct api_request *req, int status)
{
    return status == 301 || status == 307 || status == 308 ||
           (status == 302 && req->kind == REQUEST_FACTS);
}

static void succeed(struct api_request *req)
{
    struct api_answer answer = {.status = req->status, .body = req->body.data, .len = req->len};

    if (req->kind == REQUEST_LOG_URL) {
        answer.location = net_header(&req->request, "Location");
        if (!answer.location) {
            trouble_with(req, -EBADMSG);
            return;
        }
    }
    if (answer.status == 304)
        atomic_fetch_add(&req->core->not_modified, 1);
    end(req, &answer);
}

static void judge(struct api_request *req, bool limited, const struct token_line *used)
{
    int status = req->status;

    if (status < 500)
        forget_refusals(req);
    if (req->kind == REQUEST_LOG_URL ? status == 302
                                     : status == 200 || (status == 304 && req->etag))
        succeed(req);
    else if (is_move(req, status))
        follow(req);
    else if (status == 401)
        renew_token(req, used);
    else if (limited && ++req->limits <= LIMITS_MAX)
        enter(req, true); /* the budget knows until when, and whether that is worth waiting for */
    else
        trouble(req,
                &(struct failure_event){.hop = FAILURE_API, .status = status, .limited = limited});
}

/* What is promised by status alone is good without its body: a redirect's is never read. */
static bool needs_body(const struct api_request *req)
{
    return req->status == 200;
}

static void answered(struct api_request *req, int err)
{
    struct turns *turns = &req->core->turns;
    const struct token_line *used = req->token;
    bool headed = req->status > 0, limited = false;

    req->state = REQUEST_IDLE;
    if (err == -ETIMEDOUT && net_was_heard(&req->request))
        hosts_note_answer(&req->core->hosts, &req->core->base_at, net_now_ms());
    if (headed)
        limited = learn(req, err == 0);
    else
        budget_lost(&turns->budget);
    token_line_unref(req->token);
    req->token = NULL;
    turns_free_connection(turns);
    if (req->is_cancelled) {
        req->is_cancelled = false;
        drop_body(req);
    } else if (err == 0 || (headed && err != -ECONNABORTED && !needs_body(req))) {
        judge(req, limited, used);
    } else {
        trouble_with(req, err);
    }
    turns_pump(turns);
}

/* -- For the askers ---------------------------------------------------------------------------- */

/* Takes it out of wherever it rests. True: a request is under way and is yet to end. */
static bool stop(struct api_request *req)
{
    enum api_request_state state = req->state;

    if (state == REQUEST_WAITS)
        turns_leave(&req->core->turns, &req->turn);
    else if (state == REQUEST_RESTS)
        net_timer_cancel(&req->timer);
    else if (state == REQUEST_WANTS_TOKEN)
        list_remove(&req->waiter.link);
    return state == REQUEST_SENT;
}

static void abort_request(struct in_flight *e)
{
    struct api_request *req = list_entry(e, struct api_request, in_flight);

    if (stop(req))
        net_cancel(&req->request, -ECONNABORTED);
    else
        fail_with(req, -ECONNABORTED, SOURCE_CLOSING, 0);
}

void api_request_init(struct api_request *req, struct core *core, enum api_request_kind kind,
                      enum source_class class,
                      void (*done)(struct api_request *req, const struct api_answer *answer))
{
    *req = (struct api_request){.core = core, .kind = kind, .done = done};
    req->turn.class = class;
    req->turn.go = go;
    req->turn.refused = refused;
    req->timer.fire = try_again;
    req->waiter.told = token_told;
    req->in_flight.abort = abort_request;
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

void api_request_begin(struct api_request *req, char *url, const char *etag)
{
    int64_t now_ms = net_now_ms();

    api_request_finish(req);
    req->url = url;
    req->etag = etag_line(etag);
    req->key = refusals_make_key(url);
    req->moves = req->limits = req->retries = 0;
    req->has_new_token = false;
    req->turn.since_ms = now_ms;
    retry_init(&req->retry, now_ms);
    list_push_back(&req->core->in_flight, &req->in_flight.link);
    enter(req, false);
}

void api_request_promote(struct api_request *req)
{
    turns_promote(&req->core->turns, &req->turn);
}

void api_request_cancel(struct api_request *req)
{
    bool is_sent = stop(req);

    list_remove(&req->in_flight.link);
    req->state = REQUEST_IDLE;
    if (is_sent) {
        req->is_cancelled = true;
        net_cancel(&req->request, -ECANCELED);
    }
}

void api_request_finish(struct api_request *req)
{
    free(req->url);
    free(req->etag);
    req->url = req->etag = NULL;
    drop_body(req);
}
