#!/usr/bin/python3
"""Names in src use the words of the field: a file or identifier with a word of WORDS is refused.

Comments and literals are not read. A word that has a usual meaning besides is not in the table.
"""

import re

import common

# A word and what the vocabulary says instead.
WORDS = {
    "clerk": "parser thread",
    "derived": "generated",
    "door": "dependency",
    "errand": "in-flight request",
    "gate": "single flight",
    "hall": "wait registry",
    "house": "mount, process",
    "idlest": "least recently used",
    "inquiry": "finality check",
    "maker": "generator",
    "mint": "obtain",
    "minted": "obtained",
    "room": "module; space, capacity",
    "sight": "response info",
}

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


def word_in(name):
    """The first word of an identifier or path that is in the table, or its plural; else None."""
    for word in re.split(r"[^a-z0-9]+", name.lower()):
        for one in (word, word.removesuffix("s"), word.removesuffix("ies") + "y"):
            if one in WORDS:
                return one
    return None


def main():
    lint = common.Lint(__doc__)
    for path in lint.files("src"):
        word = word_in(str(path))
        if word:
            lint.wrong(path, 0, f"{word} in the file's name: say {WORDS[word]}")
        code = common.code_of(lint.text(path))
        for found in _IDENTIFIER.finditer(code):
            word = word_in(found.group())
            if word:
                line = code.count("\n", 0, found.start()) + 1
                lint.wrong(path, line, f"{found.group()}: say {WORDS[word]} instead of {word}")
    lint.finish()


main()
