#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A private certificate authority, and certificates for config/examples/tls.yaml and mtls.yaml:
#
#     scripts/make-certificates.sh [-d directory] [name or address ...]
#
# makes, where they are missing or end within 30 days, in build/certificates (or the directory):
#
#     authority.pem, authority.key   the authority, for ten years: clients get authority.pem, nobody the key
#     server.pem, server.key         a certificate for the names, default: localhost 127.0.0.1 ::1
#     client.pem, client.key         a certificate that a client shows
#
# Other names than before make a new server certificate; the authority stays until its files are removed.
set -eu
directory=$(realpath --relative-to=. "$(dirname "$0")/../build/certificates")
if [ "${1:-}" = -d ]; then
	directory=${2:?-d needs a directory}
	shift 2
fi
case ${1:-} in
-*)
	sed -n '3,13s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
[ $# -gt 0 ] || set -- localhost 127.0.0.1 ::1
command -v openssl >/dev/null || {
	echo "make-certificates: openssl is missing: apt-get install openssl" >&2
	exit 1
}

mkdir -p "$directory"
cd "$directory"
umask 077
# Two at once would mix their files.
exec 9>.lock
flock 9
scratch=$(mktemp -d .new-XXXXXX)
trap 'rm -rf "$scratch"' EXIT

alternatives=
for name; do
	case $name in
	*:* | *.*.*.*[0-9]) kind=IP ;;
	*) kind=DNS ;;
	esac
	alternatives="$alternatives,$kind:$name"
done
alternatives=${alternatives#,}

# There, with its key, and for 30 days more.
is_valid() { [ -s "$1.key" ] && openssl x509 -in "$1.pem" -noout -checkend 2592000 >/dev/null 2>&1; }

say() {
	"$@" 2>"$scratch/log" || {
		cat "$scratch/log" >&2
		exit 1
	}
}

# request SUBJECT ARGUMENTS: a key, and what they ask for
request() {
	say openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
		-keyout "$scratch/key" -subj "/CN=$1" "${@:2}"
}

# put NAME: the key first, so that no certificate is seen without its own
put() {
	mv "$scratch/key" "$1.key"
	chmod 644 "$scratch/cert"
	mv "$scratch/cert" "$1.pem"
	echo "made $directory/$1.pem and $1.key"
}

# issue NAME SUBJECT USAGE ALTERNATIVES
issue() {
	printf '%s\n' "basicConstraints = critical,CA:false" "keyUsage = critical,digitalSignature" \
		"extendedKeyUsage = $3" "subjectAltName = $4" >"$scratch/extensions"
	request "$2" -out "$scratch/request"
	say openssl x509 -req -in "$scratch/request" -CA authority.pem -CAkey authority.key \
		-set_serial "0x$(openssl rand -hex 16)" -days 397 \
		-extfile "$scratch/extensions" -out "$scratch/cert"
	put "$1"
}

if ! is_valid authority; then
	rm -f server.pem client.pem
	request "headgate private authority" -x509 -days 3650 -out "$scratch/cert" \
		-addext "basicConstraints=critical,CA:true" -addext "keyUsage=critical,keyCertSign,cRLSign"
	put authority
fi
if ! is_valid server || [ "$alternatives" != "$(cat server.names 2>/dev/null)" ]; then
	issue server "$1" serverAuth "$alternatives"
	echo "$alternatives" >server.names
fi
is_valid client || issue client "a client" clientAuth "URI:spiffe://headgate.example/client"
