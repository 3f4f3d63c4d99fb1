# SPDX-License-Identifier: Apache-2.0
"""Bodies arrive byte for byte, in every size, direction and lane, and cost no memory."""
import threading

from hg import *
from plays import acted, lanes, play

SIZES = (0, 1, 2, 4095, 4096, 16384, 65535, 65536, 65537, 131072, 262143, 262144, 262145, 1000003)


@test("downloads of every size around the boundaries arrive whole on one connection")
def downloads():
    for lane, config in lanes():
        gateway, _ = play(config)
        client = gateway.client()
        for size in SIZES:
            eq(verify(client.get(f"/bytes/{size}").body, size), crc32(size),
               f"checksum of {size} bytes ({lane})")


@test("uploads of every size around the boundaries arrive whole on one connection")
def uploads():
    for lane, config in lanes():
        gateway, _ = play(config)
        client = gateway.client()
        for size in SIZES:
            answer = client.request("POST", "/upload", body=pattern(size)).response().json()
            eq((answer["length"], answer["is_pattern"]), (size, True), f"{size} bytes ({lane})")


def there_and_back(gateway, size, timeout=60):
    """A download through the gateway that is uploaded through it again; the backend compares every byte."""
    target = f"http://127.0.0.1:{gateway.port}"
    status, out, error = run(["bash", "-o", "pipefail", "-c",
                              f"curl -sS {target}/bytes/{size} | curl -sS -T - -H 'Content-Length: {size}' "
                              f"-H 'Transfer-Encoding:' -H 'Expect:' {target}/upload"], timeout=timeout)
    eq((status, error), (0, ""), "curl")
    check(f'"length": {size}' in out and '"is_pattern": true' in out, out)


@test("100 MiB down and 100 MiB up are verified byte by byte, by copy and by pipe", timeout=60, heavy=True,
      needs=("curl",))
def hundred_mebibytes():
    for lane, config in lanes():
        gateway, _ = play(config)
        there_and_back(gateway, 100 << 20)
        records = gateway.wait_log(lambda r, l=lane: l in r["lane"], 2)
        eq(sorted((r["bytes_in"], r["bytes_out"]) for r in records)[0], ("0", str(100 << 20)),
           "bytes in the log")


@test("512 MiB down and up, and 2 GiB in `make thorough`, verified, grow the gateway by less than 1 MiB",
      timeout=120, heavy=True, needs=("curl",), measures=True)
def many_mebibytes():
    gateway, _ = play()
    there_and_back(gateway, 100 << 20)  # touches the buffers that a worker has once for all its streams
    before = gateway.rss_bytes()
    there_and_back(gateway, 2 << 30 if is_thorough() else 512 << 20, timeout=120)
    grown = gateway.rss_bytes() - before
    note(f"grown by {grown} bytes")
    check(grown < 1 << 20 or is_asan(), f"the gateway grew by {grown} bytes")


@test("bytes that come one at a time arrive, in both directions, head and body")
def one_byte_writes():
    gateway, backend = acted()
    client = gateway.client()
    client.send(*"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n", *("abc" * 10))
    upstream = backend.accept()
    eq(upstream.read_request().body, b"abc" * 10, "request body")
    upstream.send(*"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", *("xyz" * 10))
    eq(client.response().body, b"xyz" * 10, "response body")
    client.send(*"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"
                 "0\r\n\r\n")
    eq(upstream.read_request().body, b"0123456789", "chunked request body")
    upstream.send(*"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    eq(client.response().body, b"abc", "chunked response body")


@test("a slow writer's body arrives piece by piece, not at its end")
def slow_writer():
    gateway, backend = acted()
    client = gateway.client().send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    upstream = backend.accept()
    upstream.request_head()
    for byte in "hello":
        client.send(byte)
        eq(upstream.read(1), byte.encode(), "a byte at the backend")
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    client.response_head()
    for byte in "world":
        upstream.send(byte)
        eq(client.read(1), byte.encode(), "a byte at the client")


@test("each server-sent event is at the client before the backend says the next one, chunked and up to the "
      "close")
def events():
    gateway, backend = acted()
    for framing in "Transfer-Encoding: chunked\r\n", "":
        client = gateway.client().request("GET", "/events")
        upstream = backend.accept()
        upstream.read_request()
        upstream.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n")
        pieces = client.body(client.response_head())
        for number in range(5):
            event = b"data: %d\n\n" % number
            upstream.send(b"%x\r\n%s\r\n" % (len(event), event) if framing else event)
            eq(next(pieces), event, "an event")
        upstream.send(b"0\r\n\r\n" if framing else b"")
        upstream.close()
        eq(list(pieces), [], "behind the last event")


@test("a body with a length and pipelined bytes behind it stay apart, at every cut, in every lane")
def nothing_behind():
    for lane, config in lanes():
        gateway, _ = play(config)
        client = gateway.client()
        size = 300000
        text = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + pattern(size) + \
            b"GET /anything HTTP/1.1\r\nHost: x\r\n\r\n"
        for cut in (len(text), 100, size // 2, size + 40, size + 70, size + 100):
            client.send(text[:cut], text[cut:])
            eq(client.response().json()["is_pattern"], True, f"upload cut at {cut} ({lane})")
            eq(client.response().json()["body_length"], 0, f"the request behind it ({lane})")


@test("many transfers of different speed at once do not mix or starve", timeout=60)
def many_at_once():
    gateway, _ = play(workers=2)
    failures = []

    def one(number):
        try:
            client = gateway.client(rcvbuf=(4096, None, 65536)[number % 3])
            size = 200000 + 77777 * number
            for _ in range(3):
                if number % 2:
                    verify(client.get(f"/bytes/{size}").body, size)
                else:
                    answer = client.request("POST", "/upload", body=pattern(size)).response().json()
                    check(answer["is_pattern"] and answer["length"] == size, f"upload {answer}")
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=one, args=(n,), daemon=True) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    check(not failures, f"{failures[:2]}")
    check(not any(thread.is_alive() for thread in threads), "a transfer did not end")
