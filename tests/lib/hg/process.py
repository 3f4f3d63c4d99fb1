# SPDX-License-Identifier: Apache-2.0
"""Child processes that cannot outlive their test, with their output in files."""
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time

from hg import machine
from hg.framework import Context, Failure, context, factor

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_count = 0


def prctl(option, value):
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def setns_net(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def tail(path, lines=40):
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return "".join(file.readlines()[-lines:])
    except OSError:
        return ""


def spawn(argv, netns=None, **options):
    """A subprocess.Popen in a network namespace. Nothing runs in the child before the program, so that Python
    need not copy this process for it, which takes longer than many a program."""
    with netns.enter() if netns else contextlib.nullcontext():
        return subprocess.Popen([str(arg) for arg in argv], **options)  # pylint: disable=consider-using-with


class Process:
    """A program that a test runs. stdout and stderr go to files in the directory of the test.

    netns   hg.netns.Namespace to run in        uid    the user and the group it runs as
    tty     a terminal for all three streams (hg.terminal)
    """

    phase = Context.ORIGIN

    def __init__(self, argv, name=None, env=None, netns=None, uid=None, cwd=None, tty=None):
        global _count
        _count += 1
        self.name = name or os.path.basename(argv[0])
        self.argv = [str(arg) for arg in argv]
        self.netns = netns
        self._stem = os.path.join(context().directory, f"{self.name}-{_count}")
        self.stdout_path, self.stderr_path = self._stem + ".out", self._stem + ".err"
        self._env = {**os.environ, **{k: str(v) for k, v in (env or {}).items()}}
        self._uid, self._cwd, self._tty = uid, cwd, tty
        self._popen = None
        self.start()
        context().own(self.phase, self)

    def start(self):
        user = {} if self._uid is None else {"user": self._uid, "group": self._uid, "extra_groups": []}
        with open(self.stdout_path, "ab") as out, open(self.stderr_path, "ab") as err:
            self._popen = spawn(self.argv, self.netns, stdin=self._tty or subprocess.DEVNULL,
                                stdout=self._tty or out, stderr=self._tty or err, env=self._env,
                                cwd=self._cwd, **user)

    @property
    def pid(self):
        return self._popen.pid

    @property
    def stdout(self):
        return read_text(self.stdout_path)

    @property
    def stderr(self):
        return read_text(self.stderr_path)

    def exit_status(self):
        """None while it runs; negative: killed by this signal."""
        return self._popen.poll()

    def is_running(self):
        return self.exit_status() is None

    def signal(self, number):
        if self.is_running():
            self._popen.send_signal(number)

    def wait(self, timeout):
        """Returns the exit status; Failure if the process has not ended after timeout seconds."""
        fd = os.pidfd_open(self.pid) if self.is_running() else -1
        try:
            if fd >= 0 and not (select.select([fd], [], [], timeout)[0] or
                                select.select([fd], [], [], machine.withheld(timeout))[0]):
                raise Failure(f"{self.name} (pid {self.pid}) still runs after {timeout:.1f} s")
        finally:
            if fd >= 0:
                os.close(fd)
        return self._popen.wait()

    def kill(self):
        if self.is_running():
            self._popen.kill()
        self._popen.wait()

    def cleanup(self):
        self.kill()

    # ---- what /proc says -----------------------------------------------------------------------------

    def rss_bytes(self):
        return self._status_kib("VmRSS") * 1024

    def peak_rss_bytes(self):
        return self._status_kib("VmHWM") * 1024

    def _status_kib(self, name):
        for line in read_text(f"/proc/{self.pid}/status").split("\n"):
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise Failure(f"{self.name} is gone: no {name}")

    def fds(self):
        """{number: target} of the open descriptors."""
        found = {}
        for number in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                found[int(number)] = os.readlink(f"/proc/{self.pid}/fd/{number}")
            except OSError:
                pass
        return found

    def fd_count(self, kind=""):
        """The number of descriptors whose target begins with kind ("socket:", "pipe:")."""
        return sum(1 for target in self.fds().values() if target.startswith(kind))

    def thread_count(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def cpu_seconds(self):
        fields = read_text(f"/proc/{self.pid}/stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def context_switches(self):
        """Voluntary context switches of all threads: how often they slept and were woken."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            for line in read_text(f"/proc/{self.pid}/task/{task}/status").split("\n"):
                if line.startswith("voluntary_ctxt_switches:"):
                    total += int(line.split()[1])
        return total


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return file.read()
    except OSError:
        return ""


def run(argv, timeout=30, text_input=None, netns=None, env=None):
    """Runs a command until it ends: (exit status, stdout, stderr)."""
    with spawn(argv, netns, text=True, errors="backslashreplace", stdout=subprocess.PIPE,
               stderr=subprocess.PIPE, stdin=subprocess.DEVNULL if text_input is None else subprocess.PIPE,
               env={**os.environ, **{k: str(v) for k, v in (env or {}).items()}}) as child:
        try:
            out, error = child.communicate(text_input, timeout * factor())
        except subprocess.TimeoutExpired as late:
            raise Failure(f"{argv[0]} did not end within {late.timeout} s") from None
        finally:
            child.kill()  # no effect if it has ended
    return child.returncode, out, error


def children_of(pid):
    """Pids of the children of all threads of a process; none if it has ended."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for task in tasks
            for child in read_text(f"/proc/{pid}/task/{task}/children").split()]


def descendants(pid):
    """Pids of the processes below this one, deepest last. If it has the subreaper flag, orphans are among
    them."""
    found, frontier = [], [pid]
    while frontier:
        below = children_of(frontier.pop(0))
        found += below
        frontier += below
    return found


def kill_leftovers():
    """Kills and reaps every descendant; returns the command lines of those that were still running."""
    names = []
    for _ in range(100):
        alive = descendants(os.getpid())
        if not alive:
            break
        for pid in alive:
            state = read_text(f"/proc/{pid}/stat").rsplit(")", 1)[-1].split()[:1]
            command = read_text(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
            # exit() releases the memory, which holds the command line, before it closes the descriptors.
            # Who reads to the end of a pipe may see the writer between the two: it is not running.
            if state and state[0] != "Z" and command:
                names.append(command)
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        time.sleep(0.01)
    return sorted(set(names))
