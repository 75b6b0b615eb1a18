"""A dashboard as Grafana reads it: panels, and their queries with the variables filled in."""

import json
import pathlib
import re

DASHBOARD = pathlib.Path(__file__).resolve().parents[2] / "contrib/grafana/ghlogfs.json"


def load():
    return json.loads(DASHBOARD.read_text())


def queries(panel, interval, mount=".*"):
    """[(PromQL, legend)]; interval: "5s", for the rates."""
    return [(target["expr"].replace("$__rate_interval", interval).replace("$mount", mount),
             target["legendFormat"]) for target in panel["targets"]]


def legend(form, labels):
    """What Grafana writes for a series: {{label}} stands for the label's value."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found.group(1), ""), form)
