/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway/kernel_lanes.h"

/* The numbers of the kernel lanes of the process, for /metrics; what workers moved is in their counters. */
void lane_metrics(const struct kernel_lanes *lanes, struct text *out);
