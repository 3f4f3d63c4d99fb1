# SPDX-License-Identifier: Apache-2.0
"""Senders that wait for each acknowledgement, which TCP puts off in the hope of a second segment: on loopback
one segment is 64 KiB and fills a small send buffer. And senders who look like that and are not."""
import time

from duplex import DELAYED_ACK_S, KIB, Network, listen, new_socket
from hg import *
from splice import closings, in_background, raise_priority

TUNNEL = """
binds:
- port: @port@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - backends:
      - host: 127.0.0.1:@backend@
"""
SEGMENT, SEGMENTS = 65483, 400
TRIALS = 3  # SOCKMAP_LONE_TRIALS
# In a row; without a bound of the trials the next one would come within so many.
STEADY = 40


def connected(buffer):
    """(network, gateway, client, server) of a tunnel; buffer: SO_SNDBUF of the server, or 0."""
    raise_priority()
    network = Network("ack")
    gateway = Gateway(TUNNEL, netns=network.gateway, backend=free_port(), workers=1)
    listener, client = (new_socket(network.gateway, (0, size), True) for size in (buffer, 0))
    listen(listener, "127.0.0.1", gateway.names["backend"])
    client.connect(("127.0.0.1", gateway.port))
    server = listener.accept()[0]
    server.settimeout(20)
    listener.close()
    return network, gateway, client, server


def taken(client, size, checker=None):
    """So many more bytes of the pattern."""
    checker = checker or PatternCheck()
    size += checker.received
    while checker.received < size:
        data = client.recv(1 << 20)
        check(data, f"FIN after {checker.received} of {size} bytes")
        checker.feed(data)


def lanes_out(gateway):
    """Bytes out, by lane."""
    return gateway.streams()[0]["lane_bytes_out"]


def end(gateway, *sockets):
    for sock in sockets:
        sock.close()
    wait_until(lambda: not gateway.streams(), 5, "the end of the tunnel")


@test("a sender whose send buffer one segment fills waits for put off acknowledgements only at first",
      needs=("bpf", "netns", "root", "cc"), timeout=60)
def lone_segments():
    network, gateway, client, server = connected(16 * KIB)
    client.sendall(b"q" * 100)
    eq(server.recv(100), b"q" * 100, "the question")
    before, begin = network.counts("DelayedACKs")["DelayedACKs"], time.monotonic()
    sender = in_background(server.sendall, pattern(SEGMENTS * SEGMENT))
    taken(client, SEGMENTS * SEGMENT)
    sender.result()
    put_off = network.counts("DelayedACKs")["DelayedACKs"] - before
    # A reader that has no core puts them off as well.
    no_fault_of_ours = withheld(time.monotonic() - begin) / DELAYED_ACK_S
    lanes = lanes_out(gateway)
    note(f"put off: {put_off}, {no_fault_of_ours:.0f} for want of a core, {lanes}")
    check(put_off < SEGMENTS / 4 + no_fault_of_ours, f"{put_off} of {SEGMENTS} acknowledgements were put off")
    check(lanes["copy"] > SEGMENTS * SEGMENT * 3 / 4, f"it stayed where each one is put off: {lanes}")
    end(gateway, client, server)


@test("one that pauses by itself behind large pieces is tried a few times and stays in the kernel lane",
      needs=("bpf", "netns", "root", "cc"), timeout=60, waits=True)
def pauses_of_its_own():
    _, gateway, client, server = connected(0)
    checker, steady, copied, trials = PatternCheck(), 0, 0, 0
    for count in range(1, 10 * STEADY):
        server.sendall(pattern(SEGMENT, checker.received))
        taken(client, SEGMENT, checker)
        time.sleep(0.05)
        lanes = lanes_out(gateway)
        is_copied = lanes["copy"] != copied
        trials += is_copied and steady > 0
        steady = 0 if is_copied else steady + 1
        copied = lanes["copy"]
        if steady == STEADY:
            break
    # A reader that has no core fills its buffer: user space helps then, which is no trial.
    closed = closings(gateway)
    note(f"{count} pieces, copied {trials} times, {lanes}, {closed}")
    check(steady == STEADY, f"it does not stay there: {lanes}")
    check(trials <= TRIALS + sum(closed.values()), f"copied {trials} times, closed {closed}")
    end(gateway, client, server)
