"""The storage host: signed URLs that are checked and do expire, ranges, and error bodies in XML."""

import base64
import hashlib
import hmac
import os
import re
import time
import urllib.parse

from fake import archives
from fake.message import Answer, http_date
from fake.world import guid, iso, sha1

AZURE = [("Server", "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0"), ("x-ms-version", "2025-11-05")]
NO_AUTH = ("Authentication information is not given in the correct format. "
           "Check the value of Authorization header.")
NO_SIGNATURE = ("Server failed to authenticate the request. Make sure the value of Authorization "
                "header is formed correctly including the signature.")
ARCHIVES_KEPT = 256         # archives made, by run, attempt and state of the world
LEGACY_PATH = re.compile(r"/_apis/pipelines/1/runs/\d+/signedlogcontent/(\d+)$")


class Storage:
    def __init__(self, world, lifetime=60.0, ghes=False):
        self.world = world
        self.lifetime = lifetime
        self.ghes = ghes
        self.base = None                # set when the address is known
        self.auth_status = 401          # answer to an Authorization header: 400, 401 or 403
        self.blobs = {}                 # path -> function giving (job or None, Log or None)
        self.secret = os.urandom(32)
        self.archives = {}              # path -> (run, attempt); what run_url gave out
        self.made = {}                  # (run, attempt, version) -> archives.build

    def expire_all(self):
        """Every URL given out so far is worthless from now on."""
        self.secret = os.urandom(32)

    # --- giving out URLs ---

    def job_url(self, job, base):
        """The signed URL of a job's log, for a client that came by `base`."""
        if self.ghes or job.form.startswith("legacy"):
            return self._legacy_url(job, base)
        path = "/actions-results/%s/workflow-job-run-%s/logs/job/job-logs.txt" % (
            guid(("run", job.run.id, job.attempt)), guid(("job", job.id)))
        self.blobs[path] = lambda: (job, None if job.log.absent else job.log)
        return self.base + path + "?" + self._sas(path, "text/plain")

    def run_url(self, run, number, base):
        """The signed URL of an archive: another service than that of the logs."""
        path = "/rest/runs/%s/logs" % guid(("run", run.id, number))
        if self.ghes:
            path = "/_services/pipelines" + path
        self.archives[path] = (run, number)
        host = base if self.ghes else self.base
        end = "%.6f" % (time.time() + self.lifetime)
        query = {"filename": "logs_%d.zip" % run.id, "expires": end}
        query["signature"] = self._sign(path, query)
        return host + path + "?" + urllib.parse.urlencode(query)

    def _legacy_url(self, job, base):
        host = base + "/_services/pipelines" if self.ghes else self.base
        path = "/%s/_apis/pipelines/1/runs/%d/signedlogcontent/%d" % (
            sha1(job.run.repo.id)[:20], job.run.id % 100000, job.id)
        expires = "%.6f" % (time.time() + self.lifetime)
        query = {"urlExpires": expires, "urlSigningMethod": "HMACV1",
                 "urlSignature": self._sign(path, {"urlExpires": expires})}
        return host + path + "?" + urllib.parse.urlencode(query)

    def _sas(self, path, content_type):
        now = time.time()
        end = now + self.lifetime
        exact = _precise(end) if self.lifetime < 10 else iso(end)
        query = {"rsct": content_type, "se": exact, "sp": "r", "spr": "https", "sr": "b",
                 "st": iso(now - 5), "sv": "2025-11-05"}
        query["sig"] = self._sign(path, query)
        return urllib.parse.urlencode(query)

    def _sign(self, path, query):
        text = path + "\n" + "\n".join("%s=%s" % item for item in sorted(query.items()))
        mac = hmac.new(self.secret, text.encode(), hashlib.sha256).digest()
        return base64.b64encode(mac).decode()

    # --- answering ---

    def owns(self, path):
        """Whether a path on the API's own host is storage's (GHES)."""
        return self.ghes and path.startswith("/_services/pipelines/")

    def answer(self, request):
        legacy = LEGACY_PATH.search(request.path)
        if "authorization" in request.headers:
            return Answer.storage_error(self.auth_status, "InvalidAuthenticationInfo", NO_AUTH)
        if request.method not in ("GET", "HEAD"):
            return Answer.storage_error(405, "UnsupportedHttpVerb", "The resource doesn't support "
                                        "specified Http Verb.")
        if request.path in self.archives:
            return self._archive_answer(request)
        problem = self._check_legacy(request) if legacy else self._check_sas(request)
        if problem:
            return Answer.storage_error(403, "AuthenticationFailed", NO_SIGNATURE, problem)
        if legacy:
            job = self.world.jobs.get(int(legacy.group(1)))
            if job and job.log.form in ("block", "append", "append-sealed"):
                return _blob_answer(request, job, None if job.log.absent else job.log)
            return _legacy_answer(job)
        if request.path not in self.blobs:
            return _not_found()
        job, log = self.blobs[request.path]()
        if job:
            request.job_id = job.id
        return _blob_answer(request, job, log)

    def _archive_answer(self, request):
        """Made while it is sent: without ETag or ranges, and mostly chunked, without length."""
        query = dict(request.query)
        given = query.pop("signature", "")
        if (not hmac.compare_digest(given.encode(), self._sign(request.path, query).encode())
                or float(query["expires"]) < time.time()):
            return Answer(403, [("Content-Type", "application/json"), ("Date", http_date())],
                          b'{"code":"permission_denied","msg":"signature expired"}')
        headers = [("Content-Type", "application/zip"), ("Date", http_date()),
                   ("Content-Disposition", "attachment; filename=%s" % query["filename"])]
        run, number = self.archives[request.path]
        data, tail = self.make_archive(run, number)
        made = Answer(200, headers, data)
        made.tail = tail
        made.framing = run.archive.get("framing", "chunked")
        return made

    def make_archive(self, run, number):
        """The zip of an attempt, made once for each state of the world."""
        key = (run.id, number, self.world.version)
        if key not in self.made:
            if len(self.made) >= ARCHIVES_KEPT:
                self.made.clear()
            self.made[key] = archives.build(run, number)
        return self.made[key]

    def locate(self, request):
        """Tell the request's job before it is answered, so that faults can meet it."""
        legacy = LEGACY_PATH.search(request.path)
        if legacy:
            request.job_id = int(legacy.group(1))
        elif "/workflow-job-run-" in request.path and request.path in self.blobs:
            request.job_id = self.blobs[request.path]()[0].id

    def _check_sas(self, request):
        query = dict(request.query)
        given = query.pop("sig", "")
        if not hmac.compare_digest(given.encode(), self._sign(request.path, query).encode()):
            return "Signature did not match."
        end = query["se"]
        if _precise(time.time()) > end:
            return ("Signature not valid in the specified time frame: Start [%s] - Expiry [%s] - "
                    "Current [%s]" % (query["st"], end, http_date()))
        return None

    def _check_legacy(self, request):
        path = request.path
        if path.startswith("/_services/pipelines"):
            path = path[len("/_services/pipelines"):]
        expires = request.query.get("urlExpires", "")
        wanted = self._sign(path, {"urlExpires": expires})
        if not hmac.compare_digest(request.query.get("urlSignature", "").encode(), wanted.encode()):
            return "Signature did not match."
        return "The link has expired." if float(expires) < time.time() else None


def _precise(seconds):
    """With fraction; such a string compares rightly with those of whole seconds."""
    return iso(seconds)[:-1] + ".%07dZ" % (seconds % 1 * 1e7)


def _not_found():
    return Answer.storage_error(404, "BlobNotFound", "The specified blob does not exist.")


def _legacy_answer(job):
    """The old service: no ranges, no ETag, and mostly no length."""
    if job is None or job.log.absent:
        return _not_found()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"),
               ("Vary", "Accept-Encoding"), ("Date", http_date())]
    made = Answer.of_log(200, headers, job.log, 0, job.log.length)
    made.framing = {"legacy-length": "length", "legacy-close": "close"}.get(job.form, "chunked")
    return made


def _blob_answer(request, job, log):
    if log is None:
        return _not_found()
    headers = list(AZURE) + _blob_headers(request, job, log)
    if request.headers.get("if-match", log.etag) not in (log.etag, "*"):
        return Answer.storage_error(412, "ConditionNotMet", "The condition specified using HTTP "
                                    "conditional header(s) is not met.")
    if request.headers.get("if-none-match") == log.etag:
        return Answer(304, headers)
    wanted = request.headers.get("x-ms-range") or request.headers.get("range")
    span = _range(wanted, log.length)
    if span is None:
        return Answer.of_log(200, headers, log, 0, log.length)
    start, end = span
    if start >= log.length:
        refusal = Answer.storage_error(416, "InvalidRange", "The range specified is invalid for "
                                       "the current size of the resource.")
        refusal.set("Content-Range", "bytes */%d" % log.length)
        return refusal
    made = Answer.of_log(206, headers, log, start, end)
    made.set("Content-Range", "bytes %d-%d/%d" % (start, end - 1, log.length))
    return made


def _range(text, length):
    """(start, end) of a plain byte range; None where there is none or one of the other kinds."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", (text or "").strip())
    if not found:
        return None
    start = int(found.group(1))
    end = min(int(found.group(2)) + 1, length) if found.group(2) else length
    return (start, end) if start < end or start >= length else None


def _blob_headers(request, job, log):
    modified = job.log_modified if job else log.modified
    headers = [("Content-Type", request.query.get("rsct", "text/plain")), ("ETag", log.etag),
               ("Last-Modified", http_date(modified)), ("Accept-Ranges", "bytes"),
               ("x-ms-creation-time", http_date(job.started_at if job else modified)),
               ("x-ms-lease-status", "unlocked"), ("x-ms-lease-state", "available"),
               ("x-ms-server-encrypted", "true"), ("Date", http_date())]
    if job is None or job.form == "block":
        return headers + [("x-ms-blob-type", "BlockBlob")]
    headers += [("x-ms-blob-type", "AppendBlob"),
                ("x-ms-blob-committed-block-count", str(log.block_count))]
    if job.form == "append-sealed":
        headers.append(("x-ms-blob-sealed", "true"))
    return headers
