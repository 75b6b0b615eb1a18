"""Faults: which request they meet, how often, and what they do to an answer.

A fault is a dict. What it meets:
    hop "api" | "storage" | "store", path (substring), target (substring of path and query),
    job (id), method, range (substring of the Range header), query (a regular expression somewhere
    in the query as it was sent)
    nth   the first matching request that is hit (1)     times   how many are hit (1; -1: for ever)
What it does, `kind` and its arguments:
    status          status, body ("" or text or JSON value), headers {}; each {request} in the body
                    stands for an id of the request, another one each time
    xml             status, code, message: an error body as storage writes it
    expired         the signed URL counts as expired
    reset           after: RST once that many body bytes have gone (-1: before the header)
    close           after: likewise, but an orderly end; over TLS without a close_notify,
                    unless notify is true
    stall           after, seconds (none: for ever): silence, then the rest
    drip            bytes, every: that many body bytes each so many seconds; with head true those
                    of the status line and the headers
    overlong        extra: junk bytes after the promised length
    content_length  value or delta: a wrong Content-Length; the connection then ends
    no_length       no Content-Length, the end of the connection is the end of the body
    content_range   value (whole header), or start_delta, total_delta
    short_range     bytes: 206 with fewer bytes than asked for, and said so
    ignore_range    200 and everything
    etag            value
    header          headers {}: set, or removed with null
    gzip            Content-Encoding: gzip though nobody asked
    location        value: another Location, null for none; {host} and {path} in it stand for
                    those of the true one
    huge_headers    size (of one header) and count
    json            form huge | malformed | truncated | deep | nul | html | empty; size
    list            a page of a list with other entries than it should have, under the same ETag:
                    drop and null: so many of its last entries left out, made null; twice: its
                    first entry comes again; total: value or null for none; link: false for no
                    Link; pad: so many blanks behind
    upload          how, after, seconds: of a request's body only so many bytes are read (-1: none,
                    and no "100 Continue" comes), then how: "stall", "reset" or "close"
    endless         part: "header" or "body"; more of it comes for as long as the client takes it
    damage          at, xor: one byte of the body is another one
    nul             NUL bytes put into the body in place of every thousandth byte
"""

import dataclasses
import gzip as gzip_module
import json
import re
import uuid

from fake.message import Answer, Plan


class FaultError(Exception):
    """An impossible fault; the text has the reason."""


MATCH = {"hop", "path", "target", "query", "job", "method", "range", "nth", "times"}


@dataclasses.dataclass
class Fault:
    number: int
    match: dict
    kind: str
    args: dict
    seen: int = 0
    hits: int = 0

    def meets(self, request):
        want = self.match
        return (want.get("hop") in (None, request.hop)
                and want.get("path", "") in request.path
                and re.search(want.get("query", ""), request.raw_query) is not None
                and want.get("target", "") in request.target
                and want.get("job") in (None, request.job_id)
                and want.get("method") in (None, request.method)
                and want.get("range", "") in request.headers.get("range", ""))

    @property
    def ready(self):
        """Whether the matching request just counted is to be hit."""
        times = self.match.get("times", 1)
        return self.seen >= self.match.get("nth", 1) and (times < 0 or self.hits < times)


class Faults:
    def __init__(self):
        self.all = []
        self.made = 0

    def add(self, spec):
        kind = spec.get("kind")
        if kind not in KINDS:
            raise FaultError("fault: kind is one of %s" % sorted(KINDS))
        match = {key: spec[key] for key in spec if key in MATCH}
        args = {key: spec[key] for key in spec if key not in MATCH and key != "kind"}
        self.made += 1
        self.all.append(Fault(self.made, match, kind, args))
        return self.made

    def clear(self):
        self.all.clear()

    def take(self, request):
        """The fault that hits the answer to this request, or None. All that match count it; the
        first ready one hits."""
        return self._take([fault for fault in self.all
                           if fault.kind != "upload" and fault.meets(request)])

    def take_upload(self, request):
        """The same, of those that hit the request's own body."""
        return self._take([fault for fault in self.all
                           if fault.kind == "upload" and request.content_length
                           and fault.meets(request)])

    @staticmethod
    def _take(meeting):
        for fault in meeting:
            fault.seen += 1
        hit = next((fault for fault in meeting if fault.ready), None)
        if hit:
            hit.hits += 1
        return hit

    def describe(self):
        return [dict(fault.match, id=fault.number, kind=fault.kind, seen=fault.seen,
                     hits=fault.hits, **fault.args) for fault in self.all]


def upload_plan(fault):
    """How the sending of a request goes wrong."""
    return Plan(cut_at=fault.args.get("after", 0), cut_how=fault.args["how"],
                seconds=fault.args.get("seconds"))


def apply(fault, answer):
    """The answer as the fault leaves it (the same object or another one)."""
    try:
        return KINDS[fault.kind](answer, **fault.args) or answer
    except TypeError as error:
        return Answer.text(500, "fault %s: %s" % (fault.kind, error))


# --- what they do --------------------------------------------------------------------------------

def _status(answer, status, body="", headers=None):
    text = body if isinstance(body, str) else json.dumps(body)
    data = text.replace("{request}", str(uuid.uuid4())).encode()
    made = Answer(status, [], data)
    made.set("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
    made.keep_from(answer)
    for name, value in (headers or {}).items():
        made.set(name, value)
    return made


def _xml(answer, status=503, code="ServerBusy", message="The server is busy."):
    return Answer.storage_error(status, code, message)


def _expired(answer):
    return Answer.storage_error(403, "AuthenticationFailed", "Server failed to authenticate the "
                                "request.", "Signature not valid in the specified time frame")


def _cut(how):
    def do(answer, after=0, seconds=None, notify=False):
        plan = answer.plan
        plan.cut_at, plan.cut_how, plan.seconds, plan.notify = after, how, seconds, notify
    return do


def _drip(answer, bytes=1, every=0.05, head=False):
    if head:
        answer.plan.drip_head = (bytes, every)
    else:
        answer.plan.drip = (bytes, every)


def _overlong(answer, extra=100):
    answer.plan.extra = b"x" * extra
    answer.plan.close = True


def _content_length(answer, value=None, delta=0):
    answer.plan.say_length = answer.length + delta if value is None else value
    answer.plan.close = True


def _no_length(answer):
    answer.plan.no_length = True
    answer.plan.close = True


def _content_range(answer, value=None, start_delta=0, total_delta=0):
    if answer.window is None:
        return
    start, end, total = answer.window
    answer.set("Content-Range", value or "bytes %d-%d/%d" % (
        start + start_delta, end - 1 + start_delta, total + total_delta))


def _short_range(answer, bytes=1):
    if answer.window is None:
        return
    start, end, total = answer.window
    answer.set_window(start, min(end, start + bytes), total)


def _ignore_range(answer):
    if answer.window is None:
        return
    answer.status = 200
    answer.set_window(0, answer.window[2], answer.window[2])
    answer.set("Content-Range", None)


def _etag(answer, value='"0x8DOTHER"'):
    answer.set("ETag", value)


def _header(answer, headers):
    for name, value in headers.items():
        answer.set(name, value)


def _gzip(answer):
    answer.replace_body(gzip_module.compress(answer.whole_body(), 1, mtime=0))
    answer.set("Content-Encoding", "gzip")


def _location(answer, value=None):
    host, _, path = (answer.get("Location") or "").partition("://")[2].partition("/")
    answer.set("Location", value and value.replace("{host}", host).replace("{path}", "/" + path))


def _huge_headers(answer, size=100_000, count=1):
    for i in range(count):
        answer.set("X-Padding-%d" % i, "p" * size)


def _json(answer, form, size=1 << 20):
    bodies = {
        "huge": lambda: b'{"padding": "' + b"a" * size + b'"}',
        "malformed": lambda: b'{"id": 1, "name": \'x\',}',
        "truncated": lambda: answer.whole_body()[:answer.length // 2],
        "deep": lambda: b"[" * (size // 2) + b"]" * (size // 2),
        "nul": lambda: answer.whole_body().replace(b'"name":"', b'"name":"\\u0000'),
        "html": lambda: b"<!DOCTYPE html><html><body>Unicorn!</body></html>",
        "empty": lambda: b"",
    }
    if form not in bodies:
        raise TypeError("form is one of %s" % sorted(bodies))
    answer.replace_body(bodies[form]())


def _list(answer, drop=0, null=0, twice=False, total=0, link=True, pad=0):
    if answer.status != 200:
        return
    page = json.loads(answer.whole_body())
    items = page if isinstance(page, list) else next(
        value for value in page.values() if isinstance(value, list))
    del items[len(items) - min(drop, len(items)):]
    items[len(items) - min(null, len(items)):] = [None] * min(null, len(items))
    if twice:
        items[1:1] = items[:1]
    if total is None:
        page.pop("total_count")
    elif total:
        page["total_count"] = total
    if not link:
        answer.set("Link", None)
    answer.replace_body(json.dumps(page).encode() + b" " * pad)


def _endless(answer, part="body"):
    if part == "header":
        answer.plan.endless_head = True
    else:
        answer.plan.endless = True
        answer.plan.no_length = answer.plan.close = True


def _damage(answer, at=0, xor=1):
    data = bytearray(answer.whole_body())
    if at < len(data):
        data[at] ^= xor
    answer.replace_body(bytes(data))


def _upload(answer, **_):
    """It has done what it does before there was an answer."""


def _nul(answer):
    data = bytearray(answer.whole_body())
    data[::1000] = bytes(len(data[::1000]))
    answer.replace_body(bytes(data))


KINDS = {
    "status": _status, "xml": _xml, "expired": _expired, "reset": _cut("reset"),
    "close": _cut("close"), "stall": _cut("stall"), "drip": _drip, "overlong": _overlong,
    "content_length": _content_length, "no_length": _no_length, "content_range": _content_range,
    "short_range": _short_range, "ignore_range": _ignore_range, "etag": _etag, "header": _header,
    "gzip": _gzip, "location": _location, "huge_headers": _huge_headers, "json": _json,
    "list": _list, "nul": _nul,
    "endless": _endless, "damage": _damage, "upload": _upload,
}
