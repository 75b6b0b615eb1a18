#include "views/runs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a run's directory has besides its jobs. */
static const char *const reserved_in_run[] = {"run.json", "attempts", NULL};

void runs_question(const struct views *v, const struct repo_name *repo,
                   struct catalog_question *ret_q)
{
    *ret_q = (struct catalog_question){.what = SOURCE_RUNS, .repo = *repo, .limit = v->config.runs};
}

void runs_jobs_question(const struct repo_name *repo, uint64_t run, unsigned attempt, bool ended,
                        struct catalog_question *ret_q)
{
    *ret_q = (struct catalog_question){.what = SOURCE_ATTEMPT_JOBS,
                                       .repo = *repo,
                                       .id = run,
                                       .attempt = attempt,
                                       .may_settle = ended};
}

static const struct facts_run *find_run(const struct catalog_answer *answer, uint64_t run)
{
    for (size_t i = 0; i < answer->count; i++)
        if (answer->runs[i]->id == run)
            return answer->runs[i];
    return NULL;
}

const struct facts_run *runs_peek(struct views *v, const struct repo_name *repo, uint64_t run,
                                  const struct catalog_answer **ret_answer)
{
    const struct catalog_answer *answer;
    const struct facts_run *found;
    struct catalog_question q;

    runs_question(v, repo, &q);
    if (catalog_peek(v->config.catalog, &q, &answer))
        return NULL;
    found = find_run(answer, run);
    if (found)
        *ret_answer = answer;
    else
        catalog_answer_release(answer);
    return found;
}

static void fill_brief(const struct facts_run *run, struct run_brief *ret_brief)
{
    ret_brief->attempt = run->attempt;
    ret_brief->ended = run->status == FACTS_COMPLETED;
}

/* From a list that is young enough to be shown anyway. */
static bool find_brief(struct views *v, const struct repo_name *repo, uint64_t run,
                       struct run_brief *ret_brief)
{
    const struct catalog_answer *answer;
    const struct facts_run *found;
    struct catalog_question q;

    runs_question(v, repo, &q);
    if (catalog_peek_fresh(v->config.catalog, &q, &answer))
        return false;
    found = find_run(answer, run);
    if (found)
        fill_brief(found, ret_brief);
    catalog_answer_release(answer);
    return found != NULL;
}

int runs_get_brief(struct views *v, const struct repo_name *repo, uint64_t run, struct waiter *w,
                   struct run_brief *ret_brief)
{
    struct catalog_question q = {.what = SOURCE_RUN, .repo = *repo, .id = run};
    const struct catalog_answer *answer;
    int rc;

    if (find_brief(v, repo, run, ret_brief))
        return 0;
    rc = catalog_ask(v->config.catalog, &q, w, &answer);
    if (rc)
        return rc;
    fill_brief(answer->runs[0], ret_brief);
    catalog_answer_release(answer);
    return 0;
}

int runs_get_jobs(struct views *v, const struct place *p, struct waiter *w,
                  const struct catalog_answer **ret_jobs)
{
    struct catalog_question q;
    struct run_brief brief;
    unsigned attempt;
    int rc = runs_get_brief(v, &p->repo, p->run, w, &brief);

    if (rc)
        return rc;
    attempt = p->attempt ? p->attempt : brief.attempt;
    if (attempt > brief.attempt)
        return -ENOENT;
    runs_jobs_question(&p->repo, p->run, attempt, brief.ended || attempt < brief.attempt, &q);
    return catalog_ask(v->config.catalog, &q, w, ret_jobs);
}

int runs_name_jobs(const struct catalog_answer *jobs, struct safe_name **ret_names)
{
    struct safe_name *names = calloc(jobs->count + 1, sizeof(*names));
    int rc;

    if (!names)
        return -ENOMEM;
    for (size_t i = 0; i < jobs->count; i++) {
        names[i].given = jobs->jobs[i]->name;
        names[i].id = jobs->jobs[i]->id;
    }
    rc = safe_name_assign(names, jobs->count, reserved_in_run);
    if (rc)
        free(names);
    else
        *ret_names = names;
    return rc;
}
