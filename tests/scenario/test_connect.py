# SPDX-License-Identifier: Apache-2.0
"""CONNECT: refused unless it is enabled; then our 200 makes a tunnel to the backend of the route, with the
timers, the lane, the log and the drain of every other tunnel."""
import signal
import time

from hg import *
from splice import *

CONFIG = """
config: {splice: {mode: @mode@}, timeouts: {tunnelIdle: 1s, halfClosed: 400ms}}
frontendPolicies: {connect: {mode: route}}
binds:
- port: @port@
  listeners:
  - hostname: inside.example
    routes:
    - name: tunnels
      backends:
      - host: @origin@
"""
PLAIN = CONFIG.replace("timeouts: {tunnelIdle: 1s, halfClosed: 400ms}", "timeouts: {}")
HEAD = "CONNECT inside.example:443 HTTP/1.1\r\nHost: inside.example:443\r\n\r\n"


def connect(gateway, early="", head=HEAD):
    """A client whose CONNECT was answered with 200."""
    client = gateway.client()
    client.send(head + early)
    answer = client.read_until(b"\r\n\r\n").decode().lower()
    check(answer.startswith("http/1.1 200 "), answer)
    for field in ("content-length", "transfer-encoding", "connection"):
        check(f"\r\n{field}:" not in answer, f"{field} in {answer}")
    check("\r\ndate:" in answer, answer)
    return client


def connected(gateway, backend):
    """(client, upstream) of a tunnel, in the kernel lane in both directions where there is one."""
    client = connect(gateway)
    upstream = backend.accept()
    settle(gateway, client, upstream)
    return client, upstream


@test("an enabled CONNECT becomes a tunnel to the backend of the route, in both lanes, and is logged as one",
      needs=("bpf",))
def tunnel_of_connect():
    def once(mode):
        gateway, backend = acted(mode, PLAIN)
        client, upstream = connected(gateway, backend)
        for one, other in ((client, upstream), (upstream, client)):
            task = in_background(one.send, pattern(300000))
            verify(other.read(300000), 300000)
            task.result()
        client.send("last words")
        client.fin()
        eq(upstream.read_eof(), b"last words", "up to FIN")
        upstream.send("and the answer")
        upstream.fin()
        eq(client.read_eof(), b"and the answer", "half-closed")
        record = gateway.wait_log()
        expect_lane(gateway, record)
        log = facts(record)
        eq((log["http.method"], log["http.status"], log["close_reason"]), ("CONNECT", "200", "ok"), "log")
        check(int(log.pop("bytes_in")) > 300000 and int(log.pop("bytes_out")) > 300000, record.line)
        return log
    compare(once)


@test("bytes right behind the head of a CONNECT are the first of the tunnel, and no request", needs=("bpf",))
def early_bytes():
    def once(mode):
        gateway, backend = acted(mode, PLAIN)
        early = "GET /not-a-request HTTP/1.1\r\nHost: inside.example\r\n\r\n"
        client = connect(gateway, early)
        upstream = backend.accept()
        eq(upstream.read(len(early)), early.encode(), "at the backend")
        upstream.send("SSH-2.0-x\r\n")
        eq(client.read(11), b"SSH-2.0-x\r\n", "at the client")
        upstream.fin()
        client.expect_fin()
        client.fin()
        upstream.expect_fin()
        return facts(gateway.wait_log())
    compare(once)


@test("a CONNECT of HTTP/1.0 becomes a tunnel, too")
def old_version():
    gateway, backend = acted("off", PLAIN)
    client = connect(gateway, head="CONNECT inside.example:443 HTTP/1.0\r\n\r\n")
    upstream = backend.accept()
    client.send("x")
    eq(upstream.read(1), b"x", "a byte")
    upstream.close()
    client.expect_fin()


@test("a CONNECT takes no pooled connection, and leaves none to the pool")
def no_pool():
    gateway, backend = acted("off", PLAIN)
    client = gateway.client()
    client.request("GET", "/", host="inside.example")
    pooled = backend.accept()
    pooled.read_request()
    pooled.respond(200, body=b"ok")
    client.response()
    tunneled = connect(gateway)
    upstream = backend.accept()
    tunneled.send("x")
    eq(upstream.read(1), b"x", "on a connection of its own")
    tunneled.fin()
    upstream.expect_fin()
    upstream.fin()
    tunneled.expect_fin()
    pooled.expect_silence(0.05)
    client.request("GET", "/again", host="inside.example")
    eq(pooled.read_request().target, "/again", "the pooled connection")
    pooled.respond(200)
    client.response()


REFUSED = {
    "another host name": ("CONNECT outside.example:443 HTTP/1.1\r\nHost: outside.example:443\r\n\r\n",
                          404, "no_route"),
    "a backend that refuses": (HEAD, 503, "connect_failed"),
}


@test("a CONNECT that leads nowhere is answered and the connection ends; what follows is not a request")
def refused():
    for what, (head, status, reason) in REFUSED.items():
        gateway, backend = acted("off", PLAIN)
        backend.close()
        client = gateway.client()
        client.send(head + "GET / HTTP/1.1\r\nHost: inside.example\r\n\r\n")
        answer = client.response()
        eq((answer.status, answer.headers["Connection"]), (status, "close"), what)
        client.expect_fin()
        record = gateway.wait_log()
        eq((record["close_reason"], len(gateway.log())), (reason, 1), f"{what}: reason, log lines")


@test("mode deny, no policy, and a direct answer that would look like a tunnel are 405")
def denied():
    no_policy = PLAIN.replace("frontendPolicies: {connect: {mode: route}}\n", "")
    direct = PLAIN.replace("      backends:\n      - host: @origin@\n",
                           "      policies: {directResponse: {status: 200, body: hello}}\n")
    for config in (no_policy, PLAIN.replace("mode: route", "mode: deny"), direct):
        gateway, backend = acted("off", config)
        client = gateway.client()
        client.send(HEAD)
        answer = client.response()
        eq((answer.status, answer.body, answer.headers["Connection"]), (405, b"method not allowed", "close"),
           "answer")
        client.expect_fin()
        backend.expect_no_connection(0.05)


@test("a retry policy tries another backend when the first does not take the connection of a CONNECT")
def retried():
    gone = Backend()
    config = PLAIN.replace("      backends:\n      - host: @origin@\n",
                           "      policies: {retry: {attempts: 3, codes: []}}\n"
                           "      backends:\n      - {host: @gone@, weight: 1000}\n      - host: @origin@\n")
    backend = Backend()
    gateway = Gateway(config, origin=backend, gone=gone, mode="off", workers=1)
    gone.close()
    client = connect(gateway)
    upstream = backend.accept()
    upstream.send("hello")
    eq(client.read(5), b"hello", "from the second backend")
    client.close()
    upstream.close()
    eq(gateway.wait_log()["http.method"], "CONNECT", "method in the log")


@test("tunnelIdle and halfClosed end a tunnel of CONNECT as any other, in both lanes",
      waits=True, needs=("bpf",))
def timers():
    def once(mode):
        gateway, backend = acted(mode, CONFIG)
        client, upstream = connected(gateway, backend)
        for _ in range(5):
            time.sleep(0.25)
            client.send("x")
            eq(upstream.read(1), b"x", "a byte")
        with within(1.0, "tunnelIdle"):
            client.expect_fin()
        upstream.expect_end()
        client, upstream = connected(gateway, backend)
        with within(0.4, "halfClosed"):
            upstream.fin()
            client.expect_fin()
            upstream.expect_end()
        return [r["close_reason"] for r in gateway.wait_log(count=2)]
    compare(once)


@test("a tunnel of CONNECT lives until the maximum deadline of a drain, in both lanes", waits=True,
      needs=("bpf",))
def drain():
    config = PLAIN.replace("config: {", "config: {connectionTerminationDeadline: 2s, ")
    def once(mode):
        gateway, backend = acted(mode, config)
        client, upstream = connected(gateway, backend)
        with within(2.0, "the exit"):
            gateway.signal(signal.SIGTERM)
            wait_until(lambda: "draining" in gateway.stderr, 5, "the drain to begin")
            client.send("still")
            eq(upstream.read(5), b"still", "while draining")
            gateway.expect_exit()
        client.expect_end()
        upstream.expect_end()
        return gateway.log()[-1]["close_reason"]
    compare(once)


@test("a reload turns CONNECT on and off for the next request, and a running tunnel stays")
def reload():
    gateway, backend = acted("off", PLAIN)
    client = connect(gateway)
    upstream = backend.accept()
    waiting = gateway.client()
    gateway.reload(PLAIN.replace("mode: route", "mode: deny"))
    client.send("x")
    eq(upstream.read(1), b"x", "a byte after the reload")
    waiting.send(HEAD)
    eq(waiting.response().status, 405, "on a connection from before")
    client.close()
    upstream.expect_fin()
    upstream.close()
