# SPDX-License-Identifier: Apache-2.0
"""Steps at which a gateway can be made to die (user/base/failpoints.def), for plays that arm them, and what
it serves meanwhile."""
import mmap
import os
import re
import socket
import struct
import time

from crashes import await_notes
from hg import *
from hg import tmpdir
from hg.framework import repository_root
from splice import settle, tunnel

PROGRAM = "failpoint/headgate"
CONFIG = """
config: {splice: {mode: @mode@, minBodyBytes: 65536, adaptive: @adaptive@}}
binds:
- port: @port@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - name: tunnel
      backends:
      - host: @origin@
- port: @web@
  listeners:
  - name: main
    routes:
    - name: acted
      matches: [{path: {pathPrefix: /acted}}]
      backends:
      - host: @acted@
    - name: all
      backends:
      - host: @httpbin@
"""
# The same with both ends in the lanes direct and bypass.
SAME_HOST = re.sub(r"(      - host: @(origin|acted)@\n)", r"\1        splice: sameHost\n", CONFIG) \
    .replace("{mode: @mode@, minBodyBytes: 65536, adaptive: @adaptive@}",
             "{mode: @mode@, lanes: [direct, bypass], force: @adaptive@}") \
    .replace("  - protocol: TCP\n", "  - protocol: TCP\n    splice: sameHost\n") \
    .replace("  - name: main\n", "  - name: main\n    splice: sameHost\n")
# One port more, whose tunnels go by lane direct.
ALL_LANES = CONFIG.replace("{mode: @mode@,",
                           "{mode: @mode@, lanes: [pipe, sockmap, direct], force: true,") + """
- port: @near@
  listeners:
  - protocol: TCP
    splice: sameHost
    tcpRoutes:
    - name: near
      backends:
      - host: @origin@
        splice: sameHost
""".lstrip("\n")
WORKERS = 2
ROW = struct.Struct("=32sQQQQ")  # struct failpoint_row
PASSED, ARMED, KILLED, KILLED_NS = range(32, ROW.size, 8)


def all_fates():
    """{name: fate}, in the order of the rows."""
    with open(os.path.join(repository_root(), "user/base/failpoints.def"), encoding="utf-8") as file:
        return dict(re.findall(r'^FAILPOINT\(\w+, "([^"]+)", "([^"]+)",', file.read(), re.M))


class Failpoints:
    """Shared with the gateways of one keeper: Gateway(…, program=PROGRAM, env=failpoints.env)."""

    def __init__(self):
        self.fates = all_fates()
        self._places = {name: number * ROW.size for number, name in enumerate(self.fates)}
        path = os.path.join(tmpdir(), "failpoints")
        self.env = {"HEADGATE_FAILPOINTS": path}
        with open(path, "wb+") as file:
            file.truncate(len(self.fates) * ROW.size)
            self._memory = mmap.mmap(file.fileno(), 0)

    def _get(self, name, field):
        return struct.unpack_from("=Q", self._memory, self._places[name] + field)[0]

    def arm(self, name, count=1):
        """The count-th passing from now on kills, once; 0: none."""
        struct.pack_into("=Q", self._memory, self._places[name] + ARMED, count)

    def is_armed(self, name):
        return self._get(name, ARMED) != 0

    def passed(self, name):
        return self._get(name, PASSED)

    def killed(self, name):
        return self._get(name, KILLED)

    def killed_s(self, name):
        """When it killed last, as time.monotonic()."""
        return self._get(name, KILLED_NS) / 1e9


class Stage:
    """A gateway that can be killed at each failpoint, and what it serves meanwhile."""

    def __init__(self, mode, adaptive=True, config=CONFIG):
        self.points = Failpoints()
        self.backend, self.acted = Backend(), Backend()
        self.backend.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.gateway = Gateway(config, origin=self.backend, acted=self.acted, httpbin=Origin(), mode=mode,
                               adaptive=str(adaptive).lower(), workers=WORKERS, keeper=True, program=PROGRAM,
                               env=self.points.env, args=["--restart-limit", "0"])
        self.crashes, self.others = 0, []

    # ---- streams ---------------------------------------------------------------------------------------

    def tunnel(self, is_riding=False):
        pair = tunnel(self.gateway, self.backend, warm=False)
        if is_riding:
            settle(self.gateway, *pair)
        say(*pair)
        return Tunnel(*pair)

    def events(self, is_held=False):
        """An answer in chunks that has lasted a while, so that the new process would go on with it."""
        client = self.gateway.client("web", rcvbuf=65536 if is_held else None)
        client.request("GET", "/acted", host="a")
        upstream = self.acted.accept()
        upstream.read_request()
        upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.response_head()
        found = Events(client, upstream)
        for _ in range(5):
            found.say()
            time.sleep(0.1)
        return found

    def idle(self):
        client = self.gateway.client("web")
        eq(client.get("/status/204", host="a").status, 204, "status")
        return Idle(client)

    # ---- crashes ----------------------------------------------------------------------------------------

    def surround(self):
        """Streams that have nothing to do with what will happen; those of before that still live."""
        has = [type(other) for other in self.others]
        if has.count(Tunnel) < 4:
            self.others += [self.tunnel(), self.tunnel()]
            if self.gateway.names["mode"] == "require":
                self.others += [self.tunnel(is_riding=True), self.tunnel(is_riding=True)]
        if Events not in has:
            self.others.append(self.events())
        if Idle not in has:
            self.others.append(self.idle())

    def arm(self, point):
        time.sleep(0.1)
        await_notes(self.gateway.gateway_pid)
        self.points.arm(point)

    def await_crash(self, point):
        try:
            wait_until(lambda: self.points.killed(point), 10, f"a crash at {point}")
        except Failure:
            raise Failure(f"{point} was never reached (passed {self.points.passed(point)} times before)") \
                from None
        self.await_new_process(1)

    def await_new_process(self, crashes):
        self.crashes += crashes

        def serves():
            try:
                return self.gateway.metrics()("headgate_crashes_total") == self.crashes and \
                    fetch(self.gateway.ready_port, "/healthz/ready").status == 200
            except (OSError, Failure):
                return False
        wait_until(serves, 10, f"the new process after {self.crashes} crashes")

    def expect_others(self, may_lose=0):
        """Everything else goes on, but for so many; returns how many do not."""
        lost = [other for other in self.others if not other.goes_on()]
        check(len(lost) <= may_lose, f"reset: {', '.join(type(other).__name__ for other in lost)}")
        self.others = [other for other in self.others if other not in lost]
        return len(lost)

    def end(self):
        for other in self.others:
            other.close()


def is_reset(error):
    return isinstance(error, (ConnectionResetError, BrokenPipeError)) or str(error).startswith("RST")


def say(end, other, text=b"words"):
    for _ in range(2):
        end.send(text)
        eq(other.read(len(text)), text, "what was said")
        end, other = other, end


class Talker:
    """A client and, where there is one, its backend."""

    def __init__(self, client, upstream=None):
        self.client, self.upstream = client, upstream

    def goes_on(self):
        """False: it was reset, at both ends."""
        try:
            self.say()
            return True
        except (OSError, Failure) as error:
            if not is_reset(error):
                raise
        self.expect_reset()
        return False

    def expect_reset(self):
        """Returns what had arrived at the backend."""
        came = b""
        for end in filter(None, (self.client, self.upstream)):
            came = end.expect_rst(5)
            end.close()
        return came

    def close(self):
        for end in filter(None, (self.client, self.upstream)):
            end.close()


class Tunnel(Talker):
    def say(self):
        say(self.client, self.upstream)


class Events(Talker):
    _payload = b""

    def say(self, text=b"an event"):
        self.upstream.send(b"%x\r\n%s\r\n" % (len(text), text))
        eq(self.read(len(text)), text, "an event")

    def read(self, size):
        """So many payload bytes, of chunks as the gateway makes them."""
        while len(self._payload) < size:
            length = int(self.client.read_line(), 16)
            check(length, "the last chunk came too early")
            self._payload += self.client.read(length)
            eq(self.client.read(2), b"\r\n", "the end of a chunk")
        data, self._payload = self._payload[:size], self._payload[size:]
        return data


class Idle(Talker):
    def say(self):
        eq(self.client.get("/status/204", host="a").status, 204, "status")
