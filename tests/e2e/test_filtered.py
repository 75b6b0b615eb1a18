"""Views of some of the runs: from GitHub's filtered lists, united with the unfiltered one (S18)."""

import os
import time

import pytest

from mounting import REPO, SLOW, fails, forget, out, run, traffic, wait_for
from treeing import cut_job, failed_job, listing, within

FILTERS = ("failure", "timed_out", "startup_failure")
VIEWS = ("failed", "branches/main", "workflows/ci.yml")


def failures(github, count, **fields):
    """So many failed runs, as names, the newest first."""
    made = [github.add_run(REPO, conclusion="failure", **fields) for _ in range(count)]
    return [str(one) for one in reversed(made)]


def refuse(github, status=500, message="no", **where):
    github.fault("status", hop="api", times=-1, status=status, body={"message": message}, **where)


def asked(github, part):
    """How many requests had this in their target."""
    return len([e for e in traffic(github).of("api") if part in e["target"]])


# --- stale lists ---------------------------------------------------------------------------------

@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("known", (False, True), ids=("cold", "known"))
def test_s18_an_empty_filtered_list_hides_no_recent_run(github, mount, view, known):
    made = failures(github, 3)
    github.index(repo=REPO, state="empty")
    m = mount()
    if known:
        assert listing(m.repo() / "runs") == made
    assert listing(m.repo() / view) == made


@pytest.mark.parametrize("view", VIEWS)
def test_s18_a_stale_filtered_list_is_united_with_the_recent_runs(github, mount, view):
    """Old runs come from the filtered list, new ones from the other; newest first, no more than
    `runs`, and it is the oldest that are left out."""
    old = failures(github, 4)
    github.index(repo=REPO, state="stale")
    new = failures(github, 2)
    assert listing(mount(runs=3).repo() / view) == (new + old)[:3]
    assert listing(mount(runs=5).repo() / view) == (new + old)[:5]
    assert listing(mount(runs=30).repo() / view) == new + old


def test_s18_runs_between_those_of_a_filtered_list_have_their_place(github, mount):
    made = failures(github, 3)
    github.index(repo=REPO, state="stale")
    between = str(github.add_run(REPO, conclusion="timed_out", created_at="2026-01-01T00:15:00Z"))
    assert listing(mount().repo() / "failed") == [made[0], made[1], between, made[2]]


def test_s18_a_run_that_was_run_again_is_what_the_recent_runs_say(github, mount):
    """A list that still has it as a failure is stale."""
    passed, going, still = (int(name) for name in reversed(failures(github, 3)))
    github.index(repo=REPO, state="stale")
    github.set_run(run=passed, attempt=2, status="completed", conclusion="success")
    github.set_run(run=going, status="in_progress", conclusion=None)
    m = mount()
    assert listing(m.repo() / "failed") == [str(still)]
    assert len(listing(m.repo() / "branches/main")) == 3


def test_s18_of_two_answers_about_a_run_the_later_counts(github, mount):
    """The list of recent runs may be old itself: a run that has failed since is shown."""
    made = github.add_run(REPO, status="in_progress")
    m = mount(fresh=600)
    assert listing(m.repo() / "runs") == [str(made)]
    github.set_run(run=made, status="completed", conclusion="failure", updated_at=-1)
    assert listing(m.repo() / "failed") == [str(made)]


def test_s18_a_deleted_run_of_a_stale_list_is_not_shown(github, mount):
    made = failures(github, 4)
    github.index(repo=REPO, state="stale")
    github.remove_run(run=int(made[1]))
    m = mount()
    for view in VIEWS:
        assert listing(m.repo() / view) == [made[0], *made[2:]]
    run("find", m.repo() / "failed")


# --- filters that are refused --------------------------------------------------------------------

@pytest.mark.parametrize("status", (404, 422, 500, 403))
def test_s18_one_refused_filter_takes_no_other_runs_away(github, mount, status):
    old = failures(github, 1)
    github.bulk(REPO, 4, 1, 100)
    new = str(github.add_run(REPO, conclusion="startup_failure"))
    refuse(github, status, query="status=startup_failure")
    m = mount(runs=3, fresh=1)
    with within(10 * SLOW):
        assert listing(m.repo() / "failed") == [new, *old]
    assert traffic(github).api <= 10
    time.sleep(1.1)
    forget(github)
    assert listing(m.repo() / "failed") == [new, *old]
    assert asked(github, "timed_out") == 1 and asked(github, "startup_failure") == 0, \
        "a refusal is remembered for a minute"
    assert ("the runs with status=startup_failure: no answer" in m.stderr) == (status != 404)


@pytest.mark.parametrize("status", (404, 422, 500))
@pytest.mark.parametrize("view,part", (("failed", "status="), ("branches/main", "branch="),
                                       ("workflows/ci.yml", "/workflows/")))
def test_s18_where_every_filter_is_refused_the_recent_runs_are_shown(github, mount, view, part,
                                                                     status):
    made = failures(github, 2)
    refuse(github, status, **{"path" if part == "/workflows/" else "query": part})
    m = mount()
    with within(10 * SLOW):
        assert listing(m.repo() / view) == made
    assert asked(github, part) <= 10 * (len(FILTERS) if view == "failed" else 1)
    assert listing(m.repo() / view) == made


def test_s18_failed_without_any_failed_run_is_empty_though_filters_are_refused(github, mount):
    github.add_run(REPO)
    refuse(github, 500, query="status=")
    assert listing(mount().repo() / "failed") == []


def test_s18_without_the_recent_runs_the_filtered_lists_are_shown(github, mount):
    made = failures(github, 2)
    refuse(github, 400, path="/actions/runs", query="page=1$")     # no filter behind it
    m = mount()
    with fails("EPROTO"):
        listing(m.repo() / "runs")
    assert listing(m.repo() / "failed") == made
    assert listing(m.repo() / "branches/main") == made
    assert listing(m.repo() / "workflows/ci.yml") == made


def test_s18_the_errno_is_given_where_no_answer_is_available(github, mount):
    failures(github, 1)
    refuse(github, 400, path="/actions/")
    m = mount()
    for view in VIEWS:
        with fails("EPROTO"):
            listing(m.repo() / view)


def test_s18_an_unknown_branch_whose_filter_is_refused_gives_its_errno(github, mount):
    """Nothing is known of it, so that an empty directory would be a guess."""
    failures(github, 1)
    refuse(github, 422, query="branch=")
    m = mount()
    with fails("EPROTO"):
        listing(m.repo() / "branches/other")


@pytest.mark.slow
def test_s18_a_filter_that_is_not_answered_is_waited_for_a_while_and_used_later(github, mount):
    old = failures(github, 1)
    github.bulk(REPO, 3, 1, 100)
    new = failures(github, 1)
    github.fault("stall", hop="api", query="status=failure", times=1, after=-1)
    m = mount(runs=2)
    assert listing(m.repo() / "failed") == new, "not ETIMEDOUT, not until the deadline"
    assert github.counters()["api"]["active"] == 1
    github.drop(hop="api")      # asked again, it is answered
    wait_for(lambda: listing(m.repo() / "failed") == new + old, 20, 0.2)


def test_s18_a_fault_of_a_filter_that_passes_is_not_noticed(github, mount):
    old = failures(github, 1)
    github.bulk(REPO, 3, 1, 100)
    github.fault("status", hop="api", query="status=failure", status=502, times=3)
    assert listing(mount(runs=2).repo() / "failed") == old


# --- workflows that cannot be asked for ----------------------------------------------------------

def walk(m):
    """What find sees; it fails where anything that is listed cannot be opened."""
    return out("find", m.repo() / "workflows", m.repo() / "branches", m.repo() / "failed",
               text=True).splitlines()


def test_s13_a_workflow_that_cannot_be_asked_for_opens(github, mount):
    """A ruleset's workflow lies in another repository: its runs are listed, it is 404."""
    made = str(github.add_run(REPO, file="octo/rules/.github/workflows/required.yml@main"))
    own = str(github.add_run(REPO))
    flows = mount().repo() / "workflows"
    refuse(github, 404, path="/actions/workflows/")
    assert sorted(listing(flows)) == ["ci.yml", "required.yml"]
    assert listing(flows / "required.yml") == [made]
    assert listing(flows / "ci.yml") == [own]
    assert os.readlink(flows / "required.yml" / made) == "../../runs/" + made


@pytest.mark.parametrize("status", (404, 500))
def test_s13_a_deleted_workflow_without_a_path_opens(github, mount, status):
    made = str(github.add_run(REPO, file="", workflow="Nightly build"))
    refuse(github, status, path="/actions/workflows/")
    m = mount()
    with within(10 * SLOW):
        assert walk(m)
    assert asked(github, "/workflows/") <= 10
    assert listing(m.repo() / "workflows") == ["Nightly build"]
    assert listing(m.repo() / "workflows" / "Nightly build") == [made]
    forget(github)
    assert walk(m)
    assert traffic(github).api == 0, "a refusal is remembered for a minute"


NAMES = [("", "Lint / lint", "Lint ∕ lint"), ("", "", "workflow"), ("", "2026", "2026 (%d)"),
         ("", ".github/workflows/old.yml", "old.yml"), (".github/workflows/", "CI", "CI"),
         ("dynamic/pages/pages-build-deployment", "pages", "pages-build-deployment"),
         ("dynamic/7", "x", "7 (%d)"), ("a@b.yml", "x", "a@b.yml"),
         ("a@b.yaml@refs/heads/a/b.c@d", "x", "a@b.yaml"), ("x/no-file@refs/heads/a/b", "x",
                                                           "no-file")]


@pytest.mark.parametrize("path,name,shown", NAMES)
def test_s19_names_of_workflows_by_path_or_else_by_name(github, mount, path, name, shown):
    number = github.add_workflow(repo=REPO, file="some.yml", name=name)
    made = str(github.add_run(REPO, file="some.yml", path=path))
    shown = shown.replace("%d", str(number))
    m = mount()
    assert walk(m)
    assert listing(m.repo() / "workflows") == [shown]
    assert listing(m.repo() / "workflows" / shown) == [made]


def test_s19_a_workflow_is_listed_once_whatever_the_paths_of_its_runs(github, mount):
    runs = [str(github.add_run(REPO, path=path)) for path in (
        "", ".github/workflows/ci.yml", ".github/workflows/ci.yml@refs/heads/a/b", "")]
    flows = mount().repo() / "workflows"
    assert listing(flows) == ["ci.yml"]
    assert listing(flows / "ci.yml") == runs[::-1]


def test_s19_workflows_of_equal_names_all_open(github, mount):
    github.ops([{"op": "add_run", "repo": REPO, "file": "d%d/x.yml" % n, "path": ""}
                for n in range(4)])
    refuse(github, 404, path="/actions/workflows/")
    m = mount()
    assert len(walk(m)) == 3 + 4 * 2 + 1 + 4
    assert len(set(listing(m.repo() / "workflows"))) == 4


# --- whose branch it is --------------------------------------------------------------------------

def branches(m, repo=REPO):
    """{path: [runs]} of all that is below branches/."""
    found = {}
    for path in out("find", m.repo(repo) / "branches", "-type", "l", "-printf", "%P\n",
                    text=True).splitlines():
        found.setdefault(os.path.dirname(path), []).append(os.path.basename(path))
    return found


def test_s18_a_repository_that_moved_has_its_own_branches_under_its_old_name(github, mount):
    github.add_repo("octo-org/tool")
    runs = [str(github.add_run("octo-org/tool", branch=name)) for name in ("main", "fix/it")]
    fork = str(github.add_run("octo-org/tool", head_repo="someone/tool"))
    github.rename_repo(repo="octo-org/tool", to="new-owner/tool")
    m = mount()
    for repo in ("octo-org/tool", "new-owner/tool"):
        assert branches(m, repo) == {"main": [runs[0]], "fix/it": [runs[1]],
                                     "someone:main": [fork]}


def test_s18_forks_are_known_by_ids_and_deleted_ones_have_a_name(github, mount):
    """GitHub's filter by branch brings the runs of all of them."""
    runs = {name: str(github.add_run(REPO, branch=branch, head_repo=head))
            for name, branch, head in (
                ("main", "main", None), ("unknown:main", "main", ""),
                ("octo:main", "main", "octo/hello-fork"), ("someone:main", "main", "someone/hello"),
                ("unknown:fix/it", "fix/it", ""), ("octo:fix/it", "fix/it", "octo/hello-2"))}
    m = mount()
    assert branches(m) == {name: [one] for name, one in runs.items()}
    again = mount(runs=1)       # all but one are beyond the recent runs
    for name, one in runs.items():
        assert listing(again.repo() / "branches" / name)[-1:] == [one], name
    assert listing(again.repo() / "branches/SomeOne:main") == [runs["someone:main"]]


def test_s19_a_branch_whose_name_is_too_long_to_be_asked_for_opens(github, mount):
    made = str(github.add_run(REPO, branch="ветка/" * 15 + "x" * 100))
    deep = str(github.add_run(REPO, branch="/".join(["y" * 120] * 8)))
    m = mount()
    assert walk(m)
    assert sorted(one for runs in branches(m).values() for one in runs) == sorted((made, deep))


def test_s18_failed_jobs_of_a_stale_list_can_be_read(github, mount):
    made = github.add_run(REPO, conclusion="failure")
    failed_job(github, made)
    github.index(repo=REPO, state="empty")
    m = mount()
    assert out("grep", "-c", "needle", m.repo() / "failed" / str(made) / "build" /
               "02-Run make.txt", text=True) == "1\n"
