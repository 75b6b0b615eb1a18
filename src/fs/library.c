#include "fs/library.h"

#include <fuse_lowlevel.h>

const char *fs_get_library(void)
{
    return fuse_pkgversion();
}
