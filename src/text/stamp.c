#include "text/stamp.h"

static const char pattern[TEXT_STAMP_LEN + 1] = "dddd-dd-ddTdd:dd:dd.dddddddZ";

bool text_stamp_fits(size_t at, unsigned char byte)
{
    if (pattern[at] == 'd')
        return byte >= '0' && byte <= '9';
    return byte == (unsigned char)pattern[at];
}

bool text_stamp_is(const unsigned char *s)
{
    for (size_t i = 0; i < TEXT_STAMP_LEN; i++) {
        if (!text_stamp_fits(i, s[i]))
            return false;
    }
    return true;
}

static int two(const unsigned char *s)
{
    return (s[0] - '0') * 10 + (s[1] - '0');
}

/* Days from 1970-01-01. The year is made to begin in March, so that the leap day is its last. */
static int64_t days_before(int year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int from_march = (month + 9) % 12;
    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * from_march + 2) / 5 + day - 1 - 719468;
}

int64_t text_stamp_time_ms(const unsigned char *s)
{
    int year = two(s) * 100 + two(s + 2), month = two(s + 5), day = two(s + 8);
    int hour = two(s + 11), minute = two(s + 14), second = two(s + 17);
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31)
        return TEXT_TIME_UNKNOWN;
    if (hour > 23 || minute > 59 || second > 60)
        return TEXT_TIME_UNKNOWN;
    int64_t seconds = days_before(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return seconds * 1000 + two(s + 20) * 10 + (s[22] - '0');
}
