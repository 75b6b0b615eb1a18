/*
 * token.h - the token as the header line it is sent in, and the wait for another one after a 401.
 *
 * The line lies in one buffer, is shared by the requests that carry it, and is wiped when the last
 * of them lets go. Network thread only, but for token_make_line.
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

/* Whoever waits for the token to be read again. */
struct token_waiter {
    struct list link;
    /* renewed: there is another token than the one that was refused. */
    void (*told)(struct token_waiter *w, bool renewed);
};

struct token {
    struct net *net;
    struct token_line *line;   /* NULL: no token */
    void (*reread)(void *who); /* NULL: there is no way to get another one */
    void *who;
    struct list waiters;
    struct net_timer timer; /* nobody waits for ever */
};

/* A line with one reference; any thread. -EINVAL: bytes that no token has; -ENOMEM. */
int token_make_line(const char *token, struct token_line **ret_line);
struct token_line *token_line_ref(struct token_line *line);
void token_line_unref(struct token_line *line);

/* Whether the text repeats the token; never without one. */
bool token_is_in(const struct token_line *line, const char *text, size_t len);

void token_init(struct token *t, struct net *net, struct token_line *line,
                void (*reread)(void *who), void *who);
void token_finish(struct token *t);

/* Asks for the token to be read again, once for all who wait. False: there is no way to. */
bool token_await(struct token *t, struct token_waiter *w);

/*
 * The token is this now; takes the reference. Everybody who waits is told. NULL: it could not be
 * read. Then the old one stays: whoever goes on without any is answered 404 or 403, never the 401
 * after which it is read again.
 */
void token_replace(struct token *t, struct token_line *line);

#endif
