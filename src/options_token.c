#include "options_token.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 5000

/* The first two are for github.com and ghe.com, the others for any other server. */
static const char *const variables[] = {"GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN",
                                        "GITHUB_ENTERPRISE_TOKEN"};

/* ---- what a token may look like ---- */

/* Trims `text` and copies it. A space or control character inside would get into a header. */
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

/* The first line counts; a line that does not fit is no token. */
static int token_from_line(const char *text, size_t length, char *token, size_t cap)
{
    const char *end = memchr(text, '\n', length);

    if (end == NULL && length >= OPTIONS_TOKEN_CAP)
        return -ERANGE;
    return token_accept(text, end != NULL ? (size_t)(end - text) : length, token, cap);
}

/* ---- files ---- */

/* Up to `cap` bytes. Waits only for a pipe that has a writer (token_file=<(command)). */
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

/* Opens without blocking: a pipe without a writer would hang the mount. `mode` gets the file's type
 * and permissions. */
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

/* Erases the variables, names and bytes: the bytes of one that is only removed would still be in
 * /proc/self/environ. */
static void scrub_environment(char **env)
{
    char **kept = env;

    for (; *env != NULL; env++) {
        bool is_token = false;

        for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
            size_t length = strlen(variables[i]);

            if (strncmp(*env, variables[i], length) == 0 && (*env)[length] == '=')
                is_token = true;
        }
        if (is_token)
            explicit_bzero(*env, strlen(*env));
        else
            *kept++ = *env;
    }
    *kept = NULL;
}

/* ---- gh ---- */

/* Relative and empty entries of PATH are ignored: a program in some directory need not be gh. */
static int find_gh(char *const *env, char *path, size_t cap)
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

/* In the child. A process group of its own, so that helpers which gh starts can be killed with it;
 * killed with this process as well. */
static void exec_gh(const char *path, const char *host, char **env, int output)
{
    char *argv[] = {(char *)(uintptr_t) "gh",    (char *)(uintptr_t) "auth",
                    (char *)(uintptr_t) "token", (char *)(uintptr_t) "--hostname",
                    (char *)(uintptr_t)host,     NULL};
    sigset_t none;
    int null = open("/dev/null", O_RDWR);

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, 0);
    dup2(output, 1);
    dup2(null, 2);
    close_range(3, ~0U, 0);
    for (int sig = 1; sig <= SIGRTMAX; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(path, argv, env);
    _exit(127);
}

/*
 * Reads until gh itself has ended: a child of it that lives on may hold the output open. Returns
 * the number of bytes; -ETIMEDOUT; -ERANGE: `cap` bytes or more.
 */
static ssize_t read_gh(int output, int process, int timer, char *text, size_t cap)
{
    struct pollfd fds[] = {{.fd = output, .events = POLLIN},
                           {.fd = process, .events = POLLIN},
                           {.fd = timer, .events = POLLIN}};
    size_t length = 0;
    ssize_t n;

    for (;;) {
        if (poll(fds, 3, -1) < 0 && errno != EINTR)
            return -errno;
        n = read(output, text + length, cap - length);
        if (n > 0)
            length += (size_t)n;
        else if (n == 0)
            fds[0].fd = -1;
        if (length == cap)
            return -ERANGE;
        /* Output that came before the end was reported is read by now, unless there is more. */
        if (fds[1].revents != 0 && n <= 0)
            return (ssize_t)length;
        if (fds[2].revents != 0)
            return -ETIMEDOUT;
    }
}

int options_ask_gh(const struct options_api *api, char **env, unsigned limit_ms, char *token)
{
    const struct itimerspec limit = {
        .it_value = {.tv_sec = limit_ms / 1000, .tv_nsec = limit_ms % 1000 * 1000000L}};
    char path[4096], text[OPTIONS_TOKEN_CAP];
    int ends[2], process = -1, timer, status = 0;
    ssize_t length = -1;
    pid_t pid;
    int rc = find_gh(env, path, sizeof path);

    if (rc < 0)
        return rc;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    fcntl(ends[0], F_SETFL, O_NONBLOCK); /* not the other end: gh would get EAGAIN */
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    pid = fork();
    if (pid == 0)
        exec_gh(path, api->web_host, env, ends[1]);
    close(ends[1]);
    if (pid > 0) {
        setpgid(pid, pid); /* whichever of the two comes first */
        process = pidfd_open(pid, 0);
    }
    if (timer < 0 || process < 0 || timerfd_settime(timer, 0, &limit, NULL) < 0)
        rc = -errno;
    if (rc == 0) {
        length = read_gh(ends[0], process, timer, text, sizeof text);
        rc = length < 0 ? (int)length : 0;
    }
    if (pid > 0) {
        if (rc < 0)
            kill(-pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    if (rc == 0)
        rc = status != 0 ? -ENOENT
                         : token_from_line(text, (size_t)length, token, OPTIONS_TOKEN_CAP);
    explicit_bzero(text, sizeof text);
    close(ends[0]);
    if (process >= 0)
        close(process);
    if (timer >= 0)
        close(timer);
    return rc;
}

/* ---- one source after the other ---- */

/* One search, and the buffer for its refusal or warning. */
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
    if (error == -EBADMSG)
        snprintf(s->message, s->message_cap, "%s%s contains no token, or one with spaces in it",
                 what, where);
    else if (error == -ERANGE)
        snprintf(s->message, s->message_cap, "%s%s is longer than a token can be (%d bytes)", what,
                 where, OPTIONS_TOKEN_CAP - 1);
    else
        snprintf(s->message, s->message_cap, "%s%s cannot be read: %s", what, where,
                 strerror(-error));
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

/* A token for github.com must not be sent to another server, nor the other way round. */
static int search_environment(struct search *s)
{
    size_t first = options_api_is_github(&s->options->api) ? 0 : 2;

    for (size_t i = first; i < first + 2; i++) {
        const char *value = options_environment(s->env, variables[i]);
        int rc;

        if (value == NULL)
            continue;
        rc = token_accept(value, strlen(value), s->options->token, OPTIONS_TOKEN_CAP);
        if (rc < 0)
            return refuse(s, variables[i], " in the environment", rc);
        return found(s, OPTIONS_TOKEN_ENVIRONMENT, variables[i]);
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

int options_find_token(struct options *options, char **env, char *message, size_t message_cap)
{
    struct search s = {
        .options = options, .env = env, .message = message, .message_cap = message_cap};
    int rc = 0;

    message[0] = '\0';
    found(&s, OPTIONS_TOKEN_NONE, "none");
    if (!options->offline)
        rc = options->token_file != NULL ? search_file(&s) : search_environment(&s);
    scrub_environment(env); /* before gh, which must not see the tokens either */
    if (options->offline || rc < 0 || options->token_source != OPTIONS_TOKEN_NONE)
        return rc;
    rc = search_credential(&s);
    if (rc < 0 || options->token_source != OPTIONS_TOKEN_NONE)
        return rc;
    /* Whatever fails with gh, the mount is made without a token. */
    rc = options_ask_gh(&options->api, env, LIMIT_MS, options->token);
    if (rc == 0)
        return found(&s, OPTIONS_TOKEN_GH, "gh auth token");
    if (rc == -ETIMEDOUT)
        snprintf(
            message, message_cap,
            "`gh auth token` did not answer within %d s and was killed; the mount has no token "
            "(-o token_file= or GH_TOKEN)",
            LIMIT_MS / 1000);
    else if (rc != -ENOENT)
        refuse(&s, "the output of `gh auth token`", "", rc);
    return 0;
}

int options_reread_token(const struct options *options, char *token, size_t cap)
{
    mode_t mode;

    if (options->token_source != OPTIONS_TOKEN_FILE)
        return -ENOENT;
    return token_from_file(options->token_file, true, token, cap, &mode);
}
