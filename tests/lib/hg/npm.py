# SPDX-License-Identifier: Apache-2.0
"""Packages of npm for interoperability tests: installed once, outside the tree, according to the lock file.
"""
import fcntl
import hashlib
import os
import re
import shutil
import subprocess

NODE_MAJOR = 22  # required by the conformance suite


class Unavailable(Exception):
    """The packages are not available here; the text has the reason."""


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "headgate")


def node_major():
    node = shutil.which("node")
    if not node:
        return 0
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
    match = re.match(r"v(\d+)", said)
    return int(match.group(1)) if match else 0


def packages(folder):
    """The directory whose node_modules has the packages of folder/package-lock.json, and node in bin/.

    Raises Unavailable if npm is missing or cannot install them.
    """
    npm = shutil.which("npm")
    if not npm:
        raise Unavailable("there is no npm: scripts/deps.sh interop")
    old = node_major() < NODE_MAJOR
    digest = hashlib.sha256(b"old" if old else b"new")
    for name in ("package.json", "package-lock.json"):
        with open(os.path.join(folder, name), "rb") as file:
            digest.update(file.read())
    made = os.path.join(cache(), f"{os.path.basename(folder)}-{digest.hexdigest()[:16]}")
    os.makedirs(cache(), exist_ok=True)
    with open(made + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(made):
            install(npm, folder, made, old)
    return made


def install(npm, folder, made, old):
    """Installs into a temporary directory, which is renamed when it is complete."""
    part = made + ".part"
    shutil.rmtree(part, ignore_errors=True)
    os.mkdir(part)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(folder, name), part)
    # No script of a package runs. Node itself is a package, too; it is omitted if the installed one is new
    # enough.
    argv = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(argv + ([] if old else ["--omit=optional"]), cwd=part, capture_output=True,
                              text=True, check=False, timeout=300, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"npm ci: {error}") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).split("\n")[:3]
        raise Unavailable("npm ci failed: " + " ".join(last))
    os.mkdir(os.path.join(part, "bin"))
    node = shutil.which("node")
    if old:
        machine = {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
        # The link must stay valid after the directory is renamed.
        node = os.path.join("..", "node_modules", f"node-linux-{machine}", "bin", "node")
        if not os.path.exists(os.path.join(part, "bin", node)):
            raise Unavailable(f"npm has no node {NODE_MAJOR} for {machine}")
    os.symlink(node, os.path.join(part, "bin", "node"))
    os.rename(part, made)
