/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/ui/places.h"
#include "admin/ui/query.h"

/* The part "map": what is configured, with the numbers of what was served. */
void map_write(struct json_writer *w, const struct admin_hooks *hooks, const struct ui_query *query,
	       uint64_t now_ms);
