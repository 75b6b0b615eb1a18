"""`FakeGitHub`: the server as a test sees it, run in a process of its own."""

import base64
import http.client
import json
import os
import subprocess
import sys
import urllib.parse

from fake.control import OPS

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class FakeError(Exception):
    """The server refused a control request; the text has the reason."""


class FakeGitHub:
    """with FakeGitHub() as github: github.add_repo("octo/hello") ...

    Every control operation is a method: `github.OP(**arguments)` returns its result. Those whose
    first argument is natural without a name (repo, run, job, kind) are spelled out below.
    """

    def __init__(self, *arguments, token="fake-token", ghes=False, lifetime=None, logs=None,
                 port=0, storage_port=0, store_port=0, tls=None):
        self.command = [sys.executable, "-m", "fake", "--token", token,
                        "--api", "127.0.0.1:%d" % port, "--storage", "127.0.0.2:%d" % storage_port,
                        "--store", "127.0.0.3:%d" % store_port]
        self.command += ["--ghes"] if ghes else []
        self.command += ["--lifetime", str(lifetime)] if lifetime is not None else []
        self.command += ["--logs", str(logs)] if logs else []
        self.command += ["--tls", *map(str, tls)] if tls else []
        self.command += arguments
        self.process = None
        self.connection = None

    def start(self):
        env = dict(os.environ, PYTHONPATH=TESTS, PYTHONDONTWRITEBYTECODE="1")
        self.process = subprocess.Popen(self.command, env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise FakeError("the server did not start (exit %s)" % self.process.wait())
        said = json.loads(line)
        self.api, self.storage, self.root = said["api"], said["storage"], said["root"]
        self.store = said["store"]
        self.token, self.pid, self.control_url = said["token"], said["pid"], said["control"]
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(said["control"]).netloc)
        return self

    def stop(self):
        self.connection.close()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=10)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # --- control ---

    def _ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        self.connection.request(method, "/_control" + path, data)
        response = self.connection.getresponse()
        value = json.loads(response.read())
        if response.status != 200:
            raise FakeError(value["error"])
        return value

    def op(self, name, /, **arguments):
        return self._ask("POST", "", dict(arguments, op=name))["result"]

    def ops(self, operations):
        """Many at once, each a dict with "op"."""
        return self._ask("POST", "", list(operations))["results"]

    def __getattr__(self, name):
        if name not in OPS:
            raise AttributeError(name)
        return lambda **arguments: self.op(name, **arguments)

    def add_repo(self, repo, **fields):
        return self.op("add_repo", repo=repo, **fields)

    def add_run(self, repo, **fields):
        return self.op("add_run", repo=repo, **fields)

    def add_job(self, run, text=None, size=None, file=None, **fields):
        """`text` (bytes), `size` or `file` are short for `log`."""
        return self.op("add_job", run=run, **_with_log(fields, text, size, file))

    def set_job(self, job, text=None, size=None, file=None, **fields):
        return self.op("set_job", job=job, **_with_log(fields, text, size, file))

    def grow(self, job, text=None, size=None):
        """Append to a log; returns its new length."""
        return self.op("grow", job=job, **_with_log({}, text, size, None))

    def complete_job(self, job, text=None, size=None, **fields):
        return self.op("complete_job", job=job, **_with_log(fields, text, size, None))

    def bulk(self, repo, runs, jobs, size, **fields):
        """[{"run": id, "jobs": [id, ...]}, ...]"""
        return self.op("bulk", repo=repo, runs=runs, jobs=jobs, size=size, **fields)

    def fault(self, kind, **fields):
        return self.op("fault", kind=kind, **fields)

    # --- looking ---

    def log(self, hop=None, clear=False, **equal):
        """The access log: of one hop, of entries whose fields equal those given."""
        entries = self._ask("GET", "/log" + ("?clear=1" if clear else ""))
        wanted = dict(equal, **({"hop": hop} if hop else {}))
        return [e for e in entries if all(e[key] == value for key, value in wanted.items())]

    def counters(self):
        return self._ask("GET", "/counters")

    def faults(self):
        return self._ask("GET", "/faults")

    def log_url(self, repo, job):
        """The API's URL of a job's log."""
        return "%s/repos/%s/actions/jobs/%d/logs" % (self.api, repo, job)


def _with_log(fields, text, size, file):
    fields = dict(fields)
    if text is not None:
        fields["log"] = {"text": base64.b64encode(text).decode()}
    elif size is not None:
        fields["log"] = {"size": size}
    elif file is not None:
        fields["log"] = {"file": str(file)}
    return fields
