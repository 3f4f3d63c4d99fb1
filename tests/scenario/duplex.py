# SPDX-License-Identifier: Apache-2.0
"""What the plays with bytes both ways at once share: random shapes of a conversation, the circumstances of
the machine, and one conversation through one gateway, with what is known of it when it stands still."""
import collections
import contextlib
import functools
import mmap
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time

from hg import *
from hg.framework import Context, context, repository_root
from hg.machine import family, read
from hg.netns import PREFIX, Namespace, command, delete

KIB, MIB, MB = 1 << 10, 1 << 20, 10 ** 6
SLOTS = ("0", "1", "2", "far")  # a conversation at a time each; the backend of far has a host of its own
FAR_CLIENT, SAME_HOST_GATEWAY = "10.78.1.1", "10.78.1.2"
FAR_GATEWAY, FAR_SERVER = "10.78.2.1", "10.78.2.2"
BINDS = """
- port: @tunnel{slot}@
  listeners:
  - protocol: TCP
    splice: @agrees@
    tcpRoutes:
    - backends:
      - host: {host}:@backend{slot}@
        splice: @agrees@
- port: @http{slot}@
  listeners:
  - splice: @agrees@
    routes:
    - backends:
      - host: {host}:@backend{slot}@
        splice: @agrees@
"""
CONFIG = "config: {splice: {@splice@}}\nbinds:" + "".join(
    BINDS.format(slot=slot, host=FAR_SERVER if slot == "far" else "127.0.0.1") for slot in SLOTS)
# In the order of struct plan and struct result of the actor.
WAY = ("bytes", "least", "most", "send_after", "burst", "burst_pause", "end", "read_after", "read_after_sent",
       "read_most", "reads", "reads_pause")
RESULT = ("sent_up", "sent_down", "got_up", "got_down", "wrong_up", "wrong_down", "error_up", "error_down",
          "end_up", "end_down", "took", "waited", "paused")
NO_END, FIN, FIN_LAST, RST = range(4)
READ_FIN, READ_ALL = -1, -2
# Seconds beyond the time without a kernel lane: with a stall there is nothing to repeat. GIVE_UP_S: without a
# byte; END_S: of all.
STALL_S, GIVE_UP_S, END_S = 3.0, 10.0, 60.0
DELAYED_ACK_S = 0.05  # 40 ms, and what the clock of the kernel adds
SOCKET_S = 20.0  # for any single step; more than the machine may pause


@functools.cache
def compiled(name):
    """The path of one of the C programs beside this file."""
    path = os.path.join(tmpdir(), name)
    source = os.path.join(repository_root(), "tests", "scenario", name + ".c")
    status, _, error = run(["cc", "-std=gnu17", "-O2", "-pthread", source, "-o", path])
    eq(status, 0, f"the compiler's status for {name}.c: {error}")
    return path


# ---- shapes --------------------------------------------------------------------------------------------


def log_uniform(dice, least, most):
    return int(least * (most / least) ** dice.random())


def way(dice):
    """One direction of a random shape."""
    made = dict.fromkeys(WAY, 0)
    made.update(burst=1 << 30, reads=1 << 30, read_most=dice.choice((1 << 18, 1 << 16, 5000)), end=FIN,
                bytes=dice.choice((0, 30 * MB, *[log_uniform(dice, 1, 30 * MB)] * 8)))
    made["most"] = log_uniform(dice, 1, 256 * KIB)
    made["least"] = dice.choice((1, made["most"]))
    if dice.random() < 0.3:
        made["send_after"] = dice.randint(0, 300000)
    if dice.random() < 0.4:
        made["read_after"] = log_uniform(dice, 1000, 1000000)
    if dice.random() < 0.3:
        made.update(burst=dice.randint(1, 50), burst_pause=log_uniform(dice, 100, 20000))
    if dice.random() < 0.2:
        made.update(reads=dice.randint(1, 50), reads_pause=log_uniform(dice, 100, 20000))
    return made


def flood(dice):
    """Thousands of the smallest pieces for a reader that stands still."""
    made = way(dice)
    made.update(bytes=27 * dice.randint(3000, 20000), least=1, most=53, read_after=300000, read_most=1 << 18)
    if dice.random() < 0.5:
        made.update(burst=dice.randint(2000, 6000), burst_pause=20000)
    else:
        made.update(burst=1 << 30)
    return made


def full(dice, size):
    """All buffers on the way full, most easily when nobody waits at the beginning."""
    made = way(dice)
    if dice.random() < 0.6:
        made.update(send_after=0, read_after=0)
    made.update(bytes=size, least=64 * KIB, most=64 * KIB, burst=1 << 30, reads=1 << 30, read_most=1 << 18)
    return made


def limit_bytes(shape, made, buffer, round_trip_s):
    """About a second without a kernel lane at most."""
    pieces = max(1, (made["least"] + made["most"]) // 2)
    most = pieces * 20000
    if made["burst_pause"]:
        most = min(most, int(pieces * made["burst"] * max(1, 300000 / (made["burst_pause"] + 60))))
    if made["reads_pause"]:
        most = min(most, int(4000 * made["reads"] * max(1, 300000 / (made["reads_pause"] + 60))))
    if buffer:
        most = min(most, int(buffer / max(round_trip_s, 0.001) / 2))
    if round_trip_s:
        most = min(most, int(0.5 * MIB / round_trip_s ** 0.5))
    made["bytes"] = min(made["bytes"], max(most, 1 if not shape["is_tunnel"] else 0))
    if not shape["is_tunnel"]:
        made.update(bytes=max(made["bytes"], 1), end=NO_END)


def random_shape(dice, is_tunnel, round_trip_s=0.0):
    shape = {"seed": dice.getrandbits(30), "warm": dice.choice((0, 1, 15)), "is_tunnel": is_tunnel,
             "nodelay": [dice.random() < 0.7 for _ in range(2)],
             "buffers": [dice.choice((0, 0, 0, 0, 0, log_uniform(dice, 4096, 500000))) for _ in range(4)]}
    kind = dice.choice(("flood", "flood", "full", "full", "random", "random"))
    made = [{"flood": flood, "random": way}.get(kind, way)(dice) for _ in range(2)]
    if kind == "flood" and dice.random() < 0.7:
        made[dice.randrange(2)] = dice.choice((way(dice), full(dice, 10 * MB)))
    if kind == "full":
        shape.update(buffers=[0] * 4, warm=15)
        made = [full(dice, 20 * MB), full(dice, 30 * MB)]
    late = dice.randrange(2)
    if kind == "full" or dice.random() < 0.3:
        made[late].update(read_after=0, read_after_sent=1)
        # TCP alone, without a gateway, stands still in 5 of 300 such conversations when small pieces fill a
        # small buffer: the window is taken back, and with each segment behind it goes the acknowledgement
        # of what its receiver has to send before it reads.
        shape["buffers"][0 if late else 2] = 0
    if dice.random() < 0.3:
        made[dice.randrange(2)]["end"] = FIN_LAST
    if is_tunnel and dice.random() < 0.1:
        made[dice.randrange(2)]["end"] = RST
    client_rcv, client_snd, server_rcv, server_snd = shape["buffers"]
    for one, buffers in zip(made, ((client_snd, server_rcv), (server_snd, client_rcv))):
        limit_bytes(shape, one, min(filter(None, buffers), default=0), round_trip_s)
    shape["ways"] = made
    return shape


def told(shape):
    """One line."""
    lines = []
    for name, made in zip(("up", "down"), shape["ways"]):
        lines.append(name + "(" + " ".join(f"{key}={made[key]}" for key in WAY
                                           if made[key] not in (0, 1 << 30)) + ")")
    rest = " ".join(f"{key}={value}" for key, value in shape.items() if key != "ways")
    return f"{rest} {' '.join(lines)}"


# ---- the stage -----------------------------------------------------------------------------------------


class Network:
    """Namespaces of a gateway, of its clients and of its servers. The latter two are joined to the first for
    as long as path() lasts; else everything is in the first, where nobody else has a socket."""

    def __init__(self, name):
        stem = f"{PREFIX}{os.getpid()}-{name}-"
        self.gateway, self.client, self.server = (Namespace(stem + side, "127.0.0.1") for side in "gcs")
        context().own(Context.NETWORK, self)
        for name in ("duplex_actor", "path_delay"):  # now, before there are threads
            compiled(name)
        for side in (self.gateway, self.client, self.server):
            command("ip", "netns", "add", side.name)
            side.ok("ip", "link", "set", "lo", "up")

    @contextlib.contextmanager
    def path(self, side, here, there, delay_us):
        """A path of that delay each way from the gateway (here) to a side (there)."""
        device = "to-" + here.replace(".", "-")[3:]
        joint = Process([compiled("path_delay"), self.gateway.name, device, side.name, device, delay_us])
        wait_until(lambda: joint.stdout == "up\n", 5, f"the joint of the namespaces: {joint.stderr}")
        for space, own, peer in ((self.gateway, here, there), (side, there, here)):
            space.ok("ip", "addr", "add", own, "peer", peer, "dev", device)
            space.ok("ip", "link", "set", device, "mtu", "1500", "txqueuelen", "20000", "up")
        try:
            yield
        finally:
            joint.kill()

    def counts(self, *names):
        """What TCP has counted for all sockets of the gateway and beside it: nstat(8)."""
        with self.gateway.enter():
            lines = read("/proc/thread-self/net/netstat").split("\n")
        all_names, values = (line.split()[1:] for line in lines[:2])
        counts = dict(zip(all_names, map(int, values)))
        return {name: counts.get(name, 0) for name in names}

    def drops(self):
        """Segments that TCP threw away as beyond the window it had told, or because that was none."""
        return self.counts("TCPZeroWindowDrop", "BeyondWindow")

    def cleanup(self):
        for side in (self.client, self.server, self.gateway):
            delete(side.name)


# What holds for a batch. routes: where its conversations take place, each of them with one at a time: a slot,
# and whether the client is behind a path. stolen(): seconds that a real-time process has taken so far.
Circumstance = collections.namedtuple(
    "Circumstance", "name detail routes round_trip_s cpus stolen",
    defaults=("", [("0", False)], 0.0, None, lambda: 0.0))


@contextlib.contextmanager
def circumstance(gateways, name, dice):
    with contextlib.ExitStack() as stack:
        yield {"busy": busy, "starved": starved, "one CPU": one_cpu, "delay": delayed,
               "normal": lambda *_: Circumstance("normal")}[name](stack, gateways, dice)


def busy(stack, _gateways, _dice):
    for _ in range(2):
        stack.callback(Process([sys.executable, "-c", "while True: pass"], "busy").kill)
    return Circumstance("busy", "", [(slot, False) for slot in SLOTS[:-1]])


def starved(stack, _gateways, dice):
    result = Memory()
    cpu = dice.randrange(len(os.sched_getaffinity(0)))
    process = subprocess.Popen(  # pylint: disable=consider-using-with
        [compiled("duplex_actor"), "starve", str(result.fd), str(cpu), str(dice.getrandbits(30))],
        pass_fds=(result.fd,))

    def end():
        if process.poll() is not None:
            note(f"the real-time process ended by itself with {process.poll()}")
        process.kill()
        process.wait()
        result.close()
    stack.callback(end)
    return Circumstance("starved", f"CPU {cpu}", stolen=lambda: result.fields()["took"] / 1e6)


def one_cpu(stack, gateways, dice):
    before = os.sched_getaffinity(0)
    cpus = {dice.choice(sorted(before))}

    def pin(set_):
        for gateway in gateways:
            for thread, _ in family(gateway.pid):
                os.sched_setaffinity(int(thread), set_)
    stack.callback(pin, before)
    pin(cpus)
    return Circumstance("one CPU", str(cpus), cpus=cpus)


def delayed(stack, gateways, dice):
    is_client_far, is_server_far = dice.choice(((True, False), (False, True), (True, True)))
    delays = [dice.randint(0, 20000) if is_far else 0 for is_far in (is_client_far, is_server_far)]
    for network in (gateway.network for gateway in gateways):
        if is_client_far:
            stack.enter_context(network.path(network.client, SAME_HOST_GATEWAY, FAR_CLIENT, delays[0]))
        if is_server_far:
            stack.enter_context(network.path(network.server, FAR_GATEWAY, FAR_SERVER, delays[1]))
    return Circumstance("delay", f"{delays} us", [("far" if is_server_far else "0", is_client_far)],
                        2 * max(delays) / 1e6)


# ---- one conversation ----------------------------------------------------------------------------------


class Memory:
    """struct result, shared with the actor."""

    def __init__(self):
        self.fd = os.memfd_create("result")
        os.ftruncate(self.fd, 8 * len(RESULT))
        self._map = mmap.mmap(self.fd, 8 * len(RESULT))

    def fields(self):
        return dict(zip(RESULT, struct.unpack(f"{len(RESULT)}q", self._map)))

    def close(self):
        self._map.close()
        os.close(self.fd)


def waited(gateway):
    """Seconds for which threads of a gateway were ready and had no processor."""
    fields = [read(path + "/schedstat").split() for _, path in family(gateway.pid)]
    return sum(int(field[1]) for field in fields if len(field) == 3) / 1e9


def new_socket(space, buffers, is_nodelay):
    with space.enter():
        made = socket.socket()
    made.settimeout(SOCKET_S)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, is_nodelay)
    for option, size in zip((socket.SO_RCVBUF, socket.SO_SNDBUF), buffers):
        if size:
            made.setsockopt(socket.SOL_SOCKET, option, size)
    return made


def listen(sock, host, port):
    """The last one on this port is perhaps still open, in what another thread forks just now."""
    def is_bound():
        try:
            sock.bind((host, port))
            sock.listen(4)
            return True
        except OSError:
            return False
    wait_until(is_bound, 5, f"port {port}")


def head_of(sock):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        more = sock.recv(1 << 16)
        check(more, f"FIN after {data!r}")
        data += more
    return data


def scene(gateway, ports):
    """The streams as the gateway and the kernel know them."""
    ports = " or ".join(f"{side} = {port}" for side in ("sport", "dport") for port in ports)
    lines = [f"/streams: {gateway.admin('/streams').body.decode()}"]
    network = gateway.network
    for space in (network.gateway, network.client, network.server):
        lines.append(f"ss in {space.name}:\n" + space.ok("ss", "-tinmoeH", f"( {ports} )"))
    return "\n".join(lines)


class Conversation:
    """A shape through a gateway. took: seconds; withheld: how many of them the machine took away; put_off:
    for how many receivers put off acknowledgements; seen: struct result; scene: what could be seen when it
    took too long.

    put_off: a sender whose SO_SNDBUF holds no second segment (64 KiB on this host) waits for each
    acknowledgement, and a receiver with a wide window for a second segment, 40 ms each time. That is TCP's,
    with a kernel lane or without; which of many conversations of a shape meet with it is chance."""

    def __init__(self, gateway, shape, where, route, off_took=2.0):
        self.network, self.gateway, self.shape, self.where = gateway.network, gateway, shape, where
        self.slot, self.is_client_far = route
        self.off_took, self.scene, self.is_stalled = off_took, "", False
        self.sockets = []
        result = Memory()
        try:
            pairs = self.open()
            self._play(result, pairs)
            if not self.is_stalled and not shape["is_tunnel"]:
                self._end_bodies(pairs)
        finally:
            self.seen = result.fields()
            result.close()
            for sock in self.sockets:
                sock.close()

    def _new(self, *arguments):
        self.sockets.append(new_socket(*arguments))
        return self.sockets[-1]

    def open(self):
        """[(client, server) up, (client, server) down], ready for the first byte."""
        buffers, nodelay, slot = self.shape["buffers"], self.shape["nodelay"], self.slot
        is_far = slot == "far"
        listener = self._new(self.network.server if is_far else self.network.gateway, buffers[2:], nodelay[1])
        listen(listener, FAR_SERVER if is_far else "127.0.0.1", self.gateway.names["backend" + slot])
        kind = "tunnel" if self.shape["is_tunnel"] else "http"
        self.port = self.gateway.ports[kind + slot]
        space, host = ((self.network.client, SAME_HOST_GATEWAY) if self.is_client_far
                       else (self.network.gateway, "127.0.0.1"))

        def pair(request=b""):
            client = self._new(space, buffers[:2], nodelay[0])
            client.connect((host, self.port))
            client.sendall(request)
            server = listener.accept()[0]
            server.settimeout(SOCKET_S)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay[1])
            self.sockets.append(server)
            if request:
                head_of(server)
            return client, server
        if kind == "tunnel":
            return [pair()] * 2
        up, down = (made["bytes"] for made in self.shape["ways"])
        put = f"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {up}\r\n\r\n".encode()
        answer = f"HTTP/1.1 200 OK\r\nContent-Length: {down}\r\n\r\n".encode()
        pairs = [pair(put)]
        pairs.append(pairs[0] if self.shape.get("is_one") else pair(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
        client, server = pairs[1]
        server.sendall(answer)
        check(head_of(client).startswith(b"HTTP/1.1 200 "), "the head of the answer")
        return pairs

    def _end_bodies(self, pairs):
        """Nothing comes behind the bodies, and the next conversation finds no connection of this one."""
        for sock in {sock for pair in pairs for sock in pair}:
            sock.settimeout(SOCKET_S)
        if not self.shape.get("is_one"):
            client, server = pairs[0]
            server.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            check(head_of(client).startswith(b"HTTP/1.1 204 "), "the answer to the upload")
        for sock in {pair[1] for pair in pairs}:
            sock.shutdown(socket.SHUT_WR)
            eq(sock.recv(100), b"", "bytes behind a body at the server")
        for sock in {pair[0] for pair in pairs}:
            sock.shutdown(socket.SHUT_WR)
            eq(sock.recv(100), b"", "bytes behind a body at the client")

    def _play(self, result, pairs):
        (up_from, up_to), (down_to, down_from) = pairs
        fds = [sock.fileno() for sock in (up_from, up_to, down_from, down_to)]
        for sock in (up_from, up_to, down_from, down_to):
            sock.setblocking(True)
        numbers = [self.shape["seed"], self.shape["warm"], int(not self.shape["is_tunnel"])]
        numbers += [made[key] for made in self.shape["ways"] for key in WAY]
        argv = [compiled("duplex_actor"), "play", result.fd, *fds, *numbers]
        before, acks_before = self._withheld(0), self.network.counts("DelayedACKs")
        actor = subprocess.Popen([*map(str, argv)], pass_fds={result.fd, *fds})
        if self.where.cpus:
            os.sched_setaffinity(actor.pid, self.where.cpus)
        if any(made["end"] == RST for made in self.shape["ways"]):
            for sock in self.sockets:
                sock.close()
        self._wait(actor, result, before)
        seen = result.fields()
        self.withheld = (seen["waited"] + seen["paused"]) / 1e6 + self._withheld(before)
        acks = self.network.counts("DelayedACKs")["DelayedACKs"] - acks_before["DelayedACKs"]
        self.put_off = DELAYED_ACK_S * acks
        self.took = time.monotonic() - self._start if self.is_stalled else seen["took"] / 1e6

    def _withheld(self, before):
        return waited(self.gateway) + self.where.stolen() - before

    def _wait(self, actor, result, before):
        """Until the end of the actor, or until it is beyond hope: what moves slowly is not."""
        fd = os.pidfd_open(actor.pid)
        warm_s = self.shape["warm"] * (0.02 + 2 * self.where.round_trip_s + 0.05)
        start = self._start = moved_at = time.monotonic()
        moved = 0
        try:
            while not select.select([fd], [], [], 0.2)[0]:
                seen, now = result.fields(), time.monotonic()
                limit_s = self.off_took + STALL_S + warm_s + seen["paused"] / 1e6 + self._withheld(before)
                if not self.scene and now - start > limit_s * factor():
                    self.scene = scene(self.gateway, (self.port, self.gateway.names["backend" + self.slot]))
                if moved != seen["got_up"] + seen["got_down"] and now - start < END_S * factor():
                    moved, moved_at = seen["got_up"] + seen["got_down"], now
                elif now - moved_at > (limit_s + GIVE_UP_S) * factor():
                    self.is_stalled = True
                    break
        finally:
            os.close(fd)
            actor.kill()
            actor.wait()

    # ---- judgement -----------------------------------------------------------------------------------

    def is_reset(self):
        return any(made["end"] == RST for made in self.shape["ways"])

    def fault(self):
        """What is wrong with the bytes and the ends, or None."""
        seen, wrong = self.seen, []
        if self.is_stalled:
            return f"it stands still, given up after {self.took:.1f} s"
        end = READ_FIN if self.shape["is_tunnel"] else READ_ALL
        for name, made in zip(("up", "down"), self.shape["ways"]):
            if seen["wrong_" + name]:
                wrong.append(f"wrong bytes {name} in what begins at {seen['wrong_' + name] - 1}")
            if seen["got_" + name] > made["bytes"]:
                wrong.append(f"more bytes {name} than were sent")
            if not self.is_reset() and (seen["got_" + name], seen["end_" + name]) != (made["bytes"], end):
                wrong.append(f"{seen['got_' + name]} bytes {name} and end {seen['end_' + name]}, "
                             f"want {made['bytes']} and {end}")
        return "; ".join(wrong) or None

    def shown(self):
        return (f"{self.took:.3f} s, {self.withheld:.3f} s of them withheld, {self.put_off:.3f} s put off, "
                f"{self.seen}\n{self.scene}")
