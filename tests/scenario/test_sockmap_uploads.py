# SPDX-License-Identifier: Apache-2.0
"""Many requests in the kernel lane at once, each with the next one behind it."""
import signal

from hg import *
from splice import *

MOST = 64  # LIMIT_SOCKMAP_UPLOADS
CLIENTS = MOST + 6
FIRST, SECOND = 200000, 600000
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


def riding(gateway):
    return sum(bool(up) for up, _ in gates(gateway))


def begin(client, backend, upstream=None):
    client.send(head(FIRST), pattern(FIRST)[:100000])
    upstream = upstream or backend.accept()
    upstream.request_head()
    upstream.read(100000)
    return client, upstream


def end(client, upstream):
    """The rest of the first request, and the second one, which a backend may see on another connection."""
    verify(upstream.read(FIRST - 100000), FIRST - 100000, 100000)
    upstream.respond(200)
    eq(client.response().status, 200, "status of the first")
    verify(upstream.read_request().body, SECOND)
    upstream.respond(200)
    eq(client.response().status, 200, "status of the second")


@test("a worker has no more than so many request bodies in the kernel lane, the others are copied, and what "
      "the clients have sent behind them is answered", needs=("bpf",), heavy=True, timeout=120)
def limit_of_a_worker():
    backend = Backend()
    gateway = Gateway(CONFIG, origin=backend, mode="require", workers=1)
    pairs = [begin(gateway.client(), backend) for _ in range(CLIENTS)]
    wait_until(lambda: riding(gateway) == MOST, 10, "bodies in the kernel lane")
    eq(gateway.metrics()("headgate_sockmap_uploads"), MOST, "uploads counted")
    rest = pattern(FIRST)[100000:] + head(SECOND) + pattern(SECOND)
    gateway.signal(signal.SIGSTOP)
    try:
        sent = [client.send_until_blocked(rest, quiet_s=0.02, limit=len(rest)) for client, _ in pairs]
    finally:
        gateway.signal(signal.SIGCONT)
    for (client, _), count in zip(pairs, sent):
        client.send(rest[count:])
    for client, upstream in pairs:
        end(client, upstream)
    wait_until(lambda: gateway.metrics()("headgate_sockmap_uploads") == 0, 10, "none to be counted")
    # The pool gives the connection that was used last.
    client, _ = begin(gateway.client(), backend, pairs[-1][1])
    wait_until(lambda: riding(gateway) == 1, 10, "another one in the kernel lane")
    eq(gateway.metrics()("headgate_sockmap_uploads"), 1, "uploads counted")
    client.rst()
    wait_until(lambda: gateway.metrics()("headgate_sockmap_uploads") == 0, 10, "none to be counted")
    eq(gateway.metrics()("headgate_integrity_errors_total"), 0, "integrity_error")
