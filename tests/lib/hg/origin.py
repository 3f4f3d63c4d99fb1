# SPDX-License-Identifier: Apache-2.0
"""Backends: httpbin as a process, and a listening socket that the test itself controls."""
import contextlib
import os
import re
import select
import signal
import socket

from hg import machine
from hg.framework import Context, Failure, binary, context, factor, tmpdir, wait_until
from hg.ports import free_port
from hg.process import Process
from hg.raw import Raw, fetch


class Origin(Process):
    """httpbin on its own port. Keywords become options: Origin(keep_alive_timeout=5, tcp_echo=True).

    .port  .address ("127.0.0.1:port", to put into a configuration)  .stop()  .restart() on the same port

    It reports every malformed request, and a report fails the test unless strict=False.
    """

    def __init__(self, addr="127.0.0.1", port=None, unix=False, netns=None, strict=True, **options):
        self.strict = strict
        self.port = None if unix else port or free_port()
        if unix:
            path = os.path.join(tmpdir(), f"origin-{id(self):x}.sock")
            self.address = self.target = f"unix:{path}"
            argv = [binary("httpbin"), "--unix", path]
        else:
            shown = f"[{addr}]" if ":" in addr else addr
            self.address, self.target = f"{shown}:{self.port}", (addr, self.port)
            argv = [binary("httpbin"), "--addr", addr, "--port", self.port]
        for name, value in options.items():
            argv.append("--" + name.replace("_", "-"))
            if value is not True:
                argv.append(value)
        super().__init__(argv, "httpbin", netns=netns)
        self._await_listening(1)

    def _await_listening(self, times):
        def listens():
            if not self.is_running():
                raise Failure(f"httpbin ended with {self.exit_status()}: {self.stderr}")
            return len(re.findall(r"^listening on ", self.stdout, re.M)) >= times
        wait_until(listens, 5, "httpbin to listen")

    def stop(self):
        """Sends SIGTERM; the kernel closes its connections with FIN or RST, and its port refuses."""
        self.signal(signal.SIGTERM)
        self.wait(5 * factor())

    def restart(self):
        if self.is_running():
            self.stop()
        started = len(re.findall(r"^listening on ", self.stdout, re.M))
        self.start()
        self._await_listening(started + 1)

    def pause(self):
        """Sends SIGSTOP: connects still succeed (by the backlog), but nothing is sent."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)  # the signal takes effect only a moment later

    def resume(self):
        self.signal(signal.SIGCONT)

    def stats(self):
        """Counters of the process: connections, open, requests, bad_requests, truncated, aborted, …"""
        return self.fetch("/stats").json()

    def counter(self, key):
        """How many requests carried ?count=key."""
        return self.fetch(f"/counter?key={key}").json()["count"]

    def malformed(self):
        """Its reports about malformed requests."""
        return [line for line in self.stderr.split("\n") if "bad request on connection" in line]

    def cleanup(self):
        status = self.exit_status()
        self.kill()
        if self.strict and not context().failed:
            if self.malformed():
                raise Failure("the backend got a malformed request: " + self.malformed()[0])
            if status not in (None, 0):
                raise Failure(f"httpbin ended with {status}: {self.stderr}")
            if "Sanitizer" in self.stderr or "runtime error" in self.stderr:
                raise Failure("httpbin reports: " + self.stderr)

    def fetch(self, path, **keywords):
        return fetch(self.target if self.port else self.address, path, netns=self.netns, **keywords)


class Backend:
    """A listening socket; the test acts as the backend: accept() returns a Raw to read requests from and
    respond on.

    With accept=0 nothing is ever accepted and the queue has length one: further connects get no answer.
    """

    def __init__(self, host="127.0.0.1", port=None, backlog=128, netns=None):
        self.port = port or free_port()
        self.host = host
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with netns.enter() if netns else contextlib.nullcontext():
            self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host, self.port))
        self.socket.listen(backlog)
        context().own(Context.ORIGIN, self)

    def accept(self, timeout=5.0):
        """Returns the next connection. Failure if none arrives."""
        if not machine.readable(self.socket, timeout * factor()):
            raise Failure(f"nobody connected to the backend within {timeout * factor():.1f} s")
        return Raw(self.socket.accept()[0])

    def expect_no_connection(self, seconds):
        if select.select([self.socket], [], [], seconds)[0]:
            raise Failure("a connection came to the backend, want none")

    def close(self):
        """Closes the socket: further connects are refused."""
        self.socket.close()

    def cleanup(self):
        self.socket.close()


class Blackhole(Backend):
    """An address where no SYN is answered: a listening socket with a full queue."""

    def __init__(self, host="127.0.0.1"):
        super().__init__(host, backlog=0)
        self._fillers = []
        for _ in range(16):
            filler = socket.socket(self.socket.family, socket.SOCK_STREAM)
            filler.setblocking(False)
            filler.connect_ex((host, self.port))
            self._fillers.append(filler)
            if not select.select([], [filler], [], 0.1)[1]:
                break

    def cleanup(self):
        for filler in self._fillers:
            filler.close()
        super().cleanup()
