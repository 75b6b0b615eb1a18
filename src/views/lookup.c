/*
 * What a name means inside a directory: by grammar, without asking anybody, wherever that is enough (S13).
 */
#include "views/runs.h"
#include "views/steps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
