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


def make_certificates(*arguments):
    """What the examples about TLS need."""
    status, out, error = run([os.path.join(repository_root(), "scripts", "make-certificates.sh"), *arguments])
    eq(status, 0, f"make-certificates.sh: {error}")
    return out


def shown(path):
    return os.path.relpath(path, EXAMPLES)


@test("every example is valid and causes no warning")
def valid():
    paths = sorted(glob.glob(EXAMPLES + "/*.yaml")) + [
        folder for folder in sorted(glob.glob(EXAMPLES + "/*")) if os.path.isdir(folder)]
    check(len(paths) >= 5, f"only {len(paths)} examples")
    make_certificates()
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


def start(name, **names):
    """The example with ports of its own; @backend@ for port 8000."""
    with open(os.path.join(EXAMPLES, name), encoding="utf-8") as file:
        text = file.read()
    make_certificates()
    for port in re.findall(r"^- port: (\d+)$", text, re.M):
        text = re.sub(rf"\b{port}\b", f"@port{port}@", text)
    text = text.replace("localhost:8000", "127.0.0.1:@backend@")
    origin = Origin()
    return Gateway(text, origin=origin, backend=origin.port, **names)


def curl(port, path, *options, scheme="https"):
    """(exit status, stdout) with the authority of make-certificates.sh."""
    folder = os.path.join(repository_root(), "build", "certificates")
    options = [option.replace("@", folder + "/") for option in options]
    status, out, _ = run(["curl", "-sS", "-o", "/dev/null", "--cacert", folder + "/authority.pem", *options,
                          "-w", "%{http_code} %{http_version} %{redirect_url}",
                          f"{scheme}://localhost:{port}{path}"])
    return status, out.strip()


@test("tls.yaml and mtls.yaml work with what make-certificates.sh makes", needs=("curl",))
def tls():
    gateway = start("tls.yaml")
    https = gateway.ports["port8443"]
    eq(curl(https, "/headers"), (0, "200 2"), "https")
    eq(curl(https, "/headers", "--http1.1"), (0, "200 1.1"), "HTTP/1.1")
    eq(curl(gateway.ports["port8080"], "/x", scheme="http"), (0, f"308 1.1 https://localhost:{https}/x"),
       "http")
    gateway = start("mtls.yaml")
    port = gateway.ports["port8444"]
    eq(curl(port, "/headers", "--cert", "@client.pem", "--key", "@client.key"), (0, "200 2"),
       "with a certificate")
    check(curl(port, "/headers")[0] != 0, "without a certificate it was served")


@test("make-certificates.sh keeps what is good, makes anew what has other names; keys are for their owner")
def certificates():
    folder = os.path.join(tmpdir(), "certificates")
    eq(make_certificates("-d", folder, "a.example", "192.0.2.1", "2001:db8::1").count("made "), 3, "made")
    eq(make_certificates("-d", folder, "a.example", "192.0.2.1", "2001:db8::1"), "", "made again")
    eq(make_certificates("-d", folder, "b.example").count("server.pem"), 1, "for another name")
    for name in ("authority", "server", "client"):
        eq(os.stat(f"{folder}/{name}.key").st_mode & 0o777, 0o600, f"mode of {name}.key")
    for name in ("server", "client"):
        status, _, error = run(["openssl", "verify", "-x509_strict", "-CAfile", f"{folder}/authority.pem",
                                f"{folder}/{name}.pem"])
        eq(status, 0, error)
