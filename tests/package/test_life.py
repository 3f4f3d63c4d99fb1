# SPDX-License-Identifier: Apache-2.0
"""The life of the Debian package under systemd: installed, upgraded under load, removed and purged."""
import glob
import http.client
import os
import re
import shutil
import threading

from hg import *
from hg.container import Container, base_system
from hg.framework import once, repository_root
from hg.process import read_text, setns_net

CONFIG = """
config: {connectionTerminationDeadline: 60s, statsAddr: "127.0.0.1:15020"}
binds:
- port: 8080
  listeners:
  - routes:
    - name: all
      backends:
      - host: 127.0.0.1:8000
"""
RELOADED = "headgate_config_last_reload_successful"
FILE = "/etc/headgate/headgate.yaml"
# A call that the filter refuses ends the program, which then is not as alive as the tests want it.
STRICT = "[Service]\nSystemCallErrorNumber=kill\n"
FILES = "find / -xdev -path /tmp -prune -o -print; find /run -name '*headgate*'"
# Of systemctl and dpkg, whatever is installed.
NOISE = re.compile(r"/var/(lib/dpkg/|lib/systemd/|log|cache/ldconfig)|/etc/ld\.so\.cache|/etc/\.pwd\.lock|"
                   r"/etc/systemd/system$")

life = table("the Debian package", timeout=900, needs=("root",))


def package():
    found = glob.glob(os.path.join(repository_root(), "build", "deb", "headgate_*.deb"))
    eq(len(found), 1, "packages in build/deb: run make deb")
    return found[0]


def field(name):
    return run(["dpkg-deb", "--field", package(), name])[1].strip()


def container():
    def start():
        depends = re.sub(r"\s*\([^)]*\)", "", field("Depends")).split(", ")
        made = Container(base_system(["systemd", *depends]))
        made.write("/etc/systemd/system/headgate.service.d/strict.conf", STRICT)
        made.files_before = files(made)
        made.origin = Origin(port=8000, netns=made)
        return made
    return once("container", start)


def files(system):
    return {name for name in system.ok_inside("sh", "-c", FILES).split("\n") if not NOISE.match(name)}


def install(system, path):
    shutil.copy(path, system.path("/tmp/headgate.deb"))
    return system.ok_inside("dpkg", "--install", "/tmp/headgate.deb", timeout=180)


def newer(number):
    """The package with a higher version, and nothing else changed."""
    folder = os.path.join(tmpdir(), f"newer-{number}")
    eq(run(["dpkg-deb", "--raw-extract", package(), folder])[0], 0, "dpkg-deb")
    control = os.path.join(folder, "DEBIAN", "control")
    text = read_text(control)
    with open(control, "w", encoding="utf-8") as file:
        file.write(re.sub(r"(?m)^(Version: .*)$", rf"\1+newer{number}", text))
    path = folder + ".deb"
    eq(run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", folder, path])[0], 0, "dpkg-deb")
    return path


def show(system, what):
    return system.inside("systemctl", "show", "--value", f"--property={what}", "headgate.service")[1].strip()


def main_process(system):
    return int(show(system, "MainPID"))


def answers(system, path="/get"):
    try:
        return fetch(("127.0.0.1", 8080), path, netns=system).status == 200
    except (Failure, OSError):
        return False


def serves(system):
    wait_until(lambda: answers(system), 30, lambda: "an answer; " + log(system))


def log(system):
    return system.inside("journalctl", "--no-pager", "-u", "headgate", "-n", "40")[1]


def metric(system, name):
    """None: no sample, or no answer, as between two gateways."""
    try:
        text = fetch(("127.0.0.1", 15020), "/metrics", netns=system).text
    except (Failure, OSError):
        return None
    found = re.search(rf"(?m)^{name}(?:\{{[^}}]*\}})? (\S+)$", text)
    return float(found.group(1)) if found else None


@life("dpkg alone installs it with its dependencies; systemd starts it, as a user of its own, and it serves")
def installs():
    system = container()
    install(system, package())
    wait_until(lambda: show(system, "ActiveState") == "active", 60, "the unit to be active")
    serves(system)
    eq(system.ok_inside("headgate", "--version").split()[-1], field("Version"), "version of the program")
    status = system.ok_inside("cat", f"/proc/{main_process(system)}/status")
    uids, seccomp, privileges, umask = (re.search(rf"(?m)^{name}:\s*(.*)$", status).group(1)
                                        for name in ("Uid", "Seccomp", "NoNewPrivs", "Umask"))
    check("0" not in uids.split(), f"user ids {uids}")
    eq((seccomp, privileges, umask), ("2", "1", "0077"), "filter of system calls, no new privileges, umask")


@life("systemd finds no fault in the unit, and rates its exposure below 2.5")
def unit():
    system = container()
    system.ok_inside("systemd-analyze", "verify", "--man=no", "headgate.service")
    system.ok_inside("systemd-analyze", "security", "--threshold=25", "headgate.service")


@life("a saved configuration is in force; the kernel lanes work in the unit, where the kernel has them")
def sandbox():
    system = container()
    system.write(FILE, CONFIG)
    wait_until(lambda: metric(system, "headgate_config_generation") == 2, 30, "the second configuration")
    status, out, _ = system.inside("headgate", "bpf", "status")
    note(out)
    if status == 0 and "sockmap lane allowed" in out and "may load" in out:
        eq(metric(system, "headgate_sockmap_available"), 1, "sockmap lane")
    check(answers(system, "/bytes/3000000"), "3 MB")


@life("a crash inside the unit is followed by another gateway; the main process stays")
def crash():
    system = container()
    main = main_process(system)
    system.ok_inside("pkill", "-SEGV", "--parent", str(main))
    wait_until(lambda: metric(system, "headgate_crashes_total") == 1, 30, "the crash to be counted")
    serves(system)
    eq((main_process(system), show(system, "NRestarts")), (main, "0"), "main process, restarts by systemd")


class Load(threading.Thread):
    """Requests, one after the other, until it is told to end: on one connection, or each on its own."""

    def __init__(self, system, path, is_kept):
        super().__init__(daemon=True)
        self.namespace = system.open()
        self.path, self.is_kept = path, is_kept
        self.count, self.failures, self.is_over = 0, [], False
        self.start()

    def run(self):
        setns_net(self.namespace)
        connection = None
        while not self.is_over and len(self.failures) < 5:
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", 8080, timeout=120)
                connection.request("GET", self.path)
                response = connection.getresponse()
                body = response.read()
                want = 1000 if "bytes" in self.path else 10
                if response.status != 200 or len(body) != want:
                    self.failures.append(f"{self.path}: status {response.status}, {len(body)} bytes")
                self.count += 1
                if not self.is_kept:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{self.path}, request {self.count}: {error!r}")
                connection = None

    def end(self):
        self.is_over = True
        self.join()
        os.close(self.namespace)


@life("an upgrade under load fails no request, and the installed program runs")
def upgrade():
    system = container()
    main = main_process(system)
    load = [Load(system, path, is_kept) for path in ("/bytes/1000", "/delay/0.5?body=10")
            for is_kept in (True, True, False, False)]
    wait_until(lambda: all(one.count > 2 for one in load), 60, "load")
    try:
        output = install(system, newer(1))
        counts = [one.count for one in load]
        wait_until(lambda: all(one.count > count + 2 or one.failures for one, count in zip(load, counts)), 60,
                   "requests after the upgrade")
    finally:
        for one in load:
            one.end()
    note(output, [one.count for one in load])
    eq([text for one in load for text in one.failures], [], "failed requests")
    check(f"has taken over from process {main}" in output, output)
    now = main_process(system)
    check(now != main, "the main process is that of before")
    eq(system.ok_inside("readlink", f"/proc/{now}/exe").strip(), "/usr/bin/headgate", "its program")
    eq((show(system, "ActiveState"), show(system, "NRestarts")), ("active", "0"), "state, restarts")


@life("if the installed program refuses the configuration, the old one serves; dpkg succeeds")
def refused():
    system = container()
    main = main_process(system)
    system.write(FILE, "binds: wrong\n")
    wait_until(lambda: metric(system, RELOADED) == 0, 30, "the refused reload")
    output = install(system, newer(2))
    check("the old program keeps serving" in output, output)
    eq((main_process(system), show(system, "ActiveState")), (main, "active"), "main process, state")
    serves(system)
    system.write(FILE, CONFIG)
    wait_until(lambda: metric(system, RELOADED) == 1, 30, "the reload")


@life("removed, it has stopped and keeps its configuration; purged, it leaves no file and no process")
def removed():
    system = container()
    system.ok_inside("dpkg", "--remove", "headgate", timeout=180)
    eq(system.inside("pgrep", "headgate")[1], "", "processes")
    check(not answers(system), "somebody answers")
    eq(read_text(system.path(FILE)), CONFIG, "configuration")
    system.ok_inside("dpkg", "--purge", "headgate", timeout=180)
    eq(files(system) - system.files_before, set(), "files that are left")


@test("the parser of AppArmor reads the profile, which is for the unit and for no path")
def apparmor():
    if not shutil.which("apparmor_parser"):
        skip("needs apparmor_parser: run scripts/deps.sh package", "apparmor")
    folder = os.path.join(tmpdir(), "unpacked")
    eq(run(["dpkg-deb", "--extract", package(), folder])[0], 0, "dpkg-deb")
    path = os.path.join(folder, "etc", "apparmor.d", "headgate")
    status, out, error = run(["apparmor_parser", "--skip-kernel-load", "--skip-cache", "--names", path])
    eq((status, out), (0, "headgate\n"), error)
    unit_text = read_text(os.path.join(folder, "lib", "systemd", "system", "headgate.service"))
    check("\nAppArmorProfile=-headgate\n" in unit_text, unit_text)
