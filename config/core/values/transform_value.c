/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/transform_value.h"

#include "config/core/values/condition.h"
#include "config/core/values/named_value.h"
#include "config/core/values/values.h"
#include "policy/transform.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* -------------------------------------------------------------------------------- names */

/* Pseudo header fields are names here. */
static bool decode_target(struct decoder *d, const struct yaml_node *node, struct span name, bool is_response,
			  struct span *ret)
{
	if (!name.len || name.data[0] != ':')
		return value_header_name(d, node, name, ret);
	if (transform_may_change(name, is_response)) {
		*ret = decode_keep(d, name);
		return ret->data != NULL;
	}
	config_error(d->report, node,
		     is_response
			     ? "%s cannot be changed in a response; write :status, or the name of a header"
			     : "%s cannot be changed in a request; write :method, :path or :authority, or "
			       "the name of a header",
		     QUOTE(name));
	return false;
}

bool transform_value_name(struct decoder *d, const struct yaml_node *node, struct span name, struct span *ret)
{
	return decode_target(d, node, name, false, ret);
}

/* The values are expressions, which the check of the side compiles. */
static bool decode_pair(struct decoder *d, const struct yaml_node *node, bool is_response, void *ret)
{
	const struct yaml_node *name_node;
	struct header_pair *pair = ret;
	struct span name;

	return value_pair(d, node, &name_node, &name, &pair->value) &&
	       decode_target(d, name_node, name, is_response, &pair->name);
}

static bool decode_request_pair(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return decode_pair(d, node, false, ret);
}

static bool decode_response_pair(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return decode_pair(d, node, true, ret);
}

static bool decode_removal(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span name;

	return decode_string(d, node, &name) && value_header_name(d, node, name, ret);
}

/* -------------------------------------------------------------------------------- one message */

static void compile_pairs(struct decoder *d, const struct yaml_node *nodes, enum expression_point point,
			  const struct header_pair *list, uint32_t *count,
			  const struct expression ***ret_expressions, uint32_t *needs)
{
	*ret_expressions = value_pairs_compile(d, nodes, point, list, *count, needs);
	if (!*ret_expressions)
		*count = 0;
}

static void compile_metadata(struct decoder *d, const struct yaml_node *nodes, enum expression_point point,
			     struct transform_side *side)
{
	const struct expression *const *at;

	if (!nodes)
		return;
	value_named_compile(d, nodes, &side->metadata, point, value_itself);
	at = side->metadata.expression_list;
	if (!at)
		return;
	yaml_each(node, nodes) {
		const struct expression *expression = *at++;

		side->needs |= expression ? expression->needs : 0;
		if (expression && expression->type == EXPRESSION_HEADERS)
			config_error(d->report, node, "is a set of headers; name one of them");
	}
}

static void check_replace(struct decoder *d, const struct yaml_node *node, enum expression_point point,
			  struct transform_side *side)
{
	const struct expression *replace;

	if (!side->replace_text.len)
		return;
	replace = value_expression(d, node, side->replace_text, point);
	if (replace && replace->type != EXPRESSION_MAP && replace->type != EXPRESSION_DYNAMIC)
		config_error(d->report, node,
			     "the expression %s gives %s; write a map of all headers, such as {\"x-a\": "
			     "jwt.sub} or %s.headers.filterKeys(k, k.startsWith(\"x-\"))",
			     QUOTE(side->replace_text), expression_type_name(replace->type),
			     point == EXPRESSION_AT_ANSWER ? "response" : "request");
	side->replace = replace;
	side->needs |= replace ? replace->needs : 0;
}

static void check_side(struct decoder *d, const struct yaml_node *node, enum expression_point point,
		       struct transform_side *side)
{
	side->is_set = true;
	compile_pairs(d, decode_get(node, "add"), point, side->add_list, &side->add_count,
		      &side->add_expressions, &side->needs);
	compile_pairs(d, decode_get(node, "set"), point, side->set_list, &side->set_count,
		      &side->set_expressions, &side->needs);
	compile_metadata(d, decode_get(node, "metadata"), point, side);
	check_replace(d, decode_get(node, "replace"), point, side);
	if (side->body_text.len) {
		side->body = value_expression(d, decode_get(node, "body"), side->body_text, point);
		side->needs |= side->body ? side->body->needs : 0;
	}
	if (node->count == 0)
		config_error(d->report, node,
			     "changes nothing; write set, add, remove, replace, metadata or body");
}

static bool decode_metadata(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct named_expressions *named = container_of(ret, struct named_expressions, list);

	return value_map_of(d, node, value_metadatum, &named->list, &named->count);
}

static bool decode_body(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return decode_lines(d, node, ret);
}

static void check_request(struct decoder *d, const struct yaml_node *node, void *object)
{
	check_side(d, node, EXPRESSION_AT_TRANSFORM, object);
}

static void check_backend_request(struct decoder *d, const struct yaml_node *node, void *object)
{
	check_side(d, node, EXPRESSION_AT_BACKEND, object);
}

static void check_response(struct decoder *d, const struct yaml_node *node, void *object)
{
	check_side(d, node, EXPRESSION_AT_ANSWER, object);
}

#define PAIRS(list, count, decoder)                                                                          \
	AS_LIST(SCHEMA_PAIRS, struct transform_side, list, count, struct header_pair),                       \
		.element = (decoder), RANGE(0, LIMIT_TRANSFORM_HEADERS), .dump = DUMP_TUPLES,                \
		.value_doc = "`{name: expression}`"

/* clang-format off */
#define SIDE_ROWS(decoder, pseudo)                                                                           \
	{ "add", PAIRS(add_list, add_count, decoder),                                                        \
	  .doc = "header added to those of the same name: the value of an "                                  \
		 "[expression](../docs/expressions.md). One without a value, or with a line break in it, "   \
		 "removes the header" },                                                                     \
	{ "set", PAIRS(set_list, set_count, decoder),                                                        \
	  .doc = "the same, in place of those of the same name. Also " pseudo },                             \
	{ "remove", AS_LIST(SCHEMA_NAMES, struct transform_side, remove_list, remove_count, struct span),    \
	  .element = decode_removal, .dump = DUMP_NOT_ZERO, .value_doc = "list of names",                    \
	  .doc = "headers, after the others; except fields that frame a message" },                          \
	{ "replace", AS_TEXT(struct transform_side, replace_text), .decode = decode_body,                    \
	  .dump = DUMP_NOT_ZERO, .value_doc = "expression",                                                  \
	  .doc = "a map: before `add`, its members become the headers in place of all others; a list "       \
		 "becomes several. `host`, `expect` and what frames the message stay. Without a map the "    \
		 "request is refused with 400, a response becomes a 502" },                                  \
	{ "metadata",                                                                                        \
	  AS_LIST(SCHEMA_PAIRS, struct transform_side, metadata.list, metadata.count, struct header_pair),   \
	  .decode = decode_metadata, .dump = DUMP_TUPLES, .value_doc = "`{name: expression}`",               \
	  .doc = "members of the variable `metadata`, noted before anything is changed, for all later "      \
		 "expressions and the access log" }

#define BODY_ROW                                                                                             \
	{ "body", AS_TEXT(struct transform_side, body_text), .decode = decode_body, .dump = DUMP_NOT_ZERO,   \
	  .value_doc = "expression",                                                                         \
	  .doc = "the new body: a text as it is, other values as JSON. The old one is held back until all "  \
		 "of it has come ([how](../docs/tasks/headers.md#bodies))" }

#define REQUEST_ROWS SIDE_ROWS(decode_request_pair,                                                          \
	"`:path` (with its query), `:method` and `:authority`, which stay without a proper value; "          \
	"`:method` changes neither from nor to HEAD, CONNECT and TRACE")

static const struct schema_row request_rows[] = { REQUEST_ROWS, BODY_ROW };
static const struct schema_row backend_request_rows[] = { REQUEST_ROWS,
	{ "body", .refusal = NOT_YET_BACKEND_BODY } };
static const struct schema_row response_rows[] = { SIDE_ROWS(decode_response_pair,
	"`:status`, among 200 to 599 without 204, 205 and 304"), BODY_ROW };
/* clang-format on */

static const struct schema request_schema =
	SCHEMA(request_rows, struct transform_side, .check = check_request);
static const struct schema backend_request_schema =
	SCHEMA(backend_request_rows, struct transform_side, .check = check_backend_request);
static const struct schema response_schema =
	SCHEMA(response_rows, struct transform_side, .check = check_response);

/* -------------------------------------------------------------------------------- both */

/* clang-format off */
#define SIDES(object, at, request_child)                                                                     \
	{ "request", AS_MAP(object, at request, &request_child, struct transform_side),                      \
	  SET_BY(object, at request.is_set) },                                                               \
	{ "response", AS_MAP(object, at response, &response_schema, struct transform_side),                  \
	  SET_BY(object, at response.is_set) }
/* clang-format on */

static void check_both(struct decoder *d, const struct yaml_node *node, void *object)
{
	(void)object;
	if (!decode_get(node, "request") && !decode_get(node, "response"))
		config_error(d->report, node, "changes nothing; write request or response");
}

static const struct schema_row backend_rows[] = { SIDES(struct transformation, , backend_request_schema) };
const struct schema backend_transformation_schema =
	SCHEMA(backend_rows, struct transformation, .check = check_both);

/* -------------------------------------------------------------------------------- several forms */

static const struct schema_row case_rows[] = {
	CONDITION_ROW(struct transform_case),
	SIDES(struct transform_case, transformation., request_schema),
};
static const struct schema case_schema = SCHEMA(case_rows, struct transform_case, .check = check_both);

/* In manifests the keys of an entry are one level deeper. */
static const struct schema_row case_sides_rows[] = { SIDES(struct transformation, , request_schema) };
static const struct schema case_sides_schema =
	SCHEMA(case_sides_rows, struct transformation, .check = check_both);
static const struct schema_row manifest_case_rows[] = {
	CONDITION_ROW(struct transform_case),
	{ "policy", AS_MAP(struct transform_case, transformation, &case_sides_schema, struct transformation),
	  .need = "write policy: {request: {...}}" },
};
static const struct schema manifest_case_schema = SCHEMA(manifest_case_rows, struct transform_case);

static const struct schema_row transformation_rows[] = {
	SIDES(struct transformation, , request_schema),
	/* value_transformation() decodes it. */
	CASES_ROW(struct transformation, case_list, case_count, &case_schema, struct transform_case,
		  "nothing changes"),
};
const struct schema transformation_schema =
	SCHEMA(transformation_rows, struct transformation, .check = check_both);

const struct transformation *value_transformation(struct decoder *d, const struct yaml_node *node)
{
	struct transformation *transformation;

	if (!value_has_cases(node))
		return schema_decode_new(d, node, &transformation_schema);
	transformation = decode_take(d, 1, sizeof(*transformation));
	return transformation && value_cases(d, node, d->is_manifest ? &manifest_case_schema : &case_schema,
					     &transformation->case_list, &transformation->case_count)
		       ? transformation
		       : NULL;
}

/* -------------------------------------------------------------------------------- calls of services */

static bool has_pseudo(const struct header_pair *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (list[i].name.data[0] == ':')
			return true;
	return false;
}

void transformation_check_call(struct decoder *d, const struct yaml_node *service,
			       const struct callout_target *target)
{
	const struct policy_values *policies = target->ref ? &target->ref->inline_policies : NULL;
	const struct transformation *own = NULL;
	const struct yaml_node *node;

	for (uint32_t i = 0; policies && i < policies->value_count; i++)
		if (policies->value_list[i].kind == POLICY_BACKEND_TRANSFORMATION)
			own = policies->value_list[i].object;
	if (!own)
		return;
	node = decode_get(decode_get(service, "policies"), "transformations");
	if (!target->is_of_request)
		config_error(d->report, node,
			     "has no request of a client to read here; write requestHeaderModifier");
	else if (own->response.is_set)
		config_error(d->report, node,
			     "cannot change the response of this service; write \"request\" to "
			     "change the call");
	else if (target->is_grpc && (has_pseudo(own->request.set_list, own->request.set_count) ||
				     has_pseudo(own->request.add_list, own->request.add_count)))
		config_error(d->report, node,
			     "cannot change the method, path and host of a call of gRPC; write names of "
			     "headers");
}
