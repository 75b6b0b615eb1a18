#include "github/inquiry.h"

#include "github/belief.h"
#include "github/endpoints.h"
#include "github/failure.h"
#include "github/parse.h"
#include "github/range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define JOB_EVERY_MS 60000 /* P12; remote.h bounds the new URLs */

/* Everybody is told; some may start the next inquiry from within. */
static void end(struct source_log *log, const struct source_failure *failure)
{
    struct list waiters, checks, *link;

    list_init(&waiters);
    list_init(&checks);
    list_splice(&waiters, &log->for_inquiry);
    list_splice(&checks, &log->checks);
    log->is_inquiring = log->is_end_wanted = false;
    while ((link = list_take_first(&waiters))) {
        struct remote_waiter *w = list_entry(link, struct remote_waiter, link);
        w->wake(w, failure);
    }
    while ((link = list_take_first(&checks))) {
        struct inquiry_check *check = list_entry(link, struct inquiry_check, link);
        check->checked(log->who, failure);
        free(check);
    }
}

static void end_with(struct source_log *log, int err, enum source_reason reason, int64_t lasts_ms)
{
    struct source_failure failure = failure_make(err, reason, net_now_ms() + lasts_ms);

    end(log, &failure);
}

/* -- The end of the log ------------------------------------------------------------------------ */

static void end_seen(struct source_log *log, const struct source_failure *failure)
{
    log->end_range = NULL;
    end(log, failure);
}

static void look_at_end(struct source_log *log)
{
    log->end_range = range_make_end(log, end_seen);
    if (log->end_range)
        range_start(log->end_range);
    else
        end_with(log, -ENOMEM, SOURCE_BROKEN, 0);
}

/* -- The job ----------------------------------------------------------------------------------- */

static void job_known(struct source_log *log)
{
    bool is_open = log->is_sized && !log->is_final;
    int err = 0;

    if (log->job_state == REMOTE_JOB_COMPLETED && is_open) {
        look_at_end(log);
        return;
    }
    if (log->job_state == REMOTE_JOB_RUNNING)
        err = belief_tell_growing(log);
    if (err < 0)
        end_with(log, err, SOURCE_BROKEN, 0);
    else if (log->is_end_wanted && is_open)
        look_at_end(log);
    else
        end(log, NULL);
}

static int learn_job(struct source_log *log, const struct call_answer *answer)
{
    const struct source_listener *listener = &log->core->listener;
    const char *etag = net_header(&log->job_call.request, "ETag");
    struct facts_job job;
    int err = parse_job(answer->body, answer->len, &job);

    if (err < 0)
        return err;
    if (job.id != log->job) {
        facts_job_finish(&job);
        return -EPROTO;
    }
    if (job.status == FACTS_COMPLETED) {
        log->job_state = REMOTE_JOB_COMPLETED;
        log->completed_ms = job.completed_ms;
        log->has_no_log = !facts_may_have_log(&job);
        core_note_completed(log->core, log->job);
    } else {
        /* Once completed it stays so: an answer that says otherwise is old. */
        log->job_state = remote_is_completed(log) ? REMOTE_JOB_COMPLETED : REMOTE_JOB_RUNNING;
    }
    log->has_steps = job.step_count > 0;
    facts_job_finish(&job);
    if (etag && strlen(etag) < sizeof(log->job_etag))
        memcpy(log->job_etag, etag, strlen(etag) + 1);
    if (listener->job_learnt)
        listener->job_learnt(listener->who, &log->repo, log->job, answer->body, answer->len);
    return 0;
}

static void job_told(struct call *c, const struct call_answer *answer)
{
    struct source_log *log = list_entry(c, struct source_log, job_call);
    struct failure_verdict verdict;
    int err = 0;

    if (answer->failure) {
        end(log, answer->failure);
        return;
    }
    if (answer->status != 304)
        err = learn_job(log, answer);
    if (err < 0) {
        failure_judge(&(struct failure_event){.hop = FAILURE_API, .err = err}, net_now_ms(),
                      &verdict);
        end(log, &verdict.failure);
        return;
    }
    job_known(log);
}

static void ask_job(struct source_log *log)
{
    struct source_facts f = {.question = SOURCE_JOB, .repo = log->repo, .id = log->job};
    char *url;

    if (endpoint_make_url(log->core->base, &f, &url) < 0) {
        end_with(log, -ENOMEM, SOURCE_BROKEN, 0);
        return;
    }
    log->job_asked_ms = net_now_ms();
    log->job_call.queued.class = log->class;
    log->job_call.is_single = log->is_job_single;
    log->is_job_single = false;
    call_begin(&log->job_call, url, log->job_etag);
}

/* -- A second opinion -------------------------------------------------------------------------- */

static void opinion_seen(struct source_log *log, const struct source_failure *failure)
{
    log->opinion = NULL;
    if (!failure)
        belief_judge(log);
}

/* Where it fails, the next answer that contradicts asks for another. */
static void ask_again(struct source_log *log)
{
    if (log->opinion)
        return;
    log->opinion = range_make_opinion(log, opinion_seen);
    if (log->opinion)
        range_start(log->opinion);
}

/* -- For the askers ---------------------------------------------------------------------------- */

static void inquire(struct source_log *log)
{
    if (log->is_inquiring)
        return;
    log->is_inquiring = true;
    ask_job(log);
}

void inquiry_init(struct source_log *log)
{
    log->inquire = inquire;
    log->ask_again = ask_again;
    call_init(&log->job_call, log->core, CALL_FACTS, SOURCE_PREFETCH, job_told);
}

void inquiry_check(struct source_log *log, struct inquiry_check *check)
{
    bool is_due = !log->job_asked_ms || net_now_ms() - log->job_asked_ms >= JOB_EVERY_MS;

    list_push_back(&log->checks, &check->link);
    if (remote_is_completed(log))
        log->job_state = REMOTE_JOB_COMPLETED;
    log->is_end_wanted = true;
    if (log->is_inquiring)
        return;
    log->is_inquiring = true;
    if (log->is_final)
        end(log, NULL);
    else if (is_due && log->job_state != REMOTE_JOB_COMPLETED)
        ask_job(log);
    else
        job_known(log);
}

void inquiry_finish(struct source_log *log)
{
    struct list *link;

    call_cancel(&log->job_call);
    call_finish(&log->job_call);
    if (log->end_range)
        range_cancel(log->end_range);
    if (log->opinion)
        range_cancel(log->opinion);
    while ((link = list_take_first(&log->checks)))
        free(list_entry(link, struct inquiry_check, link));
}
