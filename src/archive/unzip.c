#include "archive/unzip.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

struct unzip {
    const struct unzip_ops *ops;
    void *who;
    int read_err; /* of the callback, else 0 */
    uint64_t bytes_in, bytes_out;
};

static la_ssize_t read_more(struct archive *a, void *client, const void **ret_data)
{
    struct unzip *u = client;
    ssize_t n = u->ops->read(u->who, ret_data);

    if (n < 0) {
        u->read_err = (int)n;
        archive_set_error(a, (int)-n, "reading the archive failed");
        return -1;
    }
    u->bytes_in += (uint64_t)n;
    return n;
}

/* A small archive of a long text may expand a thousandfold, so that is refused only where it hurts.
 * */
static bool is_bomb(const struct unzip *u)
{
    return u->bytes_out > UNZIP_TOTAL_MAX ||
           (u->bytes_out > UNZIP_RATIO_FREE && u->bytes_out / UNZIP_RATIO_MAX > u->bytes_in);
}

/*
 * Reads the entry's content, also where it is not wanted: a skip inside libarchive would be
 * unbounded. Sets `ret_good`. Returns 0 to go on with the next entry, or negative errno.
 */
static int read_content(struct unzip *u, struct archive *a, bool wanted, bool *ret_good)
{
    for (;;) {
        const void *data = NULL;
        size_t len = 0;
        la_int64_t offset;
        int rc = archive_read_data_block(a, &data, &len, &offset);

        if (rc == ARCHIVE_EOF) {
            *ret_good = wanted;
            return 0;
        }
        if (rc == ARCHIVE_RETRY)
            continue;
        if (rc < ARCHIVE_FAILED)
            return u->read_err ? u->read_err : -EPROTO;
        u->bytes_out += len;
        if (is_bomb(u))
            return -EFBIG;
        /* The CRC or the length is wrong (a failure from libarchive 3.7 on): the next entry may be
         * right. */
        if (rc == ARCHIVE_WARN || rc == ARCHIVE_FAILED)
            return 0;
        if (len) /* of an empty entry `data` is NULL */
            wanted = wanted && u->ops->data(u->who, data, len);
    }
}

static int read_entries(struct unzip *u, struct archive *a)
{
    struct archive_entry *entry;

    for (unsigned count = 0;; count++) {
        int rc = archive_read_next_header(a, &entry);
        const char *name;
        bool wanted, good = false;

        if (rc == ARCHIVE_EOF)
            return 0;
        if (rc < ARCHIVE_WARN)
            return u->read_err ? u->read_err : -EPROTO;
        if (count >= UNZIP_ENTRIES_MAX)
            return -EFBIG;
        name = archive_entry_pathname_utf8(entry);
        wanted = name && strlen(name) <= UNZIP_NAME_MAX && !archive_entry_is_encrypted(entry) &&
                 archive_entry_filetype(entry) == AE_IFREG && u->ops->begin(u->who, name);
        rc = read_content(u, a, wanted, &good);
        if (wanted)
            u->ops->end(u->who, good);
        if (rc)
            return rc;
    }
}

static int read_archive(struct unzip *u, char *ret_why, size_t why_size)
{
    struct archive *a = archive_read_new();
    int rc;

    snprintf(ret_why, why_size, "out of memory");
    if (!a)
        return -ENOMEM;
    archive_read_support_format_zip_streamable(a);
    if (archive_read_open(a, u, NULL, read_more, NULL) == ARCHIVE_OK)
        rc = read_entries(u, a);
    else
        rc = u->read_err ? u->read_err : -EPROTO;
    snprintf(ret_why, why_size, "%s",
             rc == -EFBIG              ? "it exceeds the size limit"
             : archive_error_string(a) ? archive_error_string(a)
                                       : "malformed");
    archive_read_free(a);
    return rc;
}

int unzip(const struct unzip_ops *ops, void *who, char *ret_why, size_t why_size)
{
    struct unzip u = {.ops = ops, .who = who};
    /* libarchive converts names by the thread's locale; that of the process may be C. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    locale_t before = utf8 ? uselocale(utf8) : NULL;
    int rc = read_archive(&u, ret_why, why_size);

    if (utf8) {
        uselocale(before);
        freelocale(utf8);
    }
    return rc;
}

bool unzip_describe_library(char *text, size_t size)
{
    const char *zlib = archive_zlib_version();

    snprintf(text, size, "%s%s%s", archive_version_string(), zlib ? " zlib/" : "",
             zlib ? zlib : "");
    return zlib != NULL;
}
