#include "github/range.h"

#include "github/failure.h"
#include "github/parse_headers.h"
#include "github/retry.h"
#include "github/sight.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define JUNK_MAX 65536 /* bytes read for nothing, to keep a connection */
#define PENDING_MS 3000

/* What the answer under way turned out to be. */
enum found {
    FOUND_NOTHING,  /* no headers yet, or a status that failure.c judges */
    FOUND_STREAM,   /* the bytes that were asked for */
    FOUND_COMPLETE, /* the headers alone were enough */
    FOUND_ABSENT,   /* storage has no log */
    FOUND_UNPROVED, /* all of a log that may still change: ask about the job first */
    FOUND_WRONG,    /* not what was asked for; `err` says in which way */
    FOUND_UNWANTED, /* told() refused the log */
};

enum range_state { RANGE_IDLE, RANGE_WANTS_URL, RANGE_SENT, RANGE_RESTS, RANGE_INQUIRES };

struct range {
    struct source_log *log;
    struct core *core;
    struct source_bytes *want; /* NULL: only the end is looked at */
    void (*seen)(struct source_log *log, const struct source_failure *failure);
    enum range_state state;
    bool is_dead;

    uint64_t next, to; /* not delivered yet: [next, to) */
    struct retry retry;
    struct net_timer timer;
    struct log_waiter waiter;
    bool has_inquired; /* once is enough */
    struct core_errand errand;

    /* The try under way. */
    struct net_request request;
    struct log_url *url;
    char line[64];
    const char *headers[2];
    bool after_completion; /* the job was seen completed before it was sent */
    bool is_all;           /* its body is the whole log, though more than asked for */
    int status;
    enum found found;
    int err;
    uint64_t at, end; /* in the log: the body's next byte, and where it ends */
    uint64_t junk;
};

static void ask(struct range *r);

/* -- Its end ----------------------------------------------------------------------------------- */

static void finish(struct range *r, const struct source_failure *failure)
{
    struct source_bytes *want = r->want;

    r->state = RANGE_IDLE;
    list_remove(&r->errand.link);
    log_url_unref(r->url);
    if (want) {
        want->transfer = NULL;
        want->done(want, failure);
    } else {
        r->seen(r->log, failure);
    }
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
    log_want_inquiry(r->log, &r->waiter);
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
    else if (!r->has_inquired)
        inquire(r);
    else if (r->log->is_sized && r->log->size == 0)
        pend(r);
    else
        finish_with(r, -EIO, SOURCE_BROKEN, net_now_ms() + 1000);
}

/* -- Trouble ----------------------------------------------------------------------------------- */

static void complain(struct range *r, const struct failure_event *event)
{
    char status[32];

    snprintf(status, sizeof(status), "status %d", event->status);
    if (r->url)
        core_say(r->core, "storage", &r->url->at, event->err ? failure_word(event->err) : status);
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

/* Another try from the first byte that is missing, or the end. */
static void trouble(struct range *r, const struct failure_event *event)
{
    struct core *core = r->core;
    int64_t now_ms = net_now_ms(), at_ms = -1;
    struct failure_verdict verdict;

    failure_judge(event, now_ms, &verdict);
    if (verdict.retry == RETRY_RENEWED)
        log_drop_url(r->log, r->url);
    if (verdict.retry != RETRY_CONNECT || !hosts_is_down(&core->hosts, &r->url->at, now_ms))
        at_ms = retry_next(&r->retry, verdict.retry, now_ms, core->deadline_ms, retry_after_ms(r),
                           core_draw_chance(core));
    if (at_ms < 0) {
        if (verdict.retry == RETRY_CONNECT)
            hosts_note_down(&core->hosts, &r->url->at, verdict.failure.err, now_ms);
        complain(r, event);
    }
    log_url_unref(r->url);
    r->url = NULL;
    if (at_ms < 0) {
        finish(r, &verdict.failure);
        return;
    }
    r->state = RANGE_RESTS;
    net_timer_set(core->net, &r->timer, at_ms);
}

/* -- What the headers say ---------------------------------------------------------------------- */

/* Refuses the answer: it is read no further. */
static int wrong(struct range *r, enum found found, int err)
{
    r->found = found;
    r->err = err;
    return -ECANCELED;
}

/* The size and what it proves are taken into account. 0 or wrong()'s answer. */
static int see(struct range *r, const struct sight *s)
{
    int err = log_see(r->log, s, r->after_completion, r->is_all);

    if (err == -ESTALE)
        return wrong(r, FOUND_WRONG, err);
    if (!err && r->has_inquired && r->log->job_state == LOG_JOB_RUNNING)
        err = log_tell_growing(r->log);
    if (err)
        return wrong(r, FOUND_UNWANTED, err);
    /* Not known yet whether it is final: to be found out while the bytes come. */
    if (!r->log->is_told && r->log->is_sized && !r->has_inquired)
        r->log->inquire(r->log);
    return 0;
}

static int head_part(struct range *r, const struct sight *s)
{
    if (s->first != r->next || s->end > r->to || (!s->is_sized && !r->log->is_sized))
        return wrong(r, FOUND_WRONG, -EIO);
    if (see(r, s) < 0)
        return -ECANCELED;
    r->found = FOUND_STREAM;
    r->at = s->first;
    r->end = s->end;
    if (r->want)
        return 0;
    r->found = FOUND_COMPLETE;
    return s->end - s->first > JUNK_MAX ? -ECANCELED : 0;
}

/* Whether a log that is sent whole may be taken as it is, or a later one would be another. */
static bool is_proved(const struct range *r, const struct sight *s)
{
    return s->is_final || r->after_completion || r->log->is_told || r->has_inquired;
}

/* A server without ranges, or one that did not care this time. */
static int head_whole(struct range *r, const struct sight *s)
{
    if (r->want && !is_proved(r, s))
        return wrong(r, FOUND_UNPROVED, 0);
    r->is_all = r->want && !r->log->is_told;
    if (r->is_all)
        r->to = UINT64_MAX;
    if (see(r, s) < 0)
        return -ECANCELED;
    r->found = FOUND_STREAM;
    r->at = 0;
    r->end = s->end;
    if (r->want || !s->is_sized)
        return 0;
    r->found = FOUND_COMPLETE;
    return -ECANCELED;
}

/* There is nothing from `next` on: the log is empty, or ends here. */
static int head_nothing(struct range *r, struct sight *s)
{
    if (!s->is_sized && r->next == 0) {
        s->is_sized = true;
        s->size = 0;
    }
    if (s->is_sized && see(r, s) < 0)
        return -ECANCELED;
    if (!r->log->is_sized || r->next < r->log->size)
        return wrong(r, FOUND_WRONG, -EIO);
    r->found = FOUND_COMPLETE;
    return 0;
}

static int on_head(struct net_request *request, int status)
{
    struct range *r = list_entry(request, struct range, request);
    struct sight s;

    r->status = status;
    hosts_note_answer(&r->core->hosts, &r->url->at);
    if (status == 404) {
        r->found = FOUND_ABSENT;
        return 0;
    }
    if (status != 200 && status != 206 && status != 416)
        return 0;
    if (sight_read(request, status, &s) < 0)
        return wrong(r, FOUND_WRONG, -EIO);
    if (status == 206)
        return head_part(r, &s);
    return status == 200 ? head_whole(r, &s) : head_nothing(r, &s);
}

/* -- The bytes --------------------------------------------------------------------------------- */

/* Where this range ends, as far as that is known. */
static uint64_t goal(const struct range *r)
{
    if (r->log->is_sized && r->log->size < r->to)
        return r->log->size;
    return r->to;
}

static int discard(struct range *r, size_t len)
{
    r->junk += len;
    return r->junk > JUNK_MAX ? -ECANCELED : NET_TAKEN;
}

/* The part of the body that is wanted next; none of it counts before it was taken. */
static int on_body(struct net_request *request, const void *data, size_t len)
{
    struct range *r = list_entry(request, struct range, request);
    uint64_t skip, most, stop = r->end < goal(r) ? r->end : goal(r);
    bool is_last;

    if (r->found != FOUND_STREAM)
        return discard(r, len);
    if (r->log->unwanted)
        return wrong(r, FOUND_UNWANTED, r->log->unwanted);
    retry_note_progress(&r->retry, net_now_ms());
    skip = r->next > r->at ? r->next - r->at : 0;
    if (r->want && skip < len && r->next < stop) {
        most = len - skip < stop - r->next ? len - skip : stop - r->next;
        if (r->want->bytes(r->want, r->next, (const char *)data + skip, most) == SOURCE_FULL)
            return NET_PAUSE;
        r->next += most;
    }
    r->at += len;
    /* An unknown length is only found out by reading on. */
    is_last = r->want && r->next >= stop && r->at < r->end;
    return is_last && (r->end != UINT64_MAX || r->log->is_sized) ? -ECANCELED : NET_TAKEN;
}

/* A body without a promised length has ended in good order: that is its length. */
static int see_length(struct range *r)
{
    struct sight s = {.is_sized = true, .size = r->at, .last_modified_ms = -1};
    int64_t modified_s;

    if (parse_http_date(net_header(&r->request, "Last-Modified"), net_wall_s(), &modified_s) == 0)
        s.last_modified_ms = modified_s * 1000;
    return see(r, &s);
}

/* -- What came of it --------------------------------------------------------------------------- */

static void stream_ended(struct range *r, int err)
{
    struct failure_event event = {.hop = FAILURE_STORAGE, .err = err == -ECANCELED ? -EIO : err};

    if (!err && r->end == UINT64_MAX && see_length(r) < 0) {
        event.err = r->err;
        if (r->found == FOUND_UNWANTED) {
            finish_with(r, r->err, SOURCE_BROKEN, net_now_ms());
            return;
        }
        trouble(r, &event);
        return;
    }
    if (!r->want || r->next >= goal(r)) {
        complete(r);
    } else if (!err && r->at == r->end) {
        ask(r); /* a server may answer with less than was asked for */
    } else {
        event.err = err ? event.err : -EIO;
        trouble(r, &event);
    }
}

/* Storage has no log. There will never be one only if the job was completed before it was asked. */
static void absent(struct range *r)
{
    const struct source_log *log = r->log;
    int64_t completed_s = log->completed_ms < 0 ? -1 : log->completed_ms / 1000;
    bool is_asked = r->has_inquired || completed_s >= 0;
    struct source_failure failure;

    if (!is_asked) {
        inquire(r);
    } else if (log->job_state == LOG_JOB_COMPLETED && r->after_completion) {
        failure = failure_make_never(completed_s, net_now_ms(), net_wall_s());
        finish(r, &failure);
    } else if (log->job_state == LOG_JOB_COMPLETED) {
        ask(r);
    } else {
        pend(r);
    }
}

static void judge(struct range *r, int err)
{
    struct failure_event event = {.hop = FAILURE_STORAGE, .err = err, .status = r->status};

    switch (r->found) {
    case FOUND_STREAM: stream_ended(r, err); break;
    case FOUND_COMPLETE: complete(r); break;
    case FOUND_ABSENT: absent(r); break;
    case FOUND_UNPROVED: inquire(r); break;
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
    struct turns *turns = &r->core->turns;

    turns_free_connection(turns);
    r->state = RANGE_IDLE;
    if (r->is_dead) {
        log_url_unref(r->url);
        free(r);
    } else if (err == -ECONNABORTED) {
        trouble(r, &(struct failure_event){.hop = FAILURE_STORAGE, .err = err});
    } else {
        judge(r, err);
    }
    turns_pump(turns);
}

/* -- A try ------------------------------------------------------------------------------------- */

static void write_range(struct range *r)
{
    if (r->to == UINT64_MAX)
        snprintf(r->line, sizeof(r->line), "Range: bytes=%" PRIu64 "-", r->next);
    else
        snprintf(r->line, sizeof(r->line), "Range: bytes=%" PRIu64 "-%" PRIu64, r->next, r->to - 1);
    r->headers[0] = r->line;
    r->headers[1] = NULL;
}

static void send(struct range *r, struct log_url *url)
{
    write_range(r);
    log_url_unref(r->url);
    r->url = log_url_ref(url);
    r->after_completion = log_is_completed(r->log);
    r->status = 0;
    r->found = FOUND_NOTHING;
    r->err = 0;
    r->junk = 0;
    r->request = (struct net_request){
        .url = r->url->text,
        .headers = r->headers,
        .express = true,
        .body_max = UINT64_MAX,
        .on_head = on_head,
        .on_body = on_body,
        .on_done = on_done,
    };
    r->state = RANGE_SENT;
    atomic_fetch_add(&r->core->storage_requests, 1);
    turns_take_connection(&r->core->turns);
    net_send(r->core->net, &r->request);
}

static void ask(struct range *r)
{
    struct source_failure failure;
    struct log_url *url;
    int64_t until_ms = 0;
    int err;

    if (core_refuses(r->core, &failure)) {
        finish(r, &failure);
        return;
    }
    url = log_young_url(r->log);
    if (!url) {
        r->state = RANGE_WANTS_URL;
        log_want_url(r->log, &r->waiter);
        return;
    }
    err = hosts_ask(&r->core->hosts, &url->at, net_now_ms(), &until_ms);
    if (err < 0)
        finish_with(r, err, SOURCE_UNREACHABLE, until_ms);
    else
        send(r, url);
}

/* The inquiry has ended well: what it was wanted for is looked at again. */
static void inquired(struct range *r)
{
    const struct source_log *log = r->log;

    if (log->unwanted)
        finish_with(r, log->unwanted, SOURCE_BROKEN, net_now_ms());
    else if (r->found == FOUND_ABSENT)
        absent(r);
    else if (r->found == FOUND_UNPROVED)
        ask(r);
    else
        complete(r);
}

static void woken(struct log_waiter *w, const struct source_failure *failure)
{
    struct range *r = list_entry(w, struct range, waiter);
    bool has_inquired = r->state == RANGE_INQUIRES;

    r->state = RANGE_IDLE;
    if (failure)
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
    b->transfer = r;
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
    log_url_unref(r->url);
    free(r);
}
