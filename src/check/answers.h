/*
 * answers.h - what answers of GitHub, of its storage and of the shared store mean to a user: each
 * function fills one line. Pure: no I/O, time is an argument (UTC seconds).
 *
 * A line never holds a token, a key, a signed URL or any part of them: only hosts, statuses, and
 * texts that are known to be harmless.
 */
#ifndef GHLOGFS_CHECK_ANSWERS_H
#define GHLOGFS_CHECK_ANSWERS_H

#include "check/report.h"
#include "facts.h"

#include <stdbool.h>
#include <stdint.h>

/* What came of one GET. Strings are printable ASCII, "" where there is none; numbers -1. */
struct check_answer {
    char host[256];
    int err;    /* net's; 0: there was an answer */
    int status; /* 0: none came */
    int tunnel; /* the status with which a proxy refused to open a tunnel; 0: it did not */
    bool is_proxied, is_plain;
    int64_t took_ms; /* until the headers came, or nothing more was waited for */
    int64_t at_s;    /* when the headers came, by our clock */
    int64_t date_s;  /* the same by the server's */
    int64_t retry_after_s;
    char detail[256];  /* curl's words for `err`, or why a redirect was not followed */
    char message[256]; /* GitHub's, beside a status that refuses */
    char type[64];     /* of the content */
    char code[48];     /* storage's or S3's word, beside a status that refuses */
    bool is_right;     /* the content may be what was asked for */
    struct facts_quota quota;
    bool has_scopes;
    char scopes[256];      /* X-OAuth-Scopes */
    char expiration[64];   /* github-authentication-token-expiration */
    char permissions[128]; /* X-Accepted-GitHub-Permissions */
    bool wants_sso;        /* X-GitHub-SSO: required */
};

struct check_token {
    const char *origin;  /* "GH_TOKEN"; NULL: there is none */
    const char *kind;    /* check_kind_of_token */
    const char *problem; /* of the source that was named, or a warning; "": none */
    bool is_unusable;    /* the source that was named has none for that problem */
    const char *host;    /* as users know it: github.com */
    const char *file;    /* token_file; NULL: none */
};

/* What kind of token it is, by its first letters, in words. */
const char *check_kind_of_token(const char *token);

/* from: which option, argument or variable names it; NULL: none. */
void check_api(struct check_line *l, const struct check_answer *a, const char *url,
               const char *from);
void check_token(struct check_line *l, const struct check_token *t, const struct check_answer *a);
void check_scopes(struct check_line *l, const struct check_token *t, const struct check_answer *a);
void check_expiry(struct check_line *l, const struct check_token *t, const struct check_answer *a);
void check_clock(struct check_line *l, const struct check_answer *a);

/* reserve: what is left to readers. */
void check_quota(struct check_line *l, const struct check_answer *a, unsigned reserve,
                 bool has_token);

/* The answer to a question about the repository's runs or their jobs. False: it is none that helps,
 * and the line says so. */
bool check_repository(struct check_line *l, const char *repo, const struct check_token *t,
                      const struct check_answer *first, const struct check_answer *a);

/* A log, or an archive, on its two hops: the API's redirect, and storage. */
void check_bytes(struct check_line *l, const char *what, const struct check_token *t,
                 const struct check_answer *api, const struct check_answer *storage);

/* Whether another log may be there where this one is not. */
bool check_is_worth_another(const struct check_answer *api, const struct check_answer *storage);

struct check_shared {
    const char *url;
    bool is_s3;
    const char *key_origin; /* "shared_key_file"; NULL: there is no key */
    const char *problem;    /* of the key; "": none */
    bool is_unusable;
};

/* The answer to a GET of an object that is not there. */
void check_shared(struct check_line *l, const struct check_shared *s, const struct check_answer *a);

#endif
