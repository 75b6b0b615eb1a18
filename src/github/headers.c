#include "github/headers.h"

#include "name.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define RETRY_AFTER_MAX 86400
#define YEAR_S INT64_C(31556952)

/* --- a cursor over one header ----------------------------------------------------------------- */

/* The header without the blanks before it. */
static int begin(const char *text, const char **ret_at)
{
    if (!text)
        return -ENOENT;
    if (strnlen(text, PARSE_HEADER_MAX + 1) > PARSE_HEADER_MAX)
        return -EPROTO;
    *ret_at = text + strspn(text, " \t");
    return 0;
}

static bool is_at_end(const char *at)
{
    return !at[strspn(at, " \t")];
}

/* Each scan_* takes what it is named after from the front, or takes nothing and returns false. */
static bool scan_char(const char **at, char c)
{
    if (**at != c)
        return false;
    ++*at;
    return true;
}

static bool scan_number(const char **at, uint64_t *ret_value)
{
    size_t len = strspn(*at, "0123456789");

    if (!name_parse_number(*at, len, UINT64_MAX, ret_value))
        return false;
    *at += len;
    return true;
}

/* --- times ------------------------------------------------------------------------------------ */

/* False where the calendar has no such moment. A leap second (60) is the next minute's first. */
static bool seconds_of(const struct tm *wanted, int64_t *ret_s)
{
    struct tm tm = *wanted;
    time_t minute;

    tm.tm_sec = 0;
    minute = timegm(&tm);
    if (tm.tm_year < 1970 - 1900 || tm.tm_year > 9999 - 1900 || tm.tm_mon != wanted->tm_mon ||
        tm.tm_mday != wanted->tm_mday || tm.tm_hour != wanted->tm_hour ||
        tm.tm_min != wanted->tm_min || wanted->tm_sec > 60)
        return false;
    *ret_s = minute + wanted->tm_sec;
    return true;
}

/* strptime accepts one digit for two, and blanks: the length that it takes must be `len`. */
static const char *scan_form(const char *text, const char *form, ptrdiff_t len, struct tm *tm)
{
    const char *end = strptime(text, form, tm);

    return end && end - text == len ? end : NULL;
}

int parse_time(const char *text, int64_t *ret_ms)
{
    struct tm tm = {0}, offset = {0};
    int64_t seconds, offset_s = 0, ms = 0;
    const char *at;

    if (!text || text[strspn(text, "0123456789-+:.TtZz")])
        return -EPROTO;
    at = scan_form(text, "%Y-%m-%d", 10, &tm);
    if (!at || toupper((unsigned char)*at) != 'T')
        return -EPROTO;
    at = scan_form(at + 1, "%H:%M:%S", 8, &tm);
    if (!at)
        return -EPROTO;
    if (*at == '.') {
        int64_t scale = 100;
        if (!isdigit((unsigned char)*++at))
            return -EPROTO;
        for (; isdigit((unsigned char)*at); at++, scale /= 10)
            ms += (*at - '0') * scale;
    }
    if (*at == '+' || *at == '-') {
        int sign = *at == '+' ? 1 : -1;
        at = scan_form(at + 1, "%H:%M", 5, &offset);
        offset_s = sign * INT64_C(60) * (60 * offset.tm_hour + offset.tm_min);
    } else {
        at = toupper((unsigned char)*at) == 'Z' ? at + 1 : NULL;
    }
    if (!at || *at || !seconds_of(&tm, &seconds))
        return -EPROTO;
    ms += (seconds - offset_s) * 1000;
    if (ms < 0)
        return -EPROTO;
    *ret_ms = ms;
    return 0;
}

/* The length of what follows the day's name shows most of what strptime lets through. That name is
 * not compared with the date. */
static bool is_of_form(const char *text, const char *form, const char *zone, size_t len,
                       struct tm *ret_tm)
{
    const char *end;

    *ret_tm = (struct tm){0};
    end = strptime(text, form, ret_tm);
    return end && strcasecmp(end, zone) == 0 && strlen(text + strcspn(text, ", ")) == len;
}

/* RFC 9110: a year of two digits that seems more than 50 years ahead is of the past. */
static int full_year(int two_digits, int64_t now_wall_s)
{
    int now = now_wall_s > 0 && now_wall_s < 8000 * YEAR_S ? 1970 + (int)(now_wall_s / YEAR_S)
                                                           : 1970;
    int year = now - now % 100 + two_digits;

    return year > now + 50 ? year - 100 : year;
}

int parse_http_date(const char *text, int64_t now_wall_s, int64_t *ret_s)
{
    struct tm tm;
    char trimmed[64];
    const char *at;
    size_t len;
    int err = begin(text, &at);

    if (err)
        return err;
    len = strlen(at);
    while (len && strchr(" \t", at[len - 1]))
        len--;
    if (len >= sizeof(trimmed))
        return -EPROTO;
    memcpy(trimmed, at, len);
    trimmed[len] = '\0';
    if (is_of_form(trimmed, "%A, %d-%b-%y %H:%M:%S", " GMT", 24, &tm))
        tm.tm_year = full_year(tm.tm_year % 100, now_wall_s) - 1900;
    else if (!is_of_form(trimmed, "%a, %d %b %Y %H:%M:%S", " GMT", 26, &tm) &&
             !is_of_form(trimmed, "%a %b %e %H:%M:%S %Y", "", 21, &tm))
        return -EPROTO;
    return seconds_of(&tm, ret_s) ? 0 : -EPROTO;
}

/* --- numbers ---------------------------------------------------------------------------------- */

int parse_u64(const char *text, uint64_t *ret_value)
{
    const char *at;
    uint64_t value;
    int err = begin(text, &at);

    if (err)
        return err;
    if (!scan_number(&at, &value) || !is_at_end(at))
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

int parse_content_range(const char *text, struct parse_range *ret_range)
{
    struct parse_range range = {0};
    uint64_t last;
    const char *at;
    int err = begin(text, &at);

    if (err)
        return err;
    if (strncasecmp(at, "bytes ", 6) != 0)
        return -EPROTO;
    at += 6;
    at += strspn(at, " \t");
    range.satisfied = !scan_char(&at, '*');
    if (range.satisfied &&
        (!scan_number(&at, &range.first) || !scan_char(&at, '-') || !scan_number(&at, &last) ||
         last < range.first || __builtin_add_overflow(last, 1, &range.end)))
        return -EPROTO;
    if (!scan_char(&at, '/'))
        return -EPROTO;
    range.total_known = !scan_char(&at, '*');
    if (range.total_known && (!scan_number(&at, &range.total) || range.end > range.total))
        return -EPROTO;
    if (!is_at_end(at) || (!range.satisfied && !range.total_known))
        return -EPROTO;
    *ret_range = range;
    return 0;
}

/* --- Link ------------------------------------------------------------------------------------- */

/* One link: its URL, and whether one of its rel words is "next". */
struct link {
    const char *url, *end;
    bool is_next;
};

static bool has_word(const char *at, const char *end, const char *word)
{
    while (at < end) {
        size_t len = 0;
        while (at + len < end && !strchr(" \t", at[len]))
            len++;
        if (len == strlen(word) && strncasecmp(at, word, len) == 0)
            return true;
        at += len + 1;
    }
    return false;
}

/* <url>; name=value; name="value". Returns what follows the link, NULL: malformed. */
static const char *scan_link(const char *at, struct link *ret_link)
{
    *ret_link = (struct link){0};
    at += strspn(at, ", \t");
    if (*at != '<')
        return NULL;
    ret_link->url = at + 1;
    at = ret_link->end = strchr(at, '>');
    if (!at)
        return NULL;
    for (at++;;) {
        const char *name, *value;
        bool is_rel;
        at += strspn(at, " \t");
        if (*at != ';')
            return !*at || *at == ',' ? at : NULL;
        at++;
        name = at + strspn(at, " \t");
        at = name + strcspn(name, "=;, \t");
        is_rel = at - name == 3 && strncasecmp(name, "rel", 3) == 0;
        at += strspn(at, " \t");
        if (*at != '=')
            continue;
        at++;
        value = at + strspn(at, " \t");
        if (*value == '"')
            at = strchr(++value, '"');
        else
            at = value + strcspn(value, ";, \t");
        if (!at)
            return NULL;
        ret_link->is_next |= is_rel && has_word(value, at, "next");
        at += *at == '"';
    }
}

/* The number after "page=" in the query, which must lead on. */
static int page_of(const struct link *link, uint32_t *ret_page)
{
    const char *end = memchr(link->url, '#', (size_t)(link->end - link->url)), *at;
    uint64_t page;

    if (!end)
        end = link->end;
    at = memchr(link->url, '?', (size_t)(end - link->url));
    while (at) {
        const char *next;
        size_t len;
        at++;
        next = memchr(at, '&', (size_t)(end - at));
        len = (size_t)((next ? next : end) - at);
        if (len >= 5 && memcmp(at, "page=", 5) == 0) {
            if (!name_parse_number(at + 5, len - 5, UINT32_MAX, &page) || page < 2)
                return -EPROTO;
            *ret_page = (uint32_t)page;
            return 0;
        }
        at = next;
    }
    return -EPROTO;
}

int parse_link_next(const char *text, uint32_t *ret_page)
{
    struct link link;
    const char *at;
    int err = begin(text, &at);

    if (err)
        return err;
    while (*at) {
        at = scan_link(at, &link);
        if (!at)
            return -EPROTO;
        if (link.is_next)
            return page_of(&link, ret_page);
    }
    return -ENOENT;
}
