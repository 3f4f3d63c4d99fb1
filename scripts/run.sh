#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The demo: backend and gateway side by side until Ctrl-C, SIGTERM or the end of one of them.
# scripts/run.sh [directory with the programs, default build/release]
set -u
cd "$(dirname "$0")/.." || exit 1
programs=${1:-build/release}
config=config/examples/quickstart.yaml
ports=("8000 the demo backend" "8080 the gateway")
if [ -n "${MCP:-}" ]; then
	config=config/examples/tools.yaml
	ports=("8000 the demo backend" "3000 the MCP endpoint")
fi
backend= gateway=

# Closed is what we want: a successful connect means that somebody else listens there.
is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

ports+=("15000 the admin interface" "15020 the metrics" "15021 the readiness probe")
for entry in "${ports[@]}"; do
	port=${entry%% *}
	if is_taken "$port"; then
		echo "run: port $port for ${entry#* } is taken by another program; stop that first" >&2
		exit 1
	fi
done

# Gateway first, so that running requests are answered. A second Ctrl-C ends its drain.
stop_all() {
	trap 'kill -TERM "$gateway" 2>/dev/null' INT TERM
	kill -TERM "$gateway" 2>/dev/null
	while kill -0 "$gateway" 2>/dev/null; do
		wait "$gateway" 2>/dev/null
	done
	kill -TERM "$backend" 2>/dev/null
	wait "$backend" 2>/dev/null
}
stopped=
trap 'stopped=yes' INT TERM

# Process groups of their own: Ctrl-C comes to this script only.
set -m
"$programs/httpbin" --addr 127.0.0.1 --port 8000 --quiet >/dev/null &
backend=$!
"$programs/headgate" -f "$config" &
gateway=$!

ready=
for _ in $(seq 100); do
	if [ -n "$stopped" ] || ! kill -0 "$backend" 2>/dev/null || ! kill -0 "$gateway" 2>/dev/null; then
		break
	fi
	if is_taken 15021 && is_taken 8000 && is_taken "${ports[1]%% *}"; then
		ready=yes
		break
	fi
	sleep 0.1
done

if [ -n "$ready" ] && [ -n "${MCP:-}" ]; then
	cat <<-'TEXT'

		headgate is running with config/examples/tools.yaml. Point an MCP client at

		  http://localhost:3000/mcp                      streamable HTTP
		  http://localhost:3000/sse                      for older clients

		  curl localhost:15000/mcp/sessions              who is there, with its child process
		  curl localhost:15020/metrics                   numbers

		Ctrl-C stops it.

	TEXT
elif [ -n "$ready" ]; then
	cat <<-'TEXT'

		headgate is running with config/examples/quickstart.yaml. In another terminal:

		  curl localhost:8080/headers                    what the backend received
		  curl -i localhost:8080/status/418              a status of your choice
		  curl localhost:15000/config_dump               the configuration in force
		  curl localhost:15000/streams                   what is going on now
		  curl localhost:15020/metrics                   numbers

		Ctrl-C stops both.

	TEXT
fi

status=0
if [ -z "$stopped" ]; then
	wait -n "$backend" "$gateway" 2>/dev/null
	status=$?
fi
if [ -n "$stopped" ]; then
	status=0
	echo "run: stopping"
else
	kill -0 "$backend" 2>/dev/null || echo "run: the backend ended with status $status" >&2
	kill -0 "$gateway" 2>/dev/null || echo "run: headgate ended with status $status" >&2
	[ "$status" != 0 ] || status=1
fi
stop_all
exit "$status"
