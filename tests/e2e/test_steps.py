"""Cleaned text (S9) and steps (S10): made logs, and real ones with the steps of their jobs."""

import base64
import json
import os
import tarfile

import pytest

from fake.world import iso
from mounting import MIB, REPO, ROOT, fails, forget, out, traffic
from treeing import (NEEDLE, NOON, PLAIN, STAMP, cleaned, concatenated, cut_job, listing, stamped,
                     steps_of, two_runs)

REAL = ROOT.parent / "shared" / "real"


class Shown:
    """One job on a mount of its own."""

    def __init__(self, github, mount, job=None, **options):
        self.run = github.add_run(REPO)
        self.job = job(self.run)
        self.mount = mount(**options)
        self.raw = self.mount.log(self.job)
        self.text = self.mount.folder(self.job) / "log.txt"
        folder = self.mount.repo() / "runs" / str(self.run)
        self.folder = folder / next(n for n in listing(folder) if n != "run.json")

    def files(self):
        return {name: (self.folder / name).read_bytes() for name in listing(self.folder)}


# --- S9 ------------------------------------------------------------------------------------------

ODD = (b"\xef\xbb\xbf2026-01-01T12:00:00.0000000Z first\r\n"
       b"\xef\xbb\xbf\xef\xbb\xbf2026-01-01T12:00:00.0000000Z two marks\n"
       b"2026-01-01T12:00:00.0000000Z \xef\xbb\xbfa mark in the text \xef\xbb\xbf stays\n"
       b"no timestamp\n"
       b"2026-01-01T12:00:00.0000000Z 2026-01-01T12:00:00.0000000Z one of two\n"
       b"2026-01-01T12:00:00.0000000Z\n"
       b"2026-01-01T12:00:00.0000000Z \x1b[36;1mcolour\x1b[0m "
       b"\x1b]8;;http://x\x07link\x1b]8;;\x07\n"
       b"\x1b[2K\x1b[1Aup\x07 bell \x00 nul \x7f del \xc2\x85 next line \x9b lone\n"
       b"tab\tstays, caf\xc3\xa9 \xf0\x9f\xa7\xaa too, \xff\xfe as well\n"
       b"a sequence that does not end \x1b[31\n"
       b"another \x1b]0;title\n"
       b"progress 1%\rprogress 2%\r\n"
       b"\n\n  no newline at the end \x1b")
CLEAN = (b"first\n"
         b"two marks\n"
         b"\xef\xbb\xbfa mark in the text \xef\xbb\xbf stays\n"
         b"no timestamp\n"
         b"2026-01-01T12:00:00.0000000Z one of two\n"
         b"\n"
         b"colour link\n"
         b"up bell  nul  del  next line \x9b lone\n"
         b"tab\tstays, caf\xc3\xa9 \xf0\x9f\xa7\xaa too, \xff\xfe as well\n"
         b"a sequence that does not end [31\n"
         b"another ]0;title\n"
         b"progress 1%progress 2%\n"
         b"\n\n  no newline at the end ")


@pytest.mark.smoke
def test_s9_what_is_removed_and_what_stays(github, mount):
    shown = Shown(github, mount, lambda run: github.add_job(run, text=ODD))
    assert shown.text.stat().st_size == len(CLEAN)
    assert shown.text.read_bytes() == CLEAN
    assert shown.raw.read_bytes() == ODD
    assert concatenated(shown.folder) == CLEAN


def test_s9_timestamps_are_kept_where_asked_for(github, mount):
    """And the text without them is another one: the same cache serves both."""
    shown = Shown(github, mount, lambda run: cut_job(github, run), timestamps=True)
    kept = shown.text.read_bytes()
    assert len([line for line in kept.splitlines() if STAMP.match(line)]) == 9
    assert concatenated(shown.folder) == kept == stamped(PLAIN)[3:]
    shown.mount.stop()
    forget(github)
    again = mount(cache=shown.mount.cache)
    assert (again.folder(shown.job) / "log.txt").read_bytes() == cleaned(stamped(PLAIN))
    assert traffic(github).storage == 0


@pytest.mark.parametrize("size", (0, 1, 100, MIB + 1, 9 * MIB), ids=str)
def test_s9_sizes(github, mount, size):
    shown = Shown(github, mount, lambda run: github.add_job(run, size=size))
    assert shown.text.stat().st_size == len(shown.text.read_bytes())
    assert shown.text.read_bytes() == cleaned(shown.raw.read_bytes())
    assert concatenated(shown.folder) == shown.text.read_bytes()


def test_s9_only_for_final_logs(github, mount):
    made = github.add_run(REPO, status="in_progress")
    job = github.add_job(made, name="now", status="in_progress", size=3 * MIB)
    m = mount()
    assert m.log(job).stat().st_size == 3 * MIB
    with fails("ENOENT"):
        (m.folder(job) / "log.txt").stat()
    assert listing(m.repo() / "runs" / str(made) / "now") == []


def test_s9_is_made_once_and_kept(github, mount):
    made = two_runs(github)[0]
    job = made["jobs"]["build"]
    m = mount()
    path = m.repo() / "runs" / str(made["run"]) / "build"
    text = concatenated(path)
    m.stop()
    forget(github)
    again = mount(cache=m.cache, offline=True)
    assert concatenated(again.path / path.relative_to(m.path)) == text
    assert (again.folder(job) / "log.txt").read_bytes() == text
    assert traffic(github).requests == (0, 0)


def test_s9_the_text_of_an_evicted_log_tells_why_it_is_not_to_be_had(github, mount):
    shown = Shown(github, mount, lambda run: cut_job(github, run))
    size = len(shown.text.read_bytes())
    shown.mount.stop()
    for path in shown.mount.cache.rglob("logs/*/*"):
        if path.suffix != ".meta":
            path.unlink()
    offline = mount(cache=shown.mount.cache, offline=True)
    text = offline.folder(shown.job) / "log.txt"
    assert text.stat().st_size == size
    with fails("EHOSTUNREACH"):
        text.read_bytes()
    offline.stop()
    again = mount(cache=shown.mount.cache)
    assert len((again.folder(shown.job) / "log.txt").read_bytes()) == size


def test_s9_without_a_cache_on_disk(github, mount):
    made = two_runs(github)[0]
    m = mount(no_cache=True)
    assert concatenated(m.repo() / "runs" / str(made["run"]) / "build") == cleaned(stamped(PLAIN))


# --- S10 -----------------------------------------------------------------------------------------

def by_parts(parts, numbers=None):
    width = max(2, len(str(max(numbers or [len(parts)]))))
    return {"%0*d-%s.txt" % (width, number, name.replace("/", "∕")):
            "".join(text + "\n" for text in texts).encode()
            for number, (name, texts) in zip(numbers or range(1, 1 + len(parts)), parts)}


def test_s10_each_step_has_its_lines(github, mount):
    shown = Shown(github, mount, lambda run: cut_job(github, run))
    assert shown.files() == by_parts(PLAIN)
    assert list(shown.files()) == sorted(shown.files())


def test_s10_skipped_steps_have_no_file(github, mount):
    shown = Shown(github, mount, lambda run: cut_job(github, run, skipped=(2, 4)))
    assert shown.files() == by_parts(PLAIN, [1, 3, 5, 6])
    with fails("ENOENT"):
        (shown.folder / "02-Not this time.txt").stat()


def many(count):
    return [PLAIN[0]] + [("Run step-%d" % n, ["##[group]Run step-%d" % n, "text %d" % n])
                         for n in range(2, count)] + [PLAIN[3]]


@pytest.mark.parametrize("count", (9, 10, 99, 100, 1000))
def test_s10_numbers_are_padded_to_the_largest(github, mount, count):
    parts = many(count)
    shown = Shown(github, mount, lambda run: cut_job(github, run, parts))
    assert shown.files() == by_parts(parts)
    assert out("sh", "-c", 'cat "$1"/*.txt', "sh", shown.folder) == shown.text.read_bytes()


def test_s10_lines_before_the_first_boundary_are_the_first_step_s(github, mount):
    early = b"2026-01-01T11:59:00.0000000Z before everything\nand more\n"
    shown = Shown(github, mount, lambda run: github.add_job(
        run, text=early + stamped(PLAIN), steps=steps_of(PLAIN)))
    assert shown.files()["01-Set up job.txt"].startswith(b"before everything\nand more\nCurrent")


def test_s10_where_no_boundary_can_be_found(github, mount):
    """The lines stay with the step before, and the other files are empty."""
    raw = b"no time here\nnor here\n"
    shown = Shown(github, mount, lambda run: github.add_job(run, text=raw, steps=steps_of(PLAIN)))
    got = list(shown.files().values())
    assert got == [raw, b"", b"", b""]


@pytest.mark.parametrize("wrong", ("none", "shifted", "backwards", "too many", "no times",
                                   "no names", "equal numbers", "unordered"))
def test_s10_steps_that_do_not_fit(github, mount, wrong):
    """Whatever the API reports of steps, together they are the text."""
    steps = steps_of(PLAIN)
    if wrong == "none":
        steps = []
    elif wrong == "shifted":
        steps = steps_of(PLAIN, NOON + 100_000)
    elif wrong == "backwards":
        for step in steps:
            step["started_at"], step["completed_at"] = step["completed_at"], step["started_at"]
    elif wrong == "too many":
        steps = steps_of(many(60))
    elif wrong in ("no times", "no names"):
        for step in steps:
            step.update({"started_at": None, "completed_at": None} if wrong == "no times"
                        else {"name": ""})
    elif wrong == "equal numbers":
        for step in steps:
            step["number"] = 7
    else:
        steps = [steps[2], steps[0], steps[3], steps[1]]
    shown = Shown(github, mount,
                  lambda run: github.add_job(run, text=stamped(PLAIN), steps=steps))
    files = shown.files()
    text = cleaned(stamped(PLAIN))
    assert shown.text.read_bytes() == text
    assert b"".join(files[name] for name in sorted(files)) == text
    if wrong in ("no times", "unordered"):
        assert files == by_parts(PLAIN)
    if wrong in ("none", "equal numbers"):
        assert list(files) == ["00-log.txt"]


@pytest.mark.parametrize("count", (2049, 10_000))
def test_s10_more_steps_than_anybody_has(github, mount, count):
    """Too many to be distinguished: the text is one file."""
    steps = [{"name": "s", "number": n, "status": "completed", "conclusion": "success"}
             for n in range(1, count + 1)]
    shown = Shown(github, mount,
                  lambda run: github.add_job(run, text=stamped(PLAIN), steps=steps))
    assert shown.files() == {"00-log.txt": cleaned(stamped(PLAIN))}


def test_s10_all_steps_skipped(github, mount):
    steps = steps_of([], skipped=(1, 2))
    shown = Shown(github, mount,
                  lambda run: github.add_job(run, text=stamped(PLAIN), steps=steps))
    assert shown.files() == {"00-log.txt": cleaned(stamped(PLAIN))}


def test_s10_a_job_without_a_log(github, mount):
    """Its steps are listed until the log is known to be absent; then they are gone."""
    shown = Shown(github, mount, lambda run: github.add_job(run, log="missing",
                                                            steps=steps_of(PLAIN)))
    for name in listing(shown.folder):
        with fails("ENOENT"):
            (shown.folder / name).stat()
    assert listing(shown.folder) == []


def test_s10_an_expired_log(github, mount):
    shown = Shown(github, mount, lambda run: github.add_job(run, log="expired",
                                                            steps=steps_of(PLAIN)))
    with fails("ENOENT"):
        (shown.folder / "01-Set up job.txt").read_bytes()
    assert listing(shown.folder) == []


def test_s10_a_step_of_a_large_log(github, mount):
    """A part from the middle of a large text; readers at any place of it."""
    filler = ["line %07d %s" % (n, "." * 80) for n in range(60_000)]
    parts = [PLAIN[0], ("Run big", ["##[group]Run big", *filler]), PLAIN[3]]
    path = None
    try:
        path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "ghlogfs-step.%d" % os.getpid())
        with open(path, "wb") as file:
            file.write(stamped(parts))
        shown = Shown(github, mount, lambda run: github.add_job(run, file=path,
                                                                steps=steps_of(parts)))
        wanted = by_parts(parts)["02-Run big.txt"]
        there = shown.folder / "02-Run big.txt"
        assert there.stat().st_size == len(wanted)
        with open(there, "rb", buffering=0) as file:
            for at in (0, 1, 4095, 131_072, len(wanted) - 5):
                assert os.pread(file.fileno(), 300_000, at)[:300_000] == wanted[at:at + 300_000]
            assert os.pread(file.fileno(), 10, len(wanted)) == b""
        assert there.read_bytes() == wanted
        assert out("tail", "-n", "1", there).decode().strip() == filler[-1]
        seen = traffic(github)
        assert seen.bytes == os.path.getsize(path), "the log was fetched once"
    finally:
        os.path.exists(path) and os.unlink(path)


def test_s10_the_steps_of_an_earlier_attempt_stay(github, mount):
    made = github.add_run(REPO, attempts=2)
    cut_job(github, made, attempt=1)
    cut_job(github, made, [("Set up job", ["Current runner version: '3'"])], attempt=2)
    folder = mount().repo() / "runs" / str(made)
    assert listing(folder / "build") == ["01-Set up job.txt"]
    assert len(listing(folder / "attempts" / "1" / "build")) == 4
    assert NEEDLE in (folder / "attempts/1/build/02-Run make.txt").read_text()


def spans(*rows):
    """Steps as the API reports them: (name, from, to), in seconds; to None: never completed, from
    None: never started."""
    steps = []
    for number, (name, begun, ended) in enumerate(rows, 1):
        state = "completed" if ended is not None else "pending" if begun is None else "in_progress"
        steps.append({"name": name, "number": number, "status": state,
                      "conclusion": "success" if state == "completed" else None,
                      "started_at": iso(NOON + begun) if begun is not None else None,
                      "completed_at": iso(NOON + ended) if ended is not None else None})
    return steps


def timed(*rows):
    """A raw log of (second, text)."""
    return "".join("%s.0000000Z %s\n" % (iso(NOON + at)[:-1], text) for at, text in rows).encode()


def stripped(*rows):
    return "".join(text + "\n" for _, text in rows).encode()


def test_s10_steps_that_never_started_have_no_file(github, mount):
    """The runner was lost: GitHub completes the job and leaves its steps as they were."""
    setup = [(0, "Current runner version: '2'"), (0, "Complete job name: build")]
    make = [(1, "##[group]Run make"), (1, "shell: /usr/bin/bash -e {0}"), (1, "##[endgroup]"),
            (5, "made"), (40, "##[group]Run deploy"), (41, "Post job cleanup."),
            (42, "Cleaning up orphan processes")]
    steps = spans(("Set up job", 0, 1), ("Run make", 1, None), ("Run deploy", None, None),
                  ("Post Run make", None, None), ("Complete job", None, None))
    shown = Shown(github, mount, lambda run: github.add_job(
        run, text=timed(*setup, *make), steps=steps, conclusion="failure"))
    assert shown.files() == {"01-Set up job.txt": stripped(*setup),
                             "02-Run make.txt": stripped(*make)}
    for name in ("03-Run deploy.txt", "04-Post Run make.txt", "05-Complete job.txt"):
        with fails("ENOENT"):
            (shown.folder / name).stat()


@pytest.mark.parametrize("state", ("queued", "waiting", "pending", "completed"))
def test_s10_a_step_without_a_start_takes_no_lines(github, mount, state):
    """In the middle of others, whatever is reported of it."""
    steps = steps_of(PLAIN[:2] + [("Run later", [])] + PLAIN[2:])
    steps[2].update(status=state, started_at=None, completed_at=None,
                    conclusion="cancelled" if state == "completed" else None)
    for step in steps[3:]:
        step.update(steps_of(PLAIN)[step["number"] - 2], number=step["number"])
    shown = Shown(github, mount,
                  lambda run: github.add_job(run, text=stamped(PLAIN), steps=steps))
    assert shown.files() == by_parts(PLAIN, [1, 2, 4, 5])


TOGETHER = [(3, "##[group]Run server"), (3, "shell: /usr/bin/bash -e {0}"), (3, "##[endgroup]"),
            (3, "##[group]Run lint"), (3, "shell: /usr/bin/bash -e {0}"), (4, "server: ready"),
            (4, "##[endgroup]"), (5, "lint: fine"), (8, "server: request"),
            (9, "##[group]Run tests"), (9, "shell: /usr/bin/bash -e {0}"), (9, "##[endgroup]"),
            (12, "server: request"), (13, "tests: 3 passed"),
            (14, "Waiting for all background step(s) to complete: server"),
            (20, "server: bye"), (20, "Finished waiting for all background step(s).")]


def together(github, run, shift=0):
    """One step in the background of three, the last of which waits for it."""
    before = [(0, "Current runner version: '2'"), (1, "##[group]Run actions/checkout@v4"),
              (1, "##[endgroup]"), (2, "checked out")]
    after = [(20, "Post job cleanup."), (20, "[command]/usr/bin/git version"),
             (21, "Cleaning up orphan processes")]
    rows = [("Set up job", 0, 1), ("Run actions/checkout@v4", 1, 3), ("server", 3, 20),
            ("Run lint", 3, 9), ("Run tests", 9, 14), ("Wait for all background steps", 14, 20),
            ("Post Run actions/checkout@v4", 20, 21), ("Complete job", 21, 21)]
    steps = spans(*((name, begun + shift, ended + shift) for name, begun, ended in rows))
    job = github.add_job(run, text=timed(*before, *TOGETHER, *after), steps=steps)
    return job, {"01-Set up job.txt": before[:1], "02-Run actions∕checkout@v4.txt": before[1:],
                 "03-server +3.txt": TOGETHER, "07-Post Run actions∕checkout@v4.txt": after[:2],
                 "08-Complete job.txt": after[2:]}


@pytest.mark.parametrize("shift", (-1, 0, 1))
def test_s10_steps_at_the_same_time_have_one_file(github, mount, shift):
    """Their lines are mixed in the log; no line is in the file of a step that did not print it."""
    wanted = {}

    def add(run):
        job, files = together(github, run, shift)
        wanted.update({name: stripped(*rows) for name, rows in files.items()})
        return job

    shown = Shown(github, mount, add)
    assert shown.files() == wanted
    assert concatenated(shown.folder) == shown.text.read_bytes()
    for name in ("03-server.txt", "03-server +2.txt", "04-Run lint.txt", "05-Run tests.txt",
                 "06-Wait for all background steps.txt"):
        with fails("ENOENT"):
            (shown.folder / name).stat()
    file = shown.folder / "03-server +3.txt"
    assert file.stat().st_mtime == NOON + 20 + shift
    assert file.stat().st_ino == file.stat().st_ino
    forget(github)
    shown.mount.stop()
    again = mount(cache=shown.mount.cache, offline=True)
    assert (again.path / file.relative_to(shown.mount.path)).read_bytes() == stripped(*TOGETHER)


def test_s10_a_long_name_keeps_how_many_ran_beside(github, mount):
    steps = spans(("Set up job", 0, 1), ("x" * 300, 1, 9), ("y", 1, 9), ("Complete job", 9, 9))
    shown = Shown(github, mount,
                  lambda run: github.add_job(run, text=timed((0, "a"), (1, "b")), steps=steps))
    name = "02-" + "x" * (255 - len("02- +1.txt")) + " +1.txt"
    assert list(shown.files()) == ["01-Set up job.txt", name, "04-Complete job.txt"]


def test_s10_steps_one_after_another_have_a_file_each(github, mount):
    """Times that overlap by a second, and a last clean-up that is reported 3 s late."""
    parts = [(0, "Current runner version: '2'"), (1, "##[group]Run make"), (2, "made"),
             (3, "##[group]Run test"), (4, "Post job cleanup."), (4, "Post job cleanup."),
             (4, "Cleaning up orphan processes")]
    steps = spans(("Set up job", 0, 2), ("Run make", 1, 4), ("Run test", 3, 5),
                  ("Post b", 4, 4), ("Post a", 4, 7), ("Complete job", 4, 4))
    shown = Shown(github, mount,
                  lambda run: github.add_job(run, text=timed(*parts), steps=steps))
    assert [text.count(b"\n") for text in shown.files().values()] == [1, 2, 1, 1, 1, 1]


ABSENT_ACTION = ("##[error]Can't find 'action.yml', 'action.yaml' or 'Dockerfile' under '/w/x'. "
                 "Did you forget to run actions/checkout before running your local action?")


def test_s10_a_step_that_is_only_its_error(github, mount):
    """A local action that is not there: the step failed, and its file has the reason."""
    parts = [("Set up job", ["Current runner version: '2'", "Complete job name: build"]),
             ("Run ./x", [ABSENT_ACTION]),
             ("Complete job", ["Evaluate and set environment url", "Cleaning up orphan processes"])]
    shown = Shown(github, mount, lambda run: cut_job(github, run, parts))
    assert shown.files() == by_parts(parts)


# --- real logs -----------------------------------------------------------------------------------

needs_real = pytest.mark.skipif(not (REAL / "logs.tar.xz").exists(),
                                reason="there are no real logs here")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    with tarfile.open(REAL / "logs.tar.xz") as archive:
        archive.extractall(folder)
    logs = {path.stem: path.read_bytes() for path in sorted(folder.rglob("*.log"))}
    assert len(logs) > 10
    return logs


def steps_from(raw):
    """Steps as the API would report them of this log: at what begins a step, in whole seconds."""
    marks = (b"Current runner version", b"##[group]Run ", b"Post job cleanup.",
             b"Cleaning up orphan processes")
    found = []
    for line in cleaned_with_times(raw):
        if any(line[1].startswith(mark) for mark in marks):
            found.append(line)
    steps = []
    for index, (at, text) in enumerate(found):
        end = found[index + 1][0] if index + 1 < len(found) else at
        name = text[len(b"##[group]"):] if text.startswith(b"##[") else text
        steps.append({"name": name.decode("utf-8", "replace")[:60], "number": index + 1,
                      "status": "completed", "conclusion": "success", "started_at": iso(at),
                      "completed_at": iso(end)})
    return steps


def cleaned_with_times(raw):
    import calendar
    import time
    for line in raw.split(b"\n"):
        line = line.replace(b"\xef\xbb\xbf", b"")
        found = STAMP.match(line)
        if found:
            text = line[:19].decode()
            yield (calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S")), line[found.end():])


@needs_real
@pytest.mark.real
@pytest.mark.parametrize("fits", (True, False), ids=("steps that fit", "steps that do not"))
def test_real_logs_are_the_steps_together(github, mount, real, fits):
    made = github.add_run(REPO)
    jobs = {}
    for name, raw in real.items():
        steps = steps_from(raw) if fits else steps_of(many(12), NOON)
        jobs[name] = github.op("add_job", run=made, name=name, steps=steps,
                               log={"text": base64.b64encode(raw).decode()})
    m = mount()
    folder = m.repo() / "runs" / str(made)
    for name, job in jobs.items():
        text = (m.folder(job) / "log.txt").read_bytes()
        assert text.count(b"\n") == real[name].count(b"\n"), "no line is lost"
        assert text == cleaned(real[name]), name
        assert concatenated(folder / name) == text, name
        sizes = {n: (folder / name / n).stat().st_size for n in listing(folder / name)}
        assert sum(sizes.values()) == len(text)
        if fits and len(sizes) > 1:
            assert sum(size > 0 for size in sizes.values()) > 1, name
    seen = traffic(github)
    assert seen.api == 2 + len(jobs), "each log was fetched once"


@needs_real
@pytest.mark.real
def test_a_real_job_as_recorded(github, mount, real):
    """A job's steps as GitHub reported them."""
    found = None
    with tarfile.open(REAL / "api.tar.xz") as archive:
        for member in archive:
            if member.name.endswith("drift-list-jobs-selfhosted.json"):
                found = json.load(archive.extractfile(member))
    assert found, "the recording has gone"
    job = next(j for j in found["jobs"] if j["steps"])
    raw = stamped([(s["name"], ["##[group]" + s["name"], "text"]) for s in job["steps"]])
    shown = Shown(github, mount, lambda run: github.add_job(run, text=raw, steps=job["steps"]))
    ran = [s for s in job["steps"] if s["conclusion"] != "skipped"]
    assert [name[:2] for name in listing(shown.folder)] == ["%02d" % s["number"] for s in ran]
    assert concatenated(shown.folder) == cleaned(raw)
