/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression_run.h"

/* What expressions read of the facts. */
struct expression_value fact_variable(struct evaluation *e, enum expression_variable_id id);
/* A header as one text (RFC 9110 5.3), a cookie of them, a member of a map, an item of a list. */
struct expression_value fact_select(struct evaluation *e, struct expression_value from,
				    struct expression_value name);
/* Headers by their names in lower case; one that occurs several times is a list. */
struct expression_value fact_header_map(struct evaluation *e, const struct fields *fields);
/* The body of this variable as JSON. */
struct expression_value fact_json(struct evaluation *e, enum expression_variable_id id);
struct expression_value fact_cookie(struct evaluation *e, const struct fields *fields, struct span name);
