"""What exists: tokens, repositories, workflows, runs, jobs, logs. Knows no HTTP.

Times are seconds since the epoch; times given from outside may be ISO strings, epoch numbers, or
negative numbers (that many seconds ago). Every change raises `World.version`, which answers cached
by the API depend on.
"""

import base64
import calendar
import dataclasses
import hashlib
import os
import random
import time
import uuid

from fake import content

BLOCK_SIZE = 2 << 20        # the runner uploads logs in blocks of 2 MiB
FILE_PIECE = 4 << 20
FORMS = ("block", "append", "append-sealed", "legacy", "legacy-length", "legacy-close")
ABSENT = ("none", "missing", "expired", "deleted")
CARRIED = (None, "same", "new")
RUNNERS = ("some", "null", "empty", "absent")
FIRST_TIME = calendar.timegm((2026, 1, 1, 0, 0, 0))


class WorldError(Exception):
    """A control request asks for the impossible; the text names it."""


def iso(seconds):
    """Whole seconds, as the API writes them; None stays None."""
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def seconds_of(value, default=None):
    if value is None:
        return default
    if isinstance(value, str):
        return calendar.timegm(time.strptime(value.split(".")[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S"))
    return time.time() + value if value < 0 else value


def sha1(text):
    return hashlib.sha1(str(text).encode()).hexdigest()


def guid(text):
    return str(uuid.UUID(sha1(text)[:32]))


# --- the bytes of logs ---------------------------------------------------------------------------

class FilePiece:
    """A stretch of an open file, to be sent by sendfile."""

    def __init__(self, fd, offset, length):
        self.fd, self.offset, self.length = fd, offset, length

    def __len__(self):
        return self.length

    def __getitem__(self, part):
        start, stop, _ = part.indices(self.length)
        return FilePiece(self.fd, self.offset + start, max(0, stop - start))

    def read(self):
        return os.pread(self.fd, self.length, self.offset)


class MadePart:
    def __init__(self, job_id, start, length):
        self.job_id, self.start, self.length = job_id, start, length

    def pieces(self, offset, length):
        return content.pieces(self.job_id, self.start + offset, length)


class BytesPart:
    def __init__(self, data):
        self.data, self.length = data, len(data)

    def pieces(self, offset, length):
        yield memoryview(self.data)[offset:offset + length]


class FilePart:
    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY)
        self.length = os.fstat(self.fd).st_size

    def pieces(self, offset, length):
        for at in range(offset, offset + length, FILE_PIECE):
            yield FilePiece(self.fd, at, min(FILE_PIECE, offset + length - at))


class Log:
    """The log of a job: absent in one of four ways, or parts in a row behind one blob."""

    def __init__(self, job_id, spec, form=None):
        self.job_id = job_id
        self.absent = spec if spec in ABSENT else None
        self.parts = []
        if not self.absent:
            self.parts.append(self._part(spec))
        self.form = form
        self.changes = 1
        self.modified = None

    def _part(self, spec):
        if not isinstance(spec, dict) or len(spec) != 1:
            raise WorldError("log: one of size, file, text or a word of %s" % (ABSENT,))
        (kind, value), = spec.items()
        if kind == "size":
            made = all(isinstance(part, MadePart) for part in self.parts)
            return MadePart(self.job_id, self.length if made else 0, value)
        if kind == "file":
            return FilePart(value)
        if kind == "text":
            return BytesPart(base64.b64decode(value))
        raise WorldError("log: unknown kind %r" % kind)

    @property
    def length(self):
        return sum(part.length for part in self.parts)

    def grow(self, spec):
        part = self._part(spec)
        self.absent = None
        self.parts.append(part)
        self.changes += 1

    def pieces(self, offset, length):
        for part in self.parts:
            here = min(length, part.length - offset)
            if here > 0:
                yield from part.pieces(offset, here)
                length -= here
            offset = max(0, offset - part.length)

    def read(self, offset=0, length=None):
        length = self.length if length is None else length
        return b"".join(p.read() if isinstance(p, FilePiece) else bytes(p)
                        for p in self.pieces(offset, length))

    @property
    def etag(self):
        return '"0x8D%s"' % sha1((self.job_id, self.changes, self.length))[:13].upper()

    @property
    def block_count(self):
        return max(-(-self.length // BLOCK_SIZE), len(self.parts), 1)


# --- things --------------------------------------------------------------------------------------

@dataclasses.dataclass
class Token:
    value: str
    login: str = "octocat"
    sees: list = None       # owners and owner/name it has explicit access to; None: all
    logs: bool = True       # may read logs (actions:read)
    pulls: bool = True      # may read pull requests (pull_requests:read)

    def may_see(self, repo):
        names = None if self.sees is None else {name.lower() for name in self.sees}
        return names is None or repo.owner.lower() in names or repo.full_name.lower() in names


@dataclasses.dataclass
class Repo:
    id: int
    owner: str
    name: str
    private: bool = False
    archived: bool = False
    fork: bool = False
    default_branch: str = "main"
    created_at: float = FIRST_TIME
    pushed_at: float = FIRST_TIME
    workflows: dict = dataclasses.field(default_factory=dict)   # by path
    runs: dict = dataclasses.field(default_factory=dict)        # by id
    pulls: dict = dataclasses.field(default_factory=dict)       # by number
    index: list = None          # the runs that filtered lists are made of; None: all, as they are

    @property
    def full_name(self):
        return self.owner + "/" + self.name

    def newest_runs(self):
        return sorted(self.runs.values(), key=lambda run: (-run.created_at, -run.id))

    def indexed_runs(self):
        return self.newest_runs() if self.index is None else self.index


@dataclasses.dataclass
class Workflow:
    id: int
    path: str
    name: str
    state: str = "active"
    created_at: float = FIRST_TIME


@dataclasses.dataclass
class Pull:
    number: int
    repo: Repo
    head_repo: Repo             # None: the fork was deleted
    branch: str
    sha: str
    title: str
    state: str = "open"
    created_at: float = FIRST_TIME


@dataclasses.dataclass
class Attempt:
    number: int
    status: str
    conclusion: str
    started_at: float
    updated_at: float


@dataclasses.dataclass
class Run:
    id: int
    repo: Repo
    workflow: Workflow
    number: int
    head_repo: Repo
    branch: str
    event: str
    actor: str
    title: str
    sha: str
    created_at: float
    path: str = None            # None: the workflow's
    attempts: dict = dataclasses.field(default_factory=dict)    # by number
    jobs: list = dataclasses.field(default_factory=list)
    carried: str = None         # see add_run
    archive: dict = dataclasses.field(default_factory=dict)     # see archives.py

    @property
    def last(self):
        return self.attempts[max(self.attempts)]

    def attempt(self, number):
        if number not in self.attempts:
            base = self.last
            for n in range(base.number + 1, number + 1):
                self.attempts[n] = dataclasses.replace(base, number=n)
        return self.attempts[number]


@dataclasses.dataclass
class Job:
    id: int
    run: Run
    attempt: int
    name: str
    status: str
    conclusion: str
    created_at: float
    started_at: float
    completed_at: float
    steps: list
    log: Log = None
    runner: str = "some"
    labels: list = dataclasses.field(default_factory=lambda: ["ubuntu-latest"])

    @property
    def form(self):
        if self.log.form:
            return self.log.form
        if self.status != "completed":
            return "append"
        return "block" if self.log.length <= BLOCK_SIZE else "append-sealed"

    @property
    def log_modified(self):
        return self.log.modified or self.completed_at or self.started_at


class World:
    def __init__(self):
        self.version = 0
        self.tokens = {}
        self.owners = {}            # lower case login -> "User" or "Organization"
        self.repos = {}             # lower case full name -> Repo
        self.moved = {}             # lower case former full name -> Repo
        self.repo_ids = {}
        self.runs = {}
        self.jobs = {}
        self.copies = {}            # (job id, attempt) -> id under which that attempt carries it
        self.ghosts = {}            # head repositories that are not served
        self.next_id = {"repo": 1001, "workflow": 50001, "run": 7000000001, "job": 30000000001}

    # --- looking up ---

    def repo(self, full_name):
        repo = self.repos.get(full_name.lower())
        if repo is None:
            raise WorldError("no repository %s" % full_name)
        return repo

    def job(self, job_id):
        if job_id not in self.jobs:
            raise WorldError("no job %s" % job_id)
        return self.jobs[job_id]

    def run(self, run_id):
        if run_id not in self.runs:
            raise WorldError("no run %s" % run_id)
        return self.runs[run_id]

    def owner_type(self, login):
        return self.owners.get(login.lower(), "User")

    def repos_of(self, login):
        return [repo for repo in self.repos.values() if repo.owner.lower() == login.lower()]

    def _take_id(self, kind, wanted):
        chosen = self.next_id[kind] if wanted is None else wanted
        self.next_id[kind] = max(self.next_id[kind], chosen + 1)
        return chosen

    # --- making ---

    def set_token(self, value, **fields):
        self.version += 1
        self.tokens[value] = Token(value, **fields)

    def add_repo(self, full_name, id=None, owner_type=None, renamed_from=None, **fields):
        self.version += 1
        owner, name = full_name.split("/")
        for key in ("created_at", "pushed_at"):
            fields[key] = seconds_of(fields.get(key), FIRST_TIME)
        repo = Repo(self._take_id("repo", id), owner, name, **fields)
        self.repos[full_name.lower()] = repo
        self.repo_ids[repo.id] = repo
        self.owners.setdefault(owner.lower(), "User")
        if owner_type:
            self.owners[owner.lower()] = owner_type
        for former in [renamed_from] if isinstance(renamed_from, str) else renamed_from or []:
            self.moved[former.lower()] = repo
        return repo

    def rename_repo(self, full_name, to):
        self.version += 1
        repo = self.repo(full_name)
        del self.repos[full_name.lower()]
        self.moved[full_name.lower()] = repo
        repo.owner, repo.name = to.split("/")
        self.repos[to.lower()] = repo
        self.owners.setdefault(repo.owner.lower(), "User")
        return repo

    def remove_repo(self, full_name):
        self.version += 1
        repo = self.repo(full_name)
        del self.repos[full_name.lower()]
        del self.repo_ids[repo.id]

    def add_workflow(self, repo, file="ci.yml", name=None, id=None, state="active"):
        path = file if "/" in file or not file else ".github/workflows/" + file
        if path not in repo.workflows:
            self.version += 1
            number = self._take_id("workflow", id)
            repo.workflows[path] = Workflow(number, path, "CI" if name is None else name,
                                            state)
        return repo.workflows[path]

    def _head_repo(self, repo, full_name):
        if full_name is None or full_name.lower() == repo.full_name.lower():
            return repo
        if not full_name:
            return None         # a fork that was deleted
        known = self.repos.get(full_name.lower()) or self.ghosts.get(full_name.lower())
        if known is None:
            owner, name = full_name.split("/")
            known = Repo(900_000_000 + len(self.ghosts), owner, name, fork=True)
            self.ghosts[full_name.lower()] = known
        return known

    def add_run(self, repo, id=None, file="ci.yml", workflow=None, branch="main", head_repo=None,
                event="push", status="completed", conclusion=None, attempts=1, actor=None,
                title=None, sha=None, created_at=None, started_at=None, updated_at=None,
                path=None, carried=None):
        """`carried`: what the list of a later attempt has of jobs that did not run again. None:
        nothing; "same": the job without its steps; "new": the same under a new id."""
        if carried not in CARRIED:
            raise WorldError("carried: one of %s" % (CARRIED,))
        self.version += 1
        flow = self.add_workflow(repo, file, workflow)
        number = 1 + sum(run.workflow is flow for run in repo.runs.values())
        created = seconds_of(created_at, FIRST_TIME + 600 * (len(repo.runs) + 1))
        run_id = self._take_id("run", id)
        run = Run(run_id, repo, flow, number, self._head_repo(repo, head_repo), branch, event,
                  actor or repo.owner, title or "Change %d" % number, sha or sha1(run_id), created,
                  path, carried=carried)
        if conclusion is None and status == "completed":
            conclusion = "success"
        self._add_attempts(run, attempts, status, conclusion, seconds_of(started_at, created),
                           seconds_of(updated_at, created + 300))
        repo.runs[run_id] = self.runs[run_id] = run
        return run

    def _add_attempts(self, run, attempts, status, conclusion, started, updated):
        """`attempts` is a number (earlier ones failed) or a list of dicts, oldest first."""
        if isinstance(attempts, int):
            attempts = [{"conclusion": "failure"}] * (attempts - 1) + [{}]
        for number, fields in enumerate(attempts, 1):
            last = number == len(attempts)
            run.attempts[number] = Attempt(
                number,
                fields.get("status", status if last else "completed"),
                fields.get("conclusion", conclusion if last else "failure"),
                seconds_of(fields.get("started_at"), started + 1000 * (number - 1)),
                seconds_of(fields.get("updated_at"), updated + 1000 * (number - 1)))

    def set_run(self, run, attempt=None, **fields):
        self.version += 1
        target = run.attempt(attempt or run.last.number)
        for key, value in fields.items():
            if key not in ("status", "conclusion", "started_at", "updated_at"):
                raise WorldError("set_run: unknown field %r" % key)
            setattr(target, key, seconds_of(value) if key.endswith("_at") else value)

    def remove_run(self, run):
        self.version += 1
        del self.runs[run.id], run.repo.runs[run.id]
        for job in run.jobs:
            del self.jobs[job.id]

    def add_pull(self, repo, number=None, branch="feature", head_repo=None, sha=None, state="open",
                 title=None):
        """`head_repo`: as of add_run. `sha`: of the branch's newest commit."""
        self.version += 1
        number = number or 1 + max(repo.pulls, default=0)
        repo.pulls[number] = Pull(number, repo, self._head_repo(repo, head_repo), branch,
                                  sha or sha1((repo.id, "pull", number)),
                                  title or "Pull request %d" % number, state)
        return repo.pulls[number]

    def set_pull(self, repo, number, **fields):
        self.version += 1
        for key, value in fields.items():
            if key not in ("sha", "state"):
                raise WorldError("set_pull: unknown field %r" % key)
            setattr(repo.pulls[number], key, value)

    def pulls_of(self, run):
        """What a run says of pull requests: the open ones of its branch, in whatever repository,
        but nothing where it ran for a fork's."""
        if run.head_repo is not run.repo:
            return []
        return [pull for repo in self.repos.values() for pull in repo.pulls.values()
                if pull.state == "open" and pull.head_repo is run.repo
                and pull.branch == run.branch]

    def set_index(self, repo, state):
        """GitHub answers filtered lists from a search index: "stale" leaves it as it is now,
        whatever happens to the runs, "empty" has none of them, "fresh" has all again."""
        if state not in ("fresh", "stale", "empty"):
            raise WorldError("index: fresh, stale or empty")
        self.version += 1
        repo.index = None if state == "fresh" else [] if state == "empty" else [
            dataclasses.replace(run, attempts={number: dataclasses.replace(attempt)
                                               for number, attempt in run.attempts.items()})
            for run in repo.newest_runs()]

    def add_job(self, run, id=None, attempt=None, name="build", status="completed",
                conclusion=None, created_at=None, started_at=None, completed_at=None, steps=None,
                log=None, form=None, labels=None, runner="some", told=False):
        """`runner`: "null" or "empty": it never got one; "absent": no field about runners. `told`:
        its name and times are those that its made-up log tells, as is true of GitHub's."""
        if runner not in RUNNERS:
            raise WorldError("runner: one of %s" % (RUNNERS,))
        self.version += 1
        if status == "completed":
            conclusion = conclusion or "success"
        attempt_number = attempt or run.last.number
        if told:
            id = self._take_id("job", id)
            name = content.job_name(id)
            started_at = content.end_seconds(0)
            completed_at = content.end_seconds(log["size"]) + 1
        started = seconds_of(started_at, run.attempt(attempt_number).started_at + 5)
        completed = seconds_of(completed_at, started + 120) if status == "completed" else None
        job = Job(self._take_id("job", id), run, attempt_number, name, status, conclusion,
                  seconds_of(created_at, started - 3), started, completed,
                  steps if steps is not None else default_steps(started, completed, conclusion))
        if log is None:
            log = {"size": 10100} if job.completed_at and conclusion != "skipped" else "none"
        job.log = Log(job.id, log, _known_form(form))
        job.runner = runner
        if labels is not None:
            job.labels = labels
        run.jobs.append(job)
        self.jobs[job.id] = job
        return job

    def jobs_of(self, run, number):
        """The list of an attempt: its own jobs, and what it carries of earlier ones."""
        own = [job for job in run.jobs if job.attempt == number]
        if not run.carried:
            return own
        jobs, names = own, {job.name for job in own}
        for before in range(number - 1, 0, -1):
            carried = [job for job in run.jobs if job.attempt == before and job.name not in names]
            names.update(job.name for job in carried)
            jobs = [self._carry(job, number) for job in carried] + jobs
        return jobs

    def _carry(self, job, number):
        """A job as the list of a later attempt has it."""
        if job.run.carried == "same":
            return dataclasses.replace(job, attempt=number, steps=[])
        key = (job.id, number)
        if key not in self.copies:
            self.copies[key] = self._take_id("job", None)
        copy = dataclasses.replace(job, id=self.copies[key], attempt=number, steps=[])
        self.jobs[copy.id] = copy
        return copy

    def set_job(self, job, log=None, form=None, **fields):
        self.version += 1
        for key, value in fields.items():
            if key not in ("status", "conclusion", "name", "started_at", "completed_at", "steps",
                           "runner"):
                raise WorldError("set_job: unknown field %r" % key)
            setattr(job, key, seconds_of(value) if key.endswith("_at") else value)
        if form is not None:
            job.log.form = _known_form(form)
        if log is not None:
            changes = job.log.changes + 1
            job.log = Log(job.id, log, job.log.form)
            job.log.changes = changes

    def grow(self, job, spec):
        self.version += 1
        job.log.grow(spec)
        job.log.modified = time.time()

    def complete_job(self, job, conclusion="success", completed_at=None, form=None, log=None):
        """The runner drains its log, seals what was there already, and then reports the job."""
        finished = seconds_of(completed_at, time.time())
        if form is None and log is None and not job.log.absent and job.form == "append":
            form = "append-sealed"
        self.set_job(job, status="completed", conclusion=conclusion, completed_at=finished,
                     steps=default_steps(job.started_at, finished, conclusion), form=form, log=log)
        job.log.changes += 1
        job.log.modified = None

    def add_folder(self, folder, full_name="octo/logs"):
        """One run whose jobs' logs are the files of a folder, in the order of their names."""
        repo = self.repos.get(full_name.lower()) or self.add_repo(full_name)
        run = self.add_run(repo)
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                self.add_job(run, name=os.path.splitext(name)[0], log={"file": path})
        return run

    def bulk(self, full_name, runs, jobs, size, failed_every=0, form=None, gap=0, told=False,
             **run_fields):
        """`runs` completed runs of `jobs` jobs each, every log made up and of `size` bytes. With
        a `gap` the jobs' ids lie up to so many apart, as those of a busy GitHub do. `told`: as in
        add_job."""
        apart = random.Random(gap)
        repo = self.repos.get(full_name.lower()) or self.add_repo(full_name)
        made = []
        for i in range(1, runs + 1):
            bad = failed_every and i % failed_every == 0
            conclusion = "failure" if bad else "success"
            run = self.add_run(repo, conclusion=conclusion, **run_fields)
            for n in range(1, jobs + 1):
                job_id = self.next_id["job"] + apart.randrange(gap) if gap else None
                self.add_job(run, id=job_id, name="job %d" % n, conclusion=conclusion,
                             log={"size": size}, form=form, told=told)
            made.append(run)
        return made


def _known_form(form):
    if form is not None and form not in FORMS:
        raise WorldError("form: one of %s" % (FORMS,))
    return form


def default_steps(started, completed, conclusion):
    """Three steps, in the state that fits the job."""
    if conclusion == "skipped":
        return []
    done = completed is not None
    names = ("Set up job", "Run make", "Complete job")
    return [{"name": name, "number": number,
             "status": "completed" if done else "in_progress" if number == 1 else "queued",
             "conclusion": (conclusion if number == 2 else "success") if done else None,
             "started_at": iso(started + number) if done or number == 1 else None,
             "completed_at": iso(started + number + 1) if done else None}
            for number, name in enumerate(names, 1)]
