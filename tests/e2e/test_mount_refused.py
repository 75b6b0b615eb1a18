"""Why nothing can be mounted, and what to do about it: one line on stderr for each cause, in the
foreground and in the background alike."""

import contextlib
import os
import signal
import stat
import subprocess

import pytest

from mounting import (SLOW, WRAP, clean_environment, command, daemons_of, for_users, mounted,
                      option_words, unmount)
from private import (LIBC, MS_BIND, MS_NODEV, MS_REMOUNT, device_of_users, hidden, mount_at,
                     private, replaced)

USER = 65534
FUSERMOUNT = "/usr/bin/fusermount3"
REMOVE = "(to remove it: umount -l as root, fusermount3 -uz as its user)"
CONTAINER = "in a container: --device /dev/fuse --cap-add SYS_ADMIN"

pytestmark = pytest.mark.skipif(os.getuid() != 0 or bool(WRAP),
                                reason="needs root for namespaces, and to become a user")


class Place:
    """A folder that a user can reach, with a directory of his and one of root's."""

    def __init__(self, folder):
        self.folder, self.binary = folder, for_users(folder)
        self.mine, self.roots = folder / "mine", folder / "roots"
        for made in (self.mine, self.roots):
            made.mkdir()
        os.chown(self.mine, USER, USER)
        self.device = device_of_users(folder)

    def script(self, *lines):
        made = self.folder / "script"
        made.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        made.chmod(0o755)
        return made

    def start(self, before, point, *arguments, **options):
        words = option_words({"offline": True, "no_cache": True, **options})
        return subprocess.run(command(*arguments, *words, point, binary=self.binary), text=True,
                              preexec_fn=before, env=clean_environment(self.folder),
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=20 * SLOW)

    def refused(self, before, point=None, **options):
        """What follows "cannot mount on ...: " in the only line that is printed."""
        point = point or self.mine
        errors = set()
        for arguments in ((), ("-f",)):
            done = self.start(before, point, *arguments, **options)
            assert (done.returncode, done.stdout) == (1, ""), done
            errors.add(done.stderr)
        (line,) = errors
        head = "ghlogfs: cannot mount on %s: " % point
        assert line.startswith(head) and line.count("\n") == 1 and line[-1] == "\n", line
        return line[len(head):-1]


@pytest.fixture
def place(fuse, folder):
    made = Place(folder)
    yield made
    for point in (made.mine, made.roots):
        for pid in daemons_of(point):       # also in a namespace, which would live on with it
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if mounted(point):
            unmount(point, lazy=True)


# --- /dev/fuse -----------------------------------------------------------------------------------

def make_device(path, mode, *number):
    os.mknod(path, stat.S_IFCHR, os.makedev(*number))
    os.chmod(path, mode)


def bare_dev():
    mount_at("tmpfs", "/dev", "tmpfs")
    make_device("/dev/null", 0o666, 1, 3)


@pytest.mark.parametrize("user", (None, USER))
def test_there_is_no_device(place, user):
    assert place.refused(private(bare_dev, user=user)) == (
        "there is no /dev/fuse (as root: modprobe fuse; %s)" % CONTAINER)


def test_the_kernel_has_no_fuse(place):
    def other_device():
        bare_dev()
        make_device("/dev/fuse", 0o666, 10, 251)    # nobody's

    assert place.refused(private(other_device)) == (
        "the kernel has no FUSE (as root: modprobe fuse)")


def test_the_device_is_not_for_this_user(place):
    def of_root():
        bare_dev()
        make_device("/dev/fuse", 0o600, 10, 229)

    assert place.refused(private(of_root, user=USER)) == (
        "/dev/fuse may not be opened by this user (as root: chmod 666 /dev/fuse)")


def test_the_device_is_not_even_for_root(place):
    """As where a container's devices are limited."""
    def no_devices():
        bare_dev()
        make_device("/dev/fuse", 0o600, 10, 229)
        mount_at("/dev/fuse", "/dev/fuse", None, MS_BIND)
        mount_at("none", "/dev/fuse", None, MS_BIND | MS_REMOUNT | MS_NODEV)

    assert place.refused(private(no_devices)) == "root may not open /dev/fuse (%s)" % CONTAINER


# --- the right to mount --------------------------------------------------------------------------

def test_root_without_the_right_to_mount(place):
    """In a container without SYS_ADMIN mount(2) is refused, and so is fusermount3."""
    def drop():
        assert LIBC.prctl(24, 21, 0, 0, 0) == 0     # CAP_SYS_ADMIN leaves the bounding set

    assert place.refused(private(drop)) == (
        "fusermount3: mount failed: Operation not permitted (%s, with AppArmor also "
        "--security-opt apparmor=unconfined)" % CONTAINER)


def test_there_is_no_fusermount3(place):
    assert place.refused(private(place.device, hidden("/usr/bin"), user=USER)) == (
        "there is no fusermount3 (install the package fuse3, or mount as root)")


def test_fusermount3_may_not_be_run(place):
    script = place.script()
    script.chmod(0o700)
    assert place.refused(private(place.device, replaced(FUSERMOUNT, script), user=USER)) == (
        "fusermount3 cannot be run (it must be executable and setuid root, as the package fuse3 "
        "has it)")


def test_fusermount3_is_not_setuid(place):
    copy = place.folder / "fusermount3"
    with open(FUSERMOUNT, "rb") as program:
        copy.write_bytes(program.read())
    copy.chmod(0o755)
    assert place.refused(private(place.device, replaced(FUSERMOUNT, copy), user=USER)) == (
        "fusermount3: mount failed: Operation not permitted (fusermount3 is not setuid root; as "
        "root: chmod u+s /usr/bin/fusermount3)")


def test_no_new_privileges(place):
    def set_it():
        assert LIBC.prctl(38, 1, 0, 0, 0) == 0

    assert place.refused(private(place.device, set_it, user=USER)) == (
        "fusermount3: mount failed: Operation not permitted (no_new_privs is set, so that "
        "fusermount3 stays without the right to mount: NoNewPrivileges=no in a unit, or mount as "
        "root)")


@pytest.mark.parametrize("error", ("Permission denied", "Operation not permitted"))
def test_apparmor_refuses_the_directory(place, error):
    """Ubuntu 25.04 and later have a profile for fusermount3; only the kernel's log would tell."""
    def with_profile():
        mount_at("tmpfs", "/etc", "tmpfs")
        os.mkdir("/etc/apparmor.d")
        os.close(os.open("/etc/apparmor.d/fusermount3", os.O_CREAT | os.O_WRONLY))

    script = place.script("echo 'fusermount3: mount failed: %s' >&2" % error, "exit 1")
    script.chmod(0o4755)
    assert place.refused(private(place.device, replaced(FUSERMOUNT, script), with_profile,
                                 user=USER)) == (
        "fusermount3: mount failed: %s (AppArmor lets users mount below their home, /mnt, /media, "
        "/tmp and $XDG_RUNTIME_DIR only: take a directory there, or have root add a rule to "
        "/etc/apparmor.d/local/fusermount3)" % error)


@pytest.mark.parametrize("option", ("allow_other", "allow_root"))
def test_allow_other_of_a_user(place, option):
    assert place.refused(private(place.device, user=USER), **{option: True}) == (
        "fusermount3: option allow_other only allowed if 'user_allow_other' is set in "
        "/etc/fuse.conf (as root, add the line user_allow_other to /etc/fuse.conf; or leave out "
        "the option)")


def test_allow_other_of_a_user_where_it_is_allowed(place, folder):
    """And root needs no such line."""
    conf = folder / "fuse.conf"
    conf.write_text("user_allow_other\n")
    before = private(place.device, replaced("/etc/fuse.conf", conf), user=USER)
    for user, how in ((USER, before), (0, private())):
        done = place.start(how, place.mine, allow_other=True)
        assert (done.returncode, done.stderr) == (0, ""), (user, done)


# --- the directory -------------------------------------------------------------------------------

def test_a_directory_of_somebody_else(place):
    assert place.refused(private(place.device, user=USER), place.roots) == (
        "fusermount3: user has no write access to mountpoint %s (take a directory of your own, "
        "such as ~/gh, or mount as root)" % place.roots)


def test_a_sticky_directory_of_somebody_else(place):
    place.roots.chmod(0o1777)
    assert place.refused(private(place.device, user=USER), place.roots) == (
        "fusermount3: mountpoint %s not owned by user (take a directory of your own, such as "
        "~/gh, or mount as root)" % place.roots)


def test_a_file_system_that_nobody_may_mount_on(place):
    def of_queues():
        mount_at("mqueue", place.roots, "mqueue")
        os.chown(place.roots, USER, USER)

    text = place.refused(private(place.device, of_queues, user=USER), place.roots)
    assert text == ("fusermount3: mounting over filesystem type 0x19800202 is forbidden (take a "
                    "directory on a local disk)")


def test_there_is_no_such_directory(place):
    assert place.refused(None, place.folder / "none") == (
        "No such file or directory (mkdir makes it)")


def test_it_is_a_file(place):
    assert place.refused(None, place.script()) == "the mountpoint is not a directory"


def test_a_directory_that_cannot_be_reached(place):
    (place.roots / "x").mkdir()
    place.roots.chmod(0o700)
    assert place.refused(private(place.device, user=USER), place.roots / "x") == (
        "Permission denied (a directory above it may not be searched, or it is another user's "
        "mount)")


def test_a_directory_that_is_not_empty_can_be_mounted_on(place):
    """As with mount(8): its files are hidden, and come back."""
    (place.roots / "a file").write_text("x")
    done = place.start(None, place.roots)
    assert (done.returncode, done.stderr) == (0, "")
    assert mounted(place.roots) and not (place.roots / "a file").exists()
    assert unmount(place.roots).returncode == 0
    assert (place.roots / "a file").read_text() == "x"


@pytest.mark.parametrize("name", ("cache_dir", "token_file", "ca_file"))
@pytest.mark.parametrize("below", ("", "link", "a/b/c"))
def test_what_is_needed_would_be_hidden(place, name, below):
    """Also by way of a link, and where it does not exist yet."""
    (place.mine / "file").write_text("ghp_x")
    at = place.mine / "file" if name != "cache_dir" else place.mine / below
    if below == "link":
        (place.folder / "link").symlink_to(place.mine)
        at = place.folder / "link" / at.name
    options = {name: at, "no_cache": name != "cache_dir"}
    assert place.refused(None, place.mine, **options) == (
        "the mount would hide %s %s (give one outside)" % (name, at))


def test_a_cache_beside_the_mountpoint_is_not_hidden(place):
    """A name that only begins alike."""
    done = place.start(None, place.mine, no_cache=False, cache_dir=str(place.mine) + "-cache")
    assert (done.returncode, done.stderr) == (0, "")


# --- mounts that are there -----------------------------------------------------------------------

def test_a_mount_that_is_alive_and_what_lies_in_it(place):
    assert place.start(None, place.roots).returncode == 0
    assert place.refused(None, place.roots) == "ghlogfs is already mounted there (umount ends it)"
    assert place.refused(None, place.roots / "octo/hello") == (
        "it lies inside the ghlogfs that is mounted on %s" % place.roots)
    assert mounted(place.roots)


def dead(place, kind):
    """A FUSE mount that nobody serves."""
    def work():
        fd = os.open("/dev/fuse", os.O_RDWR)
        mount_at("dead", place.roots, kind, 0,
                 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % fd)
        os.close(fd)
    return work


def test_a_dead_mount_of_another_file_system(place):
    assert place.refused(private(dead(place, "fuse.other")), place.roots) == (
        "a dead mount of another file system is in the way " + REMOVE)


def test_a_directory_in_a_dead_mount(place):
    assert place.refused(private(dead(place, "fuse.ghlogfs")), place.roots / "octo") == (
        "it lies in a dead mount, whose process has ended " + REMOVE)


def test_a_dead_mount_of_ours_that_a_user_cannot_remove(place):
    assert place.refused(private(place.device, dead(place, "fuse.ghlogfs"), user=USER),
                         place.roots) == (
        "a dead mount of another user's ghlogfs is in the way " + REMOVE)
