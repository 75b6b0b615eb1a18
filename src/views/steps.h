/*
 * steps.h - inside the views: which steps of a job have files, and their names (S10). Pure.
 *
 * Steps that ran at the same time write into the job's log line by line in turn, so they have one
 * file together, that of the first of them.
 */
#ifndef GHLOGFS_VIEWS_STEPS_H
#define GHLOGFS_VIEWS_STEPS_H

#include "facts.h"
#include "views/safe_name.h"

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

#endif
