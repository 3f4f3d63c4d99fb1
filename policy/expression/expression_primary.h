/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression_reader.h"

/* A value with its members, positions and methods: what the operators combine. NULL after a failure. */
const struct expression_node *expression_read_member(struct reader *r);
/* In expression_parse.c: a whole expression, up to what cannot belong to it. */
const struct expression_node *expression_read_choice(struct reader *r);
