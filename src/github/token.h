/*
 * token.h - the token as the header line that is sent, and the wait for another one after a 401.
 *
 * The line is one buffer, shared by the requests that carry it, and wiped when the last of them
 * releases it. Network thread only, but for token_make_line.
 */
#ifndef GHLOGFS_GITHUB_TOKEN_H
#define GHLOGFS_GITHUB_TOKEN_H

#include "list.h"
#include "net/net.h"

#include <stdbool.h>
#include <stddef.h>

struct token_line {
    unsigned refs;
    size_t size; /* of text, with its NUL */
    char text[]; /* "Authorization: Bearer ..." */
};

/* A request that waits for the token to be read again. */
struct token_waiter {
    struct list link;
    /* renewed: there is another token than the one that was refused. */
    void (*notify)(struct token_waiter *w, bool renewed);
};

struct token {
    struct net *net;
    struct token_line *line;   /* NULL: no token */
    void (*reread)(void *who); /* NULL: there is no other token to read */
    void *who;
    struct list waiters;
    struct net_timer timer; /* ends the wait if no token comes */
};

/* A line with one reference; any thread. -EINVAL: bytes that no token has, or too long; -ENOMEM. */
int token_make_line(const char *token, struct token_line **ret_line);
struct token_line *token_line_ref(struct token_line *line);
void token_line_unref(struct token_line *line);

/* Whether the text contains the token; false without one. */
bool token_is_in(const struct token_line *line, const char *text, size_t len);

void token_init(struct token *t, struct net *net, struct token_line *line,
                void (*reread)(void *who), void *who);
void token_finish(struct token *t);

/* Has the token read again, once for all that wait. False: there is no way to. */
bool token_await(struct token *t, struct token_waiter *w);

/*
 * Sets the token and takes the reference; all that wait are notified. NULL: it could not be read,
 * the old one stays. (Without a token GitHub answers 404 or 403, never the 401 after which it is
 * read again.)
 */
void token_replace(struct token *t, struct token_line *line);

#endif
