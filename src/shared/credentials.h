/*
 * credentials.h - who this mount is to the shared store: one line of a file, or AWS's variables.
 *
 *     KEY SECRET [SESSION]      USER PASSWORD      bearer TOKEN
 *
 * Pure; any thread. Whoever holds one overwrites it in the end (shared_credentials_finish).
 */
#ifndef GHLOGFS_SHARED_CREDENTIALS_H
#define GHLOGFS_SHARED_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

#define CREDENTIALS_USER_MAX 256
#define CREDENTIALS_PASSWORD_MAX 1024
#define CREDENTIALS_SESSION_MAX 4096 /* Amazon's have 1 to 2 KiB */
#define CREDENTIALS_TEXT_MAX 6144    /* of a file that may hold them */

/* Strings, "" where there is none. All empty: anonymous. */
struct shared_credentials {
    char user[CREDENTIALS_USER_MAX];         /* or the id of a key */
    char password[CREDENTIALS_PASSWORD_MAX]; /* or its secret */
    char session[CREDENTIALS_SESSION_MAX];   /* S3 only */
    char bearer[CREDENTIALS_SESSION_MAX];    /* plain HTTP only */
};

/*
 * The first line with words in it; words are separated by blanks, and lines that begin with "#" are
 * skipped. -EBADMSG: there is no such line, more than one, too many or too few words, a control
 * character, or one that is too long; `reason` tells which, and never what was read. The output is
 * untouched on failure.
 */
int shared_credentials_parse(const char *text, size_t len, bool is_s3,
                             struct shared_credentials *ret_credentials, const char **reason);

/* Of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; NULL or "" where absent.
 * -EBADMSG as above. */
int shared_credentials_make(const char *key, const char *secret, const char *session,
                            struct shared_credentials *ret_credentials, const char **reason);

bool shared_credentials_is_same(const struct shared_credentials *a,
                                const struct shared_credentials *b);

void shared_credentials_finish(struct shared_credentials *c);

#endif
