"""What a mount fetched from GitHub goes into the shared store (T4, T6), and does no harm there."""

import concurrent.futures
import os
import signal
import time

import pytest

import fake.content
from fake.asking import one_job
from faulting import named_logs
from mounting import MIB, REPO, forget, run, traffic, wait_active, wait_for
from sharing import KEY, SECRET, Store, filled, stats, wait_sent

SIZE = 300_000


@pytest.fixture
def store(github, folder):
    return Store(github, folder)


def made(job, size=SIZE):
    return fake.content.content(job, 0, size)


def puts(github):
    return [(e["path"].rpartition("/")[2], e["status"]) for e in github.log(hop="store")
            if e["method"] == "PUT"]


@pytest.mark.smoke
def test_t6_a_log_and_then_its_meta_are_stored(github, mount, store):
    job = one_job(github, size=SIZE)
    writer = mount(**store.options, shared_write=True, secrets=[KEY, SECRET])
    assert writer.log(job).read_bytes() == made(job)
    wait_sent(writer, 1)
    assert puts(github) == [(str(job), 200), ("%d.meta" % job, 200)]
    assert store.get(store.path(job)) == made(job)
    assert all(e["if_none_match"] == "*" for e in github.log(hop="store", method="PUT"))
    assert b"octo" not in store.get(store.path(job) + ".meta")      # names are GitHub's to prove
    assert stats(writer)["shared_bytes_out"] >= SIZE
    forget(github)

    reader = mount(**store.options)
    assert reader.log(job).read_bytes() == made(job)
    assert not traffic(github).of("storage") and not puts(github)
    # The same time on both machines (S7).
    assert os.stat(reader.log(job)).st_mtime_ns == os.stat(writer.log(job)).st_mtime_ns


def test_t6_without_the_option_nothing_is_stored(github, mount, store):
    job = one_job(github, size=SIZE)
    m = mount(**store.options)
    assert m.log(job).read_bytes() == made(job)
    m.stop()
    assert not puts(github)


def test_t6_what_came_from_the_store_is_not_sent_back(github, mount, store):
    job = one_job(github, size=SIZE)
    filled(github, mount, store, [job])
    m = mount(**store.options, shared_write=True)
    assert m.log(job).read_bytes() == made(job)
    m.stop()
    assert not puts(github) and len(github.log(hop="store")) == 2


def test_t6_a_damaged_page_is_not_sent(github, mount, store):
    """It is changed on disk after it was published, and before it is sent."""
    job = one_job(github, size=SIZE)
    github.fault("stall", hop="store", path="%d.meta" % job, nth=2, after=-1, seconds=4)
    m = mount(**store.options, shared_write=True)
    assert m.log(job).read_bytes() == made(job)
    wait_for(lambda: [f["hits"] for f in github.faults()] == [1], 10, 0.01)
    with open(named_logs(m.cache)[job], "r+b") as file:
        file.seek(100_000)
        file.write(b"damaged")
    wait_sent(m, 0, 1)
    assert github.store_list() == {} and "cannot store" not in m.stderr


def test_t6_a_large_log_and_logs_out_of_archives(github, mount, store):
    runs = github.bulk(REPO, 2, 6, 50_000, told=True)
    large = one_job(github, size=40 * MIB)
    jobs = [job for one in runs for job in one["jobs"]]
    writer = mount(**store.options, shared_write=True)
    run("grep", "-rc", "needle", writer.repo() / "jobs", check=False)
    wait_sent(writer, len(jobs) + 1)
    assert stats(writer)["logs_from_archives"] > 0
    writer.stop()
    forget(github)
    reader = mount(**store.options)
    for job in jobs:
        assert reader.log(job).read_bytes() == made(job, 50_000)
    whole = reader.log(large).read_bytes()
    assert len(whole) == 40 * MIB and fake.content.first_difference(large, 0, whole) == -1
    assert not traffic(github).of("storage")


@pytest.mark.parametrize("conditions", ["honoured", "ignored"])
def test_t4_ten_machines_at_once_make_one_log_of_each(github, mount, folder, conditions):
    store = Store(github, folder, conditions=conditions)
    jobs = [job for one in github.bulk(REPO, 1, 3, SIZE) for job in one["jobs"]]
    mounts = [mount(**store.options, shared_write=True) for _ in range(10)]
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        reads = [(job, pool.submit(m.log(job).read_bytes)) for m in mounts for job in jobs]
        assert all(read.result() == made(job) for job, read in reads)
    for m in mounts:
        wait_for(lambda m=m: stats(m)["shared_uploads_queued"] == 0, 20, 0.05)
        assert stats(m)["shared_uploads_dropped"] == 0
    listed = github.store_list()
    assert sorted(listed) == sorted(p for job in jobs for p in (
        store.path(job), store.path(job) + ".meta"))
    assert all(store.get(store.path(job)) == made(job) for job in jobs)
    if conditions == "honoured":
        assert all(times == 1 for _, times in listed.values())


def test_a_walk_that_fills_the_store_uses_archives(github, mount, store):
    """Of each run one log is asked of the store; as it is not there, the rest is one request."""
    runs = github.bulk(REPO, 10, 8, 20_000, told=True)
    writer = mount(**store.options, shared_write=True)
    run("grep", "-rc", "needle", writer.repo() / "jobs", check=False)
    seen = traffic(github)
    wait_sent(writer, 80)
    # Far from a request for each log: of each run it is its jobs, a log or two, and the archive.
    now = stats(writer)
    assert now["archives_requested"] <= len(runs) and now["logs_from_archives"] >= 40, now
    assert seen.charged < 1 + len(runs) + 80
    forget(github)
    reader = mount(**store.options)
    run("grep", "-rc", "needle", reader.repo() / "jobs", check=False)
    seen = traffic(github)
    assert seen.charged == 1 + len(runs) and not seen.of("storage")


FAULTS = {
    "500": dict(kind="status", status=500),
    "403": dict(kind="status", status=403, body="<Code>AccessDenied</Code>"),
    "301": dict(kind="status", status=301, headers={"Location": "http://127.0.0.1:1/"}),
    "stall before the answer": dict(kind="stall", after=-1),
    "reset before the answer": dict(kind="reset", after=-1),
    "endless answer": dict(kind="endless"),
    "no continue": dict(kind="upload", after=-1, how="reset"),
    "reset at once": dict(kind="upload", after=0, how="reset"),
    "reset in the body": dict(kind="upload", after=70_000, how="reset"),
    "close in the body": dict(kind="upload", after=70_000, how="close"),
    "stall in the body": dict(kind="upload", after=70_000, how="stall"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_t6_an_upload_that_fails_harms_nobody(github, mount, store, name):
    job, later = one_job(github, size=20 * MIB), one_job(github, size=SIZE)
    github.fault(hop="store", method="PUT", times=-1, **FAULTS[name])
    m = mount(**store.options, shared_write=True, secrets=[KEY, SECRET])
    whole = m.log(job).read_bytes()
    assert len(whole) == 20 * MIB and fake.content.first_difference(job, 0, whole) == -1
    wait_sent(m, 0, 1, seconds=40)
    told = [line for line in m.stderr.splitlines() if "cannot store" in line]
    assert len(told) == 1 and "shared store 127.0.0.3" in told[0], m.stderr
    # It is still read, and no further log is sent for now.
    assert stats(m)["shared_state"] == "up"
    assert m.log(later).read_bytes() == made(later)
    wait_sent(m, 0, 1, queued=1)
    assert stats(m)["shared_misses"] == 2
    github.clear_faults()
    other = mount(**store.options)
    assert other.log(later).read_bytes() == made(later)
    assert not any(path.endswith(".meta") for path in github.store_list())


@pytest.mark.slow
def test_t6_a_server_may_take_its_time_to_store_a_log(github, mount, store):
    """Longer than any question may take."""
    job = one_job(github, size=SIZE)
    github.fault("stall", hop="store", method="PUT", after=-1, seconds=12)
    m = mount(**store.options, shared_write=True)
    assert m.log(job).read_bytes() == made(job)
    wait_sent(m, 1)
    assert [status for _, status in puts(github)] == [200, 200]


@pytest.mark.parametrize("status", [412, 409])
def test_t6_another_writer_was_first(github, mount, store, status):
    """412: it is there. 409: somebody else is at it."""
    jobs = [one_job(github, size=SIZE) for _ in range(2)]
    github.fault("status", hop="store", method="PUT", times=-1, status=status)
    m = mount(**store.options, shared_write=True)
    for job in jobs:
        assert m.log(job).read_bytes() == made(job)
    wait_sent(m, *((2, 0) if status == 412 else (0, 2)))
    assert "cannot store" not in m.stderr


def test_t6_an_unmount_does_not_wait_for_an_upload(github, mount, store):
    job = one_job(github, size=SIZE)
    github.fault("upload", hop="store", after=0, how="stall", times=-1)
    m = mount(**store.options, shared_write=True)
    assert m.log(job).read_bytes() == made(job)
    wait_active(github, 1, "store")
    m.stop("term", within=10)       # an upload that hangs has 15 s


def test_t6_what_is_there_after_a_kill_is_right_or_does_not_count(github, mount, store):
    """Killed at each step of an upload, by the server's own count of bytes."""
    steps = [("", after) for after in (-1, 0, 1, 65_536, SIZE - 1)]
    steps += [(".meta", after) for after in (-1, 0, 1, 100)]
    for what, after in steps:
        job = one_job(github, size=SIZE)
        path = store.path(job) + what
        github.clear_faults()
        github.fault("upload", hop="store", path=path, after=after, how="stall")
        m = mount(**store.options, shared_write=True)
        assert m.log(job).read_bytes() == made(job)
        wait_for(lambda: [f["hits"] for f in github.faults()] == [1], 10, 0.01)
        os.kill(m.pid, signal.SIGKILL)
        m.kill()
        github.drop(hop="store")
        github.clear_faults()
        reader = mount(**store.options)
        assert reader.log(job).read_bytes() == made(job)
        assert stats(reader)["shared_hits"] == 0 and stats(reader)["shared_wrong"] == 0
        reader.stop()
        # The next writer finishes it.
        writer = mount(shared_write=True, **store.options)
        assert writer.log(job).read_bytes() == made(job)
        wait_sent(writer, 1)
        assert store.get(store.path(job)) == made(job)
        writer.stop()


@pytest.mark.slow
@pytest.mark.limit(300)
def test_t6_two_hundred_kills_while_logs_are_sent(github, mount, store):
    """Each a little later than the one before; what counts in the store is right after each."""
    size, began = 40_000, 0
    github.latency(store_ms=2)
    for number in range(200):
        jobs = [one_job(github, size=size) for _ in range(3)]
        m = mount(**store.options, shared_write=True)
        for job in jobs:
            assert m.log(job).read_bytes() == made(job, size)
        time.sleep(number * 0.0003)     # the moment is any: it does not decide what is right
        os.kill(m.pid, signal.SIGKILL)
        m.kill()
        listed = github.store_list()
        for job in jobs:
            began += store.path(job) in listed
            if store.path(job) + ".meta" in listed:
                assert store.get(store.path(job)) == made(job, size)
            for end in ("", ".meta"):
                if store.path(job) + end in listed:
                    github.store_remove(path=store.path(job) + end)
    assert began        # the kills met uploads


def test_t7_plain_http_with_a_user(github, mount, store):
    github.store_setup(mode="http", identities={"writer:word of": 1, "writer:pass:word": 1})
    store.key_file.write_text("writer pass:word\n")
    options = {"shared": github.store + "/logs/ci", "shared_key_file": store.key_file,
               "shared_verify": 0}
    job = one_job(github, size=SIZE)
    writer = mount(**options, shared_write=True)
    assert writer.log(job).read_bytes() == made(job)
    wait_sent(writer, 1)
    assert puts(github) == [(str(job), 201), ("%d.meta" % job, 201)]
    forget(github)
    reader = mount(**options)
    assert reader.log(job).read_bytes() == made(job)
    assert not traffic(github).of("storage")
