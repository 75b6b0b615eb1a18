/*
 * parse_time.h - times as GitHub writes them. Pure; no time zone of our own.
 *
 * Outputs are untouched on failure.
 */
#ifndef GHLOGFS_GITHUB_PARSE_TIME_H
#define GHLOGFS_GITHUB_PARSE_TIME_H

#include <stdint.h>

/* RFC 3339, "2026-01-02T03:04:05Z", with fraction and offset where given, years 1970..9999, to UTC
 * milliseconds. -EPROTO for anything else, NULL too. */
int parse_time(const char *text, int64_t *ret_ms);

/* An HTTP date in any of its three forms, years 1970..9999, to UTC seconds. now_wall_s decides the
 * century of the two-digit form only. -ENOENT for NULL, -EPROTO for anything else. */
int parse_http_date(const char *text, int64_t now_wall_s, int64_t *ret_s);

#endif
