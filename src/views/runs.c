#include "views/runs.h"

#include "views/attempts.h"

#include <errno.h>

void runs_question(const struct views *v, const struct repo_name *repo,
                   struct catalog_question *ret_q)
{
    *ret_q = (struct catalog_question){.what = SOURCE_RUNS, .repo = *repo, .limit = v->config.runs};
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
    if (catalog_ask(v->config.catalog, &q, EFFORT_MEMORY, NULL, &answer))
        return NULL;
    found = find_run(answer, run);
    if (found)
        *ret_answer = answer;
    else
        catalog_answer_release(answer);
    return found;
}

int runs_ask_listed(struct views *v, const struct repo_name *repo, uint64_t run, struct waiter *w,
                    const struct facts_run **ret_run, const struct catalog_answer **ret_answer)
{
    const struct catalog_answer *answer;
    struct catalog_question q;
    int rc;

    runs_question(v, repo, &q);
    rc = catalog_ask(v->config.catalog, &q, EFFORT_DISK, w, &answer);
    if (rc)
        return rc == -EAGAIN ? -ENOENT : rc;
    *ret_run = find_run(answer, run);
    catalog_answer_release(answer);
    if (!*ret_run)
        return -ENOENT;
    rc = catalog_ask(v->config.catalog, &q, EFFORT_NETWORK, w, &answer);
    if (rc)
        return rc;
    *ret_run = find_run(answer, run);
    if (!*ret_run) { /* newer ones have pushed it out */
        catalog_answer_release(answer);
        return -ENOENT;
    }
    *ret_answer = answer;
    return 0;
}

int runs_get_brief(struct views *v, const struct repo_name *repo, uint64_t run, struct waiter *w,
                   struct run_brief *ret_brief)
{
    struct catalog_question q = {.what = SOURCE_RUN, .repo = *repo, .id = run};
    const struct catalog_answer *answer;
    const struct facts_run *found;
    int rc = runs_ask_listed(v, repo, run, w, &found, &answer);

    if (rc == -ENOENT) {
        rc = catalog_ask(v->config.catalog, &q, EFFORT_NETWORK, w, &answer);
        found = rc ? NULL : answer->runs[0];
    }
    if (rc)
        return rc;
    ret_brief->attempt = found->attempt;
    ret_brief->ended = found->status == FACTS_COMPLETED;
    catalog_answer_release(answer);
    return 0;
}

int runs_get_jobs(struct views *v, const struct vnode *p, struct waiter *w,
                  const struct catalog_answer **ret_jobs)
{
    struct attempts_run run = {.repo = p->repo, .id = p->run};
    struct run_brief brief;
    int rc = runs_get_brief(v, &p->repo, p->run, w, &brief);

    if (rc)
        return rc;
    if (p->attempt > brief.attempt)
        return -ENOENT;
    run.latest = brief.attempt;
    run.ended = brief.ended;
    return p->attempt ? attempts_get_own(v, &run, p->attempt, w, ret_jobs)
                      : attempts_get_latest(v, &run, w, ret_jobs);
}
