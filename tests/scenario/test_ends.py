# SPDX-License-Identifier: Apache-2.0
"""What was cut never looks whole, and urgent data is data, whatever lane carries a tunnel. The ends that the
gateway decides, in each lane: the table of user/phase/README.md."""
import os
import re
import socket
import time

import same_host
from hg import *
from splice import in_background

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MIB = 1 << 20
SPLICE = dict(same_host.SPLICE, copy="mode: off", sockmap="mode: require, adaptive: false")
LANES = ("copy", "sockmap", "direct")
# Deadlines that end tunnels, and what has to be said and left unsaid before they fire.
DEADLINES = {"tunnelIdle": "tunnelIdle: 3s", "halfClosed": "halfClosed: 3s, tunnelIdle: 300s"}
REASONS = {"tunnelIdle": "tunnel_idle", "halfClosed": "half_closed"}


def acted(lane, timeouts=""):
    backend = Backend()
    gateway = Gateway(same_host.CONFIG, origin=backend, splice=SPLICE[lane], timeouts=timeouts,
                      listener="sameHost", backend="sameHost", workers=1)
    if lane == "direct":
        same_host.need_lane(gateway, lane)
    return gateway, backend


def talk(client, upstream, count=30):
    """Single bytes, both ways, until whatever lane there is has been entered."""
    for _ in range(count):
        client.send("c")
        eq(upstream.read(1), b"c", "a byte up")
        upstream.send("u")
        eq(client.read(1), b"u", "a byte down")
        time.sleep(0.015)


def drain(raw):
    """("fin" or "rst", how many bytes were there before it)."""
    received = 0
    try:
        while data := raw.read_some():
            received += len(data)
    except (ConnectionError, Failure) as error:
        is_reset = re.search("reset|rst", str(error), re.I)
        return "rst" if is_reset else repr(error), received
    return "fin", received


def end_of(gateway, client, upstream, lane, deadline, holds):
    """How both sides see the end when a deadline fires while the tunnel holds undelivered bytes, or none."""
    talk(client, upstream)
    if deadline == "halfClosed":
        client.fin()
        upstream.expect_fin()
    taken = upstream.send_until_blocked(pattern(MIB), limit=256 * MIB) if holds else 0
    address = client.local
    record = gateway.wait_log(lambda r: r["src.addr"] == address, timeout=20)
    eq(record["close_reason"], REASONS[deadline], "reason")
    end, received = drain(client)
    check(end == "rst" or received == taken, f"{lane}: {received} of {taken} bytes, and then a clean end")
    return end, upstream.expect_end(5)[0]


def cells():
    """{(deadline, bytes held): {lane: "client / backend"}}, those of a lane at once."""
    found = {(deadline, holds): {} for deadline in DEADLINES for holds in (False, True)}
    for lane in LANES:
        tasks = {}
        for deadline, timeouts in DEADLINES.items():
            gateway, backend = acted(lane, timeouts)
            for holds in (False, True):
                client = gateway.client()
                upstream = backend.accept()
                tasks[deadline, holds] = in_background(end_of, gateway, client, upstream, lane, deadline,
                                                       holds)
        for cell, task in tasks.items():
            found[cell][lane] = " / ".join(task.result()).upper()
    return found


def documented():
    with open(os.path.join(ROOT, "user/phase/README.md"), encoding="utf-8") as file:
        text = re.search(r"<!-- ends -->\n(.*?)<!-- end of ends -->", file.read(), re.S).group(1)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    return {(row[0], row[1] == "bytes"): dict(zip(LANES, row[2:])) for row in rows}


@test("a tunnel that a deadline ends looks whole only when it is, in every lane, as the document says",
      needs=("bpf",), timeout=120, waits=True)
def ends():
    found = cells()
    note(found)
    eq(found, documented(), "the table of user/phase/README.md")


@test("urgent data arrives in its place in the stream, in every lane", needs=("bpf",), timeout=60)
def urgent():
    for lane in LANES:
        gateway, backend = acted(lane)
        client, upstream = gateway.client(), backend.accept()
        talk(client, upstream)
        for one, other in ((client, upstream), (upstream, client)):
            one.send("ab")
            one.socket.send(b"!", socket.MSG_OOB)
            one.send("cd")
            eq(other.read(5), b"ab!cd", f"{lane}: urgent data")
            one.send("more")
            eq(other.read(4), b"more", f"{lane}: what follows")
        gateway.stop()
