/*
 * The table of kinds, and the operations on vnodes, which follow its rows. A row defines what an
 * entry of a kind is, what its name is, how names are found in it, what it lists, where a link
 * leads, and what a file is made of. The functions that rows name lie in the other files, none of
 * which calls this one. A new view is a vnode_kind and a row for each kind of entry in it, and
 * their functions: `parse` (or `look_up`) and `list` of a directory, `read_link` of a link,
 * `make_text` or `hold_log` of a file.
 */
#include "views/reports.h"
#include "views/runs.h"

#include "hash.h"
#include "store/store.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* --- the table ------------------------------------------------------------------------------- */

/* How a directory lists an entry of a fixed name. */
enum listed {
    NOT_ALWAYS, /* the directory's `list` decides, or it is never listed */
    FIRST,      /* before what `list` adds, */
    LAST,       /* and after it; in the order of the rows */
};

struct kind {
    enum view_type type;

    /* An entry of a fixed name: what it is called, and in which kind of directory. */
    const char *name; /* NULL: its directory's `parse` or `look_up` finds it */
    enum vnode_kind parent;
    enum listed listed;

    /* A directory: how other names are found in it, by one of the two, and as what kind. */
    enum vnode_kind child;
    view_parse *parse;
    view_look_up *look_up;
    view_list *list;

    /* A link. `is_dynamic`: its target may change, and a request may be needed to know it. */
    view_read_link *read_link;
    bool is_dynamic;

    /* A file: a text in memory, or a log of the cache or a part of one. */
    view_make_text *make_text;
    bool is_late; /* the text is made of logs, and its directory is one that many share (S13) */
    struct log *(*hold_log)(struct views *v, const struct vnode *p); /* NULL: no memory */
};

static struct log *hold_raw(struct views *v, const struct vnode *p)
{
    return cache_hold(v->config.cache, p->job);
}

static struct log *hold_cleaned(struct views *v, const struct vnode *p)
{
    return cache_hold(v->config.cache, generated_id(v->generated, p->job));
}

/* clang-format off */
static const struct kind kinds[] = {
    /* Owners and repositories. */
    [VNODE_ROOT]         = {VIEW_DIRECTORY,
                            .parse = dirs_parse_owner, .child = VNODE_OWNER,
                            .list = dirs_list_root},
    [VNODE_OWNER]        = {VIEW_DIRECTORY,
                            .parse = dirs_parse_repo, .child = VNODE_REPO,
                            .list = dirs_list_owner},
    [VNODE_REPO]         = {VIEW_DIRECTORY, .list = dirs_list_repo},

    /* jobs/ */
    [VNODE_JOBS]         = {VIEW_DIRECTORY, "jobs", VNODE_REPO, FIRST,
                            .parse = dirs_parse_job, .child = VNODE_JOB,
                            .list = dirs_list_jobs},
    [VNODE_JOB]          = {VIEW_DIRECTORY, .list = dirs_list_job},
    [VNODE_LOG]          = {VIEW_FILE, "log", VNODE_JOB, .hold_log = hold_raw},
    [VNODE_LOG_TXT]      = {VIEW_FILE, "log.txt", VNODE_JOB, .hold_log = hold_cleaned},
    [VNODE_JOB_JSON]     = {VIEW_FILE, "job.json", VNODE_JOB, LAST,
                            .make_text = view_text_of_job},

    /* runs/ */
    [VNODE_RUNS]         = {VIEW_DIRECTORY, "runs", VNODE_REPO, FIRST,
                            .parse = dirs_parse_run, .child = VNODE_RUN,
                            .list = dirs_list_runs},
    [VNODE_RUN]          = {VIEW_DIRECTORY,
                            .look_up = dirs_look_up_run_job, .child = VNODE_RUN_JOB,
                            .list = dirs_list_run},
    [VNODE_RUN_JSON]     = {VIEW_FILE, "run.json", VNODE_RUN, FIRST,
                            .make_text = view_text_of_run},
    [VNODE_RUN_JOB]      = {VIEW_DIRECTORY,
                            .look_up = dirs_look_up_step, .child = VNODE_STEP,
                            .list = dirs_list_steps},
    [VNODE_STEP]         = {VIEW_FILE, .hold_log = hold_cleaned},
    [VNODE_JOB_LINK]     = {VIEW_LINK, "log", VNODE_RUN_JOB, .read_link = runs_read_fixed_link},
    [VNODE_ATTEMPTS]     = {VIEW_DIRECTORY, "attempts", VNODE_RUN,
                            .parse = dirs_parse_attempt, .child = VNODE_ATTEMPT,
                            .list = dirs_list_attempts},
    [VNODE_ATTEMPT]      = {VIEW_DIRECTORY,
                            .look_up = dirs_look_up_run_job, .child = VNODE_RUN_JOB,
                            .list = dirs_list_run},
    [VNODE_ATTEMPT_JSON] = {VIEW_FILE, "run.json", VNODE_ATTEMPT, FIRST,
                            .make_text = view_text_of_attempt},
    [VNODE_LATEST]       = {VIEW_LINK, "latest", VNODE_REPO,
                            .read_link = runs_read_latest_link, .is_dynamic = true},

    /* Runs by a property. */
    [VNODE_FAILED]       = {VIEW_DIRECTORY, "failed", VNODE_REPO, FIRST,
                            .parse = dirs_parse_failed_run, .child = VNODE_FAILED_RUN,
                            .list = groups_list_failed},
    [VNODE_FAILED_RUN]   = {VIEW_DIRECTORY,
                            .look_up = dirs_look_up_run_job, .child = VNODE_FAILED_JOB,
                            .list = dirs_list_run},
    [VNODE_FAILED_JOB]   = {VIEW_DIRECTORY,
                            .look_up = dirs_look_up_step, .child = VNODE_STEP,
                            .list = dirs_list_steps},
    [VNODE_REPORTS]      = {VIEW_DIRECTORY, "reports", VNODE_REPO, FIRST,
                            .parse = groups_parse_report, .child = VNODE_REPORT,
                            .list = groups_list_failed},
    [VNODE_REPORT]       = {VIEW_FILE, .make_text = view_text_of_report, .is_late = true},
    [VNODE_BRANCHES]     = {VIEW_DIRECTORY, "branches", VNODE_REPO, FIRST,
                            .parse = groups_parse_branch, .child = VNODE_BRANCH,
                            .list = groups_list_branches},
    [VNODE_BRANCH]       = {VIEW_DIRECTORY,
                            .parse = groups_parse_in_branch, .child = VNODE_BRANCH,
                            .list = groups_list_branches},
    [VNODE_WORKFLOWS]    = {VIEW_DIRECTORY, "workflows", VNODE_REPO, FIRST,
                            .parse = groups_parse_workflow, .child = VNODE_WORKFLOW,
                            .list = groups_list_workflows},
    [VNODE_WORKFLOW]     = {VIEW_DIRECTORY,
                            .parse = dirs_parse_run, .child = VNODE_RUN_LINK,
                            .list = groups_list_workflow},
    [VNODE_COMMITS]      = {VIEW_DIRECTORY, "commits", VNODE_REPO, FIRST,
                            .parse = groups_parse_commit, .child = VNODE_COMMIT,
                            .list = groups_list_commits},
    [VNODE_COMMIT]       = {VIEW_DIRECTORY,
                            .parse = dirs_parse_run, .child = VNODE_RUN_LINK,
                            .list = groups_list_commit},
    [VNODE_PULLS]        = {VIEW_DIRECTORY, "pulls", VNODE_REPO, FIRST,
                            .parse = groups_parse_pull, .child = VNODE_PULL,
                            .list = groups_list_pulls},
    [VNODE_PULL]         = {VIEW_DIRECTORY,
                            .parse = dirs_parse_run, .child = VNODE_RUN_LINK,
                            .list = groups_list_pull},
    [VNODE_RUN_LINK]     = {VIEW_LINK, .read_link = runs_read_fixed_link},

    /* What the mount reports of itself. */
    [VNODE_CONTROL]      = {VIEW_DIRECTORY, VIEWS_CONTROL, VNODE_ROOT, .listed = NOT_ALWAYS},
    [VNODE_STATS]        = {VIEW_FILE, "stats", VNODE_CONTROL, FIRST,
                            .make_text = view_text_of_mount},
    [VNODE_PROGRESS]     = {VIEW_FILE, "progress", VNODE_CONTROL, FIRST,
                            .make_text = view_text_of_mount},
    [VNODE_OPTIONS]      = {VIEW_FILE, "options", VNODE_CONTROL, FIRST,
                            .make_text = view_text_of_mount},
    [VNODE_VERSION]      = {VIEW_FILE, "version", VNODE_CONTROL, FIRST,
                            .make_text = view_text_of_mount},
    [VNODE_METRICS]      = {VIEW_FILE, "metrics", VNODE_CONTROL, FIRST,
                            .make_text = view_text_of_mount},
    [VNODE_PROMETHEUS]   = {VIEW_FILE, "metrics.prom", VNODE_CONTROL, FIRST,
                            .make_text = view_text_of_mount},
};
/* clang-format on */

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* --- a mount's views ------------------------------------------------------------------------- */

int views_create(const struct view_config *config, struct views **ret_views)
{
    const struct generated_config generated = {.cache = config->cache,
                                               .store = config->store,
                                               .waits = config->waits,
                                               .now_ms = config->now_ms,
                                               .timestamps = config->timestamps};
    struct archives_config archives = {.source = config->source,
                                       .cache = config->cache,
                                       .store = config->store,
                                       .diag = config->diag,
                                       .now_ms = config->now_ms,
                                       .wall_s = config->wall_s,
                                       .jobs_min = config->archive_jobs,
                                       .runs_max = config->archives_max,
                                       .wait_max_ms = config->archive_wait_ms,
                                       .timestamps = config->timestamps,
                                       .keep_steps = view_keep_steps,
                                       .published = config->published,
                                       .published_who = config->who};
    struct views *v = calloc(1, sizeof(*v));
    int rc = -ENOMEM;

    if (!v)
        return -ENOMEM;
    v->config = *config;
    v->walk = walk_create(config->prefetch);
    v->walk_failed = walk_create(config->prefetch);
    v->names = job_names_create();
    v->attempts = attempts_create();
    v->reports = reports_create(v);
    if (v->walk && v->walk_failed && v->names && v->attempts && v->reports)
        rc = generated_create(&generated, &v->generated);
    archives.who = v;
    if (!rc && config->archive_jobs && config->prefetch)
        rc = archives_create(&archives, &v->archives);
    if (rc)
        views_destroy(v);
    else
        *ret_views = v;
    return rc;
}

uint64_t views_get_reports_made(const struct views *v)
{
    return reports_get_made(v->reports);
}

void views_get_archives_stats(struct views *v, struct archives_stats *ret_stats)
{
    memset(ret_stats, 0, sizeof(*ret_stats));
    if (v->archives)
        archives_get_stats(v->archives, ret_stats);
}

unsigned views_list_archives(struct views *v, struct archives_status *ret_status, unsigned max)
{
    return v->archives ? archives_list_status(v->archives, ret_status, max) : 0;
}

unsigned views_list_reports(struct views *v, struct reports_status *ret_status, unsigned max)
{
    return reports_list_status(v->reports, ret_status, max);
}

void views_stop(struct views *v)
{
    if (!v)
        return;
    archives_stop(v->archives);
    generated_stop(v->generated);
}

void views_destroy(struct views *v)
{
    if (!v)
        return;
    archives_destroy(v->archives);
    generated_destroy(v->generated);
    reports_destroy(v->reports);
    walk_destroy(v->walk);
    walk_destroy(v->walk_failed);
    job_names_destroy(v->names);
    attempts_destroy(v->attempts);
    free(v);
}

void views_vnode_finish(struct vnode *p)
{
    log_release(p->log);
    view_text_unref(p->content);
    free(p->text);
    memset(p, 0, sizeof(*p));
}

/* --- names ----------------------------------------------------------------------------------- */

/* The kind of the entry of this fixed name; KIND_COUNT: there is none in such a directory. */
static size_t find_fixed(enum vnode_kind dir, const char *name)
{
    size_t kind = 0;

    while (kind < KIND_COUNT &&
           !(kinds[kind].name && kinds[kind].parent == dir && !strcmp(kinds[kind].name, name)))
        kind++;
    return kind;
}

/* What will not change any more is carried in the vnode, and in those below it. */
static void carry_facts(struct views *v, struct vnode *p)
{
    struct known_job job;

    if (!p->job || p->settled_ms)
        return;
    runs_peek_job(v, p, &job);
    if (!job.is_settled || job.hint.completed_ms <= 0)
        return;
    p->settled_ms = job.hint.completed_ms;
    p->has_no_log = job.has_no_log;
}

/* A late text is not waited for. If the waiter was woken meanwhile, the lookup is repeated by
 * whoever woke it; until then the step that parked it keeps it in memory. */
static int look_up_text(struct views *v, const struct kind *kind, struct waiter *w, struct vnode *p)
{
    int rc = view_text_look_up(v, p, kind->make_text, w);

    if (rc == PENDING_PARKED && kind->is_late && pending_cancel(v->config.waits, w))
        rc = view_text_defer(p);
    return rc;
}

int views_lookup(struct views *v, const struct vnode *dir, const char *name, struct waiter *w,
                 struct vnode *ret_vnode)
{
    const struct kind *of_dir = &kinds[dir->kind], *kind;
    size_t fixed = find_fixed(dir->kind, name);
    struct vnode p = *dir;
    int rc = 0;

    /* It inherits names and ids, but not what belongs to one entry alone. */
    p.kind = fixed < KIND_COUNT ? fixed : of_dir->child;
    p.text = NULL;
    p.log = NULL;
    p.size = p.sum = 0;
    p.content = NULL;
    p.depth++;
    if (fixed == KIND_COUNT && of_dir->parse)
        rc = of_dir->parse(dir, name, &p);
    else if (fixed == KIND_COUNT)
        rc = of_dir->look_up ? of_dir->look_up(v, dir, name, w, &p) : -ENOENT;
    kind = &kinds[p.kind];
    if (!rc)
        carry_facts(v, &p);
    if (!rc && kind->make_text)
        rc = look_up_text(v, kind, w, &p);
    if (!rc && kind->hold_log) {
        p.log = kind->hold_log(v, &p);
        rc = p.log ? 0 : -ENOMEM;
    }
    if (rc)
        views_vnode_finish(&p);
    else
        *ret_vnode = p;
    return rc;
}

static int add_fixed(struct view_listing *l, enum vnode_kind dir, enum listed listed)
{
    int rc = 0;

    for (size_t i = 0; i < KIND_COUNT && !rc; i++)
        if (kinds[i].name && kinds[i].parent == dir && kinds[i].listed == listed)
            rc = listing_add(l, kinds[i].name, kinds[i].type);
    return rc;
}

int views_list(struct views *v, const struct vnode *dir, struct waiter *w,
               struct view_listing **ret_listing)
{
    const struct kind *kind = &kinds[dir->kind];
    struct view_listing *l;
    int rc;

    if (kind->type != VIEW_DIRECTORY)
        return -ENOTDIR;
    l = listing_create();
    if (!l)
        return -ENOMEM;
    rc = add_fixed(l, dir->kind, FIRST);
    if (!rc && kind->list)
        rc = kind->list(v, dir, w, l);
    if (!rc)
        rc = add_fixed(l, dir->kind, LAST);
    if (rc)
        views_listing_release(l);
    else
        *ret_listing = l;
    return rc;
}

/* A chain of hashes over the parts of the path. */
uint64_t views_ino(uint64_t parent_ino, const char *name)
{
    uint64_t h = (parent_ino ^ UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xFF51AFD7ED558CCD);

    h = hash_string(h, name);
    h ^= h >> 32;
    return h > 1 ? h : 2;
}

/* --- what an entry is ------------------------------------------------------------------------ */

int views_read_link(struct views *v, const struct vnode *p, struct waiter *w, char *buf, size_t cap)
{
    const struct kind *kind = &kinds[p->kind];

    return kind->read_link ? kind->read_link(v, p, w, buf, cap) : -EINVAL;
}

int views_get_attr(struct views *v, const struct vnode *p, struct waiter *w,
                   struct view_attr *ret_attr)
{
    const struct kind *kind = &kinds[p->kind];
    char target[PATH_MAX] = "";

    if (p->log)
        return view_attr_of_log(v, p, w, ret_attr);
    if (kind->type == VIEW_DIRECTORY) {
        view_attr_of_directory(v, p, ret_attr);
    } else if (kind->type == VIEW_FILE) {
        uint64_t size = p->size;
        int rc = view_text_is_deferred(p) ? view_text_get_size(v, p, kind->make_text, w, &size) : 0;
        if (rc)
            return rc;
        view_attr_of_text(v, p, size, ret_attr);
    } else {
        /* If the target may change, the link is resolved only to follow it (S13). */
        if (!kind->is_dynamic && kind->read_link(v, p, NULL, target, sizeof(target)))
            return -ENOENT;
        view_attr_of_link(v, p, strlen(target), !kind->is_dynamic, ret_attr);
    }
    return 0;
}

int views_get_entry_attr(struct views *v, const struct vnode *p, struct waiter *w,
                         struct view_attr *ret_attr)
{
    if (!view_text_is_deferred(p))
        return views_get_attr(v, p, w, ret_attr);
    view_attr_of_text(v, p, 0, ret_attr);
    return 0;
}

int views_open(struct views *v, const struct vnode *p, struct waiter *w,
               struct view_opened *ret_opened)
{
    return view_file_open(v, p, kinds[p->kind].make_text, w, ret_opened);
}

void views_get_usage(struct views *v, uint64_t *ret_used, uint64_t *ret_limit)
{
    store_usage(v->config.store, ret_used, ret_limit);
}
