"""GitHub's limits: requests an hour per identity, and the secondary ones. Time is an argument."""

import collections
import dataclasses

WINDOW = 3600


@dataclasses.dataclass
class Bucket:
    limit: int
    used: int
    reset: float

    @property
    def remaining(self):
        return max(0, self.limit - self.used)


class Limits:
    """Primary: a bucket per token (and one for requests without). Secondary: off unless set."""

    def __init__(self):
        self.limit_token = 5000
        self.limit_anonymous = 60
        self.status = 403               # of a refusal: 403 or 429
        self.per_minute = None
        self.concurrent = None
        self.retry_after = 60
        self.secondary_status = 403
        self.buckets = {}
        self.recent = collections.deque()

    def bucket(self, identity, now):
        bucket = self.buckets.get(identity)
        if bucket is None or now >= bucket.reset:
            limit = self.limit_token if identity else self.limit_anonymous
            bucket = self.buckets[identity] = Bucket(limit, 0, now + WINDOW)
        return bucket

    def set_primary(self, now, identity, limit=None, remaining=None, reset=None, status=None):
        bucket = self.bucket(identity, now)
        if limit is not None:
            bucket.limit = limit
            if identity:
                self.limit_token = limit
            else:
                self.limit_anonymous = limit
        if remaining is not None:
            bucket.used = max(0, bucket.limit - remaining)
        if reset is not None:
            bucket.reset = now + reset
        if status is not None:
            self.status = status

    def set_secondary(self, per_minute=None, concurrent=None, retry_after=60, status=403):
        self.per_minute, self.concurrent = per_minute, concurrent
        self.retry_after, self.secondary_status = retry_after, status
        self.recent.clear()

    def secondary_refuses(self, now, at_once):
        """Whether one more request now is too many; counts it where it is not."""
        while self.recent and self.recent[0] <= now - 60:
            self.recent.popleft()
        if self.per_minute is not None and len(self.recent) >= self.per_minute:
            return True
        if self.concurrent is not None and at_once > self.concurrent:
            return True
        if self.per_minute is not None:
            self.recent.append(now)
        return False
