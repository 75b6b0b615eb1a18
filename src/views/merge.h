/*
 * merge.h - inside the views: the jobs of several attempts of a run, put together. Pure.
 *
 * Two jobs of different lists are one if they have one id, or if they have one name and began and
 * ended at one time: the list of a later attempt may carry a job that did not run again, under its
 * old id or a new one, and without its steps.
 */
#ifndef GHLOGFS_VIEWS_MERGE_H
#define GHLOGFS_VIEWS_MERGE_H

#include "catalog/catalog.h"

struct merge {
    const struct facts_job **jobs; /* malloc'd; they are the lists' */
    size_t count;
    bool is_whole; /* a list carries jobs of an earlier attempt: it has all jobs there were then */
    bool has_open; /* the steps of a job that ran are in none of the lists */
};

/* Each job of the lists once, in their order, from the list that tells its steps. The lists are those
 * of one attempt or more, the latest first. -ENOMEM. */
int merge_make(const struct catalog_answer *const *lists, size_t list_count,
               struct merge *ret_merge);

/* The jobs of the list that are not in that of the attempt before it. -ENOMEM. */
int merge_subtract(const struct catalog_answer *list, const struct catalog_answer *before,
                   struct merge *ret_merge);

#endif
