# SPDX-License-Identifier: Apache-2.0
"""Senders that wait for each acknowledgement, which TCP puts off in the hope of a second segment: on loopback
one segment is 64 KiB and fills a small send buffer. And senders who look like that and are not."""
import time

from duplex import KIB, Network, listen, new_socket
from hg import *
from splice import in_background

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


def connected(buffer):
    """(network, gateway, client, server) of a tunnel; buffer: SO_SNDBUF of the server, or 0."""
    network = Network("ack")
    gateway = Gateway(TUNNEL, netns=network.gateway, backend=free_port(), workers=1)
    listener, client = (new_socket(network.gateway, (0, size), True) for size in (buffer, 0))
    listen(listener, "127.0.0.1", gateway.names["backend"])
    client.connect(("127.0.0.1", gateway.port))
    server = listener.accept()[0]
    server.settimeout(20)
    listener.close()
    return network, gateway, client, server


def taken(client, size):
    checker = PatternCheck()
    while checker.received < size:
        data = client.recv(1 << 20)
        check(data, f"FIN after {checker.received} of {size} bytes")
        checker.feed(data)


def lanes_at_end(gateway, *sockets):
    """Bytes out, by lane."""
    lanes = gateway.streams()[0]["lane_bytes_out"]
    for sock in sockets:
        sock.close()
    wait_until(lambda: not gateway.streams(), 5, "the end of the tunnel")
    return lanes


@test("a sender whose send buffer one segment fills waits for put off acknowledgements only at first",
      needs=("bpf", "netns", "root", "cc"), timeout=60)
def lone_segments():
    network, gateway, client, server = connected(16 * KIB)
    client.sendall(b"q" * 100)
    eq(server.recv(100), b"q" * 100, "the question")
    before = network.counts("DelayedACKs")["DelayedACKs"]
    sender = in_background(server.sendall, pattern(SEGMENTS * SEGMENT))
    taken(client, SEGMENTS * SEGMENT)
    sender.result()
    put_off = network.counts("DelayedACKs")["DelayedACKs"] - before
    note(f"put off: {put_off}", lanes_at_end(gateway, client, server))
    check(put_off < SEGMENTS / 4, f"{put_off} of {SEGMENTS} acknowledgements were put off")


@test("one that pauses by itself behind large pieces is tried a few times and stays in the kernel lane",
      needs=("bpf", "netns", "root", "cc"), timeout=60, waits=True)
def pauses_of_its_own():
    _, gateway, client, server = connected(0)
    size = 100 * SEGMENT

    def send():
        for offset in range(0, size, SEGMENT):
            server.sendall(pattern(SEGMENT, offset))
            time.sleep(0.05)
    sender = in_background(send)
    taken(client, size)
    sender.result()
    lanes = lanes_at_end(gateway, client, server)
    note(lanes)
    check(lanes["sockmap"] > size / 2, f"most of it was copied: {lanes}")
