"""What the lints share: the files of the tree, C without comments, and the report of findings.

A lint is a script `NAME.py [--root DIR] [--objects FILE]`. It prints `path:line: what is wrong` for
each finding and exits 1 if there was one. CTest runs them under the label `style`.
"""

import argparse
import pathlib
import re
import subprocess
import sys

# Files that no lint checks. It stays empty: code is mended, not listed here.
EXCEPTIONS = ()

# The exit code of a lint whose tool is not installed; CTest reports it as skipped.
SKIPPED = 77

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Lint:
    """One run of one lint: its arguments and its findings."""

    def __init__(self, purpose):
        parser = argparse.ArgumentParser(description=purpose)
        parser.add_argument("--root", type=pathlib.Path, default=ROOT)
        parser.add_argument("--objects", type=pathlib.Path, help="list of object files, by CMake")
        arguments = parser.parse_args()
        self.root = arguments.root.resolve()
        self.objects_list = arguments.objects
        self.findings = []

    def files(self, *folders, suffixes=(".c", ".h")):
        """Files below these folders with these endings, sorted, as paths from the root."""
        found = []
        for folder in folders:
            for path in (self.root / folder).rglob("*"):
                if path.suffix in suffixes and path.is_file():
                    found.append(path.relative_to(self.root))
        return sorted(found)

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="surrogateescape")

    def objects(self):
        """Pairs of source (as a path from the root) and object file, from the last build."""
        if self.objects_list is None:
            sys.exit("this lint reads object files: build, and give --objects BUILD/objects.txt")
        pairs = []
        for line in self.objects_list.read_text().split():
            source = re.search(r"\.dir/(.+)\.o$", line)
            if source and not pathlib.Path(line).exists():
                sys.exit(f"{line} is missing: build first")
            if source:
                pairs.append((pathlib.Path(source.group(1)), line))
        return pairs

    def wrong(self, path, line, message):
        if str(path) not in EXCEPTIONS:
            self.findings.append((str(path), line, message))

    def finish(self):
        for path, line, message in sorted(set(self.findings)):
            print(f"{path}:{line}: {message}" if line else f"{path}: {message}")
        sys.exit(1 if self.findings else 0)


def symbols_of(path):
    """The global symbols that an object file defines and those that it uses from elsewhere."""
    listing = subprocess.run(["nm", "--format=posix", "--extern-only", path], check=True,
                             capture_output=True, text=True).stdout
    defined, used = set(), set()
    for line in listing.splitlines():
        name, kind = line.split()[:2]
        (used if kind in "UwvV" else defined).add(name)
    return defined, used


def module_of(path):
    """The module a file of src/ belongs to: its folder, or at the top its name's first word."""
    parts = pathlib.PurePath(path).parts[1:]
    return parts[0] if len(parts) > 1 else pathlib.PurePath(parts[0]).stem.split("_")[0]


_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)


def code_of(text):
    """C source with comments and literals blanked; lines and columns stay where they were."""
    return _TOKEN.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


_INCLUDE = re.compile(r"""^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]""", re.MULTILINE)


def includes_of(text):
    """Triples of line, '<' or '"', and the header named."""
    for found in _INCLUDE.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, found.group(1), found.group(2)
