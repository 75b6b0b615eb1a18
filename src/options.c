#include "options.h"

#include "options_proxy.h"
#include "options_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY 86400

enum kind {
    FLAG,   /* bool, takes no value */
    CLEAR,  /* the opposite of a FLAG, on the same bool */
    NUMBER, /* unsigned */
    SIZE,   /* uint64_t */
    TEXT,   /* char * */
    PATH,   /* char *, made absolute */
};

struct rule {
    const char *name;
    enum kind kind;
    bool mount; /* not ours: handed on to libfuse */
    size_t at;  /* offset in struct options */
    uint64_t least, most;
};

#define AT(member) offsetof(struct options, member)

/* The one list of options: reading, checking and describing follow it. */
static const struct rule rules[] = {
    {"api_url", TEXT, false, AT(api_url), 0, 0},
    {"token_file", PATH, false, AT(token_file), 0, 0},
    {"ca_file", PATH, false, AT(ca_file), 0, 0},
    {"proxy", TEXT, false, AT(proxy), 0, 0},
    {"no_proxy", TEXT, false, AT(no_proxy), 0, 0},
    {"cache_dir", PATH, false, AT(cache_dir), 0, 0},
    {"cache_size", SIZE, false, AT(cache_size), 64 << 10, INT64_MAX},
    {"no_cache", FLAG, false, AT(no_cache), 0, 0},
    {"memory", SIZE, false, AT(memory), 64 << 10, INT64_MAX},
    {"runs", NUMBER, false, AT(runs), 1, 1000},
    {"fresh", NUMBER, false, AT(fresh), 0, DAY},
    {"connections", NUMBER, false, AT(connections), 1, 100},
    {"prefetch", NUMBER, false, AT(prefetch), 0, 100},
    {"reserve", NUMBER, false, AT(reserve), 0, 1000000},
    {"wait", NUMBER, false, AT(wait), 0, DAY},
    {"timeout", NUMBER, false, AT(timeout), 1, 3600},
    {"deadline", NUMBER, false, AT(deadline), 1, 7 * DAY},
    {"offline", FLAG, false, AT(offline), 0, 0},
    {"timestamps", FLAG, false, AT(timestamps), 0, 0},
    {"foreground", FLAG, false, AT(foreground), 0, 0},
    {"debug", FLAG, false, AT(debug), 0, 0},
    {"allow_other", FLAG, true, AT(allow_other), 0, 0},
    {"allow_root", FLAG, true, AT(allow_root), 0, 0},
    {"auto_unmount", FLAG, true, AT(auto_unmount), 0, 0},
    {"noexec", FLAG, true, AT(noexec), 0, 0},
    {"exec", CLEAR, true, AT(noexec), 0, 0},
    {"noatime", FLAG, true, AT(noatime), 0, 0},
    {"atime", CLEAR, true, AT(noatime), 0, 0},
    {"fsname", TEXT, true, AT(fsname), 0, 0},
    {"subtype", TEXT, true, AT(subtype), 0, 0},
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
    /* What was typed may be part of it, and it is to be one line. */
    for (size_t i = 0; i < r->message_cap && r->message[i] != '\0'; i++) {
        if ((unsigned char)r->message[i] < 0x20 || r->message[i] == 0x7f)
            r->message[i] = '?';
    }
    return -EINVAL;
}

static int refuse_errno(struct reader *r, const char *what, int error)
{
    refuse(r, "%s: %s", what, strerror(-error));
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

static bool rule_takes_value(const struct rule *rule)
{
    return rule->kind != FLAG && rule->kind != CLEAR;
}

static int set_number(struct reader *r, const struct rule *rule, const char *value)
{
    uint64_t number;

    if (!options_text_number(value, &number) || number < rule->least || number > rule->most)
        return refuse(r, "%s=%.32s: must be a whole number from %" PRIu64 " to %" PRIu64,
                      rule->name, value, rule->least, rule->most);
    *(unsigned *)member(r->options, rule) = (unsigned)number;
    return 0;
}

static int set_size(struct reader *r, const struct rule *rule, const char *value)
{
    uint64_t size;

    if (!options_text_size(value, &size) || size < rule->least || size > rule->most)
        return refuse(r, "%s=%.32s: must be a size such as 512M or 4G, at least %" PRIu64 "K",
                      rule->name, value, rule->least / 1024);
    *(uint64_t *)member(r->options, rule) = size;
    return 0;
}

/* An empty value means something to proxy only. */
static int set_text(struct reader *r, const struct rule *rule, const char *value)
{
    char **place = member(r->options, rule);
    char *copy = NULL;
    int rc = 0;

    if (!options_text_is_plain(value))
        return refuse(r, "%s: must not hold control characters", rule->name);
    if (value[0] == '\0' && rule->at != AT(proxy))
        return refuse(r, "%s: needs a value", rule->name);
    if (rule->kind == PATH)
        rc = options_text_absolute(value, &copy);
    else if ((copy = strdup(value)) == NULL)
        rc = -ENOMEM;
    if (rc < 0)
        return refuse_errno(r, rule->name, rc);
    free(*place);
    *place = copy;
    return 0;
}

static int set_option(struct reader *r, const struct rule *rule, const char *value)
{
    if (rule_takes_value(rule) && value == NULL)
        return refuse(r, "%s: needs a value", rule->name);
    if (!rule_takes_value(rule) && value != NULL)
        return refuse(r, "%s: takes no value", rule->name);
    switch (rule->kind) {
    case FLAG:
    case CLEAR: *(bool *)member(r->options, rule) = rule->kind == FLAG; return 0;
    case NUMBER: return set_number(r, rule, value);
    case SIZE: return set_size(r, rule, value);
    case TEXT:
    case PATH: break;
    }
    return set_text(r, rule, value);
}

/* The name only: what follows it may be a secret. */
static int refuse_unknown(struct reader *r, const char *dashes, const char *name)
{
    if (strcmp(name, "token") == 0)
        return refuse(r,
                      "%stoken: a token on the command line can be read by everyone; "
                      "use token_file or the environment",
                      dashes);
    return refuse(r, "unknown option %s%.64s", dashes, name);
}

/* One word of an -o list; it is ours to write into. */
static int read_word(struct reader *r, char *word)
{
    const struct rule *rule;
    char *value;

    if (word[0] == '\0' || options_text_is_fstab_word(word))
        return 0;
    value = strchr(word, '=');
    if (value != NULL)
        *value++ = '\0';
    rule = rule_find(word);
    return rule != NULL ? set_option(r, rule, value) : refuse_unknown(r, "-o ", word);
}

static int read_word_list(struct reader *r, const char *list)
{
    char *word;
    int rc;

    while ((rc = options_text_next_word(&list, &word)) > 0) {
        rc = read_word(r, word);
        free(word);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? refuse_errno(r, "-o", rc) : 0;
}

/* --name, --name=value or --name value, dashes as good as underscores in the name. `next` is the
 * argument after it, NULL at the end; returns how many arguments were used. */
static int read_long(struct reader *r, const char *text, const char *next)
{
    size_t length = strcspn(text, "=");
    const char *value = text[length] == '=' ? text + length + 1 : NULL;
    const struct rule *rule;
    char name[65];
    int used = 1, rc;

    snprintf(name, sizeof name, "%.*s", (int)(length < 64 ? length : 64), text);
    for (char *p = name; *p != '\0'; p++)
        *p = *p == '-' ? '_' : *p;
    if (value == NULL && strcmp(name, "help") == 0)
        r->options->help = true;
    else if (value == NULL && strcmp(name, "version") == 0)
        r->options->version = true;
    else if ((rule = rule_find(name)) == NULL)
        return refuse_unknown(r, "--", name);
    else {
        if (value == NULL && rule_takes_value(rule) && next != NULL) {
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
                return refuse(r, "-o: needs a value");
            rc = read_word_list(r, text[1] != '\0' ? text + 1 : next);
            return rc < 0 ? rc : (text[1] != '\0' ? 1 : 2);
        default: return refuse(r, "unknown option -%c", *text);
        }
    }
    return 1;
}

static int read_positional(struct reader *r, const char *text)
{
    if (r->positionals == 2)
        return refuse(r, "one argument too many: %.64s", text);
    r->positional[r->positionals++] = text;
    return 1;
}

static int read_arguments(struct reader *r, int argc, char *const *argv)
{
    bool only_positionals = false;

    for (int i = 1, used; i < argc; i += used) {
        const char *text = argv[i];
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;

        if (only_positionals || text[0] != '-' || text[1] == '\0') {
            used = read_positional(r, text);
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
        return refuse(r, "MOUNTPOINT is missing (-h shows the usage)");
    mountpoint = r->positional[r->positionals - 1];
    if (mountpoint[0] == '\0' || !options_text_is_plain(mountpoint))
        return refuse(r, "MOUNTPOINT must not be empty or hold control characters");
    /* fstab may leave the source empty. */
    if (r->positionals == 2 && r->positional[0][0] != '\0')
        r->host = r->positional[0];
    rc = options_text_absolute(mountpoint, &r->options->mountpoint);
    return rc < 0 ? refuse_errno(r, "MOUNTPOINT", rc) : 0;
}

/* api_url, else HOST, else the environment, else github.com. */
static int resolve_api(struct reader *r)
{
    const char *url_variable = options_text_environment(r->env, "GITHUB_API_URL");
    const char *host_variable = options_text_environment(r->env, "GH_HOST");
    struct options_api *api = &r->options->api;
    const char *reason = NULL, *source;
    int rc;

    if (r->options->api_url != NULL) {
        source = "api_url";
        rc = options_api_from_url(api, r->options->api_url, &reason);
    } else if (r->host != NULL) {
        source = "HOST";
        rc = options_api_from_host(api, r->host, &reason);
    } else if (url_variable != NULL) {
        source = "GITHUB_API_URL in the environment";
        rc = options_api_from_url(api, url_variable, &reason);
    } else {
        source = "GH_HOST in the environment";
        rc = options_api_from_host(api, host_variable ? host_variable : "github.com", &reason);
    }
    return rc < 0 ? refuse(r, "%s %s", source, reason) : 0;
}

static int resolve_cache_dir(struct reader *r)
{
    const char *cache_home = options_text_environment(r->env, "XDG_CACHE_HOME");
    const char *home = options_text_environment(r->env, "HOME");
    char *made;
    int length;

    if (r->options->cache_dir != NULL)
        return 0;
    if (cache_home != NULL && cache_home[0] == '/')
        length = asprintf(&made, "%s/ghlogfs", cache_home);
    else if (home != NULL && home[0] == '/')
        length = asprintf(&made, "%s/.cache/ghlogfs", home);
    else
        length = asprintf(&made, "/var/cache/ghlogfs");
    if (length < 0)
        return refuse_errno(r, "cache_dir", -ENOMEM);
    r->options->cache_dir = made;
    return 0;
}

/* A default from the environment goes through the same checks as the option. */
static int set_default(struct reader *r, const char *name, const char *value)
{
    const struct rule *rule = rule_find(name);

    if (value == NULL || *(char **)member(r->options, rule) != NULL)
        return 0;
    return set_text(r, rule, value);
}

/* Read once, here: libcurl must not look at an environment that another thread could change. */
static int resolve_network(struct reader *r)
{
    struct options *o = r->options;
    bool https = strcmp(o->api.scheme, "https") == 0;
    const char *why;
    int rc;

    rc = set_default(r, "ca_file", options_text_environment(r->env, "SSL_CERT_FILE"));
    if (rc == 0)
        rc = set_default(r, "proxy", options_proxy_from_environment(r->env, https));
    if (rc == 0)
        rc = set_default(r, "no_proxy", options_proxy_exceptions(r->env));
    if (rc < 0 || o->proxy == NULL)
        return rc;
    if (o->proxy[0] == '\0') {
        free(o->proxy);
        o->proxy = NULL;
        return 0;
    }
    why = options_proxy_refuse(o->proxy);
    return why != NULL ? refuse(r, "proxy %s", why) : 0;
}

/* What libfuse is told, as one list. nosuid and nodev are said aloud since root's mounts could
 * have neither. */
static int mount_words(struct reader *r, char **words)
{
    static const char *const always[] = {"ro", "default_permissions", "nosuid", "nodev"};
    const struct options *o = r->options;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof always / sizeof *always; i++)
        rc = options_text_add_word(words, always[i], NULL);
    for (size_t i = 0; rc == 0 && i < RULES; i++) {
        if (rules[i].mount && rules[i].kind == FLAG && *(bool *)member(o, &rules[i]))
            rc = options_text_add_word(words, rules[i].name, NULL);
    }
    /* The source as fstab has it, so that umount and findmnt find the line again. */
    if (rc == 0)
        rc = options_text_add_word(words, "fsname",
                                   o->fsname ? o->fsname
                                   : r->host ? r->host
                                             : o->api.web_host);
    if (rc == 0)
        rc = options_text_add_word(words, "subtype", o->subtype ? o->subtype : "ghlogfs");
    return rc;
}

static int resolve_mount(struct reader *r)
{
    struct options *o = r->options;
    int rc;

    if (o->allow_other && o->allow_root)
        return refuse(r, "allow_other and allow_root exclude each other");
    rc = mount_words(r, &o->mount_argv[2]);
    o->mount_argv[0] = strdup("ghlogfs");
    o->mount_argv[1] = strdup("-o");
    if (rc < 0 || o->mount_argv[0] == NULL || o->mount_argv[1] == NULL)
        return refuse_errno(r, "mount options", -ENOMEM);
    o->mount_argc = OPTIONS_MOUNT_ARGS;
    return 0;
}

static int resolve(struct reader *r)
{
    struct options *o = r->options;
    int rc;

    rc = resolve_positionals(r);
    if (rc == 0)
        rc = resolve_api(r);
    if (rc == 0)
        rc = resolve_cache_dir(r);
    if (rc == 0)
        rc = resolve_network(r);
    if (rc == 0)
        rc = resolve_mount(r);
    if (o->deadline == 0)
        o->deadline = o->wait + 2 * o->timeout;
    o->foreground = o->foreground || o->debug;
    return rc;
}

int options_parse(struct options *options, int argc, char *const *argv, char *const *env,
                  char *message, size_t message_cap)
{
    struct options parsed = {
        .cache_size = (uint64_t)4 << 30,
        .memory = 256 << 20,
        .runs = 30,
        .fresh = 30,
        .connections = 32,
        .prefetch = 32,
        .reserve = 500,
        .wait = 60,
        .timeout = 30,
        .token_origin = "none",
    };
    struct reader r = {
        .options = &parsed, .env = env, .message = message, .message_cap = message_cap};
    int rc = read_arguments(&r, argc, argv);

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

static void describe_text(FILE *out, const struct rule *rule, const char *value)
{
    fprintf(out, "%s=", rule->name);
    if (rule->at == AT(proxy))
        options_proxy_show(out, value);
    else
        fputs(value, out);
    fputc('\n', out);
}

static void describe_rule(FILE *out, const struct options *o, const struct rule *rule)
{
    const void *value = member(o, rule);

    if (rule->at == AT(api_url))
        fprintf(out, "api_url=%s\n", o->api.url);
    else if (rule->kind == FLAG)
        fprintf(out, "%s=%s\n", rule->name, *(const bool *)value ? "yes" : "no");
    else if (rule->kind == NUMBER)
        fprintf(out, "%s=%u\n", rule->name, *(const unsigned *)value);
    else if (rule->kind == SIZE)
        fprintf(out, "%s=%" PRIu64 "\n", rule->name, *(const uint64_t *)value);
    else if (rule->kind != CLEAR && *(char *const *)value != NULL)
        describe_text(out, rule, *(char *const *)value);
}

char *options_describe(const struct options *options)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    bool failed;

    if (out == NULL)
        return NULL;
    fprintf(out, "mountpoint=%s\n", options->mountpoint);
    for (size_t i = 0; i < RULES; i++) {
        if (!rules[i].mount)
            describe_rule(out, options, &rules[i]);
    }
    fprintf(out, "token_from=%s\nmount_options=%s\n", options->token_origin,
            options->mount_argv[2]);
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
