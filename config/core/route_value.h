/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/decode.h"

/*
 * Parts of routes that both configuration styles have. Same contract as the accessors of
 * config/core/decode.h; where the styles write differently, d->is_manifest decides.
 */

/* Host names and wildcards in lower case; those that are wrong are reported and left out. */
void route_value_hostnames(struct decoder *d, const struct yaml_node *list, struct span **ret_list,
			   uint32_t *ret_count);
/* Conditions on headers (names in lower case) or query parameters. */
void route_value_headers(struct decoder *d, const struct yaml_node *list, struct route_match *match);
void route_value_query(struct decoder *d, const struct yaml_node *list, struct route_match *match);
/* One match for each element, filled in by `decode`; without any, one that fits every path. */
void route_value_matches(struct decoder *d, const struct yaml_node *list,
			 void (*decode)(struct decoder *d, const struct yaml_node *node,
					struct route_match *match),
			 struct route *route);
/* Not written: 1. At most 1000000, as in Gateway API. */
void route_value_weight(struct decoder *d, const struct yaml_node *node, uint64_t *ret);
