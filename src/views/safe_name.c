#include "views/safe_name.h"

#include "hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLASH "\xe2\x88\x95" /* U+2215 division slash */

/* Bytes of the UTF-8 character at `s`; 1 for a byte that begins none. */
static size_t character_length(const char *s)
{
    unsigned char c = (unsigned char)*s;
    size_t len = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;

    if (c >= 0xf5)
        return 1;
    for (size_t i = 1; i < len; i++)
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 1;
    return len;
}

static bool is_control(const char *s, size_t len)
{
    unsigned char c = (unsigned char)*s;

    if (len == 1)
        return c < 0x20 || c == 0x7f;
    return len == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0;
}

/* What a name must not begin with. Tools take - and + for the beginning of an option (less and vi run
 * the command behind a +), perl -n runs what is behind a |, shells put a home directory for ~, ls,
 * globs and rg leave out what begins with a dot, and a space in front is lost where words are split. */
static bool misleads(char first)
{
    return first && strchr("-+|~. ", first);
}

/* Writes at most `max` bytes and the NUL; answers how many. */
static size_t clean(const char *name, size_t max, char *out)
{
    size_t used = 0;

    while (*name) {
        size_t len = character_length(name);
        const char *from = name;
        size_t add = len;
        if (is_control(name, len)) {
            from = "_";
            add = 1;
        } else if (*name == '/') {
            from = SLASH;
            add = strlen(SLASH);
        }
        if (used + add > max)
            break;
        memcpy(out + used, from, add);
        used += add;
        name += len;
    }
    out[used] = '\0';
    return used;
}

void safe_name_clean(const char *name, size_t max, char ret_name[SAFE_NAME_LEN])
{
    clean(name, max, ret_name);
}

bool safe_name_unmake(const char *shown, const char **ret_given)
{
    if (shown[0] != '_' || !misleads(shown[1]) || !strcmp(shown, "_.") || !strcmp(shown, "_.."))
        return false;
    *ret_given = shown + 1;
    return true;
}

void safe_name_make(const char *before, const char *name, const char *behind,
                    char ret_name[SAFE_NAME_LEN])
{
    const char *first = *before ? before : *name ? name : behind;
    size_t len = strlen(behind), used = 0;

    if (misleads(*first))
        ret_name[used++] = '_';
    used += clean(before, SAFE_NAME_LEN - 1 - len - used, ret_name + used);
    used += clean(name, SAFE_NAME_LEN - 1 - len - used, ret_name + used);
    memcpy(ret_name + used, behind, len + 1);
}

static int by_id(const void *a, const void *b)
{
    const struct safe_name *x = *(struct safe_name *const *)a;
    const struct safe_name *y = *(struct safe_name *const *)b;

    return x->id < y->id ? -1 : x->id > y->id;
}

/* An open hash of the names given so far. */
struct taken {
    struct safe_name **slots;
    size_t mask;
};

static struct safe_name **slot_of(const struct taken *t, const char *name)
{
    for (uint64_t h = hash_string(HASH_START, name);; h++) {
        struct safe_name **slot = &t->slots[h & t->mask];
        if (!*slot || !strcmp((*slot)->name, name))
            return slot;
    }
}

/* Names are given in the order of the ids, so the result does not depend on that of the list. A
 * suffixed name may itself be somebody's bare one: then the suffix is given once more. */
static void assign_one(struct safe_name *n, safe_name_test *is_taken, struct taken *t)
{
    char suffix[64] = "";

    safe_name_make("", n->given, suffix, n->name);
    while (!*n->name || (is_taken && is_taken(n->name)) || *slot_of(t, n->name)) {
        size_t len = strlen(suffix);
        if (len + 32 > sizeof(suffix))
            break;
        snprintf(suffix + len, sizeof(suffix) - len, " (%llu)", (unsigned long long)n->id);
        safe_name_make("", n->given, suffix, n->name);
    }
    *slot_of(t, n->name) = n;
}

int safe_name_assign(struct safe_name *names, size_t count, safe_name_test *is_taken)
{
    struct safe_name **order = calloc(count + 1, sizeof(struct safe_name *));
    struct taken t = {.mask = 15};
    int rc = -ENOMEM;

    while (t.mask < 2 * count)
        t.mask = 2 * t.mask + 1;
    t.slots = calloc(t.mask + 1, sizeof(struct safe_name *));
    if (!order || !t.slots)
        goto out;
    for (size_t i = 0; i < count; i++)
        order[i] = &names[i];
    qsort(order, count, sizeof(struct safe_name *), by_id);
    for (size_t i = 0; i < count; i++)
        assign_one(order[i], is_taken, &t);
    rc = 0;
out:
    free(order);
    free(t.slots);
    return rc;
}
