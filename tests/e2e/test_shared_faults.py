"""The shared store fails in every way (T2, T5): the reader gets GitHub's bytes, and soon."""

import contextlib
import time

import pytest

import fake.content
from fake.asking import one_job
from faulting import RawServer, torn
from mounting import MIB, REPO, SLOW, ended, spawn, traffic, wait_active, wait_for
from sharing import KEY, SECRET, Store, filled, stats

SIZE = 300_000
# Seconds. Without a limit of its own a question would take the 20 s of a mount's, or all time.
SOON = 12 * SLOW


@pytest.fixture
def store(github, folder):
    return Store(github, folder)


def read(m, job, size=SIZE):
    """Its bytes are right; how long it took."""
    begun = time.monotonic()
    assert m.log(job).read_bytes() == fake.content.content(job, 0, size)
    return time.monotonic() - begun


# What the server does to requests for a log or its .meta: the fault, and what the store is said to
# be afterwards.
FAULTS = {
    "500": (dict(kind="status", status=500), "resting"),
    "503": (dict(kind="status", status=503, body="<Code>SlowDown</Code>"), "resting"),
    "403": (dict(kind="status", status=403, body="<Code>InvalidAccessKeyId</Code>"), "resting"),
    "401": (dict(kind="status", status=401), "resting"),
    "412": (dict(kind="status", status=412), "resting"),
    "409": (dict(kind="status", status=409), "resting"),
    "429": (dict(kind="status", status=429), "resting"),
    "301": (dict(kind="status", status=301, headers={"Location": "http://127.0.0.1:1/"}),
            "resting"),
    "404": (dict(kind="status", status=404), "up"),
    "no bucket": (dict(kind="status", status=404, body="<Code>NoSuchBucket</Code>"), "resting"),
    "hidden": (dict(kind="status", status=403, body="<Code>AccessDenied</Code>"), "up"),
    "reset before the header": (dict(kind="reset", after=-1), "resting"),
    "reset in the body": (dict(kind="reset", after=20), "resting"),
    "half a body": (dict(kind="close", after=20), "resting"),
    "stall before the header": (dict(kind="stall", after=-1), "resting"),
    "stall in the body": (dict(kind="stall", after=20), "resting"),
    "drip": (dict(kind="drip", bytes=1, every=0.1), "resting"),
    "dripping header": (dict(kind="drip", bytes=1, every=0.1, head=True), "resting"),
    "endless headers": (dict(kind="endless", part="header"), "resting"),
    "huge headers": (dict(kind="huge_headers", size=50_000, count=5), "resting"),
    "endless body": (dict(kind="endless"), "up"),
    "too long": (dict(kind="content_length", delta=1), "resting"),
    "too short": (dict(kind="content_length", delta=-1), "up"),
    "5 GiB": (dict(kind="content_length", value=5 << 30), "up"),
    "gzip": (dict(kind="gzip"), "resting"),
    "a wrong byte": (dict(kind="damage", at=40), "up"),
    "another range": (dict(kind="content_range", start_delta=65536), "up"),
    "another total": (dict(kind="content_range", total_delta=-1), "up"),
    "ranges ignored": (dict(kind="ignore_range"), "up"),
}
# Of the log only; those of the .meta would be no faults.
LOG_ONLY = {"another range", "another total", "ranges ignored"}
# All bytes of the log were there, and right, before anything was wrong.
HARMLESS = {"ranges ignored": 0, "too long": 1, "endless body": 0}     # lines told
CASES = [(what, name) for name in FAULTS for what in ("log", "meta")
         if what == "log" or name not in LOG_ONLY]


@pytest.mark.parametrize("what,name", CASES, ids=lambda word: word.replace(" ", "-"))
def test_t2_whatever_fails_the_reader_gets_githubs_bytes(github, mount, store, what, name):
    job = one_job(github, size=SIZE)
    filled(github, mount, store, [job])
    spec, state = FAULTS[name]
    path = store.path(job) + (".meta" if what == "meta" else "")
    github.fault(hop="store", query="^$", times=-1, **dict(spec, path=path))
    if what == "log":       # the path of the log is the beginning of the other
        github.clear_faults()
        github.fault(hop="store", range="bytes", times=-1, **dict(spec, path=path))
    m = mount(**store.options, secrets=[KEY, SECRET])
    assert read(m, job) < SOON
    assert not torn(m.cache, SIZE)
    if what == "log" and name in HARMLESS:
        assert stats(m)["shared_hits"] == 1 and not traffic(github, settle=False).of("storage")
        assert m.stderr.count("shared store 127.0.0.3") == HARMLESS[name]
        return
    assert [e["status"] for e in traffic(github, settle=False).of("storage")] == [206]
    assert stats(m)["shared_state"] == state
    # One line tells it, with the host and without the key; nothing of what is not there.
    told = [line for line in m.stderr.splitlines() if "shared store 127.0.0.3" in line]
    assert len(told) == (0 if name in ("404", "hidden") else 1), m.stderr


def test_t2_a_store_that_refuses_connections_or_does_not_answer_them(github, mount, store):
    jobs = [one_job(github, size=SIZE) for _ in range(3)]
    filled(github, mount, store, jobs)
    github.refuse(hop="store")
    m = mount(**store.options)
    read(m, jobs[0])
    assert stats(m)["shared_state"] == "resting" and "refused" in m.stderr
    assert stats(m)["shared_timeouts"] == 0
    github.block(hop="store")
    n = mount(**store.options)
    assert read(n, jobs[1]) < SOON
    before = stats(n)
    assert before["shared_timeouts"] == 1 and before["shared_errors"] in (1, 2)
    read(n, jobs[2])        # it is left alone now
    assert all(stats(n)[name] == before[name] for name in ("shared_timeouts", "shared_errors"))


@pytest.mark.parametrize("says, least", [(b"", 0.5), (b"HTTP/1.1 200 OK\r\n\r\n", 0)],
                         ids=["silent", "another-protocol"])
def test_t2_a_store_without_tls(github, mount, store, says, least):
    """It takes connections, and never ends a handshake."""
    class Server(RawServer):
        def _serve(self, sock, number):
            with sock, contextlib.suppress(OSError):
                while sock.recv(4096):
                    sock.sendall(says)

    jobs = [one_job(github, size=SIZE) for _ in range(2)]
    with Server(None) as server:
        m = mount(**dict(store.options, shared=server.url.replace("http:", "https:") + "/logs"))
        assert least <= read(m, jobs[0]) < SOON
        read(m, jobs[1])
    assert stats(m)["shared_state"] == "resting" and stats(m)["shared_errors"] in (1, 2)
    assert m.stderr.count("shared store 127.0.0.1") == 1


def test_t2_a_proxys_page_in_place_of_each_object(github, mount, store):
    jobs = [one_job(github, size=SIZE) for _ in range(6)]
    filled(github, mount, store, jobs)
    page = "<!DOCTYPE html><html><body>Please log in.</body></html>"
    github.fault("status", hop="store", times=-1, status=200, body=page)
    m = mount(**store.options)
    for job in jobs:
        read(m, job)
    assert stats(m)["shared_state"] == "resting" and stats(m)["shared_wrong"] == 4
    assert "what it sends is not what was stored" in m.stderr
    assert len(github.log(hop="store")) <= 8


def test_t2_many_readers_wait_for_a_silent_store_once(github, mount, store):
    jobs = [job for one in github.bulk(REPO, 4, 10, 5050) for job in one["jobs"]]
    filled(github, mount, store, jobs)
    github.fault("stall", hop="store", after=-1, times=-1)
    m = mount(**store.options, connections=4)
    begun = time.monotonic()
    for line in (m.repo() / "jobs").iterdir():
        read(m, int(line.name), 5050)
    assert time.monotonic() - begun < 5 * SOON      # not 3 s for each of 40
    assert len(github.log(hop="store")) <= 8


@pytest.mark.alone
@pytest.mark.parametrize("slow,stalls", [("both", "log"), ("both", ".meta"), ("log", ".meta"),
                                         (".meta", "log")])
def test_t2_delays_do_not_add_up(github, mount, store, slow, stalls):
    """A slow answer, and then a body that does not come, of the same object or of the other."""
    job = one_job(github, size=SIZE)
    filled(github, mount, store, [job])
    which = {"log": {"range": "bytes"}, ".meta": {"path": ".meta"}}
    if slow == "both":
        github.latency(store_ms=2700)
    else:
        github.fault("stall", hop="store", after=-1, seconds=2.7, **which[slow])
    github.fault("stall", hop="store", after=20, times=-1, **which[stalls])
    m = mount(**store.options)
    assert 1.5 < read(m, job) < 3 + 2 * SLOW        # not 2.7 s and then 2.5
    assert stats(m)["shared_state"] == "resting" and stats(m)["shared_timeouts"] > 0


def test_t2_a_clock_that_is_wrong(github, mount, store):
    job = one_job(github, size=SIZE)
    filled(github, mount, store, [job])
    github.store_setup(identities={KEY: SECRET}, clock=20 * 60)
    m = mount(**store.options)
    read(m, job)
    assert "RequestTimeTooSkewed" in m.stderr


def test_t5_the_objects_of_another_job_are_not_served(github, mount, store):
    job, other = one_job(github, size=SIZE), one_job(github, size=SIZE)
    filled(github, mount, store, [job, other])
    store.put(store.path(job), store.get(store.path(other)))
    m = mount(**store.options)
    read(m, job)
    assert stats(m)["shared_wrong"] == 1
    store.put(store.path(job) + ".meta", store.get(store.path(other) + ".meta"))
    n = mount(**store.options)
    read(n, job)
    assert stats(n)["shared_wrong"] == 1 and stats(n)["shared_hits"] == 0


@pytest.mark.parametrize("data", [b"", b"ghlmeta\1", b"x" * 5000, b"ghlmeta\1" + b"\xff" * 3000])
def test_t5_a_meta_that_is_none(github, mount, store, data):
    job = one_job(github, size=SIZE)
    filled(github, mount, store, [job])
    store.put(store.path(job) + ".meta", data)
    m = mount(**store.options)
    read(m, job)
    assert stats(m)["shared_wrong"] == 1 and stats(m)["shared_state"] == "up"


def test_t5_no_byte_of_a_damaged_page_is_seen(github, mount, store):
    """Of a large log, far behind what has been read: what was right stays, the rest is GitHub's."""
    job = one_job(github, size=8 * MIB)
    filled(github, mount, store, [job])
    data = bytearray(store.get(store.path(job)))
    for at in (3 * MIB + 5, 6 * MIB + 7):
        data[at] ^= 1
    store.put(store.path(job), bytes(data))
    m = mount(**store.options)
    whole = m.log(job).read_bytes()
    assert len(whole) == 8 * MIB and fake.content.first_difference(job, 0, whole) == -1
    assert stats(m)["shared_wrong"] == 1 and traffic(github).of("storage")


def test_t2_a_store_that_fails_in_the_middle_of_a_large_log(github, mount, store):
    job = one_job(github, size=8 * MIB)
    filled(github, mount, store, [job])
    github.fault("stall", hop="store", range="bytes", nth=2, after=100_000, times=-1)
    m = mount(**store.options)
    begun = time.monotonic()
    whole = m.log(job).read_bytes()
    assert len(whole) == 8 * MIB and fake.content.first_difference(job, 0, whole) == -1
    assert time.monotonic() - begun < SOON
    assert stats(m)["shared_state"] == "resting"


@pytest.mark.parametrize("fault", [dict(kind="upload", after=0, how="stall"),
                                   dict(kind="stall", after=-1, nth=2)], ids=["log", "question"])
def test_t2_a_question_does_not_wait_for_an_upload(github, mount, store, fault):
    """Nor for the question whether the log is there already. Each hangs, and has the only
    connection that there is for it."""
    stored, new = one_job(github, size=SIZE), one_job(github, size=SIZE)
    filled(github, mount, store, [stored])
    github.fault(hop="store", path="%d" % new, **fault)
    m = mount(**store.options, shared_write=True, connections=1)
    read(m, new)
    wait_for(lambda: [f["hits"] for f in github.faults()] == [1], 10, 0.01)
    assert read(m, stored) < SOON       # an upload that hangs has 15 s
    assert stats(m)["shared_hits"] == 1 and stats(m)["shared_state"] == "up"


def test_an_unmount_ends_what_hangs_at_the_store(github, mount, store):
    """R6, while a question, a .meta and a range are under way."""
    jobs = [one_job(github, size=SIZE) for _ in range(2)]
    filled(github, mount, store, jobs)
    github.fault("stall", hop="store", after=-1, times=-1)
    m = mount(**store.options)
    readers = [spawn("cat", m.log(job)) for job in jobs]
    with ended(readers):
        wait_active(github, 2, "store")
        m.stop("term")
