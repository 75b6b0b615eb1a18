#include "catalog/saved.h"

#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAGIC "ghlist1"
#define PAGE_MAGIC "ghpage2"
#define KEY_LEN 1024

struct list_record {
    char magic[8];
    uint32_t page_count, page_size, settled, adds_up;
    uint64_t sums[];
};

struct page_record {
    char magic[8];
    uint32_t next_page;
    uint32_t reserved;
    char etag[SOURCE_ETAG_LEN];
};

static void page_key(const char *key, uint64_t sum, char ret_key[KEY_LEN])
{
    snprintf(ret_key, KEY_LEN, "%s/%016" PRIx64, key, sum);
}

/* --- saving --- */

int saved_put_page(struct store *s, const char *key, const struct page *p, const char *body,
                   size_t len)
{
    struct page_record head = {.magic = PAGE_MAGIC, .next_page = p->next_page};
    char *data = malloc(sizeof(head) + len), name[KEY_LEN];
    int rc;

    if (!data)
        return -ENOMEM;
    memcpy(head.etag, p->etag, sizeof(head.etag));
    memcpy(data, &head, sizeof(head));
    memcpy(data + sizeof(head), body, len);
    page_key(key, p->sum, name);
    rc = store_put_record(s, name, data, sizeof(head) + len);
    free(data);
    return rc;
}

/* The list that is there, malloc'd; NULL: none that holds. */
static struct list_record *load_list(struct store *s, const char *key)
{
    struct list_record *r;
    void *data;
    size_t len;

    if (store_get_record(s, key, &data, &len))
        return NULL;
    r = data;
    if (len >= sizeof(*r) && !memcmp(r->magic, LIST_MAGIC, sizeof(r->magic)) && r->page_count > 0 &&
        r->page_count <= SAVED_PAGES_MAX && len == sizeof(*r) + r->page_count * sizeof(r->sums[0]))
        return r;
    free(data);
    return NULL;
}

static bool has_sum(const struct list_record *r, uint64_t sum)
{
    for (uint32_t i = 0; i < r->page_count; i++)
        if (r->sums[i] == sum)
            return true;
    return false;
}

int saved_put_list(struct store *s, const char *key, const struct saved_list *list)
{
    size_t len = sizeof(struct list_record) + list->page_count * sizeof(uint64_t);
    struct list_record *r = calloc(1, len), *before;
    char name[KEY_LEN];
    int rc;

    if (!r)
        return -ENOMEM;
    memcpy(r->magic, LIST_MAGIC, sizeof(r->magic));
    r->page_count = list->page_count;
    r->page_size = list->page_size;
    r->settled = list->settled;
    r->adds_up = list->adds_up;
    for (unsigned i = 0; i < list->page_count; i++)
        r->sums[i] = list->pages[i]->sum;
    before = load_list(s, key);
    rc = store_put_record(s, key, r, len);
    for (uint32_t i = 0; before && !rc && i < before->page_count; i++) {
        if (has_sum(r, before->sums[i]))
            continue;
        page_key(key, before->sums[i], name);
        store_drop_record(s, name);
    }
    free(before);
    free(r);
    return rc;
}

/* --- loading --- */

/* The record with its head checked; *ret_data is malloc'd, the body begins behind the head. */
static int load_page_record(struct store *s, const char *key, uint64_t sum,
                            struct page_record *ret_head, char **ret_data, size_t *ret_body_len)
{
    char name[KEY_LEN];
    void *data;
    size_t len;
    int rc;

    page_key(key, sum, name);
    rc = store_get_record(s, name, &data, &len);
    if (rc)
        return rc;
    if (len < sizeof(*ret_head) || memcmp(data, PAGE_MAGIC, sizeof(ret_head->magic))) {
        free(data);
        return -ENOENT;
    }
    memcpy(ret_head, data, sizeof(*ret_head));
    ret_head->etag[sizeof(ret_head->etag) - 1] = '\0';
    *ret_data = data;
    *ret_body_len = len - sizeof(*ret_head);
    return 0;
}

static int load_page(struct store *s, const char *key, uint64_t sum, enum source_question what,
                     struct page **ret_page)
{
    struct page_record head;
    struct page *p;
    char *data;
    size_t len;
    int rc = load_page_record(s, key, sum, &head, &data, &len);

    if (rc)
        return rc;
    rc = page_parse(what, data + sizeof(head), len, head.etag, head.next_page, &p);
    free(data);
    if (rc)
        return rc;
    if (p->sum != sum) {
        page_unref(p);
        return -ENOENT;
    }
    *ret_page = p;
    return 0;
}

int saved_load(struct store *s, const char *key, enum source_question what,
               struct page *pages[SAVED_PAGES_MAX], struct saved_list *ret_list)
{
    struct list_record *r = load_list(s, key);
    unsigned count = 0;
    int rc = 0;

    if (!r)
        return -ENOENT;
    while (count < r->page_count && !rc) {
        rc = load_page(s, key, r->sums[count], what, &pages[count]);
        if (!rc)
            count++;
    }
    if (rc) {
        while (count > 0)
            page_unref(pages[--count]);
    } else {
        *ret_list = (struct saved_list){.pages = pages,
                                        .page_count = count,
                                        .page_size = r->page_size,
                                        .settled = r->settled && r->adds_up,
                                        .adds_up = r->adds_up};
    }
    free(r);
    return rc;
}

int saved_load_body(struct store *s, const char *key, unsigned n, char **ret_body, size_t *ret_len)
{
    struct list_record *r = load_list(s, key);
    struct page_record head;
    char *data;
    size_t len;
    int rc = -ENOENT;

    if (r && n < r->page_count)
        rc = load_page_record(s, key, r->sums[n], &head, &data, &len);
    free(r);
    if (rc)
        return rc;
    memmove(data, data + sizeof(head), len);
    data[len] = '\0';
    *ret_body = data;
    *ret_len = len;
    return 0;
}
