/*
 * From the text of a command line, an fstab or an environment to values.
 *
 * Knows no option by name; the words that fstab and mount(8) use for themselves are known here.
 * Pure but for options_text_absolute, which asks for the current directory. What is returned as
 * char * belongs to the caller.
 */
#ifndef GHLOGFS_OPTIONS_TEXT_H
#define GHLOGFS_OPTIONS_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/* The value of a variable in `env` (NULL at the end), NULL where it is absent or empty. */
const char *options_text_environment(char *const *env, const char *name);

/* Digits only. False: anything else, or more than 64 bits hold. */
bool options_text_number(const char *text, uint64_t *number);

/* Digits and at most one of K, M, G in either case (powers of 1024); at most INT64_MAX, so that a
 * size is an off_t too. */
bool options_text_size(const char *text, uint64_t *size);

/* No control characters: the text can be shown in one line. */
bool options_text_is_plain(const char *text);

/* The next word of a comma list, and *list moves behind it. A backslash makes the character after
 * it ordinary, as in libfuse. 1, 0 at the end, -ENOMEM. */
int options_text_next_word(const char **list, char **word);

/* Appends `name`, or name=value, to a comma list as options_text_next_word reads it. *list may be
 * NULL at first. -ENOMEM leaves it as it was. */
int options_text_add_word(char **list, const char *name, const char *value);

/* What mount(8) and fstab say to each other or to any file system, and what means nothing on one
 * that is read-only and holds files and links only: passed over in silence. `rw` is among them
 * since mount(8) says it whenever nobody said `ro`. */
bool options_text_is_fstab_word(const char *word);

/* `path` made absolute; 0 or negative errno. */
int options_text_absolute(const char *path, char **absolute);

#endif
