/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/guard_value.h"

#include "config/core/values/values.h"
#include "policy/guard/origin.h"
#include "user/base/char_class.h"
#include "user/base/limits.h"
#include "user/base/units.h"

#define ANY SPAN("*")

/* -------------------------------------------------------------------------------- cors */

static bool decode_origin(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct origin_pattern pattern;
	struct span text;

	if (!decode_name(d, node, &text))
		return false;
	if (span_eq_nocase(text, SPAN("null"))) {
		config_error(d->report, node,
			     "null is the origin of every sandboxed frame, of any site; name the origin that "
			     "the page has, as in https://app.example.com");
		return false;
	}
	if (!span_eq(text, ANY) && !origin_pattern_parse(text, &pattern)) {
		config_error(d->report, node,
			     "%s is not an origin; write *, or scheme, host and port without a path, as in "
			     "https://app.example.com, https://*.example.com or http://localhost:3000",
			     QUOTE(text));
		return false;
	}
	*(struct span *)ret = text;
	return true;
}

static bool decode_token(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span text;

	if (!decode_name(d, node, &text))
		return false;
	if (!char_class_is_token(text)) {
		config_error(d->report, node,
			     "%s is not the name of a header; write one such as Content-Type, or *",
			     QUOTE(text));
		return false;
	}
	*(struct span *)ret = text;
	return true;
}

static bool decode_method(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return value_method(d, node, ret);
}

/* The field has whole seconds (Fetch 3.3.3). */
static bool decode_max_age(struct decoder *d, const struct yaml_node *node, void *ret)
{
	uint64_t ns, seconds;

	if (d->is_manifest) {
		if (!decode_u64(d, node, 1, INT32_MAX, &seconds))
			return false;
	} else {
		if (!decode_duration(d, node, 0, &ns))
			return false;
		seconds = ns / NS_PER_S;
		if (ns % NS_PER_S) {
			config_error(d->report, node,
				     "browsers count whole seconds, found %s; write 1s or more", FOUND(node));
			return false;
		}
	}
	*(struct span *)ret = decode_text(d, "%llu", (unsigned long long)seconds);
	return true;
}

static bool has_any(const struct span *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (span_eq(list[i], ANY))
			return true;
	}
	return false;
}

/* The value of a field; `*` if that is among the names. */
static struct span join(struct decoder *d, const struct span *list, uint32_t count)
{
	struct span joined = { 0 };
	struct text text;

	if (has_any(list, count))
		return ANY;
	text_init(&text);
	for (uint32_t i = 0; i < count; i++) {
		text_str(&text, i ? ", " : "");
		text_add(&text, list[i]);
	}
	if (text_error(&text))
		d->failed = true;
	else if (count)
		joined = decode_keep(d, text_span(&text));
	text_done(&text);
	return joined;
}

static void make_patterns(struct decoder *d, struct cors_policy *policy)
{
	policy->any_origin = has_any(policy->origin_list, policy->origin_count);
	policy->pattern_list = decode_take(d, policy->origin_count, sizeof(*policy->pattern_list));
	for (uint32_t i = 0; policy->pattern_list && i < policy->origin_count; i++) {
		struct origin_pattern *pattern = &policy->pattern_list[policy->pattern_count];

		policy->pattern_count += origin_pattern_parse(policy->origin_list[i], pattern);
	}
}

/* Gateway API has `*` only as the one element. */
static void check_alone(struct decoder *d, const struct yaml_node *list, const struct span *names,
			uint32_t count)
{
	if (d->is_manifest && count > 1 && has_any(names, count))
		config_error(d->report, list,
			     "\"*\" stands for all of them; write it alone, or leave it out");
}

static void check_cors(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct cors_policy *policy = object;
	const struct yaml_node *exposed = decode_get(node, "exposeHeaders");

	check_alone(d, decode_get(node, "allowOrigins"), policy->origin_list, policy->origin_count);
	check_alone(d, decode_get(node, "allowMethods"), policy->method_list, policy->method_count);
	check_alone(d, decode_get(node, "allowHeaders"), policy->header_list, policy->header_count);
	check_alone(d, exposed, policy->expose_list, policy->expose_count);
	make_patterns(d, policy);
	policy->headers = join(d, policy->header_list, policy->header_count);
	policy->methods = join(d, policy->method_list, policy->method_count);
	policy->exposed = join(d, policy->expose_list, policy->expose_count);
	/* With credentials, browsers take `*` for a name (Fetch 3.3.3). */
	if (policy->allow_credentials && span_eq(policy->exposed, ANY)) {
		policy->exposed = (struct span){ 0 };
		config_warning(
			d->report, exposed,
			"\"*\" has no effect with allowCredentials: browsers take it for the name of a "
			"header; write the names");
	}
	if (d->is_manifest && !policy->max_age.len)
		policy->max_age = SPAN("5");
}

#define LIST_OF_NAMES .value_doc = "list of names, or `*`"
#define CORS_NAMES(list, count, decoder)                                                                     \
	AS_LIST(SCHEMA_NAMES, struct cors_policy, list, count, struct span),                                 \
		.element = (decoder), RANGE(0, LIMIT_CORS_NAMES), .dump = DUMP_NOT_ZERO

static const struct schema_row cors_rows[] = {
	{ "allowCredentials", AS_BOOL(struct cors_policy, allow_credentials),
	  .doc = "pages may send cookies and certificates, and read what they get; "
		 "no response then has `*`" },
	{ "allowHeaders", CORS_NAMES(header_list, header_count, decode_token),
	  .value_doc = "list of names, or `*`", .default_doc = "only what browsers always allow",
	  .doc = "that a page may set; `*`: all" },
	{ "allowMethods", CORS_NAMES(method_list, method_count, decode_method),
	  .value_doc = "list of methods, or `*`", .default_doc = "GET, HEAD, POST",
	  .doc = "that a page may use; `*`: all" },
	{ "allowOrigins", CORS_NAMES(origin_list, origin_count, decode_origin),
	  .value_doc = "list of origins, or `*`", .default_doc = "none",
	  .doc = "of the pages: `https://app.example.com`, `http://localhost:3000`, "
		 "`https://*.example.com`; a missing port is 80 or 443" },
	{ "exposeHeaders", CORS_NAMES(expose_list, expose_count, decode_token),
	  .value_doc = "list of names, or `*`", .default_doc = "only what browsers always show",
	  .doc = "of responses, that a page may read" },
	{ "maxAge", AS_TEXT(struct cors_policy, max_age), .decode = decode_max_age, .dump = DUMP_NOT_ZERO,
	  .value_doc = "duration", .default_doc = "browsers' 5 s",
	  .doc = "how long browsers remember the answer to a preflight" },
};
const struct schema cors_schema = SCHEMA(cors_rows, struct cors_policy, .check = check_cors);
