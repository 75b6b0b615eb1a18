/*
 * library.h - which libcurl this is.
 */
#ifndef GHLOGFS_NET_LIBRARY_H
#define GHLOGFS_NET_LIBRARY_H

#include <stddef.h>

/* "libcurl/7.88.1 OpenSSL/3.0.11", of the library in use. No network. */
void net_describe_library(char *text, size_t size);

#endif
