# SPDX-License-Identifier: Apache-2.0
"""A new configuration takes effect without dropping anything; a bad one changes nothing."""
import os
import shutil
import signal
import threading
import time

from hg import *
from manifests import NAMED_GATEWAY, NAMED_REDIRECT

BIND = """
binds:
- port: @port@
  listeners:
  - name: main
    routes:
    - name: @name@
      policies:
        responseHeaderModifier: {set: {x-generation: "@name@"}}
      backends:
      - host: @origin@
"""
OTHER = """
- port: @other@
  listeners:
  - name: other
    routes:
    - backends:
      - host: @origin@
"""

OTHER_TCP = """
- port: @other@
  listeners:
  - name: other
    protocol: TCP
    tcpRoutes:
    - backends:
      - host: @echo@
"""


def text_of(name, extra=""):
    return BIND.replace("@name@", name) + extra


def generation(gateway, client=None):
    return (client.get("/get") if client else gateway.fetch("/get")).header("x-generation")


def wait_generation(gateway, name):
    wait_until(lambda: generation(gateway) == name, 5, f"generation {name}")


def status(gateway):
    return gateway.admin_json("/config_status")


def start(**options):
    return Gateway(text_of("one"), origin=options.pop("origin", None) or Origin(), **options)


def wait_refused(gateway):
    """Each worker closes its socket of a removed port when the message reaches it."""
    def is_refused():
        try:
            gateway.client("other").close()
        except ConnectionError:
            return True
        return False
    wait_until(is_refused, 5, "the removed port to refuse")


def filled(gateway, text):
    from hg.gateway import fill_in
    return fill_in(text, gateway.names, gateway.ports)


# ---- how files change --------------------------------------------------------------------------------


@test("a file that is replaced by rename is noticed")
def by_rename():
    gateway = start()
    eq(generation(gateway), "one", "generation")
    gateway.reload(text_of("two"))
    eq(generation(gateway), "two", "generation")
    state = status(gateway)
    eq((state["generation"], state["lastReloadOk"], state["reloadsOk"]), (2, True, 1), "config_status")


@test("a file that is written in place, slowly and in pieces, is noticed once it is whole")
def in_place():
    gateway = start()
    text = filled(gateway, text_of("two"))
    with open(gateway.files["config.yaml"], "w", encoding="utf-8") as file:
        for begin in range(0, len(text), 40):
            file.write(text[begin:begin + 40])
            file.flush()
            time.sleep(0.005)
    wait_generation(gateway, "two")


@test("a file that is emptied and filled later keeps the old configuration in between")
def truncated():
    gateway = start()
    with open(gateway.files["config.yaml"], "w", encoding="utf-8") as file:
        wait_until(lambda: status(gateway)["reloadsFailed"] == 1, 5, "the refusal of an empty file")
        eq(generation(gateway), "one", "generation")
        file.write(filled(gateway, text_of("two")))
    wait_generation(gateway, "two")


@test("what vim does (rename to a backup, create anew) is noticed, several times")
def editor():
    gateway = start()
    path = gateway.files["config.yaml"]
    for name in ("two", "three", "four"):
        os.rename(path, path + "~")
        with open(path, "w", encoding="utf-8") as file:
            file.write(filled(gateway, text_of(name)))
        os.unlink(path + "~")
        wait_generation(gateway, name)


@test("vim itself", needs=("vim",))
def vim():
    gateway = start()
    code, _, error = run(["vim", "-u", "NONE", "-i", "NONE", "-es", "-c", "%s/one/two/g", "-c", "wq",
                          gateway.files["config.yaml"]])
    eq(code, 0, error)
    wait_generation(gateway, "two")


def config_map(gateway_text, folder, number):
    """A mounted ConfigMap: name -> ..data/name, ..data -> ..N; the swap renames ..data."""
    os.mkdir(f"{folder}/..{number}")
    with open(f"{folder}/..{number}/gateway.yaml", "w", encoding="utf-8") as file:
        file.write(gateway_text)
    os.symlink(f"..{number}", f"{folder}/..data_tmp")
    os.rename(f"{folder}/..data_tmp", f"{folder}/..data")
    if not os.path.islink(f"{folder}/gateway.yaml"):
        os.symlink("..data/gateway.yaml", f"{folder}/gateway.yaml")


@test("the link swap of a mounted ConfigMap is noticed, given as a file and as a directory")
def config_map_swap():
    from hg.gateway import fill_in
    for kind in ("file", "directory"):
        origin, port = Origin(), free_port()
        folder = os.path.join(tmpdir(), f"map-{kind}")
        os.mkdir(folder)

        def text(name):
            return fill_in(text_of(name), {"origin": origin, "port": port}, {})
        config_map(text("one"), folder, 1)
        gateway = Gateway(paths=[folder if kind == "directory" else f"{folder}/gateway.yaml"])
        gateway.ports["port"] = port
        eq(generation(gateway), "one", "generation")
        for number, name in ((2, "two"), (3, "three")):
            config_map(text(name), folder, number)
            shutil.rmtree(f"{folder}/..{number - 1}")
            wait_generation(gateway, name)
        eq(status(gateway)["reloadsFailed"], 0, "failed reloads")
        gateway.stop()


@test("a link that points to a file elsewhere: both changes of the link and of the file are noticed")
def links():
    gateway = start()
    real = gateway.files["config.yaml"]
    places = [os.path.join(tmpdir(), name) for name in ("here", "there", "links")]
    for place in places:
        os.mkdir(place)
    link = os.path.join(places[2], "gateway.yaml")
    shutil.copy(real, places[0] + "/a.yaml")
    os.symlink(places[0], places[2] + "/current")
    os.symlink("current/a.yaml", link)
    port = gateway.port
    gateway.stop()
    gateway = Gateway(paths=[link], origin=gateway.names["origin"])
    gateway.ports["port"] = port
    eq(generation(gateway), "one", "generation")
    with open(places[0] + "/a.yaml", "w", encoding="utf-8") as file:
        file.write(filled(gateway, text_of("two")))
    wait_generation(gateway, "two")
    with open(places[1] + "/a.yaml", "w", encoding="utf-8") as file:
        file.write(filled(gateway, text_of("three")))
    os.symlink(places[1], places[2] + "/next")
    os.rename(places[2] + "/next", places[2] + "/current")
    wait_generation(gateway, "three")
    with open(places[1] + "/a.yaml", "w", encoding="utf-8") as file:
        file.write(filled(gateway, text_of("four")))
    wait_generation(gateway, "four")


@test("in a directory files may be added, changed and removed; other files do not matter")
def directory():
    def route(name, target):
        return NAMED_REDIRECT.replace("@name@", name).replace("@to@", target)

    def location(port="port"):
        return (gateway.fetch("/get", port).header("Location") or "").rpartition("/")[2]

    def wait(number):
        wait_until(lambda: status(gateway)["generation"] == number, 5, f"generation {number}")
    gateway = Gateway(directory={"gateway.yaml": NAMED_GATEWAY.replace("@name@", "a"),
                                 "route.yml": route("a", "/one")})
    eq(location(), "one", "Location")
    gateway.write("more.yaml", NAMED_GATEWAY.replace("@name@", "b").replace("@port@", "@other@")
                  + "---" + route("b", "/other"))
    wait(2)
    eq((location(), location("other")), ("one", "other"), "Location on both ports")
    gateway.write("route.yml", route("a", "/two"))
    wait(3)
    eq((location(), location("other")), ("two", "other"), "Location on both ports")
    os.unlink(gateway.files["more.yaml"])
    wait(4)
    wait_refused(gateway)
    gateway.write("notes.txt", "no configuration")
    gateway.write(".hidden.yaml", "binds: nonsense")
    time.sleep(0.4 * factor())
    eq(status(gateway)["generation"], 4, "generation after files that do not matter")


@test("SIGHUP reads the files again, also when nothing changed; standard input stays what it was")
def sighup():
    gateway = start()
    gateway.signal(signal.SIGHUP)
    wait_until(lambda: status(gateway)["generation"] == 2, 5, "generation 2")
    with open(gateway.files["config.yaml"], encoding="utf-8") as file:
        text = file.read()
    gateway.stop()
    script = os.path.join(tmpdir(), "start.sh")
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"exec \"$@\" <<'END'\n{text}\nEND\n")
    from hg.framework import binary
    environment = {"ADMIN_ADDR": "127.0.0.1:%d" % free_port(), "STATS_ADDR": "off",
                   "READINESS_ADDR": "127.0.0.1:%d" % free_port()}
    admin, ready = (int(environment[n].split(":")[1]) for n in ("ADMIN_ADDR", "READINESS_ADDR"))
    process = Process(["/bin/sh", script, binary("headgate"), "-f", "-"], "stdin", env=environment)

    def is_ready():
        try:
            return fetch(ready, "/healthz/ready").status == 200
        except OSError:
            return False
    wait_until(is_ready, 5, "readiness")
    process.signal(signal.SIGHUP)
    wait_until(lambda: fetch(admin, "/config_status").json()["generation"] == 2, 5, "generation 2")
    eq(len(fetch(admin, "/config_dump").json()["binds"]), 1, "binds after SIGHUP")
    process.signal(signal.SIGTERM)
    eq(process.wait(10 * factor()), 0, "exit status")


# ---- bad files ---------------------------------------------------------------------------------------


@test("a bad file keeps the old configuration; log, metric and /config_status tell; a good one mends it")
def bad_file():
    gateway = start()
    state = gateway.reload("binds:\n- port: @port@\n  listener: []\n- port: 99999\n")
    eq((state["generation"], state["lastReloadOk"], state["reloadsFailed"]), (1, False, 1), "config_status")
    errors = str(state["errors"])
    check("listener" in errors and "99999" in errors, f"not every error is named: {errors}")
    check("config.yaml:3" in errors, f"no file and line: {errors}")
    eq(generation(gateway), "one", "generation")
    check("Failed to reload config" in gateway.stderr, gateway.stderr)
    metrics = gateway.metrics()
    eq(metrics("headgate_config_reloads_total", result="failed"), 1, "failed reloads")
    eq(metrics("headgate_config_last_reload_successful"), 0, "last reload")
    state = gateway.reload(text_of("two"))
    eq((state["generation"], state["lastReloadOk"], state["errors"]), (2, True, []), "config_status")
    eq(generation(gateway), "two", "generation")
    eq(gateway.metrics()("headgate_config_last_reload_successful"), 1, "last reload")


@test("a file that vanishes keeps the old configuration until it is back")
def vanished():
    gateway = start()
    os.unlink(gateway.files["config.yaml"])
    wait_until(lambda: status(gateway)["reloadsFailed"] == 1, 5, "the failed reload")
    eq(generation(gateway), "one", "generation")
    gateway.reload(text_of("two"))
    eq(generation(gateway), "two", "generation")


@test("a new port that cannot be opened refuses the whole configuration")
def port_taken():
    backend = Backend()
    gateway = start()
    state = gateway.reload(text_of("two", OTHER).replace("@other@", str(backend.port)))
    eq((state["generation"], state["lastReloadOk"]), (1, False), "config_status")
    check(str(backend.port) in str(state["errors"]), state["errors"])
    eq(generation(gateway), "one", "generation")
    backend.close()
    gateway.signal(signal.SIGHUP)
    wait_until(lambda: status(gateway)["generation"] == 2, 5, "the reload once the port is free")
    eq(gateway.fetch("/get", backend.port).status, 200, "status on the new port")
    gateway.reload(text_of("three"))


# ---- what goes on meanwhile --------------------------------------------------------------------------


@test("the next request of an open connection sees the new routes")
def next_request():
    gateway = start()
    client = gateway.client()
    eq(generation(gateway, client), "one", "generation")
    for name in ("two", "three"):
        gateway.reload(text_of(name))
        eq(generation(gateway, client), name, "generation on the old connection")


@test("a stream that runs finishes with the configuration it began with")
def old_snapshot():
    gateway = start()
    gateway.names["origin"].pause()
    client = gateway.client().request("GET", "/bytes/3")
    wait_until(gateway.streams, 5, "the stream")
    for name in ("two", "three", "four"):
        gateway.reload(text_of(name))
    gateway.names["origin"].resume()
    answer = client.response()
    eq((answer.status, answer.header("x-generation")), (200, "one"), "answer")
    record = gateway.wait_log(lambda r: "bytes" in r["http.path"])
    eq(record["route"], "default/one", "route in the log")
    eq(generation(gateway, client), "four", "generation of the next request")


@test("a port that becomes TCP: idle connections close, a running request ends its own, new ones are tunnels")
def changed_protocol():
    echo = Origin(tcp_echo=True)
    gateway = Gateway(text_of("one", OTHER), origin=Origin(), echo=echo)
    idle = gateway.client("other")
    eq(idle.get("/get").status, 200, "status")
    gateway.names["origin"].pause()
    running = gateway.client("other").request("GET", "/bytes/3")
    wait_until(lambda: len(gateway.streams()) == 1, 5, "the stream")
    gateway.reload(text_of("two", OTHER_TCP))
    idle.expect_fin()
    gateway.names["origin"].resume()
    answer = running.response()
    eq((answer.status, answer.header("Connection")), (200, "close"), "answer")
    running.expect_fin()
    tunnel = gateway.client("other").send("whatever")
    eq(tunnel.read(8), b"whatever", "what came back")
    gateway.reload(text_of("three", OTHER))
    eq(gateway.client("other").get("/get").status, 200, "status when it is HTTP again")
    tunnel.send("goes on")
    eq(tunnel.read(7), b"goes on", "what came back after the second change")


@test("a removed port: refused for new connections, idle ones close, streams and tunnels finish, then it "
      "is over")
def removed_port():
    gateway = Gateway(text_of("one", OTHER), origin=Origin())
    idle = gateway.client("other")
    eq(idle.get("/get").status, 200, "status")
    tunnel = WebSocket(gateway.ports["other"])
    tunnel.echo("before")
    gateway.names["origin"].pause()
    running = gateway.client("other").request("GET", "/bytes/3")
    wait_until(lambda: len(gateway.streams()) == 2, 5, "two streams")
    gateway.reload(text_of("two"))
    idle.expect_fin()
    wait_refused(gateway)
    gateway.names["origin"].resume()
    answer = running.response()
    eq((answer.status, answer.header("Connection")), (200, "close"), "answer")
    running.expect_fin()
    tunnel.echo("after")
    eq(generation(gateway), "two", "generation")
    wait_until(lambda: gateway.metrics()("headgate_stream_end_total", reason="config_removed") >= 1, 5,
               "an end by config_removed")
    tunnel.close()


@test("a request whose head is half sent when its port goes away is answered, not reset")
def half_a_head():
    gateway = Gateway(text_of("one", OTHER), origin=Origin())
    half, preface, quiet = (gateway.client("other") for _ in range(3))
    half.send("GET /get HTTP/1.1\r\nHo")
    preface.send("PRI * HTTP/2.0\r\n")
    eq(quiet.get("/get").status, 200, "status")
    gateway.reload(text_of("two"))
    quiet.expect_fin()
    wait_refused(gateway)
    half.send("st: x\r\n\r\n")
    answer = half.response()
    eq((answer.status, answer.header("Connection")), (404, "close"), "answer")
    half.expect_fin()
    preface.send("\r\nSM\r\n\r\n")
    preface.expect_end()
    eq(generation(gateway), "two", "generation")


@test("a removed port may come back, and counts its old connections")
def port_comes_back():
    gateway = Gateway(text_of("one", OTHER), origin=Origin())
    tunnel = WebSocket(gateway.ports["other"])
    tunnel.echo("before")
    gateway.reload(text_of("two"))
    gateway.reload(text_of("three", OTHER))
    eq(gateway.fetch("/get", "other").status, 200, "status on the port that came back")
    tunnel.echo("after")
    tunnel.close()


@test("a port that comes back and is not free yet is tried again for 3 s, then refused")
def port_comes_back_late():
    gateway = Gateway(text_of("one", OTHER), origin=Origin())

    def remove():
        gateway.reload(text_of("two"))
        wait_refused(gateway)
        return Backend(port=gateway.ports["other"])
    holder = remove()
    gateway.write("config.yaml", text_of("three", OTHER))
    wait_until(lambda: "trying again" in gateway.stderr, 5, "the first attempt")
    holder.close()
    wait_until(lambda: status(gateway)["generation"] == 3, 5, "the port to be free")
    eq(status(gateway)["reloadsFailed"], 0, "failed reloads")
    eq(gateway.fetch("/get", "other").status, 200, "status on the port that came back")
    holder = remove()
    with within(3.0, "trying again"):
        state = gateway.reload(text_of("four", OTHER), timeout=15)
    eq((state["generation"], state["reloadsFailed"]), (4, 1), "config_status")
    check("another program" in str(state["errors"]), state["errors"])
    holder.close()


@test("log level: the file decides, POST /logging holds until the file says something else, the option "
      "always")
def log_level():
    def level(gateway):
        return gateway.admin("/logging").text.split()[-1]
    gateway = start()
    eq(level(gateway), "info", "level")
    gateway.reload("config: {logging: {level: warn}}\n" + text_of("two"))
    eq(level(gateway), "warn", "level of the file")
    gateway.admin("/logging?level=debug", "POST")
    gateway.reload("config: {logging: {level: warn}}\n" + text_of("three"))
    eq(level(gateway), "debug", "level after an unrelated change")
    gateway.reload("config: {logging: {level: error}}\n" + text_of("four"))
    eq(level(gateway), "error", "level after the file changed it")
    gateway = start(args=["--log-level", "warn"])
    gateway.reload("config: {logging: {level: debug}}\n" + text_of("two"))
    eq(level(gateway), "warn", "level with the option")


@test("what takes effect only at the next start is warned about")
def static_keys():
    gateway = start()
    gateway.reload("config: {workerThreads: 7, via: true, dns: {refresh: 5s}}\n" + text_of("two"))
    check("what changed in workerThreads, dns.refresh takes effect at the next start" in gateway.stderr,
          gateway.stderr)


@test("a key that goes back to what it was at the start waits for nothing")
def static_keys_back():
    gateway = start(lanes=True)  # with the splice.mode of the file, which is the default
    for number, config in enumerate(("splice: {mode: off}", "splice: {mode: auto}", "workerThreads: 7")):
        gateway.reload(f"config: {{{config}}}\n" + text_of(f"n{number}"))
    eq(gateway.stderr.count("takes effect at the next start"), 1, "warnings: workerThreads alone")
    gateway.reload(text_of("end"))
    eq(gateway.stderr.count("takes effect at the next start"), 1, "warnings on the way back")


# ---- load --------------------------------------------------------------------------------------------


class Load:
    """Requests on kept and on fresh connections from threads; counts what fails."""

    def __init__(self, gateway, threads=4):
        self.answers, self.failures, self.ends = 0, [], False
        self._gateway = gateway
        self._threads = [threading.Thread(target=self._ask, args=(n % 2 == 0,)) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def _ask(self, keep):
        client = None
        try:
            while not self.ends:
                client = client or self._gateway.client()
                answer = client.get("/get")
                if answer.status != 200:
                    raise Failure(str(answer))
                self.answers += 1
                if not keep or answer.header("Connection") == "close":
                    client.close()
                    client = None
        except (Failure, OSError) as error:
            self.failures.append(repr(error))

    def stop(self):
        self.ends = True
        for thread in self._threads:
            thread.join()
        eq(self.failures, [], "failed requests")


@test("a port that stays refuses no connection while others come and go")
def no_refusal():
    gateway = start()
    load = Load(gateway)
    for number in range(6):
        gateway.reload(text_of(f"n{number}", "" if number % 2 else OTHER))
        wait_until(lambda a=load.answers: load.answers > a + 10 or load.failures, 5, "answers after it")
    load.stop()


@test("20 reloads under load: no failed request, no dropped WebSocket, no dropped tunnel", heavy=True,
      timeout=90, needs=("wrk",))
def under_load():
    tcp = """
- port: @tcp@
  listeners:
  - name: tcp
    protocol: TCP
    tcpRoutes:
    - backends:
      - host: @echo@
"""
    gateway = Gateway(text_of("one", tcp), origin=Origin(), echo=Origin(tcp_echo=True))
    sockets = [WebSocket(gateway.port) for _ in range(200)]
    tunnels = [gateway.client("tcp") for _ in range(20)]
    results = []
    seconds = 4
    load = threading.Thread(target=lambda: results.append(wrk(gateway.port, "/get", seconds, 32)))
    load.start()
    for number in range(20):
        gateway.reload(text_of(f"n{number}", tcp))
        for tunnel in tunnels:
            tunnel.send(f"round {number}\n")
        for tunnel in tunnels:
            eq(tunnel.read_line(), f"round {number}\n".encode(), "tunnel")
        for socket in sockets[number * 10:number * 10 + 10]:
            socket.echo(f"round {number}")
    load.join()
    eq(results[0].errors, 0, results[0].output)
    for socket in sockets:
        socket.echo("still here")
        socket.close()
    for tunnel in tunnels:
        tunnel.fin()
        tunnel.expect_fin()
    eq(status(gateway)["generation"], 21, "generation")
    ends = gateway.wait_log(lambda r: r["protocol"] == "tcp", 20)
    eq({record["close_reason"] for record in ends}, {"ok"}, "close_reason of the tunnels")


@test("200 reloads leave no memory and no descriptor behind", heavy=True, timeout=90, measures=True)
def no_leak():
    gateway = start(workers=1)

    def reload_by_signal(number):
        gateway.signal(signal.SIGHUP)
        wait_until(lambda: status(gateway)["generation"] >= number, 5, f"generation {number}")
    for number in range(2, 42):
        reload_by_signal(number)
    generation(gateway)

    def descriptors():
        """One that the last request to the admin port still holds, or a pooled one, may come or go."""
        counts = []
        for _ in range(20):
            counts.append(len(gateway.fds()))
            time.sleep(0.01)
        return min(counts)
    memory, before = gateway.rss_bytes(), descriptors()
    for number in range(42, 242):
        reload_by_signal(number)
        if number % 20 == 0:
            generation(gateway)
    check(descriptors() <= before + 1, f"{descriptors() - before} descriptors more than before")
    if not is_asan():
        check(gateway.rss_bytes() - memory < 1 << 20, f"RSS grew by {gateway.rss_bytes() - memory}")
