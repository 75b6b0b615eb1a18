/*
 * cuts.h - inside the views: tables of where steps begin, and their records in the store. Keeps
 * nothing itself and has no lock: generated.c holds the tables in memory, and bounds them.
 */
#ifndef GHLOGFS_VIEWS_CUTS_H
#define GHLOGFS_VIEWS_CUTS_H

#include "facts.h"
#include "list.h"
#include "text/cut.h"

#include <stdint.h>

#define CUTS_MAX 256 /* tables in memory; those kept first go */

struct store;

struct cuts_table {
    struct list link;
    uint64_t text;   /* the generated log's id */
    uint64_t digest; /* of the steps */
    size_t count;    /* as many as the job has steps */
    struct text_range ranges[];
};

/* What decides about the cut: numbers, names, times, states. */
uint64_t cuts_digest(const struct facts_job *job);

/* How many of the job's steps are cut: all, but for a job with more than anybody has. */
size_t cuts_count(const struct facts_job *job);

struct cuts_table *cuts_create(uint64_t text, uint64_t digest, size_t count);

/* The steps in the cutter's terms; malloc'd. NULL: no memory. */
struct text_step *cuts_steps(const struct facts_job *job);

/* Records. */
int cuts_save(struct store *s, const struct cuts_table *t);
/* -ENOENT. The table is malloc'd. */
int cuts_load(struct store *s, uint64_t text, uint64_t digest, size_t count, uint64_t size,
              struct cuts_table **ret_table);

#endif
