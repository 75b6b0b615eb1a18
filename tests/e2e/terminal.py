"""A program in a terminal, as a person sees it."""

from mounting import run, wait_for


class Screen:
    """A program in a terminal of tmux's."""

    def __init__(self, folder, *words, cwd="/", **env):
        self.base = ["tmux", "-f", "/dev/null", "-S", str(folder / "tmux")]
        line = " ".join("'%s'" % word for word in words)
        settings = [word for name, value in env.items() for word in ("-e", "%s=%s" % (name, value))]
        run(*self.base, "new-session", "-d", "-x", "120", "-y", "30", "-c", cwd, *settings, line)

    def keys(self, *keys):
        run(*self.base, "send-keys", *keys)

    def text(self):
        return run(*self.base, "capture-pane", "-p", check=False, text=True).stdout

    def shows(self, text):
        wait_for(lambda: text in self.text(), 60, 0.05, "the screen never showed %r" % text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run(*self.base, "kill-server", check=False)
