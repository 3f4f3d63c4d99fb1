#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the same-host lanes cost connections that do not use them: of the gateway, and of other programs.

One build with four configurations; the measured client and backend enable no lane in any of them:

  default  the defaults
  listed   splice.lanes lists direct and bypass, but no listener enables them
  no bypass   splice.lanes lists direct, and another port of the gateway enables it
  bypass      it lists bypass as well, and that port enables it: BPF programs see each connection and read

Rows: requests of 1 KiB through the gateway, on kept connections and on one connection each, and the same to
the backend itself while that gateway runs (beside). Each gateway is restarted for each round, because its
attached programs would affect all others; they take turns, forwards and backwards. A round gives one ratio to
the default.
"""
import argparse
import os
import shutil
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
import recorded  # noqa: E402
import run  # noqa: E402

# Another port, whose clients and backend enable the lanes.
OTHERS = peers.HEADGATE_BYPASS.partition("binds:\n")[2].replace("{http}", "{other}")


def listing(lanes):
    splice = "splice: {{force: true, lanes: [%s]}}" % lanes
    return peers.HEADGATE.replace("accessLog: false}}", f"accessLog: false}}}}, {splice}")


DEFAULT = "default"
CONFIGURATIONS = {
    DEFAULT: peers.HEADGATE,
    "listed": listing("pipe, sockmap, direct, bypass"),
    "no bypass": listing("pipe, sockmap, direct") + OTHERS,
    "bypass": listing("pipe, sockmap, direct, bypass") + OTHERS,
}
# For each row: whether the load goes through the gateway, and its headers.
ROWS = {"kept": (True, ()), "one-each": (True, ("Connection: close",)),
        "beside/kept": (False, ()), "beside/one-each": (False, ("Connection: close",))}
KEYS = ("rps", "p50", "p99", "user_us", "system_us")
CONNECTIONS = 64


def measure(args, name, origin, rows):
    """Starts a gateway, measures {row: numbers} and stops it."""
    template = CONFIGURATIONS[name].replace("{other}", str(peers.free_port()))
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as directory:
        gateway = peers.start_headgate(args.headgate, directory, origin.port, template=template, name=name)
        try:
            run.wrk(gateway.port, "/bytes/1024", CONNECTIONS, 1)  # fills its pools
            return {row: run.measure(gateway if ROWS[row][0] else origin, "/bytes/1024", CONNECTIONS,
                                     args.seconds, ROWS[row][1]) for row in rows}
        finally:
            gateway.stop()


def show(row, rounds, store):
    """rounds: for each round, the numbers by configuration."""
    for name in CONFIGURATIONS:
        median = {key: statistics.median(numbers[name][key] for numbers in rounds) for key in KEYS}
        ratios = [numbers[name]["rps"] / numbers[DEFAULT]["rps"] for numbers in rounds]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        errors = next((numbers[name]["errors"] for numbers in rounds if numbers[name]["errors"]), "")
        print(f"{row:>16}  {name:<9} {median['rps']:>9.0f} {median['p50']:>7.2f} {median['p99']:>7.2f} "
              f"{median['user_us']:>7.1f} {median['system_us']:>6.1f}  {middle:.3f} "
              f"({low:.3f} .. {high:.3f})  {errors}", flush=True)
        store.add(row=row, program=name, **median)
        if name != DEFAULT:
            store.add(row=row, pair=f"{name} / {DEFAULT}", median=middle, low=low, high=high, of=len(ratios))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--httpbin", default="build/release/httpbin")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default="", help="rows to run: " + ", ".join(ROWS))
    parser.add_argument("--json", default="", help="where the medians go as well, a line each")
    args = parser.parse_args()
    rows = peers.rows_of(parser, args.only, list(ROWS))
    if not shutil.which("wrk"):
        peers.say_missing("wrk, which makes the load of this section,")
        return
    peers.resolve(args, "headgate", "httpbin")
    store = recorded.Store(args.json, args, "rounds", "seconds")
    rounds = []
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as scratch:
        origin = peers.Peer("direct", scratch, peers.free_port())
        origin.start([args.httpbin, "--port", str(origin.port), "--workers", "2", "--quiet"])
        try:
            for number in range(args.rounds):
                order = list(CONFIGURATIONS) if number % 2 == 0 else list(reversed(CONFIGURATIONS))
                rounds.append({name: measure(args, name, origin, rows) for name in order})
        finally:
            origin.stop()
    print("headgate with each configuration, requests of 1 KiB by 64 clients; ratio: to the default, median "
          "and quartiles of the rounds\n")
    print(f"{'row':>16}  {'lanes':<9} {'req/s':>9} {'p50 ms':>7} {'p99 ms':>7} {'user us':>7} {'system':>6}  "
          "ratio")
    for row in rows:
        show(row, [{name: numbers[name][row] for name in CONFIGURATIONS} for numbers in rounds], store)


if __name__ == "__main__":
    main()
