#include "github/api.h"

#include "github/call.h"
#include "github/core.h"
#include "github/endpoints.h"
#include "github/failure.h"
#include "github/headers.h"
#include "github/inquiry.h"
#include "github/parse.h"
#include "github/range.h"
#include "github/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct api {
    struct core core;
    struct net_task close_task;
};

/* -- Facts ------------------------------------------------------------------------------------- */

struct facts_call {
    struct call call;
    struct api *api;
    struct source_facts *facts;
    bool is_user; /* asked as for a user's repositories */
};

#define OTHER_JOB_MS 5000 /* an answer about something else is not asked for again before */

static void fail_facts(struct source_facts *f, int err)
{
    struct source_failure failure = failure_make(err, SOURCE_BROKEN, 0);

    f->done(f, &(struct source_answer){.failure = &failure, .etag = ""});
}

/* Whether it is this job that GitHub speaks of: it proves a name (S14). That it is completed spares
 * its log a question. */
static int note_job(struct core *core, uint64_t id, const struct call_answer *answer)
{
    struct facts_job job;
    int err = 0;

    if (answer->status != 200)
        return 0;
    err = parse_job(answer->body, answer->len, &job);
    if (err < 0)
        return err;
    if (job.id != id)
        err = -EPROTO;
    else if (job.status == FACTS_COMPLETED)
        core_note_completed(core, job.id);
    facts_job_finish(&job);
    return err;
}

/* The owner turned out to be no organization: asked again. False: it was, or that has been tried. */
static bool try_as_user(struct facts_call *fc, const struct source_failure *failure)
{
    struct core *core = &fc->api->core;
    char *url;

    if (fc->facts->question != SOURCE_OWNER_REPOS || fc->is_user || !failure ||
        failure->reason != SOURCE_NOT_FOUND ||
        endpoint_make_user_repos_url(core->base, fc->facts, &url) < 0)
        return false;
    fc->is_user = true;
    call_begin(&fc->call, url, fc->facts->etag);
    return true;
}

static void facts_told(struct call *c, const struct call_answer *told)
{
    struct facts_call *fc = list_entry(c, struct facts_call, call);
    struct source_facts *f = fc->facts;
    struct source_answer answer = {.failure = told->failure, .etag = ""};
    struct source_failure other = failure_make(-EPROTO, SOURCE_PROTOCOL, 0);
    const char *etag;
    uint32_t next_page = 0;

    if (try_as_user(fc, told->failure))
        return;
    if (!told->failure) {
        etag = net_header(&c->request, "ETag");
        parse_link_next(net_header(&c->request, "Link"), &next_page);
        answer.not_modified = told->status == 304;
        answer.len = told->len;
        answer.etag = etag && strlen(etag) < SOURCE_ETAG_LEN ? etag : "";
        answer.next_page = next_page;
        if (f->question == SOURCE_JOB && note_job(&fc->api->core, f->id, told) < 0) {
            other.until_ms = net_now_ms() + OTHER_JOB_MS;
            answer.failure = &other;
        }
        if (fc->is_user)
            core_note_user(&fc->api->core, f->repo.owner);
    }
    f->body = *told->held;
    *told->held = (struct source_body){0};
    if (f->body.data)
        body_trim(&fc->api->core.bodies, &f->body, told->len + 1);
    answer.body = f->body.data ? f->body.data : "";
    f->done(f, &answer);
    call_finish(c);
    free(fc);
}

static int make_url(struct facts_call *fc, char **ret_url)
{
    const struct source_facts *f = fc->facts;
    const struct core *core = &fc->api->core;

    fc->is_user = f->question == SOURCE_OWNER_REPOS && core_is_user(core, f->repo.owner);
    return fc->is_user ? endpoint_make_user_repos_url(core->base, f, ret_url)
                       : endpoint_make_url(core->base, f, ret_url);
}

static void begin_facts(struct api *api, struct source_facts *f)
{
    struct facts_call *fc = calloc(1, sizeof(*fc));
    int err = -ENOMEM;
    char *url;

    if (fc) {
        fc->api = api;
        fc->facts = f;
        err = make_url(fc, &url);
    }
    if (err < 0) {
        free(fc);
        fail_facts(f, err);
        return;
    }
    call_init(&fc->call, &api->core, CALL_FACTS, f->class, facts_told);
    fc->call.tries = f->tries;
    fc->call.waits = f->waits;
    call_begin(&fc->call, url, f->etag);
}

/* -- What other threads post ------------------------------------------------------------------- */

struct post {
    struct net_task task;
    struct api *api;
    void (*run)(struct post *p);
    union {
        struct source_bytes *bytes;
        struct source_facts *facts;
        struct token_line *line;
        struct {
            struct source_log *log;
            bool completed; /* the job was seen so, by who checks its log */
            union {
                void (*released)(void *who);
                void (*checked)(void *who, const struct source_failure *failure);
            };
        };
    };
};

static void run_post(struct net_task *task)
{
    struct post *p = list_entry(task, struct post, task);

    p->run(p);
    free(p);
}

static struct post *make_post(struct api *api, void (*run)(struct post *p))
{
    struct post *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->task.run = run_post;
    p->api = api;
    p->run = run;
    return p;
}

static void send_post(struct post *p)
{
    net_post(p->api->core.net, &p->task);
}

static void run_want_bytes(struct post *p)
{
    struct source_bytes *b = p->bytes;

    if (b->class == SOURCE_DEMAND)
        remote_promote(b->log);
    range_begin(b->log, b);
}

static void want_bytes(void *self, struct source_bytes *b)
{
    struct source_failure failure = failure_make(-ENOMEM, SOURCE_BROKEN, 0);
    struct post *p = make_post(self, run_want_bytes);

    if (!p) {
        b->done(b, &failure);
        return;
    }
    p->bytes = b;
    send_post(p);
}

static void run_want_facts(struct post *p)
{
    begin_facts(p->api, p->facts);
}

static void want_facts(void *self, struct source_facts *f)
{
    struct post *p = make_post(self, run_want_facts);

    if (!p) {
        fail_facts(f, -ENOMEM);
        return;
    }
    p->facts = f;
    send_post(p);
}

static void release_facts(void *self, struct source_facts *f)
{
    struct api *api = self;

    body_release(&api->core.bodies, &f->body);
}

/* The want itself may be over by now: it is the log that is meant. */
static void run_promote(struct post *p)
{
    remote_promote(p->log);
}

static void promote(void *self, struct source_bytes *b)
{
    struct post *p = make_post(self, run_promote);

    if (!p)
        return; /* it stays prefetch, which is slow but not wrong */
    p->log = b->log;
    send_post(p);
}

static void resume(void *self)
{
    struct api *api = self;

    net_resume(api->core.net);
}

/* -- Logs -------------------------------------------------------------------------------------- */

static struct source_log *create_log(void *self, const struct repo_name *repo, uint64_t job,
                                     bool completed, const struct source_log_ops *ops, void *who)
{
    struct api *api = self;
    struct source_log *log = remote_make(&api->core, repo, job, completed, ops, who);

    if (log)
        inquiry_init(log);
    return log;
}

static void end_log(struct source_log *log, void (*released)(void *who))
{
    void *who = log->who;

    inquiry_finish(log);
    remote_free(log);
    if (released)
        released(who);
}

static void run_release(struct net_task *task)
{
    struct source_log *log = list_entry(task, struct source_log, release_task);

    end_log(log, log->released);
}

/* Needs no memory: its place is in the log. */
static void release_log(struct source_log *log, void (*released)(void *who))
{
    log->released = released;
    log->release_task.run = run_release;
    net_post(log->core->net, &log->release_task);
}

static void run_check(struct post *p)
{
    struct source_failure failure = failure_make(-ENOMEM, SOURCE_BROKEN, 0);
    struct inquiry_check *check = calloc(1, sizeof(*check));

    if (!check) {
        p->checked(p->log->who, &failure);
        return;
    }
    check->checked = p->checked;
    if (p->completed)
        core_note_completed(p->log->core, p->log->job);
    remote_promote(p->log);
    inquiry_check(p->log, check);
}

static void check_log(struct source_log *log, bool completed,
                      void (*checked)(void *who, const struct source_failure *failure))
{
    struct source_failure failure = failure_make(-ENOMEM, SOURCE_BROKEN, 0);
    struct post *p = make_post(list_entry(log->core, struct api, core), run_check);

    if (!p) {
        checked(log->who, &failure);
        return;
    }
    p->log = log;
    p->completed = completed;
    p->checked = checked;
    send_post(p);
}

/* -- The house --------------------------------------------------------------------------------- */

static int init_core(struct core *core, const struct api_config *config)
{
    struct token_line *line = NULL;
    int err;

    if (net_url_parse(config->base, &core->base_at) < 0 || core->base_at.has_userinfo)
        return -EINVAL;
    err = config->token ? token_make_line(config->token, &line) : 0;
    if (err < 0)
        return err;
    core->base = strdup(config->base);
    if (!core->base) {
        token_line_unref(line);
        return -ENOMEM;
    }
    core->net = config->net;
    core->bodies.net = config->net;
    core->diag = config->diag;
    core->listener = config->listener;
    core->deadline_ms = config->deadline_ms;
    core->offline = config->offline;
    list_init(&core->errands);
    list_init(&core->logs);
    pthread_mutex_init(&core->logs_lock, NULL);
    core->chance = ((uint64_t)net_now_ms() << 20) ^ (uint64_t)(uintptr_t)core ^ 1;
    atomic_init(&core->limit, -1);
    atomic_init(&core->remaining, -1);
    atomic_init(&core->reset_s, -1);
    token_init(&core->token, config->net, line, config->reread_token, config->who);
    queue_init(&core->queue, config->net, config->reserve, config->connections, config->wait_ms,
               config->deadline_ms);
    return 0;
}

int api_create(const struct api_config *config, struct api **ret_api)
{
    struct api *api = calloc(1, sizeof(*api));
    int err;

    if (!api)
        return -ENOMEM;
    err = init_core(&api->core, config);
    if (err < 0) {
        free(api);
        return err;
    }
    if (!config->token && !config->offline)
        diag_say(config->diag, DIAG_NOTICE,
                 "no token: GitHub shows runs and jobs of public repositories, 60 requests an "
                 "hour, but no logs; log in, for example with `gh auth login`");
    *ret_api = api;
    return 0;
}

static void run_close(struct net_task *task)
{
    core_close(&list_entry(task, struct api, close_task)->core);
}

void api_close(struct api *api)
{
    api->close_task.run = run_close;
    net_post(api->core.net, &api->close_task);
}

void api_destroy(struct api *api)
{
    if (!api)
        return;
    /* Those whose release came too late for the network thread. */
    while (!list_is_empty(&api->core.logs))
        end_log(list_entry(api->core.logs.next, struct source_log, in_core), NULL);
    pthread_mutex_destroy(&api->core.logs_lock);
    token_finish(&api->core.token);
    free(api->core.base);
    free(api);
}

static void run_set_token(struct post *p)
{
    token_replace(&p->api->core.token, p->line);
}

void api_set_token(struct api *api, const char *token)
{
    struct token_line *line = NULL;
    struct post *p;

    if (token && token_make_line(token, &line) < 0)
        diag_say(api->core.diag, DIAG_WARNING, "the token that was read again is no token");
    p = make_post(api, run_set_token);
    if (!p) {
        token_line_unref(line);
        return;
    }
    p->line = line;
    send_post(p);
}

struct source api_source(struct api *api)
{
    static const struct source_ops ops = {
        .log_create = create_log,
        .log_release = release_log,
        .want_bytes = want_bytes,
        .log_check = check_log,
        .promote = promote,
        .want_facts = want_facts,
        .facts_release = release_facts,
        .resume = resume,
    };

    return (struct source){.self = api, .ops = &ops};
}

void api_read_stats(const struct api *api, struct api_stats *ret_stats)
{
    const struct core *core = &api->core;

    *ret_stats = (struct api_stats){
        .requests = atomic_load(&core->requests),
        .not_modified = atomic_load(&core->not_modified),
        .storage_requests = atomic_load(&core->storage_requests),
        .limit = atomic_load(&core->limit),
        .remaining = atomic_load(&core->remaining),
        .reset_s = atomic_load(&core->reset_s),
    };
}
