/*
 * What each directory lists, and what a name means inside it: by grammar, without asking anybody,
 * wherever that is enough (S13).
 */
#include "views/runs.h"
#include "views/steps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int add_id(struct view_listing *l, uint64_t id, enum view_type type)
{
    char name[32];

    snprintf(name, sizeof(name), "%llu", (unsigned long long)id);
    return listing_add(l, name, type);
}

/* --- owners and repositories --- */

bool view_is_ignore_file(const char *name)
{
    return !strcmp(name, ".gitignore") || !strcmp(name, ".ignore") || !strcmp(name, ".rgignore");
}

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
    if (!name_is_repo(name) || view_is_ignore_file(name))
        return -ENOENT;
    memcpy(p->repo.repo, name, strlen(name) + 1);
    return 0;
}

struct collecting {
    struct view_listing *listing;
    int rc;
    const char *owner; /* NULL: collects owners; else this owner's repositories */
};

/* GitHub's owners and repositories are the same in any case of letters. */
static bool has_folded(const struct view_listing *l, const char *name)
{
    struct view_entry entry;

    for (size_t i = 0; views_listing_get(l, i, &entry); i++)
        if (!strcasecmp(entry.name, name))
            return true;
    return false;
}

static void collect(struct collecting *to, const char *owner, const char *repo)
{
    const char *name = to->owner ? repo : owner;

    if (to->rc || (to->owner && strcasecmp(to->owner, owner) != 0))
        return;
    if (to->owner ? !name_is_repo(name) : !name_is_owner(name))
        return;
    if (!has_folded(to->listing, name))
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
}

/* Some tokens may not list repositories (those of workflows and of apps): what is in use is shown all
 * the same. */
static int end_collecting(const struct collecting *to, int rc)
{
    bool has_some = views_listing_get(to->listing, 0, &(struct view_entry){0});

    return rc && !has_some ? rc : to->rc;
}

/* Owners of the repositories that the token sees, and owners in use. */
int dirs_list_root(struct views *v, const struct vnode *dir, struct waiter *w,
                   struct view_listing *l)
{
    const struct catalog_question mine = {.what = SOURCE_MY_REPOS};
    struct collecting to = {.listing = l};
    const struct catalog_answer *answer;
    int rc = v->config.has_token ? catalog_ask(v->config.catalog, &mine, w, &answer) : -ENOENT;

    (void)dir;
    if (rc == PENDING_PARKED)
        return rc;
    if (!rc) {
        collect_answer(&to, answer);
        catalog_answer_release(answer);
    }
    catalog_each_used_repo(v->config.catalog, NULL, collect_used, &to);
    return v->config.has_token ? end_collecting(&to, rc) : to.rc;
}

/* The owner's repositories, those of the owner's that the token sees if that is known, those in use. */
int dirs_list_owner(struct views *v, const struct vnode *dir, struct waiter *w,
                    struct view_listing *l)
{
    const struct catalog_question mine = {.what = SOURCE_MY_REPOS};
    struct catalog_question theirs = {.what = SOURCE_OWNER_REPOS, .limit = CATALOG_PAGE};
    struct collecting to = {.listing = l, .owner = dir->repo.owner};
    const struct catalog_answer *answer;
    int rc;

    memcpy(theirs.repo.owner, dir->repo.owner, sizeof(dir->repo.owner));
    rc = catalog_ask(v->config.catalog, &theirs, w, &answer);
    if (rc == PENDING_PARKED)
        return rc;
    if (!rc) {
        collect_answer(&to, answer);
        catalog_answer_release(answer);
    }
    if (!catalog_peek(v->config.catalog, &mine, &answer)) {
        collect_answer(&to, answer);
        catalog_answer_release(answer);
    }
    catalog_each_used_repo(v->config.catalog, dir->repo.owner, collect_used, &to);
    return end_collecting(&to, rc);
}

int dirs_list_repo(struct views *v, const struct vnode *dir, struct waiter *w,
                   struct view_listing *l)
{
    const struct catalog_answer *runs;
    struct catalog_question q;
    int rc;

    runs_question(v, &dir->repo, &q);
    rc = catalog_ask(v->config.catalog, &q, w, &runs);
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

/* The jobs of all recent runs, asked for at once. */
struct gathering {
    struct views *views;
    const struct vnode *dir;
    struct waiter *waiter;
    uint64_t *jobs, *walked; /* all; those whose logs a walker will come to */
    size_t count, walked_count, room;
    unsigned runs_had;    /* whose jobs are known */
    unsigned runs_silent; /* about which GitHub said nothing; if no more than one, it is left out */
    int first_failure;    /* of a run that is left out; 0: none is */
};

static int gather_job(struct gathering *g, const struct facts_job *job)
{
    if (g->count == g->room) {
        size_t room = g->room ? 2 * g->room : 256;
        uint64_t *jobs = realloc(g->jobs, room * sizeof(*jobs)), *walked;
        if (!jobs)
            return -ENOMEM;
        g->jobs = jobs;
        walked = realloc(g->walked, room * sizeof(*walked));
        if (!walked)
            return -ENOMEM;
        g->walked = walked;
        g->room = room;
    }
    g->jobs[g->count++] = job->id;
    if (facts_may_have_log(job))
        g->walked[g->walked_count++] = job->id;
    return 0;
}

/* The jobs of a run, if they can be had. */
static int gather_run(struct gathering *g, const struct facts_run *run)
{
    const struct attempts_run attempts = runs_resolve(&g->dir->repo, run);
    const struct catalog_answer *jobs;
    struct catalog_question q;
    int rc = attempts_get_latest(g->views, &attempts, g->waiter, &jobs);

    if (rc < 0) {
        attempts_question(&attempts, run->attempt, &q);
        if (!attempts_can_do_without(g->views, &q, rc) &&
            (rc != -ETIMEDOUT || ++g->runs_silent > 1))
            return rc;
        g->first_failure = g->first_failure ? g->first_failure : rc;
        return 0;
    }
    if (rc)
        return rc;
    g->runs_had++;
    for (size_t i = 0; i < jobs->count && !rc; i++)
        rc = gather_job(g, jobs->jobs[i]);
    catalog_answer_release(jobs);
    return rc;
}

static int gather(struct gathering *g)
{
    const struct catalog_answer *runs;
    struct catalog_question q;
    int rc;

    runs_question(g->views, &g->dir->repo, &q);
    rc = catalog_ask(g->views->config.catalog, &q, g->waiter, &runs);
    if (rc)
        return rc;
    for (size_t i = 0; i < runs->count; i++) {
        const struct attempts_run attempts = runs_resolve(&g->dir->repo, runs->runs[i]);
        attempts_want(g->views, &attempts, g->waiter);
    }
    for (size_t i = 0; i < runs->count && !rc; i++)
        rc = gather_run(g, runs->runs[i]);
    catalog_answer_release(runs);
    return rc || g->runs_had ? rc : g->first_failure;
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

/* A job in use that is in no recent run. */
static void add_used_job(void *who, uint64_t job)
{
    struct adding *to = who;

    if (to->rc || bsearch(&job, to->listed, to->count, sizeof(job), compare_ids))
        return;
    to->rc = add_id(to->listing, job, VIEW_DIRECTORY);
}

int dirs_list_jobs(struct views *v, const struct vnode *dir, struct waiter *w,
                   struct view_listing *l)
{
    struct gathering g = {.views = v, .dir = dir, .waiter = w};
    struct adding used = {.listing = l};
    int rc = gather(&g);

    for (size_t i = 0; i < g.count && !rc; i++)
        rc = add_id(l, g.jobs[i], VIEW_DIRECTORY);
    if (!rc) {
        walk_note_listing(v->walk, &dir->repo, g.walked, g.walked_count);
        if (g.count)
            qsort(g.jobs, g.count, sizeof(*g.jobs), compare_ids);
        used.listed = g.jobs;
        used.count = g.count;
        catalog_each_used_job(v->config.catalog, &dir->repo, add_used_job, &used);
        rc = used.rc;
    }
    free(g.jobs);
    free(g.walked);
    return rc;
}

/* Whether the job is GitHub's at all, from what is known or else by asking; -ENOENT: it is not.
 * ret_seen->job is NULL where its log is known, which is proof enough. */
static int prove_job(struct views *v, const struct vnode *dir, struct log *log, struct waiter *w,
                     struct catalog_seen *ret_seen)
{
    struct catalog_question q = {.what = SOURCE_JOB, .repo = dir->repo, .id = dir->job};
    const struct catalog_answer *answer;
    struct log_stat stat;
    int rc;

    rc = log_find_stat(log, &dir->repo, w, &stat);
    if (rc != -EAGAIN)
        return rc;
    if (catalog_find_job(v->config.catalog, &dir->repo, dir->job, ret_seen))
        return 0;
    rc = catalog_ask(v->config.catalog, &q, w, &answer);
    if (rc)
        return rc;
    rc = catalog_find_in(answer, dir->job, ret_seen) ? 0 : -EPROTO;
    catalog_answer_release(answer);
    return rc;
}

/*
 * S19: `log` is listed unless it is known to be absent, as that of a skipped job is; that of a job
 * that is still queued or in progress only once it was seen. A NULL job: nothing is known of it. A
 * job whose steps have not ended has most likely lost its runner and its log with it: that is found
 * out here, so that no walker meets a name that is not there.
 */
static int shows_log(struct views *v, const struct vnode *dir, struct log *log,
                     const struct facts_job *job, struct waiter *w, bool *ret_shows)
{
    struct log_known known;
    struct known_job facts;
    struct log_stat stat;
    int rc;

    log_get_known(log, &dir->repo, &known);
    *ret_shows = known.available;
    if (known.available || known.failure.err == -ENOENT || !job || !facts_may_have_log(job))
        return 0;
    *ret_shows = true;
    if (!facts_has_open_steps(job))
        return 0;
    runs_know_job(v, job, &facts);
    rc = log_get_stat(log, &dir->repo, &facts.hint, w, &stat);
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
    rc = prove_job(v, dir, log, w, &seen);
    if (!rc)
        rc = shows_log(v, dir, log, seen.job, w, &shows);
    if (shows && !rc)
        rc = listing_add(l, "log", VIEW_FILE);
    if (!rc)
        walk_note_enter(v->walk, &dir->repo, dir->job);
    catalog_seen_release(&seen);
    log_release(log);
    return rc;
}

/* --- runs --- */

int dirs_parse_run(const struct vnode *dir, const char *name, struct vnode *p)
{
    (void)dir;
    return name_parse_id(name, &p->run) ? 0 : -ENOENT;
}

int dirs_list_runs(struct views *v, const struct vnode *dir, struct waiter *w,
                   struct view_listing *l)
{
    const struct catalog_answer *runs;
    struct catalog_question q;
    int rc;

    runs_question(v, &dir->repo, &q);
    rc = catalog_ask(v->config.catalog, &q, w, &runs);
    if (rc)
        return rc;
    for (size_t i = 0; i < runs->count && !rc; i++)
        rc = add_id(l, runs->runs[i]->id, VIEW_DIRECTORY);
    catalog_answer_release(runs);
    return rc;
}

int dirs_look_up_run_job(struct views *v, const struct vnode *dir, const char *name,
                         struct waiter *w, struct vnode *p)
{
    const struct catalog_answer *jobs;
    int rc = runs_get_jobs(v, dir, w, &jobs);

    if (rc)
        return rc;
    rc = job_names_find(v->names, jobs, name, &p->job);
    catalog_answer_release(jobs);
    return rc;
}

/* Jobs by name, and the order in which a walker will come to their logs. */
static int add_jobs(struct views *v, const struct vnode *dir, const struct catalog_answer *jobs,
                    struct view_listing *l)
{
    uint64_t *ids = calloc(jobs->count + 1, sizeof(*ids));
    struct safe_name *names = NULL;
    size_t count = 0;
    int rc = ids ? job_names_make(jobs, &names) : -ENOMEM;

    for (size_t i = 0; i < jobs->count && !rc; i++) {
        if (facts_may_have_log(jobs->jobs[i]))
            ids[count++] = jobs->jobs[i]->id;
        rc = listing_add(l, names[i].name, VIEW_DIRECTORY);
    }
    if (!rc)
        walk_note_listing(v->walk, &dir->repo, ids, count);
    free(names);
    free(ids);
    return rc;
}

int dirs_list_run(struct views *v, const struct vnode *dir, struct waiter *w,
                  struct view_listing *l)
{
    const struct catalog_answer *jobs;
    struct attempts_run run;
    int rc = runs_get(v, dir, w, &run);

    if (!rc)
        rc = runs_list_jobs(v, &run, dir->attempt, w, &jobs);
    if (rc)
        return rc;
    rc = add_jobs(v, dir, jobs, l);
    if (!rc && !dir->attempt && run.latest > 1)
        rc = listing_add(l, "attempts", VIEW_DIRECTORY);
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
        rc = add_id(l, n, VIEW_DIRECTORY);
    return rc;
}

/* --- steps --- */

/* 0 is the whole log. */
static int find_step(const struct facts_job *job, const char *name, unsigned *ret_step)
{
    struct steps_file *files;
    unsigned width = steps_get_width(job);
    char step_name[SAFE_NAME_LEN];
    int rc = -ENOENT;

    *ret_step = 0;
    if (steps_is_whole(job))
        return strcmp(name, VIEWS_WHOLE_STEP) ? -ENOENT : 0;
    files = steps_get_files(job);
    if (!files)
        return -ENOMEM;
    for (size_t i = 0; rc && i < job->step_count; i++) {
        if (!files[i].present)
            continue;
        steps_make_name(&job->steps[i], &files[i], width, step_name);
        if (!strcmp(step_name, name)) {
            *ret_step = job->steps[i].number;
            rc = 0;
        }
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
    rc = find_step(seen.job, name, &p->step);
    if (!rc && p->step)
        p->cut = steps_digest(seen.job);
    catalog_seen_release(&seen);
    return rc;
}

static int add_steps(const struct facts_job *job, struct view_listing *l)
{
    struct steps_file *files = steps_get_files(job);
    unsigned width = steps_get_width(job);
    char name[SAFE_NAME_LEN];
    int rc = files ? 0 : -ENOMEM;

    if (!rc && steps_is_whole(job)) {
        rc = listing_add(l, VIEWS_WHOLE_STEP, VIEW_FILE);
        goto out;
    }
    for (size_t i = 0; i < job->step_count && !rc; i++) {
        if (!files[i].present)
            continue;
        steps_make_name(&job->steps[i], &files[i], width, name);
        rc = listing_add(l, name, VIEW_FILE);
    }
out:
    free(files);
    return rc;
}

/* Steps have files once the job is completed, and unless its log is known to be absent. */
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
    /* What the disk knows of the log, a 410 for one, counts as well. */
    rc = log ? log_find_stat(log, &dir->repo, w, &stat) : -ENOMEM;
    if (rc == -EAGAIN || rc == -ENOENT)
        rc = 0;
    if (!rc && seen.job->status == FACTS_COMPLETED)
        rc = shows_log(v, dir, log, seen.job, w, &shows);
    if (shows && !rc)
        rc = add_steps(seen.job, l);
    if (!rc)
        walk_note_enter(v->walk, &dir->repo, dir->job);
    log_release(log);
    catalog_seen_release(&seen);
    return rc;
}
