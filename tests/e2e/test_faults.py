"""What the network can do to a reader (R1), and what a mount does not do to GitHub (R5).

A fault that happens up to three times is not noticed: all bytes come, and they are right. One that
lasts ends in the right errno when the deadline is over: never a short file, never a hang.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

import mounting
from faulting import (each, faulty_jobs, hits, made, names_of, one_job, outcome, outcomes, right,
                      within)
from mounting import KIB, MIB, PLAIN, REPO, SLOW, fails, forget, traffic, wait_for

SMALL = 300_000             # one range, four pages and a half
LARGE = 6 * MIB + 4321      # the first range and two later ones
HUGE = 20 * MIB + 12_345
SECOND = "bytes=1048576-"   # how a later range of a log read from its start begins
LEGACY = {"form": "legacy"}
LEGACY_CLOSE = {"form": "legacy-close"}

PLACES = {"before the header": -1, "at byte 0": 0, "in a page": 100_001, "at a page's end": 131_072,
          "before the last byte": SMALL - 1}
LATER = {"before the header": -1, "at byte 0": 0, "in a page": 1_000_001,
         "at a page's end": 2 * MIB, "before the last byte": 4 * MIB - 1}

REFUSALS = {
    "500": {"kind": "status", "status": 500, "body": "no"},
    "502": {"kind": "status", "status": 502, "body": "<html>no"},
    "503": {"kind": "xml"},
    "504": {"kind": "status", "status": 504},
    "429": {"kind": "status", "status": 429, "headers": {"Retry-After": "0"}},
    "408": {"kind": "status", "status": 408},
    "403": {"kind": "xml", "status": 403, "code": "AuthenticationFailed"},
    "400": {"kind": "xml", "status": 400, "code": "InvalidQueryParameterValue"},
    "expired": {"kind": "expired"},
    "412": {"kind": "xml", "status": 412, "code": "ConditionNotMet"},
}
LIES = {
    "a body longer than promised": {"kind": "overlong", "extra": 5000},
    "a length one too long": {"kind": "content_length", "delta": 1},
    "a length one too short": {"kind": "content_length", "delta": -1},
    "a length far too long": {"kind": "content_length", "delta": 100_000},
    "no body at all": {"kind": "content_length", "value": 0},
    "no length": {"kind": "no_length"},
    "another range": {"kind": "content_range", "start_delta": 1000},
    "an earlier range": {"kind": "content_range", "start_delta": -1},
    "a total that is too small": {"kind": "content_range", "total_delta": -1000},
    "a range that is none": {"kind": "content_range", "value": "bytes */*"},
    "no range": {"kind": "header", "headers": {"Content-Range": None}},
    "less than was asked for": {"kind": "short_range", "bytes": 70_001},
    "all of it": {"kind": "ignore_range"},
}
GARBAGE = {
    "gzip": {"kind": "gzip"},
    "a second length": {"kind": "header", "headers": {"Content-Length": "many"}},
    "a large header": {"kind": "huge_headers", "size": 200_000},
    "many headers": {"kind": "huge_headers", "size": 8000, "count": 200},
    "a strange framing": {"kind": "header", "headers": {"Transfer-Encoding": "gzip, chunked"}},
}


def at_storage(faults, **more):
    return {name: dict(spec, hop="storage", **more) for name, spec in faults.items()}


def cuts(places, times, **more):
    """Connections reset, closed and stalled at each place.

    curl reckons a speed over five seconds: with timeout=1 a stall behind many bytes takes five. So
    those happen once only.
    """
    made_of = {"%s %s" % (kind, place): {"kind": kind, "after": after}
               for kind in ("reset", "close", "stall") for place, after in places.items()
               if kind != "stall" or after <= 0 or times == 1}
    return at_storage(made_of, times=times, **more)


def unnoticed(github, mount, faults, size, **options):
    """All of these faults at once, each at its own log; every one of them has happened."""
    jobs = faulty_jobs(github, faults, size)
    options = dict({"timeout": 1, "deadline": 20}, **options)
    got = outcomes(mount(**options), jobs, size)
    assert got == right(got)
    missed = [name for name, count in zip(faults, hits(github)) if not count]
    assert not missed, "these faults met no request"


# --- R1: storage, up to three times --------------------------------------------------------------

@pytest.mark.parametrize("times", (1, 3))
def test_r1_a_transfer_cut_in_the_first_range(github, mount, times):
    unnoticed(github, mount, cuts(PLACES, times), SMALL)


@pytest.mark.parametrize("times", (1, 3))
def test_r1_a_transfer_cut_in_a_later_range(github, mount, times):
    unnoticed(github, mount, cuts(LATER, times, range=SECOND), LARGE)


@pytest.mark.parametrize("times", (1, 3))
def test_r1_an_answer_that_refuses_the_first_range(github, mount, times):
    unnoticed(github, mount, at_storage(REFUSALS, times=times), SMALL)


def test_r1_an_answer_that_refuses_later_ranges(github, mount):
    unnoticed(github, mount, at_storage(REFUSALS, nth=2, times=3), LARGE)


@pytest.mark.parametrize("times", (1, 3))
def test_r1_an_answer_that_lies_about_the_first_range(github, mount, times):
    """But for totals, which cannot be known better before another answer has come."""
    unnoticed(github, mount, at_storage(LIES, times=times), SMALL)


@pytest.mark.parametrize("times", (1, 3))
def test_r1_an_answer_that_lies_about_a_later_range(github, mount, times):
    lies = dict(LIES)
    lies["another log"] = {"kind": "etag"}
    lies["a total that is too large"] = {"kind": "content_range", "total_delta": 1000}
    unnoticed(github, mount, at_storage(lies, range=SECOND, times=times), LARGE)


def test_r1_all_at_once_in_20_mib(github, mount):
    """Some of everything, in one log, in ranges as they come."""
    job = one_job(github, size=HUGE)
    kinds = [{"kind": "reset", "after": 777_777}, {"kind": "expired"},
             {"kind": "close", "after": 65_536}, {"kind": "xml"},
             {"kind": "stall", "after": -1}, {"kind": "ignore_range"},
             {"kind": "etag"}, {"kind": "short_range", "bytes": 3_000_001},
             {"kind": "overlong"}, {"kind": "content_range", "start_delta": 65_536}]
    for number, spec in enumerate(kinds):
        github.fault(hop="storage", job=job, nth=2 + number, **spec)
    got = outcome(mount(timeout=1, deadline=20).log(job), made(job, HUGE))
    assert got == "right"
    assert sum(hits(github)) >= len(kinds) - 2


def test_r1_what_has_come_is_not_fetched_again(github, mount):
    """Each range continues where the last one was cut."""
    job = one_job(github, size=LARGE)
    github.fault("reset", hop="storage", range=SECOND, after=3 * MIB)
    github.fault("close", hop="storage", after=MIB // 2)
    assert outcome(mount().log(job), made(job, LARGE)) == "right"
    assert traffic(github).bytes < LARGE + 300 * KIB


def test_r1_the_url_expires_between_ranges(github, mount):
    """A reader slower than the URL's life: a new URL for the same log, as often as it takes."""
    job = one_job(github, size=HUGE)
    github.lifetime(seconds=1)
    m = mount()
    with open(m.log(job), "rb", buffering=0) as file:
        got = b""
        for end in (400_000, 3 * MIB, HUGE):
            while len(got) < end:
                got += os.pread(file.fileno(), 200_000, len(got))
            time.sleep(1.2 if end < HUGE else 0)
    assert got == made(job, HUGE)
    seen = traffic(github)
    assert 2 <= seen.api <= 4 and [e for e in seen.of("storage") if e["status"] == 403]


def test_r1_the_url_has_expired_before_it_is_first_used(github, mount):
    job = one_job(github, size=SMALL)
    github.fault("expired", hop="storage", times=2)
    assert outcome(mount().log(job), made(job, SMALL)) == "right"
    assert traffic(github).requests == (3, 3)


def test_r1_all_urls_become_worthless_while_many_read(github, mount):
    jobs = {number: one_job(github, size=LARGE) for number in range(6)}
    github.bandwidth(rate=4 * MIB)
    m, stop = mount(), threading.Event()

    def expire():
        for _ in range(3):
            stop.wait(0.4)
            github.expire_urls()

    thread = threading.Thread(target=expire)
    thread.start()
    got = outcomes(m, jobs, LARGE)
    stop.set()
    thread.join()
    assert got == right(got)


def test_r1_a_drip_is_slow_and_right(github, mount):
    """Slower than a range at once, faster than the limit of 1 KiB/s."""
    job = one_job(github, size=100_000)
    github.fault("drip", hop="storage", bytes=20_000, every=0.4)
    assert outcome(mount(timeout=1, deadline=10).log(job), made(job, 100_000)) == "right"


def test_r1_connections_that_are_dropped_while_many_read(github, mount):
    """Every connection at once, several times."""
    jobs = {number: one_job(github, size=LARGE) for number in range(4)}
    github.bandwidth(rate=6 * MIB)
    m = mount()

    def drop():
        for _ in range(3):
            time.sleep(0.35)
            github.drop(hop="storage")

    thread = threading.Thread(target=drop)
    thread.start()
    got = outcomes(m, jobs, LARGE)
    thread.join()
    assert got == right(got)


@pytest.mark.parametrize("hop", ("api", "storage"))
def test_r1_refused_connections_that_come_back(github, mount, hop):
    job, other = one_job(github, size=LARGE), one_job(github, size=SMALL)
    m = mount(deadline=10)
    with open(m.log(job), "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 100, 0) == made(job, 100)
        github.refuse(hop=hop, seconds=0.5, drop=True)
        assert outcome(m.log(other), made(other, SMALL)) == "right"
        assert outcome(m.log(job), made(job, LARGE)) == "right"


def test_r1_another_log_is_not_mixed_in(github, mount):
    """Of the same length, under the same URL, with another ETag: an error, and no byte of it."""
    text = made(7, LARGE)
    job = one_job(github, size=None, text=text)
    m = mount(deadline=10)
    with open(m.log(job), "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 100_000, 0) == text[:100_000]
        github.set_job(job, text=made(8, LARGE))
        with fails("EIO"):
            os.pread(file.fileno(), 100_000, 4 * MIB)
        assert os.pread(file.fileno(), 100_000, 500_000) == text[500_000:600_000]


# --- R1: servers without length or ranges --------------------------------------------------------

LEGACY_CUTS = {"close at the start": {"kind": "close", "after": 0},
               "close in the middle": {"kind": "close", "after": 100_001},
               "reset in the middle": {"kind": "reset", "after": 131_072},
               "stall in the middle": {"kind": "stall", "after": 100_001}}


@pytest.mark.parametrize("times", (1, 3))
def test_r1_chunked_and_cut(github, mount, times):
    faults = {name: dict(spec, hop="storage", times=times, job_is=LEGACY)
              for name, spec in LEGACY_CUTS.items() if times == 1 or spec["kind"] != "stall"}
    unnoticed(github, mount, faults, SMALL)


def test_r1_no_framing_at_all_and_cut_by_a_reset_or_silence(github, mount):
    faults = {name: dict(spec, hop="storage", job_is=LEGACY_CLOSE)
              for name, spec in LEGACY_CUTS.items() if spec["kind"] != "close"}
    unnoticed(github, mount, faults, SMALL)


@pytest.mark.parametrize("times", (1, 3))
@pytest.mark.parametrize("after", (0, 100_001))
def test_r1_no_framing_at_all_and_cut_by_an_end_in_good_order(github, mount, after, times):
    """The job was seen completed, and nothing in the answer distinguishes the cut from the end.
    Cuts at different places do not agree with each other, nor with the end."""
    job = one_job(github, size=SMALL, form="legacy-close")
    m = mount()
    assert m.json(job).read_bytes()
    for number in range(times):
        github.fault("close", hop="storage", job=job, after=after + number)
    assert outcome(m.log(job), made(job, SMALL)) == "right"


def test_r1_no_framing_at_all_and_whole(github, mount):
    job = one_job(github, size=LARGE, form="legacy-close")
    assert outcome(mount().log(job), made(job, LARGE)) == "right"


@pytest.mark.parametrize("form", ("legacy", "legacy-close"))
def test_r1_gzip_from_a_server_without_lengths(github, mount, form):
    """Nobody asked for it, and no length gives it away: never taken for the log."""
    job = one_job(github, size=SMALL, form=form)
    github.fault("gzip", hop="storage")
    m = mount()
    assert outcome(m.log(job), made(job, SMALL)) == "EPROTO after 0"
    wait_for(lambda: outcome(m.log(job), made(job, SMALL)) == "right", 10, 0.5)


# --- R1: the API, up to three times --------------------------------------------------------------

API = {
    "500": {"kind": "status", "status": 500},
    "502": {"kind": "status", "status": 502, "body": "<html>Unicorn!</html>"},
    "503": {"kind": "status", "status": 503, "headers": {"Retry-After": "0"}},
    "504": {"kind": "status", "status": 504},
    "408": {"kind": "status", "status": 408},
    "reset": {"kind": "reset", "after": -1},
    "close": {"kind": "close", "after": -1},
    "stall": {"kind": "stall", "after": -1},
    "no Location": {"kind": "location"},
}
API_BODIES = {
    "reset in the body": {"kind": "reset", "after": 100},
    "close in the body": {"kind": "close", "after": 100},
    "stall in the body": {"kind": "stall", "after": 100},
    "a length too long": {"kind": "content_length", "delta": 10},
}


@pytest.mark.parametrize("times", (1, 3))
def test_r1_the_api_fails(github, mount, times):
    unnoticed(github, mount, {name: dict(spec, hop="api", times=times)
                              for name, spec in API.items()}, SMALL)


@pytest.mark.parametrize("times", (1, 3))
def test_r1_the_api_fails_over_a_job(github, mount, times):
    faults = {name: dict(spec, hop="api", times=times)
              for name, spec in dict(API, **API_BODIES).items() if name != "no Location"}
    jobs = faulty_jobs(github, faults, 1000)
    m = mount(timeout=1, deadline=20)
    got = each(lambda job: json.loads(m.json(job).read_bytes())["id"], jobs)
    assert got == jobs
    assert all(hits(github))


# --- R1: for ever --------------------------------------------------------------------------------

LASTING = {
    "EIO": {**{name: spec for name, spec in REFUSALS.items()},
            "reset": {"kind": "reset", "after": -1}, "close": {"kind": "close", "after": 0},
            "another range": LIES["another range"],
            "no range": LIES["no range"], "a range that is none": LIES["a range that is none"],
            "a length far too long": LIES["a length far too long"]},
    "ETIMEDOUT": {"silence": {"kind": "stall", "after": -1},
                  "silence after the header": {"kind": "stall", "after": 0}},
    "EPROTO": GARBAGE,
}


@pytest.mark.parametrize("name", LASTING)
def test_r1_a_fault_of_storage_that_lasts(github, mount, name):
    jobs = faulty_jobs(github, at_storage(LASTING[name], times=-1), SMALL)
    with within(12, at_least=0):
        got = outcomes(mount(timeout=2, deadline=4), jobs, SMALL)
    assert {key: word.split()[0] for key, word in got.items()} == dict.fromkeys(jobs, name)
    assert traffic(github).storage < 40 * len(jobs)


@pytest.mark.parametrize("name", LASTING)
def test_r1_a_fault_in_later_ranges_that_lasts(github, mount, name):
    """What had come before is read, and then the error: the size stays what it was."""
    faults = {key: spec for key, spec in LASTING[name].items() if key not in ("gzip", "no range")}
    jobs = faulty_jobs(github, at_storage(faults, nth=2, times=-1), LARGE)
    m = mount(timeout=2, deadline=4)
    with within(16):
        got = outcomes(m, jobs, LARGE)
    assert {key: word.split()[0] for key, word in got.items()} == dict.fromkeys(jobs, name)
    assert all(int(word.split()[-1]) >= MIB // 2 for word in got.values()), got
    for job in jobs.values():
        assert m.log(job).stat().st_size == LARGE


def test_r1_the_api_fails_for_ever(github, mount):
    wanted = {"500": "EIO", "502": "EIO", "503": "EIO", "504": "EIO", "408": "EIO",
              "reset": "EIO", "close": "EIO", "stall": "ETIMEDOUT", "no Location": "EPROTO"}
    faults = {name: dict(spec, hop="api", times=-1) for name, spec in API.items()}
    jobs = faulty_jobs(github, faults, SMALL)
    with within(12):
        got = outcomes(mount(timeout=3, deadline=5), jobs, SMALL)
    assert names_of(got) == wanted


def test_r1_a_cut_that_comes_each_time_is_only_slow(github, mount):
    """As long as bytes come, there is progress."""
    job = one_job(github, size=SMALL)
    github.fault("reset", hop="storage", after=20_000, times=-1)
    assert outcome(mount(deadline=10).log(job), made(job, SMALL)) == "right"


def test_r1_the_reader_gets_an_error_when_the_deadline_is_over(github, mount):
    """Not long before: retries go on until then."""
    job = one_job(github, size=SMALL)
    github.fault("reset", hop="storage", after=-1, times=-1)
    m = mount(timeout=1, deadline=3)
    with within(6, at_least=1.5), fails("EIO"):
        m.log(job).read_bytes()
    github.clear_faults()
    wait_for(lambda: outcome(m.log(job), made(job, SMALL)) == "right", 5, 0.2)


def test_r1_the_next_reader_joins_the_fetch_under_way(github, mount):
    """The wait of a reader ends; the fetch is not begun anew for the next one."""
    job = one_job(github, size=SMALL)
    github.fault("stall", hop="storage", after=-1, seconds=2)
    m = mount(timeout=30, deadline=1)
    with fails("ETIMEDOUT"):
        m.log(job).read_bytes()
    wait_for(lambda: outcome(m.log(job), made(job, SMALL)) == "right", 8, 0.1)
    assert traffic(github).requests == (1, 1)


# --- R1: a name server that does not answer ------------------------------------------------------

# A new mount namespace copies all mounts. The copies of other tests' mounts are removed at once:
# a file system ends only when its last copy is unmounted.
NAMESPACES = ("unshare", "-n", "-m", "--propagation", "slave")

SILENT = """
import json, os, socket, subprocess, sys, time
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
words, path = json.loads(sys.argv[1]), sys.argv[2]
daemon = subprocess.Popen(words, env={"GH_TOKEN": "ghp_x", "HOME": "/nonexistent"})
told = {}
def timed(name, work):
    started = time.monotonic()
    try:
        work()
        error = 0
    except OSError as problem:
        error = problem.errno
    told[name] = [error, time.monotonic() - started]
end = time.monotonic() + 20
while not os.path.ismount(path) and time.monotonic() < end and daemon.poll() is None:
    time.sleep(0.02)
timed("folder", lambda: os.stat(path + "/octo/hello/jobs/1"))
timed("log", lambda: os.stat(path + "/octo/hello/jobs/1/log"))
timed("other", lambda: os.stat(path + "/octo/hello/jobs/2/log"))
reader = subprocess.Popen(["cat", path + "/octo/hello/jobs/3/log"], stderr=subprocess.DEVNULL)
time.sleep(0.7)
timed("df", lambda: os.statvfs(path))
daemon.terminate()
timed("end", lambda: daemon.wait(60))
told["status"] = daemon.returncode
told["mounted"] = os.path.ismount(path)
reader.kill()
reader.wait()
server.setblocking(False)
try:
    told["asked"] = len(server.recv(4096)) > 0
except BlockingIOError:
    told["asked"] = False
print(json.dumps(told))
"""


def without_a_name_server(folder, words, path):
    """Runs the script above where the only name server is silent; its results."""
    config = folder / "resolv.conf"
    config.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
    # This machine's own name cannot be looked up, either.
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    prepare = ("umount -alnic -t fuse.ghlogfs; "
               "mount --bind '%s' /etc/resolv.conf && mount --bind '%s' /etc/hosts && "
               "ip link set lo up && exec \"$@\"" % (config, hosts))
    done = subprocess.run([*NAMESPACES, "sh", "-c", prepare, "sh", sys.executable, "-c", SILENT,
                           json.dumps(words), str(path)],
                          capture_output=True, text=True, timeout=60 * SLOW)
    assert done.returncode == 0 and done.stdout, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.fixture
def namespaces():
    if not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("there is no unshare, or no ip")
    if subprocess.run([*NAMESPACES, "sh", "-c", "mount --bind /etc/hosts /etc/resolv.conf"],
                      capture_output=True).returncode:
        pytest.skip("no right to make namespaces")


def test_r1_a_name_server_that_never_answers(fuse, folder, namespaces):
    """A clear errno at the deadline, folders and df at once, and the end is not waited for."""
    (folder / "mnt").mkdir()
    words = mounting.command("-f", "-o", "cache_dir=%s,timeout=1,deadline=2" % (folder / "cache"),
                             folder / "mnt")
    got, output = without_a_name_server(folder, words, folder / "mnt")
    assert got["folder"][0] == 0 and got["folder"][1] < 1 * SLOW
    for name in ("log", "other"):
        assert got[name][0] in (mounting.errno.ETIMEDOUT, mounting.errno.EHOSTUNREACH), got
        assert got[name][1] < 6 * SLOW, got
    assert got["df"][1] < 1 * SLOW and got["end"][1] < 2 * SLOW, got
    assert got["status"] == 0 and not got["mounted"] and got["asked"]
    assert "api.github.com" in output


# --- R5: limits ----------------------------------------------------------------------------------

def starts(github, hop="api"):
    return sorted(entry["t"] for entry in traffic(github).of(hop))


def test_r5_after_a_refusal_everything_waits(github, mount):
    """One 403 with Retry-After: 3, and nothing new is asked before they are over."""
    jobs = {number: one_job(github, size=1000) for number in range(30)}
    github.latency(api_ms=30)
    github.fault("status", hop="api", status=403, nth=4, headers={"Retry-After": "3"},
                 body={"message": "You have exceeded a secondary rate limit."})
    got = outcomes(mount(connections=4, wait=30), jobs, 1000)
    assert got == right(got)
    (refused,) = [e for e in traffic(github).of("api") if e["status"] == 403]
    begun = [t for t in starts(github) if refused["t_end"] < t < refused["t_end"] + 2.8]
    assert len(begun) <= 3, "more than what was on its way when the refusal came"


@pytest.mark.parametrize("status", (403, 429))
def test_r5_a_secondary_limit_without_a_time_is_not_hammered(github, mount, status):
    """GitHub asks for a minute then; a reader that cannot wait so long gets an error."""
    jobs = {number: one_job(github, size=1000) for number in range(20)}
    github.fault("status", hop="api", status=status, times=-1,
                 body={"message": "You have exceeded a secondary rate limit."})
    m = mount(connections=4, wait=2)
    with within(6):
        assert set(names_of(outcomes(m, jobs, 1000)).values()) == {"EDQUOT"}
    assert traffic(github).api <= 4


def test_r5_the_quota_ends_in_the_middle_of_many(github, mount):
    """Ten are left for thirty: ten are requested, the others fail at once; none is refused."""
    jobs = {number: one_job(github, size=1000) for number in range(30)}
    m = mount(wait=1)
    assert m.json(one_job(github)).read_bytes()
    github.rate_limit(remaining=11, reset=3660)
    assert m.json(one_job(github)).read_bytes()
    forget(github)
    with within(5):
        words = sorted(names_of(outcomes(m, jobs, 1000)).values())
    assert words == ["EDQUOT"] * 20 + ["right"] * 10
    assert [e["status"] for e in traffic(github).of("api")] == [302] * 10


def test_r5_the_quota_comes_back_within_wait_for_all(github, mount):
    jobs = {number: one_job(github, size=1000) for number in range(20)}
    github.rate_limit(remaining=5, reset=3)
    got = outcomes(mount(wait=30), jobs, 1000)
    assert got == right(got)
    refused = [e for e in traffic(github).of("api") if e["status"] in (403, 429)]
    assert len(refused) <= 20 + 2


def test_r5_no_more_at_once_than_connections(github, mount):
    jobs = {number: one_job(github, size=1000) for number in range(60)}
    github.latency(api_ms=60, storage_ms=60)
    got = outcomes(mount(connections=7), jobs, 1000)
    assert got == right(got)
    counters = github.counters()
    assert counters["api"]["max_concurrent"] <= 7 and counters["storage"]["max_concurrent"] <= 7
    events = sorted([(e["t"], 1) for e in traffic(github).entries]
                    + [(e["t_end"], -1) for e in traffic(github).entries])
    most = now = 0
    for _, change in events:
        now += change
        most = max(most, now)
    assert most <= 8, "one may have been begun while another's end was on its way"


@pytest.mark.alone
@pytest.mark.skipif(not PLAIN, reason="takes long, and counts by the clock")
def test_r5_900_a_minute_and_no_more(github, mount):
    """The 901st has to wait for a minute; else it fails, and no request is sent."""
    runs = github.bulk(REPO, runs=10, jobs=96, size=100)
    jobs = [job for run in runs for job in run["jobs"]]
    m = mount(wait=1, timeout=1, deadline=2)
    words = list(each(lambda part: [outcome(m.log(job), made(job, 100)) for job in part],
                      {at: jobs[at::16] for at in range(16)}).values())
    words = [word.split()[0] for part in words for word in part]
    assert words.count("right") == 900 and words.count("EDQUOT") == 60
    assert traffic(github).api == 900


def test_r5_a_new_url_for_many_costs_one_request_each(github, mount):
    """Storage that refuses everything is not answered with a storm at the API."""
    jobs = {number: one_job(github, size=1000) for number in range(10)}
    github.fault("expired", hop="storage", times=-1)
    with within(8):
        m = mount(deadline=10, timeout=1)
        assert set(names_of(outcomes(m, jobs, 1000)).values()) == {"EIO"}
    assert traffic(github).api < 12 * len(jobs)


# --- R5: the token -------------------------------------------------------------------------------

def test_r5_a_token_that_is_replaced_while_many_read(github, mount):
    """No remount, no error: the file is read again, once for all."""
    m = mount(token="file")
    assert m.json(one_job(github)).read_bytes()
    jobs = {number: one_job(github, size=1000) for number in range(12)}
    github.op("token", value="ghp_the_one_that_comes_after")
    m.secrets.append("ghp_the_one_that_comes_after")
    m.token_file.write_text("ghp_the_one_that_comes_after\n")
    github.remove_token(value=github.token)
    try:
        got = outcomes(m, jobs, 1000)
        assert got == right(got)
        assert traffic(github).api <= 2 * len(jobs) + 1
    finally:
        github.op("token", value=github.token)
        github.remove_token(value="ghp_the_one_that_comes_after")


def test_r5_a_token_that_comes_after_the_refusal(github, mount):
    """A mount with a bad token works as soon as there is a good one (and 30 s are over)."""
    m = mount(token="file")
    github.remove_token(value=github.token)
    first = one_job(github, size=1000)
    with fails("EACCES"):
        m.log(first).read_bytes()
    github.op("token", value="ghp_the_one_that_comes_after")
    m.secrets.append("ghp_the_one_that_comes_after")
    try:
        m.token_file.write_text("ghp_the_one_that_comes_after\n")
        other = one_job(github, size=1000)
        wait_for(m.log(other).exists, 10, 0.5)
        assert outcome(m.log(other), made(other, 1000)) == "right"
    finally:
        github.op("token", value=github.token)
        github.remove_token(value="ghp_the_one_that_comes_after")
