#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The MCP section of the benchmark: the cost of an idle session, and the time added to a tool call.

sessions: resident memory of the gateway for each of --sessions sessions with an open event stream, without
their targets, and the wake-ups per second of all its threads while idle. The children are shell
scripts, because a thousand larger processes would measure the machine.

calls: the median time of a tool call, one after the other on one connection, through the gateway, minus the
median of the same call without it: over the pipes of the same server as a child, or over HTTP, in turns.
"""
import argparse
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SERVER = os.path.join(ROOT, "tests", "mcp", "server.py")
PYTHON = "/usr/bin/python3"
VERSION = "2025-06-18"
HELLO = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
    "protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}}

# Answers the requests of a session that is opened and then idle.
SMALL_CHILD = r"""#!/bin/sh
while IFS= read -r line; do
	case $line in
	*'"method":"initialize"'*)
		id=${line#*'"id":'}
		id=${id%%[,\}]*}
		printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"@",' "$id"
		printf '"capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}}\n'
		;;
	esac
done
""".replace("@", VERSION)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def status_field(pid, name, task=None):
    path = f"/proc/{pid}/status" if task is None else f"/proc/{pid}/task/{task}/status"
    with open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    raise RuntimeError(f"no {name} in {path}")


def switches(pid):
    return sum(status_field(pid, "voluntary_ctxt_switches", task) for task in os.listdir(f"/proc/{pid}/task"))


def wake_ups(pid, seconds):
    """Wake-ups per second, of all threads of a process."""
    before = switches(pid)
    time.sleep(seconds)
    return (switches(pid) - before) / seconds


class Http:
    """One connection, requests one after the other, with minimal overhead."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.session = None

    def bytes_of(self, message, method="POST", accept="application/json, text/event-stream"):
        body = json.dumps(message, separators=(",", ":")).encode() if message else b""
        lines = [f"{method} /mcp HTTP/1.1", "Host: localhost", f"Accept: {accept}"]
        if message:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        if self.session:
            lines += [f"Mcp-Session-Id: {self.session}", f"MCP-Protocol-Version: {VERSION}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def head(self):
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(65536)
            if not more:
                raise RuntimeError("the connection ended")
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        return head.lower(), head, rest

    def exchange(self, request):
        """Sends a request and reads the whole response: (head, body)."""
        self.socket.sendall(request)
        lower, head, rest = self.head()
        if b"\r\ncontent-length:" in lower:
            length = int(lower.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
            while len(rest) < length:
                rest += self.socket.recv(65536)
        elif b"\r\ntransfer-encoding: chunked" in lower:
            while not rest.endswith(b"0\r\n\r\n"):
                rest += self.socket.recv(65536)
        return head, rest

    def open(self):
        head, body = self.exchange(self.bytes_of(HELLO))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"initialize: {head} {body}")
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"mcp-session-id":
                self.session = value.strip().decode()
        self.exchange(self.bytes_of({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        return self

    def listen(self):
        self.socket.sendall(self.bytes_of(None, "GET", "text/event-stream"))
        lower, head, _ = self.head()
        if not lower.startswith(b"http/1.1 200"):
            raise RuntimeError(f"GET: {head}")


class Gateway:
    def __init__(self, binary, folder, target):
        self.port, ready = free_port(), free_port()
        path = os.path.join(folder, f"bench-{self.port}.json")
        with open(path, "w", encoding="ascii") as file:
            # A limit of sessions per client would only measure itself here.
            json.dump({"config": {"limits": {"mcpSessionsPerClient": 4096}},
                       "mcp": {"port": self.port, "targets": [target]}}, file)
        env = {**os.environ, "WORKER_THREADS": "2", "READINESS_ADDR": f"127.0.0.1:{ready}",
               "ADMIN_ADDR": f"127.0.0.1:{free_port()}", "STATS_ADDR": f"127.0.0.1:{free_port()}"}
        with open(path + ".log", "wb") as log:
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                [binary, "-f", path, "--no-keeper"], env=env, stdout=log, stderr=log)
        self.pid = self.process.pid
        await_port(self.port, self.process)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


def await_port(port, process):
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if process.poll() is not None:
                raise RuntimeError(f"it ended with {process.returncode}") from None
            time.sleep(0.02)
    raise RuntimeError("nobody listens")


def web_server(*options):
    port = free_port()
    process = subprocess.Popen(  # pylint: disable=consider-using-with
        [PYTHON, "-S", "-E", SERVER, "--http", str(port), "--json", *options], stdout=subprocess.DEVNULL)
    await_port(port, process)
    return port, process


# ---- sessions --------------------------------------------------------------------------------------------


def quiet_sessions(binary, folder, count, seconds):
    small = os.path.join(folder, "child.sh")
    with open(small, "w", encoding="ascii") as file:
        file.write(SMALL_CHILD)
    os.chmod(small, 0o755)
    print(f"\n{count} sessions with a quiet event stream each")
    print(f"{'target':12}{'at the start':>14}{'with them':>12}{'KiB each':>10}{'wake-ups/s':>12}"
          f"{'without them':>15}")
    port, web = web_server("--no-get")
    web_get, web_with_get = web_server()
    for name, target in (
            ("stdio", {"name": "one", "stdio": {"cmd": "/bin/sh", "args": [small]}}),
            ("HTTP", {"name": "one", "mcp": {"host": "127.0.0.1", "port": port, "path": "/mcp"}}),
            ("HTTP + GET", {"name": "one", "mcp": {"host": "127.0.0.1", "port": web_get, "path": "/mcp"}})):
        gateway = Gateway(binary, folder, target)
        idle = wake_ups(gateway.pid, seconds)
        streams = [session(gateway.port) for _ in range(20)]
        time.sleep(1)
        before = status_field(gateway.pid, "VmRSS")
        streams += [session(gateway.port) for _ in range(count)]
        time.sleep(3)
        after = status_field(gateway.pid, "VmRSS")
        rate = wake_ups(gateway.pid, seconds)
        print(f"{name:12}{before:>10} KiB{after:>8} KiB{(after - before) / count:>10.1f}{rate:>12.2f}"
              f"{idle:>15.2f}", flush=True)
        for stream in streams:
            stream.socket.close()
        gateway.stop()
    web.kill()
    web_with_get.kill()


def session(port):
    """A session whose one connection is its event stream."""
    http = Http(port).open()
    http.listen()
    return http


# ---- calls -----------------------------------------------------------------------------------------------


def call_message(number):
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call",
            "params": {"name": "echo", "arguments": {"text": "hello"}}}


class Pipes:
    """The same server as a child process of this program."""

    def __init__(self):
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [PYTHON, "-S", "-E", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.exchange(json.dumps(HELLO).encode())

    def exchange(self, line):
        os.write(self.process.stdin.fileno(), line + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            data += os.read(self.process.stdout.fileno(), 65536)
        return data

    def times(self, count):
        lines = [json.dumps(call_message(number)).encode() for number in range(1, count + 1)]
        return [timed(self.exchange, line) for line in lines]

    def stop(self):
        self.process.kill()


class OverHttp:
    def __init__(self, port):
        self.http = Http(port).open()

    def times(self, count):
        requests = [self.http.bytes_of(call_message(number)) for number in range(1, count + 1)]
        return [timed(self.http.exchange, request) for request in requests]

    def stop(self):
        self.http.socket.close()


def timed(function, argument):
    start = time.perf_counter()
    function(argument)
    return time.perf_counter() - start


def calls(binary, folder, rounds, count):
    print(f"\na call of a tool, {rounds} rounds of {count}, microseconds, medians and p99")
    port, web = web_server()
    for name, alone, target in (
            ("stdio", Pipes(), {"name": "one", "stdio": {"cmd": PYTHON, "args": ["-S", "-E", SERVER]}}),
            ("HTTP", OverHttp(port),
             {"name": "one", "mcp": {"host": "127.0.0.1", "port": port, "path": "/mcp"}})):
        gateway = Gateway(binary, folder, target)
        through = OverHttp(gateway.port)
        for one in (alone, through):
            one.times(count)
        direct, proxied = [], []
        for _ in range(rounds):
            direct += alone.times(count)
            proxied += through.times(count)
        base, median = statistics.median(direct), statistics.median(proxied)
        p99 = statistics.quantiles(proxied, n=100)[98]
        print(f"{name:12}alone {base * 1e6:8.0f}   through the gateway {median * 1e6:8.0f}   "
              f"on top {(median - base) * 1e6:8.0f}   p99 {p99 * 1e6:8.0f}", flush=True)
        through.stop()
        alone.stop()
        gateway.stop()
    web.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headgate", default=os.path.join(ROOT, "build", "release", "headgate"))
    parser.add_argument("--only", default="sessions,calls")
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10, help="how long wake-ups are counted")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=500)
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard) if hard > soft else (soft, hard))
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as folder:
        os.chmod(folder, 0o755)
        if "sessions" in options.only:
            quiet_sessions(options.headgate, folder, options.sessions, options.seconds)
        if "calls" in options.only:
            calls(options.headgate, folder, options.rounds, options.calls)


if __name__ == "__main__":
    sys.exit(main())
