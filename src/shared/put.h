/*
 * put.h - the other direction: logs that this mount fetched from GitHub go into the shared store
 * (T6), in the background, one after the other.
 *
 * A log is read from the local cache, where it has been published, and each of its pages compared
 * with its checksum. First the log is sent, then its .meta, both on condition that there is none
 * yet; a log without a .meta does not count, so an upload that ends in the middle leaves nothing.
 * One whose .meta is there already is not sent. What fails is dropped: somebody else, or the next
 * reader, will bring it.
 *
 * A server that refuses uploads is left alone with them as with questions (state.h), which go on
 * meanwhile; the other logs wait. It is never asked to delete anything.
 *
 * Threads: put_want on any; a thread of its own reads the disk; requests are made on net's. End:
 * put_close, then net_stop, then put_destroy.
 */
#ifndef GHLOGFS_SHARED_PUT_H
#define GHLOGFS_SHARED_PUT_H

#include "name.h"
#include "progress.h"
#include "store/store.h"

#include <stdint.h>

#define PUT_QUEUE_MAX 1024 /* logs that wait; more are dropped */
/* A slower server is given up: so many bytes each so many ms, and then an answer. libcurl 8.14
 * takes 64 KiB a second from us though nothing is sent, and counts them as sent. */
#define PUT_PACE (1280u << 10)
#define PUT_STALL_MS 15000
#define PUT_LATER_MS 2000                 /* whether it may be asked again is looked at so often */
#define PUT_BYTES_MAX (UINT64_C(5) << 30) /* what S3 takes in one piece; larger logs are not sent */
#define PUT_META_MAX (4096 + PUT_BYTES_MAX / STORE_PAGE_SIZE * 8) /* the .meta of such a log */

struct put;
struct shared_server;

struct put_stats {
    uint64_t queued;  /* now, the one under way among them */
    uint64_t done;    /* sent, or found to be there */
    uint64_t dropped; /* neither */
    uint64_t bytes_out;
};

/* A log that waits for its upload, or is being sent. */
struct put_status {
    struct repo_name repo;
    uint64_t job;
    struct progress progress;
};

int put_create(struct shared_server *server, struct store *store, struct put **ret_put);

/* The job's log is complete in the store, and came from GitHub. */
void put_want(struct put *p, const struct repo_name *repo, uint64_t job);

/* What waits is dropped, and nothing new is begun. */
void put_close(struct put *p);
void put_destroy(struct put *p); /* NULL: nothing */

/* Up to `max` of them, those that began first. Returns how many there are. */
unsigned put_list_status(struct put *p, struct put_status *ret_status, unsigned max);

void put_get_stats(struct put *p, struct put_stats *ret_stats);

#endif
