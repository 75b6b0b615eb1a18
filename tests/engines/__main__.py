"""Starts one engine in a temporary folder, prints how to reach it, and ends it with its stdin."""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from engines import ceph, nginx, prometheus

PR_SET_PDEATHSIG = 1
PATIENCE_S = 120
LIBC = ctypes.CDLL(None, use_errno=True)


def address_of(pid):
    """A loopback address that no other process of this machine has by this rule."""
    return "127.%d.%d.%d" % (64 + (pid >> 16), pid >> 8 & 255, pid & 255)


class Failed(Exception):
    """A program ended early, or does not answer."""


class Programs:
    """What the engines start programs with. All that run on end with this process. Their folder is
    the root: Debian 13's Ceph looks for its modules from where it was started."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []
        self.parent = os.getpid()

    def _die_with_parent(self):
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.parent:
            os._exit(1)

    def run(self, *words, **env):
        """One that ends by itself; its output."""
        done = subprocess.run(list(map(str, words)), env=dict(os.environ, **env), cwd="/",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=PATIENCE_S,
                              preexec_fn=self._die_with_parent)
        if done.returncode:
            raise Failed("%s: exit status %d\n%s" % (
                words[0], done.returncode, done.stdout.decode(errors="replace")))
        return done.stdout

    def serve(self, *words, **env):
        """One that runs until the end; what it prints is in a file, NAME.out."""
        name = "%s.out" % words[0]
        with open(self.folder / name, "wb") as out:
            started = subprocess.Popen(list(map(str, words)), env=dict(os.environ, **env), cwd="/",
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       preexec_fn=self._die_with_parent)
        self.running.append((started, self.folder / name))

    def wait_for_port(self, address, port):
        """Until somebody listens there, and all programs still run."""
        end = time.monotonic() + PATIENCE_S
        while True:
            self.check()
            with contextlib.suppress(OSError), socket.create_connection((address, port), 5):
                return
            if time.monotonic() > end:
                raise Failed("nobody listens on %s:%d\n%s" % (address, port, self.output()))
            time.sleep(0.02)

    def check(self):
        for started, _ in self.running:
            if started.poll() is not None:
                raise Failed("%s: exit status %d\n%s" % (started.args[0], started.returncode,
                                                         self.output()))

    def output(self):
        return "".join("%s:\n%s" % (path.name, path.read_text(errors="replace")[-4000:])
                       for _, path in self.running)

    def end(self):
        """The last one started ends first. What is in memory is not worth an orderly end."""
        for started, _ in reversed(self.running):
            started.kill()
            started.wait()


def main(name, *arguments):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)     # of a terminal: the test ends its servers
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ghlogfs-engine-"))
    programs = Programs(folder)
    try:
        start = {"ceph": ceph.start, "nginx": nginx.start, "prometheus": prometheus.start,
                 "exporter": prometheus.start_exporter}[name]
        told = start(programs, folder, address_of(os.getpid()), *arguments)
        print(json.dumps(dict(told, folder=str(folder), pids=[p.pid for p, _ in programs.running])),
              flush=True)
        while os.read(0, 4096):
            pass
        programs.check()
    except Failed as error:
        sys.exit("%s" % error)
    finally:
        programs.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
