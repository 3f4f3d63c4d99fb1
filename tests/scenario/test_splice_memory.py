# SPDX-License-Identifier: Apache-2.0
"""A hundred readers that stop for good: what they cost the machine is bounded, and others do not feel it."""
import re
import time

from hg import *
from splice import *

READERS = 100
CREDIT = 1 << 20
BODY = 64 << 20  # should the bound not hold, it ends here
CONFIG = """
config: {splice: {mode: @mode@, creditBytes: 1048576, minBodyBytes: 65536, adaptive: false}}
binds:
- port: @port@
  listeners:
  - routes:
    - backends:
      - host: @origin@
"""
SKMEM = re.compile(r"rb(\d+),t\d+,tb(\d+)")


def available_bytes():
    with open("/proc/meminfo") as file:
        return int(re.search(r"MemAvailable:\s+(\d+) kB", file.read()).group(1)) * 1024


def buffer_bytes(port):
    """Receive and send buffers of both ends of all connections to this port, as the kernel sized them."""
    status, out, err = run(["ss", "-tmnH", "state", "established", f"( sport = :{port} or dport = :{port} )"])
    eq(status, 0, f"ss: {err}")
    found = SKMEM.findall(out)
    check(len(found) >= 2 * READERS, f"sockets seen by ss: {len(found)}")
    return sum(int(receive) + int(send) for receive, send in found)


def download_rate(gateway):
    """Bytes a second of one client that reads all it gets: the best of some."""
    best = 0
    for _ in range(3):
        client = gateway.client()
        client.request("GET", f"/bytes/{100 << 20}")
        head = client.response_head()
        begin = time.monotonic()
        check(sum(len(piece) for piece in client.body(head)) == 100 << 20, "all bytes")
        best = max(best, (100 << 20) / (time.monotonic() - begin))
        client.close()
    return best


def cpu_at_rest(gateway, enough):
    """Processors that it uses: the least of some looks. The machine has other work, and TCP last probes."""
    least = 1.0
    for _ in range(8):
        cpu, begin = gateway.cpu_seconds(), time.monotonic()
        time.sleep(1)
        least = min(least, (gateway.cpu_seconds() - cpu) / (time.monotonic() - begin))
        if least < enough:
            break
    return least


def stall(gateway):
    """A client that asked for a large body, has seen its head, and never reads again."""
    client = gateway.client(rcvbuf=65536)
    client.request("GET", f"/bytes/{BODY}")
    return client


@test("100 readers that stop for good cost credit and socket buffers, no processor time and no one's speed",
      needs=("bpf",), serial=True, timeout=120, measures=True)
def stalled_readers():
    for mode in MODES:
        origin = Origin()
        gateway = Gateway(CONFIG, origin=origin, mode=mode, workers=2)
        alone = download_rate(gateway)
        before = available_bytes()
        readers = [stall(gateway) for _ in range(READERS)]
        def rested():
            moved = [stream["bytes_out"] for stream in gateway.streams()]
            time.sleep(0.3)
            return len(moved) == READERS and all(moved) and moved == [stream["bytes_out"]
                                                                      for stream in gateway.streams()]
        wait_until(rested, 20, "the end of all movement")
        if has_kernel_lane(gateway):
            eq(sum(bool(down) for _, down in gates(gateway)), READERS, "bodies in the kernel lane")
        # The kernel charges a piece with its descriptors: up to twice its bytes. The rest of the machine
        # moves, too: the best of some looks counts.
        front, back = buffer_bytes(gateway.port), buffer_bytes(origin.port)
        bound = READERS * CREDIT + 2 * (front + back) + (64 << 20)
        grown = before - available_bytes()
        for _ in range(50):
            if grown <= bound:
                break
            time.sleep(0.1)
            grown = min(grown, before - available_bytes())
        moved = sum(stream["bytes_out"] for stream in gateway.streams())
        note(f"{mode}: {grown >> 20} MiB for {READERS} readers, bound {bound >> 20} MiB, buffers "
             f"{front >> 20} + {back >> 20} MiB, {moved >> 20} MiB taken from the backend")
        check(grown <= bound, f"{mode}: {grown >> 20} MiB are gone, the bound is {bound >> 20}")
        # What the gateway has handed on lies in the buffers of that side and in credit, byte by byte.
        check(moved <= READERS * CREDIT + front, f"{mode}: {moved >> 20} MiB in {front >> 20} MiB of buffers")
        load = cpu_at_rest(gateway, 0.1 * factor())
        check(load < 0.1 * factor(), f"{mode}: {load:.0%} of a processor for readers that do nothing")
        beside = download_rate(gateway)
        for reader in readers:
            reader.rst()
        wait_until(lambda: not gateway.streams(), 10, "the end of all streams")
        # Before and after: the machine has other work, too.
        alone = min(alone, download_rate(gateway))
        note(f"{mode}: {alone / 1e6:.0f} MB/s alone, {beside / 1e6:.0f} beside them")
        check(beside > alone / 2, f"{mode}: {beside / 1e6:.0f} MB/s beside them, {alone / 1e6:.0f} alone")
        gateway.stop()
        origin.stop()
