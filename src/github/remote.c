#include "github/remote.h"

#include "github/endpoints.h"
#include "github/failure.h"
#include "github/redirect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_LIFE_MS (10 * 60 * 1000)
#define MINT_EVERY_MS 30000 /* for looking only: at most 120 an hour */

/* -- The signed URL ---------------------------------------------------------------------------- */

struct remote_url *remote_url_ref(struct remote_url *url)
{
    url->refs++;
    return url;
}

void remote_url_unref(struct remote_url *url)
{
    if (!url || --url->refs > 0)
        return;
    explicit_bzero(url->text, strlen(url->text));
    free(url);
}

static void wake_all(struct list *waiters, const struct source_failure *failure)
{
    struct list due, *link;

    list_init(&due);
    list_splice(&due, waiters);
    while ((link = list_take_first(&due))) {
        struct remote_waiter *w = list_entry(link, struct remote_waiter, link);
        w->wake(w, failure);
    }
}

/* R7: what may not be followed is told with its host, which the user can judge. */
static int take_url(struct source_log *log, const char *location)
{
    struct core *core = log->core;
    size_t len = strlen(location);
    struct remote_url *url;
    struct net_url at;

    if (redirect_check_storage(location, core_allows_http(core), core_allows_local(core), &at) <
        0) {
        bool is_url = net_url_parse(location, &at) == 0;
        core_say(core, "storage", is_url ? &at : &core->base_at,
                 "the redirect to it is not allowed");
        return -EPROTO;
    }
    url = malloc(sizeof(*url) + len + 1);
    if (!url)
        return -ENOMEM;
    url->refs = 1;
    url->minted_ms = net_now_ms();
    url->at = at;
    memcpy(url->text, location, len + 1);
    remote_url_unref(log->url);
    log->url = url;
    return 0;
}

static void minted(struct call *c, const struct call_answer *answer)
{
    struct source_log *log = list_entry(c, struct source_log, mint);
    struct failure_verdict verdict = {.failure.err = 0};
    int err = 0;

    if (answer->failure) {
        wake_all(&log->for_url, answer->failure);
        return;
    }
    err = take_url(log, answer->location);
    if (err < 0)
        failure_judge(&(struct failure_event){.hop = FAILURE_API, .err = err}, net_now_ms(),
                      &verdict);
    wake_all(&log->for_url, err < 0 ? &verdict.failure : NULL);
}

struct remote_url *remote_young_url(struct source_log *log)
{
    if (log->url && net_now_ms() - log->url->minted_ms < URL_LIFE_MS)
        return log->url;
    return NULL;
}

void remote_want_url(struct source_log *log, struct remote_waiter *w)
{
    struct source_failure failure = failure_make(-ENOMEM, SOURCE_BROKEN, 0);
    char *url;

    list_push_back(&log->for_url, &w->link);
    if (log->mint.state != CALL_IDLE)
        return;
    if (endpoint_make_log_url(log->core->base, &log->repo, log->job, &url) < 0) {
        wake_all(&log->for_url, &failure);
        return;
    }
    log->minted_ms = net_now_ms();
    log->mint.queued.class = log->class;
    call_begin(&log->mint, url, NULL);
}

bool remote_is_url_too_dear(const struct source_log *log)
{
    return log->is_told && log->job_state == REMOTE_JOB_RUNNING &&
           net_now_ms() - log->minted_ms < MINT_EVERY_MS;
}

void remote_drop_url(struct source_log *log, const struct remote_url *url)
{
    if (log->url != url)
        return;
    remote_url_unref(log->url);
    log->url = NULL;
}

/* -- Its life ---------------------------------------------------------------------------------- */

static uint64_t make_key(const struct repo_name *repo, uint64_t job)
{
    char text[NAME_FULL_LEN + 48];

    snprintf(text, sizeof(text), "storage:%s/%s/%" PRIu64, repo->owner, repo->repo, job);
    return refusals_make_key(text);
}

struct source_log *remote_make(struct core *core, const struct repo_name *repo, uint64_t job,
                               bool completed, const struct source_log_ops *ops, void *who)
{
    struct source_log *log = calloc(1, sizeof(*log));

    if (!log)
        return NULL;
    log->core = core;
    log->repo = *repo;
    log->job = job;
    log->key = make_key(repo, job);
    log->ops = ops;
    log->who = who;
    log->class = SOURCE_PREFETCH;
    log->last_modified_ms = log->completed_ms = -1;
    log->start_digest = log->second_digest = REMOTE_DIGEST_START;
    log->job_state = completed ? REMOTE_JOB_COMPLETED : REMOTE_JOB_UNKNOWN;
    call_init(&log->mint, core, CALL_LOG, SOURCE_PREFETCH, minted);
    list_init(&log->for_url);
    list_init(&log->for_inquiry);
    list_init(&log->checks);
    pthread_mutex_lock(&core->logs_lock);
    list_push_back(&core->logs, &log->in_core);
    pthread_mutex_unlock(&core->logs_lock);
    return log;
}

void remote_free(struct source_log *log)
{
    pthread_mutex_lock(&log->core->logs_lock);
    list_remove(&log->in_core);
    pthread_mutex_unlock(&log->core->logs_lock);
    call_cancel(&log->mint);
    call_finish(&log->mint);
    remote_url_unref(log->url);
    free(log);
}

void remote_promote(struct source_log *log)
{
    log->class = SOURCE_DEMAND;
    if (log->mint.state != CALL_IDLE)
        call_promote(&log->mint);
    if (log->job_call.state != CALL_IDLE)
        call_promote(&log->job_call);
}

void remote_want_inquiry(struct source_log *log, struct remote_waiter *w)
{
    list_push_back(&log->for_inquiry, &w->link);
    log->inquire(log);
}

bool remote_is_completed(const struct source_log *log)
{
    return log->job_state == REMOTE_JOB_COMPLETED || core_is_completed(log->core, log->job);
}
