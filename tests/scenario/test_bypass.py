# SPDX-License-Identifier: Apache-2.0
"""Lane bypass: between processes of this host requests, answers and tunnels go past TCP, each side of the
gateway on its own; byte by byte, end by end and reason by reason as without it, and only where the owners
agreed."""
import fcntl
import os
import random
import re
import signal
import socket
import struct
import termios
import threading
import time

from bpf_objects import expect_gone, held
from crashes import stop
from hg import *
from hg.framework import binary
from hg.h2 import H2Client
from hg.h2_backend import H2Service
from bypass import ASK, CONFIG, CONNECT, NEEDS, SHARED, SPLICE, SWITCH, acted, opened
from same_host import MIB, need_lane
from splice import compare_all, facts, in_background


def hopped(gateway):
    """Bytes past TCP of the connections that have ended, at the client's and the backend's side."""
    metrics = gateway.metrics()
    return (metrics("headgate_bypass_client_bytes_total"), metrics("headgate_bypass_backend_bytes_total"))


def exchanges(client):
    """Of each kind once; what came back."""
    big = client.request("POST", "/upload", body=pattern(300001)).response().json()
    chunked = client.request("PUT", "/echo", body=pattern(70000), chunked=True).response("PUT")
    return [client.get("/anything").status, client.request("HEAD", "/bytes/50").response("HEAD").status,
            client.get("/status/404").status, verify(client.get("/bytes/1000003").body, 1000003),
            (big["length"], big["is_pattern"]), verify(chunked.body, 70000),
            client.get("/bytes/0").body]


@test("requests and answers of each kind are the same with the bypass, their log says which sides bypass, "
      "and the "
      "metrics how much", needs=NEEDS)
def kinds():
    def once(lane):
        gateway, _ = opened(lane)
        client = gateway.client()
        answers = exchanges(client)
        client.close()
        records = gateway.wait_log(count=7)
        for record in records:
            eq(record.get("bypass"), "client/backend" if lane == "bypass" else None, f"bypass of "
                                                                                     f"{record.line}")
        if lane == "bypass":
            wait_until(lambda: hopped(gateway)[0] > 300000, 5, f"bytes past TCP: {hopped(gateway)}")
            gateway.stop()
        return answers, [facts(record) for record in records]
    compare_all(once, ("off", "bypass"))


@test("each side bypasses TCP by itself where its owner agreed, and no other connection does", needs=NEEDS)
def sides():
    for listener, backend, want in (("sameHost", "auto", "client"), ("auto", "sameHost", "backend"),
                                    ("auto", "auto", None), ("off", "sameHost", None),
                                    ("sameHost", "off", "client")):
        gateway, _ = opened(listener=listener, backend=backend)
        client = gateway.client()
        eq(verify(client.get("/bytes/50000").body, 50000), crc32(50000), "an answer")
        eq(gateway.wait_log().get("bypass"), want, f"listener {listener}, backend {backend}")


@test("clients and backends on another host do not bypass TCP, whatever the configuration says",
      needs=(*NEEDS, "netns"))
def elsewhere():
    net = Net()
    gateway, _ = opened(netns=net.server, origin=Origin(addr=net.server.address, netns=net.server))
    client = Raw((net.server.address, gateway.port), netns=net.client)
    eq(verify(client.get("/bytes/500000").body, 500000), crc32(500000), "an answer to another host")
    eq(gateway.wait_log().get("bypass"), "backend", "bypass")
    inside = Raw((net.server.address, gateway.port), netns=net.server)
    eq(verify(inside.get("/bytes/500000").body, 500000), crc32(500000), "an answer in the same namespace")
    eq(gateway.wait_log(count=2)[-1].get("bypass"), "client/backend", "bypass")


@test("IPv6 and several workers: every connection bypasses TCP", needs=NEEDS)
def workers():
    gateway, _ = opened(origin=f"[::1]:{Origin(addr='::1').port}", workers=3)
    for number in range(12):
        client = Raw(("::1", gateway.port))
        size = number * 7001
        eq(verify(client.get(f"/bytes/{size}").body, size), crc32(size), "an answer")
        client.close()
    for record in gateway.wait_log(count=12):
        eq(record.get("bypass"), "client/backend", f"bypass of {record.line}")


@test("/streams shows a stream that bypasses TCP, the gauge counts its connections, and both forget "
      "it", needs=NEEDS)
def shown():
    gateway, backend = acted()
    client = gateway.client().request("GET", "/wait")
    upstream = backend.accept()
    upstream.read_request()
    stream = wait_until(gateway.streams, 5, "the stream")[0]
    eq(stream["bypass"], "client/backend", "/streams")
    eq(gateway.metrics()("headgate_bypass_connections"), 2, "connections that bypass TCP")
    upstream.respond(body=b"done")
    eq(client.response().body, b"done", "the answer")
    client.close()
    upstream.close()
    wait_until(lambda: gateway.metrics()("headgate_bypass_connections") == 0, 5, "their end")


HTTP2_CONFIG = CONFIG.replace("splice: @backend@",
                              "splice: @backend@\n        policies: {http: {version: HTTP/2.0}}")


def uploaded(client, size):
    """What the backend says of an upload, by a client of either version."""
    if isinstance(client, H2Client):
        return client.response(client.request("/upload", "POST", body=pattern(size))).json()
    return client.request("POST", "/upload", body=pattern(size)).response().json()


@test("HTTP/2 bypasses as well: frames of a client, and of a backend, whatever the other side speaks",
      needs=NEEDS)
def http2():
    for config, backend in ((CONFIG, Origin), (HTTP2_CONFIG, H2Service)):
        gateway, service = opened(origin=backend(), config=config)
        for client in (H2Client(gateway.port), gateway.client()):
            for size in (0, 1, 16384, 60000, MIB):
                answer = client.get(f"/bytes/{size}")
                eq((answer.status, verify(answer.body, size)), (200, crc32(size)), f"{size} bytes")
            told = uploaded(client, 300001)
            eq((told["length"], told["is_pattern"]), (300001, True), "an upload")
            client.close()
        for record in gateway.wait_log(count=12):
            eq(record.get("bypass"), "client/backend", f"bypass of {record.line}")
        # The word alone does not say that bytes bypassed TCP; they are counted when their connection ends.
        getattr(service, "stop", service.cleanup)()
        wait_until(lambda: min(hopped(gateway)) > 600000, 5, "bytes past TCP on both sides")


@test("calls of gRPC bypass on both sides: messages of each kind, both ways, and their status",
      needs=(*NEEDS, "module:grpc"))
def grpc_calls():
    from test_grpc import Client, Server  # not above: its tests would be registered a second time
    server = Server()
    gateway, _ = opened(origin=server, config=HTTP2_CONFIG)
    client = Client(gateway.port)
    for size in (0, 1, 70000, 3000000):
        message, call = client.unary("Unary", pattern(size))
        eq(message == pattern(size), True, f"{size} bytes")
        eq(dict(call.trailing_metadata()).get("x-last"), "2", "metadata behind them")
    eq(b"".join(client.split("Split", pattern(300000))), pattern(300000), "a stream of the server")
    pieces = [pattern(5000, number) for number in range(200)]
    eq(client.collect("Collect", pieces), b"".join(pieces), "a stream of the client")
    eq([piece[::-1] for piece in client.chat("Chat", iter(pieces))], pieces, "both at once")
    for record in gateway.wait_log(count=7):
        eq((record["grpc.status"], record.get("bypass")), ("0", "client/backend"), f"{record.line}")
    client.cleanup()
    server.cleanup()
    wait_until(lambda: min(hopped(gateway)) > 2000000, 5, "bytes past TCP on both sides")


@test("of the bodies of one gateway with every lane on, what came past TCP is copied, what came by TCP and "
      "goes past it is in a pipe, and what bypasses TCP nowhere in pipe or sockmap", needs=NEEDS)
def lanes_apart():
    for pace, lane in (("adaptive: true", "pipe"), ("adaptive: false", "sockmap")):
        gateway = Gateway(SHARED, origin=Origin(), pace=pace, workers=1)
        need_lane(gateway, "bypass")
        ways = (("port", "client/backend"), ("front", "client"), ("back", "backend"), ("neither", None),
                ("port", "client/backend"))
        # One backend for all: connections to it that bypass TCP and others lie in the pool beside each other.
        for number, (name, bypass) in enumerate(ways):
            client = gateway.client(gateway.port if name == "port" else gateway.ports[name])
            eq(verify(client.get(f"/bytes/{4 * MIB}").body, 4 * MIB), crc32(4 * MIB), f"a body by {name}")
            told = uploaded(client, 4 * MIB)
            eq((told["length"], told["is_pattern"]), (4 * MIB, True), f"an upload by {name}")
            client.close()
            for record, source in zip(gateway.wait_log(count=2 * number + 2)[-2:], ("backend", "client")):
                eq(record.get("bypass"), bypass, f"bypass of {record.line}")
                want = "copy" if source in (bypass or "") else "pipe" if bypass else lane
                eq(record["lane"].replace("copy/", "").replace("/copy", ""), want, f"lane of {record.line}")
        gateway.stop()


@test("a pipe into a connection that bypasses TCP waits for its reader, follows it into TCP, ends with it",
      needs=NEEDS)
def piped():
    gateway = Gateway(SHARED, origin=Origin(), pace="adaptive: true", workers=1)
    need_lane(gateway, "bypass")
    for number, rcvbuf in enumerate((None, 8192)):
        client = gateway.client(gateway.ports["front"], rcvbuf=rcvbuf).request("GET", f"/bytes/{8 * MIB}")
        # The receiver's queue is full, and so is the pipe.
        wait_until(lambda: gateway.metrics()("headgate_relay_buffered_bytes") > 0, 10, "a pipe that waits")
        eq(verify(client.response().body, 8 * MIB), crc32(8 * MIB), f"a body, receive buffer {rcvbuf}")
        client.close()
        wait_until(lambda: len(gateway.log()) > number, 10, "the record")  # pylint: disable=W0640
        eq(gateway.log()[-1]["lane"], "pipe", "the lane")
    check(gateway.metrics()("headgate_bypass_left_total", reason="receiver_full") >= 1, "TCP took over")
    client = gateway.client(gateway.ports["front"]).request("GET", f"/bytes/{8 * MIB}")
    wait_until(lambda: gateway.metrics()("headgate_relay_buffered_bytes") > 0, 10, "a pipe that waits")
    client.rst()
    eq(gateway.wait_log(count=3)[-1]["close_reason"], "client_rst", "the end of a pipe that waits")
    eq(gateway.metrics()("headgate_relay_pipes"), 0, "pipes in use")


@test("a retried request and its pool bypass, and a backend connection serves many requests", needs=NEEDS)
def retried():
    gateway, backend = acted(policies="retry: {attempts: 2, backoff: 1ms, codes: [503]}")
    client = gateway.client().request("GET", "/once")
    upstream = backend.accept()
    for status in (503, 200):
        eq(upstream.read_request().target, "/once", "an attempt")
        upstream.respond(status, body=b"end" if status == 200 else b"")
        if status == 200:
            eq(client.response().body, b"end", "the answer")
    record = gateway.wait_log()
    eq((record["retry.attempt"], record.get("bypass")), ("1", "client/backend"), "the record")
    for number in range(20):
        client.request("GET", f"/{number}")
        eq(upstream.read_request().target, f"/{number}", "the same connection of the pool")
        upstream.respond(body=str(number).encode())
        eq(client.response().body, str(number).encode(), "its answer")


@test("a byte that nobody asked for closes an idle backend connection that bypasses TCP, as any "
      "other", needs=NEEDS)
def unsolicited():
    def once(lane):
        gateway, backend = acted(lane)
        client = gateway.client().request("GET", "/first")
        upstream = backend.accept()
        upstream.read_request()
        upstream.respond(body=b"one")
        eq(client.response().body, b"one", "the first answer")
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        upstream.expect_end()
        client.request("GET", "/second")
        upstream = backend.accept()
        eq(upstream.read_request().target, "/second", "on a new connection")
        upstream.respond(body=b"two")
        return client.response().body
    compare_all(once, ("off", "bypass"))


@test("a next request comes in one turn with what its pooled connection must not have said, or its end: the "
      "answer is that of another connection, also where the request cannot be repeated", needs=NEEDS)
def raced():
    def once(lane):
        bodies = []
        for method in ("GET", "POST"):
            for is_end in (False, True):
                gateway, backend = acted(lane)
                client = gateway.client().request("GET", "/first")
                upstream = backend.accept()
                # Twice: what came before a connection bypasses TCP is in no count.
                for _ in range(2):
                    upstream.read_request()
                    upstream.respond(body=b"one")
                    eq(client.response().body, b"one", "the first answers")
                    client.request("GET", "/again")
                upstream.read_request()
                upstream.respond(body=b"one")
                eq(client.response().body, b"one", "the third answer")
                wait_until(lambda g=gateway: g.metrics()("headgate_upstream_pool_idle") == 1, 5, "the pool")
                stop(gateway, gateway.pid)
                client.request(method, "/raced", body=b"body" if method == "POST" else None)
                time.sleep(0.05)
                if is_end:
                    upstream.close()
                else:
                    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
                time.sleep(0.05)
                os.kill(gateway.pid, signal.SIGCONT)
                other = backend.accept()
                eq(other.read_request().target, "/raced", "on a new connection")
                other.respond(body=b"two")
                bodies.append(client.response().body)
        eq(bodies, [b"two"] * 4, "the answers")
        return bodies
    compare_all(once, ("off", "bypass"))


def conversed(client, upstream, size, seed):
    """Bytes both ways at once, with FIN both ways."""
    def write(raw, dice):
        at = 0
        while at < size:
            count = min(dice.choice((1, 300, 9000, 150000)), size - at)
            raw.send(pattern(count, at))
            at += count
            if dice.random() < 0.05:
                time.sleep(dice.random() * 0.01)
        raw.fin()
    tasks = [in_background(write, raw, random.Random(seed + number))
             for number, raw in enumerate((client, upstream))]
    for raw in (client, upstream):
        tasks.append(in_background(lambda raw=raw: verify(raw.read_eof(), size)))
    for task in tasks:
        task.result(60)


@test("tunnels of an upgrade and of CONNECT bypass, and go on in lane direct where it is allowed: every "
      "byte, "
      "both ends", needs=NEEDS, timeout=60)
def tunnels():
    def once(lane):
        records = []
        for ask, answer in ((ASK, SWITCH), (CONNECT, None)):
            gateway, backend = acted(lane)
            client = gateway.client().send(ask)
            upstream = backend.accept()
            if answer:
                upstream.read_request()
                upstream.send(answer)
            head = client.read_until(b"\r\n\r\n")
            check(head.startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 200 ")), f"the answer {head}")
            conversed(client, upstream, 3 * MIB, 5)
            record = gateway.wait_log()
            eq(record["close_reason"], "ok", "close_reason")
            records.append(facts(record))
            if lane == "bypass":
                eq((record["lane"], record.get("bypass")), ("copy", "client/backend"), f"{record.line}")
        return records
    compare_all(once, ("off", "bypass", "all"))


@test("an answer that nobody reads holds up its sender within a bound, beside it others bypass TCP on, and "
      "it comes "
      "whole when it is read", needs=NEEDS, timeout=60)
def stalled():
    gateway, _ = opened()
    slow = gateway.client().request("GET", f"/bytes/{64 * MIB}")
    time.sleep(1)
    stream = gateway.streams()[0]
    check(stream["bytes_out"] < 40 * MIB, f"{stream['bytes_out']} bytes were taken while nobody reads")
    other = gateway.client()
    eq(verify(other.get("/bytes/20000").body, 20000), crc32(20000), "beside it")
    before = by_tcp(other)
    for _ in range(50):
        eq(verify(other.get("/bytes/20000").body, 20000), crc32(20000), "beside it")
    eq(by_tcp(other), before, "(sent, received) through TCP beside it")
    eq(verify(slow.response().body, 64 * MIB), crc32(64 * MIB), "the answer")


@test("an answer that leaves in one piece, larger than what may wait for its reader, comes whole when it is "
      "read", needs=NEEDS)
def at_once():
    body = "x" * 2 * MIB
    gateway, _ = opened(policies=f'directResponse: {{status: 200, body: "{body}"}}')
    client = gateway.client().request("GET", "/")
    wait_until(lambda: waiting(client) > MIB, 10, "as much as may wait")
    check(waiting(client) < 2 * MIB, "part of it waits in the gateway")
    eq(client.response().body, body.encode(), "the answer")


def waiting(raw):
    """Bytes that its reader has not read."""
    return struct.unpack("i", fcntl.ioctl(raw.socket, termios.FIONREAD, bytes(4)))[0]


def by_tcp(raw):
    """(sent, received) bytes of this end that went through TCP."""
    info = raw.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    # Not tcpi_bytes_acked: the last acknowledgement may be late.
    received, = struct.unpack_from("=Q", info, 128)  # tcpi_bytes_received
    sent, again = struct.unpack_from("=QQ", info, 200)  # tcpi_bytes_sent, tcpi_bytes_retrans
    return sent - again, received


def falls(gateway):
    """{reason: how often}, without zeros."""
    samples = gateway.metrics().families["headgate_bypass_falls_total"].samples
    return {labels["reason"]: value for _, _, labels, value in samples if value}


@test("behind a reader that stands still its sender goes back to TCP, log and metrics say why and on which "
      "side, and when the reader has caught up everything bypasses again", needs=NEEDS, timeout=60)
def comes_back():
    size = 32 * MIB
    for way, side in (("down", "backend"), ("up", "client")):
        gateway, backend = acted()
        client = gateway.client()
        client.send("POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: "
                    f"{size if way == 'up' else 0}\r\n\r\n")
        upstream = backend.accept()
        check(upstream.read_until(b"\r\n\r\n").startswith(b"POST "), "the head")
        if way == "down":
            upstream.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
        sender, reader = (client, upstream) if way == "up" else (upstream, client)
        eq(falls(gateway), {}, "falls while everybody reads")
        writer = in_background(sender.send, pattern(size))
        wait_until(lambda g=gateway: falls(g), 10, "a fall")
        if way == "up":
            verify(reader.read(size), size)
            upstream.respond(body=b"")
        eq(verify(client.response().body, 0 if way == "up" else size), crc32(0 if way == "up" else size),
           "the answer")
        writer.result()
        told = falls(gateway)
        check(set(told) <= {"receiver_full", "receiver_unread"}, f"the reasons {told}")
        record = gateway.wait_log()
        # Full first; later ones that pass may do so because the first of them are not read yet.
        check(record[f"bypass_reason_{side}"] in ("receiver_full", "receiver_unread"), f"{record.line}")
        other = {"client": "backend", "backend": "client"}[side]
        eq(record.get(f"bypass_reason_{other}"), None, f"the other side in {record.line}")
        ends = client, upstream
        check(by_tcp(sender)[0] > 100, f"bytes through TCP: {by_tcp(sender)}")

        def one_more():
            before = [by_tcp(end) for end in ends]
            client.request("POST", "/behind", body=pattern(30000))
            request = upstream.read_request()
            eq((request.target, verify(request.body, 30000)), ("/behind", crc32(30000)), "one behind it")
            upstream.respond(body=pattern(40000))
            eq(verify(client.response().body, 40000), crc32(40000), "its answer")
            return before == [by_tcp(end) for end in ends]
        wait_until(one_more, 5, "one that bypasses TCP again")
        before = [by_tcp(end) for end in ends]
        for _ in range(20):
            one_more()
        eq([by_tcp(end) for end in ends], before, f"(sent, received) through TCP, {way}: all bypasses again")
        eq(falls(gateway), told, "falls since")


@test("a client that goes away while its answer waits for room ends the stream at once, also when it had "
      "closed its half before", needs=NEEDS)
def gone():
    for says_fin in (False, True):
        gateway, _ = opened()
        client = gateway.client().request("GET", f"/bytes/{64 * MIB}")
        if says_fin:
            client.fin()
        wait_until(lambda: gateway.streams() and gateway.streams()[0]["bytes_out"] > 1000, 5, "the answer")
        time.sleep(0.3)
        client.close()
        wait_until(lambda: not gateway.streams(), 5, f"the end, FIN before: {says_fin}")


@test("a reload turns the bypass off for new connections, and running ones lose nothing", needs=NEEDS)
def reload():
    gateway, _ = opened()
    old = gateway.client()
    eq(verify(old.get("/bytes/70000").body, 70000), crc32(70000), "before")
    gateway.names["listener"] = gateway.names["backend"] = "auto"
    gateway.reload(CONFIG)
    eq(verify(old.get("/bytes/70000").body, 70000), crc32(70000), "the old connection")
    new = gateway.client()
    eq(verify(new.get("/bytes/70000").body, 70000), crc32(70000), "a new one")
    eq([record.get("bypass") for record in gateway.wait_log(count=3)], ["client/backend", "client", None],
       "bypass")


@test("a drain lets answers that bypass TCP go out whole", needs=NEEDS)
def drained():
    gateway, backend = acted(checked=False)
    client = gateway.client().request("GET", "/last")
    upstream = backend.accept()
    upstream.read_request()
    gateway.signal(signal.SIGTERM)
    upstream.send(f"HTTP/1.1 200 OK\r\nContent-Length: {4 * MIB}\r\n\r\n")
    writer = in_background(upstream.send, pattern(4 * MIB))
    eq(verify(client.response().body, 4 * MIB), crc32(4 * MIB), "the answer")
    writer.result()
    eq(gateway.wait(10), 0, "exit status")


@test("killed under load: what was sent arrives, then the end, nothing of the programs is left, and the same "
      "ports serve again", needs=(*NEEDS, "bpftool"), timeout=60)
def killed():
    gateway, _ = opened(workers=2, checked=False)
    for _ in range(3):
        clients = [gateway.client().request("GET", f"/bytes/{8 * MIB}") for _ in range(8)]
        heads = [client.response_head() for client in clients]
        eq([head.status for head in heads], [200] * 8, "heads")
        objects = held(gateway)
        gateway.signal(signal.SIGKILL)
        gateway.wait(5)
        for client in clients:
            checker = PatternCheck()
            try:
                while data := client.read_some():
                    checker.feed(data)
            except (Failure, OSError):
                pass
            client.close()
        expect_gone(objects)
        gateway.start()
        gateway.await_ready()
    eq(verify(gateway.client().get("/bytes/1000").body, 1000), crc32(1000), "afterwards")
    gateway.kill()


def crowd(gateway, connections, threads, seed):
    """Requests of random kind and size with random pauses; a sum of what came back."""
    results = [None] * threads

    def some(number):
        dice, told = random.Random(seed + number), []
        clients = [gateway.client() for _ in range(connections // threads)]
        for client in clients * 2:
            size = int(2 ** (dice.random() * 19))
            if dice.random() < 0.3:
                time.sleep(dice.random() * 0.02)
            if dice.random() < 0.5:
                told.append(verify(client.get(f"/bytes/{size}").body, size))
            else:
                answer = client.request("POST", "/upload", body=pattern(size)).response().json()
                told.append((answer["length"], answer["is_pattern"]))
        for client in clients:
            client.close()
        results[number] = told
    workers_ = [threading.Thread(target=some, args=(number,), daemon=True) for number in range(threads)]
    for worker in workers_:
        worker.start()
    for worker in workers_:
        worker.join(100)
    check(None not in results, "a connection stood still")
    return results


@test("a thousand connections with random sizes and pauses get what they get without the bypass",
      needs=NEEDS, heavy=True, timeout=120)
def thousand():
    def once(lane):
        gateway, _ = opened(lane, workers=2)
        told = crowd(gateway, 1000 if not is_asan() else 200, 20, 11)
        if lane == "bypass":
            # Those to the backend are pooled, and counted at their end.
            wait_until(lambda: hopped(gateway)[0] > 0, 5, "bytes past TCP")
            note(f"past TCP: {hopped(gateway)}")
        return told
    compare_all(once, ("off", "bypass"))


@test("a hundred million bytes down and up, verified; a thousand million in `make thorough`",
      needs=(*NEEDS, "curl"), heavy=True, timeout=120)
def billion():
    size = 10 ** 9 if is_thorough() and not is_asan() else 10 ** 8
    gateway, _ = opened(workers=2)
    target = f"http://127.0.0.1:{gateway.port}"
    status, out, error = run(["bash", "-o", "pipefail", "-c",
                              f"curl -sS {target}/bytes/{size} | curl -sS -T - -H 'Content-Length: {size}' "
                              f"-H 'Transfer-Encoding:' -H 'Expect:' {target}/upload"], timeout=100)
    eq((status, error), (0, ""), "curl")
    check(f'"length": {size}' in out and '"is_pattern": true' in out, out)
    wait_until(lambda: hopped(gateway)[0] > size / 2, 5, f"past TCP: {hopped(gateway)}")
    note(f"past TCP: {hopped(gateway)}")


@test("bpf status shows its programs, what they are attached to, and their maps", needs=(*NEEDS, "bpftool"))
def status():
    gateway, _ = opened()
    code, out, error = run([binary("headgate"), "bpf", "status"])
    eq((code, error), (0, ""), "bpf status")
    for name, where in (("local_sockops", "to a cgroup"), ("local_read", "to a trace point"),
                        ("local_message", "to map ")):
        check(re.search(rf"program \d+ {name}: .*\n  attached by link \d+ {where}", out), f"{name} in\n{out}")
    check(f"open in: process {gateway.pid} headgate" in out, f"the process in\n{out}")


@test("when the lane cannot be had one line says why and everything is served; mode require refuses to start",
      needs=("bpf", "root"))
def missing():
    gateway = Gateway(CONFIG, origin=Origin(), splice=SPLICE["bypass"], listener="sameHost",
                      backend="sameHost",
                      policies="", uid=65534)
    eq(verify(gateway.client().get("/bytes/1000").body, 1000), crc32(1000), "an answer")
    eq(gateway.wait_log().get("bypass"), None, "bypass")
    lines = [line for line in gateway.stderr.split("\n") if "lane bypass" in line]
    eq(len(lines), 1, f"lines about it: {lines}")
    refused = Gateway(CONFIG, origin=Origin(), splice="mode: require, lanes: [bypass], force: true",
                      listener="sameHost", backend="sameHost", policies="", uid=65534, ready=False,
                      checked=False)
    check(refused.wait(10) != 0, "exit status")
