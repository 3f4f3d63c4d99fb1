# SPDX-License-Identifier: Apache-2.0
"""What a client, a backend or an address may take of the process, and that others are served meanwhile."""
from crashes import kill
from hg import *
from hg.h2 import H2Client
from hg import h2_frames as f
from h2backends import acted2
from h2cases import HTTP2_BACKEND, form

REFUSED = "headgate_limit_refused_total"
CONFIG = """
config:
  limits: {@limits@}
  forwarded: {trusted: [@trusted@]}
binds:
- port: @port@
  listeners:
  - routes:
    - name: silent
      matches: [{path: {pathPrefix: /silent}}]
      backends: [{host: @silent@}]
    - backends: [{host: @origin@}]
- port: @tcp@
  listeners:
  - protocol: TCP
    tcpRoutes: [{backends: [{host: @silent@}]}]
"""


def start(limits="", trusted="", **options):
    """A gateway with a backend that answers, and one that takes connections and says nothing."""
    return Gateway(CONFIG, origin=Origin(), silent=Backend(backlog=4096), limits=limits, trusted=trusted,
                   **options)


def refused(gateway, limit):
    return gateway.metrics()(REFUSED, limit=limit)


def wait_open(gateway, count):
    wait_until(lambda: gateway.metrics()("headgate_streams_open") == count, 10, f"{count} requests under way")


def ask(client, path="/silent"):
    client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
    return client


def expect_tunnel_reset(gateway):
    """It may come before connect() returns."""
    try:
        client = gateway.client(gateway.ports["tcp"])
    except ConnectionResetError:
        return
    client.expect_rst()


@test("a dozen HTTP/2 connections full of requests to a silent backend leave descriptors to other backends",
      heavy=True, timeout=60)
def silent_backend():
    shell = ["/bin/sh", "-c", 'ulimit -n 1024 && exec "$@"', "sh"]
    gateway = start(wrap=shell)
    limits = gateway.admin_json("/config_dump")["config"]["limits"]
    eq((limits["connectionsPerClient"], limits["requestsPerClient"]), (64, 128), "limits of an address")
    check(limits["connectionsPerBackend"] > 2 * limits["requestsPerClient"], f"{limits}")
    old = gateway.client()
    eq(old.get("/get").status, 200, "status before")
    clients = [H2Client(gateway.port) for _ in range(12)]
    for client in clients:
        client.send(b"".join(f.headers(n, f.block(form(path="/silent"))) for n in range(1, 201, 2)))
    wait_until(lambda: refused(gateway, "requestsPerClient") >= 1200 - limits["requestsPerClient"], 20,
               "requests over the limit")
    wait_open(gateway, limits["requestsPerClient"])
    eq(old.get("/get").status, 200, "status on a connection that was there")
    for _ in range(5):
        eq(gateway.fetch("/get").status, 200, "status of a new connection")
    for client in clients:
        client.close()


@test("connectionsPerBackend: the next request is 503 with backend_limit, and served when one has ended; no "
      "worker counts alone")
def backend_connections():
    gateway = start("connectionsPerBackend: 4", workers=2)
    held = [ask(gateway.client()) for _ in range(4)]
    wait_open(gateway, 4)
    answers = [gateway.fetch("/silent") for _ in range(6)]
    eq([answer.status for answer in answers], [503] * 6, "status of further requests")
    eq(answers[0].text, "too many connections to the backend", "text")
    eq(gateway.wait_log(lambda line: line.status == 503)["close_reason"], "backend_limit", "reason")
    eq(refused(gateway, "connectionsPerBackend"), 6, "refusals")
    eq(gateway.fetch("/get").status, 200, "status of another backend")
    held.pop().rst()
    wait_open(gateway, 3)
    held.append(ask(gateway.client()))
    wait_open(gateway, 4)


@test("connectionsPerBackend holds for connections that were idle, too, and for tunnels, which are reset")
def backend_connections_reused():
    gateway = Gateway(CONFIG.replace("@silent@", "@origin@"), origin=Origin(), workers=1,
                      limits="connectionsPerBackend: 2", trusted="")
    # Two names of one origin are two backends.
    clients = [gateway.client() for _ in range(3)]
    for client in clients[:2]:
        client.send("GET /delay/0.2 HTTP/1.1\r\nHost: x\r\n\r\n")
    eq([client.response().status for client in clients[:2]], [200, 200], "status")
    wait_until(lambda: gateway.metrics()("headgate_upstream_pool_idle") == 2, 5, "idle connections")
    for client in clients[:2]:
        client.send("GET /delay/3 HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_open(gateway, 2)
    eq(clients[2].get("/get").status, 503, "status of the third")
    eq([client.response().status for client in clients[:2]], [200, 200], "status of those under way")
    eq(clients[2].get("/get").status, 200, "status of the third, later")
    tunnels = [gateway.client(gateway.ports["tcp"]) for _ in range(2)]
    wait_open(gateway, 2)
    expect_tunnel_reset(gateway)
    for tunnel in tunnels:
        tunnel.close()


@test("connectionsPerBackend counts a shared HTTP/2 connection as one while any request uses it")
def shared_connection():
    gateway, backend = acted2("config: {limits: {connectionsPerBackend: 1}}\n" + HTTP2_BACKEND,
                              {f.MAX_CONCURRENT_STREAMS: 2})
    first, second = gateway.client().request("GET", "/1"), gateway.client().request("GET", "/2")
    upstream = backend.accept()
    numbers = [upstream.expect_request()[0] for _ in range(2)]
    upstream.respond(numbers[0])
    eq(first.response().status, 200, "status of the request that opened it")
    for client, number in ((second, numbers[1]), (second, None)):
        first.request("GET", "/3")
        if number is None:  # both had ended: it was not in use, and is counted again
            second.request("GET", "/4")
            number = upstream.expect_request()[0]
        third = upstream.expect_request()[0]
        eq(gateway.fetch("/5").status, 503, "status of one that needs another connection")
        upstream.respond(number)
        upstream.respond(third)
        eq([first.response().status, client.response().status], [200, 200], "status of those that share it")
    eq(refused(gateway, "connectionsPerBackend"), 2, "refusals")
    upstream.raw.close()
    first.request("GET", "/6")
    upstream = backend.accept()
    upstream.respond(upstream.expect_request()[0])
    eq(first.response().status, 200, "status of a request when the connection has ended")


@test("connectionsPerBackend counts the tunnels that a new process has resumed")
def resumed_tunnel():
    gateway = start("connectionsPerBackend: 1", keeper=True, workers=1, args=["--restart-limit", "0"])
    tunnel = gateway.client(gateway.ports["tcp"]).send(b"x")
    wait_open(gateway, 1)
    kill(gateway)
    wait_open(gateway, 1)
    expect_tunnel_reset(gateway)
    tunnel.rst()
    wait_open(gateway, 0)
    tunnel = gateway.client(gateway.ports["tcp"])
    wait_open(gateway, 1)
    tunnel.rst()
    gateway.stop()


@test("a retry policy repeats what a full backend did not take, on another backend")
def full_then_elsewhere():
    text = CONFIG.replace("backends: [{host: @silent@}]\n    - backends",
                          "policies: {retry: {attempts: 3, codes: []}}\n"
                          "      backends: [{host: @silent@, weight: 1000000}, {host: @origin@}]\n"
                          "    - backends", 1)
    gateway = Gateway(text, origin=Origin(), silent=Backend(), limits="connectionsPerBackend: 1",
                      trusted="")
    ask(gateway.client())
    wait_open(gateway, 1)
    eq(gateway.fetch("/silent").status, 404, "status by the other backend")


@test("connectionsPerClient counts an address over all workers, and others are served")
def client_connections():
    gateway = start("connectionsPerClient: 4", workers=2)
    held = [ask(gateway.client()) for _ in range(4)]
    wait_open(gateway, 4)
    for _ in range(4):
        answer = gateway.client(source="127.0.0.1").get("/get")
        eq((answer.status, answer.text), (503, "too many connections"), "answer past the limit")
    expect_tunnel_reset(gateway)
    eq(gateway.client(source="127.0.0.2").get("/get").status, 200, "status of another address")
    eq(refused(gateway, "connectionsPerClient"), 5, "refusals")
    held.pop().rst()
    wait_open(gateway, 3)
    eq(gateway.client().get("/get").status, 200, "status when one has ended")


@test("connectionsPerClient by default: a few addresses that take all they may leave connections to others",
      heavy=True, timeout=60)
def few_addresses():
    gateway = start(wrap=["/bin/sh", "-c", 'ulimit -n 1024 && exec "$@"', "sh"])
    held = [ask(gateway.client(source=f"127.0.0.{address}")) for address in (2, 3) for _ in range(150)]
    wait_until(lambda: refused(gateway, "connectionsPerClient") == 2 * (150 - 64), 20, "refusals")
    wait_open(gateway, 2 * 64)
    for _ in range(20):
        held.append(gateway.client())
        eq(held[-1].get("/get").status, 200, "status of another address")
    eq(gateway.metrics()("headgate_downstream_idle_closed_total"), 0, "connections closed to make room")


@test("connectionsPerClient: a connection of the same address that is idle makes room, none of another")
def client_makes_room():
    gateway = start("connectionsPerClient: 2", workers=1)
    other = gateway.client(source="127.0.0.2")
    eq(other.get("/get").status, 200, "status of another address")
    first, second = gateway.client(), gateway.client()
    eq(first.get("/get").status, 200, "status")
    eq(second.get("/get").status, 200, "status")
    eq(gateway.client().get("/get").status, 200, "status of the third")
    first.expect_end()
    eq(other.get("/get").status, 200, "status on the connection of another address")
    eq(refused(gateway, "connectionsPerClient"), 0, "refusals")


@test("an address in forwarded.trusted speaks for others: it has no limit of its own")
def trusted_clients():
    gateway = start("connectionsPerClient: 2, requestsPerClient: 2", "127.0.0.1/32", workers=1)
    held = [ask(gateway.client()) for _ in range(4)]
    wait_open(gateway, 4)
    eq(gateway.fetch("/get").status, 200, "status")
    del held


@test("requestsPerClient: streams of all connections of an address count, one more is REFUSED_STREAM")
def client_requests():
    gateway = start("requestsPerClient: 5", workers=2)
    clients = [H2Client(gateway.port) for _ in range(4)]
    streams = [(client, client.request("/silent")) for client in clients for _ in range(2)]
    wait_open(gateway, 5)
    codes = []
    for client, number in streams:
        stream = client.streams[number]
        if stream.rst is None:
            try:
                client.wait(lambda stream=stream: stream.rst is not None, 0.2, "a reset")
            except Failure:
                continue
        codes.append(stream.rst)
    eq(codes, [f.REFUSED_STREAM] * 3, "codes of those that were refused")
    eq(refused(gateway, "requestsPerClient"), 3, "refusals")
    other = H2Client(gateway.port, source="127.0.0.2")
    eq(other.response(other.request("/get")).status, 200, "status of another address")
    clients[0].close()
    wait_until(lambda: gateway.metrics()("headgate_streams_open") < 5, 5, "the end of its requests")
    eq(clients[1].get("/get").status, 200, "status when some have ended")


# ---- heads together --------------------------------------------------------------------------------------


AMPLIFIED = f.block(form(path="/silent")) + b"\xbe" * 15  # the newest entry of the table, again and again


def heads(client, count):
    """The statuses or None of so many requests; each names a field of 3.9 KB 15 times, in 15 bytes."""
    first = client.open_stream("GET")
    table = f.block(form(path="/silent")) + f.literal_indexed("x", "v" * 3900)
    client.send(f.headers(first, table))
    numbers = [client.open_stream("GET") for _ in range(count)]
    client.send(b"".join(f.headers(n, AMPLIFIED) for n in numbers))
    client.ping()
    client.ping()  # the answers to requests leave behind the first one
    return [client.streams[n].message and client.streams[n].message.status for n in numbers]


@test("HPACK makes no more than 64 bytes of heads of each byte of a client: 431 beyond, and others go on")
def amplified():
    gateway = start(workers=1)
    clients = [H2Client(gateway.port) for _ in range(5)]
    for client in clients:
        statuses = heads(client, 99)
        passed = statuses.count(None)
        # 4 KB for the entry, 60 to 70 bytes for each request; 58.9 KB of head for each.
        check(4 <= passed <= 14, f"requests that passed: {passed}")
        eq(statuses.count(431), 99 - passed, "refused")
    check(refused(gateway, "connectionHeadBytes") == 5 * 99 - gateway.metrics()("headgate_streams_open") + 5,
          "refusals")
    eq(gateway.fetch("/get").status, 200, "status of another client")
    for client in clients:
        client.close()
    wait_open(gateway, 0)
    eq(heads(H2Client(gateway.port), 3), [None] * 3, "statuses when all has ended")


@test("connectionHeadBytes bounds what is sent in full, too, and makes room when a request has ended")
def heads_of_connection():
    gateway = start("connectionHeadBytes: 65536", workers=1)
    client = H2Client(gateway.port)
    large = [("x", "v" * 15000)]
    numbers = [client.request("/silent", extra=large) for _ in range(4)]
    eq(client.response(client.request("/get", extra=large)).status, 431, "status of the fifth")
    eq(client.get("/get").status, 200, "status of a small one")
    client.reset(numbers[0])
    wait_open(gateway, 3)
    eq(client.response(client.request("/get", extra=large)).status, 200, "status when one has ended")


@test("workerHeadBytes: the heads of all requests of a worker are bounded, over HTTP/1 and HTTP/2: 431")
def heads_of_worker():
    gateway = start("workerHeadBytes: 1048576, headBytes: 65536", workers=1)
    head = "GET /silent HTTP/1.1\r\nHost: x\r\nX: " + "v" * 60000 + "\r\n\r\n"
    held = [gateway.client() for _ in range(17)]
    for client in held:
        client.send(head)
    wait_open(gateway, 17)
    late = gateway.client()
    late.send(head)
    eq(late.response().status, 431, "status over HTTP/1")
    client = H2Client(gateway.port)
    eq(client.response(client.request("/get", extra=[("x", "v" * 60000)])).status, 431, "status over HTTP/2")
    eq(refused(gateway, "workerHeadBytes"), 2, "refusals")
    eq(gateway.fetch("/get").status, 200, "status of a small one")
    for each in held:
        each.rst()
    wait_open(gateway, 0)
    eq(client.response(client.request("/get", extra=[("x", "v" * 60000)])).status, 200, "status afterwards")
