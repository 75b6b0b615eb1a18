#!/usr/bin/python3
"""What documents name exists: linked files, cited tests; each option is documented everywhere."""

import re

import common

OPTIONS = "src/options.c"
SEMANTICS = "docs/SEMANTICS.md"

_RULE = re.compile(r'^    \{"(\w+)", (FLAG|CLEAR|NUMBER|SIZE|TEXT|PATH),', re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CITED = re.compile(r"`([^`\n]+)`")
_TEST_FILE = re.compile(r"(?:e2e|unit|tests)/[\w/*]+\.(?:py|c)")
_TEST_NAME = re.compile(r"(?:test|[srp]\d+)_\w+\*?|\w+(?:_\w+){3,}\*?")
_FENCE = re.compile(r"^ {4}.*$", re.MULTILINE)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def anchors_of(text):
    """The anchors of a page's headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


def check_links(lint, page):
    text = lint.text(page)
    for found in _LINK.finditer(_FENCE.sub(lambda code: " " * len(code.group()), text)):
        target, _, anchor = found.group(1).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (lint.root / page).parent / target if target else lint.root / page
        line = line_of(text, found.start())
        if not path.exists():
            lint.wrong(page, line, f"the link leads to {target}, which is not there")
        elif anchor and anchor not in anchors_of(path.read_text(encoding="utf-8")):
            lint.wrong(page, line, f"the link leads to #{anchor}, which is no heading there")


def files_cited(lint, cited):
    """The files of the tree that a cited name with stars stands for."""
    name = cited if cited.startswith("tests/") else "tests/" + cited
    return [path for path in lint.root.glob(name) if path.is_file()]


def check_paragraph(lint, line, paragraph, everywhere):
    """Names are looked for in the files cited with them, or in all tests where there are none."""
    words = _CITED.findall(paragraph)
    sources = []
    for word in words:
        if _TEST_FILE.fullmatch(word):
            found = files_cited(lint, word)
            sources += found
            if not found:
                lint.wrong(SEMANTICS, line, f"{word} is not there")
    text = "".join(path.read_text(encoding="utf-8") for path in sources) or everywhere
    for word in words:
        name = re.escape(word.rstrip("*")) + (r"\w*" if word.endswith("*") else "")
        if _TEST_NAME.fullmatch(word) and not re.search(rf"\b{name}\s*\(", text):
            lint.wrong(SEMANTICS, line, f"no test is called {word}")


def check_tests(lint):
    """Paragraphs of the page; a list's item is one."""
    text = lint.text(SEMANTICS)
    tests = lint.files("tests/e2e", "tests/unit", suffixes=(".py", ".c"))
    everywhere = "".join(lint.text(path) for path in tests)
    at = 0
    for paragraph in re.split(r"(\n\n+|\n(?=- ))", text):
        check_paragraph(lint, line_of(text, at), paragraph, everywhere)
        at += len(paragraph)


def places_of(name, takes_value):
    """Triples of file, pattern and what it is: where an option must be documented."""
    value = "=" if takes_value else r"(?![\w=])"
    yield ("docs/ghlogfs.1", rf"^\.(?:It|Pq).*(?<!\w){name}(?!\w){' Ns =' if takes_value else ''}",
           "the manual page")
    yield "contrib/completions/ghlogfs.bash", rf"(?<=[\s\"]){name}{value}", "bash's completion"
    yield ("contrib/completions/_ghlogfs", rf"'{name}\[[^]]*\]{':' if takes_value else chr(39)}",
           "zsh's completion")
    yield ("contrib/completions/ghlogfs.fish",
           rf"^ +{name}{'=' if takes_value else ''}\\t", "fish's completion")


def check_options(lint):
    text = lint.text(OPTIONS)
    rules = list(_RULE.finditer(text))
    if not rules:
        lint.wrong(OPTIONS, 0, "the table of options was not found")
    for rule in rules:
        name, kind = rule.groups()
        for path, pattern, what in places_of(name, kind not in ("FLAG", "CLEAR")):
            if not re.search(pattern, lint.text(path), re.MULTILINE):
                lint.wrong(OPTIONS, line_of(text, rule.start()), f"{name} is not in {what}")


def main():
    lint = common.Lint(__doc__)
    for page in ["README.md", *lint.files("docs", suffixes=(".md",))]:
        check_links(lint, page)
    check_tests(lint)
    check_options(lint)
    lint.finish()


main()
