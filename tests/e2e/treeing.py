"""Worlds for the tests of the whole tree: runs, jobs whose steps are known, and what is shown."""

import contextlib
import os
import re
import time

from fake.world import iso
from mounting import REPO

NOON = 1_767_268_800        # 2026-01-01T12:00:00Z
STEP_SECONDS = 10
NEEDLE = "a-needle"

# Steps that begin with what the runner writes, so that each differs from the one before.
PLAIN = [("Set up job", ["Current runner version: '2.330.0'", "Operating System"]),
         ("Run make", ["##[group]Run make", "make", "##[endgroup]", "cc -o " + NEEDLE]),
         ("Post Run actions/checkout@v4", ["Post job cleanup.", "[command]/usr/bin/git version"]),
         ("Complete job", ["Cleaning up orphan processes"])]


def stamped(parts, start=NOON):
    """The raw log of such steps, each of STEP_SECONDS."""
    lines = []
    for index, (_, texts) in enumerate(parts):
        at = start + STEP_SECONDS * index
        lines += ["%s.%07dZ %s\n" % (iso(at)[:-1], 100 * i, text) for i, text in enumerate(texts)]
    return ("\ufeff" + "".join(lines)).encode()


def steps_of(parts, start=NOON, skipped=(), ends=None):
    """The API's steps; those of `skipped` (numbers) come in between and have no part. `ends`: the
    conclusions of those that did not end in success, by number."""
    steps, index, number = [], 0, 0
    while index < len(parts) or number + 1 in skipped:
        number += 1
        if number in skipped:
            steps.append({"name": "Not this time", "number": number, "status": "completed",
                          "conclusion": "skipped", "started_at": iso(start),
                          "completed_at": iso(start)})
            continue
        at = start + STEP_SECONDS * index
        steps.append({"name": parts[index][0], "number": number, "status": "completed",
                      "conclusion": (ends or {}).get(number, "success"), "started_at": iso(at),
                      "completed_at": iso(at + STEP_SECONDS)})
        index += 1
    return steps


def cut_job(github, run, parts=None, name="build", start=NOON, skipped=(), ends=None, **fields):
    """A completed job with such a log."""
    parts = parts or PLAIN
    end = start + STEP_SECONDS * len(parts)
    return github.add_job(run, name=name, text=stamped(parts, start), started_at=start,
                          completed_at=end, steps=steps_of(parts, start, skipped, ends), **fields)


ERROR = "##[error]Process completed with exit code 2."
BROKEN = [PLAIN[0], ("Run make", [*PLAIN[1][1], ERROR]), *PLAIN[2:]]


def failed_job(github, run, parts=None, ends=None, conclusion="failure", **fields):
    """A job whose second step failed, unless it is said otherwise."""
    return cut_job(github, run, parts or BROKEN, ends={2: "failure"} if ends is None else ends,
                   conclusion=conclusion, **fields)


def two_runs(github, jobs=("build", "test")):
    """Two runs of the same jobs; [{"run": id, "jobs": {name: id}}, ...], the older one first."""
    made = []
    for number in (1, 2):
        run = github.add_run(REPO)
        start = NOON + 3600 * number
        made.append({"run": run, "jobs": {
            name: cut_job(github, run, name=name, start=start) for name in jobs}})
    return made


STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z(?: |(?=\r?\n|$))")
ESCAPE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)"
                    rb"|[PX^_][^\x1b\n]*\x1b\\|[ -/]*[0-OQ-WYZ\\`-~])")
BOM = b"\xef\xbb\xbf"
CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")


def cleaned(raw):
    """S9 in a few lines: the same as the product for logs without endless escapes."""
    lines = []
    for line in raw.split(b"\n"):
        while line.startswith(BOM):
            line = line[3:]
        line = STAMP.sub(b"", line, 1) if STAMP.match(line) else line
        lines.append(CONTROL.sub(b"", ESCAPE.sub(b"", line)))
    return b"\n".join(lines)


def listing(path):
    """Names in the order in which the directory gives them."""
    with os.scandir(path) as entries:
        return [entry.name for entry in entries]


def concatenated(folder):
    """cat folder/*.txt"""
    return b"".join((folder / name).read_bytes()
                    for name in sorted(os.listdir(folder)) if name.endswith(".txt"))


@contextlib.contextmanager
def within(seconds, at_least=0.0):
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert at_least <= took <= seconds, "took %.2f s" % took
