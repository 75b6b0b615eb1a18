"""Prometheus, and node_exporter's textfile collector alone."""

PORT, EXPORTER_PORT = 9090, 9100

# A test asks for what was counted within seconds.
CONFIG = """
global:
  scrape_interval: {interval}
  scrape_timeout: {interval}
scrape_configs:
  - job_name: ghlogfs
    file_sd_configs:
      - files: [{folder}/targets.json]
        refresh_interval: 1s
"""


def start(programs, folder, address, interval="1s"):
    """It reads `targets`, a file that a test writes, and begins to scrape what it names."""
    (folder / "prometheus.yml").write_text(CONFIG.format(folder=folder, interval=interval))
    (folder / "targets.json").write_text("[]")
    programs.serve("prometheus", "--config.file=%s/prometheus.yml" % folder,
                   "--storage.tsdb.path=%s/data" % folder, "--log.level=warn",
                   "--web.listen-address=%s:%d" % (address, PORT),
                   "--web.console.templates=%s" % folder, "--web.console.libraries=%s" % folder)
    programs.wait_for_port(address, PORT)
    return {"url": "http://%s:%d" % (address, PORT), "targets": str(folder / "targets.json")}


def start_exporter(programs, folder, address):
    """It reads the *.prom files in `texts`, at first an empty folder: a link to it may be put in
    its place."""
    (folder / "empty").mkdir()
    (folder / "texts").symlink_to(folder / "empty")
    programs.serve("prometheus-node-exporter", "--collector.disable-defaults",
                   "--collector.textfile", "--collector.textfile.directory=%s/texts" % folder,
                   "--web.listen-address=%s:%d" % (address, EXPORTER_PORT))
    programs.wait_for_port(address, EXPORTER_PORT)
    return {"url": "http://%s:%d/metrics" % (address, EXPORTER_PORT),
            "texts": str(folder / "texts")}
