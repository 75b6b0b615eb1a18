"""Real archives of runs go the whole way: out of the loopback GitHub, through a mount (S20, S10).

Each archive is served byte for byte as GitHub made it, and each job's own log is its entry in it.
What the API tells of the jobs is made from the archive too: names from the logs' own lines, times
from their timestamps, steps from the step files; of some jobs it was recorded. What a reader gets
is compared with the archive by Python alone.
"""

import functools
import json
import os
import re
import tarfile
import zipfile

import pytest

from mounting import ROOT, forget, run, traffic, wait_for
from treeing import cleaned, listing

ARCHIVES = ROOT.parent / "shared" / "real" / "archives"
COUNT = 50
JOBS = 92                       # with a log
GROUPS = 3                      # repositories; of one, 24 archives may be under way
KEEP_SECONDS = 20               # for the archives of a group to come

# Logs that the job's own request may have to bring, and why. All others come from the archive.
BY_JOB_ROUTE = {
    ("Mounik05-TestApp_new-1", "1_build.txt"):
        "2023: `1_build (1).txt`, the service's own words, may be named after the job as well",
}
FROM_ARCHIVE = JOBS - len(BY_JOB_ROUTE)
# Jobs whose step files are not their log, and why. All others are cut as these are.
NOT_CUT = {
    ("Mounik05-TestApp_new-1", "1_build.txt"):
        "2023: five lines in front of the log that no step has",
}
# Entries at the top that are no job's log.
NO_LOG = {("Mounik05-TestApp_new-1", "1_build (1).txt")}
# Jobs with many steps and short logs.
SHORT = {"AnEntrypoint-looper-1", "Funfamm-aim-platform-1", "rohit-577-rag-ci-cd-1",
         "saikhantaung1988-sys-Standard-Global-Exchange-1", "thc1006-nephoran-intent-operator-3"}

pytestmark = [pytest.mark.real,
              pytest.mark.skipif(not ARCHIVES.exists(), reason="there are no real archives here")]


# --- what an archive holds -----------------------------------------------------------------------

STAMP = re.compile(rb"^(?:\xef\xbb\xbf)*(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{7}Z", re.MULTILINE)
OWN_NAME = re.compile(rb"Z Complete job name: (.*?)\r?$", re.MULTILINE)
HEADER = re.compile(rb"##\[group\](Run [^\r\n]*)")


def times_of(data):
    """The first and the last time in a log, as the API tells times: cut off to the second."""
    found = STAMP.findall(data)
    return (found[0].decode() + "Z", found[-1].decode() + "Z") if found else (None, None)


def whole_lines(text):
    return text if text.endswith(b"\n") or not text else text + b"\n"


def bare(name):
    """What is the same in a step's name and in that of its file."""
    return re.sub(r'[/\\:*?"<>|_]', "", name)


def name_of(name, data):
    """The file's name has lost its slashes. Where the runner made it, the first line tells it."""
    found = HEADER.search(data)
    told = found.group(1).decode("utf-8", "replace") if found else name
    return told if bare(told) == bare(name) else name


def as_told(log, files):
    """A job as the API would tell it: a step ends where the next one begins."""
    started, ended = times_of(log)
    steps, following = [], ended
    for number, name, data in reversed(files):
        start = times_of(data)[0] or following
        steps.insert(0, {"name": name_of(name, data), "number": number, "status": "completed",
                         "conclusion": "failure" if b"##[error]" in data else "success",
                         "started_at": start, "completed_at": following})
        following = start
    failed = any(step["conclusion"] == "failure" for step in steps)
    return {"name": OWN_NAME.search(log).group(1).decode(), "status": "completed",
            "conclusion": "failure" if failed else "success", "started_at": started,
            "completed_at": ended, "steps": steps}


def as_recorded(job):
    """A job that was recorded from the API or from `gh run view --json`."""
    def shaped(one):
        return {"name": one["name"], "status": one["status"], "conclusion": one["conclusion"],
                "started_at": one.get("started_at") or one["startedAt"],
                "completed_at": one.get("completed_at") or one["completedAt"]}
    return dict(shaped(job), steps=[dict(shaped(s), number=s["number"]) for s in job["steps"]])


class Job:
    def __init__(self, archive, member, zip_, recorded):
        self.key = (archive, member)
        self.log = zip_.read(member)
        self.text = cleaned(self.log)
        folder = re.fullmatch(r"\d+_(.*)\.txt", member).group(1)
        pattern = re.compile(re.escape(folder) + r"/(\d+)_(.*)\.txt")
        found = filter(None, map(pattern.fullmatch, zip_.namelist()))
        files = sorted((int(m.group(1)), m.group(2), zip_.read(m.string)) for m in found)
        self.files = {number: whole_lines(cleaned(data)) for number, _, data in files}
        self.is_cut = b"".join(self.files.values()) == whole_lines(self.text)
        self.facts = as_recorded(recorded) if recorded else as_told(self.log, files)

    def is_shown_by(self, steps):
        """Whether these are the archive's step files, text for text."""
        shown = {int(name.partition("-")[0]): whole_lines(data) for name, data in steps.items()}
        return shown == self.files


class Archive:
    """A run: its jobs with a log, and the names of those that have none."""

    def __init__(self, path, recorded):
        self.path, self.name = path, path.stem
        with zipfile.ZipFile(path) as zip_:
            names = zip_.namelist()
            self.jobs = [Job(self.name, member, zip_, recorded.get((path.name, member)))
                         for member in names
                         if "/" not in member and (self.name, member) not in NO_LOG]
        folders = {name.partition("/")[0] for name in names if "/" in name}
        self.skipped = sorted(folders - {job.facts["name"].replace("/", "_") for job in self.jobs})


@functools.lru_cache(maxsize=None)
def archives():
    with open(ARCHIVES / "api-steps.json", encoding="utf-8") as file:
        recorded = {(one["archive"], one["member"]): one["job"] for one in json.load(file)}
    return [Archive(path, recorded) for path in sorted(ARCHIVES.glob("*.zip"))]


# --- a repository of them ------------------------------------------------------------------------

JOB_LOGS = re.compile(r"/actions/jobs/(\d+)/logs$")
RUN_LOGS = re.compile(r"/actions/runs/(\d+)/attempts/1/logs$")


class Served:
    """Archives as the runs of one repository, and in front of them a run of two jobs, by which a
    reader is recognised: their logs it has to request one by one."""

    def __init__(self, github, repo, chosen, folder, change=lambda steps: steps):
        self.github, self.repo = github, repo
        self.runs = {}              # run id -> Archive
        self.jobs = {}              # job id -> Job
        self.run_of = {}            # job id -> run id
        github.add_repo(repo)
        for archive in chosen:
            run_id = github.add_run(repo)
            self.runs[run_id] = archive
            github.archive(run=run_id, file=str(archive.path))
            for number, job in enumerate(archive.jobs):
                path = folder / ("%d-%d" % (run_id, number))
                path.write_bytes(job.log)
                facts = dict(job.facts, steps=change(job.facts["steps"]))
                job_id = github.add_job(run_id, file=path, **facts)
                self.jobs[job_id], self.run_of[job_id] = job, run_id
            for name in archive.skipped:
                github.add_job(run_id, name=name, conclusion="skipped", steps=[], log="none")
        self.first = github.bulk(repo, 1, 2, 5050)[0]["jobs"]

    # --- reading ---

    def read(self, m, archives_come=True):
        """Reads all logs in the order of the listing, as grep -r does. When it is recognised it
        waits for the archives to come: a log that is waited for too long is requested by itself.
        Returns the logs, and the jobs of which the steps were not kept."""
        names = listing(m.repo(self.repo) / "jobs")
        assert [int(name) for name in names[:2]] == self.first
        logs, lost = {}, set()
        for at, name in enumerate(names):
            if at == 2 and archives_come:
                lost = self.wait_for_cuts(m)
            if "log" in os.listdir(m.folder(name, self.repo)):
                logs[int(name)] = m.log(name, self.repo).read_bytes()
        assert set(logs) == {*self.first, *self.jobs}
        return logs, lost

    def wait_for_cuts(self, m):
        """Where steps begin is the last thing that comes of an archive."""
        wanted = {job for job, real in self.jobs.items() if real.is_cut}
        try:
            wait_for(lambda: wanted <= cut_jobs(m.cache), KEEP_SECONDS, 0.05)
        except AssertionError:
            pass                    # the caller tells of which jobs
        return wanted - cut_jobs(m.cache)

    def read_texts(self, m):
        return {job: (m.folder(job, self.repo) / "log.txt").read_bytes() for job in self.jobs}

    def read_steps(self, m, timestamps=False):
        """Of each job its steps' files by their names, in order, without timestamps."""
        steps = {}
        for job, real in self.jobs.items():
            folder = (m.repo(self.repo) / "runs" / str(self.run_of[job])
                      / real.facts["name"].replace("/", "\u2215"))
            found = {name: (folder / name).read_bytes() for name in sorted(listing(folder))
                     if name.endswith(".txt")}
            if timestamps:
                found = {name: cleaned(data) for name, data in found.items()}
            steps[job] = found
        return steps

    # --- what was requested ---

    def requested(self):
        """The jobs whose logs were requested by themselves, and the runs whose archives were, each
        as often as that."""
        paths = [entry["path"] for entry in self.github.log(hop="api")]
        found = [sorted(int(m.group(1)) for m in map(pattern.search, paths) if m)
                 for pattern in (JOB_LOGS, RUN_LOGS)]
        return ([job for job in found[0] if job in self.jobs],
                [run_id for run_id in found[1] if run_id in self.runs])

    def report(self, alone, exact):
        """A line for each archive, which pytest shows if the test fails."""
        row = "%-52s %4s %12s %12s %11s"
        print(row % ("archive", "jobs", "from archive", "by job route", "steps exact"))
        for run_id, archive in self.runs.items():
            jobs = {job for job in self.jobs if self.run_of[job] == run_id}
            print(row % (archive.name, len(jobs), len(jobs - alone), len(jobs & alone),
                         len(jobs & exact)))
        self.name_all("by job route", alone)
        self.name_all("steps not exact", set(self.jobs) - exact)

    def name_all(self, what, jobs):
        for job in sorted(jobs):
            print("%s: %s %s" % (what, *self.jobs[job].key))


def cut_jobs(cache):
    """The jobs of which it is on disk where their steps begin."""
    return {int(path.parent.name, 16) & (1 << 53) - 1
            for path in cache.glob("v1/*/facts/cuts/*/*~")}


# --- the tests -----------------------------------------------------------------------------------

def test_the_archives_are_those_that_were_counted():
    """Else the sums below are of something else."""
    jobs = [job for archive in archives() for job in archive.jobs]
    assert (len(archives()), len(jobs)) == (COUNT, JOBS)
    assert {job.key for job in jobs if not job.is_cut} == set(NOT_CUT)


@pytest.mark.limit(120)
def test_s20_every_log_and_step_of_real_archives(github, mount, folder):
    """Every log is its entry byte for byte, all but BY_JOB_ROUTE without a request of its own, and
    every step of all but NOT_CUT is its file text for text. The rest is as without archives."""
    m, plain = mount(archive_jobs=1, prefetch=100), mount(archive_jobs=0, prefetch=100)
    different, by_route, not_exact, lost, changed = set(), set(), set(), set(), set()
    for group in range(GROUPS):
        served = Served(github, "real/group%d" % group, archives()[group::GROUPS], folder)
        (logs, without), texts = served.read(m), served.read_texts(m)
        steps = served.read_steps(m)
        alone, runs = served.requested()
        exact = {job for job, real in served.jobs.items() if real.is_shown_by(steps[job])}
        served.report(set(alone), exact)
        served.name_all("steps not kept", without)
        assert runs == sorted(served.runs)                      # each archive once
        plain_logs = served.read(plain, archives_come=False)[0]
        plain_texts, plain_steps = served.read_texts(plain), served.read_steps(plain)
        assert served.requested()[1] == runs                    # and by the other mount never
        for job, real in served.jobs.items():
            together = b"".join(steps[job].values())
            right = logs[job] == real.log and texts[job] == real.text == together
            same = logs[job] == plain_logs[job] and texts[job] == plain_texts[job] and (
                real.is_cut or steps[job] == plain_steps[job])
            for found, what in ((different, right), (changed, same), (not_exact, job in exact),
                                (by_route, job not in alone), (lost, job not in without)):
                if not what:
                    found.add(real.key)
    assert not different
    assert JOBS - len(by_route) >= FROM_ARCHIVE and by_route <= set(BY_JOB_ROUTE)
    assert not lost and not_exact <= set(NOT_CUT)
    assert not changed


def test_s20_a_reader_while_real_archives_come(github, mount, folder):
    """tar does not wait for archives before it reads on: whichever way a log comes, it is its
    entry, and nothing is requested twice."""
    served = Served(github, "real/tar", archives()[::2], folder)
    m = mount(archive_jobs=1, prefetch=100)
    run("tar", "-C", m.repo(served.repo), "-cf", folder / "jobs.tar", "jobs")
    with tarfile.open(folder / "jobs.tar") as tar:
        different = [real.key for job, real in served.jobs.items()
                     if tar.extractfile("jobs/%d/log" % job).read() != real.log]
    assert not different
    for requested in served.requested():
        assert len(requested) == len(set(requested))
    assert served.requested()[1]


def without_a_clock(steps):
    """All steps at the moment when the first began: nothing in them tells which line is whose."""
    return [dict(step, started_at=steps[0]["started_at"], completed_at=steps[0]["started_at"])
            for step in steps]


@pytest.mark.parametrize("timestamps", (False, True), ids=("plain", "timestamps"))
def test_s20_steps_out_of_an_archive_outlive_the_mount(github, mount, folder, timestamps):
    """Times that tell nothing show whose work it is: only the archive's step files, and what was
    kept of them, can be right."""
    served = Served(github, "real/steps", [a for a in archives() if a.name in SHORT], folder,
                    without_a_clock)
    m = mount(archive_jobs=1, prefetch=100, timestamps=timestamps)
    served.read(m)
    first = served.read_steps(m, timestamps)
    m.stop()
    forget(github)
    again = mount(cache=m.cache, offline=True, timestamps=timestamps)
    second = served.read_steps(again, timestamps)
    assert traffic(github).requests == (0, 0)
    plain = served.read_steps(mount(archive_jobs=0, timestamps=timestamps), timestamps)

    def wrong(steps):
        return {real.key for job, real in served.jobs.items() if not real.is_shown_by(steps[job])}
    assert (wrong(first), wrong(second)) == (set(), set())
    assert len(wrong(plain)) > len(served.jobs) / 2
