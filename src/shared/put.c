#include "shared/put.h"

#include "diag.h"
#include "shared/server.h"
#include "store/meta.h"
#include "store/store.h"
#include "tasks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE STORE_PAGE_SIZE
#define CHUNK (4 * PAGE)             /* read at a time; a multiple of pages */
#define ANSWER_READ_MAX (64u * 1024) /* of an answer's body, which tells nothing but its code */

/* A log that waits. */
struct item {
    struct list link;
    struct repo_name repo;
    uint64_t job;
    int64_t since_ms;
};

/* An object on its way, and what its bytes are: a .meta in memory, or the pages of a file. */
struct body {
    const char *data; /* NULL: a file */
    int fd;
    const struct store_meta *meta; /* with the checksums of the file's pages */
    uint64_t size;
};

struct put {
    struct shared_server *server;
    struct store *store;
    struct tasks *thread;
    struct task work;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* lock */
    struct list queue; /* of struct item */
    unsigned queued;
    bool has_item;          /* `item` is under way */
    uint64_t sent_to, size; /* bytes of the object under way; size 0: none is */
    struct progress_rate rate;
    bool is_posted, is_closed;
    struct put_stats stats;
    struct shared_state state; /* of the server, as far as it takes uploads */

    /* One request at a time, of the thread's; these are the network thread's until is_done. */
    struct net_task begin;
    struct item item;      /* changed with the lock held */
    struct shared_get get; /* of a .meta that may be there */
    enum shared_outcome outcome;
    struct net_request request;
    struct net_timer timer;
    uint64_t since_pace; /* bytes */
    char url[LOCATION_OBJECT_MAX];
    const char *headers[3];
    int status, err;
    char refusal[SHARED_REFUSAL_MAX];
    size_t refusal_len, answer_len;
    bool is_done; /* lock */

    /* lock: bytes [chunk_at, chunk_at + chunk_len) are in `chunk`, or the thread is to read more */
    char *chunk; /* CHUNK bytes; the thread's while is_needed */
    uint64_t chunk_at;
    size_t chunk_len;
    bool is_needed;
    uint64_t needed_at;
    int chunk_err; /* they cannot be read */
};

/* -- Requests ---------------------------------------------------------------------------------- */

static void end_request(struct put *p)
{
    pthread_mutex_lock(&p->lock);
    p->is_done = true;
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

/* Posts the beginning of a request; the caller then waits for is_done. */
static void begin_request(struct put *p, void (*run)(struct net_task *t))
{
    p->is_done = false;
    p->begin.run = run;
    net_post(p->server->net, &p->begin);
}

/* Waits for the end of a request that needs nothing of this thread. False: it has not ended, and
 * what it has found is still the network thread's. */
static bool wait_for_end(struct put *p)
{
    bool is_done;

    pthread_mutex_lock(&p->lock);
    while (!p->is_done && !p->is_closed)
        pthread_cond_wait(&p->changed, &p->lock);
    is_done = p->is_done;
    pthread_mutex_unlock(&p->lock);
    return is_done;
}

/* -- Whether it is there ----------------------------------------------------------------------- */

static int on_meta_size(struct shared_get *g, uint64_t size)
{
    (void)g;
    (void)size;
    return 0;
}

static int on_meta_data(struct shared_get *g, const void *data, size_t len)
{
    (void)g;
    (void)data;
    (void)len;
    return NET_TAKEN;
}

static void on_meta_end(struct shared_get *g, enum shared_outcome outcome)
{
    struct put *p = list_entry(g, struct put, get);

    p->outcome = outcome;
    end_request(p);
}

static void begin_look(struct net_task *t)
{
    struct put *p = list_entry(t, struct put, begin);

    p->get = (struct shared_get){.what = SHARED_META,
                                 .size_max = PUT_META_MAX,
                                 .alone_ms = PUT_STALL_MS,
                                 .on_size = on_meta_size,
                                 .on_data = on_meta_data,
                                 .on_end = on_meta_end};
    if (shared_get_begin(&p->get, p->server, &p->item.repo, p->item.job)) {
        p->outcome = SHARED_FAILED;
        end_request(p);
    }
}

/* -- Sending ----------------------------------------------------------------------------------- */

static void on_late(struct net_timer *timer)
{
    net_cancel(&list_entry(timer, struct put, timer)->request, -ETIMEDOUT);
}

static void set_deadline(struct put *p)
{
    p->timer.fire = on_late;
    p->since_pace = 0;
    net_timer_set(p->server->net, &p->timer, net_now_ms() + PUT_STALL_MS);
}

/* Network thread. */
static ptrdiff_t on_upload(struct net_request *r, uint64_t offset, void *data, size_t size)
{
    struct put *p = list_entry(r, struct put, request);
    ptrdiff_t answer = 0;

    pthread_mutex_lock(&p->lock);
    if (p->is_closed || p->chunk_err) {
        answer = -ECANCELED;
    } else if (!p->is_needed && offset >= p->chunk_at && offset < p->chunk_at + p->chunk_len) {
        size_t skip = (size_t)(offset - p->chunk_at), left = p->chunk_len - skip;
        size = size < left ? size : left;
        memcpy(data, p->chunk + skip, size);
        p->stats.bytes_out += size;
        p->sent_to = offset + size;
        progress_rate_note(&p->rate, p->sent_to, net_now_ms());
        answer = (ptrdiff_t)size;
    } else if (!p->is_needed) {
        p->is_needed = true;
        p->needed_at = offset;
        pthread_cond_signal(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    if (answer > 0) {
        p->since_pace += (uint64_t)answer;
        if (p->since_pace >= PUT_PACE || offset + (uint64_t)answer == r->upload_size)
            set_deadline(p);
    }
    return answer;
}

static int on_head(struct net_request *r, int status)
{
    struct put *p = list_entry(r, struct put, request);

    set_deadline(p);
    p->status = status;
    return 0;
}

static int on_answer(struct net_request *r, const void *data, size_t len)
{
    struct put *p = list_entry(r, struct put, request);
    size_t space = sizeof(p->refusal) - p->refusal_len;

    memcpy(p->refusal + p->refusal_len, data, len < space ? len : space);
    p->refusal_len += len < space ? len : space;
    p->answer_len += len;
    return p->answer_len > ANSWER_READ_MAX ? -ECANCELED : NET_TAKEN;
}

static void on_sent(struct net_request *r, int err)
{
    struct put *p = list_entry(r, struct put, request);

    net_timer_cancel(&p->timer);
    p->err = err;
    end_request(p);
}

static void begin_put(struct net_task *t)
{
    static const char once[] = "If-None-Match: *";
    struct put *p = list_entry(t, struct put, begin);
    struct shared_server *s = p->server;

    p->headers[0] = once;
    p->headers[1] = s->header[0] ? s->header : NULL;
    p->headers[2] = NULL;
    p->request.url = p->url;
    p->request.headers = p->headers;
    p->request.identity = s->credentials.user[0] ? &s->identity : NULL;
    set_deadline(p);
    net_send(s->net, &p->request);
}

/* Reads a chunk, and checks its pages. 0 or negative errno. */
static int read_chunk(const struct body *b, uint64_t at, char *chunk, size_t *ret_len)
{
    size_t len = b->size - at < CHUNK ? (size_t)(b->size - at) : CHUNK, have = 0;

    if (b->data) {
        memcpy(chunk, b->data + at, len);
        have = len;
    }
    while (have < len) {
        ssize_t n = pread(b->fd, chunk + have, len - have, (off_t)(at + have));
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        have += (size_t)n;
    }
    for (size_t page = 0; b->meta && page * PAGE < len; page++) {
        size_t part = len - page * PAGE < PAGE ? len - page * PAGE : PAGE;
        if (store_page_checksum(chunk + page * PAGE, part) != b->meta->checksums[at / PAGE + page])
            return -EBADMSG;
    }
    *ret_len = len;
    return 0;
}

/* Lock held, released meanwhile. Brings what the network thread needs. */
static void feed(struct put *p, const struct body *b)
{
    uint64_t at = p->needed_at / CHUNK * CHUNK;
    size_t len = 0;
    int err;

    pthread_mutex_unlock(&p->lock);
    err = read_chunk(b, at, p->chunk, &len);
    pthread_mutex_lock(&p->lock);
    p->chunk_at = at;
    p->chunk_len = len;
    p->chunk_err = err;
    p->is_needed = false;
    pthread_mutex_unlock(&p->lock);
    net_resume(p->server->net);
    pthread_mutex_lock(&p->lock);
}

enum sent {
    SENT_STORED, /* it is there now */
    SENT_THERE,  /* it was already */
    SENT_NOT,
};

/* Tells once that the server takes no uploads now. */
static void note_refusal(struct put *p)
{
    char code[SHARED_CODE_MAX], what[128];
    int64_t rest_ms;
    bool is_news;

    shared_find_code(p->refusal, p->refusal_len, code);
    if (p->status)
        snprintf(what, sizeof(what), "status %d%s%s", p->status, code[0] ? " " : "", code);
    else
        snprintf(what, sizeof(what), "%s", strerror(-p->err));
    pthread_mutex_lock(&p->lock);
    is_news = shared_state_note_failure(&p->state, net_now_ms());
    rest_ms = p->state.rest_ms;
    pthread_mutex_unlock(&p->lock);
    if (is_news)
        diag_log(p->server->diag, DIAG_WARNING,
                 "shared store %s: cannot store a log: %s; none is sent for %" PRId64 " s",
                 p->server->location->host, what, rest_ms / 1000);
}

static enum sent judge(struct put *p)
{
    bool is_stored = p->status == 200 || p->status == 201 || p->status == 204, is_news;

    if (p->chunk_err)
        return SENT_NOT;
    if ((is_stored && p->err == 0) || p->status == 412) {
        pthread_mutex_lock(&p->lock);
        is_news = shared_state_note_success(&p->state);
        pthread_mutex_unlock(&p->lock);
        if (is_news)
            diag_log(p->server->diag, DIAG_NOTICE, "shared store %s: stores logs again",
                     p->server->location->host);
        return p->status == 412 ? SENT_THERE : SENT_STORED;
    }
    if (p->status != 409) /* somebody else is sending it at this moment */
        note_refusal(p);
    return SENT_NOT;
}

static enum sent send_object(struct put *p, enum shared_object what, const struct body *b)
{
    bool is_done;

    p->status = p->err = p->chunk_err = 0;
    p->refusal_len = p->answer_len = 0;
    p->chunk_len = 0;
    p->is_needed = false;
    p->request = (struct net_request){.is_put = true,
                                      .upload_size = b->size,
                                      .is_open = true,
                                      .body_max = UINT64_MAX,
                                      .on_upload = on_upload,
                                      .on_head = on_head,
                                      .on_body = on_answer,
                                      .on_done = on_sent};
    if (shared_location_make_url(p->server->location, p->server->host, &p->item.repo, p->item.job,
                                 what, p->url))
        return SENT_NOT;
    pthread_mutex_lock(&p->lock);
    p->sent_to = 0;
    p->size = b->size;
    progress_rate_begin(&p->rate, 0, net_now_ms());
    pthread_mutex_unlock(&p->lock);
    begin_request(p, begin_put);
    pthread_mutex_lock(&p->lock);
    while (!p->is_done && !p->is_closed) {
        if (p->is_needed && !p->chunk_err)
            feed(p, b);
        else
            pthread_cond_wait(&p->changed, &p->lock);
    }
    is_done = p->is_done;
    pthread_mutex_unlock(&p->lock);
    return is_done ? judge(p) : SENT_NOT;
}

/* -- One log ----------------------------------------------------------------------------------- */

/* Both objects, from an open file. */
static bool send_both(struct put *p, int fd, const struct store_meta *meta)
{
    struct store_meta bare = {.size = meta->size,
                              .mtime_ms = meta->mtime_ms,
                              .final = true,
                              .checksums = meta->checksums};
    struct body log = {.fd = fd, .meta = meta, .size = meta->size}, about = {.fd = -1};
    void *data = NULL;
    size_t len = 0;
    bool is_sent = false;

    if (meta_encode(&bare, p->server->host, p->item.job, &data, &len) == 0 &&
        send_object(p, SHARED_LOG, &log) != SENT_NOT) {
        about.data = data;
        about.size = len;
        is_sent = send_object(p, SHARED_META, &about) != SENT_NOT;
    }
    free(data);
    return is_sent;
}

/* Neither is left alone: the server, nor with uploads. */
static bool may_send(struct put *p)
{
    int64_t now_ms = net_now_ms();
    bool may;

    pthread_mutex_lock(&p->lock);
    may = !p->is_closed && shared_state_would_ask(&p->state, now_ms);
    pthread_mutex_unlock(&p->lock);
    if (!may || !shared_server_may_ask(p->server))
        return false;
    pthread_mutex_lock(&p->lock);
    may = shared_state_may_ask(&p->state, now_ms);
    pthread_mutex_unlock(&p->lock);
    return may;
}

/* True: it is in the shared store now. */
static bool bring(struct put *p)
{
    struct store_backing file = {.fd = -1, .published = true};
    struct store_meta meta;
    bool is_there = false;

    if (shared_server_is_off(p->server) || store_load_meta(p->store, p->item.job, &meta))
        return false;
    if (meta.final && meta.checksums && meta.size > 0 && meta.size <= PUT_BYTES_MAX &&
        store_open_log(p->store, p->item.job, &meta, &file.fd) == 0) {
        begin_request(p, begin_look);
        if (wait_for_end(p))
            is_there = p->outcome == SHARED_GOOD ||
                       (p->outcome == SHARED_ABSENT && send_both(p, file.fd, &meta));
        store_backing_close(p->store, &file);
    }
    store_meta_finish(&meta);
    return is_there;
}

/* Whether something waits. False: the work ends, and is posted with the next log. */
static bool has_work(struct put *p)
{
    bool has;

    pthread_mutex_lock(&p->lock);
    has = !p->is_closed && !list_is_empty(&p->queue);
    p->is_posted = has;
    pthread_mutex_unlock(&p->lock);
    return has;
}

/* False: what waited was dropped meanwhile. */
static bool take_item(struct put *p)
{
    struct list *link;

    pthread_mutex_lock(&p->lock);
    link = list_take_first(&p->queue);
    p->has_item = link != NULL;
    if (link)
        p->item = *list_entry(link, struct item, link);
    pthread_mutex_unlock(&p->lock);
    if (!link)
        return false;
    free(list_entry(link, struct item, link));
    return true;
}

static void work(struct task *task)
{
    struct put *p = list_entry(task, struct put, work);

    while (has_work(p)) {
        bool is_brought;
        if (!may_send(p) && !shared_server_is_off(p->server)) {
            tasks_post_after(p->thread, &p->work, PUT_LATER_MS);
            return;
        }
        if (!take_item(p))
            continue;
        is_brought = bring(p);
        pthread_mutex_lock(&p->lock);
        p->queued--;
        p->size = 0;
        p->has_item = false;
        p->stats.done += is_brought;
        p->stats.dropped += !is_brought;
        pthread_mutex_unlock(&p->lock);
    }
}

void put_want(struct put *p, const struct repo_name *repo, uint64_t job)
{
    struct item *item = malloc(sizeof(*item));
    bool is_first = false, fits;

    pthread_mutex_lock(&p->lock);
    fits = item && !p->is_closed && p->queued < PUT_QUEUE_MAX;
    if (fits) {
        *item = (struct item){.repo = *repo, .job = job, .since_ms = net_now_ms()};
        list_push_back(&p->queue, &item->link);
        p->queued++;
        is_first = !p->is_posted;
        p->is_posted = true;
    } else {
        p->stats.dropped++;
    }
    pthread_mutex_unlock(&p->lock);
    if (!fits)
        free(item);
    if (is_first)
        tasks_post(p->thread, &p->work);
}

/* -- First and last ---------------------------------------------------------------------------- */

int put_create(struct shared_server *server, struct store *store, struct put **ret_put)
{
    struct put *p = calloc(1, sizeof(*p));
    int rc;

    if (!p)
        return -ENOMEM;
    p->server = server;
    p->store = store;
    p->work.run = work;
    list_init(&p->queue);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->chunk = malloc(CHUNK);
    rc = p->chunk ? tasks_create("ghlogfs-put", net_now_ms, &p->thread) : -ENOMEM;
    if (rc) {
        put_destroy(p);
        return rc;
    }
    *ret_put = p;
    return 0;
}

void put_close(struct put *p)
{
    struct list *link;

    pthread_mutex_lock(&p->lock);
    p->is_closed = true;
    while ((link = list_take_first(&p->queue))) {
        free(list_entry(link, struct item, link));
        p->queued--;
        p->stats.dropped++;
    }
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

void put_destroy(struct put *p)
{
    if (!p)
        return;
    put_close(p);
    tasks_destroy(p->thread);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p->chunk);
    free(p);
}

/* Lock held. */
static struct put_status get_status(const struct put *p, const struct item *item, int64_t now_ms)
{
    struct progress progress = {.begun_ms = item->since_ms,
                                .size = PROGRESS_UNKNOWN,
                                .rate = PROGRESS_UNKNOWN,
                                .cause = PROGRESS_TURN};

    if (item == &p->item)
        progress.cause = PROGRESS_SHARED;
    if (item == &p->item && p->size) {
        progress.bytes = p->sent_to;
        progress.size = p->size;
        progress.rate = progress_rate_get(&p->rate, p->sent_to, now_ms);
        if (p->sent_to > 0 && p->sent_to < p->size)
            progress.cause = PROGRESS_FLOWS;
    }
    return (struct put_status){.repo = item->repo, .job = item->job, .progress = progress};
}

unsigned put_list_status(struct put *p, struct put_status *ret_status, unsigned max)
{
    int64_t now_ms = net_now_ms();
    unsigned count, n = 0;

    pthread_mutex_lock(&p->lock);
    count = p->queued;
    if (p->has_item && n < max)
        ret_status[n++] = get_status(p, &p->item, now_ms);
    for (struct list *link = p->queue.next; link != &p->queue && n < max; link = link->next)
        ret_status[n++] = get_status(p, list_entry(link, struct item, link), now_ms);
    pthread_mutex_unlock(&p->lock);
    return count;
}

void put_get_stats(struct put *p, struct put_stats *ret_stats)
{
    pthread_mutex_lock(&p->lock);
    *ret_stats = p->stats;
    ret_stats->queued = p->queued;
    pthread_mutex_unlock(&p->lock);
}
