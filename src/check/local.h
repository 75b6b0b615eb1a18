/*
 * local.h - what was found on this machine, and what it means for a mount: each function fills one
 * line. Pure: no I/O.
 */
#ifndef GHLOGFS_CHECK_LOCAL_H
#define GHLOGFS_CHECK_LOCAL_H

#include "check/report.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

/* err: of opening /dev/fuse; 0: it opens. */
void check_fuse(struct check_line *l, int err, const char *kernel);

struct check_fusermount {
    const char *path; /* NULL: it is not in PATH */
    bool is_root;     /* root mounts without it */
    bool is_setuid;   /* or has capabilities of its own */
    bool is_nosuid;   /* its file system ignores that */
    bool no_new_privs;
    bool has_profile; /* AppArmor has one, which says where it may mount */
};

void check_fusermount(struct check_line *l, const struct check_fusermount *f);

/* is_wanted: allow_other or allow_root was given. is_allowed: fuse.conf has user_allow_other. */
void check_allow_other(struct check_line *l, bool is_wanted, bool is_root, bool is_allowed);

struct check_libraries {
    const char *fuse, *curl, *archive; /* versions */
    bool has_tls, has_sigv4, has_async_dns, has_inflate;
    bool wants_sigv4; /* the shared store needs it */
};

void check_libraries(struct check_line *l, const struct check_libraries *c);

/* files: the limit, UINT64_MAX for none; fits: a mount can start with it. */
void check_files(struct check_line *l, uint64_t files, bool fits, unsigned logs,
                 unsigned connections, unsigned wanted);

/* redacted: without user and password; NULL: there is no proxy. */
void check_proxy(struct check_line *l, const char *redacted, const char *from, const char *no_proxy,
                 const char *api_host, bool is_api_proxied);

/* err: of reading `file`; -EBADMSG: no certificate is in it. file NULL: the library knows none. */
void check_certificates(struct check_line *l, const char *file, const char *from, int err);

struct check_cache {
    const char *dir;
    int err;             /* as of store_check, and of writing a file there */
    const char *refusal; /* with -EPERM */
    const char *owner;   /* a name or a number; "": the directory is not there yet */
    unsigned mode;
    const char *filesystem; /* "ext4" */
    bool has_tmpfile;       /* O_TMPFILE */
    uint64_t memory;
};

void check_cache(struct check_line *l, const struct check_cache *c);

/* All in bytes; used: by logs in the cache; free: to users, of total. */
void check_space(struct check_line *l, uint64_t free, uint64_t total, uint64_t used,
                 uint64_t cache_size);

void check_logs(struct check_line *l, const struct store_totals *t, unsigned found,
                uint64_t cache_size);
void check_finding(struct check_line *l, const struct store_finding *f);

#endif
