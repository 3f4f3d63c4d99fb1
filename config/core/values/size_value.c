/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/size_value.h"

#include "config/model.h"

static void check_limits(struct decoder *d, const struct yaml_node *node, void *object)
{
	(void)object;
	if (node->count == 0)
		config_error(d->report, node, "limits nothing; write maxRequestBytes or maxHeaderBytes");
}

static const struct schema_row limits_rows[] = {
	{ "maxRequestBytes", AS_OPT_U64(struct request_limits, body_bytes), AT_LEAST(0), .default_doc = "any",
	  .doc = "of the body: 413 beyond, by `Content-Length` before a backend is connected, else when that "
		 "many bytes have passed" },
	{ "maxHeaderBytes", AS_OPT_U64(struct request_limits, header_bytes), AT_LEAST(0),
	  .default_doc = "`config.limits.headBytes`",
	  .doc = "of all header fields, with 4 bytes for each: 431 beyond" },
};
const struct schema limits_schema = SCHEMA(limits_rows, struct request_limits, .check = check_limits);

/* A whole number, or in manifests a quantity of Kubernetes: 2Mi, 500k. */
static bool decode_bytes(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const struct {
		const char *unit;
		uint64_t bytes;
	} units[] = { { "Ki", 1 << 10 }, { "Mi", 1 << 20 }, { "Gi", 1 << 30 },
		      { "k", 1000 },	 { "M", 1000000 },  { "G", 1000000000 } };
	uint64_t value;

	for (size_t i = 0; d->is_manifest && node->kind == YAML_SCALAR && i < ARRAY_LEN(units); i++) {
		struct span unit = span_str(units[i].unit), text = node->text;

		if (text.len > unit.len && span_eq(span_from(text, text.len - unit.len), unit) &&
		    span_parse_u63(span_first(text, text.len - unit.len), &value) == 0 &&
		    !__builtin_mul_overflow(value, units[i].bytes, (uint64_t *)ret))
			return true;
	}
	return decode_u64(d, node, 0, INT64_MAX, ret);
}

static void check_side(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct buffer_side *side = object;

	side->is_set = true;
	side->is_closed = side->failure_mode == BUFFER_FAIL_CLOSED;
	if (!side->is_closed)
		config_warning(
			d->report, node,
			"has no effect: bodies are passed on as they arrive, and failOpen refuses none; "
			"leave it out, or write failClosed for a limit");
}

static const struct schema_row side_rows[] = {
	{ "maxBytes", AS_U64(struct buffer_side, max_bytes), AT_LEAST(0), .decode = decode_bytes,
	  .need = "write the most bytes of a body, as in maxBytes: 2097152",
	  .doc = "of the body. A larger request gets 413, a larger response 502; a response that began is "
		 "cut. Only bodies that `transformations` read are held back until they are complete" },
	/* In the order of enum buffer_failure. */
	{ "failureMode", AS_WORD(struct buffer_side, failure_mode), WORDS("failClosed", "failOpen"),
	  MANIFEST_WORDS("FailClosed", "FailOpen"), .doc = "`failOpen`: no effect, causes a warning" },
};
static const struct schema side_schema = SCHEMA(side_rows, struct buffer_side, .check = check_side);

static void check_buffer(struct decoder *d, const struct yaml_node *node, void *object)
{
	(void)object;
	if (node->count == 0)
		config_error(d->report, node,
			     "limits nothing; write request: {maxBytes: 2097152}, or response");
}

static const struct schema_row buffer_rows[] = {
	{ "request", AS_MAP(struct buffer_policy, request, &side_schema, struct buffer_side),
	  SET_BY(struct buffer_policy, request.is_set) },
	{ "response", AS_MAP(struct buffer_policy, response, &side_schema, struct buffer_side),
	  SET_BY(struct buffer_policy, response.is_set) },
};
const struct schema buffer_schema = SCHEMA(buffer_rows, struct buffer_policy, .check = check_buffer);
