/*
 * library.h - which libcurl this is.
 */
#ifndef GHLOGFS_NET_LIBRARY_H
#define GHLOGFS_NET_LIBRARY_H

/* "libcurl/7.88.1 OpenSSL/3.0.11 ...", of the library in use. */
const char *net_get_library(void);

#endif
