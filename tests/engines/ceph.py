"""Ceph's S3 gateway over a monitor and one OSD in memory, with as little waiting as can be."""

import http.client
import json
import secrets
import uuid

from fake import sigv4

MONITOR_PORT, GATEWAY_PORT = 3300, 7480
BUCKET, REGION = "logs", "us-east-1"

# The keyring has all keys: each daemon is trusted with everything. The proposal intervals are what
# a start otherwise waits for, a second for each pool.
CONFIG = """
[global]
fsid = {fsid}
mon_initial_members = a
mon_host = [v2:{address}:{port}]
public_addr = {address}
cluster_addr = {address}
ms_bind_ipv6 = false
keyring = {folder}/keyring
run_dir = {folder}
admin_socket =
pid_file =
log_file = {folder}/$name.log
log_to_stderr = false
mon_data = {folder}/mon
mon_cluster_log_file = /dev/null
mon_data_avail_crit = 0
mon_data_avail_warn = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_crush_chooseleaf_type = 0
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
rgw_enable_gc_threads = false
rgw_enable_lc_threads = false
rgw_enable_quota_threads = false
rgw_run_sync_thread = false
rgw_ops_log_rados = false
"""

ALL = ("--cap", "mon", "allow *", "--cap", "osd", "allow *")


def start(programs, folder, address):
    fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
    config, keyring, monmap = folder / "ceph.conf", folder / "keyring", folder / "monmap"
    for name in ("mon", "osd"):
        (folder / name).mkdir()
    config.write_text(CONFIG.format(folder=folder, address=address, port=MONITOR_PORT, fsid=fsid))
    env = {"CEPH_CONF": str(config), "CEPH_ARGS": ""}

    programs.run("ceph-authtool", keyring, "--create-keyring", "--gen-key", "-n", "mon.",
                 "--cap", "mon", "allow *", **env)
    for name in ("client.admin", "osd.0"):
        programs.run("ceph-authtool", keyring, "--gen-key", "-n", name, *ALL, **env)
    programs.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a",
                 "[v2:%s:%d]" % (address, MONITOR_PORT), monmap, **env)
    programs.run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring, **env)
    programs.serve("ceph-mon", "-f", "-i", "a", **env)
    programs.wait_for_port(address, MONITOR_PORT)
    programs.run("ceph", "osd", "new", osd, **env)
    programs.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd, **env)
    programs.serve("ceph-osd", "-f", "-i", "0", **env)

    writer = _add_user(programs, "writer", env)
    reader = _add_user(programs, "reader", env)
    programs.serve("radosgw", "-f", "-n", "client.admin", "--rgw-frontends",
                   "beast endpoint=%s:%d" % (address, GATEWAY_PORT), **env)
    programs.wait_for_port(address, GATEWAY_PORT)
    host = "%s:%d" % (address, GATEWAY_PORT)
    _put(host, "/" + BUCKET, b"", writer)
    _put(host, "/%s?policy=" % BUCKET, json.dumps(reader_policy("reader")).encode(), writer)
    return {"url": "http://" + host, "bucket": BUCKET, "region": REGION, "writer": writer,
            "reader": reader}


def reader_policy(user):
    """A bucket policy that lets a user get objects, and not list them."""
    return {"Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/" + user]},
                           "Action": ["s3:GetObject"],
                           "Resource": ["arn:aws:s3:::%s/*" % BUCKET]}]}


def _add_user(programs, name, env):
    key, secret = secrets.token_hex(10).upper(), secrets.token_urlsafe(30)
    programs.run("radosgw-admin", "user", "create", "--uid", name, "--display-name", name,
                 "--access-key", key, "--secret", secret, **env)
    return key, secret


def _put(host, target, body, identity):
    headers = sigv4.sign("PUT", target, {"Host": host}, body, *identity, REGION)
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request("PUT", target, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 204):
            raise RuntimeError("PUT %s: %d %s" % (target, answer.status, text.decode()))
    finally:
        connection.close()
