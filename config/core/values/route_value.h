/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/*
 * Parts of routes that both configuration styles have; d->is_manifest selects the form. The functions decode
 * an element of a list for a row (struct schema_row).
 */
#define WEIGHT_MAX 1000000 /* as in Gateway API */

/* struct span: a host name or wildcard in lower case. */
bool route_value_hostname(struct decoder *d, const struct yaml_node *node, void *ret);
/* struct text_match: conditions on headers (names in lower case) and query parameters. */
bool route_value_header(struct decoder *d, const struct yaml_node *node, void *ret);
bool route_value_query(struct decoder *d, const struct yaml_node *node, void *ret);
extern const struct schema condition_schema; /* of both */

/* Decodes one match per element with `decode`; an absent or empty list is one match of every path. */
void route_value_matches(struct decoder *d, const struct yaml_node *list,
			 void (*decode)(struct decoder *d, const struct yaml_node *node,
					struct route_match *match),
			 struct route *route);
/* A regular expression: not empty, at most LIMIT_ROUTE_REGEX_BYTES. */
bool route_value_regex(struct decoder *d, const struct yaml_node *node, struct span *ret);
/* Reports a pattern that does not compile within so much memory (match_regex_memory()). */
bool route_value_regex_compiles(struct decoder *d, const struct yaml_node *node, struct span pattern,
				size_t memory_bytes);
