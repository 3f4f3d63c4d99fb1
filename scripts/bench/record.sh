#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make bench RECORD=1: stores what the benchmarks say of this machine, and makes PERFORMANCE.md of it. A quiet
# machine, please. ROUNDS and SECONDS_EACH of the requests may be set.
set -e
cd "$(dirname "$0")"
mkdir -p results
root=$(cd ../.. && pwd)
programs="--headgate $root/build/release/headgate --httpbin $root/build/release/httpbin"
requests="--rounds ${ROUNDS:-5} --seconds ${SECONDS_EACH:-2}"
small=1KiB/16,1KiB/64,16KiB/16,16KiB/64,100KiB/16,100KiB/64
# shellcheck disable=SC2086
{
	./run.py $programs $requests --table-only --json results/requests.jsonl
	./run.py $programs $requests --table-only --files --json results/files.jsonl
	./run.py $programs $requests --table-only --unix --only "$small" --json results/unix.jsonl
	./cost.py $programs --json results/growth.jsonl
	./latency.py $programs --json results/latency.jsonl
	./h2.py $programs --json results/h2.jsonl
	./splice.py $programs --only ping64,ping16k,both,push,bodies --json results/splice.jsonl
	./lanes.py $programs --json results/lanes.jsonl
	# These are stored as they print, behind what the machine is.
	{ ./recorded.py && ./tls.py $programs; } >results/tls.txt
	{ ./recorded.py && ./restart.py $programs; } >results/restart.txt
	{ ./recorded.py && ./memory.py --headgate "$root/build/release/headgate"; } >results/memory.txt
	{ ./recorded.py && ./attacks.py $programs; } >results/attacks.txt
}
./report.py
