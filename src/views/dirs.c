/*
 * Owners, repositories, jobs, runs and steps: what they list, and how names are found in them.
 */
#include "views/failed.h"
#include "views/runs.h"
#include "views/steps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- owners and repositories --- */

int dirs_parse_owner(const struct vnode *dir, const char *name, struct vnode *p)
{
    (void)dir;
    if (!name_is_owner(name))
        return -ENOENT;
    memcpy(p->repo.owner, name, strlen(name) + 1);
    return 0;
}

int dirs_parse_repo(const struct vnode *dir, const char *name, struct vnode *p)
{
    (void)dir;
    if (!name_is_repo(name) || name_is_ignore_file(name))
        return -ENOENT;
    memcpy(p->repo.repo, name, strlen(name) + 1);
    return 0;
}

/* Repositories that become one listing: with `owner` those of the owner, else the owners of all. */
struct collecting {
    struct view_listing *listing;
    int rc;
    const char *owner;
};

/* Owners and repositories are the same case-insensitively. */
static void collect(struct collecting *to, const char *owner, const char *repo)
{
    const char *name = to->owner ? repo : owner;
    struct view_entry entry;

    if (to->rc || (to->owner && strcasecmp(to->owner, owner) != 0))
        return;
    if (to->owner ? !name_is_repo(name) : !name_is_owner(name))
        return;
    for (size_t i = 0; views_listing_get(to->listing, i, &entry); i++)
        if (!strcasecmp(entry.name, name))
            return;
    to->rc = listing_add(to->listing, name, VIEW_DIRECTORY);
}

static void collect_used(void *who, const struct repo_name *repo)
{
    collect(who, repo->owner, repo->repo);
}

static void collect_answer(struct collecting *to, const struct catalog_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        collect(to, answer->repos[i]->owner, answer->repos[i]->name);
    catalog_answer_release(answer);
}

/* Collects the answer to the question (NULL: none), then what is known besides. Some tokens may not
 * list repositories (those of workflows and of apps): the others are listed all the same. */
static int collect_all(struct views *v, struct collecting *to, const struct catalog_question *q,
                       struct waiter *w)
{
    const struct catalog_question mine = {.what = SOURCE_MY_REPOS};
    const struct catalog_answer *answer;
    int rc = q ? catalog_ask(v->config.catalog, q, EFFORT_NETWORK, w, &answer) : 0;

    if (rc == PENDING_PARKED)
        return rc;
    if (q && !rc)
        collect_answer(to, answer);
    if (to->owner && !catalog_ask(v->config.catalog, &mine, EFFORT_MEMORY, NULL, &answer))
        collect_answer(to, answer);
    catalog_each_used_repo(v->config.catalog, to->owner, collect_used, to);
    return rc && !views_listing_get(to->listing, 0, &(struct view_entry){0}) ? rc : to->rc;
}

/* The owners of the repositories that the token sees, and of those in use. */
int dirs_list_root(struct views *v, const struct vnode *dir, struct waiter *w,
                   struct view_listing *l)
{
    const struct catalog_question mine = {.what = SOURCE_MY_REPOS};
    struct collecting to = {.listing = l};

    (void)dir;
    return collect_all(v, &to, v->config.has_token ? &mine : NULL, w);
}

/* The owner's public repositories, those that the token sees if that is known, and those in use. */
int dirs_list_owner(struct views *v, const struct vnode *dir, struct waiter *w,
                    struct view_listing *l)
{
    struct catalog_question theirs = {.what = SOURCE_OWNER_REPOS, .limit = CATALOG_PAGE};
    struct collecting to = {.listing = l, .owner = dir->repo.owner};

    memcpy(theirs.repo.owner, dir->repo.owner, sizeof(dir->repo.owner));
    return collect_all(v, &to, &theirs, w);
}

int dirs_list_repo(struct views *v, const struct vnode *dir, struct waiter *w,
                   struct view_listing *l)
{
    const struct catalog_answer *runs;
    int rc = runs_ask_recent(v, &dir->repo, w, &runs);

    if (rc)
        return rc;
    catalog_note_used(v->config.catalog, &dir->repo, 0);
    if (runs->count)
        rc = listing_add(l, "latest", VIEW_LINK);
    catalog_answer_release(runs);
    return rc;
}

/* --- jobs --- */

int dirs_parse_job(const struct vnode *dir, const char *name, struct vnode *p)
{
    (void)dir;
    return name_parse_id(name, &p->job) ? 0 : -ENOENT;
}

/* The lists of jobs of the recent runs. */
struct gathering {
    const struct catalog_answer **lists;
    size_t list_count, job_count;
    unsigned runs_silent; /* whose request timed out; a single one is left out */
    int first_failure;    /* of a run that is left out; 0: none is */
};

/* Adds the list of a run, if it can be had. */
static int gather_run(struct views *v, struct gathering *g, const struct attempts_run *run,
                      struct waiter *w)
{
    const struct catalog_answer *jobs;
    struct catalog_question q;
    int rc = attempts_get_latest(v, run, w, &jobs);

    if (rc == PENDING_PARKED)
        return rc;
    if (!rc) {
        g->lists[g->list_count++] = jobs;
        g->job_count += jobs->count;
        return 0;
    }
    attempts_question(run, run->latest, &q);
    if (!attempts_can_do_without(v, &q, rc) && (rc != -ETIMEDOUT || ++g->runs_silent > 1))
        return rc;
    g->first_failure = g->first_failure ? g->first_failure : rc;
    return 0;
}

/* All lists are requested at once. */
static int gather(struct views *v, struct gathering *g, const struct repo_name *repo,
                  struct waiter *w)
{
    const struct catalog_answer *runs;
    struct attempts_run run;
    int rc = runs_ask_recent(v, repo, w, &runs);

    if (rc)
        return rc;
    g->lists = calloc(runs->count + 1, sizeof(struct catalog_answer *));
    rc = g->lists ? 0 : -ENOMEM;
    for (size_t i = 0; i < runs->count && !rc; i++) {
        run = runs_resolve(repo, runs->runs[i]);
        attempts_want(v, &run, w);
    }
    for (size_t i = 0; i < runs->count && !rc; i++) {
        run = runs_resolve(repo, runs->runs[i]);
        rc = gather_run(v, g, &run, w);
    }
    catalog_answer_release(runs);
    return rc || g->list_count ? rc : g->first_failure;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

struct adding {
    struct view_listing *listing;
    const uint64_t *listed; /* sorted */
    size_t count;
    int rc;
};

/* A job in use that no recent run has. */
static void add_used_job(void *who, uint64_t job)
{
    struct adding *to = who;

    if (!to->rc && !bsearch(&job, to->listed, to->count, sizeof(job), compare_ids))
        to->rc = listing_add_id(to->listing, job, VIEW_DIRECTORY);
}

/* The jobs of the recent runs, and those in use. Notes in which order a recursive reader will come
 * to the logs. */
int dirs_list_jobs(struct views *v, const struct vnode *dir, struct waiter *w,
                   struct view_listing *l)
{
    struct gathering g = {0};
    int rc = gather(v, &g, &dir->repo, w);
    uint64_t *ids = calloc(g.job_count + 1, sizeof(*ids));
    struct walk_job *walked = calloc(g.job_count + 1, sizeof(*walked));
    struct adding used = {.listing = l, .listed = ids};
    size_t walked_count = 0;

    if (!rc && (!ids || !walked))
        rc = -ENOMEM;
    for (size_t i = 0; i < g.list_count && !rc; i++) {
        for (size_t k = 0; k < g.lists[i]->count && !rc; k++) {
            const struct facts_job *job = g.lists[i]->jobs[k];
            ids[used.count++] = job->id;
            if (facts_may_have_log(job))
                walked[walked_count++] = (struct walk_job){job->id, job->run_id};
            rc = listing_add_id(l, job->id, VIEW_DIRECTORY);
        }
    }
    if (!rc) {
        walk_note_listing(v->walk, &dir->repo, walked, walked_count, w ? w->reader : 0);
        qsort(ids, used.count, sizeof(*ids), compare_ids);
        catalog_each_used_job(v->config.catalog, &dir->repo, add_used_job, &used);
        rc = used.rc;
    }
    for (size_t i = 0; i < g.list_count; i++)
        catalog_answer_release(g.lists[i]);
    free(g.lists);
    free(ids);
    free(walked);
    return rc;
}

/* Whether GitHub has such a job, by what is known, else by a request; -ENOENT: it has none. A job
 * whose log is known exists, and ret_seen->job stays NULL. */
static int verify_job(struct views *v, const struct vnode *dir, struct log *log, struct waiter *w,
                      struct catalog_seen *ret_seen)
{
    struct catalog_question q = {.what = SOURCE_JOB, .repo = dir->repo, .id = dir->job};
    const struct catalog_answer *answer;
    struct log_stat stat;
    int rc;

    rc = log_get_stat(log, &dir->repo, EFFORT_DISK, NULL, w, &stat);
    if (rc != -EAGAIN)
        return rc;
    if (catalog_find_job(v->config.catalog, &dir->repo, dir->job, ret_seen))
        return 0;
    rc = catalog_ask(v->config.catalog, &q, EFFORT_NETWORK, w, &answer);
    if (rc)
        return rc;
    rc = catalog_find_in(answer, dir->job, ret_seen) ? 0 : -EPROTO;
    catalog_answer_release(answer);
    return rc;
}

/*
 * Whether the job's log is listed (S19): unless it is known to be absent, as that of a skipped
 * job; a queued or running job's only once it was seen. `job` is NULL if nothing is known of it. A
 * completed job with open steps has most likely lost its runner, and its log with it: storage is
 * asked here, so that no recursive reader meets a name that is not there.
 */
static int shows_log(struct views *v, const struct vnode *dir, struct log *log,
                     const struct facts_job *job, struct waiter *w, bool *ret_shows)
{
    struct known_job facts;
    struct log_stat stat;
    int rc;

    *ret_shows = !log_get_stat(log, &dir->repo, EFFORT_MEMORY, NULL, NULL, &stat);
    if (*ret_shows || log_get_failure(log, &dir->repo).err == -ENOENT || !job ||
        !facts_may_have_log(job))
        return 0;
    *ret_shows = true;
    if (!facts_has_open_steps(job))
        return 0;
    runs_know_job(v, job, &facts);
    rc = log_get_stat(log, &dir->repo, EFFORT_NETWORK, &facts.hint, w, &stat);
    *ret_shows = rc != -ENOENT;
    return rc == PENDING_PARKED ? rc : 0;
}

int dirs_list_job(struct views *v, const struct vnode *dir, struct waiter *w,
                  struct view_listing *l)
{
    struct log *log = cache_hold(v->config.cache, dir->job);
    struct catalog_seen seen = {0};
    bool shows = false;
    int rc;

    if (!log)
        return -ENOMEM;
    rc = verify_job(v, dir, log, w, &seen);
    if (!rc)
        rc = shows_log(v, dir, log, seen.job, w, &shows);
    if (shows && !rc)
        rc = listing_add(l, "log", VIEW_FILE);
    if (!rc)
        walk_note_enter(v->walk, &dir->repo, dir->job, w ? w->reader : 0);
    catalog_seen_release(&seen);
    log_release(log);
    return rc;
}

/* --- runs --- */

/* Also of a run's link in a view of runs. */
int dirs_parse_run(const struct vnode *dir, const char *name, struct vnode *p)
{
    (void)dir;
    return name_parse_id(name, &p->run) ? 0 : -ENOENT;
}

int dirs_list_runs(struct views *v, const struct vnode *dir, struct waiter *w,
                   struct view_listing *l)
{
    const struct catalog_answer *runs;
    int rc = runs_ask_recent(v, &dir->repo, w, &runs);

    if (rc)
        return rc;
    for (size_t i = 0; i < runs->count && !rc; i++)
        rc = listing_add_id(l, runs->runs[i]->id, VIEW_DIRECTORY);
    catalog_answer_release(runs);
    return rc;
}

/* The same in failed/, and of what is below it. */
int dirs_parse_failed_run(const struct vnode *dir, const char *name, struct vnode *p)
{
    p->in_failed = true;
    return dirs_parse_run(dir, name, p);
}

/* The jobs of the run or attempt `dir`. In failed/ not all of them are shown: *ret_cancelled is for
 * is_shown(). May park. */
static int get_jobs(struct views *v, const struct vnode *dir, struct waiter *w,
                    struct attempts_run *ret_run, const struct catalog_answer **ret_jobs,
                    bool *ret_cancelled)
{
    const struct catalog_answer *jobs;
    int rc = runs_get(v, dir, w, ret_run);

    if (!rc)
        rc = runs_list_jobs(v, ret_run, dir->attempt, w, &jobs);
    if (rc)
        return rc;
    *ret_cancelled = dir->in_failed &&
                     failed_shows_cancelled(jobs->jobs, jobs->count, ret_run->has_failed);
    *ret_jobs = jobs;
    return 0;
}

static bool is_shown(const struct vnode *dir, const struct facts_job *job, bool cancelled)
{
    return !dir->in_failed || failed_shows_job(job, cancelled);
}

int dirs_look_up_run_job(struct views *v, const struct vnode *dir, const char *name,
                         struct waiter *w, struct vnode *p)
{
    const struct catalog_answer *jobs;
    struct attempts_run run;
    bool cancelled;
    int rc = get_jobs(v, dir, w, &run, &jobs, &cancelled);

    if (rc)
        return rc;
    rc = job_names_find(v->names, jobs, name, &p->job);
    for (size_t i = 0; i < jobs->count && !rc; i++)
        if (jobs->jobs[i]->id == p->job && !is_shown(dir, jobs->jobs[i], cancelled))
            rc = -ENOENT;
    catalog_answer_release(jobs);
    return rc;
}

/* Also notes in which order a recursive reader will come to the jobs' logs. */
int dirs_list_run(struct views *v, const struct vnode *dir, struct waiter *w,
                  struct view_listing *l)
{
    const struct catalog_answer *jobs;
    struct safe_name *names = NULL;
    struct attempts_run run;
    size_t count = 0;
    struct walk_job *walked;
    bool cancelled;
    int rc = get_jobs(v, dir, w, &run, &jobs, &cancelled);

    if (rc)
        return rc;
    walked = calloc(jobs->count + 1, sizeof(*walked));
    rc = walked ? job_names_make(jobs, &names) : -ENOMEM;
    for (size_t i = 0; i < jobs->count && !rc; i++) {
        if (!is_shown(dir, jobs->jobs[i], cancelled))
            continue;
        if (facts_may_have_log(jobs->jobs[i]))
            walked[count++] = (struct walk_job){jobs->jobs[i]->id, dir->run};
        rc = listing_add(l, names[i].name, VIEW_DIRECTORY);
    }
    if (!rc)
        walk_note_listing(view_walk_in(v, dir), &dir->repo, walked, count, 0);
    if (!rc && !dir->in_failed && !dir->attempt && run.latest > 1)
        rc = listing_add(l, "attempts", VIEW_DIRECTORY);
    free(names);
    free(walked);
    catalog_answer_release(jobs);
    return rc;
}

int dirs_parse_attempt(const struct vnode *dir, const char *name, struct vnode *p)
{
    uint64_t n;

    (void)dir;
    if (!name_parse_id(name, &n) || n > UINT32_MAX)
        return -ENOENT;
    p->attempt = (unsigned)n;
    return 0;
}

/* The earlier attempts. */
int dirs_list_attempts(struct views *v, const struct vnode *dir, struct waiter *w,
                       struct view_listing *l)
{
    struct attempts_run run;
    int rc = runs_get(v, dir, w, &run);

    for (unsigned n = 1; !rc && n < run.latest && n <= CATALOG_ENTRIES_MAX; n++)
        rc = listing_add_id(l, n, VIEW_DIRECTORY);
    return rc;
}

/* --- steps --- */

/* The files of the job's steps that are in the directory; malloc'd. NULL: no memory. */
static struct steps_file *get_files(const struct vnode *dir, const struct facts_job *job)
{
    struct steps_file *files = steps_get_files(job);

    if (files && dir->in_failed)
        failed_select_files(job, files);
    return files;
}

/* Step 0 is the whole log. */
static int find_step(const struct vnode *dir, const struct facts_job *job, const char *name,
                     unsigned *ret_step)
{
    unsigned width = steps_get_width(job);
    struct steps_file *files;
    char step_name[SAFE_NAME_LEN];
    int rc = -ENOENT;

    *ret_step = 0;
    if (steps_is_whole(job))
        return strcmp(name, VIEWS_WHOLE_STEP) ? -ENOENT : 0;
    files = get_files(dir, job);
    if (!files)
        return -ENOMEM;
    for (size_t i = 0; i < job->step_count && rc; i++) {
        if (!files[i].present)
            continue;
        steps_make_name(&job->steps[i], &files[i], width, step_name);
        rc = strcmp(step_name, name) ? -ENOENT : 0;
        *ret_step = job->steps[i].number;
    }
    free(files);
    return rc;
}

int dirs_look_up_step(struct views *v, const struct vnode *dir, const char *name, struct waiter *w,
                      struct vnode *p)
{
    struct catalog_seen seen;
    int rc = view_find_job(v, dir, w, &seen);

    if (rc)
        return rc;
    rc = find_step(dir, seen.job, name, &p->step);
    if (!rc && p->step)
        p->cut = steps_digest(seen.job);
    catalog_seen_release(&seen);
    return rc;
}

static int add_steps(const struct vnode *dir, const struct facts_job *job, struct view_listing *l)
{
    unsigned width = steps_get_width(job);
    struct steps_file *files;
    char name[SAFE_NAME_LEN];
    int rc = 0;

    if (steps_is_whole(job))
        return listing_add(l, VIEWS_WHOLE_STEP, VIEW_FILE);
    files = get_files(dir, job);
    if (!files)
        return -ENOMEM;
    for (size_t i = 0; i < job->step_count && !rc; i++) {
        if (!files[i].present)
            continue;
        steps_make_name(&job->steps[i], &files[i], width, name);
        rc = listing_add(l, name, VIEW_FILE);
    }
    free(files);
    return rc;
}

/* A completed job has files for its steps, unless its log is known to be absent. */
int dirs_list_steps(struct views *v, const struct vnode *dir, struct waiter *w,
                    struct view_listing *l)
{
    struct catalog_seen seen;
    struct log_stat stat;
    bool shows = false;
    struct log *log;
    int rc = view_find_job(v, dir, w, &seen);

    if (rc)
        return rc;
    log = cache_hold(v->config.cache, dir->job);
    /* The disk may know of the log, or that it has expired. */
    rc = log ? log_get_stat(log, &dir->repo, EFFORT_DISK, NULL, w, &stat) : -ENOMEM;
    if (rc == -EAGAIN || rc == -ENOENT)
        rc = 0;
    if (!rc && seen.job->status == FACTS_COMPLETED)
        rc = shows_log(v, dir, log, seen.job, w, &shows);
    if (shows && !rc)
        rc = add_steps(dir, seen.job, l);
    if (!rc)
        walk_note_enter(view_walk_in(v, dir), &dir->repo, dir->job, w ? w->reader : 0);
    log_release(log);
    catalog_seen_release(&seen);
    return rc;
}
