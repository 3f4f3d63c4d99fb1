# SPDX-License-Identifier: Apache-2.0
"""Many requests leave the kernel lane at once, each with a megabyte of the next one behind it."""
import signal
import threading

from hg import *
from splice import *

CLIENTS = 24
FIRST, SECOND = 1 << 20, 3 << 20
MOST = 16 << 20  # LIMIT_GATE_TAKE_WORKER_BYTES
CONFIG = """
config: {splice: {mode: @mode@, minBodyBytes: 65536, adaptive: false}}
binds:
- port: @port@
  listeners:
  - routes:
    - backends:
      - host: @origin@
"""


def head(length):
    return f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


@test("what is read behind bodies of the kernel lane has a limit of the worker, and not one byte is lost",
      needs=("bpf",), heavy=True, timeout=90)
def limit_of_a_worker():
    backend = Backend()
    gateway = Gateway(CONFIG, origin=backend, mode="require", workers=1)
    clients = [gateway.client().send(head(FIRST), pattern(FIRST)[:100000]) for _ in range(CLIENTS)]
    upstreams = [backend.accept() for _ in clients]
    for upstream in upstreams:
        upstream.request_head()
        upstream.read(100000)
    wait_until(lambda: sum(bool(up) for up, _ in gates(gateway)) == CLIENTS, 10, "bodies in the kernel lane")
    rest = pattern(FIRST)[100000:] + head(SECOND) + pattern(SECOND)
    gateway.signal(signal.SIGSTOP)
    try:
        unsent = [rest[client.send_until_blocked(rest, quiet_s=0.05, limit=len(rest)):] for client in clients]
    finally:
        gateway.signal(signal.SIGCONT)
    senders = [threading.Thread(target=client.send, args=(left,)) for client, left in zip(clients, unsent)]
    for upstream in upstreams:
        verify(upstream.read(FIRST - 100000), FIRST - 100000, 100000)
    wait_until(lambda: not any(up for up, _ in gates(gateway)), 20, "all of them to have left")
    numbers = gateway.metrics()
    taken = numbers("headgate_gate_taken_bytes")
    note(f"{taken / (1 << 20):.1f} MiB taken, {gateway.admin_json('/memory')['heap']}")
    check(MOST // 2 <= taken <= MOST + 65536, f"{taken} bytes taken")
    check(numbers("headgate_gate_take_later_total") > 0, "sockets whose bytes wait in the kernel")
    for sender in senders:
        sender.start()
    for client, upstream, sender in zip(clients, upstreams, senders):
        upstream.respond(200)
        eq(client.response().status, 200, "status of the first")
        other = upstream
        verify(other.read_request().body, SECOND)
        other.respond(200)
        eq(client.response().status, 200, "status of the second")
        sender.join()
    wait_until(lambda: gateway.metrics()("headgate_gate_taken_bytes") == 0, 10, "all of it to be used")
    eq(gateway.metrics()("headgate_poisoned_total"), 0, "poisoned")
