# SPDX-License-Identifier: Apache-2.0
"""Processes at either end of the same-host lanes are killed under load: the other end gets the right bytes,
then an end, and never sleeps."""
import os
import random
import select
import signal
import socket
import time

from hg import *
from hg.framework import factor, is_thorough
from hg.process import prctl
from same_host import need_lane

CONFIG = """
config: {splice: {lanes: [pipe, sockmap, direct, bypass], force: true}}
binds:
- port: @port@
  listeners:
  - protocol: TCP
    splice: sameHost
    tcpRoutes:
    - backends: [{host: "@origin@", splice: sameHost}]
"""
PIECE = 20011
BYTES = pattern(4 * PIECE)
LIMIT_S = 30


def expected(position, size):
    """`size` bytes, at most PIECE, of the endless stream that both ends send."""
    at = position % PIECE
    return BYTES[:PIECE][at:at + size] + BYTES[:max(0, at + size - PIECE)]


def read_rest(connection, received):
    """Reads what still waits: 'over', or what is wrong with it."""
    try:
        while got := connection.recv(PIECE):
            if got != expected(received, len(got)):
                return b"wrong bytes"
            received += len(got)
    except (BlockingIOError, ConnectionError):
        pass
    return b"over"


def exchange(connection, report, random_number):
    """Sends and reads at the same time until the other end is gone: 'over', or what is wrong."""
    connection.setblocking(False)
    poll = select.poll()
    poll.register(connection, select.POLLIN | select.POLLOUT)
    sent = received = 0
    told_at = random_number.randrange(PIECE, 50 * PIECE)
    has_told = False
    while True:
        if not poll.poll(LIMIT_S * 1000):
            return b"asleep"
        try:
            got = connection.recv(random_number.randrange(1, PIECE))
            if not got:
                return b"over"
            if got != expected(received, len(got)):
                return b"wrong bytes"
            received += len(got)
        except BlockingIOError:
            pass
        except ConnectionError:
            return b"over"
        try:
            sent += connection.send(expected(sent, random_number.randrange(1, PIECE)))
        except BlockingIOError:
            pass
        except ConnectionError:
            # What was sent before the end may still be read.
            return read_rest(connection, received)
        if received > told_at and not has_told:
            has_told = True
            os.write(report, b"r")


class End:
    """A process at one end; .report tells 'r' when it has read up to 50 pieces, then how it ended."""

    def __init__(self, connect, seed):
        self.report, write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                prctl(1, signal.SIGKILL)
                os.close(self.report)
                os.write(write_end, exchange(connect(), write_end, random.Random(seed)))
            finally:
                os._exit(0)
        os.close(write_end)

    def hear(self):
        ready, _, _ = select.select([self.report], [], [], LIMIT_S * 2 * factor())
        check(ready, "an end of a tunnel sleeps")
        return os.read(self.report, 100)

    def end(self, number=None):
        if number:
            os.kill(self.pid, number)
        os.waitpid(self.pid, 0)
        os.close(self.report)


def kill_one(gateway, listener, number):
    def accepted():
        return listener.accept()[0]

    def connected():
        return socket.create_connection(("127.0.0.1", gateway.port), LIMIT_S)
    ends = [End(accepted, number), End(connected, -number)]
    for end in ends:
        eq(end.hear(), b"r", "both run")
    time.sleep(random.Random(number).random() * 0.01)
    killed, other = ends if number % 2 else reversed(ends)
    killed.end(signal.SIGKILL)
    eq(other.hear(), b"over", f"the other end of kill {number}")
    other.end()


@test("one end of a tunnel killed under load: the other one reads right bytes, then an end; forty times, a "
      "thousand times in `make thorough`", timeout=600, heavy=True, needs=("bpf", "root"))
def kills():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        gateway = Gateway(CONFIG, origin=f"127.0.0.1:{listener.getsockname()[1]}", workers=2)
        need_lane(gateway, "bypass")
        for number in range(1000 if is_thorough() else 40):
            kill_one(gateway, listener, number)
        wait_until(lambda: gateway.metrics()("headgate_bypass_connections") == 0, 20, "the end of all")
        spliced = gateway.metrics().families["headgate_spliced_bytes_total"]
        check(any(labels["lane"] == "direct" and value for _, _, labels, value in spliced.samples),
              "nothing went through lane direct")
