#include "text/mark.h"

#include "hash.h"

#include <string.h>

/* The first part of a composite action begins, or cleans up, right behind the action's own line.
 * Between two steps a program at least is started: even a silent one takes longer. */
enum {
    PART_AT_ONCE_MS = 40,
    PART_SOON_MS = 80, /* on a slow machine */
};

/* What is left of a line, while it is taken apart. */
struct words {
    const char *at;
    size_t len;
};

/* How a line of some kind begins; `inside` must stand somewhere behind that. NULL: nothing. */
struct line_form {
    const char *prefix;
    const char *inside;
};

static bool skip(struct words *w, const char *prefix)
{
    if (w->len == 0 || w->at[0] != prefix[0]) /* that decides it for most lines of a log */
        return false;
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

static bool has_form(struct words w, const struct line_form *forms, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct words rest = w;
        if (skip(&rest, forms[i].prefix) &&
            (!forms[i].inside ||
             memmem(rest.at, rest.len, forms[i].inside, strlen(forms[i].inside))))
            return true;
    }
    return false;
}

static struct words name_words(const char *name, size_t len)
{
    if (len > TEXT_NAME_MAX)
        len = TEXT_NAME_MAX;
    while (len > 0 && name[len - 1] == ' ')
        len--;
    return (struct words){.at = name, .len = len};
}

uint64_t text_name_hash(const char *name, size_t len)
{
    struct words w = name_words(name, len);
    uint64_t hash = hash_bytes(HASH_START, w.at, w.len);
    return hash ? hash : 1;
}

uint64_t text_header_hash(const char *text, size_t len)
{
    struct words w = name_words(text, len);
    uint64_t hash = HASH_START;
    if (skip(&w, "Run ")) {
        hash = hash_bytes(hash, "Run ", strlen("Run "));
        if (!skip(&w, "docker://") && begins(w, "/./"))
            skip(&w, "/");
    }
    hash = hash_bytes(hash, w.at, w.len);
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

static enum text_mark_kind kind_of(struct words w)
{
    static const struct {
        struct line_form form;
        enum text_mark_kind kind;
    } table[] = {
        {{"##[group]Run ", NULL}, TEXT_MARK_RUN},
        {{"##[group]Checking docker version", NULL}, TEXT_MARK_START},
        {{"##[group]Building docker image", NULL}, TEXT_MARK_IMAGE},
        {{"##[group]Build container for action use", NULL}, TEXT_MARK_IMAGE},
        {{"##[group]Pull down action image", NULL}, TEXT_MARK_IMAGE},
        /* Errors that end a step before its header is written: a local action that is not there,
         * one that cannot be read, an expression that cannot be evaluated. The step is nothing but
         * such lines. */
        {{"##[error]Can't find 'action.yml', 'action.yaml' or 'Dockerfile' under '", NULL},
         TEXT_MARK_ERROR},
        {{"##[error]Fail to load ", "action.y"}, TEXT_MARK_ERROR},
        {{"##[error]The template is not valid. ", NULL}, TEXT_MARK_ERROR},
        {{"##[error].github/workflows/", " (Line: "}, TEXT_MARK_ERROR},
        {{"Post job cleanup.", NULL}, TEXT_MARK_POST},
        {{"Evaluate and set job outputs", NULL}, TEXT_MARK_COMPLETE},
        {{"Evaluate and set environment url", NULL}, TEXT_MARK_COMPLETE},
        {{"Uploading runner diagnostic logs", NULL}, TEXT_MARK_COMPLETE},
        {{"Cleaning up orphan processes", NULL}, TEXT_MARK_COMPLETE},
        {{"Print service container logs:", NULL}, TEXT_MARK_STOP},
        {{"Stop and remove container:", NULL}, TEXT_MARK_STOP},
        {{"A job started hook has been", NULL}, TEXT_MARK_HOOK},
        {{"A job completed hook has been", NULL}, TEXT_MARK_HOOK},
        {{"Prepare all required actions", NULL}, TEXT_MARK_PREPARED},
        {{"Waiting for background step(s)", NULL}, TEXT_MARK_WAIT},
        {{"Waiting for all background step(s)", NULL}, TEXT_MARK_WAIT},
        {{"No background steps remaining to wait for.", NULL}, TEXT_MARK_WAIT},
        {{"Cancelling background step(s)", NULL}, TEXT_MARK_WAIT},
    };
    /* A path in quotes: a hook's script, or that of a runner which keeps its containers elsewhere.
     * Of a line that is longer than its head the end is not known. */
    if (begins(w, "##[group]Run '") && w.len > strlen("##[group]Run '") &&
        (ends(w, "'") || w.len >= TEXT_HEAD_MAX))
        return TEXT_MARK_EXTENSION;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (has_form(w, &table[i].form, 1))
            return table[i].kind;
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

/* The value of a condition that skips its step. */
static bool is_false(struct words w)
{
    return begins(w, "false") || begins(w, "null") || begins(w, "''") || begins(w, "0") ||
           begins(w, "NaN");
}

/* Debug logging names each step before any other line about it, also one that is then skipped:
 * `Evaluating condition for step: 'NAME'`. The first result behind that is the condition's. */
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
    } else if (s->condition_open && skip(&w, "Result: ")) {
        s->condition_open = false;
        if (!is_false(w))
            return TEXT_MARK_NOTHING;
        s->debug_only = false;
        s->last.kind = TEXT_MARK_NONE;
        return TEXT_MARK_DROPPED;
    } else {
        return TEXT_MARK_NOTHING;
    }
    mark.inner = s->depth > 0;
    s->preface.kind = TEXT_MARK_NONE; /* it was of the step before */
    s->debug_only = true;
    s->condition_open = mark.kind == TEXT_MARK_CONDITION;
    return tell(s, &mark, TEXT_MARK_NEW, ret);
}

/* Inside a header more may be learnt about the last mark. A script's header names the shell that
 * runs it, and no other header does. */
static enum text_mark_verdict scan_header(struct text_scanner *s, const struct text_line *line,
                                          struct words w, struct text_mark *ret)
{
    if (begins(w, "##[endgroup]")) {
        s->in_header = false;
        s->header_ended = s->last.named;
        s->header_end_ms = line->time_ms;
        s->last.doubtful = !s->last.named && !s->shell_known;
        return tell(s, &s->last, TEXT_MARK_CHANGED, ret);
    }
    if (s->shell_known || !begins(w, "shell: "))
        return TEXT_MARK_NOTHING;
    s->shell_known = true;
    s->last.named = false;
    /* Without a `shell:` of its own a script runs under `bash -e`; a part of a composite action
     * must name its shell, and `shell: bash` means more options. */
    if (ends(w, "bash -e {0}")) {
        s->last.outer = true;
        s->composite = false;
    } else if (s->composite && ends(w, " --noprofile --norc -e -o pipefail {0}")) {
        s->last.likely_inner = true;
    }
    return tell(s, &s->last, TEXT_MARK_CHANGED, ret);
}

/* Lines that the runner may print about a step before its first line proper. */
static bool scan_preface(struct text_scanner *s, const struct text_line *line, struct words w)
{
    static const struct line_form forms[] = {
        {"##[warning]`pre` execution is not supported for local action from '", NULL},
        {"##[warning]Input '", "' has been deprecated with message: "},
        {"##[warning]Unexpected input(s) '", NULL},
        {"##[warning]Both FORCE_JAVASCRIPT_ACTIONS_TO_NODE", NULL},
        {"##[warning]Linux ARM32 runners are deprecated", NULL},
        {"##[warning]Encountered an error when evaluating display name ", NULL},
        {"Node ", " is being deprecated. "},
    };
    if (!has_form(w, forms, sizeof forms / sizeof *forms))
        return false;
    if (s->preface.kind == TEXT_MARK_NONE)
        s->preface = (struct text_mark){
            .offset = line->offset, .time_ms = line->time_ms, .kind = TEXT_MARK_RUN};
    return true;
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

/* Lines that add nothing about a step that has begun. "Set up job" prepares all actions but the
 * local ones; there the same words begin nothing. */
static bool is_of_last(const struct text_scanner *s, enum text_mark_kind kind)
{
    switch (kind) {
    case TEXT_MARK_COMPLETE:
    case TEXT_MARK_STOP: return s->last.kind == kind;
    case TEXT_MARK_EXTENSION: return s->last.kind == TEXT_MARK_HOOK;
    case TEXT_MARK_PREPARED: return !s->job_prepared;
    default: return false;
    }
}

static void fill_run(struct text_scanner *s, struct words w, struct text_mark *mark)
{
    skip(&w, "##[group]");
    mark->text = text_header_hash(w.at, w.len);
    skip(&w, "Run ");
    mark->named = is_action(w);
    mark->doubtful = true; /* until its header has ended as it should */
    s->in_header = true;
    s->shell_known = false;
}

/* How likely the mark is that of a part of a composite action. */
static void place_mark(const struct text_scanner *s, bool may_be_part, struct text_mark *mark)
{
    int64_t gap_ms = s->header_ended ? mark->time_ms - s->header_end_ms : PART_SOON_MS;

    if (mark->kind == TEXT_MARK_POST && s->post_before)
        gap_ms = mark->time_ms - s->last_line_ms < PART_AT_ONCE_MS ? 0 : PART_SOON_MS;
    mark->inner = s->depth > 0 || gap_ms < PART_AT_ONCE_MS;
    mark->likely_inner = gap_ms < PART_SOON_MS;
    mark->in_composite = may_be_part && s->composite;
}

static enum text_mark_verdict scan_mark(struct text_scanner *s, const struct text_line *line,
                                        struct words w, enum text_mark_kind kind,
                                        struct text_mark *ret)
{
    const struct text_mark *from = s->preface.kind != TEXT_MARK_NONE ? &s->preface : NULL;
    struct text_mark mark = {.offset = line->offset, .time_ms = line->time_ms, .kind = kind};
    /* The last mark continues: debug logging has begun the step, or its action was prepared. */
    bool changes = s->debug_only || (s->last.kind == TEXT_MARK_PREPARED && kind == TEXT_MARK_RUN &&
                                     begins(w, "##[group]Run ./"));
    bool may_be_part = kind == TEXT_MARK_RUN || kind == TEXT_MARK_PREPARED ||
                       kind == TEXT_MARK_POST;

    if (is_of_last(s, kind))
        return TEXT_MARK_NOTHING;
    s->job_prepared = true;
    s->in_header = false;
    if (kind == TEXT_MARK_COMPLETE)
        s->depth = 0; /* it is never inside: an end was lost */
    if (from) {
        mark.offset = from->offset;
        mark.time_ms = from->time_ms;
    }
    /* That an action is composite does not show what the first clean-up is. */
    if (kind == TEXT_MARK_POST && s->last.kind != TEXT_MARK_POST)
        s->composite = false;
    place_mark(s, may_be_part, &mark);
    if (changes) {
        mark.offset = s->last.offset;
        mark.time_ms = s->last.time_ms;
        mark.name = s->last.name;
        mark.inner = mark.inner || s->last.inner;
    }
    if (kind == TEXT_MARK_RUN)
        fill_run(s, w, &mark);
    /* Where the action marks its parts itself, what follows its end needs no guess. */
    if (kind != TEXT_MARK_ERROR && kind != TEXT_MARK_EXTENSION)
        s->composite = may_be_part && s->depth == 0 &&
                       (s->composite || mark.inner || mark.likely_inner);
    return tell(s, &mark, changes ? TEXT_MARK_CHANGED : TEXT_MARK_NEW, ret);
}

enum text_mark_verdict text_scanner_line(struct text_scanner *s, const struct text_line *line,
                                         struct text_mark *ret)
{
    struct words w = {.at = line->head, .len = line->head_len};
    enum text_mark_verdict verdict = TEXT_MARK_NOTHING;

    /* A line without timestamp continues the message before; no step begins there. */
    if (line->time_ms == TEXT_TIME_UNKNOWN)
        return TEXT_MARK_NOTHING;
    if (skip(&w, "##[debug]"))
        return scan_debug(s, line, w, ret);
    enum text_mark_kind kind = kind_of(w);
    if (kind != TEXT_MARK_NONE) {
        verdict = scan_mark(s, line, w, kind, ret);
    } else if (scan_preface(s, line, w) || scan_depth(s, w)) {
        return verdict; /* a header's end, or a clean-up, still counts as just before */
    } else if (s->in_header) {
        verdict = scan_header(s, line, w, ret);
        if (!s->in_header)
            return verdict; /* header_ended holds for one line more */
    } else if (begins(w, "Complete job name: ")) {
        s->job_prepared = true;
    }
    s->header_ended = false;
    s->preface.kind = TEXT_MARK_NONE;
    s->debug_only = false;
    s->condition_open = false;
    s->post_before = kind == TEXT_MARK_POST;
    s->last_line_ms = line->time_ms;
    return verdict;
}
