/*
 * steps.h - inside the views: the steps of a job: which have files, their names, and where they
 * begin in the job's cleaned text (S10).
 *
 * Steps that ran at the same time write into the job's log line by line in turn, so they have one
 * file together, that of the first of them. All but the records in the store is pure.
 */
#ifndef GHLOGFS_VIEWS_STEPS_H
#define GHLOGFS_VIEWS_STEPS_H

#include "facts.h"
#include "text/cut.h"
#include "views/names.h"

struct store;

/* A step's file. */
struct steps_file {
    bool present;     /* false: the step never started, or its lines are in the file of another */
    unsigned beside;  /* how many more steps' lines are in it */
    bool has_failed;  /* one of its steps has failed (S19) */
    bool is_cut_off;  /* one was cancelled, or has not ended */
    int64_t start_ms; /* when the first of them began, UTC; FACTS_NO_TIME: not known */
    int64_t end_ms;   /* when the last one ended */
};

/* One for each of the job's steps; malloc'd. NULL: no memory. */
struct steps_file *steps_get_files(const struct facts_job *job);

/* Whether the text of the job is one file: none of its steps has one, or they are too many, or they
 * do not have numbers of their own, as GitHub's do. */
bool steps_is_whole(const struct facts_job *job);

/* Digits of the steps' numbers: those of the largest, at least two. */
unsigned steps_get_width(const struct facts_job *job);

/* "03-Run tests.txt", "03-Start server +2.txt" */
void steps_make_name(const struct facts_step *step, const struct steps_file *file, unsigned width,
                     char ret_name[SAFE_NAME_LEN]);

/* The steps as text/cut takes them, which reads the job's names; malloc'd. NULL: no memory. */
struct text_step *steps_for_cutter(const struct facts_job *job);

/* Of all that decides where steps begin: numbers, names, times, states. */
uint64_t steps_digest(const struct facts_job *job);

/*
 * Where steps begin is kept in the store, for one text (its id in the cache) and one digest of
 * steps. Loading fills `count` ranges of a text of `size` bytes; -ENOENT: there is no record that
 * fits.
 */
int steps_save_ranges(struct store *s, uint64_t text, uint64_t digest,
                      const struct text_range *ranges, size_t count);
int steps_load_ranges(struct store *s, uint64_t text, uint64_t digest, uint64_t size,
                      struct text_range *ret_ranges, size_t count);

#endif
