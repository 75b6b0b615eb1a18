#!/usr/bin/python3
"""Speed and memory: measures P1 to P14 of the real binary, compared with its peers.

usage: run.py [P1 P5t ...] [--rounds N] [--size BYTES] [--dir DIR] [--markdown FILE]

Everything runs on this machine against the loopback GitHub of tests/fake, which sends its logs from
files. ghlogfs and the peer take turns, so that a busy moment affects both; the median of each is
given. The cache directory, curl's output and the plain local file are in one folder (--dir, by
default under /var/tmp), so on one file system. Between two rounds, outside of the measured time,
the files of the previous round are deleted (many small ones: put aside) and the file system is
synced, because its dirty pages would slow down the next round. Nothing is asserted: a busy machine
makes the figures worse, not the program wrong.

The logs of P5 and P5t compress as 50 real archives do together: a log to a tenth, a run's archive,
which has each line twice (in the job's log and in its step's), to a fifth of its logs. The archives
are made before the time is taken, as GitHub's servers make theirs. In P5t both programs go through
one relay (relay.c): 20 ms each way, 200 Mbit/s in each direction for all connections together, no
slow start, no loss; and no latency besides. P14 is P5t on a second machine: the shared store, which
a first one has filled, is behind the same relay, over TLS, and no samples are compared with GitHub.

Environment: GHLOGFS_BIN, the binary (build/release/ghlogfs).
"""
import argparse
import functools
import atexit
import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from fake import FakeGitHub     # noqa: E402 (the path comes first)
from fake.certificates import Authority     # noqa: E402

BINARY = os.environ.get("GHLOGFS_BIN") or str(ROOT / "build" / "release" / "ghlogfs")
REPO = "octo/hello"
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
API_MS, STORAGE_MS = 50, 30
FAR_MS, FAR_MBITS = 20, 200     # P5t's relay, each way
STARTED = "2026-01-01T00:00:00Z"        # of jobs with log_text()
CLEAN_ENV = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/nonexistent",
             "LC_ALL": "C"}


@dataclasses.dataclass
class Row:
    """One line of the table. `value` is what the limits are for; lower is better."""

    number: str
    what: str
    ours: str
    peer: str
    value: float
    unit: str
    least: float
    aim: float
    note: str = ""

    @property
    def reached(self):
        return "aim" if self.value <= self.aim else "at least" if self.value <= self.least else "NO"

    def cells(self):
        return [self.number, self.what, self.ours, self.peer, shown(self.value) + self.unit,
                shown(self.least) + self.unit, shown(self.aim) + self.unit, self.reached]


def shown(value):
    return "%d" % value if value == int(value) and abs(value) >= 1 else "%.3g" % value


def seconds(value):
    return "%.3f s" % value


# --- processes -----------------------------------------------------------------------------------

def status_of(pid, name):
    """A number of /proc/PID/status, in bytes where it is a size."""
    found = re.search(r"^%s:\s+(\d+)( kB)?" % name,
                      pathlib.Path("/proc/%d/status" % pid).read_text(), re.M)
    return int(found.group(1)) * (KIB if found.group(2) else 1)


def cpu_of(pid):
    """User and system time of all threads so far, in seconds."""
    words = pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def timed(*words, good=(0,)):
    """How long a tool takes; its output is discarded."""
    start = time.monotonic()
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, env=CLEAN_ENV,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    took = time.monotonic() - start
    if done.returncode not in good:
        raise SystemExit("%s: exit %d\n%s" % (words[0], done.returncode, done.stderr.decode()))
    return took


class Sampler:
    """The largest of a number of /proc/PID/status while the block runs."""

    def __init__(self, pid, *names, every=0.01):
        self.pid, self.every = pid, every
        self.most = dict.fromkeys(names, 0)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.over.wait(self.every):
            for name in self.most:
                self.most[name] = max(self.most[name], status_of(self.pid, name))

    def __enter__(self):
        self.thread.start()
        return self.most

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


@functools.lru_cache(maxsize=None)
def compiled(name):
    """The C program of this name beside this one, compiled for this run."""
    folder = tempfile.mkdtemp(prefix="ghlogfs-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program = os.path.join(folder, name)
    subprocess.run(["cc", "-O2", "-pthread", "-D_GNU_SOURCE", "-o", program,
                    str(ROOT / "tests" / "bench" / (name + ".c"))], check=True)
    return program


def read_all(paths, threads):
    """A process that reads these files with so many threads; started by a line on its stdin, it
    prints how long it took."""
    listed = tempfile.NamedTemporaryFile("w", suffix=".list")
    listed.write("".join("%s\n" % path for path in paths))
    listed.flush()
    process = subprocess.Popen([compiled("readers"), listed.name, str(threads)], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    listed.close()
    return process


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def finished(process):
    took, bad, *why = process.stdout.readline().split(None, 2)
    process.wait()
    if int(bad):
        raise SystemExit("%s reads failed: %s" % (bad, why))
    return float(took)


# --- the server, and the way to it ----------------------------------------------------------------

def log_text(size, job):
    """A log as a runner writes it; the job is called so, and began at STARTED."""
    chance = random.Random(job)
    first = ["Current runner version: '2.335.1'", "Complete job name: " + job]
    text, ticks = bytearray(), 0
    while len(text) < size:
        ticks += chance.randrange(1, 2000000)
        module = chance.choice(("cache", "catalog", "github", "net", "store", "text", "views"))
        line = first.pop(0) if first else (
            "cc -O2 -g -Wall -Wextra -Isrc -Ibuild/release/%s -c -o build/release/%s/unit.o "
            "src/%s/unit%03d.c" % (module, module, module, chance.randrange(200)))
        stamp = "2026-01-01T%02d:%02d:%02d.%07dZ" % (
            ticks // 36000000000, ticks // 600000000 % 60, ticks // 10000000 % 60, ticks % 10000000)
        text += ("%s %s\n" % (stamp, line)).encode()
    return bytes(text[:size - 1]) + b"\n"


def log_end(path):
    """When the job of a log_text() ended: in the second of its last line that was not cut."""
    stamps = re.findall(rb"(2026-01-01T\d\d:\d\d:\d\d)\.\d{7}Z", path.read_bytes()[-1000:])
    return stamps[-1].decode() + "Z"


@contextlib.contextmanager
def relay():
    """URL of a proxy behind which the server is far away."""
    process = subprocess.Popen([compiled("relay"), str(FAR_MS), str(FAR_MBITS)], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        yield "http://127.0.0.1:%d" % int(process.stdout.readline())
        process.stdin.close()


def loopback_names():
    """Names of this machine for the API and for storage: where /etc/hosts has others, not
    `localhost`, which curl resolves without a lookup."""
    names = []
    for line in pathlib.Path("/etc/hosts").read_text().splitlines():
        address, *rest = line.partition("#")[0].split() or [""]
        names += [n for n in rest if address == "127.0.0.1" and n != "localhost"]
    return (names[0], names[-1]) if names else ("localhost", "localhost")


class NamedGitHub(FakeGitHub):
    """The server of which both hops are on 127.0.0.1 and are called by name."""

    START = ("import sys, fake.server\n"
             "from fake.__main__ import main\n"
             "start = fake.server.Server.start\n"
             "def named(self):\n"
             "    ports = start(self)\n"
             "    self.storage.base = ports['storage'].replace('127.0.0.1', sys.argv[1])\n"
             "    return ports\n"
             "fake.server.Server.start = named\n"
             "main(sys.argv[2:])\n")

    def __init__(self, api_name, storage_name):
        super().__init__("--storage", "127.0.0.1:0")
        self.api_name = api_name
        self.command = [sys.executable, "-c", self.START, storage_name, *self.command[3:]]

    def start(self):
        super().start()
        self.api = self.api.replace("127.0.0.1", self.api_name)
        return self


# --- the mount -----------------------------------------------------------------------------------

class Mount:
    """The binary in the foreground, until the block ends."""

    def __init__(self, bench, github, keep=False, **options):
        self.bench, self.keep = bench, keep
        self.path, self.cache = bench.folder / "mnt", bench.folder / "cache"
        options = {"cache_dir": self.cache, "api_url": github.api, "cache_size": "16G", **options}
        options = [name if value is True else "%s=%s" % (name, value)
                   for name, value in options.items()]
        self.words = [BINARY, "-f", "-o", ",".join(options), str(self.path)]
        self.env = dict(CLEAN_ENV, HOME=str(bench.folder), GH_ENTERPRISE_TOKEN=github.token)

    def __enter__(self):
        self.path.mkdir(exist_ok=True)
        self.errors = open(self.bench.folder / "stderr", "w+")
        self.process = subprocess.Popen(self.words, env=self.env, stdin=subprocess.DEVNULL,
                                        stderr=self.errors)
        self.pid = self.process.pid
        while not os.path.ismount(self.path):
            if self.process.poll() is not None:
                self.errors.seek(0)
                raise SystemExit("no mount: " + self.errors.read())
            time.sleep(0.005)
        os.stat(self.path)
        return self

    def __exit__(self, *_):
        subprocess.run(["fusermount3", "-u", str(self.path)], check=False, capture_output=True)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait(10)
        self.errors.close()
        if not self.keep:
            self.bench.discard(self.cache)

    @property
    def jobs(self):
        return self.path / REPO / "jobs"

    def log(self, job):
        return self.jobs / str(job) / "log"


# --- the bench -----------------------------------------------------------------------------------

class Bench:
    def __init__(self, options, folder):
        self.folder, self.rounds = folder, options.rounds
        self.large = options.size
        self.follow = options.follow
        self.discarded = 0
        self.rows = []

    def scaled(self, size):
        """A size of the table, in the proportion of --size to 1 GiB."""
        return max(MIB, size * self.large // GIB)

    def discard(self, path):
        """Large files are deleted, many small ones put aside: a file system may be slow to reuse
        the inodes of files deleted a moment ago."""
        files = sum(len(names) for _, _, names in os.walk(path))
        if files < 50:
            shutil.rmtree(path, ignore_errors=True)
        else:
            self.discarded += 1
            os.rename(path, self.folder / ("discarded-%d" % self.discarded))
        self.settle()

    def settle(self):
        subprocess.run(["sync", "-f", str(self.folder)], check=False)

    def file(self, size):
        """A log of this size as a plain file, in the kernel's cache; made once."""
        path = self.folder / ("plain-%d" % size)
        if not path.exists():
            line = b"2026-01-01T00:00:00.0000000Z compile unit %012d ok" + b"." * 40 + b"\n"
            with open(path, "wb") as out:
                at = 0
                while at < size:
                    block = b"".join(line % (at + i) for i in range(10000))[:size - at]
                    out.write(block)
                    at += len(block)
            self.settle()
        timed("cat", path)
        return path

    def log_file(self, size, job):
        """A log_text() as a plain file, made once."""
        path = self.folder / ("log-%d-%s" % (size, job))
        if not path.exists():
            path.write_bytes(log_text(size, job))
        return path

    @contextlib.contextmanager
    def github(self, latency=False, names=None, tls=None):
        with NamedGitHub(*names) if names else FakeGitHub(tls=tls) as github:
            github.rate_limit(limit=1000000, remaining=1000000)
            if latency:
                github.latency(api_ms=API_MS, storage_ms=STORAGE_MS)
            yield github

    def job(self, github, size, **fields):
        return self.many(github, 1, 1, size, **fields)[0]

    def many(self, github, runs, jobs, size, **fields):
        """Ids of runs x jobs completed jobs whose logs are one file of this size."""
        path = self.file(size)
        if REPO not in getattr(github, "made", ()):
            github.add_repo(REPO)
            github.made = [REPO]
        ids = [github.add_run(REPO, **fields) for _ in range(runs)]
        return github.ops([{"op": "add_job", "run": run, "name": "job %d" % n, "form": "block",
                            "log": {"file": str(path)}} for run in ids for n in range(jobs)])

    def with_archives(self, github, runs, sizes):
        """Ids of the jobs of so many completed runs, which have a job for each size; their logs are
        as GitHub archives them, and their archives are made. And the bytes of all archives."""
        github.add_repo(REPO)
        logs = [("job %d" % n, self.log_file(size, "job %d" % n)) for n, size in enumerate(sizes)]
        ids = [github.add_run(REPO) for _ in range(runs)]
        made = github.ops([{"op": "add_job", "run": run, "name": name, "form": "block",
                            "started_at": STARTED, "completed_at": log_end(path),
                            "log": {"file": str(path)}}
                           for run in ids for name, path in logs])
        return made, github.make_archives(repo=REPO)

    def turns(self, ours, peer, rounds=None):
        """Medians of ours and peer, taken by turns."""
        pairs = [(ours(), peer()) for _ in range(rounds or self.rounds)]
        return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)

    def curl(self, github, jobs, parallel=None, words=()):
        """curl with each log through both hops, into files that are deleted afterwards."""
        out = self.folder / "curl"
        out.mkdir()
        config = self.folder / "curl.conf"
        config.write_text("".join('url = "%s"\noutput = "%s/%d"\n' % (
            github.log_url(REPO, job), out, job) for job in jobs))
        words = ["curl", "-sS", "-f", "-L", "-H", "Authorization: Bearer " + github.token, *words]
        if parallel:
            words += ["--parallel", "--parallel-max", str(parallel)]
        took = timed(*words, "-K", config)
        sizes = {(out / str(job)).stat().st_size for job in jobs}
        assert len(sizes) == 1 and sizes.pop() > 0, "curl's files are not all alike"
        self.discard(out)
        return took

    def add(self, *cells, **more):
        row = Row(*cells, **more)
        self.rows.append(row)
        print("  ".join(row.cells()), flush=True)
        if row.note:
            print("      " + row.note, flush=True)

    # --- the measures ---

    def P1(self):
        """Cold: the log is in no cache."""
        cpu = []

        def ours():
            with Mount(self, github) as m:
                took = timed("cat", m.log(job))
                cpu.append(cpu_of(m.pid))
            return took

        with self.github() as github:
            job = self.job(github, self.large)
            a, b = self.turns(ours, lambda: self.curl(github, [job]))
        self.add("P1", "cold `cat` of %s / `curl -L -o FILE`" % self.name(self.large), seconds(a),
                 seconds(b), a / b, "", 1.5, 1.1,
                 note="the daemon's own processor time: %.2f s (median)" % statistics.median(cpu))

    def P2(self):
        plain = self.file(self.large)
        with self.github() as github, Mount(self, github) as m:
            log = m.log(self.job(github, self.large))
            timed("cat", log)
            a, b = self.turns(lambda: timed("cat", log), lambda: timed("cat", plain),
                              self.rounds * 3)
        self.add("P2", "second `cat` (kernel's cache) / `cat` of a local file", seconds(a),
                 seconds(b), a / b, "", 1.6, 1.1)

    def P3(self):
        plain = self.file(self.large)

        def ours():
            with Mount(self, github, keep=True) as m:
                return timed("cat", m.log(job))

        with self.github() as github:
            job = self.job(github, self.large)
            ours()
            self.settle()
            a, b = self.turns(ours, lambda: timed("cat", plain))
        self.discard(self.folder / "cache")
        self.add("P3", "first `cat` after a remount / local file", seconds(a), seconds(b), a / b,
                 "", 5, 2.5, note="both files are in the kernel's cache; each page of the log is "
                 "checked as it is read for the first time")

    def P4(self):
        plain = self.file(self.large)

        def ours():
            with Mount(self, github) as m:
                return timed("head", "-c", "1", m.log(job))

        with self.github(latency=True) as github:
            job = self.job(github, self.large)
            a, b = self.turns(ours, lambda: timed("head", "-c", "1", plain), self.rounds + 2)
        least = (API_MS + STORAGE_MS) / 1000
        self.add("P4", "`head -c 1` of a cold %s log, less the same on a local file / %d ms"
                 % (self.name(self.large), least * 1000), seconds(a), seconds(b), (a - b) / least,
                 "", 1.3, 1.1, note=self.latency_note())

    def P5(self):
        requests, cpu = [], []
        with self.github(latency=True) as github:
            jobs, archived = self.with_archives(github, 25, [500000] * 4)
            a, b = self.turns(lambda: self.grep(github, requests, cpu),
                              lambda: self.curl(github, jobs, 32))
            gh = self.gh(github, jobs)
        self.add("P5", "`grep -r` over 100 cold logs of 500 KB (25 runs of 4) / "
                 "`curl --parallel-max 32`", seconds(a), seconds(b), a / b, "", 1.2, 0.7,
                 note=self.latency_note() + self.archive_note(archived, cpu) + gh)
        self.add("P5a", "the same: API requests", str(max(requests)), "", max(requests), "", 55, 51)

    def P5t(self):
        authority, requests, cpu = Authority(self.folder / "authority"), [], []
        with self.github(tls=authority.issue("bench")) as github, relay() as proxy:
            # The loopback GitHub offers HTTP/2 as GitHub does, but does not speak it.
            words = ["--http1.1", "--cacert", str(authority.ca), "-x", proxy]
            link = self.measure_link(github, words)
            jobs, archived = self.with_archives(github, 25, [500000] * 4)
            a, b = self.turns(
                lambda: self.grep(github, requests, cpu, proxy=proxy, ca_file=authority.ca),
                lambda: self.curl(github, jobs, 32, words))
        self.add("P5t", "`grep -r` over 100 cold logs of 500 KB (25 runs of 4), TLS, %d ms, %d "
                 "Mbit/s / `curl --parallel-max 32`" % (2 * FAR_MS, FAR_MBITS), seconds(a),
                 seconds(b), a / b, "", 0.6, 0.3,
                 note="%s%s; API requests: %d"
                 % (link, self.archive_note(archived, cpu), max(requests)))

    def P6(self):
        bytes_fetched = []
        with self.github() as github:
            job = self.job(github, self.large)
            for _ in range(self.rounds):
                github.clear_log()
                with Mount(self, github) as m:
                    timed("tail", "-c", "4096", m.log(job))
                    bytes_fetched.append(self.quiet(github)["storage"]["bytes"])
        value = statistics.median(bytes_fetched) / MIB
        self.add("P6", "`tail -c 4096` of a cold %s log: bytes fetched" % self.name(self.large),
                 "%.2f MiB" % value, "", value, " MiB", 4, 1.2)

    def P7(self):
        size = self.scaled(200 * MIB)

        def ours():
            with Mount(self, github) as m:
                return timed("cat", m.log(job))

        with self.github() as github:
            github.bandwidth(rate=20e6)
            job = self.job(github, size)
            a, b = self.turns(ours, lambda: self.curl(github, [job]), max(1, self.rounds // 2))
        self.add("P7", "cold %s log, 20 MB/s for each connection / one `curl`" % self.name(size),
                 seconds(a), seconds(b), a / b, "", 0.5, 0.3)

    def P8(self):
        fresh, counts = 10, []

        def find(m):
            github.clear_log()
            found = subprocess.run(["find", m.jobs, "-name", "log"], capture_output=True, text=True,
                                   check=True).stdout.count("\n")
            assert found == 120, "find saw %d logs" % found
            counts.append(self.quiet(github)["api"]["requests"])

        with self.github() as github:
            self.many(github, 30, 4, MIB)
            with Mount(self, github, keep=True, fresh=fresh) as m:
                find(m)
                find(m)
                time.sleep(fresh + 1)
                find(m)
            with Mount(self, github, fresh=fresh) as m:
                find(m)
        for what, n, least, aim in zip(("cold", "again within `fresh`", "later", "after a remount"),
                                       counts, (31, 0, 1, 2), (31, 0, 1, 1)):
            self.add("P8", "`find jobs -name log`, 30 runs: API requests, " + what, str(n), "", n,
                     "", least, aim)

    def P9(self):
        size = self.scaled(100 * MIB)
        with self.github() as github:
            jobs = self.many(github, 16, 4, size)
            with Mount(self, github) as m:
                time.sleep(1)
                idle = status_of(m.pid, "VmRSS") / MIB
                readers = read_all([m.log(job) for job in jobs], len(jobs))
                with Sampler(m.pid, "VmRSS") as most:
                    go(readers)
                    took = finished(readers)
                peak, sampled = status_of(m.pid, "VmHWM") / MIB, most["VmRSS"] / MIB
        self.add("P9", "resident memory, idle", "%.1f MiB" % idle, "", idle, " MiB", 16, 14)
        self.add("P9", "resident memory while 64 readers read cold logs of %s" % self.name(size),
                 "%.1f MiB" % peak, "", peak, " MiB", 48, 24,
                 note="VmHWM; largest VmRSS seen: %.1f MiB; the readers took %.1f s"
                 % (sampled, took))

    def P10(self):
        threads, cpu, (api, storage) = [], [], loopback_names()

        def ours():
            with Mount(self, github) as m:
                readers = read_all([m.log(job) for job in jobs], len(jobs))
                with Sampler(m.pid, "Threads") as most:
                    go(readers)
                    took = finished(readers)
                    cpu.append(cpu_of(m.pid))
                threads.append(most["Threads"])
            return took

        with self.github(names=(api, storage)) as github:
            jobs = self.many(github, 200, 4, 100000)
            a, b = self.turns(ours, lambda: self.curl(github, jobs, 32))
        self.add("P10", "800 readers of 800 cold logs of 100 KB / `curl --parallel-max 32`",
                 seconds(a), seconds(b), a / b, "", 2, 1.3,
                 note="without latency; hosts given by name; the daemon's own processor time: "
                      "%.2f s (median)" % statistics.median(cpu))
        self.add("P10", "the same: threads", str(max(threads)), "", max(threads), "", 12, 8)

    def P11(self):
        took, size = [], self.scaled(64 * MIB)
        with self.github() as github:
            cached, *waiting = self.many(github, 201, 4, size)[:801]
            with Mount(self, github, deadline=600, wait=600) as m:
                timed("cat", m.log(cached))
                github.latency(storage_ms=600000)
                readers = read_all([m.log(job) for job in waiting], len(waiting))
                go(readers)
                self.quiet(github, active=32)
                took = self.cached_reads(m.log(cached), size)
                readers.kill()
                readers.wait()
                readers.stdin.close()
                github.latency(storage_ms=0)
        self.add("P11", "a cached read while 800 others wait, p99", "%.2f ms" % (took[990] * 1000),
                 "", took[990] * 1000, " ms", 20, 5,
                 note="1000 times open, read of 128 KiB not in the kernel's cache, close; "
                 "median %.2f ms, worst %.2f ms" % (took[500] * 1000, took[999] * 1000))

    @staticmethod
    def cached_reads(path, size):
        took = []
        for i in range(1000):
            start = time.monotonic()
            fd = os.open(path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            assert len(os.pread(fd, 128 * KIB, i * 7919 * KIB % (size - 128 * KIB))) == 128 * KIB
            os.close(fd)
            took.append(time.monotonic() - start)
            time.sleep(0.002)
        return sorted(took)

    def P12(self):
        with self.github() as github, Mount(self, github) as m:
            github.add_repo(REPO)
            run = github.add_run(REPO, status="in_progress")
            job = github.add_job(run, status="in_progress", size=100000, form="append")
            tail = subprocess.Popen(["tail", "-F", str(m.log(job))], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
            try:
                time.sleep(5)
                before = len(github.log())
                start = time.monotonic()
                while time.monotonic() < start + self.follow:
                    time.sleep(5)
                    github.grow(job, size=2000)
                lasted = time.monotonic() - start
            finally:
                tail.send_signal(signal.SIGKILL)
                tail.wait()
            entries = github.log()[before:]
        charged = [e for e in entries if e["charged"]]
        per_hour = 3600 / lasted
        parts = {"signed URLs": sum(e["path"].endswith("/logs") for e in charged)}
        parts["the job's status"] = len(charged) - parts["signed URLs"]
        self.add("P12", "charged requests an hour for `tail -F` of a running job",
                 "%.0f" % (len(charged) * per_hour), "", len(charged) * per_hour, "", 200, 120,
                 note="in %.0f s, the log growing every 5 s: %s; not charged: %d of the API, "
                 "%d of storage" % (lasted, ", ".join("%d for %s" % (n, k) for k, n in
                                                      parts.items()),
                                    sum(e["hop"] == "api" for e in entries) - len(charged),
                                    sum(e["hop"] == "storage" for e in entries)))

    def P13(self):
        took, rss = [], 0
        with self.github(latency=True) as github:
            github.add_repo(REPO)
            log = {"file": str(self.failing_log())}
            for _ in range(30):
                run = github.add_run(REPO, conclusion="failure")
                github.ops([{"op": "add_job", "run": run, "name": "job %d" % n, "log": log,
                             "conclusion": "success" if n else "failure"} for n in range(40)])
            github.clear_log()
            with Mount(self, github) as m:
                for _ in range(2):
                    took.append(timed("sh", "-c", "cat %s/reports/*" % (m.path / REPO)))
                counters, entries = self.quiet(github), github.log()
                rss = status_of(m.pid, "VmHWM")
        logs = sum(e["hop"] == "api" and e["path"].endswith("/logs") for e in entries)
        requests = counters["api"]["requests"]
        note = self.latency_note() + "; cold %s, again %s; resident memory at most %.1f MiB" % (
            seconds(took[0]), seconds(took[1]), rss / MIB)
        self.add("P13", "`cat reports/*` twice, 30 failed runs of 40 jobs, 1 of them failed: API "
                 "requests", str(requests), "", requests, "", 64, 62, note=note)
        self.add("P13", "the same: logs fetched", str(logs), "", logs, "", 30, 30)

    def P14(self):
        authority, requests, cpu = Authority(self.folder / "authority"), [], []
        charged, stored = [], []
        with self.github(tls=authority.issue("bench")) as github, relay() as proxy:
            jobs, archived = self.with_archives(github, 25, [500000] * 4)
            there = {"proxy": proxy, "ca_file": authority.ca}
            shared = self.filled_store(github, authority, len(jobs))

            def ours():
                took = self.grep(github, [], [], **there, **shared)
                counters = github.counters()
                charged.append(counters["charged"])
                stored.append(counters["storage"]["bytes"])
                return took

            a, b = self.turns(ours, lambda: self.grep(github, requests, cpu, **there))
            curl = statistics.median(
                self.curl(github, jobs, 32, ["--http1.1", "--cacert", str(authority.ca), "-x",
                                             proxy]) for _ in range(self.rounds))
        self.add("P14", "`grep -r` over the logs of P5t on a second machine with a shared store / "
                 "without one: charged requests", str(max(charged)), str(max(requests)),
                 max(charged), "", 26, 26,
                 note="%s; without the store, out of archives of %.1f MB, %s; `curl "
                 "--parallel-max 32` %s" % (seconds(a), archived / 1e6, seconds(b), seconds(curl)))
        self.add("P14", "the same: bytes from GitHub's storage", str(max(stored)), "", max(stored),
                 "", 0, 0)

    # --- their helpers ---

    def filled_store(self, github, authority, count):
        """Options of a shared store to which a first machine has brought all logs."""
        key = self.folder / "key"
        key.write_text("bench-key bench-secret\n")
        key.chmod(0o600)
        github.store_setup(identities={"bench-key": "bench-secret"})
        options = {"shared": "s3://logs/ci?endpoint=%s&region=bench" % github.store,
                   "shared_key_file": key, "shared_verify": 0, "ca_file": authority.ca}
        with Mount(self, github, shared_write=True, **options) as m:
            timed("grep", "-r", "-c", "not to be found", m.jobs, good=(1,))
            stats, end = "", time.monotonic() + 120
            while "shared_uploads_done %d\n" % count not in stats:
                if time.monotonic() > end:
                    raise SystemExit("the store was not filled:\n" + stats)
                time.sleep(0.05)
                stats = (m.path / ".ghlogfs" / "stats").read_text()
        del options["ca_file"]
        return options

    def failing_log(self):
        """A log of 20,000 lines, at the end of which a test fails."""
        path = self.folder / "failing"
        line = "2026-01-01T00:00:00.0000000Z "
        path.write_text("".join([line + "compile unit %d ok\n" % n for n in range(20000)] +
                                [line + "FAILED test_a - assert 1 == 2\n" + line +
                                 "##[error]Process completed with exit code 1.\n"]))
        return path

    def grep(self, github, requests, cpu, **options):
        """How long a cold `grep -r` takes. Adds the API requests and the daemon's processor time
        until nothing more happens."""
        github.clear_log()
        with Mount(self, github, **options) as m:
            took = timed("grep", "-r", "-c", "not to be found", m.jobs, good=(1,))
            requests.append(self.quiet(github)["api"]["requests"])
            cpu.append(cpu_of(m.pid))
        return took

    @staticmethod
    def archive_note(archived, cpu):
        return ("; the archives: %.1f MB; the daemon's own processor time: %.2f s (median)"
                % (archived / 1e6, statistics.median(cpu)))

    def measure_link(self, github, words):
        """What one curl gets through the relay."""
        github.add_repo("octo/link")
        job = github.add_job(github.add_run("octo/link"), file=self.file(50000000), form="block")
        told = "%{redirect_url} %{time_appconnect} %{time_starttransfer} %{time_total}"
        words = ["curl", "-sS", "-f", *words, "-o", os.devnull, "-w", told]
        first = subprocess.run([*words, "-H", "Authorization: Bearer " + github.token,
                                github.log_url("octo/link", job)], env=CLEAN_ENV,
                               capture_output=True, text=True, check=True).stdout.split()
        begun, answered, ended = map(float, subprocess.run(
            [*words, first[0]], env=CLEAN_ENV, capture_output=True, text=True,
            check=True).stdout.split())
        return "one `curl` of 50 MB: %.0f Mbit/s, round trip %.1f ms" % (
            400 / (ended - answered), (answered - begun) * 1000)

    @staticmethod
    def name(size):
        for unit, one in (("GiB", GIB), ("MiB", MIB)):
            if size >= one:
                return "%.4g %s" % (size / one, unit)
        return "%d bytes" % size

    @staticmethod
    def latency_note():
        return "%d ms before each API answer, %d ms before each storage answer" % (
            API_MS, STORAGE_MS)

    @staticmethod
    def quiet(github, active=0):
        """The server's counters once nothing more happens (or so many requests hang)."""
        last, since = None, time.monotonic()
        while time.monotonic() < since + 0.5:
            now = github.counters()
            seen = now["api"]["requests"], now["storage"]["requests"], now["storage"]["active"]
            if seen != last or now["storage"]["active"] < active:
                last, since = seen, time.monotonic()
            time.sleep(0.05)
        return now

    def gh(self, github, jobs):
        """What `gh api` takes for the same logs, 16 at once; where it is installed."""
        if not shutil.which("gh"):
            return ""
        env = dict(CLEAN_ENV, HOME=str(self.folder), GH_HOST="github.localhost",
                   GH_TOKEN=github.token, HTTP_PROXY=github.root)
        start = time.monotonic()
        done = subprocess.run(["xargs", "-P", "16", "-I{}", "sh", "-c",
                               "gh api repos/%s/actions/jobs/{}/logs | wc -c" % REPO], env=env,
                              input="\n".join(map(str, jobs)), text=True, capture_output=True)
        took = time.monotonic() - start
        whole = done.stdout.split() == ["500000"] * len(jobs)
        return "; `gh api .../logs`, 16 at once: " + (seconds(took) if whole else "failed here")


# --- the report ----------------------------------------------------------------------------------

def first_line(*words):
    try:
        return subprocess.run(words, capture_output=True, text=True).stdout.strip().split("\n")[0]
    except OSError:
        return "not installed"


def load():
    return ", ".join("%.1f" % n for n in os.getloadavg())


def facts(folder):
    """What the numbers depend on."""
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    system = first_line("findmnt", "-n", "-o", "FSTYPE", "-T", str(folder)) or "unknown"
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    versions = subprocess.run([BINARY, "-V"], capture_output=True, text=True).stdout
    return [("processors", "%d x %s" % (os.cpu_count(), model.group(1) if model else "unknown")),
            ("memory", "%.0f GiB" % memory), ("load at start", load()),
            ("kernel", platform.release()), ("file system", system),
            *(("ghlogfs -V", line) for line in versions.strip().split("\n") if line),
            ("curl", " ".join(first_line("curl", "--version").split()[:2])),
            ("gh", first_line("gh", "--version")), ("Python", platform.python_version())]


HEAD = ["", "what", "ours", "peer", "measured", "at least", "aim", "reached"]


def markdown(bench, known):
    _, _, *words, _ = __doc__.split("\n\n")
    lines = ["# Benchmarks", "", "Written by `tests/bench/run.py`, %d rounds." % bench.rounds, "",
             "\n\n".join(words), "", "## The machine", "", "| | |", "| --- | --- |"]
    lines += ["| %s | %s |" % (name, value.replace("|", "\\|")) for name, value in known]
    lines += ["", "## Measured", "", "\"measured\" is the ratio ours / peer where there is a peer; "
              "lower is better.", "", "| " + " | ".join(HEAD) + " |",
              "| " + " | ".join(["---"] * len(HEAD)) + " |"]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in bench.rows]
    notes = ["- %s, %s: %s." % (row.number, row.what, row.note) for row in bench.rows if row.note]
    return "\n".join(lines + ["", "## Remarks", ""] + notes) + "\n"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    numbers = ["P1", "P2", "P3", "P4", "P5", "P5t", *("P%d" % n for n in range(6, 15))]
    parser.add_argument("measures", nargs="*", metavar="P1 P5t ...", help="default: all")
    parser.add_argument("--rounds", type=int, default=5, help="of each measure that is timed")
    parser.add_argument("--size", type=int, default=GIB, metavar="BYTES",
                        help="instead of 1 GiB; other large logs in proportion")
    parser.add_argument("--follow", type=float, default=120, metavar="SEC", help="how long P12 is")
    parser.add_argument("--dir", default="/var/tmp", help="where caches and files are put")
    parser.add_argument("--markdown", type=pathlib.Path, metavar="FILE", help="write the table")
    options = parser.parse_args()
    unknown = set(options.measures) - set(numbers)
    if unknown:
        parser.error("no such measure: " + ", ".join(sorted(unknown)))
    options.measures = options.measures or numbers
    return options


def main():
    options = parse()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ghlogfs-bench.", dir=options.dir))
    try:
        known = facts(folder)
        for name, value in known:
            print("%-14s %s" % (name, value))
        bench = Bench(options, folder)
        for number in options.measures:
            getattr(bench, number)()
        known.append(("load at end", load()))
        if options.markdown:
            options.markdown.write_text(markdown(bench, known))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
