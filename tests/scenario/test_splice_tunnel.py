# SPDX-License-Identifier: Apache-2.0
"""Tunnels in the kernel lane behave as tunnels in user space, byte by byte and end by end."""
import random
import time

from hg import *
from splice import *

MIB = 1 << 20
PIECE = 128 << 10


def read_pattern(raw, size):
    checker = PatternCheck()
    while checker.received < size:
        data = raw.read_some()
        check(data, f"FIN after {checker.received} of {size} bytes")
        checker.feed(data)
    eq(checker.received, size, "bytes")


def write_pattern(raw, size, piece=MIB):
    for offset in range(0, size, piece):
        raw.send(pattern(min(piece, size - offset), offset))


@test("an echo tunnel returns every byte and ends with FIN on both sides, in both lanes", needs=("bpf",))
def echo():
    def once(mode):
        gateway, backend = acted(mode)
        client, upstream = tunnel(gateway, backend)
        for size in (1, 100, 5000, 70000, 300000):
            sender = in_background(client.send, pattern(size))
            verify(upstream.read(size), size)
            sender.result()
            sender = in_background(upstream.send, pattern(size))
            verify(client.read(size), size)
            sender.result()
        client.fin()
        upstream.expect_fin()
        upstream.send("after the client's FIN")
        eq(client.read(22), b"after the client's FIN", "half-closed")
        upstream.fin()
        client.expect_fin()
        record = gateway.wait_log()
        expect_lane(gateway, record)
        log = facts(record)
        # The number of single bytes until the lane was reached is a matter of time.
        check(int(log.pop("bytes_in", 0)) > 375000 and int(log.pop("bytes_out", 0)) > 375000,
              f"byte counts in {record.line}")
        return log
    compare(once)


@test("either side may close its half first; what the other half still sends arrives, in both lanes",
      needs=("bpf",))
def half_close():
    def once(mode):
        outcome = []
        for is_client_first in (True, False):
            gateway, backend = acted(mode)
            client, upstream = tunnel(gateway, backend)
            first, last = (client, upstream) if is_client_first else (upstream, client)
            first.send("last words")
            first.fin()
            eq(last.read_eof(), b"last words", "up to FIN")
            write_pattern_later = in_background(write_pattern, last, 3 * MIB)
            read_pattern(first, 3 * MIB)
            write_pattern_later.result()
            last.fin()
            first.expect_fin()
            record = gateway.wait_log()
            outcome.append((record["close_reason"], is_client_first))
            eq(gateway.metrics()("headgate_streams_open"), 0, "streams open")
        return outcome
    compare(once)


@test("a reset of either side resets the other and is told apart in the log, in both lanes", needs=("bpf",))
def reset():
    def once(mode):
        outcome = []
        for is_client in (True, False):
            gateway, backend = acted(mode)
            client, upstream = tunnel(gateway, backend)
            one, other = (client, upstream) if is_client else (upstream, client)
            one.rst()
            eq(other.expect_end(5)[0], "rst", "the other side")
            outcome.append(gateway.wait_log()["close_reason"])
        return outcome
    compare(once)
    gateway, backend = acted("require")
    client, upstream = tunnel(gateway, backend)
    client.rst()
    eq(gateway.wait_log()["close_reason"], "client_rst", "close_reason")


@test("a reset of the side that is only written to ends the tunnel, in both lanes", needs=("bpf",))
def reset_of_blocked_sink():
    def once(mode):
        outcome = []
        for is_client_slow in (True, False):
            gateway, backend = acted(mode)
            client, upstream = tunnel(gateway, backend)
            slow, fast = (client, upstream) if is_client_slow else (upstream, client)
            check(fast.send_until_blocked(pattern(MIB)) > 0, "some bytes go in")
            slow.rst()
            eq(fast.expect_end(5)[0], "rst", "the sender sees the reset")
            outcome.append(gateway.wait_log()["close_reason"])
        return outcome
    compare(once)


@test("100 MiB each way arrive unchanged, one way after the other and both at once",
      needs=("bpf",), timeout=60, heavy=True)
def large():
    size = (100 if not is_asan() else 20) * MIB
    for mode in MODES:
        gateway, backend = acted(mode)
        client, upstream = tunnel(gateway, backend)
        for source, sink in ((client, upstream), (upstream, client)):
            task = in_background(write_pattern, source, size)
            read_pattern(sink, size)
            task.result()
        tasks = [in_background(write_pattern, client, size), in_background(write_pattern, upstream, size),
                 in_background(read_pattern, client, size), in_background(read_pattern, upstream, size)]
        for task in tasks:
            task.result()
        if has_kernel_lane(gateway):
            stream = gateway.streams()[0]
            moved = stream["lane_bytes_in"]["sockmap"] + stream["lane_bytes_out"]["sockmap"]
            check(moved > 0, f"some of the bytes by the kernel: {stream} {closings(gateway)}")
        client.fin()
        upstream.expect_fin()
        upstream.fin()
        client.expect_fin()
        eq(gateway.wait_log()["close_reason"], "ok", "close_reason")


@test("what finds room at its reader goes through the kernel, also after a slow conversation",
      needs=("bpf",), timeout=60, heavy=True)
def all_kernel():
    raise_priority()
    size = 64 * MIB
    gateway, backend = acted("require")
    # Single bytes with pauses between them: what the sockets know of round trips is delayed acknowledgements.
    client, upstream = tunnel(gateway, backend)
    for way, source, sink in (("lane_bytes_in", client, upstream), ("lane_bytes_out", upstream, client)):
        settle(gateway, client, upstream, way[len("lane_bytes_"):])
        before = gateway.streams()[0][way]
        lockstep(source, sink, size)
        moved = wait_until(lambda: moved_since(gateway, way, before, size), 5, "all bytes to be counted")
        share = moved["sockmap"] / size
        note(f"{way}: {share:.0%} by the kernel, closings so far {closings(gateway)}")
        check(share > 0.95, f"{way}: only {share:.0%} by the kernel: {moved} {closings(gateway)}")
    client.fin()
    upstream.expect_fin()
    upstream.fin()
    client.expect_fin()


def lockstep(source, sink, size):
    """The next piece when the last one has arrived: every buffer on the way has room for it."""
    for offset in range(0, size, MIB):
        block = pattern(MIB, offset)
        for start in range(0, MIB, PIECE):
            source.send(block[start:start + PIECE])
            eq(sink.read(PIECE) == block[start:start + PIECE], True, f"the bytes near {offset + start}")


def moved_since(gateway, way, before, size):
    """{lane: bytes} since before, once they are `size` together."""
    moved = {lane: count - before[lane] for lane, count in gateway.streams()[0][way].items()}
    return moved if sum(moved.values()) == size else None


@test("a reader that stands still stops the sender, and gets every byte when it goes on, in both lanes",
      needs=("bpf",), timeout=40)
def stalled_reader():
    for mode in MODES:
        for is_client_slow in (True, False):
            gateway, backend = acted(mode)
            client, upstream = tunnel(gateway, backend)
            slow, fast = (client, upstream) if is_client_slow else (upstream, client)
            block = pattern(MIB)
            taken = fast.send_until_blocked(block, limit=256 * MIB)
            check(taken < 64 * MIB, f"{mode}: {taken} bytes were taken while nobody reads")
            reader = in_background(read_repeated, slow, block, taken)
            reader.result()
            # The other direction is not affected, and this one goes on.
            slow.send("other way")
            eq(fast.read(9), b"other way", "the other direction")
            fast.fin()
            slow.expect_fin()


def read_repeated(raw, block, size):
    done = 0
    while done < size:
        data = raw.read_some()
        check(data, f"FIN after {done} of {size}")
        for start in range(0, len(data), len(block)):
            piece = data[start:start + len(block)]
            at = (done + start) % len(block)
            want = (block[at:] + block[:at])[:len(piece)]
            check(piece == want, f"wrong bytes near {done + start}")
        done += len(data)
    eq(done, size, "bytes")


@test("bytes of the reader reach the sender while its own direction is blocked", needs=("bpf",))
def crosswise():
    for mode in MODES:
        gateway, backend = acted(mode)
        client, upstream = tunnel(gateway, backend)
        upstream.send_until_blocked(pattern(MIB), limit=64 * MIB)
        for number in range(20):
            client.send(f"request {number:3}")
            eq(upstream.read(11), f"request {number:3}".encode(), "against the jam")
        client.rst()
        eq(upstream.expect_end(5)[0], "rst", "the end")


@test("writers of single bytes and of random sizes lose nothing, in both directions at once",
      needs=("bpf",), timeout=40)
def small_writes():
    def writer(raw, size, seed, most):
        dice = random.Random(seed)
        at = 0
        while at < size:
            count = min(dice.randint(1, most), size - at)
            raw.send(pattern(count, at))
            at += count
            if dice.random() < 0.02:
                time.sleep(dice.random() * 0.01)

    for mode in MODES:
        gateway, backend = acted(mode)
        client, upstream = tunnel(gateway, backend)
        for size, most in ((3000, 1), (2 * MIB, 4000), (8 * MIB, 200000)):
            tasks = [in_background(writer, client, size, 1, most), in_background(writer, upstream, size, 2,
                     most),
                     in_background(read_pattern, client, size), in_background(read_pattern, upstream, size)]
            for task in tasks:
                task.result()


@test("data and FIN in one segment, again and again: nothing is lost before the FIN, in both lanes",
      waits=True, needs=("bpf",), timeout=60)
def fin_with_data():
    def once(mode):
        gateway, backend = acted(mode)
        for number in range(20):
            client, upstream = tunnel(gateway, backend)
            body = pattern(1 + number * 7001)
            task = in_background(lambda: (client.send(body), client.fin()))
            eq(upstream.read_eof(), body, "bytes before FIN")
            task.result()
            upstream.send(body)
            upstream.close()
            eq(client.read_eof(), body, "bytes before FIN")
        return [record["close_reason"] for record in gateway.wait_log(count=20)]
    compare(once)


@test("a rapid exchange of small pieces goes back to user space, a slow one into the kernel again",
      needs=("bpf",))
def adaptive():
    raise_priority()
    gateway, backend = acted("require")
    client, upstream = tunnel(gateway, backend)
    def rapid():
        # Many pieces each time: rapid also where a round trip waits for a core.
        for _ in range(5):
            client.send(*[b"ping"] * 100)
            upstream.read(400)
            upstream.send(*[b"pong"] * 100)
            client.read(400)
        return gates(gateway) == [(None, None)]
    wait_until(rapid, 20, "both directions back in the copy lane")
    settle(gateway, client, upstream)
    client.fin()
    upstream.expect_fin()
    upstream.close()
    client.expect_fin()


@test("with splice.adaptive off a tunnel is in the kernel from its first bytes on and stays there",
      needs=("bpf",))
def not_adaptive():
    config = TUNNEL.replace("mode: @mode@", "mode: @mode@, adaptive: false")
    gateway, backend = acted("require", config=config)
    client, upstream = tunnel(gateway, backend, warm=False)
    client.send(b"c" * 64)
    eq(upstream.read(64), b"c" * 64, "a message")
    wait_until(lambda: gates(gateway)[0][0], 5, "the kernel lane after the first bytes")
    # A pace at which an adaptive one would leave.
    rapid_until = time.monotonic() + 1
    count = 64
    while time.monotonic() < rapid_until:
        client.send(*[b"c" * 64] * 100)
        eq(upstream.read(6400), b"c" * 6400, "messages")
        count += 6400
    eq(gates(gateway), [("open", None)], "gates: this way is in the kernel, and stays there")
    eq(gateway.metrics()("headgate_sockmap_closed_total", reason="user"), 0, "times the bytes were asked "
                                                                             "back")
    client.fin()
    upstream.expect_fin()
    upstream.fin()
    client.expect_fin()
    eq(int(gateway.wait_log()["bytes_in"]), count, "bytes up")


@test("TLS passthrough: the ClientHello and everything after it arrive unaltered through the kernel",
      needs=("bpf",))
def passthrough():
    import ssl
    config = TUNNEL.replace("protocol: TCP", "protocol: TLS")
    def once(mode):
        gateway, backend = acted(mode, config)
        client = gateway.client()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="shop.example")
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            pass
        hello = outgoing.read()
        for start in range(0, len(hello), 50):
            client.send(hello[start:start + 50])
            time.sleep(0.001)
        upstream = backend.accept()
        eq(upstream.read(len(hello)), hello, "ClientHello")
        settle(gateway, client, upstream)
        for one, other in ((client, upstream), (upstream, client)):
            task = in_background(write_pattern, one, MIB)
            read_pattern(other, MIB)
            task.result()
        client.fin()
        upstream.expect_fin()
        upstream.fin()
        client.expect_fin()
        record = gateway.wait_log()
        expect_lane(gateway, record)
        return record["close_reason"], record.get("tls.sni")
    compare(once)


@test("a route and a backend can stay out of the kernel lane", needs=("bpf",))
def opt_out():
    for config in (TUNNEL.replace("- name: tunnel", "- name: tunnel\n      splice: off"),
                   TUNNEL + "        splice: off\n"):
        gateway, backend = acted("require", config)
        client, upstream = tunnel(gateway, backend, warm=False)
        for _ in range(20):
            client.send("x")
            eq(upstream.read(1), b"x", "a byte")
            time.sleep(0.02)
        eq(gates(gateway), [(None, None)], "gates")
        client.close()
        upstream.expect_fin()


@test("tunnelIdle and halfClosed fire on tunnels in the kernel lane, not before the time, not while "
      "bytes move", waits=True, timeout=60,
      needs=("bpf",))
def timers():
    for timer, reason, halves in (("tunnelIdle", "tunnel_idle", ("neither",)),
                                  ("halfClosed", "half_closed", ("client", "backend"))):
        config = TUNNEL.replace("{mode: @mode@}", f"{{mode: @mode@}}, timeouts: {{{timer}: 3s}}")
        # The kernel lane first: it takes a while to get there.
        played = [(*acted(mode, config), half) for mode in reversed(MODES) for half in halves]
        pairs = [tunnel(gateway, backend) for gateway, backend, _ in played]
        for number, (_, _, half) in enumerate(played):
            pairs[number] = first, last = pairs[number][::-1 if half == "backend" else 1]
            if half != "neither":
                first.fin()
                last.expect_fin()
        # Longer than the time, in steps that are far shorter; it runs from the last byte.
        for _ in range(9):
            time.sleep(0.45)
            sent = time.monotonic()
            for first, last in pairs:
                last.send("x")
                eq(first.read(1), b"x", "a byte")
        ends = [watch_end(first) for first, _ in pairs]
        for (gateway, _, half), end in zip(played, ends):
            what = f"{timer}, {gateway.names['mode']}, closed by {half}"
            check_time(end.result()[1] - sent, 3.0, what)
            eq(gateway.wait_log()["close_reason"], reason, what)
