#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes jwt_vectors.h: tokens signed by PyJWT and cryptography, correct ones and all kinds of wrong ones.

    tests/unit/jwt_vectors.py >tests/unit/jwt_vectors.h
"""
import base64
import hashlib
import hmac
import json

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

NOW = 1_800_000_000
CLAIMS = {"iss": "https://issuer.example", "aud": ["other", "gateway"], "sub": "alice", "exp": NOW + 600}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, size=None):
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def public(key, kid, **more):
    numbers = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = numbers.public_numbers()
        jwk = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        numbers, size = numbers.public_numbers(), (key.curve.key_size + 7) // 8
        name = {256: "P-256", 384: "P-384", 521: "P-521"}[key.curve.key_size]
        jwk = {"kty": "EC", "crv": name, "x": number(numbers.x, size), "y": number(numbers.y, size)}
    else:
        raw = numbers.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
    return {**jwk, "kid": kid, **more}


RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
SHORT = rsa.generate_private_key(65537, 1024)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
P521 = ec.generate_private_key(ec.SECP521R1())
ED = ed25519.Ed25519PrivateKey.generate()
KEYS = [public(RSA, "rsa"), public(P256, "p256", use="sig"), public(P384, "p384"),
        public(ED, "ed", alg="EdDSA"), public(RSA, "rs512", alg="RS512"),
        # Left out:
        public(SHORT, "short"), public(P521, "p521"), public(RSA, "enc", use="enc"),
        {"kty": "oct", "kid": "secret", "k": b64(b"x" * 32)},
        {k: v for k, v in public(RSA, "").items() if k != "kid"}]


def sign(alg, kid, key, claims=CLAIMS, **headers):
    return jwt.encode(claims, key, algorithm=alg, headers={"kid": kid, **headers})


def raw(header, claims=CLAIMS, signer=None):
    parts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims))
    text = ".".join(map(b64, parts))
    signer = signer or (lambda data: RSA.sign(data, padding.PKCS1v15(), hashes.SHA256()))
    signature = signer(text.encode())
    return text + "." + (b64(signature) if signature else "")


def but(**changes):
    return {k: v for k, v in {**CLAIMS, **changes}.items() if v is not None}


def secret_of(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def tokens():
    good = sign("RS256", "rsa", RSA)
    head, body, signature = good.split(".")
    header = {"alg": "RS256", "kid": "rsa"}
    for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"):
        yield alg, "GOOD", sign(alg, "rsa", RSA)
    yield "ES256", "GOOD", sign("ES256", "p256", P256)
    yield "ES384", "GOOD", sign("ES384", "p384", P384)
    yield "EdDSA", "GOOD", sign("EdDSA", "ed", ED)
    yield "RS512 with a key of RS512", "GOOD", sign("RS512", "rs512", RSA)
    yield "one audience as a string", "GOOD", sign("RS256", "rsa", RSA, but(aud="gateway"))
    yield "dates with fractions", "GOOD", raw(header, but(exp=NOW + 0.5, nbf=NOW + 59.5))
    yield "expired within the leeway", "GOOD", sign("RS256", "rsa", RSA, but(exp=NOW - 59))
    yield "escapes in names of claims' values", "GOOD", raw(
        header, json.dumps(CLAIMS).replace("gateway", "g\\u0061teway").encode())
    # The algorithm
    yield "none", "MALFORMED", raw({"alg": "none", "kid": "rsa"}, signer=lambda text: b"")
    yield "none with a signature", "ALGORITHM", raw({"alg": "none", "kid": "rsa"})
    yield "NONE", "ALGORITHM", raw({"alg": "NONE", "kid": "rsa"})
    yield "no alg", "ALGORITHM", raw({"kid": "rsa"})
    yield "alg is a number", "ALGORITHM", raw({"alg": 1, "kid": "rsa"})
    yield "rs256 in lower case", "ALGORITHM", raw({"alg": "rs256", "kid": "rsa"})
    yield "HS256 with the public key as secret", "ALGORITHM", raw(
        {"alg": "HS256", "kid": "rsa"}, signer=lambda t: hmac.new(secret_of(RSA), t, hashlib.sha256).digest())
    yield "HS256 with the secret of the set", "ALGORITHM", raw(
        {"alg": "HS256", "kid": "secret"}, signer=lambda t: hmac.new(b"x" * 32, t, hashlib.sha256).digest())
    yield "ES256 with an RSA key", "KEY_TYPE", raw({"alg": "ES256", "kid": "rsa"})
    yield "RS256 with a key of P-256", "KEY_TYPE", raw({"alg": "RS256", "kid": "p256"})
    yield "ES256 with a key of P-384", "KEY_TYPE", raw({"alg": "ES256", "kid": "p384"})
    yield "EdDSA with an RSA key", "KEY_TYPE", raw({"alg": "EdDSA", "kid": "rsa"})
    yield "RS256 with a key of RS512", "KEY_TYPE", sign("RS256", "rs512", RSA)
    yield "ES512", "ALGORITHM", sign("ES512", "p521", P521)
    # The key
    yield "no kid", "NO_KID", jwt.encode(CLAIMS, RSA, algorithm="RS256")
    yield "empty kid", "NO_KID", sign("RS256", "", RSA)
    yield "kid is a number", "NO_KID", raw({"alg": "RS256", "kid": 1})
    yield "unknown kid", "UNKNOWN_KEY", sign("RS256", "nobody", RSA)
    yield "a key that is too short", "UNKNOWN_KEY", sign("RS256", "short", SHORT)
    yield "a key for encryption", "UNKNOWN_KEY", sign("RS256", "enc", RSA)
    yield "another key with this kid", "SIGNATURE", sign("RS256", "rsa", OTHER)
    yield "the key in the header", "SIGNATURE", sign("RS256", "rsa", OTHER, jwk=public(OTHER, "rsa"))
    # The signature
    yield "no signature", "MALFORMED", head + "." + body + "."
    yield "two parts", "MALFORMED", head + "." + body
    yield "four parts", "MALFORMED", good + "." + signature
    changed = ("B" if signature[0] == "A" else "A") + signature[1:]
    yield "a changed signature", "SIGNATURE", head + "." + body + "." + changed
    yield "half a signature", "SIGNATURE", head + "." + body + "." + signature[:172]
    changed = b64(json.dumps(but(sub="bob")).encode())
    yield "changed claims", "SIGNATURE", head + "." + changed + "." + signature
    yield "PS256 signed as RS256", "SIGNATURE", raw({"alg": "PS256", "kid": "rsa"})
    yield "ES256 in DER", "SIGNATURE", raw({"alg": "ES256", "kid": "p256"},
                                          signer=lambda t: P256.sign(t, ec.ECDSA(hashes.SHA256())))
    yield "ES256 of zeros", "SIGNATURE", raw({"alg": "ES256", "kid": "p256"}, signer=lambda t: bytes(64))
    # The text
    yield "padding", "MALFORMED", head + "=." + body + "." + signature
    yield "a blank at the end", "MALFORMED", good + " "
    yield "a blank in front", "MALFORMED", " " + good
    yield "empty", "MALFORMED", ""
    yield "dots", "MALFORMED", ".."
    yield "standard base64", "MALFORMED", head + "." + body + "." + signature[:-3] + "+/A"
    changed = signature[:-1] + chr(ord(signature[-1]) + 1)
    yield "bits behind the last byte", "MALFORMED", head + "." + body + "." + changed
    yield "crit", "CRITICAL", raw({**header, "crit": ["b64"], "b64": False})
    yield "empty crit", "CRITICAL", raw({**header, "crit": []})
    yield "alg twice", "MALFORMED", raw(b'{"alg":"RS256","alg":"none","kid":"rsa"}')
    yield "alg with an escape", "MALFORMED", raw(b'{"\\u0061lg":"RS256","kid":"rsa"}')
    yield "header is a list", "MALFORMED", raw(b'["RS256"]')
    yield "claims are a string", "MALFORMED", raw(header, b'"alice"')
    yield "claims are no JSON", "MALFORMED", raw(header, b'{"iss":')
    yield "claims are no UTF-8", "MALFORMED", raw(header, b'{"iss":"\xff"}')
    yield "iss twice", "MALFORMED", raw(
        header, b'{"iss":"https://evil.example","iss":"https://issuer.example",'
                b'"exp":1800000600,"aud":"gateway"}')
    yield "exp twice", "MALFORMED", raw(
        header, b'{"iss":"https://issuer.example","exp":1,"exp":1800000600,"aud":"gateway"}')
    # The claims
    yield "no iss", "ISSUER", sign("RS256", "rsa", RSA, but(iss=None))
    yield "another iss", "ISSUER", sign("RS256", "rsa", RSA, but(iss="https://issuer.example/"))
    yield "iss in another case", "ISSUER", sign("RS256", "rsa", RSA, but(iss="https://ISSUER.example"))
    yield "iss is a list", "ISSUER", raw(header, but(iss=["https://issuer.example"]))
    yield "no aud", "AUDIENCE", sign("RS256", "rsa", RSA, but(aud=None))
    yield "another aud", "AUDIENCE", sign("RS256", "rsa", RSA, but(aud="gateway2"))
    yield "empty aud", "AUDIENCE", sign("RS256", "rsa", RSA, but(aud=[]))
    yield "aud in a list in a list", "AUDIENCE", raw(header, but(aud=[["gateway"]]))
    yield "aud as a name", "AUDIENCE", raw(header, but(aud={"gateway": "gateway2"}))
    yield "no exp", "CLAIM", sign("RS256", "rsa", RSA, but(exp=None))
    yield "exp is null", "CLAIM", raw(header, but(exp=None) | {"exp": None})
    yield "expired", "EXPIRED", sign("RS256", "rsa", RSA, but(exp=NOW - 60))
    yield "exp is a string", "MALFORMED", raw(header, but(exp=str(NOW + 600)))
    yield "exp is negative", "EXPIRED", raw(header, but(exp=-1))
    yield "exp is endless", "MALFORMED", raw(
        header, json.dumps(CLAIMS).replace(str(NOW + 600), "1e999").encode())
    yield "exp has too many digits", "MALFORMED", raw(header, but(exp=10 ** 40))
    yield "not yet", "NOT_YET", sign("RS256", "rsa", RSA, but(nbf=NOW + 61))
    yield "nbf is a string", "MALFORMED", raw(header, but(nbf="0"))
    # Sizes
    yield "many claims", "TOO_LONG", sign("RS256", "rsa", RSA, but(pad="x" * 8192))
    yield "a long header", "TOO_LONG", sign("RS256", "rsa", RSA, pad="x" * 2048)
    yield "deep claims", "MALFORMED", raw(header, b'{"iss":' + b"[" * 600 + b"]" * 600 + b"}")


def quoted(text):
    """In lines of 100 bytes. Four equal ones, of padding, are one, as are four equal such lines."""
    pieces = [text[i:i + 100] for i in range(0, len(text), 100)] or [""]
    lines = ['"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces]
    at = 0
    while at + 4 <= len(lines):
        if len(set(lines[at:at + 4])) == 1:
            lines[at:at + 4] = [f"FOUR({lines[at]})"]
            at = max(at - 4, 0)
        else:
            at += 1
    return "\n\t".join(lines)


print("""/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/auth/jwt.h"

/* Written by jwt_vectors.py with PyJWT %s. */
/* clang-format off */""" % jwt.__version__)
print("#define FOUR(text) text text text text")
print(f"#define VECTOR_NOW {NOW}\n#define VECTOR_KEYS {len(KEYS)}\n#define VECTOR_GOOD_KEYS 5\n")
keys = json.dumps({"keys": KEYS}, separators=(",", ":"))
print("static const char vector_set[] =\n\t" + quoted(keys) + ";\n")
print("static const struct {\n\tconst char *name;\n\tenum jwt_fault fault;\n\tconst char *token;\n"
      "} vectors[] = {")
for name, fault, token in tokens():
    print(f'\t{{ "{name}", JWT_{fault},\n\t{quoted(token)} }},')
print("};\n/* clang-format on */")
