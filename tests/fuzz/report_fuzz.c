/*
 * The report: whatever the logs and the names, it is within its bounds, each of its lines is one of
 * ours or indented, and it does not depend on the pieces that the logs come in.
 *
 * The input is parts separated by lines `%%`. The first part's lines are names: of workflow, title,
 * branch, path and note, and then of jobs and steps in turn. Each other part is a step's log; a
 * part that begins with `+` is a further step of the job before.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/excerpt.h"
#include "text/report.h"

enum { LOGS = 64, NAMES = 5 + 2 * LOGS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct part {
    const char *at;
    size_t len;
};

/* Takes what comes before the separator from the input. */
static struct part part_take(struct part *rest, const char *separator)
{
    struct part part = *rest;
    const char *end = memmem(rest->at, rest->len, separator, strlen(separator));
    if (end)
        part.len = (size_t)(end - rest->at);
    size_t taken = part.len + (end ? strlen(separator) : 0);
    rest->at += taken;
    rest->len -= taken;
    return part;
}

static struct text_excerpt *excerpt_of(struct part log, size_t piece)
{
    struct text_picker *p = NULL;
    struct text_excerpt *e = NULL;
    int err = text_picker_create(&p);
    assert(err == 0);
    for (size_t at = 0; at < log.len; at += piece)
        text_picker_feed(p, log.at + at, log.len - at < piece ? log.len - at : piece);
    err = text_picker_finish(p, &e);
    assert(err == 0);
    text_picker_destroy(p);
    size_t bytes = 0;
    assert(e->line_count <= TEXT_EXCERPT_LINES && (e->line_count > 0 || log.len == 0));
    for (size_t i = 0; i < e->line_count; i++) {
        bytes += text_excerpt_line_size(&e->lines[i]);
        assert(e->lines[i].len <= TEXT_EXCERPT_LINE && e->lines[i].len <= e->lines[i].size);
        assert(e->lines[i].number >= 1 && e->lines[i].number <= e->step_lines);
        assert(i == 0 || e->lines[i - 1].number < e->lines[i].number);
    }
    assert(bytes <= TEXT_EXCERPT_BYTES);
    return e;
}

static void check_text(const char *text, size_t len)
{
    static const char *const ours[] = {"\n",    "run \"",  "job \"", "also ",
                                       "file ", "step \"", "note: ", "left out: "};
    size_t blocks = 0;
    assert(len > 0 && len <= TEXT_REPORT_BYTES && text[len - 1] == '\n');
    for (const char *at = text; at < text + len;) {
        size_t left = (size_t)(text + len - at), i = 0;
        size_t line = (size_t)((const char *)memchr(at, '\n', left) - at) + 1;
        while (i < 8 && (left < strlen(ours[i]) || memcmp(at, ours[i], strlen(ours[i])) != 0))
            i++;
        assert(i < 8 || (line > 5 && at[0] == ' ' && at[1] == ' ' && at[2] >= '1' && at[2] <= '9'));
        assert((i == 1) == (at == text));
        blocks += i == 2;
        for (size_t n = 0; n + 1 < line; n++)
            assert((unsigned char)at[n] >= 0x20 || (at[n] == '\t' && i == 8));
        at += line;
    }
    assert(blocks <= TEXT_REPORT_JOBS);
}

/* A copy that ends with NUL. */
static char *string_of(struct part part)
{
    char *s = malloc(part.len + 1);
    assert(s);
    memcpy(s, part.at, part.len);
    s[part.len] = '\0';
    return s;
}

static char *make(const char *data, size_t size, size_t piece, size_t *ret_len)
{
    struct part rest = {.at = data, .len = size};
    struct part head = part_take(&rest, "\n%%\n");
    char *names[NAMES], *text = NULL;
    struct text_report_job jobs[LOGS] = {0};
    struct text_report_step steps[LOGS] = {0};
    size_t job_count = 0, step_count = 0;
    for (size_t i = 0; i < NAMES; i++)
        names[i] = string_of(part_take(&head, "\n"));
    while (rest.len > 0 && step_count < LOGS) {
        struct part log = part_take(&rest, "\n%%\n");
        struct text_report_step *step = &steps[step_count];
        if (job_count == 0 || log.len == 0 || log.at[0] != '+' ||
            jobs[job_count - 1].step_count == TEXT_REPORT_STEPS)
            jobs[job_count++] = (struct text_report_job){.name = names[5 + 2 * step_count],
                                                         .steps = step,
                                                         .more_steps = size % 5,
                                                         .note = size % 3 ? NULL : names[4]};
        jobs[job_count - 1].step_count++;
        *step = (struct text_report_step){.name = names[6 + 2 * step_count],
                                          .duration_ms = (int64_t)size * 97 - 100,
                                          .path = names[3],
                                          .excerpt = excerpt_of(log, piece)};
        step_count++;
    }
    const struct text_report_run run = {.workflow = names[0],
                                        .title = names[1],
                                        .branch = names[2],
                                        .sha = names[1],
                                        .event = names[2],
                                        .url = names[0],
                                        .path = names[3],
                                        .note = names[4],
                                        .jobs_failed = size % 50};
    int err = text_report_make(&run, jobs, job_count, &text, ret_len);
    assert(err == 0);
    for (size_t i = 0; i < step_count; i++)
        free((void *)(uintptr_t)steps[i].excerpt);
    for (size_t i = 0; i < NAMES; i++)
        free(names[i]);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len = 0, again_len = 0;
    const char *text = size ? (const char *)data : "";
    char *whole = make(text, size, size + 1, &len);
    char *again = make(text, size, size % 61 + 1, &again_len);
    check_text(whole, len);
    assert(len == again_len && memcmp(whole, again, len) == 0);
    free(whole);
    free(again);
    return 0;
}
