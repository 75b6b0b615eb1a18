/*
 * failed.h - inside the views: what failed/ shows of a run (S21). Pure; any thread.
 *
 * Of the jobs of a run, each as it ran last:
 *
 *   completed: failure, timed_out, startup_failure     shown
 *   completed: cancelled                               shown if the run has failed, and none of its
 *                                                      jobs has
 *   any other, and one that has not completed          not shown
 *
 * Of the files of such a job:
 *
 *   of a step: failure, timed_out, startup_failure     shown
 *   of a step that was cut off: cancelled, or not      shown if no step has failed, or if the job
 *   completed though its job is (its runner was lost)  was cut off itself (any conclusion but
 *                                                      failure)
 *   any other                                          the last one is shown, if none above is
 *
 * Steps that ran at the same time have one file, which is shown if one of them is. A step without a
 * file counts for nothing. So a job that has files shows at least one; one that never ran has none,
 * and its directory is empty. So is that of a run that failed without such a job, as one whose
 * workflow file is wrong does: there is no log of it anywhere.
 */
#ifndef GHLOGFS_VIEWS_FAILED_H
#define GHLOGFS_VIEWS_FAILED_H

#include "facts.h"
#include "views/steps.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether the cancelled jobs of the run are shown. `run_has_failed`: it is over, and counts as
 * failed (S19). */
bool failed_shows_cancelled(const struct facts_job *const *jobs, size_t count, bool run_has_failed);

/* Whether the job is shown. */
bool failed_shows_job(const struct facts_job *job, bool shows_cancelled);

/* Of the job's files, as steps_get_files has made them, only those that are shown stay present. */
void failed_select_files(const struct facts_job *job, struct steps_file *files);

#endif
