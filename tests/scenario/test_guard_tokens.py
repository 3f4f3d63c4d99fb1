# SPDX-License-Identifier: Apache-2.0
"""Tokens of every algorithm get in; forged, ambiguous and outdated ones, and those of poor keys, do not."""
import gzip
import hashlib
import hmac
import json
import os
import select
import threading
import time

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from credentials import (PASSWORD, Issuer, basic, bearer, claims_of, encoded, htpasswd, public_jwk, token,
                         written)
from hg import *
from plays import acted, play

ROUTE = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies:
        %s
      backends: [{host: @origin@}]
"""
JWT = "jwtAuth: {mode: strict, issuer: 'https://issuer', audiences: [gw], jwks: %s}"


def p256():
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key(bits=2048):
    return rsa.generate_private_key(65537, bits)


def keyed(keys, more=""):
    """A policy with these keys in a file."""
    return ROUTE % (JWT % ("{file: %s}" % written("keys.json", json.dumps({"keys": keys})))) + more


def joined(*parts):
    return ".".join(part if isinstance(part, str) else encoded(part) for part in parts)


def signed(key, head, body):
    """A token whose header and claims are this text, whatever it is."""
    data = joined(head.encode(), body.encode()).encode()
    if isinstance(key, rsa.RSAPrivateKey):
        return joined(data.decode(), key.sign(data, padding.PKCS1v15(), hashes.SHA256()))
    return joined(data.decode(), jwt.algorithms.ECAlgorithm(hashes.SHA256).sign(data, key))


@test("tokens of every algorithm that is accepted get in, with the key of their kid alone", timeout=60)
def algorithms():
    keys = {"rsa": rsa_key(), "p256": p256(), "p384": ec.generate_private_key(ec.SECP384R1()),
            "ed": ed25519.Ed25519PrivateKey.generate()}
    fits = {"rsa": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "p256": ("ES256",),
            "p384": ("ES384",),
            "ed": ("EdDSA",)}
    gateway, _ = play(keyed([{**public_jwk(key), "kid": kid} for kid, key in keys.items()]))
    for kid, key in keys.items():
        for algorithm in fits[kid]:
            good = token(key, kid, algorithm)
            eq(gateway.fetch("/get", headers=bearer(good)).status, 200, algorithm)
            for other in keys:
                if other != kid:
                    eq(gateway.fetch("/get", headers=bearer(token(key, other, algorithm))).status, 401,
                       f"{algorithm} with the key {other}")
            head, body, signature = good.split(".")
            for wrong in {one for one in sum(fits.values(), ()) if one != algorithm} | {
                    algorithm.lower(), "ES512", "ES256K", "HS256", "none", "None", "nOnE", "", "RSA"}:
                changed = joined(json.dumps({"alg": wrong, "kid": kid}).encode(), body, signature)
                if wrong != algorithm:
                    eq(gateway.fetch("/get", headers=bearer(changed)).status, 401,
                       f"{algorithm} as {wrong!r}")


def forged(key, attacker):
    """(name, token) that a stranger, or a careless issuer, could write."""
    good = token(key, "one")
    head, body, signature = good.split(".")
    raw = json.dumps(claims_of())
    plain = '{"alg":"RS256","kid":"one"}'
    pem = key.public_key().public_bytes(serialization.Encoding.PEM,
                                        serialization.PublicFormat.SubjectPublicKeyInfo)
    der = key.public_key().public_bytes(serialization.Encoding.DER,
                                        serialization.PublicFormat.SubjectPublicKeyInfo)
    for name, secret in (("PEM", pem), ("DER", der), ("n", public_jwk(key)["n"].encode()), ("nothing", b"")):
        for algorithm, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
            data = joined(json.dumps({"alg": algorithm, "kid": "one"}).encode(), raw.encode())
            yield f"{algorithm} with the {name} of the key", joined(
                data, hmac.new(secret, data.encode(), digest).digest())
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        unsigned = joined(json.dumps({"alg": algorithm, "kid": "one"}).encode(), raw.encode())
        yield f"alg {algorithm!r} without a signature", unsigned + "."
        yield f"alg {algorithm!r} with a signature", joined(unsigned, signature)
        yield f"alg {algorithm!r} without the second dot", unsigned
    yield "no signature", joined(head, body) + "."
    yield "two parts", joined(head, body)
    yield "four parts", good + "." + signature
    yield "five parts, as if encrypted", joined(head, "", body, "", signature)
    yield "only dots", ".."
    yield "no claims", joined(head, "", signature)
    yield "no header", joined("", body, signature)
    own = public_jwk(attacker)
    for name, more in (("its own key", {"jwk": {**own, "kid": "one"}}),
                       ("an address of keys", {"jku": "http://x/"}),
                       ("a certificate", {"x5c": ["AAAA"]}),
                       ("an address of certificates", {"x5u": "http://x/"})):
        yield f"signed by a stranger, with {name}", token(attacker, "one", head=more)
    for kid in ("", "two", "ONE", "one\0", "one ", "../one", "/dev/null", "one' or '1'='1", "*", "o" * 5000):
        yield f"kid {kid[:20]!r}", token(key, kid)
    for name, text in (("no kid", '{"alg":"RS256"}'), ("a kid that is a number", '{"alg":"RS256","kid":1}'),
                       ("a kid that is null", '{"alg":"RS256","kid":null}'),
                       ("a kid that is a list", '{"alg":"RS256","kid":["one"]}'),
                       ("no alg", '{"kid":"one"}'),
                       ("an alg that is a list", '{"alg":["RS256"],"kid":"one"}'),
                       ("two algs", '{"alg":"none","kid":"one","alg":"RS256"}'),
                       ("crit", '{"alg":"RS256","kid":"one","crit":["b64"]}'),
                       ("crit that is empty", '{"alg":"RS256","kid":"one","crit":[]}'),
                       ("crit with a known name", '{"alg":"RS256","kid":"one","crit":["exp"],"exp":1}'),
                       ("text behind the header", plain + "x"), ("a list around the header", f"[{plain}]"),
                       ("no JSON", "alg"), ("nothing as header", "{}"),
                       ("a header nested deeply",
                        '{"alg":"RS256","kid":"one","x":' + "[" * 600 + "]" * 600 + "}")):
        yield name, signed(key, text, raw)
    later, past = int(time.time()) + 600, int(time.time()) - 3600
    for name, claims in (
            ("expired", {"exp": past}), ("expired at 0", {"exp": 0}), ("expired before 1970", {"exp": -1}),
            ("no exp", {"exp": None}), ("exp as text", {"exp": str(later)}), ("exp true", {"exp": True}),
            ("exp as a list", {"exp": [later]}), ("exp as an object", {"exp": {"x": later}}),
            ("not yet valid", {"nbf": later}), ("nbf as text", {"nbf": "1"}), ("nbf as a list", {"nbf": [1]}),
            ("another issuer", {"iss": "https://evil"}), ("a longer issuer", {"iss": "https://issuer/"}),
            ("an issuer in another case", {"iss": "https://ISSUER"}), ("no issuer", {"iss": None}),
            ("an issuer and a NUL", {"iss": "https://issuer\0.evil"}),
            ("a list of issuers", {"iss": ["https://issuer"]}),
            ("another audience", {"aud": "x"}), ("a longer audience", {"aud": "gw2"}),
            ("no audience", {"aud": None}),
            ("an empty list of audiences", {"aud": []}), ("other audiences", {"aud": ["a", "b"]}),
            ("an audience that is a number", {"aud": 1}), ("an audience in another case", {"aud": "GW"}),
            ("audiences in one text", {"aud": "a gw"}), ("an object of audiences", {"aud": {"gw": True}}),
            ("audiences in a list of a list", {"aud": [["gw"]]}), ("claims beyond 8 KiB", {"x": "y" * 8200}),
            ("a token beyond 16 KiB", {"x": "y" * 17000})):
        yield name, token(key, "one", **claims)
    claims = raw[1:-1]
    for name, text in (("a list of claims", f"[{raw}]"), ("claims that are a text", '"x"'), ("no object", ""),
                       ("text behind the claims", raw + "x"), ("two objects", raw + raw),
                       ("exp as NaN", raw.replace(str(json.loads(raw)["exp"]), "NaN")),
                       ("exp beyond every number", raw.replace(str(json.loads(raw)["exp"]), "1e999")),
                       ("an exp that is replaced by an old one", f'{{{claims},"exp":{past}}}'),
                       ("an exp before which stands an old one", f'{{"exp":{past},{claims}}}'),
                       ("an issuer that is replaced", f'{{{claims},"iss":"https://evil"}}'),
                       ("an audience that is replaced", f'{{{claims},"aud":"x"}}'),
                       ("bytes that are no UTF-8", raw.replace("alice", "\udcff"))):
        data = joined(plain.encode(), text.encode("utf-8", "surrogateescape"))
        yield name, joined(data, key.sign(data.encode(), padding.PKCS1v15(), hashes.SHA256()))
    for name, text in (("padded", f"{head}.{body}.{signature}=="),
                       ("padded claims", f"{head}.{body}=.{signature}"),
                       ("a blank", f"{head}. {body}.{signature}"),
                       ("another alphabet", good.replace("-", "+").replace("_", "/") + "/"),
                       ("a newline encoded", f"{head}.{body}%0A.{signature}"), ("in quotes", f'"{good}"'),
                       ("a signature of zeros", f"{head}.{body}." + encoded(b"\0" * 256)),
                       ("a signature of n", f"{head}.{body}." + public_jwk(key)["n"]),
                       ("a longer signature", f"{head}.{body}.AA{signature}"),
                       ("another last character", good[:-1] + chr(ord(good[-1]) ^ 1)),
                       ("the claims of another token",
                        joined(head, json.dumps(claims_of(sub="root")).encode(), signature))):
        yield name, text


@test("no forged, ambiguous or outdated token gets in, as the first one or when a right one is remembered",
      timeout=90)
def forgeries():
    key, attacker = rsa_key(), rsa_key()
    gateway, backend = acted(keyed([{**public_jwk(key), "kid": "one"}]))
    passed = []
    for warm in (False, True):
        if warm:
            client = gateway.client().request("GET", "/x", headers=bearer(token(key, "one")))
            upstream = backend.accept()
            upstream.read_request()
            upstream.respond(200, [("Connection", "close")])
            eq(client.response().status, 200, "a right one")
        for name, text in forged(key, attacker):
            client = gateway.client().request("GET", "/x", headers=bearer(text))
            if backend_was_dialled(client, backend):
                passed.append(name)
                continue
            status = client.response().status
            if status not in (400, 401, 431):
                passed.append(f"{name}: {status}")
    eq(passed, [], "tokens that got in")


def backend_was_dialled(client, backend):
    """Whether the request of this client went on; it is answered then."""
    select.select([client.socket, backend.socket], [], [], 20)
    if not select.select([backend.socket], [], [], 0)[0]:
        return False
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond(200, [("Connection", "close")])
    client.response()
    return True


@test("keys that must not verify tokens let none in: short, private, symmetric, of encryption, without kid")
def poor_keys():
    strong, short, big = rsa_key(), rsa_key(1024), ec.generate_private_key(ec.SECP521R1())
    point = public_jwk(p256())
    secret = b"0123456789abcdef0123456789abcdef"
    entry = lambda key, **more: {**public_jwk(key), "kid": "one", **more}  # noqa: E731
    symmetric = {"kty": "oct", "k": encoded(secret), "kid": "one", "alg": "HS256"}
    shared = jwt.encode(claims_of(), secret, algorithm="HS256", headers={"kid": "one"})
    unnamed = jwt.encode(claims_of(), strong, algorithm="RS256")
    for name, poor, text in (
            ("RSA of 1024 bits", entry(short), token(short, "one")), ("a shared secret", symmetric, shared),
            ("a key of encryption", entry(strong, use="enc"), token(strong, "one")),
            ("a key that may sign alone", entry(strong, key_ops=["sign"]), token(strong, "one")),
            ("a key of another algorithm", entry(strong, alg="RS512"), token(strong, "one")),
            ("P-521", entry(big), token(big, "one", "ES512")),
            ("no kid", {**public_jwk(strong)}, unnamed),
            ("an empty kid", entry(strong, kid=""), token(strong, "")),
            ("a kid that is a number", entry(strong, kid=1), token(strong, "1")),
            ("a point that is not on the curve", {**point, "y": point["x"], "kid": "one"},
             token(p256(), "one")),
            ("another type", entry(strong, kty="EC"), token(strong, "one")),
            ("an even exponent", entry(strong, e="Ag"), token(strong, "one")),
            ("exponent 1", entry(strong, e="AQ"), token(strong, "one")),
            ("modulus 0", entry(strong, n="AA"), token(strong, "one"))):
        text_of = ROUTE % (JWT % ("{file: %s}" % written("poor.json", json.dumps({"keys": [poor]}))))
        status, _, errors = validate(text_of, origin="127.0.0.1:1")
        if status != 0:
            check("jwtAuth.jwks" in errors, f"{name}: {errors}")
            continue
        gateway, backend = acted(text_of)
        for each in (text, shared, unnamed):
            client = gateway.client().request("GET", "/x", headers=bearer(each))
            check(not backend_was_dialled(client, backend), f"{name}: got in")
            check(client.response().status in (401, 503), name)
        gateway.stop()


SETS = (("nothing", ""), ("no JSON", "{keys"), ("no keys", '{"keys": []}'), ("no list", '{"keys": {}}'),
        ("another object", "{}"), ("a list", "[]"), ("null", "null"), ("keys of null", '{"keys": [null]}'),
        ("16 MiB", "16"))


@test("a file of keys that is empty, broken or gone lets none in; the old ones stay",
      timeout=120)
def broken_sets():
    key = p256()
    text = keyed([{**public_jwk(key), "kid": "one"}])
    path = os.path.join(tmpdir(), "keys.json")
    good = open(path, encoding="ascii").read()
    good_token = bearer(token(key, "one"))
    gateway, _ = play(text)
    others = [bearer(token(p256(), "one")), [], bearer(token(key, "two"))]
    for name, content in SETS:
        content = " " * (16 << 20) if content == "16" else content
        before = gateway.admin("/config_status").body
        written("keys.json", content)
        wait_until(lambda before=before: gateway.admin("/config_status").body != before, 20,
                   f"the reload: {name}")
        took = gateway.admin_json("/config_status")["lastReloadOk"]
        eq(gateway.fetch("/get", headers=good_token).status in (401, 503) if took else
           gateway.fetch("/get", headers=good_token).status == 200, True, f"{name}, loaded: {took}")
        for other in others:
            check(gateway.fetch("/get", headers=other).status in (401, 503), f"{name}: {other}")
        status, _, errors = validate(text, origin="127.0.0.1:1")
        check(status == 0 or "jwtAuth.jwks" in errors, f"{name}: {errors}")
    os.unlink(path)
    time.sleep(0.5)
    check(gateway.fetch("/get", headers=others[0]).status == 401, "a file that is gone")
    written("keys.json", good)
    wait_until(lambda: gateway.fetch("/get", headers=good_token).status == 200, 20, "the right file again")


@test("an htpasswd that is empty, of comments or broken lets none in; the old one stays",
      timeout=90)
def broken_users():
    good = htpasswd("alice", "-m") + "\n"
    text = ROUTE % ("basicAuth: {mode: strict, htpasswd: {file: %s}}" % written("users", good))
    gateway, _ = play(text)
    alice = [basic("alice")]
    for name, content in (("nothing", ""), ("comments", "# alice\n\n"), ("no colon", "alice\n"),
                          ("no hash", "alice:\n"), ("plain text", f"alice:{PASSWORD}\n"),
                          ("no name", good[5:]),
                          ("a disabled hash", "alice:!\n"), ("a locked hash", "alice:*\n"),
                          ("a cut hash", good[:-5] + "\n"), ("an unknown hash", "alice:$9$abc$def\n"),
                          ("twice", good + "alice:" + htpasswd("alice", "-s").split(":", 1)[1] + "x\n")):
        written("users", good)
        wait_until(lambda: gateway.fetch("/get", headers=alice).status == 200, 20,
                   f"the right file before {name}")
        before = gateway.admin("/config_status").body
        written("users", content)

        def has_reloaded(before=before):
            # The right file is loaded again as well, perhaps only now, if a refused one was there before.
            if gateway.admin("/config_status").body == before:
                return False
            took = gateway.admin_json("/config_status")["lastReloadOk"]
            return gateway.fetch("/get", headers=alice).status == (401 if took else 200)
        wait_until(has_reloaded, 20, f"the reload, and what it says: {name}")
        for headers in ([], [basic("alice", "")], [basic("", "")], [basic("alice", "!")],
                        [basic("alice", "*")],
                        [basic("alice", "x")], [basic("", PASSWORD)], [basic("# alice", "")]):
            eq(gateway.fetch("/get", headers=headers).status, 401, f"{name}: {headers}")
        status, _, errors = validate(text, origin="127.0.0.1:1")
        check(status == 0 or "basicAuth.htpasswd" in errors, f"{name}: {errors}")


@test("a server of keys that hangs holds no request: 503 before the first keys, the old ones afterwards",
      timeout=120, waits=True)
def slow_server():
    issuer = Issuer()
    key = issuer.add("one")
    issuer.hold = threading.Event()
    gateway, _ = play(ROUTE % (JWT % f"{{url: '{issuer.url}'}}"))
    right = bearer(token(key, "one"))
    for _ in range(3):
        eq(gateway.fetch("/get", headers=right).status, 503, "before the first keys")
        eq(gateway.fetch("/get").status, 401, "without a token")
    issuer.hold.set()
    wait_until(lambda: gateway.fetch("/get", headers=right).status == 200, 60, "the keys")
    issuer.hold, asked = threading.Event(), issuer.asked
    unknown = bearer(token(p256(), "two"))
    wait_until(lambda: gateway.fetch("/get", headers=unknown).status == 401 and issuer.asked > asked, 40,
               "a request for keys that hangs")
    for _ in range(5):
        eq(gateway.fetch("/get", headers=right).status, 200, "with the old keys")
        check(gateway.fetch("/get", headers=unknown).status in (401, 503), "an unknown key")
    issuer.hold.set()


@test("a bad answer of a server of keys, also of many bytes or none, leaves the old keys in force",
      timeout=240,
      waits=True, long=True)
def bad_answers():
    issuer = Issuer()
    key = issuer.add("one")
    gateway, _ = play(ROUTE % (JWT % f"{{url: '{issuer.url}'}}"))
    right, stranger = bearer(token(key, "one")), p256()
    wait_until(lambda: gateway.fetch("/get", headers=right).status == 200, 40, "the keys")
    other = json.dumps({"keys": [{**public_jwk(stranger), "kid": "two"}]}).encode()
    for status, headers, body in ((200, {}, b""), (200, {}, b"<html>"), (200, {}, b'{"keys": []}'),
                                  (200, {}, b" " * (4 << 20)), (200, {}, other[:-1]), (404, {}, other),
                                  (500, {}, other), (302, {"Location": "/other"}, other),
                                  (200, {"Content-Encoding": "gzip"}, gzip.compress(other)), (206, {}, other),
                                  (203, {"Cache-Control": "max-age=999999999999999999999"}, b"null")):
        issuer.status, issuer.headers, issuer.body, asked = status, headers, body, issuer.asked
        unknown = bearer(token(stranger, "two"))
        wait_until(lambda unknown=unknown, asked=asked: gateway.fetch(
            "/get", headers=unknown).status in (401, 503) and issuer.asked > asked, 40,
            f"{status} {body[:20]}")
        time.sleep(0.3)
        eq(gateway.fetch("/get", headers=right).status, 200, f"the old key after {status} {body[:20]}")
        check(gateway.fetch("/get", headers=unknown).status in (401, 503),
              f"the other key: {status} {headers}")
