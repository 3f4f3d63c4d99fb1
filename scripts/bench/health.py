#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What checks of endpoints cost, and what clients notice of an endpoint that dies.

active, passive: ten endpoints, 1,000 requests a second, one endpoint dies, with one of these policies.
Printed: requests that failed, and of these the ones after the gateway knew.
many: 10,000 endpoints, checked over HTTP, with one gateway and no client. Printed: processor time of the
whole process in percent of one processor, the most checks in a tenth of a second compared with the mean.
The backend is nginx. Every number is of this machine; nothing is stored.
"""
import argparse
import http.client
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402

ROWS = ["active", "passive", "many"]
HEALTH = {
    "active": "active: {type: HTTP, interval: 500ms, timeout: 400ms, unhealthyThreshold: 1}",
    "passive": "passive: {consecutiveGatewayErrors: 3, baseEjectionTime: 2s, interval: 500ms}",
    "many": "active: {type: HTTP, interval: %(interval)s, timeout: 2s}",
}
NGINX = """
worker_processes 1; daemon off; pid %(dir)s/nginx.pid; error_log stderr crit;
events { worker_connections 32768; }
http { access_log off; keepalive_requests 1000000; keepalive_timeout 600s;
       server { %(listen)s location / { return 200 ok; } } }
"""
CONFIG = """
config: {{splice: {{mode: off}}, workerThreads: 1, adminAddr: '127.0.0.1:{admin}',
          statsAddr: '127.0.0.1:{stats}', readinessAddr: '127.0.0.1:{ready}'}}
binds:
- port: {port}
  listeners:
  - routes:
    - backends:
      - service: {{name: ns/svc.ns, port: 80}}
        policies: {{health: {{{health}}}}}
services: [{{name: svc, namespace: ns, hostname: svc.ns, ports: {{80: {backend}}}}}]
workloads:
{workloads}
"""


def addresses(count):
    return [f"127.{1 + n // 62500}.{n // 250 % 250}.{2 + n % 250}" for n in range(count)]


def start_nginx(directory, listen):
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, "nginx.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write(NGINX % {"dir": directory, "listen": listen})
    return subprocess.Popen(["nginx", "-p", directory, "-c", path])


def await_port(address, port):
    for _ in range(500):
        try:
            connection = http.client.HTTPConnection(address, port, timeout=5)
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nothing answers at {address}:{port}")


class Gateway:
    def __init__(self, args, directory, row, count, backend):
        self.port, self.admin, self.stats, ready = (peers.free_port() for _ in range(4))
        path = os.path.join(directory, f"{row}.yaml")
        workloads = "\n".join(f"- {{uid: w{n}, name: w{n}, namespace: ns, workloadIps: [{address}], "
                              f"services: {{ns/svc.ns: {{80: {backend}}}}}}}"
                              for n, address in enumerate(addresses(count)))
        with open(path, "w", encoding="ascii") as file:
            file.write(CONFIG.format(port=self.port, admin=self.admin, stats=self.stats, ready=ready,
                                     health=HEALTH[row] % {"interval": args.interval}, backend=backend,
                                     workloads=workloads))
        self.process = subprocess.Popen([args.headgate, "-f", path, "--no-keeper"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await_port("127.0.0.1", self.port)

    def get(self, port, path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", path)
        return connection.getresponse().read().decode()

    def checks(self):
        return sum(int(line.rsplit(" ", 1)[1]) for line in self.get(self.stats, "/metrics").splitlines()
                   if line.startswith("headgate_health_checks_total{"))

    def cpu_s(self):
        total = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


class Load:
    """Requests at a fixed rate, over connections that are kept."""

    def __init__(self, port, rate, threads=4):
        self.port, self.pause, self.failed, self.total = port, threads / rate, [], 0
        self.is_over = False
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        due = time.monotonic()
        while not self.is_over:
            try:
                connection.request("GET", "/")
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    self.failed.append(time.monotonic())
            except OSError:
                self.failed.append(time.monotonic())
                connection.close()
            self.total += 1
            due += self.pause
            time.sleep(max(0, due - time.monotonic()))

    def stop(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()


def dead(args, row, scratch):
    port = peers.free_port()
    servers = [start_nginx(os.path.join(scratch, f"{row}-{n}"), f"listen {address}:{port};")
               for n, address in enumerate(addresses(10))]
    for address in addresses(10):
        await_port(address, port)
    gateway = Gateway(args, scratch, row, 10, port)
    try:
        load = Load(gateway.port, args.rate)
        time.sleep(args.seconds)
        before = len(load.failed)
        servers[0].kill()
        servers[0].wait()
        seen = None
        end = time.monotonic() + args.seconds + 2
        while time.monotonic() < end:
            entries = json.loads(gateway.get(gateway.admin, "/endpoints"))
            if seen is None and any(entry["evicted"] for entry in entries):
                seen = time.monotonic()
            time.sleep(0.005)
        load.stop()
        late = sum(at > seen + 0.02 for at in load.failed) if seen else len(load.failed)
        print(f"{row:>8}: {load.total} requests, {len(load.failed) - before} failed, {late} of them after "
              "the endpoint was out", flush=True)
    finally:
        gateway.stop()
        for server in servers:
            server.terminate()
            server.wait()


def many(args, scratch):
    port = peers.free_port()
    server = start_nginx(os.path.join(scratch, "many"), f"listen 0.0.0.0:{port} backlog=8192;")
    await_port("127.0.0.1", port)
    gateway = Gateway(args, scratch, "many", args.endpoints, port)
    try:
        time.sleep(6)
        checks, cpu, begin = gateway.checks(), gateway.cpu_s(), time.monotonic()
        time.sleep(10)
        cpu, made, took = gateway.cpu_s() - cpu, gateway.checks() - checks, time.monotonic() - begin
        # Apart from that, because a look at the metrics costs as much as some checks.
        most, last, end = 0, gateway.checks(), time.monotonic() + 5
        while time.monotonic() < end:
            time.sleep(0.1)
            now = gateway.checks()
            most, last = max(most, now - last), now
        print(f"    many: {args.endpoints} endpoints, {made / took:.0f} checks/s, "
              f"{cpu / took * 100:.1f} % of a processor, {cpu / made * 1e6:.1f} us each, at most {most} in "
              f"0.1 s (mean {made / took / 10:.0f})", flush=True)
    finally:
        gateway.stop()
        server.terminate()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--only", default="", help="rows to run: " + ", ".join(ROWS))
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--endpoints", type=int, default=10000)
    parser.add_argument("--interval", default="5s", help="of the row many")
    args = parser.parse_args()
    chosen = peers.rows_of(parser, args.only, ROWS)
    if not shutil.which("nginx"):
        peers.say_missing("nginx, the backend of this section,")
        return
    peers.resolve(args, "headgate")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if args.endpoints > limit // 8:
        print(f"    many: {limit} descriptors are too few to keep {args.endpoints} connections: each "
              "check opens one", flush=True)
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as scratch:
        for row in chosen:
            if row == "many":
                many(args, scratch)
            else:
                dead(args, row, scratch)


if __name__ == "__main__":
    main()
