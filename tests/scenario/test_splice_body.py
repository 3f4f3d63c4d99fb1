# SPDX-License-Identifier: Apache-2.0
"""Bodies in the kernel lane: the same bytes, the same ends, and connections that go on afterwards."""
import socket
import time

from hg import *
from splice import *

KIB, MIB = 1 << 10, 1 << 20


def body_log(gateway, count):
    """The facts of the log lines, in the order of the paths."""
    return sorted((facts(r) for r in gateway.wait_log(count=count)), key=str)


@test("responses of known length: every byte arrives, and both connections go on with the next request",
      needs=("bpf",), timeout=60)
def downloads():
    def once(mode):
        gateway, origin = play(mode)
        client = gateway.client()
        sizes = (10, 65535, 65536, 65537, 300 * KIB, 1 * MIB, 5 * MIB + 3, 1, 20 * MIB)
        numbers = []
        for size in sizes:
            answer = client.get(f"/bytes/{size}")
            verify(answer.body, size)
            numbers.append(client.get("/anything").json()["connection"])
        eq(numbers, [1] * len(sizes), "one upstream connection for all")
        if has_kernel_lane(gateway):
            check(any("sockmap" in r["lane"] for r in gateway.wait_log(count=2 * len(sizes))),
                  "some bytes by the kernel")
        return body_log(gateway, 2 * len(sizes))
    compare(once)


@test("request bodies of known length, with the next request right behind every boundary",
      needs=("bpf",), timeout=60)
def uploads():
    def once(mode):
        gateway, backend = acted(mode, HTTP)
        client = gateway.client()
        upstream = None
        size = 200 * KIB
        body = pattern(size)
        follower = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
        head = f"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
        cuts = list(range(-8, 9)) + [-1000, len(follower) - 1]
        for cut in cuts:
            wire = body + follower
            task = in_background(client.send, head + wire[:70 * KIB], wire[70 * KIB:size + cut],
                                 wire[size + cut:])
            upstream = upstream or backend.accept()
            request = upstream.read_request()
            eq((request.target, len(request.body)), ("/up", size), "the upload")
            verify(request.body, size)
            upstream.expect_silence(0.005)
            upstream.respond(200, body=b"done")
            eq(client.response().text, "done", "answer to the upload")
            eq(upstream.read_request().target, "/next", "the request behind it")
            upstream.respond(200, body=b"next")
            eq(client.response().text, "next", "answer to the next one")
            task.result()
        return body_log(gateway, 2 * len(cuts))
    compare(once)


TAIL = (b"1a\r\nabcdefghijklmnopqrstuvwxyz\r\n10;name=value;q=\"a\\\"b\"\r\n"
        b"0123456789abcdef\r\n3\r\nend\r\n0\r\nX-Trailer: yes\r\n\r\n")
TEXT = "abcdefghijklmnopqrstuvwxyz" + "0123456789abcdef" + "end"


def tick_until_down(gateway, upstreams):
    """Chunks until all these bodies ride the kernel lane, where there is one; how many each got."""
    for count in range(1, 115):
        for upstream in upstreams:
            upstream.send("5\r\ntick\n\r\n")
        time.sleep(0.02)
        if count >= 15 and (not has_kernel_lane(gateway) or all(down for _, down in gates(gateway))):
            return count
    raise Failure(f"not in the kernel lane: {gates(gateway)}")


def cut_bodies(mode, cuts):
    """What the clients of a gateway saw, each with a cut elsewhere; what the log says of it."""
    gateway, backend = acted(mode, HTTP)
    connections = []
    for cut in cuts:
        client = gateway.client()
        client.request("GET", f"/cut/{cut}")
        upstream = backend.accept()
        upstream.read_request()
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n")
        connections.append((cut, client, upstream))
    ticks = tick_until_down(gateway, [upstream for _, _, upstream in connections])
    for cut, _, upstream in connections:
        upstream.send(TAIL[:cut])
    time.sleep(0.02)
    for cut, client, upstream in connections:
        upstream.send(TAIL[cut:])
        answer = client.response()
        eq(answer.text, "tick\n" * ticks + TEXT, f"body, cut at {cut}")
        eq(dict(answer.trailers)["X-Trailer"], "yes", f"trailer, cut at {cut}")
        client.request("GET", "/again")
        eq(upstream.read_request().target, "/again", f"the connections go on, cut at {cut}")
        upstream.respond(200, body=b"ok")
        eq(client.response().text, "ok", f"the next answer, cut at {cut}")
    records = gateway.wait_log(count=2 * len(cuts))
    for record in records:
        if record["http.path"] != "/again":
            eq(record["bytes_out"], str(len("tick\n" * ticks + TEXT)), "bytes_out")
    return sorted((record["http.path"], record.status, record["close_reason"]) for record in records)


@test("chunked bodies with a cut at every position: sizes, extensions, last chunk, trailers, in both lanes",
      needs=("bpf",), timeout=120)
def chunk_cuts():
    cuts = list(range(1, len(TAIL), 1 if not is_asan() else 7))
    for group in (cuts[0::2], cuts[1::2]):
        compare(lambda mode: cut_bodies(mode, group))


@test("a chunked body that is malformed after its time in the kernel is refused there too",
      needs=("bpf",), timeout=60)
def chunk_bad():
    def once(mode):
        outcome = []
        for bad in (b"zz\r\n", b"5\nhello\r\n", b"5\r\nhello5\r\n", b"fffffffffffffffff\r\n", b"-1\r\n",
                    b"0\r\nbad trailer\r\n\r\n", b""):
            gateway, backend = acted(mode, HTTP)
            client = gateway.client()
            client.request("GET", "/")
            upstream = backend.accept()
            upstream.read_request()
            upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(18):
                upstream.send("5\r\ntick\n\r\n")
                time.sleep(0.02)
            upstream.send(bad)
            if not bad:
                upstream.close()
            end, data = client.expect_end(5)
            check(not data.endswith(b"0\r\n\r\n"), f"{bad}: the body looks complete")
            record = gateway.wait_log()
            outcome.append((bad, end, record["close_reason"], record["bytes_out"]))
        return outcome
    compare(once)


def payload_of(chunked):
    """Of complete chunks: a worker that was late puts two events into one."""
    payload = b""
    while b"\r\n" in chunked:
        size, rest = chunked.split(b"\r\n", 1)
        if len(rest) < int(size, 16):
            break
        payload, chunked = payload + rest[:int(size, 16)], rest[int(size, 16) + 2:]
    return payload


@test("server-sent events arrive alike in both lanes, and cost the worker no wake-ups once they ride the "
      "kernel's",
      needs=("bpf",), timeout=60, waits=True)
def sse():
    def once(mode):
        gateway, _ = play(mode)
        clients = [gateway.client() for _ in range(20)]
        for client in clients:
            client.request("GET", "/sse?n=0&interval=40")
            client.response_head()
        if has_kernel_lane(gateway):
            wait_until(lambda: all(down for _, down in gates(gateway)), 5, "all in the kernel lane")
        received = [bytearray() for _ in clients]

        def events():
            time.sleep(0.1)
            for client, text in zip(clients, received):
                text += client.pending()
            return [text.count(b"data: ") for text in received]
        first, before = events(), gateway.metrics()("headgate_worker_wakeups_total")
        wait_until(lambda: min(events()) >= max(first) + 50, 30, "fifty more events of each stream")
        wakeups = gateway.metrics()("headgate_worker_wakeups_total") - before
        count = sum(events()) - sum(first)
        note(f"{mode}: {wakeups:.0f} wake-ups for {count} events")
        check(wakeups * 20 < count or not has_kernel_lane(gateway), f"{wakeups:.0f} wake-ups, {count} events")
        texts = {payload_of(bytes(text))[:3 * 15 * 9] for text in received}
        eq((len(texts), len(min(texts))), (1, 3 * 15 * 9), "different streams of events, bytes of each")
        for client in clients:
            client.close()
        wait_until(lambda: not gateway.streams(), 5, "the end of all streams")
        return texts
    compare(once)


@test("a response that ends with the connection, to HTTP/1.0 and 1.1 clients, through the kernel",
      needs=("bpf",), timeout=40)
def close_delimited():
    def once(mode):
        outcome = []
        for version in ("1.0", "1.1"):
            gateway, backend = acted(mode, HTTP)
            client = gateway.client()
            client.request("GET", "/", version=version)
            upstream = backend.accept()
            upstream.read_request()
            upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            for _ in range(18):
                upstream.send("tick\n")
                time.sleep(0.02)
            task = in_background(lambda: (upstream.send(pattern(2 * MIB)), upstream.fin()))
            answer = client.response()
            task.result()
            eq(answer.text[:90], "tick\n" * 18, "the begin")
            verify(answer.body[90:], 2 * MIB)
            outcome.append(facts(gateway.wait_log()))
        return outcome
    compare(once)


@test("a backend that dies in the middle of a body in the kernel lane: the client sees that bytes are "
      "missing",
      needs=("bpf",), timeout=60)
def truncated():
    def once(mode):
        outcome = []
        for head, begin in (("Content-Length: 1000000", pattern(300000)), ("Transfer-Encoding: chunked",
                            b"5\r\ntick\n\r\n"),
                            ("Connection: close", b"tick\n")):
            for how in ("fin", "rst"):
                if (head, how) == ("Connection: close", "fin"):
                    continue  # that is its proper end
                gateway, backend = acted(mode, HTTP)
                client = gateway.client()
                client.request("GET", "/", version="1.0" if "close" in head else "1.1")
                upstream = backend.accept()
                upstream.read_request()
                upstream.send(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n")
                upstream.send(begin)
                for _ in range(18 if len(begin) < 100 else 3):
                    time.sleep(0.02)
                    upstream.send(begin[:10])
                time.sleep(0.1)
                getattr(upstream, how)()
                end, _ = client.expect_end(5)
                record = gateway.wait_log()
                outcome.append((head, how, end, record["close_reason"]))
                upstream.close()
        return outcome
    compare(once)


STREAM_IDLE = HTTP.replace("adaptive: false}", "adaptive: false}, timeouts: {streamIdle: 3s}")


def idle_download(gateway, backend, head, piece):
    """(client, send): a body moves by a piece with each send(). HTTP/1.0 gets one without chunks as it is."""
    client = gateway.client()
    client.request("GET", "/", version="1.0" if "close" in head else "1.1")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n")
    return client, lambda: upstream.send(piece)


def idle_upload(gateway, backend):
    client = gateway.client()
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
    upstream = backend.accept()

    def send():
        client.send(pattern(70000))
        upstream.pending()
    return client, send


IDLE_BODIES = {
    "length": lambda *ends: idle_download(*ends, "Content-Length: 10000000", pattern(70000)),
    "chunked": lambda *ends: idle_download(*ends, "Transfer-Encoding: chunked", b"5\r\ntick\n\r\n"),
    "until close": lambda *ends: idle_download(*ends, "Connection: close", b"tick\n"),
    "upload": idle_upload,
}


@test("streamIdle ends bodies of every kind that stand still, and none that moves, in both lanes",
      waits=True, needs=("bpf",), timeout=90)
def stream_idle():
    for mode in MODES:
        gateway, backend = acted(mode, STREAM_IDLE)
        bodies = {kind: begin(gateway, backend) for kind, begin in IDLE_BODIES.items()}
        ends = {}
        # Longer than the idle time, in steps that are far shorter.
        for step in range(9):
            time.sleep(0.45 if step else 0)
            for kind, (client, send) in bodies.items():
                sent = time.monotonic()
                send()
                if step == 8:
                    ends[kind] = sent, watch_end(client)
        eq([any(pair) for pair in gates(gateway)], [has_kernel_lane(gateway)] * len(bodies), "in the kernel")
        for kind, (sent, end) in ends.items():
            check_time(end.result()[1] - sent, 3.0, f"{mode}, {kind}: streamIdle")
        eq([record["close_reason"] for record in gateway.wait_log(count=len(bodies))],
           ["stream_idle"] * len(bodies), f"{mode}: close_reason")


@test("a WebSocket goes on in the kernel after its 101", needs=("bpf",), timeout=40)
def websocket():
    def once(mode):
        gateway, _ = play(mode)
        client = WebSocket(gateway.port)
        for _ in range(25):
            client.echo("tick")
            time.sleep(0.02)
        for data in ("hello", "", "x" * 70000, b"\x00\xff" * 500, "ü" * 100):
            client.echo(data)
        client.ping()
        client.close()
        record = gateway.wait_log()
        expect_lane(gateway, record)
        return facts(record)
    compare(once)


@test("connections that were in the kernel serve small requests, and large ones on other routes, "
      "afterwards",
      needs=("bpf",), timeout=60)
def mixed():
    config = HTTP + """    - name: off
      matches: [{path: {pathPrefix: /bytes/500000}}]
      splice: off
      backends:
      - host: @origin@
"""
    def once(mode):
        gateway, origin = play(mode, config)
        client = gateway.client()
        for round in range(5):
            for size in (300000, 500000, 10, 400000, 500000, 66000):
                verify(client.get(f"/bytes/{size}").body, size)
            body = pattern(150000)
            answer = client.request("POST", "/anything", [("Content-Length", str(len(body)))],
                                    body).response()
            eq(answer.status, 200, "upload")
            eq(client.request("HEAD", "/bytes/300000").response("HEAD").status, 200, "HEAD")
        eq(client.get("/anything").json()["connection"], 1, "one upstream connection")
        return body_log(gateway, 41)
    compare(once)


@test("an event stream through the kernel is logged with its payload, without chunk lines", needs=("bpf",))
def sse_log():
    def once(mode):
        gateway, _ = play(mode)
        eq(gateway.fetch("/sse?n=30&interval=20").status, 200, "status")
        record = gateway.wait_log()
        expect_lane(gateway, record)
        return facts(record)
    compare(once)


def upload_under_way(mode, size):
    """(gateway, client, upstream): 300 000 bytes of an upload went through, by the kernel if there is one."""
    gateway, backend = acted(mode, HTTP)
    client = gateway.client()
    client.send(f"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n")
    upstream = backend.accept()
    upstream.request_head()
    for offset in range(0, 300000, 50000):
        client.send(pattern(50000, offset))
        eq(upstream.read(50000), pattern(50000, offset), "the beginning of the upload")
    eq(bool(gates(gateway)[0][0]), has_kernel_lane(gateway), "the upload is in the kernel")
    return gateway, client, upstream


@test("an answer that comes during an upload in the kernel reaches the client at once, in both lanes; the "
      "upload goes on, or is cut off",
      needs=("bpf",), timeout=60)
def early_answers():
    def once(mode):
        # The backend takes the rest: both connections go on.
        gateway, client, upstream = upload_under_way(mode, 1000000)
        upstream.respond(200, body=b"early")
        eq(client.response().text, "early", "the answer")
        task = in_background(client.send, pattern(700000, 300000))
        eq(upstream.read(700000), pattern(700000, 300000), "the rest of the upload")
        task.result()
        client.request("GET", "/next")
        eq(upstream.read_request().target, "/next", "the next request")
        upstream.respond(200, body=b"next")
        eq(client.response().text, "next", "its answer")
        outcome = [facts(record) for record in gateway.wait_log(count=2)]
        # The backend wants no more of it.
        gateway, client, upstream = upload_under_way(mode, 8000000)
        upstream.respond(413, [("Connection", "close")], b"too large")
        answer = client.response()
        eq((answer.status, answer.text), (413, "too large"), "the answer")
        eq(answer.header("Connection"), "close", "Connection")
        upstream.close()
        try:
            client.send(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        except OSError:
            pass
        client.close()
        record = gateway.wait_log()
        eq(len(gateway.log()), 1, "requests")
        return outcome, record.status, record["bytes_out"]
    compare(once)


@test("urgent data in an upload is data, in the pipe lane, too", needs=("bpf",), timeout=60)
def urgent_upload():
    def once(mode):
        gateway, backend = acted(mode, HTTP)
        for early in (10, 300 * KIB):
            client = gateway.client()
            body = pattern(600 * KIB)
            client.send(f"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n", body[:early])
            upstream = backend.accept()
            time.sleep(0.05)
            task = in_background(send_urgent, client, body[early:])
            request = upstream.read_request()
            verify(request.body, len(body))
            upstream.respond(200, body=b"done")
            eq(client.response().text, "done", "answer to the upload")
            task.result()
            client.close()
            upstream.close()
        return body_log(gateway, 2)
    compare(once)


def send_urgent(client, data):
    """Every 64 KiB a byte is urgent: a read stops there."""
    client.socket.settimeout(client.timeout)
    for at in range(0, len(data), 64 * KIB):
        piece = data[at:at + 64 * KIB]
        client.socket.sendall(piece[:-1])
        client.socket.send(piece[-1:], socket.MSG_OOB)
        time.sleep(0.002)
