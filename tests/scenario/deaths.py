# SPDX-License-Identifier: Apache-2.0
"""What the plays about gateways that die have in common."""
import os
import re
import signal
import time

from hg import Failure, wait_until
from hg.process import read_text


def is_gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def state_of(pid):
    return read_text(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[0]


def kill(gateway, number=signal.SIGKILL):
    """Kills the gateway, not its keeper; returns when its successor is ready."""
    # A worker may have sent something that the test has read, and not noted yet that it has.
    time.sleep(0.2)
    before = gateway.gateway_pid
    os.kill(before, number)
    wait_until(lambda: gateway.gateway_pid not in (None, before), 10, "a successor")
    gateway.await_ready()


def reset(client):
    """How a connection ended: True with RST."""
    try:
        client.expect_rst(5)
    except Failure as failure:
        raise Failure(f"want a reset: {failure}") from None


def stop(gateway, pid=None):
    """From here on it does nothing; not at once: each thread has to hear of it. pid: without a keeper."""
    pid = pid or gateway.gateway_pid
    os.kill(pid, signal.SIGSTOP)

    def stands():
        return all(read_text(f"/proc/{pid}/task/{task}/stat").rsplit(")", 1)[1].split()[0] == "T"
                   for task in os.listdir(f"/proc/{pid}/task"))
    wait_until(stands, 5, "the stop")


class Heir:
    """The keeper that took over: a child of the test, which is told of orphans."""

    def __init__(self, gateway):
        self.pid = gateway.pid
        wait_until(lambda: self._find(gateway), 10, "the new program")

    def _find(self, gateway):
        text = re.findall(r"upgrade: process (\d+) of", gateway.stderr)
        self.pid = int(text[-1]) if text else None
        return self.pid

    @staticmethod
    def has_ended(pid):
        return is_gone(pid) or state_of(pid) == "Z"

    def stop(self):
        """Ends it, as the keeper would: drained."""
        os.kill(self.pid, signal.SIGTERM)
        wait_until(lambda: self.has_ended(self.pid), 10, "the end of the new program")
