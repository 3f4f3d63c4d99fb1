#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What clients notice when a gateway is replaced, or killed.

Each program serves wrk with 32 kept connections, while 50 clients are idle on connections after one
request, 20 read a stream of ten events per second, and one client sends a request every 10 ms, each on a
new connection. After a second one of these happens:

  replace  each program's own method: an upgrade (headgate, SIGUSR2), a reload by the master
           (haproxy -W, SIGUSR2; nginx, SIGHUP: its upgrade, which needs a daemon, replaces the
           workers in the same way)
  kill     SIGKILL to the serving process: headgate's gateway, haproxy's worker, one of nginx's two

Failed: requests of wrk without a response. Refused: connections. Idle lost: idle clients whose next
request, 2 s later, gets no response on that connection. Streams lost: those without all their events.
Pause: the longest time without a response for the client that sends every 10 ms.
"""
import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import peers

REQUEST = b"GET /bytes/1024 HTTP/1.1\r\nHost: a\r\n\r\n"
CONNECTIONS, IDLE, SECONDS = 32, 50, 5
STREAMS, EVENTS = 20, 40
LISTEN = f"GET /sse?n={EVENTS}&interval=100 HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def answer(client):
    """True if one request gets a complete response."""
    client.settimeout(5)
    data = b""
    try:
        client.sendall(REQUEST)
        while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < 1024:
            piece = client.recv(65536)
            if not piece:
                return False
            data += piece
    except OSError:
        return False
    return data.startswith(b"HTTP/1.1 200")


class Asker(threading.Thread):
    """Sends requests repeatedly, each on a new connection."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.refused, self.pause, self.is_over = port, 0, 0.0, False

    def run(self):
        last = time.monotonic()
        while not self.is_over:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as client:
                    good = answer(client)
            except OSError:
                self.refused += 1
                good = False
            now = time.monotonic()
            if good:
                self.pause, last = max(self.pause, now - last), now
            time.sleep(0.01)
        self.pause = max(self.pause, time.monotonic() - last)


class Listener(threading.Thread):
    """Reads events until the stream ends, complete or not."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client = socket.create_connection(("127.0.0.1", port), 5)
        self.client.sendall(LISTEN)
        self.is_whole = False

    def run(self):
        data = b""
        try:
            while not data.endswith(b"\r\n0\r\n\r\n"):
                piece = self.client.recv(65536)
                if not piece:
                    return
                data += piece
        except OSError:
            return
        finally:
            self.client.close()
        self.is_whole = data.count(b"data: ") == EVENTS


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def replace(peer):
    os.kill(peer.process.pid, signal.SIGHUP if peer.name == "nginx" else signal.SIGUSR2)


def kill(peer):
    os.kill(children(peer.process.pid)[-1], signal.SIGKILL)


def measure(peer, event):
    """(failed, refused, idle lost, streams lost, pause in ms, requests a second)"""
    idle = [socket.create_connection(("127.0.0.1", peer.port)) for _ in range(IDLE)]
    for client in idle:
        if not answer(client):
            raise RuntimeError(f"{peer.name} does not answer")
    asker = Asker(peer.port)
    asker.start()
    listeners = [Listener(peer.port) for _ in range(STREAMS)]
    for listener in listeners:
        listener.start()
    target = f"http://127.0.0.1:{peer.port}/bytes/1024"
    load_argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", target]
    with subprocess.Popen(load_argv, stdout=subprocess.PIPE, text=True) as load:
        time.sleep(1)
        event(peer)
        time.sleep(2)
        lost = sum(not answer(client) for client in idle)
        output = load.communicate()[0]
    asker.is_over = True
    asker.join()
    for listener in listeners:
        listener.join(SECONDS)
    cut = sum(not listener.is_whole for listener in listeners)
    errors = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    failed = sum(map(int, errors.groups())) if errors else 0
    failed += int(bad.group(1)) if bad else 0
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1))
    return failed, asker.refused, lost, cut, asker.pause * 1000, rate


def start(name, options, directory, origin):
    if name == "headgate":
        return peers.start_headgate(options.headgate, directory, origin)
    if name == "haproxy":
        return peers.start_haproxy(directory, origin, arguments=("-W",))
    return peers.start_nginx(directory, origin)


def end(peer):
    """Ends the program, also if its process was replaced."""
    pids = set(peer.pids())
    inodes = set()
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(name) as table:
            inodes |= {line.split()[9] for line in table if line.split()[1].endswith(f":{peer.port:04X}")}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            links = [os.readlink(f"/proc/{entry}/fd/{fd}") for fd in os.listdir(f"/proc/{entry}/fd")]
        except OSError:
            continue
        found = any(link[8:-1] in inodes for link in links if link.startswith("socket:"))
        if found and int(entry) != os.getpid():
            pids.add(int(entry))
    # First those that would start others.
    for pid in sorted(pids):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    peer.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--httpbin", default="build/release/httpbin")
    parser.add_argument("--only", default="", help="rows to run: replace, kill")
    options = parser.parse_args()
    options.headgate = os.path.abspath(options.headgate)
    events = {"replace": replace, "kill": kill}
    rows = peers.rows_of(parser, options.only, list(events))
    if not shutil.which("wrk"):
        peers.say_missing("wrk")
        return
    origin = peers.free_port()
    with subprocess.Popen([options.httpbin, "--addr", "127.0.0.1", "--port", str(origin), "--quiet"],
                          stdout=subprocess.DEVNULL) as backend:
        try:
            peers.wait_port(origin)
            print(f"{'event':>8}  {'program':<9}{'failed':>7}{'refused':>9}{'idle lost':>11}"
                  f"{'streams lost':>14}{'pause ms':>10}{'requests/s':>12}")
            for row in rows:
                for name in ("headgate", "haproxy", "nginx"):
                    with tempfile.TemporaryDirectory() as directory:
                        peer = start(name, options, directory, origin)
                        if not peer:
                            peers.say_missing(name)
                            continue
                        try:
                            failed, refused, lost, cut, pause, rate = measure(peer, events[row])
                        finally:
                            end(peer)
                    print(f"{row:>8}  {name:<9}{failed:>7}{refused:>9}{lost:>8}/{IDLE}"
                          f"{cut:>11}/{STREAMS}{pause:>10.0f}{rate:>12.0f}", flush=True)
        finally:
            backend.terminate()


if __name__ == "__main__":
    main()
