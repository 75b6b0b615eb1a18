/*
 * options_token.h - where the token comes from, and that no copy of it stays where it was.
 *
 * Sources in order: token_file; the environment; systemd's credential `token`; `gh auth token`.
 * No request checks whether the token is valid. Prints nothing.
 *
 * options_find_token runs at start, before there are threads (it changes the environment and starts
 * a process). Any thread may call options_reread_token later.
 * Errors: negative errno; outputs untouched on failure, except `message`.
 */
#ifndef GHLOGFS_OPTIONS_TOKEN_H
#define GHLOGFS_OPTIONS_TOKEN_H

#include "options.h"

/*
 * Fills the token fields of `options`. No token anywhere is not an error: token_source is then
 * OPTIONS_TOKEN_NONE. A source that was named but is unusable is an error, described in `message`;
 * on success a message that is not empty is a warning. With `offline` no source is read.
 * In every case erases the token variables from `env`, names and bytes: with the process's own
 * `environ`, neither /proc/self/environ nor a child shows them any more.
 */
int options_find_token(struct options *options, char **env, char *message, size_t message_cap);

/* Reads token_file once more, after a 401. -ENOENT: the token came from elsewhere, or the file is
 * gone or no regular file; -EBADMSG: no token in it; -ERANGE: longer than `cap` allows. Never
 * blocks on anything but the disk. */
int options_reread_token(const struct options *options, char *token, size_t cap);

/* Runs `gh auth token` for the API's host, for at most `limit_ms`, with `env` as its environment
 * and search path. `token` has OPTIONS_TOKEN_CAP bytes. -ENOENT: no gh, or it has no token;
 * -ETIMEDOUT: it was killed; -EBADMSG, -ERANGE: it printed something else. Exported for tests. */
int options_ask_gh(const struct options_api *api, char **env, unsigned limit_ms, char *token);

#endif
