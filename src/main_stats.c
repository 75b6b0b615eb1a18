#include "main_stats.h"

#include "name.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum type { COUNTER, GAUGE };

/* One number. The rows of a family follow each other, and the first has its help. */
struct row {
    const char *stat;   /* in .ghlogfs/stats; NULL: not there */
    const char *family; /* behind ghlogfs_, and of a counter before _total; NULL: in stats only */
    enum type type;
    const char *unit;   /* the family's last word, or NULL */
    const char *labels; /* or NULL */
    size_t at;          /* in struct stats: an int64_t or uint64_t; below 0: not known */
    const char *help;
    const char *state; /* instead of a number: 1 if the shared store is in it, else 0 */
    bool of_shared;    /* absent without a shared store */
};

/* clang-format off */
#define NUMBER(stat_, family_, type_, unit_, member, help_)                                        \
    {.stat = stat_, .family = family_, .type = type_, .unit = unit_,                               \
     .at = offsetof(struct stats, member), .help = help_}
#define SHARED(stat_, family_, type_, unit_, member, help_)                                        \
    {.stat = stat_, .family = family_, .type = type_, .unit = unit_,                               \
     .at = offsetof(struct stats, shared.member), .help = help_, .of_shared = true}
#define OUTCOME(stat_, word, outcome, help_)                                                       \
    {.stat = stat_, .family = "api_requests", .labels = "outcome=\"" word "\"",                    \
     .at = offsetof(struct stats, api.outcomes[outcome]), .help = help_}
#define FAILURE(name, help_)                                                                       \
    {.family = "failures", .labels = "errno=\"" #name "\"",                                        \
     .at = offsetof(struct stats, session.failures[name]), .help = help_}
#define STATE(stat_, word, help_)                                                                  \
    {.stat = stat_, .family = "shared_state", .type = GAUGE, .labels = "state=\"" word "\"",       \
     .help = help_, .state = word, .of_shared = true}

static const struct row rows[] = {
    NUMBER("api_requests", NULL, COUNTER, NULL, api.requests, NULL),
    OUTCOME(NULL, "ok", OUTCOME_OK, "Requests to GitHub's API that have ended; all but those not "
            "modified are charged to the quota"),
    OUTCOME("api_not_modified", "not_modified", OUTCOME_NOT_MODIFIED, NULL),
    OUTCOME(NULL, "limited", OUTCOME_LIMITED, NULL),
    OUTCOME(NULL, "refused", OUTCOME_REFUSED, NULL),
    OUTCOME(NULL, "error", OUTCOME_ERROR, NULL),
    OUTCOME(NULL, "lost", OUTCOME_LOST, NULL),
    NUMBER("storage_requests", "storage_requests", COUNTER, NULL, api.storage_requests,
           "Requests to the storage that holds the logs; never charged"),
    NUMBER("quota_limit", "quota_limit", GAUGE, NULL, api.limit,
           "API requests that GitHub allows in an hour, as it told last"),
    NUMBER("quota_remaining", "quota_remaining", GAUGE, NULL, api.remaining,
           "API requests that are left until the quota is reset, as GitHub told last"),
    NUMBER("quota_reset", "quota_reset_timestamp_seconds", GAUGE, "seconds", api.reset_s,
           "When the quota is reset, in seconds since 1970"),
    NUMBER("logs_in_memory", "logs_in_memory", GAUGE, NULL, cache.logs,
           "Logs that the mount keeps track of"),
    NUMBER("fetches_running", "fetches_running", GAUGE, NULL, cache.fetches_running,
           "Ranges of logs that are being fetched"),
    NUMBER("bytes_received", "received_bytes", COUNTER, "bytes", cache.bytes_received,
           "Bytes of logs received by requests of their own, from GitHub or the shared store"),
    NUMBER("logs_published", "logs_published", COUNTER, NULL, cache.published,
           "Logs written to the cache that came by requests of their own"),
    NUMBER("cache_used", "cache_used_bytes", GAUGE, "bytes", used,
           "Bytes in use of the cache; logs of earlier mounts count once it was written to"),
    NUMBER("cache_size", "cache_size_bytes", GAUGE, "bytes", limit,
           "Size limit of the cache"),
    NUMBER("archives_requested", "archives_requested", COUNTER, NULL, archives.requested,
           "Archives of runs that were requested"),
    NUMBER("archives_failed", "archives_failed", COUNTER, NULL, archives.failed,
           "Archives of runs that gave no log"),
    NUMBER("logs_from_archives", "logs_from_archives", COUNTER, NULL, archives.logs,
           "Logs written to the cache that came out of archives"),
    NUMBER("reports_made", "reports_made", COUNTER, NULL, reports, "Failure reports made"),
    NUMBER("logs_opened", "logs_opened", COUNTER, NULL, session.opened,
           "How often a log, its cleaned text or a step's was opened"),
    NUMBER("bytes_read", "read_bytes", COUNTER, "bytes", session.bytes_read,
           "Bytes of logs given to the kernel, which repeats them to readers by itself"),
    NUMBER("readers_waiting", "readers_waiting", GAUGE, NULL, session.waiting,
           "Requests of the kernel that wait, mostly for GitHub"),
    NUMBER("logs_evicted", "logs_evicted", COUNTER, NULL, evicted,
           "Complete logs that this mount deleted from the cache to make space"),
    NUMBER(NULL, "evicted_bytes", COUNTER, "bytes", evicted_bytes,
           "Bytes of the logs that this mount deleted from the cache"),
    FAILURE(EACCES, "Requests of the kernel that failed; that a file does not exist is no failure"),
    FAILURE(ECONNABORTED, NULL),
    FAILURE(ECONNREFUSED, NULL),
    FAILURE(EDQUOT, NULL),
    FAILURE(EFBIG, NULL),
    FAILURE(EHOSTUNREACH, NULL),
    FAILURE(EINTR, NULL),
    FAILURE(EIO, NULL),
    FAILURE(ENOMEM, NULL),
    FAILURE(EPROTO, NULL),
    FAILURE(ETIMEDOUT, NULL),
    STATE("shared_state", "up", "1 for the state that the shared store is in"),
    STATE(NULL, "resting", NULL),
    STATE(NULL, "off", NULL),
    SHARED("shared_hits", "shared_hits", COUNTER, NULL, hits, "Logs that the shared store had"),
    SHARED("shared_misses", "shared_misses", COUNTER, NULL, misses,
           "Logs that the shared store did not have"),
    SHARED("shared_wrong", "shared_wrong", COUNTER, NULL, wrong,
           "Answers of the shared store that did not hold"),
    SHARED("shared_errors", "shared_errors", COUNTER, NULL, errors,
           "Requests to the shared store that failed"),
    SHARED("shared_timeouts", "shared_timeouts", COUNTER, NULL, timeouts,
           "Requests to the shared store that took too long"),
    SHARED("shared_bytes_in", "shared_received_bytes", COUNTER, "bytes", bytes_in,
           "Bytes of logs received from the shared store"),
    SHARED("shared_verified", "shared_verified", COUNTER, NULL, verified,
           "Logs of the shared store that were compared with GitHub's"),
    SHARED("shared_uploads_queued", "shared_uploads_queued", GAUGE, NULL, queued,
           "Logs that wait to be sent to the shared store"),
    SHARED("shared_uploads_done", "shared_uploads", COUNTER, NULL, sent,
           "Logs sent to the shared store"),
    SHARED("shared_uploads_dropped", "shared_uploads_dropped", COUNTER, NULL, dropped,
           "Logs that were not sent to the shared store after all"),
    SHARED("shared_bytes_out", "shared_sent_bytes", COUNTER, "bytes", bytes_out,
           "Bytes of logs sent to the shared store"),
    NUMBER(NULL, "start_time_seconds", GAUGE, "seconds", started_s,
           "When the mount began, in seconds since 1970"),
};
/* clang-format on */

static int64_t value_of(const struct stats *s, const struct row *row)
{
    int64_t value;

    if (row->state)
        return !strcmp(row->state, s->shared.state);
    memcpy(&value, (const char *)s + row->at, sizeof(value));
    return value;
}

/* --- for people ------------------------------------------------------------------------------- */

static void print_plain(FILE *out, const struct stats *s)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        if (!row->stat || (row->of_shared && !s->has_shared))
            continue;
        if (row->state)
            fprintf(out, "%s %s\n", row->stat, s->shared.state);
        else
            fprintf(out, "%s %" PRId64 "\n", row->stat, value_of(s, row));
    }
}

/* --- for programs ----------------------------------------------------------------------------- */

/* A label's value. Bytes that are not UTF-8 are replaced: a scraper would refuse all metrics. */
static void print_value(FILE *out, const char *text)
{
    uint32_t ignored;

    while (*text) {
        size_t len = name_read_character(text, &ignored);
        if (!len)
            fputs("\uFFFD", out);
        else if (*text == '\n')
            fputs("\\n", out);
        else if (*text == '\\' || *text == '"')
            fprintf(out, "\\%c", *text);
        else
            fwrite(text, 1, len, out);
        text += len ? len : 1;
    }
}

static void print_head(FILE *out, const struct row *row, bool is_open)
{
    const char *suffix = row->type == COUNTER && !is_open ? "_total" : "";

    fprintf(out, "# HELP ghlogfs_%s%s %s.\n# TYPE ghlogfs_%s%s %s\n", row->family, suffix,
            row->help, row->family, suffix, row->type == COUNTER ? "counter" : "gauge");
    if (row->unit && is_open)
        fprintf(out, "# UNIT ghlogfs_%s %s\n", row->family, row->unit);
}

static void print_build(FILE *out, const struct stats *s, bool is_open)
{
    fprintf(out, "# HELP ghlogfs_build%s Versions of the program and of its libraries.\n",
            is_open ? "" : "_info");
    fprintf(out, is_open ? "# TYPE ghlogfs_build info\n" : "# TYPE ghlogfs_build_info gauge\n");
    fputs("ghlogfs_build_info{mount=\"", out);
    print_value(out, s->mountpoint);
    fputs("\",version=\"" GHLOGFS_VERSION "\",libfuse=\"", out);
    print_value(out, s->libfuse);
    fputs("\",libcurl=\"", out);
    print_value(out, s->libcurl);
    fputs("\"} 1\n", out);
}

static void print_metrics(FILE *out, const struct stats *s, bool is_open)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        int64_t value = row->of_shared && !s->has_shared ? -1 : value_of(s, row);
        if (!row->family || value < 0)
            continue;
        if (row->help)
            print_head(out, row, is_open);
        fprintf(out, "ghlogfs_%s%s{mount=\"", row->family, row->type == COUNTER ? "_total" : "");
        print_value(out, s->mountpoint);
        fprintf(out, "\"%s%s} %" PRId64 "\n", row->labels ? "," : "",
                row->labels ? row->labels : "", value);
    }
    print_build(out, s, is_open);
    if (is_open)
        fputs("# EOF\n", out);
}

char *stats_print(const struct stats *s, enum stats_format format)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return NULL;
    if (format == STATS_PLAIN)
        print_plain(out, s);
    else
        print_metrics(out, s, format == STATS_OPENMETRICS);
    if (!fclose(out))
        return text;
    free(text);
    return NULL;
}
