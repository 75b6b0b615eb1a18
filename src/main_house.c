#include "main_house.h"

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

struct house {
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
    struct house *h = who;

    atomic_store(&h->token_wanted, true);
    eventfd_write(h->attend_fd, 1);
}

static void on_job_learnt(void *who, const struct repo_name *repo, uint64_t job, const char *body,
                          size_t len)
{
    struct house *h = who;

    if (h->catalog)
        catalog_job_learnt(h->catalog, repo, job, body, len);
}

static char *print_stats(void *who)
{
    struct house *h = who;
    struct cache_stats cache;
    struct api_stats api;
    uint64_t used, limit;
    char *text;

    cache_get_stats(h->cache, &cache);
    api_read_stats(h->api, &api);
    store_usage(h->store, &used, &limit);
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
static int share_files(struct house *h)
{
    struct process_limits limits;
    uint64_t rest;

    process_get_limits(&limits);
    if (limits.files < FILES_FIXED + FILES_LEAST) {
        diag_say(h->diag, DIAG_ERROR,
                 "the limit of open files is %" PRIu64 ", at least %u are needed "
                 "(ulimit -n, LimitNOFILE=)",
                 limits.files, FILES_FIXED + FILES_LEAST);
        return -EMFILE;
    }
    rest = limits.files - FILES_FIXED;
    h->log_files = rest / 2 < LOG_FILES_MAX ? (unsigned)(rest / 2) : LOG_FILES_MAX;
    h->connections = h->options->connections;
    if (h->connections > rest / 6)
        h->connections = (unsigned)(rest / 6);
    if (h->connections < h->options->connections)
        diag_say(h->diag, DIAG_WARNING,
                 "the limit of open files is %" PRIu64 ": %u connections are used, not %u "
                 "(ulimit -n, LimitNOFILE=)",
                 limits.files, h->connections, h->options->connections);
    if (limits.file_size < h->options->cache_size)
        diag_say(h->diag, DIAG_WARNING,
                 "the limit of a file's size is %" PRIu64 " bytes: larger logs are read in "
                 "memory and not kept (ulimit -f, LimitFSIZE=)",
                 limits.file_size);
    return 0;
}

static int build_ground(struct house *h)
{
    const struct options *o = h->options;
    const struct store_config store = {.dir = o->no_cache ? NULL : o->cache_dir,
                                       .host = o->api.key,
                                       .cache_size = o->cache_size,
                                       .memory = o->memory,
                                       .files = h->log_files,
                                       .diag = h->diag,
                                       .now_ms = net_now_ms};
    int rc = waits_init(&h->waits);

    if (rc)
        return rc;
    h->has_waits = true;
    return store_create(&store, &h->store);
}

/* The source gives up a little before its readers' time is over, so that they hear what was wrong
 * rather than that it took too long. */
static int64_t source_deadline_ms(const struct options *o)
{
    int64_t deadline_ms = o->deadline * INT64_C(1000);

    return deadline_ms - (deadline_ms / 4 < 2000 ? deadline_ms / 4 : 2000);
}

static int build_source(struct house *h)
{
    const struct options *o = h->options;
    const struct net_config net = {.connections = h->connections,
                                   .timeout_s = o->timeout,
                                   .user_agent = version_get_user_agent(),
                                   .ca_file = o->ca_file,
                                   .proxy = o->proxy,
                                   .no_proxy = o->no_proxy,
                                   .allow_http = !strcmp(o->api.scheme, "http"),
                                   .diag = h->diag};
    struct api_config api = {.base = o->api.url,
                             .token = o->token[0] ? o->token : NULL,
                             .diag = h->diag,
                             .listener = {.who = h, .job_learnt = on_job_learnt},
                             .reread_token = o->token_file ? on_token_wanted : NULL,
                             .who = h,
                             .deadline_ms = source_deadline_ms(o),
                             .wait_ms = o->wait * INT64_C(1000),
                             .reserve = o->reserve,
                             .connections = h->connections,
                             .offline = o->offline};
    int rc = net_create(&net, &h->net);

    if (rc)
        return rc;
    api.net = h->net;
    rc = api_create(&api, &h->api);
    options_forget_token(h->options);
    return rc;
}

/* What can be done without is not waited for until nothing at all can be shown. */
static int64_t patience_ms(const struct options *o)
{
    int64_t deadline_ms = source_deadline_ms(o);

    return deadline_ms < PATIENCE_MS ? deadline_ms : PATIENCE_MS;
}

static int build_upper(struct house *h)
{
    const struct options *o = h->options;
    const struct cache_config cache = {.waits = &h->waits,
                                       .store = h->store,
                                       .source = api_source(h->api),
                                       .now_ms = net_now_ms,
                                       .diag = h->diag,
                                       .idle_max = h->log_files};
    const struct catalog_config catalog = {.waits = &h->waits,
                                           .store = h->store,
                                           .source = api_source(h->api),
                                           .diag = h->diag,
                                           .now_ms = net_now_ms,
                                           .wall_ms = wall_ms,
                                           .fresh_ms = o->fresh * INT64_C(1000),
                                           .patience_ms = patience_ms(o)};
    int rc = cache_create(&cache, &h->cache);

    return rc ? rc : catalog_create(&catalog, &h->catalog);
}

static int build_views(struct house *h)
{
    struct view_config views = {.cache = h->cache,
                                .catalog = h->catalog,
                                .store = h->store,
                                .waits = &h->waits,
                                .now_ms = net_now_ms,
                                .runs = h->options->runs,
                                .prefetch = h->options->prefetch,
                                .timestamps = h->options->timestamps,
                                .has_token = h->options->token_source != OPTIONS_TOKEN_NONE,
                                .mounted_ms = wall_ms(),
                                .options = h->options_text,
                                .version = h->version_text,
                                .stats = print_stats,
                                .who = h};

    return views_create(&views, &h->views);
}

static int prepare(struct house *h)
{
    char message[OPTIONS_MESSAGE_CAP];
    int rc = mountpoint_check(h->options->mountpoint, message, sizeof(message));

    if (rc) {
        fprintf(stderr, "ghlogfs: %s\n", message);
        return rc;
    }
    h->options_text = options_describe(h->options);
    h->version_text = version_make_text();
    h->attend_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    h->diag = diag_create(net_now_ms, h->options->debug);
    return h->options_text && h->version_text && h->diag && h->attend_fd >= 0 ? 0 : -ENOMEM;
}

static int build_session(struct house *h)
{
    const struct options *o = h->options;
    const struct session_config session = {.views = h->views,
                                           .waits = &h->waits,
                                           .mountpoint = o->mountpoint,
                                           .argc = o->mount_argc,
                                           .argv = o->mount_argv,
                                           .workers = WORKERS,
                                           .debug = o->debug};

    return session_create(&session, &h->session);
}

/* From the ground up; what stands when one fails is taken down by house_destroy. */
static int build(struct house *h)
{
    int rc = share_files(h);

    if (!rc)
        rc = build_ground(h);
    if (!rc)
        rc = build_source(h);
    if (!rc)
        rc = build_upper(h);
    if (!rc)
        rc = build_views(h);
    if (!rc)
        rc = build_session(h);
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

int house_create(struct options *options, struct house **ret_house)
{
    struct house *h = calloc(1, sizeof(*h));
    const char *what = "cannot start";
    int rc;

    if (!h)
        return -ENOMEM;
    h->options = options;
    h->attend_fd = -1;
    rc = prepare(h);
    if (rc)
        goto out;
    privileges_drop(h->diag);
    rc = build(h);
    if (rc)
        goto out_say;
    what = "cannot mount";
    rc = session_mount(h->session);
    if (!rc)
        rc = session_start(h->session);
    if (rc)
        goto out_say;
    *ret_house = h;
    return 0;

out_say:
    diag_say(h->diag, DIAG_ERROR, "%s: %s%s", what, strerror(-rc), hint_at(rc));
out:
    house_destroy(h);
    return rc;
}

int house_get_ready_fd(const struct house *h)
{
    return session_get_ready_fd(h->session);
}

int house_get_ended_fd(const struct house *h)
{
    return session_get_ended_fd(h->session);
}

int house_get_attend_fd(const struct house *h)
{
    return h->attend_fd;
}

void house_use_journal(struct house *h)
{
    diag_use_journal(h->diag);
}

/* --- living in it --- */

void house_say_ending(struct house *h, int sig)
{
    diag_say(h->diag, DIAG_NOTICE, "unmounting after signal %d%s", sig,
             sig == SIGXCPU ? ": the time of the processor is used up (ulimit -t, LimitCPU=)" : "");
}

static void read_token_again(struct house *h)
{
    char token[OPTIONS_TOKEN_CAP];
    int rc = options_reread_token(h->options, token, sizeof(token));

    if (rc)
        diag_say(h->diag, DIAG_WARNING, "the token file cannot be read again: %s", strerror(-rc));
    api_set_token(h->api, rc ? NULL : token);
    explicit_bzero(token, sizeof(token));
}

void house_attend(struct house *h)
{
    eventfd_t ignored;

    eventfd_read(h->attend_fd, &ignored);
    if (atomic_exchange(&h->token_wanted, false))
        read_token_again(h);
    waits_expire(&h->waits, net_now_ms(), h->options->deadline * INT64_C(1000));
    session_tick(h->session);
}

/* --- taking down --- */

void house_destroy(struct house *h)
{
    if (!h)
        return;
    if (h->session)
        session_stop(h->session);
    if (h->has_waits)
        waits_fail_all(&h->waits, -ECONNABORTED); /* the text thread waits there too */
    views_stop(h->views);
    session_destroy(h->session);
    cache_close(h->cache);
    if (h->api)
        api_close(h->api);
    if (h->net)
        net_stop(h->net);
    cache_stop(h->cache);
    catalog_stop(h->catalog);
    views_destroy(h->views);
    catalog_destroy(h->catalog);
    cache_destroy(h->cache);
    api_destroy(h->api);
    net_destroy(h->net);
    store_destroy(h->store);
    if (h->has_waits)
        waits_finish(&h->waits);
    diag_destroy(h->diag);
    if (h->attend_fd >= 0)
        close(h->attend_fd);
    free(h->options_text);
    free(h->version_text);
    free(h);
}
