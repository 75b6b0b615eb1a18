/*
 * What a file or directory looks like: type, size, time.
 */
#include "views/runs.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DIRECTORY_MS 60000 /* how long a directory's times may be remembered */
#define UNTIMED_MS 1000    /* the same before its own time is known, or what a step's name means */

static enum view_type type_of(enum vnode_kind kind)
{
    switch (kind) {
    case VNODE_LOG:
    case VNODE_LOG_TXT:
    case VNODE_JOB_JSON:
    case VNODE_RUN_JSON:
    case VNODE_STEP:
    case VNODE_STATS:
    case VNODE_OPTIONS:
    case VNODE_VERSION: return VIEW_FILE;
    case VNODE_JOB_LINK:
    case VNODE_LATEST:
    case VNODE_RUN_LINK: return VIEW_LINK;
    default: return VIEW_DIRECTORY;
    }
}

void view_job_hint(struct views *v, const struct vnode *p, struct log_hint *ret_hint)
{
    struct catalog_seen seen;

    memset(ret_hint, 0, sizeof(*ret_hint));
    if (!catalog_find_job(v->config.catalog, &p->repo, p->job, &seen))
        return;
    ret_hint->completed = seen.job->status == FACTS_COMPLETED;
    if (ret_hint->completed)
        ret_hint->completed_ms = seen.job->completed_ms;
    catalog_seen_release(&seen);
}

bool view_has_no_log(struct views *v, const struct vnode *p)
{
    struct catalog_seen seen;
    bool has_none;

    if (!catalog_find_job(v->config.catalog, &p->repo, p->job, &seen))
        return false;
    has_none = seen.job->status == FACTS_COMPLETED && !facts_may_have_log(seen.job);
    catalog_seen_release(&seen);
    return has_none;
}

/* --- times, as far as they are known at no cost; 0: not at all (S7) --- */

static int64_t job_time(struct views *v, const struct vnode *p)
{
    struct catalog_seen seen;
    int64_t ms;

    if (!catalog_find_job(v->config.catalog, &p->repo, p->job, &seen))
        return 0;
    ms = seen.job->completed_ms;
    if (ms <= 0)
        ms = seen.job->started_ms > 0 ? seen.job->started_ms : seen.job->created_ms;
    catalog_seen_release(&seen);
    return ms;
}

static int64_t time_of_run(const struct facts_run *run)
{
    return run->updated_ms > 0 ? run->updated_ms : run->created_ms;
}

/* Out of the recent runs or of what was asked about this one, whichever is later. */
static int64_t run_time(struct views *v, const struct vnode *p)
{
    const struct catalog_question q = {.what = SOURCE_RUN, .repo = p->repo, .id = p->run};
    const struct catalog_answer *answer;
    const struct facts_run *run = runs_peek(v, &p->repo, p->run, &answer);
    int64_t ms = 0;

    if (run) {
        ms = time_of_run(run);
        catalog_answer_release(answer);
    }
    if (!catalog_ask(v->config.catalog, &q, EFFORT_MEMORY, NULL, &answer)) {
        if (time_of_run(answer->runs[0]) > ms)
            ms = time_of_run(answer->runs[0]);
        catalog_answer_release(answer);
    }
    return ms;
}

/* Out of the listings in which the repository may have been seen. */
static int64_t repo_time(struct views *v, const struct vnode *p)
{
    struct catalog_question questions[2] = {{.what = SOURCE_OWNER_REPOS, .limit = CATALOG_PAGE},
                                            {.what = SOURCE_MY_REPOS}};
    const struct catalog_answer *answer;
    int64_t ms = 0;

    memcpy(questions[0].repo.owner, p->repo.owner, sizeof(p->repo.owner));
    for (int i = 0; i < 2 && ms <= 0; i++) {
        if (catalog_ask(v->config.catalog, &questions[i], EFFORT_MEMORY, NULL, &answer))
            continue;
        for (size_t k = 0; k < answer->count; k++)
            if (!strcasecmp(answer->repos[k]->owner, p->repo.owner) &&
                !strcasecmp(answer->repos[k]->name, p->repo.repo))
                ms = answer->repos[k]->pushed_ms;
        catalog_answer_release(answer);
    }
    return ms;
}

/* 0: not known yet. */
static int64_t own_time(struct views *v, const struct vnode *p)
{
    if (p->job)
        return job_time(v, p);
    if (p->run)
        return run_time(v, p);
    return p->repo.repo[0] ? repo_time(v, p) : 0;
}

static int64_t known_time(struct views *v, const struct vnode *p)
{
    int64_t ms = own_time(v, p);

    return ms > 0 ? ms : v->config.mounted_ms;
}

/* --- by type --- */

/* What is empty may be asked for again (errors table). A size that one answer alone has told may
 * turn out to be another, which the kernel has to learn. */
static int64_t how_long(const struct view_part *part)
{
    if (!part->final || !part->lasting)
        return 0;
    return part->size ? VIEWS_FINAL_MS : DIRECTORY_MS;
}

static int get_part_attr(struct views *v, const struct vnode *p, struct waiter *w,
                         struct view_attr *ret_attr)
{
    struct view_part part;
    int rc = view_get_part(v, p, w, &part);

    if (rc)
        return rc;
    *ret_attr = (struct view_attr){.type = VIEW_FILE,
                                   .size = part.size,
                                   .mtime_ms = part.mtime_ms,
                                   .valid_ms = how_long(&part),
                                   .name_ms = part.final && !part.settled ? UNTIMED_MS : 0,
                                   .growing = !part.final};
    return 0;
}

/* Not to be remembered: each lookup of the path makes the text anew. */
static void get_text_attr(struct views *v, const struct vnode *p, struct view_attr *ret_attr)
{
    *ret_attr = (struct view_attr){
        .type = VIEW_FILE, .size = p->size, .mtime_ms = known_time(v, p)};
}

/* A link exists by grammar; where it points to is asked only when it is read (S13). */
static int get_link_attr(struct views *v, const struct vnode *p, struct view_attr *ret_attr)
{
    char target[PATH_MAX] = "";

    if (p->kind != VNODE_LATEST && views_read_link(v, p, NULL, target, sizeof(target)))
        return -ENOENT;
    *ret_attr = (struct view_attr){.type = VIEW_LINK,
                                   .size = strlen(target),
                                   .mtime_ms = known_time(v, p),
                                   .valid_ms = p->kind == VNODE_LATEST ? 0 : DIRECTORY_MS};
    return 0;
}

/* A time that is not known yet may be a moment later: by the listing that is being read just now. */
static void get_directory_attr(struct views *v, const struct vnode *p, struct view_attr *ret_attr)
{
    bool has_time = p->repo.repo[0] && p->kind != VNODE_CONTROL;
    int64_t ms = own_time(v, p);

    *ret_attr = (struct view_attr){.type = VIEW_DIRECTORY,
                                   .mtime_ms = ms > 0 ? ms : v->config.mounted_ms,
                                   .ctime_ms = v->config.mounted_ms,
                                   .valid_ms = ms > 0 || !has_time ? DIRECTORY_MS : UNTIMED_MS};
}

int views_get_attr(struct views *v, const struct vnode *p, struct waiter *w,
                   struct view_attr *ret_attr)
{
    if (p->log)
        return get_part_attr(v, p, w, ret_attr);
    if (type_of(p->kind) == VIEW_LINK)
        return get_link_attr(v, p, ret_attr);
    if (type_of(p->kind) == VIEW_FILE)
        get_text_attr(v, p, ret_attr);
    else
        get_directory_attr(v, p, ret_attr);
    return 0;
}
