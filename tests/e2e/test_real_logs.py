"""Logs of real jobs, through the mount and through the tools."""

import os
import pathlib
import tarfile

import pytest

from mounting import ROOT, mounted, out, run, traffic

ARCHIVE = ROOT.parent / "shared" / "real" / "logs.tar.xz"
pytestmark = [pytest.mark.real,
              pytest.mark.skipif(not ARCHIVE.exists(), reason="there are no real logs here")]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A folder with the real logs."""
    folder = tmp_path_factory.mktemp("real")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder)
    logs = folder / "flat"
    logs.mkdir()
    for path in sorted(folder.rglob("*.log")):
        if path.parent != logs:
            os.link(path, logs / path.name)
    assert len(os.listdir(logs)) > 10
    return logs


@pytest.fixture
def there(github, mount, real):
    """The mount, and pairs of path there and plain file."""
    jobs = github.add_folder(folder=str(real))["jobs"]
    m = mount()
    return m, [(m.log(job, "octo/logs"), real / (name + ".log")) for name, job in jobs.items()]


def test_byte_for_byte(github, there):
    _, pairs = there
    for log, plain in pairs:
        assert log.stat().st_size == plain.stat().st_size, plain.name
        assert log.read_bytes() == plain.read_bytes(), plain.name
    assert traffic(github).api == len(pairs)


def test_from_the_cache_of_another_mount(there, mount):
    m, pairs = there
    for log, _ in pairs:
        log.read_bytes()
    m.stop()
    again = mount(cache=m.cache, offline=True)
    for log, plain in pairs:
        assert (again.path / log.relative_to(m.path)).read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("words", (["grep", "-c", "error"], ["grep", "-a", "##\\[error\\]"],
                                   ["tail", "-n", "20"], ["wc"], ["sha256sum"],
                                   ["file", "-b"], ["rg", "-c", "--no-config", "error"]),
                         ids=lambda words: words[0] + words[-1])
def test_tools(there, words):
    _, pairs = there
    for log, plain in pairs:
        got = [run(*words, path, check=False) for path in (log, plain)]
        texts = [done.stdout.replace(os.fsencode(path), b"-")
                 for done, path in zip(got, (log, plain))]
        assert texts[0] == texts[1], plain.name
        assert got[0].returncode == got[1].returncode


def test_all_at_once(there, folder):
    m, pairs = there
    logs = [log for log, _ in pairs]
    assert out("cat", *logs) == b"".join(plain.read_bytes() for _, plain in pairs)
    run("tar", "-C", m.path, "-cf", folder / "a.tar", *[log.relative_to(m.path) for log in logs])
    with tarfile.open(folder / "a.tar") as archive:
        for log, plain in pairs:
            name = str(pathlib.Path(log).relative_to(m.path))
            assert archive.extractfile(name).read() == plain.read_bytes()
    assert mounted(m.path)
