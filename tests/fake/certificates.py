"""A certificate authority of one's own, for tests over TLS; made by the `openssl` command."""

import datetime
import pathlib
import subprocess

CONFIG = """[req]
distinguished_name = name
[name]
[ca]
default_ca = this
[this]
database = issued.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
"""
DATE = "%Y%m%d%H%M%SZ"
LOOPBACK = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "localhost")


def _openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _new_key(folder, name, *words):
    """A key, and what `openssl req` makes of it with these words."""
    _openssl(folder, "req", "-config", "openssl.cnf", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", *words)


def _alternative(name):
    return ("IP:" if name.replace(".", "").isdigit() else "DNS:") + name


class Authority:
    """Everything lies in the folder: `ca` is the path of the authority's own certificate."""

    def __init__(self, folder, name="Authority of the loopback"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "openssl.cnf").write_text(CONFIG)
        self.ca = self.folder / "ca.pem"
        (self.folder / "issued.txt").touch()
        _new_key(self.folder, "ca", "-x509", "-out", "ca.pem", "-subj", "/CN=" + name, "-days",
                 "30", "-addext", "basicConstraints = critical,CA:TRUE", "-addext",
                 "keyUsage = critical,keyCertSign,cRLSign")

    def issue(self, title, names=LOOPBACK, days=30):
        """(certificate, key) for these host names and addresses; days=-1 has expired."""
        (self.folder / (title + ".ext")).write_text(
            "subjectAltName = %s\nextendedKeyUsage = serverAuth\nbasicConstraints = CA:FALSE\n"
            % ",".join(map(_alternative, names)))
        _new_key(self.folder, title, "-new", "-out", title + ".csr", "-subj", "/CN=" + title)
        # "x509 -req" takes no dates before OpenSSL 3.4, and no negative days from 3.5 on.
        now = datetime.datetime.now(datetime.timezone.utc)
        begin, end = now - datetime.timedelta(days=2), now + datetime.timedelta(days=days)
        _openssl(self.folder, "ca", "-batch", "-notext", "-config", "openssl.cnf", "-in",
                 title + ".csr", "-cert", "ca.pem", "-keyfile", "ca.key", "-startdate",
                 begin.strftime(DATE), "-enddate", end.strftime(DATE), "-extfile",
                 title + ".ext", "-out", title + ".pem")
        return self.folder / (title + ".pem"), self.folder / (title + ".key")
