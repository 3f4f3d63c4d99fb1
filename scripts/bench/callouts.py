#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What calls to other services cost: requests of 1 KiB, compared with a gateway that calls nobody.

Rows: extAuthz over HTTP and over gRPC, remoteRateLimit, and tracing of 1 % and of all requests to a
collector. Two parts, each with a gateway of its own for each row; all run the whole time and take turns:

time   one client, one request at a time: the median of the request, minus that of the row "none", minus that
       of the same call sent directly to the service. What is left is what the gateway adds.
cost   64 clients: the ratios to "none" of the rate and of the processor time of a request. The service and
       the collector share the processors with the gateway, so the rate contains what they cost.

The services are httpbin and nginx, which answers each call of gRPC with a file that holds one message.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guards  # noqa: E402
import peers  # noqa: E402
import recorded  # noqa: E402
import run  # noqa: E402

NONE, PATH = "none", "/bytes/1024"
CHECK = "/envoy.service.auth.v3.Authorization/Check"
LIMIT = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
# The file of each method: CheckResponse with an empty status; RateLimitResponse with overall_code OK.
MESSAGES = {CHECK: b"\x0a\x00", LIMIT: b"\x08\x01"}
GRPC_LINES = """    default_type application/grpc;
    error_page 405 =200 $uri;
    add_trailer grpc-status 0;
"""
# row: (policies of the route, frontendPolicies). HTTP and GRPC are the services.
CALLS = {
    NONE: ("", ""),
    "extAuthz http": ("extAuthz: {host: HTTP, protocol: {http: {path: '\"/status/200\"'}}}", ""),
    "extAuthz grpc": ("extAuthz: {host: GRPC}", ""),
    "rate limit": ("remoteRateLimit: {host: GRPC, domain: d, descriptors: [{entries: "
                   "[{key: path, value: request.path}]}]}", ""),
    "tracing 1%": ("", "tracing: {host: HTTP, protocol: http, path: /status/200, randomSampling: 0.01}"),
    "tracing 100%": ("", "tracing: {host: HTTP, protocol: http, path: /status/200, randomSampling: true}"),
}
# The rows whose request waits for a call: the path of the call at its service.
DIRECT = {"extAuthz http": "/status/200", "extAuthz grpc": CHECK, "rate limit": LIMIT}


def serve_grpc(scratch):
    """nginx, which answers a POST with a file, its type and the trailer of a call that succeeded."""
    directory = os.path.join(scratch, "grpc")
    for path, message in MESSAGES.items():
        os.makedirs(os.path.dirname(directory + path), exist_ok=True)
        with open(directory + path, "wb") as file:
            file.write(b"\0" + len(message).to_bytes(4, "big") + message)
    listen = "    listen 127.0.0.1:{http}"
    text = peers.NGINX_FILES.replace(listen, GRPC_LINES + listen + " http2")
    return peers.start_nginx(directory, None, template=text, name="grpc")


def start(args, row, scratch, services):
    policies, frontend = CALLS[row]
    text = guards.template([policies] if policies else [])
    if frontend:
        text += f"frontendPolicies: {{{{{frontend.replace('{', '{{').replace('}', '}}')}}}}}\n"
    for name, peer in services.items():
        text = text.replace(name, f"127.0.0.1:{peer.port}")
    directory = os.path.join(scratch, row.replace("%", "").replace(" ", "-"))
    os.makedirs(directory)
    return peers.start_headgate(args.headgate, directory, services["HTTP"].port, template=text, name=row)


def median_us(port, path, scratch, count, grpc=False):
    """The median of so many requests, one after the other, microseconds."""
    log = os.path.join(scratch, "requests")
    body = os.path.join(scratch, "question")
    with open(body, "wb") as file:
        file.write(b"\0\0\0\0\0")
    more = ["-d", body, "-H", "content-type: application/grpc"] if grpc else ["--h1"]
    done = subprocess.run(["h2load", "-c1", "-t1", "-m1", f"-n{count}", f"--log-file={log}", *more,
                           f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True)
    took, failed = peers.h2load_log(log)
    if done.returncode or failed or not took:
        sys.exit(f"h2load {path}: {failed} failed: {done.stdout}{done.stderr}")
    return statistics.median(took) * 1000


def time_round(running, services, rows, scratch, count):
    """{row: what the gateway adds to a request, microseconds}"""
    base = median_us(running[NONE].port, PATH, scratch, count)
    result = {}
    for row in rows:
        whole = median_us(running[row].port, PATH, scratch, count)
        path, own = DIRECT.get(row), 0
        if path:
            is_grpc = path in MESSAGES
            own = median_us(services["GRPC" if is_grpc else "HTTP"].port, path, scratch, count, is_grpc)
        result[row] = {"request": whole, "own": own, "added": whole - own - (base if row != NONE else 0)}
    return result


def show_times(rows, rounds, store):
    print("one client; microseconds: the request, the call alone, and what the gateway adds; medians and "
          "quartiles\nof the rounds\n")
    print(f"{'callouts':>16} {'request':>9} {'call':>9} {'added':>9}")
    for row in rows:
        low, added, high = statistics.quantiles([numbers[row]["added"] for numbers in rounds], n=4)
        median = {key: statistics.median(numbers[row][key] for numbers in rounds)
                  for key in ("request", "own")}
        store.add(row="callouts", program=row, added=added, low=low, high=high, **median)
        print(f"{row:>16} {median['request']:>9.0f} {median['own']:>9.0f} " +
              (f"{added:>9.0f} ({low:.0f} .. {high:.0f})" if row != NONE else ""), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--httpbin", default="build/release/httpbin")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--requests", type=int, default=3000, help="of a median of the part time")
    parser.add_argument("--only", default="", help="rows to run beside none: " + ", ".join(CALLS))
    parser.add_argument("--json", default="", help="where the medians go as well, a line each")
    args = parser.parse_args()
    rows = list(dict.fromkeys([NONE, *peers.rows_of(parser, args.only, list(CALLS))]))
    for tool in ("wrk", "h2load", "nginx"):
        if not shutil.which(tool):
            peers.say_missing(f"{tool}, which this section runs,")
            return
    peers.resolve(args, "headgate", "httpbin")
    store = recorded.Store(args.json, args, "rounds", "seconds", "requests")
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as scratch:
        started, running, times, costs = [], {}, [], []
        try:
            httpbin = peers.Peer("http", scratch, peers.free_port())
            started.append(httpbin)
            httpbin.start([args.httpbin, "--port", str(httpbin.port), "--workers", "2", "--quiet"])
            services = {"HTTP": httpbin, "GRPC": serve_grpc(scratch)}
            started.append(services["GRPC"])
            for row in rows:
                running[row] = start(args, row, scratch, services)
                started.append(running[row])
            for number in range(args.rounds + 1):  # the first fills pools
                order = rows if number % 2 == 0 else rows[::-1]
                times.append(time_round(running, services, order, scratch, args.requests))
                costs.append({row: run.measure(running[row], PATH, guards.CONNECTIONS, args.seconds)
                              for row in order})
        finally:
            for peer in reversed(started):
                peer.stop()
    show_times(rows, times[1:], store)
    print(f"\n{guards.CONNECTIONS} clients; ratios to none of the rate and of the processor time of a "
          "request\n")
    print(f"{'callouts':>16} {'req/s':>9} {'p50 ms':>7} {'p99 ms':>7} {'user us':>7} {'system':>6}  ratios")
    for row in rows:
        guards.show(row, NONE, costs[1:], store)


if __name__ == "__main__":
    main()
