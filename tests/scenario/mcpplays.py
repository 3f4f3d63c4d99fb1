# SPDX-License-Identifier: Apache-2.0
"""What the MCP plays share: a gateway with a journal, patient clients, who still runs."""
import os

from hg import Failure, check, wait_until
from hg.mcp import Journal, Mcp, McpError, McpGateway, config, stdio
from hg.process import read_text


def play(*targets, policies=None, more="", settings=None, workers=2, **options):
    """(gateway, journal) with an mcp block. targets: functions of the journal, or targets; else one child."""
    journal = Journal()
    made = [target(journal) if callable(target) else target for target in targets]
    made = made or [stdio(journal=journal)]
    return McpGateway(config(made, policies, more, **(settings or {})), workers=workers, **options), journal


def child(name="one", **options):
    """A child as a target of play()."""
    return lambda journal: stdio(name, journal=journal, **options)


def patient(gateway, tries=20, **options):
    """A client behind a short requestTimeout: a child needs longer than that to start on a busy machine."""
    for _ in range(tries):
        client = Mcp(gateway, start=False, **options)
        begun = client.start("initialize", client.introduction())
        if begun.status == 504:
            begun.close()
            continue
        client.settle(begun)
        return client
    raise Failure(f"initialize timed out {tries} times")


def fails(code, function, *args, **keywords):
    """The error of a request that has to fail; code: one number, several, or None for any."""
    try:
        result = function(*args, **keywords)
    except McpError as error:
        codes = (code,) if isinstance(code, int) else code
        check(codes is None or error.code in codes, f"code {error.code} ({error.text}), want {codes}")
        return error
    raise Failure(f"want an error, got {result}")


def runs(pid):
    """Whether a process is there and no zombie."""
    state = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1]
    return bool(state) and state[0] not in "ZX"


def zombies(gateway):
    """Children of the gateway that nobody has waited for."""
    found = []
    for task in os.listdir(f"/proc/{gateway.pid}/task"):
        for pid in read_text(f"/proc/{gateway.pid}/task/{task}/children").split():
            if read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] == ["Z"]:
                found.append(int(pid))
    return found


def expect_gone(pid, timeout=15.0, what="a child"):
    wait_until(lambda: not runs(pid), timeout, f"{what} ({pid}) to end")


def expect_no_zombie(gateway):
    wait_until(lambda: not zombies(gateway), 5, f"zombies to be gone: {zombies(gateway)}")
