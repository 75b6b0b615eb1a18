"""docs/COOKBOOK.md by the letter: its commands are taken out of it and run on the repository of the
demonstration that it is about; what they print and cost is what the document says.

A recipe is a heading with blocks behind it. Each block `sh` is run by bash and followed by a block
`text`, in which [...] stands for lines, or for a part of a line, that are left out. "N API
requests" or "N to M API requests" behind that is what the block costs. "On a mount with
`-o OPTION`" says how the repository is mounted. What is typed where a program needs a terminal, and
who answers where it talks to somebody, is in the tables TERMINAL and AROUND.
"""

import contextlib
import dataclasses
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import tomllib
import xml.etree.ElementTree

import pytest

from fake import FakeGitHub
from mounting import (BINARY, ROOT, SLOW, clean_environment, daemons_of, mounted, traffic, unmount,
                      wait_for)
from terminal import Screen

sys.path.insert(0, str(ROOT / "contrib"))

import demo  # noqa: E402  (found by the line above)

COOKBOOK = ROOT / "docs" / "COOKBOOK.md"
NOON = 1_767_268_800        # 2026-01-01T12:00:00Z
TOKEN = "ghp_cookbook"
RUNNING = 30000000041       # the demonstration's job that goes on
LEFT_OUT = "[...]"
COST = re.compile(r"\b(No|\d+)(?: to (\d+))? API requests?\b")
OPTION = re.compile(r"On a mount with `-o (\w+)(?:=(\w+))?`")


# --- the document --------------------------------------------------------------------------------

@dataclasses.dataclass
class Block:
    language: str
    text: str
    before: str = ""        # the prose in front of it
    behind: str = ""


@dataclasses.dataclass
class Recipe:
    title: str
    blocks: list

    @property
    def options(self):
        found = OPTION.search(self.blocks[0].before)
        return {found[1]: found[2] or True} if found else {}

    def steps(self):
        """(commands, what they print, least, most requests); the numbers may be None."""
        blocks = [block for block in self.blocks if block.language in ("sh", "text")]
        for block, printed in zip(blocks[::2], blocks[1::2]):
            cost = COST.search(printed.behind)
            least = cost and (0 if cost[1] == "No" else int(cost[1]))
            yield block.text, printed.text, least, cost and int(cost[2] or least)


def blocks_of(text):
    parts = re.split(r"^```(\w*)\n(.*?)^```\n", text, flags=re.M | re.S)
    blocks = [Block(*pair) for pair in zip(parts[1::3], parts[2::3])]
    for block, before, behind in zip(blocks, parts[::3], parts[3::3]):
        block.before, block.behind = before, behind
    return blocks


def recipes():
    parts = re.split(r"^### (.*)\n", COOKBOOK.read_text(), flags=re.M)
    return [Recipe(title, blocks_of(re.split(r"^## ", text, flags=re.M)[0]))
            for title, text in zip(parts[1::2], parts[2::2])]


RECIPES = recipes()


def squeezed(text):
    """Columns are as wide as a tool's release makes them."""
    return re.sub(r" *\n", "\n", re.sub(r" +", " ", text))


def pattern_of(text):
    """What prints this, squeezed."""
    lines = []
    for line in squeezed(text).splitlines():
        words = [re.escape(word) for word in line.split(LEFT_OUT)]
        lines.append(r"(?:.*\n)*?" if line == LEFT_OUT else ".*".join(words) + r"\n")
    return re.compile("".join(lines))


# --- where they are run --------------------------------------------------------------------------

def commits():
    """A history for git fast-import, whose names are the same each time. Each run has a commit of
    its title, and some commits between them have no run."""
    source = "".join("int line_%d;\n" % number for number in range(1, 100))
    for number in range(1, demo.ENGINE_RUNS + 1):
        files = {"VERSION": "%d\n" % number}
        if number == 1:
            files.update({"src/net.c": source, "src/cache.c": source})
        at = NOON - (demo.ENGINE_RUNS + 1 - number) * 3600 - 60
        yield commit(at, "Change %d" % number, files)
        if number % 4 == 0 and number < demo.ENGINE_RUNS:
            yield commit(at + 1800, "Not pushed by itself", {"NOTES": "%d\n" % number})


def commit(at, title, files):
    return "commit refs/heads/main\ncommitter Octo <octo@example.com> %d +0000\n" % at + \
        "data <<END\n%s\nEND\n" % title + "".join(
            "M 644 inline %s\ndata <<END\n%sEND\n" % pair for pair in files.items())


def make_checkout(folder):
    """Its commits that have runs, the oldest first."""
    def git(*words, **more):
        return subprocess.run(["git", *words], cwd=folder, env=clean_environment(folder), text=True,
                              check=True, stdout=subprocess.PIPE, timeout=60, **more).stdout
    folder.mkdir(parents=True)
    git("init", "-q", "-b", "main")
    git("fast-import", "--quiet", input="".join(commits()))
    git("reset", "-q", "--hard", "main")
    lines = git("log", "--reverse", "--format=%H %s", "main").splitlines()
    return [line.split()[0] for line in lines if " Change " in line]


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory):
    shas = make_checkout(tmp_path_factory.mktemp("checkout") / "engine")
    with FakeGitHub(token=TOKEN) as github:
        demo.fill(github, NOON, shas)
        yield github
        assert github.counters()["token_leaks"] == 0, "a token reached storage"


SSH = """#!/bin/sh
# Stands for the other machine: the command runs here, in the home directory.
shift
cd && exec sh -c "$*"
"""


class Kitchen:
    """A home with a mount of the demonstration at ~/gh, and what the commands see."""

    def __init__(self, github, folder, mounts, options):
        self.github, self.home = github, folder / "home"
        self.repo = self.home / "gh/octo/engine"
        tools = folder / "tools"
        tools.mkdir()
        (tools / "ssh").write_text(SSH)
        (tools / "ssh").chmod(0o755)
        make_checkout(self.home / "src/engine")
        (self.home / "src/ghlogfs").symlink_to(ROOT)
        self.env = clean_environment(
            self.home, TERM="xterm", TZ="UTC", LC_ALL="C.UTF-8", GITHUB_API_URL=github.api,
            GH_ENTERPRISE_TOKEN=github.token,
            PATH="%s:%s:/usr/bin:/bin" % (tools, pathlib.Path(BINARY).parent))
        mounts(github=github, path=self.home / "gh", cache=self.home / ".cache/ghlogfs", **options)
        github.clear_log()

    def bash(self, text):
        done = subprocess.run(["bash", "-c", text], cwd=self.repo, env=self.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60 * SLOW)
        return done.stdout

    def screen(self, text):
        (self.home / "commands").write_text(text)
        return Screen(self.home, "bash", self.home / "commands", cwd=self.repo, **self.env)


# --- those that need a terminal ------------------------------------------------------------------

def choose(kitchen, screen):
    screen.shows("246/246")         # the steps of 62 jobs
    screen.keys("-l", "221 macos Test")
    screen.shows(" 1/246")
    screen.keys("Enter")


def grow(text):
    def let_it_grow(kitchen, screen):
        screen.shows("##[endgroup]")
        kitchen.github.grow(RUNNING, text=(demo.stamp(NOON) + text + "\n").encode())
    return let_it_grow


def next_error(kitchen, screen):
    screen.shows("is deprecated")
    screen.keys(":cn", "Enter")


def first_error(kitchen, screen):
    screen.shows("orphan processes")
    screen.keys("g")
    screen.shows("07:00:00.2500000Z")
    screen.keys("e")


def only_look(kitchen, screen):
    pass


# What is done with the last block of a recipe, before the screen shows what is printed.
TERMINAL = {
    "Choose a step by its name with fzf": choose,
    "Go through the errors in vim": only_look,
    "Jump from a compiler's error to the line in the checkout": next_error,
    "Merge the jobs of a run in lnav": first_error,
    "See the colours": only_look,
    "Follow a running job": grow("round 1: ok"),
    "Follow it in less": grow("round 2: ok"),
}


# --- those that need somebody to talk to, or make something else than lines ----------------------

class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes what is posted to it."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.received.append((self.path, self.headers["Content-Type"], body))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def receiving(kitchen, name, answer=b""):
    """A server whose address is in that variable; what it has received."""
    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.received, server.answer = [], answer
        kitchen.env[name] = "http://127.0.0.1:%d" % server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.received
        finally:
            server.shutdown()
            thread.join()


def stamped_lines(kitchen, job):
    """(time, text) of each line of a log."""
    raw = (kitchen.repo / "jobs" / str(job) / "log").read_text().lstrip("\ufeff")
    return [line.split(" ", 1) for line in raw.splitlines()]


@contextlib.contextmanager
def loki(kitchen, recipe, printed):
    with receiving(kitchen, "LOKI") as received:
        yield
    (path, kind, body), = received
    assert (path, kind) == ("/loki/api/v1/push", "application/json")
    stream, = json.loads(body)["streams"]
    assert stream["stream"] == {"job": "30000000443"}
    lines = stamped_lines(kitchen, 30000000443)
    assert [text for _, text in stream["values"]] == [text for _, text in lines]
    first = NOON - 3600 + 3         # when the second job of the newest run began
    assert stream["values"][0][0] == "%d250000000" % first
    assert all(re.fullmatch(r"\d{19}", stamp) for stamp, _ in stream["values"])


@contextlib.contextmanager
def elastic(kitchen, recipe, printed):
    with receiving(kitchen, "ELASTIC", b'{"errors": false}') as received:
        yield
    (path, kind, body), = received
    assert (path, kind) == ("/ci-logs/_bulk", "application/x-ndjson") and body.endswith("\n")
    values = [json.loads(line) for line in body.splitlines()]
    assert all(value == {"create": {}} for value in values[::2])
    assert [[value["@timestamp"], value["message"]] for value in values[1::2]] == \
        stamped_lines(kitchen, 30000000443)


@contextlib.contextmanager
def syslog(kitchen, recipe, printed):
    """The daemon goes into the background by itself, and is ended by its pid."""
    conf, = (block.text for block in recipe.blocks if block.language == "conf")
    (kitchen.home / "ci.conf").write_text(conf)
    shipped, pid = kitchen.home / "ci.log", kitchen.home / ".rsyslog/pid"
    steps = list(kitchen.repo.glob("failed/*/*/*.txt"))
    expected = sorted("%s: %s" % (step, line.lstrip(" "))
                      for step in steps for line in step.read_text().splitlines())
    assert len(steps) == 18
    try:
        yield
        wait_for(lambda: shipped.exists() and len(shipped.read_text().splitlines()) >=
                 len(expected), 60, 0.1, "not all was shipped")
        lines = shipped.read_text().splitlines()
        assert sorted(re.sub(r"(: ) +", r"\1", line, count=1) for line in lines) == expected
    finally:
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGTERM)
            wait_for(lambda: not pid.exists(), 10, why="rsyslogd does not end")


@contextlib.contextmanager
def junit(kitchen, recipe, printed):
    yield
    cases = xml.etree.ElementTree.fromstring(printed[0]).findall("testcase")
    assert len(cases) == 2 * len(demo.TESTS)
    failed = [case.attrib for case in cases if case.find("failure") is not None]
    assert failed == [{"classname": "test (%s)" % system, "name": "closes idle connections"}
                      for system in ("linux", "macos")]


@contextlib.contextmanager
def train(kitchen, recipe, printed):
    """Its mount does not outlive the test, whatever happens."""
    point = kitchen.home / "train"
    try:
        yield
        assert not mounted(point)
    finally:
        if mounted(point):
            unmount(point, lazy=True)
        wait_for(lambda: not daemons_of(point), 10, why="the second mount is left")


AROUND = {
    "Read on a train": train,
    "Ship a log to Loki": loki,
    "Ship a log to Elasticsearch": elastic,
    "Ship failed steps to syslog": syslog,
    "Make a JUnit file of test output": junit,
}


# --- the tests -----------------------------------------------------------------------------------

def slug(recipe):
    return re.sub(r"[^a-z0-9]+", "-", recipe.title.lower()).strip("-")


def test_every_recipe_has_commands_and_what_they_print():
    titles = [recipe.title for recipe in RECIPES]
    assert len(titles) == len(set(titles)) >= 30
    assert set(titles) >= {*TERMINAL, *AROUND}, "a table names a recipe that is not there"
    for recipe in RECIPES:
        pairs = [block.language for block in recipe.blocks if block.language in ("sh", "text")]
        assert pairs and pairs == ["sh", "text"] * (len(pairs) // 2), recipe.title
        assert all(block.text.count("\n") <= 5 for block in recipe.blocks
                   if block.language == "sh"), recipe.title


def test_what_is_not_tried_is_said_to_be():
    """And is at least of the right form."""
    untried = [block for recipe in RECIPES for block in recipe.blocks
               if block.language not in ("sh", "text", "conf")]
    assert untried
    for block in untried:
        assert block.language == "toml" and "not been tried" in block.before
        assert tomllib.loads(block.text)


@pytest.mark.limit(120)
@pytest.mark.parametrize("recipe", RECIPES, ids=slug)
def test_recipe(demonstration, recipe, mounts, folder):
    kitchen = Kitchen(demonstration, folder, mounts, recipe.options)
    printed, steps = [], list(recipe.steps())
    around = AROUND.get(recipe.title, lambda *_: contextlib.nullcontext())
    with around(kitchen, recipe, printed):
        for number, (text, expected, least, most) in enumerate(steps, 1):
            demonstration.clear_log()
            if recipe.title in TERMINAL and number == len(steps):
                with kitchen.screen(text) as screen:
                    TERMINAL[recipe.title](kitchen, screen)
                    shown = pattern_of(expected)
                    wait_for(lambda: shown.search(squeezed(screen.text())), 60, 0.05,
                             "the screen never showed\n%s" % expected)
            else:
                printed.append(kitchen.bash(text))
                as_told = pattern_of(expected).fullmatch(squeezed(printed[-1])) is not None
                assert as_told, \
                    "this was expected:\n%s\nand this was printed:\n%s" % (expected, printed[-1])
            if most is not None:
                assert least <= traffic(demonstration).charged <= most
