/*
 * meta.h - the form of a .meta file: what is kept with a log, to bytes and back.
 *
 * Pure: no files, no locks. Little-endian, strings with their length before them:
 *
 *     8  "ghlmeta" and the version, 1
 *     8  job id              8  size            8  mtime, ms UTC
 *     4  flags: 1 final, 2 with checksums       4  number of names
 *     2+n host   2+n etag    2+n each name
 *     8  each page's checksum, with flag 2
 *     8  XXH3 of all of the above
 *
 * Nothing is accepted that is not exactly this: a byte more, a byte less, an unknown flag, another
 * host or job is -ENOENT, as if the file were not there.
 */
#ifndef GHLOGFS_STORE_META_H
#define GHLOGFS_STORE_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_meta;

#define META_BYTES_MAX (64u << 20) /* of a .meta file: a log of half a TiB */

/* The caller frees. -EINVAL: the meta is not one (too many names, a string without its end). */
int meta_encode(const struct store_meta *m, const char *host, uint64_t job, void **ret_data,
                size_t *ret_len);

/* store_meta_finish on the result. -ENOENT: does not hold, -ENOMEM. */
int meta_decode(const void *data, size_t len, const char *host, uint64_t job,
                struct store_meta *ret_meta);

/* Whether it begins like a .meta of another version than ours. */
bool meta_is_foreign(const void *data, size_t len);

#endif
