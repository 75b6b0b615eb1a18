#include "store/meta.h"

#include "store/store.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAGIC "ghlmeta\1"
#define MAGIC_LEN 8
#define FIXED_LEN (MAGIC_LEN + 3 * 8 + 2 * 4)
#define SUM_LEN 8
#define FLAG_FINAL 1u
#define FLAG_CHECKSUMS 2u
#define HOST_LEN 256

/* -- Writing ----------------------------------------------------------------------------------- */

static unsigned char *put_bytes(unsigned char *at, const void *data, size_t len)
{
    memcpy(at, data, len);
    return at + len;
}

static unsigned char *put_u64(unsigned char *at, uint64_t value)
{
    value = htole64(value);
    return put_bytes(at, &value, sizeof(value));
}

static unsigned char *put_u32(unsigned char *at, uint32_t value)
{
    value = htole32(value);
    return put_bytes(at, &value, sizeof(value));
}

static unsigned char *put_string(unsigned char *at, const char *s)
{
    size_t len = strlen(s);
    uint16_t le = htole16((uint16_t)len);

    at = put_bytes(at, &le, sizeof(le));
    return put_bytes(at, s, len);
}

/* Bytes of the first `count` names, with their NULs; more than there is room for: they do not
 * end. */
static size_t names_len(const struct store_meta *m, unsigned count)
{
    size_t len = 0;

    for (; count > 0 && len < sizeof(m->names); count--)
        len += strnlen(m->names + len, sizeof(m->names) - len) + 1;
    return count ? SIZE_MAX : len;
}

/* Whether every string ends within its array, and the log is not too large to be described. */
static bool is_encodable(const struct store_meta *m, const char *host)
{
    if (m->name_count > STORE_NAMES_MAX || strlen(host) >= HOST_LEN ||
        !memchr(m->etag, '\0', sizeof(m->etag)))
        return false;
    return names_len(m, m->name_count) <= sizeof(m->names) &&
           (!m->checksums || store_page_count(m->size) <= (META_BYTES_MAX - 4096) / 8);
}

static size_t encoded_len(const struct store_meta *m, const char *host)
{
    size_t len = FIXED_LEN + 2 + strlen(host) + 2 + strlen(m->etag) + SUM_LEN;

    len += names_len(m, m->name_count) + m->name_count; /* a length of two bytes for the NUL */
    if (m->checksums)
        len += 8 * (size_t)store_page_count(m->size);
    return len;
}

int meta_encode(const struct store_meta *m, const char *host, uint64_t job, void **ret_data,
                size_t *ret_len)
{
    uint32_t flags = (m->final ? FLAG_FINAL : 0) | (m->checksums ? FLAG_CHECKSUMS : 0);
    unsigned char *data, *at;
    size_t len;

    if (!is_encodable(m, host))
        return -EINVAL;
    len = encoded_len(m, host);
    data = malloc(len);
    if (!data)
        return -ENOMEM;
    at = put_bytes(data, MAGIC, MAGIC_LEN);
    at = put_u64(at, job);
    at = put_u64(at, m->size);
    at = put_u64(at, (uint64_t)m->mtime_ms);
    at = put_u32(at, flags);
    at = put_u32(at, m->name_count);
    at = put_string(at, host);
    at = put_string(at, m->etag);
    for (const char *name = NULL; (name = store_meta_next_name(m, name));)
        at = put_string(at, name);
    for (uint64_t i = 0; m->checksums && i < store_page_count(m->size); i++)
        at = put_u64(at, m->checksums[i]);
    put_u64(at, store_page_checksum(data, len - SUM_LEN));
    *ret_data = data;
    *ret_len = len;
    return 0;
}

/* -- Reading ----------------------------------------------------------------------------------- */

/* What is left to read. Once `bad`, it stays so, and all that is read is zero. */
struct reader {
    const unsigned char *at;
    size_t left;
    bool bad;
};

static void get_bytes(struct reader *r, void *to, size_t len)
{
    if (r->bad || len > r->left) {
        r->bad = true;
        memset(to, 0, len);
        return;
    }
    memcpy(to, r->at, len);
    r->at += len;
    r->left -= len;
}

static uint64_t get_u64(struct reader *r)
{
    uint64_t value;

    get_bytes(r, &value, sizeof(value));
    return le64toh(value);
}

static uint32_t get_u32(struct reader *r)
{
    uint32_t value;

    get_bytes(r, &value, sizeof(value));
    return le32toh(value);
}

static void get_string(struct reader *r, char *to, size_t cap)
{
    uint16_t le;
    size_t len;

    get_bytes(r, &le, sizeof(le));
    len = le16toh(le);
    if (len >= cap)
        r->bad = true;
    get_bytes(r, to, len < cap ? len : 0);
    to[len < cap ? len : 0] = '\0';
    if (strlen(to) != len)
        r->bad = true;
}

/* The rest of the file must be the checksums and nothing else, so it bounds what is allocated. */
static int get_checksums(struct reader *r, struct store_meta *m)
{
    uint64_t count = store_page_count(m->size);

    if (r->left % 8 || r->left / 8 != count)
        return -ENOENT;
    m->checksums = malloc(r->left ? r->left : 8);
    if (!m->checksums)
        return -ENOMEM;
    for (uint64_t i = 0; i < count; i++)
        m->checksums[i] = get_u64(r);
    return 0;
}

/* Magic and own checksum: whether these bytes were written by us and are whole. */
static bool is_whole(const unsigned char *data, size_t len)
{
    struct reader sum = {.at = data + len - SUM_LEN, .left = SUM_LEN};

    return !memcmp(data, MAGIC, MAGIC_LEN) &&
           get_u64(&sum) == store_page_checksum(data, len - SUM_LEN);
}

static int decode_fields(struct reader *r, const char *host, uint64_t job, struct store_meta *m)
{
    char its_host[HOST_LEN];
    uint64_t its_job = get_u64(r);
    uint32_t flags;

    m->size = get_u64(r);
    m->mtime_ms = (int64_t)get_u64(r);
    flags = get_u32(r);
    m->name_count = get_u32(r);
    m->final = flags & FLAG_FINAL;
    get_string(r, its_host, sizeof(its_host));
    if (r->bad || its_job != job || strcmp(its_host, host) ||
        (flags & ~(FLAG_FINAL | FLAG_CHECKSUMS)) || m->name_count > STORE_NAMES_MAX)
        return -ENOENT;
    get_string(r, m->etag, sizeof(m->etag));
    for (unsigned i = 0; i < m->name_count && !r->bad; i++) {
        size_t at = names_len(m, i), left = sizeof(m->names) - at;
        get_string(r, m->names + at, left < STORE_NAME_LEN ? left : STORE_NAME_LEN);
    }
    if (r->bad)
        return -ENOENT;
    if (flags & FLAG_CHECKSUMS)
        return get_checksums(r, m);
    return r->left ? -ENOENT : 0;
}

int meta_decode(const void *data, size_t len, const char *host, uint64_t job,
                struct store_meta *ret_meta)
{
    struct store_meta m = {0};
    struct reader r;
    int rc;

    if (len < FIXED_LEN + SUM_LEN || len > META_BYTES_MAX || !is_whole(data, len))
        return -ENOENT;
    r = (struct reader){.at = (const unsigned char *)data + MAGIC_LEN,
                        .left = len - MAGIC_LEN - SUM_LEN};
    rc = decode_fields(&r, host, job, &m);
    if (rc)
        return rc;
    *ret_meta = m;
    return 0;
}

bool meta_is_foreign(const void *data, size_t len)
{
    return len >= MAGIC_LEN && !memcmp(data, MAGIC, MAGIC_LEN - 1) &&
           ((const char *)data)[MAGIC_LEN - 1] != MAGIC[MAGIC_LEN - 1];
}

/* -- The struct -------------------------------------------------------------------------------- */

void store_meta_finish(struct store_meta *m)
{
    free(m->checksums);
    m->checksums = NULL;
}

const char *store_meta_next_name(const struct store_meta *m, const char *name)
{
    const char *next = name ? name + strlen(name) + 1 : m->names;

    return next < m->names + names_len(m, m->name_count) ? next : NULL;
}

bool store_meta_has_name(const struct store_meta *m, const char *name)
{
    for (const char *its = NULL; (its = store_meta_next_name(m, its));)
        if (!strcasecmp(its, name))
            return true;
    return false;
}

static void drop_first_name(struct store_meta *m)
{
    size_t first = names_len(m, 1);

    memmove(m->names, m->names + first, sizeof(m->names) - first);
    m->name_count--;
}

bool store_meta_add_name(struct store_meta *m, const char *name)
{
    size_t len = strlen(name);

    if (!len || len >= STORE_NAME_LEN || store_meta_has_name(m, name))
        return false;
    while (m->name_count == STORE_NAMES_MAX ||
           names_len(m, m->name_count) + len + 1 > sizeof(m->names))
        drop_first_name(m);
    memcpy(m->names + names_len(m, m->name_count), name, len + 1);
    m->name_count++;
    return true;
}
