# SPDX-License-Identifier: Apache-2.0
"""Connections that leave lane bypass, because what they carry costs less through TCP."""
import os
import select
import tempfile

from hg import *
from bypass import NEEDS, SHARED
from same_host import MIB, need_lane
from splice import in_background


def send_file(upstream, file, size):
    """As a server does that never blocks: the descriptor is non-blocking, since it has a timeout."""
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    sent = 0
    while sent < size:
        select.select((), (upstream.socket,), (), 20)
        sent += os.sendfile(upstream.socket.fileno(), file.fileno(), sent, size - sent)


@test("connections leave for good after files in a row that cost less through TCP: others stay, as all do "
      "without lane pipe, and where only the backend agreed longer ones leave, too", needs=NEEDS)
def by_cost():
    file = tempfile.TemporaryFile()
    file.write(pattern(2 * MIB))
    file.flush()
    short, dear, long = 100000, 300000, 2 * MIB
    for name, pipe, sizes, want in (("port", "pipe, ", [dear] * 6, ("pipe", None, 2)),
                                    ("port", "", [dear] * 6, ("copy", "client/backend", 0)),
                                    ("port", "pipe, ", [short] * 6, ("copy", "client/backend", 0)),
                                    ("port", "pipe, ", [dear, dear, dear, short] * 2,
                                     ("copy", "client/backend", 0)),
                                    ("port", "pipe, ", [long] * 6, ("copy", "client/backend", 0)),
                                    ("back", "pipe, ", [long] * 6, ("pipe", None, 1))):
        backend, upstream = Backend(), None
        gateway = Gateway(SHARED.replace("pipe, ", pipe), origin=backend, pace="adaptive: true", workers=1)
        need_lane(gateway, "bypass")
        client = gateway.client(gateway.port if name == "port" else gateway.ports[name])
        for size in sizes:
            client.request("GET", f"/{size}")
            upstream = upstream or backend.accept()
            upstream.read_request()
            sender = in_background(send_file, upstream, file, size)
            eq(verify(client.response().body, size), crc32(size), f"a file of {size} bytes")
            sender.result()
        records = gateway.wait_log(count=len(sizes))
        # In time for the first head, the program may not know yet that a file follows.
        eq([record["lane"] for record in records[:4]], ["copy"] * 4, f"the first lanes, {name}, {sizes}")
        left = gateway.metrics()("headgate_bypass_left_total", reason="cost")
        eq((records[-1]["lane"], records[-1].get("bypass"), left), want, f"the last one, {name}, {sizes}")
        gateway.stop()
