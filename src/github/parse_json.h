/*
 * parse_json.h - a hostile body to a cJSON tree within bounds, and typed looks into it.
 *
 * Private to parse.c, parse_json.c and parse_print.c. Pure. A tree is the caller's: cJSON_Delete.
 */
#ifndef GHLOGFS_GITHUB_PARSE_JSON_H
#define GHLOGFS_GITHUB_PARSE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* -EPROTO: over a bound of parse.h, a NUL byte, not JSON, something behind it. */
int parse_json_tree(const char *body, size_t len, cJSON **ret_tree);

/*
 * Reads the members of one object. The first error stays and the reads after it give empty values,
 * so that a struct is filled in straight lines and `err` looked at once.
 */
struct parse_reader {
    const cJSON *object; /* NULL or not an object: has no members */
    int err;
};

/* malloc'd, cut to PARSE_TEXT_MAX; "" for what is not a string. NULL only with err set. */
char *parse_read_text(struct parse_reader *r, const char *key);

/* As parse_read_text, but absent, empty or not a string is -EPROTO. */
char *parse_read_needed_text(struct parse_reader *r, const char *key);

/* An integer 0..max; `otherwise` for what is none. */
uint64_t parse_read_number(struct parse_reader *r, const char *key, uint64_t max,
                           uint64_t otherwise);

/* An id; what is none is -EPROTO. */
uint64_t parse_read_id(struct parse_reader *r, const char *key);

/* UTC milliseconds, FACTS_NO_TIME for what is no time. */
int64_t parse_read_time(struct parse_reader *r, const char *key);

/* True for true, else false. */
bool parse_read_bool(struct parse_reader *r, const char *key);

/* A reader of a member that is an object itself; of nothing where it is none. */
struct parse_reader parse_read_object(struct parse_reader *r, const char *key);

#endif
