/* One element of a page, printed for people: job.json and run.json of what only a listing brought. */
#include "github/parse.h"
#include "github/parse_json.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
