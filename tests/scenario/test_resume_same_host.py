# SPDX-License-Identifier: Apache-2.0
"""The same-host lanes when their gateway dies: what lies in their queues stays there, what applications send
meanwhile goes past the dead gateway, and a successor goes on with tunnels, responses and idle clients."""
import threading
import time

from crashes import await_notes, kill, reset, stop
from hg import *
from same_host import CONFIG, SPLICE, acted, both_ways, need_lane, settle, totals, tunnel
from splice import in_background

LANES = ("direct",)
NEEDS = ("bpf", "root")
BYPASS = """
config: {splice: {lanes: [bypass], force: true}}
binds:
- port: @port@
  listeners:
  - splice: sameHost
    routes:
    - name: all
      backends:
      - host: "@origin@"
        splice: sameHost
"""
# A body comes by TCP, and goes to a client that bypasses it.
PIPED = BYPASS.replace("[bypass]", "[pipe, bypass], minBodyBytes: 65536") \
    .replace("        splice: sameHost\n", "")
SPLICE = {**SPLICE, "bypass": "lanes: [bypass], force: true"}
MIB = 1 << 20


def bypassing(origin=None, config=BYPASS, **options):
    origin = origin or Origin()
    gateway = Gateway(config, origin=origin, keeper=True, **{"workers": 1, **options})
    need_lane(gateway, "bypass")
    return gateway, origin


def resumed(gateway, kind="tunnel"):
    return gateway.metrics()("headgate_resumed_total", kind=kind)


def lost(gateway, reason):
    return gateway.metrics()("headgate_not_resumed_total", reason=reason)


def await_resumed(gateway, count, kind="tunnel"):
    wait_until(lambda: resumed(gateway, kind) == count, 10, f"{count} resumed: {kind}")


def await_swept(gateway, directions, hops):
    """What nobody went on with is free again."""
    def numbers():
        metrics = gateway.metrics()
        return (metrics("headgate_local_directions"), metrics("headgate_bypass_connections"))
    wait_until(lambda: numbers() == (directions, hops), 10, f"{(directions, hops)} and not {numbers()}")


def forget_lanes(gateway, backend):
    """From the next gateway on."""
    text = CONFIG
    for key, value in {"splice": "mode: off", "timeouts": "", "listener": "auto", "backend": "auto",
                       "port": gateway.port, "origin": f"127.0.0.1:{backend.port}"}.items():
        text = text.replace(f"@{key}@", str(value))
    gateway.write("config.yaml", text)


def exchange(end, other, text):
    end.send(text)
    eq(other.read(len(text)), text, "what was said")


@test("a tunnel in lane direct goes on in its lane after kill -9, with its id and its bytes; twice",
      needs=NEEDS)
def both_ways_go_on():
    for lane in LANES:
        gateway, backend = acted(lane, keeper=True, workers=2)
        client, upstream = tunnel(gateway, backend, lane)
        for death in range(1, 3):
            before = gateway.streams()[0]
            kill(gateway)
            await_resumed(gateway, death)
            after = gateway.streams()[0]
            for key in ("id", "route", "listener", "client", "endpoint", "bytes_in", "bytes_out"):
                eq(after.get(key), before.get(key), f"{key} after crash {death}, {lane}")
            settle(gateway, client, upstream, lane)
            exchange(client, upstream, b"a" * 5000)
            exchange(upstream, client, b"b" * 3000)
        before = gateway.streams()[0]
        client.fin()
        upstream.expect_fin()
        exchange(upstream, client, b"after the end of the other way")
        upstream.close()
        client.expect_fin()
        record = gateway.wait_log()
        eq(record["resumed"], "true", "resumed")
        eq(int(record["bytes_in"]), before["bytes_in"], f"bytes of the whole life, in, {lane}")
        eq(int(record["bytes_out"]), before["bytes_out"] + 30, f"bytes of the whole life, out, {lane}")
        await_swept(gateway, 0, 0)


@test("what two applications say to each other while nobody is there arrives, before a successor has started",
      needs=NEEDS)
def meanwhile():
    for lane in LANES:
        gateway, backend = acted(lane, keeper=True)
        client, upstream = tunnel(gateway, backend, lane)
        stop(gateway)
        exchange(client, upstream, b"past the gateway")
        exchange(upstream, client, b"and back")
        kill(gateway)
        await_resumed(gateway, 1)
        settle(gateway, client, upstream, lane)


@test("unread bytes in the queues of each lane outlive the gateway, behind them more goes on", needs=NEEDS)
def unread():
    for lane in (*LANES, "bypass"):
        gateway, backend = acted("direct" if lane == "bypass" else lane, keeper=True,
                                 config=CONFIG.replace("@splice@", SPLICE[lane]))
        if lane == "bypass":
            need_lane(gateway, "bypass")
        client, upstream = tunnel(gateway, backend, "off" if lane == "bypass" else lane)
        sent = [0, 0]
        # Until each queue on the way is full: of the reader, of TCP, and of the gateway in between.
        for way, (writer, _) in enumerate(((client, upstream), (upstream, client))):
            sent[way] = writer.send_until_blocked(pattern(64 * MIB), limit=64 * MIB)
        kill(gateway)
        tasks = [in_background(client.send, pattern(MIB, sent[0])),
                 in_background(upstream.send, pattern(MIB, sent[1]))]
        for way, reader in enumerate((upstream, client)):
            try:
                check(reader.read(sent[way] + MIB) == pattern(sent[way] + MIB), "other bytes")
                is_whole = True
            except (OSError, Failure) as error:
                # The copy lane had something in memory: then it is a reset, never a hole.
                is_whole = False
                check("RST" in str(error) or "reset" in str(error).lower() or isinstance(error, OSError),
                      f"{lane}: ended by {error}")
        note(f"{lane}: {sent} bytes, {'went on' if is_whole else 'reset'}")
        if is_whole:
            for task in tasks:
                task.result()
        wait_until(lambda g=gateway: resumed(g) + lost(g, "tunnel") == 1, 10, "it to be resumed or counted")


class Reader:
    """Reads a body of the origin slowly, so that the stream would be resumed; .end() tells how it ended."""
    SIZE = 16 * MIB

    def __init__(self, gateway, pauses_at=SIZE):
        self.client = gateway.client().request("GET", f"/bytes/{self.SIZE}")
        self.got, self.pauses_at, self.goes_on = 0, pauses_at, threading.Event()
        self.task = in_background(self.run)

    def run(self):
        eq(self.client.response_head().header("content-length"), str(self.SIZE), "what the client counts on")
        while self.got < self.SIZE:
            data = self.client.read_some(min(65536, self.SIZE - self.got))
            check(data, f"an end after {self.got} of {self.SIZE} bytes, without a reset")
            check(data == pattern(len(data), self.got), f"other bytes from {self.got} on")
            self.got += len(data)
            if self.got >= self.pauses_at:
                self.goes_on.wait()
            time.sleep(0.005)

    def await_bytes(self, count):
        wait_until(lambda: self.got >= count, 30, f"{count} bytes")

    def end(self):
        self.goes_on.set()
        try:
            self.task.result()
        except Failure:
            if not self.client.was_reset:
                raise
        self.client.close()
        return "reset" if self.got < self.SIZE else "whole"


@test("kill -9 while a pipe moves a body into a connection that bypasses TCP: its client gets the whole "
      "body, or a part of it and a reset", needs=NEEDS)
def piped():
    gateway, _ = bypassing(config=PIPED, args=["--restart-limit", "0"])
    reader = Reader(gateway, pauses_at=4 * MIB)
    reader.await_bytes(4 * MIB)
    wait_until(lambda: gateway.metrics()("headgate_relay_buffered_bytes") > 0, 10, "a pipe that is full")
    check(gateway.metrics()("headgate_relay_pipes") > 0, "no pipe")
    kill(gateway, at_rest=False)
    eq(reader.end(), "reset", "with bytes in the pipe")
    reader = Reader(gateway)
    reader.await_bytes(5 * MIB)
    kill(gateway, at_rest=False)
    note(f"a reader that goes on: {reader.end()}")


@test("half closed through lane direct when the gateway dies: the other way goes on, and what it "
      "brings meanwhile arrives", needs=NEEDS)
def half_closed():
    for lane in LANES:
        gateway, backend = acted(lane, keeper=True)
        client, upstream = tunnel(gateway, backend, lane)
        client.fin()
        upstream.expect_fin()
        stop(gateway)
        upstream.send(b"z" * 5000)
        kill(gateway)
        await_resumed(gateway, 1)
        eq(client.read(5000), b"z" * 5000, "what came meanwhile")
        exchange(upstream, client, b"more")
        upstream.close()
        client.expect_fin()
        eq(gateway.wait_log()["close_reason"], "ok", "close_reason")


@test("an application that ends, or resets, while nobody is there: the other one is told", needs=NEEDS)
def ends_meanwhile():
    for lane in LANES:
        gateway, backend = acted(lane, keeper=True)
        ended, broken = (tunnel(gateway, backend, lane) for _ in range(2))
        stop(gateway)
        ended[0].send(b"the last words").fin()
        broken[0].rst()
        kill(gateway)
        eq(ended[1].read(14), b"the last words", f"the last words, {lane}")
        ended[1].expect_fin()
        reset(broken[1])
        exchange(ended[1], ended[0], b"still open")


@test("a backend that resets, or has ended both ways, while nobody is there costs its own stream and no "
      "gateway; what it has sent before its end arrives", needs=NEEDS)
def backends_end_meanwhile():
    for lane in (*LANES, "bypass"):
        gateway, backend = acted("direct" if lane == "bypass" else lane, keeper=True,
                                 config=CONFIG.replace("@splice@", SPLICE[lane]))
        broken, ended = (tunnel(gateway, backend, "off" if lane == "bypass" else lane) for _ in range(2))
        ended[0].fin()
        ended[1].expect_fin()
        stop(gateway)
        broken[1].rst()
        ended[1].send(b"the last words").close()
        kill(gateway)
        reset(broken[0])
        kind, data = ended[0].expect_end()
        check(b"the last words".startswith(data), f"other words: {data}")
        note(f"{lane}: {kind} behind {data}")
        if kind == "fin":
            eq(data, b"the last words", f"the last words, {lane}")
        eq(gateway.metrics()("headgate_crashes_total"), 1, f"{lane}: crashes")


@test("a backend alone that agreed: without these lanes in the new configuration its tunnel is reset, and "
      "nothing dies of it", needs=NEEDS)
def backend_alone():
    gateway, backend = acted("direct", keeper=True, config=CONFIG.replace("@splice@", SPLICE["bypass"]),
                             listener="auto")
    need_lane(gateway, "bypass")
    client, upstream = tunnel(gateway, backend)
    exchange(client, upstream, b"over a bypass")
    forget_lanes(gateway, backend)
    kill(gateway)
    reset(client)
    reset(upstream)
    eq(gateway.metrics()("headgate_crashes_total"), 1, "crashes")


UPGRADED = BYPASS.replace("lanes: [bypass]", "lanes: [direct]")


@test("an upgraded connection in lane direct whose gateway dies ends as it would have: what was read of it "
      "before it bypassed TCP is known", needs=NEEDS)
def upgraded():
    backend = Backend()
    gateway = Gateway(UPGRADED, origin=backend, keeper=True, workers=1)
    need_lane(gateway, "direct")
    client = gateway.client()
    client.request("GET", "/chat", [("Connection", "upgrade"), ("Upgrade", "echo")], host="a")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    client.response_head()
    kill(gateway)
    await_resumed(gateway, 1)
    client.fin()
    upstream.expect_fin()
    exchange(upstream, client, b"the last")
    upstream.close()
    client.expect_fin()
    record = gateway.wait_log()
    eq((record["close_reason"], record["resumed"]), ("ok", "true"), "how it ended")


@test("bytes of a way that has ended in its lane are in the log behind two crashes", needs=NEEDS)
def counted():
    for lane in LANES:
        gateway, backend = acted(lane, keeper=True)
        client, upstream = tunnel(gateway, backend, lane)
        exchange(client, upstream, pattern(5000))
        before = gateway.streams()[0]["bytes_in"]
        client.fin()
        upstream.expect_fin()
        for death in range(1, 3):
            kill(gateway)
            await_resumed(gateway, death)
        upstream.close()
        client.expect_fin()
        eq(int(gateway.wait_log()["bytes_in"]), before, f"bytes, {lane}")


@test("idle clients that bypass TCP go on bypassing TCP, and a request that came meanwhile is "
      "answered", needs=NEEDS)
def idle_clients():
    gateway, _ = bypassing(workers=2)
    clients = [gateway.client() for _ in range(8)]
    for number, client in enumerate(clients):
        size = number * 1000
        eq(verify(client.get(f"/bytes/{size}").body, size), crc32(size), "an answer")
    for death in range(1, 3):
        time.sleep(0.1)
        await_notes(gateway.gateway_pid)
        stop(gateway)
        for number, client in enumerate(clients[:4]):
            client.request("POST", "/upload", body=pattern(number * 100000))
        kill(gateway)
        await_resumed(gateway, 8 * death, "client")
        for number, client in enumerate(clients[:4]):
            eq(client.response().json()["length"], number * 100000, "an upload that came meanwhile")
        for client in clients:
            eq(verify(client.get("/bytes/300000").body, 300000), crc32(300000), "an answer")
        for record in gateway.wait_log(count=8 + 12 * death)[-8:]:
            eq(record.get("bypass"), "client/backend", "bypass")
    for client in clients:
        client.close()
    wait_until(lambda: gateway.metrics()("headgate_bypass_connections") <= 8, 10, "only backends are left")


@test("answers to clients that bypass TCP go on after kill -9: lengths, chunks, until the end of the "
      "connection",
      needs=NEEDS)
def responses():
    backend = Backend()
    gateway, _ = bypassing(origin=backend)
    for head, framed in ((b"content-length: 4000000\r\n", False), (b"transfer-encoding: chunked\r\n", True),
                         (b"connection: close\r\n", False)):
        client = gateway.client()
        client.request("GET", "/events", host="a")
        upstream = backend.accept()
        upstream.read_until(b"\r\n\r\n")
        upstream.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")

        def say(first, size):
            data = pattern(size, first)
            upstream.send(b"%x\r\n%s\r\n" % (size, data) if framed else data)
        say(0, 1000)
        client.read_until(b"\r\n\r\n")
        time.sleep(0.6)  # it is worth a row by now
        before = resumed(gateway, "response")
        say(1000, 1000)
        kill(gateway)
        await_resumed(gateway, before + 1, "response")
        for at in range(2000, 4000000, 999500):
            say(at, 999500)
        if framed:
            upstream.send(b"0\r\n\r\n")
        elif b"close" in head:
            upstream.close()
        # A client of HTTP/1.1 gets what ends with the connection in chunks.
        body = read_body(client, b"content-length" not in head)
        eq(len(body), 4000000, f"length with {head}")
        check(body == pattern(4000000), f"other bytes with {head}")
        record = gateway.wait_log()
        eq((record["resumed"], record["bypass"]), ("true", "client/backend"), "the line")


def read_body(client, framed):
    if not framed:
        return client.read(4000000)
    body = b""
    while True:
        size = int(client.read_line(), 16)
        data = client.read(size + 2)
        if not size:
            return body
        body += data[:-2]


@test("a tunnel whose ends bypass TCP goes on bypassing TCP", needs=NEEDS)
def bypassing_tunnel():
    gateway, backend = bypassing(origin=Backend(), config=CONFIG.replace("@splice@", SPLICE["bypass"]),
                               timeouts="", listener="sameHost", backend="sameHost")
    client, upstream = tunnel(gateway, backend)
    for _ in range(2):
        exchange(client, upstream, pattern(100000))
        await_notes(gateway.gateway_pid)  # else it may be stopped in the middle of the last write
        stop(gateway)
        client.send(b"a word")
        kill(gateway)
        eq(upstream.read(6), b"a word", "a word that came meanwhile")
        exchange(upstream, client, pattern(100000))
        await_swept(gateway, 0, 2)
    client.fin()
    upstream.expect_fin()
    upstream.close()
    client.expect_fin()
    eq(gateway.wait_log()["bypass"], "client/backend", "bypass")


@test("without these lanes in the new configuration what was in them is reset, and counted", needs=NEEDS)
def without_lanes():
    for lane in LANES:
        gateway, backend = acted(lane, keeper=True)
        client, upstream = tunnel(gateway, backend, lane)
        forget_lanes(gateway, backend)
        kill(gateway)
        reset(client)
        reset(upstream)
        wait_until(lambda g=gateway: lost(g, "tunnel") == 1, 10, f"{lane}: the tunnel to be counted")
    gateway, _ = bypassing()
    client = gateway.client()
    eq(client.get("/bytes/10").status, 200, "an answer")
    gateway.write("config.yaml", BYPASS.replace("lanes: [bypass], force: true", "mode: off")
                  .replace("@port@", str(gateway.port)).replace("@origin@", "127.0.0.1:1"))
    kill(gateway)
    reset(client)
    wait_until(lambda: lost(gateway, "idle_bypass") == 1, 10, "the idle client that bypassed TCP to be "
                                                              "counted")


@test("bulk and words both ways through many crashes: every byte arrives, or both ends are reset; a new "
      "tunnel is in the lane at once, and after the last crash no slot is left behind", timeout=150,
      heavy=True, needs=NEEDS)
def soak():
    for lane in LANES:
        gateway, backend = acted(lane, keeper=True, workers=2, args=["--restart-limit", "0"])
        pairs, ended = [tunnel(gateway, backend) for _ in range(6)], [0, 0]
        is_over = threading.Event()

        def converse(pair, seed):
            try:
                while not is_over.is_set():
                    both_ways(*pair, 1 << 19, seed)
                ended[0] += 1
                return True
            except (OSError, Failure) as error:
                check("RST" in str(error) or "reset" in str(error).lower() or isinstance(error, OSError),
                      f"{lane}: ended by {error}")
                ended[1] += 1
                return False
        tasks = [in_background(converse, pair, seed) for seed, pair in enumerate(pairs)]
        for _ in range(6):
            time.sleep(0.3)
            kill(gateway)
            fresh = tunnel(gateway, backend, lane)
            for end in fresh:
                end.close()
        is_over.set()
        alive = [task.result(90) for task in tasks]
        note(f"{lane}: {ended[0]} of 6 outlived 6 crashes, {resumed(gateway):.0f} adoptions")
        for pair in pairs:
            for end in pair:
                end.close()
        await_swept(gateway, 0, 0)
        eq(len(alive), 6, "conversations")
