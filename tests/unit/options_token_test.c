/* Where the token comes from, and that it does not stay lying about: R7. */
#include "options_token.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ENV(...) ((char *[]){__VA_ARGS__, NULL})

static char *no_environment[] = {NULL};

static char folder[64];

static int folder_setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/options_test.XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int folder_teardown(void **state)
{
    static const char *const names[] = {"token", "gh", "pipe", "ran"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static void folder_write(const char *name, const char *text, size_t length, mode_t mode)
{
    char path[128];
    int fd;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, length), length);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

/* `host` NULL: github.com. Returns what options_find_token does. */
static int find(struct options *o, const char *host, const char *words, char **env, char *message)
{
    const char *const argv[] = {"ghlogfs", host ? host : "github.com", "/m", "-o", words, NULL};

    assert_int_equal(options_parse(o, 5, (char *const *)(uintptr_t)argv, no_environment, message,
                                   OPTIONS_MESSAGE_CAP),
                     0);
    return options_find_token(o, env, message, OPTIONS_MESSAGE_CAP);
}

static void find_in_environment(const char *host, const char *token, const char *origin)
{
    char a[] = "GH_TOKEN=own1", b[] = "GITHUB_TOKEN=own2", c[] = "GH_ENTERPRISE_TOKEN=ent1",
         d[] = "GITHUB_ENTERPRISE_TOKEN=ent2", e[] = "PATH=", f[] = "HOME=/h";
    char *env[] = {e, a, b, c, d, f, NULL};
    char message[OPTIONS_MESSAGE_CAP];
    struct options o;

    assert_int_equal(find(&o, host, "", env, message), 0);
    assert_string_equal(message, "");
    assert_int_equal(o.token_source, OPTIONS_TOKEN_ENVIRONMENT);
    assert_string_equal(o.token, token);
    assert_string_equal(o.token_origin, origin);
    /* All four are gone, whichever was used: pointers and bytes. */
    assert_ptr_equal(env[0], e);
    assert_ptr_equal(env[1], f);
    assert_null(env[2]);
    for (size_t i = 0; i < sizeof a; i++)
        assert_int_equal(a[i], 0);
    for (size_t i = 0; i < sizeof d; i++)
        assert_int_equal(d[i], 0);
    options_finish(&o);
    assert_string_equal(o.token, "");
}

static void R7_each_server_gets_its_own_token_and_all_variables_are_erased(void **state)
{
    (void)state;
    find_in_environment("github.com", "own1", "GH_TOKEN");
    find_in_environment("octo.ghe.com", "own1", "GH_TOKEN");
    find_in_environment("git.corp", "ent1", "GH_ENTERPRISE_TOKEN");
    find_in_environment("127.0.0.1:8080", "ent1", "GH_ENTERPRISE_TOKEN");
}

static void the_second_variable_counts_where_the_first_is_empty(void **state)
{
    char message[OPTIONS_MESSAGE_CAP];
    char a[] = "GH_TOKEN=", b[] = "GITHUB_TOKEN= own2\n";
    char c[] = "GITHUB_ENTERPRISE_TOKEN=ent2";
    struct options o;

    (void)state;
    assert_int_equal(find(&o, NULL, "", ENV(a, b), message), 0);
    assert_string_equal(o.token, "own2");
    assert_string_equal(o.token_origin, "GITHUB_TOKEN");
    options_finish(&o);
    assert_int_equal(find(&o, "git.corp", "", ENV(c), message), 0);
    assert_string_equal(o.token, "ent2");
    options_finish(&o);
}

static void a_token_for_another_server_is_not_used(void **state)
{
    char message[OPTIONS_MESSAGE_CAP];
    char a[] = "GH_TOKEN=own1", b[] = "GH_ENTERPRISE_TOKEN=ent1";
    struct options o;

    (void)state;
    assert_int_equal(find(&o, "git.corp", "", ENV(a), message), 0);
    assert_int_equal(o.token_source, OPTIONS_TOKEN_NONE);
    assert_string_equal(o.token, "");
    options_finish(&o);
    assert_int_equal(find(&o, NULL, "", ENV(b), message), 0);
    assert_int_equal(o.token_source, OPTIONS_TOKEN_NONE);
    options_finish(&o);
}

static void a_malformed_variable_is_refused_and_erased(void **state)
{
    char message[OPTIONS_MESSAGE_CAP];
    char a[] = "GH_TOKEN=two words";
    char *env[] = {a, NULL};
    struct options o;

    (void)state;
    assert_int_equal(find(&o, NULL, "", env, message), -EBADMSG);
    assert_non_null(strstr(message, "GH_TOKEN"));
    assert_null(strstr(message, "two"));
    assert_null(env[0]);
    assert_int_equal(a[9], 0);
    options_finish(&o);
}

/* token_file=FILE with this content; the environment has another token. */
static int find_in_file(struct options *o, const char *text, size_t length, mode_t mode,
                        char *message)
{
    char a[] = "GH_TOKEN=own1", option[128];

    folder_write("token", text, length, mode);
    snprintf(option, sizeof option, "token_file=%s/token", folder);
    return find(o, NULL, option, ENV(a), message);
}

static void the_token_file_comes_first_and_its_first_line_counts(void **state)
{
    static const char *const good[] = {"ghp_1", "ghp_1\n", " ghp_1\t\r\nsecond line\n"};
    char message[OPTIONS_MESSAGE_CAP];
    struct options o;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(find_in_file(&o, good[i], strlen(good[i]), 0600, message), 0);
        assert_string_equal(o.token, "ghp_1");
        assert_string_equal(o.token_origin, "token_file");
        assert_string_equal(message, "");
        options_finish(&o);
    }
}

static void a_token_file_without_a_token_is_refused_by_name(void **state)
{
    static const struct {
        const char *text;
        size_t length;
    } bad[] = {{"", 0},      {"\n", 1}, {" \nghp_1", 7}, {"a b", 3},   {"a\0b", 3},
               {"a\033", 2}, {"\0", 1}, {"\xc3\xa9", 2}, {"gh\x7f", 3}};
    char message[OPTIONS_MESSAGE_CAP], long_line[OPTIONS_TOKEN_CAP + 1];
    struct options o;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(find_in_file(&o, bad[i].text, bad[i].length, 0600, message), -EBADMSG);
        assert_non_null(strstr(message, folder));
        options_finish(&o);
    }
    memset(long_line, 'a', sizeof long_line);
    assert_int_equal(find_in_file(&o, long_line, sizeof long_line, 0600, message), -ERANGE);
    options_finish(&o);
    assert_int_equal(find_in_file(&o, long_line, OPTIONS_TOKEN_CAP - 1, 0600, message), 0);
    assert_int_equal(strlen(o.token), OPTIONS_TOKEN_CAP - 1);
    options_finish(&o);
    assert_int_equal(find(&o, NULL, "token_file=/nonexistent/t", no_environment, message), -ENOENT);
    assert_non_null(strstr(message, "/nonexistent/t"));
    options_finish(&o);
}

static void a_token_file_open_to_others_is_warned_about(void **state)
{
    char message[OPTIONS_MESSAGE_CAP];
    struct options o;

    (void)state;
    assert_int_equal(find_in_file(&o, "ghp_1", 5, 0644, message), 0);
    assert_string_equal(o.token, "ghp_1");
    assert_non_null(strstr(message, "0644"));
    options_finish(&o);
}

static void a_pipe_without_a_writer_does_not_hang_the_mount(void **state)
{
    char message[OPTIONS_MESSAGE_CAP], path[128], option[160];
    struct options o;

    (void)state;
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(option, sizeof option, "token_file=%s", path);
    assert_int_equal(find(&o, NULL, option, no_environment, message), -EBADMSG);
    o.token_source = OPTIONS_TOKEN_FILE;
    assert_int_equal(options_reread_token(&o, message, sizeof message), -ENOENT);
    options_finish(&o);
}

static void the_token_file_is_read_again(void **state)
{
    char message[OPTIONS_MESSAGE_CAP], token[16] = "old";
    struct options o;

    (void)state;
    assert_int_equal(find_in_file(&o, "ghp_1", 5, 0600, message), 0);
    options_forget_token(&o);
    assert_string_equal(o.token, "");
    folder_write("token", "ghp_2\n", 6, 0600);
    assert_int_equal(options_reread_token(&o, token, sizeof token), 0);
    assert_string_equal(token, "ghp_2");
    assert_int_equal(options_reread_token(&o, token, 5), -ERANGE);
    folder_write("token", "", 0, 0600);
    assert_int_equal(options_reread_token(&o, token, sizeof token), -EBADMSG);
    assert_string_equal(token, "ghp_2");
    o.token_source = OPTIONS_TOKEN_ENVIRONMENT;
    assert_int_equal(options_reread_token(&o, token, sizeof token), -ENOENT);
    options_finish(&o);
}

static void systemds_credential_comes_after_the_environment(void **state)
{
    char message[OPTIONS_MESSAGE_CAP], directory[128], a[] = "GH_TOKEN=own1";
    struct options o;

    (void)state;
    folder_write("token", "cred\n", 5, 0400);
    snprintf(directory, sizeof directory, "CREDENTIALS_DIRECTORY=%s", folder);
    assert_int_equal(find(&o, NULL, "", ENV(directory), message), 0);
    assert_int_equal(o.token_source, OPTIONS_TOKEN_CREDENTIAL);
    assert_string_equal(o.token, "cred");
    options_finish(&o);
    assert_int_equal(find(&o, NULL, "", ENV(directory, a), message), 0);
    assert_string_equal(o.token, "own1");
    options_finish(&o);
}

static void gh_write(const char *script)
{
    folder_write("gh", script, strlen(script), 0700);
}

static void gh_runs_last_for_the_right_host_and_sees_no_token(void **state)
{
    char message[OPTIONS_MESSAGE_CAP], path[128], a[] = "GH_TOKEN=own1";
    struct options o;

    (void)state;
    /* Neither does it see a terminal: its stdin ends at once. */
    gh_write("#!/bin/sh\nread line && exit 1\necho \"$1/$2/$3/$4/$GH_TOKEN/\"\necho more\n");
    snprintf(path, sizeof path, "PATH=.::/nonexistent:%s", folder);
    assert_int_equal(find(&o, "git.corp", "", ENV(path, a), message), 0);
    assert_int_equal(o.token_source, OPTIONS_TOKEN_GH);
    assert_string_equal(o.token, "auth/token/--hostname/git.corp//");
    options_finish(&o);
}

static void no_token_anywhere_is_no_error(void **state)
{
    char message[OPTIONS_MESSAGE_CAP], path[128];
    struct options o;

    (void)state;
    assert_int_equal(find(&o, NULL, "", no_environment, message), 0);
    assert_int_equal(o.token_source, OPTIONS_TOKEN_NONE);
    options_finish(&o);
    gh_write("#!/bin/sh\necho ghp_not\nexit 1\n");
    snprintf(path, sizeof path, "PATH=%s", folder);
    assert_int_equal(find(&o, NULL, "", ENV(path), message), 0);
    assert_int_equal(o.token_source, OPTIONS_TOKEN_NONE);
    assert_string_equal(o.token, "");
    assert_string_equal(message, "");
    options_finish(&o);
}

static int ask_gh(const char *script, unsigned limit_ms, char *token)
{
    char path[128];
    struct options_api api;
    const char *reason;

    gh_write(script);
    snprintf(path, sizeof path, "PATH=%s", folder);
    assert_int_equal(options_api_from_host(&api, "github.com", &reason), 0);
    return options_ask_gh(&api, ENV(path), limit_ms, token);
}

static void a_gh_that_hangs_is_killed(void **state)
{
    char token[OPTIONS_TOKEN_CAP] = "old";

    (void)state;
    assert_int_equal(ask_gh("#!/bin/sh\n/bin/sleep 60\n", 50, token), -ETIMEDOUT);
    assert_string_equal(token, "old");
}

/* A helper that it has started keeps a pipe open until it is killed. */
static void helpers_of_a_gh_that_is_killed_are_killed(void **state)
{
    char token[OPTIONS_TOKEN_CAP], script[512], path[128];
    struct pollfd pipe = {.events = POLLIN};

    (void)state;
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    pipe.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(pipe.fd >= 0);
    snprintf(script, sizeof script,
             "#!/bin/sh\nexec 3>%s\n/bin/sleep 60 &\nexec /bin/cat /dev/zero\n", path);
    assert_int_equal(ask_gh(script, 10000, token), -ERANGE);
    assert_int_equal(poll(&pipe, 1, 10000), 1);
    assert_int_equal(pipe.revents, POLLHUP);
    close(pipe.fd);
}

/* Waiting for the end of the output instead of the end of gh would run into the limit. */
static void a_child_of_gh_that_keeps_the_pipe_does_not_hold_the_mount(void **state)
{
    char token[OPTIONS_TOKEN_CAP];

    (void)state;
    assert_int_equal(ask_gh("#!/bin/sh\n/bin/sleep 15 &\necho ghp_1\n", 10000, token), 0);
    assert_string_equal(token, "ghp_1");
}

static void output_of_gh_is_checked(void **state)
{
    char token[OPTIONS_TOKEN_CAP] = "old";

    (void)state;
    assert_int_equal(ask_gh("#!/bin/sh\n", 10000, token), -EBADMSG);
    assert_int_equal(ask_gh("#!/bin/sh\necho no such token\n", 10000, token), -EBADMSG);
    assert_int_equal(ask_gh("#!/bin/sh\nexec /bin/cat /dev/zero\n", 10000, token), -ERANGE);
    assert_string_equal(token, "old");
}

static void offline_reads_no_source_but_erases_the_variables(void **state)
{
    char message[OPTIONS_MESSAGE_CAP], path[128], ran[128], script[256], a[] = "GH_TOKEN=own1";
    char *env[] = {path, a, NULL};
    struct options o;

    (void)state;
    snprintf(ran, sizeof ran, "%s/ran", folder);
    snprintf(script, sizeof script, "#!/bin/sh\n: > %s\necho ghp_1\n", ran);
    gh_write(script);
    snprintf(path, sizeof path, "PATH=%s", folder);
    assert_int_equal(find(&o, NULL, "offline,token_file=/nonexistent", env, message), 0);
    assert_int_equal(o.token_source, OPTIONS_TOKEN_NONE);
    assert_int_equal(access(ran, F_OK), -1);
    assert_null(env[1]);
    assert_int_equal(a[0], 0);
    options_finish(&o);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R7_each_server_gets_its_own_token_and_all_variables_are_erased),
        cmocka_unit_test(the_second_variable_counts_where_the_first_is_empty),
        cmocka_unit_test(a_token_for_another_server_is_not_used),
        cmocka_unit_test(a_malformed_variable_is_refused_and_erased),
        IN_FOLDER(the_token_file_comes_first_and_its_first_line_counts),
        IN_FOLDER(a_token_file_without_a_token_is_refused_by_name),
        IN_FOLDER(a_token_file_open_to_others_is_warned_about),
        IN_FOLDER(a_pipe_without_a_writer_does_not_hang_the_mount),
        IN_FOLDER(the_token_file_is_read_again),
        IN_FOLDER(systemds_credential_comes_after_the_environment),
        IN_FOLDER(gh_runs_last_for_the_right_host_and_sees_no_token),
        IN_FOLDER(no_token_anywhere_is_no_error),
        IN_FOLDER(a_gh_that_hangs_is_killed),
        IN_FOLDER(helpers_of_a_gh_that_is_killed_are_killed),
        IN_FOLDER(a_child_of_gh_that_keeps_the_pipe_does_not_hold_the_mount),
        IN_FOLDER(output_of_gh_is_checked),
        IN_FOLDER(offline_reads_no_source_but_erases_the_variables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
