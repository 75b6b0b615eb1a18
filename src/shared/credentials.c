#include "shared/credentials.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define WORDS_MAX 3

struct word {
    const char *at;
    size_t len;
};

static int refuse(const char **reason, const char *why)
{
    *reason = why;
    return -EBADMSG;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Printable ASCII: it becomes part of a header. */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return true;
}

/* False: too long, or of bytes that no header may have. */
static bool set(char *to, size_t size, const char *text, size_t len)
{
    if (len >= size || !is_plain(text, len))
        return false;
    memcpy(to, text, len);
    to[len] = '\0';
    return true;
}

/* The words of a line, up to one more than there may be. */
static size_t split(const char *line, size_t len, struct word words[WORDS_MAX + 1])
{
    size_t count = 0, i = 0;

    while (count <= WORDS_MAX) {
        size_t begin;
        while (i < len && is_blank(line[i]))
            i++;
        if (i == len)
            break;
        begin = i;
        while (i < len && !is_blank(line[i]))
            i++;
        words[count++] = (struct word){line + begin, i - begin};
    }
    return count;
}

static int take_words(const struct word *words, size_t count, bool is_s3,
                      struct shared_credentials *c, const char **reason)
{
    bool is_bearer = count > 0 && words[0].len == 6 && strncasecmp(words[0].at, "bearer", 6) == 0;
    bool fits;

    if (is_bearer && is_s3)
        return refuse(reason, "it has a bearer token, which S3 does not know");
    if (count < 2 || count > (is_s3 ? 3 : 2))
        return refuse(reason, is_s3 ? "its line is not KEY SECRET [SESSION]"
                                    : "its line is neither USER PASSWORD nor bearer TOKEN");
    if (is_bearer)
        fits = set(c->bearer, sizeof(c->bearer), words[1].at, words[1].len);
    else
        fits = set(c->user, sizeof(c->user), words[0].at, words[0].len) &&
               set(c->password, sizeof(c->password), words[1].at, words[1].len);
    if (fits && count == 3)
        fits = set(c->session, sizeof(c->session), words[2].at, words[2].len);
    if (fits && !is_s3 && strchr(c->user, ':'))
        return refuse(reason, "its user has a colon");
    return fits ? 0 : refuse(reason, "a word in it is too long, or not printable ASCII");
}

int shared_credentials_parse(const char *text, size_t len, bool is_s3,
                             struct shared_credentials *ret_credentials, const char **reason)
{
    struct shared_credentials c = {.user = ""};
    struct word words[WORDS_MAX + 1];
    size_t count = 0;
    int rc;

    for (size_t at = 0; at < len;) {
        const char *line = text + at, *end = memchr(line, '\n', len - at);
        size_t line_len = end ? (size_t)(end - line) : len - at;
        struct word found[WORDS_MAX + 1];
        size_t more = split(line, line_len, found);
        at += line_len + 1;
        if (!more || found[0].at[0] == '#')
            continue;
        if (count)
            return refuse(reason, "it has more than one line");
        memcpy(words, found, sizeof(words));
        count = more;
    }
    if (!count)
        return refuse(reason, "it is empty");
    rc = take_words(words, count, is_s3, &c, reason);
    if (rc == 0)
        *ret_credentials = c;
    explicit_bzero(&c, sizeof(c));
    return rc;
}

int shared_credentials_make(const char *key, const char *secret, const char *session,
                            struct shared_credentials *ret_credentials, const char **reason)
{
    const struct word words[] = {{key, key ? strlen(key) : 0},
                                 {secret, secret ? strlen(secret) : 0},
                                 {session, session ? strlen(session) : 0}};
    struct shared_credentials c = {.user = ""};
    int rc = 0;

    if (!words[0].len != !words[1].len)
        return refuse(reason, "one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is missing");
    if (words[0].len)
        rc = take_words(words, words[2].len ? 3 : 2, true, &c, reason);
    if (rc == 0)
        *ret_credentials = c;
    explicit_bzero(&c, sizeof(c));
    return rc;
}

bool shared_credentials_is_same(const struct shared_credentials *a,
                                const struct shared_credentials *b)
{
    return strcmp(a->user, b->user) == 0 && strcmp(a->password, b->password) == 0 &&
           strcmp(a->session, b->session) == 0 && strcmp(a->bearer, b->bearer) == 0;
}

void shared_credentials_finish(struct shared_credentials *c)
{
    explicit_bzero(c, sizeof(*c));
}
