# SPDX-License-Identifier: Apache-2.0
"""Tunnels between processes of this host: byte by byte and end by end as in user space, in the lane direct,
and only where listener and backend agreed."""
import time

from hg import *
from same_host import *
from splice import compare_all, facts, in_background, watch_end


EXCHANGES = 300


def in_every_lane(play_once):
    compare_all(play_once, LANES)


@test("random writes, reads and pauses both ways at once, then each half closed: every byte, the same end, "
      "and exact counts, in every lane", needs=("bpf", "root"), timeout=60)
def integrity():
    size = 8 * MIB if not is_asan() else 3 * MIB

    def once(lane):
        gateway, backend = acted(lane)
        client, upstream = tunnel(gateway, backend, lane)
        already = totals(gateway)
        both_ways(client, upstream, size)
        client.fin()
        upstream.expect_fin()
        task = in_background(write_random, upstream, MIB, 5)
        read_random(client, MIB, 6)
        task.result()
        upstream.fin()
        client.expect_fin()
        record = gateway.wait_log()
        now = totals(gateway)
        for way, key, more in (("in", "bytes_in", size), ("out", "bytes_out", size + MIB)):
            before = sum(already[way].values())
            eq(int(record[key]), before + more, f"{lane}: {key}")
            eq(sum(now[way].values()), before + more, f"{lane}: bytes of all lanes, {way}")
            if lane != "off":
                note(f"{lane}, {way}: {now[way][lane] / (before + more):.0%} by this lane")
                check(now[way][lane] > 0, f"bytes of lane {lane}: {now[way]}")
        log = facts(record)
        for key in ("bytes_in", "bytes_out"):
            log.pop(key)
        return log
    in_every_lane(once)


@test("64 tunnels at once keep their bytes apart, in every lane", needs=("bpf", "root"), timeout=90)
def many():
    size = 300000 if not is_asan() else 100000
    for lane in LANES:
        gateway, backend = acted(lane, workers=2)
        pairs = [tunnel(gateway, backend, warm=False) for _ in range(64)]
        tasks = []
        for number, (client, upstream) in enumerate(pairs):
            # Each pair has bytes of its own: another piece of the pattern.
            tasks += [in_background(echo_of, client, upstream, size, number)]
        for task in tasks:
            task.result()
        for client, upstream in pairs:
            client.fin()
            upstream.expect_fin()
            upstream.fin()
            client.expect_fin()
        for record in gateway.wait_log(count=64):
            eq((record["close_reason"], int(record["bytes_in"]), int(record["bytes_out"])),
               ("ok", size, size), f"{lane}: end and bytes of {record.line}")
        if lane != "off":
            check(totals(gateway)["out"][lane] > 32 * size, f"by the lane {lane}: {totals(gateway)['out']}")


def echo_of(client, upstream, size, number):
    dice = random.Random(number)
    at = 0
    while at < size:
        count = min(dice.choice((1, 64, 3000, 30000)), size - at)
        data = pattern(count, at + number * 977)
        client.send(data)
        check(upstream.read(count) == data, f"wrong bytes up, pair {number} near {at}")
        upstream.send(data)
        check(client.read(count) == data, f"wrong bytes down, pair {number} near {at}")
        at += count


@test("a reader that stands still stops the sender within a bound, beside it others stay in their lane, and "
      "it gets every byte when it goes on, in every lane", needs=("bpf", "root"), timeout=90)
def stalled_reader():
    for lane in LANES:
        for is_client_slow in (True, False):
            gateway, backend = acted(lane)
            client, upstream = tunnel(gateway, backend, lane)
            slow, fast = (client, upstream) if is_client_slow else (upstream, client)
            first = tunnel(gateway, backend, lane)
            block = pattern(65521 * 16)
            taken = fast.send_until_blocked(block, limit=256 * MIB)
            note(f"{lane}: {taken / MIB:.1f} MiB taken while nobody reads")
            check(taken < 64 * MIB, f"{lane}: {taken} bytes were taken while nobody reads")
            # One that was there before, and one that comes.
            for pair in (first, tunnel(gateway, backend, lane)):
                before = totals(gateway)
                exchanges(*pair)
                if lane != "off":
                    after = totals(gateway)
                    moved = [after[way][lane] - before[way][lane] for way in ("in", "out")]
                    eq(moved, [EXCHANGES * 1000] * 2, f"{lane}: bytes beside it")
            slow.send("other way")
            eq(fast.read(9), b"other way", f"{lane}: the other direction")
            reader = in_background(read_random, slow, taken, 7)
            reader.result()
            fast.fin()
            slow.expect_fin()
            slow.fin()
            fast.expect_fin()
            for raw in (*first, *pair):  # an open tunnel would have the drain wait for its deadline
                raw.close()
            gateway.stop()


def exchanges(client, upstream):
    data = pattern(1000)
    for _ in range(EXCHANGES):
        client.send(data)
        eq(upstream.read(1000) == data, True, "what was said up")
        upstream.send(data)
        eq(client.read(1000) == data, True, "what was said down")


def expect_timer(timer, reason, before=lambda client, upstream: None):
    """Of tunnels in every lane that move on beyond the time it runs from the last byte, then it ends them."""
    gateways = {lane: acted(lane, timeouts=f"{timer}: 3s") for lane in reversed(LANES)}
    pairs = {lane: tunnel(*acted_, lane) for lane, acted_ in gateways.items()}
    for pair in pairs.values():
        before(*pair)
    for _ in range(9):
        time.sleep(0.45)
        sent = time.monotonic()
        for client, upstream in pairs.values():
            upstream.send(b"x" * 100)
            eq(len(client.read(100)), 100, "a message")
    ends = {lane: watch_end(client) for lane, (client, _) in pairs.items()}
    kinds = set()
    for lane, (gateway, _) in gateways.items():
        kind, when = ends[lane].result()
        kinds.add(kind)
        check_time(when - sent, 3.0, f"{lane}: {timer}")
        eq(gateway.wait_log()["close_reason"], reason, f"{lane}: close_reason")
    eq(len(kinds), 1, f"kinds of ends: {kinds}")


@test("tunnelIdle counts from the last byte that the kernel carried, in every lane", needs=("bpf", "root"),
      waits=True)
def idle():
    expect_timer("tunnelIdle", "tunnel_idle")


@test("halfClosed counts from the last byte of the open half, in every lane", needs=("bpf", "root"),
      waits=True)
def half_closed():
    def before(client, upstream):
        client.fin()
        upstream.expect_fin()
    expect_timer("halfClosed", "half_closed", before)


@test("data and FIN at once, again and again, from either side: nothing is lost before the FIN",
      needs=("bpf", "root"), timeout=60)
def fin_with_data():
    for lane in LANES:
        gateway, backend = acted(lane)
        for number in range(16):
            client, upstream = tunnel(gateway, backend, lane)
            one, other = (client, upstream) if number % 2 else (upstream, client)
            body = pattern(1 + number * 30011)
            task = in_background(lambda: (one.send(body), one.fin()))
            eq(other.read_eof() == body, True, f"{lane}: {len(body)} bytes before FIN")
            task.result()
            other.send(body)
            other.close()
            eq(one.read_eof() == body, True, f"{lane}: {len(body)} bytes before FIN")
            one.close()
        for record in gateway.wait_log(count=16):
            eq(record["close_reason"], "ok", f"{lane}: close_reason")


@test("a reset of either side, also of one that does not read, resets the other and is told apart in the "
      "log, in every lane", needs=("bpf", "root"), timeout=60)
def reset():
    def once(lane):
        outcome = []
        for is_client in (True, False):
            for is_blocked in (False, True):
                gateway, backend = acted(lane)
                client, upstream = tunnel(gateway, backend, lane)
                one, other = (client, upstream) if is_client else (upstream, client)
                if is_blocked:
                    check(other.send_until_blocked(pattern(MIB)) > 0, "some bytes go in")
                one.rst()
                eq(other.expect_end(5)[0], "rst", f"{lane}: the other side")
                outcome.append(gateway.wait_log()["close_reason"])
        return outcome
    in_every_lane(once)


@test("a tunnel stays in the other lanes when its backend did not agree, and when its listener did not",
      needs=("bpf", "root"), timeout=60)
def agreement():
    # Somebody else behind the same listener agreed.
    other = Backend()
    config = CONFIG + "      - {host: @other@, splice: sameHost, weight: 0}\n"
    for words in ({"backend": "auto"}, {"listener": "auto"}):
        gateway, backend = acted("all", config, other=other, **words)
        client, upstream = tunnel(gateway, backend)
        both_ways(client, upstream, MIB)
        found = totals(gateway)
        eq([found[way]["direct"] for way in found], [0, 0], f"{words}: bytes of lane direct")
        if "listener" in words:
            check(sum(found[way]["sockmap"] for way in found) > 0, f"{words}: by the kernel lane: {found}")
        else:
            eq(gateway.metrics()("headgate_bypass_connections"), 1, f"{words}: the client's connection")
        eq(gateway.metrics()("headgate_local_directions"), 0, f"{words}: directions in lane direct")


@test("/streams, the access log and the counters say which lane carried what", needs=("bpf", "root"))
def told():
    gateway, backend = acted("direct")
    client, upstream = tunnel(gateway, backend, "direct")
    client.send(pattern(5000))
    verify(upstream.read(5000), 5000)
    stream = gateway.streams()[0]
    eq((stream["gate_in"], stream["gate_out"]), ("direct", "direct"), "gates")
    check(stream["lane_bytes_in"]["direct"] >= 5000, f"lane_bytes_in: {stream['lane_bytes_in']}")
    eq(stream["lane_in"], "direct", "lane_in")
    metrics = gateway.metrics()
    eq(metrics("headgate_local_directions"), 2, "headgate_local_directions")
    check(metrics("headgate_spliced_bytes_total", lane="direct") >= 5000, "spliced bytes of lane direct")
    # Nobody asks for the list: the counters of a running tunnel follow by themselves.
    before = metrics("headgate_spliced_bytes_total", lane="direct")
    client.send(pattern(7000))
    upstream.read(7000)
    wait_until(lambda: gateway.metrics()("headgate_spliced_bytes_total", lane="direct") == before + 7000, 5,
               "the counter to follow")
    client.fin()
    upstream.expect_fin()
    upstream.fin()
    client.expect_fin()
    check("direct" in gateway.wait_log()["lane"], f"lane in {gateway.log()[-1].line}")
    wait_until(lambda: gateway.metrics()("headgate_local_directions") == 0, 5, "the end of the directions")
    splice = gateway.config_dump()["config"]["splice"]
    eq((splice["lanes"], splice["force"]), (["direct"], True), "config_dump")
