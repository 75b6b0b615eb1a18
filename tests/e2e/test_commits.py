"""commits/ and pulls/: the runs of a commit and of a pull request (S23)."""

import os
import subprocess
import time

import pytest

from mounting import REPO, fails, forget, out, run, traffic
from treeing import cut_job, listing

SHA = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
FORK = "someone/hello"


def asked(github, part):
    """How many requests had this in their target."""
    return len([e for e in traffic(github).of("api") if part in e["target"]])


def refuse(github, status, **where):
    github.fault("status", hop="api", times=-1, status=status, body={"message": "no"}, **where)


def names(*ids):
    return [str(one) for one in ids]


# --- commits -------------------------------------------------------------------------------------

def test_s23_the_runs_of_a_commit(github, mount):
    """Each commit of the recent runs once, the newest first; links, as in other groups."""
    first = github.add_run(REPO, sha=SHA)
    github.add_run(REPO, sha=OTHER)
    second = github.add_run(REPO, sha=SHA, file="lint.yml")
    cut_job(github, second)
    folder = mount().repo() / "commits"
    assert listing(folder) == [SHA, OTHER]
    assert listing(folder / SHA) == names(second, first)
    assert os.readlink(folder / SHA / str(first)) == "../../runs/%d" % first
    assert listing(folder / SHA / str(second)) == ["run.json", "build"]


def test_s23_in_a_checkout(github, mount, folder):
    """ls commits/$(git rev-parse HEAD)"""
    git = ["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    sha = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True,
                         text=True).stdout.strip()
    made = github.add_run(REPO, sha=sha)
    for index in ("fresh", "empty"):
        github.index(repo=REPO, state=index)
        line = 'ls "$0"/commits/$(git -C "$1" rev-parse HEAD)'
        assert out("bash", "-c", line, mount().repo(), folder, text=True).split() == [str(made)]


@pytest.mark.parametrize("begin", (SHA[:7], SHA[:8], SHA[:39], SHA.upper(), SHA[:20].upper()))
def test_s23_the_beginning_of_a_commit_s_name(github, mount, begin):
    made = github.add_run(REPO, sha=SHA)
    github.add_run(REPO, sha=OTHER)
    m = mount()
    assert listing(m.repo() / "commits" / begin) == [str(made)]
    assert traffic(github).api == 2 and asked(github, "head_sha=" + SHA) == 1


def test_s23_a_beginning_of_two_commits_or_of_none_is_no_name(github, mount):
    github.add_run(REPO, sha=SHA)
    github.add_run(REPO, sha=SHA[:10] + 30 * "0")
    m = mount()
    for begin in (SHA[:7], SHA[:10], "7777777", OTHER[:39]):
        with fails("ENOENT"):
            listing(m.repo() / "commits" / begin)
    assert traffic(github).api == 1, "only the recent runs can tell"
    assert len(listing(m.repo() / "commits" / SHA[:11])) == 1


def test_s23_a_commit_beyond_the_recent_runs(github, mount):
    old = [github.add_run(REPO, sha=SHA) for _ in range(2)]
    github.bulk(REPO, 4, 1, 100)
    m = mount(runs=3)
    assert SHA not in listing(m.repo() / "commits")
    assert listing(m.repo() / "commits" / SHA) == names(*old[::-1])
    with fails("ENOENT"):
        listing(m.repo() / "commits" / SHA[:12])


def test_s23_a_commit_without_runs_is_empty(github, mount):
    """GitHub does not tell it from one that does not exist."""
    github.add_run(REPO)
    m = mount()
    assert listing(m.repo() / "commits" / SHA) == []
    assert traffic(github).api == 2
    made = str(github.add_run(REPO, sha=SHA))
    assert listing(mount().repo() / "commits" / SHA) == [made]


@pytest.mark.parametrize("state", ("empty", "stale"))
def test_s18_runs_of_a_commit_are_united_with_the_recent_ones(github, mount, state):
    old = github.add_run(REPO, sha=SHA)
    gone = github.add_run(REPO, sha=SHA)
    github.index(repo=REPO, state=state)
    new = github.add_run(REPO, sha=SHA, file="lint.yml")
    github.remove_run(run=gone)
    m = mount()
    assert listing(m.repo() / "commits" / SHA) == names(new, old)


@pytest.mark.parametrize("status", (404, 422, 403, 500))
def test_s18_a_commit_s_filter_that_is_refused_hides_no_recent_run(github, mount, status):
    made = github.add_run(REPO, sha=SHA)
    refuse(github, status, query="head_sha=")
    m = mount()
    assert listing(m.repo() / "commits" / SHA) == [str(made)]
    with fails("ENOENT", "EACCES", "EPROTO", "EIO"):
        listing(m.repo() / "commits" / OTHER)


def test_s18_without_the_recent_runs_a_commit_is_asked_for_alone(github, mount):
    made = github.add_run(REPO, sha=SHA)
    refuse(github, 400, path="/actions/runs", query="page=1$")
    m = mount()
    assert listing(m.repo() / "commits" / SHA) == [str(made)]
    for path in ("", SHA[:7]):
        with fails("EPROTO"):
            listing(m.repo() / "commits" / path)


def test_r8_what_is_no_commit_s_name_is_not_listed(github, mount):
    """All that is listed can be opened."""
    for sha in ("../../x", "main", SHA[:39], SHA + "0", SHA[:39] + "g", "-rf", SHA):
        github.add_run(REPO, sha=sha)
    m = mount()
    assert listing(m.repo() / "commits") == [SHA]
    run("find", m.repo() / "commits")


def test_s23_known_commits_offline(github, mount):
    made = github.add_run(REPO, sha=SHA)
    first = mount()
    listing(first.repo() / "commits" / SHA)
    first.stop()
    folder = mount(cache=first.cache, offline=True).repo() / "commits"
    assert listing(folder) == [SHA]
    assert listing(folder / SHA) == listing(folder / SHA[:7]) == [str(made)]
    with fails("EHOSTUNREACH"):
        listing(folder / OTHER)


# --- pull requests -------------------------------------------------------------------------------

@pytest.fixture
def pull(github):
    """A pull request of the repository's own branch, and the run of its head."""
    made = github.add_run(REPO, branch="fix", sha=SHA, event="pull_request")
    github.add_run(REPO)
    return github.add_pull(repo=REPO, branch="fix", sha=SHA), made


def test_s23_the_runs_of_a_pull_request(pull, github, mount):
    number, made = pull
    folder = mount().repo() / "pulls"
    assert listing(folder) == [str(number)]
    assert traffic(github).api == 1
    assert listing(folder / str(number)) == [str(made)]
    assert traffic(github).api == 3
    assert os.readlink(folder / str(number) / str(made)) == "../../runs/%d" % made


def test_s23_pull_requests_are_listed_once_the_newest_first(github, mount):
    for branch in ("one", "two", "one", "both"):
        github.add_run(REPO, branch=branch)
    for branch in ("two", "one", "both", "both", "none"):
        github.add_pull(repo=REPO, branch=branch)
    assert listing(mount().repo() / "pulls") == ["4", "3", "2", "1"]


def test_s23_runs_that_name_the_pull_request_are_added(pull, github, mount):
    """Those of its earlier heads, as far as the recent runs have them; others of its head too."""
    number, made = pull
    github.set_pull(repo=REPO, number=number, sha=OTHER)
    newer = github.add_run(REPO, branch="fix", sha=OTHER, event="pull_request")
    pushed = github.add_run(REPO, branch="copy", sha=OTHER)
    folder = mount().repo() / "pulls" / str(number)
    assert listing(folder) == names(pushed, newer, made)


def test_s23_a_fork_s_pull_request_is_found_by_its_head(github, mount):
    """No run names it, so it is not listed; it opens all the same."""
    made = github.add_run(REPO, branch="fix", head_repo=FORK, sha=SHA, event="pull_request")
    number = github.add_pull(repo=REPO, branch="fix", head_repo=FORK, sha=SHA)
    for index in ("fresh", "empty"):
        github.index(repo=REPO, state=index)
        folder = mount().repo() / "pulls"
        assert listing(folder) == []
        assert listing(folder / str(number)) == [str(made)]


def test_s23_a_pull_request_of_a_deleted_fork(github, mount):
    made = github.add_run(REPO, branch="fix", head_repo="", sha=SHA)
    number = github.add_pull(repo=REPO, branch="fix", head_repo="", sha=SHA, state="closed")
    assert listing(mount().repo() / "pulls" / str(number)) == [str(made)]


def test_s23_a_fork_does_not_list_pull_requests_of_its_origin(github, mount):
    github.add_repo(FORK)
    made = github.add_run(FORK, branch="fix", sha=SHA)
    number = github.add_pull(repo=REPO, branch="fix", head_repo=FORK, sha=SHA)
    m = mount()
    assert listing(m.repo(FORK) / "pulls") == []
    assert listing(m.repo(FORK) / "commits" / SHA) == [str(made)]
    with fails("ENOENT"):
        listing(m.repo(FORK) / "pulls" / str(number))


def test_s23_no_such_pull_request(pull, github, mount):
    m = mount()
    with fails("ENOENT"):
        listing(m.repo() / "pulls" / "77")
    assert traffic(github).api == 2, "without a head there is no question for runs"
    with fails("ENOENT"):
        listing(m.repo() / "pulls" / "77")
    assert traffic(github).api == 2, "and that is remembered"


def narrow(github):
    github.op("token", value=github.token, pulls=False)


def test_s23_without_the_right_to_read_pull_requests(pull, github, mount):
    """What recent runs tell of one is shown, as what is listed can be opened; else EACCES."""
    number, made = pull
    narrow(github)
    fork = github.add_pull(repo=REPO, branch="x", head_repo=FORK, sha=OTHER)
    m = mount()
    assert listing(m.repo() / "pulls") == [str(number)]
    assert listing(m.repo() / "pulls" / str(number)) == [str(made)]
    assert "pull request %d: no answer" % number in m.stderr
    with fails("EACCES"):
        listing(m.repo() / "pulls" / str(fork))
    assert asked(github, "head_sha=") == 0


@pytest.mark.parametrize("status,errno", ((500, "EIO"), (422, "EPROTO"), (404, "ENOENT")))
def test_s18_a_pull_request_that_is_refused_hides_no_recent_run(pull, github, mount, status,
                                                                errno):
    number, made = pull
    fork = github.add_pull(repo=REPO, branch="x", head_repo=FORK)
    refuse(github, status, path="/pulls/")
    m = mount(deadline=20)
    assert listing(m.repo() / "pulls" / str(number)) == [str(made)]
    assert asked(github, "/pulls/") <= 4
    with fails(errno):
        listing(m.repo() / "pulls" / str(fork))


def test_s23_the_head_of_a_pull_request_moves(pull, github, mount):
    number, made = pull
    m = mount(fresh=1)
    folder = m.repo() / "pulls" / str(number)
    assert listing(folder) == [str(made)]
    time.sleep(1.1)
    forget(github)
    assert listing(folder) == [str(made)]
    seen = traffic(github)
    assert (seen.api, seen.charged) == (3, 0), "nothing has changed: 304"
    newer = github.add_run(REPO, branch="fix", sha=OTHER)
    github.set_pull(repo=REPO, number=number, sha=OTHER)
    time.sleep(1.1)
    assert listing(folder) == names(newer, made)


def test_s23_known_pull_requests_offline(pull, github, mount):
    number, made = pull
    first = mount()
    listing(first.repo() / "pulls" / str(number))
    first.stop()
    folder = mount(cache=first.cache, offline=True).repo() / "pulls"
    assert listing(folder) == [str(number)]
    assert listing(folder / str(number)) == [str(made)]
    with fails("EHOSTUNREACH"):
        listing(folder / "77")


@pytest.mark.parametrize("head", (None, {}, {"sha": None}, {"sha": "main"}, {"sha": SHA + "&x=1"},
                                  {"sha": "../" + 37 * "a"}))
def test_r8_a_pull_request_whose_head_is_no_commit(github, mount, head):
    github.add_run(REPO)
    github.fault("status", hop="api", path="/pulls/", status=200, times=-1,
                 body={"number": 5, "head": head})
    m = mount()
    with fails("EPROTO"):
        listing(m.repo() / "pulls" / "5")
    assert asked(github, "head_sha") == 0


def test_r8_runs_with_many_pull_requests(github, mount):
    """Bounded, and each once."""
    github.add_run(REPO, branch="fix")
    github.ops([{"op": "add_pull", "repo": REPO, "branch": "fix"} for _ in range(300)])
    folder = mount().repo() / "pulls"
    shown = listing(folder)
    assert len(shown) == len(set(shown)) == 100
    assert listing(folder / "250") == [], "found by its own head"
