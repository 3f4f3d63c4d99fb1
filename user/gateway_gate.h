/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway.h"

/*
 * The kernel lane of the process: whether this kernel may run it, where its programs come from (loaded here,
 * or opened from the pins of `headgate bpf load`), the self-test, and its numbers for /metrics.
 */

/*
 * Fills gateway->gate, or leaves it NULL with the reason in gateway->gate_why and one line in the log.
 * Without the lane everything works, slower; so only `config.splice.mode: require` makes this fail: -errno
 * with `error`.
 */
int gateway_gate_open(struct gateway *gateway, const struct splice_config *config, uint32_t worker_count,
		      struct text *error);
/* Hook extra_metrics. */
void gateway_gate_metrics(void *context, struct text *out);
