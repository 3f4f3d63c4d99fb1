# SPDX-License-Identifier: Apache-2.0
"""What the plays about the kernel lane have in common: the same play with and without it, and how to
get into it."""
import os
import random
import socket
import threading
import time

from hg import Backend, Gateway, Origin, check, eq, fetch, pattern, wait_until

MODES = ("off", "require")

TUNNEL = """
config: {splice: {mode: @mode@}}
binds:
- port: @port@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - name: tunnel
      backends:
      - host: @origin@
"""

HTTP = """
config: {splice: {mode: @mode@, minBodyBytes: 65536, adaptive: false}}
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      backends:
      - host: @origin@
"""

# What may differ between the lanes: the lane, the times, and the ports that the kernel picked.
FREE_FIELDS = ("lane", "bypass", "bypass_reason_client", "bypass_reason_backend", "duration", "src.addr",
               "endpoint", "http.host", "id", "stream.id", "backend.connect", "backend.head")


def acted(mode, config=TUNNEL, **options):
    """(gateway, backend): the test plays the backend."""
    backend = Backend()
    return Gateway(config, origin=backend, mode=mode, workers=1, **options), backend


def play(mode, config=HTTP, origin_options=None, **options):
    origin = Origin(**(origin_options or {}))
    return Gateway(config, origin=origin, mode=mode, workers=1, **options), origin


def tunnel(gateway, backend, warm=True, way="in", **options):
    """(client, upstream) of a tunnel; one way of it in the kernel lane where there is one: "in", from the
    client, or "out"."""
    client = gateway.client(**options)
    upstream = backend.accept()
    if warm:
        settle(gateway, client, upstream, way)
    return client, upstream


def gates(gateway):
    return [(s["gate_in"], s["gate_out"]) for s in gateway.streams()]


def has_kernel_lane(gateway):
    return gateway.names["mode"] != "off"


def settle(gateway, client, upstream, way="in"):
    """A byte the other way, then single bytes this way, until it rides the kernel lane. Both ways never do at
    once; the one that is quiet makes room."""
    pair = (client, upstream) if way == "in" else (upstream, client)

    def rides():
        pair[0].send(b"c")
        eq(pair[1].read(1), b"c", "a byte this way")
        if not has_kernel_lane(gateway):
            return True
        time.sleep(0.02)
        return [s for s in gateway.streams()
                if s["client"].endswith(f":{client.local_port}") and s[f"gate_{way}"]]
    pair[1].send(b"u")
    eq(pair[0].read(1), b"u", "a byte the other way")
    wait_until(rides, 5, f"the way {way} in the kernel lane")


def facts(record):
    """A log line without what the lanes may differ in."""
    return {key: value for key, value in record.items() if key not in FREE_FIELDS}


def compare(play_once):
    """play_once(mode) -> anything comparable, the same in each mode."""
    compare_all(play_once, MODES)


def compare_all(play_once, modes):
    """The same for other ways to play it: each is compared with the first."""
    first = play_once(modes[0])
    for mode in modes[1:]:
        one, other = play_once(mode), first
        if isinstance(one, dict) and isinstance(other, dict):
            one, other = ({key: value for key, value in a.items() if value != b.get(key)}
                          for a, b in ((one, other), (other, one)))
        eq(one, other, f"{mode}, compared with {modes[0]}")


def expect_lane(gateway, record, count=1):
    """The log says the kernel lane, exactly when there is one."""
    eq("sockmap" in record["lane"], has_kernel_lane(gateway), f"lane={record['lane']}: the kernel lane")


def in_background(function, *arguments):
    """A thread whose exception is raised by .result()."""
    class Task(threading.Thread):
        def run(self):
            self.error = self.value = None
            try:
                self.value = function(*arguments)
            except BaseException as error:  # handed over to whoever waits
                self.error = error

        def result(self, timeout=120):
            self.join(timeout)
            check(not self.is_alive(), f"{function.__name__} does not end")
            if self.error:
                raise self.error
            return self.value
    task = Task(daemon=True)
    task.start()
    return task


def closings(gateway):
    """{reason: how often} of sockmap_closed_total, without zeros."""
    prefix = 'headgate_sockmap_closed_total{reason="'
    text = fetch(gateway.stats_port, "/metrics", netns=gateway.netns).text
    lines = [line for line in text.split("\n") if line.startswith(prefix)]
    counts = {line[len(prefix):].split('"')[0]: int(line.rsplit(" ", 1)[1]) for line in lines}
    return {reason: count for reason, count in counts.items() if count}


def raise_priority():
    """From here on, with all that is started: what the gateway decides by the pace of the bytes here, other
    programs of the machine must not decide."""
    try:
        os.nice(-20)
    except PermissionError:
        pass


def watch_end(raw, timeout=60):
    """A task whose result is how the connection ended, "fin" or "rst", and when."""
    return in_background(lambda: (raw.expect_end(timeout)[0], time.monotonic()))


class Load:
    """Clients that never give up: echo tunnels of random sizes, also while nobody listens."""

    def __init__(self, port, count):
        self.port, self.bytes, self.wrong = port, 0, []
        self._stop = False
        self._threads = [threading.Thread(target=self._run, args=(seed,), daemon=True)
                         for seed in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, seed):
        dice = random.Random(seed)
        while not self._stop:
            try:
                self._one(dice)
            except OSError:
                time.sleep(0.005)

    def _one(self, dice):
        with socket.create_connection(("127.0.0.1", self.port), 5) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.settimeout(5)
            offset = 0
            for _ in range(dice.randint(10, 200)):
                size = int(10 ** dice.uniform(0, 5))
                raw.sendall(pattern(size, offset))
                got = b""
                while len(got) < size:
                    data = raw.recv(size - len(got))
                    if not data:
                        return
                    got += data
                if got != pattern(size, offset):
                    self.wrong.append((offset, size))
                offset += size
                self.bytes += size
                if dice.random() < 0.5:
                    time.sleep(dice.random() * 0.03)

    def end(self):
        self._stop = True
        for thread in self._threads:
            thread.join(15)
        eq(self.wrong, [], "wrong bytes")
