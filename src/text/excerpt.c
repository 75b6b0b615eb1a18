#include "text/excerpt.h"

#include "text/clean.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEAD_LINES = 90, /* the first lines of a selection */
    TAIL_LINES = 110,
    GATHERED = 3 * (HEAD_LINES + TAIL_LINES), /* lines that an excerpt is chosen from */
    BESIDE = 10, /* marked lines at either end that are shown beside ##[error] */
    NEAR = 1,    /* distance of what stands before a generic error: it may be all there is */
};

/* -- What tells why ---------------------------------------------------------------------------- */

enum where {
    ANYWHERE,
    WORD,  /* no letter, digit or _ beside it */
    BEGIN, /* behind nothing but blanks */
    END,   /* at the line's end */
    CODE,  /* followed by capital letters, digits and a colon: `error CS1234:` */
};

/*
 * The lines that tools mark as errors. Case-sensitive: `Error` and `ERROR` stand at an error,
 * `error` in any sentence. Each pattern was found in a real log or is what a usual tool prints;
 * all real logs that we have are in the table of docs/SEMANTICS.md.
 */
static const struct pattern {
    const char *text;
    enum where where;
} patterns[] = {
    {"error:", WORD},        /* gcc, clang, rustc, git, swift, Prisma */
    {"error[", WORD},        /* rustc with a code */
    {"error ", CODE},        /* MSBuild, tsc, MSVC */
    {"  error  ", ANYWHERE}, /* ESLint */
    {"Error:", ANYWHERE},    /* exceptions of Python and JavaScript; gradle, docker, podman */
    {"e: ", BEGIN},          /* kotlinc */
    {"ERROR", WORD},         /* maven, pytest, buildx, pip, cmake's log */
    {"Exception in thread", ANYWHERE}, /* Java, Python */
    {"Exception:", ANYWHERE},          /* of Java and .NET */
    {"FAILED", WORD},                  /* pytest, cargo test, ninja, gtest, gradle */
    {"FAIL", WORD},                    /* go test, jest, vitest, nextest, automake */
    {"FAILURE", WORD},                 /* gradle, maven */
    {"Failed", BEGIN},                 /* dotnet test, surefire, webpack */
    {"What went wrong:", ANYWHERE},    /* gradle */
    {"fatal:", WORD},                  /* git */
    {"panic:", WORD},                  /* go */
    {"panicked at", ANYWHERE},         /* Rust */
    {"not ok ", BEGIN},                /* TAP */
    {"ssertion failed", ANYWHERE},     /* assert() of many languages */
    {"Assertion `", ANYWHERE},         /* glibc */
    {": *** ", ANYWHERE},              /* make: ***, make[2]: *** [x] Error 1 */
    {"npm error", BEGIN},              /* since 10.6 */
    {"npm ERR!", BEGIN},               /* before */
    {"ommand not found", ANYWHERE},    /* shells, poetry */
    {": not found", END},              /* dash */
    {"Segmentation fault", ANYWHERE},
    {"Killed", END}, /* out of memory */
};
enum { PATTERNS = sizeof patterns / sizeof *patterns };
_Static_assert(PATTERNS <= 32, "a bit for each");

/* What an ##[error] says that tells nothing but that a program failed. One that is too long to be
 * shown whole counts as such too: it is all that a program has printed. */
static const char *const generic[] = {
    "Process completed with exit code ",
    "The operation was canceled",
    "failed with exit code ",
};

#define ERROR_MARK "##[error]"
#define TRACEBACK "Traceback (most recent call last)"

static bool begins(const char *text, size_t len, const char *prefix)
{
    size_t prefix_len = strlen(prefix);
    return len >= prefix_len && memcmp(text, prefix, prefix_len) == 0;
}

static bool contains(const char *text, size_t len, const char *part)
{
    return memmem(text, len, part, strlen(part)) != NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_word(char c)
{
    return is_digit(c) || is_upper(c) || (c >= 'a' && c <= 'z') || c == '_';
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != ' ' && text[i] != '\t')
            return false;
    }
    return true;
}

static bool is_code(const char *text, size_t len)
{
    size_t letters = 0, digits = 0;
    while (letters < len && is_upper(text[letters]))
        letters++;
    while (letters + digits < len && is_digit(text[letters + digits]))
        digits++;
    return letters > 0 && digits > 0 && letters + digits < len && text[letters + digits] == ':';
}

/* Whether `pattern` stands at text[at]. */
static bool matches_at(const struct pattern *pattern, const char *text, size_t len, size_t at)
{
    size_t end = at + strlen(pattern->text);
    if (!begins(text + at, len - at, pattern->text))
        return false;
    switch (pattern->where) {
    case ANYWHERE: return true;
    case WORD:
        return (at == 0 || !is_word(text[at - 1])) &&
               (end == len || !is_word(text[end - 1]) || !is_word(text[end]));
    case BEGIN: return is_blank(text, at);
    case END: return end == len;
    case CODE: return is_code(text + end, len - end);
    }
    return false;
}

/* -- A selection of lines ---------------------------------------------------------------------- */

/* A line and its own copy of what the excerpt may show of it. */
struct line {
    struct text_excerpt_line is;
    char bytes[TEXT_EXCERPT_LINE];
};

/* The lines around hits: the first HEAD_LINES, and of the others the last TAIL_LINES. */
struct selection {
    uint64_t hits;
    uint64_t last;    /* number of the last line selected */
    size_t after;     /* how many of the next lines are still to be selected */
    bool head_closed; /* the next window would not fit whole */
    size_t head_count;
    uint64_t tail_count;                        /* ever; the ring holds the last ones */
    struct line lines[HEAD_LINES + TAIL_LINES]; /* the head, the ring */
};

static void line_copy(struct line *to, const struct line *from, size_t distance)
{
    to->is = from->is;
    to->is.text = to->bytes;
    to->is.distance = (unsigned char)distance;
    memcpy(to->bytes, from->bytes, from->is.len);
}

static void selection_add(struct selection *s, const struct line *line, size_t distance)
{
    size_t at = HEAD_LINES + s->tail_count % TAIL_LINES;
    if (!s->head_closed && s->head_count < HEAD_LINES)
        at = s->head_count++;
    else
        s->tail_count++;
    line_copy(&s->lines[at], line, distance);
    s->last = line->is.number;
}

/* -- The picker -------------------------------------------------------------------------------- */

enum { RECENT = TEXT_LAST }; /* at least TEXT_BEFORE_ERROR */

struct text_picker {
    uint32_t first[256]; /* which patterns begin with this byte */
    uint64_t line_count;
    bool has_exit_code;
    int exit_code;
    bool line_open;   /* `line` has bytes, or is an empty line whose end has not come */
    bool in_header;   /* between ##[group]Run and ##[endgroup]: the script, not what it printed */
    bool in_trace;    /* behind a Traceback, whose exception is still to come */
    struct line line; /* the one being read */
    struct line recent[RECENT]; /* line n is at n % RECENT */
    struct selection specific;  /* ##[error] that tell something */
    struct selection plain;     /* ##[error] that tell only that a program failed */
    struct selection marked;
};

int text_picker_create(struct text_picker **ret)
{
    struct text_picker *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    for (size_t i = 0; i < PATTERNS; i++)
        p->first[(unsigned char)patterns[i].text[0]] |= UINT32_C(1) << i;
    *ret = p;
    return 0;
}

void text_picker_destroy(struct text_picker *p)
{
    free(p);
}

/* Selects the current line as a hit, with the lines before it that are not selected yet. */
static void select_hit(struct text_picker *p, struct selection *s, size_t before)
{
    uint64_t number = p->line.is.number, from = number > before ? number - before : 1;
    if (from <= s->last)
        from = s->last + 1;
    if (s->head_count + (size_t)(number - from) + 1 + TEXT_AFTER > HEAD_LINES)
        s->head_closed = true;
    for (uint64_t n = from; n < number; n++)
        selection_add(s, &p->recent[n % RECENT], (size_t)(number - n));
    selection_add(s, &p->line, 0);
    s->hits++;
    s->after = TEXT_AFTER;
}

static void select_after(struct text_picker *p, struct selection *s)
{
    if (s->after > 0) {
        selection_add(s, &p->line, TEXT_AFTER + 1 - s->after);
        s->after--;
    }
}

static bool is_marked(const struct text_picker *p, const char *text, size_t len)
{
    for (size_t at = 0; at < len; at++) {
        for (uint32_t left = p->first[(unsigned char)text[at]]; left; left &= left - 1) {
            if (matches_at(&patterns[__builtin_ctz(left)], text, len, at))
                return true;
        }
    }
    return false;
}

/* A Traceback, or the line that ends it: the first that is not indented. */
static bool is_trace(struct text_picker *p, const char *text, size_t len)
{
    const char *start = memmem(text, len, TRACEBACK, strlen(TRACEBACK));
    if (start) {
        /* Behind a logger's prefix no line is indented. */
        p->in_trace = is_blank(text, (size_t)(start - text));
        return true;
    }
    if (!p->in_trace || len == 0 || text[0] == ' ' || text[0] == '\t')
        return false;
    p->in_trace = false;
    return true;
}

static bool is_generic(const char *text, size_t len)
{
    for (size_t i = 0; i < sizeof generic / sizeof *generic; i++) {
        if (contains(text, len, generic[i]))
            return true;
    }
    return false;
}

static void exit_code_read(struct text_picker *p, const char *text, size_t len)
{
    size_t at = strlen(ERROR_MARK) + strlen(generic[0]);
    int code = 0;
    if (!begins(text, len, ERROR_MARK "Process completed with exit code "))
        return;
    /* Windows has codes of 32 bits, which are printed with a sign. */
    bool negative = at < len && text[at] == '-';
    size_t digits = 0;
    for (at += negative; at < len && is_digit(text[at]) && digits < 10; at++, digits++) {
        if (__builtin_mul_overflow(code, 10, &code) ||
            __builtin_add_overflow(code, text[at] - '0', &code))
            return;
    }
    if (digits == 0)
        return;
    p->has_exit_code = true;
    p->exit_code = negative ? -code : code;
}

/* Looks at the line that has just been completed. */
static void line_pick(struct text_picker *p)
{
    const char *text = p->line.bytes;
    size_t len = p->line.is.len;
    struct selection *hit = NULL;
    if (text_read_stamp(text, len) != TEXT_TIME_UNKNOWN) { /* it is kept */
        size_t stamp = len > TEXT_STAMP_LEN ? TEXT_STAMP_LEN + 1 : TEXT_STAMP_LEN;
        text += stamp;
        len -= stamp;
    }
    if (begins(text, len, ERROR_MARK)) {
        p->in_header = false;
        hit = p->line.is.size > p->line.is.len || is_generic(text, len) ? &p->plain : &p->specific;
        exit_code_read(p, text, len);
    } else if (begins(text, len, "##[group]Run ")) {
        p->in_header = true;
    } else if (begins(text, len, "##[endgroup]")) {
        p->in_header = false;
    } else if (!p->in_header && !begins(text, len, "##[") && !begins(text, len, "[command]")) {
        bool trace = is_trace(p, text, len);
        if (trace || is_marked(p, text, len))
            hit = &p->marked;
    }
    if (hit != &p->specific)
        select_after(p, &p->specific);
    if (hit != &p->plain)
        select_after(p, &p->plain);
    if (hit != &p->marked)
        select_after(p, &p->marked);
    if (hit)
        select_hit(p, hit, hit == &p->marked ? TEXT_BEFORE_MARKED : TEXT_BEFORE_ERROR);
}

/* Drops the bytes of a character that was cut in the middle. */
static size_t char_boundary(const char *text, size_t len)
{
    size_t at = len;
    while (at > 0 && len - at < 3 && ((unsigned char)text[at - 1] & 0xC0) == 0x80)
        at--;
    if (at == 0)
        return len;
    unsigned char lead = (unsigned char)text[at - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    return need > len - at + 1 ? at - 1 : len;
}

static void line_end(struct text_picker *p)
{
    struct text_excerpt_line *line = &p->line.is;
    line->number = ++p->line_count;
    if (line->size > line->len)
        line->len = (unsigned short)char_boundary(p->line.bytes, line->len);
    line_pick(p);
    line_copy(&p->recent[line->number % RECENT], &p->line, 0);
    line->len = 0;
    line->size = 0;
    p->line_open = false;
}

void text_picker_feed(struct text_picker *p, const void *text, size_t len)
{
    const char *at = text;
    struct text_excerpt_line *line = &p->line.is;
    while (len > 0) {
        const char *end = memchr(at, '\n', len);
        size_t part = end ? (size_t)(end - at) : len;
        size_t kept = TEXT_EXCERPT_LINE - line->len;
        if (kept > part)
            kept = part;
        memcpy(p->line.bytes + line->len, at, kept);
        line->len = (unsigned short)(line->len + kept);
        line->size += part;
        p->line_open = true;
        if (end) {
            line_end(p);
            part++;
        }
        at += part;
        len -= part;
    }
}

/* -- The excerpt ------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    const struct text_excerpt_line *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->distance - y->distance;
}

static size_t selection_take(const struct selection *s, struct text_excerpt_line *lines)
{
    size_t count = 0, tail = s->tail_count < TAIL_LINES ? (size_t)s->tail_count : TAIL_LINES;
    for (size_t i = 0; i < s->head_count; i++)
        lines[count++] = s->lines[i].is;
    for (size_t i = 0; i < tail; i++)
        lines[count++] = s->lines[HEAD_LINES + i].is;
    return count;
}

static size_t recent_take(const struct text_picker *p, struct text_excerpt_line *lines)
{
    size_t count = 0;
    uint64_t from = p->line_count > TEXT_LAST ? p->line_count - TEXT_LAST + 1 : 1;
    for (uint64_t n = from; n <= p->line_count; n++) {
        lines[count] = p->recent[n % RECENT].is;
        lines[count++].distance = (unsigned char)(p->line_count - n);
    }
    return count;
}

/* Keeps the first and the last BESIDE of the marked lines among lines[0..count), and nothing of
 * what stands around them. */
static size_t marked_only(struct text_excerpt_line *lines, size_t count)
{
    size_t hits = 0, kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (lines[i].distance == 0)
            lines[hits++] = lines[i];
    }
    for (size_t i = 0; i < hits; i++) {
        lines[i].distance = NEAR;
        if (i < BESIDE || i + BESIDE >= hits)
            lines[kept++] = lines[i];
    }
    return kept;
}

/* Gathers what the excerpt's kind asks for, sorted, each line once. */
static size_t gather(const struct text_picker *p, enum text_excerpt_kind kind,
                     struct text_excerpt_line *lines)
{
    size_t count = selection_take(&p->plain, lines);
    for (size_t i = 0; i < count; i++) {
        if (lines[i].distance > NEAR && kind != TEXT_EXCERPT_ERRORS)
            lines[i].distance = NEAR;
    }
    if (kind == TEXT_EXCERPT_END) {
        count += recent_take(p, lines + count);
    } else {
        size_t marked = selection_take(&p->marked, lines + count);
        count += kind == TEXT_EXCERPT_MARKED ? marked : marked_only(lines + count, marked);
        count += kind == TEXT_EXCERPT_ERRORS ? selection_take(&p->specific, lines + count) : 0;
    }
    qsort(lines, count, sizeof *lines, by_number);
    size_t unique = 0;
    for (size_t i = 0; i < count; i++) {
        if (unique == 0 || lines[unique - 1].number != lines[i].number)
            lines[unique++] = lines[i];
    }
    return unique;
}

static enum text_excerpt_kind kind_of(const struct text_picker *p, uint64_t *ret_telling)
{
    *ret_telling = p->specific.hits + p->plain.hits;
    if (p->specific.hits > 0)
        return TEXT_EXCERPT_ERRORS;
    *ret_telling = p->marked.hits + p->plain.hits;
    return p->marked.hits > 0 ? TEXT_EXCERPT_MARKED : TEXT_EXCERPT_END;
}

static size_t decimal_size(uint64_t n)
{
    size_t digits = 1;
    for (; n >= 10; n /= 10)
        digits++;
    return digits;
}

size_t text_excerpt_line_size(const struct text_excerpt_line *line)
{
    size_t size = 2 + decimal_size(line->number) + 2 + line->len + 1;
    if (line->size > line->len)
        size += strlen(" ... [ bytes]") + decimal_size(line->size);
    return size;
}

/* Sets keep[i] for each of `count` lines, see text_excerpt_fit. */
static size_t fit(const struct text_excerpt_line *from, size_t count, size_t lines, size_t bytes,
                  bool *keep)
{
    size_t telling = 0;
    memset(keep, 0, count * sizeof *keep);
    for (size_t distance = 0; distance <= TEXT_LAST; distance++) {
        for (size_t n = 0; n < count; n++) {
            /* first, last, second, last but one, ... */
            size_t i = n % 2 == 0 ? n / 2 : count - 1 - n / 2;
            size_t size = text_excerpt_line_size(&from[i]);
            if (from[i].distance != distance)
                continue;
            if (lines == 0 || size > bytes)
                return telling;
            keep[i] = true;
            lines--;
            bytes -= size;
            telling += distance == 0;
        }
    }
    return telling;
}

size_t text_excerpt_fit(const struct text_excerpt *e, size_t lines, size_t bytes,
                        bool keep[TEXT_EXCERPT_LINES])
{
    return fit(e->lines, e->line_count, lines, bytes, keep);
}

int text_picker_finish(struct text_picker *p, struct text_excerpt **ret)
{
    struct text_excerpt_line lines[GATHERED];
    bool keep[GATHERED];
    size_t kept = 0, bytes = 0;
    uint64_t telling;
    if (p->line_open)
        line_end(p);
    enum text_excerpt_kind kind = kind_of(p, &telling);
    size_t count = gather(p, kind, lines);
    fit(lines, count, TEXT_EXCERPT_LINES, TEXT_EXCERPT_BYTES, keep);
    for (size_t i = 0; i < count; i++) {
        if (!keep[i])
            continue;
        lines[kept++] = lines[i];
        bytes += lines[i].len;
    }
    struct text_excerpt *e = malloc(sizeof *e + kept * sizeof *lines + bytes);
    if (!e)
        return -ENOMEM;
    *e = (struct text_excerpt){.kind = kind,
                               .has_exit_code = p->has_exit_code,
                               .exit_code = p->exit_code,
                               .step_lines = p->line_count,
                               .telling = telling,
                               .line_count = kept};
    char *text = (char *)(e->lines + kept);
    for (size_t i = 0; i < kept; i++) {
        memcpy(text, lines[i].text, lines[i].len);
        e->lines[i] = lines[i];
        e->lines[i].text = text;
        text += lines[i].len;
    }
    *ret = e;
    return 0;
}
