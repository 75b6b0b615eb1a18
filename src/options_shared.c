#include "options_shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const variables[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN"};

#define VARIABLES (sizeof variables / sizeof *variables)

static bool is_s3(const struct options *options)
{
    return options->shared_location.region[0] != '\0';
}

/* A regular file only, which never makes the reader wait but for the disk. */
static ssize_t read_file(const char *path, char *text, size_t cap, mode_t *ret_mode)
{
    struct stat status;
    size_t length = 0;
    ssize_t n = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    while (length < cap && n != 0) {
        n = read(fd, text + length, cap - length);
        if (n > 0)
            length += (size_t)n;
        if (n < 0 && errno != EINTR)
            break;
    }
    if (n < 0)
        n = -errno;
    close(fd);
    *ret_mode = status.st_mode;
    if (n < 0)
        return n;
    return length == cap ? -EFBIG : (ssize_t)length;
}

static int read_key(const struct options *options, struct shared_credentials *ret_key,
                    mode_t *ret_mode, const char **reason)
{
    char text[CREDENTIALS_TEXT_MAX];
    ssize_t length = read_file(options->shared_key_file, text, sizeof text, ret_mode);
    int rc;

    if (length < 0) {
        *reason = length == -EINVAL ? "is no regular file" : strerror((int)-length);
        return (int)length;
    }
    rc = shared_credentials_parse(text, (size_t)length, is_s3(options), ret_key, reason);
    explicit_bzero(text, sizeof text);
    return rc;
}

int options_reread_shared_key(const struct options *options, struct shared_credentials *ret_key)
{
    const char *reason;
    mode_t mode;

    return read_key(options, ret_key, &mode, &reason);
}

/* The bytes of one that is only removed would still be in /proc/self/environ. */
static void scrub_environment(char **env)
{
    char **kept = env;

    for (; *env != NULL; env++) {
        bool is_ours = false;

        for (size_t i = 0; i < VARIABLES; i++) {
            size_t length = strlen(variables[i]);

            if (strncmp(*env, variables[i], length) == 0 && (*env)[length] == '=')
                is_ours = true;
        }
        if (is_ours)
            explicit_bzero(*env, strlen(*env));
        else
            *kept++ = *env;
    }
    *kept = NULL;
}

static int find_in_file(struct options *options, char *message, size_t message_cap)
{
    const char *path = options->shared_key_file, *reason = "";
    mode_t mode = 0;
    int rc = read_key(options, &options->shared_key, &mode, &reason);

    if (rc < 0)
        snprintf(message, message_cap, "shared_key_file %s: %s", path, reason);
    else if ((mode & (S_IRGRP | S_IROTH)) != 0)
        snprintf(message, message_cap,
                 "shared_key_file %s can be read by others (mode %04o); chmod 600 helps", path,
                 mode & 07777U);
    return rc;
}

static int find_in_environment(struct options *options, char **env, char *message,
                               size_t message_cap)
{
    const char *reason = "";
    int rc = shared_credentials_make(
        options_environment(env, variables[0]), options_environment(env, variables[1]),
        options_environment(env, variables[2]), &options->shared_key, &reason);

    if (rc < 0)
        snprintf(message, message_cap, "the key in the environment: %s", reason);
    return rc;
}

int options_find_shared_key(struct options *options, char **env, char *message, size_t message_cap)
{
    int rc = 0;

    message[0] = '\0';
    if (options->shared == NULL)
        return 0;
    if (options->shared_key_file != NULL)
        rc = find_in_file(options, message, message_cap);
    else if (is_s3(options))
        rc = find_in_environment(options, env, message, message_cap);
    scrub_environment(env);
    return rc;
}
