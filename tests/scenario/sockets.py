# SPDX-License-Identifier: Apache-2.0
"""The sockets of a running program, read with getsockopt() through duplicates of its descriptors."""
import contextlib
import ctypes
import os
import socket
import sys

from hg import Failure

SO_COOKIE = 57  # asm-generic/socket.h
SYS_PIDFD_GETFD = 438  # the same on all architectures (asm-generic/unistd.h)

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def duplicate_of(pid, matches):
    """The first TCP socket of the process for which matches(local, peer), both (address, port), is true."""
    process = os.pidfd_open(pid)
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            fd = _libc.syscall(SYS_PIDFD_GETFD, process, int(name), 0)
            if fd < 0:
                continue
            try:
                copy = socket.socket(fileno=fd)
            except OSError:  # not a socket
                os.close(fd)
                continue
            with copy:
                try:
                    found = copy.family in (socket.AF_INET, socket.AF_INET6) and \
                        matches(copy.getsockname()[:2], copy.getpeername()[:2])
                except OSError:  # listening
                    found = False
                if found:
                    yield copy
                    return
    finally:
        os.close(process)
    raise Failure(f"process {pid} has no such socket")


def cookie_of(copy):
    """The number that the kernel knows a socket by, as long as it lives and never again."""
    return int.from_bytes(copy.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8), sys.byteorder)


def keepalive_of(copy):
    """{on, time, interval, retries, user_timeout_ms} of a socket."""
    def tcp(option):
        return copy.getsockopt(socket.IPPROTO_TCP, option)
    return {"on": copy.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), "time": tcp(socket.TCP_KEEPIDLE),
            "interval": tcp(socket.TCP_KEEPINTVL), "retries": tcp(socket.TCP_KEEPCNT),
            "user_timeout_ms": tcp(socket.TCP_USER_TIMEOUT)}


def downstream_keepalive(gateway, client):
    """Of the gateway's end of a client's connection."""
    with duplicate_of(gateway.pid, lambda local, peer: peer[1] == client.local_port) as copy:
        return keepalive_of(copy)


def upstream_keepalive(gateway, port):
    """Of the gateway's connection to a backend's port."""
    with duplicate_of(gateway.pid, lambda local, peer: peer[1] == port) as copy:
        return keepalive_of(copy)
