# SPDX-License-Identifier: Apache-2.0
"""Programs of others behind and before the same-host lanes: bodies and ends are those of TCP."""
import ctypes
import errno
import filecmp
import os
import shutil
import signal
import socket
import stat

from hg import *
from hg.framework import repository_root, tmpdir
from hg.lanes import need_lane
from hg.process import read_text
from programs import PROGRAMS, answers, family

SIZE = 20 << 20
PIDFD_GETFD = 438  # the system call, on every architecture
LIBC = ctypes.CDLL(None, use_errno=True)
LANES = {
    "off": "mode: off",
    "splice": "lanes: [pipe, sockmap]",
    "direct": "lanes: [direct], force: true",
    "bypass": "lanes: [bypass], force: true",
    "all": "lanes: [pipe, sockmap, direct, bypass], force: true",
}
CONFIG = """
config: {splice: {@splice@}}
binds:
- port: @port@
  listeners:
  - splice: sameHost
    routes:
    - backends: [{host: "@origin@", splice: sameHost}]
- port: @tcp@
  listeners:
  - protocol: TCP
    splice: sameHost
    tcpRoutes:
    - backends: [{host: "@origin@", splice: sameHost}]
"""
NGINX = """
user root;
daemon off;
worker_processes 1;
pid %(directory)s/pid;
error_log %(directory)s/error.log info;
events { worker_connections 512; }
http {
  access_log off;
  client_max_body_size 0;
  client_body_timeout 20s;
  client_body_temp_path %(directory)s/body;
  proxy_temp_path %(directory)s/proxy;
  fastcgi_temp_path %(directory)s/fastcgi;
  uwsgi_temp_path %(directory)s/uwsgi;
  scgi_temp_path %(directory)s/scgi;
  sendfile %(sendfile)s;
  proxy_read_timeout 20s;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  large_client_header_buffers 4 16k;
  %(servers)s
}
"""
FILES = """
  server {
    listen %(port)d %(listen)s;
    root %(directory)s/www;
    location /echo { return 200 "$http_x_a"; }
    location /put { dav_methods PUT; create_full_put_path on; }
  }
"""
PROXY = """
  upstream to%(port)d { server 127.0.0.1:%(to)d; keepalive 8; }
  server { listen %(port)d; location / { proxy_pass http://to%(port)d; %(more)s } }
"""
UNBUFFERED = "proxy_buffering off; proxy_request_buffering off;"


class Nginx:
    """nginx with the servers given, at these ports; its files are in `www`."""
    process = None

    def __init__(self, servers, *ports, sendfile="on", **names):
        if not shutil.which("nginx"):
            skip("nginx is not installed")
        self.directory = os.path.join(tmpdir(), f"nginx-{free_port()}")
        self.www = os.path.join(self.directory, "www")
        os.makedirs(os.path.join(self.www, "put"))
        names = {"directory": self.directory, "sendfile": sendfile, **names}
        path = os.path.join(self.directory, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(NGINX % {**names, "servers": servers % names})
        self.process = Process(["nginx", "-p", self.directory, "-c", path, "-e",
                                os.path.join(self.directory, "error.log")], name="nginx")
        for port in ports:
            wait_until(lambda at=port: answers(at), 30, f"nginx at port {port}")

    def stop(self):
        self.process.signal(signal.SIGQUIT)
        self.process.wait(20)


def big_file(directory):
    path = os.path.join(directory, "big")
    with open(path, "wb") as file:
        file.write(pattern(SIZE))
    return path


def curl(url, *args):
    status, out, error = run(["curl", "-sS", "-m", "25", *args, "-w", "%{http_code}", url], timeout=40)
    return f"{status} {out[-200:]} {error}".strip()


def transfers(url, www, what, big):
    got = os.path.join(tmpdir(), "got")
    for turn in range(2):
        eq(curl(url + "/big", "-o", got), "0 200", f"{what}: GET, turn {turn}")
        check(filecmp.cmp(big, got, shallow=False), f"{what}: the bytes of GET, turn {turn}")
        uploaded = os.path.join(www, "put", "x")
        if os.path.exists(uploaded):
            os.unlink(uploaded)
        eq(curl(url + "/put/x", "-H", "Expect:", "-T", big, "-o", "/dev/null"), "0 201",
           f"{what}: PUT, turn {turn}")
        check(filecmp.cmp(big, uploaded, shallow=False), f"{what}: the bytes of PUT, turn {turn}")
        field = "a" * 5000
        eq(curl(url + "/echo", "-H", "X-A: " + field), "0 " + (field + "200")[-200:],
           f"{what}: a field of 5,000 bytes")


def need_lanes(gateway, lane):
    if "direct" in LANES[lane] or "bypass" in LANES[lane]:
        need_lane(gateway, "direct" if lane == "direct" else "bypass")


def table_of(page):
    """{(program, lane): cell} of the table in docs/lanes.md."""
    lines = [line for line in read_text(page).split("\n") if line.startswith("| ")]
    start = next(i for i, line in enumerate(lines) if line.startswith("| program | direct |"))
    lanes = cells_of(lines[start])[1:]
    return {(row[0], lane): cell for line in lines[start + 1:start + 1 + len(PROGRAMS) + 1]
            for row in [cells_of(line)] for lane, cell in zip(lanes, row[1:])}


def cells_of(line):
    return [cell.strip() for cell in line.strip("| ").split("|")]


def socket_of(pidfd, number):
    """The socket behind a descriptor of another process. None: it is no socket, or was just closed."""
    fd = LIBC.syscall(PIDFD_GETFD, pidfd, number, 0)
    if fd < 0:
        if ctypes.get_errno() in (errno.EPERM, errno.ENOSYS):
            skip("needs CAP_SYS_PTRACE, and no filter of system calls that forbids pidfd_getfd()")
        return None
    if stat.S_ISSOCK(os.fstat(fd).st_mode):
        return socket.socket(fileno=fd)
    os.close(fd)
    return None


def shrink_buffers(process, port, size):
    """Sets SO_RCVBUF of the sockets by which children of a process are connected to a port; returns how many.

    nginx has no directive for connections to its upstreams. Only with such a buffer is a message too large
    for an empty queue."""
    count = 0
    for pid in family(process.pid)[1:]:
        pidfd = os.pidfd_open(pid)
        for number in map(int, os.listdir(f"/proc/{pid}/fd")):
            found = socket_of(pidfd, number)
            if not found:
                continue
            with found:
                if found.family == socket.AF_INET and is_connected(found, port):
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
                    count += 1
        os.close(pidfd)
    return count


def is_connected(found, port):
    try:
        return found.getpeername()[1] == port
    except OSError:
        return False


def check_table(program, lane, gateway):
    """What the page says of a program is what its last tunnel did: which of its sides bypassed TCP."""
    tunnels = [record for record in gateway.log() if record.get("protocol") == "tcp"]
    sides = tunnels[-1].get("bypass") or "TCP"
    if lane not in ("direct", "bypass", "all"):
        eq(sides, "TCP", f"{program}, lanes {lane}: sides that bypass TCP")
    else:
        said = table_of(os.path.join(repository_root(), "docs", "lanes.md")).get((program, lane))
        eq(said, sides, f"docs/lanes.md on {program}, lanes {lane}")


def behind(lane, sendfile="on", listen=""):
    port = free_port()
    nginx = Nginx(FILES, port, port=port, sendfile=sendfile, listen=listen)
    big = big_file(nginx.www)
    gateway = Gateway(CONFIG, origin=f"127.0.0.1:{port}", splice=LANES[lane], workers=1)
    need_lanes(gateway, lane)
    for name in ("port", "tcp"):
        transfers(f"http://127.0.0.1:{gateway.ports[name]}", nginx.www, f"{lane}, {name}", big)
    nginx.stop()


def before(lane, buffer_bytes=0):
    """Returns the gateway, which has ended."""
    port, http, tcp = free_port(), free_port(), free_port()
    origin = Nginx(FILES, port, port=port, listen="")
    big = big_file(origin.www)
    gateway = Gateway(CONFIG, origin=f"127.0.0.1:{port}", splice=LANES[lane], workers=1)
    need_lanes(gateway, lane)
    front = Nginx(PROXY % {"port": http, "to": gateway.ports["port"], "more": ""} +
                  PROXY % {"port": tcp, "to": gateway.ports["tcp"], "more": UNBUFFERED}, http, tcp)
    for name, to in ((http, "port"), (tcp, "tcp")):
        url = f"http://127.0.0.1:{name}"
        if buffer_bytes:
            eq(curl(url + "/echo"), "0 200", "a first request")
            eq(shrink_buffers(front.process, gateway.ports[to], buffer_bytes), 1, "connections kept")
        transfers(url, origin.www, f"{lane}, {to}", big)
    front.stop()
    gateway.stop()
    origin.stop()
    return gateway


for each in LANES:
    @test(f"nginx behind the gateway, lanes {each}", timeout=240)
    def nginx_behind(lane=each):
        behind(lane)

    @test(f"nginx with small buffers and without sendfile behind the gateway, lanes {each}", timeout=240)
    def nginx_small(lane=each):
        behind(lane, sendfile="off", listen="rcvbuf=32k sndbuf=32k")

    @test(f"nginx before the gateway, lanes {each}", timeout=240)
    def nginx_before(lane=each):
        check_table("nginx", lane, before(lane))

    @test(f"nginx with small buffers before the gateway, lanes {each}", timeout=240)
    def nginx_small_before(lane=each):
        need("root")
        before(lane, buffer_bytes=16384)


def used(program, lane):
    """What the clients of a program saw through a gateway with these lanes."""
    gateway = Gateway(CONFIG, origin=f"127.0.0.1:{program.port}", splice=LANES[lane], workers=1)
    need_lanes(gateway, lane)
    lines = program.use(gateway.port, gateway.ports["tcp"])
    gateway.stop()
    check_table(type(program).__name__, lane, gateway)
    return lines


for each in PROGRAMS:
    @test(f"{each.__name__} behind and before the gateway: in each lane as with lanes off", timeout=400)
    def neighbour(kind=each):
        program = kind()
        plain = used(program, "off")
        check(all("stands still" not in line for line in plain), f"without lanes: {plain}")
        for lane in LANES:
            if lane != "off":
                eq(used(program, lane), plain, f"lanes {lane}")
