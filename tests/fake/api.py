"""The REST API: who may ask, what it costs, and the answers.

`Api.answer` checks in GitHub's order (User-Agent, version, token, limits), finds the route, and
adds ETag, limits and the other headers that every answer carries.
"""

import base64
import gzip
import hashlib
import json
import re
import time
import urllib.parse
import uuid

from fake.limits import Limits
from fake.message import JSON_TYPE, Answer, http_date
from fake.shapes import Shaper
from fake.world import iso, sha1

VERSIONS = ("2022-11-28", "2026-03-10")
DOCS = "https://docs.github.com/rest"
STATUSES = ("queued", "in_progress", "completed", "waiting", "requested", "pending")
SEARCH_CAP = 1000
CACHE_MAX = 200
FIXED = [("Server", "github.com"), ("X-Content-Type-Options", "nosniff"),
         ("Referrer-Policy", "origin-when-cross-origin, strict-origin-when-cross-origin"),
         ("Access-Control-Allow-Origin", "*"), ("X-Frame-Options", "deny")]


class Refusal(Exception):
    """An error answer in JSON."""

    def __init__(self, status, message, headers=(), docs=DOCS):
        super().__init__(message)
        self.status, self.message, self.headers, self.docs = status, message, headers, docs

    def answer(self):
        body = {"message": self.message, "documentation_url": self.docs,
                "status": str(self.status)}
        return Answer(self.status, [("Content-Type", JSON_TYPE), *self.headers], encode(body))


def not_found():
    return Refusal(404, "Not Found")


def encode(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class Ask:
    """One question: the request, who asks, and the shapes for the base it came by."""

    def __init__(self, api, request, token):
        self.world, self.storage = api.world, api.storage
        self.api, self.request, self.token, self.query = api, request, token, request.query
        self.root = request.base
        self.shape = Shaper(api.world, request.base + api.prefix)
        self.links = None

    def number(self, name, default, most=None):
        text = self.query.get(name, "")
        value = int(text) if text.isdigit() and int(text) > 0 else default
        return min(value, most) if most else value

    def page(self, items, link_path, cap=None):
        """The asked page of a list; leaves the Link header in `links`."""
        size, page = self.number("per_page", 30, 100), self.number("page", 1)
        shown = items[:cap] if cap else items
        last = max(1, -(-len(shown) // size))
        self.links = self._link_header(link_path, page, last)
        return shown[(page - 1) * size:page * size]

    def _link_header(self, path, page, last):
        targets = []
        if page > 1:
            targets += [("prev", min(page - 1, last))]
        if page < last:
            targets += [("next", page + 1), ("last", last)]
        if page > 1:
            targets += [("first", 1)]
        return ", ".join('<%s%s?%s>; rel="%s"' % (
            self.shape.base, path, urllib.parse.urlencode(dict(self.query, page=number)), rel)
            for rel, number in targets)

    def may_see(self, repo):
        return not repo.private or (self.token is not None and self.token.may_see(repo))


class Api:
    def __init__(self, world, storage, ghes=False):
        self.world, self.storage, self.ghes = world, storage, ghes
        self.prefix = "/api/v3" if ghes else ""
        self.limits = Limits()
        self.clock_skew = 0             # the server's clock less the real one
        self.cache = {}
        self.at_once = lambda: 0        # requests being answered now; the server sets it

    def now(self):
        return time.time() + self.clock_skew

    def answer(self, request):
        identity = self._bearer(request)
        try:
            token = self._check(request, identity)
            made = self._route(request, token)
        except Refusal as refusal:
            made = refusal.answer()
        except Redirect as redirect:
            made = redirect.answer()
        self._charge(request, made, identity)
        return self._finish(request, made, identity)

    # --- who asks ---

    @staticmethod
    def _bearer(request):
        """The token's value out of any of the three forms, or None."""
        words = request.headers.get("authorization", "").split()
        if len(words) != 2:
            return None
        if words[0].lower() == "basic":
            return base64.b64decode(words[1]).decode("latin-1").partition(":")[2]
        return words[1] if words[0].lower() in ("bearer", "token") else None

    def _check(self, request, identity):
        if not request.headers.get("user-agent"):
            raise NoUserAgent(403, "Request forbidden by administrative rules. Please make sure "
                              "your request has a User-Agent header.")
        version = request.headers.get("x-github-api-version", VERSIONS[0])
        if version not in VERSIONS:
            raise Refusal(400, '"%s" is not a supported version.' % version,
                          docs=DOCS + "/overview/api-versions")
        token = self.world.tokens.get(identity)
        if "authorization" in request.headers and token is None:
            raise Refusal(401, "Bad credentials")
        self._check_limits(request, identity)
        return token

    def _check_limits(self, request, identity):
        limits = self.limits
        if limits.secondary_refuses(time.monotonic(), self.at_once()):
            raise Refusal(limits.secondary_status, "You have exceeded a secondary rate limit. "
                          "Please wait a few minutes before you try again.",
                          [("Retry-After", str(limits.retry_after))])
        if self._free(request):
            return
        if limits.bucket(identity, self.now()).remaining == 0:
            who = "user ID 1" if identity else "127.0.0.1"
            raise LimitReached(limits.status, "API rate limit exceeded for %s." % who)
        request.charged = True

    def _free(self, request):
        return self.ghes or request.path == self.prefix + "/rate_limit"

    # --- what it costs, and the headers of every answer ---

    def _charge(self, request, made, identity):
        if made.status == 304 and identity:
            request.charged = False
        if request.charged:
            self.limits.bucket(identity, self.now()).used += 1

    def _finish(self, request, made, identity):
        version = request.headers.get("x-github-api-version", VERSIONS[0])
        made.headers[:0] = [*map(list, FIXED), ["Date", http_date(self.now())]]
        made.set("X-GitHub-Request-Id", uuid.uuid4().hex[:24].upper())
        made.set("X-GitHub-Media-Type", "github.v3; format=json")
        made.set("x-github-api-version-selected", version)
        if identity in self.world.tokens:
            made.set("X-OAuth-Scopes", "repo")
            made.set("X-Accepted-OAuth-Scopes", "")
        if not self.ghes:
            self._limit_headers(made, identity if identity in self.world.tokens else None)
        return made

    def _limit_headers(self, made, identity):
        bucket = self.limits.bucket(identity, self.now())
        for name, value in (("Limit", bucket.limit), ("Remaining", bucket.remaining),
                            ("Reset", int(bucket.reset)), ("Used", bucket.used),
                            ("Resource", "core")):
            made.set("X-RateLimit-" + name, str(value))

    # --- routes ---

    def _route(self, request, token):
        path = request.path
        if self.ghes and path == "/api/graphql":
            path = "/graphql"
        elif not path.startswith(self.prefix):
            raise not_found()
        else:
            path = path[len(self.prefix):]
        for method, pattern, handler in ROUTES:
            found = pattern.fullmatch(path)
            if found and (request.method == method or (request.method, method) == ("HEAD", "GET")):
                return self._run_handler(request, token, handler, found)
        raise not_found()

    def _run_handler(self, request, token, handler, found):
        key = (self.world.version, request.base, request.target, token and token.value)
        if handler in UNCACHED or key not in self.cache:
            ask = Ask(self, request, token)
            value = handler(ask, **found.groupdict())
            if isinstance(value, Answer):
                return value
            data = encode(value)
            entry = (data, 'W/"%s"' % hashlib.sha256(data).hexdigest(), ask.links)
            if handler in UNCACHED:
                return self._json_answer(request, entry)
            if len(self.cache) >= CACHE_MAX:
                self.cache.clear()
            self.cache[key] = entry
        return self._json_answer(request, self.cache[key])

    @staticmethod
    def _json_answer(request, entry):
        data, etag, links = entry
        headers = [("Content-Type", JSON_TYPE), ("ETag", etag),
                   ("Cache-Control", "private, max-age=60, s-maxage=60"),
                   ("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP,Accept-Encoding")]
        if links:
            headers.append(("Link", links))
        known = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
        if etag in known or etag[2:] in known:
            return Answer(304, headers[1:])
        if "gzip" in request.headers.get("accept-encoding", "") and len(data) > 1000:
            data = gzip.compress(data, 1, mtime=0)
            headers.append(("Content-Encoding", "gzip"))
        return Answer(200, headers, data)


class NoUserAgent(Refusal):
    def answer(self):
        return Answer.text(403, "\r\n%s\r\n" % self.message, "text/html")


class LimitReached(Refusal):
    """The primary limit; its headers say when it ends."""


class Redirect(Exception):
    def __init__(self, url):
        super().__init__(url)
        self.url = url

    def answer(self):
        body = {"message": "Moved Permanently", "url": self.url,
                "documentation_url": DOCS + "/guides/best-practices-for-using-the-rest-api"}
        return Answer(301, [("Content-Type", JSON_TYPE), ("Location", self.url)], encode(body))


# --- finding -------------------------------------------------------------------------------------

def _repo(ask, owner=None, repo=None, repo_id=None):
    """The repository named in the path, if the asker may see it."""
    if repo_id is not None:
        found = ask.world.repo_ids.get(int(repo_id))
    else:
        name = ("%s/%s" % (owner, repo)).lower()
        found = ask.world.repos.get(name)
        moved = ask.world.moved.get(name)
        if found is None and moved is not None and ask.may_see(moved):
            raise Redirect(_moved_url(ask, moved))
    if found is None or not ask.may_see(found):
        raise not_found()
    return found


def _moved_url(ask, repo):
    raw = ask.request.raw_path[len(ask.api.prefix):]
    rest = "/".join(raw.split("/")[4:])
    url = "%s/repositories/%d%s" % (ask.shape.base, repo.id, "/" + rest if rest else "")
    return url + ("?" + ask.request.raw_query if ask.request.raw_query else "")


def _run(ask, run_id, **where):
    repo = _repo(ask, **where)
    if int(run_id) not in repo.runs:
        raise not_found()
    return repo.runs[int(run_id)]


def _attempt(run, number):
    if int(number) not in run.attempts:
        raise not_found()
    return run.attempts[int(number)]


def _job(ask, job_id, **where):
    repo = _repo(ask, **where)
    job = ask.world.jobs.get(int(job_id))
    if job is None or job.run.repo is not repo:
        raise not_found()
    return job


def _workflow(ask, workflow_id, **where):
    repo = _repo(ask, **where)
    for flow in repo.workflows.values():
        if workflow_id in (str(flow.id), flow.path.rpartition("/")[2]):
            return repo, flow
    raise not_found()


# --- repositories and users ----------------------------------------------------------------------

def get_repo(ask, **where):
    return ask.shape.full_repo(_repo(ask, **where))


def list_branches(ask, **where):
    repo = _repo(ask, **where)
    heads = {run.branch: run.sha for run in reversed(repo.newest_runs()) if run.head_repo is repo}
    heads.setdefault(repo.default_branch, sha1(repo.id))
    path = "/repositories/%d/branches" % repo.id
    return [ask.shape.branch(repo, *head) for head in ask.page(sorted(heads.items()), path)]


def _sorted_repos(ask, repos, default):
    order = ask.query.get("sort", default)
    keys = {"pushed": lambda r: r.pushed_at, "updated": lambda r: r.pushed_at,
            "created": lambda r: r.created_at, "full_name": lambda r: r.full_name.lower()}
    key = keys.get(order, keys["full_name"])
    down = ask.query.get("direction", "asc" if order == "full_name" else "desc") == "desc"
    return sorted(repos, key=key, reverse=down)


def list_user_repos(ask, login):
    repos = [repo for repo in ask.world.repos_of(login) if not repo.private]
    if not repos and login.lower() not in ask.world.owners:
        raise not_found()
    shown = ask.page(_sorted_repos(ask, repos, "full_name"), "/users/%s/repos" % login)
    return [ask.shape.repo(repo) for repo in shown]


def list_org_repos(ask, login):
    if ask.world.owner_type(login) != "Organization":
        raise not_found()
    repos = [repo for repo in ask.world.repos_of(login) if ask.may_see(repo)]
    shown = ask.page(_sorted_repos(ask, repos, "created"), "/orgs/%s/repos" % login)
    return [ask.shape.repo(repo) for repo in shown]


def _need_token(ask):
    if ask.token is None:
        raise Refusal(401, "Requires authentication")
    return ask.token


def list_own_repos(ask):
    token = _need_token(ask)
    asked = ask.query.get("affiliation", "owner,collaborator,organization_member").split(",")
    visibility = ask.query.get("visibility", "all")
    repos = [repo for repo in ask.world.repos.values()
             if token.may_see(repo) and _affiliation(ask, repo) in asked
             and visibility in ("all", "private" if repo.private else "public")]
    shown = ask.page(_sorted_repos(ask, repos, "full_name"), "/user/repos")
    return [ask.shape.repo(repo) for repo in shown]


def _affiliation(ask, repo):
    if repo.owner.lower() == ask.token.login.lower():
        return "owner"
    organization = ask.world.owner_type(repo.owner) == "Organization"
    return "organization_member" if organization else "collaborator"


def get_user(ask):
    return ask.shape.full_user(_need_token(ask).login)


def get_named_user(ask, login):
    if login.lower() not in ask.world.owners:
        raise not_found()
    return ask.shape.full_user(login)


def get_rate_limit(ask):
    if ask.api.ghes:
        raise Refusal(404, "Rate limiting is not enabled.")
    bucket = ask.api.limits.bucket(ask.token.value if ask.token else None, ask.api.now())
    core = {"limit": bucket.limit, "used": bucket.used, "remaining": bucket.remaining,
            "reset": int(bucket.reset)}
    search = {"limit": 30, "used": 0, "remaining": 30, "reset": int(ask.api.now()) + 60}
    body = {"resources": {"core": core, "search": search, "graphql": core}, "rate": core}
    if ask.request.headers.get("x-github-api-version") == VERSIONS[1]:
        del body["rate"]
    return body


# --- workflows, runs, jobs -----------------------------------------------------------------------

def list_workflows(ask, **where):
    repo = _repo(ask, **where)
    flows = list(repo.workflows.values())
    shown = ask.page(flows, "/repositories/%d/actions/workflows" % repo.id)
    return {"total_count": len(flows), "workflows": [ask.shape.workflow(repo, f) for f in shown]}


def get_workflow(ask, workflow_id, **where):
    return ask.shape.workflow(*_workflow(ask, workflow_id, **where))


def list_runs(ask, **where):
    repo = _repo(ask, **where)
    runs = repo.indexed_runs() if _filters(ask) else repo.newest_runs()
    return _run_list(ask, repo, runs, "/actions/runs")


def list_workflow_runs(ask, workflow_id, **where):
    repo, flow = _workflow(ask, workflow_id, **where)
    runs = [run for run in repo.indexed_runs() if run.workflow is flow]
    return _run_list(ask, repo, runs, "/actions/workflows/%d/runs" % flow.id)


def _filters(ask):
    return [name for name in RUN_FILTERS if ask.query.get(name)]


def _run_list(ask, repo, runs, path):
    for name in _filters(ask):
        runs = [run for run in runs if RUN_FILTERS[name](run, ask.query[name])]
    cap = SEARCH_CAP if _filters(ask) else None
    shown = ask.page(runs, "/repositories/%d%s" % (repo.id, path), cap)
    cache = {}
    return {"total_count": len(runs),
            "workflow_runs": [ask.shape.run(run, cache=cache) for run in shown]}


def _created_in(run, text):
    """The search syntax for dates: >=A, <=A, >A, <A, A..B, A; open ends are *."""
    when = iso(run.created_at)
    low, dots, high = text.partition("..")
    if dots:
        return (low == "*" or when >= low) and (high == "*" or when[:len(high)] <= high)
    sign, date = re.fullmatch(r"([<>]?=?)(.*)", text).groups()
    cut = when[:len(date)]
    return {">=": cut >= date, "<=": cut <= date, ">": cut > date, "<": cut < date}.get(
        sign, cut == date)


RUN_FILTERS = {
    "branch": lambda run, text: run.branch == text,
    "event": lambda run, text: run.event == text,
    "actor": lambda run, text: run.actor.lower() == text.lower(),
    "status": lambda run, text: text == (run.last.status if text in STATUSES
                                         else run.last.conclusion),
    "head_sha": lambda run, text: run.sha == text,
    "check_suite_id": lambda run, text: str(40_000_000_000 + run.id) == text,
    "created": _created_in,
}


def get_run(ask, run_id, **where):
    return ask.shape.run(_run(ask, run_id, **where))


def get_attempt(ask, run_id, number, **where):
    run = _run(ask, run_id, **where)
    return ask.shape.run(run, _attempt(run, number))


def list_run_jobs(ask, run_id, **where):
    run = _run(ask, run_id, **where)
    every = ask.query.get("filter", "latest") == "all"
    jobs = run.jobs if every else ask.world.jobs_of(run, run.last.number)
    return _job_list(ask, run, jobs, "/jobs")


def list_attempt_jobs(ask, run_id, number, **where):
    run = _run(ask, run_id, **where)
    attempt = _attempt(run, number)
    jobs = ask.world.jobs_of(run, attempt.number)
    return _job_list(ask, run, jobs, "/attempts/%d/jobs" % attempt.number)


def _job_list(ask, run, jobs, tail):
    path = "/repositories/%d/actions/runs/%d%s" % (run.repo.id, run.id, tail)
    return {"total_count": len(jobs),
            "jobs": [ask.shape.job(job) for job in ask.page(jobs, path)]}


def get_job(ask, job_id, **where):
    return ask.shape.job(_job(ask, job_id, **where))


# --- logs ----------------------------------------------------------------------------------------

def _may_read_logs(ask):
    if ask.token is None:
        raise Refusal(403, "Must have admin rights to Repository.")
    if not ask.token.logs:
        raise Refusal(403, "Resource not accessible by personal access token")


def _found_at(url):
    return Answer(302, [("Content-Type", "text/html;charset=utf-8"), ("Location", url),
                        ("Cache-Control", "no-cache")])


def get_job_log(ask, job_id, **where):
    job = _job(ask, job_id, **where)
    _may_read_logs(ask)
    if job.log.absent == "expired":
        raise Refusal(410, "Server Error")
    if job.log.absent == "deleted" or job.conclusion == "skipped" and job.log.absent == "none":
        raise not_found()
    return _found_at(ask.storage.job_url(job, ask.root))


def get_run_log(ask, run_id, number=None, **where):
    run = _run(ask, run_id, **where)
    _may_read_logs(ask)
    attempt = _attempt(run, number) if number else run.last
    if attempt.status != "completed":
        raise not_found()
    return _found_at(ask.storage.run_url(run, attempt.number, ask.root))


# --- what gh asks besides ------------------------------------------------------------------------

def list_annotations(ask, check_run_id, **where):
    _job(ask, check_run_id, **where)
    return []


def list_artifacts(ask, run_id, **where):
    _run(ask, run_id, **where)
    return {"total_count": 0, "artifacts": []}


def _may_read_pulls(ask):
    if ask.token is not None and not ask.token.pulls:
        raise Refusal(403, "Resource not accessible by personal access token",
                      docs=DOCS + "/pulls/pulls#get-a-pull-request")


def list_pulls(ask, **where):
    repo = _repo(ask, **where)
    _may_read_pulls(ask)
    state = ask.query.get("state", "open")
    pulls = [pull for number, pull in sorted(repo.pulls.items(), reverse=True)
             if state in (pull.state, "all")]
    return [ask.shape.pull(pull) for pull in ask.page(pulls, "/repositories/%d/pulls" % repo.id)]


def get_pull(ask, number, **where):
    repo = _repo(ask, **where)
    _may_read_pulls(ask)
    if int(number) not in repo.pulls:
        raise not_found()
    return ask.shape.full_pull(repo.pulls[int(number)])


def get_root(ask):
    return {"current_user_url": ask.shape.base + "/user"}


def post_graphql(ask):
    """The two questions gh asks on its way to a run: the default branch, and a pull request."""
    _need_token(ask)
    body = json.loads(ask.request.body)
    names = body.get("variables") or {}
    repo = ask.world.repos.get(("%s/%s" % (names.get("owner"), names.get("name")
                                           or names.get("repo"))).lower())
    if repo is None or not ask.may_see(repo):
        return {"data": {"repository": None}, "errors": [{
            "type": "NOT_FOUND", "path": ["repository"],
            "message": "Could not resolve to a Repository."}]}
    shape = ask.shape.repo(repo)
    return {"data": {"viewer": {"login": ask.token.login}, "repository": {
        "id": shape["node_id"], "name": repo.name, "nameWithOwner": repo.full_name,
        "owner": {"id": shape["owner"]["node_id"], "login": repo.owner},
        "isPrivate": repo.private, "isArchived": repo.archived, "hasIssuesEnabled": True,
        "defaultBranchRef": {"name": repo.default_branch}, "viewerPermission": "READ",
        "parent": None, "pullRequests": {"nodes": [], "totalCount": 0}}}}


def _route(method, path, handler):
    """`{name}` is one segment, `{name:d}` a number; {R} the two ways to name a repository."""
    pattern = re.sub(r"\{(\w+):d\}", r"(?P<\1>[0-9]{1,18})", path)
    pattern = re.sub(r"\{(\w{2,})\}", r"(?P<\1>[^/]+)", pattern)
    if not pattern.startswith("{R}"):
        return [(method, re.compile(pattern), handler)]
    return [(method, re.compile(pattern.replace("{R}", root)), handler) for root in (
        "/repos/(?P<owner>[^/]+)/(?P<repo>[^/]+)", "/repositories/(?P<repo_id>[0-9]{1,18})")]


ROUTES = [route for entry in (
    ("GET", "{R}/actions/jobs/{job_id:d}/logs", get_job_log),
    ("GET", "{R}/actions/jobs/{job_id:d}", get_job),
    ("GET", "{R}/actions/runs", list_runs),
    ("GET", "{R}/actions/runs/{run_id:d}", get_run),
    ("GET", "{R}/actions/runs/{run_id:d}/jobs", list_run_jobs),
    ("GET", "{R}/actions/runs/{run_id:d}/logs", get_run_log),
    ("GET", "{R}/actions/runs/{run_id:d}/artifacts", list_artifacts),
    ("GET", "{R}/actions/runs/{run_id:d}/attempts/{number:d}", get_attempt),
    ("GET", "{R}/actions/runs/{run_id:d}/attempts/{number:d}/jobs", list_attempt_jobs),
    ("GET", "{R}/actions/runs/{run_id:d}/attempts/{number:d}/logs", get_run_log),
    ("GET", "{R}/actions/workflows", list_workflows),
    ("GET", "{R}/actions/workflows/{workflow_id}", get_workflow),
    ("GET", "{R}/actions/workflows/{workflow_id}/runs", list_workflow_runs),
    ("GET", "{R}/check-runs/{check_run_id:d}/annotations", list_annotations),
    ("GET", "{R}/branches", list_branches),
    ("GET", "{R}/pulls", list_pulls),
    ("GET", "{R}/pulls/{number:d}", get_pull),
    ("GET", "{R}", get_repo),
    ("GET", "/user", get_user),
    ("GET", "/user/repos", list_own_repos),
    ("GET", "/users/{login}", get_named_user),
    ("GET", "/users/{login}/repos", list_user_repos),
    ("GET", "/orgs/{login}/repos", list_org_repos),
    ("GET", "/rate_limit", get_rate_limit),
    ("GET", "/", get_root),
    ("POST", "/graphql", post_graphql),
) for route in _route(*entry)]

UNCACHED = {get_rate_limit, post_graphql, get_job_log, get_run_log}
