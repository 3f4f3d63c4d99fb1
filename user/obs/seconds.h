/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/obs/counters.h"

/*
 * What a worker did in each second of the last hour. No timer takes samples, so an idle worker is not woken:
 * the first turn in a new second closes the second in which the worker was last awake (loop_on_second()), and
 * a second in which it slept has no sample. The values of the running second are what the counters have
 * gained since. One thread writes, any thread reads.
 */
enum { SECONDS_KEPT = 3600 };

enum second_value {
	SECOND_REQUESTS, /* streams that ended */
	SECOND_FAILURES, /* of them, those that failed (stream_record_has_failed()) */
	SECOND_BYTES_IN, /* payload, in any lane, when user space counted it */
	SECOND_BYTES_OUT,
	SECOND_KERNEL_BYTES, /* of both, in the lanes of the kernel: sockmap and direct */
	SECOND_VALUE_COUNT,
};

struct seconds;

/* counters: borrowed. NULL without memory. */
struct seconds *seconds_create(const struct counters *counters);
void seconds_free(struct seconds *seconds);
/* By the writer at its first turn in a second. */
void seconds_begin(struct seconds *seconds, uint64_t now_s);
/* Adds the values of one second, at most SECONDS_KEPT - 1 ago. False: nothing happened, or it is unknown. */
bool seconds_read(const struct seconds *seconds, uint64_t second, uint64_t values[SECOND_VALUE_COUNT]);
