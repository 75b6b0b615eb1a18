#include "github/log_transfer.h"

#include "github/endpoints.h"
#include "github/headers.h"
#include "github/parse.h"
#include "hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RENEWALS_MAX 3   /* URLs given up in a row, as faults that must not be noticed (R1) */
#define RENEWED_MS 60000 /* a URL's documented life */
#define PENDING_MS 3000
#define AGAIN_MAX 10 /* whole bodies, to be sure where they end: three cuts, and those that agree */
#define BROKEN_MS 1000     /* what could not be made sure is asked for again after */
#define JOB_EVERY_MS 60000 /* P12; log_state_is_url_too_costly bounds the new URLs */
#define JUNK_MAX 65536     /* bytes read only to keep a connection */

/* What the response under way turned out to be. */
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

struct log_transfer {
    struct source_log *log;
    struct source_bytes *want; /* NULL: it serves a check, and delivers nothing */
    bool is_recheck;           /* of the log's start; else, without a want, of its end */
    uint64_t next, to;         /* not delivered yet: [next, to) */
    struct attempt attempt;
    struct log_waiter waiter;
    unsigned renewals; /* URLs given up since bytes last came */
    bool has_checked;  /* has waited for a finality check; once is enough */
    struct source_failure refusal;
    uint64_t ended_at; /* the furthest end of a body that only its connection's end marked */
    unsigned endings;  /* how many ended just there */
    unsigned again; /* bodies that came whole and were asked for again, to be sure of their end */
    bool may_be_empty; /* the job ran no steps */

    /* The attempt under way. */
    struct signed_url *url;
    char line[64];
    const char *headers[2];
    bool after_completion; /* the job was seen completed before it was sent */
    uint64_t asked_to;     /* where what it asks for ends */
    bool is_all;           /* its body is the whole log, though more than asked for */
    enum found found;
    int err;
    struct refusals_print print; /* of a body that is no log */
    uint64_t at, end;            /* in the log: the body's next byte, and where it ends */
    uint64_t junk;
    bool is_doubted;            /* no byte of the body counts before it has begun like a log */
    struct response_info info;  /* a whole body's, which is not taken into account before that */
    char start[RESPONSE_START]; /* its first bytes */
    char type[RESPONSE_TYPE];   /* of an answer that is no log; "": that was not why */
};

static void ask(struct log_transfer *t);
static void await_check(struct log_transfer *t);
static void start_check(struct source_log *log);
static void start_recheck(struct source_log *log);
static void on_rechecked(struct source_log *log, const struct source_failure *failure);
static void on_end_checked(struct source_log *log, const struct source_failure *failure);

/* -- Headers ----------------------------------------------------------------------------------- */

/* Refuses the response: it is read no further. */
static int refuse(struct log_transfer *t, enum found found, int err)
{
    t->found = found;
    t->err = err;
    return -ECANCELED;
}

/* Takes the size and what it proves into account. 0 or refuse()'s value. */
static int learn(struct log_transfer *t, const struct response_info *info)
{
    struct source_log *log = t->log;
    int err = log_state_learn(log, info, t->after_completion, t->is_all);

    if (err == -ESTALE) {
        if (log->known.final && log->rival_votes >= LOG_STATE_VOTES - 1)
            start_recheck(log);
        return refuse(t, FOUND_WRONG, err);
    }
    if (!err && t->has_checked && log->job_state == JOB_RUNNING)
        err = log_state_report_growing(log);
    if (err)
        return refuse(t, FOUND_UNWANTED, err);
    /* Not known yet whether it is final: to be found out while the bytes come. */
    if (!log->is_reported && !log->is_weak && log->is_sized && !t->has_checked)
        start_check(log);
    return 0;
}

static int take_part(struct log_transfer *t, struct response_info *info)
{
    info->is_weak = info->is_sized && info->end < info->size && info->end < t->asked_to;
    if (info->first != t->next || info->end > t->asked_to || (!info->is_sized && !t->log->is_sized))
        return refuse(t, FOUND_WRONG, -EIO);
    if (learn(t, info) < 0)
        return -ECANCELED;
    t->found = t->want ? FOUND_STREAM : FOUND_COMPLETE;
    t->at = info->first;
    t->end = info->end;
    return !t->want && info->end - info->first > JUNK_MAX ? -ECANCELED : 0;
}

/* Takes into account what the headers of a whole body say. 0 or refuse()'s value. */
static int accept_whole(struct log_transfer *t)
{
    t->is_doubted = false;
    t->is_all = t->want && !t->log->is_reported;
    if (t->is_all)
        t->to = UINT64_MAX;
    if (learn(t, &t->info) < 0)
        return -ECANCELED;
    if (t->want || !t->info.is_sized)
        return 0;
    t->found = FOUND_COMPLETE;
    return -ECANCELED;
}

/* From a server without ranges, one that ignored the range this time, or not storage at all. */
static int take_whole(struct log_transfer *t, const struct response_info *info)
{
    /* Whether it may be taken as it is, or a later one would be another. */
    bool is_proved = info->is_final || t->after_completion || t->log->is_reported || t->has_checked;

    if (t->want && !is_proved)
        return refuse(t, FOUND_UNPROVED, 0);
    if (t->want && info->is_sized && info->size == 0 && !t->may_be_empty)
        return refuse(t, FOUND_EMPTY, 0);
    t->found = FOUND_STREAM;
    t->at = 0;
    t->end = info->end;
    t->info = *info;
    t->info.is_weak = info->is_sized && info->size > 0;
    t->is_doubted = t->want && !info->is_blob;
    return t->is_doubted ? 0 : accept_whole(t);
}

/* There is nothing from `next` on: the log is empty, or ends there. That is a size too, where the
 * header that names it is missing. */
static int take_nothing(struct log_transfer *t, struct response_info *info)
{
    const struct source_log *log = t->log;
    uint64_t end = log->is_sized ? log->known.size : t->ended_at;

    if (!info->is_sized && t->next == end) {
        info->is_sized = true;
        info->size = t->next;
    }
    if (info->is_sized && info->size > t->next)
        return refuse(t, FOUND_WRONG, -EIO);
    if (info->is_sized && learn(t, info) < 0)
        return -ECANCELED;
    if (!log->is_sized || t->next < log->known.size)
        return refuse(t, FOUND_WRONG, -EIO);
    t->found = FOUND_COMPLETE;
    return 0;
}

/* The start of the log once more: log_state_judge_recheck decides what it means. */
static int take_recheck(struct log_transfer *t, int status, const struct response_info *info)
{
    if (status == 416 || !info->is_sized || (status == 206 && info->first != t->next))
        return refuse(t, FOUND_WRONG, -EIO);
    t->log->recheck_info = *info;
    t->found = info->size < t->to ? FOUND_COMPLETE : FOUND_STREAM;
    t->at = info->first;
    t->end = info->end;
    return info->size < t->to ? -ECANCELED : 0;
}

static int on_head(struct net_request *request, int status)
{
    struct log_transfer *t = list_entry(request, struct log_transfer, attempt.request);
    struct response_info info;
    int err;

    attempt_note_answer(&t->attempt, status);
    if (status == 404) {
        t->found = FOUND_ABSENT;
        return 0;
    }
    if (status != 200 && status != 206 && status != 416) {
        response_read_type(request, t->type);
        return 0;
    }
    err = response_info_read(request, status, &info);
    if (err == -ENOMSG)
        response_read_type(request, t->type);
    if (err < 0)
        return refuse(t, FOUND_WRONG, err);
    if (t->is_recheck)
        return take_recheck(t, status, &info);
    if (status == 206)
        return take_part(t, &info);
    return status == 200 ? take_whole(t, &info) : take_nothing(t, &info);
}

/* -- Bytes ------------------------------------------------------------------------------------- */

/* Where this transfer ends, as far as that is known. */
static uint64_t goal_of(const struct log_transfer *t)
{
    if (!t->is_recheck && t->log->is_sized && t->log->known.size < t->to)
        return t->log->known.size;
    return t->to;
}

static uint64_t stop_of(const struct log_transfer *t)
{
    return t->end < goal_of(t) ? t->end : goal_of(t);
}

/* Delivers those of these bytes that are wanted next; the first is the log's at `at`. A byte counts
 * when it was taken. NET_TAKEN, NET_PAUSE or refuse()'s value. */
static int deliver(struct log_transfer *t, uint64_t at, const char *data, size_t len)
{
    struct source_log *log = t->log;
    uint64_t skip = t->next > at ? t->next - at : 0, stop = stop_of(t), most;
    int taken = SOURCE_TAKEN;

    if ((!t->want && !t->is_recheck) || skip >= len || t->next >= stop)
        return NET_TAKEN;
    most = len - skip < stop - t->next ? len - skip : stop - t->next;
    if (t->want)
        taken = t->want->bytes(t->want, t->next, data + skip, most);
    if (taken < 0)
        return refuse(t, FOUND_UNWANTED, taken);
    if (taken == SOURCE_FULL)
        return NET_PAUSE;
    if (t->want)
        log_state_note_bytes(log, t->next, data + skip, most);
    else
        log->recheck_digest = hash_bytes(log->recheck_digest, data + skip, most);
    t->next += most;
    retry_note_progress(&t->attempt.retry, net_now_ms());
    t->renewals = 0;
    return NET_TAKEN;
}

/* The first `len` bytes of a body in doubt are known. 0 or refuse()'s value. */
static int settle_doubt(struct log_transfer *t, size_t len)
{
    if (!response_begins_like_log(t->start, len))
        return refuse(t, FOUND_WRONG, -ENOMSG);
    return accept_whole(t);
}

/* Keeps the start of a body in doubt, and settles the doubt once it is long enough; `at` stays
 * behind what is kept for good. 0 or refuse()'s value. */
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

static int on_body(struct net_request *request, const void *data, size_t len)
{
    struct log_transfer *t = list_entry(request, struct log_transfer, attempt.request);
    uint64_t stop;
    bool is_last;
    int err;

    attempt_note_answer(&t->attempt, t->attempt.status);
    if (t->found != FOUND_STREAM) {
        refusals_print_add(&t->print, data, len);
        t->junk += len;
        return t->junk > JUNK_MAX ? -ECANCELED : NET_TAKEN;
    }
    if (t->log->rejected)
        return refuse(t, FOUND_UNWANTED, t->log->rejected);
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

/* A body in doubt has ended before it was recognised. 0: it is a log, and all of it was delivered.
 * Negative: it is not, or not now. */
static int take_short(struct log_transfer *t)
{
    int err = settle_doubt(t, (size_t)t->at);

    if (!err && deliver(t, 0, t->start, (size_t)t->at) != NET_TAKEN)
        err = -EIO;
    return err;
}

/* A body without a promised length has ended in good order: that is its length. 0 or refuse()'s
 * value. */
static int take_length(struct log_transfer *t)
{
    const struct net_request *r = &t->attempt.request;
    struct response_info info = {
        .is_sized = true, .size = t->at, .end = t->at, .last_modified_ms = -1};
    int64_t modified_s;

    if (parse_http_date(net_header(r, "Last-Modified"), net_wall_s(), &modified_s) == 0)
        info.last_modified_ms = modified_s * 1000;
    info.is_unframed = !net_header(r, "Transfer-Encoding");
    return learn(t, &info);
}

/* -- Its end ----------------------------------------------------------------------------------- */

/* Cancels and frees it, without a callback. */
static void destroy(struct log_transfer *t)
{
    list_remove(&t->waiter.link);
    attempt_cancel(&t->attempt);
    signed_url_unref(t->url);
    free(t);
}

static void finish(struct log_transfer *t, const struct source_failure *failure)
{
    struct source_log *log = t->log;
    struct source_bytes *want = t->want;
    bool is_recheck = t->is_recheck;
    struct source_failure copy;

    if (failure) /* it may be in what is freed */
        copy = *failure;
    destroy(t);
    failure = failure ? &copy : NULL;
    if (want)
        want->done(want, failure);
    else if (is_recheck)
        on_rechecked(log, failure);
    else
        on_end_checked(log, failure);
}

static void finish_with(struct log_transfer *t, int err, enum source_reason reason,
                        int64_t lasts_ms)
{
    struct source_failure failure = failure_make(err, reason, net_now_ms() + lasts_ms);

    finish(t, &failure);
}

static void on_fail(struct attempt *a, const struct source_failure *failure)
{
    finish(list_entry(a, struct log_transfer, attempt), failure);
}

/* No log yet: the first block of a running job's log has not been written. */
static void finish_pending(struct log_transfer *t)
{
    finish_with(t, -ENOENT, SOURCE_PENDING, PENDING_MS);
}

/* All bytes are delivered; done() must come after on_metadata(). */
static void complete(struct log_transfer *t)
{
    const struct source_log *log = t->log;

    t->found = FOUND_COMPLETE;
    if (!t->want || log->is_reported)
        finish(t, NULL);
    else if (log->is_weak && t->again++ < AGAIN_MAX)
        ask(t);
    else if (!t->has_checked)
        await_check(t);
    else if (log->is_sized && log->known.size == 0)
        finish_pending(t);
    else
        finish_with(t, -EIO, SOURCE_BROKEN, BROKEN_MS);
}

/* -- Failures ---------------------------------------------------------------------------------- */

static void log_failure(const struct log_transfer *t, const struct failure_event *event,
                        const struct source_failure *failure)
{
    struct core *core = t->log->core;
    char words[RESPONSE_TYPE + sizeof(REFUSED_HINT) + 80];

    if (event->err && event->err != -ENOMSG) {
        core_log_error(core, FAILURE_STORAGE, &t->url->at, t->attempt.cause, event->err);
        return;
    }
    if (event->err)
        snprintf(words, sizeof(words),
                 "the response%s%s%s is not a log: check whether a proxy answers instead",
                 t->type[0] ? " (" : "", t->type, t->type[0] ? ")" : "");
    else
        snprintf(words, sizeof(words), "status %d%s%s", event->status,
                 strcasecmp(t->type, "text/html") ? "" : ": check whether a proxy answers instead",
                 failure->reason == SOURCE_REFUSED ? REFUSED_HINT : "");
    core_log(core, core_get_level(event, failure), FAILURE_STORAGE, &t->url->at, words);
}

/* Each new URL is charged: where several in a row are refused, as by a proxy, more of them do not
 * help, unless the one at hand has grown old meanwhile. */
static void renew_url(struct log_transfer *t, int64_t now_ms)
{
    if (t->renewals >= RENEWALS_MAX && now_ms - t->url->obtained_ms < RENEWED_MS)
        return;
    if (t->renewals > 0 && !refusals_take_retry(&t->log->core->refusals, now_ms))
        return;
    t->renewals++;
    log_state_drop_url(t->log, t->url);
}

/* Another attempt from the first byte that is missing, or the end. */
static void handle_failure(struct log_transfer *t, int err)
{
    struct failure_event event = {.hop = FAILURE_STORAGE, .err = err, .status = t->attempt.status};
    int64_t now_ms = net_now_ms();
    struct failure_verdict verdict;

    failure_judge(&event, now_ms, &verdict);
    if (verdict.is_refusal) {
        /* An old URL may just have expired, so its refusal must come several times. The next
         * request for a refused log takes a new URL. */
        bool is_young = now_ms - t->url->obtained_ms < RENEWED_MS;
        bool is_renewed = verdict.retry == RETRY_RENEWED;
        uint64_t answer = refusals_print_finish(&t->print, t->url->at.host, event.status);
        attempt_judge_refusal(&t->attempt, t->log->key, answer, is_young, t->log->class, &verdict);
        if (is_renewed && verdict.failure.reason == SOURCE_REFUSED)
            log_state_drop_url(t->log, t->url);
    }
    if (verdict.retry == RETRY_RENEWED)
        renew_url(t, now_ms);
    if (attempt_retry(&t->attempt, &verdict)) {
        signed_url_unref(t->url);
        t->url = NULL;
        return;
    }
    if (verdict.failure.reason != SOURCE_LIMITED)
        log_failure(t, &event, &verdict.failure);
    finish(t, &verdict.failure);
}

/* -- What came of it --------------------------------------------------------------------------- */

/*
 * Neither a length nor a last chunk: the end of the connection is the end of the body, or a cut
 * that nothing else tells from it. It is believed when more responses end at the same place, and
 * none behind it, than may be cut unnoticed.
 */
static bool is_end_doubtful(struct log_transfer *t)
{
    if (t->end != UINT64_MAX || net_header(&t->attempt.request, "Transfer-Encoding"))
        return false;
    if (t->at > t->ended_at)
        t->endings = 0;
    if (t->at >= t->ended_at) {
        t->endings++;
        t->ended_at = t->at;
    }
    return t->endings < LOG_STATE_VOTES;
}

/* The body is empty. The log of a job that has run steps is not; a running job's has not begun. */
static void judge_empty(struct log_transfer *t)
{
    const struct source_log *log = t->log;

    if (!t->has_checked) {
        await_check(t);
    } else if (log->job_state != JOB_COMPLETED) {
        finish_pending(t);
    } else if (log->has_steps) {
        handle_failure(t, -ENOMSG);
    } else {
        t->may_be_empty = true;
        ask(t);
    }
}

/* The stream has ended, in good order if err is 0. */
static void judge_stream(struct log_transfer *t, int err)
{
    if (!err && t->want && t->at == 0 && t->end == UINT64_MAX && !t->may_be_empty) {
        t->found = FOUND_EMPTY;
        judge_empty(t);
        return;
    }
    if (!err && t->is_doubted && take_short(t) < 0) {
        handle_failure(t, t->found == FOUND_WRONG ? t->err : -EIO);
        return;
    }
    if (!err && is_end_doubtful(t)) {
        if (t->again++ < AGAIN_MAX)
            ask(t);
        else
            finish_with(t, -EIO, SOURCE_BROKEN, BROKEN_MS);
        return;
    }
    if (!err && t->end == UINT64_MAX && take_length(t) < 0) {
        if (t->found == FOUND_UNWANTED)
            finish_with(t, t->err, SOURCE_BROKEN, 0);
        else
            handle_failure(t, t->err);
        return;
    }
    if ((!t->want && !t->is_recheck) || t->next >= goal_of(t))
        complete(t);
    else if (!err && t->at == t->end)
        ask(t); /* a server may respond with less than was asked for */
    else
        handle_failure(t, err && err != -ECANCELED ? err : -EIO);
}

/* Storage has no log. There will never be one if the job was completed before storage was asked, or
 * has never run. */
static void judge_absent(struct log_transfer *t)
{
    const struct source_log *log = t->log;
    int64_t completed_s = log->known.completed_ms < 0 ? -1 : log->known.completed_ms / 1000;
    struct source_failure failure;

    /* A transfer that serves a check must not wait for it. */
    if (t->want && !t->has_checked && completed_s < 0) {
        await_check(t);
    } else if (log->has_no_log || (log->job_state == JOB_COMPLETED && t->after_completion)) {
        failure = failure_make_never(completed_s, net_now_ms(), net_wall_s());
        finish(t, &failure);
    } else if (log->job_state == JOB_COMPLETED) {
        ask(t);
    } else {
        finish_pending(t);
    }
}

/* The API refuses to give a URL, and the job's state is known. If the job has ended since the first
 * refusal, its log may be there now. */
static void judge_url_refusal(struct log_transfer *t)
{
    struct refusals *rs = &t->log->core->refusals;
    uint64_t key = t->log->url_request.key;

    if (!log_state_is_completed(t->log)) {
        refusals_note_running(rs, key);
        finish_pending(t);
    } else if (refusals_is_of_running(rs, key)) {
        refusals_clear(rs, key);
        ask(t);
    } else {
        finish(t, &t->refusal);
    }
}

/* What is to be done about what was found; err: how the response ended. */
static void judge(struct log_transfer *t, int err)
{
    switch (t->found) {
    case FOUND_STREAM: judge_stream(t, err); break;
    case FOUND_COMPLETE: complete(t); break;
    case FOUND_ABSENT: judge_absent(t); break;
    case FOUND_EMPTY: judge_empty(t); break;
    case FOUND_UNPROVED: t->has_checked ? ask(t) : await_check(t); break;
    case FOUND_UNWANTED: finish_with(t, t->err, SOURCE_BROKEN, 0); break;
    case FOUND_WRONG: handle_failure(t, t->err); break;
    case FOUND_NOTHING: handle_failure(t, t->attempt.status ? 0 : err); break;
    case FOUND_REFUSED: judge_url_refusal(t); break;
    }
}

static void on_answered(struct attempt *a, int err)
{
    struct log_transfer *t = list_entry(a, struct log_transfer, attempt);

    if (a->is_cancelled)
        return;
    if (t->found != FOUND_NOTHING && err != -ECONNABORTED)
        refusals_clear(&a->core->refusals, t->log->key);
    if (err == -ECONNABORTED)
        handle_failure(t, err);
    else
        judge(t, err);
}

/* -- The URL ----------------------------------------------------------------------------------- */

/*
 * The API refuses to give one. For a running job that means "no log yet", and a request for the job
 * tells which it is. It counts as a retry, unless what is known of the job makes it free. While a
 * job runs, each want costs one request: for the log if the refusal has to be verified again, else
 * for the job.
 */
static void on_url_refused(struct log_transfer *t, const struct source_failure *failure)
{
    struct source_log *log = t->log;
    struct refusals *rs = &log->core->refusals;
    bool is_free = log->is_checking || log->job_etag[0];
    bool is_new = log->url_request.attempt.retry.refusal;

    t->found = FOUND_REFUSED;
    t->refusal = *failure;
    if (!t->want || t->has_checked) {
        finish(t, failure);
    } else if (log_state_is_completed(log)) {
        judge_url_refusal(t);
    } else if (is_new && refusals_is_of_running(rs, log->url_request.key)) {
        finish_pending(t);
    } else if (is_free || refusals_take_retry(rs, net_now_ms())) {
        log->is_job_single = true;
        await_check(t);
    } else {
        finish(t, failure);
    }
}

static void on_url(struct log_waiter *w, const struct source_failure *failure)
{
    struct log_transfer *t = list_entry(w, struct log_transfer, waiter);

    if (!failure)
        ask(t);
    else if (failure->reason == SOURCE_REFUSED)
        on_url_refused(t, failure);
    else
        finish(t, failure);
}

/* -- An attempt -------------------------------------------------------------------------------- */

static void send_request(struct log_transfer *t, struct signed_url *url)
{
    struct source_log *log = t->log;
    /* While only one response has shown where the log ends, a request for the end asks for a byte
     * more: storage shows whether there is one. */
    bool is_end = t->want && log->known.final && !log->known.proven && t->to == log->known.size;

    t->asked_to = is_end ? t->to + 1 : t->to;
    if (t->asked_to == UINT64_MAX)
        snprintf(t->line, sizeof(t->line), "Range: bytes=%" PRIu64 "-", t->next);
    else
        snprintf(t->line, sizeof(t->line), "Range: bytes=%" PRIu64 "-%" PRIu64, t->next,
                 t->asked_to - 1);
    t->headers[0] = t->line;
    url->refs++;
    signed_url_unref(t->url);
    t->url = url;
    t->after_completion = log_state_is_completed(log);
    t->found = FOUND_NOTHING;
    t->err = 0;
    t->junk = 0;
    t->print = (struct refusals_print){.len = 0};
    t->is_doubted = false;
    t->type[0] = '\0';
    atomic_fetch_add(&log->core->storage_requests, 1);
    progress_wait_note(log->waits_for, PROGRESS_STORAGE, 0);
    queue_take_connection(&log->core->queue);
    attempt_send(&t->attempt, &url->at,
                 &(struct net_request){
                     .url = url->text,
                     .headers = t->headers,
                     .express = true,
                     .body_max = UINT64_MAX,
                     .on_head = on_head,
                     .on_body = on_body,
                 });
}

static void ask(struct log_transfer *t)
{
    struct source_log *log = t->log;
    struct core *core = log->core;
    struct signed_url *url = log_state_usable_url(log);
    bool is_end_check = !t->want && !t->is_recheck;
    struct source_failure failure;
    int64_t until_ms = 0;
    int err;

    if (core_refuses(core, &failure)) {
        finish(t, &failure);
    } else if (log->is_other) {
        finish_with(t, -EIO, SOURCE_CHANGED, BROKEN_MS);
    } else if (!t->attempt.retry.refusal &&
               refusals_find(&core->refusals, log->key, net_now_ms(), &until_ms)) {
        failure = failure_make(-EIO, SOURCE_REFUSED, until_ms);
        finish(t, &failure);
    } else if (!url && is_end_check && log_state_is_url_too_costly(log)) {
        finish(t, NULL);
    } else if (!url) {
        t->waiter.wake = on_url;
        log_state_want_url(log, &t->waiter);
    } else if ((err = hosts_ask(&core->hosts, &url->at, net_now_ms(), &until_ms)) < 0) {
        failure = failure_make(err, SOURCE_UNREACHABLE, until_ms);
        finish(t, &failure);
    } else {
        send_request(t, url);
    }
}

static void try_again(struct net_timer *timer)
{
    ask(list_entry(timer, struct log_transfer, attempt.timer));
}

/* The finality check has ended: what it was wanted for is judged again. */
static void on_checked(struct log_waiter *w, const struct source_failure *failure)
{
    struct log_transfer *t = list_entry(w, struct log_transfer, waiter);
    /* The question about the job failed without telling anything of the job. */
    bool is_no_answer = failure &&
                        (failure->reason == SOURCE_BROKEN || failure->reason == SOURCE_REFUSED ||
                         failure->reason == SOURCE_PROTOCOL);

    if (failure)
        finish(t, is_no_answer && t->found == FOUND_REFUSED ? &t->refusal : failure);
    else if (t->log->rejected)
        finish_with(t, t->log->rejected, SOURCE_BROKEN, 0);
    else
        judge(t, 0);
}

/* Waits for the end of the finality check that is under way or starts now. */
static void await_check(struct log_transfer *t)
{
    t->has_checked = true;
    t->waiter.wake = on_checked;
    list_push_back(&t->log->check_waiters, &t->waiter.link);
    start_check(t->log);
}

/* -- Beginning --------------------------------------------------------------------------------- */

static struct log_transfer *create(struct source_log *log, uint64_t from, uint64_t to)
{
    struct log_transfer *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->log = log;
    t->next = from;
    t->to = to;
    t->attempt.core = log->core;
    t->attempt.waits_for = log->waits_for;
    t->attempt.answered = on_answered;
    t->attempt.fail = on_fail;
    t->attempt.timer.fire = try_again;
    attempt_begin(&t->attempt);
    return t;
}

void log_transfer_begin(struct source_bytes *b)
{
    struct source_failure failure = failure_make(-ENOMEM, SOURCE_BROKEN, 0);
    struct log_transfer *t = create(b->log, b->from, b->to);

    if (!t) {
        b->done(b, &failure);
        return;
    }
    t->want = b;
    ask(t);
}

/* -- The recheck ------------------------------------------------------------------------------- */

static void on_rechecked(struct source_log *log, const struct source_failure *failure)
{
    log->recheck = NULL;
    if (!failure)
        log_state_judge_recheck(log);
}

/* Fetches the start of the log once more, as far as it was delivered. If that fails, the next
 * response that contradicts starts another. */
static void start_recheck(struct source_log *log)
{
    if (log->recheck)
        return;
    log->recheck = create(log, 0, log->start_len ? log->start_len : 1);
    if (!log->recheck)
        return;
    log->recheck->is_recheck = true;
    log->recheck_digest = HASH_START;
    ask(log->recheck);
}

/* -- The finality check ------------------------------------------------------------------------ */

/* All waiters are notified; a callback may start the next check. */
static void end_check(struct source_log *log, const struct source_failure *failure)
{
    void (*checked)(void *who, const struct source_failure *failure) = log->checked;

    log->is_checking = log->is_end_wanted = false;
    log->checked = NULL;
    log_waiters_wake(&log->check_waiters, failure);
    if (checked)
        checked(log->who, failure);
}

static void fail_check(struct source_log *log, int err)
{
    struct source_failure failure = failure_make(err, SOURCE_BROKEN, net_now_ms());

    end_check(log, &failure);
}

static void on_end_checked(struct source_log *log, const struct source_failure *failure)
{
    log->end_check = NULL;
    end_check(log, failure);
}

/* The state of the job is known: the end of the log is asked for, if that may tell anything. */
static void check_end(struct source_log *log)
{
    bool is_open = log->is_sized && !log->known.final;
    bool is_completed = log->job_state == JOB_COMPLETED;
    int err = 0;

    if (log->job_state == JOB_RUNNING)
        err = log_state_report_growing(log);
    if (err < 0) {
        fail_check(log, err);
    } else if (is_open && (is_completed || log->is_end_wanted)) {
        log->end_check = create(log, log->known.size, UINT64_MAX);
        if (log->end_check)
            ask(log->end_check);
        else
            fail_check(log, -ENOMEM);
    } else {
        end_check(log, NULL);
    }
}

static int learn_job(struct source_log *log, const struct api_answer *answer)
{
    const struct source_listener *listener = &log->core->listener;
    const char *etag = net_header(&log->job_request.attempt.request, "ETag");
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
        log->known.completed_ms = job.completed_ms;
        log->has_no_log = !facts_may_have_log(&job);
        core_note_completed(log->core, log->job);
    } else {
        /* Once completed it stays so: an answer to the contrary is old. */
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

static void on_job(struct api_request *req, const struct api_answer *answer)
{
    struct source_log *log = list_entry(req, struct source_log, job_request);
    struct failure_event event = {.hop = FAILURE_API};
    struct failure_verdict verdict;

    if (answer->failure) {
        end_check(log, answer->failure);
        return;
    }
    if (answer->status != 304)
        event.err = learn_job(log, answer);
    if (event.err < 0) {
        failure_judge(&event, net_now_ms(), &verdict);
        end_check(log, &verdict.failure);
    } else {
        check_end(log);
    }
}

static void ask_job(struct source_log *log)
{
    struct source_facts f = {.question = SOURCE_JOB, .repo = log->repo, .id = log->job};
    struct api_request *req = &log->job_request;
    char *url;

    if (endpoint_make_url(log->core->base, &f, false, &url) < 0) {
        fail_check(log, -ENOMEM);
        return;
    }
    log->job_asked_ms = net_now_ms();
    req->queued.class = log->class;
    req->is_single = log->is_job_single;
    log->is_job_single = false;
    api_request_begin(req, url, log->job_etag);
}

static void start_check(struct source_log *log)
{
    if (log->is_checking)
        return;
    log->is_checking = true;
    ask_job(log);
}

void source_log_check(struct source_log *log,
                      void (*checked)(void *who, const struct source_failure *failure))
{
    bool is_due = !log->job_asked_ms || net_now_ms() - log->job_asked_ms >= JOB_EVERY_MS;

    log->checked = checked;
    if (log_state_is_completed(log))
        log->job_state = JOB_COMPLETED;
    log->is_end_wanted = true;
    if (log->is_checking)
        return;
    log->is_checking = true;
    if (log->known.final)
        end_check(log, NULL);
    else if (is_due && log->job_state != JOB_COMPLETED)
        ask_job(log);
    else
        check_end(log);
}

/* -- The log ----------------------------------------------------------------------------------- */

struct source_log *source_log_create(struct core *core, const struct repo_name *repo, uint64_t job,
                                     bool completed, const struct source_log_ops *ops, void *who,
                                     struct progress_wait *waits_for)
{
    struct source_log *log = log_state_create(core, repo, job, completed, ops, who);

    if (!log)
        return NULL;
    api_request_init(&log->job_request, core, REQUEST_FACTS, SOURCE_PREFETCH, on_job);
    log->waits_for = waits_for;
    log->url_request.attempt.waits_for = log->job_request.attempt.waits_for = waits_for;
    return log;
}

void source_log_destroy(struct source_log *log)
{
    if (log->end_check)
        destroy(log->end_check);
    if (log->recheck)
        destroy(log->recheck);
    log_state_destroy(log);
}
