/*
 * reports.h - inside the views: what failed in a run, as one text (S22).
 *
 * A report is made of facts about the run and of the logs of its failed jobs. Which facts these are
 * tells a digest: a report is made once for each digest, and kept in the store under it, so a run
 * that was re-run, or in which more has failed, gets another one. The report of a run that goes on,
 * or lacks a log that may be had later, is kept in memory only.
 *
 * It is made on the text thread (generated.h). The logs are requested at once; the thread does not
 * wait for them, and reads them one at a time, other texts in between.
 *
 * For a reader who goes through the directory the next reports are made ahead.
 *
 * Any thread.
 */
#ifndef GHLOGFS_VIEWS_REPORTS_H
#define GHLOGFS_VIEWS_REPORTS_H

#include "views/internal.h"

#define REPORTS_JOBS_MAX 40      /* failed jobs of a run whose logs are read; others are counted */
#define REPORTS_BEGUN_MAX 16     /* made at a time; others wait */
#define REPORTS_ROW 3            /* reports read in a row are a sign of a reader of all */
#define REPORTS_AHEAD 8          /* made ahead of such a reader */
#define REPORTS_KEPT_MAX 16      /* reports in memory; the oldest are dropped */
#define REPORTS_RECENT_MS 2000   /* so long a report is shown without a look at the facts */
#define REPORTS_PARTIAL_MS 10000 /* so long one is shown that lacks a log */

struct reports;

struct reports *reports_create(struct views *v); /* NULL: no memory */
/* After generated_stop. */
void reports_destroy(struct reports *all);

/* As views_list_reports. */
unsigned reports_list_status(struct reports *all, struct reports_status *ret_status, unsigned max);

/* How many were made, and not found in the store. */
uint64_t reports_get_made(const struct reports *all);

#endif
