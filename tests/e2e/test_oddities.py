"""All at once what other tests have one by one: a repository with every oddity that people met.

What a walker may complain of is what is known to be wrong with the world, and nothing else.
"""

import re
import time

import pytest

from mounting import REPO, SLOW, forget, run, traffic
from treeing import NOON, PLAIN, cut_job, listing, stamped, steps_of

ODD = ["-rf", ".NET 8 (windows-latest)", "~root", "+x", "|id", " blank", "--checkpoint=1",
       "--checkpoint-action=exec=touch pwned", "a/b", "run.json", "attempts", "12", "", "same",
       "same"]
PARALLEL = [("Set up job", ["Current runner version: '2.330.0'"]),
            ("one", ["##[group]Run one", "##[endgroup]"]),
            ("two", ["##[group]Run two", "##[endgroup]"]),
            ("three", ["##[group]Run three", "##[endgroup]"]),
            ("Complete job", ["Cleaning up orphan processes"])]
RULES = "octo/rules/.github/workflows/required.yml@main"


def side_by_side(start):
    """The second to the fourth run at the same time."""
    steps = steps_of(PARALLEL, start)
    for step in steps[1:4]:
        step.update(started_at=steps[1]["started_at"], completed_at=steps[3]["completed_at"])
    return steps


def lost():
    steps = steps_of(PLAIN)
    steps[1].update(status="in_progress", conclusion=None, completed_at=None)
    for step in steps[2:]:
        step.update(status="pending", conclusion=None, started_at=None, completed_at=None)
    return steps


class World:
    """A repository with all of it; `many` is the run whose jobs have odd names, `bad` the one that
    cannot be had."""

    def __init__(self, github):
        self.github = github
        self.many = github.add_run(REPO, branch="-b/.hidden/ x")
        self.many_jobs = [cut_job(github, self.many, name=name, start=NOON + n)
                          for n, name in enumerate(ODD)]
        self.forks = [github.add_run(REPO, head_repo=head, branch=branch, conclusion="failure")
                      for head in ("", "octo/hello-2", "evil/hello")
                      for branch in ("main", "+/~/|x")]
        for fork in self.forks:
            cut_job(github, fork, name="build", conclusion="failure")
        self.rules = github.add_run(REPO, file=RULES)
        cut_job(github, self.rules)
        self.deleted = github.add_run(REPO, file="", workflow="-Gone/away")
        cut_job(github, self.deleted)
        self.queued = github.add_run(REPO, conclusion="cancelled")
        for n in range(3):
            github.add_job(self.queued, name="queued %d" % n, conclusion="cancelled", steps=[],
                           runner=("null", "empty", "null")[n], log="missing")
        self.lost = github.add_run(REPO, conclusion="failure")
        github.add_job(self.lost, name="lost", conclusion="failure", steps=lost(), log="missing")
        self.beside = github.add_run(REPO)
        github.add_job(self.beside, name="beside", text=stamped(PARALLEL), started_at=NOON,
                       completed_at=NOON + 50, steps=side_by_side(NOON))
        self.late = github.add_run(REPO)
        start = time.time() - 140
        github.add_job(self.late, name="late", text=stamped(PLAIN, start), started_at=start,
                       completed_at=start + 40, steps=[])
        self.bad = github.add_run(REPO, conclusion="failure")
        cut_job(github, self.bad)
        self.wrong = github.add_run(REPO)
        for n in range(12):
            cut_job(github, self.wrong, name="w %d" % n)
        self.again = github.add_run(REPO, attempts=3, conclusion="failure")
        for number in (1, 2, 3):
            for name in (("-a", ".b", "c", "d"), ("-a", ".b"), ("-a",))[number - 1]:
                cut_job(github, self.again, name=name, attempt=number,
                        start=NOON + 3600 * number, conclusion="failure")
        self.runs = 4 + len(self.forks) + 6
        self.break_it()

    def break_it(self):
        def refuse(status, **where):
            self.github.fault("status", hop="api", times=-1, status=status,
                              body={"message": "no"}, **where)
        refuse(404, path="/actions/workflows/")
        refuse(502, path="/runs/%d/" % self.bad)
        refuse(502, target="/runs/%d/attempts/1/jobs?per_page=100" % self.again)
        refuse(500, query="status=failure")
        refuse(422, query="status=startup_failure")
        self.github.fault("list", hop="api", path="/runs/%d/" % self.wrong, times=-1, drop=2,
                          null=1)


TOOLS = {"find": "find . -size -1000000", "tar": "tar cf {to}/all.tar .",
         "rsync": "rsync -a ./ {to}/all", "du": "du -a .", "cp": "cp -r . {to}/all",
         "grep": "grep -rc needle .",
         "tar *": "cd runs/{many} && tar cf {to}/all.tar *"}


def walk(m, tool, world, to):
    """What a tool complains of, but for what is known to be wrong."""
    done = run("bash", "-c", TOOLS[tool].format(to=to, many=world.many), cwd=m.repo(), check=False,
               text=True, timeout=150 * SLOW)
    bad = re.compile("(runs|failed|reports)/%d" % world.bad)
    output = [line for line in done.stderr.splitlines()
            if "xiting" not in line and "(code 23)" not in line]
    known = [line for line in output if bad.search(line)]
    assert len(known) == (0 if tool == "tar *" else 3), done.stderr
    return [line for line in output if line not in known]


@pytest.mark.limit(180)
@pytest.mark.parametrize("runs", (30, 5), ids=lambda runs: "%d runs" % runs)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_walk_over_all_oddities_at_once(github, mount, folder, tool, runs):
    """It complains of the run that cannot be had alone, costs little, and again costs nothing."""
    world = World(github)
    m = mount(runs=runs, fresh=600)
    assert len(listing(m.repo() / "runs")) == min(runs, world.runs)
    for place in ("first", "second"):
        (folder / place).mkdir()
        assert walk(m, tool, world, folder / place) == []
        seen = traffic(github)
        refused = [e for e in seen.of("api") if e["status"] >= 400]
        assert len([e for e in refused if "/runs/%d/" % world.bad in e["target"]]) <= 10
        assert len(refused) <= 25
        if place == "second":
            assert seen.requests == (0, 0)
        forget(github)
    assert m.process.poll() is None
