#include "github/refusals.h"

#include "hash.h"

#include <ctype.h>
#include <string.h>

#define BODY_MAX 4096 /* bytes of a body that tell one answer from another */

/* -- Fingerprints ------------------------------------------------------------------------------ */

/* Letters, digits, and what stands between them in ids, times and numbers. */
static bool is_in_word(unsigned char c)
{
    return isalnum(c) || (c && strchr("-_.:+=%", c));
}

static void end_word(struct refusals_print *p)
{
    uint64_t word = p->has_digit ? '#' : p->word;

    if (p->word)
        p->sum = (p->sum ^ word) * UINT64_C(1099511628211);
    p->word = 0;
    p->has_digit = false;
}

void refusals_print_add(struct refusals_print *p, const void *data, size_t len)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < len && p->len < BODY_MAX; i++, p->len++) {
        if (is_in_word(bytes[i])) {
            p->word = hash_byte(p->word ? p->word : HASH_START, bytes[i]);
            p->has_digit |= isdigit(bytes[i]) != 0;
            continue;
        }
        end_word(p);
        p->sum = hash_byte(p->sum, bytes[i]);
    }
}

uint64_t refusals_print_finish(struct refusals_print *p, const char *whose, int status)
{
    uint64_t sum;

    end_word(p);
    sum = hash_string_nocase(p->sum ^ HASH_START, whose);
    sum = (sum ^ (uint64_t)status) * UINT64_C(1099511628211);
    return sum ? sum : 1;
}

uint64_t refusals_make_key(const char *url)
{
    uint64_t key = hash_string_nocase(HASH_START, url);

    return key ? key : 1;
}

/* -- Questions --------------------------------------------------------------------------------- */

static size_t slot_of(uint64_t key)
{
    return (key ^ key >> 32) % REFUSALS_MAX;
}

/* Long after its end it predicts the next answer no more. */
static bool is_of_use(const struct refusals_entry *e, uint64_t key, int64_t now_ms)
{
    return e->key == key && now_ms < e->until_ms + REFUSALS_HOLD_MAX_MS;
}

bool refusals_find(const struct refusals *rs, uint64_t key, int64_t now_ms, int64_t *ret_until_ms)
{
    const struct refusals_entry *e = &rs->entries[slot_of(key)];

    if (e->key != key || now_ms >= e->until_ms)
        return false;
    *ret_until_ms = e->until_ms;
    return true;
}

static const struct refusals_proof *find_proof(const struct refusals *rs, uint64_t answer,
                                               int64_t now_ms)
{
    for (size_t i = 0; i < REFUSALS_PROVEN_MAX; i++)
        if (rs->proven[i].answer == answer && now_ms < rs->proven[i].until_ms)
            return &rs->proven[i];
    return NULL;
}

bool refusals_expect(const struct refusals *rs, uint64_t key, uint64_t answer, int64_t now_ms)
{
    const struct refusals_entry *e = &rs->entries[slot_of(key)];
    const struct refusals_proof *proof = find_proof(rs, answer, now_ms);

    return (is_of_use(e, key, now_ms) && e->answer == answer) ||
           (proof && proof->count >= REFUSALS_PROOFS);
}

static void note_proof(struct refusals *rs, uint64_t answer, int64_t now_ms)
{
    struct refusals_proof *p = &rs->proven[0];
    unsigned count = 0;

    for (size_t i = 0; i < REFUSALS_PROVEN_MAX; i++) {
        if (rs->proven[i].answer == answer) {
            p = &rs->proven[i];
            count = now_ms < p->until_ms ? p->count : 0;
            break;
        }
        if (rs->proven[i].until_ms < p->until_ms)
            p = &rs->proven[i];
    }
    *p = (struct refusals_proof){
        .answer = answer, .count = count + 1, .until_ms = now_ms + REFUSALS_HOLD_MS};
}

int64_t refusals_note(struct refusals *rs, uint64_t key, uint64_t answer, bool proven,
                      int64_t now_ms)
{
    struct refusals_entry *e = &rs->entries[slot_of(key)];
    int64_t held_ms = REFUSALS_HOLD_MS;
    bool is_running = false;

    if (is_of_use(e, key, now_ms) && e->answer == answer) {
        if (now_ms < e->until_ms) /* another request of the same question was faster */
            return e->until_ms;
        is_running = e->is_running;
        held_ms = is_running ? e->held_ms : 2 * e->held_ms;
    }
    if (proven)
        note_proof(rs, answer, now_ms);
    if (held_ms > REFUSALS_HOLD_MAX_MS)
        held_ms = REFUSALS_HOLD_MAX_MS;
    *e = (struct refusals_entry){.key = key,
                                 .answer = answer,
                                 .until_ms = now_ms + held_ms,
                                 .held_ms = held_ms,
                                 .is_running = is_running};
    return e->until_ms;
}

void refusals_note_running(struct refusals *rs, uint64_t key)
{
    struct refusals_entry *e = &rs->entries[slot_of(key)];

    if (e->key == key)
        e->is_running = true;
}

bool refusals_is_of_running(const struct refusals *rs, uint64_t key)
{
    const struct refusals_entry *e = &rs->entries[slot_of(key)];

    return e->key == key && e->is_running;
}

void refusals_clear(struct refusals *rs, uint64_t key)
{
    struct refusals_entry *e = &rs->entries[slot_of(key)];

    if (e->key == key)
        *e = (struct refusals_entry){.key = 0};
}

/* -- Retries ----------------------------------------------------------------------------------- */

bool refusals_take_retry(struct refusals *rs, int64_t now_ms)
{
    if (rs->count == REFUSALS_RETRIES_MAX && now_ms < rs->retried_ms[rs->next] + REFUSALS_WINDOW_MS)
        return false;
    rs->retried_ms[rs->next] = now_ms;
    rs->next = (rs->next + 1) % REFUSALS_RETRIES_MAX;
    rs->count += rs->count < REFUSALS_RETRIES_MAX;
    return true;
}

void refusals_return_retries(struct refusals *rs, unsigned count)
{
    if (count > rs->count)
        count = rs->count;
    rs->next = (rs->next + REFUSALS_RETRIES_MAX - count) % REFUSALS_RETRIES_MAX;
    rs->count -= count;
}
