/*
 * steps.h - inside the views: which steps of a job have files, and their names (S10). Pure.
 *
 * Steps that ran at the same time write into the job's log line by line in turn, so they have one
 * file together, that of the first of them.
 */
#ifndef GHLOGFS_VIEWS_STEPS_H
#define GHLOGFS_VIEWS_STEPS_H

#include "facts.h"
#include "list.h"
#include "text/cut.h"
#include "views/safe_name.h"

#include <stdint.h>

struct store;

/* A step's file. */
struct steps_file {
    bool present;     /* false: the step never started, or its lines are in the file of another */
    unsigned beside;  /* how many more steps' lines are in it */
    int64_t start_ms; /* from when the first of them began, */
    int64_t end_ms;   /* to when the last one ended; FACTS_NO_TIME: not told */
};

/* One for each of the job's steps; malloc'd. NULL: no memory. */
struct steps_file *steps_get_files(const struct facts_job *job);

/* A job whose text is one file: none of its steps has one, or they are too many or not told apart by
 * their numbers, as GitHub's are. */
bool steps_is_whole(const struct facts_job *job);

/* Digits of the steps' numbers: those of the largest, at least two. */
unsigned steps_get_width(const struct facts_job *job);

/* "03-Run tests.txt", "03-Start server +2.txt" */
void steps_make_name(const struct facts_step *step, const struct steps_file *file, unsigned width,
                     char ret_name[SAFE_NAME_LEN]);

/* --- tables of where steps begin, and their records in the store ------------------------------ */

#define CUTS_MAX 256 /* tables in memory; those kept first go */

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
