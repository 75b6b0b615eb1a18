#include "net/library.h"

#include <curl/curl.h>
#include <stdio.h>

/* Not curl_version(): it initialises each library that curl was built with, and libldap looks up the
 * name of this machine, which takes minutes where the name server is silent. */
void net_describe_library(char *text, size_t size)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

    snprintf(text, size, "libcurl/%s %s", info->version,
             info->ssl_version ? info->ssl_version : "");
}
