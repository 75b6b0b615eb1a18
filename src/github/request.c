#include "github/request.h"

#include "github/advice.h"
#include "github/headers.h"
#include "github/parse.h"
#include "github/redirect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define MOVES_MAX 3
#define LIMITS_MAX 10
#define REDIRECT_BODY_MAX 65536
#define BODY_START 16384
#define ERROR_BODY_MAX 65536 /* of a body that is no answer no more is kept */
#define RETRY_AGAIN_MS 500   /* whether a retry may be sent by now is checked so often */

/* -- Bodies ------------------------------------------------------------------------------------ */

static bool try_reserve(struct core *core, struct source_body *body, size_t bytes)
{
    if (body->beyond)
        return true;
    if (atomic_fetch_add(&core->body_bytes, bytes) + bytes <= BODY_BYTES_MAX) {
        body->bytes += bytes;
        return true;
    }
    atomic_fetch_sub(&core->body_bytes, bytes);
    body->beyond = !atomic_exchange(&core->has_body_beyond, true);
    return body->beyond;
}

static void give_back(struct core *core, size_t bytes)
{
    if (bytes)
        atomic_fetch_sub(&core->body_bytes, bytes);
    if (atomic_exchange(&core->is_body_paused, false))
        net_resume(core->net);
}

void api_body_release(struct core *core, struct source_body *body)
{
    free(body->data);
    if (body->beyond)
        atomic_store(&core->has_body_beyond, false);
    if (body->bytes || body->beyond)
        give_back(core, body->bytes);
    *body = (struct source_body){0};
}

void api_answer_take_body(struct core *core, const struct api_answer *answer,
                          struct source_body *ret_body)
{
    size_t bytes = answer->len + 1;
    char *data;

    *ret_body = *answer->held;
    *answer->held = (struct source_body){0};
    if (!ret_body->data)
        return;
    data = realloc(ret_body->data, bytes);
    if (data)
        ret_body->data = data;
    if (ret_body->bytes > bytes) {
        give_back(core, ret_body->bytes - bytes);
        ret_body->bytes = bytes;
    }
}

/* Space for `len` more bytes and a NUL. */
static int grow_body(struct api_request *req, size_t len)
{
    struct core *core = req->attempt.core;
    size_t cap = req->cap ? req->cap : BODY_START;
    char *data;

    if (req->len + len < req->cap)
        return NET_TAKEN;
    while (cap < req->len + len + 1)
        cap *= 2;
    if (cap > (size_t)PARSE_BODY_MAX + 1)
        cap = (size_t)PARSE_BODY_MAX + 1;
    if (!try_reserve(core, &req->body, cap - req->cap)) {
        /* Tried once more after is_body_paused is set: the thread that gives space back checks it
         * later. */
        atomic_store(&core->is_body_paused, true);
        if (!try_reserve(core, &req->body, cap - req->cap))
            return NET_PAUSE;
    }
    data = realloc(req->body.data, cap);
    if (!data)
        return -ENOMEM; /* what was reserved is given back with the rest */
    req->body.data = data;
    req->cap = cap;
    return NET_TAKEN;
}

static void drop_body(struct api_request *req)
{
    api_body_release(req->attempt.core, &req->body);
    req->len = req->cap = 0;
}

/* -- Its end ----------------------------------------------------------------------------------- */

/* The body is freed when `done` has read it, unless that keeps it; the request itself may be gone
 * by then. */
static void end(struct api_request *req, const struct api_answer *answer)
{
    struct core *core = req->attempt.core;
    struct source_body body = req->body;
    struct api_answer given = *answer;

    given.held = &body;
    req->body = (struct source_body){0};
    req->len = req->cap = 0;
    queue_leave(&core->queue, &req->queued);
    list_remove(&req->waiter.link);
    attempt_end(&req->attempt);
    req->done(req, &given);
    api_body_release(core, &body);
}

static void fail(struct attempt *a, const struct source_failure *failure)
{
    end(list_entry(a, struct api_request, attempt), &(struct api_answer){.failure = failure});
}

static void fail_with(struct api_request *req, int err, enum source_reason reason, int64_t until_ms)
{
    struct source_failure failure = failure_make(err, reason, until_ms);

    fail(&req->attempt, &failure);
}

/* -- One attempt ------------------------------------------------------------------------------- */

static int on_head(struct net_request *r, int status)
{
    struct api_request *req = list_entry(r, struct api_request, attempt.request);

    req->len = 0;
    req->attempt.core->peer_private = net_peer_is_private(r);
    attempt_note_answer(&req->attempt, status);
    return 0;
}

static int on_body(struct net_request *r, const void *data, size_t len)
{
    struct api_request *req = list_entry(r, struct api_request, attempt.request);
    int rc;

    if (req->attempt.status != 200 && req->len + len > ERROR_BODY_MAX)
        return NET_TAKEN;
    rc = grow_body(req, len);
    if (rc != NET_TAKEN)
        return rc;
    memcpy(req->body.data + req->len, data, len);
    req->len += len;
    req->body.data[req->len] = 0;
    return NET_TAKEN; /* no progress to continue from: what is cut is asked for from its start */
}

static void note_queued(struct api_request *req)
{
    bool is_demand = req->queued.class == SOURCE_DEMAND;

    progress_wait_note(req->attempt.waits_for, is_demand ? PROGRESS_DEMAND : PROGRESS_PREFETCH, 0);
}

/* It may be sent: the budget has counted it and a connection is taken. */
static void go(struct queued_request *q)
{
    struct api_request *req = list_entry(q, struct api_request, queued);
    struct core *core = req->attempt.core;
    int64_t until_ms = 0;
    int err = hosts_ask(&core->hosts, &core->base_at, net_now_ms(), &until_ms);
    size_t n = 0;

    if (err < 0) {
        queue_unsent(&core->queue, q);
        fail_with(req, err, SOURCE_UNREACHABLE, until_ms);
        return;
    }
    req->token = token_line_ref(core->token.line);
    req->headers[n++] = "Accept: application/vnd.github+json";
    req->headers[n++] = "X-GitHub-Api-Version: 2022-11-28";
    if (req->token)
        req->headers[n++] = req->token->text;
    if (req->etag)
        req->headers[n++] = req->etag;
    req->headers[n] = NULL;
    atomic_fetch_add(&core->requests, 1);
    progress_wait_note(req->attempt.waits_for, PROGRESS_GITHUB, 0);
    attempt_send(&req->attempt, &core->base_at,
                 &(struct net_request){
                     .url = req->url,
                     .headers = req->headers,
                     .body_max = req->kind == REQUEST_LOG_URL ? REDIRECT_BODY_MAX : PARSE_BODY_MAX,
                     .is_open = true,
                     .on_head = on_head,
                     .on_body = on_body,
                 });
}

/* It would have to wait too long in the queue. */
static void refused(struct queued_request *q, int64_t until_ms)
{
    struct api_request *req = list_entry(q, struct api_request, queued);
    struct core *core = req->attempt.core;
    time_t at = (time_t)(net_wall_s() + (until_ms - net_now_ms() + 59999) / 60000 * 60);
    char what[96];
    struct tm tm;

    if (q->class == SOURCE_DEMAND) {
        gmtime_r(&at, &tm);
        snprintf(what, sizeof(what), "request quota used up, it returns by %02d:%02d UTC%s",
                 tm.tm_hour, tm.tm_min,
                 core->token.line ? "" : " (there is no token: 60 requests an hour)");
        core_log(core, DIAG_WARNING, FAILURE_API, &core->base_at, what);
    }
    fail_with(req, -EDQUOT, SOURCE_LIMITED, until_ms);
}

static void enter(struct api_request *req, bool again)
{
    struct core *core = req->attempt.core;
    struct source_failure failure;
    int64_t until_ms;

    drop_body(req); /* while it waits */
    note_queued(req);
    if (core_refuses(core, &failure))
        fail(&req->attempt, &failure);
    else if (!again && refusals_find(&core->refusals, req->key, net_now_ms(), &until_ms))
        fail_with(req, -EIO, SOURCE_REFUSED, until_ms);
    else if (queue_enter(&core->queue, &req->queued, again) < 0)
        fail_with(req, -ENOMEM, SOURCE_BROKEN, net_now_ms());
}

/* -- Failures ---------------------------------------------------------------------------------- */

/* What to do about a refusal; "": nothing is known, or it would repeat the token (R7). The headers
 * of a 401 are gone where another token was waited for. */
static void advise(const struct api_request *req, int status, char advice[ADVICE_CAP])
{
    const struct net_request *r = &req->attempt.request;
    const struct token_line *line = req->attempt.core->token.line;
    struct advice_denial denial = {.status = status, .has_token = line != NULL};

    if (status != 401) {
        denial.scopes = net_header(r, "X-OAuth-Scopes");
        denial.accepted = net_header(r, "X-Accepted-OAuth-Scopes");
        denial.permissions = net_header(r, "X-Accepted-GitHub-Permissions");
        denial.sso = net_header(r, "X-GitHub-SSO");
    }
    advice_on_denial(&denial, advice);
    if (token_is_in(line, advice, strlen(advice)))
        advice[0] = '\0';
}

/* Logs what the errno cannot tell. */
static void log_failure(struct api_request *req, const struct failure_event *event,
                        const struct source_failure *failure)
{
    struct core *core = req->attempt.core;
    const struct token_line *line = core->token.line;
    const char *body = req->body.data ? req->body.data : "";
    char what[PARSE_MESSAGE_LEN + ADVICE_CAP + 128], advice[ADVICE_CAP] = "";
    struct parse_error said;

    if (event->err) {
        core_log_error(core, FAILURE_API, &core->base_at, req->attempt.cause, event->err);
        return;
    }
    if (failure->reason == SOURCE_FORBIDDEN || failure->reason == SOURCE_NOT_FOUND)
        advise(req, event->status, advice);
    if (failure->reason == SOURCE_EXPIRED || (failure->reason == SOURCE_NOT_FOUND && !advice[0]))
        return;
    /* The server's own message, unless it repeats the token (R7). */
    parse_error_message(body, req->len, &said);
    if (token_is_in(line, body, req->len) || token_is_in(line, said.message, strlen(said.message)))
        said.message[0] = '\0';
    snprintf(what, sizeof(what), "status %d%s%s%s%s%s%s", event->status,
             said.message[0] ? ": " : "", said.message, advice[0] ? " (" : "", advice,
             advice[0] ? ")" : "", failure->reason == SOURCE_REFUSED ? REFUSED_HINT : "");
    core_log(core, core_get_level(event, failure), FAILURE_API, &core->base_at, what);
}

/* The answer is a refusal: where no retry is worth it, the verdict is final. */
static void judge_refusal(struct api_request *req, struct failure_verdict *verdict)
{
    /* How log URLs are refused does not count as evidence for other questions. */
    const char *kind = req->kind == REQUEST_LOG_URL ? "log" : "facts";
    struct refusals_print print = {.len = 0};
    uint64_t answer;

    refusals_print_add(&print, req->body.data, req->len);
    answer = refusals_print_finish(&print, kind, req->attempt.status);
    if (req->is_single) {
        verdict->failure = failure_make(-EIO, SOURCE_BROKEN, net_now_ms());
        verdict->retry = RETRY_NOT;
    } else {
        attempt_judge_refusal(&req->attempt, req->key, answer, true, req->queued.class, verdict);
    }
}

/* The next attempt. After a refusal all requests together may send only so many in a minute. */
static void try_again(struct net_timer *timer)
{
    struct api_request *req = list_entry(timer, struct api_request, attempt.timer);
    struct core *core = req->attempt.core;
    const struct retry *retry = &req->attempt.retry;
    int64_t now_ms = net_now_ms();

    if (!retry->refusal || refusals_take_retry(&core->refusals, now_ms)) {
        req->retries += retry->refusal != 0;
        enter(req, true);
    } else if (now_ms - retry->refused_ms >= REFUSALS_WAIT_MS ||
               refusals_expect(&core->refusals, req->key, retry->refusal, now_ms)) {
        struct failure_event event = {.hop = FAILURE_API, .status = req->attempt.status};
        int64_t until_ms = refusals_note(&core->refusals, req->key, retry->refusal, false, now_ms);
        struct source_failure failure = failure_make(-EIO, SOURCE_REFUSED, until_ms);
        event.err = event.status ? 0 : -EIO;
        log_failure(req, &event, &failure);
        fail(&req->attempt, &failure);
    } else {
        progress_wait_note(req->attempt.waits_for, PROGRESS_RETRY, now_ms + RETRY_AGAIN_MS);
        net_timer_set(core->net, timer, now_ms + RETRY_AGAIN_MS);
    }
}

/*
 * Whether it is given up before the deadline: it may be asked in another way. Where others had
 * answers while this one had none, the host is not to blame.
 */
static bool gives_up(struct api_request *req, const struct failure_event *event,
                     struct failure_verdict *verdict)
{
    struct core *core = req->attempt.core;
    const struct retry *retry = &req->attempt.retry;
    bool is_silent = event->err == -ETIMEDOUT;

    if (req->tries == 1 && verdict->retry == RETRY_GARBAGE)
        return true;
    if (!req->tries || verdict->retry != RETRY_LATER ||
        retry->failed + 1 < (is_silent ? req->waits : req->tries))
        return false;
    if (is_silent && hosts_was_heard(&core->hosts, &core->base_at, retry->progress_ms))
        verdict->failure.reason = SOURCE_BROKEN;
    return true;
}

/* Another attempt, or the end. err: how the attempt failed; 0: see the status. */
static void handle_failure(struct api_request *req, int err, bool limited)
{
    struct attempt *a = &req->attempt;
    struct failure_event event = {
        .hop = FAILURE_API, .err = err, .status = a->status, .limited = limited};
    int64_t now_ms = net_now_ms();
    struct failure_verdict verdict;
    bool is_quiet = false; /* no reader waits for it, or its owner knows already */

    failure_judge(&event, now_ms, &verdict);
    if (gives_up(req, &event, &verdict)) {
        /* Other requests learn only of a host that was silent up to the deadline. */
        if (now_ms - a->retry.progress_ms >= a->core->deadline_ms)
            attempt_give_up(a, &verdict);
    } else {
        if (verdict.is_refusal)
            judge_refusal(req, &verdict);
        if (attempt_retry(a, &verdict)) {
            drop_body(req);
            return;
        }
        is_quiet = verdict.is_refusal &&
                   (req->is_single || verdict.failure.reason == SOURCE_LIMITED);
    }
    if (!is_quiet)
        log_failure(req, &event, &verdict.failure);
    fail(a, &verdict.failure);
}

/* -- What the answer means --------------------------------------------------------------------- */

/* The budget learns from every answer, errors too. True: it was a limit. */
static bool learn(struct api_request *req, bool is_whole)
{
    const struct net_request *r = &req->attempt.request;
    struct core *core = req->attempt.core;
    int status = req->attempt.status;
    int64_t now_ms = net_now_ms(), wall_s = net_wall_s();
    struct parse_error said = {.message = ""};
    struct budget_answer a = {
        .status = status,
        .limit = parse_count(net_header(r, "X-RateLimit-Limit")),
        .remaining = parse_count(net_header(r, "X-RateLimit-Remaining")),
        .reset_s = parse_count(net_header(r, "X-RateLimit-Reset")),
        .retry_after_s = -1,
        .date_s = -1,
    };
    bool limited;

    parse_retry_after(net_header(r, "Retry-After"), wall_s, &a.retry_after_s);
    parse_http_date(net_header(r, "Date"), wall_s, &a.date_s);
    if (is_whole && (status == 403 || status == 429)) {
        parse_error_message(req->body.data, req->len, &said);
        a.message = said.message;
    }
    limited = budget_learn(&core->queue.budget, &a, now_ms, wall_s) != BUDGET_NO_LIMIT;
    if (a.limit >= 0) {
        atomic_store(&core->limit, a.limit);
        atomic_store(&core->reset_s, a.reset_s);
        atomic_store(&core->remaining, budget_remaining(&core->queue.budget, now_ms));
    }
    return limited;
}

/* The repository has moved: the same question at its new place, with the token. */
static void follow(struct api_request *req, const char *location)
{
    struct core *core = req->attempt.core;
    int err = location ? -EPROTO : -EBADMSG;
    char *url;

    if (location && ++req->moves <= MOVES_MAX)
        err = redirect_resolve_move(core->base, location, &url);
    if (err < 0) {
        if (location)
            core_log(core, DIAG_WARNING, FAILURE_API, &core->base_at,
                     "redirect to another server: not followed, it must not get the token");
        handle_failure(req, err, false);
        return;
    }
    free(req->url);
    req->url = url;
    enter(req, true);
}

static void on_token(struct token_waiter *w, bool renewed)
{
    struct api_request *req = list_entry(w, struct api_request, waiter);

    if (renewed) {
        req->has_new_token = true;
        enter(req, true);
    } else {
        handle_failure(req, 0, false);
    }
}

/* Bad credentials. One more attempt, if there is another token by now or can be one. */
static void renew_token(struct api_request *req, const struct token_line *refused_line)
{
    struct token *token = &req->attempt.core->token;

    progress_wait_note(req->attempt.waits_for, PROGRESS_TOKEN, 0);
    if (!req->has_new_token && refused_line != token->line)
        on_token(&req->waiter, true);
    else if (req->has_new_token || !token_await(token, &req->waiter))
        handle_failure(req, 0, false);
}

/* Of answers that are no failure, or not only one. GitHub answers in JSON, but for redirects and
 * the pages of its own breakdowns. */
static void log_oddities(const struct api_request *req)
{
    const char *type = net_header(&req->attempt.request, "Content-Type");
    const char *sso = net_header(&req->attempt.request, "X-GitHub-SSO");
    struct core *core = req->attempt.core;

    if (sso && strncmp(sso, "partial-results", 15) == 0)
        core_log(core, DIAG_WARNING, FAILURE_API, &core->base_at,
                 "a list lacks what is of organizations that want single sign-on: authorize the "
                 "token for them, by Configure SSO in its settings");
    if (type && req->attempt.status / 100 != 3 && req->attempt.status < 500 &&
        strncasecmp(type, "text/html", 9) == 0)
        core_log(core, DIAG_WARNING, FAILURE_API, &core->base_at,
                 "the answer is a web page: check api_url, and whether a proxy answers instead");
}

static void judge(struct api_request *req, bool limited, const struct token_line *used)
{
    struct core *core = req->attempt.core;
    bool is_log = req->kind == REQUEST_LOG_URL;
    int status = req->attempt.status;
    struct api_answer answer = {.status = status,
                                .body = req->body.data,
                                .len = req->len,
                                .location = net_header(&req->attempt.request, "Location")};

    log_oddities(req);
    if (status < 500) {
        refusals_clear(&core->refusals, req->key);
        refusals_return_retries(&core->refusals, req->retries);
        req->retries = 0;
    }
    if (is_log ? status == 302 : status == 200 || (status == 304 && req->etag)) {
        if (is_log && !answer.location)
            handle_failure(req, -EBADMSG, false);
        else
            end(req, &answer);
    } else if (status == 301 || status == 302 || status == 307 || status == 308) {
        follow(req, answer.location);
    } else if (status == 401) {
        renew_token(req, used);
    } else if (limited && ++req->limits <= LIMITS_MAX) {
        enter(req, true); /* the budget knows until when, and whether that is worth waiting for */
    } else {
        handle_failure(req, 0, limited);
    }
}

static void answered(struct attempt *a, int err)
{
    struct api_request *req = list_entry(a, struct api_request, attempt);
    const struct token_line *used = req->token;
    bool limited = false;

    if (a->status)
        limited = learn(req, err == 0);
    else
        budget_lost(&a->core->queue.budget);
    atomic_fetch_add(&a->core->outcomes[failure_get_outcome(a->status, limited)], 1);
    token_line_unref(req->token);
    req->token = NULL;
    /* A status without its body is enough but for 200: a redirect's body is never read. */
    if (a->is_cancelled)
        drop_body(req);
    else if (err == 0 || (a->status && a->status != 200 && err != -ECONNABORTED))
        judge(req, limited, used);
    else
        handle_failure(req, err, false);
}

/* -- For its owner ----------------------------------------------------------------------------- */

void api_request_init(struct api_request *req, struct core *core, enum api_request_kind kind,
                      enum source_class class,
                      void (*done)(struct api_request *req, const struct api_answer *answer))
{
    *req = (struct api_request){.kind = kind, .done = done};
    req->attempt.core = core;
    req->attempt.answered = answered;
    req->attempt.fail = fail;
    req->attempt.timer.fire = try_again;
    req->queued.class = class;
    req->queued.go = go;
    req->queued.refused = refused;
    req->waiter.notify = on_token;
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
    api_request_finish(req);
    req->url = url;
    req->etag = etag_line(etag);
    req->key = refusals_make_key(url);
    req->moves = req->limits = req->retries = 0;
    req->has_new_token = false;
    req->queued.since_ms = net_now_ms();
    attempt_begin(&req->attempt);
    enter(req, false);
}

void api_request_promote(struct api_request *req)
{
    if (!api_request_is_active(req))
        return;
    if (list_is_linked(&req->queued.link))
        progress_wait_note(req->attempt.waits_for, PROGRESS_DEMAND, 0);
    queue_promote(&req->attempt.core->queue, &req->queued); /* it may end at once */
}

void api_request_finish(struct api_request *req)
{
    queue_leave(&req->attempt.core->queue, &req->queued);
    list_remove(&req->waiter.link);
    attempt_cancel(&req->attempt);
    free(req->url);
    free(req->etag);
    req->url = req->etag = NULL;
    drop_body(req);
}
