/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/authorization_value.h"

#include <errno.h>

#include "policy/expression/expression.h"

enum { RULES_MAX = 256 }; /* of one policy, as in the CRD */

static bool decode_condition(struct decoder *d, const struct yaml_node *node, enum expression_point point,
			     struct span *ret_text, struct expression *ret)
{
	char error[EXPRESSION_ERROR_BYTES];
	int result;

	if (!decode_lines(d, node, ret_text))
		return false;
	result = expression_compile(*ret_text, point, d->arena, ret, error);
	if (result == -ENOMEM)
		d->failed = true;
	else if (result < 0)
		config_error(d->report, node, "the expression %s is not understood %s", QUOTE(*ret_text),
			     error);
	else if (!expression_is_condition(ret))
		config_error(d->report, node,
			     "the expression %s gives %s; write a condition, which is true or false",
			     QUOTE(*ret_text), expression_type_name(ret->type));
	return result == 0 && expression_is_condition(ret);
}

static bool rule_take(struct decoder *d, struct authorization_rule *rule, uint32_t count)
{
	rule->text_list = decode_take(d, count, sizeof(*rule->text_list));
	rule->expression_list = decode_take(d, count, sizeof(*rule->expression_list));
	return rule->text_list && rule->expression_list;
}

/* An expression alone allows. */
static bool decode_rule_at(struct decoder *d, const struct yaml_node *node, enum expression_point point,
			   struct authorization_rule *rule)
{
	static const char *const effects[] = { "allow", "deny", "require" };
	static const struct decode_key keys[] = { KEY("allow"), KEY("deny"), KEY("require") };
	const struct yaml_node *condition = node;

	*rule = (struct authorization_rule){ .effect = AUTHORIZATION_ALLOW, .expression_count = 1 };
	if (node->kind == YAML_MAP) {
		condition = DECODE_MAP(d, node, keys)
				    ? decode_choice(d, node, effects, ARRAY_LEN(effects), &rule->effect)
				    : NULL;
		if (!condition)
			return false;
	}
	return rule_take(d, rule, 1) &&
	       decode_condition(d, condition, point, rule->text_list, rule->expression_list);
}

static bool decode_rule(struct decoder *d, const struct yaml_node *node, void *element)
{
	return decode_rule_at(d, node, EXPRESSION_AT_REQUEST, element);
}

static bool decode_backend_rule(struct decoder *d, const struct yaml_node *node, void *element)
{
	return decode_rule_at(d, node, EXPRESSION_AT_BACKEND, element);
}

static bool decode_network_rule(struct decoder *d, const struct yaml_node *node, void *element)
{
	return decode_rule_at(d, node, EXPRESSION_AT_CONNECTION, element);
}

static bool decode_mcp_rule(struct decoder *d, const struct yaml_node *node, void *element)
{
	return decode_rule_at(d, node, EXPRESSION_AT_MCP, element);
}

/* The list of {matchExpressions: […]}; NULL: reported. */
static const struct yaml_node *expressions_of(struct decoder *d, const struct yaml_node *node,
					      const char *example)
{
	static const struct decode_key keys[] = { KEY("matchExpressions") };
	const struct yaml_node *list;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	list = decode_need(d, node, "matchExpressions", example);
	if (!list || !decode_list(d, list))
		return NULL;
	if (list->count > 0 && list->count <= RULES_MAX)
		return list;
	config_error(d->report, list, "has %u expressions; write 1 to %d", list->count, RULES_MAX);
	return NULL;
}

/* {matchExpressions: […]}: all of them must hold: one rule. */
static bool decode_all(struct decoder *d, const struct yaml_node *node, enum expression_point point,
		       struct authorization_policy *policy)
{
	struct authorization_rule *rule = decode_take(d, 1, sizeof(*rule));
	const struct yaml_node *list =
		expressions_of(d, node, "write matchExpressions: ['request.method == \"GET\"']");
	bool is_valid = true;

	if (!rule || !list || !rule_take(d, rule, list->count))
		return false;
	yaml_each(child, list) {
		uint32_t i = rule->expression_count++;

		is_valid &= decode_condition(d, child, point, &rule->text_list[i], &rule->expression_list[i]);
	}
	policy->rule_list = rule;
	policy->rule_count = 1;
	return is_valid;
}

/* For MCP each is a rule of its own, as in agentgateway. */
static bool decode_mcp_expressions(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct authorization_policy *policy = ret;
	const struct yaml_node *list =
		expressions_of(d, node, "write matchExpressions: ['mcp.tool.name == \"echo\"']");
	bool is_valid = true;

	policy->rule_list = list ? decode_take(d, list->count, sizeof(*policy->rule_list)) : NULL;
	if (!policy->rule_list)
		return false;
	yaml_each(child, list) {
		struct authorization_rule *rule = &policy->rule_list[policy->rule_count++];

		rule->expression_count = 1;
		is_valid &= rule_take(d, rule, 1) && decode_condition(d, child, EXPRESSION_AT_MCP,
								      rule->text_list, rule->expression_list);
	}
	return is_valid;
}

static bool decode_expressions(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return decode_all(d, node, EXPRESSION_AT_REQUEST, ret);
}

static bool decode_backend_expressions(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return decode_all(d, node, EXPRESSION_AT_BACKEND, ret);
}

static bool decode_network_expressions(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return decode_all(d, node, EXPRESSION_AT_CONNECTION, ret);
}

static void check_authorization(struct decoder *d, const struct yaml_node *node, void *object)
{
	static const char *const actions[] = { "Allow", "Deny", "Require" };
	const struct yaml_node *action = d->is_manifest ? decode_get(node, "action") : NULL;
	const struct yaml_node *rules = decode_get(node, "rules");
	struct authorization_policy *policy = object;

	if (rules && rules->count == 0)
		config_error(d->report, rules, "is empty, so nothing would be refused; write the rules");
	for (uint32_t i = 0; i < policy->rule_count; i++) {
		for (uint32_t e = 0; e < policy->rule_list[i].expression_count; e++)
			policy->needs |= policy->rule_list[i].expression_list[e].needs;
		if (action && !DECODE_WORD(d, action, actions, &policy->rule_list[i].effect))
			break;
	}
}

/* clang-format off */
#define RULES(decode_one, example, words)                                                                    \
	{ "rules",                                                                                           \
	  AS_OBJECTS(struct authorization_policy, rule_list, rule_count, NULL, struct authorization_rule),   \
	  .element = decode_one, RANGE(1, RULES_MAX), .style = STYLE_STANDALONE,                             \
	  .need = "write the rules, as in rules: ['" example "']",                                           \
	  .value_doc = "list of [expressions](../docs/expressions.md), `{allow}`, `{deny}`, `{require}`",    \
	  .doc = words }
/* check_authorization() reads the action. */
#define MATCH_EXPRESSIONS(decode_one)                                                                        \
	{ "action", AS_REST(struct authorization_policy), .style = STYLE_MANIFEST },                         \
	{ "policy", AS_REST(struct authorization_policy), .decode = decode_one, .style = STYLE_MANIFEST,     \
	  .need = "write policy: {matchExpressions: [...]}" }

static const struct schema_row authorization_rows[] = {
	RULES(decode_rule, "jwt.team == \"a\"",
	      "conditions: a request is refused if any `deny` holds, if any `require` does not, or if "
	      "there are rules to `allow` and none of them holds; an expression alone allows. The rules "
	      "of all levels count"),
	MATCH_EXPRESSIONS(decode_expressions),
};
/* clang-format on */
const struct schema authorization_schema =
	SCHEMA(authorization_rows, struct authorization_policy, .check = check_authorization);

static const struct schema_row mcp_authorization_rows[] = {
	{ "rules",
	  AS_OBJECTS(struct authorization_policy, rule_list, rule_count, NULL, struct authorization_rule),
	  .element = decode_mcp_rule, RANGE(1, RULES_MAX), .style = STYLE_STANDALONE,
	  .need = "write the rules, as in rules: ['mcp.tool.name == \"echo\"']",
	  .value_doc = "list of [expressions](../docs/expressions.md), `{allow}`, `{deny}`, `{require}`",
	  .doc = "the same for each tool, prompt, resource and task of MCP backends: what is refused is not "
		 "in lists, and a request for it is answered as if it did not exist. Also at a backend" },
	{ "action", AS_REST(struct authorization_policy), .style = STYLE_MANIFEST },
	{ "policy", AS_REST(struct authorization_policy), .decode = decode_mcp_expressions,
	  .style = STYLE_MANIFEST, .need = "write policy: {matchExpressions: [...]}" },
};
const struct schema mcp_authorization_schema =
	SCHEMA(mcp_authorization_rows, struct authorization_policy, .check = check_authorization);
/* clang-format off */
static const struct schema_row backend_rows[] = {
	RULES(decode_backend_rule, "jwt.team == \"a\"",
	      "as those of a route, for requests that are for this backend, after those of the route; "
	      "`backend` can be read, too. A request that failed is not repeated to another backend with "
	      "such rules"),
	MATCH_EXPRESSIONS(decode_backend_expressions),
};
/* clang-format on */
const struct schema backend_authorization_schema =
	SCHEMA(backend_rows, struct authorization_policy, .check = check_authorization);

/* clang-format off */
static const struct schema_row network_rows[] = {
	RULES(decode_network_rule, "cidr(\"10.0.0.0/8\").containsIP(source.address)",
	      "as those of `authorization`, for connections of every protocol: `source` and `destination` "
	      "only. A refused connection is closed without a byte, before TCP and TLS routes dial a "
	      "backend. Behind a proxy of `config.forwarded.trusted`, and where listeners of a plain port "
	      "differ, each request is refused with 403 instead"),
	MATCH_EXPRESSIONS(decode_network_expressions),
};
/* clang-format on */
const struct schema network_authorization_schema =
	SCHEMA(network_rows, struct authorization_policy, .check = check_authorization);
