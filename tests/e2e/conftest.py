"""Fixtures of the end-to-end tests: a loopback GitHub, and mounts of the real binary."""

import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import pytest

import mounting
from fake import FakeError, FakeGitHub

MARKERS = {
    "smoke": "quick ones from all over, for valgrind and the like",
    "slow": "takes many seconds",
    "alone": "measures, or loads the machine: runs while no other test does",
    "real": "needs real logs in ../shared/real",
    "limit(seconds)": "how long the test may take before its mounts are taken away (60)",
}


def pytest_configure(config):
    # Under nohup, or in the background of a script, these are ignored, and children inherit that.
    for word in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(word) == signal.SIG_IGN:
            signal.signal(word, signal.SIG_DFL)
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", "%s: %s" % (name, meaning))


def pytest_addoption(parser):
    parser.addoption("--alone", choices=("only", "without"),
                     help="only the tests marked alone, or all but those")


def pytest_collection_modifyitems(config, items):
    wanted = config.getoption("--alone")
    if not wanted:
        return
    kept = [item for item in items
            if (item.get_closest_marker("alone") is not None) == (wanted == "only")]
    dropped = [item for item in items if item not in set(kept)]
    config.hook.pytest_deselected(items=dropped)
    items[:] = kept


def _missing():
    """Why nothing can be mounted here, or None."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return "FUSE: /dev/fuse: %s" % error.strerror
    if not shutil.which("fusermount3"):
        return "FUSE: there is no fusermount3"
    return None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    item.stash.setdefault(_REPORTS, {})[call.when] = outcome.get_result()


_REPORTS = pytest.StashKey()


def _failed(request):
    report = request.node.stash.get(_REPORTS, {}).get("call")
    return report is not None and report.failed


@pytest.fixture(scope="session")
def fuse():
    why = _missing()
    if why and os.environ.get("CI") == "true":
        pytest.fail(why)
    if why:
        pytest.skip(why)
    if not os.access(mounting.BINARY, os.X_OK):
        pytest.exit("there is no binary at " + mounting.BINARY, 1)


@pytest.fixture
def folder():
    made = mounting.temporary_folder()
    yield made
    mounting.remove_folder(made)


@pytest.fixture
def disk(folder):
    """disk("4M", ...) -> the folder of a file system of that size."""
    made_at = []

    def make(size, *more):
        at = folder / ("disk%d" % len(made_at))
        at.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", ",".join(["mode=0700", "size=" + size, *more]),
                 "none", str(at)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            pytest.skip("no right to mount a small disk: " + done.stderr)
        made_at.append(at)
        return at

    yield make
    for at in made_at:
        subprocess.run(["umount", "-l", str(at)], capture_output=True)


class Github(FakeGitHub):
    """One that can be had clean again, without another process."""

    def __init__(self, *arguments, **options):
        options.setdefault("token", "ghp_" + secrets.token_hex(18))
        super().__init__(*arguments, **options)
        self.repos = set()

    def op(self, name, /, **arguments):
        result = super().op(name, **arguments)
        self.repos.update({"add_repo": [arguments.get("repo")], "bulk": [arguments.get("repo")],
                           "rename_repo": [arguments.get("to")],
                           "add_folder": [arguments.get("repo", "octo/logs")]}.get(name, []))
        return result

    def clean(self):
        """Every setting and repository of earlier tests is gone."""
        self.clear_faults()
        self.drop(hop="api")
        self.drop(hop="storage")
        self.drop(hop="store")
        for path in self.store_list():
            self.store_remove(path=path)
        for name in self.repos:
            with contextlib.suppress(FakeError):
                self.remove_repo(repo=name)
        self.repos.clear()
        self.ops([{"op": "accept", "hop": "api"}, {"op": "accept", "hop": "storage"},
                  {"op": "accept", "hop": "store"}, {"op": "store_setup"}, {"op": "secondary"},
                  {"op": "latency", "api_ms": 0, "storage_ms": 0, "store_ms": 0},
                  {"op": "lifetime", "seconds": 60}, {"op": "auth_status", "status": 401},
                  {"op": "clock", "skew": 0}, {"op": "token", "value": self.token},
                  {"op": "rate_limit", "limit": 5000, "remaining": 5000, "status": 403,
                   "reset": 3600},
                  {"op": "bandwidth", "rate": None, "hop": "api"},
                  {"op": "bandwidth", "rate": None, "hop": "storage"}, {"op": "clear_log"},
                  {"op": "rate_limit", "token": None, "limit": 60, "remaining": 60}])
        self.add_repo(mounting.REPO)
        return self


@pytest.fixture(scope="session")
def shared_githubs():
    """The server that most tests share, one after another; made anew where it has died."""
    made = []
    yield made
    for server in made:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture
def github(shared_githubs):
    if not shared_githubs or shared_githubs[-1].process.poll() is not None:
        shared_githubs.append(Github().start())
    server = shared_githubs[-1].clean()
    yield server
    assert server.counters()["token_leaks"] == 0, "a token reached storage"


@pytest.fixture
def make_github():
    """Loopback GitHubs of other kinds, each a process of its own: make_github(ghes=True)."""
    made = []

    def make(*arguments, **options):
        server = Github(*arguments, **options).start()
        made.append(server)
        server.add_repo(mounting.REPO)
        return server

    yield make
    leaks = 0
    for server in made:
        try:
            leaks += server.counters()["token_leaks"]
        finally:
            server.stop()
    assert leaks == 0, "a token reached storage"


@pytest.fixture
def mounts(request, fuse, folder):
    """The factory without a server: mount(github=...) or mount(github=None, token=None)."""
    limit = request.node.get_closest_marker("limit")
    factory = mounting.Mounts(None, folder, limit.args[0] if limit else 60)
    yield factory
    factory.finish(_failed(request))


@pytest.fixture
def mount(github, mounts):
    mounts.github = github
    return mounts
