# SPDX-License-Identifier: Apache-2.0
"""The time that the machine withheld: how long the processes of this test were runnable and waited for a
core.

Read from /proc/<pid>/task/<tid>/schedstat (its second number, ns) of this process and its descendants. On a
machine with idle cores it is close to zero; where other programs use them, measured times are late by as
much. Time that a hypervisor took from the whole machine (the "steal" of /proc/stat, all cores together) is
added. A machine that stops for seconds may report neither; then the watch sleeps longer than requested.
"""
import collections
import os
import select
import threading
import time

INTERVAL_S = 0.2  # each sample takes processor time from the tests
PAUSE_S = 0.3
KEPT_S = 60


def read(path):
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def family(pid):
    """Yields (thread id, path of its directory) for a process and all its descendants."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        path = f"/proc/{pid}/task/{thread}"
        yield thread, path
        for child in read(path + "/children").split():
            yield from family(child)


def stolen_ns():
    fields = read("/proc/stat").split("\n", 1)[0].split()
    return int(fields[8]) * 1000000000 // os.sysconf("SC_CLK_TCK") if len(fields) > 8 else 0


class Watch(threading.Thread):
    """Sums up the waiting times, several times a second."""

    def __init__(self):
        super().__init__(daemon=True)
        self._lock = threading.Lock()
        self._seen, self._total_ns = {"stolen": stolen_ns()}, 0
        self._samples = collections.deque([(time.monotonic(), 0)], maxlen=int(KEPT_S / INTERVAL_S))
        self._due = time.monotonic() + INTERVAL_S

    def _add(self, who, waited_ns):
        self._total_ns += max(0, waited_ns - self._seen.get(who, 0))
        self._seen[who] = waited_ns

    def sample(self):
        with self._lock:
            before, late = self._total_ns, time.monotonic() - self._due
            self._add("stolen", stolen_ns())
            for thread, path in family(os.getpid()):
                fields = read(path + "/schedstat").split()
                if len(fields) == 3:
                    self._add(thread, int(fields[1]))
            now = time.monotonic()
            if late > PAUSE_S:
                self._total_ns = max(self._total_ns, before + int(late * 1e9))
            self._due = max(self._due, now)
            if len(self._samples) > 1 and now - self._samples[-2][0] < INTERVAL_S:
                self._samples.pop()  # frequent calls must not push out older samples
            self._samples.append((now, self._total_ns))
            return self._total_ns

    def withheld(self, seconds):
        """The seconds that all threads together have waited in this many last seconds."""
        total = self.sample()
        begin = time.monotonic() - seconds
        before = [waited for at, waited in list(self._samples) if at <= begin]
        return (total - (before[-1] if before else 0)) / 1e9

    def run(self):
        while True:
            self.sample()
            self._due = time.monotonic() + INTERVAL_S
            time.sleep(INTERVAL_S)


_watch = None


def watch():
    """Starts the watch in this process."""
    global _watch
    _watch = Watch()
    _watch.start()


def readable(socket, seconds):
    """Waits this long for bytes or an end, extended by the time withheld meanwhile."""
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(seconds * 1000) or poll.poll(withheld(seconds) * 1000))


def withheld(seconds):
    return _watch.withheld(seconds) if _watch else 0.0
