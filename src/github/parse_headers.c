#include "github/parse_headers.h"

#include "github/parse_scan.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define RETRY_AFTER_MAX 86400

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* --- numbers ---------------------------------------------------------------------------------- */

int parse_u64(const char *text, uint64_t *ret_value)
{
    struct scan s;
    uint64_t value;
    int err = scan_init(&s, text);

    if (err)
        return err;
    if (!scan_number(&s, &value) || !scan_is_done(&s))
        return -EPROTO;
    *ret_value = value;
    return 0;
}

int64_t parse_count(const char *text)
{
    uint64_t value;

    return parse_u64(text, &value) == 0 && value <= INT64_MAX ? (int64_t)value : -1;
}

int parse_retry_after(const char *text, int64_t now_wall_s, int64_t *ret_s)
{
    uint64_t seconds = 0;
    int64_t date;
    int err = parse_u64(text, &seconds);

    if (err == -EPROTO) {
        err = parse_http_date(text, now_wall_s, &date);
        if (!err && date > now_wall_s)
            seconds = (uint64_t)(date - now_wall_s);
    }
    if (err)
        return err;
    *ret_s = seconds < RETRY_AFTER_MAX ? (int64_t)seconds : RETRY_AFTER_MAX;
    return 0;
}

/* --- Content-Range ---------------------------------------------------------------------------- */

static bool scan_range(struct scan *s, struct parse_range *range)
{
    uint64_t last;

    range->satisfied = !scan_char(s, '*');
    if (!range->satisfied)
        return true;
    if (!scan_number(s, &range->first) || !scan_char(s, '-') || !scan_number(s, &last))
        return false;
    return last >= range->first && !__builtin_add_overflow(last, 1, &range->end);
}

int parse_content_range(const char *text, struct parse_range *ret_range)
{
    struct parse_range range = {0};
    struct scan s;
    int err = scan_init(&s, text);

    if (err)
        return err;
    if (!scan_word(&s, "bytes") || !scan_char(&s, ' '))
        return -EPROTO;
    scan_blanks(&s);
    if (!scan_range(&s, &range) || !scan_char(&s, '/'))
        return -EPROTO;
    range.total_known = !scan_char(&s, '*');
    if (range.total_known && !scan_number(&s, &range.total))
        return -EPROTO;
    if (!scan_is_done(&s) || (range.total_known && range.end > range.total))
        return -EPROTO;
    if (!range.satisfied && !range.total_known) /* says nothing at all */
        return -EPROTO;
    *ret_range = range;
    return 0;
}

/* --- Link ------------------------------------------------------------------------------------- */

/* One link: its address, and whether one of its rel words is "next". */
struct link {
    struct scan url;
    bool is_next;
};

static bool has_word(struct scan value, const char *word)
{
    while (!scan_is_done(&value)) {
        scan_blanks(&value);
        if (scan_word(&value, word) && (scan_is_done(&value) || is_blank(*value.at)))
            return true;
        while (!scan_is_done(&value) && !is_blank(*value.at))
            value.at++;
    }
    return false;
}

/* A parameter's value: quoted, or up to the next separator. */
static bool scan_value(struct scan *s, struct scan *ret_value)
{
    const char *from = s->at;

    if (scan_char(s, '"')) {
        from = s->at;
        while (!scan_is_done(s) && *s->at != '"')
            s->at++;
        *ret_value = (struct scan){from, s->at};
        return scan_char(s, '"');
    }
    while (!scan_is_done(s) && !strchr(";, \t", *s->at))
        s->at++;
    *ret_value = (struct scan){from, s->at};
    return true;
}

static bool scan_parameters(struct scan *s, struct link *link)
{
    struct scan value;

    for (;;) {
        scan_blanks(s);
        if (!scan_char(s, ';'))
            return true;
        scan_blanks(s);
        const char *name = s->at;
        while (!scan_is_done(s) && !strchr("=;, \t", *s->at))
            s->at++;
        bool is_rel = s->at - name == 3 && !strncasecmp(name, "rel", 3);
        scan_blanks(s);
        if (!scan_char(s, '='))
            continue;
        scan_blanks(s);
        if (!scan_value(s, &value))
            return false;
        link->is_next |= is_rel && has_word(value, "next");
    }
}

static bool scan_link(struct scan *s, struct link *link)
{
    *link = (struct link){0};
    while (scan_blanks(s), scan_char(s, ','))
        ;
    if (!scan_char(s, '<'))
        return false;
    link->url.at = s->at;
    while (!scan_is_done(s) && *s->at != '>')
        s->at++;
    link->url.end = s->at;
    if (!scan_char(s, '>') || !scan_parameters(s, link))
        return false;
    return scan_is_done(s) || *s->at == ',';
}

/* The query's `page`, which must be a number that leads on. */
static int page_of(struct scan url, uint32_t *ret_page)
{
    uint64_t page;

    while (!scan_is_done(&url) && *url.at != '?' && *url.at != '#')
        url.at++;
    while (scan_char(&url, '?') || scan_char(&url, '&')) {
        if (url.end - url.at > 5 && !memcmp(url.at, "page=", 5)) {
            url.at += 5;
            if (!scan_number(&url, &page) || page < 2 || page > UINT32_MAX)
                return -EPROTO;
            if (!scan_is_done(&url) && *url.at != '&' && *url.at != '#')
                return -EPROTO;
            *ret_page = (uint32_t)page;
            return 0;
        }
        while (!scan_is_done(&url) && *url.at != '&' && *url.at != '#')
            url.at++;
    }
    return -EPROTO;
}

int parse_link_next(const char *text, uint32_t *ret_page)
{
    struct link link;
    struct scan s;
    int err = scan_init(&s, text);

    if (err)
        return err;
    while (!scan_is_done(&s)) {
        if (!scan_link(&s, &link))
            return -EPROTO;
        if (link.is_next)
            return page_of(link.url, ret_page);
    }
    return -ENOENT;
}
