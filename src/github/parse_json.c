#include "github/parse_json.h"

#include "facts.h"
#include "github/parse_bounds.h"
#include "github/parse_time.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

int parse_json_tree(const char *body, size_t len, cJSON **ret_tree)
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

char *parse_read_text(struct parse_reader *r, const char *key)
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

char *parse_read_needed_text(struct parse_reader *r, const char *key)
{
    char *text = parse_read_text(r, key);

    if (text && !*text)
        r->err = -EPROTO;
    return text;
}

uint64_t parse_read_number(struct parse_reader *r, const char *key, uint64_t max,
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

uint64_t parse_read_id(struct parse_reader *r, const char *key)
{
    uint64_t id = parse_read_number(r, key, FACTS_ID_MAX, 0);

    if (!id && !r->err)
        r->err = -EPROTO;
    return id;
}

int64_t parse_read_time(struct parse_reader *r, const char *key)
{
    const cJSON *item = member(r, key);
    int64_t ms = FACTS_NO_TIME;

    if (cJSON_IsString(item))
        (void)parse_time(item->valuestring, &ms);
    return ms;
}

bool parse_read_bool(struct parse_reader *r, const char *key)
{
    return cJSON_IsTrue(member(r, key));
}

struct parse_reader parse_read_object(struct parse_reader *r, const char *key)
{
    return (struct parse_reader){.object = member(r, key), .err = r->err};
}
