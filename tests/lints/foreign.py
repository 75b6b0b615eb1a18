#!/usr/bin/python3
"""Each foreign library is included by one module only; a library without an entry by none.

The table says which headers are foreign and where they may be included; all other headers in
angle brackets are those of C, POSIX, glibc and the kernel, by name.
"""

import fnmatch

import common

# Pattern of the header, patterns of the files that may include it.
FOREIGN = (
    ("fuse*.h", ("src/fs/*", "src/main*")),
    ("fuse3/*", ()),
    ("linux/fuse.h", ("src/fs/*",)),
    ("curl/*", ("src/net/*",)),
    ("cjson/*", ("src/github/parse*",)),
    ("cJSON.h", ("src/github/parse*",)),
    ("archive.h", ("src/archive/unzip.c",)),
    ("archive_entry.h", ("src/archive/unzip.c",)),
    ("xxhash.h", ("src/store/*",)),
    ("xxh_x86dispatch.h", ("src/store/*",)),
)

SYSTEM_FOLDERS = ("sys", "linux", "netinet", "arpa", "asm")
SYSTEM = set("""
assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign
stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar
wchar wctype
dirent dlfcn endian err error execinfo fcntl fnmatch fts ftw getopt glob grp ifaddrs langinfo
libgen malloc mntent netdb paths poll pthread pwd regex resolv sched search semaphore spawn strings
sysexits syslog termios unistd utime wordexp byteswap features
""".split())


def is_system(header):
    folder, _, name = header.rpartition("/")
    if folder:
        return folder.split("/")[0] in SYSTEM_FOLDERS
    return name.removesuffix(".h") in SYSTEM


def main():
    lint = common.Lint(__doc__)
    for path in lint.files("src"):
        for line, mark, header in common.includes_of(lint.text(path)):
            if mark == '"' and (lint.root / "src" / header).is_file():
                continue
            homes = [homes for pattern, homes in FOREIGN if fnmatch.fnmatch(header, pattern)]
            if homes and not any(fnmatch.fnmatch(str(path), home) for home in homes[0]):
                lint.wrong(path, line, f"<{header}> may be included by {', '.join(homes[0])} only")
            elif mark == "<" and not homes and not is_system(header):
                lint.wrong(path, line, f"<{header}> is foreign and has no entry in FOREIGN")
    lint.finish()


main()
