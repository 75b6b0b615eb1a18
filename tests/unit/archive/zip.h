/*
 * zip.h - archives as the tests make them: entries that are stored, and logs of jobs for them.
 */
#ifndef GHLOGFS_TESTS_UNIT_ARCHIVE_ZIP_H
#define GHLOGFS_TESTS_UNIT_ARCHIVE_ZIP_H

#include "archive/match.h"

#include <stddef.h>
#include <stdint.h>

struct zip {
    unsigned char *bytes;
    size_t len, cap;
};

void zip_put(struct zip *z, const void *data, size_t len);
/* An entry; `crc_error` is added to its CRC. */
void zip_put_entry(struct zip *z, const char *name, const void *data, size_t len,
                   uint32_t crc_error);
/* The directory: its signature is where the entries end. */
void zip_put_end(struct zip *z);
void zip_free(struct zip *z);

/* A log of `size` bytes that says it is this job's: stamped lines within the job's time, the first
 * with the job's name, as far as they find space. malloc'd, with a NUL behind it. */
char *zip_make_log(const struct match_job *job, size_t size);

#endif
