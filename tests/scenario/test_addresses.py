# SPDX-License-Identifier: Apache-2.0
"""One port on several addresses: each has its own listeners, and keeps them over crashes and upgrades."""
import os
import signal

from crashes import NewProcess, kill
from hg import *

BINDS = {"one": "127.0.0.1", "two": "127.0.0.2", "all": None, "v4": "0.0.0.0"}


def config(*names, text=""):
    """A gateway for each name, whose only route says the name, and `text`."""
    lines = [f"  {name}: {{port: @port@{', bind: ' + BINDS[name] if BINDS[name] else ''}}}\n"
             for name in names]
    routes = [f"- {{gateways: {name}, policies: {{directResponse: {{status: 200, body: '{name}{text}'}}}}}}\n"
              for name in names]
    return "gateways:\n" + "".join(lines) + "routes:\n" + "".join(routes)


def who(gateway, address):
    return fetch(f"{address}:{gateway.port}", "/", host="a").text


def expect(gateway, **answers):
    """By address, with _ for a dot."""
    for name, answer in answers.items():
        address = "[::1]" if name == "v6" else name.strip("_").replace("_", ".")
        eq(who(gateway, address), answer, f"who answers at {address}")


def await_answer(gateway, address, answer):
    def answers():
        try:
            return who(gateway, address) == answer
        except (OSError, Failure):
            return False  # closed, and its next owner is not there yet
    wait_until(answers, 10, f"{answer} at {address}")


def is_refused(gateway, address):
    try:
        fetch(f"{address}:{gateway.port}", "/")
    except (OSError, Failure):
        return True
    return False


@test("a connection gets the listener of its address, then that of all IPv4 addresses, then that of all")
def by_address():
    gateway = Gateway(config("all", "one", "two", "v4"), workers=2)
    expect(gateway, _127_0_0_1="one", _127_0_0_2="two", _127_0_0_3="v4", v6="all")
    keys = [(bind["key"], bind["address"]) for bind in gateway.config_dump()["binds"]]
    port = gateway.port
    eq(keys, [(f"bind/0.0.0.0:{port}", f"0.0.0.0:{port}"), (f"bind/127.0.0.1:{port}", f"127.0.0.1:{port}"),
              (f"bind/127.0.0.2:{port}", f"127.0.0.2:{port}"), (f"bind/{port}", f"[::]:{port}")], "binds")
    other = Gateway(config("one").replace("@port@", str(port)), ready=False, checked=False)
    check(other.wait(20) != 0 and "another program listens" in other.stderr, "a second program is refused")


@test("a reload adds and removes addresses of a port; the others keep their connections")
def reloads():
    gateway = Gateway(config("one", "two"), workers=2)
    kept = gateway.client()
    eq(kept.get("/").text, "one", "a connection")
    check(is_refused(gateway, "127.0.0.3"), "an address that is not written is served")
    gateway.reload(config("one", "two", "all"))
    await_answer(gateway, "127.0.0.3", "all")
    expect(gateway, _127_0_0_1="one", _127_0_0_2="two", v6="all")
    # An address goes: its clients get the listener of all addresses.
    gateway.reload(config("one", "all"))
    await_answer(gateway, "127.0.0.2", "all")
    # It comes back, at once: the gateway waits until its workers have closed the old sockets.
    gateway.write("config.yaml", config("one", "two", "all", text="!"))
    await_answer(gateway, "127.0.0.2", "two!")
    expect(gateway, _127_0_0_1="one!", v6="all!")
    eq(kept.get("/").text, "one!", "the connection that was there all the time")
    # All addresses become one, and the other way round.
    gateway.reload(config("two"))
    wait_until(lambda: is_refused(gateway, "127.0.0.3"), 10, "the end of all other addresses")
    expect(gateway, _127_0_0_2="two")
    gateway.reload(config("v4"))
    await_answer(gateway, "127.0.0.2", "v4")
    expect(gateway, _127_0_0_1="v4")


def idle(gateway, answers):
    """A client that waits at each address."""
    clients = {}
    for address, answer in answers.items():
        clients[address] = Raw((address, gateway.port))
        eq(clients[address].get("/").text, answer, f"at {address}")
    return clients


ANSWERS = {"127.0.0.1": "one", "127.0.0.2": "two", "127.0.0.3": "all", "::1": "all"}


@test("after kill -9 each address keeps its sockets, its clients and its listeners")
def crash():
    gateway = Gateway(config("one", "two", "all"), workers=2, keeper=True)
    clients = idle(gateway, ANSWERS)
    kill(gateway)
    for address, client in clients.items():
        eq(client.get("/").text, ANSWERS[address], f"a client of the gateway before at {address}")
    expect(gateway, _127_0_0_1="one", _127_0_0_2="two", _127_0_0_3="all", v6="all")
    check("6 ports, 4 idle clients and 0 streams taken over" in gateway.stderr, gateway.stderr)


@test("an upgrade hands over the sockets and clients of each address")
def upgrade():
    gateway = Gateway(config("one", "two", "all"), workers=2, keeper=True, checked=False)
    clients = idle(gateway, ANSWERS)
    os.kill(gateway.pid, signal.SIGUSR2)
    eq(gateway.wait(20), 0, "exit status of the old program")
    after = NewProcess(gateway)
    for address, client in clients.items():
        eq(client.get("/").text, ANSWERS[address], f"a client of the program before at {address}")
    expect(gateway, _127_0_0_1="one", _127_0_0_2="two", _127_0_0_3="all", v6="all")
    for client in clients.values():
        client.close()
    after.stop()


@test("an upgrade may change the address of a port")
def upgrade_elsewhere():
    gateway = Gateway(config("one"), workers=2, keeper=True, checked=False)
    expect(gateway, _127_0_0_1="one")
    # The old program may read it, too, before it ends.
    gateway.write("config.yaml", config("all"))
    os.kill(gateway.pid, signal.SIGUSR2)
    eq(gateway.wait(20), 0, "exit status of the old program")
    after = NewProcess(gateway)
    expect(gateway, _127_0_0_1="all", v6="all")
    after.stop()


GATEWAYS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s, namespace: ns}
spec: {addresses: [%s], listeners: [{name: http, port: @port@, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: to-%s, namespace: ns}
spec:
  parentRefs: [{name: %s}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: %s.example}}]}]
---
"""


def manifests(**addresses):
    return "".join(GATEWAYS % (name, ", ".join(f"{{value: '{value}'}}" for value in values), name, name, name)
                   for name, values in addresses.items())


@test("Gateways with addresses share a port, and one whose address no interface has waits for it")
def of_gateways():
    gateway = Gateway(manifests(one=["127.0.0.1", "127.0.0.2"], far=["192.0.2.77"], all=[]), workers=2)

    def target(address):
        answer = fetch(f"{address}:{gateway.port}", "/", host="a")
        return answer.headers["Location"].split("/")[2].split(".")[0]
    eq([target(address) for address in ("127.0.0.1", "127.0.0.2", "127.0.0.3")], ["one", "one", "all"], "who")
    check(f"192.0.2.77:{gateway.port}: no interface of this machine has this address of the Gateway ns/far"
          in gateway.stderr, gateway.stderr)
    status = {item["metadata"]["name"]: item["status"] for item in gateway.admin_json("/status")["items"]
              if item["kind"] == "Gateway"}
    programmed = {name: next((one["status"], one["reason"]) for one in of["conditions"]
                             if one["type"] == "Programmed") for name, of in status.items()}
    eq(programmed, {"one": ("True", "Programmed"), "all": ("True", "Programmed"),
                    "far": ("False", "AddressNotUsable")}, "Programmed")
    eq([one["value"] for one in status["one"]["addresses"]], ["127.0.0.1", "127.0.0.2"], "addresses")
    gateway.reload(manifests(one=["127.0.0.1"], all=[]))
    wait_until(lambda: target("127.0.0.2") == "all", 10, "the Gateway of all addresses")
    eq(target("127.0.0.1"), "one", "who")
