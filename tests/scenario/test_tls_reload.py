# SPDX-License-Identifier: Apache-2.0
"""Certificates and keys of files: changes that are noticed, who may read them, and what is shown of them."""
import json
import os
import time

from hg import *
from hg import pki
from hg.framework import binary, tmpdir
from hg.gateway import SANITIZER_ENV
from hg.pki import DAY, Authority
from hg.tls import Tls, refused

CONFIG = """
binds:
- port: @port@
  listeners:
  - protocol: HTTPS
    tls: {cert: @cert@, key: @key@}
    routes:
    - backends: [{host: @origin@}]
"""
MUTUAL = CONFIG.replace("key: @key@", "key: @key@, root: @root@")
NOBODY = 65534


def start(config=CONFIG, leaf=None, **more):
    authority = Authority()
    leaf = leaf or authority.issue("a.example")
    gateway = Gateway(config, origin=Origin(), cert=leaf.cert, key=leaf.key, **more)
    gateway.authority, gateway.leaf = authority, leaf
    return gateway


def replace(path, content, mode=0o644):
    pki.write(os.path.basename(path), content, mode)


def status(gateway):
    return gateway.admin_json("/config_status")


def serial(gateway, client=None):
    client = client or Tls(gateway.port, gateway.authority, "a.example")
    return int(client.socket.getpeercert()["serialNumber"], 16)


def wait_generation(gateway, number):
    wait_until(lambda: status(gateway)["generation"] == number, 5, f"generation {number}")


def wait_refusals(gateway, count):
    wait_until(lambda: status(gateway)["reloadsFailed"] >= count, 5, f"{count} refused reloads")
    return " ".join(status(gateway)["errors"])


@test("a pair is taken when both halves are new; before that the old one serves, and the refusal says why")
def renewed():
    gateway = start()
    old = Tls(gateway.port, gateway.authority, "a.example")
    eq(old.get("/get").status, 200, "status before")
    fresh = gateway.authority.issue("a.example")
    replace(gateway.leaf.cert, fresh.pem)
    said = wait_refusals(gateway, 1)
    check("the key is not that of the certificate" in said and gateway.leaf.cert in said, said)
    check("config.yaml:6:" in said, said)
    eq(serial(gateway), gateway.leaf.x509.serial_number, "the certificate between the halves")
    check("Failed to reload config" in gateway.stderr, "the log says nothing")
    replace(gateway.leaf.key, fresh.key_pem, 0o600)
    wait_generation(gateway, 2)
    eq(serial(gateway), fresh.x509.serial_number, "the certificate behind it")
    eq(status(gateway)["errors"], [], "errors")
    eq(old.get("/get").status, 200, "status of the connection from before")


@test("a link that is exchanged, as Kubernetes does with the files of a Secret, brings the new pair at once")
def exchanged_link():
    authority = Authority()
    leaf, fresh = authority.issue("a.example"), authority.issue("a.example")
    folder = os.path.join(tmpdir(), "secret")
    for number, pair in enumerate((leaf, fresh)):
        os.makedirs(f"{folder}/..{number}")
        os.symlink(pair.cert, f"{folder}/..{number}/tls.crt")
        os.symlink(pair.key, f"{folder}/..{number}/tls.key")
    os.symlink("..0", f"{folder}/..data")
    for name in ("tls.crt", "tls.key"):
        os.symlink(f"..data/{name}", f"{folder}/{name}")
    gateway = Gateway(CONFIG, origin=Origin(), cert=f"{folder}/tls.crt", key=f"{folder}/tls.key")
    gateway.authority = authority
    eq(serial(gateway), leaf.x509.serial_number, "the first")
    os.symlink("..1", f"{folder}/..next")
    os.rename(f"{folder}/..next", f"{folder}/..data")
    wait_generation(gateway, 2)
    eq(serial(gateway), fresh.x509.serial_number, "the second")
    eq(status(gateway)["reloadsFailed"], 0, "refused reloads")


@test("a connection from before does not name a certificate to a listener that has begun to name those of "
      "its clients, nor one that has ceased to: it is told to connect anew")
def forwarded():
    people = Authority("people")
    forged = {"X-Forwarded-Client-Cert": "Hash=00"}
    plain, named = MUTUAL, MUTUAL.replace("root: @root@", "root: @root@, forwardClientCertificate: true")
    gateway = start(plain, root=people.cert)
    shown = people.issue("alice.example", client=True)
    for config, wanted in ((named, True), (plain, False)):
        old = Tls(gateway.port, gateway.authority, "a.example", identity=shown)
        eq(old.get("/headers").status, 200, "status before")
        gateway.reload(config)
        eq(old.get("/headers", forged).status, 421, "status on the connection from before")
        client = Tls(gateway.port, gateway.authority, "a.example", identity=shown)
        told = client.get("/headers").json()["headers"]
        eq("x-forwarded-client-cert" in told, wanted, f"what the backend is told: {told}")


@test("authorities of clients are read anew: who was believed before is refused then")
def authorities():
    first, second = Authority("first"), Authority("second")
    gateway = start(MUTUAL, root=first.cert)
    shown = first.issue("client", client=True)
    eq(Tls(gateway.port, gateway.authority, "a.example", identity=shown).get("/get").status, 200, "status")
    replace(first.cert, second.pem)
    wait_generation(gateway, 2)
    refused(gateway.port, gateway.authority, "a.example", identity=shown)
    shown = second.issue("client", client=True)
    eq(Tls(gateway.port, gateway.authority, "a.example", identity=shown).get("/get").status, 200, "status")


@test("a connection from before is not served any more when the listener demands other certificates since")
def demands():
    people, others = Authority("people"), Authority("others")
    gateway = start(root=people.cert)
    for version in ("1.2", "1.3"):
        gateway.reload(CONFIG)
        old = Tls(gateway.port, gateway.authority, "a.example", version=version)
        eq(old.get("/get").status, 200, "status before")
        gateway.reload(MUTUAL)
        eq(old.get("/get").status, 421, "status without a certificate")
        shown = people.issue("client", client=True)
        old = Tls(gateway.port, gateway.authority, "a.example", identity=shown, version=version)
        eq(old.get("/get").status, 200, "status with one")
        gateway.reload(MUTUAL + "config: {}\n")
        eq(old.get("/get").status, 200, "status after a reload that changes something else")
        pem = people.pem
        replace(people.cert, others.pem)
        gateway.reload(MUTUAL)
        eq(old.get("/get").status, 421, "status with one that is not believed any more")
        replace(people.cert, pem)


@test("a key for its owner alone is read again after privileges were given up; another's is refused",
      needs=("root",))
def owners():
    for uid in (None, NOBODY):
        authority = Authority()
        leaf, fresh = authority.issue("a.example"), authority.issue("a.example")
        os.chown(leaf.key, uid or 0, uid or 0)
        gateway = start(leaf=leaf, uid=uid)
        gateway.authority = authority
        replace(leaf.cert, fresh.pem)
        wait_refusals(gateway, 1)
        # Of the other user: neither root without CAP_DAC_OVERRIDE nor a user may read it.
        replace(leaf.key, fresh.key_pem, 0o600)
        os.chown(leaf.key, 12345, 12345)
        wait_until(lambda: "may not be read by the user that the gateway runs as "
                   f"(uid {uid or 0})" in " ".join(status(gateway)["errors"]), 5, "the refusal")
        eq(serial(gateway), leaf.x509.serial_number, "the certificate")
        # Nothing but the owner changes: that is noticed, too.
        os.chown(leaf.key, uid or 0, uid or 0)
        wait_generation(gateway, 2)
        eq(serial(gateway), fresh.x509.serial_number, "the certificate behind it")
        gateway.stop()


@test("/config_dump and /certificates show names, dates, fingerprints, the metric when they end; never a key")
def shown():
    authority = Authority()
    leaf = authority.issue("a.example", "b.example", end=DAY * 60)
    gateway = start(MUTUAL, leaf=leaf, root=authority.cert)
    gateway.authority = authority
    dump = gateway.config_dump()
    listener = next(iter(dump["binds"][0]["listeners"].values()))
    tls = listener["protocol"]["HTTPS"]
    eq((tls["cert"], tls["key"], tls["root"], tls["clientAuth"]),
       (leaf.cert, leaf.key, authority.cert, "required"), "what was written")
    eq(tls["certificates"][0]["fingerprint"], leaf.fingerprint, "fingerprint in the dump")
    listed = gateway.admin_json("/certificates")
    eq([entry["use"] for entry in listed], ["listener", "authority"], "uses, by their end")
    entry = listed[0]
    eq((entry["names"], entry["fingerprint"], entry["subject"], entry["issuer"]),
       (["a.example", "b.example"], leaf.fingerprint, "CN=a.example", "CN=test authority"), "entry")
    eq(int(entry["serial"], 16), leaf.x509.serial_number, "serial")
    check(entry["daysLeft"] in (59, 60), f"daysLeft {entry['daysLeft']}")
    eq((entry["usedBy"], entry["uses"]), ([listener["key"]], 1), "used by")
    end = gateway.metrics()("headgate_certificate_expiry_timestamp_seconds", use="listener",
                            certificate="a.example", fingerprint=leaf.fingerprint)
    check(abs(end - time.time() - 60 * 86400) < 3600, f"ends at {end}")
    everything = json.dumps(dump) + json.dumps(listed)
    secret = leaf.key_pem.decode().split("\n")[1]
    check("PRIVATE KEY" not in everything and secret not in everything, "a key is shown")


@test("a certificate that ends soon, has ended or has not begun is a warning, with --validate-only, too")
def ends_soon():
    authority = Authority()
    cases = [(DAY * -9, DAY * 20.5, "expires in 20 days; replace it soon"),
             (DAY * -9, DAY * 2.5, "expires in 2 days; replace it now"),
             (DAY * -9, DAY * -1, "has expired"), (DAY * 1, DAY * 90, "is not valid yet")]
    for begin, end, words in cases:
        leaf = authority.issue("a.example", begin=begin, end=end)
        gateway = start(leaf=leaf)
        warnings = status(gateway)["warnings"]
        check(len(warnings) == 1 and words in warnings[0] and "a.example of listener default/" in warnings[0],
              f"{words}: {warnings}")
        code, out, error = run([binary("headgate"), "--validate-only", "-f", gateway.files["config.yaml"]],
                               env=SANITIZER_ENV)
        check(code == 0 and "1 warning" in out and words in error, f"{code}: {out}{error}")
        gateway.stop()


@test("three thousand names of one port are found, and their common certificate is loaded once")
def many_names():
    authority = Authority()
    leaf = authority.issue("*.many.example")
    listeners = "".join(f"""
  - name: n{number}
    protocol: HTTPS
    hostname: h{number}.many.example
    tls: {{cert: @cert@, key: @key@}}
    routes:
    - policies: {{directResponse: {{status: 200, body: n{number}}}}}""" for number in range(3000))
    gateway = start(f"binds:\n- port: @port@\n  listeners:{listeners}", leaf=leaf)
    for number in (0, 1499, 2999):
        client = Tls(gateway.port, authority, f"h{number}.many.example")
        eq(client.get("/").body, f"n{number}".encode(), f"listener of name {number}")
    refused(gateway.port, authority, "none.many.example")
    listed = gateway.admin_json("/certificates")
    eq([(entry["uses"], len(entry["usedBy"])) for entry in listed], [(3000, 16)], "uses")
