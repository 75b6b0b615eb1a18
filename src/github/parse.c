#include "github/parse.h"

#include "github/headers.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- trees --- */

/*
 * Reads the members of one object. The first error stays and the reads after it give empty values,
 * so that a struct is filled in straight lines and `err` looked at once.
 */
struct parse_reader {
    const cJSON *object; /* NULL or not an object: has no members */
    int err;
};

/*
 * Bounds depth and number of values before a tree is built: cJSON makes 64 bytes and more of the two
 * of "1,". Each value is the first after an opening bracket or follows a comma, so this counts no
 * less than there are. Whether it is JSON at all is left to cJSON.
 */
static bool is_bounded(const char *text, size_t len)
{
    size_t depth = 0, values = 1;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '"') {
            in_string = !in_string;
        } else if (in_string) {
            i += c == '\\';
        } else if (c == '[' || c == '{') {
            depth++, values++;
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        } else if (c == ',') {
            values++;
        }
        if (depth > PARSE_DEPTH_MAX || values > PARSE_VALUES_MAX)
            return false;
    }
    return true;
}

static bool is_blank(const char *from, const char *end)
{
    while (from < end && strchr(" \t\r\n", *from))
        from++;
    return from == end;
}

static int parse_json_tree(const char *body, size_t len, cJSON **ret_tree)
{
    const char *end;
    cJSON *tree;

    if (!body || !len || len > PARSE_BODY_MAX || memchr(body, 0, len))
        return -EPROTO;
    if (!is_bounded(body, len))
        return -EPROTO;

    /* It steps over a BOM. It does not tell garbage from a lack of memory. */
    tree = cJSON_ParseWithLengthOpts(body, len, &end, false);
    if (!tree)
        return -EPROTO;
    if (!is_blank(end, body + len)) {
        cJSON_Delete(tree);
        return -EPROTO;
    }
    *ret_tree = tree;
    return 0;
}

static const cJSON *member(const struct parse_reader *r, const char *key)
{
    if (r->err || !cJSON_IsObject(r->object))
        return NULL;
    return cJSON_GetObjectItemCaseSensitive(r->object, key);
}

/* The length of `text` cut to the bound, at the start of a UTF-8 character. */
static size_t cut_length(const char *text)
{
    size_t len = strnlen(text, PARSE_TEXT_MAX + 1);

    if (len <= PARSE_TEXT_MAX)
        return len;
    len = PARSE_TEXT_MAX;
    for (int back = 0; back < 3 && ((unsigned char)text[len] & 0xC0) == 0x80; back++)
        len--;
    return len;
}

static char *parse_read_text(struct parse_reader *r, const char *key)
{
    const cJSON *item = member(r, key);
    const char *text = cJSON_IsString(item) ? item->valuestring : "";
    char *copy;

    if (r->err)
        return NULL;
    copy = strndup(text, cut_length(text));
    if (!copy)
        r->err = -ENOMEM;
    return copy;
}

static char *parse_read_needed_text(struct parse_reader *r, const char *key)
{
    char *text = parse_read_text(r, key);

    if (text && !*text)
        r->err = -EPROTO;
    return text;
}

static uint64_t parse_read_number(struct parse_reader *r, const char *key, uint64_t max,
                                  uint64_t otherwise)
{
    const cJSON *item = member(r, key);
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;
    uint64_t whole;

    /* Beyond 2^53 a double is not the number that was sent. Infinity and NaN fail as well. */
    if (!(value >= 0 && value <= (double)FACTS_ID_MAX))
        return otherwise;
    whole = (uint64_t)value;
    return (double)whole == value && whole <= max ? whole : otherwise;
}

static uint64_t parse_read_id(struct parse_reader *r, const char *key)
{
    uint64_t id = parse_read_number(r, key, FACTS_ID_MAX, 0);

    if (!id && !r->err)
        r->err = -EPROTO;
    return id;
}

static int64_t parse_read_time(struct parse_reader *r, const char *key)
{
    const cJSON *item = member(r, key);
    int64_t ms = FACTS_NO_TIME;

    if (cJSON_IsString(item))
        (void)parse_time(item->valuestring, &ms);
    return ms;
}

static bool parse_read_bool(struct parse_reader *r, const char *key)
{
    return cJSON_IsTrue(member(r, key));
}

static struct parse_reader parse_read_object(struct parse_reader *r, const char *key)
{
    return (struct parse_reader){.object = member(r, key), .err = r->err};
}

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

/* --- printing --- */

/* One element of a page, printed for people: job.json and run.json of what only a listing brought. */
#define INDENT 2
#define PRINT_MAX ((size_t)PARSE_BODY_MAX * 4) /* deep nesting makes much of little */

/* Writes where there is a place, and counts in any case. */
struct sink {
    char *at;
    size_t len;
};

static void put(struct sink *s, char c)
{
    if (s->at)
        s->at[s->len] = c;
    s->len++;
}

static void put_line(struct sink *s, size_t depth)
{
    put(s, '\n');
    for (size_t i = 0; i < depth * INDENT; i++)
        put(s, ' ');
}

/* One character outside a string. Returns the depth after it. */
static size_t put_mark(struct sink *s, const char *at, size_t depth)
{
    if (*at == ']' || *at == '}') {
        depth--;
        if (at[-1] != '[' && at[-1] != '{')
            put_line(s, depth);
    }
    put(s, *at);
    if (*at == '[' || *at == '{') {
        depth++;
        if (at[1] != ']' && at[1] != '}')
            put_line(s, depth);
    } else if (*at == ',') {
        put_line(s, depth);
    } else if (*at == ':') {
        put(s, ' ');
    }
    return depth;
}

/* `compact` is JSON without blanks between its parts, as cJSON prints it. */
static void put_indented(struct sink *s, const char *compact)
{
    bool in_string = false;
    size_t depth = 0;

    for (const char *at = compact; *at; at++) {
        if (*at == '"')
            in_string = !in_string;
        if (in_string || *at == '"') {
            put(s, *at);
            if (*at == '\\')
                put(s, *++at);
        } else {
            depth = put_mark(s, at, depth);
        }
    }
    put(s, '\n');
}

static int indent(const char *compact, char **ret_text, size_t *ret_len)
{
    struct sink s = {0};
    size_t len;

    put_indented(&s, compact);
    if (s.len > PRINT_MAX)
        return -EPROTO;
    len = s.len;
    s = (struct sink){.at = malloc(len + 1)};
    if (!s.at)
        return -ENOMEM;
    put_indented(&s, compact);
    s.at[len] = '\0';
    *ret_text = s.at;
    *ret_len = len;
    return 0;
}

/* cJSON prints 15 digits of what is no int: whole numbers beyond it get their digits from us. */
static int spell_numbers(cJSON *item)
{
    cJSON *child;
    int err = 0;

    if (cJSON_IsNumber(item) && item->valuedouble > INT_MAX &&
        item->valuedouble <= (double)FACTS_ID_MAX &&
        (double)(uint64_t)item->valuedouble == item->valuedouble) {
        item->valuestring = cJSON_malloc(24);
        if (!item->valuestring)
            return -ENOMEM;
        snprintf(item->valuestring, 24, "%" PRIu64, (uint64_t)item->valuedouble);
        item->type = cJSON_Raw;
    }
    cJSON_ArrayForEach(child, item)
    {
        err = err ? err : spell_numbers(child);
    }
    return err;
}

static cJSON *find_element(const cJSON *array, uint64_t id)
{
    cJSON *element;

    cJSON_ArrayForEach(element, array)
    {
        struct parse_reader r = {.object = element};
        if (parse_read_id(&r, "id") == id && !r.err)
            return element;
    }
    return NULL;
}

static int print_element(const cJSON *tree, const char *key, uint64_t id, char **ret_text,
                         size_t *ret_len)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(tree, key);
    cJSON *element;
    char *compact;
    int err;

    if (!cJSON_IsArray(array))
        return -EPROTO;
    element = find_element(array, id);
    if (!element)
        return -ENOENT;
    err = spell_numbers(element);
    if (err)
        return err;
    compact = cJSON_PrintUnformatted(element);
    if (!compact)
        return -ENOMEM;
    err = indent(compact, ret_text, ret_len);
    cJSON_free(compact);
    return err;
}

static int print_from(const char *body, size_t len, const char *key, uint64_t id, char **ret_text,
                      size_t *ret_len)
{
    cJSON *tree;
    int err = parse_json_tree(body, len, &tree);

    if (err)
        return err;
    err = print_element(tree, key, id, ret_text, ret_len);
    cJSON_Delete(tree);
    return err;
}

int parse_print_job(const char *body, size_t len, uint64_t id, char **ret_text, size_t *ret_len)
{
    return print_from(body, len, "jobs", id, ret_text, ret_len);
}

int parse_print_run(const char *body, size_t len, uint64_t id, char **ret_text, size_t *ret_len)
{
    return print_from(body, len, "workflow_runs", id, ret_text, ret_len);
}
