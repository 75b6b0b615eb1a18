#include "main_mount.h"

#include "archive/archive.h"
#include "cache/cache.h"
#include "catalog/catalog.h"
#include "diag.h"
#include "fs/mountpoint.h"
#include "fs/session.h"
#include "github/api.h"
#include "main_notify.h"
#include "main_process.h"
#include "main_progress.h"
#include "main_stats.h"
#include "options_shared.h"
#include "options_token.h"
#include "pending.h"
#include "shared/shared.h"
#include "store/store.h"
#include "views/views.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 2
#define PATIENCE_MS 8000 /* the longest wait for an answer that the caller can do without */
#define TICK_MS 1000     /* deadlines and killed readers are checked this often */

/*
 * The allocator returns only free memory at the heap's end to the system. One small block there
 * holds all that was freed below it, such as the nodes of 200,000 names that the kernel has
 * forgotten (70 MiB). So main's loop trims the heap after so many turns, which mostly take a second
 * each.
 */
#define TRIM_TURNS 10
#define STATUS_TURNS 10 /* the service manager is told no more often, and nothing twice */

/* Descriptors that are open whatever the number of logs: the standard ones, FUSE, signals, events,
 * curl's own, the cache directory, the pipes of three threads that splice. */
#define FILES_FIXED 24u
#define FILES_SHARED 8u /* besides, with a shared store */
#define FILES_LEAST 16u
#define LOG_FILES_MAX 32768

struct mount {
    struct options *options;
    char *options_text, *version_text;
    unsigned log_files, connections; /* at most, as the limit of open files allows */
    int tick_fd;       /* eventfd; readable: the main thread has work before its second is over */
    int64_t started_s; /* UTC */
    atomic_bool token_wanted, key_wanted;
    struct diag *diag;
    struct waits waits;
    bool has_waits;
    struct store *store;
    struct net *net;
    struct api *api;
    struct net *shared_net; /* NULL: there is no shared store */
    struct shared *shared;
    struct cache *cache;
    struct catalog *catalog;
    struct views *views;
    struct session *session;
    char status[NOTIFY_TEXT_CAP]; /* the last that the service manager was told; main's thread */
};

char *mount_make_version(void)
{
    struct utsname kernel = {.sysname = "unknown"};
    char curl[128], *text;

    uname(&kernel);
    net_describe_library(curl, sizeof(curl));
    if (asprintf(&text, "ghlogfs %s\nlibfuse %s\n%s\n%s %s, /dev/fuse %s\n", GHLOGFS_VERSION,
                 session_library_version(), curl, kernel.sysname, kernel.release,
                 access("/dev/fuse", F_OK) == 0 ? "present" : "missing") < 0)
        return NULL;
    return text;
}

/* --- what modules call through pointers --- */

static int64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* On the network thread, which must not touch the disk: main's thread reads the file. */
static void on_token_wanted(void *who)
{
    struct mount *m = who;

    atomic_store(&m->token_wanted, true);
    eventfd_write(m->tick_fd, 1);
}

static void on_key_wanted(void *who)
{
    struct mount *m = who;

    atomic_store(&m->key_wanted, true);
    eventfd_write(m->tick_fd, 1);
}

static enum shared_proof get_proof(void *who, const struct repo_name *repo, uint64_t job)
{
    struct mount *m = who;
    bool completed;

    if (!catalog_is_proven(m->catalog, repo, job, &completed))
        return SHARED_UNPROVEN;
    return completed ? SHARED_PROVEN : SHARED_RUNNING;
}

static bool is_proven(void *who, const struct repo_name *repo, uint64_t job)
{
    struct mount *m = who;
    bool completed;

    /* Without a token GitHub lists jobs, but gives no logs. */
    return m->options->token_source != OPTIONS_TOKEN_NONE &&
           catalog_is_proven(m->catalog, repo, job, &completed);
}

static enum views_shared ask_shared(void *who, uint64_t job)
{
    struct mount *m = who;

    switch (shared_find(m->shared, job)) {
    case SHARED_HAS: return VIEWS_SHARED_HAS;
    case SHARED_MAY_HAVE: return VIEWS_SHARED_UNKNOWN;
    case SHARED_LACKS: break;
    }
    return VIEWS_SHARED_LACKS;
}

static void on_published(void *who, const struct repo_name *repo, uint64_t job)
{
    struct mount *m = who;

    shared_note_published(m->shared, repo, job);
}

static void on_job_learnt(void *who, const struct repo_name *repo, uint64_t job, const char *body,
                          size_t len)
{
    struct mount *m = who;

    if (m->catalog)
        catalog_job_learnt(m->catalog, repo, job, body, len);
}

/* For `.ghlogfs/stats`, `metrics` and `metrics.prom`; in memory, never waits. */
static char *print_stats(void *who, enum vnode_kind kind)
{
    static const enum stats_format formats[] = {[VNODE_STATS] = STATS_PLAIN,
                                                [VNODE_METRICS] = STATS_OPENMETRICS,
                                                [VNODE_PROMETHEUS] = STATS_PROMETHEUS};
    struct mount *m = who;
    struct stats s = {.mountpoint = m->options->mountpoint,
                      .libfuse = session_library_version(),
                      .has_shared = m->shared != NULL,
                      .started_s = m->started_s};

    net_describe_library(s.libcurl, sizeof(s.libcurl));
    api_read_stats(m->api, &s.api);
    cache_get_stats(m->cache, &s.cache);
    session_get_stats(m->session, &s.session);
    views_get_archives_stats(m->views, &s.archives);
    s.reports = views_get_reports_made(m->views);
    store_usage(m->store, &s.used, &s.limit);
    store_get_evicted(m->store, &s.evicted, &s.evicted_bytes);
    if (m->shared)
        shared_get_stats(m->shared, &s.shared);
    return stats_print(&s, formats[kind]);
}

static char *print_progress(void *who)
{
    struct mount *m = who;
    const struct progress_modules modules = {.api = m->api,
                                             .cache = m->cache,
                                             .catalog = m->catalog,
                                             .views = m->views,
                                             .shared = m->shared};
    struct progress_snapshot *s = calloc(1, sizeof(*s));
    char *text = NULL;

    if (s) {
        progress_collect(&modules, s);
        text = progress_print(s, net_now_ms(), net_wall_s());
    }
    free(s);
    return text;
}

/* --- creating, from the lowest layer up --- */

/* libcurl keeps as many idle connections as are in use; the rest is for files that are open for a
 * moment. */
bool mount_divide_files(const struct options *o, uint64_t files, unsigned *ret_logs,
                        unsigned *ret_connections, uint64_t *ret_least)
{
    bool has_shared = o->shared && !o->offline;
    uint64_t fixed = FILES_FIXED + (has_shared ? FILES_SHARED : 0), share = has_shared ? 10 : 6;
    uint64_t rest;

    *ret_least = fixed + FILES_LEAST;
    if (files < *ret_least)
        return false;
    rest = files - fixed;
    *ret_logs = rest / 2 < LOG_FILES_MAX ? (unsigned)(rest / 2) : LOG_FILES_MAX;
    *ret_connections = o->connections;
    if (*ret_connections > rest / share)
        *ret_connections = (unsigned)(rest / share);
    return true;
}

static int divide_files(struct mount *m)
{
    uint64_t files = process_get_limit(RLIMIT_NOFILE);
    uint64_t file_size = process_get_limit(RLIMIT_FSIZE), least;

    if (!mount_divide_files(m->options, files, &m->log_files, &m->connections, &least)) {
        diag_log(m->diag, DIAG_ERROR,
                 "the limit of open files is %" PRIu64 ", at least %" PRIu64 " are needed "
                 "(ulimit -n, LimitNOFILE=)",
                 files, least);
        return -EMFILE;
    }
    if (m->connections < m->options->connections)
        diag_log(m->diag, DIAG_WARNING,
                 "the limit of open files is %" PRIu64 ": %u connections are used, not %u "
                 "(ulimit -n, LimitNOFILE=)",
                 files, m->connections, m->options->connections);
    if (file_size < m->options->cache_size)
        diag_log(m->diag, DIAG_WARNING,
                 "the limit of a file's size is %" PRIu64 " bytes: larger logs are read in "
                 "memory and not kept (ulimit -f, LimitFSIZE=)",
                 file_size);
    return 0;
}

struct net_config mount_make_net_config(const struct options *o, unsigned connections,
                                        struct diag *diag)
{
    return (struct net_config){.connections = connections,
                               .timeout_s = o->timeout,
                               .user_agent = "ghlogfs/" GHLOGFS_VERSION,
                               .ca_file = o->ca_file,
                               .proxy = o->proxy,
                               .no_proxy = o->no_proxy,
                               .allow_http = !strcmp(o->api.scheme, "http"),
                               .diag = diag};
}

struct net_config mount_make_shared_net_config(const struct options *o, unsigned connections,
                                               struct diag *diag)
{
    struct net_config net = mount_make_net_config(o, connections, diag);

    net.timeout_s = SHARED_TIMEOUT_S;
    net.connect_ms = SHARED_CONNECT_MS;
    net.allow_http = o->shared_location.is_plain;
    net.thread = "ghlogfs-store";
    /* A proxy would see the key of a store that is asked over plain http. */
    if (net.allow_http)
        net.proxy = NULL;
    return net;
}

/* The source gives up a little before the deadline of its readers, so that they get the cause of a
 * failure rather than a timeout. */
static int64_t source_deadline_ms(const struct options *o)
{
    int64_t deadline_ms = o->deadline * INT64_C(1000);

    return deadline_ms - (deadline_ms / 4 < 2000 ? deadline_ms / 4 : 2000);
}

/* Archives may pause for long with their connections: some are left to readers. */
static unsigned count_archives(unsigned connections)
{
    unsigned count = connections - (connections + 3) / 4;

    return count < ARCHIVES_MAX ? count : ARCHIVES_MAX;
}

/* Between the source that asks GitHub and who wants bytes. */
static int create_shared(struct mount *m)
{
    struct options *o = m->options;
    const struct shared_location *location = &o->shared_location;
    /* An upload has a connection of its own, so that no question waits for it. */
    const struct net_config net = mount_make_shared_net_config(o, m->connections + o->shared_write,
                                                               m->diag);
    struct shared_config shared = {.behind = api_source(m->api),
                                   .connections = m->connections,
                                   .location = location,
                                   .host = o->api.key,
                                   .has_token = o->token_source != OPTIONS_TOKEN_NONE,
                                   .store = o->shared_write ? m->store : NULL,
                                   .verify = o->shared_verify,
                                   .trust = o->shared_trust != NULL,
                                   .diag = m->diag,
                                   .get_proof = get_proof,
                                   .job_learnt = on_job_learnt,
                                   .reread_key = o->shared_key_file ? on_key_wanted : NULL,
                                   .who = m};
    int rc = net_create(&net, &m->shared_net);

    shared.net = m->shared_net;
    return rc ? rc : shared_create(&shared, &o->shared_key, &m->shared);
}

static struct source source_of(struct mount *m)
{
    return m->shared ? shared_source(m->shared) : api_source(m->api);
}

static int create_lower(struct mount *m)
{
    struct options *o = m->options;
    const struct store_config store = {.dir = o->no_cache ? NULL : o->cache_dir,
                                       .host = o->api.key,
                                       .cache_size = o->cache_size,
                                       .memory = o->memory,
                                       .files = m->log_files,
                                       .diag = m->diag,
                                       .now_ms = net_now_ms};
    const struct net_config net = mount_make_net_config(o, m->connections, m->diag);
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
    int rc = waits_init(&m->waits);

    m->has_waits = rc == 0;
    if (!rc)
        rc = store_create(&store, &m->store);
    if (!rc)
        rc = net_create(&net, &m->net);
    if (rc)
        return rc;
    api.net = m->net;
    rc = api_create(&api, &m->api);
    if (!rc && o->shared && !o->offline)
        rc = create_shared(m);
    options_forget_token(o);
    return rc;
}

static int create_session(struct mount *m)
{
    const struct session_config session = {.views = m->views,
                                           .waits = &m->waits,
                                           .mountpoint = m->options->mountpoint,
                                           .argc = m->options->mount_argc,
                                           .argv = m->options->mount_argv,
                                           .workers = WORKERS,
                                           .now_ms = net_now_ms,
                                           .diag = m->options->debug ? m->diag : NULL};

    return session_create(&session, &m->session);
}

static int create_upper(struct mount *m)
{
    const struct options *o = m->options;
    int64_t patience_ms = source_deadline_ms(o);
    struct cache_config cache = {.waits = &m->waits,
                                 .store = m->store,
                                 .source = source_of(m),
                                 .now_ms = net_now_ms,
                                 .diag = m->diag,
                                 .is_proven = is_proven,
                                 .has_copies = m->shared != NULL,
                                 .published = m->shared ? on_published : NULL,
                                 .who = m,
                                 .idle_max = m->log_files};
    struct catalog_config catalog = {.waits = &m->waits,
                                     .store = m->store,
                                     .source = source_of(m),
                                     .diag = m->diag,
                                     .now_ms = net_now_ms,
                                     .wall_ms = wall_ms,
                                     .fresh_ms = o->fresh * INT64_C(1000),
                                     .patience_ms = patience_ms < PATIENCE_MS ? patience_ms
                                                                              : PATIENCE_MS};
    struct view_config views = {.store = m->store,
                                .waits = &m->waits,
                                .now_ms = net_now_ms,
                                .runs = o->runs,
                                .prefetch = o->prefetch,
                                .archive_jobs = o->no_cache || o->offline ? 0 : o->archive_jobs,
                                .archives_max = count_archives(m->connections),
                                .archive_wait_ms = patience_ms,
                                .source = source_of(m),
                                .ask_shared = m->shared ? ask_shared : NULL,
                                .published = m->shared ? on_published : NULL,
                                .diag = m->diag,
                                .wall_s = net_wall_s,
                                .timestamps = o->timestamps,
                                .has_token = o->token_source != OPTIONS_TOKEN_NONE,
                                .mounted_ms = wall_ms(),
                                .options = m->options_text,
                                .version = m->version_text,
                                .stats = print_stats,
                                .progress = print_progress,
                                .who = m};
    int rc = cache_create(&cache, &m->cache);

    if (!rc)
        rc = catalog_create(&catalog, &m->catalog);
    views.cache = m->cache;
    views.catalog = m->catalog;
    if (!rc)
        rc = views_create(&views, &m->views);
    return rc ? rc : create_session(m);
}

/* What to do about a failure whose errno does not tell. */
static const char *hint_of(int rc)
{
    switch (rc) {
    case -EAGAIN: return " (no thread can be started: ulimit -u, ulimit -v, TasksMax=)";
    case -ENOMEM: return " (ulimit -v, ulimit -d, MemoryMax=)";
    default: return "";
    }
}

/* What has been created when something fails is the caller's to destroy. */
static int start(struct mount *m)
{
    char message[OPTIONS_MESSAGE_CAP] = "";
    int rc;

    m->options_text = options_describe(m->options);
    m->version_text = mount_make_version();
    m->tick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->diag = diag_create(net_now_ms, wall_ms, m->options->debug);
    if (!m->options_text || !m->version_text || !m->diag || m->tick_fd < 0) {
        diag_print(DIAG_ERROR, "cannot start: %s%s", strerror(ENOMEM), hint_of(-ENOMEM));
        return -ENOMEM;
    }
    process_drop_privileges(m->diag);
    rc = divide_files(m);
    if (!rc)
        rc = create_lower(m);
    if (!rc)
        rc = create_upper(m);
    if (!rc)
        rc = session_mount(m->session, message, sizeof(message));
    if (!rc)
        rc = session_start(m->session);
    if (message[0])
        diag_log(m->diag, DIAG_ERROR, "%s", message);
    else if (rc)
        diag_log(m->diag, DIAG_ERROR, "cannot start: %s%s", strerror(-rc), hint_of(rc));
    else
        diag_log(m->diag, DIAG_DEBUG, "mounted on %s: %s, cache in %s, libfuse %s",
                 m->options->mountpoint, m->options->api.url,
                 m->options->no_cache ? "memory" : m->options->cache_dir,
                 session_library_version());
    return rc;
}

/* What is read again while the mount is there must not be hidden by it. */
static int check_hidden(const struct options *o, char *message, size_t message_cap)
{
    const char *const paths[][2] = {{"cache_dir", o->no_cache ? NULL : o->cache_dir},
                                    {"token_file", o->token_file},
                                    {"ca_file", o->ca_file},
                                    {"shared_key_file", o->shared_key_file}};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (!paths[i][1] || !mountpoint_hides(o->mountpoint, paths[i][1]))
            continue;
        snprintf(message, message_cap,
                 "cannot mount on %s: the mount would hide %s %s (give one outside)", o->mountpoint,
                 paths[i][0], paths[i][1]);
        return -EINVAL;
    }
    return 0;
}

int mount_create(struct options *options, struct mount **ret_mount)
{
    char message[OPTIONS_MESSAGE_CAP];
    struct mount *m;
    int rc = mountpoint_check(options->mountpoint, message, sizeof(message));

    if (!rc)
        rc = check_hidden(options, message, sizeof(message));
    if (rc) {
        diag_print(DIAG_ERROR, "%s", message);
        return rc;
    }
    m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->options = options;
    m->tick_fd = -1;
    m->started_s = net_wall_s();
    rc = start(m);
    if (rc)
        mount_destroy(m);
    else
        *ret_mount = m;
    return rc;
}

/* --- serving --- */

static void tick(struct mount *m)
{
    eventfd_t ignored;

    eventfd_read(m->tick_fd, &ignored);
    if (atomic_exchange(&m->token_wanted, false)) {
        char token[OPTIONS_TOKEN_CAP];
        int rc = options_reread_token(m->options, token, sizeof(token));

        if (rc)
            diag_log(m->diag, DIAG_ERROR,
                     "GitHub refuses the token, and token_file %s cannot be read again: %s",
                     m->options->token_file, strerror(-rc));
        api_set_token(m->api, rc ? NULL : token);
        explicit_bzero(token, sizeof(token));
    }
    if (atomic_exchange(&m->key_wanted, false)) {
        struct shared_credentials key;
        int rc = options_reread_shared_key(m->options, &key);

        if (rc)
            diag_log(m->diag, DIAG_WARNING,
                     "the shared store refuses its key, and shared_key_file %s cannot be used: %s",
                     m->options->shared_key_file, strerror(-rc));
        else
            shared_set_credentials(m->shared, &key);
        shared_credentials_finish(&key);
    }
    waits_expire(&m->waits, net_now_ms(), m->options->deadline * INT64_C(1000));
    session_tick(m->session);
}

/* The status line, if it has changed. `head` comes before it. */
static void tell_status(struct mount *m, const struct notify *notify, const char *head)
{
    struct notify_status status = {.offline = m->options->offline, .now_s = net_wall_s()};
    char text[NOTIFY_TEXT_CAP], lines[NOTIFY_TEXT_CAP + 16];
    struct api_stats api;
    int rc;

    api_read_stats(m->api, &api);
    status.requests = api.requests;
    status.limit = api.limit;
    status.remaining = api.remaining;
    status.reset_s = api.reset_s;
    store_usage(m->store, &status.used, &status.size);
    notify_print_status(&status, text);
    if (!head[0] && strcmp(text, m->status) == 0)
        return;
    memcpy(m->status, text, sizeof(text));
    snprintf(lines, sizeof(lines), "%s%s", head, text);
    rc = notify_send(notify, lines);
    if (rc && head[0])
        diag_log(m->diag, DIAG_WARNING, "the service manager cannot be told (NOTIFY_SOCKET): %s",
                 strerror(-rc));
}

/* In the background it is the parent who tells the service manager, as the process that this knows.
 */
static void become_ready(struct mount *m, int parent_fd, const struct notify *notify)
{
    if (parent_fd < 0) {
        tell_status(m, notify, "READY=1\n");
        return;
    }
    diag_use_journal(m->diag);
    process_detach(parent_fd);
}

/* Reports an end that the user did not ask for by hand: a limit of CPU time, an alarm. */
static void log_signal(struct mount *m, int signal_fd)
{
    struct signalfd_siginfo info;

    if (read(signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info) ||
        info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
        return;
    diag_log(m->diag, DIAG_NOTICE, "unmounting after signal %d%s", (int)info.ssi_signo,
             info.ssi_signo == SIGXCPU ? ": the limit of CPU time is reached (ulimit -t, LimitCPU=)"
                                       : "");
}

int mount_serve(struct mount *m, int signal_fd, int parent_fd, const struct notify *notify)
{
    struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN},
                           {.fd = session_get_ended_fd(m->session), .events = POLLIN},
                           {.fd = m->tick_fd, .events = POLLIN},
                           {.fd = session_get_ready_fd(m->session), .events = POLLIN}};
    struct pollfd ready = fds[3];

    for (unsigned turn = 1;; turn++) {
        if (poll(fds, sizeof(fds) / sizeof(fds[0]), TICK_MS) < 0 && errno != EINTR)
            return 1;
        if (fds[3].revents) {
            become_ready(m, parent_fd, notify);
            fds[3].fd = -1;
            fds[3].revents = 0;
        }
        if (fds[0].revents) {
            log_signal(m, signal_fd);
            return 0;
        }
        if (fds[1].revents && session_is_out_of_memory(m->session)) {
            diag_log(m->diag, DIAG_ERROR, "no memory to read requests%s", hint_of(-ENOMEM));
            return 1;
        }
        if (fds[1].revents) {
            /* One worker may report the end before another has reported that the mount answers. */
            if (fds[3].fd < 0 || poll(&ready, 1, TICK_MS) > 0)
                return 0;
            diag_print(DIAG_ERROR, "the mount ended before it answered");
            return 1;
        }
        tick(m);
        if (turn % TRIM_TURNS == 0)
            malloc_trim(0);
        if (notify->length && turn % STATUS_TURNS == 0 && fds[3].fd < 0)
            tell_status(m, notify, "");
    }
}

/* --- destroying --- */

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
    shared_stop(m->shared);
    if (m->api)
        api_close(m->api);
    if (m->net)
        net_stop(m->net);
    cache_stop(m->cache);
    catalog_stop(m->catalog);
    views_destroy(m->views);
    catalog_destroy(m->catalog);
    cache_destroy(m->cache);
    shared_destroy(m->shared);
    net_destroy(m->shared_net);
    api_destroy(m->api);
    net_destroy(m->net);
    store_destroy(m->store);
    if (m->has_waits)
        waits_finish(&m->waits);
    diag_destroy(m->diag);
    if (m->tick_fd >= 0)
        close(m->tick_fd);
    free(m->options_text);
    free(m->version_text);
    free(m);
}
