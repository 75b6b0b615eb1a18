#include "name.h"

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

bool name_parse_id(const char *s, uint64_t *ret_id)
{
    uint64_t id = 0;

    if (*s < '1' || *s > '9')
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return false;
        id = id * 10 + (uint64_t)(*s - '0');
        if (id > NAME_ID_MAX)
            return false;
    }
    *ret_id = id;
    return true;
}

static char *fold_part(char *out, const char *s)
{
    for (; *s; s++)
        *out++ = (*s >= 'A' && *s <= 'Z') ? (char)(*s + ('a' - 'A')) : *s;
    return out;
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
