/*
 * steps.h - inside the views: which steps of a job have files, and their names (S10). Pure.
 */
#ifndef GHLOGFS_VIEWS_STEPS_H
#define GHLOGFS_VIEWS_STEPS_H

#include "facts.h"
#include "views/safe_name.h"

/* Whether the step has a file. */
bool steps_has_file(const struct facts_step *step);

/* A job whose text is one file: none of its steps has one, or they are too many or not told apart by
 * their numbers, as GitHub's are. */
bool steps_is_whole(const struct facts_job *job);

/* Digits of the steps' numbers: those of the largest, at least two. */
unsigned steps_get_width(const struct facts_job *job);

/* "03-Run tests.txt" */
void steps_make_name(const struct facts_step *step, unsigned width, char ret_name[SAFE_NAME_LEN]);

#endif
