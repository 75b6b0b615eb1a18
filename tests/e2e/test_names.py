"""S12 and R8: names, numbers and lists that a hostile server could send."""

import base64
import errno
import json
import os
import re

import pytest

from fake.asking import Asker
from mounting import REPO, REPORTS, fails, out, run, traffic
from treeing import PLAIN, concatenated, cleaned, cut_job, listing, stamped, steps_of

EMOJI = "\U0001f9ea"
HOSTILE = {
    "slashes": ("../x", "_..∕x"),
    "absolute": ("/etc/passwd", "∕etc∕passwd"),
    "newline": ("a\nb", "a_b"),
    "escape": ("\x1b[31mred\x1b[0m", "_[31mred_[0m"),
    "controls": ("\x01\x7f\x9b", "___"),
    "spaces": (" a  b ", "_ a  b "),
    "quotes": ("'\"`$(x)\\*?", "'\"`$(x)\\*?"),
    "bidi": ("‮txt.exe", "‮txt.exe"),
    "emoji": (EMOJI * 75, EMOJI * 63),
    "letters": ("x" * 1000, "x" * 255),
    "mixed cut": ("x" * 254 + "é", "x" * 254),
    "dash": ("-rf", "_-rf"),
    "dashes": ("-" * 300, "_" + "-" * 254),
    "option": ("--checkpoint=1", "_--checkpoint=1"),
    "hidden": (".NET 8 (windows-latest)", "_.NET 8 (windows-latest)"),
    "home": ("~root", "_~root"),
    "plus": ("+!id", "_+!id"),
    "pipe": ("|id", "_|id"),
    "log": ("log", "log"),
    "matrix": ("build (ubuntu, 3.12)", "build (ubuntu, 3.12)"),
}
USED = {".": "_.", "..": "_..", "run.json": "run.json (%d)", "attempts": "attempts (%d)",
        "": "_ (%d)"}


@pytest.mark.parametrize("kind", HOSTILE)
def test_s12_names_of_jobs(github, mount, kind):
    given, shown = HOSTILE[kind]
    made = github.add_run(REPO)
    cut_job(github, made, name=given)
    folder = mount().repo() / "runs" / str(made)
    assert listing(folder) == ["run.json", shown]
    assert concatenated(folder / shown) == cleaned(stamped(PLAIN))
    assert re.fullmatch(r"(\.\./)+jobs/\d+/log", os.readlink(folder / shown / "log"))


def test_s12_names_that_the_tree_uses(github, mount):
    made = github.add_run(REPO, attempts=2)
    jobs = {name: cut_job(github, made, name=name, attempt=2) for name in USED}
    folder = mount().repo() / "runs" / str(made)
    shown = [USED[name] % job if "%d" in USED[name] else USED[name] for name, job in jobs.items()]
    assert listing(folder) == ["run.json", *shown, "attempts"]
    for name in shown:
        assert concatenated(folder / name) == cleaned(stamped(PLAIN))
    assert json.loads((folder / "run.json").read_bytes())["id"] == made


def test_s12_of_equal_names_the_lowest_id_keeps_the_bare_one(github, mount):
    made = github.add_run(REPO)
    ids = [github.add_job(made, name="same", size=100, id=number)
           for number in (31000000005, 31000000003, 31000000004)]
    other = github.add_job(made, name="same (31000000004)", size=100, id=31000000009)
    folder = mount().repo() / "runs" / str(made)
    assert sorted(listing(folder)) == sorted([
        "run.json", "same", "same (31000000005)", "same (31000000004)",
        "same (31000000004) (%d)" % other])
    where = {name: os.readlink(folder / name / "log").split("/")[-2]
             for name in listing(folder)[1:]}
    assert where["same"] == "31000000003" and len(ids) == 3
    assert where["same (31000000004)"] == "31000000004"


def test_s12_names_equal_only_when_cut_or_cleaned(github, mount):
    made = github.add_run(REPO)
    names = ["y" * 300, "y" * 299 + "z", "a\nb", "a_b", EMOJI * 100, EMOJI * 64]
    for name in names:
        github.add_job(made, name=name, size=100)
    shown = listing(mount().repo() / "runs" / str(made))[1:]
    assert len(set(shown)) == 6 and all(len(name.encode()) <= 255 for name in shown)
    assert all(name.encode().decode() == name for name in shown), "cut on a character boundary"
    assert [bool(re.search(r" \(\d+\)$", name)) for name in shown] == 3 * [False, True]


@pytest.mark.parametrize("kind", HOSTILE)
def test_s12_names_of_steps(github, mount, kind):
    given, _ = HOSTILE[kind]
    made = github.add_run(REPO)
    parts = [(given, PLAIN[0][1]), *PLAIN[1:]]
    cut_job(github, made, parts)
    folder = mount().repo() / "runs" / str(made) / "build"
    shown = listing(folder)
    assert len(shown) == 4 and all(re.fullmatch(r"0\d-[^/\x00-\x1f]*\.txt", name) for name in shown)
    assert all(len(name.encode()) <= 255 for name in shown)
    assert concatenated(folder) == cleaned(stamped(PLAIN))


@pytest.mark.parametrize("branch,shown", (
    ("../x", ["_..", "x"]), ("a/./b", ["a", "_.", "b"]), ("..", ["_.."]), (".git", ["_.git"]),
    ("x.lock", ["x.lock (branch)"]), ("-x", ["_-x"]), ("fix/-rf/+x", ["fix", "_-rf", "_+x"]),
    ("_-x", ["_-x"]), ("a/~b/ c", ["a", "_~b", "_ c"]),
    ("a\nb", ["a_b"]), ("\x1b]0;x\x07", ["_]0;x_"]), ("5/6", ["5 (branch)", "6 (branch)"]),
    ("x" * 300, ["x" * 255]), ("a//b/", ["a", "_ (branch)", "b", "_ (branch)"])), ids=repr)
def test_s12_branches(github, mount, branch, shown):
    made = github.add_run(REPO, branch=branch)
    folder = mount().repo() / "branches"
    for part in shown:
        assert listing(folder) == [part]
        folder /= part
    assert listing(folder) == [str(made)]
    assert "run.json" in listing(folder / str(made))


def test_s12_owners_of_forks(github, mount):
    """They are data too."""
    one = github.add_run(REPO, branch="main", head_repo="some-one/hello")
    rewrite(github, "/actions/runs", lambda body: body["workflow_runs"][0]["head_repository"][
        "owner"].update(login="../../up"))
    top = mount().repo() / "branches"
    assert listing(top) == ["_..∕..∕up:main"]
    assert listing(top / "_..∕..∕up:main") == [str(one)]


@pytest.mark.parametrize("path,shown", (
    ("..", "_.."), ("x/..", "_.."), ("a\nb", "a_b"), ("x/" + "y" * 300, "y" * 200),
    ("-x.yml", "_-x.yml"), (".x.yml", "_.x.yml"), (".gitignore", "_.gitignore")), ids=repr)
def test_s12_workflows(github, mount, path, shown):
    made = github.add_run(REPO, file=path)
    number = Asker(github)("/repos/%s/actions/workflows" % REPO).json["workflows"][0]["id"]
    top = mount().repo() / "workflows"
    shown = shown % number if "%d" in shown else shown
    name, = listing(top)
    assert name.startswith(shown[:200]) and len(name.encode()) <= 255
    assert listing(top / name) == [str(made)]


def test_tools_live_with_such_names(github, mount, folder):
    made = github.add_run(REPO)
    for given, _ in HOSTILE.values():
        cut_job(github, made, name=given)
    m = mount()
    there = m.repo() / "runs" / str(made)
    count = len(HOSTILE) * 4 + 1
    assert out("find", there, "-type", "f", "-print0").count(b"\0") == count
    assert out("tar", "-C", there, "-cf", "-", ".").count(b"ustar") >= count
    run("rsync", "-a", "%s/" % there, folder / "copy")
    run("diff", "-r", there, folder / "copy")
    assert not set(out("ls", "-1R", there)) & set(b"\x1b\x07\x9b\x01"), "safe to look at"


# --- names that tools take for something else ----------------------------------------------------

PROOF = "touch $PROOF"          # what none of these names may make a tool do
TRAPS = ("--checkpoint=1", "--checkpoint-action=exec=%s" % PROOF, "-rf", "--help", "-", "--",
         "+!%s;" % PROOF, "|%s;" % PROOF, ".NET 8 (windows-latest)", ".", "..", ".git",
         "~root", "~", " lead", "build")
MISLEADING = tuple("-+|~. ")


def shell(where, folder, line):
    """What a line of shell prints in this directory; it must neither fail nor complain."""
    done = run("env", "PROOF=%s" % (folder / "proof"), "OUT=%s" % folder, "SHELL=/bin/sh",
               "bash", "-c", "set -o pipefail; " + line, cwd=where, text=True)
    assert done.stderr == "", line
    assert not (folder / "proof").exists(), "%s ran what a job is called" % line
    return done.stdout


COUNTED = {     # each prints one line for each job
    "ls": "ls | grep -v json",
    "glob": 'for d in */; do test -d "$d" && echo "$d"; done',
    "read": 'ls -d */ | while read name; do ls -d "$name"; done',
    "xargs": "ls -d */ | xargs -I{} ls -d {}",
    "tar": "tar cf $OUT/x * && tar tf $OUT/x | grep 02-",
    "tar -C": "mkdir $OUT/c && tar cf - * | tar -C $OUT/c -xf - && find $OUT/c -name '02-*'",
    "cp": "mkdir $OUT/c && cp -r * $OUT/c && ls $OUT/c | grep -v json",
    "rsync": "mkdir $OUT/c && rsync -a * $OUT/c && ls $OUT/c | grep -v json",
    "grep": "grep -c needle */*.txt | grep ':1$'",
    "grep -r": "grep -rl needle * | grep 02-",
    "rg": "rg --no-config -l needle . | grep 02-",
    "rg *": "rg --no-config -l needle * | grep 02-",
    "find *": "find * -name '02-*'",
    "wc": "wc -l */02-*.txt | grep -v total",
    "head": "head -n 1 */02-*.txt | grep '==>'",
    "cat": "cat */*.txt | grep needle",
    "less": "less */*.txt | grep needle",
    "sort": "sort -m */02-*.txt | grep needle",
    "perl": "perl -ne 'print if /needle/' */*.txt",
    "awk": "awk '/needle/' */*.txt",
}


@pytest.fixture
def traps(github, mount):
    made = github.add_run(REPO)
    for name in TRAPS:
        cut_job(github, made, name=name)
    return mount().repo() / "runs" / str(made)


@pytest.mark.parametrize("tool", COUNTED)
def test_s12_no_name_is_an_option_or_hidden(traps, folder, tool):
    """Anyone who opens a pull request chooses a job's name."""
    printed = shell(traps, folder, COUNTED[tool])
    assert len(printed.splitlines()) == len(TRAPS), printed


def test_s12_no_view_shows_a_name_that_misleads(github, mount):
    """Names of jobs, steps, workflows, branches and owners of forks; what is shown opens."""
    for name in TRAPS:
        made = github.add_run(REPO, attempts=2, branch=name, file=name)
        github.add_run(REPO, branch="a/%s/b" % name, file="x/" + name)
        github.add_run(REPO, branch=name, head_repo="%s/hello" % name)
        for attempt in (1, 2):
            cut_job(github, made, [(name, PLAIN[0][1]), *PLAIN[1:]], name=name, attempt=attempt)
    m = mount(runs=100)
    shown = out("find", m.repo(), "-mindepth", "1", "-printf", "%f\\0", text=True).split("\0")
    assert len(shown) > 10 * len(TRAPS)
    assert not [name for name in shown if name.startswith(MISLEADING)]


@pytest.mark.parametrize("what,given,typed", (
    ("file", "-x.yml", "workflows/_-x.yml"), ("file", ".x.yml", "workflows/_.x.yml"),
    ("file", "_-x.yml", "workflows/_-x.yml"),
    ("branch", "fix/-x", "branches/fix/_-x"), ("branch", "fix/_-x", "branches/fix/_-x"),
    ("branch", "+a/-b/7", "branches/_+a/_-b/7 (branch)")), ids=repr)
@pytest.mark.parametrize("recent", (30, 2))
def test_s12_a_typed_name_is_mapped_back(github, mount, what, given, typed, recent):
    """The name that is shown and the one that GitHub has, with and without a recent run of it."""
    made = github.add_run(REPO, **{what: given})
    github.bulk(REPO, 4, 1, 100)
    root = mount(runs=recent, fresh=600).repo()
    raw = root / typed.split("/")[0] / given
    assert listing(root / typed) == [str(made)]
    assert given.endswith("/7") or listing(raw) == [str(made)]
    assert traffic(github).api <= 4


def test_s12_of_branches_of_equal_names_the_oldest_known_keeps_the_bare_one(github, mount):
    runs = {name: github.add_run(REPO, branch=name)
            for name in ("fix/-x", "fix/_-x", "fix/_-x/deep")}
    top = mount().repo() / "branches" / "fix"
    other = "_-x (%d)" % runs["fix/_-x"]
    assert sorted(listing(top)) == sorted(["_-x", other])
    assert listing(top / "_-x") == [str(runs["fix/-x"])]
    assert sorted(listing(top / other)) == sorted(["deep", str(runs["fix/_-x"])])
    assert listing(top / other / "deep") == [str(runs["fix/_-x/deep"])]


def test_s12_of_workflows_of_equal_names_the_lowest_id_keeps_the_bare_one(github, mount):
    runs = [github.add_run(REPO, file=name) for name in ("-x.yml", "_-x.yml")]
    top = mount().repo() / "workflows"
    second = max(w["id"] for w in
                 Asker(github)("/repos/%s/actions/workflows" % REPO).json["workflows"])
    assert sorted(listing(top)) == sorted(["_-x.yml", "_-x.yml (%d)" % second])
    assert listing(top / "_-x.yml") == [str(runs[0])]
    assert listing(top / ("_-x.yml (%d)" % second)) == [str(runs[1])]


# --- bodies --------------------------------------------------------------------------------------

def rewrite(github, path, change, times=-1, headers=None):
    """From now on the API answers this question with a body that was tampered with."""
    body = Asker(github)("/repos/%s%s" % (REPO, path)).json
    body = change(body) or body
    github.fault("status", hop="api", path=path, times=times, status=200, body=body,
                 headers=headers or {})


def blank(body, keep, how):
    """Every field but a few is null or missing."""
    if isinstance(body, list):
        return [blank(item, keep, how) for item in body]
    if not isinstance(body, dict):
        return body
    kept = {}
    for key, value in body.items():
        if key in keep:
            kept[key] = blank(value, keep, how)
        elif how == "null":
            kept[key] = None
    return kept


@pytest.mark.parametrize("how", ("null", "missing"))
def test_fields_that_are_null_or_missing(github, mount, how):
    made = github.add_run(REPO)
    job = github.add_job(made, size=5050)
    keep = {"id", "workflow_runs", "jobs"}
    for path in ("/actions/runs/%d/attempts/1/jobs" % made, "/actions/jobs/%d" % job):
        rewrite(github, path, lambda body: blank(body, keep, how))
    rewrite(github, "/actions/runs", lambda body: blank(body, keep, how))
    m = mount()
    root = m.repo()
    assert listing(root / "runs") == [str(made)] and listing(root / "jobs") == [str(job)]
    assert os.readlink(root / "latest") == "runs/%d" % made
    assert listing(root / "branches") == [] == listing(root / "workflows")
    assert listing(root / "runs" / str(made)) == ["run.json", "_ (%d)" % job]
    assert listing(root / "runs" / str(made) / ("_ (%d)" % job)) == [], "it may still run"
    assert json.loads((root / "runs" / str(made) / "run.json").read_bytes())["id"] == made
    assert m.json(job).stat().st_size
    run("ls", "-laR", root)


WRONG = {"names are numbers": {"name": 5, "head_branch": 7, "path": 9},
         "times are words": {"created_at": "soon", "completed_at": [], "updated_at": {}},
         "times are far off": {"created_at": "9999-12-31T23:59:59Z", "updated_at":
                               "0000-00-00T00:00:00Z", "completed_at": "1901-01-01T00:00:00Z"},
         "steps are words": {"steps": "none"}, "steps hold null": {"steps": [None, 1, "x", []]},
         "attempt is huge": {"run_attempt": 99999999999},
         "status is new": {"status": "levitating", "conclusion": "transcended"}}


@pytest.mark.parametrize("kind", WRONG)
def test_fields_of_other_types(github, mount, kind):
    made = github.add_run(REPO)
    job = github.add_job(made, size=5050)
    rewrite(github, "/actions/runs/%d/attempts/1/jobs" % made,
            lambda body: body["jobs"][0].update(WRONG[kind]))
    rewrite(github, "/actions/runs", lambda body: body["workflow_runs"][0].update(WRONG[kind]))
    m = mount()
    root = m.repo()
    assert listing(root / "runs") == [str(made)]
    done = run("ls", "-laR", root, check=False)
    assert done.returncode in (0, 1, 2)
    assert len(m.log(job).read_bytes()) == 5050
    assert m.process.poll() is None


@pytest.mark.parametrize("number", (0, -1, 2**53, 2**53 + 1, 2**63, 2**64, 10**30, 1.5, "7", None))
def test_ids_that_are_none(github, mount, number):
    """A clear errno; nothing is shown under another's number."""
    github.add_run(REPO)
    rewrite(github, "/actions/runs", lambda body: body["workflow_runs"][0].update(id=number))
    m = mount()
    with fails("EPROTO"):
        listing(m.repo() / "runs")
    assert m.process.poll() is None


def test_the_largest_ids(github, mount, make_github):
    server = make_github()
    made = server.add_run(REPO, id=2**53 - 1)
    job = server.add_job(made, id=2**53 - 1, size=5050)
    m = mount(github=server)
    assert listing(m.repo() / "runs") == [str(2**53 - 1)] == listing(m.repo() / "jobs")
    assert json.loads(m.json(job).read_bytes())["id"] == 2**53 - 1
    assert listing(m.repo() / "runs" / str(made)) == ["run.json", "build"]
    assert len(m.log(job).read_bytes()) == 5050


@pytest.mark.parametrize("form", ("malformed", "truncated", "deep", "html", "empty"))
def test_bodies_that_are_no_json(github, mount, form):
    cut_job(github, github.add_run(REPO))
    github.fault("json", hop="api", path="/actions/runs", times=-1, form=form)
    m = mount()
    for view in ("jobs", "runs", "failed", "branches", "workflows", "commits", "pulls"):
        with fails("EPROTO"):
            listing(m.repo() / view)
    assert traffic(github).api <= 4, "garbage is not asked for again at once"


def test_names_with_nul(github, mount):
    made = github.add_run(REPO)
    job = github.add_job(made, name="\0hidden", size=5050)
    m = mount()
    try:
        assert listing(m.repo() / "runs" / str(made)) == ["run.json", "_ (%d)" % job]
    except OSError as error:
        assert errno.errorcode[error.errno] == "EPROTO"
    assert len(m.log(job).read_bytes()) == 5050


@pytest.mark.parametrize("count", (10_001, 100_000))
def test_more_steps_than_are_looked_at(github, mount, count):
    made = github.add_run(REPO)
    job = github.add_job(made, size=5050)
    many = [{"number": n} for n in range(1, count + 1)]
    rewrite(github, "/actions/runs/%d/attempts/1/jobs" % made,
            lambda body: body["jobs"][0].update(steps=many))
    m = mount()
    for path in ("jobs", "runs/%d" % made):
        with fails("EPROTO"):
            listing(m.repo() / path)
    assert listing(m.repo() / "runs") == [str(made)]
    assert len(m.log(job).read_bytes()) == 5050, "what does not need them works"


@pytest.mark.parametrize("what", ("the same page", "empty pages", "new pages"))
def test_pages_without_end(github, mount, what):
    """Link: next for ever. Bounded in requests, and never a listing cut short in silence."""
    made = github.add_run(REPO)
    jobs = [github.add_job(made, size=100) for _ in range(3)]
    path = "/actions/runs/%d/attempts/1/jobs" % made
    link = {"Link": '<%s/repos/%s%s?per_page=100&page=2>; rel="next"' % (github.api, REPO, path)}
    rewrite(github, path, lambda body: body.update(
        {"empty pages": {"jobs": []}, "new pages": {"total_count": 10**9}}.get(what, {})),
            headers=link)
    m = mount(fresh=600, deadline=20)
    try:
        got = listing(m.repo() / "jobs")
        assert got in ([str(job) for job in jobs], []), got
    except OSError as error:
        assert error.errno
    assert traffic(github).api <= 102
    assert m.process.poll() is None


def test_a_page_of_more_than_was_asked_for(github, mount):
    made = github.add_run(REPO)
    github.add_job(made, size=100)
    path = "/actions/runs/%d/attempts/1/jobs" % made

    def crowd(body):
        job = body["jobs"][0]
        body["jobs"] = [dict(job, id=job["id"] + n, name="n%d" % n) for n in range(900)]
    rewrite(github, path, crowd)
    assert len(listing(mount().repo() / "jobs")) == 900


def test_one_run_twice_in_a_listing(github, mount):
    """New runs push old ones from page to page; each is shown once."""
    made = github.add_run(REPO)
    rewrite(github, "/actions/runs", lambda body: body.update(
        workflow_runs=3 * body["workflow_runs"]))
    assert listing(mount().repo() / "runs") == [str(made)]


def test_repositories_of_impossible_names(github, mount):
    """What could not be looked up is not listed."""
    body = Asker(github)("/user/repos").json
    names = ["..", ".", "a/b", "x.git", "a\nb", "ok", "x" * 101]
    for path in ("/user/repos", "/octo/repos"):
        github.fault("status", hop="api", path=path, times=-1, status=200, body=[
            dict(body[0], id=5000 + n, name=name, full_name="octo/" + name)
            for n, name in enumerate(names)])
    m = mount()
    assert listing(m.path) == ["octo"]
    assert listing(m.path / "octo") == ["ok"]


def test_logs_of_nothing_but_odd_bytes(github, mount):
    made = github.add_run(REPO)
    for name, raw in (("zeros", bytes(300_000)), ("escapes", b"\x1b[" * 100_000),
                      ("newlines", b"\n" * 200_000), ("marks", b"\xef\xbb\xbf" * 100_000),
                      ("random", os.urandom(300_000))):
        job = github.op("add_job", run=made, name=name, steps=steps_of(PLAIN),
                        log={"text": base64.b64encode(raw).decode()})
    m = mount()
    folder = m.repo() / "runs" / str(made)
    for name in listing(folder)[1:]:
        job = int(os.readlink(folder / name / "log").split("/")[-2])
        text = (m.folder(job) / "log.txt").read_bytes()
        assert concatenated(folder / name) == text
        assert text.count(b"\n") == m.log(job).read_bytes().count(b"\n")
        assert not set(text) & (set(range(32)) - {9, 10} | {127}), name
    assert not REPORTS.search(m.stderr)
