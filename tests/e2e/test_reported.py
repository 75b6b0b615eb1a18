"""What people met elsewhere, with other readers of GitHub's logs, and what is right here.

A case is one function that teaches the loopback GitHub what was met, and above it, in this order:
the project and number of the report (each once), what was met there, a line of shell, and what it
has to print. The line runs in the repository's directory of a fresh mount; {names} in it and in
what it prints are those that the function returns. It may neither fail nor complain. `requests`
bounds what it may ask the API; all other words are options of the mount.
"""

import pytest

from mounting import REPO, run, traffic
from treeing import PLAIN, cut_job, failed_job

CASES = []


def reported(source, met, line, right, requests=10, **options):
    def add(teach):
        CASES.append(pytest.param(teach, met, line, right, requests, options, id=source))
        return teach
    return add


@reported("cli/cli 5011", "Logs are looked for by names that an archive cuts, changes and numbers, "
          "and are not found.",
          "grep -l build-1 runs/{run}/*/*.txt",
          "runs/{run}/{name} ({second})/02-Run make.txt\n")
def long_and_equal_names(github):
    made = github.add_run(REPO)
    name = "Lint / lint: \U0001f9ea " + "x" * 120
    ids = [cut_job(github, made, [PLAIN[0], ("Run make", [*PLAIN[1][1], "build-%d" % n])],
                   name=name)
           for n in range(2)]
    return {"run": made, "second": ids[1], "name": name.replace("/", "∕")}


@reported("cli/cli 13972", "A run is said to be queued while its jobs run.",
          "cat runs/{run}/build/02-*.txt | grep needle; cat jobs/{live}/log",
          "cc -o a-needle\nso far\n")
def a_queued_run_whose_jobs_run(github):
    made = github.add_run(REPO, status="queued")
    cut_job(github, made)
    return {"run": made, "live": github.add_job(made, status="in_progress", text=b"so far\n")}


@reported("tend 1314", "Runs stay queued for weeks and never get a job.",
          "find jobs runs -name '0*.txt' | wc -l; ls runs/{ghost}", "4\nrun.json\n")
def a_run_without_jobs(github):
    cut_job(github, github.add_run(REPO))
    return {"ghost": github.add_run(REPO, status="queued")}


@reported("MeshWeaver 4534", "Of 30 failed jobs' logs 6 had expired: no reason to ask each time.",
          "for n in 1 2 3; do cat jobs/{gone}/log jobs/{good}/log 2>&1 |"
          " grep -o 'No such\\|needle'; done",
          3 * "No such\nneedle\n", requests=2)
def an_expired_log_among_others(github):
    made = github.add_run(REPO, conclusion="failure")
    return {"gone": github.add_job(made, log="expired", conclusion="failure"),
            "good": cut_job(github, made, conclusion="failure")}


@reported("GitHub changelog 2026-05-15",
          "Tokens of apps have about 520 characters, dots and dashes among them.",
          "grep -o needle jobs/{job}/log", "needle\n")
def a_long_token(github):
    value = "ghs_" + ".".join(part * 43 for part in ("a-B_", "c1-D", "e_-F"))
    github.op("token", value=value)
    return {"job": cut_job(github, github.add_run(REPO)), "token": value}


@reported("ReverbCode 443", "The end of a failed job's log is always its clean-up.",
          "tail -qn 1 failed/*/*/*.txt", "##[error]Process completed with exit code 2.\n")
def the_end_of_the_failed_step(github):
    failed_job(github, github.add_run(REPO, conclusion="failure"))


@pytest.mark.parametrize("teach,met,line,right,requests,options", CASES)
def test_reported(github, mount, teach, met, line, right, requests, options):
    names = teach(github) or {}
    m = mount(token=names.get("token", "env"), **options)
    done = run("bash", "-c", line.format(**names), cwd=m.repo(), text=True)
    assert (done.stdout, done.stderr) == (right.format(**names), ""), met
    assert traffic(github).api <= requests, met
