/*
 * What a recursive reader will read next: run by run out of archives (S20) where that is worth it,
 * else log by log.
 */
#include "views/failed.h"
#include "views/runs.h"
#include "views/steps.h"

#include <stdlib.h>

#define AHEAD_MAX 128    /* logs prefetched at one open */
#define ATTEMPTS_TRIED 5 /* in which a job of a run that was re-run is looked for, latest first */

/* -- Archives ---------------------------------------------------------------------------------- */

/* Whether nothing is known of this log, on disk neither. */
static bool is_missing(struct views *v, const struct repo_name *repo, uint64_t job)
{
    struct log *log = cache_hold(v->config.cache, job);
    struct log_stat stat;
    bool is = log && log_get_stat(log, repo, EFFORT_DISK, NULL, NULL, &stat) == -EAGAIN &&
              log_get_failure(log, repo).err != -ENOENT;

    log_release(log);
    return is;
}

/* Which logs of a run a reader wants: all of them, in failed/ those of failed jobs. */
struct wish {
    bool only_failed, cancelled; /* the second for failed_shows_job */
};

static bool is_wanted(const struct wish *wish, const struct facts_job *job)
{
    return facts_may_have_log(job) &&
           (!wish->only_failed || failed_shows_job(job, wish->cancelled));
}

/* `jobs`: all that ran in the attempt. */
static void want_archive(struct views *v, const struct attempts_run *run, const struct wish *wish,
                         unsigned attempt, const struct facts_job *const *jobs, size_t count)
{
    struct match_job *list = calloc(count ? count : 1, sizeof(*list));
    size_t used = 0;

    for (size_t i = 0; list && i < count; i++)
        if (facts_may_have_log(jobs[i]))
            list[used++] = (struct match_job){.id = jobs[i]->id,
                                              .name = jobs[i]->name,
                                              .started_ms = jobs[i]->started_ms,
                                              .completed_ms = jobs[i]->completed_ms,
                                              .wanted = is_wanted(wish, jobs[i])};
    if (list)
        archives_want(v->archives, &run->repo, run->id, attempt, list, used);
    free(list);
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The ids of the jobs whose logs are wanted and not here, sorted; malloc'd. NULL: no memory. */
static uint64_t *find_missing(struct views *v, const struct repo_name *repo,
                              const struct wish *wish, const struct catalog_answer *shown,
                              size_t *ret_count)
{
    uint64_t *ids = calloc(shown->count + 1, sizeof(*ids));

    *ret_count = 0;
    for (size_t i = 0; ids && i < shown->count; i++) {
        uint64_t id = shown->jobs[i]->id;
        if (is_wanted(wish, shown->jobs[i]) && is_missing(v, repo, id))
            ids[(*ret_count)++] = id;
    }
    if (ids)
        qsort(ids, *ret_count, sizeof(*ids), compare_ids);
    return ids;
}

/* Wants the archive of each attempt that ran enough of the jobs whose logs are missing. Where lists
 * would tell that are not here, they are requested if there is still something to be gained: then
 * true. */
static bool want_attempts(struct views *v, const struct attempts_run *run, const struct wish *wish,
                          const uint64_t *missing, size_t missing_count)
{
    struct attempts_span span = {0};
    bool is_asked = false;

    while (attempts_next_span(v, run, &span)) {
        unsigned unknown = span.attempt - span.after - 1;
        size_t count = 0;

        for (size_t i = 0; i < span.count; i++)
            count += bsearch(&span.jobs[i]->id, missing, missing_count, sizeof(*missing),
                             compare_ids) != NULL;
        if (count < v->config.archive_jobs + unknown)
            continue;
        if (unknown)
            is_asked |= attempts_request(v, run, span.after + 1, span.attempt - 1);
        else
            want_archive(v, run, wish, span.attempt, span.jobs, span.count);
    }
    return is_asked;
}

/* What is known of the shared store and the logs of these jobs: what one member of a team fetches
 * is mostly all of a run. */
static enum views_shared ask_shared(struct views *v, const struct catalog_answer *jobs)
{
    enum views_shared found = VIEWS_SHARED_UNKNOWN;

    if (!v->config.ask_shared)
        return VIEWS_SHARED_LACKS;
    for (size_t i = 0; i < jobs->count; i++) {
        enum views_shared one = v->config.ask_shared(v->config.who, jobs->jobs[i]->id);
        if (one == VIEWS_SHARED_LACKS)
            return one;
        if (one == VIEWS_SHARED_HAS)
            found = one;
    }
    return found;
}

enum view_run_way view_want_archives(struct views *v, const struct vnode *p, uint64_t run_id)
{
    struct wish wish = {.only_failed = p->in_failed};
    enum views_shared shared;
    const struct catalog_answer *shown;
    struct attempts_run run;
    uint64_t *missing;
    bool is_asked = false;
    size_t count;

    if (!v->archives || !runs_peek_run(v, &p->repo, run_id, &run) || !run.ended)
        return VIEW_RUN_NOW;
    if (runs_list_jobs(v, &run, p->run == run_id ? p->attempt : 0, NULL, &shown))
        return VIEW_RUN_NOW;
    shared = ask_shared(v, shown);
    if (shared != VIEWS_SHARED_LACKS) {
        catalog_answer_release(shown);
        return shared == VIEWS_SHARED_HAS ? VIEW_RUN_NOW : VIEW_RUN_TRY;
    }
    wish.cancelled = failed_shows_cancelled(shown->jobs, shown->count, run.has_failed);
    if (run.latest <= 1) {
        want_archive(v, &run, &wish, run.latest, shown->jobs, shown->count);
    } else {
        missing = find_missing(v, &p->repo, &wish, shown, &count);
        is_asked = missing && want_attempts(v, &run, &wish, missing, count);
        free(missing);
    }
    catalog_answer_release(shown);
    return is_asked ? VIEW_RUN_LATER : VIEW_RUN_NOW;
}

void view_keep_steps(void *views, const struct repo_name *repo, uint64_t job,
                     const struct archive_step *steps, size_t count)
{
    struct views *v = views;
    struct steps_file *files = NULL;
    struct text_range *ranges = NULL;
    struct catalog_seen seen;
    size_t at = 0, total;

    if (!catalog_find_job(v->config.catalog, repo, job, &seen))
        return;
    total = seen.job->step_count;
    if (!steps_is_whole(seen.job)) {
        files = steps_get_files(seen.job);
        ranges = calloc(total ? total : 1, sizeof(*ranges));
    }
    /* Each file of the job is one in the archive, and none is left over. */
    for (size_t i = 0; files && ranges && i < total; i++) {
        for (size_t k = 0; files[i].present && k < count; k++)
            if (steps[k].number == seen.job->steps[i].number) {
                ranges[i] = (struct text_range){true, steps[k].begin, steps[k].end};
                at++;
            }
        if (files[i].present != ranges[i].present)
            at = count + 1;
    }
    if (files && ranges && at == count)
        steps_save_ranges(v->config.store, generated_id(v->generated, job), steps_digest(seen.job),
                          ranges, total);
    free(ranges);
    free(files);
    catalog_seen_release(&seen);
}

/* -- Logs -------------------------------------------------------------------------------------- */

struct walk *view_walk_in(struct views *v, const struct vnode *p)
{
    return p->in_failed ? v->walk_failed : v->walk;
}

/* Whether a file of the kind of `p` can be read of this job without its log. */
static bool is_text_here(struct views *v, const struct vnode *p, uint64_t job)
{
    struct log_stat stat;
    struct log *text;
    bool is;

    if (p->kind == VNODE_LOG)
        return false;
    text = cache_hold(v->config.cache, generated_id(v->generated, job));
    is = text && !log_get_stat(text, &p->repo, EFFORT_DISK, NULL, NULL, &stat);
    log_release(text);
    return is;
}

static void want_run(struct views *v, struct view_ahead *a, const struct walk_job *job)
{
    enum view_run_way way;

    if (!walk_take_run(view_walk_in(v, &a->of), &a->of.repo, job->id))
        return;
    way = view_want_archives(v, &a->of, job->run);
    if (way == VIEW_RUN_NOW)
        return;
    if (way == VIEW_RUN_TRY)
        a->tried = job->id;
    a->later = job->run;
    walk_put_back(view_walk_in(v, &a->of), &a->of.repo, job->id);
}

static void prefetch_log(struct views *v, struct view_ahead *a, const struct walk_job *next)
{
    struct vnode of_next = {.repo = a->of.repo, .job = next->id};
    struct known_job job;
    struct log_stat stat;
    struct log *log;

    runs_peek_job(v, &of_next, &job);
    if (!job.hint.completed || job.has_no_log || is_text_here(v, &a->of, next->id) ||
        !is_missing(v, &a->of.repo, next->id))
        return;
    if (!next->run || next->run != a->later)
        want_run(v, a, next);
    if (next->run && next->run == a->later && next->id != a->tried)
        return;
    log = cache_hold(v->config.cache, next->id);
    if (log)
        log_get_stat(log, &a->of.repo, EFFORT_NETWORK, &job.hint, NULL, &stat);
    log_release(log);
}

void view_note_use(struct views *v, const struct vnode *p, enum view_use use,
                   const struct waiter *w, struct view_ahead *ret_ahead)
{
    ret_ahead->of = (struct vnode){.kind = p->kind,
                                   .repo = p->repo,
                                   .run = p->run,
                                   .attempt = p->attempt,
                                   .in_failed = p->in_failed};
    ret_ahead->later = ret_ahead->tried = 0;
    walk_note_use(view_walk_in(v, p), &p->repo, p->job, use != VIEW_KNOWN, w ? w->reader : 0,
                  &ret_ahead->next);
    if (ret_ahead->next.is_walk && use == VIEW_MISSING)
        want_run(v, ret_ahead, &(struct walk_job){p->job, ret_ahead->next.run});
}

void view_fetch_ahead(struct views *v, struct view_ahead *a)
{
    for (size_t i = 0; i < a->next.count; i++)
        prefetch_log(v, a, &a->next.jobs[i]);
}
