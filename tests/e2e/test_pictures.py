"""The pictures in the documents can be made again."""

import subprocess
import xml.etree.ElementTree

from mounting import BINARY, ROOT, SLOW, clean_environment


def make(tmp_path, script, *words):
    picture = tmp_path / "picture.svg"
    subprocess.run([str(ROOT / script), *words, str(picture)], check=True, cwd=ROOT,
                   stdin=subprocess.DEVNULL, timeout=120 * SLOW,
                   env=clean_environment(tmp_path, GHLOGFS_BIN=BINARY, PYTHONDONTWRITEBYTECODE=1))
    return xml.etree.ElementTree.parse(picture).getroot(), picture.read_text()


def test_the_session_in_the_readme(fuse, tmp_path):
    picture, text = make(tmp_path, "tests/pictures/session.py")
    printed = "".join(picture.itertext()).replace("\xa0", " ")
    assert "~/gh/octo/parser" in printed and "what failed, and why" in printed
    assert "not ok 147 - case 147: error: expected 3, got 4" in printed
    assert "failed/7000000016/build (gcc)/03-Build.txt" in printed
    assert str(tmp_path.parent) not in text and "@font-face" not in text


def test_the_figures_of_the_benchmarks(fuse, tmp_path):
    picture, text = make(tmp_path, "tests/bench/growth.py", "size", "--rounds", "1",
                         "--size", "16777216", "--dir", tmp_path, "--svg")
    assert "ghlogfs" in text and "curl -L -o FILE" in text and "MiB" in text
