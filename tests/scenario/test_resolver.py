# SPDX-License-Identifier: Apache-2.0
"""Backends by name and by socket: looked up without waiting, every address tried."""
import os
import shlex
import socket
import threading
import time

from hg import *
from hg.framework import binary

CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: named
      matches: [{path: {pathPrefix: /named}}]
      policies: {urlRewrite: {path: {prefix: /}}}
      backends: [{host: "@name@"}]
    - name: fast
      backends: [{host: "@origin@"}]
"""


@test("localhost, nobody listens on any address: 503, and the next request asks again")
def nobody():
    port = free_port()
    gateway = Gateway(CONFIG, origin=f"127.0.0.1:{port}", name=f"localhost:{port}")
    eq(gateway.fetch("/named/get").status, 503, "status")
    eq(gateway.wait_log()["close_reason"], "connect_failed", "close_reason")
    origin = Origin(port=port)
    eq(origin.fetch("/get").status, 200, "the backend")
    wait_until(lambda: gateway.fetch("/named/get").status == 200, 5, "the backend to be found")


@test("an unknown name: 503 with the documented text, close_reason=dns_failed")
def unknown():
    gateway = Gateway(CONFIG, origin=Origin(), name="no-such-host.invalid:80")
    answer = gateway.fetch("/named/get", timeout=30)
    eq((answer.status, answer.text), (503, "backends required DNS resolution which failed"), "answer")
    record = gateway.wait_log(lambda r: r["route"] == "default/named")
    eq(record["close_reason"], "dns_failed", "close_reason")


class Dns:
    """A name server of this test alone, and a headgate that asks it: in its own mount namespace there is
    another /etc/resolv.conf and /etc/hosts. .names {name: [IPv4 addresses]}; an answer comes after .delay
    seconds, None: never; while .is_held it waits for release(). patience_s is that of whoever asks."""

    patience_s = 2

    def __init__(self, **names):
        self.names = {name.replace("_", "-"): list(addresses) for name, addresses in names.items()}
        self.delay, self.questions = 0.0, 0
        self.is_held, self._held = False, []
        self.address = f"127.53.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, 53))
        threading.Thread(target=self._serve, daemon=True).start()
        resolv = os.path.join(tmpdir(), "resolv.conf")
        with open(resolv, "w", encoding="ascii") as file:
            file.write(f"nameserver {self.address}\noptions timeout:{self.patience_s} attempts:1\n")
        hosts = os.path.join(tmpdir(), "hosts")
        with open(hosts, "w", encoding="ascii") as file:
            file.write("127.0.0.1 localhost\n::1 localhost\n")
        wrapper = os.path.join(tmpdir(), "headgate-in-namespace")
        with open(wrapper, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nmount --bind {shlex.quote(resolv)} /etc/resolv.conf\n"
                       f"mount --bind {shlex.quote(hosts)} /etc/hosts\n"
                       f"exec {shlex.quote(binary('headgate'))} \"$@\"\n")
        starter = os.path.join(tmpdir(), "headgate-with-dns")
        with open(starter, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nexec unshare --mount {shlex.quote(wrapper)} \"$@\"\n")
        for script in (wrapper, starter):
            os.chmod(script, 0o755)
        os.environ["HEADGATE_BIN"] = starter

    def _serve(self):
        while True:
            question, peer = self._socket.recvfrom(512)
            self.questions += 1
            if self.delay is None:
                continue
            if self.is_held:
                self._held.append((question, peer))
                continue
            threading.Timer(self.delay, self._answer, (question, peer)).start()

    def release(self):
        self.is_held = False
        for question, peer in self._held:
            self._answer(question, peer)

    def _answer(self, question, peer):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        kind = question[at + 2]
        addresses = self.names.get(labels[0])
        found = [a for a in addresses or [] if kind == 1]
        flags = b"\x81\x80" if addresses is not None else b"\x81\x83"
        answer = question[:2] + flags + b"\0\1" + len(found).to_bytes(2,
                                                                      "big") + bytes(4) + question[12:at + 5]
        for address in found:
            answer += b"\xc0\x0c\0\1\0\1" + (0).to_bytes(4, "big") + b"\0\4" + socket.inet_aton(address)
        self._socket.sendto(answer, peer)


NEEDS = ("root", "netns", "unshare")


@test("localhost reaches a backend that listens on one of its addresses only, whichever it is", needs=NEEDS)
def localhost():
    Dns()
    for address in ("127.0.0.1", "::1"):
        origin = Origin(addr=address)
        gateway = Gateway(CONFIG, origin=origin, name=f"localhost:{origin.port}")
        for _ in range(6):
            answer = gateway.fetch("/named/get")
            eq(answer.status, 200, f"status with a backend on {address}")
        endpoint = gateway.wait_log(count=6)[-1]["endpoint"]
        check(endpoint.endswith(f":{origin.port}"), f"endpoint={endpoint}")
        gateway.stop()


@test("a name that is being looked up keeps nobody else waiting; its own request gets its answer",
      needs=NEEDS)
def no_blocking():
    Dns.patience_s = 30
    dns = Dns(slow=["127.0.0.1"])
    dns.is_held = True
    origin = Origin()
    gateway = Gateway(CONFIG, origin=origin, name=f"slow.example.test:{origin.port}", workers=1)
    clients = [gateway.client().request("GET", "/named/get") for _ in range(20)]
    # The worker answers all of these before the name server answers.
    for _ in range(50):
        eq(gateway.fetch("/get").status, 200, "status beside look-ups")
    eq([stream["state"] for stream in gateway.streams()], ["resolve"] * 20, "states during the look-up")
    dns.release()
    for client in clients:
        eq(client.response().status, 200, "status of the slow name")
    check(dns.questions <= 4, f"{dns.questions} questions for one name that 20 requests need")
    dns.delay = None
    eq(gateway.fetch("/named/get").status, 200, "status once it is known, without another answer")


@test("a name server that never answers: 503 after its own time, or 504 when the request has a deadline",
      needs=NEEDS)
def silent_server():
    Dns.patience_s = 30
    dns = Dns()
    dns.delay = None
    gateway = Gateway(CONFIG.replace("policies: {", "policies: {timeout: {requestTimeout: 500ms}, "),
                      origin=Origin(), name="silent.example.test:80")
    with within(0.5, "requestTimeout during the look-up"):
        eq(gateway.fetch("/named/get").status, 504, "status")
    gateway.stop(deadline=8)  # the look-up goes on for 30 s


@test("an attempt that is repeated while the name is still being looked up waits for it again", needs=NEEDS)
def repeated_look_up():
    Dns.patience_s = 30
    dns = Dns(slow=["127.0.0.1"])
    dns.is_held = True
    origin = Origin()
    config = CONFIG.replace("policies: {", "policies: {retry: {attempts: 255, codes: []}, "
                                           "timeout: {backendRequestTimeout: 500ms}, ")
    gateway = Gateway(config, origin=origin, name=f"slow.example.test:{origin.port}")
    client = gateway.client().request("GET", "/named/get")
    wait_until(lambda: gateway.metrics()("agentgateway_retries_total") >= 2, 10, "two more tries")
    dns.release()
    eq(client.response().status, 200, "status")
    check(int(gateway.wait_log()["retry.attempt"]) >= 2, "tries while the name was looked up")


@test("a name that is not found in time is no failed connect of its endpoint", needs=NEEDS)
def late_name():
    Dns.patience_s = 30
    dns = Dns(slow=["127.0.0.1"])
    dns.is_held = True
    gateway = Gateway(CONFIG.replace("binds:", "config: {backend: {connectTimeout: 300ms}}\nbinds:"),
                      origin=Origin(), name="slow.example.test:80")
    eq(gateway.fetch("/named/get").status, 504, "status")
    eq(gateway.wait_log()["close_reason"], "connect_timeout", "close_reason")
    metrics = gateway.metrics()
    eq(metrics("headgate_upstream_connects_total"), 0, "connections begun")
    eq(metrics("headgate_upstream_connect_failures_total"), 0, "connections that failed")
    dns.release()


@test("of several addresses those that refuse are skipped", needs=NEEDS)
def several_addresses():
    origin = Origin(addr="127.0.0.9")
    Dns(many=["127.0.0.7", "127.0.0.8", "127.0.0.9"])
    gateway = Gateway(CONFIG, origin=origin, name=f"many.example.test:{origin.port}")
    for _ in range(20):
        eq(gateway.fetch("/named/get").status, 200, "status")
    eq(gateway.wait_log(count=20)[-1]["endpoint"], f"many.example.test:{origin.port}", "endpoint")


@test("a name that moves is followed within config.dns refresh, without a failed request", needs=NEEDS)
def moves():
    first = Origin(addr="127.0.0.7", name="first")
    second = Origin(addr="127.0.0.8", port=first.port, name="second")
    dns = Dns(moving=["127.0.0.7"])
    gateway = Gateway("config: {dns: {refresh: 1s}}" + CONFIG, origin=first,
                      name=f"moving.example.test:{first.port}", workers=1)

    def asked():
        answer = gateway.fetch("/named/anything", headers={"Connection": "close"})
        eq(answer.status, 200, "status")
        return answer.json()["origin"]
    eq(asked(), "first", "origin")
    dns.names["moving"] = ["127.0.0.8"]
    wait_until(lambda: asked() == "second", 10, "the new address")
    eq(second.is_running(), True, "the second backend")
    dns.names.clear()
    time.sleep(1.5)
    eq(asked(), "second", "origin while the name server has lost the name")


@test("a client that goes away during the look-up leaves nothing behind")
def gone():
    gateway = Gateway(CONFIG, origin=Origin(), name="gone-client.invalid:80")
    for _ in range(10):
        client = gateway.client().request("GET", "/named/get")
        client.rst()
    time.sleep(0.1)
    gateway.expect_rest(20)


@test("the gateway stops in time while names are being looked up")
def stop():
    gateway = Gateway(CONFIG.replace("binds:", "config: {connectionTerminationDeadline: 300ms}\nbinds:", 1),
                      origin=Origin(), name="stop-during-look-up.invalid:80")
    client = gateway.client().request("GET", "/named/get")
    gateway.terminate()
    gateway.expect_exit()
    client.expect_end()


@test("a connect that fails on one address and hangs on the next ends with connectTimeout in total")
def connect_timeout_covers_all():
    from hg.origin import Blackhole
    hole = Blackhole("127.0.0.1")
    gateway = Gateway("""
binds:
- port: @port@
  listeners:
  - routes:
    - backends:
      - host: "@name@"
        policies:
          tcp: {connectTimeout: {secs: 0, nanos: 600000000}, keepalives: {}}
""", name=f"localhost:{hole.port}")
    gateway.client()
    with within(0.6, "connectTimeout over all addresses"):
        answer = gateway.fetch("/get")
    eq(answer.status, 504, "status")
    eq(gateway.wait_log()["close_reason"], "connect_timeout", "close_reason")


@test("HTTP over a Unix socket: requests, a large body each way, keep-alive, 503 once the backend is gone")
def unix_socket():
    origin = Origin(unix=True)
    gateway = Gateway(CONFIG, origin=origin, name=origin.address, workers=1)
    client = gateway.client()
    for _ in range(3):
        answer = client.get("/named/anything")
        eq(answer.status, 200, "status")
    check(answer.json()["request"] >= 3, "the connection to the socket was not kept")
    eq(answer.json()["peer"], "unix", "peer")
    verify(client.get("/named/bytes/3000000").body, 3000000)
    upload = client.request("POST", "/named/upload", body=pattern(3000000)).response().json()
    eq((upload["length"], upload["is_pattern"]), (3000000, True), "upload")
    record = gateway.wait_log(lambda r: r["http.path"] == "/named/upload")
    check(record["endpoint"].startswith("unix:"), record.line)
    origin.stop()
    eq(gateway.fetch("/named/get").status, 503, "status without the backend")


@test("a Unix socket that does not exist: 503, connect_failed")
def unix_missing():
    gateway = Gateway(CONFIG, origin=Origin(), name=f"unix:{tmpdir()}/missing.sock")
    eq(gateway.fetch("/named/get").status, 503, "status")
    eq(gateway.wait_log()["close_reason"], "connect_failed", "close_reason")
