"""Listings: what they cost, how old they may be, and what they do when GitHub cannot be asked."""

import concurrent.futures
import errno
import os
import signal
import subprocess
import time

import pytest

from faulting import one_job
from mounting import (MIB, PLAIN, REPO, SLOW, ended, fails, forget, out, spawn, status_of, traffic,
                      wait_for)
from treeing import cut_job, listing, two_runs, within


# --- P8 ------------------------------------------------------------------------------------------

def find_logs(m):
    return out("find", m.repo() / "jobs", "-name", "log", text=True).splitlines()


@pytest.mark.smoke
def test_p8_thirty_runs(github, mount):
    github.bulk(REPO, 40, 2, 500)
    m = mount(fresh=600)
    assert len(find_logs(m)) == 60
    assert traffic(github).requests == (31, 0)
    forget(github)
    assert len(find_logs(m)) == 60
    assert traffic(github).requests == (0, 0), "within fresh"
    m.stop()
    old = mount(fresh=1)
    assert len(find_logs(old)) == 60
    time.sleep(1.1)
    traffic(github)
    forget(github)
    assert len(find_logs(old)) == 60
    seen = traffic(github)
    assert seen.requests == (1, 0), "later"
    assert seen.charged == 0, "nothing has changed"
    old.stop()
    forget(github)
    assert len(find_logs(mount(cache=m.cache))) == 60
    seen = traffic(github)
    assert seen.requests == (1, 0) and seen.charged == 0, "after a remount"


def test_p8_with_ids_that_lie_apart(github, mount):
    """However the ids fall, no job's facts are lost for another's."""
    made = github.bulk(REPO, 30, 40, 100, gap=20_000_000)
    m = mount(fresh=600)
    for cost in ((31, 0), (0, 0)):
        assert len(find_logs(m)) == 1200
        assert traffic(github).requests == cost
        forget(github)
    for one in made[::3]:
        folder = m.repo() / "runs" / str(one["run"])
        assert all("01-Set up job.txt" in listing(folder / ("job %d" % n)) for n in range(1, 41))
    assert traffic(github).requests == (0, 0)


def test_a_repository_under_two_names(github, mount):
    """What is known under one name is not forgotten for what is learnt under the other."""
    made = two_runs(github)[0]
    github.rename_repo(repo=REPO, to="octo/new")
    m = mount()
    names = None
    for repo in (REPO, "octo/new", REPO, "octo/new"):
        folder = m.repo(repo) / "runs" / str(made["run"]) / "build"
        names = names or listing(folder)
        assert listing(folder) == names and len(names) == 4
        assert (folder / names[1]).read_text().startswith("##[group]Run make")
        assert "log" in listing(m.folder(made["jobs"]["test"], repo))


def test_p8_with_runs_that_are_not_complete(github, mount):
    github.bulk(REPO, 5, 1, 500)
    for _ in range(2):
        github.add_job(github.add_run(REPO, status="in_progress"), status="in_progress")
    m = mount(fresh=600)
    assert len(find_logs(m)) == 5
    assert traffic(github).requests == (8, 0)
    m.stop()
    forget(github)
    assert len(find_logs(mount(cache=m.cache))) == 5
    seen = traffic(github)
    assert seen.requests == (3, 0) and seen.charged == 0


def test_a_run_that_ends_between_is_asked_once_more(github, mount):
    made = github.add_run(REPO, status="in_progress")
    job = github.add_job(made, status="in_progress")
    m = mount(fresh=1)
    assert find_logs(m) == []
    github.complete_job(job, size=500)
    github.set_run(run=made, status="completed", conclusion="success")
    time.sleep(1.1)
    assert find_logs(m) == [str(m.log(job))]
    forget(github)
    time.sleep(1.1)
    assert len(find_logs(m)) == 1
    assert traffic(github).requests == (1, 0)


def test_listers_at_the_same_time_share_the_questions(github, mount):
    github.latency(api_ms=200)
    github.bulk(REPO, 10, 1, 500)
    folder = mount().repo() / "jobs"
    listers = [spawn("ls", folder, stdout=subprocess.PIPE) for _ in range(8)]
    with ended(listers):
        got = {lister.communicate(timeout=20)[0] for lister in listers}
    assert len(got) == 1 and len(got.pop().split()) == 10
    assert traffic(github).requests == (11, 0)


# --- a wide window -------------------------------------------------------------------------------

@pytest.mark.limit(120)
def test_five_hundred_runs_of_ten_jobs(github, mount):
    """R5: within 900 requests a minute, at no cost the second time, in bounded memory."""
    made = github.bulk(REPO, 500, 10, 100)
    github.secondary(per_minute=900, concurrent=100)
    m = mount(runs=500, fresh=600)
    names = listing(m.repo() / "jobs")
    assert names == [str(job) for r in reversed(made) for job in r["jobs"]]
    seen = traffic(github)
    assert seen.requests == (505, 0)
    assert all(entry["status"] == 200 for entry in seen.of("api"))
    forget(github)
    assert listing(m.repo() / "jobs") == names
    assert len(find_logs(m)) == 5000
    assert traffic(github).requests == (0, 0)
    if PLAIN:
        assert status_of(m.pid, "VmHWM") < 64 * MIB
    m.stop()
    again = mount(cache=m.cache, runs=500, fresh=600)
    assert listing(again.repo() / "jobs") == names
    seen = traffic(github)
    assert seen.api == 5 and seen.charged == 0


def test_a_wide_listing_can_be_given_up(github, mount):
    """R6: a process that waits for it can be killed within a second."""
    github.bulk(REPO, 300, 1, 100)
    github.latency(api_ms=300)
    m = mount(runs=300)
    lister = spawn("ls", m.repo() / "jobs")
    with ended([lister]):
        time.sleep(0.7)
        assert lister.poll() is None
        with within(2 * SLOW):
            lister.send_signal(signal.SIGKILL)
            lister.wait(10)
    with within(2 * SLOW):
        m.stop(how="term")


def test_pages_of_jobs(github, mount):
    """A run of 250 jobs is three pages, one snapshot."""
    made = github.add_run(REPO)
    jobs = [github.add_job(made, name="job %d" % n, size=100) for n in range(250)]
    m = mount()
    assert listing(m.repo() / "jobs") == [str(job) for job in jobs]
    assert traffic(github).requests == (4, 0)
    assert listing(m.repo() / "runs" / str(made)) == ["run.json"] + [
        "job %d" % n for n in range(250)]


def test_a_page_that_fails_fails_the_listing(github, mount):
    """S18: never cut short."""
    made = github.add_run(REPO)
    for n in range(150):
        github.add_job(made, name="job %d" % n, size=100)
    github.fault("status", hop="api", path="/jobs", nth=2, times=-1, status=404, body={})
    with fails("ENOENT"):
        listing(mount().repo() / "jobs")


# --- S18: old ones -------------------------------------------------------------------------------

def known(github, mount, **options):
    """A mount with a listing that is no longer fresh: mount, folder, names."""
    two_runs(github)
    m = mount(fresh=1, deadline=8, **options)
    folder = m.repo() / "jobs"
    names = listing(folder)
    time.sleep(1.1)
    github.add_job(github.add_run(REPO), name="new", size=500)
    forget(github)
    return m, folder, names


def test_s18_a_changed_listing_is_shown(github, mount):
    _, folder, names = known(github, mount)
    assert listing(folder)[1:] == names
    assert traffic(github).charged == 2


def unreachable(github):
    github.refuse(hop="api")


def silent(github):
    github.fault("stall", hop="api", times=-1, after=-1)


def slow(github):
    github.latency(api_ms=4000)


def without_quota(github):
    github.rate_limit(remaining=0, reset=3600)


def broken(github):
    github.fault("status", hop="api", times=-1, status=502)


VIEWS = ("jobs", "runs", "failed", "branches", "branches/main", "workflows/ci.yml", "")


@pytest.mark.parametrize("trouble", (unreachable, silent, slow, without_quota, broken))
def test_s18_the_last_one_is_shown_within_a_second(github, mount, trouble):
    """Also what is made of more than one question."""
    two_runs(github)
    github.add_job(github.add_run(REPO, status="in_progress"), status="in_progress")
    m = mount(fresh=1, deadline=10)
    names = {view: listing(m.repo() / view) for view in VIEWS}
    time.sleep(1.1)
    trouble(github)

    def look(view):
        with within(1.9 * SLOW):
            assert listing(m.repo() / view) == names[view], view
    with concurrent.futures.ThreadPoolExecutor(len(VIEWS)) as pool:
        list(pool.map(look, VIEWS))


def test_s18_the_answer_that_came_late_is_used_later(github, mount):
    _, folder, names = known(github, mount)
    github.latency(api_ms=1500)
    assert listing(folder) == names
    wait_for(lambda: len(listing(folder)) == len(names) + 1, 10, 0.3)


def test_s18_after_a_remount_too(github, mount):
    m, _, names = known(github, mount)
    m.stop()
    unreachable(github)
    again = mount(cache=m.cache)
    with within(2 * SLOW):
        assert listing(again.repo() / "jobs") == names
    again.stop()
    assert listing(mount(cache=m.cache, offline=True).repo() / "jobs") == names
    assert traffic(github).requests == (0, 0)


@pytest.mark.parametrize("trouble", (unreachable, without_quota, broken))
def test_s18_a_run_of_a_known_list_is_known(github, mount, trouble):
    """A run seen in the list of runs is not asked for by itself when the list has grown old."""
    made = [r["run"] for r in two_runs(github)]
    m = mount(fresh=1, deadline=10)
    folders = [m.repo() / "runs" / str(one) for one in made]
    assert len(listing(m.repo() / "runs")) == 2
    names = [listing(folder) for folder in folders]
    texts = [(folder / "run.json").read_bytes() for folder in folders]
    time.sleep(1.1)
    trouble(github)
    for folder, name, text in zip(folders, names, texts):
        with within(2.9 * SLOW):
            assert listing(folder) == name
            assert (folder / "run.json").read_bytes() == text
            assert "01-Set up job.txt" in listing(folder / "build")


def test_s18_a_run_of_a_known_list_offline(github, mount):
    made = [r["run"] for r in two_runs(github)]
    m = mount()
    shown = out("find", m.repo() / "runs", "-printf", "%P\n")
    m.stop()
    forget(github)
    root = mount(cache=m.cache, offline=True).repo() / "runs"
    assert listing(root / str(made[0])) == ["run.json", "build", "test"]
    assert b'"id": %d' % made[0] in (root / str(made[0]) / "run.json").read_bytes()
    assert out("find", root, "-printf", "%P\n") == shown
    assert traffic(github).requests == (0, 0)


def test_a_walk_longer_than_fresh_requests_no_single_run(github, mount):
    """The list is revalidated, once for all its runs and uncharged; a run that has left it is asked
    by itself."""
    made = [r["run"] for r in github.bulk(REPO, 3, 1, 100)]
    m = mount(fresh=1, runs=3)
    listing(m.repo() / "runs")
    for one in made:
        listing(m.repo() / "runs" / str(one))
    forget(github)
    for one in made:
        time.sleep(1.1)
        listing(m.repo() / "runs" / str(one))
    seen = traffic(github)
    assert seen.requests == (3, 0) and seen.charged == 0
    github.add_run(REPO)
    time.sleep(1.1)
    forget(github)
    assert listing(m.repo() / "runs" / str(made[0])) == ["run.json", "job 1"]
    assert traffic(github).charged == 2


NEVER = [(401, "EACCES"), (403, "EACCES"), (404, "ENOENT")]


@pytest.mark.parametrize("status,name", NEVER)
def test_s18_a_listing_never_seen_gives_its_errno(github, mount, status, name):
    two_runs(github)
    github.fault("status", hop="api", times=-1, status=status, body={"message": "no"})
    m = mount()
    for view in 2 * VIEWS:
        with fails(name):
            listing(m.repo() / view)
    assert traffic(github).api <= 4, "it is remembered"


@pytest.mark.parametrize("status,name", NEVER)
def test_s18_one_seen_before_gives_it_too(github, mount, status, name):
    _, folder, _ = known(github, mount)
    github.fault("status", hop="api", times=-1, status=status, body={"message": "no"})
    with fails(name):
        listing(folder)


def test_s18_never_seen_and_unreachable(github, mount):
    github.refuse(hop="api")
    m = mount(timeout=1, deadline=10)
    for path in (m.path, m.path / "octo", m.repo(), m.repo() / "jobs", m.repo() / "runs"):
        with fails("ECONNREFUSED"):
            listing(path)


def test_s18_never_seen_and_offline(github, mount):
    m = mount(offline=True)
    for path in (m.repo(), m.repo() / "jobs", m.repo() / "failed"):
        with fails("EHOSTUNREACH"):
            listing(path)
    assert traffic(github).requests == (0, 0)


@pytest.mark.parametrize("flags,new", ((os.O_DIRECTORY, 0), (0, 1)), ids=("opendir", "open"))
def test_s18_one_snapshot(github, mount, flags, new):
    """What is read from an open directory does not change, nor does a rewound one. It is that of
    opening; of the first look, where it was opened as if it were a file."""
    made = [str(r["run"]) for r in github.bulk(REPO, 20, 1, 100)]
    m = mount(fresh=1)
    fd = os.open(m.repo() / "runs", os.O_RDONLY | flags)
    try:
        made.append(str(github.add_run(REPO)))
        time.sleep(1.1)
        shown = made[::-1][1 - new:]
        assert os.listdir(fd) == shown
        github.add_run(REPO)
        time.sleep(1.1)
        assert len(listing(m.repo() / "runs")) == 22
        os.lseek(fd, 0, os.SEEK_SET)
        assert os.listdir(fd) == shown
    finally:
        os.close(fd)


# --- owners and repositories ---------------------------------------------------------------------

def test_owners_and_repositories_that_the_token_sees(github, mount):
    github.add_repo("octo/private", private=True)
    github.add_repo("org/tools", owner_type="Organization")
    m = mount()
    assert sorted(listing(m.path)) == ["octo", "org"]
    assert sorted(listing(m.path / "octo")) == ["hello", "private"]
    assert listing(m.path / "org") == ["tools"]


def test_a_malformed_listing_is_logged(github, mount):
    """What the errno cannot say: which answer."""
    two_runs(github)
    github.fault("status", hop="api", path="/actions/runs", status=200, times=1, body={"hello": 1})
    m = mount()
    with fails("EPROTO"):
        listing(m.repo() / "runs")
    assert "octo/hello: the runs: the answer is malformed" in m.stderr


def test_a_token_that_may_not_list_repositories(github, mount):
    """Those of workflows and of apps: what is in use is shown all the same."""
    job = one_job(github)
    github.fault("status", hop="api", path="/user/repos", status=403, times=-1,
                 body={"message": "Resource not accessible by integration"})
    m = mount()
    with fails("EACCES"):
        listing(m.path)
    m.log(job).read_bytes()
    assert listing(m.path) == ["octo"]


def test_one_repository_in_two_spellings_is_listed_once(github, mount):
    job = one_job(github)
    m = mount()
    assert (m.path / "OCTO" / "Hello" / "jobs" / str(job) / "log").read_bytes()
    assert [name.lower() for name in listing(m.path)] == ["octo"]
    assert [name.lower() for name in listing(m.path / "octo")] == ["hello"]


def test_repositories_pushed_to_last_come_first_and_are_a_hundred(github, mount):
    github.ops([{"op": "add_repo", "repo": "many/r%03d" % n, "pushed_at": 1_770_000_000 + n}
                for n in range(120)])
    github.repos.update("many/r%03d" % n for n in range(120))
    assert listing(mount().path / "many") == ["r%03d" % n for n in range(119, 19, -1)]


def test_repositories_in_use_are_listed(github, mount):
    github.add_repo("else/where")
    job = github.add_job(github.add_run("else/where"), size=100)
    m = mount(token=None)
    assert listing(m.path) == []
    m.json(job, "else/where").read_bytes()
    assert listing(m.path) == ["else"]
    assert "where" in listing(m.path / "else")


def test_an_owner_that_is_none(github, mount):
    m = mount()
    with fails("ENOENT"):
        listing(m.path / "nobody-at-all")
    assert traffic(github).api <= 2


# --- S13: what asks, and what does not ----------------------------------------------------------

def test_s13_what_exists_by_grammar_sends_no_request(github, mount):
    made = two_runs(github)[0]
    root = mount().repo()
    number = str(made["run"])
    for path in ("", "jobs", "jobs/1", "runs", "runs/1", "runs/" + number + "/attempts",
                 "runs/1/attempts/7", "latest", "failed", "failed/5", "branches", "branches/a",
                 "branches/a/b/c", "branches/a/b/99", "workflows", "workflows/x.yml",
                 "workflows/x.yml/3", "commits", "commits/0123456", "commits/" + 40 * "a",
                 "commits/ABCDEF7/9", "pulls", "pulls/5", "pulls/5/9"):
        os.lstat(root / path)
    assert os.readlink(root / "branches/a/b/99") == "../../../runs/99"
    for path in ("nothing", "jobs/x", "jobs/007", "runs/0", "runs/-1", "failed/x", "branches/5",
                 "workflows/5", "runs/9007199254740992", "latest2", "commits/012345",
                 "commits/" + 41 * "a", "commits/abcdefg", "commits/" + 40 * "a" + "/x", "pulls/0",
                 "pulls/x", "pulls/05", "pulls/5/x"):
        with fails("ENOENT"):
            os.lstat(root / path)
    assert traffic(github).requests == (0, 0)


@pytest.mark.parametrize("path,api,storage", (
    ("jobs/{job}/log", 1, 1), ("jobs/{job}/job.json", 1, 0), ("runs/{run}/run.json", 1, 0),
    ("runs/{run}/build", 2, 0), ("runs/{run}/build/log", 2, 0),
    ("runs/{run}/build/02-Run make.txt", 3, 1), ("jobs/{job}/log.txt", 1, 1),
    ("latest/build", 2, 0)))
def test_s13_what_asks(github, mount, path, api, storage):
    made = two_runs(github)[1]
    path = path.format(run=made["run"], job=made["jobs"]["build"])
    os.lstat(mount().repo() / path)
    assert traffic(github).requests == (api, storage)


@pytest.mark.parametrize("path,api", (
    ("jobs", 3), ("jobs/{job}", 1), ("runs", 1), ("runs/{run}", 2), ("runs/{run}/build", 2),
    ("runs/{run}/attempts", 1), ("failed", 4), ("branches", 1), ("branches/main", 2),
    ("branches/a/b", 2), ("workflows", 1), ("workflows/ci.yml", 2), ("failed/{run}", 2),
    ("commits", 1), ("commits/" + 40 * "a", 2), ("pulls", 1), ("", 1)))
def test_s13_what_listings_ask(github, mount, path, api):
    made = two_runs(github)[1]
    folder = mount().repo() / path.format(run=made["run"], job=made["jobs"]["build"])
    listing(folder)
    assert traffic(github).requests == (api, 0)
    listing(folder)
    assert traffic(github).requests == (api, 0)


# --- S19: which logs are listed ------------------------------------------------------------------

def test_s19_which_logs_are_listed(github, mount):
    made = github.add_run(REPO, status="in_progress")
    jobs = {"done": cut_job(github, made, name="done"),
            "never": github.add_job(made, log="missing"),
            "running": github.add_job(made, status="in_progress", size=3 * MIB),
            "queued": github.add_job(made, status="queued")}
    m = mount()
    listing(m.repo() / "jobs")

    def shown():
        return {name for name, job in jobs.items() if "log" in listing(m.folder(job))}
    assert shown() == {"done", "never"}, "nothing is known of the one that never came"
    for name in ("never", "queued"):
        with fails("ENOENT"):
            m.log(jobs[name]).stat()
    assert m.log(jobs["running"]).stat().st_size == 3 * MIB
    assert shown() == {"done", "running"}


def test_names_are_kept_while_a_process_stands_in_them(github, mount):
    """A directory stays the same one over a fresh listing: a shell in it continues."""
    made = two_runs(github)[0]
    m = mount(fresh=1)
    folder = m.repo() / "runs" / str(made["run"]) / "build"
    fd = os.open(folder, os.O_RDONLY)
    try:
        before = os.fstat(fd).st_ino
        time.sleep(1.1)
        assert os.stat(folder).st_ino == before
        assert os.listdir(fd) == listing(folder)
        with open(os.open("02-Run make.txt", os.O_RDONLY, dir_fd=fd)) as file:
            assert file.read()
    finally:
        os.close(fd)


def test_a_directory_is_no_file(github, mount):
    two_runs(github)
    m = mount()
    with pytest.raises(OSError) as caught:
        open(m.repo() / "jobs")
    assert caught.value.errno == errno.EISDIR
