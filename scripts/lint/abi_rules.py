# SPDX-License-Identifier: Apache-2.0
"""Pins outlive their build: the data they hold must not change without a new SOCKMAP_ABI_VERSION."""
import hashlib
import re

from source import line_of, without_comments

ABI = "bpf/abi.h"
VERSION = re.compile(r"^#define SOCKMAP_ABI_VERSION (\d+)u$", re.M)
FINGERPRINT = re.compile(r'^#define SOCKMAP_ABI_FINGERPRINT "([^"]*)"$', re.M)
ENUM = re.compile(r"\benum \w+ \{.*?\};", re.S)
REASON = re.compile(r"^SOCKMAP_REASON\((\w+), \"\w+\", ([01]),", re.M)


def declared(tree):
    """The definitions that user space and the BPF program share, without comments and layout."""
    abi = FINGERPRINT.sub("", without_comments(tree.text(ABI), strings=False))
    parts = [abi]
    if "bpf/maps.h" in tree.paths:
        parts.append(without_comments(tree.text("bpf/maps.h"), strings=False))
    if "bpf/sockmap_reasons.def" in tree.paths:
        parts += [" ".join(row) for row in REASON.findall(tree.text("bpf/sockmap_reasons.def"))]
    if "bpf/chunked.h" in tree.paths:
        parts += ENUM.findall(without_comments(tree.text("bpf/chunked.h"), strings=False))
    return [" ".join(part.split()) for part in parts]


def check_abi(tree):
    if ABI not in tree.paths:
        return
    text = tree.text(ABI)
    version, fingerprint = VERSION.search(text), FINGERPRINT.search(text)
    if not version or not fingerprint:
        yield ABI, 1, "define SOCKMAP_ABI_VERSION as a number with u, and SOCKMAP_ABI_FINGERPRINT as a string"
        return
    want = hashlib.sha256("\n".join(declared(tree)).encode()).hexdigest()[:16]
    if fingerprint.group(1) == want:
        return
    number = int(version.group(1))
    # The version is part of the fingerprint, so after raising it this message shows the new fingerprint.
    yield ABI, line_of(text, version.start()), (
        f"what pins carry is not that of fingerprint {fingerprint.group(1)}: raise SOCKMAP_ABI_VERSION above "
        f"that of the last build ({number} is written here), then write SOCKMAP_ABI_FINGERPRINT \"{want}\"")
