# SPDX-License-Identifier: Apache-2.0
"""What the plays about the kernel lane have in common: the same play with and without it, and how to
get into it."""
import threading
import time

from hg import Backend, Gateway, Origin, check, eq, fetch, wait_until

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
FREE_FIELDS = ("lane", "duration", "src.addr", "endpoint", "http.host", "id")


def acted(mode, config=TUNNEL, **options):
    """(gateway, backend): the test plays the backend."""
    backend = Backend()
    return Gateway(config, origin=backend, mode=mode, workers=1, **options), backend


def play(mode, config=HTTP, origin_options=None, **options):
    origin = Origin(**(origin_options or {}))
    return Gateway(config, origin=origin, mode=mode, workers=1, **options), origin


def tunnel(gateway, backend, warm=True, **options):
    """(client, upstream) of a tunnel; in the kernel lane in both directions where there is one."""
    client = gateway.client(**options)
    upstream = backend.accept()
    if warm:
        settle(gateway, client, upstream)
    return client, upstream


def gates(gateway):
    return [(s["gate_in"], s["gate_out"]) for s in gateway.streams()]


def has_kernel_lane(gateway):
    return gateway.names["mode"] != "off"


def settle(gateway, client, upstream):
    """Single bytes to and fro through this tunnel until both directions of all ride the kernel lane."""
    def both():
        client.send(b"c")
        eq(upstream.read(1), b"c", "a byte up")
        upstream.send(b"u")
        eq(client.read(1), b"u", "a byte down")
        if not has_kernel_lane(gateway):
            return True
        time.sleep(0.02)
        return all(up and down for up, down in gates(gateway))
    wait_until(both, 5, "both directions in the kernel lane")


def facts(record):
    """A log line without what the lanes may differ in."""
    return {key: value for key, value in record.items() if key not in FREE_FIELDS}


def compare(play_once):
    """play_once(mode) -> anything comparable, the same in each mode."""
    results = [play_once(mode) for mode in MODES]
    if all(isinstance(result, dict) for result in results):
        results = [{key: value for key, value in a.items() if value != b.get(key)}
                   for a, b in (results, reversed(results))]
    eq(results[1], results[0], "with the kernel lane, compared with the copy lane")


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
    """{reason: how often} of gate_closed_total, without zeros."""
    prefix = 'headgate_gate_closed_total{reason="'
    text = fetch(gateway.stats_port, "/metrics", netns=gateway.netns).text
    lines = [line for line in text.split("\n") if line.startswith(prefix)]
    counts = {line[len(prefix):].split('"')[0]: int(line.rsplit(" ", 1)[1]) for line in lines}
    return {reason: count for reason, count in counts.items() if count}
