"""S11 and P12: logs of running jobs, and what following one costs.

How often a growing log is asked for is the product's own affair (five seconds at this time); the
tests wait for what must come, and count what must not.
"""

import os
import subprocess
import time

import pytest

import fake.content
from mounting import MIB, REPO, SLOW, fails, forget, out, traffic, wait_for
from treeing import listing

SOON = 15           # seconds within which growth is seen
AT_LAST = 75        # seconds within which the end of a job is seen by a reader of its log alone


def made(job, size, start=0):
    return fake.content.content(job, start, size - start)


class Live:
    """A running job whose log GitHub gives as far as it has come."""

    def __init__(self, github, mount, size=3 * MIB):
        self.github = github
        self.run = github.add_run(REPO, status="in_progress")
        self.job = github.add_job(self.run, name="now", status="in_progress",
                                  **({"size": size} if size else {"log": "none"}))
        self.size = size
        self.mount = mount
        self.log = self.mount.log(self.job)

    def grow(self, by=2 * MIB):
        self.size = self.github.grow(self.job, size=by)

    def complete(self, **how):
        self.github.complete_job(self.job, **how)
        self.github.set_run(run=self.run, status="completed", conclusion="success")


class Follower:
    """A running tail; its output is kept in a file."""

    def __init__(self, folder, *words):
        self.path = folder / ("followed" + words[-2])
        self.errors = folder / ("errors" + words[-2])
        with open(self.path, "wb") as out_file, open(self.errors, "wb") as err_file:
            self.process = subprocess.Popen(["tail", *map(str, words)], stdout=out_file,
                                            stderr=err_file, env={"PATH": "/usr/bin:/bin"})

    def has(self, expected, seconds=SOON):
        wait_for(lambda: self.path.stat().st_size >= len(expected), seconds, 0.1,
                 "tail has not printed %d bytes" % len(expected))
        assert self.path.read_bytes() == expected

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(10)


# --- what is there -------------------------------------------------------------------------------

def test_s11_what_is_there_is_readable(github, mount):
    live = Live(github, mount())
    assert live.log.stat().st_size == 3 * MIB
    assert live.log.read_bytes() == made(live.job, 3 * MIB)
    assert out("tail", "-c", "1000", live.log) == made(live.job, 3 * MIB, 3 * MIB - 1000)
    assert out("grep", "-c", "needle-in", live.log).strip() == b"%d" % fake.content.needles(3 * MIB)
    assert traffic(github).charged <= 2


def test_s11_it_grows(github, mount):
    live = Live(github, mount())
    with open(live.log, "rb", buffering=0) as file:
        assert len(file.read(4 * MIB)) == 3 * MIB
        assert file.read(100) == b""
        live.grow()
        wait_for(lambda: os.stat(live.log).st_size == 5 * MIB, SOON, 0.2)
        assert file.read(4 * MIB) == made(live.job, 5 * MIB, 3 * MIB)
        assert os.fstat(file.fileno()).st_size == 5 * MIB
    assert live.log.read_bytes() == made(live.job, 5 * MIB)


def test_s11_is_not_kept_as_final(github, mount):
    live = Live(github, mount())
    assert live.log.read_bytes() == made(live.job, 3 * MIB)
    live.mount.stop()
    live.grow()
    again = mount(cache=live.mount.cache)
    assert again.log(live.job).read_bytes() == made(live.job, 5 * MIB)
    again.stop()
    with fails("EHOSTUNREACH", "ENOENT"):
        mount(cache=live.mount.cache, offline=True).log(live.job).read_bytes()


# --- following -----------------------------------------------------------------------------------

@pytest.mark.limit(90)
def test_s11_tail_follows_through_the_end(github, mount, folder):
    """-f and -F, from the first byte over growth to the end of the job, each byte once; P12."""
    live = Live(github, mount())
    start = time.monotonic()
    with Follower(folder, "-s", "0.2", "-c", "+1", "-f", live.log) as one, \
            Follower(folder, "-s", "0.2", "-c", "+1", "-F", live.log) as other:
        def both(size):
            for tail in (one, other):
                tail.has(made(live.job, size))
        both(3 * MIB)
        live.grow(MIB)
        both(4 * MIB)
        live.grow(2 * MIB)
        live.complete()
        both(6 * MIB)
        wait_for(lambda: (live.mount.folder(live.job) / "log.txt").exists(), SOON, 0.2)
        seen = traffic(github)
        seconds = time.monotonic() - start
        time.sleep(1)
        both(6 * MIB)
        assert one.process.poll() is None and other.process.poll() is None
    assert seen.charged <= 4, "the URL, the job, and once more at its end"
    assert len(seen.of("storage")) <= 6 + seconds / 2, "not asked for all the time"


@pytest.mark.limit(90)
def test_p12_a_job_without_output(github, mount, folder):
    """Nor is a new URL had for each question where one lives only three seconds, not a minute."""
    github.lifetime(seconds=3)
    live = Live(github, mount())
    with Follower(folder, "-s", "0.1", "-c", "+1", "-f", live.log) as tail:
        tail.has(made(live.job, 3 * MIB))
        time.sleep(8)
        seen = traffic(github)
    assert seen.charged <= 3, [entry["path"][-30:] for entry in seen.of("api")]


@pytest.mark.limit(90)
def test_s11_a_job_without_a_log_yet(github, mount, folder):
    """ENOENT, and tail -F picks it up when it is there."""
    live = Live(github, mount(), size=0)
    listing(live.mount.repo() / "jobs")
    assert listing(live.mount.folder(live.job)) == ["job.json"]
    with fails("ENOENT"):
        live.log.stat()
    with Follower(folder, "-s", "0.3", "-n", "+1", "-F", live.log) as tail:
        time.sleep(1)
        github.set_job(live.job, size=3 * MIB)
        tail.has(made(live.job, 3 * MIB), 20)
        assert b"has appeared" in tail.errors.read_bytes() or \
            b"following new file" in tail.errors.read_bytes()
    assert traffic(github).charged <= 8
    assert listing(live.mount.folder(live.job)) == ["log", "job.json"]


# --- S8: final once, and not too early -----------------------------------------------------------

@pytest.mark.slow
@pytest.mark.limit(150)
def test_s8_final_once_and_not_too_early(github, mount):
    """In all the ways in which a job can end; nothing that came last is lost."""
    ways = {"sealed": {}, "open": {"form": "append"}, "cancelled": {"conclusion": "cancelled"},
            "grown": {"form": "append"}, "in a listing": {"form": "append"}}
    m = mount(fresh=2)
    lives = {name: Live(github, m) for name in ways}

    def has_text(live):
        return (m.folder(live.job) / "log.txt").exists()

    def state(live):
        return os.getxattr(m.folder(live.job), "user.ghlogfs.state").decode()
    for live in lives.values():
        assert live.log.read_bytes() == made(live.job, 3 * MIB)
        assert not has_text(live) and state(live) == "running"
    lives["grown"].grow(MIB)
    for name, live in lives.items():
        live.complete(**ways[name])
    waiting, end = set(lives), time.monotonic() + AT_LAST * min(SLOW, 2)
    while waiting and time.monotonic() < end:
        for name in list(waiting):
            live = lives[name]
            if name == "in a listing":
                listing(m.repo() / "runs" / str(live.run) / "now")
            assert live.log.stat().st_size in (3 * MIB, live.size)
            if has_text(live):
                waiting.remove(name)
        time.sleep(0.5)
    assert not waiting, "the end was never seen"
    forget(github)
    for live in lives.values():
        assert state(live) == "available"
        assert live.log.read_bytes() == made(live.job, live.size)
        text = (m.folder(live.job) / "log.txt").read_bytes()
        assert text.count(b"\n") == made(live.job, live.size).count(b"\n")
    time.sleep(6)
    for live in lives.values():
        live.log.stat()
    assert traffic(github).charged <= 1, "final is final"
    m.stop()
    offline = mount(cache=m.cache, offline=True)
    for live in lives.values():
        assert offline.log(live.job).read_bytes() == made(live.job, live.size)


def test_readers_of_a_growing_log_see_no_torn_line(github, mount):
    """At whatever moment the log is read: a piece of the log from its start, and nothing else."""
    live = Live(github, mount(), size=500_000)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        live.grow(70_001)
        data = live.log.read_bytes()
        assert data == made(live.job, len(data))
        assert out("tail", "-c", "20000", live.log) in made(live.job, live.size)
        time.sleep(0.3)
