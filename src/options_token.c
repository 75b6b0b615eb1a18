#include "options_token.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 5000

static const char *const own_variables[] = {"GH_TOKEN", "GITHUB_TOKEN", NULL};
static const char *const enterprise_variables[] = {"GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN",
                                                   NULL};

/* ---- what a token may look like ---- */

/* Trims `text` and copies it. A space or a control character inside would end up in a header. */
static int token_accept(const char *text, size_t length, char *token, size_t cap)
{
    static const char blank[] = " \t\r\n";

    while (length > 0 && text[length - 1] != '\0' && strchr(blank, text[length - 1]) != NULL)
        length--;
    while (length > 0 && *text != '\0' && strchr(blank, *text) != NULL) {
        text++;
        length--;
    }
    if (length == 0)
        return -EBADMSG;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f)
            return -EBADMSG;
    }
    if (length >= cap)
        return -ERANGE;
    memcpy(token, text, length);
    token[length] = '\0';
    return 0;
}

/* The first line counts; one that does not fit is no token. */
static int token_from_line(const char *text, size_t length, char *token, size_t cap)
{
    const char *end = memchr(text, '\n', length);

    if (end == NULL && length >= OPTIONS_TOKEN_CAP)
        return -ERANGE;
    return token_accept(text, end != NULL ? (size_t)(end - text) : length, token, cap);
}

/* ---- files ---- */

/* Up to `cap` bytes of what is there. Only a pipe (token_file=<(command)) can make it wait. */
static ssize_t file_read(int fd, char *buffer, size_t cap)
{
    size_t length = 0;

    while (length < cap) {
        ssize_t n = read(fd, buffer + length, cap - length);

        if (n == 0)
            break;
        if (n > 0) {
            length += (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLIN};

            if (poll(&ready, 1, LIMIT_MS) == 0)
                return -ETIMEDOUT;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return (ssize_t)length;
}

/* Nonblocking, so that opening a pipe nobody writes to does not hang the mount. `mode` gets the
 * file's type and permissions. */
static int token_from_file(const char *path, bool regular_only, char *token, size_t cap,
                           mode_t *mode)
{
    char buffer[OPTIONS_TOKEN_CAP];
    struct stat status;
    ssize_t length;
    int rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0) {
        rc = -errno;
        goto out;
    }
    if (regular_only && !S_ISREG(status.st_mode)) {
        rc = -ENOENT;
        goto out;
    }
    length = file_read(fd, buffer, sizeof buffer);
    rc = length < 0 ? (int)length : token_from_line(buffer, (size_t)length, token, cap);
    *mode = status.st_mode;
out:
    close(fd);
    explicit_bzero(buffer, sizeof buffer);
    return rc;
}

/* ---- the environment ---- */

/* The name of the variable that `entry` sets, if it is one of `names`. */
static const char *variable_of(const char *entry, const char *const *names)
{
    for (; *names != NULL; names++) {
        size_t length = strlen(*names);

        if (strncmp(entry, *names, length) == 0 && entry[length] == '=')
            return *names;
    }
    return NULL;
}

/* Removing the pointer alone would leave the bytes in /proc/self/environ. */
static void environment_scrub(char **env)
{
    char **kept = env;

    for (; *env != NULL; env++) {
        if (variable_of(*env, own_variables) || variable_of(*env, enterprise_variables))
            explicit_bzero(*env, strlen(*env));
        else
            *kept++ = *env;
    }
    *kept = NULL;
}

/* ---- gh ---- */

struct gh {
    pid_t pid;
    int output;  /* our end of its stdout; -1 once it is closed */
    int process; /* pidfd: readable when it has ended; -1 where the system has none */
    int timer;
    char text[OPTIONS_TOKEN_CAP];
    size_t length;
};

/* Relative and empty entries of PATH are passed over: what lies in some directory is not gh. */
static int gh_find(char *const *env, char *path, size_t cap)
{
    const char *entry = options_environment(env, "PATH");

    while (entry != NULL && *entry != '\0') {
        size_t length = strcspn(entry, ":");
        int n = snprintf(path, cap, "%.*s/gh", (int)length, entry);

        if (entry[0] == '/' && n > 0 && (size_t)n < cap && access(path, X_OK) == 0)
            return 0;
        entry += length + (entry[length] == ':');
    }
    return -ENOENT;
}

/* In a group of its own, so that a helper it started can be killed with it. */
static int gh_spawn(struct gh *gh, const char *path, const char *host, char **env, int output)
{
    char *argv[] = {(char *)(uintptr_t) "gh",    (char *)(uintptr_t) "auth",
                    (char *)(uintptr_t) "token", (char *)(uintptr_t) "--hostname",
                    (char *)(uintptr_t)host,     NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    int rc;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    rc = posix_spawn(&gh->pid, path, &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

/* Takes what is there without waiting; 0, or -ERANGE when it is more than a token. */
static int gh_read(struct gh *gh)
{
    for (;;) {
        ssize_t n = read(gh->output, gh->text + gh->length, sizeof gh->text - gh->length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n <= 0) {
            close(gh->output);
            gh->output = -1;
            return 0;
        }
        gh->length += (size_t)n;
        if (gh->length == sizeof gh->text)
            return -ERANGE;
    }
}

/* Leaves it to gh_reap. Nobody is told of a child where SIGCHLD is ignored: it counts as ended. */
static bool gh_has_ended(const struct gh *gh)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)gh->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
           info.si_pid == gh->pid;
}

/* Until gh itself has ended: its output may be held open by a child that lives on. Without a pidfd
 * that is looked at every 50 ms. */
static int gh_wait(struct gh *gh)
{
    for (;;) {
        struct pollfd ready[] = {{.fd = gh->output, .events = POLLIN},
                                 {.fd = gh->process, .events = POLLIN},
                                 {.fd = gh->timer, .events = POLLIN}};
        bool ended;
        int rc = 0;

        if (poll(ready, 3, gh->process < 0 ? 50 : -1) < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        /* Asked before reading: what was written before the end is then there to be read. */
        ended = gh->process < 0 ? gh_has_ended(gh) : ready[1].revents != 0;
        if (gh->output >= 0)
            rc = gh_read(gh);
        if (rc < 0 || ended)
            return rc;
        if (ready[2].revents != 0)
            return -ETIMEDOUT;
    }
}

/* Takes leave of gh in every case; its status counts only where there is one to be had (nobody
 * gets it where SIGCHLD is ignored). */
static int gh_reap(struct gh *gh, int rc)
{
    int status = 0;
    pid_t pid;

    if (rc < 0)
        kill(-gh->pid, SIGKILL);
    do {
        pid = waitpid(gh->pid, &status, 0);
    } while (pid < 0 && errno == EINTR);
    if (rc == 0 && pid == gh->pid && status != 0)
        return -ENOENT;
    return rc;
}

static int gh_arm(struct gh *gh, unsigned limit_ms)
{
    struct itimerspec limit = {
        .it_value = {.tv_sec = limit_ms / 1000, .tv_nsec = limit_ms % 1000 * 1000000L}};

    gh->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (gh->timer < 0 || timerfd_settime(gh->timer, 0, &limit, NULL) < 0)
        return -errno;
    gh->process = pidfd_open(gh->pid, 0);
    return 0;
}

static int gh_start(struct gh *gh, const char *path, const char *host, char **env)
{
    int ends[2];
    int rc;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    gh->output = ends[0];
    rc = fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    if (rc == 0)
        rc = gh_spawn(gh, path, host, env, ends[1]);
    close(ends[1]);
    return rc;
}

static void gh_close(struct gh *gh)
{
    const int fds[] = {gh->output, gh->process, gh->timer};

    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    explicit_bzero(gh->text, sizeof gh->text);
}

int options_ask_gh(const struct options_api *api, char **env, unsigned limit_ms, char *token)
{
    struct gh gh = {.output = -1, .process = -1, .timer = -1};
    char path[4096];
    int rc;

    rc = gh_find(env, path, sizeof path);
    if (rc < 0)
        return rc;
    rc = gh_start(&gh, path, api->web_host, env);
    if (rc == 0) {
        rc = gh_arm(&gh, limit_ms);
        if (rc == 0)
            rc = gh_wait(&gh);
        rc = gh_reap(&gh, rc);
    }
    if (rc == 0)
        rc = token_from_line(gh.text, gh.length, token, OPTIONS_TOKEN_CAP);
    gh_close(&gh);
    return rc;
}

/* ---- one source after the other ---- */

/* What a source says, and where a refusal or a warning goes. */
struct search {
    struct options *options;
    char **env;
    char *message;
    size_t message_cap;
};

static int found(struct search *s, enum options_token_source source, const char *origin)
{
    s->options->token_source = source;
    s->options->token_origin = origin;
    return 0;
}

static int refuse(struct search *s, const char *what, const char *where, int error)
{
    const char *why = error == -EBADMSG  ? "holds no token, or one with spaces in it"
                      : error == -ERANGE ? "holds something too long for a token"
                                         : strerror(-error);

    snprintf(s->message, s->message_cap, "%s%s: %s", what, where, why);
    return error;
}

static int search_file(struct search *s)
{
    const char *path = s->options->token_file;
    mode_t mode = 0;
    int rc = token_from_file(path, false, s->options->token, OPTIONS_TOKEN_CAP, &mode);

    if (rc < 0)
        return refuse(s, "token_file ", path, rc);
    if (S_ISREG(mode) && (mode & (S_IRGRP | S_IROTH)) != 0)
        snprintf(s->message, s->message_cap,
                 "token_file %s can be read by others (mode %04o); chmod 600 helps", path,
                 mode & 07777U);
    return found(s, OPTIONS_TOKEN_FILE, "token_file");
}

/* A token for github.com must not go to another server, nor the other way round. */
static int search_environment(struct search *s)
{
    const char *const *names = options_api_is_github(&s->options->api) ? own_variables
                                                                       : enterprise_variables;

    for (; *names != NULL; names++) {
        const char *value = options_environment(s->env, *names);
        int rc;

        if (value == NULL)
            continue;
        rc = token_accept(value, strlen(value), s->options->token, OPTIONS_TOKEN_CAP);
        if (rc < 0)
            return refuse(s, *names, " in the environment", rc);
        return found(s, OPTIONS_TOKEN_ENVIRONMENT, *names);
    }
    return 0;
}

static int search_credential(struct search *s)
{
    const char *directory = options_environment(s->env, "CREDENTIALS_DIRECTORY");
    char path[4096];
    mode_t mode;
    int rc;

    if (directory == NULL || directory[0] != '/' ||
        (size_t)snprintf(path, sizeof path, "%s/token", directory) >= sizeof path)
        return 0;
    rc = token_from_file(path, false, s->options->token, OPTIONS_TOKEN_CAP, &mode);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return refuse(s, "systemd credential ", path, rc);
    return found(s, OPTIONS_TOKEN_CREDENTIAL, "systemd credential token");
}

/* gh is asked as a favour: whatever goes wrong with it, the mount goes on without a token. */
static int search_gh(struct search *s)
{
    int rc = options_ask_gh(&s->options->api, s->env, LIMIT_MS, s->options->token);

    if (rc == 0)
        return found(s, OPTIONS_TOKEN_GH, "gh auth token");
    if (rc == -ETIMEDOUT)
        snprintf(s->message, s->message_cap, "gh auth token did not answer within %d s",
                 LIMIT_MS / 1000);
    else if (rc != -ENOENT)
        refuse(s, "gh auth token", "", rc);
    return 0;
}

int options_find_token(struct options *options, char **env, char *message, size_t message_cap)
{
    struct search s = {
        .options = options, .env = env, .message = message, .message_cap = message_cap};
    int rc = 0;

    message[0] = '\0';
    found(&s, OPTIONS_TOKEN_NONE, "none");
    if (!options->offline)
        rc = options->token_file != NULL ? search_file(&s) : search_environment(&s);
    /* Before gh: it is not to see them either. */
    environment_scrub(env);
    if (options->offline || rc < 0 || options->token_source != OPTIONS_TOKEN_NONE)
        return rc;
    rc = search_credential(&s);
    if (rc < 0 || options->token_source != OPTIONS_TOKEN_NONE)
        return rc;
    return search_gh(&s);
}

int options_reread_token(const struct options *options, char *token, size_t cap)
{
    mode_t mode;

    if (options->token_source != OPTIONS_TOKEN_FILE)
        return -ENOENT;
    return token_from_file(options->token_file, true, token, cap, &mode);
}
