/*
 * library.h - which libfuse this is.
 */
#ifndef GHLOGFS_FS_LIBRARY_H
#define GHLOGFS_FS_LIBRARY_H

/* "libfuse 3.14.0", of the library in use. */
const char *fs_get_library(void);

#endif
