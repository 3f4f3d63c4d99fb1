# SPDX-License-Identifier: Apache-2.0
"""A service decides who may connect, before a byte is read; without its answer nobody enters."""
import socket
import threading

from crashes import kill
from hg import *
from hg import tls
from hg.pki import Authority
from hg.tls_wire import Play
from judge import Judge
from proxyprotocol import CLIENT, PROXY, TRUST, v1
from splice import tunnel

PORTS = """
config: {%s}
frontendPolicies:
  networkAuthorization: {rules: [{deny: 'source.address == "127.0.0.9"'}]}
  networkExtAuthz:
    host: '%s'
    protocol: {http: {path: '"/at/" + string(destination.port)', addRequestHeaders:
      {x-sni: destination.hostname, x-port: string(source.port), x-subject: source.subjectCn}}}
    policies: {http: {requestTimeout: %s}}
    %s
binds:
- port: @port@
  listeners:
  - routes: [{name: web, backends: [{host: @origin@}]}]
- port: @tcp@
  listeners:
  - {protocol: TCP, tcpRoutes: [{backends: [{host: @origin@}]}]}
- port: @tls@
  listeners:
  - {name: secure, protocol: HTTPS, hostname: web.test, tls: {cert: @cert@, key: @key@, root: @root@,
     clientAuth: optional},
     routes: [{backends: [{host: @origin@}]}]}
  - {name: ended, protocol: TLS, hostname: ended.test, tls: {cert: @cert@, key: @key@},
     tcpRoutes: [{backends: [{host: @origin@}]}]}
  - {name: passed, protocol: TLS, hostname: passed.test, tcpRoutes: [{backends: [{host: @origin@}]}]}
- port: @announced@
  tunnelProtocol: proxy
  listeners:
  - routes: [{name: announced, backends: [{host: @origin@}]}]
"""
REQUEST = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
GOOD, BAD = "127.0.0.1", "127.0.0.5"
TOLD = "network_ext_authz"


class Gate:
    """A service that answers when it is told to; None: it is not told yet."""

    def __init__(self, status=None):
        self.status, self.told = status, threading.Event()
        if status:
            self.told.set()
        self.judge = Judge(self.answer)
        self.address = self.judge.address

    def answer(self, request):
        self.told.wait(60)
        return self.status, [], b"why"

    def tell(self, status):
        self.status = status
        self.told.set()

    def await_questions(self, count):
        wait_until(lambda: len(self.judge.asked) >= count, 10, f"{count} questions")


PATIENT = "60s"  # on a busy machine no test may depend on when an answer comes


def stage(service, more="", deadline=PATIENT, ports=PORTS, **options):
    authority = Authority()
    leaf = authority.issue("web.test")
    backend = Backend()
    gateway = Gateway(ports % (TRUST, service.address, deadline, more), origin=backend, workers=1,
                      cert=leaf.cert, key=leaf.key, root=authority.cert, **options)
    gateway.authority = authority
    return gateway, backend


def by_address(request):
    return 403 if request.headers["x-forwarded-for"] == BAD else 204, [("Connection", "X-Any")], b""


def served(client, backend):
    upstream = backend.accept()
    eq(upstream.read_request().target, "/x", "what reaches the backend")
    upstream.respond(200, [("Connection", "close")])
    eq(client.response().status, 200, "status")
    upstream.close()
    client.close()


def is_turned_away(gateway, port, source, data=b""):
    try:
        client = gateway.client(port, source=source).send(data)
        eq(client.expect_end()[1], b"", f"bytes on {port}")
    except ConnectionError:
        pass


@test("on every kind of port the service is told who connects; whom it refuses ends without a byte, and no "
      "backend is dialled")
def every_port():
    judge = Judge(by_address)
    gateway, backend = stage(judge)
    for port in ("port", "tcp"):
        client = gateway.client(port).send(REQUEST)
        served(client, backend)
        asked = judge.asked[-1]
        eq((asked.command, asked.path, asked.headers["x-forwarded-for"], asked.headers["x-sni"]),
           ("GET", f"/at/{gateway.ports[port]}", GOOD, None), port)
        check(int(asked.headers["x-port"]) > 0 and asked.headers["x-forwarded-method"] is None, port)
    identity = gateway.authority.issue("somebody", client=True)
    client = tls.Tls(gateway.ports["tls"], gateway.authority, "web.test", identity=identity)
    served(client.send(REQUEST.replace(b": a", b": web.test")), backend)
    eq((judge.asked[-1].headers["x-sni"], judge.asked[-1].headers["x-subject"]), ("web.test", "somebody"),
       "of TLS")
    client = gateway.client("tls").send(Play("passed.test").hello)
    upstream = backend.accept()
    eq(upstream.read(len(Play("passed.test").hello))[:3], b"\x16\x03\x01", "what is passed through")
    eq(judge.asked[-1].headers["x-sni"], "passed.test", "of TLS that is passed through")
    client.close()
    upstream.close()
    served(gateway.client("announced", source=PROXY).send(v1() + REQUEST), backend)
    eq(judge.asked[-1].headers["x-forwarded-for"], CLIENT, "whom a proxy announces")
    judge.asked.clear()
    is_turned_away(gateway, "port", BAD, REQUEST)
    is_turned_away(gateway, "tcp", BAD)
    is_turned_away(gateway, "tls", BAD, Play("passed.test").hello)
    for name in ("web.test", "ended.test"):
        tls.refused(("127.0.0.1", gateway.ports["tls"]), None, name, source=BAD)
    is_turned_away(gateway, "announced", PROXY, v1(BAD) + REQUEST)
    lines = gateway.wait_log(lambda line: line["close_reason"] == TOLD, 6)
    for line in lines:
        check("the service refuses" in line["error"] and "frontend/networkExtAuthz" in line["error"],
              str(line))
    eq(len(judge.asked), 6, "questions")
    eq(gateway.metrics()("headgate_policy_refusals_total", policy="networkExtAuthz",
                         rule="frontend/networkExtAuthz"), 6, "refusals")
    # Whom the rules refuse, nobody is asked about.
    is_turned_away(gateway, "port", "127.0.0.9")
    is_turned_away(gateway, "tcp", "127.0.0.9")
    gateway.wait_log(lambda line: line["close_reason"] == "network_authorization", 2)
    eq(len(judge.asked), 6, "questions about those whom the rules refuse")
    backend.expect_no_connection(0.1)


@test("what clients send while the service decides is read afterwards, whole and by the backend only")
def nothing_is_lost():
    gate = Gate()
    gateway, backend = stage(gate)
    clients = [gateway.client(port).send(REQUEST) for port in ("port", "tcp")]
    clients.append(gateway.client("announced", source=PROXY).send(v1() + REQUEST))
    for name in ("web.test", "ended.test"):
        clients.append(tls.Tls(gateway.ports["tls"], None, name))
        clients[-1].send(REQUEST.replace(b": a", b": web.test"))
    many = gateway.client("tcp")
    sent = many.send_until_blocked(b"x" * 65536)
    fin = gateway.client("tcp").send(b"all")
    fin.fin()
    gate.await_questions(7)
    backend.expect_no_connection(0.1)
    gate.tell(200)
    for upstream in (backend.accept() for _ in range(7)):
        first = upstream.read(3)
        if first == b"GET":
            upstream.read_until(b"\r\n\r\n")
            upstream.respond(200, [("Connection", "close")])
        elif first == b"all":
            eq(upstream.read_eof(), b"", "behind the last byte")
        else:
            eq(len(upstream.read(sent - 3)), sent - 3, "bytes of a client that sent until it was blocked")
        upstream.close()
    for client in clients:
        eq(client.response().status, 200, "status")


@test("a client that leaves meanwhile ends the call; those that stay are not disturbed", needs=("bpf",))
def client_leaves():
    gate = Gate()
    lane = PORTS.replace("config: {", "config: {splice: {mode: @mode@}, ")
    gateway, backend = stage(gate, ports=lane, mode="require")
    # Its FIN comes in the segment of the header, and has no event of its own.
    early = gateway.client("announced", source=PROXY)
    early.socket.send(v1(), socket.MSG_MORE)
    early.fin()
    gone, reset, stays = gateway.client(), gateway.client("tcp").send(b"x"), gateway.client()
    gate.await_questions(3)
    gone.close()
    reset.rst()
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 1, 10, "the ends")
    eq(gateway.metrics()("headgate_downstream_accepted_total"), 4, "connections")
    gate.tell(200)
    served(stays.send(REQUEST), backend)
    tunnel(gateway, backend, port="tcp")  # as any other, it gets into the kernel lane
    backend.expect_no_connection(0.1)


@test("a rule that decides by chance lets no client past the service")
def random_rule():
    ports = PORTS.replace('source.address == "127.0.0.9"', "random() < 0.5")
    judge = Judge(lambda _: (403, [], b""))
    gateway, backend = stage(judge, ports=ports)
    for _ in range(20):
        is_turned_away(gateway, "tcp", GOOD)
    check(0 < len(judge.asked) < 20, f"{len(judge.asked)} questions")
    backend.expect_no_connection(0.1)


@test("a client that waits is not admitted if a reload makes its listener end TLS, or ask for a certificate")
def listener_changes():
    gate = Gate()
    gateway, backend = stage(gate)
    ended = tls.Tls(gateway.ports["tls"], None, "ended.test")
    passed = gateway.client("tls").send(Play("passed.test").hello)
    gate.await_questions(2)
    changed = PORTS.replace("ended.test, tls: {", "ended.test, tls: {root: @root@, clientAuth: required, ")
    changed = changed.replace("passed.test,", "passed.test, tls: {cert: @cert@, key: @key@},")
    gateway.reload(changed % (TRUST, gate.address, PATIENT, ""))
    gate.tell(200)
    for client in (ended, passed):
        eq(client.expect_end()[1], b"", "bytes")
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 0, 10, "the ends")
    backend.expect_no_connection(0.1)


@test("without a valid answer the connection ends with its own reason, or stays with failureMode allow")
def fails_closed():
    late = Gate()
    cases = ((late, "network_ext_authz_timeout"), (Judge(lambda _: (503, [], b"")), TOLD + "_failed"),
             (Judge(lambda _: (200, [("Content-Length", "1")], b"xyz")), TOLD + "_failed"),
             (Judge(lambda _: (200, [], b"x" * 100_000)), TOLD + "_failed"),
             (Judge(lambda _: (302, [("Location", "/")], b"")), TOLD))
    for service, reason in cases:
        gateway, backend = stage(service, deadline="200ms" if service is late else PATIENT)
        is_turned_away(gateway, "tcp", GOOD)
        line = gateway.wait_log(lambda line: line["close_reason"] == reason)
        eq(line["protocol"], "tcp", "protocol")
        if service is late:
            eq(gateway.metrics()("headgate_timer_fired_total", timer=reason), 1, "timers")
        else:
            is_turned_away(gateway, "port", GOOD, REQUEST)
            gateway.wait_log(lambda line: line["close_reason"] == reason, 2)
        backend.expect_no_connection(0.05)
        gateway.stop()
    gateway, backend = stage(Judge(lambda _: (503, [], b"")), "failureMode: allow")
    served(gateway.client().send(REQUEST), backend)
    refusing, backend = stage(Judge(lambda _: (403, [], b"")), "failureMode: allow")
    is_turned_away(refusing, "port", GOOD, REQUEST)


@test("an answer is kept for connections with the same key, and never one that refuses")
def cached():
    judge = Judge(by_address)
    gateway, backend = stage(judge, "cache: {key: [source.address], ttl: 1h}")
    for _ in range(3):
        served(gateway.client().send(REQUEST), backend)
        served(gateway.client("tcp").send(REQUEST), backend)
    eq(len(judge.asked), 1, "questions about one address")
    for _ in range(2):
        is_turned_away(gateway, "port", BAD)
    eq(len(judge.asked), 3, "questions about one that is refused")


@test("a reload and a drain leave a client that waits its answer; a crash ends it")
def lifecycle():
    gate = Gate()
    gateway, backend = stage(gate, keeper=True)
    waits = gateway.client().send(REQUEST)
    gate.await_questions(1)
    kill(gateway)
    eq(waits.expect_end()[1], b"", "bytes after a crash")
    waits = gateway.client().send(REQUEST)
    gate.await_questions(2)
    other = Judge(lambda _: (403, [], b""))
    gateway.reload(PORTS % (TRUST, other.address, PATIENT, ""))
    is_turned_away(gateway, "port", GOOD)
    gateway.terminate()
    backend.expect_no_connection(0.1)
    gate.tell(200)
    served(waits, backend)
    gateway.expect_exit()
