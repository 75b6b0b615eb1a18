"""The loopback GitHub is as documented: real where GitHub is known, wrong only on demand."""

import concurrent.futures
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

import pytest

from fake import FakeError, FakeGitHub, content
from fake.asking import AGENT, Asker, get, one_job, split
from fake.schema import Description

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SUBSET = os.path.join(ROOT, "..", "shared", "real", "openapi-actions-subset.json")


# --- made-up logs --------------------------------------------------------------------------------

def test_content_is_a_pure_function_of_job_and_offset():
    whole = content.content(42, 0, 3 * content.BLOCK)
    for offset, length in ((0, 1), (100, 3), (content.BLOCK - 5, 10), (1234567, 1000000)):
        assert content.content(42, offset, length) == whole[offset:offset + length]
    assert content.content(43, 0, 1000) != whole[:1000]


def test_content_lines_are_numbered_timestamped_and_of_one_length():
    lines = content.content(7, 999_000 * content.LINE, 2000 * content.LINE).splitlines(True)
    assert len(lines) == 2000
    for number, line in enumerate(lines, 999_000):
        assert len(line) == content.LINE and line.endswith(b"\n")
        assert re.match(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z job 0{15}7 line %010d " % number,
                        line)
    assert [line[:28] for line in lines] == sorted(line[:28] for line in lines)


def test_content_shows_where_a_byte_is_wrong():
    data = bytearray(content.content(9, 5000, 100_000))
    assert content.first_difference(9, 5000, data) == -1
    data[77_777] ^= 1
    assert content.first_difference(9, 5000, data) == 77_777


@pytest.mark.parametrize("size", [0, 50_000, 50_580, 151_500, 151_590, 1_000_000])
def test_needles_are_counted_without_reading(size):
    assert content.content(3, 0, size).count(content.NEEDLE) == content.needles(size)


# --- the process ---------------------------------------------------------------------------------

def start_script(*arguments):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "server.py")
    return subprocess.Popen([sys.executable, script, *arguments], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)


def test_server_as_script_ends_with_its_stdin():
    process = start_script()
    said = json.loads(process.stdout.readline())
    assert get(said["api"] + "/rate_limit", AGENT).status == 200
    process.stdin.close()
    assert process.wait(5) == 0
    process.stdout.close()


def test_server_that_stays_ends_at_sigterm():
    process = start_script("--stay", "--bulk", "octo/hello,1,2,100")
    said = json.loads(process.stdout.readline())
    process.stdin.close()
    time.sleep(0.2)
    assert get(said["api"] + "/repos/octo/hello/actions/runs", AGENT).json["total_count"] == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    process.stdout.close()


def test_folder_and_operations_from_the_command_line(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_bytes(b"one\n")
    (tmp_path / "logs" / "b.log").write_bytes(b"two\n" * 2_000_000)
    (tmp_path / "ops.json").write_text('[{"op": "add_repo", "repo": "octo/more"}]')
    control = ("--control", str(tmp_path / "ops.json"))
    with FakeGitHub(*control, logs=tmp_path / "logs") as github:
        ask = Asker(github)
        assert ask("/repos/octo/more").status == 200
        run = ask("/repos/octo/logs/actions/runs").json["workflow_runs"][0]["id"]
        jobs = ask("/repos/octo/logs/actions/runs/%d/jobs" % run).json["jobs"]
        assert [job["name"] for job in jobs] == ["a", "b"]
        assert get(ask.signed(jobs[1]["id"], "octo/logs")).body == b"two\n" * 2_000_000
        part = get(ask.signed(jobs[1]["id"], "octo/logs"), {"Range": "bytes=4000003-4000005"})
        assert part.body == b"\ntw"


def test_control_reports_what_is_wrong(github):
    for call in (lambda: github.add_run("octo/none"), lambda: github.op("nonsense"),
                 lambda: github.fault("nonsense"), lambda: github.add_job(1),
                 lambda: github.add_repo("octo/x", colour="red")):
        with pytest.raises(FakeError):
            call()


# --- JSON and the OpenAPI description ------------------------------------------------------------

@pytest.fixture(scope="module")
def description():
    if not os.path.exists(SUBSET):
        pytest.skip("the OpenAPI subset is not here (../shared/real)")
    with open(SUBSET, encoding="utf-8") as file:
        return Description(json.load(file))


REPO = "/repos/{owner}/{repo}"
BODIES = [
    (REPO, ""), (REPO + "/branches", "/branches"), (REPO + "/pulls", "/pulls"),
    (REPO + "/actions/runs", "/actions/runs"),
    (REPO + "/actions/runs/{run_id}", "/actions/runs/RUN"),
    (REPO + "/actions/runs/{run_id}/attempts/{attempt_number}", "/actions/runs/RUN/attempts/1"),
    (REPO + "/actions/runs/{run_id}/jobs", "/actions/runs/RUN/jobs?filter=all"),
    (REPO + "/actions/runs/{run_id}/attempts/{attempt_number}/jobs",
     "/actions/runs/RUN/attempts/2/jobs"),
    (REPO + "/actions/jobs/{job_id}", "/actions/jobs/JOB"),
    (REPO + "/actions/workflows", "/actions/workflows"),
    (REPO + "/actions/workflows/{workflow_id}", "/actions/workflows/ci.yml"),
    (REPO + "/actions/workflows/{workflow_id}/runs", "/actions/workflows/ci.yml/runs"),
    ("/user", "/user"), ("/user/repos", "/user/repos"), ("/rate_limit", "/rate_limit"),
    ("/users/{username}/repos", "/users/octo/repos"), ("/orgs/{org}/repos", "/orgs/corp/repos"),
]


@pytest.mark.parametrize("template, path", BODIES, ids=[path or "/" for _, path in BODIES])
def test_bodies_fit_the_description(github, ask, description, template, path):
    github.add_repo("corp/secret", private=True, owner_type="Organization")
    run = github.add_run("octo/hello", attempts=2, head_repo="forker/hello", branch="feature/x")
    github.add_job(run, attempt=1, name="old", conclusion="failure")
    github.add_job(run, name="skipped", conclusion="skipped")
    github.add_job(run, name="waiting", status="queued")
    job = github.add_job(run, name="running", status="in_progress")
    github.add_run("octo/hello", branch="feature/y")
    github.add_pull(repo="octo/hello", branch="feature/y")
    github.add_pull(repo="octo/hello", branch="feature/x", head_repo="forker/hello")
    path = path.replace("RUN", str(run)).replace("JOB", str(job))
    reply = ask(("/repos/octo/hello" if template.startswith(REPO) else "") + path)
    assert reply.status == 200
    assert description.problems(reply.json, description.response_schema(template)) == []


def test_a_pull_request_fits_the_description(github, ask, description):
    """That of a list: it is all that is described here, and GitHub gives more for one alone."""
    number = github.add_pull(repo="octo/hello", head_repo="forker/hello")
    reply = ask("/repos/octo/hello/pulls/%d" % number)
    assert description.problems(reply.json, description.component("pull-request-simple")) == []


@pytest.mark.parametrize("path, status", [("/repos/octo/none", 404), ("/nothing", 404)])
def test_errors_fit_the_description(ask, description, path, status):
    reply = ask(path)
    assert (reply.status, reply.json["status"]) == (status, str(status))
    assert reply.json["message"] == "Not Found"
    assert description.problems(reply.json, description.component("basic-error")) == []


def test_the_validator_sees_what_is_wrong(description, github, ask):
    schema = description.component("job")
    job = ask("/repos/octo/hello/actions/jobs/%d" % one_job(github)).json
    for change in ({"id": "7"}, {"status": "odd"}, {"name": None}, {"started_at": "today"},
                   {"steps": [{"name": "x"}]}):
        assert description.problems(dict(job, **change), schema)
    del job["run_id"]
    assert description.problems(job, schema) == ["$: no run_id"]


# --- pull requests -------------------------------------------------------------------------------

def test_a_pull_request_by_itself(github, ask):
    sha = "ab" * 20
    first = github.add_pull(repo="octo/hello", branch="fix", sha=sha)
    gone = github.add_pull(repo="octo/hello", head_repo="", state="closed")
    assert (first, gone) == (1, 2)
    reply = ask("/repos/octo/hello/pulls/1")
    assert (reply.json["number"], reply.json["head"]["sha"]) == (1, sha)
    assert ask("/repos/octo/hello/pulls/2").json["head"]["repo"] is None
    assert ask("/repos/octo/hello/pulls/3").status == 404
    assert [pull["number"] for pull in ask("/repos/octo/hello/pulls").json] == [1]
    github.set_pull(repo="octo/hello", number=1, sha="cd" * 20)
    again = ask("/repos/octo/hello/pulls/1", {"If-None-Match": reply.headers["etag"]})
    assert (again.status, again.json["head"]["sha"]) == (200, "cd" * 20)


def test_a_token_without_the_right_to_read_pull_requests(github, ask):
    github.add_pull(repo="octo/hello")
    github.op("token", value="narrow", pulls=False)
    auth = {"Authorization": "Bearer narrow"}
    assert ask("/repos/octo/hello/pulls/1", auth).status == 403
    assert ask("/repos/octo/hello/actions/runs", auth).status == 200


def test_runs_name_the_open_pull_requests_of_their_branch_but_none_of_a_fork(github, ask):
    """A fork's own runs name those of the repository it was made from."""
    for repo in ("octo/tool", "maker/tool"):
        github.add_repo(repo)
    runs = {"own": github.add_run("octo/tool", branch="fix"),
            "fork": github.add_run("octo/tool", branch="work", head_repo="maker/tool"),
            "main": github.add_run("octo/tool")}
    there = github.add_run("maker/tool", branch="work")
    for fields in ({"branch": "fix"}, {"branch": "fix", "state": "closed"},
                   {"branch": "work", "head_repo": "maker/tool"}):
        github.add_pull(repo="octo/tool", **fields)
    named = {run["id"]: [pull["number"] for pull in run["pull_requests"]]
             for run in ask("/repos/octo/tool/actions/runs").json["workflow_runs"]}
    assert named == {runs["own"]: [1], runs["fork"]: [], runs["main"]: []}
    pull, = ask("/repos/maker/tool/actions/runs/%d" % there).json["pull_requests"]
    assert (pull["number"], pull["base"]["repo"]["url"].split("/")[-2:]) == (3, ["octo", "tool"])


@pytest.mark.parametrize("state,found", (("fresh", 2), ("stale", 1), ("empty", 0)))
def test_runs_of_a_commit_come_from_the_index_by_the_whole_name(github, ask, state, found):
    sha = "ab" * 20
    github.add_run("octo/hello", sha=sha)
    github.index(repo="octo/hello", state=state)
    github.add_run("octo/hello", sha=sha)
    github.add_run("octo/hello")
    for given, count in ((sha, found), (sha[:39], 0), (sha[:7], 0)):
        reply = ask("/repos/octo/hello/actions/runs?head_sha=" + given)
        assert (len(run_ids(reply)), reply.json["total_count"]) == (count, count)
    assert len(run_ids(ask("/repos/octo/hello/actions/runs"))) == 3


# --- lists ---------------------------------------------------------------------------------------

def run_ids(reply):
    return [run["id"] for run in reply.json["workflow_runs"]]


def test_runs_come_newest_first_in_pages_with_links(github, ask):
    made = [one["run"] for one in github.bulk("octo/hello", 7, 0, 0)]
    first = ask("/repos/octo/hello/actions/runs?per_page=3")
    assert run_ids(first) == made[:-4:-1] and first.json["total_count"] == 7
    links = dict(reversed(link) for link in re.findall(r'<([^>]+)>; rel="(\w+)"',
                                                       first.headers["link"]))
    assert set(links) == {"next", "last"} and "/repositories/" in links["next"]
    following = get(links["next"], ask.auth)
    assert run_ids(following) == made[3:0:-1]
    last = get(links["last"], ask.auth)
    assert run_ids(last) == made[:1]
    assert 'rel="prev"' in last.headers["link"] and 'rel="next"' not in last.headers["link"]


def test_page_size_is_30_and_at_most_100(github, ask):
    github.bulk("octo/hello", 120, 0, 0)
    assert len(run_ids(ask("/repos/octo/hello/actions/runs"))) == 30
    assert len(run_ids(ask("/repos/octo/hello/actions/runs?per_page=500"))) == 100


def test_run_filters(github, ask):
    main = github.add_run("octo/hello", actor="ann", created_at="2026-02-01T00:00:00Z")
    fork = github.add_run("octo/hello", branch="fix", head_repo="forker/hello",
                          event="pull_request", conclusion="failure",
                          created_at="2026-03-01T00:00:00Z")
    live = github.add_run("octo/hello", file="nightly.yml", workflow="Nightly", event="schedule",
                          status="in_progress", created_at="2026-04-01T00:00:00Z")
    for query, wanted in (("branch=fix", [fork]), ("status=failure", [fork]),
                          ("status=completed", [fork, main]), ("status=in_progress", [live]),
                          ("event=schedule", [live]), ("actor=ANN", [main]),
                          ("created=%3E%3D2026-03-01", [live, fork]),
                          ("created=2026-01-01..2026-02-28", [main]), ("branch=none", [])):
        assert run_ids(ask("/repos/octo/hello/actions/runs?" + query)) == wanted, query
    flows = ask("/repos/octo/hello/actions/workflows").json["workflows"]
    number, = [flow["id"] for flow in flows if flow["name"] == "Nightly"]
    for name in ("nightly.yml", number):
        assert run_ids(ask("/repos/octo/hello/actions/workflows/%s/runs" % name)) == [live]
    head = ask("/repos/octo/hello/actions/runs/%d" % fork).json["head_repository"]
    assert (head["full_name"], head["fork"]) == ("forker/hello", True)


def shown_runs(ask, query, path="/actions/runs"):
    reply = ask("/repos/octo/hello%s?%s" % (path, query))
    return [(run["id"], run["conclusion"]) for run in reply.json["workflow_runs"]]


def test_filtered_lists_come_from_an_index_of_their_own(github, ask):
    old = github.add_run("octo/hello", conclusion="failure")
    gone = github.add_run("octo/hello", conclusion="failure")
    github.index(repo="octo/hello", state="stale")
    github.set_run(run=old, conclusion="success")
    github.remove_run(run=gone)
    new = github.add_run("octo/hello", conclusion="failure")
    everything = [(new, "failure"), (old, "success")]
    stale = [(gone, "failure"), (old, "failure")]
    for query in ("status=failure", "branch=main"):
        assert shown_runs(ask, query) == stale
    assert shown_runs(ask, "", "/actions/workflows/ci.yml/runs") == stale
    assert shown_runs(ask, "per_page=5") == everything
    github.index(repo="octo/hello", state="empty")
    assert shown_runs(ask, "branch=main") == [] and shown_runs(ask, "") == everything
    github.index(repo="octo/hello", state="fresh")
    assert shown_runs(ask, "branch=main") == everything


def test_runs_of_deleted_forks_and_of_workflows_without_a_file(github, ask):
    github.add_run("octo/hello", head_repo="", file="", path="somewhere@main")
    run, = ask("/repos/octo/hello/actions/runs").json["workflow_runs"]
    flow, = ask("/repos/octo/hello/actions/workflows").json["workflows"]
    assert run["head_repository"] is None and run["repository"]["full_name"] == "octo/hello"
    assert (run["path"], flow["path"]) == ("somewhere@main", "")


def test_a_fault_can_meet_a_query(github, ask):
    github.add_run("octo/hello")
    github.fault("status", path="/actions/runs", query="status=failure", status=422, times=-1)
    github.fault("status", path="/actions/runs", query="page=2$", status=502, times=-1)
    for query, status in (("per_page=3&status=failure", 422), ("status=timed_out", 200), ("", 200),
                          ("page=2", 502), ("page=2&branch=main", 200)):
        assert ask("/repos/octo/hello/actions/runs?" + query).status == status


def test_filtered_lists_end_after_a_thousand(github, ask):
    github.bulk("octo/hello", 1050, 0, 0)
    path = "/repos/octo/hello/actions/runs?per_page=100&page=%d%s"
    assert len(run_ids(ask(path % (11, "")))) == 50
    assert len(run_ids(ask(path % (10, "&branch=main")))) == 100
    assert run_ids(ask(path % (11, "&branch=main"))) == []


def test_attempts_have_their_own_jobs_and_conclusions(github, ask):
    run = github.add_run("octo/hello", attempts=2)
    old, new = github.add_job(run, attempt=1), github.add_job(run)
    base = "/repos/octo/hello/actions/runs/%d" % run

    def ids(tail):
        return [job["id"] for job in ask(base + tail).json["jobs"]]

    assert ids("/jobs") == [new] and ids("/jobs?filter=all") == [old, new]
    assert ids("/attempts/1/jobs") == [old] and ids("/attempts/2/jobs") == [new]
    assert ask(base + "/attempts/1").json["conclusion"] == "failure"
    assert ask(base).json["run_attempt"] == 2 and ask(base + "/attempts/3").status == 404


@pytest.mark.parametrize("carried", (None, "same", "new"))
def test_what_a_later_attempt_carries_of_jobs_that_did_not_run_again(github, ask, carried):
    run = github.add_run("octo/hello", attempts=3, carried=carried)
    build = github.add_job(run, attempt=1, name="build", size=77)
    tests = [github.add_job(run, attempt=n, name="test") for n in (1, 2, 3)]
    base = "/repos/octo/hello/actions"

    def jobs(number):
        return ask("%s/runs/%d/attempts/%d/jobs" % (base, run, number)).json["jobs"]

    assert [job["id"] for job in jobs(1)] == [build, tests[0]]
    assert [job["id"] for job in jobs(3) if job["steps"]] == [tests[2]]
    assert jobs(2)[0]["id"] == jobs(2)[0]["id"], "an id is given once"
    told = [job for job in jobs(3) if not job["steps"]]
    assert [job["name"] for job in told] == (["build"] if carried else [])
    assert ask("%s/runs/%d/jobs" % (base, run)).json["jobs"] == jobs(3)
    for job in told:
        original = jobs(1)[0]
        assert (job["id"] == build) == (carried == "same") and job["run_attempt"] == 3
        for key in ("started_at", "completed_at", "runner_name", "conclusion"):
            assert job[key] == original[key]
        assert ask("%s/jobs/%d/logs" % (base, job["id"])).status == 302


def test_a_job_may_have_no_runner(github, ask):
    run = github.add_run("octo/hello")
    for runner, told in (("some", (1, "GitHub Actions 1")), ("null", (None, None)),
                         ("empty", (0, "")), ("absent", ("-", "-"))):
        job = github.add_job(run, runner=runner, steps=[])
        body = ask("/repos/octo/hello/actions/jobs/%d" % job).json
        assert (body.get("runner_id", "-"), body.get("runner_name", "-")) == told


def test_repository_lists_by_right_and_affiliation(github, ask):
    github.owner(login="corp", type="Organization")
    github.add_repo("corp/secret", private=True, pushed_at="2026-05-01T00:00:00Z")
    github.op("token", value="limited", login="bob", sees=["octo/hello"])

    def names(path, **options):
        return [repo["full_name"] for repo in ask(path, **options).json]

    limited = {"Authorization": "Bearer limited"}
    assert names("/user/repos?sort=pushed")[0] == "corp/secret"
    assert "corp/secret" not in names("/user/repos?affiliation=owner")
    assert names("/user/repos", headers=limited) == ["octo/hello"]
    assert names("/orgs/corp/repos") == ["corp/secret"]
    assert names("/orgs/corp/repos", token=False) == [] == names("/users/corp/repos")
    assert ask("/orgs/octo/repos").status == 404 and ask("/users/nobody/repos").status == 404


# --- rights, checks, limits ----------------------------------------------------------------------

def test_requests_are_checked_as_github_does(github, ask):
    job = one_job(github)
    log = "/repos/octo/hello/actions/jobs/%d/logs" % job
    no_agent = get(github.api + "/rate_limit", {"User-Agent": ""})
    assert no_agent.status == 403 and b"User-Agent" in no_agent.body
    assert ask("/rate_limit", {"X-GitHub-Api-Version": "1999-01-01"}).status == 400
    bad = ask("/repos/octo/hello", {"Authorization": "Bearer wrong"})
    assert (bad.status, bad.json["message"]) == (401, "Bad credentials")
    assert ask("/repos/octo/hello", token=False).status == 200
    nobody = ask(log, token=False)
    assert (nobody.status, nobody.json["message"]) == (403, "Must have admin rights to Repository.")
    github.op("token", value="meta", logs=False)
    assert ask(log, {"Authorization": "token meta"}).status == 403
    assert ask("/user", token=False).status == 401


def test_private_repository_is_not_found_without_right(github, ask):
    github.add_repo("corp/secret", private=True)
    github.op("token", value="limited", sees=["octo"])
    assert ask("/repos/corp/secret").status == 200
    assert ask("/repos/corp/secret", token=False).status == 404
    assert ask("/repos/corp/secret", {"Authorization": "Bearer limited"}).status == 404


def test_names_are_compared_without_case(github, ask):
    assert ask("/repos/OCTO/Hello").json["full_name"] == "octo/hello"


def test_a_job_belongs_to_its_repository(github, ask):
    github.add_repo("octo/other")
    job = one_job(github)
    assert ask("/repos/octo/hello/actions/jobs/%d" % job).status == 200
    assert ask("/repos/octo/other/actions/jobs/%d" % job).status == 404
    assert ask("/repos/octo/other/actions/jobs/%d/logs" % job).status == 404


def test_renamed_repository_redirects_to_its_id(github, ask):
    number = github.add_repo("octo/new", renamed_from="octo/old")
    github.add_run("octo/new")
    reply = ask("/repos/octo/old/actions/runs?per_page=1")
    assert reply.status == 301 and reply.json["message"] == "Moved Permanently"
    assert reply.headers["location"].endswith("/repositories/%d/actions/runs?per_page=1" % number)
    assert len(run_ids(get(reply.headers["location"], ask.auth))) == 1


def test_etag_makes_304_which_is_not_charged(github, ask):
    path = "/repos/octo/hello/actions/runs"
    first = ask(path)
    used = int(first.headers["x-ratelimit-used"])
    again = ask(path, {"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert int(again.headers["x-ratelimit-used"]) == used
    github.add_run("octo/hello")
    changed = ask(path, {"If-None-Match": first.headers["etag"]})
    assert changed.status == 200 and changed.headers["etag"] != first.headers["etag"]
    assert [e["charged"] for e in github.log()] == [True, False, True]


@pytest.mark.parametrize("status", [403, 429])
def test_primary_limit(github, ask, status):
    github.rate_limit(remaining=1, reset=1.0, status=status)
    assert ask("/repos/octo/hello").headers["x-ratelimit-remaining"] == "0"
    refused = ask("/repos/octo/hello")
    assert refused.status == status and refused.headers["x-ratelimit-remaining"] == "0"
    assert "rate limit exceeded" in refused.json["message"]
    assert ask("/rate_limit").json["resources"]["core"]["remaining"] == 0
    time.sleep(1.1)
    assert ask("/repos/octo/hello").status == 200


def test_secondary_limits(github, ask):
    github.secondary(per_minute=2, retry_after=7, status=429)
    assert [ask("/rate_limit").status for _ in range(3)] == [200, 200, 429]
    assert ask("/rate_limit").headers["retry-after"] == "7"
    github.secondary(concurrent=2)
    github.latency(api_ms=600)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = [reply.status for reply in pool.map(ask, ["/rate_limit"] * 4)]
    assert sorted(found) == [200, 200, 403, 403]


def test_newer_version_has_no_top_level_rate(ask):
    assert "rate" in ask("/rate_limit").json
    assert "rate" not in ask("/rate_limit", {"X-GitHub-Api-Version": "2026-03-10"}).json


def test_gzip_only_for_who_asks(github, ask):
    assert "content-encoding" not in ask("/repos/octo/hello").headers
    packed = ask("/repos/octo/hello", {"Accept-Encoding": "gzip"})
    assert json.loads(gzip.decompress(packed.body))["full_name"] == "octo/hello"


# --- logs and storage ----------------------------------------------------------------------------

def test_log_is_redirected_with_an_empty_body(github, ask):
    job = one_job(github)
    reply = ask("/repos/octo/hello/actions/jobs/%d/logs" % job)
    assert (reply.status, reply.body) == (302, b"")
    assert reply.headers["content-type"].startswith("text/html")
    whole = get(reply.headers["location"])
    assert whole.status == 200 and whole.headers["content-type"] == "text/plain"
    assert whole.body == content.content(job, 0, 5050)
    assert whole.headers["x-ms-blob-type"] == "BlockBlob" and "etag" in whole.headers


@pytest.mark.parametrize("span, status, start, end", [
    ("bytes=0-9", 206, 0, 10), ("bytes=100-", 206, 100, 5050), ("bytes=5049-9999", 206, 5049, 5050),
    ("bytes=-5", 200, 0, 5050), ("bytes=9-3", 200, 0, 5050), ("bytes=0-1,3-4", 200, 0, 5050),
    ("lines=1-2", 200, 0, 5050)])
def test_ranges(github, ask, span, status, start, end):
    job = one_job(github)
    reply = get(ask.signed(job), {"Range": span})
    assert reply.status == status and reply.body == content.content(job, start, end - start)
    wanted = "bytes %d-%d/5050" % (start, end - 1) if status == 206 else None
    assert reply.headers.get("content-range") == wanted


@pytest.mark.parametrize("size, start", [(5050, 5050), (5050, 9999), (0, 0)])
def test_range_past_the_end_is_416(github, ask, size, start):
    reply = get(ask.signed(one_job(github, size=size)), {"Range": "bytes=%d-1048575" % start})
    assert reply.status == 416 and b"<Code>InvalidRange</Code>" in reply.body


def test_x_ms_range_wins(github, ask):
    reply = get(ask.signed(one_job(github)), {"Range": "bytes=0-9", "x-ms-range": "bytes=0-3"})
    assert len(reply.body) == 4


def test_signature_is_checked(github, ask):
    first, second = one_job(github), one_job(github)
    url = ask.signed(first)
    path, query = url.split("?")
    other = ask.signed(second).split("?")[0]
    parts = dict(urllib.parse.parse_qsl(query), se="2099-01-01T00:00:00Z")
    for bad in (path, url[:-6] + "AAAAAA", other + "?" + query,
                path + "?" + urllib.parse.urlencode(parts)):
        reply = get(bad)
        assert reply.status == 403 and b"<Code>AuthenticationFailed</Code>" in reply.body, bad
    assert get(url).status == 200


def test_signed_url_expires(github, ask):
    job = one_job(github)
    github.lifetime(seconds=1)
    url = ask.signed(job)
    assert get(url).status == 200
    time.sleep(1.1)
    assert b"Signature not valid in the specified time frame" in get(url).body
    github.lifetime(seconds=60)
    url = ask.signed(job)
    github.expire_urls()
    assert get(url).status == 403


def test_authorization_on_storage_fails_and_counts_as_leak(github, ask):
    url = ask.signed(one_job(github))
    github.auth_status(status=403)
    reply = get(url, {"Authorization": "Bearer " + github.token})
    assert reply.status == 403 and b"InvalidAuthenticationInfo" in reply.body
    assert github.counters()["token_leaks"] == 1
    entry, = github.log("storage")
    assert entry["had_authorization"] and entry["authorization_known"]


@pytest.mark.parametrize("log, conclusion, hop, status", [
    ("expired", "success", "api", 410), ("deleted", "success", "api", 404),
    ("none", "skipped", "api", 404), ("none", "failure", "storage", 404),
    ("missing", "failure", "storage", 404)])
def test_logs_that_are_not_there(github, ask, log, conclusion, hop, status):
    run = github.add_run("octo/hello")
    job = github.add_job(run, log=log, conclusion=conclusion)
    reply = ask("/repos/octo/hello/actions/jobs/%d/logs" % job)
    if hop == "storage":
        reply = get(reply.headers["location"])
        assert b"<Code>BlobNotFound</Code>" in reply.body
    else:
        assert reply.json["status"] == str(status)
    assert reply.status == status


def test_running_job_grows_and_is_sealed(github, ask):
    run = github.add_run("octo/hello", status="in_progress")
    job = github.add_job(run, status="in_progress")
    assert get(ask.signed(job)).status == 404
    github.grow(job, text=b"one\n")
    first = get(ask.signed(job))
    assert first.headers["x-ms-blob-type"] == "AppendBlob"
    assert "x-ms-blob-sealed" not in first.headers
    assert github.grow(job, text=b"two\n") == 8
    second = get(ask.signed(job), {"Range": "bytes=4-"})
    assert second.body == b"two\n" and second.headers["etag"] != first.headers["etag"]
    assert second.headers["x-ms-blob-committed-block-count"] == "2"
    github.complete_job(job)
    sealed = get(ask.signed(job))
    assert sealed.headers["x-ms-blob-sealed"] == "true" and sealed.body == b"one\ntwo\n"
    assert ask("/repos/octo/hello/actions/jobs/%d" % job).json["status"] == "completed"


def test_grown_made_up_log_is_still_a_pure_function(github, ask):
    job = one_job(github, status="in_progress")
    github.grow(job, size=100_000)
    assert content.first_difference(job, 0, get(ask.signed(job)).body) == -1


def test_forms(github, ask):
    small, large = one_job(github), one_job(github, size=3 << 20)
    assert get(ask.signed(small)).headers["x-ms-blob-type"] == "BlockBlob"
    assert get(ask.signed(large)).headers["x-ms-blob-sealed"] == "true"
    for form in ("legacy", "legacy-close", "legacy-length"):
        url = ask.signed(one_job(github, form=form))
        assert "/signedlogcontent/" in url
        reply = get(url, {"Range": "bytes=0-9"})
        assert reply.status == 200 and len(reply.body) == 5050
        assert not {"etag", "accept-ranges"} & set(reply.headers)
        assert ("content-length" in reply.headers) == (form == "legacy-length")
        assert get(url[:-3]).status == 403


def test_ghes_has_api_and_storage_on_one_host():
    with FakeGitHub(ghes=True) as github:
        ask = Asker(github)
        github.add_repo("octo/hello")
        job = one_job(github)
        assert get(github.root + "/repos/octo/hello", AGENT).status == 404
        url = ask.signed(job)
        assert url.startswith(github.root + "/_services/pipelines/")
        assert get(url).body == content.content(job, 0, 5050)
        assert get(url, {"Authorization": "Bearer x"}).status == 401
        assert github.counters()["token_leaks"] == 1
        assert ask("/rate_limit").status == 404
        modern = one_job(github, form="block")
        assert get(ask.signed(modern), {"Range": "bytes=0-0"}).status == 206


# --- speed, and what is written down -------------------------------------------------------------

def test_latency_and_bandwidth(github, ask):
    url = ask.signed(one_job(github, size=500_000))
    github.latency(api_ms=120, storage_ms=60)
    for call, least in ((lambda: ask("/rate_limit"), 0.12),
                        (lambda: get(url, {"Range": "bytes=0-0"}), 0.06)):
        start = time.monotonic()
        call()
        assert least <= time.monotonic() - start < least + 10
    github.bandwidth(rate=1_000_000)
    start = time.monotonic()
    assert len(get(url).body) == 500_000
    assert 0.45 <= time.monotonic() - start < 10


def test_access_log(github, ask):
    job = one_job(github)
    url = ask.signed(job)
    get(url, {"Range": "bytes=0-99", "User-Agent": "me"})
    first, second = github.log()
    assert (first["hop"], first["status"], first["job"]) == ("api", 302, job)
    assert first["had_authorization"] and first["authorization_known"] and first["charged"]
    assert (second["hop"], second["status"], second["bytes"]) == ("storage", 206, 100)
    assert second["range"] == "bytes=0-99" and second["user_agent"] == "me"
    assert second["job"] == job and "sig" in second["query"] and not second["charged"]
    assert first["t"] <= first["t_end"] <= second["t"] <= github.now()
    assert first["connection"] != second["connection"]
    assert github.log(clear=True, status=206) == [second] and github.log() == []


def test_connection_is_kept_and_requests_may_be_pipelined(github):
    netloc = urllib.parse.urlsplit(github.api)
    with socket.create_connection((netloc.hostname, netloc.port), timeout=3) as sock:
        sock.sendall(b"GET /rate_limit HTTP/1.1\r\nHost: x\r\nUser-Agent: t\r\n\r\n" * 3)
        got = b""
        while got.count(b'"rate":') < 3:
            got += sock.recv(65536)
    assert len({entry["connection"] for entry in github.log()}) == 1


def test_eight_hundred_requests_at_once(github, ask):
    url = urllib.parse.urlsplit(ask.signed(one_job(github, size=2020)))
    while github.counters()["storage"]["active"]:   # what another test has left
        time.sleep(0.01)
    github.clear_log()
    github.latency(storage_ms=600_000)      # until all are here
    request = "GET %s?%s HTTP/1.0\r\nHost: x\r\n\r\n" % (url.path, url.query)
    start = time.monotonic()
    socks = [socket.create_connection((url.hostname, url.port), timeout=60) for _ in range(800)]
    for sock in socks:
        sock.sendall(request.encode())
    while github.counters()["storage"]["active"] < 800:
        assert time.monotonic() - start < 60
        time.sleep(0.05)
    github.latency(storage_ms=0)
    for sock in socks:
        got = b""
        while data := sock.recv(65536):
            got += data
        assert len(split(got)[1]) == 2020
        sock.close()
    assert github.counters()["storage"]["max_concurrent"] == 800


def test_large_log_is_right_at_every_byte(github, ask):
    size = 64 << 20
    job = one_job(github, size=size)
    body = get(ask.signed(job)).body
    assert len(body) == size and content.first_difference(job, 0, body) == -1


# --- the true client -----------------------------------------------------------------------------

@pytest.fixture
def gh(github, tmp_path):
    """Run `gh` against the server: its name for a local GitHub, reached as through a proxy."""
    if not shutil.which("gh"):
        pytest.skip("gh is not installed")
    # It keeps archives of runs in a folder for temporary files, by the run's id and time.
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path),
           "GH_HOST": "github.localhost", "GH_TOKEN": github.token, "HTTP_PROXY": github.root,
           "NO_COLOR": "1"}

    def run(*arguments):
        done = subprocess.run(["gh", *arguments], env=env, capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout
    return run


def test_gh_lists_and_views_runs(github, gh):
    made = github.bulk("octo/hello", 3, 2, 5050, failed_every=3)
    listed = gh("run", "list", "-R", "octo/hello").decode()
    shown = [int(number) for number in re.findall(r"\b7\d{9}\b", listed)]
    assert shown == [one["run"] for one in reversed(made)]
    assert "failure" in listed.splitlines()[0]
    shown = gh("run", "view", "-R", "octo/hello", str(made[0]["run"])).decode()
    assert all(str(job) in shown for job in made[0]["jobs"])


def test_gh_reads_logs(github, gh):
    made = github.bulk("octo/hello", 1, 2, 5050)[0]
    job = made["jobs"][1]
    wanted = content.content(job, 0, 5050)
    assert gh("api", "repos/octo/hello/actions/jobs/%d/logs" % job) == wanted
    shown = gh("run", "view", "-R", "octo/hello", "--log", "--job", str(job))
    # gh shows the steps' own files out of the archive, whose times differ.
    assert ([line.split(b"\t")[2][28:] for line in shown.splitlines()]
            == [line[28:] for line in wanted.splitlines()])
    assert github.counters()["token_leaks"] == 0
