#include "shared/state.h"

bool shared_state_would_ask(const struct shared_state *s, int64_t now_ms)
{
    switch (s->phase) {
    case SHARED_UP: return true;
    case SHARED_RESTING:
    case SHARED_PROBING: return now_ms >= s->until_ms;
    case SHARED_OFF: break;
    }
    return false;
}

bool shared_state_may_ask(struct shared_state *s, int64_t now_ms)
{
    if (!shared_state_would_ask(s, now_ms))
        return false;
    if (s->phase != SHARED_UP) {
        s->phase = SHARED_PROBING;
        s->until_ms = now_ms + SHARED_PROBE_MS;
    }
    return true;
}

bool shared_state_note_success(struct shared_state *s)
{
    /* One that began before the rest tells nothing of what is now. */
    if (s->phase != SHARED_PROBING) {
        if (s->phase == SHARED_UP)
            s->rest_ms = 0;
        return false;
    }
    /* The next rest is still twice as long if it comes before another success. */
    s->phase = SHARED_UP;
    return true;
}

bool shared_state_note_failure(struct shared_state *s, int64_t now_ms)
{
    if (s->phase != SHARED_UP && s->phase != SHARED_PROBING)
        return false;
    s->rest_ms = s->rest_ms ? 2 * s->rest_ms : SHARED_REST_MS;
    if (s->rest_ms > SHARED_REST_MAX_MS)
        s->rest_ms = SHARED_REST_MAX_MS;
    s->phase = SHARED_RESTING;
    s->until_ms = now_ms + s->rest_ms;
    return true;
}

bool shared_state_turn_off(struct shared_state *s)
{
    bool was_on = s->phase != SHARED_OFF;

    s->phase = SHARED_OFF;
    return was_on;
}

const char *shared_state_name(const struct shared_state *s)
{
    switch (s->phase) {
    case SHARED_UP: return "up";
    case SHARED_RESTING:
    case SHARED_PROBING: return "resting";
    case SHARED_OFF: break;
    }
    return "off";
}
