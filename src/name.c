#include "name.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* Whether `s` has 1 to NAME_PART_MAX bytes, and all of them are in `allowed`. */
static bool is_part(const char *s, const char *allowed)
{
    size_t len = strlen(s);

    return len >= 1 && len <= NAME_PART_MAX && strspn(s, allowed) == len;
}

bool name_is_owner(const char *s)
{
    return is_part(s, LETTERS_AND_DIGITS "-_") && s[0] != '-' && s[0] != '_';
}

bool name_is_repo(const char *s)
{
    size_t len = strlen(s);

    return is_part(s, LETTERS_AND_DIGITS "-_.") && strcmp(s, ".") && strcmp(s, "..") &&
           (len < 4 || strcasecmp(s + len - 4, ".git") != 0);
}

bool name_parse_number(const char *s, size_t len, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s[i] - '0'), &value))
            return false;
    }
    if (len == 0 || value > max)
        return false;
    *ret_value = value;
    return true;
}

bool name_parse_id(const char *s, uint64_t *ret_id)
{
    return *s != '0' && name_parse_number(s, strlen(s), NAME_ID_MAX, ret_id);
}

bool name_escape(const char *s, size_t len, const char *plain, char *ret_escaped, size_t size)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t at = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        bool is_plain = isalnum(c) || (c && strchr(plain, c));
        if (at + (is_plain ? 1 : 3) >= size) {
            ret_escaped[at] = '\0';
            return false;
        }
        if (is_plain) {
            ret_escaped[at++] = s[i];
        } else {
            ret_escaped[at++] = '%';
            ret_escaped[at++] = hex[c >> 4];
            ret_escaped[at++] = hex[c & 15];
        }
    }
    ret_escaped[at] = '\0';
    return true;
}

static char *fold_part(char *out, const char *s)
{
    for (; *s; s++)
        *out++ = (*s >= 'A' && *s <= 'Z') ? (char)(*s + ('a' - 'A')) : *s;
    return out;
}

size_t name_read_character(const char *s, uint32_t *ret_code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = (unsigned char)s[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t code = len > 1 ? lead & (0x7fu >> len) : lead;

    if (len == 0 || lead > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | ((unsigned char)s[i] & 0x3f);
    }
    if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    *ret_code = code;
    return len;
}

void name_fold(const struct repo_name *name, char ret_folded[NAME_FULL_LEN])
{
    char *out = fold_part(ret_folded, name->owner);

    *out++ = '/';
    out = fold_part(out, name->repo);
    *out = '\0';
}

bool name_is_same(const struct repo_name *a, const struct repo_name *b)
{
    return !strcasecmp(a->owner, b->owner) && !strcasecmp(a->repo, b->repo);
}
