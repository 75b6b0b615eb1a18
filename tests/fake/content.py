"""Made-up logs: any byte of any size, as a pure function of (job id, offset).

A made-up log is lines of LINE bytes, filled up with dots, newline included:

    2026-01-01T00:00:00.0060000Z job 0000000000000042 line 0000000001 compile unit 0001 ok....

The line's number and the job's id make every byte's place checkable. 101 is prime to every page
and block size, so lines cross all boundaries. Each thousandth line (500, 1500, ...) holds NEEDLE.
The second line names the job as the runner does, and is the shorter for it; the first is longer.
Lines are 6 ms apart: a block of 10,000 lines is one minute, so within a block only a few columns
differ from a template, and they are stamped by strided slices: several GB/s in plain Python.
"""

import datetime
import functools

LINE = 101
BLOCK_LINES = 10_000
BLOCK = LINE * BLOCK_LINES
NEEDLE = b"needle-in-the-log"
NEEDLE_EVERY = 1000
NEEDLE_FIRST = 500

_EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
_TIME_AT = 0            # "2026-01-01T00:00" is stamped per block; seconds come from the template
_TIME_LEN = 16
_JOB_AT = 33            # after "2026-01-01T00:00:00.0000000Z job "
_JOB_LEN = 16
_HIGH_AT = 55           # the line number's digits above the last four
_HIGH_LEN = 6
_WORDS = ("compile unit", "link object", "run test", "fetch package", "copy file", "check style")


def _template_line(index):
    micros = index * 6000
    stamp = "2026-01-01T00:00:%02d.%06d0Z" % divmod(micros, 1_000_000)
    if index % NEEDLE_EVERY == NEEDLE_FIRST:
        text = "##[error]%s %04d" % (NEEDLE.decode(), index)
    else:
        text = "%s %04d ok" % (_WORDS[index * 7919 % 6], index)
    line = "%s job %016d line %010d %s" % (stamp, 0, index, text)
    return line.ljust(LINE - 1, ".").encode() + b"\n"


@functools.lru_cache(maxsize=None)
def _template():
    return bytearray(b"".join(_template_line(i) for i in range(BLOCK_LINES)))


def job_name(job_id):
    """What the made-up log of this job calls it."""
    return "job %016d" % job_id


def _head(job_id):
    """The first two lines."""
    named = b"2026-01-01T00:00:00.0060000Z Complete job name: %s\n" % job_name(job_id).encode()
    first = _template_line(0)[:-1].replace(b"0" * _JOB_LEN, b"%016d" % job_id, 1)
    return first.ljust(2 * LINE - len(named) - 1, b".") + b"\n" + named


def _stamp(lines, at, text, old):
    """Put `text` in the same columns of all lines, where it differs from `old`."""
    count = len(lines) // LINE
    for i, (new, was) in enumerate(zip(text, old)):
        if new != was:
            lines[at + i::LINE] = bytes((new,)) * count


def _block_lines(job_id, block, first, last):
    """Lines first..last-1 of one block, as a bytearray."""
    lines = _template()[first * LINE:last * LINE]
    minute = (_EPOCH + datetime.timedelta(minutes=block)).strftime("%Y-%m-%dT%H:%M").encode()
    _stamp(lines, _TIME_AT, minute, b"2026-01-01T00:00")
    _stamp(lines, _JOB_AT, b"%016d" % job_id, b"0" * _JOB_LEN)
    _stamp(lines, _HIGH_AT, b"%06d" % block, b"0" * _HIGH_LEN)
    if block == 0 and first < 2:
        head = _head(job_id)[first * LINE:last * LINE]
        lines[:len(head)] = head
    return lines


def end_seconds(size):
    """The time of the last line of a made-up log, in whole seconds since the epoch."""
    return int(_EPOCH.timestamp() + size // LINE * 0.006)


def pieces(job_id, offset, length):
    """The bytes [offset, offset + length) as memoryviews of at most one block each."""
    end = offset + length
    while offset < end:
        block, within = divmod(offset, BLOCK)
        stop = min(end - block * BLOCK, BLOCK)
        first = within // LINE
        lines = _block_lines(job_id, block, first, -(-stop // LINE))
        yield memoryview(lines)[within - first * LINE:stop - first * LINE]
        offset = block * BLOCK + stop


def content(job_id, offset, length):
    """The bytes [offset, offset + length) of the made-up log of this job."""
    return b"".join(pieces(job_id, offset, length))


def first_difference(job_id, offset, data):
    """Index in `data` of the first byte that is not the log's from `offset`, or -1."""
    at = 0
    for piece in pieces(job_id, offset, len(data)):
        part = data[at:at + len(piece)]
        if part != piece:
            return at + next(i for i, (a, b) in enumerate(zip(part, piece)) if a != b)
        at += len(piece)
    return -1


def whole_lines(size):
    """The largest size up to `size` that ends with a newline."""
    return size - size % LINE


def needles(size):
    """How many lines of a log of this size hold the whole needle."""
    needle_end = _template_line(NEEDLE_FIRST).index(NEEDLE) + len(NEEDLE)
    first_end = NEEDLE_FIRST * LINE + needle_end
    return 0 if size < first_end else 1 + (size - first_end) // (NEEDLE_EVERY * LINE)
