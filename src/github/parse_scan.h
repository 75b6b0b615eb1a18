/*
 * parse_scan.h - a cursor over one header or time, for parse_headers.c and parse_time.c.
 *
 * Each scan_* takes what it is named after from the front, or takes nothing and says false.
 */
#ifndef GHLOGFS_GITHUB_PARSE_SCAN_H
#define GHLOGFS_GITHUB_PARSE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scan {
    const char *at, *end;
};

/* Over `text` without the blanks around it; -ENOENT for NULL, -EPROTO beyond PARSE_HEADER_MAX. */
int scan_init(struct scan *s, const char *text);

bool scan_is_done(const struct scan *s);
bool scan_char(struct scan *s, char c);
void scan_blanks(struct scan *s);

/* A word of ASCII, whatever its case. */
bool scan_word(struct scan *s, const char *word);

/* Exactly `count` digits. */
bool scan_digits(struct scan *s, unsigned count, unsigned *ret_value);

/* All digits there are, at least one; false too beyond UINT64_MAX. */
bool scan_number(struct scan *s, uint64_t *ret_value);

#endif
