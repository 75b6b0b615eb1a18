/*
 * location.h - where the shared store is: the option `shared=` to the URLs of its objects.
 *
 *     s3://BUCKET[/PREFIX][?endpoint=URL&region=R]     https://HOST[:PORT][/PATH]
 *
 * A bucket without an endpoint is Amazon's, and named by the host (https://B.s3.R.amazonaws.com),
 * unless its name has a dot, which no certificate covers; one with an endpoint is named by the
 * path, which every server knows. A log's objects are BASE/v1/HOST/OWNER/REPO/JOBID and, beside it,
 * JOBID.meta, in lower case.
 *
 * All parts consist of unreserved characters (letters, digits, "-", ".", "_", "~"): libcurl up to
 * 8.14 signs others wrongly. The colon of a port is written as "~".
 *
 * Pure; any thread. Errors: -EINVAL with a reason that reads well after the name of the option, and
 * never repeats what was refused, which may hold a password. Outputs are untouched on failure.
 */
#ifndef GHLOGFS_SHARED_LOCATION_H
#define GHLOGFS_SHARED_LOCATION_H

#include "name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOCATION_BASE_MAX 600    /* bytes of a base, with its NUL */
#define LOCATION_OBJECT_MAX 1200 /* of an object's URL, likewise */

struct shared_location {
    char base[LOCATION_BASE_MAX]; /* http(s)://..., without a slash at its end */
    char host[256];               /* of the server, lower case, for messages */
    char region[40];              /* of a bucket, for signatures; "": not S3 */
    bool is_plain;                /* http: only to a loopback or private address */
};

int shared_location_parse(const char *text, struct shared_location *ret_location,
                          const char **reason);

/* What of a log: its bytes, or its .meta. */
enum shared_object { SHARED_LOG, SHARED_META };

/* The URL of an object; `host` is that of the API, "host[:port]" (cache key). -EINVAL: a host that
 * cannot be part of a key. */
int shared_location_make_url(const struct shared_location *location, const char *host,
                             const struct repo_name *repo, uint64_t job, enum shared_object what,
                             char ret_url[LOCATION_OBJECT_MAX]);

#endif
