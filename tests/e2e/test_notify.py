"""What the service manager is told (sd_notify), by way of a socket that stands for systemd's; and
that systemd accepts the units."""

import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from fake.asking import one_job
from faulting import made
from mounting import (ROOT, SLOW, WRAP, clean_environment, command, daemons_of, mounted,
                      option_words, unmount, wait_for)

RENEWED = 10            # seconds after which a status that has changed is sent
CACHE = r"cache \d+\.\d MiB of 4\.0 GiB"


class Manager:
    """The socket; `name` is what NOTIFY_SOCKET is set to."""

    def __init__(self, name):
        self.name = str(name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(self.name.replace("@", "\0", 1))

    def receive(self, seconds=10.0):
        """(the sender's process id, {name: value}) of the next datagram."""
        self.socket.settimeout(seconds * SLOW)
        data, control, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
        (pid,) = struct.unpack_from("i", control[0][2])
        return pid, dict(line.split("=", 1) for line in data.decode().splitlines())

    def is_silent(self, seconds):
        try:
            self.receive(seconds)
            return False
        except (TimeoutError, BlockingIOError):
            return True


@pytest.fixture(params=("path", "abstract"))
def manager(request, folder):
    name = folder / "notify" if request.param == "path" else "@ghlogfs/" + folder.name
    made_here = Manager(name)
    yield made_here
    made_here.socket.close()


@pytest.fixture
def one_manager(folder):
    made_here = Manager(folder / "notify")
    yield made_here
    made_here.socket.close()


@pytest.mark.parametrize("how", ("unmount", "term"))
def test_ready_and_stopping_in_the_foreground(mount, manager, how):
    m = mount(env={"NOTIFY_SOCKET": manager.name})
    pid, told = manager.receive()
    assert pid == m.pid or WRAP
    assert told["READY"] == "1" and mounted(m.path)
    assert re.fullmatch("no API request yet, " + CACHE, told["STATUS"])
    m.stop(how)
    _, told = manager.receive()
    assert told == {"STOPPING": "1", "STATUS": "unmounting"}
    assert manager.is_silent(0)


@pytest.mark.skipif(bool(WRAP), reason="it is valgrind's process")
def test_ready_in_the_background(github, folder, fuse, one_manager):
    """From the process that was started, while it is there, with that which stays: this is what
    NotifyAccess=main accepts. The rest comes from the one that stays."""
    point = folder / "point"
    point.mkdir()
    words = option_words({"api_url": github.api, "cache_dir": folder / "cache"})
    env = clean_environment(folder, GH_ENTERPRISE_TOKEN=github.token,
                            NOTIFY_SOCKET=one_manager.name)
    try:
        with subprocess.Popen(command(*words, point), env=env, stdin=subprocess.DEVNULL) as process:
            assert process.wait(20 * SLOW) == 0
        (daemon,) = daemons_of(point)
        pid, told = one_manager.receive()
        assert pid == process.pid and told == {"MAINPID": str(daemon), "READY": "1"}
        assert mounted(point)
        pid, told = one_manager.receive(RENEWED + 10)
        assert pid == daemon and list(told) == ["STATUS"]
        os.kill(daemon, signal.SIGTERM)
        assert one_manager.receive() == (daemon, {"STOPPING": "1", "STATUS": "unmounting"})
        wait_for(lambda: not daemons_of(point), why="the daemon did not end")
    finally:
        for pid in daemons_of(point):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if mounted(point):
            unmount(point, lazy=True)


@pytest.mark.slow
def test_the_status_has_the_quota_and_the_cache_and_comes_when_it_has_changed(
        github, mount, one_manager):
    """Who does nothing wakes nobody."""
    job = one_job(github, size=5 << 20)
    m = mount(env={"NOTIFY_SOCKET": one_manager.name}, cache_size="512M")
    assert "READY" in one_manager.receive()[1]
    assert one_manager.is_silent(RENEWED + 2)
    assert m.log(job).read_bytes() == made(job, 5 << 20)
    pattern = (r"4\d\d\d of 5000 API requests left until \d\d:\d\d UTC, "
               r"cache 5\.\d MiB of 512\.0 MiB")
    status = ""
    while not re.fullmatch(pattern, status):
        told = one_manager.receive(RENEWED + 10)[1]
        assert list(told) == ["STATUS"]
        status = told["STATUS"]
    assert one_manager.is_silent(RENEWED + 2)


def test_a_start_that_fails_is_not_ready(folder, one_manager):
    for flag in ([], ["-f"]):
        done = subprocess.run(command(*flag, "-o", "offline,no_cache", folder / "none"), text=True,
                              env=clean_environment(folder, NOTIFY_SOCKET=one_manager.name),
                              capture_output=True, timeout=20 * SLOW)
        assert done.returncode == 1
    assert one_manager.is_silent(0)


@pytest.mark.parametrize("name", ("gone", "relative", "@", "/" + "x" * 200, "vsock:2:1234"))
def test_a_socket_that_is_of_no_use(mounts, folder, name):
    """A mount is made all the same; only one that should be there is missed."""
    name = str(folder / "gone") if name == "gone" else name
    m = mounts(github=None, token=None, offline=True, env={"NOTIFY_SOCKET": name})
    if name.endswith("gone"):
        wait_for(lambda: m.stderr, why="nothing was printed")
    assert m.stderr == ("ghlogfs: the service manager cannot be told (NOTIFY_SOCKET): No such file "
                        "or directory\n" if name.endswith("gone") else "")


def test_what_it_starts_does_not_speak_for_it(github, mounts, folder, one_manager):
    """gh does not get the variable; the rest of the environment is as it was."""
    tools = folder / "tools"
    tools.mkdir()
    (tools / "gh").write_text("#!/bin/sh\nenv >'%s/env'\necho %s\n" % (folder, github.token))
    (tools / "gh").chmod(0o755)
    mounts(github=github, token=None, env={"PATH": "%s:/usr/bin:/bin" % tools, "KEPT": "1",
                                           "NOTIFY_SOCKET": one_manager.name})
    lines = (folder / "env").read_text().splitlines()
    assert "KEPT=1" in lines and not [line for line in lines if "NOTIFY" in line]


# --- what systemd thinks of the units -----------------------------------------------------------

HIDING = ("PrivateTmp", "PrivateDevices", "PrivateMounts", "PrivateUsers", "ProtectSystem",
          "ProtectHome", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs",
          "ProtectControlGroups", "ProtectProc", "ProcSubset", "ReadOnlyPaths", "ReadWritePaths",
          "InaccessiblePaths", "BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem",
          "RootDirectory", "RootImage", "MountFlags", "DynamicUser", "PrivateIPC", "NoExecPaths",
          "LogNamespace")
EXPOSURE = 45           # tenths; ghlogfs@.service of 2026 has 44 by systemd 252

analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")


def tool(folder, *words, **env):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          timeout=60 * SLOW, env=clean_environment(folder, **env))
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


@analyze
@pytest.mark.parametrize("kind", ("system", "user"))
def test_the_units_have_no_mistake_and_hide_no_mount(folder, kind):
    """A directive that gives the service a mount namespace would keep the mount from all others."""
    text = (ROOT / "contrib/systemd" / kind / "ghlogfs@.service.in").read_text()
    (folder / "ghlogfs").write_text("#!/bin/sh\n")
    (folder / "ghlogfs").chmod(0o755)
    unit = folder / "ghlogfs@.service"
    unit.write_text(text.replace("@CMAKE_INSTALL_FULL_BINDIR@", str(folder)))
    instance = folder / "ghlogfs@github.com.service"
    tool(folder, "systemd-analyze", "--%s" % kind, "--man=no", "verify", instance,
         XDG_RUNTIME_DIR=str(folder))
    given = {line.partition("=")[0] for line in text.splitlines() if "=" in line}
    assert "Type=notify\n" in text and not given & set(HIDING)
    if kind == "system":
        tool(folder, "systemd-analyze", "security", "--offline=true",
             "--threshold=%d" % EXPOSURE, unit)


@analyze
def test_systemd_understands_the_lines_for_fstab(folder):
    """One line after the other, as they are for the same directory."""
    generator = "/usr/lib/systemd/system-generators/systemd-fstab-generator"
    lines = [line for line in (ROOT / "contrib/fstab.example").read_text().splitlines()
             if line and line[0] != "#"]
    assert len(lines) == 4
    for number, line in enumerate(lines):
        made_here = folder / str(number)
        made_here.mkdir()
        (folder / "fstab").write_text(line + "\n")
        tool(folder, generator, made_here, made_here, made_here,
             SYSTEMD_FSTAB=str(folder / "fstab"))
        units = sorted(path for path in made_here.glob("*.*mount"))
        assert [path.suffix for path in units] == (
            [".automount", ".mount"] if "automount" in line else [".mount"])
        assert "Type=fuse.ghlogfs\n" in units[-1].read_text()
        tool(folder, "systemd-analyze", "--man=no", "verify", *units)
