#include "github/parse_headers.h"
#include "github/range_room.h"
#include "github/sight.h"

#include <errno.h>

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
    int err = remote_see(r->log, s, r->after_completion, r->is_all);

    if (err == -ESTALE)
        return wrong(r, FOUND_WRONG, err);
    if (!err && r->has_inquired && r->log->job_state == REMOTE_JOB_RUNNING)
        err = remote_tell_growing(r->log);
    if (err)
        return wrong(r, FOUND_UNWANTED, err);
    /* Not known yet whether it is final: to be found out while the bytes come. */
    if (!r->log->is_told && r->log->is_sized && !r->has_inquired)
        r->log->inquire(r->log);
    return 0;
}

static int head_part(struct range *r, const struct sight *s)
{
    if (s->first != r->next || s->end > r->to || (!s->is_sized && !r->log->is_sized))
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

/* A server without ranges, or one that did not care this time. */
static int head_whole(struct range *r, const struct sight *s)
{
    if (r->want && !is_proved(r, s))
        return wrong(r, FOUND_UNPROVED, 0);
    r->is_all = r->want && !r->log->is_told;
    if (r->is_all)
        r->to = UINT64_MAX;
    if (see(r, s) < 0)
        return -ECANCELED;
    r->found = FOUND_STREAM;
    r->at = 0;
    r->end = s->end;
    if (r->want || !s->is_sized)
        return 0;
    r->found = FOUND_COMPLETE;
    return -ECANCELED;
}

/* There is nothing from `next` on: the log is empty, or ends here. That is a size too, where the
 * header that names it is missing. */
static int head_nothing(struct range *r, struct sight *s)
{
    if (!s->is_sized && r->next == (r->log->is_sized ? r->log->size : 0)) {
        s->is_sized = true;
        s->size = r->next;
    }
    if (s->is_sized && see(r, s) < 0)
        return -ECANCELED;
    if (!r->log->is_sized || r->next < r->log->size)
        return wrong(r, FOUND_WRONG, -EIO);
    r->found = FOUND_COMPLETE;
    return 0;
}

int range_take_head(struct net_request *request, int status)
{
    struct range *r = list_entry(request, struct range, request);
    struct sight s;

    r->status = status;
    hosts_note_answer(&r->core->hosts, &r->url->at, net_now_ms());
    if (status == 404) {
        r->found = FOUND_ABSENT;
        return 0;
    }
    if (status != 200 && status != 206 && status != 416)
        return 0;
    if (sight_read(request, status, &s) < 0)
        return wrong(r, FOUND_WRONG, -EIO);
    if (status == 206)
        return head_part(r, &s);
    return status == 200 ? head_whole(r, &s) : head_nothing(r, &s);
}

/* -- The bytes --------------------------------------------------------------------------------- */

uint64_t range_goal(const struct range *r)
{
    if (r->log->is_sized && r->log->size < r->to)
        return r->log->size;
    return r->to;
}

static int discard(struct range *r, size_t len)
{
    r->junk += len;
    return r->junk > JUNK_MAX ? -ECANCELED : NET_TAKEN;
}

/* The part of the body that is wanted next; none of it counts before it was taken. */
int range_take_body(struct net_request *request, const void *data, size_t len)
{
    struct range *r = list_entry(request, struct range, request);
    uint64_t skip, most, stop = r->end < range_goal(r) ? r->end : range_goal(r);
    bool is_last;
    int taken;

    hosts_note_answer(&r->core->hosts, &r->url->at, net_now_ms());
    if (r->found != FOUND_STREAM) {
        refusals_print_add(&r->print, data, len);
        return discard(r, len);
    }
    if (r->log->unwanted)
        return wrong(r, FOUND_UNWANTED, r->log->unwanted);
    skip = r->next > r->at ? r->next - r->at : 0;
    if (r->want && skip < len && r->next < stop) {
        most = len - skip < stop - r->next ? len - skip : stop - r->next;
        taken = r->want->bytes(r->want, r->next, (const char *)data + skip, most);
        if (taken < 0)
            return wrong(r, FOUND_UNWANTED, taken);
        if (taken == SOURCE_FULL)
            return NET_PAUSE;
        r->next += most;
        retry_note_progress(&r->retry, net_now_ms());
        r->renewals = 0;
    }
    r->at += len;
    if (r->end != UINT64_MAX && r->at > r->end)
        return -ECANCELED; /* more than was promised may be without end */
    /* An unknown length is only found out by reading on. */
    is_last = r->want && r->next >= stop && r->at < r->end;
    return is_last && (r->end != UINT64_MAX || r->log->is_sized) ? -ECANCELED : NET_TAKEN;
}

int range_take_length(struct range *r)
{
    struct sight s = {.is_sized = true, .size = r->at, .last_modified_ms = -1};
    int64_t modified_s;

    if (parse_http_date(net_header(&r->request, "Last-Modified"), net_wall_s(), &modified_s) == 0)
        s.last_modified_ms = modified_s * 1000;
    return see(r, &s);
}
