#include "main_check.h"

#include "archive/unzip.h"
#include "check/local.h"
#include "diag.h"
#include "fs/session.h"
#include "main_mount.h"
#include "main_process.h"
#include "net/url.h"
#include "options_shared.h"
#include "options_token.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PROBE_BYTES 4096          /* written to a file without a name */
#define AUTHORITIES_MAX (1 << 20) /* of a file, in which a certificate is looked for */

static void add(struct check_report *report, const struct check_line *l)
{
    check_report_add(report, l);
}

/* -- FUSE -------------------------------------------------------------------------------------- */

static void report_fuse(struct check_report *report)
{
    struct check_line l = {.name = "fuse"};
    struct utsname kernel = {.sysname = "unknown"};
    char name[sizeof(kernel.sysname) + sizeof(kernel.release) + 1];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    int err = fd < 0 ? -errno : 0;

    uname(&kernel);
    snprintf(name, sizeof(name), "%s %s", kernel.sysname, kernel.release);
    if (fd >= 0)
        close(fd);
    check_fuse(&l, err, name);
    add(report, &l);
}

/* In the search path, as libfuse finds it where it is not at its usual place. */
static const char *find_fusermount(char **env, char *path, size_t size)
{
    const char *entry = options_environment(env, "PATH");

    for (; entry && *entry; entry += strcspn(entry, ":") + (entry[strcspn(entry, ":")] == ':'))
        if (entry[0] == '/' &&
            snprintf(path, size, "%.*s/fusermount3", (int)strcspn(entry, ":"), entry) < (int)size &&
            access(path, X_OK) == 0)
            return path;
    snprintf(path, size, "/usr/bin/fusermount3");
    return access(path, X_OK) == 0 ? path : NULL;
}

static void report_fusermount(struct check_report *report, char **env)
{
    char path[4096];
    struct check_fusermount f = {.path = find_fusermount(env, path, sizeof(path)),
                                 .is_root = geteuid() == 0,
                                 .no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
                                 .has_profile = !access("/etc/apparmor.d/fusermount3", F_OK)};
    struct check_line l = {.name = "fusermount3"};
    struct statvfs fs;
    struct stat st;

    if (f.path && !stat(f.path, &st))
        f.is_setuid = (st.st_uid == 0 && (st.st_mode & S_ISUID)) ||
                      getxattr(f.path, "security.capability", NULL, 0) > 0;
    if (f.path && !statvfs(f.path, &fs))
        f.is_nosuid = fs.f_flag & ST_NOSUID;
    check_fusermount(&l, &f);
    add(report, &l);
}

static bool has_user_allow_other(void)
{
    FILE *in = fopen("/etc/fuse.conf", "re");
    char line[256], word[sizeof(line)];
    bool found = false;

    while (in && !found && fgets(line, sizeof(line), in))
        found = sscanf(line, "%255s", word) == 1 && !strcmp(word, "user_allow_other");
    if (in)
        fclose(in);
    return found;
}

static void report_libraries(struct check_report *report, const struct options *o)
{
    struct check_line l = {.name = "libraries"};
    char curl[128], archive[128];
    struct net_features features;
    struct check_libraries c = {.fuse = session_library_version(),
                                .curl = curl,
                                .archive = archive,
                                .wants_sigv4 = o->shared && o->shared_location.region[0]};

    net_describe_library(curl, sizeof(curl));
    net_get_features(&features);
    c.has_tls = features.has_tls;
    c.has_sigv4 = features.has_sigv4;
    c.has_async_dns = features.has_async_dns;
    c.has_inflate = unzip_describe_library(archive, sizeof(archive));
    check_libraries(&l, &c);
    add(report, &l);
}

static void report_machine(struct check_report *report, const struct options *o, char **env)
{
    struct check_line other = {.name = "allow_other"}, files = {.name = "open_files"};
    uint64_t limit = process_get_limit(RLIMIT_NOFILE), least;
    unsigned logs = 0, connections = 0;
    bool fits = mount_divide_files(o, limit, &logs, &connections, &least);

    report_fuse(report);
    report_fusermount(report, env);
    check_allow_other(&other, o->allow_other || o->allow_root, geteuid() == 0,
                      has_user_allow_other());
    add(report, &other);
    report_libraries(report, o);
    check_files(&files, limit, fits, logs, connections, o->connections);
    add(report, &files);
}

/* -- The way out ------------------------------------------------------------------------------- */

/* -EBADMSG: no certificate is in the file. */
static int look_for_certificate(const char *file)
{
    FILE *in = fopen(file, "re");
    char line[256];
    size_t read = 0;
    int err = in ? -EBADMSG : -errno;

    while (in && err && read < AUTHORITIES_MAX && fgets(line, sizeof(line), in)) {
        read += strlen(line);
        if (!strncmp(line, "-----BEGIN ", 11) && strstr(line, "CERTIFICATE-----"))
            err = 0;
    }
    if (in && err && ferror(in))
        err = -EIO;
    if (in)
        fclose(in);
    return err;
}

static void report_network(struct check_report *report, const struct options *o)
{
    struct check_line proxy = {.name = "proxy"}, certificates = {.name = "certificates"};
    const struct net_config config = mount_make_net_config(o, 1, NULL);
    char *redacted = o->proxy ? options_describe_proxy(o) : NULL;
    struct net_features features;
    struct net_route route = {0};
    const char *file;

    net_get_features(&features);
    file = o->ca_file ? o->ca_file : features.ca_file;
    if (redacted)
        net_route_find(&config, o->api.url, &route);
    check_proxy(&proxy, redacted, o->proxy_from, o->no_proxy, o->api.host, route.is_proxied);
    add(report, &proxy);
    if (!o->ca_file && file && access(file, F_OK) && features.ca_path &&
        !access(features.ca_path, R_OK | X_OK))
        check_certificates(&certificates, features.ca_path, NULL, 0); /* a folder of them */
    else
        check_certificates(&certificates, file, o->ca_file_from,
                           file ? look_for_certificate(file) : 0);
    add(report, &certificates);
    free(redacted);
}

/* -- The cache --------------------------------------------------------------------------------- */

/* The directory itself, or of what leads to it the last that is there. */
static void find_existing(const char *dir, char *path, size_t size)
{
    char *slash;

    snprintf(path, size, "%s", dir);
    while (access(path, F_OK) && errno == ENOENT && (slash = strrchr(path, '/')) && slash != path)
        *slash = '\0';
    if (!path[0] || (access(path, F_OK) && errno == ENOENT))
        snprintf(path, size, "/");
}

/* "ext4", by the table of mounts. */
static void find_filesystem(dev_t device, char *type, size_t size)
{
    FILE *in = fopen("/proc/self/mountinfo", "re");
    char line[4096], wanted[32], at[32], *behind;

    snprintf(type, size, "an unknown file system");
    snprintf(wanted, sizeof(wanted), "%u:%u", major(device), minor(device));
    while (in && fgets(line, sizeof(line), in)) {
        behind = strstr(line, " - ");
        if (behind && sscanf(line, "%*s %*s %31s", at) == 1 && !strcmp(at, wanted))
            snprintf(type, size, "%.*s", (int)strcspn(behind + 3, " "), behind + 3);
    }
    if (in)
        fclose(in);
}

/* Writes a little to a file that never gets a name. 0, or why it cannot be; has_tmpfile false: the
 * file system knows no such files, and only the right to write was looked at. */
static int try_write(const char *path, bool *ret_has_tmpfile)
{
    static const char data[PROBE_BYTES];
    int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int err = fd < 0 ? -errno : 0;

    *ret_has_tmpfile = true;
    if (err == -EOPNOTSUPP || err == -EISDIR || err == -EINVAL) {
        *ret_has_tmpfile = false;
        return faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) ? -errno : 0;
    }
    if (!err) {
        ssize_t n = pwrite(fd, data, sizeof(data), 0);
        err = n < 0 ? -errno : n < PROBE_BYTES ? -ENOSPC : 0;
        close(fd);
    }
    return err;
}

/* What is found in the logs, and how far it is. */
struct logs {
    struct check_report *report;
    unsigned found;
    bool shows_progress;
    bool is_shown;
};

static void clear_progress(struct logs *logs)
{
    if (logs->is_shown)
        fprintf(stderr, "\r%60s\r", "");
    logs->is_shown = false;
}

static void on_found(void *who, const struct store_finding *f)
{
    struct check_line l = {.name = "damage"};
    struct logs *logs = who;

    clear_progress(logs);
    logs->found++;
    check_finding(&l, f);
    add(logs->report, &l);
}

static void on_progress(void *who, uint64_t done, uint64_t total)
{
    char done_text[16], total_text[16];
    struct logs *logs = who;

    if (!logs->shows_progress)
        return;
    check_print_size(done, done_text);
    check_print_size(total, total_text);
    fprintf(stderr, "\rlogs: %s of %s read", done_text, total_text);
    logs->is_shown = true;
}

static void report_logs(struct check_report *report, const struct options *o, uint64_t *ret_bytes)
{
    struct logs logs = {.report = report, .shows_progress = isatty(STDERR_FILENO)};
    const struct store_checker checker = {
        .repair = o->repair, .found = on_found, .progress = on_progress, .who = &logs};
    struct check_line l = {.name = "logs"};
    char refusal[STORE_REFUSAL_LEN];
    struct store_totals totals;
    int rc = store_check(o->cache_dir, &checker, &totals, refusal);

    clear_progress(&logs);
    if (rc && rc != -ENOENT)
        check_set(&l, CHECK_ERROR, "not all was read: %s", strerror(-rc));
    else
        check_logs(&l, &totals, logs.found, o->cache_size);
    add(report, &l);
    *ret_bytes = totals.bytes;
}

static void report_space(struct check_report *report, const struct options *o, const char *path,
                         uint64_t used)
{
    struct check_line l = {.name = "space"};
    struct statvfs fs;

    if (statvfs(path, &fs))
        check_set(&l, CHECK_SKIPPED, "%s: %s", path, strerror(errno));
    else
        check_space(&l, (uint64_t)fs.f_bavail * fs.f_frsize, (uint64_t)fs.f_blocks * fs.f_frsize,
                    used, o->cache_size);
    add(report, &l);
}

/* Of a directory that is not there yet: whether it could be made. */
static void report_cache(struct check_report *report, const struct options *o)
{
    char path[4096], type[64] = "", owner[64] = "", refusal[STORE_REFUSAL_LEN];
    struct check_cache c = {.dir = o->cache_dir,
                            .refusal = refusal,
                            .owner = owner,
                            .filesystem = type,
                            .memory = o->memory};
    struct check_line l = {.name = "cache"}, logs = {.name = "logs"};
    uint64_t used = 0;
    struct stat st;
    int rc, err;

    find_existing(o->cache_dir, path, sizeof(path));
    if (!stat(path, &st)) {
        find_filesystem(st.st_dev, type, sizeof(type));
        if (!strcmp(path, o->cache_dir))
            snprintf(owner, sizeof(owner), "user %u%s", st.st_uid,
                     st.st_uid == geteuid() ? " (yours)" : "");
        c.mode = st.st_mode & 07777;
    }
    rc = store_check_dir(o->cache_dir, refusal);
    err = rc && rc != -ENOENT ? rc : try_write(path, &c.has_tmpfile);
    c.err = err ? err : rc;
    check_cache(&l, &c);
    add(report, &l);
    if (rc && rc != -ENOENT) {
        check_set(&logs, CHECK_SKIPPED, "see the line cache");
        add(report, &logs);
    } else {
        report_logs(report, o, &used);
    }
    report_space(report, o, path, used);
}

/* -- All of it --------------------------------------------------------------------------------- */

int main_check(struct options *options, char **env)
{
    struct main_check_found found;
    struct check_line cache = {.name = "cache"};
    struct check_report report;
    int rc = check_report_init(&report, options->json, stdout);

    if (rc) {
        diag_print(DIAG_ERROR, "%s", strerror(-rc));
        return 1;
    }
    report_machine(&report, options, env);
    found.token_rc = options_find_token(options, env, found.token_message,
                                        sizeof(found.token_message));
    found.key_rc = options_find_shared_key(options, env, found.key_message,
                                           sizeof(found.key_message));
    process_drop_privileges(NULL); /* a mount of root's has no more rights than these, either */
    report_network(&report, options);
    main_check_github(&report, options, &found);
    main_check_shared(&report, options, &found);
    options_forget_token(options);
    if (options->no_cache) {
        check_set(&cache, CHECK_SKIPPED, "no_cache: nothing is kept on disk");
        add(&report, &cache);
    } else {
        report_cache(&report, options);
    }
    rc = check_report_finish(&report, GHLOGFS_VERSION, options->api.web_host);
    return rc || report.errors ? 1 : 0;
}
