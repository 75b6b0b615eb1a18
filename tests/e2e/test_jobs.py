"""Jobs as GitHub reports them: those that never ran, whose steps come late, that were run again."""

import json
import os
import time

import pytest

from fake.asking import Asker
from mounting import REPO, fails, forget, out, run, traffic, wait_for
from treeing import NEEDLE, PLAIN, cleaned, concatenated, cut_job, listing, stamped, steps_of

DAY = 24 * 3600


def attribute(path, name):
    return os.getxattr(path, "user.ghlogfs." + name).decode()


# --- S19: jobs that never ran --------------------------------------------------------------------

WALKS = {
    "tar": ("tar", "-cf", "{to}/all.tar", "."),
    "cp": ("cp", "-r", ".", "{to}/copy"),
    "rsync": ("rsync", "-a", "./", "{to}/copy"),
    "du": ("du", "-s", "."),
    "find": ("find", ".", "-size", "+0"),
    "grep": ("grep", "-rc", NEEDLE, "."),
    "ls": ("ls", "-lR", "."),
}


def walk(tool, where, to):
    """The status of a tool that goes through all of a directory, and its messages."""
    done = run(*(word.format(to=to) for word in WALKS[tool]), cwd=where, check=False, text=True)
    return done.returncode, done.stderr


def never_ran(github, runner="null", conclusion="cancelled", **fields):
    """A run with one job that ran, and two that were cancelled in the queue."""
    made = github.add_run(REPO, conclusion="cancelled")
    ran = cut_job(github, made)
    return made, ran, [github.add_job(made, name=name, conclusion=conclusion, runner=runner,
                                      steps=[], log="missing", **fields)
                       for name in ("queued", "queued too")]


@pytest.mark.parametrize("where", ("jobs", "runs"))
@pytest.mark.parametrize("tool", WALKS)
def test_s19_no_tool_stumbles_over_a_job_that_never_ran(github, mount, folder, tool, where):
    """Nor does it cost anything: 2 requests for the listings, and 1 for the one log there is."""
    never_ran(github)
    m = mount()
    assert walk(tool, m.repo() / where, folder) == (0, "")
    assert traffic(github).requests == (3, 1)


@pytest.mark.parametrize("runner", ("null", "empty"))
@pytest.mark.parametrize("conclusion", ("cancelled", "failure", "success", "neutral", "stale",
                                        "action_required", "startup_failure", "timed_out"))
def test_s19_a_job_that_never_ran_has_no_log(github, mount, runner, conclusion):
    made, _, (job, _) = never_ran(github, runner, conclusion)
    m = mount()
    assert len(listing(m.repo() / "jobs")) == 3
    forget(github)
    folder = m.repo() / "runs" / str(made) / "queued"
    assert listing(m.folder(job)) == ["job.json"] and listing(folder) == []
    for path in (m.log(job), m.folder(job) / "log.txt", folder / "00-log.txt", folder / "log"):
        with fails("ENOENT"):
            path.read_bytes()
    assert os.readlink(folder / "log") == "../../../jobs/%d/log" % job
    assert json.loads(m.json(job).read_bytes())["conclusion"] == conclusion
    assert attribute(m.folder(job), "state") == attribute(folder, "state") == "never"
    assert attribute(folder, "conclusion") == conclusion
    assert traffic(github).requests == (0, 0)


def test_s19_it_is_known_after_a_remount_and_offline(github, mount):
    _, _, (job, _) = never_ran(github)
    first = mount()
    listing(first.repo() / "jobs")
    first.stop()
    forget(github)
    later = mount(cache=first.cache, offline=True)
    assert str(job) in listing(later.repo() / "jobs")
    with fails("ENOENT"):
        later.log(job).read_bytes()
    assert attribute(later.folder(job), "state") == "never"
    assert traffic(github).requests == (0, 0)


def test_s19_by_its_id_alone_it_is_asked_for_once(github, mount):
    """The log's address, storage, and the job, which shows that there will be none."""
    _, _, (job, _) = never_ran(github)
    m = mount()
    for cost in ((2, 1), (0, 0)):
        with fails("ENOENT"):
            m.log(job).read_bytes()
        assert attribute(m.folder(job), "state") == "never"
        assert traffic(github).requests == cost
        forget(github)
    m.stop()
    with fails("ENOENT"):
        mount(cache=m.cache).log(job).read_bytes()
    assert traffic(github).requests == (0, 0)


def test_s19_a_job_of_a_server_that_tells_no_runners_has_its_log(github, mount):
    """Old servers leave the fields out. A job with a runner and no steps has a log, too."""
    made = github.add_run(REPO)
    jobs = [github.add_job(made, name=runner, runner=runner, steps=[], text=stamped(PLAIN))
            for runner in ("absent", "some")]
    m = mount()
    for job, name in zip(jobs, ("absent", "some")):
        assert listing(m.folder(job)) == ["log", "job.json"]
        assert m.log(job).read_bytes() == stamped(PLAIN)
        assert listing(m.repo() / "runs" / str(made) / name) == ["00-log.txt"]


def test_s19_a_cached_log_is_not_hidden_by_the_facts_of_the_job(github, mount):
    """S14: whatever the server reports of the job later on."""
    made = github.add_run(REPO)
    job = github.add_job(made, text=stamped(PLAIN))
    first = mount()
    assert first.log(job).read_bytes() == stamped(PLAIN)
    first.stop()
    github.set_job(job=job, steps=[], runner="empty")
    m = mount(cache=first.cache)
    assert str(job) in listing(m.repo() / "jobs")
    assert listing(m.folder(job)) == ["log", "job.json"]
    assert m.log(job).read_bytes() == stamped(PLAIN)


# --- logs that are gone with their runner ---------------------------------------------------------

def open_steps(parts=PLAIN, **fields):
    """The steps of a job whose runner went away in the second."""
    steps = steps_of(parts, **fields)
    steps[1].update(status="in_progress", conclusion=None, completed_at=None)
    for step in steps[2:]:
        step.update(status="pending", conclusion=None, started_at=None, completed_at=None)
    return steps


@pytest.mark.parametrize("where", ("jobs", "runs"))
@pytest.mark.parametrize("tool", WALKS)
def test_s19_no_tool_stumbles_over_a_lost_runner(github, mount, folder, tool, where):
    """Its steps show that it was lost: whether there is a log is found out before it is listed."""
    made = github.add_run(REPO, conclusion="failure")
    cut_job(github, made)
    github.add_job(made, name="lost", conclusion="failure", steps=open_steps(), log="missing")
    m = mount(fresh=600)
    assert walk(tool, m.repo() / where, folder) == (0, "")
    forget(github)
    assert walk(tool, m.repo() / where, folder) == (0, "")
    assert traffic(github).requests == (0, 0)


def test_s19_a_job_with_open_steps_and_a_log_shows_it(github, mount):
    made = github.add_run(REPO, conclusion="failure")
    job = github.add_job(made, conclusion="failure", steps=open_steps(), text=stamped(PLAIN))
    m = mount()
    assert listing(m.folder(job)) == ["log", "job.json"]
    folder = m.repo() / "runs" / str(made) / "build"
    assert concatenated(folder) == cleaned(stamped(PLAIN))


@pytest.mark.parametrize("tool", ("tar", "rsync", "grep"))
def test_s19_a_log_that_nothing_shows_to_be_gone_is_met_once(github, mount, folder, tool):
    """The first walker finds a file vanished; from then on it is not listed."""
    made = github.add_run(REPO)
    cut_job(github, made)
    github.add_job(made, name="gone", log="missing", steps=steps_of(PLAIN))
    m = mount(fresh=600, prefetch=0)     # which might find out before
    status, output = walk(tool, m.repo() / "jobs", folder)
    assert (status, "log" in output) == ({"tar": 1, "rsync": 24, "grep": 2}[tool], True), output
    assert walk(tool, m.repo() / "jobs", folder) == (0, "")


# --- S10: steps that are reported late ------------------------------------------------------------

class Late:
    """A job that has ended a moment ago and whose steps are not reported yet."""

    def __init__(self, github, ended=-100, steps=None):
        self.start = time.time() + ended - 40
        self.steps = steps_of(PLAIN, self.start)
        self.run = github.add_run(REPO)
        self.raw = stamped(PLAIN, self.start)
        self.github = github
        self.job = github.add_job(self.run, started_at=self.start, text=self.raw,
                                  completed_at=self.start + 40,
                                  steps=[] if steps is None else steps)

    def folder(self, m):
        return m.repo() / "runs" / str(self.run) / "build"

    def catch_up(self):
        self.github.set_job(job=self.job, steps=self.steps)


NAMES = ["01-Set up job.txt", "02-Run make.txt", "03-Post Run actions∕checkout@v4.txt",
         "04-Complete job.txt"]


@pytest.mark.parametrize("remounted", (False, True), ids=("in one mount", "after a remount"))
def test_s10_steps_that_come_late_replace_the_whole_log(github, mount, remounted):
    late = Late(github)
    m = mount(fresh=1)
    folder = late.folder(m)
    assert listing(folder) == ["00-log.txt"]
    assert (folder / "00-log.txt").read_bytes() == cleaned(late.raw)
    assert json.loads(m.json(late.job).read_bytes())["steps"] == []
    late.catch_up()
    if remounted:
        m.stop()
        m = mount(fresh=1, cache=m.cache)
        folder = late.folder(m)
    wait_for(lambda: listing(folder) == NAMES)
    assert NEEDLE in (folder / NAMES[1]).read_text() and concatenated(folder) == cleaned(late.raw)
    wait_for(lambda: not (folder / "00-log.txt").exists())
    assert json.loads(m.json(late.job).read_bytes())["steps"] == late.steps
    assert traffic(github).storage == 1, "the log was fetched again"


def test_s10_waiting_for_steps_costs_nothing(github, mount):
    """The questions are answered 304, and no more than one is asked each time the list is old."""
    late = Late(github)
    first = mount(fresh=1)
    folder = late.folder(first)
    concatenated(folder)
    forget(github)
    for _ in range(3):
        asked = traffic(github).api
        wait_for(lambda: listing(folder) == ["00-log.txt"] and traffic(github).api > asked)
    assert traffic(github).charged == 0
    first.stop()
    forget(github)
    m = mount(fresh=600, cache=first.cache)
    for _ in range(3):
        assert concatenated(late.folder(m)) == cleaned(late.raw)
        assert m.json(late.job).read_bytes()
    assert (traffic(github).api, traffic(github).charged) == (2, 0), "the runs, and its jobs"


@pytest.mark.parametrize("steps", ([], open_steps()), ids=("none", "open"))
def test_s10_after_a_day_steps_are_not_waited_for(github, mount, steps):
    """A lost runner leaves such steps for ever."""
    late = Late(github, ended=-DAY - 100, steps=steps)
    first = mount(fresh=1)
    names = listing(late.folder(first))
    concatenated(late.folder(first))
    first.stop()
    late.catch_up()
    forget(github)
    m = mount(cache=first.cache)
    assert listing(late.folder(m)) == names
    assert traffic(github).api == 1, "the runs"


def test_s10_steps_that_are_open_at_first_are_requested_again(github, mount):
    """The job is reported as completed before its steps: what was cut by them is cut anew."""
    start = time.time() - 140
    late = Late(github, steps=open_steps(start=start)[:2])
    m = mount(fresh=1)
    folder = late.folder(m)
    assert len(listing(folder)) < len(NAMES) and concatenated(folder) == cleaned(late.raw)
    last = sorted(listing(folder))[-1]
    before = (folder / last).read_bytes()
    opened = os.open(folder / last, os.O_RDONLY)
    late.catch_up()

    def is_cut():
        return listing(folder) == NAMES and NEEDLE in (folder / NAMES[1]).read_text() and \
            (folder / NAMES[3]).read_text() == "Cleaning up orphan processes\n"
    wait_for(is_cut)
    assert concatenated(folder) == cleaned(late.raw)
    assert (folder / last).stat().st_size == len((folder / last).read_bytes()) < len(before)
    assert os.pread(opened, 1 << 20, 0) == before, "who has it open reads what it was"
    os.close(opened)
    assert traffic(github).storage == 1


def test_s10_what_is_shown_meanwhile_is_there_offline(github, mount):
    late = Late(github)
    first = mount()
    concatenated(late.folder(first))
    got = first.json(late.job).read_bytes()
    first.stop()
    forget(github)
    m = mount(cache=first.cache, offline=True, fresh=1)
    for _ in range(2):
        assert listing(late.folder(m)) == ["00-log.txt"]
        assert concatenated(late.folder(m)) == cleaned(late.raw)
        assert m.json(late.job).read_bytes() == got
    assert traffic(github).requests == (0, 0)


def test_s10_steps_once_reported_stay(github, mount):
    """A list that has lost them takes no file away."""
    late = Late(github)
    late.catch_up()
    m = mount(fresh=1)
    folder = late.folder(m)
    assert listing(folder) == NAMES
    forget(github)
    github.set_job(job=late.job, steps=[])
    github.set_run(run=late.run, status="in_progress", conclusion=None)
    wait_for(lambda: listing(folder.parent) and traffic(github).api >= 4)
    assert listing(folder) == NAMES and concatenated(folder) == cleaned(late.raw)


# --- jobs of runs that were run again -------------------------------------------------------------

SHAPES = (None, "same", "new")


def ran(number):
    """What a job prints in that attempt."""
    return [PLAIN[0], ("Run make", ["##[group]Run make", "##[endgroup]", "attempt %d" % number])]


class Again:
    """A run whose jobs ran in these attempts: {"name": (1, 3)}."""

    def __init__(self, github, carried, **jobs):
        self.last = max(max(numbers) for numbers in jobs.values())
        self.run = github.add_run(REPO, attempts=self.last, carried=carried)
        self.jobs, self.ids = jobs, {}
        for number in range(1, self.last + 1):
            for name, numbers in jobs.items():
                if number in numbers:
                    self.ids[name, number] = cut_job(
                        github, self.run, ran(number), name=name, attempt=number,
                        start=1_767_268_800 + 3600 * number,
                        conclusion="success" if number == numbers[-1] else "failure")

    def folder(self, m):
        return m.repo() / "runs" / str(self.run)

    def latest(self):
        return {name: self.ids[name, numbers[-1]] for name, numbers in self.jobs.items()}

    def check(self, m):
        """Each job once, where it ran last, in the run and in jobs/."""
        assert sorted(listing(m.repo() / "jobs")) == sorted(map(str, self.latest().values()))
        folder = self.folder(m)
        names = listing(folder)
        assert names[0] == "run.json" and names[-1] == "attempts"
        assert sorted(names[1:-1]) == sorted(self.jobs)
        for name, job in self.latest().items():
            self.check_job(m, folder / name, job, self.jobs[name][-1])

    @staticmethod
    def check_job(m, folder, job, number):
        assert listing(folder) == ["01-Set up job.txt", "02-Run make.txt"]
        assert (folder / "02-Run make.txt").read_text().endswith("attempt %d\n" % number)
        assert os.path.samefile(folder / "log", m.log(job))
        assert len(json.loads(m.json(job).read_bytes())["steps"]) == 2


@pytest.mark.parametrize("carried", SHAPES)
def test_a_job_that_did_not_run_again_is_found_where_it_ran(github, mount, carried):
    """Whatever the list of a later attempt has of it. No log is fetched under two ids."""
    again = Again(github, carried, build=(1,), lint=(1,), test=(1, 2, 3))
    m = mount(fresh=600)
    for _ in range(2):
        again.check(m)
    assert traffic(github).storage == 3
    for number, names in ((1, ["build", "lint", "test"]), (2, ["test"]), (3, ["test"])):
        folder = again.folder(m) / "attempts" / str(number)
        assert listing(folder) == ["run.json", *names], "what ran then"
        for name in names:
            again.check_job(m, folder / name, again.ids[name, number], number)
    assert traffic(github).storage == 5


@pytest.mark.parametrize("carried", SHAPES)
def test_of_jobs_that_ran_again_the_last_is_shown(github, mount, carried):
    again = Again(github, carried, build=(1,), one=(1, 2), two=(1, 3), both=(1, 2, 3, 4), late=(2,))
    m = mount()
    again.check(m)
    m.stop()
    again.check(mount(cache=m.cache))


@pytest.mark.parametrize("carried,cost", ((None, 3), ("same", 2), ("new", 2)))
def test_what_a_run_costs_that_was_run_again(github, mount, carried, cost):
    """One request for each attempt that has to be read, once; one where the lists are whole."""
    again = Again(github, carried, build=(1,), test=(1, 2, 3))
    first = mount(fresh=600)
    again.check(first)
    logs = 2
    assert traffic(github).api == 1 + cost + logs
    assert len(out("find", first.repo() / "jobs", "-name", "log").split()) == 2
    assert traffic(github).api == 1 + cost + logs
    first.stop()
    forget(github)
    again.check(mount(cache=first.cache))
    assert (traffic(github).api, traffic(github).storage) == (1, 0)


@pytest.mark.parametrize("carried", SHAPES)
def test_a_run_of_five_hundred_attempts(github, mount, carried):
    """GitHub allows 50 re-runs: no more lists are read than that."""
    again = Again(github, carried, build=(1,), test=(1, 500))
    again.check(mount())
    assert traffic(github).api <= 1 + 51 + 2


@pytest.mark.parametrize("status", (404, 403, 500))
@pytest.mark.parametrize("carried", SHAPES)
def test_an_attempt_that_cannot_be_read_takes_nothing_away(github, mount, carried, status):
    """The jobs of the others are shown, and asked again no sooner than a minute later."""
    again = Again(github, carried, build=(1,), two=(1, 2), three=(1, 2, 3))
    github.fault("status", hop="api", path="/attempts/1/jobs", status=status, times=-1)
    m = mount(fresh=600)
    folder = again.folder(m)
    assert len(listing(m.repo() / "jobs")) == 3 - (carried is None)
    names = listing(folder)
    assert {"two", "three"} <= set(names) and ("build" in names) == (carried is not None)
    again.check_job(m, folder / "two", again.ids["two", 2], 2)
    again.check_job(m, folder / "three", again.ids["three", 3], 3)
    forget(github)
    assert listing(folder) == names and listing(m.repo() / "jobs")
    assert traffic(github).api == 0
    github.clear_faults()
    m.stop()
    again.check(mount(cache=m.cache))


@pytest.mark.parametrize("kind,fields", (("stall", {"after": -1}), ("stall", {"after": 200}),
                                         ("status", {"status": 502})),
                         ids=("silent", "cut", "502"))
def test_an_unreported_attempt_takes_nothing_away(github, mount, kind, fields):
    """Not while GitHub is silent about it alone, not in a later mount, and not offline."""
    other = str(cut_job(github, github.add_run(REPO), name="other"))
    again = Again(github, None, build=(1,), two=(1, 2), three=(1, 2, 3))
    github.fault(kind, hop="api", path="/runs/%d/attempts/1/" % again.run, times=-1, **fields)
    m = mount(timeout=1)
    assert other in listing(m.repo() / "jobs")
    shown = [str(again.ids["three", 3]), str(again.ids["two", 2]), other]
    for later in ({"timeout": 1}, {"offline": True}, None):
        listing(m.repo() / "runs")      # so that the attempt is the only thing left to ask for
        assert listing(again.folder(m)) == ["run.json", "three", "two", "attempts"]
        assert listing(again.folder(m) / "attempts" / "2") == ["run.json", "two", "three"]
        assert listing(m.repo() / "jobs") == shown
        if later:
            m.stop()
            forget(github)
            m = mount(cache=m.cache, **later)
    assert traffic(github).requests == (0, 0)


def test_lists_that_do_not_tell_the_attempts_apart(github, mount):
    """The jobs of the run whatever the attempt: each is there once, and no attempt is empty."""
    again = Again(github, None, build=(1,), test=(1, 2))
    last = [job for job in Asker(github)("/repos/%s/actions/runs/%d/jobs?filter=all" % (
        REPO, again.run)).json["jobs"] if job["id"] in again.latest().values()]
    github.fault("status", hop="api", path="/runs/%d/attempts/" % again.run, status=200, times=-1,
                 body={"total_count": len(last), "jobs": last})
    m = mount()
    again.check(m)
    for number in (1, 2):
        assert listing(again.folder(m) / "attempts" / str(number)) == ["run.json", "build", "test"]


@pytest.mark.parametrize("carried", SHAPES)
def test_a_used_up_quota_makes_no_run_shorter(github, mount, carried):
    """S18: what could not be asked for is no reason to show less."""
    again = Again(github, carried, build=(1,), test=(1, 2))
    github.rate_limit(remaining=2, reset=3600)
    m = mount(wait=0)
    with fails("EDQUOT"):
        listing(again.folder(m))
    github.rate_limit(remaining=5000)
    again.check(mount(cache=m.cache))


@pytest.mark.parametrize("carried", SHAPES)
def test_a_run_that_was_run_again_is_whole_offline(github, mount, carried):
    again = Again(github, carried, build=(1,), two=(1, 2), test=(1, 2, 3))
    first = mount()
    again.check(first)
    first.stop()
    forget(github)
    again.check(mount(cache=first.cache, offline=True))
    assert traffic(github).requests == (0, 0)


def test_two_hundred_jobs_of_which_some_ran_again(github, mount):
    """A name of a run that was put together is looked up as any other."""
    names = ["job %03d" % n for n in range(200)]
    for carried in SHAPES:
        made = github.add_run(REPO, attempts=3, carried=carried)
        for number in (1, 2, 3):
            github.ops([{"op": "add_job", "run": made, "attempt": number, "name": name,
                         "log": {"size": 500}} for name in names[:[200, 20, 3][number - 1]]])
        m = mount(fresh=600)
        folder = m.repo() / "runs" / str(made)
        for _ in range(2):
            found = out("ls", "-l", folder, text=True).splitlines()
            assert [line[-7:] for line in found if " job " in line] == names
            assert len(listing(m.repo() / "jobs")) == 200 * (1 + SHAPES.index(carried))


@pytest.mark.parametrize("carried", SHAPES)
def test_a_job_that_runs_again_just_now(github, mount, carried):
    """Its last execution is the one under way."""
    again = Again(github, carried, build=(1,), test=(1,))
    m = mount(fresh=1)
    folder = again.folder(m)
    assert sorted(listing(folder)) == ["build", "run.json", "test"]
    github.set_run(run=again.run, attempt=2, status="in_progress", conclusion=None)
    job = github.add_job(again.run, attempt=2, name="test", status="in_progress", log="missing")
    wait_for(lambda: str(job) in listing(m.repo() / "jobs"))
    assert sorted(listing(folder)) == ["attempts", "build", "run.json", "test"]
    assert sorted(listing(m.repo() / "jobs")) == sorted(map(str, (again.ids["build", 1], job)))
    assert listing(folder / "test") == [] and len(listing(folder / "build")) == 2
    assert len(listing(folder / "attempts" / "1" / "test")) == 2
    github.complete_job(job, text=stamped(ran(2)), completed_at="2026-01-01T15:00:00Z")
    github.set_run(run=again.run, attempt=2, status="completed", conclusion="success")
    wait_for(lambda: len(listing(folder / "test")) == 3)
