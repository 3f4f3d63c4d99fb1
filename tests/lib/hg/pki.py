# SPDX-License-Identifier: Apache-2.0
"""A CA of the test: certificates of any age, name and kind, as files."""
import datetime
import functools
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hg.framework import tmpdir

DAY = datetime.timedelta(days=1)
PEM = serialization.Encoding.PEM


@functools.cache
def make_key(kind, number):
    """Returns a key; keys of the same kind and number are made only once per process, because that takes
    long."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def as_name(text):
    if "://" in text:
        return x509.UniformResourceIdentifier(text)
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def write(name, content, mode=0o644):
    path = os.path.join(tmpdir(), name)
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.rename(path + ".new", path)
    return path


class Certificate:
    """.cert .key: paths of PEM files (the chain behind the certificate); .pem .key_pem: their bytes; .x509"""

    def __init__(self, stem, certificate, key, chain=b""):
        self.x509, self.private, self.stem = certificate, key, stem
        self.pem = certificate.public_bytes(PEM) + chain
        self.key_pem = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.cert, self.key = write(stem + ".pem", self.pem), write(stem + ".key", self.key_pem, 0o600)

    @property
    def fingerprint(self):
        return ":".join(f"{byte:02X}" for byte in self.x509.fingerprint(hashes.SHA256()))

    def encrypted_key(self, password=b"secret"):
        """Path of the key, encrypted."""
        form = serialization.BestAvailableEncryption(password)
        text = self.private.private_bytes(PEM, serialization.PrivateFormat.PKCS8, form)
        return write(self.stem + ".encrypted.key", text, 0o600)

    def der(self):
        return write(self.stem + ".der", self.x509.public_bytes(serialization.Encoding.DER))


class Authority(Certificate):
    """Authority("name").issue("a.example", "*.b.example", "127.0.0.1"): .cert is the CA file to trust."""

    made = 0

    def __init__(self, name="test authority", parent=None):
        key = make_key("ec", f"authority {name}")
        self.parent = parent
        issuer = parent.x509.subject if parent else None
        certificate = self._sign(name, key, [], DAY * -1, DAY * 365, issuer, parent, is_authority=True)
        super().__init__(self._stem(name), certificate, key, parent.pem if parent and parent.parent else b"")

    @classmethod
    def _stem(cls, name):
        Authority.made += 1
        return f"pki-{Authority.made}-" + "".join(c if c.isalnum() else "_" for c in name)

    @staticmethod
    def _sign(name, key, names, begin, end, issuer, signer, is_authority=False, usage=None):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now + begin).not_valid_after(now + end)
                   .add_extension(x509.BasicConstraints(is_authority, None), critical=True))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([as_name(n) for n in names]), False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usage), False)
        signing = signer.private if signer else key
        digest = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return builder.sign(signing, digest)

    def issue(self, *names, key="ec", cn=None, begin=DAY * -1, end=DAY * 90, client=False, self_signed=False):
        """Issues a certificate for the names; begin, end: relative to now. client: for clients only."""
        self.made_here = getattr(self, "made_here", 0) + 1
        private = make_key(key, f"leaf {self.made_here}")
        usage = [ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH]
        cn = cn or (names[0] if names else "nobody")
        certificate = self._sign(cn, private, names, begin, end, None if self_signed else self.x509.subject,
                                 None if self_signed else self, usage=usage)
        return Certificate(self._stem(cn), certificate, private, self.pem if self.parent else b"")
