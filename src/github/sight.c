#include "github/sight.h"

#include "github/headers.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

static bool says(const struct net_request *r, const char *name, const char *value)
{
    const char *said = net_header(r, name);

    return said && strcasecmp(said, value) == 0;
}

/* -- What kind of answer it is ----------------------------------------------------------------- */

void sight_read_type(const struct net_request *r, char ret_type[SIGHT_TYPE])
{
    const char *said = net_header(r, "Content-Type");
    size_t len = 0;

    while (said && (*said == ' ' || *said == '\t'))
        said++;
    for (; said && *said && !strchr("; \t", *said) && len < SIGHT_TYPE - 1; said++)
        ret_type[len++] = isgraph((unsigned char)*said) ? *said : '?';
    ret_type[len] = '\0';
}

/* The runner uploads text/plain; stores without a type of their own say that it is bytes. */
static bool is_log_type(const struct net_request *r)
{
    char type[SIGHT_TYPE];

    sight_read_type(r, type);
    return !type[0] || !strcasecmp(type, "text/plain") ||
           !strcasecmp(type, "application/octet-stream") ||
           !strcasecmp(type, "binary/octet-stream");
}

bool sight_begins_log(const char *start, size_t len)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.";

    for (; len >= 3 && !memcmp(start, "\xef\xbb\xbf", 3); len -= 3)
        start += 3;
    for (size_t i = 0; i < len && i < sizeof(form) - 1; i++)
        if (form[i] == 'd' ? !isdigit((unsigned char)start[i]) : start[i] != form[i])
            return false;
    return true;
}

/* -- What it says ------------------------------------------------------------------------------ */

static void read_whole(const struct net_request *r, struct sight *s)
{
    s->first = 0;
    s->end = UINT64_MAX;
    if (!net_header(r, "Transfer-Encoding") &&
        parse_u64(net_header(r, "Content-Length"), &s->size) == 0) {
        s->is_sized = true;
        s->end = s->size;
    }
}

static int read_part(const struct net_request *r, struct sight *s)
{
    struct parse_range range;
    uint64_t len;

    if (parse_content_range(net_header(r, "Content-Range"), &range) < 0 || !range.satisfied)
        return -EIO;
    if (parse_u64(net_header(r, "Content-Length"), &len) == 0 && len != range.end - range.first)
        return -EIO;
    s->first = range.first;
    s->end = range.end;
    s->is_sized = range.total_known;
    s->size = range.total_known ? range.total : 0;
    return 0;
}

/* Nothing from there on: the header that says how much there is, is optional. */
static void read_nothing(const struct net_request *r, struct sight *s)
{
    struct parse_range range;

    if (parse_content_range(net_header(r, "Content-Range"), &range) == 0 && !range.satisfied) {
        s->is_sized = true;
        s->size = range.total;
    }
}

int sight_read(const struct net_request *r, int status, struct sight *ret_sight)
{
    struct sight s = {.last_modified_ms = -1};
    const char *etag = net_header(r, "ETag");
    int64_t modified_s;
    int err = 0;

    if (status != 416 && !is_log_type(r))
        return -ENOMSG;
    if (status == 206)
        err = read_part(r, &s);
    else if (status == 416)
        read_nothing(r, &s);
    else
        read_whole(r, &s);
    if (err < 0)
        return err;
    s.is_blob = net_header(r, "x-ms-blob-type") != NULL;
    s.is_final = says(r, "x-ms-blob-type", "BlockBlob") ||
                 (says(r, "x-ms-blob-type", "AppendBlob") && says(r, "x-ms-blob-sealed", "true"));
    if (parse_http_date(net_header(r, "Last-Modified"), net_wall_s(), &modified_s) == 0)
        s.last_modified_ms = modified_s * 1000;
    if (status != 416 && etag && strlen(etag) < sizeof(s.etag))
        memcpy(s.etag, etag, strlen(etag) + 1);
    *ret_sight = s;
    return 0;
}
