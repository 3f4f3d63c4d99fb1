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


def threads(pid):
    """{thread: (state, how often it went to sleep)}."""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        text = read_text(f"/proc/{pid}/task/{task}/status")
        fields = dict(line.split(":\t", 1) for line in text.split("\n") if ":\t" in line)
        found[task] = fields.get("State", "S")[0], int(fields.get("voluntary_ctxt_switches", 0))
    return found


def await_notes(pid):
    """A worker may have sent something that the test has read, and not noted yet that it has: it has when it
    sleeps, or has slept since. One that never does has a load which no test can wait for."""
    before, until = threads(pid), time.monotonic() + 2
    while time.monotonic() < until:
        now = threads(pid)
        if all(state in "ST" or count > before.get(task, (0, 0))[1] for task, (state, count) in now.items()):
            return
        time.sleep(0.003)


def kill(gateway, number=signal.SIGKILL, at_rest=True):
    """Kills the gateway, not its keeper; returns when the new process is ready.

    at_rest: once it has noted all that is over, else in the middle of whatever it does."""
    before = gateway.gateway_pid
    if at_rest:
        time.sleep(0.1)  # for its timers
        await_notes(before)
    os.kill(before, number)
    wait_until(lambda: gateway.gateway_pid not in (None, before), 10, "the new process")
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


class NewProcess:
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
