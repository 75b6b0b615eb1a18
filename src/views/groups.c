/*
 * Runs by a property: those that failed, by branch, by workflow (S19), by commit, by pull request
 * (S23), out of the recent runs and of filtered lists together (S18).
 *
 * A further view of this kind is a `struct group`: add_question() for each filter that GitHub has
 * for it, `matches` for the recent runs, and list_group().
 */
#include "views/failed.h"
#include "views/names.h"
#include "views/runs.h"
#include "views/united.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REPORT_ENDING ".txt"
#define FILTER_LEN sizeof(((struct catalog_question *)0)->filter)
#define FILTERS_MAX 3
#define FILTERED_MAX 1000 /* GitHub gives no more of a filtered list */
#define SHA_LEN 40        /* digits of a commit's name */
#define SHA_MIN 7         /* of a beginning of one */

/* Appends to a filter, escaped for a query; -ENAMETOOLONG. */
static int append_escaped(char filter[FILTER_LEN], const char *text, size_t len)
{
    size_t used = strlen(filter);

    return name_escape(text, len, "-_.", filter + used, FILTER_LEN - used) ? 0 : -ENAMETOOLONG;
}

/* --- a view: the lists it asks for, and the runs it shows --- */

struct group {
    struct united_filter filter;
    struct catalog_question questions[FILTERS_MAX];
    size_t question_count;
    const struct catalog_answer *unfiltered; /* NULL: cannot be had, or has nothing for this view */
    const struct vnode *dir;
    struct branch_dir branch;
    uint64_t workflow;     /* 0: all runs of the answers */
    char sha[SHA_LEN + 1]; /* "": not known */
    uint64_t pull;         /* its number; 0: of a commit */
    uint64_t *ongoing;     /* of `failed`: runs that go on though jobs of them have failed */
    size_t ongoing_count;
};

/* Whether a view ends with what came of the recent runs: they are yet to come, or GitHub reports
 * that there is no such repository, or none for this token. */
static bool is_end(int rc)
{
    return rc == PENDING_PARKED || rc == -ENOENT || rc == -EACCES;
}

static struct catalog_question *add_question(struct views *v, struct group *g, const char *filter)
{
    struct catalog_question *q = &g->questions[g->question_count++];

    runs_question(v, &g->dir->repo, q);
    if (q->limit > FILTERED_MAX)
        q->limit = FILTERED_MAX;
    q->is_extra = g->unfiltered != NULL;
    snprintf(q->filter, FILTER_LEN, "%s", filter);
    return q;
}

/* All at once, before the first is waited for. */
static void start_questions(struct views *v, const struct group *g, struct waiter *w)
{
    for (size_t i = 0; i < g->question_count; i++)
        (void)catalog_ask(v->config.catalog, &g->questions[i], EFFORT_NETWORK, w, NULL);
}

/* A file is a report. */
static int add_run(struct view_listing *l, uint64_t run, enum view_type type)
{
    char name[32];

    if (type != VIEW_FILE)
        return listing_add_id(l, run, type);
    snprintf(name, sizeof(name), "%llu" REPORT_ENDING, (unsigned long long)run);
    return listing_add(l, name, type);
}

/* The group's runs, from whatever answers there are; the first errno if there is none. */
static int list_group(struct views *v, const struct group *g, enum view_type type, struct waiter *w,
                      struct view_listing *l)
{
    const struct catalog_answer *filtered[FILTERS_MAX] = {NULL};
    const struct facts_run **runs = NULL;
    bool has_any = g->unfiltered != NULL;
    size_t count = 0;
    int rc = 0, err = 0;

    start_questions(v, g, w);
    for (size_t i = 0; i < g->question_count && rc != PENDING_PARKED; i++) {
        rc = catalog_ask(v->config.catalog, &g->questions[i], EFFORT_NETWORK, w, &filtered[i]);
        has_any |= rc == 0;
        err = err ? err : rc;
    }
    if (rc != PENDING_PARKED)
        rc = has_any ? united_make(g->unfiltered, filtered, g->question_count, &g->filter,
                                   v->config.runs, &runs, &count)
                     : err;
    for (size_t i = 0; i < count && !rc; i++)
        rc = add_run(l, runs[i]->id, type);
    free(runs);
    for (size_t i = 0; i < g->question_count; i++)
        catalog_answer_release(filtered[i]);
    return rc;
}

/* --- failed and reports --- */

static bool is_failed(const struct united_filter *filter, const struct facts_run *run)
{
    const struct group *g = list_entry((void *)(uintptr_t)filter, struct group, filter);

    for (size_t i = 0; i < g->ongoing_count && run->status != FACTS_COMPLETED; i++)
        if (g->ongoing[i] == run->id)
            return true;
    return facts_is_failed(run->conclusion);
}

static bool has_failed_job(const struct catalog_answer *jobs)
{
    for (size_t i = 0; i < jobs->count; i++)
        if (failed_shows_job(jobs->jobs[i], false))
            return true;
    return false;
}

/* Finds the recent runs that go on though jobs of them have failed: only their lists of jobs tell.
 * A run whose list cannot be had is left out. */
static int find_ongoing(struct views *v, struct group *g, struct waiter *w)
{
    const struct catalog_answer *recent = g->unfiltered, *jobs;
    struct attempts_run run;
    int rc = 0;

    g->ongoing = calloc(recent->count + 1, sizeof(*g->ongoing));
    if (!g->ongoing)
        return -ENOMEM;
    for (size_t i = 0; i < recent->count; i++) {
        run = runs_resolve(&g->dir->repo, recent->runs[i]);
        if (!run.ended)
            attempts_want(v, &run, w);
    }
    for (size_t i = 0; i < recent->count && rc != PENDING_PARKED; i++) {
        run = runs_resolve(&g->dir->repo, recent->runs[i]);
        if (run.ended)
            continue;
        rc = attempts_get_latest(v, &run, w, &jobs);
        if (rc)
            continue;
        if (has_failed_job(jobs))
            g->ongoing[g->ongoing_count++] = run.id;
        catalog_answer_release(jobs);
    }
    return rc == PENDING_PARKED ? rc : 0;
}

int groups_list_failed(struct views *v, const struct vnode *dir, struct waiter *w,
                       struct view_listing *l)
{
    /* GitHub filters by one conclusion at a time. */
    static const char *const filters[FILTERS_MAX] = {"status=failure", "status=timed_out",
                                                     "status=startup_failure"};
    struct group g = {.filter.matches = is_failed, .dir = dir};
    int rc = runs_ask_recent(v, &dir->repo, w, &g.unfiltered);

    if (is_end(rc))
        return rc;
    for (int i = 0; i < FILTERS_MAX; i++)
        add_question(v, &g, filters[i]);
    start_questions(v, &g, w);
    rc = g.unfiltered ? find_ongoing(v, &g, w) : 0;
    if (!rc)
        rc = list_group(v, &g, dir->kind == VNODE_REPORTS ? VIEW_FILE : VIEW_DIRECTORY, w, l);
    free(g.ongoing);
    catalog_answer_release(g.unfiltered);
    return rc;
}

int groups_parse_report(const struct vnode *dir, const char *name, struct vnode *p)
{
    size_t len = strlen(name), ending = strlen(REPORT_ENDING);
    char id[32];

    (void)dir;
    if (len <= ending || len - ending >= sizeof(id) || strcmp(name + len - ending, REPORT_ENDING))
        return -ENOENT;
    snprintf(id, sizeof(id), "%.*s", (int)(len - ending), name);
    return name_parse_id(id, &p->run) ? 0 : -ENOENT;
}

/* --- branches --- */

/* What follows `dir` in a branch's or workflow's name. Takes no number: that is a run. */
static int append_text(const struct vnode *dir, const char *name, struct vnode *p)
{
    uint64_t id;

    if (name_parse_id(name, &id))
        return -ENOENT;
    if (asprintf(&p->text, "%s%s%s", dir->text ? dir->text : "", dir->text ? "/" : "", name) < 0) {
        p->text = NULL;
        return -ENOMEM;
    }
    return strlen(p->text) < VIEWS_TEXT_MAX ? 0 : -ENAMETOOLONG;
}

int groups_parse_branch(const struct vnode *dir, const char *name, struct vnode *p)
{
    size_t len = strlen(name);

    /* No part of a branch's name in git is so. */
    if (name[0] == '.' || (len >= 5 && !strcmp(name + len - 5, ".lock")))
        return -ENOENT;
    return append_text(dir, name, p);
}

int groups_parse_in_branch(const struct vnode *dir, const char *name, struct vnode *p)
{
    if (!name_parse_id(name, &p->run))
        return groups_parse_branch(dir, name, p);
    p->kind = VNODE_RUN_LINK;
    return 0;
}

static bool is_of_branch(const struct united_filter *filter, const struct facts_run *run)
{
    const struct group *g = list_entry((void *)(uintptr_t)filter, struct group, filter);

    return branch_dir_has_run(&g->branch, run);
}

/* Whether forks have a branch of this name, or may have: GitHub's filter knows the name only. */
static bool is_shared(const struct group *g)
{
    for (size_t i = 0; g->unfiltered && i < g->unfiltered->count; i++) {
        const struct facts_run *run = g->unfiltered->runs[i];
        if (strlen(run->head_branch) == g->branch.len &&
            !memcmp(run->head_branch, g->branch.name, g->branch.len) &&
            !is_of_branch(&g->filter, run))
            return true;
    }
    return !g->unfiltered;
}

/* `recent`: NULL where it has no run of the branch. */
static int add_runs_of_branch(struct views *v, const struct vnode *dir,
                              const struct catalog_answer *recent, const struct branch_dir *branch,
                              struct waiter *w, struct view_listing *l)
{
    struct group g = {
        .filter.matches = is_of_branch, .dir = dir, .unfiltered = recent, .branch = *branch};
    struct catalog_question *q = add_question(v, &g, "branch=");
    int rc = append_escaped(q->filter, branch->name, branch->len);

    if (q->limit < CATALOG_PAGE && is_shared(&g))
        q->limit = CATALOG_PAGE; /* the runs of all forks come with it: one request as well */
    if (rc && !recent)
        return rc;
    if (rc)
        g.question_count = 0; /* too long to be asked for */
    return list_group(v, &g, VIEW_LINK, w, l);
}

/* A branch of which no run is known, "OWNER:branch" for a fork's: no branch in git has a colon.
 * Takes the name, malloc'd. */
static int add_runs_of_unknown(struct views *v, const struct vnode *dir, char *name,
                               struct waiter *w, struct view_listing *l)
{
    char *colon = strchr(name, ':');
    struct branch_dir branch = {.fork = colon ? name : "", .name = colon ? colon + 1 : name};
    int rc;

    if (colon)
        *colon = '\0';
    branch.len = strlen(branch.name);
    rc = add_runs_of_branch(v, dir, NULL, &branch, w, l);
    free(name);
    return rc;
}

/* The directories in a part of a branch's name, but those whose paths are too long to be looked up,
 * and the runs of the branch of this name. */
static int add_branch(struct views *v, const struct vnode *dir, const struct catalog_answer *recent,
                      struct waiter *w, struct view_listing *l)
{
    const struct branch_runs known = {recent ? recent->runs : NULL, recent ? recent->count : 0};
    size_t len = dir->text ? strlen(dir->text) + 1 : 0;
    struct branch_dir at = {0};
    struct branch_parts parts;
    char *name;
    int rc = dir->text ? branch_dir_find(&known, dir->text, &at) : 0;

    if (rc == -ENOENT) { /* as it is spelled; if it has no run, as it may be in git */
        name = strdup(dir->text);
        rc = name ? add_runs_of_unknown(v, dir, name, w, l) : -ENOMEM;
        if (!rc && !views_listing_get(l, 0, &(struct view_entry){0}) &&
            branch_name_unmake(dir->text, &name))
            rc = add_runs_of_unknown(v, dir, name, w, l);
        return rc;
    }
    if (!rc)
        rc = branch_parts_make(&known, &at, &parts);
    if (rc)
        return rc;
    for (size_t i = 0; i < parts.count && !rc; i++)
        if (len + strlen(parts.shown[i].name) < VIEWS_TEXT_MAX)
            rc = listing_add(l, parts.shown[i].name, VIEW_DIRECTORY);
    branch_parts_finish(&parts);
    /* A part of known branches' names that is none itself sends no question of its own. */
    if (!rc && branch_dir_has_runs(&known, &at))
        rc = add_runs_of_branch(v, dir, recent, &at, w, l);
    return rc;
}

int groups_list_branches(struct views *v, const struct vnode *dir, struct waiter *w,
                         struct view_listing *l)
{
    const struct catalog_answer *recent = NULL;
    int rc = runs_ask_recent(v, &dir->repo, w, &recent);

    if (rc && (is_end(rc) || !dir->text))
        return rc;
    rc = add_branch(v, dir, recent, w, l);
    catalog_answer_release(recent);
    return rc;
}

/* --- workflows --- */

int groups_parse_workflow(const struct vnode *dir, const char *name, struct vnode *p)
{
    return name_is_ignore_file(name) ? -ENOENT : append_text(dir, name, p);
}

static bool is_yaml(const char *path, size_t len)
{
    return (len >= 4 && !memcmp(path + len - 4, ".yml", 4)) ||
           (len >= 5 && !memcmp(path + len - 5, ".yaml", 5));
}

/* Length of a path without the "@refs/heads/main" that GitHub may append. Files may have an @. */
static size_t length_without_ref(const char *path)
{
    for (const char *at = strchr(path, '@'); at; at = strchr(at + 1, '@'))
        if (is_yaml(path, (size_t)(at - path)))
            return (size_t)(at - path);
    return is_yaml(path, strlen(path)) ? strlen(path) : strcspn(path, "@");
}

/* The file's name out of ".github/workflows/ci.yml@refs/heads/main"; "" where the path has none. */
static void workflow_file(const char *given, char ret_name[SAFE_NAME_LEN])
{
    size_t end = length_without_ref(given), begin = end;
    char file[SAFE_NAME_LEN];

    while (begin > 0 && given[begin - 1] != '/')
        begin--;
    snprintf(file, sizeof(file), "%.*s", (int)(end - begin), given + begin);
    safe_name_clean(file, SAFE_NAME_LEN - 32, ret_name);
}

/* A workflow without a file, as a deleted one may be, has its own name, which GitHub makes of the
 * path if the file gave none. A number alone would mean a run: it gets the id as suffix. */
static void finish_name(const struct facts_run *run, char name[SAFE_NAME_LEN])
{
    uint64_t id;

    if (!name[0] && !strncmp(run->name, ".github/", strlen(".github/")))
        workflow_file(run->name, name);
    else if (!name[0])
        safe_name_clean(run->name, SAFE_NAME_LEN - 32, name);
    if (!name[0])
        snprintf(name, SAFE_NAME_LEN, "workflow");
    if (name_parse_id(name, &id))
        snprintf(name, SAFE_NAME_LEN, "%llu (%llu)", (unsigned long long)id,
                 (unsigned long long)run->workflow_id);
}

/* The workflows of the recent runs, each once, named; the caller frees. */
static int name_workflows(const struct catalog_answer *runs, struct safe_name **ret_names,
                          size_t *ret_count)
{
    struct safe_name *names = calloc(runs->count + 1, sizeof(*names));
    char(*files)[SAFE_NAME_LEN] = calloc(runs->count + 1, sizeof(*files));
    const struct facts_run **newest = calloc(runs->count + 1, sizeof(*newest));
    size_t count = 0, at;
    int rc = -ENOMEM;

    if (!names || !files || !newest)
        goto out;
    for (size_t i = 0; i < runs->count; i++) {
        const struct facts_run *run = runs->runs[i];
        if (!run->workflow_id)
            continue;
        for (at = 0; at < count && names[at].id != run->workflow_id; at++)
            ;
        if (at == count) {
            newest[count] = run;
            names[count].given = files[count];
            names[count++].id = run->workflow_id;
        }
        if (!files[at][0]) /* not each run need have the path */
            workflow_file(run->path, files[at]);
    }
    for (at = 0; at < count; at++)
        finish_name(newest[at], files[at]);
    rc = safe_name_assign(names, count, NULL);
out:
    free(newest);
    free(files);
    if (rc) {
        free(names);
        return rc;
    }
    *ret_names = names;
    *ret_count = count;
    return 0;
}

int groups_list_workflows(struct views *v, const struct vnode *dir, struct waiter *w,
                          struct view_listing *l)
{
    const struct catalog_answer *runs;
    struct safe_name *names;
    size_t count;
    int rc = runs_ask_recent(v, &dir->repo, w, &runs);

    if (rc)
        return rc;
    rc = name_workflows(runs, &names, &count);
    catalog_answer_release(runs);
    if (rc)
        return rc;
    for (size_t i = 0; i < count && !rc; i++)
        rc = listing_add(l, names[i].name, VIEW_DIRECTORY);
    free(names);
    return rc;
}

/* The workflow of the recent runs that has this name; 0: none has. */
static int find_workflow(const struct catalog_answer *runs, const char *name, uint64_t *ret_id)
{
    struct safe_name *names;
    size_t count;
    int rc = name_workflows(runs, &names, &count);

    if (rc)
        return rc;
    *ret_id = 0;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i].name, name))
            *ret_id = names[i].id;
    free(names);
    return 0;
}

static bool is_of_workflow(const struct united_filter *filter, const struct facts_run *run)
{
    const struct group *g = list_entry((void *)(uintptr_t)filter, struct group, filter);

    return !g->workflow || run->workflow_id == g->workflow;
}

/* A workflow without a recent run is requested by the name of its file. */
static int add_runs_of_workflow(struct views *v, struct group *g, const char *file,
                                struct waiter *w, struct view_listing *l)
{
    struct catalog_question *q;
    int rc = 0;

    g->question_count = 0;
    q = add_question(v, g, "");
    q->what = SOURCE_WORKFLOW_RUNS;
    if (g->workflow)
        snprintf(q->filter, FILTER_LEN, "%llu", (unsigned long long)g->workflow);
    else
        rc = append_escaped(q->filter, file, strlen(file));
    return rc ? rc : list_group(v, g, VIEW_LINK, w, l);
}

int groups_list_workflow(struct views *v, const struct vnode *dir, struct waiter *w,
                         struct view_listing *l)
{
    struct group g = {.filter.matches = is_of_workflow, .dir = dir};
    const struct catalog_answer *recent = NULL;
    const char *given;
    int rc = runs_ask_recent(v, &dir->repo, w, &recent);

    if (is_end(rc))
        return rc;
    rc = recent ? find_workflow(recent, dir->text, &g.workflow) : 0;
    if (g.workflow)
        g.unfiltered = recent;
    if (!rc)
        rc = add_runs_of_workflow(v, &g, dir->text, w, l);
    if (rc == -ENOENT && !g.workflow && safe_name_unmake(dir->text, &given))
        rc = add_runs_of_workflow(v, &g, given, w, l);
    catalog_answer_release(recent);
    return rc;
}

/* --- commits --- */

/* Whether the name is one, or the beginning of one, by its letters. */
static bool is_sha(const char *name, size_t min)
{
    size_t len = strspn(name, "0123456789abcdefABCDEF");

    return !name[len] && len >= min && len <= SHA_LEN;
}

int groups_parse_commit(const struct vnode *dir, const char *name, struct vnode *p)
{
    (void)dir;
    if (!is_sha(name, SHA_MIN))
        return -ENOENT;
    p->text = strdup(name);
    for (char *c = p->text; c && *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return p->text ? 0 : -ENOMEM;
}

/* Adds a name that may be in the listing already. */
static int add_once(struct view_listing *l, const char *name)
{
    struct view_entry entry;

    for (size_t i = 0; views_listing_get(l, i, &entry); i++)
        if (!strcmp(entry.name, name))
            return 0;
    return listing_add(l, name, VIEW_DIRECTORY);
}

/* Those of the recent runs, the newest first. */
int groups_list_commits(struct views *v, const struct vnode *dir, struct waiter *w,
                        struct view_listing *l)
{
    const struct catalog_answer *runs;
    int rc = runs_ask_recent(v, &dir->repo, w, &runs);

    if (rc)
        return rc;
    for (size_t i = 0; i < runs->count && !rc; i++)
        if (is_sha(runs->runs[i]->head_sha, SHA_LEN))
            rc = add_once(l, runs->runs[i]->head_sha);
    catalog_answer_release(runs);
    return rc;
}

static bool is_of_head(const struct united_filter *filter, const struct facts_run *run)
{
    const struct group *g = list_entry((void *)(uintptr_t)filter, struct group, filter);

    for (size_t i = 0; i < run->pull_count && g->pull; i++)
        if (run->pulls[i] == g->pull)
            return true;
    return g->sha[0] && !strcasecmp(run->head_sha, g->sha);
}

/* The runs of g->sha, if that is known, and those of the recent runs that match. */
static int list_head(struct views *v, struct group *g, const struct catalog_answer *recent,
                     struct waiter *w, struct view_listing *l)
{
    char filter[sizeof("head_sha=") + SHA_LEN];

    for (size_t i = 0; recent && i < recent->count; i++)
        if (is_of_head(&g->filter, recent->runs[i]))
            g->unfiltered = recent;
    snprintf(filter, sizeof(filter), "head_sha=%s", g->sha);
    if (g->sha[0])
        add_question(v, g, filter);
    return list_group(v, g, VIEW_LINK, w, l);
}

/* The one commit of the recent runs that begins so; -ENOENT: there is none, or more than one. */
static int find_commit(const struct catalog_answer *recent, const char *begin,
                       char ret_sha[SHA_LEN + 1])
{
    const char *found = NULL;

    for (size_t i = 0; i < recent->count; i++) {
        const char *sha = recent->runs[i]->head_sha;
        if (!is_sha(sha, SHA_LEN) || strncasecmp(sha, begin, strlen(begin)) != 0)
            continue;
        if (found && strcasecmp(sha, found) != 0)
            return -ENOENT;
        found = sha;
    }
    if (!found)
        return -ENOENT;
    memcpy(ret_sha, found, SHA_LEN + 1);
    return 0;
}

int groups_list_commit(struct views *v, const struct vnode *dir, struct waiter *w,
                       struct view_listing *l)
{
    struct group g = {.filter.matches = is_of_head, .dir = dir};
    const struct catalog_answer *recent = NULL;
    bool is_whole = strlen(dir->text) == SHA_LEN;
    int rc = runs_ask_recent(v, &dir->repo, w, &recent);

    if (rc && (is_end(rc) || !is_whole))
        return rc;
    rc = 0;
    if (is_whole)
        memcpy(g.sha, dir->text, SHA_LEN);
    else
        rc = find_commit(recent, dir->text, g.sha);
    if (!rc)
        rc = list_head(v, &g, recent, w, l);
    catalog_answer_release(recent);
    return rc;
}

/* --- pull requests --- */

int groups_parse_pull(const struct vnode *dir, const char *name, struct vnode *p)
{
    uint64_t number;

    (void)dir;
    if (!name_parse_id(name, &number))
        return -ENOENT;
    p->text = strdup(name);
    return p->text ? 0 : -ENOMEM;
}

static int highest_first(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x > y ? -1 : x < y;
}

/* Those that recent runs name, which GitHub does for none from a fork. */
int groups_list_pulls(struct views *v, const struct vnode *dir, struct waiter *w,
                      struct view_listing *l)
{
    const struct catalog_answer *runs;
    size_t count = 0, listed = 0;
    uint64_t *numbers;
    int rc = runs_ask_recent(v, &dir->repo, w, &runs);

    if (rc)
        return rc;
    for (size_t i = 0; i < runs->count; i++)
        count += runs->runs[i]->pull_count;
    numbers = calloc(count + 1, sizeof(*numbers));
    rc = numbers ? 0 : -ENOMEM;
    count = 0;
    for (size_t i = 0; i < runs->count && !rc; i++)
        for (size_t k = 0; k < runs->runs[i]->pull_count; k++)
            numbers[count++] = runs->runs[i]->pulls[k];
    if (!rc)
        qsort(numbers, count, sizeof(*numbers), highest_first);
    for (size_t i = 0; i < count && listed < CATALOG_ENTRIES_MAX && !rc; i++)
        if (i == 0 || numbers[i] != numbers[i - 1]) {
            rc = listing_add_id(l, numbers[i], VIEW_DIRECTORY);
            listed++;
        }
    free(numbers);
    catalog_answer_release(runs);
    return rc;
}

/* Asks for the pull request's head. 0 also if that cannot be had, but recent runs name it: then
 * these are shown. */
static int find_head(struct views *v, struct group *g, const struct catalog_answer *recent,
                     struct waiter *w)
{
    struct catalog_question q = {.what = SOURCE_PULL, .repo = g->dir->repo, .id = g->pull};
    const struct catalog_answer *answer;
    int rc;

    for (size_t i = 0; recent && i < recent->count; i++)
        q.is_extra |= is_of_head(&g->filter, recent->runs[i]);
    rc = catalog_ask(v->config.catalog, &q, EFFORT_NETWORK, w, &answer);
    if (rc)
        return rc == PENDING_PARKED || !q.is_extra ? rc : 0;
    if (answer->pull && is_sha(answer->pull->head_sha, SHA_LEN))
        memcpy(g->sha, answer->pull->head_sha, SHA_LEN);
    catalog_answer_release(answer);
    return g->sha[0] || q.is_extra ? 0 : -EPROTO;
}

int groups_list_pull(struct views *v, const struct vnode *dir, struct waiter *w,
                     struct view_listing *l)
{
    struct group g = {.filter.matches = is_of_head, .dir = dir};
    const struct catalog_answer *recent = NULL;
    int rc = runs_ask_recent(v, &dir->repo, w, &recent);

    if (is_end(rc))
        return rc;
    (void)name_parse_id(dir->text, &g.pull);
    rc = find_head(v, &g, recent, w);
    if (!rc)
        rc = list_head(v, &g, recent, w, l);
    catalog_answer_release(recent);
    return rc;
}
