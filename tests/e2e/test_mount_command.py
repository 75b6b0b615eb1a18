"""Mounted by mount(8) and out of fstab, by a descriptor of /dev/fuse, seen in a container."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from fake.asking import one_job
from faulting import made
from mounting import (ROOT, SLOW, WRAP, clean_environment, command, daemons_of, for_users,
                      option_words, wait_for)
from private import (MS_NODEV, MS_NOSUID, MS_RDONLY, Namespace, device_of_users, hidden, mount_at,
                     replaced)

USER, SIZE = 65534, 5050
WORDS = ("defaults", "ro", "rw", "auto", "noauto", "user", "users", "owner", "group", "nouser",
         "nofail", "_netdev", "dev", "nodev", "suid", "nosuid", "exec", "noexec", "relatime",
         "norelatime", "noatime", "atime", "strictatime", "nodiratime", "lazytime", "sync", "async",
         "silent", "comment=logs", "x-systemd.automount", "x-systemd.idle-timeout=600",
         "x-systemd.requires=network-online.target", "x-gvfs-show", "x-gvfs-name=Logs",
         "x-mount.mkdir", "X-anything=1", "default_permissions")

pytestmark = [
    pytest.mark.skipif(os.getuid() != 0 or bool(WRAP), reason="needs root for namespaces"),
    pytest.mark.skipif(not os.path.exists("/sbin/mount.fuse3"), reason="needs mount.fuse3"),
]


class Host:
    """A machine of its own as far as mounts go, with ghlogfs installed and a token in a file."""

    def __init__(self, github, folder):
        self.github, self.folder = github, folder
        self.binary = for_users(folder)
        self.point = folder / "gh"
        self.point.mkdir()
        self.token = folder / "token"
        self.token.write_text(github.token + "\n")
        self.token.chmod(0o600)
        self.fstab = folder / "fstab"
        self.fstab.touch()
        self.namespace = Namespace(clean_environment(folder), device_of_users(folder),
                                   hidden("/usr/local/bin"), self._install,
                                   replaced("/etc/fstab", self.fstab))
        self.job = one_job(github, size=SIZE)

    def _install(self):
        os.symlink(self.binary, "/usr/local/bin/ghlogfs")

    def options(self, *words, **more):
        return ",".join([*words, "api_url=" + self.github.api, "token_file=%s" % self.token,
                         "cache_dir=%s" % (self.folder / "cache"),
                         *("%s=%s" % each for each in more.items())])

    def __call__(self, *words, **how):
        """What it prints; it must succeed unless check=False."""
        return self.namespace.run(*words, **how)

    def read(self, **how):
        path = self.point / "octo/hello/jobs" / str(self.job) / "log"
        return self("cat", path, text=False, **how).stdout

    def umount(self, *words, **how):
        self(*(words or ("umount",)), self.point, **how)
        wait_for(lambda: not daemons_of(self.point), why="the daemon did not end")

    def close(self):
        for pid in daemons_of(self.point):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.namespace.close()


@pytest.fixture
def host(github, fuse, folder):
    made_here = Host(github, folder)
    yield made_here
    made_here.close()


# --- mount(8) and fstab --------------------------------------------------------------------------

def test_mount_with_a_type(host):
    host("mount", "-t", "fuse.ghlogfs", "github.com", host.point, "-o", host.options())
    assert host.read() == made(host.job, SIZE)
    assert host("findmnt", "-n", "-o", "SOURCE,FSTYPE", host.point).stdout.split() == [
        "github.com", "fuse.ghlogfs"]
    host.umount()


@pytest.mark.parametrize("source,kind", (("github.com", "fuse.ghlogfs"),
                                         ("ghlogfs#github.com", "fuse")))
def test_a_line_of_fstab_in_both_forms(host, source, kind):
    """Mounted by its directory alone, with all words at once; and so unmounted."""
    words = [word for word in WORDS if word not in ("ro", "user", "users", "owner", "group")]
    host.fstab.write_text("%s %s %s %s 0 0\n" % (source, host.point, kind, host.options(*words)))
    done = host("mount", host.point)
    assert (done.stdout, done.stderr) == ("", "")
    assert host.read() == made(host.job, SIZE)
    assert host("findmnt", "-n", "-o", "SOURCE,FSTYPE", host.point).stdout.split() == [
        "github.com", "fuse.ghlogfs"]
    host.umount()
    again = host.folder / "another fstab"
    again.write_text(host.fstab.read_text())
    host("mount", "-T", again, host.point)
    host.umount()


def test_each_word_of_fstab_alone(host):
    for word in WORDS:
        host.fstab.write_text("github.com %s fuse.ghlogfs offline,no_cache,%s 0 0\n"
                              % (host.point, word))
        done = host("mount", host.point)
        assert (done.stdout, done.stderr) == ("", ""), word
        flags = host("findmnt", "-n", "-o", "OPTIONS", host.point).stdout.strip().split(",")
        assert {"ro", "nosuid", "nodev"} <= set(flags) and "rw" not in flags, word
        assert ("noexec" in flags) == (word in ("noexec", "user", "users")), word
        host.umount()


def test_a_word_that_is_unknown_is_named(host):
    host.fstab.write_text("github.com %s fuse.ghlogfs nofail,colour=red 0 0\n" % host.point)
    done = host("mount", host.point, check=False)
    assert done.returncode != 0 and "ghlogfs: unknown option -o colour" in done.stderr


def test_mount_all_leaves_noauto_out_and_needs_no_token_and_no_network(host):
    """As at boot: a token that is missing is said, and the mount is there."""
    other = host.folder / "other"
    other.mkdir()
    host.fstab.write_text(
        "github.com %s fuse.ghlogfs nofail,_netdev,cache_dir=%s/c 0 0\n"
        "github.com %s fuse.ghlogfs noauto,nofail 0 0\n" % (host.point, host.folder, other))
    done = host("mount", "-a")
    assert "no token" in done.stderr
    mounts = host("cat", "/proc/self/mounts").stdout
    assert str(host.point) in mounts and str(other) not in mounts
    host("mount", "-a")         # what is mounted already stays
    host.umount()


def test_a_users_own_line(host):
    """`mount DIR` without root, and `umount DIR`."""
    os.chown(host.point, USER, USER)
    os.chown(host.token, USER, USER)
    (host.folder / "cache").mkdir(mode=0o700)
    os.chown(host.folder / "cache", USER, USER)
    host.fstab.write_text("github.com %s fuse.ghlogfs %s 0 0\n"
                          % (host.point, host.options("noauto", "user")))
    host("mount", host.point, user=USER)
    assert host.read(user=USER) == made(host.job, SIZE)
    host.umount("fusermount3", "-u", user=USER)


def test_another_user_by_setuid(host):
    """Of mount.fuse3: the daemon is a user's, and mounts in its own way."""
    os.chown(host.point, USER, USER)
    host("mount", "-t", "fuse.ghlogfs", "github.com", host.point, "-o",
         "setuid=nobody,offline,no_cache")
    (pid,) = daemons_of(host.point)
    assert os.stat("/proc/%d/task" % pid).st_uid in (0, USER)   # it cannot be looked into
    with open("/proc/%d/status" % pid) as lines:
        assert "Uid:\t%d\t" % USER in lines.read()
    host.umount()


# --- a descriptor of /dev/fuse -------------------------------------------------------------------

def mount_by_descriptor(point, number):
    """For preexec_fn: somebody privileged mounts, and passes the descriptor on."""
    def before():
        fd = os.open("/dev/fuse", os.O_RDWR | os.O_NONBLOCK)
        os.dup2(fd, number)
        mount_at("logs", point, "fuse.ghlogfs", MS_RDONLY | MS_NOSUID | MS_NODEV,
                 "fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other"
                 % number)
    return before


def daemons_at(number, folder):
    """Those on this descriptor that have this folder in an option: other tests have others."""
    return daemons_of("/dev/fd/%d" % number, os.fsencode(folder))


@pytest.mark.parametrize("number", (3, 4, 5, 40))
@pytest.mark.parametrize("where", ("background", "foreground"))
def test_a_descriptor_as_mount_point(github, fuse, folder, number, where):
    """It needs no right to mount. When it ends, whoever has mounted unmounts."""
    point, own, binary = folder / "gh", folder / "own", for_users(folder)
    point.mkdir()
    own.mkdir()
    os.chown(own, USER, USER)
    job = one_job(github, size=SIZE)

    def before():
        mount_by_descriptor(point, number)()
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)

    flag = ["-f"] if where == "foreground" else []
    words = option_words({"api_url": github.api, "cache_dir": own / "c"})
    with open(folder / "errors", "w+") as errors:
        process = subprocess.Popen(command(*flag, *words, "/dev/fd/%d" % number, binary=binary),
                                   close_fds=False,
                                   env=clean_environment(own, GH_ENTERPRISE_TOKEN=github.token),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=errors, preexec_fn=before)
    try:
        if where == "background":
            assert process.wait(20 * SLOW) == 0, (folder / "errors").read_text()
        log = point / "octo/hello/jobs" / str(job) / "log"
        assert log.read_bytes() == made(job, SIZE)
        assert (point / ".ghlogfs/options").read_text().startswith(
            "mountpoint=/dev/fd/%d\n" % number)
        (pid,) = daemons_at(number, own)
        flags = re.search(r"flags:\s*(\d+)", pathlib.Path("/proc/%d/fdinfo/%d" % (pid, number))
                          .read_text())
        assert not int(flags[1], 8) & os.O_NONBLOCK, "it would never wait"
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not daemons_at(number, own), why="it did not end")
        assert process.wait(20 * SLOW) == 0
        with pytest.raises(OSError):
            os.listdir(point)
        assert (folder / "errors").read_text() == ""
    finally:
        process.kill()
        process.wait(10)
        subprocess.run(["umount", "-l", point], check=True)


def test_mount_fuse3_with_dropped_privileges(host):
    """It mounts itself, and passes the descriptor to a daemon that has no right at all."""
    host("mount", "-t", "fuse.ghlogfs", "github.com", host.point, "-o",
         host.options("drop_privileges"))
    assert host.read() == made(host.job, SIZE)
    (pid,) = [pid for number in range(3, 10) for pid in daemons_at(number, host.folder)]
    with open("/proc/%d/status" % pid) as lines:
        assert "CapEff:\t0000000000000000" in lines.read()
    host("umount", host.point)
    wait_for(lambda: not os.path.exists("/proc/%d" % pid), why="the daemon did not end")


@pytest.mark.parametrize("target", ("/dev/null", None))
def test_a_descriptor_that_is_not_the_devices(folder, fuse, target):
    def before():
        if target:
            os.dup2(os.open(target, os.O_RDWR), 9)
        else:
            os.closerange(9, 10)

    done = subprocess.run(command("-o", "offline,no_cache", "/dev/fd/9"), close_fds=False,
                          preexec_fn=before, env=clean_environment(folder), text=True,
                          capture_output=True, timeout=20 * SLOW)
    assert (done.returncode, done.stderr) == (1, (
        "ghlogfs: cannot mount on /dev/fd/9: descriptor 9 is not an open /dev/fuse (it is above 2, "
        "and passed on by whoever has called mount(2) with fd=9)\n"))


# --- in a container ------------------------------------------------------------------------------

def test_a_container_sees_a_remount_on_the_host(host):
    """The folder above the mountpoint is bound, read-only and as a slave."""
    above = host.folder / "above"
    point = above / "github.com"
    point.mkdir(parents=True)
    inside = host.folder / "inside"
    inside.mkdir()
    host("mount", "--make-rshared", "/")
    host.point = point
    mount = ("mount", "-t", "fuse.ghlogfs", "github.com", point, "-o", host.options())
    host(*mount)
    container = host.namespace.child()
    try:
        container.run("mount", "--make-rslave", "/")
        container.run("mount", "--rbind", "-o", "ro", above, inside)
        log = inside / "github.com/octo/hello/jobs" / str(host.job) / "log"
        for _ in range(2):
            assert container.run("cat", log, text=False).stdout == made(host.job, SIZE)
            host.umount()
            host(*mount)
        assert container.run("touch", inside / "x", check=False).returncode != 0
        container.run("umount", inside / "github.com")      # and does not reach the host
        assert host.read() == made(host.job, SIZE)
        host.umount()
    finally:
        container.close()


# --- on first access -----------------------------------------------------------------------------

@contextlib.contextmanager
def automounter(host, master):
    """The daemon of autofs in the foreground, until its first mount point is there."""
    words = [*host.namespace.entering, "automount", "--foreground", "--dont-check-daemon",
             "--verbose", "--debug", "--pid-file", str(host.folder / "automount.pid"), str(master)]
    with open(host.folder / "automount.log", "w") as log:
        process = subprocess.Popen(words, env=host.namespace.env, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: " autofs " in host("cat", "/proc/self/mounts").stdout and
                 str(host.folder) in host("cat", "/proc/self/mounts").stdout or
                 process.poll() is not None, why="there is no automount")
        assert process.poll() is None, (host.folder / "automount.log").read_text()
        yield
    finally:
        print((host.folder / "automount.log").read_text())
        process.terminate()
        try:
            process.wait(20 * SLOW)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


@contextlib.contextmanager
def somebody_in(host, folder):
    """A process whose working directory it is, so that it is not idle."""
    words = [*host.namespace.entering, "sh", "-c", 'cd "$0" && echo && exec cat', str(folder)]
    with subprocess.Popen(words, env=host.namespace.env, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"\n"
        yield


@pytest.mark.skipif(not shutil.which("automount"), reason="needs autofs")
@pytest.mark.skipif("\tautofs\n" not in pathlib.Path("/proc/filesystems").read_text(),
                    reason="this kernel has no autofs")
def test_the_map_for_autofs(host):
    """The first line of contrib/auto.ghlogfs. ghlogfs stays in the process group for which the
    kernel lets the mountpoint through, until it is mounted; and does not look at it in the end."""
    lines = (ROOT / "contrib" / "auto.ghlogfs").read_text().splitlines()
    line = next(line for line in lines if line.startswith("github.com "))
    # A colon in an option has a meaning of its own in a map.
    options = re.sub(r":(?=\d)", r"\:", host.options())
    line = line.replace("token_file=/etc/ghlogfs/token", options)
    above = host.folder / "auto"
    above.mkdir()
    (host.folder / "map").write_text(line + "\n")
    master = host.folder / "master"
    master.write_text("%s file:%s --timeout=1\n" % (above, host.folder / "map"))
    host.point = above / "github.com"
    with automounter(host, master):
        with somebody_in(host, host.point):
            assert host.read() == made(host.job, SIZE)
            (pid,) = daemons_of(host.point)
            assert os.getsid(pid) == pid, "it has left the session once it was mounted"
        wait_for(lambda: not os.path.exists("/proc/%d" % pid), 60, why="it stays when idle")
        log = (host.folder / "automount.log").read_text()
        assert log.count("attempting to mount entry") == 1, "its end has had it mounted again"
        assert host.read() == made(host.job, SIZE)
