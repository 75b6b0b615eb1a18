"""What can happen to the cache: a kill at any moment (R2), a disk that is full, gone, read-only or
damaged (R3), others at work in the same directory (R4). The bytes are right all the same."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest

import mounting
from faulting import (build_shim, each, hits, made, named_logs, one_job, outcome, outcomes,
                      right, torn, within)
from mounting import (KIB, MIB, PLAIN, SLOW, MountFailed, ended, forget, run, spawn, traffic,
                      wait_active, wait_for)

PAGE = 64 * KIB
SIZE = 10 * PAGE + 4321
SMALL = 5000


def jobs_of(github, count, size):
    return {number: one_job(github, size=size) for number in range(count)}


def filled(github, mount, count=1, size=SIZE, **options):
    """(jobs, cache): so many logs on disk, and their mount ended."""
    jobs = jobs_of(github, count, size)
    m = mount(**options)
    assert outcomes(m, jobs, size) == right(jobs)
    m.stop()
    assert sorted(named_logs(m.cache)) == sorted(jobs.values())
    forget(github)
    return jobs, m.cache


def meta_of(cache, job):
    log = named_logs(cache)[job]
    return log.with_name(log.name + ".meta")


def flip(file, at):
    with open(file, "r+b", buffering=0) as data:
        byte = os.pread(data.fileno(), 1, at % file.stat().st_size)
        os.pwrite(data.fileno(), bytes((byte[0] ^ 0x20,)), at % file.stat().st_size)


def remove(folder):
    """`rm -r`, again where the daemon made something in a folder that was just emptied."""

    def gone():
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    wait_for(gone, why="it is made anew all the time")


def die(m):
    """kill -9, and the dead mount is taken away."""
    os.kill(m.pid, signal.SIGKILL)
    m.process.wait(30)
    m.kill()


# --- R2: kill -9 ---------------------------------------------------------------------------------

def reading(m, jobs, size):
    """The jobs are read in the background; errors are no matter, wrong bytes are kept."""
    wrong = []

    def work():
        got = outcomes(m, jobs, size)
        wrong.extend(word for word in got.values() if word.startswith(("wrong", "short")))

    thread = threading.Thread(target=work)
    thread.start()
    return thread, wrong


@pytest.mark.limit(120)
def test_r2_killed_at_any_moment(github, mount, folder):
    """Twenty times, from the first request to the last log's name; what is named is whole.

    The first time one log cannot be complete and another has its name; then by the clock and by
    the requests in turn.
    """
    chance, cache, before = random.Random(20), folder / "cache", {}
    github.bandwidth(rate=20 * MIB)
    kept = 0
    for turn in range(20):
        m = mount(cache=cache)
        jobs = jobs_of(github, 5, SIZE)
        forget(github)
        if turn == 0:
            github.fault("stall", hop="storage", job=jobs[4], after=PAGE, times=-1)
        thread, wrong = reading(m, jobs, SIZE)
        if turn == 0:
            wait_for(lambda: named_logs(cache), why="no log got its name")
        elif turn % 2:
            asked = turn // 2 % 5 + 1
            wait_for(lambda: github.counters()["storage"]["requests"] >= asked, every=0.002)
        else:
            time.sleep(chance.uniform(0, 0.12) * SLOW)
        die(m)
        github.clear_faults()
        thread.join()
        assert not wrong and not torn(cache, SIZE)
        kept += len(named_logs(cache).keys() & jobs.values())
        before.update({(turn, name): job for name, job in jobs.items()})
    m = mount(cache=cache)
    assert outcomes(m, before, SIZE) == right(before)
    assert 0 < kept < 100, "the kills were all too early or all too late to prove anything"


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    if not PLAIN:
        pytest.skip("nothing can be preloaded under sanitizers and valgrind")
    made_at = build_shim(tmp_path_factory.mktemp("shim"))
    if not made_at:
        pytest.skip("there is no C compiler")
    return made_at


@pytest.mark.limit(120)
def test_r2_killed_at_each_step_of_publishing(github, mount, folder, shim):
    """Before each change of a file there is, until a whole log goes through unharmed."""
    for step in range(1, 40):
        job = one_job(github, size=SMALL)
        cache = folder / ("cache%d" % step)
        try:
            m = mount(cache=cache, env={"LD_PRELOAD": shim, "SHIM": "kill:%d" % step})
        except (MountFailed, subprocess.CalledProcessError):
            mount.all[-1].kill()
            continue
        word = outcome(m.log(job), made(job, SMALL))
        assert word == "right" or word.split()[0] in ("ENOTCONN", "ECONNABORTED"), (step, word)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: m.process.poll() is not None or job in named_logs(cache), 2)
        time.sleep(0.05)            # for what is changed once it has its name
        survived = m.process.poll() is None and job in named_logs(cache)
        m.kill()
        assert not torn(cache, SMALL), step
        again = mount(cache=cache)
        assert outcome(again.log(job), made(job, SMALL)) == "right", step
        again.stop()
        assert job in named_logs(cache), "it was not kept by the mount after the kill"
        if survived:
            break
    assert survived and step > 6, step


def test_r2_killed_in_mid_fetch_begins_anew(github, mount):
    job = one_job(github, size=6 * MIB)
    github.fault("stall", hop="storage", job=job, nth=2, after=512 * KIB, times=-1)
    m = mount()
    with ended([spawn("cat", m.log(job))]) as (reader,):
        wait_for(lambda: hits(github)[0], why="it never came to its second MiB")
        wait_active(github, 1)
        die(m)
        reader.wait(10)
    assert not named_logs(m.cache)
    used = sum(f.stat().st_blocks * 512 for f in m.cache.rglob("*") if f.is_file())
    assert used < 256 * KIB, "what was half fetched is left behind"
    github.clear_faults()
    assert outcome(mount(cache=m.cache).log(job), made(job, 6 * MIB)) == "right"


def test_r2_the_killed_one_leaves_the_others_alone(github, mount):
    """Two mounts over one directory; one is killed again and again while the other reads."""
    jobs = jobs_of(github, 24, SIZE)
    github.latency(storage_ms=20)
    steady = mount(cache_size="4M")
    got = {}
    thread = threading.Thread(target=lambda: got.update(
        {name: outcome(steady.log(job), made(job, SIZE)) for name, job in jobs.items()}))
    thread.start()
    for _ in range(4):
        other = mount(cache=steady.cache, cache_size="4M")
        busy, wrong = reading(other, jobs, SIZE)
        time.sleep(0.15)
        die(other)
        busy.join()
        assert not wrong
    thread.join()
    assert got == right(jobs) and not torn(steady.cache, SIZE)


# --- R2: damage ----------------------------------------------------------------------------------

def replace(file, make):
    file.unlink()
    make(file)


def write(file, data):
    file.write_bytes(data)
    file.chmod(0o600)


DAMAGES = {
    "a byte of the first page": lambda log, meta, other: flip(log, 0),
    "a byte in the middle": lambda log, meta, other: flip(log, 5 * PAGE + 17),
    "the last byte": lambda log, meta, other: flip(log, SIZE - 1),
    "a byte of each page": lambda log, meta, other: [flip(log, at) for at in range(0, SIZE, PAGE)],
    "a hole": lambda log, meta, other: write(log, log.read_bytes()[:3 * PAGE] + bytes(PAGE)
                                             + log.read_bytes()[4 * PAGE:]),
    "two pages exchanged": lambda log, meta, other: write(
        log, log.read_bytes()[PAGE:2 * PAGE] + log.read_bytes()[:PAGE]
        + log.read_bytes()[2 * PAGE:]),
    "cut by a byte": lambda log, meta, other: os.truncate(log, SIZE - 1),
    "cut in the middle": lambda log, meta, other: os.truncate(log, 4 * PAGE),
    "empty": lambda log, meta, other: os.truncate(log, 0),
    "longer by a byte": lambda log, meta, other: write(log, log.read_bytes() + b"\n"),
    "of another log": lambda log, meta, other: write(log, other.read_bytes()),
    "of another log with its meta": lambda log, meta, other: (
        write(log, other.read_bytes()),
        write(meta, other.with_name(other.name + ".meta").read_bytes())),
    "gone": lambda log, meta, other: log.unlink(),
    "a link": lambda log, meta, other: replace(log, lambda at: at.symlink_to("/etc/passwd")),
    "a folder": lambda log, meta, other: replace(log, lambda at: at.mkdir()),
    "a pipe": lambda log, meta, other: replace(log, os.mkfifo),
    "meta gone": lambda log, meta, other: meta.unlink(),
    "meta empty": lambda log, meta, other: os.truncate(meta, 0),
    "meta cut": lambda log, meta, other: os.truncate(meta, meta.stat().st_size - 1),
    "meta longer": lambda log, meta, other: write(meta, meta.read_bytes() + b"\0"),
    "meta of another log": lambda log, meta, other: write(
        meta, other.with_name(other.name + ".meta").read_bytes()),
    "meta a link": lambda log, meta, other: replace(
        meta, lambda at: at.symlink_to(other.with_name(other.name + ".meta"))),
    "meta a folder": lambda log, meta, other: replace(meta, lambda at: at.mkdir()),
    "meta a pipe": lambda log, meta, other: replace(meta, os.mkfifo),
    **{"meta's byte %d" % at: (lambda at: lambda log, meta, other: flip(meta, at))(at)
       for at in (0, 4, 8, 12, 16, 20, 24, 32, 40, 48, 56, 64, 100, 150, -1, -9, -17, -33)},
}


def test_r2_damage_of_every_kind(github, mount):
    """The next mount serves the right bytes, whatever it finds."""
    jobs, cache = filled(github, mount, len(DAMAGES) + 1)
    logs = named_logs(cache)
    whole = jobs.pop(len(DAMAGES))
    jobs = dict(zip(DAMAGES, jobs.values()))
    for name, job in jobs.items():
        DAMAGES[name](logs[job], meta_of(cache, job), logs[whole])
    m = mount(cache=cache)
    assert outcomes(m, jobs, SIZE) == right(jobs)
    assert outcome(m.log(whole), made(whole, SIZE)) == "right"
    m.stop()
    bad = [name for name, job in jobs.items() if job in torn_files(cache)]
    assert not bad, "these stayed damaged on disk"


def torn_files(cache):
    return [job for job, file in named_logs(cache).items()
            if file.is_file() and not file.is_symlink() and file.read_bytes() != made(job, SIZE)]


def test_r2_a_damaged_byte_costs_its_page(github, mount):
    jobs, cache = filled(github, mount)
    job = jobs[0]
    flip(named_logs(cache)[job], 5 * PAGE + 17)
    m = mount(cache=cache)
    assert outcome(m.log(job), made(job, SIZE)) == "right"
    seen = traffic(github)
    assert seen.requests == (1, 1) and seen.bytes <= PAGE
    assert seen.of("storage")[0]["range"] == "bytes=%d-%d" % (5 * PAGE, 6 * PAGE - 1)
    m.stop()
    again = mount(cache=cache, offline=True)
    assert outcome(again.log(job), made(job, SIZE)) == "right", "it was not mended on disk"


def test_r2_a_damaged_byte_offline(github, mount):
    """Nobody can mend it: its page fails, the others are read; never a wrong byte."""
    jobs, cache = filled(github, mount)
    job = jobs[0]
    flip(named_logs(cache)[job], 5 * PAGE + 17)
    m = mount(cache=cache, offline=True)
    word = outcome(m.log(job), made(job, SIZE))
    assert word.startswith(("EHOSTUNREACH after", "EIO after")), word
    assert mounting.read_at(m.log(job), 8 * PAGE, PAGE) == made(job, 9 * PAGE)[8 * PAGE:]
    assert m.log(job).stat().st_size == SIZE
    assert traffic(github).requests == (0, 0)


@pytest.mark.parametrize("log", ("expired", "missing", "deleted"))
def test_r2_a_damaged_byte_of_what_github_has_no_more(github, mount, log):
    """A READ that finds a known log gone is EIO, and what is whole of it stays readable."""
    jobs, cache = filled(github, mount)
    job = jobs[0]
    flip(named_logs(cache)[job], 5 * PAGE + 17)
    github.set_job(job, log=log)
    m = mount(cache=cache, deadline=10)
    assert outcome(m.log(job), made(job, SIZE)).startswith("EIO after")
    assert mounting.read_at(m.log(job), 8 * PAGE, PAGE) == made(job, 9 * PAGE)[8 * PAGE:]


def test_r2_damaged_records(github, mount):
    """What is known of jobs and listings is asked for again."""
    job = one_job(github, size=SIZE)
    m = mount()
    wanted = m.json(job).read_bytes()
    listed = sorted(os.listdir(m.repo() / "jobs"))
    m.stop()
    records = [file for file in m.cache.glob("v1/*/facts/**/*") if file.is_file()]
    assert records
    for file in records:
        flip(file, file.stat().st_size // 2)
    again = mount(cache=m.cache)
    assert again.json(job).read_bytes() == wanted
    assert sorted(os.listdir(again.repo() / "jobs")) == listed


def test_r3_a_disk_that_cannot_be_read(github, mount, shim):
    """Every read of a cached log fails with EIO: it is fetched again, into memory if need be."""
    jobs, cache = filled(github, mount, 3)
    m = mount(cache=cache, env={"LD_PRELOAD": shim, "SHIM": "pread:5"})
    assert outcomes(m, jobs, SIZE) == right(jobs)


@pytest.mark.parametrize("call,error", (("pwrite", 28), ("pwrite", 5), ("linkat", 28),
                                        ("renameat", 30), ("ftruncate", 5), ("fallocate", 28)))
def test_r3_a_disk_that_cannot_be_written(github, mount, shim, call, error):
    jobs = jobs_of(github, 3, SIZE)
    m = mount(env={"LD_PRELOAD": shim, "SHIM": "%s:%d" % (call, error)})
    assert outcomes(m, jobs, SIZE) == right(jobs)
    assert outcomes(m, jobs, SIZE) == right(jobs)
    m.stop()
    assert not torn(m.cache, SIZE)


# --- R3: a disk that is full, read-only, gone ----------------------------------------------------

def space(at):
    stat = os.statvfs(at)
    return stat.f_bavail * stat.f_frsize


def test_r3_a_small_disk(github, mount, disk):
    """Three times what fits, one log that never fits; 5 % of the disk stays free."""
    jobs, at = jobs_of(github, 24, SIZE), disk("6M")
    m = mount(cache=at / "cache")
    for _ in range(2):
        assert outcomes(m, jobs, SIZE) == right(jobs)
        wait_for(lambda: space(at) > 0.04 * 6 * MIB, 3)     # once the last file is closed
    large = one_job(github, size=12 * MIB)
    assert outcome(m.log(large), made(large, 12 * MIB)) == "right"
    wait_for(lambda: space(at) > 0.04 * 6 * MIB, 3)
    m.stop()
    assert not torn(m.cache, SIZE)


def test_r3_neither_disk_nor_memory(github, mount, disk):
    """EFBIG for what fits nowhere, and only for that."""
    large, small = one_job(github, size=12 * MIB), one_job(github, size=SIZE)
    m = mount(cache=disk("3M") / "cache", memory="2M")
    assert outcome(m.log(large), made(large, 12 * MIB)).startswith("EFBIG after")
    assert outcome(m.log(small), made(small, SIZE)) == "right"


def test_r3_the_disk_fills_up_in_mid_fetch(github, mount, disk):
    job, at = one_job(github, size=8 * MIB), disk("16M")
    github.fault("stall", hop="storage", job=job, nth=2, after=512 * KIB, times=-1)
    m = mount(cache=at / "cache", timeout=2)
    got = []
    thread = threading.Thread(target=lambda: got.append(outcome(m.log(job), made(job, 8 * MIB))))
    thread.start()
    wait_for(lambda: hits(github)[0], why="it never came to its second MiB")
    with open(at / "other", "wb") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(MIB))
        except OSError:
            pass
    assert not got, "it was not in mid fetch any more"
    github.clear_faults()
    thread.join()
    assert got == ["right"]
    other = one_job(github, size=SIZE)
    assert outcome(m.log(other), made(other, SIZE)) == "right"


def test_r3_no_inodes(github, mount, disk):
    jobs = jobs_of(github, 6, SIZE)
    m = mount(cache=disk("20M", "nr_inodes=12") / "cache")
    for _ in range(2):
        assert outcomes(m, jobs, SIZE) == right(jobs)


def test_r3_read_only_from_the_start(github, mount, disk):
    jobs, at = jobs_of(github, 3, SIZE), disk("20M")
    (at / "cache").mkdir(mode=0o700)
    first = mount(cache=at / "cache")
    assert outcome(first.log(jobs[0]), made(jobs[0], SIZE)) == "right"
    first.stop()
    run("mount", "-o", "remount,ro", at)
    forget(github)
    m = mount(cache=at / "cache")
    assert outcome(m.log(jobs[0]), made(jobs[0], SIZE)) == "right"
    assert traffic(github).requests == (0, 0), "what is there can be read"
    assert outcomes(m, jobs, SIZE) == right(jobs)


def test_r3_read_only_while_mounted(github, mount, disk):
    jobs, at = jobs_of(github, 4, SIZE), disk("20M")
    large = one_job(github, size=6 * MIB)
    m = mount(cache=at / "cache")
    assert outcome(m.log(jobs[0]), made(jobs[0], SIZE)) == "right"
    with open(m.log(large), "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 100, 0) == made(large, 100)
        run("mount", "-o", "remount,ro", at, check=False)
        assert outcomes(m, jobs, SIZE) == right(jobs)
    assert outcome(m.log(large), made(large, 6 * MIB)) == "right"


def test_r3_the_cache_is_removed_while_mounted(github, mount):
    jobs = jobs_of(github, 4, SIZE)
    large = one_job(github, size=6 * MIB)
    m = mount()
    assert outcome(m.log(jobs[0]), made(jobs[0], SIZE)) == "right"
    with open(m.log(large), "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 100, 0) == made(large, 100)
        remove(m.cache)
        assert os.pread(file.fileno(), MIB, 5 * MIB) == made(large, 6 * MIB)[5 * MIB:]
    for _ in range(2):
        assert outcomes(m, jobs, SIZE) == right(jobs)
    assert outcome(m.log(large), made(large, 6 * MIB)) == "right"


def test_r3_the_cache_is_replaced_while_mounted(github, mount, folder):
    """By another with the same logs, all damaged: none of its bytes is taken on trust."""
    jobs = jobs_of(github, 4, SIZE)
    m = mount()
    assert outcomes(m, {0: jobs[0], 1: jobs[1]}, SIZE) == right({0, 1})
    wait_for(lambda: len(named_logs(m.cache)) == 2, why="not all published")
    shutil.copytree(m.cache, folder / "copy", ignore=lambda at, names: (
        names if at.endswith("/tmp") else []))
    for file in named_logs(folder / "copy").values():
        flip(file, 2 * PAGE)
    m.cache.rename(folder / "old")
    (folder / "copy").rename(m.cache)
    for _ in range(2):
        assert outcomes(m, jobs, SIZE) == right(jobs)
    m.stop()
    again = mount(cache=m.cache)
    assert outcomes(again, jobs, SIZE) == right(jobs)


def test_r3_logs_removed_one_by_one_under_readers(github, mount):
    """As an impatient user or a cleaner of caches does."""
    jobs = jobs_of(github, 12, SIZE)
    m = mount()
    stop = threading.Event()

    def sweep():
        while not stop.wait(0.02):
            for file in m.cache.glob("v1/*/logs/*/*"):
                file.unlink(missing_ok=True)

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        for _ in range(4):
            assert outcomes(m, jobs, SIZE) == right(jobs)
    finally:
        stop.set()
        thread.join()


# --- R4 ------------------------------------------------------------------------------------------

def test_r4_evicted_by_one_while_the_other_reads(github, mount):
    """Slow readers of one mount, a busy one of another in a cache that is too small for either."""
    slow, quick = jobs_of(github, 4, SIZE), jobs_of(github, 12, SIZE)
    first = mount(cache_size="2M")
    second = mount(cache=first.cache, cache_size="2M")
    got = {}
    thread = threading.Thread(target=lambda: got.update(each(
        lambda job: outcome(first.log(job), made(job, SIZE), pace=0.1), slow)))
    thread.start()
    while thread.is_alive():
        assert outcomes(second, quick, SIZE) == right(quick)
    thread.join()
    assert got == right(slow)
    assert not torn(first.cache, SIZE)


def test_r4_a_stopped_mount_delays_no_other(github, mount):
    """SIGSTOP in the middle of its work: the other mount reads and publishes on."""
    jobs = jobs_of(github, 10, SIZE)
    first = mount(cache_size="2M")
    second = mount(cache=first.cache, cache_size="2M")
    busy, wrong = reading(first, jobs, SIZE)
    time.sleep(0.03)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        with within(15):
            assert outcomes(second, jobs, SIZE) == right(jobs)
    finally:
        os.kill(first.pid, signal.SIGCONT)
    busy.join()
    assert not wrong
