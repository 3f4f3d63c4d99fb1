# SPDX-License-Identifier: Apache-2.0
"""Sessions as `openssl s_client` sees them: resumed, never renegotiated, compressed or begun with data."""
import os
import re
import socket
import struct

from hg import *
from hg.tls_wire import Play
from tlsplays import NAME, ONE, Stage

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
REQUEST = f"GET /get HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"


def settled(stage, *options):
    status, said = stage.s_client(*options, "-ign_eof", text_input=REQUEST)
    check("HTTP/1.1 200" in said, lambda: f"{status}: {said[-2000:]}")
    return said


@test("openssl s_client resumes its session with another worker, before and after a reload; another gateway "
      "does not know it", needs=("openssl",), timeout=60)
def resumed():
    for version in ("-tls1_2", "-tls1_3"):
        stage = Stage(workers=3)
        path = os.path.join(tmpdir(), "session" + version)
        check("\nNew, " in settled(stage, version, "-sess_out", path), "the first one is new")
        for _ in range(6):
            check("\nReused, " in settled(stage, version, "-sess_in", path), f"{version}: not resumed")
        stage.gateway.reload(ONE + "config: {}\n")
        check("\nReused, " in settled(stage, version, "-sess_in", path), f"{version}: after a reload")
        check(stage.gateway.metrics()("headgate_tls_handshakes_resumed_total") >= 7, "counted")
        other = Gateway(ONE, origin=stage.backend, cert=stage.certificate.cert,
                        cert_key=stage.certificate.key)
        stage.port = other.port
        check("\nNew, " in settled(stage, version, "-sess_in", path), f"{version}: by another gateway")


@test("no compression, no early data, no static RSA, no TLS below 1.2; secure renegotiation is announced",
      needs=("openssl",))
def properties():
    stage = Stage(key="rsa")
    for version in ("-tls1_2", "-tls1_3"):
        said = settled(stage, version)
        check("Compression: NONE" in said, said)
        check("Max Early Data: 0" in said or version == "-tls1_2", said)
    said = settled(stage, "-tls1_2")
    check("Secure Renegotiation IS supported" in said and "Extended master secret: yes" in said, said)
    for options in (["-tls1"], ["-tls1_1"], ["-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"],
                    ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"],
                    ["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"], ["-tls1_2", "-cipher", "NULL"]):
        status, said = stage.s_client(*options)
        check(status != 0, lambda options=options: f"{options} was served:\n{said[-1500:]}")
    eq(stage.client().get("/get", host=NAME).status, 200, "alive")


@test("early data is not taken: what is sent with a resumed hello is not a request", needs=("openssl",))
def early_data():
    stage = Stage()
    path, data = os.path.join(tmpdir(), "session"), os.path.join(tmpdir(), "data")
    settled(stage, "-tls1_3", "-sess_out", path)
    with open(data, "w", encoding="ascii") as file:
        file.write(f"GET /counter?key=early HTTP/1.1\r\nHost: {NAME}\r\n\r\n")
    _, said = stage.s_client("-tls1_3", "-sess_in", path, "-early_data", data, "-ign_eof",
                             text_input=REQUEST)
    check("Early data was accepted" not in said, said)
    eq([r for r in stage.gateway.log() if "early" in r["http.path"]], [], "requests of early data")


@test("renegotiation is refused, and asks for no work: TLS 1.2 by s_client, again and again",
      needs=("openssl",), timeout=60)
def renegotiation():
    stage = Stage(key="rsa", workers=1)
    for number in range(3):
        commands = os.path.join(tmpdir(), f"commands-{number}")
        os.mkfifo(commands)
        client = Process(["sh", "-c", f"openssl s_client -tls1_2 -connect 127.0.0.1:{stage.port} "
                          f"-servername {NAME} < {commands}"], "s_client")
        with open(commands, "w", encoding="ascii") as file:
            # What it says; the words of a refusal are those of several versions.
            wait_until(lambda c=client: "Verify return code" in c.stdout, 10, "the handshake")
            file.write("R\n")
            file.flush()
            wait_until(lambda c=client: "RENEGOTIATING" in c.stdout + c.stderr, 10, "the attempt")
            wait_until(lambda c=client: re.search("no renegotiation|errno|alert", c.stdout + c.stderr), 10,
                       "the refusal")
        client.wait(20)
    eq(stage.gateway.metrics()("headgate_tls_handshakes_total"), 3, "handshakes")
    eq(stage.client().get("/get", host=NAME).status, 200, "alive")


@test("a gateway that is killed leaves nothing that the next one trips over", timeout=60)
def killed():
    stage = Stage(workers=2, checked=False)
    client = stage.client()
    eq(client.get("/get", host=NAME).status, 200, "before")
    before = {name for name in os.listdir("/dev/shm")} if os.path.isdir("/dev/shm") else set()
    stage.gateway.kill()
    again = Gateway(ONE.replace("@port@", str(stage.port)), origin=stage.backend, cert=stage.certificate.cert,
                    cert_key=stage.certificate.key)
    eq(stage.client().get("/get", host=NAME).status, 200, "after")
    again.stop()
    if os.path.isdir("/dev/shm"):
        eq({name for name in os.listdir("/dev/shm") if "headgate" in name} - before, set(), "files left")


def segments(client):
    """That brought bytes (tcpi_data_segs_in)."""
    info = client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 200)
    return struct.unpack_from("=I", info, 152)[0]


@test("the ticket of TLS 1.3 leaves in one segment with SETTINGS or close_notify, where they follow; who "
      "says nothing has it at once")
def ticket():
    stage = Stage()
    for alpn, said in ((["h2"], PREFACE), ([], b"")):
        raw = stage.gateway.client()
        play = Play(NAME, authority=stage.authority, alpn=alpn)
        raw.send(play.hello)
        data = play.step(raw.read_some())
        check(play.is_open, "the server's flight in one piece")
        if said:
            data += play.records(said)
        else:
            data += play.farewell()
        raw.send(data)
        check(raw.read_some(), "the answer")
        eq(segments(raw), 2, f"segments: of the handshake, and the ticket with what follows; {alpn}")
    raw = stage.gateway.client()
    Play(NAME, authority=stage.authority).handshake(raw)
    check(raw.read_some(), "a ticket")
