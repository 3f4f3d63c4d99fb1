#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that are missing: scripts/deps.sh [build] [check] [bench]
# [interop] [neighbours] [testssl] [browser] [package] [monitoring]
# Without arguments: build check.
# One dpkg-query when nothing is missing. Not root: prints the command to run and fails.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

# A name with "|" is a choice: the first one that the distribution has.
build="gcc g++ make pkg-config libc6-dev clang bpftool libbpf-dev libelf-dev zlib1g-dev libnghttp2-dev
	libllhttp-dev|node-llhttp libyaml-dev libcjson-dev libre2-dev libsimdjson-dev
	libssl-dev libc-ares-dev libcrypt-dev libcurl4-openssl-dev libncurses-dev libcmocka-dev curl"
check="python3 python3-pycurl python3-h2 python3-hpack python3-grpcio python3-protobuf
	python3-cryptography python3-jwt python3-jsonschema python3-yaml python3-pyte
	apache2-utils haproxy whois jq wrk strace
	nghttp2-client nftables iproute2
	libclang-rt-dev llvm openssl clang-format"
bench="nginx libnginx-mod-stream wrk nghttp2-client nghttp2-proxy"
# Only for `make mcp-interop`: the programs beside the lanes of one host that are quickly installed.
neighbours="nginx lighttpd haproxy redis-server postgresql openssh-client openssh-server rsync"
# ... and the rest; where npm is older than what its packages need, it brings a newer node itself.
interop="nodejs npm golang-go default-jdk-headless $neighbours"
# Only for `make testssl`.
testssl="testssl.sh openssl"
# Only for the tests that drive a browser: `make ui-check`, and some of `make thorough`.
browser="chromium chromium-driver"
# Only for `make deb` and `make deb-check`.
package="debhelper dh-apparmor dpkg-dev fakeroot lintian apparmor systemd mmdebstrap"
# Only for the test of the alerts: it has promtool.
monitoring="prometheus"

# scripts/deps.sh --build-depends: the group build as a Debian package names it.
if [ "${1:-}" = --build-depends ]; then
	echo $build | sed 's/ /, /g; s/|/ | /g'
	exit 0
fi

groups="${*:-build check}"
wanted=
for group in $groups; do
	case $group in
	build | check | bench | interop | neighbours | testssl | browser | package | monitoring)
		wanted="$wanted ${!group}"
		;;
	*)
		echo "deps.sh: unknown group '$group': say build, check, bench, interop," \
			"neighbours, testssl, browser, package, monitoring" >&2
		exit 2
		;;
	esac
done

command -v dpkg-query >/dev/null || {
	echo "deps.sh: no dpkg here; install the equivalent of these Debian packages:" $wanted >&2
	exit 1
}

installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' ${wanted//|/ } 2>/dev/null |
	sed -n 's/^installed //p' | tr '\n' ' ') "
missing=
for package in $wanted; do
	found=
	for choice in ${package//|/ }; do
		case $installed in *" $choice "*) found=yes ;; esac
	done
	case " $missing " in *" $package "*) found=yes ;; esac
	[ -n "$found" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

# Of each choice the first one that apt can install.
resolve() {
	local package choice name
	for package in $missing; do
		name=${package##*|}
		for choice in ${package//|/ }; do
			if apt-cache policy "$choice" 2>/dev/null | grep -q '^  Candidate: [^(]'; then
				name=$choice
				break
			fi
		done
		echo -n " $name"
	done
}

if [ "$(id -u)" != 0 ]; then
	echo "deps.sh: missing packages; run as root: apt-get install --no-install-recommends$(resolve)" >&2
	exit 1
fi

# Packages with services (nginx, haproxy) must not start them: a policy of our own unless there is one.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ] && [ ! -L "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 130' INT TERM HUP
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

apt_get() { apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null; }
log=$(mktemp)
fail() {
	tail -n 20 "$log" >&2
	rm -f "$log"
	echo "deps.sh: $1" >&2
	exit 1
}

# A foreign repository that does not answer need not concern us: what matters is the installation.
apt_get update >"$log" 2>&1 || echo "deps.sh: apt-get update had errors; trying with what is known" >&2
names=$(resolve)
echo "deps.sh: installing$names"
apt_get install --no-install-recommends $names >>"$log" 2>&1 || fail "apt-get install failed:$names"
rm -f "$log"
