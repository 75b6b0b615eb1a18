/*
 * Any command line and any environment: no crash, no leak, and what is accepted keeps its promises.
 * Input: lines; those that begin with '$' are the environment, the others arguments.
 */
#include "name.h"
#include "options.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void check_accepted(const struct options *o)
{
    char *text = options_describe(o);

    check(text != NULL);
    free(text);
    check(o->check ? o->mountpoint == NULL : o->mountpoint[0] == '/');
    check(o->check || (!o->repair && !o->json && o->check_repo.owner[0] == '\0'));
    check(o->check_repo.owner[0] == '\0' ||
          (name_is_owner(o->check_repo.owner) && name_is_repo(o->check_repo.repo)));
    check(o->cache_dir[0] == '/');
    check(strncmp(o->api.url, "https://", 8) == 0 || strncmp(o->api.url, "http://", 7) == 0);
    check(strpbrk(o->api.url, "@?# \\") == NULL && o->api.url[strlen(o->api.url) - 1] != '/');
    check(o->api.port >= 1 && o->api.port <= 65535 && o->api.key[0] != '\0');
    check(o->runs >= 1 && o->runs <= 1000 && o->connections >= 1 && o->connections <= 100);
    check(o->deadline >= 1 && o->timeout >= 1 && o->prefetch <= 100);
    check(o->cache_size <= INT64_MAX && o->memory <= INT64_MAX);
    check(strncmp(o->mount_argv[2], "ro,default_permissions,nosuid,nodev,", 36) == 0);
    check(!(o->allow_other && o->allow_root) && o->token[0] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *argv[WORDS + 2], *env[WORDS + 1], *rest, *line;
    char message[64], *text = malloc(size + 1);
    char name[] = "ghlogfs";
    struct options o = {0};
    int argc = 0, variables = 0;

    check(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    rest = text;
    argv[argc++] = name;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (line[0] == '$' && variables < WORDS)
            env[variables++] = line + 1;
        else if (line[0] != '$' && argc <= WORDS)
            argv[argc++] = line;
    }
    argv[argc] = NULL;
    env[variables] = NULL;
    if (options_parse(&o, argc, argv, env, message, sizeof message) == 0) {
        if (!o.help && !o.version)
            check_accepted(&o);
    } else {
        check(strlen(message) < sizeof message && strchr(message, '\n') == NULL);
    }
    options_finish(&o);
    free(text);
    return 0;
}
