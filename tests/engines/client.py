"""An engine as a test sees it."""

import json
import os
import shutil
import subprocess
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class EngineError(Exception):
    """The engine did not start; the text has what it printed."""


class Engine:
    """Start and stop; what the process prints becomes attributes."""

    NAME = None         # of the module that starts it
    PROGRAMS = ()

    def __init__(self, *arguments):
        self.arguments = arguments      # of that module's start

    @classmethod
    def missing(cls):
        """Which of its programs are not installed here."""
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        return [program for program in cls.PROGRAMS if not shutil.which(program, path=path)]

    def start(self):
        env = dict(os.environ, PYTHONPATH=TESTS, PYTHONDONTWRITEBYTECODE="1",
                   PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        self.process = subprocess.Popen([sys.executable, "-m", "engines", self.NAME,
                                         *map(str, self.arguments)], env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate()
            raise EngineError("%s did not start:\n%s" % (self.NAME, errors.decode()))
        for name, value in json.loads(line).items():
            setattr(self, name, tuple(value) if isinstance(value, list) else value)
        return self

    def stop(self):
        _, errors = self.process.communicate(timeout=30)
        if self.process.returncode:
            raise EngineError("%s ended with %d:\n%s" % (self.NAME, self.process.returncode,
                                                         errors.decode()))

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Ceph(Engine):
    NAME = "ceph"
    PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph-authtool",
                "ceph")


class Nginx(Engine):
    NAME = "nginx"
    PROGRAMS = ("nginx",)
