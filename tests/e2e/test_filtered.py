"""Views of some of the runs: from GitHub's filtered lists, united with the unfiltered one (S18)."""

import os

from mounting import REPO, out
from treeing import listing


# --- whose branch it is --------------------------------------------------------------------------

def branches(m, repo=REPO):
    """{path: [runs]} of all that is below branches/."""
    found = {}
    for path in out("find", m.repo(repo) / "branches", "-type", "l", "-printf", "%P\n",
                    text=True).splitlines():
        found.setdefault(os.path.dirname(path), []).append(os.path.basename(path))
    return found


def test_s18_a_repository_that_moved_has_its_own_branches_under_its_old_name(github, mount):
    github.add_repo("octo-org/tool")
    runs = [str(github.add_run("octo-org/tool", branch=name)) for name in ("main", "fix/it")]
    fork = str(github.add_run("octo-org/tool", head_repo="someone/tool"))
    github.rename_repo(repo="octo-org/tool", to="new-owner/tool")
    m = mount()
    for repo in ("octo-org/tool", "new-owner/tool"):
        assert branches(m, repo) == {"main": [runs[0]], "fix/it": [runs[1]],
                                     "someone:main": [fork]}


def test_s18_forks_are_told_by_ids_and_deleted_ones_have_a_name(github, mount):
    """GitHub's filter by branch brings the runs of all of them."""
    runs = {name: str(github.add_run(REPO, branch=branch, head_repo=head))
            for name, branch, head in (
                ("main", "main", None), ("unknown:main", "main", ""),
                ("octo:main", "main", "octo/hello-fork"), ("someone:main", "main", "someone/hello"),
                ("unknown:fix/it", "fix/it", ""), ("octo:fix/it", "fix/it", "octo/hello-2"))}
    m = mount()
    assert branches(m) == {name: [one] for name, one in runs.items()}
    assert listing(m.repo() / "branches/SomeOne:main") == [runs["someone:main"]]
