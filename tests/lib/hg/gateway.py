# SPDX-License-Identifier: Apache-2.0
"""The gateway under test: started with a configuration, observed while it runs, checked when it stops."""
import os
import re
import signal
import time

from hg import framework, machine
from hg.accesslog import parse_line
from hg.framework import Context, Failure, binary, context, factor, tmpdir, wait_until
from hg.metrics import Metrics
from hg.ports import free_port
from hg.process import Process, read_text, run, tail
from hg.raw import Raw, fetch

PLACEHOLDER = re.compile(r"@([a-z][a-z0-9_]*)@")
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|check failed", re.I)
# Gauges of current activity; they must return to their values right after the start.
BUSY_GAUGE = re.compile(
    r"(?m)^((?:head|agent)gate\w*(?:active|open|idle|in_use|waiting|buffered|streams|connections|slots)\w*"
    r"(?<!_total)(?<!_seconds)(?<!_bucket)(?<!_count)(?<!_sum)(?:\{.*\})?) (\S+)$")
# Pipes that a worker may keep for reuse (LIMIT_IDLE_PIPES), two descriptors each.
IDLE_PIPE_FDS = 128

SANITIZER_ENV = {
    # Keeps the quarantine small enough for the memory limits in tests.
    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:abort_on_error=0:detect_stack_use_after_return=1:"
                    "quarantine_size_mb=4",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "exitcode=99:halt_on_error=0",
}

POOL_IDLE, POOL_OPEN = "headgate_upstream_pool_idle", "headgate_upstream_connections_open"

_configs = 0


def fill_in(text, names, ports):
    """Replaces @origin@ by names["origin"].address, and any other @name@ by its own port, always the same."""
    def replace(match):
        name = match.group(1)
        if name in names:
            return str(getattr(names[name], "address", names[name]))
        if name not in ports:
            ports[name] = free_port()
        return str(ports[name])
    return PLACEHOLDER.sub(replace, text)


LANES_OFF = "splice: {mode: off}"


def without_lanes(text):
    """Returns a standalone configuration with the kernel lanes off, because loading and testing their
    programs takes most of the processor time of a start. Line numbers stay the same, except after a block
    `config:`."""
    if "splice" in text or "binds:" not in text or text.lstrip().startswith("{"):
        return text
    flow = re.sub(r"(?m)^config: *\{ *(?=\S)", "config: {" + LANES_OFF + ", ", text, count=1)
    if flow != text:
        return flow.replace(", }", "}", 1)
    block = re.sub(r"(?m)^config: *$", "config:\n  " + LANES_OFF, text, count=1)
    if block != text:
        return block
    return f"{text.rstrip(chr(10))}\nconfig: {{{LANES_OFF}}}\n"


def write_atomically(path, text):
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(path + ".new", path)


def new_directory():
    global _configs
    _configs += 1
    path = os.path.join(tmpdir(), f"config-{_configs}")
    os.mkdir(path)
    return path


def validate(text, **names):
    """Runs headgate --validate-only on a text: (exit status, stdout, stderr). The file is named config.yaml.
    """
    path = os.path.join(new_directory(), "config.yaml")
    write_atomically(path, fill_in(text, names, {}))
    return run([binary("headgate"), "-f", path, "--validate-only"], env=SANITIZER_ENV)


class Gateway(Process):
    """Gateway(yaml_text, origin=origin): @origin@ in the text becomes its address; @port@, @other@ free ports

    .port (of @port@)  .ports["other"]  .fetch("/path")  .client() -> Raw  .admin_json("/config_dump")
    .metrics()("name_total", route="…")  .wait_log(lambda r: r.status == 504)  .stop()

    files      {name: text} instead of one text: one -f each
    directory  {name: text}: -f with the directory that holds these files
    paths      existing files, passed unchanged
    keeper     True: with the keeper, as a user starts it; .gateway_pid is its child
    env, args  more environment, more arguments;   workers  WORKER_THREADS
    netns      its network namespace (client() and fetch() then connect from inside, too)
    wrap       arguments of a program that execs it;   program  the program, below build/<profile>/
    lanes      True: kernel lanes as configured; by default off in tests that neither need BPF nor name them
               (`make thorough` always leaves them as configured)
    ready      False: do not wait for readiness;   checked  False: do not check it at the end of the test
    """

    phase = Context.GATEWAY
    inner = False  # whether idle connections of the pool may lead to the process itself

    def __init__(self, text=None, files=None, directory=None, paths=(), env=None, args=(), workers=2,
                 netns=None, uid=None, ready=True, checked=True, wrap=(), keeper=False, program="headgate",
                 lanes=None, **names):
        self.names, self.ports, self.files = names, {}, {}
        self.folder = new_directory()
        self.checked, self._workers, self._stopped = checked, workers, False
        self._baseline = self._exposition = None
        if lanes is None:
            lanes = framework.is_thorough() or "bpf" in context().needs
        self._leaves_lanes_out = not lanes
        sources = []
        if text is not None:
            files = {"config.yaml": text, **(files or {})}
        for name, content in {**(files or {}), **(directory or {})}.items():
            self.write(name, content)
        sources += [self.files[name] for name in files or {}]
        sources += [self.folder] if directory else []
        sources += list(paths)
        texts = [*(files or {}).values(), *(directory or {}).values()]
        if self._leaves_lanes_out and texts and all("apiVersion:" in content for content in texts):
            self.write("lanes-off.yaml", f"config: {{{LANES_OFF}}}\n")
            sources += [] if directory else [self.files["lanes-off.yaml"]]
        self.admin_port, self.stats_port, self.ready_port = free_port(), free_port(), free_port()
        argv = [*wrap, binary(program)]
        for source in sources:
            argv += ["-f", source]
        argv += [] if keeper else ["--no-keeper"]
        environment = {
            **SANITIZER_ENV, "ADMIN_ADDR": f"127.0.0.1:{self.admin_port}",
            "STATS_ADDR": f"127.0.0.1:{self.stats_port}", "READINESS_ADDR": f"127.0.0.1:{self.ready_port}",
            "WORKER_THREADS": workers, **(env or {}),
        }
        super().__init__([*argv, *args], "headgate", env=environment, netns=netns, uid=uid)
        if ready:
            self.await_ready()

    @property
    def port(self):
        if "port" in self.ports:
            return self.ports["port"]
        if len(self.ports) == 1:
            return next(iter(self.ports.values()))
        raise Failure("the configuration has no @port@; use .ports[name]")

    @property
    def gateway_pid(self):
        """The pid of the serving process: with a keeper its child, or None between two of them."""
        children = read_text(f"/proc/{self.pid}/task/{self.pid}/children").split()
        return int(children[0]) if children else None

    # ---- configuration -------------------------------------------------------------------------------

    def write(self, name, text):
        """Atomically writes or replaces a configuration file, with the placeholders filled in."""
        self.files[name] = os.path.join(self.folder, name)
        text = fill_in(text, self.names, self.ports)
        write_atomically(self.files[name], without_lanes(text) if self._leaves_lanes_out else text)

    def reload(self, text, name="config.yaml", timeout=5.0):
        """Replaces a file and waits until /config_status changes (loaded, or refused)."""
        before = self.admin("/config_status").body
        self.write(name, text)
        wait_until(lambda: self.admin("/config_status").body != before, timeout, "the reload")
        return self.admin_json("/config_status")

    def await_ready(self, timeout=10.0):
        def is_ready():
            if not self.is_running():
                raise Failure(f"headgate ended with {self.exit_status()}:\n{tail(self.stderr_path)}")
            try:
                return fetch(self.ready_port, "/healthz/ready", netns=self.netns).status == 200
            except OSError:
                return False
        wait_until(is_ready, timeout, "readiness")
        if self.checked and not self._baseline:
            self._baseline = self._activity()

    def settle(self):
        """From now on this activity is that of a gateway at rest: for what connects only later."""
        self._baseline = self._activity()

    # ---- through it ----------------------------------------------------------------------------------

    def _port(self, port):
        return self.ports[port] if isinstance(port, str) else port or self.port

    def client(self, port=None, **options):
        """Opens a connection to @port@, to the port of another placeholder, or to a port number."""
        return Raw(self._port(port), netns=self.netns, **options)

    def fetch(self, path, port=None, **options):
        """Sends one request through the gateway; options as for hg.fetch."""
        return fetch(self._port(port), path, netns=self.netns, **options)

    # ---- what it says --------------------------------------------------------------------------------

    def admin(self, path, method="GET", headers=(), body=None):
        return fetch(self.admin_port, path, method, headers, body, netns=self.netns)

    def admin_json(self, path):
        answer = self.admin(path)
        if answer.status != 200:
            raise Failure(f"GET {path}: {answer}")
        return answer.json()

    def config_dump(self):
        return self.admin_json("/config_dump")

    def streams(self):
        """The live streams."""
        answer = self.admin_json("/streams")
        return answer["streams"] if isinstance(answer, dict) else answer

    def _scrape(self):
        answer = fetch(self.stats_port, "/metrics", netns=self.netns)
        if answer.status != 200 or not (answer.header("Content-Type") or "").startswith("text/plain"):
            raise Failure(f"GET /metrics: {answer}")
        self._exposition = answer.text
        return answer.text

    def metrics(self):
        """Scrapes /metrics and checks the exposition format."""
        return Metrics(self._scrape())

    def log(self):
        """The access log so far, as Records."""
        lines = self.stdout.split("\n")[:-1]
        return [record for record in map(parse_line, filter(None, lines)) if record is not None]

    def wait_log(self, predicate=None, count=1, timeout=5.0):
        """Waits for count matching records; returns the last one, or all of them when count > 1."""
        def found():
            records = [r for r in self.log() if predicate is None or predicate(r)]
            return records if len(records) >= count else None
        try:
            records = wait_until(found, timeout, "the access log")
        except Failure:
            lines = "\n".join(r.line for r in self.log()[-5:])
            raise Failure(f"no such access-log record; the last ones are\n{lines}") from None
        return records[-1] if count == 1 else records

    # ---- its end -------------------------------------------------------------------------------------

    def _activity(self):
        """The values that must be the same at rest: ({gauge: value}, sockets, pipes)."""
        last = self._baseline  # the second look is for a gateway that differs
        for _ in range(50):
            gauges = dict(BUSY_GAUGE.findall(self._scrape()))
            targets = list(self.fds().values())
            now = gauges, *(sum(target.startswith(kind) for target in targets)
                            for kind in ("socket:", "pipe:"))
            if now == last:
                break
            last = now
            time.sleep(0.01)
        return now

    def leftovers(self):
        """Activity that differs from the time after the start: a list of sentences."""
        gauges, sockets, pipes = self._activity()
        base_gauges, base_sockets, base_pipes = self._baseline
        # Connections to the MCP service may stay in the pool; both of their ends are in the gateway.
        inner = int(float(gauges.get(POOL_IDLE, 0))) if self.inner else 0
        for name in (POOL_IDLE, POOL_OPEN) if inner else ():
            gauges[name] = str(int(float(gauges[name])) - inner)
        base_sockets += 2 * inner
        for _ in range(20):
            if sockets <= base_sockets:
                break
            time.sleep(0.01)  # without another scrape, whose connection would count
            sockets = self.fd_count("socket:")
        found = [f"{name} is {value}, was {base_gauges.get(name, 0)}"
                 for name, value in gauges.items() if value != base_gauges.get(name, "0")]
        if sockets > base_sockets:
            found.append(f"{sockets} sockets are open, {base_sockets} were")
        if pipes > base_pipes + IDLE_PIPE_FDS * self._workers:
            found.append(f"{pipes} pipe descriptors are open, {base_pipes} were")
        try:
            found += [f"stream {stream}" for stream in self.streams()]
        except Failure as error:
            found.append(str(error))
        return found

    def expect_rest(self, timeout=3.0):
        """Asserts that all activity has ended: no streams, gauges and descriptors as after the start."""
        start, limit = time.monotonic(), timeout * factor()
        while True:
            found = self.leftovers()
            if not found:
                return
            took = time.monotonic() - start
            if took > limit and took > limit + machine.withheld(took):
                raise Failure("the gateway is not at rest: " + "; ".join(found[:8]))
            time.sleep(0.02)

    def terminate(self):
        """Sends SIGTERM without waiting."""
        self.signal(signal.SIGTERM)

    def stop(self, deadline=10.0, status=0):
        """Sends SIGTERM; the gateway must exit with this status within deadline seconds and without a
        sanitizer report.

        Returns the seconds that it took.
        """
        start = time.monotonic()
        self.terminate()
        self.expect_exit(deadline, status)
        return time.monotonic() - start

    def expect_exit(self, deadline=10.0, status=0):
        self._stopped = True
        got = self.wait(deadline * factor())
        self.expect_clean_stderr()
        if got != status:
            raise Failure(f"headgate ended with {got}, want {status}:\n{tail(self.stderr_path)}")

    def expect_clean_stderr(self):
        text = self.stderr
        match = SANITIZER.search(text)
        if match:
            raise Failure("headgate reports:\n" + text[max(0, match.start() - 200):match.start() + 4000])

    def cleanup(self):
        try:
            if self.checked and not self._stopped and not context().failed:
                if not self.is_running():
                    raise Failure(f"headgate ended by itself with {self.exit_status()}:\n"
                                  + tail(self.stderr_path))
                if self._baseline:
                    self.expect_rest()
                    Metrics(self._exposition)  # its form is checked
                self.stop()
            elif self.checked:
                self.expect_clean_stderr()
        finally:
            self.kill()
