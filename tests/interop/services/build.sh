#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the services that `make mcp-interop` asks into build/services/, with Go, from the modules that go.mod
# and go.sum in ratelimit/ and oauth2-proxy/ pin. Where it cannot, it says why, and their plays are skipped.
set -euo pipefail
cd "$(dirname "$0")"
out=$PWD/../../../build/services
export GOFLAGS=-mod=readonly GOTOOLCHAIN=local CGO_ENABLED=0 HOME="${HOME:-$out}"

# build MODULE PACKAGE
build() {
	local key
	key=$(cat "$1"/go.* <(go version) | sha256sum)
	[ "$(cat "$out/$1.built" 2>/dev/null)" != "$key" ] || return 0
	(
		cd "$1"
		timeout 300 go mod download && timeout 900 go build -buildvcs=false -o "$out/$1" "$2"
	) || {
		echo "*** tests/interop/services: $1 could not be built" >&2
		return 0
	}
	echo "$key" >"$out/$1.built"
}

command -v go >/dev/null || {
	echo "*** tests/interop/services: needs Go $(sed -n 's/^go //p' ratelimit/go.mod)" >&2
	exit 0
}
mkdir -p "$out"
build ratelimit github.com/envoyproxy/ratelimit/src/service_cmd
build oauth2-proxy github.com/oauth2-proxy/oauth2-proxy/v7
