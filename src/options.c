#include "options.h"

#include "name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define DAY 86400
#define HELP_COLUMN 24

enum kind {
    FLAG,   /* bool, takes no value */
    CLEAR,  /* the opposite of a FLAG, on the same bool */
    NUMBER, /* unsigned */
    SIZE,   /* uint64_t, in bytes */
    TEXT,   /* char * */
    PATH,   /* char *, made absolute */
};

/* Where the help shows an option. Those of MOUNT are not ours: libfuse gets them. */
enum section { GITHUB, CACHE, SHOWN, MOUNT, SECTIONS, NOWHERE };

struct rule {
    const char *name;
    enum kind kind;
    enum section section;
    size_t at;                    /* offset in struct options */
    uint64_t least, most, preset; /* of a NUMBER or SIZE; preset 0: depends on other options */
    const char *value;            /* what the help calls the value; NULL: takes none */
    const char *help; /* one line; the range and the preset of a number are added to it */
};

#define AT(member) offsetof(struct options, member)

/* The one list of options: reading, checking, help and description follow it, in its order. */
static const struct rule rules[] = {
    {"api_url", TEXT, GITHUB, AT(api_url), .value = "URL",
     .help = "base of the API (else HOST, GITHUB_API_URL, GH_HOST)"},
    {"token_file", PATH, GITHUB, AT(token_file), .value = "FILE",
     .help = "file with the token, see below"},
    {"ca_file", PATH, GITHUB, AT(ca_file), .value = "FILE",
     .help = "certificate authorities (else SSL_CERT_FILE)"},
    {"proxy", TEXT, GITHUB, AT(proxy), .value = "URL",
     .help = "proxy, empty for none (else HTTPS_PROXY)"},
    {"no_proxy", TEXT, GITHUB, AT(no_proxy), .value = "HOSTS",
     .help = "hosts reached without it (else NO_PROXY)"},
    {"connections", NUMBER, GITHUB, AT(connections), 1, 100, 32, "N", "transfers at once"},
    {"reserve", NUMBER, GITHUB, AT(reserve), 0, 1000000, 500, "N", "API requests left to readers"},
    {"wait", NUMBER, GITHUB, AT(wait), 0, DAY, 60, "SEC", "longest wait for quota"},
    {"timeout", NUMBER, GITHUB, AT(timeout), 1, 3600, 30, "SEC",
     "limit to connect, or below 1 KiB/s"},
    {"deadline", NUMBER, GITHUB, AT(deadline), 1, 7 * DAY, 0, "SEC",
     "longest wait without progress (wait + 2 x timeout)"},
    {"cache_dir", PATH, CACHE, AT(cache_dir), .value = "DIR",
     .help = "where logs are kept ($XDG_CACHE_HOME/ghlogfs)"},
    {"cache_size", SIZE, CACHE, AT(cache_size), 64 << 10, INT64_MAX, UINT64_C(4) << 30, "SIZE",
     "how much is kept there"},
    {"no_cache", FLAG, CACHE, AT(no_cache), .help = "keep nothing on disk"},
    {"memory", SIZE, CACHE, AT(memory), 64 << 10, INT64_MAX, 256 << 20, "SIZE",
     "logs in memory, with no_cache or a full disk"},
    {"offline", FLAG, CACHE, AT(offline), .help = "only what is cached, no request at all"},
    {"shared", TEXT, CACHE, AT(shared), .value = "URL",
     .help = "shared store: s3://BUCKET/PREFIX, https://HOST/PATH"},
    {"shared_write", FLAG, CACHE, AT(shared_write),
     .help = "also store there what is fetched from GitHub"},
    {"shared_key_file", PATH, CACHE, AT(shared_key_file), .value = "FILE",
     .help = "its key (else AWS_ACCESS_KEY_ID, ...)"},
    {"shared_verify", NUMBER, CACHE, AT(shared_verify), 0, 100, 1, "PERCENT",
     "logs from there compared with GitHub's"},
    {"shared_trust", TEXT, CACHE, AT(shared_trust), .value = "bucket",
     .help = "show what GitHub no longer knows, too"},
    {"runs", NUMBER, SHOWN, AT(runs), 1, 1000, 30, "N", "runs in a listing"},
    {"fresh", NUMBER, SHOWN, AT(fresh), 0, DAY, 30, "SEC", "age at which a listing is refreshed"},
    {"prefetch", NUMBER, SHOWN, AT(prefetch), 0, 100, 32, "N",
     "logs prefetched for a recursive reader"},
    {"archive_jobs", NUMBER, SHOWN, AT(archive_jobs), 0, 1000, 3, "N",
     "logs of a run that are worth its archive"},
    {"timestamps", FLAG, SHOWN, AT(timestamps), .help = "keep timestamps in cleaned text"},
    {"foreground", FLAG, NOWHERE, AT(foreground), .help = NULL},
    {"debug", FLAG, NOWHERE, AT(debug), .help = NULL},
    {"allow_other", FLAG, MOUNT, AT(allow_other), .help = "let other users in"},
    {"allow_root", FLAG, MOUNT, AT(allow_root), .help = "let root in, and no other user"},
    {"auto_unmount", FLAG, MOUNT, AT(auto_unmount), .help = "unmount when the process ends"},
    {"noexec", FLAG, MOUNT, AT(noexec), .help = "programs cannot be run from it"},
    {"exec", CLEAR, MOUNT, AT(noexec), .help = "the opposite of noexec"},
    {"noatime", FLAG, MOUNT, AT(noatime), .help = "access times do not change"},
    {"atime", CLEAR, MOUNT, AT(noatime), .help = "the opposite of noatime"},
    {"fsname", TEXT, MOUNT, AT(fsname), .value = "NAME", .help = "the source that mount(8) shows"},
    {"subtype", TEXT, MOUNT, AT(subtype), .value = "NAME", .help = "the type that mount(8) shows"},
};

#define RULES (sizeof rules / sizeof *rules)

/* One command line being read. */
struct reader {
    struct options *options;
    char *const *env;
    const char *host; /* as typed; NULL: not given */
    const char *positional[2];
    int positionals;
    char *message;
    size_t message_cap;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct reader *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(r->message, r->message_cap, format, args);
    va_end(args);
    /* It may repeat what was typed, and must be one line. */
    for (size_t i = 0; i < r->message_cap && r->message[i] != '\0'; i++) {
        if ((unsigned char)r->message[i] < 0x20 || r->message[i] == 0x7f)
            r->message[i] = '?';
    }
    return -EINVAL;
}

static int refuse_errno(struct reader *r, const char *what, int error)
{
    refuse(r, "cannot use %s: %s", what, strerror(-error));
    return error;
}

static void *member(const struct options *options, const struct rule *rule)
{
    return (char *)(uintptr_t)options + rule->at;
}

static const struct rule *rule_find(const char *name)
{
    for (size_t i = 0; i < RULES; i++) {
        if (strcmp(rules[i].name, name) == 0)
            return &rules[i];
    }
    return NULL;
}

/* ---- values ---- */

const char *options_environment(char *const *env, const char *name)
{
    size_t length = strlen(name);

    for (; *env != NULL; env++) {
        if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
            return (*env)[length + 1] != '\0' ? *env + length + 1 : NULL;
    }
    return NULL;
}

/* No control characters: the text can be shown in one line. */
static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

/* Digits, and for a SIZE at most one of K, M, G in either case (powers of 1024). False: anything
 * else, or out of the rule's range. */
static bool parse_number(const struct rule *rule, const char *text, uint64_t *ret_number)
{
    static const char units[] = "KkMmGg";
    size_t digits = strspn(text, "0123456789");
    uint64_t value;

    if (!name_parse_number(text, digits, UINT64_MAX, &value))
        return false;
    if (text[digits] != '\0') {
        const char *unit = strchr(units, text[digits]);

        if (rule->kind != SIZE || unit == NULL || text[digits + 1] != '\0' ||
            __builtin_mul_overflow(value, UINT64_C(1024) << (unit - units) / 2 * 10, &value))
            return false;
    }
    if (value < rule->least || value > rule->most)
        return false;
    *ret_number = value;
    return true;
}

/* 0 or negative errno. */
static int make_absolute(const char *path, char **ret_absolute)
{
    char *directory;
    int length;

    if (path[0] == '/') {
        *ret_absolute = strdup(path);
        return *ret_absolute != NULL ? 0 : -ENOMEM;
    }
    directory = getcwd(NULL, 0);
    if (directory == NULL)
        return -errno;
    length = asprintf(ret_absolute, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, path);
    free(directory);
    if (length >= 0)
        return 0;
    *ret_absolute = NULL; /* asprintf may have left anything there */
    return -ENOMEM;
}

/* An empty value means something to proxy only. */
static int set_text(struct reader *r, const struct rule *rule, const char *value)
{
    char **text = member(r->options, rule);
    char *copy = NULL;
    int rc = 0;

    if (!is_plain(value))
        return refuse(r, "%s: must not hold control characters", rule->name);
    if (value[0] == '\0' && rule->at != AT(proxy))
        return refuse(r, "%s: needs a value (%s=%s)", rule->name, rule->name, rule->value);
    if (rule->kind == PATH)
        rc = make_absolute(value, &copy);
    else if ((copy = strdup(value)) == NULL)
        rc = -ENOMEM;
    if (rc < 0)
        return refuse_errno(r, rule->name, rc);
    free(*text);
    *text = copy;
    return 0;
}

static int set_option(struct reader *r, const struct rule *rule, const char *value)
{
    bool takes_value = rule->kind != FLAG && rule->kind != CLEAR;
    uint64_t number;

    if (takes_value && value == NULL)
        return refuse(r, "%s: needs a value (%s=%s)", rule->name, rule->name, rule->value);
    if (!takes_value && value != NULL)
        return refuse(r, "%s: takes no value", rule->name);
    switch (rule->kind) {
    case FLAG:
    case CLEAR: *(bool *)member(r->options, rule) = rule->kind == FLAG; return 0;
    case NUMBER:
        if (!parse_number(rule, value, &number))
            return refuse(r, "%s=%.32s: must be a whole number from %" PRIu64 " to %" PRIu64,
                          rule->name, value, rule->least, rule->most);
        *(unsigned *)member(r->options, rule) = (unsigned)number;
        return 0;
    case SIZE:
        if (!parse_number(rule, value, &number))
            return refuse(r, "%s=%.32s: must be a size such as 512M or 4G, at least %" PRIu64 "K",
                          rule->name, value, rule->least / 1024);
        *(uint64_t *)member(r->options, rule) = number;
        return 0;
    case TEXT:
    case PATH: break;
    }
    return set_text(r, rule, value);
}

/* ---- the command line ---- */

/* Repeats the name only: what follows it may be a secret. */
static int refuse_unknown(struct reader *r, const char *dashes, const char *name)
{
    if (strcmp(name, "token") == 0)
        return refuse(r,
                      "%stoken: a token on the command line can be read by everyone; "
                      "use token_file or the environment",
                      dashes);
    return refuse(r, "unknown option %s%.64s", dashes, name);
}

/* Words that mount(8) and fstab use themselves or pass to any file system, and words without a
 * meaning on one that is read-only and has files and links only: they are ignored. `rw` is among
 * them since mount(8) adds it wherever `ro` is not given. */
static bool is_fstab_word(const char *word)
{
    static const char *const words[] = {"ro",          "rw",
                                        "defaults",    "auto",
                                        "noauto",      "user",
                                        "nouser",      "users",
                                        "nousers",     "owner",
                                        "noowner",     "group",
                                        "nogroup",     "nofail",
                                        "fail",        "_netdev",
                                        "_rnetdev",    "dev",
                                        "suid",        "nodev",
                                        "nosuid",      "sync",
                                        "async",       "dirsync",
                                        "relatime",    "norelatime",
                                        "strictatime", "nostrictatime",
                                        "lazytime",    "nolazytime",
                                        "mand",        "nomand",
                                        "iversion",    "noiversion",
                                        "silent",      "loud",
                                        "symfollow",   "default_permissions",
                                        "diratime",    "nodiratime"};
    static const char *const prefixes[] = {"x-", "X-", "comment=", "user=", "uhelper=", "helper="};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(word, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

/* Words with commas between. A backslash makes the character after it ordinary, as in libfuse. */
static int read_list(struct reader *r, const char *list)
{
    char *copy = strdup(list), *in = copy;
    int rc = 0;

    if (copy == NULL)
        return refuse_errno(r, "-o", -ENOMEM);
    while (rc == 0 && *in != '\0') {
        char *word = in, *out = in, *value;
        const struct rule *rule;

        for (; *in != '\0' && *in != ','; in++) {
            if (*in == '\\' && in[1] != '\0')
                in++;
            *out++ = *in;
        }
        if (*in == ',')
            in++;
        *out = '\0';
        if (word[0] == '\0' || is_fstab_word(word))
            continue;
        value = strchr(word, '=');
        if (value != NULL)
            *value++ = '\0';
        rule = rule_find(word);
        rc = rule != NULL ? set_option(r, rule, value) : refuse_unknown(r, "-o ", word);
    }
    free(copy);
    return rc;
}

/* What the program does instead of mounting, and how: on the command line only, without a value. */
static bool *command_find(struct options *o, const char *name)
{
    const struct {
        const char *name;
        bool *at;
    } commands[] = {{"help", &o->help},
                    {"version", &o->version},
                    {"check", &o->check},
                    {"repair", &o->repair},
                    {"json", &o->json}};

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].at;
    }
    return NULL;
}

/* --name, --name=value or --name value, dashes as good as underscores in the name. `next` is the
 * argument after it, NULL at the end; returns how many arguments were used. */
static int read_long(struct reader *r, const char *text, const char *next)
{
    size_t length = strcspn(text, "=");
    const char *value = text[length] == '=' ? text + length + 1 : NULL;
    const struct rule *rule;
    bool *command;
    char name[65];
    int used = 1, rc;

    snprintf(name, sizeof name, "%.*s", (int)(length < 64 ? length : 64), text);
    for (char *p = name; *p != '\0'; p++)
        *p = *p == '-' ? '_' : *p;
    if (value == NULL && (command = command_find(r->options, name)) != NULL)
        *command = true;
    else if ((rule = rule_find(name)) == NULL)
        return refuse_unknown(r, "--", name);
    else {
        if (value == NULL && rule->value != NULL && next != NULL) {
            value = next;
            used = 2;
        }
        rc = set_option(r, rule, value);
        if (rc < 0)
            return rc;
    }
    return used;
}

/* -f, -d, -h, -V, several of them, -oLIST or -o LIST; returns how many arguments were used. */
static int read_short(struct reader *r, const char *text, const char *next)
{
    int rc;

    for (; *text != '\0'; text++) {
        switch (*text) {
        case 'f': r->options->foreground = true; break;
        case 'd': r->options->debug = true; break;
        case 'h': r->options->help = true; break;
        case 'V': r->options->version = true; break;
        case 'o':
            if (text[1] == '\0' && next == NULL)
                return refuse(r, "-o: needs a value (-o NAME=VALUE,...)");
            rc = read_list(r, text[1] != '\0' ? text + 1 : next);
            return rc < 0 ? rc : (text[1] != '\0' ? 1 : 2);
        default: return refuse(r, "unknown option -%c", *text);
        }
    }
    return 1;
}

static int read_arguments(struct reader *r, int argc, char *const *argv)
{
    bool only_positionals = false;

    for (int i = 1, used; i < argc; i += used) {
        const char *text = argv[i];
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;

        if (only_positionals || text[0] != '-' || text[1] == '\0') {
            if (r->positionals == 2)
                return refuse(r, "one argument too many: %.64s (%s)", text,
                              r->options->check ? "only HOST and OWNER/REPO"
                                                : "only HOST and MOUNTPOINT");
            r->positional[r->positionals++] = text;
            used = 1;
        } else if (strcmp(text, "--") == 0) {
            only_positionals = true;
            used = 1;
        } else if (text[1] == '-') {
            used = read_long(r, text + 2, next);
        } else {
            used = read_short(r, text + 1, next);
        }
        if (used < 0)
            return used;
    }
    return 0;
}

static int resolve_positionals(struct reader *r)
{
    const char *mountpoint;
    int rc;

    if (r->positionals == 0)
        return refuse(r, "MOUNTPOINT is missing");
    mountpoint = r->positional[r->positionals - 1];
    if (mountpoint[0] == '\0' || !is_plain(mountpoint))
        return refuse(r, "MOUNTPOINT must not be empty or hold control characters");
    /* fstab may leave the source empty. */
    if (r->positionals == 2 && r->positional[0][0] != '\0')
        r->host = r->positional[0];
    rc = make_absolute(mountpoint, &r->options->mountpoint);
    return rc < 0 ? refuse_errno(r, "MOUNTPOINT", rc) : 0;
}

/* [HOST] [OWNER/REPO]: only the latter has a slash. */
static int resolve_check_positionals(struct reader *r)
{
    struct repo_name *repo = &r->options->check_repo;
    const char *last = r->positionals > 0 ? r->positional[r->positionals - 1] : "";
    const char *slash = strchr(last, '/');
    int owner = slash != NULL ? (int)(slash - last) : 0;

    if (r->positionals == 2 || (r->positionals == 1 && slash == NULL))
        r->host = r->positional[0];
    if (r->positionals < 2 && slash == NULL)
        return 0;
    snprintf(repo->owner, sizeof repo->owner, "%.*s", owner, last);
    snprintf(repo->repo, sizeof repo->repo, "%s", slash != NULL ? slash + 1 : "");
    if (owner > NAME_PART_MAX || strlen(last) > (size_t)owner + 1 + NAME_PART_MAX ||
        !name_is_owner(repo->owner) || !name_is_repo(repo->repo))
        return refuse(r, "%.64s is no repository's name (OWNER/REPO)", last);
    return 0;
}

/* api_url, else HOST, else the environment, else github.com. */
static int resolve_api(struct reader *r)
{
    const char *url_variable = options_environment(r->env, "GITHUB_API_URL");
    const char *host_variable = options_environment(r->env, "GH_HOST");
    struct options_api *api = &r->options->api;
    const char *reason = NULL, *source;
    int rc;

    if (r->options->api_url != NULL) {
        r->options->api_from = "api_url";
        source = "api_url";
        rc = options_api_from_url(api, r->options->api_url, &reason);
    } else if (r->host != NULL) {
        r->options->api_from = "HOST";
        source = "HOST";
        rc = options_api_from_host(api, r->host, &reason);
    } else if (url_variable != NULL) {
        r->options->api_from = "GITHUB_API_URL";
        source = "GITHUB_API_URL in the environment";
        rc = options_api_from_url(api, url_variable, &reason);
    } else {
        r->options->api_from = host_variable ? "GH_HOST" : NULL;
        source = "GH_HOST in the environment";
        rc = options_api_from_host(api, host_variable ? host_variable : "github.com", &reason);
    }
    return rc < 0 ? refuse(r, "%s %s", source, reason) : 0;
}

static int resolve_cache_dir(struct reader *r)
{
    const char *cache_home = options_environment(r->env, "XDG_CACHE_HOME");
    const char *home = options_environment(r->env, "HOME");
    char *path;
    int length;

    if (r->options->cache_dir != NULL)
        return 0;
    if (cache_home != NULL && cache_home[0] == '/')
        length = asprintf(&path, "%s/ghlogfs", cache_home);
    else if (home != NULL && home[0] == '/')
        length = asprintf(&path, "%s/.cache/ghlogfs", home);
    else
        length = asprintf(&path, "/var/cache/ghlogfs");
    if (length < 0)
        return refuse_errno(r, "cache_dir", -ENOMEM);
    r->options->cache_dir = path;
    return 0;
}

/* Why it can be no proxy, to read after its name; NULL: it can be one. */
static const char *check_proxy(const char *proxy)
{
    static const char *const schemes[] = {"http",    "https",  "socks4",
                                          "socks4a", "socks5", "socks5h"};
    const char *rest = strstr(proxy, "://");
    const char *host = rest != NULL ? rest + 3 : proxy;
    const char *at = strrchr(host, '@');

    if (at != NULL)
        host = at + 1;
    if (strchr(proxy, ' ') != NULL || strcspn(host, "/:?#") == 0)
        return "must be a URL such as http://HOST:PORT";
    if (rest == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (strlen(schemes[i]) == (size_t)(rest - proxy) &&
            strncasecmp(proxy, schemes[i], strlen(schemes[i])) == 0)
            return NULL;
    }
    return "must begin with http://, https:// or socks5://";
}

/* Where an option was not given, the first of these variables that has a value is its default, and
 * is checked like the option. */
static int set_default(struct reader *r, const char *name, const char *const *variables,
                       const char **ret_from)
{
    const struct rule *rule = rule_find(name);
    const char *value = NULL;

    if (*(char **)member(r->options, rule) != NULL) {
        *ret_from = rule->name;
        return 0;
    }
    for (; value == NULL && *variables != NULL; variables++) {
        value = options_environment(r->env, *variables);
        if (value != NULL)
            *ret_from = *variables;
    }
    return value != NULL ? set_text(r, rule, value) : 0;
}

/*
 * The environment is read here, once: libcurl must not read it while another thread may change it.
 * The variables are those that curl would read, in its order: an http API does not use the proxy
 * meant for https, and HTTP_PROXY in capitals may come from a request to a CGI program.
 */
static int resolve_network(struct reader *r)
{
    static const char *const ca_file[] = {"SSL_CERT_FILE", NULL};
    static const char *const https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                        NULL};
    static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const no_proxy[] = {"no_proxy", "NO_PROXY", NULL};
    struct options *o = r->options;
    const char *reason, *ignored;
    int rc = set_default(r, "ca_file", ca_file, &o->ca_file_from);

    if (rc == 0)
        rc = set_default(r, "proxy", strcmp(o->api.scheme, "https") == 0 ? https : http,
                         &o->proxy_from);
    if (rc == 0)
        rc = set_default(r, "no_proxy", no_proxy, &ignored);
    if (rc < 0 || o->proxy == NULL)
        return rc;
    if (o->proxy[0] == '\0') {
        free(o->proxy);
        o->proxy = NULL;
        return 0;
    }
    reason = check_proxy(o->proxy);
    return reason != NULL ? refuse(r, "proxy %s", reason) : 0;
}

static int resolve_shared(struct reader *r)
{
    struct options *o = r->options;
    const char *reason;

    if (o->shared_trust != NULL && strcmp(o->shared_trust, "bucket") != 0)
        return refuse(r, "shared_trust: must be bucket");
    if (o->shared == NULL && o->shared_trust != NULL)
        return refuse(r, "shared_trust needs the option shared");
    if (o->shared == NULL && o->shared_key_file != NULL)
        return refuse(r, "shared_key_file needs the option shared");
    if (o->shared == NULL && o->shared_write)
        return refuse(r, "shared_write needs the option shared");
    if (o->shared_write && o->no_cache)
        return refuse(r, "shared_write and no_cache exclude each other: logs are sent from the "
                         "cache");
    if (o->shared != NULL && shared_location_parse(o->shared, &o->shared_location, &reason) < 0)
        return refuse(r, "shared %s", reason);
    return 0;
}

/* Ends a stream on memory; NULL: no memory. */
static char *close_text(FILE *out, char **text)
{
    bool failed = ferror(out) != 0;

    if (fclose(out) == 0 && !failed)
        return *text;
    free(*text);
    return NULL;
}

static void write_word(FILE *out, const char *name, const char *value)
{
    fprintf(out, ",%s=", name);
    for (; *value != '\0'; value++) {
        if (*value == ',' || *value == '\\')
            fputc('\\', out);
        fputc(*value, out);
    }
}

/* What libfuse gets, as one list; NULL: no memory. nosuid and nodev are always added, since a mount
 * of root's need not have them. */
static char *make_mount_words(const struct reader *r)
{
    const struct options *o = r->options;
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (out == NULL)
        return NULL;
    fputs("ro,default_permissions,nosuid,nodev", out);
    for (size_t i = 0; i < RULES; i++) {
        if (rules[i].section == MOUNT && rules[i].kind == FLAG && *(bool *)member(o, &rules[i]))
            fprintf(out, ",%s", rules[i].name);
    }
    /* The source as fstab has it, so that umount and findmnt find the line again. */
    write_word(out, "fsname", o->fsname ? o->fsname : r->host ? r->host : o->api.web_host);
    write_word(out, "subtype", o->subtype ? o->subtype : "ghlogfs");
    return close_text(out, &text);
}

static int resolve(struct reader *r)
{
    struct options *o = r->options;
    int rc;

    if (!o->check && (o->repair || o->json))
        return refuse(r, "--%s needs --check", o->repair ? "repair" : "json");
    rc = o->check ? resolve_check_positionals(r) : resolve_positionals(r);
    if (rc == 0)
        rc = resolve_api(r);
    if (rc == 0)
        rc = resolve_cache_dir(r);
    if (rc == 0)
        rc = resolve_network(r);
    if (rc == 0)
        rc = resolve_shared(r);
    if (rc < 0)
        return rc;
    if (o->allow_other && o->allow_root)
        return refuse(r, "allow_other and allow_root exclude each other: give one of them");
    o->mount_argc = OPTIONS_MOUNT_ARGS;
    o->mount_argv[0] = strdup("ghlogfs");
    o->mount_argv[1] = strdup("-o");
    o->mount_argv[2] = make_mount_words(r);
    if (o->mount_argv[0] == NULL || o->mount_argv[1] == NULL || o->mount_argv[2] == NULL)
        return refuse_errno(r, "mount options", -ENOMEM);
    if (o->deadline == 0)
        o->deadline = o->wait + 2 * o->timeout;
    o->foreground = o->foreground || o->debug;
    return 0;
}

int options_parse(struct options *options, int argc, char *const *argv, char *const *env,
                  char *message, size_t message_cap)
{
    struct options parsed = {.token_origin = "none"};
    struct reader r = {
        .options = &parsed, .env = env, .message = message, .message_cap = message_cap};
    int rc;

    for (size_t i = 0; i < RULES; i++) {
        if (rules[i].kind == NUMBER)
            *(unsigned *)member(&parsed, &rules[i]) = (unsigned)rules[i].preset;
        else if (rules[i].kind == SIZE)
            *(uint64_t *)member(&parsed, &rules[i]) = rules[i].preset;
    }
    rc = read_arguments(&r, argc, argv);
    if (rc == 0 && !parsed.help && !parsed.version)
        rc = resolve(&r);
    if (rc < 0) {
        options_finish(&parsed);
        return rc;
    }
    *options = parsed;
    return 0;
}

void options_forget_token(struct options *options)
{
    explicit_bzero(options->token, sizeof options->token);
    shared_credentials_finish(&options->shared_key);
}

void options_finish(struct options *options)
{
    options_forget_token(options);
    for (size_t i = 0; i < RULES; i++) {
        if (rules[i].kind == TEXT || rules[i].kind == PATH)
            free(*(char **)member(options, &rules[i]));
    }
    for (size_t i = 0; i < OPTIONS_MOUNT_ARGS; i++)
        free(options->mount_argv[i]);
    free(options->mountpoint);
    memset(options, 0, sizeof *options);
}

/* ---- help and description ---- */

static void write_help(FILE *out, const struct rule *rule)
{
    int width = fprintf(out, "  %s%s%s", rule->name, rule->value ? "=" : "",
                        rule->value ? rule->value : "");

    fprintf(out, "%*s%s", HELP_COLUMN - width, "", rule->help);
    if (rule->kind == NUMBER && rule->preset != 0)
        fprintf(out, ", %" PRIu64 " to %" PRIu64 " (%" PRIu64 ")", rule->least, rule->most,
                rule->preset);
    else if (rule->kind == SIZE && rule->preset >= 1 << 30)
        fprintf(out, " (%" PRIu64 "G)", rule->preset >> 30);
    else if (rule->kind == SIZE)
        fprintf(out, " (%" PRIu64 "M)", rule->preset >> 20);
    fputc('\n', out);
}

char *options_make_help(void)
{
    static const char *const titles[SECTIONS] = {"GitHub", "Cache", "What is shown", "Mount"};
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (out == NULL)
        return NULL;
    fputs("Usage: ghlogfs [options] [HOST] MOUNTPOINT\n"
          "       ghlogfs --check [--repair] [--json] [options] [HOST] [OWNER/REPO]\n"
          "\n"
          "Shows GitHub Actions job logs as files: MOUNTPOINT/OWNER/REPO/jobs/JOB_ID/log\n"
          "HOST is github.com (default), SUB.ghe.com or a GitHub Enterprise Server.\n"
          "\n"
          "  -o NAME[=VALUE],...   options as below; also as --NAME VALUE and --NAME=VALUE\n"
          "  -f                    stay in the foreground\n"
          "  -d                    debug output, in the foreground\n"
          "  -h, --help            this text\n"
          "  -V, --version         version, with those of the libraries\n"
          "  --check               check what a mount needs: token, network, cache, ...\n"
          "  --repair              with it: delete damaged entries of the cache\n"
          "  --json                with it: print JSON\n",
          out);
    for (unsigned section = 0; section < SECTIONS; section++) {
        fprintf(out, "\n%s\n", titles[section]);
        for (size_t i = 0; i < RULES; i++) {
            if (rules[i].section == section)
                write_help(out, &rules[i]);
        }
    }
    fputs("\n"
          "SIZE takes K, M or G. A comma in a value of -o is written \\,\n"
          "\n"
          "The token comes from token_file; else from GH_TOKEN or GITHUB_TOKEN, on a\n"
          "server of your own from GH_ENTERPRISE_TOKEN or GITHUB_ENTERPRISE_TOKEN; else\n"
          "from systemd's credential \"token\"; else from `gh auth token`. Without\n"
          "XDG_CACHE_HOME the cache is ~/.cache/ghlogfs, without HOME /var/cache/ghlogfs.\n",
          out);
    return close_text(out, &text);
}

/* A proxy without its user name and password. Its last '@' counts: a password may hold one that was
 * not escaped. */
char *options_describe_proxy(const struct options *options)
{
    const char *proxy = options->proxy, *scheme_end = strstr(proxy, "://");
    const char *start = scheme_end != NULL ? scheme_end + 3 : proxy;
    const char *at = strrchr(start, '@');
    char *text;

    return asprintf(&text, "%.*s%s%s", (int)(start - proxy), proxy, at != NULL ? "***" : "",
                    at != NULL ? at : start) < 0
               ? NULL
               : text;
}

char *options_describe(const struct options *options)
{
    char *text = NULL, *proxy = options->proxy != NULL ? options_describe_proxy(options) : NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (out == NULL) {
        free(proxy);
        return NULL;
    }
    if (options->mountpoint != NULL)
        fprintf(out, "mountpoint=%s\n", options->mountpoint);
    for (const struct rule *rule = rules; rule < rules + RULES; rule++) {
        const void *value = member(options, rule);

        if (rule->section == MOUNT)
            continue;
        if (rule->at == AT(api_url))
            fprintf(out, "api_url=%s\n", options->api.url);
        else if (rule->at == AT(proxy) && options->proxy != NULL)
            fprintf(out, "proxy=%s\n", proxy != NULL ? proxy : "?");
        else if (rule->kind == FLAG)
            fprintf(out, "%s=%s\n", rule->name, *(const bool *)value ? "yes" : "no");
        else if (rule->kind == NUMBER)
            fprintf(out, "%s=%u\n", rule->name, *(const unsigned *)value);
        else if (rule->kind == SIZE)
            fprintf(out, "%s=%" PRIu64 "\n", rule->name, *(const uint64_t *)value);
        else if (*(char *const *)value != NULL)
            fprintf(out, "%s=%s\n", rule->name, *(char *const *)value);
    }
    fprintf(out, "token_from=%s\nmount_options=%s\n", options->token_origin,
            options->mount_argv[2]);
    free(proxy);
    return close_text(out, &text);
}
