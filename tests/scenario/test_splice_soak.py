# SPDX-License-Identifier: Apache-2.0
"""Many streams of every kind through the kernel lane at once: not one byte is lost, doubled or out of
order."""
import asyncio
import random
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
- port: @port@
  listeners:
  - routes:
    - backends:
      - host: @origin@
"""
STREAMS = 120
KINDS = ("echo", "echo", "half", "reset", "http", "http", "upload", "chunked", "trickle")


class Stream:
    """One stream of the soak: asyncio reader and writer with random pieces and pauses."""

    def __init__(self, port, dice):
        self.port, self.dice, self.bytes = port, dice, 0

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        self.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def pause(self):
        if self.dice.random() < 0.03:
            await asyncio.sleep(self.dice.random() * 0.05)

    async def write(self, size, most):
        at = 0
        while at < size:
            count = min(self.dice.randint(1, most), size - at)
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
    stream = Stream(gateway.ports["tunnel" if kind in ("echo", "half", "reset") else "port"],
                    random.Random(seed))
    try:
        if kind in ("echo", "half", "reset"):
            await asyncio.wait_for(play_echo(stream, kind == "half", kind == "reset"), 40 * factor())
        else:
            await asyncio.wait_for(play_http(stream, kind), 40 * factor())
    except (asyncio.TimeoutError, asyncio.IncompleteReadError, OSError) as error:
        address = "%s:%d" % stream.writer.get_extra_info("sockname") if hasattr(stream,
                                                                                "writer") else "nobody"
        await asyncio.sleep(0.1)
        lines = [record.line for record in gateway.log() if record["src.addr"] == address]
        what = f"{kind}, seed {seed}, after {stream.bytes} bytes: {error!r}\n"
        raise Failure(what + "\n".join(lines)) from None
    counts[0] += 1
    counts[1] += stream.bytes


async def soak(gateway, seconds, counts):
    end = time.monotonic() + seconds
    dice = random.Random(time.time_ns())

    async def lane():
        while time.monotonic() < end:
            await one(gateway, dice.choice(KINDS), dice.getrandbits(32), counts)
    await asyncio.gather(*(lane() for _ in range(STREAMS if not is_asan() else STREAMS // 3)))


@test("hundreds of streams of random kind, size, pause and end: nothing is lost, doubled or out of order",
      needs=("bpf",), soak=True, serial=True, timeout=120 + soak_seconds(15))
def splice_soak():
    echo = Origin(tcp_echo=True)
    gateway = Gateway(CONFIG, origin=Origin(), echo=echo, mode="require", workers=2)
    counts = [0, 0]
    # From here on the same sockets, slots and memory are used again and again.
    asyncio.run(soak(gateway, 2, counts))
    wait_until(lambda: not gateway.streams(), 10, "the end of the warm-up")
    rss = gateway.rss_bytes()
    asyncio.run(soak(gateway, soak_seconds(15), counts))
    wait_until(lambda: not gateway.streams(), 10, "the end of all streams")
    metrics = gateway.metrics()
    moved = metrics("headgate_spliced_bytes_total", lane="sockmap")
    note(f"{counts[0]} streams, {counts[1] >> 20} MiB read, {moved / (1 << 20):.0f} MiB by the kernel,",
         closings(gateway))
    check(moved > 0, "the kernel lane took part")
    eq(metrics("headgate_poisoned_total"), 0, "poisoned streams")
    room = (48 if not is_asan() else 256) << 20  # a sanitizer keeps freed memory for a while
    check(gateway.rss_bytes() < rss + room,
          f"memory: {rss >> 20} MiB after the warm-up, {gateway.rss_bytes() >> 20} now")
