#include "github/belief.h"

#include "github/failure.h"
#include "hash.h"

#include <errno.h>
#include <string.h>

static bool is_same_etag(const char *a, const char *b)
{
    return !a[0] || !b[0] || strcmp(a, b) == 0;
}

/* -- The start --------------------------------------------------------------------------------- */

/* FNV-1a: it tells logs apart, not forgeries. */
uint64_t belief_digest(uint64_t digest, const char *data, size_t len)
{
    return hash_bytes(digest, data, len);
}

void belief_note_bytes(struct source_log *log, uint64_t offset, const char *data, size_t len)
{
    uint64_t room = SOURCE_FIRST_RANGE - log->start_len;

    if (log->is_proven || log->opinion || offset != log->start_len)
        return;
    len = len < room ? len : (size_t)room;
    log->start_digest = belief_digest(log->start_digest, data, len);
    log->start_len += len;
}

/* -- Telling ----------------------------------------------------------------------------------- */

static int tell(struct source_log *log, bool is_final)
{
    struct source_metadata metadata = {
        .size = log->size,
        .final = is_final,
        .whole = log->is_whole,
        .proven = log->is_proven,
        .provisional = log->is_unframed,
        .last_modified_ms = log->last_modified_ms,
        .completed_ms = log->completed_ms,
    };
    int err;

    memcpy(metadata.etag, log->etag, sizeof(metadata.etag));
    err = log->ops->on_metadata(log->who, &metadata);
    if (err == -ESTALE) { /* whoever wants it knows better: as if it had not been said */
        log->is_sized = log->is_told;
        log->size = log->told_size;
        return err;
    }
    log->is_told = true;
    log->told_size = log->size;
    log->is_final = is_final;
    log->unwanted = err;
    return err;
}

int belief_tell_growing(struct source_log *log)
{
    if (log->is_told || !log->is_sized || log->size == 0)
        return 0;
    return tell(log, false);
}

/* -- One answer -------------------------------------------------------------------------------- */

static void believe(struct source_log *log, const struct sight *s)
{
    log->is_sized = true;
    log->size = s->size;
    if (s->etag[0])
        memcpy(log->etag, s->etag, sizeof(log->etag));
    if (s->last_modified_ms >= 0)
        log->last_modified_ms = s->last_modified_ms;
    log->is_weak = s->is_weak;
    log->is_unframed = s->is_unframed;
    log->votes = 1;
    log->etag_votes = s->etag[0] != '\0';
    log->rival_votes = 0;
}

/* A final log has one size and one ETag; a growing one only grows. */
static bool contradicts(const struct source_log *log, const struct sight *s)
{
    if (log->is_final)
        return s->size != log->size || !is_same_etag(s->etag, log->etag);
    return s->size < log->size;
}

/* The same size again, or a larger one. */
static void agree(struct source_log *log, const struct sight *s)
{
    struct sight stronger = *s;
    unsigned votes = s->size == log->size ? log->votes + 1 : 1;
    unsigned etag_votes = log->etag_votes + (s->etag[0] != '\0');

    stronger.is_weak = s->is_weak && log->is_weak;
    stronger.is_unframed = s->is_unframed && log->is_unframed;
    if (log->is_final && log->etag[0])
        stronger.etag[0] = '\0'; /* the same; or none, for once */
    if (log->is_final)
        stronger.last_modified_ms = -1; /* its time was told */
    believe(log, &stronger);
    log->votes = votes;
    log->etag_votes = etag_votes;
}

/* 0: it is believed from now on. */
static int dispute(struct source_log *log, const struct sight *s)
{
    bool is_again = log->rival_votes > 0 &&
                    (!log->is_final ||
                     (s->size == log->rival.size && is_same_etag(s->etag, log->rival.etag)));
    unsigned votes = is_again ? log->rival_votes + 1 : 1;

    if (is_again && !s->etag[0])
        log->rival.size = s->size;
    else
        log->rival = *s;
    log->rival_votes = votes;
    if (log->is_final && votes >= BELIEF_VOTES - 1)
        log->ask_again(log);
    if (log->is_final || votes < (log->is_told ? BELIEF_VOTES : 2))
        return -ESTALE;
    believe(log, s);
    log->votes = votes;
    return 0;
}

/* Whether all of the log is in this very answer, which says so twice. */
static bool is_whole_answer(const struct sight *s)
{
    return s->first == 0 && s->end == s->size && !s->is_weak && !s->is_unframed;
}

/* What is known by now is told, as far as it may be and is news. */
static int tell_news(struct source_log *log, bool is_change)
{
    bool was_proven = log->is_proven;

    log->is_proven |= log->votes >= BELIEF_VOTES && !log->is_unframed;
    if (log->is_final)
        return log->is_proven && !was_proven ? tell(log, true) : 0;
    if (log->is_weak && !log->is_told && log->votes < BELIEF_VOTES)
        return 0;
    if (log->has_ended)
        return tell(log, true);
    return log->is_told && is_change ? tell(log, false) : 0;
}

int belief_see(struct source_log *log, const struct sight *s, bool after_completion, bool whole)
{
    uint64_t before = log->size;
    int err = 0;

    if (!s->is_sized)
        return 0;
    if (!log->is_sized || (log->is_weak && !log->is_told && s->size != log->size))
        believe(log, s);
    else if (contradicts(log, s))
        err = dispute(log, s);
    else
        agree(log, s);
    if (err)
        return err;
    if (!log->is_final) {
        log->is_whole = whole && !log->is_told;
        log->is_proven = is_whole_answer(s);
    }
    log->has_ended |= s->is_final || after_completion;
    return tell_news(log, log->size != before);
}

/* -- A second opinion -------------------------------------------------------------------------- */

static void give_up(struct source_log *log)
{
    log->is_other = true;
    if (log->url)
        core_say(log->core, "storage", &log->url->at, failure_word(-ESTALE));
}

void belief_judge(struct source_log *log)
{
    const struct sight *s = &log->second;
    bool is_size = s->size == log->size, is_etag = is_same_etag(s->etag, log->etag);
    bool is_start = !log->start_len || log->second_digest == log->start_digest;

    if (is_size && is_etag) {
        agree(log, s);
        tell_news(log, false);
        return;
    }
    if (s->size != log->rival.size || !is_same_etag(s->etag, log->rival.etag)) {
        log->rival = *s;
        log->rival_votes = 1;
        return;
    }
    /* Under an ETag that several answers have told, more may have been read than its start. */
    if (!is_start || (!is_etag && (!is_size || log->etag_votes > 1 || !log->start_len))) {
        give_up(log);
        return;
    }
    believe(log, s);
    log->votes = BELIEF_VOTES;
    log->is_proven = true;
    if (tell(log, true) == -ESTALE)
        give_up(log);
}
