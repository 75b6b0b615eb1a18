/*
 * page.h - inside the catalog: parsed result pages, the snapshots made of them, and their records.
 *
 * Pages and answers never change once they are shared, and are counted: snapshots share the pages
 * that a 304 has confirmed. Nothing here takes a lock; what touches the store waits for the disk.
 */
#ifndef GHLOGFS_CATALOG_PAGE_H
#define GHLOGFS_CATALOG_PAGE_H

#include "catalog/catalog.h"
#include "facts.h"

#include <stdatomic.h>

#define PAGES_MAX 1000 /* result pages of one answer */

/* One result page; a single job or run is a page of one. One of the lists is filled, or `pull`. */
struct page {
    atomic_uint refs;
    struct facts_job_list jobs;
    struct facts_run_list runs;
    struct facts_repo_list repos;
    struct facts_pull pull;
    int64_t total;      /* entries of the whole listing, -1: not known */
    size_t sent;        /* entries of this page, also those that could not be read */
    size_t unread;      /* those that could not be read */
    unsigned next_page; /* 0: the last */
    char etag[SOURCE_ETAG_LEN];
    uint64_t sum; /* checksum of body, ETag and next_page: the name of its record */
    char *body;   /* of a single job or run, as it came, with a NUL; else NULL */
    size_t len;
    size_t bytes;          /* estimated memory: not less than the body it was parsed from */
    atomic_size_t *charge; /* the sum that they count in; NULL: none */
};

/* Parses a body. -EPROTO, -ENOMEM. */
int page_parse(enum source_question what, const char *body, size_t len, const char *etag,
               unsigned next_page, struct page **ret_page);
struct page *page_ref(struct page *p);
void page_unref(struct page *p); /* NULL: nothing */
/* Counts its bytes in *sum, which outlives it, until it is gone; the same sum each time. */
void page_charge(struct page *p, atomic_size_t *sum);

/* An answer as the entry keeps it; `view` is what others see. */
struct answer {
    struct catalog_answer view;
    atomic_uint refs;
    unsigned page_size; /* entries requested of each page: its ETags are of that request */
    bool adds_up;       /* the pages are all there is, by the server's own count */
    unsigned page_count;
    struct page **pages; /* the answer's references */
};

/*
 * How an answer is made: created with space for so many pages, which are then appended with
 * pages[page_count++] (their references become the answer's), then indexed: the view lists each
 * entry once, `limit` of them at most (0: CATALOG_ENTRIES_MAX). NULL, -ENOMEM: no memory.
 */
struct answer *answer_create(unsigned page_capacity, unsigned page_size);
int answer_index(struct answer *a, unsigned limit);
void answer_unref(struct answer *a); /* NULL: nothing */

/* Whether all that is in it has ended and is settled at this time (UTC). */
bool answer_has_ended(enum source_question what, const struct answer *a, int64_t now_ms);
/* Whether its pages are all that was wanted of the listing, by the server's own count of it. */
bool answer_adds_up(const struct answer *a, const struct catalog_question *q);

/*
 * Records. Each page is a record named by the checksum of its content, so it never changes. The
 * list, one more record, names the pages of one round and is replaced at once. So whatever several
 * mounts write for one question, and in whatever order, what is loaded is the result of one round,
 * or nothing. What a failed round has left is evicted like every old record.
 *
 * `key` is the question's. Pages are saved first, the list last; errors are for information.
 */
int page_save(const struct page *p, struct store *s, const char *key, const char *body, size_t len);
/* Saves the list; drops the pages that only the list before it named. */
int answer_save(const struct answer *a, struct store *s, const char *key);
/* Not indexed yet. All pages, or an error. */
int answer_load(struct store *s, const char *key, enum source_question what,
                struct answer **ret_answer);
/* The body of the n-th page, from 0; malloc'd, with a NUL. -ENOENT: there are fewer. */
int page_load_body(struct store *s, const char *key, unsigned n, char **ret_body, size_t *ret_len);

#endif
