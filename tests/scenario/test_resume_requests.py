# SPDX-License-Identifier: Apache-2.0
"""Requests that wait for their answer outlive the gateway that has sent them, and so do bodies on their way
to the backend."""
import os
import select
import signal
import socket
import time

from crashes import kill, reset, stop
from hg import *
from same_host import need_lane
from splice import in_background

WORTH_S = 0.5  # a request that has waited for so long has a row
CONFIG = """
config:
  splice: {@splice@}
binds:
- port: @port@
  listeners:
  - name: main
    splice: @agrees@
    routes:
    - name: all
      policies: {@policies@}
      backends:
      - host: @origin@
        splice: @agrees@
"""
SPLICE = {"off": "mode: off", "require": "mode: require, minBodyBytes: 65536, adaptive: false",
          "bypass": "lanes: [bypass], force: true"}
MIB = 1 << 20


def acted(lane, policies="", **options):
    backend = Backend()
    gateway = Gateway(CONFIG, origin=backend, splice=SPLICE[lane], policies=policies, workers=2, keeper=True,
                      agrees="sameHost" if lane == "bypass" else "auto", **options)
    if lane == "bypass":
        need_lane(gateway, "bypass")
    return gateway, backend


def await_resumed(gateway, count):
    wait_until(lambda: gateway.metrics()("headgate_resumed_total", kind="request") == count, 10,
               f"{count} resumed requests")


def waiting(gateway, backend, method="GET", path="/slow", **options):
    """(client, upstream) of a request that its backend has read."""
    client = gateway.client()
    client.request(method, path, host="a", **options)
    upstream = backend.accept()
    eq(upstream.read_request().method, method, "the request")
    time.sleep(WORTH_S)
    return client, upstream


@test("a request that waits for its answer goes on after kill -9, twice; its client's next request goes over "
      "the same connection", needs=("bpf", "root"), waits=True, timeout=60)
def waits():
    for lane in SPLICE:
        gateway, backend = acted(lane)
        for number, (method, body) in enumerate((("GET", None), ("HEAD", None), ("POST", b"p" * 70000))):
            client, upstream = waiting(gateway, backend, method, body=body)
            before = gateway.streams()[0]
            for _ in range(2):
                done = gateway.metrics()("headgate_resumed_total", kind="request")
                kill(gateway)
                await_resumed(gateway, done + 1)
                after = gateway.streams()[0]
                for key in ("id", "route", "path", "method", "bytes_in", "state"):
                    eq(after[key], before[key], f"{key}, {lane}, {method}")
                time.sleep(WORTH_S)
            upstream.respond(200, [("X-Answer", "yes")], b"" if method == "HEAD" else b"the answer")
            answer = client.response(method)
            eq((answer.status, answer.header("x-answer"), answer.body),
               (200, "yes", b"" if method == "HEAD" else b"the answer"), "the answer")
            gateway.wait_log(count=2 * number + 1)
            record = gateway.log()[-1]
            eq((record["resumed"], record["http.method"], record["http.path"], record["bytes_in"]),
               ("true", method, "/slow", str(len(body or b""))), f"the line, {lane}")
            client.request("GET", "/next", host="a")
            try:
                upstream.read_request()  # the backend's connection is used again
            except Failure:
                upstream = backend.accept()
                upstream.read_request()
            upstream.respond(200, [], b"next")
            eq(client.response().body, b"next", "the next answer")
            gateway.wait_log(count=2 * number + 2)
            client.close()
            upstream.close()


@test("the log and metrics know method, host and path of a request that goes on after kill -9", waits=True)
def in_the_log():
    backend = Backend()
    gateway = Gateway(CONFIG + """
frontendPolicies:
  accessLog:
    filter: request.path.startsWith("/slow") && request.method == "POST"
    add: {seen: 'request.host + " " + request.pathAndQuery + " " + request.version'}
  metrics: {add: {seen: request.path}}
""", origin=backend, splice=SPLICE["off"], agrees="auto", policies="", workers=1, keeper=True)
    client, upstream = waiting(gateway, backend, "POST", "/slow/x?y=1", body=b"p")
    kill(gateway)
    await_resumed(gateway, 1)
    upstream.respond(200, [], b"the answer")
    eq(client.response("POST").body, b"the answer", "the answer")
    record = gateway.wait_log(lambda r: r.get("resumed") == "true")
    eq(record["seen"], "a /slow/x?y=1 HTTP/1.1", "the field")
    eq([key for key in record if key.startswith("backend.")], ["backend.head"], "times of the backend")
    wait_until(lambda: gateway.metrics()("agentgateway_requests_total", seen="/slow/x") == 1, 10, "the label")


@test("the answer that came while nobody was there is passed on", needs=("bpf", "root"))
def answered_meanwhile():
    for lane in SPLICE:
        gateway, backend = acted(lane)
        client, upstream = waiting(gateway, backend)
        stop(gateway)
        upstream.respond(200, [], pattern(200000))
        kill(gateway)
        answer = client.response()
        eq((answer.status, verify(answer.body, 200000)), (200, crc32(200000)), f"the answer, {lane}")


@test("a body on its way to the backend goes on after kill -9, in each framing, with and without the lane: "
      "every byte once", needs=("bpf", "root"), timeout=120, waits=True)
def uploads():
    size = 8 * MIB
    for lane in SPLICE:
        for chunked in (False, True):
            gateway, backend = acted(lane)
            client = gateway.client()
            client.send(b"POST /up HTTP/1.1\r\nHost: a\r\n" + (
                b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % size))
            upstream = backend.accept()
            upstream.request_head()
            body = b""

            def say(first, count):
                data = pattern(count, first)
                client.send(b"%x\r\n%s\r\n" % (count, data) if chunked else data)

            def heard(count):
                if not chunked:
                    return upstream.read(count)
                data = b""
                while len(data) < count:
                    data += upstream.read(int(upstream.read_line(), 16))
                    eq(upstream.read(2), b"\r\n", "the end of a chunk")
                return data
            for part in range(4):
                writer = in_background(say, part * 2 * MIB, 2 * MIB)
                body += heard(2 * MIB)
                writer.result()
                time.sleep(WORTH_S)
                if part < 3:
                    kill(gateway)
                    await_resumed(gateway, part + 1)
            if chunked:
                client.send(b"0\r\n\r\n")
                eq(upstream.read(5), b"0\r\n\r\n", "the last chunk")
            check(body == pattern(size), f"other bytes, {lane}")
            upstream.respond(200, [], b"thanks")
            eq(client.response().body, b"thanks", "the answer")
            record = gateway.wait_log()
            eq((record["resumed"], record["bytes_in"]), ("true", str(size)), f"the line, {lane}")


@test("deadlines of the request, and of its attempt, go on from before the crash; nothing is sent again",
      waits=True)
def deadlines():
    retry = "retry: {attempts: 3, codes: [500]}"
    played = [(want, *acted("off", f"timeout: {{{name}: 6s}}, {retry}"))
              for name, want in (("requestTimeout", "request_timeout"),
                                 ("backendRequestTimeout", "per_try_timeout"))]
    start = time.monotonic()
    clients = [waiting(gateway, backend)[0] for _, gateway, backend in played]
    time.sleep(start + 4 - time.monotonic())
    for _, gateway, _ in played:
        kill(gateway)
        await_resumed(gateway, 1)
    for client, (want, gateway, backend) in zip(clients, played):
        answer = client.response()
        # Were it counted from the crash on, it would be over after ten seconds.
        check_time(time.monotonic() - start, 6.0, want, before=10.0)
        eq((answer.status, gateway.wait_log()["close_reason"]), (504, want), "how it ended")
        backend.expect_no_connection(0.3)


@test("a backend that fails a request whose head is no more: the client is told, nothing is sent again")
def failed():
    retry = "retry: {attempts: 3, codes: [500], backoff: 10ms}"
    gateway, backend = acted("off", retry)
    client, upstream = waiting(gateway, backend)
    kill(gateway)
    await_resumed(gateway, 1)
    upstream.rst()
    eq(client.response().status, 503, "status")
    client, upstream = waiting(gateway, backend)
    kill(gateway)
    await_resumed(gateway, 2)
    upstream.respond(500, [], b"broken")
    eq((lambda answer: (answer.status, answer.body))(client.response()), (500, b"broken"), "the answer")
    backend.expect_no_connection(0.3)


@test("a body that a policy counts does not go on: how many bytes it had died with the gateway", waits=True)
def counted():
    chunk = b"5\r\nabcde\r\n"
    gateway, backend = acted("off", "limits: {maxRequestBytes: 9999}, buffer: {response: {maxBytes: 9999}}")
    upload, download = gateway.client(), gateway.client()
    upload.send(b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
    first = backend.accept()
    first.read_until(chunk)
    download.request("GET", "/down", host="a")
    second = backend.accept()
    second.read_request()
    second.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
    download.read_until(chunk)
    time.sleep(WORTH_S)
    for end in (upload, second):
        end.send(chunk)
    first.read_until(chunk)
    download.read_until(chunk)
    kill(gateway)
    for end in (upload, download, first, second):
        reset(end)


@test("half the head of an answer was in the dead gateway: that request is reset; so is one that was to "
      "upgrade, and one that waits for a 100")
def not_resumed():
    gateway, backend = acted("off")
    client, upstream = waiting(gateway, backend)
    upstream.send(b"HTTP/1.1 200 O")
    upgrade = gateway.client()
    upgrade.request("GET", "/ws", [("Connection", "upgrade"), ("Upgrade", "echo")], host="a")
    second = backend.accept()
    second.read_request()
    expect = gateway.client()
    expect.request("POST", "/up", [("Expect", "100-continue"), ("Content-Length", "5")], host="a")
    third = backend.accept()
    third.request_head()
    time.sleep(WORTH_S)
    kill(gateway)
    for end in (client, upgrade, expect):
        reset(end)
    for end in (upstream, second, third):
        reset(end)


@test("behind a repeated attempt it is the running one that goes on")
def repeated():
    gateway, backend = acted("off", "retry: {attempts: 2, codes: [500], backoff: 10ms}")
    client, upstream = waiting(gateway, backend)
    upstream.respond(500, [], b"broken")
    again = upstream
    try:
        again.read_request()
    except Failure:
        again = backend.accept()
        again.read_request()
    time.sleep(WORTH_S)
    kill(gateway)
    await_resumed(gateway, 1)
    again.respond(200, [], b"the second answer")
    eq(client.response().body, b"the second answer", "the answer")
    record = gateway.wait_log()
    eq((record["resumed"], record.get("retry.attempt")), ("true", "1"), "the line")


@test("a client that wants its connection closed behind the answer gets that from the next gateway, too")
def closes():
    for version, headers in (("1.0", []), ("1.1", [("Connection", "close")])):
        gateway, backend = acted("off")
        client, upstream = waiting(gateway, backend, version=version, headers=headers)
        kill(gateway)
        await_resumed(gateway, 1)
        upstream.respond(200, [], b"the answer")
        answer = client.response_head()
        eq(answer.header("connection"), "close", f"connection, HTTP/{version}")
        eq(client.read(10), b"the answer", "the answer")
        client.expect_fin(5)


@test("of interim answers that the client has not read the rest dies with the gateway, and its connection "
      "with it; they leave as it reads, before the answer is there")
def interim():
    # All of it is more than send buffers have room for, by what the kernel remembers of earlier connections.
    for reads, count, size in ((False, 14, 30000), (True, 6, 8000)):
        head = b"HTTP/1.1 103 Early Hints\r\nLink: <" + b"l" * size + b">\r\n\r\n"
        gateway, backend = acted("off")
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 500)  # the gateway's send buffer begins small
        made.connect(("127.0.0.1", gateway.port))
        client = Raw(made)
        client.request("GET", "/slow", host="a")
        upstream = backend.accept()
        upstream.read_request()
        for _ in range(count):
            upstream.send(head)
        time.sleep(WORTH_S)
        if reads:
            for _ in range(count):
                eq(client.read_until(b"\r\n\r\n"), head, "an interim answer")
            time.sleep(WORTH_S)
        kill(gateway)
        if reads:
            await_resumed(gateway, 1)
            upstream.respond(200, [], b"the answer")
            eq(client.response().body, b"the answer", "the answer")
        else:
            reset(client)
            reset(upstream)


@test("a client that waited for a 100, and got it, or sent its body all the same, is one like others")
def continued():
    gateway, backend = acted("off")
    for is_told in (True, False):
        client = gateway.client()
        client.request("POST", "/up", [("Expect", "100-continue"), ("Content-Length", "10")], host="a")
        upstream = backend.accept()
        upstream.request_head()
        if is_told:
            upstream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            eq(client.read_until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n", "the interim answer")
        client.send(b"01234")
        if not is_told:
            client.send(b"56789")
        time.sleep(WORTH_S)
        kill(gateway)
        await_resumed(gateway, 2 - is_told)
        if is_told:
            client.send(b"56789")
        eq(upstream.read(10), b"0123456789", "the body")
        upstream.respond(200, [("Connection", "close")], b"thanks")
        eq(client.response().body, b"thanks", "the answer")
        upstream.close()


@test("a body whose head was there when its client was accepted goes on, over a connection of the pool, too",
      needs=("bpf", "root"))
def at_once():
    size = 4 * MIB
    backend = Backend()
    gateway = Gateway(CONFIG, origin=backend, splice=SPLICE["require"], policies="", workers=1, keeper=True,
                      agrees="auto")
    before = [gateway.client() for _ in range(4)]
    for client in before:
        client.request("GET", "/", host="a")
    upstreams = [backend.accept() for _ in before]
    for upstream in upstreams:
        upstream.read_request()
        upstream.respond(200, [], b"pooled")
    for client in before:
        eq(client.response().body, b"pooled", "the answer")
        client.close()
    stop(gateway)
    client = gateway.client()
    client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + pattern(MIB))
    os.kill(gateway.gateway_pid, signal.SIGCONT)
    sockets = {upstream.socket: upstream for upstream in upstreams}
    ready, _, _ = select.select(list(sockets), [], [], 10 * factor())
    check(ready, "no connection of the pool was used")
    upstream = sockets[ready[0]]
    eq(upstream.request_head().method, "POST", "the request")
    body = upstream.read(MIB)
    time.sleep(WORTH_S)
    kill(gateway)
    await_resumed(gateway, 1)
    writer = in_background(client.send, pattern(size - MIB, MIB))
    body += upstream.read(size - MIB)
    writer.result()
    check(body == pattern(size), "other bytes")
    upstream.respond(200, [], b"thanks")
    eq(client.response().body, b"thanks", "the answer")


@test("an answer that came before the deadline, while nobody was there, is passed on behind it", waits=True)
def in_time():
    gateway, backend = acted("off", "timeout: {requestTimeout: 4s}")
    client, upstream = waiting(gateway, backend)
    stop(gateway)
    upstream.respond(200, [], b"in time")
    time.sleep(4)
    kill(gateway)
    answer = client.response()
    eq((answer.status, answer.body), (200, b"in time"), "the answer")


@test("a backend that has TLS by now: the connection of before is used by nobody else")
def has_tls():
    gateway, backend = acted("off")
    client, upstream = waiting(gateway, backend)
    secured = CONFIG.replace("      - host: @origin@\n",
                             "      - host: @origin@\n        policies: {backendTLS: {insecure: true}}\n")
    gateway.reload(secured)
    kill(gateway)
    await_resumed(gateway, 1)
    upstream.respond(200, [], b"the answer")
    eq(client.response().body, b"the answer", "the answer")
    client.request("GET", "/next", host="a")
    eq(backend.accept().read(2), b"\x16\x03", "the first bytes of the next connection")


@test("conditions of a health policy do not judge what was resumed: they may ask for a head that is no more")
def unjudged():
    backend = Backend()
    config = CONFIG.replace("      - host: @origin@\n", """      - host: @origin@
        policies: {health: {unhealthyExpression: 'response.code >= 500 && request.path != \"/slow\"'}}
""")
    gateway = Gateway(config, origin=backend, splice=SPLICE["off"], policies="", keeper=True, agrees="auto")
    client, upstream = waiting(gateway, backend)
    kill(gateway)
    await_resumed(gateway, 1)
    upstream.respond(500, [], b"broken")
    eq(client.response().status, 500, "status")
    eq(gateway.metrics()("headgate_endpoint_unhealthy_total"), 0, "unhealthy outcomes")


@test("a connection to a backend that was resumed serves no other request: it may be authenticated for the "
      "client of the first", timeout=60)
def not_shared():
    gateway, backend = acted("off")
    client, upstream = waiting(gateway, backend, headers={"Authorization": "Negotiate token"})
    kill(gateway)
    await_resumed(gateway, 1)
    upstream.respond(200, [], b"the answer")
    eq(client.response().body, b"the answer", "the answer")
    upstream.expect_fin()
    other = gateway.client()
    other.request("GET", "/next", host="a")
    fresh = backend.accept()
    eq(fresh.read_request().target, "/next", "the request, on a new connection")
    fresh.respond()
    eq(other.response().status, 200, "status")
