/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/*
 * Durations as text. Standalone files use the syntax of Go's time.ParseDuration without a sign; Kubernetes
 * manifests use GEP-2257 (a subset: one to four groups of one to five digits with h, m, s or ms, no
 * decimals). Values are nanoseconds, at most INT64_MAX, about 292 years, as in Go.
 */
enum duration_result {
	DURATION_OK,
	DURATION_EMPTY,
	DURATION_NEGATIVE,
	DURATION_NO_UNIT, /* "5" */
	DURATION_UNKNOWN_UNIT, /* "1d", "1w" */
	DURATION_NO_NUMBER, /* "s", "." */
	DURATION_TOO_LARGE,
	DURATION_DECIMALS, /* GEP-2257 only: "1.5s" */
	DURATION_SMALL_UNIT, /* GEP-2257 only: us, ns */
	DURATION_TOO_MANY_GROUPS, /* GEP-2257 only */
	DURATION_TOO_MANY_DIGITS, /* GEP-2257 only */
};

/* Changes *ret_ns only if the result is DURATION_OK. */
enum duration_result duration_parse(struct span s, uint64_t *ret_ns);
enum duration_result duration_parse_gep2257(struct span s, uint64_t *ret_ns);

/* The error and what to write instead: one sentence without the value itself; "" for DURATION_OK. */
const char *duration_advice(enum duration_result result);

/*
 * As in the configuration dump: rounded to three decimals of its unit, then formatted like Go's
 * Duration.String(): "0s" "500ms" "1.5s" "10m0s" "1h0m0s" "1.1µs". Returns the length; no terminator.
 */
#define DURATION_TEXT_BYTES 40
size_t duration_format(uint64_t ns, char out[DURATION_TEXT_BYTES]);
