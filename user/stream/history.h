/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/limits.h"
#include "user/obs/record.h"

/* The last finished streams of a worker, with copies of their texts, truncated to a fixed size. */
struct stream_history;

/* serial: number of the worker's last stream, which a new process continues; borrowed. NULL: starts at 0. */
struct stream_history *stream_history_create(uint32_t worker_index, uint64_t *serial);
void stream_history_free(struct stream_history *history);
/*
 * Stream ids: the worker number above a serial number; below 2^53, so that every JSON reader keeps all
 * digits.
 */
enum { STREAM_ID_WORKER_SHIFT = 44 };
uint64_t stream_history_next_id(struct stream_history *history);
void stream_history_add(struct stream_history *history, const struct stream_record *record,
			uint64_t ended_wall_us);
/* Entry number `index`, newest first; NULL past the end. Borrowed until the next add. */
const struct stream_record *stream_history_get(const struct stream_history *history, uint32_t index,
					       uint64_t *ret_ended_wall_us);
