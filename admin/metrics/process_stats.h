/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* Numbers of this process from the kernel (proc(5)). A number that cannot be read is 0. */
struct process_stats {
	uint64_t resident_bytes;
	uint64_t virtual_bytes;
	uint64_t cpu_ns; /* user and system, all threads */
	uint64_t open_fds;
	uint64_t max_fds;
	uint64_t threads;
	uint64_t start_ms; /* since the epoch */
};

void process_stats_read(struct process_stats *ret_stats);
