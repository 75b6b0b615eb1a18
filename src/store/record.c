/*
 * record.c - small records of facts.
 *
 * A record's file ends in "~", which no key has, so that "runs" can be a record and a directory.
 */
#include "store/internal.h"
#include "store/store.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "ghlfact\1"
#define KEY_MAX 1000
#define COMPONENT_MAX 250
#define DEPTH_MAX 12

/* -- The form ---------------------------------------------------------------------------------- */

bool record_key_is_valid(const char *key)
{
    if (strlen(key) > KEY_MAX)
        return false;
    for (unsigned depth = 1; depth <= DEPTH_MAX; depth++) {
        size_t len = strcspn(key, "/");
        if (!len || len > COMPONENT_MAX || !strncmp(key, ".", len) || !strncmp(key, "..", len))
            return false;
        for (size_t i = 0; i < len; i++)
            if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f || key[i] == '~')
                return false;
        if (!key[len])
            return true;
        key += len + 1;
    }
    return false;
}

void record_seal(const char *host, const char *key, const void *data, size_t len,
                 unsigned char ret_trailer[RECORD_TRAILER])
{
    uint64_t le_len = htole64(len), le_sum;
    struct store_hasher h;

    store_hasher_init(&h);
    store_hasher_update(&h, host, strlen(host) + 1);
    store_hasher_update(&h, key, strlen(key) + 1);
    store_hasher_update(&h, data, len);
    le_sum = htole64(store_hasher_digest(&h));
    memcpy(ret_trailer, MAGIC, 8);
    memcpy(ret_trailer + 8, &le_len, 8);
    memcpy(ret_trailer + 16, &le_sum, 8);
}

int record_open(const char *host, const char *key, const void *file, size_t file_len,
                size_t *ret_len)
{
    unsigned char trailer[RECORD_TRAILER];
    size_t len;

    if (file_len < RECORD_TRAILER)
        return -ENOENT;
    len = file_len - RECORD_TRAILER;
    record_seal(host, key, file, len, trailer);
    if (memcmp((const char *)file + len, trailer, RECORD_TRAILER))
        return -ENOENT;
    *ret_len = len;
    return 0;
}

bool record_is_foreign(const void *file, size_t file_len)
{
    const char *magic = file_len < RECORD_TRAILER ? MAGIC
                                                  : (const char *)file + file_len - RECORD_TRAILER;

    return !memcmp(magic, MAGIC, 7) && magic[7] != MAGIC[7];
}

/* -- The files --------------------------------------------------------------------------------- */

static void fact_path(struct store *s, const char *key, char path[STORE_PATH_LEN])
{
    snprintf(path, STORE_PATH_LEN, "%s/facts/%s~", s->host, key);
}

int store_put_record(struct store *s, const char *key, const void *data, size_t len)
{
    unsigned char trailer[RECORD_TRAILER];
    struct store_part parts[] = {{data, len}, {trailer, sizeof(trailer)}};
    char path[STORE_PATH_LEN];
    int rc;

    if (!record_key_is_valid(key))
        return -EINVAL;
    if (len > STORE_RECORD_MAX)
        return -EFBIG;
    if (!s->dir)
        return 0;
    record_seal(s->host, key, data, len, trailer);
    fact_path(s, key, path);
    rc = store_file_save(s, path, parts, 2);
    if (!rc)
        store_evict_count(s);
    return rc;
}

int store_get_record(struct store *s, const char *key, void **ret_data, size_t *ret_len)
{
    char path[STORE_PATH_LEN];
    size_t file_len, len;
    void *file;
    int rc;

    if (!record_key_is_valid(key))
        return -EINVAL;
    fact_path(s, key, path);
    rc = store_file_load(s, path, (size_t)STORE_RECORD_MAX + RECORD_TRAILER, &file, &file_len);
    if (rc)
        return rc == -ENOMEM ? rc : -ENOENT;
    rc = record_open(s->host, key, file, file_len, &len);
    if (rc) {
        free(file);
        return rc;
    }
    ((char *)file)[len] = '\0';
    *ret_data = file;
    *ret_len = len;
    return 0;
}

int store_drop_record(struct store *s, const char *key)
{
    char path[STORE_PATH_LEN];
    struct store_dir *root;
    int rc;

    if (!record_key_is_valid(key))
        return -EINVAL;
    root = store_dir_get(s);
    if (!root)
        return -ENOENT;
    fact_path(s, key, path);
    rc = unlinkat(root->fd, path, 0) ? -errno : 0;
    store_dir_put(root);
    return rc;
}
