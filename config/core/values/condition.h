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
/* Decodes the member of CONDITION_ROW, for a condition about a request. */
bool value_request_condition(struct decoder *d, const struct yaml_node *node, void *member);

/* clang-format off */
#define CONDITION_ROW(object)                                                                                \
	{ "condition", AS_TEXT(object, condition.text), .decode = value_request_condition,                   \
	  .dump = DUMP_NOT_ZERO, .value_doc = "condition", .default_doc = "in the last entry: always",       \
	  .doc = "an [expression](../docs/expressions.md) about the request; the first entry whose "         \
		 "condition is true counts" }
/* clang-format on */
