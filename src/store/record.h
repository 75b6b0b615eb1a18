/*
 * record.h - the form of a record's file: the data, and behind it 24 bytes that prove it.
 *
 *     n  data     8  "ghlfact" and the version, 1     8  n     8  XXH3 of host, key and data
 *
 * Pure. The trailer is last so that the data is where it was read to.
 */
#ifndef GHLOGFS_STORE_RECORD_H
#define GHLOGFS_STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#define RECORD_TRAILER 24

/* Whether a key is made of components that are safe as names of files (see store.h). */
bool record_key_is_valid(const char *key);

void record_seal(const char *host, const char *key, const void *data, size_t len,
                 unsigned char ret_trailer[RECORD_TRAILER]);

/* The length of the data in a file of this content. -ENOENT: it does not hold. */
int record_open(const char *host, const char *key, const void *file, size_t file_len,
                size_t *ret_len);

#endif
