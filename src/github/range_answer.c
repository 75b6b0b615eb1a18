#include "github/headers.h"
#include "github/range_room.h"
#include "github/sight.h"

#include <errno.h>
#include <string.h>

#define JUNK_MAX 65536 /* bytes read for nothing, to keep a connection */

/* -- What the headers say ---------------------------------------------------------------------- */

/* Refuses the answer: it is read no further. */
static int wrong(struct range *r, enum found found, int err)
{
    r->found = found;
    r->err = err;
    return -ECANCELED;
}

/* The size and what it proves are taken into account. 0 or wrong()'s answer. */
static int see(struct range *r, const struct sight *s)
{
    int err = belief_see(r->log, s, r->after_completion, r->is_all);

    if (err == -ESTALE)
        return wrong(r, FOUND_WRONG, err);
    if (!err && r->has_inquired && r->log->job_state == REMOTE_JOB_RUNNING)
        err = belief_tell_growing(r->log);
    if (err)
        return wrong(r, FOUND_UNWANTED, err);
    /* Not known yet whether it is final: to be found out while the bytes come. */
    if (!r->log->is_told && !r->log->is_weak && r->log->is_sized && !r->has_inquired)
        r->log->inquire(r->log);
    return 0;
}

static int head_part(struct range *r, struct sight *s)
{
    s->is_weak = s->is_sized && s->end < s->size && s->end < r->asked_to;
    if (s->first != r->next || s->end > r->asked_to || (!s->is_sized && !r->log->is_sized))
        return wrong(r, FOUND_WRONG, -EIO);
    if (see(r, s) < 0)
        return -ECANCELED;
    r->found = FOUND_STREAM;
    r->at = s->first;
    r->end = s->end;
    if (r->want)
        return 0;
    r->found = FOUND_COMPLETE;
    return s->end - s->first > JUNK_MAX ? -ECANCELED : 0;
}

/* Whether a log that is sent whole may be taken as it is, or a later one would be another. */
static bool is_proved(const struct range *r, const struct sight *s)
{
    return s->is_final || r->after_completion || r->log->is_told || r->has_inquired;
}

/* What the headers of a whole body say is taken into account. 0, or wrong()'s answer. */
static int accept_whole(struct range *r)
{
    r->is_doubted = false;
    r->is_all = r->want && !r->log->is_told;
    if (r->is_all)
        r->to = UINT64_MAX;
    if (see(r, &r->sight) < 0)
        return -ECANCELED;
    if (r->want || !r->sight.is_sized)
        return 0;
    r->found = FOUND_COMPLETE;
    return -ECANCELED;
}

/* A server without ranges, or one that did not care this time; or not storage at all. */
static int head_whole(struct range *r, const struct sight *s)
{
    if (r->want && !is_proved(r, s))
        return wrong(r, FOUND_UNPROVED, 0);
    if (r->want && s->is_sized && s->size == 0 && !r->may_be_empty)
        return wrong(r, FOUND_EMPTY, 0);
    r->found = FOUND_STREAM;
    r->at = 0;
    r->end = s->end;
    r->sight = *s;
    r->sight.is_weak = s->is_sized && s->size > 0;
    r->is_doubted = r->want && !s->is_blob;
    return r->is_doubted ? 0 : accept_whole(r);
}

/* There is nothing from `next` on: the log is empty, or ends here. That is a size too, where the
 * header that names it is missing. */
static int head_nothing(struct range *r, struct sight *s)
{
    uint64_t end = r->log->is_sized ? r->log->size : r->ended_at;

    if (!s->is_sized && r->next == end) {
        s->is_sized = true;
        s->size = r->next;
    }
    if (s->is_sized && s->size > r->next)
        return wrong(r, FOUND_WRONG, -EIO);
    if (s->is_sized && see(r, s) < 0)
        return -ECANCELED;
    if (!r->log->is_sized || r->next < r->log->size)
        return wrong(r, FOUND_WRONG, -EIO);
    r->found = FOUND_COMPLETE;
    return 0;
}

/* The start of the log once more: what it says is for the belief to judge. */
static int head_opinion(struct range *r, int status, const struct sight *s)
{
    if (status == 416 || !s->is_sized || (status == 206 && s->first != r->next))
        return wrong(r, FOUND_WRONG, -EIO);
    r->log->second = *s;
    r->found = s->size < r->to ? FOUND_COMPLETE : FOUND_STREAM;
    r->at = s->first;
    r->end = s->end;
    return s->size < r->to ? -ECANCELED : 0;
}

int range_take_head(struct net_request *request, int status)
{
    struct range *r = list_entry(request, struct range, request);
    struct sight s;
    int err;

    r->status = status;
    hosts_note_answer(&r->core->hosts, &r->url->at, net_now_ms());
    if (status == 404) {
        r->found = FOUND_ABSENT;
        return 0;
    }
    if (status != 200 && status != 206 && status != 416)
        return 0;
    err = sight_read(request, status, &s);
    if (err == -ENOMSG)
        sight_read_type(request, r->type);
    if (err < 0)
        return wrong(r, FOUND_WRONG, err);
    if (r->is_opinion)
        return head_opinion(r, status, &s);
    if (status == 206)
        return head_part(r, &s);
    return status == 200 ? head_whole(r, &s) : head_nothing(r, &s);
}

/* -- The bytes --------------------------------------------------------------------------------- */

uint64_t range_goal(const struct range *r)
{
    if (!r->is_opinion && r->log->is_sized && r->log->size < r->to)
        return r->log->size;
    return r->to;
}

static int discard(struct range *r, size_t len)
{
    r->junk += len;
    return r->junk > JUNK_MAX ? -ECANCELED : NET_TAKEN;
}

static uint64_t stop_of(const struct range *r)
{
    return r->end < range_goal(r) ? r->end : range_goal(r);
}

/* Of these bytes, the first of which is the log's at `at`, those that are wanted next; none counts
 * before it was taken. NET_TAKEN, NET_PAUSE or wrong()'s answer. */
static int deliver(struct range *r, uint64_t at, const char *data, size_t len)
{
    uint64_t skip = r->next > at ? r->next - at : 0, stop = stop_of(r), most;
    int taken = SOURCE_TAKEN;

    if ((!r->want && !r->is_opinion) || skip >= len || r->next >= stop)
        return NET_TAKEN;
    most = len - skip < stop - r->next ? len - skip : stop - r->next;
    if (r->want)
        taken = r->want->bytes(r->want, r->next, data + skip, most);
    if (taken < 0)
        return wrong(r, FOUND_UNWANTED, taken);
    if (taken == SOURCE_FULL)
        return NET_PAUSE;
    if (r->want)
        belief_note_bytes(r->log, r->next, data + skip, most);
    else
        r->log->second_digest = belief_digest(r->log->second_digest, data + skip, most);
    r->next += most;
    retry_note_progress(&r->retry, net_now_ms());
    r->renewals = 0;
    return NET_TAKEN;
}

/* The first `len` bytes of a body in doubt are known. 0, or wrong()'s answer. */
static int settle_doubt(struct range *r, size_t len)
{
    if (!sight_begins_log(r->start, len))
        return wrong(r, FOUND_WRONG, -ENOMSG);
    return accept_whole(r);
}

/* Keeps the start of a body in doubt; `at` stays behind what is kept for good. The doubt is settled
 * once there is enough of it. 0, or wrong()'s answer. */
static int keep_start(struct range *r, const char *data, size_t len)
{
    size_t have = (size_t)r->at, enough = r->end < SIGHT_START ? (size_t)r->end : SIGHT_START;
    size_t part = len < enough - have ? len : enough - have;

    memcpy(r->start + have, data, part);
    if (have + part == enough)
        return settle_doubt(r, enough);
    r->at += part;
    return 0;
}

int range_take_short(struct range *r)
{
    int err = settle_doubt(r, (size_t)r->at);

    if (!err && deliver(r, 0, r->start, (size_t)r->at) != NET_TAKEN)
        err = -EIO;
    return err;
}

int range_take_body(struct net_request *request, const void *data, size_t len)
{
    struct range *r = list_entry(request, struct range, request);
    uint64_t stop;
    bool is_last;
    int err;

    hosts_note_answer(&r->core->hosts, &r->url->at, net_now_ms());
    if (r->found != FOUND_STREAM) {
        refusals_print_add(&r->print, data, len);
        return discard(r, len);
    }
    if (r->log->unwanted)
        return wrong(r, FOUND_UNWANTED, r->log->unwanted);
    if (r->is_doubted) {
        err = keep_start(r, data, len);
        if (err < 0 || r->is_doubted)
            return err;
    }
    err = r->next < r->at ? deliver(r, 0, r->start, (size_t)r->at) : NET_TAKEN;
    if (err == NET_TAKEN)
        err = deliver(r, r->at, data, len);
    if (err != NET_TAKEN)
        return err;
    stop = stop_of(r);
    r->at += len;
    if (r->end != UINT64_MAX && r->at > r->end)
        return -ECANCELED; /* more than was promised may be without end */
    /* An unknown length is only found out by reading on. */
    is_last = (r->want || r->is_opinion) && r->next >= stop && r->at < r->end;
    return is_last && (r->end != UINT64_MAX || r->log->is_sized) ? -ECANCELED : NET_TAKEN;
}

int range_take_length(struct range *r)
{
    struct sight s = {.is_sized = true, .size = r->at, .end = r->at, .last_modified_ms = -1};
    int64_t modified_s;

    if (parse_http_date(net_header(&r->request, "Last-Modified"), net_wall_s(), &modified_s) == 0)
        s.last_modified_ms = modified_s * 1000;
    s.is_unframed = !net_header(&r->request, "Transfer-Encoding");
    return see(r, &s);
}
