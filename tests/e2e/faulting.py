"""Reading in spite of faults: what came of it in one word, many logs at once, raw servers.

    got = outcomes(m, {"cut": job, ...}, size)     # {"cut": "right", "gone": "EIO after 0", ...}
    assert got == right(got)

An outcome is never a guess: every byte that was read has been compared with what it has to be.
"""

import concurrent.futures
import contextlib
import errno
import os
import shutil
import socket
import subprocess
import threading
import time

import fake.content
from fake.asking import one_job
from mounting import KIB, REPO, SLOW

READ = 128 * KIB


def made(job, size):
    return fake.content.content(job, 0, size)


def outcome(path, want, pace=0):
    """"right", "ENAME after N" bytes that were right, "wrong at N" or "short: N"."""
    at = 0
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError as error:
        return "%s after 0" % errno.errorcode[error.errno]
    try:
        while data := os.read(fd, READ):
            if data != want[at:at + len(data)]:
                return "wrong at %d" % at
            at += len(data)
            time.sleep(pace)
        return "right" if at == len(want) else "short: %d" % at
    except OSError as error:
        return "%s after %d" % (errno.errorcode[error.errno], at)
    finally:
        os.close(fd)


def each(work, jobs):
    """{name: work(job)} of {name: job}, all at once."""
    with concurrent.futures.ThreadPoolExecutor(max(1, len(jobs))) as pool:
        running = {name: pool.submit(work, job) for name, job in jobs.items()}
        return {name: future.result() for name, future in running.items()}


def outcomes(m, jobs, size):
    return each(lambda job: outcome(m.log(job), made(job, size)), jobs)


def right(got):
    return dict.fromkeys(got, "right")


def names_of(got):
    """{"gone": "EIO"} of {"gone": "EIO after 0"}."""
    return {name: word.split()[0] for name, word in got.items()}


def faulty_jobs(github, faults, size, **fields):
    """A job for each fault {name: spec}; that of the API is found by the job's path."""
    run, jobs = github.add_run(REPO), {}
    for name, spec in faults.items():
        jobs[name] = job = github.add_job(run, size=size, **dict(fields, **spec.get("job_is", {})))
        spec = {key: value for key, value in spec.items() if key != "job_is"}
        where = {"path": "/jobs/%d" % job} if spec["hop"] == "api" else {"job": job}
        github.fault(**dict(spec, **where))
    return jobs


def hits(github):
    """How often each fault has met a request, in the order in which they were made."""
    return [fault["hits"] for fault in github.faults()]


@contextlib.contextmanager
def within(seconds, at_least=0):
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    assert at_least <= took < seconds * SLOW, "it took %.2f s" % took


class RawServer:
    """Sends to every connection the given bytes; no HTTP of its own.

    script(sock, number): what to do once a request's head has come on connection `number`.
    """

    def __init__(self, script, address="127.0.0.1"):
        self.script, self.seen, self.sockets = script, [], []
        self.listener = socket.create_server((address, 0), backlog=64)
        self.url = "http://%s:%d" % self.listener.getsockname()
        self.thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.sockets.append(sock)
                threading.Thread(target=self._serve, args=(sock, len(self.sockets)),
                                 daemon=True).start()

    def _serve(self, sock, number):
        with sock, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = sock.recv(65536)
                if not data:
                    return
                head += data
            self.seen.append(head)
            self.script(sock, number)


# --- a disk that fails, a process that ends at a certain step ------------------------------------

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
/* SHIM=kill:N ends the process at its N-th change of a file, SHIM=NAME:ERRNO fails all calls,
   SHIM=slow:NAME:MS makes each take so long. */
static atomic_int count;
static const char *rule(const char *key)
{
    const char *said = getenv("SHIM");
    size_t len = strlen(key);
    return said && !strncmp(said, key, len) && said[len] == ':' ? said + len + 1 : NULL;
}
static int is_file(int fd) /* on a disk: not in memory, no pipe */
{
    char link[40], name[64] = "";
    struct stat st;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    return !fstat(fd, &st) && S_ISREG(st.st_mode) && readlink(link, name, sizeof(name) - 1) > 0 &&
           strncmp(name, "/memfd:", 7) != 0;
}
static void linger(const char *name)
{
    const char *slow = rule("slow");
    size_t len = strlen(name);
    if (slow && !strncmp(slow, name, len) && slow[len] == ':')
        usleep(1000 * atoi(slow + len + 1));
}
static int fails(const char *name, int is_change)
{
    const char *at = rule("kill"), *err = rule(name);
    linger(name);
    if (at && is_change && atomic_fetch_add(&count, 1) + 1 == atoi(at))
        raise(SIGKILL);
    if (err)
        errno = atoi(err);
    return err != NULL;
}
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WRAP_AS(type, name, word, params, args, change) \
    type name params { \
        if (is_file(fd) && fails(word, change)) return -1; \
        return NEXT(name) args; }
#define WRAP(type, name, params, args, change) WRAP_AS(type, name, #name, params, args, change)
#define WRAP64(type, name, params, args, change) \
    WRAP(type, name, params, args, change) WRAP_AS(type, name##64, #name, params, args, change)
#define WRAP_AT(name, params, args) \
    int name params { if (fails(#name, 1)) return -1; return NEXT(name) args; }
WRAP(ssize_t, write, (int fd, const void *b, size_t n), (fd, b, n), 1)
WRAP64(ssize_t, pwrite, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o), 1)
WRAP64(ssize_t, pread, (int fd, void *b, size_t n, off_t o), (fd, b, n, o), 0)
ssize_t __pread64_chk(int fd, void *b, size_t n, off_t o, size_t most);
WRAP_AS(ssize_t, __pread64_chk, "pread", (int fd, void *b, size_t n, off_t o, size_t most),
        (fd, b, n, o, most), 0)
WRAP_AS(ssize_t, preadv2, "pread", (int fd, const struct iovec *v, int n, off_t o, int f),
        (fd, v, n, o, f), 0)
WRAP_AS(ssize_t, preadv64v2, "pread", (int fd, const struct iovec *v, int n, off_t o, int f),
        (fd, v, n, o, f), 0)
WRAP64(int, ftruncate, (int fd, off_t n), (fd, n), 1)
WRAP64(int, fallocate, (int fd, int m, off_t o, off_t n), (fd, m, o, n), 1)
/* "create": of new files; not counted as a change, as they have no name yet or a temporary one. */
#define WRAP_OPEN(name) \
    int name(int at, const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); int mode = va_arg(more, int); va_end(more); \
        if (((flags & O_TMPFILE) == O_TMPFILE || flags & O_EXCL) && fails("create", 0)) return -1; \
        return NEXT(name)(at, path, flags, mode); }
WRAP_OPEN(openat)
WRAP_OPEN(openat64)
WRAP_AT(linkat, (int a, const char *o, int b, const char *n, int f), (a, o, b, n, f))
WRAP_AT(renameat, (int a, const char *o, int b, const char *n), (a, o, b, n))
WRAP_AT(unlinkat, (int a, const char *n, int f), (a, n, f))
WRAP_AT(mkdirat, (int a, const char *n, mode_t m), (a, n, m))
"""


def build_shim(folder):
    """A library to be preloaded, or None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        return None
    source, made_at = folder / "shim.c", folder / "shim.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-U_FORTIFY_SOURCE", "-o", made_at, source,
                    "-ldl"], check=True, timeout=60)
    return made_at


def named_logs(cache):
    """{job: file} of all that have a log's name in this cache directory."""
    return {int(file.name): file for file in cache.glob("v1/*/logs/*/*") if file.name.isdigit()}


def torn(cache, size):
    """The jobs whose named file is not their whole log."""
    return [job for job, file in named_logs(cache).items() if file.read_bytes() != made(job, size)]


__all__ = ["RawServer", "build_shim", "each", "faulty_jobs", "hits", "made", "named_logs",
           "names_of", "one_job", "outcome", "outcomes", "right", "torn", "within"]
