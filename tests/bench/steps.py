#!/usr/bin/python3
"""How many lines of a job's log land in the right step?

Takes run archives as GitHub serves them: the whole log of a job beside the true file of each
step. Tells the cutter only what the API tells of steps (number, name, times in whole seconds) and
compares line by line. Each job is measured with

    true      the API's own steps where api-steps.json beside the archives has them, else the
              times of each step's own lines, cut off to the second as the API does
    rounded   the same, rounded to the second
    early     true, but the whole job one second early
    late      true, but the whole job one second late

and, where it has debug lines, once more without them. A job whose step files hold more than its
whole log is named and not judged; a line of the log that no step file holds is not judged.

usage: steps.py [ARCHIVE.zip ...]   default: ../shared/real/archives and ../shared/real/api.tar.xz
Exit status: 0 at least 99.95 % of the lines and at most 3 jobs in 100 with an error, for each way
of telling the times by itself; 1 less; 77 nothing to measure.
"""
import argparse
import calendar
import collections
import glob
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REAL = os.path.join(ROOT, '..', 'shared', 'real')
LEAST_LINES = 99.95
MOST_JOBS = 3.0
WAYS = ('true', 'rounded', 'early', 'late')
BOM = b'\xef\xbb\xbf'
STAMP = re.compile(rb'(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{7})Z ?')

Line = collections.namedtuple('Line', 'raw ms text')
Step = collections.namedtuple('Step', 'number name skipped started completed')


def build(folder):
    program = os.path.join(folder, 'steps_cut')
    sources = glob.glob(os.path.join(ROOT, 'src', 'text', '*.c'))
    sources.append(os.path.join(ROOT, 'src', 'name.c'))
    subprocess.run(['cc', '-std=gnu11', '-D_GNU_SOURCE', '-O2', '-I', os.path.join(ROOT, 'src'),
                    '-o', program, os.path.join(ROOT, 'tests', 'bench', 'steps_cut.c')] + sources,
                   check=True)
    return program


def lines_of(data):
    out = []
    for raw in data.split(b'\n'):
        text = raw.rstrip(b'\r')
        while text.startswith(BOM):
            text = text[3:]
        stamp = STAMP.match(text)
        ms = None
        if stamp:
            part = [int(x) for x in stamp.groups()]
            ms = calendar.timegm(tuple(part[:6]) + (0, 0, 0)) * 1000 + part[6] // 10000
            text = text[stamp.end():].rstrip()
        out.append(Line(raw + b'\n', ms, text))
    if out and out[-1].raw == b'\n':
        out.pop()
    return out


def is_debug(line):
    return line.text.startswith(b'##[debug]')


def only_skipped(lines):
    """Debug logging gives a skipped step a file: its condition."""
    return bool(lines) and all(map(is_debug, lines)) and \
        lines[-1].text.startswith(b'##[debug]Result: ')


def bare(name):
    """What is the same in a step's name and in that of its file."""
    return re.sub(r'[/\\:*?"<>|_]', '', name)


def names_of(files):
    """The steps' names: those of their files have lost the slashes. Where the runner made the name
    of the first line the line tells it; a clean-up is called after its step."""
    names = {}
    for number, name, lines in files:
        for line in lines:
            if line.text.startswith(b'##[group]Run '):
                told = line.text[len(b'##[group]'):].decode('utf-8', 'replace')
                names[name] = told if bare(told) == bare(name) else name
                break
    for _, name, _ in files:
        if name.startswith('Post '):
            main = name[len('Post '):]
            names[name] = 'Post ' + names.get(main, main)
    return names


def step_from_file(number, name, lines):
    times = [line.ms for line in lines if line.ms is not None]
    return Step(number, name, only_skipped(lines), times[0] if times else None,
                times[-1] if times else None)


def seconds_of(text):
    if not text or text.startswith('0001'):
        return None
    return calendar.timegm(time.strptime(text[:19], '%Y-%m-%dT%H:%M:%S')) * 1000


def step_from_api(told):
    return Step(told['number'], told['name'], told['conclusion'] == 'skipped',
                seconds_of(told.get('started_at') or told.get('startedAt')),
                seconds_of(told.get('completed_at') or told.get('completedAt')))


class Job:
    def __init__(self, archive, member, recorded):
        self.name = os.path.basename(archive.filename) + ' ' + member
        self.lines = lines_of(archive.read(member))
        folder = re.sub(r'^-?\d+_(.*)\.txt$', r'\1', member)
        found = []
        for inner in archive.namelist():
            step = re.fullmatch(re.escape(folder) + r'/(\d+)_(.*)\.txt', inner)
            if step:
                found.append((int(step.group(1)), step.group(2), lines_of(archive.read(inner))))
        found.sort()
        self.files = [(number, lines) for number, _, lines in found]
        names = names_of(found)
        self.steps = [step_from_file(number, names.get(name, name), lines)
                      for number, name, lines in found]
        self.told = recorded and [step_from_api(told) for told in recorded['steps']]

    def truth(self):
        """For each line its true step, or None if it is in no step's file. None altogether where
        the files hold more than the log. A skipped step has no file of ours: its lines stay with
        the one before."""
        skipped = {step.number for step in self.steps if step.skipped}
        flat, owner = [], None
        for number, lines in self.files:
            owner = number if owner is None or number not in skipped else owner
            flat += [(owner, line.text) for line in lines]
        truth, at = [], 0
        for line in self.lines:
            known = at < len(flat) and flat[at][1] == line.text
            truth.append(flat[at][0] if known else None)
            at += known
        return truth if at == len(flat) else None

    def has_debug(self):
        return any(map(is_debug, self.lines))


def jobs_of(path, recorded):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        for member in sorted(names):
            if re.fullmatch(r'-?\d+_[^/]*\.txt', member):
                job = Job(archive, member, recorded.get((os.path.basename(path), member)))
                if len(job.steps) > 1:
                    yield job


def told(job, way):
    """The steps as the API would tell them."""
    if job.told and way != 'rounded':
        steps = job.told
    else:
        steps = [step._replace(**{key: value and (value + 500 * (way == 'rounded')) // 1000 * 1000
                                  for key, value in (('started', step.started),
                                                     ('completed', step.completed))})
                 for step in job.steps]
    shift = {'early': -1000, 'late': 1000}.get(way, 0)
    return [step._replace(started=step.started and step.started + shift,
                          completed=step.completed and step.completed + shift) for step in steps]


def cut(program, folder, lines, tables):
    """For each table of steps: the step that the cutter gives each line to."""
    log, paths = os.path.join(folder, 'log'), []
    with open(log, 'wb') as file:
        file.writelines(line.raw for line in lines)
    for steps in tables:
        paths.append(os.path.join(folder, 'steps%d' % len(paths)))
        with open(paths[-1], 'w', encoding='utf-8') as file:
            file.writelines('%d\t%d\t%d\t%d\t%s\n' % (
                step.number, step.skipped, -1 if step.started is None else step.started,
                -1 if step.completed is None else step.completed, step.name) for step in steps)
    rows = subprocess.run([program, log, *paths], check=True, capture_output=True,
                          text=True).stdout.splitlines()
    for row in rows:
        given = []
        for word in row.split():
            number, count = map(int, word.split(':'))
            given += [number] * count
        assert len(given) == len(lines), 'the files are not the whole log'
        yield given


class Tally:
    def __init__(self):
        self.lines = self.wrong = self.jobs = self.bad = 0

    def add(self, lines, wrong):
        self.lines += lines
        self.wrong += wrong
        self.jobs += 1
        self.bad += wrong > 0

    def passes(self):
        return 100.0 * (self.lines - self.wrong) >= LEAST_LINES * self.lines and \
            100.0 * self.bad <= MOST_JOBS * self.jobs

    def __str__(self):
        return '%.3f %% of %d lines; %d of %d jobs with an error' % (
            100.0 * (self.lines - self.wrong) / self.lines, self.lines, self.bad, self.jobs)


def wrong_of(truth, given):
    return [i for i, number in enumerate(truth) if number is not None and number != given[i]]


def report(job, way, lines, truth, given):
    wrong = wrong_of(truth, given)
    print('  %s, %s: %d of %d wrong' % (job.name, way, len(wrong), len(lines)))
    for i in wrong[:3]:
        print('    line %d is of step %d, not %d: %r'
              % (i + 1, truth[i], given[i], lines[i].text[:90]))


def measure(program, folder, job, tallies):
    truth = job.truth()
    if truth is None:
        print('  %s: its step files hold more than its whole log; not judged' % job.name)
        return
    kinds = [('', range(len(truth)))]
    if job.has_debug():
        kinds.append((', debug lines left out',
                      [i for i, line in enumerate(job.lines) if not is_debug(line)]))
    for kind, kept in kinds:
        lines, right = [job.lines[i] for i in kept], [truth[i] for i in kept]
        tables = [told(job, way) for way in WAYS]
        for way, given in zip(WAYS, cut(program, folder, lines, tables)):
            wrong = len(wrong_of(right, given))
            tallies[way].add(len(right) - right.count(None), wrong)
            if wrong:
                report(job, way + kind, lines, right, given)


def archives(folder):
    """Those in ../shared/real, and the steps of some of their jobs as the API told them."""
    found = sorted(glob.glob(os.path.join(REAL, 'archives', '*.zip')))
    if os.path.exists(os.path.join(REAL, 'api.tar.xz')):
        with tarfile.open(os.path.join(REAL, 'api.tar.xz')) as tar:
            members = [m for m in tar.getmembers()
                       if m.isfile() and re.fullmatch(r'api/zips/[\w.-]+\.zip', m.name)]
            tar.extractall(folder, members)
        found += sorted(os.path.join(folder, m.name) for m in members)
    return found


def recorded_steps():
    path = os.path.join(REAL, 'archives', 'api-steps.json')
    if not os.path.exists(path):
        return {}
    with open(path, encoding='utf-8') as file:
        return {(one['archive'], one['member']): one['job'] for one in json.load(file)}


def main():
    parser = argparse.ArgumentParser(description='How many lines land in the right step?')
    parser.add_argument('archives', nargs='*')
    args = parser.parse_args()
    tallies = {way: Tally() for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        paths = args.archives or archives(folder)
        if not paths:
            print('skipped: no run archives (%s is absent)' % os.path.relpath(REAL, ROOT))
            return 77
        program, recorded = build(folder), recorded_steps()
        for path in paths:
            for job in jobs_of(path, recorded):
                measure(program, folder, job, tallies)
    if not tallies['true'].jobs:
        print('skipped: no job in these archives has the files of its steps')
        return 77
    for way in WAYS:
        print('times %-8s %s' % (way + ':', tallies[way]))
    return 0 if all(tally.passes() for tally in tallies.values()) else 1


if __name__ == '__main__':
    sys.exit(main())
