#!/usr/bin/python3
"""How many lines of a job's log land in the right step?

Takes run archives as GitHub serves them (the whole log of a job beside the true file of each
step), tells the cutter only what the API would tell (number, name, times in whole seconds), and
compares line by line. Each job is measured with its debug lines and without them, and with
times cut off to the second (as the API does) and rounded.

usage: steps.py [ARCHIVE.zip ...]      default: those of ../shared/real/api.tar.xz
Exit status: 0 at least 98 % in each archive, 1 less, 77 nothing to measure.
"""
import calendar
import glob
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REAL = os.path.join(ROOT, '..', 'shared', 'real', 'api.tar.xz')
LEAST = 98.0
BOM = b'\xef\xbb\xbf'
STAMP = re.compile(rb'(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{7})Z ?')


def build(folder):
    program = os.path.join(folder, 'steps_cut')
    sources = glob.glob(os.path.join(ROOT, 'src', 'text', '*.c'))
    subprocess.run(['cc', '-std=gnu11', '-D_GNU_SOURCE', '-O2', '-I', os.path.join(ROOT, 'src'),
                    '-o', program, os.path.join(ROOT, 'tests', 'bench', 'steps_cut.c')] + sources,
                   check=True)
    return program


def lines_of(data):
    """(raw line with its end, milliseconds or None, text)"""
    out = []
    for raw in data.split(b'\n'):
        text = raw.rstrip(b'\r')
        while text.startswith(BOM):
            text = text[3:]
        stamp = STAMP.match(text)
        time = None
        if stamp:
            part = [int(x) for x in stamp.groups()]
            time = calendar.timegm(tuple(part[:6]) + (0, 0, 0)) * 1000 + part[6] // 10000
            text = text[stamp.end():]
        out.append((raw + b'\n', time, text))
    if out and out[-1][0] == b'\n':
        out.pop()
    return out


def is_debug(line):
    return line[2].startswith(b'##[debug]')


class Step:
    def __init__(self, number, name, lines):
        self.number, self.lines = number, lines
        # a file's name has lost the slash of an action's name
        self.name = re.sub(r'^((?:Post )?Run [\w.-]+?)_([\w.-]+@)', r'\1/\2', name)
        self.times = [t for _, t, _ in lines if t is not None]
        self.skipped = bool(lines) and all(map(is_debug, lines)) and \
            lines[-1][2].startswith(b'##[debug]Result: ')


def jobs_of(archive):
    names = archive.namelist()
    for name in sorted(names):
        found = re.fullmatch(r'-?\d+_([^/]*)\.txt', name)
        if not found:
            continue
        steps = []
        for inner in names:
            step = re.fullmatch(re.escape(found.group(1)) + r'/(\d+)_(.*)\.txt', inner)
            if step:
                steps.append(Step(int(step.group(1)), step.group(2),
                                  lines_of(archive.read(inner))))
        steps.sort(key=lambda s: s.number)
        if len(steps) > 1:
            yield name, lines_of(archive.read(name)), steps


def truth_of(lines, steps):
    """The true step of each line: the log is the steps' files one after another, but for lines
    of the job itself. A skipped step has no file of ours: its lines stay with the one before."""
    flat = []
    owner = steps[0].number
    for step in steps:
        owner = owner if step.skipped else step.number
        flat += [(owner, text) for _, _, text in step.lines]
    truth, at = [], 0
    for _, _, text in lines:
        for ahead in range(at, min(at + 4, len(flat))):
            if flat[ahead][1] == text:
                at = ahead + 1
                break
        truth.append(flat[max(at - 1, 0)][0])
    return truth


def told(ms, rounded):
    return (ms + 500 if rounded else ms) // 1000 * 1000


def cut(program, folder, lines, steps, rounded):
    """The step that the cutter gives each line to."""
    log, table = os.path.join(folder, 'log'), os.path.join(folder, 'steps')
    with open(log, 'wb') as f:
        f.writelines(raw for raw, _, _ in lines)
    with open(table, 'w', encoding='utf-8') as f:
        for s in steps:
            first, last = (s.times[0], s.times[-1]) if s.times else (-1000, -1000)
            f.write('%d\t%d\t%d\t%d\t%s\n' % (s.number, s.skipped, told(first, rounded),
                                              told(last, rounded), s.name))
    ranges = [tuple(map(int, row.split())) for row in
              subprocess.run([program, log, table], check=True, capture_output=True,
                             text=True).stdout.splitlines()]
    with open(log + '.clean', 'rb') as f:
        clean = f.read()
    assert b''.join(clean[b:e] for _, b, e in ranges) == clean
    starts, given = ranges[1:], []
    number, offset = ranges[0][0], 0
    for row in clean.split(b'\n')[:len(lines)]:
        while starts and starts[0][1] <= offset:
            number = starts.pop(0)[0]
        given.append(number)
        offset += len(row) + 1
    return given


def measure(program, folder, archive, debug, rounded, report):
    right = total = 0
    for name, lines, steps in jobs_of(archive):
        truth = truth_of(lines, steps)
        if not debug:
            kept = [i for i, line in enumerate(lines) if not is_debug(line)]
            lines, truth = [lines[i] for i in kept], [truth[i] for i in kept]
        given = cut(program, folder, lines, steps, rounded)
        wrong = [i for i in range(len(lines)) if given[i] != truth[i]]
        if wrong and report:
            print('    %s: %d of %d wrong' % (name, len(wrong), len(lines)))
            for i in wrong[:3]:
                print('      line %d is of step %d, not %d: %r'
                      % (i + 1, truth[i], given[i], lines[i][2][:70]))
        right += len(lines) - len(wrong)
        total += len(lines)
    return right, total


def archives(argv, folder):
    if argv:
        return argv
    if not os.path.exists(REAL):
        return []
    with tarfile.open(REAL) as tar:
        members = [m for m in tar.getmembers()
                   if m.isfile() and re.fullmatch(r'api/zips/[\w.-]+\.zip', m.name)]
        tar.extractall(folder, members)
    return sorted(os.path.join(folder, m.name) for m in members)


def main(argv):
    worst = None
    with tempfile.TemporaryDirectory() as folder:
        paths = archives(argv, folder)
        if not paths:
            print('skipped: no run archives (%s is absent)' % os.path.relpath(REAL, ROOT))
            return 77
        program = build(folder)
        for path in paths:
            with zipfile.ZipFile(path) as archive:
                print(os.path.basename(path))
                for debug in (True, False):
                    for rounded in (False, True):
                        right, total = measure(program, folder, archive, debug, rounded, True)
                        if not total:
                            continue
                        percent = 100.0 * right / total
                        worst = percent if worst is None else min(worst, percent)
                        print('  %s debug lines, times %s: %.2f %% of %d lines'
                              % ('with' if debug else 'without',
                                 'rounded' if rounded else 'cut off', percent, total))
    if worst is None:
        print('skipped: no job in these archives has the files of its steps')
        return 77
    print('least: %.2f %%' % worst)
    return 0 if worst >= LEAST else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
