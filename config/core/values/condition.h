/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"
#include "policy/expression/expression.h"

/*
 * Compiles an expression for one point of a request. `text` is in the snapshot. NULL: reported.
 */
const struct expression *value_expression(struct decoder *d, const struct yaml_node *node, struct span text,
					  enum expression_point point);
/* The same for a condition, which is true or false. */
const struct expression *value_condition(struct decoder *d, const struct yaml_node *node, struct span text,
					 enum expression_point point);

/*
 * A policy with several forms: {conditional: [{condition: EXPRESSION, key: value, ...}, ...]}. The first
 * entry whose condition is true counts; the last one may have none, and then counts for all other requests.
 *
 * Each entry is an object that begins with a struct policy_condition; its schema begins with CONDITION_ROW.
 */
bool value_has_cases(const struct yaml_node *node);
/* Decodes the list under `conditional`, the only key that the map may have. False: an error was reported. */
bool value_cases(struct decoder *d, const struct yaml_node *node, const struct schema *entry, void *ret_list,
		 uint32_t *ret_count);
/* The element of the row `conditional`, which only documents and shows the list: value_cases() decodes it. */
bool value_no_case(struct decoder *d, const struct yaml_node *node, void *element);
/* Decodes the member of CONDITION_ROW, for a condition about a request. */
bool value_request_condition(struct decoder *d, const struct yaml_node *node, void *member);

/* clang-format off */
#define CONDITION_ROW(object)                                                                                \
	{ "condition", AS_TEXT(object, condition.text), .decode = value_request_condition,                   \
	  .dump = DUMP_NOT_ZERO, .value_doc = "condition", .default_doc = "in the last entry: always",       \
	  .doc = "an [expression](../docs/expressions.md) about the request; the first entry whose "         \
		 "condition is true counts" }
/* The whole list, whose entries are struct `entry`. */
#define CASES_ROW(object, list, count, schema, entry, text)                                                  \
	{ "conditional", AS_OBJECTS(object, list, count, schema, entry), .element = value_no_case,           \
	  .dump = DUMP_NOT_ZERO, .doc = "instead of the other keys: several forms, each with a condition; "  \
					"without a true condition " text }
/* clang-format on */

/*
 * Names with expressions: members of a map, or {name, value} in manifests. Reads the name, which stands at
 * *ret_name_node, and the text.
 */
bool value_pair(struct decoder *d, const struct yaml_node *node, const struct yaml_node **ret_name_node,
		struct span *ret_name, struct span *ret_value);
/*
 * Compiles the expressions of `list`, which value_pair() has filled from `nodes`, and adds the facts that
 * they use to *needs. Returns NULL if value_pair() or an expression reported an error, or if the list is
 * empty.
 */
const struct expression **value_pairs_compile(struct decoder *d, const struct yaml_node *nodes,
					      enum expression_point point, const struct header_pair *list,
					      uint32_t count, uint32_t *needs);
