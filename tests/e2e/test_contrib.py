"""What stands around the program: the main job in one command, and that its scripts are scripts."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from checkouts import Checkout
from mounting import PLAIN, REPO, ROOT, clean_environment, daemons_of, mounted, unmount, wait_for
from treeing import cut_job

RUN = ROOT / "contrib" / "run.sh"
DEMO = ROOT / "build" / "demo"
BUILDING = 400                  # seconds that the first run may take, which builds the program
FOLLOWED = 8                    # seconds in which a running job prints something more


def demo_pid():
    """The process of the loopback GitHub of contrib/run.sh, or None."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((DEMO / "pid").read_text())
        if b"contrib/demo.py" in pathlib.Path("/proc", str(pid), "cmdline").read_bytes():
            return pid
    return None


def children_of(pid):
    found = []
    for task in pathlib.Path("/proc", str(pid), "task").glob("*"):
        found += map(int, (task / "children").read_text().split())
    return found


def alive(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path("/proc", str(pid), "stat").read_text().rpartition(")")[2][1] != "Z"
    return False


class Caller:
    """Who has no token, and a mountpoint of an unhandy name."""

    def __init__(self, folder):
        self.home, self.point = folder / "home", folder / "my gh"
        self.home.mkdir()
        # Where a compiler cache is in use, the build finds there what was compiled before.
        cached = {name: value for name, value in os.environ.items()
                  if name == "CMAKE_C_COMPILER_LAUNCHER" or name.startswith("CCACHE_")}
        self.env = clean_environment(self.home, **cached)

    def __call__(self, *words, timeout=60):
        done = subprocess.run([str(word) for word in words], env=self.env, cwd=self.home, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def shell(self, line):
        """What a printed command prints; one that follows is ended after a while."""
        follows = " -f " in line
        with subprocess.Popen(["sh", "-c", line], env=self.env, cwd=self.home, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, start_new_session=True) as process:
            try:
                output, errors = process.communicate(timeout=FOLLOWED if follows else 60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output, errors = process.communicate()
                assert follows, line
        assert follows or process.returncode == 0, (line, errors)
        assert output and not errors, (line, errors)
        return output

    def clean(self):
        """Nothing is left, whatever happened."""
        with contextlib.suppress(subprocess.SubprocessError):
            subprocess.run([RUN, "--stop", self.point], env=self.env, capture_output=True,
                           timeout=30)
        for pid in [demo_pid(), *daemons_of(self.point)]:
            with contextlib.suppress(OSError, TypeError):
                os.kill(pid, signal.SIGKILL)
        if mounted(self.point):
            unmount(self.point, lazy=True)


@pytest.fixture
def caller(fuse, folder):
    if not PLAIN:
        pytest.skip("it builds a program of its own, without sanitizers")
    if demo_pid():
        pytest.skip("somebody's demonstration is up: contrib/run.sh --stop")
    made = Caller(folder)
    yield made
    made.clean()


def commands_of(output):
    """The printed commands; each has a line above it that explains it."""
    lines = output.partition("Try:\n")[2].splitlines()
    assert lines and all(line.startswith("  # ") for line in lines[::2]), output
    return [line.strip() for line in lines[1::2]]


@pytest.mark.alone
@pytest.mark.slow
def test_the_main_job_in_one_command(caller):
    """Without a token it is shown on a loopback GitHub; may be run again; leaves nothing."""
    output = caller(RUN, caller.point, timeout=BUILDING)
    assert "No token found" in output and "loopback" in output
    assert "Mounted at %s." % caller.point in output
    assert mounted(caller.point)[1] == "fuse.ghlogfs"
    commands = commands_of(output)
    assert len(commands) >= 5 and "--stop" in commands[-1]
    for line in commands[:-1]:
        caller.shell(line)

    daemons, demo = daemons_of(caller.point), demo_pid()
    again = caller(RUN, caller.point)
    assert "is already mounted at %s." % caller.point in again
    assert commands_of(again) == commands
    assert (daemons_of(caller.point), demo_pid()) == (daemons, demo) and len(daemons) == 1

    processes = [demo, *daemons, *children_of(demo)]
    assert len(processes) == 3, "the daemon, and the two of the loopback GitHub"
    assert "is unmounted" in caller.shell(commands[-1])
    assert not mounted(caller.point) and os.listdir(caller.point) == []
    wait_for(lambda: not any(map(alive, processes)), 10, why="a process is left")
    assert "ghlogfs is not mounted" in caller(RUN, "--stop", caller.point)

    third = caller(RUN, caller.point)
    assert "Mounted at %s." % caller.point in third
    assert caller.shell(commands_of(third)[0])
    caller(RUN, "--stop", caller.point)
    wait_for(lambda: not demo_pid() and not daemons_of(caller.point), 10, why="one is left")


@pytest.mark.alone
def test_a_mountpoint_that_is_in_use_is_left_alone(caller):
    caller.point.mkdir()
    (caller.point / "mine").write_text("x")
    done = subprocess.run([RUN, caller.point], env=caller.env, capture_output=True, text=True,
                          timeout=BUILDING)
    assert done.returncode == 1 and "not empty" in done.stderr
    assert not mounted(caller.point) and not demo_pid()


# --- gh logfs ------------------------------------------------------------------------------------

@pytest.fixture
def checkout(folder):
    return Checkout(folder)


def test_gh_logfs_path_of_the_repository_the_commit_and_a_pull_request(checkout, folder):
    """With a blank in the name of the mountpoint, and with the default one."""
    point = folder / "my gh"
    point.mkdir()
    (folder / "gh").mkdir()
    root = str(point / "octo/hello")
    assert checkout("path", point) == (root + "\n", "")
    assert checkout("path", point, "--commit") == ("%s/commits/%s\n" % (root, checkout.sha), "")
    assert checkout("path", point, "--pr", 12) == (root + "/pulls/12\n", "")
    assert checkout("path", "--pr", 12) == ("%s/gh/octo/hello/pulls/12\n" % folder, "")


@pytest.mark.parametrize("words", (("path", "--pr"), ("path", "--pr", "x"), ("path", "--pr", "0"),
                                   ("failed", "--pr", "-1"), ("failed", "--pr", "../1"),
                                   ("path", "--nothing"), ("failed", "--commit"),
                                   ("pull", "--run"), ("pull", "--run", "../1"), ("pull", "--pr"),
                                   ("pull", "--failed", "--run", "5"), ("pull", "--commit")))
def test_gh_logfs_refuses_what_it_does_not_know(checkout, words):
    output, errors = checkout(*words, status=1)
    assert not output and errors.startswith("gh logfs: ") and errors.count("\n") == 1


def test_gh_logfs_path_leads_into_the_mount(checkout, github, mount):
    runs = [github.add_run(REPO, sha=checkout.sha), github.add_run(REPO, sha="a" * 40)]
    number = github.add_pull(repo=REPO, sha="a" * 40)
    m = mount()
    for words, made in ((("--commit",), runs[0]), (("--pr", number), runs[1])):
        path = checkout("path", m.path, *words)[0].rstrip("\n")
        assert os.listdir(path) == [str(made)]


def make_tree(root, runs, failed):
    """What a mount has of the runs: their links, and the reports of those that failed."""
    (root / "reports").mkdir(parents=True)
    for folder, ids in runs.items():
        (root / folder).mkdir(parents=True)
        for one in ids:
            (root / folder / str(one)).symlink_to("../../runs/%d" % one)
    for one in failed:
        (root / "reports" / ("%d.txt" % one)).write_text("run %d\n" % one)


def test_gh_logfs_failed_prints_the_reports_of_the_failed_runs(checkout, folder):
    """Of the commit checked out, or of a pull request; the newest run first, and of no other."""
    point = folder / "my gh"
    make_tree(point / "octo/hello", {"commits/" + checkout.sha: (9, 10, 11), "pulls/5": (9, 12),
                                     "pulls/6": (10,), "pulls/7": ()}, (9, 11, 12, 100, 1))
    assert checkout("failed", point) == ("run 11\n\nrun 9\n", "")
    assert checkout("failed", point, "--pr", 5) == ("run 12\n\nrun 9\n", "")
    assert checkout("failed", point, "--pr", 6) == ("", "No run of pull request 6 has failed.\n")
    output, errors = checkout("failed", point, "--pr", 7, status=1)
    assert (output, errors) == ("", "gh logfs: no run of pull request 7 is known\n")
    output, errors = checkout("failed", point, "--pr", 8, status=1)
    assert not output and errors.endswith("; to mount: gh logfs mount %s\n" % point)


# --- lnav ----------------------------------------------------------------------------------------

LNAV = ROOT / "contrib" / "lnav" / "ghlogfs_log.json"
LEVELS = (("info", "Current runner version: '2.335.1'"), ("trace", "##[group]Run make"),
          ("trace", "##[endgroup]"), ("trace", "[command]/usr/bin/git version"), ("info", ""),
          ("debug", "##[debug]Evaluating condition"), ("info", "##[notice]A word"),
          ("warning", "##[warning]No files were found"), ("info", "0 errors, 0 warnings"),
          ("warning", "src/net.c:88:5: \x1b[35mwarning:\x1b[0m unused variable 'n'"),
          ("warning", "a.cs(1,2): warning CS0168: never used"), ("warning", "[WARNING] old"),
          ("error", "src/a.c:1:5: \x1b[31merror\x1b[0m: 'token' undeclared"),
          ("error", "error[E0308]: mismatched types"), ("error", "a.cs(1,2): error CS1002: ; is"),
          ("error", "TypeError: x is not a function"), ("error", "[ERROR] BUILD FAILURE"),
          ("error", "not ok 17 - reconnects"), ("error", "--- FAIL: TestIt (0.00s)"),
          ("error", "FAILED tests/test_it.py::test_it"), ("error", "fatal: not a repository"),
          ("error", "thread 'main' panicked at src/main.rs:2:5:"), ("info", "use crate::error::X;"),
          ("error", "##[error]Process completed with exit code 1."))


def lnav(folder, query, *files):
    """The rows of a query about these files, by lnav with the format installed."""
    env = clean_environment(folder, TZ="UTC", TERM="xterm")
    for words in (("-i", LNAV), ("-n", "-c", ";" + query, "-c", ":write-json-to -", *files)):
        done = subprocess.run(["lnav", *words], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "error:" not in done.stderr, done
    return json.loads(done.stdout[done.stdout.index("["):])


def test_lnav_knows_times_and_levels_of_a_raw_log(folder):
    raw = folder / "log"
    raw.write_text("\ufeff" + "".join("2026-11-28T03:39:%02d.1234567Z %s\n" % (number, text)
                                      for number, (_, text) in enumerate(LEVELS)))
    rows = lnav(folder, "SELECT log_time, log_level FROM github_actions_log", raw)
    assert [row["log_level"] for row in rows] == [level for level, _ in LEVELS]
    assert [row["log_time"] for row in rows] == \
        ["2026-11-28 03:39:%02d.123" % number for number in range(len(LEVELS))]


def test_lnav_takes_cleaned_text_for_a_log_only_with_its_timestamps(github, mount, folder):
    """Without them it is plain text: the format has nothing to tell where a message begins."""
    job = cut_job(github, github.add_run(REPO))
    for timestamps in (False, True):
        m = mount(timestamps=timestamps)
        step, = m.path.glob("octo/hello/runs/*/build/02-*.txt")
        rows = lnav(folder, "SELECT format FROM lnav_file", step, m.folder(job) / "log.txt")
        assert [row["format"] for row in rows] == [timestamps and "github_actions_log" or None] * 2
        m.stop()


# --- scripts -------------------------------------------------------------------------------------

def scripts():
    """{path: shell}: by the first line, or by the name."""
    found = {}
    for path in sorted(path for top in ("contrib", "tests", ".ci")
                       for path in (ROOT / top).rglob("*") if path.is_file()):
        first = path.read_bytes()[:40]
        shell = re.match(rb"#! ?(?:/usr)?/bin/(?:env )?(bash|sh)\b", first)
        if shell:
            found[path] = shell.group(1).decode()
        elif path.suffix in (".sh", ".bash"):
            found[path] = "bash"
        elif path.suffix == ".fish":
            found[path] = "fish"
        elif first.startswith(b"#compdef"):
            found[path] = "zsh"
    return found


def test_the_scripts_can_be_read_by_their_shells():
    found = scripts()
    names = {str(path.relative_to(ROOT)) for path in found}
    assert names >= {"contrib/run.sh", "contrib/packages.sh", "contrib/gh-logfs/gh-logfs",
                     "contrib/completions/ghlogfs.bash", "contrib/completions/_ghlogfs",
                     "contrib/completions/ghlogfs.fish", "tests/run.sh", ".ci/run"}
    for path, shell in found.items():
        if shutil.which(shell):         # Debian has no zsh and no fish of its own accord
            done = subprocess.run([shell, "-n", path], capture_output=True, text=True, timeout=30)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), path
        # Those of debian/ get their mode with the package.
        if (path.suffix != ".sh" and shell in ("bash", "sh")
                and path.parent.name not in ("completions", "debian")):
            assert os.access(path, os.X_OK), path
