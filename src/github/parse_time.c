#include "github/parse_time.h"

#include "github/parse_scan.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <time.h>

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
