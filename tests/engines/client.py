"""An engine as a test sees it."""

import contextlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.parse
import urllib.request

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Where tests/run.sh unpacks those of packages_unpacked.
PATH = ":".join((os.path.join(TESTS, "../build/tools/usr/bin"), os.environ.get("PATH", ""),
                 "/usr/sbin", "/sbin"))


class EngineError(Exception):
    """The engine did not start; the text has what it printed."""


class Engine:
    """Start and stop; what the process prints becomes attributes."""

    NAME = None         # of the module that starts it
    PROGRAMS = ()

    def __init__(self, *arguments):
        self.arguments = arguments      # of that module's start

    @classmethod
    def missing(cls):
        """Which of its programs are not installed here."""
        return [program for program in cls.PROGRAMS if not shutil.which(program, path=PATH)]

    def start(self):
        env = dict(os.environ, PYTHONPATH=TESTS, PYTHONDONTWRITEBYTECODE="1", PATH=PATH)
        self.process = subprocess.Popen([sys.executable, "-m", "engines", self.NAME,
                                         *map(str, self.arguments)], env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate()
            raise EngineError("%s did not start:\n%s" % (self.NAME, errors.decode()))
        for name, value in json.loads(line).items():
            setattr(self, name, tuple(value) if isinstance(value, list) else value)
        return self

    def stop(self):
        _, errors = self.process.communicate(timeout=30)
        if self.process.returncode:
            raise EngineError("%s ended with %d:\n%s" % (self.NAME, self.process.returncode,
                                                         errors.decode()))

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Ceph(Engine):
    NAME = "ceph"
    PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph-authtool",
                "ceph")


class Nginx(Engine):
    NAME = "nginx"
    PROGRAMS = ("nginx",)


class Prometheus(Engine):
    """url, targets"""

    NAME = "prometheus"
    PROGRAMS = ("prometheus", "promtool")

    def scrape(self, *urls):
        """From now on, each instance named by its address."""
        with open(self.targets + ".new", "w") as file:
            json.dump([{"targets": [urllib.parse.urlsplit(url).netloc for url in urls]}], file)
        os.rename(self.targets + ".new", self.targets)

    def query(self, text, **more):
        """[(labels, value)], or with start, end and step [(labels, [(time, value)])]."""
        words = urllib.parse.urlencode(dict(more, query=text))
        kind = "query_range" if more else "query"
        with urllib.request.urlopen("%s/api/v1/%s?%s" % (self.url, kind, words), timeout=30) as got:
            found = json.load(got)["data"]["result"]
        if more:
            return [(one["metric"], [(at, float(value)) for at, value in one["values"]])
                    for one in found]
        return [(one["metric"], float(one["value"][1])) for one in found]


class Exporter(Engine):
    """url, texts"""

    NAME = "exporter"
    PROGRAMS = ("prometheus-node-exporter",)


def promtool(*words, text=None):
    """(exit status, what it printed)"""
    done = subprocess.run([shutil.which("promtool", path=PATH), *map(str, words)], input=text,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return done.returncode, done.stdout.decode()


class FileServer:
    """A file over HTTP on a loopback port, read anew for each request; in a thread."""

    def __init__(self, path, kind="text/plain; version=0.0.4"):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                with open(path, "rb") as file:
                    body = file.read()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):      # it is not scraped any more
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/metrics" % self.server.server_port

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
