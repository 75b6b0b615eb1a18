#include "archive/match.h"

#include "text/clean.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* From here on a name in the archive may be the beginning of the job's. GitHub cuts after 90 UTF-16
 * units, of which cleaning may have taken some; a shorter one was never seen cut (facts, 63). */
#define CUT_MIN 60

struct match_name {
    struct match_job job;
    char *key;
    size_t key_len;
    unsigned entries; /* that might be named after it */
};

struct match {
    struct match_name *names;
    size_t count;
};

/* -- Names ------------------------------------------------------------------------------------- */

/* Copies what survives any cleaning of a path. Returns its length; `ret_key` holds `len` bytes. */
static size_t make_key(const char *name, size_t len, char *ret_key)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        if (isalnum((unsigned char)name[i]) || (unsigned char)name[i] >= 0x80)
            ret_key[n++] = name[i];
    return n;
}

int match_create(const struct match_job *jobs, size_t count, struct match **ret_match)
{
    struct match *m = calloc(1, sizeof(*m));

    if (m)
        m->names = calloc(count ? count : 1, sizeof(*m->names));
    if (!m || !m->names) {
        free(m);
        return -ENOMEM;
    }
    for (; m->count < count; m->count++) {
        struct match_name *n = &m->names[m->count];
        size_t len = strlen(jobs[m->count].name);
        char *copy = malloc(2 * (len + 1));

        if (!copy) {
            match_destroy(m);
            return -ENOMEM;
        }
        memcpy(copy, jobs[m->count].name, len + 1);
        n->job = jobs[m->count];
        n->job.name = copy;
        n->key = copy + len + 1;
        n->key_len = make_key(copy, len, n->key);
    }
    *ret_match = m;
    return 0;
}

void match_destroy(struct match *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->count; i++)
        free((char *)(uintptr_t)m->names[i].job.name); /* the key lies behind it */
    free(m->names);
    free(m);
}

const struct match_job *match_get_job(const struct match *m, size_t job)
{
    return &m->names[job].job;
}

/* The job's part of "N_<job>.txt"; NULL: the entry is no whole log. The old service's entries have
 * a negative number and stand beside newer ones (facts, PR 10769): they are none either. */
static const char *find_stem(const char *name, size_t *ret_len)
{
    size_t digits = strspn(name, "0123456789");
    size_t len = strlen(name);

    if (!digits || name[digits] != '_' || strchr(name, '/') || len < digits + 1 + 4 ||
        strcmp(name + len - 4, ".txt") != 0)
        return NULL;
    *ret_len = len - digits - 1 - 4;
    return name + digits + 1;
}

/* The length of a name without a number in brackets at its end, as equal names get one. */
static size_t unnumbered(const char *stem, size_t len)
{
    size_t at = len;

    if (!len || stem[len - 1] != ')')
        return len;
    for (at--; at > 0 && isdigit((unsigned char)stem[at - 1]); at--)
        ;
    if (at == len - 1 || at < 2 || stem[at - 1] != '(')
        return len;
    at--;
    return stem[at - 1] == ' ' ? at - 1 : at;
}

/* Whether an entry's key stands for the job's name. `is_long`: it may have been cut. */
static bool fits(const struct match_name *n, const char *key, size_t len, bool is_long)
{
    if (len == 0 || len > n->key_len || memcmp(n->key, key, len) != 0)
        return false;
    return len == n->key_len || is_long;
}

size_t match_add_entry(struct match *m, const char *name)
{
    size_t len, bare_len, key_len, bare_key_len, found = MATCH_NONE;
    unsigned jobs = 0;
    const char *stem = find_stem(name, &len);
    char *key;

    if (!stem)
        return MATCH_NONE;
    /* A cut may go through a character; what is left of it may have become U+FFFD. */
    if (len >= CUT_MIN && memcmp(stem + len - 3, "\xef\xbf\xbd", 3) == 0)
        len -= 3;
    bare_len = unnumbered(stem, len);
    key = malloc(2 * len + 1);
    if (!key) {
        for (size_t i = 0; i < m->count; i++)
            m->names[i].entries++; /* it might be anybody's */
        return MATCH_NONE;
    }
    key_len = make_key(stem, len, key);
    bare_key_len = make_key(stem, bare_len, key + len);
    for (size_t i = 0; i < m->count; i++) {
        struct match_name *n = &m->names[i];

        if (!fits(n, key, key_len, len >= CUT_MIN) &&
            !fits(n, key + len, bare_key_len, bare_len >= CUT_MIN))
            continue;
        n->entries++;
        jobs++;
        found = i;
    }
    free(key);
    /* A name that was cleaned to nothing may have got a number: that alone tells no job. */
    return jobs == 1 && bare_key_len > 0 ? found : MATCH_NONE;
}

bool match_is_only(const struct match *m, size_t job)
{
    return m->names[job].entries == 1;
}

/* -- Content ----------------------------------------------------------------------------------- */

/* Takes the name from the runner's line "Complete job name: ...". */
static void read_name(struct match_content *c, const char *text, size_t len)
{
    static const char label[] = "Complete job name: ";

    if (len < sizeof(label) || memcmp(text, label, sizeof(label) - 1) != 0)
        return;
    text += sizeof(label) - 1;
    len -= sizeof(label) - 1;
    if (text[len - 1] == '\r')
        len--;
    memcpy(c->name, text, len);
    c->name[len] = 0;
}

/* Of most lines only the first bytes are looked at: a log has millions. */
static void take_line(struct match_content *c, const char *text, size_t len)
{
    while (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (len < TEXT_STAMP_LEN || text[TEXT_STAMP_LEN - 1] != 'Z' || text[10] != 'T')
        return;
    memcpy(c->last, text, TEXT_STAMP_LEN);
    if (!c->first_ms) {
        int64_t time_ms = text_read_stamp(text, len);
        c->first_ms = time_ms == TEXT_TIME_UNKNOWN ? 0 : time_ms;
    }
    if (!c->name[0] && len > TEXT_STAMP_LEN + 1)
        read_name(c, text + TEXT_STAMP_LEN + 1, len - TEXT_STAMP_LEN - 1);
}

void match_content_add(struct match_content *c, const void *data, size_t len)
{
    const char *at = data, *end = at + len, *newline;

    for (; (newline = memchr(at, '\n', (size_t)(end - at))); at = newline + 1) {
        size_t part = (size_t)(newline - at), space = sizeof(c->line) - 1 - c->len;

        if (!c->len) {
            take_line(c, at, part < space ? part : space);
            continue;
        }
        memcpy(c->line + c->len, at, part < space ? part : space);
        take_line(c, c->line, c->len + (part < space ? part : space));
        c->len = 0;
    }
    if (at < end) {
        size_t part = (size_t)(end - at), space = sizeof(c->line) - 1 - c->len;

        memcpy(c->line + c->len, at, part < space ? part : space);
        c->len += part < space ? part : space;
    }
}

/* Whether the name is `part` and then " / ...", as that of a job in a reusable workflow is. */
static bool is_called_by(const char *name, const char *part)
{
    size_t len = strlen(part);

    return strncmp(name, part, len) == 0 && strncmp(name + len, " / ", 3) == 0;
}

/* Whether all its stamped lines lie within the job's time, and the last one near its end: else it
 * is cut. */
static bool is_timely(const struct match_content *c, const struct match_job *j)
{
    return c->first_ms && c->first_ms <= c->last_ms && j->started_ms > 0 && j->completed_ms > 0 &&
           c->first_ms >= j->started_ms - MATCH_SLACK_MS &&
           c->last_ms <= j->completed_ms + MATCH_SLACK_MS &&
           c->last_ms >= j->completed_ms - MATCH_END_MS;
}

/* Whether the log calls its job so. Where a job is called "caller / job", some logs have the caller
 * only (facts: 43 of 571). */
static bool is_named(const struct match_content *c, const char *name)
{
    return strcmp(name, c->name) == 0 || is_called_by(name, c->name);
}

bool match_content_fits(const struct match *m, size_t job, struct match_content *c)
{
    const struct match_job *j = &m->names[job].job;
    bool is_same;

    take_line(c, c->line, c->len);
    c->last_ms = text_read_stamp(c->last, sizeof(c->last));
    if (!is_timely(c, j) || (c->name[0] && !is_named(c, j->name)))
        return false;
    is_same = strcmp(j->name, c->name) == 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct match_job *other = &m->names[i].job;

        if (i == job)
            continue;
        if (is_same      ? strcmp(other->name, c->name) == 0
            : c->name[0] ? is_named(c, other->name)
                         : is_timely(c, other))
            return false;
    }
    return true;
}
