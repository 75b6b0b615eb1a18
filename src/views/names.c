#include "views/names.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SLASH "\xe2\x88\x95" /* U+2215 division slash */

bool name_is_ignore_file(const char *name)
{
    return !strcmp(name, ".gitignore") || !strcmp(name, ".ignore") || !strcmp(name, ".rgignore");
}

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

/* What a name must not begin with. Tools take - and + for an option (less and vi run the command
 * that follows a +), perl -n runs what follows a |, shells expand ~ to a home directory, ls, globs
 * and rg leave out what begins with a dot, and a leading space is lost where words are split. */
static bool misleads(char first)
{
    return first && strchr("-+|~. ", first);
}

size_t safe_name_clean(const char *name, size_t max, char *ret_name)
{
    size_t used = 0;

    while (*name) {
        size_t len = character_length(name), add = len;
        const char *from = name;
        if (is_control(name, len)) {
            from = "_";
            add = 1;
        } else if (*name == '/') {
            from = SLASH;
            add = strlen(SLASH);
        }
        if (used + add > max)
            break;
        memcpy(ret_name + used, from, add);
        used += add;
        name += len;
    }
    ret_name[used] = '\0';
    return used;
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
    used += safe_name_clean(before, SAFE_NAME_LEN - 1 - len - used, ret_name + used);
    used += safe_name_clean(name, SAFE_NAME_LEN - 1 - len - used, ret_name + used);
    memcpy(ret_name + used, behind, len + 1);
}

static int compare_ids(const void *a, const void *b)
{
    const struct safe_name *x = *(struct safe_name *const *)a;
    const struct safe_name *y = *(struct safe_name *const *)b;

    return x->id < y->id ? -1 : x->id > y->id;
}

int safe_name_compare(const void *a, const void *b)
{
    return strcmp(((const struct safe_name *)a)->name, ((const struct safe_name *)b)->name);
}

static void keep(void *name)
{
    (void)name;
}

/* A name with a suffix may itself be the bare one of another: then the suffix is added once more.
 * `taken` is the tree (tsearch) of the names given so far. */
static int assign_one(struct safe_name *n, safe_name_test *is_taken, void **taken)
{
    char suffix[64] = "";
    size_t len = 0;

    safe_name_make("", n->given, suffix, n->name);
    while (!*n->name || (is_taken && is_taken(n->name)) || tfind(n, taken, safe_name_compare)) {
        if (len + 32 > sizeof(suffix))
            break;
        len += (size_t)snprintf(suffix + len, sizeof(suffix) - len, " (%llu)",
                                (unsigned long long)n->id);
        safe_name_make("", n->given, suffix, n->name);
    }
    return tsearch(n, taken, safe_name_compare) ? 0 : -ENOMEM;
}

/* In the order of the ids, so the result does not depend on that of the list. */
int safe_name_assign(struct safe_name *names, size_t count, safe_name_test *is_taken)
{
    struct safe_name **order = calloc(count + 1, sizeof(struct safe_name *));
    void *taken = NULL;
    int rc = 0;

    if (!order)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        order[i] = &names[i];
    qsort(order, count, sizeof(struct safe_name *), compare_ids);
    for (size_t i = 0; i < count && !rc; i++)
        rc = assign_one(order[i], is_taken, &taken);
    tdestroy(taken, keep);
    free(order);
    return rc;
}

/* --- branches --- */

#define ENDING " (branch)"
#define UNKNOWN_OWNER "unknown" /* of a fork that was deleted */

/* The owner of the fork that the run's branch is in; "": it is the repository's own. */
static const char *fork_of(const struct facts_run *run)
{
    switch (facts_origin_of(run)) {
    case FACTS_OWN_BRANCH: return "";
    case FACTS_FORK: return run->head_repo_owner;
    default: return UNKNOWN_OWNER;
    }
}

/* What follows `dir` in the name of the run's branch, "" if it is `dir`; NULL: it is not below. */
static const char *rest_behind(const struct branch_dir *dir, const struct facts_run *run)
{
    const char *branch = run->head_branch;

    if (!dir->name)
        return *branch ? branch : NULL;
    if (strcasecmp(fork_of(run), dir->fork) != 0 || strncmp(branch, dir->name, dir->len) != 0)
        return NULL;
    branch += dir->len;
    return !*branch || *branch == '/' ? branch : NULL;
}

bool branch_dir_has_run(const struct branch_dir *dir, const struct facts_run *run)
{
    const char *rest = dir->name ? rest_behind(dir, run) : NULL;

    return rest && !*rest;
}

bool branch_dir_has_runs(const struct branch_runs *runs, const struct branch_dir *dir)
{
    size_t i = 0;

    while (i < runs->count && !branch_dir_has_run(dir, runs->runs[i]))
        i++;
    return i < runs->count;
}

/* What no part can be called: a number means a run, and in git no part is empty or ends so. */
static bool is_no_part(const char *name)
{
    size_t len = strlen(name);
    uint64_t id;

    return !len || name_parse_id(name, &id) || (len >= 5 && !strcmp(name + len - 5, ".lock"));
}

/* The name of the last part of `dir`, malloc'd, before it is made safe; NULL: no memory. */
static char *spell(const struct branch_dir *dir, const char *part, size_t len, bool is_top)
{
    char owner[SAFE_NAME_LEN] = "", *name, *longer;
    bool is_fork = is_top && dir->fork[0];

    if (is_fork)
        safe_name_clean(dir->fork, NAME_PART_MAX, owner);
    if (asprintf(&name, "%s%s%.*s", owner, is_fork ? ":" : "", (int)len, part) < 0)
        return NULL;
    if (!is_no_part(name))
        return name;
    if (asprintf(&longer, "%s" ENDING, name) < 0)
        longer = NULL;
    free(name);
    return longer;
}

static bool is_same_dir(const struct branch_dir *a, const struct branch_dir *b)
{
    return a->len == b->len && !memcmp(a->name, b->name, a->len) && !strcasecmp(a->fork, b->fork);
}

/* Adds the directory in `dir` that leads to the branch of the run, once. */
static int add_run(const struct branch_dir *dir, const struct facts_run *run,
                   struct branch_parts *parts)
{
    struct branch_dir below = {.fork = fork_of(run), .name = run->head_branch};
    const char *part = rest_behind(dir, run);
    size_t len, i = 0;

    if (!part || (dir->name && !*part))
        return 0;
    part += dir->name ? 1 : 0; /* the slash */
    len = strcspn(part, "/");
    below.len = (size_t)(part - run->head_branch) + len;
    while (i < parts->count && !is_same_dir(&parts->dirs[i], &below))
        i++;
    if (i == parts->count) {
        parts->shown[i].given = spell(&below, part, len, !dir->name);
        if (!parts->shown[i].given)
            return -ENOMEM;
        parts->shown[i].id = run->id;
        parts->dirs[i] = below;
        parts->count++;
    } else if (run->id < parts->shown[i].id) {
        parts->shown[i].id = run->id;
    }
    return 0;
}

int branch_parts_make(const struct branch_runs *runs, const struct branch_dir *dir,
                      struct branch_parts *ret_parts)
{
    struct branch_parts parts = {.shown = calloc(runs->count + 1, sizeof(*parts.shown)),
                                 .dirs = calloc(runs->count + 1, sizeof(*parts.dirs))};
    int rc = parts.shown && parts.dirs ? 0 : -ENOMEM;

    for (size_t i = 0; i < runs->count && !rc; i++)
        rc = add_run(dir, runs->runs[i], &parts);
    if (!rc)
        rc = safe_name_assign(parts.shown, parts.count, is_no_part);
    if (rc)
        branch_parts_finish(&parts);
    else
        *ret_parts = parts;
    return rc;
}

void branch_parts_finish(struct branch_parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        free((void *)(uintptr_t)parts->shown[i].given);
    free(parts->shown);
    free(parts->dirs);
    *parts = (struct branch_parts){0};
}

/* Whether the first `len` bytes of `typed` are this name; owners compare case-insensitively. */
static bool is_typed(const char *shown, const char *typed, size_t len)
{
    size_t owner = strcspn(shown, ":");

    if (strlen(shown) != len)
        return false;
    if (!shown[owner])
        owner = 0; /* no branch in git has a colon */
    return !strncasecmp(shown, typed, owner) && !memcmp(shown + owner, typed + owner, len - owner);
}

int branch_dir_find(const struct branch_runs *runs, const char *path, struct branch_dir *ret_dir)
{
    struct branch_dir dir = {0};
    int rc = 0;

    while (*path && !rc) {
        size_t len = strcspn(path, "/"), i = 0;
        struct branch_parts parts;
        rc = branch_parts_make(runs, &dir, &parts);
        if (rc)
            break;
        while (i < parts.count && !is_typed(parts.shown[i].name, path, len))
            i++;
        if (i < parts.count)
            dir = parts.dirs[i];
        else
            rc = -ENOENT;
        branch_parts_finish(&parts);
        path += len + (path[len] == '/');
    }
    if (!rc)
        *ret_dir = dir;
    return rc;
}

bool branch_name_unmake(const char *path, char **ret_name)
{
    char *name = calloc(1, strlen(path) + 1), *out = name;

    for (const char *part = path; name && *part; part += *part == '/') {
        const char *end = part + strcspn(part, "/"), *given = part;
        size_t len, ending = strlen(ENDING);
        safe_name_unmake(part, &given);
        len = (size_t)(end - given);
        if (len > ending && !memcmp(end - ending, ENDING, ending))
            len -= ending;
        memcpy(out, given, len);
        out += len;
        if (*end)
            *out++ = '/';
        part = end;
    }
    if (name && !strcmp(name, path)) {
        free(name);
        name = NULL;
    }
    if (name)
        *ret_name = name;
    return name;
}
