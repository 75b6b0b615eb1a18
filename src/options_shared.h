/*
 * options_shared.h - the options of the shared store: where it is, and who this mount is to it.
 *
 * The key comes from shared_key_file, else from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
 * AWS_SESSION_TOKEN; without either the store is asked as nobody. It is never printed.
 *
 * options_find_shared_key runs at start, before there are threads (it changes the environment). Any
 * thread may call options_reread_shared_key later.
 */
#ifndef GHLOGFS_OPTIONS_SHARED_H
#define GHLOGFS_OPTIONS_SHARED_H

#include "options.h"

/*
 * Fills options->shared_key. Without the option `shared` nothing is read. -errno: what was named is
 * unusable, described in `message`; on success a message that is not empty is a warning. With
 * `shared` it erases AWS's variables from `env`, names and bytes, in every case.
 */
int options_find_shared_key(struct options *options, char **env, char *message, size_t message_cap);

/* Reads the file once more, after a refusal. -errno: it cannot be used now. */
int options_reread_shared_key(const struct options *options, struct shared_credentials *ret_key);

#endif
