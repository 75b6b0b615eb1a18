"""A shared store: objects by path, put and got over plain HTTP or as an S3 server has it.

It answers as the real ones do (see engines): S3's error bodies, `404 NoSuchKey` or, without the
right to list, `403 AccessDenied` for what is not there, 412 for `If-None-Match: *` on what is
there, 411 for a body of unknown length, 400 for more than 5 GiB. What a client may not do is
refused, not overlooked: signatures are checked (sigv4), and a PUT without an identity gets 403.
What goes wrong beyond that are faults (hop "store").

    mode        "s3": signatures; "http": Basic or Bearer in `Authorization`
    identities  S3: {key: secret}; http: {"user:password" or "bearer TOKEN": anything}
    readers     those of them that may only GET
    lists       whether they may list: 404 for what is not there, else 403
    conditions  "honoured" or "ignored", as by nginx and many a small S3 server
    region      the only one that is right (None: any)
    clock       seconds that the server's clock is ahead
"""

import base64
import datetime
import hashlib
import time

from fake import sigv4
from fake.message import Answer, http_date
from fake.world import BytesPart, Log

PUT_MAX = 5 << 30
XML = ('<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message>'
       "<RequestId>tx00000</RequestId></Error>")


class StoreError(Exception):
    pass


class Store:
    SETTINGS = {"mode": "s3", "identities": {}, "readers": [], "lists": True,
                "conditions": "honoured", "region": None, "clock": 0}

    def __init__(self):
        self.objects = {}           # path -> Stored
        self.configure()

    def configure(self, **settings):
        """What is not given is as at the start. The objects stay."""
        unknown = set(settings) - set(self.SETTINGS)
        if unknown:
            raise StoreError("store: unknown %s" % sorted(unknown))
        for name, value in dict(self.SETTINGS, **settings).items():
            setattr(self, name, value)

    def proofs(self):
        """What no other server may see."""
        if self.mode == "s3":
            return [word for pair in self.identities.items() for word in pair]
        return [_header_of(word) for word in self.identities]

    # --- objects, for tests ---

    def put(self, path, log):
        """`log` is {"text": BASE64}, {"size": N} (made up, of job 0) or {"file": PATH}."""
        self.objects[path] = Stored(Log(0, log))

    def get(self, path):
        return base64.b64encode(self.objects[path].log.read()).decode()

    def remove(self, path):
        del self.objects[path]

    def list(self):
        """{path: [bytes, how often it was put]}"""
        return {path: [stored.log.length, stored.puts] for path, stored in self.objects.items()}

    # --- requests ---

    def refuses_unread(self, request):
        """Whether the head alone is refused: its body is not read, and the connection ends."""
        return request.method == "PUT" and ("content-length" not in request.headers
                                            or request.content_length > PUT_MAX)

    def answer(self, request):
        try:
            identity = self._identify(request)
            if request.method in ("GET", "HEAD"):
                return self._get(request)
            if request.method != "PUT":
                return _error(405, "MethodNotAllowed", "the method is not allowed")
            if identity is None or identity in self.readers:
                return _error(403, "AccessDenied", "it may not write")
            return self._put(request)
        except sigv4.Refused as refused:
            status = 400 if refused.code in ("AuthorizationHeaderMalformed", "InvalidRequest",
                                             "XAmzContentSHA256Mismatch") else 403
            return _error(status, refused.code, str(refused))

    def _identify(self, request):
        """Who asks; None: anybody, where there are no identities at all."""
        if self.mode == "s3":
            now = datetime.datetime.now(datetime.timezone.utc)
            return sigv4.check(request.method, request.target, request.headers, request.body,
                               self.identities, now + datetime.timedelta(seconds=self.clock),
                               self.region)
        if not self.identities:
            return None
        given = request.headers.get("authorization", "")
        for word in self.identities:
            if given == _header_of(word):
                return word
        raise sigv4.Refused("AccessDenied", "no such user")

    def _get(self, request):
        stored = self.objects.get(request.path)
        if stored is None:
            if self.lists or self.mode != "s3":
                return _error(404, "NoSuchKey", "the key does not exist")
            return _error(403, "AccessDenied", "access denied")
        if request.headers.get("if-none-match") == stored.etag:
            return Answer(304, stored.headers())
        span = _range(request.headers.get("range", ""), stored.log.length)
        if span is None:
            return Answer.of_log(200, stored.headers(), stored.log, 0, stored.log.length)
        if span[0] >= span[1]:
            refusal = _error(416, "InvalidRange", "the range is not satisfiable")
            refusal.set("Content-Range", "bytes */%d" % stored.log.length)
            return refusal
        made = Answer.of_log(206, stored.headers(), stored.log, *span)
        made.set("Content-Range", "bytes %d-%d/%d" % (span[0], span[1] - 1, stored.log.length))
        return made

    def _put(self, request):
        if "content-length" not in request.headers:
            return _close(_error(411, "MissingContentLength", "the length is missing"))
        if request.content_length > PUT_MAX:
            return _close(_error(400, "EntityTooLarge", "more than 5 GiB"))
        before = self.objects.get(request.path)
        condition = request.headers.get("if-none-match") if self.conditions == "honoured" else None
        if condition == "*" and before:
            return _error(412, "PreconditionFailed", "the condition did not hold")
        log = Log(0, {"text": ""})
        log.parts = [BytesPart(request.body)]
        made = self.objects[request.path] = Stored(log, before.puts + 1 if before else 1)
        if self.mode == "s3":
            return Answer(200, [("ETag", made.etag), ("Date", http_date())])
        return Answer(204 if before else 201, [("Date", http_date())])


class Stored:
    def __init__(self, log, puts=0):
        self.log, self.puts, self.time = log, puts, time.time()
        whole = hashlib.md5(usedforsecurity=False)
        if not all(isinstance(part, BytesPart) for part in log.parts):
            whole.update(b"%d" % log.length)
        for part in log.parts:
            if isinstance(part, BytesPart):
                whole.update(part.data)
        self.etag = '"%s"' % whole.hexdigest()

    def headers(self):
        return [("Content-Type", "binary/octet-stream"), ("ETag", self.etag),
                ("Accept-Ranges", "bytes"), ("Last-Modified", http_date(self.time)),
                ("Date", http_date())]


def _header_of(word):
    if word.startswith("bearer "):
        return "Bearer " + word[7:]
    return "Basic " + base64.b64encode(word.encode()).decode()


def _range(text, length):
    """[start, end) of "bytes=a-b", "bytes=a-" or "bytes=-n"; None where there is none."""
    unit, _, span = text.partition("=")
    first, dash, last = span.partition("-")
    if unit != "bytes" or not dash or not (first or last) or not (first + last).isdigit():
        return None
    if not first:
        return max(0, length - int(last)), length
    return int(first), min(int(last) + 1, length) if last else length


def _error(status, code, message):
    return Answer(status, [("Content-Type", "application/xml"), ("Date", http_date())],
                  (XML % (code, message)).encode())


def _close(answer):
    answer.plan.close = True
    return answer
