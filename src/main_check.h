/*
 * main_check.h - `ghlogfs --check`: looks at all that a mount with these options would need, prints
 * one line for each, and what to do. Mounts nothing, and changes nothing but, with --repair,
 * damaged entries of the cache.
 *
 * main_check.c has the order and what is on this machine, main_check_github.c what is asked of
 * others, main_check_ask.c one such question. src/check decides what the answers mean.
 */
#ifndef GHLOGFS_MAIN_CHECK_H
#define GHLOGFS_MAIN_CHECK_H

#include "check/report.h"
#include "options.h"

/* Finds the token and the key by itself. Returns the exit status: 0, or 1 if something is wrong. */
int main_check(struct options *options, char **env);

/* The token, the API, storage, the shared store. The messages are of the searches for a token and a
 * key; rc: their results. */
struct main_check_found {
    int token_rc, key_rc;
    char token_message[OPTIONS_MESSAGE_CAP], key_message[OPTIONS_MESSAGE_CAP];
};

void main_check_github(struct check_report *report, const struct options *o,
                       const struct main_check_found *found);
void main_check_shared(struct check_report *report, const struct options *o,
                       const struct main_check_found *found);

#endif
