#include "github/archive_transfer.h"

#include "github/endpoints.h"
#include "github/log_state.h"
#include "github/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct archive_transfer {
    struct source_archive *want;
    archive_transfer_done *done;
    struct api_request url_request;
    struct attempt attempt;
    struct signed_url *url;
    int err; /* what was found wrong with the response */
    char type[RESPONSE_TYPE];
};

static void finish(struct archive_transfer *t, const struct source_failure *failure)
{
    struct source_archive *want = t->want;
    archive_transfer_done *done = t->done;
    struct core *core = t->attempt.core;
    struct source_failure copy = {0};

    if (failure) /* it may be in what is freed */
        copy = *failure;
    api_request_finish(&t->url_request);
    attempt_cancel(&t->attempt);
    signed_url_unref(t->url);
    free(t);
    want->transfer = NULL;
    done(core, want, failure ? &copy : NULL);
}

static void finish_with(struct archive_transfer *t, int err, enum source_reason reason)
{
    struct source_failure failure = failure_make(err, reason, net_now_ms());

    finish(t, &failure);
}

static void on_fail(struct attempt *a, const struct source_failure *failure)
{
    finish(list_entry(a, struct archive_transfer, attempt), failure);
}

/* -- The archive ------------------------------------------------------------------------------- */

/* GitHub says application/zip; a service that says nothing may still send one. */
bool response_is_zip_type(const char *type)
{
    static const char *const types[] = {"", "application/zip", "application/x-zip-compressed",
                                        "application/octet-stream", "binary/octet-stream"};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (!strcasecmp(type, types[i]))
            return true;
    return false;
}

static int on_head(struct net_request *request, int status)
{
    struct archive_transfer *t = list_entry(request, struct archive_transfer, attempt.request);

    attempt_note_answer(&t->attempt, status);
    response_read_type(request, t->type);
    if (status != 200)
        t->err = -EIO;
    else if (!response_is_zip_type(t->type))
        t->err = -EPROTO;
    return t->err;
}

static int on_body(struct net_request *request, const void *data, size_t len)
{
    struct archive_transfer *t = list_entry(request, struct archive_transfer, attempt.request);
    int rc = t->want->bytes(t->want, data, len);

    attempt_note_answer(&t->attempt, t->attempt.status);
    return rc == SOURCE_FULL ? NET_PAUSE : rc < 0 ? rc : NET_TAKEN;
}

static void log_failure(const struct archive_transfer *t, const struct failure_event *event)
{
    char words[RESPONSE_TYPE + 80];

    if (event->err && t->err != -EPROTO) {
        core_log_error(t->attempt.core, FAILURE_STORAGE, &t->url->at, t->attempt.cause, event->err);
        return;
    }
    if (t->err == -EPROTO)
        snprintf(words, sizeof(words),
                 "the response (%s) is not an archive: check whether a proxy answers instead",
                 t->type);
    else
        snprintf(words, sizeof(words), "archive: status %d", event->status);
    core_log(t->attempt.core, t->err == -EPROTO ? DIAG_WARNING : DIAG_NOTICE, FAILURE_STORAGE,
             &t->url->at, words);
}

static void on_answered(struct attempt *a, int err)
{
    struct archive_transfer *t = list_entry(a, struct archive_transfer, attempt);
    struct failure_event event = {.hop = FAILURE_STORAGE, .status = a->status};
    struct failure_verdict verdict;

    if (a->is_cancelled)
        return;
    if (!err && !t->err) {
        finish(t, NULL);
        return;
    }
    event.err = t->err == -EIO ? 0 : err;
    failure_judge(&event, net_now_ms(), &verdict);
    attempt_give_up(a, &verdict);
    log_failure(t, &event);
    finish(t, &verdict.failure);
}

/* -- Its URL ----------------------------------------------------------------------------------- */

static void on_url(struct api_request *req, const struct api_answer *answer)
{
    struct archive_transfer *t = list_entry(req, struct archive_transfer, url_request);
    struct core *core = t->attempt.core;
    int64_t until_ms;
    int status = t->url_request.attempt.status, err;

    /* A refusal of the rate limit says nothing of the archive; a 5xx may well be for good. */
    t->want->was_answered = status && (status >= 500 || !answer->failure ||
                                       answer->failure->reason != SOURCE_LIMITED);
    if (answer->failure) {
        finish(t, answer->failure);
        return;
    }
    err = signed_url_create(core, answer->location, &t->url);
    if (!err)
        err = hosts_ask(&core->hosts, &t->url->at, net_now_ms(), &until_ms);
    if (err < 0) {
        finish_with(t, err, err == -EPROTO ? SOURCE_PROTOCOL : SOURCE_UNREACHABLE);
        return;
    }
    atomic_fetch_add(&core->storage_requests, 1);
    progress_wait_note(t->want->waits_for, PROGRESS_STORAGE, 0);
    queue_take_connection(&core->queue);
    attempt_send(&t->attempt, &t->url->at,
                 &(struct net_request){
                     .url = t->url->text,
                     .express = true,
                     .body_max = UINT64_MAX,
                     .on_head = on_head,
                     .on_body = on_body,
                 });
}

void archive_transfer_begin(struct core *core, struct source_archive *a,
                            archive_transfer_done *done)
{
    struct archive_transfer *t = calloc(1, sizeof(*t));
    struct source_failure failure = failure_make(-ENOMEM, SOURCE_BROKEN, net_now_ms());
    char *url;

    if (!t || core_refuses(core, &failure) || endpoint_make_archive_url(core->base, a, &url) < 0) {
        free(t);
        done(core, a, &failure);
        return;
    }
    t->want = a;
    t->done = done;
    a->transfer = t;
    t->attempt.core = core;
    t->attempt.answered = on_answered;
    t->attempt.fail = on_fail;
    attempt_begin(&t->attempt);
    api_request_init(&t->url_request, core, REQUEST_LOG_URL, a->class, on_url);
    t->url_request.attempt.waits_for = a->waits_for;
    t->url_request.tries = t->url_request.waits = 1;
    t->url_request.is_single = true;
    api_request_begin(&t->url_request, url, NULL);
}

void archive_transfer_drop(struct source_archive *a)
{
    if (a->transfer)
        finish_with(a->transfer, -ECANCELED, SOURCE_BROKEN);
}

void archive_transfer_promote(struct source_archive *a)
{
    struct archive_transfer *t = a->transfer;

    if (t)
        api_request_promote(&t->url_request);
}
