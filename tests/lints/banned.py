#!/usr/bin/python3
"""No calls of unsafe functions; clocks and exits are used only in the modules that own them."""

import fnmatch
import re

import common

# Names, why, where they are looked for, and the files that may use them all the same.
BANNED = (
    ("strcpy stpcpy strcat sprintf vsprintf gets strtok alloca strdupa strndupa strncat",
     "knows no bounds", ("src", "tests/unit", "tests/fuzz"), ()),
    ("atoi atol atoll atof", "cannot tell an error", ("src", "tests/unit", "tests/fuzz"), ()),
    ("system popen", "runs a shell", ("src", "tests/unit", "tests/fuzz"), ()),
    ("tmpnam tempnam mktemp tmpfile", "is a race", ("src", "tests/unit", "tests/fuzz"), ()),
    ("gmtime localtime ctime asctime readdir_r rand srand setlocale",
     "shares hidden state between threads", ("src",), ()),
    ("sleep usleep nanosleep clock_nanosleep", "sleeps", ("src", "tests/unit"), ()),
    ("time gettimeofday clock_gettime timespec_get", "reads the clock: time is an argument (law 4)",
     ("src",), ("src/net/*", "src/main*")),
    ("exit quick_exit abort err errx verr verrx",
     "ends the process: nothing below main exits (law 6)", ("src",), ("src/main*",)),
)


def main():
    lint = common.Lint(__doc__)
    for names, reason, folders, homes in BANNED:
        # Not a member (x.time, x->exit), and not a longer name.
        call = re.compile(r"(?<![\w.])(?<!->)(" + "|".join(names.split()) + r")\s*\(")
        for path in lint.files(*folders):
            if any(fnmatch.fnmatch(str(path), home) for home in homes):
                continue
            code = common.code_of(lint.text(path))
            for found in call.finditer(code):
                line = code.count("\n", 0, found.start()) + 1
                lint.wrong(path, line, f"{found.group(1)} {reason}")
    lint.finish()


main()
