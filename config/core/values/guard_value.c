/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/guard_value.h"

#include "config/core/values/condition.h"
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

static struct origin_pattern *make_patterns(struct decoder *d, const struct span *list, uint32_t count,
					    uint32_t *ret_count)
{
	struct origin_pattern *patterns = decode_take(d, count, sizeof(*patterns));

	*ret_count = 0;
	for (uint32_t i = 0; patterns && i < count; i++)
		*ret_count += origin_pattern_parse(list[i], &patterns[*ret_count]);
	return patterns;
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
	policy->any_origin = has_any(policy->origin_list, policy->origin_count);
	policy->pattern_list =
		make_patterns(d, policy->origin_list, policy->origin_count, &policy->pattern_count);
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

/* -------------------------------------------------------------------------------- csrf */

static bool decode_other_origin(struct decoder *d, const struct yaml_node *node, void *ret)
{
	if (!decode_origin(d, node, ret))
		return false;
	if (!span_eq(*(struct span *)ret, ANY))
		return true;
	config_error(d->report, node,
		     "\"*\" would let every site act as the user; name the sites, or leave the policy out");
	return false;
}

static void check_csrf(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct csrf_policy *policy = object;

	(void)node;
	policy->pattern_list =
		make_patterns(d, policy->origin_list, policy->origin_count, &policy->pattern_count);
}

static const struct schema_row csrf_rows[] = {
	{ "additionalOrigins",
	  AS_LIST(SCHEMA_NAMES, struct csrf_policy, origin_list, origin_count, struct span),
	  .element = decode_other_origin, RANGE(0, LIMIT_CORS_NAMES), MANIFEST_RANGE(1, 16),
	  .value_doc = "list of origins", .default_doc = "only the requested site",
	  .doc = "other sites whose pages may send requests that change something, as in "
		 "`cors.allowOrigins`, without `*`" },
};
const struct schema csrf_schema = SCHEMA(csrf_rows, struct csrf_policy, .check = check_csrf);

/* -------------------------------------------------------------------------------- localRateLimit */

static bool decode_key(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct rate_rule *rule = container_of(ret, struct rate_rule, key_text);
	struct span text;

	if (!decode_lines(d, node, &text))
		return false;
	rule->key_text = text;
	rule->key = value_expression(d, node, text, EXPRESSION_AT_REQUEST);
	return true;
}

static void check_rate_rule(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct rate_rule *rule = object;
	const struct yaml_node *fill = decode_get(node, "tokensPerFill");

	if (rule->type == RATE_TOKENS)
		config_error(d->report, decode_get(node, "type"), "tokens " NOT_YET_TOKENS);
	if (rule->shape.fill > rule->shape.most)
		config_error(d->report, fill ? fill : node,
			     "is more than the bucket holds: write a number up to maxTokens, which is %llu",
			     (unsigned long long)rule->shape.most);
	else if (rule->shape.most == 0)
		config_warning(d->report, node, "admits no request: maxTokens is 0, or missing");
	else if (rule->shape.fill == 0)
		config_warning(d->report, node,
			       "admits %llu requests, and none after them: tokensPerFill is 0, or missing",
			       (unsigned long long)rule->shape.most);
}

static const struct schema_row rate_rule_rows[] = {
	{ "maxTokens", AS_U64(struct rate_rule, shape.most), RANGE(0, INT64_MAX), .value_doc = "0 and more",
	  .doc = "requests that the bucket holds; it begins full" },
	{ "tokensPerFill", AS_U64(struct rate_rule, shape.fill), RANGE(0, INT64_MAX),
	  .value_doc = "0..`maxTokens`", .doc = "added each `fillInterval`" },
	{ "fillInterval", AS_DURATION(struct rate_rule, shape.interval_ns), AT_LEAST(1),
	  .need = "write one such as fillInterval: 1s", .value_doc = "duration",
	  .doc = "tokens are added at whole multiples of it" },
	{ "type", AS_WORD(struct rate_rule, type), WORDS("requests", "tokens"), .value_doc = "`requests`",
	  .doc = "`tokens` of models are not supported yet" },
	{ "key", AS_TEXT(struct rate_rule, key_text), .decode = decode_key, .dump = DUMP_NOT_ZERO,
	  .value_doc = "expression", .default_doc = "one bucket for all requests",
	  .doc = "a bucket for each value, as in `source.address`; requests without a value share one" },
};
const struct schema rate_rule_schema = SCHEMA(rate_rule_rows, struct rate_rule, .check = check_rate_rule);

static bool decode_rate_rule(struct decoder *d, const struct yaml_node *node, void *ret)
{
	uint32_t errors = d->report->count[CONFIG_ERROR];

	schema_default(&rate_rule_schema, ret);
	return schema_decode(d, node, &rate_rule_schema, ret) && d->report->count[CONFIG_ERROR] == errors;
}

/* {requests, unit, burst, key} */
static bool decode_manifest_rule(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const struct decode_key keys[] = { KEY("requests"), KEY_REFUSED("tokens", NOT_YET_TOKENS),
						  KEY("unit"), KEY("burst"), KEY("key") };
	static const char *const units[] = { "Seconds", "Minutes", "Hours" };
	static const uint64_t seconds[] = { 1, 60, 3600 };
	struct rate_rule *rule = ret;
	uint64_t burst = 0;
	unsigned unit;

	if (!DECODE_MAP(d, node, keys))
		return false;
	/* Alone, it has been reported. */
	if (decode_get(node, "tokens") && !decode_get(node, "requests"))
		return false;
	if (!decode_u64(d, decode_need(d, node, "requests", "write how many requests of a unit pass"), 1,
			INT32_MAX, &rule->shape.fill) ||
	    !DECODE_WORD(d, decode_need(d, node, "unit", "write Seconds, Minutes or Hours"), units, &unit))
		return false;
	decode_u64(d, decode_get(node, "burst"), 0, INT32_MAX, &burst);
	rule->shape.most = rule->shape.fill + burst;
	rule->shape.interval_ns = seconds[unit] * NS_PER_S;
	return !decode_get(node, "key") || decode_key(d, decode_get(node, "key"), &rule->key_text);
}

const struct local_rate_limit *rate_limit_value(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY_REFUSED("conditional", NOT_YET_RATE_CONDITIONAL) };
	/* What stands beside `local` is a policy of its own. */
	const struct yaml_node *list =
		d->is_manifest ? decode_need(d, node, "local", "write a list of limits") : node;
	struct local_rate_limit *policy = decode_take(d, 1, sizeof(*policy));
	bool is_conditional = list && list->kind == YAML_MAP && decode_get(list, "conditional");

	if (!policy || !list || (is_conditional && DECODE_MAP(d, list, keys)) || !decode_list(d, list))
		return NULL;
	if (list->count < 1 || list->count > LIMIT_RATE_RULES) {
		config_error(d->report, list, "a policy has 1 to %d limits, this one has %u",
			     LIMIT_RATE_RULES, list->count);
		return NULL;
	}
	return schema_decode_list(d, list, d->is_manifest ? decode_manifest_rule : decode_rate_rule,
				  sizeof(*policy->rule_list), &policy->rule_list, &policy->rule_count)
		       ? policy
		       : NULL;
}
