#include "github/parse.h"

#include "github/parse_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- one of each ------------------------------------------------------------------------------ */

/* Each fill_* takes a zeroed struct and on failure leaves it to its finish function. */

static int fill_step(const cJSON *object, uint32_t position, struct facts_step *step)
{
    struct parse_reader r = {.object = object};
    char *status, *conclusion;

    step->name = parse_read_text(&r, "name");
    step->number = (uint32_t)parse_read_number(&r, "number", UINT32_MAX, position);
    step->started_ms = parse_read_time(&r, "started_at");
    step->completed_ms = parse_read_time(&r, "completed_at");
    status = parse_read_text(&r, "status");
    conclusion = parse_read_text(&r, "conclusion");
    step->status = facts_status_from(status);
    step->conclusion = facts_conclusion_from(conclusion);
    free(status);
    free(conclusion);
    return r.err;
}

/* A job without steps (skipped, queued, old) has no array, null or an empty one. */
static int fill_steps(const cJSON *array, struct facts_job *job)
{
    size_t count = cJSON_IsArray(array) ? (size_t)cJSON_GetArraySize(array) : 0;
    const cJSON *item;

    if (count > PARSE_STEPS_MAX)
        return -EPROTO;
    if (count == 0)
        return 0;
    job->steps = calloc(count, sizeof(*job->steps));
    if (!job->steps)
        return -ENOMEM;
    cJSON_ArrayForEach(item, array)
    {
        struct facts_step *step = &job->steps[job->step_count++];
        int err = fill_step(item, (uint32_t)job->step_count, step);
        if (err)
            return err;
    }
    return 0;
}

/* Whether the server says that the job has, or had, no runner. Old servers say nothing. */
static bool has_no_runner(const cJSON *object)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(object, "runner_id");
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(object, "runner_name");

    if ((cJSON_IsNumber(id) && id->valuedouble != 0) ||
        (cJSON_IsString(name) && *name->valuestring))
        return false;
    return cJSON_IsNumber(id) || cJSON_IsNull(id) || cJSON_IsString(name) || cJSON_IsNull(name);
}

/* Whether the server says that the job has no steps; it may also say nothing about them. */
static bool has_no_steps(const cJSON *steps)
{
    return cJSON_IsNull(steps) || (cJSON_IsArray(steps) && cJSON_GetArraySize(steps) == 0);
}

static uint32_t read_attempt(struct parse_reader *r)
{
    uint32_t attempt = (uint32_t)parse_read_number(r, "run_attempt", UINT32_MAX, 1);

    return attempt ? attempt : 1;
}

static int fill_job(const cJSON *object, void *item)
{
    const cJSON *steps = cJSON_GetObjectItemCaseSensitive(object, "steps");
    struct parse_reader r = {.object = object};
    struct facts_job *job = item;

    job->id = parse_read_id(&r, "id");
    job->run_id = parse_read_number(&r, "run_id", FACTS_ID_MAX, 0);
    job->attempt = read_attempt(&r);
    job->name = parse_read_text(&r, "name");
    job->status_text = parse_read_text(&r, "status");
    job->conclusion_text = parse_read_text(&r, "conclusion");
    job->status = facts_status_from(job->status_text);
    job->conclusion = facts_conclusion_from(job->conclusion_text);
    job->head_sha = parse_read_text(&r, "head_sha");
    job->head_branch = parse_read_text(&r, "head_branch");
    job->workflow_name = parse_read_text(&r, "workflow_name");
    job->html_url = parse_read_text(&r, "html_url");
    job->created_ms = parse_read_time(&r, "created_at");
    job->started_ms = parse_read_time(&r, "started_at");
    job->completed_ms = parse_read_time(&r, "completed_at");
    job->never_ran = job->status == FACTS_COMPLETED && has_no_runner(object) && has_no_steps(steps);
    return r.err ? r.err : fill_steps(steps, job);
}

static void fill_run_times(struct parse_reader *r, struct facts_run *run)
{
    run->created_ms = parse_read_time(r, "created_at");
    run->started_ms = parse_read_time(r, "run_started_at");
    run->updated_ms = parse_read_time(r, "updated_at");
}

/* The head's is null where the fork was deleted. */
static int fill_repos(struct parse_reader repo, struct parse_reader head, struct facts_run *run)
{
    struct parse_reader owner = parse_read_object(&head, "owner");

    run->repo_id = parse_read_number(&repo, "id", FACTS_ID_MAX, 0);
    run->head_repo_id = parse_read_number(&head, "id", FACTS_ID_MAX, 0);
    run->head_repo_full_name = parse_read_text(&head, "full_name");
    run->head_repo_owner = parse_read_text(&owner, "login");
    return head.err ? head.err : owner.err;
}

static int fill_run(const cJSON *object, void *item)
{
    struct parse_reader r = {.object = object};
    struct facts_run *run = item;

    run->id = parse_read_id(&r, "id");
    run->workflow_id = parse_read_number(&r, "workflow_id", FACTS_ID_MAX, 0);
    run->number = parse_read_number(&r, "run_number", FACTS_ID_MAX, 0);
    run->attempt = read_attempt(&r);
    run->name = parse_read_text(&r, "name");
    run->display_title = parse_read_text(&r, "display_title");
    run->event = parse_read_text(&r, "event");
    run->status_text = parse_read_text(&r, "status");
    run->conclusion_text = parse_read_text(&r, "conclusion");
    run->status = facts_status_from(run->status_text);
    run->conclusion = facts_conclusion_from(run->conclusion_text);
    run->head_branch = parse_read_text(&r, "head_branch");
    run->head_sha = parse_read_text(&r, "head_sha");
    run->path = parse_read_text(&r, "path");
    run->html_url = parse_read_text(&r, "html_url");
    fill_run_times(&r, run);
    if (r.err)
        return r.err;
    return fill_repos(parse_read_object(&r, "repository"), parse_read_object(&r, "head_repository"),
                      run);
}

static int fill_repo(const cJSON *object, void *item)
{
    struct parse_reader r = {.object = object};
    struct parse_reader owner = parse_read_object(&r, "owner");
    struct facts_repo *repo = item;

    repo->id = parse_read_number(&r, "id", FACTS_ID_MAX, 0);
    repo->name = parse_read_needed_text(&r, "name");
    repo->full_name = parse_read_text(&r, "full_name");
    repo->is_private = parse_read_bool(&r, "private");
    repo->is_archived = parse_read_bool(&r, "archived");
    repo->pushed_ms = parse_read_time(&r, "pushed_at");
    repo->owner = parse_read_needed_text(&owner, "login");
    return r.err ? r.err : owner.err;
}

static int fill_workflow(const cJSON *object, void *item)
{
    struct parse_reader r = {.object = object};
    struct facts_workflow *workflow = item;

    workflow->id = parse_read_id(&r, "id");
    workflow->name = parse_read_text(&r, "name");
    workflow->path = parse_read_text(&r, "path");
    workflow->state = parse_read_text(&r, "state");
    return r.err;
}

/* --- many ------------------------------------------------------------------------------------- */

/* What the listings differ in. */
struct kind {
    const char *array; /* the key of the list in its envelope; NULL: the body is the list */
    size_t size;
    int (*fill)(const cJSON *object, void *item);
    void (*finish)(void *item);
};

/* What they share, before it goes into the list of its type. */
struct page {
    void *items;
    size_t count, unread;
    int64_t total_count;
};

static void finish_job(void *item)
{
    facts_job_finish(item);
}

static void finish_run(void *item)
{
    facts_run_finish(item);
}

static void finish_repo(void *item)
{
    facts_repo_finish(item);
}

static void finish_workflow(void *item)
{
    facts_workflow_finish(item);
}

static const struct kind jobs = {"jobs", sizeof(struct facts_job), fill_job, finish_job};
static const struct kind runs = {"workflow_runs", sizeof(struct facts_run), fill_run, finish_run};
static const struct kind repos = {NULL, sizeof(struct facts_repo), fill_repo, finish_repo};
static const struct kind workflows = {"workflows", sizeof(struct facts_workflow), fill_workflow,
                                      finish_workflow};

static int fill_items(const cJSON *array, const struct kind *kind, struct page *page)
{
    size_t size = (size_t)cJSON_GetArraySize(array);
    char *items = calloc(size ? size : 1, kind->size);
    size_t count = 0, nulls = 0;
    const cJSON *object;
    int err = 0;

    if (!items)
        return -ENOMEM;
    cJSON_ArrayForEach(object, array)
    {
        char *item = items + kind->size * count;
        nulls += cJSON_IsNull(object);
        err = cJSON_IsNull(object) ? -EPROTO : kind->fill(object, item);
        if (!err)
            count++;
        else
            kind->finish(item);
        if (err == -ENOMEM)
            break;
    }
    /* Some that cannot be read are skipped; where there are no others it is no listing of this kind. */
    if (err != -ENOMEM)
        err = count || nulls == size ? 0 : -EPROTO;
    if (err) {
        while (count)
            kind->finish(items + kind->size * --count);
        free(items);
        return err;
    }
    page->items = items;
    page->count = count;
    page->unread = size - count;
    return 0;
}

static int parse_page(const char *body, size_t len, const struct kind *kind, struct page *ret_page)
{
    struct parse_reader r = {0};
    const cJSON *array;
    cJSON *tree;
    int err = parse_json_tree(body, len, &tree);

    if (err)
        return err;
    r.object = tree;
    array = kind->array ? cJSON_GetObjectItemCaseSensitive(tree, kind->array) : tree;
    ret_page->total_count = (int64_t)parse_read_number(&r, "total_count", FACTS_ID_MAX, UINT64_MAX);
    if (cJSON_IsArray(array) && cJSON_GetArraySize(array) <= PARSE_ITEMS_MAX)
        err = fill_items(array, kind, ret_page);
    else
        err = -EPROTO;
    cJSON_Delete(tree);
    return err;
}

int parse_jobs_page(const char *body, size_t len, struct facts_job_list *ret_list)
{
    struct page page;
    int err = parse_page(body, len, &jobs, &page);

    if (!err)
        *ret_list = (struct facts_job_list){page.items, page.count, page.unread, page.total_count};
    return err;
}

int parse_runs_page(const char *body, size_t len, struct facts_run_list *ret_list)
{
    struct page page;
    int err = parse_page(body, len, &runs, &page);

    if (!err)
        *ret_list = (struct facts_run_list){page.items, page.count, page.unread, page.total_count};
    return err;
}

int parse_repos_page(const char *body, size_t len, struct facts_repo_list *ret_list)
{
    struct page page;
    int err = parse_page(body, len, &repos, &page);

    if (!err)
        *ret_list = (struct facts_repo_list){page.items, page.count, page.unread, page.total_count};
    return err;
}

int parse_workflows_page(const char *body, size_t len, struct facts_workflow_list *ret_list)
{
    struct page page;
    int err = parse_page(body, len, &workflows, &page);

    if (!err)
        *ret_list = (struct facts_workflow_list){page.items, page.count, page.unread,
                                                 page.total_count};
    return err;
}

static int parse_one(const char *body, size_t len, const struct kind *kind, void *item)
{
    cJSON *tree;
    int err = parse_json_tree(body, len, &tree);

    if (err)
        return err;
    err = kind->fill(tree, item);
    if (err)
        kind->finish(item);
    cJSON_Delete(tree);
    return err;
}

int parse_job(const char *body, size_t len, struct facts_job *ret_job)
{
    struct facts_job job = {0};
    int err = parse_one(body, len, &jobs, &job);

    if (!err)
        *ret_job = job;
    return err;
}

int parse_run(const char *body, size_t len, struct facts_run *ret_run)
{
    struct facts_run run = {0};
    int err = parse_one(body, len, &runs, &run);

    if (!err)
        *ret_run = run;
    return err;
}

/* --- the rest --------------------------------------------------------------------------------- */

/* What is not printable ASCII becomes '?', a UTF-8 character one. */
static void copy_shown(const cJSON *item, char *out)
{
    const char *text = cJSON_IsString(item) ? item->valuestring : "";
    size_t len = 0;

    for (; *text && len < PARSE_MESSAGE_LEN - 1; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c & 0xC0) == 0x80 && len && out[len - 1] == '?')
            continue;
        out[len++] = c >= 0x20 && c < 0x7F ? *text : '?';
    }
    out[len] = '\0';
}

void parse_error_message(const char *body, size_t len, struct parse_error *ret_error)
{
    const cJSON *message;
    cJSON *tree;

    *ret_error = (struct parse_error){0};
    if (parse_json_tree(body, len, &tree) < 0)
        return;
    message = cJSON_GetObjectItemCaseSensitive(tree, "message");
    /* A 502 may come from something in front of the API, which says `error`. */
    if (!cJSON_IsString(message))
        message = cJSON_GetObjectItemCaseSensitive(tree, "error");
    copy_shown(message, ret_error->message);
    copy_shown(cJSON_GetObjectItemCaseSensitive(tree, "documentation_url"),
               ret_error->documentation_url);
    cJSON_Delete(tree);
}
