/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/hooks.h"

/* GET /metrics: every row of user/obs/metrics.def, summed over the workers. 0 or -ENOMEM. */
int metrics_write(const struct admin_hooks *hooks, struct text *out);
