#include "github/parse_time.h"

#include "github/parse_scan.h"

#include <errno.h>
#include <stddef.h>

#define DAY_S INT64_C(86400)

struct moment {
    unsigned year, month, day, hour, minute, second; /* month and day from 1 */
};

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_of_month(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* A leap second (60) is let through; it is the next minute's first. */
static bool is_moment(const struct moment *m)
{
    return m->year >= 1970 && m->year <= 9999 && m->month >= 1 && m->month <= 12 && m->day >= 1 &&
           m->day <= days_of_month(m->year, m->month) && m->hour < 24 && m->minute < 60 &&
           m->second <= 60;
}

/* Leap years before `year`, counted from year 1. */
static unsigned leaps_before(unsigned year)
{
    year--;
    return year / 4 - year / 100 + year / 400;
}

static int64_t seconds_of(const struct moment *m)
{
    int64_t days = (int64_t)(m->year - 1970) * 365 + leaps_before(m->year) - leaps_before(1970);

    for (unsigned month = 1; month < m->month; month++)
        days += days_of_month(m->year, month);
    days += m->day - 1;
    return days * DAY_S + m->hour * 3600 + m->minute * 60 + m->second;
}

static bool scan_clock(struct scan *s, struct moment *m)
{
    return scan_digits(s, 2, &m->hour) && scan_char(s, ':') && scan_digits(s, 2, &m->minute) &&
           scan_char(s, ':') && scan_digits(s, 2, &m->second);
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

int parse_time(const char *text, int64_t *ret_ms)
{
    struct moment m;
    struct scan s;
    unsigned fraction;
    int64_t offset, ms;

    if (scan_init(&s, text) < 0)
        return -EPROTO;
    if (!scan_digits(&s, 4, &m.year) || !scan_char(&s, '-') || !scan_digits(&s, 2, &m.month) ||
        !scan_char(&s, '-') || !scan_digits(&s, 2, &m.day) || !scan_word(&s, "T") ||
        !scan_clock(&s, &m) || !scan_fraction(&s, &fraction) || !scan_offset(&s, &offset))
        return -EPROTO;
    if (!scan_is_done(&s) || !is_moment(&m))
        return -EPROTO;
    ms = (seconds_of(&m) - offset) * 1000 + fraction;
    if (ms < 0)
        return -EPROTO;
    *ret_ms = ms;
    return 0;
}

/* --- HTTP dates ------------------------------------------------------------------------------- */

static bool scan_one_of(struct scan *s, const char *const words[], unsigned count, unsigned *ret)
{
    for (unsigned i = 0; i < count; i++)
        if (scan_word(s, words[i])) {
            *ret = i;
            return true;
        }
    return false;
}

static bool scan_month(struct scan *s, unsigned *ret_month)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    unsigned index;

    if (!scan_one_of(s, months, 12, &index))
        return false;
    *ret_month = index + 1;
    return true;
}

/* The day's name is not compared with the date: it tells only which of the three forms follows. */
static bool scan_weekday(struct scan *s)
{
    static const char *const days[] = {"Monday",   "Tuesday", "Wednesday", "Thursday", "Friday",
                                       "Saturday", "Sunday",  "Mon",       "Tue",      "Wed",
                                       "Thu",      "Fri",     "Sat",       "Sun"};
    unsigned index;

    return scan_one_of(s, days, 14, &index);
}

static unsigned year_of_seconds(int64_t s)
{
    return s > 0 ? 1970 + (unsigned)(s / (DAY_S * 146097 / 400)) : 1970;
}

/* RFC 9110: two digits that seem more than 50 years ahead are of the past. */
static unsigned full_year(unsigned two_digits, int64_t now_wall_s)
{
    unsigned now = year_of_seconds(now_wall_s);
    unsigned year = now - now % 100 + two_digits;

    return year > now + 50 ? year - 100 : year;
}

/* "06 Nov 1994 08:49:37 GMT", "06-Nov-94 08:49:37 GMT" */
static bool scan_date_first(struct scan *s, int64_t now_wall_s, struct moment *m)
{
    unsigned two_digits;
    bool is_old;

    if (!scan_digits(s, 2, &m->day))
        return false;
    is_old = scan_char(s, '-');
    if ((!is_old && !scan_char(s, ' ')) || !scan_month(s, &m->month))
        return false;
    if (is_old) {
        if (!scan_char(s, '-') || !scan_digits(s, 2, &two_digits))
            return false;
        m->year = full_year(two_digits, now_wall_s);
    } else if (!scan_char(s, ' ') || !scan_digits(s, 4, &m->year)) {
        return false;
    }
    return scan_char(s, ' ') && scan_clock(s, m) && scan_char(s, ' ') && scan_word(s, "GMT");
}

/* "Nov  6 08:49:37 1994" */
static bool scan_month_first(struct scan *s, struct moment *m)
{
    if (!scan_month(s, &m->month) || !scan_char(s, ' '))
        return false;
    if (!(scan_char(s, ' ') ? scan_digits(s, 1, &m->day) : scan_digits(s, 2, &m->day)))
        return false;
    return scan_char(s, ' ') && scan_clock(s, m) && scan_char(s, ' ') &&
           scan_digits(s, 4, &m->year);
}

int parse_http_date(const char *text, int64_t now_wall_s, int64_t *ret_s)
{
    struct moment m;
    struct scan s;
    bool ok;
    int err = scan_init(&s, text);

    if (err)
        return err;
    if (!scan_weekday(&s))
        return -EPROTO;
    if (scan_char(&s, ','))
        ok = scan_char(&s, ' ') && scan_date_first(&s, now_wall_s, &m);
    else
        ok = scan_char(&s, ' ') && scan_month_first(&s, &m);
    if (!ok || !scan_is_done(&s) || !is_moment(&m))
        return -EPROTO;
    *ret_s = seconds_of(&m);
    return 0;
}
