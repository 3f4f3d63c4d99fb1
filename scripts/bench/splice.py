#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The splice section of the benchmark: tunnels and event streams through each program, in one run.

The programs take turns within a round; each row is the median of the rounds. CPU is that of the whole
machine (/proc/stat), because kernel workers and soft interrupts that move bytes belong to no process; for
event streams it is that of the gateway's process, because the rest is the same for all. `auto` is headgate
with its defaults; the other rows of headgate are limited to one lane by the configuration: LANES. Tunnels
never use pipes (user/phase/README.md has the reason), so `pipe` is only in the section about bodies.
`direct` and `bypass` are the opt-in lanes between processes of one host, so they are only in the sections
about tunnels, and `auto` never chooses them. Client and backend of the benchmark enable them in these rows.
"""
import argparse
import functools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
import recorded  # noqa: E402

HEADGATE = """
config: {{logging: {{level: warn, accessLog: false}}, splice: {{%s}}}}
binds:
- port: {http}
  listeners:
  - protocol: TCP
    tcpRoutes:
    - backends:
      - host: 127.0.0.1:{origin}
"""
SAME_HOST = HEADGATE.replace("  - protocol: TCP\n", "  - protocol: TCP\n    splice: sameHost\n")
SAME_HOST += "        splice: sameHost\n"
HEADGATE_HTTP = peers.HEADGATE.replace("accessLog: false}}", "accessLog: false}}, splice: {{%s}}")
LANES = {
    "copy": "lanes: []",
    "pipe": "lanes: [pipe]",
    "sockmap": "mode: require, lanes: [sockmap], adaptive: false",
    "auto": "mode: auto",
    "direct": "mode: require, force: true, lanes: [direct]",
    "bypass": "mode: require, force: true, lanes: [bypass]",
}
OPT_IN = ("direct", "bypass")
# For each column: its name in stored results, its head, digits.
PING = (("rate", "messages/s", 0), ("user_us", "user us/msg", 1), ("system_us", "system us", 1),
        ("switches", "switches", 1), ("p50", "p50 ms", 3), ("p99", "p99 ms", 3))
BULK = (("rate", "MiB/s", 0), ("user_s", "user s/GiB", 2), ("system_s", "system s/GiB", 2))
EVENTS = (("cpu", "gateway CPU %", 1), ("wakeups", "wake-ups/s", 1))
IDLE = (("kib", "KiB each", 2),)
HAPROXY = """
global
  nbthread 2
  maxconn 9000
  maxpipes 200
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  option splice-auto
listen tunnel
  bind 127.0.0.1:{port}
  server s 127.0.0.1:{origin}
"""
NGINX = """
worker_processes 2;
worker_rlimit_nofile 65536;
pid {dir}/pid;
error_log stderr crit;
daemon off;
{module}
events {{ worker_connections 20000; }}
stream {{
  server {{ listen 127.0.0.1:{port} reuseport backlog=4096; proxy_pass 127.0.0.1:{origin};
    proxy_timeout 1h; tcp_nodelay on; }}
}}
"""
MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"
NO_PROXY = "no proxy"  # the client connects to the backend
TICKS = os.sysconf("SC_CLK_TCK")
OTHER = "other"  # prefix of the names of another build
LESS_IS_BETTER = ("KiB each", "gateway CPU %")


def machine_seconds():
    """Processor seconds of the whole machine in user space, and in the kernel."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq = map(int, file.readline().split()[1:8])
    return (user + nice) / TICKS, (system + irq + softirq) / TICKS


def since(before, share):
    return tuple((now - then) * share for then, now in zip(before, machine_seconds()))


def machine_switches():
    """Context switches of the whole machine: where the kernel moves bytes, its threads cause them."""
    with open("/proc/stat") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("ctxt"))


def switches(peer):
    total = 0
    for pid in peer.pids():
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/status") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))
    return total


class Bench:
    def __init__(self, args, scratch):
        self.args, self.scratch, self.running = args, scratch, []
        self.store = recorded.Store(args.json, args, "rounds", "seconds", "pairs")
        self.folders = 0
        self.load = os.path.join(scratch, "splice_load")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "splice_load.c")
        subprocess.run(["gcc", "-O2", "-o", self.load, source], check=True)
        self.echo = self.server("echo")
        self.sink = self.server("sink")

    def folder(self, name):
        self.folders += 1
        path = os.path.join(self.scratch, f"{name}-{self.folders}")
        os.makedirs(path)
        return path

    def server(self, kind):
        peer = peers.Peer(kind, self.folder(kind), peers.free_port())
        peer.start([self.load, kind, str(peer.port)])
        self.running.append(peer)
        return peer

    def headgate(self, lane, origin, template, binary=None):
        name = f"{OTHER} {lane}" if binary else lane
        peer = peers.start_headgate(binary or self.args.headgate, self.folder(lane), origin,
                                    template=template % LANES[lane], name=name)
        self.running.append(peer)
        return peer

    def others(self, origin, template):
        """The lanes of --lanes with the other build."""
        return [self.headgate(lane, origin, template, self.args.against)
                for lane in self.args.lanes.split(",") if self.args.against]

    def tunnel(self, lane, origin):
        """Starts headgate with a lane; None if this machine cannot use an opt-in lane."""
        try:
            return self.headgate(lane, origin, SAME_HOST if lane in OPT_IN else HEADGATE)
        except RuntimeError as error:
            if lane not in OPT_IN:
                raise
            print(f"{lane} left out: {error}", file=sys.stderr)
            return None

    def foreign(self, name, text, argv, origin):
        peer = peers.Peer(name, self.folder(name), origin)
        peer.port = peers.free_port()
        module = f"load_module {MODULE};" if os.path.exists(MODULE) else ""
        path = peer.write("conf", text.format(port=peer.port, origin=origin, dir=peer.dir, module=module))
        try:
            peer.start([*argv(path, peer.dir)])
        except RuntimeError as error:
            with open(os.path.join(peer.dir, "log")) as file:
                print(f"{name} left out: {error}: {file.read(300)}", file=sys.stderr)
            peer.stop()
            return None
        self.running.append(peer)
        return peer

    def tunnels(self, origin):
        """Starts every program with a tunnel to this origin: (name, peer)."""
        backend = peers.Peer(NO_PROXY, self.scratch, origin.port)
        lanes = ("copy", "sockmap", "auto", *OPT_IN)
        found = [backend, *(self.tunnel(lane, origin.port) for lane in lanes),
                 *self.others(origin.port, HEADGATE)]
        for name in "haproxy", "nginx":
            if not shutil.which(name):
                peers.say_missing(name)
        if not os.path.exists(MODULE):
            peers.say_missing("nginx's module for streams")
        if shutil.which("haproxy"):
            found.append(self.foreign("haproxy", HAPROXY, lambda path, _: ["haproxy", "-f", path],
                         origin.port))
        if shutil.which("nginx"):
            os.chmod(self.scratch, 0o755)
            found.append(self.foreign("nginx", NGINX, lambda path, folder: [
                "nginx", "-p", folder, "-c", path, "-e", os.path.join(folder, "error")], origin.port))
        return [peer for peer in found if peer]

    def stop(self, keep=0):
        while len(self.running) > keep:
            self.running.pop().stop()

    def client(self, *arguments):
        return subprocess.run([self.load, *map(str, arguments)], capture_output=True, text=True, check=True,
                              timeout=120).stdout.strip()

    def rounds(self, programs, measure):
        """{name: [numbers of each round]}; programs take turns, in reverse order every second round."""
        results = {peer.name: [] for peer in programs}
        for number in range(self.args.rounds):
            for peer in programs if number % 2 == 0 else reversed(programs):
                results[peer.name].append(measure(peer))
        return results

    def section(self, row, title, columns, programs, measure):
        results = self.rounds(programs, measure)
        for name, medians in table(title, columns, results).items():
            self.store.add(row=row, program=name, **dict(zip((key for key, _, _ in columns), medians)))
        self.duel_of_lanes(row, columns[0][1], programs, results, measure)
        for peer in programs:
            if peer.name.startswith(f"{OTHER} "):
                lane = next(p for p in programs if p.name == peer.name.split()[-1])
                self.duel(row, lane, peer, measure)

    def duel_of_lanes(self, row, column, programs, results, measure):
        """Compares auto with the best of its own lanes."""
        lanes = [name for name in results if name in LANES and name not in ("auto", *OPT_IN)]
        if "auto" not in results or not lanes or not self.args.pairs:
            return
        best = min if column in LESS_IS_BETTER else max
        name = best(lanes, key=lambda name: statistics.median(numbers[0] for numbers in results[name]))
        self.duel(row, *(next(p for p in programs if p.name == wanted) for wanted in ("auto", name)), measure)

    def duel(self, row, one, two, measure):
        """Compares two programs. The rows drift too much for a few percent, so the two alternate as one, two,
        two, one; each such group of four gives one ratio."""
        ratios = []
        for _ in range(self.args.pairs):
            numbers = [measure(peer)[0] for peer in (one, two, two, one)]
            if numbers[1] + numbers[2]:
                ratios.append((numbers[0] + numbers[3]) / (numbers[1] + numbers[2]))
        if len(ratios) > 1:
            low, middle, high = statistics.quantiles(ratios, n=4)
            print(f"  {one.name} / {two.name}: {middle:.3f}   quartiles {low:.3f} .. {high:.3f} "
                  f"of {len(ratios)}", flush=True)
            self.store.add(row=row, pair=f"{one.name} / {two.name}", median=middle, low=low, high=high,
                           of=len(ratios))

    def ping(self, row, programs, bytes_):
        def measure(peer):
            before, switched = machine_seconds(), machine_switches()
            answer = self.client("ping", peer.port, 64, bytes_, self.args.seconds)
            rate, p50, p99 = map(float, answer.split())
            messages = rate * (self.args.seconds + 1)
            switched_each = (machine_switches() - switched) / messages
            return (rate, *since(before, 1e6 / messages), switched_each, p50, p99)
        self.section(row, f"64 streams x {bytes_} B ping-pong", PING, programs, measure)

    def push(self, programs):
        def measure(peer):
            before = machine_seconds()
            took = float(self.client("push", peer.port, 1 << 30))
            return 1024 / took, *since(before, 1)
        self.section("push", "1 GiB one way", BULK, programs, measure)

    def both(self, programs):
        def measure(peer):
            before = machine_seconds()
            took = float(self.client("both", peer.port, 1 << 29))
            return 512 / took, *since(before, 2)
        self.section("both", "512 MiB there and back, both ways at once", BULK, programs, measure)

    def exchanges(self, lanes):
        """Starts every program before one HTTP backend."""
        origin = peers.Peer("httpbin", self.folder("httpbin"), peers.free_port())
        origin.start([self.args.httpbin, "--port", str(origin.port), "--workers", "1", "--quiet"])
        self.running.append(origin)
        programs = [self.headgate(lane, origin.port, HEADGATE_HTTP) for lane in lanes]
        programs += self.others(origin.port, HEADGATE_HTTP)
        for peer in (peers.start_haproxy(self.folder("http"), origin.port, splice="option splice-auto"),
                     peers.start_nginx(self.folder("http"), origin.port)):
            if peer:
                self.running.append(peer)
                programs.append(peer)
        return programs

    def bodies(self):
        keep = len(self.running)
        programs = self.exchanges(("copy", "pipe", "sockmap", "auto"))

        def measure(peer, path):
            before = machine_seconds()
            took = float(self.client("get", peer.port, path))
            return 1024 / took, *since(before, 1)
        for row, kind, path in (("body/length", "of known length", f"/bytes/{1 << 30}"),
                                ("body/chunks", "in chunks", f"/stream-bytes/{1 << 30}"),
                                ("body/close", "up to the close", f"/close-delimited/{1 << 30}")):
            self.section(row, f"1 GiB body {kind}", BULK, programs,
                         functools.partial(measure, path=path))
        self.stop(keep)

    def events(self):
        keep = len(self.running)
        programs = self.exchanges(("copy", "sockmap", "auto"))

        def measure(peer):
            client = subprocess.Popen([self.load, "hold", str(peer.port), "512", "8", "/sse?n=0&interval=40"],
                                      stdout=subprocess.PIPE)
            client.stdout.readline()
            time.sleep(2)
            cpu, woken, start = peer.cpu_seconds(), switches(peer), time.monotonic()
            time.sleep(4)
            span = time.monotonic() - start
            result = (peer.cpu_seconds() - cpu) / span * 100, (switches(peer) - woken) / span
            client.wait()
            return result
        self.section("events", "512 event streams x 25/s", EVENTS, programs, measure)
        self.stop(keep)

    def idle(self, programs):
        """Measures the first idle tunnels of each program: later ones would reuse freed memory."""
        def measure(peer):
            before = peer.rss_kib()
            client = subprocess.Popen([self.load, "hold", str(peer.port), "4000", "4"],
                                      stdout=subprocess.PIPE)
            client.stdout.readline()
            time.sleep(1.5)
            result = ((peer.rss_kib() - before) / 4000,)
            client.wait()
            time.sleep(0.5)
            return result
        results = {peer.name: [measure(peer)] for peer in programs if peer.name != NO_PROXY}
        for name, (kib,) in table("4000 idle tunnels, first time", IDLE, results).items():
            self.store.add(row="idle", program=name, kib=kib)


def table(title, columns, results):
    """Prints a table; returns {name: medians}."""
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in results.items()}
    best = min if columns[0][1] in LESS_IS_BETTER else max
    peers_best = best((row[0] for name, row in medians.items() if name in ("haproxy", "nginx")), default=0)
    print(f"\n{title}\n  {'':<8} " + " ".join(f"{head:>14}" for _, head, _ in columns) + "   to best peer")
    for name, row in medians.items():
        numbers = " ".join(f"{value:>14.{digits}f}" for value, (_, _, digits) in zip(row, columns))
        print(f"  {name:<8} {numbers}   {row[0] / peers_best if peers_best else 0:>6.2f}", flush=True)
    return medians


ROWS = ("ping64", "ping16k", "both", "push", "bodies", "events", "idle")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--against", default="", help="another build of headgate, as rows \"other LANE\"")
    parser.add_argument("--lanes", default="auto", help="lanes of the other build")
    parser.add_argument("--httpbin", default="build/release/httpbin")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--pairs", type=int, default=8,
                        help="comparisons of auto with its best lane, and with --against, 0: none")
    parser.add_argument("--only", default="", help="rows to run: " + ", ".join(ROWS))
    parser.add_argument("--json", default="", help="where the medians go as well, a line each")
    args = parser.parse_args()
    peers.resolve(args, "headgate", "httpbin", "against")
    only = peers.rows_of(parser, args.only, ROWS)
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as scratch:
        bench = Bench(args, scratch)
        try:
            keep = len(bench.running)
            programs = bench.tunnels(bench.echo)
            if "idle" in only:
                bench.idle(programs)
            if "ping64" in only:
                bench.ping("ping64", programs, 64)
            if "ping16k" in only:
                bench.ping("ping16k", programs, 16384)
            if "both" in only:
                bench.both(programs)
            bench.stop(keep)
            if "push" in only:
                bench.push(bench.tunnels(bench.sink))
                bench.stop(keep)
            if "bodies" in only:
                bench.bodies()
            if "events" in only:
                bench.events()
        finally:
            bench.stop()


if __name__ == "__main__":
    main()
