"""What a page tells its reader to do, so that a test does just that.

    page = Page(ROOT / "docs" / "SHARED-STORE.md")
    page.blocks("Ceph")         # [(file name or None: commands, text)], in their order
    shell = Shell(folder, {"/etc/ghlogfs": folder / "etc"}, **environment)
    shell.save(name, text)      # a file of the page
    shell(text)                 # commands; what they print

A block is the lines that are indented by four blanks. It is a file if the sentence before it, which
ends in a colon, names one: `policy.json` or a path.
"""

import re
import subprocess
import textwrap

from mounting import SLOW

NAME = re.compile(r"`((?:/[\w@.-]+)+|[\w-]+\.json)`")


class Page:
    def __init__(self, path):
        self.text = path.read_text()
        self.sections = {}
        for part in re.split(r"^## ", self.text, flags=re.MULTILINE)[1:]:
            title, _, body = part.partition("\n")
            self.sections[title] = list(self._split(body))

    @staticmethod
    def _split(body):
        before = ""
        for part in re.findall(r"(?:^ {4}.*\n(?:\n+(?= {4}))?)+|(?:^(?! {4}).*\n)+", body,
                               re.MULTILINE):
            if part.startswith(" " * 4):
                sentence = re.split(r"\.\s+|\n\n", before.strip())[-1]
                named = NAME.findall(sentence)
                yield named[-1] if named else None, textwrap.dedent(part)
            before = part

    def blocks(self, section):
        return self.sections[section]


class Shell:
    """bash in a folder. What is on the page stands for itself, but for these words."""

    def __init__(self, folder, words, prelude="", **env):
        self.folder, self.words, self.env = folder, words, {k: str(v) for k, v in env.items()}
        self.prelude = prelude

    def here(self, text):
        for word, replacement in self.words.items():
            text = text.replace(word, str(replacement))
        return text

    def save(self, name, text):
        path = self.folder / self.here(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.here(text))
        return path

    def __call__(self, text):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", self.prelude + self.here(text)],
                              cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=60 * SLOW)
        assert done.returncode == 0, (self.here(text), done.stdout, done.stderr)
        return done.stdout
