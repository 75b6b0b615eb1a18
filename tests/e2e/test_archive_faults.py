"""Archives that are wrong, cut, endless, late, hostile or not there (S20).

Whatever an archive is, each log has the right bytes, no reader waits longer than S20 allows, and
GitHub is asked at most once for the archive of an attempt in a day. A run that is meant stands
behind another one, by which the reader is recognised.
"""

import base64
import os
import random
import time

import pytest

from archiving import (add_run, archives, asked_for, drop_logs, impatient, leftovers, own,
                       read_at_once, sent_at, stats, text_of, wait_published, wait_sent, walk,
                       world)
from fake.certificates import Authority
from faulting import RawServer, named_logs, within
from mounting import MIB, SLOW, ended, spawn, traffic, wait_for
from treeing import NOON

PATIENT = dict(timeout=60, cache_size="64M")    # curl's own limit does not help a reader
HTML = "<!DOCTYPE html><html><body>Blocked by policy</body></html>"
NO_URL = {"message": "Failed to generate URL to download logs"}


def entry(name, data=b"x\n"):
    return [name, base64.b64encode(data).decode()]


def instead(job, name, start, **how):
    """Choices: the entry of job 2 holds such a log."""
    return {"missing": [job], "extra": [entry("77_job 2.txt", text_of(name, 77, start, **how))]}


def at_storage(kind, **fields):
    return dict(fields, kind=kind, hop="storage")


def at_api(kind, **fields):
    return dict(fields, kind=kind, hop="api")


# What becomes of the archive, (choices of archives.py by the run's jobs, fault), by which all of it
# is useless.
USELESS = {
    # It ends too soon, or not at all.
    "ends in good order": (lambda jobs: {"order": jobs, "ends": jobs[2]}, None),
    "ends with its connection": (
        lambda jobs: {"order": jobs, "ends": jobs[2], "framing": "close"}, None),
    "half of it": ({}, at_storage("json", form="truncated")),
    "nothing": ({}, at_storage("json", form="empty")),
    "reset before the header": ({}, at_storage("reset", after=-1)),
    "reset": ({}, at_storage("reset", after=3000)),
    "closed": ({}, at_storage("close", after=3000)),
    "closed, without framing": ({"framing": "close"}, at_storage("close", after=3000)),
    "closed, with a length": ({"framing": "length"}, at_storage("close", after=3000)),
    "zeros for ever": (lambda jobs: {"endless": [jobs[1], "zeros"]}, None),
    "noise for ever": (lambda jobs: {"endless": [jobs[1], "noise"]}, None),
    "a log for ever": (lambda jobs: {"endless": [jobs[1], "log"]}, None),
    "a bomb": ({"bomb": 600 * MIB}, None),
    "too many entries": ({"many": 70_000}, None),
    # It is late.
    "silent before the header": ({}, at_storage("stall", after=-1)),
    "silent at its start": ({}, at_storage("stall", after=0)),
    "silent in the middle": ({}, at_storage("stall", after=3000)),
    "drop by drop": ({}, at_storage("drip", bytes=100, every=0.2)),
    # It is none.
    "a page": ({}, at_storage("status", status=200, body=HTML,
                              headers={"Content-Type": "text/html"})),
    "a page that calls itself a zip": ({}, at_storage("json", form="html")),
    "compressed once more": ({}, at_storage("gzip")),
    "404 of storage": ({}, at_storage("xml", status=404, code="BlobNotFound")),
    "410 of storage": ({}, at_storage("status", status=410)),
    "500 of storage": ({}, at_storage("status", status=500)),
    "expired": ({}, at_storage("expired")),
    "a redirect of storage": ({}, at_storage("status", status=302,
                                             headers={"Location": "/elsewhere"})),
    "404": ({}, at_api("status", status=404, body={"message": "Not Found"})),
    "410": ({}, at_api("status", status=410, body={"message": "Gone"})),
    "500": ({}, at_api("status", status=500, body=NO_URL)),
    "200": ({}, at_api("status", status=200, body=HTML)),
    "no location": ({}, at_api("location")),
    "no URL": ({}, at_api("location", value="nowhere")),
    "a URL with a password": ({}, at_api("location", value="http://user:word@{host}{path}")),
    "a file": ({}, at_api("location", value="file:///etc/passwd")),
    "nobody there": ({}, at_api("location", value="http://127.0.0.1:9{path}")),
}

# Of these the other logs are taken, all but those of the jobs named.
PARTLY = {
    "a wrong CRC": (lambda jobs: {"wrong_crc": jobs[1]}, {1}),
    "a wrong size": (lambda jobs: {"wrong_size": jobs[1]}, {1}),
    "a wrong CRC ahead of the data": (lambda jobs: {"wrong_crc": jobs[1], "sizes": "ahead"}, {1}),
    "no entry": (lambda jobs: {"missing": [jobs[1], jobs[3]]}, {1, 3}),
    "no content": (lambda jobs: {"empty": [jobs[1]]}, {1}),
    "half a log": (lambda jobs: {"half": [jobs[1]]}, {1}),
    "the same twice": (lambda jobs: {"twice": [jobs[1], "same"]}, {1}),
    "another one behind it": (lambda jobs: {"twice": [jobs[1], "other"]}, {1}),
    "another one before it": (lambda jobs: {"twice": [jobs[1], "first"]}, {1}),
    "a name that fits, at the front": ({"extra": [entry("77_job 2.txt")]}, {1}),
    "a name that fits, at the end": ({"last": [entry("77_job 2.txt")]}, {1}),
    "a name that fits when cleaned": ({"last": [entry("77_job:2.txt")]}, {1}),
    "a name that fits with a number": ({"last": [entry("77_job 2 (1).txt")]}, {1}),
    "the old service's entry only": (
        lambda jobs: {"missing": [jobs[1]], "extra": [entry("-2147483648_job 2.txt")]}, {1}),
    "the log of an earlier attempt": (lambda jobs: instead(jobs[1], "job 2", NOON - 3600), {1}),
    "one that does not tell, of another time": (
        lambda jobs: instead(jobs[1], "job 2", NOON - 3600, marked=False), {1}),
    "one of another run": (lambda jobs: instead(jobs[1], "stranger", NOON), {1}),
    "two logs at each other's place": (lambda jobs: {"swap": [jobs[1], jobs[2]]}, {1, 2}),
}


def place(github, run, fault):
    """Such a fault for the archive of this run alone, as often as it is requested."""
    path = sent_at(run) if fault["hop"] == "storage" else asked_for(run, 1)
    github.fault(**dict({"times": -1}, **fault), path=path)


def useless(github, name, names=4):
    choices, fault = USELESS[name]
    first, run = world(github, names, choices)
    if fault:
        place(github, run, fault)
    return first, run


def later(github, mount, cache, first, run):
    """Another mount, when the logs are gone and the archive is as it should be."""
    github.clear_faults()
    github.archive(run=run.id)
    drop_logs(cache, run)
    again = mount(cache=cache)
    walk(again, first)
    return again


# --- useless -------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", USELESS)
def test_s20_an_archive_that_is_useless(github, mount, name):
    """It costs one request, and none in a day, also after a remount."""
    first, run = useless(github, name)
    m = mount(**PATIENT)
    walk(m, first, run)
    assert archives(github, run) == 1 and own(github, run) == [1] * 4
    wait_for(lambda: stats(m)["archives_failed"] == 1, why="it does not count as failed")
    if not USELESS[name][1]:
        assert wait_sent(github, run)["status"] == 200      # it was sent as it was made
    m.stop()
    assert not leftovers(m.cache)
    walk(later(github, mount, m.cache, first, run), run)
    assert archives(github, run) == 1 and own(github, run) == [2] * 4


@pytest.mark.parametrize("name", USELESS)
def test_s20_readers_that_wait_for_a_useless_archive(github, mount, name):
    """Eight at once; each gets his log by his own request before long."""
    first, run = useless(github, name, names=8)
    github.latency(api_ms=50, storage_ms=300)
    m = mount(**PATIENT)
    walk(m, first)
    with within(25):
        read_at_once(m, run)
    assert archives(github, run) == 1 and own(github, run) == [1] * 8


UNANSWERED = {
    "silence": at_api("stall", after=-1),
    "no connection": at_api("reset", after=-1),
    "a limit": at_api("status", status=429, body={"message": "Too many"}, times=1,
                      headers={"Retry-After": "1"}),
}


@pytest.mark.parametrize("what", UNANSWERED)
def test_s20_an_archive_that_was_not_answered_for_is_not_remembered(github, mount, what):
    """GitHub has said nothing of it: the next mount asks again."""
    first, run = world(github)
    place(github, run, UNANSWERED[what])
    m = mount(**PATIENT)
    with within(25):
        walk(m, first, run)
    assert own(github, run) == [1] * 4 and stats(m)["archives_failed"] == 0
    m.stop()
    before = wait_for(lambda: archives(github, run))    # the log has it once it is over
    again = later(github, mount, m.cache, first, run)
    wait_published(again, run)
    walk(again, run)
    assert archives(github, run) == before + 1 and own(github, run) == [1] * 4


def test_s20_after_three_useless_archives_none_is_requested(github, mount):
    """A proxy may block their host: no request is wasted for every run."""
    runs = [add_run(github, 6) for _ in range(10)][::-1]
    github.fault("status", hop="storage", path="/rest/runs/", status=200, body=HTML, times=-1,
                 headers={"Content-Type": "text/html"})
    m = mount(prefetch=2)
    for run in runs:
        walk(m, run)
        wait_for(lambda: stats(m)["archives_failed"] == stats(m)["archives_requested"])
    assert 3 <= archives(github) <= 5       # some may have been under way
    assert sum(map(sum, (own(github, run) for run in runs))) == 60


# --- partly right --------------------------------------------------------------------------------

def expect(jobs, wrong):
    return [int(index in wrong) for index in range(len(jobs))]


@pytest.mark.parametrize("name", PARTLY)
def test_s20_an_archive_that_is_partly_right(github, mount, name):
    """What is wrong goes the job's own way, the rest is taken; it is not requested again."""
    choices, wrong = PARTLY[name]
    first, run = world(github, archive=choices)
    m = mount()
    walk(m, first)
    wait_published(m, run, but=wrong)
    walk(m, run)
    assert archives(github, run) == 1 and own(github, run) == expect(run.jobs, wrong)
    m.stop()
    walk(later(github, mount, m.cache, first, run), run)
    assert archives(github, run) == 1


@pytest.mark.parametrize("name", PARTLY)
def test_s20_readers_that_wait_for_an_archive_that_is_partly_right(github, mount, name):
    choices, wrong = PARTLY[name]
    first, run = world(github, 8, choices)
    github.latency(api_ms=50, storage_ms=300)
    m = mount()
    walk(m, first)
    read_at_once(m, run)
    assert archives(github, run) == 1 and impatient(github, run, but=wrong) == []
    assert all(own(github, run)[index] == 1 for index in wrong) and max(own(github, run)) == 1


@pytest.mark.parametrize("mute", [True, False])
@pytest.mark.parametrize("apart", [0, 100])
def test_s20_two_logs_at_each_others_place(github, mount, mute, apart):
    """Found by the line that names the job; without it by the times; where these overlap too,
    nothing tells whose a log is, and all go their own way."""
    first, run = world(github, 5, lambda jobs: {"swap": [jobs[1], jobs[3]], "steps": False},
                       apart=apart, marked=not mute)
    m = mount()
    walk(m, first)
    wrong = set(range(5)) if mute and not apart else {1, 3}
    wait_published(m, run, but=wrong)
    walk(m, run)
    assert archives(github, run) == 1 and own(github, run) == expect(run.jobs, wrong)


HOSTILE = ["../../../../../../tmp/ghlogfs-was-here", "/tmp/ghlogfs-was-here", "C:\\was-here", "..",
           ".", "/", "//", "1_../job 1.txt", "1_job 1.txt/x", "1_.txt", "_.txt", "1_", ".txt",
           "1_\x00.txt", "1_\x1b[31mred.txt", "1_\n.txt", "9" * 400 + "_x.txt", "1_" + "x" * 4090,
           "1_" + "../" * 1000 + ".txt", "1_\udcff\udcfe.txt", "1_\u202egnp.txt", "job 1/1_Set up",
           "job 1/99999999999999999999_x.txt", "job 1/-1_x.txt", "job 1/../1_x.txt", "dir/"]


@pytest.mark.parametrize("where", ["extra", "last"])
def test_s20_names_that_are_meant_to_do_harm(github, mount, where):
    """None of them is a log's; nothing is written under any of them."""
    first, run = world(github, 4, {where: [entry(name) for name in HOSTILE]})
    m = mount()
    walk(m, first)
    wait_published(m, run)
    walk(m, run)
    assert archives(github, run) == 1 and own(github, run) == [0] * 4
    assert not os.path.exists("/tmp/ghlogfs-was-here")
    m.stop()
    kept = [path.name for path in m.cache.rglob("*") if "here" in path.name or "job" in path.name]
    assert not kept and not leftovers(m.cache)


@pytest.mark.parametrize("name", ["", "9_job 1.txt\x00.exe", "9_..\\job 1.txt", "9_job 1\udcff.txt",
                                  "9_JOB 1.txt", "09_job 1.txt", "9_job 1.txt.txt", " 9_job 1.txt",
                                  "9_job 1.TXT", "9_job 1 .txt", "9__job 1.txt", "+9_job 1.txt"])
def test_s20_names_that_are_almost_a_jobs(github, mount, name):
    """With another text: whether such a name counts or not, its text is nobody's log."""
    text = text_of("job 1", 7)
    for where in ("extra", "last"):
        first, run = world(github, 4, {where: [entry(name, text)]})
        walk(mount(), first, run)
        assert archives(github, run) <= 1 and max(own(github, run)) <= 1


NAMES = ["build", "build ", "build (1)", "build (2)", "Build", "build/test", "build test",
         "buildtest", "build:test", "a / b", "a / c", "a", "x" * 89, "x" * 90, "x" * 91, "x" * 95,
         "\U0001f680", "\U0001f680" * 50, "y" * 89 + "\U0001f680", "::", "//", "?", "(1)", "1",
         "1_1", "..", "\u00df", "\u1e9e", "job.txt", "${{ matrix.os }}", "\u00e9", "e\u0301",
         "na\u00efve (ubuntu-24.04, 3.13)", "na\u00efve (ubuntu-24.04, 3.12)"]


@pytest.mark.parametrize("seed", range(8))
def test_s20_no_byte_of_one_job_under_anothers_name(github, mount, seed):
    """Any names, any order, any of the things that go wrong, several runs at once."""
    dice, runs = random.Random(seed), []
    for _ in range(5):
        names = dice.choices(NAMES, k=dice.randrange(4, 9))
        runs.append(add_run(github, names, lambda jobs: random_choices(dice, jobs),
                            marked=dice.random() < 0.7, apart=dice.choice([0, 0, 10, 100])))
    runs.append(add_run(github, 6))
    walk(mount(), *runs)
    assert max(archives(github, run) for run in runs) == 1
    assert all(max(own(github, run)) <= 1 for run in runs)


def random_choices(dice, jobs):
    one, two, three = dice.sample(jobs, 3)
    possible = {"clean": "drop", "system": True, "old": True, "swap": [one, two],
                "order": dice.sample(jobs, len(jobs)), "missing": [one], "empty": [three],
                "twice": [two, dice.choice(["same", "other", "first"])], "wrong_crc": three,
                "steps": dice.choice([True, False, "some", "short", "other"]),
                "sizes": dice.choice(["behind", "bare", "zip64", "ahead"])}
    return {name: possible[name] for name in dice.sample(list(possible), dice.randrange(1, 6))}


# --- how long a reader waits, and how long an archive may take -----------------------------------

def test_s20_an_archive_that_goes_on_keeps_nobody_waiting(github, mount):
    """It makes progress, and never comes to the logs that are waited for."""
    first, run = world(github, 8, lambda jobs: {"order": jobs[::-1], "endless": [jobs[7], "noise"]})
    github.bandwidth(rate=2 * MIB)
    m = mount(timeout=60)
    walk(m, first, count=2)
    with within(25):
        read_at_once(m, run)
    assert archives(github, run) == 1 and own(github, run) == [1] * 8


def test_s20_an_archive_that_goes_on_holds_up_no_other_run(github, mount):
    """The archive of the next run is here, and has to wait behind it. That costs a reader of eight
    logs its patience once, not eight times."""
    last = add_run(github, 8)
    run = add_run(github, 5, lambda jobs: {"endless": [jobs[0], "noise"]})
    place(github, last, at_storage("stall", after=-1, seconds=0.5))
    first = add_run(github, 6)
    github.bandwidth(rate=2 * MIB)
    m = mount(timeout=60)
    walk(m, first, count=2)
    wait_sent(github, last)
    with within(10):
        walk(m, last)
    assert archives(github, run) == archives(github, last) == 1


@pytest.mark.parametrize("after", [-1, 0, 3000])
def test_s20_a_silent_archive_is_given_up(github, mount, after):
    """In the middle also where nobody waits for it. That of the next run comes behind it all the
    same, also where one has not begun."""
    last, run = add_run(github, 5), add_run(github, 5)
    place(github, run, at_storage("stall", after=after))
    first = add_run(github, 6)
    m = mount(timeout=60)
    walk(m, first)
    if after > 0:
        assert wait_sent(github, run)["aborted"]
        wait_for(lambda: stats(m)["archives_failed"] == 1)
    wait_published(m, last)
    walk(m, last)
    assert archives(github, last) == 1 and own(github, last) == [0] * 5


def disk_usage(pid, cache):
    """Of the files in the cache that the process has open, those without a name too."""
    total = 0
    for name in os.listdir("/proc/%d/fd" % pid):
        path = "/proc/%d/fd/%s" % (pid, name)
        try:
            if os.readlink(path).startswith(str(cache)):
                total += os.stat(path).st_blocks * 512
        except FileNotFoundError:
            continue
    return total


@pytest.mark.parametrize("what", ["log", "noise"])
def test_s20_an_endless_archive_does_not_fill_the_disk(github, mount, what):
    """It is given up at half the cache's size, though nobody waits for it and it is fast."""
    first, run = world(github, 5, lambda jobs: {"endless": [jobs[0], what]}, lines=400)
    m = mount(timeout=60, cache_size="64M")
    walk(m, first)
    end, most = time.monotonic() + 40 * SLOW, 0
    while not any(sent_at(run) in e["path"] for e in github.log("storage")):
        most = max(most, disk_usage(m.pid, m.cache))
        assert most < 48 * MIB and time.monotonic() < end
    assert wait_sent(github, run)["aborted"]
    walk(m, run)
    assert own(github, run) == [1] * 5


# --- ends in the middle --------------------------------------------------------------------------

def wait_begun(github, run):
    """Until the archive is on its way, or was: it is given up before long."""
    wait_for(lambda: archives(github, run) and (github.counters()["storage"]["active"] or any(
        sent_at(run) in e["path"] for e in github.log("storage"))))


def stalled(github, mount, after=3000):
    """A mount in the middle of an archive that goes no further."""
    first, run = world(github, 5)
    place(github, run, at_storage("stall", after=after))
    m = mount(timeout=60)
    walk(m, first, count=2)
    wait_begun(github, run)
    return m, first, run


@pytest.mark.parametrize("after", [-1, 3000])
@pytest.mark.parametrize("how", ["unmount", "term"])
def test_s20_a_mount_ends_in_the_middle_of_an_archive(github, mount, how, after):
    m, first, run = stalled(github, mount, after)
    m.stop(how)
    assert not leftovers(m.cache)
    github.clear_faults()
    walk(mount(cache=m.cache), first, run)


def test_s20_a_mount_ends_in_the_middle_of_an_endless_archive(github, mount):
    first, run = world(github, 5, lambda jobs: {"endless": [jobs[0], "noise"]})
    github.bandwidth(rate=2 * MIB)
    m = mount()
    walk(m, first, count=2)
    wait_begun(github, run)
    m.stop()
    assert not leftovers(m.cache)


def test_s20_kill_in_the_middle_of_an_archive(github, mount):
    """What is named is whole; the archive is not requested again, the logs are read."""
    m, first, run = stalled(github, mount)
    m.kill()
    github.clear_faults()
    kept = {job: file.read_bytes() for job, file in named_logs(m.cache).items()}
    assert set(kept) <= set(first.logs) and all(first.logs[job] == kept[job] for job in kept)
    again = mount(cache=m.cache)
    assert not leftovers(m.cache)
    walk(again, first, run)
    assert archives(github, run) == 1 and own(github, run) == [1] * 5


def test_s20_readers_that_are_killed_while_they_wait(github, mount):
    """The archive stays nobody's concern, and the mount goes on."""
    m, first, run = stalled(github, mount)
    with ended([spawn("cat", m.log(job)) for job in run.jobs]) as readers:
        for reader in readers:
            reader.kill()
        assert [reader.wait(10 * SLOW) for reader in readers] == [-9] * 5
    walk(m, first, run)


# --- where a redirect leads ----------------------------------------------------------------------

def test_s20_r7_not_to_http_and_never_with_a_token(make_github, mounts, tmp_path):
    """From https to a host without it: not even a connection."""
    authority = Authority(tmp_path)
    server = make_github(tls=authority.issue("good", ["127.0.0.1", "127.0.0.2"]))
    first, run = world(server)
    with RawServer(lambda sock, number: sock.sendall(b"HTTP/1.1 404 No\r\n\r\n")) as plain:
        server.fault("location", hop="api", path=asked_for(run, 1), value=plain.url + "{path}")
        walk(mounts(github=server, ca_file=authority.ca), first, run)
        assert not plain.seen
    assert archives(server, run) == 1 and own(server, run) == [1] * 4


def test_s20_r7_to_another_host_without_a_token(github, mount, make_github):
    """GitHub keeps archives at another host than logs: it is asked, and hears no token."""
    other = make_github(token="ghp_another_servers_own_token")
    first, run = world(github)
    github.fault("location", hop="api", path=asked_for(run, 1), value=other.storage + "{path}")
    walk(mount(), first, run)
    seen, = traffic(other).entries
    assert sent_at(run) in seen["path"] and not seen["had_authorization"]
    assert not any(github.token in value for value in seen["headers"].values())
    assert archives(github, run) == 1 and own(github, run) == [1] * 4
