#include "main_mount.h"

#include "cache/cache.h"
#include "catalog/catalog.h"
#include "diag.h"
#include "fs/mountpoint.h"
#include "fs/session.h"
#include "github/api.h"
#include "main_privileges.h"
#include "main_process.h"
#include "main_version.h"
#include "options_token.h"
#include "pending.h"
#include "store/store.h"
#include "views/views.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WORKERS 2
#define PATIENCE_MS 8000 /* for an answer that can be done without */

/* Descriptors that are open however many logs are: standard ones, FUSE, signals, events, curl's
 * own, the cache directory, the pipes of three threads that splice. */
#define FILES_FIXED 24u
#define FILES_LEAST 16u
#define LOG_FILES_MAX 32768

struct mount {
    struct options *options;
    char *options_text, *version_text;
    unsigned log_files, connections; /* at once, as far as descriptors go */
    int attend_fd;
    atomic_bool token_wanted;
    struct diag *diag;
    struct waits waits;
    bool has_waits;
    struct store *store;
    struct net *net;
    struct api *api;
    struct cache *cache;
    struct catalog *catalog;
    struct views *views;
    struct session *session;
};

/* --- introductions --- */

static int64_t wall_ms(void)
{
    return net_wall_s() * 1000;
}

/* Network thread: the disk is main's to touch. */
static void on_token_wanted(void *who)
{
    struct mount *m = who;

    atomic_store(&m->token_wanted, true);
    eventfd_write(m->attend_fd, 1);
}

static void on_job_learnt(void *who, const struct repo_name *repo, uint64_t job, const char *body,
                          size_t len)
{
    struct mount *m = who;

    if (m->catalog)
        catalog_job_learnt(m->catalog, repo, job, body, len);
}

static char *print_stats(void *who)
{
    struct mount *m = who;
    struct cache_stats cache;
    struct api_stats api;
    uint64_t used, limit;
    char *text;

    cache_get_stats(m->cache, &cache);
    api_read_stats(m->api, &api);
    store_usage(m->store, &used, &limit);
    if (asprintf(&text,
                 "api_requests %" PRIu64 "\napi_not_modified %" PRIu64 "\nstorage_requests %" PRIu64
                 "\nquota_limit %" PRId64 "\nquota_remaining %" PRId64 "\nquota_reset %" PRId64
                 "\nlogs_in_memory %" PRIu64 "\nfetches_running %" PRIu64
                 "\nbytes_received %" PRIu64 "\nlogs_published %" PRIu64 "\ncache_used %" PRIu64
                 "\ncache_size %" PRIu64 "\n",
                 api.requests, api.not_modified, api.storage_requests, api.limit, api.remaining,
                 api.reset_s, cache.logs, cache.fetches_running, cache.bytes_received,
                 cache.published, used, limit) < 0)
        return NULL;
    return text;
}

/* --- building, from the ground up --- */

/* Who may have how many descriptors, so that they are not short where nothing can be done without
 * one. libcurl keeps as many idle connections as are in use; the rest is for what is open for a
 * moment. */
static int share_files(struct mount *m)
{
    struct process_limits limits;
    uint64_t rest;

    process_get_limits(&limits);
    if (limits.files < FILES_FIXED + FILES_LEAST) {
        diag_say(m->diag, DIAG_ERROR,
                 "the limit of open files is %" PRIu64 ", at least %u are needed "
                 "(ulimit -n, LimitNOFILE=)",
                 limits.files, FILES_FIXED + FILES_LEAST);
        return -EMFILE;
    }
    rest = limits.files - FILES_FIXED;
    m->log_files = rest / 2 < LOG_FILES_MAX ? (unsigned)(rest / 2) : LOG_FILES_MAX;
    m->connections = m->options->connections;
    if (m->connections > rest / 6)
        m->connections = (unsigned)(rest / 6);
    if (m->connections < m->options->connections)
        diag_say(m->diag, DIAG_WARNING,
                 "the limit of open files is %" PRIu64 ": %u connections are used, not %u "
                 "(ulimit -n, LimitNOFILE=)",
                 limits.files, m->connections, m->options->connections);
    if (limits.file_size < m->options->cache_size)
        diag_say(m->diag, DIAG_WARNING,
                 "the limit of a file's size is %" PRIu64 " bytes: larger logs are read in "
                 "memory and not kept (ulimit -f, LimitFSIZE=)",
                 limits.file_size);
    return 0;
}

static int build_ground(struct mount *m)
{
    const struct options *o = m->options;
    const struct store_config store = {.dir = o->no_cache ? NULL : o->cache_dir,
                                       .host = o->api.key,
                                       .cache_size = o->cache_size,
                                       .memory = o->memory,
                                       .files = m->log_files,
                                       .diag = m->diag,
                                       .now_ms = net_now_ms};
    int rc = waits_init(&m->waits);

    if (rc)
        return rc;
    m->has_waits = true;
    return store_create(&store, &m->store);
}

/* The source gives up a little before its readers' time is over, so that they hear what was wrong
 * rather than that it took too long. */
static int64_t source_deadline_ms(const struct options *o)
{
    int64_t deadline_ms = o->deadline * INT64_C(1000);

    return deadline_ms - (deadline_ms / 4 < 2000 ? deadline_ms / 4 : 2000);
}

static int build_source(struct mount *m)
{
    const struct options *o = m->options;
    const struct net_config net = {.connections = m->connections,
                                   .timeout_s = o->timeout,
                                   .user_agent = version_get_user_agent(),
                                   .ca_file = o->ca_file,
                                   .proxy = o->proxy,
                                   .no_proxy = o->no_proxy,
                                   .allow_http = !strcmp(o->api.scheme, "http"),
                                   .diag = m->diag};
    struct api_config api = {.base = o->api.url,
                             .token = o->token[0] ? o->token : NULL,
                             .diag = m->diag,
                             .listener = {.who = m, .job_learnt = on_job_learnt},
                             .reread_token = o->token_file ? on_token_wanted : NULL,
                             .who = m,
                             .deadline_ms = source_deadline_ms(o),
                             .wait_ms = o->wait * INT64_C(1000),
                             .reserve = o->reserve,
                             .connections = m->connections,
                             .offline = o->offline};
    int rc = net_create(&net, &m->net);

    if (rc)
        return rc;
    api.net = m->net;
    rc = api_create(&api, &m->api);
    options_forget_token(m->options);
    return rc;
}

/* What can be done without is not waited for until nothing at all can be shown. */
static int64_t patience_ms(const struct options *o)
{
    int64_t deadline_ms = source_deadline_ms(o);

    return deadline_ms < PATIENCE_MS ? deadline_ms : PATIENCE_MS;
}

static int build_upper(struct mount *m)
{
    const struct options *o = m->options;
    const struct cache_config cache = {.waits = &m->waits,
                                       .store = m->store,
                                       .source = api_source(m->api),
                                       .now_ms = net_now_ms,
                                       .diag = m->diag,
                                       .idle_max = m->log_files};
    const struct catalog_config catalog = {.waits = &m->waits,
                                           .store = m->store,
                                           .source = api_source(m->api),
                                           .diag = m->diag,
                                           .now_ms = net_now_ms,
                                           .wall_ms = wall_ms,
                                           .fresh_ms = o->fresh * INT64_C(1000),
                                           .patience_ms = patience_ms(o)};
    int rc = cache_create(&cache, &m->cache);

    return rc ? rc : catalog_create(&catalog, &m->catalog);
}

static int build_views(struct mount *m)
{
    struct view_config views = {.cache = m->cache,
                                .catalog = m->catalog,
                                .store = m->store,
                                .waits = &m->waits,
                                .now_ms = net_now_ms,
                                .runs = m->options->runs,
                                .prefetch = m->options->prefetch,
                                .timestamps = m->options->timestamps,
                                .has_token = m->options->token_source != OPTIONS_TOKEN_NONE,
                                .mounted_ms = wall_ms(),
                                .options = m->options_text,
                                .version = m->version_text,
                                .stats = print_stats,
                                .who = m};

    return views_create(&views, &m->views);
}

static int prepare(struct mount *m)
{
    char message[OPTIONS_MESSAGE_CAP];
    int rc = mountpoint_check(m->options->mountpoint, message, sizeof(message));

    if (rc) {
        fprintf(stderr, "ghlogfs: %s\n", message);
        return rc;
    }
    m->options_text = options_describe(m->options);
    m->version_text = version_make_text();
    m->attend_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->diag = diag_create(net_now_ms, m->options->debug);
    return m->options_text && m->version_text && m->diag && m->attend_fd >= 0 ? 0 : -ENOMEM;
}

static int build_session(struct mount *m)
{
    const struct options *o = m->options;
    const struct session_config session = {.views = m->views,
                                           .waits = &m->waits,
                                           .mountpoint = o->mountpoint,
                                           .argc = o->mount_argc,
                                           .argv = o->mount_argv,
                                           .workers = WORKERS,
                                           .debug = o->debug};

    return session_create(&session, &m->session);
}

/* From the ground up; what stands when one fails is taken down by mount_destroy. */
static int build(struct mount *m)
{
    int rc = share_files(m);

    if (!rc)
        rc = build_ground(m);
    if (!rc)
        rc = build_source(m);
    if (!rc)
        rc = build_upper(m);
    if (!rc)
        rc = build_views(m);
    if (!rc)
        rc = build_session(m);
    return rc;
}

/* What to do about it, where that is not plain. */
static const char *hint_at(int rc)
{
    switch (rc) {
    case -EAGAIN: return " (no thread can be started: ulimit -u, ulimit -v, TasksMax=)";
    case -ENOMEM: return " (ulimit -v, ulimit -d, MemoryMax=)";
    default: return "";
    }
}

int mount_create(struct options *options, struct mount **ret_mount)
{
    struct mount *m = calloc(1, sizeof(*m));
    const char *what = "cannot start";
    int rc;

    if (!m)
        return -ENOMEM;
    m->options = options;
    m->attend_fd = -1;
    rc = prepare(m);
    if (rc)
        goto out;
    privileges_drop(m->diag);
    rc = build(m);
    if (rc)
        goto out_say;
    what = "cannot mount";
    rc = session_mount(m->session);
    if (!rc)
        rc = session_start(m->session);
    if (rc)
        goto out_say;
    *ret_mount = m;
    return 0;

out_say:
    diag_say(m->diag, DIAG_ERROR, "%s: %s%s", what, strerror(-rc), hint_at(rc));
out:
    mount_destroy(m);
    return rc;
}

int mount_get_ready_fd(const struct mount *m)
{
    return session_get_ready_fd(m->session);
}

int mount_get_ended_fd(const struct mount *m)
{
    return session_get_ended_fd(m->session);
}

int mount_get_attend_fd(const struct mount *m)
{
    return m->attend_fd;
}

void mount_use_journal(struct mount *m)
{
    diag_use_journal(m->diag);
}

/* --- living in it --- */

void mount_log_ending(struct mount *m, int sig)
{
    diag_say(m->diag, DIAG_NOTICE, "unmounting after signal %d%s", sig,
             sig == SIGXCPU ? ": the time of the processor is used up (ulimit -t, LimitCPU=)" : "");
}

static void read_token_again(struct mount *m)
{
    char token[OPTIONS_TOKEN_CAP];
    int rc = options_reread_token(m->options, token, sizeof(token));

    if (rc)
        diag_say(m->diag, DIAG_WARNING, "the token file cannot be read again: %s", strerror(-rc));
    api_set_token(m->api, rc ? NULL : token);
    explicit_bzero(token, sizeof(token));
}

void mount_attend(struct mount *m)
{
    eventfd_t ignored;

    eventfd_read(m->attend_fd, &ignored);
    if (atomic_exchange(&m->token_wanted, false))
        read_token_again(m);
    waits_expire(&m->waits, net_now_ms(), m->options->deadline * INT64_C(1000));
    session_tick(m->session);
}

/* --- taking down --- */

void mount_destroy(struct mount *m)
{
    if (!m)
        return;
    if (m->session)
        session_stop(m->session);
    if (m->has_waits)
        waits_fail_all(&m->waits, -ECONNABORTED); /* the text thread waits there too */
    views_stop(m->views);
    session_destroy(m->session);
    cache_close(m->cache);
    if (m->api)
        api_close(m->api);
    if (m->net)
        net_stop(m->net);
    cache_stop(m->cache);
    catalog_stop(m->catalog);
    views_destroy(m->views);
    catalog_destroy(m->catalog);
    cache_destroy(m->cache);
    api_destroy(m->api);
    net_destroy(m->net);
    store_destroy(m->store);
    if (m->has_waits)
        waits_finish(&m->waits);
    diag_destroy(m->diag);
    if (m->attend_fd >= 0)
        close(m->attend_fd);
    free(m->options_text);
    free(m->version_text);
    free(m);
}
