/*
 * options.h - the user's options: command line and environment become one struct, which is constant
 * after start.
 *
 * Prints nothing, never exits, knows neither FUSE nor curl's transfers. Does not touch the disk or
 * the network (it only asks for the current directory, to make paths absolute): options_token.h
 * finds the token, and the modules that use directories and files check them.
 *
 * Owner: main. options_parse fills the struct, options_finish frees it. One thread until the struct
 * is complete; any thread may read it after that.
 * Units: sizes in bytes, times in seconds.
 * Errors: negative errno and one line without a newline in `message`; outputs untouched on failure.
 */
#ifndef GHLOGFS_OPTIONS_H
#define GHLOGFS_OPTIONS_H

#include "name.h"
#include "options_api.h"
#include "shared/credentials.h"
#include "shared/location.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_TOKEN_CAP 4096   /* space for a token and its NUL */
#define OPTIONS_MESSAGE_CAP 1024 /* enough for any message; longer ones are cut */
#define OPTIONS_MOUNT_ARGS 3

enum options_token_source {
    OPTIONS_TOKEN_NONE,
    OPTIONS_TOKEN_FILE,
    OPTIONS_TOKEN_ENVIRONMENT,
    OPTIONS_TOKEN_CREDENTIAL,
    OPTIONS_TOKEN_GH,
};

struct options {
    struct options_api api; /* the API base in effect */

    /* All paths are absolute: a daemon leaves its directory. Symbolic links are not resolved. */
    char *mountpoint;
    char *cache_dir;
    char *token_file; /* NULL: not given */
    char *ca_file;    /* NULL: the TLS library's own */
    char *proxy;      /* NULL: none, whatever is in the environment; may hold a password */
    char *no_proxy;   /* NULL: none */
    char *shared;     /* NULL: there is no shared store; shared_location is what counts */
    bool shared_write;
    unsigned shared_verify;
    char *shared_key_file;
    char *shared_trust; /* NULL, or "bucket" */

    uint64_t cache_size;
    uint64_t memory;
    unsigned runs;
    unsigned fresh;
    unsigned connections;
    unsigned prefetch;
    unsigned archive_jobs;
    unsigned reserve;
    unsigned wait;
    unsigned timeout;
    unsigned deadline;
    bool no_cache;
    bool offline;
    bool timestamps;
    bool foreground; /* also with debug */
    bool debug;

    struct shared_location shared_location;
    struct shared_credentials shared_key; /* set by options_find_shared_key; never printed */

    /* With one of these the rest of the struct is not filled in. */
    bool help;
    bool version;

    /* With `check` there is no mountpoint. */
    bool check, repair, json;
    struct repo_name check_repo; /* "": not given */

    /* Which option, argument or variable it comes from; NULL: from none. */
    const char *api_from, *ca_file_from, *proxy_from;

    /* What libfuse gets, ready for FUSE_ARGS_INIT: name, "-o", words; NULL at the end.
     * Always holds ro, default_permissions, nosuid, nodev, fsname and subtype. */
    int mount_argc;
    char *mount_argv[OPTIONS_MOUNT_ARGS + 1];

    /* Where mount_argv comes from. */
    bool allow_other;
    bool allow_root;
    bool auto_unmount;
    bool noexec;
    bool noatime;
    char *fsname;
    char *subtype;
    char *api_url; /* as given, NULL otherwise; `api` is what counts */

    /* Set by options_find_token. The token is never printed. */
    enum options_token_source token_source;
    const char *token_origin; /* for messages: "GH_TOKEN", "token_file"; "none" without a token */
    char token[OPTIONS_TOKEN_CAP];
};

/* Reads a command line (argv[0] is skipped) over an environment (NULL at the end). -EINVAL: the
 * user's mistake, described in `message`; -ENOMEM, or getcwd's error. */
int options_parse(struct options *options, int argc, char *const *argv, char *const *env,
                  char *message, size_t message_cap);

/* Frees what options_parse allocated and erases the token. A zeroed struct is fine. */
void options_finish(struct options *options);

/* Overwrites the token and the store's key, once the modules that need them have a copy.
 * token_source stays. */
void options_forget_token(struct options *options);

/* The effective options, one name=value a line, without secrets. malloc'd; NULL: no memory. */
char *options_describe(const struct options *options);

/* The proxy, which is not NULL, without its user name and password. malloc'd; NULL: no memory. */
char *options_describe_proxy(const struct options *options);

/* The text for -h. malloc'd; NULL: no memory. */
char *options_make_help(void);

/* The value of a variable in `env` (NULL at the end); NULL where it is absent or empty. */
const char *options_environment(char *const *env, const char *name);

#endif
