/*
 * archive_transfer.h - the archive of a run's attempt on its way: one API request for its signed
 * URL, one GET of it. Network thread only.
 *
 * Nothing is tried again: what an archive would bring, its readers can ask for one by one. It does
 * not look into the archive; only a response whose type is no zip's (a page of a proxy) is refused.
 */
#ifndef GHLOGFS_GITHUB_ARCHIVE_TRANSFER_H
#define GHLOGFS_GITHUB_ARCHIVE_TRANSFER_H

#include "github/core.h"
#include "source.h"

typedef void archive_transfer_done(struct core *core, struct source_archive *a,
                                   const struct source_failure *failure);

/* Ends with `done`, maybe from within. */
void archive_transfer_begin(struct core *core, struct source_archive *a,
                            archive_transfer_done *done);

/* Whether a zip may have this type. Pure. */
bool response_is_zip_type(const char *type);

/* Somebody waits for it. */
void archive_transfer_promote(struct source_archive *a);

/* Ends it with `done`, if it is under way. */
void archive_transfer_drop(struct source_archive *a);

#endif
