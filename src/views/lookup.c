/*
 * What a name means inside a directory: by grammar, without asking anybody, wherever that is enough (S13).
 */
#include "views/cuts.h"
#include "views/runs.h"
#include "views/steps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A place below `dir`: its names and ids, not its kind. */
static void place_below(const struct place *dir, enum place_kind kind, struct place *ret_place)
{
    *ret_place = *dir;
    ret_place->kind = kind;
    ret_place->text = NULL;
    ret_place->log = NULL;
    ret_place->size = ret_place->sum = 0;
    ret_place->content = NULL;
    ret_place->depth = dir->depth + 1;
}

struct fixed_name {
    enum place_kind dir;
    const char *name;
    enum place_kind kind;
};

/* Names that the tree itself uses. */
static const struct fixed_name fixed_names[] = {
    {PLACE_ROOT, VIEWS_CONTROL, PLACE_CONTROL},
    {PLACE_CONTROL, "stats", PLACE_STATS},
    {PLACE_CONTROL, "options", PLACE_OPTIONS},
    {PLACE_CONTROL, "version", PLACE_VERSION},
    {PLACE_REPO, "jobs", PLACE_JOBS},
    {PLACE_REPO, "runs", PLACE_RUNS},
    {PLACE_REPO, "latest", PLACE_LATEST},
    {PLACE_REPO, "failed", PLACE_FAILED},
    {PLACE_REPO, "branches", PLACE_BRANCHES},
    {PLACE_REPO, "workflows", PLACE_WORKFLOWS},
    {PLACE_JOB, "log", PLACE_LOG},
    {PLACE_JOB, "log.txt", PLACE_LOG_TXT},
    {PLACE_JOB, "job.json", PLACE_JOB_JSON},
    {PLACE_RUN, "run.json", PLACE_RUN_JSON},
    {PLACE_RUN_JOB, "log", PLACE_JOB_LINK},
};

static const struct fixed_name *find_fixed(enum place_kind dir, const char *name)
{
    for (size_t i = 0; i < sizeof(fixed_names) / sizeof(fixed_names[0]); i++)
        if (fixed_names[i].dir == dir && !strcmp(fixed_names[i].name, name))
            return &fixed_names[i];
    return NULL;
}

static int lookup_owner(const struct place *dir, const char *name, struct place *ret_place)
{
    if (!name_is_owner(name))
        return -ENOENT;
    place_below(dir, PLACE_OWNER, ret_place);
    memcpy(ret_place->repo.owner, name, strlen(name) + 1);
    return 0;
}

/* Every rg looks for these wherever it goes; a repository of such a name would be asked for each
 * time. Nobody has one. */
static bool is_ignore_file(const char *name)
{
    return !strcmp(name, ".gitignore") || !strcmp(name, ".ignore") || !strcmp(name, ".rgignore");
}

static int lookup_repo(const struct place *dir, const char *name, struct place *ret_place)
{
    if (!name_is_repo(name) || is_ignore_file(name))
        return -ENOENT;
    place_below(dir, PLACE_REPO, ret_place);
    memcpy(ret_place->repo.repo, name, strlen(name) + 1);
    return 0;
}

static int lookup_id(const struct place *dir, const char *name, enum place_kind kind,
                     struct place *ret_place)
{
    uint64_t id;

    if (!name_parse_id(name, &id))
        return -ENOENT;
    place_below(dir, kind, ret_place);
    if (kind == PLACE_JOB)
        ret_place->job = id;
    else
        ret_place->run = id;
    return 0;
}

static int lookup_attempt(const struct place *dir, const char *name, struct place *ret_place)
{
    uint64_t n;

    if (!name_parse_id(name, &n) || n > UINT32_MAX)
        return -ENOENT;
    place_below(dir, PLACE_RUN, ret_place);
    ret_place->attempt = (unsigned)n;
    return 0;
}

/* What no part of a git branch's name can be. */
static bool is_no_branch(const char *name)
{
    size_t len = strlen(name);

    return name[0] == '.' || (len >= 5 && !strcmp(name + len - 5, ".lock"));
}

/* A part of a branch's name, or a workflow. */
static int lookup_text(const struct place *dir, const char *name, enum place_kind kind,
                       struct place *ret_place)
{
    struct place place;

    if (kind == PLACE_BRANCH ? is_no_branch(name) : is_ignore_file(name))
        return -ENOENT;
    place_below(dir, kind, &place);
    if (asprintf(&place.text, "%s%s%s", dir->text ? dir->text : "", dir->text ? "/" : "", name) < 0)
        return -ENOMEM;
    if (strlen(place.text) >= VIEWS_TEXT_MAX) {
        free(place.text);
        return -ENAMETOOLONG;
    }
    *ret_place = place;
    return 0;
}

/* Under a view, a part of digits only is a run's link; a branch or workflow cannot be that. */
static int lookup_in_view(const struct place *dir, const char *name, struct place *ret_place)
{
    bool is_top = dir->kind == PLACE_BRANCHES || dir->kind == PLACE_WORKFLOWS;
    uint64_t id;

    if (name_parse_id(name, &id))
        return is_top ? -ENOENT : lookup_id(dir, name, PLACE_RUN_LINK, ret_place);
    switch (dir->kind) {
    case PLACE_BRANCHES:
    case PLACE_BRANCH: return lookup_text(dir, name, PLACE_BRANCH, ret_place);
    case PLACE_WORKFLOWS: return lookup_text(dir, name, PLACE_WORKFLOW, ret_place);
    default: return -ENOENT;
    }
}

static int lookup_in_run(struct views *v, const struct place *dir, const char *name,
                         struct waiter *w, struct place *ret_place)
{
    const struct catalog_answer *jobs;
    uint64_t job;
    int rc;

    if (!strcmp(name, "attempts") && !dir->attempt) {
        place_below(dir, PLACE_ATTEMPTS, ret_place);
        return 0;
    }
    rc = runs_get_jobs(v, dir, w, &jobs);
    if (rc)
        return rc;
    rc = named_find(v->named, jobs, name, &job);
    catalog_answer_release(jobs);
    if (rc)
        return rc;
    place_below(dir, PLACE_RUN_JOB, ret_place);
    ret_place->job = job;
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

static int lookup_step(struct views *v, const struct place *dir, const char *name, struct waiter *w,
                       struct place *ret_place)
{
    struct catalog_seen seen;
    int rc = view_find_job(v, dir, w, &seen);

    if (rc)
        return rc;
    place_below(dir, PLACE_STEP, ret_place);
    rc = find_step(seen.job, name, &ret_place->step);
    if (!rc && ret_place->step)
        ret_place->cut = cuts_digest(seen.job);
    catalog_seen_release(&seen);
    return rc;
}

static int lookup_place(struct views *v, const struct place *dir, const char *name,
                        struct waiter *w, struct place *ret_place)
{
    const struct fixed_name *fixed = find_fixed(dir->kind, name);

    if (fixed) {
        place_below(dir, fixed->kind, ret_place);
        return 0;
    }
    switch (dir->kind) {
    case PLACE_ROOT: return lookup_owner(dir, name, ret_place);
    case PLACE_OWNER: return lookup_repo(dir, name, ret_place);
    case PLACE_JOBS: return lookup_id(dir, name, PLACE_JOB, ret_place);
    case PLACE_RUNS: return lookup_id(dir, name, PLACE_RUN, ret_place);
    case PLACE_RUN: return lookup_in_run(v, dir, name, w, ret_place);
    case PLACE_RUN_JOB: return lookup_step(v, dir, name, w, ret_place);
    case PLACE_ATTEMPTS: return lookup_attempt(dir, name, ret_place);
    case PLACE_FAILED:
    case PLACE_BRANCHES:
    case PLACE_BRANCH:
    case PLACE_WORKFLOWS:
    case PLACE_WORKFLOW: return lookup_in_view(dir, name, ret_place);
    default: return -ENOENT;
    }
}

/* A place that needs its log, or the text made of it, holds it. */
static int hold_log(struct views *v, struct place *p)
{
    uint64_t id = p->job;

    if (p->kind != PLACE_LOG && p->kind != PLACE_LOG_TXT && p->kind != PLACE_STEP)
        return 0;
    if (p->kind != PLACE_LOG)
        id = derived_id(v->derived, p->job);
    p->log = cache_hold(v->config.cache, id);
    return p->log ? 0 : -ENOMEM;
}

int views_lookup(struct views *v, const struct place *dir, const char *name, struct waiter *w,
                 struct place *ret_place)
{
    struct place place;
    int rc = lookup_place(v, dir, name, w, &place);

    if (rc)
        return rc;
    rc = view_is_text(place.kind) ? view_text_look_up(v, &place, w) : hold_log(v, &place);
    if (rc)
        views_place_finish(&place);
    else
        *ret_place = place;
    return rc;
}
