# SPDX-License-Identifier: Apache-2.0
"""Standard error is a pipe that nobody reads, or whose reader has gone."""
import os
import sys

from crashes import kill
from hg import *
from hg.gateway import new_directory

CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      backends:
      - host: @origin@
"""
# A hundred errors: thousands of bytes in the log.
BROKEN = "binds:\n" + "".join(f"- {{port: number{i}}}\n" for i in range(100))
BUFFER_BYTES = 64 * 1024
WRAPPER = os.path.join(os.path.dirname(__file__), "blocked_stderr.py")


class Log:
    """The reading end of a pipe that is full when the gateway starts."""

    def __init__(self):
        self.path = os.path.join(new_directory(), "stderr")
        os.mkfifo(self.path)
        self.fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def wrap(self):
        return [sys.executable, WRAPPER, self.path]

    def read(self):
        pieces = []
        try:
            while pieces[-1:] != [b""]:
                pieces.append(os.read(self.fd, 65536))
        except BlockingIOError:
            pass
        return b"".join(pieces)

    def close(self):
        os.close(self.fd)


def fill(gateway):
    """More lines than the pipe and the buffer take."""
    for i in range(BUFFER_BYTES // 4000 + 4):
        gateway.reload(BROKEN + f"# {i}\n")


def dropped(gateway):
    return gateway.metrics()("headgate_log_lines_dropped_total")


@test("a log that nobody reads stops nobody: the gateway starts, serves, reloads, is followed after a crash "
      "and ends; lines are dropped and counted", timeout=60)
def nobody_reads():
    log = Log()
    gateway = Gateway(CONFIG, origin=Origin(), keeper=True, wrap=log.wrap())
    eq(gateway.fetch("/get").status, 200, "before anything is logged")
    fill(gateway)
    for _ in range(8):
        eq(gateway.fetch("/get").status, 200, "with the log blocked")
    gateway.reload(CONFIG)
    before = dropped(gateway)
    check(before > 0, "no dropped line was counted")
    kill(gateway)
    gateway.await_ready()
    eq(gateway.fetch("/get").status, 200, "after a crash")
    check(dropped(gateway) >= before, "the count of dropped lines went back")
    gateway.terminate()
    gateway.expect_exit()
    log.close()


@test("when the reader of the log comes back the log goes on, and says how many lines are missing",
      timeout=60)
def reader_comes_back():
    log = Log()
    gateway = Gateway(CONFIG, origin=Origin(), wrap=log.wrap())
    fill(gateway)
    text = bytearray()

    def has_caught_up():
        text.extend(log.read())
        return text.count(b"Failed to reload") > 1 and not log.read()
    wait_until(has_caught_up, 10, "the lines that waited")
    gateway.reload(CONFIG)
    wait_until(lambda: text.extend(log.read()) or b"is in force" in text, 5, "the next line")
    missing = f"log lines dropped here: {int(dropped(gateway))}\n".encode()
    check(missing in text, "the log does not say what is missing")
    for line in bytes(text).strip(b".\n").split(b"\n"):
        check(b"\theadgate\t" in line or not line.strip(b"."), f"no whole line: {line[:80]}")
    gateway.stop()
    log.close()


@test("a reader of the log that goes away ends neither the gateway nor its keeper", timeout=60)
def reader_goes_away():
    log = Log()
    gateway = Gateway(CONFIG, origin=Origin(), keeper=True, wrap=log.wrap())
    log.close()
    gateway.reload(BROKEN)
    gateway.reload(CONFIG)
    kill(gateway)
    gateway.await_ready()
    eq(gateway.fetch("/get").status, 200, "after a crash")
