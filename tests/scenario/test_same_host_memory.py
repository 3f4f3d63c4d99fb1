# SPDX-License-Identifier: Apache-2.0
"""The same-host lanes while TCP's memory of the whole host is short: no receive buffer grows then."""
import re
import socket
import struct

from duplex import *
from hg import *
from same_host import need_lane

LANES = {"direct": "lanes: [direct], force: true"}


def memory_pages():
    with open("/proc/net/sockstat", encoding="ascii") as file:
        return int(re.search(r"^TCP:.* mem (\d+)", file.read(), re.M).group(1))


@contextlib.contextmanager
def short_memory():
    """More than tcp_mem[0], in send queues whose readers never read."""
    with open("/proc/sys/net/ipv4/tcp_mem", encoding="ascii") as file:
        limit = int(file.read().split()[0])
    listener, socks = socket.create_server(("127.0.0.1", 0), backlog=64), []
    try:
        while memory_pages() < limit * 1.03:
            check(len(socks) < 4000, f"{memory_pages()} of {limit} pages")
            sender = socket.create_connection(listener.getsockname())
            socks += [sender, listener.accept()[0]]
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MIB)
            sender.setblocking(False)
            try:
                while True:
                    sender.send(bytes(MIB))
            except BlockingIOError:
                pass
        yield
        check(memory_pages() > limit, "the memory was not short all the time")
    finally:
        for sock in (listener, *socks):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()


def full_both_ways():
    """The server reads only when it has sent everything, which the client has to read."""
    way = {**dict.fromkeys(WAY, 0), "least": 64 * KIB, "most": 64 * KIB, "burst": 1 << 30, "reads": 1 << 30,
           "read_most": 256 * KIB, "end": FIN}
    return {"seed": 1, "warm": 15, "is_tunnel": True, "nodelay": [True, True], "buffers": [0] * 4,
            "ways": [{**way, "bytes": 20 * MB, "read_after_sent": 1}, {**way, "bytes": 30 * MB}]}


NEEDS = ("bpf", "netns", "root", "cc", "ss")


@test("both ways full while no receive buffer grows: each same-host lane moves on", needs=NEEDS, heavy=True,
      timeout=60)
def small_buffers():
    moves_on(contextlib.nullcontext, "4096 131072 131072", 1)


@test("both ways full while TCP's memory of the host is short: each same-host lane moves on", needs=NEEDS,
      serial=True, long=True, timeout=120, measures=True)
def short():
    # Alone: whoever has a connection meanwhile is short of memory, too.
    moves_on(short_memory, None, 3)


def moves_on(circumstances, receive_buffers, rounds):
    for lane, splice in LANES.items():
        network = Network(lane)
        if receive_buffers:
            network.gateway.ok("sh", "-c", f"echo {receive_buffers} >/proc/sys/net/ipv4/tcp_rmem")
        gateway = Gateway(CONFIG, netns=network.gateway, splice=splice, agrees="sameHost",
                          **{"backend" + slot: free_port() for slot in SLOTS})
        gateway.network = network
        need_lane(gateway, lane)
        with circumstances():
            for _ in range(rounds):
                one = Conversation(gateway, full_both_ways(), Circumstance("normal"), ("0", False))
                eq(one.fault(), None, f"{lane}: {one.shown()}")
        wait_until(lambda: not gateway.streams(), 5, "the end of all streams")
