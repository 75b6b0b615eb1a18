"""Runs whose logs may come out of one archive (S20), who reads them, and what GitHub saw of it.

    first, run = world(github, archive=lambda jobs: {"wrong_crc": jobs[0]})
    m = mount()
    walk(m, first)                      # one reader, one file after another; every byte compared
    wait_published(m, run, but={0})     # the archive of the next run has come meanwhile
    walk(m, run)
    assert archives(github, run) == 1 and own(github, run) == [1, 0, 0, 0]

A reader's patience is 2 s by our clock, however slow the machine is. So what has to come out of an
archive is waited for, or seen to be requested no sooner than after that time (`impatient`).
"""

import dataclasses
import hashlib
import os

from fake.world import guid, iso
from faulting import each, named_logs, outcome
from mounting import REPO, wait_for
from treeing import BOM, NOON

LINES = 60                      # of a log; a second lies between two of them
PATIENCE = 2.0                  # seconds that a reader waits at least for an archive under way
SIGN = 6                        # jobs of the run that a walk begins with: it is recognised there


@dataclasses.dataclass
class Run:
    id: int
    logs: dict                  # job -> bytes, in the order of the list

    @property
    def jobs(self):
        return list(self.logs)


def text_of(name, salt, start=NOON, lines=LINES, marked=True):
    """A log as the runner writes it; no two are alike."""
    texts = ["Current runner version: '2.330.0'", "Complete job name: " + name]
    texts = texts if marked else texts[:1]
    while len(texts) < lines - 1:
        noise = hashlib.sha256(b"%d %d" % (salt, len(texts))).hexdigest()
        texts.append("%s %04d %s" % (name, len(texts), 4 * noise))
    texts.append("Cleaning up orphan processes")
    stamps = ["%s.%07dZ " % (iso(start + i)[:-1], 1234567) for i in range(lines)]
    return BOM + "".join(map(str.__add__, stamps, (text + "\n" for text in texts))).encode()


def add_run(github, names=4, archive=None, lines=LINES, marked=True, apart=0, start=NOON,
            attempt=None, run=None, **fields):
    """A completed run; `marked`: its logs say whose they are; `apart`: seconds from the start of
    one job to that of the next. Its archive as `archive`, or as archive(jobs), has it."""
    run = run or github.add_run(REPO, **fields)
    logs = {}
    for name in (["job %d" % n for n in range(1, names + 1)] if isinstance(names, int) else names):
        begin = start + apart * len(logs)
        text = text_of(name, run + len(logs) + 1000 * (attempt or 0), begin, lines, marked)
        job = github.add_job(run, name=name, text=text, started_at=begin, attempt=attempt,
                             completed_at=begin + lines)
        logs[job] = text
    if archive:
        github.archive(run=run, **(archive(list(logs)) if callable(archive) else archive))
    return Run(run, logs)


def world(github, names=4, archive=None, **fields):
    """Two runs: one that lets a walk be recognised, and behind it the one that is meant."""
    meant = add_run(github, names, archive, **fields)
    return add_run(github, SIGN), meant


# --- readers -------------------------------------------------------------------------------------

def step_into(m, job):
    """What a program does that goes through a tree: the directory, and then what is in it."""
    assert "log" in os.listdir(m.folder(job))


def walk(m, *runs, count=None):
    """One recursive reader; all of these runs, or the first so many jobs of the listing."""
    wanted = {job: text for run in runs for job, text in run.logs.items()}
    seen = [int(name) for name in os.listdir(m.repo() / "jobs")]
    assert set(wanted) <= set(seen)
    for job in [job for job in seen if job in wanted][:count]:
        step_into(m, job)
        got = outcome(m.log(job), wanted[job])
        assert got == "right", "job %d: %s" % (job, got)


def read_at_once(m, run, readers=8):
    """So many readers, each of a log of its own where there are as many."""
    numbered = {n: run.jobs[n % len(run.jobs)] for n in range(readers)}
    got = each(lambda job: outcome(m.log(job), run.logs[job]), numbered)
    assert got == dict.fromkeys(got, "right")


# --- what GitHub saw -----------------------------------------------------------------------------

def asked_for(run, attempt=None):
    """Part of the path of the API's route of a run's archive."""
    return "/runs/%d/" % run.id + ("attempts/%d/logs" % attempt if attempt else "")


def sent_at(run, attempt=1):
    """Part of the path at which storage has it."""
    return "/rest/runs/%s/logs" % guid(("run", run.id, attempt))


def archive_requests(github, run=None):
    """The API requests for archives: all of them, or those for this run."""
    return [e for e in github.log("api") if e["path"].endswith("/logs") and "/runs/" in e["path"]
            and (run is None or "/runs/%d/" % run.id in e["path"])]


def archives(github, run=None):
    return len(archive_requests(github, run))


def own(github, run):
    """How often each of the run's logs was requested by itself."""
    paths = [e["path"] for e in github.log("api")]
    return [sum(path.endswith("/jobs/%d/logs" % job) for path in paths) for job in run.jobs]


def impatient(github, run, but=()):
    """The jobs (but those of these indices) that were requested by themselves within PATIENCE after
    the request for the archive: then nobody can have waited for it."""
    begun = [e["t"] for e in archive_requests(github, run)]
    early = [e["path"] for e in github.log("api") if not begun or e["t"] < begun[0] + PATIENCE]
    return [job for index, job in enumerate(run.jobs) if index not in but
            and any(path.endswith("/jobs/%d/logs" % job) for path in early)]


def wait_sent(github, run, attempt=1, **equal):
    """The archive's transfer, once it is over; the log has it no sooner."""
    return wait_for(lambda: [e for e in github.log("storage") if sent_at(run, attempt) in e["path"]
                             and all(e[k] == v for k, v in equal.items())], 30, 0.05,
                    "the archive's transfer does not end")[0]


# --- what the mount tells and keeps --------------------------------------------------------------

def stats(m):
    lines = (m.path / ".ghlogfs/stats").read_text().splitlines()
    return {name: int(value) for name, value in (line.split(" ") for line in lines)}


def wait_published(m, *runs, but=()):
    """Until the logs of these runs have a name in the cache, but those of these indices."""
    wanted = {job for run in runs for index, job in enumerate(run.jobs) if index not in but}
    wait_for(lambda: wanted <= set(named_logs(m.cache)), 30, 0.02, "logs do not come")


def drop_logs(cache, *runs):
    """As if these runs' logs had been evicted; what else is known of them stays."""
    files = named_logs(cache)
    for job in [job for run in runs for job in run.jobs if job in files]:
        files[job].unlink()
        files[job].with_name(files[job].name + ".meta").unlink()


def leftovers(cache):
    """Temporary files that have a name."""
    return list(cache.glob("v1/tmp/*"))
