"""Readers that wait can be killed, and those that need not wait do not (R6); one cache,
several mounts (R4)."""

import contextlib
import ctypes
import os
import signal
import threading
import time

import pytest

import fake.content
from faulting import named_logs, one_job
from mounting import (MIB, REPO, SLOW, daemons_of, ended, fork_all, mounted, read_at, run, spawn,
                      traffic, wait_active, wait_for)


def made(job, size):
    return fake.content.content(job, 0, size)


def cached(github, mount, size=300_000):
    """A log on disk, and its mount ended, so that the kernel has forgotten it."""
    job = one_job(github, size=size)
    m = mount()
    assert m.log(job).read_bytes() == made(job, size)
    m.stop()
    return job, m.cache


def timed(seconds, work):
    started = time.monotonic()
    result = work()
    assert time.monotonic() - started < seconds * SLOW
    return result


# --- kill ----------------------------------------------------------------------------------------

STALLS = {"the first answer": {"hop": "api", "after": -1},
          "the size": {"hop": "storage", "after": -1},
          "bytes": {"hop": "storage", "after": 300_000}}


@pytest.mark.smoke
@pytest.mark.parametrize("what", STALLS)
def test_r6_a_reader_that_waits_can_be_killed(github, mount, what):
    job = one_job(github, size=900_000)
    github.fault("stall", times=-1, **STALLS[what])
    m = mount()
    with ended([spawn("cat", m.log(job))]) as (reader,):
        wait_active(github, 1, STALLS[what]["hop"])
        time.sleep(0.3)
        reader.kill()
        assert timed(2.5, lambda: reader.wait(10 * SLOW)) == -signal.SIGKILL


@pytest.mark.parametrize("word", ("TERM", "INT", "HUP"))
def test_r6_or_ended_by_other_fatal_signals(github, mount, word):
    job = one_job(github)
    github.fault("stall", hop="api", after=-1, times=-1)
    m = mount()
    with ended([spawn("cat", m.log(job))]) as (reader,):
        wait_active(github, 1, "api")
        time.sleep(0.2)
        reader.send_signal(getattr(signal, "SIG" + word))
        timed(2.5, lambda: reader.wait(10 * SLOW))


def test_r6_one_of_several_readers_is_killed_and_the_others_get_their_bytes(github, mount):
    job = one_job(github, size=900_000)
    github.fault("stall", hop="storage", after=300_000, seconds=3)
    m = mount()
    with ended([spawn("cmp", m.log(job), "/dev/null") for _ in range(2)]
               + [spawn("wc", "-c", m.log(job)) for _ in range(3)]) as readers:
        wait_active(github, 1)
        time.sleep(0.5)
        for reader in readers[:2]:
            reader.kill()
        for reader in readers[:2]:
            timed(2.5, lambda: reader.wait(10 * SLOW))
        assert [reader.wait(15 * SLOW) for reader in readers[2:]] == [0, 0, 0]
    assert m.log(job).read_bytes() == made(job, 900_000)
    assert traffic(github).requests == (1, 1), "the kill ended the fetch of the others"


def test_r6_the_log_can_be_read_after_its_first_reader_was_killed(github, mount):
    job = one_job(github, size=900_000)
    github.latency(api_ms=800)
    m = mount()
    with ended([spawn("cat", m.log(job))]) as (reader,):
        wait_active(github, 1, "api")
        reader.kill()
        timed(2.5, lambda: reader.wait(10 * SLOW))
    assert m.log(job).read_bytes() == made(job, 900_000)


def test_r6_a_signal_with_a_handler_interrupts_nothing(github, mount):
    """SIGALRM again and again: open and read succeed, neither fails with EINTR."""
    job = one_job(github, size=300_000)
    github.latency(api_ms=600, storage_ms=600)
    log = os.fsencode(mount().log(job))

    def work(_):
        libc = ctypes.CDLL(None, use_errno=True)
        count = [0]

        def handler(*_):
            count[0] += 1

        signal.signal(signal.SIGALRM, handler)
        signal.siginterrupt(signal.SIGALRM, True)
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        fd = libc.open(log, os.O_RDONLY)
        if fd < 0:
            return ctypes.get_errno()
        buffer = ctypes.create_string_buffer(300_000)
        got = 0
        while got < 300_000:
            part = libc.read(fd, ctypes.byref(buffer, got), 300_000 - got)
            if part <= 0:
                return ctypes.get_errno() or 98
            got += part
        if buffer.raw != made(job, 300_000):
            return 97
        return 0 if count[0] else 96

    assert fork_all(1, work) == [0]
    assert traffic(github).requests == (1, 1)


def test_r6_killed_after_signals_with_a_handler(github, mount):
    """The first interrupt was not fatal; the one that comes later is looked at all the same."""
    job = one_job(github)
    github.fault("stall", hop="api", after=-1, times=-1)
    m = mount()
    code = ("import signal, sys\nsignal.signal(signal.SIGALRM, lambda *_: 0)\n"
            "signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)\nopen(sys.argv[1])")
    with ended([spawn("/usr/bin/python3", "-c", code, m.log(job))]) as (reader,):
        wait_active(github, 1, "api")
        time.sleep(0.5)
        reader.kill()
        assert timed(2.5, lambda: reader.wait(10 * SLOW)) == -signal.SIGKILL


def test_r6_stopped_and_continued(github, mount):
    job = one_job(github, size=300_000)
    github.latency(api_ms=700)
    m = mount()
    with ended([spawn("cmp", m.log(job), m.log(job))]) as (reader,):
        wait_active(github, 1, "api")
        reader.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        reader.send_signal(signal.SIGCONT)
        assert reader.wait(15 * SLOW) == 0


# --- the end of the mount ------------------------------------------------------------------------

@pytest.mark.parametrize("word", ("TERM", "INT", "HUP"))
def test_r6_sigterm_with_many_waiting(github, mount, word):
    jobs = [one_job(github, size=900_000) for _ in range(60)]
    github.fault("stall", hop="storage", after=300_000, times=-1)
    m = mount()
    with ended([spawn("cat", m.log(job)) for job in jobs]) as readers:
        wait_active(github, 30)
        os.kill(m.pid, getattr(signal, "SIG" + word))
        assert timed(2.5, lambda: m.process.wait(15 * SLOW)) == 0
        for reader in readers:
            assert reader.wait(10 * SLOW) == 1
    assert not mounted(m.path)
    m.ended = True
    m.check_output()


def test_r6_a_lazy_unmount_with_some_waiting(github, mount):
    jobs = [one_job(github, size=900_000) for _ in range(5)]
    github.fault("stall", hop="storage", after=300_000, times=-1)
    m = mount()
    with ended([spawn("cat", m.log(job)) for job in jobs]) as readers:
        wait_active(github, 5)
        run("fusermount3", "-u", "-z", m.path)
        for reader in readers:
            reader.kill()
            timed(2.5, lambda: reader.wait(10 * SLOW))
    timed(3, lambda: m.process.wait(15 * SLOW))
    m.stop()


def test_r6_after_a_lazy_unmount_open_files_are_read_on(github, mount):
    """As with any file system: the name is gone at once, the process with the last file."""
    job = one_job(github, size=900_000)
    github.fault("stall", hop="storage", after=300_000, times=-1)
    m = mount()
    with open(m.log(job), "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 1000, 0) == made(job, 1000)
        wait_active(github, 1)
        run("fusermount3", "-u", "-z", m.path)
        assert not mounted(m.path) and os.listdir(m.path) == []
        github.clear_faults()
        github.drop(hop="storage")
        assert os.pread(file.fileno(), 900_000, 0) == made(job, 900_000)
        assert m.process.poll() is None
    assert m.process.wait(15 * SLOW) == 0
    m.stop()


def test_r6_after_a_lazy_unmount_a_waiting_reader_ends_at_the_deadline(github, mount):
    """And then the process."""
    job = one_job(github, size=900_000)
    github.fault("stall", hop="storage", after=300_000, times=-1)
    m = mount(timeout=1, deadline=3)
    with ended([spawn("cat", m.log(job))]) as (reader,):
        wait_active(github, 1)
        run("fusermount3", "-u", "-z", m.path)
        assert reader.wait(30 * SLOW) == 1
        assert b"timed out" in reader.stderr.read()
        assert m.process.wait(15 * SLOW) == 0
    m.stop()


def test_r6_a_lazily_unmounted_mount_that_is_ended_leaves_a_new_one_alone(github, mount):
    """SIGTERM ends it whatever is open; what is mounted in its place by now stays."""
    job = one_job(github, size=1000)
    m = mount()
    with open(m.log(job), "rb", buffering=0) as file:
        assert file.read(10) == made(job, 10)
        run("fusermount3", "-u", "-z", m.path)
        new = mount(path=m.path)
        os.kill(m.pid, signal.SIGTERM)
        assert m.process.wait(15 * SLOW) == 0
        m.ended = True
        m.check_output()
        assert mounted(new.path) and new.log(job).read_bytes() == made(job, 1000)


def test_r6_unmounting_without_readers_while_something_is_fetched(github, mount):
    job = one_job(github, size=900_000)
    github.fault("stall", hop="storage", after=300_000, times=-1)
    m = mount()
    assert m.log(job).stat().st_size == 900_000
    timed(2, m.stop)


def test_r6_a_folder_in_use_keeps_the_mount(github, mount):
    """A busy mount is not unmounted, and works on."""
    job = one_job(github, size=1000)
    m = mount()
    with ended([spawn("sh", "-c", "cd '%s' && exec sleep 60" % m.folder(job))]):
        time.sleep(0.2)
        assert run("fusermount3", "-u", m.path, check=False).returncode != 0
        assert m.log(job).read_bytes() == made(job, 1000)
    assert daemons_of(m.path) == [m.pid]


# --- readers that need not wait ------------------------------------------------------------------

@contextlib.contextmanager
def many_waiting(github, m, count=40):
    """So many readers wait for storage, which sends nothing any more."""
    jobs = [one_job(github, size=900_000) for _ in range(count)]
    github.fault("stall", hop="storage", after=0, times=-1)
    with ended([spawn("cat", m.log(job)) for job in jobs]) as readers:
        wait_active(github, min(count, 30))
        yield
        assert all(reader.poll() is None for reader in readers), "they were to wait"


def test_r6_cached_reads_do_not_wait_behind_the_network(github, mount):
    job, cache = cached(github, mount, 3 * MIB)
    m = mount(cache=cache)
    with many_waiting(github, m):
        assert timed(2, m.log(job).stat).st_size == 3 * MIB
        assert timed(2, m.log(job).read_bytes) == made(job, 3 * MIB)


def test_r6_neither_do_folders_names_and_df(github, mount):
    job, cache = cached(github, mount)
    m = mount(cache=cache)
    with many_waiting(github, m):
        timed(2, lambda: run("df", m.path, timeout=5))
        timed(2, lambda: os.statvfs(m.log(job)))
        timed(2, m.folder(job).stat)
        timed(2, lambda: (m.repo("a/b") / "jobs" / "17").stat())
        assert not timed(2, (m.repo() / "jobs" / "007").exists)
        assert timed(2, lambda: os.getxattr(m.log(job), "user.ghlogfs.state")) == b"available"


def test_r6_nor_while_the_api_is_silent(github, mount):
    job, cache = cached(github, mount)
    others = [one_job(github) for _ in range(40)]
    github.fault("stall", hop="api", after=-1, times=-1)
    m = mount(cache=cache)
    with ended([spawn("cat", m.log(other)) for other in others]):
        wait_active(github, 30, "api")
        assert timed(2, m.log(job).read_bytes) == made(job, 300_000)
        timed(2, lambda: run("df", m.path, timeout=5))


def test_r6_what_is_here_of_a_log_is_read_while_the_rest_is_waited_for(github, mount):
    job = one_job(github, size=900_000)
    github.fault("stall", hop="storage", after=400_000, times=-1)
    m = mount()
    with ended([spawn("tail", "-c", "10", m.log(job))]) as (reader,):
        wait_active(github, 1)
        assert timed(2, lambda: read_at(m.log(job), 1000, 70_000)) == made(job, 71_000)[1000:]
        assert reader.poll() is None


def test_mounting_never_waits_for_the_network(github, mount):
    github.refuse(hop="api", drop=True)
    timed(3, mount)
    github.accept(hop="api")
    github.fault("stall", hop="api", after=-1, times=-1)
    timed(3, mount)


# --- R4: several mounts, one cache ---------------------------------------------------------------

def test_r4_what_one_mount_fetched_the_other_has(github, mount):
    job = one_job(github, size=2 * MIB)
    first = mount()
    second = mount(cache=first.cache)
    assert first.log(job).read_bytes() == made(job, 2 * MIB)
    wait_for(lambda: job in named_logs(first.cache), why="not published")
    assert second.log(job).read_bytes() == made(job, 2 * MIB)
    assert traffic(github).storage == 2


def test_r4_both_read_all_in_different_orders(github, mount):
    jobs = [one_job(github, size=400_000) for _ in range(12)]
    github.latency(storage_ms=20)
    first = mount()
    mounts = [first, mount(cache=first.cache)]

    def work(index):
        order = jobs if index % 2 else jobs[::-1]
        return sum(mounts[index % 2].log(job).read_bytes() != made(job, 400_000) for job in order)

    assert fork_all(4, work) == [0] * 4
    for m in mounts:
        m.stop()
    again = mount(cache=first.cache, offline=True)
    for job in jobs:
        assert again.log(job).read_bytes() == made(job, 400_000)


def test_r4_a_cache_too_small_for_both(github, mount):
    """Each evicts what the other has; whatever is gone is fetched again."""
    jobs = [one_job(github, size=300_000) for _ in range(10)]
    first = mount(cache_size="1M")
    mounts = [first, mount(cache=first.cache, cache_size="1M")]

    def work(index):
        wrong = 0
        for turn in range(2):
            for job in jobs[index:] + jobs[:index]:
                wrong += mounts[(index + turn) % 2].log(job).read_bytes() != made(job, 300_000)
        return wrong

    assert fork_all(4, work) == [0] * 4
    for m in mounts:
        m.stop()
    kept = sum(f.stat().st_blocks * 512 for f in first.cache.rglob("*") if f.is_file())
    assert kept < 2 * MIB


def test_an_open_log_stays_readable_when_it_is_evicted(github, mount):
    jobs = [one_job(github, size=600_000) for _ in range(4)]
    m = mount(cache_size="1M")
    with open(m.log(jobs[0]), "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 10, 0) == made(jobs[0], 10)
        for job in jobs[1:]:
            assert m.log(job).read_bytes() == made(job, 600_000)
        assert os.pread(file.fileno(), 600_000, 0) == made(jobs[0], 600_000)


def test_a_log_larger_than_the_cache_is_read(github, mount):
    job = one_job(github, size=5 * MIB)
    m = mount(cache_size="2M")
    assert m.log(job).read_bytes() == made(job, 5 * MIB)
    m.stop()
    kept = sum(f.stat().st_blocks * 512 for f in m.cache.rglob("*") if f.is_file())
    assert kept < 3 * MIB


def test_two_jobs_of_different_servers_share_a_cache(github, make_github, mounts):
    """Logs are kept by host and job: the same id elsewhere is another log."""
    other = make_github()
    for server, text in ((github, b"here\n"), (other, b"there\n")):
        server.add_job(server.add_run(REPO), id=77777, text=text)
    first = mounts(github=github)
    second = mounts(github=other, cache=first.cache)
    assert first.log(77777).read_bytes() == b"here\n"
    assert second.log(77777).read_bytes() == b"there\n"
    assert first.log(77777).read_bytes() == b"here\n"


def test_threads_of_one_process(github, mount):
    """Sixteen threads, one file each and one in common."""
    jobs = [one_job(github, size=200_000) for _ in range(17)]
    github.latency(api_ms=50, storage_ms=50)
    m, wrong = mount(), []

    def work(index):
        for job in (jobs[index], jobs[16]):
            if m.log(job).read_bytes() != made(job, 200_000):
                wrong.append(job)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert traffic(github).requests == (17, 17)


def test_nothing_is_left_behind(github, mount):
    """No process, no mount, no file but those of complete logs."""
    job = one_job(github, size=900_000)
    m = mount()
    m.log(job).read_bytes()
    m.stop()
    wait_for(lambda: not daemons_of(m.path), 5)
    assert not mounted(m.path)
    assert os.listdir(m.path) == []
    assert [] == [f for f in m.cache.rglob("*") if f.name.endswith((".part", ".tmp", "~"))]
