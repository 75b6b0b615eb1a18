/*
 * name.h - names of repositories, ids, decimal numbers and characters, checked by their grammar
 * before anything else (S13). Pure; any thread.
 */
#ifndef GHLOGFS_NAME_H
#define GHLOGFS_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_PART_MAX 100                     /* bytes of an owner's or a repository's name */
#define NAME_FULL_LEN (2 * NAME_PART_MAX + 2) /* "owner/repo" with its NUL */
#define NAME_ID_MAX ((UINT64_C(1) << 53) - 1) /* what JSON carries exactly */

struct repo_name {
    char owner[NAME_PART_MAX + 1]; /* spelled as in the path */
    char repo[NAME_PART_MAX + 1];
};

/* Whether GitHub could have an owner of this name: letters, digits, - and _, the first a letter or
 * a digit. */
bool name_is_owner(const char *s);

/* Whether GitHub could have a repository of this name: letters, digits, -, _, . but neither "." nor
 * ".." nor a name that ends in ".git". */
bool name_is_repo(const char *s);

/* Whether s[0..len-1] is a decimal number 0..max: digits only, at least one. False: ret_value
 * untouched. */
bool name_parse_number(const char *s, size_t len, uint64_t max, uint64_t *ret_value);

/* A decimal id without sign or leading zeros, 1..2^53-1. False: ret_id untouched. */
bool name_parse_id(const char *s, uint64_t *ret_id);

/*
 * s[0..len-1] percent-encoded for a URL, as a string: letters, digits and the bytes in `plain`
 * stay. False: no space for all of it, then it is cut before a byte.
 */
bool name_escape(const char *s, size_t len, const char *plain, char *ret_escaped, size_t size);

/* Bytes of the UTF-8 character that the string begins with, and its code point. 0: what is there is
 * none; ret_code untouched. */
size_t name_read_character(const char *s, uint32_t *ret_code);

/* "owner/repo" in lower case: equal if and only if the names mean the same repository. */
void name_fold(const struct repo_name *name, char ret_folded[NAME_FULL_LEN]);

bool name_is_same(const struct repo_name *a, const struct repo_name *b);

#endif
