#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The TLS section of the benchmark: headgate, HAProxy and nginx on the same OpenSSL, in one run.

Handshakes, full and resumed, with an EC P-256 and an RSA 2048 key, in TLS 1.3 and 1.2; requests of 1 KiB
over HTTP/1.1 and HTTP/2; bulk; and the cost of an idle client. Two workers each, session tickets for all, no
session caches, no access logs. Every row is the median of several rounds; the programs take turns within
a round.

The generator (tls_load.c, h2load) shares the processors, so the table also has the processor time of the
program for one handshake, request or MiB, which hardly changes when others use the machine. Ratios are
against the better one of the other programs: higher is better for rates, lower for processor time and memory.
"""
import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
HANDSHAKES = {f"{kind}-{key}-{version}": (kind, key, version) for kind in ("full", "resumed")
              for key in ("ec", "rsa") for version in ("1.3", "1.2")}
REQUESTS = {"h1-1KiB": (["--h1", "-c64", "-m1"], 1024), "h2-1KiB": (["-c16", "-m32"], 1024),
            "h1-bulk": (["--h1", "-c4", "-m1"], 16 << 20),
            "h2-bulk": (["-c4", "-m1", "-w24", "-W26"], 16 << 20)}
# Idle clients first: later ones would reuse memory that the program has freed.
ROWS = ["idle", *HANDSHAKES, *REQUESTS]

TLS = "tls: {{cert: KEY.pem, key: KEY.key}}"
HEADGATE = peers.HEADGATE.replace("  - routes:", f"  - protocol: HTTPS\n    {TLS}\n    routes:")
NGINX = peers.NGINX.replace("{http} reuseport backlog=4096;", "{http} ssl http2 reuseport backlog=4096;\n"
                            "    ssl_certificate KEY.pem; ssl_certificate_key KEY.key;\n"
                            "    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;")
HAPROXY = peers.HAPROXY.replace("bind 127.0.0.1:{http}",
                                "bind 127.0.0.1:{http} ssl crt KEY.both alpn h2,http/1.1 ssl-min-ver TLSv1.2")


def certificates(folder):
    """Makes ec.pem, rsa.pem with their keys; .both for HAProxy."""
    for name, options in (("ec", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]),
                          ("rsa", ["-newkey", "rsa:2048"])):
        stem = os.path.join(folder, name)
        subprocess.run(["openssl", "req", "-x509", *options, "-nodes", "-keyout", stem + ".key", "-out",
                        stem + ".pem", "-days", "9", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        with open(stem + ".both", "wb") as both:
            for part in (".pem", ".key"):
                with open(stem + part, "rb") as file:
                    both.write(file.read())


class Bench:
    def __init__(self, args, scratch):
        self.args, self.scratch, self.running, self.folders = args, scratch, [], 0
        self.load = os.path.join(scratch, "tls_load")
        subprocess.run(["gcc", "-O2", "-std=gnu17", "-pthread", "-o", self.load,
                        os.path.join(HERE, "tls_load.c"), "-lssl", "-lcrypto"], check=True)
        certificates(scratch)
        os.chmod(scratch, 0o755)
        self.origin = self.add(peers.Peer("direct", self.folder(), peers.free_port()))
        self.origin.start([args.httpbin, "--port", str(self.origin.port), "--workers", "2", "--quiet"])
        self.programs = {key: self.start(key) for key in ("ec", "rsa")}

    def folder(self):
        self.folders += 1
        path = os.path.join(self.scratch, str(self.folders))
        os.makedirs(path)
        return path

    def add(self, peer):
        if peer:
            self.running.append(peer)
        return peer

    def start(self, key):
        """Starts the programs with a certificate."""
        def with_key(text):
            return text.replace("KEY", os.path.join(self.scratch, key))
        found, origin = [], self.origin.port
        for name, binary in (("headgate", self.args.headgate), ("other", self.args.against)):
            if binary:
                found.append(self.add(peers.start_headgate(binary, self.folder(), origin, name=name,
                                                           template=with_key(HEADGATE))))
        for name, start, text in (("haproxy", peers.start_haproxy, HAPROXY),
                                  ("nginx", peers.start_nginx, NGINX)):
            peer = self.add(start(self.folder(), origin, template=with_key(text)))
            if peer:
                found.append(peer)
            elif key == "ec":
                peers.say_missing(name)
        return found

    def stop(self):
        while self.running:
            self.running.pop().stop()

    def handshakes(self, peer, kind, version):
        """Measures (handshakes per second, processor us per handshake)."""
        used = peer.cpu_seconds()
        out = subprocess.run([self.load, str(peer.port), kind, version, str(self.args.seconds),
                              str(self.args.threads)], capture_output=True, text=True, check=True).stdout
        made, resumed, failed, took = (float(word) for word in out.split())
        if not made or failed > made / 100 or resumed != (made if kind == "resumed" else 0):
            sys.exit(f"{peer.name}: {made:.0f} handshakes, {resumed:.0f} resumed, {failed:.0f} failed")
        return made / took, (peer.cpu_seconds() - used) * 1e6 / made

    def requests(self, peer, options, size):
        """Measures (requests or MiB per second, processor us of one)."""
        count = max(8, int(self.args.requests * (1 if size <= 1024 else 1 / 400)))
        used = peer.cpu_seconds()
        out = subprocess.run(["h2load", "-t2", f"-n{count}", *options,
                              f"https://127.0.0.1:{peer.port}/bytes/{size}"],
                             capture_output=True, text=True, check=True, timeout=600).stdout
        if f" {count} succeeded, 0 failed" not in out:
            sys.exit(f"{peer.name}: {out[-1500:]}")
        rate = float(re.search(r"finished in [^,]*, ([\d.]+) req/s", out).group(1))
        units = 1 if size <= 1024 else size >> 20
        return rate * units, (peer.cpu_seconds() - used) * 1e6 / (count * units)

    def idle(self, peer, version="1.3"):
        """Measures (KiB per idle client, KiB after they have closed)."""
        before, count = peer.rss_kib(), self.args.clients
        with subprocess.Popen([self.load, str(peer.port), "hold", version, str(count)], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            if holder.stdout.readline() != "held\n":
                sys.exit(f"{peer.name}: {count} clients were not held")
            time.sleep(min(1.0, self.args.seconds))
            held = (peer.rss_kib() - before) / count
            holder.stdin.close()
        return held, 0.0

    def row(self, name):
        kind, key, version = HANDSHAKES.get(name, ("", "ec", ""))
        programs, results = self.programs[key], {}
        for turn in range(1 if name == "idle" else self.args.rounds):
            for peer in programs if turn % 2 == 0 else programs[::-1]:
                if name == "idle":
                    got = self.idle(peer)
                elif kind:
                    got = self.handshakes(peer, kind, version)
                else:
                    got = self.requests(peer, *REQUESTS[name])
                results.setdefault(peer.name, []).append(got)
        medians = {peer: [statistics.median(column) for column in zip(*rounds)]
                   for peer, rounds in results.items()}
        for peer, (rate, cpu) in medians.items():
            print_row(name, peer, rate, cpu, [m for p, m in medians.items() if p in ("haproxy", "nginx")])


def ratio(value, others, best):
    return f"{value / best(others):.2f}" if others and best(others) else "-"


def print_row(name, peer, rate, cpu, others):
    best = min if name == "idle" else max
    print(f"{name:>16}  {peer:<9} {rate:>10.1f} {ratio(rate, [o[0] for o in others], best):>6}  "
          f"{cpu:>9.1f} {ratio(cpu, [o[1] for o in others], min):>6}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--against", default="", help="another build of headgate, as a row \"other\"")
    parser.add_argument("--httpbin", default="build/release/httpbin")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of handshakes in each round")
    parser.add_argument("--threads", type=int, default=8, help="of the generator of handshakes")
    parser.add_argument("--requests", type=int, default=40000, help="in each round; a 400th for bulk")
    parser.add_argument("--clients", type=int, default=1000, help="idle ones")
    parser.add_argument("--only", default="", help="rows to run, e.g. full-ec-1.3")
    args = parser.parse_args()
    rows = peers.rows_of(parser, args.only, ROWS)
    peers.resolve(args, "headgate", "httpbin", "against")
    if not shutil.which("h2load") and set(rows) & set(REQUESTS):
        peers.say_missing("h2load")
        rows = [row for row in rows if row not in REQUESTS]
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as scratch:
        bench = None
        try:
            bench = Bench(args, scratch)
            print(f"{'row':>16}  {'program':<9} {'a second':>10} {'ratio':>6}  {'CPU us':>9} {'ratio':>6}"
                  "   (bulk: MiB; idle: KiB of a client)")
            for row in rows:
                bench.row(row)
        finally:
            if bench:
                bench.stop()


if __name__ == "__main__":
    main()
