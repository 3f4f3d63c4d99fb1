# SPDX-License-Identifier: Apache-2.0
"""What lint knows about this tree: who may include whom, where each library lives, what may break a rule."""

# Directory of the including file -> what it may include (fnmatch, from the root). A file may always include
# its own directory. Layers: base 0, loop 1, net http gate obs 2, proxy 3, admin and main on top;
# policy and config's model beside them.
LAYERS = {
    "bpf": ["gen/vmlinux.h"],
    "user/base": [],
    "user/loop": ["user/base/*"],
    "user/net": ["user/base/*", "user/loop/*"],
    "user/http": ["user/base/*", "user/loop/*"],
    "user/gate": ["user/base/*", "user/loop/*", "bpf/*", "gen/*"],
    "user/obs": ["user/base/*", "user/loop/*"],
    "policy": [
        "user/base/*", "user/http/head.h", "user/http/fields.h", "user/http/target.h", "user/http/*.def",
        "config/model*.h", "config/errors.h", "config/snapshot.h", "config/policy_kinds.def",
        "config/duration.h",
    ],
    "config": ["user/base/*", "user/net/address.h", "policy/*.h", "policy/*.def"],
    "user/proxy": [
        "user/base/*", "user/loop/*", "user/net/*", "user/http/*", "user/gate/*", "user/obs/*", "policy/*",
        "config/model*.h", "config/snapshot.h", "config/policy_kinds.def",
    ],
    "admin": ["user/*/*", "policy/*", "config/*", "gen/version.h"],
    "user": ["user/*", "policy/*", "config/*", "admin/*", "gen/version.h"],
    # The backend judges the gateway: it shares nothing with it.
    "tests/origin": [],
    "tests/lib": ["user/base/*"],
    "tests/unit": ["user/*", "policy/*", "config/*", "admin/*", "bpf/*", "tests/lib/*", "gen/*"],
    "tests/fuzz": ["user/*", "policy/*", "config/*", "admin/*", "bpf/*", "tests/lib/*", "gen/*"],
    "tests/bpf": ["user/*", "policy/*", "config/*", "admin/*", "bpf/*", "tests/lib/*", "gen/*"],
    "scripts/bench": [],
}

# (file, include) pairs that break the table above, each with its reason.
LAYER_EXCEPTIONS = {
}

# Third-party header (fnmatch on what stands between < >) -> the only files that may include it.
HOMES = {
    "llhttp.h": ["user/http/h1_parse.c", "tests/fuzz/*"],
    "nghttp2/*": ["user/http/h2_internal.h"],
    "bpf/*": ["user/gate/*", "bpf/*", "tests/bpf/*"],
    "yaml.h": ["config/yaml.c"],
    "cjson/*": ["admin/json.c", "admin/json.h"],
    "cJSON.h": ["admin/json.c", "admin/json.h"],
    "zlib.h": ["admin/*.c"],
    "pcre2.h": ["policy/match_regex.c"],
    "cmocka.h": ["tests/unit/*", "tests/bpf/*", "tests/lib/*"],
}

# Pure code: time, bytes and randomness are arguments.
PURE = ["user/base/*.c", "user/http/*.c", "policy/*.c", "user/loop/timer.c"]
IMPURE = ["user/base/clock.c", "user/base/log.c", "user/base/mem.c", "user/base/check.c"]

# Files that are not measured: generated from a kernel's BTF, or texts of a licence.
UNMEASURED = ["bpf/vmlinux_fallback.h", "LICENSE", "bpf/LICENSE", "tests/fuzz/corpus/*"]

# Directories without a README of their own: data described by the directory above.
DATA_DIRS = ["tests/fuzz/corpus*", "tests/data*", "tests/*/data*"]
