/*
 * page.h - inside the catalog: one page of an answer, parsed.
 *
 * Pages never change once made and are counted, so that snapshots can share those that a 304 has
 * confirmed.
 */
#ifndef GHLOGFS_CATALOG_PAGE_H
#define GHLOGFS_CATALOG_PAGE_H

#include "facts.h"
#include "source.h"

#include <stdatomic.h>

struct page {
    atomic_uint refs;
    struct facts_job_list jobs;
    struct facts_run_list runs;
    struct facts_repo_list repos;
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

#endif
