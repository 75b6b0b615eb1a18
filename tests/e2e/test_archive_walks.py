"""Who goes through many logs, by whatever tool and in whatever order, costs one request for each
run (S20)."""

import collections
import re

import pytest

from mounting import REPO, forget, out, run, traffic
from treeing import NEEDLE, NOON, STEP_SECONDS, listing, stamped, steps_of

RUNS, JOBS = 25, 4
LISTING = 1 + RUNS
FIRST = 4       # logs that go their own way until the reader, of so many threads, is recognised


def parts_of(name):
    """Steps as the runner writes them. The log tells whose it is."""
    return [("Set up job", ["Current runner version: '2.330.0'", "Complete job name: " + name]),
            ("Run make", ["##[group]Run make", "make " + name, "##[endgroup]", NEEDLE]),
            ("Complete job", ["Cleaning up orphan processes"])]


def add(github, of, name, start=NOON, **fields):
    parts = parts_of(name)
    return github.add_job(of, name=name, text=stamped(parts, start), steps=steps_of(parts, start),
                          started_at=start, completed_at=start + STEP_SECONDS * len(parts),
                          **fields)


def fill(github, runs=RUNS, jobs=JOBS):
    """{run: [job, ...]}"""
    github.add_repo(REPO)
    made = {}
    for _ in range(runs):
        one = github.add_run(REPO, conclusion="failure")
        made[one] = [add(github, one, "job %d" % n) for n in range(jobs)]
    return made


KINDS = (("archive", re.compile(r"/runs/\d+/attempts/\d+/logs$")),
         ("log", re.compile(r"/jobs/\d+/logs$")),
         ("jobs", re.compile(r"/runs/\d+/attempts/\d+/jobs$")))


def asked(github):
    """How often the API was asked for what."""
    found = collections.Counter()
    for entry in traffic(github).of("api"):
        path = entry["path"].partition("?")[0]
        found[next((kind for kind, rule in KINDS if rule.search(path)), "other")] += 1
    return found


# --- each tool, in each view ---------------------------------------------------------------------

READERS = {
    "grep": "grep -rc NEEDLE {}",
    "rg": "rg -j4 -c NEEDLE {}",
    "tar": "tar -cf - -C {} . | cat > /dev/null",
    "rsync": "rsync -a {}/ OUT/",
    "cp": "cp -r {} OUT/copy",
    "du": "du -b {}",
    "ls": "ls -lR {}",
    "find": "find {} -size +1k",
}
FOLLOW = {
    "grep": "grep -Rc NEEDLE {}",
    "rsync": "rsync -aL {}/ OUT/",
    "cp": "cp -rL {} OUT/copy",
    "find": "find -L {} -size +1k",
}


def use(command, path, folder):
    folder.mkdir()
    words = command.replace("NEEDLE", NEEDLE).replace("{}", str(path)).replace("OUT", str(folder))
    return run("bash", "-c", words, check=False)


@pytest.mark.parametrize("view", ("jobs", "runs"))
@pytest.mark.parametrize("tool", READERS)
def test_s20_each_tool_costs_a_request_for_a_run(github, mount, tmp_path, tool, view):
    """And nothing the second time."""
    fill(github)
    m = mount(fresh=600)
    done = use(READERS[tool], m.repo() / view, tmp_path / "first")
    assert done.returncode == 0, done.stderr
    seen = asked(github)
    # Of four threads two may begin with the same run: its other two logs are worth no archive.
    halved = RUNS - seen["archive"]
    assert 0 <= halved <= (FIRST // 2 if tool == "rg" else 0)
    assert seen["jobs"] == RUNS and seen["other"] == 1
    assert seen["log"] <= FIRST + 2 * halved
    assert sum(seen.values()) <= 55 + halved
    forget(github)
    use(READERS[tool], m.repo() / view, tmp_path / "second")
    assert traffic(github).requests == (0, 0)


@pytest.mark.parametrize("view", ("branches/main", "workflows/ci.yml"))
@pytest.mark.parametrize("tool", FOLLOW)
def test_s20_by_way_of_links_it_is_the_same(github, mount, tmp_path, tool, view):
    fill(github)
    m = mount(fresh=600)
    use(FOLLOW[tool], m.repo() / view, tmp_path / "first")
    seen = asked(github)
    assert seen["archive"] == RUNS and seen["jobs"] == RUNS and seen["log"] <= FIRST
    assert seen["other"] <= 4, "the recent runs, and those of the view"


def test_s20_what_is_copied_is_what_the_jobs_wrote(github, mount, tmp_path):
    made = fill(github, runs=5)
    m = mount()
    run("rsync", "-a", "%s/" % (m.repo() / "jobs"), tmp_path / "copy")
    for jobs in made.values():
        for n, job in enumerate(jobs):
            assert (tmp_path / "copy" / str(job) / "log").read_bytes() == \
                stamped(parts_of("job %d" % n))
    assert asked(github)["archive"] == 5


def test_s20_a_shell_s_glob_over_the_steps_is_a_walk(github, mount):
    fill(github)
    m = mount()
    text = out("bash", "-c", "cat */*/*.txt", cwd=m.repo() / "runs", text=True)
    assert text.count(NEEDLE) == RUNS * JOBS
    seen = asked(github)
    assert seen["archive"] == RUNS and seen["log"] <= FIRST


# --- who is no recursive reader ------------------------------------------------------------------

@pytest.mark.parametrize("command", ("find jobs -name log", "find runs -type f", "ls -R jobs",
                                     "find . -name '*.txt'", "rg --files runs", "ls jobs runs"))
def test_s20_listing_fetches_nothing(github, mount, command):
    fill(github)
    m = mount(fresh=600)
    for _ in range(2):
        run("bash", "-c", command, cwd=m.repo())
    seen = asked(github)
    assert traffic(github).storage == 0
    assert not seen["archive"] and not seen["log"]


@pytest.mark.parametrize("command", ("cat jobs/JOB/log", "ls -l jobs/JOB", "cat runs/RUN/job?1/02*",
                                     "ls jobs/JOB && cat jobs/JOB/log && tail -n1 jobs/JOB/log.txt",
                                     "ls -l runs/RUN/job?1 && cat runs/RUN/job?1/*"))
def test_s20_one_log_never_comes_out_of_an_archive(github, mount, command):
    made = fill(github, runs=5)
    one, jobs = list(made.items())[2]
    command = command.replace("RUN", str(one)).replace("JOB", str(jobs[1]))
    m = mount(fresh=600)
    run("ls", m.repo() / "jobs")
    run("bash", "-c", command, cwd=m.repo())
    seen = asked(github)
    assert not seen["archive"] and seen["log"] == 1


def test_s20_one_log_after_a_walk_never_comes_out_of_an_archive(github, mount):
    made = fill(github, runs=5)
    first, other = list(made)[:2]
    m = mount(fresh=600)
    out("grep", "-rc", NEEDLE, m.repo() / "runs" / str(first))
    forget(github)
    run("ls", m.repo() / "runs" / str(other))
    assert (m.repo() / "runs" / str(other) / "job 2" / "02-Run make.txt").read_text()
    seen = asked(github)
    assert not seen["archive"] and seen["log"] == 1


def test_s20_opens_here_and_there_are_no_walk(github, mount):
    made = fill(github)
    m = mount(fresh=600)
    names = listing(m.repo() / "jobs")
    for name in names[::13]:
        assert m.log(name).read_bytes()
    seen = asked(github)
    assert not seen["archive"] and seen["log"] == len(names[::13])
    assert len(made) == RUNS


@pytest.mark.parametrize("left_out", (2, 3))
def test_s20_few_missing_logs_go_their_own_way(github, mount, left_out):
    """An archive is worth it from `archive_jobs` missing logs on."""
    made = fill(github, runs=1, jobs=6)
    jobs = next(iter(made.values()))
    m = mount(fresh=600)
    for job in jobs[:6 - left_out]:
        m.log(job).read_bytes()
    m.stop()
    forget(github)
    again = mount(cache=m.cache, archive_jobs=3)
    out("grep", "-rc", NEEDLE, again.repo() / "jobs")
    seen = asked(github)
    assert (seen["archive"], seen["log"]) == ((1, 0) if left_out == 3 else (0, 2))


# --- runs that were run again --------------------------------------------------------------------

def attempts(github, names, carried):
    """A run whose attempts ran jobs of these names."""
    github.add_repo(REPO)
    one = github.add_run(REPO, attempts=len(names), carried=carried)
    for attempt, of_attempt in enumerate(names, 1):
        for name in of_attempt:
            add(github, one, name, NOON + 3600 * attempt, attempt=attempt)
    return one


def letters(text):
    return ["job " + letter for letter in text]


def jobs_shown(path):
    return [name for name in listing(path) if name not in ("run.json", "attempts")]


def grep_run(m, one):
    """The latest attempt of each job."""
    return out("grep", "-rl", NEEDLE, m.repo() / "runs" / str(one), "--exclude-dir=attempts",
               text=True).splitlines()


@pytest.mark.parametrize("carried", ("same", "new"))
@pytest.mark.parametrize("first,second,archives,logs", (
    ("abcdef", "cdef", 1, 2),       # two jobs of the first attempt are shown: not worth one
    ("abcdef", "ef", 1, 3),         # two of the second
    ("abcdefgh", "efgh", 2, 1),
    ("abcdef", "abcdef", 1, 1),     # none of the first
))
def test_s20_logs_come_from_the_attempt_that_ran_the_job(github, mount, first, second, archives,
                                                         logs, carried):
    one = attempts(github, (letters(first), letters(second)), carried)
    m = mount(fresh=600)
    assert jobs_shown(m.repo() / "runs" / str(one)) == letters(first)
    forget(github)
    assert len(grep_run(m, one)) == len(first)
    seen = asked(github)
    assert (seen["archive"], seen["log"], seen["jobs"]) == (archives, logs, 0)


def test_s20_lists_of_their_own_jobs_alone_tell_the_attempts_apart(github, mount):
    """As GitHub's were for years, and for some weeks again."""
    one = attempts(github, (letters("abcdefgh"), letters("efgh")), None)
    m = mount(fresh=600)
    assert len(grep_run(m, one)) == 8
    seen = asked(github)
    assert (seen["archive"], seen["log"], seen["jobs"]) == (2, 1, 2)


@pytest.mark.parametrize("carried", ("same", "new"))
def test_s20_a_list_that_tells_the_attempts_apart_is_requested_if_it_pays(github, mount, carried):
    """What the second and the third attempt ran is shown of the third, so the second's list was
    not needed to show it."""
    github.latency(api_ms=20)
    all_jobs, late = letters("abcdefghijklmnopqrstuv"), letters("cdefghijklmnopqrstuv")
    one = attempts(github, (all_jobs, late, late), carried)
    m = mount(fresh=600)
    run("ls", m.repo() / "runs" / str(one))
    assert asked(github)["jobs"] == 2
    forget(github)
    assert len(grep_run(m, one)) == len(all_jobs)
    seen = asked(github)
    assert (seen["archive"], seen["jobs"]) == (1, 1)
    assert seen["log"] < len(all_jobs) / 2


def test_s20_a_list_that_does_not_pay_is_not_requested(github, mount):
    """Three logs and a list are no fewer requests than an archive, a list and what comes before."""
    one = attempts(github, (letters("abcde"), letters("cde"), letters("cde")), "same")
    m = mount(fresh=600)
    run("ls", m.repo() / "runs" / str(one))
    forget(github)
    assert len(grep_run(m, one)) == 5
    seen = asked(github)
    assert (seen["archive"], seen["log"], seen["jobs"]) == (0, 5, 0)


def test_s20_a_list_that_cannot_be_had_keeps_nobody(github, mount):
    """Then each log goes its own way."""
    late = letters("bcdefghij")
    one = attempts(github, (letters("abcdefghij"), late, late), "same")
    m = mount(fresh=600)
    run("ls", m.repo() / "runs" / str(one))
    github.fault("status", hop="api", path="attempts/2/jobs", status=404)
    forget(github)
    assert len(grep_run(m, one)) == 10
    seen = asked(github)
    assert (seen["archive"], seen["log"]) == (0, 10)
    assert seen["jobs"] == 1 and 404 in {e["status"] for e in traffic(github).of("api")}


def test_s20_an_earlier_attempt_comes_out_of_its_own_archive(github, mount):
    one = attempts(github, (letters("abcdef"), letters("ef")), "same")
    m = mount(fresh=600)
    found = out("grep", "-rl", NEEDLE, m.repo() / "runs" / str(one) / "attempts" / "1", text=True)
    assert len(found.splitlines()) == 6
    seen = asked(github)
    assert (seen["archive"], seen["log"]) == (1, 1)
