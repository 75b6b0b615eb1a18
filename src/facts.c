#include "facts.h"

#include <stdlib.h>
#include <string.h>

/* A word of the server and its value here. */
struct word {
    const char *text;
    int value;
};

static const struct word statuses[] = {
    {"queued", FACTS_QUEUED},   {"in_progress", FACTS_IN_PROGRESS}, {"completed", FACTS_COMPLETED},
    {"waiting", FACTS_WAITING}, {"requested", FACTS_REQUESTED},     {"pending", FACTS_PENDING},
};

static const struct word conclusions[] = {
    {"success", FACTS_SUCCESS},
    {"failure", FACTS_FAILURE},
    {"cancelled", FACTS_CANCELLED},
    {"skipped", FACTS_SKIPPED},
    {"neutral", FACTS_NEUTRAL},
    {"timed_out", FACTS_TIMED_OUT},
    {"action_required", FACTS_ACTION_REQUIRED},
    {"startup_failure", FACTS_STARTUP_FAILURE},
    {"stale", FACTS_STALE},
};

static int find_word(const struct word *words, size_t count, const char *text, int otherwise)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(words[i].text, text))
            return words[i].value;
    return otherwise;
}

enum facts_status facts_status_from(const char *text)
{
    return (enum facts_status)find_word(statuses, sizeof(statuses) / sizeof(*statuses),
                                        text ? text : "", FACTS_STATUS_UNKNOWN);
}

enum facts_conclusion facts_conclusion_from(const char *text)
{
    if (!text || !*text)
        return FACTS_NO_CONCLUSION;
    return (enum facts_conclusion)find_word(conclusions, sizeof(conclusions) / sizeof(*conclusions),
                                            text, FACTS_OTHER_CONCLUSION);
}

bool facts_is_failed(enum facts_conclusion conclusion)
{
    return conclusion == FACTS_FAILURE || conclusion == FACTS_TIMED_OUT ||
           conclusion == FACTS_STARTUP_FAILURE;
}

enum facts_origin facts_origin_of(const struct facts_run *run)
{
    if (run->head_repo_id && run->head_repo_id == run->repo_id)
        return FACTS_OWN_BRANCH;
    return run->head_repo_id && run->head_repo_owner[0] ? FACTS_FORK : FACTS_DELETED_FORK;
}

bool facts_may_have_log(const struct facts_job *job)
{
    return job->status == FACTS_COMPLETED && job->conclusion != FACTS_SKIPPED && !job->never_ran;
}

bool facts_is_open(const struct facts_step *step)
{
    return step->status != FACTS_COMPLETED && step->status != FACTS_STATUS_UNKNOWN;
}

bool facts_has_open_steps(const struct facts_job *job)
{
    if (job->status != FACTS_COMPLETED)
        return false;
    for (size_t i = 0; i < job->step_count; i++)
        if (facts_is_open(&job->steps[i]))
            return true;
    return false;
}

int64_t facts_job_time_ms(const struct facts_job *job)
{
    if (job->completed_ms != FACTS_NO_TIME)
        return job->completed_ms;
    return job->started_ms != FACTS_NO_TIME ? job->started_ms : job->created_ms;
}

bool facts_is_settled(const struct facts_job *job, int64_t now_ms)
{
    if (job->status != FACTS_COMPLETED)
        return false;
    if (job->conclusion == FACTS_SKIPPED || (job->step_count && !facts_has_open_steps(job)))
        return true;
    return now_ms - facts_job_time_ms(job) >= FACTS_SETTLES_MS;
}

void facts_job_finish(struct facts_job *job)
{
    for (size_t i = 0; i < job->step_count; i++)
        free(job->steps[i].name);
    free(job->steps);
    free(job->name);
    free(job->status_text);
    free(job->conclusion_text);
    free(job->head_sha);
    free(job->html_url);
    *job = (struct facts_job){0};
}

void facts_run_finish(struct facts_run *run)
{
    free(run->name);
    free(run->title);
    free(run->event);
    free(run->head_branch);
    free(run->head_sha);
    free(run->html_url);
    free(run->path);
    free(run->head_repo_owner);
    free(run->pulls);
    *run = (struct facts_run){0};
}

void facts_pull_finish(struct facts_pull *pull)
{
    free(pull->head_sha);
    *pull = (struct facts_pull){0};
}

void facts_repo_finish(struct facts_repo *repo)
{
    free(repo->owner);
    free(repo->name);
    *repo = (struct facts_repo){0};
}

void facts_job_list_finish(struct facts_job_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        facts_job_finish(&list->items[i]);
    free(list->items);
    *list = (struct facts_job_list){0};
}

void facts_run_list_finish(struct facts_run_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        facts_run_finish(&list->items[i]);
    free(list->items);
    *list = (struct facts_run_list){0};
}

void facts_repo_list_finish(struct facts_repo_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        facts_repo_finish(&list->items[i]);
    free(list->items);
    *list = (struct facts_repo_list){0};
}
