# SPDX-License-Identifier: Apache-2.0
"""Why an exchange ended: the same word in the log, the metrics, the history and, opt-in, a header."""
import os
import re

from hg import *
from plays import SIMPLE, acted, play
from timers import expect_reason

TABLE = os.path.join(os.path.dirname(__file__), "..", "..", "user", "base", "end_reasons.def")


def table():
    """{text: (is_timer, class, explanation)} of every reason."""
    with open(TABLE, encoding="utf-8") as file:
        rows = re.findall(r'^END_REASON\(\w+, "(\w+)", ([01]),\s+"(\w+)",\s+"([^"]+)"\)', file.read(), re.M)
    return {text: (timer == "1", reason, explanation) for text, timer, reason, explanation in rows}


def expect_end(gateway, reason, status=None):
    """The log, stream_end_total, requests_total and the history agree."""
    record = expect_reason(gateway, reason, status)
    metrics = gateway.metrics()
    eq(metrics("headgate_stream_end_total", reason=reason), 1, f"stream_end_total{{reason={reason}}}")
    wanted = table()[reason][1]
    eq(record.get("reason", "Upstream"), wanted, "reason= of the log")
    if status:
        check(metrics("agentgateway_requests_total", reason=wanted, status=str(status)) >= 1,
              "requests_total")
    return record


@test("every reason has its counter from the start, every timer its own")
def all_counters():
    gateway, _ = play()
    families = gateway.metrics().families
    rows = table()
    check(len(rows) >= 30, f"rows read: {len(rows)}")
    ends = {labels["reason"] for _, _, labels, _ in families["headgate_stream_end_total"].samples}
    eq(ends, set(rows), "reasons in stream_end_total")
    timers = {labels["timer"] for _, _, labels, _ in families["headgate_timer_fired_total"].samples}
    eq(timers, {text for text, (is_timer, _, _) in rows.items() if is_timer}, "timers in timer_fired_total")


@test("ok, local_reply, no_route and no_backend")
def routing():
    text = """
binds:
- port: @port@
  listeners:
  - routes:
    - matches: [{path: {pathPrefix: /ok}}]
      policies: {urlRewrite: {path: {full: /get}}}
      backends: [{host: @origin@}]
    - matches: [{path: {pathPrefix: /local}}]
      policies: {directResponse: {status: 418, body: tea}}
    - matches: [{path: {pathPrefix: /none}}]
      backends: [{host: @origin@, weight: 0}]
"""
    gateway, _ = play(text)
    for path, status, reason in (("/ok", 200, "ok"), ("/local", 418, "local_reply"), ("/none", 500,
                                                                                      "no_backend"),
                                 ("/other", 404, "no_route")):
        eq(gateway.fetch(path).status, status, f"status of {path}")
        expect_end(gateway, reason, status)


@test("client_rst, also while the backend thinks")
def client_rst():
    gateway, backend = acted()
    client = gateway.client().request("GET", "/x")
    upstream = backend.accept()
    upstream.read_request()
    client.rst()
    expect_end(gateway, "client_rst")
    upstream.expect_end()


@test("client_fin: a body that its client cuts short")
def client_fin():
    gateway, backend = acted()
    client = gateway.client().send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", "12")
    backend.accept()
    client.fin()
    expect_end(gateway, "client_fin")


@test("upstream_fin and upstream_rst, before the head and in the body")
def upstream_ends():
    for path, reason, status in (("/close/mid-head", "upstream_fin", 503), ("/close/rst?", "upstream_rst",
                                                                            503),
                                 ("/close/mid-body", "upstream_fin", 200),
                                 ("/close/rst-mid-body", "upstream_rst", 200)):
        gateway, _ = play()
        client = gateway.client().request("GET", path)
        eq(client.response_head().status, status, f"status of {path}")
        expect_end(gateway, reason, status)


@test("connect_failed and dns_failed")
def connects():
    origin = Origin()
    gateway = Gateway(SIMPLE, origin=origin)
    origin.stop()
    eq(gateway.fetch("/get").status, 503, "status")
    expect_end(gateway, "connect_failed", 503)
    gateway = Gateway(SIMPLE, origin="nowhere.invalid:80")
    eq(gateway.fetch("/get").status, 503, "status")
    expect_end(gateway, "dns_failed", 503)


@test("response_bad, request_bad and head_too_large")
def broken():
    gateway, _ = play()
    eq(gateway.fetch("/bad/cl-te").status, 502, "status")
    expect_end(gateway, "response_bad", 502)
    client = gateway.client().send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    eq(client.response().status, 400, "status")
    expect_end(gateway, "request_bad", 400)
    eq(gateway.fetch("/get", headers=[(f"x-{i}", "y") for i in range(200)]).status, 431, "status")
    expect_end(gateway, "head_too_large", 431)


@test("upgrade_mismatch: another protocol than the one asked for")
def upgrade():
    gateway, backend = acted()
    client = gateway.client().request("GET", "/x", {"Upgrade": "websocket", "Connection": "upgrade"})
    upstream = backend.accept()
    upstream.read_request()
    upstream.send("HTTP/1.1 101 Switching\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n")
    answer = client.response()
    eq((answer.status, answer.text),
       (502, "request upgrade failed, backend tried echo but websocket was requested"), "status and body")
    expect_end(gateway, "upgrade_mismatch", 502)


@test("the close reason is a response header of our own errors, and only when asked for")
def header():
    gateway, _ = play(SIMPLE + "config: {exposeCloseReason: true}\n")
    eq(gateway.fetch("/get").header("x-headgate-close-reason"), None, "of a good response")
    eq(gateway.fetch("/status/500").header("x-headgate-close-reason"), None, "of a backend's own error")
    eq(gateway.fetch("/close/rst").header("x-headgate-close-reason"), "upstream_rst", "of our error")
    gateway, _ = play()
    eq(gateway.fetch("/close/rst").header("x-headgate-close-reason"), None, "by default")


@test("/streams?history=1 keeps the last 256 of a worker, newest first", timeout=20)
def history():
    gateway, _ = play()
    client = gateway.client()
    for number in range(300):
        eq(client.get(f"/status/200?n={number}").status, 200, "status")
    past = [s for s in gateway.admin_json("/streams?history=1") if s["state"] == "closed"]
    eq(len(past), 256, "entries")
    eq([s["path"] for s in past][:2], ["/status/200?n=299", "/status/200?n=298"], "the newest")
    eq(past[-1]["path"], "/status/200?n=44", "the oldest")
    check(all(s["close_reason"] == "ok" for s in past), "reasons")


@test("a live stream says what it waits for and until when")
def live():
    text = SIMPLE.replace("    - name: all\n",
                          "    - name: all\n      policies: {timeout: {requestTimeout: 5s}}\n")
    gateway, _ = play(text)
    client = gateway.client().request("GET", "/delay/1")
    stream = wait_until(lambda: [s for s in gateway.streams() if s["state"] == "wait_head"], 2,
                        "the stream")[0]
    note(stream)
    check("request_timeout" in str(stream), f"the deadline it runs under: {stream}")
    eq(client.response().status, 200, "status")


@test("admin_kill: an operator ends one stream")
def admin_kill():
    gateway, _ = play()
    client = gateway.client().request("GET", "/sse?n=0&interval=50")
    eq(client.response_head().status, 200, "status")
    stream = gateway.streams()[0]
    eq(gateway.admin(f"/streams/{stream['id']}/close", "POST").status // 100, 2,
       "status of the request to end it")
    client.expect_end()
    expect_end(gateway, "admin_kill", 200)
