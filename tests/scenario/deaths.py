# SPDX-License-Identifier: Apache-2.0
"""What the plays about gateways that die have in common."""
import os
import signal

from hg import Failure, wait_until


def is_gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def kill(gateway, number=signal.SIGKILL):
    """Kills the gateway, not its keeper; returns when its successor is ready."""
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
