#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the programs of `make conformance` into build/conformance/, with Go, from the modules that go.mod and
# go.sum in kubernetes/ and suite/ pin. "build.sh fetch" only gets the modules.
set -euo pipefail
cd "$(dirname "$0")"
out=$PWD/../../build/conformance
export GOFLAGS=-mod=readonly GOTOOLCHAIN=local CGO_ENABLED=0 HOME="${HOME:-$out}"

command -v go >/dev/null || {
	echo "nothing was tested: make conformance needs Go $(sed -n 's/^go //p' suite/go.mod)" >&2
	exit 1
}
key=$(cat build.sh ./*/go.mod ./*/go.sum <(go version) | sha256sum)
[ "$(cat "$out/built" 2>/dev/null)" != "$key" ] || exit 0
if [ "${1:-}" = fetch ]; then
	for module in kubernetes suite; do
		(cd $module && go mod download)
	done
	exit 0
fi
rm -rf "$out"/{built,crd}
mkdir -p "$out"

# The servers refuse to start with a version that is not one, and answer clients with it.
kubernetes=$(sed -n 's/.*k8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' kubernetes/go.mod)
minor=${kubernetes#v1.}
version=k8s.io/component-base/version
flags="-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${minor%.*}"

# build MODULE VERB PACKAGE OUTPUT
build() {
	local start=$SECONDS
	(cd "$1" && go $2 -buildvcs=false -trimpath -ldflags "$flags" -o "$out/$4" "$3")
	echo "$4: $((SECONDS - start)) s"
}
build kubernetes build go.etcd.io/etcd/server/v3 etcd
build kubernetes build k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver
build kubernetes build k8s.io/kubernetes/cmd/kube-controller-manager kube-controller-manager
build suite build sigs.k8s.io/gateway-api/conformance/echo-basic echo-basic
build suite 'test -c' . suite
definitions=$(cd suite && go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd
cp -r --no-preserve=mode "$definitions" "$out/crd"
echo "$key" >"$out/built"
