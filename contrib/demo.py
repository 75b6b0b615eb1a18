#!/usr/bin/python3
"""A GitHub to look at without a token: the tests' loopback server with made-up repositories, runs
and logs that read like real ones, among them a job that is still running.

    contrib/demo.py FOLDER

FOLDER/commands gets things to try, with @ for the mountpoint, then FOLDER/url the API's address.
Runs until SIGTERM. contrib/run.sh starts it.
"""

import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

from fake import FakeGitHub  # noqa: E402  (found by the line above)

COMMAND = "\x1b[36;1m%s\x1b[0m"
GROW_EVERY = 2      # seconds between lines of the running job
GROW_LINES = 1800

RUNNER = ["Current runner version: '2.335.1'", "##[group]Operating System", "Ubuntu", "24.04.2",
          "##[endgroup]", "Prepare workflow directory", "Complete job name: %s"]
CHECKOUT = ["##[group]Run actions/checkout@v5", "with:", "  fetch-depth: 1", "##[endgroup]",
            "Syncing repository: %s"]


def shell(command):
    return ["##[group]Run " + command, COMMAND % command, "shell: /usr/bin/bash -e {0}",
            "##[endgroup]"]


def build_step(broken):
    lines = shell("make -j4")
    for number in range(1, 121):
        lines.append("[%3d/120] cc -O2 -Wall -c src/unit%03d.c" % (number, number))
        if number % 40 == 0:
            lines.append("src/unit%03d.c:17:9: \x1b[35mwarning:\x1b[0m unused variable 'n'"
                         % number)
    if broken:
        lines += ["src/grammar.c:212:5: \x1b[31merror:\x1b[0m 'token' undeclared",
                  "make: *** [Makefile:8: src/grammar.o] Error 1",
                  "##[error]Process completed with exit code 2."]
    return lines


def test_step(broken):
    lines = shell("make test") + ["ok %d - case %d" % (number, number) for number in range(1, 201)]
    if broken:
        lines[150] = "not ok 147 - case 147: error: expected 3, got 4"
        lines.append("##[error]Process completed with exit code 1.")
    return lines


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def stamp(seconds):
    ticks = round(seconds * 10_000_000)
    return "%s.%07dZ " % (iso(seconds)[:-1], ticks % 10_000_000)


def write_log(begun, steps, lasting=None):
    """The bytes of a log, and the API's steps with the times that fit them; `lasting`: seconds that
    a step goes on behind its last line, by its name."""
    at, lines, told = begun, [], []
    for number, (name, conclusion, texts) in enumerate(steps, 1):
        first = at
        for text in texts:
            lines.append(stamp(at + 0.25) + text + "\n")
            at += 0.0625
        at = int(at) + 2 + (lasting or {}).get(name, 0)
        told.append({"name": name, "number": number, "status": "completed",
                     "conclusion": conclusion, "started_at": iso(first),
                     "completed_at": iso(at - 1)})
    return ("\ufeff" + "".join(lines)).encode(), told, at


def add_finished_job(github, run, repo, name, begun, fails_at=None):
    """A job that ran; fails_at is None, "Build" or "Test"."""
    steps = [("Set up job", "success", [line.replace("%s", name) for line in RUNNER]),
             ("Run actions/checkout@v5", "success",
              [line.replace("%s", repo) for line in CHECKOUT]),
             ("Build", "failure" if fails_at == "Build" else "success",
              build_step(fails_at == "Build"))]
    if fails_at != "Build":
        steps.append(("Test", "failure" if fails_at else "success", test_step(fails_at)))
    steps.append(("Complete job", "success", ["Cleaning up orphan processes"]))
    text, told, ended = write_log(begun, steps)
    return github.add_job(run, name=name, conclusion="failure" if fails_at else "success",
                          started_at=begun, completed_at=ended, steps=told, text=text)


def add_history(github, repo, now):
    """Ten finished runs, some of which failed; the newest failed job's id."""
    failed = None
    for age in range(10, 0, -1):
        begun = int(now) - age * 5400
        fails_at = {2: "Test", 5: "Build"}.get(age)
        run = github.add_run(repo, branch="main" if age % 3 else "topic/faster-start",
                             file="ci.yml", workflow="CI", created_at=begun - 10,
                             conclusion="failure" if fails_at else "success",
                             title="Change %d" % (11 - age), updated_at=begun + 120)
        for name in ("build (gcc)", "build (clang)"):
            broken = fails_at if name.endswith("(gcc)") else None
            job = add_finished_job(github, run, repo, name, begun, broken)
            failed = job if broken else failed
    return failed


def add_running_job(github, repo, now):
    begun = int(now) - 30
    run = github.add_run(repo, status="in_progress", branch="main", workflow="CI",
                         created_at=begun - 10, updated_at=begun, title="Soak")
    text = "".join(stamp(begun + n / 8) + line.replace("%s", "soak") + "\n"
                   for n, line in enumerate(RUNNER + shell("make soak")))
    return github.add_job(run, name="soak", status="in_progress", started_at=begun,
                          text=("\ufeff" + text).encode())


# --- a longer history, which docs/COOKBOOK.md is about -------------------------------------------

ENGINE_RUNS = 200
FLAKY = {9, 31, 58, 90, 117, 144, 171, 186}     # runs in which test 17 failed, on Linux only
BROKEN = {150, 151, 152}                        # test 8 failed, everywhere
BREAKS = {196: "Build", 200: "Test"}            # a pull request's newest run, the newest of all
RERUN = 190                                     # test 17 failed; run again, it passed
DEPRECATED = 131                                # the first run with that warning
SLOWER = 181                                    # the first run whose tests took twice as long
LEAKED = 198                                    # a key was printed
TESTS = ["parses %s" % what for what in ("an empty file", "comments", "numbers", "strings",
                                         "nested lists", "long lines", "UTF-8")]
TESTS += ["rejects %s" % what for what in ("an empty name", "a missing bracket", "bad UTF-8")]
TESTS += ["writes %s" % what for what in ("numbers", "strings", "nested lists", "long lines")]
TESTS += ["connects", "sends a request", "reconnects after a time-out", "follows a redirect",
          "resumes a transfer", "reuses a connection", "closes idle connections"]


def engine_steps(number, system, failing, build_fails):
    """The steps of a job of run `number` in which the tests `failing` fail."""
    image = "macos-15" if system == "macos" else "ubuntu-24.04"
    release = "20261101.1" if number > 160 else "20260914.3" if number > 100 else "20260803.2"
    build = shell("make") + ["cc -O2 -Wall -c src/%s.c" % name
                             for name in ("parse", "write", "net", "cache", "main")]
    if number >= DEPRECATED:
        build.insert(-2, "src/net.c:88:5: warning: 'connect_old' is deprecated")
    if build_fails:
        build[-1:] = ["src/cache.c:57:12: \x1b[31merror:\x1b[0m 'cache_size' undeclared",
                      "make: *** [Makefile:8: src/cache.o] Error 1",
                      "##[error]Process completed with exit code 2."]
    test = shell("make test")
    if number == LEAKED and system == "macos":
        test.append("AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE")
    test += ["%s %d - %s" % ("not ok" if n in failing else "ok", n, name)
             for n, name in enumerate(TESTS, 1)]
    if failing:
        test.append("##[error]Process completed with exit code 1.")
    steps = [("Set up job", "success",
              [line.replace("%s", "test (%s)" % system) for line in RUNNER[:1]] +
              ["##[group]Runner Image", "Image: " + image, "Version: " + release, "##[endgroup]"] +
              [line.replace("%s", "test (%s)" % system) for line in RUNNER[-2:]]),
             ("Build", "failure" if build_fails else "success", build)]
    if not build_fails:
        steps.append(("Test", "failure" if failing else "success", test))
    return steps + [("Complete job", "success", ["Cleaning up orphan processes"])]


def add_engine_job(github, run, number, system, begun, failing=(), build_fails=False, attempt=1):
    steps = engine_steps(number, system, failing, build_fails)
    lasting = {"Build": 20 + number % 3, "Test": 90 if number >= SLOWER else 44}
    text, told, ended = write_log(begun, steps, lasting)
    return github.add_job(run, name="test (%s)" % system, attempt=attempt, steps=told, text=text,
                          conclusion="failure" if failing or build_fails else "success",
                          started_at=begun, completed_at=ended)


def add_engine(github, repo, now, shas=None):
    """Runs of two jobs, one an hour; `shas`: of their commits, the oldest first."""
    github.add_pull(repo=repo, number=12, branch="topic/cache", title="Cache answers",
                    sha=shas[195] if shas else None)
    for number in range(1, ENGINE_RUNS + 1):
        begun = int(now) - (ENGINE_RUNS + 1 - number) * 3600
        build_fails = BREAKS.get(number) == "Build"
        failing = {17} if number in FLAKY else {8} if number in BROKEN else \
            {21} if BREAKS.get(number) == "Test" else set()
        nightly = number % 24 == 0
        run = github.add_run(
            repo, branch="topic/cache" if number % 8 == 4 else "main",
            file="nightly.yml" if nightly else "ci.yml", workflow="Nightly" if nightly else "CI",
            event="schedule" if nightly else "push", created_at=begun - 10, updated_at=begun + 240,
            sha=shas[number - 1] if shas else None, attempts=2 if number == RERUN else 1,
            title="Change %d" % number, conclusion="failure" if failing or build_fails else None)
        if number == RERUN:
            add_engine_job(github, run, number, "linux", begun, failing={17})
            add_engine_job(github, run, number, "macos", begun + 3)
        for late, system in enumerate(("linux", "macos")):
            attempt = 2 if number == RERUN else 1
            # Only on Linux the connection is slow enough for test 17.
            here = set() if system == "macos" and failing == {17} else failing
            add_engine_job(github, run, number, system, begun + 3 * late + 1000 * (attempt - 1),
                           here, build_fails, attempt)


def commands(repo, failed, running):
    return "".join("  # %s\n  %s\n" % (why, line) for line, why in (
        ("cat @/%s/reports/*" % repo, "what failed, and why"),
        ("ls -lt @/%s/runs/" % repo, "the runs, newest first"),
        ("cat @/%s/jobs/%d/log" % (repo, failed), "a log as GitHub serves it"),
        ("head -n 20 @/%s/jobs/%d/log.txt" % (repo, failed), "the same, cleaned"),
        ("grep -rn error: @/%s/failed/" % repo, "which job, which step, which line"),
        ("tail -n 3 @/%s/runs/*/*/*-Test.txt" % repo, "how each test step ended"),
        ("tail -f @/%s/jobs/%d/log" % (repo, running), "a job that is still running"),
    ))


def keep_running(github, job):
    for number in range(1, GROW_LINES + 1):
        time.sleep(GROW_EVERY)
        github.grow(job, text=(stamp(time.time()) + "round %d: ok\n" % number).encode())
    github.complete_job(job)
    signal.pause()


def fill(github, now, shas=None):
    """All repositories; the ids of a failed and of the running job. `shas`: see add_engine."""
    github.add_repo("octo/website", pushed_at=-86400.0)
    add_history(github, "octo/website", now - 86400)
    github.add_repo("octo/parser", pushed_at=-60.0)
    failed = add_history(github, "octo/parser", now)
    running = add_running_job(github, "octo/parser", now)
    github.add_repo("octo/engine", pushed_at=-3600.0)
    add_engine(github, "octo/engine", now, shas)
    return failed, running


def main():
    folder = pathlib.Path(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with FakeGitHub(token="demonstration") as github:
        failed, running = fill(github, time.time())
        (folder / "commands").write_text(commands("octo/parser", failed, running))
        (folder / "url").write_text(github.api + "\n")
        keep_running(github, running)


if __name__ == "__main__":
    main()
