"""However the process was started and is treated: with closed descriptors, signals ignored or
blocked, limits of every kind. The mount works, or does not come up and prints why; it never dies
and leaves a dead mount behind."""

import contextlib
import errno
import os
import resource
import select
import signal
import stat
import subprocess

import pytest

from fake.asking import one_job
from faulting import build_shim, made, named_logs, names_of, outcome, outcomes, right, torn
from mounting import (KIB, MIB, PLAIN, SLOW, WRAP, MountFailed, clean_environment, command,
                      daemons_of, forget, mounted, option_words, run, status_of, traffic, unmount,
                      wait_for)

SIZE = 300_000


def limit(which, value):
    """before=limit("FSIZE", 0): soft and hard, as `ulimit` sets them."""
    number = getattr(resource, "RLIMIT_" + which)
    return lambda: resource.setrlimit(number, (value, value))


def limit_running(m, which, value):
    """The soft limit: only root may raise the hard one again."""
    number = getattr(resource, "RLIMIT_" + which)
    resource.prlimit(m.pid, number, (value, resource.prlimit(m.pid, number)[1]))


def jobs_of(github, count, size=SIZE):
    return {number: one_job(github, size=size) for number in range(count)}


@pytest.fixture
def point(folder):
    made_here = folder / "point"
    made_here.mkdir()
    yield made_here
    for pid in daemons_of(made_here):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    unmount(made_here, lazy=True)


# --- descriptors 0, 1 and 2 ----------------------------------------------------------------------

WHERE = ("background", "foreground")


def closing(which):
    """Closes those descriptors of 0, 1, 2 whose bit is set."""
    def close():
        for fd in range(3):
            if which >> fd & 1:
                with contextlib.suppress(OSError):
                    os.close(fd)
    return close


def start(github, folder, point, where, before, **options):
    words = option_words({"api_url": github.api, "cache_dir": folder / "cache", **options})
    flag = ["-f"] if where == "foreground" else []
    env = clean_environment(folder, GH_ENTERPRISE_TOKEN=github.token)
    return subprocess.Popen(command(*flag, *words, point), env=env, cwd=folder,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, preexec_fn=before)


def wait_until_mounted(process, point, where):
    if where == "background":
        assert process.wait(20 * SLOW) == 0
    else:
        wait_for(lambda: mounted(point) or process.poll() is not None, 20)
    assert mounted(point)


def check_end(process, point, where):
    assert unmount(point).returncode == 0
    wait_for(lambda: not daemons_of(point), why="the daemon did not end")
    assert process.wait(20 * SLOW) == 0 and not mounted(point)


@pytest.mark.skipif(bool(WRAP), reason="valgrind wants its own descriptors")
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("which", range(1, 8))
def test_closed_descriptors(github, folder, fuse, point, which, where):
    """As cron and init scripts do it. No file of the mount's own gets such a number."""
    job = one_job(github, size=SIZE)
    process = start(github, folder, point, where, closing(which))
    wait_until_mounted(process, point, where)
    assert outcome(point / "octo/hello/jobs" / str(job) / "log", made(job, SIZE)) == "right"
    (pid,) = daemons_of(point)
    for fd in range(3):
        assert os.readlink("/proc/%d/fd/%d" % (pid, fd)) == "/dev/null"
    check_end(process, point, where)


@pytest.mark.skipif(bool(WRAP), reason="valgrind wants its own descriptors")
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("which", (2, 4, 7))
def test_a_start_that_fails_with_closed_descriptors(github, folder, fuse, point, which, where):
    process = start(github, folder, folder / "missing", where, closing(which))
    assert process.wait(20 * SLOW) == 1
    process = start(github, folder, point, where, closing(which), colour="red")
    assert process.wait(20 * SLOW) == 2
    assert not mounted(point)


@pytest.fixture
def device_of_users(fuse):
    """As udev sets it up; where there is none, as in a container, it may be root's alone."""
    mode = stat.S_IMODE(os.stat("/dev/fuse").st_mode)
    os.chmod("/dev/fuse", mode | 0o666)
    yield
    os.chmod("/dev/fuse", mode)


@pytest.mark.alone      # for the device is everybody's
@pytest.mark.skipif(os.getuid() != 0 or bool(WRAP), reason="needs root to become a user")
@pytest.mark.parametrize("which", (1, 6, 7))
def test_closed_descriptors_of_a_user(github, folder, device_of_users, point, which):
    """fusermount3 mounts, and reports it through a socket."""
    job = one_job(github, size=SIZE)
    os.chmod(folder, 0o755)
    for made_here in (point, folder / "own"):
        made_here.mkdir(exist_ok=True)
        os.chown(made_here, 65534, 65534)

    def become():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        closing(which)()

    process = start(github, folder, point, "background", become, cache_dir=folder / "own" / "c")
    wait_until_mounted(process, point, "background")
    log = point / "octo/hello/jobs" / str(job) / "log"
    done = subprocess.run(["cat", log], capture_output=True, user=65534, group=65534,
                          extra_groups=[])
    assert done.stdout == made(job, SIZE), done.stderr
    check_end(process, point, "background")


@pytest.mark.parametrize("number", (3, 4, 9, 63))
@pytest.mark.skipif(bool(WRAP), reason="valgrind's own")
def test_other_descriptors_are_not_held(github, folder, fuse, point, number):
    """A lock (`flock 9`) or a pipe of the caller's is his again once the mount answers."""
    ends = os.pipe()

    def before():
        os.dup2(ends[1], number)
        os.set_inheritable(number, True)
        for fd in set(ends) - {number}:
            os.close(fd)

    words = option_words({"api_url": github.api, "cache_dir": folder / "cache"})
    env = clean_environment(folder, GH_ENTERPRISE_TOKEN=github.token)
    process = subprocess.Popen(command(*words, point), env=env, cwd=folder, close_fds=False,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=before)
    wait_until_mounted(process, point, "background")
    os.close(ends[1])
    with open(ends[0], "rb") as rest:
        assert select.select([rest], [], [], 10 * SLOW)[0], "a process still has the other end"
        assert rest.read() == b""
    job = one_job(github, size=SIZE)
    assert outcome(point / "octo/hello/jobs" / str(job) / "log", made(job, SIZE)) == "right"
    check_end(process, point, "background")


def test_a_token_out_of_a_pipe(github, folder, fuse, point):
    """`-o token_file=<(command)`: it is read before anything is closed."""
    job = one_job(github, size=SIZE)
    ends = os.pipe()
    os.write(ends[1], github.token.encode() + b"\n")
    os.close(ends[1])
    words = option_words({"api_url": github.api, "cache_dir": folder / "cache",
                          "token_file": "/dev/fd/%d" % ends[0]})
    process = subprocess.Popen(command(*words, point), env=clean_environment(folder),
                               pass_fds=[ends[0]], stdin=subprocess.DEVNULL)
    os.close(ends[0])
    wait_until_mounted(process, point, "background")
    assert outcome(point / "octo/hello/jobs" / str(job) / "log", made(job, SIZE)) == "right"
    check_end(process, point, "background")


# --- signals -------------------------------------------------------------------------------------

ENDING = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGXCPU")
HARMLESS = ("SIGPIPE", "SIGXFSZ", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU", "SIGVTALRM",
            "SIGPROF", "SIGIO", "SIGPWR", "SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH", "SIGRTMIN",
            "SIGRTMAX")


@pytest.mark.parametrize("name", ENDING)
def test_a_signal_that_ends_the_mount(mount, name):
    """In good order: unmounted, status 0."""
    m = mount()
    os.kill(m.pid, getattr(signal, name))
    assert m.process.wait(10 * SLOW) == 0 and not mounted(m.path)


@pytest.mark.skipif(bool(WRAP), reason="some are valgrind's own")
def test_signals_that_do_not(github, mount):
    jobs = jobs_of(github, len(HARMLESS))
    m = mount()
    for name, job in zip(HARMLESS, jobs.values()):
        for _ in range(3):
            os.kill(m.pid, getattr(signal, name))
        assert outcome(m.log(job), made(job, SIZE)) == "right", name


def ignoring(*names):
    return lambda: [signal.signal(getattr(signal, name), signal.SIG_IGN) for name in names]


@pytest.mark.parametrize("name", ("SIGHUP", "SIGINT", "SIGQUIT", "SIGALRM"))
def test_a_signal_that_was_ignored_stays_so(github, mount, name):
    """By nohup, or by a shell that starts it with `&`."""
    job = one_job(github, size=SIZE)
    m = mount(before=ignoring(name))
    os.kill(m.pid, getattr(signal, name))
    assert outcome(m.log(job), made(job, SIZE)) == "right"
    assert m.process.poll() is None


def test_sigterm_ends_it_also_where_it_was_ignored_and_blocked(mount):
    def before():
        ignoring("SIGTERM", "SIGCHLD", "SIGPIPE", "SIGUSR1")()
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    mount(before=before).stop("term")
    mount(before=before).stop()


def test_the_token_of_gh_where_children_are_ignored(github, mounts, folder):
    job = one_job(github, size=SIZE)
    tools = folder / "tools"
    tools.mkdir()
    (tools / "gh").write_text("#!/bin/sh\necho %s\n" % github.token)
    (tools / "gh").chmod(0o755)
    m = mounts(github=github, token=None, env={"PATH": "%s:/usr/bin:/bin" % tools},
               before=ignoring("SIGCHLD"))
    assert outcome(m.log(job), made(job, SIZE)) == "right"


# --- where it stands -----------------------------------------------------------------------------

@pytest.mark.parametrize("where", WHERE)
def test_a_working_directory_that_is_deleted(github, folder, fuse, point, where):
    job = one_job(github, size=SIZE)
    gone = folder / "gone"
    gone.mkdir()

    def before():
        os.chdir(gone)
        gone.rmdir()

    process = start(github, folder, point, where, before)
    wait_until_mounted(process, point, where)
    assert outcome(point / "octo/hello/jobs" / str(job) / "log", made(job, SIZE)) == "right"
    check_end(process, point, where)


@pytest.mark.parametrize("mask", (0o000, 0o777))
def test_any_umask(github, mount, mask):
    job = one_job(github, size=SIZE)
    m = mount(before=lambda: os.umask(mask))
    assert outcome(m.log(job), made(job, SIZE)) == "right"
    m.stop()
    modes = {path.stat().st_mode & 0o777 for path in m.cache.rglob("*")}
    assert named_logs(m.cache) and modes <= {0o700, 0o600}


# --- limits: the size of files -------------------------------------------------------------------

LARGE = 2 * MIB + 5


@pytest.mark.skipif(bool(WRAP), reason="valgrind writes files of its own")
@pytest.mark.parametrize("most", (0, 512, 100 * KIB, 1000 * KIB))
def test_r3_files_may_not_be_as_large_as_a_log(github, mount, most):
    """`ulimit -f`: what is larger is read in memory, cleaned text too; what fits is kept."""
    jobs, small = jobs_of(github, 4, LARGE), one_job(github, size=min(most, 50_000))
    m = mount(before=limit("FSIZE", most))
    for _ in range(2):
        assert outcomes(m, jobs, LARGE) == right(jobs)
        assert outcome(m.log(small), made(small, min(most, 50_000))) == "right"
    text = (m.folder(jobs[0]) / "log.txt").read_bytes()
    assert m.json(jobs[0]).read_bytes()
    m.stop()
    assert most < 100 * KIB or list(named_logs(m.cache)) == [small]
    again = mount(cache=m.cache)
    assert outcomes(again, jobs, LARGE) == right(jobs)
    assert (again.folder(jobs[0]) / "log.txt").read_bytes() == text and len(text) > LARGE // 2
    again.stop()
    assert not set(torn(m.cache, LARGE)) & set(jobs.values())


@pytest.mark.skipif(bool(WRAP), reason="valgrind writes files of its own")
def test_r3_the_end_of_a_log_beyond_the_limit(github, mount):
    """Memory has to hold what is read, not the whole log."""
    job = one_job(github, size=200 * MIB)
    m = mount(before=limit("FSIZE", MIB), memory="16M")
    done = run("tail", "-c", "100000", m.log(job))
    assert done.stdout == made(job, 200 * MIB)[-100000:]


def test_r3_a_limit_of_files_set_while_a_log_is_read(github, mount):
    job = one_job(github, size=LARGE)
    m = mount()
    with open(m.log(job), "rb", buffering=0) as file:
        assert file.read(1000) == made(job, 1000)
        limit_running(m, "FSIZE", 300 * KIB)
        others = jobs_of(github, 3, LARGE)
        assert outcomes(m, others, LARGE) == right(others)
        assert file.read(LARGE) or True
    assert outcome(m.log(job), made(job, LARGE)) == "right"


def test_a_limit_of_files_is_logged(mount):
    m = mount(before=limit("FSIZE", 40 * MIB))
    assert str(40 * MIB) in m.stderr and "ulimit -f" in m.stderr


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    made_at = PLAIN and build_shim(tmp_path_factory.mktemp("shim"))
    if not made_at:
        pytest.skip("nothing can be preloaded, or there is no C compiler")
    return made_at


@pytest.mark.parametrize("call", ("pwrite", "fallocate", "create"))
@pytest.mark.parametrize("name", ("ENOSPC", "EDQUOT", "EFBIG", "EACCES", "EROFS", "ESTALE", "EIO",
                                  "EPERM", "ENOENT", "ENOMEM", "EMFILE", "ENFILE"))
def test_r3_no_error_of_the_disk_reaches_a_reader(github, mount, shim, name, call):
    """EDQUOT would be GitHub's quota, EACCES its refusal. What fits in memory is read."""
    small, large = jobs_of(github, 3), jobs_of(github, 2, 8 * MIB)
    m = mount(env={"LD_PRELOAD": shim, "SHIM": "%s:%d" % (call, getattr(errno, name))},
              memory="3M")
    assert outcomes(m, small, SIZE) == right(small)
    got = names_of(outcomes(m, large, 8 * MIB))
    assert set(got.values()) == ({"right"} if call == "fallocate" else {"EFBIG"}), got


# --- limits: open files --------------------------------------------------------------------------

FEW = 64


@pytest.mark.skipif(bool(WRAP), reason="valgrind needs descriptors of its own")
@pytest.mark.parametrize("most", (40, FEW, 100))
def test_r3_more_logs_than_files_may_be_open(github, mount, most):
    """All held open at once, all read again and again; the files of some are closed for others."""
    jobs = jobs_of(github, 150)
    m = mount(before=limit("NOFILE", most))
    assert "LimitNOFILE" in m.stderr
    assert outcomes(m, jobs, SIZE) == right(jobs)
    for _ in range(2):
        with contextlib.ExitStack() as stack:
            files = {job: stack.enter_context(open(m.log(job), "rb")) for job in jobs.values()}
            for _ in range(2):
                for job, file in files.items():
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    file.seek(0)
                    assert file.read() == made(job, SIZE)
        m.stop()
        forget(github)
        m = mount(cache=m.cache, before=limit("NOFILE", most))
    assert traffic(github).requests == (0, 0), "what was kept is read from the disk"


@pytest.mark.skipif(not PLAIN, reason="libcurl 7.88 itself leaks where it gets no socket")
def test_r3_no_file_can_be_opened_any_more(github, mount):
    """By no process: whatever comes of it is in the table of errors, and passes."""
    jobs, more = jobs_of(github, 20), jobs_of(github, 20)
    m = mount()
    assert outcomes(m, jobs, SIZE) == right(jobs)
    limit_running(m, "NOFILE", 10)
    got = names_of(outcomes(m, {**jobs, **{number + 100: job for number, job in more.items()}},
                             SIZE))
    assert set(got.values()) <= {"right", "EIO", "ECONNREFUSED", "EHOSTUNREACH", "ETIMEDOUT"}, got
    limit_running(m, "NOFILE", 1024)
    wait_for(lambda: outcomes(m, more, SIZE) == right(more), 20, 0.5)
    assert outcomes(m, jobs, SIZE) == right(jobs)


@pytest.mark.skipif(bool(WRAP), reason="valgrind needs descriptors of its own")
@pytest.mark.parametrize("most", (16, 24, 39))
def test_too_few_files(mount, most):
    with pytest.raises(MountFailed) as caught:
        mount(before=limit("NOFILE", most))
    assert caught.value.status == 1 and "ulimit -n" in caught.value.stderr


# --- other limits --------------------------------------------------------------------------------

@pytest.mark.skipif(not PLAIN, reason="sanitizers and valgrind want terabytes")
@pytest.mark.parametrize("which", ("AS", "DATA"))
@pytest.mark.parametrize("most", (12, 18, 24, 32, 48, 80))
def test_little_memory(github, mount, which, most):
    """It works, or fails at the start with a message; it does not crash."""
    jobs = jobs_of(github, 30, LARGE)
    try:
        m = mount(before=limit(which, most * MIB))
        got = names_of(outcomes(m, jobs, LARGE))
        # Its first thread may have answered before the second could not be started.
        if not mounted(m.path):
            raise m.gone()
    except MountFailed as failed:
        assert failed.status in (1, 127, "none: mounted and gone") and failed.stderr, failed
        return
    assert set(got.values()) <= {"right", "ENOMEM", "EFBIG", "EIO", "ECONNREFUSED",
                                  "EHOSTUNREACH"}, got
    assert m.process.poll() is None


@pytest.mark.skipif(not PLAIN, reason="sanitizers and valgrind have stacks of their own")
@pytest.mark.parametrize("most", (64 * KIB, 256 * KIB, 1 << 30))
def test_any_stack(github, mount, most):
    """Also when pages on disk are compared, which takes most."""
    jobs = jobs_of(github, 4, LARGE)
    m = mount(before=limit("STACK", most))
    assert outcomes(m, jobs, LARGE) == right(jobs)
    assert status_of(m.pid, "VmSize") < 1 << 30, "the stacks of threads grew with the limit"
    m.stop()
    m = mount(cache=m.cache, before=limit("STACK", most))
    assert outcomes(m, jobs, LARGE) == right(jobs)


@pytest.mark.parametrize("which", ("SIGPENDING", "MEMLOCK", "MSGQUEUE", "CORE", "RTPRIO", "NICE"))
def test_none_of_it_at_all(github, mount, which):
    jobs = jobs_of(github, 4, LARGE)
    m = mount(before=limit(which, 0))
    assert outcomes(m, jobs, LARGE) == right(jobs)
    m.stop("term")


@pytest.mark.skipif(bool(WRAP), reason="valgrind uses it up before")
@pytest.mark.limit(120)
def test_the_time_of_the_processor_is_used_up(mount):
    """A second before it would be killed it ends in good order."""
    m = mount(before=limit("CPU", 2))
    with contextlib.suppress(OSError):
        while m.process.poll() is None:
            for _ in range(1000):
                with contextlib.suppress(FileNotFoundError):
                    os.stat(m.path / "octo" / "hello" / "jobs" / "x")
    assert m.process.wait(20 * SLOW) == 0 and not mounted(m.path)


@pytest.mark.skipif(os.getuid() != 0 or bool(WRAP), reason="needs root to become a user")
def test_no_thread_can_be_started(folder, mounts):
    os.chmod(folder, 0o755)

    def before():
        limit("NPROC", 1)()
        os.setgid(65533)
        os.setuid(65533)

    try:
        with pytest.raises(MountFailed) as caught:
            mounts(github=None, token=None, offline=True, before=before, no_cache=True)
    except PermissionError:
        pytest.skip("the binary is not for other users")
    assert caught.value.status == 1 and "ulimit -u" in caught.value.stderr
