#include "github/endpoints.h"
#include "github/parse.h"
#include "github/redirect.h"
#include "main_check.h"
#include "main_check_ask.h"
#include "main_mount.h"
#include "net/url.h"
#include "shared/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS 30     /* the newest ones, among which one with a log is looked for */
#define TRIES_MAX 3 /* runs whose jobs are asked for, logs, archives */
#define CONNECTIONS 4

/* One check of GitHub, from the first question to the last. */
struct session {
    struct check_report *report;
    const struct options *o;
    struct asker *asker;
    struct check_token token;
    struct check_answer first; /* of GET /rate_limit */
    bool is_peer_private;
    bool is_usable; /* more may be asked */
};

static void skip(struct check_report *report, const char *name, const char *why)
{
    struct check_line l = {.name = name};

    check_set(&l, CHECK_SKIPPED, "%s", why);
    check_report_add(report, &l);
}

/* -- The token and the API --------------------------------------------------------------------- */

static void ask_limits(struct session *s)
{
    struct asked asked;
    char url[sizeof(s->o->api.url) + 16];

    snprintf(url, sizeof(url), "%s/rate_limit", s->o->api.url);
    asker_get(s->asker, url, ASK_API, NULL, NULL, &asked);
    if (asked.answer.status == 200)
        asked.answer.is_right = !parse_quota(asked.body, asked.len, &asked.answer.quota);
    s->first = asked.answer;
    s->is_peer_private = asked.is_peer_private;
    asked_finish(&asked);
}

static void report_api(struct session *s)
{
    struct check_line api = {.name = "api"}, clock = {.name = "clock"}, token = {.name = "token"},
                      scopes = {.name = "scopes"}, expiry = {.name = "expiry"},
                      quota = {.name = "quota"};

    check_api(&api, &s->first, s->o->api.url, s->o->api_from);
    check_report_add(s->report, &api);
    check_clock(&clock, &s->first);
    check_report_add(s->report, &clock);
    check_token(&token, &s->token, &s->first);
    check_report_add(s->report, &token);
    check_scopes(&scopes, &s->token, &s->first);
    check_report_add(s->report, &scopes);
    check_expiry(&expiry, &s->token, &s->first);
    check_report_add(s->report, &expiry);
    check_quota(&quota, &s->first, s->o->reserve, s->token.origin != NULL);
    check_report_add(s->report, &quota);
    s->is_usable = api.state == CHECK_OK && s->first.status != 401 && quota.state != CHECK_ERROR;
}

/* -- A log and an archive ---------------------------------------------------------------------- */

/* The first hop of a log or an archive, and where it leads, if a mount would go there. */
static void ask_bytes(struct session *s, char *url, enum ask_kind kind,
                      struct check_answer *ret_api, struct check_answer *ret_storage)
{
    bool is_plain = !strcmp(s->o->api.scheme, "http");
    struct asked api, storage;
    struct net_url at;

    *ret_storage = (struct check_answer){.date_s = -1};
    asker_get(s->asker, url, ASK_API, NULL, NULL, &api);
    if (api.answer.status == 302) {
        struct net_url base = {0};
        bool is_local = s->is_peer_private ||
                        (net_url_parse(s->o->api.url, &base) == 0 && base.is_local);
        if (!api.location || redirect_check_storage(api.location, is_plain, is_local, &at) < 0) {
            snprintf(api.answer.detail, sizeof(api.answer.detail), "%s",
                     api.location && net_url_parse(api.location, &at) == 0 ? at.host : "no URL");
        } else {
            asker_get(s->asker, api.location, kind, NULL, NULL, &storage);
            *ret_storage = storage.answer;
            asked_finish(&storage);
        }
    }
    *ret_api = api.answer;
    asked_finish(&api);
}

/* What is being looked for in a repository: a log, and an archive. */
struct search {
    char name[NAME_FULL_LEN];
    bool has_log, has_archive;
    bool has_failed; /* and `repository` says why */
    unsigned tries;
    struct check_line repository, log, archive;
};

static void try_log(struct session *s, const struct facts_job *job, struct search *found)
{
    struct check_answer api, storage;
    char *url;

    if (endpoint_make_log_url(s->o->api.url, &s->o->check_repo, job->id, &url) < 0)
        return;
    ask_bytes(s, url, ASK_LOG, &api, &storage);
    free(url);
    found->log = (struct check_line){.name = "storage"};
    check_bytes(&found->log, "log", &s->token, &api, &storage);
    found->has_log = !check_is_worth_another(&api, &storage);
}

static void try_archive(struct session *s, const struct facts_run *run, struct search *found)
{
    const struct source_archive archive = {
        .repo = s->o->check_repo, .run = run->id, .attempt = run->attempt};
    struct check_answer api, storage;
    char *url;

    if (endpoint_make_archive_url(s->o->api.url, &archive, &url) < 0)
        return;
    ask_bytes(s, url, ASK_ARCHIVE, &api, &storage);
    free(url);
    found->archive = (struct check_line){.name = "archive"};
    check_bytes(&found->archive, "archive", &s->token, &api, &storage);
    found->has_archive = !check_is_worth_another(&api, &storage);
}

static bool ask_list(struct session *s, const struct source_facts *question, struct asked *ret)
{
    char *url;

    if (endpoint_make_url(s->o->api.url, question, false, &url) < 0)
        return false;
    asker_get(s->asker, url, ASK_API, NULL, NULL, ret);
    free(url);
    return true;
}

/* A job of the run that may have a log, and the run's archive. */
static void try_run(struct session *s, const struct facts_run *run, struct search *found)
{
    struct source_facts question = {.question = SOURCE_ATTEMPT_JOBS,
                                    .repo = s->o->check_repo,
                                    .id = run->id,
                                    .attempt = run->attempt};
    struct facts_job_list jobs;
    struct asked asked;

    if (!ask_list(s, &question, &asked))
        return;
    asked.answer.is_right = asked.answer.status == 200 &&
                            !parse_jobs_page(asked.body, asked.len, &jobs);
    found->has_failed = !check_repository(&found->repository, found->name, &s->token, &s->first,
                                          &asked.answer);
    if (!found->has_failed) {
        size_t i = 0;
        while (i < jobs.count && !facts_may_have_log(&jobs.items[i]))
            i++;
        if (i < jobs.count) {
            found->tries++;
            if (!found->has_log)
                try_log(s, &jobs.items[i], found);
            if (!found->has_archive)
                try_archive(s, run, found);
        }
        facts_job_list_finish(&jobs);
    }
    asked_finish(&asked);
}

static void try_runs(struct session *s, const struct facts_run_list *runs, struct search *found)
{
    unsigned asked = 0;

    for (size_t i = 0; i < runs->count && asked < TRIES_MAX && !found->has_failed; i++) {
        if (runs->items[i].status != FACTS_COMPLETED || (found->has_log && found->has_archive))
            continue;
        asked++;
        try_run(s, &runs->items[i], found);
    }
    if (found->has_failed)
        return;
    if (found->tries) {
        check_set(&found->repository, CHECK_OK, "%s: its runs can be listed", found->name);
        return;
    }
    check_set(&found->repository, CHECK_WARNING, "%s: no log among its newest runs", found->name);
    check_advise(&found->repository,
                 "name another repository, to see whether storage can be reached");
}

static void report_repository(struct session *s)
{
    struct source_facts question = {
        .question = SOURCE_RUNS, .repo = s->o->check_repo, .per_page = RUNS};
    struct search found = {.repository.name = "repository"};
    struct facts_run_list runs = {0};
    struct asked asked;

    if (!ask_list(s, &question, &asked))
        return;
    snprintf(found.name, sizeof(found.name), "%s/%s", s->o->check_repo.owner,
             s->o->check_repo.repo);
    asked.answer.is_right = asked.answer.status == 200 &&
                            !parse_runs_page(asked.body, asked.len, &runs);
    if (check_repository(&found.repository, found.name, &s->token, &s->first, &asked.answer))
        try_runs(s, &runs, &found);
    check_report_add(s->report, &found.repository);
    if (found.tries) {
        check_report_add(s->report, &found.log);
        check_report_add(s->report, &found.archive);
    } else {
        skip(s->report, "storage", "there is no log to ask for, see the line repository");
        skip(s->report, "archive", "there is no log to ask for, see the line repository");
    }
    facts_run_list_finish(&runs);
    asked_finish(&asked);
}

static void report_bytes(struct session *s)
{
    static const char *const names[] = {"repository", "storage", "archive"};
    const char *why = !s->o->check_repo.owner[0]
                          ? "needs a repository: ghlogfs --check [HOST] OWNER/REPO"
                      : s->is_usable ? NULL
                                     : "see the lines api, token and quota";

    for (size_t i = 0; why && i < sizeof(names) / sizeof(names[0]); i++)
        skip(s->report, names[i], why);
    if (!why)
        report_repository(s);
}

void main_check_github(struct check_report *report, const struct options *o,
                       const struct main_check_found *found)
{
    static const char *const names[] = {"api",   "clock",      "token",   "scopes", "expiry",
                                        "quota", "repository", "storage", "archive"};
    bool has_token = o->token_source != OPTIONS_TOKEN_NONE;
    const struct net_config config = mount_make_net_config(o, CONNECTIONS, NULL);
    struct session s = {
        .report = report,
        .o = o,
        .token = {.origin = has_token ? o->token_origin : NULL,
                  .kind = check_kind_of_token(o->token),
                  .problem = found->token_message,
                  .is_unusable = found->token_rc < 0,
                  .host = o->api.web_host,
                  .file = o->token_source == OPTIONS_TOKEN_FILE ? o->token_file : NULL}};
    int rc = o->offline ? 0
                        : asker_create(&config, o->timeout, has_token ? o->token : NULL, &s.asker);

    if (rc || o->offline) {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            skip(report, names[i], rc ? strerror(-rc) : "offline: nothing is requested");
        return;
    }
    ask_limits(&s);
    report_api(&s);
    report_bytes(&s);
    asker_destroy(s.asker);
}

/* -- The shared store -------------------------------------------------------------------------- */

/* Of the repository that was named, or of one that cannot be: GitHub has no such job. */
static void ask_store(const struct options *o, struct asker *asker, struct check_answer *ret)
{
    struct repo_name repo = o->check_repo;
    struct shared_server server = {.location = &o->shared_location, .host = o->api.key};
    char url[LOCATION_OBJECT_MAX];
    struct asked asked;

    *ret = (struct check_answer){.err = -EINVAL, .date_s = -1};
    snprintf(ret->host, sizeof(ret->host), "%s", o->shared_location.host);
    if (!repo.owner[0])
        repo = (struct repo_name){"ghlogfs", "check"};
    if (shared_location_make_url(&o->shared_location, o->api.key, &repo, NAME_ID_MAX, SHARED_META,
                                 url) < 0 ||
        shared_server_init(&server) < 0)
        return;
    shared_server_set_credentials(&server, &o->shared_key);
    asker_get(asker, url, ASK_OBJECT, server.header[0] ? server.header : NULL,
              server.credentials.user[0] ? &server.identity : NULL, &asked);
    *ret = asked.answer;
    asked_finish(&asked);
    shared_server_finish(&server);
}

static const char *key_origin(const struct options *o)
{
    if (o->shared_key_file)
        return "shared_key_file";
    return o->shared_key.user[0] ? "AWS_ACCESS_KEY_ID" : NULL;
}

void main_check_shared(struct check_report *report, const struct options *o,
                       const struct main_check_found *found)
{
    const struct net_config config = mount_make_shared_net_config(o, CONNECTIONS, NULL);
    const struct check_shared store = {.url = o->shared_location.base,
                                       .is_s3 = o->shared_location.region[0] != '\0',
                                       .key_origin = key_origin(o),
                                       .problem = found->key_message,
                                       .is_unusable = found->key_rc < 0};
    struct check_line l = {.name = "shared"};
    struct check_answer answer = {.date_s = -1};
    struct asker *asker = NULL;
    int rc;

    if (!o->shared || o->offline) {
        skip(report, "shared", o->offline ? "offline: nothing is requested" : "there is none");
        return;
    }
    rc = store.is_unusable ? 0 : asker_create(&config, SHARED_TIMEOUT_S, NULL, &asker);
    if (rc) {
        skip(report, "shared", strerror(-rc));
        return;
    }
    if (asker)
        ask_store(o, asker, &answer);
    asker_destroy(asker);
    check_shared(&l, &store, &answer);
    check_report_add(report, &l);
    if (o->shared_write)
        skip(report, "shared_write",
             "not tried: it would leave an object, and ghlogfs never deletes there; see "
             "shared_uploads_done and _dropped in .ghlogfs/stats of a mount");
}
