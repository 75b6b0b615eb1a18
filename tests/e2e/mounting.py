"""The real binary on a real mount: start it, wait for it, end it, and see that it ended well.

    def test_it(github, mount):
        job = one_job(github, size=5050)
        m = mount(deadline=5, offline=True)     # options: names of -o, True for those without value
        m.log(job).read_bytes()                 # m.path, m.log(job), m.json(job), m.folder(job)
        m.stop()                                # unmount, end, checks; else after the test
        mount(cache=m.cache)                    # another mount over the same cache directory

Environment: GHLOGFS_BIN (the binary), GHLOGFS_WRAP (words before it, such as "valgrind -q"),
GHLOGFS_SLOW (factor on every patience, for sanitizers and valgrind).
"""

import contextlib
import dataclasses
import errno
import os
import pathlib
import re
import resource
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("GHLOGFS_BIN") or ROOT / "build" / "release" / "ghlogfs")
WRAP = shlex.split(os.environ.get("GHLOGFS_WRAP", ""))
REPO = "octo/hello"
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
REPORTS = re.compile(r"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error:"
                     r"|ERROR SUMMARY: [1-9]|(definitely|indirectly) lost: [1-9]"
                     r"|Assertion .* failed|stack smashing|free\(\)|malloc\(\)")


def _slow():
    if "GHLOGFS_SLOW" in os.environ:
        return float(os.environ["GHLOGFS_SLOW"])
    if WRAP:
        return 10.0
    return 4.0 if pathlib.Path(BINARY).parent.name in ("asan", "tsan") else 1.0


SLOW = _slow()
PLAIN = not WRAP and SLOW == 1.0        # neither sanitizers nor valgrind: memory can be measured


class MountFailed(Exception):
    """The binary ended before the mount answered."""

    def __init__(self, status, stdout, stderr):
        super().__init__("exit status %s\n%s%s" % (status, stdout, stderr))
        self.status, self.stdout, self.stderr = status, stdout, stderr


# --- looking at mounts and processes -------------------------------------------------------------

def mounted(path):
    """(device minor, type, source) of what is mounted right there, or None; asks no file system."""
    found = None
    with open("/proc/self/mountinfo") as lines:
        for line in lines:
            left, _, right = line.partition(" - ")
            words = left.split(" ")
            if words[4].encode().decode("unicode_escape") == str(path):
                found = (int(words[2].split(":")[1]), *right.split(" ")[:2])
    return found


def wait_for(what, seconds=10.0, every=0.01, why="waited in vain"):
    """The first true value of what(), within so long."""
    end = time.monotonic() + seconds * SLOW
    while not (value := what()):
        assert time.monotonic() < end, why
        time.sleep(every)
    return value


def unmount(path, lazy=False):
    words = ["fusermount3", "-u", *(["-z"] if lazy else []), "--", str(path)]
    return subprocess.run(words, capture_output=True, text=True, timeout=30)


def answers(path):
    """Whether a process serves this mount; the kernel cannot answer this from memory."""
    try:
        os.statvfs(path)
        return True
    except OSError:
        return False


def abort_connection(path):
    """Let the kernel end everything that waits for this mount."""
    found = mounted(path)
    if found:
        with contextlib.suppress(OSError):
            pathlib.Path("/sys/fs/fuse/connections/%d/abort" % found[0]).write_text("1")


def status_of(pid, name):
    """A number of /proc/PID/status: Threads, VmRSS (in bytes), VmHWM ..."""
    for line in open("/proc/%d/status" % pid):
        if line.startswith(name + ":"):
            words = line.split()
            return int(words[1]) * (KIB if words[-1] == "kB" else 1)
    raise KeyError(name)


def daemons_of(path, within=b""):
    """Ids of the processes that have this mountpoint on their command line, and these bytes."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            line = pathlib.Path("/proc", entry, "cmdline").read_bytes()
            words = line.split(b"\0")
            names = [word.rpartition(b"/")[2] for word in words]
            if os.fsencode(path) in words and b"ghlogfs" in names and within in line:
                found.append(int(entry))
    return found


def clean_environment(home, **more):
    """What a process of a test sees: nothing of the tester's own settings."""
    env = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(home), "LANG": "C.UTF-8",
           "XDG_CACHE_HOME": str(home / ".cache")}
    env.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
    env.update({k: str(v) for k, v in more.items() if v is not None})
    return {k: v for k, v in env.items() if more.get(k, "") is not None}


def command(*arguments, binary=BINARY):
    return [*WRAP, str(binary), *map(str, arguments)]


def for_users(folder):
    """A copy of the binary that every user can run: the checkout may be below /root."""
    folder.chmod(0o755)
    return shutil.copy(BINARY, folder / "ghlogfs")


def option_words(options):
    """["-o", "a=1,b"] of {"a": 1, "b": True}; None and False leave an option out."""
    words = [key if value is True else "%s=%s" % (key, str(value).replace(",", "\\,"))
            for key, value in options.items() if value is not None and value is not False]
    return ["-o", ",".join(words)] if words else []


@contextlib.contextmanager
def soft_limit(which, value):
    """What is started in the block starts with this soft limit; None: as high as the hard one."""
    before = resource.getrlimit(which)
    resource.setrlimit(which, (before[1] if value is None else value, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(which, before)


# --- a mount -------------------------------------------------------------------------------------

class Mount:
    """One process in the foreground and its mountpoint, in a folder of its own."""

    def __init__(self, github, folder, cache=None, token="env", host=None, arguments=(), env=None,
                 path=None, secrets=(), before=None, **options):
        self.github, self.before = github, before   # before(): in the process, ahead of the binary
        self.home = folder / "home"
        self.path = path or folder / "mnt"
        self.cache = cache or folder / "cache"
        for made in (self.home, self.path):
            made.mkdir(parents=True, exist_ok=True)
        self.secrets = [s for s in (github.token if github else None, *secrets) if s]
        self.errors, self.output = folder / "stderr", folder / "stdout"
        self.ended = False
        options = {"cache_dir": self.cache, **options}
        if github and not host and "api_url" not in options:
            options["api_url"] = github.api
        more = dict(env or {})
        if token == "file":
            self.token_file = folder / "token"
            self.token_file.write_text(github.token + "\n")
            self.token_file.chmod(0o600)
            options["token_file"] = self.token_file
        elif token == "env":
            more.setdefault("GH_ENTERPRISE_TOKEN", github.token)
        elif token:
            more["GH_ENTERPRISE_TOKEN"] = token
        self.words = command("-f", *arguments, *option_words(options), *([host] if host else []),
                             self.path)
        self.env = clean_environment(self.home, **more)

    def start(self):
        dead = mounted(self.path)       # what a killed one left behind, to be replaced
        with open(self.errors, "wb") as err, open(self.output, "wb") as out:
            self.process = subprocess.Popen(self.words, env=self.env, cwd=self.home,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            preexec_fn=self.before)
        self.pid = self.process.pid
        end = time.monotonic() + 10 * SLOW
        while not mounted(self.path) or (dead and not answers(self.path)):
            if self.process.poll() is not None:
                self.ended = True
                raise MountFailed(self.process.returncode, self.stdout, self.stderr)
            if time.monotonic() > end:
                self.kill()
                raise MountFailed("none: not mounted in time", self.stdout, self.stderr)
            time.sleep(0.005)
        # In a process of its own, because what does not answer would hang this one. Without a
        # mount it is the folder below that answers.
        done = subprocess.run(["stat", "-f", str(self.path)], capture_output=True,
                              timeout=10 * SLOW)
        if done.returncode or not mounted(self.path):
            raise self.gone()
        return self

    def gone(self):
        """The error for one that ends by itself after it was mounted for a moment."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5 * SLOW)
        status = self.process.poll()
        self.kill()
        return MountFailed("none: mounted and gone" if status is None else status, self.stdout,
                           self.stderr)

    # --- paths ---

    def repo(self, repo=REPO):
        return self.path / repo

    def folder(self, job, repo=REPO):
        return self.path / repo / "jobs" / str(job)

    def log(self, job, repo=REPO):
        return self.folder(job, repo) / "log"

    def json(self, job, repo=REPO):
        return self.folder(job, repo) / "job.json"

    # --- what it printed ---

    @property
    def stderr(self):
        return self.errors.read_text(errors="replace") if self.errors.exists() else ""

    @property
    def stdout(self):
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    # --- the end ---

    def stop(self, how="unmount", within=5.0):
        """Unmount (or "term": SIGTERM) and check that it ended well; at once where it has ended."""
        if self.ended:
            return
        if how == "unmount":
            self._unmount()
        else:
            os.kill(self.pid, signal.SIGTERM)
        try:
            status = self.process.wait(within * SLOW)
        except subprocess.TimeoutExpired:
            got = self.threads()
            self.kill()
            pytest.fail("did not end within %g s of %s\n%s%s" % (
                within * SLOW, how, got, self.stderr))
        self.ended = True
        assert status == 0, "exit status %d\n%s" % (status, self.stderr)
        assert not mounted(self.path), "it ended and left its mount behind"
        self.check_output()

    def _unmount(self):
        for _ in range(40):
            done = unmount(self.path)
            if done.returncode == 0 or not mounted(self.path):
                return
            time.sleep(0.05 * SLOW)
        unmount(self.path, lazy=True)
        self.kill()
        pytest.fail("could not unmount: " + done.stderr)

    def kill(self):
        """SIGKILL, and the dead mount taken away."""
        self.ended = True
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            abort_connection(self.path)
            self.process.wait(30)
        if mounted(self.path):
            unmount(self.path, lazy=True)

    def check_output(self):
        output = self.stderr + self.stdout
        assert not REPORTS.search(output), output
        for secret in self.secrets:
            assert secret not in output, "a token was printed"
        assert not re.search("sig=|[sS]ignature=", output), "a signed URL was printed"

    def threads(self):
        """What each thread waits for, for the report of a hang."""
        lines = []
        for task in pathlib.Path("/proc/%d/task" % self.pid).glob("*"):
            with contextlib.suppress(OSError):
                lines.append("%s %s %s\n" % (task.name, (task / "comm").read_text().strip(),
                                             (task / "wchan").read_text().strip()))
        return "".join(lines)


class Mounts:
    """The factory behind the fixture `mount`: makes them, and ends them whatever happens."""

    def __init__(self, github, folder, seconds):
        self.github, self.base, self.all, self.hung = github, folder, [], ""
        self.timer = threading.Timer(seconds * SLOW, self._too_long)
        self.timer.daemon = True
        self.timer.start()

    def __call__(self, **how):
        github = how.pop("github", self.github)
        folder = self.base / ("m%d" % len(self.all))
        folder.mkdir()
        made = Mount(github, folder, **how)
        self.all.append(made)
        return made.start()

    def _too_long(self):
        """The test hangs: take away what it waits for."""
        for m in self.all:
            if not m.ended and hasattr(m, "process"):
                self.hung += "hung mount of process %d\n%s%s" % (m.pid, m.threads(), m.stderr)
                with contextlib.suppress(OSError):
                    os.kill(m.pid, signal.SIGKILL)
                abort_connection(m.path)

    def finish(self, failed):
        problems = []
        for m in reversed(self.all):
            try:
                if failed or self.hung:
                    self._end_anyhow(m)
                else:
                    m.stop()
            except BaseException as problem:
                problems.append(problem)
                self._end_anyhow(m)
        self.timer.cancel()
        assert not self.hung, self.hung
        if problems:
            raise problems[0]

    @staticmethod
    def _end_anyhow(m):
        """After a failure: in good order where possible; prints what the daemon printed."""
        if m.stderr:
            print("stderr of %s:\n%s" % (m.path, m.stderr))
        if m.ended or not hasattr(m, "process"):
            return
        os.kill(m.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            m.process.wait(3 * SLOW)
        m.kill()


# --- traffic -------------------------------------------------------------------------------------

@dataclasses.dataclass
class Traffic:
    """What the server saw since the last `forget`: requests begun, those charged, body bytes."""

    api: int
    storage: int
    charged: int
    bytes: int
    entries: list

    def of(self, hop):
        return [entry for entry in self.entries if entry["hop"] == hop]

    @property
    def requests(self):
        return self.api, self.storage


def traffic(github, settle=True):
    """The traffic so far, once nothing more is under way (unless asked not to wait)."""
    looks, end = [], time.monotonic() + 10 * SLOW
    while settle:
        counters = github.counters()
        busy = counters["api"]["active"] + counters["storage"]["active"]
        now = counters["api"]["requests"], counters["storage"]["requests"]
        looks = [] if busy else [*looks, now][-3:]
        if looks == [now] * 3:
            break
        assert time.monotonic() < end, "there is no end of requests: %r" % (counters,)
        time.sleep(0.06)
    counters = github.counters()
    entries = github.log()
    return Traffic(counters["api"]["requests"], counters["storage"]["requests"],
                   counters["charged"], sum(e["bytes"] for e in entries if e["hop"] == "storage"),
                   entries)


def forget(github):
    """Count from nought again; what leaked before is not forgotten."""
    assert github.counters()["token_leaks"] == 0, "a token reached storage"
    github.clear_log()


def wait_active(github, count, hop="storage", seconds=10.0):
    """Wait until so many requests are being answered (or stalled) at this hop."""
    wait_for(lambda: github.counters()[hop]["active"] >= count, seconds, 0.02,
             "the server never had %d requests at %s at once" % (count, hop))


# --- running things ------------------------------------------------------------------------------

def run(*words, timeout=30.0, check=True, text=False, **more):
    """A tool, with its output; the test fails where the tool does."""
    words = [str(word) for word in words]
    done = subprocess.run(words, capture_output=True, timeout=timeout * SLOW, text=text,
                          env=clean_environment(pathlib.Path("/nonexistent"), TERM="xterm"), **more)
    if check:
        assert done.returncode == 0, (words, done.returncode, done.stderr)
    return done


def out(*words, **more):
    return run(*words, **more).stdout


def spawn(*words, stdout=subprocess.DEVNULL):
    """A tool in the background, its errors kept."""
    return subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=stdout,
                            stderr=subprocess.PIPE, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"})


@contextlib.contextmanager
def ended(processes):
    """Whatever happens, these processes do not outlive the block."""
    try:
        yield processes
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
        for process in processes:
            process.wait(30)
            if process.stderr:
                process.stderr.close()


@contextlib.contextmanager
def fails(*names):
    """The block fails with one of these errors, by their names."""
    with pytest.raises(OSError) as caught:
        yield caught
    assert errno.errorcode.get(caught.value.errno) in names, caught.value


def fork_all(count, work, timeout=60.0):
    """`count` processes that do work(index) at the same moment; their exit statuses.

    work returns a status; an exception is 99.
    """
    ready, go = os.pipe()
    pids = [_fork(index, work, ready, go) for index in range(count)]
    os.close(ready)
    os.close(go)            # the end of the pipe is the starting signal
    statuses, end = [], time.monotonic() + timeout * SLOW
    for pid in pids:
        done = 0
        while not done:
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.005)
        statuses.append(os.waitstatus_to_exitcode(status))
    return statuses


def _fork(index, work, ready, go):
    pid = os.fork()
    if pid:
        return pid
    status = 99
    try:
        os.close(go)
        os.read(ready, 1)
        status = work(index) or 0
    finally:
        os._exit(status)


def threads_all(count, work):
    """`count` threads with small stacks; what their work returned, errors included."""
    results = [None] * count
    before = threading.stack_size(128 * KIB)

    def one(index):
        try:
            results[index] = work(index)
        except OSError as error:
            results[index] = error

    try:
        all_of_them = [threading.Thread(target=one, args=(i,)) for i in range(count)]
        for thread in all_of_them:
            thread.start()
    finally:
        threading.stack_size(before)
    return all_of_them, results


def there(path):
    """Whether a look at it succeeds; any error is a no."""
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def read_at(path, offset, length):
    with open(path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), length, offset)


def temporary_folder():
    return pathlib.Path(tempfile.mkdtemp(prefix="ghlogfs-e2e."))


def remove_folder(folder):
    """All of it; copies of what was mounted are as read-only as that, also for their owner."""
    with contextlib.suppress(OSError):
        for at, _, _ in os.walk(folder):
            if not os.path.ismount(at):
                os.chmod(at, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
