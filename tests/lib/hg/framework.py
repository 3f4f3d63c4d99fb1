# SPDX-License-Identifier: Apache-2.0
"""Defines tests, their assertions and notes, and the abilities that they need."""
import contextlib
import os
import shutil
import sys
import time
import traceback

from hg import machine


# The longest delay between an event and the process that handles it, on a busy machine.
LATE_S = 5.0
# How long a soak lasts in `make check`.
SEED_S = 5.0


class Failure(AssertionError):
    """The claim is false."""


class Skipped(Exception):
    """The claim cannot be tested here; what: the missing ability."""

    def __init__(self, reason, what):
        super().__init__(reason)
        self.what = what


class Test:
    """One claim, or the claims of a table. Registered by @test; hg.runner runs it in its own process."""

    def __init__(self, function, claim, timeout, serial, heavy, waits, needs, soak, measures, long):
        self.function = function
        self.claim = claim
        self.claims = [claim]
        self.timeout = timeout
        self.kind = "serial" if serial else "heavy" if heavy else "waits" if waits else ""
        self.needs = needs
        self.soak = soak
        self.measures = measures
        self.long = long
        self.file = os.path.basename(function.__code__.co_filename)[:-len(".py")]
        if self.file.startswith("test_"):
            self.file = self.file[len("test_"):]

    @property
    def name(self):
        return f"{self.file}: {self.claim}"

    def matches(self, words):
        """True if the file name or a claim, of the test or of its table, contains the words."""
        return any(words in f"{self.file}: {claim}" for claim in (self.claim, *self.claims))


_registry = []


def test(claim, timeout=30, serial=False, heavy=False, waits=False, needs=(), soak=False, measures=False,
         long=False):
    """Marks a function without arguments as a test.

    timeout   seconds until the test is killed (doubled under a sanitizer)
    serial    runs alone, at the end: for tests that measure the machine, or that others would disturb
    heavy     loads the cores for seconds, without measuring them: runs after the others, three at a time
    waits     sleeps for seconds and needs hardly any processor time: runs in addition to the others
    needs     abilities without which the test is skipped: see need()
    soak      `make soak` also runs it, with soak_seconds() as given
    measures  proves an amount, of memory or of rare errors: not run under a sanitizer, whose amounts differ
    long      takes tens of seconds: part of `make thorough`, not of `make check`
    """
    def register(function):
        _registry.append(Test(function, claim, timeout, serial, heavy, waits, needs, soak, measures, long))
        return function
    return register


def table(claim, **options):
    """A test of many claims that share a gateway, because a start takes longer than a claim.
    Returns a decorator; options are those of @test.

        streams = table("streams, their states and numbers")

        @streams("RFC 9113 5.1 idle: only HEADERS and PRIORITY may come")
        def idle(): ...

    The claims run one after the other: the clients of one are closed before the next begins, and objects made
    by once() are checked at the end. A claim that fails is reported, and the others still run.
    """
    rows = {}

    def run():
        context().shared = {}
        failed = []
        for sentence, function in rows.items():
            note("claim:", sentence)
            try:
                function()
            except Skipped:
                raise
            except Exception as error:  # pylint: disable=broad-except
                traceback.print_exc()
                failed.append(f"{sentence}: {error}")
            context().finish(Context.CLIENT)
        check(not failed, f"{len(failed)} of {len(rows)} claims: {'; '.join(failed)}")

    def row(sentence):
        def register(function):
            if sentence in rows:
                raise ValueError(f"two claims of a table: {sentence}")
            if not rows:
                test(claim, **options)(function)
                _registry[-1].function, _registry[-1].claims = run, rows
            rows[sentence] = function
            return function
        return register
    return row


def take_registered():
    found = list(_registry)
    _registry.clear()
    return found


class Context:
    """The objects that the running test has created. Closed in the order clients, backends, gateways,
    networks."""

    CLIENT, ORIGIN, GATEWAY, NETWORK = range(4)

    def __init__(self, directory, needs=()):
        self.directory = directory
        self.needs = needs
        self.failed = False
        self.shared = None  # in a table: objects made by once()
        self._objects = []

    def own(self, phase, thing):
        """Calls thing.cleanup() when the test ends, in any case; cleanup() may raise Failure."""
        self._objects.append((phase, len(self._objects), thing))
        return thing

    def disown(self, thing):
        self._objects = [entry for entry in self._objects if entry[2] is not thing]

    def of_phase(self, phase):
        return [thing for p, _, thing in self._objects if p == phase]

    def finish(self, last_phase=NETWORK):
        """Cleans up the phases up to this one. Returns the first error of a cleanup, or None."""
        first = None
        ending = [entry for entry in self._objects if entry[0] <= last_phase]
        for _, _, thing in sorted(ending, key=lambda entry: (entry[0], -entry[1])):
            try:
                thing.cleanup()
            except BaseException as error:  # pylint: disable=broad-except
                self.failed = True
                first = first or error
        self._objects = [entry for entry in self._objects if entry[0] > last_phase]
        return first


_context = None


def set_context(context):
    global _context
    _context = context
    machine.watch()


def context():
    if _context is None:
        raise RuntimeError("no test is running: use the library inside a @test function")
    return _context


def once(key, make):
    """The result of make(); in a table, the same object for all claims that use this key."""
    shared = context().shared
    if shared is None:
        return make()
    if key not in shared:
        shared[key] = make()
    return shared[key]


def tmpdir():
    """A temporary directory of this test, which is removed afterwards."""
    return context().directory


def profile():
    return os.environ.get("HG_PROFILE", "release")


def is_asan():
    return profile() in ("asan", "tsan")


def factor():
    """The factor for time limits: 1 in release, more under a sanitizer; HG_TIME_FACTOR overrides it."""
    return float(os.environ.get("HG_TIME_FACTOR") or (3 if is_asan() else 1))


def is_thorough():
    """True in `make thorough`, which has time for tests that `make check` omits."""
    return os.environ.get("HG_THOROUGH") == "1"


def soak_seconds(default):
    """How long a soak lasts: the time given to `make soak`, otherwise the default, or 5 s of it in `make
    check`."""
    return float(os.environ.get("HG_SOAK_SECONDS") or (default if is_thorough() else min(default, SEED_S)))


# ---- claims --------------------------------------------------------------------------------------------


def note(*words):
    """Writes a line to the log of this test."""
    print(*words, flush=True)


def check(condition, message):
    if not condition:
        raise Failure(message() if callable(message) else message)


def eq(got, want, what="value"):
    if got != want:
        raise Failure(f"{what}: got {shorten(got)}, want {shorten(want)}")


def shorten(value, limit=600):
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def tolerance(expected_s, over_s=None):
    """How much a measured time may fall short of expected_s: 50 ms + 5 %, more under a sanitizer, plus the
    time that the machine withheld meanwhile, because the measurement may have started late.

    over_s: how many seconds back withheld time counts; by default one more than expected_s.
    """
    return (0.05 + 0.05 * expected_s) * factor() + machine.withheld(over_s or expected_s + 1)


@contextlib.contextmanager
def within(expected_s, what="it", before=None):
    """with within(1.0, "idle close"): ...   see check_time()."""
    start = time.monotonic()
    yield
    check_time(time.monotonic() - start, expected_s, what, before)


def check_time(took_s, expected_s, what="it", before=None):
    """Asserts that an event happened after expected_s: not earlier, and before the next deadline.

    before: seconds after which another deadline would have caused the event. Without it the upper bound,
    LATE_S above the expected time, only catches events that never happen by themselves. A machine may be late
    for its own reasons; the end reason proves which timer fired, not the time.
    """
    early = expected_s - tolerance(expected_s)
    late = before or expected_s + LATE_S * factor()
    if took_s < early or took_s > late + machine.withheld(took_s + 1):
        raise Failure(f"{what} took {took_s:.3f} s, want at least {early:.3f} s and at most {late:.3f} s")


def timed(function, *args, **keywords):
    """(seconds, result) of a call."""
    start = time.monotonic()
    result = function(*args, **keywords)
    return time.monotonic() - start, result


def wait_until(predicate, timeout=5.0, what="condition"):
    """Polls until predicate() is true and returns its value. The longer it takes, the rarer it looks: that
    takes processor time from the other tests."""
    start, limit = time.monotonic(), timeout * factor()
    while True:
        value = predicate()
        if value:
            return value
        took = time.monotonic() - start
        if took > limit and took > limit + machine.withheld(took):
            raise Failure(f"waited {took:.1f} s in vain for {what}")
        time.sleep(min(0.003 + took / 10, 0.03))


# ---- abilities -----------------------------------------------------------------------------------------


def skip(reason, what="other", kind=None):
    """Skips this test with a reason. HG_REQUIRE=what (or tools, or all) turns the skip into a failure."""
    required = os.environ.get("HG_REQUIRE", "").replace(",", " ").split()
    if what in required or kind in required or "all" in required:
        raise Failure(f"{reason} (HG_REQUIRE forbids to skip {what})")
    raise Skipped(reason, what)


def has_capability(bit):
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> bit & 1)
    return False


CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_BPF = 12, 21, 39


def need(what):
    """Skips the test without root, netns, bpf, a program ("wrk", "curl", …) or a Python module ("module:h2").
    """
    if what == "root":
        if os.geteuid() != 0:
            skip("needs root", what)
    elif what == "netns":
        if not (has_capability(CAP_SYS_ADMIN) and has_capability(CAP_NET_ADMIN)) or not shutil.which("ip"):
            skip("needs CAP_SYS_ADMIN, CAP_NET_ADMIN and iproute2 to make network namespaces", what)
    elif what == "bpf":
        if not (has_capability(CAP_BPF) or has_capability(CAP_SYS_ADMIN)):
            skip("needs CAP_BPF to load programs", what)
        if not os.access("/sys/kernel/btf/vmlinux", os.R_OK):
            skip("needs a kernel that shows its BTF", what)
    elif what.startswith("module:"):
        try:
            __import__(what[len("module:"):])
        except ImportError:
            skip(f"needs the Python module {what[len('module:'):]}: run scripts/deps.sh check", what, "tools")
    elif not shutil.which(what, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
        skip(f"needs the program {what}: run scripts/deps.sh check", what, "tools")


def repository_root():
    return os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


def binary(name):
    """Path of headgate or httpbin of the profile under test, or the path in HEADGATE_BIN / HTTPBIN_BIN."""
    path = os.environ.get(name.upper() + "_BIN") or os.path.join(repository_root(), "build", profile(), name)
    if not os.path.exists(path):
        raise Failure(f"{path} is not built: make PROFILE={profile()} all")
    return path


def stderr(*words):
    print(*words, file=sys.stderr, flush=True)
