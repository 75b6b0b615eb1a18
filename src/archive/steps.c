#include "archive/steps.h"

#include "store/store.h"
#include "text/clean.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 65536

/* A text's hash is a polynomial of its lines' hashes, modulo a prime: so that of two texts in a row
 * follows from theirs. */
#define HASH_PRIME ((UINT64_C(1) << 61) - 1)
#define HASH_FACTOR UINT64_C(1099511628211000003)

/* What is kept of a text, cleaned; each line counts with a newline, also the last one. */
struct text {
    unsigned number;
    uint64_t lines, hash;
    uint64_t size, stamps; /* bytes without timestamps, and how many lines had one */
    bool is_open;          /* the last line has no newline */
};

struct archive_steps_work {
    bool timestamps;
    struct text text;           /* under way */
    struct store_hasher hasher; /* of the line under way, where it came in pieces */
    struct text_cleaner cleaner;
    unsigned char out[CHUNK + TEXT_CLEAN_SLACK];
};

struct archive_steps {
    struct archive_steps_work *work;
    struct text whole;
    struct text *files;
    size_t count;
    bool has_whole;
    bool is_bad; /* a text is damaged, comes twice, or there are too many */
};

struct archive_steps_work *archive_steps_work_create(bool timestamps)
{
    struct archive_steps_work *work = malloc(sizeof(*work));

    if (work)
        work->timestamps = timestamps;
    return work;
}

void archive_steps_work_destroy(struct archive_steps_work *work)
{
    free(work);
}

int archive_steps_create(struct archive_steps_work *work, struct archive_steps **ret_steps)
{
    struct archive_steps *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->work = work;
    *ret_steps = s;
    return 0;
}

void archive_steps_destroy(struct archive_steps *s)
{
    if (!s)
        return;
    free(s->files);
    free(s);
}

unsigned archive_steps_parse_name(const char *name, size_t *ret_folder_len)
{
    const char *slash = strrchr(name, '/');
    unsigned number = 0;
    size_t len;

    if (!slash || slash == name)
        return 0;
    *ret_folder_len = (size_t)(slash - name);
    for (name = slash + 1; *name >= '0' && *name <= '9'; name++) {
        number = number * 10 + (unsigned)(*name - '0');
        if (number > 1000000)
            return 0;
    }
    len = strlen(name);
    return *name == '_' && len > 4 && strcmp(name + len - 4, ".txt") == 0 ? number : 0;
}

/* -- Hashes ------------------------------------------------------------------------------------ */

static uint64_t multiply(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    uint64_t sum = (uint64_t)(product & HASH_PRIME) + (uint64_t)(product >> 61);

    return sum >= HASH_PRIME ? sum - HASH_PRIME : sum;
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return (a + b) % HASH_PRIME; /* both are below 2^61 */
}

/* That of the first text with `lines` lines of hash `b` behind it. */
static uint64_t join(uint64_t a, uint64_t b, uint64_t lines)
{
    uint64_t factor = HASH_FACTOR;

    for (; lines; lines >>= 1) {
        if (lines & 1)
            a = multiply(a, factor);
        factor = multiply(factor, factor);
    }
    return add(a, b);
}

static void add_line(struct text *t, uint64_t line)
{
    t->hash = join(t->hash, line % HASH_PRIME, 1);
    t->lines++;
}

/* -- The texts --------------------------------------------------------------------------------- */

static void add_text(struct archive_steps_work *w, const unsigned char *text, size_t len)
{
    struct text *t = &w->text;
    const unsigned char *end = text + len, *newline;

    t->size += len;
    for (; (newline = memchr(text, '\n', (size_t)(end - text))); text = newline + 1) {
        if (!t->is_open) {
            add_line(t, store_page_checksum(text, (size_t)(newline - text)));
            continue;
        }
        store_hasher_update(&w->hasher, text, (size_t)(newline - text));
        add_line(t, store_hasher_digest(&w->hasher));
        t->is_open = false;
    }
    if (text == end)
        return;
    if (!t->is_open)
        store_hasher_init(&w->hasher);
    store_hasher_update(&w->hasher, text, (size_t)(end - text));
    t->is_open = true;
}

static void note_line(void *work, const struct text_line *line)
{
    ((struct archive_steps_work *)work)->text.stamps += line->time_ms != TEXT_TIME_UNKNOWN;
}

void archive_steps_begin(struct archive_steps *s, unsigned number)
{
    struct archive_steps_work *w = s->work;

    w->text = (struct text){.number = number};
    text_cleaner_init(&w->cleaner, false, w->timestamps ? note_line : NULL, w);
}

void archive_steps_add(struct archive_steps *s, const void *data, size_t len)
{
    struct archive_steps_work *w = s->work;
    const unsigned char *at = data;

    while (len > 0) {
        size_t part = len < CHUNK ? len : CHUNK;

        add_text(w, w->out, text_cleaner_feed(&w->cleaner, at, part, w->out));
        at += part;
        len -= part;
    }
}

static int keep(struct archive_steps *s, const struct text *text)
{
    struct text *files;

    if (!text->number) {
        s->whole = *text;
        s->has_whole = true;
        return 0;
    }
    files = s->count < ARCHIVE_STEPS_MAX ? reallocarray(s->files, s->count + 1, sizeof(*files))
                                         : NULL;
    if (!files)
        return -ENOMEM;
    s->files = files;
    s->files[s->count++] = *text;
    return 0;
}

void archive_steps_end(struct archive_steps *s, bool good)
{
    struct archive_steps_work *w = s->work;

    add_text(w, w->out, text_cleaner_finish(&w->cleaner, w->out));
    if (w->text.is_open)
        add_line(&w->text, store_hasher_digest(&w->hasher));
    if (!good || (!w->text.number && s->has_whole) || keep(s, &w->text))
        s->is_bad = true;
}

/* -- What they tell ---------------------------------------------------------------------------- */

bool archive_steps_have_more(const struct archive_steps *s)
{
    uint64_t lines = 0;

    for (size_t i = 0; i < s->count; i++)
        lines += s->files[i].lines;
    return s->has_whole && !s->is_bad && lines > s->whole.lines;
}

static int by_number(const void *a, const void *b)
{
    const struct text *x = a, *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

/* Bytes of the text as it is kept, each line with its newline. */
static uint64_t kept_size(const struct archive_steps *s, const struct text *t)
{
    uint64_t stamps = s->work->timestamps ? t->stamps * (TEXT_STAMP_LEN + 1) : 0;

    return t->size + stamps + t->is_open;
}

int archive_steps_cut(struct archive_steps *s, struct archive_step **ret_steps)
{
    struct archive_step *steps;
    uint64_t hash = 0, lines = 0, size = 0;
    bool is_same = s->has_whole && !s->is_bad && s->count > 0;

    if (!is_same)
        return 0;
    steps = calloc(s->count, sizeof(*steps));
    if (!steps)
        return -ENOMEM;
    qsort(s->files, s->count, sizeof(*s->files), by_number);
    for (size_t i = 0; i < s->count; i++) {
        const struct text *t = &s->files[i];

        is_same = is_same && (i == 0 || t->number != t[-1].number);
        steps[i] = (struct archive_step){t->number, size, size + kept_size(s, t)};
        hash = join(hash, t->hash, t->lines);
        lines += t->lines;
        size = steps[i].end;
    }
    if (!is_same || hash != s->whole.hash || lines != s->whole.lines ||
        size != kept_size(s, &s->whole)) {
        free(steps);
        return 0;
    }
    for (size_t i = s->count; s->whole.is_open && i-- > 0;) { /* it has no newline at its end */
        bool is_last = steps[i].end > steps[i].begin;

        steps[i].end--;
        if (is_last)
            break;
        steps[i].begin--;
    }
    *ret_steps = steps;
    return (int)s->count;
}
