"""Outside witnesses: programs that were made to find wrong bytes, on cold logs and on warm ones.

fio reads by every way that the kernel has, from files whose blocks carry their own checksums;
hashdeep, mtree and tar compare a tree with what was written down of a plain one. Each also has to
see a difference where there is one.
"""

import os

import pytest

from mounting import KIB, MIB, REPO, forget, out, run, traffic
from treeing import NOON, PLAIN, STEP_SECONDS, cut_job

# --- fio -----------------------------------------------------------------------------------------

SIZE = 5 * MIB + 12 * KIB       # more than the first range, and no whole number of pages
BLOCK = 4 * KIB
ENGINES = ("sync", "psync", "pvsync2", "mmap", "libaio", "posixaio", "io_uring", "splice")
OF_THE_KERNEL = ("libaio", "io_uring")      # a kernel may be built without, or forbid them


def fio(path, engine, *more, check=True):
    """Reads each block once and compares it with its checksum; a wrong one is an error."""
    return run("fio", "--readonly", "--name=witness", "--filename=%s" % path, "--size=%d" % SIZE,
               "--bs=%d" % BLOCK, "--verify=crc32c", "--verify_fatal=1", "--ioengine=%s" % engine,
               "--iodepth=8", *more, check=check, text=True)


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """A file in which fio finds no fault, and one with a bit of it turned."""
    good = tmp_path_factory.mktemp("fio") / "good"
    run("fio", "--name=make", "--filename=%s" % good, "--size=%d" % SIZE, "--bs=%d" % BLOCK,
        "--rw=write", "--verify=crc32c", "--do_verify=0", "--verify_state_save=0",
        "--ioengine=psync")
    data = bytearray(good.read_bytes())
    assert len(data) == SIZE
    fio(good, "psync", "--rw=read")
    data[SIZE - 3 * BLOCK + 1000] ^= 0x10
    bad = good.with_name("bad")
    bad.write_bytes(data)
    return good, bad


def need_engine(engine, plain):
    if engine not in OF_THE_KERNEL:
        return
    done = fio(plain, engine, "--rw=read", check=False)
    if "Function not implemented" in done.stderr or "not permitted" in done.stderr:
        pytest.skip("the kernel gives no " + engine)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("direct", (0, 1), ids=("buffered", "direct"))
@pytest.mark.parametrize("engine", ENGINES)
def test_fio_finds_each_block_right(github, mount, checked, engine, direct):
    """Cold in order, warm at random, and out of the cache of an earlier mount."""
    good, bad = checked
    how = "--direct=%d" % direct
    need_engine(engine, good)
    made = github.add_run(REPO)
    right, wrong = (github.add_job(made, file=file) for file in (good, bad))
    first = mount()
    fio(first.log(right), engine, "--rw=read", how)
    assert traffic(github).api == 1
    forget(github)
    fio(first.log(right), engine, "--rw=randread", how)
    assert traffic(github).requests == (0, 0)
    done = fio(first.log(wrong), engine, "--rw=read", how, check=False)
    assert done.returncode and "verify failed" in done.stderr
    assert "offset %d" % (SIZE - 3 * BLOCK) in done.stderr, "it found another block wrong"
    first.stop()
    forget(github)
    fio(mount(cache=first.cache).log(right), engine, "--rw=read", how)
    assert traffic(github).requests == (0, 0)


@pytest.mark.parametrize("engine", ("psync", "mmap", "io_uring", "libaio"))
def test_fio_finds_each_block_right_at_random(github, mount, checked, engine):
    """Cold at random, by several processes at once."""
    good, _ = checked
    need_engine(engine, good)
    job = github.add_job(github.add_run(REPO), file=good)
    fio(mount().log(job), engine, "--rw=randread", "--numjobs=4")


# --- trees ---------------------------------------------------------------------------------------

JOBS = {"lint": 3, "build (ubuntu, 3.12)": 300, "test": 8000}       # lines of a step


def lines(job, number, count):
    return ["%s, step %d, line %d: %s" % (job, number, n, "x" * (n * 7 % 90)) for n in range(count)]


def plant(github, tree, is_wrong=False):
    """A run, and the plain files that its jobs' steps have to be; `is_wrong`: but for one byte."""
    made = github.add_run(REPO)
    for job, count in JOBS.items():
        parts = [(title, [*head, *lines(job, number, count)])
                 for number, (title, head) in enumerate(PLAIN, 1)]
        (tree / job).mkdir(parents=True)
        for number, (title, texts) in enumerate(parts, 1):
            file = tree / job / ("%02d-%s.txt" % (number, title.replace("/", "∕")))
            file.write_text("".join(text + "\n" for text in texts))
            file.chmod(0o444)
            os.utime(file, 2 * (NOON + STEP_SECONDS * number,))
        os.utime(tree / job, 2 * (NOON + STEP_SECONDS * len(parts),))
        if is_wrong and job == "test":
            parts[2][1][4000] = parts[2][1][4000].replace("line", "lime")
        cut_job(github, made, parts, name=job)
    return made


def hashdeep_notes(tree, notes):
    notes.write_bytes(out("hashdeep", "-r", "-l", *JOBS, cwd=tree))


def hashdeep_audits(tree, notes):
    return [run("hashdeep", "-r", "-l", "-a", "-vv", "-k", notes, *JOBS, cwd=tree, check=False)]


def mtree_notes(tree, notes):
    for job in JOBS:
        notes.with_name("mtree " + job).write_bytes(
            out("mtree", "-c", "-k", "type,size,time,sha256", "-p", tree / job))


def mtree_checks(tree, notes):
    return [run("mtree", "-f", notes.with_name("mtree " + job), "-p", tree / job, check=False)
            for job in JOBS]


def tar_notes(tree, notes):
    run("tar", "--mode=a=rX", "-cf", notes, "-C", tree, *JOBS)


def tar_compares(tree, notes):
    return [run("tar", "--compare", "-f", notes, "-C", tree, check=False)]


WITNESSES = {"hashdeep": (hashdeep_notes, hashdeep_audits), "mtree": (mtree_notes, mtree_checks),
             "tar": (tar_notes, tar_compares)}


@pytest.mark.parametrize("witness", WITNESSES)
def test_trees_are_what_was_written_down(github, mount, folder, witness):
    """Cold, warm, and out of the cache of an earlier mount; bytes, sizes, times and modes."""
    note, compare = WITNESSES[witness]
    made = plant(github, folder / "plain")
    note(folder / "plain", folder / "notes")
    m = mount(fresh=600)
    for which in ("cold", "warm", "remounted"):
        if which == "remounted":
            m.stop()
            m = mount(cache=m.cache)
        for done in compare(m.repo() / "runs" / str(made), folder / "notes"):
            assert done.returncode == 0, done.stdout + done.stderr
        seen = traffic(github)
        assert which == "cold" or (seen.storage, seen.charged) == (0, 0)
        forget(github)


@pytest.mark.parametrize("witness", WITNESSES)
def test_trees_that_differ_in_one_byte_are_reported(github, mount, folder, witness):
    note, compare = WITNESSES[witness]
    made = plant(github, folder / "plain", is_wrong=True)
    note(folder / "plain", folder / "notes")
    got = compare(mount().repo() / "runs" / str(made), folder / "notes")
    assert any(done.returncode for done in got)
    assert b"03-" in b"".join(done.stdout + done.stderr for done in got)


@pytest.mark.parametrize("witness", WITNESSES)
def test_trees_do_not_change_while_they_are_looked_at(github, mount, folder, witness):
    """What a witness wrote down of a cold tree holds for the warm one, and for the next mount."""
    note, compare = WITNESSES[witness]
    made = plant(github, folder / "plain")
    first = mount()
    note(first.repo() / "runs" / str(made), folder / "notes")
    for m in (first, mount(cache=first.cache)):
        for done in compare(m.repo() / "runs" / str(made), folder / "notes"):
            assert done.returncode == 0, done.stdout + done.stderr
