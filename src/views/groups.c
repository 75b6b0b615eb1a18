#include "views/groups.h"

#include "views/runs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FILTER_LEN sizeof(((struct catalog_question *)0)->filter)
#define BRANCH_LEN VIEWS_TEXT_MAX /* a branch's name with its fork's owner; GitHub's are shorter */
#define UNKNOWN_OWNER "unknown"   /* of a fork that was deleted */

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

/* Makes safe what stands in front of a part or is one: none begins with a dot, as git's do not. */
static void clean_part(const char *given, size_t max, char part[SAFE_NAME_LEN])
{
    safe_name_clean(given, max, part);
    if (part[0] == '.')
        part[0] = '_';
}

/* What cannot be a part's name, as none is in git; one of digits only would be taken for a run. */
static bool is_no_part(const char *part)
{
    size_t len = strlen(part);
    uint64_t id;

    return !len || name_parse_id(part, &id) || (len >= 5 && !strcmp(part + len - 5, ".lock"));
}

/* How a run's branch is spelled under branches/: a fork's with its owner in front. Parts are made
 * safe one by one. */
static void spell_branch(const struct facts_run *run, char ret_path[BRANCH_LEN])
{
    enum facts_origin origin = facts_origin_of(run);
    char part[SAFE_NAME_LEN];
    const char *from = run->head_branch;
    size_t used = 0, prefix;

    ret_path[0] = '\0';
    if (origin != FACTS_OWN_BRANCH) {
        clean_part(origin == FACTS_FORK ? run->head_repo_owner : UNKNOWN_OWNER, NAME_PART_MAX,
                   part);
        used = (size_t)snprintf(ret_path, BRANCH_LEN, "%s:", part);
    }
    prefix = used;
    while (*from && used + SAFE_NAME_LEN + 16 < BRANCH_LEN) {
        size_t len = strcspn(from, "/");
        char raw[SAFE_NAME_LEN];
        snprintf(raw, sizeof(raw), "%.*s", (int)len, from);
        clean_part(raw, SAFE_NAME_LEN - 16 - prefix, part);
        used += (size_t)snprintf(ret_path + used, BRANCH_LEN - used, "%s%s", part,
                                 is_no_part(part) ? " (branch)" : "");
        from += len;
        prefix = 0;
        if (*from == '/') {
            ret_path[used++] = '/';
            ret_path[used] = '\0';
            from++;
        }
    }
    if (used && ret_path[used - 1] == '/') /* too long for all its parts */
        ret_path[used - 1] = '\0';
}

/* Whether it is what was typed. Owners are the same in any case of letters. */
static bool is_spelled(const char *spelled, const char *typed)
{
    size_t owner = strcspn(spelled, ":");

    if (!spelled[owner])
        owner = 0; /* its own branch: no git branch has a colon */
    return !strncasecmp(spelled, typed, owner) && !strcmp(spelled + owner, typed + owner);
}

/* The next part of `path` below `dir` ("" is the top); false: it is not below. */
static bool part_below(const char *path, const char *dir, char part[SAFE_NAME_LEN])
{
    size_t len = strlen(dir);

    if (len && (strncmp(path, dir, len) != 0 || path[len] != '/'))
        return false;
    path += len ? len + 1 : 0;
    snprintf(part, SAFE_NAME_LEN, "%.*s", (int)strcspn(path, "/"), path);
    return part[0] != '\0';
}

/* Adds the parts of branches' names that lie below `dir`; whether `dir` itself is a branch, and
 * which run it is of. */
static int add_parts(const struct catalog_answer *runs, const struct place *dir,
                     struct view_listing *l, const struct facts_run **ret_own, bool *ret_is_parent)
{
    const char *path = dir->text ? dir->text : "";
    char spelled[BRANCH_LEN], part[SAFE_NAME_LEN];
    int rc = 0;

    for (size_t i = 0; i < runs->count && !rc; i++) {
        if (!runs->runs[i]->head_branch[0])
            continue;
        spell_branch(runs->runs[i], spelled);
        if (is_spelled(spelled, path) && !*ret_own)
            *ret_own = runs->runs[i];
        if (!part_below(spelled, path, part))
            continue;
        *ret_is_parent = true;
        if (!listing_has(l, part))
            rc = listing_add(l, part, VIEW_DIRECTORY);
    }
    return rc;
}

/* The branch's name as GitHub knows it. */
static const char *unspell(const struct place *dir, const struct facts_run *own)
{
    const char *colon = strchr(dir->text, ':');

    if (own)
        return own->head_branch;
    return colon ? colon + 1 : dir->text; /* no git branch has a colon */
}

static int add_runs_of_branch(struct views *v, const struct place *dir, const struct facts_run *own,
                              struct waiter *w, struct view_listing *l)
{
    const struct catalog_answer *answer;
    char spelled[BRANCH_LEN];
    struct catalog_question q;
    int rc;

    runs_question(v, &dir->repo, &q);
    snprintf(q.filter, sizeof(q.filter), "branch=");
    rc = encode(q.filter, unspell(dir, own));
    if (rc)
        return rc;
    rc = catalog_ask(v->config.catalog, &q, w, &answer);
    if (rc)
        return rc;
    for (size_t i = 0; i < answer->count && !rc; i++) {
        spell_branch(answer->runs[i], spelled);
        if (is_spelled(spelled, dir->text))
            rc = add_run_link(l, answer->runs[i]->id);
    }
    catalog_answer_release(answer);
    return rc;
}

int groups_list_branches(struct views *v, const struct place *dir, struct waiter *w,
                         struct view_listing *l)
{
    const struct facts_run *own = NULL;
    const struct catalog_answer *runs;
    struct catalog_question q;
    bool is_parent = false;
    int rc;

    runs_question(v, &dir->repo, &q);
    rc = catalog_ask(v->config.catalog, &q, w, &runs);
    if (rc)
        return rc;
    rc = add_parts(runs, dir, l, &own, &is_parent);
    /* A part of known branches' names that is none itself needs no question of its own. */
    if (!rc && dir->text && (own || !is_parent))
        rc = add_runs_of_branch(v, dir, own, w, l);
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
    static const char *const none[] = {NULL};
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
    rc = safe_name_assign(names, count, none);
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

/* The id of the workflow that the directory is named for, as a filter; else its name as spelled. */
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
    return filter[0] ? 0 : encode(filter, dir->text);
}

int groups_list_workflow(struct views *v, const struct place *dir, struct waiter *w,
                         struct view_listing *l)
{
    const struct catalog_answer *runs;
    struct catalog_question q;
    int rc;

    runs_question(v, &dir->repo, &q);
    rc = catalog_ask(v->config.catalog, &q, w, &runs);
    if (rc)
        return rc;
    q.what = SOURCE_WORKFLOW_RUNS;
    rc = workflow_filter(runs, dir, q.filter);
    catalog_answer_release(runs);
    if (!rc)
        rc = catalog_ask(v->config.catalog, &q, w, &runs);
    if (rc)
        return rc;
    for (size_t i = 0; i < runs->count && !rc; i++)
        rc = add_run_link(l, runs->runs[i]->id);
    catalog_answer_release(runs);
    return rc;
}
