# SPDX-License-Identifier: Apache-2.0
"""Many streams of every kind through the kernel lane at once, each also without it: not one byte is lost,
doubled or out of order, and both lanes tell the same of it."""
import asyncio
import collections
import itertools
import json
import operator
import os
import random
import re
import socket
import struct
import time

from hg import *
from splice import *

CONFIG = """
config: {splice: {mode: @mode@, minBodyBytes: 16384, adaptive: false}}
binds:
- port: @tunnel@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - backends:
      - host: @echo@
- port: @reset@
  listeners:
  - name: reset
    protocol: TCP
    tcpRoutes:
    - backends:
      - host: @echo@
- port: @port@
  listeners:
  - routes:
    - backends:
      - host: @origin@
"""
PAIRS = 40  # at a time: the same stream once with and once without the kernel lane
PORTS = {"echo": "tunnel", "half": "tunnel", "reset": "reset"}
KINDS = ("echo", "echo", "half", "reset", "http", "http", "upload", "chunked", "trickle", "pipeline")
FOLLOWER = b"GET /bytes/%d HTTP/1.1\r\nHost: x\r\n\r\n"


class Stream:
    """One stream of the soak: asyncio reader and writer. dice decides what is said, pace how: pieces and
    pauses."""

    def __init__(self, port, seed):
        self.port, self.dice, self.pace, self.bytes = port, random.Random(seed), random.Random(seed), 0

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        self.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def pause(self):
        if self.pace.random() < 0.03:
            await asyncio.sleep(self.pace.random() * 0.05)

    async def write(self, size, most):
        at = 0
        while at < size:
            count = min(self.pace.randint(1, most), size - at)
            self.writer.write(pattern(count, at))
            await self.writer.drain()
            at += count
            await self.pause()

    async def read(self, size):
        checker = PatternCheck()
        while checker.received < size:
            data = await self.reader.read(min(1 << 17, size - checker.received))
            check(data, f"FIN after {checker.received} of {size} bytes")
            checker.feed(data)
            self.bytes += len(data)
            await self.pause()

    async def head(self):
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = dict(line.lower().split(": ", 1) for line in text.split("\r\n")[1:] if line)
        return int(text.split(" ")[1]), fields

    def close(self, reset=False):
        if reset:
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                            struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        else:
            self.writer.close()


async def play_echo(stream, is_half=False, is_reset=False):
    await stream.open()
    # A slow begin brings it into the kernel lane.
    for _ in range(stream.dice.randint(0, 20)):
        stream.writer.write(b"\0")
        check(await stream.reader.readexactly(1) == b"\0", "an echoed byte")
        await asyncio.sleep(0.02)
    size = int(10 ** stream.dice.uniform(0, 6.3))
    most = int(10 ** stream.dice.uniform(0.5, 5.3))
    if size // most > 3000:
        size = most * 3000
    writing = asyncio.ensure_future(stream.write(size, most))
    if is_reset:
        await asyncio.sleep(stream.dice.random() * 0.3)
        writing.cancel()
        stream.close(reset=True)
        return
    await stream.read(size)
    await writing
    if is_half:
        stream.writer.write_eof()
        check(await stream.reader.read(1) == b"", "FIN for FIN")
    stream.close()


async def play_pipeline(stream):
    """An upload with the next request right behind it; a piece ends at each byte around the boundary in
    turn."""
    await stream.open()
    size = stream.dice.randint(20000, 40000)
    follower = FOLLOWER % (size // 2)
    for cut in range(-len(follower), len(follower) + 1):
        head = f"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
        wire = head + pattern(size) + follower
        at = len(head) + size + cut
        # The lane takes over behind the first piece of the body.
        for piece in (wire[:len(head) + 2000], wire[len(head) + 2000:at], wire[at:]):
            stream.writer.write(piece)
            await stream.writer.drain()
            await asyncio.sleep(0.004)
        status, fields = await stream.head()
        told = json.loads(await stream.reader.readexactly(int(fields["content-length"])))
        eq((status, told["length"], told["is_pattern"]), (200, size, True), f"an upload cut at {cut}")
        status, fields = await stream.head()
        eq((status, fields["content-length"]), (200, str(size // 2)), f"the answer behind it, cut at {cut}")
        await stream.read(size // 2)
    stream.close()


async def play_http(stream, kind):
    await stream.open()
    for _ in range(stream.dice.randint(1, 6)):
        size = int(10 ** stream.dice.uniform(1, 6.3))
        if kind == "upload":
            stream.writer.write(f"POST /anything?length={size} HTTP/1.1\r\nHost: x\r\n"
                                f"Content-Length: {size}\r\n\r\n".encode())
            await stream.write(size, int(10 ** stream.dice.uniform(3, 5.3)))
            status, fields = await stream.head()
            eq(status, 200, "status")
            await stream.reader.readexactly(int(fields["content-length"]))
        elif kind == "chunked":
            size = min(size, 200000)
            chunk = stream.dice.randint(50, 20000)
            stream.writer.write(f"GET /stream-bytes/{size}?chunk={chunk} HTTP/1.1\r\n"
                                "Host: x\r\n\r\n".encode())
            status, _ = await stream.head()
            eq(status, 200, "status")
            await read_chunks(stream, size)
        elif kind == "trickle":
            count = stream.dice.randint(15, 40)
            stream.writer.write(f"GET /sse?n={count}&interval=20 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            status, _ = await stream.head()
            eq(status, 200, "status")
            text = b""
            while chunk := await next_chunk(stream):
                text += chunk
            eq(text, b"".join(b"data: %d\n\n" % i for i in range(count)), "events")
        else:
            stream.writer.write(f"GET /bytes/{size} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            status, fields = await stream.head()
            eq((status, fields["content-length"]), (200, str(size)), "head")
            await stream.read(size)
    stream.close()


async def next_chunk(stream):
    size = int((await stream.reader.readuntil(b"\r\n"))[:-2], 16)
    data = await stream.reader.readexactly(size)
    check(await stream.reader.readexactly(2) == b"\r\n", "the end of a chunk")
    return data


async def read_chunks(stream, size):
    checker = PatternCheck()
    while chunk := await next_chunk(stream):
        checker.feed(chunk)
        stream.bytes += len(chunk)
        await stream.pause()
    eq(checker.received, size, "bytes of the chunked body")


async def one(gateway, kind, seed, counts):
    stream = Stream(gateway.ports[PORTS.get(kind, "port")], seed)
    if kind in PORTS:
        playing = play_echo(stream, kind == "half", kind == "reset")
    else:
        playing = play_pipeline(stream) if kind == "pipeline" else play_http(stream, kind)
    try:
        await asyncio.wait_for(playing, 150 * factor())
    except (asyncio.TimeoutError, asyncio.IncompleteReadError, OSError) as error:
        address = "%s:%d" % stream.writer.get_extra_info("sockname") if hasattr(stream,
                                                                                "writer") else "nobody"
        await asyncio.sleep(0.1)
        lines = [record.line for record in gateway.log() if record["src.addr"] == address]
        what = f"{kind}, seed {seed}, after {stream.bytes} bytes: {error!r}\n"
        raise Failure(what + "\n".join(lines)) from None
    counts[kind] += 1
    counts["bytes"] += stream.bytes


async def soak(gateways, seconds, counts):
    """Until then, each stream through all of the gateways at once."""
    end = time.monotonic() + seconds
    dice = random.Random(time.time_ns())
    kinds = itertools.chain(KINDS, iter(lambda: dice.choice(KINDS), None))

    async def lane():
        while time.monotonic() < end:
            kind, seed = next(kinds), dice.getrandbits(32)
            await asyncio.gather(*(one(gateway, kind, seed, counts) for gateway in gateways))
    await asyncio.gather(*(lane() for _ in range(PAIRS if not is_asan() else PAIRS // 3)))
    wait_until(lambda: not any(gateway.streams() for gateway in gateways), 10, "the end of all streams")


def told(gateway):
    """How often each thing stands in the log. How much went before a reset is a matter of time, and the
    answer to an upload says on which connection of the backend it was."""
    lines = [facts(record) for record in gateway.log() if record["listener"] != "reset"]
    return collections.Counter(str(sorted((name, value) for name, value in line.items()
                                          if name != "bytes_out" or line.get("http.method") != "POST"))
                               for line in lines)


def expect_same_logs(gateways):
    def both():
        time.sleep(0.1)
        return [told(gateway) for gateway in gateways]
    try:
        wait_until(lambda: operator.eq(*both()), 10, "the same lines")
    except Failure:
        off, on = both()
        eq(on - off, off - on, "lines of the kernel lane that the other has not, and the other way round")


@test("hundreds of streams of random kind, size, pause and end: nothing is lost, doubled or out of order, "
      "and both lanes tell the same",
      needs=("bpf",), soak=True, heavy=True, timeout=240 + soak_seconds(20))
def splice_soak():
    echo, origin = Origin(tcp_echo=True), Origin()
    gateways = [Gateway(CONFIG, origin=origin, echo=echo, mode=mode, workers=2) for mode in MODES]
    counts = collections.Counter()
    # From here on the same sockets, slots and memory are used again and again.
    asyncio.run(soak(gateways, 2, counts))
    before = [gateway.rss_bytes() for gateway in gateways]
    asyncio.run(soak(gateways, soak_seconds(20), counts))
    metrics = gateways[1].metrics()
    moved = metrics("headgate_spliced_bytes_total", lane="sockmap")
    note(f"{dict(counts)} {moved / (1 << 20):.0f} MiB by the kernel,", closings(gateways[1]))
    check(moved > 0, "the kernel lane took part")
    eq(metrics("headgate_integrity_errors_total"), 0, "streams with integrity errors")
    eq(set(counts) - {"bytes"}, set(KINDS), "kinds of streams played")
    expect_same_logs(gateways)
    stop_reading(gateways, 20)

    def is_free():
        metrics = gateways[1].metrics()
        return metrics("headgate_sockmap_slots_used") <= metrics("headgate_upstream_pool_idle") and \
            metrics("headgate_sockmap_open_now") == metrics("headgate_sockmap_credit_reserved_bytes") == 0
    wait_until(is_free, 10, "slots and credit of streams that have ended")
    room = (48 if not is_asan() else 256) << 20  # a sanitizer keeps freed memory for a while
    for gateway, rss in zip(gateways, before):
        check(gateway.rss_bytes() < rss + room,
              f"memory: {rss >> 20} MiB after the warm-up, {gateway.rss_bytes() >> 20} now")


def kernel_memory():
    """(bytes that TCP sockets hold, packets and TCP sockets that exist) on this machine."""
    with open("/proc/net/sockstat", encoding="ascii") as file:
        pages = int(re.search(r"(?m)^TCP: .* mem (\d+)$", file.read()).group(1))
    with open("/proc/slabinfo", encoding="ascii") as file:
        objects = re.findall(r"(?m)^(?:skbuff_head_cache|skbuff_fclone_cache|TCP) +(\d+) ", file.read())
    check(objects, "no slab of packets or sockets in /proc/slabinfo")
    return pages * os.sysconf("SC_PAGE_SIZE"), sum(map(int, objects))


def stop_reading(gateways, count, look=lambda: None):
    """Clients that ask for a lot and leave with a reset when it has piled up in front of them. What look()
    says just before."""
    clients = [gateway.client("port", rcvbuf=65536) for gateway in gateways for _ in range(count)]
    for client in clients:
        client.request("GET", f"/bytes/{16 << 20}")

    def is_full():
        moved = [[stream["bytes_out"] for stream in gateway.streams()] for gateway in gateways]
        time.sleep(0.3)
        return all(len(streams) == count and all(streams) for streams in moved) and \
            moved == [[stream["bytes_out"] for stream in gateway.streams()] for gateway in gateways]
    wait_until(is_full, 20, "readers before whom it has piled up")
    seen = look()
    for client in clients:
        client.rst()
    wait_until(lambda: not any(gateway.streams() for gateway in gateways), 10, "the end of the readers")
    return seen


@test("after hundreds of streams, and readers that leave while bytes wait, the kernel has its memory back",
      needs=("bpf", "root"), serial=True, long=True, timeout=90, measures=True)
def memory_back():
    # Alone: the kernel tells of the memory of the whole machine only.
    echo, origin = Origin(tcp_echo=True), Origin()
    gateways = [Gateway(CONFIG, origin=origin, echo=echo, mode=mode, workers=2) for mode in MODES]
    counts = collections.Counter()
    asyncio.run(soak(gateways, 1, counts))
    stop_reading(gateways, 20)
    time.sleep(1)
    rest = kernel_memory()
    asyncio.run(soak(gateways, 3, counts))
    busy = stop_reading(gateways, 50, kernel_memory)
    # The rest of the machine has packets, too, and a slab counts what each processor keeps at hand.
    room = (8 << 20, 250)
    check(busy[0] > rest[0] + 4 * room[0], f"nothing was measured: at rest {rest}, busy {busy}")

    def is_back():
        time.sleep(0.1)
        return all(now < was + more for now, was, more in zip(kernel_memory(), rest, room))
    wait_until(is_back, 20, f"memory of the kernel: at rest {rest}, busy {busy}, now {kernel_memory()}")
    note(f"at rest {rest}, busy {busy}, afterwards {kernel_memory()}, {dict(counts)}")
