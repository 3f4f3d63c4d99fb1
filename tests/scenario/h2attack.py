# SPDX-License-Identifier: Apache-2.0
"""An attack on one connection, an honest client on another, and what the gateway has to say in the end."""
import threading
import time

from hg import Failure, check, eq, factor, is_asan, note, tolerance, wait_until
from hg import h2_frames as f
from hg.h2 import H2Client
from plays import SIMPLE, play

MIB = 1 << 20
GROWTH_BYTES = 10 * MIB
WORST_S = 0.5  # of a bystander's request, while the attack runs
FLOODS = "headgate_h2_floods_total"


class Bystander(threading.Thread):
    """Asks for /get again and again, on a connection of its own, and expects to be served as ever."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client = H2Client(port)
        self.begin, self.seconds = time.monotonic(), []
        self.error = None
        self._is_over = False
        self.start()

    def run(self):
        try:
            while not self._is_over:
                begin = time.monotonic()
                eq(self.client.get("/get").status, 200, "status of a bystander")
                self.seconds.append(time.monotonic() - begin)
                time.sleep(0.005)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def finish(self):
        """It was served all the time."""
        count = len(self.seconds)
        wait_until(lambda: len(self.seconds) >= count + 3 or self.error, 5, "three requests of a bystander")
        self._is_over = True
        self.join()
        if self.error:
            raise Failure(f"a client beside the attack: {self.error}")
        note(f"a bystander: {len(self.seconds)} requests, the slowest {max(self.seconds) * 1000:.0f} ms")
        check(max(self.seconds) < WORST_S * factor() + tolerance(WORST_S, time.monotonic() - self.begin),
              f"a bystander waited {max(self.seconds):.2f} s")


class Memory:
    """How much the gateway grows from here on, at its largest."""

    def __init__(self, gateway):
        self.gateway = gateway
        with open(f"/proc/{gateway.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # forget the peak
        self.before = gateway.rss_bytes()

    def expect_small(self, limit=GROWTH_BYTES):
        grown = self.gateway.peak_rss_bytes() - self.before
        note(f"the gateway grew by {grown / MIB:.1f} MiB")
        if not is_asan():  # whose quarantine keeps what was freed
            check(grown < limit, f"the gateway grew by {grown / MIB:.1f} MiB")


class Siege:
    """with Siege() as siege: attacks with siege.attacker; afterwards memory and bystander are judged."""

    def __init__(self, config=SIMPLE, values=None, backends=None, **client_options):
        self.gateway, self.origin = play(config, workers=2, **(backends or {}))
        warm = H2Client(self.gateway.port)
        for number in [warm.request("/get") for _ in range(100)]:
            warm.response(number)
        warm.close()
        self.attacker = H2Client(self.gateway.port, values, **client_options)
        self.attacker.sends_raw = True
        self.bystander = Bystander(self.gateway.port)
        self.memory = Memory(self.gateway)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.bystander.finish()
            self.memory.expect_small()

    def another(self):
        return H2Client(self.gateway.port)

    def flood(self, *pieces, times=1):
        """Sends what the gateway takes, in batches, as fast as it goes; True: it took everything."""
        batch = b"".join(pieces)
        left = times
        step = max(1, MIB // max(1, len(batch)))
        while left > 0 and not self.attacker.end:
            if self.attacker.send_some(batch * min(step, left)) is not None:
                return False
            left -= step
        return not self.attacker.end

    def flood_streams(self, count, make, batch=50):
        """make(number) of so many new streams, in batches that wait until the gateway has answered."""
        client = self.attacker
        for first in range(client.next_stream, client.next_stream + 2 * count, 2 * batch):
            text = b"".join(make(n) for n in range(first, first + 2 * batch, 2))
            client.next_stream = first + 2 * batch
            acked = len(client.ping_acks)
            if client.send_some(text + f.ping()) is not None:
                return
            client.wait(lambda a=acked: len(client.ping_acks) > a or client.goaways or client.end, 5,
                        "an answer")
            if client.goaways or client.end:
                return

    def expect_calm(self, *kinds, also=()):
        """GOAWAY ENHANCE_YOUR_CALM (or one of the codes `also`), the end, and one more in the metric."""
        try:
            last = self.attacker.expect_connection_error(f.ENHANCE_YOUR_CALM, *also, timeout=5)
        finally:
            note("floods:", {labels.get("kind"): value for _, name, labels, value
                             in self.gateway.metrics().families[FLOODS].samples if value})
        if last.code == f.ENHANCE_YOUR_CALM:
            def counted():
                metrics = self.gateway.metrics()
                return sum(metrics(FLOODS, kind=kind) for kind in kinds) if kinds else metrics(FLOODS)
            eq(wait_until(counted, 2, f"{FLOODS} of {kinds}"), 1, f"{FLOODS} of {kinds}")
        return last
