# SPDX-License-Identifier: Apache-2.0
"""headgate check-request: what it says about a request is what a running gateway does with it."""
import json
import os
import re

from hg import *
from hg.framework import binary
from hg.gateway import SANITIZER_ENV

CONFIG = """
gateways:
  default: {port: @port@}
  names:
    port: @other@
    listeners:
    - {name: one, hostname: one.example, transformations: {request: {metadata: {path: request.path}}}}
routes:
- name: guarded
  matches: [{path: {pathPrefix: /guarded}}]
  policies:
    cors: {allowOrigins: ["https://app.test"], allowMethods: [PUT]}
    basicAuth: {htpasswd: "ann:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", mode: strict}
  backends: [{host: @origin@}]
- name: moved
  matches: [{path: {exact: /moved}}]
  policies: {requestRedirect: {path: {full: /new}, status: 301}}
- name: fixed
  matches: [{path: {exact: /fixed}, headers: [{name: x-a, value: {exact: "1"}}]}]
  policies: {directResponse: {status: 418, body: tea}}
- name: none
  matches: [{path: {exact: /none}}]
  backends: [{host: @origin@, weight: 0}]
- name: shared
  matches: [{path: {pathPrefix: /shared}, method: GET}]
  policies: {timeout: {requestTimeout: 5s}, urlRewrite: {path: {prefix: /get}}}
  backends: [{host: @origin@, weight: 3}, {host: @origin@}]
- name: sites
  matches: [{path: {exact: /sites}}]
  policies: {csrf: {}, transformations: {request: {replace: '{}'}}}
  backends: [{host: @origin@}]
- name: unmapped
  matches: [{path: {exact: /unmapped}}]
  policies: {transformations: {request: {replace: '{"a": request.headers.none}'}}}
  backends: [{host: @origin@}]
- name: everything
  gateways: names
  policies: {authorization: {rules: [{deny: 'metadata.path == "/denied"'}]}}
  backends: [{host: @origin@}]
"""
RIGHT = ("Authorization", "Basic YW5uOnRlc3Q=")
WRONG = ("Authorization", "Basic YW5uOm5v")
# Path, method, headers, host or None for that of the port.
REQUESTS = [
    ("/guarded/x", "GET", [], None), ("/guarded/x", "GET", [RIGHT], None),
    ("/guarded/x", "GET", [WRONG], None),
    ("/guarded/x", "OPTIONS",
     [("Origin", "https://app.test"), ("Access-Control-Request-Method", "PUT")], None),
    ("/moved", "GET", [], None), ("/fixed", "GET", [], None), ("/fixed", "GET", [("X-A", "1")], None),
    ("/none", "GET", [], None), ("/shared/a", "GET", [], None), ("/shared/a", "POST", [], None),
    ("/x/..//shared/%61?q=1", "GET", [], None), ("/a%2fb", "GET", [], None), ("/%zz", "GET", [], None),
    ("/shared", "TRACE", [], None), ("/shared", "OPTIONS", [("Max-Forwards", "0")], None),
    ("/shared", "OPTIONS", [("Max-Forwards", "many")], None),
    ("/shared/long?" + 9000 * "a", "GET", [], None),
    ("/", "GET", [], "one.example"), ("/", "GET", [], "two.example"),
    ("/", "GET", [("a b", "c")], "one.example"), ("/denied", "GET", [], "one.example"),
    ("/sites", "POST", [("Origin", "https://evil.test")], None), ("/unmapped", "GET", [], None),
]


def file_of(gateway):
    return next(iter(gateway.files.values()))


def check_request(*args):
    return run([binary("headgate"), "check-request", *args], env=SANITIZER_ENV)


def answer_of(found):
    """The status in a result, and the name of the route, as far as there are any."""
    route = found.get("route", {})
    result = found.get("result") or route["result"]
    return result.get("status"), route.get("name")


@test("status and route are those of a running gateway")
def same_as_running():
    origin = Origin()
    gateway = Gateway(CONFIG, origin=origin)
    for path, method, headers, host in REQUESTS:
        port = gateway.ports["other"] if host else gateway.port
        real = gateway.fetch(path, port=port, method=method, headers=headers, host=host)
        sent = [*headers, ("Host", host)] if host else headers
        fields = [part for name, value in sent for part in ("-H", f"{name}: {value}")]
        status, out, error = check_request(f"{method} http://127.0.0.1:{port}{path}", *fields, "--json",
                                           "-f", file_of(gateway))
        eq(status, 0, error)
        found = json.loads(out)
        said, route = answer_of(found)
        what = f"{method} {path[:40]} {headers}: {out}"
        if said is None:
            check(found["route"]["result"]["answer"].startswith("of one of the backends"), what)
            check(found["route"]["backends"], what)
        else:
            eq(said, real.status, what)
        if said == 301:
            eq(found["route"]["result"]["text"], real.header("location"), what)
        if route:
            record = gateway.wait_log(lambda r: r.get("http.method") == method and r.status == real.status
                                      and r.get("http.path", "").split("?")[0] == path.split("?")[0])
            eq(record["route"], route, what)
            eq("endpoint" in record, said is None, what)


@test("guards with their verdicts, policies, and backends with shares and what they receive")
def details():
    gateway = Gateway(CONFIG, origin=Origin())
    url = f"http://127.0.0.1:{gateway.port}"
    found = json.loads(check_request(f"GET {url}/guarded", "-H", "Authorization: Basic YW5uOm5v", "--json",
                                     "-f", file_of(gateway))[1])
    verdicts = [(guard["guard"], guard["verdict"]) for guard in found["route"]["guards"]]
    eq(verdicts, [("cors", "pass"), ("basicAuth", "refuse")])
    check("backends" not in found["route"], found)
    found = json.loads(check_request(f"{url}/shared/a", "--json", "-f", file_of(gateway))[1])
    route = found["route"]
    eq(route["match"], {"path": {"pathPrefix": "/shared"}, "method": "GET"})
    eq(route["policies"]["timeout"], {"requestTimeout": "5s"})
    eq([(b["weight"], b["share"], b["receives"]["path"]) for b in route["backends"]],
       [(3, "75.0 %", "/get/a"), (1, "25.0 %", "/get/a")])
    check(re.search(r":\d+:\d+: routes\[4\]$", route["where"]), route["where"])


@test("YAML by default; the text for wrong arguments, ports and files says what to write")
def words():
    gateway = Gateway(CONFIG, origin=Origin())
    status, out, error = check_request(f"http://x:{gateway.port}/moved", "-f", file_of(gateway))
    eq(status, 0, error)
    check("\nroute:\n  key: gateway/default/default/moved\n" in out, out)
    for args, want, text in ((["GET /"], 2, "write headgate check-request"),
                             ([], 2, "write headgate check-request"),
                             (["http://x:1/"], 1, f"http://x:{gateway.port}"),
                             (["http://x/", "--source", "host"], 2, "--source"),
                             (["http://x/", "-H", "nothing"], 2, "name: value"),
                             (["http://x/", "--frob"], 2, "--frob")):
        status, out, error = check_request(*args, "-f", file_of(gateway))
        eq((status, out), (want, ""), f"{args}: {error}")
        check(text in error, f"{args}: {error}")
    status, out, error = check_request("http://x/")
    eq(status, 2, error)
    check("-f FILE" in error, error)
    broken = os.path.join(tmpdir(), "broken.yaml")
    with open(broken, "w", encoding="utf-8") as file:
        file.write("gateways: {default: {prt: 1}}\n")
    status, out, error = check_request("http://x/", "-f", broken)
    eq((status, out), (1, ""), error)
    check("broken.yaml:1:" in error, error)


ADDRESSES = """
gateways:
  one: {port: 80, bind: 127.0.0.1}
  two: {port: 80, bind: 127.0.0.2}
  six: {port: 81, bind: "::1"}
  all: {port: 81}
routes: [{gateways: [one, two, six, all]}]
"""


@test("of several addresses with the port, that of the URL or of --destination is asked")
def destinations():
    path = os.path.join(tmpdir(), "addresses.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(ADDRESSES)

    def listener(*args):
        status, out, error = check_request(*args, "--json", "-f", path)
        return json.loads(out)["listener"].split("/")[1] if status == 0 else error
    for args, want in ((["http://127.0.0.2/"], "two"), (["http://a/", "--destination", "127.0.0.1"], "one"),
                       (["http://127.0.0.2/", "--destination", "127.0.0.1"], "one"),
                       (["http://a:81/"], "all"), (["http://[::1]:81/"], "six"),
                       (["http://10.0.0.1:81/"], "all"), (["http://a:81/", "--destination", "::2"], "all")):
        eq(listener(*args), want, f"{args}")
    for args in (["http://a/"], ["http://a:80/"], ["http://a/", "--destination", "127.0.0.3"]):
        check("http://a:80 with --destination 127.0.0.1, http://a:80 with --destination 127.0.0.2"
              in listener(*args), f"{args}: {listener(*args)}")
    eq(check_request("http://a/", "--destination", "b", "-f", path)[0], 2, "no address")


UNKNOWN = """
config: {forwarded: {trusted: [127.0.0.0/8]}}
frontendPolicies: {networkExtAuthz: {host: '127.0.0.1:1', protocol: {http: {}}}}
gateways: {default: {port: @port@}}
routes:
- matches: [{path: {exact: /address}}]
  policies: {authorization: {rules: ['cidr("10.0.0.0/8").containsIP(source.address)']}}
  backends: [{host: @origin@}]
- matches: [{path: {exact: /certificate}}]
  policies: {authorization: {rules: ['source.subjectCn == "a"']}}
  backends: [{host: @origin@}]
- matches: [{path: {exact: /limit}}]
  policies: {localRateLimit: [{maxTokens: 0, tokensPerFill: 0, fillInterval: 1s}]}
  backends: [{host: @origin@}]
- matches: [{path: {exact: /size}}]
  policies: {limits: {maxRequestBytes: 10, maxHeaderBytes: 300}}
  backends: [{host: @origin@}]
- matches: [{path: {exact: /token}}]
  policies: {jwtAuth: {mode: strict, issuer: "https://i", jwks: {url: "http://127.0.0.1:1/keys"}}}
  backends: [{host: @origin@}]
"""


@test("the verdict is unknown where it depends on more than the request, and is not where it does not")
def unknown():
    gateway = Gateway(UNKNOWN, origin=Origin())
    forwarded = ["-H", "X-Forwarded-For: 10.1.1.1", "--source", "127.0.0.1"]
    # The algorithm and the issuer of a token are enough to look for its key.
    bearer = ["-H", "Authorization: Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6Im9uZSJ9."
                    "eyJpc3MiOiJodHRwczovL2kifQ.AAAA"]
    for path, arguments, verdict in (
            ("/address", ["--source", "10.1.1.1"], "pass"), ("/address", ["--source", "192.0.2.1"], "refuse"),
            ("/address", forwarded, "unknown: it depends on X-Forwarded-For of a trusted proxy"),
            ("/certificate", [], "unknown: it depends on the connection"),
            ("/limit", [], "unknown: it depends on more than this request"), ("/token", [], "refuse"),
            ("/size", ["-H", "Content-Length: 11"], "refuse"),
            ("/size", ["-H", "Content-Length: 10"], "pass"),
            ("/size", ["-H", "Transfer-Encoding: chunked"], "unknown: it depends on the body"),
            ("/size", ["-H", "Transfer-Encoding: chunked", "-H", f"X-A: {400 * 'a'}"], "refuse"),
            ("/token", bearer, "unknown: the keys of the issuer are behind a URL, which only a running "
                               "gateway reads")):
        out = check_request(f"http://127.0.0.1:{gateway.port}{path}", *arguments, "--json", "-f",
                            file_of(gateway))[1]
        told = json.loads(out)
        eq(told["route"]["guards"][0]["verdict"], verdict, f"{path} {arguments}")
        eq([(g["guard"], g["verdict"]) for g in told["connection"]["guards"]],
           [("networkExtAuthz", "unknown: it depends on more than this request")], "of the connection")
