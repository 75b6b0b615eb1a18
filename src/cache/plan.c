#include "cache/plan.h"

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static bool is_sequential(const struct plan_reader *r, uint64_t offset)
{
    return offset <= r->next + PLAN_NEAR && offset + PLAN_NEAR >= r->next;
}

/* Below what was read before, the next readahead at most: tac, or less going up. */
static bool goes_back(const struct plan_reader *r, uint64_t offset, uint64_t end)
{
    return r->next && offset < r->low && end < r->next && end + PLAN_NEAR >= r->low;
}

static void wish_back(struct plan_reader *r, uint64_t offset, uint64_t end,
                      struct plan_wish *ret_wish)
{
    r->next = larger(end, r->low);
    r->low = offset;
    r->run = 0;
    *ret_wish = (struct plan_wish){
        .need_to = end, .want_to = r->next, .range = PLAN_RANGE, .backwards = true};
}

uint64_t plan_block_start(uint64_t gap, uint64_t end)
{
    return end - gap < 2 * PLAN_RANGE ? gap : end - PLAN_RANGE;
}

void plan_note_read(struct plan_reader *r, uint64_t offset, uint64_t len, uint64_t size,
                    struct plan_wish *ret_wish)
{
    uint64_t end = smaller(offset + len, size);
    uint64_t window;

    if (goes_back(r, offset, end)) {
        wish_back(r, offset, end, ret_wish);
        return;
    }
    if (!is_sequential(r, offset)) {
        r->run = 0;
        r->next = r->low = offset;
    }
    if (end > r->next) {
        r->run += end - larger(r->next, offset);
        r->next = end;
    }
    if (r->run < PLAN_SEQUENTIAL) {
        ret_wish->range = size <= PLAN_WHOLE ? PLAN_WHOLE : PLAN_JUMP;
        window = PLAN_JUMP;
    } else {
        window = smaller(4 * r->run, PLAN_WINDOW_MAX);
        ret_wish->range = window == PLAN_WINDOW_MAX ? PLAN_RANGE_LARGE : PLAN_RANGE;
    }
    ret_wish->backwards = false;
    ret_wish->need_to = end;
    ret_wish->want_to = smaller(larger(end, offset + window), size);
}

bool plan_is_far(uint64_t at, uint64_t offset)
{
    return offset > at && offset - at > PLAN_RANGE;
}
