# SPDX-License-Identifier: Apache-2.0
"""Attacks on connections of their own, an honest client beside them, and what the gateway says in the end.

Who is beside an attack shares the only worker with it, and has to be answered while the attack goes on: that
is a matter of order, whatever the machine does. How much an attack gets out of the gateway is counted.
"""
import threading
import time

from hg import Failure, check, eq, factor, is_asan, note, wait_until, withheld
from hg import h2_frames as f
from hg.h2 import H2Client
from plays import SIMPLE, play

MIB = 1 << 20
GROWTH_BYTES = 10 * MIB
ANSWERS = 5  # that a bystander gets while an attack goes on
ANSWER_S = 10  # without one for so long: it does not get any
FLOODS = "headgate_h2_floods_total"
SENT = "agentgateway_downstream_sent_bytes_total"
SENT_BYTES = 128 << 10  # to a client that is cut, at most


class Bystander(threading.Thread):
    """Asks for /get again and again, on a connection of its own, and expects to be served as ever."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client = H2Client(port)
        self.answers, self.slowest, self.error = 0, 0.0, None
        self._asked = time.monotonic()
        self._is_over = False
        self.start()

    def run(self):
        try:
            while not self._is_over:
                self._asked = time.monotonic()
                eq(self.client.get("/get").status, 200, "status of a bystander")
                self.slowest = max(self.slowest, time.monotonic() - self._asked)
                self.answers += 1
                time.sleep(0.005)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def expect_served(self):
        """Every answer so far was good, and the next one is not overdue."""
        if self.error:
            raise Failure(f"a client beside the attack: {self.error}")
        waits = time.monotonic() - self._asked
        check(waits < ANSWER_S * factor() or waits < ANSWER_S * factor() + withheld(waits),
              lambda: f"a client beside the attack, after {self.answers} answers, waits for {waits:.1f} s")

    def await_answers(self, count):
        """So many more."""
        want = self.answers + count
        while self.answers < want:
            self.expect_served()
            time.sleep(0.003)

    def finish(self):
        """It was served all the time."""
        self.await_answers(3)
        self._is_over = True
        self.join()
        self.expect_served()
        note(f"a bystander: {self.answers} answers, the slowest after {self.slowest * 1000:.0f} ms")


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


def flood(client, *pieces, times=1):
    """Sends what the gateway takes, in batches, as fast as it goes; True: it took everything."""
    batch = b"".join(pieces)
    left = times
    step = max(1, MIB // max(1, len(batch)))
    while left > 0 and not client.end:
        if client.send_some(batch * min(step, left)) is not None:
            return False
        left -= step
    return not client.end


def flood_streams(client, count, make, batch=50):
    """make(number) of so many new streams, in batches that wait until the gateway has answered."""
    for first in range(client.next_stream, client.next_stream + 2 * count, 2 * batch):
        text = b"".join(make(n) for n in range(first, first + 2 * batch, 2))
        client.next_stream = first + 2 * batch
        acked = len(client.ping_acks)
        if client.send_some(text + f.ping()) is not None:
            return
        client.wait(lambda a=acked: len(client.ping_acks) > a or client.goaways or client.end, 5, "an answer")
        if client.goaways or client.end:
            return


class Siege:
    """with Siege() as siege: attacks; afterwards the bystander and the memory of the gateway are judged.

    .attacker   a client, made when it is asked for
    .attacks    how many expect_cut() and repeat() have played;   .cuts   that ended with ENHANCE_YOUR_CALM
    """

    def __init__(self, config=SIMPLE, values=None, backends=None, **client_options):
        self.gateway, self.origin = play(config, **(backends or {}))
        warm = H2Client(self.gateway.port)
        for number in [warm.request("/get") for _ in range(100)]:
            warm.response(number)
        warm.close()
        self._values, self._options, self._attacker = values, client_options, None
        self.attacks = self.cuts = 0
        self.bystander = Bystander(self.gateway.port)
        self.memory = Memory(self.gateway)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.bystander.finish()
            self.memory.expect_small()

    @property
    def attacker(self):
        self._attacker = self._attacker or self.another()
        return self._attacker

    def another(self):
        client = H2Client(self.gateway.port, self._values, **self._options)
        client.sends_raw = True
        return client

    def meanwhile(self):
        """The bystander is answered beside what the attacker has begun."""
        self.bystander.await_answers(ANSWERS)

    def repeat(self, attack, judge=lambda client: None):
        """attack(client), then judge(client), for one connection after the other, until the bystander has had
        its answers meanwhile."""
        want = self.bystander.answers + ANSWERS
        while not self.attacks or self.bystander.answers < want:
            client = self.another()
            self.attacks += 1
            attack(client)
            judge(client)
            client.close()
            self.bystander.expect_served()
        note(f"{self.attacks} attacks")

    def expect_cut(self, attack, *kinds, also=()):
        """Each attack ends its connection with GOAWAY ENHANCE_YOUR_CALM (or one of the codes `also`), is
        counted as one of these kinds, and gets little out of the gateway."""
        def judge(client):
            last = client.expect_connection_error(f.ENHANCE_YOUR_CALM, *also, timeout=5)
            self.cuts += last.code == f.ENHANCE_YOUR_CALM
        before = self.gateway.metrics()(SENT)
        try:
            self.repeat(attack, judge)
        finally:
            note("floods:", {labels.get("kind"): value for _, name, labels, value
                             in self.gateway.metrics().families[FLOODS].samples if value})
        self._expect_counted(kinds)
        opened = "headgate_downstream_connections_open"
        wait_until(lambda: self.gateway.metrics()(opened) == 1, 5, "the ends of all attackers")
        sent = self.gateway.metrics()(SENT) - before
        note(f"{sent / self.attacks:.0f} bytes to each attacker")
        check(sent < self.attacks * SENT_BYTES, f"{self.attacks} attackers got {sent:.0f} bytes")

    def _expect_counted(self, kinds):
        """Those that ended with another code may have been over a limit as well."""
        wait_until(lambda: self.gateway.metrics()(FLOODS) >= self.cuts, 5, f"{self.cuts} floods counted")
        metrics = self.gateway.metrics()
        total = metrics(FLOODS)
        check(self.cuts <= total <= self.attacks,
              f"{total:.0f} of {self.attacks} attacks are counted, {self.cuts} were cut")
        if kinds:
            eq(sum(metrics(FLOODS, kind=kind) for kind in kinds), total, f"{FLOODS} of {kinds}")
