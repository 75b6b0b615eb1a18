"""The tree as a whole: runs, attempts, links, branches, workflows, times, and what they show."""

import json
import os
import re
import tarfile
import time

import pytest

from fake.asking import Asker
from mounting import REPO, fails, forget, out, run, traffic, wait_for
from treeing import (NEEDLE, NOON, PLAIN, cleaned, concatenated, cut_job, listing, stamped,
                     two_runs)


# --- what grep, diff and cat see -----------------------------------------------------------------

def test_grep_in_jobs_meets_each_line_once(github, mount):
    runs = two_runs(github)
    m = mount()
    found = out("grep", "-rn", NEEDLE, m.repo() / "jobs", text=True).splitlines()
    jobs = [job for r in runs for job in r["jobs"].values()]
    assert sorted(line.split(":")[0] for line in found) == sorted(str(m.log(j)) for j in jobs)
    assert {line.split(":")[1] for line in found} == {"6"}


def test_grep_in_a_run_tells_job_and_step(github, mount):
    made = two_runs(github)[1]
    m = mount()
    folder = m.repo() / "runs" / str(made["run"])
    found = out("grep", "-rn", NEEDLE, folder, text=True).splitlines()
    assert sorted(found) == ["%s/%s/02-Run make.txt:4:cc -o %s" % (folder, name, NEEDLE)
                             for name in ("build", "test")]


def test_grep_over_all_of_a_repository_follows_no_link(github, mount):
    two_runs(github)
    m = mount()
    found = out("grep", "-rl", NEEDLE, m.repo(), text=True).splitlines()
    assert len([p for p in found if "/jobs/" in p]) == 4
    assert len([p for p in found if "/runs/" in p]) == 4
    assert len(found) == 8


def test_diff_of_two_runs_shows_what_differs(github, mount):
    """Timestamps are gone, so equal jobs are equal files."""
    runs = []
    for number, texts in enumerate((["same", "one"], ["same", "two"])):
        made = github.add_run(REPO)
        parts = [PLAIN[0], ("Run make", ["##[group]Run make", *texts]), PLAIN[3]]
        cut_job(github, made, parts, start=NOON + 3600 * number)
        runs.append(mount_path(made))
    root = mount().repo()
    done = run("diff", "-r", root / runs[0] / "build", root / runs[1] / "build", check=False,
               text=True)
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line[0] in "<>"] == ["< one", "> two"]
    assert done.stdout.count("diff ") == 1


def mount_path(number):
    return "runs/%d" % number


def test_steps_together_are_the_cleaned_log(github, mount):
    made = two_runs(github)[0]
    m = mount()
    for name, job in made["jobs"].items():
        folder = m.repo() / "runs" / str(made["run"]) / name
        text = (m.folder(job) / "log.txt").read_bytes()
        assert concatenated(folder) == text == cleaned(m.log(job).read_bytes())
        assert out("sh", "-c", 'cat "$1"/*.txt', "sh", folder) == text


def test_what_is_not_listed_is_there_all_the_same(github, mount):
    made = two_runs(github)[0]
    job = made["jobs"]["build"]
    m = mount()
    folder = m.repo() / "runs" / str(made["run"]) / "build"
    assert "log" not in listing(folder) and "log.txt" not in listing(m.folder(job))
    assert os.readlink(folder / "log") == "../../../jobs/%d/log" % job
    assert (folder / "log").read_bytes() == m.log(job).read_bytes()
    assert ".ghlogfs" not in listing(m.path) and (m.path / ".ghlogfs" / "stats").stat().st_size


# --- runs ----------------------------------------------------------------------------------------

def test_the_listing_of_a_repository(github, mount):
    two_runs(github)
    m = mount()
    assert listing(m.repo()) == ["jobs", "runs", "failed", "reports", "branches", "workflows",
                                 "commits", "pulls", "latest"]


def test_a_repository_without_runs(github, mount):
    m = mount()
    views = ["jobs", "runs", "failed", "reports", "branches", "workflows", "commits", "pulls"]
    assert listing(m.repo()) == views
    for name in views:
        assert listing(m.repo() / name) == []
    with fails("ENOENT"):
        os.readlink(m.repo() / "latest")


def test_runs_newest_first_and_no_more_than_asked_for(github, mount):
    runs = [made["run"] for made in github.bulk(REPO, 7, 1, 500)]
    m = mount(runs=5)
    assert listing(m.repo() / "runs") == [str(r) for r in reversed(runs)][:5]
    assert traffic(github).api == 1
    assert listing(m.repo() / "runs" / str(runs[0])) == ["run.json", "job 1"], "listed or not"


def test_jobs_of_the_runs_newest_first(github, mount):
    made = github.bulk(REPO, 4, 2, 500)
    wanted = [str(job) for r in reversed(made) for job in r["jobs"]]
    assert listing(mount(runs=3).repo() / "jobs") == wanted[:6]


def test_a_job_in_use_is_listed_after_them(github, mount):
    made = github.bulk(REPO, 3, 1, 500)
    m = mount(runs=1)
    m.log(made[0]["jobs"][0]).read_bytes()
    assert listing(m.repo() / "jobs") == [str(made[2]["jobs"][0]), str(made[0]["jobs"][0])]


def test_the_listing_of_a_run(github, mount):
    made = two_runs(github)[0]
    m = mount()
    folder = m.repo() / "runs" / str(made["run"])
    assert listing(folder) == ["run.json", "build", "test"]
    assert listing(folder / "build") == ["01-Set up job.txt", "02-Run make.txt",
                                         "03-Post Run actions∕checkout@v4.txt",
                                         "04-Complete job.txt"]


@pytest.mark.parametrize("path", ("runs/5", "runs/5/run.json", "runs/5/build", "jobs/5",
                                  "jobs/5/job.json", "runs/5/attempts", "branches/none"))
def test_what_does_not_exist(github, mount, path):
    """S13: a listing of what does not exist is ENOENT; a branch without runs is empty."""
    two_runs(github)
    where = mount().repo() / path
    if path == "branches/none":
        assert listing(where) == []
        return
    with fails("ENOENT"):
        where.read_bytes() if path.endswith(".json") else os.listdir(where)


def test_a_run_is_not_another_repository_s(github, mount):
    github.add_repo("octo/other")
    made = two_runs(github)[0]
    m = mount()
    assert listing(m.repo() / "runs" / str(made["run"]))
    with fails("ENOENT"):
        os.listdir(m.repo("octo/other") / "runs" / str(made["run"]))


# --- run.json, job.json --------------------------------------------------------------------------

def as_api(github, path):
    return Asker(github)("/repos/%s/actions/%s" % (REPO, path)).json


@pytest.mark.parametrize("listed", (False, True), ids=("by itself", "out of a listing"))
def test_json_is_what_the_api_gives(github, mount, listed):
    made = two_runs(github)[0]
    m = mount()
    job = made["jobs"]["test"]
    if listed:
        listing(m.repo() / "jobs")
        forget(github)
    paths = {m.json(job): "jobs/%d" % job,
             m.repo() / "runs" / str(made["run"]) / "run.json": "runs/%d" % made["run"]}
    got = {path: path.read_bytes() for path in paths}
    assert traffic(github).api == (0 if listed else 2)
    for path, question in paths.items():
        assert json.loads(got[path]) == as_api(github, question)
        assert path.stat().st_size == len(got[path])


def test_job_json_is_whole_whichever_way_it_came(github, mount):
    """Requested by itself first and taken from a listing later: its size is what is read."""
    made = two_runs(github)[0]
    job = made["jobs"]["build"]
    m = mount()
    path = m.json(job)
    assert path.stat().st_size
    listing(m.repo() / "jobs")
    for _ in range(2):
        got = path.read_bytes()
        assert json.loads(got)["id"] == job
        assert path.stat().st_size == len(got)
    m.stop()
    again = mount(cache=m.cache)
    assert again.json(job).read_bytes() == got


def test_an_attempt_s_own_json(github, mount):
    made = github.add_run(REPO, attempts=2)
    m = mount()
    folder = m.repo() / "runs" / str(made)
    assert json.loads((folder / "run.json").read_bytes())["run_attempt"] == 2
    assert json.loads((folder / "attempts/1/run.json").read_bytes()) == \
        as_api(github, "runs/%d/attempts/1" % made)


# --- attempts ------------------------------------------------------------------------------------

def test_attempts(github, mount):
    made = github.add_run(REPO, attempts=3)
    jobs = {n: cut_job(github, made, attempt=n, name="build %d" % n) for n in (1, 2, 3)}
    m = mount()
    folder = m.repo() / "runs" / str(made)
    assert listing(folder) == ["run.json", "build 3", "build 2", "build 1", "attempts"]
    assert listing(folder / "attempts") == ["1", "2"]
    for n in (1, 2):
        there = folder / "attempts" / str(n)
        assert listing(there) == ["run.json", "build %d" % n]
        assert concatenated(there / ("build %d" % n)) == cleaned(stamped(PLAIN))
        link = there / ("build %d" % n) / "log"
        assert os.readlink(link) == "../../../../../jobs/%d/log" % jobs[n]
        assert link.read_bytes() == m.log(jobs[n]).read_bytes()
    with fails("ENOENT"):
        os.listdir(folder / "attempts" / "4")
    for name in ("0", "01", "x", "-1", "4294967296", "99999999999999999999"):
        with fails("ENOENT"):
            (folder / "attempts" / name).stat()


def test_a_rerun_shows_up(github, mount):
    made = github.add_run(REPO)
    cut_job(github, made)
    m = mount(fresh=1)
    folder = m.repo() / "runs" / str(made)
    assert listing(folder) == ["run.json", "build"]
    github.set_run(run=made, attempt=2, status="in_progress", conclusion=None)
    github.add_job(made, attempt=2, name="again", status="in_progress")
    time.sleep(1.1)
    assert listing(folder) == ["run.json", "again", "build", "attempts"]
    assert listing(folder / "attempts" / "1") == ["run.json", "build"]


# --- latest, failed, branches, workflows ---------------------------------------------------------

def test_latest_is_the_newest_whatever_its_state(github, mount):
    two_runs(github)
    newest = github.add_run(REPO, status="queued")
    m = mount(fresh=1)
    assert os.readlink(m.repo() / "latest") == "runs/%d" % newest
    newer = github.add_run(REPO, conclusion="failure")
    time.sleep(1.1)
    assert os.readlink(m.repo() / "latest") == "runs/%d" % newer
    assert "run.json" in listing(m.repo() / "latest")


def test_failed_means_three_conclusions(github, mount):
    """S19"""
    ends = ("failure", "success", "timed_out", "cancelled", "startup_failure", "skipped",
            "neutral", "action_required", "stale")
    runs = {end: github.add_run(REPO, conclusion=end) for end in ends}
    m = mount()
    folder = m.repo() / "failed"
    assert listing(folder) == [str(runs[end])
                               for end in ("startup_failure", "timed_out", "failure")]
    assert traffic(github).api == 4
    assert all((folder / str(number)).is_dir() for number in runs.values())


def test_failed_runs_beyond_the_recent_ones(github, mount):
    old = github.add_run(REPO, conclusion="failure")
    github.bulk(REPO, 6, 1, 100)
    assert listing(mount(runs=3).repo() / "failed") == [str(old)]


def test_branches(github, mount):
    runs = {branch: github.add_run(REPO, branch=branch)
            for branch in ("main", "a/b", "a/c", "a/b-c/d", "2", "a/7")}
    fork = github.add_run(REPO, branch="main", head_repo="some-one/hello")
    m = mount()
    top = m.repo() / "branches"
    assert sorted(listing(top)) == sorted(["main", "a", "2 (branch)", "some-one:main"])
    assert sorted(listing(top / "a")) == ["7 (branch)", "b", "b-c", "c"]
    shown = {"main": "main", "a/b": "a/b", "a/c": "a/c", "a/b-c/d": "a/b-c/d",
             "2": "2 (branch)", "a/7": "a/7 (branch)"}
    for branch, path in shown.items():
        name = str(runs[branch])
        assert listing(top / path) == [name], path
        up = "../" * (path.count("/") + 2)
        assert os.readlink(top / path / name) == up + "runs/" + name
        assert "run.json" in listing(top / path / name)
    assert listing(top / "some-one:main") == [str(fork)]


def test_a_branch_that_is_also_another_s_folder(github, mount):
    """git has no such branches at once, but one after the other."""
    first = github.add_run(REPO, branch="a")
    github.add_run(REPO, branch="a/b")
    assert sorted(listing(mount().repo() / "branches" / "a")) == sorted([str(first), "b"])


def test_a_branch_beyond_the_recent_runs(github, mount):
    """S19: a branch asks with its own filter."""
    old = [github.add_run(REPO, branch="old/one", head_repo=who) for who in (None, "some/hello")]
    github.bulk(REPO, 4, 1, 100)
    top = mount(runs=2).repo() / "branches"
    assert listing(top) == ["main"]
    assert listing(top / "old" / "one") == [str(old[0])]
    assert listing(top / "some:old" / "one") == [str(old[1])]


@pytest.mark.parametrize("name", ("x" * 240, "ветка-с-именем-" * 4, "枝" * 81, "a b%&?#+"),
                         ids=("long", "cyrillic", "wide", "odd"))
def test_branches_of_long_and_odd_names(github, mount, name):
    made = github.add_run(REPO, branch=name)
    top = mount().repo() / "branches"
    shown, = listing(top)
    assert len(shown.encode()) <= 255 and name.startswith(shown[:50])
    assert listing(top / shown) == [str(made)]


def test_workflows(github, mount):
    """S19: named by the basename; equal ones get their id."""
    runs = {file: github.add_run(REPO, file=file) for file in (
        "ci.yml", "release.yaml", "dynamic/one/pages", "dynamic/two/pages")}
    api = as_api(github, "workflows")["workflows"]
    second = max(w["id"] for w in api if w["path"].endswith("pages"))
    shown = {"ci.yml": "ci.yml", "release.yaml": "release.yaml", "dynamic/one/pages": "pages",
             "dynamic/two/pages": "pages (%d)" % second}
    top = mount().repo() / "workflows"
    assert sorted(listing(top)) == sorted(shown.values())
    for file, name in shown.items():
        assert listing(top / name) == [str(runs[file])]
        assert os.readlink(top / name / str(runs[file])) == "../../runs/%d" % runs[file]


def test_a_workflow_beyond_the_recent_runs(github, mount):
    old = github.add_run(REPO, file="old.yml")
    github.bulk(REPO, 4, 1, 100)
    top = mount(runs=2).repo() / "workflows"
    assert listing(top) == ["ci.yml"]
    assert listing(top / "old.yml") == [str(old)]
    with fails("ENOENT"):
        os.listdir(top / "none.yml")


# --- S7: times -----------------------------------------------------------------------------------

def seconds(path):
    return os.stat(path, follow_symlinks=False).st_mtime


def test_s7_times_of_runs_jobs_and_steps(github, mount):
    made = two_runs(github)[0]
    m = mount()
    folder = m.repo() / "runs" / str(made["run"])
    run_json = json.loads((folder / "run.json").read_bytes())
    end = NOON + 3600 + 40
    assert listing(m.repo() / "runs") and listing(folder)
    time.sleep(1.1)         # as long as a time that is not known may be remembered
    assert iso_seconds(run_json["updated_at"]) == seconds(folder) == seconds(folder / "run.json")
    assert seconds(folder / "build") == end
    for number, name in enumerate(sorted(listing(folder / "build")), 1):
        assert seconds(folder / "build" / name) == NOON + 3600 + 10 * number
    job = made["jobs"]["build"]
    for path in (m.folder(job), m.log(job), m.json(job), m.folder(job) / "log.txt"):
        assert seconds(path) == end, path


def iso_seconds(text):
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone


def test_s7_a_run_that_was_asked_for_by_itself(github, mount):
    made = github.add_run(REPO, updated_at="2026-02-03T04:05:06Z")
    folder = mount().repo() / "runs" / str(made)
    (folder / "run.json").read_bytes()
    assert seconds(folder / "run.json") == iso_seconds("2026-02-03T04:05:06Z")


def test_s7_ls_and_find_by_time(github, mount):
    made = github.bulk(REPO, 3, 1, 500)
    m = mount()
    names = [str(r["run"]) for r in reversed(made)]
    assert out("ls", "-t", m.repo() / "runs", text=True).split() == names
    assert out("ls", "-tr", m.repo() / "jobs", text=True).split() == \
        [str(r["jobs"][0]) for r in made]
    newer = out("find", m.repo() / "runs", "-maxdepth", "1", "-newer",
                m.repo() / "runs" / names[1], "-printf", "%f\n", text=True).split()
    assert [name for name in newer if name != "runs"] == [names[0]]


def test_s7_a_repository_s_time_is_that_of_its_last_push(github, mount):
    github.add_repo("octo/one", pushed_at="2026-02-01T00:00:00Z")
    github.add_repo("octo/two", pushed_at="2026-03-01T00:00:00Z")
    m = mount()
    assert m.repo("octo/one").is_dir()      # before anything is known of it
    listing(m.path / "octo")
    time.sleep(1.1)
    assert seconds(m.repo("octo/one")) == iso_seconds("2026-02-01T00:00:00Z")
    assert out("ls", "-t", m.path / "octo", text=True).split()[0] == "two"


# --- copies --------------------------------------------------------------------------------------

@pytest.mark.parametrize("what", ("runs/%d", "jobs/%d"))
def test_s7_the_times_of_a_directory_stay_while_it_is_open(github, mount, what):
    """GNU tar 1.35 compares mtime before and after; earlier versions compare ctime."""
    made = github.add_run(REPO)
    job = github.add_job(made, size=1000)
    there = mount(prefetch=0).repo() / (what % (made if "runs" in what else job))
    opened = os.open(there, os.O_PATH | os.O_DIRECTORY)
    reading = os.open(there, os.O_RDONLY | os.O_DIRECTORY)
    before = os.stat(opened)
    for _, _, names in os.walk(there):
        assert names
    wait_for(lambda: traffic(github).requests[0] > 0, why="nothing was asked")
    time.sleep(1.2)     # longer than the kernel keeps a time that is not known yet
    after = os.stat(opened)
    assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
    os.close(reading)
    wait_for(lambda: os.stat(opened).st_mtime < time.time() - 60, 5, 0.1,
             why="its own time is never shown")
    os.close(opened)


@pytest.mark.parametrize("what", ("runs/%d", "jobs/%d"))
def test_a_cold_folder_does_not_change_while_tar_reads_it(github, mount, folder, what):
    """Its time becomes known on the way; tar calls it a change if that is its ctime, and fails."""
    made = github.add_run(REPO)
    job = [github.add_job(made, size=1000, name="j%d" % n) for n in range(2)][0]
    there = mount(prefetch=0).repo() / (what % (made if "runs" in what else job))
    github.latency(storage_ms=800)
    done = run("tar", "-C", there, "-cf", folder / "a.tar", ".", text=True)
    assert done.stderr == ""
    github.latency(storage_ms=0)
    wait_for(lambda: there.stat().st_mtime < time.time() - 60, 5, 0.1,
             why="its own time is never shown")


def test_ls_du_and_tar_of_a_run(github, mount, folder):
    made = two_runs(github)[0]
    m = mount()
    there = m.repo() / "runs" / str(made["run"])
    got = {p: p.stat().st_size for p in there.rglob("*") if p.is_file()}
    listed = out("ls", "-lR", "--time-style=+", there, text=True)
    for path, size in got.items():
        assert re.search(r" %d +%s$" % (size, re.escape(path.name)), listed, re.M), path
        assert len(path.read_bytes()) == size
    assert int(out("du", "-sb", there).split()[0]) == sum(got.values())
    run("tar", "-C", there, "-cf", folder / "run.tar", ".")
    with tarfile.open(folder / "run.tar") as archive:
        for path, size in got.items():
            member = archive.getmember("./" + str(path.relative_to(there)))
            assert member.size == size and member.mtime == int(path.stat().st_mtime)
            assert archive.extractfile(member).read() == path.read_bytes()


@pytest.mark.parametrize("what", ("runs", "jobs"))
def test_a_second_rsync_transfers_nothing(github, mount, folder, what):
    two_runs(github)
    m = mount()
    copy = folder / "copy"
    first = out("rsync", "-a", "--stats", "%s/" % (m.repo() / what), copy, text=True)
    assert "Number of regular files transferred: 0\n" not in first
    run("diff", "-r", m.repo() / what, copy)
    forget(github)
    second = out("rsync", "-a", "--stats", "%s/" % (m.repo() / what), copy, text=True)
    assert "Number of regular files transferred: 0\n" in second
    assert traffic(github).requests == (0, 0)


def test_a_copy_with_attributes_takes_none_along(github, mount, folder):
    made = two_runs(github)[0]
    m = mount()
    run("cp", "-a", m.repo() / "runs" / str(made["run"]), folder / "copy")
    assert os.listxattr(folder / "copy" / "build") == []
    assert (folder / "copy" / "build" / "02-Run make.txt").read_text().count(NEEDLE) == 1
