#include "text/align.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The scores. What debug logging states outweighs all else; a first line that repeats the step's
 * name outweighs a few seconds; else the time decides. */
enum {
    SCORE_NAMED_CONDITION = 1000,
    SCORE_NAMED_STARTING = 900,
    SCORE_SAME_TEXT = 300,
    SCORE_PROMISED = 150,
    SCORE_POSSIBLE = 100,
    SCORE_WAIT = 90, /* a wait that has a name of its own; a header in the same second is better */
    SCORE_UNLIKELY = 60,
    SCORE_LEAST = 30,
    BONUS_OUTER = 20,
    BONUS_OPENS = 4,
    BONUS_NATURE = 40,
    MALUS_INNER = 60,
    MALUS_LIKELY_INNER = 30,
    MALUS_IN_COMPOSITE = 10,
    MALUS_OTHER_NAME = 40,
    MALUS_DOUBTFUL = 50,
    MALUS_NO_ACTION = 60,
    MALUS_STRAY = 40, /* the next mark after a step that has no parts begins no step */
};

enum { SECOND_MS = 1000 };

static bool begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static enum text_promise promise_of(const char *name, bool last)
{
    if (strcmp(name, "Set up job") == 0)
        return TEXT_PROMISE_SETUP;
    if (last && strcmp(name, "Complete job") == 0)
        return TEXT_PROMISE_COMPLETE;
    if (begins(name, "Post "))
        return TEXT_PROMISE_POST;
    if (strcmp(name, "Initialize containers") == 0)
        return TEXT_PROMISE_START;
    if (strcmp(name, "Stop containers") == 0)
        return TEXT_PROMISE_STOP;
    /* "Build owner/name@ref", "Pull image": made by the runner for an action in a container. */
    if ((begins(name, "Build ") || begins(name, "Pull ")) && !strchr(strchr(name, ' ') + 1, ' '))
        return TEXT_PROMISE_IMAGE;
    if (strcmp(name, "Set up runner") == 0 || strcmp(name, "Complete runner") == 0)
        return TEXT_PROMISE_HOOK;
    if (strcmp(name, "Wait for all background steps") == 0)
        return TEXT_PROMISE_WAIT;
    return TEXT_PROMISE_MAIN;
}

void text_parts_name(struct text_part *parts, const char *const *names, size_t part_count)
{
    for (size_t i = 0; i < part_count; i++) {
        const char *own = names[i] + (begins(names[i], "Pre ") ? strlen("Pre ") : 0);
        parts[i].name = text_name_hash(names[i], strlen(names[i]));
        parts[i].header = begins(own, "Run ") ? text_header_hash(own, strlen(own)) : 0;
        parts[i].promise = promise_of(names[i], i + 1 == part_count);
        parts[i].is_action = false;
        parts[i].cleans = TEXT_NO_PART;
    }
    /* Which part cleans up after which. */
    for (size_t post = part_count; post-- > 1;) {
        if (parts[post].promise != TEXT_PROMISE_POST)
            continue;
        const char *name = names[post] + strlen("Post ");
        uint64_t hash = text_name_hash(name, strlen(name));
        for (size_t i = 1; i < post; i++) {
            if (parts[i].name != hash)
                continue;
            /* Equal names do not show which step it is. */
            parts[post].cleans = parts[post].cleans == TEXT_NO_PART ? i : post;
            parts[i].is_action = true;
        }
        if (parts[post].cleans == post)
            parts[post].cleans = TEXT_NO_PART;
    }
}

/* The kind of mark that a promise speaks of. */
static const enum text_mark_kind promised_kind[] = {
    [TEXT_PROMISE_MAIN] = TEXT_MARK_RUN,    [TEXT_PROMISE_SETUP] = TEXT_MARK_RUN,
    [TEXT_PROMISE_POST] = TEXT_MARK_POST,   [TEXT_PROMISE_COMPLETE] = TEXT_MARK_COMPLETE,
    [TEXT_PROMISE_START] = TEXT_MARK_START, [TEXT_PROMISE_STOP] = TEXT_MARK_STOP,
    [TEXT_PROMISE_IMAGE] = TEXT_MARK_IMAGE, [TEXT_PROMISE_HOOK] = TEXT_MARK_HOOK,
    [TEXT_PROMISE_WAIT] = TEXT_MARK_WAIT,
};

/* By the kind of line alone. A user may call a step "Post results" or "Build all", so a step with
 * a promising name may begin like any other, if nothing better is there. */
static int kind_score(const struct text_part *part, const struct text_mark *mark)
{
    enum text_promise promise = part->promise;

    if (mark->kind == TEXT_MARK_RUN && mark->text == part->header)
        return SCORE_SAME_TEXT;
    if (mark->kind == promised_kind[promise])
        return mark->kind == TEXT_MARK_RUN ? SCORE_POSSIBLE : SCORE_PROMISED;
    if (promise == TEXT_PROMISE_COMPLETE)
        return 0;
    switch (mark->kind) {
    case TEXT_MARK_RUN:
        /* There is always an action's step before its clean-up. */
        return promise == TEXT_PROMISE_POST && part->cleans == TEXT_NO_PART ? SCORE_POSSIBLE
                                                                            : SCORE_UNLIKELY;
    case TEXT_MARK_PREPARED:
    case TEXT_MARK_ERROR: return SCORE_UNLIKELY;
    case TEXT_MARK_EXTENSION:
        return promise == TEXT_PROMISE_START || promise == TEXT_PROMISE_STOP ? SCORE_POSSIBLE
                                                                             : SCORE_LEAST;
    case TEXT_MARK_WAIT: return promise == TEXT_PROMISE_MAIN ? SCORE_WAIT : 0;
    case TEXT_MARK_IMAGE: return promise == TEXT_PROMISE_MAIN ? SCORE_UNLIKELY : 0;
    default: return 0;
    }
}

/* One pair of part and mark, and the best choice for the parts before it. */
struct cell {
    uint32_t mark;
    uint32_t part;
    uint32_t before; /* a cell's index + 1; 0: none */
};

/* The best of some assignments: their score, and the cell of their last pair, + 1. */
struct sum {
    int score;
    uint32_t choice;
};

/* What the first alignment shows about a part. */
enum nature {
    NATURE_UNKNOWN,
    NATURE_SIMPLE,
    NATURE_COMPOSITE,
};

struct table {
    const struct text_part *parts;
    const struct text_mark *marks;
    size_t part_count;
    size_t mark_count;
    size_t row_max; /* marks compared for one part */
    struct cell *cells;
    size_t cell_count;
    struct sum *best;   /* best[j]: with marks below j; what may be astray is taken off */
    struct sum *recent; /* recent[j]: with a last mark behind which none before j is astray */
    struct sum *exact;  /* exact[j]: whose last mark is j; its part has no stray marks */
    enum nature *natures;
    int64_t *lates;
    int64_t clock_ms; /* what is added to the API's times */
    bool clock_known;
};

/* The API cuts the second's fraction off, and its clock is not always the log's: within a second
 * and a half nothing is held against a mark, then a fifth of SCORE_POSSIBLE for each second. Once
 * the clock is known there is less to be forgiven. */
static int time_malus(const struct table *t, int64_t late)
{
    int64_t early = t->clock_known ? -100 : -600, over = t->clock_known ? 1150 : 1500;
    int64_t off = late < early ? early - late : late > over ? late - over : 0;
    if (off > TEXT_REACH_MS)
        off = TEXT_REACH_MS;
    return (off > 0 ? 10 + (int)(off / 50) : 0) + (late < 0 || late > 1100 ? 2 : 0);
}

/* Does the first part of a composite action begin right behind the mark? */
static bool opens(const struct table *t, size_t mark)
{
    return mark + 1 < t->mark_count && t->marks[mark + 1].inner &&
           (t->marks[mark].kind == TEXT_MARK_POST) == (t->marks[mark + 1].kind == TEXT_MARK_POST);
}

/* How much speaks for a part of a composite action, or for no step at all. */
static int part_malus(const struct text_part *part, const struct text_mark *mark)
{
    int malus = mark->name != 0 ? MALUS_OTHER_NAME : 0;
    if (part->is_action && mark->kind == TEXT_MARK_RUN && !mark->named)
        malus += MALUS_NO_ACTION;
    else if (mark->doubtful)
        malus += MALUS_DOUBTFUL;
    if (mark->inner)
        return malus + MALUS_INNER;
    if (mark->likely_inner)
        return malus + MALUS_LIKELY_INNER;
    return malus + (mark->in_composite && !mark->outer ? MALUS_IN_COMPOSITE : 0);
}

static enum nature nature_at(const struct table *t, size_t mark)
{
    if (opens(t, mark))
        return NATURE_COMPOSITE;
    bool doubtful = mark + 1 < t->mark_count && t->marks[mark + 1].likely_inner;
    return doubtful ? NATURE_UNKNOWN : NATURE_SIMPLE;
}

/* How well a mark fits as the start of a part; 0: not at all. */
static int score_of(const struct table *t, size_t index, size_t at)
{
    /* A composite action begins, and cleans up, with the first of its parts right behind it;
     * another one has none. */
    static const int opening_bonus[] = {[NATURE_UNKNOWN] = BONUS_OPENS,
                                        [NATURE_SIMPLE] = -BONUS_NATURE,
                                        [NATURE_COMPOSITE] = BONUS_NATURE};
    const struct text_part *part = &t->parts[index];
    const struct text_mark *mark = &t->marks[at];
    int score = kind_score(part, mark);

    if (mark->name == part->name && mark->kind == TEXT_MARK_STARTING)
        score = SCORE_NAMED_STARTING;
    else if (mark->name == part->name)
        score = SCORE_NAMED_CONDITION;
    if (score == 0)
        return 0;
    if (mark->name != part->name)
        score -= part_malus(part, mark);
    if (mark->outer)
        score += BONUS_OUTER;
    if (opens(t, at))
        score += opening_bonus[t->natures[index]];
    if (part->started_ms != TEXT_TIME_UNKNOWN)
        score -= time_malus(t, mark->time_ms - part->started_ms - t->clock_ms);
    return score > 0 ? score : 0;
}

/* Where a part should begin: those that the API lets begin in one second share the marks of that
 * second in equal parts. */
static size_t expected_mark(const struct table *t, size_t part)
{
    int64_t started_ms = t->parts[part].started_ms;
    size_t first = part, next = part + 1, from = 0, to = t->mark_count;

    while (first > 0 && t->parts[first - 1].started_ms == started_ms)
        first--;
    while (next < t->part_count && t->parts[next].started_ms == started_ms)
        next++;
    if (started_ms != TEXT_TIME_UNKNOWN) {
        while (from < to && t->marks[from].time_ms < started_ms + t->clock_ms)
            from++;
        while (to > from && t->marks[to - 1].time_ms >= started_ms + t->clock_ms + SECOND_MS)
            to--;
    }
    return from + (to - from) * (part - first) / (next - first);
}

/* Marks are in the order of time, but a name known from debug logging may be anywhere: the window
 * of a part is from the first mark that can score to the last. Where that is more than fits, only
 * the marks around the place where the part should begin are compared. */
static void window_of(const struct table *t, size_t part, size_t *from, size_t *to)
{
    size_t low = 0, high = t->mark_count;
    int64_t started_ms = t->parts[part].started_ms;
    uint64_t name = t->parts[part].name;
    if (started_ms != TEXT_TIME_UNKNOWN) {
        started_ms += t->clock_ms;
        while (low < high && t->marks[low].name != name &&
               t->marks[low].time_ms < started_ms - TEXT_REACH_MS)
            low++;
        while (high > low && t->marks[high - 1].name != name &&
               t->marks[high - 1].time_ms > started_ms + TEXT_REACH_MS)
            high--;
    }
    if (high - low > t->row_max) {
        size_t before = t->row_max / 2, middle = expected_mark(t, part);
        if (middle > high - before)
            middle = high - before;
        low = middle > low + before ? middle - before : low;
        high = low + t->row_max < high ? low + t->row_max : high;
    }
    *from = low;
    *to = high;
}

/* Is the mark a first line of the runner's, of a step or of a part of one? */
static bool is_genuine(const struct text_mark *mark)
{
    return !mark->inner && !mark->doubtful &&
           (mark->kind == TEXT_MARK_RUN || mark->kind == TEXT_MARK_PREPARED ||
            mark->kind == TEXT_MARK_POST);
}

/* A script, or an action that is not composite, has no parts: the next genuine mark behind it
 * should begin the next step. */
static bool has_no_parts(const struct table *t, size_t part, size_t mark)
{
    if (t->parts[part].together)
        return false;
    switch (t->marks[mark].kind) {
    case TEXT_MARK_ERROR: return true;
    case TEXT_MARK_RUN: return !t->marks[mark].named || nature_at(t, mark) == NATURE_SIMPLE;
    case TEXT_MARK_POST: return t->natures[part] == NATURE_SIMPLE;
    default: return false;
    }
}

/* The best with marks below j, if j begins the next step. */
static struct sum best_before(const struct table *t, size_t j)
{
    return t->recent[j].score > t->best[j].score ? t->recent[j] : t->best[j];
}

/* Of equals the first, for what a program prints comes behind the step's own line, as other steps
 * do that run at the same time. But the last behind a composite action, for its parts come before
 * the next step, and of the runner's scripts. */
static bool is_beaten(const struct table *t, size_t j, uint32_t part)
{
    const struct sum *best = &t->best[j];
    const struct cell *own = best->choice > 0 ? &t->cells[best->choice - 1] : NULL;
    const struct text_mark *mark = &t->marks[j - 1];

    if (best->score != t->best[j - 1].score)
        return best->score < t->best[j - 1].score;
    return !(own && own->part == part && own->mark == j - 1 && !t->parts[part].together &&
             (mark->in_composite || mark->kind == TEXT_MARK_EXTENSION));
}

/* Adds the pair of a part and mark j. */
static void cell_add(struct table *t, uint32_t part, size_t j, int score)
{
    struct sum before = best_before(t, j);
    struct sum sum = {.score = before.score + score, .choice = (uint32_t)t->cell_count + 1};
    bool closed = has_no_parts(t, part, j), used = false;

    if (closed && sum.score > t->exact[j].score) {
        t->exact[j] = sum;
        used = true;
    }
    sum.score -= closed ? MALUS_STRAY : 0;
    if (sum.score > t->best[j + 1].score) {
        t->best[j + 1] = sum;
        used = true;
    }
    if (used)
        t->cells[t->cell_count++] = (struct cell){
            .mark = (uint32_t)j, .part = part, .before = before.choice};
}

/* Adds one part. From the last mark to the first, so that best[j] is still that of the parts
 * before; then what was found is carried to the places behind it. */
static void row_fill(struct table *t, uint32_t part)
{
    size_t from, to;

    window_of(t, part, &from, &to);
    for (size_t j = to; j-- > from;) {
        int score = score_of(t, part, j);
        if (score > 0)
            cell_add(t, part, j, score);
    }
    for (size_t j = from; j < t->mark_count; j++) {
        bool goes_on = !is_genuine(&t->marks[j]) && t->recent[j].score >= t->exact[j].score;
        t->recent[j + 1] = goes_on ? t->recent[j] : t->exact[j];
        if (j > from && is_beaten(t, j, part))
            t->best[j] = t->best[j - 1];
    }
    if (t->mark_count > from && is_beaten(t, t->mark_count, part))
        t->best[t->mark_count] = t->best[t->mark_count - 1];
}

/* Nothing is chosen yet: all marks lie in the first part. */
static void table_reset(struct table *t)
{
    bool goes_on = true, closed = t->parts[0].promise == TEXT_PROMISE_SETUP;

    t->cell_count = 0;
    for (size_t j = 0; j <= t->mark_count; j++) {
        t->best[j] = (struct sum){.score = closed ? -MALUS_STRAY : 0};
        t->recent[j] = (struct sum){.score = goes_on ? 0 : INT_MIN / 2};
        t->exact[j] = (struct sum){.score = INT_MIN / 2};
        goes_on = goes_on && j < t->mark_count && !is_genuine(&t->marks[j]);
    }
}

static void align(struct table *t, size_t *chosen)
{
    table_reset(t);
    for (size_t i = 0; i < t->part_count; i++)
        chosen[i] = TEXT_NO_MARK;
    for (size_t i = 1; i < t->part_count; i++)
        row_fill(t, (uint32_t)i);
    for (uint32_t at = best_before(t, t->mark_count).choice; at > 0; at = t->cells[at - 1].before)
        chosen[t->cells[at - 1].part] = t->cells[at - 1].mark;
}

static int late_compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Finds by how much the API's clock is behind the log's. The second's fraction is cut off, so each
 * step should be 0 to 999 ms late: of the windows of that length the fullest one is taken. If that
 * window allows that the clock is right, it is taken as right; else the middle of the window is
 * taken. */
static void clock_find(struct table *t, const size_t *chosen)
{
    size_t count = 0, most = 0;
    int64_t least = 0, largest = 0;

    for (size_t i = 1; i < t->part_count; i++) {
        if (chosen[i] != TEXT_NO_MARK && t->parts[i].started_ms != TEXT_TIME_UNKNOWN)
            t->lates[count++] = t->marks[chosen[i]].time_ms - t->parts[i].started_ms;
    }
    qsort(t->lates, count, sizeof *t->lates, late_compare);
    for (size_t from = 0, to = 0; from < count; from++) {
        while (to < count && t->lates[to] - t->lates[from] < SECOND_MS)
            to++;
        if (to - from > most) {
            most = to - from;
            least = t->lates[to - 1] - (SECOND_MS - 1);
            largest = t->lates[from];
        }
    }
    t->clock_known = most >= 2 && most * 2 >= count;
    if (t->clock_known && (least > 0 || largest < 0))
        t->clock_ms = least + (largest - least) / 2;
}

/* Clean-ups are recognised more surely than steps: where they show whether an action is composite,
 * that decides. Else the action shows what its clean-up is. */
static void natures_fill(struct table *t, const size_t *chosen)
{
    for (size_t post = 1; post < t->part_count; post++) {
        size_t main = t->parts[post].cleans;
        if (main == TEXT_NO_PART)
            continue;
        if (chosen[main] != TEXT_NO_MARK)
            t->natures[post] = nature_at(t, chosen[main]);
        if (chosen[post] != TEXT_NO_MARK)
            t->natures[main] = nature_at(t, chosen[post]);
    }
}

int text_align(const struct text_part *parts, size_t part_count, const struct text_mark *marks,
               size_t mark_count, size_t *chosen)
{
    struct table t = {
        .parts = parts, .marks = marks, .part_count = part_count, .mark_count = mark_count};
    int err = -ENOMEM;

    if (part_count == 0)
        return 0;
    t.row_max = TEXT_CELLS_MAX / part_count;
    if (t.row_max > mark_count)
        t.row_max = mark_count;
    t.cells = malloc((part_count * t.row_max + 1) * sizeof *t.cells);
    t.natures = calloc(part_count, sizeof *t.natures);
    t.lates = malloc(part_count * sizeof *t.lates);
    t.best = malloc((mark_count + 1) * sizeof *t.best);
    t.recent = malloc((mark_count + 1) * sizeof *t.recent);
    t.exact = malloc((mark_count + 1) * sizeof *t.exact);
    if (t.cells && t.natures && t.lates && t.best && t.recent && t.exact) {
        align(&t, chosen);
        natures_fill(&t, chosen);
        clock_find(&t, chosen);
        align(&t, chosen);
        err = 0;
    }
    free(t.cells);
    free(t.natures);
    free(t.lates);
    free(t.best);
    free(t.recent);
    free(t.exact);
    return err;
}
