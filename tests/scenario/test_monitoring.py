# SPDX-License-Identifier: Apache-2.0
"""The dashboard, the alerts and the scrape job of docs/monitoring read what a running gateway shows."""
import json
import os
import re
import shutil

import yaml

from hg import *
from hg.framework import repository_root, skip

FOLDER = os.path.join(repository_root(), "docs", "monitoring")
CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      backends:
      - host: @origin@
"""
# What Prometheus adds to each sample, and the metrics that it makes itself.
ADDED_LABELS = {"job", "instance"}
ADDED_METRICS = {"up"}
MODIFIER = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
LABELS = re.compile(r"\{([^}]*)\}")
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
KEYWORDS = {"or", "and", "unless", "bool", "offset"}


def read(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return file.read()


def alerts():
    """{name: the rule}"""
    rules = [rule for group in yaml.safe_load(read("alerts.yaml"))["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules}


def expressions():
    """[(place, expression, labels that its legend or annotations show)] of the dashboard and the alerts."""
    dashboard = json.loads(read("dashboard.json"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
    for name, rule in alerts().items():
        yield name, rule["expr"], re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])


def variables():
    """[(metric with its matchers, label)] that the dashboard's variables take their values from."""
    for variable in json.loads(read("dashboard.json"))["templating"]["list"]:
        if variable["type"] == "query":
            yield re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]).groups()


def metrics_and_labels(expression):
    """([metric], {label}) that an expression of PromQL names."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    labels = {label.strip() for part in MODIFIER.findall(text) for label in part.split(",") if label.strip()}
    labels |= {label for part in LABELS.findall(text) for label in NAME.findall(part)}
    text = re.sub(r"\[[^]]*\]", " ", LABELS.sub(" ", MODIFIER.sub(" ", text)))
    names = [match.group() for match in NAME.finditer(text)
             if not text[match.end():].lstrip().startswith("(") and match.group() not in KEYWORDS]
    return [name for name in names if not re.search(r"(?<![\w:])\d[\d.]*" + name, text)], labels


def documented_labels():
    """{metric: its labels}, by the rows of user/obs/metrics.def."""
    with open(os.path.join(repository_root(), "user", "obs", "metrics.def"), encoding="ascii") as file:
        rows = re.findall(r'^METRIC\(\w+, \w+, "(\w+)",\s*"([\w,]*)"', file.read(), re.M)
    return {name: set(labels.split(",")) - {""} for name, labels in rows}


def place_in(families, name):
    """The family of a sample with this name; None: /metrics has none."""
    for suffix in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix)
        if base != name and base in families and families[base].type == "histogram":
            return base
    return name if name in families and families[name].type != "histogram" else None


def findings(families, labels_of, place, expression, shown=()):
    names, labels = metrics_and_labels(expression)
    if not names:
        yield f"{place}: no metric in {expression}"
    known = set(ADDED_LABELS)
    for name in names:
        family = place_in(families, name)
        known |= labels_of.get(family, set()) | ({"le"} if name.endswith("_bucket") else set())
        if not family and name not in ADDED_METRICS:
            yield f"{place}: /metrics has no {name}"
    yield from (f"{place}: no metric of it has the label {label}" for label in (labels | set(shown)) - known)


@test("every metric and label that the dashboard and the alerts name is in /metrics of a running gateway")
def names():
    gateway = Gateway(CONFIG, origin=Origin(), keeper=True)
    eq(gateway.fetch("/get").status, 200, "status")
    families, labels_of = gateway.metrics().families, documented_labels()
    found = list(expressions())
    check(len(found) > 40, f"only {len(found)} expressions")
    wrong = [text for place, expression, shown in found
             for text in findings(families, labels_of, place, expression, shown)]
    for query, label in variables():
        wrong += findings(families, labels_of, f"variable {label}", query, [label])
    check(not wrong, "; ".join(wrong))
    # The same with names that do not exist.
    for expression in ("rate(headgate_none_total[5m])", "sum by (nothing) (headgate_ready)",
                       'headgate_ready{nothing="x"}', "headgate_ready * on (nothing) headgate_workers",
                       "agentgateway_request_duration_seconds", "headgate_ready_count"):
        check(list(findings(families, labels_of, "made up", expression)), f"{expression} was accepted")


@test("the page of the alerts explains each of them, and no other")
def page():
    rows = re.findall(r"^\| `(Headgate\w+)` \|", read("README.md"), re.M)
    eq(sorted(rows), sorted(alerts()), "alerts in the table")


# An input for each alert, at which it is pending or firing; with the number in the brackets it is neither.
FIRING = {
    "HeadgateDown": [('up{job="headgate"}', "0x30", "1x30")],
    "HeadgateNotReady": [("headgate_ready", "0x30", "1x30")],
    "HeadgateFailedRequests": [('agentgateway_requests_total{route="a",status="200"}', "0+90x30", "0+99x30"),
                               ('agentgateway_requests_total{route="a",status="503"}', "0+10x30", "0+1x30")],
    "HeadgateSlowBackend": [('headgate_timer_fired_total{timer="request_timeout"}', "0+10x30", "0x30"),
                            ('headgate_timer_fired_total{timer="keepalive_idle"}', "0x30", "0+10x30"),
                            ("agentgateway_requests_total", "0+100x30", "0+100x30")],
    "HeadgateBackendUnreachable": [('headgate_stream_end_total{reason="dns_failed"}', "0+1x30", "3x30"),
                                   ('headgate_stream_end_total{reason="ok"}', "0+1x30", "0+1x30")],
    "HeadgateEndpointsEvicted": [("headgate_endpoints_evicted", "2x30", "0x30")],
    "HeadgateConfigurationRefused": [("headgate_config_last_reload_successful", "0x30", "1x30")],
    # Time begins at 0: the first expires within 13 days, the second in 30.
    "HeadgateCertificateExpires": [("headgate_certificate_expiry_timestamp_seconds", "1123200x30",
                                    "2592000x30")],
    "HeadgateRefusesConnections": [("headgate_downstream_refused_total", "0+1x30", "5x30"),
                                   ("headgate_downstream_idle_closed_total", "0x30", "0x30"),
                                   ("headgate_downstream_accept_pauses_total", "0x30", "0x30")],
    "HeadgateFewDescriptorsLeft": [('process_open_fds{job="headgate"}', "90x30", "10x30"),
                                   ('process_max_fds{job="headgate"}', "100x30", "100x30")],
    "HeadgateLimitReached": [('headgate_limit_refused_total{limit="maxConnections"}', "0+1x30", "4x30")],
    "HeadgateCrashed": [("headgate_crashes_total", "0+1x30", "1x30")],
    "HeadgateIntegrityErrors": [("headgate_integrity_errors_total", "0+1x30", "0x30")],
    "HeadgateLogLinesLost": [("headgate_access_log_dropped_total", "0+1x30", "0x30"),
                             ("headgate_log_lines_dropped_total", "0x30", "0x30")],
}


def cases():
    """Tests of promtool: each alert on its own input, and none when all is well."""
    def case(series, expression, samples):
        return {"interval": "1m", "input_series": [{"series": k, "values": v} for k, v in series.items()],
                "promql_expr_test": [{"expr": expression, "eval_time": "20m", "exp_samples": samples}]}
    for name, series in FIRING.items():
        yield case({key: values for key, values, _ in series},
                   f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) > bool 0',
                   [{"labels": "{}", "value": 1}])
    yield case({key: values for series in FIRING.values() for key, _, values in series}, "ALERTS", [])


@test("promtool accepts the scrape job and the rules; each alert fires on its cause, none when all is well")
def promtool():
    if not shutil.which("promtool"):
        skip("needs promtool: run scripts/deps.sh monitoring", "promtool")
    eq(sorted(FIRING), sorted(alerts()), "alerts with an input")
    status, out, error = run(["promtool", "check", "config", os.path.join(FOLDER, "prometheus.yaml")])
    eq(status, 0, out + error)
    check("1 rule files found" in out, out)
    path = os.path.join(tmpdir(), "tests.yaml")
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump({"rule_files": [os.path.join(FOLDER, "alerts.yaml")], "tests": list(cases())}, file)
    status, out, error = run(["promtool", "test", "rules", path])
    eq(status, 0, out + error)
