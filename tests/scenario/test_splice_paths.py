# SPDX-License-Identifier: Apache-2.0
"""The kernel lane over wires of another kind than loopback's: pieces of 536 to 8 960 bytes, merged or not,
and packets that change the processor on their way (RPS)."""
import os
import random
import socket

from hg import *
from splice import *

SIZE = 2 << 20
STEADY_TUNNEL = TUNNEL.replace("mode: @mode@", "mode: @mode@, adaptive: false")
# (bytes a packet, RPS)
WIRES = ((576, True), (1500, True), (9000, False))
MORE_WIRES = ((576, False), (9000, True))


def steer(side):
    """Received packets go to all processors, by the hash of their connection."""
    mask = f"{(1 << os.cpu_count()) - 1:x}"
    for device in ("lo", "veth0"):
        path = f"/sys/class/net/{device}/queues/rx-0/rps_cpus"
        status, out, err = run(["ip", "netns", "exec", side.name, "sh", "-c",
                                f"echo {mask} >{path}; cat {path}"])
        eq((status, out.strip().lstrip("0,")), (0, mask), f"{path}: {err}")


def wire(mtu, is_steered):
    net = Net(mtu=mtu)
    for side in (net.client, net.server):
        side.ok("ip", "link", "set", "lo", "mtu", mtu)
        if is_steered:
            steer(side)
    return net


def write_pieces(raw, seed):
    """SIZE bytes in pieces of every size, then FIN."""
    dice, at = random.Random(seed), 0
    while at < SIZE:
        count = min(int(10 ** dice.uniform(0, 5.3)), SIZE - at)
        raw.send(pattern(count, at))
        at += count
    raw.fin()


def read_all(raw):
    checker = PatternCheck()
    while data := raw.read_some():
        checker.feed(data)
    eq(checker.received, SIZE, "bytes")


def expect_part(gateway):
    """The kernel had its part, or none; which part is a matter of speed: when the source is faster than the
    target, user space helps."""
    metrics = gateway.metrics()
    seen = sum(closings(gateway).values()) + sum(
        metrics("headgate_spliced_bytes_total", lane="sockmap", direction=way) for way in ("in", "out"))
    eq(seen > 0, has_kernel_lane(gateway), "the kernel took part")
    if has_kernel_lane(gateway):
        eq(metrics("headgate_integrity_errors_total"), 0, "streams with integrity errors")


def tunnel_over(net, mode, mtu):
    """Single bytes until the lane is reached, then both ways at once, up to both FINs."""
    backend = Backend(netns=net.server)
    gateway = Gateway(STEADY_TUNNEL, origin=backend, mode=mode, workers=1, netns=net.server)
    client = Raw((net.server.address, gateway.port), netns=net.client)
    upstream = backend.accept()
    settle(gateway, client, upstream)
    for _ in range(5):
        client.send("up")
        upstream.read(2)
        upstream.send("down")
        client.read(4)
    for raw in (client, upstream):
        most = raw.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        check(mtu - 80 < most <= mtu - 40, f"segments of {most} bytes in packets of {mtu}")
    if has_kernel_lane(gateway):
        stream = gateway.streams()[0]
        check(stream["lane_bytes_in"]["sockmap"] > 0, f"some of the bytes by the kernel: {stream}")
    tasks = [in_background(write_pieces, client, 1), in_background(write_pieces, upstream, 2),
             in_background(read_all, client), in_background(read_all, upstream)]
    for task in tasks:
        task.result()
    reason = gateway.wait_log()["close_reason"]
    expect_part(gateway)
    return reason


def bodies_over(net, mode):
    """Known length, chunked, and up, one after the other on one connection."""
    origin = Origin(netns=net.server)
    gateway = Gateway(HTTP, origin=origin, mode=mode, workers=1, netns=net.server)
    client = Raw((net.server.address, gateway.port), netns=net.client)
    for size in (70000, SIZE, 300001):
        verify(client.get(f"/bytes/{size}").body, size)
        verify(client.get(f"/stream-bytes/{size}?chunk=1777").body, size)
        body = pattern(size)
        answer = client.request("POST", "/upload", [("Content-Length", str(size))], body).response()
        told = answer.json()
        eq((told["length"], told["is_pattern"]), (size, True), "what arrived of an upload")
    records = gateway.wait_log(count=9)
    expect_part(gateway)
    return sorted((facts(record) for record in records), key=str)


@test("tunnels and bodies arrive unchanged in packets of 576, 1500 and 9000 bytes, with and without RPS, in "
      "both lanes",
      needs=("bpf", "root", "netns"), timeout=120)
def wires():
    for mtu, is_steered in WIRES + (MORE_WIRES if is_thorough() else ()):
        net = wire(mtu, is_steered)
        compare(lambda mode: tunnel_over(net, mode, mtu))
        compare(lambda mode: bodies_over(net, mode))
