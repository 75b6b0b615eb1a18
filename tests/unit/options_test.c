/* Command line and environment to one struct: R7, S16. */
#include "options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGS(...) ((const char *const[]){"ghlogfs", __VA_ARGS__, NULL})
#define ENV(...) ((const char *const[]){__VA_ARGS__, NULL})

static const char *const no_environment[] = {NULL};

static int count(const char *const *argv)
{
    int n = 0;

    while (argv[n] != NULL)
        n++;
    return n;
}

/* The struct is zeroed first, so that options_finish is fine after a refusal too. */
static int parse_env(struct options *o, const char *const *argv, const char *const *env,
                     char *message)
{
    memset(o, 0, sizeof *o);
    message[0] = '\0';
    return options_parse(o, count(argv), (char *const *)(uintptr_t)argv,
                         (char *const *)(uintptr_t)env, message, OPTIONS_MESSAGE_CAP);
}

static void parse_good_env(struct options *o, const char *const *argv, const char *const *env)
{
    char message[OPTIONS_MESSAGE_CAP];

    if (parse_env(o, argv, env, message) != 0)
        fail_msg("refused: %s", message);
}

static void parse_good(struct options *o, const char *const *argv)
{
    parse_good_env(o, argv, no_environment);
}

/* Refused, and the message names `word`. */
static void parse_bad_env(const char *const *argv, const char *const *env, const char *word)
{
    char message[OPTIONS_MESSAGE_CAP];
    struct options o;

    assert_int_equal(parse_env(&o, argv, env, message), -EINVAL);
    if (strstr(message, word) == NULL)
        fail_msg("\"%s\" does not name \"%s\"", message, word);
    assert_null(strchr(message, '\n'));
    assert_null(o.mountpoint);
}

static void parse_bad(const char *const *argv, const char *word)
{
    parse_bad_env(argv, no_environment, word);
}

static void bad_option(const char *words, const char *name)
{
    parse_bad(ARGS("/m", "-o", words), name);
}

/* ---- the table ---- */

static void defaults_are_those_of_the_table(void **state)
{
    struct options o;

    (void)state;
    parse_good(&o, ARGS("/mnt/gh"));
    assert_string_equal(o.api.url, "https://api.github.com");
    assert_string_equal(o.mountpoint, "/mnt/gh");
    assert_string_equal(o.cache_dir, "/var/cache/ghlogfs");
    assert_int_equal(o.cache_size, (uint64_t)4 << 30);
    assert_int_equal(o.memory, 256 << 20);
    assert_int_equal(o.runs, 30);
    assert_int_equal(o.fresh, 30);
    assert_int_equal(o.connections, 32);
    assert_int_equal(o.prefetch, 32);
    assert_int_equal(o.reserve, 500);
    assert_int_equal(o.wait, 60);
    assert_int_equal(o.timeout, 30);
    assert_int_equal(o.deadline, 120);
    assert_false(o.no_cache || o.offline || o.timestamps || o.foreground || o.debug);
    assert_null(o.ca_file);
    assert_null(o.proxy);
    assert_null(o.no_proxy);
    assert_null(o.token_file);
    assert_string_equal(o.token_origin, "none");
    options_finish(&o);
}

static void every_value_option_is_read(void **state)
{
    struct options o;

    (void)state;
    parse_good(&o, ARGS("/m", "-o",
                        "api_url=http://127.0.0.1:8080/x/,token_file=/t,ca_file=/ca,proxy=p:3128,"
                        "cache_dir=/c,cache_size=3g,memory=64K,runs=1000,fresh=0,connections=100,"
                        "prefetch=0,reserve=0,wait=7,timeout=5,deadline=9"));
    assert_string_equal(o.api.url, "http://127.0.0.1:8080/x");
    assert_string_equal(o.token_file, "/t");
    assert_string_equal(o.ca_file, "/ca");
    assert_string_equal(o.proxy, "p:3128");
    assert_string_equal(o.cache_dir, "/c");
    assert_int_equal(o.cache_size, (uint64_t)3 << 30);
    assert_int_equal(o.memory, 65536);
    assert_int_equal(o.runs, 1000);
    assert_int_equal(o.fresh, 0);
    assert_int_equal(o.connections, 100);
    assert_int_equal(o.prefetch, 0);
    assert_int_equal(o.reserve, 0);
    assert_int_equal(o.wait, 7);
    assert_int_equal(o.timeout, 5);
    assert_int_equal(o.deadline, 9);
    options_finish(&o);
}

static void deadline_follows_wait_and_timeout(void **state)
{
    struct options o;

    (void)state;
    parse_good(&o, ARGS("-o", "wait=7,timeout=5", "/m"));
    assert_int_equal(o.deadline, 17);
    options_finish(&o);
}

static void every_flag_is_read(void **state)
{
    struct options o;

    (void)state;
    parse_good(&o, ARGS("/m", "-o", "no_cache,offline,timestamps", "-f"));
    assert_true(o.no_cache && o.offline && o.timestamps && o.foreground);
    assert_false(o.debug);
    options_finish(&o);
    parse_good(&o, ARGS("-d", "/m"));
    assert_true(o.debug && o.foreground);
    options_finish(&o);
}

static void long_options_take_both_forms_and_both_spellings(void **state)
{
    struct options o;

    (void)state;
    parse_good(&o, ARGS("--cache-dir", "/a", "--cache_size=1M", "--no-cache", "--token_file",
                        "-odd", "--offline", "--allow-other", "/m"));
    assert_string_equal(o.cache_dir, "/a");
    assert_int_equal(o.cache_size, 1 << 20);
    assert_true(o.no_cache && o.offline && o.allow_other);
    assert_non_null(strstr(o.token_file, "/-odd"));
    assert_string_equal(o.mountpoint, "/m");
    options_finish(&o);
}

static void the_last_of_several_wins(void **state)
{
    struct options o;

    (void)state;
    parse_good(&o, ARGS("/m", "-oruns=1,cache_dir=/a", "--runs=2", "-ocache_dir=/b"));
    assert_int_equal(o.runs, 2);
    assert_string_equal(o.cache_dir, "/b");
    options_finish(&o);
}

static void help_and_version_need_no_mountpoint(void **state)
{
    struct options o;

    (void)state;
    parse_good(&o, ARGS("-h"));
    assert_true(o.help);
    parse_good(&o, ARGS("--help"));
    assert_true(o.help);
    parse_good(&o, ARGS("-fV"));
    assert_true(o.version);
    parse_good(&o, ARGS("--version"));
    assert_true(o.version && !o.help);
}

/* With the name of its value, its range and its default; what is not in the table as well. */
static void the_help_names_every_option(void **state)
{
    static const char *const lines[] = {
        "\n  api_url=URL ",
        "\n  token_file=FILE ",
        "\n  ca_file=FILE ",
        "\n  proxy=URL ",
        "\n  no_proxy=HOSTS ",
        "\n  connections=N         transfers at once, 1 to 100 (32)\n",
        "\n  reserve=N ",
        "\n  wait=SEC ",
        "\n  timeout=SEC ",
        "\n  deadline=SEC ",
        "\n  cache_dir=DIR ",
        "\n  cache_size=SIZE       how much is kept there (4G)\n",
        "\n  no_cache ",
        "\n  memory=SIZE ",
        "(256M)\n",
        "\n  offline ",
        "\n  runs=N                runs in a listing, 1 to 1000 (30)\n",
        "\n  fresh=SEC ",
        "\n  prefetch=N ",
        "\n  timestamps ",
        "\n  allow_other ",
        "\n  allow_root ",
        "\n  auto_unmount ",
        "\n  fsname=NAME ",
        "\n  subtype=NAME ",
        "\n  noexec ",
        "\n  exec ",
        "\n  noatime ",
        "\n  atime ",
        "\n  -f ",
        "\n  -d ",
        "\n  -h, --help ",
        "\n  -V, --version ",
        "GH_ENTERPRISE_TOKEN",
        "/var/cache/ghlogfs",
    };
    char *help = options_make_help();

    (void)state;
    assert_non_null(help);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (strstr(help, lines[i]) == NULL)
            fail_msg("\"%s\" is not in the help", lines[i]);
    }
    free(help);
}

static void every_line_of_the_help_fits_a_terminal(void **state)
{
    char *help = options_make_help(), *rest = help, *line;

    (void)state;
    assert_non_null(help);
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (strlen(line) > 80)
            fail_msg("\"%s\" is too long", line);
    }
    free(help);
}

/* ---- what is refused ---- */

static void unknown_options_are_refused_by_name(void **state)
{
    (void)state;
    bad_option("runs=3,bogus=secret", "unknown option -o bogus");
    bad_option("max_read=4096", "max_read");
    bad_option("remount", "remount");
    parse_bad(ARGS("--bogus", "/m"), "--bogus");
    parse_bad(ARGS("-x", "/m"), "-x");
    parse_bad(ARGS("--ru=3", "/m"), "--ru");
}

static void a_refusal_does_not_repeat_values_of_unknown_options(void **state)
{
    char message[OPTIONS_MESSAGE_CAP];
    struct options o;

    (void)state;
    assert_int_equal(parse_env(&o, ARGS("/m", "--pass=hunter2"), no_environment, message), -EINVAL);
    assert_null(strstr(message, "hunter2"));
    assert_int_equal(parse_env(&o, ARGS("/m", "-otoken=ghp_x"), no_environment, message), -EINVAL);
    assert_null(strstr(message, "ghp_x"));
}

static void R7_a_token_on_the_command_line_is_refused(void **state)
{
    (void)state;
    bad_option("token=ghp_x", "token_file");
    parse_bad(ARGS("--token", "ghp_x", "/m"), "token_file");
}

static void numbers_out_of_range_are_refused(void **state)
{
    static const char *const bad[] = {
        "runs=0",          "runs=1001",       "runs=-1",
        "runs=+1",         "runs=1x",         "runs= 1",
        "runs=",           "runs=0x10",       "fresh=86401",
        "connections=0",   "prefetch=101",    "connections=101",
        "timeout=0",       "timeout=3601",    "deadline=0",
        "wait=86401",      "reserve=1000001", "runs=18446744073709551617",
        "wait=4294967296",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char name[16];

        snprintf(name, sizeof name, "%.*s", (int)strcspn(bad[i], "="), bad[i]);
        bad_option(bad[i], name);
    }
}

static void malformed_sizes_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "K",
                                      "1KB",
                                      "1KiB",
                                      "1T",
                                      "-1G",
                                      "1.5G",
                                      "65535",
                                      "63K",
                                      "8589934592G",
                                      "18446744073709551615",
                                      "18014398509481984K"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char option[64];

        snprintf(option, sizeof option, "cache_size=%s", bad[i]);
        bad_option(option, "cache_size");
        snprintf(option, sizeof option, "memory=%s", bad[i]);
        bad_option(option, "memory");
    }
}

static void sizes_count_in_powers_of_1024(void **state)
{
    static const struct {
        const char *word;
        uint64_t size;
    } rows[] = {
        {"cache_size=70000", 70000},
        {"cache_size=70000k", 70000 << 10},
        {"cache_size=7M", 7 << 20},
        {"cache_size=7g", (uint64_t)7 << 30},
        {"cache_size=9223372036854775807", INT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct options o;

        parse_good(&o, ARGS("/m", "-o", rows[i].word));
        assert_int_equal(o.cache_size, rows[i].size);
        options_finish(&o);
    }
    bad_option("cache_size=9223372036854775808", "cache_size");
}

static void missing_and_superfluous_values_are_refused(void **state)
{
    (void)state;
    bad_option("runs", "runs");
    bad_option("offline=1", "offline");
    bad_option("cache_dir=", "cache_dir");
    bad_option("allow_other=x", "allow_other");
    parse_bad(ARGS("/m", "--runs"), "runs");
    parse_bad(ARGS("/m", "-o"), "-o");
    parse_bad(ARGS("/m", "--offline=yes"), "offline");
}

static void arguments_too_few_or_too_many_are_refused(void **state)
{
    (void)state;
    parse_bad(ARGS("-f"), "MOUNTPOINT");
    parse_bad(ARGS(""), "MOUNTPOINT");
    parse_bad(ARGS("github.com", "/m", "third"), "third");
}

static void control_characters_are_refused_and_not_echoed(void **state)
{
    (void)state;
    bad_option("cache_dir=/a\nb", "cache_dir");
    bad_option("fsname=\033[2J", "fsname");
    bad_option("evil\nline", "evil?line");
    parse_bad(ARGS("/m\n"), "MOUNTPOINT");
}

static void outputs_are_untouched_on_failure(void **state)
{
    char message[OPTIONS_MESSAGE_CAP];
    struct options o;

    (void)state;
    memset(&o, 0x5a, sizeof o);
    assert_int_equal(options_parse(&o, 2, (char *const *)(uintptr_t)ARGS("--bogus"),
                                   (char *const *)(uintptr_t)no_environment, message,
                                   sizeof message),
                     -EINVAL);
    for (size_t i = 0; i < sizeof o; i++)
        assert_int_equal(((unsigned char *)&o)[i], 0x5a);
}

/* ---- mount(8), fstab, libfuse ---- */

/* As mount(8) and mount.fuse3 call it for an fstab line with these words. */
static void fstab_words_are_ignored(void **state)
{
    struct options o;

    (void)state;
    parse_good(&o, ARGS("github.com", "/m", "-o", "rw,dev,suid"));
    options_finish(&o);
    parse_good(&o, ARGS("ghe.example.com", "/m", "-o",
                        "ro,nofail,user,user=bob,users,noauto,auto,_netdev,defaults,x-gvfs-show,"
                        "x-systemd.automount,X-mount.mkdir,comment=hi,,relatime,sync,runs=3,"
                        "exec,nosuid,nodev,owner,group,"));
    assert_int_equal(o.runs, 3);
    assert_string_equal(o.api.url, "https://ghe.example.com/api/v3");
    assert_string_equal(o.mount_argv[2], "ro,default_permissions,nosuid,nodev,"
                                         "fsname=ghe.example.com,subtype=ghlogfs");
    options_finish(&o);
}

static void an_empty_source_is_no_host(void **state)
{
    struct options o;

    (void)state;
    parse_good(&o, ARGS("", "/m"));
    assert_string_equal(o.api.url, "https://api.github.com");
    options_finish(&o);
}

static void S16_the_mount_is_always_read_only_and_checked_by_the_kernel(void **state)
{
    struct options o;

    (void)state;
    parse_good(&o, ARGS("/m", "-o", "rw,allow_other,noexec,noatime,nodiratime"));
    assert_int_equal(o.mount_argc, 3);
    assert_string_equal(o.mount_argv[0], "ghlogfs");
    assert_string_equal(o.mount_argv[1], "-o");
    assert_string_equal(o.mount_argv[2], "ro,default_permissions,nosuid,nodev,allow_other,noexec,"
                                         "noatime,fsname=github.com,subtype=ghlogfs");
    assert_null(o.mount_argv[3]);
    options_finish(&o);
}

static void mount_options_of_ones_own_are_handed_on_escaped(void **state)
{
    struct options o;

    (void)state;
    parse_good(&o, ARGS("/m", "-o",
                        "fsname=a\\,b\\\\c,subtype=logs,allow_root,auto_unmount,"
                        "noexec,exec"));
    assert_string_equal(o.fsname, "a,b\\c");
    assert_string_equal(o.mount_argv[2], "ro,default_permissions,nosuid,nodev,allow_root,"
                                         "auto_unmount,fsname=a\\,b\\\\c,subtype=logs");
    options_finish(&o);
    bad_option("allow_other,allow_root", "allow_root");
}

static void relative_paths_become_absolute(void **state)
{
    char directory[4096], expected[4200];
    struct options o;

    (void)state;
    assert_non_null(getcwd(directory, sizeof directory));
    parse_good(&o, ARGS("m", "-ocache_dir=c,token_file=t,ca_file=ca"));
    snprintf(expected, sizeof expected, "%s/m", directory);
    assert_string_equal(o.mountpoint, expected);
    snprintf(expected, sizeof expected, "%s/c", directory);
    assert_string_equal(o.cache_dir, expected);
    snprintf(expected, sizeof expected, "%s/t", directory);
    assert_string_equal(o.token_file, expected);
    options_finish(&o);
}

static void a_double_dash_ends_options(void **state)
{
    struct options o;

    (void)state;
    parse_good(&o, ARGS("-f", "--", "-m"));
    assert_non_null(strstr(o.mountpoint, "/-m"));
    options_finish(&o);
}

/* ---- defaults from the environment ---- */

static void a_bad_url_is_refused_without_being_repeated(void **state)
{
    char message[OPTIONS_MESSAGE_CAP];
    struct options o;

    (void)state;
    assert_int_equal(
        parse_env(&o, ARGS("/m", "-oapi_url=https://us:hunter2@h"), no_environment, message),
        -EINVAL);
    assert_non_null(strstr(message, "api_url must not hold"));
    assert_null(strstr(message, "hunter2"));
}

static void the_api_base_comes_from_option_host_and_environment_in_this_order(void **state)
{
    static const char *const both[] = {"GH_HOST=gh.corp", "GITHUB_API_URL=https://url.corp/api/v3",
                                       NULL};
    static const char *const host[] = {"GITHUB_API_URL=", "GH_HOST=gh.corp", NULL};
    struct options o;

    (void)state;
    parse_good_env(&o, ARGS("arg.corp", "/m", "-oapi_url=https://opt.corp"), both);
    assert_string_equal(o.api.url, "https://opt.corp");
    assert_non_null(strstr(o.mount_argv[2], "fsname=arg.corp,"));
    options_finish(&o);
    parse_good_env(&o, ARGS("arg.corp", "/m"), both);
    assert_string_equal(o.api.url, "https://arg.corp/api/v3");
    options_finish(&o);
    parse_good_env(&o, ARGS("/m"), both);
    assert_string_equal(o.api.url, "https://url.corp/api/v3");
    options_finish(&o);
    parse_good_env(&o, ARGS("/m"), host);
    assert_string_equal(o.api.url, "https://gh.corp/api/v3");
    options_finish(&o);
    parse_bad_env(ARGS("/m"), ENV("GH_HOST=a b"), "GH_HOST");
    parse_bad_env(ARGS("/m"), ENV("GITHUB_API_URL=x"), "GITHUB_API_URL");
    parse_bad(ARGS("https://github.com", "/m"), "HOST");
}

static void the_cache_directory_follows_xdg_then_home(void **state)
{
    struct options o;

    (void)state;
    parse_good_env(&o, ARGS("/m"), ENV("HOME=/h", "XDG_CACHE_HOME=/x"));
    assert_string_equal(o.cache_dir, "/x/ghlogfs");
    options_finish(&o);
    parse_good_env(&o, ARGS("/m"), ENV("HOME=/h", "XDG_CACHE_HOME=x"));
    assert_string_equal(o.cache_dir, "/h/.cache/ghlogfs");
    options_finish(&o);
    parse_good_env(&o, ARGS("/m"), ENV("HOME="));
    assert_string_equal(o.cache_dir, "/var/cache/ghlogfs");
    options_finish(&o);
}

static void proxy_and_authorities_come_from_the_environment(void **state)
{
    static const char *const env[] = {"HTTPS_PROXY=http://p:1", "NO_PROXY=a,b", "SSL_CERT_FILE=/ca",
                                      "HTTP_PROXY=http://cgi", NULL};
    struct options o;

    (void)state;
    parse_good_env(&o, ARGS("/m"), env);
    assert_string_equal(o.proxy, "http://p:1");
    assert_string_equal(o.no_proxy, "a,b");
    assert_string_equal(o.ca_file, "/ca");
    options_finish(&o);
    parse_good_env(&o, ARGS("/m", "-oproxy=socks5://q,ca_file=/x"), env);
    assert_string_equal(o.proxy, "socks5://q");
    assert_string_equal(o.ca_file, "/x");
    options_finish(&o);
    parse_good_env(&o, ARGS("/m", "-oproxy="), env);
    assert_null(o.proxy);
    options_finish(&o);
    parse_good_env(&o, ARGS("/m", "-oapi_url=http://127.0.0.1"), env);
    assert_null(o.proxy);
    options_finish(&o);
}

static void malformed_proxies_are_refused(void **state)
{
    (void)state;
    bad_option("proxy=ftp://p", "proxy");
    bad_option("proxy=http://", "proxy");
    bad_option("proxy=http://u:p@:3128", "proxy");
    bad_option("proxy=a b", "proxy");
    bad_option("proxy=://p", "proxy");
}

/* ---- the description ---- */

static void R7_the_description_holds_no_secret(void **state)
{
    struct options o;
    char *text;

    (void)state;
    parse_good(&o, ARGS("/m", "-oproxy=http://us:hunter2@p@q:3128/,runs=7,offline"));
    snprintf(o.token, sizeof o.token, "ghp_secret");
    text = options_describe(&o);
    assert_non_null(text);
    assert_null(strstr(text, "hunter2"));
    assert_null(strstr(text, "us:"));
    assert_null(strstr(text, "ghp_secret"));
    assert_non_null(strstr(text, "\nproxy=http://***@q:3128/\n"));
    assert_non_null(strstr(text, "\napi_url=https://api.github.com\n"));
    assert_non_null(strstr(text, "\nruns=7\n"));
    assert_non_null(strstr(text, "\noffline=yes\n"));
    assert_non_null(strstr(text, "\ncache_size=4294967296\n"));
    assert_non_null(strstr(text, "\ntoken_from=none\n"));
    free(text);
    options_finish(&o);
}

static void a_check_takes_a_host_and_a_repository(void **state)
{
    const struct {
        const char *const *argv;
        const char *host, *owner, *repo;
    } cases[] = {{ARGS("--check"), "github.com", "", ""},
                 {ARGS("--check", "ghes.test"), "ghes.test", "", ""},
                 {ARGS("octo/hello", "--check"), "github.com", "octo", "hello"},
                 {ARGS("--check", "ghes.test:8443", "o-c/h.e"), "ghes.test:8443", "o-c", "h.e"},
                 {ARGS("--check", "--", ".github/x"), NULL, NULL, NULL},
                 {ARGS("--check", "a/b/c"), NULL, NULL, NULL},
                 {ARGS("--check", "a/"), NULL, NULL, NULL},
                 {ARGS("--check", "/b"), NULL, NULL, NULL},
                 {ARGS("--check", "a/b", "c/d"), NULL, NULL, NULL},
                 {ARGS("--check", "ghes.test", "hello"), NULL, NULL, NULL},
                 {ARGS("--check", "", "a/b"), NULL, NULL, NULL},
                 {ARGS("--check", "https://github.com/a/b"), NULL, NULL, NULL},
                 {ARGS("--check", "a", "b/c", "d"), NULL, NULL, NULL}};
    struct options o;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].host == NULL) {
            parse_bad(cases[i].argv, "");
            continue;
        }
        parse_good(&o, cases[i].argv);
        assert_true(o.check && !o.repair && !o.json && o.mountpoint == NULL);
        assert_string_equal(o.api.web_host, cases[i].host);
        assert_string_equal(o.check_repo.owner, cases[i].owner);
        assert_string_equal(o.check_repo.repo, cases[i].repo);
        options_finish(&o);
    }
}

static void repair_and_json_are_for_a_check(void **state)
{
    struct options o;

    (void)state;
    parse_good(&o, ARGS("--check", "--repair", "--json", "-o", "cache_dir=/c"));
    assert_true(o.check && o.repair && o.json);
    assert_string_equal(o.cache_dir, "/c");
    options_finish(&o);
    parse_bad(ARGS("--repair", "/mnt"), "--repair needs --check");
    parse_bad(ARGS("--json", "/mnt"), "--json needs --check");
    parse_bad(ARGS("-o", "check", "/mnt"), "unknown option");
    parse_bad(ARGS("--check=yes"), "unknown option");
}

static void what_a_value_comes_from_is_known(void **state)
{
    struct options o;

    (void)state;
    parse_good_env(&o, ARGS("/mnt"),
                   ENV("GH_HOST=a.ghe.com", "SSL_CERT_FILE=/ca", "all_proxy=http://p"));
    assert_string_equal(o.api_from, "GH_HOST");
    assert_string_equal(o.ca_file_from, "SSL_CERT_FILE");
    assert_string_equal(o.proxy_from, "all_proxy");
    options_finish(&o);
    parse_good_env(&o, ARGS("-o", "ca_file=/ca,proxy=http://p", "ghes.test", "/mnt"),
                   ENV("SSL_CERT_FILE=/x", "https_proxy=http://x"));
    assert_string_equal(o.api_from, "HOST");
    assert_string_equal(o.ca_file_from, "ca_file");
    assert_string_equal(o.proxy_from, "proxy");
    options_finish(&o);
    parse_good(&o, ARGS("/mnt"));
    assert_true(o.api_from == NULL && o.ca_file_from == NULL && o.proxy_from == NULL);
    options_finish(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_url_is_refused_without_being_repeated),
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(every_value_option_is_read),
        cmocka_unit_test(deadline_follows_wait_and_timeout),
        cmocka_unit_test(every_flag_is_read),
        cmocka_unit_test(long_options_take_both_forms_and_both_spellings),
        cmocka_unit_test(the_last_of_several_wins),
        cmocka_unit_test(help_and_version_need_no_mountpoint),
        cmocka_unit_test(a_check_takes_a_host_and_a_repository),
        cmocka_unit_test(repair_and_json_are_for_a_check),
        cmocka_unit_test(what_a_value_comes_from_is_known),
        cmocka_unit_test(the_help_names_every_option),
        cmocka_unit_test(every_line_of_the_help_fits_a_terminal),
        cmocka_unit_test(unknown_options_are_refused_by_name),
        cmocka_unit_test(a_refusal_does_not_repeat_values_of_unknown_options),
        cmocka_unit_test(R7_a_token_on_the_command_line_is_refused),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(malformed_sizes_are_refused),
        cmocka_unit_test(sizes_count_in_powers_of_1024),
        cmocka_unit_test(missing_and_superfluous_values_are_refused),
        cmocka_unit_test(arguments_too_few_or_too_many_are_refused),
        cmocka_unit_test(control_characters_are_refused_and_not_echoed),
        cmocka_unit_test(outputs_are_untouched_on_failure),
        cmocka_unit_test(fstab_words_are_ignored),
        cmocka_unit_test(an_empty_source_is_no_host),
        cmocka_unit_test(S16_the_mount_is_always_read_only_and_checked_by_the_kernel),
        cmocka_unit_test(mount_options_of_ones_own_are_handed_on_escaped),
        cmocka_unit_test(relative_paths_become_absolute),
        cmocka_unit_test(a_double_dash_ends_options),
        cmocka_unit_test(the_api_base_comes_from_option_host_and_environment_in_this_order),
        cmocka_unit_test(the_cache_directory_follows_xdg_then_home),
        cmocka_unit_test(proxy_and_authorities_come_from_the_environment),
        cmocka_unit_test(malformed_proxies_are_refused),
        cmocka_unit_test(R7_the_description_holds_no_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
