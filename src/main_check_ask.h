/*
 * main_check_ask.h - one GET after the other, each with a deadline, for a caller that waits for it.
 *
 * The result is what check/answers.h judges. A redirect to storage is not followed; one of a
 * moved repository is, on the API's own host (R7). Main's thread only.
 */
#ifndef GHLOGFS_MAIN_CHECK_ASK_H
#define GHLOGFS_MAIN_CHECK_ASK_H

#include "check/answers.h"
#include "net/net.h"

#include <stddef.h>

enum ask_kind {
    ASK_API,     /* with the token; the body is kept */
    ASK_LOG,     /* without it; the first bytes only */
    ASK_ARCHIVE, /* the same */
    ASK_OBJECT,  /* of the shared store, with its identity */
};

struct asker;

/* Reached as the config says; each question ends after timeout_s. `token` may be NULL; it is
 * copied. */
int asker_create(const struct net_config *config, unsigned timeout_s, const char *token,
                 struct asker **ret_asker);
void asker_destroy(struct asker *a); /* takes NULL */

struct asked {
    struct check_answer answer;
    char *body; /* of ASK_API; with a NUL behind it; NULL: none */
    size_t len;
    char *location; /* the header, which may be a signed URL: never printed; NULL: none */
    bool is_peer_private;
};

/* header: one more line, NULL: none. asked_finish on the result, whatever it is. */
void asker_get(struct asker *a, const char *url, enum ask_kind kind, const char *header,
               const struct net_identity *identity, struct asked *ret);
void asked_finish(struct asked *asked);

#endif
