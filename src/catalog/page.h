/*
 * page.h - inside the catalog: one page of an answer, parsed.
 *
 * Pages never change once made and are counted, so that snapshots can share those that a 304 has
 * confirmed.
 */
#ifndef GHLOGFS_CATALOG_PAGE_H
#define GHLOGFS_CATALOG_PAGE_H

#include "catalog/catalog.h"
#include "facts.h"
#include "source.h"

#include <stdatomic.h>

struct page {
    atomic_uint refs;
    struct facts_job_list jobs;
    struct facts_run_list runs;
    struct facts_repo_list repos;
    struct facts_workflow_list workflows;
    int64_t total;      /* entries of the whole listing, -1: not said */
    size_t unread;      /* entries that were there and could not be read */
    unsigned next_page; /* 0: the last */
    char etag[SOURCE_ETAG_LEN];
    uint64_t sum; /* checksum of body, ETag and next_page: what names its record */
    char *body;   /* of a single job or run, as it came, with a NUL; else NULL */
    size_t len;
    size_t bytes;          /* that it takes, about: not less than the answer it was parsed from */
    atomic_size_t *charge; /* the sum that they count in; NULL: none */
};

/* Parses a body. -EPROTO, -ENOMEM. */
int page_parse(enum source_question what, const char *body, size_t len, const char *etag,
               unsigned next_page, struct page **ret_page);

/* Entries that the server sent, also those that could not be read. */
size_t page_count_sent(const struct page *p);

struct page *page_ref(struct page *p);
void page_unref(struct page *p);

/* Counts its bytes in *sum, which outlives it, until it is gone; the same sum each time. */
void page_charge(struct page *p, atomic_size_t *sum);

/* An answer as the entry keeps it; `view` is what others see. */
struct answer {
    struct catalog_answer view;
    atomic_uint refs;
    unsigned page_size; /* entries that each page was asked for: its ETags are of that question */
    bool adds_up;       /* the pages are all there is, by the server's own count */
    unsigned page_count;
    struct page **pages;
};

/* --- answer.c --- */

/* Takes the pages over. NULL: no memory (the pages are released). */
struct answer *answer_create(struct page *const *pages, unsigned page_count, unsigned limit);
void answer_unref(struct answer *a);
/* Whether all that is in it has ended and is settled at this time (UTC). */
bool answer_has_ended(enum source_question what, const struct catalog_answer *view, int64_t now_ms);
/* Whether its pages are all that was wanted of the listing, by the server's own count of it. */
bool answer_adds_up(const struct answer *a, const struct catalog_question *q);

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
