# SPDX-License-Identifier: Apache-2.0
"""Where parts meet: kernel lane and replay, resets and sends, reload and admin, signals and accepts."""
import os
import select
import signal
import socket
import time

from hg import *
from plays import SIMPLE, acted, play
from splice import in_background

COPY = SIMPLE + "config: {splice: {mode: 'off'}}\n"
KERNEL = SIMPLE + "config: {splice: {mode: require, minBodyBytes: 65536, adaptive: false}}\n"
DRAINING = COPY.replace(
    "config: {", "config: {connectionMinTerminationDeadline: 60s, connectionTerminationDeadline: 90s, ")
BEHIND = b"GET /behind HTTP/1.1\r\nHost: x\r\n\r\n"


def reused(gateway, backend):
    """(client, upstream): both connections have served a request and wait for the next one."""
    client = gateway.client().request("GET", "/warm")
    upstream = backend.accept()
    eq(upstream.read_request().target, "/warm", "the first request")
    upstream.respond(body=b"ok")
    eq(client.response().text, "ok", "the first answer")
    return client, upstream


def bytes_until_quiet(connection, quiet_s=0.5):
    """What arrives until nothing does any more, however it ends."""
    data = b""
    while select.select([connection.socket], [], [], quiet_s * factor())[0]:
        try:
            piece = connection.socket.recv(1 << 18)
        except ConnectionResetError:
            break
        if not piece:
            break
        data += piece
    return data


# ---- what a backend must not get twice -----------------------------------------------------------------


@test("a PUT of whose body a part went through the kernel is not replayed when its reused connection closes: "
      "the client gets an error, no backend gets the next request inside of the body", needs=("bpf",))
def put_after_the_kernel():
    size, first = 1000000, 10000
    for end in ("fin", "rst"):
        gateway, backend = acted(KERNEL)
        client, upstream = reused(gateway, backend)
        client.send(f"PUT /p HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n")
        eq(upstream.request_head().target, "/p", "target")
        wait_until(lambda g=gateway: any(s["gate_in"] == "open" for s in g.streams()), 5, "the kernel lane")
        client.send(b"A" * first)
        eq(upstream.read(first), b"A" * first, "the part that went through the kernel")
        upstream.rst() if end == "rst" else upstream.close()
        rest = b"B" * (size - first) + BEHIND
        task = in_background(send_what_is_taken, client, rest)
        if select.select([backend.socket], [], [], 0.7 * factor())[0]:
            data = bytes_until_quiet(backend.accept())
            head, _, body = data.partition(b"\r\n\r\n")
            raise Failure(f"{head[:40]} came again ({end}) with {len(body)} bytes of body; the {first} that "
                          f"went through the kernel: {b'A' in body}, the next request: {BEHIND in body}")
        data = bytes_until_quiet(client)
        check(not data or data.startswith(b"HTTP/1.1 503 "), f"want an error ({end}), got {data[:200]}")
        eq(data.count(b"HTTP/1.1 "), 1 if data else 0, "answers")
        task.result()
        record = gateway.wait_log(lambda r: r["http.path"] == "/p")
        check(record["close_reason"].startswith("upstream_"), record.line)
        eq(gateway.metrics()("headgate_retries_reused_connection_total"), 0, "repeats")


def send_what_is_taken(connection, data, again=False):
    try:
        connection.send(data)
        while again:
            connection.send(data)
    except OSError:
        pass


@test("a POST that the backend had acknowledged before it reset is not sent twice, also when a send of the "
      "body meets the reset first", timeout=60)
def post_then_reset():
    for attempt in range(6):
        gateway, backend = acted(COPY)
        client, upstream = reused(gateway, backend)
        client.send("POST /pay HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n")
        eq(upstream.request_head().target, "/pay", "target")
        # Body and reset wait together when it goes on: the body is read first, and its send meets the reset.
        gateway.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, gateway.pid, os.WSTOPPED)
        client.send(b"B" * 20)
        time.sleep(0.005)
        upstream.rst()
        time.sleep(0.005)
        gateway.signal(signal.SIGCONT)
        backend.expect_no_connection(0.2)
        eq(client.response("POST").status, 503, f"status, attempt {attempt}")
        record = gateway.wait_log(lambda r: r["http.path"] == "/pay")
        eq(record["close_reason"], "upstream_rst", "close_reason")
        eq(gateway.metrics()("headgate_retries_reused_connection_total"), 0, "repeats")


# ---- what a client must not take for whole -------------------------------------------------------------


@test("a close-delimited response cut by a reset while the client uploads is never delivered as complete",
      timeout=60)
def reset_in_close_delimited():
    chunk = b"1000\r\n" + b"z" * 4096 + b"\r\n"
    gateway, backend = acted(COPY)
    for attempt in range(8):
        client = gateway.client()
        client.send("POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        upload = in_background(send_what_is_taken, client, chunk * 16, True)
        upstream = backend.accept()
        upstream.request_head()
        upstream.send("HTTP/1.1 200 OK\r\n\r\npartial answer")
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            upstream.read_some()
        upstream.rst()
        eq(client.response_head("POST").framing, "chunked", "framing")
        end, data = client.expect_end()
        check(data.startswith(b"e\r\npartial answer\r\n"), f"attempt {attempt}: the part that came: {data}")
        check(not data.endswith(b"0\r\n\r\n"), f"attempt {attempt}: {end} after what looks whole: {data}")
        client.close()
        upload.result()
        records = gateway.wait_log(count=attempt + 1)
        record = records[-1] if isinstance(records, list) else records
        eq(record["close_reason"], "upstream_rst", f"close_reason, attempt {attempt}")


# ---- reload, signals, timers ---------------------------------------------------------------------------


@test("after two reloads /config_dump shows the addresses of the admin ports as before")
def addresses_after_reloads():
    addresses = ("adminAddr", "statsAddr", "readinessAddr")
    text = SIMPLE + """
config:
  adminAddr: 127.0.0.1:@admin@
  statsAddr: 127.0.0.1:@stats@
  readinessAddr: 127.0.0.1:@readiness@
"""
    gateway = Gateway(text, origin=Origin(), ready=False,
                      env={"ADMIN_ADDR": "", "STATS_ADDR": "", "READINESS_ADDR": ""})
    gateway.admin_port, gateway.stats_port = gateway.ports["admin"], gateway.ports["stats"]
    gateway.ready_port = gateway.ports["readiness"]
    gateway.await_ready()
    want = [f"127.0.0.1:{port}" for port in (gateway.admin_port, gateway.stats_port, gateway.ready_port)]
    for number in range(3):
        if number:
            name = f"renamed-{number}"
            gateway.reload(text.replace("name: all", f"name: {name}"))
            eq(gateway.fetch("/get").status, 200, "status")
            gateway.wait_log(lambda r, n=name: r["route"] == f"default/{n}")
        shown = gateway.config_dump()["config"]
        eq([shown[key] for key in addresses], want, f"addresses after {number} reloads")


@test("a second SIGTERM while connections arrive ends at once, with 0", needs=("wrk",), heavy=True,
      timeout=60)
def second_signal_under_load():
    for _ in range(5):
        gateway, _ = play(DRAINING, workers=2)
        load = Process(["wrk", "-t1", "-c64", "-d60", "-H", "Connection: close",
                        f"http://127.0.0.1:{gateway.port}/get"])
        wait_until(lambda g=gateway: len(g.log()) > 300, 10, "the load")
        gateway.terminate()
        wait_until(lambda g=gateway: "draining" in g.stderr, 5, "the drain to begin")
        gateway.terminate()
        gateway.expect_exit()
        load.kill()


@test("halfClosed ends a tunnel one direction of which ended because its sink stopped taking bytes")
def half_closed_by_the_sink():
    path = os.path.join(tmpdir(), "backend.sock")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    gateway = Gateway("""
config: {splice: {mode: "off"}, timeouts: {halfClosed: 400ms}}
binds:
- port: @port@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - backends: [{host: @origin@}]
""", origin=f"unix:{path}")
    client = gateway.client()
    upstream = Raw(listening.accept()[0])
    upstream.socket.shutdown(socket.SHUT_RD)
    client.expect_silence(0.5)  # open in both directions: the timer does not run
    with within(0.4, "the end"):
        client.send(b"x")
        client.expect_end()
    eq(gateway.wait_log()["close_reason"], "half_closed", "close_reason")
