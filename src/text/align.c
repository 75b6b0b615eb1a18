#include "text/align.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The scores. What debug logging says outright outweighs all; a first line that repeats the
 * step's name outweighs a few seconds; else the time decides. */
enum {
    SCORE_NAMED_CONDITION = 1000,
    SCORE_NAMED_STARTING = 900,
    SCORE_SAME_TEXT = 300,
    SCORE_PROMISED = 150,
    SCORE_POSSIBLE = 100,
    SCORE_UNLIKELY = 60,
    BONUS_OUTER = 20,
    MALUS_INNER = 60,
    MALUS_LIKELY_INNER = 30,
    MALUS_IN_COMPOSITE = 10,
    MALUS_OTHER_NAME = 40,
};

static bool begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

enum text_promise text_promise_of(const char *name, bool last)
{
    if (last && strcmp(name, "Complete job") == 0)
        return TEXT_PROMISE_COMPLETE;
    if (begins(name, "Run "))
        return TEXT_PROMISE_RUN;
    if (begins(name, "Post "))
        return TEXT_PROMISE_POST;
    if (strcmp(name, "Initialize containers") == 0)
        return TEXT_PROMISE_START;
    if (strcmp(name, "Stop containers") == 0)
        return TEXT_PROMISE_STOP;
    if (begins(name, "Build ") || begins(name, "Pull "))
        return TEXT_PROMISE_IMAGE;
    if (strcmp(name, "Set up runner") == 0 || strcmp(name, "Complete runner") == 0)
        return TEXT_PROMISE_HOOK;
    return TEXT_PROMISE_MAIN;
}

/* The kind of mark that a promise speaks of. */
static enum text_mark_kind promised_kind(enum text_promise promise)
{
    switch (promise) {
    case TEXT_PROMISE_POST: return TEXT_MARK_POST;
    case TEXT_PROMISE_COMPLETE: return TEXT_MARK_COMPLETE;
    case TEXT_PROMISE_START: return TEXT_MARK_START;
    case TEXT_PROMISE_STOP: return TEXT_MARK_STOP;
    case TEXT_PROMISE_IMAGE: return TEXT_MARK_IMAGE;
    case TEXT_PROMISE_HOOK: return TEXT_MARK_HOOK;
    case TEXT_PROMISE_MAIN:
    case TEXT_PROMISE_RUN: break;
    }
    return TEXT_MARK_RUN;
}

/* By the kind of line alone. A user may call a step "Post results" or "Build all", so a step with
 * a promising name may begin like any other, if nothing better is there. */
static int kind_score(const struct text_part *part, const struct text_mark *mark)
{
    if (mark->kind == TEXT_MARK_RUN && part->promise == TEXT_PROMISE_RUN &&
        mark->text == part->name)
        return SCORE_SAME_TEXT;
    if (mark->kind == promised_kind(part->promise))
        return mark->kind == TEXT_MARK_RUN ? SCORE_POSSIBLE : SCORE_PROMISED;
    if (mark->kind == TEXT_MARK_RUN && part->promise != TEXT_PROMISE_COMPLETE)
        return SCORE_UNLIKELY;
    if (mark->kind == TEXT_MARK_IMAGE && part->promise == TEXT_PROMISE_MAIN)
        return SCORE_UNLIKELY;
    return 0;
}

/* The API cuts the second's fraction off, and its clock is not always the log's: within a second
 * and a half nothing is held against a mark, then a fifth of SCORE_POSSIBLE for each second. */
static int time_malus(int64_t started_ms, int64_t time_ms)
{
    if (started_ms == TEXT_TIME_UNKNOWN)
        return 0;
    int64_t late = time_ms - started_ms;
    int64_t off = late < -600 ? -600 - late : late > 1500 ? late - 1500 : 0;
    if (off > TEXT_REACH_MS)
        off = TEXT_REACH_MS;
    return (off > 0 ? 10 + (int)(off / 50) : 0) + (late < 0 || late > 1100 ? 2 : 0);
}

/* How much speaks for a part of a composite action, or for another step. */
static int part_malus(const struct text_mark *mark)
{
    int malus = mark->name != 0 ? MALUS_OTHER_NAME : 0;
    if (mark->inner)
        return malus + MALUS_INNER;
    if (mark->likely_inner)
        return malus + MALUS_LIKELY_INNER;
    return malus + (mark->in_composite && !mark->outer ? MALUS_IN_COMPOSITE : 0);
}

/* How well `mark` fits as the start of `part`; 0: not at all. */
static int score_of(const struct text_part *part, const struct text_mark *mark)
{
    int score = kind_score(part, mark);

    if (mark->name == part->name && mark->kind == TEXT_MARK_STARTING)
        score = SCORE_NAMED_STARTING;
    else if (mark->name == part->name)
        score = SCORE_NAMED_CONDITION;
    if (score == 0)
        return 0;
    if (mark->name != part->name)
        score -= part_malus(mark);
    if (mark->outer)
        score += BONUS_OUTER;
    score -= time_malus(part->started_ms, mark->time_ms);
    return score > 0 ? score : 0;
}

/* One pair of part and mark, and the best choice for the parts before it. */
struct cell {
    uint32_t mark;
    uint32_t part;
    uint32_t before; /* a cell's index + 1; 0: none */
};

struct table {
    const struct text_part *parts;
    const struct text_mark *marks;
    size_t part_count;
    size_t mark_count;
    size_t row_max; /* marks looked at for one part */
    struct cell *cells;
    size_t cell_count;
    int *best;        /* best[j]: the highest sum with marks below j */
    uint32_t *choice; /* the cell that ends that sum, + 1 */
};

static bool name_fits(const struct text_part *part, const struct text_mark *mark)
{
    return mark->name == part->name;
}

/* Marks are in the order of time, but a name told by debug logging may be anywhere: the window of
 * a part is from the first mark that can score to the last. */
static void window_of(const struct table *t, const struct text_part *part, size_t *from, size_t *to)
{
    size_t low = 0, high = t->mark_count;
    if (part->started_ms != TEXT_TIME_UNKNOWN) {
        while (low < high && !name_fits(part, &t->marks[low]) &&
               t->marks[low].time_ms < part->started_ms - TEXT_REACH_MS)
            low++;
        while (high > low && !name_fits(part, &t->marks[high - 1]) &&
               t->marks[high - 1].time_ms > part->started_ms + TEXT_REACH_MS)
            high--;
    }
    if (high - low > t->row_max)
        low = high - t->row_max;
    *from = low;
    *to = high;
}

/* Adds one part. From the last mark to the first, so that best[j] is still that of the parts
 * before; then what was found is carried to the places behind it. */
static void row_fill(struct table *t, uint32_t index)
{
    const struct text_part *part = &t->parts[index];
    size_t from, to;

    window_of(t, part, &from, &to);
    for (size_t j = to; j-- > from;) {
        int score = score_of(part, &t->marks[j]);
        if (score <= 0 || t->best[j] + score <= t->best[j + 1])
            continue;
        t->cells[t->cell_count] = (struct cell){
            .mark = (uint32_t)j, .part = index, .before = t->choice[j]};
        t->best[j + 1] = t->best[j] + score;
        t->choice[j + 1] = (uint32_t)++t->cell_count;
    }
    for (size_t j = from + 1; j <= t->mark_count; j++) {
        if (t->best[j] <= t->best[j - 1]) { /* of equals the first: parts come behind wholes */
            t->best[j] = t->best[j - 1];
            t->choice[j] = t->choice[j - 1];
        }
    }
}

static int table_make(struct table *t)
{
    size_t rows = t->part_count;
    t->row_max = TEXT_CELLS_MAX / rows;
    if (t->row_max > t->mark_count)
        t->row_max = t->mark_count;
    t->cells = malloc((rows * t->row_max + 1) * sizeof *t->cells);
    t->best = calloc(t->mark_count + 1, sizeof *t->best);
    t->choice = calloc(t->mark_count + 1, sizeof *t->choice);
    return t->cells && t->best && t->choice ? 0 : -ENOMEM;
}

int text_align(const struct text_part *parts, size_t part_count, const struct text_mark *marks,
               size_t mark_count, size_t *chosen)
{
    struct table t = {
        .parts = parts, .marks = marks, .part_count = part_count, .mark_count = mark_count};

    if (part_count == 0)
        return 0;
    int err = table_make(&t);
    if (err)
        goto out;
    for (size_t i = 0; i < part_count; i++)
        chosen[i] = TEXT_NO_MARK;
    for (size_t i = 1; i < part_count; i++)
        row_fill(&t, (uint32_t)i);
    for (uint32_t at = t.choice[mark_count]; at > 0; at = t.cells[at - 1].before)
        chosen[t.cells[at - 1].part] = t.cells[at - 1].mark;
out:
    free(t.cells);
    free(t.best);
    free(t.choice);
    return err;
}
