"""`gh logfs pull`: the logs of the recent runs come into the cache, and what came is told."""

import contextlib
import os
import pathlib
import pty
import re
import signal
import subprocess

import pytest

from archiving import add_run, archives, own, stats
from checkouts import GH_LOGFS, Checkout
from faulting import named_logs
from mounting import REPO, SLOW, forget, traffic, wait_for
from treeing import failed_job

@pytest.fixture
def checkout(folder):
    return Checkout(folder)


def rows(output):
    """[[run, files, bytes, workflow]] of what is printed; with a heading on a terminal only."""
    return [[int(word) if word.isdigit() else word for word in line.split(None, 3)]
            for line in output.splitlines()]


def summary(errors):
    """(runs, files, bytes, requests) of the last line on standard error."""
    match = re.fullmatch(r"(\d+) runs, (\d+) files, (\d+) bytes, (\d+) requests spent",
                         errors.splitlines()[-1])
    assert match, errors
    return tuple(map(int, match.groups()))


def size_of(run):
    return sum(map(len, run.logs.values()))


# --- what comes ----------------------------------------------------------------------------------

def test_pull_brings_all_logs_of_the_recent_runs_by_archives(checkout, github, mount):
    """The newest run first; afterwards all is read without a request."""
    runs = [add_run(github, 6, workflow="Build %d" % n, file="%d.yml" % n)
            for n in range(3)]
    m = mount()
    output, errors = checkout("pull", m.path)
    seen = traffic(github)
    assert rows(output) == [[run.id, 6, size_of(run), "Build %d" % n]
                            for n, run in reversed(list(enumerate(runs)))]
    assert summary(errors) == (3, 18, sum(map(size_of, runs)), seen.charged)
    assert errors.count("\n") == 1 and "\r" not in errors + output      # no terminal, no bar
    assert archives(github) == 3 and sum(map(sum, (own(github, run) for run in runs))) < 9
    wait_for(lambda: {job for run in runs for job in run.jobs} <= set(named_logs(m.cache)))
    forget(github)
    for run in runs:
        for job, text in run.logs.items():
            assert m.log(job).read_bytes() == text
    assert not traffic(github).of("storage")


def test_pull_of_one_run_asks_for_no_other(checkout, github, mount):
    runs = [add_run(github, 2) for _ in range(3)]
    m = mount()
    output, errors = checkout("pull", "--run", runs[1].id, m.path)
    assert rows(output) == [[runs[1].id, 2, size_of(runs[1]), "CI"]]
    assert summary(errors)[:3] == (1, 2, size_of(runs[1]))
    assert [own(github, run) for run in runs] == [[0, 0], [1, 1], [0, 0]]


def test_pull_of_what_failed_brings_reports_and_failed_steps(checkout, github, mount):
    passed = add_run(github, 4)
    made = github.add_run(REPO, conclusion="failure")
    failed = [failed_job(github, made, name="build %d" % n) for n in range(2)]
    fine = github.add_job(made, name="fine", size=500)
    m = mount()
    output, errors = checkout("pull", m.path, "--failed")
    report = (m.repo() / "reports" / ("%d.txt" % made)).stat().st_size
    steps = list((m.repo() / "failed" / str(made)).glob("*/*.txt"))
    assert len(steps) == 2
    assert rows(output) == [[made, 3, report + sum(step.stat().st_size for step in steps), "CI"]]
    assert summary(errors)[0] == 1
    asked = [job for job in (*passed.jobs, *failed, fine)
             if any(entry["job"] == job and entry["path"].endswith("/logs")
                    for entry in github.log("api"))]
    assert asked == failed


def test_pull_of_a_run_that_failed_to_start_has_only_its_report(checkout, github, mount):
    made = github.add_run(REPO, conclusion="startup_failure")
    m = mount()
    output, errors = checkout("pull", m.path, "--failed")
    assert [row[:2] for row in rows(output)] == [[made, 1]] and errors.count("\n") == 1


def test_pull_skips_what_runs_and_misses_nothing_that_never_ran(checkout, github, mount):
    """With a word for the former, which is not asked for."""
    run = github.add_run(REPO, status="in_progress")
    done = github.add_job(run, name="done", size=700)
    running = github.add_job(run, name="still - \x1b[31m", status="in_progress", size=500)
    other = github.add_run(REPO)
    github.add_job(other, name="skipped", conclusion="skipped", log="none", steps=[])
    only = github.add_job(other, name="only", size=900)
    m = mount()
    output, errors = checkout("pull", m.path)
    assert rows(output) == [[other, 1, 900, "CI"], [run, 1, 700, "CI"]]
    word, _ = errors.splitlines()
    assert re.fullmatch(r"gh logfs: \S+/runs/%d/still - _\[31m: still running, skipped" % run, word)
    asked = {entry["job"] for entry in github.log("api") if entry["path"].endswith("/logs")}
    assert asked == {done, only} and running not in asked


def test_pull_names_what_does_not_come_and_brings_the_rest(checkout, github, mount):
    run = github.add_run(REPO)
    gone, refused, fine = (github.add_job(run, name=name, **how) for name, how in (
        ("gone", {"log": "expired"}), ("refused", {"size": 600}), ("fine", {"size": 600})))
    github.fault("status", hop="api", path="/jobs/%d/logs" % refused, status=403, times=-1)
    m = mount(archive_jobs=0)
    output, errors = checkout("pull", m.path, status=1)
    assert rows(output) == [[run, 1, 600, "CI"]] and summary(errors)[:3] == (1, 1, 600)
    assert errors.splitlines()[:2] == [
        "gh logfs: %s: No such file or directory" % m.log(gone),
        "gh logfs: %s: Permission denied" % m.log(refused)]
    assert m.log(fine).stat().st_size == 600


def test_pull_names_a_run_whose_jobs_cannot_be_had(checkout, github, mount):
    made, other = github.add_run(REPO), github.add_run(REPO)
    job = github.add_job(other, size=100)
    github.fault("status", hop="api", path="/runs/%d/" % made, status=403, times=-1)
    m = mount()
    output, errors = checkout("pull", m.path, status=1)
    assert rows(output) == [[other, 1, 100, "CI"], [made, 0, 0, "CI"]]
    assert "/runs/%d': Permission denied" % made in errors and str(job) not in errors


def test_pull_needs_a_mount(checkout, folder):
    point = folder / "gh"
    (point / REPO / "runs").mkdir(parents=True)
    output, errors = checkout("pull", point, status=1)
    assert not output and errors == "gh logfs: %s is not mounted; to mount: gh logfs mount %s\n" % (
        point, point)


# --- on a terminal -------------------------------------------------------------------------------

class Pull:
    """`gh logfs pull` in a session of its own, on a terminal or not."""

    def __init__(self, checkout, *words, on_terminal=True):
        self.output, self.fd, end = "", None, subprocess.DEVNULL
        if on_terminal:
            self.fd, end = pty.openpty()
        self.process = subprocess.Popen(
            [GH_LOGFS, "pull", *map(str, words)], cwd=checkout.folder, env=checkout.env,
            stdin=end, stdout=end, stderr=end, preexec_fn=self._take if on_terminal else os.setsid)
        if on_terminal:
            os.close(end)

    @staticmethod
    def _take():
        """The terminal is the one that sends SIGINT for Ctrl-C."""
        os.setsid()
        os.close(os.open(os.ttyname(0), os.O_RDWR))

    def read_until(self, what):
        """Up to where this, a regular expression, is printed; None: to the end."""
        while what is None or not re.search(what, self.output):
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""              # the other end is closed
            if not data:
                assert what is None, "%r is not in %r" % (what, self.output[-1000:])
                return
            self.output += data.decode(errors="replace")

    @property
    def shown(self):
        """The lines as they stand in the end."""
        return [line.rpartition("\x1b[K")[2] for line in
                self.output.replace("\r\n", "\n").split("\n")]

    def processes(self):
        """Those of its session; itself too until it is waited for, unless it has ended."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                words = entry.read_text().rpartition(")")[2].split()
                if int(words[3]) == self.process.pid and words[0] != "Z":
                    found.append(int(entry.parent.name))
        return found

    def close(self):
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)
        if self.fd is not None:
            os.close(self.fd)


@pytest.fixture
def pull(checkout, mount):
    """A factory; whatever it has started ends, before the mount does."""
    made = []

    def start(*words, **how):
        made.append(Pull(checkout, *words, **how))
        return made[-1]
    yield start
    for one in made:
        one.close()


def test_pull_shows_a_bar_on_a_terminal_and_leaves_only_rows(pull, github, mount):
    """The bar tells what is done, what is under way and what that waits for."""
    runs = [add_run(github, 1) for _ in range(2)]
    github.fault("stall", hop="storage", job=runs[0].jobs[0], after=-1)
    m = mount(timeout=60)
    p = pull(m.path)
    p.read_until(r"1/2 runs, 1 under way, 0\.0 MB/s, storage")
    github.drop(hop="storage")      # asked again, it is answered
    p.read_until(None)
    assert p.process.wait(30) == 0
    assert p.shown[0].split() == ["RUN", "FILES", "BYTES", "WORKFLOW"]
    assert rows("\n".join(p.shown[1:3])) == [[run.id, 1, size_of(run), "CI"]
                                             for run in reversed(runs)]
    assert summary(p.shown[3])[:2] == (2, 2) and p.shown[4:] == [""]
    bars = re.findall(r"\r\x1b\[K(\[[#.]{10}\] \d/2 runs, [^\r\n]*)", p.output)
    assert {bar[:12] for bar in bars} <= {"[..........]", "[#####.....]"}
    assert all(len(bar) < 80 for bar in bars)


def test_pull_shows_until_when_it_waits_for_quota(pull, github, mount):
    add_run(github, 1)
    m = mount(wait=4000)
    os.listdir(m.repo() / "runs")
    github.rate_limit(remaining=0, reset=3000)
    p = pull(m.path)
    p.read_until(r"0/1 runs, 1 under way, 0\.0 MB/s, quota-until-\d\d:\d\d:\d\d\r\x1b\[K")


@pytest.mark.parametrize("on_terminal", [True, False])
def test_ctrl_c_stops_a_pull_at_once_and_leaves_nothing(pull, github, mount, on_terminal):
    run = add_run(github, 1)
    github.fault("stall", hop="storage", after=-1, times=-1)
    m = mount(timeout=600)
    p = pull(m.path, on_terminal=on_terminal)
    if on_terminal:
        p.read_until(", storage")
        os.write(p.fd, b"\x03")
        p.read_until(None)
        assert p.shown[-1] in ("", "^C")
    else:
        log = "%s/jobs/%d/log" % (REPO, run.jobs[0])
        wait_for(lambda: log in (m.path / ".ghlogfs/progress").read_text(), 30)
        os.killpg(p.process.pid, signal.SIGINT)
    # As the shell has it.
    assert p.process.wait(10 * SLOW) in (-signal.SIGINT, 128 + signal.SIGINT)
    wait_for(lambda: not p.processes(), why="a process is left")
    assert stats(m)["quota_remaining"] >= 0             # the mount answers


def test_a_mistyped_command_mounts_nothing(checkout, folder):
    output, errors = checkout("pul", status=1)
    assert not output and errors.startswith("gh logfs: unknown command: pul (")
    assert not (checkout.folder / "pul").exists() and not (folder / "gh").exists()
