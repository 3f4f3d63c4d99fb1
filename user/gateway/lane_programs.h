/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway/kernel_lanes.h"

/*
 * GET /lanes: which programs of this host bypass TCP now, which do not, and why, as JSON:
 *   {"unavailable": why the same-host lanes are off, or null,
 *    "programs": [{"program": "nginx", "side": "backend", "lane": "bypass", "reason": null,
 *                  "explanation": null, "connections": 3}],
 *    "isTruncated": false}
 */
void lane_programs_write(const struct kernel_lanes *lanes, struct text *out);
