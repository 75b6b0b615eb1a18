#include "github/headers.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define RETRY_AFTER_MAX 86400

/* --- a cursor over one header or time -------------------------------------------------------- */

/* Each scan_* takes what it is named after from the front, or takes nothing and says false. */
struct scan {
    const char *at, *end;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void scan_blanks(struct scan *s)
{
    while (s->at < s->end && is_blank(*s->at))
        s->at++;
}

static int scan_init(struct scan *s, const char *text)
{
    size_t len;

    if (!text)
        return -ENOENT;
    len = strnlen(text, PARSE_HEADER_MAX + 1);
    if (len > PARSE_HEADER_MAX)
        return -EPROTO;
    s->at = text;
    s->end = text + len;
    scan_blanks(s);
    while (s->end > s->at && is_blank(s->end[-1]))
        s->end--;
    return 0;
}

static bool scan_is_done(const struct scan *s)
{
    return s->at == s->end;
}

static bool scan_char(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool scan_word(struct scan *s, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(s->end - s->at) < len || strncasecmp(s->at, word, len) != 0)
        return false;
    s->at += len;
    return true;
}

static bool scan_digits(struct scan *s, unsigned count, unsigned *ret_value)
{
    unsigned value = 0;

    if ((size_t)(s->end - s->at) < count)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (!is_digit(s->at[i]))
            return false;
        value = value * 10 + (unsigned)(s->at[i] - '0');
    }
    s->at += count;
    *ret_value = value;
    return true;
}

static bool scan_number(struct scan *s, uint64_t *ret_value)
{
    const char *at = s->at;
    uint64_t value = 0;

    for (; at < s->end && is_digit(*at); at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return false;
    if (at == s->at)
        return false;
    s->at = at;
    *ret_value = value;
    return true;
}

#define YEAR_S INT64_C(31556952)

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

/* --- RFC 3339 --------------------------------------------------------------------------------- */

/* ".123456": milliseconds of it, cut; none is 0. */
static bool scan_fraction(struct scan *s, unsigned *ret_ms)
{
    unsigned digit, scale = 100;

    *ret_ms = 0;
    if (!scan_char(s, '.'))
        return true;
    if (!scan_digits(s, 1, &digit))
        return false;
    do {
        *ret_ms += digit * scale;
        scale /= 10;
    } while (scan_digits(s, 1, &digit));
    return true;
}

/* "Z", "+02:00": seconds to take off. */
static bool scan_offset(struct scan *s, int64_t *ret_offset_s)
{
    unsigned hours, minutes;
    bool behind;

    *ret_offset_s = 0;
    if (scan_word(s, "Z"))
        return true;
    behind = scan_char(s, '-');
    if (!behind && !scan_char(s, '+'))
        return false;
    if (!scan_digits(s, 2, &hours) || !scan_char(s, ':') || !scan_digits(s, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *ret_offset_s = (int64_t)(hours * 3600 + minutes * 60) * (behind ? -1 : 1);
    return true;
}

static bool scan_field(struct scan *s, unsigned digits, int *ret_field)
{
    unsigned value;

    if (!scan_digits(s, digits, &value))
        return false;
    *ret_field = (int)value;
    return true;
}

int parse_time(const char *text, int64_t *ret_ms)
{
    struct tm tm = {0};
    struct scan s;
    unsigned fraction;
    int64_t offset, seconds, ms;

    if (scan_init(&s, text) < 0)
        return -EPROTO;
    if (!scan_field(&s, 4, &tm.tm_year) || !scan_char(&s, '-') || !scan_field(&s, 2, &tm.tm_mon) ||
        !scan_char(&s, '-') || !scan_field(&s, 2, &tm.tm_mday) || !scan_word(&s, "T") ||
        !scan_field(&s, 2, &tm.tm_hour) || !scan_char(&s, ':') || !scan_field(&s, 2, &tm.tm_min) ||
        !scan_char(&s, ':') || !scan_field(&s, 2, &tm.tm_sec) || !scan_fraction(&s, &fraction) ||
        !scan_offset(&s, &offset) || !scan_is_done(&s))
        return -EPROTO;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (!seconds_of(&tm, &seconds))
        return -EPROTO;
    ms = (seconds - offset) * 1000 + fraction;
    if (ms < 0)
        return -EPROTO;
    *ret_ms = ms;
    return 0;
}

/* --- HTTP dates ------------------------------------------------------------------------------- */

/* strptime takes one digit for two and any blanks: the length of what follows the day's name tells
 * most of these. That name is not compared with the date. */
static bool is_of_form(const char *text, const char *form, const char *zone, size_t len,
                       struct tm *ret_tm)
{
    const char *end;

    *ret_tm = (struct tm){0};
    end = strptime(text, form, ret_tm);
    return end && strcasecmp(end, zone) == 0 && strlen(text + strcspn(text, ", ")) == len;
}

/* RFC 9110: two digits that seem more than 50 years ahead are of the past. */
static int full_year(int two_digits, int64_t now_wall_s)
{
    int now = now_wall_s > 0 && now_wall_s < 8000 * YEAR_S ? 1970 + (int)(now_wall_s / YEAR_S)
                                                           : 1970;
    int year = now - now % 100 + two_digits;

    return year > now + 50 ? year - 100 : year;
}

int parse_http_date(const char *text, int64_t now_wall_s, int64_t *ret_s)
{
    struct scan s;
    struct tm tm;
    char trimmed[64] = "";
    int err = scan_init(&s, text);

    if (err)
        return err;
    if ((size_t)(s.end - s.at) >= sizeof(trimmed))
        return -EPROTO;
    memcpy(trimmed, s.at, (size_t)(s.end - s.at));
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
