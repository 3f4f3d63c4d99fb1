# SPDX-License-Identifier: Apache-2.0
"""Many clients do what comes to their minds, over every kind of target; each gets what is his."""
import json
import os
import random
import time

from hg import *
from hg.mcp import MODERN, VERSIONS, Mcp, McpError, McpServer, gather, text_of
from mcpplays import child, expect_no_zombie, play

CLIENTS = 6


class Player:
    """A client with calls under way; nonces say whose answer is whose."""

    def __init__(self, gateway, chance, name):
        self.gateway, self.chance, self.name = gateway, chance, name
        self.open, self.count = [], 0
        self.client = self.stream = None
        self.join()

    def join(self):
        version = self.chance.choice([*VERSIONS, MODERN])
        self.client = Mcp(self.gateway, version=version, name=self.name, handlers={
            "roots/list": lambda _: {"roots": [{"uri": "file:///" + self.name}]},
            "sampling/createMessage": lambda params: {"of": self.name,
                                                      "to": params["messages"][0]["content"]["text"]}})
        listens = not self.client.modern and self.chance.random() < 0.5
        self.stream = self.client.listen() if listens else None

    def nonce(self):
        self.count += 1
        return f"{self.name}-{self.count}"

    def step(self):
        kind = self.chance.choice([self.echo, self.echo, self.progress, self.ask, self.sleep, self.give_up,
                                   self.lists, self.finish, self.finish, self.finish, self.leave])
        kind()

    def target(self):
        return self.chance.choice(["kid", "web", "old"]) if not self.client.modern else \
            self.chance.choice(["kid", "web"])

    def echo(self):
        nonce = self.nonce()
        size = self.chance.choice([0, 10, 1000, 100000])
        call = self.client.begin(f"{self.target()}_echo", {"nonce": nonce, "fill": "f" * size})
        self.open.append((call, lambda: check(json.loads(text_of(call.result()))["nonce"] == nonce, "echo")))

    def progress(self):
        steps, token = self.chance.randint(0, 6), self.nonce()
        call = self.client.begin(f"{self.target()}_progress", {"steps": steps}, {"progressToken": token})

        def judge():
            eq(text_of(call.result()), f"{steps} steps", "the result")
            tokens = [one["params"].get("progressToken") for one in call.seen]
            eq(tokens, [token] * steps, "progress")
        self.open.append((call, judge))

    def ask(self):
        nonce = self.nonce()
        call = self.client.begin(f"{self.target()}_ask_sampling", {"text": nonce})

        def judge():
            result = call.result()
            if self.client.modern:
                eq(result["requestState"], "state of " + nonce, "the state")
            else:
                eq(json.loads(text_of(result))["answer"], {"of": self.name, "to": nonce}, "the answer")
        self.open.append((call, judge))

    def sleep(self):
        call = self.client.begin(f"{self.target()}_sleep", {"seconds": self.chance.random() / 2})
        self.open.append((call, lambda: eq(text_of(call.result()), "slept", "sleep")))

    def give_up(self):
        """
        Who closes a stream unread gives up what is on it. Without a stream of GET that may be the question of
        another call: of a target that does not say to which call it belongs the newest gets it. Neither order
        nor a cancellation would help: a request can overtake one that was sent before on another connection.
        """
        target = self.target() if self.client.modern or self.stream else "web"
        call = self.client.begin(f"{target}_sleep", {"seconds": 30})
        if not self.client.modern and self.chance.random() < 0.5:
            self.client.notify("notifications/cancelled", {"requestId": call.id, "reason": "soak"})
        call.close()

    def lists(self):
        tools = self.client.tools()
        check({"kid_echo", "web_echo"} <= set(tools) and len(tools) == len(set(tools)), f"tools: {tools}")

    def finish(self):
        """Waits for one, and so for all: what it waits for may come on the stream of another."""
        if self.open and self.chance.random() < 0.3:
            self.finish_all()

    def finish_all(self):
        gather([call for call, _ in self.open], [self.stream] if self.stream else ())
        for _, judge in self.open:
            judge()
        self.open = []
        eq(self.client.strays, [], "answers that nobody asked for")

    def leave(self):
        if self.chance.random() < 0.2:
            self.end()
            self.join()

    def end(self):
        self.finish_all()
        if self.client.session:
            self.client.delete()
        if self.stream:
            self.stream.end().close()


@test("mcp: clients of every version mix everything over a child, HTTP and HTTP+SSE: each gets his own",
      timeout=120, heavy=True, soak=True)
def soak():
    seed = int(os.environ.get("SEED") or random.randrange(1 << 30))
    note(f"SEED={seed}")
    chance = random.Random(seed)
    gateway, journal = play(child("kid"), McpServer("web").target("web"),
                            McpServer("old", sse=True).target("old", "sse"))
    players = [Player(gateway, chance, f"p{number}") for number in range(CLIENTS)]
    end, steps = time.monotonic() + soak_seconds(6), 0
    while time.monotonic() < end:
        try:
            chance.choice(players).step()
        except McpError as error:
            raise Failure(f"step {steps}: {error}") from None
        steps += 1
    for player in players:
        player.end()
    note(f"{steps} steps")
    check(not journal.events("not_json"), "lines that are no JSON at the child")
    expect_no_zombie(gateway)
