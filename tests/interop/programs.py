# SPDX-License-Identifier: Apache-2.0
"""Servers that others wrote, each with clients that others wrote: Program.use() returns what happened."""
import contextlib
import hashlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading

from hg import *
from hg.framework import context, factor, repository_root, tmpdir
from hg.process import prctl, read_text

SIZE = 4 << 20
WHERE = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/go/bin:/usr/lib/postgresql/15/bin"
SOURCES = os.path.join(repository_root(), "tests", "interop")


def tool(name):
    """The path of a program; without it the test is skipped."""
    path = shutil.which(name, path=WHERE)
    if not path:
        skip(f"{name} is not installed: run scripts/deps.sh interop", name)
    return path


def new_directory(name):
    path = os.path.join(tmpdir(), f"{name}-{free_port()}")
    os.mkdir(path)
    return path


def write(directory, name, content):
    path = os.path.join(directory, name)
    with open(path, "wb" if isinstance(content, bytes) else "w") as file:  # pylint: disable=W1514
        file.write(content)
    return path


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def answers(port):
    """True if something listens there. It gets a connection without a byte."""
    try:
        Raw(port).close()
        return True
    except OSError:
        return False


def family(pid):
    """A process, those that it has started, and they."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = read_text(f"/proc/{name}/stat").rsplit(")", 1)[-1].split()
        parents.setdefault(int(fields[1]) if fields else 0, []).append(int(name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Pauses(threading.Thread):
    """Stops programs in turn, again and again, so that one fills the other's queue and its recv() is
    interrupted while it waits. TCP hides both. Each: a function that returns its processes."""
    STOPPED_S, RUNNING_S = 0.05, 0.03

    def __init__(self, *programs):
        super().__init__(daemon=True)
        self.programs, self.is_over = programs, threading.Event()
        self.start()

    def run(self):
        for program in itertools.cycle(self.programs):
            pids = program()
            send(pids, signal.SIGSTOP)
            self.is_over.wait(self.STOPPED_S)
            send(pids, signal.SIGCONT)
            if self.is_over.wait(self.RUNNING_S):
                return

    def end(self):
        self.is_over.set()
        self.join()


def ran(argv, stdin=None, stdout=None, timeout=60, beside=None):
    """How a command ended, and what it printed; its input and its output may be files.

    beside  the server: it and the command make pauses in turn"""
    streams = {"stdin": open(stdin, "rb") if stdin else subprocess.DEVNULL,  # pylint: disable=R1732
               "stdout": open(stdout, "wb") if stdout else subprocess.PIPE}  # pylint: disable=R1732
    try:
        with subprocess.Popen([str(arg) for arg in argv], stderr=subprocess.PIPE,
                              preexec_fn=lambda: prctl(1, signal.SIGKILL), **streams) as command:
            pauses = beside and Pauses(lambda: family(beside.process.pid),
                                       lambda: family(command.pid) if command.poll() is None else [])
            try:
                out, error = command.communicate(timeout=timeout * factor())
            except subprocess.TimeoutExpired:
                return [f"{argv[0]} stands still"]
            finally:
                if pauses:
                    pauses.end()
                command.kill()
    finally:
        for stream in streams.values():
            if not isinstance(stream, int):
                stream.close()
    text = "" if stdout else out.decode(errors="replace")
    return [f"exit {command.returncode}", *text.split("\n"), *error.decode(errors="replace").split("\n")]


def half_closed(port, path):
    """The body of a response to a client that closed its side, and how the connection ended."""
    client = Raw(port)
    client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    client.fin()
    response = client.response()
    client.expect_fin()
    client.close()
    return [f"half-closed: {response.status} {len(response.body)}"]


class Program:
    """A server at .port that runs until the test ends."""
    uid = None

    def __init__(self):
        self.port = free_port()
        self.directory = new_directory(type(self).__name__.lower())
        self.process = Process(self.command(), uid=self.uid, name=type(self).__name__.lower(),
                               cwd=self.directory)
        wait_until(lambda: not self.process.is_running() or answers(self.port), 60, "the server")
        check(self.process.is_running(), f"the server ended: {self.process.stderr}")

    def command(self):
        raise NotImplementedError

    def use(self, http, tcp):
        """Uses it through the gateway's port for HTTP and that for TCP; lines of text."""
        raise NotImplementedError


class Lighttpd(Program):
    def command(self):
        big = os.path.join(self.directory, "big")
        with open(big, "wb") as file:
            file.write(pattern(SIZE))
        write(self.directory, "small", "small\n")
        config = write(self.directory, "config", f"""
            server.document-root = "{self.directory}"
            server.bind = "127.0.0.1"
            server.port = {self.port}
            mimetype.assign = ("" => "application/octet-stream")
        """)
        return [tool("lighttpd"), "-D", "-f", config]

    def use(self, http, tcp):
        lines, got = half_closed(tcp, "/small"), os.path.join(tmpdir(), "got")
        for port in (http, tcp):
            url = f"http://127.0.0.1:{port}"
            lines += ran(["curl", "-sS", "-w", "%{http_code} ", *[url + "/small"] * 20])
            lines += ran(["curl", "-sS", "-o", got, url + "/big"]) + [digest(got)]
            lines += ran(["curl", "-sS", "-o", got, url + "/big"], beside=self) + [digest(got)]
            lines += ran(["curl", "-sS", "-r", "100000-2999999", "-o", got, url + "/big"]) + [digest(got)]
            lines += ran(["curl", "-sS", "-H", "X-A: " + "a" * 5000, "-o", got, url + "/big"]) + [digest(got)]
        return lines


class Haproxy(Program):
    """Between the gateway and httpbin, and between curl and the gateway."""
    to = None

    def command(self):
        self.to = self.to or Origin().port
        config = write(self.directory, "config", f"""
            global
                nbthread 1
            defaults
                mode http
                timeout connect 30s
                timeout client 60s
                timeout server 60s
            listen all
                bind 127.0.0.1:{self.port}
                server one 127.0.0.1:{self.to}\n""")
        return [tool("haproxy"), "-db", "-f", config]

    def transfers(self, port):
        url, got = f"http://127.0.0.1:{port}", os.path.join(tmpdir(), "got")
        big = write(tmpdir(), "body", pattern(SIZE))
        lines = ran(["curl", "-sS", "-w", "%{http_code} ", *[url + "/status/200?body=small"] * 20])
        for beside in (None, self):
            lines += ran(["curl", "-sS", "-o", got, f"{url}/bytes/{SIZE}"], beside=beside) + [digest(got)]
            lines += ran(["curl", "-sS", "-H", "Expect:", "-T", big, "-o", got, url + "/echo"],
                         beside=beside) + [digest(got)]
        lines += ran(["curl", "-sS", "-o", got, url + "/close/mid-body?cl=1000&send=100"])
        return lines + [f"{os.path.getsize(got)} bytes"]

    def use(self, http, tcp):
        lines = self.transfers(http) + self.transfers(tcp)
        for port in (http, tcp):
            front = Haproxy.before(port)
            lines += self.transfers(front.port)
            front.process.signal(signal.SIGTERM)
            front.process.wait(20)
        return lines

    @staticmethod
    def before(port):
        return type("Haproxy", (Haproxy,), {"to": port})()


class Redis(Program):
    def command(self):
        return [tool("redis-server"), "--port", self.port, "--bind", "127.0.0.1", "--save", "",
                "--dir", self.directory]

    def use(self, http, tcp):
        client = [tool("redis-cli"), "-p", tcp]
        commands = write(tmpdir(), "commands", "".join(f"SET k{i} {i}\r\n" for i in range(5000)))
        big = write(tmpdir(), "big", pattern(SIZE).hex()[:SIZE])
        got = os.path.join(tmpdir(), "got")
        lines = ran([*client, "flushall"]) + ran([*client, "--pipe"], stdin=commands)
        lines += ran([*client, "dbsize"]) + ran([*client, "-x", "set", "big"], stdin=big)
        lines += ran([*client, "get", "big"], stdout=got) + [digest(got)]
        lines += ran([*client, "-x", "set", "big"], stdin=big, beside=self)
        lines += ran([*client, "get", "big"], stdout=got, beside=self) + [digest(got)]
        lines += ran([*client, "blpop", "nothing", "0.2"])
        lines += ran([*client, "client", "kill", "type", "normal", "skipme", "no"])
        lines += ran([tool("redis-benchmark"), "-p", tcp, "-n", "2000", "-c", "10", "-P", "4", "-q", "-t",
                      "set,get,lrange_100"], stdout=got)
        return lines + ran([*client, "dbsize"])


class Postgres(Program):
    def __init__(self):
        tool("postgres")
        if os.geteuid() == 0:
            try:
                self.uid = pwd.getpwnam("postgres").pw_uid
            except KeyError:
                skip("there is no user postgres: run scripts/deps.sh interop", "postgres")
        super().__init__()
        context().own(Process.phase, self)

    def cleanup(self):
        """Its other processes end before it does; if it were killed, they would outlive it for a moment."""
        self.process.signal(signal.SIGINT)
        self.process.wait(60)

    def command(self):
        data = os.path.join(self.directory, "data")
        if self.uid:
            os.chown(self.directory, self.uid, -1)
        init = Process([tool("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync",
                        "--no-locale", "-E", "UTF8"], uid=self.uid, cwd=self.directory)
        eq(init.wait(90 * factor()), 0, f"initdb: {init.stderr}")
        return [tool("postgres"), "-D", data, "-p", self.port, "-k", "", "-c", "listen_addresses=127.0.0.1",
                "-c", "fsync=off", "-c", "shared_buffers=16MB"]

    def use(self, http, tcp):
        got = os.path.join(tmpdir(), "got")
        client = [tool("psql"), "-X", "-h", "127.0.0.1", "-U", "postgres", "-At"]
        wait_until(lambda: ran([*client, "-p", self.port, "-c", "SELECT 1"])[0] == "exit 0", 30, "postgres")
        rows = write(tmpdir(), "rows", "".join(f"{i}\t{'x' * 200}\n" for i in range(20000)))
        client += ["-p", tcp]
        lines = ran([*client, "-c", "DROP TABLE IF EXISTS t", "-c", "CREATE TABLE t(i int, x text)"])[:1]
        for beside in (None, self):
            lines += ran([*client, "-c", r"\copy t FROM STDIN"], stdin=rows, beside=beside)
            lines += ran([*client, "-c", r"\copy t TO STDOUT"], stdout=got, beside=beside) + [digest(got)]
        lines += ran([*client, *["-c", "SELECT count(*), sum(i) FROM t"] * 20])
        lines += ran([*client, "-c", "SELECT pg_sleep(0.2)", "-c", "SELECT 1/0"])
        lines += ran([*client, "-c", "SELECT pg_terminate_backend(pg_backend_pid())"])[:1]
        bench = [tool("pgbench"), "-h", "127.0.0.1", "-p", tcp, "-U", "postgres"]
        lines += ran([*bench, "-i", "-q", "postgres"], stdout=got)[:1]
        lines += [line for line in ran([*bench, "-S", "-c", "4", "-t", "100", "postgres"])
                  if "exit" in line or "processed" in line or "failed" in line]
        return lines


class Sshd(Program):
    needs_directory = "/run/sshd"

    def command(self):
        need("root")
        keygen = tool("ssh-keygen")
        if not os.path.isdir(self.needs_directory):
            os.mkdir(self.needs_directory, 0o755)
            context().own(Process.phase, Removed(self.needs_directory))
        for name in ("host", "user"):
            eq(ran([keygen, "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(self.directory, name)])[0],
               "exit 0", "ssh-keygen")
        config = write(self.directory, "config", f"""
Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.directory}/host
AuthorizedKeysFile {self.directory}/user.pub
StrictModes no
UsePAM no
PidFile none
PermitRootLogin prohibit-password
MaxStartups 100
""")
        return [tool("sshd"), "-D", "-e", "-f", config]

    def use(self, http, tcp):
        client = [tool("ssh"), "-F", "none", "-i", f"{self.directory}/user", "-p", tcp, "-o",
                  "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                  "-o", "BatchMode=yes", "root@127.0.0.1"]
        big = write(tmpdir(), "big", pattern(SIZE))
        got = os.path.join(tmpdir(), "got")
        lines = []
        for _ in range(2):
            lines += ran([*client, "sha256sum"], stdin=big)
            lines += ran([*client, f"cat {big}"], stdout=got) + [digest(got)]
        lines += ran([*client, "cat"], stdin=big, stdout=got) + [digest(got)]
        return lines + ran([*client, "echo out; echo error >&2; exit 7"])


class Removed:
    """Removes a directory when the test ends."""

    def __init__(self, path):
        self.path = path

    def cleanup(self):
        os.rmdir(self.path)


class Rsync(Program):
    def command(self):
        served = os.path.join(self.directory, "served")
        os.mkdir(served)
        owner = "uid = 0\ngid = 0\n" if os.geteuid() == 0 else ""
        config = write(self.directory, "config", f"""
use chroot = no
{owner}[m]
path = {served}
read only = no
""")
        return [tool("rsync"), "--daemon", "--no-detach", f"--port={self.port}", "--address=127.0.0.1",
                f"--config={config}", f"--log-file={self.directory}/log"]

    def use(self, http, tcp):
        there, source = f"rsync://127.0.0.1:{tcp}/m/", new_directory("source")
        back = new_directory("back")
        write(source, "big", pattern(SIZE))
        for i in range(200):
            write(source, f"small{i}", f"{i}\n")
        lines = ran([tool("rsync"), "-a", "--delete", source + "/", there])
        write(source, "big", pattern(SIZE // 2) + b"changed" + pattern(SIZE // 2))
        lines += ran([tool("rsync"), "-a", "--no-whole-file", source + "/", there])
        write(source, "big", pattern(SIZE + 1)[1:])
        lines += ran([tool("rsync"), "-a", "--whole-file", source + "/", there], beside=self)
        lines += ran([tool("rsync"), "-a", there, back], beside=self)
        lines += [digest(os.path.join(back, "big")), str(len(os.listdir(back)))]
        return lines + ran([tool("rsync"), there + "nothing", back])[:1]


class Language(Program):
    """The small server and client of neighbour.*, made with a standard library."""

    def command(self):
        return [*self.program(), "serve", self.port]

    def program(self):
        raise NotImplementedError

    def use(self, http, tcp):
        lines = half_closed(tcp, "/small")
        for port in (http, tcp):
            for beside in (None, self):
                lines += ran([*self.program(), "ask", f"http://127.0.0.1:{port}"], timeout=90, beside=beside)
        return lines


class Python(Language):
    def program(self):
        return [sys.executable, os.path.join(SOURCES, "neighbour.py")]


class Node(Language):
    def program(self):
        return [tool("node"), os.path.join(SOURCES, "neighbour.mjs")]


class Go(Language):
    def program(self):
        program = os.path.join(self.directory, "neighbour")
        if not os.path.exists(program):
            build = ran([tool("go"), "build", "-o", program, os.path.join(SOURCES, "neighbour.go")],
                        timeout=300)
            eq(build[0], "exit 0", f"go build: {build}")
        return [program]


class Java(Language):
    def program(self):
        return [tool("java"), "-Xshare:auto", "-XX:TieredStopAtLevel=1",
                os.path.join(SOURCES, "Neighbour.java")]


PROGRAMS = [Lighttpd, Haproxy, Redis, Postgres, Sshd, Rsync, Go, Node, Java, Python]
