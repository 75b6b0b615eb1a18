#include "check/local.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define FLOOR_PART 20            /* of the disk stays free, as of the store */
#define LITTLE_BYTES (64u << 20) /* so little space for logs is worth a warning */

/* -- FUSE -------------------------------------------------------------------------------------- */

void check_fuse(struct check_line *l, int err, const char *kernel)
{
    check_add_text(l, "kernel", kernel);
    if (!err) {
        check_set(l, CHECK_OK, "/dev/fuse can be opened, %s", kernel);
        return;
    }
    check_set(l, CHECK_ERROR, "/dev/fuse cannot be opened: %s, %s", strerror(-err), kernel);
    if (err == -EACCES || err == -EPERM)
        check_advise(l, "chmod 666 /dev/fuse; a container needs --device /dev/fuse");
    else
        check_advise(
            l,
            "`modprobe fuse`; a container needs --device /dev/fuse --cap-add SYS_ADMIN, or mount "
            "on the host and bind the directory into it");
}

void check_fusermount(struct check_line *l, const struct check_fusermount *f)
{
    if (f->path)
        check_add_text(l, "path", f->path);
    if (f->is_root) {
        check_set(l, CHECK_OK, "%s: not needed, root mounts without it",
                  f->path ? f->path : "not found");
    } else if (!f->path) {
        check_set(l, CHECK_ERROR, "fusermount3 was not found: only root can mount");
        check_advise(l, "install the package fuse3");
    } else if (f->no_new_privs) {
        check_set(l, CHECK_ERROR, "%s cannot become root here (no_new_privs)", f->path);
        check_advise(l, "mount outside of this sandbox; of a systemd unit, drop NoNewPrivileges=");
    } else if (!f->is_setuid) {
        check_set(l, CHECK_ERROR, "%s is not set-user-ID root: only root can mount", f->path);
        check_advise(l, "install the package fuse3 again, or chmod u+s %s", f->path);
    } else if (f->is_nosuid) {
        check_set(l, CHECK_ERROR, "%s is on a file system mounted nosuid: only root can mount",
                  f->path);
        check_advise(l, "mount that file system with suid");
    } else if (f->has_profile) {
        check_set(
            l, CHECK_OK,
            "%s; AppArmor lets it mount below the home, /mnt, /media, /tmp and $XDG_RUNTIME_DIR "
            "only (/etc/apparmor.d/local/fusermount3 may add to that)",
            f->path);
    } else {
        check_set(l, CHECK_OK, "%s", f->path);
    }
}

void check_allow_other(struct check_line *l, bool is_wanted, bool is_root, bool is_allowed)
{
    if (is_wanted && !is_root && !is_allowed) {
        check_set(l, CHECK_ERROR,
                  "allow_other and allow_root need user_allow_other in /etc/fuse.conf");
        check_advise(l,
                     "`echo user_allow_other >>/etc/fuse.conf` as root, or leave the option out");
    } else if (is_allowed || is_root) {
        check_set(l, CHECK_OK, "%s",
                  is_allowed ? "user_allow_other is in /etc/fuse.conf"
                             : "root may use allow_other");
    } else {
        check_set(l, CHECK_OK,
                  "user_allow_other is not in /etc/fuse.conf: the mount is for its user alone");
    }
}

void check_libraries(struct check_line *l, const struct check_libraries *c)
{
    check_set(l, CHECK_OK, "libfuse %s, %s, %s; sigv4: %s, HTTP/2: not used", c->fuse, c->curl,
              c->archive, c->has_sigv4 ? "yes" : "no");
    check_add_text(l, "libfuse", c->fuse);
    check_add_text(l, "libcurl", c->curl);
    check_add_text(l, "libarchive", c->archive);
    if (!c->has_tls || (c->wants_sigv4 && !c->has_sigv4)) {
        check_set(l, CHECK_ERROR, "%s was built without %s", c->curl,
                  c->has_tls ? "AWS SigV4, which the shared store needs" : "TLS");
        check_advise(l, "use the libcurl of the distribution");
    } else if (!c->has_async_dns) {
        check_set(l, CHECK_WARNING,
                  "%s looks names up one after the other: all transfers wait meanwhile", c->curl);
        check_advise(l, "use the libcurl of the distribution");
    } else if (!c->has_inflate) {
        check_set(l, CHECK_WARNING, "%s was built without zlib: no archive of a run can be read",
                  c->archive);
        check_advise(l, "use the libarchive of the distribution; until then use -o archive_jobs=0");
    }
}

void check_files(struct check_line *l, uint64_t files, bool fits, unsigned logs,
                 unsigned connections, unsigned wanted)
{
    char limit[32];

    snprintf(limit, sizeof(limit), "%" PRIu64, files);
    if (files == UINT64_MAX)
        snprintf(limit, sizeof(limit), "unlimited");
    else
        check_add_number(l, "limit", (int64_t)files);
    if (!fits) {
        check_set(l, CHECK_ERROR, "the limit of open files is %s: too few to mount", limit);
    } else if (connections < wanted) {
        check_set(l, CHECK_WARNING,
                  "the limit of open files is %s: %u connections are used, not %u", limit,
                  connections, wanted);
    } else {
        check_set(l, CHECK_OK, "the limit is %s: up to %u logs and %u connections", limit, logs,
                  connections);
        return;
    }
    check_advise(l, "raise the hard limit: ulimit -Hn, LimitNOFILE= of a unit");
}

/* -- The way out ------------------------------------------------------------------------------- */

void check_proxy(struct check_line *l, const char *redacted, const char *from, const char *no_proxy,
                 const char *api_host, bool is_api_proxied)
{
    if (!redacted) {
        check_set(l, CHECK_OK, "none");
        return;
    }
    check_add_text(l, "url", redacted);
    check_add_text(l, "source", from);
    check_set(l, CHECK_OK, "%s (%s)%s%s; to %s %s", redacted, from, no_proxy ? ", not for " : "",
              no_proxy ? no_proxy : "", api_host, is_api_proxied ? "through it" : "directly");
}

void check_certificates(struct check_line *l, const char *file, const char *from, int err)
{
    if (!file) {
        check_set(l, CHECK_WARNING, "libcurl names no file of authorities");
        check_advise(l, "if TLS fails, give one with -o ca_file=FILE");
        return;
    }
    check_add_text(l, "file", file);
    if (!err) {
        check_set(l, CHECK_OK, "%s (%s)", file, from ? from : "the system's");
        return;
    }
    check_set(l, CHECK_ERROR, "%s (%s): %s", file, from ? from : "the system's",
              err == -EBADMSG ? "it contains no PEM certificate" : strerror(-err));
    if (from)
        check_advise(l, "name a file with certificates in %s, or leave it out", from);
    else
        check_advise(l, "install the package ca-certificates");
}

/* -- The cache --------------------------------------------------------------------------------- */

static void judge_cache_failure(struct check_line *l, const struct check_cache *c)
{
    char memory[16];

    check_print_size(c->memory, memory);
    if (c->err == -EPERM && c->refusal[0]) {
        check_set(l, CHECK_ERROR, "%s is refused: %s", c->dir, c->refusal);
        check_advise(
            l,
            "nobody but its owner may write to it: correct that, or name another directory with -o "
            "cache_dir=");
        return;
    }
    check_set(l, CHECK_ERROR, "%s cannot be written: %s; logs are kept in memory, up to %s", c->dir,
              strerror(-c->err), memory);
    check_advise(
        l, c->err == -ENOSPC || c->err == -EDQUOT
               ? "free space there, or name another directory with -o cache_dir="
               : "make it yours (chown, chmod 700), or name another directory with -o cache_dir=");
}

static bool is_remote(const char *filesystem)
{
    static const char *const types[] = {"nfs", "cifs",      "smb",        "9p",    "ceph",
                                        "afs", "glusterfs", "fuse.sshfs", "lustre"};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (!strncmp(filesystem, types[i], strlen(types[i])))
            return true;
    return false;
}

void check_cache(struct check_line *l, const struct check_cache *c)
{
    char mode[16];

    check_add_text(l, "path", c->dir);
    check_add_text(l, "filesystem", c->filesystem);
    if (c->owner[0]) {
        snprintf(mode, sizeof(mode), "%04o", (unsigned)c->mode);
        check_add_text(l, "owner", c->owner);
        check_add_text(l, "mode", mode);
    }
    if (c->err && c->err != -ENOENT) {
        judge_cache_failure(l, c);
        return;
    }
    if (!c->owner[0])
        check_set(l, CHECK_OK, "%s: does not exist yet, the first mount creates it; on %s%s",
                  c->dir, c->filesystem, c->has_tmpfile ? "" : " without O_TMPFILE");
    else
        check_set(l, CHECK_OK, "%s: of %s, mode %04o, on %s%s", c->dir, c->owner, c->mode,
                  c->filesystem, c->has_tmpfile ? "" : " without O_TMPFILE");
    if (is_remote(c->filesystem)) {
        l->state = CHECK_WARNING;
        check_advise(l, "a cache on a local disk is faster: -o cache_dir=");
    }
}

void check_space(struct check_line *l, uint64_t free, uint64_t total, uint64_t used,
                 uint64_t cache_size)
{
    uint64_t floor = total / FLOOR_PART, usable = free > floor ? free - floor : 0;
    char free_text[16], total_text[16], size_text[16], usable_text[16];

    check_print_size(free, free_text);
    check_print_size(total, total_text);
    check_print_size(cache_size, size_text);
    check_print_size(usable, usable_text);
    check_add_number(l, "free", (int64_t)free);
    check_add_number(l, "total", (int64_t)total);
    check_add_number(l, "used", (int64_t)used);
    check_add_number(l, "cache_size", (int64_t)cache_size);
    if (usable == 0 && used == 0) {
        check_set(l, CHECK_ERROR, "%s of %s free, and 5 %% stay free: no log is kept", free_text,
                  total_text);
    } else if (usable + used < LITTLE_BYTES && usable + used < cache_size) {
        check_set(l, CHECK_WARNING,
                  "%s of %s free, and 5 %% stay free: %s left for logs, though cache_size is %s",
                  free_text, total_text, usable_text, size_text);
    } else {
        check_set(l, CHECK_OK, "%s of %s free, cache_size %s", free_text, total_text, size_text);
        return;
    }
    check_advise(l, "free space there, or name another directory with -o cache_dir=");
}

void check_logs(struct check_line *l, const struct store_totals *t, unsigned found,
                uint64_t cache_size)
{
    char bytes[16], size[16];

    check_print_size(t->bytes, bytes);
    check_print_size(cache_size, size);
    check_add_number(l, "logs", (int64_t)t->logs);
    check_add_number(l, "bytes", (int64_t)t->bytes);
    check_add_number(l, "records", (int64_t)t->records);
    if (!t->logs && !t->records && !found && !t->foreign) {
        check_set(l, CHECK_OK, "nothing is cached yet");
        return;
    }
    check_set(l, CHECK_OK, "%" PRIu64 " log%s and %" PRIu64 " record%s were read, %s of %s%s",
              t->logs, t->logs == 1 ? "" : "s", t->records, t->records == 1 ? "" : "s", bytes, size,
              found        ? "; see the lines damage"
              : t->foreign ? "; those of another version of ghlogfs were not"
                           : ", all as they were written");
}

static void describe(struct check_line *l, const struct store_finding *f, const char **ret_what)
{
    switch (f->flaw) {
    case STORE_LOG_DAMAGED:
        *ret_what = f->page == UINT64_MAX ? "damaged: its length is not what was written"
                                          : "damaged: a page does not match its checksum";
        if (f->page != UINT64_MAX)
            check_add_number(l, "page", (int64_t)f->page);
        break;
    case STORE_META_DAMAGED:
        *ret_what = "damaged: the .meta does not match its checksum, and its log cannot be used";
        break;
    case STORE_RECORD_DAMAGED: *ret_what = "damaged: the record does not match its checksum"; break;
    case STORE_LOG_ALONE: *ret_what = "left over: a log without its .meta"; break;
    case STORE_TEMP_LEFT: *ret_what = "left over by a process that has ended"; break;
    case STORE_UNREADABLE: *ret_what = "cannot be read"; break;
    }
}

void check_finding(struct check_line *l, const struct store_finding *f)
{
    bool is_leftover = f->flaw == STORE_LOG_ALONE || f->flaw == STORE_TEMP_LEFT;
    const char *what = "";

    describe(l, f, &what);
    check_add_text(l, "path", f->path);
    if (f->is_deleted) {
        check_set(l, CHECK_WARNING, "v1/%s: %s: deleted", f->path, what);
    } else if (f->flaw == STORE_UNREADABLE) {
        check_set(l, CHECK_ERROR, "v1/%s: %s: %s", f->path, what, strerror(-f->err));
        check_advise(l, "`chown -R` the cache directory to its user");
    } else if (f->err) {
        check_set(l, CHECK_ERROR, "v1/%s: %s, and cannot be deleted: %s", f->path, what,
                  f->err == -EBUSY ? "a mount holds v1/lock" : strerror(-f->err));
        check_advise(l, f->err == -EBUSY ? "try again" : "delete it by hand");
    } else {
        check_set(l, is_leftover ? CHECK_WARNING : CHECK_ERROR, "v1/%s: %s", f->path, what);
        check_advise(l, "run with --repair, which deletes it%s",
                     is_leftover ? "" : "; it is fetched again when it is read");
    }
}
