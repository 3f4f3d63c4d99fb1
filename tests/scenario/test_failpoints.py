# SPDX-License-Identifier: Apache-2.0
"""A gateway dies at each step of its work (user/base/failpoints.def): what was there becomes what the entry
says, and everything else goes on."""
import os
import signal
import time

from failpoints import CONFIG, PROGRAM, SAME_HOST, WORKERS, Stage, Talker, all_fates, is_reset
from hg import *
from hg.framework import binary
from same_host import need_lane
from splice import in_background, raise_priority

BULK = 6 << 20  # more than send buffers grow to
BODY = 24 << 20  # more than all buffers of a direction hold


# ---- plays: (stage, point, fate); each makes the gateway die at that point -----------------------------


def one_way(stage, point, fate):
    """Bytes of one way, in the copy lane."""
    actor, words = stage.tunnel(), pattern(1000)
    stage.arm(point)
    actor.client.send(words)
    stage.await_crash(point)
    if fate == "resumed":
        eq(actor.upstream.read(1000), words, "the bytes")
        check(actor.goes_on(), "the tunnel was reset")
        actor.close()
    else:
        came = actor.expect_reset()
        check(came in (b"", words), f"{len(came)} of 1000 bytes arrived")


def new_tunnel(stage, point, fate):
    """Nothing has gone through it yet."""
    stage.arm(point)
    actor = Talker(stage.gateway.client())
    if point not in ("accepted", "bypass-started"):
        actor.upstream = stage.backend.accept()
    stage.await_crash(point)
    eq(fate, "reset", "the fate")
    actor.expect_reset()


def last_words(stage, point, fate):
    """Both directions have ended: every byte arrives, and the end of it is an end, or a reset behind an
    end."""
    actor = stage.tunnel()
    actor.client.fin()
    actor.upstream.expect_fin()
    stage.arm(point)
    actor.upstream.send(b"the last words").fin()
    stage.await_crash(point)
    eq(fate, "ended", "the fate")
    eq(actor.client.expect_end(), ("fin", b"the last words"), "the end")
    actor.close()


def request(stage, point, fate):
    actor = stage.idle()
    stage.arm(point)
    actor.client.request("GET", "/status/204", host="a")
    stage.await_crash(point)
    if fate == "resumed":
        eq(actor.client.response().status, 204, "status")
        check(actor.goes_on(), "the idle client was reset")
        actor.close()
    else:
        actor.expect_reset()


def into_lane(stage, point, fate):
    """Words both directions until the kernel lane takes one of them."""
    actor, sent = stage.tunnel(), []
    stage.arm(point)

    try:
        while not stage.points.killed(point):
            sent.append(b"w")
            for end in (actor.client, actor.upstream):
                end.send(b"w")
            time.sleep(0.01)
    except OSError:
        pass
    stage.await_crash(point)
    eq(fate, "reset", "the fate")
    for end in (actor.client, actor.upstream):
        came = end.expect_rst(5)
        check(came == b"w" * len(came) and len(came) <= len(sent), f"{len(sent)} words became {came}")
    actor.close()


def out_of_lane(stage, point, fate):
    """Words without a pause between them, which the kernel lane hands back."""
    actor = stage.tunnel(is_riding=True)
    stage.arm(point)
    try:
        while not stage.points.killed(point):
            actor.say()
    except (OSError, Failure) as error:
        check(is_reset(error), f"ended by {error}")
    stage.await_crash(point)
    eq(fate, "reset", "the fate")
    actor.expect_reset()


def into_local(stage, point, fate):
    """A tunnel whose first words take it into its lane."""
    stage.arm(point)
    actor = Talker(stage.gateway.client(), stage.backend.accept())
    try:
        actor.client.send(b"words")
        actor.upstream.send(b"words")
    except OSError:
        pass
    stage.await_crash(point)
    eq(fate, "reset", "the fate")
    check(actor.expect_reset() in (b"", b"words"), "other words")


def held_back(stage, point, fate):
    """Bulk in the kernel lane whose reader stands still until the point is armed."""
    actor = stage.tunnel(is_riding=True)
    writer = fill(actor.client, pattern(BULK))
    stage.arm(point)
    data = b"".join(read_slowly(actor.upstream, BULK))
    writer.result()
    stage.await_crash(point)
    eq(fate, "resumed", "the fate")
    check(data == pattern(BULK), "other bytes")
    check(actor.goes_on(), "the tunnel was reset")
    actor.close()


def fill(end, data):
    """Sends as much as fits while nobody reads; what is left follows in the background."""
    sent = end.send_until_blocked(data, limit=len(data))
    return in_background(lambda: end.send(data[sent:]))


def read_slowly(end, size):
    while size:
        data = end.read_some(min(size, 65536))
        check(data, f"an end {size} bytes too early")
        size -= len(data)
        yield data


def chunks(stage, point, fate):
    """A body in chunks in the kernel lane, whose reader stands still until the point is armed."""
    actor = stage.events(is_held=True)
    rounds = BODY // 50000
    writer = fill(actor.upstream, b"".join(
        b"%x\r\n%s\r\n" % (50000, pattern(50000, at * 50000)) for at in range(rounds)) + b"0\r\n\r\n")
    stage.arm(point)
    try:
        for at in range(rounds):
            check(actor.read(50000) == pattern(50000, at * 50000), f"other bytes in chunk {at}")
        eq(actor.client.read(5), b"0\r\n\r\n", "the last chunk")
        is_whole = True
    except (OSError, Failure) as error:
        check(is_reset(error), f"ended by {error}")
        is_whole = False
    stage.await_crash(point)
    try:
        writer.result()
    except OSError:
        check(not is_whole, "the backend's connection was reset")
    eq(is_whole, fate == "resumed", "all of it arrived")
    actor.close()


def takeover(stage, point, fate):
    """The gateway is killed, and the new process dies: the next one goes on with all that was in nobody's
    hands."""
    stage.arm(point)
    os.kill(stage.gateway.gateway_pid, signal.SIGKILL)
    stage.crashes += 1
    stage.await_crash(point)
    # From there on each worker may have one in hand.
    has_begun = fate == "reset" or point in ("handed-out", "ready")
    lost = stage.expect_others(WORKERS if has_begun else 0)
    check(lost or fate == "resumed", "none was reset")


PLAYS = {
    "off": {
        "accepted": new_tunnel, "entry-begun": new_tunnel, "entry-status-set": new_tunnel,
        "entry-ended": last_words,
        "client-reading": request, "client-read": request, "client-idle": request,
        "direction-busy": one_way, "copy-read": one_way, "copy-sent": one_way, "direction-pumped": one_way,
        "direction-written": one_way, "direction-free": one_way,
    },
    "lane": {
        "lane-slot": into_lane, "lane-noted": into_lane, "lane-armed": into_lane, "lane-listed": into_lane,
        "lane-verdict": into_lane, "lane-started": into_lane, "direction-half": out_of_lane,
        "drain": held_back, "forward": held_back, "forward-peeked": held_back, "forward-sent": held_back,
        "commit": held_back, "committed": held_back, "consume": held_back, "consume-reading": held_back,
        "consume-read": held_back, "consumed": held_back,
    },
    "chunks": {
        "commit-chunk": chunks, "lane-leaving": chunks, "lane-closed": chunks, "lane-left": chunks,
    },
    "new process": {
        name: takeover for name in (
            "collected", "lane-inherited", "listens", "handed-out", "ready", "client-taken-over",
            "resume-begun",
            "resume-sockets", "resume-direction", "resume-entry")
    },
    "same host": {
        "bypass-started": new_tunnel, "local-started": into_local, "local-inherited": takeover,
        "resume-local": takeover,
    },
}


def act(plays, mode, adaptive=True, config=CONFIG):
    stage = Stage(mode, adaptive, config)
    if config is SAME_HOST:
        need_lane(stage.gateway, "bypass")
    for point, play in PLAYS[plays].items():
        stage.surround()
        try:
            play(stage, point, stage.points.fates[point])
            stage.expect_others()
        except (OSError, Failure) as error:
            raise Failure(f"{point}: {error}") from error
        note(f"{point}: {stage.points.passed(point)} times passed")
    stage.end()


@test("each failpoint has a play, and the program that is installed has none of them")
def complete():
    played = sorted(name for plays in PLAYS.values() for name in plays)
    eq(played, sorted(all_fates()), "failpoints with a play")
    for program, has_them in (("headgate", False), (PROGRAM, True)):
        with open(binary(program), "rb") as file:
            eq(b"HEADGATE_FAILPOINTS" in file.read(), has_them, f"failpoints in {program}")


@test("crash at each step of a connection, a request, an entry and the copy lane: what was in the gateway is "
      "reset, all else goes on", timeout=90)
def copied():
    act("off", "off")


@test("crash at each step into the kernel lane and of a direction in it: what the kernel has is neither lost "
      "nor doubled", timeout=90)
def lane():
    raise_priority()  # the lane hands back what is fast
    act("lane", "require")


@test("crash at each step of a body in chunks out of the kernel lane", timeout=90)
def coded():
    act("chunks", "require", adaptive=False)


@test("crash at each step into the same-host lanes, and of a new process that goes on with them", timeout=90,
      needs=("bpf", "root"))
def same_host():
    act("same host", "auto", config=SAME_HOST)


@test("a new process that dies at each step of its start: the next one goes on with what it had not begun",
      timeout=90)
def new_processes():
    act("new process", "require")
