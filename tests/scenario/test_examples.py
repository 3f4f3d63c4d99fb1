# SPDX-License-Identifier: Apache-2.0
"""Every configuration that we ship is valid, and the first one does what the README says."""
import glob
import os
import re
import shutil

from hg import *
from hg.framework import binary, repository_root
from hg.gateway import SANITIZER_ENV

EXAMPLES = os.path.join(repository_root(), "config", "examples")


def shown(path):
    return os.path.relpath(path, EXAMPLES)


@test("every example is valid and causes no warning")
def valid():
    paths = sorted(glob.glob(EXAMPLES + "/*.yaml")) + [
        folder for folder in sorted(glob.glob(EXAMPLES + "/*")) if os.path.isdir(folder)]
    check(len(paths) >= 5, f"only {len(paths)} examples")
    for path in paths:
        name = shown(path)
        # A file of a directory may need the others: those are taken together.
        status, out, error = run([binary("headgate"), "-f", path, "--validate-only"], env=SANITIZER_ENV)
        eq((status, out), (0, "Configuration is valid!\n"), f"{name}: {error}")
        check("\twarn\t" not in error, f"{name}: {error}")


@test("what the page of the manifests makes for HTTPS loads with them, without a warning", needs=("openssl",))
def https():
    folder = os.path.join(EXAMPLES, "kubernetes")
    with open(os.path.join(folder, "README.md"), encoding="utf-8") as file:
        script = re.search(r"^```sh\n(.*?)^```", file.read(), re.M | re.S).group(1)
    copy = os.path.join(tmpdir(), "kubernetes")
    shutil.copytree(folder, copy)
    status, _, error = run(["sh", "-ec", f"cd {copy}\n{script}"])
    eq(status, 0, error)
    status, out, error = run([binary("headgate"), "-f", copy, "--validate-only", "--strict"],
                             env=SANITIZER_ENV)
    eq((status, out), (0, "Configuration is valid!\n"), error)


@test("every example begins with a comment that says what it shows")
def comments():
    for path in glob.glob(EXAMPLES + "/**/*.yaml", recursive=True):
        with open(path, encoding="utf-8") as file:
            first = file.readline()
        check(first.startswith("# ") or os.path.dirname(path) != EXAMPLES,
              f"{shown(path)} begins with {first!r}")


@test("the quick start works: the demo backend's answer comes through")
def quickstart():
    with open(EXAMPLES + "/quickstart.yaml", encoding="utf-8") as file:
        text = file.read()
    listening = re.search(r"^- port: (\d+)$", text, re.M)
    backend = re.search(r"host: (?:localhost|127\.0\.0\.1):(\d+)", text)
    check(listening and backend, "no port, or no backend on this machine")
    eq(listening.group(1), "8080", "the port that README and make run speak of")
    text = text.replace(listening.group(0), "- port: @port@")
    text = re.sub(r"((?:localhost|127\.0\.0\.1):)" + backend.group(1), r"\g<1>@backend@", text)
    origin = Origin()
    gateway = Gateway(text, origin=origin, backend=origin.port)
    answer = gateway.fetch("/headers")
    eq(answer.status, 200, "status")
    check("host" in {name.lower() for name in answer.json()["headers"]}, answer.text)
