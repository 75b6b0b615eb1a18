"""How tests ask the loopback GitHub: whole replies, raw bytes, signed URLs."""

import http.client
import json
import socket
import urllib.parse

AGENT = {"User-Agent": "test"}


class Reply:
    def __init__(self, response, body):
        self.status, self.body = response.status, body
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    @property
    def json(self):
        return json.loads(self.body)


def get(url, headers=None, method="GET", body=None, timeout=10):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        target = parts.path + ("?" + parts.query if parts.query else "")
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        return Reply(response, response.read())
    finally:
        connection.close()


def raw(url, headers=None, timeout=3):
    """Everything that comes over the socket, and how it ended: eof, reset or timeout."""
    parts = urllib.parse.urlsplit(url)
    lines = ["GET %s?%s HTTP/1.1" % (parts.path, parts.query), "Host: " + parts.netloc]
    lines += ["%s: %s" % pair for pair in dict(AGENT, **(headers or {})).items()]
    got = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=timeout) as sock:
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        try:
            while data := sock.recv(1 << 16):
                got += data
        except ConnectionResetError:
            return got, "reset"
        except socket.timeout:
            return got, "timeout"
    return got, "eof"


class Asker:
    """Questions to one FakeGitHub, with the known token by default."""

    def __init__(self, github):
        self.github = github
        self.auth = dict(AGENT, Authorization="Bearer " + github.token)

    def __call__(self, path, headers=None, token=True, **options):
        given = dict(self.auth if token else AGENT, **(headers or {}))
        return get(self.github.api + path, given, **options)

    def signed(self, job, repo="octo/hello"):
        return self("/repos/%s/actions/jobs/%d/logs" % (repo, job)).headers["location"]


def split(reply):
    head, _, body = reply.partition(b"\r\n\r\n")
    return head.decode("latin-1"), body


def one_job(github, size=5050, **fields):
    run = github.add_run("octo/hello")
    return github.add_job(run, size=size, **fields)
