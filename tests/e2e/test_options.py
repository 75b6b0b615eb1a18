"""The command line, the environment, the exit status, in the foreground and in the background."""

import contextlib
import json
import os
import pathlib
import resource
import signal
import socket
import stat
import subprocess
import time

import pytest

import fake.content
from fake.asking import one_job
from faulting import named_logs
from mounting import (BINARY, MIB, SLOW, WRAP, clean_environment, command, daemons_of, fails,
                      mounted, option_words, soft_limit, traffic, unmount, wait_for)


def made(job, size):
    return fake.content.content(job, 0, size)


def call(folder, *arguments, pipes=False, **env):
    """The binary, run until it ends (or is in the background). Its output is in files, which are
    not waited for, unless `how` differs."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    how = {"env": clean_environment(home, **env), "cwd": folder, "stdin": subprocess.DEVNULL,
           "timeout": 20 * SLOW, "text": True}
    if pipes:
        return subprocess.run(command(*arguments), capture_output=True, **how)
    with open(folder / "said", "w+") as output, open(folder / "errors", "w+") as errors:
        done = subprocess.run(command(*arguments), stdout=output, stderr=errors, **how)
        output.seek(0)
        errors.seek(0)
        done.stdout, done.stderr = output.read(), errors.read()
    return done


def options_of(m):
    """{name: value} as the mount reports them."""
    lines = (m.path / ".ghlogfs" / "options").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line)


def refused(done, *words):
    """It failed, and one line on stderr has all these words."""
    assert done.returncode > 0, done
    assert any(all(word in line for word in words) for line in done.stderr.splitlines()), done


@pytest.fixture
def point(folder):
    made_here = folder / "point"
    made_here.mkdir()
    yield made_here
    for pid in daemons_of(made_here):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    unmount(made_here, lazy=True)


@contextlib.contextmanager
def only_root_may_look():
    """Into what cannot be dumped; another user is refused, and that is as good an answer."""
    try:
        yield
    except PermissionError:
        assert os.getuid() != 0


@pytest.fixture
def closed():
    """The URL of a port that is taken, and that of a port without a listener."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield "http://127.0.0.1:%d" % taken.getsockname()[1]


# --- help, version, mistakes ---------------------------------------------------------------------

@pytest.mark.parametrize("word", ("-h", "--help"))
def test_help(folder, word):
    done = call(folder, word)
    assert done.returncode == 0 and done.stderr == ""
    for name in ("api_url", "token_file", "cache_dir", "cache_size", "offline", "-f", "MOUNTPOINT"):
        assert name in done.stdout


@pytest.mark.smoke
@pytest.mark.parametrize("word", ("-V", "--version"))
def test_version(folder, word):
    done = call(folder, word)
    assert done.returncode == 0 and done.stderr == ""
    for name in ("ghlogfs", "fuse", "curl"):
        assert name in done.stdout.lower()


@pytest.mark.parametrize("arguments,words", (
    (["-o", "colour=red"], ["colour"]), (["--colour=red"], ["colour"]), (["--bogus"], ["bogus"]),
    (["-o", "offline,nosuchthing"], ["nosuchthing"]), (["-Z"], ["Z"]),
    (["-o", "runs=many"], ["runs"]), (["-o", "runs=0"], ["runs"]), (["-o", "runs=1001"], ["runs"]),
    (["-o", "runs"], ["runs"]), (["-o", "connections=101"], ["connections"]),
    (["-o", "connections=0"], ["connections"]), (["-o", "timeout=0"], ["timeout"]),
    (["-o", "wait=-1"], ["wait"]), (["-o", "deadline=1.5"], ["deadline"]),
    (["-o", "cache_size=4X"], ["cache_size"]), (["-o", "cache_size=-4G"], ["cache_size"]),
    (["-o", "cache_size="], ["cache_size"]), (["-o", "memory=99999999999999999999"], ["memory"]),
    (["-o", "offline=yes"], ["offline"]), (["-o", "token=abc"], ["token"]),
    (["-o", "api_url=ftp://x"], ["api_url"]), (["-o", "api_url=nonsense"], ["api_url"]),
    (["-o", "api_url="], ["api_url"]), (["-o", "token_file=/nonexistent/token"], ["token"]),
    (["-o"], []),
), ids=lambda value: " ".join(value))
def test_what_is_wrong_is_named(folder, point, arguments, words):
    refused(call(folder, "-f", "-o", "cache_dir=%s" % (folder / "c"), *arguments, point), *words)
    assert not mounted(point)


def test_no_mountpoint(folder):
    refused(call(folder))
    refused(call(folder, "github.com", "/tmp", "/usr"))


def test_the_token_on_the_command_line_is_not_repeated(folder, point):
    done = call(folder, "-f", "-o", "token=ghp_shouldnotbesaid", point)
    refused(done, "token")
    assert "ghp_shouldnotbesaid" not in done.stderr


@pytest.mark.parametrize("where", ("foreground", "background"))
def test_a_mountpoint_that_is_none(folder, where):
    (folder / "file").write_text("x")
    flag = ["-f"] if where == "foreground" else []
    for bad in ("missing", "file"):
        done = call(folder, *flag, "-o", "cache_dir=%s" % (folder / "c"), folder / bad,
                    GH_TOKEN="x")
        refused(done, bad)


@pytest.mark.parametrize("where", ("foreground", "background"))
def test_a_cache_where_others_may_write(folder, point, where):
    bad = folder / "cache"
    bad.mkdir()
    bad.chmod(0o777)
    flag = ["-f"] if where == "foreground" else []
    refused(call(folder, *flag, "-o", "cache_dir=%s" % bad, point, GH_TOKEN="x"), str(bad))
    assert not mounted(point)


def test_a_cache_that_cannot_be_made(github, mount, folder):
    """It is logged, and logs are kept in memory."""
    job = one_job(github, size=1000)
    (folder / "file").write_text("x")
    m = mount(cache=folder / "file" / "c")
    assert str(m.cache) in m.stderr and "memory" in m.stderr
    assert m.log(job).read_bytes() == made(job, 1000)
    assert m.log(job).read_bytes() == made(job, 1000)
    assert traffic(github).requests == (1, 1)


def test_a_living_mount_is_not_mounted_over(github, mount):
    m = mount()
    done = subprocess.run(m.words, env=m.env, text=True, capture_output=True, timeout=15 * SLOW)
    refused(done, str(m.path), "mounted")
    assert m.path.is_dir()


@pytest.mark.parametrize("waiting", (False, True))
def test_a_dead_mount_of_ours_is_replaced(github, mount, folder, waiting):
    """What a killed daemon left does not have to be taken away by hand."""
    job = one_job(github, size=1000)
    point = folder / "point"
    first = mount(path=point)
    assert first.log(job).read_bytes() == made(job, 1000)
    wait_for(lambda: job in named_logs(first.cache), why="the log got no name")
    if waiting:                     # a working directory is still in it
        holder = subprocess.Popen(["sleep", "60"], cwd=first.folder(job))
    os.kill(first.pid, signal.SIGKILL)
    first.process.wait(10)
    first.ended = True
    with fails("ENOTCONN", "ECONNABORTED"):
        os.listdir(point)
    try:
        second = mount(path=point, cache=first.cache, offline=True)
        assert second.log(job).read_bytes() == made(job, 1000)
        second.stop()
    finally:
        if waiting:
            holder.kill()
            holder.wait(10)
    assert not mounted(point)


# --- background ----------------------------------------------------------------------------------

def background(github, folder, point, pipes=False):
    words = option_words({"api_url": github.api, "cache_dir": folder / "cache"})
    return call(folder, *words, point, pipes=pipes, GH_ENTERPRISE_TOKEN=github.token)


def finish(point):
    assert unmount(point).returncode == 0
    wait_for(lambda: not daemons_of(point), 5, why="the daemon did not end")


@pytest.mark.smoke
def test_background(github, folder, fuse, point):
    job = one_job(github, size=300_000)
    done = background(github, folder, point)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert mounted(point)[1] == "fuse.ghlogfs"
    assert (point / "octo/hello/jobs" / str(job) / "log").read_bytes() == made(job, 300_000)
    (pid,) = daemons_of(point)
    with only_root_may_look():
        assert os.readlink("/proc/%d/cwd" % pid) == "/"
        for fd in (0, 1, 2):
            assert os.readlink("/proc/%d/fd/%d" % (pid, fd)) == "/dev/null"
    assert os.getsid(pid) == pid or os.getpgid(pid) != os.getpgid(0)
    if not WRAP:                    # of valgrind's own start nothing can be erased
        with only_root_may_look():
            environ = pathlib.Path("/proc/%d/environ" % pid).read_bytes()
            assert github.token.encode() not in environ
    finish(point)
    assert github.counters()["token_leaks"] == 0


def test_background_with_relative_paths(github, folder, fuse, point):
    """The daemon leaves its directory; paths relative to it stay valid."""
    job = one_job(github, size=1000)
    words = option_words({"api_url": github.api, "cache_dir": "here/cache",
                          "token_file": "token"})
    (folder / "token").write_text(github.token + "\n")
    (folder / "token").chmod(0o600)
    (folder / "here").mkdir()
    done = call(folder, *words, "point")
    assert done.returncode == 0, done.stderr
    try:
        assert (point / "octo/hello/jobs" / str(job) / "log").read_bytes() == made(job, 1000)
    finally:
        assert unmount(point).returncode == 0
        wait_for(lambda: not [p for p in os.listdir("/proc") if p.isdigit() and
                              _runs_in(p, b"here/cache")], 5)
    assert (folder / "here" / "cache").is_dir()


def _runs_in(pid, word):
    try:
        return word in pathlib.Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return False


def test_background_twice(github, folder, fuse, point):
    assert background(github, folder, point).returncode == 0
    done = background(github, folder, point)
    refused(done, str(point))
    assert (point / "octo").is_dir(), "the first one lives"
    finish(point)


def test_background_ended_by_sigterm(github, folder, fuse, point):
    assert background(github, folder, point).returncode == 0
    (pid,) = daemons_of(point)
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not daemons_of(point), 3)
    assert not mounted(point)


@pytest.mark.skipif(bool(WRAP), reason="valgrind holds them")
def test_background_does_not_hold_the_callers_pipes(github, folder, fuse, point):
    """A script that reads the command's output to its end is not kept waiting."""
    started = time.monotonic()
    assert background(github, folder, point, pipes=True).returncode == 0
    assert time.monotonic() - started < 5 * SLOW
    finish(point)


# --- as mount(8) calls it ------------------------------------------------------------------------

FSTAB = ("rw,noauto,nofail,user,users,_netdev,x-systemd.automount,x-systemd.device-timeout=5,"
         "nosuid,nodev,noexec,noatime,comment=hello,defaults,async,nouser,owner,group,auto")


@pytest.mark.parametrize("word", FSTAB.split(","))
def test_words_of_fstab(github, mounts, word):
    m = mounts(github=github, arguments=["-o", word])
    assert m.path.is_dir()


def test_all_words_of_fstab_in_the_order_of_mount(github, folder, fuse, point):
    words = option_words({"api_url": github.api, "cache_dir": folder / "c"})[1]
    done = call(folder, "github.com", point, "-o", FSTAB + "," + words,
                GH_ENTERPRISE_TOKEN=github.token)
    assert done.returncode == 0, done.stderr
    job = one_job(github, size=1000)
    assert (point / "octo/hello/jobs" / str(job) / "log").read_bytes() == made(job, 1000)
    finish(point)


@pytest.mark.skipif(not os.path.exists("/sbin/mount.fuse3") or bool(WRAP),
                    reason="needs mount.fuse3")
def test_by_way_of_mount_fuse3(github, folder, fuse, point):
    """The helper that mount -t fuse.ghlogfs calls finds the program in PATH."""
    words = ",".join(["api_url=" + github.api, "cache_dir=%s" % (folder / "c"), "nofail", "rw",
                      "_netdev", "x-systemd.automount"])
    env = clean_environment(folder, GH_ENTERPRISE_TOKEN=github.token)
    env["PATH"] = "%s:%s" % (os.path.dirname(os.path.abspath(BINARY)), env["PATH"])
    done = subprocess.run(["/sbin/mount.fuse3", "github.com", str(point), "-t", "fuse.ghlogfs",
                           "-o", words], env=env, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    job = one_job(github, size=1000)
    assert (point / "octo/hello/jobs" / str(job) / "log").read_bytes() == made(job, 1000)
    finish(point)


# --- where the API is, and the token -------------------------------------------------------------

def test_api_url_before_host(github, mounts):
    job = one_job(github, size=1000)
    m = mounts(github=github, host="git.example.com", api_url=github.api)
    assert m.log(job).read_bytes() == made(job, 1000)


def test_api_url_with_a_path_and_a_slash(make_github, mounts):
    server = make_github(ghes=True)
    job = one_job(server, size=1000)
    for end in ("", "/"):
        m = mounts(github=server, api_url=server.api + end)
        assert m.log(job).read_bytes() == made(job, 1000)


def test_the_environments_api_url(github, mounts):
    job = one_job(github, size=1000)
    m = mounts(github=github, api_url=None, env={"GITHUB_API_URL": github.api})
    assert m.log(job).read_bytes() == made(job, 1000)


def test_api_url_before_the_environment(github, mounts, closed):
    job = one_job(github, size=1000)
    m = mounts(github=github, env={"GITHUB_API_URL": closed, "GH_HOST": "x.ghe.com"})
    assert m.log(job).read_bytes() == made(job, 1000)


@pytest.mark.parametrize("host,api", (("github.com", "https://api.github.com"),
                                      ("corp.ghe.com", "https://api.corp.ghe.com"),
                                      ("git.nowhere.invalid",
                                       "https://git.nowhere.invalid/api/v3")))
def test_forms_of_host(mounts, host, api):
    """Offline no request is sent: the host only names the cache and the source."""
    m = mounts(github=None, host=host, offline=True, token="ghp_x")
    assert mounted(m.path)[2] == host
    assert options_of(m)["api_url"] == api
    with fails("EHOSTUNREACH"):
        m.log(1).stat()


def test_the_github_tokens_are_not_for_other_servers(github, mounts):
    job = one_job(github)
    m = mounts(github=github, token=None, env={"GH_TOKEN": github.token,
                                               "GITHUB_TOKEN": github.token})
    with fails("EACCES"):
        m.log(job).stat()
    assert not any(e["had_authorization"] for e in traffic(github).entries)


@pytest.mark.parametrize("name", ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"))
def test_tokens_of_the_environment(github, mounts, name):
    job = one_job(github, size=1000)
    m = mounts(github=github, token=None, env={name: github.token})
    assert m.log(job).read_bytes() == made(job, 1000)


def test_a_token_file_before_the_environment(github, mounts):
    job = one_job(github, size=1000)
    m = mounts(github=github, token="file", env={"GH_ENTERPRISE_TOKEN": "ghp_wrong_one"})
    assert m.log(job).read_bytes() == made(job, 1000)


def test_a_credential_of_systemd(github, mounts, folder):
    job = one_job(github, size=1000)
    (folder / "credentials").mkdir()
    (folder / "credentials" / "token").write_text(github.token + "\n")
    (folder / "credentials" / "token").chmod(0o600)
    m = mounts(github=github, token=None, env={"CREDENTIALS_DIRECTORY": folder / "credentials"})
    assert m.log(job).read_bytes() == made(job, 1000)


def test_the_token_of_gh(github, mounts, folder):
    """As last resort gh is asked, for that host."""
    job = one_job(github, size=1000)
    tools = folder / "tools"
    tools.mkdir()
    (tools / "gh").write_text("#!/bin/sh\necho \"$*\" >'%s/asked'\necho %s\n" % (
        folder, github.token))
    (tools / "gh").chmod(0o755)
    m = mounts(github=github, token=None, env={"PATH": "%s:/usr/bin:/bin" % tools})
    assert m.log(job).read_bytes() == made(job, 1000)
    assert "auth token" in (folder / "asked").read_text()
    assert "127.0.0.1" in (folder / "asked").read_text()


@pytest.mark.parametrize("script", ("sleep 60", "exit 1", "yes ghp_too_much", "true",
                                    "printf 'a b\\nc'"))
def test_a_gh_that_is_of_no_use(github, mounts, folder, script):
    job = one_job(github)
    tools = folder / "tools"
    tools.mkdir()
    (tools / "gh").write_text("#!/bin/sh\nexec %s\n" % script if " " not in script or
                              script.startswith(("sleep", "yes")) else "#!/bin/sh\n%s\n" % script)
    (tools / "gh").chmod(0o755)
    started = time.monotonic()
    m = mounts(github=github, token=None, env={"PATH": "%s:/usr/bin:/bin" % tools})
    assert time.monotonic() - started < 8 * SLOW
    with fails("EACCES"):
        m.log(job).stat()
    assert json.loads(m.json(job).read_bytes())["id"] == job, "that needs no token"


# --- cache options -------------------------------------------------------------------------------

def test_the_default_cache(github, mounts):
    job = one_job(github, size=1000)
    m = mounts(github=github, cache_dir=None)
    m.log(job).read_bytes()
    assert stat.S_IMODE((m.home / ".cache" / "ghlogfs").stat().st_mode) == 0o700
    m.stop()
    other = mounts(github=github, cache_dir=None, env={"XDG_CACHE_HOME": None})
    other.log(job).read_bytes()
    assert (other.home / ".cache" / "ghlogfs").is_dir()


def test_a_cache_folder_is_made(github, mounts, folder):
    m = mounts(github=github, cache=folder / "a" / "b" / "cache")
    assert stat.S_IMODE(m.cache.stat().st_mode) == 0o700


def test_no_cache_leaves_nothing_on_disk(github, mounts):
    job = one_job(github, size=3 * MIB)
    m = mounts(github=github, no_cache=True)
    assert m.log(job).read_bytes() == made(job, 3 * MIB)
    assert m.log(job).read_bytes() == made(job, 3 * MIB)
    assert traffic(github).api == 1
    m.stop()
    assert not m.cache.exists() or not [f for f in m.cache.rglob("*") if f.is_file()]
    assert not [f for f in m.home.rglob("*") if f.is_file()]


def test_memory_holds_the_logs_read_last(github, mounts):
    """With no_cache a log is dropped for another, and is fetched again."""
    jobs = [one_job(github, size=400_000) for _ in range(6)]
    m = mounts(github=github, no_cache=True, memory="1M")
    for _ in range(2):
        for job in jobs:
            with open(m.log(job), "rb", buffering=0) as file:
                assert file.read() == made(job, 400_000)
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)   # the kernel's
    assert traffic(github).storage >= 2 * len(jobs) - 2, "more was kept than there is space for"


@pytest.mark.parametrize("size,bytes", (("1G", 1 << 30), ("2048M", 1 << 31),
                                        ("5000000", 5_000_000), ("64K", 1 << 16)))
def test_sizes(github, mounts, size, bytes):
    job = one_job(github, size=10_000)
    m = mounts(github=github, cache_size=size, memory=size)
    got = options_of(m)
    assert got["cache_size"] == got["memory"] == str(bytes)
    assert m.log(job).read_bytes() == made(job, 10_000)


def test_long_options(github, mounts):
    job = one_job(github, size=1000)
    m = mounts(github=github, arguments=["--wait", "5", "--cache-size=1G", "--prefetch=0",
                                         "--runs", "3"])
    got = options_of(m)
    assert [got[name] for name in ("wait", "cache_size", "prefetch", "runs")] == [
        "5", str(1 << 30), "0", "3"]
    assert m.log(job).read_bytes() == made(job, 1000)


def test_a_comma_in_a_value(github, mounts, folder):
    m = mounts(github=github, cache=folder / "a,b")
    assert (folder / "a,b").is_dir() and m.path.is_dir()


def test_the_mount_as_the_kernel_knows_it(github, mounts):
    m = mounts(github=github, fsname="logs-of-ours")
    assert mounted(m.path)[1:] == ("fuse.ghlogfs", "logs-of-ours")
    with open("/proc/self/mountinfo") as lines:
        (line,) = [line for line in lines if " %s " % m.path in line]
    options = line.split(" ")[5].split(",")
    for word in ("ro", "nosuid", "nodev"):
        assert word in options
    assert "default_permissions" in line
    job = one_job(github, size=None, text=b"#!/bin/sh\n")
    with fails("EACCES"):
        os.execv(m.log(job), ["x"])


def test_a_proxy_is_used_and_the_testers_is_not(github, mounts, closed):
    """The loopback server answers as a proxy does: absolute targets."""
    job = one_job(github, size=1000)
    m = mounts(github=github, env={"http_proxy": closed, "NO_PROXY": "127.0.0.1,127.0.0.2"})
    assert m.log(job).read_bytes() == made(job, 1000)
    refusing = mounts(github=github, proxy=closed, deadline=10)
    with fails("ECONNREFUSED", "EHOSTUNREACH"):
        refusing.log(job).read_bytes()


def test_many_open_files(github, mounts):
    """The soft limit is raised to the hard one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with soft_limit(resource.RLIMIT_NOFILE, 256):
        m = mounts(github=github)
    assert resource.prlimit(m.pid, resource.RLIMIT_NOFILE) == (hard, hard)


# --- as another user -----------------------------------------------------------------------------

@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_other_users(github, mounts, folder):
    """Others see nothing, unless allow_other."""
    job = one_job(github, size=1000)

    def as_nobody(path):
        return subprocess.run(["cat", str(path)], user=65534, group=65534, extra_groups=[],
                              capture_output=True, timeout=10 * SLOW)

    folder.chmod(0o755)
    closed = mounts(github=github)
    closed.path.parent.chmod(0o755)
    assert as_nobody(closed.log(job)).returncode != 0
    opened = mounts(github=github, allow_other=True)
    opened.path.parent.chmod(0o755)
    assert as_nobody(opened.log(job)).stdout == made(job, 1000)
