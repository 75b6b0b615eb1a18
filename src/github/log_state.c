#include "github/log_state.h"

#include "github/endpoints.h"
#include "github/headers.h"
#include "github/redirect.h"
#include "hash.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define URL_LIFE_MS (10 * 60 * 1000)
#define URL_EVERY_MS 30000 /* for checks only: at most 120 an hour */

/* -- One response of storage ------------------------------------------------------------------- */

void response_read_type(const struct net_request *r, char ret_type[RESPONSE_TYPE])
{
    const char *type = net_header(r, "Content-Type");
    size_t len = 0;

    while (type && (*type == ' ' || *type == '\t'))
        type++;
    for (; type && *type && !strchr("; \t", *type) && len < RESPONSE_TYPE - 1; type++)
        ret_type[len++] = isgraph((unsigned char)*type) ? *type : '?';
    ret_type[len] = '\0';
}

/* The runner uploads text/plain; stores without a type of their own say that it is bytes. */
bool response_is_log_type(const char *type)
{
    return !type[0] || !strcasecmp(type, "text/plain") ||
           !strcasecmp(type, "application/octet-stream") ||
           !strcasecmp(type, "binary/octet-stream");
}

static bool is_log_type(const struct net_request *r)
{
    char type[RESPONSE_TYPE];

    response_read_type(r, type);
    return response_is_log_type(type);
}

bool response_begins_like_log(const char *start, size_t len)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.";

    for (; len >= 3 && !memcmp(start, "\xef\xbb\xbf", 3); len -= 3)
        start += 3;
    for (size_t i = 0; i < len && i < sizeof(form) - 1; i++)
        if (form[i] == 'd' ? !isdigit((unsigned char)start[i]) : start[i] != form[i])
            return false;
    return true;
}

/* Which bytes the body holds, and how many there are in all. */
static int read_extent(const struct net_request *r, int status, struct response_info *info)
{
    struct parse_range range;
    bool has_range = parse_content_range(net_header(r, "Content-Range"), &range) == 0;
    uint64_t len;
    bool has_len = parse_u64(net_header(r, "Content-Length"), &len) == 0;

    if (status == 416) { /* the header that says how much there is, is optional */
        info->is_sized = has_range && !range.satisfied;
        info->size = info->is_sized ? range.total : 0;
    } else if (status == 206) {
        if (!has_range || !range.satisfied || (has_len && len != range.end - range.first))
            return -EIO;
        info->first = range.first;
        info->end = range.end;
        info->is_sized = range.total_known;
        info->size = range.total_known ? range.total : 0;
    } else {
        info->is_sized = has_len && !net_header(r, "Transfer-Encoding");
        info->size = info->is_sized ? len : 0;
        info->end = info->is_sized ? len : UINT64_MAX;
    }
    return 0;
}

int response_info_read(const struct net_request *r, int status, struct response_info *ret_info)
{
    struct response_info info = {.last_modified_ms = -1};
    const char *etag = net_header(r, "ETag"), *type = net_header(r, "x-ms-blob-type");
    const char *sealed = net_header(r, "x-ms-blob-sealed");
    int64_t modified_s;

    if (status != 416 && !is_log_type(r))
        return -ENOMSG;
    if (read_extent(r, status, &info) < 0)
        return -EIO;
    info.is_blob = type != NULL;
    info.is_final = type &&
                    (!strcasecmp(type, "BlockBlob") ||
                     (!strcasecmp(type, "AppendBlob") && sealed && !strcasecmp(sealed, "true")));
    if (parse_http_date(net_header(r, "Last-Modified"), net_wall_s(), &modified_s) == 0)
        info.last_modified_ms = modified_s * 1000;
    if (status != 416 && etag && strlen(etag) < sizeof(info.etag))
        memcpy(info.etag, etag, strlen(etag) + 1);
    *ret_info = info;
    return 0;
}

/* -- The signed URL ---------------------------------------------------------------------------- */

void signed_url_unref(struct signed_url *url)
{
    if (!url || --url->refs > 0)
        return;
    explicit_bzero(url->text, strlen(url->text));
    free(url);
}

void log_waiters_wake(struct list *waiters, const struct source_failure *failure)
{
    struct list due, *link;

    list_init(&due);
    list_splice(&due, waiters);
    while ((link = list_take_first(&due))) {
        struct log_waiter *w = list_entry(link, struct log_waiter, link);
        w->wake(w, failure);
    }
}

int signed_url_create(struct core *core, const char *location, struct signed_url **ret_url)
{
    bool allow_http = strcmp(core->base_at.scheme, "http") == 0;
    bool allow_local = core->base_at.is_local || core->peer_private;
    size_t len = strlen(location);
    struct signed_url *url;
    struct net_url at;

    if (redirect_check_storage(location, allow_http, allow_local, &at) < 0) {
        bool is_url = net_url_parse(location, &at) == 0;
        core_log(core, DIAG_WARNING, FAILURE_STORAGE, is_url ? &at : &core->base_at,
                 "the redirect of a log to this host is not allowed");
        return -EPROTO;
    }
    url = malloc(sizeof(*url) + len + 1);
    if (!url)
        return -ENOMEM;
    url->refs = 1;
    url->obtained_ms = net_now_ms();
    url->at = at;
    memcpy(url->text, location, len + 1);
    *ret_url = url;
    return 0;
}

static void on_url(struct api_request *req, const struct api_answer *answer)
{
    struct source_log *log = list_entry(req, struct source_log, url_request);
    struct failure_event event = {.hop = FAILURE_API};
    const struct source_failure *failure = answer->failure;
    struct failure_verdict verdict;
    struct signed_url *url = NULL;

    if (!failure)
        event.err = signed_url_create(log->core, answer->location, &url);
    if (url) {
        signed_url_unref(log->url);
        log->url = url;
    }
    if (event.err < 0) {
        failure_judge(&event, net_now_ms(), &verdict);
        failure = &verdict.failure;
    }
    log_waiters_wake(&log->url_waiters, failure);
}

struct signed_url *log_state_usable_url(struct source_log *log)
{
    if (log->url && net_now_ms() - log->url->obtained_ms < URL_LIFE_MS)
        return log->url;
    return NULL;
}

void log_state_want_url(struct source_log *log, struct log_waiter *w)
{
    struct source_failure failure = failure_make(-ENOMEM, SOURCE_BROKEN, 0);
    char *url;

    list_push_back(&log->url_waiters, &w->link);
    if (api_request_is_active(&log->url_request))
        return;
    if (endpoint_make_log_url(log->core->base, &log->repo, log->job, &url) < 0) {
        log_waiters_wake(&log->url_waiters, &failure);
        return;
    }
    log->url_asked_ms = net_now_ms();
    log->url_request.queued.class = log->class;
    api_request_begin(&log->url_request, url, NULL);
}

bool log_state_is_url_too_costly(const struct source_log *log)
{
    return log->is_reported && log->job_state == JOB_RUNNING &&
           net_now_ms() - log->url_asked_ms < URL_EVERY_MS;
}

void log_state_drop_url(struct source_log *log, const struct signed_url *url)
{
    if (log->url != url)
        return;
    signed_url_unref(log->url);
    log->url = NULL;
}

/* -- Its life ---------------------------------------------------------------------------------- */

struct source_log *log_state_create(struct core *core, const struct repo_name *repo, uint64_t job,
                                    bool completed, const struct source_log_ops *ops, void *who)
{
    struct source_log *log = calloc(1, sizeof(*log));
    char key[NAME_FULL_LEN + 48];

    if (!log)
        return NULL;
    snprintf(key, sizeof(key), "storage:%s/%s/%" PRIu64, repo->owner, repo->repo, job);
    log->core = core;
    log->repo = *repo;
    log->job = job;
    log->key = refusals_make_key(key);
    log->ops = ops;
    log->who = who;
    log->class = SOURCE_PREFETCH;
    log->known.last_modified_ms = log->known.completed_ms = -1;
    log->start_digest = HASH_START;
    log->job_state = completed ? JOB_COMPLETED : JOB_UNKNOWN;
    api_request_init(&log->url_request, core, REQUEST_LOG_URL, SOURCE_PREFETCH, on_url);
    list_init(&log->url_waiters);
    list_init(&log->check_waiters);
    return log;
}

void log_state_destroy(struct source_log *log)
{
    api_request_finish(&log->url_request);
    api_request_finish(&log->job_request);
    signed_url_unref(log->url);
    free(log);
}

void log_state_promote(struct source_log *log)
{
    log->class = SOURCE_DEMAND;
    api_request_promote(&log->url_request);
    api_request_promote(&log->job_request);
}

bool log_state_is_completed(const struct source_log *log)
{
    return log->job_state == JOB_COMPLETED || core_is_completed(log->core, log->job);
}

/* -- What is reported -------------------------------------------------------------------------- */

static int report(struct source_log *log, bool is_final)
{
    struct source_metadata metadata = log->known;
    int err;

    metadata.final = is_final;
    err = log->ops->on_metadata(log->who, &metadata);
    if (err == -ESTALE) { /* whoever wants it knows better: as if it had not been reported */
        log->is_sized = log->is_reported;
        log->known.size = log->reported_size;
        return err;
    }
    log->is_reported = true;
    log->reported_size = log->known.size;
    log->known.final = is_final;
    log->rejected = err;
    return err;
}

int log_state_report_growing(struct source_log *log)
{
    if (log->is_reported || !log->is_sized || log->known.size == 0)
        return 0;
    return report(log, false);
}

/* -- Whom to believe --------------------------------------------------------------------------- */

static bool is_same_etag(const char *a, const char *b)
{
    return !a[0] || !b[0] || strcmp(a, b) == 0;
}

static void adopt(struct source_log *log, const struct response_info *info)
{
    log->is_sized = true;
    log->known.size = info->size;
    if (info->etag[0])
        memcpy(log->known.etag, info->etag, sizeof(log->known.etag));
    if (info->last_modified_ms >= 0)
        log->known.last_modified_ms = info->last_modified_ms;
    log->is_weak = info->is_weak;
    log->known.provisional = info->is_unframed;
    log->votes = 1;
    log->etag_votes = info->etag[0] != '\0';
    log->rival_votes = 0;
}

/* A final log has one size and one ETag; a growing one only grows. */
static bool contradicts(const struct source_log *log, const struct response_info *info)
{
    if (log->known.final)
        return info->size != log->known.size || !is_same_etag(info->etag, log->known.etag);
    return info->size < log->known.size;
}

/* The same size again, or a larger one. */
static void agree(struct source_log *log, const struct response_info *info)
{
    struct response_info stronger = *info;
    unsigned votes = info->size == log->known.size ? log->votes + 1 : 1;
    unsigned etag_votes = log->etag_votes + (info->etag[0] != '\0');

    stronger.is_weak = info->is_weak && log->is_weak;
    stronger.is_unframed = info->is_unframed && log->known.provisional;
    if (log->known.final && log->known.etag[0])
        stronger.etag[0] = '\0'; /* the same; or none, for once */
    if (log->known.final)
        stronger.last_modified_ms = -1; /* its time was reported */
    adopt(log, &stronger);
    log->votes = votes;
    log->etag_votes = etag_votes;
}

/* It contradicts what is believed. 0: it is believed from now on. */
static int dispute(struct source_log *log, const struct response_info *info)
{
    bool is_again = log->rival_votes > 0 &&
                    (!log->known.final ||
                     (info->size == log->rival.size && is_same_etag(info->etag, log->rival.etag)));
    unsigned votes = is_again ? log->rival_votes + 1 : 1;

    if (is_again && !info->etag[0])
        log->rival.size = info->size;
    else
        log->rival = *info;
    log->rival_votes = votes;
    if (log->known.final || votes < (log->is_reported ? LOG_STATE_VOTES : 2))
        return -ESTALE;
    adopt(log, info);
    log->votes = votes;
    return 0;
}

/* Reports what is known by now, as far as it may be reported and is news. */
static int report_news(struct source_log *log, bool is_change)
{
    bool was_proven = log->known.proven;

    log->known.proven |= log->votes >= LOG_STATE_VOTES && !log->known.provisional;
    if (log->known.final)
        return log->known.proven && !was_proven ? report(log, true) : 0;
    if (log->is_weak && !log->is_reported && log->votes < LOG_STATE_VOTES)
        return 0;
    if (log->has_ended)
        return report(log, true);
    return log->is_reported && is_change ? report(log, false) : 0;
}

int log_state_learn(struct source_log *log, const struct response_info *info, bool after_completion,
                    bool whole)
{
    uint64_t before = log->known.size;
    int err = 0;

    if (!info->is_sized)
        return 0;
    if (!log->is_sized || (log->is_weak && !log->is_reported && info->size != log->known.size))
        adopt(log, info);
    else if (contradicts(log, info))
        err = dispute(log, info);
    else
        agree(log, info);
    if (err)
        return err;
    if (!log->known.final) {
        log->known.whole = whole && !log->is_reported;
        /* All of the log is in this very response, which says so twice. */
        log->known.proven = info->first == 0 && info->end == info->size && !info->is_weak &&
                            !info->is_unframed;
    }
    log->has_ended |= info->is_final || after_completion;
    return report_news(log, log->known.size != before);
}

void log_state_note_bytes(struct source_log *log, uint64_t offset, const char *data, size_t len)
{
    uint64_t left = SOURCE_FIRST_RANGE - log->start_len;

    if (log->known.proven || log->recheck || offset != log->start_len)
        return;
    len = len < left ? len : (size_t)left;
    log->start_digest = hash_bytes(log->start_digest, data, len);
    log->start_len += len;
}

/* Storage has another log by now. */
static void give_up(struct source_log *log)
{
    log->is_other = true;
    if (log->url)
        core_log(log->core, DIAG_NOTICE, FAILURE_STORAGE, &log->url->at, failure_word(-ESTALE));
}

void log_state_judge_recheck(struct source_log *log)
{
    const struct response_info *info = &log->recheck_info;
    bool is_size = info->size == log->known.size;
    bool is_etag = is_same_etag(info->etag, log->known.etag);
    bool is_start = !log->start_len || log->recheck_digest == log->start_digest;

    if (is_size && is_etag) {
        agree(log, info);
        report_news(log, false);
        return;
    }
    if (info->size != log->rival.size || !is_same_etag(info->etag, log->rival.etag)) {
        log->rival = *info;
        log->rival_votes = 1;
        return;
    }
    /* Under an ETag that several responses had, more may have been read than its start. */
    if (!is_start || (!is_etag && (!is_size || log->etag_votes > 1 || !log->start_len))) {
        give_up(log);
        return;
    }
    adopt(log, info);
    log->votes = LOG_STATE_VOTES;
    log->known.proven = true;
    if (report(log, true) == -ESTALE)
        give_up(log);
}
