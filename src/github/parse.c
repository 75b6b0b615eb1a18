#include "github/parse.h"

#include "github/headers.h"
#include "name.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- trees ------------------------------------------------------------------------------------ */

/*
 * Bounds depth and number of values before a tree is built: cJSON allocates 64 bytes and more for
 * the two of "1,". Each value is the first after an opening bracket or follows a comma, so this
 * counts no less than there are. Whether it is JSON at all is left to cJSON.
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

/* The caller frees with cJSON_Delete. -EPROTO: over a bound, a NUL byte, not JSON, something behind
 * it. */
static int parse_tree(const char *body, size_t len, cJSON **ret_tree)
{
    const char *end;
    cJSON *tree;

    if (!body || !len || len > PARSE_BODY_MAX || memchr(body, 0, len) || !is_bounded(body, len))
        return -EPROTO;
    /* It steps over a BOM. It does not tell garbage from a lack of memory. */
    tree = cJSON_ParseWithLengthOpts(body, len, &end, false);
    if (!tree)
        return -EPROTO;
    while (end < body + len && strchr(" \t\r\n", *end))
        end++;
    if (end < body + len) {
        cJSON_Delete(tree);
        return -EPROTO;
    }
    *ret_tree = tree;
    return 0;
}

/* --- fields ----------------------------------------------------------------------------------- */

/* The type of a field, and its value where GitHub gives none or one of another type. */
enum kind {
    TEXT,       /* char *; "" */
    NAME,       /* char *; none or empty is -EPROTO */
    ID,         /* uint64_t, 1..NAME_ID_MAX; none is -EPROTO */
    REFERENCE,  /* uint64_t, the id of something else; 0 */
    NUMBER,     /* uint32_t; stays as it is */
    TIME,       /* int64_t, UTC milliseconds; FACTS_NO_TIME */
    STATUS,     /* enum facts_status */
    CONCLUSION, /* enum facts_conclusion */
};

/* One member of an object and where it goes in the struct. "a/b" is the member b of the member
 * a. */
struct field {
    const char *key;
    enum kind kind;
    size_t offset;
};

static const struct field step_fields[] = {
    {"name", TEXT, offsetof(struct facts_step, name)},
    {"number", NUMBER, offsetof(struct facts_step, number)},
    {"status", STATUS, offsetof(struct facts_step, status)},
    {"conclusion", CONCLUSION, offsetof(struct facts_step, conclusion)},
    {"started_at", TIME, offsetof(struct facts_step, started_ms)},
    {"completed_at", TIME, offsetof(struct facts_step, completed_ms)},
};

static const struct field job_fields[] = {
    {"id", ID, offsetof(struct facts_job, id)},
    {"run_id", REFERENCE, offsetof(struct facts_job, run_id)},
    {"run_attempt", NUMBER, offsetof(struct facts_job, attempt)},
    {"name", TEXT, offsetof(struct facts_job, name)},
    {"status", TEXT, offsetof(struct facts_job, status_text)},
    {"status", STATUS, offsetof(struct facts_job, status)},
    {"conclusion", TEXT, offsetof(struct facts_job, conclusion_text)},
    {"conclusion", CONCLUSION, offsetof(struct facts_job, conclusion)},
    {"head_sha", TEXT, offsetof(struct facts_job, head_sha)},
    {"html_url", TEXT, offsetof(struct facts_job, html_url)},
    {"created_at", TIME, offsetof(struct facts_job, created_ms)},
    {"started_at", TIME, offsetof(struct facts_job, started_ms)},
    {"completed_at", TIME, offsetof(struct facts_job, completed_ms)},
};

/* head_repository is null where the fork was deleted. */
static const struct field run_fields[] = {
    {"id", ID, offsetof(struct facts_run, id)},
    {"workflow_id", REFERENCE, offsetof(struct facts_run, workflow_id)},
    {"run_attempt", NUMBER, offsetof(struct facts_run, attempt)},
    {"run_number", NUMBER, offsetof(struct facts_run, number)},
    {"status", STATUS, offsetof(struct facts_run, status)},
    {"conclusion", CONCLUSION, offsetof(struct facts_run, conclusion)},
    {"name", TEXT, offsetof(struct facts_run, name)},
    {"display_title", TEXT, offsetof(struct facts_run, title)},
    {"event", TEXT, offsetof(struct facts_run, event)},
    {"head_branch", TEXT, offsetof(struct facts_run, head_branch)},
    {"head_sha", TEXT, offsetof(struct facts_run, head_sha)},
    {"html_url", TEXT, offsetof(struct facts_run, html_url)},
    {"path", TEXT, offsetof(struct facts_run, path)},
    {"created_at", TIME, offsetof(struct facts_run, created_ms)},
    {"updated_at", TIME, offsetof(struct facts_run, updated_ms)},
    {"repository/id", REFERENCE, offsetof(struct facts_run, repo_id)},
    {"head_repository/id", REFERENCE, offsetof(struct facts_run, head_repo_id)},
    {"head_repository/owner/login", TEXT, offsetof(struct facts_run, head_repo_owner)},
};

static const struct field pull_fields[] = {
    {"number", ID, offsetof(struct facts_pull, number)},
    {"head/sha", NAME, offsetof(struct facts_pull, head_sha)},
};

static const struct field repo_fields[] = {
    {"id", REFERENCE, offsetof(struct facts_repo, id)},
    {"name", NAME, offsetof(struct facts_repo, name)},
    {"owner/login", NAME, offsetof(struct facts_repo, owner)},
    {"pushed_at", TIME, offsetof(struct facts_repo, pushed_ms)},
};

static const cJSON *find_member(const cJSON *object, const char *path)
{
    for (;;) {
        size_t len = strcspn(path, "/");
        char key[32];
        snprintf(key, sizeof(key), "%.*s", (int)len, path);
        if (!cJSON_IsObject(object))
            return NULL;
        object = cJSON_GetObjectItemCaseSensitive(object, key);
        if (!path[len])
            return object;
        path += len + 1;
    }
}

/* An integer 0..max; `otherwise` for what is none. */
static uint64_t read_number(const cJSON *item, uint64_t max, uint64_t otherwise)
{
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;
    uint64_t whole;

    /* Beyond 2^53 a double is not the number that was sent. Infinity and NaN fail as well. */
    if (!(value >= 0 && value <= (double)NAME_ID_MAX))
        return otherwise;
    whole = (uint64_t)value;
    return (double)whole == value && whole <= max ? whole : otherwise;
}

/* A copy, cut to the bound at the start of a UTF-8 character. NULL: no memory. */
static char *copy_text(const char *text)
{
    size_t len = strnlen(text, PARSE_TEXT_MAX + 1);

    if (len > PARSE_TEXT_MAX) {
        len = PARSE_TEXT_MAX;
        for (int back = 0; back < 3 && ((unsigned char)text[len] & 0xC0) == 0x80; back++)
            len--;
    }
    return strndup(text, len);
}

static int read_field(const cJSON *item, enum kind kind, void *field)
{
    const char *text = cJSON_IsString(item) ? item->valuestring : "";
    char *copy;

    switch (kind) {
    case TEXT:
    case NAME:
        if (kind == NAME && !*text)
            return -EPROTO;
        copy = copy_text(text);
        *(char **)field = copy;
        return copy ? 0 : -ENOMEM;
    case ID:
    case REFERENCE:
        *(uint64_t *)field = read_number(item, NAME_ID_MAX, 0);
        return kind == ID && !*(uint64_t *)field ? -EPROTO : 0;
    case NUMBER:
        *(uint32_t *)field = (uint32_t)read_number(item, UINT32_MAX, *(uint32_t *)field);
        return 0;
    case TIME:
        *(int64_t *)field = FACTS_NO_TIME;
        (void)parse_time(text, field);
        return 0;
    case STATUS: *(enum facts_status *)field = facts_status_from(text); return 0;
    case CONCLUSION: *(enum facts_conclusion *)field = facts_conclusion_from(text); return 0;
    }
    return 0;
}

#define READ_FIELDS(object, fields, out)                                                           \
    read_fields(object, fields, sizeof(fields) / sizeof(*(fields)), out)

static int read_fields(const cJSON *object, const struct field *fields, size_t count, void *out)
{
    for (size_t i = 0; i < count; i++) {
        void *field = (char *)out + fields[i].offset;
        int err = read_field(find_member(object, fields[i].key), fields[i].kind, field);
        if (err)
            return err;
    }
    return 0;
}

/* --- one of each ------------------------------------------------------------------------------ */

/* Each fill_* takes a zeroed struct and on failure leaves it to its finish function. */

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
        int err;
        step->number = (uint32_t)job->step_count;
        err = READ_FIELDS(item, step_fields, step);
        if (err)
            return err;
    }
    return 0;
}

/* Whether GitHub reports that the job has, or had, no runner. Old servers report nothing. */
static bool has_no_runner(const cJSON *object)
{
    const cJSON *id = find_member(object, "runner_id");
    const cJSON *name = find_member(object, "runner_name");

    if ((cJSON_IsNumber(id) && id->valuedouble != 0) ||
        (cJSON_IsString(name) && *name->valuestring))
        return false;
    return cJSON_IsNumber(id) || cJSON_IsNull(id) || cJSON_IsString(name) || cJSON_IsNull(name);
}

static int fill_job(const cJSON *object, void *item)
{
    const cJSON *steps = find_member(object, "steps");
    bool has_no_steps = cJSON_IsNull(steps) ||
                        (cJSON_IsArray(steps) && cJSON_GetArraySize(steps) == 0);
    struct facts_job *job = item;
    int err = READ_FIELDS(object, job_fields, job);

    if (err)
        return err;
    if (!job->attempt)
        job->attempt = 1;
    job->never_ran = job->status == FACTS_COMPLETED && has_no_runner(object) && has_no_steps;
    return fill_steps(steps, job);
}

/* A fork's runs name the pull requests of the repository it was made from as well. */
static int fill_pulls(const cJSON *array, struct facts_run *run)
{
    size_t count = cJSON_IsArray(array) ? (size_t)cJSON_GetArraySize(array) : 0;
    const cJSON *item;

    if (count > PARSE_PULLS_MAX)
        count = PARSE_PULLS_MAX;
    if (count == 0)
        return 0;
    run->pulls = calloc(count, sizeof(*run->pulls));
    if (!run->pulls)
        return -ENOMEM;
    cJSON_ArrayForEach(item, array)
    {
        uint64_t number = read_number(find_member(item, "number"), NAME_ID_MAX, 0);
        uint64_t repo = read_number(find_member(item, "base/repo/id"), NAME_ID_MAX, 0);
        if (number && (!repo || repo == run->repo_id) && run->pull_count < count)
            run->pulls[run->pull_count++] = number;
    }
    return 0;
}

static int fill_run(const cJSON *object, void *item)
{
    struct facts_run *run = item;
    int err = READ_FIELDS(object, run_fields, run);

    if (err)
        return err;
    if (!run->attempt)
        run->attempt = 1;
    return fill_pulls(find_member(object, "pull_requests"), run);
}

static int fill_pull(const cJSON *object, void *item)
{
    return READ_FIELDS(object, pull_fields, item);
}

static int fill_repo(const cJSON *object, void *item)
{
    return READ_FIELDS(object, repo_fields, item);
}

static void finish_job(void *item)
{
    facts_job_finish(item);
}

static void finish_run(void *item)
{
    facts_run_finish(item);
}

static void finish_pull(void *item)
{
    facts_pull_finish(item);
}

static void finish_repo(void *item)
{
    facts_repo_finish(item);
}

/* What the types differ in. */
struct type {
    const char *array; /* the key of a list in its envelope; NULL: the body is the list */
    size_t size;
    int (*fill)(const cJSON *object, void *item);
    void (*finish)(void *item);
};

static const struct type jobs = {PARSE_JOBS, sizeof(struct facts_job), fill_job, finish_job};
static const struct type runs = {PARSE_RUNS, sizeof(struct facts_run), fill_run, finish_run};
static const struct type pulls = {NULL, sizeof(struct facts_pull), fill_pull, finish_pull};
static const struct type repos = {NULL, sizeof(struct facts_repo), fill_repo, finish_repo};

static int parse_one(const char *body, size_t len, const struct type *type, void *item)
{
    cJSON *tree;
    int err = parse_tree(body, len, &tree);

    if (err)
        return err;
    err = type->fill(tree, item);
    if (err)
        type->finish(item);
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

int parse_pull(const char *body, size_t len, struct facts_pull *ret_pull)
{
    struct facts_pull pull = {0};
    int err = parse_one(body, len, &pulls, &pull);

    if (!err)
        *ret_pull = pull;
    return err;
}

int parse_quota(const char *body, size_t len, struct facts_quota *ret_quota)
{
    const cJSON *core;
    cJSON *tree;
    int err = parse_tree(body, len, &tree);

    if (err)
        return err;
    core = find_member(tree, "resources/core");
    if (core)
        *ret_quota = (struct facts_quota){
            (int64_t)read_number(find_member(core, "limit"), NAME_ID_MAX, UINT64_MAX),
            (int64_t)read_number(find_member(core, "remaining"), NAME_ID_MAX, UINT64_MAX),
            (int64_t)read_number(find_member(core, "reset"), NAME_ID_MAX, UINT64_MAX)};
    cJSON_Delete(tree);
    return core ? 0 : -EPROTO;
}

/* --- listings --------------------------------------------------------------------------------- */

/* What the lists of all types have. */
struct page {
    void *items;
    size_t count, unread;
    int64_t total_count;
};

/* Entries that cannot be parsed are skipped; if there are no others, it is no listing of the
 * type. */
static int fill_items(const cJSON *array, const struct type *type, struct page *page)
{
    size_t size = (size_t)cJSON_GetArraySize(array), nulls = 0;
    char *items = calloc(size ? size : 1, type->size);
    const cJSON *object;
    int err = 0;

    if (!items)
        return -ENOMEM;
    page->items = items;
    page->count = 0;
    cJSON_ArrayForEach(object, array)
    {
        char *item = items + type->size * page->count;
        nulls += cJSON_IsNull(object);
        err = cJSON_IsNull(object) ? -EPROTO : type->fill(object, item);
        if (!err)
            page->count++;
        else
            type->finish(item);
        if (err == -ENOMEM)
            break;
    }
    page->unread = size - page->count;
    if (err != -ENOMEM && (page->count || nulls == size))
        return 0;
    for (size_t i = 0; i < page->count; i++)
        type->finish(items + type->size * i);
    free(items);
    return err;
}

static int parse_page(const char *body, size_t len, const struct type *type, struct page *page)
{
    const cJSON *array, *total;
    cJSON *tree;
    int err = parse_tree(body, len, &tree);

    if (err)
        return err;
    array = type->array ? find_member(tree, type->array) : tree;
    total = find_member(tree, "total_count");
    page->total_count = (int64_t)read_number(total, NAME_ID_MAX, UINT64_MAX);
    err = -EPROTO;
    if (cJSON_IsArray(array) && cJSON_GetArraySize(array) <= PARSE_ITEMS_MAX)
        err = fill_items(array, type, page);
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

/* --- errors ----------------------------------------------------------------------------------- */

void parse_error_message(const char *body, size_t len, struct parse_error *ret_error)
{
    const cJSON *message;
    const char *text;
    size_t at = 0;
    cJSON *tree;

    *ret_error = (struct parse_error){0};
    if (parse_tree(body, len, &tree) < 0)
        return;
    message = find_member(tree, "message");
    /* A 502 may come from a proxy in front of the API, which calls it `error`. */
    if (!cJSON_IsString(message))
        message = find_member(tree, "error");
    text = cJSON_IsString(message) ? message->valuestring : "";
    /* What is not printable ASCII becomes '?', a UTF-8 character one. */
    for (; *text && at < PARSE_MESSAGE_LEN - 1; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c & 0xC0) == 0x80 && at && ret_error->message[at - 1] == '?')
            continue;
        ret_error->message[at++] = c >= 0x20 && c < 0x7F ? *text : '?';
    }
    cJSON_Delete(tree);
}

/* --- printing --------------------------------------------------------------------------------- */

#define PRINT_MAX ((long)PARSE_BODY_MAX * 4) /* deep nesting makes much of little */

static void print_line(FILE *out, int depth)
{
    fprintf(out, "\n%*s", 2 * depth, "");
}

/* One character outside a string. Returns the depth after it. */
static int print_mark(FILE *out, const char *at, int depth)
{
    bool is_open = *at == '[' || *at == '{', is_close = *at == ']' || *at == '}';

    if (is_close && at[-1] != '[' && at[-1] != '{')
        print_line(out, depth - 1);
    putc(*at, out);
    if ((is_open && at[1] != ']' && at[1] != '}') || *at == ',')
        print_line(out, depth + is_open);
    else if (*at == ':')
        putc(' ', out);
    return depth + is_open - is_close;
}

/* `compact` is JSON without blanks between its parts, as cJSON prints it. */
static int print_indented(const char *compact, char **ret_text, size_t *ret_len)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    bool in_string = false, is_over = false, is_failed;
    int depth = 0;

    if (!out)
        return -ENOMEM;
    for (const char *at = compact; *at && !is_over; at++) {
        if (*at == '"')
            in_string = !in_string;
        if (in_string || *at == '"') {
            putc(*at, out);
            if (*at == '\\')
                putc(*++at, out);
        } else {
            depth = print_mark(out, at, depth);
            is_over = ftell(out) > PRINT_MAX;
        }
    }
    putc('\n', out);
    is_failed = ferror(out);
    is_failed |= fclose(out) != 0;
    if (is_failed || is_over) {
        free(text);
        return is_failed ? -ENOMEM : -EPROTO;
    }
    *ret_text = text;
    *ret_len = len;
    return 0;
}

/* cJSON prints 15 digits of a number that is no int: for whole ones beyond it, all are put here. */
static int spell_numbers(cJSON *item)
{
    cJSON *child;
    int err = 0;

    if (cJSON_IsNumber(item) && item->valuedouble > INT_MAX &&
        item->valuedouble <= (double)NAME_ID_MAX &&
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

/* The tree is changed. */
static int print_tree(cJSON *tree, char **ret_text, size_t *ret_len)
{
    int err = spell_numbers(tree);
    char *compact;

    if (err)
        return err;
    compact = cJSON_PrintUnformatted(tree);
    if (!compact)
        return -ENOMEM;
    err = print_indented(compact, ret_text, ret_len);
    cJSON_free(compact);
    return err;
}

/* An element of a page, not parsed yet. -ENOENT: it is not the one with the id. */
static int print_element(const char *element, size_t len, uint64_t id, char **ret_text,
                         size_t *ret_len)
{
    char digits[24];
    cJSON *tree;
    int err;
    int n = snprintf(digits, sizeof(digits), "%" PRIu64, id);

    if (!id || !memmem(element, len, digits, (size_t)n))
        return -ENOENT;
    err = parse_tree(element, len, &tree);
    if (err)
        return err;
    if (read_number(find_member(tree, "id"), NAME_ID_MAX, 0) != id)
        err = -ENOENT;
    else
        err = print_tree(tree, ret_text, ret_len);
    cJSON_Delete(tree);
    return err;
}

/* Whether the "[" begins the value of the key; `text` is what the page begins with. */
static bool is_array_of(const char *text, const char *bracket, const char *key)
{
    const size_t len = strlen(key);
    const char *at = bracket;

    while (at > text && strchr(" \t\r\n:", at[-1]))
        at--;
    return at - text >= (ptrdiff_t)len + 2 && at[-1] == '"' && !strncmp(at - len - 1, key, len) &&
           at[-(ptrdiff_t)len - 2] == '"';
}

/* Only the element is parsed: a page of a hundred jobs takes fifty times as long. */
int parse_print(const char *body, size_t len, const char *array, uint64_t id, char **ret_text,
                size_t *ret_len)
{
    enum { PAGE = 1, ARRAY = 2 }; /* depth in the page's object, in an array of it */
    const char *element = NULL;
    bool in_string = false, is_in = false, was_in = false;
    int depth = 0, err = -ENOENT;

    if (!body || len > PARSE_BODY_MAX || memchr(body, 0, len))
        return -EPROTO;
    for (const char *at = body; at < body + len && depth >= 0 && err == -ENOENT; at++) {
        if (*at == '"') {
            in_string = !in_string;
        } else if (in_string) {
            at += *at == '\\';
        } else if (*at == '[' || *at == '{') {
            if (depth == PAGE)
                was_in |= is_in = *at == '[' && is_array_of(body, at, array);
            if (depth++ == ARRAY && is_in)
                element = at;
        } else if (*at == ']' || *at == '}') {
            if (--depth == ARRAY && is_in)
                err = print_element(element, (size_t)(at + 1 - element), id, ret_text, ret_len);
        }
    }
    return err == -ENOENT && (depth || !was_in) ? -EPROTO : err;
}
