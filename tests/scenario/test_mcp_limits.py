# SPDX-License-Identifier: Apache-2.0
"""What an MCP client, or a stranger who never comes back, takes from the others: bounded, 503 beyond."""
from hg import *
from hg.mcp import Mcp, OldMcp
from mcpplays import child, play


def limits(**values):
    text = ", ".join(f"{key}: {value}" for key, value in values.items())
    return f"config: {{limits: {{{text}}}, forwarded: {{trusted: [127.0.0.1/32]}}}}\n"


def begin(gateway, client="10.0.0.1"):
    """An initialize of a client behind a trusted proxy: (its status, the whole answer)."""
    one = Mcp(gateway, start=False, headers={"X-Forwarded-For": client})
    exchange = one.start("initialize", one.introduction())
    if exchange.status != 200:
        return exchange.status, exchange.body()
    one.settle(exchange)
    return 200, one


def refused(answer, words):
    status, body = answer
    eq(status, 503, f"want 503 ({words})")
    check(words in body.text, body.text)
    check(int(body.header("Retry-After")) > 0, "Retry-After")


@test("mcp limits: a client address has so many sessions, others are still served, an end frees one",
      timeout=60)
def per_client():
    gateway, _ = play(child("one"), more=limits(mcpSessionsPerClient=3))
    clients = [begin(gateway)[1] for _ in range(3)]
    refused(begin(gateway), "of this client")
    eq(begin(gateway, "10.0.0.2")[0], 200, "another client")
    eq(begin(gateway, "10.0.0.9, 10.0.0.3")[0], 200, "the last address that a trusted peer names")
    clients[0].delete()
    eq(begin(gateway)[0], 200, "after the end of one")


@test("mcp limits: sessions of clients that never come back are few and short, and others get theirs",
      timeout=60)
def abandoned():
    more = limits(mcpUninitializedSessions=5).replace("config: {", "config: {mcp: {uninitializedTtl: 2s}, ")
    gateway, journal = play(child("one"), more=more)
    good = begin(gateway)[1]
    strangers = [Mcp(gateway, start=False) for _ in range(5)]
    for one in strangers:
        one.start("initialize", one.introduction()).result()
    refused(begin(gateway), "too many sessions")
    eq(good.text("echo"), "{}", "a session that is used")
    with within(0.5, "the end of the abandoned sessions", before=25):
        wait_until(lambda: begin(gateway)[0] == 200, 20, "an abandoned session to end")
    wait_until(lambda: len(journal.events("eof")) >= 5, 20, "their children to be told")
    eq(good.text("echo"), "{}", "a session that is used, later")


@test("mcp limits: a session that no process is left for is 503, not an answer that looks like one",
      timeout=60)
def children():
    gateway, _ = play(child("one"), child("two"), more=limits(mcpChildren=4))
    clients = [begin(gateway)[1] for _ in range(2)]
    refused(begin(gateway), "too many sessions")
    eq(clients[0].text("two_echo"), "{}", "a session that has its children")
    clients[1].delete()
    wait_until(lambda: begin(gateway)[0] == 200, 20, "room for another one")


@test("mcp limits: the limits hold for clients of 2024-11-05, too")
def old_clients():
    gateway, _ = play(child("one"), more=limits(mcpSessionsPerClient=1))
    OldMcp(gateway)
    eq(fetch(gateway.port, "/sse", headers={"Accept": "text/event-stream"}).status, 503, "the second stream")
