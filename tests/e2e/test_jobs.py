"""Jobs as GitHub tells them: those that never ran, and those whose runner was lost."""

import json
import os

import pytest

from mounting import REPO, fails, forget, run, traffic
from treeing import NEEDLE, PLAIN, cleaned, concatenated, cut_job, listing, stamped, steps_of


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
    """The status of a tool that goes through all of a directory, and what it complained of."""
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
    """The log's address, storage, and the job, which tells that there will be none."""
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


def test_s19_a_cached_log_is_not_hidden_by_what_the_job_says(github, mount):
    """S14: whatever the server says of the job later on."""
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
    m = mount(fresh=600)
    status, said = walk(tool, m.repo() / "jobs", folder)
    assert (status, "log" in said) == ({"tar": 1, "rsync": 24, "grep": 2}[tool], True), said
    assert walk(tool, m.repo() / "jobs", folder) == (0, "")
