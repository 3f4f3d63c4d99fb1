/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway/kernel_lanes.h"

/* Metrics of the process's kernel lanes, for /metrics; bytes moved by workers are in their counters. */
void lane_metrics(const struct kernel_lanes *lanes, struct text *out);
