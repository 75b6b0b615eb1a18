/*
 * Where the token comes from, and that it does not stay lying about.
 *
 * Sources in order: token_file; the environment; systemd's credential `token`; `gh auth token`.
 * The network is not asked whether the token is any good. Nothing is printed.
 *
 * options_find_token runs at start, before there are threads (it changes the environment and starts
 * a process). options_reread_token may run on any thread at any later time.
 * Errors: negative errno; outputs untouched on failure, `message` apart.
 */
#ifndef GHLOGFS_OPTIONS_TOKEN_H
#define GHLOGFS_OPTIONS_TOKEN_H

#include "options.h"

/* Fills the token fields of `options`. No token anywhere is not an error: token_source is then
 * OPTIONS_TOKEN_NONE. A source that was named but is unusable is one, told in `message`; on success
 * a message that is not empty is a warning. With `offline` no source is asked.
 * In every case the token variables are erased from `env`, bytes and names: give it the process's
 * own `environ`, and neither /proc/self/environ nor a child shows them any more. */
int options_find_token(struct options *options, char **env, char *message, size_t message_cap);

/* Reads token_file once more, after a 401. -ENOENT: the token came from elsewhere, or the file is
 * gone or no regular file; -EBADMSG: no token in it; -ERANGE: longer than `cap` allows. Never blocks
 * on anything but the disk. */
int options_reread_token(const struct options *options, char *token, size_t cap);

/* Asks `gh auth token` for the API's host, for at most `limit_ms`; gh is looked for in the PATH of
 * `env`. `token` has OPTIONS_TOKEN_CAP bytes. -ENOENT: no gh, or it knows no token; -ETIMEDOUT: it
 * was killed; -EBADMSG: it said something else. Part of options_find_token, open for tests. */
int options_ask_gh(const struct options_api *api, char **env, unsigned limit_ms, char *token);

#endif
