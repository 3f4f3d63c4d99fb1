# SPDX-License-Identifier: Apache-2.0
"""The compared programs: the gateway and its peers, each fairly configured, in its own directory.

Fair means: the same number of workers, the same backend, no access logs, no caching and no compression, and
otherwise what the peer's own users would write. Each option that is not a default has a reason:

HAProxy: `http-reuse always` shares connections to the backend among clients, as headgate and nginx do. There
    are no `tune` lines: larger pipes cost it a quarter of its rate with bodies of 100 KiB.
nginx: `keepalive 512`, HTTP/1.1 and an empty Connection keep connections to the backend open; without them it
    looks twenty times slower than it is. `keepalive_requests` keeps those of the load generator open.
    `reuseport` spreads clients over its workers, as the other two do. nginx runs with `proxy_buffering` off
    (as the others stream) and on (its default): the better one counts.
headgate: `connectionsPerClient` admits the load generator, whose connections all have one address.
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

HAPROXY = """
global
  nbthread {workers}
  maxconn 4000
defaults
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend http
  mode http
  bind 127.0.0.1:{http}
  default_backend http
backend http
  mode http
  http-reuse always
  {splice}
  server s 127.0.0.1:{origin}
"""

NGINX = """
worker_processes {workers};
pid {dir}/pid;
error_log stderr crit;
daemon off;
events {{ worker_connections 4096; accept_mutex off; }}
http {{
  access_log off;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 512; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{http} reuseport backlog=4096;
    keepalive_requests 1000000;
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_request_buffering off;
    }}
  }}
}}
"""

# nginx with its default for responses: through its buffers.
NGINX_BUFFERED = NGINX.replace("proxy_buffering off", "proxy_buffering on")

# A backend that serves files: the fastest for bodies of known length.
NGINX_FILES = """
user root;
worker_processes 2;
pid {dir}/pid;
error_log stderr crit;
daemon off;
events {{ worker_connections 4096; accept_mutex off; }}
http {{
  access_log off;
  sendfile on;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  open_file_cache max=100;
  server {{
    listen 127.0.0.1:{http} reuseport backlog=4096;
    keepalive_requests 1000000;
    root {dir};
  }}
}}
"""

HEADGATE = """
config: {{logging: {{level: warn, accessLog: false}}, limits: {{connectionsPerClient: 10000}}}}
binds:
- port: {http}
  listeners:
  - routes:
    - backends:
      - host: 127.0.0.1:{origin}
"""

# Client and backend enable bypass.
HEADGATE_BYPASS = """
config:
  logging: {{level: warn, accessLog: false}}
  splice: {{lanes: [pipe, sockmap, direct, bypass], force: true}}
binds:
- port: {http}
  listeners:
  - splice: sameHost
    routes:
    - backends:
      - host: 127.0.0.1:{origin}
        splice: sameHost
"""


INSTALL = "scripts/deps.sh bench installs it"


def say_missing(what):
    print(f"{what} is not installed and left out; {INSTALL}", file=sys.stderr, flush=True)


def resolve(args, *names):
    """Makes the paths of these arguments absolute, where given, because programs start in other directories.
    """
    for name in names:
        setattr(args, name, getattr(args, name) and os.path.abspath(getattr(args, name)))


def h2load_log(path):
    """Reads and deletes the log: (milliseconds of each response with status 200, sorted; number of others).
    """
    with open(path, encoding="utf-8") as file:
        answers = [line.split() for line in file]
    os.unlink(path)
    took = sorted(int(microseconds) / 1000 for _, status, microseconds in answers if status == "200")
    return took, len(answers) - len(took)


def rows_of(parser, only, known):
    """The rows that --only names, otherwise all; an unknown name is an error that lists the rows."""
    asked = [name for name in only.split(",") if name]
    for name in asked:
        if name not in known:
            parser.error(f"--only {name}: there is no such row; rows are {', '.join(known)}")
    return asked or list(known)


def free_port():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


def wait_path(path, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.path.exists(path):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens at {path}")


def children_of(pid):
    """pid and all its descendants."""
    found = [pid]
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += children_of(int(entry))
    return found


def pinned(cpus):
    """For preexec_fn: keeps a program on these processors; None: on all."""
    return (lambda: os.sched_setaffinity(0, cpus)) if cpus else None


def alone():
    """(the processors of load and backend, those of a gateway that has its own), or None without a second."""
    cpus = sorted(os.sched_getaffinity(0))
    return (cpus[:-1], cpus[-1:]) if len(cpus) > 1 else None


class Peer:
    """One program under test. `port`: where it listens; direct: the backend itself."""

    def __init__(self, name, directory, origin, cpus=None):
        """cpus: the processors that it may use; None: all."""
        self.name, self.dir, self.origin, self.cpus = name, directory, origin, cpus
        self.process = None
        self.port = origin

    def start(self, argv, env=None, socket_path=None):
        log = open(os.path.join(self.dir, "log"), "w")
        self.process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.dir,
                                        env={**os.environ, **(env or {})}, preexec_fn=pinned(self.cpus))
        if socket_path:
            wait_path(socket_path)
        else:
            wait_port(self.port)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def pids(self):
        return children_of(self.process.pid) if self.process else []

    def cpu(self):
        """Processor time so far, for cpu_since(): seconds in user space and in the kernel, counted in ticks,
        and the exact sum of both, which the scheduler keeps for each thread.
        """
        user = system = exact = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            user, system = user + int(fields[11]), system + int(fields[12])
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/schedstat") as f:
                    exact += int(f.read().split()[0])
        tick = os.sysconf("SC_CLK_TCK")
        return user / tick, system / tick, exact / 1e9

    def cpu_since(self, before):
        """Seconds in user space and in the kernel since cpu() returned `before`: the exact sum, divided as
        the ticks are.
        """
        user, system, exact = (now - then for now, then in zip(self.cpu(), before))
        share = user / (user + system) if user + system else 0
        return exact * share, exact * (1 - share)

    def cpu_seconds(self):
        return self.cpu()[2]

    def rss_kib(self):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
        return total

    def stop(self):
        """Ends the program and its workers, which survive a kill of their master."""
        if not self.process:
            return
        pids = self.pids()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def start_headgate(binary, directory, origin, *, template=HEADGATE, name="headgate", workers=2,
                   cpus=None):
    peer = Peer(name, directory, origin, cpus)
    peer.port = free_port()
    path = peer.write("headgate.yaml", template.format(http=peer.port, origin=origin))
    admin = {name: f"127.0.0.1:{free_port()}" for name in ("ADMIN_ADDR", "STATS_ADDR", "READINESS_ADDR")}
    peer.start([binary, "-f", path], {**admin, "WORKER_THREADS": str(workers)})
    return peer


def start_haproxy(directory, origin, *, splice="", template=HAPROXY, name="haproxy", arguments=(),
                  workers=2, cpus=None):
    if not shutil.which("haproxy"):
        return None
    peer = Peer(name, directory, origin, cpus)
    peer.port = free_port()
    text = template.format(http=peer.port, origin=origin, splice=splice, workers=workers)
    peer.start(["haproxy", *arguments, "-f", peer.write("haproxy.cfg", text)])
    return peer


def start_nginx(directory, origin, *, template=NGINX, name="nginx", workers=2, cpus=None):
    if not shutil.which("nginx"):
        return None
    peer = Peer(name, directory, origin, cpus)
    peer.port = free_port()
    os.chmod(directory, 0o755)
    path = peer.write("nginx.conf", template.format(http=peer.port, origin=origin, dir=directory,
                                                    workers=workers))
    peer.start(["nginx", "-p", directory, "-c", path, "-e", os.path.join(directory, "error")])
    return peer
