/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"
#include "policy/expression/expression.h"

/* Names with texts or expressions, as in `{x-user: jwt.sub}`, in policies that ask a helper service. */

/* A member of a map: a name as of transform_value_name(), and an expression. ret: struct header_pair. */
bool value_named(struct decoder *d, const struct yaml_node *node, void *ret);
/* The same with a name of any bytes. */
bool value_metadatum(struct decoder *d, const struct yaml_node *node, void *ret);
/* A map with at most LIMIT_CALLOUT_NAMES entries. False: reported. */
bool value_map_of(struct decoder *d, const struct yaml_node *node,
		  bool (*element)(struct decoder *d, const struct yaml_node *node, void *element),
		  struct header_pair **ret_list, uint32_t *ret_count);
/*
 * Compiles the expressions of nodes (NULL: none). value_of: the node of one. Entries with an error are not in
 * the list, which then does not count.
 */
void value_named_compile(struct decoder *d, const struct yaml_node *nodes, struct named_expressions *named,
			 enum expression_point point,
			 const struct yaml_node *(*value_of)(const struct decoder *d,
							     const struct yaml_node *node));
const struct yaml_node *value_itself(const struct decoder *d, const struct yaml_node *node);
/* A name that a header of a request may have, in lower case. ret: struct span. */
bool value_field_name(struct decoder *d, const struct yaml_node *node, void *ret);
