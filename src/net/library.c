#include "net/library.h"

#include <curl/curl.h>

const char *net_get_library(void)
{
    return curl_version();
}
