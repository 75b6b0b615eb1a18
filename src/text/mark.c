#include "text/mark.h"

#include <string.h>

/* The parts of a composite action clean up one right after another; between two actions a
 * program at least is started. */
enum { POST_APART_MS = 30 };

/* What is left of a line, while it is taken apart. */
struct words {
    const char *at;
    size_t len;
};

static bool skip(struct words *w, const char *prefix)
{
    size_t len = strlen(prefix);
    if (w->len < len || memcmp(w->at, prefix, len) != 0)
        return false;
    w->at += len;
    w->len -= len;
    return true;
}

static bool begins(struct words w, const char *prefix)
{
    return skip(&w, prefix);
}

static bool ends(struct words w, const char *suffix)
{
    size_t len = strlen(suffix);
    return w.len >= len && memcmp(w.at + w.len - len, suffix, len) == 0;
}

uint64_t text_name_hash(const char *name, size_t len)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    if (len > TEXT_NAME_MAX)
        len = TEXT_NAME_MAX;
    while (len > 0 && name[len - 1] == ' ')
        len--;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
    return hash ? hash : 1;
}

/* "owner/name@ref", "./path", "docker://image": a script's first line hardly ever looks so. */
static bool is_action(struct words w)
{
    if (memchr(w.at, ' ', w.len))
        return false;
    if (begins(w, "./") || begins(w, "docker://"))
        return true;
    return memchr(w.at, '/', w.len) && memchr(w.at, '@', w.len);
}

static enum text_mark_kind kind_of_group(struct words w)
{
    if (begins(w, "Run "))
        return TEXT_MARK_RUN;
    if (begins(w, "Checking docker version"))
        return TEXT_MARK_START;
    if (begins(w, "Building docker image") || begins(w, "Build container for action use") ||
        begins(w, "Pull down action image"))
        return TEXT_MARK_IMAGE;
    return TEXT_MARK_NONE;
}

static enum text_mark_kind kind_of(struct words w)
{
    if (skip(&w, "##[group]"))
        return kind_of_group(w);
    if (begins(w, "Post job cleanup."))
        return TEXT_MARK_POST;
    if (begins(w, "Cleaning up orphan processes") || begins(w, "Evaluate and set job outputs") ||
        begins(w, "Uploading runner diagnostic logs"))
        return TEXT_MARK_COMPLETE;
    if (begins(w, "Stop and remove container:") || begins(w, "Print service container logs:"))
        return TEXT_MARK_STOP;
    if (begins(w, "A job started hook has been") || begins(w, "A job completed hook has been"))
        return TEXT_MARK_HOOK;
    return TEXT_MARK_NONE;
}

void text_scanner_init(struct text_scanner *s)
{
    memset(s, 0, sizeof *s);
}

static enum text_mark_verdict tell(struct text_scanner *s, const struct text_mark *mark,
                                   enum text_mark_verdict verdict, struct text_mark *ret)
{
    s->last = *mark;
    *ret = *mark;
    return verdict;
}

/* The first result behind a condition is the condition's: where it is false the step is skipped. */
static enum text_mark_verdict scan_result(struct text_scanner *s, struct words w)
{
    if (!s->condition_open || !skip(&w, "Result: "))
        return TEXT_MARK_NOTHING;
    s->condition_open = false;
    if (!begins(w, "false") && !begins(w, "null") && !begins(w, "''") && !begins(w, "0") &&
        !begins(w, "NaN"))
        return TEXT_MARK_NOTHING;
    s->debug_only = false;
    s->last.kind = TEXT_MARK_NONE;
    return TEXT_MARK_DROPPED;
}

/* Debug logging names each step before anything else is said of it, also one that is then
 * skipped: `Evaluating condition for step: 'NAME'`. */
static enum text_mark_verdict scan_debug(struct text_scanner *s, const struct text_line *line,
                                         struct words w, struct text_mark *ret)
{
    struct text_mark mark = {.offset = line->offset, .time_ms = line->time_ms};

    if (skip(&w, "Evaluating condition for step: '") && w.len > 0) {
        mark.kind = TEXT_MARK_CONDITION;
        mark.name = text_name_hash(w.at, w.len - 1);
    } else if (skip(&w, "Starting: ") && !s->debug_only) {
        mark.kind = TEXT_MARK_STARTING;
        mark.name = text_name_hash(w.at, w.len);
    } else {
        return scan_result(s, w);
    }
    mark.inner = s->depth > 0;
    s->prepare.kind = s->preface.kind = TEXT_MARK_NONE; /* they were of the step before */
    s->debug_only = true;
    s->condition_open = mark.kind == TEXT_MARK_CONDITION;
    return tell(s, &mark, TEXT_MARK_NEW, ret);
}

/* Inside a header the last mark may still learn something. */
static enum text_mark_verdict scan_header(struct text_scanner *s, struct words w,
                                          struct text_mark *ret)
{
    if (begins(w, "##[endgroup]")) {
        s->in_header = false;
        s->header_ended = s->last.named;
        return TEXT_MARK_NOTHING;
    }
    if (s->last.kind != TEXT_MARK_RUN || !skip(&w, "shell: "))
        return TEXT_MARK_NOTHING;
    /* Without a `shell:` of its own a script runs under `bash -e`; a part of a composite action
     * must say which shell, and `shell: bash` means more options. */
    if (ends(w, "bash -e {0}")) {
        s->last.outer = true;
        s->composite = false;
    } else if (s->composite && ends(w, " --noprofile --norc -e -o pipefail {0}")) {
        s->last.likely_inner = true;
    } else {
        return TEXT_MARK_NOTHING;
    }
    return tell(s, &s->last, TEXT_MARK_CHANGED, ret);
}

/* What the runner may say of a step before its first line proper. */
static bool scan_preface(struct text_scanner *s, const struct text_line *line, struct words w)
{
    bool is = begins(w, "##[warning]Unexpected input(s) '") ||
              (skip(&w, "Node ") && memmem(w.at, w.len, " is being deprecated. ", 22));
    if (is && s->preface.kind == TEXT_MARK_NONE)
        s->preface = (struct text_mark){
            .offset = line->offset, .time_ms = line->time_ms, .kind = TEXT_MARK_RUN};
    return is;
}

/* A local action is prepared when its turn comes: its step begins with those lines. Setting up
 * the job prepares the others; there the same words begin nothing. */
static bool scan_prepare(struct text_scanner *s, const struct text_line *line, struct words w)
{
    if (begins(w, "Prepare all required actions")) {
        s->prepare = (struct text_mark){.offset = line->offset,
                                        .time_ms = line->time_ms,
                                        .kind = TEXT_MARK_RUN,
                                        .inner = s->header_ended};
        return true;
    }
    if (begins(w, "Complete job name: "))
        s->prepare.kind = TEXT_MARK_NONE;
    return false;
}

/* The composite actions' own markers, which a program's output cannot forge. */
static bool scan_depth(struct text_scanner *s, struct words w)
{
    if (begins(w, "##[start-action "))
        s->depth++;
    else if (!begins(w, "##[end-action "))
        return false;
    else if (s->depth > 0)
        s->depth--;
    return true;
}

static void fill_run(struct text_scanner *s, struct words w, struct text_mark *mark)
{
    skip(&w, "##[group]");
    mark->text = text_name_hash(w.at, w.len);
    skip(&w, "Run ");
    mark->named = is_action(w);
    if (s->prepare.kind != TEXT_MARK_NONE && begins(w, "./")) {
        mark->offset = s->prepare.offset;
        mark->time_ms = s->prepare.time_ms;
        mark->inner = s->prepare.inner;
    }
    s->in_header = true;
}

static enum text_mark_verdict scan_mark(struct text_scanner *s, const struct text_line *line,
                                        struct words w, enum text_mark_kind kind,
                                        struct text_mark *ret)
{
    bool goes_on = s->debug_only; /* what debug logging has begun gets its kind now */
    struct text_mark mark = {.offset = line->offset, .time_ms = line->time_ms, .kind = kind};

    if (kind == TEXT_MARK_COMPLETE && s->last.kind == TEXT_MARK_COMPLETE)
        return TEXT_MARK_NOTHING;
    if (kind == TEXT_MARK_POST || kind == TEXT_MARK_COMPLETE)
        s->depth = 0; /* these are never inside: an end was lost */
    mark.inner = s->header_ended || (kind == TEXT_MARK_POST && s->post_before &&
                                     line->time_ms - s->last_line_ms < POST_APART_MS);
    mark.in_composite = kind == TEXT_MARK_RUN && s->composite;
    if (kind == TEXT_MARK_RUN)
        fill_run(s, w, &mark);
    mark.inner = mark.inner || s->depth > 0;
    /* Where the action marks its parts itself, what follows its end needs no guess. */
    s->composite = kind == TEXT_MARK_RUN && s->depth == 0 && (s->composite || mark.inner);
    if (s->preface.kind != TEXT_MARK_NONE) {
        mark.offset = s->preface.offset;
        mark.time_ms = s->preface.time_ms;
    }
    if (goes_on) {
        mark.offset = s->last.offset;
        mark.time_ms = s->last.time_ms;
        mark.name = s->last.name;
    }
    s->prepare.kind = TEXT_MARK_NONE;
    return tell(s, &mark, goes_on ? TEXT_MARK_CHANGED : TEXT_MARK_NEW, ret);
}

enum text_mark_verdict text_scanner_line(struct text_scanner *s, const struct text_line *line,
                                         struct text_mark *ret)
{
    struct words w = {.at = line->head, .len = line->head_len};
    enum text_mark_verdict verdict = TEXT_MARK_NOTHING;

    /* A line without timestamp goes on with the message before; no step begins there. */
    if (line->time_ms == TEXT_TIME_UNKNOWN)
        return TEXT_MARK_NOTHING;
    if (skip(&w, "##[debug]"))
        return scan_debug(s, line, w, ret);
    enum text_mark_kind kind = kind_of(w);
    if (kind != TEXT_MARK_NONE) {
        verdict = scan_mark(s, line, w, kind, ret);
    } else if (scan_preface(s, line, w) || scan_prepare(s, line, w) || scan_depth(s, w)) {
        s->post_before = false;
        return verdict; /* the header's end still counts as just before */
    } else if (s->in_header) {
        verdict = scan_header(s, w, ret);
        if (!s->in_header)
            return verdict; /* header_ended holds for one line more */
    }
    s->header_ended = false;
    s->preface.kind = TEXT_MARK_NONE;
    s->debug_only = false;
    s->condition_open = false;
    s->post_before = kind == TEXT_MARK_POST;
    s->last_line_ms = line->time_ms;
    return verdict;
}
