/* What was found on this machine, and what it means for a mount. */
#include "check/local.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static void expect(const struct check_line *l, enum check_state state, const char *text,
                   const char *advice)
{
    if (l->state != state || !strstr(l->text, text) || !strstr(l->advice, advice) ||
        (state == CHECK_OK && l->advice[0]))
        fail_msg("state %d, \"%s\"; \"%s\"", (int)l->state, l->text, l->advice);
}

static void fuse_needs_its_device(void **state)
{
    struct check_line l = {.name = "fuse"};

    (void)state;
    check_fuse(&l, 0, "Linux 6.1");
    expect(&l, CHECK_OK, "/dev/fuse can be opened, Linux 6.1", "");
    check_fuse(&l, -ENOENT, "Linux 6.1");
    expect(&l, CHECK_ERROR, "No such file", "--device /dev/fuse --cap-add SYS_ADMIN");
    check_fuse(&l, -EACCES, "Linux 6.1");
    expect(&l, CHECK_ERROR, "Permission denied", "chmod");
}

static void a_user_needs_fusermount3_as_root(void **state)
{
    static const struct {
        struct check_fusermount f;
        enum check_state state;
        const char *text, *advice;
    } cases[] = {
        {{"/usr/bin/fusermount3", .is_setuid = true}, CHECK_OK, "/usr/bin/fusermount3", ""},
        {{"/f", .is_setuid = true, .has_profile = true}, CHECK_OK, "/f; AppArmor lets it", ""},
        {{NULL, .is_root = true}, CHECK_OK, "not needed", ""},
        {{.path = NULL}, CHECK_ERROR, "not found", "package fuse3"},
        {{.path = "/f"}, CHECK_ERROR, "not set-user-ID", "chmod u+s /f"},
        {{"/f", .is_setuid = true, .is_nosuid = true}, CHECK_ERROR, "nosuid", "suid"},
        {{"/f", .is_setuid = true, .no_new_privs = true}, CHECK_ERROR, "no_new_privs", "sandbox"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct check_line l = {.name = "fusermount3"};
        check_fusermount(&l, &cases[i].f);
        expect(&l, cases[i].state, cases[i].text, cases[i].advice);
    }
}

static void allow_other_is_an_error_only_where_it_is_wanted(void **state)
{
    struct check_line l = {.name = "allow_other"};

    (void)state;
    check_allow_other(&l, false, false, false);
    expect(&l, CHECK_OK, "for its user alone", "");
    check_allow_other(&l, true, true, false);
    expect(&l, CHECK_OK, "root may", "");
    check_allow_other(&l, true, false, true);
    expect(&l, CHECK_OK, "is in /etc/fuse.conf", "");
    check_allow_other(&l, true, false, false);
    expect(&l, CHECK_ERROR, "need user_allow_other", "echo user_allow_other");
}

static void libraries_need_what_is_used_of_them(void **state)
{
    struct check_libraries c = {.fuse = "3.14.0",
                                .curl = "libcurl/8 X",
                                .archive = "libarchive 3",
                                .has_tls = true,
                                .has_async_dns = true,
                                .has_inflate = true};
    struct check_line l = {.name = "libraries"};

    (void)state;
    check_libraries(&l, &c);
    expect(&l, CHECK_OK, "libfuse 3.14.0, libcurl/8 X, libarchive 3; sigv4: no, HTTP/2: not used",
           "");
    c.wants_sigv4 = true;
    check_libraries(&l, &c);
    expect(&l, CHECK_ERROR, "without AWS SigV4", "distribution");
    c.has_sigv4 = true;
    c.has_async_dns = false;
    check_libraries(&l, &c);
    expect(&l, CHECK_WARNING, "one after the other", "distribution");
    c.has_async_dns = true;
    c.has_inflate = false;
    check_libraries(&l, &c);
    expect(&l, CHECK_WARNING, "without zlib", "archive_jobs=0");
    c.has_tls = false;
    check_libraries(&l, &c);
    expect(&l, CHECK_ERROR, "without TLS", "");
}

static void the_limit_of_open_files_is_judged_as_a_mount_does(void **state)
{
    struct check_line l = {.name = "open_files"};

    (void)state;
    check_files(&l, UINT64_MAX, true, 32768, 32, 32);
    expect(&l, CHECK_OK, "unlimited: up to 32768 logs and 32 connections", "");
    check_files(&l, 100, true, 38, 12, 32);
    expect(&l, CHECK_WARNING, "100: 12 connections are used, not 32", "LimitNOFILE=");
    check_files(&l, 30, false, 0, 0, 32);
    expect(&l, CHECK_ERROR, "30: too few", "ulimit");
}

static void the_proxy_is_told_with_where_it_comes_from(void **state)
{
    struct check_line l = {.name = "proxy"};

    (void)state;
    check_proxy(&l, NULL, NULL, NULL, "api.github.com", false);
    expect(&l, CHECK_OK, "none", "");
    check_proxy(&l, "http://***@p:3128", "HTTPS_PROXY", NULL, "api.github.com", true);
    expect(&l, CHECK_OK, "http://***@p:3128 (HTTPS_PROXY); to api.github.com through it", "");
    check_proxy(&l, "http://p:3128", "proxy", ".test", "ghes.test", false);
    expect(&l, CHECK_OK, "http://p:3128 (proxy), not for .test; to ghes.test directly", "");
}

static void authorities_must_be_readable(void **state)
{
    struct check_line l = {.name = "certificates"};

    (void)state;
    check_certificates(&l, "/etc/ca.crt", NULL, 0);
    expect(&l, CHECK_OK, "/etc/ca.crt (the system's)", "");
    check_certificates(&l, "/etc/ca.crt", NULL, -ENOENT);
    expect(&l, CHECK_ERROR, "No such file", "ca-certificates");
    check_certificates(&l, "/x", "SSL_CERT_FILE", -EBADMSG);
    expect(&l, CHECK_ERROR, "/x (SSL_CERT_FILE): it contains no PEM", "in SSL_CERT_FILE");
    check_certificates(&l, NULL, NULL, 0);
    expect(&l, CHECK_WARNING, "no file", "ca_file");
}

static void the_cache_directory_must_be_ours_and_writable(void **state)
{
    struct check_cache c = {.dir = "/c",
                            .refusal = "",
                            .owner = "user 1 (yours)",
                            .mode = 0700,
                            .filesystem = "ext4",
                            .has_tmpfile = true,
                            .memory = 256 * MIB};
    struct check_line l = {.name = "cache"};

    (void)state;
    check_cache(&l, &c);
    expect(&l, CHECK_OK, "/c: of user 1 (yours), mode 0700, on ext4", "");
    c.has_tmpfile = false;
    check_cache(&l, &c);
    expect(&l, CHECK_OK, "on ext4 without O_TMPFILE", "");
    c.err = -ENOSPC;
    check_cache(&l, &c);
    expect(&l, CHECK_ERROR, "No space left on device; logs are kept in memory, up to 256.0 MiB",
           "free space");
    c.err = -EACCES;
    check_cache(&l, &c);
    expect(&l, CHECK_ERROR, "Permission denied", "chown");
    c.err = -EPERM;
    c.refusal = "/c belongs to another user";
    check_cache(&l, &c);
    expect(&l, CHECK_ERROR, "/c is refused: /c belongs to another user", "-o cache_dir=");
    c = (struct check_cache){.dir = "/c",
                             .err = -ENOENT,
                             .refusal = "",
                             .owner = "",
                             .filesystem = "nfs4",
                             .has_tmpfile = true};
    check_cache(&l, &c);
    expect(&l, CHECK_WARNING, "does not exist yet", "local disk");
}

static void space_is_what_is_left_above_five_per_cent(void **state)
{
    struct check_line l = {.name = "space"};

    (void)state;
    check_space(&l, 10 * GIB, 100 * GIB, 0, 4 * GIB);
    expect(&l, CHECK_OK, "10.0 GiB of 100.0 GiB free, cache_size 4.0 GiB", "");
    check_space(&l, 5 * GIB, 100 * GIB, 0, 4 * GIB);
    expect(&l, CHECK_ERROR, "no log is kept", "free space");
    check_space(&l, 5 * GIB, 100 * GIB, 4 * GIB, 4 * GIB); /* evicting makes space */
    expect(&l, CHECK_OK, "5.0 GiB", "");
    check_space(&l, 5 * GIB + 10 * MIB, 100 * GIB, 0, 4 * GIB);
    expect(&l, CHECK_WARNING, "10.0 MiB left for logs", "cache_dir=");
    check_space(&l, 5 * GIB + 10 * MIB, 100 * GIB, 0, 8 * MIB);
    expect(&l, CHECK_OK, "", "");
}

static void logs_are_summed_up(void **state)
{
    struct store_totals t = {0};
    struct check_line l = {.name = "logs"};

    (void)state;
    check_logs(&l, &t, 0, 4 * GIB);
    expect(&l, CHECK_OK, "nothing is cached yet", "");
    t = (struct store_totals){.logs = 3, .bytes = 2 * MIB, .records = 5};
    check_logs(&l, &t, 0, 4 * GIB);
    expect(&l, CHECK_OK, "3 logs and 5 records were read, 2.0 MiB of 4.0 GiB, all as they were",
           "");
    check_logs(&l, &t, 1, 4 * GIB);
    expect(&l, CHECK_OK, "lines damage", "");
    t.foreign = 1;
    check_logs(&l, &t, 0, 4 * GIB);
    expect(&l, CHECK_OK, "another version", "");
}

static void findings_tell_what_is_done_about_them(void **state)
{
    static const struct {
        struct store_finding f;
        enum check_state state;
        const char *text, *advice;
    } cases[] = {
        {{STORE_LOG_DAMAGED, "h/logs/01/1", 2, 0, false},
         CHECK_ERROR,
         "v1/h/logs/01/1: damaged: a page",
         "--repair"},
        {{STORE_LOG_DAMAGED, "h/logs/01/1", UINT64_MAX, 0, true},
         CHECK_WARNING,
         "its length is not what was written: deleted",
         ""},
        {{STORE_META_DAMAGED, "h/logs/01/1.meta", 0, 0, false}, CHECK_ERROR, "damaged", "--repair"},
        {{STORE_RECORD_DAMAGED, "h/facts/a~", 0, -EBUSY, false},
         CHECK_ERROR,
         "cannot be deleted: a mount holds",
         "try again"},
        {{STORE_RECORD_DAMAGED, "h/facts/a~", 0, -EROFS, false},
         CHECK_ERROR,
         "Read-only",
         "by hand"},
        {{STORE_LOG_ALONE, "h/logs/01/1", 0, 0, false}, CHECK_WARNING, "left over", "--repair"},
        {{STORE_TEMP_LEFT, "tmp/1.0", 0, 0, false}, CHECK_WARNING, "has ended", "--repair"},
        {{STORE_UNREADABLE, "h/logs/01", 0, -EACCES, false},
         CHECK_ERROR,
         "cannot be read: Permission denied",
         "chown"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct check_line l = {.name = "damage"};
        check_finding(&l, &cases[i].f);
        expect(&l, cases[i].state, cases[i].text, cases[i].advice);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fuse_needs_its_device),
        cmocka_unit_test(a_user_needs_fusermount3_as_root),
        cmocka_unit_test(allow_other_is_an_error_only_where_it_is_wanted),
        cmocka_unit_test(libraries_need_what_is_used_of_them),
        cmocka_unit_test(the_limit_of_open_files_is_judged_as_a_mount_does),
        cmocka_unit_test(the_proxy_is_told_with_where_it_comes_from),
        cmocka_unit_test(authorities_must_be_readable),
        cmocka_unit_test(the_cache_directory_must_be_ours_and_writable),
        cmocka_unit_test(space_is_what_is_left_above_five_per_cent),
        cmocka_unit_test(logs_are_summed_up),
        cmocka_unit_test(findings_tell_what_is_done_about_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
