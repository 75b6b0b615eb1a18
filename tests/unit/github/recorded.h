/*
 * recorded.h - the recorded API answers, unpacked for the time of a test program.
 *
 * They are no part of the repository: they are looked for beside it, in ../shared/real/api.tar.xz.
 */
#ifndef GHLOGFS_TESTS_UNIT_GITHUB_RECORDED_H
#define GHLOGFS_TESTS_UNIT_GITHUB_RECORDED_H

#include <stddef.h>

/* cmocka's group fixtures. The state is the folder that holds api/, or NULL where there are no
 * answers. */
int recorded_setup(void **state);
int recorded_teardown(void **state);

/* A file's bytes with a NUL behind them; the caller frees. Fails the test if it cannot be read. */
char *recorded_read(const char *folder, const char *name, size_t *ret_len);

/* Calls each(who, name) for all files below api/ whose names end in `suffix`, in any order. */
void recorded_each(const char *folder, const char *suffix,
                   void (*each)(void *who, const char *name), void *who);

#endif
