#include "github/parse_scan.h"

#include "github/parse_bounds.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int scan_init(struct scan *s, const char *text)
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

bool scan_is_done(const struct scan *s)
{
    return s->at == s->end;
}

bool scan_char(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

void scan_blanks(struct scan *s)
{
    while (s->at < s->end && is_blank(*s->at))
        s->at++;
}

bool scan_word(struct scan *s, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(s->end - s->at) < len || strncasecmp(s->at, word, len) != 0)
        return false;
    s->at += len;
    return true;
}

bool scan_digits(struct scan *s, unsigned count, unsigned *ret_value)
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

bool scan_number(struct scan *s, uint64_t *ret_value)
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
