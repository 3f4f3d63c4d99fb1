# SPDX-License-Identifier: Apache-2.0
"""Ports that no other test process on this machine gets, below the range that the kernel assigns."""
import os
import socket

FIRST, LAST = 20000, 29999

_held = {}
_next = None


def _hold(port):
    """Locks a port by an abstract Unix socket, which disappears with the process and leaves no file."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0headgate-test-port-{port}")
        return lock
    except OSError:
        lock.close()
        return None


def _is_unused(port):
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            probe = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            continue
        with probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if family == socket.AF_INET:
                    return False
                if error.errno not in (97, 99):  # no IPv6 on this machine
                    return False
    return True


def free_port():
    """Returns a port that is reserved until this process ends."""
    global _next
    if _next is None:
        _next = FIRST + os.getpid() * 37 % (LAST - FIRST + 1)
    for _ in range(LAST - FIRST + 1):
        port = _next
        _next = FIRST + (_next + 1 - FIRST) % (LAST - FIRST + 1)
        if port in _held:
            continue
        lock = _hold(port)
        if lock is None:
            continue
        if _is_unused(port):
            _held[port] = lock
            return port
        lock.close()
    raise RuntimeError(f"no free port between {FIRST} and {LAST}")
