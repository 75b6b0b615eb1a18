"""contrib/ghlogfs-fill, run by tests: it fills a shared store from the loopback GitHub."""

import os
import subprocess

from mounting import BINARY, ROOT, SLOW, clean_environment, option_words, wait_for

FILL = ROOT / "contrib" / "ghlogfs-fill"


class Filler:
    """A home of its own, and in it the cache; what lies in TMPDIR after a call was left there."""

    def __init__(self, github, folder):
        self.github, self.home, self.tmp = github, folder / "filler", folder / "filler-tmp"
        self.cache = self.home / ".cache" / "ghlogfs-fill"
        self.home.mkdir()
        self.tmp.mkdir()
        # The program of this build, before one that is installed.
        path = "%s:/usr/bin:/bin" % os.path.dirname(os.path.abspath(BINARY))
        self.env = clean_environment(self.home, PATH=path, TMPDIR=self.tmp, XDG_CACHE_HOME=None,
                                     GH_ENTERPRISE_TOKEN=github.token)

    def start(self, *words, **options):
        """With these options of ghlogfs and repositories."""
        options = option_words({"api_url": self.github.api, **options})
        return subprocess.Popen([FILL, *options, "github.com", *words], env=self.env,
                                cwd=self.home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def __call__(self, *words, status=0, **options):
        """What it prints, and its errors; nothing of it is left."""
        with self.start(*words, **options) as process:
            try:
                output, errors = process.communicate(timeout=60 * SLOW)
            except BaseException:
                process.terminate()
                raise
        assert process.returncode == status, (process.returncode, output, errors)
        assert os.listdir(self.tmp) == []
        assert self.github.token not in output + errors
        return output, errors

    def mountpoint(self):
        """Of one that was started. What Python tries TMPDIR with may lie there as well."""
        return wait_for(lambda: next(self.tmp.glob("ghlogfs-fill.*"), None), 10)
