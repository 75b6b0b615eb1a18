/*
 * main_version.h - what this is, and what it is built on.
 */
#ifndef GHLOGFS_MAIN_VERSION_H
#define GHLOGFS_MAIN_VERSION_H

/* "ghlogfs/0.1.0" */
const char *version_get_user_agent(void);

/* For -V and .ghlogfs/version: this program, the libraries in use, the kernel. malloc'd; NULL: no memory. */
char *version_make_text(void);

#endif
