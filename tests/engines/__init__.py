"""Real servers for tests: Ceph's S3 gateway and nginx with WebDAV, on which a shared store may be;
Prometheus and node_exporter, which read metrics.

    with Ceph() as store: ...       store.url, .bucket, .region, .writer, .reader: (key, secret)
    with Nginx() as store: ...      store.url, .writer, .reader: (user, password)
    with Nginx(SITE, "ADDRESS:PORT"): ...           one with this server{} block only
    with Prometheus() as prom: ...  prom.scrape(URL), prom.query(TEXT)
    with Exporter() as node: ...    node.url; reads the folder node.texts
    with FileServer(path) as server: ...        server.url: a mount's metrics over HTTP
    promtool("check", "metrics", text=...)      exit status and output
    PYTHONPATH=tests python3 -m engines ceph        prints the same as JSON, and runs until its
                                                    stdin closes

They come from Debian packages (packages_store and packages_unpacked in contrib/packages.sh). A
process of its own starts
them (__main__.py) and ends them when its stdin closes, so at the latest when the test's process
ends; if it is killed itself, the kernel kills them. Nothing is kept: everything lies in a temporary
folder. They listen on one loopback address that belongs to this process alone (address_of), so
several can run at the same time, with the ports that they usually have.

    ceph    one monitor, one OSD in memory, one gateway without TLS; 2 to 3 s, 120 MB
    nginx   one process; PUT and GET below its root, users by HTTP Basic; 0.1 s
    prometheus  scrapes once a second; 0.5 s      exporter  the textfile collector; 0.1 s

The identity `writer` owns Ceph's bucket and may do everything, `reader` may get objects and not
list them. nginx lets the reader GET, and the writer GET and PUT.
"""

from engines.client import (Ceph, Engine, EngineError, Exporter, FileServer, Nginx, Prometheus,
                            promtool)

__all__ = ["Ceph", "Engine", "EngineError", "Exporter", "FileServer", "Nginx", "Prometheus",
           "promtool"]
