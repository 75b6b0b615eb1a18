/*
 * The proxy: which one the environment means, whether it can be one, and how to show it.
 *
 * Pure. A proxy may hold a password: nothing here repeats it, and who shows a proxy goes through
 * options_proxy_show.
 */
#ifndef GHLOGFS_OPTIONS_PROXY_H
#define GHLOGFS_OPTIONS_PROXY_H

#include <stdbool.h>
#include <stdio.h>

/* The proxy that `env` names for an https or an http API, NULL without one. */
const char *options_proxy_from_environment(char *const *env, bool https);

/* The hosts that are to be reached without it, NULL without any. */
const char *options_proxy_exceptions(char *const *env);

/* NULL: could be one; else why not, to read after its name. */
const char *options_proxy_refuse(const char *proxy);

/* Writes it without user name and password. */
void options_proxy_show(FILE *out, const char *proxy);

#endif
