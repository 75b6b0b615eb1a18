#include "text/report.h"

#include "hash.h"
#include "name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = 200, /* of a name as it is shown */
    PATH_BYTES = 1024,
    ALSO_BYTES = 1024,       /* of the names of jobs that failed alike */
    HEADS_BYTES = 40 * 1024, /* of all lines of ours for jobs */
    REST_BYTES = 4096,       /* more than the run's line and the last line can take */
};

/* -- Output ------------------------------------------------------------------------------------ */

/* Where `text` is NULL, bytes and lines are only counted. */
struct out {
    char *text;
    size_t len;
    size_t lines;
};

static void put(struct out *out, const char *bytes, size_t len)
{
    if (out->text)
        memcpy(out->text + out->len, bytes, len);
    out->len += len;
    out->lines += len > 0 && bytes[len - 1] == '\n';
}

static void put_string(struct out *out, const char *s)
{
    put(out, s, strlen(s));
}

__attribute__((format(printf, 2, 3))) static void put_format(struct out *out, const char *format,
                                                             ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len > 0)
        put(out, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}

/* Whether the character could break a line or change the order in which it is shown. */
static bool is_unsafe(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x061C || code == 0x200E ||
           code == 0x200F || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF || code >= 0xE0000;
}

/* Text that a stranger chose, on a line of ours, cut to `max` bytes. */
static void put_safe(struct out *out, const char *s, size_t max, char quote)
{
    size_t used = 0;
    while (*s) {
        uint32_t code = 0;
        size_t len = name_read_character(s, &code);
        const char *from = s;
        size_t from_len = len;
        s += len > 0 ? len : 1;
        if (len == 0 || is_unsafe(code)) {
            from = "_";
            from_len = 1;
        } else if (*from == quote) {
            from = "'";
        }
        if (used + from_len > max) {
            put_string(out, "...");
            return;
        }
        put(out, from, from_len);
        used += from_len;
    }
}

static void put_name(struct out *out, const char *before, const char *name)
{
    put_string(out, before);
    put_string(out, "\"");
    put_safe(out, name ? name : "", NAME_BYTES, '"');
    put_string(out, "\"");
}

/* Ends a line with the path of what it is about. */
static void put_place(struct out *out, const char *path)
{
    if (path) {
        put_string(out, ", see ");
        put_safe(out, path, PATH_BYTES, '\0');
    }
    put_string(out, "\n");
}

static void put_duration(struct out *out, int64_t ms)
{
    int64_t s = ms / 1000;
    if (ms < 0)
        return;
    if (s >= 3600)
        put_format(out, ", %" PRId64 "h%02dm", s / 3600, (int)(s / 60 % 60));
    else if (s >= 60)
        put_format(out, ", %dm%02ds", (int)(s / 60), (int)(s % 60));
    else
        put_format(out, ", %ds", (int)s);
}

/* A log's line. What it may not hold, since it could begin a line for some program, is replaced by
 * as many bytes. */
static void put_log_line(struct out *out, const struct text_excerpt_line *line)
{
    char text[TEXT_EXCERPT_LINE];
    memcpy(text, line->text, line->len);
    for (size_t i = 0; i < line->len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7F)
            text[i] = '?';
        else if (c == 0xC2 && i + 1 < line->len && ((unsigned char)text[i + 1] & 0xE0) == 0x80)
            memcpy(text + i, "??", 2);
        else if (c == 0xE2 && i + 2 < line->len && (unsigned char)text[i + 1] == 0x80 &&
                 ((unsigned char)text[i + 2] & 0xFE) == 0xA8)
            memcpy(text + i, "\xEF\xBF\xBD", 3); /* U+2028, U+2029 */
    }
    put_format(out, "  %" PRIu64 ": ", line->number);
    put(out, text, line->len);
    if (line->size > line->len)
        put_format(out, " ... [%" PRIu64 " bytes]", line->size);
    put_string(out, "\n");
}

/* -- Which jobs failed alike ------------------------------------------------------------------- */

/* Reads a text so that what differs between equal failures does not: numbers, times, hexadecimal
 * words and widths of blanks. */
struct reader {
    const char *at;
    const char *end;
    const char *word_end; /* of a word that is not a number */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Whether the word is a number, a time such as 1m30s, or hexadecimal with a digit in it. */
static bool is_number(const char *word, size_t len)
{
    bool digit = false, hex = true, time = is_digit(word[0]);
    for (size_t i = 0; i < len; i++) {
        digit |= is_digit(word[i]);
        hex &= strchr("0123456789abcdefABCDEF", word[i]) != NULL;
        time &= strchr("0123456789hmsun", word[i]) != NULL;
    }
    return digit && (hex || time);
}

static const char *word_end(const char *at, const char *end)
{
    while (at < end && is_alnum(*at))
        at++;
    return at;
}

/* Behind the number, which may have parts: 3.10, 12:00:01. */
static void reader_skip_number(struct reader *r)
{
    const char *end = word_end(r->at, r->end);
    do {
        r->at = end;
        if (end == r->end || (*end != '.' && *end != ':'))
            return;
        end = word_end(end + 1, r->end);
    } while (end > r->at + 1 && is_number(r->at + 1, (size_t)(end - r->at - 1)));
}

/* The next character, or -1. */
static int reader_next(struct reader *r)
{
    if (r->at == r->end)
        return -1;
    if (*r->at == ' ' || *r->at == '\t') {
        while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
            r->at++;
        return ' ';
    }
    if (is_alnum(*r->at) && r->at >= r->word_end) {
        const char *end = word_end(r->at, r->end);
        if (is_number(r->at, (size_t)(end - r->at))) {
            reader_skip_number(r);
            return '0';
        }
        r->word_end = end;
    }
    if (is_digit(*r->at)) {
        while (r->at < r->end && is_digit(*r->at))
            r->at++;
        return '0';
    }
    return (unsigned char)*r->at++;
}

static struct reader reader_of(const char *text, size_t len)
{
    return (struct reader){.at = text, .end = text + len, .word_end = text};
}

static struct reader reader_of_string(const char *s)
{
    return reader_of(s ? s : "", s ? strlen(s) : 0);
}

static uint64_t hash_of(uint64_t hash, struct reader r)
{
    int c;
    while ((c = reader_next(&r)) >= 0)
        hash = hash_byte(hash, (unsigned char)c);
    return hash_byte(hash, '\n');
}

static bool is_same(struct reader a, struct reader b)
{
    int c;
    do {
        c = reader_next(&a);
        if (c != reader_next(&b))
            return false;
    } while (c >= 0);
    return true;
}

static uint64_t job_hash(const struct text_report_job *job)
{
    uint64_t hash = hash_of(HASH_START, reader_of_string(job->conclusion));
    hash = hash_of(hash, reader_of_string(job->note));
    for (size_t i = 0; i < job->step_count; i++) {
        const struct text_excerpt *e = job->steps[i].excerpt;
        hash = hash_of(hash, reader_of_string(job->steps[i].name));
        for (size_t n = 0; e && n < e->line_count; n++)
            hash = hash_of(hash, reader_of(e->lines[n].text, e->lines[n].len));
    }
    return hash;
}

static bool is_same_excerpt(const struct text_excerpt *a, const struct text_excerpt *b)
{
    if (!a || !b)
        return a == b;
    if (a->line_count != b->line_count || a->exit_code != b->exit_code ||
        a->has_exit_code != b->has_exit_code)
        return false;
    for (size_t i = 0; i < a->line_count; i++) {
        if (!is_same(reader_of(a->lines[i].text, a->lines[i].len),
                     reader_of(b->lines[i].text, b->lines[i].len)))
            return false;
    }
    return true;
}

static bool is_same_job(const struct text_report_job *a, const struct text_report_job *b)
{
    if (a->step_count != b->step_count ||
        !is_same(reader_of_string(a->conclusion), reader_of_string(b->conclusion)) ||
        !is_same(reader_of_string(a->note), reader_of_string(b->note)))
        return false;
    for (size_t i = 0; i < a->step_count; i++) {
        const struct text_report_step *x = &a->steps[i], *y = &b->steps[i];
        if (!is_same(reader_of_string(x->name), reader_of_string(y->name)) ||
            !is_same_excerpt(x->excerpt, y->excerpt))
            return false;
    }
    return true;
}

/* -- Blocks ------------------------------------------------------------------------------------ */

/* Jobs that failed alike: the first one is told, of the others the names. */
struct block {
    const struct text_report_job *job;
    uint64_t hash;
    size_t jobs;
    struct out head;  /* how much all but the log's lines takes, at most */
    size_t log_bytes; /* how much the log's lines may take */
    struct out also;  /* the list of the others' names, in also_text */
    size_t also_left; /* how many are not in it */
    char also_text[ALSO_BYTES];
};

static void block_add(struct block *block, const struct text_report_job *job)
{
    struct out name = {0};
    const char *before = block->also.len == 0 ? "" : ", ";
    block->jobs++;
    put_name(&name, before, job->name);
    if (block->also_left > 0 || block->also.len + name.len > ALSO_BYTES)
        block->also_left++;
    else
        put_name(&block->also, before, job->name);
}

static void print_note(struct out *out, const char *note)
{
    if (note) {
        put_string(out, "note: ");
        put_safe(out, note, NAME_BYTES, '\0');
        put_string(out, "\n");
    }
}

static void print_step_facts(struct out *out, const struct text_report_step *step)
{
    if (step->name)
        put_name(out, "step ", step->name);
    else
        put_string(out, "whole log");
    if (step->excerpt && step->excerpt->has_exit_code)
        put_format(out, ", exit code %d", step->excerpt->exit_code);
    put_duration(out, step->duration_ms);
}

/* The step's file, and its lines as far as they fit into a `share`-th of *lines and *bytes, which
 * are reduced by what they take. */
static void print_step_log(struct out *out, const struct text_report_step *step, size_t share,
                           size_t *lines, size_t *bytes)
{
    const struct text_excerpt *e = step->excerpt;
    bool keep[TEXT_EXCERPT_LINES];
    if (step->path) {
        put_string(out, "file ");
        put_safe(out, step->path, PATH_BYTES, '\0');
        put_string(out, "\n");
    }
    if (!e)
        return;
    if (e->step_lines == 0)
        print_note(out, "no lines of this step were found in the log");
    uint64_t telling = text_excerpt_fit(e, *lines / share, *bytes / share, keep);
    for (size_t i = 0; i < e->line_count; i++) {
        if (!keep[i])
            continue;
        put_log_line(out, &e->lines[i]);
        *lines -= 1;
        *bytes -= text_excerpt_line_size(&e->lines[i]);
    }
    if (telling < e->telling) {
        put_format(out, "left out: %" PRIu64 " of %" PRIu64 " error lines", e->telling - telling,
                   e->telling);
        put_place(out, step->path);
    }
}

static void print_job(struct out *out, const struct block *block)
{
    const struct text_report_job *job = block->job;
    put_string(out, "\n");
    put_name(out, "job ", job->name);
    if (job->conclusion && strcmp(job->conclusion, "failure") != 0) {
        put_string(out, ", ");
        put_safe(out, job->conclusion, NAME_BYTES, '"');
    }
    if (job->step_count > 0) {
        put_string(out, ", ");
        print_step_facts(out, &job->steps[0]);
    }
    put_string(out, "\n");
    if (block->jobs > 1) {
        put_string(out, "also ");
        put(out, block->also_text, block->also.len);
        if (block->also_left > 0)
            put_format(out, "%s%zu more", block->also.len > 0 ? " and " : "", block->also_left);
        put_string(out, "\n");
    }
    print_note(out, job->note);
}

/* Prints at most `lines` and `bytes` of logs. */
static void print_block(struct out *out, const struct block *block, size_t lines, size_t bytes)
{
    const struct text_report_job *job = block->job;
    print_job(out, block);
    for (size_t i = 0; i < job->step_count; i++) {
        if (i > 0) {
            print_step_facts(out, &job->steps[i]);
            put_string(out, "\n");
        }
        print_step_log(out, &job->steps[i], job->step_count - i, &lines, &bytes);
    }
    if (job->more_steps > 0)
        put_format(out, "left out: %zu more failed steps of this job\n", job->more_steps);
}

/* -- The report -------------------------------------------------------------------------------- */

static void print_run(struct out *out, const struct text_report_run *run)
{
    char sha[13];
    snprintf(sha, sizeof sha, "%s", run->sha ? run->sha : "unknown");
    put_name(out, "run ", run->workflow);
    put_format(out, " #%" PRIu64, run->number);
    put_name(out, ": ", run->title);
    put_name(out, ", branch ", run->branch);
    put_string(out, ", commit ");
    put_safe(out, sha, sizeof sha, '"');
    put_format(out, ", attempt %u, ", run->attempt);
    put_safe(out, run->event ? run->event : "unknown", 40, '"');
    put_format(out, ", %zu of %zu jobs failed", run->jobs_failed, run->jobs_total);
    if (run->url) {
        put_string(out, ", ");
        put_safe(out, run->url, PATH_BYTES, '"');
    }
    put_string(out, "\n");
    print_note(out, run->note);
}

/* Sorts the jobs into blocks; returns how many jobs are in one. */
static size_t blocks_fill(struct block *blocks, size_t *ret_count,
                          const struct text_report_job *jobs, size_t job_count)
{
    size_t count = 0, told = 0, heads = 0;
    for (size_t i = 0; i < job_count; i++) {
        uint64_t hash = job_hash(&jobs[i]);
        size_t n = 0;
        while (n < count && (blocks[n].hash != hash || !is_same_job(blocks[n].job, &jobs[i])))
            n++;
        if (n < count) {
            block_add(&blocks[n], &jobs[i]);
            told++;
            continue;
        }
        if (count == TEXT_REPORT_JOBS)
            continue;
        struct block *block = &blocks[count];
        struct out head = {0};
        *block = (struct block){.job = &jobs[i], .hash = hash, .jobs = 1};
        block->also.text = block->also_text;
        print_block(&head, block, 0, 0);
        if (heads + head.len + ALSO_BYTES > HEADS_BYTES)
            continue;
        heads += head.len + ALSO_BYTES;
        told++;
        count++;
    }
    *ret_count = count;
    return told;
}

static size_t log_size(const struct text_report_job *job)
{
    size_t size = 0;
    for (size_t i = 0; i < job->step_count; i++) {
        const struct text_excerpt *e = job->steps[i].excerpt;
        for (size_t n = 0; e && n < e->line_count; n++)
            size += text_excerpt_line_size(&e->lines[n]);
    }
    return size;
}

/* Divides `bytes` among the logs: whole blocks as long as they are below average, then the rest in
 * equal parts. */
static void blocks_share(struct block *blocks, size_t count, size_t bytes)
{
    bool given[TEXT_REPORT_JOBS] = {false};
    size_t left = count;
    for (bool changed = true; changed && left > 0;) {
        changed = false;
        for (size_t i = 0; i < count; i++) {
            if (!given[i] && blocks[i].log_bytes <= bytes / left) {
                given[i] = changed = true;
                bytes -= blocks[i].log_bytes;
                left--;
                if (left == 0)
                    break;
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!given[i])
            blocks[i].log_bytes = bytes / left;
    }
}

int text_report_make(const struct text_report_run *run, const struct text_report_job *jobs,
                     size_t job_count, char **ret_text, size_t *ret_len)
{
    struct block *blocks = calloc(TEXT_REPORT_JOBS, sizeof *blocks);
    struct out out = {.text = malloc(TEXT_REPORT_BYTES)};
    size_t count = 0, bytes = TEXT_REPORT_BYTES - REST_BYTES;
    if (!blocks || !out.text) {
        free(blocks);
        free(out.text);
        return -ENOMEM;
    }
    size_t told = blocks_fill(blocks, &count, jobs, job_count);
    for (size_t i = 0; i < count; i++) {
        struct block *block = &blocks[i];
        size_t most = log_size(block->job);
        print_block(&block->head, block, 0, 0);
        size_t space = TEXT_EXCERPT_BYTES - block->head.len;
        block->log_bytes = most < space ? most : space;
        bytes -= block->head.len;
    }
    blocks_share(blocks, count, bytes);
    print_run(&out, run);
    for (size_t i = 0; i < count; i++)
        print_block(&out, &blocks[i], TEXT_EXCERPT_LINES - blocks[i].head.lines,
                    blocks[i].log_bytes);
    size_t failed = run->jobs_failed > job_count ? run->jobs_failed : job_count;
    if (failed > told) {
        put_format(&out, "\nleft out: %zu more failed jobs", failed - told);
        put_place(&out, run->path);
    }
    free(blocks);
    *ret_text = out.text;
    *ret_len = out.len;
    return 0;
}
