#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What guards cost: requests of 1 KiB that each of them admits, compared with a route without guards.

Rows: none, one guard each, and all together; "flood" is a request that apiKey refuses, compared with a 404.
The token, the key and the origin are the same in each request, as of one client, so tokens are verified once
and then remembered; the limit is so high that it never refuses. Each row has a gateway of its own, and all
run the whole time; they take turns, forwards and backwards. A round gives one ratio to "none" for the rate
and one for the processor time of a request, as the scheduler counts it.
"""
import argparse
import importlib.util
import json
import os
import shutil
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
import recorded  # noqa: E402
import run  # noqa: E402

NONE, CONNECTIONS, PATH = "none", 64, "/bytes/1024"
KEY, ORIGIN = "benchmark-key", "https://app.test"
RULES = [f'request.headers["x-role"] == "role-{number}"' for number in range(9)] + ['request.method == "GET"']
# In their order: the policy of a route. KEYS is a file with a set of keys.
GUARDS = {
    "cors": "cors: {allowOrigins: ['https://other.test', 'https://*.example.test', '%s'], "
            "allowMethods: [GET]}" % ORIGIN,
    "jwtAuth": "jwtAuth: {mode: strict, issuer: 'https://issuer', audiences: [gw], jwks: {file: KEYS}}",
    "apiKey": "apiKey: {mode: strict, keys: [{key: %s}], location: {header: {name: x-key}}}" % KEY,
    "authorization": "authorization: {rules: %s}" % json.dumps(RULES),
    "localRateLimit": "localRateLimit: [{maxTokens: 1000000000, tokensPerFill: 1000000000, "
                      "fillInterval: 1s}]",
}
FLOODS = {"404": "directResponse: {status: 404}", "flood": GUARDS["apiKey"]}
ROWS = [NONE, *GUARDS, "all", *FLOODS]
TITLES = ("rps", "p50", "p99", "user_us", "system_us")


def template(guards):
    """The configuration of a route with these policies, for str.format."""
    policies = ", ".join(guards).replace("{", "{{").replace("}", "}}")
    return peers.HEADGATE.replace("    - backends:", f"    - policies: {{{{{policies}}}}}\n      backends:")


def credentials(scratch):
    """(file with a set of keys, a token that one of them signed)."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    path = os.path.join(scratch, "keys.json")
    with open(path, "w", encoding="ascii") as file:
        json.dump({"keys": [{"kty": "RSA", "n": public["n"], "e": public["e"], "kid": "one"}]}, file)
    claims = {"iss": "https://issuer", "aud": "gw", "sub": "alice", "exp": int(time.time()) + 86400}
    return path, jwt.encode(claims, key, algorithm="RS256", headers={"kid": "one"})


def start(args, row, keys, scratch, origin):
    guards = {NONE: [], "all": list(GUARDS.values())}.get(row) or [{**GUARDS, **FLOODS}.get(row, "")]
    text = template([guard.replace("KEYS", keys) for guard in guards if guard])
    directory = os.path.join(scratch, row)
    os.makedirs(directory)
    return peers.start_headgate(args.headgate, directory, origin.port, template=text, name=row)


def show(row, base, rounds, store):
    """rounds: for each round, the numbers by row; base: the row to compare with."""
    median = {key: statistics.median(numbers[row][key] for numbers in rounds) for key in TITLES}
    line = (f"{row:>16} {median['rps']:>9.0f} {median['p50']:>7.2f} {median['p99']:>7.2f} "
            f"{median['user_us']:>7.1f} {median['system_us']:>6.1f}")
    store.add(row="guards", program=row, **median)
    for key in ("rps", "cpu_us") if row != base else ():
        ratios = [numbers[row][key] / numbers[base][key] for numbers in rounds]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        line += f"  {middle:.3f} ({low:.3f} .. {high:.3f})"
        store.add(row="guards", pair=f"{row} / {base}, {key}", median=middle, low=low, high=high,
                  of=len(ratios))
    print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headgate", default="build/release/headgate")
    parser.add_argument("--httpbin", default="build/release/httpbin")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default="", help="rows to run, with those they are compared with: "
                        + ", ".join(ROWS))
    parser.add_argument("--json", default="", help="where the medians go as well, a line each")
    args = parser.parse_args()
    chosen = peers.rows_of(parser, args.only, ROWS)
    bases = {row: "404" if row in FLOODS else NONE for row in chosen}
    rows = [row for row in ROWS if row in chosen or row in bases.values()]
    if not shutil.which("wrk"):
        peers.say_missing("wrk, which makes the load of this section,")
        return
    if not importlib.util.find_spec("jwt"):
        peers.say_missing("python3-jwt, which signs the token of this section,")
        return
    peers.resolve(args, "headgate", "httpbin")
    store = recorded.Store(args.json, args, "rounds", "seconds")
    rounds, running = [], {}
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as scratch:
        keys, token = credentials(scratch)
        right = (f"Origin: {ORIGIN}", f"Authorization: Bearer {token}", f"x-key: {KEY}")
        origin = peers.Peer("direct", scratch, peers.free_port())
        origin.start([args.httpbin, "--port", str(origin.port), "--workers", "2", "--quiet"])
        try:
            for row in rows:
                running[row] = start(args, row, keys, scratch, origin)
                measure(running[row], row, right, 1)  # fills its pools and its memory of tokens
            for number in range(args.rounds):
                order = rows if number % 2 == 0 else rows[::-1]
                rounds.append({row: measure(running[row], row, right, args.seconds) for row in order})
        finally:
            for peer in [*running.values(), origin]:
                peer.stop()
    print("headgate with guards, 1 KiB, 64 clients; ratios to none (flood: to 404): of the rate, "
          "and of the processor\ntime of a request; median and quartiles of the rounds\n")
    print(f"{'guards':>16} {'req/s':>9} {'p50 ms':>7} {'p99 ms':>7} {'user us':>7} {'system':>6}  ratios")
    for row in rows:
        show(row, "404" if row in FLOODS else NONE, rounds, store)


def measure(peer, row, right, seconds):
    """Every row gets the same request, so that reading its head costs the same."""
    refused = row in FLOODS
    headers = [header for header in right if not (refused and header.startswith("x-key"))]
    return run.measure(peer, PATH, CONNECTIONS, seconds, headers, refused=refused)


if __name__ == "__main__":
    main()
