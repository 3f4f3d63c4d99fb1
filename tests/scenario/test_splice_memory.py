# SPDX-License-Identifier: Apache-2.0
"""Readers that stop for good: what they cost the machine is bounded, and who reads gets all."""
import re
import time

from crashes import threads
from hg import *
from splice import *

FEW, MANY = 24, 100
LOOKS = 100
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


def buffer_bytes(port, readers):
    """Receive and send buffers of both ends of all connections to this port, as the kernel sized them."""
    status, out, err = run(["ss", "-tmnH", "state", "established", f"( sport = :{port} or dport = :{port} )"])
    eq(status, 0, f"ss: {err}")
    found = SKMEM.findall(out)
    check(len(found) >= 2 * readers, f"sockets seen by ss: {len(found)}")
    return sum(int(receive) + int(send) for receive, send in found)


def moved_bytes(gateway):
    return [stream["bytes_out"] for stream in gateway.streams()]


def stop_reading(gateway, count):
    """Clients that asked for a large body, and never read: once nothing moves any more."""
    readers = [gateway.client(rcvbuf=65536).request("GET", f"/bytes/{BODY}") for _ in range(count)]

    def rested():
        moved = moved_bytes(gateway)
        time.sleep(0.3)
        return len(moved) == count and all(moved) and moved == moved_bytes(gateway)
    wait_until(rested, 30, "the end of all movement")
    if has_kernel_lane(gateway):
        eq(sum(bool(down) for _, down in gates(gateway)), count, "bodies in the kernel lane")
    return readers


def expect_asleep(gateway):
    """Its threads sleep, nearly always, and no event wakes a worker: TCP's last probes may have, a while ago.
    Other programs change neither number."""
    def wakeups():
        return gateway.metrics()("headgate_worker_wakeups_total")

    def sleeps():
        before, awake = wakeups(), 0
        for _ in range(LOOKS):
            time.sleep(0.01)
            awake += any(state != "S" for state, _ in threads(gateway.pid).values())
        note(f"awake in {awake} of {LOOKS} looks, {wakeups() - before:.0f} wake-ups")
        return awake < LOOKS / 5 and wakeups() - before < FEW / 4
    wait_until(sleeps, 10, "a gateway that sleeps, with readers that do nothing")


@test("readers that stop for good: what is taken for them fits their credit and socket buffers, the gateway "
      "sleeps, and who reads gets all",
      needs=("bpf",), heavy=True, timeout=60)
def stalled_readers():
    raise_priority()  # who waits for a core looks awake
    for mode in MODES:
        gateway = Gateway(CONFIG, origin=Origin(), mode=mode, workers=2)
        readers = stop_reading(gateway, FEW)
        # What the gateway has handed on lies in the buffers of that side and in credit, byte by byte.
        front, moved = buffer_bytes(gateway.port, FEW), sum(moved_bytes(gateway))
        note(f"{mode}: {moved >> 20} MiB taken, {front >> 20} MiB of buffers")
        check(moved <= FEW * CREDIT + front, f"{mode}: {moved >> 20} MiB in {front >> 20} MiB of buffers")
        expect_asleep(gateway)
        beside = gateway.client()
        verify(beside.get(f"/bytes/{20 << 20}").body, 20 << 20)
        beside.close()
        for reader in readers:
            reader.rst()
        wait_until(lambda: not gateway.streams(), 10, "the end of all streams")


@test("100 readers that stop for good cost the memory of the machine no more than credit and socket buffers",
      needs=("bpf",), serial=True, long=True, timeout=120, measures=True)
def memory():
    # Alone: it is the memory of the whole machine that is measured.
    for mode in MODES:
        origin = Origin()
        gateway = Gateway(CONFIG, origin=origin, mode=mode, workers=2)
        before = available_bytes()
        readers = stop_reading(gateway, MANY)
        # The kernel charges a piece with its descriptors: up to twice its bytes. The rest of the machine
        # moves, too: the best of some looks counts.
        front, back = buffer_bytes(gateway.port, MANY), buffer_bytes(origin.port, MANY)
        bound = MANY * CREDIT + 2 * (front + back) + (64 << 20)
        grown = before - available_bytes()
        for _ in range(50):
            if grown <= bound:
                break
            time.sleep(0.1)
            grown = min(grown, before - available_bytes())
        taken = sum(moved_bytes(gateway))
        note(f"{mode}: {grown >> 20} MiB for {MANY} readers, bound {bound >> 20} MiB, buffers "
             f"{front >> 20} + {back >> 20} MiB, {taken >> 20} MiB taken from the backend")
        check(grown <= bound, f"{mode}: {grown >> 20} MiB are gone, the bound is {bound >> 20}")
        for reader in readers:
            reader.rst()
        wait_until(lambda: not gateway.streams(), 10, "the end of all streams")
        gateway.stop()
        origin.stop()
