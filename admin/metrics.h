/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/hooks.h"

/*
 * GET /metrics: sums over the workers in the Prometheus text format. Names that the documentation we follow
 * has keep its prefix agentgateway_, ours have headgate_, those of the process are the usual process_*. 0
 * or -ENOMEM.
 */
int metrics_write(const struct admin_hooks *hooks, struct text *out);
