"""AWS Signature Version 4, as far as S3 in one piece needs it: signs a request, and checks one.

The canonical request is made as the specification of S3 has it, not as any client makes it: the
path as it was sent, the query sorted by name, header names in lower case and sorted.
"""

import datetime
import hashlib
import hmac
import re

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
STAMP = "%Y%m%dT%H%M%SZ"
SKEW = datetime.timedelta(minutes=15)
AUTHORIZATION = re.compile(
    ALGORITHM + r" Credential=([^/, ]+)/(\d{8})/([^/, ]+)/([^/, ]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;_-]+), ?Signature=([0-9a-f]{64})")


class Refused(Exception):
    """The check failed: an S3 error code, and the reason in words."""

    def __init__(self, code, why):
        super().__init__(why)
        self.code = code


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _canonical_query(query):
    pairs = [part.partition("=")[::2] for part in query.split("&") if part]
    return "&".join("%s=%s" % pair for pair in sorted(pairs))


def signature(method, target, headers, names, payload, secret, stamp, region, service="s3"):
    """`headers` has lower-case names; `names` are those signed, sorted; `payload` is a hash."""
    path, _, query = target.partition("?")
    values = ["%s:%s\n" % (name, " ".join(headers[name].split())) for name in names]
    request = "\n".join([method, path, _canonical_query(query), "".join(values), ";".join(names),
                         payload])
    scope = "%s/%s/%s/aws4_request" % (stamp[:8], region, service)
    text = "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (stamp[:8], region, service, "aws4_request"):
        key = _hmac(key, part)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def sign(method, target, headers, body, key, secret, region, now=None):
    """The headers to be sent, those given among them."""
    now = now or datetime.datetime.now(datetime.timezone.utc)
    payload = hashlib.sha256(body).hexdigest()
    headers = dict(headers, **{"x-amz-date": now.strftime(STAMP), "x-amz-content-sha256": payload})
    lower = {name.lower(): value for name, value in headers.items()}
    names = sorted(lower)
    scope = "%s/%s/s3/aws4_request" % (now.strftime(STAMP)[:8], region)
    headers["Authorization"] = "%s Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        ALGORITHM, key, scope, ";".join(names),
        signature(method, target, lower, names, payload, secret, lower["x-amz-date"], region))
    return headers


def check(method, target, headers, body, secrets, now, region=None):
    """The access key that has signed this request; raises Refused. `headers` has lower-case names,
    `secrets` is {key: secret}."""
    found = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if not found:
        raise Refused("AccessDenied", "no signature that can be read")
    key, day, its_region, service, names, given = found.groups()
    names = names.split(";")
    if key not in secrets:
        raise Refused("InvalidAccessKeyId", "the key is not known")
    if names != sorted(set(names)) or any(name not in headers for name in names):
        raise Refused("AuthorizationHeaderMalformed", "SignedHeaders are not sorted, or not sent")
    needed = {"host"} | {name for name in headers if name.startswith("x-amz-")}
    if needed - set(names):
        raise Refused("AccessDenied", "not signed: %s" % sorted(needed - set(names)))
    if service != "s3" or region not in (None, its_region):
        raise Refused("AuthorizationHeaderMalformed", "the region is wrong, it is " + str(region))
    stamp = headers.get("x-amz-date", "")
    _check_time(stamp, day, now)
    payload = headers.get("x-amz-content-sha256")
    if payload is None:
        raise Refused("InvalidRequest", "x-amz-content-sha256 is missing")
    wanted = signature(method, target, headers, names, payload, secrets[key], stamp, its_region)
    if not hmac.compare_digest(wanted, given):
        raise Refused("SignatureDoesNotMatch", "the signature does not match")
    if payload != UNSIGNED and payload != hashlib.sha256(body).hexdigest():
        raise Refused("XAmzContentSHA256Mismatch", "the hash of the body does not match")
    return key


def _check_time(stamp, day, now):
    try:
        sent = datetime.datetime.strptime(stamp, STAMP).replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        raise Refused("AccessDenied", "x-amz-date is missing or malformed") from None
    if stamp[:8] != day:
        raise Refused("AuthorizationHeaderMalformed", "the scope has another day than x-amz-date")
    if abs(sent - now) > SKEW:
        raise Refused("RequestTimeTooSkewed", "the clocks differ by more than 15 minutes")
