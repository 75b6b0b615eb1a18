#include "main_version.h"

#include "fs/library.h"
#include "net/net.h"

#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

const char *version_get_user_agent(void)
{
    return "ghlogfs/" GHLOGFS_VERSION;
}

/* What this kernel's FUSE can do that matters here. */
static const char *describe_device(void)
{
    return access("/dev/fuse", F_OK) == 0 ? "present" : "missing";
}

char *version_make_text(void)
{
    struct utsname kernel = {.sysname = "unknown"};
    char curl[128], *text;

    uname(&kernel);
    net_describe_library(curl, sizeof(curl));
    if (asprintf(&text, "ghlogfs %s\nlibfuse %s\n%s\n%s %s, /dev/fuse %s\n", GHLOGFS_VERSION,
                 fs_get_library(), curl, kernel.sysname, kernel.release, describe_device()) < 0)
        return NULL;
    return text;
}
