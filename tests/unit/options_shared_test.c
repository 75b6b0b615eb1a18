/* The shared store's options and its key (T7): where they come from, and what is refused. */
#include "options_shared.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define S3 "s3://logs?endpoint=http://127.0.0.1:9"

static char path[64];

static void write_key(const char *text, mode_t mode)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int make_file(void **state)
{
    int fd;

    (void)state;
    snprintf(path, sizeof path, "/tmp/options_shared_test.XXXXXX");
    fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static int parse(struct options *o, const char *list, char *message)
{
    char words[512], program[] = "ghlogfs", flag[] = "-o", point[] = "/m";
    char *argv[] = {program, flag, words, point, NULL}, *env[] = {NULL};

    snprintf(words, sizeof words, "%s", list);
    memset(o, 0, sizeof *o);
    message[0] = '\0';
    return options_parse(o, 4, argv, env, message, OPTIONS_MESSAGE_CAP);
}

static void parse_good(struct options *o, const char *list)
{
    char message[OPTIONS_MESSAGE_CAP];

    if (parse(o, list, message) != 0)
        fail_msg("refused: %s", message);
}

static void the_options_are_checked_by_name(void **state)
{
    static const struct {
        const char *list, *message;
    } bad[] = {
        {"shared=", "shared: needs a value"},
        {"shared=ftp://host", "shared begins with neither s3:// nor https://"},
        {"shared=s3://UPPER", "shared has no valid bucket"},
        {"shared=http://example.com/logs", "shared is plain http"},
        {"shared=https://me:word@host/logs", "shared has a user or password"},
        {"shared=" S3 ",shared_trust=all", "shared_trust: must be bucket"},
        {"shared_trust=bucket", "shared_trust needs the option shared"},
        {"shared_key_file=/k", "shared_key_file needs the option shared"},
        {"shared_write", "shared_write needs the option shared"},
        {"shared=" S3 ",shared_write,no_cache", "shared_write and no_cache exclude each other"},
    };
    char message[OPTIONS_MESSAGE_CAP];
    struct options o;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(&o, bad[i].list, message), -EINVAL);
        if (strncmp(message, bad[i].message, strlen(bad[i].message)) != 0)
            fail_msg("%s", message);
        assert_null(strstr(message, "me:word"));
    }
    parse_good(&o, "shared=" S3 ",shared_key_file=key,shared_trust=bucket");
    assert_string_equal(o.shared_location.base, "http://127.0.0.1:9/logs");
    assert_int_equal(o.shared_key_file[0], '/');
    options_finish(&o);
    parse_good(&o, "offline");
    assert_null(o.shared);
    options_finish(&o);
}

/* Finds the key with these variables, each NAME=VALUE; what is left of them is in `env`. */
static int find(struct options *o, const char *list, char **env, char *message)
{
    parse_good(o, list);
    return options_find_shared_key(o, env, message, OPTIONS_MESSAGE_CAP);
}

static void a_file_goes_before_the_environment(void **state)
{
    char key[] = "AWS_ACCESS_KEY_ID=ENVKEY", secret[] = "AWS_SECRET_ACCESS_KEY=envsecret";
    char other[] = "HOME=/", message[OPTIONS_MESSAGE_CAP], list[256];
    char *env[] = {key, other, secret, NULL};
    struct options o;

    (void)state;
    write_key("FILEKEY filesecret\n", 0600);
    snprintf(list, sizeof list, "shared=" S3 ",shared_key_file=%s", path);
    assert_int_equal(find(&o, list, env, message), 0);
    assert_string_equal(message, "");
    assert_string_equal(o.shared_key.user, "FILEKEY");
    assert_string_equal(env[0], "HOME=/");
    assert_null(env[1]);
    assert_int_equal(key[0], 0);
    assert_int_equal(secret[sizeof secret - 2], 0);

    write_key("NEWKEY newsecret\n", 0600);
    assert_int_equal(options_reread_shared_key(&o, &o.shared_key), 0);
    assert_string_equal(o.shared_key.user, "NEWKEY");
    write_key("", 0600);
    assert_int_equal(options_reread_shared_key(&o, &o.shared_key), -EBADMSG);
    assert_string_equal(o.shared_key.user, "NEWKEY");
    options_finish(&o);
    assert_string_equal(o.shared_key.user, "");
}

static void the_environment_is_for_buckets(void **state)
{
    char key[] = "AWS_ACCESS_KEY_ID=ENVKEY", secret[] = "AWS_SECRET_ACCESS_KEY=envsecret";
    char again[] = "AWS_ACCESS_KEY_ID=ENVKEY", half[] = "AWS_ACCESS_KEY_ID=ENVKEY";
    char message[OPTIONS_MESSAGE_CAP];
    char *both[] = {key, secret, NULL}, *http[] = {again, NULL}, *one[] = {half, NULL};
    struct options o;

    (void)state;
    assert_int_equal(find(&o, "shared=" S3, both, message), 0);
    assert_string_equal(o.shared_key.password, "envsecret");
    assert_null(both[0]);
    options_finish(&o);
    assert_int_equal(find(&o, "shared=http://127.0.0.1/logs", http, message), 0);
    assert_string_equal(o.shared_key.user, "");
    options_finish(&o);
    assert_int_equal(find(&o, "shared=" S3, one, message), -EBADMSG);
    assert_non_null(strstr(message, "AWS_SECRET_ACCESS_KEY"));
    assert_null(strstr(message, "ENVKEY"));
    options_finish(&o);
}

static void without_a_store_nothing_is_touched(void **state)
{
    char key[] = "AWS_ACCESS_KEY_ID=ENVKEY", message[OPTIONS_MESSAGE_CAP];
    char *env[] = {key, NULL};
    struct options o;

    (void)state;
    assert_int_equal(find(&o, "offline", env, message), 0);
    assert_string_equal(env[0], "AWS_ACCESS_KEY_ID=ENVKEY");
    assert_string_equal(o.shared_key.user, "");
    options_finish(&o);
}

static void a_file_that_cannot_be_used_is_named_with_the_reason(void **state)
{
    char message[OPTIONS_MESSAGE_CAP], list[256], *env[] = {NULL};
    struct options o;

    (void)state;
    write_key("KEY SECRET123\n", 0644);
    snprintf(list, sizeof list, "shared=" S3 ",shared_key_file=%s", path);
    assert_int_equal(find(&o, list, env, message), 0);
    assert_non_null(strstr(message, "mode 0644"));
    options_finish(&o);
    write_key("KEY SECRET123 a b c\n", 0600);
    assert_int_equal(find(&o, list, env, message), -EBADMSG);
    assert_non_null(strstr(message, path));
    assert_non_null(strstr(message, "KEY SECRET [SESSION]"));
    assert_null(strstr(message, "SECRET123"));
    options_finish(&o);
    assert_int_equal(find(&o, "shared=" S3 ",shared_key_file=/tmp", env, message), -EINVAL);
    assert_non_null(strstr(message, "no regular file"));
    options_finish(&o);
    assert_int_equal(find(&o, "shared=" S3 ",shared_key_file=/dev/zero", env, message), -EINVAL);
    options_finish(&o);
    assert_int_equal(find(&o, "shared=" S3 ",shared_key_file=/nowhere/key", env, message), -ENOENT);
    options_finish(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_options_are_checked_by_name),
        cmocka_unit_test(a_file_goes_before_the_environment),
        cmocka_unit_test(the_environment_is_for_buckets),
        cmocka_unit_test(without_a_store_nothing_is_touched),
        cmocka_unit_test(a_file_that_cannot_be_used_is_named_with_the_reason),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
