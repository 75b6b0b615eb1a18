/*
 * unzip.h - reads the zip of a run's logs from a stream; the only module that uses libarchive.
 *
 * GitHub makes the zip while it sends it (facts: flag 8, sizes and CRC behind the data), so it is
 * read from its local headers, front to back, and the directory at its end is not needed. Only zip
 * is enabled. Nothing is written to disk here, and an entry's name is data: it is handed over as
 * text.
 *
 * unzip() runs on the caller's thread and returns when the archive ends; the callbacks are called
 * on that thread and may block. It holds no more than libarchive's own buffers (about 256 KiB).
 */
#ifndef GHLOGFS_ARCHIVE_UNZIP_H
#define GHLOGFS_ARCHIVE_UNZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define UNZIP_NAME_MAX 1024                  /* bytes of an entry's name; a longer one is skipped */
#define UNZIP_ENTRIES_MAX 65536              /* a run has at most 256 jobs of 1,000 steps; files */
#define UNZIP_TOTAL_MAX (UINT64_C(16) << 30) /* bytes out of one archive */
#define UNZIP_RATIO_MAX 500                  /* out for each byte in; logs reach about 30 */
#define UNZIP_RATIO_FREE (UINT64_C(256) << 20) /* bytes out before the ratio counts */

struct unzip_ops {
    /* The next bytes of the archive, valid until the next call. Returns their number, 0 at the end,
     * or negative errno to give up. */
    ssize_t (*read)(void *who, const void **ret_data);
    /* An entry begins. `name` is UTF-8 with `/` between folders. False: skip its content. */
    bool (*begin)(void *who, const char *name);
    /* Content of the entry, in order. False: skip the rest of it. */
    bool (*data)(void *who, const void *data, size_t len);
    /* The entry has ended; after each begin() that returned true, exactly once. `good`: all of it
     * was delivered, and its length and CRC are right. */
    void (*end)(void *who, bool good);
};

/*
 * Returns 0 when the archive was read to its directory, else a negative errno: -EPROTO for an
 * archive that is cut or malformed, or is no zip; -EFBIG for one that exceeds a bound; what read()
 * returned; -ENOMEM. Entries that ended before stand. `ret_why`, of `why_size` bytes, gets the
 * reason as text.
 */
int unzip(const struct unzip_ops *ops, void *who, char *ret_why, size_t why_size);

/* "libarchive 3.6.2 zlib/1.2.13 ...", of the library in use. False: it cannot inflate, so that no
 * archive of GitHub's can be read. */
bool unzip_describe_library(char *text, size_t size);

#endif
