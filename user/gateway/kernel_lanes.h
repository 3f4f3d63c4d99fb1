/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"
#include "user/restart/state.h"
#include "user/kernel/local/local.h"
#include "user/kernel/sockmap/load.h"

/*
 * The kernel lanes of the process: whether this kernel may run them, where their programs come from (loaded
 * here, or opened from the pins of `headgate bpf load`), and their self-tests. Without the lanes everything
 * works, but more slowly.
 */
struct lane_start {
	/* why the lane or a part of it is missing; empty: it is available, or switched off */
	struct text why;
	bool selftest_failed;
	uint64_t selftest_ns;
};

struct kernel_lanes {
	struct sockmap *sockmap; /* owner; NULL: no sockmap lane */
	struct local *local; /* owner; NULL: no same-host lanes */
	bool is_inherited; /* the sockmap lane was taken over after a crash */
	bool is_local_inherited; /* the same-host lanes were taken over */
	struct lane_start sockmap_start, local_start;
};

void kernel_lanes_init(struct kernel_lanes *lanes);
void kernel_lanes_done(struct kernel_lanes *lanes); /* after every worker has ended */

/*
 * Opens the lanes that config.splice enables; logs one line for each. A lane that cannot be used stays NULL,
 * which is an error only with `config.splice.mode: require`: -errno and `error`. restart state may be NULL;
 * otherwise the lanes that a crashed gateway has left are reused, with the sockets in them, or closed if
 * disabled, and lanes loaded here are recorded in it.
 */
int kernel_lanes_open(struct kernel_lanes *lanes, const struct splice_config *config, uint32_t worker_count,
		      struct restart_state *restart_state, struct text *error);
