"""A request as read, an answer before it is sent, and the plan of how to send it badly."""

import dataclasses
import email.utils
import functools
import re
import time
import urllib.parse
import uuid
from http.client import responses

from fake.world import FilePiece

CHUNK = 32 << 10
JSON_TYPE = "application/json; charset=utf-8"


class BadRequest(Exception):
    pass


@functools.lru_cache(maxsize=4)
def _http_date(second):
    return email.utils.formatdate(second, usegmt=True)


def http_date(seconds=None):
    return _http_date(int(time.time() if seconds is None else seconds))


class Request:
    """One request. `path` is decoded and without query; header names are in lower case."""

    def __init__(self, head, scheme="http"):
        lines = head.decode("latin-1").split("\r\n")
        try:
            self.method, self.target, self.version = lines[0].split(" ")
            pairs = [line.split(":", 1) for line in lines[1:]]
            self.headers = {name.lower(): value.strip() for name, value in pairs}
        except ValueError:
            raise BadRequest("malformed request head") from None
        self.body = b""
        self.hop = None
        self.started = time.monotonic()
        self._split_target(scheme)
        self.charged = False
        self.job_id = self._job_id()

    def _split_target(self, scheme):
        """The origin form, and the absolute form that clients send to a proxy."""
        parts = urllib.parse.urlsplit(self.target)
        self.base = "%s://%s" % (parts.scheme or scheme,
                                 parts.netloc or self.headers.get("host", ""))
        self.raw_path = parts.path or "/"
        self.path = urllib.parse.unquote(self.raw_path)
        self.raw_query = parts.query
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))

    def _job_id(self):
        found = re.search(r"/actions/jobs/(\d+)", self.path)
        return int(found.group(1)) if found else None

    @property
    def keep_alive(self):
        said = self.headers.get("connection", "").lower()
        return "close" not in said and (self.version == "HTTP/1.1" or "keep-alive" in said)

    @property
    def content_length(self):
        try:
            return int(self.headers.get("content-length", "0"))
        except ValueError:
            raise BadRequest("Content-Length is not a number") from None


@dataclasses.dataclass
class Plan:
    """How the sender departs from a good answer."""

    cut_at: int = None          # body bytes before the cut; -1: before the header
    cut_how: str = None         # reset, close, stall
    notify: bool = False        # a close over TLS is announced
    seconds: float = None       # of a stall; None: for ever
    drip: tuple = None          # (bytes, seconds), of the body
    drip_head: tuple = None
    extra: bytes = b""          # after the promised body
    endless: bool = False       # the same without end
    endless_head: bool = False  # a header after the other
    say_length: int = None
    no_length: bool = False
    close: bool = False


class Answer:
    """A status, headers in order, and a body: bytes, or a window of a log."""

    def __init__(self, status, headers=(), body=b""):
        self.status = status
        self.headers = [list(pair) for pair in headers]
        self.body = body
        self.source = None
        self.window = None              # (start, end, total) of a log's answer
        self.framing = "length"         # or chunked, close
        self.tail = b""                 # comes behind `body` again and again, without an end
        self.plan = Plan()

    # --- making ---

    @classmethod
    def text(cls, status, text, content_type="text/plain; charset=utf-8"):
        return cls(status, [("Content-Type", content_type)], text.encode())

    @classmethod
    def storage_error(cls, status, code, message, detail=None):
        """As Azure writes them: XML behind a BOM."""
        request_id = str(uuid.uuid4())
        when = time.strftime("%Y-%m-%dT%H:%M:%S.0000000Z", time.gmtime())
        more = detail and "<AuthenticationErrorDetail>%s</AuthenticationErrorDetail>" % detail
        body = ('\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>%s</Code><Message>%s\n'
                "RequestId:%s\nTime:%s</Message>%s</Error>"
                % (code, message, request_id, when, more or ""))
        return cls(status, [("Content-Type", "application/xml"), ("x-ms-request-id", request_id),
                            ("x-ms-version", "2025-11-05"), ("x-ms-error-code", code),
                            ("Server", "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0"),
                            ("Date", http_date())], body.encode())

    @classmethod
    def of_log(cls, status, headers, log, start, end):
        made = cls(status, headers)
        made.source = log
        made.window = (start, end, log.length)
        return made

    # --- changing ---

    def set(self, name, value):
        """Set one header; None removes it."""
        for pair in self.headers:
            if pair[0].lower() == name.lower():
                if value is None:
                    self.headers.remove(pair)
                else:
                    pair[1] = value
                return
        if value is not None:
            self.headers.append([name, value])

    def get(self, name):
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    def set_window(self, start, end, total):
        self.window = (start, end, total)
        if self.get("Content-Range"):
            self.set("Content-Range", "bytes %d-%d/%d" % (start, end - 1, total))

    def keep_from(self, other):
        """Take over what does not describe the body."""
        for name, value in other.headers:
            if name.lower().startswith(("x-ratelimit", "x-github", "date", "server", "x-ms-req")):
                self.set(name, value)

    def replace_body(self, data):
        self.body, self.source, self.tail = data, None, b""

    # --- sending ---

    @property
    def length(self):
        if self.source is None:
            return len(self.body)
        return self.window[1] - self.window[0]

    def pieces(self):
        if self.source is not None:
            yield from self.source.pieces(self.window[0], self.length)
        elif self.framing == "chunked":
            for at in range(0, len(self.body), CHUNK):
                yield memoryview(self.body)[at:at + CHUNK]
        elif self.body:
            yield memoryview(self.body)
        while self.tail:
            for at in range(0, len(self.tail), CHUNK):
                yield memoryview(self.tail)[at:at + CHUNK]

    def whole_body(self):
        if self.tail:
            raise TypeError("this body has no end")
        return b"".join(p.read() if isinstance(p, FilePiece) else bytes(p) for p in self.pieces())

    def head(self, keep_alive):
        """The bytes of status line and headers."""
        lines = ["HTTP/1.1 %d %s" % (self.status, responses.get(self.status, "Unknown"))]
        lines += ["%s: %s" % (name, value) for name, value in self.headers]
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        elif self.framing == "length" and not self.plan.no_length and self.status != 304:
            said = self.plan.say_length
            lines.append("Content-Length: %d" % (self.length if said is None else said))
        if not keep_alive:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
