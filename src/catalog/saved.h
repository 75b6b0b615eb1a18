/*
 * saved.h - inside the catalog: the records of an answer on disk.
 *
 * Each page is a record named by the checksum of what is in it, so it never changes. The list, one
 * more record, names the pages of one round, and is replaced at once. So whatever several mounts do to
 * the records of one answer, and in whatever order: what is loaded is what one of them got in one
 * round, or nothing. What a round that failed has left is evicted like every old record.
 */
#ifndef GHLOGFS_CATALOG_SAVED_H
#define GHLOGFS_CATALOG_SAVED_H

#include "catalog/page.h"

struct store;

#define SAVED_PAGES_MAX 1000

/* An answer as the list tells it. */
struct saved_list {
    struct page *const *pages;
    unsigned page_count;
    unsigned page_size; /* entries that each page was asked for */
    bool settled;       /* will never change */
    bool adds_up;       /* the pages are all there is, by the server's own count */
};

/* `key`, of the answer, is the store's. Page first, list last; errors are for information. */
int saved_put_page(struct store *s, const char *key, const struct page *p, const char *body,
                   size_t len);
/* Drops the pages that the list before it named and this one does not. */
int saved_put_list(struct store *s, const char *key, const struct saved_list *list);

/* All pages, or an error. ret_list->pages becomes `pages`, whose references are the caller's. */
int saved_load(struct store *s, const char *key, enum source_question what,
               struct page *pages[SAVED_PAGES_MAX], struct saved_list *ret_list);

/* The body of the n-th page, from 0; malloc'd, with a NUL. -ENOENT: there are fewer. */
int saved_load_body(struct store *s, const char *key, unsigned n, char **ret_body, size_t *ret_len);

#endif
