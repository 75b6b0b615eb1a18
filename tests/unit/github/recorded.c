#include "github/recorded.h"

#include <fts.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ARCHIVE "../shared/real/api.tar.xz"

static int unpack(const char *folder)
{
    const char *const argv[] = {"tar", "-xJf", ARCHIVE, "-C", folder, NULL};
    int status;
    pid_t child;

    if (posix_spawnp(&child, "tar", NULL, NULL, (char *const *)argv, environ) != 0)
        return -1;
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
}

int recorded_setup(void **state)
{
    char *folder = strdup("/tmp/ghlogfs-recorded-XXXXXX");

    if (access(ARCHIVE, R_OK) != 0) {
        print_message("skipped: there are no recorded answers in " ARCHIVE "\n");
        free(folder);
        folder = NULL;
    } else if (!folder || !mkdtemp(folder) || unpack(folder) < 0) {
        print_error("cannot unpack " ARCHIVE "\n");
        free(folder);
        return -1;
    }
    *state = folder;
    return 0;
}

static FTS *open_tree(const char *folder)
{
    char *paths[] = {(char *)folder, NULL};

    return fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
}

int recorded_teardown(void **state)
{
    FTS *tree;
    FTSENT *entry;

    if (!*state)
        return 0;
    tree = open_tree(*state);
    while (tree && (entry = fts_read(tree)))
        if (entry->fts_info != FTS_D)
            (void)remove(entry->fts_accpath);
    if (tree)
        fts_close(tree);
    free(*state);
    return 0;
}

char *recorded_read(const char *folder, const char *name, size_t *ret_len)
{
    char path[4096];
    char *data = NULL;
    size_t size = 0;
    FILE *file;
    ssize_t len;

    snprintf(path, sizeof(path), "%s/api/%s", folder, name);
    file = fopen(path, "r");
    if (!file)
        fail_msg("cannot read %s", name);
    len = getdelim(&data, &size, -1, file); /* no byte is 0xFF..FF: all of the file */
    fclose(file);
    if (len < 0)
        fail_msg("%s is empty", name);
    *ret_len = (size_t)len;
    return data;
}

void recorded_each(const char *folder, const char *suffix,
                   void (*each)(void *who, const char *name), void *who)
{
    size_t skip = strlen(folder) + strlen("/api/");
    FTS *tree = open_tree(folder);
    FTSENT *entry;

    assert_non_null(tree);
    while ((entry = fts_read(tree))) {
        size_t len = entry->fts_pathlen;
        if (entry->fts_info == FTS_F && len > strlen(suffix) &&
            !strcmp(entry->fts_path + len - strlen(suffix), suffix))
            each(who, entry->fts_path + skip);
    }
    fts_close(tree);
}
