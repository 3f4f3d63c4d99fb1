/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"
#include "user/restart/state.h"
#include "user/kernel/local/local.h"
#include "user/kernel/sockmap/load.h"

/*
 * The kernel lanes of the process: may this kernel run them, where their programs come from (loaded here, or
 * opened from the pins of `headgate bpf load`), and their self-tests. Without them everything works, slower.
 */
struct lane_start {
	struct text why; /* why the lane or a part of it is missing; empty: it is not, or nobody asked */
	bool selftest_failed;
	uint64_t selftest_ns;
};

struct kernel_lanes {
	struct sockmap *sockmap; /* owner; NULL: no sockmap lane */
	struct local *local; /* owner; NULL: no same-host lanes */
	bool is_inherited; /* the gate, from a gateway that died */
	bool is_local_inherited; /* the same-host lanes */
	struct lane_start sockmap_start, local_start;
};

void kernel_lanes_init(struct kernel_lanes *lanes);
void kernel_lanes_done(struct kernel_lanes *lanes); /* every worker is gone */

/*
 * Opens what config.splice asks for; one line in the log for each. A lane that cannot be used stays NULL;
 * only with `config.splice.mode: require` is that a failure: -errno and `error`. restart state, may be NULL:
 * what a dead gateway has left of its lanes is used again, with the sockets that are in them, and closed
 * where this one does without; what is loaded here is left there.
 */
int kernel_lanes_open(struct kernel_lanes *lanes, const struct splice_config *config, uint32_t worker_count,
		      struct restart_state *restart_state, struct text *error);
