"""Processes in a mount namespace of their own: what they mount or hide there no other process sees.

    m = mount(before=private(hidden("/usr/bin"), user=65534))
    Namespace(env, hidden("/usr/local/bin")).run("mount", ...)

Each of the words is a function that is called in the new namespace, as root, before the process
becomes that user and is replaced by the program.
"""

import ctypes
import os
import re
import stat
import subprocess

CLONE_NEWNS = 0x20000
MS_NOSUID, MS_NODEV, MS_RDONLY, MS_BIND, MS_REC = 2, 4, 1, 4096, 16384
MS_REMOUNT = 32
MNT_DETACH = 2
MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 18, 1 << 19, 1 << 20

LIBC = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def mount_at(source, target, kind=None, flags=0, data=None):
    words = [os.fsencode(word) if word is not None else None
             for word in (source, target, kind, data)]
    check(LIBC.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]))


def hidden(path):
    """An empty directory in place of a directory."""
    return lambda: mount_at("tmpfs", path, "tmpfs")


def replaced(path, by):
    """Another file or directory in place of one."""
    return lambda: mount_at(by, path, None, MS_BIND)


def let_go_of_others():
    """The copies of other tests' mounts, which would live as long as this namespace."""
    with open("/proc/self/mounts", "rb") as lines:
        for line in lines:
            point, kind = line.split(b" ")[1:3]
            if kind.startswith(b"fuse."):
                LIBC.umount2(re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]),
                                    point), MNT_DETACH)


def private(*works, user=None):
    """For preexec_fn."""
    def before():
        check(LIBC.unshare(CLONE_NEWNS))
        mount_at("none", "/", None, MS_REC | MS_PRIVATE)
        let_go_of_others()
        for work in works:
            work()
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
    return before


def device_of_users(folder):
    """/dev/fuse as udev sets it up; in a container, which has no udev, it may be root's alone."""
    place = folder / "dev"
    place.mkdir(exist_ok=True)

    def work():
        mount_at("tmpfs", place, "tmpfs")       # that of the folder may be mounted nodev
        os.mknod(place / "fuse", 0o666 | stat.S_IFCHR, os.makedev(10, 229))
        os.chmod(place / "fuse", 0o666)
        mount_at(place / "fuse", "/dev/fuse", None, MS_BIND)

    return work


class Namespace:
    """A mount namespace that lives as long as its first process, and what is run in it."""

    def __init__(self, env, *works, before=None):
        self.env = env
        self.holder = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                       preexec_fn=before or private(*works))

    def child(self):
        """Another one, a copy of this."""
        path = "/proc/%d/" % self.holder.pid

        def before():
            root = os.open(path + "root", os.O_PATH)
            with open(path + "ns/mnt") as mine:
                check(LIBC.setns(mine.fileno(), CLONE_NEWNS))
            os.fchdir(root)
            os.chroot(".")
            check(LIBC.unshare(CLONE_NEWNS))

        return Namespace(self.env, before=before)

    @property
    def entering(self):
        """The words before those of a program to be run in it; its root may be a chroot's."""
        path = "/proc/%d/" % self.holder.pid
        return ["nsenter", "--mount=%sns/mnt" % path, "--root=%sroot" % path, "--wd=%sroot" % path]

    def run(self, *words, user=None, check=True, text=True):
        as_user = [] if user is None else ["setpriv", "--reuid=%d" % user, "--regid=%d" % user,
                                           "--clear-groups"]
        done = subprocess.run([*self.entering, *as_user, *map(str, words)], env=self.env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=text, timeout=60)
        assert done.returncode == 0 or not check, done
        return done

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(60)
