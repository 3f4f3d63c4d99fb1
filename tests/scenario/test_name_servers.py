# SPDX-License-Identifier: Apache-2.0
"""Name servers that lie, cut off, die or are replaced; files that name hosts and servers."""
import random
import socket
import struct

from hg import *
from nameserver import (NEEDS, NO_ERROR, NO_SUCH_NAME, SERVER_FAILURE, TRUNCATED, Machine, NameServer, record,
                        resolv_conf, routes)

TRUE, FALSE = "127.0.0.7", "127.0.0.8"
REFRESH_1S = "config: {dns: {refresh: 1s}}"


def two_backends():
    """One at the address that is true, one where lies lead to, on the same port."""
    true = Origin(addr=TRUE, name="true")
    return true, Origin(addr=FALSE, port=true.port, name="false")


def asked(gateway, route):
    answer = gateway.fetch(f"/{route}/anything", headers={"Connection": "close"}, timeout=30)
    return answer.json()["origin"] if answer.status == 200 else answer.status


@test("an answer with another number, to another question or from elsewhere is not believed", needs=NEEDS)
def forged():
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def answers(question):
        lie = question.answer([FALSE])
        host = question.name.split(".")[0]
        stranger.sendto(lie, question.peer)
        if host == "number":
            yield bytes([lie[0] ^ 1]) + lie[1:]
        elif host == "question":
            yield lie[:12] + b"\x05other" + lie[13 + len(host):]
        elif host == "kind":
            yield lie[:12 + len(question.raw) - 4] + b"\0\x10\0\1" + lie[12 + len(question.raw):]
        elif host == "name":  # the right question, the address of another name
            yield question.answer(records=[record(FALSE, b"\x05other\x04test\0"), record(TRUE)])
            return
        yield question.answer([TRUE])

    server = NameServer(answers)
    stranger.bind((server.address, 0))
    Machine(resolv_conf(server, seconds=5))
    true, _ = two_backends()
    hosts = ("number", "question", "kind", "name", "server")
    gateway = Gateway(routes([f"{host}.test" for host in hosts], true.port), workers=1)
    for host in hosts:
        eq(asked(gateway, host), "true", f"the backend of {host}.test")


@test("an answer that is no DNS: 503 dns_failed, and the next name is found", needs=NEEDS)
def garbage():
    seed = random.randrange(1 << 30)
    note("seed", seed)
    chance = random.Random(seed)

    def rubbish(question):
        good = question.answer([TRUE])
        at = 12 + len(question.raw)
        yield from (b"", b"\0", good[:11])                      # no header
        yield from (good[:at - 1], good[:-1], good[:at + 11])   # cut off in the question and in a record
        yield good[:at] + b"\xc0" + bytes([at]) + good[at + 2:]  # a name that points to itself
        yield good[:at] + b"\xff\xff" + good[at + 2:]           # and one that points past the end
        yield good[:-6] + b"\xff\xff" + good[-4:]               # a record longer than the message
        yield good[:6] + b"\xff\xff" + good[8:]                 # 65535 records, said to be there
        yield good[:4] + b"\0\0" + good[6:]                     # no question
        for _ in range(20):
            broken = bytearray(good[:at] + chance.randbytes(chance.randrange(64)))
            broken[2:4] = struct.pack(">H", 0x8180 | chance.randrange(16))
            yield bytes(broken)

    def answers(question):
        return [question.answer([TRUE])] if question.name.startswith("good") else rubbish(question)

    Machine(resolv_conf(NameServer(answers)))
    true, _ = two_backends()
    gateway = Gateway(routes(["bad.test", "good.test"], true.port), workers=1)
    eq(asked(gateway, "bad"), 503, "answer for the bad name")
    eq(gateway.wait_log()["close_reason"], "dns_failed", "close_reason")
    eq(asked(gateway, "good"), "true", "the backend of the good name")


@test("an answer that is cut off is asked for again over TCP; a server that closes there is one that fails",
      needs=NEEDS)
def truncated():
    def answers(question):
        if not question.is_tcp:
            return [question.answer([FALSE], TRUNCATED)]
        if question.name.startswith("closing"):
            return [None]
        return [question.answer([TRUE] * 100)]

    server = NameServer(answers)
    Machine(resolv_conf(server))
    true, _ = two_backends()
    gateway = Gateway(routes(["long.test", "closing.test"], true.port), workers=1)
    eq(asked(gateway, "long"), "true", "the backend of the long answer")
    check(any(question.is_tcp for question in server.asked), "nothing was asked over TCP")
    eq(asked(gateway, "closing"), 503, "status without an answer over TCP")
    eq(gateway.wait_log(lambda r: r.status == 503)["close_reason"], "dns_failed", "close_reason")


@test("a server that is mute over TCP costs its time-out; once it speaks the name is found", needs=NEEDS)
def mute_over_tcp():
    is_mute = [True]

    def answers(question):
        if not question.is_tcp:
            return [question.answer(flags=TRUNCATED)]
        return [] if is_mute[0] else [question.answer([TRUE])]

    Machine(resolv_conf(NameServer(answers)))
    true, _ = two_backends()
    gateway = Gateway(routes(["name.test"], true.port), workers=1)
    eq(asked(gateway, "name"), 503, "status while the server is mute")
    eq(gateway.wait_log()["close_reason"], "dns_failed", "close_reason")
    is_mute[0] = False
    wait_until(lambda: asked(gateway, "name") == "true", 10, "the name to be found")


@test("a server that refuses or fails is passed over for the next at once", needs=NEEDS)
def next_server():
    failing = NameServer(lambda question: [question.answer(flags=SERVER_FAILURE)])
    good = NameServer(lambda question: [question.answer([TRUE])])
    Machine(resolv_conf("127.0.0.53", failing, good, seconds=20))
    true, _ = two_backends()
    gateway = Gateway(routes(["name.test"], true.port), workers=1)
    eq(asked(gateway, "name"), "true", "the backend")
    check(failing.asked and good.asked, "both servers were to be asked")


@test("a short name is completed by the search list, /etc/hosts goes before DNS", needs=NEEDS)
def search_and_hosts():
    known = {"short.two.test": TRUE, "full.test": TRUE, "listed.test": FALSE}

    def answers(question):
        address = known.get(question.name)
        return [question.answer([address] if address else [], NO_ERROR if address else NO_SUCH_NAME)]

    server = NameServer(answers)
    Machine(resolv_conf(server, more="search one.test two.test\n"), f"{TRUE} listed.test\n")
    true, _ = two_backends()
    gateway = Gateway(routes(["short", "full.test", "listed.test"], true.port), workers=1)
    for route in ("short", "full", "listed"):
        eq(asked(gateway, route), "true", f"the backend of {route}")
    names = [question.name for question in server.asked]
    check("short.one.test" in names, f"asked: {names}")
    check("listed.test" not in names, f"asked: {names}")


@test("changes of /etc/hosts and /etc/resolv.conf are followed within config.dns.refresh", needs=NEEDS)
def files_change():
    old, new = (NameServer(lambda question, address=address: [question.answer([address])])
                for address in (FALSE, TRUE))
    machine = Machine(resolv_conf(old), f"{FALSE} listed.test\n")
    true, _ = two_backends()
    gateway = Gateway(routes(["moved.test", "listed.test"], true.port, REFRESH_1S), workers=1)
    for route in ("moved", "listed"):
        eq(asked(gateway, route), "false", f"the backend of {route} before")
    machine.resolv(resolv_conf(new))
    machine.hosts(f"{TRUE} listed.test\n")
    for route in ("moved", "listed"):
        wait_until(lambda route=route: asked(gateway, route) == "true", 10, f"the new address of {route}")


@test("names whose server is silent do not hold up another, however many are being looked up", needs=NEEDS)
def silent_names():
    silent = [f"silent{n}.test" for n in range(12)]
    server = NameServer(
        lambda question: [] if question.name.startswith("silent") else [question.answer([TRUE])])
    Machine(resolv_conf(server, seconds=30))
    true, _ = two_backends()
    gateway = Gateway(routes([*silent, "good.test"], true.port), workers=1)
    clients = [gateway.client().request("GET", f"/{name.split('.')[0]}/get") for name in silent]
    wait_until(lambda: len({question.name for question in server.asked}) == len(silent), 10,
               "every silent name to be asked for")
    eq(asked(gateway, "good"), "true", "the backend of the other name")
    eq([stream["state"] for stream in gateway.streams()], ["resolve"] * len(silent), "states meanwhile")
    for client in clients:
        client.rst()
    gateway.stop(deadline=8)  # the look-ups go on for 30 s


@test("dns.edns0 decides whether queries have EDNS, without it options edns0 of resolv.conf", needs=NEEDS)
def edns():
    server = NameServer(lambda question: [question.answer([TRUE])])
    machine = Machine(resolv_conf(server))
    true, _ = two_backends()
    for resolv, config, want in (("", "", False), ("options edns0\n", "", True),
                                 ("options edns0\n", "config: {dns: {edns0: false}}", False),
                                 ("", "config: {dns: {edns0: true}}", True)):
        machine.resolv(resolv_conf(server, more=resolv))
        server.asked.clear()
        gateway = Gateway(routes(["edns.test"], true.port, config), workers=1)
        eq(asked(gateway, "edns"), "true", "the backend")
        eq({question.has_edns for question in server.asked}, {want}, f"EDNS with {resolv!r}, {config!r}")
        gateway.stop()
