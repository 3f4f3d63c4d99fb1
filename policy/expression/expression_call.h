/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression_reader.h"

/*
 * A call from behind its opening parenthesis; receiver: the value before the dot, NULL for functions. NULL
 * after a failure.
 */
const struct expression_node *expression_read_call(struct reader *r, const struct expression_node *receiver,
						   struct token name);
