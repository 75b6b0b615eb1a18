/*
 * main.c - reads the options, finds the token, daemonises, runs one mount; or checks what one
 * needs.
 *
 * In the background the parent waits until the child reports that the mount answers, or why not,
 * and exits accordingly. The child keeps the parent's stderr until then.
 */
#include "diag.h"
#include "fs/mountpoint.h"
#include "main_check.h"
#include "main_mount.h"
#include "main_notify.h"
#include "main_process.h"
#include "options.h"
#include "options_shared.h"
#include "options_token.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(struct options *options, int parent_fd, const struct notify *notify)
{
    int signal_fd = process_open_signals();
    struct mount *m;
    int status;

    if (signal_fd < 0 || mount_create(options, &m))
        return 1;
    status = mount_serve(m, signal_fd, parent_fd, notify);
    notify_send(notify, "STOPPING=1\nSTATUS=unmounting");
    mount_destroy(m);
    close(signal_fd);
    return status;
}

/* In the parent: the exit status, once the child has reported or ended. The service manager listens
 * to the process that it has started, and takes from it which one it has to watch. */
static int wait_for_child(pid_t child, int fd, const struct notify *notify)
{
    char report, lines[64];
    int status;

    if (read(fd, &report, 1) == 1) {
        snprintf(lines, sizeof(lines), "MAINPID=%ld\nREADY=1", (long)child);
        notify_send(notify, lines);
        return 0;
    }
    if (waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status))
        return WEXITSTATUS(status);
    diag_print(DIAG_ERROR, "the daemon ended before its mount answered; with -f it stays in the "
                           "foreground and prints more");
    return 1;
}

static int run_in_background(struct options *options, const struct notify *notify)
{
    int fds[2];
    pid_t child;
    int status;

    if (pipe2(fds, O_CLOEXEC)) {
        diag_print(DIAG_ERROR, "cannot create a pipe: %s", strerror(errno));
        return 1;
    }
    child = fork();
    if (child < 0) {
        diag_print(DIAG_ERROR, "cannot fork: %s", strerror(errno));
        return 1;
    }
    if (child == 0) {
        process_close_inherited(fds[1], mountpoint_get_fd(options->mountpoint));
        if (chdir("/"))
            return 1;
        return run(options, fds[1], notify);
    }
    close(fds[1]);
    options_forget_token(options);
    status = wait_for_child(child, fds[0], notify);
    close(fds[0]);
    return status;
}

/* Prints a warning where there is none, with what works and what does not. */
static int find_token(struct options *options, char **env)
{
    char message[OPTIONS_MESSAGE_CAP] = "";
    int rc = options_find_token(options, env, message, sizeof(message));
    bool is_github = options_api_is_github(&options->api);

    if (message[0])
        diag_print(rc ? DIAG_ERROR : DIAG_WARNING, "%s", message);
    if (!rc && !options->token[0] && !options->offline)
        diag_print(DIAG_WARNING,
                   "no token for %s (not in %s, systemd's credential or `gh auth token`): "
                   "logs in the cache can be read, and runs and jobs of public repositories be "
                   "listed; for other logs run `gh auth login`, set %s or use -o token_file=FILE",
                   options->api.web_host,
                   is_github ? "GH_TOKEN, GITHUB_TOKEN"
                             : "GH_ENTERPRISE_TOKEN, GITHUB_ENTERPRISE_TOKEN",
                   is_github ? "GH_TOKEN" : "GH_ENTERPRISE_TOKEN");
    return rc;
}

static int find_shared_key(struct options *options, char **env)
{
    char message[OPTIONS_MESSAGE_CAP] = "";
    int rc = options_find_shared_key(options, env, message, sizeof(message));

    if (message[0])
        diag_print(rc ? DIAG_ERROR : DIAG_WARNING, "%s", message);
    return rc;
}

int main(int argc, char **argv, char **env)
{
    char message[OPTIONS_MESSAGE_CAP];
    struct options options = {0};
    int status = process_init();
    struct notify notify;

    if (status) {
        diag_print(DIAG_ERROR, "cannot open /dev/null: %s", strerror(-status));
        return 1;
    }
    /* One arena; free memory is returned to the system (P9), except the buffers of transfers, each
     * of which would be mapped and faulted in again (P1). */
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 512 * 1024);
    mallopt(M_TRIM_THRESHOLD, 8 * 1024 * 1024);
    umask(077);
    notify_init(&notify);
    if (options_parse(&options, argc, argv, env, message, sizeof(message))) {
        diag_print(DIAG_ERROR, "%s", message);
        fprintf(stderr, "Try 'ghlogfs --help'.\n");
        return 2;
    }
    if (options.help || options.version) {
        char *text = options.help ? options_make_help() : mount_make_version();

        status = !text || fputs(text, stdout) < 0 || fflush(stdout) ? 1 : 0;
        free(text);
    } else if (options.check) {
        status = main_check(&options, env);
    } else if (find_token(&options, env) || find_shared_key(&options, env)) {
        status = 1;
    } else if (options.foreground) {
        status = run(&options, -1, &notify);
    } else {
        status = run_in_background(&options, &notify);
    }
    options_finish(&options);
    return status;
}
