/*
 * A listing: one snapshot of a directory, in a fixed order.
 */
#include "views/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct view_listing {
    struct view_entry *entries;
    size_t count, capacity;
};

struct view_listing *listing_create(void)
{
    return calloc(1, sizeof(struct view_listing));
}

void views_listing_release(struct view_listing *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->count; i++)
        free((void *)(uintptr_t)l->entries[i].name);
    free(l->entries);
    free(l);
}

int listing_add(struct view_listing *l, const char *name, enum view_type type)
{
    char *copy = strdup(name);

    if (!copy)
        return -ENOMEM;
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 16;
        struct view_entry *entries = realloc(l->entries, capacity * sizeof(*entries));
        if (!entries) {
            free(copy);
            return -ENOMEM;
        }
        l->entries = entries;
        l->capacity = capacity;
    }
    l->entries[l->count++] = (struct view_entry){.name = copy, .type = type};
    return 0;
}

int listing_add_id(struct view_listing *l, uint64_t id, enum view_type type)
{
    char name[32];

    snprintf(name, sizeof(name), "%llu", (unsigned long long)id);
    return listing_add(l, name, type);
}

bool views_listing_get(const struct view_listing *l, size_t i, struct view_entry *ret_entry)
{
    if (i >= l->count)
        return false;
    *ret_entry = l->entries[i];
    return true;
}
