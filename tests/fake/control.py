"""The control requests: what a test may tell the server while it runs.

POST /_control with {"op": NAME, arguments...} or a list of such; the answer has one "result" for
each. GET /_control/log, /_control/counters, /_control/faults show what happened.
"""

import json
import time

from fake import archives
from fake.faults import FaultError
from fake.message import Answer
from fake.store import StoreError
from fake.world import WorldError

JSON = "application/json"


def answer(server, request):
    try:
        value = _look(server, request) if request.method == "GET" else _tell(server, request)
        return Answer.text(200, json.dumps(value), JSON)
    except (WorldError, FaultError, StoreError, TypeError, ValueError, KeyError, OSError) as error:
        what = {"error": "%s: %s" % (type(error).__name__, error)}
        return Answer.text(400, json.dumps(what), JSON)


def _look(server, request):
    what = request.path.rpartition("/")[2]
    if what == "log":
        entries = list(server.log)
        if "clear" in request.query:
            server.clear_log()
        return entries
    if what == "counters":
        return server.counters()
    if what == "faults":
        return server.faults.describe()
    raise ValueError("nothing to see at %s" % request.path)


def _tell(server, request):
    asked = json.loads(request.body)
    many = asked if isinstance(asked, list) else [asked]
    results = [run_op(server, dict(one)) for one in many]
    return {"results": results} if isinstance(asked, list) else {"result": results[0]}


def run_op(server, one):
    """Do one operation; its result is what goes back to the asker."""
    name = one.pop("op", None)
    if name not in OPS:
        raise ValueError("op is one of %s" % sorted(OPS))
    return OPS[name](server, **one)


# --- the world -----------------------------------------------------------------------------------

def _add_repo(server, repo, **fields):
    return server.world.add_repo(repo, **fields).id


def _add_run(server, repo, **fields):
    return server.world.add_run(server.world.repo(repo), **fields).id


def _add_pull(server, repo, **fields):
    return server.world.add_pull(server.world.repo(repo), **fields).number


def _set_pull(server, repo, number, **fields):
    server.world.set_pull(server.world.repo(repo), number, **fields)


def _add_workflow(server, repo, **fields):
    return server.world.add_workflow(server.world.repo(repo), **fields).id


def _add_job(server, run, **fields):
    return server.world.add_job(server.world.run(run), **fields).id


def _ids(runs):
    return [{"run": run.id, "jobs": [job.id for job in run.jobs]} for run in runs]


def _bulk(server, repo, runs, jobs, size, **fields):
    return _ids(server.world.bulk(repo, runs, jobs, size, **fields))


def _add_folder(server, folder, repo="octo/logs"):
    run = server.world.add_folder(folder, repo)
    return {"run": run.id, "jobs": {job.name: job.id for job in run.jobs}}


def _owner(server, login, type):
    server.world.owners[login.lower()] = type
    server.world.version += 1


def _archive(server, run, **choices):
    problem = archives.problem_of(choices)
    if problem:
        raise WorldError("archive: " + problem)
    if "file" in choices:
        archives.read_file(choices["file"])     # what cannot be read is refused now
    server.world.run(run).archive = choices
    server.world.version += 1


def _make_archives(server, repo):
    """Of all runs, before a client asks: benchmarks do not measure how fast they are made. Returns
    how many bytes they have together."""
    made = [server.storage.make_archive(run, number)
            for run in server.world.repo(repo).runs.values()
            if run.last.status == "completed" for number in run.attempts]
    return sum(len(data) for data, _ in made)


def _with_job(method):
    def do(server, job, *args, **fields):
        getattr(server.world, method)(server.world.job(job), *args, **fields)
    return do


def _grow(server, job, log):
    job = server.world.job(job)
    server.world.grow(job, log)
    return job.log.length


# --- the server ----------------------------------------------------------------------------------

def _latency(server, api_ms=None, storage_ms=None, store_ms=None):
    for name, value in (("api", api_ms), ("storage", storage_ms), ("store", store_ms)):
        if value is not None:
            server.hops[name].latency = value / 1000


def _bandwidth(server, rate, hop="storage"):
    server.hops[hop].bandwidth = rate


def _rate_limit(server, token="known", **fields):
    identity = server.token if token == "known" else token
    server.api.limits.set_primary(server.api.now(), identity, **fields)


def _lifetime(server, seconds):
    server.storage.lifetime = seconds


def _auth_status(server, status):
    server.storage.auth_status = status


def _certificate(server, cert, key, hop="storage"):
    if not server.hops[hop].tls:
        raise ValueError("%s is not served over TLS" % hop)
    server.set_certificate(hop, cert, key)


def _clock(server, skew):
    server.api.clock_skew = skew


OPS = {
    "token": lambda server, value, **f: server.world.set_token(value, **f),
    "remove_token": lambda server, value: bool(server.world.tokens.pop(value, None)),
    "owner": _owner,
    "add_repo": _add_repo,
    "rename_repo": lambda server, repo, to: server.world.rename_repo(repo, to).id,
    "remove_repo": lambda server, repo: server.world.remove_repo(repo),
    "add_workflow": _add_workflow,
    "add_run": _add_run,
    "set_run": lambda server, run, **f: server.world.set_run(server.world.run(run), **f),
    "remove_run": lambda server, run: server.world.remove_run(server.world.run(run)),
    "add_pull": _add_pull,
    "set_pull": _set_pull,
    "index": lambda server, repo, state: server.world.set_index(server.world.repo(repo), state),
    "add_job": _add_job,
    "archive": _archive,
    "make_archives": _make_archives,
    "set_job": _with_job("set_job"),
    "grow": _grow,
    "complete_job": _with_job("complete_job"),
    "bulk": _bulk,
    "add_folder": _add_folder,
    "latency": _latency,
    "bandwidth": _bandwidth,
    "rate_limit": _rate_limit,
    "secondary": lambda server, **f: server.api.limits.set_secondary(**f),
    "clock": _clock,
    "lifetime": _lifetime,
    "expire_urls": lambda server: server.storage.expire_all(),
    "auth_status": _auth_status,
    "certificate": _certificate,
    "fault": lambda server, **spec: server.faults.add(spec),
    "clear_faults": lambda server: server.faults.clear(),
    "refuse": lambda server, hop, seconds=None, drop=False: server.refuse(hop, seconds, drop),
    "accept": lambda server, hop: server.accept_again(hop),
    "block": lambda server, hop: server.block(hop),
    "drop": lambda server, hop: server.drop(hop),
    "store_setup": lambda server, **settings: server.store.configure(**settings),
    "store_put": lambda server, path, log: server.store.put(path, log),
    "store_get": lambda server, path: server.store.get(path),
    "store_remove": lambda server, path: server.store.remove(path),
    "store_list": lambda server: server.store.list(),
    "clear_log": lambda server: server.clear_log(),
    "now": lambda server: time.monotonic(),
}
