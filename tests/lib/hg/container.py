# SPDX-License-Identifier: Apache-2.0
"""A Debian system in namespaces of its own, with systemd as its first process and without a network."""
import os
import re
import shutil
import zlib

from hg.framework import Context, Failure, context, repository_root, skip, tmpdir, wait_until
from hg.netns import Namespace
from hg.process import Process, children_of, read_text, run

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
PREFIX = "headgate-test-"
BASE_S = 600  # to make a base system, seconds
BOOT_S = 120
# $1: an empty directory, $2: the base system, $3: the control group. What the container writes is in a tmpfs,
# so nothing of it, and none of its mounts, is left when its last process has ended.
START = """
echo 0 >"$3/cgroup.procs"
exec unshare --mount --pid --fork --kill-child --uts --ipc --net --cgroup --propagation private sh -euc '
	mount -t tmpfs -o mode=755 tmpfs "$1"
	mkdir "$1/upper" "$1/work" "$1/root"
	mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
	cd "$1/root"
	mount -t proc proc proc
	mount --bind proc/sys proc/sys
	mount -o remount,bind,ro proc/sys
	mount -t sysfs -o ro sysfs sys
	mount -t cgroup2 cgroup2 sys/fs/cgroup
	mount -t tmpfs -o mode=755 tmpfs run
	mount -t tmpfs -o mode=1777 tmpfs tmp
	mount -t tmpfs -o mode=755 tmpfs dev
	mkdir dev/shm dev/pts
	mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
	ln -s pts/ptmx dev/ptmx
	for device in null,3 zero,5 full,7 random,8 urandom,9; do
		mknod -m 666 "dev/${device%,*}" c 1 "${device#*,}"
	done
	ln -sf /dev/null etc/systemd/system/console-getty.service
	pivot_root . mnt
	exec chroot . sh -c "umount -l /mnt && exec env -i container=headgate PATH=$PATH \\
		/lib/systemd/systemd --show-status=no"
' sh "$1" "$2" "$3"
"""


def control_groups():
    """Where cgroup2 is mounted, or None."""
    for line in read_text("/proc/self/mounts").split("\n"):
        fields = line.split(" ")
        if len(fields) > 2 and fields[2] == "cgroup2" and os.access(fields[1], os.W_OK):
            return fields[1]
    return None


def remove_group(group):
    """True if it is gone; False while a process is in it or in one below it."""
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            return False
    return True


def remove_leftovers(mounted):
    """Removes the empty groups of tests that were killed."""
    for name in os.listdir(mounted):
        if name.startswith(PREFIX) and not os.path.exists(f"/proc/{name[len(PREFIX):]}"):
            remove_group(os.path.join(mounted, name))


def sources():
    """(codename, [entries for apt]) of Debian, as this machine is configured."""
    codename = re.search(r"(?m)^VERSION_CODENAME=(\w+)$", read_text("/etc/os-release"))
    _, out, _ = run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(CODENAME) $(COMPONENT)",
                     "Created-By: Packages"])
    entries = {tuple(line.split(" ")[1:]) for line in out.split("\n") if line.startswith("Debian ")}
    name = codename.group(1) if codename else ""
    return name, sorted(f"deb {uri} {suite} {component}" for uri, suite, component in entries
                        if suite.split("-")[0] == name)


def base_system(packages):
    """The directory of a minimal Debian system with these packages; made once for each list of packages."""
    for program in ("mmdebstrap", "unshare", "nsenter"):
        if not shutil.which(program):
            skip(f"needs {program}: run scripts/deps.sh package", program)
    codename, entries = sources()
    if not entries:
        skip("needs a machine whose apt is configured for Debian", "debian")
    wanted = ",".join(sorted(packages))
    path = os.path.join(repository_root(), "build", "deb",
                        f"base-{zlib.crc32(repr((wanted, entries)).encode()):08x}")
    if not os.path.isdir(path):
        made = path + ".part"
        shutil.rmtree(made, ignore_errors=True)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            status, _, error = run(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase",
                                    f"--include={wanted}", codename, made, *entries], timeout=BASE_S,
                                   env={"TMPDIR": tmpdir()})
        except Failure as why:  # a mirror that does not answer
            status, error = 1, str(why)
        if status:
            skip(f"mmdebstrap cannot make a system here: {error.strip()[-300:]}", "debian")
        os.rename(made, path)
    return path


class Container(Namespace):
    """.inside("dpkg", "-l"): a command in it. As netns= of other objects: its loopback is all it has."""

    def __init__(self, base):
        mounted = control_groups()
        if not mounted:
            skip("needs a mounted cgroup2", "cgroup2")
        super().__init__("container", "127.0.0.1")
        remove_leftovers(mounted)
        self._group = os.path.join(mounted, f"{PREFIX}{os.getpid()}")
        os.mkdir(self._group)
        context().own(Context.NETWORK, self)
        place = os.path.join(tmpdir(), "container")
        os.mkdir(place)
        self.process = Process(["sh", "-euc", START, "sh", place, base, self._group], "container")
        context().disown(self.process)  # cleanup() ends it, after the objects in it
        self.pid = None
        try:
            wait_until(self._is_up, BOOT_S, "systemd in the container")
        except Failure as why:
            note = self.process.stderr.strip()[-300:]
            skip(f"systemd does not start in namespaces of this machine: {why} {note}", "container")

    def _is_up(self):
        if not self.process.is_running():
            raise Failure(f"it ended with {self.process.exit_status()}")
        found = children_of(self.process.pid)
        self.pid = found[0] if found else None
        if not self.pid or read_text(f"/proc/{self.pid}/comm") != "systemd\n":
            return False
        return self.inside("systemctl", "is-system-running")[1].strip() in ("running", "degraded")

    def open(self):
        return os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)

    def inside(self, *argv, timeout=60):
        """(status, stdout, stderr) of a command in the container; 124: it did not end within the timeout."""
        return run(["nsenter", f"--target={self.pid}", "--mount", "--pid", "--uts", "--ipc", "--net",
                    "--cgroup", "env", "-i", f"PATH={PATH}", "DEBIAN_FRONTEND=noninteractive",
                    "timeout", "--kill-after=5", str(timeout), *argv], timeout=timeout + 60)

    def ok_inside(self, *argv, **keywords):
        status, out, error = self.inside(*argv, **keywords)
        if status:
            raise Failure(f"{' '.join(argv)}: status {status}: {out}{error}")
        return out + error

    def path(self, name):
        """A file of the container, as this process reaches it."""
        return f"/proc/{self.pid}/root{name}"

    def write(self, name, text):
        """Replaces a file of the container at once."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".part", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".part", path)

    def cleanup(self):
        with open(os.path.join(self._group, "cgroup.kill"), "w", encoding="ascii") as file:
            file.write("1")
        self.process.kill()
        wait_until(self._is_gone, 30, "the end of the container")

    def _is_gone(self):
        return remove_group(self._group)
