/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether a helper service is called at all: one that does not answer must not make each request wait for
 * its deadline. Times are of one clock, in milliseconds.
 *
 *         closed --a call fails, and none was answered since it began--> open: no calls
 *           ^                                                             | 250 ms, then twice as long, … 5 s
 *           '--an answer-- probing: one call, no others <-----------------'
 */
struct circuit {
	uint64_t answered_ms; /* when the last answer came */
	uint64_t open_until_ms;
	uint32_t failures; /* since the last answer; 0: closed */
	bool is_probing;
};

/* True if a call may be made; its outcome must be reported, with *ret_is_probe. */
bool circuit_admits(struct circuit *circuit, uint64_t now_ms, bool *ret_is_probe);
void circuit_answered(struct circuit *circuit, uint64_t now_ms);
/* began_ms: when the call began. Calls that fail together count once. */
void circuit_failed(struct circuit *circuit, uint64_t began_ms, bool is_probe, uint64_t now_ms);
/* The call ended without an outcome: the client left. */
void circuit_cancelled(struct circuit *circuit, bool is_probe);
