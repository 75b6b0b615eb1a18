#include "views/groups.h"

#include "views/branch_name.h"
#include "views/runs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FILTER_LEN sizeof(((struct catalog_question *)0)->filter)

static int add_run_link(struct view_listing *l, uint64_t run)
{
    char name[32];

    snprintf(name, sizeof(name), "%llu", (unsigned long long)run);
    return listing_add(l, name, VIEW_LINK);
}

/* Appends to a filter what may stand in a query; -ENAMETOOLONG. */
static int encode(char filter[FILTER_LEN], const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t used = strlen(filter);

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '-' || c == '_' || c == '.';
        if (used + 4 > FILTER_LEN)
            return -ENAMETOOLONG;
        if (plain) {
            filter[used++] = (char)c;
        } else {
            filter[used++] = '%';
            filter[used++] = hex[c >> 4];
            filter[used++] = hex[c & 15];
        }
    }
    filter[used] = '\0';
    return 0;
}

/* --- failed --- */

static int newest_first(const void *a, const void *b)
{
    const struct facts_run *x = *(const struct facts_run *const *)a;
    const struct facts_run *y = *(const struct facts_run *const *)b;

    if (x->created_ms != y->created_ms)
        return x->created_ms > y->created_ms ? -1 : 1;
    return x->id > y->id ? -1 : x->id < y->id;
}

/* Merges the three lists and keeps as many as a listing shows. */
static int add_failed(struct views *v, const struct catalog_answer *const answers[3],
                      struct view_listing *l)
{
    size_t count = answers[0]->count + answers[1]->count + answers[2]->count, used = 0;
    const struct facts_run **runs = calloc(count + 1, sizeof(*runs));
    int rc = 0;

    if (!runs)
        return -ENOMEM;
    for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < answers[i]->count; k++)
            if (facts_is_failed(answers[i]->runs[k]->conclusion))
                runs[used++] = answers[i]->runs[k];
    qsort(runs, used, sizeof(*runs), newest_first);
    for (size_t i = 0; i < used && i < v->config.runs && !rc; i++)
        if (i == 0 || runs[i]->id != runs[i - 1]->id)
            rc = add_run_link(l, runs[i]->id);
    free(runs);
    return rc;
}

int groups_list_failed(struct views *v, const struct place *dir, struct waiter *w,
                       struct view_listing *l)
{
    /* GitHub filters by one conclusion at a time. */
    static const char *const filters[3] = {"status=failure", "status=timed_out",
                                           "status=startup_failure"};
    const struct catalog_answer *answers[3] = {NULL};
    struct catalog_question q[3];
    int rc = 0;

    for (int i = 0; i < 3; i++) {
        runs_question(v, &dir->repo, &q[i]);
        snprintf(q[i].filter, sizeof(q[i].filter), "%s", filters[i]);
        catalog_want(v->config.catalog, &q[i], w);
    }
    for (int i = 0; i < 3 && !rc; i++)
        rc = catalog_ask(v->config.catalog, &q[i], w, &answers[i]);
    if (!rc)
        rc = add_failed(v, answers, l);
    for (int i = 0; i < 3; i++)
        catalog_answer_release(answers[i]);
    return rc;
}

/* --- branches --- */

/* Adds the directories in `dir`, but those whose paths are too long to be looked up. */
static int add_parts(const struct branch_runs *runs, const struct branch_dir *dir, const char *path,
                     struct view_listing *l)
{
    size_t len = path ? strlen(path) + 1 : 0;
    struct branch_parts parts;
    int rc = branch_parts_make(runs, dir, &parts);

    if (rc)
        return rc;
    for (size_t i = 0; i < parts.count && !rc; i++)
        if (len + strlen(parts.shown[i].name) < VIEWS_TEXT_MAX)
            rc = listing_add(l, parts.shown[i].name, VIEW_DIRECTORY);
    branch_parts_finish(&parts);
    return rc;
}

/* Asks for the runs of a branch, and adds those of this fork ("": the repository itself). */
static int add_runs_of_branch(struct views *v, const struct place *dir, const char *fork,
                              const char *branch, struct waiter *w, struct view_listing *l)
{
    const struct catalog_answer *answer;
    struct catalog_question q;
    int rc;

    runs_question(v, &dir->repo, &q);
    snprintf(q.filter, sizeof(q.filter), "branch=");
    rc = encode(q.filter, branch);
    if (rc)
        return rc;
    rc = catalog_ask(v->config.catalog, &q, w, &answer);
    if (rc)
        return rc;
    for (size_t i = 0; i < answer->count && !rc; i++)
        if (!strcasecmp(branch_fork_of(answer->runs[i], &dir->repo), fork))
            rc = add_run_link(l, answer->runs[i]->id);
    catalog_answer_release(answer);
    return rc;
}

static int add_runs_of_known(struct views *v, const struct place *dir, const struct branch_dir *at,
                             struct waiter *w, struct view_listing *l)
{
    char *branch = strndup(at->name, at->len);
    int rc = branch ? add_runs_of_branch(v, dir, at->fork, branch, w, l) : -ENOMEM;

    free(branch);
    return rc;
}

/* A branch of which no run is known, "OWNER:branch" for a fork's: no branch in git has a colon. */
static int add_runs_of_spelled(struct views *v, const struct place *dir, const char *spelled,
                               struct waiter *w, struct view_listing *l)
{
    const char *colon = strchr(spelled, ':');
    char *fork;
    int rc;

    if (!colon)
        return add_runs_of_branch(v, dir, "", spelled, w, l);
    fork = strndup(spelled, (size_t)(colon - spelled));
    if (!fork)
        return -ENOMEM;
    if (!strcasecmp(fork, dir->repo.owner))
        *fork = '\0';
    rc = add_runs_of_branch(v, dir, fork, colon + 1, w, l);
    free(fork);
    return rc;
}

/* First as it is spelled; where there is no run, as it may be in git. */
static int add_runs_of_unknown(struct views *v, const struct place *dir, struct waiter *w,
                               struct view_listing *l)
{
    struct view_entry first;
    char *name;
    int rc = add_runs_of_spelled(v, dir, dir->text, w, l);

    if (rc || views_listing_get(l, 0, &first) || !branch_name_unmake(dir->text, &name))
        return rc;
    rc = add_runs_of_spelled(v, dir, name, w, l);
    free(name);
    return rc;
}

static int add_branch(struct views *v, const struct place *dir, const struct branch_runs *known,
                      struct waiter *w, struct view_listing *l)
{
    struct branch_dir at = {0};
    int rc = dir->text ? branch_dir_find(known, dir->text, &at) : 0;

    if (rc == -ENOENT)
        return add_runs_of_unknown(v, dir, w, l);
    if (!rc)
        rc = add_parts(known, &at, dir->text, l);
    /* A part of known branches' names that is none itself needs no question of its own. */
    if (!rc && branch_dir_has_runs(known, &at))
        rc = add_runs_of_known(v, dir, &at, w, l);
    return rc;
}

int groups_list_branches(struct views *v, const struct place *dir, struct waiter *w,
                         struct view_listing *l)
{
    const struct catalog_answer *runs;
    struct branch_runs known;
    struct catalog_question q;
    int rc;

    runs_question(v, &dir->repo, &q);
    rc = catalog_ask(v->config.catalog, &q, w, &runs);
    if (rc)
        return rc;
    known = (struct branch_runs){&dir->repo, runs->runs, runs->count};
    rc = add_branch(v, dir, &known, w, l);
    catalog_answer_release(runs);
    return rc;
}

/* --- workflows --- */

/* The file's name out of ".github/workflows/ci.yml@refs/heads/main". */
static void workflow_file(const struct facts_run *run, char ret_name[SAFE_NAME_LEN])
{
    size_t len = strcspn(run->path, "@");
    char path[SAFE_NAME_LEN];
    const char *slash;

    snprintf(path, sizeof(path), "%.*s", (int)len, run->path);
    slash = strrchr(path, '/');
    safe_name_clean(slash ? slash + 1 : path, SAFE_NAME_LEN - 32, ret_name);
}

/* The workflows of the recent runs, each once, named; the caller frees. */
static int name_workflows(const struct catalog_answer *runs, struct safe_name **ret_names,
                          size_t *ret_count)
{
    struct safe_name *names = calloc(runs->count + 1, sizeof(*names));
    char(*files)[SAFE_NAME_LEN] = calloc(runs->count + 1, sizeof(*files));
    size_t count = 0;
    int rc = -ENOMEM;

    if (!names || !files)
        goto out;
    for (size_t i = 0; i < runs->count; i++) {
        bool seen = runs->runs[i]->workflow_id == 0;
        for (size_t k = 0; k < count && !seen; k++)
            seen = names[k].id == runs->runs[i]->workflow_id;
        if (seen)
            continue;
        workflow_file(runs->runs[i], files[count]);
        names[count].given = files[count];
        names[count++].id = runs->runs[i]->workflow_id;
    }
    rc = safe_name_assign(names, count, NULL);
out:
    free(files);
    if (rc) {
        free(names);
        return rc;
    }
    *ret_names = names;
    *ret_count = count;
    return 0;
}

int groups_list_workflows(struct views *v, const struct place *dir, struct waiter *w,
                          struct view_listing *l)
{
    const struct catalog_answer *runs;
    struct catalog_question q;
    struct safe_name *names;
    size_t count;
    int rc;

    runs_question(v, &dir->repo, &q);
    rc = catalog_ask(v->config.catalog, &q, w, &runs);
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

/* The id of the workflow that the directory is named for, as a filter; "": no known run is of it. */
static int workflow_filter(const struct catalog_answer *runs, const struct place *dir,
                           char filter[FILTER_LEN])
{
    struct safe_name *names;
    size_t count;
    int rc = name_workflows(runs, &names, &count);

    if (rc)
        return rc;
    filter[0] = '\0';
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i].name, dir->text))
            snprintf(filter, FILTER_LEN, "%llu", (unsigned long long)names[i].id);
    free(names);
    return 0;
}

static int ask_for_file(struct views *v, struct catalog_question *q, const char *file,
                        struct waiter *w, const struct catalog_answer **ret_runs)
{
    int rc;

    q->filter[0] = '\0';
    rc = encode(q->filter, file);
    return rc ? rc : catalog_ask(v->config.catalog, q, w, ret_runs);
}

int groups_list_workflow(struct views *v, const struct place *dir, struct waiter *w,
                         struct view_listing *l)
{
    const struct catalog_answer *runs;
    struct catalog_question q;
    const char *given;
    int rc;

    runs_question(v, &dir->repo, &q);
    rc = catalog_ask(v->config.catalog, &q, w, &runs);
    if (rc)
        return rc;
    q.what = SOURCE_WORKFLOW_RUNS;
    rc = workflow_filter(runs, dir, q.filter);
    catalog_answer_release(runs);
    if (!rc && q.filter[0]) {
        rc = catalog_ask(v->config.catalog, &q, w, &runs);
    } else if (!rc) { /* as it is spelled, else as the file may be called */
        rc = ask_for_file(v, &q, dir->text, w, &runs);
        if (rc == -ENOENT && safe_name_unmake(dir->text, &given))
            rc = ask_for_file(v, &q, given, w, &runs);
    }
    if (rc)
        return rc;
    for (size_t i = 0; i < runs->count && !rc; i++)
        rc = add_run_link(l, runs->runs[i]->id);
    catalog_answer_release(runs);
    return rc;
}
