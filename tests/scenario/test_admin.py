# SPDX-License-Identifier: Apache-2.0
"""What operators ask of a running gateway: dump, streams, logs, metrics, readiness."""
import gzip
import json
import os
import re
import shlex
import threading
import time

from hg import *
from hg.framework import binary

CONFIG = """
config:
  timeouts: {streamIdle: 90s}
binds:
- port: @port@
  listeners:
  - name: main
    routes:
    - name: all
      policies:
        timeout: {requestTimeout: 600s}
      backends:
      - host: @origin@
- port: @tcp@
  listeners:
  - name: tcp
    protocol: TCP
    tcpRoutes:
    - name: raw
      backends:
      - host: @origin@
"""


def start(**options):
    return Gateway(CONFIG, origin=options.pop("origin", None) or Origin(), **options)


def stream_of(gateway, path):
    """The stream of a request, once its backend has it."""
    def found():
        return next((s for s in gateway.streams() if s["path"] == path and s["state"] != "connect"), None)
    return wait_until(found, 5, f"stream {path}")


# ---- config_dump -------------------------------------------------------------------------------------


@test("config_dump is pretty-printed JSON with binds, listeners and routes; gzip when asked; HEAD "
      "without a body")
def config_dump():
    gateway = start()
    answer = gateway.admin("/config_dump")
    eq(answer.headers["Content-Type"].split(";")[0], "application/json", "Content-Type")
    check(answer.text.startswith("{\n  \"") and answer.text.count("\n") > 50, "not pretty-printed")
    dump = answer.json()
    eq([bind["key"] for bind in dump["binds"]],
       sorted(f"bind/{gateway.ports[name]}" for name in ("port", "tcp")), "keys of the binds")
    by_key = {bind["key"]: bind for bind in dump["binds"]}
    listener = next(iter(by_key[f"bind/{gateway.port}"]["listeners"].values()))
    eq((type(listener["routes"]), listener["tcpRoutes"]), (dict, {}), "routes and tcpRoutes are objects")
    packed = gateway.admin("/config_dump", headers={"Accept-Encoding": "gzip"})
    eq(packed.headers["Content-Encoding"], "gzip", "Content-Encoding")
    eq(json.loads(gzip.decompress(packed.body)), dump, "unpacked")
    check(len(packed.body) < len(answer.body) / 2, "gzip saved nothing")
    raw = Raw(gateway.admin_port)
    head = raw.request("HEAD", "/config_dump").response("HEAD")
    eq((head.status, head.body), (200, b""), "HEAD")
    eq(raw.get("/config_status").status, 200, "the connection after HEAD")


@test("config_dump shows the configuration in force after a reload, and never a half of one")
def dump_while_reloading():
    gateway = start()
    seen, ends = set(), []

    def look():
        while not ends:
            dump = gateway.config_dump()
            names = {route["name"] for bind in dump["binds"] for listener in bind["listeners"].values()
                     for route in listener["routes"].values()}
            seen.add(tuple(sorted(names)))
    thread = threading.Thread(target=look)
    thread.start()
    for number in range(5):
        gateway.reload(CONFIG.replace("name: all", f"name: all{number}"))
    ends.append(True)
    thread.join()
    eq([names for names in seen if len(names) != 1], [], "dumps that mix two configurations")
    look_again = gateway.config_dump()["binds"][0]["listeners"].values()
    eq([route["name"] for listener in look_again for route in listener["routes"].values()], ["all4"],
       "routes of the last configuration")


# ---- streams -----------------------------------------------------------------------------------------


@test("/streams: client, route, backend, state, age, bytes, lane and what is left of the running deadline")
def streams():
    origin = Origin()
    gateway = start(origin=origin)
    eq(gateway.streams(), [], "streams at rest")
    begin = time.monotonic()
    waiting = gateway.client().request("GET", "/delay/60")
    stream = stream_of(gateway, "/delay/60")
    eq((stream["method"], stream["route"], stream["listener"], stream["state"]),
       ("GET", "default/all", "main", "wait_head"), "who")
    eq(stream["client"], waiting.local, "client")
    eq(stream["endpoint"], origin.address, "endpoint")
    eq(stream["deadline"], "request_timeout", "deadline")
    left, age, passed_ms = stream["deadline_left_ms"], stream["age_ms"], (time.monotonic() - begin) * 1000
    check(600000 - passed_ms - 2 <= left <= 600000, f"deadline_left_ms is {left} after {passed_ms:.0f} ms")
    time.sleep(0.3)
    stream = stream_of(gateway, "/delay/60")
    older, nearer = stream["age_ms"] - age, left - stream["deadline_left_ms"]
    check(older >= 299, f"age_ms: from {age} to {stream['age_ms']} within 300 ms and more")
    check(abs(older - nearer) <= 2, f"{older} ms older, but the deadline is {nearer} ms nearer")
    waiting.rst()
    dripping = gateway.client().request("GET", "/drip?duration=60&numbytes=120")
    dripping.response_head()
    stream = wait_until(lambda: next((s for s in gateway.streams() if s["bytes_out"] >= 2), None), 5,
                        "two bytes")
    eq((stream["status"], stream["deadline"]), (200, "stream_idle"), "a body on its way")
    check(stream["lane"], "no lane")
    dripping.rst()
    wait_until(lambda: not gateway.streams(), 5, "the end of both")


@test("/streams lists tunnels of TCP ports and WebSockets, with the bytes of both directions")
def tunnels():
    gateway = start()
    socket = WebSocket(gateway.port)
    socket.echo("x" * 1000)
    tcp = gateway.client("tcp").send("GET /bytes/5000 HTTP/1.1\r\nHost: x\r\n\r\n")
    eq(len(tcp.response().body), 5000, "bytes")
    least = {"tcp": 5001}
    wait_until(lambda: all(s["state"] == "tunnel" and s["bytes_out"] >= least.get(s["protocol"], 1000)
                           for s in gateway.streams()), 5, "the bytes of both tunnels")
    found = {stream["protocol"]: stream for stream in gateway.streams()}
    eq(len(found), 2, f"protocols {set(found)}")
    eq(found["tcp"]["route"], "default/raw", "route of the TCP tunnel")
    tcp.close()
    socket.close()


@test("/streams?history=1: the last ones, newest first, with why they ended; never more than 256")
def history():
    gateway = start()
    eq(gateway.admin_json("/streams?history=1"), [], "history at the start")
    client = gateway.client()
    client.get("/get")
    gateway.fetch("/status/404")
    doomed = gateway.client().request("GET", "/delay/60")
    stream_of(gateway, "/delay/60")
    doomed.rst()
    wait_until(lambda: len(gateway.admin_json("/streams?history=1")) == 3, 5, "three ends")
    found = gateway.admin_json("/streams?history=1")
    eq([s["path"] for s in found], ["/delay/60", "/status/404", "/get"], "paths")
    eq([s["close_reason"] for s in found], ["client_rst", "ok", "ok"], "close_reason")
    check(found[0]["close_explanation"] and found[0]["ended_at"].endswith("Z"), found[0])
    for _ in range(300):
        client.get("/get")
    wait_until(lambda: len(gateway.admin_json("/streams?history=1")) >= 256, 5, "256 ends")
    check(len(gateway.admin_json("/streams?history=1")) <= 256, "more than the last 256")


@test("POST /streams/<id>/close ends that stream alone: 200, 404 when it is gone, 405 for GET; "
      "admin_kill in the log")
def close_stream():
    gateway = start()
    victim = gateway.client().request("GET", "/delay/60")
    stream = stream_of(gateway, "/delay/60")
    other = WebSocket(gateway.port)
    other.echo("before")
    path = f"/streams/{stream['id']}/close"
    eq(gateway.admin(path).status, 405, "GET")
    eq(gateway.admin(path, "POST").status, 200, "POST")
    end, data = victim.expect_end()
    check(end in ("rst", "fin") and b" 200 " not in data, f"{end} after {data}")
    eq(gateway.wait_log(lambda r: r["http.path"] == "/delay/60")["close_reason"], "admin_kill",
       "close_reason")
    eq(gateway.admin(path, "POST").status, 404, "POST again")
    for wrong in ("0", "-1", "abc", "99999999999999999999", str(1 << 52), ""):
        check(gateway.admin(f"/streams/{wrong}/close", "POST").status in (400, 404), wrong)
    other.echo("after")
    socket = stream_of(gateway, "/ws")
    eq(gateway.admin(f"/streams/{socket['id']}/close", "POST").status, 200, "POST for a tunnel")
    eq(gateway.wait_log(lambda r: r["http.path"] == "/ws")["close_reason"], "admin_kill",
       "close_reason of a tunnel")
    wait_until(lambda: gateway.metrics()("headgate_stream_end_total", reason="admin_kill") == 2, 5,
               "two ends")


@test("/streams answers with 500 streams on four workers, while they come and go")
def many_streams():
    origin = Origin()
    gateway = start(workers=4, origin=origin)
    origin.pause()
    clients = [gateway.client().request("GET", "/bytes/1") for _ in range(500)]
    wait_until(lambda: len(gateway.streams()) == 500, 10, "500 streams")
    found = gateway.streams()
    ids = [s["id"] for s in found]
    eq((len(set(ids)), ids), (500, sorted(ids)), "ids")
    origin.resume()
    for number, client in enumerate(clients):
        eq(client.response().status, 200, "status")
        if number % 50 == 0:
            check(len(gateway.streams()) <= 500, "more streams than requests")


# ---- the rest ----------------------------------------------------------------------------------------


@test("POST /logging?level= changes the level at once; a wrong one gives 400 and changes nothing")
def logging():
    gateway = start()
    eq(gateway.admin("/logging").text, "current log level is info\n", "GET")
    for level in ("debug", "error", "warn", "info"):
        answer = gateway.admin(f"/logging?level={level}", "POST")
        eq((answer.status, answer.text), (200, f"current log level is {level}\n"), "POST")
    eq(gateway.admin("/logging?level=loud", "POST").status, 400, "POST of a wrong level")
    eq(gateway.admin("/logging").text, "current log level is info\n", "GET afterwards")


@test("readiness: 200 ready; another method 405, another path 404")
def readiness():
    gateway = start()
    answer = fetch(gateway.ready_port, "/healthz/ready")
    eq((answer.status, answer.text), (200, "ready\n"), "GET")
    eq(fetch(gateway.ready_port, "/healthz/ready", "POST").status, 405, "POST")
    eq(fetch(gateway.ready_port, "/other").status, 404, "another path")
    eq(fetch(gateway.ready_port, "/config_dump").status, 404, "the dump on the readiness port")


@test("the admin port serves localhost only: a foreign Host or Origin changes and sees nothing")
def foreign_site():
    gateway = start()
    eq(fetch(gateway.admin_port, "/config_dump", host="evil.example").status, 403, "foreign Host")
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        eq(fetch(gateway.admin_port, "/quitquitquit", "POST", headers).status, 403, f"POST with {headers}")
    check(gateway.is_running(), "a foreign page ended the gateway")
    eq(fetch(gateway.stats_port, "/metrics", host="prometheus.example:15020").status, 200,
       "metrics by another name")


@test("metrics: correct exposition, documented names, and numbers that agree with what was done")
def metrics():
    gateway = start()
    for _ in range(5):
        gateway.fetch("/bytes/1000")
    gateway.fetch("/status/503")
    gateway.fetch("/upload", method="POST", body=b"x" * 2000)
    gateway.wait_log(count=7)
    wait_until(lambda: gateway.metrics()("agentgateway_requests_total") == 7, 5, "seven requests")
    found = gateway.metrics()
    eq(found("agentgateway_requests_total", status="503"), 1, "requests_total of 503")
    eq(found("agentgateway_requests_total", route="default/all", method="POST"), 1, "requests_total of POST")
    eq(found("agentgateway_request_duration_seconds_count"), 7, "request_duration_seconds")
    check(found("agentgateway_response_bytes_total") >= 5000, "response_bytes_total")
    check(found("agentgateway_downstream_received_bytes_total") >= 2000, "downstream_received_bytes_total")
    check(found("agentgateway_downstream_connections_total") == 7, "downstream_connections_total")
    eq(found("agentgateway_build_info"), 1, "build_info")
    check(found("process_resident_memory_bytes") > 100000, "process_resident_memory_bytes")
    packed = fetch(gateway.stats_port, "/stats/prometheus", headers={"Accept-Encoding": "gzip"})
    check(b"agentgateway_requests_total" in gzip.decompress(packed.body), "gzip of /stats/prometheus")
    names = {name for name, _ in found.gauges()}
    check("headgate_streams_open" in names, names)


@test("metrics while requests run: counters never go down, gauges say what is open")
def metrics_under_load():
    origin = Origin()
    gateway = start(origin=origin)
    origin.pause()
    clients = [gateway.client().request("GET", "/get") for _ in range(20)]
    wait_until(lambda: gateway.metrics()("headgate_streams_open") == 20, 5, "streams_open")
    eq(gateway.metrics()("headgate_downstream_connections_open"), 20, "downstream_connections_open")
    origin.resume()
    before = 0
    for client in clients:
        client.response()
        now = gateway.metrics()("agentgateway_requests_total")
        check(now >= before, "a counter went down")
        before = now
    wait_until(lambda: gateway.metrics()("headgate_streams_open") == 0, 5, "no stream")


@test("the access log: field order of the documentation, quoting of hostile bytes, one line a request")
def access_log():
    gateway = start()
    client = gateway.client()
    agent = 'x" \xe4' + "u" * 300
    client.request("GET", "/anything/%22quoted%22?a=b", {"User-Agent": agent, "X-Request-ID": "i" * 200},
                   host="api.example:81").response()
    record = gateway.wait_log()
    keys = list(record)
    want = ["gateway", "listener", "route", "endpoint", "src.addr", "http.method", "http.host", "http.path",
            "http.request_id", "http.user_agent", "http.version", "http.status", "protocol", "duration",
            "backend.connect", "backend.head", "bytes_in", "bytes_out", "lane", "stream.id", "close_reason"]
    eq([key for key in keys if key in want], want, "order of the fields")
    eq(record["src.addr"], client.local, "src.addr")
    eq((record["http.host"], record["http.path"]), ("api.example:81", "/anything/%22quoted%22?a=b"),
       "what was asked")
    eq((record["http.request_id"], record["http.user_agent"]), ("i" * 128, agent[:256]), "bounded")
    for name in ("backend.connect", "backend.head"):
        check(re.fullmatch(r"\d+\.\d{3}ms", record[name]), f"{name}={record[name]}")
    eq(gateway.admin_json("/streams?history=1")[0]["id"], int(record["stream.id"]), "the id of the stream")
    client.get("/get")
    second = gateway.wait_log(count=2)[1]
    check("backend.connect" not in second and "backend.head" in second, f"a reused connection: {second}")
    client.send(b"GET /a\x01b HTTP/1.1\r\nHost: x\r\n\r\n")
    eq(client.response().status, 400, "status")
    check(all(" " <= c or c in "\t\n" for c in gateway.stdout), "control characters in the log")
    WebSocket(gateway.port, headers={"User-Agent": "socket", "X-Request-ID": "of-a-tunnel"}).raw.close()
    tunnel = gateway.wait_log(lambda record: record.get("http.path") == "/ws")
    eq((tunnel["http.request_id"], tunnel["http.user_agent"]), ("of-a-tunnel", "socket"), "of a tunnel")
    check("backend.head" in tunnel, f"when the backend agreed: {tunnel}")
    eq(len(gateway.wait_log(count=4)), 4, "lines")


@test("the access log as JSON: one object a line with the same fields; off when the configuration says so")
def access_log_forms():
    gateway = start(args=["--log-format", "json"])
    gateway.fetch("/get")
    record = gateway.wait_log()
    eq((record["http.status"], record["route"], record["close_reason"]), ("200", "default/all", "ok"),
       "fields")
    for line in gateway.stdout.strip().split("\n"):
        json.loads(line)


@test("a reader of the access log that stops holds up no request; lines that do not fit are counted, the "
      "rest comes")
def log_reader_stops():
    pipe, script = os.path.join(tmpdir(), "log"), os.path.join(tmpdir(), "headgate-into-pipe")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\nexec {shlex.quote(binary('headgate'))} \"$@\" > {shlex.quote(pipe)}\n")
    os.chmod(script, 0o755)
    os.environ["HEADGATE_BIN"] = script
    gateway = start(workers=1)
    client = gateway.client()
    long_path = "/status/200?" + "x" * 4000
    for _ in range(200):
        eq(client.get(long_path).status, 200, "status while nobody reads the log")
    check(gateway.metrics()("headgate_access_log_dropped_total") > 0, "no dropped line was counted")
    text = b""

    def read_all():
        nonlocal text
        try:
            text += os.read(reader, 1 << 20)
        except BlockingIOError:
            pass
        return text.count(b"\n")
    wait_until(lambda: read_all() >= 60, 5, "the lines that were kept")
    client.get("/get?last")
    wait_until(lambda: read_all() and b"/get?last" in text, 5, "a line after the pause")
    for line in text.decode().strip().split("\n"):
        check(parse_line(line) is not None, "a torn line")
    os.close(reader)


@test("200 admin connections that stay open do not lock operators out")
def many_admins():
    gateway = start()
    idle = [Raw(gateway.admin_port) for _ in range(200)]
    eq(gateway.admin("/config_status").status, 200, "status")
    for client in idle:
        client.close()


@test("/trace says states and reasons in words, /memory answers with JSON, the index names every endpoint")
def others():
    gateway = start()
    gateway.fetch("/get")
    stream = gateway.wait_log()["stream.id"]
    wait_until(lambda: "stream_end" in gateway.admin(f"/trace?id={stream}").text, 5, "the end of the stream")
    trace = gateway.admin(f"/trace?id={stream}").text
    for words in (" stream_state state=wait_head before=connect\n",
                  " stream_state state=relay before=wait_head\n", " stream_end end_reason=ok status=200\n"):
        check(words in trace, f"no{words!r} in {trace}")
    check(isinstance(gateway.admin_json("/memory"), dict), "/memory")
    index = gateway.admin("/").text
    for path in ("/config_dump", "/config_status", "/streams", "/logging", "/quitquitquit", "/memory",
                 "/trace"):
        check(path in index, f"{path} is not in the index")
    eq(gateway.admin("/nonsense").status, 404, "another path")
