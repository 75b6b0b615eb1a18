/*
 * verify.h - samples of what the shared store gives are fetched from GitHub as well and compared
 * (T5, shared_verify). Checksums are for accidents; this finds a writer that stores something else.
 *
 * A sample is a stretch of VERIFY_BYTES of one log, drawn by lot, as prefetch, one at a time: it
 * costs one API request. What GitHub cannot give (it has expired, the quota is low) proves nothing.
 * One page that differs, or another size, and the store is off for this mount.
 *
 * Threads: verify_draw on any; the rest on that of the source behind.
 */
#ifndef GHLOGFS_SHARED_VERIFY_H
#define GHLOGFS_SHARED_VERIFY_H

#include "name.h"
#include "source.h"

#include <stdint.h>

#define VERIFY_BYTES (UINT64_C(1) << 20)

struct shared_server;
struct store_meta;
struct verify;

int verify_create(const struct source *behind, struct shared_server *server, unsigned percent,
                  struct verify **ret_verify);

/* The store has this log: perhaps a sample of it is compared. */
void verify_draw(struct verify *v, const struct repo_name *repo, uint64_t job,
                 const struct store_meta *meta);

/* Once nothing of the source behind runs any more. NULL: nothing. */
void verify_destroy(struct verify *v);

/* Samples that were compared to their end. */
uint64_t verify_count(struct verify *v);

#endif
