/*
 * What each directory lists, and what a name means inside it: by grammar, without asking anybody,
 * wherever that is enough (S13).
 */
#include "views/attempts.h"
#include "views/groups.h"
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

static int list_names(struct view_listing *l, const char *const *names, enum view_type type)
{
    int rc = 0;

    for (; *names && !rc; names++)
        rc = listing_add(l, *names, type);
    return rc;
}

/* --- owners and repositories --- */

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
static int list_root(struct views *v, struct waiter *w, struct view_listing *l)
{
    const struct catalog_question mine = {.what = SOURCE_MY_REPOS};
    struct collecting to = {.listing = l};
    const struct catalog_answer *answer;
    int rc = v->config.has_token ? catalog_ask(v->config.catalog, &mine, w, &answer) : -ENOENT;

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
static int list_owner(struct views *v, const struct vnode *dir, struct waiter *w,
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

static int list_repo(struct views *v, const struct vnode *dir, struct waiter *w,
                     struct view_listing *l)
{
    static const char *const directories[] = {"jobs",     "runs",      "failed",
                                              "branches", "workflows", NULL};
    const struct catalog_answer *runs;
    struct catalog_question q;
    int rc;

    runs_question(v, &dir->repo, &q);
    rc = catalog_ask(v->config.catalog, &q, w, &runs);
    if (rc)
        return rc;
    catalog_note_used(v->config.catalog, &dir->repo, 0);
    rc = list_names(l, directories, VIEW_DIRECTORY);
    if (!rc && runs->count)
        rc = listing_add(l, "latest", VIEW_LINK);
    catalog_answer_release(runs);
    return rc;
}

/* --- jobs --- */

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

static struct attempts_run attempts_of(const struct gathering *g, const struct facts_run *run)
{
    return (struct attempts_run){.repo = g->dir->repo,
                                 .id = run->id,
                                 .latest = run->attempt,
                                 .ended = run->status == FACTS_COMPLETED};
}

/* The jobs of a run, if they can be had. */
static int gather_run(struct gathering *g, const struct facts_run *run)
{
    const struct attempts_run attempts = attempts_of(g, run);
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
        const struct attempts_run attempts = attempts_of(g, runs->runs[i]);
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

static int list_jobs(struct views *v, const struct vnode *dir, struct waiter *w,
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
    struct log_hint hint;
    struct log_stat stat;
    int rc;

    log_get_known(log, &dir->repo, &known);
    *ret_shows = known.available;
    if (known.available || known.failure.err == -ENOENT || !job || !facts_may_have_log(job))
        return 0;
    *ret_shows = true;
    if (!facts_has_open_steps(job))
        return 0;
    view_job_hint(v, dir, &hint);
    rc = log_get_stat(log, &dir->repo, &hint, w, &stat);
    *ret_shows = rc != -ENOENT;
    return rc == PENDING_PARKED ? rc : 0;
}

static int list_job(struct views *v, const struct vnode *dir, struct waiter *w,
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
        rc = listing_add(l, "job.json", VIEW_FILE);
    if (!rc)
        walk_note_enter(v->walk, &dir->repo, dir->job);
    catalog_seen_release(&seen);
    log_release(log);
    return rc;
}

/* --- runs --- */

static int list_runs(struct views *v, const struct vnode *dir, struct waiter *w,
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

/* Jobs by name, and the order in which a walker will come to their logs. */
static int add_jobs(struct views *v, const struct vnode *dir, const struct catalog_answer *jobs,
                    struct view_listing *l)
{
    uint64_t *ids = calloc(jobs->count + 1, sizeof(*ids));
    struct safe_name *names = NULL;
    size_t count = 0;
    int rc = ids ? named_make(jobs, &names) : -ENOMEM;

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

static int list_run(struct views *v, const struct vnode *dir, struct waiter *w,
                    struct view_listing *l)
{
    const struct catalog_answer *jobs;
    struct run_brief brief;
    int rc = runs_get_jobs(v, dir, w, &jobs);

    if (rc)
        return rc;
    rc = runs_get_brief(v, &dir->repo, dir->run, w, &brief);
    if (!rc)
        rc = listing_add(l, "run.json", VIEW_FILE);
    if (!rc)
        rc = add_jobs(v, dir, jobs, l);
    if (!rc && !dir->attempt && brief.attempt > 1)
        rc = listing_add(l, "attempts", VIEW_DIRECTORY);
    catalog_answer_release(jobs);
    return rc;
}

/* The earlier attempts. */
static int list_attempts(struct views *v, const struct vnode *dir, struct waiter *w,
                         struct view_listing *l)
{
    struct run_brief brief;
    int rc = runs_get_brief(v, &dir->repo, dir->run, w, &brief);

    for (unsigned n = 1; !rc && n < brief.attempt && n <= CATALOG_ENTRIES_MAX; n++)
        rc = add_id(l, n, VIEW_DIRECTORY);
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
static int list_steps(struct views *v, const struct vnode *dir, struct waiter *w,
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

/* --- all of them --- */

static int list_vnode(struct views *v, const struct vnode *dir, struct waiter *w,
                      struct view_listing *l)
{
    static const char *const in_control[] = {"stats", "options", "version", NULL};

    switch (dir->kind) {
    case VNODE_ROOT: return list_root(v, w, l);
    case VNODE_OWNER: return list_owner(v, dir, w, l);
    case VNODE_REPO: return list_repo(v, dir, w, l);
    case VNODE_JOBS: return list_jobs(v, dir, w, l);
    case VNODE_JOB: return list_job(v, dir, w, l);
    case VNODE_RUNS: return list_runs(v, dir, w, l);
    case VNODE_RUN: return list_run(v, dir, w, l);
    case VNODE_RUN_JOB: return list_steps(v, dir, w, l);
    case VNODE_ATTEMPTS: return list_attempts(v, dir, w, l);
    case VNODE_FAILED: return groups_list_failed(v, dir, w, l);
    case VNODE_BRANCHES:
    case VNODE_BRANCH: return groups_list_branches(v, dir, w, l);
    case VNODE_WORKFLOWS: return groups_list_workflows(v, dir, w, l);
    case VNODE_WORKFLOW: return groups_list_workflow(v, dir, w, l);
    case VNODE_CONTROL: return list_names(l, in_control, VIEW_FILE);
    default: return -ENOTDIR;
    }
}

int views_list(struct views *v, const struct vnode *dir, struct waiter *w,
               struct view_listing **ret_listing)
{
    struct view_listing *l = listing_create();
    int rc;

    if (!l)
        return -ENOMEM;
    rc = list_vnode(v, dir, w, l);
    if (rc) {
        views_listing_release(l);
        return rc;
    }
    *ret_listing = l;
    return 0;
}

/* --- names --- */

/* A vnode below `dir`: its names and ids, not its kind. */
static void vnode_below(const struct vnode *dir, enum vnode_kind kind, struct vnode *ret_vnode)
{
    *ret_vnode = *dir;
    ret_vnode->kind = kind;
    ret_vnode->text = NULL;
    ret_vnode->log = NULL;
    ret_vnode->size = ret_vnode->sum = 0;
    ret_vnode->content = NULL;
    ret_vnode->depth = dir->depth + 1;
}

struct fixed_name {
    enum vnode_kind dir;
    const char *name;
    enum vnode_kind kind;
};

/* Names that the tree itself uses. */
static const struct fixed_name fixed_names[] = {
    {VNODE_ROOT, VIEWS_CONTROL, VNODE_CONTROL},
    {VNODE_CONTROL, "stats", VNODE_STATS},
    {VNODE_CONTROL, "options", VNODE_OPTIONS},
    {VNODE_CONTROL, "version", VNODE_VERSION},
    {VNODE_REPO, "jobs", VNODE_JOBS},
    {VNODE_REPO, "runs", VNODE_RUNS},
    {VNODE_REPO, "latest", VNODE_LATEST},
    {VNODE_REPO, "failed", VNODE_FAILED},
    {VNODE_REPO, "branches", VNODE_BRANCHES},
    {VNODE_REPO, "workflows", VNODE_WORKFLOWS},
    {VNODE_JOB, "log", VNODE_LOG},
    {VNODE_JOB, "log.txt", VNODE_LOG_TXT},
    {VNODE_JOB, "job.json", VNODE_JOB_JSON},
    {VNODE_RUN, "run.json", VNODE_RUN_JSON},
    {VNODE_RUN_JOB, "log", VNODE_JOB_LINK},
};

static const struct fixed_name *find_fixed(enum vnode_kind dir, const char *name)
{
    for (size_t i = 0; i < sizeof(fixed_names) / sizeof(fixed_names[0]); i++)
        if (fixed_names[i].dir == dir && !strcmp(fixed_names[i].name, name))
            return &fixed_names[i];
    return NULL;
}

static int lookup_owner(const struct vnode *dir, const char *name, struct vnode *ret_vnode)
{
    if (!name_is_owner(name))
        return -ENOENT;
    vnode_below(dir, VNODE_OWNER, ret_vnode);
    memcpy(ret_vnode->repo.owner, name, strlen(name) + 1);
    return 0;
}

/* Every rg looks for these wherever it goes; a repository of such a name would be asked for each
 * time. Nobody has one. */
static bool is_ignore_file(const char *name)
{
    return !strcmp(name, ".gitignore") || !strcmp(name, ".ignore") || !strcmp(name, ".rgignore");
}

static int lookup_repo(const struct vnode *dir, const char *name, struct vnode *ret_vnode)
{
    if (!name_is_repo(name) || is_ignore_file(name))
        return -ENOENT;
    vnode_below(dir, VNODE_REPO, ret_vnode);
    memcpy(ret_vnode->repo.repo, name, strlen(name) + 1);
    return 0;
}

static int lookup_id(const struct vnode *dir, const char *name, enum vnode_kind kind,
                     struct vnode *ret_vnode)
{
    uint64_t id;

    if (!name_parse_id(name, &id))
        return -ENOENT;
    vnode_below(dir, kind, ret_vnode);
    if (kind == VNODE_JOB)
        ret_vnode->job = id;
    else
        ret_vnode->run = id;
    return 0;
}

static int lookup_attempt(const struct vnode *dir, const char *name, struct vnode *ret_vnode)
{
    uint64_t n;

    if (!name_parse_id(name, &n) || n > UINT32_MAX)
        return -ENOENT;
    vnode_below(dir, VNODE_RUN, ret_vnode);
    ret_vnode->attempt = (unsigned)n;
    return 0;
}

/* What no part of a git branch's name can be. */
static bool is_no_branch(const char *name)
{
    size_t len = strlen(name);

    return name[0] == '.' || (len >= 5 && !strcmp(name + len - 5, ".lock"));
}

/* A part of a branch's name, or a workflow. */
static int lookup_text(const struct vnode *dir, const char *name, enum vnode_kind kind,
                       struct vnode *ret_vnode)
{
    struct vnode vnode;

    if (kind == VNODE_BRANCH ? is_no_branch(name) : is_ignore_file(name))
        return -ENOENT;
    vnode_below(dir, kind, &vnode);
    if (asprintf(&vnode.text, "%s%s%s", dir->text ? dir->text : "", dir->text ? "/" : "", name) < 0)
        return -ENOMEM;
    if (strlen(vnode.text) >= VIEWS_TEXT_MAX) {
        free(vnode.text);
        return -ENAMETOOLONG;
    }
    *ret_vnode = vnode;
    return 0;
}

/* Under a view, a part of digits only is a run's link; a branch or workflow cannot be that. */
static int lookup_in_view(const struct vnode *dir, const char *name, struct vnode *ret_vnode)
{
    bool is_top = dir->kind == VNODE_BRANCHES || dir->kind == VNODE_WORKFLOWS;
    uint64_t id;

    if (name_parse_id(name, &id))
        return is_top ? -ENOENT : lookup_id(dir, name, VNODE_RUN_LINK, ret_vnode);
    switch (dir->kind) {
    case VNODE_BRANCHES:
    case VNODE_BRANCH: return lookup_text(dir, name, VNODE_BRANCH, ret_vnode);
    case VNODE_WORKFLOWS: return lookup_text(dir, name, VNODE_WORKFLOW, ret_vnode);
    default: return -ENOENT;
    }
}

static int lookup_in_run(struct views *v, const struct vnode *dir, const char *name,
                         struct waiter *w, struct vnode *ret_vnode)
{
    const struct catalog_answer *jobs;
    uint64_t job;
    int rc;

    if (!strcmp(name, "attempts") && !dir->attempt) {
        vnode_below(dir, VNODE_ATTEMPTS, ret_vnode);
        return 0;
    }
    rc = runs_get_jobs(v, dir, w, &jobs);
    if (rc)
        return rc;
    rc = named_find(v->named, jobs, name, &job);
    catalog_answer_release(jobs);
    if (rc)
        return rc;
    vnode_below(dir, VNODE_RUN_JOB, ret_vnode);
    ret_vnode->job = job;
    return 0;
}

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

static int lookup_step(struct views *v, const struct vnode *dir, const char *name, struct waiter *w,
                       struct vnode *ret_vnode)
{
    struct catalog_seen seen;
    int rc = view_find_job(v, dir, w, &seen);

    if (rc)
        return rc;
    vnode_below(dir, VNODE_STEP, ret_vnode);
    rc = find_step(seen.job, name, &ret_vnode->step);
    if (!rc && ret_vnode->step)
        ret_vnode->cut = steps_digest(seen.job);
    catalog_seen_release(&seen);
    return rc;
}

static int lookup_vnode(struct views *v, const struct vnode *dir, const char *name,
                        struct waiter *w, struct vnode *ret_vnode)
{
    const struct fixed_name *fixed = find_fixed(dir->kind, name);

    if (fixed) {
        vnode_below(dir, fixed->kind, ret_vnode);
        return 0;
    }
    switch (dir->kind) {
    case VNODE_ROOT: return lookup_owner(dir, name, ret_vnode);
    case VNODE_OWNER: return lookup_repo(dir, name, ret_vnode);
    case VNODE_JOBS: return lookup_id(dir, name, VNODE_JOB, ret_vnode);
    case VNODE_RUNS: return lookup_id(dir, name, VNODE_RUN, ret_vnode);
    case VNODE_RUN: return lookup_in_run(v, dir, name, w, ret_vnode);
    case VNODE_RUN_JOB: return lookup_step(v, dir, name, w, ret_vnode);
    case VNODE_ATTEMPTS: return lookup_attempt(dir, name, ret_vnode);
    case VNODE_FAILED:
    case VNODE_BRANCHES:
    case VNODE_BRANCH:
    case VNODE_WORKFLOWS:
    case VNODE_WORKFLOW: return lookup_in_view(dir, name, ret_vnode);
    default: return -ENOENT;
    }
}

/* A vnode that needs its log, or the text made of it, holds it. */
static int hold_log(struct views *v, struct vnode *p)
{
    uint64_t id = p->job;

    if (p->kind != VNODE_LOG && p->kind != VNODE_LOG_TXT && p->kind != VNODE_STEP)
        return 0;
    if (p->kind != VNODE_LOG)
        id = generated_id(v->generated, p->job);
    p->log = cache_hold(v->config.cache, id);
    return p->log ? 0 : -ENOMEM;
}

int views_lookup(struct views *v, const struct vnode *dir, const char *name, struct waiter *w,
                 struct vnode *ret_vnode)
{
    struct vnode vnode;
    int rc = lookup_vnode(v, dir, name, w, &vnode);

    if (rc)
        return rc;
    rc = view_is_text(vnode.kind) ? view_text_look_up(v, &vnode, w) : hold_log(v, &vnode);
    if (rc)
        views_vnode_finish(&vnode);
    else
        *ret_vnode = vnode;
    return rc;
}
