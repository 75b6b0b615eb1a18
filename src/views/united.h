/*
 * united.h - inside the views: filtered lists of runs united with the unfiltered one (S18). Pure.
 *
 * GitHub answers filtered lists from a search index, which may be stale or empty for days; the
 * unfiltered list is right, but reaches only so far back. So:
 *
 * - a run that several answers have is shown by its latest facts (by attempt and updated_at;
 *   between equal ones those of the unfiltered list), also where by those it does not match;
 * - a run that the unfiltered list lacks, though it has an older and a newer one, is deleted;
 * - all others that match are shown, newest first.
 */
#ifndef GHLOGFS_VIEWS_UNITED_H
#define GHLOGFS_VIEWS_UNITED_H

#include "catalog/catalog.h"

/* Embedded in whatever `matches` has to know. */
struct united_filter {
    bool (*matches)(const struct united_filter *f, const struct facts_run *run);
};

/*
 * The matching runs, at most `limit`: *ret_runs is malloc'd, the runs are those of the answers.
 * Any answer may be NULL: it cannot be had. -ENOMEM.
 */
int united_make(const struct catalog_answer *unfiltered,
                const struct catalog_answer *const *filtered, size_t filtered_count,
                const struct united_filter *filter, size_t limit,
                const struct facts_run ***ret_runs, size_t *ret_count);

#endif
