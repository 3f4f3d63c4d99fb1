# SPDX-License-Identifier: Apache-2.0
"""The lane direct from start to end: what is refused and said, what becomes a tunnel, reload,
drain, sudden crash, and that no other socket of the host is touched."""
import random
import signal
import ssl
import time

from bpf_objects import bpftool, expect_gone, held
from hg import *
from hg.framework import skip
from same_host import *
from splice import Load, in_background

HTTP = """
config: {splice: {@splice@}}
frontendPolicies: {connect: {mode: route}}
binds:
- port: @port@
  listeners:
  - splice: sameHost
    routes:
    - name: all
      backends:
      - host: @origin@
        splice: sameHost
"""
ASK = "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
CONNECT = "CONNECT inside.example:443 HTTP/1.1\r\nHost: inside.example:443\r\n\r\n"
# Of what is in the maps, what grows with sockets.
SOCKET_MAPS = ("local_sockets", "local_ends", "local_of")


def played_out(gateway, client, upstream, lane, size=2 * MIB):
    settle(gateway, client, upstream, lane)
    both_ways(client, upstream, size)
    client.send("last words")
    client.fin()
    eq(upstream.read_eof(), b"last words", "up to FIN")
    upstream.send("and the answer")
    upstream.fin()
    eq(client.read_eof(), b"and the answer", "up to FIN")
    record = gateway.wait_log()
    eq(record["close_reason"], "ok", "close_reason")


@test("a connection is a tunnel of this lane from the backend's 101 on, and plain HTTP before it",
      needs=("bpf", "root"), timeout=60)
def upgraded():
    for lane in ("direct",):
        gateway, backend = acted(lane, HTTP)
        # An exchange before it on the same two connections.
        client = gateway.client().request("GET", "/first")
        upstream = backend.accept()
        upstream.read_request()
        upstream.respond(body=b"plain")
        eq(client.response().body, b"plain", "body")
        client.send(ASK + "early")
        upstream.read_request()
        upstream.send(SWITCH + "first")
        eq(client.response_head().status, 101, "status")
        eq(client.read(5), b"first", "behind the 101")
        eq(upstream.read(5), b"early", "behind the request")
        lanes = totals(gateway)
        eq((lanes["in"][lane], lanes["out"][lane]), (0, 0), f"bytes of lane {lane} before the tunnel")
        played_out(gateway, client, upstream, lane)


@test("of two listeners of a port none is used by this lane unless both agreed", needs=("bpf", "root"))
def two_listeners():
    config = HTTP + """
  - hostname: shy.example
    routes:
    - name: shy
      backends:
      - host: @origin@
        splice: sameHost
"""
    for agreed, lanes in (("auto", 0), ("sameHost", 2)):
        gateway, backend = acted("direct", config.replace("- hostname: shy.example",
                                                          f"- hostname: shy.example\n    splice: {agreed}"))
        client = gateway.client().send(ASK)
        upstream = backend.accept()
        upstream.read_request()
        upstream.send(SWITCH)
        eq(client.response_head().status, 101, "status")
        settle(gateway, client, upstream, "direct" if lanes else "off")
        both_ways(client, upstream, MIB)
        found = totals(gateway)
        eq(sum(found[way]["direct"] > 0 for way in found), lanes, f"{agreed}: ways of lane direct: {found}")


@test("CONNECT and TLS passthrough ride this lane as well", needs=("bpf", "root"), timeout=60)
def connect_and_tls():
    for lane in ("direct",):
        gateway, backend = acted(lane, HTTP)
        client = gateway.client().send(CONNECT)
        upstream = backend.accept()
        check(client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 "), "answer to CONNECT")
        played_out(gateway, client, upstream, lane)
        gateway, backend = acted(lane, CONFIG.replace("protocol: TCP", "protocol: TLS"))
        client = gateway.client()
        outgoing = ssl.MemoryBIO()
        session = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="a.test")
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            pass
        hello = outgoing.read()
        client.send(hello)
        upstream = backend.accept()
        eq(upstream.read(len(hello)), hello, "ClientHello")
        played_out(gateway, client, upstream, lane)


def refused(mode, lanes="[sockmap, direct, bypass]", **options):
    config = CONFIG.replace("@splice@", f"mode: {mode}, lanes: {lanes}, adaptive: false")
    origin = Backend()
    return Gateway(config, origin=origin, timeouts="", listener="sameHost", backend="sameHost", workers=1,
                   **options), origin


@test("on a kernel with the known fault, without force: one line that says so, the other lanes carry "
      "everything, and require does not start", needs=("bpf", "root"))
def not_forced():
    gateway, backend = refused("auto")
    why = why_not(gateway, "direct")
    if why is None:
        skip("this kernel has no known fault: nothing to refuse")
    if "CVE-2026-74589" not in why:
        skip(f"needs the lane direct: {why}", "bpf")
    eq(why_not(gateway, "bypass"), why, "both lanes for one reason")
    lines = warning_lines(gateway, "lanes direct and bypass")
    eq(len(lines), 1, f"lines in {gateway.stderr!r}")
    check("CVE-2026-74589" in lines[0] and "force" in lines[0], f"what it is and how to go on: {lines[0]}")
    client, upstream = tunnel(gateway, backend)
    both_ways(client, upstream, MIB)
    for way, lanes in totals(gateway).items():
        eq(lanes["direct"], 0, f"{way}: bytes of lane direct")
    check(totals(gateway)["in"]["sockmap"] > 0, "the kernel lane does it")
    gateway, _ = refused("require", ready=False, checked=False)
    gateway.expect_exit(5, status=1)
    lines = warning_lines(gateway, "config.splice.mode is require")
    eq(len(lines), 1, f"lines that say why in {gateway.stderr!r}")
    check("CVE-2026-74589" in lines[0], lines[0])


@test("without privileges one line says what is missing, and the bytes are copied", needs=("bpf", "root"))
def unprivileged():
    config = CONFIG.replace("@splice@", "lanes: [direct], force: true")
    backend = Backend()
    gateway = Gateway(config, origin=backend, timeouts="", listener="sameHost", backend="sameHost", workers=1,
                      uid=65534)
    lines = warning_lines(gateway, "no lane direct")
    eq(len(lines), 1, f"lines in {gateway.stderr!r}")
    check("CAP_" in lines[0], lines[0])
    client, upstream = tunnel(gateway, backend)
    both_ways(client, upstream, MIB)
    eq(totals(gateway)["out"]["direct"], 0, "bytes of lane direct")


def entries(gateway):
    """{map: number of entries} of this gateway's maps that hold sockets."""
    ours = held(gateway)["map"]
    found = {entry["name"]: entry["id"] for entry in bpftool("map", "show")
             if entry["id"] in ours and entry.get("name") in SOCKET_MAPS}
    check(found, "the gateway has maps of sockets")
    return {name: len(bpftool("map", "dump", "id", number)) for name, number in sorted(found.items())}


@test("no other connection of the host enters the maps: not strangers, not clients of other ports, not "
      "backends that did not agree", needs=("bpf", "root", "bpftool"), heavy=True)
def strangers():
    config = CONFIG + """
- port: @plain@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - name: plain
      backends:
      - host: @other@
"""
    other = Backend()
    gateway, backend = acted("direct", config, other=other)
    eq(sum(entries(gateway).values()), 0, f"at rest: {entries(gateway)}")
    # Somebody else's connection, one of the admin port, one through a port without these lanes.
    elsewhere = Backend()
    stranger = Raw(elsewhere.port)
    accepted = elsewhere.accept()
    keeper = Raw(gateway.admin_port)
    beside = gateway.client("plain")
    behind = other.accept()
    for one, far in ((stranger, accepted), (beside, behind)):
        both_ways(one, far, MIB)
    eq(sum(entries(gateway).values()), 0, f"with strangers: {entries(gateway)}")
    client, upstream = tunnel(gateway, backend, "direct")
    with_one = entries(gateway)
    # Both applications' and, as what lane direct needs bypasses, both of the gateway's own.
    eq(with_one.get("local_sockets"), 4, f"local sockets of one tunnel: {with_one}")
    for one, far in ((stranger, accepted), (beside, behind)):
        both_ways(one, far, MIB)
    eq(entries(gateway), with_one, "with strangers beside a tunnel")
    lanes = totals(gateway)
    client.fin()
    upstream.expect_fin()
    upstream.close()
    client.expect_fin()
    client.close()
    wait_until(lambda: sum(entries(gateway).values()) == 0, 5, f"no entry left: {entries(gateway)}")
    check(lanes["in"]["copy"] >= MIB, f"the plain port is copied: {lanes}")
    for raw in (stranger, accepted, beside, behind, keeper):
        raw.close()


@test("who connects to another host at the port of a listener is no client of ours, though it listens at "
      "every address", needs=("bpf", "root", "bpftool", "netns"))
def abroad():
    net = Net()
    backend = Backend(net.server.address, 9000, netns=net.server)
    gateway = Gateway(CONFIG, origin=backend, splice=SPLICE["direct"], timeouts="", listener="sameHost",
                      backend="sameHost", workers=1, netns=net.server)
    need_lane(gateway, "direct")
    elsewhere = Backend(net.client.address, gateway.port, netns=net.client)
    stranger = Raw((net.client.address, gateway.port), netns=net.server)
    both_ways(stranger, elsewhere.accept(), MIB)
    eq(sum(entries(gateway).values()), 0, f"with a stranger: {entries(gateway)}")
    client = Raw((net.server.address, gateway.port), netns=net.server)
    settle(gateway, client, backend.accept(), "direct")
    eq(entries(gateway).get("local_sockets"), 4, f"local sockets of one tunnel: {entries(gateway)}")


@test("reloads change new tunnels only: those in the lane stay there and lose nothing",
      needs=("bpf", "root"), timeout=60)
def reload():
    for lane in ("direct",):
        gateway, backend = acted(lane, backend="auto")
        gateway.names["backend"] = "sameHost"
        gateway.reload(CONFIG)
        client, upstream = tunnel(gateway, backend, lane)
        gateway.names["backend"] = "auto"
        gateway.reload(CONFIG)
        other, behind = tunnel(gateway, backend)
        before = totals(gateway)
        both_ways(other, behind, MIB)
        now = totals(gateway)
        eq([now[way]["direct"] - before[way]["direct"] for way in now], [0] * 2,
           f"{lane}: a new tunnel after the backend took its word back")
        settle(gateway, client, upstream, lane)
        gateway.names["backend"] = "sameHost"
        gateway.reload(CONFIG)
        third, beyond = tunnel(gateway, backend, lane)
        both_ways(third, beyond, MIB)
        gateway.reload("binds: []\n")
        settle(gateway, client, upstream, lane)
        both_ways(client, upstream, MIB)
        for one, far in ((client, upstream), (other, behind), (third, beyond)):
            one.fin()
            far.expect_fin()
            far.fin()
            one.expect_fin()
        for record in gateway.wait_log(count=3):
            eq(record["close_reason"], "ok", "close_reason")


@test("the maximum deadline of a drain resets tunnels in this lane, not before, as in user space",
      needs=("bpf", "root"), timeout=60, waits=True)
def drained():
    for lane in LANES:
        gateway, backend = acted(lane, CONFIG.replace("Deadline: 2s", "Deadline: 3s"))
        client, upstream = tunnel(gateway, backend, lane)
        with within(3.0, f"{lane}: the drain"):
            gateway.terminate()
            time.sleep(0.5)
            both_ways(client, upstream, MIB // 8)
            eq(client.expect_end(10)[0], "rst", f"{lane}: the end for the client")
            eq(upstream.expect_end(10)[0], "rst", f"{lane}: the end for the backend")
            gateway.expect_exit()
        eq(gateway.log()[-1]["close_reason"], "drain_deadline", f"{lane}: close_reason")


@test("killed while processes are blocked in send(): they get an error at once, in every lane",
      needs=("bpf", "root"), timeout=60)
def killed_senders():
    for lane in LANES:
        gateway, backend = acted(lane, checked=False)
        client, upstream = tunnel(gateway, backend, lane)
        senders = [in_background(send_for_ever, raw) for raw in (client, upstream)]
        before = None
        while before != (before := totals(gateway)):
            time.sleep(0.3)
        check(all(sender.is_alive() for sender in senders), f"{lane}: both are blocked")
        gateway.signal(signal.SIGKILL)
        gateway.wait(5)
        for sender in senders:
            sender.result(20)  # a sender that is not woken would block forever


def send_for_ever(raw):
    """Blocks in send(), without a time limit of its own, until the connection ends."""
    raw.socket.settimeout(None)
    try:
        while True:
            raw.socket.sendall(pattern(MIB))
    except OSError:
        pass


@test("killed at random moments under load: nothing of it is left, and the same ports serve again at once",
      needs=("bpf", "root", "bpftool"), heavy=True, timeout=120)
def killed():
    for lane in ("direct",):
        gateway, _ = acted(lane, checked=False)
        gateway.kill()
        echo = Origin(tcp_echo=True)
        gateway = Gateway(CONFIG, origin=echo, splice=SPLICE[lane], timeouts="", listener="sameHost",
                          backend="sameHost", workers=2, checked=False)
        load = Load(gateway.port, 16)
        dice = random.Random(time.time_ns())
        for number in range(4):
            before = load.bytes
            wait_until(lambda b=before: load.bytes > b + 300000, 20, f"the load of round {number}")
            wait_until(lambda: totals(gateway)["out"][lane] > 0, 20, f"bytes of lane {lane}")
            time.sleep(dice.random() * 0.3)
            objects = held(gateway)
            check(len(objects["link"]) >= 1, f"links: {objects}")
            gateway.signal(signal.SIGKILL)
            gateway.wait(5)
            expect_gone(objects)
            gateway.start()
            gateway.await_ready()
            eq(why_not(gateway, lane), None, f"lane {lane} after the restart")
            eq(gateway.metrics()("headgate_listen_failures_total"), 0, "ports that were still taken")
        load.end()
        gateway.kill()
