"""The archive of a run's attempt: all its logs as one zip, as GitHub makes it while sending it.

What GitHub does was learnt from some hundred real archives: sizes and CRC stand behind the data
(flag 8), each whole log `N_<job>.txt` is followed by the folder of its steps, N has holes and
another order than the jobs list, names are cleaned and cut, equal ones get a number, and a job
without a log is left out.

`Run.archive` holds what a test wants otherwise (control operation `archive`):
    clean       "underscore" (`/` becomes `_`) or "drop"
    steps       true, false (no step files), "some" (those of every other job), "short" (the last
                step of each is missing), "other" (their text is another)
    system      true: system.txt in each job's folder
    old         true: old-service entries (`-2147483648_<job>.txt`) beside the new ones
    order       [job id, ...]: the jobs in this order; those that are not named come behind
    mute        true: the logs lose their line "Complete job name: ..."
    sizes       where an entry's sizes and CRC stand: "behind" its data; "bare": without the
                signature that GitHub writes before them; "zip64": in 8 bytes; "ahead" of the data
    framing     "chunked", "length" or "close" (the end of the connection is the archive's)
    file        path: the archive is this file as it is, whatever the run's jobs and the attempt
                (a real one); nothing else can be wanted besides
What is wrong with it:
    twice       [job id, how]: that entry comes twice: "same"; "other": the second time with another
                text; "first": the first time
    swap        [job id, job id]: these two entries hold each other's log
    missing     [job id, ...]: these have no entry
    empty       [job id, ...]: their entries have no content
    half        [job id, ...]: their logs end after half their lines (their steps' files do not)
    wrong_crc   job id: that entry's CRC is wrong
    wrong_size  job id: that entry's size is wrong
    extra       [[name, base64], ...]: entries besides, at the front
    last        [[name, base64], ...]: and at the end. A surrogate such as \\udcff in a name stands
                for the byte, so that names need not be UTF-8
    many        number: so many empty entries at the front
    bomb        bytes: an entry of so many zeros at the front
    endless     [job id, what]: behind its log that entry goes on for ever with "zeros", "noise" or
                the "log" again and again
    ends        job id: where that job's entry should begin the archive ends, and the answer with it
                in good order
"""

import base64
import random
import re
import struct
import zlib

NAME_MAX = 90               # UTF-16 units
BLOCK = 1 << 20             # what a bomb and an endless entry are made of
STAMP = re.compile(rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{4})\d{3}Z", re.MULTILINE)
MARK = re.compile(rb"^((?:\xef\xbb\xbf)?).{28} Complete job name: .*\n", re.MULTILINE)
CHOICES = {
    "clean": ("underscore", "drop"), "steps": (True, False, "some", "short", "other"),
    "sizes": ("behind", "bare", "zip64", "ahead"), "framing": ("chunked", "length", "close"),
    "system": (), "old": (), "order": (), "mute": (), "twice": (), "swap": (), "missing": (),
    "empty": (), "half": (), "wrong_crc": (), "wrong_size": (), "extra": (), "last": (),
    "many": (), "bomb": (), "endless": (), "ends": (), "file": (),
}
TWICE, ENDLESS = ("same", "other", "first"), ("zeros", "noise", "log")


def problem_of(choices):
    """What is impossible among them, as text, or None."""
    for name, value in choices.items():
        if name not in CHOICES:
            return "unknown %s" % name
        if CHOICES[name] and value not in CHOICES[name]:
            return "%s: one of %s" % (name, CHOICES[name])
    for name, kinds in (("twice", TWICE), ("endless", ENDLESS)):
        if name in choices and choices[name][1] not in kinds:
            return "%s: a job and one of %s" % (name, kinds)
    if "endless" in choices and choices.get("framing") == "length":
        return "framing: what is endless has no length"
    if "file" in choices and len(choices) > 1:
        return "a file is served as it is"
    return None


def clean_name(name, how="underscore"):
    """A job's or step's name as GitHub puts it into a path."""
    kept = name.replace("/", "_" if how == "underscore" else "")
    kept = re.sub(r'[:\\<>|*?"\x00-\x1f]', "", kept)
    return kept.encode("utf-16-le")[:2 * NAME_MAX].decode("utf-16-le", "replace")


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def build(run, number):
    """The zip of one attempt: its bytes, and what comes behind them again and again for ever."""
    if "file" in run.archive:
        return read_file(run.archive["file"]), b""
    builder = _Builder(run, number)
    try:
        builder.build()
    except _End:
        pass
    return bytes(builder.zip.data), builder.tail


class _End(Exception):
    """Nothing comes behind this."""


class _Zip:
    """Writes entries one after the other, and the directory. No choice of a test is impossible."""

    def __init__(self, sizes):
        self.sizes = sizes
        self.data = bytearray()
        self.directory = []

    def put(self, name, data, wrong_crc=0, wrong_size=0):
        packer = _packer()
        packed = packer.compress(data) + packer.flush()
        self.put_packed(name, packed, zlib.crc32(data) ^ wrong_crc, len(data) + wrong_size)

    def put_packed(self, name, packed, crc, size):
        at = len(self.data)
        self.begin(name, crc, len(packed), size)
        self.data += packed
        if self.sizes != "ahead":
            self.data += b"" if self.sizes == "bare" else b"PK\x07\x08"
            self.data += struct.pack("<LQQ" if self.sizes == "zip64" else "<LLL", crc, len(packed),
                                     size)
        self.directory.append((name, crc, len(packed), size, at))

    def begin(self, name, crc=0, packed=0, size=0):
        """An entry's header; what follows is its data."""
        more = b""
        if self.sizes == "zip64":
            crc, packed, size, more = 0, 0xffffffff, 0xffffffff, struct.pack("<HHQQ", 1, 16, 0, 0)
        elif self.sizes != "ahead":
            crc = packed = size = 0
        stored = name.encode("utf-8", "surrogateescape")
        self.data += b"PK\x03\x04" + self._common(name) + struct.pack(
            "<LLLHH", crc, packed, size, len(stored), len(more)) + stored + more

    def _common(self, name):
        flags = (0 if self.sizes == "ahead" else 8) | (0 if name.isascii() else 0x800)
        return struct.pack("<HHHHH", 45 if self.sizes == "zip64" else 20, flags, 8, 0, 0x5c21)

    def close(self):
        start = len(self.data)
        for name, crc, packed, size, at in self.directory:
            stored = name.encode("utf-8", "surrogateescape")
            self.data += b"PK\x01\x02\x14\x03" + self._common(name) + struct.pack(
                "<LLLHHHHHLL", crc, packed, size, len(stored), 0, 0, 0, 0, 0o100644 << 16,
                at) + stored
        count, length = len(self.directory), len(self.data) - start
        if self.sizes == "zip64" or count > 0xffff:
            end = len(self.data)
            self.data += b"PK\x06\x06" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, count, count,
                                                     length, start)
            self.data += b"PK\x06\x07" + struct.pack("<LQL", 0, end, 1)
        short = min(count, 0xffff)
        self.data += b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, short, short, length, start, 0)


def _packer():
    return zlib.compressobj(1, zlib.DEFLATED, -15)


def _repeatable(block, level=1):
    """Deflated so that it can stand any number of times in a row."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)


class _Builder:
    def __init__(self, run, number):
        self.run, self.number, self.wants = run, number, run.archive
        self.zip = _Zip(self.wants.get("sizes", "behind"))
        self.names = {}
        self.tail = b""

    def build(self):
        self._put_extra("extra")
        for number in range(self.wants.get("many", 0)):
            self.zip.put("%d/1_x.txt" % number, b"")
        if self.wants.get("bomb"):
            self._put_bomb(self.wants["bomb"])
        for index, job in enumerate(self._jobs()):
            if job.id == self.wants.get("ends"):
                raise _End
            self._put_job(index, job, index * 3 + 1)
        self._put_extra("last")
        self.zip.close()

    def _jobs(self):
        """Those with an entry; not in the order of the list."""
        order = self.wants.get("order", ())
        jobs = [job for job in self.run.jobs
                if job.attempt == self.number and not job.log.absent
                and job.id not in self.wants.get("missing", ())]
        return sorted(jobs, key=lambda job: (order.index(job.id) if job.id in order
                                             else len(order), (job.id * 7919) % 101))

    def _put_extra(self, which):
        for name, text in self.wants.get(which, ()):
            self.zip.put(name, base64.b64decode(text))

    def _put_bomb(self, size):
        blocks = -(-size // BLOCK)
        crc = 0
        for _ in range(blocks):
            crc = zlib.crc32(bytes(BLOCK), crc)
        packed = _repeatable(bytes(BLOCK), 9) * blocks + _packer().flush()
        self.zip.put_packed("0_bomb.txt", packed, crc, blocks * BLOCK)

    def _unique(self, name):
        """Equal names get a number from the second on."""
        count = self.names[name] = self.names.get(name, -1) + 1
        return "%s (%d)" % (name, count) if count else name

    def _text(self, job):
        pair = self.wants.get("swap", ())
        if job.id in pair:
            other = pair[0] if job.id == pair[1] else pair[1]
            job = next(one for one in self.run.jobs if one.id == other)
        data = job.log.read()
        return MARK.sub(rb"\1", data) if self.wants.get("mute") else data

    def _put_job(self, index, job, ordinal):
        name = self._unique(clean_name(job.name, self.wants.get("clean", "underscore")))
        whole = data = self._text(job)
        if job.id in self.wants.get("half", ()):
            data = b"".join(whole.splitlines(True)[:whole.count(b"\n") // 2])
        if job.id in self.wants.get("empty", ()):
            data = b""
        twice = self.wants.get("twice", (None, None))
        twice = twice[1] if twice[0] == job.id else None
        self._put_log(job, "%d_%s.txt" % (ordinal, name),
                      data + b"again\n" if twice == "first" else data)
        if self.wants.get("old"):
            self.zip.put("-2147483648_%s.txt" % name, b"old\n" + data[:200])
        if twice:
            self.zip.put("%d_%s.txt" % (ordinal + 1, name),
                         data + b"again\n" if twice == "other" else data)
        self._put_steps(index, job, name, whole)
        if self.wants.get("system"):
            self.zip.put("%s/system.txt" % name, b"Requested labels: ubuntu-latest\n")

    def _put_log(self, job, name, data):
        endless = self.wants.get("endless", (None, None))
        if endless[0] == job.id:
            block = {"zeros": bytes(BLOCK), "noise": random.Random(job.id).randbytes(BLOCK),
                     "log": data}[endless[1]]
            self.zip.begin(name)
            self.zip.data += _repeatable(data)
            self.tail = _repeatable(block, 9)
            raise _End
        self.zip.put(name, data, wrong_crc=0xff * (job.id == self.wants.get("wrong_crc")),
                     wrong_size=1 * (job.id == self.wants.get("wrong_size")))

    def _put_steps(self, index, job, name, data):
        how = self.wants.get("steps", True)
        if not how or (how == "some" and index % 2):
            return
        parts = list(cut_evenly(job, data))
        if how == "short":
            parts = parts[:-1]
        for step, part in parts:
            # The step's own file has times of its own, and lines lose their byte order marks.
            text = STAMP.sub(rb"\g<1>001Z", part).replace(b"\xef\xbb\xbf", b"")
            if how == "other":
                text = text.replace(b"e", b"E")
            self.zip.put("%s/%d_%s.txt" % (name, step["number"], clean_name(step["name"])), text)


def cut_evenly(job, data):
    """Pairs of a step that ran and its share of the log's lines."""
    steps = [step for step in job.steps if step["conclusion"] != "skipped"]
    start = 0
    for i, step in enumerate(steps, 1):
        end = len(data) if i == len(steps) else data.find(b"\n", len(data) * i // len(steps)) + 1
        yield step, data[start:end]
        start = end
