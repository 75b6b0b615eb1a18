"""docs/SHARED-STORE.md does what it says: its commands and files are run on the servers themselves.

What only Amazon has is emulated on Ceph: an account is a tenant there, so that the page's policy
names the right users, `aws iam` is read by Amazon's client, refused by Ceph, and done by
radosgw-admin instead.
"""

import collections
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import time
import urllib.parse

import pytest

import fake.content
from documenting import Page, Shell
from engines import Ceph, Nginx
from engines.__main__ import address_of
from engines.nginx import CONFIG
from fake.asking import one_job
from fake.certificates import Authority
from filling import FILL
from mounting import (BINARY, MIB, PLAIN, REPO, ROOT, SLOW, clean_environment, daemons_of, forget,
                      mounted, run, traffic, unmount, wait_for)
from sharing import KEY, SECRET, Store, filled, need, running, stats, wait_sent

PAGE = Page(ROOT / "docs" / "SHARED-STORE.md")
UNITS = ROOT / "contrib" / "systemd" / "system"
SIZE = 100_000
UNSIGNED = "x-amz-content-sha256: UNSIGNED-PAYLOAD"

PRELUDE = """
ghlogfs() { "$BINARY" "$@"; }
ghlogfs-fill() { "$FILL" "$@"; }
"""
# Whoever is no root has one user only, and no other's files.
UNPRIVILEGED = "chown() { :; }\ninstall() { command install -d -m 750 \"${@:6}\"; }\n"
OF_NGINX = """
nginx() { command nginx -e stderr -p "$PWD" -c "$PWD/nginx.conf" "$@" 2>nginx.told; }
systemctl() { [ "$*" = "reload nginx" ]; }
"""
OF_AMAZON = """
aws() {
    local status=0
    case "$1 $2" in
    "iam create-user" | "iam create-access-key" | "sts assume-role")
        command aws --endpoint-url "$URL" --region default "$@" 2>told || status=$?
        [ "$status" -eq 254 ] && grep -q "when calling the" told || { cat told >&2; return 1; }
        "${2//-/_}" "$4"
        ;;
    *) command aws --endpoint-url "$URL" "$@" ;;
    esac
}
create_user() {
    radosgw-admin user create --tenant=111122223333 --uid="$1" --display-name="$1" --max-buckets=-1
}
create_access_key() {
    radosgw-admin user info --tenant=111122223333 --uid="$1" |
        jq -r '.keys[0] | [.access_key, .secret_key] | @tsv'
}
assume_role() { printf 'KEY\\tSECRET\\tSESSION\\n'; }
"""


@pytest.fixture(scope="module")
def ceph():
    yield from running(Ceph, "aws", "jq")


class Reader:
    """What a reader of the page has: the page's shell, and a mount at /mnt/gh, when it is there."""

    def __init__(self, github, folder, words, prelude="", **env):
        self.github, self.folder, self.point = github, folder, folder / "mnt"
        self.etc = folder / "etc"
        self.path = self.point      # as a Mount has it
        self.point.mkdir()
        self.env = clean_environment(folder, PATH="%s:/usr/bin:/bin:/usr/sbin:/sbin" % (
            os.path.dirname(os.path.abspath(BINARY))), GITHUB_API_URL=github.api, FILL=FILL,
            GH_ENTERPRISE_TOKEN=github.token, BINARY=os.path.abspath(BINARY),
            AWS_EC2_METADATA_DISABLED="true", **env)
        self.shell = Shell(folder, {
            **words, "reader.key' /mnt/gh": "reader.key,shared_verify=0' /mnt/gh",
            "/etc/ghlogfs": self.etc, "/mnt/gh": self.point,
            " github.com octo": " -o api_url=%s github.com octo" % github.api,
            "api.github.com": urllib.parse.urlsplit(github.api).netloc.replace(":", "~")},
            PRELUDE + prelude, **self.env)

    def key(self, who):
        return (self.etc / (who + ".key")).read_text().split()

    def fill_by_the_timer(self, location):
        """As systemd runs the unit: its file, the page's settings, and the key's credential."""
        page = PAGE.blocks("Filling it")
        name, settings = page[1]
        assert name == "/etc/ghlogfs/github.com.fill"
        settings = re.sub(r"shared=[^ ,]*", lambda _: "shared=" + location, settings)
        self.shell.save(name, settings.replace("=-o ", "=-o api_url=%s -o " % self.github.api))
        (self.etc / "github.com.token").write_text(self.github.token + "\n")
        return run_unit("ghlogfs-fill@.service", "github.com", self.folder, self.env,
                        {"/etc/ghlogfs": self.etc})

    def mount_and_read(self, command, jobs, runs):
        """By the page's command: all logs come from the store."""
        forget(self.github)
        self.shell(command)
        run("grep", "-rc", "needle", self.point / REPO / "jobs", check=False)
        for job in jobs:
            assert (self.point / REPO / "jobs" / str(job) / "log").read_bytes() == \
                fake.content.content(job, 0, SIZE)
        seen = traffic(self.github)
        assert not seen.of("storage") and seen.charged == 1 + runs
        assert stats(self)["shared_hits"] == len(jobs)

    def finish(self):
        if mounted(self.point):
            unmount(self.point, lazy=True)
        wait_for(lambda: not daemons_of(self.point), 10)


@pytest.fixture
def reading(github, folder, fuse):
    made = []

    def make(words, **more):
        made.append(Reader(github, folder, words, **more))
        return made[-1]

    yield make
    for reader in made:
        reader.finish()


def run_unit(name, instance, folder, env, words):
    """What the service prints. A unit of one command, as far as this one needs systemd."""
    found = collections.defaultdict(list)
    for line in (UNITS / (name + ".in")).read_text().splitlines():
        key, _, value = line.partition("=")
        found[key].append(value.replace("%i", instance)
                          .replace("@CMAKE_INSTALL_FULL_BINDIR@", str(FILL.parent)))
    here = Shell(folder, words).here
    credentials, cache = folder / "credentials", folder / "cache" / found["CacheDirectory"][0]
    credentials.mkdir()
    cache.mkdir(parents=True)
    for one in found["LoadCredential"]:
        title, _, path = one.partition(":")
        shutil.copy(here(path), credentials / title)
    env = {key: value for key, value in env.items() if "TOKEN" not in key}
    env.update(CREDENTIALS_DIRECTORY=str(credentials), CACHE_DIRECTORY=str(cache))
    settings = dict(line.split("=", 1) for path in found["EnvironmentFile"]
                    for line in pathlib.Path(here(path)).read_text().splitlines())
    words = []
    for word in shlex.split(found["ExecStart"][0]):
        words += settings[word[1:]].split() if word[0] == "$" else [
            word.replace("%d", str(credentials))]
    done = subprocess.run(words, env=env, cwd="/", stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120 * SLOW)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def location_of(command):
    return re.search(r"shared=([^,']*)", command).group(1)


def curl(url, user, *words):
    """The HTTP status."""
    return int(run("curl", "-sS", "--max-time", "60", "-o", "/dev/null", "-w", "%{http_code}",
                   *(["--user", ":".join(user)] if user else []), *words, url).stdout)


def s3(url, user, *words):
    if not user:
        return curl(url, user, *words)
    return curl(url, user, "-H", UNSIGNED, "--aws-sigv4", "aws:amz:default:s3", *words)


def check_rights(url, reader, writer, ask):
    """Of users and of strangers, on an object that is there."""
    put, no = ("-X", "PUT", "--data-binary", "other"), (401, 403, 404, 405)
    assert ask(url, reader) == ask(url, writer) == 200
    for user in (reader, None, (writer[0], "wrong")):
        assert ask(url, user, *put) in no and ask(url + "0", user, *put) in no
    for user in (reader, writer, None):
        assert ask(url, user, "-X", "DELETE") in no and ask(url + "0", user) in no
    assert ask(url, None) in no and ask(url, (reader[0], "wrong")) in no
    assert ask(url, reader) == 200


def check_s3(reader, url, bucket, owner):
    """After the set-up: filled by the timer, read by the page's command, and by nobody else."""
    github = reader.github
    runs = github.bulk(REPO, 3, 4, SIZE, told=True) + github.bulk("octo/parser", 1, 2, SIZE)
    jobs = [job for one in runs[:3] for job in one["jobs"]]
    command = PAGE.blocks("Ceph" if bucket == "ghlogfs" else "Amazon S3")
    command = next(text for _, text in command if text.startswith("ghlogfs "))
    told = reader.fill_by_the_timer(location_of(reader.shell.here(command)))
    assert told.splitlines()[:2] == ["octo/hello: 12 logs", "octo/parser: 2 logs"]
    assert told.splitlines()[2].startswith("14 logs stored")
    host = urllib.parse.urlsplit(github.api).netloc.replace(":", "~")
    check_rights("%s/%s/v1/%s/octo/hello/%d" % (url, bucket, host, jobs[0]), reader.key("reader"),
                 reader.key("writer"), s3)
    reader.mount_and_read(command, jobs, 3)
    rules = json.loads(reader.shell(
        "AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s aws --endpoint-url %s --region default "
        "s3api get-bucket-lifecycle-configuration --bucket %s" % (*owner, url, bucket)))
    assert rules == json.loads(dict(PAGE.blocks("Amazon S3"))["lifecycle.json"])


@pytest.mark.alone
@pytest.mark.limit(180)
def test_amazon(ceph, reading):
    policy, lifecycle, setup, mount, role = PAGE.blocks("Amazon S3")
    owner = "OWNER" + "A" * 15, "b" * 40
    reader = reading({"region=eu-central-1": "region=default&endpoint=" + ceph.url,
                      "eu-central-1": "default"}, prelude=OF_AMAZON, URL=ceph.url,
                     CEPH_CONF=ceph.folder + "/ceph.conf", AWS_ACCESS_KEY_ID=owner[0],
                     AWS_SECRET_ACCESS_KEY=owner[1])
    shell = reader.shell
    shell("radosgw-admin user create --tenant=111122223333 --uid=admin --display-name=admin "
          "--access-key=$AWS_ACCESS_KEY_ID --secret=$AWS_SECRET_ACCESS_KEY")
    for name, text in (policy, lifecycle):
        json.loads(shell.save(name, text).read_text())
    shell(setup[1])
    # Ceph has taken the policy as it stands; releases differ in what they make of the condition.
    without = json.loads(policy[1])
    assert without["Statement"][1].pop("Condition") == {"Null": {"s3:if-none-match": "false"}}
    shell.save("policy.json", json.dumps(without))
    shell("aws s3api put-bucket-policy --bucket example-ghlogfs --policy file://policy.json")
    check_s3(reader, ceph.url, "example-ghlogfs", owner)
    assert mount[1].startswith("ghlogfs ")

    by_hand, _, _ = PAGE.blocks("Filling it")
    assert "logs stored" in shell(by_hand[1])
    (_, delete), = PAGE.blocks("Who can read what")
    shell(delete)
    left = shell("aws s3api list-objects --bucket example-ghlogfs --region default")
    assert "octo/parser" in left and "octo/hello" not in left

    shell(role[1])
    assert reader.key("reader") == ["KEY", "SECRET", "SESSION"]
    assert (reader.etc / "reader.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.alone
@pytest.mark.limit(180)
def test_ceph(ceph, reading):
    policy, setup, mount = PAGE.blocks("Ceph")
    lifecycle = PAGE.blocks("Amazon S3")[1]
    reader = reading({"https://rgw.example.com": ceph.url}, CEPH_CONF=ceph.folder + "/ceph.conf")
    for name, text in (policy, lifecycle):
        json.loads(reader.shell.save(name, text).read_text())
    reader.shell(setup[1])
    for who in ("reader", "writer"):
        assert (reader.etc / (who + ".key")).stat().st_mode & 0o777 == 0o600
        assert s3(ceph.url + "/another", reader.key(who), "-X", "PUT") in (400, 403)
    owner = reader.shell("radosgw-admin user info --uid=ghlogfs-owner | "
                               "jq -r '.keys[0] | .access_key, .secret_key'").split()
    check_s3(reader, ceph.url, "ghlogfs", owner)
    assert mount[1].startswith("ghlogfs ")


@pytest.mark.alone
@pytest.mark.limit(120)
def test_nginx(reading, mount, github, folder):
    need(Nginx)
    site, setup, daily, (_, command) = PAGE.blocks("nginx")
    address = address_of(os.getpid())
    authority = Authority(folder / "authority")
    certificate, key = authority.issue("logs", names=(address,))
    reader = reading(
        {"/etc/ssl/certs/logs.example.com.pem": certificate, "listen 443": "listen %s:8443"
         % address, "/etc/ssl/private/logs.example.com.key": key, "/etc/nginx": folder / "nginx",
         "/srv/ghlogfs": folder / "srv", "/etc/cron.daily": folder / "daily",
         "https://logs.example.com": "https://%s:8443" % address},
        prelude=OF_NGINX + (UNPRIVILEGED if os.geteuid() else ""), SSL_CERT_FILE=authority.ca)
    here = reader.shell.save(*site)
    (folder / "nginx.conf").write_text(CONFIG.format(
        folder=folder, site="include %s/nginx/sites-enabled/*;" % folder))
    (folder / "nginx" / "sites-enabled").mkdir()
    reader.shell(setup[1])
    assert "test is successful" in (folder / "nginx.told").read_text()
    runs = github.bulk(REPO, 3, 4, SIZE, told=True)
    github.bulk("octo/parser", 1, 2, SIZE)
    jobs = [job for one in runs for job in one["jobs"]]
    host = urllib.parse.urlsplit(github.api).netloc.replace(":", "~")
    stored = folder / "srv" / "files" / "v1" / host / REPO
    with Nginx(here, address + ":8443"):
        told = reader.fill_by_the_timer(location_of(reader.shell.here(command)))
        assert told.splitlines()[2].startswith("14 logs stored")
        assert sorted(os.listdir(stored)) == sorted("%d%s" % (job, end) for job in jobs
                                                    for end in ("", ".meta"))
        assert os.listdir(folder / "srv" / "tmp") == []
        check_rights("https://%s:8443/v1/%s/%s/%d" % (address, host, REPO, jobs[0]),
                     reader.key("reader"), reader.key("writer"),
                     lambda *words: curl(*words, "--cacert", authority.ca))
        reader.mount_and_read(command, jobs, 3)
        (folder / "key").write_text("reader wrong\n")
        m = mount(shared=location_of(reader.shell.here(command)), ca_file=authority.ca,
                  shared_key_file=folder / "key")
        m.log(jobs[0]).read_bytes()
        assert "status 401;" in m.stderr and "| `status 401` |" in PAGE.text

    script = reader.shell.save(*daily)
    script.chmod(0o755)
    old = time.time() - 402 * 86400
    os.utime(stored / str(jobs[0]), (old, old))
    run(script)
    assert len(os.listdir(stored)) == 2 * len(jobs) - 1 and not (stored / str(jobs[0])).exists()


# --- what needs no such server -------------------------------------------------------------------

@pytest.fixture
def store(github, folder):
    return Store(github, folder)


@pytest.mark.parametrize("line", PAGE.blocks("Options")[0][1].splitlines())
def test_each_form_of_a_key_file(github, mount, store, line):
    """The page's line is the file."""
    words, _, server = (part.strip() for part in line.partition("  "))
    job = one_job(github, size=SIZE)
    filled(github, mount, store, [job])
    store.key_file.write_text("# of the team\n%s\n" % words)
    where = {"shared": github.store + "/logs/ci"}
    if server.startswith("S3"):
        github.store_setup(identities={"KEY": "SECRET"})
        where = {}
    elif words.startswith("bearer"):
        github.store_setup(mode="http", identities={words: 1})
    else:
        github.store_setup(mode="http", identities={"USER:PASSWORD": 1})
    m = mount(**dict(store.options, **where))
    assert m.log(job).read_bytes() == fake.content.content(job, 0, SIZE)
    assert stats(m)["shared_hits"] == 1
    sent = [e["headers"] for e in github.log(hop="store")]
    assert ("SESSION" in words) == any("SESSION" in str(headers) for headers in sent)


def counted(github):
    """GETs and PUTs of the store, API requests, archives and logs from GitHub's storage."""
    seen = traffic(github)
    asked = collections.Counter(e["method"] for e in seen.of("store"))
    archives = sum(not e["job"] for e in seen.of("storage"))
    return asked["GET"], asked["PUT"], seen.charged, archives, len(seen.of("storage")) - archives


def numbers(row):
    """Those of the page's table of costs."""
    line = next(line for line in PAGE.text.splitlines() if line.startswith("| " + row))
    return [int(number) for number in re.findall(r"\b\d+(?! MiB| MB)\b", line.partition(" | ")[2])]


def test_what_the_page_says_of_costs(github, mount, store):
    github.bulk(REPO, 10, 8, 500_000, told=True)
    walk = ("grep", "-rc", "needle")
    writer = mount(**store.options, shared_write=True)
    run(*walk, writer.repo() / "jobs", check=False)
    wait_sent(writer, 80)
    page = numbers("fill: 80 logs")
    # How many logs are read before the archive of their run is asked for, is the scheduler's to
    # say: the page has one of each run. What each of them costs is not.
    for gets, puts, asked, archives, logs in (counted(github), page):
        assert puts == 2 * 80 and gets == 80 + 2 * logs and asked == 1 + 10 + archives + logs
        assert archives <= 10 <= logs < 40
    assert page[3:] == [10, 10]
    forget(github)
    reader = mount(**store.options)
    for row in ("read all on another machine", "read them there again"):
        run(*walk, reader.repo() / "jobs", check=False)
        gets, puts, asked, archives, logs = counted(github)
        page = numbers(row)
        assert [gets, asked, archives + logs, puts] == [page[0], *page[-2:], 0]
        forget(github)
    meta = next(path for path in github.store_list() if path.endswith(".meta"))
    assert 60 < len(store.get(meta)) - 64 < 80      # besides 8 pages


def test_what_the_page_says_of_a_large_log(github, mount, store):
    job = one_job(github, size=20 * MIB)
    filled(github, mount, store, [job])
    m = mount(**store.options)
    assert len(m.log(job).read_bytes()) == 20 * MIB
    assert [*counted(github)[:3]] == [numbers("a log of 20 MiB")[0], 0, 1]


def table(title):
    """The first cells of the rows under `| title |`."""
    part = PAGE.text.partition(title)[2].partition("\n\n")[2]
    return [line.split(" | ")[0].strip("| ") for line in
            part.partition("\n\n")[0].splitlines()[2:]]


def test_the_page_names_all_counters(github, mount, store):
    names = set()
    for cell in table("`grep ^shared_ /mnt/gh/.ghlogfs/stats`:"):
        words = re.findall(r"`(\w+)`", cell)
        names |= {words[0][:len("shared_uploads")] + word if word[0] == "_" else word
                  for word in words}
    assert names == {name for name in stats(mount(**store.options)) if name.startswith("shared_")}


SETUPS = {
    "403 SignatureDoesNotMatch": dict(identities={KEY: "another"}),
    "403 InvalidAccessKeyId": dict(identities={"another": SECRET}),
    "403 RequestTimeTooSkewed": dict(identities={KEY: SECRET}, clock=20 * 60),
}
ANSWERS = {
    "404 NoSuchBucket": dict(status=404, body="<Code>NoSuchBucket</Code>"),
    "400 ExpiredToken": dict(status=400, body="<Code>ExpiredToken</Code>"),
    "301": dict(status=301, headers={"Location": "https://s3.eu-central-1.amazonaws.com/"}),
}


def test_the_page_has_the_journal_s_lines(github, mount, store):
    """As the server's answers give rise to them, and as the messages stand in the source."""
    lines = re.findall(r"`([^`]*)`", " ".join(table("Each change of state is one line")))
    source = "".join(path.read_text() for path in (ROOT / "src" / "shared").glob("*.c"))
    source = re.sub(r'"\s*"', "", source)
    for line in lines:
        if not re.match(r"status \d|\d|[A-Z]\w+$|cannot", line):
            assert all(part in source for part in line.split("...")), line
    job = one_job(github, size=SIZE)
    for told in [*SETUPS, *ANSWERS]:
        github.store_setup(**SETUPS.get(told, {"identities": {KEY: SECRET}}))
        if told in ANSWERS:
            github.clear_faults()
            github.fault("status", hop="store", times=-1, **ANSWERS[told])
        m = mount(**store.options)
        m.log(job).read_bytes()
        assert "status %s" % told in m.stderr
        assert any(told.split()[-1] in line for line in lines), told
    github.clear_faults()
    github.store_setup(identities={KEY: SECRET}, readers=[KEY])
    m = mount(shared_write=True, **store.options)
    m.log(job).read_bytes()
    wait_sent(m, 0, 1)
    assert "cannot store a log: status 403 AccessDenied" in m.stderr
    assert "cannot store a log: status 403 AccessDenied" in lines


def test_the_units_of_the_page(folder):
    """They are installed, by the names that the page enables, and systemd can read them."""
    _, _, (_, commands) = PAGE.blocks("Filling it")
    named = set(re.findall(r"[\w-]+@github\.com\.\w+", commands))
    assert named == {"ghlogfs-fill@github.com.timer", "ghlogfs-fill@github.com.service"}
    if not PLAIN or not (pathlib.Path(BINARY).parent / "cmake_install.cmake").exists():
        pytest.skip("it installs a build, without sanitizers")
    run("cmake", "--install", pathlib.Path(BINARY).parent, "--prefix", folder / "usr")
    units = folder / "usr" / "lib" / "systemd" / "system"
    assert os.access(folder / "usr" / "bin" / "ghlogfs-fill", os.X_OK)
    made = []
    for name in named:
        text = (units / name.replace("github.com", "")).read_text()
        assert "CMAKE" not in text
        # The program's path is that of the prefix at configuration.
        made.append(folder / name)
        made[-1].write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text))
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "--man=no", "verify", *made], timeout=60 * SLOW,
                              env=clean_environment(folder), capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done
