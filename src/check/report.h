/*
 * report.h - the lines of `ghlogfs --check`: one for each thing that was looked at, with what to do
 * where something is wrong; as text for people, or as one JSON object.
 *
 * Decides nothing (answers.h, local.h) and looks at nothing (main_check*.c). Pure, but for the
 * stream that the report is written to. Main's thread only.
 */
#ifndef GHLOGFS_CHECK_REPORT_H
#define GHLOGFS_CHECK_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CHECK_TEXT_MAX 768 /* bytes of a text with its NUL; a longer one is cut */

enum check_state {
    CHECK_OK,
    CHECK_WARNING, /* it works, but not all of it, or not for long */
    CHECK_ERROR,
    CHECK_SKIPPED, /* it was not looked at, and why */
};

struct check_line {
    const char *name; /* set by the caller, the rest is zeroed */
    enum check_state state;
    char text[CHECK_TEXT_MAX];
    char advice[CHECK_TEXT_MAX];  /* "": there is nothing to do */
    char members[CHECK_TEXT_MAX]; /* what JSON has besides: ,"name":value ... */
};

void check_set(struct check_line *l, enum check_state state, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void check_advise(struct check_line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One member of the JSON object. Does nothing where there is no space left. */
void check_add_text(struct check_line *l, const char *name, const char *value);
void check_add_number(struct check_line *l, const char *name, int64_t value);

/* "1.5 GiB" */
void check_print_size(uint64_t bytes, char ret_text[16]);

struct check_report {
    bool json;
    FILE *out;
    FILE *lines; /* of JSON, kept until the end: what is printed is whole or nothing */
    char *kept;
    size_t kept_len;
    unsigned errors, warnings, count;
};

/* -ENOMEM. The stream stays the caller's. */
int check_report_init(struct check_report *r, bool json, FILE *out);

/* A line of text is printed at once. */
void check_report_add(struct check_report *r, const struct check_line *l);

/* Ends it: the sum, or the JSON object with these members. -EIO: it could not be printed. */
int check_report_finish(struct check_report *r, const char *version, const char *host);

#endif
