#include "options_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *options_text_environment(char *const *env, const char *name)
{
    size_t length = strlen(name);

    for (; *env != NULL; env++) {
        if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
            return (*env)[length + 1] != '\0' ? *env + length + 1 : NULL;
    }
    return NULL;
}

/* Reads the digits at *text and moves it behind them; false without any or on overflow. */
static bool digits_read(const char **text, uint64_t *number)
{
    const char *p = *text;
    uint64_t value = 0;

    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    }
    if (p == *text)
        return false;
    *text = p;
    *number = value;
    return true;
}

bool options_text_number(const char *text, uint64_t *number)
{
    uint64_t value;

    if (!digits_read(&text, &value) || *text != '\0')
        return false;
    *number = value;
    return true;
}

bool options_text_size(const char *text, uint64_t *size)
{
    static const char units[] = "KkMmGg";
    uint64_t value;

    if (!digits_read(&text, &value))
        return false;
    if (*text != '\0') {
        const char *unit = strchr(units, *text);

        if (unit == NULL || text[1] != '\0' ||
            __builtin_mul_overflow(value, (uint64_t)1024 << (unit - units) / 2 * 10, &value))
            return false;
    }
    if (value > INT64_MAX)
        return false;
    *size = value;
    return true;
}

bool options_text_is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

int options_text_next_word(const char **list, char **word)
{
    const char *p = *list;
    char *out, *end;

    if (*p == '\0')
        return 0;
    out = end = malloc(strlen(p) + 1);
    if (out == NULL)
        return -ENOMEM;
    for (; *p != '\0' && *p != ','; p++) {
        if (*p == '\\' && p[1] != '\0')
            p++;
        *end++ = *p;
    }
    *end = '\0';
    *list = *p == ',' ? p + 1 : p;
    *word = out;
    return 1;
}

static char *escape_into(char *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == ',' || *text == '\\')
            *out++ = '\\';
        *out++ = *text;
    }
    return out;
}

int options_text_add_word(char **list, const char *name, const char *value)
{
    size_t old = *list != NULL ? strlen(*list) : 0;
    size_t room = old + strlen(name) + 2 * (value != NULL ? strlen(value) : 0) + 3;
    char *grown = realloc(*list, room);
    char *end;

    if (grown == NULL)
        return -ENOMEM;
    end = grown + old;
    if (old > 0)
        *end++ = ',';
    end = escape_into(end, name);
    if (value != NULL) {
        *end++ = '=';
        end = escape_into(end, value);
    }
    *end = '\0';
    *list = grown;
    return 0;
}

bool options_text_is_fstab_word(const char *word)
{
    static const char *const words[] = {
        "ro",          "rw",
        "defaults",    "auto",
        "noauto",      "user",
        "nouser",      "users",
        "nousers",     "owner",
        "noowner",     "group",
        "nogroup",     "nofail",
        "fail",        "_netdev",
        "_rnetdev",    "dev",
        "suid",        "nodev",
        "nosuid",      "sync",
        "async",       "dirsync",
        "relatime",    "norelatime",
        "strictatime", "nostrictatime",
        "lazytime",    "nolazytime",
        "mand",        "nomand",
        "iversion",    "noiversion",
        "silent",      "loud",
        "symfollow",   "default_permissions",
        "diratime",    "nodiratime",
    };
    static const char *const prefixes[] = {"x-", "X-", "comment=", "user=", "uhelper=", "helper="};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(word, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

int options_text_absolute(const char *path, char **absolute)
{
    char *directory, *joined;
    int length;

    if (path[0] == '/') {
        joined = strdup(path);
        if (joined == NULL)
            return -ENOMEM;
        *absolute = joined;
        return 0;
    }
    directory = getcwd(NULL, 0);
    if (directory == NULL)
        return -errno;
    length = asprintf(&joined, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, path);
    free(directory);
    if (length < 0)
        return -ENOMEM;
    *absolute = joined;
    return 0;
}
