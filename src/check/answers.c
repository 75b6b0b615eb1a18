#include "check/answers.h"

#include "github/headers.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define MINUTE 60
#define HOUR 3600
#define DAY 86400

#define SOON_S (7 * DAY)  /* an expiry that is worth a warning */
#define SKEW_WARNING_S 30 /* of the clock: quota and ages are off by as much */
#define SKEW_ERROR_S 300  /* signed URLs live for minutes */
#define SKEW_SIGNED_S 900 /* S3 refuses signatures that are further off */

#define STATUS_PAGE "https://www.githubstatus.com"

/* -- Words ------------------------------------------------------------------------------------- */

static void print_time(int64_t at_s, char ret_text[32])
{
    time_t at = (time_t)at_s;
    struct tm tm = {0};

    gmtime_r(&at, &tm);
    strftime(ret_text, 32, "%Y-%m-%d %H:%M UTC", &tm);
}

/* "3 days", "41 minutes" */
static void print_span(int64_t span_s, char ret_text[32])
{
    static const struct {
        int64_t least_s, unit_s;
        const char *word;
    } units[] = {{2 * DAY, DAY, "days"},
                 {2 * HOUR, HOUR, "hours"},
                 {2 * MINUTE, MINUTE, "minutes"},
                 {0, 1, "seconds"}};
    size_t i = 0;

    if (span_s < 0)
        span_s = -span_s;
    while (span_s < units[i].least_s)
        i++;
    snprintf(ret_text, 32, "%" PRId64 " %s", span_s / units[i].unit_s, units[i].word);
}

static const char *through(const struct check_answer *a)
{
    return a->is_proxied ? ", through the proxy" : "";
}

/* -- No answer --------------------------------------------------------------------------------- */

static void judge_tunnel(struct check_line *l, const struct check_answer *a)
{
    size_t len = strlen(a->host);
    static const char blobs[] = ".blob.core.windows.net";

    check_set(l, CHECK_ERROR, "%s: the proxy refused a tunnel to this host: status %d", a->host,
              a->tunnel);
    if (a->tunnel == 407)
        check_advise(
            l, "give the proxy's user and password in HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT");
    else if (len > strlen(blobs) && !strcmp(a->host + len - strlen(blobs), blobs))
        check_advise(
            l,
            "have the proxy allow HTTPS to *%s (GitHub uses hundreds of them), or name them in "
            "NO_PROXY if they can be reached directly",
            blobs);
    else
        check_advise(
            l,
            "have the proxy allow HTTPS to this host, or name it in NO_PROXY if it can be reached "
            "directly");
}

static bool is_about_tls(const char *detail)
{
    return strstr(detail, "certificate") || strstr(detail, "SSL") || strstr(detail, "TLS");
}

static void judge_tls(struct check_line *l, const struct check_answer *a)
{
    check_set(l, CHECK_ERROR, "%s: TLS failed: %s", a->host, a->detail);
    if (strstr(a->detail, "expired") || strstr(a->detail, "not yet valid"))
        check_advise(
            l, "check this machine's clock; if it is right, the server needs a new certificate");
    else if (strstr(a->detail, "subject name") || strstr(a->detail, "does not match"))
        check_advise(
            l,
            "something else answers for this host: check the host's name, the name server and the "
            "proxy");
    else if (strstr(a->detail, "issuer") || strstr(a->detail, "self-signed") ||
             strstr(a->detail, "self signed") || strstr(a->detail, "unable to get"))
        check_advise(
            l, "if the server or a proxy that opens TLS has an authority of its own, give its "
               "certificate with -o ca_file=FILE");
    else
        check_advise(l,
                     "see the line certificates, and check what stands between here and the host");
}

/* False: no HTTP answer came, and the line says why. */
static bool judge_reach(struct check_line *l, const struct check_answer *a)
{
    const char *detail = a->detail[0] ? a->detail : strerror(-a->err);

    if (a->tunnel) {
        judge_tunnel(l, a);
        return false;
    }
    if (!a->err)
        return true;
    switch (a->err) {
    case -EHOSTUNREACH:
        check_set(l, CHECK_ERROR, "%s: not found or not reachable: %s", a->host, detail);
        check_advise(
            l,
            a->is_proxied
                ? "check the proxy's address and the network"
                : "check the name, the name server and the network; where only a proxy leads out, "
                  "set HTTPS_PROXY");
        break;
    case -ETIMEDOUT:
        check_set(l, CHECK_ERROR, "%s: no answer within %" PRId64 " s%s", a->host,
                  (a->took_ms + 999) / 1000, through(a));
        check_advise(
            l,
            "a firewall may drop what goes there; where only a proxy leads out, set HTTPS_PROXY; "
            "for a slow network raise -o timeout=");
        break;
    case -ECONNREFUSED:
        check_set(l, CHECK_ERROR, "%s: connection refused: %s", a->host, detail);
        check_advise(l, "check %s",
                     a->is_proxied ? "that the proxy runs at this address"
                                   : "the address and its port");
        break;
    default:
        if (a->err == -EPROTO && is_about_tls(a->detail)) {
            judge_tls(l, a);
            break;
        }
        check_set(l, CHECK_ERROR, "%s: no valid answer: %s", a->host, detail);
        check_advise(
            l, "something between here and the host cuts or changes what is sent; `curl -v` to the "
               "host shows more");
    }
    return false;
}

/* -- The API ----------------------------------------------------------------------------------- */

static bool is_limited(const struct check_answer *a)
{
    return (a->status == 403 || a->status == 429) &&
           (a->status == 429 || a->quota.remaining == 0 || a->retry_after_s >= 0 ||
            strstr(a->message, "rate limit"));
}

/* A server without limits answers 404 to the question about them. */
static bool is_without_limits(const struct check_answer *a)
{
    return a->status == 404 && strstr(a->message, "ate limiting");
}

/* Whether GitHub has taken the token, or would have named what it does not like. */
static bool is_accepted(const struct check_answer *a)
{
    return (a->status == 200 && a->is_right) || is_without_limits(a) || is_limited(a);
}

void check_api(struct check_line *l, const struct check_answer *a, const char *url,
               const char *from)
{
    check_add_text(l, "url", url);
    check_add_text(l, "source", from ? from : "default");
    check_add_number(l, "status", a->status);
    if (!judge_reach(l, a))
        return;
    if (a->status >= 500) {
        check_set(l, CHECK_ERROR, "%s: fails with status %d", a->host, a->status);
        check_advise(l, "try again later; see " STATUS_PAGE);
    } else if (a->status >= 300 && a->status <= 399) {
        check_set(l, CHECK_ERROR, "%s: redirects, status %d: this is not the API", a->host,
                  a->status);
        check_advise(l, "check api_url; that of an Enterprise Server is https://HOST/api/v3");
    } else if (a->status == 200 && !a->is_right) {
        check_set(
            l, CHECK_ERROR,
            "%s: answers with %s in place of JSON: it is not the API, or a proxy answers for it",
            a->host, a->type[0] ? a->type : "no type");
        check_advise(l, "have the proxy let HTTPS to this host through; check api_url");
    } else if (a->status == 404 && !is_without_limits(a)) {
        check_set(l, CHECK_ERROR, "%s: status 404: there is no API at this address", a->host);
        check_advise(l, "check api_url; that of an Enterprise Server is https://HOST/api/v3");
    } else {
        check_set(l, CHECK_OK, "%s%s%s%s: status %d in %" PRId64 " ms, %s%s", a->host,
                  from ? " (" : "", from ? from : "", from ? ")" : "", a->status, a->took_ms,
                  a->is_plain ? "plain http" : "certificate verified", through(a));
    }
}

void check_clock(struct check_line *l, const struct check_answer *a)
{
    int64_t off = a->at_s - a->date_s;
    char span[32];

    if (!a->status || a->date_s < 0) {
        check_set(l, CHECK_SKIPPED, "no answer with a time to compare with");
        return;
    }
    check_add_number(l, "seconds_ahead", off);
    print_span(off, span);
    if (off >= -SKEW_WARNING_S && off <= SKEW_WARNING_S) {
        check_set(l, CHECK_OK, "%s off that of %s", span, a->host);
        return;
    }
    check_set(
        l, off < -SKEW_ERROR_S || off > SKEW_ERROR_S ? CHECK_ERROR : CHECK_WARNING,
        "%s %s that of %s: certificates, signatures and the return of the quota are misjudged",
        span, off > 0 ? "ahead of" : "behind", a->host);
    check_advise(l, "set this machine's clock: `timedatectl set-ntp true`");
}

void check_quota(struct check_line *l, const struct check_answer *a, unsigned reserve,
                 bool has_token)
{
    const struct facts_quota *q = &a->quota;
    char at[32], span[32];

    if (is_without_limits(a)) {
        check_set(l, CHECK_OK, "this server has no limit on requests");
        return;
    }
    if (is_limited(a) && q->remaining != 0) {
        print_span(a->retry_after_s >= 0 ? a->retry_after_s : MINUTE, span);
        check_set(l, CHECK_ERROR, "GitHub asks for fewer requests (secondary limit, status %d)",
                  a->status);
        check_advise(l,
                     "wait %s; see what else uses this token, or use fewer -o connections=", span);
        return;
    }
    if (!is_accepted(a) || q->limit < 0 || q->remaining < 0 || q->reset_s < 0) {
        check_set(l, CHECK_SKIPPED, "the server reported no quota");
        return;
    }
    check_add_number(l, "limit", q->limit);
    check_add_number(l, "remaining", q->remaining);
    check_add_number(l, "reset", q->reset_s);
    print_time(q->reset_s, at);
    print_span(q->reset_s > a->date_s ? q->reset_s - a->date_s : 0, span);
    if (q->remaining == 0) {
        check_set(l, CHECK_ERROR, "all %" PRId64 " requests of this hour are used up until %s",
                  q->limit, at);
        check_advise(l, "%swait %s", has_token ? "" : "use a token, which has 5000 an hour; or ",
                     span);
    } else if (has_token && q->remaining < (int64_t)reserve) {
        check_set(l, CHECK_WARNING,
                  "%" PRId64 " of %" PRId64
                  " requests left until %s, which is less than reserve (%u): nothing is prefetched",
                  q->remaining, q->limit, at, reserve);
        check_advise(l, "wait %s, or use a smaller -o reserve=", span);
    } else {
        check_set(l, CHECK_OK, "%" PRId64 " of %" PRId64 " requests left, all again at %s (in %s)",
                  q->remaining, q->limit, at, span);
    }
}

/* -- The token --------------------------------------------------------------------------------- */

static const char fine_grained[] = "fine-grained personal access token (github_pat_)";

const char *check_kind_of_token(const char *token)
{
    static const struct {
        const char *start, *kind;
    } kinds[] = {{"ghp_", "classic personal access token (ghp_)"},
                 {"github_pat_", fine_grained},
                 {"gho_", "OAuth token (gho_)"},
                 {"ghu_", "user token of a GitHub App (ghu_)"},
                 {"ghs_", "installation token of a GitHub App or of a workflow (ghs_)"},
                 {"ghr_", "refresh token (ghr_)"}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (!strncmp(token, kinds[i].start, strlen(kinds[i].start)))
            return kinds[i].kind;
    if (strlen(token) == 40 && strspn(token, "0123456789abcdef") == 40)
        return "classic token of the form before 2021";
    return "token of an unknown kind";
}

static bool is_from_gh(const struct check_token *t)
{
    return t->origin && !strcmp(t->origin, "gh auth token");
}

static void advise_renewal(struct check_line *l, const struct check_token *t)
{
    if (is_from_gh(t))
        check_advise(l, "run `gh auth login -h %s`", t->host);
    else if (t->file)
        check_advise(l, "put a new token into %s; mounts read it again", t->file);
    else
        check_advise(l, "put a new token into %s, from https://%s/settings/tokens", t->origin,
                     t->host);
}

static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = list; *at; at += strcspn(at, ", ") + (at[strcspn(at, ", ")] != '\0'))
        if (strcspn(at, ", ") == len && !strncmp(at, word, len))
            return true;
    return false;
}

void check_token(struct check_line *l, const struct check_token *t, const struct check_answer *a)
{
    check_add_text(l, "source", t->origin ? t->origin : "none");
    if (t->origin)
        check_add_text(l, "kind", t->kind);
    if (t->is_unusable) {
        check_set(l, CHECK_ERROR, "%s", t->problem);
        check_advise(l, "correct it, or leave the option out");
    } else if (!t->origin) {
        check_set(l, CHECK_WARNING,
                  "none found for %s: logs in the cache can be read, and runs and jobs of public "
                  "repositories be listed%s%s",
                  t->host, t->problem[0] ? ": " : "", t->problem);
        check_advise(l, "run `gh auth login -h %s`, set %s or use -o token_file=FILE", t->host,
                     !strcmp(t->host, "github.com") ? "GH_TOKEN" : "GH_ENTERPRISE_TOKEN");
    } else if (a->status == 401) {
        check_set(l, CHECK_ERROR, "from %s, %s: GitHub refuses it: status 401%s%s", t->origin,
                  t->kind, a->message[0] ? " " : "", a->message);
        advise_renewal(l, t);
    } else if (!strncmp(t->kind, "refresh", 7)) {
        check_set(l, CHECK_ERROR, "from %s, %s: no request is answered to such a token", t->origin,
                  t->kind);
        advise_renewal(l, t);
    } else if (t->problem[0]) {
        check_set(l, CHECK_WARNING, "from %s, %s: %s", t->origin, t->kind, t->problem);
    } else {
        check_set(l, CHECK_OK, "from %s, %s%s", t->origin, t->kind,
                  is_accepted(a) ? ", accepted" : "");
    }
}

void check_scopes(struct check_line *l, const struct check_token *t, const struct check_answer *a)
{
    if (!t->origin || !is_accepted(a)) {
        check_set(l, CHECK_SKIPPED, "no token was accepted");
        return;
    }
    if (!a->has_scopes) {
        check_set(
            l, CHECK_OK,
            "none reported: such a token has permissions instead; a check of OWNER/REPO shows "
            "whether they suffice");
        return;
    }
    check_add_text(l, "scopes", a->scopes);
    if (has_word(a->scopes, "repo")) {
        check_set(l, CHECK_OK, "%s", a->scopes);
        return;
    }
    check_set(l, CHECK_WARNING, "%s: without repo no log of a private repository can be read",
              a->scopes[0] ? a->scopes : "none");
    if (is_from_gh(t))
        check_advise(l, "run `gh auth refresh -h %s -s repo`", t->host);
    else
        check_advise(l, "give the token the scope repo at https://%s/settings/tokens", t->host);
}

/* "2026-12-01 10:00:00 UTC" or "... +0100" */
static bool parse_expiration(const char *text, int64_t *ret_s)
{
    char rfc[40];
    int64_t ms;

    if (strlen(text) == 23 && !strcmp(text + 19, " UTC"))
        snprintf(rfc, sizeof(rfc), "%.10sT%.8sZ", text, text + 11);
    else if (strlen(text) == 25 && text[19] == ' ')
        snprintf(rfc, sizeof(rfc), "%.10sT%.8s%.3s:%.2s", text, text + 11, text + 20, text + 23);
    else
        return false;
    if (text[10] != ' ' || parse_time(rfc, &ms) < 0)
        return false;
    *ret_s = ms / 1000;
    return true;
}

void check_expiry(struct check_line *l, const struct check_token *t, const struct check_answer *a)
{
    char at[32], span[32];
    int64_t expires_s;

    if (!t->origin || !a->status) {
        check_set(l, CHECK_SKIPPED, "no token, or no answer about it");
        return;
    }
    if (!a->expiration[0]) {
        check_set(l, a->status == 401 ? CHECK_SKIPPED : CHECK_OK, "GitHub reports none");
        return;
    }
    check_add_text(l, "expires", a->expiration);
    if (!parse_expiration(a->expiration, &expires_s)) {
        check_set(l, CHECK_OK, "%s", a->expiration);
        return;
    }
    print_time(expires_s, at);
    print_span(expires_s - a->at_s, span);
    if (expires_s <= a->at_s)
        check_set(l, CHECK_ERROR, "the token has expired: %s, %s ago", at, span);
    else if (expires_s - a->at_s < SOON_S)
        check_set(l, CHECK_WARNING, "the token expires %s, in %s", at, span);
    else
        check_set(l, CHECK_OK, "%s, in %s", at, span);
    if (l->state != CHECK_OK)
        advise_renewal(l, t);
}

/* -- A repository ------------------------------------------------------------------------------ */

/* What to do about a 403 or 404, as far as it shows. */
static void advise_permission(struct check_line *l, const struct check_token *t,
                              const struct check_answer *first, const struct check_answer *a)
{
    if (!t->origin)
        check_advise(
            l, "logs need a token, those of public repositories too: run `gh auth login -h %s`",
            t->host);
    else if (a->wants_sso)
        check_advise(l,
                     "the organization demands single sign-on: authorize the token for it at "
                     "https://%s/settings/tokens (Configure SSO)",
                     t->host);
    else if (a->permissions[0])
        check_advise(l, "the token needs the permission %s for this repository", a->permissions);
    else if (first->has_scopes && !has_word(first->scopes, "repo"))
        check_advise(
            l, "check the spelling; if the repository is private, the token needs the scope repo");
    else if (t->kind == fine_grained || !first->has_scopes)
        check_advise(
            l, "check the spelling; the token needs access to this repository, with the permission "
               "Actions: read");
    else
        check_advise(l, "check the spelling, and that the token's user may read the repository");
}

static void judge_refusal(struct check_line *l, const char *what, const struct check_token *t,
                          const struct check_answer *first, const struct check_answer *a)
{
    check_set(l, CHECK_ERROR, "%s: status %d%s%s", what, a->status, a->message[0] ? " " : "",
              a->message);
    if (is_limited(a))
        check_advise(l, "see the line quota");
    else if (a->status == 401)
        check_advise(l, "see the line token");
    else if (a->status == 403 || a->status == 404)
        advise_permission(l, t, first, a);
    else if (a->status >= 500)
        check_advise(l, "try again later; see " STATUS_PAGE);
    else
        check_advise(l, "see the line api");
}

bool check_repository(struct check_line *l, const char *repo, const struct check_token *t,
                      const struct check_answer *first, const struct check_answer *a)
{
    if (!judge_reach(l, a))
        return false;
    if (a->status != 200) {
        judge_refusal(l, repo, t, first, a);
        return false;
    }
    if (!a->is_right) {
        check_set(l, CHECK_ERROR, "%s: the answer is not a list of runs or jobs", repo);
        check_advise(l, "try again; if it stays so, report it with the output of --version");
        return false;
    }
    return true;
}

bool check_is_worth_another(const struct check_answer *api, const struct check_answer *storage)
{
    return api->status == 404 || api->status == 410 ||
           (api->status == 302 && storage->status == 404);
}

static void judge_storage(struct check_line *l, const char *what, const struct check_answer *a)
{
    bool is_success = a->status == 200 || a->status == 206 || a->status == 416;

    if (is_success && a->is_right) {
        check_set(l, CHECK_OK, "%s: status %d in %" PRId64 " ms, %s%s", a->host, a->status,
                  a->took_ms, a->is_plain ? "plain http" : "certificate verified", through(a));
    } else if (a->status < 400 || is_success) {
        check_set(l, CHECK_ERROR,
                  "%s: answers with %s, status %d, in place of the %s: a proxy's page?", a->host,
                  a->type[0] ? a->type : "something else", a->status, what);
        check_advise(l, "have the proxy let HTTPS to this host through (GitHub's hosts are "
                        "*.blob.core.windows.net and *.actions.githubusercontent.com)");
    } else if (a->status == 404) {
        check_set(l, CHECK_WARNING, "%s: reached, but the %s is not there: status 404%s%s", a->host,
                  what, a->code[0] ? " " : "", a->code);
        check_advise(l, "name a repository with newer runs");
    } else if (a->status >= 500) {
        check_set(l, CHECK_ERROR, "%s: fails with status %d", a->host, a->status);
        check_advise(l, "try again later; see " STATUS_PAGE);
    } else {
        check_set(l, CHECK_ERROR, "%s: refuses the signed URL: status %d%s%s", a->host, a->status,
                  a->code[0] ? " " : "", a->code);
        check_advise(l,
                     "see the line clock; a proxy that rewrites URLs or adds headers breaks their "
                     "signature");
    }
}

void check_bytes(struct check_line *l, const char *what, const struct check_token *t,
                 const struct check_answer *api, const struct check_answer *storage)
{
    char name[64];

    if (!judge_reach(l, api))
        return;
    snprintf(name, sizeof(name), "the API, asked for the %s", what);
    if (api->status == 410 || api->status == 404) {
        check_set(l, CHECK_WARNING, "%s: status %d: it has expired or is gone", name, api->status);
        check_advise(l, "name a repository with newer runs");
    } else if (api->status != 302) {
        judge_refusal(l, name, t, api, api);
    } else if (!storage->host[0]) {
        check_set(l, CHECK_ERROR, "%s redirects to a place that is not allowed%s%s", name,
                  api->detail[0] ? ": " : "", api->detail);
        check_advise(
            l, "something between here and GitHub changes its answers; or the server's storage is "
               "set up with an address that is not for its users");
    } else {
        check_add_text(l, "host", storage->host);
        check_add_number(l, "status", storage->status);
        if (judge_reach(l, storage))
            judge_storage(l, what, storage);
    }
}

/* -- The shared store -------------------------------------------------------------------------- */

static void judge_store(struct check_line *l, const struct check_shared *s,
                        const struct check_answer *a)
{
    const char *key = s->key_origin ? s->key_origin : "no key";
    bool is_hidden = s->is_s3 && a->status == 403 && !strcmp(a->code, "AccessDenied");

    if (a->status == 404 && strcmp(a->code, "NoSuchBucket") != 0) {
        check_set(l, CHECK_OK, "%s: may be read (%s): an object that does not exist is 404", s->url,
                  key);
    } else if (is_hidden && s->key_origin) {
        check_set(
            l, CHECK_WARNING,
            "%s: status 403 AccessDenied for an object that does not exist: the key (%s) may not "
            "list, which does no harm, or may not read",
            s->url, key);
        check_advise(
            l,
            "allow s3:ListBucket to tell the two apart, or see shared_hits in .ghlogfs/stats of a "
            "mount");
    } else if (a->status == 401 || a->status == 403) {
        check_set(l, CHECK_ERROR, "%s: refuses (%s): status %d%s%s", s->url, key, a->status,
                  a->code[0] ? " " : "", a->code);
        check_advise(l, strcmp(a->code, "RequestTimeTooSkewed") == 0
                            ? "set this machine's clock: `timedatectl set-ntp true`"
                        : s->key_origin ? "check the key, and that it may read there"
                                        : "give a key with -o shared_key_file=FILE");
    } else if (a->status == 404) {
        check_set(l, CHECK_ERROR, "%s: there is no such bucket", s->url);
        check_advise(l, "check the bucket, and the endpoint, in -o shared=");
    } else if (a->status >= 300 && a->status <= 399) {
        check_set(l, CHECK_ERROR, "%s: redirects, status %d%s%s", s->url, a->status,
                  a->code[0] ? " " : "", a->code);
        check_advise(l, "check the region, and the endpoint, in -o shared=");
    } else if (a->status >= 500) {
        check_set(l, CHECK_ERROR, "%s: fails with status %d%s%s", s->url, a->status,
                  a->code[0] ? " " : "", a->code);
        check_advise(l, "see the server's own log; mounts go on without it");
    } else {
        check_set(l, CHECK_ERROR,
                  "%s: answers with %s, status %d, for an object that does not exist", s->url,
                  a->type[0] ? a->type : "something", a->status);
        check_advise(l, "check the address in -o shared=; a proxy may answer for the server");
    }
}

void check_shared(struct check_line *l, const struct check_shared *s, const struct check_answer *a)
{
    int64_t off = a->at_s - a->date_s;
    char span[32];

    check_add_text(l, "url", s->url);
    check_add_text(l, "key", s->key_origin ? s->key_origin : "none");
    if (s->is_unusable) {
        check_set(l, CHECK_ERROR, "%s: %s", s->url, s->problem);
        check_advise(l, "correct it, or leave the option out");
        return;
    }
    check_add_number(l, "status", a->status);
    if (!judge_reach(l, a)) {
        if (a->err == -ETIMEDOUT)
            check_advise(
                l, "see that its server runs, and what stands between; mounts go on without it");
        return;
    }
    judge_store(l, s, a);
    if (a->date_s >= 0)
        check_add_number(l, "seconds_ahead", off);
    if (l->state == CHECK_OK && s->is_s3 && a->date_s >= 0 &&
        (off > SKEW_WARNING_S || off < -SKEW_WARNING_S)) {
        print_span(off, span);
        check_set(l, CHECK_WARNING,
                  "%s: this machine's clock is %s %s the server's; with %d minutes signatures are "
                  "refused",
                  s->url, span, off > 0 ? "ahead of" : "behind", SKEW_SIGNED_S / MINUTE);
        check_advise(l, "set the clock: `timedatectl set-ntp true`");
    } else if (l->state == CHECK_OK && s->problem[0]) {
        check_set(l, CHECK_WARNING, "%s: %s", s->url, s->problem);
    }
}
