#!/usr/bin/python3
"""Each lint accepts a good source tree and refuses a bad one."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import common  # noqa: E402  (found beside this file)

GOOD = {
    "src/list.h": "#ifndef LIST_H\n#define LIST_H\n\n#include <stddef.h>\n\n#endif\n",
    "src/net/net.h": "#ifndef NET_H\n#define NET_H\n\nint net_go(int way);\n\n#endif\n",
    "src/net/net.c": (
        '#include "net/net.h"\n\n#include <curl/curl.h>\n\n#include "list.h"\n\n'
        "static const char *const names[] = {\"a\", \"b\"};\n\n"
        "int net_go(int way)\n{\n    return names[way & 1][0]; // not strcpy()\n}\n"),
    "src/main.c": (
        '#include "net/net.h"\n\n#include <fuse_lowlevel.h>\n#include <time.h>\n\n'
        "int main(void)\n{\n    return net_go((int)time(NULL));\n}\n"),
    "src/options.c": (
        "enum kind { FLAG, TEXT };\n\nstruct rule {\n    const char *name;\n    enum kind kind;\n"
        "    int at;\n};\n\nstatic const struct rule rules[] = {\n    {\"proxy\", TEXT, 0},\n"
        "    {\"offline\", FLAG, 0},\n};\n"),
    "CMakeLists.txt": "project(ghlogfs VERSION 1.2.0 LANGUAGES C)\n",
    "docs/CHANGELOG.md": "# Changes\n\n## 1.2.0 (2026-11-28)\n\n## 1.1.0\n",
    "contrib/debian/changelog": "ghlogfs (1.2.0-1) unstable; urgency=medium\n",
    "contrib/rpm/ghlogfs.spec": "Version:  1.2.0\n\n* Sat Nov 28 2026 a <a@b.org> - 1.2.0-1\n",
    "contrib/arch/PKGBUILD": "pkgver=1.2.0\n",
    "contrib/completions/ghlogfs.bash": 'list="proxy= offline"\n',
    "contrib/completions/_ghlogfs": "(\n    'proxy[a proxy]:URL:'\n    'offline[no request]'\n)\n",
    "contrib/completions/ghlogfs.fish": "    proxy=\\t'a proxy'\n    offline\\t'no request'\n",
    "docs/ghlogfs.1": ".It Cm proxy Ns = Ns Ar url\n.It Cm offline\n",
    "docs/SEMANTICS.md": "# Words\n\n## What, and why\n\n**S1** It is so.\n"
                         "- `e2e/test_a.py`: `test_s1_*`; `unit/*/a_test.c`: `s1_it_is_so`\n",
    "README.md": "[words](docs/SEMANTICS.md#what-and-why), [curl](https://curl.se)\n\n    [a](b)\n",
    "tests/e2e/test_a.py": "def test_s1_it_is_so():\n    pass\n",
    "tests/unit/net/a_test.c": "void s1_it_is_so(void **state)\n{\n    (void)state;\n}\n",
}


class Tree:
    """A small source tree in a temporary folder, with changes to GOOD."""

    def __init__(self, changes):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        files = {".clang-format": (common.ROOT / ".clang-format").read_text(), **GOOD, **changes}
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def build(self):
        """Compiles src/ the way CMake lays objects out; foreign headers become empty ones."""
        for header in ("curl/curl.h", "fuse_lowlevel.h"):
            path = self.root / "foreign" / header
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        objects = []
        for source in sorted((self.root / "src").rglob("*.c")):
            target = self.root / "all.dir" / f"{source.relative_to(self.root)}.o"
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run([os.environ.get("CC", "cc"), "-fPIE", "-O2", "-w", "-c", source, "-o",
                            target, "-I", self.root / "src", "-I", self.root / "foreign"],
                           check=True)
            objects.append(str(target))
        (self.root / "objects.txt").write_text("\n".join(objects))

    def lint(self, name):
        return subprocess.run(
            [sys.executable, HERE / f"{name}.py", "--root", self.root,
             "--objects", self.root / "objects.txt"],
            capture_output=True, text=True)


class Lints(unittest.TestCase):
    built = {"cycles", "globals", "singleuse"}

    def run_lint(self, name, changes):
        tree = Tree(changes)
        self.addCleanup(tree.folder.cleanup)
        if name in self.built:
            tree.build()
        return tree.lint(name)

    def accepts(self, name, changes=None):
        run = self.run_lint(name, changes or {})
        if run.returncode == common.SKIPPED:
            self.skipTest(run.stdout.strip())
        self.assertEqual((run.returncode, run.stderr), (0, ""), run.stdout)

    def refuses(self, name, changes, finding):
        run = self.run_lint(name, changes)
        if run.returncode == common.SKIPPED:
            self.skipTest(run.stdout.strip())
        self.assertEqual((run.returncode, run.stderr), (1, ""), run.stdout)
        self.assertIn(finding, run.stdout)

    def test_every_lint_accepts_the_good_tree(self):
        lints = {path.stem for path in HERE.glob("*.py")} - {"common", "selftest"}
        self.assertGreaterEqual(len(lints), 10)
        for name in sorted(lints):
            with self.subTest(lint=name):
                self.accepts(name)

    def test_the_list_of_exceptions_is_empty(self):
        self.assertEqual(len(common.EXCEPTIONS), 0)

    def test_function_length(self):
        def function(name, lines):
            return f"int {name}(int a)\n{{\n" + "    a++;\n" * (lines - 4) + "    return a;\n}\n\n"
        self.accepts("function_length", {"src/text/a.c": function("f", 60) + function("g", 60)})
        self.refuses("function_length", {"src/text/a.c": function("f", 61)}, "f has 61 lines")
        self.refuses("function_length", {"src/text/a.h": "static inline " + function("f", 61)},
                     "f has 61 lines")

    def test_file_length(self):
        self.accepts("file_length", {"src/text/a.c": "\n" * 1000})
        self.refuses("file_length", {"src/text/a.c": "\n" * 1001}, "1001 lines")

    def test_line_length(self):
        for path in ("src/text/a.c", "src/text/a.h", "tests/unit/a_test.c", "tests/e2e/a.py",
                     "contrib/a.sh", ".ci/run", "CMakeLists.txt"):
            self.refuses("line_length", {path: "\n// " + 98 * "x" + "\n"}, f"{path}:2: 101 columns")
        self.accepts("line_length", {"src/text/a.c": "// " + 97 * "\u00e9" + "\n",
                                     "tests/unit/recorded.txt": 200 * "x" + "\n"})

    def test_layers_upwards(self):
        for lower, upper in (("net", "github"), ("github", "store"), ("store", "cache"),
                             ("cache", "views"), ("views", "fs"), ("pending", "cache")):
            with self.subTest(lower=lower, upper=upper):
                self.refuses("layers", {f"src/{lower}/a.c": f'#include "{upper}/a.h"\n',
                                        f"src/{upper}/a.h": "\n"},
                             f'{lower} may not include "{upper}/a.h"')

    def test_layers_neighbours(self):
        for module, other in (("cache", "catalog"), ("store", "text"), ("store", "pending"),
                            ("text", "pending")):
            for one, two in ((module, other), (other, module)):
                self.refuses("layers", {f"src/{one}/a.c": f'#include "{two}/a.h"\n',
                                        f"src/{two}/a.h": "\n"},
                             f'{one} may not include "{two}/a.h"')

    def test_layers_restricted_dependencies(self):
        for module, other in (("fs", "github"), ("cache", "net"), ("store", "github"),
                            ("views", "net")):
            self.refuses("layers", {f"src/{module}/a.c": f'#include "{other}/a.h"\n',
                                    f"src/{other}/a.h": "\n"},
                         f'{module} may not include "{other}/a.h"')
        self.refuses("layers", {"src/fs/a.c": '#include "main_a.h"\n', "src/main_a.h": "\n"},
                     'fs may not include "main_a.h"')
        self.refuses("layers", {"src/fs/a.c": '#include "options.h"\n', "src/options.h": "\n"},
                     'fs may not include "options.h"')

    def test_layers_downwards(self):
        for module, other in (("fs", "cache"), ("views", "text"), ("catalog", "store"),
                            ("github", "net"), ("cache", "pending")):
            self.accepts("layers", {f"src/{module}/a.c": f'#include "{other}/a.h"\n',
                                    f"src/{other}/a.h": "\n"})
        self.accepts("layers", {"src/main_a.c": '#include "github/a.h"\n#include "options.h"\n',
                                "src/github/a.h": "\n", "src/options.h": "\n"})
        self.accepts("layers", {"src/store/a.c": '#include "source.h"\n#include "list.h"\n',
                                "src/source.h": "\n"})

    def test_layers_know_all_modules(self):
        self.refuses("layers", {"src/util/a.c": "\n"}, "util is not a module")
        self.refuses("layers", {"src/util.h": "\n"}, "util is not a module")
        self.refuses("layers", {"src/net/a.c": '#include "net.h"\n'}, "not found from src/")

    def test_cycles(self):
        self.refuses("cycles", {"src/fs/a.h": "\n", "src/fs/a.c": '#include "fs/b.h"\n',
                                "src/fs/b.h": "\n", "src/fs/b.c": '#include "fs/a.h"\n'},
                     "include cycle: fs/a -> fs/b -> fs/a")

    def test_cycles_of_calls(self):
        def file(name, *called):
            return (f"int {name}(int);\n" + "".join(f"int {other}(int);\n" for other in called)
                    + f"int {name}(int way)\n{{\n    return 1"
                    + "".join(f" + {other}(way)" for other in called) + ";\n}\n")
        down = {"src/fs/a.c": file("a", "b", "c"), "src/fs/b.c": file("b", "c"),
                "src/cache/c.c": file("c")}
        self.accepts("cycles", down)
        self.refuses("cycles", {**down, "src/fs/b.c": file("b", "a")},
                     "src/fs/a.c: call cycle: fs/a -> fs/b -> fs/a (b, a)")
        self.refuses("cycles", {**down, "src/cache/c.c": file("c", "a")},
                     "src/cache/c.c: call cycle: cache/c -> fs/a -> cache/c (a, c)")
        self.refuses("cycles", {**down, "src/fs/a.c": file("a", "b"),
                                "src/cache/c.c": file("c", "a")},
                     "cache/c -> fs/a -> fs/b -> cache/c (a, b, c)")

    def test_foreign_headers(self):
        for module, header in (("cache", "fuse_lowlevel.h"), ("github", "curl/curl.h"),
                             ("net", "cjson/cJSON.h"), ("cache", "xxhash.h"),
                             ("views", "linux/fuse.h")):
            self.refuses("foreign", {f"src/{module}/a.c": f"#include <{header}>\n"},
                         "may be included by")
        self.refuses("foreign", {"src/text/a.c": "#include <glib.h>\n"}, "has no entry")
        self.refuses("foreign", {"src/github/api.c": "#include <cjson/cJSON.h>\n"},
                     "may be included by")
        self.accepts("foreign", {"src/github/parse.c": "#include <cjson/cJSON.h>\n"})

    def test_globals(self):
        for line in ("int counter;", "static int counter = 3;", "static _Thread_local int counter;",
                     "static const char *counter;"):
            body = f"{line}\nvoid *f(void)\n{{\n    return (void *)&counter;\n}}\n"
            with self.subTest(line=line):
                self.refuses("globals", {"src/text/a.c": body}, "counter is writable")
        inner = "int *f(void)\n{\n    static int counter;\n    return &counter;\n}\n"
        self.refuses("globals", {"src/text/a.c": inner}, "is writable")

    def test_singleuse(self):
        text = "int lonely(void)\n{\n    return 1;\n}\n"
        self.refuses("singleuse", {"src/text/a.c": text}, "lonely is exported")
        self.accepts("singleuse", {"src/text/a.c": text,
                                   "tests/fuzz/a_fuzz.c": "int x(void) { return lonely(); }\n"})

    def test_banned(self):
        for call in ("strcpy(a, b)", "atoi (a)", "system(a)", "sleep(1)", "time(NULL)",
                     "clock_gettime(0, &t)", "exit(1)", "gmtime(&t)"):
            self.refuses("banned", {"src/text/a.c": f"void f(void)\n{{\n    {call};\n}}\n"},
                         "src/text/a.c:3: " + call.split("(")[0].strip())
        self.refuses("banned", {"tests/unit/a_test.c": "int x = sleep(1);\n"}, "sleep")
        self.accepts("banned", {"src/text/a.c": '/* strcpy(a) */ char *a = "exit(1)"; // atoi(a)\n'
                                                "int b = s->time(1) + run_time(2) + s.exit(3);\n"})

    def test_words(self):
        for path, code, name in (("src/text/a.c", "struct house;", "house"),
                                 ("src/text/a.h", "int no_sight;", "no_sight"),
                                 ("src/text/a.c", "void leave_Errands(void);", "leave_Errands"),
                                 ("src/text/a.c", "#define TEXT_INQUIRIES 3", "TEXT_INQUIRIES")):
            self.refuses("words", {path: f"\n{code}\n"}, f"{path}:2: {name}: say")
        self.refuses("words", {"src/text/room.h": "\n"}, "src/text/room.h: room in the file's name")
        self.accepts("words", {"src/text/a.c": '/* a house */ char *sightless = "a hall";\n',
                               "tests/unit/a_test.c": "int house;\n"})

    def test_docs_links(self):
        self.refuses("docs", {"README.md": "[a](docs/A.md)\n"}, "README.md:1: the link leads")
        self.refuses("docs", {"docs/a.md": "\n[a](SEMANTICS.md#what)\n"}, "docs/a.md:2: the link")
        self.refuses("docs", {"docs/a.md": "# A\n\n[a](#b)\n"}, "#b, which is no heading")

    def test_docs_tests(self):
        for cited in ("`e2e/test_b.py`", "`unit/*/b_test.c`", "`tests/bench/b.py`"):
            self.refuses("docs", {"docs/SEMANTICS.md": f"A\n- {cited}\n"}, "is not there")
        for cited in ("`test_s2_*`", "`e2e/test_a.py`: `test_s1_it_is`",
                      "`unit/net/a_test.c`: `test_s1_it_is_so`", "`no_test_has_this_name`"):
            self.refuses("docs", {"docs/SEMANTICS.md": f"A\n- {cited}\n"}, "no test is called")

    def test_docs_options(self):
        for path, what in (("docs/ghlogfs.1", "the manual page"),
                           ("contrib/completions/ghlogfs.bash", "bash's completion"),
                           ("contrib/completions/_ghlogfs", "zsh's completion"),
                           ("contrib/completions/ghlogfs.fish", "fish's completion")):
            for name, other in (("proxy", "no_proxy"), ("offline", "offline_not")):
                self.refuses("docs", {path: GOOD[path].replace(name, other)},
                             f"{name} is not in {what}")
        self.refuses("docs", {"src/options.c": "\n"}, "table of options was not found")

    def test_versions(self):
        for path, old in (("docs/CHANGELOG.md", "## 1.2"), ("contrib/debian/changelog", "(1.2"),
                          ("contrib/rpm/ghlogfs.spec", "- 1.2"), ("CMakeLists.txt", "VERSION 1.2"),
                          ("contrib/rpm/ghlogfs.spec", "Version:  1.2"),
                          ("contrib/arch/PKGBUILD", "pkgver=1.2")):
            with self.subTest(path=path):
                changed = GOOD[path].replace(old, old.replace("1.2", "1.3"))
                self.assertNotEqual(changed, GOOD[path])
                self.refuses("versions", {path: changed}, "the version of CMakeLists.txt")
        self.refuses("versions", {"contrib/debian/changelog": "\n"}, "no version was found")

    def test_format(self):
        self.refuses("format", {"src/text/a.c": "int a( void );\n"}, "src/text/a.c:1")

    def test_whitespace(self):
        self.refuses("whitespace", {"docs/a.md": "a \n"}, "blanks at the end")
        self.refuses("whitespace", {"src/text/a.c": b"a\r\n"}, "carriage return")
        self.refuses("whitespace", {"src/text/a.c": "\tint a;\n"}, "a tab")
        self.refuses("whitespace", {"contrib/a.sh": "a"}, "newline")
        self.accepts("whitespace", {"tests/fuzz/seeds/x/a.txt": "a \t"})


if __name__ == "__main__":
    unittest.main()
