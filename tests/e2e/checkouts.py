"""`gh logfs` in a git checkout, with a stand-in for `gh`.

    checkout = Checkout(folder)
    output, errors = checkout("path", m.path, "--commit")
"""

import os
import subprocess

from mounting import ROOT, SLOW, clean_environment

GH_LOGFS = ROOT / "contrib" / "gh-logfs" / "gh-logfs"
GH = r"""#!/bin/sh
[ "$1 $2" = "repo view" ] && echo octo/hello
"""


class Checkout:
    """A git checkout of octo/hello, and a gh that knows whose it is."""

    def __init__(self, folder):
        self.folder = folder / "checkout"
        tools = folder / "tools"
        for made in (self.folder, tools):
            made.mkdir()
        (tools / "gh").write_text(GH)
        (tools / "gh").chmod(0o755)
        self.env = clean_environment(folder, PATH="%s:%s" % (tools, os.environ["PATH"]))
        for words in (("init", "-q"), ("-c", "user.name=x", "-c", "user.email=x@example.com",
                                       "commit", "-q", "--allow-empty", "-m", "x")):
            subprocess.run(["git", *words], cwd=self.folder, env=self.env, check=True)
        self.sha = subprocess.run(["git", "rev-parse", "HEAD"], cwd=self.folder, env=self.env,
                                  check=True, capture_output=True, text=True).stdout.strip()

    def __call__(self, *words, status=0):
        """(stdout, stderr) of gh logfs."""
        done = subprocess.run([GH_LOGFS, *map(str, words)], cwd=self.folder, env=self.env,
                              text=True, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60 * SLOW)
        assert done.returncode == status, done
        return done.stdout, done.stderr
