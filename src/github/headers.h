/*
 * headers.h - HTTP headers and GitHub's times to numbers.
 *
 * Pure. Each parse_* takes the value of one header as a string, NULL if it is absent, and ignores
 * blanks around it; a value longer than PARSE_HEADER_MAX is malformed. Errors: -ENOENT absent
 * (NULL, or Link without a next page); -EPROTO malformed or too large. Outputs are untouched on
 * failure.
 */
#ifndef GHLOGFS_GITHUB_HEADERS_H
#define GHLOGFS_GITHUB_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

#define PARSE_HEADER_MAX 8192 /* bytes of one header's value */

/* A plain decimal number: digits only, no sign, no overflow. */
int parse_u64(const char *text, uint64_t *ret_value);

/* A count as in X-RateLimit-*: the number, or -1 for absent, malformed or beyond INT64_MAX. */
int64_t parse_count(const char *text);

/* Link: the number of the page with rel="next", 2..UINT32_MAX. */
int parse_link_next(const char *link, uint32_t *ret_page);

/* Content-Range. */
struct parse_range {
    uint64_t first, end; /* [first, end); both 0 for an unsatisfied range (416) */
    uint64_t total;
    bool satisfied;   /* false: the form "bytes *" "/total" */
    bool total_known; /* false: the form "bytes a-b/" "*" */
};

int parse_content_range(const char *text, struct parse_range *ret_range);

/* Retry-After: seconds from now_wall_s (UTC), 0..86400 (more is cut); a date in the past is 0. */
int parse_retry_after(const char *text, int64_t now_wall_s, int64_t *ret_s);

/* RFC 3339 without blanks, as in JSON: "2026-01-02T03:04:05Z", with fraction and offset where
 * given, years 1970..9999, to UTC milliseconds. -EPROTO for anything else, NULL too. */
int parse_time(const char *text, int64_t *ret_ms);

/* An HTTP date in any of its three forms, years 1970..9999, to UTC seconds. now_wall_s decides the
 * century of the two-digit form only. -ENOENT for NULL, -EPROTO for anything else. */
int parse_http_date(const char *text, int64_t now_wall_s, int64_t *ret_s);

#endif
