# SPDX-License-Identifier: Apache-2.0
"""The output of a test run: one line per result, failures and how to repeat them, a summary."""
import contextlib
import os
import shlex
import sys
import threading
import time

from hg import process

SHOWN_LINES = 60
SLOW_S = 5.0
MOST_LISTED = 10
SAMPLE_S = 0.5
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
UNSTEADY = os.path.join(ROOT, "tests", "unsteady.txt")


def took(seconds):
    return f" [{seconds:.1f} s]" if seconds >= SLOW_S else ""


def ended(status):
    if status is None:
        return "took too long"
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def repeat_command(kind, profile, name):
    return f"tests/run.py --profile {profile} --only {shlex.quote(name)} {kind}"


def read_unsteady(path=UNSTEADY):
    """{"scenario file: claim": cause} of the tests that are known to pass only at a second try."""
    known = {}
    for line in process.read_text(path).split("\n"):
        if line.strip() and not line.startswith("#"):
            name, _, cause = line.partition(" | ")
            known[name.strip()] = cause.strip()
    return known


class Idle(threading.Thread):
    """Measures how long cores were idle, and during which tests.

    Every half second the idle time of all cores is divided among the running tests; without running tests it
    counts for the phase of the run, for example the build.
    """

    def __init__(self, running):
        super().__init__(daemon=True)
        self._running = running  # () -> names
        self._by_name, self.idle_s, self.total_s = {}, 0.0, 0.0

    @staticmethod
    def _ticks():
        """(idle, all) of the machine, in seconds."""
        fields = [int(word) for word in process.read_text("/proc/stat").split("\n", 1)[0].split()[1:9]]
        tick = os.sysconf("SC_CLK_TCK")
        return (fields[3] + fields[4]) / tick, sum(fields) / tick

    def run(self):
        idle, total = self._ticks()
        while True:
            time.sleep(SAMPLE_S)
            now_idle, now_total = self._ticks()
            self._count(now_idle - idle, now_total - total)
            idle, total = now_idle, now_total

    def _count(self, idle_s, total_s):
        names = self._running()
        self.idle_s += idle_s
        self.total_s += total_s
        for name in names:
            self._by_name[name] = self._by_name.get(name, 0.0) + idle_s / len(names)

    def lines(self):
        if not self.total_s:
            return []
        busy = 1 - self.idle_s / self.total_s
        most = sorted(self._by_name.items(), key=lambda entry: -entry[1])[:MOST_LISTED]
        return [f"processors: {busy:.0%} busy; idle for {self.idle_s:.0f} core-seconds, most of them beside:",
                *(f"  {seconds:6.1f} s  {name}" for name, seconds in most if seconds >= 1)]


class Report:
    """Counts and prints results, from any thread. Every line of a result begins with ok, FAIL or skip."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []  # (name, command to repeat it)
        self.unsteady = []
        self.skips = {}  # reason -> how many
        self.start = time.monotonic()
        self._seconds = []  # (seconds, name)
        self._sections = []
        self._running, self._expected, self._done, self._is_together = {}, 0, 0, False
        self._lock = threading.RLock()
        self._is_terminal = sys.stdout.isatty()
        self._idle = Idle(self._names_running)
        self._idle.start()

    # ---- what runs -----------------------------------------------------------------------------------

    def section(self, name, expected=0):
        with self._lock:
            if not self._is_together:
                self._sections.append((name, time.monotonic()))
                self._expected, self._done = 0, 0
            self._expected += expected
            self.say(f"\n== {name}")

    @contextlib.contextmanager
    def together(self, name):
        """The sections inside run at the same time: they are one in the summary."""
        self.section(name)
        self._is_together = True
        try:
            yield
        finally:
            self._is_together = False

    def begins(self, name):
        with self._lock:
            self._running[name] = self._running.get(name, 0) + 1
            self._progress()

    def ends(self, name):
        with self._lock:
            self._done += 1
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]
            self._progress()

    def _names_running(self):
        with self._lock:
            return list(self._running) or [name for name, _ in self._sections[-1:]]

    def _progress(self):
        """On a terminal: a line that is overwritten."""
        if not self._is_terminal:
            return
        minutes, seconds = divmod(int(time.monotonic() - self.start), 60)
        total = f" of {self._expected}" if self._expected else ""
        text = f"{self._done}{total}, {self.failed} failed, {minutes}:{seconds:02d}"
        names = ", ".join(self._running)
        width = os.get_terminal_size().columns - 1
        sys.stdout.write("\r\033[K" + f"[{text}] {names}"[:width])
        sys.stdout.flush()

    def say(self, text):
        with self._lock:
            clear = "\r\033[K" if self._is_terminal else ""
            print(clear + text, flush=True)

    # ---- results -------------------------------------------------------------------------------------

    def ok(self, name, count=1, seconds=0.0):
        many = f" ({count})" if count > 1 else ""
        with self._lock:
            self.passed += count
            self._seconds.append((seconds, name))
            self.say(f"ok    {name}{many}{took(seconds)}")

    def skip(self, name, reason, count=1):
        with self._lock:
            self.skipped += count
            self.skips[reason] = self.skips.get(reason, 0) + count
            self.say(f"skip  {name}: {reason}")

    def fail(self, name, reason="", log=None, seconds=0.0, repeat=None):
        with self._lock:
            self.failed += 1
            self.failures.append((name, repeat))
            self._seconds.append((seconds, name))
            self.say(f"FAIL  {name}" + (f": {reason}" if reason else "") + took(seconds))
            if log:
                lines = process.tail(log, SHOWN_LINES).rstrip("\n")
                if lines:
                    self.say("      | " + lines.replace("\n", "\n      | "))
                self.say(f"      full log: {os.path.relpath(log, ROOT)}")
            if repeat:
                self.say(f"      repeat it alone: {repeat}")

    def second(self, name, reason, count=1, seconds=0.0, repeat=None):
        """Reports a test that failed beside other tests and passed alone: it counts as passed, but must be
        fixed."""
        cause = read_unsteady().get(name.split("/", 1)[0] + " " + name.split(" ", 1)[1])
        with self._lock:
            self.unsteady.append((name, reason, cause, repeat))
        self.ok(name + " (at the second try)", count, seconds)

    # ---- the end -------------------------------------------------------------------------------------

    def finish(self):
        end = time.monotonic()
        minutes, seconds = divmod(int(end - self.start), 60)
        ends = [start for _, start in self._sections[1:]] + [end]
        parts = [f"{name} {until - start:.0f} s" for (name, start), until in zip(self._sections, ends)]
        self._list_slowest()
        for line in self._idle.lines():
            self.say(line)
        self.say(f"{minutes} min {seconds} s: " + ", ".join(parts))
        for reason, count in sorted(self.skips.items()):
            self.say(f"*** NOT TESTED, {count} test{'s' if count > 1 else ''}: {reason}")
        self._list_unsteady()
        if self.failures:
            self.say("failed:")
        for name, repeat in self.failures:
            self.say(f"  {name}" + (f"\n      {repeat}" if repeat else ""))
        tail = f", {self.skipped} skipped" if self.skipped else ""
        sys.stderr.flush()
        self.say(f"{self.passed} passed, {self.failed} failed{tail}")
        return 1 if self.failed else 0

    def _list_slowest(self):
        slowest = sorted(self._seconds, key=lambda entry: -entry[0])[:MOST_LISTED]
        if slowest and slowest[0][0] >= 1:
            self.say("\nslowest:")
            for seconds, name in slowest:
                self.say(f"  {seconds:6.1f} s  {name}")

    def _list_unsteady(self):
        if self.unsteady:
            self.say("unsteady, a fault of the test: it failed beside others and passed alone. "
                     "Mend it, or name it with its cause in tests/unsteady.txt:")
        for name, reason, cause, repeat in self.unsteady:
            self.say(f"  {name}: {reason}" + (f" (known: {cause})" if cause else "") +
                     (f"\n      {repeat}" if repeat else ""))
