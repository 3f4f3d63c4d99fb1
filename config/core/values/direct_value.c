/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/direct_value.h"

#include "config/core/values/condition.h"
#include "config/core/values/values.h"
#include "user/base/check.h"
#include "user/base/limits.h"

static bool decode_body(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct direct_response *direct = container_of(ret, struct direct_response, body_text);

	if (!decode_lines(d, node, &direct->body_text))
		return false;
	direct->body_expression = value_expression(d, node, direct->body_text, EXPRESSION_AT_REQUEST);
	return direct->body_expression != NULL;
}

/* The values are expressions: check_direct() compiles them. */
static bool decode_header(struct decoder *d, const struct yaml_node *node, void *ret)
{
	const struct yaml_node *name_node;
	struct header_pair *pair = ret;
	struct span name;

	return value_pair(d, node, &name_node, &name, &pair->value) &&
	       value_header_name(d, name_node, name, &pair->name);
}

/* RFC 9110 15.3.5, 15.4.5 */
static void check_direct(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct direct_response *direct = object;
	uint32_t needs = 0;

	if ((direct->body.len || direct->body_text.len) && (direct->status == 204 || direct->status == 304))
		config_error(d->report, node, "a response with status %u has no body; remove body",
			     direct->status);
	if (direct->body.len && direct->body_text.len)
		config_error_key(d->report, decode_get(node, "bodyExpression"),
				 "stands beside body; write only one of them");
	direct->header_expressions =
		value_pairs_compile(d, decode_get(node, "headers"), EXPRESSION_AT_REQUEST,
				    direct->header_list, direct->header_count, &needs);
}

/* clang-format off */
#define DIRECT_ROWS(object, at)                                                                              \
	{ "body", AS_BYTES(object, at body), .dump = DUMP_NOT_ZERO, .doc = "not with 204 and 304" },         \
	{ "bodyExpression", AS_TEXT(object, at body_text), .decode = decode_body, .dump = DUMP_NOT_ZERO,     \
	  .value_doc = "expression",                                                                         \
	  .doc = "instead of `body`: an [expression](../docs/expressions.md) about the request" },           \
	{ "headers", AS_LIST(SCHEMA_PAIRS, object, at header_list, at header_count, struct header_pair),     \
	  .element = decode_header, RANGE(0, LIMIT_DIRECT_HEADERS), .dump = DUMP_NOT_ZERO,                   \
	  .value_doc = "`{name: expression}`",                                                               \
	  .doc = "of the response; one without a value, or with a line break in it, is left out" },          \
	{ "status", AS_U16(object, at status), RANGE(200, 599), .dump = DUMP_NOT_ZERO,                       \
	  .need = "write the status code, as in status: 503", .doc = "of the gateway's response" }
/* clang-format on */

static void check_case(struct decoder *d, const struct yaml_node *node, void *object)
{
	check_direct(d, node, &((struct direct_case *)object)->response);
}

static const struct schema_row case_rows[] = {
	CONDITION_ROW(struct direct_case),
	DIRECT_ROWS(struct direct_case, response.),
};
static const struct schema case_schema = SCHEMA(case_rows, struct direct_case, .check = check_case);

/* In manifests the keys of an entry are one level deeper. */
static const struct schema_row case_response_rows[] = { DIRECT_ROWS(struct direct_response, ) };
static const struct schema case_response_schema =
	SCHEMA(case_response_rows, struct direct_response, .check = check_direct);
static const struct schema_row manifest_case_rows[] = {
	CONDITION_ROW(struct direct_case),
	{ "policy", AS_MAP(struct direct_case, response, &case_response_schema, struct direct_response),
	  .need = "write policy: {status: 503}" },
};
static const struct schema manifest_case_schema = SCHEMA(manifest_case_rows, struct direct_case);

static const struct schema_row direct_rows[] = {
	DIRECT_ROWS(struct direct_response, ),
	/* value_direct() decodes it. */
	CASES_ROW(struct direct_response, case_list, case_count, &case_schema, struct direct_case,
		  "the request goes to the backends"),
};
const struct schema direct_schema = SCHEMA(direct_rows, struct direct_response, .check = check_direct);

const struct direct_response *value_direct(struct decoder *d, const struct yaml_node *node)
{
	struct direct_response *direct;

	if (!value_has_cases(node))
		return schema_decode_new(d, node, &direct_schema);
	direct = decode_take(d, 1, sizeof(*direct));
	return direct && value_cases(d, node, d->is_manifest ? &manifest_case_schema : &case_schema,
				     &direct->case_list, &direct->case_count)
		       ? direct
		       : NULL;
}
