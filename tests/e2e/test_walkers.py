"""Programs that walk: what each costs, and the manners of directories that they rely on."""

import ctypes
import os
import re

import pytest

from fake.world import sha1
from mounting import REPO, fails, forget, out, run, traffic
from treeing import NEEDLE, cut_job, failed_job, listing, two_runs

RUNS, JOBS = 5, 2


@pytest.fixture
def five(github):
    """Five runs of two jobs, one of which failed, on two branches, one of a pull request."""
    made = []
    for number in range(RUNS):
        one = github.add_run(REPO, branch="main" if number else "fix/it",
                             conclusion=None if number else "failure")
        made.append((one, [(cut_job if number or n > 1 else failed_job)(
            github, one, name="job %d" % n) for n in range(1, JOBS + 1)]))
    github.add_pull(repo=REPO, branch="fix/it", sha=sha1(made[0][0]))
    return made


# What a command costs on a repository of 5 runs of 2 jobs that was not read before: requests to
# the API and to storage. RUN is one of the runs, JOB one of its jobs.
#   1 for the list of runs, 1 for the jobs of each run, 1 for a run that is named itself,
#   1 API and 1 storage for each log whose size or bytes are needed, 3 more for the filters of
#   failed, 1 for each branch, workflow, commit and pull request.
COSTS = {
    "ls .": (1, 0),
    "ls jobs": (6, 0),
    "ls -l jobs": (6, 0),
    "ls jobs/JOB": (1, 0),
    "ls -l jobs/JOB": (2, 1),
    "ls -lR jobs": (16, 10),
    "ls runs": (1, 0),
    "ls -l runs": (1, 0),
    "ls runs/RUN": (2, 0),
    "ls -l runs/RUN": (2, 0),
    "ls -lR runs/RUN": (4, 2),
    "ls -lR runs": (16, 10),
    "ls failed": (4, 0),
    "ls -R failed": (5, 0),
    "ls -lR failed": (6, 1),
    "ls reports": (4, 0),
    "find reports": (4, 0),
    "ls -l reports": (6, 1),
    "cat reports/*": (6, 1),
    "grep -rn error reports": (6, 1),
    "ls branches": (1, 0),
    "ls -l branches/main": (2, 0),
    "ls -l branches/fix/it": (2, 0),
    "ls workflows": (1, 0),
    "ls -l workflows/ci.yml": (2, 0),
    "ls commits": (1, 0),
    "ls -l commits/SHA": (2, 0),
    "ls commits/ABBREVIATED": (2, 0),
    "ls pulls": (1, 0),
    "ls -l pulls/1": (3, 0),
    "readlink latest": (1, 0),
    "ls latest/": (2, 0),
    "cat jobs/JOB/job.json": (1, 0),
    "cat jobs/JOB/log": (1, 1),
    "cat jobs/JOB/log.txt": (1, 1),
    "cat runs/RUN/run.json": (1, 0),
    "cat runs/RUN/job?1/02*": (3, 1),
    "cat runs/RUN/*/*.txt": (4, 2),
    "cat latest/*/*.txt": (4, 2),
    "cat failed/*/*/*.txt": (6, 1),
    "tail -n 40 failed/*/*/*.txt": (6, 1),
    "tail -n1 jobs/*/log": (16, 10),
    "find .": (18, 0),
    "find jobs -name log": (6, 0),
    "find jobs -newermt 2026-01-01 -name log": (16, 10),
    "find jobs -size +1k": (16, 10),
    "find runs -type f": (6, 0),
    "find runs -name *.txt -size +0": (16, 10),
    "find failed": (5, 0),
    "find failed -newermt 2026-01-01": (6, 1),
    "tree .": (28, 10),
    "tree runs/RUN": (4, 2),
    "du -s jobs": (16, 10),
    "du -s runs/RUN": (4, 2),
    "grep -rc NEEDLE jobs": (16, 10),
    "grep -rc NEEDLE runs": (16, 10),
    "grep -rc NEEDLE runs/RUN": (4, 2),
    "grep -rn error failed": (6, 1),
    "grep -rc NEEDLE .": (28, 10),
    "rg -c NEEDLE jobs": (16, 10),
    "rg -c NEEDLE runs": (16, 10),
    "tar -cf /dev/null jobs": (16, 10),
    "tar -cf - runs/RUN": (4, 2),
    "tar -cf - failed": (6, 1),
    "rsync -a failed /dev/shm/ghlogfs-costs --dry-run": (6, 1),
    "diff -rq runs/RUN latest/": (7, 4),
}


def words_of(command, five):
    one, jobs = five[1]
    sha = sha1(five[0][0])
    for word, meant in (("RUN", one), ("JOB", jobs[0]), ("SHA", sha), ("ABBREVIATED", sha[:7])):
        command = command.replace(word, str(meant))
    return ["bash", "-c", command.replace("NEEDLE", NEEDLE)]


@pytest.mark.parametrize("command", COSTS)
def test_what_a_command_costs(github, mount, five, command):
    """Cold, and then again at no cost while the listings are fresh."""
    m = mount(fresh=600)
    for cost in (COSTS[command], (0, 0)):
        forget(github)
        run(*words_of(command, five), cwd=m.repo(), check=False)
        assert traffic(github).requests == cost
    assert m.process.poll() is None


# The same commands later, by another mount over the same cache: answers 304, which are not charged.
LATER = {
    "cat jobs/JOB/log": 0,
    "cat jobs/JOB/log.txt": 0,
    "ls -l jobs/JOB": 0,
    "cat jobs/JOB/job.json": 0,
    "ls runs": 1,
    "readlink latest": 1,
    "find jobs -name log": 1,
    "grep -rc NEEDLE jobs": 1,
    "tar -cf /dev/null jobs": 1,
    "find runs -type f": 1,
    "ls -lR runs": 1,
    "grep -rc NEEDLE runs": 1,
    "find .": 13,
    "grep -rc NEEDLE .": 13,
    "cat latest/*/*.txt": 1,
    "ls failed": 4,
    "cat failed/*/*/*.txt": 4,
    "grep -rn error failed": 4,
    "cat reports/*": 4,
    "ls -l branches/main": 2,
    "ls commits/SHA": 2,
    "ls commits/ABBREVIATED": 2,
    "ls pulls/1": 3,
}


@pytest.mark.parametrize("command", LATER)
def test_what_a_command_costs_later(github, mount, five, command):
    first = mount()
    run(*words_of(command, five), cwd=first.repo(), check=False)
    first.stop()
    forget(github)
    run(*words_of(command, five), cwd=mount(cache=first.cache).repo(), check=False)
    seen = traffic(github)
    assert (seen.api, seen.storage, seen.charged) == (LATER[command], 0, 0)


def test_tools_that_scan_the_machine_cost_nothing(github, mount, five):
    """S13: tools that stay on their file system (updatedb, find -xdev), or only pass by."""
    m = mount()
    run("find", m.path.parent, "-xdev", "-print0")
    run("ls", "-la", m.path.parent)
    run("stat", "-f", m.path)
    run("stat", m.path)
    run("bash", "-c", 'cd "$1" && pwd', "bash", m.repo())
    assert traffic(github).requests == (0, 0)


def test_the_whole_mount(github, mount, five):
    """From the top: the token's repositories and the owner's are two listings more."""
    m = mount()
    found = out("find", m.path, "-type", "f", text=True).splitlines()
    assert len([p for p in found if p.endswith("/log")]) == RUNS * JOBS
    assert len([p for p in found if p.endswith(".txt")]) == RUNS * JOBS * 4 + 2
    assert traffic(github).requests == (18 + 3, 0)


def test_without_a_look_ahead_it_costs_the_same(github, mount, five):
    m = mount(prefetch=0)
    run("grep", "-rc", NEEDLE, m.repo() / "jobs")
    assert traffic(github).requests == (16, 10)


# --- what they find ------------------------------------------------------------------------------

def with_skipped(github):
    """Two runs: of three jobs each a third is skipped, and has no log."""
    runs, skipped = [], []
    for number in range(2):
        one = github.add_run(REPO)
        for n in range(1, 4):
            if n == 2:
                skipped.append(github.add_job(one, name="job 2", conclusion="skipped"))
            else:
                cut_job(github, one, name="job %d" % n)
        runs.append(one)
    return runs, skipped


@pytest.mark.parametrize("where", ("jobs", "runs"))
def test_skipped_jobs_have_no_log(github, mount, where):
    """Walkers meet no name that is not there, and those logs are not requested (S3, S19)."""
    _, skipped = with_skipped(github)
    m = mount(fresh=600)
    for _ in range(2):
        found = run("grep", "-rc", NEEDLE, m.repo() / where)
        assert found.returncode == 0 and not found.stderr
    assert traffic(github).requests == (1 + 2 + 4, 4)
    for job in skipped:
        assert listing(m.folder(job)) == ["job.json"]
        with fails("ENOENT"):
            os.stat(m.log(job))


def test_skipped_jobs_are_not_fetched_ahead(github, mount):
    made = github.add_run(REPO)
    for n in range(60):
        github.add_job(made, name="job %d" % n, log="none" if 10 < n < 30 else {"size": 100},
                       conclusion="skipped" if 10 < n < 30 else "success")
    m = mount(fresh=600, archive_jobs=0)
    run("grep", "-rc", NEEDLE, m.repo() / "jobs", check=False)
    assert traffic(github).requests == (2 + 41, 41)


def test_all_walkers_find_the_same(github, mount, five):
    m = mount()
    root = m.repo()
    names = sorted(out("find", root, "-mindepth", "1", "-printf", "%P\n", text=True).splitlines())
    assert sorted(out("find", root, "-noleaf", "-mindepth", "1", "-printf", "%P\n",
                      text=True).splitlines()) == names, "link counts"
    walked = [os.path.relpath(os.path.join(folder, name), root)
              for folder, folders, files in os.walk(root) for name in folders + files]
    assert sorted(walked) == names
    assert sorted(str(p.relative_to(root)) for p in root.rglob("*")) == names
    tree = out("tree", "-afi", "--noreport", root, text=True).splitlines()[1:]
    got = sorted(os.path.relpath(line.split(" -> ")[0], root) for line in tree)
    assert got == names
    files = sorted(out("rg", "--files", "--hidden", "--no-ignore", root, text=True).splitlines())
    assert files == sorted(out("find", root, "-type", "f", text=True).splitlines())


def test_grep_and_rg_agree(github, mount, five):
    m = mount()
    for where in ("jobs", "runs"):
        found = {tool: sorted(out(*words, NEEDLE, m.repo() / where, text=True).splitlines())
                 for tool, words in (("grep", ["grep", "-rn"]), ("rg", ["rg", "-n", "-uu"]))}
        assert len(found["grep"]) == RUNS * JOBS
        assert found["grep"] == found["rg"]


def test_numbers_are_the_same_from_every_side(github, mount, five):
    """d_ino is st_ino, d_type is the mode's, for everything there is."""
    m = mount()
    seen = {}
    for folder, folders, files in os.walk(m.path):
        with os.scandir(folder) as entries:
            for entry in entries:
                info = os.lstat(entry.path)
                assert entry.inode() == info.st_ino, entry.path
                assert (entry.is_dir(follow_symlinks=False), entry.is_symlink()) == \
                    (info.st_mode >> 12 == 4, info.st_mode >> 12 == 10), entry.path
                assert seen.setdefault(info.st_ino, entry.path) == entry.path
                assert info.st_nlink == 1 and info.st_dev == os.lstat(m.path).st_dev


# --- directories, by the letter ------------------------------------------------------------------

class Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("length", ctypes.c_uint16),
                ("type", ctypes.c_uint8), ("name", ctypes.c_char * 256)]


libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = ctypes.c_void_p
libc.opendir.argtypes = [ctypes.c_char_p]
libc.readdir.restype = ctypes.POINTER(Dirent)
for function in (libc.readdir, libc.closedir, libc.telldir, libc.rewinddir):
    function.argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


class Directory:
    """opendir(3) and the rest of it."""

    def __init__(self, path):
        self.at = libc.opendir(os.fsencode(path))
        assert self.at, os.strerror(ctypes.get_errno())

    def read(self):
        entry = libc.readdir(self.at)
        return (entry.contents.name, entry.contents.type) if entry else None

    def rest(self):
        return list(iter(self.read, None))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        libc.closedir(self.at)


def test_dot_and_dot_dot_come_first(github, mount, five):
    m = mount()
    for path in (m.path, m.repo(), m.repo() / "jobs", m.repo() / "runs" / str(five[0][0])):
        with Directory(path) as there:
            assert there.rest()[:2] == [(b".", 4), (b"..", 4)], path
        here = out("ls", "-1aid", path / ".", path / "..", text=True).split()
        assert int(here[0]) == path.stat().st_ino
        assert int(here[2]) == path.parent.stat().st_ino


def test_types_of_entries(github, mount, five):
    m = mount()
    with Directory(m.repo()) as there:
        types = dict(there.rest())
    assert types == {b".": 4, b"..": 4, b"jobs": 4, b"runs": 4, b"failed": 4, b"reports": 4,
                     b"branches": 4, b"workflows": 4, b"commits": 4, b"pulls": 4, b"latest": 10}
    with Directory(m.folder(five[0][1][0])) as there:
        assert dict(there.rest()) == {b".": 4, b"..": 4, b"log": 8, b"job.json": 8}


def test_seeking_in_a_directory(github, mount):
    github.bulk(REPO, 30, 40, 100)
    with Directory(mount().repo() / "jobs") as there:
        places, names = [], []
        while True:
            places.append(libc.telldir(there.at))
            name = there.read()
            if not name:
                break
            names.append(name)
        assert len(set(names)) == len(names) == 2 + 1200
        for index in (0, 1, 2, 3, 40, 599, 1201, 1202, 7):
            libc.seekdir(there.at, places[index])
            assert there.rest() == names[index:], index
        libc.rewinddir(there.at)
        assert there.rest() == names


def test_ten_thousand_entries(github, mount):
    """A listing's bound, in one directory; a name of it is looked up as any other."""
    made = github.add_run(REPO)
    github.ops([{"op": "add_job", "run": made, "name": "a rather long name of a job %05d" % n,
                 "log": {"size": 100}} for n in range(10_000)])
    folder = mount(fresh=600).repo() / "runs" / str(made)
    names = listing(folder)
    assert len(names) == len(set(names)) == 10_001
    assert traffic(github).requests == (101, 0)
    assert (folder / "a rather long name of a job 09999").is_dir()
    assert len(out("ls", "-f", folder).split(b"\n")) == 10_001 + 3
    assert len(out("ls", "-l", folder).split(b"\n")) == 10_001 + 2, "each of them has a name"
    assert traffic(github).requests == (101, 0)


def test_names_of_255_bytes(github, mount):
    made = github.add_run(REPO)
    parts = [("s" * 300, ["Current runner version: '1'"])]
    cut_job(github, made, parts, name="j" * 255)
    folder = mount().repo() / "runs" / str(made)
    assert listing(folder) == ["run.json", "j" * 255]
    step, = listing(folder / ("j" * 255))
    assert len(step) == 255 and re.fullmatch(r"01-s+\.txt", step)
    assert (folder / ("j" * 255) / step).read_text() == "Current runner version: '1'\n"
    with fails("ENAMETOOLONG", "ENOENT"):
        os.stat(folder / ("j" * 256))


def test_a_shell_s_globs(github, mount, five):
    made = two_runs(github)[1]
    m = mount()
    text = out("bash", "-c", 'cd "$1" && cat */0[13]*.txt && echo runs/*/run.json | wc -w', "bash",
               m.repo() / "runs" / str(made["run"]), text=True)
    assert text.count("Current runner version") == 2
