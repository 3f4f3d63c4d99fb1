# SPDX-License-Identifier: Apache-2.0
"""Finds the tests and runs them: each in its own process, several at a time, each with a time limit."""
import gc
import importlib.util
import json
import os
import re
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback

from hg import framework, netns, process

KILL_GRACE_S = 8.0
HEAVY_AT_A_TIME = 3


class TimedOut(BaseException):
    """Raised in the test's main thread by SIGTERM from the runner."""


def discover(folder):
    """Returns ([Test…], [(file, traceback)…]) for every test_*.py in a folder."""
    tests, broken = [], []
    framework.take_registered()
    if not os.path.isdir(folder):
        return tests, broken
    sys.path.insert(0, folder)
    for name in sorted(os.listdir(folder)):
        if not (name.startswith("test_") and name.endswith(".py")):
            continue
        spec = importlib.util.spec_from_file_location(name[:-3], os.path.join(folder, name))
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception:  # pylint: disable=broad-except
            broken.append((name, traceback.format_exc()))
            framework.take_registered()
            continue
        # Importing another test file has registered its tests as well.
        found = [t for t in framework.take_registered() if f"test_{t.file}.py" == name]
        names = [t.name for t in found]
        for double in {n for n in names if names.count(n) > 1}:
            broken.append((name, f"two tests claim: {double}"))
        if not found:
            broken.append((name, "no @test in it"))
        tests += found
    return tests, broken


class Outcome:
    """status: "ok", "FAIL" or "skip"; text: the reason; count: how many claims passed."""

    def __init__(self, test, profile, status, text, seconds, log, count=1):
        self.test, self.profile, self.status = test, profile, status
        self.text, self.seconds, self.log, self.count = text, seconds, log, count


class Job:
    """A running test of one profile."""

    def __init__(self, test, profile, log_dir, env):
        self.test, self.profile = test, profile
        slug = re.sub(r"[^A-Za-z0-9]+", "-", test.claim).strip("-")[:90]
        self.log = os.path.join(log_dir, test.file, slug + ".log")
        os.makedirs(os.path.dirname(self.log), exist_ok=True)
        self.directory = tempfile.mkdtemp(prefix="headgate-test-")
        os.chmod(self.directory, 0o755)
        self._pipe, write_end = os.pipe()
        self.start = time.monotonic()
        self.limit = test.timeout * (2 if profile in ("asan", "tsan") else 1)
        self._told = False
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._pipe)
            child_main(test, self.directory, self.log, env, write_end)
        os.close(write_end)
        self.pidfd = os.pidfd_open(self.pid)

    def deadline(self):
        return self.start + self.limit + (KILL_GRACE_S if self._told else 0)

    def expire(self):
        """After the deadline: first SIGTERM, then SIGKILL."""
        if self._told:
            self.kill()
        else:
            self._told = True
            os.kill(self.pid, signal.SIGTERM)

    def kill(self):
        """Kills the test with all its processes: its group and, as long as it lives, what has left that."""
        below = process.descendants(self.pid)
        for kill, pid in ((os.killpg, self.pid), *((os.kill, pid) for pid in (self.pid, *below))):
            try:
                kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def finish(self):
        """The process has ended: returns its Outcome."""
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT).si_status:
            self.kill()  # it could not end its processes
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        with os.fdopen(self._pipe, "rb") as pipe:
            report = pipe.read()
        shutil.rmtree(self.directory, ignore_errors=True)
        if report:
            word, text = json.loads(report)
        else:
            word, text = "FAIL", f"the test process ended with wait status {status:#x}"
            netns.remove_leftovers()
        if word == "FAIL" and self._told:
            text = f"ran longer than {self.limit} s; {text}"
        count = len(self.test.claims) if word == "ok" else 1
        return Outcome(self.test, self.profile, word, text, time.monotonic() - self.start, self.log, count)


def child_main(test, directory, log, env, report_fd):
    """Runs the test in the child process. Never returns."""
    status = 1
    try:
        os.setsid()
        process.prctl(process.PR_SET_CHILD_SUBREAPER, 1)
        process.prctl(process.PR_SET_PDEATHSIG, signal.SIGTERM)
        os.environ.update(env)
        null = os.open(os.devnull, os.O_RDONLY)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(null, 0)
        os.dup2(file, 1)
        os.dup2(file, 2)
        signal.signal(signal.SIGTERM, on_sigterm)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        report = run_one(test, directory)
        shutil.rmtree(directory, ignore_errors=True)
        os.write(report_fd, json.dumps(report).encode())
        status = 0
    except BaseException:  # pylint: disable=broad-except
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def on_sigterm(*_):
    # Once: the kernel sends it for each thread of a killed runner, and must not interrupt the clean-up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise TimedOut("told to end")


def run_one(test, directory):
    """Runs a test in this process: ("ok" | "FAIL" | "skip", text)."""
    context = framework.Context(directory, test.needs)
    framework.set_context(context)
    word, text = "ok", ""
    try:
        for what in test.needs:
            framework.need(what)
        test.function()
    except framework.Skipped as skipped:
        word, text = "skip", str(skipped)
    except BaseException as error:  # pylint: disable=broad-except
        context.failed = True
        word, text = "FAIL", first_line(error)
        traceback.print_exc()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if word != "ok" else on_sigterm)
    error = context.finish()
    if error is not None:
        traceback.print_exception(error)
        if word == "ok":
            word, text = "FAIL", "at the end: " + first_line(error)
    left = process.kill_leftovers()
    if left and word == "ok":
        word, text = "FAIL", "left running: " + ", ".join(left)
    if word == "FAIL":
        show_outputs(directory)
    return word, text


def first_line(error):
    return (str(error).split("\n", 1)[0] or type(error).__name__)[:400]


def show_outputs(directory):
    sys.stderr.flush()
    for name in sorted(os.listdir(directory)):
        if name.endswith((".out", ".err")):
            text = process.tail(os.path.join(directory, name), 25)
            if text:
                print(f"--- end of {name}\n{text}", flush=True)


class Queue:
    """Tests of one kind, and how many of them run at a time."""

    def __init__(self, work, width, on_start):
        # Long tests first, so that no slow test runs alone at the end.
        self.work = sorted(work, key=lambda w: -w[0].timeout)
        self.width = width
        self.on_start = on_start
        self.running = []

    def fill(self):
        while self.work and len(self.running) < self.width:
            job = Job(*self.work.pop(0))
            self.running.append(job)
            self.on_start(job.test, job.profile)


def run_all(work, jobs, on_outcome, on_start=lambda test, profile: None):
    """work: [(test, profile, log_dir, env)]. First the unmarked tests and, as many again, those that only
    wait; then the heavy ones; then the serial ones, each alone."""
    netns.remove_leftovers()
    gc.freeze()  # existing objects stay shared with the tests: their garbage collection skips them
    for widths in ({"": jobs, "waits": jobs}, {"heavy": min(jobs, HEAVY_AT_A_TIME)}, {"serial": 1}):
        run_queues([Queue([w for w in work if w[0].kind == name], width, on_start)
                    for name, width in widths.items()], on_outcome)


def run_queues(queues, on_outcome):
    try:
        while True:
            for queue in queues:
                queue.fill()
            if not any(queue.running for queue in queues):
                break
            wait_for_one(queues, on_outcome)
    finally:
        for queue in queues:
            for job in queue.running:
                job.kill()
                job.finish()


def wait_for_one(queues, on_outcome):
    running = [(job, queue) for queue in queues for job in queue.running]
    timeout = max(0.0, min(job.deadline() for job, _ in running) - time.monotonic())
    ready, _, _ = select.select([job.pidfd for job, _ in running], [], [], timeout)
    for job, queue in running:
        if job.pidfd in ready:
            queue.running.remove(job)
            on_outcome(job.finish())
        elif time.monotonic() >= job.deadline():
            job.expire()
