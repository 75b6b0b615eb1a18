#include "github/log_transfer.h"

#include "github/failure.h"
#include "github/parse.h"
#include "github/parse_headers.h"
#include "github/question.h"
#include "github/refusals.h"
#include "github/retry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RENEWALS_MAX 3   /* URLs given up in a row, as faults that must not be noticed (R1) */
#define RENEWED_MS 60000 /* a URL's documented life */

#define PENDING_MS 3000
#define AGAIN_MAX 10 /* whole bodies, to be sure where they end: three cuts, and those that agree */

/* What the answer under way turned out to be. */
enum found {
    FOUND_NOTHING,  /* no headers yet, or a status that failure.c judges */
    FOUND_STREAM,   /* the bytes that were asked for */
    FOUND_COMPLETE, /* the headers alone were enough */
    FOUND_ABSENT,   /* storage has no log */
    FOUND_EMPTY,    /* a log without a byte: of a job that has run there is none */
    FOUND_UNPROVED, /* all of a log that may still change: ask about the job first */
    FOUND_WRONG,    /* not what was asked for; `err` says in which way */
    FOUND_UNWANTED, /* on_metadata() refused the log */
    FOUND_REFUSED,  /* the API refuses to give a URL: ask about the job first */
};

enum transfer_state {
    TRANSFER_IDLE,
    TRANSFER_WANTS_URL,
    TRANSFER_SENT,
    TRANSFER_RESTS,
    TRANSFER_AWAITS_CHECK
};

struct log_transfer {
    struct source_log *log;
    struct core *core;
    struct source_bytes *want; /* NULL: only the end, or the start once more, is looked at */
    bool is_recheck;           /* the start */
    void (*seen)(struct source_log *log, const struct source_failure *failure);
    enum transfer_state state;
    bool is_dead;

    uint64_t next, to; /* not delivered yet: [next, to) */
    struct retry retry;
    unsigned renewals; /* URLs given up since bytes last came */
    struct net_timer timer;
    struct log_waiter waiter;
    bool has_checked; /* once is enough */
    struct source_failure refusal;
    uint64_t ended_at; /* the furthest end of a body that only its connection's end told */
    unsigned endings;  /* how many ended just there */
    unsigned again; /* bodies that came whole and were asked for again, to be sure of their end */
    struct in_flight in_flight;
    bool may_be_empty; /* the job ran no steps */

    /* The try under way. */
    struct net_request request;
    struct signed_url *url;
    char line[64];
    const char *headers[2];
    bool after_completion; /* the job was seen completed before it was sent */
    uint64_t asked_to;     /* where what it asks for ends */
    bool is_all;           /* its body is the whole log, though more than asked for */
    int status;
    enum found found;
    int err;
    struct refusals_print print; /* of a body that is no log */
    uint64_t at, end;            /* in the log: the body's next byte, and where it ends */
    uint64_t junk;
    bool is_doubted;            /* none of the body counts before it has begun like a log */
    struct response_info sight; /* a whole body's, which is not taken into account before that */
    char start[RESPONSE_START]; /* its first bytes */
    char type[RESPONSE_TYPE];   /* the type that is no log's; "": that was not it */
};

static void ask(struct log_transfer *t);

#define JUNK_MAX 65536 /* bytes read for nothing, to keep a connection */

/* -- What the headers say ---------------------------------------------------------------------- */

/* Refuses the answer: it is read no further. */
static int wrong(struct log_transfer *t, enum found found, int err)
{
    t->found = found;
    t->err = err;
    return -ECANCELED;
}

/* The size and what it proves are taken into account. 0 or wrong()'s answer. */
static int see(struct log_transfer *t, const struct response_info *s)
{
    int err = log_state_learn(t->log, s, t->after_completion, t->is_all);

    if (err == -ESTALE)
        return wrong(t, FOUND_WRONG, err);
    if (!err && t->has_checked && t->log->job_state == JOB_RUNNING)
        err = log_state_report_growing(t->log);
    if (err)
        return wrong(t, FOUND_UNWANTED, err);
    /* Not known yet whether it is final: to be found out while the bytes come. */
    if (!t->log->is_reported && !t->log->is_weak && t->log->is_sized && !t->has_checked)
        t->log->inquire(t->log);
    return 0;
}

static int head_part(struct log_transfer *t, struct response_info *s)
{
    s->is_weak = s->is_sized && s->end < s->size && s->end < t->asked_to;
    if (s->first != t->next || s->end > t->asked_to || (!s->is_sized && !t->log->is_sized))
        return wrong(t, FOUND_WRONG, -EIO);
    if (see(t, s) < 0)
        return -ECANCELED;
    t->found = FOUND_STREAM;
    t->at = s->first;
    t->end = s->end;
    if (t->want)
        return 0;
    t->found = FOUND_COMPLETE;
    return s->end - s->first > JUNK_MAX ? -ECANCELED : 0;
}

/* Whether a log that is sent whole may be taken as it is, or a later one would be another. */
static bool is_proved(const struct log_transfer *t, const struct response_info *s)
{
    return s->is_final || t->after_completion || t->log->is_reported || t->has_checked;
}

/* What the headers of a whole body say is taken into account. 0, or wrong()'s answer. */
static int accept_whole(struct log_transfer *t)
{
    t->is_doubted = false;
    t->is_all = t->want && !t->log->is_reported;
    if (t->is_all)
        t->to = UINT64_MAX;
    if (see(t, &t->sight) < 0)
        return -ECANCELED;
    if (t->want || !t->sight.is_sized)
        return 0;
    t->found = FOUND_COMPLETE;
    return -ECANCELED;
}

/* A server without ranges, or one that did not care this time; or not storage at all. */
static int head_whole(struct log_transfer *t, const struct response_info *s)
{
    if (t->want && !is_proved(t, s))
        return wrong(t, FOUND_UNPROVED, 0);
    if (t->want && s->is_sized && s->size == 0 && !t->may_be_empty)
        return wrong(t, FOUND_EMPTY, 0);
    t->found = FOUND_STREAM;
    t->at = 0;
    t->end = s->end;
    t->sight = *s;
    t->sight.is_weak = s->is_sized && s->size > 0;
    t->is_doubted = t->want && !s->is_blob;
    return t->is_doubted ? 0 : accept_whole(t);
}

/* There is nothing from `next` on: the log is empty, or ends here. That is a size too, where the
 * header that names it is missing. */
static int head_nothing(struct log_transfer *t, struct response_info *s)
{
    uint64_t end = t->log->is_sized ? t->log->size : t->ended_at;

    if (!s->is_sized && t->next == end) {
        s->is_sized = true;
        s->size = t->next;
    }
    if (s->is_sized && s->size > t->next)
        return wrong(t, FOUND_WRONG, -EIO);
    if (s->is_sized && see(t, s) < 0)
        return -ECANCELED;
    if (!t->log->is_sized || t->next < t->log->size)
        return wrong(t, FOUND_WRONG, -EIO);
    t->found = FOUND_COMPLETE;
    return 0;
}

/* The start of the log once more: what it says is for the belief to judge. */
static int head_recheck(struct log_transfer *t, int status, const struct response_info *s)
{
    if (status == 416 || !s->is_sized || (status == 206 && s->first != t->next))
        return wrong(t, FOUND_WRONG, -EIO);
    t->log->recheck_info = *s;
    t->found = s->size < t->to ? FOUND_COMPLETE : FOUND_STREAM;
    t->at = s->first;
    t->end = s->end;
    return s->size < t->to ? -ECANCELED : 0;
}

static int on_head(struct net_request *request, int status)
{
    struct log_transfer *t = list_entry(request, struct log_transfer, request);
    struct response_info s;
    int err;

    t->status = status;
    hosts_note_answer(&t->core->hosts, &t->url->at, net_now_ms());
    if (status == 404) {
        t->found = FOUND_ABSENT;
        return 0;
    }
    if (status != 200 && status != 206 && status != 416)
        return 0;
    err = response_info_read(request, status, &s);
    if (err == -ENOMSG)
        response_read_type(request, t->type);
    if (err < 0)
        return wrong(t, FOUND_WRONG, err);
    if (t->is_recheck)
        return head_recheck(t, status, &s);
    if (status == 206)
        return head_part(t, &s);
    return status == 200 ? head_whole(t, &s) : head_nothing(t, &s);
}

/* -- The bytes --------------------------------------------------------------------------------- */

static uint64_t goal_of(const struct log_transfer *t)
{
    if (!t->is_recheck && t->log->is_sized && t->log->size < t->to)
        return t->log->size;
    return t->to;
}

static int discard(struct log_transfer *t, size_t len)
{
    t->junk += len;
    return t->junk > JUNK_MAX ? -ECANCELED : NET_TAKEN;
}

static uint64_t stop_of(const struct log_transfer *t)
{
    return t->end < goal_of(t) ? t->end : goal_of(t);
}

/* Of these bytes, the first of which is the log's at `at`, those that are wanted next; none counts
 * before it was taken. NET_TAKEN, NET_PAUSE or wrong()'s answer. */
static int deliver(struct log_transfer *t, uint64_t at, const char *data, size_t len)
{
    uint64_t skip = t->next > at ? t->next - at : 0, stop = stop_of(t), most;
    int taken = SOURCE_TAKEN;

    if ((!t->want && !t->is_recheck) || skip >= len || t->next >= stop)
        return NET_TAKEN;
    most = len - skip < stop - t->next ? len - skip : stop - t->next;
    if (t->want)
        taken = t->want->bytes(t->want, t->next, data + skip, most);
    if (taken < 0)
        return wrong(t, FOUND_UNWANTED, taken);
    if (taken == SOURCE_FULL)
        return NET_PAUSE;
    if (t->want)
        log_state_note_bytes(t->log, t->next, data + skip, most);
    else
        t->log->recheck_digest = log_state_digest(t->log->recheck_digest, data + skip, most);
    t->next += most;
    retry_note_progress(&t->retry, net_now_ms());
    t->renewals = 0;
    return NET_TAKEN;
}

/* The first `len` bytes of a body in doubt are known. 0, or wrong()'s answer. */
static int settle_doubt(struct log_transfer *t, size_t len)
{
    if (!response_begins_like_log(t->start, len))
        return wrong(t, FOUND_WRONG, -ENOMSG);
    return accept_whole(t);
}

/* Keeps the start of a body in doubt; `at` stays behind what is kept for good. The doubt is settled
 * once there is enough of it. 0, or wrong()'s answer. */
static int keep_start(struct log_transfer *t, const char *data, size_t len)
{
    size_t have = (size_t)t->at, enough = t->end < RESPONSE_START ? (size_t)t->end : RESPONSE_START;
    size_t part = len < enough - have ? len : enough - have;

    memcpy(t->start + have, data, part);
    if (have + part == enough)
        return settle_doubt(t, enough);
    t->at += part;
    return 0;
}

static int take_short(struct log_transfer *t)
{
    int err = settle_doubt(t, (size_t)t->at);

    if (!err && deliver(t, 0, t->start, (size_t)t->at) != NET_TAKEN)
        err = -EIO;
    return err;
}

static int on_body(struct net_request *request, const void *data, size_t len)
{
    struct log_transfer *t = list_entry(request, struct log_transfer, request);
    uint64_t stop;
    bool is_last;
    int err;

    hosts_note_answer(&t->core->hosts, &t->url->at, net_now_ms());
    if (t->found != FOUND_STREAM) {
        refusals_print_add(&t->print, data, len);
        return discard(t, len);
    }
    if (t->log->rejected)
        return wrong(t, FOUND_UNWANTED, t->log->rejected);
    if (t->is_doubted) {
        err = keep_start(t, data, len);
        if (err < 0 || t->is_doubted)
            return err;
    }
    err = t->next < t->at ? deliver(t, 0, t->start, (size_t)t->at) : NET_TAKEN;
    if (err == NET_TAKEN)
        err = deliver(t, t->at, data, len);
    if (err != NET_TAKEN)
        return err;
    stop = stop_of(t);
    t->at += len;
    if (t->end != UINT64_MAX && t->at > t->end)
        return -ECANCELED; /* more than was promised may be without end */
    /* An unknown length is only found out by reading on. */
    is_last = (t->want || t->is_recheck) && t->next >= stop && t->at < t->end;
    return is_last && (t->end != UINT64_MAX || t->log->is_sized) ? -ECANCELED : NET_TAKEN;
}

static int take_length(struct log_transfer *t)
{
    struct response_info s = {
        .is_sized = true, .size = t->at, .end = t->at, .last_modified_ms = -1};
    int64_t modified_s;

    if (parse_http_date(net_header(&t->request, "Last-Modified"), net_wall_s(), &modified_s) == 0)
        s.last_modified_ms = modified_s * 1000;
    s.is_unframed = !net_header(&t->request, "Transfer-Encoding");
    return see(t, &s);
}

/* -- Its end ----------------------------------------------------------------------------------- */

static void finish(struct log_transfer *t, const struct source_failure *failure)
{
    struct source_bytes *want = t->want;

    t->state = TRANSFER_IDLE;
    list_remove(&t->in_flight.link);
    signed_url_unref(t->url);
    if (want)
        want->done(want, failure);
    else
        t->seen(t->log, failure);
    free(t);
}

static void finish_with(struct log_transfer *t, int err, enum source_reason reason,
                        int64_t until_ms)
{
    struct source_failure failure = failure_make(err, reason, until_ms);

    finish(t, &failure);
}

/* Waits for the inquiry. */
static void await_check(struct log_transfer *t)
{
    t->has_checked = true;
    t->state = TRANSFER_AWAITS_CHECK;
    log_state_want_check(t->log, &t->waiter);
}

/* No log yet: a running job's whose first block has not been written. */
static void pend(struct log_transfer *t)
{
    finish_with(t, -ENOENT, SOURCE_PENDING, net_now_ms() + PENDING_MS);
}

/* All bytes are delivered; `done` waits for `told`. */
static void complete(struct log_transfer *t)
{
    t->found = FOUND_COMPLETE;
    if (!t->want || t->log->is_reported)
        finish(t, NULL);
    else if (t->log->is_weak && t->again++ < AGAIN_MAX)
        ask(t);
    else if (!t->has_checked)
        await_check(t);
    else if (t->log->is_sized && t->log->size == 0)
        pend(t);
    else
        finish_with(t, -EIO, SOURCE_BROKEN, net_now_ms() + 1000);
}

/* -- Trouble ----------------------------------------------------------------------------------- */

static void complain(struct log_transfer *t, const struct failure_event *event,
                     const struct source_failure *failure)
{
    char words[RESPONSE_TYPE + sizeof(REFUSED_HINT) + 80];

    if (event->err == -ENOMSG)
        snprintf(words, sizeof(words), "what it sent%s%s%s is no log: is there a proxy on the way?",
                 t->type[0] ? " (" : "", t->type, t->type[0] ? ")" : "");
    else if (event->err)
        snprintf(words, sizeof(words), "%s", failure_word(event->err));
    else
        snprintf(words, sizeof(words), "status %d%s", event->status,
                 failure->reason == SOURCE_REFUSED ? REFUSED_HINT : "");
    if (t->url)
        core_say(t->core, "storage", &t->url->at, words);
}

static void try_again(struct net_timer *timer)
{
    ask(list_entry(timer, struct log_transfer, timer));
}

static int64_t retry_after_ms(const struct log_transfer *t)
{
    int64_t after_s = 0;

    if (t->status == 429 || t->status >= 500)
        parse_retry_after(net_header(&t->request, "Retry-After"), net_wall_s(), &after_s);
    return after_s * 1000;
}

/* Each new URL is charged: who refuses several in a row, such as a proxy on the way, is not helped by
 * more of them, unless the one at hand has grown old meanwhile. */
static void renew(struct log_transfer *t, int64_t now_ms)
{
    struct refusals *rs = &t->core->refusals;

    if (t->renewals >= RENEWALS_MAX && now_ms - t->url->obtained_ms < RENEWED_MS)
        return;
    if (t->renewals > 0 && !refusals_take_retry(rs, now_ms))
        return;
    t->renewals++;
    log_state_drop_url(t->log, t->url);
}

/*
 * Storage refuses. No retry is worth it if the answer will not change, or if nobody waits for the log.
 * An old URL may just have expired, so its refusal must come several times; the next look at a refused
 * log takes a new URL.
 */
static void judge_refusal(struct log_transfer *t, int64_t now_ms, struct failure_verdict *verdict)
{
    struct refusals *rs = &t->core->refusals;
    uint64_t key = t->log->key;
    uint64_t answer = refusals_print_finish(&t->print, t->url->at.host, t->status);
    bool proven = retry_note_refusal(&t->retry, answer, retry_after_ms(t) > 0, now_ms);
    bool is_young = now_ms - t->url->obtained_ms < RENEWED_MS;

    if (proven || (is_young && refusals_expect(rs, key, answer, now_ms))) {
        verdict->failure = failure_make(-EIO, SOURCE_REFUSED,
                                        refusals_note(rs, key, answer, proven, now_ms));
        if (verdict->retry == RETRY_RENEWED)
            log_state_drop_url(t->log, t->url);
        verdict->retry = RETRY_NOT;
    } else if (t->log->class == SOURCE_PREFETCH) {
        verdict->failure = failure_make(-EIO, SOURCE_LIMITED, now_ms);
        verdict->retry = RETRY_NOT;
    }
}

/* Another try from the first byte that is missing, or the end. */
static void trouble(struct log_transfer *t, const struct failure_event *event)
{
    struct core *core = t->core;
    int64_t now_ms = net_now_ms(), at_ms = -1;
    struct failure_verdict verdict;

    failure_judge(event, now_ms, &verdict);
    if (verdict.is_refusal)
        judge_refusal(t, now_ms, &verdict);
    if (verdict.retry == RETRY_RENEWED)
        renew(t, now_ms);
    if (verdict.retry != RETRY_CONNECT || !hosts_is_down(&core->hosts, &t->url->at, now_ms))
        at_ms = retry_next(&t->retry, verdict.retry, now_ms, core->deadline_ms, retry_after_ms(t),
                           core_draw_chance(core));
    if (at_ms < 0) {
        if (verdict.failure.reason == SOURCE_UNREACHABLE)
            hosts_note_failure(&core->hosts, &t->url->at, verdict.failure.err, t->retry.progress_ms,
                               now_ms);
        if (verdict.failure.reason != SOURCE_LIMITED)
            complain(t, event, &verdict.failure);
    }
    signed_url_unref(t->url);
    t->url = NULL;
    if (at_ms < 0) {
        finish(t, &verdict.failure);
        return;
    }
    t->state = TRANSFER_RESTS;
    net_timer_set(core->net, &t->timer, at_ms);
}

/* -- What came of it --------------------------------------------------------------------------- */

/*
 * Neither a length nor a last chunk: the end of the connection is the end of the body, or a cut that
 * nothing else tells from it. It is believed when more answers end at the same place, and none
 * behind it, than may be cut unnoticed.
 */
static bool is_end_doubtful(struct log_transfer *t)
{
    if (t->end != UINT64_MAX || net_header(&t->request, "Transfer-Encoding"))
        return false;
    if (t->at > t->ended_at)
        t->endings = 0;
    if (t->at >= t->ended_at)
        t->endings++;
    if (t->at > t->ended_at)
        t->ended_at = t->at;
    return t->endings < LOG_STATE_VOTES;
}

/* Not a byte of a log. Of a job that has run steps there is more, whoever says otherwise; that of a
 * running job has not begun. */
static void judge_empty(struct log_transfer *t)
{
    const struct source_log *log = t->log;

    if (!t->has_checked) {
        await_check(t);
    } else if (log->job_state != JOB_COMPLETED) {
        pend(t);
    } else if (log->has_steps) {
        trouble(t, &(struct failure_event){.hop = FAILURE_STORAGE, .err = -ENOMSG});
    } else {
        t->may_be_empty = true;
        ask(t);
    }
}

static void stream_ended(struct log_transfer *t, int err)
{
    struct failure_event event = {.hop = FAILURE_STORAGE, .err = err == -ECANCELED ? -EIO : err};

    if (!err && t->want && t->at == 0 && t->end == UINT64_MAX && !t->may_be_empty) {
        t->found = FOUND_EMPTY;
        judge_empty(t);
        return;
    }
    if (!err && t->is_doubted && take_short(t) < 0) {
        event.err = t->found == FOUND_WRONG ? t->err : -EIO;
        trouble(t, &event);
        return;
    }
    if (!err && is_end_doubtful(t)) {
        if (t->again++ < AGAIN_MAX)
            ask(t);
        else
            finish_with(t, -EIO, SOURCE_BROKEN, net_now_ms() + 1000);
        return;
    }
    if (!err && t->end == UINT64_MAX && take_length(t) < 0) {
        event.err = t->err;
        if (t->found == FOUND_UNWANTED) {
            finish_with(t, t->err, SOURCE_BROKEN, net_now_ms());
            return;
        }
        trouble(t, &event);
        return;
    }
    if ((!t->want && !t->is_recheck) || t->next >= goal_of(t)) {
        complete(t);
    } else if (!err && t->at == t->end) {
        ask(t); /* a server may answer with less than was asked for */
    } else {
        event.err = err ? event.err : -EIO;
        trouble(t, &event);
    }
}

/* Storage has no log. There will never be one only if the job was completed before it was asked, or
 * has never run. */
static void judge_absent(struct log_transfer *t)
{
    const struct source_log *log = t->log;
    int64_t completed_s = log->completed_ms < 0 ? -1 : log->completed_ms / 1000;
    /* Who looks at the end is part of an inquiry, and would wait for itself. */
    bool is_asked = !t->want || t->has_checked || completed_s >= 0;
    struct source_failure failure;

    if (!is_asked) {
        await_check(t);
    } else if (log->has_no_log || (log->job_state == JOB_COMPLETED && t->after_completion)) {
        failure = failure_make_never(completed_s, net_now_ms(), net_wall_s());
        finish(t, &failure);
    } else if (log->job_state == JOB_COMPLETED) {
        ask(t);
    } else {
        pend(t);
    }
}

static void judge(struct log_transfer *t, int err)
{
    struct failure_event event = {.hop = FAILURE_STORAGE, .err = err, .status = t->status};

    if (t->found != FOUND_NOTHING)
        refusals_clear(&t->core->refusals, t->log->key);
    switch (t->found) {
    case FOUND_STREAM: stream_ended(t, err); break;
    case FOUND_COMPLETE: complete(t); break;
    case FOUND_ABSENT: judge_absent(t); break;
    case FOUND_EMPTY: judge_empty(t); break;
    case FOUND_UNPROVED: await_check(t); break;
    case FOUND_REFUSED: /* comes from the API, never from an answer of storage */
    case FOUND_UNWANTED: finish_with(t, t->err, SOURCE_BROKEN, net_now_ms()); break;
    case FOUND_WRONG:
        event.err = t->err;
        trouble(t, &event);
        break;
    case FOUND_NOTHING:
        if (t->status && err != -ECONNABORTED)
            event.err = 0;
        trouble(t, &event);
    }
}

static void on_done(struct net_request *request, int err)
{
    struct log_transfer *t = list_entry(request, struct log_transfer, request);
    struct turns *turns = &t->core->turns;

    turns_free_connection(turns);
    if (err == -ETIMEDOUT && t->url && net_was_heard(request))
        hosts_note_answer(&t->core->hosts, &t->url->at, net_now_ms());
    t->state = TRANSFER_IDLE;
    if (t->is_dead) {
        signed_url_unref(t->url);
        free(t);
    } else if (err == -ECONNABORTED) {
        trouble(t, &(struct failure_event){.hop = FAILURE_STORAGE, .err = err});
    } else {
        judge(t, err);
    }
    turns_pump(turns);
}

/* -- A try ------------------------------------------------------------------------------------- */

/* Who wants the end of a log asks for a byte more, as long as one answer alone has told that end:
 * storage shows whether there is one. */
static uint64_t ask_to(const struct log_transfer *t)
{
    const struct source_log *log = t->log;
    bool is_end = t->want && log->is_final && !log->is_proven && t->to == log->size;

    return is_end ? t->to + 1 : t->to;
}

static void write_range(struct log_transfer *t)
{
    t->asked_to = ask_to(t);
    if (t->asked_to == UINT64_MAX)
        snprintf(t->line, sizeof(t->line), "Range: bytes=%" PRIu64 "-", t->next);
    else
        snprintf(t->line, sizeof(t->line), "Range: bytes=%" PRIu64 "-%" PRIu64, t->next,
                 t->asked_to - 1);
    t->headers[0] = t->line;
    t->headers[1] = NULL;
}

static void send(struct log_transfer *t, struct signed_url *url)
{
    write_range(t);
    signed_url_unref(t->url);
    t->url = signed_url_ref(url);
    t->after_completion = log_state_is_completed(t->log);
    t->status = 0;
    t->found = FOUND_NOTHING;
    t->err = 0;
    t->junk = 0;
    t->print = (struct refusals_print){.len = 0};
    t->is_doubted = false;
    t->type[0] = '\0';
    t->request = (struct net_request){
        .url = t->url->text,
        .headers = t->headers,
        .express = true,
        .body_max = UINT64_MAX,
        .on_head = on_head,
        .on_body = on_body,
        .on_done = on_done,
    };
    t->state = TRANSFER_SENT;
    atomic_fetch_add(&t->core->storage_requests, 1);
    turns_take_connection(&t->core->turns);
    net_send(t->core->net, &t->request);
}

static void ask(struct log_transfer *t)
{
    struct source_failure failure;
    struct signed_url *url;
    int64_t until_ms = 0;
    int err;

    if (core_refuses(t->core, &failure)) {
        finish(t, &failure);
        return;
    }
    if (t->log->is_other) {
        finish_with(t, -EIO, SOURCE_CHANGED, net_now_ms() + 1000);
        return;
    }
    if (!t->retry.refusal &&
        refusals_find(&t->core->refusals, t->log->key, net_now_ms(), &until_ms)) {
        finish_with(t, -EIO, SOURCE_REFUSED, until_ms);
        return;
    }
    url = log_state_usable_url(t->log);
    if (!url && !t->want && !t->is_recheck && log_state_is_url_too_costly(t->log)) {
        finish(t, NULL);
        return;
    }
    if (!url) {
        t->state = TRANSFER_WANTS_URL;
        log_state_want_url(t->log, &t->waiter);
        return;
    }
    err = hosts_ask(&t->core->hosts, &url->at, net_now_ms(), &until_ms);
    if (err < 0)
        finish_with(t, err, SOURCE_UNREACHABLE, until_ms);
    else
        send(t, url);
}

/* The API refuses to give a URL, and the job's state is known. If the job has ended since the first
 * refusal, its log may be there now. */
static void refusal_explained(struct log_transfer *t)
{
    struct refusals *rs = &t->core->refusals;
    uint64_t key = t->log->url_request.key;

    if (!log_state_is_completed(t->log)) {
        refusals_note_running(rs, key);
        pend(t);
    } else if (refusals_is_of_running(rs, key)) {
        refusals_clear(rs, key);
        ask(t);
    } else {
        finish(t, &t->refusal);
    }
}

/*
 * The API refuses to give a URL. For a running job that means "no log yet", and one question tells
 * which it is. It counts as a retry, unless what is known of the job makes it free. While a job runs,
 * each look costs one request: for the log if the refusal has to be looked at again, else for the job.
 */
static void url_refused(struct log_transfer *t, const struct source_failure *failure)
{
    struct source_log *log = t->log;
    struct refusals *rs = &t->core->refusals;
    bool is_free = log->is_checking || log->job_etag[0];
    bool is_new = log->url_request.retry.refusal;

    t->found = FOUND_REFUSED;
    t->refusal = *failure;
    if (!t->want || t->has_checked) {
        finish(t, failure);
    } else if (log_state_is_completed(log)) {
        refusal_explained(t);
    } else if (is_new && refusals_is_of_running(rs, log->url_request.key)) {
        pend(t);
    } else if (is_free || refusals_take_retry(rs, net_now_ms())) {
        log->is_job_single = true;
        await_check(t);
    } else {
        finish(t, failure);
    }
}

/* The question about the job failed without telling anything of the job. */
static bool is_no_explanation(const struct source_failure *failure)
{
    return failure->reason == SOURCE_BROKEN || failure->reason == SOURCE_REFUSED ||
           failure->reason == SOURCE_PROTOCOL;
}

/* The inquiry has ended well: what it was wanted for is looked at again. */
static void check_ended(struct log_transfer *t)
{
    const struct source_log *log = t->log;

    if (log->rejected)
        finish_with(t, log->rejected, SOURCE_BROKEN, net_now_ms());
    else if (t->found == FOUND_REFUSED)
        refusal_explained(t);
    else if (t->found == FOUND_ABSENT)
        judge_absent(t);
    else if (t->found == FOUND_EMPTY)
        judge_empty(t);
    else if (t->found == FOUND_UNPROVED)
        ask(t);
    else
        complete(t);
}

static void woken(struct log_waiter *w, const struct source_failure *failure)
{
    struct log_transfer *t = list_entry(w, struct log_transfer, waiter);
    bool has_checked = t->state == TRANSFER_AWAITS_CHECK;

    t->state = TRANSFER_IDLE;
    if (failure && !has_checked && failure->reason == SOURCE_REFUSED)
        url_refused(t, failure);
    else if (failure && has_checked && t->found == FOUND_REFUSED && is_no_explanation(failure))
        finish(t, &t->refusal);
    else if (failure)
        finish(t, failure);
    else if (has_checked)
        check_ended(t);
    else
        ask(t);
}

/* -- For the askers ---------------------------------------------------------------------------- */

/* Takes it out of wherever it rests. True: a request is under way and is yet to end. */
static bool stop(struct log_transfer *t)
{
    if (t->state == TRANSFER_RESTS)
        net_timer_cancel(&t->timer);
    else if (t->state != TRANSFER_SENT)
        list_remove(&t->waiter.link);
    return t->state == TRANSFER_SENT;
}

static void abort_transfer(struct in_flight *e)
{
    struct log_transfer *t = list_entry(e, struct log_transfer, in_flight);

    if (stop(t))
        net_cancel(&t->request, -ECONNABORTED);
    else
        finish_with(t, -ECONNABORTED, SOURCE_CLOSING, 0);
}

static struct log_transfer *make(struct source_log *log, uint64_t from, uint64_t to)
{
    struct log_transfer *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->log = log;
    t->core = log->core;
    t->next = from;
    t->to = to;
    t->timer.fire = try_again;
    t->waiter.wake = woken;
    t->in_flight.abort = abort_transfer;
    list_push_back(&log->core->in_flight, &t->in_flight.link);
    retry_init(&t->retry, net_now_ms());
    return t;
}

void log_transfer_begin(struct source_log *log, struct source_bytes *b)
{
    struct source_failure failure = failure_make(-ENOMEM, SOURCE_BROKEN, 0);
    struct log_transfer *t = make(log, b->from, b->to);

    if (!t) {
        b->done(b, &failure);
        return;
    }
    t->want = b;
    ask(t);
}

static struct log_transfer *make_end_check(struct source_log *log,
                                           void (*seen)(struct source_log *log,
                                                        const struct source_failure *failure))
{
    struct log_transfer *t = make(log, log->size, UINT64_MAX);

    if (t)
        t->seen = seen;
    return t;
}

static struct log_transfer *make_recheck(struct source_log *log,
                                         void (*seen)(struct source_log *log,
                                                      const struct source_failure *failure))
{
    struct log_transfer *t = make(log, 0, log->start_len ? log->start_len : 1);

    if (!t)
        return NULL;
    t->seen = seen;
    t->is_recheck = true;
    log->recheck_digest = LOG_STATE_DIGEST_START;
    return t;
}

static void cancel(struct log_transfer *t)
{
    bool is_sent = stop(t);

    list_remove(&t->in_flight.link);
    t->is_dead = true;
    if (is_sent) {
        net_cancel(&t->request, -ECANCELED);
        return;
    }
    signed_url_unref(t->url);
    free(t);
}

#define JOB_EVERY_MS 60000 /* P12; remote.h bounds the new URLs */

/* Everybody is told; some may start the next inquiry from within. */
static void end_check(struct source_log *log, const struct source_failure *failure)
{
    struct list waiters, checks, *link;

    list_init(&waiters);
    list_init(&checks);
    list_splice(&waiters, &log->check_waiters);
    list_splice(&checks, &log->checks);
    log->is_checking = log->is_end_wanted = false;
    while ((link = list_take_first(&waiters))) {
        struct log_waiter *w = list_entry(link, struct log_waiter, link);
        w->wake(w, failure);
    }
    while ((link = list_take_first(&checks))) {
        struct finality_check *check = list_entry(link, struct finality_check, link);
        check->checked(log->who, failure);
        free(check);
    }
}

static void fail_check(struct source_log *log, int err, enum source_reason reason, int64_t lasts_ms)
{
    struct source_failure failure = failure_make(err, reason, net_now_ms() + lasts_ms);

    end_check(log, &failure);
}

/* -- The end of the log ------------------------------------------------------------------------ */

static void end_checked(struct source_log *log, const struct source_failure *failure)
{
    log->end_range = NULL;
    end_check(log, failure);
}

static void check_end(struct source_log *log)
{
    log->end_range = make_end_check(log, end_checked);
    if (log->end_range)
        ask(log->end_range);
    else
        fail_check(log, -ENOMEM, SOURCE_BROKEN, 0);
}

/* -- The job ----------------------------------------------------------------------------------- */

static void job_known(struct source_log *log)
{
    bool is_open = log->is_sized && !log->is_final;
    int err = 0;

    if (log->job_state == JOB_COMPLETED && is_open) {
        check_end(log);
        return;
    }
    if (log->job_state == JOB_RUNNING)
        err = log_state_report_growing(log);
    if (err < 0)
        fail_check(log, err, SOURCE_BROKEN, 0);
    else if (log->is_end_wanted && is_open)
        check_end(log);
    else
        end_check(log, NULL);
}

static int learn_job(struct source_log *log, const struct api_answer *answer)
{
    const struct source_listener *listener = &log->core->listener;
    const char *etag = net_header(&log->job_request.request, "ETag");
    struct facts_job job;
    int err = parse_job(answer->body, answer->len, &job);

    if (err < 0)
        return err;
    if (job.id != log->job) {
        facts_job_finish(&job);
        return -EPROTO;
    }
    if (job.status == FACTS_COMPLETED) {
        log->job_state = JOB_COMPLETED;
        log->completed_ms = job.completed_ms;
        log->has_no_log = !facts_may_have_log(&job);
        core_note_completed(log->core, log->job);
    } else {
        /* Once completed it stays so: an answer that says otherwise is old. */
        log->job_state = log_state_is_completed(log) ? JOB_COMPLETED : JOB_RUNNING;
    }
    log->has_steps = job.step_count > 0;
    facts_job_finish(&job);
    if (etag && strlen(etag) < sizeof(log->job_etag))
        memcpy(log->job_etag, etag, strlen(etag) + 1);
    if (listener->job_learnt)
        listener->job_learnt(listener->who, &log->repo, log->job, answer->body, answer->len);
    return 0;
}

static void job_answered(struct api_request *req, const struct api_answer *answer)
{
    struct source_log *log = list_entry(req, struct source_log, job_request);
    struct failure_verdict verdict;
    int err = 0;

    if (answer->failure) {
        end_check(log, answer->failure);
        return;
    }
    if (answer->status != 304)
        err = learn_job(log, answer);
    if (err < 0) {
        failure_judge(&(struct failure_event){.hop = FAILURE_API, .err = err}, net_now_ms(),
                      &verdict);
        end_check(log, &verdict.failure);
        return;
    }
    job_known(log);
}

static void ask_job(struct source_log *log)
{
    struct source_facts f = {.question = SOURCE_JOB, .repo = log->repo, .id = log->job};
    char *url;

    if (question_make_url(log->core->base, &f, &url) < 0) {
        fail_check(log, -ENOMEM, SOURCE_BROKEN, 0);
        return;
    }
    log->job_asked_ms = net_now_ms();
    log->job_request.turn.class = log->class;
    log->job_request.is_single = log->is_job_single;
    log->is_job_single = false;
    api_request_begin(&log->job_request, url, log->job_etag);
}

/* -- A second opinion -------------------------------------------------------------------------- */

static void rechecked(struct source_log *log, const struct source_failure *failure)
{
    log->recheck = NULL;
    if (!failure)
        log_state_judge_recheck(log);
}

/* Where it fails, the next answer that contradicts asks for another. */
static void start_recheck(struct source_log *log)
{
    if (log->recheck)
        return;
    log->recheck = make_recheck(log, rechecked);
    if (log->recheck)
        ask(log->recheck);
}

/* -- For the askers ---------------------------------------------------------------------------- */

static void start_check(struct source_log *log)
{
    if (log->is_checking)
        return;
    log->is_checking = true;
    ask_job(log);
}

void log_transfer_prepare(struct source_log *log)
{
    log->inquire = start_check;
    log->start_recheck = start_recheck;
    api_request_init(&log->job_request, log->core, REQUEST_FACTS, SOURCE_PREFETCH, job_answered);
}

void log_transfer_check(struct source_log *log, struct finality_check *check)
{
    bool is_due = !log->job_asked_ms || net_now_ms() - log->job_asked_ms >= JOB_EVERY_MS;

    list_push_back(&log->checks, &check->link);
    if (log_state_is_completed(log))
        log->job_state = JOB_COMPLETED;
    log->is_end_wanted = true;
    if (log->is_checking)
        return;
    log->is_checking = true;
    if (log->is_final)
        end_check(log, NULL);
    else if (is_due && log->job_state != JOB_COMPLETED)
        ask_job(log);
    else
        job_known(log);
}

void log_transfer_cancel_all(struct source_log *log)
{
    struct list *link;

    api_request_cancel(&log->job_request);
    api_request_finish(&log->job_request);
    if (log->end_range)
        cancel(log->end_range);
    if (log->recheck)
        cancel(log->recheck);
    while ((link = list_take_first(&log->checks)))
        free(list_entry(link, struct finality_check, link));
}
