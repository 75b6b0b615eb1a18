/*
 * match.h - which job an archive's entry is the log of (S20). Pure; one thread at a time.
 *
 * GitHub names a job's whole log `N_<job name>.txt` at the archive's top. N has holes and no usable
 * order. The name is cleaned (`/` becomes `_` or is dropped, `:` and others are dropped), long
 * names are cut, equal ones may get ` (N)` (facts: cli/cli PR 7526, 50 archives). So names are
 * compared by a key, the letters, digits and non-ASCII bytes of them, and an entry counts for every
 * job that it might be named after. It is a job's only if it might be named after no other, and no
 * other entry after that job. Its content must agree as well: see match_content.
 */
#ifndef GHLOGFS_ARCHIVE_MATCH_H
#define GHLOGFS_ARCHIVE_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MATCH_SLACK_MS 2000 /* the API tells times in whole seconds, and clocks differ */
#define MATCH_END_MS 60000  /* a log ends so long before its job at most; seen: 11 s of 21 jobs */
#define MATCH_LINE_MAX 1024 /* bytes of a line that are looked at */
#define MATCH_NONE SIZE_MAX

/* A job that ran in the archive's attempt. The name is borrowed. Times are UTC. `wanted` has no
 * meaning here: its log is one that is being read (archive.h). */
struct match_job {
    uint64_t id;
    const char *name;
    int64_t started_ms, completed_ms;
    bool wanted;
};

/* -- Names ------------------------------------------------------------------------------------- */

struct match;

/* All jobs that ran in the attempt, wanted or not: what is not known here cannot make a name
 * ambiguous. Takes a copy. Returns 0 or -ENOMEM. */
int match_create(const struct match_job *jobs, size_t count, struct match **ret_match);
void match_destroy(struct match *m);

const struct match_job *match_get_job(const struct match *m, size_t job);

/* Notes a further entry of the archive. Returns the index of the one job that it might be named
 * after, MATCH_NONE where there is none or more than one, and for what is no whole log. */
size_t match_add_entry(struct match *m, const char *name);

/* Whether just one entry noted so far might be named after this job. It is final at the archive's
 * end. */
bool match_is_only(const struct match *m, size_t job);

/* -- Content ----------------------------------------------------------------------------------- */

/* What a log tells about itself. Zeroed before use; holds no memory. */
struct match_content {
    int64_t first_ms, last_ms; /* of its stamped lines, 0: none yet */
    char last[28];             /* the last one's stamp */
    char name[MATCH_LINE_MAX]; /* the runner's line "Complete job name: ..."; "" none yet */
    char line[MATCH_LINE_MAX]; /* the start of the line under way */
    size_t len;                /* of it, cut */
};

/* The next bytes of the log. */
void match_content_add(struct match_content *c, const void *data, size_t len);

/* After the last byte. Whether it is this job's log: its stamped lines lie within the job's time,
 * and what it calls its job fits no other; where it calls it nothing, its time fits no other. */
bool match_content_fits(const struct match *m, size_t job, struct match_content *c);

#endif
