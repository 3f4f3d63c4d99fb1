/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/resource_value.h"

#include "config/core/engine/expand.h"
#include "config/core/values/access_log_value.h"
#include "policy/expression/expression.h"
#include "user/base/limits.h"

enum { RESOURCES_MAX = 2 * LIMIT_OTLP_ATTRIBUTES + 2 };

struct resources {
	struct decoder *d;
	struct otlp_resource *list; /* RESOURCES_MAX */
	uint32_t count;
};

/* A later one replaces an earlier one of the same name. */
static void put(struct resources *r, struct span name, struct expression_value value)
{
	struct expression_value *kept = decode_take(r->d, 1, sizeof(*kept));
	uint32_t at = 0;

	while (at < r->count && !span_eq(r->list[at].name, name))
		at++;
	if (!kept || at == RESOURCES_MAX)
		return;
	*kept = value;
	if (value.type == EXPRESSION_TEXT)
		kept->text = decode_keep(r->d, value.text);
	r->list[at] = (struct otlp_resource){ decode_keep(r->d, name), kept };
	r->count += at == r->count;
}

static int digit_of(char c)
{
	int letter = c | 0x20;

	if (c >= '0' && c <= '9')
		return c - '0';
	return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* The values are percent-encoded, as in W3C Baggage; in place. */
static struct span unescape(struct decoder *d, struct span text)
{
	struct span copy = decode_keep(d, text);
	char *bytes = (char *)copy.data;
	size_t len = 0;

	for (size_t i = 0; bytes && i < copy.len; i++) {
		int high = i + 2 < copy.len && bytes[i] == '%' ? digit_of(bytes[i + 1]) : -1;
		int low = high >= 0 ? digit_of(bytes[i + 2]) : -1;

		if (low < 0) {
			bytes[len++] = bytes[i];
			continue;
		}
		bytes[len++] = (char)(high << 4 | low);
		i += 2;
	}
	return span_of(bytes, len);
}

/* "name=value,name=value" */
static void take_environment(struct resources *r)
{
	const char *attributes = expand_environment("OTEL_RESOURCE_ATTRIBUTES");
	const char *service = expand_environment("OTEL_SERVICE_NAME");
	struct span rest = attributes ? span_str(attributes) : (struct span){ 0 }, pair;

	while (r->count < LIMIT_OTLP_ATTRIBUTES && span_split(&rest, ',', &pair)) {
		ptrdiff_t mark = span_find(pair, '=');
		struct span name = mark < 0 ? (struct span){ 0 } : span_trim(span_first(pair, (size_t)mark));

		if (name.len)
			put(r, name,
			    expression_span(unescape(r->d, span_trim(span_from(pair, (size_t)mark + 1)))));
	}
	if (service && *service)
		put(r, SPAN("service.name"), expression_span(span_str(service)));
}

static void take_expression(struct resources *r, const struct yaml_node *node, struct span name,
			    const struct expression *expression)
{
	struct expression_scratch scratch;
	struct expression_facts facts = { .scratch = &scratch };
	struct expression_value value;
	struct span text;

	if (!expression)
		return;
	expression_scratch_init(&scratch);
	value = expression_evaluate(expression, &facts);
	switch (value.type) {
	case EXPRESSION_BOOL:
	case EXPRESSION_INT:
	case EXPRESSION_DOUBLE:
	case EXPRESSION_TEXT:
		put(r, name, value);
		return;
	default:
		break;
	}
	expression_scratch_init(&scratch);
	if (expression_text(expression, &facts, &text) == 0)
		put(r, name, expression_span(text));
	else
		config_error(r->d->report, node,
			     "has no value without a request; write a text in quotes, as in "
			     "'\"shop\"'");
}

void resource_value_complete(struct decoder *d, const struct yaml_node *nodes, struct otlp_target *target)
{
	struct resources r = { .d = d, .list = decode_take(d, RESOURCES_MAX, sizeof(*r.list)) };
	const struct expression **expressions;
	uint32_t needs = 0, at = 0;

	if (!r.list)
		return;
	put(&r, SPAN("service.name"), expression_span(SPAN("headgate")));
	take_environment(&r);
	expressions = value_compile_named(d, nodes, target->resource_text_list, &target->resource_text_count,
					  EXPRESSION_AT_CONNECTION, &needs);
	if (nodes && expressions) {
		yaml_each(node, nodes) {
			take_expression(&r, node, target->resource_text_list[at].name, expressions[at]);
			at++;
		}
	}
	target->resource_list = r.list;
	target->resource_count = r.count;
}
