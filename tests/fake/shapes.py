"""The JSON bodies of the API, with every field that the OpenAPI description requires.

A `Shaper` writes them for one base URL (that by which the client came) and one web host.
"""

import base64

from fake.world import iso, sha1

WEB = "https://github.com"

_USER_URLS = {
    "followers_url": "/followers", "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}", "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions", "organizations_url": "/orgs", "repos_url": "/repos",
    "events_url": "/events{/privacy}", "received_events_url": "/received_events",
}

_REPO_URLS = {
    "archive_url": "/{archive_format}{/ref}", "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}", "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}", "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}", "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}", "contributors_url": "/contributors",
    "deployments_url": "/deployments", "downloads_url": "/downloads", "events_url": "/events",
    "forks_url": "/forks", "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}", "git_tags_url": "/git/tags{/sha}", "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}", "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}", "labels_url": "/labels{/name}", "languages_url": "/languages",
    "merges_url": "/merges", "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}", "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers", "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers", "subscription_url": "/subscription", "tags_url": "/tags",
    "teams_url": "/teams", "trees_url": "/git/trees{/sha}",
}


def node_id(kind, number):
    return "%s_%s" % (kind, base64.urlsafe_b64encode(b"%d" % number).decode().rstrip("="))


def number_of(name):
    """A stable id for what has only a name (users)."""
    return int(sha1(name.lower())[:6], 16) + 1


class Shaper:
    def __init__(self, world, base):
        self.world, self.base = world, base

    # --- users ---

    def user(self, login):
        url = "%s/users/%s" % (self.base, login)
        number = number_of(login)
        shape = {
            "login": login, "id": number, "node_id": node_id("U", number),
            "avatar_url": "https://avatars.githubusercontent.com/u/%d?v=4" % number,
            "gravatar_id": "", "url": url, "html_url": "%s/%s" % (WEB, login),
            "type": self.world.owner_type(login), "site_admin": False, "user_view_type": "public",
        }
        shape.update((key, url + tail) for key, tail in _USER_URLS.items())
        return shape

    def full_user(self, login):
        owned = self.world.repos_of(login)
        return dict(self.user(login), name=login, company=None, blog="", location=None, email=None,
                    hireable=None, bio=None, twitter_username=None, followers=0, following=0,
                    public_gists=0, public_repos=sum(not repo.private for repo in owned),
                    created_at="2011-01-25T18:44:36Z", updated_at="2026-01-01T00:00:00Z")

    # --- repositories ---

    def repo_url(self, repo):
        return "%s/repos/%s" % (self.base, repo.full_name)

    def minimal_repo(self, repo):
        url = self.repo_url(repo)
        shape = {
            "id": repo.id, "node_id": node_id("R", repo.id), "name": repo.name,
            "full_name": repo.full_name, "private": repo.private, "owner": self.user(repo.owner),
            "html_url": "%s/%s" % (WEB, repo.full_name), "description": None, "fork": repo.fork,
            "url": url,
        }
        shape.update((key, url + tail) for key, tail in _REPO_URLS.items())
        return shape

    def repo(self, repo):
        shape = self.minimal_repo(repo)
        html = shape["html_url"]
        shape.update({
            "created_at": iso(repo.created_at), "updated_at": iso(repo.pushed_at),
            "pushed_at": iso(repo.pushed_at), "git_url": html.replace("https:", "git:") + ".git",
            "ssh_url": "git@github.com:%s.git" % repo.full_name, "clone_url": html + ".git",
            "svn_url": html, "homepage": None, "size": 108, "stargazers_count": 0,
            "watchers_count": 0, "language": "C", "has_issues": True, "has_projects": True,
            "has_downloads": True, "has_wiki": False, "has_pages": False, "has_discussions": False,
            "forks_count": 0, "mirror_url": None, "archived": repo.archived, "disabled": False,
            "open_issues_count": 0, "license": None, "allow_forking": True, "is_template": False,
            "web_commit_signoff_required": False, "topics": [], "forks": 0, "open_issues": 0,
            "visibility": "private" if repo.private else "public", "watchers": 0,
            "default_branch": repo.default_branch,
            "permissions": {"admin": False, "maintain": False, "push": False, "triage": False,
                            "pull": True},
        })
        return shape

    def full_repo(self, repo):
        return dict(self.repo(repo), network_count=0, subscribers_count=0)

    def branch(self, repo, name, sha):
        commit = {"sha": sha, "url": "%s/commits/%s" % (self.repo_url(repo), sha)}
        return {"name": name, "commit": commit, "protected": False}

    # --- pull requests ---

    def minimal_pull(self, pull):
        """As a run has it."""
        def end(repo, ref, sha):
            where = {"id": repo.id, "url": self.repo_url(repo), "name": repo.name}
            return {"ref": ref, "sha": sha, "repo": where}
        return {"id": 300_000_000 + 1000 * pull.repo.id + pull.number, "number": pull.number,
                "url": "%s/pulls/%d" % (self.repo_url(pull.repo), pull.number),
                "head": end(pull.head_repo, pull.branch, pull.sha),
                "base": end(pull.repo, pull.repo.default_branch, self._base_sha(pull))}

    @staticmethod
    def _base_sha(pull):
        return sha1((pull.repo.id, pull.repo.default_branch))

    def _pull_end(self, repo, owner, ref, sha):
        return {"label": "%s:%s" % (owner, ref), "ref": ref, "sha": sha,
                "user": self.user(owner), "repo": repo and self.repo(repo)}

    def pull(self, pull):
        """As a list has it."""
        url, issue = (
            "%s/%s/%d" % (self.repo_url(pull.repo), kind, pull.number)
            for kind in ("pulls", "issues"))
        html = "%s/%s/pull/%d" % (WEB, pull.repo.full_name, pull.number)
        number = 300_000_000 + 1000 * pull.repo.id + pull.number
        head = pull.head_repo
        links = {"comments_url": issue + "/comments", "commits_url": url + "/commits",
                 "review_comments_url": url + "/comments",
                 "statuses_url": "%s/statuses/%s" % (self.repo_url(pull.repo), pull.sha),
                 "review_comment_url": url.rpartition("/")[0] + "/comments{/number}"}
        return dict(
            links, url=url, id=number, node_id=node_id("PR", number), html_url=html,
            diff_url=html + ".diff", patch_url=html + ".patch", issue_url=issue,
            number=pull.number, state=pull.state, locked=False, title=pull.title,
            user=self.user(head.owner if head else "ghost"), body=None, labels=[], milestone=None,
            active_lock_reason=None, created_at=iso(pull.created_at),
            updated_at=iso(pull.created_at),
            closed_at=None if pull.state == "open" else iso(pull.created_at), merged_at=None,
            merge_commit_sha=sha1((pull.sha, "merge")), assignee=None, assignees=[],
            requested_reviewers=[], requested_teams=[],
            head=self._pull_end(head, head.owner if head else "unknown", pull.branch, pull.sha),
            base=self._pull_end(pull.repo, pull.repo.owner, pull.repo.default_branch,
                                self._base_sha(pull)),
            _links={key[:-4]: {"href": value} for key, value in
                    dict(links, self_url=url, html_url=html, issue_url=issue).items()},
            author_association="CONTRIBUTOR", auto_merge=None, draft=False)

    def full_pull(self, pull):
        """By itself."""
        return dict(self.pull(pull), merged=False, mergeable=True, rebaseable=True,
                    mergeable_state="clean", merged_by=None, comments=0, review_comments=0,
                    maintainer_can_modify=False, commits=1, additions=1, deletions=0,
                    changed_files=1)

    # --- workflows, runs, jobs ---

    def workflow(self, repo, flow):
        html = "%s/%s" % (WEB, repo.full_name)
        return {
            "id": flow.id, "node_id": node_id("W", flow.id), "name": flow.name, "path": flow.path,
            "state": flow.state, "created_at": iso(flow.created_at),
            "updated_at": iso(flow.created_at),
            "url": "%s/actions/workflows/%d" % (self.repo_url(repo), flow.id),
            "html_url": "%s/blob/%s/%s" % (html, repo.default_branch, flow.path),
            "badge_url": "%s/workflows/%s/badge.svg" % (html, flow.name.replace(" ", "%20")),
        }

    def run(self, run, attempt=None, cache=None):
        attempt = attempt or run.last
        cache = {} if cache is None else cache
        suite = 40_000_000_000 + run.id
        shape = {
            "id": run.id, "name": run.workflow.name, "node_id": node_id("WFR", run.id),
            "head_branch": run.branch, "head_sha": run.sha,
            "path": run.workflow.path if run.path is None else run.path,
            "display_title": run.title, "run_number": run.number, "event": run.event,
            "status": attempt.status, "conclusion": attempt.conclusion,
            "workflow_id": run.workflow.id, "check_suite_id": suite,
            "check_suite_node_id": node_id("CS", suite),
            "pull_requests": [self.minimal_pull(pull) for pull in self.world.pulls_of(run)],
            "created_at": iso(run.created_at), "updated_at": iso(attempt.updated_at),
            "run_attempt": attempt.number, "run_started_at": iso(attempt.started_at),
            "actor": self.user(run.actor), "triggering_actor": self.user(run.actor),
            "referenced_workflows": [], "head_commit": self._commit(run),
            "repository": self._shared_repo(cache, run.repo),
            "head_repository": self._shared_repo(cache, run.head_repo),
        }
        shape.update(self._run_urls(run, attempt, suite))
        return shape

    def _shared_repo(self, cache, repo):
        if repo is None:
            return None
        if repo.id not in cache:
            cache[repo.id] = self.minimal_repo(repo)
        return cache[repo.id]

    def _run_urls(self, run, attempt, suite):
        repo_url = self.repo_url(run.repo)
        url = "%s/actions/runs/%d" % (repo_url, run.id)
        previous = "%s/attempts/%d" % (url, attempt.number - 1) if attempt.number > 1 else None
        return {
            "url": url, "html_url": "%s/%s/actions/runs/%d" % (WEB, run.repo.full_name, run.id),
            "jobs_url": url + "/jobs", "logs_url": url + "/logs",
            "check_suite_url": "%s/check-suites/%d" % (repo_url, suite),
            "artifacts_url": url + "/artifacts", "cancel_url": url + "/cancel",
            "rerun_url": url + "/rerun", "previous_attempt_url": previous,
            "workflow_url": "%s/actions/workflows/%d" % (repo_url, run.workflow.id),
        }

    @staticmethod
    def _commit(run):
        person = {"name": run.actor, "email": "%s@example.com" % run.actor}
        return {"id": run.sha, "tree_id": sha1(run.sha), "message": run.title,
                "timestamp": iso(run.created_at), "author": person, "committer": person}

    def job(self, job):
        run = job.run
        repo_url = self.repo_url(run.repo)
        shape = {
            "id": job.id, "run_id": run.id, "workflow_name": run.workflow.name,
            "head_branch": run.branch, "run_url": "%s/actions/runs/%d" % (repo_url, run.id),
            "run_attempt": job.attempt, "node_id": node_id("CR", job.id), "head_sha": run.sha,
            "url": "%s/actions/jobs/%d" % (repo_url, job.id),
            "html_url": "%s/%s/actions/runs/%d/job/%d" % (WEB, run.repo.full_name, run.id, job.id),
            "status": job.status, "conclusion": job.conclusion,
            "created_at": iso(job.created_at), "started_at": iso(job.started_at),
            "completed_at": iso(job.completed_at), "name": job.name, "steps": job.steps,
            "check_run_url": "%s/check-runs/%d" % (repo_url, job.id), "labels": job.labels,
        }
        shape.update(self._runner(job))
        return shape

    @staticmethod
    def _runner(job):
        ran = job.conclusion != "skipped" and job.status in ("in_progress", "completed")
        values = (1, "GitHub Actions 1", 0, "GitHub Actions") if ran else (None,) * 4
        values = {"null": (None,) * 4, "empty": (0, "", 0, "")}.get(job.runner, values)
        names = ("runner_id", "runner_name", "runner_group_id", "runner_group_name")
        return {} if job.runner == "absent" else dict(zip(names, values))
