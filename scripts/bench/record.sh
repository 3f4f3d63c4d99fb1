#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make bench RECORD=1: stores what the benchmarks say of this machine, and makes PERFORMANCE.md of it. A quiet
# machine, please. ROUNDS and SECONDS_EACH of the requests may be set, and SECTIONS, a subset of those below.
set -e
cd "$(dirname "$0")"
results=results/$(./recorded.py --directory)
mkdir -p "$results"
root=$(cd ../.. && pwd)
programs="--headgate $root/build/release/headgate --httpbin $root/build/release/httpbin"
requests="--rounds ${ROUNDS:-8} --seconds ${SECONDS_EACH:-1}"
small=1KiB/1,1KiB/4,1KiB/16,1KiB/64,16KiB/1,16KiB/4,16KiB/16,16KiB/64
# shellcheck disable=SC2086
record() {
	case $1 in
	requests) ./run.py $programs $requests --table-only --json "$2.jsonl" ;;
	files) ./run.py $programs $requests --table-only --files --json "$2.jsonl" ;;
	alone) ./run.py $programs $requests --table-only --alone --json "$2.jsonl" ;;
	unix) ./run.py $programs $requests --table-only --unix --only "$small" --json "$2.jsonl" ;;
	growth) ./cost.py $programs --json "$2.jsonl" ;;
	latency) ./latency.py $programs --json "$2.jsonl" ;;
	h2) ./h2.py $programs --json "$2.jsonl" ;;
	splice) ./splice.py $programs --only ping64,ping16k,both,push,bodies --json "$2.jsonl" ;;
	lanes) ./lanes.py $programs --json "$2.jsonl" ;;
	# These are stored as they print, behind what the machine is.
	tls | restart | attacks) { ./recorded.py && "./$1.py" $programs; } >"$2.txt" ;;
	memory) { ./recorded.py && ./memory.py --headgate "$root/build/release/headgate"; } >"$2.txt" ;;
	*) echo "record.sh: there is no section $1" >&2 && exit 2 ;;
	esac
}
all="requests files alone unix growth latency h2 splice lanes tls restart memory attacks"
for section in ${SECTIONS:-$all}; do
	record "$section" "$results/$section"
done
./report.py
