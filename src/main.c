/*
 * main.c - one mount: reads what the user wants, has the house built, waits for the end.
 *
 * In the background the parent waits until the child says that the mount answers, or why not, and
 * exits accordingly. The child keeps the parent's stderr until then.
 */
#include "main_mount.h"
#include "main_privileges.h"
#include "main_process.h"
#include "main_version.h"
#include "options.h"
#include "options_help.h"
#include "options_token.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ATTEND_MS 1000
/*
 * The allocator gives back only what is free at the heap's end. One small block there keeps all that
 * was freed below it, such as the nodes of 200,000 names that the kernel has forgotten (70 MiB). So it
 * is told to give back the rest, after so many turns of the main thread: seconds, mostly.
 */
#define TRIM_TURNS 10

/* A small daemon: few arenas, and what is free goes back to the system (P9); but not the buffers of
 * transfers, each of which would be mapped and faulted in anew (P1). */
static void tune_memory(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 512 * 1024);
    mallopt(M_TRIM_THRESHOLD, 8 * 1024 * 1024);
}

static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
}

/* The mount answers: whoever started us may go on. */
static void announce(struct mount *m, int parent_fd)
{
    if (parent_fd < 0)
        return;
    mount_use_journal(m);
    leave_terminal();
    if (write(parent_fd, "", 1) < 0)
        return; /* the parent was killed; the mount stays */
}

/* The end came while nobody had said yet that the mount answers: one worker may see the one before
 * another has said the other. */
static int end_early(struct pollfd *ready)
{
    if (poll(ready, 1, ATTEND_MS) > 0)
        return 0;
    fprintf(stderr, "ghlogfs: the mount ended before it answered\n");
    return 1;
}

/* Reports an end that the user did not ask for by hand: a limit of CPU time, an alarm. */
static void say_signal(struct mount *m, int signal_fd)
{
    struct signalfd_siginfo info;

    if (read(signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info) ||
        info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
        return;
    mount_log_ending(m, (int)info.ssi_signo);
}

/* Waits for the end. 0, or 1 where the mount never answered; who asks us to end before that has no
 * complaint, and our parent sees it. */
static int live(struct mount *m, int signal_fd, int parent_fd)
{
    struct pollfd ready = {.fd = mount_get_ready_fd(m), .events = POLLIN};
    struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN},
                           {.fd = mount_get_ended_fd(m), .events = POLLIN},
                           {.fd = mount_get_attend_fd(m), .events = POLLIN},
                           ready};

    for (unsigned turn = 1;; turn++) {
        if (poll(fds, sizeof(fds) / sizeof(fds[0]), ATTEND_MS) < 0 && errno != EINTR)
            return 1;
        if (fds[3].revents) {
            announce(m, parent_fd);
            fds[3].fd = -1;
            fds[3].revents = 0;
        }
        if (fds[0].revents) {
            say_signal(m, signal_fd);
            return 0;
        }
        if (fds[1].revents)
            return fds[3].fd < 0 ? 0 : end_early(&ready);
        mount_attend(m);
        if (turn % TRIM_TURNS == 0)
            malloc_trim(0);
    }
}

static int run(struct options *options, int parent_fd)
{
    int signal_fd = process_open_signals();
    struct mount *m;
    int status;

    if (signal_fd < 0 || mount_create(options, &m))
        return 1;
    status = live(m, signal_fd, parent_fd);
    mount_destroy(m);
    close(signal_fd);
    return status;
}

/* The parent's part: the child's word, or how it ended. */
static int wait_for_child(pid_t child, int fd)
{
    int status;
    char word;

    if (read(fd, &word, 1) == 1)
        return 0;
    if (waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status))
        return WEXITSTATUS(status);
    fprintf(stderr, "ghlogfs: the daemon ended before its mount answered\n");
    return 1;
}

static int run_in_background(struct options *options)
{
    int fds[2];
    pid_t child;
    int status;

    if (pipe2(fds, O_CLOEXEC)) {
        fprintf(stderr, "ghlogfs: %s\n", strerror(errno));
        return 1;
    }
    child = fork();
    if (child < 0) {
        fprintf(stderr, "ghlogfs: cannot fork: %s\n", strerror(errno));
        return 1;
    }
    if (child == 0) {
        fds[1] = process_close_inherited(fds[1]);
        setsid();
        if (chdir("/"))
            return 1;
        return run(options, fds[1]);
    }
    close(fds[1]);
    options_forget_token(options);
    status = wait_for_child(child, fds[0]);
    close(fds[0]);
    return status;
}

static int print_text(char *text)
{
    if (!text)
        return 1;
    fputs(text, stdout);
    free(text);
    return fflush(stdout) ? 1 : 0;
}

/* Finds the token and says what will not work without one. */
static int find_token(struct options *options, char **env)
{
    char message[OPTIONS_MESSAGE_CAP] = "";
    int rc = options_find_token(options, env, message, sizeof(message));

    if (message[0])
        fprintf(stderr, "ghlogfs: %s\n", message);
    if (!rc && !options->token[0] && !options->offline)
        fprintf(stderr,
                "ghlogfs: no token found for %s: logs that are in the cache can be read, "
                "GitHub gives no others without one (gh auth login, GH_TOKEN or -o token_file=)\n",
                options->api.web_host);
    return rc;
}

int main(int argc, char **argv, char **env)
{
    static const char hint[] = "Try 'ghlogfs --help'.";
    char message[OPTIONS_MESSAGE_CAP];
    struct options options = {0};
    int status = process_init();

    if (status) {
        fprintf(stderr, "ghlogfs: /dev/null: %s\n", strerror(-status));
        return 1;
    }
    tune_memory();
    privileges_hide();
    umask(077);
    if (options_parse(&options, argc, argv, env, message, sizeof(message))) {
        fprintf(stderr, "ghlogfs: %s\n%s\n", message, hint);
        return 2;
    }
    if (options.help)
        status = fputs(options_help_text(), stdout) < 0;
    else if (options.version)
        status = print_text(version_make_text());
    else if (find_token(&options, env))
        status = 1;
    else if (options.foreground)
        status = run(&options, -1);
    else
        status = run_in_background(&options);
    options_finish(&options);
    return status;
}
