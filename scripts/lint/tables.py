# SPDX-License-Identifier: Apache-2.0
"""The tables of lint: what each layer may include, where each library is used, what may break a rule."""

# Directory of the including file -> allowed includes (fnmatch, from the root). A file may always include its
# own directory. From the bottom up:
#   base < loop, http, obs, kernel/common < net, h2, kernel/* < relay < upstream < http1 < callout < health
#   < client < stream < codec < phase < restart/stream < driver < worker < gateway
# with policy, the configuration's model, and restart (beside upstream) beside them. Rooms inside:
#   config/core/engine < policy/match < policy/expression < policy, policy/compile < config/core/values
#   user/mcp: json < protocol < session < target < hub < server < user/mcp
#   admin < admin/dump < admin/metrics < admin/ui < admin/http < admin/top
GROUND = ["user/base/*", "user/loop/*"]
# What is decided for a request: nothing of it compiles a configuration.
DECISIONS = ["policy/balance.h", "policy/circuit.h", "policy/circuit_breaker.h", "policy/h2_settings.h",
             "policy/headers.h", "policy/health.h", "policy/health_check.h", "policy/health_group.h",
             "policy/keepalive.h", "policy/maglev.h", "policy/previous_hosts.h", "policy/retry.h",
             "policy/timeout.h", "policy/transform.h", "policy/match/*", "policy/expression/*",
             "policy/guard/*"]
MODEL = DECISIONS + ["user/auth/*.h", "config/model*.h", "config/snapshot.h", "config/policy_kinds.def"]
# What policies are made of, and what they are applied to.
POLICY = ["user/base/*", "user/http/head.h", "user/http/fields.h", "user/http/target.h", "user/http/path.h",
          "user/http/form.h", "user/http/grpc.h", "user/http/*.def", "user/auth/*.h", "config/model*.h",
          "config/snapshot.h", "config/core/engine/errors.h"]
# The parts of MCP without sockets.
MCP = ["user/mcp/json/*", "user/mcp/protocol/*", "user/mcp/session/*"]
# A client and everything that serves it.
CLIENT = GROUND + ["user/net/*", "user/tls/*", "user/http/*", "user/h2/*", "user/obs/*", "user/relay/*",
                   "user/upstream/*", "user/callout/*", "user/otlp/*", "user/restart/state.h",
                   "user/restart/announced.h"] + MODEL
# What a worker and the admin servers may use: objects of a thread, none of the process.
THREAD = CLIENT + ["user/kernel/*", "user/mcp/*", "user/restart/*", "user/client/*", "user/stream/*",
                   "user/codec/*", "user/phase/*", "user/driver/*"]
ADMIN = THREAD + ["user/http1/*", "user/health/*", "policy/*", "config/*", "gen/version.h", "admin/hooks.h",
                  "admin/prometheus.h"]
LAYERS = {
    "bpf": [],
    "user/base": [],
    "user/loop": ["user/base/*"],
    "user/net": GROUND,
    "user/tls": ["user/base/*"],
    "user/auth": GROUND + ["user/mcp/json/*"],
    "user/http": ["user/base/*"],
    "user/obs": ["user/base/*"],
    "user/restart": ["user/base/*", "user/net/*", "user/obs/*"],
    "user/h2": ["user/base/*", "user/http/*"],
    "user/kernel/common": ["user/base/*", "bpf/*", "gen/*"],
    "user/kernel/sockmap": ["user/base/*", "user/kernel/common/*", "bpf/*", "gen/*"],
    "user/kernel/local": ["user/base/*", "user/kernel/common/*", "bpf/*", "gen/*"],
    "user/kernel/ctl": ["user/base/*", "user/kernel/*", "bpf/*", "gen/*"],
    "user/relay": GROUND + ["user/net/*", "user/tls/*", "user/http/*", "user/h2/*", "user/obs/*",
                            "user/kernel/*"],
    "policy/expression": ["user/base/*", "user/http/head.h", "user/http/fields.h", "user/net/address.h",
                          "user/mcp/json/*", "config/core/engine/duration.h",
                          "config/core/engine/typo.h", "policy/match/match_regex.h",
                          "policy/match/match_value.h"],
    "policy/match": POLICY,
    "policy/guard": POLICY + ["config/policy_kinds.def", "user/auth/*", "user/net/address.h",
                              "policy/expression/*", "policy/headers.h"],
    "policy": POLICY + ["user/net/socket.h", "policy/match/*", "policy/expression/*"],
    "policy/compile": POLICY + ["user/tls/settings.h", "user/tls/identity.h", "config/policy_kinds.def",
                                "policy/match/*", "policy/guard/*", "policy/maglev.h"],
    "config": ["user/base/*", "user/net/address.h", "user/auth/*.h", "user/tls/*.h", "policy/*.h",
               "policy/*.def", "config/*"],
    "config/core/engine": ["user/base/*", "user/auth/password_format.h", "config/model*.h"],
    "config/core/values": ["user/base/*", "user/mcp/json/*", "user/net/address.h", "user/auth/*.h",
                           "user/tls/*.h", "policy/*.h", "policy/*.def", "config/core/engine/*",
                           "config/model*.h", "config/policy_kinds.def", "config/build.h",
                           "config/snapshot.h"],
    "config/standalone": ["user/base/*", "user/net/address.h", "user/auth/*.h", "user/tls/*.h",
                          "policy/*.h", "policy/*.def", "config/core/*", "config/model*.h",
                          "config/policy_kinds.def", "config/build.h"],
    "config/gatewayapi": ["user/base/*", "user/mcp/json/*", "user/net/address.h", "user/auth/*.h",
                          "user/tls/*.h", "policy/*.h", "policy/*.def", "config/core/*", "config/model*.h",
                          "config/policy_kinds.def", "config/build.h", "config/snapshot.h"],
    "user/cluster": GROUND + ["user/mcp/json/*", "config/core/engine/*", "config/load.h",
                              "config/gatewayapi/condition.h", "gen/version.h"],
    "user/upstream": GROUND + ["user/net/*", "user/tls/*", "user/http/*", "user/h2/*", "user/obs/*",
                               "user/kernel/local/*", "user/relay/*"] + MODEL,
    "user/http1": GROUND + ["user/http/*", "user/relay/*", "user/upstream/*"],
    "user/callout": GROUND + ["user/http/*", "user/h2/*", "user/http1/*", "user/obs/*", "user/relay/*",
                              "user/upstream/*"] + MODEL,
    "user/otlp": GROUND + ["user/http/*", "user/obs/*", "user/mcp/json/*", "user/callout/*",
                           "user/upstream/*", "gen/version.h"] + MODEL,
    "user/health": GROUND + ["user/net/*", "user/http/*", "user/h2/*", "user/http1/*", "user/relay/*",
                             "user/upstream/*", "user/callout/h2_call.h"] + MODEL,
    "user/mcp/json": ["user/base/*"],
    "user/mcp/protocol": ["user/base/*", "user/mcp/json/*"],
    "user/mcp/session": ["user/base/*", "user/mcp/json/*", "user/mcp/protocol/*"],
    "user/mcp/target": GROUND + MCP + ["user/net/*", "user/tls/*", "user/http/*", "user/http1/*",
                                       "user/upstream/*"] + MODEL,
    "user/mcp/hub": GROUND + MCP + ["user/mcp/target/*", "user/net/*", "user/tls/*", "user/obs/*",
                                    "user/relay/*", "user/upstream/*"] + MODEL,
    "user/mcp/server": GROUND + MCP + ["user/mcp/hub/*", "user/net/*", "user/http/*", "user/http1/*",
                                       "user/obs/*", "user/relay/*", "user/upstream/*"] + MODEL,
    "user/mcp": GROUND + MCP + ["user/mcp/target/target.h", "user/mcp/hub/*", "user/mcp/server/*",
                                "user/net/*", "user/tls/*", "user/obs/*", "user/relay/*",
                                "user/upstream/*"] + MODEL,
    "user/client": CLIENT,
    "user/stream": CLIENT + ["user/client/*", "user/kernel/common/*", "user/kernel/local/*"],
    "user/codec": CLIENT + ["user/client/*", "user/stream/*"],
    "user/phase": CLIENT + ["user/http1/*", "user/client/*", "user/stream/*", "user/codec/*"],
    "user/restart/stream": CLIENT + ["user/client/*", "user/stream/*", "user/codec/*", "user/phase/*",
                                     "user/kernel/*", "user/restart/*"],
    "user/driver": CLIENT + ["user/client/*", "user/stream/*", "user/codec/*", "user/phase/*",
                             "user/restart/stream/*"],
    "user/worker": THREAD + ["config/*", "admin/hooks.h"],
    "admin": ["user/base/*", "user/loop/loop.h", "user/obs/*", "user/stream/view.h", "config/model*.h"],
    "admin/dump": ADMIN,
    "admin/metrics": ADMIN + ["admin/dump/*"],
    "admin/ui": ADMIN + ["admin/dump/*", "admin/metrics/*"],
    "admin/http": ADMIN + ["admin/dump/*", "admin/metrics/*", "admin/ui/*"],
    "admin/top": ["user/base/*", "user/net/*", "user/http/*", "admin/http/server.h"],
    "user/gateway": ["user/*", "policy/*", "config/*", "admin/*", "gen/version.h"],
    # The test backend judges the gateway, so it shares no code with it.
    "tests/origin": [],
    "tests/lib": ["user/base/*"],
    "tests/unit": ["user/*", "policy/*", "config/*", "admin/*", "bpf/*", "tests/lib/*", "gen/*"],
    "tests/fuzz": ["user/*", "policy/*", "config/*", "admin/*", "bpf/*", "tests/lib/*", "gen/*"],
    "tests/bpf": ["user/*", "policy/*", "config/*", "admin/*", "bpf/*", "tests/lib/*", "gen/*"],
    "scripts/bench": [],
}

# (file, include) pairs that LAYERS forbids, each with its reason.
LAYER_EXCEPTIONS = {
}

# (file, file whose symbols it uses) pairs that LAYERS forbids, each with its reason. May only shrink: an
# unused pair is a finding.
CALL_EXCEPTIONS = {
}

# The largest circle of files that use each other's symbols.
CIRCLE_FILES = 3

# Larger circles, each with its reason. They may only shrink: a file that joins one is a finding, and so is a
# listed file that is in none.
CIRCLES = [
]

# Third-party header (fnmatch on the name between < >) -> the only files that may include it.
HOMES = {
    "llhttp.h": ["user/http/h1_parse.c", "tests/fuzz/*"],
    "nghttp2/*": ["user/h2/h2_internal.h"],
    "bpf/*": ["user/kernel/*", "bpf/*", "tests/bpf/*"],
    "yaml.h": ["config/core/engine/yaml.c"],
    "cjson/*": ["admin/top/top_table.c", "tests/unit/json_tree.h", "tests/fuzz/*"],
    "curses.h": ["admin/top/top_screen.c"],
    "zlib.h": ["admin/http/gzip.c"],
    "re2/*": ["policy/match/regex_engine.cc"],
    "openssl/*": ["user/tls/*.c", "user/tls/*.h", "user/auth/*.c", "tests/unit/tls_pki.h",
                  "tests/unit/test_siphash.c",
                  "tests/unit/test_tls_hostile.c", "tests/unit/test_tls_memory.c",
                  "tests/fuzz/fuzz_tls.c", "scripts/bench/tls_load.c"],
    "crypt.h": ["user/auth/password_hash.c"],
    "simdjson.h": ["user/mcp/json/json_check.cc"],
    "ares.h": ["user/net/lookup.c"],
    "gelf.h": ["user/restart/symbols.c"],
    "curl/*": ["user/cluster/api.c"],
    "cmocka.h": ["tests/unit/*", "tests/bpf/*", "tests/lib/*"],
}

# Pure code: time, bytes and randomness are arguments.
PURE = ["user/base/*.c", "user/http/*.c", "user/h2/*.c", "policy/*.c", "policy/*.cc", "user/loop/timer.c",
        "user/mcp/json/*.c", "user/mcp/protocol/*.c", "user/mcp/session/*.c"]
IMPURE = ["user/base/clock.c", "user/base/log.c", "user/base/log_writer.c",
          "user/base/sink.c", "user/base/sink_thread.c", "user/base/mem.c", "user/base/check.c",
          "user/base/failpoint.c"]

# Files of commands, which may block until their output is read. In a serving process only
# user/base/log_writer.c, sink.c and sink_thread.c write to a descriptor that another process reads.
PRINTING = ["admin/top/*.c", "user/kernel/ctl/*.c", "user/restart/upgrade_command.c", "user/gateway/main.c",
            "user/gateway/options.c", "user/gateway/*_command.c", "user/gateway/command_config.c",
            "user/base/failpoint.c"]
WRITERS = ["user/base/log_writer.c", "user/base/sink.c", "user/base/sink_thread.c"]

# Files without limits: generated by npm or from vectors, and licence texts.
UNMEASURED = ["LICENSE", "bpf/LICENSE", "tests/fuzz/corpus/*", "tests/unit/jwt_vectors.h",
              "tests/interop/mcp/package-lock.json"]

# Directories without their own README: data that the parent directory describes.
DATA_DIRS = ["scripts/packaging/kubernetes", "tests/fuzz/corpus*", "tests/data*", "tests/*/data*"]

# Functions of the product for tests only: they make each allocation fail once.
TEST_HOOKS = ["mem_fail_nth", "mem_count"]

# Unclear words as patterns, and the words to use instead, in code, comments and documents.
WORDS = {
    r"\bcontest\b": "precedence",
    r"\bcomplaints?\b": "error, or what it is an error of",
    r"\b(map_)?holders\b": "users or owners, whichever it is",
    r"\b(a|the|each|every|another|next|last|first) tr(y|ies)\b(?! to)": "attempt",
    r"\bfor ever\b": "forever",
    r"\bto and fro\b": "round trip",
    r"\bthe begin of\b": "the beginning of",
    r"\bin one breath\b": "at once, or in the same turn",
    r"\bpolite end\b": "graceful shutdown",
    r"\bstays? a stranger\b": "what happens to it",
    r"\b(do|does) not mind where\b": "what the result is",
    r"\bkept well\b": "has been healthy",
    r"\bwho is run by\b": "the function it runs",
}

# Words that were removed from identifiers of C and Python, and their replacements. Each part of a name is
# checked. Only words without another meaning in names of this tree; all others are listed as prefixes.
FORBIDDEN = {
    "adopt": "resume (a stream) or take_over (a socket)",
    "adopted": "resumed or taken_over",
    "adoption": "resume",
    "contested": "conflicted",
    "dealer": "reuseport_balancer",
    "deaths": "crashes",
    "elder": "old_process",
    "estate": "restart_state, or restart_entry for that of a stream",
    "giver": "handoff_sender",
    "heir": "new_process",
    "hurry": "quickack",
    "mux": "session",
    "oddity": "protocol_violation",
    "octets": "char_class",
    "poison": "integrity_error",
    "poisoned": "integrity_error",
    "preset": "default",
    "seal": "compile or resolve",
    "succession": "takeover",
    "taker": "handoff_receiver",
}
FORBIDDEN_PREFIXES = {
    "gate": "sockmap; a gate is what opens and closes",
    "hop": "bypass, or hop_by_hop for the fields",
    "near": "local",
}
# Names with such a prefix in its literal meaning: the state of a gate, the near end of a pair.
FORBIDDEN_KEPT = ["gate_of", "gate_close", "gate_in", "gate_out", "gate_reason_in", "gate_reason_out",
                  "near_in", "near_out", "hop_by_hop*"]
